"""Which statements a build has to run, and which of them for touched keys alone.

The version of a table is a text that changes when its rows do. A statement runs when its SQL or the
parameters it names changed, or the version of a table it reads; a derived table that comes out as it
was keeps its version, so that what reads it need not run either. A statement runs

- *whole, its table replaced*, when its definition changed or a table beneath it was replaced
- *whole, compared* with the table there is, of which only the rows that differ are written
- *in part*, compared too, when all that changed are tables that can be cut down to keys for it
  (``st_kpi.kpis.definitions.grain``) and that were compared in this build, so that their touched keys are known

What is known is remembered in ``st_ops.statement_states``, written in the build's transaction: a build
that fails forgets what it had computed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from st_kpi.columns import ColumnType
from st_kpi.kpis.build_log import fingerprint
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement
from st_kpi.kpis.incremental.keys import Part
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import STATEMENT_STATES

_COLUMNS = (
    ("name", ColumnType.STRING),
    ("definition", ColumnType.STRING),
    ("inputs", ColumnType.STRING),
    ("output", ColumnType.STRING),
)


@dataclass(frozen=True)
class Work:
    """How a statement runs: whole or a part of it, and its table compared or replaced."""

    compared: bool = False
    part: Part | None = None


@dataclass(frozen=True)
class _State:
    """What a statement was when it ran last: its SQL and parameters, the tables it read, and what came out."""

    definition: str
    inputs: str
    output: str


class Plan:
    """What is known of each statement's inputs and output, from the last good build on."""

    def __init__(
        self,
        warehouse: Warehouse,
        params: Mapping[str, object],
        build: int,
        by_key: Mapping[str, frozenset[str]],
        *,
        full: bool,
    ) -> None:
        self._warehouse = warehouse
        self._params = params
        self._build = f"build {build}"
        self._by_key = by_key
        self._before = {} if full else _states(warehouse)
        self._after = dict(_states(warehouse))
        self._versions: dict[str, str] = {}
        #: Tables compared in this build, of which rows changed, with the version they had before.
        self._compared: dict[str, str] = {}
        self._replaced: set[str] = set()
        # What the SQL means on this engine is part of the input.
        self._salt = warehouse.sql_version()

    def run(self, statement: Statement, fill: Callable[[Work], bool]) -> Work | None:
        """Run ``fill`` unless nothing it depends on changed; returns how it ran.

        ``fill`` says whether it changed any row of a table that is compared or that several statements
        share.
        """
        work = self._work(statement)
        if work is None:
            return None
        changed = fill(work)
        if statement.table == CONTRIBUTIONS:
            output = ""
            if changed:
                self.touched()
        else:
            output = self._output(statement, work, changed)
        self._after[statement.name] = _State(
            self._definition(statement), self._inputs(statement), output
        )
        return work

    def skip(self, statement: Statement) -> None:
        """Leave a statement out of this build; what is known of it stays, and so do its rows."""
        known = self._after.get(statement.name)
        if statement.table and statement.table != CONTRIBUTIONS:
            self._versions[statement.table] = (
                known.output if known else self._warehouse.version(statement.table)
            )

    def touched(self) -> None:
        """Rows of the contributions changed."""
        self._after[CONTRIBUTIONS] = _State("", "", self._build)

    def unchanged(self, table: str) -> bool:
        """Whether a table that no statement fills has the rows that the last good build met."""
        before = self._before.get(table)
        version = self._version(table)
        self._after[table] = _State("", "", version)
        return before is not None and before.output == version

    def remember(self) -> None:
        """Write what is known for the next build."""
        rows = [(name, s.definition, s.inputs, s.output) for name, s in self._after.items()]
        self._warehouse.write_table(STATEMENT_STATES, _COLUMNS, rows)

    def _work(self, statement: Statement) -> Work | None:
        """How the statement has to run; None when its rows are as they have to be."""
        assert statement.table is not None
        known = self._before.get(statement.name)
        if (
            known is None
            or known.definition != self._definition(statement)
            or not self._warehouse.table_exists(statement.table)
        ):
            return Work()
        if known.inputs == self._inputs(statement):
            if statement.table != CONTRIBUTIONS:
                self._versions[statement.table] = known.output
            return None
        if statement.replaces or statement.reads & self._replaced:
            return Work()
        # As the last run met them, were it not for the keys touched since: then those alone matter.
        tables = self._by_key.get(statement.name, frozenset())
        touched = tables & self._compared.keys()
        if statement.by and known.inputs == self._inputs(statement, touched):
            return Work(compared=True, part=Part(statement.by, tables, touched))
        return Work(compared=True)

    def _output(self, statement: Statement, work: Work, changed: bool) -> str:
        """The version of the table that was filled."""
        assert statement.table is not None
        table, known = statement.table, self._before.get(statement.name)
        before = known.output if known else ""
        if not work.compared:
            self._versions[table] = self._warehouse.version(table)
            if self._versions[table] != before:
                self._replaced.add(table)
        elif changed:
            # Follows from the one before, so that it never comes back.
            self._versions[table] = fingerprint([before, self._build])
            self._compared[table] = before
        else:
            self._versions[table] = before
        return self._versions[table]

    def _definition(self, statement: Statement) -> str:
        used = [(name, str(self._params.get(name))) for name in sorted(statement.parameters)]
        return fingerprint([self._salt, statement.sql, used])

    def _inputs(self, statement: Statement, touched: frozenset[str] = frozenset()) -> str:
        """The tables the statement reads, those of ``touched`` as they were before this build."""
        return fingerprint(
            (table, self._compared[table] if table in touched else self._version(table))
            for table in sorted(statement.reads)
        )

    def _version(self, table: str) -> str:
        if table == CONTRIBUTIONS:
            # Too many rows to look at: each build says whether it touched them.
            known = self._after.get(CONTRIBUTIONS)
            return known.output if known else ""
        if table not in self._versions:
            self._versions[table] = self._warehouse.version(table)
        return self._versions[table]


def _states(warehouse: Warehouse) -> dict[str, _State]:
    if not warehouse.table_exists(STATEMENT_STATES):
        return {}
    rows = warehouse.query(f"SELECT name, definition, inputs, output FROM {STATEMENT_STATES}")
    return {r["name"]: _State(r["definition"], r["inputs"], r["output"]) for r in rows}
