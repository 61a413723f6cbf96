"""Rows of knowledge bases and their sources."""

from datetime import datetime

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now


class KnowledgeBaseRow(SQLModel, table=True):
    """A set of texts that agents may answer from."""

    __tablename__ = "knowledge_bases"

    id: str = Field(default_factory=lambda: new_id("kb"), primary_key=True)
    owner_id: str = Field(index=True)
    name: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class KnowledgeSourceRow(SQLModel, table=True):
    """One text of a knowledge base."""

    __tablename__ = "knowledge_sources"

    id: str = Field(default_factory=lambda: new_id("source"), primary_key=True)
    knowledge_base_id: str = Field(index=True, foreign_key="knowledge_bases.id", ondelete="CASCADE")
    kind: str = "text"
    title: str
    text: str = Field(sa_column=Column(Text, nullable=False))
    position: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
