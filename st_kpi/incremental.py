"""Which statements a build has to run: those whose SQL, parameters or input rows are not as they were.

The version of a table is a fingerprint of its rows, whatever their order; of a statement, that of
its SQL, of the parameters it names and of the tables it reads. A derived table that comes out as it
was keeps its version, so that what reads it need not run either. Everything here is remembered in
``st_ops.statement_states``, written in the build's transaction: a build that fails forgets what it
had computed.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from st_kpi.builds import fingerprint
from st_kpi.servicetitan.schema import ColumnType
from st_kpi.sql import transpile
from st_kpi.sql.statements import CONTRIBUTIONS, Statement
from st_kpi.warehouse.base import Warehouse

STATES = "st_ops.statement_states"
_COLUMNS = (
    ("name", ColumnType.STRING),
    ("inputs", ColumnType.STRING),
    ("output", ColumnType.STRING),
)


class Plan:
    """What is known of each statement's inputs and output, from the last good build on."""

    def __init__(
        self, warehouse: Warehouse, params: Mapping[str, object], build: int, *, full: bool
    ) -> None:
        self._warehouse = warehouse
        self._params = params
        self._build = build
        self._before = {} if full else _states(warehouse)
        self._after = dict(_states(warehouse))
        self._versions: dict[str, str] = {}
        self._derived: set[str] = set()
        # What the SQL means on this engine is part of the input.
        self._salt = fingerprint(
            [version("sqlglot"), version("duckdb"), Path(transpile.__file__).read_bytes()]
        )

    def run(self, statement: Statement, fill: Callable[[], bool]) -> bool:
        """Run ``fill`` unless nothing it depends on changed; returns whether it ran.

        ``fill`` says whether it changed any row of a table that several statements share.
        """
        assert statement.table is not None
        table = statement.table
        inputs = self._inputs(statement)
        known = self._before.get(statement.name)
        shared = table == CONTRIBUTIONS
        if known is not None and known[0] == inputs and self._warehouse.table_exists(table):
            if not shared:
                self._versions[table] = known[1]
            return False
        changed = fill()
        if shared:
            if changed:
                self._after[CONTRIBUTIONS] = ("", f"build {self._build}")
            output = ""
        else:
            output = self._warehouse.fingerprint(table)
            self._versions[table] = output
        self._after[statement.name] = (inputs, output)
        return True

    def skip(self, statement: Statement) -> None:
        """Leave a statement out of this build; what is known of it stays, and so do its rows."""
        known = self._after.get(statement.name)
        if statement.table and statement.table != CONTRIBUTIONS:
            self._versions[statement.table] = (
                known[1] if known else self._warehouse.fingerprint(statement.table)
            )

    def touched(self) -> None:
        """Rows of the contributions changed outside of any statement."""
        self._after[CONTRIBUTIONS] = ("", f"build {self._build}")

    def remember(self) -> None:
        """Write what is known for the next build."""
        rows = [(name, inputs, output) for name, (inputs, output) in self._after.items()]
        self._warehouse.write_table(STATES, _COLUMNS, rows)

    def _inputs(self, statement: Statement) -> str:
        used = [(name, str(self._params.get(name))) for name in sorted(statement.parameters)]
        read = [(table, self._version(table)) for table in sorted(statement.reads)]
        return fingerprint([self._salt, statement.sql, used, read])

    def _version(self, table: str) -> str:
        if (
            table == CONTRIBUTIONS
        ):  # too many rows to look at: each build says whether it touched them
            return self._after.get(CONTRIBUTIONS, ("", ""))[1]
        if table not in self._versions:
            self._versions[table] = self._warehouse.fingerprint(table)
        return self._versions[table]


def _states(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    if not warehouse.table_exists(STATES):
        return {}
    rows = warehouse.query(f"SELECT name, inputs, output FROM {STATES}")
    return {r["name"]: (r["inputs"], r["output"]) for r in rows}
