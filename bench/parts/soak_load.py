"""What people and programs do in a soak, all of it at once, until they are told to stop."""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.parts.soak_house import House
from bench.parts.soak_phones import Carrier
from bench.parts.soak_voices import spelled
from tests.support.payment_stand_in import Event
from tests.support.stripe_server import FakeStripe

ORDER_SECONDS = 60.0


@dataclass
class Order:
    """A call that was ordered; `status` 0: no answer came."""

    number: str
    status: int
    call_id: str
    at: float
    told: Any = None


@dataclass
class Chat:
    """A chat, and what was written in it: the answer's text, by message, where the api said 2xx."""

    session_id: str
    written: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


@dataclass
class Receiver:
    """Who is told by webhooks. `events` are those that were answered with 200."""

    chance: random.Random
    url: str = ""
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Their id, and what they said."""

    async def handle(self, request: web.Request) -> web.Response:
        """Fail some, once or twice."""
        told, name = json.loads(await request.read()), request.headers["webhook-id"]
        limit = 2 if hash(name) % 8 == 0 else 1
        if self.failed[name] < limit and self.chance.random() < 0.3:
            self.failed[name] += 1
            if self.chance.random() < 0.3:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=500)
        self.events.append((name, told))
        return web.Response()


@asynccontextmanager
async def receiving(chance: random.Random) -> AsyncIterator[Receiver]:
    """Serve until the block ends."""
    made, app = Receiver(chance), web.Application()
    app.router.add_post("/", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield made
    finally:
        await runner.cleanup()


class Load:
    """Everybody who wants something."""

    def __init__(self, house: House, carrier: Carrier, stripe: FakeStripe, seed: int) -> None:
        self.house, self.carrier, self.stripe, self.seed = house, carrier, stripe, seed
        self.agent_id = self.campaign_id = ""
        self.orders: list[Order] = []
        self.chats: list[Chat] = []
        self.people: list[str] = []
        self.paid: dict[str, int] = {}
        """Cents, by payment, once a provider's event of it was answered with 2xx."""
        self.deliveries = 0
        self.is_over = asyncio.Event()
        self._notes = 0

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")  # noqa: S311 - the same again for the same seed

    async def _wait(self, seconds: float) -> bool:
        """False once it is over."""
        try:
            await asyncio.wait_for(self.is_over.wait(), seconds)
        except TimeoutError:
            return True
        return False

    async def people_call(self, at_once: int) -> None:
        """Inbound."""
        chance = self._chance("inbound")
        while await self._wait(chance.uniform(1, 5)):
            if sum(not one.is_ours and not one.ended_at for one in self.carrier.calls) < at_once:
                self.carrier.begin()

    async def order_calls(self) -> None:
        """Outbound, each under a key of its own."""
        chance = self._chance("orders")
        while await self._wait(chance.uniform(4, 12)):
            number = self.carrier.fresh()
            body = {"agent_id": self.agent_id, "to_number": number}
            at = time.time()
            status, told = await self.house.ask(
                "POST", "/v1/calls", body, key=f"order-{number}", seconds=ORDER_SECONDS
            )
            call_id = told.get("call_id", "") if status == 201 else ""
            self.orders.append(Order(number, status, call_id, at, told if status != 201 else None))

    async def campaign(self, size: int) -> None:
        """One that runs all the time."""
        wanted = {"agent_id": self.agent_id, "name": "Soak", "calls_per_minute": 8, "max_concurrent": 3}
        made = await self.house.made("/v1/campaigns", wanted)
        self.campaign_id = made["campaign_id"]
        self.people = [self.carrier.fresh() for _ in range(size)]
        contacts = {"contacts": [{"phone_number": number} for number in self.people]}
        await self.house.made(f"/v1/campaigns/{self.campaign_id}/contacts", contacts)
        await self.act("start")

    async def act(self, action: str) -> None:
        """Start or pause it."""
        await self.house.made(f"/v1/campaigns/{self.campaign_id}/action", {"action": action})

    async def write(self) -> None:
        """Chats, one after the other, a message at a time."""
        chance = self._chance("chats")
        while await self._wait(chance.uniform(1, 4)):
            key = f"chat-{len(self.chats)}"
            status, told = await self.house.ask("POST", "/v1/chats", {"agent_id": self.agent_id}, key=key)
            if status not in (200, 201):
                continue
            chat = Chat(told["session_id"])
            self.chats.append(chat)
            for _ in range(chance.randint(1, 5)):
                self._notes += 1
                note = self._notes
                body = {"content": spelled("Note", note)}
                path = f"/v1/chats/{chat.session_id}/messages"
                status, told = await self.house.ask("POST", path, body, key=f"note-{note}")
                if 200 <= status < 300:
                    chat.written[note] = told["assistant_message"]["content"]
                else:
                    chat.refused[note] = f"{status} {told}"
                if not await self._wait(chance.uniform(0.5, 3)):
                    return

    async def pay(self) -> None:
        """Top-ups; events come late, and some twice."""
        chance = self._chance("payments")
        while True:
            await self.top_up(chance.randint(100, 2000), is_doubled=chance.random() < 0.4)
            if not await self._wait(chance.uniform(5, 20)):
                return

    async def top_up(self, cents: int, *, is_doubled: bool = False) -> None:
        """One payment, from the checkout to the provider's last event."""
        key = f"top-up-{len(self.paid)}-{time.time()}"
        body = {"amount": cents / 100}
        status, told = await self.house.ask("POST", "/v1/payments/checkout", body, key=key)
        if status != 200:
            return
        events = self.stripe.pay(told["session_id"])
        for event in [*events, *(events if is_doubled else [])]:
            await self._deliver(event)
        self.paid[told["payment_id"]] = cents

    async def _deliver(self, event: Event) -> None:
        """As a provider: again and again until it is taken."""
        until = time.time() + 180
        while time.time() < until:
            try:
                async with self.house.http.post(
                    self.house.url + event.path, data=event.raw, headers=event.signed()
                ) as reply:
                    if reply.status == 200:
                        self.deliveries += 1
                        return
            except (OSError, TimeoutError):
                pass
            except Exception as error:  # noqa: BLE001 - whatever the connection died of
                self.house.unanswered[f"payment event {type(error).__name__}"] += 1
            await asyncio.sleep(1)
        raise AssertionError("a payment's event was never taken")
