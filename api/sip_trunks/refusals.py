"""What a carrier's code, or the words of a connection, mostly mean, and what to do about it."""

from dataclasses import dataclass, replace

from pipelines.contract.websocket import NOT_YET


@dataclass(frozen=True)
class Meaning:
    """Of a call: a sentence, and what to look at, the likeliest first. `{to}` and the like are filled in."""

    says: str
    advice: tuple[str, ...]
    registering: str = ""
    """Of a registration, as the end of a sentence that begins with the carrier's words."""


_CALLER_ID = (
    "Ask the carrier which caller ids this account may show; {shown} was sent. Set outbound_caller_id to a "
    "number of that account, spelled as the carrier spells it."
)
_ADDRESS = (
    "Where the carrier knows you by your address: have the public address of this machine allowed there."
)
_ACCOUNT = "Look into the account there: credit, calls out allowed at all, and to the country of the number."
_FORMAT = (
    "It was dialled as {dialled}. Carriers differ in how they want numbers: dial_prefix of the trunk puts "
    '"", "00" or "011" in the place of the plus.'
)
_CREDENTIALS = (
    "Check sip_username and sip_password; the user name for signing in is not always the telephone number.",
    "Some carriers have one account for registrations and another for calls out: ask which one this is.",
)
_NETWORK = (
    "Check sip_server with its port, and sip_transport: {server} over {transport} was tried.",
    "Look for a firewall on the way: calls go out from the port of CALL2ME_SIP_LISTEN, and answers come back "
    "to it.",
    'Behind a router: switch its "SIP ALG" off, and see docs/phones-in-production.md on NAT.',
    "A carrier that knows its customers by address may be silent to strangers: have yours allowed there.",
)
_CODECS = (
    "Allow G.711 (PCMU or PCMA) or G.722 for this trunk at the carrier: these are what is spoken here.",
    "Where the carrier asks for encrypted sound (SRTP), switch that off, or put a session border controller "
    "in front.",
)
_LATER = "Try again in a while; if it stays so, ask the carrier, with the time of this call."

_BUSY = Meaning("The number is busy. The trunk works", ("Call another number, or the same one later.",))
_DECLINED = Meaning(
    "The call was declined, by whoever was called or by the carrier for them",
    ("Call a number where somebody answers.", _CALLER_ID),
)
_NUMBER = Meaning(
    "The carrier does not know this number in this form", (_FORMAT, "Check the number itself: {to}.")
)
_AUTHENTICATION = Meaning(
    "The carrier asked who calls and did not take what it was told",
    _CREDENTIALS,
    "the carrier does not take the user name or the password",
)
_REFUSAL = Meaning("The carrier refuses the call", (_FORMAT, _CALLER_ID, _ACCOUNT))
_NOTHING_THERE = (
    "nothing answers there: look at the address, the port, sip_transport, and a firewall on the way"
)
_NO_ANSWER = Meaning("Nobody answered", ("Call a number where somebody answers.",))

_MEANS = {
    400: Meaning("The carrier did not understand the call", (_FORMAT, _CALLER_ID)),
    401: _AUTHENTICATION,
    402: Meaning("The carrier wants to be paid", (_ACCOUNT,)),
    403: Meaning(
        "The carrier forbids this call",
        (_CALLER_ID, _ADDRESS, _ACCOUNT),
        "the carrier knows the user name and forbids it: look at the password, at the addresses that it "
        "allows, and whether the account is in good standing",
    ),
    404: replace(_NUMBER, registering="the carrier does not know this user name at this address"),
    405: replace(_REFUSAL, registering="the carrier wants no registration: set sip_register to false"),
    407: _AUTHENTICATION,
    408: Meaning("The carrier took the call, and nobody answered in time", (_LATER,), _NOTHING_THERE),
    410: Meaning("This number is not in service any more", ("Call another number.",)),
    423: replace(_REFUSAL, registering="the carrier wants to be registered with for longer at once"),
    480: Meaning(
        "Nobody can be reached at this number now",
        _NO_ANSWER.advice,
        "the carrier is away for now; it is tried again",
    ),
    482: Meaning("The call went in a circle", ("Look where the carrier routes this number: back here?",)),
    483: Meaning("The call went in a circle", ("Look where the carrier routes this number: back here?",)),
    484: _NUMBER,
    486: _BUSY,
    487: _NO_ANSWER,
    488: Meaning("The two sides have no codec in common", _CODECS),
    415: Meaning("The two sides have no codec in common", _CODECS),
    606: Meaning("The two sides have no codec in common", _CODECS),
    500: Meaning(
        "Something is wrong at the carrier",
        (_LATER, _FORMAT),
        "something is wrong at the carrier; it is tried again",
    ),
    502: Meaning("Something is wrong between the carrier and whoever was called", (_LATER,)),
    503: Meaning(
        "The carrier cannot take the call now: overloaded, no way to this number, or no line free for this "
        "account",
        (_LATER, _ACCOUNT, "Ask how many calls at once the account allows."),
        "the carrier is overloaded or does not speak over this sip_transport; it is tried again",
    ),
    504: Meaning("The carrier reached nobody who would know this number", (_LATER,)),
    600: _BUSY,
    603: _DECLINED,
    604: _NUMBER,
    607: _DECLINED,
    608: _DECLINED,
}

