"""Mails at the end of a run, received by a real SMTP server."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from skymargin import MarginCacheArguments, SkymarginError, pipeline
from skymargin.build.email import notify_on_completion
from skymargin.errors import ArgumentError
from tests.support.workspace import Workspace


class Mailbox:
    """Keeps what arrives; refuses addresses at `nowhere`."""

    def __init__(self) -> None:
        self.received: list[tuple[str, list[str], Message]] = []
        self.logged_in: list[bool] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.endswith("@nowhere"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content)
        self.logged_in.append(bool(session.authenticated))
        self.received.append((envelope.mail_from, envelope.rcpt_tos, message))
        return "250 OK"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def serving(**options: Any) -> Iterator[tuple[Mailbox, int]]:
    """An SMTP server on the loopback interface, with options of its controller."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with serving() as (box, port):
        monkeypatch.setenv("SKYMARGIN_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SKYMARGIN_SMTP_PORT", str(port))
        yield box


@pytest.fixture
def work(small_catalog: Path, tmp_path: Path) -> Workspace:
    return Workspace(small_catalog, tmp_path, 3600.0)


def mailed_to(work: Workspace, address: str, **others: Any) -> MarginCacheArguments:
    return work.arguments("small_1h", completion_email_address=address, **others)


def text_of(message: Message) -> str:
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def test_a_mail_on_success(mailbox: Mailbox, work: Workspace) -> None:
    report = pipeline(mailed_to(work, "me@here.org, you@there.org"))
    ((sender, recipients, message),) = mailbox.received
    assert recipients == ["me@here.org", "you@there.org"]
    assert sender.startswith("skymargin@")
    assert message["Subject"] == "skymargin: small_1h is complete"
    assert message["To"] == "me@here.org, you@there.org"
    assert text_of(message).strip() == report.summary()


def test_a_mail_on_failure(mailbox: Mailbox, work: Workspace) -> None:
    args = mailed_to(work, "me@here.org", fine_filtering=False, margin_order=1)
    with pytest.raises(SkymarginError, match="margin_order 1") as caught:
        pipeline(args)
    ((_, _, message),) = mailbox.received
    assert message["Subject"] == "skymargin: small_1h failed"
    assert " ".join(str(caught.value).split()) in " ".join(text_of(message).split())
    assert "ArgumentError" in text_of(message)


def test_a_mail_with_a_client_of_the_users_own(mailbox: Mailbox, work: Workspace) -> None:
    from distributed import Client

    from skymargin import pipeline_with_client

    with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
        pipeline_with_client(mailed_to(work, "me@here.org"), client)
    assert [message["Subject"] for _, _, message in mailbox.received] == ["skymargin: small_1h is complete"]


