"""What campaigns look like on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.calls.outcomes import Outcome
from api.campaigns.table import CampaignContactRow, CampaignRow
from api.contacts.schemas import UploadWarning, Variables
from api.hours import CallingHours
from api.http.wire import Wire
from api.telephone import E164, TimeZone

Name = Annotated[str, Field(min_length=1, max_length=255)]
Description = Annotated[str, Field(max_length=2000)]
AtOnce = Annotated[int, Field(ge=1, le=100)]
EachMinute = Annotated[int, Field(ge=1, le=60)]
PerDay = Annotated[int, Field(ge=1, le=20)]
DelayMinutes = Annotated[int, Field(ge=1, le=1440)]
Mapped = Annotated[
    dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=100)]], Field(max_length=100)
]
RetryOn = Annotated[list[Outcome], Field(max_length=6)]
Status = Literal["draft", "running", "paused", "completed", "cancelled"]
PersonStatus = Literal["pending", "calling", "completed", "failed", "skipped"]
Action = Literal["start", "pause", "resume", "cancel"]


class CampaignCreate(Wire):
    """A campaign to be filled with people."""

    agent_id: Annotated[str, Field(min_length=1, max_length=100)]
    name: Name
    description: Description = ""
    from_number: E164 | None = None
    """One of your numbers; left out, the agent's."""
    max_concurrent: AtOnce = 20
    calls_per_minute: EachMinute = 10
    retry_count: Annotated[int, Field(ge=0, le=3)] = 0
    retry_delay_minutes: DelayMinutes = 5
    retry_on: RetryOn = Field(
        default_factory=lambda: list[Outcome](("no_answer", "busy", "failed", "voicemail"))
    )
    """After which outcomes somebody is called again."""
    variable_mapping: Mapped = Field(default_factory=dict)
    """From columns of the file to variables of the agent."""
    calling_hours: CallingHours | None = None
    """On the clock of who is called; left out, at any time."""
    timezone: TimeZone = "Europe/Istanbul"
    """The clock of numbers that do not say where they are."""
    consent_required: bool = False
    """Call only contacts whose consent is `granted`."""
    max_daily_per_number: PerDay | None = None
    """How often anybody is called within 24 hours at most, by whatever of yours; left out, as it comes."""


class CampaignUpdate(Wire):
    """What to change; what is not sent stays. A running campaign goes by it from the next call on."""

    name: Name | None = None
    description: Description | None = None
    from_number: E164 | None = None
    max_concurrent: AtOnce | None = None
    calls_per_minute: EachMinute | None = None
    retry_count: Annotated[int, Field(ge=0, le=5)] | None = None
    retry_delay_minutes: DelayMinutes | None = None
    retry_on: RetryOn | None = None
    variable_mapping: Mapped | None = None
    calling_hours: Literal["any"] | CallingHours | None = None
    timezone: TimeZone | None = None
    consent_required: bool | None = None
    max_daily_per_number: PerDay | None = None


class Totals(Wire):
    """How many people are how far."""

    contacts: int = 0
    pending: int = 0
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    called: int = 0
    """Completed, failed or in progress."""

    @classmethod
    def of(cls, counted: Mapping[str, int]) -> "Totals":
        """From how many there are of each status."""
        calling, done, failed = (counted.get(name, 0) for name in ("calling", "completed", "failed"))
        return cls(
            contacts=sum(counted.values()),
            pending=counted.get("pending", 0),
            in_progress=calling,
            completed=done,
            failed=failed,
            skipped=counted.get("skipped", 0),
            called=calling + done + failed,
        )


class Campaign(Wire):
    """A campaign as it stands."""

    campaign_id: str
    agent_id: str
    name: str
    description: str
    from_number: str | None
    status: Status
    problem: str | None
    max_concurrent: int
    calls_per_minute: int
    retry_count: int
    retry_delay_minutes: int
    retry_on: list[str]
    variable_mapping: dict[str, str]
    calling_hours: CallingHours | None
    timezone: str
    consent_required: bool
    max_daily_per_number: int | None
    total_contacts: int
    stats: Totals
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: CampaignRow, counted: Mapping[str, int]) -> "Campaign":
        """A row, and how many of its people are how far."""
        totals = Totals.of(counted)
        values: dict[str, Any] = row.model_dump(
            exclude={"id", "owner_id", "columns", "beat", "beat_at", "running_since"}
        )
        told = {"campaign_id": row.id, "total_contacts": totals.contacts, "stats": totals}
        return cls.model_validate({**values, **told})


