"""The files of ``kpi_sql``: what each fills and reads, and the order that follows."""

import graphlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from st_kpi.errors import SqlError

Node = TypeVar("Node", bound=exp.Expr)

CONTRIBUTIONS = "st_kpi.contributions"

#: Files that hold several claims, each with a name of its own.
CHECKS_FILE = "checks.sql"

_HEADER = re.compile(
    r"^--\s*(table|inline|check|replaces|incremental_by|alternative|history|way_on|accepted_by):\s*(.+?)\s*$"
)
_TARGETS = ("table", "inline", "check", "alternative", "history")
_END = re.compile(r"^(?![ \t]*--)(?P<sql>.*?);[ \t]*(?:--.*)?$", re.MULTILINE)


class Severity(StrEnum):
    """What a check that finds rows does to the build."""

    FAIL = "fail"
    WARN = "warn"


class Adds(StrEnum):
    """How the rows of an alternative become a number: their amounts summed, or different things counted."""

    SUM = "sum"
    DISTINCT = "distinct"


class HistoryUse(StrEnum):
    """What a build's history does with the rows of a SELECT.

    They become its table, are added to it, or stand in front of the statements that read them.
    """

    REPLACE = "replace"
    APPEND = "append"
    INLINE = "inline"


@dataclass(frozen=True)
class Statement:
    """One SELECT: it fills ``table``, is a check whose rows are what is wrong, or an alternative.

    With ``is_inline`` the table is a name alone: the SELECT stands in front of those that read it
    (``st_kpi.kpis.definitions.inline``).
    ``replaces`` is the condition on the rows that the SELECT renews; without it, all are.
    ``incremental_by`` is a column whose rows of one value come from rows with that value alone
    (``st_kpi.kpis.definitions.grain``). ``history`` is set for what tells why numbers changed, which runs
    beside the order of the build (``st_kpi.kpis.history``). Of a check, ``way_on`` says what a person can do where it does
    not hold, and ``accepted_by`` are the columns that say of what a row complains, where that may be accepted. ``kpi`` is set for the contributions of one
    KPI, which all fill the same table. ``sql`` stands on the lines it has in the file, ``line`` being
    its first.
    """

    path: Path
    name: str
    sql: str
    purpose: str
    table: str | None
    replaces: str | None
    severity: Severity | None
    adds: Adds | None = None
    incremental_by: str | None = None
    history: HistoryUse | None = None
    line: int = 1
    way_on: str = ""
    accepted_by: tuple[str, ...] = ()
    is_inline: bool = False

    @property
    def check_name(self) -> str:
        """What a person calls a check: that of a KPI by the KPI and its own name, a shared one by its file."""
        return self.name.removeprefix("checks/").removeprefix("kpis/").replace("/checks/", "/")

    @property
    def kpi(self) -> str | None:
        return self.path.parent.name if self.path.name == "contributions.sql" else None

    @cached_property
    def meaning(self) -> str:
        """All that the comment on top of the file says, without the header's keys."""
        sentences = []
        for line in self.sql.lstrip().splitlines():
            if not line.startswith("--"):
                break
            if not _HEADER.match(line):
                sentences.append(line.removeprefix("--").strip())
        return " ".join(sentences)

    @cached_property
    def tree(self) -> exp.Query:
        """The SELECT as sqlglot reads it: to look at, never to change."""
        return _parse(self.sql, self.path)

    def found(self, *kinds: type[Node]) -> list[Node]:
        """The nodes of these kinds in the SELECT, those further out first; the tree is walked once for all that ask."""
        return [node for node in self._nodes if isinstance(node, kinds)]

    @cached_property
    def _nodes(self) -> tuple[exp.Expr, ...]:
        return tuple(self.tree.walk())

    @cached_property
    def reads(self) -> frozenset[str]:
        """Tables the SELECT reads, as ``schema.name``; names defined by WITH are not tables."""
        return frozenset(qualified(t) for t in self.found(exp.Table) if t.db)

    @cached_property
    def parameters(self) -> frozenset[str]:
        return frozenset(p.name for p in self.found(exp.Parameter))


def default_root() -> Path:
    """Where the SQL that ships with the product lies."""
    return Path(str(files("kpi_sql")))


def sql_files(root: Path) -> list[Path]:
    """Every SQL file under ``root``, in a fixed order."""
    return sorted(root.rglob("*.sql"))


def history_statement(name: str) -> Statement:
    """A statement of the product's own history, by the name of its file and without the rest."""
    root = default_root()
    (statement,) = read_file(root / "history" / f"{name}.sql", root)
    return statement


def read_file(path: Path, root: Path) -> list[Statement]:
    """The statements of one file: one, or the claims of a ``checks.sql``.

    Raises ``SqlError`` with the line where a statement is not one SELECT with a header.
    """
    text = path.read_text(encoding="utf-8")
    if path.name != CHECKS_FILE:
        return [_statement(text, 1, path, root)]
    claims = [_statement(block, line, path, root) for line, block in _blocks(text)]
    seen: set[str] = set()
    for claim in claims:
        if claim.name in seen:
            name = claim.name.rsplit("/", 1)[-1]
            raise SqlError(path, claim.line, f"Two checks are called {name}: rename one.")
        seen.add(claim.name)
    if not claims:
        raise SqlError(path, 1, "There is no check here: add one, or delete the file.")
    return claims


