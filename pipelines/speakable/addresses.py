"""Say e-mail addresses and web addresses sign by sign."""

import re

from pipelines.speakable.words import WORDS, Words

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'“”]+", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9-]+\.)+"
    r"(?:com|org|net|io|dev|app|info|biz|edu|gov|eu|uk|de|fr|it|nl|tr|us|ca|au|es|pt|br|at|ch|ai)"
    r"(?![\w-])(?:/[\w/.-]*\w)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"^(?:https?://)?(?:www\.)?", re.IGNORECASE)
_TRAILING = ".,;:!?)]}'\"…»"


def read_out(text: str, language: str) -> str:
    """Addresses in words; a web address without its scheme and without what follows a `?` or `#`."""
    words = WORDS.get(language, WORDS["en"])
    text = _EMAIL.sub(lambda found: _keeping_end(found.group(), words), text)
    text = _URL.sub(lambda found: _keeping_end(found.group(), words), text)
    return _DOMAIN.sub(lambda found: _in_words(found.group(), words), text)


def _keeping_end(address: str, words: Words) -> str:
    bare = address.rstrip(_TRAILING)
    return _in_words(bare, words) + address[len(bare) :]


def _in_words(address: str, words: Words) -> str:
    address = re.split(r"[?#]", _SCHEME.sub("", address), maxsplit=1)[0].rstrip("/")
    signs = {
        "@": words.at,
        ".": words.dot,
        "/": words.slash,
        "-": words.dash,
        "_": words.underscore,
        "+": words.plus,
    }
    spoken = "".join(f" {signs[letter]} " if letter in signs else letter for letter in address)
    return re.sub(r" {2,}", " ", spoken).strip()
