"""Downloads the official release of livekit-server, checked against hashes that are written here.

The release's own `checksums.txt` comes from the same place as the archive, so it could not prove anything:
whoever changes the one changes the other.
"""

import hashlib
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

ADDRESS = "https://github.com/livekit/livekit/releases/download/v1.13.5"
SHA256 = {
    "livekit_1.13.5_linux_amd64.tar.gz": "c020fac437b7cc9b776eef1ad5ea8af77be9acfa07602eca20a3a44930dfbc70",
    "livekit_1.13.5_linux_arm64.tar.gz": "332015305518765fe05bad74fc3a9d9583e635e7dd130de3c4fc563d69c550f3",
    "livekit_1.13.5_linux_armv7.tar.gz": "6dceb15fec3b2b90a67615acff7f92a48a901408f31c74f3d290a7d4277f76bd",
}
MAX_BYTES = 200 * 1024 * 1024
TIMEOUT_SECONDS = 60.0
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "armv7"}


class DownloadFailed(Exception):
    """The release could not be had; the message is a clause for a person."""


def asset(system: str, machine: str) -> str | None:
    """The release's file for a platform as `platform.system()` and `platform.machine()` name it.

    None where there is none: LiveKit publishes no binary for macOS.
    """
    name = f"livekit_1.13.5_{system.lower()}_{_MACHINES.get(machine.lower())}.tar.gz"
    return name if name in SHA256 else None


def download(name: str, folder: Path, *, address: str = ADDRESS, sha256: str | None = None) -> Path:
    """Fetch a release, check it, unpack the server into `folder`. Raises `DownloadFailed`."""
    archive = folder / name
    digest = hashlib.sha256()
    size = 0
    try:
        with (
            urllib.request.urlopen(f"{address}/{name}", timeout=TIMEOUT_SECONDS) as reply,  # noqa: S310 - a constant
            archive.open("wb") as file,
        ):
            while chunk := reply.read(1024 * 1024):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise DownloadFailed(
                        f"The download is larger than {MAX_BYTES} bytes, so it is not what was asked for"
                    )
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:  # urllib's errors and timeouts are all of this family
        raise DownloadFailed(f"The release could not be downloaded ({_reason(error)})") from error
    if digest.hexdigest() != (sha256 or SHA256[name]):
        archive.unlink()
        raise DownloadFailed(
            "The release that was downloaded does not have the checksum it must have; it was removed"
        )
    binary = folder / "livekit-server"
    try:
        with tarfile.open(archive) as tar, binary.open("wb") as file:
            member = tar.extractfile("livekit-server")
            if member is None:
                raise KeyError("livekit-server")
            while chunk := member.read(1024 * 1024):
                file.write(chunk)
    except (KeyError, tarfile.TarError, EOFError) as error:
        raise DownloadFailed("The release holds no livekit-server") from error
    binary.chmod(0o755)
    return binary


def _reason(error: OSError) -> str:
    """What the system says, without the wrappings of the client."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    return error.strerror or str(error)
