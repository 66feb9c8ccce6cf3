"""The tutorial is run as it stands: from an empty folder, on its own tenant and on one that names everything otherwise.

``UPDATE_TUTORIAL=1 pytest tests/docs/test_tutorial.py`` writes the outputs anew; the diff belongs to the change.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from st_kpi.cli.demo import ServedTenant, books_of, sandbox
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
SCALE = 0.01
#: Where the page says that it was run.
FOLDER, URL = "/home/you/kpis", "http://127.0.0.1:8700"
_STEP = re.compile(r"```sh\n(?P<command>.*?)```(?:\n\n```text\n(?P<output>.*?)```)?", re.S)
#: What differs from run to run, and what the page has instead.
_PASSING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d here"), "2026-12-01 09:00 here"),
    (re.compile(r"(pulled|backfill of) \d{4}-\d\d-\d\d \d\d:\d\d "), r"\1 2026-12-01 09:00 "),
    (re.compile(r"[\d.]+ GB free"), "80.0 GB free"),
    (re.compile(r" in [\d.]+ s \("), " in 1.0 s ("),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "0d1c9f3e-5b7a-4c2d-8e6f-1a2b3c4d5e6f"),
)  # fmt: skip
#: Lines that only a slow machine has.
_WHILE_WAITING = re.compile(r"^(?:Backfill|Build|Doctor|Reconcile): .*\d s\n", re.M)

pytestmark = [pytest.mark.process, pytest.mark.long]


@dataclass(frozen=True)
class Step:
    """A command of the page, and what it says there; nothing is shown of one that says nothing."""

    command: str
    output: str


@dataclass(frozen=True)
class Done:
    """What a step said, and how it ended."""

    output: str
    status: int


def steps(page: str) -> list[Step]:
    return [Step(match["command"], match["output"] or "") for match in _STEP.finditer(page)]


def run(commands: list[str], folder: Path, **variables: str) -> list[Done]:
    """Run the commands one after the other in one shell."""
    script = "".join(f"{command}\nprintf '\\a%s\\a' $?\n" for command in commands)
    own = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("ST_KPI_", "PREFECT_API_", "COLUMNS"))
    }
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=own | {"PATH": tools, "LC_ALL": "C.UTF-8"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=280,
    )
    parts = done.stdout.decode().split("\a")
    return [Done(parts[n], int(parts[n + 1])) for n in range(0, len(parts) - 1, 2)]


def as_on_the_page(output: str, folder: Path, url: str) -> str:
    output = output.replace(str(folder), FOLDER).replace(url, URL)
    output = _WHILE_WAITING.sub("", output.removeprefix("\ufeff"))
    for passing, instead in _PASSING:
        output = passing.sub(instead, output)
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines())


def totals(folder: Path) -> dict[tuple[str, object], tuple[Decimal, Decimal]]:
    """What was built, by KPI and week over all rollups."""
    warehouse = DuckDBWarehouse(folder / "st_kpi.duckdb", read_only=True)
    try:
        rows = warehouse.query(
            "SELECT kpi, week_start, SUM(numerator) AS numerator, COALESCE(SUM(denominator), 0) AS denominator"
            " FROM st_kpi.kpi_weekly GROUP BY kpi, week_start"
        )
    finally:
        warehouse.close()
    return {
        (row["kpi"], row["week_start"]): (row["numerator"], row["denominator"])
        for row in rows
        if row["numerator"] or row["denominator"]
    }


def of_the_books(served: ServedTenant) -> dict[tuple[str, object], tuple[Decimal, Decimal]]:
    """The same, as the company itself has it."""
    sums: dict[tuple[str, object], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for (kpi, week, _), (numerator, denominator) in books_of(served).items():
        sums[kpi, week][0] += numerator
        sums[kpi, week][1] += denominator
    return {key: (a, b) for key, (a, b) in sums.items() if a or b}


def test_the_page_says_what_happens(tmp_path: Path) -> None:
    page = TUTORIAL.read_text(encoding="utf-8")
    assert f"--scale {SCALE}\n" in page
    wanted = steps(page)
    with sandbox(SCALE, 7) as tenant:
        done = run([step.command.replace(URL, tenant.url) for step in wanted], tmp_path)
        found = [as_on_the_page(one.output, tmp_path, tenant.url) for one in done]
        assert len(found) == len(wanted), found[-1]
        if os.environ.get("UPDATE_TUTORIAL"):
            TUTORIAL.write_text(renewed(page, found), encoding="utf-8")
        else:
            assert [step.output for step in wanted] == found
        refused = [step.command for step, one in zip(wanted, done, strict=True) if one.status]
        assert refused == ["st-kpi init\n"], "the zone is missing, and nothing else goes wrong"
        assert totals(tmp_path) == of_the_books(tenant)


def renewed(page: str, outputs: list[str]) -> str:
    """The page with these outputs."""
    given = iter(outputs)

    def one(match: re.Match[str]) -> str:
        output = next(given)
        shown = match["output"] is not None
        return f"```sh\n{match['command']}```" + f"\n\n```text\n{output}```" * shown

    return _STEP.sub(one, page)


def test_a_tenant_with_other_names_gets_there_the_same_way(
    tmp_path: Path, prefect_server: str
) -> None:
    """Its drafts are used as they are: the page's correction meets nothing."""
    with sandbox(0.003, 3) as tenant:
        commands = [
            step.command.replace(URL, tenant.url).replace("4200042", str(tenant.tenant_id))
            for step in steps(TUTORIAL.read_text(encoding="utf-8"))
        ]
        done = run(commands, tmp_path, PREFECT_API_URL=prefect_server)
        wrong = [(c, one) for c, one in zip(commands, done, strict=True) if one.status]
        assert [command for command, _ in wrong] == ["st-kpi init\n"], wrong
        assert "It may be America/Phoenix" in wrong[0][1].output
        assert totals(tmp_path) == of_the_books(tenant)
