"""Tables for a person, as wide as the terminal: texts fold, columns go on below, and a number is never cut."""

import csv
import io
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table

from st_kpi.reporting.published import exact_text

#: A file has room for any table.
_ROOM = 400
#: Between two columns.
_GAP = 2


def room() -> int:
    """How many columns there are: those of the terminal or of ``COLUMNS``; in a file as many as any table needs."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return _ROOM


def plain_table(before: Sequence[str], right: Sequence[str], after: Sequence[str]) -> Table:
    """A table without rows: texts that say what a row is, numbers to the right, then other texts."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in before:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in after:
        table.add_column(heading)
    return table


def printed(table: Table) -> str:
    """The table as text: its texts folded where it is too wide, and its columns in bands where that is not enough.

    Brackets and colons in names of the source are only brackets and colons.
    """
    bands = [table] if _width(map(_least, table.columns)) <= room() else _bands(table)
    return "\n".join(_text(band) for band in bands)


def fits(table: Table) -> bool:
    """Whether every row of it stands in one line."""
    return _width(map(_most, table.columns)) <= room()


class _ForStdout(io.StringIO):
    """Text for stdout, by whose encoding Rich draws lines of dashes where there are no others."""

    encoding = property(lambda self: sys.stdout.encoding)


def _text(table: Table) -> str:
    out = _ForStdout()
    console = Console(
        file=out,
        width=max(room(), _width(map(_least, table.columns))),
        force_terminal=sys.stdout.isatty(),
        markup=False,
        emoji=False,
    )
    console.print(_fitted(table))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().rstrip().splitlines())


def _width(columns: Iterable[int]) -> int:
    """The width of a table whose columns have these widths."""
    widths = list(columns)
    return sum(widths) + _GAP * (len(widths) - 1)


def _most(column: Column) -> int:
    """The width of a column whose every text stands in one line."""
    return max(cell_len(line) for text in _texts(column) for line in text.splitlines() or [""])


def _least(column: Column) -> int:
    """The width of a column whose texts are folded between words; a number is never parted."""
    if column.justify == "right":
        return _most(column)
    return max(cell_len(word) for text in _texts(column) for word in text.split() or [""])


def _texts(column: Column) -> list[str]:
    return [str(column.header), *map(str, column.cells)]


def _fitted(table: Table) -> Table:
    """The table with a width for every column: what texts may have is shared out, the narrow ones are filled first.

    Rich would cut what it cannot fold.
    """
    least, most = ([of(column) for column in table.columns] for of in (_least, _most))
    spare = room() - _width(least)
    widths = list(least)
    needing = sorted(range(len(least)), key=lambda n: most[n] - least[n])
    for turn, n in enumerate(needing):
        more = max(0, min(most[n] - least[n], spare // (len(needing) - turn)))
        widths[n] += more
        spare -= more
    return _with(table, [replace(c, width=w) for c, w in zip(table.columns, widths, strict=True)])


def _bands(table: Table) -> list[Table]:
    """The table as several of its columns each, what a row is standing at the left of all."""
    columns = table.columns
    first = next((n for n, column in enumerate(columns) if column.justify == "right"), 1)
    leading, bands = columns[:first], [[columns[first]]]
    for column in columns[first + 1 :]:
        if _width(map(_least, [*leading, *bands[-1], column])) > room():
            bands.append([column])
        else:
            bands[-1].append(column)
    return [_with(table, [*leading, *band]) for band in bands]


def _with(table: Table, columns: Iterable[Column]) -> Table:
    """The same rows with these columns."""
    part = plain_table((), (), ())
    part.columns = [replace(column, _index=n, no_wrap=False) for n, column in enumerate(columns)]
    part.rows = table.rows
    return part


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV with a line of headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def amount_text(value: Decimal, *, sign: bool = False) -> str:
    """Every digit there is, and cents where there is a fraction: ``1``, ``-1,234.50``."""
    text = exact_text(value) or "0"
    places = max(2, len(text.partition(".")[2])) if "." in text else 0
    return f"{value:{'+' if sign else ''},.{places}f}"
