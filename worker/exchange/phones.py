"""Whether this worker can have phones; light enough for the supervisor.

`python -m worker.exchange.phones` prints where telephones reach it, for `call2me doctor`.
"""

import json
import socket
import sys
from dataclasses import asdict
from importlib.util import find_spec

from pipelines.environment import SettingsError
from pipelines.processes import place
from worker import places
from worker.settings import SipAddress, WorkerSettings

ENGINE = "call2me_sip"


def why_not(settings: WorkerSettings) -> str:
    """Why there are no phones although they are wanted; empty when there are, or nobody wants any."""
    if not settings.has_phones:
        return ""
    if find_spec(ENGINE) is None:
        return "the SIP engine is not installed: run make phones"
    if find_spec("aiortp") is None:
        return "aiortp is not installed: run make install, or pip install 'call2me-runtime[phones]'"
    return ""


def is_on(settings: WorkerSettings) -> bool:
    """Whether there are phones."""
    return settings.has_phones and not why_not(settings)


def check(settings: WorkerSettings) -> None:
    """Raise `SettingsError` when something else has an address of ours."""
    if place.holder(places.of(settings, "exchange")) is not None:
        return  # an exchange whose supervisor died has them
    for one in settings.sip_listen:
        try:
            _try(one)
        except OSError as error:
            raise SettingsError(
                f"{one.transport}:{one.host}:{one.port} cannot be listened on ({error.strerror}): stop what "
                "has it, or set CALL2ME_SIP_LISTEN to another address."
            ) from error


def _try(address: SipAddress) -> None:
    host = address.host.strip("[]")
    kind = socket.SOCK_DGRAM if address.transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, address.port))


def main() -> int:
    """Print the addresses as JSON; 1 and a sentence when the settings cannot be used."""
    try:
        settings = WorkerSettings.load()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a sentence for a person
        return 1
    print(json.dumps([asdict(each) for each in settings.sip_listen]))  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
