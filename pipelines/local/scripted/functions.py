"""A LiveKit function tool as a form: its slots, what each wants, and whether it changes anything."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from livekit.agents import llm
from livekit.agents.llm.utils import build_legacy_openai_schema

from kb.words import fold, stem, words

Kind = Literal[
    "date", "time", "datetime", "phone", "email", "name", "code", "number", "boolean", "choice", "text"
]

_READS = frozenset(
    """get check find list search lookup look show fetch read query count calculate estimate quote view track
    describe is has tell compute see sorgula bul listele goster kontrol""".split()
)
_UNDONE_BY_A_WORD = ("mute", "unmute")
"""Nobody is asked whether they are sure; and whoever is muted could not ask."""
_READS_IN_WORDS = re.compile(
    r"^(?:look(?:s)? up|check(?:s)? (?:if|whether|the|when|for|how)|find(?:s)? |list(?:s)? |get(?:s)? |"
    r"search(?:es)? |"
    r"return(?:s)? (?:the|a|all|whether|how)|show(?:s)? |tell(?:s)? |fetch(?:es)? )",
    re.IGNORECASE,
)
_WRITES = re.compile(r"\bcheck[_ ](?:in|out)\b")
_FORMAT = re.compile(
    r"[,;(]?\s*\b(?:like|e\.?g\.?|for example|such as|formatted|format|as in|in the form|"
    r"in (?:the )?(?:iso|yyyy|dd|hh|24)|"
    r"yyyy|iso)\b.*$",
    re.IGNORECASE,
)
_CHOICES = re.compile(
    r"(?::|\bone of|\beither|\bcan be|\boptions(?: are)?|\bsuch as|\blike|\be\.g\.|\bfor example|,)\s*"
    r"(?P<list>[\w' -]+(?:,\s*[\w' -]+)*,?\s+or\s+[\w' -]+)",
    re.IGNORECASE,
)
_EXAMPLES = re.compile(
    r"(?:\bsuch as|\blike|\be\.g\.,?|"
    r"\bfor example,?)\s*(?P<list>[A-Za-zÇĞİÖŞÜçğıöşü' -]+(?:,\s*[\w' -]+)*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter. `choices` are values with how they are said; `is_closed` when nothing else is "
    "allowed."""

    name: str
    kind: Kind
    is_required: bool
    description: str = ""
    choices: tuple[tuple[Any, str], ...] = ()
    is_closed: bool = False
    is_integer: bool = False
    is_list: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""

    @property
    def label(self) -> str:
        """The parameter's name as words."""
        return spoken_name(self.name)

    @property
    def asked_for(self) -> str:
        """The description without its formats and examples."""
        text = _FORMAT.sub("", self.description.split("\n")[0]).strip(" .,;:(")
        return _CHOICES.sub("", text).strip(" .,;:(") or text or self.label


@dataclass(frozen=True, slots=True)
class Function:
    """A function and what it asks for."""

    name: str
    description: str
    slots: tuple[Slot, ...]
    is_read_only: bool
    verb: str
    objects: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name as words: `book_appointment` is "book appointment"."""
        return spoken_name(self.name)

    @property
    def purpose(self) -> str:
        """The description's first sentence."""
        return re.split(r"(?<=[.!?])\s|\n", self.description.strip(), maxsplit=1)[0]

    def slot(self, name: str) -> Slot | None:
        """The slot of that name."""
        return next((slot for slot in self.slots if slot.name == name), None)


def spoken_name(name: str) -> str:
    """snake_case or camelCase as words."""
    return " ".join(
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").lower().split()
    )


def read(tools: list[llm.Tool]) -> list[Function]:
    """The functions among an agent's tools, in order. Provider tools have nothing to ask for."""
    functions: list[Function] = []
    for tool in tools:
        if isinstance(tool, llm.RawFunctionTool):
            schema = tool.info.raw_schema
            functions.append(
                _function(schema["name"], schema.get("description") or "", schema.get("parameters") or {})
            )
        elif isinstance(tool, llm.FunctionTool):
            functions.append(_read_python(tool))
    return functions


@lru_cache(maxsize=256)
def _read_python(tool: llm.FunctionTool[Any, Any]) -> Function:
    described = build_legacy_openai_schema(tool, internally_tagged=True)
    return _function(described["name"], described["description"], described["parameters"])


def _function(name: str, description: str, parameters: dict[str, Any]) -> Function:
    required = set(parameters.get("required", ()))
    slots = tuple(
        _slot(key, schema, key in required, parameters)
        for key, schema in (parameters.get("properties") or {}).items()
        if isinstance(schema, dict)
    )
    named = spoken_name(name).split() or ["run"]
    first = stem(named[0])
    reads = {stem(word) for word in _READS}
    is_read_only = not _WRITES.search(name.lower()) and (
        first in reads
        or name in _UNDONE_BY_A_WORD
        or named[-1] in ("lookup", "search", "status")
        or bool(_READS_IN_WORDS.match(description))
    )
    return Function(
        name=name,
        description=description,
        slots=slots,
        is_read_only=is_read_only,
        verb=first,
        objects=tuple(stem(word) for word in words(" ".join(named[1:])) if len(word) > 2),
    )


