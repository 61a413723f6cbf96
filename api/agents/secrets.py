"""Secrets inside an agent's functions: sealed in a column of their own, shown as a mask, never again.

        functions/<name>/secret · functions/<name>/headers/<header> · mcp_servers/<name>/headers/<header>

Whoever sends the mask back keeps what is there, as long as it still goes to the same place: else
somebody who may change an agent could have its secrets sent to a server of their own.
"""

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from api.http.errors import Invalid

MASK = "********"
Config = dict[str, Any]
Secrets = dict[str, str]


def withhold(config: Config, before: Config, kept: Secrets) -> tuple[Config, Secrets]:
    """The settings as they are stored and shown, and the secrets of them.

    `before` and `kept` are what was stored until now. Raises `Invalid` where a mask stands for nothing.
    """
    config = copy.deepcopy(config)
    where = {key: place for key, place, *_ in _slots(before)}
    secrets: Secrets = {}
    for key, place, loc, holder, name in _slots(config):
        value = holder[name]
        if value == MASK:
            if key not in kept or where.get(key) != place:
                raise Invalid.at(
                    "body",
                    "response_engine",
                    *loc,
                    msg="Send this secret again: it was kept for another place.",
                )
            secrets[key] = kept[key]
        elif value:
            secrets[key] = str(value)
            holder[name] = MASK
    return config, secrets


def reveal(engine: Config, secrets: Secrets | None) -> Config:
    """An engine's settings with the secrets in their places, for a call."""
    config = {"response_engine": copy.deepcopy(engine)}
    for key, _, _, holder, name in _slots(config):
        if holder[name] == MASK:
            holder[name] = (secrets or {}).get(key, "")
    return config["response_engine"]


def _slots(config: Config) -> Iterator[tuple[str, str, tuple[str | int, ...], dict[str, Any], str]]:
    """Each place for a secret: its key, the origin it is sent to, its place in the body, and its holder."""
    engine = config.get("response_engine") or {}
    for group in ("functions", "mcp_servers"):
        for number, entry in enumerate(engine.get(group) or ()):
            if not isinstance(entry, dict):
                continue
            at = f"{group}/{entry.get('name')}"
            origin = _origin(str(entry.get("url") or ""))
            if isinstance(entry.get("secret"), str):
                # A signature tells nobody the secret that made it.
                yield f"{at}/secret", "", (group, number, "secret"), entry, "secret"
            headers = entry.get("headers")
            if not isinstance(headers, dict):
                continue
            for name, value in list(headers.items()):
                if isinstance(value, str):
                    loc = (group, number, "headers", name)
                    yield f"{at}/headers/{name.lower()}", origin, loc, headers, name


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
