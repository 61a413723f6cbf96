"""The guarded connector: every address that somebody gave us is reached through it, and only in public.

    url ──► check ──► name looked up ──► socket for one address: is *this* address public? ──► connect
            scheme, port, literals       (whatever it says now)    (there is no later lookup to deceive)

What an owner types into a field (a web page, a function's URL, a webhook, a model's server) must not
become a way into the network that this machine stands in. The operator may name hosts of that network
that owners may reach: `CALL2ME_ALLOW_HOSTS`.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipelines.environment import host_and_port

HTTP = ("https", "http")
WEBSOCKET = ("wss", "ws")

MAX_URL_CHARACTERS = 2048
MAX_BYTES = 1024 * 1024
MAX_CONNECTIONS_PER_HOST = 16
CONNECT_SECONDS = 5.0

NOT_PUBLIC = (
    # IANA's registries of special-purpose addresses (RFC 6890) as wide as they are, and multicast.
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    "168.63.129.16/32",  # public by number, but Azure's own door into its machines
    # All that is not 2000::/3 (with it IPv4 in IPv6, and NAT64: any IPv4 address in disguise), and of that
    # Teredo, 6to4 (the same) and what is for examples.
    *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
"""Networks whose addresses are not the internet's, seen from everywhere, or another one in disguise."""
_NOT_PUBLIC = tuple(map(ip_network, NOT_PUBLIC))

# What may still be told to another origin that a redirect leads to; keys and signatures may not.
_HARMLESS_HEADERS = frozenset(
    ("accept", "accept-language", "user-agent", "if-none-match", "if-modified-since")
)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NAME = re.compile(r"[a-z0-9._-]{1,253}")
_NO_ADDRESS = "This is not an address like https://example.com/page."
_NAMED_BY_OPERATOR: ContextVar[bool] = ContextVar("named_by_operator", default=False)


class NoAnswer(aiohttp.ClientError):
    """The address gave no usable answer"""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or type(self).__doc__)


class Refused(NoAnswer):
    """This address may not be reached from here"""


@dataclass(frozen=True)
class Answer:
    """What an address answered. `url` is the one that answered, after redirects."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    is_cut: bool
    """True when there was more than `max_bytes`, and `body` is only its beginning."""
    url: str


class Guard:
    """Sessions and requests that reach public addresses, and the private hosts that the operator named.

    `allowed_hosts` are `host` or `host:port`. `resolver` stands in for the system's. Close it at the end.
    """

    def __init__(
        self, allowed_hosts: Iterable[str] = (), *, resolver: AbstractResolver | None = None
    ) -> None:
        self._allowed = frozenset(map(host_and_port, allowed_hosts))
        self._resolver = resolver
        self._own: aiohttp.ClientSession | None = None

    def check(self, url: str, schemes: tuple[str, ...] = HTTP) -> None:
        """Refuse, without asking any name server, what could never be reached; for URLs being saved."""
        self._check(_parsed(url), schemes)

    def is_named(self, url: str) -> bool:
        """Whether the operator named this host. Raises `Refused` where it may not be reached at all."""
        return self._check(_parsed(url), HTTP + WEBSOCKET)

    def session(self, **options: Any) -> aiohttp.ClientSession:
        """A session whose every connection is checked, also those that redirects ask for.

        It raises `Refused` (a `ClientError`), takes `ClientSession`'s options, keeps no cookies and
        knows no proxy. Whoever asks for it closes it.
        """
        connector = _GuardedConnector(
            self._check,
            resolver=self._resolver,
            limit_per_host=MAX_CONNECTIONS_PER_HOST,
            socket_factory=_socket_in_public,
        )
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, **options
        )

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | str | Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
        max_bytes: int = MAX_BYTES,
        follow: int = 0,
    ) -> Answer:
        """Ask once; at most `max_bytes` of the body are kept, and `follow` redirects followed.

        Raises `NoAnswer` with a sentence for whoever gave the URL; `Refused` where it is not to be asked.
        """
        async with self.asking(
            method, url, headers=headers, json=json, data=data, timeout_seconds=timeout_seconds, follow=follow
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    response.close()  # what is still to come is not waited for
                    break
            return Answer(
                response.status,
                response.headers,
                bytes(body[:max_bytes]),
                is_cut=len(body) > max_bytes,
                url=str(response.url),
            )

    @contextlib.asynccontextmanager
    async def asking(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | str | Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
        follow: int = 0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same for a body that is read as it comes: whoever reads it counts its bytes.

        The time holds until the body is read.
        """
        try:
            async with asyncio.timeout(timeout_seconds), contextlib.AsyncExitStack() as open_responses:
                hop = _Hop(method.upper(), _parsed(url), CIMultiDict(headers or {}), json, data)
                for _ in range(follow + 1):
                    self._check(hop.url, HTTP)
                    response = await open_responses.enter_async_context(self._session().request(**hop.asked))
                    if response.status not in _REDIRECTS or "Location" not in response.headers or not follow:
                        yield response
                        return
                    await open_responses.aclose()
                    hop = hop.after(response)
                raise NoAnswer(f"The address redirects more than {follow} times.")
        except NoAnswer:
            raise
        except TimeoutError as error:
            raise NoAnswer(f"The address did not answer within {timeout_seconds:g} seconds.") from error
        except aiohttp.ClientError as error:
            raise NoAnswer(_sentence(error)) from error

    async def connect_websocket(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        protocols: Iterable[str] = (),
        timeout_seconds: float = 10.0,
        max_message_bytes: int = MAX_BYTES,
        heartbeat_seconds: float | None = None,
    ) -> aiohttp.ClientWebSocketResponse:
        """An open WebSocket (`ws` or `wss`). Raises `NoAnswer` and `Refused` as `fetch` does."""
        self.check(url, WEBSOCKET)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._session().ws_connect(
                    url,
                    headers=headers,
                    protocols=tuple(protocols),
                    max_msg_size=max_message_bytes,
                    heartbeat=heartbeat_seconds,
                )
        except NoAnswer:
            raise
        except TimeoutError as error:
            raise NoAnswer(f"The address did not answer within {timeout_seconds:g} seconds.") from error
        except aiohttp.ClientError as error:
            raise NoAnswer(_sentence(error)) from error

    async def close(self) -> None:
        """Close the connections of `fetch` and `connect_websocket`."""
        if self._own is not None:
            await self._own.close()
            self._own = None

    def _session(self) -> aiohttp.ClientSession:
        if self._own is None:
            # The caller's own deadline holds for the whole; aiohttp's five minutes must not cut a socket.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            self._own = self.session(timeout=timeout)
        return self._own

    def _check(self, url: URL, schemes: tuple[str, ...]) -> bool:
        """Refuse what may never be reached; True when the operator named this host."""
        if url.scheme not in schemes:
            raise Refused(f"The address must begin with {' or '.join(f'{known}://' for known in schemes)}.")
        host, port = _plain_host(url), url.port
        if not host or port is None:
            raise Refused("The address has no host.")
        if self._allowed & {(host, None), (host, port)}:
            return True
        if port not in (80, 443) and not 1024 <= port <= 65_535:
            raise Refused(f"Port {port} is not one that web servers use.")
        if host == "localhost" or host.endswith(".localhost"):
            raise Refused(_private(host))
        try:
            literal = ip_address(host)
        except ValueError:
            if not _NAME.fullmatch(host):
                raise Refused(_NO_ADDRESS) from None
            if _looks_like_a_number(host):
                raise Refused("The address must be a name, or four numbers with points.") from None
        else:
            if not is_public(literal):
                raise Refused(_private(host))
        return False


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the internet's."""
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


