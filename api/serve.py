"""Runs the api in this process until it is asked to stop."""

import asyncio
import gc
import logging

import uvloop
from aiohttp import web

from api import logs
from api.app import create_app
from api.http import unreadable
from api.settings import Settings

_LOG = logging.getLogger(__name__)
SHUTDOWN_SECONDS = 1.0
"""For requests under way; workers' WebSockets end with it, and come back when the api does."""


def serve(settings: Settings) -> None:
    """Answer HTTP until SIGTERM or SIGINT. The database must be at the newest revision."""
    logs.configure(settings.log)
    for sentence in settings.misspelt:
        _LOG.warning("a variable is no setting", extra={"why": sentence})
    unreadable.install()
    app = create_app(settings)
    app.on_startup.append(_keep_what_is_loaded)
    web.run_app(
        app,
        host=settings.host,
        port=settings.port,
        shutdown_timeout=SHUTDOWN_SECONDS,
        access_log=None,  # the edge logs each request once, with its id
        print=None,
        handle_signals=True,
        loop=asyncio.Runner(loop_factory=uvloop.new_event_loop).get_loop(),
    )


async def _keep_what_is_loaded(_app: web.Application) -> None:
    # A quarter of a million objects that live as long as the process: to look through them for garbage,
    # as Python does now and then, stops everybody for some tenths of a second.
    gc.freeze()
