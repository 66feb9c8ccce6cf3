"""How names look that a person has chosen: as they are, whatever a terminal could take them for."""

import sys

import pytest

from st_kpi.cli import render
from st_kpi.cli.render_weekly import weekly_table
from st_kpi.reporting import published
from st_kpi.reporting.doctor import Finding, Verdict
from st_kpi.reporting.explain import explain
from tests.support.field import MONDAY, TYPES, WEEK
from tests.support.raw_rows import Tenant

UNITS = (
    "business_unit,rollup,role,valid_from,valid_to\nEast Sales,{0},SALES,,\n2,{0},PRODUCTION,,\n"
)
NAMES = ["[red]East[/red]", "East [/]", "[bold", "East :smile:", "\\[East]", "[link=x]East"]


@pytest.mark.parametrize("name", NAMES)
def test_a_rollup_is_shown_as_it_is_called(small: Tenant, name: str) -> None:
    small.map(UNITS.format(name), TYPES)
    small.build(MONDAY)
    shown = published.read(small.warehouse)
    assert name in [line.strip() for line in weekly_table(shown).splitlines()]
    alone = published.read(small.warehouse, rollup=name.upper(), kpi="produced")
    assert name in [line.strip() for line in weekly_table(alone).splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_and_a_job_are_shown_as_they_are_called(small: Tenant, name: str) -> None:
    small.edit(
        {"business_units": [{"id": 2, "name": name}], "jobs": [{"id": 101, "job_number": name}]}
    )
    small.map(UNITS.format("East"), TYPES)
    small.build(MONDAY)
    table = render.explained_table(explain(small.warehouse, "produced", week=WEEK, rollup="east"))
    assert table.splitlines()[2].count(name) == 2


@pytest.mark.parametrize("columns", ["60", "80"])
def test_a_finding_is_one_line_and_a_terminal_has_whole_words(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "a.csv:2: No business unit in ServiceTitan has the id or name 'East-West'.\nb.csv:9: The family is empty."
    finding = Finding("mappings", Verdict.FAILS, says)
    assert render.finding_line(finding) == f"fails      {'mappings':<28}  {says}"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    lines = render.finding_line(finding).splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert lines[-1].startswith("b.csv:9: ")
    assert all(line.startswith(" " * 11) for line in lines[1:-1])
    assert (
        " ".join(line.strip() for line in lines[:-1]).split()
        == f"fails mappings {says}".splitlines()[0].split()
    )


def test_a_rollup_of_several_spellings_shows_its_numbers(small: Tenant) -> None:
    units = "business_unit,rollup,role,valid_from,valid_to\nEast Sales,PHX,SALES,,\n2,phx,PRODUCTION,,\n"
    small.map(units, TYPES)
    small.build(MONDAY)
    for asked in ("PHX", "Phx", "phx"):
        shown = published.read(small.warehouse, rollup=asked, kpi="produced")
        assert shown.rollups == ("PHX",)
        assert shown.value(shown.kpis[0], WEEK, "PHX") == 1000


def test_what_was_reported_under_another_spelling_is_found_too(small: Tenant) -> None:
    small.map(UNITS.format("phx"), TYPES)
    small.build(MONDAY)
    small.map(UNITS.format("PHX"), TYPES)
    small.build(MONDAY, run_id="two")
    shown = published.read(small.warehouse, rollup="Phx", kpi="produced", as_reported=True)
    assert shown.rollups == ("PHX", "phx")
    assert shown.value(shown.kpis[0], WEEK, "phx") == 1000
