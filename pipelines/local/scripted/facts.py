"""What may be spoken: statements from knowledge, and those of a prompt that are facts, not orders."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kb.chunking import Statement, sentences, statements
from kb.words import EMPTY, fold, terms, words
from pipelines.local.scripted.calendar import weekdays_in

_ORDER_VERBS = """
act add address adhere adopt aim answer apologise apologize ask assist assume avoid be behave check
collect confirm
consider continue decline direct do don't double-check end ensure escalate explain finish first
focus follow gather
get give go greet guide handle help identify ignore inform introduce invite keep let listen maintain
make mention
never note obtain offer only politely pretend prioritise prioritize provide pronounce read refer
refrain refuse
remain remember repeat request respond return say sound speak spell start stay stick stop suggest
summarise summarize
take talk tell thank transfer treat try understand use verify wait warn write always please
""".split()
_ORDER = re.compile(
    r"^(?:(?:and|then|also|so|but|please|finally|in general|otherwise)[, ]+)*(?:"
    + "|".join(_ORDER_VERBS)
    # "Check-in is from three" states something, although it begins like an order.
    + r")\b(?![-'])(?!\s+(?:is|are|was|costs?|starts?|begins?|includes?|takes?|can|will|must|may|runs?|"
    r"ends?)\b)",
    re.IGNORECASE,
)
# "You can pay by card" is said to the caller, "you can transfer the call" to the agent.
_TO_THE_CALLER = (
    "start|pay|park|cancel|bring|find|reach|book|rent|borrow|return|leave|use|come|visit|get|buy|order|wait|sign|"
    "join|reserve|choose|exchange|renew|drop|pick|see|expect|show|arrive|register|apply|enter|park|stay|eat|drink"
)
_TO_THE_AGENT = re.compile(
    r"\b(?:you are|you're|your (?:name|job|role|task|goal|tone|style|answers?|replies|response|personality|"
    r"purpose|voice)|you (?:speak|work|answer|help|never|always|take|handle|represent)"
    rf"|you (?:must|should|will|can|may|have to|need to)(?! (?:also |only |even )?(?:{_TO_THE_CALLER})\b)"
    r"|you (?:cannot|can't|do not|don't)|as an? (?:ai|assistant|agent)"
    r"|the (?:caller|user|customer|client|patient|guest)s? (?:should|must|asks?|wants?|says?)"
    r"|this (?:prompt|call|conversation)|system prompt|instructions)\b",
    re.IGNORECASE,
)
# "You look after the phone of ..." says what the agent does; "you need a passport" is for the caller.
_OF_THE_AGENT = re.compile(
    rf"^you (?!(?:(?:also |only |even )?(?:{_TO_THE_CALLER}|"
    r"need|have to|get|receive|save|earn)|"
    r"can|could|may|might|must|should|will)\b)[a-z]+\b",
    re.IGNORECASE,
)
_STREETS = (
    r"(?:street|st|road|rd|lane|avenue|ave|square|way|quay|boulevard|court|place|drive|row|alley|park|hill)"
)
_ADDRESS = re.compile(
    rf"\b\d+[a-z]?,? (?:[A-ZÇĞİÖŞÜ][\w'-]+ ){{1,3}}(?i:{_STREETS})\b"
    rf"|\b(?:[A-ZÇĞİÖŞÜ][\w'-]+ ){{1,3}}(?i:{_STREETS}),? \d+[a-z]?\b"
)
_CONDITION = re.compile(
    r"^(?:if|when|whenever|unless|once|in case)\b.*(?:\b(?:asks?|asked|wants? to know|calls? about|says?)\b"
    rf"|(?:,| then) (?:please |always |never |just |politely |also )*(?:{'|'.join(_ORDER_VERBS)})\b)",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(?:say|tell (?:them|callers?|customers?|people|him or her|guests?|patients?|everyone)|explain|"
    r"mention|"
    r"inform (?:them|callers?|customers?|guests?|patients?)|let (?:them|callers?|customers?|guests?) know|"
    r"answer|remember|note|keep in mind)(?: to (?:them|callers?|customers?))? that (?P<fact>.+)$",
    re.IGNORECASE,
)
_TURKISH_ORDER = re.compile(
    r"^(?:sen|siz|sakin|asla|her zaman|daima|lutfen)\b|\b(?:asistan\w*|gorevin\w*|konus|cevap ver|cevapla|"
    r"yanitla|"
    r"sor|soyle|soyleme|davran|ol|olma|kullan|kullanma|verme|uydurma|et|etme|yap|yapma|iste|karsila|"
    r"yardim et|"
    r"arayan\w*)[.!]?$"
)
_ORDERS_HEADING = re.compile(
    r"\b(?:rules?|style|tone|personality|instructions?|guidelines?|behaviou?r|tasks?|goals?|role|identity|"
    r"guardrails?|objective|persona|conversation|dos?|don'ts?|steps?|script|kurallar|uslup|gorev\w*|"
    r"talimat\w*)\b",
    re.IGNORECASE,
)
_INJECTED = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rules|above|previous|"
    r"everything)\b"
    r"|\bsystem prompt\b|\byou (?:are now|must now)\b|\b(?:assistant|system|developer|user)\s*:"
    r"|\b(?:dear|attention|note to|hey) (?:ai|assistant|model|chatbot|language model)s?\b"
    r"|\b(?:talimatlar\w*|komutlar\w*)\b.{0,30}\b(?:yok say|unut|gormezden gel)",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?i:you are|you're|your name is|call yourself|introduce yourself as)\s+(?:called\s+|named\s+)?"
    r"(?P<name>[A-ZÇĞİÖŞÜ][\w'-]+)(?=[,.]|\s+(?:from|at|of|the|a|an|and)\b)"
)
_BUSINESS = re.compile(
    r"\b(?i:you are|you're|you (?:work|answer|speak)|assistant|receptionist|agent|desk|phone)\b.*?"
    r"\b(?:of|for|at|from|by)\s+(?:the\s+)?"
    r"(?P<business>[A-ZÇĞİÖŞÜ][\w'&.-]*(?:\s+(?:(?:of|and|the|on|by|&)\s+)?[A-ZÇĞİÖŞÜ][\w'&-]*)*)"
)
_GREETING = re.compile(
    r"\b(?:greet|start|begin|open|answer|pick up|say)\b[^\"“”]{0,60}[\"“](?P<greeting>[^\"“”]{4,200})[\"”]",
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
    r"\b\d{1,2}[:.]\d{2}\b|\b\d{1,2}\s?(?:a\.?m|p\.?m|o'clock)\b|\b(?:noon|midday|midnight|24 hours|"
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
    r"\d|\b(?:noon|midday|midnight|o'clock|half past|at (?:six|seven|eight|nine|ten|five|four))\b"
)
_SPAN = re.compile(r"\b(?:until|till|up to|kadar)\b|\d\s*(?:[ap]\.?m\.?)?\s*(?:-|–|to)\s*\d")
_PERSON = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof)\.? |(?<=\w )|(?<=, ))(?!Mon|Tue|Wed|Thu|Fri|Sat|"
    r"Sun)[A-ZÇĞİÖŞÜ][a-zçğıöşü]+\b"
)
_DURATION = re.compile(
    r"\b(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|forty|"
    r"forty-five|"
    r"sixty|ninety|half an|bir|iki|uc|yarim|few|several|same)[ -](?:minutes?|mins?|hours?|days?|weeks?|"
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


@dataclass(frozen=True, slots=True)
class Prompt:
    """An agent's instructions, taken apart."""

    facts: tuple[Fact, ...] = ()
    name: str = ""
    business: str = ""
    greeting: str = ""


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


