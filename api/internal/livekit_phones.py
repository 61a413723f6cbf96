"""Telephones by livekit-sip: they come into rooms, and their calls run as those of browsers do.

out  row ── dial ──► rings (in a task here) ─┬─ answered ──► an agent is asked into the room
                                             └─ SIP's code ──► busy · no_answer · failed
in   webhook: a telephone is in a room of ours ──► whose number? ──► row ──► an agent is asked in
                                                     └─ nobody's, refused, not paid: the room is closed
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlmodel import col, select

from api.calls import billing, phoning
from api.calls.table import CallRow
from api.db.columns import new_id
from api.db.engine import Database
from api.http.errors import ApiError
from api.internal import ringing
from api.outside.livekit_sip import (
    ROOM_PREFIX,
    Inbound,
    LiveKitSip,
    NotAnswered,
    SipUnavailable,
    SipUnsure,
    addresses_of,
)
from api.outside.phones import NO_LINE, Dialler, PhonesUnavailable, Unanswered, Unsure
from api.outside.rooms import RoomGone, Rooms, RoomsUnavailable
from api.phone_numbers import service as numbers
from api.phone_numbers.answering import Advice
from api.phone_numbers.table import PhoneNumberRow
from api.settings import Settings
from api.sip_trunks import service as trunks
from api.sip_trunks.table import SipTrunkRow
from pipelines.contract.brief import AGENT_NAME, JobMetadata
from pipelines.contract.phones import PhoneRang, PhoneTold, SipTrunk
from pipelines.contract.websocket import Dial
from pipelines.outbound import Guard

_LOG = logging.getLogger(__name__)

NAME = "livekit-sip"
"""What stands for a worker until one has the call."""
UNREGISTERED = "livekit-sip does not register: give the carrier its address, and set sip_register to false"
MOST_RINGING = 500
AGENT_SECONDS = 15.0
"""For an agent to be in the room of somebody who has answered; then they are hung up on."""
LOOK_SECONDS = 3.0
AFRESH_LOOKS = 20
"""So often nothing of ours may have changed until what is there is looked at all the same."""
_HEADER = "sip.h."
_MOST_HEADERS = 32


class LiveKitPhones:
    """`api.outside.phones.Phones`, by LiveKit's SIP API."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        rooms: Rooms,
        sip: LiveKitSip,
        guard: Guard,
        why_no_worker: Callable[[], Awaitable[str]],
    ) -> None:
        self._settings, self._database, self._rooms, self._sip = settings, database, rooms, sip
        self._guard, self._why_no_worker = guard, why_no_worker
        self._tasks: set[asyncio.Task[None]] = set()
        self._trunks: dict[str, str] = {}
        """LiveKit's ids of inbound trunks, to ours."""
        self._why_not = ""

    # ── Phones ───────────────────────────────────────────────────────────────────────────────────
    async def phones_why_not(self) -> str:
        """Why no call could be placed now; empty when one could."""
        if not await self._rooms.is_up():
            return f"{NO_LINE}: livekit-server does not answer"
        return self._why_not or await self._why_no_worker()

    async def trunks(self) -> dict[str, str]:
        """livekit-sip registers nowhere: calls of a trunk that is to be registered do not come in."""
        async with self._database.transaction(writes=False) as session:
            return {row.id: UNREGISTERED for row in await trunks.active(session) if row.registers}

    async def diallers(self) -> Sequence[Dialler]:
        """livekit-sip alone."""
        return (Dialler(NAME),)

    async def dial(self, dialler: Dialler, order: Dial) -> None:
        """Have a telephone ring.

        Whoever asked for the call was told why none could be made; a worker that is away only for a moment
        is back before anybody answers.
        """
        if len(self._tasks) >= MOST_RINGING:
            raise PhonesUnavailable("too many telephones ring already")
        async with self._database.transaction() as session:
            row = await session.get(SipTrunkRow, order.trunk_id)
            call = await session.get(CallRow, order.call_id, with_for_update=True)
            if row is None or not row.active or call is None or call.is_over:
                raise PhonesUnavailable("the trunk is gone")
            trunk = trunks.as_told(row)
            call.room_name, call.participant_identity = f"phone_{order.call_id}", new_id("phone")
            room, identity = call.room_name, call.participant_identity
            session.add(call)
        self._soon(self._ring(order, trunk, room, identity), "a telephone that rings")

    async def withdraw(self, dialler: Dialler, call_id: str) -> bool:
        """A room's name is written down before livekit-sip is asked; nothing tells what came of it after."""
        if dialler.name != NAME:
            raise Unanswered
        async with self._database.transaction(writes=False) as session:
            call = await session.get(CallRow, call_id)
        if call is not None and call.room_name is not None:
            raise Unsure("livekit-sip may have been asked to call them")
        return True

    async def take_up(self, worker_id: str | None, call_id: str, attempt: int) -> None:
        """Never: its room waits, and an agent is asked into that."""
        raise PhonesUnavailable("this call has a room")

    # ── out ──────────────────────────────────────────────────────────────────────────────────────
    async def _ring(self, order: Dial, trunk: SipTrunk, room: str, identity: str) -> None:
        await self._tell(order.call_id, "ringing")
        try:
            await self._sip.dial(
                trunk,
                order.to_number,
                order.from_number,
                room,
                identity,
                order.ring_seconds,
                order.headers,
            )
        except NotAnswered as error:
            await self._tell(order.call_id, "ended", error.code, error.reason)
            return
        except SipUnavailable as error:
            is_unsure = isinstance(error, SipUnsure)
            await self._tell(order.call_id, "ended", 0, f"livekit-sip: {error}", is_unsure=is_unsure)
            return
        await self._tell(order.call_id, "answered", 200, "OK")
        await self._ask_agent(order.call_id, room)

    async def _tell(
        self, call_id: str, state: Any, code: int = 0, reason: str = "", *, is_unsure: bool = False
    ) -> None:
        told = PhoneTold(
            worker_id=NAME,
            state=state,
            sip_code=code if 0 <= code <= 699 else 0,
            sip_reason=reason[:200],
            is_unsure=is_unsure,
        )
        with contextlib.suppress(phoning.PhoneCallGone):
            async with self._database.transaction() as session:
                await phoning.told(session, call_id, told)

    async def _ask_agent(self, call_id: str, room: str) -> None:
        """An agent for somebody who is there; without one, within its time, they are hung up on."""
        metadata = JobMetadata(call_id=call_id).model_dump_json()
        try:
            await self._rooms.dispatch(room, AGENT_NAME, metadata)
            async with asyncio.timeout(AGENT_SECONDS):
                while not await self._has_agent(call_id):  # noqa: ASYNC110 - its row tells
                    await asyncio.sleep(0.5)
        except (RoomsUnavailable, RoomGone, TimeoutError) as error:
            _LOG.warning("nobody answered for a telephone", extra={"call_id": call_id})
            is_gone = isinstance(error, RoomGone)
            reason = "they hung up" if is_gone else "no agent came"
            await self._tell(call_id, "ended", 487 if is_gone else 0, reason)
            await self._close(room)

    async def _has_agent(self, call_id: str) -> bool:
        async with self._database.transaction(writes=False) as session:
            call = await session.get(CallRow, call_id)
            return call is None or call.is_over or call.attempt > 0

    # ── in ───────────────────────────────────────────────────────────────────────────────────────
    def happened(self, event: Mapping[str, Any]) -> None:
        """livekit-server told something, signed. A telephone in a room of our rule is a call."""
        room, person = event.get("room"), event.get("participant")
        if event.get("event") != "participant_joined" or not isinstance(room, dict):
            return
        if not isinstance(person, dict) or person.get("kind") != "SIP":
            return
        name = str(room.get("name", ""))
        if name.startswith(ROOM_PREFIX) and len(self._tasks) < MOST_RINGING:
            self._soon(self._arrived(name, person), "a telephone that came in")

    async def _arrived(self, room: str, person: Mapping[str, Any]) -> None:
        told = person.get("attributes")
        attributes = {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}
        theirs = attributes.get("sip.trunkID", "")
        if theirs not in self._trunks:
            await self._look(await self._wanted())
        try:
            rang = PhoneRang(
                worker_id=NAME,
                sip_call_id=attributes.get("sip.callID", ""),
                trunk_id=self._trunks.get(theirs, ""),
                to_number=attributes.get("sip.trunkPhoneNumber", ""),
                from_number=attributes.get("sip.phoneNumber", ""),
                headers=_headers(attributes),
            )
            call_id = await self._row(rang, room, str(person.get("identity", "")))
        except (ApiError, ValidationError, SipUnavailable) as error:
            _LOG.info("a telephone was turned away", extra={"error": type(error).__name__})
            await self._close(room)
            return
        if call_id is not None:
            await self._ask_agent(call_id, room)

    async def _row(self, rang: PhoneRang, room: str, identity: str) -> str | None:
        """The call, once; None where somebody has it already."""
        if not rang.trunk_id:
            raise numbers.NobodyAnswers
        async with self._database.transaction() as session:
            if await ringing.known(session, rang) is not None:
                return None
            here = await ringing.rung(session, rang)
            asked = await ringing.question(session, here, rang)
        # Nobody waits for a webhook with a transaction open.
        advice = await ringing.advice(self._guard, asked) if asked is not None else Advice()
        async with self._database.transaction(is_durable=True) as session:
            call = await ringing.taken(session, here, rang, advice, can_forward=False)
            await billing.require(session, call.owner_id, self._settings)
            call.room_name, call.participant_identity = room, identity
            session.add(call)
            return call.id

    async def _close(self, room: str) -> None:
        with contextlib.suppress(RoomsUnavailable):
            await self._rooms.delete_room(room)

    # ── trunks ───────────────────────────────────────────────────────────────────────────────────
    async def watch(self) -> None:
        """Have the trunks that are in use taken, for ever."""
        had: list[Inbound] | None = None
        looks = 0
        while True:
            try:
                wanted = await self._wanted()
                looks += 1
                if wanted != had or looks >= AFRESH_LOOKS:
                    await self._look(wanted)
                    had, looks, self._why_not = wanted, 0, ""
            except SipUnavailable as error:
                had, self._why_not = None, f"{NO_LINE}: livekit-sip's API says {error}"
                _LOG.warning("trunks were not told to livekit-server", extra={"error": str(error)})
            except Exception:  # noqa: BLE001 - the next look tries again
                _LOG.exception("trunks were not looked at")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, wanted: Sequence[Inbound]) -> None:
        self._trunks = await self._sip.take(wanted)

    async def _wanted(self) -> list[Inbound]:
        """What is to come in.

        Without a number a trunk would take the calls to every one, without an address those of everybody.
        """
        async with self._database.transaction(writes=False) as session:
            found = await session.exec(
                select(SipTrunkRow, PhoneNumberRow.number)
                .join(PhoneNumberRow, col(PhoneNumberRow.trunk_id) == col(SipTrunkRow.id))
                .where(col(SipTrunkRow.active), col(PhoneNumberRow.active), numbers.in_force())
                .order_by(col(SipTrunkRow.id), col(PhoneNumberRow.number))
            )
            pairs = [(trunks.as_told(row), number) for row, number in found.all()]
        of: dict[str, list[str]] = {}
        for trunk, number in pairs:
            of.setdefault(trunk.trunk_id, []).append(number)
        wanted = []
        for trunk in {trunk.trunk_id: trunk for trunk, _ in pairs}.values():
            if addresses := await addresses_of(trunk):
                wanted.append(Inbound(trunk.trunk_id, tuple(of[trunk.trunk_id]), addresses))
        return wanted

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────
    def _soon(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a telephone's call broke", exc_info=error)

    async def close(self) -> None:
        """Leave what rings: whoever is not told of in time is given up (`placing.lose_untold`)."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sip.close()


def _headers(attributes: Mapping[str, str]) -> dict[str, str]:
    named = {key.removeprefix(_HEADER): value for key, value in attributes.items() if key.startswith(_HEADER)}
    return {name: value[:500] for name, value in list(named.items())[:_MOST_HEADERS]}
