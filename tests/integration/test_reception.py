"""What comes before the agent, over real SIP and RTP: a menu, a person who is rung first, no free line."""

import asyncio

import pytest

from tests.support.speech import words
from tests.support.telephony import NUMBER, Caller, calling, refused, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

MENU = "For sales press one. For the office press two."
CHOICES = [
    {"key": "1", "label": "Sales", "kind": "agent", "value": "sales"},
    {"key": "2", "label": "Office", "kind": "phone", "value": "+14155550177"},
    {"key": "3", "label": "Gone", "kind": "agent", "value": "nobody"},
]
RECEPTION = {"reception": {"say": MENU, "choices": CHOICES}}
HOURS = {"heard": ("What are your hours?",) * 4, "answers": {"What are your hours?": "Nine to five."}}
GREETING = ("agent", "Hello, how may I help?")


async def press(caller: Caller, key: str) -> None:
    """Press a key, told by SIP."""
    reply = await caller.dialog.info(f"Signal={key}\r\nDuration=160\r\n".encode(), "application/dtmf-relay")
    assert reply.is_success


async def test_a_caller_is_received_by_a_menu_or_a_person_and_else_by_the_agent() -> None:
    async with staged(**HOURS) as (stage, carrier):
        stage.others["sales"] = {"name": "Sales", "begin_message": "Sales, good morning!"}
        for call_id in ("c1", "c2", "c3", "c4"):
            stage.before[call_id] = RECEPTION
        stage.before["c5"] = {"reception": {"forward_to": "+14155550177"}}
        # Its agent, in the middle of the menu; and what is said while the menu speaks is not answered.
        async with calling(stage, carrier) as caller:
            await stage.until(lambda: caller.phone.first_sound(0.0))
            caller.phone.say(words("What are your opening hours?"))
            await stage.until(lambda: not caller.phone.is_talking)
            await asyncio.sleep(0.5)
            await press(caller, "1")
            await stage.until(lambda: ("agent", "Sales, good morning!") in stage.said("c1"))
            assert GREETING not in stage.said("c1")
            caller.phone.say(words("What are your opening hours?"))
            await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
        events = await stage.until(lambda: (e := stage.events("c1")) and e[-1].kind == "call_ended" and e)
        chosen = next(event for event in events if event.kind == "function" and event.name == "menu")
        assert (chosen.arguments, chosen.result) == ({"key": "1"}, "Sales")
        assert ("user", "What are your hours?") not in stage.said("c1")[:2], "nobody answers beside a menu"

        # Its telephone, by the carrier.
        async with calling(stage, carrier) as caller:
            await stage.until(lambda: caller.phone.first_sound(0.0))
            await press(caller, "2")
            told = await stage.until(
                lambda: next((e for e in caller.seen if isinstance(e, sip.Referred)), None)
            )
            assert "+14155550177" in told.target
            told.accept()
            await caller.dialog.notify(200, is_last=True)
            await stage.until(lambda: stage.end_of("c2"))
        assert stage.events("c2")[-1].status == "transferred"

        # Nobody there: the number's own agent, greeting as ever.
        async with calling(stage, carrier) as caller:
            await stage.until(lambda: caller.phone.first_sound(0.0))
            await press(caller, "3")
            await stage.until(lambda: GREETING in stage.said("c3"))

        # No key of it, twice.
        async with calling(stage, carrier) as caller:
            await stage.until(lambda: caller.phone.first_sound(0.0))
            await press(caller, "7")
            await asyncio.sleep(0.3)
            await press(caller, "8")
            await stage.until(lambda: GREETING in stage.said("c4"))
            caller.phone.say(words("What are your opening hours?"))
            await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c4"), 20)

        # A person is rung first, is not there, and the agent takes the call.
        async with calling(stage, carrier) as caller:
            told = await stage.until(
                lambda: next((e for e in caller.seen if isinstance(e, sip.Referred)), None)
            )
            assert stage.said("c5") == []
            told.accept()
            await caller.dialog.notify(486, is_last=True)
            await stage.until(lambda: GREETING in stage.said("c5"))
            caller.phone.say(words("What are your opening hours?"))
            await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c5"), 20)


async def test_who_calls_while_no_line_is_free_has_the_next_one_or_is_noted() -> None:
    async with staged(**HOURS, most_calls=1) as (stage, carrier):
        async with calling(stage, carrier) as first:
            await stage.until(lambda: first.phone.first_sound(0.0))
            mine, address = sockets()
            waiting = carrier.invite(
                f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}",
                sdp.Ours(address, 9).offer(),
                caller="sip:+14155550101@carrier",
            )
            events = waiting.events()
            async with asyncio.timeout(5):
                ringing = await anext(events)
            assert isinstance(ringing, sip.Progress)
            assert ringing.code == 180
            assert len(stage.rang) == 1, "nobody is asked whom it is for before there is a line"
        async with asyncio.timeout(5):
            while not isinstance(event := await anext(events), sip.Answered):
                assert not isinstance(event, sip.Ended)
        missed = await refused(stage, carrier, sdp.Ours(address, 9).offer(), seconds=20)
        assert missed.code == 486
        assert [one.is_busy for one in stage.rang] == [False, False, True]
        await waiting.hang_up()
        mine.close()
