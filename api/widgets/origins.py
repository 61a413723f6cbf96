"""Which pages may show a widget: an exact list of origins; an empty list allows all."""

import re
from urllib.parse import urlsplit

_HOST = r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
_DOMAIN = re.compile(
    rf"^(?:(?P<scheme>https?)://)?(?P<host>{_HOST}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?/?$"
)
_USUAL = {"http": 80, "https": 443}


def normal(domain: str) -> str:
    """An entry as it is kept: `shop.example.com`, `localhost:3000` or `https://shop.example.com`.

    Raises `ValueError` for what is no origin: a path, a wildcard, another scheme.
    """
    text = domain.strip().lower()
    try:
        ascii_ = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        ascii_ = ""
    found = _DOMAIN.match(ascii_)
    if found is None or int(found["port"] or 1) not in range(1, 65_536):
        raise ValueError("A domain like shop.example.com, or an origin like https://shop.example.com:8443")
    scheme, host, port = found["scheme"], found["host"], found["port"]
    if scheme and port and int(port) == _USUAL[scheme]:
        port = None
    return (f"{scheme}://" if scheme else "") + host + (f":{int(port)}" if port else "")


def is_allowed(origin: str, domains: list[str]) -> bool:
    """Whether a browser's Origin is one of these. A domain without a scheme stands for http and https."""
    if not domains:
        return True
    try:
        parts = urlsplit(origin.lower())
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in _USUAL or not parts.hostname or parts.path or parts.query or parts.username:
        return False
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    named = host if port is None or port == _USUAL[parts.scheme] else f"{host}:{port}"
    return named in domains or f"{parts.scheme}://{named}" in domains
