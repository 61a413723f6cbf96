"""What a carrier's refusal of a registration mostly means, for whoever must mend it."""

import re

from pipelines.contract.websocket import NOT_YET

_CODE = re.compile(r"\b([3-6]\d\d)\b")
_MEANS = {
    "401": "the carrier does not take the user name or the password",
    "403": "the carrier knows the user name and forbids it: look at the password, at the addresses that it "
    "allows, and whether the account is in good standing",
    "404": "the carrier does not know this user name at this address",
    "405": "the carrier wants no registration: set sip_register to false",
    "407": "the carrier does not take the user name or the password",
    "408": "nothing answers there: look at the address, the port, sip_transport, and a firewall on the way",
    "423": "the carrier wants to be registered with for longer at once",
    "480": "the carrier is away for now; it is tried again",
    "500": "something is wrong at the carrier; it is tried again",
    "503": "the carrier is overloaded or does not speak over this sip_transport; it is tried again",
}
_WITHOUT_A_WORD = {
    NOT_YET: "nothing has come back so far. If it stays so: " + _MEANS["408"],
    "nobody answered": _MEANS["408"],
    "no connection in time": _MEANS["408"],
    "refused": "nobody listens at this port: look at the address, the port and sip_transport",
    "private network": "whoever runs this server may name the host in CALL2ME_ALLOW_HOSTS",
    "esolution failed": "no name server knows this address",
    "corrupt message": "this port does not speak TLS: mostly 5061 does",
    "certificate": "the carrier's certificate is not for this name: sip_server must be as it says there",
}
"""Of what the connection says in the place of a carrier that said nothing."""


def explained(why_not: str) -> str:
    """The carrier's words, and what they mostly mean; the words alone where that is not known."""
    code = _CODE.search(why_not)
    means = _MEANS.get(code[1], "") if code else ""
    if not means:
        means = next((says for words, says in _WITHOUT_A_WORD.items() if words in why_not), "")
    return f"{why_not}: {means}" if means else why_not
