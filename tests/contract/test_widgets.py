"""/v1/widgets, with the official SDK and as a browser asks, on each kind of database."""

import gzip
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from call2me import Call2Me

from api.widgets import origins
from tests.contract.conftest import House
from tests.support.api import AGENT, Api, Person, Reply

ENGLISH = {**AGENT, "language": "en-US"}
SHOP = "https://shop.example.com"


@pytest.fixture
def client(api: Api, person: Person) -> Iterator[Call2Me]:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        yield client


def widget_of(person: Person, **asked: Any) -> dict[str, Any]:
    agent = person.made("/v1/agents", ENGLISH)
    return person.made("/v1/widgets", {"agent_id": agent["agent_id"], "name": "Shop", **asked})


def visit(api: Api, path: str, body: Any = None, *, origin: str = "", method: str = "POST") -> Reply:
    """What a browser sends for a page of `origin`, without any credentials."""
    return api.ask(method, path, body, headers={"Origin": origin} if origin else {})


def test_the_sdk_makes_changes_lists_and_deletes_a_widget(client: Call2Me, person: Person, api: Api) -> None:
    agent = person.made("/v1/agents", ENGLISH)
    made = client.widgets.create(agent["agent_id"], name="", greeting_message="Welcome!", auto_open=True)
    assert (made["name"], made["greeting_message"], made["auto_open"]) == ("Reception", "Welcome!", True)
    assert (made["position"], made["voice_mode"], made["active"]) == ("bottom-right", "chat", True)
    assert (
        made["embed_code"]
        == f'<script src="{api.url}/v1/widgets/{made["widget_id"]}/embed.js" async></script>'
    )
    changed = client.widgets.update(
        made["widget_id"], primary_color="#0a7", public_slug=f"shop-{made['widget_id'][-6:]}"
    )
    assert (changed["primary_color"], changed["greeting_message"]) == ("#0a7", "Welcome!")
    assert changed["public_url"] == f"{api.url}/a/{changed['public_slug']}"
    assert client.widgets.get(made["widget_id"]) == changed
    assert client.widgets.list() == [changed]
    assert person.ask("GET", f"/v1/widgets?agent_id={agent['agent_id']}").json == [changed]
    assert person.ask("GET", "/v1/widgets?agent_id=agent_000000000000").json == []
    shown = visit(api, f"/v1/widgets/{made['widget_id']}/config", method="GET").json
    assert (shown["agent_name"], shown["primary_color"], shown["language"]) == ("Reception", "#0a7", "tr-TR")
    assert not {"user_id", "allowed_domains", "messages_per_day"} & set(shown)
    client.widgets.delete(made["widget_id"])
    assert client.widgets.list() == []
    assert visit(api, f"/v1/widgets/{made['widget_id']}/config", method="GET").status == 404


def test_the_sdk_chats_through_a_widget_and_its_owner_reads_it(client: Call2Me, person: Person) -> None:
    widget = widget_of(person)
    said = client.widgets.chat(widget["widget_id"], "Hello!")  # the SDK sends "visitor_id": null
    assert said["content"] == said["reply"] == said["response"] != ""
    again = client.widgets.chat(widget["widget_id"], "And now?", visitor_id=said["visitor_id"])
    assert again["session_id"] == said["session_id"]
    other = client.widgets.chat(widget["widget_id"], "Hello!")
    assert other["visitor_id"] != said["visitor_id"]
    assert other["session_id"] != said["session_id"]
    [chat] = [
        one
        for one in person.ask("GET", "/v1/chats?source=widget").json["sessions"]
        if one["message_count"] == 4
    ]
    assert (chat["session_id"], chat["widget_name"]) == (said["session_id"], "Shop")
    path = f"/v1/widgets/{widget['widget_id']}/sessions"
    listed = person.ask("GET", f"{path}?limit=1").json
    assert (listed["total"], len(listed["sessions"])) == (2, 1)
    told = person.ask("GET", f"{path}/{said['session_id']}/messages").json
    assert [one["content"] for one in told["messages"]][::2] == ["Hello!", "And now?"]
    assert (told["visitor_id"], told["total"]) == (said["visitor_id"], 4)


