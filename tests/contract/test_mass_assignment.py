"""What only the server sets cannot be sent: every column that a table has and its wire model has not."""

from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

from api import tables
from api.api_keys.schemas import ApiKeyCreate
from api.branding.schemas import BrandingConfig
from api.contacts.schemas import ContactCreate
from api.settings import Settings
from api.tenants.schemas import InviteCreate
from api.users.schemas import UserUpdate
from tests.support.api import Api, Person

VALUES: dict[str, Any] = {
    "owner_id": "user_000000000000",
    "user_id": "user_000000000000",
    "tenant_owner_id": "user_000000000000",
    "email": "taken@example.com",
    "status": "accepted",
}

CASES: list[tuple[str, str, str, type[Any], dict[str, Any]]] = [
    ("PATCH", "/v1/users/me", "users", UserUpdate, {"full_name": "Ada"}),
    ("PUT", "/v1/users/me/branding", "brandings", BrandingConfig, {"app_name": "Ada"}),
    ("POST", "/v1/api-keys", "api_keys", ApiKeyCreate, {"name": "k"}),
    ("POST", "/v1/users/me/tenant/invites", "tenant_invites", InviteCreate, {"email": "in@example.com"}),
    ("POST", "/v1/contacts", "contacts", ContactCreate, {"phone_number": "+905321112233"}),
]


def rows(api: Api, table: str, owner_id: str) -> list[dict[str, Any]]:
    url = (
        Settings.load(api.environment).database_url.replace("+aiosqlite", "").replace("+asyncpg", "+psycopg")
    )
    engine = create_engine(url)
    column = "id" if table == "users" else "owner_id"
    try:
        with engine.begin() as connection:
            query = text(f"select * from {table} where {column} = :id")  # noqa: S608 - a name of ours
            return [dict(row) for row in connection.execute(query, {"id": owner_id}).mappings()]
    finally:
        engine.dispose()


@pytest.mark.parametrize(("method", "path", "table", "wire", "body"), CASES, ids=[case[1] for case in CASES])
def test_what_the_server_sets_is_not_taken_from_a_body(
    api: Api, method: str, path: str, table: str, wire: type[Any], body: dict[str, Any]
) -> None:
    tables.load()
    sent = set(wire.model_fields)
    forbidden = [column.name for column in SQLModel.metadata.tables[table].c if column.name not in sent]
    assert len(forbidden) >= 2
    plain, greedy = api.person(), api.person()
    assert plain.ask(method, path, body).status in {200, 201}
    more = {
        name: VALUES.get(name, "2020-01-01T00:00:00Z" if name.endswith("_at") else 7) for name in forbidden
    }
    if "email" in body:
        more.pop("email", None)
    reply = greedy.ask(method, path, {**more, **body})
    assert reply.status in {200, 201}, reply.raw
    (expected,) = rows(api, table, _id(plain))
    (found,) = rows(api, table, _id(greedy))
    wrong = {
        name
        for name in forbidden
        if name in more
        and (str(found[name]) == str(more[name]) or (found[name] is None) != (expected[name] is None))
        and str(found[name]) != str(expected[name])
    }
    assert wrong == set()


def _id(person: Person) -> str:
    return str(person.credentials["user"]["user_id"])
