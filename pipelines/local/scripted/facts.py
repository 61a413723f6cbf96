"""What may be spoken: single sentences that state something, with everything they are compared by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kb.chunking import sentences, statements
from kb.words import EMPTY, fold, terms, words
from pipelines.local.scripted.calendar import weekdays_in

INJECTED = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rules|above|previous|"
    r"everything)\b"
    r"|\bsystem prompt\b|\byou (?:are now|must now)\b|\b(?:assistant|system|developer|user)\s*:"
    r"|\b(?:dear|attention|note to|hey) (?:ai|assistant|model|chatbot|language model)s?\b"
    r"|\b(?:talimatlar\w*|komutlar\w*)\b.{0,30}\b(?:yok say|unut|gormezden gel)",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[€$£₺]\s?\d|\d\s?(?:[€$£₺]|euros?\b|eur\b|dollars?\b|usd\b|pounds?\b|cents?\b|lira\w*|tl\b|pln\b|"
    r"zloty\b|francs?\b)"
    r"|\b(?:free of charge|for free|is free|are free|free for|no charge|no extra charge|at no cost|"
    r"included in|"
    r"ucretsiz|bedava|dahil|prices? (?:start|depend|from)|costs? (?:nothing|depend))\b"
)
_MONEY_WORD = re.compile(r"\b(?:euros?|dollars?|pounds?|lira|zlotys?|francs?)\b")
_TIME = re.compile(
    r"\b\d{1,2}[:.]\d{2}\b|\b\d{1,2}\s?(?:a\.?m|p\.?m|o'clock)\b|\b(?:noon|midday|midnight|sunset|sunrise|"
    r"dusk|dawn|24 hours|"
    r"round the clock|"
    r"closed|kapali|half past|quarter (?:past|to))\b|\b(?:from|until|till|at|by|before|after|saat|to)\s+"
    r"(?:\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b(?!\s*(?:euro|%|percent|"
    r"people))"
    r"|\b\d{1,2}\s*(?:-|–|to)\s*\d{1,2}\b"
)
_PLACE = re.compile(
    r"\b(?:we are|we're|is|are|located|situated|find us|adresimiz|visit us)(?: right)? (?:at|on|in|"
    r"opposite|next to|near|behind|"
    r"between|across|bagdat)\b|\b\d+[a-z]? (?:[a-z']+ ){1,3}(?:street|st|road|rd|lane|avenue|ave|square|"
    r"way|quay|"
    r"boulevard|court|place|drive|row)\b|\b(?:caddesi|sokak|sokagi|mahallesi|adresimiz)\b|\baddress\b"
)
_CLOCK = re.compile(
    r"\d|\b(?:noon|midday|midnight|sunset|sunrise|dusk|dawn|o'clock|"
    r"half past|at (?:six|seven|eight|nine|ten|five|four))\b"
)
_SPAN = re.compile(r"\b(?:until|till|up to|kadar)\b|\d\s*(?:[ap]\.?m\.?)?\s*(?:-|–|to)\s*\d")
_PERSON = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof)\.? |(?<=\w )|(?<=, ))(?!Mon|Tue|Wed|Thu|Fri|Sat|"
    r"Sun)[A-ZÇĞİÖŞÜ][a-zçğıöşü]+\b"
)
_DURATION = re.compile(
    r"\b(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|"
    r"half an|bir|iki|uc|yarim|few|several|same)[ -](?:minutes?|mins?|hours?|days?|weeks?|"
    r"months?|"
    r"years?|nights?|working days?|business days?|dakika\w*|saat\w*|gun\w*|hafta\w*|ay)\b"
)
# Amounts of something else than things: an answer to "how many" has a number beside these.
_MEASURED = re.compile(
    rf"{_DURATION.pattern}|[€$£₺]\s?\d[\d.,]*|\b\d[\d.,]*\s?(?:[€$£₺%]|(?:euros?|eur|dollars?|usd|pounds?|"
    rf"cents?|lira|tl|"
    r"percent|a\.?m|p\.?m|o'clock)\b)|\b\d{1,2}[:.]\d{2}\b"
)
_PHONE = re.compile(r"(?:\+|\b0|\(|\b)\d[\d ().-]{5,}\d\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)"
    r"teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|"
    r"iki|uc|"
    r"dort|bes|alti|yedi|sekiz|dokuz|on)\b"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence that may be spoken as it stands. `about` is where it stood: title, heading, question."""

    text: str
    about: str = ""
    terms: frozenset[str] = field(default=frozenset(), compare=False)
    about_terms: frozenset[str] = field(default=frozenset(), compare=False)
    spelled: tuple[str, ...] = field(default=(), compare=False)
    kinds: frozenset[str] = field(default=frozenset(), compare=False)
    days: frozenset[int] = field(default=frozenset(), compare=False)


@lru_cache(maxsize=4096)
def fact(text: str, about: str = "") -> Fact:
    """A sentence with everything that decides whether it answers a question."""
    folded = fold(text)
    kinds = {
        name
        for name, pattern in (
            ("time", _TIME),
            ("duration", _DURATION),
            ("phone", _PHONE),
            ("number", _NUMBER),
        )
        if pattern.search(folded)
    }
    if _MONEY.search(folded) or (_MONEY_WORD.search(folded) and "number" in kinds):
        kinds.add("price")
    if _EMAIL.search(text):
        kinds.add("email")
    days = weekdays_in(folded)
    if _PLACE.search(folded):
        kinds.add("place")
    if _NUMBER.search(_MEASURED.sub(" ", folded)):
        kinds.add("count")
    if "time" in kinds and _CLOCK.search(folded):
        kinds.add("clock")
    if "clock" in kinds and _SPAN.search(folded):
        kinds.add("span")
    if days:
        kinds.add("time")
    if _PERSON.search(text):
        kinds.add("who")
    spelled = dict.fromkeys(word for word in words(f"{text} {about}") if word not in EMPTY)
    return Fact(
        text=text,
        about=about,
        terms=frozenset(terms(text)),
        about_terms=frozenset(terms(about)),
        spelled=tuple(word for word in spelled if not word[0].isdigit()),
        kinds=frozenset(kinds),
        days=days,
    )


def passages_as_facts(passages: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Every sentence of retrieved passages that may be spoken.

    Text that talks to a machine ("ignore your instructions") is no fact about anything: it is left out.
    """
    facts: list[Fact] = []
    for passage in passages:
        title = str(passage.get("title", ""))
        for statement in statements(str(passage.get("text", ""))):
            if not INJECTED.search(statement.text):
                about = " ".join(dict.fromkeys(filter(None, (title, statement.about))))
                facts.append(fact(statement.text, about))
    return tuple(dict.fromkeys(facts))


def first_sentences(text: str, characters: int) -> str:
    """As many whole sentences as fit, and at least one."""
    kept = ""
    for sentence in sentences(" ".join(text.split())):
        if kept and len(kept) + len(sentence) > characters:
            break
        kept = f"{kept} {sentence}".strip()
    return kept
