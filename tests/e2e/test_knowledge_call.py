"""A call that answers from a PDF uploaded a moment before, and from what was added while it went on."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.parts.caller import Caller
from tests.support.documents import Flow, PdfPage, pdf
from tests.support.stack import Stack, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def leaflet(*lines: str) -> bytes:
    page = Flow()
    page.say("Visitor guide", size=20).skip()
    for line in lines:
        page.say(line)
    return pdf([PdfPage(page.lines)])


async def uploaded(stack: Stack, path: str, document: bytes, name: str, **fields: str) -> dict[str, Any]:
    form = aiohttp.FormData()
    for field, value in fields.items():
        form.add_field(field, value)
    form.add_field("files", document, filename=name, content_type="application/pdf")
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with stack.http.post(stack.url + path, data=form, headers=headers) as reply:
        assert reply.status == 201, await reply.text()
        made: dict[str, Any] = await reply.json()
        return made


async def complete(stack: Stack, base_id: str) -> dict[str, Any]:
    async with asyncio.timeout(120):
        while True:
            base: dict[str, Any] = await stack.get(f"/v1/knowledge-base/{base_id}")
            if not base["status"].endswith("in_progress"):
                assert base["status"] == "complete", base["progress"]
                return base
            await asyncio.sleep(0.1)


async def answered(stack: Stack, call_id: str, expected: str) -> dict[str, Any]:
    """The agent's utterance that has these words."""
    async with asyncio.timeout(60):
        while True:
            call = await stack.get(f"/v1/calls/{call_id}")
            for entry in call["transcript_object"]:
                if entry["role"] == "agent" and expected in entry["text"].lower():
                    found: dict[str, Any] = entry
                    return found
            await asyncio.sleep(0.2)


async def test_a_call_answers_from_a_pdf_uploaded_a_moment_before(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as stack:
        (agent,) = await stack.get("/v1/agents")
        base = await uploaded(
            stack,
            "/v1/knowledge-base/upload",
            leaflet(
                "The wireless network for visitors is called Bluebird.",
                "Parking costs three dollars an hour.",
            ),
            "guide.pdf",
            knowledge_base_name="Guide",
            agent_id=agent["agent_id"],
        )
        base_id = base["knowledge_base_id"]
        done = await complete(stack, base_id)
        (source,) = done["knowledge_base_sources"]
        ticket = await stack.post("/v1/livekit/token", {"agent_id": agent["agent_id"]})
        async with Caller.joined(ticket["url"], ticket["token"]) as caller:
            await caller.hear(after=0)
            await caller.quiet(seconds=1.0)
            await caller.type("How much does parking cost?")
            entry = await answered(stack, ticket["call_id"], "three dollars")
            assert source["source_id"] in {passage["source_id"] for passage in entry["knowledge"]}
            assert base_id in {passage["base_id"] for passage in entry["knowledge"]}

            # What is added while the call goes on is answered from without a new call.
            await uploaded(
                stack, f"/v1/knowledge-base/{base_id}/upload",
                leaflet("Lockers for luggage are in the basement beside the elevator."), "more.pdf",
            )  # fmt: skip
            await complete(stack, base_id)
            await caller.quiet(seconds=1.0)
            await asyncio.sleep(4)  # the worker asks for newer versions every two seconds
            await caller.type("Where are the lockers for luggage?")
            await answered(stack, ticket["call_id"], "basement")

            # A base that is deleted while the call uses it: nothing is found in it any more.
            await stack._json("DELETE", f"/v1/knowledge-base/{base_id}")
            await caller.quiet(seconds=1.0)
            await asyncio.sleep(4)
            said = len((await stack.get(f"/v1/calls/{ticket['call_id']}"))["transcript_object"])
            await caller.type("What is the wireless network for visitors called?")
            async with asyncio.timeout(60):
                while True:
                    call = await stack.get(f"/v1/calls/{ticket['call_id']}")
                    later = [entry for entry in call["transcript_object"][said:] if entry["role"] == "agent"]
                    if later:
                        break
                    await asyncio.sleep(0.2)
            assert "bluebird" not in later[0]["text"].lower()
            assert base_id not in {passage["base_id"] for passage in later[0]["knowledge"]}
        transcript = await stack.get(f"/v1/calls/{ticket['call_id']}/transcript")
        used = [entry["knowledge"] for entry in transcript["transcript_object"] if entry["knowledge"]]
        assert any(passage["title"].startswith("Visitor guide") or passage["title"] for passage in used[0])
