"""What an utterance is for: small talk by rules, a function by what its author wrote about it."""

import re
from dataclasses import dataclass

from kb.words import EMPTY, fold, stem, words
from pipelines.local.scripted.functions import Function
from pipelines.local.scripted.lexicon import concepts
from pipelines.local.scripted.meaning import Meanings

_SMALL_TALK = (
    ("human", r"\b(?:speak|talk|connect|transfer|put me through|pass me|forward me)\b.{0,25}\b(?:human|"
              r"person|someone|somebody|agent|"
              r"operator|representative|manager|staff|receptionist|colleague)\b|\b(?:real|actual|"
              r"live) (?:person|human)\b(?!.*\?$)|"
              r"^(?:human|operator|agent|representative)\b|\b(?:yetkili|insan|temsilci|"
              r"musteri hizmetleri)\w*\b.{0,25}\b(?:bagla|gorus|konus|istiyorum)|"
              r"\bget me (?:a|the) (?:human|person|manager)\b|\b(?:i want|i need|give me) (?:a|the|"
              r"to see the) (?:human|person|manager)\b"),
    ("robot", r"\b(?:are|r) you (?:a |an |really |actually )*(?:robot|bot|machine|computer|ai|human|"
              r"person|real|automated|recording|chat ?gpt)\b|"
              r"\bam i (?:talking|speaking) (?:to|with) (?:a|an) (?:\w+ )?(?:robot|bot|machine|computer|"
              r"ai|human|person)\b|"
              r"\b(?:is this|this is) (?:a |an )(?:robot|bot|machine|ai|recording|computer)\b|\b(?:robot|"
              r"yapay zeka|insan|makine) (?:m[iu]\w*)\b"),
    ("who", r"\b(?:what's|what is|whats) your name\b|\bwho (?:are you|is this|am i (?:speaking|talking)|"
            r"am i on)\b|\badin\w* ne\w*\b|\bkimsin\w*\b|"
            r"\bkiminle (?:gorus|konus)"),
    ("source", r"\bwhere (?:do|did) you (?:have|get|know|read|hear) (?:that|this|it)(?: from)?\b|"
               r"\bhow do you know(?: (?:that|this|it))?[?.! ]*$|\bwhat(?:'s| is| was) (?:your|the) source\b|"
               r"\bwho (?:says|told you)(?: so| that)?[?.! ]*$|\bwhere (?:is|was) (?:that|this|it) written\b|"
               r"\b(?:nereden|nerden) (?:biliyor|ogren)\w*|\bkaynag\w* ne\w*"),
    ("repeat", r"\b(?:repeat|say)(?: (?:that|it|this))?(?: please)? (?:again|once more|one more time)\b|"
               r"\brepeat(?: (?:that|it|this|yourself|please))*[.?! ]*$|\bwhat did you (?:just )?say\b|"
               r"\b(?:say|come|tell me|one) (?:that |it |this )?(?:again|more time)\b|^(?:sorry|pardon|"
               r"excuse me|what)(?: what| me)?[?. ]*$|"
               r"\b(?:didn't|did not|couldn't|can't) (?:quite )?(?:hear|catch|get|understand) (?:that|you|"
               r"it)\b|\bcan you repeat\b|"
               r"\b(?:tekrar|bir daha)\b(?:.{0,12}\b(?:eder|soyle|lutfen)\w*)?|^efendim\??$|\banlamadim\b|"
               r"\bduyamadim\b|\bpardon me\b"),
    ("hear", r"\bcan you hear me\b|\bare you (?:still )?there[?., ]*$|\bbeni duyuyor\b|\borada mi\w*|"
             r"^(?:hello[?,. ]*){2,}$"),
    ("well", r"\bhow (?:are|r) you(?: doing)?(?: today)?[?.! ]*$|\bhow's it going\b|\bnasilsin\w*\b"),
    ("help", r"\bwhat (?:all )?can (?:you|i) (?:do|help|ask)\b|\bhow can you help\b|\bwhat do you (?:do|"
             r"know)\b[?. ]*$|\b(?:ne|neler) (?:yapabilir|sorabilir)\w*|"
             r"^(?:i need )?(?:some )?help[?.! ]*$"),
    ("goodbye", r"\b(?:good ?bye|bye|bye bye|see you|have a (?:good|nice|great) (?:day|one|evening|"
                r"weekend))\b|\bhang up\b|\b(?:hosca ?kal\w*|gorusuruz|"
                r"iyi gunler)\b[.! ]*$|\bthat(?:'s| is| will be| would be|'ll be) (?:all|everything|"
                r"it)(?: for (?:now|today))?(?:[,. ]*(?:thank you|thanks)(?: (?:very|so) much)?)?[.! ]*$"),
    ("wait", r"^(?:(?:just )?(?:a|one) (?:moment|second|minute|sec)|hold on|hang on|wait(?: a (?:moment|"
             r"second|minute))?|bir (?:saniye|dakika))[,.! ]*(?:please|lutfen)?[.! ]*$"),
    ("thanks", r"^(?:(?:ok|okay|great|perfect|good|alright|all right|oh|ah|cool|super|yes|no|"
               r"that's (?:great|good|perfect|helpful)|very helpful|awesome|"
               r"excellent|wonderful|lovely|brilliant)[,.! ]+)*(?:thank you|thanks|thank u|cheers|"
               r"tesekkur\w*|sag ?ol\w*)(?:[,. ]*(?:very much|so much|a lot|"
               r"for (?:that|your help|the info\w*)|ederim|cok|bye))*[,.! ]*$"),
    ("greet", r"^(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings|merhaba|selam|gunaydin|"
              r"iyi (?:gunler|aksamlar)|alo)(?: there| again| everyone)?[,.! ]*$"),
    ("no", r"^(?:no|nope|nah|no thanks?|no thank you|nothing(?: else)?|not (?:now|today|really)|"
           r"i'm (?:good|fine|all set)|hayir|yok)"
           r"(?:[,. ]+(?:thanks?|thank you|nothing(?: else)?|that's (?:all|it|everything)|that is all|"
           r"tesekkur\w*|i'm good|for now))*[,.! ]*$"),
    ("acknowledge", r"^(?:(?:ok|okay|alright|all right|great|perfect|good|fine|sure|yes|yeah|yep|i see|"
                    r"got it|understood|right|cool|hmm+|mm+|mhm|uh huh|"
                    r"evet|tamam|peki|anladim)[,.! ]*)+$"),
)  # fmt: skip
_TALK = tuple((name, re.compile(pattern)) for name, pattern in _SMALL_TALK)
_FORGET = re.compile(
    r"\b(?:forget (?:it|that|about it)|never ?mind|cancel (?:that|it|this|everything)|don't (?:want|"
    r"need) (?:that|it|this)(?: any ?more)?|"
    r"(?:i )?changed my mind|stop (?:it|that|this)|leave it|skip it|drop it|let's not|not any ?more|"
    r"vazgec\w*|bosver|iptal et)\b|^(?:cancel|stop|iptal|quit)[.! ]*$"
)
_REQUEST = re.compile(
    r"\b(?:i'd like|i would like|i want|i wanna|i need|i have to|i must|i'm looking (?:to|for)|"
    r"i am looking (?:to|for)|looking to|i'd love|can i|could i|may i|can we|could we|"
    r"can you|could you|would you|please|let me|let's|we'd like|we would like|we want|we need|"
    r"i'm calling to|i am calling to|calling to|help me|i was hoping|"
    r"is it possible to|is there any chance|how about|put me down|make me|get me|give me|sign me up|"
    r"istiyorum|isterim|istiyoruz|almak|yapmak|edebilir\w*|olabilir mi|lazim)\b"
)
_ABOUT_IT = re.compile(
    r"^(?:(?:hi|hello|hey|so|and|okay|ok|um|uh|please|yes|well)[, ]+)*(?:how (?:do|can|should|would) (?:i|"
    r"we|you|one)|what|when|where|why|which|who|how (?:much|long|many|late|far|early|soon)|"
    r"(?:do|must|should) (?:i|we|they|people)|is (?:a|an|it|there)|are there|does|do you|did|has|was)\b|"
    r"\b(?:how much|"
    r"what (?:does|do|is) .* cost|ne kadar|kac para)\b"
)


