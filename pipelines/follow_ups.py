"""What is really asked: "and on Sunday?" asks nothing by itself."""

import re
from collections.abc import Sequence

from livekit.agents import llm

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_GOES_ON = frozenset(
    "and or but also what how then so ve ya peki veya ayrıca y e o pero también entonces und oder aber auch "
    "et ou mais aussi ed ma anche en of maar ook mas também".split()
)
"""First words of a question that goes on from another one, where it is short."""
_POINTS_BACK = frozenset(
    "it its that this these those they them their there one ones same he she his her "
    "onu onun bunu bunun şunu onlar onları orada orası aynı bu şu "
    "eso esto ese esa esos esas lo la ahí allí mismo das dies diese dieser dort dem den davon dafür "
    "ça cela ceci celui celle là y ciò questo quello lì dat dit die daar isso isto esse essa ali".split()
)
_SHORT, _LONG, _TINY = 5, 9, 2
_BACK = 3


def question(chat_ctx: llm.ChatContext) -> str:
    """What the person asks, together with what it follows up on."""
    return resolved(_said(chat_ctx))


def last_question(chat_ctx: llm.ChatContext) -> str:
    """What the person said last, in their own words."""
    return (_said(chat_ctx) or [""])[-1]


def _said(chat_ctx: llm.ChatContext) -> list[str]:
    return [
        item.text_content or ""
        for item in chat_ctx.items
        if isinstance(item, llm.ChatMessage) and item.role == "user"
    ]


def resolved(said: Sequence[str]) -> str:
    """The last thing said, behind the question that it goes on from."""
    if not said:
        return ""
    needed = [said[-1]]
    for earlier in reversed(said[-1 - _BACK : -1]):
        if not follows_up(needed[0]):
            break
        needed.insert(0, earlier)
    # Between the two there may be follow-ups that only lead back: the first says what it is about.
    return " ".join(text.strip() for text in dict.fromkeys((needed[0], needed[-1])) if text.strip())


def follows_up(text: str) -> bool:
    """Whether a text can be understood only with what was said before it."""
    words = [word.casefold() for word in _WORD.findall(text)]
    if not words:
        return False
    if len(words) <= _TINY:
        return True
    goes_on = words[0] in _GOES_ON and len(words) <= _SHORT
    return goes_on or (len(words) <= _LONG and not _POINTS_BACK.isdisjoint(words))
