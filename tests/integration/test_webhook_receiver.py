"""examples/webhook_receiver.py takes what we send, once, and nothing from anybody else."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.api import ROOT, Person, running_api
from tests.support.ports import free_port


def test_the_receiver_takes_a_real_event_once_and_no_forged_one(tmp_path: Path) -> None:
    port = free_port()
    here = f"127.0.0.1:{port}"
    with running_api(tmp_path / "home", CALL2ME_ALLOW_HOSTS=here) as api:
        person = api.person()
        made = person.made("/v1/webhooks/endpoints", {"url": f"http://{here}/", "events": ["*"]})
        receiver = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "webhook_receiver.py"), str(port)],
            env=os.environ | {"CALL2ME_WEBHOOK_SECRET": made["secret"]},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert forged(here) == 401
            path = f"/v1/webhooks/endpoints/{made['endpoint_id']}/test"
            assert person.ask("POST", path, {}).status in (200, 201, 202)
            assert receiver.stdout is not None
            watch = threading.Timer(30, receiver.kill)
            watch.start()
            assert receiver.stdout.readline().strip() == "webhook.test"
            (sent,) = delivered(person, tries=1)
            replay = f"/v1/webhooks/deliveries/{sent['delivery_id']}/replay"
            assert person.ask("POST", replay, {}).status == 202
            delivered(person, tries=2)
            watch.cancel()
        finally:
            receiver.kill()
            rest, _ = receiver.communicate()
        assert rest.strip() == "", "told twice of one event"


def forged(here: str) -> int:
    """The status that somebody without the secret gets, once the receiver listens."""
    deadline = time.monotonic() + 20
    while True:
        request = urllib.request.Request(
            f"http://{here}/",
            json.dumps({"event": "call.completed"}).encode(),
            {
                "X-Call2Me-Signature": "sha256=00",
                "webhook-id": "x",
                "webhook-timestamp": str(int(time.time())),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
                return int(reply.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def delivered(person: Person, tries: int) -> list[dict[str, Any]]:
    """What arrived, once it was tried this often."""
    deadline = time.monotonic() + 30
    while True:
        found: list[dict[str, Any]] = person.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]
        if found and all(each["status"] == "delivered" and each["tries"] == tries for each in found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
