"""Lists a piece at a time: `limit` and `offset`, newest first."""

from typing import Annotated

from pydantic import Field

from api.http.wire import Wire

MAX_OFFSET = 2**31 - 1


class Page(Wire):
    """Which piece of a list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
