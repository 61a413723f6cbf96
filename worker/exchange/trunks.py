"""Carriers: what the api knows of them, kept registered, and known by the addresses they call from."""

import asyncio
import contextlib
import ipaddress
import logging
import socket

import aiohttp
from pydantic import ValidationError

from pipelines.contract.phones import SipTrunk, SipTrunks
from pipelines.contract.websocket import MAX_TRUNK_PROBLEM, MAX_TRUNKS_TOLD, NOT_YET, UNHEARD
from worker.exchange import sip

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
RESOLVE_SECONDS = 3.0
RESOLVE_AGAIN_SECONDS = 60.0
KEEP_OPEN_SECONDS = 25.0
"""Routers forget a way in that nobody used for 30 s; a registration alone is refreshed too rarely."""
KEEP_OPEN_AT_ONCE = 20
MOST_SILENCES = 2
"""Who has answered before, and does not so often in turn, is gone, or a router forgot our connection."""
_ANSWER_SECONDS = 2.0
_TIMEOUT = aiohttp.ClientTimeout(total=5)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Trunks:
    """Every trunk in use. `run` until cancelled."""

    def __init__(
        self,
        engine: sip.Engine,
        api_url: str,
        http: aiohttp.ClientSession,
        refuse_strangers_with: int | None = None,
        listens: frozenset[str] = frozenset(("udp", "tcp", "tls")),
    ) -> None:
        """`listens`: the transports that somebody can reach us over who is not registered with."""
        self._refuse_with, self._listens = refuse_strangers_with, listens
        self._engine, self._api_url, self._http = engine, api_url, http
        self._trunks: dict[str, SipTrunk] = {}
        self._networks: dict[str, tuple[Network, ...]] = {}
        self._addresses: dict[str, str] = {}
        """Of the hosts that have names."""
        self._resolved_at = float("-inf")
        self._registrations: dict[str, tuple[SipTrunk, sip.Registration, asyncio.Task[None]]] = {}
        self._problems: dict[str, str] = {}
        self._registered_at: dict[str, str] = {}
        """The address that granted it: not always the first of a trunk's."""
        self._silences: dict[str, int] = {}
        """Of trunks that have answered before: how often in turn they did not since."""
        self.known = asyncio.Event()
        """Set once the api has told of them at all."""

    def get(self, trunk_id: str) -> SipTrunk | None:
        """One by its id."""
        return self._trunks.get(trunk_id)

    def calling_from(self, host: str) -> list[SipTrunk]:
        """Those whose calls come from this address."""
        address = ipaddress.ip_address(host)
        return [
            trunk
            for trunk_id, trunk in self._trunks.items()
            if any(address in network for network in self._networks.get(trunk_id, ()))
        ]

    def address_of(self, host: str) -> str:
        """A number as it is, for a name the number it was last found at; empty when that is not known."""
        try:
            return str(ipaddress.ip_address(host.strip("[]")))
        except ValueError:
            return self._addresses.get(host, "")

    def why_not(self, trunk_id: str) -> str:
        """Why nothing can be dialled over it now; empty when it can."""
        if trunk_id not in self._trunks:
            return "the trunk is not in use"
        return self._problems.get(trunk_id, "")

    def ways(self, trunk: SipTrunk) -> tuple[str, ...]:
        """Where to send its requests, instead of what its name says: first to where it is registered now."""
        at = self._registered_at.get(trunk.trunk_id)
        named = proxies_of(trunk)
        return named if at is None else (at, *(named or (f"sip:{trunk.server};transport={trunk.transport}",)))

    def registrations(self) -> dict[str, str]:
        """Of those that register: why each is not registered, empty when it is; of others, whose calls do not
        arrive. Failing ones first.
        """
        told = {one: self._problems.get(one, "") for one, trunk in self._trunks.items() if trunk.registers}
        for one, trunk in self._trunks.items():
            if not trunk.registers and trunk.transport not in self._listens:
                told[one] = f"{UNHEARD}{trunk.transport}"
        failing_first = sorted(told.items(), key=lambda pair: (not pair[1], pair[0]))
        return {one: why[:MAX_TRUNK_PROBLEM] for one, why in failing_first[:MAX_TRUNKS_TOLD]}

    async def run(self) -> None:
        """Ask the api for them, for ever."""
        keeping = asyncio.create_task(self._keep_open(), name="ways in kept open")
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            keeping.cancel()
            for _, registration, task in self._registrations.values():
                task.cancel()
                with contextlib.suppress(sip.SipError):
                    await registration.unregister()

    async def _look(self) -> None:
        try:
            async with self._http.get(f"{self._api_url}/internal/phones/trunks", timeout=_TIMEOUT) as reply:
                reply.raise_for_status()
                told = SipTrunks.model_validate_json(await reply.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError) as error:
            # Those that are known go on; a carrier need not know that the api is restarted.
            logger.debug("the api did not tell of its trunks", extra={"error": type(error).__name__})
            return
        fresh = {trunk.trunk_id: trunk for trunk in told.trunks}
        now = asyncio.get_running_loop().time()
        if fresh != self._trunks or now - self._resolved_at > RESOLVE_AGAIN_SECONDS:
            self._trunks, self._resolved_at = fresh, now
            self._networks = {trunk_id: await _networks(trunk) for trunk_id, trunk in fresh.items()}
            sources = {str(network) for networks in self._networks.values() for network in networks}
            self._engine.admit(sip.Admission(tuple(sorted(sources)), refuse_with=self._refuse_with))
            self._addresses = await self._found({host_of(trunk.server) for trunk in fresh.values()})
        self.known.set()
        await self._register()

    async def _found(self, hosts: set[str]) -> dict[str, str]:
        found = dict(zip(hosts, await asyncio.gather(*map(_resolved, hosts)), strict=True))
        # One that cannot be found for a moment is where it was.
        return {
            host: str(at[0].network_address) if at else self._addresses.get(host, "")
            for host, at in found.items()
        }

    async def _keep_open(self) -> None:
        """Ask each carrier that we are registered with for its OPTIONS; what it answers does not matter."""
        turns = asyncio.Semaphore(KEEP_OPEN_AT_ONCE)

        async def ask(trunk: SipTrunk, registration: sip.Registration) -> None:
            uri = f"sip:{trunk.server};transport={trunk.transport}"
            async with turns:
                try:
                    reply = await self._engine.options(uri, proxies=self.ways(trunk), timeout=_ANSWER_SECONDS)
                except sip.SipError:
                    return
            self._listened(trunk.trunk_id, registration, reply.is_from_wire)

        while True:
            await asyncio.sleep(KEEP_OPEN_SECONDS)
            registered = [
                (trunk, registration)
                for trunk, registration, _ in self._registrations.values()
                if registration.is_registered
            ]
            await asyncio.gather(*(ask(*one) for one in registered))

    def _listened(self, trunk_id: str, registration: sip.Registration, is_heard: bool) -> None:
        """Register anew where a carrier has fallen silent. Who never answers OPTIONS is not meant."""
        if is_heard:
            self._silences[trunk_id] = 0
        elif trunk_id in self._silences:
            self._silences[trunk_id] += 1
            if self._silences[trunk_id] >= MOST_SILENCES:
                del self._silences[trunk_id]
                logger.warning("a trunk is silent and registered anew", extra={"trunk_id": trunk_id})
                registration.renew()

    async def _register(self) -> None:
        wanted = {trunk_id: trunk for trunk_id, trunk in self._trunks.items() if trunk.registers}
        for trunk_id, (trunk, registration, task) in list(self._registrations.items()):
            if wanted.get(trunk_id) != trunk:
                task.cancel()
                del self._registrations[trunk_id]
                self._problems.pop(trunk_id, None)
                self._registered_at.pop(trunk_id, None)
                self._silences.pop(trunk_id, None)
                with contextlib.suppress(sip.SipError):
                    await registration.unregister()
        for trunk_id in wanted.keys() - self._registrations.keys():
            trunk = wanted[trunk_id]
            account = sip.Account(
                registrar=f"sip:{trunk.server};transport={trunk.transport}",
                credential=sip.Credential(trunk.username, trunk.password),
                proxies=proxies_of(trunk),
                contact_user=trunk.username,
            )
            try:
                registration = self._engine.register(account)
            except sip.SipError as error:
                self._problems[trunk_id] = f"it cannot be registered: {error}"
                continue
            self._problems[trunk_id] = NOT_YET
            following = asyncio.create_task(self._follow(trunk, registration), name="registration")
            self._registrations[trunk_id] = trunk, registration, following

    async def _follow(self, trunk: SipTrunk, registration: sip.Registration) -> None:
        trunk_id = trunk.trunk_id
        async for change in registration.changes():
            if isinstance(change, sip.RegistrationFailed):
                self._registered_at.pop(trunk_id, None)
                # The reason is the carrier's; nothing in it is of a person.
                said = f"{change.code or ''} {change.reason}".strip()
                self._problems[trunk_id] = f"it is not registered: {said}"
                logger.warning(
                    "a trunk is not registered", extra={"trunk_id": trunk_id, "sip_code": change.code}
                )
                continue
            host, port = change.server
            host = f"[{host}]" if ":" in host else host
            self._registered_at[trunk_id] = f"sip:{host}:{port};transport={trunk.transport}"
            if self._problems.pop(trunk_id, None):
                logger.info("a trunk is registered", extra={"trunk_id": trunk_id})


