"""What knowledge bases look like on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.http.pages import Page
from api.http.wire import Wire
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow

Status = Literal["in_progress", "complete", "error", "refreshing_in_progress"]
Embedder = Annotated[
    str, Field(pattern=r"^(auto|english|multilingual|words|openai/[A-Za-z0-9][A-Za-z0-9._:/-]{0,99})$")
]
"""Models of this machine, none, or one of the embedding server that the operator named."""
Name = Annotated[str, Field(min_length=1, max_length=40)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]

SHOWN_IN_LISTS = 500
"""Characters of each text; the whole stands in the base itself."""


class NewText(Wire):
    """A text to be known."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=1_000_000)]


class NewSite(Wire):
    """A site to be known: the pages of its sitemap, else those that link to each other, below `url`."""

    url: Url
    depth: Annotated[int, Field(ge=0, le=5)] = 2
    """How many links away from `url` a page may be."""
    max_pages: Annotated[int, Field(ge=1, le=200)] = 50


Texts = Annotated[list[NewText], Field(max_length=100)]
Urls = Annotated[list[Url], Field(max_length=100)]
Sites = Annotated[list[NewSite], Field(max_length=20)]


class SourcesAdd(Wire):
    """What to add. Pages are fetched and read; a URL is one page, a site many."""

    knowledge_base_texts: Texts = Field(default_factory=list)
    knowledge_base_urls: Urls = Field(default_factory=list)
    knowledge_base_sites: Sites = Field(default_factory=list)


class KnowledgeBaseCreate(SourcesAdd):
    """A new knowledge base. With `enable_auto_refresh` its pages are fetched anew every 12 hours."""

    knowledge_base_name: Name
    enable_auto_refresh: bool = False
    agent_id: Annotated[str, Field(max_length=100)] | None = None
    """The agent that shall answer from it."""
    embedder: Embedder = "auto"


class KnowledgeBaseUpdate(Wire):
    """What to change; another embedder has everything embedded again."""

    knowledge_base_name: Name | None = None
    enable_auto_refresh: bool | None = None
    agent_id: Annotated[str, Field(max_length=100)] | None = None
    embedder: Embedder | None = None


class KnowledgeBaseQuery(Page):
    """Which bases: all, or those that one agent answers from."""

    agent_id: str | None = None


class ProgressOf(Wire):
    """How far reading has come. `stage`: waiting, fetching, reading, embedding, indexing, complete, error."""

    stage: str
    done: int = 0
    total: int = 0
    reason: str | None = None
    """Why it failed, and what to do."""


class SiteOf(Wire):
    """What of a site may be read, and how many pages are."""

    depth: int
    max_pages: int
    page_count: int


class Source(Wire):
    """One source. Which of the fields below `type` are there depends on it."""

    type: Literal["text", "url", "document"]
    source_id: str
    title: str | None = None
    content: str | None = None
    url: str | None = None
    site: SiteOf | None = None
    filename: str | None = None
    file_url: str | None = None
    file_size: int | None = None
    status: Status
    progress: ProgressOf
    chunk_count: int
    created_at: datetime

    @classmethod
    def of(cls, row: KnowledgeSourceRow, file_url: str, shown: int | None = None) -> "Source":
        """A row as its owner sees it; `shown` characters of its text at most."""
        fields: dict[str, Any] = {}
        if row.kind == "text":
            text = row.text or ""
            content = text if shown is None or len(text) <= shown else f"{text[:shown]}…"
            fields = {"title": row.title, "content": content}
        elif row.kind in ("url", "site"):
            fields = {"url": row.url, "title": row.title or None}
            if row.kind == "site":
                bounds = {"depth": row.depth, "max_pages": row.max_pages, "page_count": row.page_count}
                fields["site"] = bounds
        else:
            fields = {"filename": row.title, "file_url": file_url, "file_size": row.size_bytes}
        return cls.model_validate(
            {
                "type": type_of(row),
                "source_id": row.id,
                **fields,
                "status": status_of_source(row),
                "progress": _progress(row),
                "chunk_count": row.passage_count,
                "created_at": row.created_at,
            }
        )


