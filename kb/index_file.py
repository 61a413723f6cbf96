"""The file of an index: named arrays that are mapped where they lie, behind a header that is checked."""

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"call2mekb\x00\x00\x00\x00\x00\x00\x02"
_ALIGN = 64
_HEADER_BYTES = 1_000_000
_TYPES = frozenset(("float32", "int32", "int64", "uint64", "uint8"))

Arrays = Mapping[str, NDArray[Any]]


class BrokenIndex(Exception):
    """This file is not an index of knowledge that this version can read"""


def write_file(path: Path, about: Mapping[str, object], arrays: Arrays) -> str:
    """One file of all of it, in place at once and on the disk; returns its version.

    A process that dies on the way leaves a `.part` file, and whatever was there before.
    """
    layout: dict[str, dict[str, object]] = {}
    digest = hashlib.blake2b(digest_size=16)
    offset = 0
    ordered = sorted(arrays.items())
    for name, array in ordered:
        layout[name] = {"offset": offset, "shape": list(array.shape), "dtype": str(array.dtype)}
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
        digest.update(_raw(array))
    described = {"about": about, "arrays": layout, "bytes": offset, "digest": digest.hexdigest()}
    header = json.dumps(described, ensure_ascii=False, sort_keys=True).encode()
    header += b" " * (-(len(_MAGIC) + 12 + len(header)) % _ALIGN)
    version = _version(header)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    with unfinished.open("wb") as file:
        file.write(_MAGIC + len(header).to_bytes(8, "big") + zlib.crc32(header).to_bytes(4, "big") + header)
        for _, array in ordered:
            raw = _raw(array)
            file.write(raw)
            file.write(b"\x00" * (-len(raw) % _ALIGN))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return version


def read_file(path: Path, *, verify: bool = False) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
    """Version, what is said of it, and its arrays, mapped read-only. Raises `BrokenIndex` or `OSError`."""
    with path.open("rb") as file:
        header, first = _header(file.read(len(_MAGIC) + 12 + _HEADER_BYTES))
    try:
        if path.stat().st_size != first + header["bytes"]:
            raise BrokenIndex
        mapped = np.memmap(path, np.uint8, "r") if header["bytes"] else np.zeros(first, np.uint8)
        arrays = {name: _array(mapped, first, place) for name, place in header["arrays"].items()}
        if verify:
            digest = hashlib.blake2b(digest_size=16)
            for _, array in sorted(arrays.items()):
                digest.update(_raw(array))
            if digest.hexdigest() != header["digest"]:
                raise BrokenIndex
        return header["version"], header["about"], arrays
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenIndex from error


def version_of(path: Path) -> str:
    """The version that a file is of, by its header alone. Raises `BrokenIndex` or `OSError`."""
    with path.open("rb") as file:
        header, _ = _header(file.read(len(_MAGIC) + 12 + _HEADER_BYTES))
    return str(header["version"])


def _header(start: bytes) -> tuple[dict[str, Any], int]:
    before = len(_MAGIC) + 12
    if len(start) < before or start[: len(_MAGIC)] != _MAGIC:
        raise BrokenIndex
    size = int.from_bytes(start[len(_MAGIC) : len(_MAGIC) + 8], "big")
    raw = start[before : before + size]
    if len(raw) != size or zlib.crc32(raw) != int.from_bytes(start[before - 4 : before], "big"):
        raise BrokenIndex
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise BrokenIndex from error
    if not isinstance(header, dict):
        raise BrokenIndex
    return {**header, "version": _version(raw)}, before + size


def _version(header: bytes) -> str:
    # The header holds the digest of everything else.
    return hashlib.blake2b(header, digest_size=10).hexdigest()


def _array(mapped: NDArray[np.uint8], first: int, place: Mapping[str, Any]) -> NDArray[Any]:
    if place["dtype"] not in _TYPES:
        raise BrokenIndex
    shape = tuple(int(size) for size in place["shape"])
    dtype = np.dtype(place["dtype"])
    start = first + int(place["offset"])
    end = start + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not first <= start <= end <= len(mapped):
        raise BrokenIndex
    array: NDArray[Any] = np.asarray(mapped[start:end]).view(dtype).reshape(shape)
    return array


def _raw(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
