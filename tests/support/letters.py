"""Letters as an api without a mail server writes them: files in its data folder."""

import re
import time
from email import message_from_bytes, policy
from email.message import EmailMessage

from tests.support.api import Api


def letters_to(api: Api, address: str) -> list[EmailMessage]:
    """Every letter to somebody, oldest first."""
    read = []
    for path in sorted((api.home / "mail").glob("*.eml")):
        letter = message_from_bytes(path.read_bytes(), policy=policy.default)
        if letter["To"] == address:
            read.append(letter)
    return read


def wait_for(api: Api, address: str, subject: str, *, number: int = 1) -> str:
    """The text of the newest letter with this subject, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        found = [letter for letter in letters_to(api, address) if letter["Subject"] == subject]
        if len(found) >= number:
            return str(found[-1].get_content())
        assert time.monotonic() < deadline, f"no letter about {subject!r} came"
        time.sleep(0.05)


def token_in(text: str, word: str) -> str:
    """The token in the link of a letter, like `#reset=…`."""
    found = re.search(rf"#{word}=(\S+)", text)
    assert found is not None, text
    return found[1]
