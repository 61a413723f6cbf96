"""Names, phone numbers and e-mail addresses as they are spoken and as a recogniser writes them."""

import re
from dataclasses import dataclass

from kb.words import EMPTY, fold

_WRITTEN_EMAIL = re.compile(r"[\w.+-]+\s?@\s?[\w-]+(?:\.[\w-]+)+", re.ASCII)
_SPOKEN_EMAIL = re.compile(
    r"(?P<user>[\w+-]+(?:\s*(?:\bdot\b|\bpoint\b|\bnokta\b|\bunderscore\b|\bdash\b|\bminus\b|"
    r"\.)\s*[\w+-]+){0,5})\s+"
    r"(?:at|@|et)\s+(?P<host>[\w-]+(?:\s*(?:\bdot\b|\bpoint\b|\bnokta\b|\.)\s*[\w-]+){1,3})",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"\b(double|triple) (\d)\b")
_PHONE = re.compile(r"(?:\+ ?|\bplus )?\(?\d(?:[ ().,/-]{0,3}\d){5,14}")

_CODE = re.compile(
    r"(?<!')\b(?:[a-z]{0,3}\d[\da-z]*|[a-z](?=[ -]+(?:[a-z]\b|\d)))(?:[ -]+(?:\d+|[a-z]{1,3}\d+|[a-z])\b)*"
)

_INTRODUCED = re.compile(
    r"\b(?i:my (?:full )?name is|my name's|name's|the name is|name is|i am called|this is|i'm|i am|"
    r"under the name(?: of)?|"
    r"in the name of|it's for|under|the name of|name|ad[ıi]m|benim ad[ıi]m|ben|ismim)\s+"
    r"(?P<name>[A-ZÇĞİÖŞÜ][\w'’-]*(?:\s+(?:(?:de|van|von|der|la|di|al|el|bin|"
    r"del)\s+)*[A-ZÇĞİÖŞÜ][\w'’-]*){0,3})"
)
_INTRODUCED_LOWER = re.compile(
    r"\b(?:my (?:full )?name is|my name's|the name is|under the name(?: of)?|in the name of|adim|ismim) "
    r"(?P<name>[a-z'-]+(?: [a-z'-]+){0,2}?)(?= (?:and|for|on|at|my|with|i|please|ve)\b|[,.!?]|$)"
)
_NOT_A_NAME = frozenset(
    """
    calling looking interested sorry fine good okay ok just not here the a an yes no please hello hi hey
    so well um uh it its it's that thats is my name for under sure actually wondering trying going
    coming having booking monday tuesday wednesday thursday friday saturday sunday january february
    march april may june july august september october november december thanks thank you tomorrow today
    i i'm what when where how can could do would who why which evet hayir ben adim ismim tamam lutfen
    """.split()
)


@dataclass(frozen=True, slots=True)
class Contact:
    """A number or an address: as a function wants it, as it is said back, and the words it was."""

    value: str
    spoken: str
    matched: str


