"""How the person at this terminal spells our command."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def spelled(arguments: str) -> str:
    """`call2me …` where that is found, else with its path: `make run` activates no environment."""
    ours = Path(sys.executable).with_name("call2me")
    found = shutil.which("call2me")
    if not ours.exists() or (found is not None and Path(found).samefile(ours)):
        return f"call2me {arguments}"
    path = os.path.relpath(ours)
    return f"{shlex.quote(path if not path.startswith('..') else str(ours))} {arguments}"
