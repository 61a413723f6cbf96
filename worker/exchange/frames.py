"""What exchange and shards tell each other (over `link`).

shard    ──here {pid, call_ids}──────────────────► exchange
shard    ──holding {call_id} + RTP, RTCP─────────►            again, after either was restarted
exchange ──take {call_id, media} + RTP, RTCP─────► shard      also a call whose shard died
exchange ──changed, key, over────────────────────►
exchange ──placed────────────────────────────────►            of one that was taken while no line was free
shard    ──hang_up, leave────────────────────────►
shard    ──transfer, hold────────────────────────►            answered with transferred, agreed
exchange ──ringing───────────────────────────────►            whoever is called for a call's other side
exchange ──early {media} + RTP, RTCP─────────────►            what their carrier plays before they answer
exchange ──reached {leg_id, media} + RTP, RTCP───►            they have answered, and talk to the agent first
shard    ──put_through───────────────────────────►            now both talk to each other
exchange ──attend {action, media of both}────────►            somebody wants to listen to two so put through
shard    ──tapping + a socket for each───────────►            it hears them, and may talk
shard    ──attended, gave_back───────────────────►            what came of it; whoever talked is gone
exchange ──overhear {media of both}──────────────►            what the two say is to be kept: it is tapped
exchange ──sides, parted─────────────────────────►            something else was agreed on; it is over
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from worker.lines.causes import HangUpCause
from worker.lines.rtp.media import Media, OurDirection

MOST_SECONDS = 4 * 3600.0
"""Of a call that was put through."""
_ONWARD = "-onward"

Supervises = Annotated[Listen | TakeOver | GiveBack, Field(discriminator="action")]
"""What a person may do with a call in which no agent is any more."""


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# ── from a shard ─────────────────────────────────────────────────────────────────────────────────
class Here(_Frame):
    """First, and whenever it has changed whether this shard takes calls."""

    kind: Literal["here"] = "here"
    pid: int
    call_ids: tuple[str, ...] = ()
    takes_calls: bool = True


class Holding(_Frame):
    """A call that this shard has already. Its sockets come with it."""

    kind: Literal["holding"] = "holding"
    call_id: str
    wish: OurDirection = "sendrecv"
    """What its line was told meanwhile, should nobody have listened."""


class HangUpLine(_Frame):
    """The call is over on our side."""

    kind: Literal["hang_up"] = "hang_up"
    call_id: str


class Leave(_Frame):
    """This shard has nothing to do with the call any more; another may have."""

    kind: Literal["leave"] = "leave"
    call_id: str


class TransferLine(_Frame):
    """Hand the other side on."""

    kind: Literal["transfer"] = "transfer"
    call_id: str
    target: Literal["phone", "sip"]
    value: str
    seconds: float = MOST_SECONDS
    """How long the two may talk where their sound passes the exchange."""
    is_warm: bool = False
    """Whoever is called is asked first: `Reached` follows, and nothing is put through yet."""
    is_overheard: bool = False
    """What the two say then is kept, where it passes the exchange."""


class PutThrough(_Frame):
    """Whoever was reached takes the call."""

    kind: Literal["put_through"] = "put_through"
    call_id: str
    seconds: float
    is_overheard: bool = False


class HoldLine(_Frame):
    """Hold the call, or go on with it: answered with `Agreed`."""

    kind: Literal["hold"] = "hold"
    call_id: str
    wish: OurDirection


class Tapping(_Frame):
    """Two who were put through are to be heard here. A socket for each of them comes with it."""

    kind: Literal["tapping"] = "tapping"
    call_id: str
    is_overheard: bool = False
    """What they say is kept here."""


class Attended(_Frame):
    """What came of an `Attend`: done, or why not."""

    kind: Literal["attended"] = "attended"
    call_id: str
    order_id: str
    action: Supervises
    why_not: str = ""


class GaveBack(_Frame):
    """Whoever talked with two who were put through is gone."""

    kind: Literal["gave_back"] = "gave_back"
    call_id: str
    action: GiveBack
    ends: bool = False
    """So they wanted it: the call is over."""


# ── from the exchange ────────────────────────────────────────────────────────────────────────────
class Take(_Frame):
    """A call is answered: hold it. Its sockets come with it."""

    kind: Literal["take"] = "take"
    call_id: str
    job_id: str
    media: Media
    attempt: int = 0
    """Which attempt this is for, of a call whose process died."""
    can_transfer: bool = True
    is_ours: bool = False
    """We have called."""
    wish: OurDirection = "sendrecv"
    """Not both ways: it is on hold, and the line begins with that."""
    place: int = 0
    """In the queue for a line: more than 0 waits, and is told by `Placed`."""


class Placed(_Frame):
    """Where a caller stands in the queue now; 0: it is their turn."""

    kind: Literal["placed"] = "placed"
    call_id: str
    place: int


class Changed(_Frame):
    """Both sides agreed on something else."""

    kind: Literal["changed"] = "changed"
    call_id: str
    media: Media


class Key(_Frame):
    """A key that came by SIP's own INFO."""

    kind: Literal["key"] = "key"
    call_id: str
    key: str


