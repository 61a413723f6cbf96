"""Money is counted in whole micro-dollars; dollars are for reading and writing only."""

from decimal import ROUND_HALF_UP, Decimal

MICROS = 1_000_000


def micros(usd: Decimal | float | str) -> int:
    """Dollars as micro-dollars; half of one is rounded up."""
    return rounded(Decimal(str(usd)) * MICROS)


def rounded(amount: Decimal) -> int:
    """The nearest whole number; a half away from nothing."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def dollars(amount: int) -> float:
    """Micro-dollars as a JSON number."""
    return amount / MICROS


def text(amount: int) -> str:
    """Micro-dollars as a decimal string, with all six digits: `0.100000`."""
    return f"{Decimal(amount) / MICROS:.6f}"
