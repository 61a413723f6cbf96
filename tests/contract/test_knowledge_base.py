"""/v1/knowledge-base as clients see it: what is added can be asked, what is deleted is gone."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person
from tests.support.knowledge import asked, read, upload, uploaded

HOURS = {"title": "Opening hours", "text": "We are open Monday to Friday from 8 a.m. to 6 p.m."}
PRICES = {"title": "Prices", "text": "A crown costs 900 dollars. A filling costs 150 dollars."}


def made(person: Person, **more: Any) -> dict[str, Any]:
    """A base; searched by words alone unless asked otherwise, since loading a model takes its time."""
    return person.made("/v1/knowledge-base", {"knowledge_base_name": "Clinic", "embedder": "words", **more})


def blobs(api: Api, *ids: str) -> set[str]:
    """Files of these things; documents of anybody, where none is named."""
    names = {path.name for path in (Path(api.home) / "knowledge").iterdir()}
    return {name for name in names if any(id_ in name for id_ in ids or [".raw"])}


def test_a_text_is_answerable_once_its_base_is_complete(person: Person) -> None:
    base = made(person, knowledge_base_texts=[HOURS, PRICES], embedder="auto")
    assert base["status"] == "in_progress"
    assert base["progress"] == {"stage": "waiting", "done": 0, "total": 2, "reason": None}
    assert base["source_count"] == 2
    done = read(person, base)
    assert (done["status"], done["progress"]["stage"], done["progress"]["done"]) == (
        "complete",
        "complete",
        2,
    )
    assert done["chunk_count"] == sum(source["chunk_count"] for source in done["knowledge_base_sources"]) > 1
    first = done["knowledge_base_sources"][0]
    assert (first["type"], first["title"], first["content"]) == ("text", HOURS["title"], HOURS["text"])
    answer = asked(person, base, "How much is a crown?")
    assert answer["query"] == "How much is a crown?"
    best = answer["results"][0]
    assert "900 dollars" in best["content"]
    assert (best["source_type"], best["source_id"]) == (
        "text", done["knowledge_base_sources"][1]["source_id"],
    )  # fmt: skip
    assert 0.6 <= best["score"] <= 1
    assert "sure enough" in best["why"]
    assert "900 dollars" in answer["context_text"]


def test_a_query_keeps_to_its_bounds(person: Person) -> None:
    base = read(person, made(person, knowledge_base_texts=[HOURS, PRICES]))
    assert asked(person, base, "crown", threshold=1.0, top_k=1)["results"] == []
    assert len(asked(person, base, "crown filling open", threshold=0, top_k=1)["results"]) == 1
    hours = base["knowledge_base_sources"][0]["source_id"]
    only = asked(person, base, "How much is a crown?", source_ids=[hours], threshold=0)["results"]
    assert {result["source_id"] for result in only} <= {hours}
    for wrong in ({}, {"query": ""}, {"query": "x", "top_k": 21}, {"query": "x", "threshold": 2}):
        path = f"/v1/knowledge-base/{base['knowledge_base_id']}/query"
        assert person.ask("POST", path, wrong).status == 422


def test_an_empty_base_is_complete_and_knows_nothing(person: Person) -> None:
    base = read(person, made(person))
    assert (base["status"], base["chunk_count"], base["knowledge_base_sources"]) == ("complete", 0, [])
    assert asked(person, base, "Anything?") == {"query": "Anything?", "results": [], "context_text": ""}


def test_the_same_content_again_is_one_source(person: Person) -> None:
    base = read(person, made(person, knowledge_base_texts=[HOURS]))
    path = f"/v1/knowledge-base/{base['knowledge_base_id']}"
    again = person.made(f"{path}/add-sources", {"knowledge_base_texts": [HOURS, {**HOURS, "title": "Again"}]})
    assert again["knowledge_base_sources"] == base["knowledge_base_sources"]
    assert again["status"] == "complete"
    assert upload(person, f"{path}/upload", ("a.txt", b"Parking is free.")).status == 201
    assert upload(person, f"{path}/upload", ("b.txt", b"Parking is free.")).status == 201
    assert read(person, base)["source_count"] == 2


def test_both_spellings_add_and_delete_sources(person: Person) -> None:
    base = made(person)
    path = f"/v1/knowledge-base/{base['knowledge_base_id']}"
    person.made(f"{path}/sources", {"knowledge_base_texts": [HOURS]})
    person.made(f"{path}/add-sources", {"knowledge_base_texts": [PRICES]})
    sources = read(person, base)["knowledge_base_sources"]
    assert [source["title"] for source in sources] == ["Opening hours", "Prices"]
    assert person.ask("DELETE", f"{path}/source/{sources[0]['source_id']}").status == 204
    gone = person.ask("DELETE", f"{path}/sources/{sources[0]['source_id']}")
    assert (gone.status, gone.detail) == (404, "Source not found")
    assert person.ask("DELETE", f"{path}/sources/{sources[1]['source_id']}").status == 204
    assert read(person, base)["chunk_count"] == 0


def test_files_are_streamed_kept_and_given_back(person: Person) -> None:
    base = uploaded(person, {"files": ("../../etc/hours.txt", b"On Sunday we are closed.")}, "Files")
    (source,) = read(person, base)["knowledge_base_sources"]
    assert (source["type"], source["filename"], source["file_size"]) == ("document", "hours.txt", 24)
    assert source["file_url"].startswith(person.api.url)
    file = person.ask("GET", source["file_url"].removeprefix(person.api.url))
    assert (file.status, file.raw) == (200, b"On Sunday we are closed.")
    assert file.headers["content-disposition"] == "attachment"
    assert "closed" in asked(person, base, "Sunday?", threshold=0)["results"][0]["content"]


def test_a_form_carries_texts_and_files_together(person: Person) -> None:
    reply = upload(
        person, "/v1/knowledge-base/upload", ("a.txt", b"Parking is free."),
        knowledge_base_name="Both", knowledge_base_texts=[HOURS], embedder="words",
    )  # fmt: skip
    assert reply.status == 201, reply.raw
    base = read(person, reply.json)
    assert {source["type"] for source in base["knowledge_base_sources"]} == {"text", "document"}
    assert (base["status"], base["embedder"]) == ("complete", "words")
    assert "free" in asked(person, base, "parking free", threshold=0)["results"][0]["content"]


def test_deleting_removes_text_files_and_index_together(person: Person, api: Api) -> None:
    base = uploaded(person, {"files": ("a.txt", b"The secret is 4711.")}, "Gone")
    base_id = base["knowledge_base_id"]
    read(person, base)
    assert asked(person, base, "secret 4711", threshold=0)["results"]
    source_id = base["knowledge_base_sources"][0]["source_id"]
    assert {f"{source_id}.raw", f"{source_id}-1.part", f"{base_id}-1.index"} == blobs(api, base_id, source_id)
    assert person.ask("DELETE", f"/v1/knowledge-base/{base_id}/source/{source_id}").status == 204
    # Before the next index is there too: what is deleted is not told any more.
    assert asked(person, base, "secret 4711", threshold=0)["results"] == []
    read(person, base)
    assert blobs(api, source_id) == set()
    assert person.ask("DELETE", f"/v1/knowledge-base/{base_id}").status == 204
    assert blobs(api, base_id) == set()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/query")):
        reply = person.ask(method, f"/v1/knowledge-base/{base_id}{path}", {"query": "secret"})
        assert (reply.status, reply.detail) == (404, "Knowledge base not found")
    assert person.ask("GET", "/v1/knowledge-base").json == []


def test_nothing_that_was_deleted_stays_in_a_copy(person: Person, api: Api) -> None:
    base = made(person, knowledge_base_texts=[HOURS])
    base_id = base["knowledge_base_id"]
    copies = Path(api.home) / "knowledge-cache" / "api"
    read(person, base)
    assert asked(person, base, "open Monday", threshold=0)["results"]
    assert list(copies.glob(f"{base_id}-*"))
    assert person.ask("DELETE", f"/v1/knowledge-base/{base_id}").status == 204
    assert list(copies.glob(f"{base_id}-*")) == []


def test_an_agent_answers_from_a_base_that_names_it(person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    base = made(person, agent_id=agent_id)
    other = made(person, knowledge_base_name="Other")

    def known() -> list[str]:
        ids: list[str] = person.ask("GET", f"/v1/agents/{agent_id}").json["knowledge_base_ids"]
        return ids

    assert known() == [base["knowledge_base_id"]]
    listed = person.ask("GET", f"/v1/knowledge-base?agent_id={agent_id}").json
    assert [found["knowledge_base_id"] for found in listed] == [base["knowledge_base_id"]]
    person.ask("PATCH", f"/v1/knowledge-base/{other['knowledge_base_id']}", {"agent_id": agent_id})
    assert known() == [base["knowledge_base_id"], other["knowledge_base_id"]]
    person.ask("DELETE", f"/v1/knowledge-base/{base['knowledge_base_id']}")
    assert known() == [other["knowledge_base_id"]]
    stranger = person.api.person()
    body = {"knowledge_base_name": "x", "agent_id": agent_id}
    assert stranger.ask("POST", "/v1/knowledge-base", body).status == 404
    assert stranger.ask("GET", "/v1/knowledge-base").json == []


def test_the_list_is_bare_and_shows_the_beginning_of_texts(person: Person) -> None:
    base = made(person, knowledge_base_texts=[{"title": "Long", "text": "Long. " * 1000}])
    (listed,) = person.ask("GET", "/v1/knowledge-base").json
    assert listed["knowledge_base_sources"][0]["content"] == ("Long. " * 1000)[:500] + "…"
    assert len(base["knowledge_base_sources"][0]["content"]) == 6000


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/", "not on the public internet"),
        ("http://[::ffff:7f00:1]/", "not on the public internet"),
        ("file:///etc/passwd", "must begin with"),
        ("https://example.com:22/", "Port 22"),
    ],
)
def test_a_page_that_may_not_be_reached_is_refused_at_once(person: Person, url: str, why: str) -> None:
    reply = person.ask(
        "POST",
        "/v1/knowledge-base",
        {"knowledge_base_name": "x", "knowledge_base_urls": ["https://a.com", url]},
    )
    assert reply.status == 422
    assert reply.detail[0]["loc"] == ["body", "knowledge_base_urls", 1]
    assert why in reply.detail[0]["msg"]
    assert person.ask("GET", "/v1/knowledge-base").json == []


def test_an_embedding_server_is_offered_only_where_the_operator_named_one(person: Person) -> None:
    body = {"knowledge_base_name": "x", "embedder": "openai/text-embedding-3-small"}
    reply = person.ask("POST", "/v1/knowledge-base", body)
    assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "embedder"])
    assert "CALL2ME_EMBEDDINGS_URL" in reply.detail[0]["msg"]
    path = f"/v1/knowledge-base/{made(person)['knowledge_base_id']}"
    assert person.ask("PATCH", path, {"embedder": "openai/x"}).status == 422


def test_a_site_is_shown_as_an_address_with_its_bounds(person: Person) -> None:
    sites = [{"url": "https://site.invalid/help/", "max_pages": 7}]
    base = read(person, made(person, knowledge_base_sites=sites))
    (source,) = base["knowledge_base_sources"]
    assert (source["type"], source["url"], source["status"]) == ("url", "https://site.invalid/help/", "error")
    assert source["site"] == {"depth": 2, "max_pages": 7, "page_count": 0}
    assert "site.invalid" in source["progress"]["reason"]
    path = f"/v1/knowledge-base/{base['knowledge_base_id']}/sources"
    assert person.made(path, {"knowledge_base_sites": sites})["source_count"] == 1
    for wrong in (
        {"max_pages": 201},
        {"depth": 6},
        {"depth": -1},
        {"url": "http://127.0.0.1/"},
        {"url": "x"},
    ):
        reply = person.ask("POST", path, {"knowledge_base_sites": [{**sites[0], **wrong}]})
        assert reply.status == 422, wrong
        assert reply.detail[0]["loc"][:3] == ["body", "knowledge_base_sites", 0]


def test_what_cannot_be_read_says_why_and_the_rest_is_answerable(person: Person) -> None:
    base = uploaded(person, {"files": ("lies.txt", bytes(range(256)) * 40)}, "Bad")
    person.made(f"/v1/knowledge-base/{base['knowledge_base_id']}/sources", {"knowledge_base_texts": [PRICES]})
    done = read(person, base)
    assert done["status"] == "error"
    assert "lies.txt" in done["progress"]["reason"]
    bad, good = done["knowledge_base_sources"]
    assert (bad["status"], bad["chunk_count"]) == ("error", 0)
    assert bad["progress"]["reason"]
    assert good["status"] == "complete"
    assert asked(person, base, "How much is a crown?")["results"]


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        ([], {}, 422),
        ([], {"knowledge_base_name": "x" * 41}, 422),
        ([("a.txt", b"")], {"knowledge_base_name": "x"}, 422),
        ([("a.txt", b"a")] * 21, {"knowledge_base_name": "x"}, 413),
        ([("a.txt", b"a")], {"knowledge_base_name": "x", "knowledge_base_texts": "{"}, 422),
        ([("a.txt", b"a")], {"knowledge_base_name": "x", "knowledge_base_texts": [{"title": "t"}]}, 422),
        ([("a.txt", b"a")], {"knowledge_base_name": "x", "knowledge_base_urls": ["ftp://x"]}, 422),
        ([("a.txt", b"a")], {"knowledge_base_name": "x", "agent_id": "agent_000000000000"}, 404),
        ([("a.txt", b"a")], {"knowledge_base_name": "a\0b"}, 422),
    ],
)
def test_a_form_that_is_wrong_changes_nothing(
    person: Person, api: Api, files: list[tuple[str, bytes]], fields: dict[str, Any], status: int
) -> None:
    before = blobs(api)
    reply = upload(person, "/v1/knowledge-base/upload", *files, **fields)
    assert reply.status == status, reply.raw
    assert blobs(api) <= before
    assert person.ask("GET", "/v1/knowledge-base").json == []


def test_a_form_that_is_none_is_refused(person: Person) -> None:
    base_id = made(person)["knowledge_base_id"]
    for path in ("/v1/knowledge-base/upload", f"/v1/knowledge-base/{base_id}/upload"):
        assert person.ask("POST", path, {"knowledge_base_name": "x"}).status == 415
        for raw in (b"", b"junk", b"--b\r\n", b"--b\r\nX\r\n\r\n--b--\r\n"):
            reply = person.ask(
                "POST", path, raw=raw, headers={"Content-Type": "multipart/form-data; boundary=b"}
            )
            assert reply.status in (400, 422), (raw, reply.raw)
        headers = {"Content-Type": "multipart/form-data"}
        assert person.ask("POST", path, raw=b"x", headers=headers).status == 400


def test_a_file_above_the_bound_is_refused_while_it_arrives(person: Person, api: Api) -> None:
    before = blobs(api)
    reply = upload(
        person, "/v1/knowledge-base/upload", ("big.txt", b"x" * (51 * 1024**2)), knowledge_base_name="x"
    )
    assert (reply.status, "50 MB" in str(reply.detail)) == (413, True)
    assert blobs(api) <= before