class _AddressRefused(OSError):
    """The name leads into a private network"""


def _socket_in_public(info: Any) -> socket.socket:
    """A socket for the one address that is about to be connected to, if that address is public."""
    family, kind, protocol, _, target = info
    if not _NAMED_BY_OPERATOR.get() and not is_public(ip_address(str(target[0]).partition("%")[0])):
        # The same words for each address of a name, so that aiohttp passes them on as they are.
        raise _AddressRefused(_AddressRefused.__doc__)
    return socket.socket(family, kind, protocol)


class _GuardedConnector(aiohttp.TCPConnector):
    def __init__(self, check: Any, **options: Any) -> None:
        super().__init__(**options)
        self._check = check

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        """Every request comes by here, each hop of a redirect too."""
        token = _NAMED_BY_OPERATOR.set(self._check(req.url, HTTP + WEBSOCKET))
        try:
            return await super().connect(req, traces, timeout)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _AddressRefused):
                raise Refused(_private(req.url.host)) from error
            raise
        finally:
            _NAMED_BY_OPERATOR.reset(token)


@dataclass(frozen=True)
class _Hop:
    method: str
    url: URL
    headers: CIMultiDict[str]
    json: Any
    data: Any

    @property
    def asked(self) -> dict[str, Any]:
        return {**vars(self), "allow_redirects": False}

    def after(self, response: aiohttp.ClientResponse) -> "_Hop":
        """What a redirect asks for, in the way of browsers: 303 asks anew, 307 and 308 say it again."""
        try:
            url = self.url.join(URL(response.headers["Location"])).with_fragment(None)
        except ValueError:
            raise NoAnswer("The address redirects to something that is no address.") from None
        headers = self.headers
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            headers = CIMultiDict(
                (name, value) for name, value in headers.items() if name.lower() in _HARMLESS_HEADERS
            )
        if response.status in (307, 308) or self.method in ("GET", "HEAD"):
            return _Hop(self.method, url, headers, self.json, self.data)
        return _Hop("GET", url, headers, None, None)


def _parsed(url: str) -> URL:
    if len(url) > MAX_URL_CHARACTERS:
        raise Refused(f"The address is longer than {MAX_URL_CHARACTERS} characters.")
    try:
        return URL(url.strip())
    except ValueError:
        raise Refused(_NO_ADDRESS) from None


def _plain_host(url: URL) -> str:
    return (url.raw_host or "").rstrip(".").lower()


def _looks_like_a_number(host: str) -> bool:
    """`127.1`, `0x7f.1` and `2130706433`: names to us, but addresses to a resolver."""
    last = host.rsplit(".", 1)[-1]
    return last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:]))


def _private(host: str | None) -> str:
    return f"{host} is not on the public internet; who runs this server may name it in CALL2ME_ALLOW_HOSTS."


def _sentence(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"There is no host named {error.host}."
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of {error.host} is not valid."
        case aiohttp.ClientConnectorError():
            return f"{error.host} does not accept connections on port {error.port}."
        case aiohttp.WSServerHandshakeError():
            return f"The address answered {error.status} instead of opening a WebSocket."
        case aiohttp.InvalidURL():
            return _NO_ADDRESS
    return "The address broke off its answer."
