"""The page in a browser where something is missing: it says what, and what to do."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page, Route, async_playwright, expect

from api.settings import Settings
from tests.support.api import AGENT, PASSWORD, Api, Person, running_api
from tests.support.house import House
from tests.support.livekit_server import LiveKitServer, running_livekit
from tests.support.ports import free_port
from tests.support.rehearsed_exchange import bound, goes, rings
from tests.support.rehearsed_worker import RehearsedWorker, Script

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PLAIN = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
FAKE_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
REFUSED = ("--use-fake-device-for-media-stream", "--deny-permission-prompts")
ELSEWHERE = "page.example"
"""A name that is not this machine's own, so that browsers call the page insecure."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def api(home: Path) -> Iterator[Api]:
    with running_api(home, CALL2ME_LIVEKIT_UDP_PORT=str(free_port())) as running:
        yield running


@pytest.fixture(scope="module")
def livekit(api: Api) -> Iterator[LiveKitServer]:
    with running_livekit(Settings.load(api.environment)) as server:
        yield server


@pytest.fixture
def worker(api: Api) -> Iterator[RehearsedWorker]:
    """One that is ready and never sends an agent."""
    with RehearsedWorker(api) as running:
        deadline = time.monotonic() + 20
        while api.ask("GET", "/v1/livekit/health").json["workers"] == 0:
            assert time.monotonic() < deadline, "the worker's first word did not come"
            time.sleep(0.05)
        yield running


@pytest.fixture
def person(api: Api) -> Person:
    signed_in = api.person()
    signed_in.made("/v1/agents", {**AGENT, "language": "en-US"})
    return signed_in


