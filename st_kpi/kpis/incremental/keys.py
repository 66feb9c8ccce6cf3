"""Statements cut down to the keys of the rows that a build changed.

The tables of differences (``compare``) have those rows. NULL and 0 are one key: the source writes either where there is
no record.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from st_kpi.kpis.definitions.inline import cut_down
from st_kpi.warehouse.system_tables import differences_of


@dataclass(frozen=True)
class KeySlice:
    """The part of a statement that has to run: its rows of the keys that changed in the tables ``changed``.

    ``tables`` are all that have to be cut down for it to return those rows and no others
    (``st_kpi.kpis.definitions.grain``).
    """

    key: str
    tables: frozenset[str]
    changed: frozenset[str]

    @property
    def condition(self) -> str:
        """Which rows of a table with the key are of the slice."""
        keys = " UNION ALL ".join(
            f"SELECT COALESCE(`{self.key}`, 0) AS changed_key FROM {differences_of(table)}"
            for table in sorted(self.changed)
        )
        return f"COALESCE(`{self.key}`, 0) IN (SELECT changed_key FROM ({keys}) AS changed_keys)"

    def of(self, select: str) -> str:
        """The slice of ``select``, a SELECT around the statement."""
        return cut_down(select, dict.fromkeys(sorted(self.tables), self.condition))

    def with_keys_of(self, others: Iterable[Self]) -> Self:
        """The same with the changed keys of other slices too, so that several ask for the same rows."""
        changed = frozenset().union(*(s.changed for s in others if s.key == self.key))
        return replace(self, changed=self.changed | changed)
