"""STOP, START and HELP: what carriers and the law want to be understood, alone in a message."""

from typing import Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from api.contacts import service as contacts
from api.contacts.table import DENIED, UNKNOWN, DoNotCallRow
from api.db.columns import now
from api.db.inserts import insert_new

Keyword = Literal["stop", "start", "help"]
_WORDS: dict[str, Keyword] = {
    **dict.fromkeys(("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit"), "stop"),
    **dict.fromkeys(("start", "unstop"), "start"),
    **dict.fromkeys(("help", "info"), "help"),
}
REASON = "STOP by text message"
"""On the do-not-call list: START takes back what STOP put there, and nothing that the owner did."""
REPLIES: dict[Keyword, str] = {
    "stop": "You will get no more messages or calls from us. Reply START to change that.",
    "start": "You may get messages from us again. Reply STOP to end that, HELP for help.",
    "help": "You write with an automated assistant. Reply STOP to get no more messages or calls from us.",
}


def read(words: str) -> Keyword | None:
    """Which keyword a message is, where it is nothing else."""
    return _WORDS.get(" ".join(words.casefold().split()).rstrip(".!"))


async def obey(session: AsyncSession, owner_id: str, peer: str, keyword: Keyword) -> None:
    """Keep what somebody wants: on the do-not-call list, and with their contact."""
    contact = await contacts.of_number(session, owner_id, peer)
    if keyword == "stop":
        row = DoNotCallRow(owner_id=owner_id, phone_number=peer, reason=REASON)
        await insert_new(session, DoNotCallRow, [row])
        if contact is not None and contact.consent != DENIED:
            contact.consent, contact.consent_at = DENIED, now()
            session.add(contact)
    elif keyword == "start":
        barred = await session.get(DoNotCallRow, (owner_id, peer))
        if barred is None or barred.reason != REASON:
            return
        await session.delete(barred)
        if contact is not None and contact.consent == DENIED:
            # To be written to again is no consent to be called.
            contact.consent, contact.consent_at = UNKNOWN, now()
            session.add(contact)
