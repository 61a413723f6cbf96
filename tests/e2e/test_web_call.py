"""A web call in a browser, on a page of another origin: a button that only talks."""

import asyncio
import json

import jwt
import pytest
from playwright.async_api import expect

from tests.e2e.test_page import FAKE_MICROPHONE
from tests.e2e.test_widget import api, browsing, launcher, livekit, page_with, person, picture, worker
from tests.support.api import AGENT, Api, Person
from tests.support.livekit_server import LiveKitServer
from tests.support.rehearsed_worker import RehearsedWorker

__all__ = ["api", "livekit", "person", "worker"]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


async def test_a_visitor_calls_from_somebodys_page_until_the_token_is_another(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    agent_id = person.made("/v1/agents", {**AGENT, "language": "en-US"})["agent_id"]
    path = f"/v1/web-call/public-config/{agent_id}"
    public = person.ask("PUT", path, {"public_enabled": True, "max_duration_sec": 120}).json
    script = f"{api.url}/v1/web-call/public/{public['public_token']}/embed.js"
    async with page_with(script) as address, browsing(*FAKE_MICROPHONE) as (page, _):
        await page.goto(address)
        await launcher(page).click()
        await expect(page.get_by_role("textbox", name="Message")).to_have_count(0)
        async with page.expect_response("**/start") as started:
            await page.get_by_role("button", name="Talk").click()
        await expect(page.get_by_role("status")).to_have_text("One moment…", timeout=20_000)
        await picture(page, "web-call")
        told = await (await started.value).json()
        assert told["max_duration_sec"] == 120
        claims = jwt.decode(told["web_token"], options={"verify_signature": False})
        call_id = json.loads(claims["roomConfig"]["agents"][0]["metadata"])["call_id"]
        assert (await asyncio.to_thread(worker.brief, call_id)).json["max_duration_seconds"] == 120
        call = (await asyncio.to_thread(person.ask, "GET", f"/v1/calls/{call_id}")).json
        assert (call["direction"], call["agent_id"]) == ("web_bridge", agent_id)
        await page.get_by_role("button", name="End").click()
        await expect(page.get_by_text("The conversation has ended.")).to_be_visible()
        await asyncio.to_thread(person.ask, "POST", f"/v1/web-call/regenerate-token/{agent_id}")
        await page.get_by_role("button", name="Talk").click()
        await expect(page.get_by_role("alert").last).to_contain_text("Nobody can answer now")
        await page.reload()
        await expect(page.get_by_role("heading", name="Bicycles")).to_be_visible()
        await expect(page.locator("call2me-widget")).to_have_count(0)
