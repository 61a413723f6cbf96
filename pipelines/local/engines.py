"""The speech models of this machine, in plain numpy: sound in and words out, words in and sound out.

They live in the models process (`worker/models.py`), once for all calls; nothing here knows LiveKit.
"""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.local.languages import WHISPER_LANGUAGES
from pipelines.local.mel import SAMPLE_RATE, log_mel
from pipelines.local.vocabulary import read_tokens, spelled

MAX_AUDIO_SECONDS = 120.0
MAX_TEXT_CHARACTERS = 5_000

_PADDING_SECONDS = 6.0
_SHORTEST_LOOK_SECONDS = 10.0
_SHORT_SECONDS = 2.0
_WHOLE_SECONDS = 30.0
_LONGEST_PIECE_SECONDS = 24.0
_SHORTEST_PIECE_SECONDS = 16.0
_TOKENS_PER_SECOND = 7
_SPARE_TOKENS = 12
_MAX_TOKENS = 220
_MAX_ZLIB_RATIO = 2.4
_MIN_LOGPROB = -1.0
_LEAST_LOGPROB = -1.6
_NO_SPEECH = 0.6
_SURE_NO_SPEECH = 0.85
_MAYBE_NO_SPEECH = 0.4

_AUDIBLE = 0.003
_LEAD_SECONDS = 0.02
_TAIL_SECONDS = 0.06
_SENTENCE_PAUSE_SECONDS = 0.22
_CLAUSE_PAUSE_SECONDS = 0.08
_GAIN = 1.8

Cancelled = Callable[[], bool]


class AudioTooLong(ValueError):
    """The audio is longer than two minutes; send it in pieces"""


class TextTooLong(ValueError):
    """The text is longer than 5,000 characters; send it in pieces"""


class Stopped(Exception):
    """Nobody waits for the result any more"""


@dataclass(frozen=True)
class Transcription:
    """What was understood. An empty `text` means: no words, and `reasons` say why.

    `confidence` is the mean probability of a token. `reasons`: `no_speech`, `unsure`, `repetition`,
    `doubled`, `too_many_tokens` and `second_look` (decoded again with Whisper's full 30 seconds).
    """

    text: str
    language: str
    confidence: float
    no_speech: float
    reasons: tuple[str, ...] = ()


