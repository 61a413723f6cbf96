"""One call, from brief to report, as one story. It does not know what it talks over.

brief ──► pipeline ──► line.start ──► talk ─┬─ the line closes ──┐
  │          │                              ├─ a limit           ├──► last words ──► sealed ──► report
  │ gone     │ cannot                       ├─ an order          │
  ▼          ▼                              └─ the session ends ─┘
told so    told so
"""

import asyncio
import logging
from collections.abc import Callable

from livekit.agents import AgentSession, CloseEvent

from pipelines.assemble import Pipeline
from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.local.parts import CannotServe
from worker import brief as briefs
from worker import endings, navigating
from worker.cast import Cast
from worker.control import LineControl, Talking
from worker.conversation import Conversation
from worker.endings import Ending
from worker.failing import Failing
from worker.holding import Holding
from worker.host import Host
from worker.lines.line import Line, LineClosed, NobodyCame, Overheard
from worker.manners import Manners
from worker.meeting import Meeting
from worker.overhearing import Overhearing
from worker.page import Page
from worker.presence import CallPresence
from worker.queueing import waited
from worker.racing import first
from worker.recording import PHONE_RATE, RATE, Recording
from worker.spool import AlreadySpooled, Spool
from worker.steering import Steering
from worker.supervision import Supervision
from worker.watchdog import Watchdog, stalls

logger = logging.getLogger(__name__)

OpenLine = Callable[[str], Line]
"""A line to the participant of that identity; an empty one means whoever is there."""


async def hold(
    host: Host, call_id: str, job_id: str, open_line: OpenLine, *, attempt: int = 0, is_on_phone: bool = False
) -> None:
    """Hold one call. Returns when it is over, spooled and sealed, or another process has it."""
    settings = host.settings
    async with CallPresence(
        settings.calls_socket, call_id, job_id, asked=attempt, is_on_phone=is_on_phone
    ) as presence:
        request = BriefRequest(worker_id=settings.worker_id, job_id=job_id, attempt=attempt)
        try:
            brief = await briefs.ask(settings.api_url, settings.internal_key, call_id, request)
        except briefs.CallTaken:
            await open_line("").hang_up(for_everybody=False)
            return
        except (briefs.CallGone, briefs.CallOver, briefs.ApiUnreachable) as error:
            await endings.turn_away(open_line(""), error)
            return
        presence.has_attempt(brief.attempt)
        try:
            spool = Spool.open(settings.spool, call_id, brief.attempt)
        except AlreadySpooled as error:
            if not Spool.is_held(settings.spool, call_id, brief.attempt):
                # Its process died, and this one must not write over what it left; nobody else will talk.
                await endings.turn_away(open_line(brief.participant_identity), error)
            raise
        try:
            line = open_line(brief.participant_identity)
            brief = navigating.begun_anew(brief, line)
            await _Call(host, brief, spool, line, presence, Cast(host, brief, job_id)).run()
        finally:
            spool.close()