class Over(_Frame):
    """The other side is gone."""

    kind: Literal["over"] = "over"
    call_id: str
    cause: HangUpCause
    detail: str = ""


class Transferred(_Frame):
    """What came of a transfer, or of a warm one that reached nobody."""

    kind: Literal["transferred"] = "transferred"
    call_id: str
    is_done: bool
    is_bridged: bool = False
    """The sound passes the exchange, which has the call as long as it lasts."""
    why_not: str = ""


class Ringing(_Frame):
    """A telephone rings for this call's other side."""

    kind: Literal["ringing"] = "ringing"
    call_id: str


class Early(_Frame):
    """The carrier of whoever is called plays something: ringing of its own, or why nobody can answer.

    The sockets of that leg come with it; they are read until the transfer is over, or the leg is reached.
    """

    kind: Literal["early"] = "early"
    call_id: str
    media: Media


class Reached(_Frame):
    """Whoever is called for this call has answered. The sockets of that leg come with it.

    From now on `leg_id` is a call of the shard's: it is told of its keys, and may hang it up.
    """

    kind: Literal["reached"] = "reached"
    call_id: str
    leg_id: str
    media: Media


class Agreed(_Frame):
    """What came of a wish: agreed on, or why not."""

    kind: Literal["agreed"] = "agreed"
    call_id: str
    wish: OurDirection
    why_not: str = ""


class Sides(_Frame):
    """What was agreed on with the two who were put through."""

    kind: Literal["sides"] = "sides"
    call_id: str
    one: Media
    another: Media


class Attend(_Frame):
    """Somebody wants to listen to them, to talk with them, or has done so."""

    kind: Literal["attend"] = "attend"
    call_id: str
    sides: Sides
    order_id: str
    action: Supervises
    seconds: float
    """For it to be done."""


class Overhear(_Frame):
    """Keep what two say who were put through: hear them at once, and ask the api what is kept of it."""

    kind: Literal["overhear"] = "overhear"
    call_id: str
    sides: Sides
    job_id: str


class Parted(_Frame):
    """Two who were put through are not any more."""

    kind: Literal["parted"] = "parted"
    call_id: str


FromShard = (
    Here | Holding | HangUpLine | Leave | TransferLine | PutThrough | HoldLine | Tapping | Attended | GaveBack
)
FromExchange = (
    Take
    | Placed
    | Changed
    | Key
    | Over
    | Transferred
    | Ringing
    | Early
    | Reached
    | Agreed
    | Attend
    | Sides
    | Overhear
    | Parted
)
FROM_SHARD: TypeAdapter[FromShard] = TypeAdapter(Annotated[FromShard, Field(discriminator="kind")])
FROM_EXCHANGE: TypeAdapter[FromExchange] = TypeAdapter(Annotated[FromExchange, Field(discriminator="kind")])


def leg_of(call_id: str) -> str:
    """What the leg is called of whoever is called for a call's other side."""
    return f"{call_id}{_ONWARD}"


def is_leg(call_id: str) -> bool:
    """Whether it is one."""
    return call_id.endswith(_ONWARD)
