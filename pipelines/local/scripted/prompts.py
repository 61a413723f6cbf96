"""An agent's prompt taken apart: the facts it states, and not its orders, which are never spoken."""

import re
from dataclasses import dataclass
from functools import lru_cache

from kb.chunking import Statement, statements
from kb.words import fold
from pipelines.local.scripted.facts import INJECTED, Fact, fact

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
_CASE = re.compile(r"(?:if|when|whenever|once|in case)\s+(?P<case>.*\w)", re.IGNORECASE | re.DOTALL)
_TURKISH_ORDER = re.compile(
    r"^(?:sen|siz|sakin|asla|her zaman|daima|lutfen)\b|\b(?:asistan\w*|gorevin\w*|konus|cevap ver|cevapla|"
    r"yanitla|"
    r"sor|soyle|soyleme|davran|ol|olma|kullan|kullanma|verme|uydurma|et|etme|yap|yapma|iste|karsila|"
    r"yardim et|"
    r"arayan\w*)[.!]?$"
)
# "Friendly, brief." says how to speak, although nothing in it is an order.
_MANNER = re.compile(
    r"\b(?:friendly|brief|warm|unhurried|cheerful|happy|helpful|chatty|polite|calm|honest|laid[ -]back|"
    r"relaxed|easygoing|upbeat|loving|professional|concise|matter-of-fact|patient|small talk|slang|jargon|"
    r"plain words|"
    r"(?:short|brief|clear|plain|simple|calm)(?:,? (?:and )?(?:calm|clear|short|plain|simple))? "
    r"(?:answers|sentences|words|replies)|nazik|samimi|sicak)\b"
)
_STATING = re.compile(r"\d|\b(?:we|our|us|is|are|costs?|has|have|can|biz|bizim)\b")
_ORDERS_HEADING = re.compile(
    r"\b(?:rules?|style|tone|personality|instructions?|guidelines?|behaviou?r|tasks?|goals?|role|identity|"
    r"guardrails?|objective|persona|conversation|dos?|don'ts?|steps?|script|kurallar|uslup|gorev\w*|"
    r"talimat\w*)\b",
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


@dataclass(frozen=True, slots=True)
class Prompt:
    """An agent's instructions, taken apart."""

    facts: tuple[Fact, ...] = ()
    name: str = ""
    business: str = ""
    greeting: str = ""


def is_order(sentence: str) -> bool:
    """Whether a sentence tells the agent what to do, instead of the caller what is so."""
    text = sentence.strip().strip("\"'“”")
    if _CONDITION.match(text) or _TO_THE_AGENT.search(text) or INJECTED.search(text):
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
                # "If somebody has been arrested, tell them that ...": when it is said is what it is about.
                case = _CASE.match(statement.text[: _told.start()])
                facts.append(fact(told[:1].upper() + told[1:], case.group("case") if case else ""))
            continue
        if is_order(statement.text) or _OF_THE_AGENT.match(statement.text):
            # Whom the agent works for is not for the caller; where that is, is.
            if address := _ADDRESS.search(statement.text):
                facts.append(fact(f"The address is {address.group()}."))
            continue
        if _ORDERS_HEADING.search(fold(statement.about)) and not _states(statement.text):
            continue
        if statement.text.endswith("?") or len(statement.text.split()) < 2 or _is_manner(statement.text):
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


def _is_manner(sentence: str) -> bool:
    folded = fold(sentence)
    return len(folded.split()) <= 8 and bool(_MANNER.search(folded)) and not _STATING.search(folded)


def _states(sentence: str) -> bool:
    return bool(re.match(r"(?:we|our|the|there|all|every|parking|biz|bizim)\b", sentence, re.IGNORECASE))
