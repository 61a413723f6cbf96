"""/v1/knowledge-base: what agents know."""

from aiohttp import web
from pydantic import ValidationError

from api.agents.service import AgentNotFound
from api.http.errors import BadRequest, Invalid, NotFound, UnsupportedMedia
from api.http.links import base_url
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import ANSWERS, CALLER, GUARD, KNOWLEDGE, SESSION, SETTINGS
from api.knowledge_base import blobs, service, uploads, workflows
from api.knowledge_base.schemas import (
    SHOWN_IN_LISTS,
    Answer,
    KnowledgeBase,
    KnowledgeBaseCreate,
    KnowledgeBaseQuery,
    KnowledgeBaseUpdate,
    Question,
    SourcesAdd,
)
from api.knowledge_base.service import KnowledgeBaseNotFound, SourceNotFound, TooManyBases, TooManySources
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from pipelines.embedding_server import PREFIX
from pipelines.outbound import Refused

routes = Routes("/v1/knowledge-base", tag="Knowledge base")
_LOCATION = "/v1/knowledge-base/{knowledge_base_id}"
_MULTIPART = "multipart/form-data"
_REFUSED = [BadRequest, uploads.FileTooLarge, uploads.TooManyFiles, UnsupportedMedia]


class FileGone(NotFound):
    """The file is not here"""


@routes.post(status=201, location=_LOCATION, errors=[AgentNotFound, TooManyBases, TooManySources])
async def create_knowledge_base(request: web.Request, body: KnowledgeBaseCreate) -> KnowledgeBase:
    """Make a knowledge base. Its sources are read in the background: watch `status` and `progress`."""
    sources = _sources(request, body)
    _check_embedder(request, body.embedder)
    base = await service.create(request[SESSION], request[CALLER].owner_id, body, sources)
    return await _shown(request, base)


@routes.get(errors=[AgentNotFound])
async def list_knowledge_bases(request: web.Request, query: KnowledgeBaseQuery) -> list[KnowledgeBase]:
    """List knowledge bases, newest first; of each text only the beginning is shown."""
    bases = await service.page(request[SESSION], request[CALLER], query)
    sources = await service.sources_of(request[SESSION], [base.id for base in bases], is_list=True)
    return [KnowledgeBase.of(base, sources[base.id], _url(request), SHOWN_IN_LISTS) for base in bases]


@routes.post(
    "/upload",
    status=201,
    location=_LOCATION,
    reads=_MULTIPART,
    errors=[AgentNotFound, TooManyBases, TooManySources, Invalid, *_REFUSED],
)
async def upload_knowledge_base(request: web.Request) -> KnowledgeBase:
    """Make a knowledge base of files.

    A form with `knowledge_base_name`, `files`, and what else making one takes; `knowledge_base_texts`,
    `knowledge_base_urls` and `knowledge_base_sites` are JSON.
    """
    form = await uploads.read(request)
    try:
        body = _validated(form.fields)
        texts = _sources(request, body)
        _check_embedder(request, body.embedder)
        owner_id = request[CALLER].owner_id
        base = await service.create(request[SESSION], owner_id, body, [*texts, *form.documents])
    except BaseException:
        await uploads.discard(request, [row.id for row in form.documents])
        raise
    return await _settled(request, base, form)


@routes.get("/{knowledge_base_id}", errors=[KnowledgeBaseNotFound])
async def get_knowledge_base(request: web.Request, knowledge_base_id: str) -> KnowledgeBase:
    """Get a knowledge base and how far it is."""
    return await _shown(request, await _mine(request, knowledge_base_id))


@routes.patch("/{knowledge_base_id}", errors=[KnowledgeBaseNotFound, AgentNotFound])
async def update_knowledge_base(
    request: web.Request, knowledge_base_id: str, body: KnowledgeBaseUpdate
) -> KnowledgeBase:
    """Change a knowledge base; what is not sent stays as it is."""
    base = await _mine(request, knowledge_base_id, to_change=True)
    _check_embedder(request, body.embedder)
    return await _shown(request, await service.change(request[SESSION], base, body))


@routes.delete("/{knowledge_base_id}", errors=[KnowledgeBaseNotFound])
async def delete_knowledge_base(request: web.Request, knowledge_base_id: str) -> None:
    """Delete a knowledge base: texts, files and vectors. Agents stop answering from it."""
    base = await _mine(request, knowledge_base_id, to_change=True)
    await service.remove(request[SESSION], base)
    request.app[ANSWERS].forget(base.id)


@routes.post(
    "/{knowledge_base_id}/add-sources",
    status=201,
    older=["/{knowledge_base_id}/sources"],
    errors=[KnowledgeBaseNotFound, TooManySources],
)
async def add_sources(request: web.Request, knowledge_base_id: str, body: SourcesAdd) -> KnowledgeBase:
    """Add texts, pages and sites. What is there already stays one source; what had failed is tried again."""
    base = await _mine(request, knowledge_base_id, to_change=True)
    sources = _sources(request, body)
    await service.add(request[SESSION], base, sources)
    return await _shown(request, base)


