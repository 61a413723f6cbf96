"""Every table there is: importing this loads them all. `python -m api.tables` writes revision 0001 anew.

Until the first release there are no installations to carry over, so there is one revision, made
from the tables as they are. Whoever changes a table last runs it; a test compares the two.
"""

import asyncio
import sys
from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import MetaData
from sqlmodel import SQLModel

import api


def load() -> MetaData:
    """The metadata with every resource's tables in it."""
    for package in iter_modules(api.__path__, "api."):
        if package.ispkg and any(m.name == "table" for m in iter_modules([_folder(package.name)])):
            import_module(f"{package.name}.table")
    return SQLModel.metadata


def _folder(package: str) -> str:
    return f"{next(iter(api.__path__))}/{package.removeprefix('api.')}"


if __name__ == "__main__":
    from api.db.migrate import write_first_revision

    sys.stdout.write(f"{asyncio.run(write_first_revision(load()))}\n")
