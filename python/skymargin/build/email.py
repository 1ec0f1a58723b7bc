"""A mail at the end of a run, sent through an SMTP host.

Environment variables configure it, each `SKYMARGIN_SMTP_` followed by:

- `HOST`: the SMTP host; default `localhost`.
- `PORT`: its port; default 25, 587 or 465, by the value of `SECURITY`.
- `SECURITY`: `none`, `starttls` or `tls` (encrypted from the start); default `starttls` with a user, else `none`.
- `USER` and `PASSWORD`: a login; default none. Without encryption only this machine gets them.
- `SENDER`: the address it comes from; default `skymargin` at this machine.
"""

from __future__ import annotations

import ipaddress
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

# How long a host that does not answer may delay the end of a run.
_TIMEOUT_SECONDS = 30
# The usual port of each kind of connection.
_PORTS = {"none": 25, "starttls": 587, "tls": 465}


@dataclass
class Outcome:
    """The result of a run, set by the run, sent by the mail."""

    summary: str = ""


@contextmanager
def notify_on_completion(address: str, name: str) -> Iterator[Outcome]:
    """Send a mail when the block ends, with success or with an error.

    A mail that cannot be sent is a warning: the margin is complete without it. An error of the block is raised again.

    Parameters
    ----------
    address
        The recipients; empty for no mail.
    name
        Name of the margin catalog.

    Yields
    ------
    Outcome
        The text of the mail in case of success.
    """
    outcome = Outcome()
    try:
        yield outcome
    except Exception as error:
        # Even where warnings are errors, the error of the run is raised.
        with suppress(UserWarning):
            if outcome.summary:
                # Another margin of the run failed, or the mail about it.
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
    host = os.environ.get("SKYMARGIN_SMTP_HOST") or "localhost"
    port = os.environ.get("SKYMARGIN_SMTP_PORT") or ""
    try:
        server = _server(host, port)
        port = str(server.port)
        _send(server, address, subject, text)
    except (OSError, ValueError) as error:
        where = f"{host}:{port}" if port else host
        warnings.warn(f"no mail was sent to {address} by {where}: {error}", stacklevel=4)


@dataclass(frozen=True)
class _Server:
    """An SMTP host, and how to connect and log in; without a user there is no login."""

    host: str
    port: int
    security: str
    user: str = field(repr=False)
    password: str = field(repr=False)


def _server(host: str, port: str) -> _Server:
    user, password = (os.environ.get(f"SKYMARGIN_SMTP_{name}", "") for name in ("USER", "PASSWORD"))
    if bool(user) != bool(password):
        raise ValueError("SKYMARGIN_SMTP_USER and SKYMARGIN_SMTP_PASSWORD must be set together")
    if not (user + password).isascii():
        # The error of smtplib would show a part of it.
        raise ValueError("SKYMARGIN_SMTP_USER and SKYMARGIN_SMTP_PASSWORD must be ASCII text")
    security = os.environ.get("SKYMARGIN_SMTP_SECURITY") or ("starttls" if user else "none")
    if security not in _PORTS:
        raise ValueError(
            f"SKYMARGIN_SMTP_SECURITY {security!r} is not allowed: it must be one of {', '.join(_PORTS)}"
        )
    if user and security == "none" and not _is_loopback(host):
        raise ValueError(
            "a password is not sent without encryption: set SKYMARGIN_SMTP_SECURITY to starttls or tls"
        )
    return _Server(host, int(port) if port else _PORTS[security], security, user, password)


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _send(server: _Server, address: str, subject: str, text: str) -> None:
    # Imported here: 30 ms, for runs that send a mail.
    import smtplib
    import socket
    import ssl
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = subject
    message["To"] = address
    message["From"] = os.environ.get("SKYMARGIN_SMTP_SENDER") or f"skymargin@{socket.getfqdn()}"
    message.set_content(text + "\n")
    connection: smtplib.SMTP
    if server.security == "tls":
        context = ssl.create_default_context()
        connection = smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_SECONDS)
    with connection:
        if server.security == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if server.user:
            try:
                connection.login(server.user, server.password)
            except smtplib.SMTPAuthenticationError as error:
                # What the server says might repeat the password.
                raise OSError(f"the login was refused (code {error.smtp_code})") from None
        connection.send_message(message)
