"""What a second voice says of an answer that was begun already: only the words that are new."""

import re

_WORD = re.compile(r"\s*\S+")
_WHOLE_WORD = re.compile(r"\s*\S+(?=\s)")


def _bare(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


class Unsaid:
    """Takes away, from the beginning of a text that comes in pieces, what was said before.

        said      We are open from nine
        comes     open from nine to five.     or    We are open from nine to five.
        is new                   to five.

    Holds words back only while they still may be a repetition.
    """

    def __init__(self, said: str) -> None:
        self._said = [bare for word in said.split() if (bare := _bare(word))]
        self._held: list[str] = []
        self._rest = ""
        self._is_new = not self._said

    def take(self, piece: str) -> str:
        """What of it is new, and no longer in doubt."""
        if self._is_new:
            return piece
        self._rest += piece
        while (found := _WHOLE_WORD.match(self._rest)) is not None:
            self._held.append(found.group())
            self._rest = self._rest[found.end() :]
            if not self._may_be_repetition():
                return self._decide()
        return ""

    def end(self) -> str:
        """Nothing more comes."""
        if self._is_new:
            return ""
        self._held += _WORD.findall(self._rest)
        self._rest = ""
        return self._decide()

    def _may_be_repetition(self) -> bool:
        """True while these words stand somewhere in what was said."""
        words = self._bare_held()
        return any(self._said[place : place + len(words)] == words for place in range(len(self._said)))

    def _bare_held(self) -> list[str]:
        return [bare for word in self._held if (bare := _bare(word))]

    def _decide(self) -> str:
        self._is_new = True
        bare = self._bare_held()
        repeated = next(
            (count for count in range(len(bare), 0, -1) if self._said[-count:] == bare[:count]), 0
        )
        kept, dropped = [], 0
        for word in self._held:
            if dropped < repeated and _bare(word):
                dropped += 1
            elif dropped >= repeated:
                kept.append(word)
        rest, self._rest = self._rest, ""
        return "".join(kept) + rest
