"""The text process: answers chats with the agents that answer calls, as the api asks on standard input."""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from livekit.agents.llm import FunctionCall

from pipelines import connections
from pipelines import text_turn as turns
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.parts import Local
from pipelines.outbound import Guard
from pipelines.phrases import phrase
from pipelines.text_link import MAX_LINE, TO_TEXT, Answer, Began, Ended, FromText, GoOn, Piece, Used
from pipelines.tools import developer
from pipelines.tools.developer import Functions
from pipelines.tools.policy import Failed
from worker.functions import kept_code, state_of
from worker.knowledge import knows
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 1.0
_NOTES = {
    "llm_unavailable": "the language model that an agent asks for is not here; another answers its chats"
}

Tell = Callable[[FromText], Awaitable[None]]


def serve(settings: WorkerSettings) -> None:
    """Answer until standard input ends: the api is gone, or wants this process no more."""
    connections.certificates()  # before anybody waits
    source, sink = os.dup(0), os.dup(1)
    # What a developer's function prints or reads is none of the api's lines.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    asyncio.run(_serve(settings, source, sink))
    os._exit(0)  # threads that hang must not keep it


async def _serve(settings: WorkerSettings, source: int, sink: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", 0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def tell(frame: FromText) -> None:
        writer.write(frame.model_dump_json().encode() + b"\n")
        await writer.drain()

    talks = Talks(settings, tell)
    async with connections.kept():
        async for line in reader:
            talks.take(line)


class Talks:
    """The turns that are being answered. The api bounds how many."""

    def __init__(self, settings: WorkerSettings, tell: Tell) -> None:
        self._settings, self._tell = settings, tell
        self._guard = Guard(settings.allowed_hosts)
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[tuple[str, str], asyncio.Future[GoOn]] = {}
        self._functions: tuple[str, Functions] | None = None
        self._noted: set[str] = set()

    def take(self, line: bytes) -> None:
        """Do what one line asks for."""
        frame = TO_TEXT.validate_json(line)
        if isinstance(frame, Answer):
            task = asyncio.create_task(self._answer(frame), name="text turn")
            self._turns[frame.turn_id] = task
            task.add_done_callback(lambda _: self._turns.pop(frame.turn_id, None))
        elif isinstance(frame, GoOn):
            waiting = self._waiting.get((frame.turn_id, frame.function_call_id))
            if waiting is not None and not waiting.done():
                waiting.set_result(frame)
        elif (turn := self._turns.get(frame.turn_id)) is not None:
            turn.cancel()

    async def _answer(self, asked: Answer) -> None:
        try:
            ended = await self._answered(asked)
        except Exception as error:
            logger.exception("a chat was not answered")
            words = phrase("apology", asked.brief.agent.language)
            ended = Ended(turn_id=asked.turn_id, text=words, error=f"error: {type(error).__name__}")
        await self._tell(ended)

    async def _answered(self, asked: Answer) -> Ended:
        id_, whole = asked.turn_id, self._settings
        if not await _answers(whole.providers.models_socket):
            # A call would wait for the models process to come back; here there may be none at all.
            whole = replace(whole, providers=replace(whole.providers, models_socket=None))
        settings = whole.providers
        embedder = ModelsEmbedder(settings.models_socket) if settings.models_socket is not None else None
        knowledge = knows(whole)(asked.brief, embedder)

        async def begin(call: FunctionCall) -> str | None:
            return await self._begun(id_, call)

        host = turns.TextHost(
            settings,
            await self._developers(),
            knowledge=knowledge,
            guard=self._guard,
            local=Local(settings, embedder),
            begin=begin,
        )
        try:
            async with aclosing(turns.text_turn(asked.brief, asked.message, host)) as events:
                async for event in events:
                    if isinstance(event, turns.Piece):
                        await self._tell(Piece(turn_id=id_, text=event.text))
                    elif isinstance(event, turns.Used):
                        await self._tell(
                            Used(
                                turn_id=id_,
                                function_call_id=event.function_call_id,
                                result=event.result,
                                error=event.error,
                            )
                        )
                    elif isinstance(event, turns.Noted):
                        self.note(event.code)
                    else:
                        return _ended(id_, event)
        finally:
            for part in (knowledge, embedder):
                if (close := getattr(part, "aclose", None)) is not None:
                    await close()
        raise RuntimeError("a turn without an end")

    def note(self, code: str) -> None:
        """A warning the first time: it is mostly how this machine is, and would come with every message."""
        level = logging.INFO if code in self._noted else logging.WARNING
        self._noted.add(code)
        logger.log(level, _NOTES.get(code, "a chat is not as its agent asks"), extra={"code": code})

    async def _begun(self, id_: str, call: FunctionCall) -> str | None:
        """Wait until the api has written down that this begins."""
        key = (id_, call.call_id)
        self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            arguments = json.loads(call.arguments or "{}")
            await self._tell(
                Began(turn_id=id_, function_call_id=call.call_id, name=call.name, arguments=arguments)
            )
            told = await self._waiting[key]
        finally:
            del self._waiting[key]
        if told.refusal is not None:
            raise Failed(told.refusal)
        return told.result

    async def _developers(self) -> Functions:
        folder = self._settings.functions
        state = await asyncio.to_thread(state_of, folder)
        if self._functions is None or self._functions[0] != state:
            # A stranger's module may take its time; other talks go on meanwhile.
            found = await asyncio.to_thread(developer.load, folder, kept_code(self._settings.run))
            self._functions = (state, found)
        return self._functions[1]


async def _answers(socket: Path | None) -> bool:
    if socket is None:
        return False
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_unix_connection(socket)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _ended(id_: str, done: turns.Done) -> Ended:
    input_tokens, output_tokens = (
        int(done.usage.get(name, 0)) for name in ("llm_input_tokens", "llm_output_tokens")
    )
    is_known = bool(input_tokens or output_tokens) or done.engine == "local/scripted"
    return Ended(
        turn_id=id_,
        text=done.text,
        error=done.error,
        engine=done.engine,
        input_tokens=input_tokens if is_known else None,
        output_tokens=output_tokens if is_known else None,
    )
