"""Owners' own domains behind a real nginx: docs/custom-domains.md as it stands, by curl and in a browser."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.e2e.test_widget import browsing, picture, write
from tests.support.api import AGENT, Api, Person, running_api
from tests.support.nginx import DOMAINS, PAGE, Nginx, running_nginx

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ACME, GLOBEX = DOMAINS
BY_HAND, LOOK = re.findall(r"^```bash\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
WWW = "www.voice.example.com"
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
    '<rect width="40" height="40" rx="8" fill="#e07a00"/></svg>'
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = {
        "CALL2ME_PUBLIC_URL": "https://voice.example.com",
        "CALL2ME_OWN_HOSTS": WWW,
        "CALL2ME_TRUSTED_PROXIES": "1",
    }
    with running_api(tmp_path_factory.mktemp("domains"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    port = int(api.url.rsplit(":", 1)[1])
    with running_nginx(tmp_path_factory.mktemp("nginx"), port) as running:
        (running.folder / ".curlrc").write_text(running.curlrc)
        yield running


@pytest.fixture(scope="module")
def acme(api: Api, nginx: Nginx) -> Person:
    """Who did what the page says."""
    person = api.person()
    shell(nginx, BY_HAND, URL=api.url, TOKEN=person.token)
    return person


def shell(nginx: Nginx, lines: str, **known: str) -> str:
    """What somebody sees who types this."""
    environment = {"PATH": "/usr/bin:/bin", "CURL_HOME": str(nginx.folder), **known}
    command = ["bash", "-ec", lines]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def status(nginx: Nginx, domain: str, path: str, more: str = "") -> int:
    return int(shell(nginx, f"curl -o /dev/null -w '%{{http_code}}' https://{domain}{path} {more}"))


def page_of(person: Person, slug: str, **more: Any) -> dict[str, Any]:
    agent = person.made("/v1/agents", {**AGENT, "language": "en-US"})
    wanted = {"agent_id": agent["agent_id"], "name": slug.title(), "public_slug": slug, "language": "en-US"}
    return person.made("/v1/widgets", {**wanted, **more})


def member_of(owner: Person, email: str) -> Person:
    token = owner.ask("POST", "/v1/auth/quick-login", {"email": email}).json["url"].split("#link=")[1]
    return Person(
        owner.api, email, owner.api.ask("POST", "/v1/auth/quick-login/verify", {"token": token}).json
    )


def test_two_owners_domains_show_each_only_their_own(api: Api, nginx: Nginx, acme: Person) -> None:
    globex, neither = api.person(), api.person()
    brand = {"app_name": "Globex", "custom_domain": GLOBEX, "primary_color": "rebeccapurple"}
    assert globex.ask("PUT", "/v1/users/me/branding", brand).status == 200
    for ours in ("voice.example.com", WWW):
        refused = neither.ask("PUT", "/v1/users/me/branding", {"custom_domain": ours})
        assert refused.status == 409, "nobody takes a name of ours"
    reception = page_of(acme, "reception", allowed_domains=["shop.example.com"])
    bea = page_of(member_of(acme, "bea@acme.example"), "bea")
    sales = page_of(globex, "sales", primary_color="#102030")
    page_of(neither, "nobody")

    assert "<title>Reception · Acme</title>" in shell(nginx, LOOK)
    slugs = ("reception", "bea", "sales", "nobody")
    assert [status(nginx, ACME, f"/a/{slug}") for slug in slugs] == [200, 200, 404, 404]
    assert [status(nginx, GLOBEX, f"/v1/a/{slug}") for slug in slugs] == [404, 404, 200, 404]
    assert [api.ask("GET", f"/a/{slug}").status for slug in slugs] == [200] * 4, "under our own name all"
    for path in ("embed.js", "config", "preview"):
        assert status(nginx, ACME, f"/v1/widgets/{reception['widget_id']}/{path}") == 200, path
        assert status(nginx, ACME, f"/v1/widgets/{sales['widget_id']}/{path}") == 404, path
    said = """-d '{"message": "Hello"}' -H 'Content-Type: application/json'"""
    assert status(nginx, ACME, f"/v1/widgets/{sales['widget_id']}/chat", said) == 404
    assert status(nginx, ACME, "/internal/worker") == 404

    def config(widget: dict[str, Any], **headers: str) -> Any:
        return api.ask("GET", f"/v1/widgets/{widget['widget_id']}/config", headers=headers)

    origins = {ACME: 200, "acme.example": 403, GLOBEX: 403, "shop.example.com": 200}
    for origin, expected in origins.items():
        assert config(reception, Origin=f"https://{origin}").status == expected, origin
    assert config(bea).json["brand"]["app_name"] == "Acme", "members have their owner's"
    told = [config(widget).json for widget in (reception, bea, sales)]
    assert [one["primary_color"] for one in told] == ["#0b6e4f", "#0b6e4f", "#102030"]
    assert [one["show_branding"] for one in told] == [False, False, True]


async def test_a_browser_sees_the_brand_and_writes_through_the_proxy(nginx: Nginx, acme: Person) -> None:
    widget = await asyncio.to_thread(page_of, acme, "front-desk", allowed_domains=["shop.example.com"])

    async def logo(route: Route) -> None:
        await route.fulfill(body=LOGO, content_type="image/svg+xml")

    async with browsing(*nginx.flags) as (page, asked):
        await page.route("https://acme.example/logo.svg", logo)
        await page.goto(f"https://{ACME}/a/front-desk")
        await expect(page).to_have_title("Front-Desk · Acme")
        await expect(page.locator(".brand")).to_have_text("Acme")
        drawn = "picture => picture.complete && picture.naturalWidth > 0"
        await expect(page.locator(".brand img")).to_be_visible()
        assert await page.locator(".brand img").evaluate(drawn)
        await expect(page.get_by_role("link", name="help@acme.example")).to_be_visible()
        await expect(page.get_by_text("Call2Me")).to_have_count(0)
        await expect(page.get_by_role("button", name="Send")).to_have_css(
            "background-color", "rgb(11, 110, 79)"
        )
        await write(page, "Hello there!")
        await expect(page.locator("li.agent")).to_have_count(2)
        await expect(page.get_by_role("button", name="Send")).to_be_enabled(timeout=60_000)
        await picture(page, "custom-domain")
        await page.set_viewport_size({"width": 360, "height": 640})
        await picture(page, "custom-domain-small")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        elsewhere = [
            url for url in asked if not url.startswith((f"https://{ACME}/", "https://acme.example/"))
        ]
        assert not elsewhere, "a page under an owner's name asks nobody else"
    sessions = await asyncio.to_thread(acme.ask, "GET", f"/v1/widgets/{widget['widget_id']}/sessions")
    assert sessions.json["total"] == 1