def test_no_address_is_no_mail_and_the_sender_may_be_chosen(
    mailbox: Mailbox, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline(mailed_to(work, ""))
    assert not mailbox.received
    monkeypatch.setenv("SKYMARGIN_SMTP_SENDER", "margins@observatory.org")
    pipeline(mailed_to(work, "me@here.org", overwrite=True))
    assert mailbox.received[0][0] == "margins@observatory.org"


def test_a_mail_that_nobody_takes_is_a_warning(mailbox: Mailbox, work: Workspace) -> None:
    with pytest.warns(UserWarning, match=r"no mail was sent to me@nowhere by 127.0.0.1:\d+: .*no such user"):
        report = pipeline(mailed_to(work, "me@nowhere"))
    assert report.rows > 0
    assert (work.output / "small_1h" / "hats.properties").exists()
    assert not mailbox.received


@pytest.mark.parametrize(("port", "told"), [(None, "refused"), ("many", "invalid literal")])
def test_a_host_that_is_not_there_is_a_warning(
    port: str | None, told: str, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Bound and not listened to: nothing else takes the port, and connections are refused.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SKYMARGIN_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SKYMARGIN_SMTP_PORT", port or str(taken.getsockname()[1]))
        with pytest.warns(UserWarning, match=f"no mail was sent to me@here.org by 127.0.0.1:.*{told}"):
            pipeline(mailed_to(work, "me@here.org"))
    assert (work.output / "small_1h" / "hats.properties").exists()


def test_the_error_of_the_run_is_raised_even_where_warnings_are_errors(
    mailbox: Mailbox, work: Workspace
) -> None:
    # In these tests they are.
    args = mailed_to(work, "me@nowhere", fine_filtering=False, margin_order=1)
    with pytest.raises(SkymarginError, match="margin_order 1"):
        pipeline(args)
    assert not mailbox.received


def test_an_error_with_line_breaks_stays_in_the_text(mailbox: Mailbox) -> None:
    with pytest.raises(ValueError, match="first"), notify_on_completion("me@here.org", "name"):
        raise ValueError("first\nBcc: them@elsewhere.org\n.\nlast é")
    ((_, recipients, message),) = mailbox.received
    assert recipients == ["me@here.org"]
    assert message["Bcc"] is None
    assert text_of(message).splitlines()[-4:] == [
        "ValueError: first",
        "Bcc: them@elsewhere.org",
        ".",
        "last é",
    ]


@pytest.mark.parametrize(
    "address",
    [
        *("me@here.org\0", "\x1b@here.org", "me@here\x7f.org", "me@\udc80", "me@here.org\x85"),
        "me@here.org\u2028",
    ],
)
def test_an_address_has_no_control_characters(address: str, work: Workspace) -> None:
    with pytest.raises(ArgumentError, match="completion_email_address"):
        mailed_to(work, address)


def two_margins(work: Workspace, *addresses: str) -> list[MarginCacheArguments]:
    """Return the arguments of a narrow and a wide margin."""
    return [
        work.arguments(name, completion_email_address=address, margin_threshold=threshold_arcsec)
        for name, threshold_arcsec, address in zip(("narrow", "wide"), (60.0, 3600.0), addresses, strict=True)
    ]


def test_a_mail_for_each_of_several_margins(mailbox: Mailbox, work: Workspace) -> None:
    reports = pipeline(two_margins(work, "me@here.org", "you@there.org"))
    told = {
        (*recipients, message["Subject"]): text_of(message).strip()
        for _, recipients, message in mailbox.received
    }
    assert told == {
        ("me@here.org", "skymargin: narrow is complete"): reports[0].summary(),
        ("you@there.org", "skymargin: wide is complete"): reports[1].summary(),
    }


def test_a_margin_that_has_its_place_is_told_complete(
    mailbox: Mailbox, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the move of the next one fails."""
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target).name == "narrow":
            raise OSError("no space left")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(SkymarginError, match="no space left"):
        pipeline(two_margins(work, "me@here.org", "me@here.org"))
    subjects = {message["Subject"] for _, _, message in mailbox.received}
    assert subjects == {"skymargin: wide is complete", "skymargin: narrow failed"}
    assert (work.output / "wide" / "hats.properties").exists()


def test_a_mail_that_is_not_sent_makes_no_other_a_failure(mailbox: Mailbox, work: Workspace) -> None:
    # Warnings are errors in these tests.
    with pytest.raises(UserWarning, match="no mail was sent to me@nowhere"):
        pipeline(two_margins(work, "me@nowhere", "me@here.org"))
    assert [message["Subject"] for _, _, message in mailbox.received] == ["skymargin: wide is complete"]


def test_ctrl_c_sends_no_mail(mailbox: Mailbox) -> None:
    with pytest.raises(KeyboardInterrupt), notify_on_completion("me@here.org", "name"):
        raise KeyboardInterrupt
    assert not mailbox.received


USER, PASSWORD = "me", "correct-horse-battery"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate of 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("certificate") / "loopback.pem"
    file.write_bytes(made.public_bytes(pem) + private)
    return file


@contextmanager
def secure_mailbox(
    security: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool = True
) -> Iterator[Mailbox]:
    """A server with a login, and the environment for it."""

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
        is_right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        # The answer of a careless server.
        answer = None if is_right else f"535 no login with {data.password.decode()}"
        return AuthResult(success=is_right, handled=is_right, message=answer)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    options = {
        "starttls": {"tls_context": context, "require_starttls": True, "auth_required": True},
        "tls": {"ssl_context": context, "auth_require_tls": False},
        "none": {"auth_require_tls": False},
    }[security]
    with serving(authenticator=login, **options) as (box, port):
        settings = {"HOST": "127.0.0.1", "PORT": str(port), "SECURITY": security}
        for name, value in (settings | {"USER": USER, "PASSWORD": PASSWORD}).items():
            monkeypatch.setenv(f"SKYMARGIN_SMTP_{name}", value)
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield box


def send() -> None:
    with notify_on_completion("me@here.org", "name") as outcome:
        outcome.summary = "done"


def refusal() -> str:
    """Return the warning about a mail that was not sent."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        send()
    (warning,) = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
    assert warning.startswith("no mail was sent to me@here.org by ")
    assert PASSWORD not in warning
    return warning


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
def test_a_mail_with_a_login(security: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure_mailbox(security, certificate, monkeypatch) as box:
        send()
    ((_, recipients, message),) = box.received
    assert recipients == ["me@here.org"]
    assert box.logged_in == [True]
    assert text_of(message).strip() == "done"


def test_a_user_means_starttls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure_mailbox("starttls", certificate, monkeypatch) as box:
        monkeypatch.delenv("SKYMARGIN_SMTP_SECURITY")
        send()
    assert len(box.received) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for(
    security: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secure_mailbox(security, certificate, monkeypatch, trusted=False) as box:
        assert "certificate verify failed" in refusal()
    assert not box.received


def test_a_host_without_starttls(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYMARGIN_SMTP_SECURITY", "starttls")
    assert "STARTTLS extension not supported" in refusal()
    assert not mailbox.received


def test_a_wrong_password_is_not_printed(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure_mailbox("starttls", certificate, monkeypatch) as box:
        monkeypatch.setenv("SKYMARGIN_SMTP_PASSWORD", f"{PASSWORD}!")
        assert refusal().endswith("the login was refused (code 535)")
    assert not box.received


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"USER": USER}, "SKYMARGIN_SMTP_USER and SKYMARGIN_SMTP_PASSWORD must be set together"),
        ({"PASSWORD": PASSWORD}, "must be set together"),
        ({"USER": USER, "PASSWORD": f"{PASSWORD}é"}, "must be ASCII text"),
        (
            {"SECURITY": "ssl"},
            "SKYMARGIN_SMTP_SECURITY 'ssl' is not allowed: it must be one of none, starttls, tls",
        ),
        (
            {"USER": USER, "PASSWORD": PASSWORD, "SECURITY": "none", "HOST": "mail.example.org"},
            "a password is not sent without encryption: set SKYMARGIN_SMTP_SECURITY to starttls or tls",
        ),
    ],
)
def test_settings_that_are_refused(
    settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"SKYMARGIN_SMTP_{name}", value)
    assert message in refusal()
