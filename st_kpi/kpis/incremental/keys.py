"""The keys whose rows a build changed, and statements cut down to them.

``st_staging.touched_keys`` has the keys of every row that a table lost or got in the build under way,
under the table and its column. NULL and 0 are one key: the source writes either where there is no record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from st_kpi.columns import ColumnType
from st_kpi.kpis.definitions.inline import cut_down
from st_kpi.warehouse.base import Warehouse

CHANGED_KEYS = "st_staging.touched_keys"
_COLUMNS = (("source", ColumnType.STRING), ("touched_key", ColumnType.INT64))


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
        return (
            f"COALESCE(`{self.key}`, 0) IN"
            f" (SELECT touched_key FROM {CHANGED_KEYS} WHERE source IN UNNEST(@key_sources))"
        )

    @property
    def params(self) -> Mapping[str, object]:
        """What the condition needs besides the parameters of the statement."""
        return {"key_sources": [_source(table, self.key) for table in sorted(self.changed)]}

    def of(self, select: str) -> str:
        """The slice of ``select``, a SELECT around the statement."""
        return cut_down(select, dict.fromkeys(sorted(self.tables), self.condition))


def clear(warehouse: Warehouse) -> None:
    """Forget the keys of a build."""
    warehouse.write_table(CHANGED_KEYS, _COLUMNS, [])


def note(warehouse: Warehouse, table: str, differences: str, keys: Iterable[str]) -> None:
    """Add the keys of the rows that ``table`` lost and got, under each of its columns ``keys``."""
    for key in sorted(keys):
        warehouse.execute(
            f"INSERT INTO {CHANGED_KEYS} (source, touched_key)"
            f" SELECT DISTINCT '{_source(table, key)}' AS source, COALESCE(`{key}`, 0) AS touched_key"
            f" FROM {differences}"
        )


def _source(table: str, key: str) -> str:
    return f"{table}.{key}"
