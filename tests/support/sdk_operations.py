"""Every operation of the official SDK; `python -m tests.support.sdk_operations` writes docs/sdk.md."""

import inspect
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from call2me import Call2Me, Call2MeError

from tests.support.api import ROOT
from tests.support.house import House, running_house
from tests.support.rehearsed_worker import RehearsedWorker

DOC = ROOT / "docs" / "sdk.md"
NUMBER, CONTACT = "+442079460958", "+442079460123"
LEFT_OUT = ("extension", "interpreters")
"""Groups that this server leaves out on purpose: each of their operations answers 501."""

_HEAD = """# The official SDK

The Python SDK of the Call2Me API (`pip install call2me`) runs against this server unchanged:

```python
from call2me import Call2Me

client = Call2Me(api_key="sk_…", base_url="http://localhost:8000")
```

The requests of the official JavaScript SDK (`call2me-sdk`) are replayed by a test as its `fetch` sends them:
all of its 83 work here, but `payments.checkout` (503 without a payment provider) and `events.query` (401, an
administrator's).

This table is written by `python -m tests.support.sdk_operations`, which calls every operation of version
1.5.2 against a started server; a test compares both.

- **works**: it answered, and what it changed was seen through another operation where it changes something.
- **401**: served to administrators who sign in; the contract lets no key in.
- **503**: served; needs something outside (a carrier, a payment provider), and this server has none.
- **501**: left out on purpose, and says so.

| works | 401 | 503 | 501 |
| --- | --- | --- | --- |
| {works} | {unauthorized} | {unavailable} | {left_out} |

| operation | here |
| --- | --- |
"""


@dataclass
class Made:
    """What earlier operations made."""

    agent: str = ""
    key: str = ""
    base: str = ""
    chat: str = ""
    widget: str = ""
    campaign: str = ""
    schedule: str = ""
    trunk: str = ""
    room: str = ""
    call: str = ""


Operation = Callable[[], Any]


