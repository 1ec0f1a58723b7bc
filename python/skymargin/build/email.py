"""A mail at the end of a run, sent through an SMTP host.

`SKYMARGIN_SMTP_HOST` and `SKYMARGIN_SMTP_PORT` say which, by default port 25 of this machine; `SKYMARGIN_SMTP_SENDER`
is the address it comes from, by default `skymargin` at this machine.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# A host that does not answer must not hold up the end of a run for longer.
_TIMEOUT_SECONDS = 30


@dataclass
class Outcome:
    """What a run came to; set by the run, told by the mail."""

    summary: str = ""


@contextmanager
def notify_on_completion(address: str, name: str) -> Iterator[Outcome]:
    """Send a mail when the block has ended, well or with an error.

    A mail that cannot be sent is a warning: the margin is as good without. An error of the block is raised on.

    Parameters
    ----------
    address
        To whom; empty for no mail.
    name
        Name of the margin catalog.

    Yields
    ------
    Outcome
        What the mail says when all went well.
    """
    outcome = Outcome()
    try:
        yield outcome
    except Exception as error:
        # Even where warnings are errors, it is the run's own error that is raised.
        with suppress(UserWarning):
            if outcome.summary:
                # Another margin of the run was not made, or a mail about it not sent.
                _tell(address, f"skymargin: {name} is complete", outcome.summary)
            else:
                _tell(
                    address,
                    f"skymargin: {name} failed",
                    f"{name} was not made.\n\n{type(error).__name__}: {error}",
                )
        raise
    _tell(address, f"skymargin: {name} is complete", outcome.summary)


def _tell(address: str, subject: str, text: str) -> None:
    if not address:
        return
    try:
        _send(address, subject, text)
    except (OSError, ValueError) as error:
        warnings.warn(
            f"no mail was sent to {address} by {_host()}:{os.environ.get('SKYMARGIN_SMTP_PORT', '25')}: {error}",
            stacklevel=4,
        )


def _send(address: str, subject: str, text: str) -> None:
    # 30 ms, for those who want a mail only.
    import smtplib
    import socket
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = subject
    message["To"] = address
    message["From"] = os.environ.get("SKYMARGIN_SMTP_SENDER") or f"skymargin@{socket.getfqdn()}"
    message.set_content(text + "\n")
    port = int(os.environ.get("SKYMARGIN_SMTP_PORT") or 25)
    with smtplib.SMTP(_host(), port, timeout=_TIMEOUT_SECONDS) as server:
        server.send_message(message)


def _host() -> str:
    return os.environ.get("SKYMARGIN_SMTP_HOST") or "localhost"
