"""The kinds of ServiceTitan's reports that a number can be compared with: one file each in ``kpi_sql/reports``."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from st_kpi.errors import SqlError
from st_kpi.parameters import FAMILIES

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Part = Literal["value", "numerator", "denominator"]
Sign = Literal[1, -1]

#: The measure of a report whose rows are counted; no column holds it.
ROWS = "rows"


class RowKey(StrEnum):
    """What one row of a report is about, by which it finds ours: a report without rows of its own has a unit's sums."""

    JOB = "job"
    ESTIMATE = "estimate"
    INVOICE = "invoice"
    LOCATION = "location"
    BUSINESS_UNIT = "business_unit"

    @property
    def is_one_thing(self) -> bool:
        """Whether a key is that of one thing; under an invoice lie several payments, under a location several invoices."""
        return self not in (RowKey.INVOICE, RowKey.LOCATION)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(_Part):
    """How the rows of a kind of report make up one KPI.

    ``measures`` says of each column (or of ``rows``, their number) with which sign it goes into the parts of the KPI. What
    the KPI leaves out by definition is set aside, as far as the report has the column: other statuses, other families,
    those in a setting, balances below one. ``numerator_families`` are those whose rows count in the numerator.
    ``parameters`` are asked of the Reporting API besides those of the kind. ``looks_ahead`` is set where the report is of the year to come.
    """

    measures: Mapping[Name, Mapping[Part, Sign]]
    statuses: tuple[str, ...] = ()
    without_statuses: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    numerator_families: tuple[str, ...] = ()
    without_families_in: Literal["produced_excludes", "future_bookings_excludes"] | None = None
    without_test_customers: bool = False
    looks_ahead: bool = False
    minimum: Literal["ar_minimum"] | None = None
    parameters: Mapping[str, str | bool] = {}

    @model_validator(mode="after")
    def _families_exist(self) -> Self:
        for name in (*self.families, *self.numerator_families):
            if name not in FAMILIES:
                raise ValueError(f"{name!r} is no job family; they are {', '.join(FAMILIES)}")
        return self


class ReportKind(_Part):
    """What one file says: how a report of this kind looks, and which KPIs it can check.

    ``columns`` has the names a column goes by, in the API and in downloads, case and spacing aside. ``components`` says
    which components of our cost a column holds; what has no component belongs to the column that is none of them.
    """

    title: Annotated[str, Field(min_length=1)]
    category: Annotated[str, Field(min_length=1)]
    key: RowKey
    columns: Mapping[Name, tuple[str, ...]]
    kpis: Mapping[Name, Comparison]
    parameters: Mapping[str, str | bool] = {}
    components: Mapping[Name, tuple[str, ...]] = {}
    key_may_be_empty: bool = False

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        if self.key not in self.columns:
            raise ValueError(f"the key {self.key.value!r} is none of the columns")
        for kpi, comparison in self.kpis.items():
            unknown = sorted(comparison.measures.keys() - self.columns.keys() - {ROWS})
            if unknown:
                raise ValueError(
                    f"kpis.{kpi} measures {unknown[0]!r}, which is none of the columns"
                )
        return self

    def needed(self, kpi: str) -> tuple[str, ...]:
        """The columns without which ``kpi`` cannot be compared: the key and what is measured."""
        return (self.key.value, *(name for name in self.kpis[kpi].measures if name != ROWS))

    def measure_of(self, kpi: str, part: str, component: str | None) -> str | None:
        """The measure that holds a contribution of ``kpi``; None where no column of this kind does."""
        for name, parts in self.kpis[kpi].measures.items():
            held = self.components.get(name)
            if part in parts and (component in held if held else component is None):
                return name
        return None


def read_kinds(root: Path) -> dict[str, ReportKind]:
    """Every kind of report by the name of its file; raises ``SqlError`` with the file and what is wrong in it."""
    return {path.stem: _read(path) for path in sorted(root.glob("reports/*.yaml"))}


def _read(path: Path) -> ReportKind:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ReportKind.model_validate(content)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SqlError(path, line, f"The file is not YAML: {error.problem}.") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"]) or "The file"
        raise SqlError(path, 1, f"{where}: {wrong['msg']}.") from None
