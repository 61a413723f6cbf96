"""What a call needs of the process it runs in."""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.contract.brief import CallBrief
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.parts import Local
from pipelines.tools.developer import Functions
from pipelines.tools.knowledge import Finds
from worker.settings import WorkerSettings


@dataclass(frozen=True)
class Host:
    """What a call needs of the process it runs in."""

    settings: WorkerSettings
    functions: Functions
    know: Callable[[CallBrief, ModelsEmbedder | None], Finds | None]
    local: Local | None = None
    """Stands in for the parts on this machine, in tests."""
