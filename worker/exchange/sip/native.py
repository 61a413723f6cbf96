"""The wheel that `make phones` builds, with types."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from worker.exchange.sip.errors import BadUri, EngineMissing, NotNow, Overloaded, SipError
from worker.exchange.sip.messages import Header
from worker.exchange.sip.settings import Credential

_MODULE = "call2me_sip"

Secret = tuple[str, str, str | None]
Address = tuple[str, str, int, tuple[str, int] | None, bytes, bytes]


class Event(Protocol):
    """One thing that happened; what its fields mean depends on `kind` (`src/`)."""

    kind: str
    key: int
    token: int
    code: int
    text: str
    method: str
    headers: list[Header]
    body: bytes
    address: tuple[str, int] | None
    transport: str


class Native(Protocol):
    """`call2me_sip.Engine`. Errors: ValueError for what cannot be sent, LookupError for a dialog in another
    state, OSError for a socket, RuntimeError for too much at once."""

    def start(
        self,
        sink: Callable[[list[Event]], None],
        listeners: list[Address],
        user_agent: str,
        nameservers: list[tuple[str, int]],
        authorities: bytes | None,
        connect_seconds: float,
        try_next_seconds: float,
        pending_limit: int,
        t1_seconds: float,
        /,
    ) -> list[tuple[str, str, int]]: ...
    def stop(self) -> None: ...
    def admit(
        self,
        sources: list[str] | None,
        refuse_with: int | None,
        per_second: float,
        burst: float,
        connections: int,
        /,
    ) -> None: ...
    def keep_names_from(self, refused: list[str], exempt: list[tuple[str, int]], /) -> None: ...
    def answer_options(self, code: int, /) -> None: ...
    def taken(self) -> None: ...
    def invite(
        self,
        uri: str,
        body: bytes,
        caller: str,
        caller_name: str | None,
        proxies: list[str],
        secret: Secret | None,
        headers: list[Header],
        contact: str | None,
        call_id: str | None,
        ring_seconds: float,
        journal: Path | None,
        /,
    ) -> tuple[int, str]: ...
    def ring(self, key: int, headers: list[Header], body: bytes, /) -> None: ...
    def answer(self, key: int, headers: list[Header], body: bytes, secret: Secret | None, /) -> None: ...
    def reject(self, key: int, code: int, headers: list[Header], /) -> None: ...
    def end(self, key: int, headers: list[Header], /) -> int: ...
    def request(self, key: int, method: str, headers: list[Header], body: bytes, /) -> int: ...
    def respond(self, token: int, code: int, headers: list[Header], body: bytes, /) -> None: ...
    def options(self, uri: str, proxies: list[str], seconds: float, /) -> int: ...
    def register(
        self,
        registrar: str,
        secret: Secret,
        proxies: list[str],
        expires: int,
        contact_user: str | None,
        /,
    ) -> int: ...
    def renew(self, key: int, /) -> None: ...
    def unregister(self, key: int, /) -> None: ...
    def snapshot(self, key: int, /) -> str: ...
    def abandon(self, text: str, /) -> int: ...
    def restore(self, text: str, secret: Secret | None, /) -> int: ...
    def stats(self) -> tuple[int, int, int, int, int]: ...


def is_installed() -> bool:
    """Whether the engine's wheel is there (`make phones`). All of this package but `Engine` works without
    it."""
    return importlib.util.find_spec(_MODULE) is not None


def make() -> Native:
    """An engine that does not run yet. EngineMissing."""
    try:
        return cast("Native", importlib.import_module(_MODULE).Engine())
    except ImportError as error:
        raise EngineMissing from error


def secret(credential: Credential | None) -> Secret | None:
    """A credential as the wheel takes it."""
    if credential is None:
        return None
    return credential.username, credential.password, credential.auth_username


class in_our_words:  # noqa: N801 - reads as a statement: `with in_our_words():`
    """Turns the wheel's errors into ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case None | SipError():
                return
            case ValueError() | OverflowError():
                raise BadUri(str(error)) from error
            case LookupError():
                raise NotNow(str(error)) from error
            case RuntimeError():
                raise Overloaded(str(error)) from error
