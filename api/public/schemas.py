"""Wire models of the public endpoints."""

from typing import Annotated

from pydantic import Field

from api.http.wire import Wire


class DemoCallRequest(Wire):
    """Please call me. `website` is a trap for programs: people do not see it."""

    phone_number: Annotated[str, Field(min_length=3, max_length=40)]
    """With a plus and a country code, or as dialled within the United States."""
    name: Annotated[str, Field(max_length=200)] = ""
    agent_id: Annotated[str, Field(max_length=100)] = ""
    website: Annotated[str, Field(max_length=500)] = ""


class DemoCall(Wire):
    """Whether somebody will call."""

    success: bool
    message: str
    call_id: str = ""
