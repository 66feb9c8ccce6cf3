"""The statements of ``kpi_sql/history``: all of them run, and they speak of causes as Python does."""

from collections.abc import Iterator

import pytest
from sqlglot import exp

from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import HistoryUse, Statement, history_statement
from st_kpi.kpis.history import attribution, restatements
from st_kpi.kpis.history.attribution import Cause
from st_kpi.kpis.history.statements import complete, scratch_tables
from st_kpi.warehouse.system_tables import HISTORY, SCRATCH

PROJECT = inspect()


def test_every_statement_runs_once_or_stands_in_front_of_others() -> None:
    runs = [*attribution.BEFORE, *attribution.AT_THE_END, *restatements.AT_THE_END]
    inline = [n for n, s in PROJECT.history.items() if s.history is HistoryUse.INLINE]
    assert sorted([*runs, *inline]) == sorted(PROJECT.history)


def test_the_build_does_not_fill_what_is_history() -> None:
    assert not [s for s in (*PROJECT.statements, *PROJECT.alternatives) if s.history]
    assert set(scratch_tables(PROJECT.history)) <= SCRATCH
    logs = {s.table for s in PROJECT.history.values() if s.history is HistoryUse.APPEND}
    assert logs <= set(HISTORY)


@pytest.mark.parametrize("name", PROJECT.history)
def test_it_can_be_read_without_the_rest(name: str) -> None:
    assert history_statement(name).sql == PROJECT.history[name].sql


def test_what_stands_in_front_is_written_once() -> None:
    text = complete("SELECT part FROM st_staging.weekly_parts AS parts", PROJECT.history)
    assert text.startswith("WITH st_staging__weekly_parts AS (")
    assert text.endswith("SELECT part FROM st_staging__weekly_parts AS parts")
    assert complete("SELECT 1 AS one", PROJECT.history) == "SELECT 1 AS one"


def _causes(statement: Statement) -> Iterator[str]:
    """The literals that a statement returns as a cause, or compares a cause with."""
    tree = statement.tree
    named = [a.this for a in tree.find_all(exp.Alias) if a.alias.endswith("cause")]
    compared = [
        c
        for c in tree.find_all(exp.EQ, exp.NEQ, exp.In)
        if isinstance(c.this, exp.Column) and c.this.name.endswith("cause")
    ]
    for node in (*named, *compared):
        if isinstance(node, exp.GroupConcat):  # joins causes with a comma
            continue
        yield from (literal.name for literal in node.find_all(exp.Literal) if literal.is_string)


def test_the_causes_of_the_sql_are_those_of_the_enum() -> None:
    literals = {name: set(_causes(s)) for name, s in PROJECT.history.items()}
    assert set().union(*literals.values()) == set(Cause)
    assert {name for name, texts in literals.items() if texts} == {
        "change_steps",
        "classified_changes",
        "contribution_changes",
        "kpi_changes_rest",
        "moved_rows",
    }


@pytest.mark.parametrize("name", PROJECT.history)
def test_no_cause_is_written_elsewhere_in_the_sql(name: str) -> None:
    statement = PROJECT.history[name]
    texts = [
        n.name for n in statement.tree.find_all(exp.Literal) if n.is_string and n.name in set(Cause)
    ]
    assert sorted(set(texts)) == sorted(set(_causes(statement)))


def test_documents_that_come_late_are_of_the_components_that_a_cost_has() -> None:
    (costs,) = [s for s in PROJECT.statements if s.table == "st_dim.fact_job_costs"]
    of_costs = set(PROJECT.tables[costs.table or ""]) - {
        "tenant_id",
        "job_id",
        "revenue",
        "total_cost",
    }
    late = PROJECT.history["late_costs"]
    texts = {n.name for n in late.tree.find_all(exp.Literal) if n.is_string}
    entities = {t.name for t in late.tree.find_all(exp.Table) if t.db == "st_raw"}
    assert texts - of_costs <= entities
    assert of_costs <= texts