def find_email(text: str) -> Contact | None:
    """An address, written or spoken ("john dot smith at example dot com")."""
    if match := _WRITTEN_EMAIL.search(text):
        value = match.group().replace(" ", "").lower().rstrip(".")
        return Contact(value, _say_email(value), match.group())
    if match := _SPOKEN_EMAIL.search(text):
        user = re.sub(
            r"^(?:(?:my|email|e-mail|mail|address|is|it's|its|the|to)\s+)+",
            "",
            match["user"],
            flags=re.IGNORECASE,
        )
        value = f"{_joined(user)}@{_joined(match['host'])}"
        if re.fullmatch(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", value):
            return Contact(value, _say_email(value), match.group())
    return None


def _joined(spoken: str) -> str:
    text = fold(spoken)
    for word, sign in (
        ("underscore", "_"),
        ("dash", "-"),
        ("minus", "-"),
        ("dot", "."),
        ("point", "."),
        ("nokta", "."),
    ):
        text = re.sub(rf"\s*\b{word}\b\s*", sign, text)
    return re.sub(r"\s+", "", text).strip(".")


def _say_email(value: str) -> str:
    return (
        value.replace("@", " at ").replace(".", " dot ").replace("_", " underscore ").replace("-", " dash ")
    )


def find_phone(digits: str, *, is_asked: bool = False) -> Contact | None:
    """A phone number in a text whose number words are digits: seven digits, or five when it was asked "
    "for."""
    unrolled = _unrolled(digits)
    match = _PHONE.search(unrolled)
    if match is None:
        if is_asked and (short := re.search(r"\b\d(?:[ -]?\d){4}\b", unrolled)):
            value = re.sub(r"\D", "", short.group())
            return Contact(value, _say_digits(value), short.group())
        return None
    value = re.sub(r"\D", "", match.group())
    if len(value) < (6 if is_asked else 7):
        return None
    has_plus = match.group().lstrip().startswith(("+", "plus"))
    matched = match.group() if unrolled == digits else digits
    return Contact(
        ("+" if has_plus else "") + value, ("plus " if has_plus else "") + _say_digits(value), matched
    )


_LINKS = frozenset({"number", "no", "is"})


def find_code(digits: str, *, is_asked: bool, named: str) -> Contact | None:
    """A number that names something, digit by digit or letter by letter, in a text with digits for words.

    Unasked, it must stand right after a word of its name ("card number 4 4 7"); asked, such a one is first.
    """
    text = _unrolled(digits)
    words_of_it = named.split()
    asked_for: Contact | None = None
    for match in _CODE.finditer(text):
        value = re.sub(r"[^a-z0-9]", "", match.group()).upper()
        if not any(character.isdigit() for character in value):
            continue
        before = text[: match.start()].split()[-3:]
        # One or two digits may be a time or a day unless the very word before says what they are.
        near = before if len(value) >= 3 else [word for word in before if word not in _LINKS][-1:]
        is_named = any(word in words_of_it for word in near)
        if is_named or (is_asked and asked_for is None):
            spoken = value if len(value) < 3 else _say_digits(value)
            found = Contact(value, spoken, match.group() if text == digits else digits)
            if is_named:
                return found
            asked_for = found
    return asked_for


def _unrolled(digits: str) -> str:
    return _REPEATED.sub(lambda match: " ".join([match[2]] * (2 if match[1] == "double" else 3)), digits)


def _say_digits(value: str) -> str:
    """In groups of three, digit by digit: a listener compares what they know in groups."""
    size = 3
    groups = [value[start : start + size] for start in range(0, len(value), size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return ", ".join(" ".join(group) for group in groups)


def find_name(text: str, *, is_asked: bool = False) -> str:
    """A person's name that was introduced as one, or the answer to the question for it."""
    for match in _INTRODUCED.finditer(text):
        if name := _clean(match["name"]):
            return name
    if lower := _INTRODUCED_LOWER.search(fold(text)):
        start = fold(text).find(lower["name"])
        same_length = len(fold(text)) == len(text)
        said = text[start : start + len(lower["name"])] if same_length else lower["name"]
        if name := _clean(said):
            return name
    if not is_asked:
        return ""
    answer = re.sub(r"\([^)]*\)", " ", text).strip(" .!?,")
    pieces = re.split(r"[.,;!?]\s|\b(?:and|my phone|my number|ve)\b", answer)
    for piece in [answer, *pieces] if len(answer.split()) <= 3 else pieces:
        if len(piece.split()) <= 6 and (name := _clean(piece)):
            return name
    return ""


def _clean(name: str) -> str:
    heard = re.findall(r"[^\W\d_][\w'’.-]*", name)
    if len(heard) >= 3 and all(len(word.rstrip(".-")) == 1 for word in heard):  # S M I T H
        return "".join(heard).replace(".", "").replace("-", "").capitalize()
    kept = [word for word in heard if fold(word).rstrip(".") not in _NOT_A_NAME]
    if any(word.islower() and fold(word) in EMPTY for word in kept):
        return ""  # "I want to book" is no name
    if not 1 <= len(kept) <= 4:
        return ""
    return " ".join(
        word if any(letter.isupper() for letter in word[1:]) else word[:1].upper() + word[1:] for word in kept
    ).rstrip(".")
