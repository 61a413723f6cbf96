"""No address that somebody may give us leads anywhere private: every such field of the OpenAPI document."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from pipelines.outbound import is_public
from tests.support.api import Person
from tests.support.house import ENGLISH_AGENT, House
from tests.support.knowledge import read, upload
from tests.support.openapi import Field, Operation, operations
from tests.support.rehearsed_exchange import bound, rings, until
from tests.support.rehearsed_worker import Script
from tests.support.valid_requests import Body, prepared

ADDRESS = re.compile(
    r"ur[il]s?$|href|link|webhook|callback|endpoint|host|server|prox|destination|feed|domain$"
)
"""Names of fields that may hold an address."""
NONE = {
    "endpointing": "how a turn ends",
    "webhook_secret": "a secret",
    "endpoint_id": "an id",
    "custom_domain": "what browsers come by; nobody here goes there",
}
BROWSERS = {"avatar_url", "logo_url", "favicon_url", "success_url", "cancel_url"}
"""Where only a browser goes."""
EXCHANGES = {"sip_server", "sip_proxies"}
"""Where an exchange goes, by SIP: this server asks only whether there is such a name."""
FOLLOWED = {
    "webhook_url",
    "url",
    "destination",
    "answering.webhook_url",
    "knowledge_base_urls.[]",
    "knowledge_base_sites.[].url",
    "response_engine.mcp_servers.[].url",
    "response_engine.llm_websocket_url",
    "response_engine.functions.[].url",
    "post_call_actions.[].config.url",
}
"""Fields whose address this server follows. A new one is to be followed in the last test, too."""
AT_ONCE = {"test_function", "execute_function"}
"""They ask while they are waited for; the reply says that it could not be."""
WITH = {
    "create_notification_target": {"channel": "custom_url", "recipient_kind": "fixed"},
    "update_notification_target": {"channel": "custom_url", "recipient_kind": "fixed"},
}
FUNCTION = {"name": "book", "description": "Book.", "parameters": {"type": "object"}}
ENGINE = {"type": "call2me-llm", "system_prompt": "Hello."}
FREE: dict[str, Callable[[str], Body]] = {
    "response_engine.functions.[].url": lambda url: {
        "response_engine": {**ENGINE, "functions": [{**FUNCTION, "url": url}]}
    },
    "post_call_actions.[].config.url": lambda url: {
        "post_call_actions": [{"type": "webhook", "config": {"url": url}}]
    },
}
"""Addresses inside what the document leaves free, of an agent."""


@dataclass
class Trap:
    """Listens on this machine for somebody who comes by an address that they were given."""

    port: int = 0
    visits: list[str] = field(default_factory=list)
    name: str = ""

    def urls(self) -> list[str]:
        """What is private to see, or nothing that the web has."""
        port = self.port
        hosts = (
            f"127.0.0.1:{port}", f"[::1]:{port}", f"[::ffff:127.0.0.1]:{port}", f"localhost:{port}",
            f"2130706433:{port}", f"0x7f.1:{port}", f"127.1:{port}", f"0.0.0.0:{port}", "10.0.0.1",
            "169.254.169.254", "192.168.0.1", f"x@127.0.0.1:{port}", f"127.0.0.1.:{port}",
        )  # fmt: skip
        return [*(f"https://{host}/" for host in hosts), f"http://127.0.0.1:{port}/", *self.schemes()]

    def schemes(self) -> list[str]:
        """Not of the web."""
        return ["file:///etc/passwd", f"gopher://127.0.0.1:{self.port}/", "ftp://10.0.0.1/", "javascript:x"]


@contextmanager
def _trap() -> Iterator[Trap]:
    made, over = Trap(), threading.Event()
    listener = socket.create_server(("", 0), family=socket.AF_INET)
    listener.settimeout(0.1)
    made.port = listener.getsockname()[1]
    made.name = next(name for name in (socket.gethostname(), "ip6-loopback") if _is_private(name))

    def listen() -> None:
        while not over.is_set():
            try:
                visitor, where = listener.accept()
            except TimeoutError:
                continue
            made.visits.append(str(where))
            visitor.close()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join()
        listener.close()


def _is_private(name: str) -> bool:
    """Whether this machine's own resolver leads from a name that looks public to a private address."""
    try:
        found = socket.getaddrinfo(name, None)
    except OSError:
        return False
    return bool(found) and not any(is_public(ip_address(str(one[4][0]))) for one in found)


def _fields(document: list[Operation]) -> Iterator[tuple[Operation, Field]]:
    for operation in document:
        if operation.schemes == ["InternalKey"]:
            continue
        for one in operation.fields():
            if one.schema.get("type") != "string" or one.name in NONE:
                continue
            if ADDRESS.search(one.name) or "uri" in one.schema.get("format", ""):
                yield operation, one
        if operation.name in {"create_agent", "update_agent"}:
            yield from ((operation, Field(tuple(loc.split(".")), {}, put)) for loc, put in FREE.items())