SILENCE = Meaning("Nothing at all came back from there", _NETWORK, _NOTHING_THERE)
UNCLEAR = Meaning(
    "It did not ring, and nobody answered in time",
    ("Let it ring for longer than 32 seconds: after those it is known whether anybody is there.", *_NETWORK),
)
REFUSED = Meaning(
    "Nobody listens there: the connection was refused",
    ("Check sip_server with its port, and sip_transport: {server} over {transport} was tried.",),
    "nobody listens at this port: look at the address, the port and sip_transport",
)
UNKNOWN_NAME = Meaning(
    "No name server knows this address",
    ("Check sip_server for a slip of the pen.",),
    "no name server knows this address",
)
PRIVATE = Meaning(
    "The name leads into a private network",
    (
        "Check sip_server: {server} was tried.",
        "Whoever runs this server may name the host in CALL2ME_ALLOW_HOSTS.",
    ),
    "whoever runs this server may name the host in CALL2ME_ALLOW_HOSTS",
)
UNREACHED = Meaning("No connection came about", _NETWORK, _NOTHING_THERE)
TLS = Meaning(
    "The encrypted connection failed",
    (
        "Check that {server} is the port for TLS, mostly 5061.",
        "The carrier's certificate must be valid, and for the very name that sip_server has.",
        "If the carrier does not speak TLS at all, set sip_transport to tcp or udp.",
    ),
)
_WORDS = {
    NOT_YET: Meaning(
        "No answer has come so far",
        _NETWORK,
        f"nothing has come back so far. If it stays so: {_NOTHING_THERE}",
    ),
    "nobody answered": SILENCE,
    "no connection in time": UNREACHED,
    "refused": REFUSED,
    "private network": PRIVATE,
    "esolution failed": UNKNOWN_NAME,
    "no address": UNKNOWN_NAME,
    "fatal alert": replace(
        TLS,
        registering="the carrier's side refused the encrypted connection: TLS 1.2 and 1.3 are spoken here",
    ),
    "corrupt message": replace(TLS, registering="this port does not speak TLS: mostly 5061 does"),
    "UnknownIssuer": replace(
        TLS,
        registering="nobody whom this machine trusts has signed the carrier's certificate: whoever runs this "
        "server may name who has in CALL2ME_SIP_CA_FILE",
    ),
    "xpired": replace(TLS, registering="the carrier's certificate is out of date"),
    "certificate": replace(
        TLS,
        registering="the carrier's certificate is not for this name: sip_server must be as it says there",
    ),
}
"""Parts of what our SIP engine says in the place of a carrier that said nothing."""


def meaning(code: int) -> Meaning:
    """Of a code of SIP."""
    if (known := _MEANS.get(code)) is not None:
        return known
    if code < 400:
        return Meaning("The number is forwarded to where we may not follow", ("Call another number.",))
    if code < 500:
        return _REFUSAL
    return Meaning("Something is wrong at the carrier, or at whoever was called", (_LATER,))


def meaning_of_words(said: str) -> Meaning | None:
    """Of what the SIP engine says where there is no code; None where that is not known."""
    return next((meant for words, meant in _WORDS.items() if words in said), None)
