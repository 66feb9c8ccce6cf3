"""What every model of a ServiceTitan record shares, and the small objects nested in many of them.

Fields are named as in the API, in snake_case, and are nullable except the key: live data holds
nulls in fields that the specification calls required. Fields the models do not know are kept by the
loader in ``_extra``.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel


class _Marker:
    """A fact about a field that the warehouse needs and pydantic does not."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


PERSONAL = _Marker("PERSONAL")
JSON = _Marker("JSON")


@dataclass(frozen=True)
class DerivedFrom:
    """A flag the loader computes from the JSON field ``field`` before that is dropped."""

    field: str


T = TypeVar("T")

#: Names a person, reaches a person, or is free text that may: loaded only when ``personal_data``
#: names the entity.
Personal = Annotated[T | None, PERSONAL]

#: A nested list or object that no KPI reads: kept as JSON text in one column.
Json = Annotated[Any, JSON]


def _as_utc(value: object) -> object:
    """Read a timestamp without an offset as UTC, which is what the API means by it."""
    if isinstance(value, str) and len(value) > 10 and value[-1] not in "Zz":
        return value if "+" in value[10:] or "-" in value[10:] else f"{value}Z"
    return value


#: An instant in UTC.
Timestamp = Annotated[datetime, BeforeValidator(_as_utc)]


class Nested(BaseModel):
    """An object inside a record. Its fields become columns named ``<field>_<nested field>``."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", coerce_numbers_to_str=True
    )


class Record(Nested):
    """One record of an entity; the subclass's fields are the entity's columns."""


class Line(Nested):
    """One line nested in a record: a row of a table of its own, replaced with its record."""


class Named(Nested):
    """A reference with the name it had when the record was written."""

    id: int | None = None
    name: str | None = None


class CustomerRef(Nested):
    """A reference to a customer or location: the id is loaded, the name is personal."""

    id: int | None = None
    name: Personal[str] = None


class Address(Nested):
    """A postal address. Street and unit are personal; the rest places a market."""

    street: Personal[str] = None
    unit: Personal[str] = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None


class GeoAddress(Address):
    """An address with coordinates, which point at a door and so are personal."""

    latitude: Personal[float] = None
    longitude: Personal[float] = None


class Batch(Nested):
    """The accounting batch that a transaction was posted in."""

    id: int | None = None
    number: str | None = None
    name: str | None = None


class SalesTaxCode(Nested):
    """A tax code; the rate is a fraction."""

    id: int | None = None
    name: str | None = None
    tax_rate: Decimal | None = None