@routes.post(
    "/{knowledge_base_id}/upload",
    status=201,
    reads=_MULTIPART,
    errors=[KnowledgeBaseNotFound, TooManySources, Invalid, *_REFUSED],
)
async def upload_sources(request: web.Request, knowledge_base_id: str) -> KnowledgeBase:
    """Add files: PDF, DOCX, TXT, MD, HTML, CSV, XLSX."""
    await _mine(request, knowledge_base_id)
    await let_go(request)  # an upload may take a while; nobody waits for its lock
    form = await uploads.read(request)
    try:
        if not form.documents:
            raise Invalid.at("body", "files", msg="Field required", type="missing")
        base = await _mine(request, knowledge_base_id, to_change=True)
        await service.add(request[SESSION], base, form.documents)
    except BaseException:
        await uploads.discard(request, [row.id for row in form.documents])
        raise
    return await _settled(request, base, form)


@routes.delete(
    "/{knowledge_base_id}/source/{source_id}",
    older=["/{knowledge_base_id}/sources/{source_id}"],
    errors=[KnowledgeBaseNotFound, SourceNotFound],
)
async def delete_source(request: web.Request, knowledge_base_id: str, source_id: str) -> None:
    """Delete a source: its text, its file and its vectors."""
    base = await _mine(request, knowledge_base_id, to_change=True)
    await service.remove_source(request[SESSION], base, source_id)


@routes.get(
    "/{knowledge_base_id}/sources/{source_id}/file",
    produces=["application/octet-stream"],
    errors=[KnowledgeBaseNotFound, SourceNotFound, FileGone],
)
async def get_source_file(request: web.Request, knowledge_base_id: str, source_id: str) -> web.StreamResponse:
    """Get a document as it was uploaded, or a page as it was last fetched."""
    base = await _mine(request, knowledge_base_id)
    row = await service.source(request[SESSION], base, source_id)
    name = blobs.raw_name(row.id)
    size = await request.app[KNOWLEDGE].size(name)
    if size is None:
        raise FileGone
    await let_go(request)
    # Never shown by a browser: what somebody uploaded would speak with our page's voice.
    response = web.StreamResponse(
        headers={"Content-Disposition": "attachment", "Content-Type": "application/octet-stream"}
    )
    response.content_length = size
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in request.app[KNOWLEDGE].read(name, 0, size):
            await response.write(chunk)
    await response.write_eof()
    return response


@routes.post("/{knowledge_base_id}/refresh", errors=[KnowledgeBaseNotFound])
async def refresh_knowledge_base(request: web.Request, knowledge_base_id: str) -> KnowledgeBase:
    """Fetch every page anew, and try again what failed."""
    base = await _mine(request, knowledge_base_id, to_change=True)
    await service.refresh(request[SESSION], base)
    return await _shown(request, base)


@routes.post("/{knowledge_base_id}/query", errors=[KnowledgeBaseNotFound])
async def query_knowledge_base(request: web.Request, knowledge_base_id: str, body: Question) -> Answer:
    """Ask a knowledge base as a call would: passages, best first, and how sure each is."""
    base = await _mine(request, knowledge_base_id)
    sources = (await service.sources_of(request[SESSION], [base.id], is_list=True))[base.id]
    await let_go(request)
    return await request.app[ANSWERS].ask(base, sources, body)


async def _mine(request: web.Request, base_id: str, *, to_change: bool = False) -> KnowledgeBaseRow:
    return await service.get(request[SESSION], request[CALLER].owner_id, base_id, to_change=to_change)


def _sources(request: web.Request, body: SourcesAdd) -> list[KnowledgeSourceRow]:
    rows = [workflows.text_source(new.title, new.text) for new in body.knowledge_base_texts]
    for number, url in enumerate(body.knowledge_base_urls):
        _check(request, url, "knowledge_base_urls", number)
        rows.append(workflows.url_source(url))
    for number, site in enumerate(body.knowledge_base_sites):
        _check(request, site.url, "knowledge_base_sites", number, "url")
        rows.append(workflows.site_source(site.url, site.depth, site.max_pages))
    return rows


def _check(request: web.Request, url: str, *where: str | int) -> None:
    try:
        request.app[GUARD].check(url)
    except Refused as refused:
        raise Invalid.at("body", *where, msg=str(refused), type="url", input=url[:500]) from None


def _check_embedder(request: web.Request, embedder: str | None) -> None:
    if embedder and embedder.startswith(PREFIX) and request.app[SETTINGS].providers.embeddings is None:
        why = "There is no embedding server here; its operator sets CALL2ME_EMBEDDINGS_URL or OPENAI_API_KEY"
        raise Invalid.at("body", "embedder", msg=why, type="unavailable", input=embedder)


def _validated(fields: dict[str, object]) -> KnowledgeBaseCreate:
    try:
        return KnowledgeBaseCreate.model_validate(fields)
    except ValidationError as error:
        raise Invalid.of(error, "body") from None


async def _settled(request: web.Request, base: KnowledgeBaseRow, form: uploads.Form) -> KnowledgeBase:
    """The reply, and no files of documents that were there already."""
    sources = (await service.sources_of(request[SESSION], [base.id]))[base.id]
    kept = {row.id for row in sources}
    await uploads.discard(request, [row.id for row in form.documents if row.id not in kept])
    return KnowledgeBase.of(base, sources, _url(request))


async def _shown(request: web.Request, base: KnowledgeBaseRow) -> KnowledgeBase:
    sources = (await service.sources_of(request[SESSION], [base.id]))[base.id]
    return KnowledgeBase.of(base, sources, _url(request))


def _url(request: web.Request) -> str:
    return f"{base_url(request)}/v1/knowledge-base"