def _blocks(text: str) -> list[tuple[int, str]]:
    """The claims of a file with the line each starts on; a ``;`` at the end of a line ends one."""
    blocks = []
    start = 0
    ends = [(m.end("sql"), m.end()) for m in _END.finditer(text)]
    for end, following in [*ends, (len(text), len(text))]:
        body = text[start:end].lstrip()
        if body:
            blocks.append((text.count("\n", 0, end - len(body)) + 1, body.rstrip()))
        start = following
    return blocks


def _statement(text: str, line: int, path: Path, root: Path) -> Statement:
    header = _header(text)
    first = text.splitlines()[0] if text.strip() else ""
    if not first.startswith("-- ") or _HEADER.match(first):
        raise SqlError(
            path, line, "The first line has to be a comment that says what the rows are."
        )
    if sum(target in header for target in _TARGETS) != 1:
        raise SqlError(
            path,
            line,
            "The header has to name one target: `-- table: schema.name`, `-- inline: schema.name`,"
            " `-- check: fail|warn`, `-- alternative: sum|distinct` or"
            " `-- history: schema.name replace|append|inline`.",
        )
    name = path.relative_to(root).with_suffix("").as_posix()
    severity, own_name = _check_header(header.get("check"), path, line)
    adds = header.get("alternative")
    if adds is not None and adds not in list(Adds):
        raise SqlError(path, line, f"An alternative is `sum` or `distinct`, not {adds!r}.")
    target, history = _history_header(header.get("history"), path, line)
    sql = "\n" * (line - 1) + text  # so that every position is that of the file
    tree = _parse(sql, path)
    return Statement(
        path=path,
        name=f"{name}/{own_name}" if own_name else name,
        sql=sql,
        purpose=first.removeprefix("--").strip(),
        table=target or header.get("table") or header.get("inline"),
        replaces=header.get("replaces"),
        severity=severity,
        adds=Adds(adds) if adds else None,
        incremental_by=header.get("incremental_by"),
        history=history,
        line=line,
        way_on=header.get("way_on", ""),
        accepted_by=_accepted_by(header.get("accepted_by"), tree, path, line),
        is_inline="inline" in header,
    )


def _accepted_by(header: str | None, tree: exp.Query, path: Path, line: int) -> tuple[str, ...]:
    """The columns by which rows of a check are accepted, which have to be among those that it selects."""
    columns = tuple(name.strip() for name in header.split(",")) if header else ()
    for name in columns:
        if name not in tree.named_selects:
            raise SqlError(
                path, line, f"accepted_by names {name}, which the check does not select."
            )
    return columns


def _check_header(header: str | None, path: Path, line: int) -> tuple[Severity | None, str | None]:
    """Severity and, in a file of several claims, the name of a check."""
    if header is None:
        if path.name == CHECKS_FILE:
            raise SqlError(path, line, f"{CHECKS_FILE} holds checks only: `-- check: fail name`.")
        return None, None
    severity, _, name = header.partition(" ")
    if severity not in list(Severity):
        raise SqlError(path, line, f"A check is `fail` or `warn`, not {severity!r}.")
    if path.name == CHECKS_FILE and not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SqlError(path, line, "A check in this file needs a name: `-- check: fail its_name`.")
    if path.name != CHECKS_FILE and name:
        raise SqlError(path, line, f"A check has the name of its file: leave {name!r} out.")
    return Severity(severity), name or None


def _history_header(
    header: str | None, path: Path, line: int
) -> tuple[str | None, HistoryUse | None]:
    """The table of a history's statement and how it is used."""
    if header is None:
        return None, None
    table, _, use = header.partition(" ")
    if use not in list(HistoryUse):
        raise SqlError(
            path, line, f"A history is `schema.name {'|'.join(HistoryUse)}`, not {header!r}."
        )
    return table, HistoryUse(use)


def in_order(statements: Iterable[Statement]) -> list[Statement]:
    """Statements so that each comes after what it reads; else in the order of their names.

    Checks come last, and after them alternatives, which no build runs. Raises ``SqlError`` naming the files of a circle.
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
    checks = [s for s in everything if s.severity]
    return [*(named[name] for name in order), *checks, *(s for s in everything if s.adds)]


def qualified(table: exp.Table) -> str:
    """``schema.name`` of a table in a parsed statement."""
    return f"{table.db}.{table.name}"


def _header(sql: str) -> dict[str, str]:
    """Keys of the comment lines on top of a file."""
    keys: dict[str, str] = {}
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        match = _HEADER.match(line)
        if match:
            keys[match[1]] = match[2]
    return keys


def _parse(sql: str, path: Path) -> exp.Query:
    try:
        trees = _parsed(sql)
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


@lru_cache(maxsize=512)
def _parsed(sql: str) -> tuple[exp.Expr, ...]:
    """Trees are only read, so equal texts share them."""
    return tuple(tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None)