class Talk:
    """One client that goes through all operations, in an order in which each has what it needs."""

    def __init__(self, client: Call2Me, worker: RehearsedWorker) -> None:
        self.client, self.worker = client, worker
        self.made = Made()
        self.outcomes: dict[str, str] = {}

    def tried(self, name: str, operation: Operation) -> Any:
        """Call one and note what became of it; None when it was refused as it should be."""
        try:
            answer = operation()
        except Call2MeError as error:
            if error.status_code not in (501, 503):
                raise AssertionError(f"{name}: {error.status_code} {error.detail}") from error
            self.outcomes[name] = str(error.status_code)
            return None
        self.outcomes[name] = "works"
        return answer

    def run(self) -> dict[str, str]:
        """Every operation with `works`, `501` or `503`. Raises when one fails or does not do what it says."""
        for part in (
            self._agents, self._keys, self._knowledge, self._chats, self._voice, self._numbers, self._trunks,
            self._calls, self._schedules, self._campaigns, self._widgets, self._money, self._people,
        ):  # fmt: skip
            part()
        self._left_out()
        assert self.tried("agents.delete", lambda: self.client.agents.delete(self.made.agent)) is True
        missing = operations(self.client) - self.outcomes.keys()
        assert not missing, f"never called: {sorted(missing)}"
        return self.outcomes

    def _agents(self) -> None:
        agents = self.client.agents
        self.made.agent = self.tried("agents.create", lambda: agents.create("Desk", language="en-US"))[
            "agent_id"
        ]
        agent = self.made.agent
        assert self.tried("agents.get", lambda: agents.get(agent))["agent_name"] == "Desk"
        self.tried("agents.update", lambda: agents.update(agent, agent_name="Front desk"))
        assert agents.get(agent)["agent_name"] == "Front desk"
        copy = self.tried("agents.duplicate", lambda: agents.duplicate(agent))["agent_id"]
        assert {each["agent_id"] for each in self.tried("agents.list", agents.list)} == {agent, copy}
        self.tried("agents.stats", lambda: agents.stats(agent))
        self.tried("agents.global_stats", agents.global_stats)

    def _keys(self) -> None:
        keys = self.client.api_keys
        made = self.tried("api_keys.create", lambda: keys.create("second"))
        key = made["key_id"]
        assert key in {each["key_id"] for each in self.tried("api_keys.list", keys.list)}
        self.tried("api_keys.usage", lambda: keys.usage(key))
        self.tried("api_keys.revoke", lambda: keys.revoke(key))
        with Call2Me(api_key=made["api_key"], base_url=self.client.base_url) as revoked:
            assert refused(revoked.agents.list) == 401
        assert self.tried("api_keys.delete", lambda: keys.delete(key)) is True
        assert [each["is_active"] for each in keys.list() if each["key_id"] == key] == [False]

    def _knowledge(self) -> None:
        bases = self.client.knowledge_bases
        texts = [{"title": "Network", "text": "The network for visitors is called Bluebird."}]
        made = self.tried("knowledge_bases.create", lambda: bases.create("Guide", texts=texts))
        base = made["knowledge_base_id"]
        self.tried(
            "knowledge_bases.add_source", lambda: bases.add_source(base, "text", "Lunch is at one.", "Lunch")
        )
        assert self.tried("knowledge_bases.get", lambda: bases.get(base))["source_count"] == 2
        assert [each["knowledge_base_id"] for each in self.tried("knowledge_bases.list", bases.list)] == [
            base
        ]
        self.tried("knowledge_bases.query", lambda: bases.query(base, "What is the network called?"))
        assert self.tried("knowledge_bases.delete", lambda: bases.delete(base)) is True
        assert bases.list() == []

    def _chats(self) -> None:
        chats = self.client.chats
        made = self.tried("chats.create", lambda: chats.create(self.made.agent, title="Question"))
        chat = made.get("session_id") or made["chat_id"]
        self.tried("chats.send_message", lambda: chats.send_message(chat, "Hello"))
        messages = self.tried("chats.get", lambda: chats.get(chat))["messages"]
        assert "Hello" in [each["content"] for each in messages]
        assert self.tried("chats.list", chats.list)["total"] == 1

    def _voice(self) -> None:
        sessions = self.client.voice_sessions
        made = self.tried("voice_sessions.create", lambda: sessions.create(self.made.agent))
        self.tried("voice_sessions.get", lambda: sessions.get(made["room_name"]))
        # A call is one once a worker has taken it.
        assert self.worker.brief(made["call_id"], "job-1").status == 200
        self.tried("voices.list", self.client.voices.list)
        self.tried("voices.providers", self.client.voices.providers)

    def _numbers(self) -> None:
        numbers, market = self.client.phone_numbers, self.client.numbers
        self.tried("phone_numbers.create", lambda: numbers.create(NUMBER))
        self.tried("phone_numbers.bind_agent", lambda: numbers.bind_agent(NUMBER, self.made.agent))
        assert self.tried("phone_numbers.get", lambda: numbers.get(NUMBER))["phone_number"] == NUMBER
        self.tried("phone_numbers.update", lambda: numbers.update(NUMBER, nickname="Desk"))
        assert len(self.tried("phone_numbers.list", numbers.list)) == 1
        self.tried("phone_numbers.unbind_agent", lambda: numbers.unbind_agent(NUMBER))
        self.tried("numbers.allowed_countries", market.allowed_countries)
        self.tried("numbers.search", lambda: market.search("US"))
        self.tried("numbers.purchase", lambda: market.purchase("+12025550100"))
        self.tried("numbers.checkout", lambda: market.checkout("+12025550100"))
        self.tried("sms.send", lambda: self.client.sms.send(CONTACT, "Hello"))
        assert self.tried("sms.list", self.client.sms.list)["total"] == 0

    def _trunks(self) -> None:
        trunks = self.client.sip_trunks
        made = self.tried(
            "sip_trunks.create", lambda: trunks.create("Carrier", "sip.example.com", "me", "secret")
        )
        trunk = made.get("trunk_id") or made["id"]
        assert "secret" not in str(self.tried("sip_trunks.get", lambda: trunks.get(trunk)))
        self.tried("sip_trunks.update", lambda: trunks.update(trunk, name="Second"))
        assert [each["name"] for each in self.tried("sip_trunks.list", trunks.list)] == ["Second"]
        self.tried("sip_trunks.test", lambda: trunks.test(trunk))
        assert self.tried("sip_trunks.delete", lambda: trunks.delete(trunk)) is True
        assert trunks.list() == []

    def _calls(self) -> None:
        calls = self.client.calls
        self.tried("calls.create", lambda: calls.create(self.made.agent, CONTACT, NUMBER))
        (listed,) = self.tried("calls.list", calls.list)["calls"]
        call = listed["call_id"]
        assert self.tried("calls.get", lambda: calls.get(call))["call_id"] == call
        self.tried("calls.end", lambda: calls.end(call))
        self.tried_or_missing("calls.recording", lambda: calls.recording(call))

    def tried_or_missing(self, name: str, operation: Operation) -> None:
        """The same where there is nothing to be had, and 404 says so in words."""
        try:
            operation()
        except Call2MeError as error:
            if error.status_code != 404 or error.detail == "Not Found":  # that would be no operation at all
                raise AssertionError(f"{name}: {error.status_code} {error.detail}") from error
        self.outcomes[name] = "works"

    def _schedules(self) -> None:
        schedules = self.client.schedules
        day, later = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT09:00:00Z}" for days in (30, 31))
        made = self.tried("schedules.create", lambda: schedules.create(self.made.agent, CONTACT, day))
        schedule = made.get("schedule_id") or made["id"]
        self.tried("schedules.update", lambda: schedules.update(schedule, scheduled_at=later))
        assert later[:10] in str(self.tried("schedules.get", lambda: schedules.get(schedule)))
        assert schedule in str(self.tried("schedules.list", schedules.list))
        self.tried("schedules.cancel", lambda: schedules.cancel(schedule))
        assert "cancel" in str(schedules.get(schedule)["status"])
        assert self.tried("schedules.delete", lambda: schedules.delete(schedule)) is True
        assert refused(lambda: schedules.get(schedule)) == 404

    def _campaigns(self) -> None:
        campaigns = self.client.campaigns
        made = self.tried("campaigns.create", lambda: campaigns.create("Spring", self.made.agent, NUMBER))
        campaign = made.get("campaign_id") or made["id"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "people.csv"
            file.write_text(f"phone_number,name\n{CONTACT},Ada\n")
            self.tried("campaigns.upload_csv", lambda: campaigns.upload_csv(campaign, str(file)))
        assert CONTACT in str(self.tried("campaigns.contacts", lambda: campaigns.contacts(campaign)))
        self.tried("campaigns.update", lambda: campaigns.update(campaign, name="Summer"))
        assert self.tried("campaigns.get", lambda: campaigns.get(campaign))["name"] == "Summer"
        assert campaign in str(self.tried("campaigns.list", campaigns.list))
        for action in ("start", "pause", "resume", "cancel"):
            self.tried(f"campaigns.{action}", lambda action=action: getattr(campaigns, action)(campaign))
        second = campaigns.create("Autumn", self.made.agent, NUMBER)
        second_id = second.get("campaign_id") or second["id"]
        self.tried("campaigns.action", lambda: campaigns.action(second_id, "cancel"))
        assert self.tried("campaigns.delete", lambda: campaigns.delete(campaign)) is True
        assert refused(lambda: campaigns.get(campaign)) == 404

    def _widgets(self) -> None:
        widgets = self.client.widgets
        made = self.tried("widgets.create", lambda: widgets.create(self.made.agent, "Site"))
        widget = made.get("widget_id") or made["id"]
        self.tried("widgets.update", lambda: widgets.update(widget, name="Shop"))
        assert self.tried("widgets.get", lambda: widgets.get(widget))["name"] == "Shop"
        assert len(self.tried("widgets.list", widgets.list)) == 1
        self.tried("widgets.chat", lambda: widgets.chat(widget, "Hello"))
        assert self.tried("widgets.delete", lambda: widgets.delete(widget)) is True
        assert widgets.list() == []

    def _money(self) -> None:
        payments, wallet = self.client.payments, self.client.wallet
        self.tried("payments.auto_charge", payments.auto_charge)
        self.tried("payments.update_auto_charge", lambda: payments.update_auto_charge(False, 5.0, 20.0))
        self.tried("payments.checkout", lambda: payments.checkout(20.0))
        self.tried("payments.history", payments.history)
        self.tried("payments.saved_cards", payments.saved_cards)
        self.tried("wallet.analytics", wallet.analytics)
        self.tried("wallet.balance", wallet.balance)
        self.tried("wallet.pricing", wallet.pricing)
        self.tried("wallet.transactions", wallet.transactions)

    def _people(self) -> None:
        users, events = self.client.users, self.client.events
        self.tried("users.update", lambda: users.update(full_name="Ada"))
        assert self.tried("users.me", users.me)["full_name"] == "Ada"
        self.tried("users.update_branding", lambda: users.update_branding(company_name="Ada's"))
        for name in ("branding", "daily_usage", "stats", "tenant_members", "usage"):
            self.tried(f"users.{name}", getattr(users, name))
        self.tried("end_users.create_token", lambda: self.client.end_users.create_token("visitor-1"))
        self.tried("events.report", lambda: events.report("web.error", "It broke", fingerprint="f1"))
        assert refused(lambda: events.query(fingerprint="f1")) == 401
        self.outcomes["events.query"] = "401"
        hooks = self.client.webhooks
        self.tried("webhooks.set", lambda: hooks.set("https://example.com/hook"))
        assert self.tried("webhooks.get", hooks.get)["webhook_url"] == "https://example.com/hook"
        self.tried("phone_numbers.delete", lambda: self.client.phone_numbers.delete(NUMBER))
        assert self.client.phone_numbers.list() == []
        self.tried_or_missing("numbers.release", lambda: self.client.numbers.release("+12025550100"))

    def _left_out(self) -> None:
        """The groups that this server does not have: whatever is asked of them, the answer is 501."""
        for group in LEFT_OUT:
            resource = getattr(self.client, group)
            for name in names_of(resource):
                method = getattr(resource, name)
                given = [
                    1 if each.annotation is int else "x"
                    for each in inspect.signature(method).parameters.values()
                    if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
                ]
                assert self.tried(f"{group}.{name}", lambda m=method, g=given: m(*g)) is None, (group, name)


def refused(operation: Operation) -> int | None:
    """The status it is refused with; None when it is not."""
    try:
        operation()
    except Call2MeError as error:
        return int(error.status_code)
    return None


def names_of(resource: object) -> list[str]:
    """The operations of one group."""
    return [name for name in dir(resource) if not name.startswith("_")]


def operations(client: Call2Me) -> set[str]:
    """Every operation that the SDK has, as `group.name`."""
    groups = {
        name: group
        for name in dir(client)
        if not name.startswith("_")
        and not isinstance(group := getattr(client, name), str)
        and not callable(group)
    }
    return {f"{group}.{name}" for group, resource in groups.items() for name in names_of(resource)}


def table(found: dict[str, str]) -> str:
    """The page."""
    counted = list(found.values())
    head = _HEAD.format(
        works=counted.count("works"),
        unauthorized=counted.count("401"),
        unavailable=counted.count("503"),
        left_out=counted.count("501"),
    )
    return head + "".join(f"| `{name}` | {outcome} |\n" for name, outcome in sorted(found.items()))


def outcomes(house: House) -> dict[str, str]:
    """What becomes of every operation at a server that can hold calls, for somebody new."""
    key = house.api.person().made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=house.api.url) as client:
        return Talk(client, house.worker).run()


def main() -> None:
    """Go through all of them on a server of its own and write the page."""
    with tempfile.TemporaryDirectory() as folder, running_house(Path(folder) / "home") as house:
        DOC.write_text(table(outcomes(house)), encoding="utf-8")
    sys.stderr.write(f"{DOC.relative_to(ROOT)} is written.\n")


if __name__ == "__main__":
    main()
