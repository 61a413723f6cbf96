"""A text message is sent once, answered once and charged once, wherever the api is killed."""

from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.api import AGENT, running_api
from tests.support.dying_server import answers, dies, serving
from tests.support.shop import Shop, money, settings_of, until
from tests.support.telnyx import telnyx
from tests.support.texting_api import ANSWERING, NOTIFYING, RECEIVING, SENDING

SERVER = "tests.support.texting_api"
PEER, WRITER, DESK = "+13125559001", "+13125559002", "+13125559003"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_texts_that_meet_a_death_at_every_line_are_sent_and_answered_once(tmp_path: Path) -> None:
    with telnyx() as account:
        settings = {"CALL2ME_JWT_SECRET": "j" * 40, **settings_of(account, tmp_path / "rates.json")}
        with running_api(tmp_path / "home", **settings) as api:
            shop = Shop(api, account)
            person, number = shop.person(), shop.number()
            agent = person.made("/v1/agents", {**AGENT, "language": "en-US"})["agent_id"]
            shop.bought(person, number, agent_id=agent)
            until(lambda: bool(account.texts.enabled))
            before = money(person)[0]

        def sends() -> None:
            person.ask("POST", "/v1/sms", {"from": number, "to": PEER, "text": "Your table is ready."})

        dies(api, SERVER, SENDING, sends)
        assert len(account.texts.sent) == 1
        over = {"channel": "sms", "destination": DESK, "trigger_event": "chat_ended", "template": "Over"}

        def ends_a_chat() -> None:
            person.ask("PATCH", f"/v1/chats/{ended}?status=archived")

        with serving(api, SERVER) as process:
            assert answers(api, process)
            person.made(f"/v1/agents/{agent}/notifications", over)
            ended = person.ask("POST", "/v1/chats", {"agent_id": agent}).json["chat_id"]
            until(lambda: money(person)[1] == 0)
        dies(api, SERVER, NOTIFYING, ends_a_chat)
        dies(api, SERVER, SENDING, ends_a_chat)
        assert [one["to"][0]["phone_number"] for one in account.texts.sent] == [PEER, DESK]
        raw = account.texts.received(WRITER, number, "Hello!")

        def comes_in() -> None:
            """As often as it likes: the carrier tells again until it is told that it was taken."""
            with suppress(OSError):
                api.ask("POST", "/v1/sms/webhooks/telnyx", raw=raw, headers=account.signed(raw))

        for point in RECEIVING:
            dies(api, SERVER, [point], comes_in)
        dies(api, SERVER, ANSWERING, comes_in)
        with serving(api, SERVER) as process:
            assert answers(api, process)
            comes_in()
            until(lambda: money(person)[1] == 0)
            messages = person.ask("GET", "/v1/sms").json["messages"]
            assert [one["status"] for one in messages] == ["sent", "received", "sent", "sent"]
            (chat,) = person.ask("GET", "/v1/chats?source=sms").json["sessions"]
            said = person.ask("GET", f"/v1/chats/{chat['chat_id']}").json["messages"]
            assert [one["role"] for one in said] == ["user", "assistant"]
            assert round(before - money(person)[0], 6) == 0.09  # three messages at 0.02, and a half more
            assert shop.books() == []
        assert [one["to"][0]["phone_number"] for one in account.texts.sent] == [PEER, DESK, WRITER]