class WhisperEngine:
    """Whisper through CTranslate2, int8, made quick for the short utterances of a call.

    Whisper was made to read 30 s at once; this gives it the utterance and 6 s of silence, at least 10 s
    together: a third of the work. With much less it loops or says a short word twice, so what looks like
    that, or like a guess, is decoded again in full, and the surer of the two counts:

        first look    ▁▁███████▁______
        second look   ▁▁███████▁_____________________________________

    `model` is a folder with `model.bin` and the vocabulary of a CTranslate2 conversion.
    """

    def __init__(self, model: Path, *, threads: int = 2, workers: int = 1) -> None:
        import ctranslate2  # noqa: PLC0415 - 13 MB, only for who transcribes

        self._as_view: Callable[[NDArray[np.float32]], Any] = ctranslate2.StorageView.from_array
        self._model: Any = ctranslate2.models.Whisper(
            str(model), device="cpu", compute_type="int8", inter_threads=workers, intra_threads=threads
        )
        self._tokens = read_tokens(model)
        ids = {token: number for number, token in enumerate(self._tokens) if token.startswith("<|")}
        self._start = ids["<|startoftranscript|>"]
        self._transcribe = ids["<|transcribe|>"]
        self._no_timestamps = ids["<|notimestamps|>"]
        self._end = ids["<|endoftext|>"]
        self._languages = {code: ids[f"<|{code}|>"] for code in WHISPER_LANGUAGES if f"<|{code}|>" in ids}
        self.languages: tuple[str, ...] = tuple(self._languages) if self._model.is_multilingual else ("en",)
        self._bands: int = self._model.n_mels

    def warm_up(self) -> None:
        """Run once, so that the first caller does not pay for what is set up on first use."""
        self.transcribe(np.zeros(SAMPLE_RATE, np.float32), language="en")

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str | None = None,
        is_draft: bool = False,
        is_cancelled: Cancelled = lambda: False,
    ) -> Transcription:
        """The words in float32 mono sound at 16 kHz; blocking. Safe from several threads.

        Without `language` it is detected; of several (`en,de`), it is one of them.
        A draft is never looked at twice. Raises `AudioTooLong`, and `Stopped` soon after
        `is_cancelled` turns true.
        """
        if len(samples) > MAX_AUDIO_SECONDS * SAMPLE_RATE:
            raise AudioTooLong(AudioTooLong.__doc__)
        if len(samples) < SAMPLE_RATE // 20:
            return Transcription("", language or "en", 0.0, 1.0, ("no_speech",))
        pieces = []
        for piece in _pieces(samples):
            if is_cancelled():
                raise Stopped
            pieces.append(self._piece(piece, language, is_draft, is_cancelled))
            language = pieces[-1].language
        return _joined(pieces)

    def _piece(
        self, samples: NDArray[np.float32], language: str | None, is_draft: bool, is_cancelled: Cancelled
    ) -> Transcription:
        padded = max(len(samples) / SAMPLE_RATE + _PADDING_SECONDS, _SHORTEST_LOOK_SECONDS)
        found = self._decode(samples, padded, language, is_cancelled)
        if found.reasons and "no_speech" not in found.reasons and not is_draft:
            again = self._decode(samples, _WHOLE_SECONDS, language, is_cancelled)
            better = again if again.confidence > found.confidence or not again.reasons else found
            found = replace(better, reasons=(*better.reasons, "second_look"))
        return found if _is_believed(found) else replace(found, text="")

    def _decode(
        self, samples: NDArray[np.float32], length: float, language: str | None, is_cancelled: Cancelled
    ) -> Transcription:
        seconds = len(samples) / SAMPLE_RATE
        length = min(length, _WHOLE_SECONDS)
        # CTranslate2's encoder halves the frames, so their number has to be even.
        padded = np.zeros(int(length * 50) * 2 * (SAMPLE_RATE // 100), np.float32)
        padded[: min(len(samples), len(padded))] = samples[: len(padded)]
        encoded = self._model.encode(self._as_view(log_mel(padded, self._bands)[None]))
        if is_cancelled():
            raise Stopped
        if self._model.is_multilingual and language not in self._languages:
            language = self._detected(encoded, language)
        most = min(_MAX_TOKENS, round(seconds * _TOKENS_PER_SECOND) + _SPARE_TOKENS)
        prompt = self._prompt(language)
        (result,) = self._model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=most + len(prompt),
            return_scores=True,
            return_no_speech_prob=True,
        )
        ids = result.sequences_ids[0]
        # Everything from the end token on is a mark, not text.
        text = spelled(self._tokens[number] for number in ids if number < self._end)
        logprob = result.scores[0]
        reasons = []
        if result.no_speech_prob > _SURE_NO_SPEECH or (
            result.no_speech_prob > _NO_SPEECH and logprob < _MIN_LOGPROB
        ):
            reasons.append("no_speech")
        if logprob < _MIN_LOGPROB:
            reasons.append("unsure")
        if _zlib_ratio(text) > _MAX_ZLIB_RATIO:
            reasons.append("repetition")
        if len(ids) >= most:
            reasons.append("too_many_tokens")
        if seconds < _SHORT_SECONDS and _is_doubled(text):
            reasons.append("doubled")
        return Transcription(
            text, language or "en", math.exp(min(0.0, logprob)), result.no_speech_prob, tuple(reasons)
        )

    def _detected(self, encoded: Any, among: str | None) -> str:
        ranked: list[str] = [token.strip("<|>") for token, _ in self._model.detect_language(encoded)[0]]
        asked = set((among or "").split(","))
        return next((code for code in ranked if code in asked), ranked[0])

    def _prompt(self, language: str | None) -> list[int]:
        if not self._model.is_multilingual:
            return [self._start, self._no_timestamps]
        return [self._start, self._languages[language or "en"], self._transcribe, self._no_timestamps]


def _is_believed(found: Transcription) -> bool:
    """Words we do not believe are no words: better to ask again than to answer what nobody said."""
    if {"no_speech", "repetition", "too_many_tokens"} & set(found.reasons):
        return False
    logprob = math.log(max(found.confidence, 1e-9))
    return logprob > _MIN_LOGPROB or (logprob > _LEAST_LOGPROB and found.no_speech < _MAYBE_NO_SPEECH)


def _is_doubled(text: str) -> bool:
    """True for `No. No.`, which Whisper likes to make of a single short word."""
    words = "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ").split()
    half = len(words) // 2
    return len(words) > 1 and words[:half] == words[half:]


