"""A second judgement of what a search found, from a server with `/rerank` as Cohere and Jina have it."""

import asyncio
import json
import statistics
from collections.abc import Mapping, Sequence

from kb.asking import Ask
from kb.calibration import ANCHORS, Calibration, stretched

_CHARACTERS = 2_000
"""Of one text; more than a passage has, and about what such a model reads of it."""
_MAX_BYTES = 1_000_000


class RerankerFailed(Exception):
    """The reranking server gave no judgement"""


class ServedReranker:
    """A `kb.search.Reranker` that asks `POST {base_url}/rerank`. Raises `RerankerFailed`.

    What such servers call relevance is a probability with one model and anything from -10 to 10 with
    another. `calibration` makes of it what every other score here is; `measure` finds it.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        failures: tuple[type[Exception], ...] = (),
        timeout_seconds: float = 10.0,
        calibration: Calibration | None = None,
    ) -> None:
        self._ask = ask
        self._url = base_url.rstrip("/") + "/rerank"
        self._model, self._timeout = model, timeout_seconds
        self._headers: Mapping[str, str] = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._failures: tuple[type[Exception], ...] = (*failures, TimeoutError)
        self.calibration = calibration

    async def judge(self, question: str, texts: Sequence[str]) -> list[float]:
        """See `kb.search.Reranker.judge`."""
        calibration = self.calibration or await self.measure()
        return [calibration.score(relevance) for relevance in await self._relevance(question, texts)]

    async def measure(self) -> Calibration:
        """Find out what its numbers are worth, from how it judges `ANCHORS`: one request for each."""
        answers = [answer for _, answer in ANCHORS]
        together: list[float] = []
        apart: list[float] = []
        for number, (question, _) in enumerate(ANCHORS):
            judged = await self._relevance(question, answers)
            together.append(judged.pop(number))
            apart += judged
        high, low = statistics.median(together), statistics.median(apart)
        if high <= low:
            raise RerankerFailed("The reranking server cannot tell what answers a question")
        self.calibration = stretched(high, low)
        return self.calibration

    async def _relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        if not texts:
            return []
        documents = [text[:_CHARACTERS] or " " for text in texts]
        asked = {"model": self._model, "query": question, "documents": documents, "top_n": len(documents)}
        try:
            answer = await self._ask(
                "POST", self._url, headers=self._headers, json=asked,
                timeout_seconds=self._timeout, max_bytes=_MAX_BYTES,
            )  # fmt: skip
        except self._failures as error:
            raise RerankerFailed("The reranking server could not be asked") from error
        if answer.status != 200 or answer.is_cut:
            raise RerankerFailed(f"The reranking server answered {answer.status}")
        return await asyncio.to_thread(_read, answer.body, len(documents))


def _read(body: bytes, count: int) -> list[float]:
    try:
        results = json.loads(body)["results"]
        found = {int(each["index"]): float(each["relevance_score"]) for each in results}
        judged = [found[number] for number in range(count)]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RerankerFailed("The reranking server's answer could not be read") from error
    if not all(abs(relevance) < 1e6 for relevance in judged):  # NaN is not less, either
        raise RerankerFailed("The reranking server gave no numbers that mean anything")
    return judged
