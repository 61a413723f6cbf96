"""The scripted engine in somebody else's menu: what it does about each thing it hears."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from kb.words import fold
from pipelines.ivr.prompt import SILENCE, goal_of
from pipelines.local.scripted.history import Event, Heard, History, Ran
from pipelines.local.scripted.menus import Option, leading_to, options_in, to_a_person
from pipelines.local.scripted.state import Call, Reply

MOST_PRESSED = 2
"""One option of one name: the line may lose a key once."""
_PRESSED = re.compile(r"^Pressed (\S+)")
_VOICEMAIL = re.compile(
    r"\bleave (?:us |me |a |your )*(?:message|name)\b|\bafter the (?:tone|beep|signal)\b|\bvoice ?mail\b|"
    r"\bmailbox\b|\bsinyal sesinden sonra\b|\bmesaj\w* birak\w*"
)
_CLOSED = re.compile(
    r"\b(?:we are|we're|office is|offices are) (?:currently |now )?closed\b|\bnot in service\b|"
    r"\bhas been disconnected\b|\bsu anda kapaliyiz\b|\bkullanilmamaktadir\b"
)
_HOLD = re.compile(
    r"\b(?:please |now )?(?:hold|wait|stay|remain)\b.{0,30}\b(?:line|while|moment|connect|transfer|next|"
    r"for)\b|\b(?:connecting|transferring|putting) (?:you|your call)\b|\byour call (?:is|will|may)\b|"
    r"\bin (?:the|a) queue\b|\ball (?:of )?our (?:agents|representatives|operators|staff|lines)\b|"
    r"\b(?:recorded|monitored)\b|\b(?:agents|lines) are (?:all )?busy\b|\bposition in\b|\bestimated wait\b|"
    r"\blisten carefully\b|\bone moment\b|\bbekle\w*|\bhatta kal\w*|\bsirada\w*|\baktariyor\w*|"
    r"\bbagliyor\w*|\bbaglaniyor\w*|\bkayit altin\w*|\bmesgul\w*"
)
_REFUSED = re.compile(
    r"\b(?:invalid|not (?:a )?valid|not recogni[sz]ed|incorrect|"
    r"did(?:n't| not) (?:understand|get|recogni[sz]e)|gecersiz|hatali|anlasilamadi)\b"
)
_RECORDED = re.compile(
    r"\b(?:you(?:'ve| have) reached|welcome to|thank(?:s| you) for (?:calling|your call)|you can say|"
    r"in a few words|aradiginiz icin|hos ?geldiniz)\b"
)
_ASKS_US = re.compile(
    r"\b(?:how (?:can|may|could) i help|what can i do for you|can i help you|how are you|"
    r"who(?:'s| is) (?:this|calling)|nasil yardimci olabilirim|kiminle gorus\w*)\b"
)
_GREETS = re.compile(
    r"\b(?:hello|hi|hey|good (?:morning|afternoon|evening)|speaking|this is \w+|my name is|yes|alo|buyurun|"
    r"efendim|merhaba|iyi gunler|gunaydin|ben \w+)\b"
)
_MOST_GREETED = 14
"""Words: whoever greets with more reads them."""


@dataclass
class _Visit:
    """One menu: what was heard of it so far, and the keys that were pressed in those before."""

    said: list[str] = field(default_factory=list)
    tried: Counter[Option] = field(default_factory=Counter)
    keys: list[str] = field(default_factory=list)


def reply(history: History) -> Reply:
    """Exactly one function, and no words: machines listen."""
    goal, language = goal_of(history.instructions)
    language = fold(language).split("-")[0].split("_")[0]
    visit = _so_far(history.events, language)
    last = next((event.text for event in reversed(history.events) if isinstance(event, Heard)), "")
    if last == SILENCE:
        return _after_silence(visit, goal, language)
    return _after_words(fold(last), visit, goal, language)


def _so_far(events: Sequence[Event], language: str) -> _Visit:
    visit = _Visit()
    for event in events:
        if isinstance(event, Heard) and event.text != SILENCE:
            visit.said.append(event.text)
        elif isinstance(event, Ran) and (pressed := _PRESSED.match(event.output or "")):
            there = options_in(" ".join(visit.said), language)
            visit.tried.update({option: 1 for option in there if option.key == pressed[1]})
            visit.keys.append(pressed[1])
            visit.said = []
    return visit


def _after_words(  # noqa: PLR0911 - a list of what it can be, surest first
    last: str, visit: _Visit, goal: str, language: str
) -> Reply:
    if _VOICEMAIL.search(last) and not options_in(last, language):
        return _call("machine_answered")
    there = options_in(" ".join(visit.said), language)
    if options_in(last, language) or (there and there != options_in(" ".join(visit.said[:-1]), language)):
        left = [option for option in there if visit.tried[option] < MOST_PRESSED]
        if (option := leading_to(goal, left, language)) is not None:
            return _press(option.key)
        return _wait("menu")
    if _CLOSED.search(last):
        return _call("give_up", reason="closed")
    if _REFUSED.search(last):
        return _wait("menu")
    if _ASKS_US.search(last) and "you can say" not in last:
        return _call("person_answered")
    if _HOLD.search(last) or _RECORDED.search(last):
        return _wait("hold")
    if _GREETS.search(last) and len(last.split()) <= _MOST_GREETED:
        return _call("person_answered")
    return _wait("menu" if there else "hold")


def _after_silence(visit: _Visit, goal: str, language: str) -> Reply:
    """The menu is at its end, or whoever spoke waits for an answer."""
    if not visit.said:
        return _wait("hold")
    last = fold(visit.said[-1])
    there = options_in(" ".join(visit.said), language)
    if there:
        left = [option for option in there if visit.tried[option] < MOST_PRESSED]
        option = leading_to(goal, left, language) or to_a_person(left)
        if option is not None:
            return _press(option.key)
        return _wait("hold") if _HOLD.search(last) or "0" in visit.keys else _press("0")
    if _HOLD.search(last) or _REFUSED.search(last):
        return _wait("hold")
    return _call("person_answered")


def _press(key: str) -> Reply:
    return _call("press_keys", digits=key)


def _wait(heard: str) -> Reply:
    return _call("keep_waiting", heard=heard)


def _call(name: str, **arguments: str) -> Reply:
    return Reply(call=Call(name, arguments))
