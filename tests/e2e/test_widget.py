"""A widget in a browser, on a page of another origin: chat, voice, refusal, a small screen, the keyboard."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Locator, Page, async_playwright, expect

from api.settings import Settings
from tests.e2e.test_page import FAKE_MICROPHONE, PLAIN, REFUSED
from tests.support.api import AGENT, Api, Person, running_api
from tests.support.livekit_server import LiveKitServer, running_livekit
from tests.support.ports import free_port
from tests.support.rehearsed_worker import RehearsedWorker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

GREETING = "Welcome to the bicycle shop!"
HOST_PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>Bicycles</title>
<style>button {{ display: none }} * {{ color: red !important; font-size: 40px }}</style>
<body><h1>Bicycles</h1><p><input aria-label="Search"></p><script src="{script}" async></script>"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("widget"), CALL2ME_LIVEKIT_UDP_PORT=str(free_port())) as running:
        yield running


@pytest.fixture(scope="module")
def livekit(api: Api) -> Iterator[LiveKitServer]:
    with running_livekit(Settings.load(api.environment)) as server:
        yield server


@pytest.fixture
def worker(api: Api) -> Iterator[RehearsedWorker]:
    with RehearsedWorker(api) as running:
        yield running


@pytest.fixture
def person(api: Api) -> Person:
    return api.person()


def widget_of(person: Person, **asked: Any) -> dict[str, Any]:
    agent = person.made("/v1/agents", {**AGENT, "language": "en-US"})
    wanted = {"agent_id": agent["agent_id"], "name": "Bicycle shop", "language": "en-US", **asked}
    return person.made("/v1/widgets", {"greeting_message": GREETING, "primary_color": "#0b6e4f", **wanted})


@asynccontextmanager
async def page_with(script: str, policy: str = "") -> AsyncIterator[str]:
    """Somebody's page with a script on it, on an origin of its own; its address."""
    text = HOST_PAGE.format(script=script)

    async def answer(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy} if policy else {}
        return web.Response(text=text, content_type="text/html", headers=headers)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def host_page(
    api: Api, widget: dict[str, Any], policy: str = ""
) -> contextlib.AbstractAsyncContextManager[str]:
    """Somebody's page with the widget on it."""
    return page_with(f"{api.url}/v1/widgets/{widget['widget_id']}/embed.js", policy)