def _slot(name: str, schema: dict[str, Any], is_required: bool, root: dict[str, Any]) -> Slot:
    description = str(schema.get("description") or "")
    schema = _resolved(schema, root)
    is_list = schema.get("type") == "array"
    if is_list and isinstance(schema.get("items"), dict):
        schema = {**_resolved(schema["items"], root)}
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    choices = tuple((value, spoken_name(str(value))) for value in values)
    if not choices and schema.get("type") in ("string", None):
        choices = _written_choices(description)
    return Slot(
        name=name,
        kind=_kind(name, description, schema, bool(values)),
        is_required=is_required,
        description=description,
        choices=choices,
        is_closed=bool(values),
        is_integer=schema.get("type") == "integer",
        is_list=is_list,
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        pattern=str(schema.get("pattern") or ""),
    )


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, and of "this or null" only this."""
    for _ in range(8):
        if isinstance(reference := schema.get("$ref"), str):
            target: Any = root
            for part in reference.removeprefix("#/").split("/"):
                target = target.get(part, {}) if isinstance(target, dict) else {}
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
            continue
        variants = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not isinstance(variants, list):
            break
        kept = [
            variant for variant in variants if isinstance(variant, dict) and variant.get("type") != "null"
        ]
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
        schema = {**(kept[0] if kept else {}), **rest}
    if isinstance(schema.get("type"), list):
        schema = {**schema, "type": next((each for each in schema["type"] if each != "null"), "string")}
    return schema


def _written_choices(description: str) -> tuple[tuple[Any, str], ...]:
    match = _CHOICES.search(description) or _EXAMPLES.search(description)
    if not match:
        return ()
    said = [
        re.sub(
            r"^(?:(?:such as|like|e\.?g\.?|for example|either|one of|an?|the|or)\s+)+",
            "",
            part.strip(" .'\""),
            flags=re.IGNORECASE,
        )
        for part in re.split(r",|\bor\b", match.group("list"))
    ]
    kept = [part for part in said if part and len(part.split()) <= 4 and not any(c.isdigit() for c in part)]
    return tuple((part, part.lower()) for part in kept) if kept else ()


_CODES = frozenset(
    "number no code id pin reference ref postcode zip zipcode plate registration numarasi numara kod".split()
)

_NUMBERED = frozenset("account bed booking card desk flight gate locker order room seat table".split())
"""Things that have a number, where the description says that it is meant."""


def _kind(name: str, description: str, schema: dict[str, Any], has_values: bool) -> Kind:  # noqa: PLR0911, PLR0912
    # A table of what a parameter can be, surest first.
    if has_values:
        return "choice"
    kind, form = schema.get("type"), schema.get("format")
    if kind == "boolean":
        return "boolean"
    if kind in ("integer", "number"):
        return "number"
    if form in ("date", "time", "date-time", "email"):
        return {"date": "date", "time": "time", "date-time": "datetime", "email": "email"}[form]  # type: ignore[return-value]
    named = set(words(spoken_name(name)))
    described = set(words(description.split(".", maxsplit=1)[0]))
    if named & {"email", "mail", "eposta"}:
        return "email"
    if named & {"phone", "telephone", "mobile", "telefon", "cell"}:
        return "phone"
    if named & _CODES or (described & {"number", "code"} and named & _NUMBERED):
        return "code"
    is_time = bool(named & {"time", "hour", "saat"})
    is_date = bool(named & {"date", "day", "tarih", "gun", "checkin", "checkout", "arrival", "departure"})
    if named & {"datetime", "when", "slot", "zaman"} or (is_time and is_date):
        return "datetime" if not named & {"slot"} or described & {"time", "date"} else "text"
    if is_time:
        return "time"
    if is_date:
        return "date"
    if named & {"isim", "ad", "adi", "adsoyad"}:
        return "name"
    if named & {"name", "caller", "customer", "guest", "patient"} and "name" in named | described:
        is_person = not named & {"file", "product", "item", "street", "company", "service", "book", "room"}
        return "name" if is_person else "text"
    if described & {"phone", "telephone", "telefon"} and "number" in described | {"telefon"}:
        return "phone"
    if described & {"email"}:
        return "email"
    if "date" in described and "time" in described:
        return "datetime"
    if described & {"date", "tarih"}:
        return "date"
    if fold(description).startswith(("time", "local time", "start time", "pick-up time", "the time")):
        return "time"
    return "text"
