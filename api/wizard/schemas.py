"""Wire models of the wizard."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.http.wire import Wire
from api.wizard.table import WizardRow
from api.wizard.topics import topics_of


class WizardStart(Wire):
    """How a talk begins."""

    language: Annotated[str, Field(max_length=16, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en-US"
    seed: Annotated[str, Field(max_length=500)] = ""
    """What is known already: the answer to the first question."""


class WizardMessage(Wire):
    """An answer."""

    content: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]


class WizardApply(Wire):
    """What becomes the agent's prompt."""

    prompt: Annotated[str, Field(max_length=12_000)] | None = None
    """Absent: the sections."""


class WizardLine(Wire):
    """One message."""

    role: Literal["assistant", "user"]
    content: str


class WizardSection(Wire):
    """One part of the prompt."""

    name: str
    title: str
    content: str
    by_model: bool
    """False: written by a template."""


class WizardSession(Wire):
    """Where a talk stands."""

    session_id: str
    agent_id: str | None
    mode: Literal["create", "edit"]
    language: str
    status: Literal["asking", "ready", "complete", "applied"]
    messages: list[WizardLine]
    sections: list[WizardSection]
    remaining: list[str]
    """Sections that are still to be written."""
    prompt: str
    """The sections as one text."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: WizardRow) -> "WizardSession":
        """A row as its owner sees it."""
        written = {section["name"] for section in row.sections}
        return cls.model_validate(
            {
                **row.model_dump(),
                "session_id": row.id,
                "remaining": [one.name for one in topics_of(row.mode) if one.name not in written],
                "prompt": prompt_of(row),
            }
        )


def prompt_of(row: WizardRow) -> str:
    """What is written so far, as one prompt."""
    parts = [f"# {section['title']}\n{section['content']}" for section in row.sections]
    return "\n\n".join([row.original, *parts] if row.original else parts)
