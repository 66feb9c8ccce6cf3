"""A statement together with what it reads, as one query: nothing has to be built for it first."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set

from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement

_TABLE = re.compile(r"\b(st_[a-z]+)\.([a-z_][a-z0-9_]*)\b")


def upstream(statement: Statement, statements: Sequence[Statement]) -> list[Statement]:
    """The files that fill what ``statement`` reads, directly or not, in the order of ``statements``."""
    fillers = {s.table: s for s in statements if s.table and s.table != CONTRIBUTIONS}
    needed: set[str] = set()
    open_tables = list(statement.reads)
    while open_tables:
        table = open_tables.pop()
        if table in fillers and table not in needed:
            needed.add(table)
            open_tables += fillers[table].reads
    return [s for s in statements if s.table in needed]


def depending(statements: Iterable[Statement], parameters: Set[str]) -> list[Statement]:
    """Of ``statements``, in their order, those that one of ``parameters`` can change."""
    tables: set[str] = set()
    dependent = []
    for statement in statements:
        if statement.parameters & parameters or statement.reads & tables:
            tables.add(statement.table or "")
            dependent.append(statement)
    return dependent


def inlined(select: str, read: Mapping[str, str]) -> str:
    """``select`` with the tables of ``read`` as WITH clauses in front: their names and what fills them.

    Each may read those before it; ``select`` itself begins with SELECT.
    """
    if not read:
        return select
    bodies = [
        f"{_clause(table)} AS (\n{_renamed(sql.strip(), read)}\n)" for table, sql in read.items()
    ]
    return "WITH " + ",\n".join(bodies) + "\n" + _renamed(select, read)


def cut_down(select: str, conditions: Mapping[str, str]) -> str:
    """``select`` with only those rows of some tables that the table's condition holds for."""
    bodies = [
        f"{_clause(table)} AS (SELECT * FROM {table} WHERE {condition})"
        for table, condition in conditions.items()
    ]
    return f"WITH {', '.join(bodies)} SELECT * FROM (\n{_renamed(select, conditions)}\n) AS part"


def filling(statements: Iterable[Statement]) -> dict[str, str]:
    """The tables that ``statements`` fill, with their SQL."""
    return {s.table: s.sql for s in statements if s.table}


def _renamed(sql: str, read: Mapping[str, str]) -> str:
    return _TABLE.sub(lambda m: _clause(m[0]) if m[0] in read else m[0], sql)


def _clause(table: str) -> str:
    return table.replace(".", "__")
