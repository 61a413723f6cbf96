"""Chats when something dies or somebody leaves: nothing is lost, and no function runs twice."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from api import tables
from api.db.engine import Database
from api.db.vault import Vault
from api.seed import seed
from api.settings import Settings
from tests.support.api import AGENT, Api, Person, Reply, running_api
from tests.support.ports import free_port
from tests.support.provider_server import KEY, ProviderServer, provider_server

FUNCTION = '''
import asyncio
from pathlib import Path

from livekit.agents import function_tool

HERE = Path(__file__).parent


@function_tool
async def book(day: str) -> str:
    """Book a day."""
    print("booking")
    with (HERE / "ran.txt").open("a") as ran:
        ran.write(f"{day}\\n")
    while (HERE / "hold").exists():
        await asyncio.sleep(0.02)
    return f"booked {day}"
'''
BOOKS = {
    **AGENT,
    "language": "en-US",
    "response_engine": {
        "type": "call2me-llm",
        "system_prompt": "You book.",
        "llm_provider": "openai",
        "llm_model": "gpt-4o-mini",
        "functions": [{"type": "python", "name": "book", "timeout_ms": 60_000}],
    },
}
PORT = free_port()
MODEL = f"127.0.0.1:{PORT}/gpt-4o-mini"
"""A server of one's own is named by its host, as in calls."""
PRICES = {"as_of": "2026-11", "models": {MODEL: {"llm_input_per_million": 1, "llm_output_per_million": 2}}}
SETTINGS = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"http://127.0.0.1:{PORT}/v1"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("chats")
    prices = home / "prices.json"
    prices.write_text(json.dumps(PRICES))
    with running_api(home, **SETTINGS, CALL2ME_PRICES=str(prices)) as api:
        (api.home / "functions" / "booking.py").write_text(FUNCTION)
        yield api


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server(PORT) as server:
        yield server


class Chat:
    """One chat of somebody new, with an agent that books."""

    def __init__(self, api: Api, person: Person | None = None) -> None:
        self.api, self.person = api, person or api.person()
        agent = self.person.made("/v1/agents", BOOKS)
        made = self.person.ask("POST", "/v1/chats", {"agent_id": agent["agent_id"]})
        self.path = f"/v1/chats/{made.json['chat_id']}"
        self._folder = api.home / "functions"
        (self._folder / "ran.txt").unlink(missing_ok=True)

    async def write(self, content: str) -> Reply:
        return await asyncio.to_thread(self.person.ask, "POST", f"{self.path}/messages", {"content": content})

    async def read(self) -> dict[str, Any]:
        reply = await asyncio.to_thread(self.person.ask, "GET", self.path)
        told: dict[str, Any] = reply.json
        return told

    def hold(self) -> None:
        """From now on the function does not come back."""
        (self._folder / "hold").touch()

    def release(self) -> None:
        (self._folder / "hold").unlink()

    def ran(self) -> list[str]:
        try:
            return (self._folder / "ran.txt").read_text().split()
        except FileNotFoundError:
            return []

    async def is_running(self) -> bool:
        return bool(self.ran())

    async def is_lost(self) -> bool:
        return bool((await self.read())["messages"][-1]["status"] == "lost")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.05)


def process_of(api: Api, word: str) -> psutil.Process:
    """The api, or the text process below it."""
    for process in psutil.Process().children(recursive=True):
        is_alive = process.status() != psutil.STATUS_ZOMBIE and word in process.cmdline()
        if is_alive and process.environ().get("CALL2ME_HOME") == str(api.home):
            return process
    raise AssertionError(word)


async def test_an_answer_with_a_function_says_what_ran_and_what_it_used(
    api: Api, server: ProviderServer
) -> None:
    server.call = ("book", {"day": "Monday"})
    chat = Chat(api)
    reply = await chat.write("Monday, please.")
    assert reply.status == 200, reply.raw
    answer = reply.json["assistant_message"]
    assert answer["content"] == server.answer
    assert answer["function_calls"] == [
        {"name": "book", "arguments": {"day": "Monday"}, "result": "booked Monday", "error": None}
    ]
    assert (answer["tokens_input"], answer["tokens_output"], answer["model"]) == (
        22,
        14,
        MODEL,
    )
    told = await chat.read()
    assert answer["cost_usd"] == told["total_cost_usd"] == 0.00005
    assert told["total_tokens"] == 36
    await chat.write("Thank you.")
    remembered = [message.get("content") for message in server.chats[-1]["messages"]]
    assert "Monday, please." in remembered
    assert "booked Monday" in remembered
    unpriced = await asyncio.to_thread(
        chat.person.ask, "POST", f"{chat.path}/messages", {"content": "And now?", "model": "nobodys-model"}
    )
    assert server.chats[-1]["model"] == "nobodys-model"
    assert unpriced.json["assistant_message"]["cost_usd"] is None
    assert (await chat.read())["total_cost_usd"] is None


