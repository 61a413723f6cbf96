"""DOCX and XLSX are zip archives: looked at before they are unpacked."""

import zipfile
from pathlib import Path

from kb.documents import Limits
from kb.errors import Bomb, Damaged, Encrypted

_RATIO = 200
"""Office XML shrinks to about a tenth; what shrinks to less than this was made to harm."""
_MEMBERS = 10_000


def inspect(path: Path, limits: Limits) -> frozenset[str]:
    """Names of the members. Raises `Bomb`, `Damaged` or `Encrypted`.

    A member never unpacks to more than its entry declares (`zipfile` stops there), so the sum holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise Damaged from error
    unpacked = sum(member.file_size for member in members)
    packed = max(1, path.stat().st_size)
    if len(members) > _MEMBERS or unpacked > limits.unpacked_bytes:
        raise Bomb
    if unpacked > 10_000_000 and unpacked / packed > _RATIO:
        raise Bomb
    if any(member.flag_bits & 1 for member in members):
        raise Encrypted
    return frozenset(member.filename for member in members)
