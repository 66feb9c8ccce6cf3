"""The kinds of reports are data: each can be read, each of the ten numbers has one, and what is wrong is named."""

from pathlib import Path

import pytest

from st_kpi.errors import SqlError
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.reports import RowKey, read_kinds
from st_kpi.kpis.definitions.statements import default_root

KINDS = read_kinds(default_root())
#: Those shown beside the ten.
EXTRAS = {"estimates_scheduled", "closed_average_sale"}

GOOD = """\
title: Mine
category: operations
key: job
columns:
  job: [JobNumber]
  amount: [Amount]
kpis:
  produced:
    measures:
      amount: {value: 1}
"""


def test_each_of_the_ten_numbers_can_be_compared() -> None:
    assert {kpi for kind in KINDS.values() for kpi in kind.kpis} == set(inspect().cards) - EXTRAS


def test_every_part_of_a_number_is_made_up_of_columns() -> None:
    parts = {"sum": {"value"}, "snapshot": {"value"}, "ratio": {"numerator", "denominator"}}
    for kind in KINDS.values():
        for kpi, comparison in kind.kpis.items():
            made = {part for signs in comparison.measures.values() for part in signs}
            assert made == parts[inspect().cards[kpi].kind], kpi


def test_every_component_of_the_cost_has_a_column() -> None:
    held = [part for parts in KINDS["job_costing"].components.values() for part in parts]
    assert sorted(held) == [
        *("equipment", "labour_pay", "materials", "payroll_adjustments", "purchases", "returns")
    ]


def test_a_new_kind_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "mine.yaml").write_text(GOOD)
    kind = read_kinds(tmp_path)["mine"]
    assert kind.key is RowKey.JOB
    assert kind.needed("produced") == ("job", "amount")
    assert kind.measure_of("produced", "value", None) == "amount"
    assert kind.measure_of("produced", "value", "permits") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("key: job", "key: customer", "key: Input should be 'job'"),
        ("  job: [JobNumber]\n", "", "the key 'job' is none of the columns"),
        (
            "amount: {value: 1}",
            "total: {value: 1}",
            "measures 'total', which is none of the columns",
        ),
        ("amount: {value: 1}", "amount: {value: 2}", "kpis.produced.measures.amount.value"),
        ("key: job", "key: job\nkeys: job", "keys: Extra inputs are not permitted"),
        ("kpis:", "kpis: [", "The file is not YAML"),
        ("    measures:", "    families: [sales]\n    measures:", "'sales' is no job family"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "mine.yaml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SqlError) as error:
        read_kinds(tmp_path)
    assert said in str(error.value)
    assert "mine.yaml:" in str(error.value)
