"""One call as SIP sees it, from its INVITE to its end, in either direction."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Literal, Protocol

from worker.exchange.sip import native, session_timer
from worker.exchange.sip.errors import BadSnapshot, NotNow
from worker.exchange.sip.events import (
    Answered,
    Confirmed,
    Ended,
    Event,
    Info,
    Offer,
    Progress,
    Referred,
)
from worker.exchange.sip.messages import SDP, Header, Headers, Invitation, Reply, clean, tag
from worker.exchange.sip.native import in_our_words
from worker.exchange.sip.reading import PHRASES, notified, reason_of, typed
from worker.exchange.sip.session_keeper import SessionKeeper
from worker.exchange.sip.session_timer import SessionTimer
from worker.exchange.sip.settings import Credential, Timing

# A reader that has stopped is not told more: the far side floods, or our own call hangs.
_UNREAD = 256


class Port(Protocol):
    """What a dialog needs of its engine."""

    native: native.Native
    timing: Timing

    def reply_to(self, order: int) -> asyncio.Future[Reply]: ...
    def hold(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def over(self, key: int) -> None: ...


class Dialog:
    """One call as SIP sees it. Made by `Engine.invitations`, `Engine.invite` and `Engine.restore`."""

    def __init__(
        self,
        port: Port,
        key: int,
        *,
        call_id: str,
        direction: Literal["inbound", "outbound"],
        local_uri: str,
        remote_uri: str,
        invitation: Invitation | None = None,
        body: bytes = b"",
        redial: Callable[[int], int] | None = None,
    ) -> None:
        self.call_id = call_id
        self.direction = direction
        self.local_uri = local_uri
        self.remote_uri = remote_uri
        """From or To of the far side, with its display name when it has one."""
        self.invitation = invitation
        """Inbound only; None after a restore, too."""
        self.is_answered = False
        """200 was sent or received."""
        self.is_over = False
        """Ended; true before `Ended` is read from `events`."""
        self._port = port
        self._key = key
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._is_confirmed = False
        self._body = body
        self._said: list[Header] = []
        """Of our 200, as long as it may have to be sent again by another process."""
        self._redial = redial
        self._session = SessionKeeper(
            port.timing.min_session_seconds,
            hold=port.hold,
            is_up=lambda: self._is_confirmed and not self.is_over,
            refresh=self._refresh,
            lapsed=self._lapsed,
        )
        self._parting: tuple[Literal["far", "timeout"], int, str] | None = None

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────────

    async def events(self) -> AsyncIterator[Event]:
        """What happens, from the beginning; ends after `Ended`. One reader.

        They wait here until read: a dialog whose reader has stopped at 256 of them is hung up by the
        engine."""
        while (event := await self._events.get()) is not None:
            yield event
            if isinstance(event, Ended):
                return

    def happened(self, event: native.Event) -> None:
        """The engine's: something was told of this dialog."""
        if self.is_over:
            return
        headers = Headers(event.headers)
        match event.kind:
            case "progress":
                self._tell(Progress(event.code, event.text, headers, event.body, tag(headers.first("To"))))
            case "answered":
                self.is_answered = self._is_confirmed = True
                self._session.learn(headers)
                self._session.start(session_timer.granted(headers))
                self._tell(Answered(event.code, headers, event.body))
            case "confirmed":
                self._is_confirmed, self._said = True, []
                self._tell(Confirmed(event.body))
            case "request":
                self._asked(event, headers)
            case "ended":
                self._ended(event, headers)

    def abandoned(self) -> None:
        """The engine's: it stops, and nothing more will be told."""
        self._session.stop()
        self._events.put_nowait(None)

    def _tell(self, event: Event) -> None:
        if self._events.qsize() < _UNREAD or isinstance(event, Ended):
            self._events.put_nowait(event)
        elif self._parting is None:
            self._parting = ("far", 500, "too many requests that nobody reads")
            self._port.hold(self.hang_up())

    def _asked(self, event: native.Event, headers: Headers) -> None:
        respond = partial(self._respond, event.token, event.method, headers)
        match event.method:
            case "UPDATE" if not event.body:
                self._session.learn(headers)
                respond(200, (), b"", SDP)
            case "INVITE" | "UPDATE":
                self._session.learn(headers)
                if (minimum := self._too_brief(headers)) is not None:
                    respond(422, [("Min-SE", str(minimum))], b"", SDP)
                else:
                    self._tell(Offer(event.method, headers, event.body, respond))
            case "REFER":
                self._tell(Referred(event.method, headers, event.body, respond))
            case "NOTIFY":
                respond(200, (), b"", SDP)
                self._tell(notified(headers, event.body))
            case _:
                self._tell(Info(event.method, headers, event.body, respond))

    def _respond(
        self,
        token: int,
        method: str,
        asked: Headers,
        code: int,
        headers: Iterable[Header],
        body: bytes,
        content_type: str,
    ) -> None:
        said = clean(headers)
        if method in ("INVITE", "UPDATE") and code == 200:
            # A request that does not speak of timers leaves them as they are.
            timing, timer = session_timer.answered(asked, 0)
            said += [("Allow", session_timer.ALLOW), *timing]
            if timer is not None or method == "INVITE":
                self._session.start(timer)
            if body:
                self._body = body
        if body:
            said.append(("Content-Type", content_type))
        if not self.is_over:
            self._port.native.respond(token, code, said, body)

    def _too_brief(self, headers: Headers) -> int | None:
        minimum, seconds = self._port.timing.min_session_seconds, session_timer.interval(headers)
        is_brief = seconds is not None and seconds < minimum and session_timer.knows_timers(headers)
        return minimum if is_brief else None

    def _ended(self, event: native.Event, headers: Headers) -> None:
        if event.code == 422 and self._redial is not None and not self.is_answered:
            # They want a longer session, and say how long (RFC 4028 §7.2). Once.
            redial, self._redial = self._redial, None
            minimum = session_timer.least(headers)
            if minimum is not None:
                self._port.over(self._key)
                self._key = redial(minimum)
                return
        reason, cause = reason_of(headers)
        by, code, reason = self._parting or (event.method, event.code, reason or event.text)
        self.is_over = True
        self._session.stop()
        self._port.over(self._key)
        self._tell(Ended(by, code, reason, cause, headers))  # type: ignore[arg-type]

    # ── inbound, before the answer ──────────────────────────────────────────────────────────────────────────

    def ring(self, *, body: bytes = b"", headers: Iterable[Header] = ()) -> None:
        """180; 183 when there is a body (early media). NotNow when it is too late."""
        self._must_be_ringing()
        with in_our_words():
            self._port.native.ring(self._key, [*clean(headers), *typed(body)], body)

    def answer(
        self,
        body: bytes,
        *,
        headers: Iterable[Header] = (),
        credential: Credential | None = None,
        journal: Callable[[], None] | None = None,
    ) -> None:
        """200. Repeated by the engine until the ACK comes; none for 32 s: BYE and `Ended(by="timeout")`.

        `credential` answers challenges to our requests later in this dialog. `journal` is called before it is
        sent: another process repeats it with the `snapshot` of then. NotNow when it is too late."""
        self._must_be_ringing()
        asked = self.invitation.headers if self.invitation else Headers()
        timing, timer = session_timer.answered(asked, self._port.timing.session_seconds)
        self._said = [*clean(headers), ("Allow", session_timer.ALLOW), *timing, *typed(body)]
        self._body = body
        self._session.learn(asked)
        self._session.start(timer)
        self.is_answered = True
        try:
            if journal is not None:
                journal()
            with in_our_words():
                self._port.native.answer(self._key, self._said, body, native.secret(credential))
        except BaseException:
            self.is_answered = False
            self._session.start(None)
            raise

    def reject(self, code: int = 603, *, headers: Iterable[Header] = ()) -> None:
        """Any final code from 300 up; headers are for Reason, Retry-After, Contact of a redirection. NotNow
        when it is too late."""
        self._must_be_ringing()
        if not 300 <= code <= 699:
            raise ValueError(f"no refusal: {code}")
        with in_our_words():
            self._port.native.reject(self._key, code, clean(headers))

    def _must_be_ringing(self) -> None:
        if self.direction != "inbound" or self.is_answered or self.is_over:
            raise NotNow

    # ── either direction ────────────────────────────────────────────────────────────────────────────────────

    async def hang_up(self, *, headers: Iterable[Header] = ()) -> None:
        """Ends it in whatever state it is: CANCEL, 603 or BYE, which is repeated with the credential when
        challenged.

        A 200 that crosses the CANCEL is acknowledged and ended. `Ended` comes at once; this returns when the
        far side has answered a BYE, after 34 s at most. Twice does no harm."""
        said = clean(headers)
        try:
            with in_our_words():
                order = self._port.native.end(self._key, said)
        except NotNow:
            return
        await self._port.reply_to(order)

    async def reinvite(self, body: bytes, *, headers: Iterable[Header] = ()) -> Reply:
        """A new offer. 491 is tried again by the engine after RFC 3261's wait, twice. NotNow before the
        answer and after the end."""
        reply = await self._request("INVITE", [*clean(headers), *typed(body)], body)
        if reply.is_success:
            self._body = body
        return reply

    async def update(self, body: bytes = b"", *, headers: Iterable[Header] = ()) -> Reply:
        """UPDATE: an offer, or without a body only its headers. Not every far side takes one."""
        reply = await self._request("UPDATE", [*clean(headers), *typed(body)], body)
        if reply.is_success and body:
            self._body = body
        return reply

    async def info(self, body: bytes, content_type: str, *, headers: Iterable[Header] = ()) -> Reply:
        """INFO."""
        return await self._request("INFO", clean([*headers, ("Content-Type", content_type)]), body)

    async def refer(self, target: str, *, headers: Iterable[Header] = ()) -> Reply:
        """REFER. 202 means that it was accepted; how it goes comes as `Notified`. 603 and the like: it was
        not. Whoever is done hangs up."""
        return await self._request("REFER", clean([("Refer-To", f"<{target}>"), *headers]), b"")

    async def notify(self, code: int, *, is_last: bool = False) -> Reply:
        """How a REFER goes that we accepted, as a sipfrag of this status."""
        state = "terminated;reason=noresource" if is_last else "active;expires=60"
        headers = [
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag;version=2.0"),
        ]
        fragment = f"SIP/2.0 {code} {PHRASES.get(code, 'Status')}\r\n"
        return await self._request("NOTIFY", headers, fragment.encode())

    async def _request(self, method: str, headers: list[Header], body: bytes) -> Reply:
        if not self._is_confirmed or self.is_over:
            raise NotNow
        if method in ("INVITE", "UPDATE"):
            headers = [*headers, ("Allow", session_timer.ALLOW)]
            if self._session.timer is not None and not any(name == "Session-Expires" for name, _ in headers):
                minimum = self._port.timing.min_session_seconds
                headers += session_timer.refreshing(self._session.timer.seconds, minimum)
        with in_our_words():
            order = self._port.native.request(self._key, method, headers, body)
        reply = await self._port.reply_to(order)
        if reply.is_success and method in ("INVITE", "UPDATE"):
            self._session.learn(reply.headers)
            self._session.start(session_timer.granted(reply.headers) or self._session.timer)
        if reply.code == 481 and reply.is_from_wire:
            # The far side does not know the call any more (RFC 3261 §12.2.1.2).
            self._parting = self._parting or ("far", 481, reply.reason)
            self._port.hold(self.hang_up())
        return reply

    async def _refresh(self, by_update: bool, headers: list[Header]) -> Reply:
        if by_update:
            return await self.update(headers=headers)
        return await self.reinvite(self._body, headers=headers)

    async def _lapsed(self) -> None:
        self._parting = ("timeout", 408, "the session timer lapsed")
        await self.hang_up(headers=[("Reason", 'SIP;cause=408;text="Session expired"')])

    # ── another process ─────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> str:
        """All that another process needs to go on with this dialog, as JSON of 1 to 2 kB; no credential is in
        it.

        NotNow before the answer to a call of ours. Take one after `Answered` or `Confirmed`, and after each
        `Offer`, `reinvite` and `update`. What was sent since does no harm: a restored dialog counts on from
        further up (CSeq may jump, RFC 3261 §12.2.1.1). One that came in has one from its beginning: as long
        as it is not answered it can be refused, and a 200 is repeated until it is acknowledged."""
        if self.is_over or (self.direction == "outbound" and not self._is_confirmed):
            raise NotNow
        with in_our_words():
            dialog = json.loads(self._port.native.snapshot(self._key))
        timer = self._session.timer
        return json.dumps(
            {
                "version": 1,
                "dialog": dialog,
                "local_uri": self.local_uri,
                "remote_uri": self.remote_uri,
                "body": self._body.decode("utf-8", "replace"),
                "said": self._said if self.is_answered and not self._is_confirmed else None,
                "takes_updates": self._session.takes_updates,
                "timer": timer and [timer.seconds, timer.we_refresh, timer.since],
            },
            separators=(",", ":"),
        )

    @classmethod
    def restored(cls, port: Port, text: str, credential: Credential | None) -> tuple["Dialog", int]:
        """The engine's: a dialog of another process, and its key here. BadSnapshot."""
        try:
            kept = json.loads(text)
            if kept["version"] != 1:
                raise BadSnapshot(f"a snapshot of version {kept['version']!r}")
            timer = SessionTimer(*kept["timer"]) if kept["timer"] else None
            is_begun = "invite" in kept["dialog"]
            said = [(str(name), str(value)) for name, value in (is_begun and kept["said"]) or ()]
            secret = native.secret(credential)
            key = port.native.restore(json.dumps(kept["dialog"]), secret)
            dialog = cls(
                port,
                key,
                call_id=kept["dialog"]["call_id"],
                direction="inbound" if kept["dialog"]["role"] == "server" else "outbound",
                local_uri=kept["local_uri"],
                remote_uri=kept["remote_uri"],
                body=kept["body"].encode(),
            )
            if said:
                port.native.answer(key, said, dialog._body, secret)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise BadSnapshot(str(error)) from error
        dialog._said, dialog._is_confirmed = said, not is_begun
        dialog.is_answered = bool(said) or not is_begun
        dialog._session.takes_updates = kept["takes_updates"]
        dialog._session.start(timer)
        return dialog, key
