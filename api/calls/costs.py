"""Prices of providers: those that came with us, or the operator's own."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.costs import CostSplit, Engines, Prices, split
from pipelines.environment import SettingsError

__all__ = ["CostSplit", "Engines", "Prices", "load", "split"]


@lru_cache(maxsize=4)
def load(path: Path | None = None) -> Prices:
    """The prices that came with us, or those of a file. Raises `SettingsError` with a sentence."""
    try:
        raw: Mapping[str, Any] = json.loads(
            (path or files("api.calls").joinpath("prices.json")).read_text("utf-8")
        )
        return Prices.model_validate(raw)
    except OSError as error:
        raise SettingsError(f"CALL2ME_PRICES cannot be read: {error.strerror}.") from error
    except (ValueError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, first["loc"])) + ": " + first["msg"] if first else "it is not JSON"
        raise SettingsError(f"CALL2ME_PRICES cannot be used: {where}.") from error