class _Call:
    def __init__(
        self, host: Host, brief: CallBrief, spool: Spool, line: Line, presence: CallPresence, cast: Cast
    ) -> None:
        self._host, self._brief, self._spool = host, brief, spool
        self._line = line
        self._page = Page(line)
        told = self._told = Conversation(brief, host.settings.worker_id, spool.append, self._page.show)
        line.warn = told.warn
        if isinstance(line, Overheard):
            line.is_overheard = brief.agent.is_overheard_after_transfer
        self._holding = Holding(line, told.steered, told.warn)
        self._cast = cast
        self._control = LineControl(line, self._holding, cast.another, told.transferred)
        self._supervision = Supervision(
            line,
            told.steered,
            self._control.end,
            brief.agent.language,
            Overhearing(told.overheard, told.warn),
        )
        self._holding.attend(self._supervision)
        doers = (self._control, self._holding, self._supervision)
        self._steering = Steering(presence, *doers, brief.agent.transfer_targets, told.steered)
        self._recorded_rate = PHONE_RATE if presence.is_on_phone else RATE

    async def run(self) -> None:
        ending, recorded_ms = endings.STOPPED, 0
        try:
            ending, recorded_ms = await self._hold()
        except Exception as error:
            logger.exception("a call failed", extra={"call_id": self._brief.call_id})
            ending = endings.of_error(error)
        finally:
            if (quality := self._line.measured()) is not None:
                self._told.measured(quality)
            self._told.over(ending, has_recording=recorded_ms > 0)
            await self._page.aclose()
            await self._line.hang_up(for_everybody=not ending.goes_on)

    async def _hold(self) -> tuple[Ending, int]:
        try:
            pipeline = await self._cast.first(self._control)
        except CannotServe as error:
            return Ending("failed", f"error: {error}"), 0
        noted = self._told.ran.must_call_back
        if ending := await waited(self._line, self._brief, pipeline, self._ordered, noted):
            await pipeline.aclose()
            return ending, 0
        session = pipeline.session()
        recording = None
        if self._brief.agent.enable_recording and (path := self._spool.recording) is not None:
            recording = Recording(path, self._recorded_rate)
        try:
            ending = await self._talk(session, pipeline, recording)
            if recording is not None and (ending.is_bridged or ending.at is not None):
                # Whoever hears the two goes on from here, or the other side is gone.
                recording.stop()
        finally:
            await endings.close(session, pipeline, words_are_owed=self._told.is_owed_words)
            recorded_ms = await recording.close() if recording is not None else 0
        if recording is not None and recording.failure:
            self._told.warn("recording_incomplete", recording.failure)
        return ending, recorded_ms

    async def _talk(
        self, session: AgentSession[None], pipeline: Pipeline, recording: Recording | None
    ) -> Ending:
        self._told.attach(session, pipeline)
        failing = Failing(pipeline, self._brief.agent, self._control, self._told.ran.must_call_back)
        failing.attach(session)
        self._told.on_provider_failed = failing.failed
        manners = Manners(session, pipeline, self._told.warn)
        watchdog = manners.watched(self._brief, self._told.used.in_all)
        self._control.talking = Talking.now(pipeline, watchdog.floor, self._brief, self._told.used.beside)
        closed: asyncio.Queue[CloseEvent] = asyncio.Queue()
        session.on("close", closed.put_nowait)
        try:
            return await first(
                self._start(session, pipeline, recording, watchdog),
                self._line_closed(),
                self._ordered(),
                self._control.ended(),
                self._limited(watchdog, manners),
                self._holding.limit(),
                failing.gave_up(),
                pipeline.prepare(),
                stalls.told(self._told.warn),
                endings.of_session(closed),
            )
        finally:
            await self._supervision.aclose()
            await manners.aclose()

    async def _start(
        self, session: AgentSession[None], pipeline: Pipeline, recording: Recording | None, watchdog: Watchdog
    ) -> Ending | None:
        meeting = Meeting(self._brief, self._line, session, pipeline, self._told)
        if (ending := await meeting.before(recording)) is not None:
            return ending
        await self._holding.before(self._brief.steered)
        self._supervision.before(self._brief.steered)
        try:
            await self._line.start(session, pipeline.agent, recording)
        except NobodyCame:
            return endings.of_line(LineClosed("user_hangup" if self._brief.started_at else "nobody_came"))
        self._told.started()
        await self._holding.begin(session, watchdog)
        await self._steering.begin(session, self._brief.steered)
        return await meeting.after(self._control, self._cast, self._holding)

    async def _line_closed(self) -> Ending:
        return endings.of_line(await self._line.closed())

    async def _ordered(self) -> Ending:
        return endings.of_order(await self._steering.obey())

    async def _limited(self, watchdog: Watchdog, manners: Manners) -> Ending:
        reason = await watchdog.limit()
        await manners.part()
        return Ending("failed" if reason.startswith("error") else "completed", reason)
