"""What SIP trunks look like on the wire."""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from api.http.wire import Wire
from api.sip_trunks.table import SipTrunkRow

MAX_ADDRESSES = 100


def _port_in_range(server: str) -> str:
    port = server.partition(":")[2]
    if port and not 0 < int(port) < 65536:
        raise PydanticCustomError("sip_port", "The port must be from 1 to 65535")
    return server


def _network(text: str) -> str:
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise PydanticCustomError(
            "ip_network", "Not an address or a network, like 203.0.113.5 or 203.0.113.0/24"
        ) from None
    if network.prefixlen == 0:
        raise PydanticCustomError("ip_network", "This would let everybody in")
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _one_line(text: str) -> str:
    if not text.isprintable():  # it stands in a SIP header
        raise PydanticCustomError("one_line", "Must be one line of printable text")
    return text


Name = Annotated[str, Field(min_length=1, max_length=100)]
SipServer = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[\w.-]+(:\d{1,5})?$"), AfterValidator(_port_in_range)
]
Username = Annotated[str, Field(max_length=255), AfterValidator(_one_line)]
Password = Annotated[SecretStr, Field(max_length=255)]
Transport = Literal["udp", "tcp", "tls"]
CallerId = Annotated[str, Field(max_length=50), AfterValidator(_one_line)]
DialPrefix = Literal["+", "", "00", "011"]
"""Each spells the same number: nothing else may stand there, or a number would become another one."""
Proxies = Annotated[list[SipServer], Field(max_length=5)]
Addresses = Annotated[
    list[Annotated[str, Field(max_length=50), AfterValidator(_network)]], Field(max_length=MAX_ADDRESSES)
]


class SipTrunkCreate(Wire):
    """A carrier or a PBX to be connected."""

    name: Name
    sip_server: SipServer
    sip_username: Username | None = None
    sip_password: Password | None = None
    sip_transport: Transport = "udp"
    outbound_caller_id: CallerId | None = None
    dial_prefix: DialPrefix = "+"
    """What this carrier wants before the country code of a number that is dialled."""
    sip_assert_identity: bool = False
    """Whether its INVITEs name the caller id in P-Asserted-Identity, too."""
    sip_proxies: Proxies = Field(default_factory=list)
    """Asked instead of the server, the next when one does not answer."""
    sip_register: bool | None = None
    """Whether to register there; left out: where there is a user name."""
    allowed_addresses: Addresses = Field(default_factory=list)
    """Where its calls come from; left out: from the server and the proxies alone."""


class SipTrunkUpdate(Wire):
    """What to change; what is not sent stays. An empty user name, password or caller id takes it away."""

    name: Name | None = None
    sip_server: SipServer | None = None
    sip_username: Username | None = None
    sip_password: Password | None = None
    sip_transport: Transport | None = None
    outbound_caller_id: CallerId | None = None
    dial_prefix: DialPrefix | None = None
    sip_assert_identity: bool | None = None
    sip_proxies: Proxies | None = None
    sip_register: bool | None = None
    allowed_addresses: Addresses | None = None
    active: bool | None = None


class SipTrunk(Wire):
    """A trunk as it is stored. Its password is never shown."""

    trunk_id: str
    name: str
    sip_server: str
    sip_username: str | None
    has_password: bool
    sip_transport: str
    outbound_caller_id: str | None
    dial_prefix: str
    sip_assert_identity: bool
    sip_proxies: list[str]
    sip_register: bool
    allowed_addresses: list[str]
    active: bool
    phone_number_count: int = 0
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: SipTrunkRow, numbers: int = 0) -> "SipTrunk":
        """A row, and how many numbers are bound to it."""
        return cls(
            trunk_id=row.id,
            name=row.name,
            sip_server=row.sip_server,
            sip_username=row.sip_username,
            has_password=row.sip_password is not None,
            sip_transport=row.sip_transport,
            outbound_caller_id=row.outbound_caller_id,
            dial_prefix=row.dial_prefix,
            sip_assert_identity=row.sip_assert_identity,
            sip_proxies=row.sip_proxies,
            sip_register=row.registers,
            allowed_addresses=row.allowed_addresses,
            active=row.active,
            phone_number_count=numbers,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class TrunkChecked(Wire):
    """Whether a trunk works, in a sentence."""

    success: bool
    message: str
