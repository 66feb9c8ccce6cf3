"""Which statements a build has to run, and which of them for changed keys alone.

The version of a table is a text that changes when its rows do. A statement runs when its SQL or the
parameters it names changed, or the version of a table it reads; a derived table that comes out as it
was keeps its version, so that what reads it need not run either. A statement runs

- *whole, its table replaced*, when its definition changed or a table beneath it was replaced
- *whole, compared* with the table there is, of which only the rows that differ are written
- *in part*, compared too, when all that changed are tables that can be cut down to keys for it
  (``st_kpi.kpis.definitions.grain``) and that were compared in this build, so that their changed keys are known

What is known is remembered in ``st_ops.statement_states``, written in the build's transaction: a build
that fails forgets what it had computed.

For each statement in turn, or the statements of a level (``levels``) together: ``run = plan.work(statement)``, then what
``run`` says, then ``plan.done(statement, run, outcome)``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from st_kpi.columns import ColumnType
from st_kpi.kpis.build_log import digest
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement
from st_kpi.kpis.incremental.keys import KeySlice
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import STATEMENT_STATES

_COLUMNS = (
    ("name", ColumnType.STRING),
    ("definition", ColumnType.STRING),
    ("inputs", ColumnType.STRING),
    ("output", ColumnType.STRING),
)


@dataclass(frozen=True)
class StatementRun:
    """How a statement runs: whole or a slice of it, and its table compared or replaced."""

    compared: bool = False
    key_slice: KeySlice | None = None


@dataclass(frozen=True)
class Outcome:
    """Whether a run changed any row of a table that is compared or that several share; of one that was replaced its version."""

    changed: bool = True
    version: str = ""


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
        raw_tables: Collection[str],
        *,
        full: bool,
    ) -> None:
        self._warehouse = warehouse
        self._params = params
        self._build = f"build {build}"
        self._by_key = by_key
        known = _states(warehouse)
        self._before = {} if full else known
        self._after = dict(known)
        self._versions = warehouse.versions(raw_tables)
        self._tables = warehouse.table_names()
        #: Tables compared in this build, of which rows changed, with the version they had before.
        self._compared: dict[str, str] = {}
        self._replaced: set[str] = set()
        # What the SQL means on this engine is part of the input.
        self._salt = warehouse.sql_version()

    def work(self, statement: Statement) -> StatementRun | None:
        """How the statement has to run; None when its rows are as they have to be."""
        assert statement.table is not None
        before = self._before.get(statement.name)
        is_there = self.has(statement.table)
        # Rows of other days stay, so such a table is never replaced.
        whole = StatementRun(compared=is_there and statement.replaces is not None)
        if before is None or before.definition != self._definition(statement) or not is_there:
            return whole
        if before.inputs == self._inputs(statement):
            if statement.table != CONTRIBUTIONS:
                self._versions[statement.table] = before.output
            return None
        if statement.reads & self._replaced:
            return whole
        # As the last run met them, were it not for the keys changed since: then those alone matter.
        tables = self._by_key.get(statement.name, frozenset())
        changed = tables & self._compared.keys()
        key = statement.incremental_by
        if key and before.inputs == self._inputs(statement, changed):
            return StatementRun(compared=True, key_slice=KeySlice(key, tables, changed))
        return StatementRun(compared=True)

    def done(self, statement: Statement, run: StatementRun, outcome: Outcome) -> None:
        """The statement ran as ``work`` said."""
        assert statement.table is not None
        self._tables.add(statement.table)
        if statement.table == CONTRIBUTIONS:
            output = ""
            if outcome.changed:
                self.contributions_changed()
        else:
            output = self._output(statement, run, outcome)
        self._after[statement.name] = _State(
            self._definition(statement), self._inputs(statement), output
        )

    def skip(self, statement: Statement) -> None:
        """Leave a statement out of this build; what is known of it stays, and so do its rows."""
        state = self._after.get(statement.name)
        if statement.table and statement.table != CONTRIBUTIONS:
            self._versions[statement.table] = (
                state.output if state else self._version(statement.table)
            )

    def contributions_changed(self) -> None:
        """Rows of the contributions changed."""
        self._after[CONTRIBUTIONS] = _State("", "", self._build)

    def has(self, table: str) -> bool:
        """Whether the table is there, from the builds before or by a statement that ran."""
        return table in self._tables

    def provided(self, table: str, version: str) -> bool:
        """Note the version of a table that the build itself writes; returns whether the table has had it already."""
        before = self._before.get(table)
        self._versions[table] = version
        self._after[table] = _State("", "", version)
        return before is not None and before.output == version

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

    def _output(self, statement: Statement, run: StatementRun, outcome: Outcome) -> str:
        """The version of the table that was filled."""
        assert statement.table is not None
        table, state = statement.table, self._before.get(statement.name)
        before = state.output if state else ""
        if not run.compared:
            self._versions[table] = outcome.version
            if self._versions[table] != before:
                self._replaced.add(table)
        elif outcome.changed:
            # Follows from the one before, so that it never comes back.
            self._versions[table] = digest([before, self._build])
            self._compared[table] = before
        else:
            self._versions[table] = before
        return self._versions[table]

    def _definition(self, statement: Statement) -> str:
        used = [(name, str(self._params.get(name))) for name in sorted(statement.parameters)]
        return digest([self._salt, statement.sql, used])

    def _inputs(self, statement: Statement, changed: frozenset[str] = frozenset()) -> str:
        """The tables the statement reads, those of ``changed`` as they were before this build."""
        return digest(
            (table, self._compared[table] if table in changed else self._version(table))
            for table in sorted(statement.reads)
        )

    def _version(self, table: str) -> str:
        if table == CONTRIBUTIONS:
            # Too many rows to look at: each build says whether it changed them.
            state = self._after.get(CONTRIBUTIONS)
            return state.output if state else ""
        if table not in self._versions:
            self._versions |= self._warehouse.versions([table])
        return self._versions[table]


def _states(warehouse: Warehouse) -> dict[str, _State]:
    if not warehouse.table_exists(STATEMENT_STATES):
        return {}
    rows = warehouse.query(f"SELECT name, definition, inputs, output FROM {STATEMENT_STATES}")
    return {r["name"]: _State(r["definition"], r["inputs"], r["output"]) for r in rows}