def test_an_answer_is_streamed_in_both_documented_forms_and_tells_no_prices(api: Api, person: Person) -> None:
    path = f"/v1/widgets/{widget_of(person)['widget_id']}/chat"
    reply = visit(api, path, {"message": "Hello!", "visitor_id": "v-1", "stream": True}, origin=SHOP)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["access-control-allow-origin"] == SHOP
    *told, last = re.findall(r"^data: (.*)$", reply.raw.decode(), re.MULTILINE)
    assert last == "[DONE]"
    *deltas, done = map(json.loads, told)
    assert "".join(one["delta"] for one in deltas).strip() == done["content"]
    assert (done["done"], done["visitor_id"], "cost_usd" in done) == (True, "v-1", False)
    named = visit(api, f"{path}/stream", {"message": "Hello again!", "visitor_id": "v-1"}).raw.decode()
    assert re.findall(r"^event: (\w+)$", named, re.MULTILINE)[-1] == "done"
    assert f'"session_id": "{done["session_id"]}"' in named


def test_only_listed_pages_may_use_a_widget(api: Api, person: Person, client: Call2Me) -> None:
    widget = widget_of(
        person, allowed_domains=["Shop.example.com", "http://localhost:3000/"], voice_mode="both"
    )
    assert widget["allowed_domains"] == ["shop.example.com", "http://localhost:3000"]
    path = f"/v1/widgets/{widget['widget_id']}"
    for origin in (SHOP, "http://shop.example.com", "http://localhost:3000", api.url):
        reply = visit(api, f"{path}/chat", {"message": "Hello!"}, origin=origin)
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, origin)
        assert "Origin" in reply.headers["vary"]
    for origin in (
        "https://example.com",
        "https://evil-shop.example.com",
        "https://shop.example.com.evil.com",
        "https://shop.example.com:8443",
        "https://localhost:3000",
        "null",
    ):
        for reply in (
            visit(api, f"{path}/chat", {"message": "Hello!"}, origin=origin),
            visit(api, f"{path}/voice-token", {}, origin=origin),
            visit(api, f"{path}/config", origin=origin, method="GET"),
            visit(api, f"{path}/chat", origin=origin, method="OPTIONS"),
        ):
            assert reply.status == 403, (origin, reply.raw)
            assert "access-control-allow-origin" not in reply.headers
    assert person.ask("GET", f"{path}/sessions").json["total"] == 4
    assert visit(api, f"{path}/chat", {"message": "Hello!"}).status == 403, "a program without an Origin"
    assert api.person().ask("POST", f"{path}/chat", {"message": "Hello!"}).status == 403
    assert client.widgets.chat(widget["widget_id"], "Hello!")["content"], "the owner's own program"
    person.ask("PATCH", path, {"allowed_domains": []})
    assert visit(api, f"{path}/chat", {"message": "Hello!"}, origin="https://example.com").status == 200


def test_a_browser_may_ask_first_and_reads_what_was_wrong(api: Api, person: Person) -> None:
    path = f"/v1/widgets/{widget_of(person)['widget_id']}"
    for name in ("config", "chat", "chat/stream", "voice-token"):
        asked = api.ask(
            "OPTIONS",
            f"{path}/{name}",
            headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"},
        )
        assert asked.status == 204
        assert asked.headers["access-control-allow-origin"] == SHOP
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "Content-Type" in asked.headers["access-control-allow-headers"]
    wrong = visit(api, f"{path}/chat", {"message": ""}, origin=SHOP)
    assert (wrong.status, wrong.headers["access-control-allow-origin"]) == (422, SHOP)
    owners = api.ask("GET", "/v1/widgets", token=person.token, headers={"Origin": SHOP})
    assert "access-control-allow-origin" not in owners.headers, "the owner's routes stay closed to pages"


def test_a_visitor_and_a_day_have_limits_that_a_refusal_does_not_use_up(api: Api, person: Person) -> None:
    widget = widget_of(person, messages_per_visitor_per_day=2, messages_per_day=4)
    path = f"/v1/widgets/{widget['widget_id']}/chat"

    def write(visitor: str) -> Reply:
        return visit(api, path, {"message": "Hello!", "visitor_id": visitor}, origin=SHOP)

    assert [write("one").status for _ in range(3)] == [200, 200, 429]
    refused = write("one")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert "Retry-After" in refused.headers["access-control-expose-headers"]
    assert [write(name).status for name in ("two", "three", "four")] == [200, 200, 429]
    sessions = person.ask("GET", f"/v1/widgets/{widget['widget_id']}/sessions").json["sessions"]
    assert sum(one["message_count"] for one in sessions) == 8, "a refused message is not kept"
    person.ask("PATCH", f"/v1/widgets/{widget['widget_id']}", {"messages_per_day": 5})
    assert [write(name).status for name in ("four", "five")] == [200, 429]


