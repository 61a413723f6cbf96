"""Rows of availability."""

from datetime import datetime

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime


class AvailabilityRow(SQLModel, table=True):
    """One hour: a bit for each minute in which a part was up, the lowest for the first minute."""

    __tablename__ = "availability"

    hour: datetime = Field(sa_column=Column(UtcDateTime, primary_key=True))
    api: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    voice: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
