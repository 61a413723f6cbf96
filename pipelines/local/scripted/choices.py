"""Whether a choice out of a list was said, misheard or only mentioned by half."""

import re

from rapidfuzz import fuzz

from kb.words import EMPTY, stem, words


def likeness(said: str, text: str) -> tuple[float, str]:
    """How surely a folded text says a folded choice, 0 to 100 and a little, and the words it is said in."""
    if re.search(rf"\b{re.escape(said)}\b", text):
        return 100.0 + len(said) / 100, said
    spoken, choice = words(text), words(said)
    if not choice or not spoken:
        return 0.0, ""
    stems = {stem(word) for word in spoken}
    if all(stem(word) in stems for word in choice):
        return 95.0, ""
    best, span = 0.0, ""
    for size in {len(choice), len(choice) + 1}:
        for start in range(max(1, len(spoken) - size + 1)):
            piece = " ".join(spoken[start : start + size])
            score = fuzz.ratio("".join(choice), piece.replace(" ", ""))
            if score > best:
                best, span = score, piece
    if len(choice) > 1 and choice[-1] in spoken and choice[-1] not in EMPTY:
        best = max(best, 74.0)  # half of a name is enough for an answer, not for a mention
    return best, span
