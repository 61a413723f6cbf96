"""A valid request for each operation, and what must be there before it is one."""

from collections.abc import Callable
from itertools import count
from typing import Any

from api.settings import Settings
from api.up import money
from tests.contract.test_ownership import BODIES, MAKERS
from tests.support.api import AGENT, PASSWORD, Person
from tests.support.house import ENGLISH_AGENT, House
from tests.support.letters import token_in, wait_for
from tests.support.openapi import Operation
from tests.support.rehearsed_exchange import bound, rings
from tests.support.rehearsed_worker import Script

Body = dict[str, Any]
Ids = dict[str, str]

_new = count(1_000)


def _number() -> str:
    """One that nobody has yet."""
    return f"+44207946{next(_new)}"


def _email() -> str:
    return f"new{next(_new)}@example.com"


def _agent(person: Person) -> str:
    return str(person.made("/v1/agents", ENGLISH_AGENT)["agent_id"])


def _with_agent(**more: Any) -> Callable[[Person], Body]:
    return lambda person: {"agent_id": _agent(person), **more}


def _web_call(person: Person) -> Body:
    agent_id, number, _ = bound(person)
    person.ask("PATCH", f"/v1/agents/{agent_id}", {"language": "en-US"})
    person.ask("PUT", f"/v1/web-call/config/{agent_id}", {"enabled": True})
    return {"agent_id": agent_id, "to_number": number}


