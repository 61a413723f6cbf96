"""What comes before the api: migrations, and on the first start an owner, a key, and an agent to talk to.

It runs in a process of its own, which takes the database libraries' 60 MB with it when it is done.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

from api.settings import Settings
from api.up.errors import CannotStart

TIMEOUT_SECONDS = 330.0
SENTENCE = "Error: "
"""What the command line begins a sentence for a person with."""


@dataclass(frozen=True)
class Owner:
    """Credentials that are shown once."""

    email: str
    password: str
    api_key: str


@dataclass(frozen=True)
class Prepared:
    """What a person is told once everything runs."""

    link: str
    """Token of a one-time sign-in link."""
    owner: Owner | None
    """None on every start but the first."""


async def in_own_process(settings: Settings) -> Prepared:
    """Prepare the database. Raises `CannotStart` with the reason."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.cli",
        "prepare",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            said, complained = await process.communicate()
    except TimeoutError:
        raise CannotStart(
            "The database could not be prepared in time; is another program writing to it?"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        if (reason := _reason(complained)).startswith(SENTENCE):
            raise CannotStart(reason.removeprefix(SENTENCE))
        log = settings.logs / "prepare.log"
        log.write_bytes(complained)
        raise CannotStart(f"The database could not be prepared ({reason}); the whole story is in {log}.")
    found = json.loads(said)
    owner = found["owner"]
    return Prepared(link=found["link"], owner=Owner(**owner) if owner else None)


def _reason(complained: bytes) -> str:
    """What broke, from the last lines of a traceback: not SQLAlchemy's remarks that follow it."""
    lines = complained.decode("utf-8", "replace").splitlines()
    told = [line for line in lines if line.strip() and not line.startswith(("(Background on", "[", " "))]
    return told[-1] if told else "it said nothing"


def to_json(prepared: Prepared) -> str:
    """The form in which it crosses from one process to the other."""
    return json.dumps(asdict(prepared))
