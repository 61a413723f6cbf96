"""How soon a warm process is heard that is given a call: `python -m bench.first_sound`.

From the job to the greeting's first sample, with instant providers: the brief asked of the api over HTTP, the
pipeline assembled, the session started. The line has no network. Prints JSON.
"""

import asyncio
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path

from tests.integration.test_call import holding
from worker.liveness import Liveness

ROUNDS = 10


async def first_sound(home: Path) -> float:
    """Milliseconds."""
    (home / "run").mkdir()
    liveness = Liveness(
        home / "run" / "calls.sock", on_change=lambda: None, on_lost=lambda here: None
    )  # without a supervisor a call would wait half a second for it
    async with liveness.listening(), holding(home) as held:
        began = time.perf_counter()
        while not (hasattr(held, "line") and hasattr(held.line, "output") and held.line.output.loudest):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        heard = time.perf_counter()
        held.line.leave()
    return 1000 * (heard - began)


async def measure() -> dict[str, float]:
    """The first round, which warms the process up, does not count."""
    found = []
    for _ in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            found.append(await first_sound(Path(folder)))
    found = found[1:]
    return {"median ms": round(statistics.median(found)), "slowest ms": round(max(found))}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(asyncio.run(measure())))
