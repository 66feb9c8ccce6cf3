"""What the writers share: money in both spellings, references with names, addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from st_kpi.sandbox.company import Company

Record = dict[str, Any]
NO_ADDRESS: Record = {
    "street": None,
    "unit": None,
    "city": None,
    "state": None,
    "zip": None,
    "country": None,
}


def text_money(cents: int | None) -> str | None:
    """Money of accounting endpoints: a JSON string."""
    if cents:
        return f"{cents / 100:.2f}"
    return None if cents is None else "0.00"


def number(cents: int | None) -> float | None:
    """Money and quantities elsewhere: a JSON number, exact to the cent when read as decimal."""
    return None if cents is None else cents / 100


def address(key: int) -> Record:
    """A made-up address; one in thirteen came in without its parts."""
    if key % 13 == 0:
        return NO_ADDRESS
    return {
        "street": f"{key % 9_900 + 100} Example Street",
        "unit": None if key % 4 else f"# {key % 40}",
        "city": "Sampleton",
        "state": "AZ",
        "zip": f"{key % 900:05d}",
        "country": "USA",
    }


class Names:
    """Names by id, for the nested `{id, name}` references."""

    def __init__(self, company: Company) -> None:
        self.tenant_id = company.tenant_id
        self.company = company.name
        self.customers = {row.id: row.name for row in company.customers}
        self.locations = {row.id: row.name for row in company.locations}
        self.units = {row.id: row.name for row in company.business_units}
        self.unit_ids = list(self.units)
        self.job_types = {row.id: row.name for row in company.job_types}
        self.codes = {row.id: row.code for row in company.activity_codes}
        self.payment_types = {row.id: row.name for row in company.payment_types}
        self.type_of_job = {row.id: row.job_type_id for row in company.jobs}

    def unit(self, key: int | None) -> Record | None:
        """The nested business unit of a row."""
        return None if key is None else {"id": key, "name": self.units.get(key)}

    def customer(self, key: int | None) -> Record | None:
        """The nested customer of a row."""
        return None if key is None else {"id": key, "name": self.customers.get(key)}

    def location(self, key: int | None) -> Record | None:
        """The nested location of a row."""
        return None if key is None else {"id": key, "name": self.locations.get(key)}


Writer = Callable[[Any, Names], Record]
