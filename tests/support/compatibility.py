"""Which operations of the contract are served; `python -m tests.support.compatibility` writes the page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.app import RESOURCES
from api.excluded.routes import EXCLUDED
from api.http.openapi import document, spelled

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "tests" / "contract" / "operations.txt"
DOC = ROOT / "docs" / "compatibility.md"

_HEAD = """# Compatibility

The Call2Me contract has {total} operations. This table says which of them this version answers. It is
written by `python -m tests.support.compatibility` from the contract and what is served; a test compares both.

- **served**: answers as the contract says; the name is the operation in `/openapi.json`.
- **501**: left out on purpose, and says so.
- **ours**: the hosted product's own back door between its processes; ours is another.
- **not yet**: answers 404 in this version.

| served | 501 | ours | not yet |
| --- | --- | --- | --- |
| {served} | {refused} | {ours} | {missing} |

| operation | here |
| --- | --- |
"""

_OLDER = """
## Older spellings

The API reference of the hosted product and its older clients spell some operations in another way than the
product does today. Both are served and do the same (`GET /v1/wallet` tells it in its own words);
`/openapi.json` marks the older as `deprecated` and names the newer. New programs should use that.

| older | newer |
| --- | --- |
"""


@dataclass(frozen=True)
class Operation:
    """One operation of the contract, and what becomes of it here."""

    method: str
    path: str
    here: str


def operations() -> Iterator[Operation]:
    """Every operation of the contract, in its order."""
    spec: dict[str, Any] = document(RESOURCES, title="", version="")
    served = {
        (method.upper(), _shape(path)): operation["operationId"]
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    }
    for line in OPERATIONS.read_text().splitlines():
        method, path = line.split()
        if (name := served.get((method, _shape(path)))) is not None:
            here = f"served: `{name}`"
        elif any(path == prefix or path.startswith(f"{prefix}/") for prefix in EXCLUDED):
            here = "501"
        else:
            here = "ours" if path.startswith("/internal") else "not yet"
        yield Operation(method, path, here)


def page() -> str:
    """The whole document."""
    found = list(operations())
    head = _HEAD.format(
        total=len(found),
        served=sum(one.here.startswith("served") for one in found),
        refused=sum(one.here == "501" for one in found),
        ours=sum(one.here == "ours" for one in found),
        missing=sum(one.here == "not yet" for one in found),
    )
    table = "".join(f"| {one.method} `{one.path}` | {one.here} |\n" for one in found)
    return head + table + _OLDER + "".join(f"| {old} | {new} |\n" for old, new in older())


def older() -> list[tuple[str, str]]:
    """Each operation that has a newer one, and that; in the order of the routes."""
    return [
        (f"{route.method} `{spelled(path)}`", f"{route.method} `{spelled(route.newer)}`")
        for routes in RESOURCES
        for route in routes.all
        for path in route.paths
        if route.is_in_spec and path in route.older
    ]


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


if __name__ == "__main__":
    DOC.write_text(page())
