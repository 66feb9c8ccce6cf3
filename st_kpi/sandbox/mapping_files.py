"""What a person of the company would write into the product's two mapping files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from st_kpi.sandbox.company import Company


def mapping_files(company: Company) -> dict[str, str]:
    """The text of each file by its name; units that never have a job are left out."""
    units = [
        (unit.name, unit.rollup, unit.role, "", "") for unit in company.business_units if unit.role
    ]
    return {
        "business_units.csv": _csv(
            ("business_unit", "rollup", "role", "valid_from", "valid_to"), units
        ),
        "job_types.csv": _csv(
            ("job_type", "family"), ((kind.name, kind.family) for kind in company.job_types)
        ),
    }


def _csv(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
