"""What a carrier's refusal of a registration mostly means, for whoever must mend it."""

import re

from api.sip_trunks import refusals

_CODE = re.compile(r"\b([3-6]\d\d)\b")


def explained(why_not: str) -> str:
    """The carrier's words, and what they mostly mean; the words alone where that is not known."""
    code = _CODE.search(why_not)
    means = refusals.meaning(int(code[1])).registering if code else ""
    if not means:
        meant = refusals.meaning_of_words(why_not)
        means = meant.registering if meant is not None else ""
    return f"{why_not}: {means}" if means else why_not
