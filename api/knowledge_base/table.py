"""Rows of knowledge bases and their sources."""

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, Column, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now

Kind = Literal["text", "url", "site", "document"]
Progress = Literal["waiting", "working", "complete", "error"]


class KnowledgeBaseRow(SQLModel, table=True):
    """A set of sources that agents may answer from, and the index that was last made of them.

    `revision` counts what changed; the index of `version` holds all changes up to that revision, and is
    the blob `<id>-<version>.index`. A deleted base keeps its row for a day, so that workers hear of it.
    """

    __tablename__ = "knowledge_bases"

    id: str = Field(default_factory=lambda: new_id("kb"), primary_key=True)
    owner_id: str = Field(index=True)
    name: str
    agent_id: str | None = None
    is_auto_refreshed: bool = False
    embedder: str = "auto"
    """Asked for by the owner: `auto`, `english`, `multilingual` or `words`."""
    space: str = ""
    """What the vectors are made with now; empty while words alone decide."""
    revision: int = 0
    version: int = 0
    """0: there is no index yet."""
    previous_version: int = 0
    digest: str = ""
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    passage_count: int = 0
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """When `revision` was last raised."""
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    """When workers had something to hear of it: a new version, or its end."""
    refreshed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class KnowledgeSourceRow(SQLModel, table=True):
    """One text, page, site or document of a knowledge base.

    `revision` counts how often it was to be read; `part_revision` is the one whose passages are in use
    (the blob `<id>-<part_revision>.part`), 0 for none yet. A document's bytes, and a page's, are `<id>.raw`;
    a site's pages are `<id>-<revision>-<digest>.page`, and `<id>-<revision>.site` lists them.
    """

    __tablename__ = "knowledge_sources"
    __table_args__ = (UniqueConstraint("knowledge_base_id", "digest"),)

    id: str = Field(default_factory=lambda: new_id("source"), primary_key=True)
    knowledge_base_id: str = Field(index=True, foreign_key="knowledge_bases.id", ondelete="CASCADE")
    kind: str = "text"
    title: str
    text: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Of a text."""
    url: str | None = None
    depth: int = 0
    """Of a site: how many links away from its address pages may be."""
    max_pages: int = 0
    page_count: int = 0
    """Of a site: how many pages are in use."""
    content_type: str = ""
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    digest: str = Field(default_factory=lambda: new_id("digest", 32))
    """Of what was added: the same again is the same source."""
    position: int = 0

    revision: int = 1
    part_revision: int = 0
    progress: str = Field(default="waiting", index=True)
    stage: str = ""
    done: int = 0
    total: int = 0
    reason: str = ""
    """What went wrong, for the owner."""
    language: str = ""
    space: str = ""
    """Of its vectors."""
    passage_count: int = 0

    etag: str = ""
    last_modified: str = ""
    body_digest: str = ""
    """Of what the page said when it was last fetched."""
    fetched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