def _spoken(one: Field, url: str) -> str:
    """An address as this field has them."""
    if one.name.startswith("sip_"):
        return re.sub(r"^https?://|/$", "", url)
    return url.replace("http", "ws", 1) if one.name == "llm_websocket_url" else url


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_no_field_takes_an_address_that_leads_into_this_network(house: House) -> None:
    person = house.person()
    found, wrong = set(), []
    with _trap() as trap:
        for operation, one in _fields(operations(house.api)):
            found.add(one.name)
            address, body = prepared(house, operation, person)
            urls = trap.schemes() if one.name in BROWSERS else trap.urls()
            for url in ["https://hooks.example.com/", *urls]:
                put = one.put(_spoken(one, url))
                sent = {**body, **{one.loc[0]: put[one.loc[0]]}, **WITH.get(operation.first_name, {})}
                reply = person.ask(operation.method, address, sent)
                if url not in urls:  # all else about this body is as it should be
                    assert reply.status < 300 or reply.status == 503, (operation.name, str(one), reply.raw)
                    continue
                is_refused = reply.status == 422 or (
                    operation.name in AT_ONCE and not (reply.json.get("ok") or reply.json.get("success"))
                )
                if not is_refused:
                    wrong.append((operation.name, str(one), url, reply.status, reply.raw[:200]))
    assert wrong == [], wrong
    assert found >= {
        "webhook_url",
        "url",
        "knowledge_base_urls",
        "destination",
        "llm_websocket_url",
        *BROWSERS,
    }
    assert trap.visits == []


def _called(house: House, person: Person, agent_id: str) -> str:
    """A call with this agent, from its first word to its last."""
    call_id = str(house.token(person, agent_id=agent_id)["call_id"])
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(script.started(), script.said("user", "Hi.", 1, 2), script.ended(3))
    return call_id


def _told(house: House, person: Person, url: str) -> list[str]:
    """Where an account, an endpoint, an agent, its action and its target tell of a call: what came of it."""
    person.ask("PUT", "/v1/webhooks", {"webhook_url": url})
    endpoint = person.made("/v1/webhooks/endpoints", {"url": url})["endpoint_id"]
    assert person.ask("POST", f"/v1/webhooks/endpoints/{endpoint}/test").status == 202
    agent = {**ENGLISH_AGENT, "webhook_url": url, **FREE["post_call_actions.[].config.url"](url)}
    agent_id = person.made("/v1/agents", agent)["agent_id"]
    target = {"channel": "custom_url", "recipient_kind": "fixed", "destination": url}
    person.made(f"/v1/agents/{agent_id}/notifications", target)
    call_id = str(house.token(person, agent_id=agent_id)["call_id"])
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(script.started(), script.said("user", "Hi.", 1, 2), script.ended(3))
    path = "/v1/webhooks/deliveries"

    def tried() -> dict[str, str] | None:
        told = [one for one in person.ask("GET", path).json["deliveries"] if one["tries"]]
        found = {one["event"]: str(one["delivery_id"]) for one in told}
        return found if len(told) >= 5 and len(found) >= 4 else None

    return [str(person.ask("GET", f"{path}/{one}").json) for one in until(tried, 60).values()]


def _read(person: Person, url: str) -> list[str]:
    """What became of a page, a site, and a page that a form named."""
    wanted = {
        "knowledge_base_name": "x",
        "knowledge_base_urls": [url],
        "knowledge_base_sites": [{"url": url}],
    }
    first = person.made("/v1/knowledge-base", wanted)
    form = upload(person, "/v1/knowledge-base/upload", knowledge_base_name="y", knowledge_base_urls=[url])
    read_bases = [read(person, first), read(person, form.json)]
    return [str(source) for base in read_bases for source in base["knowledge_base_sources"]]


def _spoken_with(person: Person, engine: Body) -> list[str]:
    """What somebody who writes with such an agent is told; and what trying its function says."""
    agent_id = person.made("/v1/agents", {**ENGLISH_AGENT, "response_engine": engine})["agent_id"]
    chat_id = person.ask("POST", "/v1/chats", {"agent_id": agent_id}).json["session_id"]
    reply = person.ask("POST", f"/v1/chats/{chat_id}/messages", {"content": "Book."})
    assert reply.status < 500, reply.raw
    return [str(person.ask("POST", f"/v1/agents/{agent_id}/test-function", {"name": "book"}).json)]


@pytest.mark.slow
@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_a_name_that_leads_into_this_network_is_never_followed(house: House) -> None:
    person = house.person()
    with _trap() as trap:
        url = f"https://{trap.name}:{trap.port}/"
        outcomes = [*_told(house, person, url), *_read(person, url)]
        function = FREE["response_engine.functions.[].url"](url)["response_engine"]
        outcomes += _spoken_with(person, function)
        _spoken_with(person, {**ENGINE, "mcp_servers": [{"name": "x", "url": url}]})
        _spoken_with(person, {"type": "custom-llm", "llm_websocket_url": url.replace("http", "ws")})
        agent_id, number, trunk_id = bound(person)
        outcomes.append(str(person.ask("POST", f"/v1/agents/{agent_id}/test-function", {"url": url}).json))
        outcomes.append(str(person.ask("POST", "/v1/functions/execute", {"url": url}).json))
        person.ask("PATCH", f"/v1/phone-numbers/{number}", {"answering": {"webhook_url": url}})
        assert rings(house, trunk_id, number, f"sip-{number}").status == 200  # it is answered without advice
    silent = [one for one in outcomes if "not on the public internet" not in one]
    assert (silent, len(outcomes) >= 10, trap.visits) == ([], True, [])
    document = operations(house.api)
    assert {str(one) for _, one in _fields(document) if one.name not in BROWSERS | EXCHANGES} == FOLLOWED


def test_a_trap_sees_who_comes() -> None:
    with _trap() as trap:
        socket.create_connection((trap.name, trap.port), timeout=5).close()
        until(lambda: trap.visits)
