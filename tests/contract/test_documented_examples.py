"""Every page of docs is true: each language's examples run from top to bottom, as somebody who is new."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.api import PASSWORD, ROOT, Person
from tests.support.house import ENGLISH_AGENT, House, running_house
from tests.support.payment_stand_in import serving
from tests.support.rehearsed_worker import Script
from tests.support.stripe_server import STRIPE_SECRET, FakeStripe
from tests.support.telnyx import KEY as TELNYX_KEY
from tests.support.telnyx import telnyx

DOCS = ROOT / "docs"
KNOWN = ("URL", "KEY", "TOKEN", "AGENT", "NUMBER", "CALL", "EMAIL", "PASSWORD")
"""What a page may take as given; a person has it at hand."""
BEFORE = {
    # A status that is an error ends the example.
    "bash": 'curl() { command curl -sS --fail-with-body "$@"; }\n',
    "python": f"import os\n\n{', '.join(KNOWN)} = (os.environ[name] for name in {KNOWN})\n",
    "javascript": f"const [{', '.join(name.lower() for name in KNOWN)}] = "
    f"{list(KNOWN)}.map((name) => process.env[name]);\n"
    "const fetch = async (...asked) => {\n"
    "  const reply = await globalThis.fetch(...asked);\n"
    "  if (reply.status >= 400 && reply.status !== 403) throw new Error(await reply.text());\n"
    "  return reply;\n"
    "};\n",
}
COMMANDS = {
    "bash": ("examples.sh", ["bash", "-euo", "pipefail"]),
    "python": ("examples.py", [sys.executable, "-W", "error"]),
    "javascript": ("examples.mjs", ["node"]),
}
SAID = {
    "agents": "",
    "authentication": "sk_call2me_",
    "campaigns": "may be called now",
    "chats": "",
    "contacts": "Ada Lovelace",
    "end-users": "",
    "idempotency": "",
    "knowledge": "",
    "notifications": "",
    "payments": "https://checkout.stripe.com/",
    "phone-numbers": "+1415555",
    "privacy": "",
    "public": "",
    "schedules": "",
    "steering": "event: end",
    "tenants": "",
    "wallet": "balance_usd",
    "web-calls": "call_",
    "webhooks": "",
    "widgets": "<script",
}
"""The pages of groups of the api, and what an example of theirs prints."""
_numbers = count(1000)


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, FakeStripe]]:
    """One server for all pages: with calls, with somebody who takes money, and with a carrier."""
    stripe = FakeStripe()
    with serving(stripe), telnyx() as carrier:
        carrier.sell("+13125550100")
        settings = {
            "CALL2ME_PAYMENTS": "stripe",
            "STRIPE_API_KEY": "sk_test_stand_in",
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "CALL2ME_STRIPE_URL": stripe.url,
            "TELNYX_API_KEY": TELNYX_KEY,
            "CALL2ME_TELNYX_URL": carrier.url,
        }
        with running_house(tmp_path_factory.mktemp("docs"), **settings) as house:
            yield house, stripe


def examples(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def given(page: str, house: House, stripe: FakeStripe) -> tuple[Person, dict[str, str]]:
    """Somebody new, and what their page takes as given."""
    person = house.api.person()
    agent: str = person.made("/v1/agents", ENGLISH_AGENT)["agent_id"]
    number, call = f"+1415555{next(_numbers)}", ""
    if page == "steering":  # a call that has ended, so that watching it ends too
        call = house.call(person)
        script = Script(call)
        told = house.worker.tell(script.started(), script.said("agent", "Hello.", 1, 2), script.ended(3))
        assert told.status == 200
    if page == "payments":  # a card that was saved
        opened = person.ask("POST", "/v1/payments/checkout", {"amount": 10, "save_card": True}).json
        for event in stripe.pay(opened["session_id"]):
            assert event.deliver(house.api).status == 200
    if page == "web-calls":  # one of two numbers calls the other
        for owned in (number, f"+1415555{next(_numbers)}"):
            person.made("/v1/phone-numbers", {"number": owned, "agent_id": agent})
    key = person.made("/v1/api-keys", {"name": "docs"})["api_key"]
    known = (house.api.url, key, person.token, agent, number, call, person.email, PASSWORD)
    return person, dict(zip(KNOWN, known, strict=True))


@pytest.mark.parametrize("language", COMMANDS)
@pytest.mark.parametrize("page", SAID)
def test_the_examples_of_a_page_run(
    page: str, language: str, till: tuple[House, FakeStripe], tmp_path: Path
) -> None:
    blocks = examples(page, language)
    assert blocks, f"{page}.md has no example in {language}"
    _, known = given(page, *till)
    name, command = COMMANDS[language]
    script = tmp_path / name
    script.write_text(BEFORE[language] + "\n".join(blocks), encoding="utf-8")
    (tmp_path / "people.csv").write_text("phone,name,plan\n+14155550177,Ada,gold\n")
    done = subprocess.run(
        [*command, str(script)],
        env=os.environ | known,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.strip(), "it shows nothing"
    if language != "bash":
        assert SAID[page] in done.stdout
