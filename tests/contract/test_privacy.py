"""Everything of a person in a file, and a person who is forgotten: seen in every table and folder."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select, text

from api import tables
from api.db import sealed
from api.db.vault import Vault
from api.privacy.owned import belonging
from api.settings import Settings
from api.sms.table import SmsRow
from api.up import money
from tests.contract.conftest import ENGLISH_AGENT, House
from tests.support.api import PASSWORD, Api, Person
from tests.support.knowledge import uploaded
from tests.support.rehearsed_worker import Script

SECRET = "my cat is called Xylophone"


@contextmanager
def database(api: Api) -> Iterator[Connection]:
    """One transaction, past the api."""
    settings = Settings.load(api.environment)
    url = settings.database_url
    engine = create_engine(url.replace("+aiosqlite", "").replace("+asyncpg", "+psycopg"))
    sealed.give(engine.dialect, Vault.of(settings))  # other tests of the house leave sealed columns
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def talked(house: House, person: Person) -> str:
    """A call in which something was said and recorded, settled."""
    call_id = house.call(person)
    script = Script(call_id)
    house.worker.tell(script.started(), script.said("user", SECRET, 1, 2), script.ended(10))
    house.worker.status["call_ids"] = [one for one in house.worker.status["call_ids"] if one != call_id]
    (house.api.home / "recordings" / f"{call_id}.ogg").write_bytes(b"OggS" + SECRET.encode())
    deadline = time.monotonic() + 30
    while SECRET not in (person.ask("GET", f"/v1/calls/{call_id}").json["transcript"] or ""):
        assert time.monotonic() < deadline, "the call was not settled"
        time.sleep(0.05)
    with database(house.api) as connection:
        connection.execute(text("update calls set recording_bytes = 5 where id = :id"), {"id": call_id})
    return call_id


def everything(house: House) -> tuple[Person, dict[str, str]]:
    """Somebody with one of each."""
    person = house.person()
    person.ask("PATCH", "/v1/users/me", {"full_name": "Zebedee Quux"})
    made = {
        "call_id": talked(house, person),
        "base_id": uploaded(person, {"files": ("cats.txt", SECRET.encode())}, name="Mine")[
            "knowledge_base_id"
        ],
        "key": person.made("/v1/api-keys", {"name": "k"})["api_key"],
    }
    person.made("/v1/contacts", {"phone_number": "+905321234567", "name": "Zebedee"})
    person.made("/v1/users/me/tenant/invites", {"email": f"i{time.time_ns()}@example.com"})
    money.credit(Settings.load(house.api.environment), person.email, "3", "For Zebedee Quux")
    return person, made


def exported(person: Person) -> zipfile.ZipFile:
    asked = person.ask("POST", "/v1/users/me/exports")
    assert asked.status == 202, asked.raw
    path = f"/v1/users/me/exports/{asked.json['export_id']}"
    deadline = time.monotonic() + 30
    while (found := person.ask("GET", path).json)["status"] == "pending":
        assert time.monotonic() < deadline, "the export was not made"
        time.sleep(0.05)
    assert found["status"] == "complete"
    file = person.ask("GET", f"{path}/download")
    assert (file.headers["content-type"], len(file.raw)) == ("application/zip", found["size_bytes"])
    return zipfile.ZipFile(io.BytesIO(file.raw))


def lines(file: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read(name).decode().splitlines()]


def test_an_export_has_everything_and_no_secret(house: House) -> None:
    person, made = everything(house)
    other, _ = everything(house)
    file = exported(person)
    assert file.testzip() is None
    assert lines(file, "account.json")[0]["email"] == person.email
    assert [row["id"] for row in lines(file, "calls.jsonl")] == [made["call_id"]]
    assert SECRET in file.read("calls.jsonl").decode()
    assert SECRET in file.read("call_events.jsonl").decode()
    assert [row["name"] for row in lines(file, "contacts.jsonl")] == ["Zebedee"]
    assert SECRET.encode() in file.read(f"recordings/{made['call_id']}.ogg")
    documents = [name for name in file.namelist() if name.startswith("documents/")]
    assert [file.read(name) for name in documents] == [SECRET.encode()]
    assert {row["type"] for row in lines(file, "wallet_transactions.jsonl")} >= {"topup"}
    assert "create_agent" in {row["action"] for row in lines(file, "audit_log.jsonl")}
    everything_said = b"".join(file.read(name) for name in file.namelist()).decode("utf-8", "replace")
    for secret in (made["key"], "$argon2", "password_hash", "whsec_", other.email):
        assert secret not in everything_said, secret


def test_a_person_is_forgotten_in_every_table_and_folder_and_the_book_still_adds_up(house: House) -> None:
    person, made = everything(house)
    stays, _ = everything(house)
    api, user_id = house.api, person.credentials["user"]["user_id"]
    running = house.call(person)
    wrong = [
        ({"email": stays.email, "password": PASSWORD}, 400),
        ({"email": person.email, "password": "wrong horse"}, 400),
        ({"email": person.email}, 400),
        ({}, 422),
    ]
    for body, status in wrong:
        assert person.ask("DELETE", "/v1/users/me", body).status == status
    farewell = {"email": person.email, "password": PASSWORD}
    assert api.ask("DELETE", "/v1/users/me", farewell, token=made["key"]).status == 403
    assert person.ask("GET", "/v1/auth/me").status == 200

    assert person.ask("DELETE", "/v1/users/me", farewell).status == 202
    for token in (person.token, made["key"]):
        assert api.ask("GET", "/v1/auth/me", token=token).status == 401
    assert api.ask("POST", "/v1/auth/login", {"email": person.email, "password": PASSWORD}).status == 401
    refresh = {"refresh_token": person.credentials["refresh_token"]}
    assert api.ask("POST", "/v1/auth/refresh", refresh).status == 401

    # The call that ran was told to end; its worker's last word lets it be settled at once.
    script = Script(running)
    assert house.worker.tell(script.started(), script.ended(3)).status == 200
    house.worker.status["call_ids"] = [one for one in house.worker.status["call_ids"] if one != running]
    tables.load()
    deadline = time.monotonic() + 60
    while True:
        with database(api) as connection:
            if (
                connection.execute(text("select id from users where id = :id"), {"id": user_id}).first()
                is None
            ):
                break
        assert time.monotonic() < deadline, "the person was not forgotten"
        time.sleep(0.5)

    kept = set()
    with database(api) as connection:
        for table, mine in belonging(user_id):
            if connection.execute(table.select().where(mine)).first() is not None:
                kept.add(table.name)
        assert kept <= {"wallets", "wallet_transactions", "wallet_entries", "knowledge_bases"}
        names = [
            name
            for (name,) in connection.execute(
                text("select name from knowledge_bases where owner_id = :id"), {"id": user_id}
            )
        ]
        assert names in ([], [""])  # a day without a name, so that workers hear of its end
        told = connection.execute(
            text("select description, explanation from wallet_transactions where owner_id = :id"),
            {"id": user_id},
        ).all()
        assert told
        assert "Zebedee" not in str(told)
        for table in tables.load().sorted_tables:
            found = str(connection.execute(table.select()).all())
            assert person.email not in found, table.name
    for folder in ("recordings", "knowledge", "mail"):
        for path in (api.home / folder).rglob("*"):
            assert made["call_id"] not in path.name
            assert person.email not in path.name
            assert made["base_id"] not in path.name
    assert money.check(Settings.load(api.environment)) == []
    # Nobody else lost anything.
    assert len(stays.ask("GET", "/v1/calls").json["calls"]) == 1
    assert stays.ask("GET", "/v1/contacts").json["total"] == 1
    # The address is free again.
    assert api.ask("POST", "/v1/auth/register", {"email": person.email, "password": PASSWORD}).status == 200


def aged(house: House, call_id: str, days: int) -> None:
    with database(house.api) as connection:
        connection.execute(
            text("update calls set ended_at = :at where id = :id"),
            {
                "at": time.strftime("%Y-%m-%d %H:%M:%S+00:00", time.gmtime(time.time() - days * 86400)),
                "id": call_id,
            }
            if "postgresql" in house.api.environment["CALL2ME_DATABASE_URL"]
            else {
                "at": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(time.time() - days * 86400)),
                "id": call_id,
            },
        )


def written(house: House, person: Person, agent_id: str, days: int) -> str:
    """A chat that was begun, and last written in so many days ago."""
    chat_id: str = person.ask("POST", "/v1/chats", {"agent_id": agent_id}).json["session_id"]
    with database(house.api) as connection:
        at = datetime.now(UTC) - timedelta(days=days)
        is_postgres = "postgresql" in house.api.environment["CALL2ME_DATABASE_URL"]
        connection.execute(
            text("update chats set updated_at = :at where id = :id"),
            {"at": at if is_postgres else at.strftime("%Y-%m-%d %H:%M:%S.%f"), "id": chat_id},
        )
    return chat_id


def texted(house: House, person: Person, agent_id: str, days: int, kept: int | None = None) -> str:
    """A text message that came to an agent so many days ago, and who wrote it."""
    row = SmsRow(
        owner_id=person.credentials["user"]["user_id"],
        number="+13125550100",
        peer=f"+131255599{days}",
        direction="inbound",
        text=SECRET,
        segments=1,
        status="received",
        agent_id=agent_id,
        is_open=False,
        retention_days=kept,
        updated_at=datetime.now(UTC) - timedelta(days=days),
    )
    with database(house.api) as connection:
        connection.execute(tables.load().tables["sms_messages"].insert().values(row.model_dump()))
        thread = {name: getattr(row, name) for name in ("owner_id", "number", "peer")}
        if kept is None:
            connection.execute(tables.load().tables["sms_threads"].insert().values(thread))
    return row.id


def test_what_an_agent_keeps_no_longer_is_forgotten_and_the_call_stays(house: House) -> None:
    person = house.person()
    agent_id = person.ask("GET", "/v1/agents").json[0]["agent_id"]
    old, young = talked(house, person), talked(house, person)
    aged(house, old, 31)
    aged(house, young, 29)
    chats = [written(house, person, agent_id, days) for days in (31, 29)]
    other = person.made("/v1/agents", {**ENGLISH_AGENT, "retention_days": 30})["agent_id"]
    orphans = [written(house, person, other, days) for days in (31, 29)]
    texts = [texted(house, person, agent_id, days) for days in (31, 29)]
    texts += [texted(house, person, other, days, kept=30) for days in (31, 29)]
    assert person.ask("DELETE", f"/v1/agents/{other}").status < 300
    assert person.ask("PATCH", f"/v1/agents/{agent_id}", {"retention_days": 30}).status == 200
    assert person.ask("PATCH", f"/v1/agents/{agent_id}", {"retention_days": 0}).status == 422
    deadline = time.monotonic() + 150  # the sweeper comes each minute
    while (told := person.ask("GET", f"/v1/calls/{old}").json)["transcript"]:
        assert time.monotonic() < deadline, "nothing was forgotten"
        time.sleep(0.5)
    while person.ask("GET", f"/v1/chats/{chats[0]}").status == 200:
        assert time.monotonic() < deadline, "the chat was not forgotten"
        time.sleep(0.1)
    assert [person.ask("GET", f"/v1/chats/{id_}").status for id_ in chats + orphans] == [404, 200, 404, 200]
    while len(left := person.ask("GET", "/v1/sms").json["messages"]) > 2:
        assert time.monotonic() < deadline, "the text messages were not forgotten"
        time.sleep(0.1)
    assert {one["sms_id"] for one in left} == {texts[1], texts[3]}
    threads = tables.load().tables["sms_threads"].c

    def who_wrote() -> list[str]:
        mine = threads.owner_id == person.credentials["user"]["user_id"]
        with database(house.api) as connection:
            return [peer for (peer,) in connection.execute(select(threads.peer).where(mine))]

    while who_wrote() != ["+13125559929"]:
        assert time.monotonic() < deadline, "who wrote was not forgotten"
        time.sleep(0.1)
    assert told["transcript_object"] in (None, [])
    assert told["recording_url"] is None
    assert told["call_analysis"] is None
    assert told["duration_ms"] == 10_000 or told["duration_ms"] > 0
    assert not (house.api.home / "recordings" / f"{old}.ogg").exists()
    with database(house.api) as connection:
        for table in tables.load().sorted_tables:
            found = [row for row in connection.execute(table.select()).all() if old in str(row)]
            assert SECRET not in str(found), table.name
    assert SECRET in person.ask("GET", f"/v1/calls/{young}").json["transcript"]
    assert (house.api.home / "recordings" / f"{young}.ogg").exists()


@pytest.mark.parametrize(
    "table", ["api_keys", "calls", "chats", "contacts", "webhook_events", "call_events", "chat_messages"]
)
def test_every_table_of_a_persons_is_found(table: str) -> None:
    tables.load()
    assert table in {found.name for found, _ in belonging("user_1")}