def test_visitors_at_once_do_not_pass_the_limit_together(api: Api, person: Person) -> None:
    widget = widget_of(person, messages_per_day=3)
    path = f"/v1/widgets/{widget['widget_id']}/chat"
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(
            lambda number: visit(api, path, {"message": "Hello!", "visitor_id": f"v{number}"}).status,
            range(8),
        )
    assert sorted(replies) == [200] * 3 + [429] * 5


def test_a_page_and_a_script_are_served_for_any_site(api: Api, person: Person) -> None:
    widget = widget_of(person, name='<b>"Shop" & Co</b>', public_slug=(slug := f"s-{person.email[:-12]}"))
    path = f"/v1/widgets/{widget['widget_id']}"
    script = visit(api, f"{path}/embed.js", method="GET", origin=SHOP)
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"
    assert b"sk_" not in script.raw
    assert len(gzip.compress(script.raw, 9)) <= 15_000, "a small script is a promise"
    assert b"RTCPeerConnection" not in script.raw, "livekit-client comes when somebody talks"
    voice = visit(api, "/widget/voice.js", method="GET", origin=SHOP)
    assert voice.headers["access-control-allow-origin"] == "*"
    assert b"RTCPeerConnection" in voice.raw
    for address in (f"/a/{slug}", f"/v1/a/{slug}", f"{path}/preview"):
        page = visit(api, address, method="GET")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["permissions-policy"].startswith("microphone=(self)")
        assert b"&lt;b&gt;&quot;Shop&quot; &amp; Co" in page.raw
    person.ask("PATCH", path, {"active": False})
    for address in (f"/a/{slug}", f"{path}/embed.js", f"{path}/preview", f"{path}/config"):
        assert visit(api, address, method="GET").status == 404
    assert visit(api, f"{path}/chat", {"message": "Hello!"}).status == 404


def test_a_slug_belongs_to_one_widget_and_can_be_given_back(api: Api, person: Person) -> None:
    slug = f"only-{person.email[:-12]}"
    first, second = widget_of(person, public_slug=slug), widget_of(api.person())
    owner = second["user_id"]
    assert owner != first["user_id"]
    assert (
        person.ask("POST", "/v1/widgets", {"agent_id": first["agent_id"], "public_slug": slug}).status == 409
    )
    third = widget_of(person)
    path = f"/v1/widgets/{third['widget_id']}"
    assert person.ask("PATCH", path, {"public_slug": slug, "name": "New"}).status == 409
    assert person.ask("GET", path).json["name"] == "Shop", "a refused change changes nothing"
    assert (
        person.ask("PATCH", f"/v1/widgets/{first['widget_id']}", {"public_slug": ""}).json["public_slug"]
        is None
    )
    assert person.ask("PATCH", path, {"public_slug": slug}).status == 200


def test_what_is_no_widget_is_refused_and_changes_nothing(person: Person, api: Api) -> None:
    widget = widget_of(person)
    theirs = api.person().made("/v1/agents", ENGLISH)["agent_id"]
    path = f"/v1/widgets/{widget['widget_id']}"
    for wrong in (
        {"primary_color": "red; background: url(x)"},
        {"position": "top"},
        {"voice_mode": "video"},
        {"avatar_url": "javascript:alert(1)"},
        {"public_slug": "a/b"},
        {"allowed_domains": ["*.example.com"]},
        {"allowed_domains": ["https://example.com/path"]},
        {"voice_session_limit_sec": 9},
        {"messages_per_day": 0},
        {"language": "<script>"},
    ):
        assert person.ask("PATCH", path, wrong).status == 422, wrong
        assert person.ask("POST", "/v1/widgets", {"agent_id": widget["agent_id"], **wrong}).status == 422, (
            wrong
        )
    for agent_id in (theirs, "agent_000000000000"):
        assert person.ask("POST", "/v1/widgets", {"agent_id": agent_id}).status == 404
        assert person.ask("PATCH", path, {"agent_id": agent_id}).status == 404
    assert person.ask("GET", path).json == widget
    assert len(person.ask("GET", "/v1/widgets").json) == 1


