"""Numbers in words made digits: "twenty five" is 25, "five five five" stays three digits."""

import re

_UNITS = {
    "zero": 0, "oh": 0, "nought": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7,
    "eight": 8, "nine": 9, "sifir": 0, "bir": 1, "iki": 2, "uc": 3, "dort": 4, "bes": 5, "alti": 6,
    "yedi": 7,
    "sekiz": 8, "dokuz": 9,
}  # fmt: skip
_TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80,
    "ninety": 90, "on": 10, "yirmi": 20, "otuz": 30, "kirk": 40, "elli": 50, "altmis": 60, "yetmis": 70,
    "seksen": 80,
    "doksan": 90,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "yuz": 100, "bin": 1000}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15,
    "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
# "On" is ten in Turkish and a word like any other in English, "bin" likewise.
_TURKISH_ONLY = frozenset(
    {"on", "bin", "sifir", "bir", "iki", "uc", "dort", "bes", "alti", "yedi", "sekiz", "dokuz", "yirmi",
    "otuz",
     "kirk", "elli", "altmis", "yetmis", "seksen", "doksan", "yuz"}
)  # fmt: skip
_SUFFIX = re.compile(r"^(?P<number>[a-z]+?)'?(?:de|da|te|ta|e|a|ye|ya|i|u|yi|yu|den|dan|ten|tan|er|ar)$")
_TOKEN = re.compile(r"([a-z]+|\d+(?:[.:,/-]\d+)*(?:st|nd|rd|th)?|\S)(\s*)", re.ASCII)


def in_digits(folded: str, language: str) -> str:
    """A folded text with its number words written as digits; ordinals become 3rd, 21st."""
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", folded)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text)
    found = [(match.group(1), match.group(2)) for match in _TOKEN.finditer(text)]
    tokens = [token for token, _ in found]
    written = ""
    position = 0
    while position < len(tokens):
        number, taken = _number(tokens, position, language)
        taken = taken or 1
        written += (number or tokens[position]) + found[position + taken - 1][1]
        position += taken
    return written.strip()


def _number(tokens: list[str], start: int, language: str) -> tuple[str, int]:  # noqa: PLR0912 - a grammar
    """The number that begins at a token, and how many tokens it takes; 0 when there is none."""
    total = current = 0
    position = start
    last = ""  # what kind of word came before: only some may follow each other
    while position < len(tokens):
        word = _bare(tokens[position], language)
        if word in _UNITS and last in ("", "tens", "scale") and not (last == "tens" and _UNITS[word] == 0):
            current += _UNITS[word]
            last = "unit"
        elif word in _TEENS and last in ("", "scale"):
            current += _TEENS[word]
            last = "teen"
        elif word in _TENS and last in ("", "scale"):
            current += _TENS[word]
            last = "tens"
        elif word in _SCALES and (last in ("unit", "teen", "tens") or (language == "tr" and last == "")):
            if _SCALES[word] == 100:
                current = max(1, current) * 100
            else:
                total, current = total + max(1, current) * 1000, 0
            last = "scale"
        elif word in _ORDINALS and (last == "" or (last == "tens" and _ORDINALS[word] < 10)):
            if (
                word == "second"
                and last == ""
                and position + 1 < len(tokens)
                and tokens[position + 1] == "hand"
            ):
                return "", 0
            return ordinal(total + current + _ORDINALS[word]), position - start + 1
        elif word == "and" and last == "scale" and position + 1 < len(tokens):
            following = _bare(tokens[position + 1], language)
            if following not in _UNITS and following not in _TEENS and following not in _TENS:
                break
        else:
            break
        position += 1
        # A unit ends a number unless hundred or thousand follows: "five five" are two numbers.
        if last in ("unit", "teen") and (
            position >= len(tokens) or _bare(tokens[position], language) not in _SCALES
        ):
            break
    if last == "":
        return "", 0
    return str(total + current), position - start


def _bare(token: str, language: str) -> str:
    if language != "tr":
        return "" if token in _TURKISH_ONLY else token
    known = _UNITS.keys() | _TENS.keys() | _SCALES.keys()
    if token in known:
        return token
    match = _SUFFIX.match(token)
    if match and match.group("number") in known:
        return match.group("number")
    return {"dorde": "dort", "dordu": "dort", "ucu": "uc", "besi": "bes"}.get(token, token)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
