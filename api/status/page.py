"""The status page: drawn here, without a script."""

import base64
import hashlib

from api.status.schemas import PartStatus, Status

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 760px; margin: 0 auto; padding: 24px 16px;
  color: #1c1d22; background: #fff; }
h1 { font-size: 22px; } h2 { font-size: 17px; margin: 28px 0 4px; }
.now { padding: 12px 16px; border-radius: 10px; color: #fff; background: #1d7a46; }
.now.degraded { background: #8a5a00; } .now.down { background: #b3261e; }
svg { display: block; width: 100%; height: 40px; } p { margin: 4px 0; } small { color: #5b5e6b; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""What the page's policy must allow."""

_NOW = {
    "operational": "Everything works.",
    "degraded": "Nobody can talk by voice now.",
    "down": "This installation does not work now.",
}
_NAMES = {"api": "API", "voice": "Voice"}


def drawn(status: Status) -> str:
    """The whole page."""
    parts = "".join(_part(part) for part in status.parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Status</title>'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body><h1>Status</h1>'
        f'<p class="now {status.status}" role="status">{_NOW[status.status]}</p>{parts}'
        f"<p><small>{status.timestamp:%Y-%m-%d %H:%M} UTC, from this installation's own figures.</small></p>"
        "</body></html>"
    )


def _part(part: PartStatus) -> str:
    name = _NAMES[part.name]
    known = part.availability_percent
    told = "no figures yet" if known is None else f"{known:g} % over 90 days"
    bars = "".join(
        f'<rect x="{number * 8}" y="0" width="6" height="40" fill="{_colour(day.percent)}">'
        f"<title>{day.day}: {'no figures' if day.percent is None else f'{day.percent:g} %'}</title></rect>"
        for number, day in enumerate(part.days)
    )
    width = len(part.days) * 8
    return (
        f"<h2>{name}: {'up' if part.status == 'operational' else 'down'}</h2>"
        f'<svg viewBox="0 0 {width} 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{name}, each of the last {len(part.days)} days: {told}">{bars}</svg>'
        f"<p>{told} <small>(promised: {part.promised_percent:g} %)</small></p>"
    )


def _colour(percent: float | None) -> str:
    if percent is None:
        return "#d9dbe1"
    if percent >= 99.9:
        return "#2e9e5b"
    return "#d69a1c" if percent >= 95 else "#c62f2f"
