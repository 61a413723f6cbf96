"""What somebody is told who is asked to take a call, and what their answer means."""

import pytest
from livekit.agents import llm

from pipelines import handoff
from tests.support.fake_providers import TableLLM


@pytest.mark.parametrize(
    ("said", "language", "takes"),
    [
        ("Yes.", "en-US", True),
        ("Yeah, sure, put them through.", "en", True),
        ("No, not now.", "en", False),
        ("I'm not sure.", "en", False),
        ("I don't think so, okay?", "en", False),
        ("Who is this?", "en", None),
        ("Ja, gerne.", "de-DE", True),
        ("Nein danke.", "de", False),
        ("Evet, bağlayın.", "tr-TR", True),
        ("Hayır.", "tr", False),
        ("D’accord.", "fr", True),
        ("Sì.", "it", True),
        ("Não posso.", "pt-BR", False),
        ("", "en", None),
        ("Yes.", "xx", True),
    ],
)
def test_an_answer_is_understood_or_is_none(said: str, language: str, takes: bool | None) -> None:
    assert handoff.accepts(said, language) is takes


def talk(*said: str) -> llm.ChatContext:
    made = llm.ChatContext.empty()
    made.add_message(role="system", content="Secret rules.")
    for number, text in enumerate(said):
        made.add_message(role="assistant" if number % 2 else "user", content=text)
    return made


async def test_without_a_model_they_are_told_the_last_words() -> None:
    told = await handoff.about(talk("My bill is wrong.", "I see.", "A human please."), "en", None)
    assert told == "Hello, somebody on the phone is waiting to talk to you. They last said: A human please."
    assert await handoff.about(talk(), "de", None) == "Hallo, hier wartet jemand am Telefon auf Sie."
    long = await handoff.about(talk("word " * 200), "en", None)
    assert len(long) < 300
    assert long.endswith("word …")


async def test_a_model_sums_it_up_and_one_that_fails_does_not_hold_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = TableLLM()
    told = await handoff.about(talk("My bill is wrong.", "I see."), "en-US", model)
    assert told.startswith(
        "Hello, somebody on the phone is waiting to talk to you. You said: Caller: My bill"
    )
    asked = model.asked[0].items
    assert "en-US" in (asked[0].text_content or "")  # type: ignore[union-attr]
    assert "Secret rules" not in (asked[1].text_content or "")  # type: ignore[union-attr]
    monkeypatch.setattr(handoff, "SUMMARY_SECONDS", 0.05)
    model.stalls = 1
    assert (await handoff.about(talk("Hi."), "en", model)).endswith("They last said: Hi.")
    model.fails = True
    assert (await handoff.about(talk("Hi."), "en", model)).endswith("They last said: Hi.")
