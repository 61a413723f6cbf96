"""One body for each operation that takes JSON, by the operation's id: what the OpenAPI document shows."""

from typing import Any

_AGENT = {"agent_id": "agent_0123456789ab"}
_NUMBER = "+14155550123"
_OWN = "+14155550100"
_URL = "https://hooks.example.com/call2me"
_EMAIL = {"email": "ada@example.com"}
_PASSWORD = "correct horse"  # noqa: S105 - an example
_TOKEN = {"token": "once_8Jx2mQ4v"}
_NUMBER_OF_AGENT = {"phone_number": "+13125550100", **_AGENT}
_WRITTEN = {"content": "Are you open on Sunday?"}
_ASKED = {"message": "Are you open on Sunday?", "visitor_id": "visitor_5f0c3b1e9a7d"}
_CREDIT = {"amount_usd": "5.00", "note": "For May"}

EXAMPLES: dict[str, dict[str, Any]] = {
    # people and keys
    "register": {**_EMAIL, "password": _PASSWORD, "full_name": "Ada Lovelace"},
    "log_in": {**_EMAIL, "password": _PASSWORD},
    "refresh_tokens": {"refresh_token": "refresh_8Jx2mQ4v"},
    "log_out": {"refresh_token": "refresh_8Jx2mQ4v"},
    "verify_quick_login": _TOKEN,
    "forgot_password": _EMAIL,
    "reset_password": {**_TOKEN, "new_password": "a better horse"},
    "verify_email": _TOKEN,
    "resend_verification": _EMAIL,
    "change_password": {"current_password": _PASSWORD, "new_password": "a better horse"},
    "sign_in_with_google": {"credential": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"},
    "update_me": {
        "full_name": "Ada Lovelace",
        "company_name": "Analytical Engines",
        "timezone": "Europe/London",
    },
    "erase_account": {**_EMAIL, "password": _PASSWORD},
    "update_onboarding": {"completed": ["first_agent"]},
    "create_api_key": {
        "name": "Dashboard",
        "permissions": ["calls:read", "wallet:read"],
        "expires_in_days": 90,
    },
    "create_end_user_token": {"expires_in": 3600, "scopes": ["chats:read", "chats:write"]},
    # agents
    "create_agent": {
        "agent_name": "Front desk",
        "voice_id": "openai-nova",
        "language": "en-US",
        "begin_message": "Hello, how can I help?",
        "response_engine": {"type": "call2me-llm", "system_prompt": "You answer the phone of a small hotel."},
    },
    "update_agent": {"voice_speed": 1.1, "webhook_url": _URL},
    "start_wizard": {"language": "en-US", "seed": "A bicycle shop in Izmir"},
    "start_wizard_for_agent": {"language": "en-US"},
    "answer_wizard": {"content": "Take repairs and tell opening hours."},
    "apply_wizard": {},
    "test_function": {"url": "https://example.com/rooms", "sample_args": {"guests": 2}},
    "execute_function": {"url": "https://example.com/rooms", "method": "GET"},
    "create_notification_target": {"channel": "email", "destination": "desk@example.com"},
    "update_notification_target": {"active": False},
    # calls
    "create_call": {**_AGENT, "to_number": _NUMBER, "topic": "Tomorrow's appointment"},
    "say": {"text": "One moment, please.", "interrupt": False},
    "add_context": {"text": "The shop closes early today."},
    "transfer": {"target": "Front desk"},
    "hold": {"sound": "music", "max_seconds": 600},
    "mute": {"side": "agent"},
    "unmute": {"side": "agent"},
    "listen_to_call": {"name": "Bea"},
    "whisper_to_agent": {"text": "Offer a late check-out."},
    "take_call_over": {"participant_identity": "listener_1"},
    "create_token": {**_AGENT, "participant_name": "Ada"},
    "create_voice_session": {**_AGENT, "external_user_id": "customer-17"},
    "start_web_call": {**_AGENT, "to_number": _OWN},
    "put_web_call_config": {"enabled": True, "record_enabled": False},
    "put_public_web_call": {"public_enabled": True, "allowed_domains": ["shop.example.com"]},
    # text, voices, models
    "create_chat": {**_AGENT, "external_user_id": "customer-17", "metadata": {"name": "Ada"}},
    "send_chat_message": _WRITTEN,
    "stream_chat_message": _WRITTEN,
    "preview_voice": {"language": "en-US", "text": "Hello, how can I help?"},
    "speak": {"text": "Hello, how can I help?", "language": "en-US"},
    "chat": {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 100},
    # knowledge
    "create_knowledge_base": {
        "knowledge_base_name": "House rules",
        "knowledge_base_texts": [{"title": "Network", "text": "The network for guests is called Bluebird."}],
    },
    "update_knowledge_base": {"knowledge_base_name": "House rules"},
    "add_sources": {"knowledge_base_urls": ["https://example.com/rooms"]},
    "query_knowledge_base": {"query": "What is the network called?", "top_k": 3},
    # people who are called
    "create_contact": {"phone_number": _NUMBER, "name": "Ada Lovelace", "variables": {"plan": "gold"}},
    "update_contact": {"consent": "granted"},
    "add_do_not_call": {"phone_number": _NUMBER, "reason": "Asked for it"},
    "create_campaign": {**_AGENT, "name": "Spring", "from_number": _OWN, "calls_per_minute": 10},
    "update_campaign": {"calls_per_minute": 20},
    "act_on_campaign": {"action": "start"},
    "add_campaign_contacts": {"contacts": [{"phone_number": _NUMBER, "name": "Ada"}]},
    "create_schedule": {
        **_AGENT,
        "phone_number": _NUMBER,
        "scheduled_at": "2030-03-01T09:30:00",
        "timezone": "America/New_York",
        "recurrence": "weekly",
    },
    "update_schedule": {"scheduled_at": "2030-03-02T09:30:00"},
    "approve_schedule": {"scheduled_at": "2030-03-01T09:30:00Z"},
    # numbers and trunks
    "create_phone_number": {"number": _OWN, "trunk_id": "trunk_0123456789ab", **_AGENT},
    "update_phone_number": {"display_name": "Front desk", "active": True},
    "bind_phone_number": _AGENT,
    "purchase_number": _NUMBER_OF_AGENT,
    "send_sms": {"to": _NUMBER, "text": "Your table is ready."},
    "checkout_number": _NUMBER_OF_AGENT,
    "reserve_demo_number": _AGENT,
    "request_demo_call": {"phone_number": _NUMBER, "name": "Ada"},
    "create_sip_trunk": {
        "name": "Carrier",
        "sip_server": "sip.example.com",
        "sip_username": "acme",
        "sip_password": "the password",
        "sip_transport": "tls",
    },
    "update_sip_trunk": {"outbound_caller_id": _OWN},
    "dispatch_sip_call": {"call_id": "a84b4c76e66710", "from_number": _NUMBER, "to_number": _OWN},
    "call_over_sip_trunk": {"to_number": _NUMBER},
    # widgets
    "create_widget": {
        **_AGENT,
        "name": "Shop",
        "voice_mode": "both",
        "allowed_domains": ["shop.example.com"],
    },
    "update_widget": {"public_slug": "shop", "active": True},
    "chat_through_widget": _ASKED,
    "stream_through_widget": _ASKED,
    "create_widget_voice_token": {"visitor_id": "visitor_5f0c3b1e9a7d"},
    # webhooks
    "set_webhook": {"webhook_url": _URL},
    "create_webhook_endpoint": {"url": _URL, "events": ["call.completed", "payment.succeeded"]},
    "update_webhook_endpoint": {"retries_for_a_day": True},
    "replay_webhooks": {"since": "2030-03-01T00:00:00Z", "until": "2030-03-02T00:00:00Z"},
    # money
    "top_up": {"amount_usd": 25},
    "create_checkout": {"amount": "25.00", "success_url": "https://shop.example.com/thanks"},
    "set_auto_charge": {"enabled": True, "threshold_usd": 5, "charge_amount_usd": 25},
    # tenants
    "set_branding": {
        "app_name": "Acme Voice",
        "primary_color": "#6366f1",
        "custom_domain": "voice.example.com",
    },
    "create_tenant_invite": {**_EMAIL, "initial_credit_usd": 5},
    "accept_invite": {"token": "invite_8Jx2mQ4vT7pL0sWz3yBn", "password": _PASSWORD},
    "create_quick_login": {**_EMAIL, "expires_hours": 24},
    "credit_tenant_member": {"member_id": "user_0123456789ab", **_CREDIT},
    "credit_tenant_members": {"member_ids": ["user_0123456789ab"], **_CREDIT},
    "set_tenant_pricing": {"margin_percent": 25},
    # for anybody
    "write_to_us": {"name": "Ada", **_EMAIL, "subject": "A question", "message": "May I ask something?"},
    "subscribe_to_newsletter": {**_EMAIL, "source": "footer"},
    "report_event": {"type": "js_error", "source": "web", "message": "x is undefined"},
}
