"""What we ask of Stripe, judged by stripe-mock: Stripe's own server, which knows their OpenAPI document."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from api.outside.payments import Declined, Order, PaymentsUnavailable
from api.outside.stripe import Stripe
from tests.support.ports import free_port

VERSION = "v0.197.0"


@pytest.fixture(scope="module")
def stripe_mock() -> Iterator[str]:
    """Its address. Built once with Go, and kept."""
    folder = Path(platformdirs.user_cache_dir("call2me-tests")) / f"stripe-mock-{VERSION}"
    program = folder / "stripe-mock"
    if not program.exists():
        if (go := shutil.which("go")) is None:
            pytest.skip("stripe-mock is built with Go")
        subprocess.run(
            [go, "install", f"github.com/stripe/stripe-mock@{VERSION}"],
            env={**os.environ, "GOBIN": str(folder)},
            check=True,
            capture_output=True,
            timeout=300,
        )
    port = free_port()
    process = subprocess.Popen(
        [program, "-http-addr", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        asyncio.run(_until_up(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def _until_up(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline, "stripe-mock did not start"
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


ORDER = Order("pay_1", 1250, "Credit", "ada@example.com", "https://x.example/ok", "https://x.example/no")


async def test_stripe_understands_everything_we_ask(stripe_mock: str) -> None:
    stripe = Stripe("sk_test_123", ("whsec_x",), stripe_mock)
    try:
        opened = await stripe.checkout(ORDER)
        assert opened.session_id.startswith("cs_")
        customer = await stripe.customer("user_1", "ada@example.com")
        assert customer.startswith("cus_")
        saving = Order(**{**ORDER.__dict__, "customer_id": customer})
        assert (await stripe.checkout(saving)).session_id.startswith("cs_")
        # It answers each PaymentIntent with the same example, which is not paid; it refuses what it
        # does not understand with another code.
        with pytest.raises(Declined, match=r"^requires_"):
            await stripe.charge(saving, "pm_card_visa")
        await stripe.forget_card("pm_card_visa")
    finally:
        await stripe.close()


async def test_stripe_refuses_what_it_does_not_understand(stripe_mock: str) -> None:
    stripe = Stripe("sk_test_123", ("whsec_x",), stripe_mock)
    try:
        with pytest.raises((Declined, PaymentsUnavailable)):
            await stripe.checkout(Order(**{**ORDER.__dict__, "cents": "a lot"}))  # type: ignore[arg-type]
    finally:
        await stripe.close()