_UNDOING = (
    "cancel",
    "cancelled",
    "change",
    "move",
    "reschedule",
    "postpone",
    "delete",
    "remove",
    "iptal",
    "degistir",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The function an utterance asks for. `is_asking` when it could as well be a question about it."""

    function: Function
    score: float
    is_asking: bool


def small_talk(text: str) -> str:
    """The name of the small talk that an utterance is, or "". Long utterances are about something."""
    folded = " ".join(fold(text).strip().split())
    limit = {"human": 18, "robot": 14, "repeat": 10, "goodbye": 9, "help": 10, "who": 10, "thanks": 10}
    for name, pattern in _TALK:
        if len(folded.split()) <= limit.get(name, 8) and pattern.search(folded):
            return name
    return ""


def is_forgetting(text: str) -> bool:
    """Whether a caller wants out of what is being filled in."""
    return bool(_FORGET.search(fold(text)))


async def wanted(
    text: str, functions: list[Function], filled: dict[str, int], meanings: Meanings, *, floor: float = 0.72
) -> Wanted | None:
    """The function that an utterance asks for, or None.

    `filled` says how many slots of each function the utterance fills by itself.
    """
    if not functions or not text.strip():
        return None
    folded = " ".join(fold(text).split())
    heard = {stem(word) for word in words(text) if word not in EMPTY or word in ("borrow", "get")}
    meant = {number for term in heard for number in concepts(term)}
    examples = {function.name: _examples(function) for function in functions}
    await meanings.learn([text, *(example for each in examples.values() for example in each)])
    undone = {stem(word) for word in _UNDOING if stem(word) in heard}
    is_request, is_asking = bool(_REQUEST.search(folded)), _is_asking(folded)
    best: Wanted | None = None
    for function in functions:
        likeness = max((meanings.likeness(text, example) for example in examples[function.name]), default=0.0)
        if undone and not undone & {stem(word) for word in words(f"{function.title} {function.description}")}:
            continue  # "cancel my appointment" is not for the function that books one
        has_verb = function.verb in heard or bool(concepts(function.verb) & meant)
        has_object = any(term in heard or concepts(term) & meant for term in function.objects)
        score = likeness if meanings.are_known else 0.55 * _named_share(function, heard, meant)
        score += 0.16 * has_object + 0.10 * is_request + 0.07 * min(3, filled.get(function.name, 0))
        if function.is_read_only:
            score += 0.12 if is_asking or is_request else 0.0
        else:
            # Without its verb a thing is only spoken about: "how much is a room" books none.
            score += 0.18 * has_verb - (0.22 if is_asking else 0.0)
        if score >= floor and (best is None or score > best.score):
            best = Wanted(function, score, is_asking)
    return best


def _is_asking(folded: str) -> bool:
    """Whether something is asked rather than ordered, also after a sentence that only leads up to it."""
    *before, last = re.split(r"[.!?]+ ", folded)
    leads_up = not any(_REQUEST.search(sentence) for sentence in before)
    return bool(_ABOUT_IT.search(folded) or (leads_up and _ABOUT_IT.match(last)))


def _named_share(function: Function, heard: set[str], meant: set[int]) -> float:
    """How much of a function's name was said, where meanings are not known."""
    named = [term for term in (function.verb, *function.objects) if len(term) > 2]
    said = [term for term in named if term in heard or concepts(term) & meant]
    return len(said) / len(named) if named else 0.0


def _examples(function: Function) -> list[str]:
    purpose = function.purpose.rstrip(".")
    lowered = purpose[:1].lower() + purpose[1:]
    texts = [function.title, f"I would like to {function.title}."]
    if purpose:
        texts += [purpose, f"I would like to {lowered}."]
    return texts
