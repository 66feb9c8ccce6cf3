"""Which statements can run at the same time: none of a level reads what another of it fills."""

from collections.abc import Iterable

from st_kpi.kpis.definitions.statements import Statement


def levels(statements: Iterable[Statement]) -> list[list[Statement]]:
    """The statements that fill tables, from their order on, in levels; those of the contributions share one."""
    filling = [s for s in statements if s.table]
    level_of: dict[str, int] = {}
    for statement in filling:
        assert statement.table is not None
        above = max((level_of.get(table, 0) for table in statement.reads), default=0) + 1
        level_of[statement.table] = max(level_of.get(statement.table, 0), above)
    numbered: dict[int, list[Statement]] = {}
    for statement in filling:
        assert statement.table is not None
        numbered.setdefault(level_of[statement.table], []).append(statement)
    return [numbered[number] for number in sorted(numbered)]
