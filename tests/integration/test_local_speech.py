"""Hearing and speaking on this machine, as a LiveKit session does it, with the real models."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import psutil
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, stt
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from pipelines.local.client import ModelsClient
from pipelines.local.espeak import EspeakTTS, NoVoice
from pipelines.local.hibari import HibariTTS
from pipelines.local.whisper import WhisperSTT
from tests.support.models import ModelsProcess, models_process, spoken
from tests.support.sounds import NOISES, Sound, pcm, resample, silence, telephone, word_errors

FRAME = 800
SENTENCES = (
    "I would like to book an appointment for a cleaning on Tuesday.",
    "How much does a root canal cost?",
    "What time do you open on Saturday?",
    "Do you have parking in front of the building?",
    "My daughter has a toothache, can we come today?",
    "Yes, please.",
    "No, thank you.",
    "Can I pay by credit card?",
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelsProcess]:
    with models_process(tmp_path_factory.mktemp("call2me")) as process:
        yield process


@pytest.fixture
async def client(running: ModelsProcess) -> AsyncIterator[ModelsClient]:
    client = await running.ready()
    yield client
    await client.aclose()


class Heard:
    """Everything a stream of `WhisperSTT` said about a sound, and when."""

    def __init__(self) -> None:
        self.events: list[tuple[float, stt.SpeechEvent]] = []

    def texts(self, kind: stt.SpeechEventType) -> list[str]:
        return [event.alternatives[0].text for _, event in self.events if event.type == kind]

    @property
    def finals(self) -> list[str]:
        return [text for text in self.texts(stt.SpeechEventType.FINAL_TRANSCRIPT) if text]

    @property
    def captions(self) -> list[str]:
        return self.texts(stt.SpeechEventType.INTERIM_TRANSCRIPT)

    @property
    def final_at(self) -> float:
        return next(at for at, event in self.events if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT)


async def listen(whisper: WhisperSTT, sound: Sound, *, pace: float = 1.0) -> Heard:
    """Push a sound as a call would; `pace` 0 pushes it as fast as it goes."""
    heard = Heard()
    samples = pcm(sound)
    async with whisper.stream() as stream:
        started = time.monotonic()

        async def push() -> None:
            for at in range(0, len(samples), FRAME):
                frame = samples[at : at + FRAME]
                stream.push_frame(rtc.AudioFrame(frame.tobytes(), 16_000, 1, len(frame)))
                await asyncio.sleep(max(0.0, started + pace * (at + FRAME) / 16_000 - time.monotonic()))
            stream.end_input()

        async with asyncio.TaskGroup() as group:
            group.create_task(push())
            async for event in stream:
                heard.events.append((time.monotonic() - started, event))
    return heard


@pytest.fixture
async def whisper(running: ModelsProcess, client: ModelsClient) -> AsyncIterator[WhisperSTT]:
    async with WhisperSTT(running.socket, language="en-US") as whisper:
        yield whisper


async def test_sentences_over_a_telephone_are_understood(client: ModelsClient) -> None:
    errors = []
    for sentence in SENTENCES:
        sound = telephone(await spoken(client, sentence))
        heard = await client.transcribe(pcm(sound), language="en")
        errors.append(word_errors(sentence, heard.text))
    assert sum(errors) / len(errors) < 0.08, list(zip(SENTENCES, errors, strict=True))


async def test_a_question_is_heard_soon_after_its_last_word(
    whisper: WhisperSTT, client: ModelsClient
) -> None:
    said = await spoken(client, SENTENCES[0])
    spoken_until = 0.5 + (np.flatnonzero(np.abs(said) > 0.01)[-1]) / 16_000
    heard = await listen(whisper, np.concatenate((silence(0.5), said, silence(1.2))))
    print(f"\nfinal transcript {heard.final_at - spoken_until:.3f} s after the last sound")  # noqa: T201
    assert word_errors(SENTENCES[0], " ".join(heard.finals)) < 0.1
    assert heard.captions, "an idle machine shows captions"
    assert heard.captions[0].lower().startswith("i would")


async def test_a_breath_does_not_cut_a_sentence_in_two(whisper: WhisperSTT, client: ModelsClient) -> None:
    first, second = await spoken(client, "I would like to come"), await spoken(client, "on Tuesday morning.")
    # A pause that begins a decoding (160 ms) and ends before the sentence does (256 ms).
    first = first[: np.flatnonzero(np.abs(first) > 0.01)[-1]]
    second = second[np.flatnonzero(np.abs(second) > 0.01)[0] :]
    sound = np.concatenate((silence(0.5), first, silence(0.1), second, silence(1)))
    heard = await listen(whisper, sound)
    assert len(heard.finals) == 1
    assert word_errors("I would like to come on Tuesday morning", heard.finals[0]) < 0.2


async def test_two_questions_are_two_transcripts_in_order(whisper: WhisperSTT, client: ModelsClient) -> None:
    questions = [await spoken(client, sentence) for sentence in SENTENCES[1:3]]
    heard = await listen(
        whisper, np.concatenate((questions[0], silence(0.8), questions[1], silence(0.8))), pace=0.3
    )
    assert [word_errors(wanted, text) for wanted, text in zip(SENTENCES[1:3], heard.finals, strict=True)] == [
        0,
        0,
    ]


async def test_speech_up_to_the_very_end_is_not_lost(whisper: WhisperSTT, client: ModelsClient) -> None:
    said = await spoken(client, SENTENCES[2])
    heard = await listen(whisper, said[: np.flatnonzero(np.abs(said) > 0.01)[-1]], pace=0)
    assert word_errors(SENTENCES[2], " ".join(heard.finals)) == 0


@pytest.mark.parametrize("name", sorted(NOISES))
@pytest.mark.parametrize("level", [0.05, 0.6])
async def test_a_track_of_noise_holds_no_words(whisper: WhisperSTT, name: str, level: float) -> None:
    heard = await listen(whisper, NOISES[name](30, level=level), pace=0)
    assert heard.finals == []
    assert [text for text in heard.captions if text] == []


@pytest.mark.parametrize("name", sorted(NOISES))
@pytest.mark.parametrize("seconds", [0.4, 1, 3, 10])
async def test_noise_that_was_taken_for_speech_holds_no_words(
    client: ModelsClient, name: str, seconds: float
) -> None:
    assert (await client.transcribe(pcm(NOISES[name](seconds)), language="en")).text == ""


async def test_five_minutes_of_silence_hold_no_words_and_cost_next_to_nothing(
    whisper: WhisperSTT, client: ModelsClient
) -> None:
    done_before = (await client.health())["models"]["transcribe"]["done"]
    cpu_before = psutil.Process().cpu_times().user
    heard = await listen(whisper, silence(300), pace=0)
    cpu = psutil.Process().cpu_times().user - cpu_before
    print(f"\nlistening to silence: {cpu / 300 * 1000:.1f} ms of CPU for each second")  # noqa: T201
    assert heard.finals == []
    assert (await client.health())["models"]["transcribe"]["done"] == done_before


async def test_a_flush_is_answered_at_once_even_with_nothing(whisper: WhisperSTT) -> None:
    async with whisper.stream() as stream:
        stream.push_frame(rtc.AudioFrame(pcm(silence(0.5)).tobytes(), 16_000, 1, 8000))
        stream.flush()
        event = await asyncio.wait_for(anext(stream), 1)
    assert event.type == stt.SpeechEventType.FINAL_TRANSCRIPT
    assert event.alternatives[0].text == ""


async def test_a_models_process_that_dies_in_mid_sentence_costs_no_words(
    running: ModelsProcess, whisper: WhisperSTT, client: ModelsClient
) -> None:
    said = await spoken(client, SENTENCES[4])
    listening = asyncio.create_task(listen(whisper, np.concatenate((said, silence(1)))))
    await asyncio.sleep(len(said) / 16_000 + 0.25)
    running.kill()
    running.restart()
    heard = await listening
    assert word_errors(SENTENCES[4], " ".join(heard.finals)) < 0.2
    await (await running.ready()).aclose()


async def test_a_whole_recording_can_be_recognised_too(whisper: WhisperSTT, client: ModelsClient) -> None:
    sound = pcm(await spoken(client, SENTENCES[1]))
    frame = rtc.AudioFrame(sound.tobytes(), 16_000, 1, len(sound))
    event = await whisper.recognize(frame)
    assert word_errors(SENTENCES[1], event.alternatives[0].text) == 0


# ── speaking ─────────────────────────────────────────────────────────────────────────────────────
async def test_hibari_begins_before_the_answer_is_written(
    running: ModelsProcess, whisper: WhisperSTT
) -> None:
    async with HibariTTS(running.socket) as voice, voice.stream() as speech:
        speech.push_text("We are open on Saturday from eight until noon. ")
        speech.push_text("You can ")
        first = await asyncio.wait_for(anext(speech), 2)
        assert first.frame.sample_rate == 24_000
        speech.push_text("park in front of the building.")
        speech.end_input()
        frames = [first.frame, *[event.frame async for event in speech]]
    words = [word for frame in frames for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])]
    text = "We are open on Saturday from eight until noon. You can park in front of the building."
    assert "".join(words) == text
    seconds = sum(frame.duration for frame in frames)
    assert 0 == words[0].start_time < words[-1].end_time == pytest.approx(seconds, abs=0.05)
    sound = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in frames]) / 32768
    heard = await whisper.client.transcribe(pcm(resample(sound, 24_000, 16_000)), language="en")
    assert word_errors(text, heard.text.replace("8", "eight")) < 0.1


async def test_an_address_is_read_out(running: ModelsProcess, whisper: WhisperSTT) -> None:
    async with HibariTTS(running.socket) as voice:
        frame = await voice.synthesize("Write to info@example.com today.").collect()
    sound = resample(np.frombuffer(frame.data, np.int16) / 32768, 24_000, 16_000)
    heard = (await whisper.client.transcribe(pcm(sound), language="en")).text.lower()
    assert "example" in heard
    assert "com" in heard


async def test_an_answer_without_a_sound_is_no_failure(running: ModelsProcess) -> None:
    async with HibariTTS(running.socket) as voice:
        assert (await voice.synthesize("😀 …").collect()).duration < 0.7


async def test_no_models_process_is_an_error_a_session_knows(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from livekit.agents import APIConnectOptions

    nowhere = tmp_path_factory.mktemp("nowhere") / "m.sock"
    once = APIConnectOptions(max_retry=0, timeout=0.3)
    async with HibariTTS(nowhere) as voice:
        with pytest.raises(APIConnectionError):
            await voice.synthesize("Hello.", conn_options=once).collect()


async def test_espeak_speaks_turkish_and_faster_when_asked() -> None:
    text = "Merhaba, size nasıl yardımcı olabilirim?"
    async with EspeakTTS(language="tr-TR") as slow, EspeakTTS(language="tr", speed=1.6) as fast:
        normal = await slow.synthesize(text).collect()
        quick = await fast.synthesize(text).collect()
    assert normal.sample_rate == 22_050
    assert 1.0 < normal.duration < 6.0
    assert quick.duration < normal.duration * 0.8
    assert np.abs(np.frombuffer(normal.data, np.int16)).max() > 1000


async def test_espeak_takes_text_for_text() -> None:
    async with EspeakTTS(language="en") as voice:
        frame = await voice.synthesize('-v fr; $(touch /tmp/x) "quotes" <say-as> `id`').collect()
    assert frame.duration > 1


async def test_espeak_is_killed_when_nobody_listens() -> None:
    async with EspeakTTS(language="en") as voice:
        stream = voice.synthesize("a very long story " * 250)
        await asyncio.sleep(0.05)
        await stream.aclose()
        left = [child for child in psutil.Process().children() if "espeak" in child.name()]
        assert left == []


def test_espeak_says_which_language_it_does_not_have() -> None:
    with pytest.raises(NoVoice, match="no voice for tlh"):
        EspeakTTS(language="tlh")
