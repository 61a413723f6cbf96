"""Conditions of post-call actions: what cannot be read would never hold, and is refused when it is saved."""

from typing import Any

from api.http.errors import Invalid
from pipelines.conditions import BadCondition, read


def refuse_unreadable(sent: Any) -> None:
    """Raise `Invalid`, with the field, for a condition that no call could ever be held against.

    Only what is sent is looked at, so an agent that was saved before is still shown and changed.
    """
    for number, action in enumerate(sent.post_call_actions or ()):
        try:
            read(action.condition)
        except BadCondition as error:
            place = ("body", "post_call_actions", number, "condition")
            raise Invalid.at(*place, msg=str(error), input=action.condition) from None
