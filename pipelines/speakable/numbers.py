"""Write out what stands for something else than a number: money, times, dates, telephones, codes.

A plain number is left in digits, which every voice reads in its own language.
"""

import re
from datetime import date
from typing import Final

from babel import UnknownLocaleError
from babel.dates import format_date
from babel.numbers import get_currency_name

from pipelines.speakable.words import WORDS, Words

_SYMBOLS: Final = {"$": "USD", "€": "EUR", "£": "GBP", "₺": "TRY", "¥": "JPY", "₹": "INR", "₽": "RUB"}
CODES = "USD|EUR|GBP|TRY|CHF|JPY|CAD|AUD|INR|SEK|NOK|DKK|PLN|BRL|MXN|TL"
SIGNS = "".join(_SYMBOLS)
_AMOUNT = r"\d{1,3}(?:[.,’ ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d{1,2})?(?!\d)"
_MONEY = re.compile(
    rf"(?<![\w.,])(?:(?P<sign>[{SIGNS}]|(?:{CODES})\b)\s?(?P<after>{_AMOUNT})"
    rf"|(?P<before>{_AMOUNT})\s?(?P<trail>[{SIGNS}]|(?:{CODES})\b))"
)
_PERCENT = re.compile(r"(?:(?<=\s)|^)%(\d+(?:[.,]\d+)?)|(\d+(?:[.,]\d+)?)\s?%")
_ISO_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d{2})-(\d{2})(?![\w-])")
_TIME = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?!\d|:\d)(?:\s?([ap])\.?m\b\.?|\s?(?:Uhr|heures?|uur|horas?|h)\b)?",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(?<=\d)\s?[–—]\s?(?=[\d$€£₺])|(?<=\d:\d\d)\s?-\s?(?=\d{1,2}:\d\d)")
_THOUSANDS = {
    ",": re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])"),
    ".": re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.]*\d)"),
}
_PHONE = re.compile(
    # In groups, the first two of which may be a country and an area; or seven digits and more in one.
    r"(?<![\w.,/-])(?:\+\d{1,3}[ ./-]?)?(?:\(\d{2,5}\)[ ./-]?)?\d{2,5}(?:[ ./-]\d{2,5}){1,5}(?![\w/-]|[.,]\d)"
    r"|(?<!\w)\+?\d{7,15}(?!\w|[.,]\d)"
)
_CODE = re.compile(r"(?<![\w@./-])(?=[A-Z0-9-]*[A-Z])(?=(?:[A-Z-]*\d){2})[A-Z0-9]+(?:-[A-Z0-9]+)*(?![\w@/-])")


def write_out(text: str, language: str, locale: str = "") -> str:
    """Numbers that mean something, in the words of a language; in any other, as digits one can follow."""
    words = WORDS.get(language)
    locale = (locale or language).replace("-", "_")
    text = _ISO_DATE.sub(lambda found: _date(found, language), text)
    text = _RANGE.sub(f" {words.to} " if words else " ", text)
    text = _MONEY.sub(lambda found: _money(found, words, language), text)
    if words is not None:
        text = _PERCENT.sub(lambda found: words.percent.format(n=found[1] or found[2]), text)
    text = _TIME.sub(lambda found: _time(found, words, language), text)
    text = _PHONE.sub(lambda found: _telephone(found[0], words), text)
    text = _CODE.sub(lambda found: _code(found[0]), text)
    return _without_thousands(text, language)


def _without_thousands(text: str, language: str) -> str:
    sign = "," if language in ("en", "zh", "ja", "ko", "he", "th") else "."
    return _THOUSANDS[sign].sub(lambda found: found[0].replace(sign, ""), text)


def _date(found: "re.Match[str]", language: str) -> str:
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
        return format_date(day, "long", locale=language)
    except (ValueError, UnknownLocaleError):
        return found[0]


def _money(found: "re.Match[str]", words: Words | None, language: str) -> str:
    sign = found["sign"] or found["trail"]
    code = "TRY" if sign == "TL" else _SYMBOLS.get(sign, sign)
    whole, cents = _parts(found["after"] or found["before"])
    name = _currency(code, int(whole), words, language)
    if int(cents or 0) == 0:
        return f"{whole} {name}"
    if words is None:
        return f"{whole},{cents} {name}"
    return f"{whole} {name} {words.cents.format(n=int(cents))}"


def _parts(amount: str) -> tuple[str, str]:
    """Whole units and hundredths of `1.250,50`, `1,250.50`, `9.9` or `1’000`."""
    fraction = re.search(r"[.,](\d{1,2})$", amount)
    whole = amount[: fraction.start()] if fraction else amount
    return re.sub(r"\D", "", whole), fraction[1].ljust(2, "0") if fraction else ""


def _currency(code: str, count: int, words: Words | None, language: str) -> str:
    if words is not None and code in words.currencies:
        return words.currencies[code][0 if count == 1 else 1]
    try:
        return get_currency_name(code, count=count, locale=language)
    except UnknownLocaleError:
        return code


def _time(found: "re.Match[str]", words: Words | None, language: str) -> str:
    hour, minute, half = int(found[1]), int(found[2]), (found[3] or "").upper()
    if language == "en":
        return _english_time(hour, minute, half)
    if words is None:
        return found[0]
    if not minute:
        return words.hour.format(h=hour)
    return words.hour_minutes.format(h=hour, m=minute)


def _english_time(hour: int, minute: int, half: str) -> str:
    if not half and (hour > 12 or hour == 0):
        half = "A" if hour in (0, 24) else "P"
        hour = hour % 12 or 12
    after = f" {half}M" if half else ""
    if not minute:
        return f"{hour}{after}" if half else f"{hour} o'clock"
    return f"{hour} {'oh ' if minute < 10 else ''}{minute}{after}"


def _telephone(number: str, words: Words | None) -> str:
    if len(re.sub(r"\D", "", number)) < 7:
        return number
    groups = re.findall(r"\d+", number)
    if len(groups) == 1 or max(map(len, groups)) > 5:
        groups = [piece for group in groups for piece in _pieces(group)]
    plus = f"{words.plus if words else '+'} " if number.startswith("+") else ""
    return plus + ", ".join(" ".join(group) for group in groups)


def _pieces(digits: str) -> list[str]:
    """Three by three, and at the end four or two: as one reads out a number that has no groups."""
    pieces = []
    while len(digits) > 4:
        pieces.append(digits[:3])
        digits = digits[3:]
    return [*pieces, digits]


def _code(code: str) -> str:
    """`AB-1234` letter by letter; a long word in it (`COVID-19`) stays a word."""
    runs = re.findall(r"[A-Z]+|\d+", code)
    if any(len(run) > 4 and run.isalpha() for run in runs):
        return code if len(runs) == 2 and len(runs[1]) <= 2 else ", ".join(_run(run) for run in runs)
    return ", ".join(" ".join(run) for run in runs)


def _run(run: str) -> str:
    return run if run.isalpha() else " ".join(run)
