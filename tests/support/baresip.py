"""Another maker's telephone, baresip: it dials, says what is in a file, and keeps what it hears."""

import asyncio
import contextlib
import wave
from pathlib import Path

import numpy as np

from tests.support.pjsip import RATE, Pcm, written

_CONFIGURATION = """\
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
rtp_ports {ports}
audio_source aufile,{said}
audio_player aubridge,sink
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path {modules}
module stdio.so
module g711.so
module aubridge.so
module aufile.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path {folder}
"""


async def call(folder: Path, proxy: str, user: str, password: str, number: str, said: Pcm) -> Pcm:
    """Call this number through a proxy that challenges, for as long as that is; what was heard, at 8 kHz."""
    _configure(folder, proxy, said)
    account = f"<sip:{user}@{proxy}>;auth_user={user};auth_pass={password};regint=0;audio_codecs=PCMU/8000/1"
    (folder / "accounts").write_text(account + "\n")
    seconds = str(int(len(said) / RATE) + 1)
    process = await asyncio.create_subprocess_exec(
        *("baresip", "-f", str(folder), "-e", f"/dial sip:{number}@{proxy}", "-t", seconds),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(process.wait(), int(seconds) + 20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return _heard(folder)


def _configure(folder: Path, proxy: str, said: Pcm) -> None:
    first = 30_000 + int(proxy.rsplit(":", 1)[1]) % 10_000 // 2 * 2
    modules = next(Path("/usr/lib").glob("**/baresip/modules"))
    told = {"said": written(folder / "said.wav", said), "folder": folder, "modules": modules}
    (folder / "config").write_text(_CONFIGURATION.format(ports=f"{first}-{first + 20}", **told))


def _heard(folder: Path) -> Pcm:
    (heard,) = folder.glob("dump-*-dec.wav")
    with wave.open(str(heard)) as file:
        assert file.getframerate() == RATE
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)
