"""The company is the same everywhere, has the promised size, and fits the shipped mappings."""

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from st_kpi import sandbox
from st_kpi.sandbox import Company, generate_company
from st_kpi.sandbox.endpoints import ENDPOINTS
from st_kpi.sandbox.mapping_files import mapping_files
from st_kpi.sandbox.plan import FULL_SIZE, planned_counts
from st_kpi.sandbox.wire.base import Names

ROOT = Path(__file__).resolve().parents[2]
PRINT_DIGEST = """
from tests_digest import digest
from st_kpi.sandbox import generate_company
print(digest(generate_company(seed=3, scale=0.004)))
"""


def digest(company: Company) -> str:
    names = Names(company)
    seen = hashlib.sha256()
    for entry in ENDPOINTS:
        for row in entry.rows(company):
            seen.update(orjson.dumps(entry.write(row, names)))
    return seen.hexdigest()


def test_public_names_are_sorted_and_exist() -> None:
    assert sorted(sandbox.__all__) == sandbox.__all__
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    (tmp_path / "tests_digest.py").write_text(source, encoding="utf-8")
    other = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "PYTHONHASHSEED": "99"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digest(generate_company(seed=3, scale=0.004))


def test_another_seed_gives_another_company() -> None:
    one, two = generate_company(seed=1, scale=0.004), generate_company(seed=2, scale=0.004)
    assert digest(one) != digest(two)


def test_the_whole_size_is_the_promised_one() -> None:
    counts = planned_counts(1.0)
    assert (counts["jobs"], counts["estimates"]) == (161_332, 149_310)
    assert (counts["invoices"], counts["payments"]) == (172_777, 55_459)


@pytest.mark.parametrize("scale", [0.003, 0.01, 0.02])
def test_counts_follow_the_scale(scale: float) -> None:
    company = generate_company(seed=5, scale=scale)
    for name, full in FULL_SIZE.items():
        assert len(getattr(company, name)) == max(2, round(full * scale)), name


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be above zero"):
        generate_company(scale=scale)


def test_reference_rows_are_as_many_as_the_real_company_has(company: Company) -> None:
    families = [kind.family for kind in company.job_types]
    assert len(families) == 46
    assert (families.count("estimate"), families.count("warranty")) == (16, 3)
    assert len(company.business_units) == 18
    assert sum(unit.name.startswith("Z-DO NOT USE") for unit in company.business_units) == 2
    assert len(company.technicians) == 221


def test_ids_are_unique_within_each_entity(company: Company) -> None:
    for entry in ENDPOINTS:
        keys = [getattr(row, entry.key) for row in entry.rows(company)]
        assert len(set(keys)) == len(keys), entry.path


def test_rows_were_created_in_the_company_lifetime_and_changed_later(company: Company) -> None:
    from st_kpi.sandbox.reference import NOW, OPENING

    for entry in ENDPOINTS:
        for row in entry.rows(company):
            if row.created is not None:
                assert OPENING <= row.created <= NOW, (entry.path, row)
                assert row.modified is None or row.created <= row.modified <= NOW, row


def test_the_shipped_mappings_describe_this_company(company: Company) -> None:
    folder = ROOT / "kpi_sql" / "mappings"
    with (folder / "business_units.csv").open(encoding="utf-8", newline="") as file:
        units = {row["business_unit"]: (row["rollup"], row["role"]) for row in csv.DictReader(file)}
    with (folder / "job_types.csv").open(encoding="utf-8", newline="") as file:
        types = {row["job_type"]: row["family"] for row in csv.DictReader(file)}
    assert units == {unit.name: (unit.rollup, unit.role) for unit in company.business_units}
    assert types == {kind.name: kind.family for kind in company.job_types}
    files = {name: (folder / name).read_text(encoding="utf-8") for name in mapping_files(company)}
    assert mapping_files(company) == files


@pytest.mark.parametrize("seed", range(1, 7))
def test_another_seed_is_a_tenant_that_names_its_units_and_types_otherwise(
    company: Company, seed: int
) -> None:
    other, next_one = (generate_company(seed=n, scale=0.001) for n in (seed, seed + 7))
    assert len({each.tenant_id for each in (company, other, next_one)}) == 3
    for names in (_units, _types):
        assert len(set(names(other))) == len(names(other)), "a name is one of them"
        assert not set(names(other)) & set(names(company))
        assert names(other) != names(next_one)
    roles = Counter(unit.role for unit in other.business_units)
    assert set(roles) == {"SALES", "PRODUCTION", "BOTH", ""}
    retired = [unit for unit in other.business_units if not unit.active]
    assert {unit.rollup for unit in retired} == {other.business_units[0].rollup}
    used = {job.business_unit_id for job in other.jobs}
    idle = {unit.id for unit in other.business_units if not unit.role}
    assert idle
    assert not idle & used


def _units(company: Company) -> list[str]:
    return [unit.name for unit in company.business_units]


def _types(company: Company) -> list[str]:
    return [kind.name for kind in company.job_types if "(do not use)" not in kind.name]
