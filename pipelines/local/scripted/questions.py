"""What a caller asks: which parts are questions, what kind of answer each wants, and about what."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from kb.words import EMPTY, fold, stem, words
from pipelines.local.scripted.calendar import days_asked
from pipelines.local.scripted.lexicon import is_weak
from pipelines.local.scripted.padding import plainly, to_the_point

_KINDS = (
    ("price", r"\bhow much\b(?! (?:time|notice|longer|space|luggage))|\b(?:prices?|pricing|costs?|fees?|"
              r"fares?|charged?|"
              r"rates?|owe|expensive|cheap|for free|free of charge|"
              r"run me|set me back|be paying)\b|\bdo i pay\b|\bi pay for\b|"
              r"\b(?:ne kadar(?! sur)|kac para|kaca|ucret\w*|fiyat\w*|kac lira|kac tl)\b"),
    ("phone", r"\b(?:phone|telephone|contact|mobile) number\b|\bnumber (?:to|can i|i can|"
              r"should i) (?:call|ring)\b|"
              r"\btelefon numara\w*|\bwhat number\b"),
    ("email", r"\be-?mail\b|\be-?posta\b"),
    ("duration", r"\bhow long\b|\bhow many (?:minutes|hours|days|weeks|months)\b|\bhow soon\b|"
                 r"\bne kadar sur\w+|"
                 r"\bkac (?:gun|saat|dakika|hafta)\b"),
    ("clock", r"\bwhat times?\b|\bhow late\b|\bhow early\b|\b(?:until|till) when\b|\bkacta\b|"
              r"\bkaca kadar\b|"
              r"\bsaat kac\w*"),
    # "Must somebody be there when you bring it?" does not ask for a time.
    ("time", r"(?:^|[,;.] |"
             r"\b(?:and|or|but|so|know|me|ask|from|until|till|since|about|sure|hi|hello|ok|then) )"
             r"when\b(?! (?:i|we|they)\b)|"
             r"\bwhen(?:'s|[?. ]*$| (?:is|are|do|does|did|can|could|will|would|should|was|were|has|have)\b)|"
             r"\bhours\b|"
             r"\bwhat days?\b|\bwhich days?\b|\bne zaman\b|\bcalisma saat\w*|"
             r"\bhangi gun\w*|^(?:are|is|r) (?:you|the [a-z]+|it|u) (?:guys )?(?:still |also |"
             r"even )?(?:open|closed)\b|"
             r"\b(?:acik|kapali) mi\w*"),
    # Where the house itself is; "where can I ..." asks about something in it.
    ("place", r"\bwhere(?:abouts)?(?: exactly)?(?:'s| is|s| are| r)(?: exactly)? (?:you|u|your|"
              r"the) ?(?:guys|shop|store|clinic|office|house|"
              r"place|"
              r"business|restaurant|located|location)?(?: located| at| based| exactly)*[?. ]*$|\b(?:your|"
              r"the) address\b|"
              r"\bhow (?:do|can) (?:i|we) (?:get to|find|reach) (?:you|u)\b|\bdirections\b|"
              r"\b(?:nerede|neredesiniz|nerdesiniz|adresiniz)\b"),
    ("who", r"^(?:and |so )?(?:who|kim)\b|\bwhose\b|\bname of\b"),
    ("count", r"\bhow many\b|\bkac (?:kisi|tane)\b"),
    ("number", r"\bhow old\b|\bhow (?:big|large|far|tall|heavy)\b|\bkac (?:kisi|tane|"
               r"yas\w*)\b"),
)  # fmt: skip
_KIND = tuple((name, re.compile(pattern)) for name, pattern in _KINDS)
# Words that only say which kind of answer is wanted: they need no support in it.
_KIND_WORDS = {
    kind: frozenset(stem(word) for word in listed.split())
    for kind, listed in {
        "price": "price pricing cost costs fee fare charge charged rate owe expensive cheap much free pay "
        "run set back para "
        "kadar ucret fiyat lira",
        "phone": "phone telephone contact number call ring mobile telefon numarasi",
        "email": "email mail address eposta adresiniz",
        "duration": "long many soon much time kadar kac",
        "clock": "when hour hours open opening close closed closing late early time saat kac "
        "kadar acik kapali",
        "time": "when hour hours open opening close closed closing late early time zaman saat "
        "acik kapali saatleri calisma shop store clinic office",
        "place": "address located location directions find reach neredesiniz nerdesiniz adresiniz shop "
        "store clinic office exactly whereabouts",
        "count": "many kac",
        "number": "old big large far tall heavy many kac yas",
    }.items()
}
_AUXILIARY_MAY = re.compile(
    r"\bmay (?=(?:i|we|you|he|she|they|it|one|my|our|the|a|an|people|kids|children)\b)"
)
# Words about time never need support of their own: days are compared as days.
_TIME_WORDS = frozenset(
    stem(word)
    for word in words(
        """
        monday tuesday wednesday thursday friday saturday sunday weekend weekday mondays tuesdays
        wednesdays thursdays fridays saturdays sundays today tomorrow tonight morning afternoon evening
        time day days week am pm o'clock pazartesi sali carsamba persembe cuma cumartesi pazar yarin
        bugun gunu gun
        """
    )
)
_NUMBER_WORDS = frozenset(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred first second
    third half couple
    bir iki uc dort bes alti yedi sekiz dokuz yirmi otuz kirk elli yuz""".split()
)
_ASKING = re.compile(
    r"(?:^|[,;] ?|\b(?:and|or|also|so|but|then|hi|hello|ok|okay|um|uh|please|me|know|wondering|if) )"
    r"(?:what|what's|whats|how|how's|when|where|where's|wheres|who|who's|whose|why|which|do|does|did|is|"
    r"isn't|are|can|"
    r"could|will|would|may|should|have|has|am|any)\b"
    r"|\?|\b(?:tell me|i'd like to know|want to know|looking for|do you know|wondering|curious)\b"
    r"|\b(?:mi|mu|misiniz|musunuz|miyim|muyum|ne|nedir|nerede\w*|nasil|kac\w*|hangi|kim|neden|var mi)\b"
)
_SPLIT = re.compile(
    r"[?.!;]+\s+|,?\s+(?:and|also|oh and|plus|ve|ayrica)\s+(?:also |then |please )?(?="
    r"(?:what|what's|whats|how|when|where|where's|who|which|do you|does|is|are|can|could|will|would|may|"
    r"ne|nerede|kac|"
    r"hangi|nasil|saat kac)\b)"
)
_REFERS = re.compile(
    r"\b(?:it|its|it's|that|this|those|these|they|them|there|one|ones|same|bu|bunu|bunun|o|onun|peki)\b"
)
_CONTINUES = re.compile(
    r"^(?:and|or|what about|how about|what if|but|then|also|ok and|okay and|peki|ya|ve)\b"
)
_ABOUT = re.compile(
    r"^(?:(?:and|or|but|ok|okay|so|also|then|yes|no|sorry) )*(?:what about|how about|and|or|what if it's|"
    r"peki(?: ya)?|ya|ve)"
    r" (?:for |on |at |the |a |an |in |with )*"
)
_AUXILIARY = re.compile(
    r"\b(?:do|does|did|can|could|will|would|may|should|shall|must|might) (?:you|i|we|they|one|u|you guys)"
    r" (?:have to |need to |also |still |even |ever |actually |really |just )*([a-z']+)"
    r"|\b(?:to|i|you|we) ([a-z]+)"
)
_DOING = re.compile(r"\bdo(?:es)? (?:you|they|u)(?: guys| also| even| ever)? ([a-z']+)")
_WHAT_THERE_IS = re.compile(
    r"\b(?:what|which)(?: other| kinds? of| sorts? of| types? of)? [a-z]+ (?:do|can|are|is|does) "
    r"(?:you|they|there|u)(?: guys)?(?: all)?"
    r"(?: offer| have| do| provide| sell| carry| make| teach| serve| got)?[?. ]*$"
    r"|\b(?:hangi|ne gibi|ne tur) \w+"
)
_POSSESSED = re.compile(r"\b(?:my|our|his|her|their)(?: own)? ([a-z]+)")
_NAMED_NUMBER = re.compile(
    r"\b(?!(?:at|by|for|to|from|until|till|of|on|in|is|are|about|around|than|with|and|or|the|a|after|"
    r"before|between|"
    r"over|under|have|has|we|us|saat|need|only|just|all|be|next|last|"
    r"past)\b)([a-z]{3,}) (\d+)\b(?!\s*(?:people|persons|"
    r"year|month|day|week|hour|minute|am|pm|o'clock|euro|dollar|[:.]\d))"
)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing asked.

    `terms` are stems with how much each must be supported, 0..1, in order; `heard` are their whole
    words, and `followed` the word after each, since a recogniser hears one word as two. `named` are
    numbers that name something ("room 204"): an answer without them is about something else.
    """

    text: str
    kind: str = ""
    terms: tuple[tuple[str, float], ...] = ()
    heard: tuple[str, ...] = ()
    followed: tuple[str, ...] = ()
    days: frozenset[int] = frozenset()
    named: frozenset[str] = frozenset()
    thing: str = ""
    """What follows the verb in "do you repair motorcycles": the answer must speak of it."""
    doing: str = ""
    """The verb itself, where there is such a thing."""
    is_asking: bool = False
    wants_list: bool = False
    """True for "which services do you offer": what there is of something."""

    @property
    def strong(self) -> tuple[str, ...]:
        """The stems an answer has to be about."""
        return tuple(term for term, weight in self.terms if weight >= 0.4)

    def says_more_than(self, other: "Question") -> bool:
        """Whether it names anything that another question does not."""
        return not set(self.strong) <= set(other.strong)


def read(text: str, today: date) -> Question:
    """One clause, taken by itself."""
    folded = " ".join(fold(text).replace("?", " ").split())
    kind = next((name for name, pattern in _KIND if pattern.search(folded)), "")
    verbs = {stem(word) for match in _AUXILIARY.finditer(folded) for word in match.groups() if word}
    # "Do you sell bikes?" is about selling as much as about bikes; "can I get ..." is about the thing.
    verbs -= {stem(match.group(1)) for match in _DOING.finditer(folded)}
    possessed = {stem(match.group(1)) for match in _POSSESSED.finditer(folded)}
    weighted: dict[str, float] = {}
    heard: dict[str, str] = {}
    spoken = words(_AUXILIARY_MAY.sub("", plainly(fold(text))))
    followed: dict[str, str] = {}
    for number, word in enumerate(spoken):
        term = stem(word)
        if word in EMPTY or word[0].isdigit() or word in _NUMBER_WORDS or term in _TIME_WORDS:
            continue
        if term in _KIND_WORDS.get(kind, ()):
            continue
        weight = 0.2 if is_weak(term) else 0.5 if term in verbs else 0.6 if term in possessed else 1.0
        weighted[term] = max(weight, weighted.get(term, 0.0))
        heard[term] = word
        followed[term] = "".join(spoken[number + 1 : number + 2])
    doing, thing = _doing(folded, weighted)
    return Question(
        text=to_the_point(text),
        kind=kind,
        terms=tuple(weighted.items()),
        heard=tuple(heard.values()),
        followed=tuple(followed.values()),
        days=days_asked(folded, today),
        named=frozenset(match.group(2) for match in _NAMED_NUMBER.finditer(folded)),
        doing=doing,
        thing=thing,
        is_asking=bool(_ASKING.search(folded) or "?" in text or kind),
        wants_list=bool(_WHAT_THERE_IS.search(folded)),
    )


def _doing(folded: str, weighted: dict[str, float]) -> tuple[str, str]:
    match = _DOING.search(folded)
    strong = [term for term, weight in weighted.items() if weight == 1.0]
    verb = stem(match.group(1)) if match else ""
    return (verb, strong[-1]) if len(strong) > 1 and verb in strong[:-1] else ("", "")


def split(text: str, today: date) -> list[Question]:
    """The questions in an utterance, at most three; without any, the utterance itself."""
    parts = [part.strip() for part in _SPLIT.split(text.strip()) if part and part.strip()]
    read_parts = [read(part, today) for part in parts]
    asking = [
        part
        for part in read_parts
        if part.is_asking and (part.strong or part.kind or part.days or _REFERS.search(fold(part.text)))
    ]
    if len(asking) >= 2:
        return asking[:3]
    whole = read(text, today)
    if len(asking) == 1 and (asking[0].strong or _REFERS.search(fold(asking[0].text)) is None):
        # What is said around a question helps to understand it, but need not be answered.
        return [asking[0]] if asking[0].strong else [replace(whole, is_asking=True)]
    return [whole]


def read_all(text: str, topic: Question | None, today: date) -> list[Question]:
    """The questions in an utterance, each made whole with what was asked before it."""
    whole: list[Question] = []
    for part in split(text, today):
        question = resolve(part, topic, today)
        topic = question if question.strong or question.kind else topic
        whole.append(question)
    return whole


def are_about_one_thing(asked: Sequence[Question]) -> bool:
    """Whether two or three questions are about one thing: "which box is for us, and what does it cost?"."""
    return (
        len(asked) > 1
        and bool(asked[0].strong)
        and all(not asked[0].says_more_than(each) and not each.says_more_than(asked[0]) for each in asked[1:])
    )


def resolve(question: Question, topic: Question | None, today: date) -> Question:  # noqa: PLR0911 - a list of ways to follow up
    """A follow-up made whole with what was asked before: "and on Sunday?", "how much is that?"."""
    if topic is None:
        return question
    folded = fold(question.text)
    continues, refers = bool(_CONTINUES.match(folded)), bool(_REFERS.search(folded))
    if question.strong and question.kind and not refers:
        return question
    if question.strong:
        if continues and not question.kind and topic.kind:
            # "And a filling?": the kind of before, about something new.
            rest = _ABOUT.sub("", folded.strip(" ?.!")) or folded
            asked = {
                "price": "how much is",
                "duration": "how long does it take",
                "time": "when is",
                "clock": "when is",
            }
            whole = f"{asked.get(topic.kind, '')} {rest}".strip()
            return replace(
                question,
                text=whole,
                kind=topic.kind,
                days=question.days or topic.days,
                is_asking=True,
            )
        return question
    if continues or refers or question.kind or question.days:
        if not question.kind and not question.days and not continues:
            return question
        days = question.days or (topic.days if not question.kind else frozenset())
        own = question.terms
        known = {term for term, _ in own}
        kept = [number for number, (term, _) in enumerate(topic.terms) if term not in known]
        if not refers and not continues and not (question.days and not question.kind):
            return question  # "What are your opening hours?" stands by itself
        rest = _ABOUT.sub("", folded.strip(" ?.!"))
        return replace(
            question,
            text=f"{topic.text.strip(' ?.!')} {rest}".strip(),
            kind=question.kind or topic.kind,
            terms=own + tuple(topic.terms[number] for number in kept),
            heard=question.heard + tuple(topic.heard[number] for number in kept),
            followed=question.followed + tuple(topic.followed[number] for number in kept),
            days=days,
            named=question.named | topic.named,
            is_asking=True,
        )
    return question
