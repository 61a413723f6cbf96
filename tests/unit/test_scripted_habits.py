"""How the scripted engine speaks: small talk, sources, Turkish, and in time."""

import time
from collections.abc import Sequence

import pytest
from livekit.agents import llm
from livekit.agents.llm import function_tool

from kb.embeddings import MiniLmEmbedder, Vectors
from pipelines.local.scripted import LANGUAGES
from pipelines.local.scripted.llm import ScriptedLLM
from pipelines.local.scripted.speech import speakable
from pipelines.local.scripted.wording import LanguageNotScripted, wording_for
from pipelines.phrases import GOODBYE_ASKED
from tests.support.scripted_clinic import KNOWLEDGE, PROMPT, book_appointment
from tests.support.scripted_talk import Talk

# ── small talk ───────────────────────────────────────────────────────────────────────────────────
SMALL_TALK = [
    ("Hello", "Hello! What can I do for you?"),
    ("Thank you so much.", "You're welcome. Is there anything else?"),
    ("No, that's all. Thanks.", "Thank you for calling. Goodbye!"),
    ("Bye bye", "Thank you for calling. Goodbye!"),
    ("Are you a robot?", "I am an automated assistant, not a person."),
    ("Am I talking to a real person?", "I am an automated assistant, not a person."),
    ("I want to speak to a human", "I can't put you through to a person from here. Our phone number is"),
    ("Who am I speaking to?", "You are speaking with Mia, an automated assistant."),
    ("What can you do?", "You can ask me about opening hours, prices and how to reach the team, and I can"),
    ("Can you hear me?", "Yes, I can hear you."),
    ("One moment please", "Of course, take your time."),
    ("uh the", "I'm sorry, I did not get that."),
]


@pytest.mark.parametrize(("said", "reply"), SMALL_TALK)
async def test_small_talk_is_short_and_honest(talk: Talk, said: str, reply: str) -> None:
    assert (await talk.say(said)).startswith(reply)


async def test_it_greets_by_name_and_house(talk: Talk) -> None:
    assert await talk.greet() == "Hello, this is Mia from Bright Smile Dental. How can I help you?"


async def test_the_owners_own_greeting_is_used() -> None:
    greeting = Talk('You work for Blue. Answer the phone with "Blue, good day, what can I do?" and be kind.')
    assert await greeting.greet() == "Blue, good day, what can I do?"


@pytest.mark.parametrize("asked", ["Where do you have that from?", "How do you know?", "Who says so?"])
async def test_the_source_is_named_when_somebody_asks_for_it(talk: Talk, asked: str) -> None:
    await talk.say("How much is a cleaning?")
    assert await talk.say(asked) == "That is written in what I was given to read, under: Prices."


async def test_before_anything_was_told_there_is_no_source(talk: Talk) -> None:
    assert (await talk.say("How do you know that?")).startswith("I have not told you anything yet")


async def test_what_was_said_is_repeated_in_full_although_it_was_cut_off(talk: Talk) -> None:
    said = await talk.say("How much is a cleaning?")
    talk.cut_off("A cleaning")
    assert await talk.say("Sorry, can you repeat that?") == said


