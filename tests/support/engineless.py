"""A machine on which `make phones` never ran, as the processes of a test see it."""

import os
from pathlib import Path

from tests.support.stack import ROOT

HIDDEN = """import sys
sys.modules["call2me_sip"] = None
"""
"""Read by each Python as it starts: to look for the engine finds nothing, and to import it fails."""


def without_engine(folder: Path) -> str:
    """A PYTHONPATH under which there is no SIP engine."""
    (folder / "sitecustomize.py").write_text(HIDDEN)
    return os.pathsep.join([str(folder), str(ROOT)])
