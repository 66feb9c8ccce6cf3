"""The cards: whole, told in ``docs/kpis.md``, and of the version that the SQL beside them is."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from st_kpi.kpis.definitions import document
from st_kpi.kpis.definitions.allowed import EXPRESSIONS
from st_kpi.kpis.definitions.fingerprint import changed, definition_fingerprint
from st_kpi.kpis.definitions.lint import inspect, lint
from st_kpi.kpis.definitions.statements import default_root, in_order
from tests.support.statements import read_statements

pytestmark = pytest.mark.long

PROJECT = inspect()
DOCUMENT = default_root().parent / document.DOCUMENT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_root(), tmp_path / "sql"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def card(root: Path, kpi: str, **changes: object) -> list[tuple[int, str]]:
    """The findings on a card after changing some of its keys."""
    file = root / "kpis" / kpi / "card.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | changes
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")
    return [(f.line, f.message) for f in lint(root) if f.file == file]


@pytest.mark.parametrize("kpi", PROJECT.cards)
def test_a_card_is_whole(kpi: str) -> None:
    card = PROJECT.cards[kpi]
    assert [change.version for change in card.history] == list(range(1, card.version + 1))
    assert card.history[-1].sql
    assert any(s.name.startswith(f"kpis/{kpi}/checks/") for s in PROJECT.statements), "no checks"


def test_the_sql_is_that_of_the_version_on_the_card() -> None:
    assert not changed(PROJECT), "\n".join(str(finding) for finding in changed(PROJECT))


def test_the_page_is_that_of_the_cards() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    assert page == document.text(PROJECT), "stale: run python -m st_kpi.kpis.definitions.document"


def test_changed_sql_asks_for_a_new_version_and_a_reason(root: Path) -> None:
    contributions = root / "kpis/leads/contributions.sql"
    edit(contributions, "AND NOT job.is_test_customer", "")
    (finding,) = changed(inspect(root))
    now = definition_fingerprint(inspect(root), "leads")
    assert finding.file == root / "kpis/leads/card.yaml"
    assert finding.line == 10
    assert "Raise version to 3" in finding.message
    assert f"`sql: {now}`" in finding.message

    history = yaml.safe_load((root / "kpis/leads/card.yaml").read_text())["history"]
    third = {
        "version": 3,
        "date": "2026-12-01",
        "what": "Test customers count.",
        "why": "Asked for.",
    }
    assert not card(root, "leads", version=3, history=[*history, third | {"sql": now}])
    assert not changed(inspect(root))


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        pytest.param(
            "staging/sold_estimates.sql", "AND estimate.status_name = 'Sold'", "", {"total_booked"}, id="a condition upstream"
        ),
        pytest.param("staging/sold_estimates.sql", "  -- An open estimate", "  -- Any estimate", set(), id="a comment"),
        pytest.param("kpis/leads/contributions.sql", "\nWHERE unit", "\n\n  WHERE  unit", set(), id="white space"),
        pytest.param("kpis/leads/contributions.sql", "'estimate job created", "'a lead", set(), id="the wording of a reason"),
        pytest.param(
            "kpis/produced/contributions.sql", "CAST(NULL AS STRING) AS component", "'invoice' AS component", set(), id="what part of a cost it is"
        ),
        pytest.param(
            "staging/jobs.sql", "  job_number,", "  job_number,\n  priority,", set(), id="a column that no KPI uses"
        ),
        pytest.param(
            "dim/dim_job_types.sql", "'%estimate%'", "'%quote%'", {"leads", "produced"}, id="the family of a job type"
        ),
    ],
)  # fmt: skip
def test_which_definitions_a_change_of_the_sql_changes(
    root: Path, file: str, old: str, new: str, changes: set[str]
) -> None:
    edit(root / file, old, new)
    statements = in_order(s for s in read_statements(root) if not s.history)
    edited = replace(PROJECT, statements=tuple(statements))
    some = ("leads", "total_booked", "produced")
    assert {
        k for k in some if definition_fingerprint(edited, k) != definition_fingerprint(PROJECT, k)
    } == changes


@pytest.mark.parametrize(
    ("changes", "line", "reason"),
    [
        pytest.param({"version": 3}, 1, "version is 3 and the history goes 1, 2", id="a version without an entry"),
        pytest.param({"history": [{"version": 1}]}, 17, "history.0.date", id="an entry without a date"),
        pytest.param({"alternatives": [{"name": "A B"}]}, 13, "alternatives.0.name", id="a name that is none"),
        pytest.param({"owner": ""}, 9, "owner", id="nobody owns it"),
    ],
)  # fmt: skip
def test_a_card_that_is_not_whole_is_told_with_its_line(
    root: Path, changes: dict[str, object], line: int, reason: str
) -> None:
    findings = card(root, "leads", **changes)
    assert any(at == line and reason in message for at, message in findings), findings


def test_the_command_writes_the_page_and_says_when_it_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert document.main(["--check"]) == 1
    told = capsys.readouterr().out
    for page in ("docs/kpis.md", "docs/checks.md", "docs/kpi-sql.md"):
        assert f"{page}:1: stale: run python -m st_kpi.kpis.definitions.document" in told
    assert document.main([]) == 0
    assert document.main(["--check"]) == 0
    assert (tmp_path / document.DOCUMENT).read_text(encoding="utf-8") == document.text(PROJECT)
    page = (tmp_path / document.SQL_DOCUMENT).read_text(encoding="utf-8")
    assert all(line in page for lines in EXPRESSIONS.values() for line in lines)
