"""Tries the providers' keys that this worker was given, for `call2me doctor`: `python -m worker.keys`."""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

import aiohttp

from pipelines.environment import SettingsError
from pipelines.providers import ProviderSettings
from worker.settings import WorkerSettings

TIMEOUT = aiohttp.ClientTimeout(total=10)
_REFUSED = (401, 403)


@dataclass(frozen=True)
class Tried:
    """One provider: whether it takes what we were given."""

    provider: str
    setting: str
    works: bool
    what: str


async def tried(given: ProviderSettings) -> list[Tried]:
    """Ask each configured provider for something that costs nothing; empty when none is configured."""
    found = []
    async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
        if given.has_language_model:
            address = (given.openai_base_url or "https://api.openai.com/v1") + "/models"
            headers = {"Authorization": f"Bearer {given.openai_api_key or 'none'}"}
            works, what = await _asked(http, address, headers)
            setting = "OPENAI_BASE_URL" if given.openai_base_url else "OPENAI_API_KEY"
            found.append(Tried("openai", setting, works, what))
        if given.deepgram_api_key:
            base = given.deepgram_base_url or "https://api.deepgram.com"
            base = base.replace("wss://", "https://").replace("ws://", "http://").removesuffix("/v1/listen")
            headers = {"Authorization": f"Token {given.deepgram_api_key}"}
            works, what = await _asked(http, f"{base}/v1/projects", headers)
            found.append(Tried("deepgram", "DEEPGRAM_API_KEY", works, what))
    return found


async def _asked(http: aiohttp.ClientSession, address: str, headers: dict[str, str]) -> tuple[bool, str]:
    try:
        async with http.get(address, headers=headers, allow_redirects=False) as reply:
            if reply.status in _REFUSED:
                return False, f"the key is refused ({reply.status})"
            # A server that only speaks like it may not have this list; that it answered is enough.
            return reply.status < 500, f"answers ({reply.status})"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return False, f"does not answer ({type(error).__name__})"


def main() -> int:
    """Print what was tried as JSON; 1 and a sentence when the settings cannot be used."""
    try:
        settings = WorkerSettings.load()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a sentence for a person
        return 1
    found = asyncio.run(tried(settings.providers))
    print(json.dumps([asdict(each) for each in found]))  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
