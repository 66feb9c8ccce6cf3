"""What the reports read: the books of a company, and names by id."""

from __future__ import annotations

from st_kpi.sandbox.books import Books
from st_kpi.sandbox.company import Company


class Ledger:
    """The books and names of one company as it is now; see `books` for what each number means."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.books = Books(company)
        self.customers = {row.id: row.name for row in company.customers}
        self.locations = {row.id: row for row in company.locations}
        self.technicians = {row.id: row.name for row in company.technicians}
        self.payment_types = {row.id: row.name for row in company.payment_types}

    def unit_name(self, unit_id: int | None) -> str | None:
        """The name of a unit; None without one, or where it is unknown."""
        unit = self.books.unit(unit_id)
        return unit.name if unit else None

    def customer(self, customer_id: int | None) -> str | None:
        """The name of a customer."""
        return None if customer_id is None else self.customers.get(customer_id)

    def technician(self, technician_id: int | None) -> str | None:
        """The name of a technician."""
        return None if technician_id is None else self.technicians.get(technician_id)

    def job_type(self, type_id: int) -> str | None:
        """The name of a job type."""
        kind = self.books.types.get(type_id)
        return kind.name if kind else None
