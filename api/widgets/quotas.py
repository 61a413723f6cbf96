"""How often a widget may be used in a day: by one visitor, from one address, by everybody.

Counted in the database, so that it holds over restarts and over several processes. A day is one of UTC.
"""

import hashlib
import hmac
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from sqlalchemy import delete, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.inserts import insert_new
from api.http.errors import TooManyRequests
from api.widgets.table import WidgetRow, WidgetUseRow

VISITORS_OF_AN_ADDRESS = 5
"""An office behind one address; also what somebody gains who makes up a new visitor for each message."""
Kind = Literal["chat", "voice"]


class QuotaSpent(TooManyRequests):
    """This widget was used as often as it may be today; it goes on tomorrow"""


async def take_message(
    session: AsyncSession, widget: WidgetRow, visitor_id: str, address: str, key: str
) -> None:
    """Count a message. Raises `QuotaSpent`, and then nothing is counted."""
    each = widget.messages_per_visitor_per_day
    limits = {
        "": widget.messages_per_day,
        _who(key, "visitor", visitor_id): each,
        _who(key, "address", address): each * VISITORS_OF_AN_ADDRESS,
    }
    await _take(session, widget, "chat", limits)


async def take_voice_session(session: AsyncSession, widget: WidgetRow, address: str, key: str) -> None:
    """Count a voice session. Raises `QuotaSpent`, and then nothing is counted."""
    limits = {
        "": widget.voice_sessions_per_day,
        _who(key, "address", address): widget.voice_sessions_per_visitor_per_day,
    }
    await _take(session, widget, "voice", limits)


async def _take(session: AsyncSession, widget: WidgetRow, kind: Kind, limits: dict[str, int]) -> None:
    today = now().date()
    rows = [WidgetUseRow(widget_id=widget.id, day=today, kind=kind, who=who) for who in limits]
    made = await insert_new(session, WidgetUseRow, rows)
    if any(key[3] == "" for key in made):  # the first one of a day tidies up
        await session.exec(
            delete(WidgetUseRow).where(
                col(WidgetUseRow.widget_id) == widget.id, col(WidgetUseRow.day) < today
            )
        )
    # One statement each decides, however many ask at once; whoever fails rolls all of them back.
    for who, limit in sorted(limits.items()):
        counted = await session.exec(
            update(WidgetUseRow)
            .where(
                col(WidgetUseRow.widget_id) == widget.id,
                col(WidgetUseRow.day) == today,
                col(WidgetUseRow.kind) == kind,
                col(WidgetUseRow.who) == who,
                col(WidgetUseRow.count) < limit,
            )
            .values(count=WidgetUseRow.count + 1)
            .returning(col(WidgetUseRow.count))
        )
        if counted.scalar_one_or_none() is None:
            raise QuotaSpent(headers={"Retry-After": str(seconds_left())})


def _who(key: str, kind: str, name: str) -> str:
    return hmac.new(key.encode(), f"{kind}:{name}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[
        :32
    ]


def seconds_left() -> int:
    """Until the next day of UTC."""
    moment = now()
    tomorrow = datetime.combine(moment.date() + timedelta(days=1), time(), UTC)
    return max(1, int((tomorrow - moment).total_seconds()))
