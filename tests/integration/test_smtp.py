"""Letters by way of a real mail server: one that takes them, refuses them, hangs, or shows a bad name."""

import asyncio
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from api.outside import mail
from api.outside.mail import Letter, MailFailed, SmtpMail
from tests.support.api import running_api
from tests.support.ports import free_port

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore:Requiring AUTH while not")]
SENDER = "Call2Me <calls@example.com>"
PASSWORD = "p@ss/word"
QUOTED = "p%40ss%2Fword"


@dataclass
class Post:
    """What the server was given, and how it answers."""

    answer: str = "250 OK"
    delay_seconds: float = 0.0
    taken: list[Envelope] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        await asyncio.sleep(self.delay_seconds)
        self.open -= 1
        if self.answer.startswith("2"):
            self.taken.append(envelope)
        return self.answer


def authenticate(_: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"ada", PASSWORD.encode())
    return AuthResult(success=good, handled=True)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def port(post: Post) -> Iterator[int]:
    server = Controller(
        post,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=False,
    )
    server.start()
    yield server.port
    server.stop()


def letter(number: int = 1) -> Letter:
    return Letter(f"reader{number}@example.com", "Grüße", "Ein Brief.\n", f"letter_{number}")


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """Of a server whose certificate nobody signed."""
    key, crt = tmp_path / "key.pem", tmp_path / "crt.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -days 1 -keyout {key} -out {crt}"
    subprocess.run(make.split(), check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(crt, key)
    return context


async def test_many_letters_go_over_few_connections(post: Post, port: int) -> None:
    post.delay_seconds = 0.05
    sent = SmtpMail(f"smtp://ada:{QUOTED}@127.0.0.1:{port}", SENDER)
    await asyncio.gather(*(sent.send(letter(number)) for number in range(20)))
    assert {to for envelope in post.taken for to in envelope.rcpt_tos} == {letter(n).to for n in range(20)}
    assert post.most_open == mail.CONNECTIONS
    content = post.taken[0].content
    assert isinstance(content, bytes)
    assert b"Message-ID: <letter_" in content
    assert post.taken[0].mail_from == "calls@example.com"


async def test_a_letter_that_was_not_taken_is_known(
    post: Post, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "SEND_SECONDS", 1.5)
    right, wrong = f"ada:{QUOTED}@127.0.0.1:{port}", f"ada:guess@127.0.0.1:{port}"
    for answer in ("451 Later", "550 Never"):
        post.answer = answer
        with pytest.raises(MailFailed):
            await SmtpMail(f"smtp://{right}", SENDER).send(letter())
    post.answer = "250 OK"
    for url in (f"smtp://{wrong}", f"smtps://{right}", f"smtp://ada:x@127.0.0.1:{free_port()}"):
        with pytest.raises(MailFailed):
            await SmtpMail(url, SENDER).send(letter())
    post.delay_seconds = 5.0
    with pytest.raises(MailFailed):
        await SmtpMail(f"smtp://{right}", SENDER).send(letter())


async def test_a_password_is_not_told_to_who_cannot_prove_itself(post: Post, context: ssl.SSLContext) -> None:
    server = Controller(
        post,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        authenticator=authenticate,
        auth_required=True,
    )
    server.start()
    try:
        with pytest.raises(MailFailed):
            await SmtpMail(f"smtp://ada:{QUOTED}@127.0.0.1:{server.port}", SENDER).send(letter())
    finally:
        server.stop()
    assert not post.taken


def test_whoever_signs_up_gets_a_letter_by_the_mail_server(post: Post, port: int, tmp_path: Path) -> None:
    with running_api(tmp_path, CALL2ME_SMTP_URL=f"smtp://ada:{QUOTED}@127.0.0.1:{port}") as api:
        person = api.person()
        for _ in range(100):
            if post.taken:
                break
            api.ask("GET", "/health")
            time.sleep(0.1)
        assert [envelope.rcpt_tos for envelope in post.taken] == [[person.email]]
        log = api.log.read_text()
        assert PASSWORD not in log
        assert QUOTED not in log
        assert not list((api.home / "mail").glob("*"))
