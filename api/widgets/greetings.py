"""A widget's greeting, spoken once and kept."""

import asyncio

from aiohttp import web

from api.db.engine import commit
from api.http.errors import BadGateway, Conflict, Unavailable
from api.http.links import base_url
from api.http.rate_limits import Limit
from api.http.transactions import let_go
from api.keys import SESSION, SPEECH
from api.outside.speech import NoSpeech, NotHere
from api.widgets import service
from api.widgets.schemas import GreetingAudio
from api.widgets.table import WidgetRow
from pipelines import voices

LIMIT = Limit("widget greeting", 10, 3600)
"""Of one user."""


class NothingToSay(Conflict):
    """This widget has no greeting_message that could be spoken"""


class NoVoice(Unavailable):
    """No voice for this language is here"""


class VoiceFailed(BadGateway):
    """The voice's provider did not answer as it should"""


async def speak(request: web.Request, row: WidgetRow) -> GreetingAudio:
    """Speak a widget's greeting in its voice, or in one of this machine's where that is not here."""
    if not row.greeting_message.strip():
        raise NothingToSay
    await let_go(request)  # nobody waits for a voice with a transaction open
    mp3, voice_id = await _spoken(request, row)
    session = request[SESSION]
    kept = await service.keep_greeting(session, row, mp3)
    await commit(session)
    return GreetingAudio(
        url=address(base_url(request), row.id, kept.version), bytes=len(mp3), voice_id=voice_id
    )


def address(base: str, widget_id: str, version: str) -> str:
    """Where the greeting is; another one has another address, so browsers may keep each for ever."""
    return f"{base}/v1/widgets/{widget_id}/greeting.mp3?v={version}"


async def _spoken(request: web.Request, row: WidgetRow) -> tuple[bytes, str]:
    code = row.language.replace("_", "-").split("-")[0].lower()
    named = row.voice_greeting_voice
    wanted = await asyncio.to_thread(voices.find, named if "-" in named else f"openai-{named}")
    known = await asyncio.to_thread(voices.catalogue)
    own = [voice for voice in known if voice.provider in {"hibari", "espeak"} and voice.speaks(code)]
    why = f"No voice for {row.language} is here."
    for voice in ([wanted] if wanted else []) + own:
        try:
            mp3 = await request.app[SPEECH].say(voice, row.greeting_message, row.language)
        except NotHere as error:
            why = str(error)
        except NoSpeech as error:
            raise VoiceFailed(str(error)) from None
        else:
            return mp3, voice.voice_id
    raise NoVoice(why)
