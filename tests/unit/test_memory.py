"""What is loaded is kept out of the collector's way, in a process of its own: freezing is for ever."""

import subprocess
import sys

_PROGRAM = """
import gc
from worker import memory

loaded = [[] for _ in range(400_000)]
memory.settle()
assert gc.get_freeze_count() > 400_000
before = gc.get_stats()[2]["collections"]
for _ in range(30):  # of the size that survives the first two generations
    lately = [[] for _ in range(10_000)]
print(gc.get_stats()[2]["collections"] - before)
"""


def test_what_is_loaded_does_not_put_off_the_looking_for_what_is_over() -> None:
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert int(ran.stdout) >= 2