async def test_a_chat_holds_up_neither_the_api_nor_other_chats_and_takes_one_message_at_a_time(
    api: Api, server: ProviderServer
) -> None:
    server.call = ("book", {"day": "Monday"})
    chat, other = Chat(api), Chat(api)
    chat.hold()
    first = asyncio.create_task(chat.write("Monday, please."))
    await until(chat.is_running)
    server.call = None
    second = await chat.write("Are you there?")
    assert (second.status, "retry-after" in second.headers) == (409, True)
    assert (await other.write("Hello.")).status == 200
    assert [message["status"] for message in (await chat.read())["messages"]] == ["answering"]
    chat.release()
    assert (await first).status == 200
    assert (await chat.read())["messages"][0]["content"] == "Monday, please."
    assert (await chat.write("Are you there?")).status == 200


async def test_the_text_process_dies_while_a_function_runs_and_the_function_runs_once(
    api: Api, server: ProviderServer
) -> None:
    server.call = ("book", {"day": "Monday"})
    chat = Chat(api)
    chat.hold()
    first = asyncio.create_task(chat.write("Monday, please."))
    await until(chat.is_running)
    process_of(api, "text").kill()
    lost = await first
    assert (lost.status, "send the message again" in lost.detail) == (503, True)
    assert [message["status"] for message in (await chat.read())["messages"]] == ["lost"]
    chat.release()
    again = await chat.write("Monday, please.")
    assert again.status == 200, again.raw
    assert chat.ran() == ["Monday"]
    told = server.chats[-1]["messages"]
    assert [one["role"] for one in told[-3:]] == ["user", "assistant", "tool"], "as it happened"
    assert "may or may not" in told[-1]["content"]
    messages = (await chat.read())["messages"]
    assert [message["status"] for message in messages] == ["answered", "complete"]
    assert messages[1]["function_calls"][0]["result"] is None


async def test_somebody_who_leaves_finds_the_whole_answer_later(api: Api, server: ProviderServer) -> None:
    server.call = ("book", {"day": "Monday"})
    chat = Chat(api)
    chat.hold()
    body = json.dumps({"content": "Monday, please.", "stream": True}).encode()
    head = (
        f"POST {chat.path}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {chat.person.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    host, _, port = api.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        await until(chat.is_running)
    chat.release()

    async def is_answered() -> bool:
        return len((await chat.read())["messages"]) == 2

    await until(is_answered)
    assert (await chat.read())["messages"][1]["content"] == server.answer
    assert chat.ran() == ["Monday"]


async def test_the_api_dies_and_the_message_is_there_and_can_be_sent_again(
    tmp_path: Path, server: ProviderServer
) -> None:
    server.call = ("book", {"day": "Monday"})
    with running_api(tmp_path, **SETTINGS) as api:
        (api.home / "functions" / "booking.py").write_text(FUNCTION)
        chat = Chat(api)
        chat.hold()
        first = asyncio.create_task(chat.write("Monday, please."))
        await until(chat.is_running)
        text = process_of(api, "text")
        process_of(api, "serve").kill()
        assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], OSError)
        await asyncio.to_thread(text.wait, 30)
    chat.release()
    with running_api(tmp_path, **SETTINGS) as api:
        chat.person.api = api
        await until(chat.is_lost)
        again = await chat.write("Monday, please.")
        assert again.status == 200, again.raw
        assert chat.ran() == ["Monday"]
        assert len((await chat.read())["messages"]) == 2


async def test_the_demo_agent_answers_from_its_knowledge_and_with_its_function_offline(
    tmp_path: Path,
) -> None:
    with running_api(tmp_path) as api:
        person = api.person()
        settings = Settings.load(api.environment)
        tables.load()
        database = Database(settings.database_url, Vault.of(settings))
        async with database.transaction() as session:
            agent = await seed(session, person.credentials["user"]["user_id"], settings.home)
        await database.close()
    with running_api(tmp_path) as api:  # the first thing it does is to read what nobody has read
        person.api = api

        async def is_read() -> bool:
            bases = await asyncio.to_thread(person.ask, "GET", "/v1/knowledge-base")
            return bool(bases.json[0]["status"] == "complete")

        await until(is_read)
        made = await asyncio.to_thread(person.ask, "POST", "/v1/chats", {"agent_id": agent.id})

        async def says(content: str) -> dict[str, Any]:
            path = f"/v1/chats/{made.json['chat_id']}/messages"
            reply = await asyncio.to_thread(person.ask, "POST", path, {"content": content})
            answer: dict[str, Any] = reply.json["assistant_message"]
            return answer

        assert "95 dollars" in (await says("How much is a teeth cleaning?"))["content"]
        await says("I want to book a teeth cleaning on Monday at ten, my name is Ada Park.")
        booked = await says("Yes.")
        assert "please. Ada Park is booked" in booked["content"]
        assert [call["name"] for call in booked["function_calls"]] == ["book_appointment"]
