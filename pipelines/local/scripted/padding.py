"""Taking away what callers say around a question."""

import re

from kb.words import joined

# What people say around a question. It says nothing about what they ask, and moves its meaning.
_OPENERS = re.compile(
    r"^(?:(?:hi|hello|hey|hiya|yes|yeah|um+|uh+|er+|hm+|so|ok|okay|alright|well|oh|right|please|"
    r"sorry|excuse me|listen|actually|just|"
    r"quick question|good (?:morning|afternoon|evening)|there)[,.! ]+)+"
)
_PADDING = re.compile(
    r"\b(?:(?:can|could|would) you (?:please )?tell me(?: if| whether)?|"
    r"(?:do|would) you (?:happen to )?know(?: if| whether)?|"
    r"i(?:'m| am| was)(?: just)? wondering(?: if| whether)?|"
    r"i(?:'d| would)?(?: just)? (?:like|want|wanted|need) to know(?: if| whether)?|"
    r"or (?:something|anything)(?: like that)?|or so|i mean|you know|"
    r"by any chance|(?:u+h+|u+m+)|please)\b[, ]*"
)
_REWORDED = (
    (re.compile(r"\b(?:you|u) guys\b|\bu\b"), "you"),
    (
        re.compile(
            r"\bis it (?:ok|okay|alright|all right|fine|possible|allowed|cool) (?:if i|to|for me to)\b"
        ),
        "can i",
    ),
    (re.compile(r"\b(?:anything|something|money) off\b"), "a discount"),
    (re.compile(r"\b(?:wanna|want to)\b"), "want to"),
)


def to_the_point(text: str) -> str:
    """What is asked, without what is only said around it; everything, where nothing else is left."""
    whole = joined(text).strip()
    bare = _PADDING.sub("", _OPENERS.sub("", whole))
    return " ".join(plainly(bare).split()) or whole


def plainly(folded: str) -> str:
    """A folded text with sayings put into the words that owners write."""
    for pattern, plain in _REWORDED:
        folded = pattern.sub(plain, folded)
    return folded
