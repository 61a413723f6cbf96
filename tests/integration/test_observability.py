"""Figures and traces: off by default, one setting away, and without a word that was said."""

import asyncio
import urllib.request
from pathlib import Path

import pytest
from livekit.agents import Agent, AgentSession, telemetry

from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from pipelines.contract.websocket import Status
from pipelines.environment import SettingsError
from pipelines.tracing import check
from tests.support.api import running_api
from tests.support.collector import collecting
from tests.support.fake_providers import TableLLM
from tests.support.ports import free_port
from tests.support.rehearsed_worker import RehearsedWorker, Script
from worker import tracing
from worker.metrics import Metrics
from worker.settings import WorkerSettings


def page(port: int) -> str:
    """What Prometheus reads."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        return str(reply.read().decode())


async def taken_call(database_url: str) -> str:
    """A call that a worker has taken."""
    database = Database(database_url)
    call = CallRow(owner_id="u", attempt=1, worker_id="worker-1", briefed_at=now())
    async with database.transaction() as session:
        session.add(call)
    await database.close()
    return call.id


def test_the_api_counts_requests_turns_and_calls(tmp_path: Path) -> None:
    port = free_port()
    with running_api(tmp_path / "home", "", CALL2ME_METRICS_PORT=str(port)) as api:
        person = api.person()
        with RehearsedWorker(api) as worker:
            assert person.ask("GET", "/v1/agents/agent_000000000000").status == 404
            call_id = asyncio.run(taken_call(f"sqlite+aiosqlite:///{tmp_path}/home/call2me.sqlite"))
            script = Script(call_id)
            events = [script.started(), script.turn("u1", 640.0, 2), script.called("book", 3)]
            assert worker.tell(*events).json["accepted"] == 3
            assert worker.tell(*events).json["accepted"] == 0
            figures = page(port)
            assert "call2me_calls_running 1.0" in figures
            assert "call2me_workers_ready " in figures
            assert 'call2me_turn_seconds_count{part="total"} 1.0' in figures, "told twice is counted once"
            assert 'call2me_turn_seconds_sum{part="total"} 0.64' in figures
            assert 'call2me_function_seconds_count{outcome="worked"} 1.0' in figures
            route = 'method="GET",route="/v1/agents/{agent_id}",status="404"'
            assert f"call2me_http_request_seconds_count{{{route}}} 1.0" in figures
            worker.tell(script.ended(5))
            assert 'call2me_calls_ended_total{status="completed"} 1.0' in page(port)


def test_a_request_is_a_span_and_its_path_is_not_told(tmp_path: Path) -> None:
    with collecting() as collector:
        with running_api(tmp_path / "home", "", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as api:
            assert api.person().ask("GET", "/v1/agents/agent_aaaaaaaaaaaa").status == 404
        assert "GET /v1/agents/{agent_id}" in collector.names, "what was left is sent when the api stops"
        assert collector.services == {"call2me-api"}
        assert b"agent_aaaaaaaaaaaa" not in collector.raw


async def test_a_call_is_traced_with_the_genai_names_and_without_a_word(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = WorkerSettings.load(
            {
                "CALL2ME_HOME": str(tmp_path),
                "CALL2ME_INTERNAL_KEY": "k" * 16,
                "LIVEKIT_API_KEY": "key",
                "LIVEKIT_API_SECRET": "s" * 32,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            }
        )
        before = telemetry.tracer._tracer_provider
        tracing.follow(settings)
        try:
            llm = TableLLM({"what is my secret": "it is swordfish"})
            async with AgentSession[None](llm=llm) as session:
                await session.start(Agent(instructions="You are a hidden prompt."))
                await session.run(user_input="what is my secret")
            await tracing.flush()
        finally:
            tracing._provider.shutdown()
            tracing._provider = None
            telemetry.tracer.set_provider(before)
        assert {"agent_session", "llm_node"} <= collector.names
        assert "gen_ai.operation.name" in collector.attributes()
        for words in (b"swordfish", b"my secret", b"hidden prompt"):
            assert words not in collector.raw


def test_a_worker_tells_how_it_is() -> None:
    port, status = free_port(), Status(is_ready=True, call_ids=("call_1", "call_2"))
    metrics = Metrics(port, lambda: status, lambda: 1)
    try:
        metrics.ended("models")
        figures = page(port)
    finally:
        metrics.close()
    assert "call2me_worker_ready 1.0" in figures
    assert "call2me_worker_calls 2.0" in figures
    assert "call2me_worker_calls_waiting 1.0" in figures
    assert 'call2me_worker_process_ends_total{part="models"} 1.0' in figures


def test_a_collector_without_its_package_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.tracing.find_spec", lambda _: None)
    assert check("") == ""
    with pytest.raises(SettingsError, match=r"call2me-runtime\[otlp\]"):
        check("http://127.0.0.1:4318")
