"""What this program calls itself."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

SERVICE = "call2me-api"
TITLE = "Call2Me Runtime"


@cache
def version() -> str:
    """The installed version; `0.0.0` when run from a checkout that was not installed."""
    try:
        return installed_version("call2me-runtime")
    except PackageNotFoundError:
        return "0.0.0"
