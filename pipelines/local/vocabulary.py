"""Whisper's tokens: their numbers, and the text they spell."""

import json
from collections.abc import Iterable
from pathlib import Path


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable disguise of the 256 bytes: printable ones as they are, the rest from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + place): byte for place, byte in enumerate(hidden)
    }


_BYTES = _byte_alphabet()


def read_tokens(model: Path) -> list[str]:
    """Every token of a CTranslate2 conversion, in the order of their numbers."""
    if (listed := model / "vocabulary.json").exists():
        tokens: list[str] = json.loads(listed.read_text("utf-8"))
        return tokens
    return (model / "vocabulary.txt").read_text("utf-8").split("\n")


def spelled(tokens: Iterable[str]) -> str:
    """The text that tokens spell: each character of a token stands for one byte of UTF-8."""
    data = bytes(_BYTES[character] for token in tokens for character in token if character in _BYTES)
    return data.decode("utf-8", errors="ignore").strip()
