"""How a command says on stderr what it is at."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from st_kpi.ingest.session import Progress


def say(text: str) -> None:
    """A line of progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(label: str) -> Iterator["Progress"]:
    """A bar of rows stored on stderr; plain lines every few seconds where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task(label, total=None)
        totals = {"promised": 0}

        def advance(entity: str, promised: int, stored: int) -> None:
            if promised:
                totals["promised"] += promised
                bar.update(task, total=totals["promised"])
            if stored:
                bar.update(task, advance=stored)

        yield advance