@asynccontextmanager
async def browsing(*flags: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """A fresh browser, and the paths that its page asks for."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*PLAIN, *flags])
        page = await browser.new_page()
        wrong: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None)
        page.on("request", lambda request: asked.append(request.url))
        try:
            yield page, asked
        finally:
            await browser.close()
        assert not wrong, wrong


def launcher(page: Page) -> Locator:
    return page.get_by_role("button", name="Open chat")


async def write(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Message").fill(text)
    await page.get_by_role("button", name="Send").click()


async def picture(page: Page, name: str) -> None:
    """Kept where somebody asks for it, to be looked at."""
    if folder := os.environ.get("CALL2ME_TEST_PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def test_a_visitor_writes_on_somebodys_page_and_finds_the_talk_again(api: Api, person: Person) -> None:
    widget = widget_of(person)
    async with host_page(api, widget) as address, browsing() as (page, asked):
        await page.goto(address)
        await launcher(page).click()
        await expect(page.get_by_text(GREETING).first).to_be_visible()
        await expect(page.get_by_role("textbox", name="Message")).to_be_focused()
        await write(page, "Hello there!")
        answers = page.locator("li.agent")
        await expect(answers).to_have_count(2)
        await expect(answers.last).not_to_have_text(re.compile("^(•••)?$"))
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        await picture(page, "widget-chat")
        sessions = await asyncio.to_thread(person.ask, "GET", f"/v1/widgets/{widget['widget_id']}/sessions")
        [session] = sessions.json["sessions"]
        kept = (await asyncio.to_thread(person.ask, "GET", f"/v1/chats/{session['session_id']}")).json[
            "messages"
        ]
        said = await answers.last.text_content()
        assert [kept[0]["content"], kept[1]["content"]] == ["Hello there!", (said or "").strip()]
        await page.reload()
        await launcher(page).click()
        await expect(page.locator("li.visitor")).to_contain_text("Hello there!")
        await write(page, "Still there?")
        await expect(page.locator("li.agent")).to_have_count(3)
        again = await asyncio.to_thread(person.ask, "GET", f"/v1/widgets/{widget['widget_id']}/sessions")
        assert again.json["total"] == 1, "the same visitor in the same tab"
        assert not [url for url in asked if "voice.js" in url], "nobody talked"


async def test_the_pages_styles_and_its_strict_policy_change_nothing(api: Api, person: Person) -> None:
    policy = f"default-src 'none'; script-src {api.url}; connect-src {api.url}; style-src 'unsafe-inline'"
    async with host_page(api, widget_of(person), policy) as address, browsing() as (page, _):
        await page.goto(address)
        await launcher(page).click()
        send = page.get_by_role("button", name="Send")
        await expect(send).to_have_css("background-color", "rgb(11, 110, 79)")
        greeting = page.get_by_text(GREETING).first
        await expect(greeting).to_have_css("font-size", "15px")
        await expect(page.get_by_role("heading", name="Bicycles")).to_have_css("font-size", "40px")
        await write(page, "Hello there!")
        await expect(page.locator("li.agent")).to_have_count(2)


async def test_a_visitor_begins_to_talk_and_hangs_up(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    widget = widget_of(person, voice_mode="both")
    async with host_page(api, widget) as address, browsing(*FAKE_MICROPHONE) as (page, asked):
        await page.goto(address)
        await launcher(page).click()
        assert not [url for url in asked if "voice.js" in url]
        async with page.expect_response("**/voice-token") as token:
            await page.get_by_role("button", name="Talk").click()
        await expect(page.get_by_role("status")).to_have_text("One moment…", timeout=20_000)
        assert [url for url in asked if url.endswith("/widget/voice.js")]
        await picture(page, "widget-voice")
        call_id = (await (await token.value).json())["call_id"]
        assert (await asyncio.to_thread(worker.brief, call_id)).json["max_duration_seconds"] == 300
        call = (await asyncio.to_thread(person.ask, "GET", f"/v1/calls/{call_id}")).json
        assert call["metadata"]["widget_id"] == widget["widget_id"]
        await page.get_by_role("button", name="Mute", exact=True).click()
        await expect(page.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
        await page.get_by_role("button", name="End").click()
        await expect(page.get_by_text("The conversation has ended.")).to_be_visible()
        await expect(page.get_by_role("textbox", name="Message")).to_be_visible()


async def test_a_refused_microphone_is_said_and_no_call_is_made(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    widget = widget_of(person, voice_mode="voice", voice_sessions_per_day=1)
    async with host_page(api, widget) as address, browsing(*REFUSED) as (page, asked):
        await page.goto(address)
        await launcher(page).click()
        await expect(page.get_by_role("textbox", name="Message")).to_have_count(0)
        await page.get_by_role("button", name="Talk").click()
        await expect(page.get_by_role("alert").last).to_contain_text("microphone cannot be used")
        assert not [url for url in asked if "voice-token" in url]


async def test_on_a_page_that_is_not_listed_nothing_is_drawn(api: Api, person: Person) -> None:
    widget = widget_of(person, allowed_domains=["shop.example.com"])
    async with host_page(api, widget) as address, browsing() as (page, _):
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/config")):
            await page.goto(address)
        await page.wait_for_load_state("networkidle")
        await expect(page.locator("call2me-widget")).to_have_count(0)
        await expect(page.get_by_role("heading", name="Bicycles")).to_be_visible()
        refused = await page.evaluate(
            "url => fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'},"
            " body: '{\"message\": \"Hello\"}'}).then(() => 'answered', () => 'refused')",
            f"{api.url}/v1/widgets/{widget['widget_id']}/chat",
        )
        assert refused == "refused"
        sessions = await asyncio.to_thread(person.ask, "GET", f"/v1/widgets/{widget['widget_id']}/sessions")
        assert sessions.json["total"] == 0
        await page.goto(f"{api.url}/v1/widgets/{widget['widget_id']}/preview")
        await expect(launcher(page)).to_be_visible()


async def test_a_small_screen_is_filled_and_never_scrolls_sideways(api: Api, person: Person) -> None:
    widget = widget_of(person, voice_mode="both")
    async with host_page(api, widget) as address, browsing() as (page, _):
        await page.set_viewport_size({"width": 360, "height": 640})
        await page.goto(address)
        await launcher(page).click()
        panel = page.get_by_role("dialog")
        await write(page, "A-long-word-without-any-place-to-break-it " + "x" * 200)
        await expect(page.locator("li.agent")).to_have_count(2)
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        await picture(page, "widget-small")
        box = await panel.bounding_box()
        assert box is not None
        assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 360, 640)
        assert await panel.evaluate("panel => panel.scrollWidth - panel.clientWidth") == 0
        await page.get_by_role("button", name="Close chat").click()
        await expect(launcher(page)).to_be_visible()


async def test_the_keyboard_is_enough(api: Api, person: Person) -> None:
    async with host_page(api, widget_of(person)) as address, browsing() as (page, _):
        await page.goto(address)
        await expect(launcher(page)).to_be_visible()
        await page.get_by_label("Search").focus()
        await page.keyboard.press("Tab")
        await expect(launcher(page)).to_be_focused()
        await page.keyboard.press("Enter")
        box = page.get_by_role("textbox", name="Message")
        await expect(box).to_be_focused()
        await page.keyboard.type("One")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("two")
        await page.keyboard.press("Enter")
        await expect(page.locator("li.visitor")).to_contain_text("One\ntwo")
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(launcher(page)).to_be_focused()


async def test_it_opens_by_itself_but_takes_no_key_and_not_twice(api: Api, person: Person) -> None:
    widget = widget_of(person, auto_open=True, auto_open_delay_ms=300, position="bottom-left")
    async with host_page(api, widget) as address, browsing() as (page, _):
        await page.goto(address)
        await page.get_by_label("Search").focus()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await expect(page.get_by_label("Search")).to_be_focused()
        box = await page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert box["x"] == 20
        await page.get_by_role("dialog").get_by_role("button", name="Close chat").click()
        await page.reload()
        await expect(launcher(page)).to_be_visible()
        await asyncio.sleep(0.8)
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_an_answer_that_was_lost_is_asked_for_again(api: Api, person: Person) -> None:
    async with host_page(api, widget_of(person)) as address, browsing() as (page, _):
        await page.goto(address)
        await launcher(page).click()
        await page.route("**/chat", lambda route: route.abort())
        await write(page, "Hello there!")
        await expect(page.get_by_role("alert").last).to_contain_text("no connection")
        await page.unroute("**/chat")
        with contextlib.suppress(AssertionError):
            await picture(page, "widget-lost")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator("li.agent")).to_have_count(2)
        await expect(page.locator("li.visitor")).to_have_count(1)


async def test_the_agents_own_page_fills_the_window_with_it(api: Api, person: Person) -> None:
    slug = f"shop-{person.email[6:-12]}"
    widget_of(person, public_slug=slug, voice_mode="both", allowed_domains=["shop.example.com"])
    async with browsing() as (page, _):
        await page.goto(f"{api.url}/a/{slug}")
        await expect(page).to_have_title("Bicycle shop")
        await expect(page.get_by_role("main")).to_be_visible()
        await write(page, "Hello there!")
        await expect(page.locator("li.agent")).to_have_count(2)
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        await picture(page, "widget-page")
