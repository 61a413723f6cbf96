"""Letters to people: by SMTP where a server is named, else as files in the data folder."""

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

_LOG = logging.getLogger(__name__)

SEND_SECONDS = 20.0
CONNECTIONS = 4
"""Many mail servers refuse more of one client."""
MAX_FILES = 500


@dataclass(frozen=True)
class Letter:
    """One letter in plain text. `letter_id` is the same each time the same letter is tried."""

    to: str
    subject: str
    text: str
    letter_id: str = ""


class MailFailed(Exception):
    """The mail server did not take it"""


class Mail(Protocol):
    """Whatever sends letters."""

    async def send(self, letter: Letter) -> None:
        """Hand one over. Raises `MailFailed`; a letter may arrive twice when a process dies here."""

    async def forget(self, address: str) -> None:
        """Keep nothing that was sent to this address."""


class SmtpMail:
    """`smtp://user:password@host:587` (STARTTLS where offered) or `smtps://…:465`."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._is_tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "", parts.port or (465 if self._is_tls else 587)
        self._user = unquote(parts.username or "") or None
        self._password = unquote(parts.password or "") or None
        self._sender = sender
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def send(self, letter: Letter) -> None:
        """Hand it to the server, a few at a time."""
        try:
            async with self._free:
                await aiosmtplib.send(
                    message_of(letter, self._sender),
                    hostname=self._host,
                    port=self._port,
                    username=self._user,
                    password=self._password,
                    use_tls=self._is_tls,
                    timeout=SEND_SECONDS,
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            _LOG.warning("a letter was not sent", extra={"error": type(error).__name__})
            raise MailFailed(f"the mail server did not take it: {type(error).__name__}") from error

    async def forget(self, address: str) -> None:
        """Nothing is kept."""


class FileMail:
    """Writes each letter into a folder, `<time>-<to>.eml`, and keeps the newest of them."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder, self._sender = folder, sender

    async def send(self, letter: Letter) -> None:
        """Write it."""
        try:
            await asyncio.to_thread(self._write, letter)
        except OSError as error:
            raise MailFailed(f"the letter could not be written: {error.strerror}") from error

    async def forget(self, address: str) -> None:
        """Remove the files of letters to it."""

        def remove() -> None:
            for path in self._folder.glob(f"*-{_in_a_name(address)}.eml"):
                if path.name.partition("-")[2] == f"{_in_a_name(address)}.eml":
                    path.unlink(missing_ok=True)

        await asyncio.to_thread(remove)

    def _write(self, letter: Letter) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{time.time_ns()}-{_in_a_name(letter.to)}.eml"
        path.write_bytes(message_of(letter, self._sender).as_bytes())
        path.chmod(0o600)
        for old in sorted(self._folder.glob("*.eml"))[:-MAX_FILES]:
            old.unlink(missing_ok=True)


def _in_a_name(address: str) -> str:
    return re.sub(r"[^A-Za-z0-9@.-]", "_", address)[:80]


def message_of(letter: Letter, sender: str) -> EmailMessage:
    """The letter as it travels. What would break out of a header's line raises `MailFailed`."""
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
    except ValueError as error:
        raise MailFailed("an address or a subject has a line break in it") from error
    message["Date"] = formatdate(localtime=False)
    # The same letter tried again is recognised as such by most readers.
    domain = sender.rsplit("@", 1)[-1].strip("> ") or "localhost"
    message["Message-ID"] = (
        f"<{letter.letter_id}@{domain}>" if letter.letter_id else make_msgid(domain=domain)
    )
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message