def credential_of(trunk: SipTrunk) -> sip.Credential | None:
    """What answers its challenges."""
    return sip.Credential(trunk.username, trunk.password) if trunk.username else None


def proxies_of(trunk: SipTrunk) -> tuple[str, ...]:
    """Where to send its requests, instead of what its name says."""
    return tuple(f"sip:{proxy};transport={trunk.transport}" for proxy in trunk.proxies)


def asserted(trunk: SipTrunk, number: str) -> tuple[sip.Header, ...]:
    """Who calls, once more where a carrier wants to be told by P-Asserted-Identity; RFC 3325."""
    shown = number or trunk.caller_id
    if not trunk.asserts_identity or not shown:
        return ()
    return (("P-Asserted-Identity", f"<sip:{shown}@{trunk.server}>"),)


async def _networks(trunk: SipTrunk) -> tuple[Network, ...]:
    """Where its calls come from: as it says, else where it is."""
    found: list[Network] = []
    for one in trunk.allowed_addresses or (trunk.server, *trunk.proxies):
        try:
            found.append(ipaddress.ip_network(one, strict=False))
        except ValueError:
            found += await _resolved(one)
    return tuple(dict.fromkeys(found))


def host_of(server: str) -> str:
    """`host` of `host:port`."""
    return server.rsplit(":", 1)[0] if server.count(":") == 1 else server


async def _resolved(server: str) -> list[Network]:
    host = host_of(server)
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            told = await asyncio.get_running_loop().getaddrinfo(
                host.strip("[]"), None, type=socket.SOCK_DGRAM
            )
    except (OSError, TimeoutError, UnicodeError):
        logger.warning("the address of a trunk is not known")
        return []
    return [ipaddress.ip_network(address[4][0]) for address in told]
