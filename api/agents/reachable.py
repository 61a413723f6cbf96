"""Addresses that an agent names: what a call could never reach is refused when it is saved."""

from collections.abc import Iterator
from typing import Any

from api.http.errors import Invalid
from pipelines.outbound import HTTP, WEBSOCKET, Guard, Refused


def refuse_unreachable(sent: Any, guard: Guard) -> None:
    """Raise `Invalid`, with the field, for an address in the private network, or one without TLS.

    Hosts that the operator named (CALL2ME_ALLOW_HOSTS) may be either. No name server is asked: an address
    that leads somewhere private only later is refused when it is reached.
    """
    for url, schemes, loc in _addresses(sent):
        try:
            guard.check(url, schemes)
            if url.lower().startswith(("http://", "ws://")) and not guard.is_named(url):
                raise Refused(f"The address must begin with {schemes[0]}://.")
        except Refused as error:
            raise Invalid.at("body", *loc, msg=str(error), input=url) from None


def _addresses(sent: Any) -> Iterator[tuple[str, tuple[str, ...], tuple[str | int, ...]]]:
    if sent.webhook_url:
        yield sent.webhook_url, HTTP, ("webhook_url",)
    for number, action in enumerate(sent.post_call_actions or ()):
        if action.type == "webhook" and isinstance(url := action.config.get("url"), str) and url:
            yield url, HTTP, ("post_call_actions", number, "config", "url")
    engine = sent.response_engine
    for number, function in enumerate(getattr(engine, "functions", None) or ()):
        if isinstance(url := function.get("url"), str) and function.get("type") != "python":
            yield url, HTTP, ("response_engine", "functions", number, "url")
    for number, server in enumerate(getattr(engine, "mcp_servers", None) or ()):
        yield server.url, HTTP, ("response_engine", "mcp_servers", number, "url")
    if url := getattr(engine, "llm_websocket_url", None):
        yield url, WEBSOCKET, ("response_engine", "llm_websocket_url")
