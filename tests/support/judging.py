"""How the questions to an agent came out, and a table of it: `python -m tests.support.judging`."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from tests.support.remembered import RememberingEmbedder
from tests.support.scripted_talk import Talk
from tests.support.strangers import LATER_STRANGERS, STRANGERS, Stranger
from tests.support.strangers_at_last import AT_LAST
from tests.support.strangers_at_the_counter import AT_THE_COUNTER
from tests.support.strangers_at_the_door import AT_THE_DOOR
from tests.support.strangers_at_the_end import AT_THE_END
from tests.support.strangers_by_phone import BY_PHONE
from tests.support.strangers_on_the_line import ON_THE_LINE
from tests.support.strangers_once_more import ONCE_MORE
from tests.support.strangers_unheard import UNHEARD

REFUSAL = "I'm sorry, I don't have that information."
OFFER = "I'm sorry, I don't have an exact answer to that. What I do know is this: "
OFFER_MORE = " And this: "
SETS: dict[str, tuple[Stranger, ...]] = {
    "kayak hire, flower shop, coworking space": AT_THE_DOOR,
    "planetarium, costume hire, farm box": ONCE_MORE,
    "ferry line, dry cleaner, tattoo studio": UNHEARD,
    "garage, public pool, moving company": ON_THE_LINE,
    "hair salon, self storage, climbing hall": BY_PHONE,
    "bakery, dog hotel, optician": AT_LAST,
    "law office, campground, music school": AT_THE_END,
    "gym, phone repair, pizzeria": AT_THE_COUNTER,
    "vet, driving school, cinema": LATER_STRANGERS,
    "bike rental, library, hotel": STRANGERS,
}
Questions = tuple[tuple[str, tuple[str, ...]], ...]
Outcome = Literal["answered", "offered", "beside", "refused", "half", "asked", "wrong"]
"""`answered` and `offered` hold the right fact, `beside` is an offer without it, `asked` is a function's
question instead of an answer, `half` one of two facts. Where nothing is written, `refused` is right, and so
is an offer, which begins with the refusal: it counts as `beside`."""


class Judged(NamedTuple):
    """A question, what was replied, and what that is worth."""

    asked: str
    reply: str
    outcome: Outcome
    is_right: bool

    def __str__(self) -> str:
        return f"{self.asked} -> {self.reply}"


def judge(asked: str, expected: tuple[str, ...], reply: str) -> Judged:
    """What a reply to a question is worth, whose answer must contain all that is expected."""
    said = [any(option in reply for option in part.split("|")) for part in expected]
    is_right = bool(expected) and all(said)
    outcome: Outcome
    if reply.startswith(OFFER):
        outcome = "offered" if is_right else "beside"
    elif reply.startswith(REFUSAL):
        outcome = "refused"
    elif is_right:
        outcome = "answered"
    elif reply.endswith("?"):
        outcome = "asked"
    else:
        outcome = "half" if any(said) else "wrong"
    return Judged(asked, reply, outcome, is_right or (not expected and outcome in ("refused", "beside")))


async def ask_all(
    stranger: Stranger, questions: Questions, embedder: RememberingEmbedder, *, one_call: bool = False
) -> list[Judged]:
    """Every question, each in a call of its own or all in one."""
    judged: list[Judged] = []
    talk = talk_with(stranger, embedder)
    for asked, expected in questions:
        judged.append(judge(asked, expected, await talk.say(asked)))
        if not one_call:
            talk = talk_with(stranger, embedder)
    return judged


def talk_with(stranger: Stranger, embedder: RememberingEmbedder) -> Talk:
    """A call to that agent."""
    tools = [stranger.tool] if stranger.tool else []
    return Talk(stranger.instructions, stranger.knowledge, tools, embedder=embedder)


async def _table() -> str:
    embedder = RememberingEmbedder()
    lines = [
        "| judged on | questions | right | told | offered | rightly refused | beside | refused | wrong |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    every: list[Judged] = []
    for name, strangers in SETS.items():
        judged = [
            each
            for stranger in strangers
            for each in await ask_all(stranger, (*stranger.judged, *stranger.held_out), embedder)
        ]
        every += judged
        lines.append(_row(name, judged))
    lines.append(_row("all", every))
    return "\n".join([*lines, *(f"{each.outcome}: {each}" for each in every if not each.is_right)])


def _row(name: str, judged: Iterable[Judged]) -> str:
    every = list(judged)
    right = Counter(each.outcome for each in every if each.is_right)
    missed = Counter(each.outcome for each in every if not each.is_right)
    told = (
        len(every),
        right.total(),
        right["answered"],
        right["offered"],
        right["refused"] + right["beside"],
        missed["beside"],
        missed["refused"] + missed["asked"] + missed["half"],
        missed["wrong"],
    )
    return f"| {name} | {' | '.join(map(str, told))} |"


if __name__ == "__main__":
    print(asyncio.run(_table()))  # noqa: T201  # the program's output
