"""What contacts look like on the wire."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.contacts.table import ContactRow, DoNotCallRow
from api.http.pages import Page
from api.http.wire import Wire
from api.telephone import E164, TimeZone

MAX_TAGS = 50
MAX_VARIABLES = 200


def _once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _no_braces(name: str) -> str:
    if not name.strip() or "{" in name or "}" in name:
        raise PydanticCustomError("variable_name", "A variable's name may not be empty or hold braces")
    return name


Tag = Annotated[str, StringConstraints(min_length=1, max_length=50, strip_whitespace=True)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_once)]
Named = Annotated[str, Field(max_length=200)]
Email = Annotated[str, Field(max_length=255, pattern=r"^$|^[^@\s]+@[^@\s]+$")]
Language = Annotated[str, Field(max_length=35, pattern=r"^$|^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Zone = Annotated[Literal[""] | TimeZone, Field(union_mode="left_to_right")]
Notes = Annotated[str, Field(max_length=5000)]
VariableName = Annotated[str, Field(max_length=100), AfterValidator(_no_braces)]
Variables = Annotated[
    dict[VariableName, Annotated[str, Field(max_length=2000)]], Field(max_length=MAX_VARIABLES)
]
Consent = Literal["unknown", "granted", "denied"]


class ContactCreate(Wire):
    """Somebody to be known."""

    phone_number: E164
    name: Named = ""
    company: Named = ""
    email: Email = ""
    language: Language = ""
    timezone: Zone = ""
    notes: Notes = ""
    variables: Variables = Field(default_factory=dict)
    """Values for `{{name}}` in what agents say to this person."""
    tags: Tags = Field(default_factory=list)
    consent: Consent = "unknown"


class ContactUpdate(Wire):
    """What to change; what is not sent stays. `variables` and `tags` are replaced as a whole."""

    phone_number: E164 | None = None
    name: Named | None = None
    company: Named | None = None
    email: Email | None = None
    language: Language | None = None
    timezone: Zone | None = None
    notes: Notes | None = None
    variables: Variables | None = None
    tags: Tags | None = None
    consent: Consent | None = None


class Contact(Wire):
    """Somebody who is known."""

    contact_id: str
    phone_number: str
    name: str
    company: str
    email: str
    language: str
    timezone: str
    notes: str
    variables: dict[str, str]
    tags: list[str]
    consent: Consent
    consent_at: datetime | None
    on_do_not_call_list: bool
    source: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: ContactRow, tags: Sequence[str] = (), barred: Collection[str] = ()) -> "Contact":
        """A row, its tags, and the numbers that must not be called."""
        return cls.of_values(row.model_dump(), tags, is_barred=row.phone_number in barred)

    @classmethod
    def of_values(cls, values: Mapping[str, Any], tags: Sequence[str], *, is_barred: bool) -> "Contact":
        """The same of a row's columns."""
        told = {"contact_id": values["id"], "tags": list(tags), "on_do_not_call_list": is_barred}
        return cls.model_validate({**values, **told})


class ContactQuery(Page):
    """Which contacts. `search` looks at names, numbers, companies and e-mail addresses."""

    search: Annotated[str, Field(max_length=200)] | None = None
    tag: Annotated[str, Field(max_length=50)] | None = None
    phone_number: Annotated[str, Field(max_length=50)] | None = None
    consent: Consent | None = None


class ContactList(Wire):
    """A page of contacts, and how many there are."""

    contacts: list[Contact]
    total: int
    limit: int
    offset: int


class UploadWarning(Wire):
    """A line of the file that was left out, and why."""

    line: int
    reason: str


class ContactsUploaded(Wire):
    """What became of a file's lines."""

    inserted: int
    updated: int
    skipped: int
    warnings: list[UploadWarning]
    """The first hundred lines that were left out."""


class UploadQuery(Wire):
    """What holds for everybody in the file."""

    tag: Annotated[str, Field(max_length=50)] | None = None
    consent: Consent | None = None


class DoNotCall(Wire):
    """A number that must not be called."""

    phone_number: E164
    reason: Annotated[str, Field(max_length=500)] = ""


class DoNotCallEntry(Wire):
    """A number that must not be called, and since when."""

    phone_number: str
    reason: str
    created_at: datetime

    @classmethod
    def of(cls, row: DoNotCallRow) -> "DoNotCallEntry":
        """A row."""
        return cls(phone_number=row.phone_number, reason=row.reason, created_at=row.created_at)


class DoNotCallList(Wire):
    """A page of the list, newest first, and how many there are."""

    numbers: list[DoNotCallEntry]
    total: int
    limit: int
    offset: int
