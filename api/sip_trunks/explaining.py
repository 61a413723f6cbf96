"""What is wrong with a trunk mostly means, for whoever must mend it."""

import re

from api.sip_trunks import refusals
from pipelines.contract.websocket import UNHEARD

_CODE = re.compile(r"\b([3-6]\d\d)\b")


def explained(why_not: str) -> str:
    """The carrier's words, and what they mostly mean; the words alone where that is not known."""
    code = _CODE.search(why_not)
    means = refusals.meaning(int(code[1])).registering if code else ""
    if not means:
        meant = refusals.meaning_of_words(why_not)
        means = meant.registering if meant is not None else ""
    return f"{why_not}: {means}" if means else why_not


def unheard(told: str) -> str:
    """A warning of a trunk without registration whose calls do not arrive, a space before it; or nothing."""
    if not told.startswith(UNHEARD):
        return ""
    transport = told.removeprefix(UNHEARD)
    port, more = (5061, ", and CALL2ME_SIP_CERTIFICATE and its key,") if transport == "tls" else (5060, "")
    return (
        f" But {told}: calls from the trunk arrive only if it sends them another way. Who runs this "
        f"server adds {transport}:0.0.0.0:{port} to the worker's CALL2ME_SIP_LISTEN{more} and restarts it."
    )
