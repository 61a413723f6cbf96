"""All of SIP in one process: a thread of its own, seen from the event loop."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from worker.exchange.sip import native, opening, scrutiny, session_timer
from worker.exchange.sip.dialog import Dialog
from worker.exchange.sip.errors import AddressInUse
from worker.exchange.sip.messages import SDP, Header, Headers, Invitation, Reply, Transport, clean
from worker.exchange.sip.native import in_our_words
from worker.exchange.sip.registration import Registration
from worker.exchange.sip.settings import Account, Admission, Credential, Listener, Reach, Stats, Timing

_NOBODY = Admission()
_USUAL = Timing()
_ANYWHERE = Reach()


class Engine:
    """All of SIP in one process. As a context manager it listens from `async with` on, and leaves no thread
    behind.

    Leaving does not hang up: dialogs that were answered can be restored in another process."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        admission: Admission = _NOBODY,
        timing: Timing = _USUAL,
        reach: Reach = _ANYWHERE,
        user_agent: str = "Call2Me",
        ca_file: Path | None = None,
        nameservers: tuple[str, ...] = (),
        pending_invitations: int = 256,
    ) -> None:
        """`ca_file`: certificates (PEM) that TLS trusts besides the system's. `nameservers`: instead of the
        system's, "127.0.0.1:5353". `pending_invitations`: beyond so many that `invitations` has not handed
        out, the engine itself answers 503 with Retry-After: 2."""
        self.timing = timing
        self.native = native.make()
        self.addresses: list[tuple[Transport, str, int]] = []
        """What is listened on, in the order of the listeners; with the port that was taken for 0."""
        self._listeners = listeners
        self._user_agent = user_agent
        self._ca_file = ca_file
        self._nameservers = nameservers
        self._pending_limit = pending_invitations
        self._dialogs: dict[int, Dialog] = {}
        self._registrations: dict[int, Registration] = {}
        self._invited: asyncio.Queue[Dialog | None] = asyncio.Queue()
        self._orders: dict[int, asyncio.Future[Reply]] = {}
        self._held: set[asyncio.Task[None]] = set()
        self.admit(admission)
        with in_our_words():
            exempt = [(name, port or 0) for name, port in reach.exempt]
            self.native.keep_names_from(list(reach.refused), exempt)

    async def __aenter__(self) -> Self:
        """EngineMissing, AddressInUse, BadUri."""
        loop = asyncio.get_running_loop()

        def deliver(events: list[native.Event]) -> None:
            loop.call_soon_threadsafe(self._receive, events)

        listeners = [await asyncio.to_thread(opening.described, listener) for listener in self._listeners]
        nameservers = [opening.host_and_port(server, 53) for server in self._nameservers]
        authorities = await asyncio.to_thread(opening.authorities, self._ca_file)
        try:
            with in_our_words():
                bound = self.native.start(
                    deliver,
                    listeners,
                    self._user_agent,
                    nameservers,
                    authorities,
                    self.timing.connect_seconds,
                    self.timing.try_next_seconds,
                    self._pending_limit,
                    self.timing.t1_seconds,
                )
        except OSError as error:
            raise AddressInUse(str(error)) from error
        self.addresses = [(cast("Transport", transport), host, port) for transport, host, port in bound]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.native.stop)
        for task in self._held:
            task.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)
        for waiting in self._orders.values():
            if not waiting.done():
                waiting.set_result(Reply(503, "the engine stops", Headers(), b"", is_from_wire=False))
        for dialog in self._dialogs.values():
            dialog.abandoned()
        for registration in self._registrations.values():
            registration.abandoned()
        self._invited.put_nowait(None)

    # ── who may come in ─────────────────────────────────────────────────────────────────────────────────────

    def admit(self, admission: Admission) -> None:
        """From now on. BadUri."""
        sources = None if admission.sources is None else list(admission.sources)
        with in_our_words():
            self.native.admit(
                sources,
                admission.refuse_with,
                admission.per_second,
                admission.burst,
                admission.connections,
            )

    def answer_options(self, code: int) -> None:
        """How OPTIONS outside of a dialog is answered from now on: 200 at first, 503 while draining."""
        with in_our_words():
            self.native.answer_options(code)

    async def invitations(self) -> AsyncIterator[Dialog]:
        """Each INVITE that was admitted; 100 is sent by the engine. One reader.

        A retransmission is not told twice; an INVITE that is neither rung, answered nor rejected within 60 s
        is rejected with 480 by the engine. One that was cancelled while it waited here is handed out as well:
        it is over."""
        while (dialog := await self._invited.get()) is not None:
            self.native.taken()
            yield dialog
            del dialog

    # ── what we begin ───────────────────────────────────────────────────────────────────────────────────────

    def invite(
        self,
        uri: str,
        body: bytes,
        *,
        caller: str,
        caller_name: str | None = None,
        proxies: Sequence[str] = (),
        credential: Credential | None = None,
        headers: Iterable[Header] = (),
        contact: str | None = None,
        call_id: str | None = None,
        ring_seconds: float = 180.0,
        journal: Path | None = None,
    ) -> Dialog:
        """Sends an INVITE and returns at once; the rest is told by `Dialog.events`. BadUri, Overloaded.

        `uri` is whom: Request-URI and To. `caller` is From ("sip:+15551234@carrier.example"). `proxies` says
        where to send it, in order, instead of what `uri` names; each may stand for several addresses by SRV.
        The next is tried on no connection, on no answer over UDP and on 503. `headers` go on the
        authenticated INVITE too. `contact` replaces our own ("sip:+1555@198.51.100.7:5060", behind NAT). Not
        answered within `ring_seconds`: CANCEL and `Ended(by="timeout", code=408)`. A 302 ends it; following
        it is the caller's. `journal` is a file that has what `abandon` needs before an INVITE of this call
        leaves, written anew after a challenge and for the next address; whoever calls removes it. Where it
        cannot be written nobody is called: `Ended(by="transport")`."""
        said = clean(headers)
        clean([("name", caller_name or ""), ("Call-ID", call_id or "")])

        def dial(session_seconds: int, known: str | None) -> tuple[int, str]:
            timing = session_timer.offered(session_seconds, self.timing.min_session_seconds)
            with in_our_words():
                return self.native.invite(
                    uri,
                    body,
                    caller,
                    caller_name,
                    list(proxies),
                    native.secret(credential),
                    [*timing, *said],
                    contact,
                    known,
                    ring_seconds,
                    journal,
                )

        def redial(minimum: int) -> int:
            key, _ = dial(minimum, dialog.call_id)
            self._dialogs[key] = dialog
            return key

        key, used = dial(self.timing.session_seconds, call_id)
        dialog = Dialog(
            self,
            key,
            call_id=used,
            direction="outbound",
            local_uri=caller if caller_name is None else f'"{caller_name}" <{caller}>',
            remote_uri=uri,
            body=body,
            redial=redial,
        )
        self._dialogs[key] = dialog
        return dialog

    async def abandon(self, sent: str) -> str:
        """Ends a call that another process was placing when it died; `sent` is its journal (`invite`). Empty,
        or why not. BadUri.

        It is cancelled. Where the far side knows of it, its INVITE is repeated to see it to its end: an
        answer that has crossed is acknowledged and ended. Returns when that is done, after two minutes at
        most."""
        with in_our_words():
            order = self.native.abandon(sent)
        trouble = (await self.reply_to(order)).reason
        return "" if trouble == "over" else trouble

    async def options(self, uri: str, *, proxies: Sequence[str] = (), timeout: float = 5.0) -> Reply:
        """Asks whether somebody is there; any reply at all means yes."""
        with in_our_words():
            order = self.native.options(uri, list(proxies), timeout)
        return await self.reply_to(order)

    def register(self, account: Account) -> Registration:
        """Registers, and keeps it so. BadUri."""
        with in_our_words():
            key = self.native.register(
                account.registrar,
                cast("native.Secret", native.secret(account.credential)),
                list(account.proxies),
                account.expires_seconds,
                account.contact_user,
            )
        registration = self._registrations[key] = Registration(account, self.native, key)
        return registration

    def restore(self, snapshot: str, *, credential: Credential | None = None) -> Dialog:
        """A dialog of another process, or of this one before it died, goes on here. BadSnapshot.

        One whose 200 was not acknowledged repeats that, and tells of its ACK or its end as it would have; one
        that was not answered waits for `reject`.

        Requests of the far side reach it from now on, so the listeners must have the address it was on. Over
        TCP and TLS requests of ours open a new connection; behind NAT the far side cannot reach us over the
        old one."""
        dialog, key = Dialog.restored(self, snapshot, credential)
        self._dialogs[key] = dialog
        return dialog

    def stats(self) -> Stats:
        """What is under way, and what was turned away since the start."""
        with in_our_words():
            return Stats(*self.native.stats())

    # ── for dialogs ─────────────────────────────────────────────────────────────────────────────────────────

    def reply_to(self, order: int) -> asyncio.Future[Reply]:
        """The answer to an order that was just given."""
        waiting = self._orders[order] = asyncio.get_running_loop().create_future()
        return waiting

    def hold(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs it as long as the engine runs."""
        task = asyncio.get_running_loop().create_task(work)
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        return task

    def over(self, key: int) -> None:
        """Nothing more comes of this dialog."""
        self._dialogs.pop(key, None)

    # ── what the engine tells ───────────────────────────────────────────────────────────────────────────────

    def _receive(self, events: list[native.Event]) -> None:
        for event in events:
            match event.kind:
                case "invitation":
                    self._invitation(event)
                case "reply":
                    waiting = self._orders.pop(event.token, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(_reply(event))
                case "registered" | "unregistered" | "gone":
                    if (registration := self._registrations.get(event.key)) is not None:
                        registration.happened(event)
                    if event.kind == "gone":
                        self._registrations.pop(event.key, None)
                case _:
                    if (dialog := self._dialogs.get(event.key)) is not None:
                        dialog.happened(event)

    def _invitation(self, event: native.Event) -> None:
        headers = Headers(event.headers)
        source, transport = event.address or ("", 0), cast("Transport", event.transport)
        # The stack escapes once more what came escaped.
        uri, body = event.text.replace("%25", "%"), scrutiny.description(headers, event.body)
        dialog = Dialog(
            self,
            event.key,
            call_id=headers.first("Call-ID") or "",
            direction="inbound",
            local_uri=_without_tag(headers.first("To")),
            remote_uri=_without_tag(headers.first("From")),
            invitation=Invitation(uri, headers, body, source, transport),
        )
        self._dialogs[event.key] = dialog
        seconds, minimum = session_timer.interval(headers), self.timing.min_session_seconds
        if code := scrutiny.fault(uri, headers, event.body):
            self.native.taken()
            dialog.reject(code, headers=[("Accept", SDP)] if code == 415 else ())
        elif seconds is not None and seconds < minimum and session_timer.knows_timers(headers):
            self.native.taken()
            dialog.reject(422, headers=[("Min-SE", str(minimum))])
        else:
            self._invited.put_nowait(dialog)


def _reply(event: native.Event) -> Reply:
    return Reply(event.code, event.text, Headers(event.headers), event.body, event.method == "wire")


def _without_tag(value: str | None) -> str:
    return (value or "").split(";tag=", 1)[0]