# ── speech, languages, speed ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Mon–Fri** 9-18", "Monday to Friday 9 to 18."),
        ("Sat: 10:00 - 14:00", "Saturday: 10:00 to 14:00."),
        ("Call 555-1234", "Call 555-1234."),
        ("See [our page](http://x.test)!", "See our page!"),
    ],
)
def test_a_written_fact_is_made_ready_for_a_voice(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


async def test_it_speaks_turkish() -> None:
    prompt = """Sen Bahar Diş Kliniği'nin asistanısın. Kısa ve nazik konuş. Hafta içi 9'dan 18'e kadar açığız.
Cumartesi günleri 10'dan 14'e kadar açığız. Diş temizliği 1500 lira. Adresimiz Bağdat Caddesi 12.
Kredi kartlarını kabul ediyoruz. Otopark binanın arkasındadır."""
    talk = Talk(prompt, language="tr", tools=[book_appointment])
    assert await talk.say("Diş temizliği ne kadar?") == "Diş temizliği 1500 lira."
    assert await talk.say("Cumartesi açık mısınız?") == "Cumartesi günleri 10'dan 14'e kadar açığız."
    assert (await talk.say("İmplant ne kadar?")).startswith("Üzgünüm, bu bilgi bende yok.")
    assert await talk.say("Adresiniz nerede?") == "Adresimiz Bağdat Caddesi 12."
    assert await talk.say("Diş temizliği acıtır mı?") == (
        "Üzgünüm, buna tam bir yanıtım yok. Bildiğim en yakın şey şu: Diş temizliği 1500 lira."
    )
    assert await talk.say("Kredi kartı geçiyor mu?") == "Kredi kartlarını kabul ediyoruz."
    assert await talk.say("Araba park edecek yer var mı?") == "Otopark binanın arkasındadır."
    assert await talk.say("Teşekkür ederim") == "Rica ederim. Başka bir şey var mı?"
    assert (await talk.say("Robot musun?")).startswith("Ben bir insan değil")


@function_tool
async def randevu_al(isim: str, tarih: str, saat: str) -> str:
    """Randevu al.

    Args:
        isim: Hastanın adı ve soyadı.
        tarih: Randevu tarihi.
        saat: Randevu saati.
    """
    return f"{isim} için {tarih} saat {saat} randevusu alındı."


async def test_it_books_in_turkish() -> None:
    talk = Talk("Hafta içi 9'dan 18'e kadar açığız.", language="tr", tools=[randevu_al])
    for said, reply in (
        ("Randevu almak istiyorum.", "Adınız nedir?"),
        ("Adım Ayşe Yılmaz", "Hangi gün için?"),
        ("yarın", "Saat kaç için?"),
        ("on buçukta", "Tekrar ediyorum. İsim: Ayşe Yılmaz, tarih: 24 Kasım Salı, saat: 10:30. Doğru mu?"),
        (
            "hayır, on birde",
            "Tekrar ediyorum. İsim: Ayşe Yılmaz, tarih: 24 Kasım Salı, saat: 11:00. Doğru mu?",
        ),
        ("evet doğru", "Bir saniye lütfen. Ayşe Yılmaz için 24 Kasım Salı saat 11:00 randevusu alındı."),
    ):
        assert await talk.say(said) == reply


def test_a_language_without_words_is_refused() -> None:
    assert {wording_for(language).language for language in LANGUAGES} == set(LANGUAGES)
    with pytest.raises(LanguageNotScripted):
        ScriptedLLM(language="de-DE")


async def test_a_turn_takes_under_15_ms_apart_from_meanings(talk: Talk) -> None:
    questions = ["How much is a cleaning?", "are you open on saturday", "do you have wifi", "and a filling?"]
    took = []
    for said in questions:
        await talk.say(said)  # the vectors are known from here on
        # Time of this thread: meanings are made in another one, and the machine may be busy.
        started = time.thread_time()
        await talk.generate()
        took.append(time.thread_time() - started)
    assert sorted(took)[1] < 0.015


class _Counting(MiniLmEmbedder):
    texts = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        return await super().embed(texts)


async def test_what_is_expected_is_learned_while_the_agent_greets() -> None:
    costs = []
    for is_expected in (False, True):
        embedder = _Counting()
        talk = Talk(PROMPT, KNOWLEDGE, [book_appointment], embedder=embedder)
        if is_expected:
            await talk.engine.prepare(PROMPT, [book_appointment], KNOWLEDGE)
        before = embedder.texts
        await talk.say("How much is a cleaning?")
        costs.append(embedder.texts - before)
    assert costs[1] <= costs[0] - 13  # every fact of the prompt and of the knowledge


async def test_what_knowledge_said_before_it_was_deleted_is_not_repeated() -> None:
    talk = Talk(PROMPT, KNOWLEDGE)
    assert "250" in await talk.say("How much is teeth whitening?")
    talk.lose_knowledge()
    assert "250" not in await talk.say("How much is teeth whitening?")
    assert "9 AM" in await talk.say("When are you open?"), "what the prompt says is still known"


async def test_asked_to_part_in_the_place_of_another_engine_it_parts() -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=f"{PROMPT}\n{GOODBYE_ASKED}, in tr. Be kind.")
    context.add_message(role="assistant", content="Merhaba.")
    reply = await ScriptedLLM(language="tr").chat(chat_ctx=context).collect()
    assert reply.text == wording_for("tr").say("goodbye")
