"""A reranker's numbers, of whatever scale, become scores that mean what all others mean; or are refused."""

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from kb.calibration import ANCHORS, SURE
from kb.reranking import RerankerFailed, ServedReranker

BELONGS = dict(ANCHORS)


class Server:
    """What belongs together is worth `high`, anything else `low`."""

    def __init__(self, high: float, low: float, said: Callable[[list[Any]], Any] | None = None) -> None:
        self.high, self.low, self.said = high, low, said
        self.asked: list[Any] = []

    async def __call__(self, method: str, url: str, *, json: Any = None, **_: Any) -> Any:
        assert (method, url) == ("POST", "http://r/v1/rerank")
        self.asked.append(json)
        found: list[Any] = [
            {"index": n, "relevance_score": self.high if BELONGS.get(json["query"]) == text else self.low}
            for n, text in enumerate(json["documents"])
        ]
        return answer({"results": found[::-1]} if self.said is None else self.said(found))


def answer(body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return SimpleNamespace(status=status, body=raw, is_cut=False, headers={}, url="")


def reranker(server: Any) -> ServedReranker:
    return ServedReranker(server, base_url="http://r/v1/", model="m", failures=(OSError,))


@pytest.mark.parametrize(("high", "low"), [(0.93, 0.002), (7.5, -9.0), (-2.0, -11.0)])
async def test_numbers_of_any_scale_become_scores(high: float, low: float) -> None:
    server = Server(high, low)
    judge = reranker(server)
    question, right = ANCHORS[0]
    good, bad = await judge.judge(question, [right, "Something else."])
    assert good == pytest.approx(0.896, abs=0.01)
    assert bad == pytest.approx(0.048, abs=0.01)
    assert good > SURE > bad
    before = len(server.asked)
    await judge.judge(question, [right])
    assert len(server.asked) == before + 1, "it is measured once"
    assert await judge.judge(question, []) == []


async def test_a_reranker_that_tells_nothing_apart_is_refused() -> None:
    with pytest.raises(RerankerFailed, match="cannot tell"):
        await reranker(Server(0.5, 0.5)).judge("x", ["a"])


@pytest.mark.parametrize(
    "said",
    [
        lambda found: {"results": found[1:]},
        lambda found: {"results": [{**each, "relevance_score": float("nan")} for each in found]},
        lambda found: {"results": [{"index": 0}]},
        lambda _: {"results": None},
        lambda _: [],
        lambda _: b"<html>",
    ],
)
async def test_an_answer_that_is_none_is_refused(said: Callable[[list[Any]], Any]) -> None:
    with pytest.raises(RerankerFailed):
        await reranker(Server(1, 0, said)).judge("x", ["a", "b"])


@pytest.mark.parametrize("failure", [TimeoutError(), OSError("refused")])
async def test_a_server_that_is_away_is_named_as_such(failure: Exception) -> None:
    async def ask(*_: Any, **__: Any) -> Any:
        raise failure

    with pytest.raises(RerankerFailed, match="could not be asked"):
        await reranker(ask).judge("x", ["a"])


async def test_a_refusal_is_named_by_its_number() -> None:
    async def ask(*_: Any, **__: Any) -> Any:
        return answer({"error": "sk-1234 is not a key"}, 401)

    with pytest.raises(RerankerFailed, match="401") as failed:
        await reranker(ask).judge("x", ["a"])
    assert "sk-1234" not in str(failed.value)


async def test_every_document_is_bounded_and_none_is_empty() -> None:
    server = Server(1, 0)
    texts: Sequence[str] = ["x" * 10_000, ""]
    await reranker(server).judge("x", texts)
    assert [len(text) for text in server.asked[-1]["documents"]] == [2000, 1]
