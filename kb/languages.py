"""Which language a text is in, and which embedder suits it."""

import functools
from collections.abc import Sequence
from typing import Any

_LANGUAGES = """
ar bg bn ca cs da de el en es et fa fi fr gu he hi hr hu id it ja ko lt lv mk mr ms nl no pl pt ro ru sk
sl sq sr sv sw ta te th tl tr uk ur vi zh
""".split()
_ALPHABETS = {
    "cs": "áčďéěíňóřšťúůýž", "da": "æøåé", "de": "äöüß", "es": "áéíñóúü¿¡ºª", "et": "äõöüšž",
    "fi": "äöå", "fr": "àâæçéèêëîïôœùûüÿ", "hr": "čćđšž", "hu": "áéíóöőúüű", "it": "àèéìíîòóùú",
    "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "nl": "éëïóöüè", "no": "æøåéò", "pl": "ąćęłńóśźż",
    "pt": "àáâãçéêíóôõúüºª", "ro": "ăâîșțşţ", "sk": "áäčďéíĺľňóôŕšťúýž", "sl": "čšž",
    "sv": "åäöé", "tr": "çğıöşüâîû",
}  # fmt: skip
"""The letters beyond a to z in languages whose old encodings differ only in those."""
_ENOUGH = 12
"""Characters; of less a guess is a coin thrown."""
_SAMPLE = 20_000


def guess(text: str) -> str:
    """ISO 639-1 of the language that most of this is in; "" when it is too short. Loads 100 MB once."""
    sample = text[:_SAMPLE]
    if sum(character.isalpha() for character in sample) < _ENOUGH:
        return ""
    language, _ = _identifier().classify(sample)
    return str(language)


def likeliest(readings: Sequence[str]) -> str:
    """The one of several decodings of the same bytes whose letters are those of the language it is in."""

    def strange(text: str) -> int:
        sample = text[:_SAMPLE].casefold()
        alphabet = _ALPHABETS.get(guess(sample))
        if alphabet is None:
            return 0
        return sum(letter > "\x7f" and letter.isalpha() and letter not in alphabet for letter in sample)

    return min(readings, key=strange)


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - 100 MB, readers only

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(_LANGUAGES)
    return identifier