class Progress(Wire):
    """How far a campaign is."""

    campaign_id: str
    status: Status
    problem: str | None
    stats: Totals
    outcomes: dict[str, int]
    """How many newest calls ended how."""

    @classmethod
    def of(cls, row: CampaignRow, counted: Mapping[str, int], outcomes: dict[str, int]) -> "Progress":
        """A row, how many of its people are how far, and how their calls ended."""
        told = {"campaign_id": row.id, "status": row.status, "problem": row.problem}
        return cls.model_validate({**told, "stats": Totals.of(counted), "outcomes": outcomes})

    @property
    def is_over(self) -> bool:
        """Nothing changes any more."""
        return self.status in ("completed", "cancelled") and not self.stats.in_progress


class ProgressQuery(Wire):
    """How long to watch."""

    follow: bool = True
    """False: how far it is now, and no more."""


class CampaignQuery(Wire):
    """Which campaigns. `search` looks at names and descriptions."""

    status: Status | None = None
    search: Annotated[str, Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


class CampaignList(Wire):
    """A page of campaigns, and how many there are."""

    campaigns: list[Campaign]
    total: int
    limit: int
    offset: int


class CampaignAction(Wire):
    """What a campaign shall do."""

    action: Action


class CampaignActed(Wire):
    """What a campaign does now."""

    campaign_id: str
    action: Action
    status: Status
    message: str


class CampaignDeleted(Wire):
    """A campaign is gone, with its people. Their calls stay."""

    campaign_id: str
    message: str = "Campaign deleted"


class PersonGiven(Wire):
    """Somebody to be called."""

    phone_number: E164
    name: Annotated[str, Field(max_length=200)] = ""
    variables: Variables = Field(default_factory=dict)


class PeopleGiven(Wire):
    """People to be called."""

    contacts: Annotated[list[PersonGiven], Field(min_length=1, max_length=1000)]


class PeopleKept(Wire):
    """What became of those who were given."""

    inserted: int
    skipped: int
    warnings: list[UploadWarning] = Field(default_factory=list)
    """Of a file: the first hundred lines that were left out."""
    total_contacts: int


class PeopleRemoved(Wire):
    """How many people were taken out."""

    deleted: int


class PersonQuery(Wire):
    """Which people of a campaign."""

    status: PersonStatus | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Person(Wire):
    """One person of a campaign, and how far they are."""

    phone_number: str
    name: str
    variables: dict[str, str]
    status: PersonStatus
    reason: str | None
    attempts: int
    call_id: str | None
    outcome: str | None
    due_at: datetime
    dialled_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: CampaignContactRow) -> "Person":
        """A row."""
        return cls.model_validate(row.model_dump(exclude={"campaign_id", "position", "undialled"}))


class People(Wire):
    """A page of a campaign's people, in their order, and how many there are."""

    contacts: list[Person]
    total: int
    limit: int
    offset: int


class SkippedPerson(Wire):
    """Somebody who would not be called, and why."""

    phone_number: str
    name: str
    reason: str


class Preview(Wire):
    """Who would be called if the campaign began now."""

    campaign_id: str
    total: int
    callable_now: int
    callable_later: int
    """Outside of their calling hours now."""
    next_opening_at: datetime | None
    """When the first of those may be called."""
    skipped: dict[str, int]
    """How many would not be called, by reason."""
    examples: list[SkippedPerson]
    """The first hundred of those."""
    problems: list[str]
    """What keeps the campaign from calling anybody."""
    shortest_minutes: float
    """How long it takes at least at this pace."""


class ResultsQuery(Wire):
    """In which form. Where nothing is asked for, the Accept header decides."""

    format: Literal["json", "csv"] | None = None


class Results(Wire):
    """What became of a campaign."""

    campaign_id: str
    name: str
    status: Status
    stats: Totals
    outcomes: dict[str, int]
    """How many newest calls ended how."""
    skipped_reasons: dict[str, int]
    success_rate: float | None
    """Completed of all that were called and are over."""
    total_attempts: int
    total_duration_seconds: float
    started_at: datetime | None
    completed_at: datetime | None
