"""What anybody may ask and send without an account, on each kind of database."""

import email
import re
import subprocess
import sys
import time
from email import policy
from pathlib import Path
from urllib.parse import urlsplit

from call2me import Call2Me

from tests.contract.conftest import House
from tests.support.api import PASSWORD, Api, Person, Reply, running_api
from tests.support.rehearsed_worker import Script


def letters_to(api: Api, address: str, count: int = 1) -> list[str]:
    """The texts of the letters that were sent to somebody, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        found = []
        for path in sorted((api.home / "mail").glob("*.eml")):
            letter = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            if letter["To"] == address:
                body = letter.get_body()
                assert body is not None
                found.append(f"{letter['Subject']}\n{body.get_content()}")
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count} letters"
        time.sleep(0.1)


def links_in(letter: str) -> list[str]:
    """The links of a letter, without the address of the api."""
    found = [urlsplit(url) for url in re.findall(r"http\S+", letter)]
    return [f"{url.path}?{url.query}" for url in found]


def subscribe(api: Api, address: str) -> Reply:
    return api.ask("POST", "/v1/newsletter/subscribe", {"email": address, "source": "footer"})


def subscribers_of(api: Api) -> list[str]:
    """Who gets the newsletter, as the operator reads it."""
    command = [sys.executable, "-m", "api.cli", "newsletter"]
    done = subprocess.run(
        command, env=api.environment, cwd=api.home, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split()


def test_a_message_reaches_whoever_runs_the_installation(tmp_path: Path) -> None:
    with running_api(tmp_path, CALL2ME_CONTACT_EMAIL="desk@example.com") as api:
        sent = {
            "name": "Ada\r\nBcc: all@example.com",
            "email": "ada@example.com",
            "subject": "Hello\nthere",
            "message": "May I ask\nsomething?",
        }
        reply = api.ask("POST", "/v1/contact", sent)
        assert (reply.status, reply.json["success"]) == (200, True)
        [letter] = letters_to(api, "desk@example.com")
        assert letter.startswith("Contact: Hello there\n")
        assert "From: Ada Bcc: all@example.com <ada@example.com>" in letter
        assert "May I ask\nsomething?" in letter
        assert "something" not in api.log.read_text(), "what people write is in no log"
        for wrong in ({"website": "http://spam"}, {"email": "ada"}, {"message": " "}, {"name": ""}):
            assert api.ask("POST", "/v1/contact", {**sent, **wrong}).status == 422, wrong
        assert len(letters_to(api, "desk@example.com")) == 1


def test_nobody_gets_the_newsletter_who_did_not_say_so_twice(api: Api, person: Person) -> None:
    address = f"Reader-{person.email}"
    assert subscribe(api, address).json == {"ok": True, "already_subscribed": False}
    assert subscribe(api, address.upper()).json["already_subscribed"] is False
    [letter] = letters_to(api, address.lower())
    confirm, end = links_in(letter)
    assert api.ask("GET", confirm.replace("confirm?", "confirm?x=1&")).json["status"] == "confirmed"
    assert subscribe(api, address).json["already_subscribed"] is True
    assert address.lower() in subscribers_of(api)
    assert api.ask("GET", confirm).status == 200, "a second click does no harm"
    page = api.ask("GET", end, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert b"not subscribed any more" in page.raw
    assert subscribe(api, address).json["already_subscribed"] is False
    assert address.lower() not in subscribers_of(api)
    assert len(letters_to(api, address.lower())) == 1, "one letter a day, however often somebody asks"


def test_a_link_does_only_what_it_says_and_none_can_be_made_up(api: Api, person: Person) -> None:
    address = f"link-{person.email}"
    subscribe(api, address)
    confirm, end = (link.split("token=")[1] for link in links_in(letters_to(api, address)[0]))
    for path, token in (
        ("/v1/newsletter/confirm", end),
        ("/v1/unsubscribe", confirm),
        ("/v1/newsletter/confirm", confirm[:-2]),
        ("/v1/newsletter/confirm", person.token),
        ("/v1/unsubscribe", "x"),
    ):
        assert api.ask("GET", f"{path}?token={token}").status == 400, path
    assert api.ask("GET", "/v1/agents", token=confirm).status == 401, "nor does it sign anybody in"
    assert api.ask("GET", "/v1/unsubscribe").status == 422
    assert subscribe(api, address).json["already_subscribed"] is False


def test_bad_events_are_kept_for_the_administrator(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        admin, other = api.person(), api.person()
        key = other.made("/v1/api-keys", {"name": "SDK"})["api_key"]
        with Call2Me(api_key=key, base_url=api.url) as client:
            told = client.events.report(
                "js_error", "It broke", source="web", fingerprint="f1", meta={"line": 3}
            )
        assert told == {"accepted": True, "severity": "error", "archived": True}
        mild = api.ask("POST", "/v1/events", {"type": "auth_login", "source": "web", "message": "Hello"})
        assert (mild.status, mild.json["severity"], mild.json["archived"]) == (202, "info", False)
        worst = {
            "type": "x",
            "source": "web",
            "message": "Down",
            "severity": "CRITICAL",
            "meta": {"a": "b" * 9000},
        }
        assert api.ask("POST", "/v1/events", worst, token="sk_call2me_wrong").status == 202
        listed = admin.ask("GET", "/v1/events").json
        assert [event["message"] for event in listed["events"]] == ["Down", "It broke"]
        assert [event["user_id"] for event in listed["events"]] == [
            None,
            other.credentials["user"]["user_id"],
        ]
        assert (listed["events"][0]["meta"], listed["events"][1]["meta"]) == (None, {"line": 3})
        assert admin.ask("GET", "/v1/events?severity=error&fingerprint=f1").json["total"] == 1
        assert admin.ask("GET", "/v1/events?type=nothing").json["events"] == []
        assert other.ask("GET", "/v1/events").status == 403
        own = admin.made("/v1/api-keys", {"name": "A"})["api_key"]
        assert api.ask("GET", "/v1/events", token=own).status == 401, "people only, as the contract says"
        assert api.ask("GET", "/v1/events").status == 401


def test_strangers_are_bounded(tmp_path: Path) -> None:
    with running_api(tmp_path, CALL2ME_RATE_LIMITS="on") as api:
        event = {"type": "x", "source": "web", "message": "Hello"}
        assert [api.ask("POST", "/v1/events", event).status for _ in range(11)] == [202] * 10 + [429]
        person = api.person()
        assert person.ask("POST", "/v1/events", event).status == 202, "who signed in may say more"
        message = {"name": "Ada", "email": "ada@example.com", "message": "Hello"}
        assert [api.ask("POST", "/v1/contact", message).status for _ in range(6)] == [200] * 5 + [429]
        refused = [subscribe(api, f"reader{number}@example.com").status for number in range(6)]
        assert refused == [200] * 5 + [429]


def test_who_is_here_is_not_found_out_by_signing_up(tmp_path: Path) -> None:
    settings = {"CALL2ME_RATE_LIMITS": "on", "CALL2ME_TRUSTED_PROXIES": "1"}
    with running_api(tmp_path, **settings) as api:

        def signs_up(email: str, sender: str) -> int:
            body = {"email": email, "password": PASSWORD}
            return api.ask("POST", "/v1/auth/register", body, headers={"X-Forwarded-For": sender}).status

        assert signs_up("ada@example.com", "192.0.2.1") == 200
        assert [signs_up("Ada@example.com", f"2001:db8::{n + 1:x}") for n in range(10)] == [409] * 10
        # One network; nobody learns whether this one is somebody's, and another network may sign up.
        assert (
            signs_up("ada@example.com", "2001:db8::ff") == signs_up("new@example.com", "2001:db8::1") == 429
        )
        assert signs_up("new@example.com", "2001:db8:1::1") == 200


def test_figures_grow_with_what_happens(house: House) -> None:
    person, api = house.person(), house.api
    before = api.ask("GET", "/v1/stats").json
    assert before["accounts"] >= 1
    assert before["language_pairs"] == 0
    call_id = house.call(person)
    happened = Script(call_id)
    assert house.worker.tell(happened.started(), happened.ended(125)).status == 200
    house.worker.status["call_ids"] = [one for one in house.worker.status["call_ids"] if one != call_id]
    deadline = time.monotonic() + 20
    while api.ask("GET", "/v1/stats").json["minutes"] < before["minutes"] + 2:  # once it is settled
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert api.ask("GET", "/v1/stats").json["calls"] == before["calls"] + 1
    assert api.ask("GET", "/v1/stats").json["accounts"] == before["accounts"]