def _joined(pieces: list[Transcription]) -> Transcription:
    spoken = [piece for piece in pieces if piece.text] or pieces[:1]
    return Transcription(
        text=" ".join(piece.text for piece in spoken),
        language=spoken[0].language,
        confidence=sum(piece.confidence for piece in spoken) / len(spoken),
        no_speech=min(piece.no_speech for piece in spoken),
        reasons=tuple(dict.fromkeys(itertools.chain.from_iterable(piece.reasons for piece in pieces))),
    )


def _pieces(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Cut what is too long for one look where it is quietest."""
    longest, shortest = (int(s * SAMPLE_RATE) for s in (_LONGEST_PIECE_SECONDS, _SHORTEST_PIECE_SECONDS))
    step = SAMPLE_RATE // 10
    while len(samples) > longest:
        loudness = np.abs(samples[shortest:longest].reshape(-1, step)).mean(axis=1)
        cut = shortest + int(loudness.argmin()) * step + step // 2
        yield samples[:cut]
        samples = samples[cut:]
    yield samples


def _zlib_ratio(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


class HibariEngine:
    """hibari's English voice: int16 mono at 24 kHz, the first sentence after about 50 ms.

    Not safe from several threads.
    """

    sample_rate = 24_000

    def __init__(self) -> None:
        from hibari import Hibari  # noqa: PLC0415 - brings onnxruntime

        self._voice: Any = _frugal(Hibari)(threads=1)
        _ = self._voice.g2p  # its lexicon takes longer to load than the model

    def warm_up(self) -> None:
        """Speak a word nobody hears; the first run sets things up."""
        for _ in self.synthesize("Hello, Zabrowski."):
            pass

    def synthesize(self, text: str, *, speed: float = 1.0) -> Iterator[NDArray[np.int16]]:
        """Sound for `text`, a sentence at a time; blocking. Raises `TextTooLong`."""
        if len(text) > MAX_TEXT_CHARACTERS:
            raise TextTooLong(TextTooLong.__doc__)
        # A fixed seed: the same words sound the same, which makes a recording comparable.
        random = np.random.default_rng(0)
        for phonemes in self._voice.phonemize(text):
            samples = self._voice.from_ids(self._voice.ids(phonemes), speed, random)
            yield _trimmed(samples, ends_sentence=phonemes.rstrip()[-1:] in ".!?…")


def _trimmed(samples: NDArray[np.float32], *, ends_sentence: bool) -> NDArray[np.int16]:
    """Louder, and without the silence around it: hibari leaves 0.3 s before and 0.4 s after each sentence,
    and the first of those is time that a caller waits."""
    heard = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not len(heard):
        return np.zeros(0, np.int16)
    rate = HibariEngine.sample_rate
    starts = max(0, int(heard[0]) - int(_LEAD_SECONDS * rate))
    ends = min(len(samples), int(heard[-1]) + int(_TAIL_SECONDS * rate))
    pause = _SENTENCE_PAUSE_SECONDS if ends_sentence else _CLAUSE_PAUSE_SECONDS
    padded = np.concatenate((samples[starts:ends] * _GAIN, np.zeros(int(pause * rate), np.float32)))
    return (np.clip(padded, -1.0, 1.0) * 32767.0).astype(np.int16)


def _frugal(hibari: Any) -> Any:
    """hibari with ONNX sessions that give memory back: its own ones keep the largest sentence's for ever."""

    class Frugal(hibari):  # type: ignore[misc]
        def __init__(self, threads: int) -> None:
            super().__init__(threads=threads)
            import onnxruntime as ort  # noqa: PLC0415

            options = ort.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = threads
            options.log_severity_level = 3
            options.enable_cpu_mem_arena = False
            options.enable_mem_pattern = False
            self.sess = ort.InferenceSession(self.model_path, options, providers=["CPUExecutionProvider"])

    return Frugal
