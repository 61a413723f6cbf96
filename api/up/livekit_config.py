"""Writes livekit-server's configuration: the one of this repository with this machine's ports."""

import re
from pathlib import Path

from api.settings import Settings

# Beside the package in a checkout, inside it in a wheel.
_PLACES = (Path(__file__).parents[1] / "livekit.yaml", Path(__file__).parents[2] / "livekit.yaml")
_LOOPBACK_ONLY = "# loopback only"


def render(settings: Settings) -> str:
    """The configuration; holds no secret but the name of a key, keys go through the environment (`keys`)."""
    path = next(place for place in _PLACES if place.exists())
    lines = path.read_text("utf-8").splitlines()
    if not settings.is_loopback:
        lines = [line for line in lines if _LOOPBACK_ONLY not in line]
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#")) + "\n"
    text = _with(text, "port", settings.livekit.port)
    text = _with(text, "udp_port", settings.livekit.udp_port)
    url = f"{settings.own_url}/v1/livekit/webhook"
    return f"{text}webhook: {{ api_key: {settings.secrets.livekit_api_key}, urls: [{url}] }}\n"


def write(settings: Settings) -> Path:
    """Write it into the data folder and say where."""
    path = settings.run / "livekit.yaml"
    path.write_text(render(settings), "utf-8")
    return path


def keys(settings: Settings) -> dict[str, str]:
    """The environment variable by which livekit-server gets the keys, so that no other user can read them."""
    secrets = settings.secrets
    return {"LIVEKIT_KEYS": f"{secrets.livekit_api_key}: {secrets.livekit_api_secret}"}


def _with(text: str, name: str, value: int) -> str:
    text, count = re.subn(rf"^(\s*{name}:) .*$", rf"\1 {value}", text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"livekit.yaml must have one line {name}")
    return text
