"""The api, killed by itself at one line of an ingestion: `python -m tests.support.dying_ingestion POINT`."""

import sys
from collections.abc import Callable
from typing import Any

from api.knowledge_base import apart, fetching, indexing, ingestion, workflows
from api.serve import serve
from api.settings import Settings
from tests.support.dying_api import Function, after, before

POINTS: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "added and committed, reading not started": (workflows, "start_ingestion", before),
    "about to read": (apart, "run", before),
    "read, not stored": (apart, "run", after),
    "stored, step not noted": (ingestion, "prepare", after),
    "counted, step not noted": (ingestion, "complete", after),
    "counted, index not started": (workflows, "start_build", before),
    "index stored, not published": (indexing, "_publish", before),
    "published, step not noted": (indexing, "_publish", after),
}
"""In the order in which one document comes by them."""
SITE_POINTS: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "about to crawl": (fetching, "_crawled", before),
    "a page kept, the crawl goes on": (fetching, "_kept", after),
    "crawled, pages not listed": (fetching, "_crawled", after),
    "listed, step not noted": (fetching, "fetch", after),
}
"""Those that a site comes by before it is read as a document is."""


def main(point: str) -> None:
    """Serve until the point is reached."""
    place, name, how = (POINTS | SITE_POINTS)[point]
    setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


if __name__ == "__main__":
    main(sys.argv[1])
