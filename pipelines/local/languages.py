"""Which languages this machine can hear and speak without a provider, known without loading a model."""

import functools
import shutil
import subprocess

HIBARI_LANGUAGES = ("en",)

_WHISPER_CODES = """
    en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr
    bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn
    yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su
    yue
"""
WHISPER_LANGUAGES = tuple(_WHISPER_CODES.split())
"""What Whisper was trained on. How well it hears a language that few speak, nobody promises."""

_WHISPER_NAMES = {"nb": "no", "cmn": "zh", "iw": "he", "fil": "tl", "jv": "jw"}

_PREFERRED_VOICES = {"en": "en-us", "zh": "cmn", "no": "nb", "pt": "pt-br", "es": "es", "fr": "fr-fr"}


def whisper_language(tag: str) -> str | None:
    """Whisper's code for a BCP-47 tag (`en-US` gives `en`), None when it was not trained on it."""
    code = tag.replace("_", "-").lower().split("-", 1)[0]
    code = _WHISPER_NAMES.get(code, code)
    return code if code in WHISPER_LANGUAGES else None


def espeak_program() -> str | None:
    """Where `espeak-ng` is, None where it is not installed."""
    return shutil.which("espeak-ng")


@functools.lru_cache(maxsize=4)
def _espeak_voices(program: str) -> frozenset[str]:
    listed = subprocess.run([program, "--voices"], capture_output=True, text=True, timeout=5, check=False)
    rows = (line.split() for line in listed.stdout.splitlines()[1:])
    return frozenset(row[1].lower() for row in rows if len(row) > 1)


def espeak_voice(tag: str) -> str | None:
    """espeak-ng's voice for a BCP-47 tag (`tr-TR` gives `tr`), None when it has none or is not here.

    Runs `espeak-ng --voices` once (about 5 ms) and remembers.
    """
    if (program := espeak_program()) is None:
        return None
    voices = _espeak_voices(program)
    whole = tag.replace("_", "-").lower()
    code = whole.split("-", 1)[0]
    for voice in (whole, _PREFERRED_VOICES.get(code, code), code):
        if voice in voices:
            return voice
    return next(iter(sorted(voice for voice in voices if voice.startswith(f"{code}-"))), None)
