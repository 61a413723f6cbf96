"""What an engine wrote, as a voice is given it."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.agent_config import Pronunciation
from pipelines.speakable import Speakable

DICTIONARY = (
    Pronunciation(word="SQL", say="sequel"),
    Pronunciation(word="Bright Smile", say="BRIGHT smile"),
    Pronunciation(word="Ortiz", say="or-TEEZ 4:00"),
    Pronunciation(word="gift", say="Geschenk", language="de-AT"),
)

SPOKEN: list[tuple[str, str, str]] = [
    ("en-US", "**Hello** there, _friend_ 🎉!", "Hello there, friend !"),
    ("en-US", "# Hours\n- First\n* Second\n1. Third", "Hours\nFirst\nSecond\n1, Third"),
    ("en-US", "It is a well-known one - not two.", "It is a well-known one - not two."),
    ("en-US", "See [our site](https://example.com/a?b=c).", "See our site."),
    ("en-US", "```python\nprint()\n```\nDone.", "\nprint()\n\nDone."),
    ("en-US", "Mail info@north-clinic.co.uk.", "Mail info at north dash clinic dot co dot uk."),
    ("en-US", "Visit https://www.example.com/prices?x=1!", "Visit example dot com slash prices!"),
    ("en-US", "Visit example.com, please.", "Visit example dot com, please."),
    ("en-US", "It costs $9.99, not $1.", "It costs 9 dollars and 99 cents, not 1 dollar."),
    (
        "en-US",
        "£1,250.50 for 1,250 people, 50% off",
        "1250 pounds and 50 cents for 1250 people, 50 percent off",
    ),
    ("en-US", "CHF 5", "5 Swiss francs"),
    ("en-US", "Open 9:00-17:30, or until 7:05 pm.", "Open 9 o'clock to 5 30 PM, or until 7 oh 5 PM"),
    ("en-US", "Midnight is 0:15.", "Midnight is 12 15 AM."),
    ("en-US", "From 9–5.", "From 9 to 5."),
    ("en-US", "Call 555-0142 now.", "Call 5 5 5, 0 1 4 2 now."),
    ("en-US", "Call +1 (212) 555 0142.", "Call plus 1, 2 1 2, 5 5 5, 0 1 4 2."),
    ("en-US", "Call 5550142999.", "Call 5 5 5, 0 1 4, 2 9 9 9."),
    ("en-US", "Order AB-1234 or X7K9.", "Order A B, 1 2 3 4 or X, 7, K, 9."),
    ("en-US", "COVID-19, B2B, MP3 and the 3rd.", "COVID-19, B2B, MP3 and the 3rd."),
    ("en-US", "On 2026-03-05, in 2024.", "On March 5, 2026, in 2024."),
    ("en-US", "Call 911: 3.5 kg, 1/2, 42 Maple Street", "Call 911: 3.5 kg, 1/2, 42 Maple Street"),
    ("en-US", "Dr. Ortiz of Bright Smile", "Dr. or-TEEZ 4:00 of BRIGHT smile"),
    ("en-US", "sql, not sql@example.com; a gift", "sequel, not sql at example dot com; a gift"),
    ("de-DE", "Ein Gift um 19:30 Uhr", "Ein Geschenk um 19 Uhr 30"),
    ("de-DE", "1.250,50 € oder 9,99 €, 50 %", "1250 Euro 50 oder 9 Euro 99, 50 Prozent"),
    ("de-DE", "Am 2026-03-05 an info@a.de", "Am 5. März 2026 an info ät a Punkt de"),
    ("tr-TR", "₺100, %50 indirim, 12,50 TL", "100 lira, yüzde 50 indirim, 12 lira 50 kuruş"),
    ("tr-TR", "Bizi 0212 555 01 42'den arayın", "Bizi 0 2 1 2, 5 5 5, 0 1, 4 2'den arayın"),
    ("fr-FR", "9,99 € à 14:00", "9 euros 99 à 14 heures"),
    ("es-ES", "info@a.es, 5 $", "info arroba a punto es, 5 dólares"),
    ("it-IT", "1.000 € alle 9:30", "1000 euro alle 9 e 30"),
    ("nl-NL", "om 14:05 uur", "om 14 uur 5"),
    ("pt-BR", "€ 2,50", "2 euros e 50"),
    ("pl-PL", "5 EUR o 14:30, tel. 600700800", "5 euro o 14:30, tel. 6 0 0, 7 0 0, 8 0 0"),
    ("xx", "**a** 5 EUR", "a 5 EUR"),
]


@pytest.mark.parametrize(("language", "written", "spoken"), SPOKEN, ids=lambda text: str(text)[:30])
def test_what_was_written_is_spoken_so(language: str, written: str, spoken: str) -> None:
    assert Speakable(language, DICTIONARY).text(written) == spoken


async def _stream(speakable: Speakable, chunks: list[str]) -> list[str]:
    async def written() -> AsyncIterator[str]:
        for chunk in chunks:
            yield chunk

    return [piece async for piece in speakable.stream(written())]


@given(place=st.integers(0, len(SPOKEN) - 1), cuts=st.sets(st.integers(1, 60), max_size=12))
def test_it_does_not_matter_where_the_text_was_cut(place: int, cuts: set[int]) -> None:
    language, written, spoken = SPOKEN[place]
    ends = [0, *sorted(cut for cut in cuts if cut < len(written)), len(written)]
    chunks = [written[start:end] for start, end in pairwise(ends)]
    assert "".join(asyncio.run(_stream(Speakable(language, DICTIONARY), chunks))) == spoken


async def test_words_are_not_held_up_by_what_may_come() -> None:
    tokens = ["Certainly", ",", " we", " are", " open", " on", " 555"]
    assert await _stream(Speakable("en"), tokens) == ["Certainly, ", "we ", "are ", "open ", "on ", "555"]


async def test_what_never_ends_is_read_as_it_comes() -> None:
    pieces = await _stream(Speakable("en"), ["[", *["a" * 50] * 20])
    assert len(pieces) > 2
    assert "".join(pieces).count("a") == 1000


async def test_another_language_holds_from_the_next_answer_on() -> None:
    speakable = Speakable("en-US")
    assert "".join(await _stream(speakable, ["At 14:00 "])) == "At 2 PM "
    speakable.language = "de-DE"
    assert "".join(await _stream(speakable, ["Um 14:00 "])) == "Um 14 Uhr "
