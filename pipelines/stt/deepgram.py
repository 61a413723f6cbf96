"""Deepgram: nova streams words, flux also says when the turn is over."""

from typing import Any

from livekit.agents import stt
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import deepgram

from pipelines.options import FluxOptions, NovaOptions
from pipelines.stt import Listening

MAX_KEY_TERMS = 100
"""Deepgram takes 500 tokens of them; names have three or four."""


class Flux(deepgram.STTv2):
    """Deepgram's flux. It knows from the words themselves that somebody is done."""

    ends_turns = True


def build(wanted: Listening) -> stt.STT[Any]:
    """Of `wanted.model`, nova-3 where it names none."""
    base = wanted.settings.deepgram_base_url.rstrip("/") or "https://api.deepgram.com"
    base = base.removesuffix("/v1/listen").removesuffix("/v2/listen")
    key_terms = list(wanted.key_terms[:MAX_KEY_TERMS]) or NOT_GIVEN
    options: FluxOptions | NovaOptions = wanted.options
    if isinstance(options, FluxOptions):
        is_english = wanted.language.lower().startswith("en")
        model = "flux-general-en" if is_english else "flux-general-multi"
        return Flux(
            model=wanted.model if wanted.model != "flux" else model,
            eot_threshold=options.eot_threshold,
            eager_eot_threshold=options.eager_eot_threshold or NOT_GIVEN,
            eot_timeout_ms=options.eot_timeout_ms,
            keyterm=key_terms,
            language_hint=NOT_GIVEN if is_english else [wanted.language.split("-")[0]],
            api_key=wanted.settings.deepgram_api_key,
            http_session=wanted.http,
            base_url=f"{base}/v2/listen",
        )
    return deepgram.STT(
        model=wanted.model or "nova-3",
        language=wanted.language,
        smart_format=options.smart_format,
        numerals=options.numerals,
        profanity_filter=options.profanity_filter,
        filler_words=options.filler_words,
        endpointing_ms=options.endpointing_ms,
        # Older models know keywords with weights only, and refuse key terms.
        keyterm=key_terms if (wanted.model or "nova-3").startswith("nova-3") else NOT_GIVEN,
        api_key=wanted.settings.deepgram_api_key,
        http_session=wanted.http,
        base_url=f"{base}/v1/listen",
    )
