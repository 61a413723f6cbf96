"""Notice what a call does not notice by itself, and never leave dead air."""

from worker.watchdog.acts import Acts
from worker.watchdog.dog import Limits, Watchdog

__all__ = ["Acts", "Limits", "Watchdog"]
