"""What a report is made of: fields, parameters, and rows that know more than is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from st_kpi.sandbox.reports.ledger import Ledger

#: Text, whole cents, a ratio, a calendar day or an instant (ticks), by the kind of its field.
Value = str | int | float | date | None


class Kind(Enum):
    """What a field holds."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    AVERAGE = "money that does not add up"
    FRACTION = "fraction"
    DAY = "day"
    INSTANT = "instant"

    @property
    def data_type(self) -> str:
        """What the API's description calls it."""
        return _DATA_TYPES.get(self, "Number")


_DATA_TYPES = {Kind.TEXT: "String", Kind.DAY: "Date", Kind.INSTANT: "Date"}


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name for programs, its label for people, and which value where not that of its name."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    source: str = ""

    def of(self, row: Row) -> Value:
        """What a row has in this column."""
        return row.values.get(self.source or self.name)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something a report is asked with; `dynamic_set` lists what it may be."""

    name: str
    label: str
    data_type: str
    required: bool = False
    array: bool = False
    dynamic_set: str | None = None


@dataclass(slots=True)
class Row:
    """One row before anything was chosen.

    `key` tells it apart, `days` are its dates by date type, `left_out` says which filter of the
    office hides it ("" for none), and `other` holds by how many cents its values would differ
    under another reading ("orders", "tax", "adjustments").
    """

    key: str
    unit_id: int | None
    values: dict[str, Value]
    days: dict[str, date] = field(default_factory=dict)
    left_out: str = ""
    other: dict[str, dict[str, int]] = field(default_factory=dict)

    def shown(self, asked: Asked) -> bool:
        """Whether no filter hides it, and it is within the days and units asked for."""
        day = self.days.get(asked.date_type)
        if self.left_out or day is None or not asked.first <= day <= asked.last:
            return False
        return asked.units is None or self.unit_id in asked.units

    def add(self, cents: dict[str, int]) -> None:
        """Change values by so many cents."""
        for name, more in cents.items():
            value = self.values[name]
            assert isinstance(value, int)
            self.values[name] = value + more


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one request. Both days are included; no units means all of them."""

    first: date
    last: date
    date_type: str = ""
    units: frozenset[int] | None = None
    adjustments: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """One report: what it shows, how it is asked, where its rows come from.

    `key_field` and `unit_field` name the columns of a row's key and unit; `finish` works out what
    depends on other columns, or on other rows.
    """

    number: int
    category: str
    name: str
    description: str
    parameters: tuple[Parameter, ...]
    fields: tuple[Field, ...]
    key_field: str
    unit_field: str
    rows: Callable[[Ledger, Asked], Iterable[Row]]
    finish: Callable[[Ledger, list[Row]], list[Row]]

    @property
    def between_days(self) -> bool:
        """Whether it is asked for a stretch of days, and not as of one."""
        return any(parameter.name == "From" for parameter in self.parameters)
