"""One reply out of everything said so far."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from kb.chunking import passages
from kb.words import fold
from pipelines.ivr.prompt import NAVIGATE
from pipelines.local.scripted import answers, forms, intents, navigation, questions, results, slots, transfers
from pipelines.local.scripted.facts import Fact, passages_as_facts
from pipelines.local.scripted.functions import Function
from pipelines.local.scripted.history import Event, Heard, History, Ran, Said
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.nearest import offer
from pipelines.local.scripted.prompts import Prompt, read_prompt
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.speech import speakable
from pipelines.local.scripted.state import Call, Reply, State
from pipelines.local.scripted.telling import tell
from pipelines.local.scripted.wording import Wording
from pipelines.phrases import GOODBYE_ASKED

_REMEMBERED_TURNS = 512
_PREPARED_AGENTS = 8
_PREPARED_FACTS = 400
_PREPARED_TEXTS = 1200
_PREPARED_AT_ONCE = 32
_END_CALL = re.compile(
    r"^(?:end|hang_?up|finish|terminate)(?:_?(?:the)?_?(?:call|conversation))?$", re.IGNORECASE
)
_STILL_RUNNING = "The tool call is still in progress."


class Dialog:
    """Replies of one language with one embedder.

    A reply depends on the history and nothing else. What earlier turns came to is remembered only to be
    spared the work, and because their passages are no longer in the context: keyed by all that was said
    up to them, so two calls never meet.
    """

    def __init__(self, meanings: Meanings, wording: Wording) -> None:
        self._meanings = meanings
        self._wording = wording
        self._turns: OrderedDict[bytes, State] = OrderedDict()
        self._forgotten = 0
        self._prepared: OrderedDict[str, tuple[Fact, ...]] = OrderedDict()

    async def prepare(
        self,
        instructions: str,
        functions: Sequence[Function],
        knowledge: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Make the vectors that every turn of an agent needs, before the first one.

        `knowledge` is titles with their texts, of which the first few hundred sentences are learned.
        """
        told: list[Fact] = []
        for title, text in knowledge:
            pieces = [{"title": piece.title, "text": piece.text} for piece in passages("", title, text)]
            told += passages_as_facts(pieces)
        facts = [*read_prompt(instructions).facts, *told][:_PREPARED_FACTS]
        if told:
            self._prepared[instructions] = tuple(told[:_PREPARED_FACTS])
            while len(self._prepared) > _PREPARED_AGENTS:
                self._prepared.popitem(last=False)
        await self._meanings.learn([fact.text for fact in facts])
        await intents.wanted("hello", list(functions), {}, self._meanings)
        later = answers.compared_later(facts)[:_PREPARED_TEXTS]
        # In small requests: a caller who already asks something waits for one of them at most.
        for start in range(0, len(later), _PREPARED_AT_ONCE):
            await self._meanings.learn(later[start : start + _PREPARED_AT_ONCE])

    def forget(self) -> None:
        """Hold on to nothing that passages said before: it may be gone, or be otherwise by now."""
        self._forgotten += 1
        self._prepared.clear()
        for key, state in self._turns.items():
            self._turns[key] = replace(state, seen=())

    async def reply(self, history: History, functions: list[Function]) -> Reply:
        """What to say, and what to run, now."""
        if GOODBYE_ASKED in history.instructions:
            return Reply(self._wording.say("goodbye"))
        if history.instructions.startswith(NAVIGATE):
            return navigation.reply(history)
        prompt = read_prompt(history.instructions)
        # On a busy machine a search may come too late; what was read beforehand is still known.
        known = passages_as_facts(history.passages) or self._prepared_for(history.instructions)
        heard_last = max(
            (n for n, event in enumerate(history.events) if isinstance(event, Heard)), default=-1
        )
        state, reply = State(), Reply()
        forgotten = self._forgotten
        key = hashlib.sha256(history.instructions.encode()).digest()
        for number, event in enumerate(history.events):
            key = hashlib.sha256(key + repr(event).encode()).digest()
            if isinstance(event, Said):
                state = state.after_saying(event)
            elif isinstance(event, Ran):
                state = state.after_running(event)
            elif number == heard_last and number == len(history.events) - 1:
                state, reply = await self._turn(state, event, prompt, known, functions)
                if forgotten != self._forgotten:  # while this turn was thought about
                    state = replace(state, seen=())
                self._remember(key, state)
            elif key in self._turns:
                state = self._turns[key]
            else:
                state, _ = await self._turn(state, event, prompt, (), functions)
                self._remember(key, state)
        return reply if reply.text or reply.call else self._unasked(history.events, prompt)

    def _prepared_for(self, instructions: str) -> tuple[Fact, ...]:
        # A context may hold more of the system than an agent's own instructions, after them.
        each = self._prepared.items()
        return next((facts for own, facts in each if f"{instructions}\n".startswith(f"{own}\n")), ())

    def _remember(self, key: bytes, state: State) -> None:
        self._turns[key] = state
        self._turns.move_to_end(key)
        while len(self._turns) > _REMEMBERED_TURNS:
            self._turns.popitem(last=False)

    def _unasked(self, events: Sequence[Event], prompt: Prompt) -> Reply:
        """A reply that follows no words of the caller: a greeting, a function's result, or a nudge."""
        ran: list[Ran] = []
        for event in reversed(events):
            if not isinstance(event, Ran):
                break
            ran.insert(0, event)
        if ran:
            return Reply(" ".join(self._result(each) for each in ran))
        if any(isinstance(event, Heard) or (isinstance(event, Said) and event.text) for event in events):
            return Reply(self._wording.say("still_there"))
        return Reply(prompt.greeting or self._wording.greeting(prompt.name, prompt.business))

    def _result(self, ran: Ran) -> str:
        if ran.output is None or ran.output == _STILL_RUNNING:
            return self._wording.say("one_moment")
        speak = results.spoken_error if ran.is_error else results.spoken_result
        return speak(ran.output, self._wording)

    async def _turn(
        self,
        state: State,
        heard: Heard,
        prompt: Prompt,
        known: tuple[Fact, ...],
        functions: list[Function],
    ) -> tuple[State, Reply]:
        facts = tuple(dict.fromkeys((*prompt.facts, *known, *state.seen)))
        today = heard.at.date()
        asked = questions.read_all(heard.text, self._topic(state, today), today)
        state = replace(state, seen=known or state.seen)
        by_name = {function.name: function for function in functions}
        talk = intents.small_talk(heard.text)
        wish = transfers.wish(state, heard.text, functions, is_sure=talk == "human")
        if (put := transfers.turn(state, wish, heard, functions, self._wording)) is not None:
            return put
        talk = "human" if wish else talk

        if state.form and (function := by_name.get(state.form.function)):
            if talk in ("human", "robot", "who", "repeat", "hear", "goodbye", "wait", "help"):
                return self._talk_in_form(state, talk, prompt, functions, facts)
            other = await self._switch(state, heard, functions)
            if other is None:
                return await self._form_turn(state, function, heard, asked, facts)
            state = replace(state, form=None)
        if talk:
            return self._talk(state, talk, prompt, functions, facts)
        return await self._new_request(state, heard, asked, facts, functions, prompt)

    def _topic(self, state: State, today: date) -> Question | None:
        """What "it" and "that" mean: the thing being ordered, else what was last asked about."""
        if state.form:
            named = [value.spoken for value in state.form.values.values() if value.names_a_thing]
            if named:
                return questions.read(named[0], today)
        return state.topic

    async def _form_turn(
        self, state: State, function: Function, heard: Heard, asked: list[Question], facts: Sequence[Fact]
    ) -> tuple[State, Reply]:
        whole = questions.read(heard.text, heard.at.date())

        async def answering() -> str | None:
            return await tell(asked, whole, facts, self._meanings, self._wording)

        state, reply = await forms.turn(state, function, heard.text, heard.at, self._wording, answering)
        return replace(state, last_reply=reply.text), reply

    async def _switch(self, state: State, heard: Heard, functions: list[Function]) -> Function | None:
        """Another function that the caller clearly asks for in the middle of this one."""
        assert state.form is not None  # noqa: S101 - checked where this is called
        if state.form.stage == "asking" and len(heard.text.split()) < 4:
            return None
        wanted = await intents.wanted(heard.text, functions, {}, self._meanings, floor=0.95)
        if wanted and wanted.function.name != state.form.function and not wanted.is_asking:
            return wanted.function
        return None

    async def _new_request(
        self,
        state: State,
        heard: Heard,
        asked: list[Question],
        facts: Sequence[Fact],
        functions: list[Function],
        prompt: Prompt,
    ) -> tuple[State, Reply]:
        wording = self._wording
        whole = questions.read(heard.text, heard.at.date())
        filled = {f.name: len(slots.fill(f, heard.text, heard.at, wording)) for f in functions}
        wanted = await intents.wanted(heard.text, functions, filled, self._meanings)
        found = [await answers.best(question, facts, self._meanings) for question in asked]
        sure = max((each.score for each in found if each), default=0.0)
        topic = next((q for q in reversed(asked) if q.strong or q.kind), state.topic)
        state = replace(state, topic=topic, misses=0)
        if wanted and self._runs(wanted, sure):
            form = forms.begin(wanted.function, heard.text, heard.at, wording)
            lead = ""
            if len(asked) > 1 and any(q.kind and each for q, each in zip(asked, found, strict=True)):
                lead = await tell(asked, whole, facts, self._meanings, self._wording) or ""
            opened, reply = forms.advance(form, wanted.function, wording, lead)
            return replace(state, form=opened, last_reply=reply.text), reply
        told = await tell(asked, whole, facts, self._meanings, self._wording)
        if told is None:
            state = replace(state, misses=state.misses + 1)
            told = await self._nothing(whole, asked, prompt, functions, facts, state.last_reply)
        return replace(state, last_reply=told), Reply(told)

    def _runs(self, wanted: intents.Wanted, sure: float) -> bool:
        """Whether to run a function rather than to speak a fact that would answer as well."""
        if wanted.function.is_read_only:
            return sure == 0.0 or wanted.score >= sure - 0.05
        return not wanted.is_asking or (sure == 0.0 and wanted.score >= 0.85)

    async def _nothing(
        self,
        whole: Question,
        asked: list[Question],
        prompt: Prompt,
        functions: list[Function],
        facts: Sequence[Fact],
        said_last: str,
    ) -> str:
        if not any(question.is_asking for question in asked):
            is_about = any(question.strong for question in asked)
            if len(fold(whole.text).split()) <= 2 and not is_about:
                return self._wording.say("didnt_hear")
            if not is_about:
                return self._help(prompt, functions, facts)
        offered = await offer(asked, whole, facts, said_last, self._meanings, self._wording)
        return offered or self._wording.say("dont_have")

    def _talk_in_form(
        self, state: State, talk: str, prompt: Prompt, functions: list[Function], facts: Sequence[Fact]
    ) -> tuple[State, Reply]:
        assert state.form is not None  # noqa: S101 - checked where this is called
        if talk == "repeat":
            return state, Reply(state.form.question)
        if talk == "goodbye":
            return self._talk(replace(state, form=None), talk, prompt, functions, facts)
        after, reply = self._talk(state, talk, prompt, functions, facts)
        if talk == "wait" or reply.call:
            return after, reply
        first = re.split(r"(?<=[.!])\s", reply.text, maxsplit=1)[0]
        return state, Reply(self._wording.say("answer_then_ask", answer=first, question=state.form.question))

    def _talk(
        self, state: State, talk: str, prompt: Prompt, functions: list[Function], facts: Sequence[Fact]
    ) -> tuple[State, Reply]:
        say = self._wording.say
        business = prompt.business or say("the_team")
        call: Call | None = None
        match talk:
            case "repeat":
                text = state.last_reply or say("nothing_to_repeat")
            case "source":
                text = self._source(state, prompt, facts)
            case "human":
                contact = next((f for f in facts if f.kinds & {"phone", "email"}), None)
                text = say("human", contact=speakable(contact.text)) if contact else say("human_no_contact")
            case "robot":
                text = say("robot", business=business)
            case "who":
                text = say("who", name=prompt.name) if prompt.name else say("who_no_name")
            case "help":
                text = self._help(prompt, functions, facts)
            case "goodbye":
                text, call = say("goodbye"), _without_arguments(functions, _END_CALL)
            case "no":
                text = say("nothing_more")
            case "greet":
                text = say("hello_again")
            case "acknowledge":
                text = say("acknowledged") if state.topic or state.last_reply else say("hello_again")
            case _:
                text = say(talk)
        return replace(state, last_reply=state.last_reply if talk == "repeat" else text), Reply(text, call)

    def _source(self, state: State, prompt: Prompt, facts: Sequence[Fact]) -> str:
        """Where the last thing that was told is written."""
        said = [fact for fact in facts if speakable(fact.text) in state.last_reply]
        titles = list(dict.fromkeys(fact.about for fact in said if fact.about))
        if titles:
            return self._wording.say("source", title=self._wording.listed(titles))
        if said:
            business = prompt.business or self._wording.say("the_team")
            return self._wording.say("source_prompt", business=business)
        return self._wording.say("no_source")

    def _help(self, prompt: Prompt, functions: list[Function], facts: Sequence[Fact]) -> str:
        topics = self._wording.topics(facts)
        titles = [
            f.title for f in functions if not _END_CALL.match(f.name) and not transfers.is_transfer(f.name)
        ][:3]
        told = {"topics": self._wording.listed(topics), "functions": self._wording.listed(titles)}
        if topics:
            return self._wording.say("help_and_do" if titles else "help", **told)
        if titles:
            return self._wording.say("help_do", **told)
        return self._wording.say("help_nothing", business=prompt.business or self._wording.say("the_team"))


def _without_arguments(functions: list[Function], name: re.Pattern[str]) -> Call | None:
    for function in functions:
        if name.search(function.name) and not any(slot.is_required for slot in function.slots):
            return Call(function.name, {})
    return None
