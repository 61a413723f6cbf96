"""A Hugging Face hub of our own: one repository, its revisions and its files."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`asked` lists the paths that were fetched."""

    files: Mapping[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def info(self, request: web.Request) -> web.Response:
        """What is in the repository."""
        self.asked.append(request.path)
        siblings = [{"rfilename": name} for name in self.files]
        return web.json_response({"id": "owner/whisper", "sha": COMMIT, "siblings": siblings})

    async def tree(self, request: web.Request) -> web.Response:
        """The same, as newer clients ask."""
        self.asked.append(request.path)
        return web.json_response(
            [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}  # noqa: S324
                for name, data in self.files.items()
            ]
        )

    async def file(self, request: web.Request) -> web.Response:
        """One file."""
        self.asked.append(request.path)
        name = request.match_info["name"]
        if name not in self.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        data = self.files[name]
        etag = hashlib.sha1(data).hexdigest()  # noqa: S324 - the name of a blob, as git gives it
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}
        return web.Response(body=data, headers=headers)


@contextlib.asynccontextmanager
async def hub(files: Mapping[str, bytes]) -> AsyncIterator[Hub]:
    """Served on loopback while the block runs."""
    served = Hub(files)
    app = web.Application()
    app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", served.info)
    app.router.add_get("/api/models/{owner}/{name}/tree/{revision}", served.tree)
    app.router.add_get("/{owner}/{repo}/resolve/{revision}/{name}", served.file)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    served.url = f"http://127.0.0.1:{port}"
    try:
        yield served
    finally:
        await runner.cleanup()
