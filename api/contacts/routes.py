"""/v1/contacts and /v1/do-not-call: people, and who of them must not be called."""

from aiohttp import web

from api.contacts import importing, service
from api.contacts.schemas import (
    Contact,
    ContactCreate,
    ContactList,
    ContactQuery,
    ContactsUploaded,
    ContactUpdate,
    DoNotCall,
    DoNotCallEntry,
    DoNotCallList,
    UploadQuery,
)
from api.contacts.service import ContactExists, ContactNotFound, NotOnTheList
from api.contacts.table import ContactRow
from api.http.errors import RequestTimeout, TooLarge, UnsupportedMedia
from api.http.pages import Page
from api.http.routes import Routes
from api.http.sheets import MAX_SHEET_BYTES, BadSheet
from api.http.uploads import NoFile, read_file
from api.keys import CALLER, DATABASE, SESSION

routes = Routes("/v1/contacts", tag="Contacts")
do_not_call = Routes("/v1/do-not-call", tag="Contacts")


@routes.get()
async def list_contacts(request: web.Request, query: ContactQuery) -> ContactList:
    """List your contacts, newest first."""
    rows, total = await service.page(request[SESSION], request[CALLER], query)
    tags, barred = await service.told(request[SESSION], rows)
    return ContactList(
        contacts=[Contact.of(row, tags.get(row.id, ()), barred) for row in rows],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )


@routes.post(status=201, errors=[ContactExists], location="/v1/contacts/{contact_id}")
async def create_contact(request: web.Request, body: ContactCreate) -> Contact:
    """Keep somebody new."""
    caller = request[CALLER]
    # Before the transaction: nobody waits for their turn to write while this is asked.
    is_barred = await service.is_barred(request.app[DATABASE], caller.owner_id, body.phone_number)
    values = await service.create(request[SESSION], caller, body)
    return Contact.of_values(values, body.tags, is_barred=is_barred)


@routes.post(
    "/upload",
    status=201,
    errors=[BadSheet, TooLarge, UnsupportedMedia, RequestTimeout, NoFile],
    aliases=["/upload-csv"],
    reads="multipart/form-data",
    resumes=True,
)
async def upload_contacts(request: web.Request, query: UploadQuery) -> ContactsUploaded:
    """Keep everybody in a CSV file, of 5 MB at most.

    It has a header with a column `phone`, `phone_number` or `telefon`; `name`, `ad` or `isim` is the
    name, and every other column a variable.
    """
    raw = await read_file(request, MAX_SHEET_BYTES)
    return await importing.keep_people(request.app[DATABASE], request[CALLER].owner_id, raw, query)


@routes.get("/{contact_id}", errors=[ContactNotFound])
async def get_contact(request: web.Request, contact_id: str) -> Contact:
    """Get a contact."""
    row = await service.get(request[SESSION], request[CALLER].owner_id, contact_id)
    return await _told(request, row)


@routes.patch("/{contact_id}", errors=[ContactNotFound, ContactExists])
async def update_contact(request: web.Request, contact_id: str, body: ContactUpdate) -> Contact:
    """Change a contact; what is not sent stays as it is."""
    row = await service.change(request[SESSION], request[CALLER], contact_id, body)
    return await _told(request, row)


@routes.delete("/{contact_id}", errors=[ContactNotFound])
async def delete_contact(request: web.Request, contact_id: str) -> None:
    """Forget a contact. The calls with them stay."""
    await service.remove(request[SESSION], request[CALLER], contact_id)


@do_not_call.get()
async def list_do_not_call(request: web.Request, query: Page) -> DoNotCallList:
    """List the numbers that must not be called, newest first."""
    rows, total = await service.barred_page(request[SESSION], request[CALLER], query)
    entries = [DoNotCallEntry.of(row) for row in rows]
    return DoNotCallList(numbers=entries, total=total, limit=query.limit, offset=query.offset)


@do_not_call.post(status=201)
async def add_do_not_call(request: web.Request, body: DoNotCall) -> DoNotCallEntry:
    """Let nobody call a number: no request, no schedule, no campaign."""
    return DoNotCallEntry.of(await service.bar(request[SESSION], request[CALLER], body))


@do_not_call.delete("/{barred_number}", errors=[NotOnTheList])
async def remove_do_not_call(request: web.Request, barred_number: str) -> None:
    """Let a number be called again."""
    await service.unbar(request[SESSION], request[CALLER], barred_number)


async def _told(request: web.Request, row: ContactRow) -> Contact:
    tags, barred = await service.told(request[SESSION], [row])
    return Contact.of(row, tags.get(row.id, ()), barred)
