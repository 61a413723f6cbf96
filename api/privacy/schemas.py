"""Wire models of exports and of being forgotten."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from api.http.wire import Wire
from api.privacy.table import AccountExportRow

KEPT = timedelta(days=7)


class AccountExport(Wire):
    """An export of everything of yours."""

    export_id: str
    status: Literal["pending", "complete", "failed"]
    size_bytes: int
    left_out: int
    """Recordings that the file had no room for; each can be had by itself."""
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime
    download_url: str | None
    """Where the file is, with your credentials, once it is complete."""

    @classmethod
    def of(cls, row: AccountExportRow, base: str) -> "AccountExport":
        """A row as its owner sees it."""
        url = f"{base}/v1/users/me/exports/{row.id}/download" if row.status == "complete" else None
        return cls(
            export_id=row.id,
            status=row.status,
            size_bytes=row.size_bytes,
            left_out=row.left_out,
            created_at=row.created_at,
            completed_at=row.completed_at,
            expires_at=row.created_at + KEPT,
            download_url=url,
        )


class Farewell(Wire):
    """Who wants to be forgotten says so twice."""

    email: Annotated[str, Field(max_length=254)]
    """Your own, to confirm."""
    password: Annotated[str, Field(max_length=1024)] | None = None
    """Where you have one."""


class Erasing(Wire):
    """What asking to be forgotten answers."""

    status: Literal["erasing"] = "erasing"
    message: str = "Your account is being erased; nobody can sign in to it any more"
