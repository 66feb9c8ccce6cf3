"""The files of ``kpi_sql``: what each fills and reads, and the order that follows."""

import graphlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from st_kpi.errors import SqlError
from st_kpi.sql.transpile import parameters_of

CONTRIBUTIONS = "st_kpi.contributions"

_HEADER = re.compile(r"^--\s*(table|check|replaces):\s*(.+?)\s*$")


class Severity(StrEnum):
    """What a check that finds rows does to the build."""

    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True)
class Statement:
    """One SQL file: a SELECT that fills ``table``, or a check whose rows are what is wrong.

    ``replaces`` is the condition on the rows that the SELECT renews; without it, all are.
    ``kpi`` is set for the contributions of one KPI, which all fill the same table.
    """

    path: Path
    name: str
    sql: str
    purpose: str
    table: str | None
    replaces: str | None
    severity: Severity | None
    tree: exp.Query

    @property
    def kpi(self) -> str | None:
        return self.path.parent.name if self.path.name == "contributions.sql" else None

    @cached_property
    def reads(self) -> frozenset[str]:
        """Tables the SELECT reads, as ``schema.name``; names defined by WITH are not tables."""
        return frozenset(qualified(t) for t in self.tree.find_all(exp.Table) if t.db)

    @cached_property
    def parameters(self) -> frozenset[str]:
        return parameters_of(self.tree)


def default_root() -> Path:
    """Where the SQL that ships with the product lies."""
    return Path(str(files("kpi_sql")))


def sql_files(root: Path) -> list[Path]:
    """Every SQL file under ``root``, in a fixed order."""
    return sorted(root.rglob("*.sql"))


def read_statement(path: Path, root: Path) -> Statement:
    """Read one file; raises ``SqlError`` with the line where it is not one SELECT with a header."""
    sql = path.read_text(encoding="utf-8")
    header = _header(sql)
    first = sql.splitlines()[0] if sql.strip() else ""
    if not first.startswith("-- ") or _HEADER.match(first):
        raise SqlError(path, 1, "The first line has to be a comment that says what the rows are.")
    if ("table" in header) == ("check" in header):
        raise SqlError(
            path,
            1,
            "The header has to name one target: `-- table: schema.name` or `-- check: fail|warn`.",
        )
    if header.get("check", "fail") not in list(Severity):
        raise SqlError(path, 1, f"A check is `fail` or `warn`, not {header['check']!r}.")
    return Statement(
        path=path,
        name=path.relative_to(root).with_suffix("").as_posix(),
        sql=sql,
        purpose=first.removeprefix("--").strip(),
        table=header.get("table"),
        replaces=header.get("replaces"),
        severity=Severity(header["check"]) if "check" in header else None,
        tree=_parse(sql, path),
    )


def read_statements(root: Path) -> list[Statement]:
    """Read every file; raises ``SqlError`` for the first that cannot be used."""
    return [read_statement(path, root) for path in sql_files(root)]


def in_order(statements: Iterable[Statement]) -> list[Statement]:
    """Statements so that each comes after what it reads; else in the order of their names.

    Checks come last. Raises ``SqlError`` naming the files of a circle.
    """
    everything = sorted(statements, key=lambda s: s.name)
    fillers = [s for s in everything if s.table]
    by_table: dict[str, list[Statement]] = {}
    for statement in fillers:
        by_table.setdefault(statement.table or "", []).append(statement)
    graph = {
        s.name: [f.name for table in sorted(s.reads) for f in by_table.get(table, ())]
        for s in fillers
    }
    named = {s.name: s for s in fillers}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = error.args[1]
        raise SqlError(
            named[circle[0]].path,
            1,
            f"The files read each other in a circle: {' reads '.join(reversed(circle))}.",
        ) from None
    return [*(named[name] for name in order), *(s for s in everything if not s.table)]


def qualified(table: exp.Table) -> str:
    """``schema.name`` of a table in a parsed statement."""
    return f"{table.db}.{table.name}"


def _header(sql: str) -> dict[str, str]:
    """Keys of the comment lines on top of a file."""
    found: dict[str, str] = {}
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        match = _HEADER.match(line)
        if match:
            found[match[1]] = match[2]
    return found


def _parse(sql: str, path: Path) -> exp.Query:
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None]
    except ParseError as error:
        at = error.errors[0] if error.errors else {}
        what = f"{at.get('description', error)} near {at.get('highlight', '')!r}"
        raise SqlError(path, int(at.get("line") or 1), f"Syntax error: {what}") from None
    except (TokenError, SqlglotError) as error:
        raise SqlError(path, 1, f"Syntax error: {str(error).splitlines()[0]}") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise SqlError(
            path, 1, "A file holds one SELECT and nothing else; what it fills stands in its header."
        )
    return trees[0]
