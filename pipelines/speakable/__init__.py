"""From what an engine writes to what a voice can read, without holding up the first words."""

from pipelines.speakable.stream import Speakable

__all__ = ["Speakable"]
