"""Say an agent's own words as its owner wants to hear them."""

import re
from collections.abc import Sequence

from pipelines.agent_config import Pronunciation

_FIRST_MARK = 0xE000
"""Private letters keep a pronunciation out of every later rule's sight."""
MAX_WORDS = 2000


class Dictionary:
    """The pronunciations that hold in one language. Case is ignored, addresses are left alone."""

    def __init__(self, entries: Sequence[Pronunciation], language: str) -> None:
        said = {
            entry.word.lower(): entry.say
            for entry in entries[:MAX_WORDS]
            if not entry.language or entry.language.lower().split("-")[0] == language
        }
        words = sorted(said, key=len, reverse=True)
        self._marks = {word: chr(_FIRST_MARK + place) for place, word in enumerate(words)}
        self._said = {self._marks[word]: said[word] for word in words}
        self.longest = max((len(word) for word in words if " " in word), default=0)
        """Letters of the longest entry of several words: so much may have to be waited for."""
        self._pattern = (
            re.compile(
                r"(?<![\w@./-])(?:" + "|".join(map(re.escape, words)) + r")(?![\w@]|[./-]\w)",
                re.IGNORECASE,
            )
            if words
            else None
        )

    def mark(self, text: str) -> str:
        """Put a mark in the place of each word."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._marks.get(found[0].lower(), found[0]), text)

    def solid(self, text: str) -> str:
        """The same text with no blank inside a word of several words; as long as before."""
        if self._pattern is None or not self.longest:
            return text
        return self._pattern.sub(lambda found: found[0].replace(" ", "x"), text)

    def speak(self, text: str) -> str:
        """Put what is to be said in the place of each mark."""
        return "".join(self._said.get(letter, letter) for letter in text) if self._said else text

    def is_begun_at_end_of(self, text: str) -> int | None:
        """Where an entry of several words may have begun that the text does not finish yet."""
        if not self.longest:
            return None
        tail = text[-self.longest :].lower()
        start = len(text) - len(tail)
        for place in range(len(tail)):
            if place and (tail[place - 1].isalnum() or tail[place].isspace()):
                continue
            rest = tail[place:]
            if any(" " in word and word.startswith(rest) for word in self._marks):
                return start + place
        return None
