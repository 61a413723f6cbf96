"""What an agent asks for against what workers say they have."""

from collections.abc import Iterable
from typing import Literal

from api.internal.table import WorkerRow
from api.voice.schemas import TokenWarning
from api.voice.service import LanguageUnavailable
from pipelines.agent_config import AgentConfig
from pipelines.contract.websocket import Available

_PART = {"stt": "speech recogniser", "llm": "dialog engine", "tts": "voice"}
_CODE = {"llm": "llm_unavailable", "tts": "voice_unavailable"}
"""The same codes as those of a call's own warnings."""
_ANY = frozenset(("", "call2me", "default"))
"""Ask for whatever is here."""
Kind = Literal["llm", "tts"]


def offered(workers: Iterable[WorkerRow]) -> list[Available]:
    """All that the ready workers offer, or would with something more installed."""
    return [
        Available.model_validate(one) for worker in workers if worker.is_ready for one in worker.available
    ]


def require_language(language: str, offers: list[Available]) -> None:
    """Raise, with what to install, where no part of a kind can do this language here."""
    code = language.replace("_", "-").split("-")[0].lower()
    for kind, part in _PART.items():
        of_kind = [one for one in offers if one.kind == kind and (not one.languages or code in one.languages)]
        # A worker that says nothing of a kind leaves the judgement to the call itself.
        if any(one.is_available for one in of_kind) or not any(one.kind == kind for one in offers):
            continue
        hints = " ".join(dict.fromkeys(one.hint for one in of_kind if one.hint))
        raise LanguageUnavailable(f"No {part} for {language} is available on this machine. {hints}".strip())


def warnings_for(agent: AgentConfig, offers: list[Available]) -> list[TokenWarning]:
    """Providers that the agent asks for and that are not here: the default answers in their place."""
    asked: list[tuple[Kind, str]] = [
        ("llm", agent.engine.provider),
        ("tts", agent.voice_id.partition("-")[0]),
    ]
    return [
        TokenWarning(
            code=_CODE[kind],
            message=_sentence(_PART[kind], provider, [one for one in offers if one.kind == kind]),
        )
        for kind, provider in asked
        if provider not in _ANY and offers and not _is_there(provider, kind, offers)
    ]


def _is_there(provider: str, kind: Kind, offers: list[Available]) -> bool:
    return any(one.is_available for one in offers if (one.kind, one.provider) == (kind, provider))


def _sentence(part: str, provider: str, of_kind: list[Available]) -> str:
    hint = next((one.hint for one in of_kind if one.provider == provider and one.hint), "")
    return f"The {part} {provider} is not available here; the default is used in its place. {hint}".strip()
