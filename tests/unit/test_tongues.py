"""When an agent follows a caller into another language."""

from typing import Any

import pytest

from pipelines.speakable import Speakable
from pipelines.tongues import Tongue, Tongues

GERMAN = Tongue("de-AT", object())  # type: ignore[arg-type]

TALKS: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "its own language changes nothing": ([("en", "How are you doing today?")], []),
    "a whole sentence is believed": ([("de", "Sprechen Sie bitte Deutsch mit mir?")], ["de-AT"]),
    "one word is not": ([("de", "Ja.")], []),
    "two in a row are": ([("de", "Ja."), ("de-DE", "Genau.")], ["de-AT"]),
    "two with another in between are not": ([("de", "Ja."), ("en", "Yes."), ("de", "Ja.")], []),
    "a language that is not served is not followed": ([("fr", "Parlez-vous français avec moi ?")], []),
    "there and back": (
        [("de", "Sprechen Sie bitte Deutsch mit mir?"), ("en", "Let us go back to English.")],
        ["de-AT", "en-US"],
    ),
    "a recogniser that does not know": ([("", "Sprechen Sie bitte Deutsch mit mir?")], []),
}


@pytest.mark.parametrize("case", TALKS)
def test_who_is_followed(case: str) -> None:
    said, follows = TALKS[case]
    speakable = Speakable("en-US")
    tongues = Tongues("en-US", {"de": GERMAN}, speakable)
    went: list[Any] = []
    codes: list[str] = []
    tongues.to = lambda tongue, tag: went.append(tag)
    tongues.warn = lambda code, message: codes.append(code)
    for language, words in said:
        tongues.heard(language, words)
    assert went == follows
    assert codes == ["language_switched"] * len(follows)
    assert speakable.language == ([*follows] or ["en-US"])[-1]
    assert ("de-AT" in tongues.told) == (follows[-1:] == ["de-AT"])