def is_order(sentence: str) -> bool:
    """Whether a sentence tells the agent what to do, instead of the caller what is so."""
    text = sentence.strip().strip("\"'“”")
    if _CONDITION.match(text) or _TO_THE_AGENT.search(text) or _INJECTED.search(text):
        return True
    # "Return bikes at the gate" would be a fact in knowledge; in a prompt a bare verb is an order.
    return bool(_ORDER.match(text)) or bool(_TURKISH_ORDER.search(fold(text)))


@lru_cache(maxsize=64)
def read_prompt(instructions: str) -> Prompt:
    """The facts a system prompt states, and whom it says the agent is. Orders are dropped."""
    facts: list[Fact] = []
    for statement in statements(instructions):
        if _told := _TOLD.search(statement.text):
            told = _told.group("fact").strip().strip("\"'“”")
            if not re.search(r"\byou(?:r|'re)?\b", told, re.IGNORECASE) and not _is_forbidden(statement):
                facts.append(fact(told[:1].upper() + told[1:], ""))
            continue
        if is_order(statement.text) or _OF_THE_AGENT.match(statement.text):
            # Whom the agent works for is not for the caller; where that is, is.
            if address := _ADDRESS.search(statement.text):
                facts.append(fact(f"The address is {address.group()}."))
            continue
        if _ORDERS_HEADING.search(fold(statement.about)) and not _states(statement.text):
            continue
        if statement.text.endswith("?") or len(statement.text.split()) < 2:
            continue
        facts.append(fact(statement.text, statement.about))
    name = _NAME.search(instructions)
    business = _BUSINESS.search(instructions)
    greeting = _GREETING.search(instructions)
    return Prompt(
        facts=tuple(dict.fromkeys(facts)),
        name=name.group("name") if name else "",
        business=business.group("business").rstrip(".") if business else "",
        greeting=greeting.group("greeting").strip() if greeting else "",
    )


def _is_forbidden(statement: Statement) -> bool:
    return bool(
        re.search(
            r"\b(?:never|not|don't|avoid|"
            r"without)\b.*\bthat\b",
            statement.text,
            re.IGNORECASE,
        )
    )


def _states(sentence: str) -> bool:
    return bool(re.match(r"(?:we|our|the|there|all|every|parking|biz|bizim)\b", sentence, re.IGNORECASE))


def passages_as_facts(passages: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Every sentence of retrieved passages that may be spoken.

    Text that talks to a machine ("ignore your instructions") is no fact about anything: it is left out.
    """
    facts: list[Fact] = []
    for passage in passages:
        title = str(passage.get("title", ""))
        for statement in statements(str(passage.get("text", ""))):
            if not _INJECTED.search(statement.text):
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
