"""What every message has in common."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message: it never changes, and what a newer side adds to it is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