VALID: dict[str, Body | Callable[[Person], Body]] = {
    **BODIES,
    "register": lambda _: {"email": _email(), "password": PASSWORD},
    "log_in": lambda person: {"email": person.email, "password": PASSWORD},
    "refresh_tokens": lambda person: {"refresh_token": person.credentials["refresh_token"]},
    "forgot_password": lambda person: {"email": person.email},
    "resend_verification": lambda person: {"email": person.email},
    "change_password": {"current_password": PASSWORD, "new_password": "a better horse"},
    "erase_account": lambda person: {"email": person.email, "password": PASSWORD},
    "reset_password": lambda person: {"token": _reset(person), "new_password": "a better horse"},
    "verify_email": lambda person: {"token": _letter(person, "Confirm your address", "verify")},
    "sign_in_with_google": {"credential": "x"},
    "verify_quick_login": lambda person: {"token": _quick_login(person)},
    "accept_invite": lambda person: {"token": _invited(person), "password": PASSWORD},
    "update_me": {"full_name": "Ada"},
    "update_onboarding": {"completed": ["first_agent"]},
    "create_api_key": {"name": "k"},
    "create_end_user_token": {"expires_in": 600},
    "start_wizard": {"seed": "A shop."},
    "start_wizard_for_agent": {"seed": "A shop."},
    "create_agent": AGENT,
    "update_agent": {"agent_name": "Desk"},
    "test_function": {"url": "https://93.184.216.34:9/"},
    "execute_function": {"url": "https://127.0.0.1/"},
    "update_notification_target": {"active": False},
    "create_call": lambda person: {"agent_id": bound(person)[0], "to_number": _number()},
    "create_knowledge_base": {"knowledge_base_name": "Hours"},
    "update_knowledge_base": {"knowledge_base_name": "Prices"},
    "add_sources": {"knowledge_base_texts": [{"title": "Hours", "text": "From eight to six."}]},
    "create_token": _with_agent(),
    "create_voice_session": _with_agent(),
    "speak": {"text": "Hello."},
    "chat": {"messages": [{"role": "user", "content": "Hello."}]},
    "create_chat": _with_agent(),
    "create_contact": lambda _: {"phone_number": _number()},
    "update_contact": {"name": "Ada"},
    "add_do_not_call": lambda _: {"phone_number": _number()},
    "create_schedule": _with_agent(phone_number="+442079460123", scheduled_at="2030-01-01T10:00:00Z"),
    "update_schedule": {"scheduled_at": "2030-01-02T10:00:00Z"},
    "create_campaign": _with_agent(name="Fair"),
    "update_campaign": {"name": "Spring"},
    "create_phone_number": lambda _: {"number": _number()},
    "update_phone_number": {"display_name": "Desk"},
    "purchase_number": {"phone_number": "+12025550100"},
    "send_sms": {"to": "+12025550100", "text": "Hello."},
    "checkout_number": {"phone_number": "+12025550100"},
    "create_sip_trunk": {"name": "Carrier", "sip_server": "9.9.9.1"},
    "update_sip_trunk": {"name": "Second"},
    "call_over_sip_trunk": {"to_number": "+14155550123", "wait": False},
    "create_widget": _with_agent(name="Site"),
    "update_widget": {"name": "Shop"},
    "chat_through_widget": {"message": "Hello."},
    "stream_through_widget": {"message": "Hello."},
    "put_web_call_config": {"enabled": True},
    "put_public_web_call": {"daily_call_limit": 3},
    "start_web_call": _web_call,
    "set_webhook": {"webhook_url": "https://hooks.example.com/a"},
    "create_webhook_endpoint": {"url": "https://hooks.example.com/a"},
    "update_webhook_endpoint": {"url": "https://hooks.example.com/b"},
    "replay_webhooks": {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    "top_up": {"amount_usd": 5},
    "create_checkout": {"amount": 5},
    "set_auto_charge": {"enabled": False},
    "set_branding": {"app_name": "Ada"},
    "create_tenant_invite": lambda _: {"email": _email()},
    "credit_tenant_member": lambda person: {"member_id": MAKERS["member_id"](person), "amount_usd": 1},
    "credit_tenant_members": lambda person: {"member_ids": [MAKERS["member_id"](person)], "amount_usd": 1},
    "set_tenant_pricing": {"margin_percent": 10},
    "create_quick_login": lambda _: {"email": _email()},
    "request_demo_call": {"phone_number": "+442079460123"},
    "write_to_us": {"name": "Ada", "email": "ada@example.com", "message": "Hello."},
    "subscribe_to_newsletter": lambda _: {"email": _email()},
    "report_event": {"type": "js_error", "source": "web", "message": "It broke."},
}
"""A valid body for each operation that needs one or that would change nothing without one."""


def _quick_login(person: Person) -> str:
    made = person.ask("POST", "/v1/auth/quick-login", {"email": _email()})
    return str(made.json["url"]).partition("#link=")[2]


def _invited(person: Person) -> str:
    made = person.made("/v1/users/me/tenant/invites", {"email": _email()})
    return str(made["invite_url"]).partition("#invite=")[2]


def _reset(person: Person) -> str:
    person.api.ask("POST", "/v1/auth/forgot-password", {"email": person.email})
    return _letter(person, "Choose a new password", "reset")


def _letter(person: Person, subject: str, word: str) -> str:
    return token_in(wait_for(person.api, person.email, subject), word)


def valid_body(operation: Operation, person: Person) -> Body:
    """A body that this operation takes from this person."""
    known = VALID.get(operation.first_name, {})
    return known(person) if callable(known) else dict(known)


def _running(house: House, person: Person) -> Ids:
    """A telephone is talking with an agent."""
    _, number, trunk_id = bound(person)
    call_id = str(rings(house, trunk_id, number, f"sip-{number}").json["call_id"])
    house.worker.brief(call_id)
    house.worker.tell(Script(call_id).started())
    return {"call_id": call_id}


def _for_review(house: House, person: Person) -> Ids:
    """A caller asked to be called back."""
    asked = {"phone_number": "the usual one", "when": "tomorrow", "reason": "a refund"}
    script = Script(_running(house, person)["call_id"])
    house.worker.tell(script.started(), script.called("request_callback", 2, asked))
    waiting = person.ask("GET", "/v1/schedules?status=pending_review").json["schedules"]
    return {"schedule_id": str(waiting[0]["schedule_id"])}


def _with_voice(_: House, person: Person) -> Ids:
    wanted = {"agent_id": _agent(person), "voice_mode": "both"}
    return {"widget_id": str(person.made("/v1/widgets", wanted)["widget_id"])}


def _with_money(_: House, person: Person) -> Ids:
    money.credit(Settings.load(person.api.environment), person.email, "10", "A present")
    return {}


def _voice(_: House, person: Person) -> Ids:
    return {"voice_id": str(person.ask("GET", "/v1/voices").json[0]["voice_id"])}


STEERING = ("say", "add_context", "transfer", "hold", "mute", "unmute")
LISTENING = ("listen_to_call", "whisper_to_agent", "take_call_over")
NEEDS: dict[str, Callable[[House, Person], Ids]] = {
    **dict.fromkeys((*STEERING, *LISTENING), _running),
    "approve_schedule": _for_review,
    "create_widget_voice_token": _with_voice,
    "preview_voice": _voice,
    "credit_tenant_member": _with_money,
    "credit_tenant_members": _with_money,
}
"""What must be there for an operation to do what it does; the ids of what its path is to name."""


def prepared(house: House, operation: Operation, person: Person) -> tuple[str, Body]:
    """An address and a body with which this operation works."""
    ids = NEEDS[operation.first_name](house, person) if operation.first_name in NEEDS else {}
    return operation.address(person, **ids), valid_body(operation, person)
