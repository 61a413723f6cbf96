"""The rules, run over text as it is written.

written   Call us at 555│-0142 any│ time.
held                └──────┘            a number or an address that may still go on
spoken    Call us at │ 5 5 5, 0 1 4 2 any│ time.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence

from pipelines.agent_config import Pronunciation
from pipelines.speakable import addresses, markup, numbers
from pipelines.speakable.numbers import CODES, SIGNS
from pipelines.speakable.pronunciation import Dictionary

MAX_HELD = 240
"""Letters that are waited for at most: what is longer is read as it comes."""

# The last word may still grow; a number with blanks in it may go on after the next blank.
_UNFINISHED = re.compile(
    rf"(?<!\S)(?:[(+%{SIGNS}]*\d[\d.,:/()+%-]*[ \u00a0]+|(?:[+{SIGNS}]|(?:{CODES})\b)[ ]*"
    r"|[#>*•–-]+[ \t]+)*\S*$"
)
_OPEN_LINK = re.compile(r"!?\[[^\]\n]*(?:\](?:\([^)\s]*)?)?$")
_OPEN_TAG = re.compile(r"</?[A-Za-z][^<>\n]*$")
_MID_LINE = "\uf8ff"
"""Stands for what was already read of a line: a dash after it is no bullet."""


class Speakable:
    """Text transform for one call. `language` may change in mid-call; each answer is read in its own."""

    def __init__(self, language: str, pronunciations: Sequence[Pronunciation] = ()) -> None:
        self._pronunciations = tuple(pronunciations)
        self.language = language

    @property
    def language(self) -> str:
        """BCP-47 tag of what is spoken now."""
        return self._language

    @language.setter
    def language(self, tag: str) -> None:
        self._language = tag
        self._code = tag.replace("_", "-").split("-", 1)[0].lower()
        self._dictionary = Dictionary(self._pronunciations, self._code)

    def text(self, written: str) -> str:
        """A whole text, as it is to be spoken."""
        return self._piece(written, self._dictionary, self._code)

    async def stream(self, written: AsyncIterable[str]) -> AsyncIterator[str]:
        """Text as it is to be spoken, each piece as soon as nothing that follows can change it."""
        dictionary, code = self._dictionary, self._code
        held, before = "", ""
        async for chunk in written:
            held += chunk
            if cut := self._safe(held, dictionary):
                if spoken := self._piece(held[:cut], dictionary, code, before):
                    yield spoken
                before = "" if held[:cut].endswith("\n") else _MID_LINE
                held = held[cut:]
        if held and (spoken := self._piece(held, dictionary, code, before)):
            yield spoken

    def _piece(self, text: str, dictionary: Dictionary, code: str, before: str = "") -> str:
        text = dictionary.mark(markup.without(before + text))
        text = numbers.write_out(addresses.read_out(text, code), code)
        return dictionary.speak(text).removeprefix(before)

    def _safe(self, text: str, dictionary: Dictionary) -> int:
        """How much of the text no later letter can change."""
        # No cut falls into what is one thing although it has blanks in it.
        whole = markup.LINK.sub(_solid, markup.TAG.sub(_solid, dictionary.solid(text)))
        cuts = [len(text)]
        for pattern in (_UNFINISHED, _OPEN_LINK, _OPEN_TAG):
            if (found := pattern.search(whole[-MAX_HELD:])) is not None:
                cuts.append(max(0, len(text) - MAX_HELD) + found.start())
        if (begun := dictionary.is_begun_at_end_of(text)) is not None:
            cuts.append(begun)
        cut = min(cuts)
        return cut if len(text) - cut < MAX_HELD else len(text)


def _solid(found: "re.Match[str]") -> str:
    return "x" * len(found[0])
