"""Mails with more in their addresses, names and servers than there should be, to a real server on this machine."""

from __future__ import annotations

import os
import socket
import warnings
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from unittest.mock import patch

from skymargin import MarginCacheArguments, SkymarginError
from skymargin.build.email import notify_on_completion
from tests.campaign.outcomes import Tally

_ADDRESS = "me@here.org"
_HEADERS = {"subject", "to", "from", "content-type", "content-transfer-encoding", "mime-version"}
_LINE_ENDS = ("\r\n", "\n", "\r", "\r\n ", "\x0b", "\x85", "\u2028")
_ADDRESSES = (
    *(f"me@here.org{end}Bcc: you@there.org" for end in _LINE_ENDS),
    *("me@here.org\r\n.\r\nMAIL FROM:<x@y>", "me@here.org> RCPT TO:<x@y", "me", "@", "me@", "me@here.org\0"),
    *("\x1b@x", "me@here.org;x@y", "<me@here.org>", '"a\r\nb"@x', "me@here.org,\r\nx@y", "me@\udc80"),
)
_SENDERS = (
    *("a@b\r\nBcc: x@y", "a@b\nX: y", "a@b\0", "\udc80@x"),
    *("<>", "a@b\r\n\r\nbody", "a@b, c@d", "x" * 5_000),
)
_HOSTS = ("127.0.0.1\r\nX", "127.0.0.1\0", "", "::::", "x" * 300, "\udc80", "-", "..")
_PORTS = ("0", "-1", "99999", "70000000000", "1e3", "25\r\n", "\u0662\u0665", "x" * 5_000)
_TEXTS = ("\r\n.\r\nQUIT", "a\nBcc: x@y", "\0", "\udc80", "x" * 10**6, "\r\r\n\n")


class _Mailbox:
    def __init__(self) -> None:
        self.received: list[tuple[list[str], Message]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.received.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"


def mail_tally(catalog: Path) -> Tally:
    """Try them all; `catalog` is any."""
    from aiosmtpd.controller import Controller

    tally = Tally("mails with more than there should be")
    box = _Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    usual = {"SKYMARGIN_SMTP_HOST": "127.0.0.1", "SKYMARGIN_SMTP_PORT": str(port)}
    try:
        for address in _ADDRESSES:
            _count(tally, box, f"address {address!r}", usual, address, "done", catalog)
        for kind, values in (("SENDER", _SENDERS), ("HOST", _HOSTS), ("PORT", _PORTS)):
            for value in values:
                if "\0" in value:
                    # No environment holds a null.
                    tally.refused += 1
                    continue
                settings = usual | {f"SKYMARGIN_SMTP_{kind}": value}
                _count(tally, box, f"{kind} {value[:40]!r}", settings, _ADDRESS, "done", catalog)
        for text in _TEXTS:
            _count(tally, box, f"text {text[:40]!r}", usual, _ADDRESS, text, catalog)
    finally:
        controller.stop()
    return tally


def _count(
    tally: Tally, box: _Mailbox, what: str, settings: dict[str, str], address: str, text: str, catalog: Path
) -> None:
    """Send one mail; it arrives as it is meant, or is refused by an error or a warning."""
    box.received.clear()
    with patch.dict(os.environ, settings), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            MarginCacheArguments(
                catalog.parent, "margin", input_catalog_path=catalog, completion_email_address=address
            )
            with notify_on_completion(address, "margin") as outcome:
                outcome.summary = text
        except SkymarginError as error:
            told.append(error)  # type: ignore[arg-type]
        except Exception as error:
            tally.failures.append(f"{what}: {type(error).__name__}: {error}")
            return
    for recipients, message in box.received:
        extra = {name.lower() for name in message} - _HEADERS
        if recipients != [address] or extra or message["To"] != address:
            tally.failures.append(f"{what}: went to {recipients}, with {message.items()}")
            return
    if bool(box.received) == bool(told):
        tally.failures.append(f"{what}: {len(box.received)} mails arrived, {len(told)} warnings were given")
    elif box.received:
        tally.survived += 1
    else:
        tally.refused += 1
