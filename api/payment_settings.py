"""Who takes money for us, as the environment says."""

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.environment import Environment, SettingsError


@dataclass(frozen=True)
class Payments:
    """Who takes money for us; nobody where only an administrator gives credit (`manual`)."""

    providers: tuple[str, ...]
    """Of `stripe` and `paddle`; the first is meant where nobody names one."""
    stripe_key: str = field(repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(repr=False)
    stripe_url: str
    paddle_key: str = field(repr=False)
    paddle_webhook_secrets: tuple[str, ...] = field(repr=False)
    paddle_url: str
    seller: str
    """Name and address on invoices."""
    exchange_rates: Path | None
    """A file of what one dollar is in other currencies; shown, never charged by."""


def payments_of(read: Environment) -> Payments:
    """Who is configured to take money. Raises `SettingsError`."""
    named = read.several("CALL2ME_PAYMENTS", "manual")
    if unknown := [name for name in named if name not in {"manual", "stripe", "paddle"}]:
        raise SettingsError(f"CALL2ME_PAYMENTS knows manual, stripe and paddle, not {unknown[0]}.")
    providers = tuple(dict.fromkeys(name for name in named if name != "manual"))
    for name in providers:
        for variable in (f"{name.upper()}_API_KEY", f"{name.upper()}_WEBHOOK_SECRET"):
            if not read.text(variable, ""):
                raise SettingsError(f"CALL2ME_PAYMENTS names {name}: set {variable} too.")
    rates = read.text("CALL2ME_EXCHANGE_RATES", "")
    return Payments(
        providers=providers,
        stripe_key=read.text("STRIPE_API_KEY", ""),
        stripe_webhook_secrets=read.several("STRIPE_WEBHOOK_SECRET"),
        stripe_url=read.url("CALL2ME_STRIPE_URL", "https://api.stripe.com", ("http", "https")),
        paddle_key=read.text("PADDLE_API_KEY", ""),
        paddle_webhook_secrets=read.several("PADDLE_WEBHOOK_SECRET"),
        paddle_url=read.url("CALL2ME_PADDLE_URL", "https://api.paddle.com", ("http", "https")),
        seller=read.text("CALL2ME_INVOICE_SELLER", "").replace("\\n", "\n"),
        exchange_rates=Path(rates).expanduser() if rates else None,
    )
