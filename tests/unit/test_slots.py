"""Names of api processes: no two living ones share one."""

import signal
import subprocess
import sys
from pathlib import Path

from api.durable import slots

HOLD = """
import sys, time
from pathlib import Path
from api.durable import slots
print(slots.take(Path(sys.argv[1])).executor_id, flush=True)
time.sleep(60)
"""


def test_each_process_has_a_slot_of_its_own_and_a_dead_one_leaves_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        mine = slots.take(tmp_path)
        assert theirs.endswith("-0")
        assert mine.executor_id.endswith("-1")
        assert not slots.is_abandoned(tmp_path, theirs)
        assert not slots.is_abandoned(tmp_path, mine.executor_id)
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert slots.is_abandoned(tmp_path, theirs)
    again = slots.take(tmp_path)
    assert again.executor_id == theirs
    again.release()
    mine.release()


def test_a_slot_of_another_machine_is_never_abandoned(tmp_path: Path) -> None:
    assert not slots.is_abandoned(tmp_path, "elsewhere.example-0")
    assert not slots.is_abandoned(tmp_path, "local")
    assert not slots.is_abandoned(tmp_path, "")
