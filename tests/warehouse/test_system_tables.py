"""The list of tables that no SQL file fills is whole: nothing checks the names where they are used."""

import ast
import re
from pathlib import Path

from st_kpi.kpis.mappings import TYPE_TABLE, UNIT_TABLE
from st_kpi.warehouse.system_tables import SCRATCH

ROOT = Path(__file__).parents[2]
STAGING = re.compile(r"st_staging\.\w+")


def named_in_python() -> set[str]:
    """Tables of st_staging whose name is a constant somewhere in ``st_kpi/kpis``."""
    nodes = [
        node
        for file in (ROOT / "st_kpi" / "kpis").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
    ]
    texts = [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {text for text in texts if STAGING.fullmatch(text)}


def test_the_scratch_tables_are_those_of_st_staging_that_nothing_lasting_fills() -> None:
    """Neither a file of its own nor the mappings, which stay from one build to the next."""
    sql = "\n".join(file.read_text() for file in (ROOT / "kpi_sql").rglob("*.sql"))
    filled = set(re.findall(r"^-- (?:table|inline): (st_staging\.\w+)", sql, re.MULTILINE))
    filled |= set(
        re.findall(r"^-- history: (st_staging\.\w+) inline", sql, re.MULTILINE)
    )  # no table
    named = named_in_python() | set(STAGING.findall(sql))
    assert named - filled - {UNIT_TABLE, TYPE_TABLE} == SCRATCH
