"""What a handler's signature says: its request, its reply, and the names in its path."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

Handler = Callable[..., Awaitable[Any]]

_PLACES = {"request", "body", "query", "form"}


@dataclass(frozen=True)
class Signature:
    """What a handler takes and gives."""

    body: TypeAdapter[Any] | None
    is_body_optional: bool
    query: TypeAdapter[Any] | None
    form: TypeAdapter[Any] | None
    path_parameters: dict[str, TypeAdapter[Any]]
    reply: TypeAdapter[Any] | None
    is_empty: bool


def read_signature(handler: Handler) -> Signature:
    """Read a handler's types; raises `TypeError` where one is missing."""
    # include_extras: without it the limits in Annotated vanish without a word.
    hints = get_type_hints(handler, include_extras=True)
    names = list(inspect.signature(handler).parameters)
    for name in [*names, "return"]:
        if name not in hints:
            raise TypeError(f"{handler.__module__}.{handler.__name__}: {name} has no type")
    reply, is_empty = _reply(hints["return"])
    return Signature(
        body=TypeAdapter(hints["body"]) if "body" in hints else None,
        is_body_optional="body" in hints and NoneType in get_args(hints["body"]),
        query=_model(handler, hints, "query"),
        form=_model(handler, hints, "form"),
        path_parameters={name: TypeAdapter(hints[name]) for name in names if name not in _PLACES},
        reply=reply,
        is_empty=is_empty,
    )


def _model(handler: Handler, hints: dict[str, Any], name: str) -> TypeAdapter[Any] | None:
    if (model := hints.get(name)) is None:
        return None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"{handler.__module__}.{handler.__name__}: {name} must be a model")
    return TypeAdapter(model)


def _reply(hint: Any) -> tuple[TypeAdapter[Any] | None, bool]:
    """The adapter of a return type without its raw responses, and whether nothing is answered."""
    members = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    modelled = [m for m in members if not (isinstance(m, type) and issubclass(m, web.StreamResponse))]
    if not modelled:
        return None, False
    if modelled in ([NoneType], [None]):
        return None, True
    wanted: Any = Union[tuple(modelled)]  # noqa: UP007 - built, not written
    return TypeAdapter(wanted), False
