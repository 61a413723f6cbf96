"""Take away what is there for the eye: markdown, pictures, links."""

import re

_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)
LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)")
_BULLET = re.compile(r"^[ \t]*(?:[-*•–]|#{1,6}|>)[ \t]+", re.MULTILINE)
_NUMBERED = re.compile(r"^([ \t]*\d{1,3})[.)][ \t]+", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,}|[|:\- ]{3,})[ \t]*$", re.MULTILINE)
_EMPHASIS = re.compile(r"\*+|~~|`+|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)")
_PLACEHOLDER = re.compile(r"[ \t]?\{\{[^{}\n]*\}\}")
_CELL = re.compile(r"[ \t]*\|[ \t]*")
TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")
_PICTURES = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d\u20e3]+")


def without(text: str) -> str:
    """The words alone, and no variable that an engine made up.

    A list keeps its numbers, a link its text, a table a comma between cells.
    """
    text = LINK.sub(r"\1", _FENCE.sub("", _PLACEHOLDER.sub("", text)))
    text = _NUMBERED.sub(r"\1, ", _BULLET.sub("", _RULE.sub("", text)))
    text = _EMPHASIS.sub("", TAG.sub("", text))
    text = _CELL.sub(", ", text)
    return _PICTURES.sub("", text)