@asynccontextmanager
async def browsing(*flags: str) -> AsyncIterator[Page]:
    """A fresh browser. What a page asks of any other host, and what its policy refuses, is a failure."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*PLAIN, *flags])
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None)
        page.on("request", lambda asked: None if _is_ours(asked.url) else wrong.append(asked.url))
        try:
            yield page
        finally:
            await browser.close()
        assert not wrong, wrong


def _is_ours(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", ELSEWHERE} or url.startswith(("data:", "blob:"))


async def sign_in(page: Page, address: str, person: Person) -> None:
    await page.goto(address)
    await page.get_by_label("Email").fill(person.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(talk_button(page)).to_be_enabled()


def talk_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Talk", exact=True)


async def test_a_wrong_password_is_told_apart_from_a_server_that_is_away(api: Api, person: Person) -> None:
    async with browsing() as page:
        await page.goto(api.url)
        await page.get_by_label("Email").fill(person.email)
        await page.get_by_label("Password").fill("not this one")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("do not match")
        await page.route("**/v1/auth/login", lambda route: route.abort())
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("Check that Call2Me is running")


async def test_a_used_link_leaves_the_address_and_asks_to_sign_in(api: Api) -> None:
    async with browsing() as page:
        for address in (f"{api.url}/#link=once_used", f"{api.url}/?sign_in=once_used"):
            await page.goto("about:blank")
            await page.goto(address)
            await expect(page.get_by_role("alert")).to_contain_text("used before or has expired")
            assert "once_used" not in page.url
            assert "once_used" not in await page.evaluate(
                "JSON.stringify([history.state, {...sessionStorage}])"
            )


async def test_no_worker_is_said_in_the_servers_words_and_trying_again_works(
    api: Api, person: Person, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE) as page:
        await sign_in(page, api.url, person)
        await talk_button(page).click()
        await expect(page.get_by_role("alert")).to_contain_text("No call can be answered now")
        with RehearsedWorker(api):
            await asyncio.sleep(0.5)
            await page.get_by_role("button", name="Try again").click()
            await expect(page.get_by_role("status").first).to_contain_text("Waiting for Reception")
            await expect(page.get_by_role("alert").first).to_be_empty()


async def test_a_refused_microphone_says_how_to_allow_it_and_typing_goes_on(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*REFUSED) as page:
        await sign_in(page, api.url, person)
        await talk_button(page).click()
        alert = page.get_by_role("alert").first
        await expect(alert).to_contain_text("The microphone is blocked")
        await expect(alert).to_contain_text("to the left of the address")
        assert person.ask("GET", "/v1/calls").json["total"] == 0, "a call was made that nobody could hear"
        await alert.get_by_role("button", name="Type instead").click()
        await write(page, "Hello there")


async def test_without_a_microphone_one_types(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing("--use-fake-ui-for-media-stream") as page:
        await sign_in(page, api.url, person)
        await talk_button(page).click()
        await expect(page.get_by_role("alert").first).to_contain_text("No microphone found")
        await page.get_by_role("alert").first.get_by_role("button", name="Type instead").click()
        await write(page, "Hello there")


async def test_a_page_that_is_not_secure_says_why_and_typing_goes_on(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1") as page:
        await sign_in(page, api.url.replace("127.0.0.1", ELSEWHERE), person)
        await talk_button(page).click()
        await expect(page.get_by_role("alert").first).to_contain_text("needs a secure page")
        await page.get_by_role("alert").first.get_by_role("button", name="Type instead").click()
        await write(page, "Hello there")


async def test_an_agent_that_does_not_come_is_said_after_ten_seconds(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE) as page:
        await sign_in(page, api.url, person)
        await talk_button(page).click()
        await phase(page, "waiting")
        began = time.monotonic()
        alert = page.get_by_role("alert").first
        await expect(alert).to_contain_text("The agent has not joined", timeout=15_000)
        assert 8 < time.monotonic() - began < 12
        await alert.get_by_role("button", name="Keep waiting").click()
        await expect(alert).to_be_empty()
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Talk again")).to_be_visible()


async def test_a_machine_without_a_network_is_told_so_before_a_call_is_made(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    # What Chromium tells a page with no interface up but the loopback: no candidate, and that these were all.
    nothing_gathered = """
      window.RTCPeerConnection = class extends RTCPeerConnection {
        set onicecandidate(told) { super.onicecandidate = (event) => event.candidate || told(event); }
      };
    """
    async with browsing(*FAKE_MICROPHONE) as page:
        await page.add_init_script(nothing_gathered)
        await sign_in(page, api.url, person)
        await talk_button(page).click()
        alert = page.get_by_role("alert").first
        await expect(alert).to_contain_text("do not send calls over the loopback interface alone")
        assert person.ask("GET", "/v1/calls").json["total"] == 0


async def test_a_past_call_that_is_opened_anew_has_its_agents_name(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    [agent] = person.ask("GET", "/v1/agents").json
    call_id = person.ask("POST", "/v1/livekit/token", {"agent_id": agent["agent_id"]}).json["call_id"]
    async with browsing() as page:
        await sign_in(page, api.url, person)

        async def late(route: Route) -> None:
            await asyncio.sleep(0.5)
            await route.continue_()

        await page.route("**/v1/agents*", late)
        await page.goto(f"{api.url}/#/calls/{call_id}")
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text(agent["agent_name"])


async def test_a_phone_call_is_watched_from_its_place_in_line_to_its_end(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    house = House(api, livekit, worker)
    _, number, trunk_id = bound(person)
    queues = {"answering": {"when_busy": "queue"}}
    assert person.ask("PATCH", f"/v1/phone-numbers/{number}", queues).status == 200
    async with browsing() as page:
        await sign_in(page, api.url, person)
        await expect(page.get_by_text("Your calls will be listed here.")).to_be_visible()
        ringing = rings(house, trunk_id, number, f"{number}-1", queued=0, from_number="+14155550143")
        call_id = ringing.json["call_id"]
        item = page.locator(".call-item")
        await expect(item).to_contain_text("from +14155550143", timeout=20_000)  # nobody loads it anew
        await item.click()
        about = page.locator(".detail-head")
        for place in (2, 1):
            assert goes(house, call_id, "queued", place=place) == 204
            await expect(about).to_contain_text(f"Waits for a free line, place {place}", timeout=10_000)
        script = Script(call_id)
        assert worker.brief(call_id).status == 200
        said = script.said("agent", "Hello there.", 1, 2)
        turn = script.turn(said["utterance"]["utterance_id"], 400, 2)
        worker.tell(script.started(), said, turn)
        await expect(page.get_by_text("Hello there.")).to_be_visible(timeout=10_000)
        await expect(about).to_contain_text("In progress")
        timing = page.locator("details.timing")
        await timing.locator("summary").click()
        worker.tell(script.said("user", "Good morning.", 3, 4))
        await expect(page.get_by_text("Good morning.")).to_be_visible(timeout=10_000)
        await expect(timing).to_have_attribute("open", "")  # though all of it was asked for again
        await page.get_by_role("button", name="from +14155550143").focus()
        worker.tell(script.ended(5))
        await expect(about).to_contain_text("Completed", timeout=10_000)
        assert await page.evaluate("document.activeElement.dataset.call") == call_id


async def test_an_agent_says_what_was_written_in_the_page_and_keeps_its_functions(
    api: Api, person: Person
) -> None:
    [agent] = person.ask("GET", "/v1/agents").json
    path = f"/v1/agents/{agent['agent_id']}"
    engine = {**agent["response_engine"], "functions": [{"type": "python", "name": "book_table"}]}
    assert person.ask("PATCH", path, {"response_engine": engine}).status == 200
    async with browsing() as page:
        await sign_in(page, api.url, person)
        await page.get_by_role("link", name="Change what it says").click()
        prompt, save = page.get_by_label("Prompt"), page.get_by_role("button", name="Save")
        await expect(prompt).to_have_value(engine["system_prompt"])
        # Somebody else is quicker: nothing of theirs is lost, and nothing of what was written here.
        assert person.ask("PATCH", path, {"voice_speed": 1.2}).status == 200
        await prompt.fill("The pool is open until nine.")
        await save.click()
        await expect(page.get_by_role("alert")).to_contain_text("has changed this agent meanwhile")
        await expect(prompt).to_have_value("The pool is open until nine.")
        await page.get_by_role("button", name="Back").click()
        await page.get_by_role("link", name="Change what it says").click()
        await expect(prompt).to_have_value(engine["system_prompt"])
        await prompt.fill("The pool is open until nine.")
        await page.get_by_label("Name").fill("Lifeguard")
        await page.get_by_label("Said first").fill("Hello, the pool here.")
        await save.click()
        await expect(page.get_by_label("Agent")).to_have_text("Lifeguard")
        await expect(talk_button(page)).to_be_enabled()
    changed = person.ask("GET", path).json
    assert (changed["agent_name"], changed["begin_message"]) == ("Lifeguard", "Hello, the pool here.")
    assert changed["response_engine"]["system_prompt"] == "The pool is open until nine."
    assert [one["name"] for one in changed["response_engine"]["functions"]] == ["book_table"]
    assert changed["voice_speed"] == 1.2


async def test_a_session_that_ended_asks_to_sign_in_again(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE) as page:
        await sign_in(page, api.url, person)
        await page.wait_for_load_state("networkidle")
        kept = await page.evaluate("JSON.parse(sessionStorage.getItem('call2me.session'))")
        api.ask("POST", "/v1/auth/logout", {}, token=kept["access"])
        await talk_button(page).click()
        await expect(page.get_by_role("alert")).to_contain_text("Your session has expired")
        await expect(page.get_by_label("Email")).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0


async def test_an_access_token_that_ended_is_renewed_unseen(api: Api, person: Person) -> None:
    async with browsing() as page:
        await sign_in(page, api.url, person)
        before = await page.evaluate("sessionStorage.getItem('call2me.session')")
        await page.evaluate(
            "const kept = JSON.parse(sessionStorage.getItem('call2me.session'));"
            "sessionStorage.setItem('call2me.session', JSON.stringify({...kept, access: 'x', endsAt: 0}))"
        )
        await page.reload()
        await expect(talk_button(page)).to_be_enabled()
        assert await page.evaluate("sessionStorage.getItem('call2me.session')") != before


async def test_a_lost_call_server_is_told_and_the_page_gets_over_it(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE) as page:
        await sign_in(page, api.url, person)
        async with asyncio.timeout(30):  # whatever the tests before this one took away is back
            while api.ask("GET", "/v1/livekit/health").json["status"] != "healthy":
                await asyncio.sleep(0.1)
        await talk_button(page).click()
        await phase(page, "waiting")
        livekit.stop()
        try:
            await phase(page, "reconnecting")
            await expect(page.get_by_role("status").first).to_contain_text("Reconnecting")
            await page.get_by_role("button", name="Hang up").click()
            await page.get_by_role("button", name="Talk again").click()
            await talk_button(page).click()
            await expect(page.get_by_role("alert").first).to_contain_text(
                re.compile("livekit-server does not answer|call server cannot be reached")
            )
        finally:
            livekit.start()
        again = page.get_by_role("button", name="Try again")
        async with asyncio.timeout(60):
            # The api asks livekit-server anew only after what Retry-After says.
            while await page.evaluate("call2me.phase") != "waiting":
                with contextlib.suppress(PlaywrightError):  # it is gone again while a try is under way
                    await again.click(timeout=1000)


async def test_the_keyboard_is_enough_and_no_key_hangs_up_by_surprise(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE) as page:
        await sign_in(page, api.url, person)
        await page.locator("body").press("Tab")
        seen = [await focused(page)]
        while "Talk" not in seen[-1] and len(seen) < 12:
            await page.keyboard.press("Tab")
            seen.append(await focused(page))
        assert seen[-1] == "Talk", seen
        await page.keyboard.press("Enter")
        await phase(page, "waiting")
        await page.keyboard.press("m")
        await expect(page.get_by_role("button", name="Unmute")).to_be_visible()
        await page.keyboard.press("m")
        await expect(page.get_by_role("button", name="Mute", exact=True)).to_be_visible()
        await page.keyboard.press("Escape")
        box = page.get_by_role("textbox", name="Type a message")
        await box.fill("me and mum")
        assert await box.input_value() == "me and mum"
        await expect(page.get_by_role("button", name="Mute", exact=True)).to_be_visible()
        await page.keyboard.press("Escape")
        assert await page.evaluate("call2me.phase") == "waiting"


async def test_a_small_screen_never_scrolls_sideways(
    api: Api, person: Person, worker: RehearsedWorker, livekit: LiveKitServer
) -> None:
    async with browsing(*FAKE_MICROPHONE) as page:
        await page.set_viewport_size({"width": 360, "height": 640})
        await sign_in(page, api.url, person)
        assert await overflow(page) == 0
        await talk_button(page).click()
        await phase(page, "waiting")
        assert await overflow(page) == 0
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Talk again")).to_be_visible()
        assert await overflow(page) == 0


async def test_the_reference_is_drawn_from_our_own_document(api: Api) -> None:
    async with browsing() as page:
        await page.goto(f"{api.url}/docs")
        await expect(page.get_by_text("/v1/auth/login", exact=True).first).to_be_visible(timeout=20_000)
        await page.locator(".opblock-post .opblock-summary-control").first.click()
        await expect(page.locator(".opblock.is-open .responses-wrapper")).to_be_visible()
        # So many operations are drawn only where one looks: the last ones when one has come to them.
        await page.mouse.wheel(0, 100_000)
        await expect(page.get_by_text("/health/live", exact=True).first).to_be_visible(timeout=20_000)


async def test_the_hook_for_measurements_shows_no_secret(api: Api, person: Person) -> None:
    async with browsing() as page:
        await sign_in(page, api.url, person)
        shown = await page.evaluate("JSON.stringify({...call2me, all: Object.keys(call2me)})")
        assert not re.search(r"eyJ|sk_|token|secret", shown), shown
        assert await page.evaluate("Object.isFrozen(call2me)")


async def write(page: Page, text: str) -> None:
    """Type in a call, and see it among what was said."""
    box = page.get_by_role("textbox", name="Type a message")
    await box.fill(text)
    await box.press("Enter")
    await expect(page.locator(".caption.user")).to_contain_text(text)
    await expect(box).to_have_value("")


async def phase(page: Page, wanted: str) -> None:
    """Wait for a phase. Not by `wait_for_function`: it evaluates text, which the page's policy refuses."""
    async with asyncio.timeout(25):
        while await page.evaluate("call2me.phase") != wanted:
            await asyncio.sleep(0.05)


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))


async def overflow(page: Page) -> int:
    return int(
        await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )
