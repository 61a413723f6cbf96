"""The policy every function runs under, as conversations: what the person says, what must follow."""

import asyncio
import sys
import threading
import time
from typing import Any

from livekit.agents import RunContext, UserInputTranscribedEvent, llm
from livekit.agents.llm import ToolError, function_tool

from pipelines.function_config import RunsLike
from pipelines.tools.policy import MAX_RESULT, Rails
from pipelines.tools.python_tool import as_tool
from tests.support.fake_providers import Call, TableLLM, last_question
from tests.support.said import conversation


async def told(
    function: Any,
    *,
    rails: Rails | None = None,
    says: str = "go",
    arguments: dict[str, Any] | None = None,
    **how: Any,
) -> list[str]:
    """What follows when the person asks for the function once."""
    tool = as_tool(function_tool(function), RunsLike.model_validate(how), rails or Rails())
    async with conversation([tool], {says: Call(function.__name__, arguments or {})}) as talk:
        return await talk.says(says)


async def test_a_result_is_text_or_json_as_text() -> None:
    async def table() -> dict[str, Any]:
        """A table."""
        return {"at": "19:30", "free": True}

    assert await told(table) == [
        "table({})",
        '-> {"at":"19:30","free":true}',
        'Done: {"at":"19:30","free":true}',
    ]


async def test_arguments_are_checked_against_the_developers_types() -> None:
    async def book(size: int, day: str = "today") -> str:
        """Book."""
        return f"{size} on {day}"

    assert (await told(book, arguments={"size": "3"}))[1] == "-> 3 on today"
    assert (await told(book, arguments={"size": "many"}))[1].startswith(
        "!-> Error parsing arguments for `book`"
    )


async def test_each_way_to_go_wrong_is_a_sentence_and_the_talk_goes_on() -> None:
    class Thing:
        pass

    async def raises() -> str:
        """R."""
        raise ValueError("password=swordfish")

    async def refuses() -> str:
        """R."""
        raise ToolError("The kitchen is closed.")

    async def leaves() -> str:
        """L."""
        sys.exit(3)

    def leaves_a_thread() -> str:
        """L."""
        raise SystemExit

    async def thing() -> Any:
        """T."""
        return Thing()

    async def circle() -> Any:
        """C."""
        found: list[Any] = []
        found.append(found)
        return found

    async def prints() -> str:
        """P."""
        print("to nobody")  # noqa: T201
        return "fine"

    for function, follows in (
        (raises, "!-> raises failed; nothing more is known."),
        (refuses, "!-> The kitchen is closed."),
        (leaves, "!-> leaves failed."),
        (leaves_a_thread, "!-> leaves_a_thread failed."),
        (thing, "!-> thing returned something that is neither text nor JSON."),
        (circle, "!-> circle returned something that is neither text nor JSON."),
        (prints, "-> fine"),
    ):
        events = await told(function)
        assert events[1] == follows
        assert events[2].startswith("Done:")


async def test_a_megabyte_is_cut_to_what_an_engine_can_read() -> None:
    async def long() -> str:
        """L."""
        return "x" * 1_000_000

    result = (await told(long))[1]
    assert len(result) < MAX_RESULT + 100
    assert result.endswith("(cut: the result has 1000000 characters)")


async def test_what_hangs_is_given_up_also_when_it_will_not_be_cancelled() -> None:
    async def stubborn() -> str:
        """S."""
        while True:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                if loop.is_closed() or over:
                    raise

    def stuck() -> str:
        """S."""
        ended.wait(20)
        return "late"

    loop, over, ended = asyncio.get_running_loop(), False, threading.Event()
    for function in (stubborn, stuck):
        events = await asyncio.wait_for(told(function, timeout_ms=100), 10)
        assert events[1] == f"!-> {function.__name__} took longer than 0.1 seconds and was given up."
    over = True
    ended.set()


async def test_synchronous_functions_run_in_a_thread_and_leave_the_loop_alone() -> None:
    def where() -> str:
        """W."""
        time.sleep(0.3)
        return threading.current_thread().name

    warnings: list[str] = []
    rails = Rails(warn=lambda code, _: warnings.append(code))
    assert (await told(where, rails=rails))[1] == "-> function"
    assert warnings == []


async def test_one_that_blocks_the_loop_is_named_once() -> None:
    async def sleepy() -> str:
        """S."""
        await asyncio.sleep(0)
        time.sleep(0.25)  # noqa: ASYNC251 - what must be noticed
        return "slept"

    warnings: list[tuple[str, str]] = []
    rails = Rails(warn=lambda code, message: warnings.append((code, message)))
    assert (await told(sleepy, rails=rails))[1] == "-> slept"
    assert (await told(sleepy, rails=rails))[1] == "-> slept"
    ((code, message),) = warnings
    assert code == "function_blocks"
    assert message.startswith("The function sleepy held up the whole process for")


class Insists(TableLLM):
    """Calls the same function again, whatever it answers, so many times."""

    def __init__(self, call: Call, times: int) -> None:
        super().__init__()
        self.call, self.times = call, times

    def answer(self, chat_ctx: llm.ChatContext) -> str | Call:
        """The call again, then words."""
        done = sum(isinstance(item, llm.FunctionCallOutput) for item in chat_ctx.items)
        return self.call if done < self.times else f"Said after {last_question(chat_ctx)}"


async def test_an_engine_that_repeats_itself_acts_once() -> None:
    ran: list[str] = []

    @function_tool
    async def book(context: RunContext[Any], name: str) -> str:
        """Book."""
        ran.append(context.function_call.extra["idempotency_key"])
        return f"Booked for {name}."

    async with conversation([as_tool(book, RunsLike(), Rails("c1"))], {}) as talk:
        talk.mind.answer = Insists(Call("book", {"name": "Ada"}), 3).answer  # type: ignore[method-assign]
        events = await talk.says("book")
    assert len(ran) == 1
    assert [event for event in events if "->" in event] == [
        "-> Booked for Ada.",
        "-> Booked for Ada.",
        "!-> book was called again and again with the same arguments: answer the person.",
    ]


async def test_the_key_is_the_same_until_it_succeeded() -> None:
    keys: list[str] = []

    async def once(rails: Rails, *, fails: bool) -> None:
        async def pay(context: RunContext[Any], amount: int) -> str:
            """P."""
            keys.append(context.function_call.extra["idempotency_key"])
            if fails:
                raise ToolError("no connection")
            return "paid"

        await told(pay, rails=rails, arguments={"amount": 5})

    before, after = Rails("c1"), Rails("c1")  # the second is another process, after the first died
    await once(before, fails=True)
    await once(before, fails=False)
    await once(before, fails=False)
    await once(after, fails=False)
    assert keys[0] == keys[1] == keys[3] != keys[2]
    # Told of what was done, another process knows that this is one more.
    history = llm.ChatContext.empty()
    history.items += [
        llm.FunctionCall(call_id="1", name="pay", arguments='{"amount": 5}'),
        llm.FunctionCallOutput(call_id="1", output="paid", is_error=False),
    ]
    resumed = Rails("c1")
    resumed.remember(history)
    await once(resumed, fails=False)
    assert keys[4] == keys[2]


async def test_no_more_than_so_many_functions_in_a_turn_and_in_a_call() -> None:
    ran: list[int] = []

    @function_tool
    async def look(n: int) -> str:
        """L."""
        ran.append(n)
        return str(n)

    def ask_for(*numbers: int) -> list[Call]:
        return [Call("look", {"n": n}) for n in numbers]

    answers: dict[str, Any] = {"a": ask_for(1, 2, 3), "b": ask_for(4), "c": ask_for(5)}
    async with conversation([as_tool(look, RunsLike(), Rails(per_turn=2, in_all=3))], answers) as talk:
        first, second, third = [await talk.says(words) for words in ("a", "b", "c")]
    assert ran == [1, 2, 4]
    assert "!-> No more than 2 functions in one turn: answer with what you have." in first
    assert "-> 4" in second
    assert "!-> No more functions in this call: answer with what you have." in third


async def test_what_failed_twice_is_not_tried_a_third_time() -> None:
    ran: list[int] = []

    @function_tool
    async def breaks() -> str:
        """B."""
        ran.append(1)
        raise RuntimeError

    async with conversation([as_tool(breaks, RunsLike(), Rails())], {}) as talk:
        talk.mind.answer = Insists(Call("breaks"), 3).answer  # type: ignore[method-assign]
        events = await talk.says("go")
    assert len(ran) == 2
    assert "!-> breaks failed twice with these arguments: do not call it again, tell the person." in events


class Fills(TableLLM):
    """Says something of its own when it is told to."""

    def answer(self, chat_ctx: llm.ChatContext) -> str | Call | list[Call]:
        """Whoever is told what to say, says it."""
        told = [
            item.text_content or ""
            for item in chat_ctx.items
            if isinstance(item, llm.ChatMessage) and item.role != "user"
        ]
        return "Let me look." if any("look it up" in text for text in told) else super().answer(chat_ctx)


async def filled(seconds: float, **how: Any) -> list[str]:
    async def slow() -> str:
        """S."""
        await asyncio.sleep(seconds)
        return "found"

    tool = as_tool(function_tool(slow), RunsLike.model_validate(how), Rails())
    async with conversation([tool], {}) as talk:
        talk.mind.answer = Fills({"go": Call("slow")}).answer  # type: ignore[method-assign]
        await talk.says("go")
        items = talk.session.history.items
        return [(item.text_content or "").strip() for item in items if isinstance(item, llm.ChatMessage)]


async def test_a_filler_is_spoken_only_while_somebody_waits() -> None:
    line = {"speak_during_execution": "One moment.", "speak_after_ms": 50}
    assert await filled(0.4, **line) == ["go", "One moment.", "Done: found"]
    assert await filled(0.0, **line) == ["go", "Done: found"]


async def test_a_filler_may_be_made_up_by_the_engine() -> None:
    said = await filled(0.4, speak_prompt="Say that you look it up.", speak_after_ms=50)
    assert said == ["go", "Let me look.", "Done: found"]


async def test_words_of_the_person_cancel_what_is_declared_so_and_nothing_else() -> None:
    for how, ended in (("cancel", "cancelled"), ("finish", "finished")):
        state: list[str] = []
        policy = RunsLike.model_validate({"on_interruption": how})
        tool = as_tool(_search(state), policy, Rails())
        async with conversation([tool], {"go": Call("search")}) as talk:
            asking = asyncio.ensure_future(talk.says("go"))
            async with asyncio.timeout(10):
                while not state:
                    await asyncio.sleep(0.01)
            for words in ("", "wait"):
                talk.session.emit(
                    "user_input_transcribed", UserInputTranscribedEvent(transcript=words, is_final=False)
                )
            events = await asking
        assert state == ["started", ended]
        if how == "cancel":
            assert events[1:] == ["-> search was stopped because the person spoke; it may have done nothing."]


def _search(state: list[str]) -> Any:
    @function_tool
    async def search() -> str:
        """S."""
        state.append("started")
        try:
            await asyncio.sleep(0.3)
        except asyncio.CancelledError:
            state.append("cancelled")
            raise
        state.append("finished")
        return "found"

    return search


async def test_a_function_asked_for_twice_at_once_runs_once() -> None:
    ran: list[int] = []

    @function_tool
    async def book() -> str:
        """B."""
        ran.append(1)
        await asyncio.sleep(0.05)
        return "booked"

    async with conversation(
        [as_tool(book, RunsLike(), Rails())], {"go": [Call("book"), Call("book")]}
    ) as talk:
        events = await talk.says("go")
    assert ran == [1]
    assert events.count("-> booked") == 2
