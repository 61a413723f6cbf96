"""How many parts a text message has: what does not fit into one goes as several, each paid for.

GSM 03.38: 160 characters of seven bits, 153 where there are several parts; characters beyond its alphabet
make all of it UCS-2, of 70 and 67.
"""

_ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[~]|€")
"""Two places each."""
MOST = 10
"""Carriers take no longer ones."""


def count(text: str) -> int:
    """How many parts; one at least."""
    if all(character in _ALPHABET or character in _EXTENSION for character in text):
        length, one, several = len(text) + sum(character in _EXTENSION for character in text), 160, 153
    else:
        length, one, several = len(text.encode("utf-16-be", "replace")) // 2, 70, 67
    return 1 if length <= one else -(-length // several)


def shortened(text: str, most_characters: int) -> str:
    """As much of it as may be sent, cut behind a sentence, or else a word."""
    text = text.strip()
    if len(text) <= most_characters and count(text) <= MOST:
        return text
    room = min(len(text), most_characters - 3)
    while count(text[:room] + "...") > MOST:
        room -= 20
    kept = text[:room]
    ends = [kept.rfind(mark) for mark in (". ", "! ", "? ", "。")]
    if max(ends) > room // 2:
        return kept[: max(ends) + 1]
    return (kept.rpartition(" ")[0] or kept) + "..."
