"""What the links of letters open, in a browser: a forgotten password, an invite, an address to confirm."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.support.api import PASSWORD, Api, running_api
from tests.support.letters import token_in, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NEW = "a better horse"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("letters")) as running:
        yield running


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        yield await browser.new_page()
        await browser.close()


async def test_a_forgotten_password_is_replaced_from_the_page(api: Api, page: Page) -> None:
    person = api.person()
    await page.goto(api.url)
    await page.get_by_role("button", name="Forgot your password?").click()
    await expect(page.get_by_role("alert")).to_have_text("Type your email above, then press this again.")
    await page.get_by_label("Email").fill(person.email)
    await page.get_by_role("button", name="Forgot your password?").click()
    await expect(page.get_by_role("alert")).to_contain_text("a letter is on its way")
    letter = wait_for(api, person.email, "Choose a new password")
    link = next(word for word in letter.split() if "#reset=" in word)
    await page.goto("about:blank")
    await page.goto(link)
    await expect(page).not_to_have_url(link)  # the token stays in no history
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_have_text("Your password is changed. Sign in with it.")
    await page.get_by_label("Email").fill(person.email)
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await page.goto("about:blank")
    await page.goto(link)
    await page.get_by_label("New password").fill("yet another horse")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("used before or is too old")


async def test_an_invite_is_accepted_and_an_address_confirmed_from_the_page(api: Api, page: Page) -> None:
    owner = api.person()
    invite = owner.made("/v1/users/me/tenant/invites", {"email": "bea@example.com"})
    await page.goto(invite["invite_url"])
    await page.get_by_label("Your name").fill("Bea")
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    members = owner.ask("GET", "/v1/users/me/tenant/members").json["members"]
    assert [(member["email"], member["full_name"]) for member in members] == [("bea@example.com", "Bea")]
    token = token_in(wait_for(api, owner.email, "Confirm your address"), "verify")
    await page.goto("about:blank")
    await page.goto(f"{api.url}/#verify={token}")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert owner.ask("GET", "/v1/users/me").json["email_verified"] is True