class KnowledgeBase(Wire):
    """A knowledge base. `complete` means that everything in it can be answered from."""

    knowledge_base_id: str
    knowledge_base_name: str
    status: Status
    progress: ProgressOf
    knowledge_base_sources: list[Source]
    enable_auto_refresh: bool
    last_refreshed_timestamp: int | None = None
    agent_id: str | None = None
    chunk_count: int
    source_count: int
    embedder: Embedder
    created_at: datetime

    @classmethod
    def of(
        cls,
        base: KnowledgeBaseRow,
        sources: Sequence[KnowledgeSourceRow],
        url: str,
        shown: int | None = None,
    ) -> "KnowledgeBase":
        """A base with its sources; `url` is where its own path begins."""
        return cls.model_validate(
            {
                "knowledge_base_id": base.id,
                "knowledge_base_name": base.name,
                "status": status_of(base, sources),
                "progress": _progress_of_all(base, sources),
                "knowledge_base_sources": [
                    Source.of(row, f"{url}/{base.id}/sources/{row.id}/file", shown) for row in sources
                ],
                "enable_auto_refresh": base.is_auto_refreshed,
                "last_refreshed_timestamp": _ms(base.refreshed_at),
                "agent_id": base.agent_id,
                "chunk_count": base.passage_count,
                "source_count": len(sources),
                "embedder": base.embedder,
                "created_at": base.created_at,
            }
        )


class Question(Wire):
    """Something to look up. Scores below `threshold` are left out."""

    query: Annotated[str, Field(min_length=1, max_length=2000)]
    top_k: Annotated[int, Field(ge=1, le=20)] = 5
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.1
    source_ids: Annotated[list[str], Field(max_length=100)] | None = None
    """Look into these sources only."""


class Result(Wire):
    """A passage that fits. A score of 0.6 or more means: sure enough to answer from."""

    source_id: str
    content: str
    score: float
    source_type: str
    title: str | None = None
    page: int | None = None
    why: str | None = None
    """What the score is made of, in one line; docs/knowledge.md reads it."""


class Answer(Wire):
    """What was found, best first, and the same as one text for a prompt."""

    query: str
    results: list[Result]
    context_text: str


def type_of(row: KnowledgeSourceRow) -> str:
    """The contract's word for what a source is; to it a site is an address like any other."""
    return "url" if row.kind == "site" else row.kind


def status_of_source(row: KnowledgeSourceRow) -> Status:
    """The contract's word for how a source is."""
    if row.progress == "complete":
        return "complete"
    if row.progress == "error":
        return "error"
    return "refreshing_in_progress" if row.part_revision else "in_progress"


def status_of(base: KnowledgeBaseRow, sources: Sequence[KnowledgeSourceRow]) -> Status:
    """The contract's word for how a base is; it is complete once its index holds what its sources say."""
    found = [status_of_source(row) for row in sources]
    for status in ("in_progress", "refreshing_in_progress"):
        if status in found:
            return "in_progress" if status == "in_progress" else "refreshing_in_progress"
    if base.version < base.revision:
        return "refreshing_in_progress" if base.version else "in_progress"
    return "error" if "error" in found else "complete"


def _progress(row: KnowledgeSourceRow) -> ProgressOf:
    stage = row.stage if row.progress == "working" and row.stage else row.progress
    return ProgressOf(stage=stage, done=row.done, total=row.total, reason=row.reason or None)


def _progress_of_all(base: KnowledgeBaseRow, sources: Sequence[KnowledgeSourceRow]) -> ProgressOf:
    failed = [row for row in sources if row.progress == "error"]
    settled = [row for row in sources if row.progress in ("complete", "error")]
    reason = None
    if failed:
        name = failed[0].url or failed[0].title
        more = f" ({len(failed) - 1} more failed.)" if len(failed) > 1 else ""
        reason = f"{name}: {failed[0].reason}{more}"
    working = next((row for row in sources if row.progress == "working" and row.stage), None)
    if len(settled) < len(sources):
        stage = working.stage if working is not None else "waiting"
    elif base.version < base.revision:
        stage = "indexing"
    else:
        stage = "error" if failed else "complete"
    return ProgressOf(stage=stage, done=len(settled), total=len(sources), reason=reason)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
