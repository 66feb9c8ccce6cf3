"""A statement together with what it reads, as one query: nothing has to be built for it first.

What a file with the header `-- inline: schema.name` returns is never stored: a table costs a build the comparison with
the one there is, and its publication, which pays for what is dear to compute and for what tells the keys that changed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from sqlglot import exp

from st_kpi.kpis.definitions.findings import Finding, line_of
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement, qualified

#: A query: the comments on top of it, its WITH if it has one, and the rest; any text has these parts.
_PARTS = re.compile(
    r"(?P<comments>(?:\s+|--[^\n]*|/\*.*?\*/)*)(?P<own>WITH\s+(?:RECURSIVE\s+)?)?(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_TABLE = re.compile(r"\b(st_[a-z]+)\.([a-z_][a-z0-9_]*)\b")


def compiled(statements: Iterable[Statement], inline: Sequence[Statement]) -> tuple[Statement, ...]:
    """What runs of ``statements``: those that fill or ask, with what they read of ``inline``, in its order, in front."""
    return tuple(_compiled(s, inline) for s in statements if not s.is_inline)


def _compiled(statement: Statement, inline: Sequence[Statement]) -> Statement:
    above = filling(upstream(statement, inline))
    return replace(statement, sql=inlined(statement.sql, above)) if above else statement


def check_inline(statements: Sequence[Statement]) -> list[Finding]:
    """What of ``statements`` keeps inline ones from standing in front of them, and inline ones that nobody reads."""
    inline = {s.table: s for s in statements if s.is_inline}
    unread = inline.keys() - {table for s in statements for table in s.reads}
    findings = [
        Finding(s.path, s.line, "inline", f"No file reads {table}: delete this one.")
        for table, s in inline.items()
        if table in unread
    ]
    for statement in (s for s in statements if s.reads & inline.keys()):
        qualifiers = {column.table for column in statement.found(exp.Column)}
        for node in (t for t in statement.found(exp.Table) if qualified(t) in inline):
            quoted = any(part.args.get("quoted") for part in node.find_all(exp.Identifier))
            if quoted or (not node.alias and node.name in qualifiers):
                message = f"{qualified(node)} is inline: name it without quotes, and with an alias where columns are told by it."
                findings.append(Finding(statement.path, line_of(node), "inline", message))
    return findings


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


def depending(
    statement: Statement, statements: Sequence[Statement], parameters: Set[str]
) -> list[Statement]:
    """What has to be computed for ``statement`` under other ``parameters``: the files that these change, and inline ones."""
    above = upstream(statement, statements)
    changed: set[str] = set()
    for file in above:
        if file.parameters & parameters or file.reads & changed:
            changed.add(file.table or "")
    return upstream(statement, [s for s in above if s.table in changed or s.is_inline])


def inlined(select: str, read: Mapping[str, str]) -> str:
    """``select`` with the tables of ``read`` as WITH clauses in front: their names and what fills them.

    Each may read those before it. They stand before the WITH clauses of ``select`` itself, whose ORDER BY so stays the last
    word: on BigQuery that of a query inside of another one is none.
    """
    if not read:
        return select
    bodies = ",\n".join(
        f"{_clause(table)} AS (\n{_renamed(sql.strip(), read)}\n)" for table, sql in read.items()
    )
    parts = _PARTS.fullmatch(select)
    assert parts is not None
    comments, own, rest = parts.group("comments", "own", "rest")
    between = ",\n" if own else "\n"
    return f"{comments}{own or 'WITH '}{bodies}{between}{_renamed(rest, read)}"


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
