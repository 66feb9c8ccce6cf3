"""Everything that can be known to be wrong with ``kpi_sql`` before any of it runs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from sqlglot import exp

from st_kpi.errors import SqlError
from st_kpi.kpis.definitions.cards import Aggregation, Card, read_card
from st_kpi.kpis.definitions.columns import (
    ColumnTypes,
    check_columns,
    history_tables,
    provided_tables,
)
from st_kpi.kpis.definitions.findings import Finding
from st_kpi.kpis.definitions.grain import by_key
from st_kpi.kpis.definitions.inline import check_inline, compiled
from st_kpi.kpis.definitions.reports import read_kinds
from st_kpi.kpis.definitions.rules import check_statement
from st_kpi.kpis.definitions.statements import (
    CONTRIBUTIONS,
    HistoryUse,
    Statement,
    default_root,
    in_order,
    read_file,
    sql_files,
)
from st_kpi.local.process import collecting_rarely
from st_kpi.parameters import PARAMETERS

_KPI_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WIDE = "st_kpi.kpi_weekly_wide"


@dataclass(frozen=True)
class Project:
    """All of ``kpi_sql``: statements in the order they run, cards, and what is wrong with them.

    ``compiled`` are those that a build runs (``st_kpi.kpis.definitions.inline``).
    With findings, statements and cards are only those that could be read and ordered. ``alternatives``
    are the contributions of other readings of a KPI, which a build leaves alone. ``tables`` are all
    tables that those can read, with the types of their columns; ``by_key`` has, per statement with a key,
    the tables that can be cut down to some keys for it. ``history`` has, by the name of their file, the
    statements of a build's history, whose order ``st_kpi.kpis.history`` decides, and ``history_tables``
    all that they can read.
    """

    root: Path
    statements: tuple[Statement, ...]
    cards: Mapping[str, Card]
    findings: tuple[Finding, ...]
    compiled: tuple[Statement, ...] = ()
    alternatives: tuple[Statement, ...] = ()
    tables: Mapping[str, ColumnTypes] = field(default_factory=dict)
    by_key: Mapping[str, frozenset[str]] = field(default_factory=dict)
    history: Mapping[str, Statement] = field(default_factory=dict)
    history_tables: Mapping[str, ColumnTypes] = field(default_factory=dict)


def lint(root: Path | None = None) -> list[Finding]:
    """Every finding under ``root`` (by default the product's own SQL); empty is clean."""
    return list(inspect(root).findings)


def inspect(root: Path | None = None) -> Project:
    """Read and check everything under ``root``; remembered until a file there changes."""
    root = root or default_root()
    cards, reports = sorted(root.glob("kpis/*/card.yaml")), sorted(root.glob("reports/*.yaml"))
    paths = [*sql_files(root), *sorted(root.glob("kpis/*")), *cards, *reports]
    stats = [(path, path.stat()) for path in paths]
    return _inspect(root, tuple((path, s.st_mtime_ns, s.st_size) for path, s in stats))


@lru_cache(maxsize=8)
@collecting_rarely()
def _inspect(root: Path, _state: tuple[tuple[Path, int, int], ...]) -> Project:
    everything, findings = _read(root)
    complete = not findings
    for statement in everything:
        findings += check_statement(statement)
    statements = [s for s in everything if not s.history]
    logs = [s for s in everything if s.history is HistoryUse.APPEND]
    scratch = [s for s in everything if s.history in (HistoryUse.REPLACE, HistoryUse.INLINE)]
    cards, wrong = _cards(root)
    findings += [*wrong, *_folders(root), *_wide(cards, statements)]
    findings += _targets([*statements, *scratch])
    findings += [*_alternatives(root, cards), *_reports(root)]
    findings += check_inline(everything) if complete else []
    trees: dict[str, exp.Query] = {}
    statements, tables, wrong = _typed(statements, provided_tables(), trees, complete=complete)
    inline = [s for s in statements if s.is_inline]
    run = compiled((s for s in statements if s.adds is None), inline)
    as_written = set(run) & set(statements)
    proved, unproved = by_key(
        run, tables, {s.name: trees[s.name] for s in as_written if s.name in trees}
    )
    paths = {s.path for s in as_written}
    findings += [*wrong, *(f if f.file in paths else replace(f, line=1) for f in unproved)]
    scratch, read, wrong = _typed(scratch, {**tables, **history_tables()}, {}, complete=complete)
    findings += [*wrong, *check_columns(logs, read, {}, complete=complete)]
    return Project(
        root=root,
        statements=tuple(s for s in statements if s.adds is None),
        cards=cards,
        findings=tuple(sorted(findings)),
        compiled=run,
        alternatives=compiled((s for s in statements if s.adds is not None), inline),
        tables=tables,
        by_key=proved,
        history={s.path.stem: s for s in compiled((*scratch, *logs), inline)},
        history_tables=read,
    )


def _read(root: Path) -> tuple[list[Statement], list[Finding]]:
    """Every statement that can be read, and each file that cannot."""
    statements: list[Statement] = []
    findings = []
    for path in sql_files(root):
        try:
            statements += read_file(path, root)
        except SqlError as error:
            findings.append(Finding(error.file, error.line, "statement", error.reason))
    return statements, findings


def _typed(
    statements: list[Statement],
    provided: Mapping[str, ColumnTypes],
    trees: dict[str, exp.Query],
    *,
    complete: bool,
) -> tuple[list[Statement], dict[str, ColumnTypes], list[Finding]]:
    """The statements in their order, the tables there are with what they fill, and what is wrong with them."""
    tables = dict(provided)
    try:
        ordered = in_order(statements)
    except SqlError as error:
        return statements, tables, [Finding(error.file, error.line, "cycle", error.reason)]
    return ordered, tables, check_columns(ordered, tables, trees, complete=complete)


def refuse(findings: Iterable[Finding]) -> None:
    """Raise the first finding as ``SqlError``, saying how many more there are."""
    listed = list(findings)
    if listed:
        first, more = listed[0], len(listed) - 1
        rest = f" ({more} more: run st-kpi lint)" if more else ""
        raise SqlError(first.file, first.line, f"{first.rule}: {first.message}{rest}")


def _cards(root: Path) -> tuple[dict[str, Card], list[Finding]]:
    """The cards in the order they are shown, and those that cannot be read."""
    cards: dict[str, Card] = {}
    findings = []
    for path in sorted(root.glob("kpis/*/card.yaml")):
        try:
            cards[path.parent.name] = read_card(path)
        except SqlError as error:
            findings.append(Finding(error.file, error.line, "card", error.reason))
    return dict(sorted(cards.items(), key=lambda item: (item[1].order, item[0]))), findings


def _folders(root: Path) -> list[Finding]:
    """A KPI is a folder with a card and its contributions, named as a column can be."""
    findings = []
    for folder in sorted(p for p in root.glob("kpis/*") if p.is_dir() and p.name != "__pycache__"):
        if not _KPI_NAME.fullmatch(folder.name):
            message = f"{folder.name!r} cannot be a KPI's name: use small letters, digits and _."
            findings.append(Finding(folder, 1, "kpi-folder", message))
        for name in ("card.yaml", "contributions.sql"):
            if not (folder / name).is_file():
                findings.append(
                    Finding(
                        folder, 1, "kpi-folder", f"The KPI {folder.name} has no {name}: add it."
                    )
                )
    return findings


def _reports(root: Path) -> list[Finding]:
    """Each kind of report can be read."""
    try:
        read_kinds(root)
    except SqlError as error:
        return [Finding(error.file, error.line, "report", error.reason)]
    return []


def _alternatives(root: Path, cards: Mapping[str, Card]) -> list[Finding]:
    """An alternative on the card is settings the SQL knows or a file, and a file is on the card."""
    findings = []
    for kpi, card in cards.items():
        folder = root / "kpis" / kpi
        files = {path.stem: path for path in sorted(folder.glob("alternatives/*.sql"))}
        for alternative in card.alternatives:
            unknown = sorted(set(alternative.settings) - set(PARAMETERS))
            has_file = files.pop(alternative.name, None) is not None
            if unknown:
                message = (
                    f"{unknown[0]} is no setting of the SQL; there are {', '.join(PARAMETERS)}."
                )
            elif has_file == bool(alternative.settings):
                message = (
                    f"The alternative {alternative.name} is either settings on the card or the file"
                    f" alternatives/{alternative.name}.sql: {'not both' if has_file else 'add one'}."
                )
            else:
                continue
            findings.append(Finding(folder / "card.yaml", 1, "alternative", message))
        for name, path in files.items():
            message = f"The card of {kpi} does not name the alternative {name}: say what it means."
            findings.append(Finding(path, 1, "alternative", message))
    return findings


def _targets(statements: list[Statement]) -> list[Finding]:
    """Each table is filled by one file."""
    seen: dict[str, Statement] = {}
    findings = []
    for statement in statements:
        if statement.table is None or statement.table == CONTRIBUTIONS:
            continue
        if statement.table in seen:
            message = f"{statement.table} is filled by {seen[statement.table].path} already: one file, one table."
            findings.append(Finding(statement.path, 1, "target", message))
        elif statement.table in provided_tables():
            message = f"{statement.table} is filled by the product itself: choose another name."
            findings.append(Finding(statement.path, 1, "target", message))
        seen.setdefault(statement.table, statement)
    return findings


def _wide(cards: Mapping[str, Card], statements: list[Statement]) -> list[Finding]:
    """The wide table has a column for every KPI, and the sums behind it for a ratio."""
    findings = []
    for statement in (s for s in statements if s.table == _WIDE):
        present = set(statement.tree.named_selects)
        for kpi, card in cards.items():
            parts = ("_numerator", "_denominator") if card.kind is Aggregation.RATIO else ()
            for name in (kpi, *(kpi + part for part in parts)):
                if name not in present:
                    findings.append(
                        Finding(statement.path, 1, "wide", f"There is no column {name}: add it.")
                    )
    return findings
