"""Rows of SIP trunks."""

from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import Column
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now
from api.db.sealed import SealedText


class SipTrunkRow(SQLModel, table=True):
    """One carrier or PBX: where it is, how we sign in, and from where it may call."""

    __tablename__ = "sip_trunks"

    id: str = Field(default_factory=lambda: new_id("trunk"), primary_key=True)
    owner_id: str | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", index=True)
    """None: of this installation, for the numbers that are bought here."""
    name: str
    sip_server: str
    """`host` or `host:port`."""
    sip_proxies: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    """Asked instead of `sip_server`, in this order, where there are any."""
    sip_transport: str = "udp"
    sip_username: str | None = None
    sip_password: SecretStr | None = Field(default=None, sa_column=Column(SealedText, nullable=True))
    sip_register: bool | None = None
    """Whether we register there; None: where there is a user name."""
    allowed_addresses: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    """Addresses and networks that its calls come from; empty: where `sip_server` and `sip_proxies` are."""
    outbound_caller_id: str | None = None
    dial_prefix: str = "+"
    """What stands before the country code of a number that is dialled."""
    sip_assert_identity: bool = False
    """Whether our INVITEs name who calls in P-Asserted-Identity, too."""
    active: bool = True
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)

    @property
    def registers(self) -> bool:
        """True where calls reach us through a registration."""
        return bool(self.sip_username) if self.sip_register is None else self.sip_register
