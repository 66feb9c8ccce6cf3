"""What a rule of the lint finds, and where in the text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlglot import exp

from st_kpi.kpis.definitions.statements import Statement


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong: where, which rule, and what to write instead."""

    file: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


#: Where a statement breaks a rule: the line, and what to write instead.
Violations = Iterator[tuple[int, str]]
Rule = Callable[[Statement], Violations]


def line_of(node: exp.Expr) -> int:
    """The line a node starts on: its own, else that of what it contains, else its parent's."""
    if "line" in node.meta:
        return int(node.meta["line"])
    lines = [int(n.meta["line"]) for n in node.walk() if "line" in n.meta]
    if lines:
        return min(lines)
    return line_of(node.parent) if node.parent else 1


def function_name(node: exp.Expr) -> str:
    """What BigQuery calls a function."""
    if isinstance(node, exp.Anonymous):
        return str(node.name).upper()
    name = node.meta.get("bigquery_name")
    if name:
        return str(name).upper()
    return node.sql_name() if isinstance(node, exp.Func) else type(node).__name__