def test_a_widget_without_its_agent_says_so(api: Api, person: Person) -> None:
    widget = widget_of(person)
    path = f"/v1/widgets/{widget['widget_id']}"
    assert visit(api, f"{path}/chat", {"message": "Hello!", "visitor_id": "v"}).status == 200
    person.ask("DELETE", f"/v1/agents/{widget['agent_id']}")
    assert visit(api, f"{path}/chat", {"message": "Hello?", "visitor_id": "v"}).status == 409
    assert visit(api, f"{path}/chat", {"message": "Hello?", "visitor_id": "w"}).status == 404
    assert visit(api, f"{path}/config", method="GET").status == 404


def test_the_greeting_is_spoken_kept_and_forgotten_with_its_words(api: Api, person: Person) -> None:
    widget = widget_of(
        person, voice_greeting_enabled=True, language="en-US", voice_greeting_voice="espeak-en"
    )
    path = f"/v1/widgets/{widget['widget_id']}"
    assert visit(api, f"{path}/greeting.mp3", method="GET").status == 404
    assert visit(api, f"{path}/config", method="GET").json["greeting_audio_url"] is None
    made = person.ask("POST", f"{path}/regenerate-greeting-audio")
    assert made.status == 200, made.raw
    url = visit(api, f"{path}/config", method="GET").json["greeting_audio_url"]
    assert url == made.json["url"]
    heard = visit(api, url.removeprefix(api.url), method="GET", origin=SHOP)
    assert (heard.headers["content-type"], "immutable" in heard.headers["cache-control"]) == (
        "audio/mpeg",
        True,
    )
    assert len(heard.raw) == made.json["bytes"] > 2000
    person.ask("PATCH", path, {"greeting_message": "Something else."})
    assert visit(api, f"{path}/greeting.mp3", method="GET").status == 404


def test_a_voice_token_lets_a_visitor_talk_for_as_long_as_the_widget_says(house: House) -> None:
    person, api = house.person(), house.api
    widget = widget_of(person, voice_mode="both", voice_session_limit_sec=60, voice_sessions_per_day=2)
    path = f"/v1/widgets/{widget['widget_id']}/voice-token"
    token = visit(api, path, {"visitor_id": "v-1", "visitor_name": "Ada"}, origin=SHOP)
    assert token.status == 200, token.raw
    assert token.headers["access-control-allow-origin"] == SHOP
    assert token.json["session_limit_sec"] == 60
    brief = house.worker.brief(token.json["call_id"], "job-1")
    assert brief.json["max_duration_seconds"] == 60
    assert brief.json["variables"]["username"] == "Ada"
    call = person.ask("GET", f"/v1/calls/{token.json['call_id']}").json
    assert call["metadata"]["widget_id"] == widget["widget_id"]
    assert [visit(api, path, origin=SHOP).status for _ in range(2)] == [200, 429], "no body is fine"
    person.ask("PATCH", f"/v1/widgets/{widget['widget_id']}", {"voice_mode": "chat"})
    assert visit(api, path, origin=SHOP).status == 403


@pytest.mark.parametrize(
    ("origin", "domain", "is_allowed"),
    [
        ("https://a.example", "a.example", True),
        ("https://A.example", "a.example", True),
        ("https://a.example:443", "a.example", True),
        ("http://a.example:8080", "a.example", False),
        ("http://a.example:8080", "a.example:8080", True),
        ("http://a.example", "https://a.example", False),
        ("https://b.a.example", "a.example", False),
        ("https://a.example@evil.example", "a.example", False),
        ("https://xn--bcher-kva.example", "bücher.example", True),
        ("http://[::1]:3000", "[::1]:3000", True),
        ("ftp://a.example", "a.example", False),
        ("a.example", "a.example", False),
        ("https://a.example:99999", "a.example", False),
        ("", "a.example", False),
    ],
)
def test_an_origin_is_matched_exactly(origin: str, domain: str, is_allowed: bool) -> None:
    assert origins.is_allowed(origin, [origins.normal(domain)]) is is_allowed


@pytest.mark.parametrize(
    "domain", ["*", "*.a.example", "https://a.example/x", "a b", "a.example:0", "ftp://a", "[", ""]
)
def test_what_is_no_origin_is_not_kept(domain: str) -> None:
    with pytest.raises(ValueError, match="domain like"):
        origins.normal(domain)
