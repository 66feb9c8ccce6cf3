"""Drafts that can be read as they are, and files of a person that are only added to."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from st_kpi.errors import MappingError
from st_kpi.kpis.drafts import Activity, draft_types, draft_units
from st_kpi.kpis.guesses import JobKind, Unit
from st_kpi.kpis.mappings import SourceRecord, UnitRow, read_types, read_units

UNITS = [
    Unit(12, "(OLD) Mesa Sales", active=False),
    Unit(11, "M\u00fcnchen, S\u00fcd Install"),
    Unit(10, "M\u00fcnchen, S\u00fcd Sales"),
    Unit(13, "Mesa"),
]
KINDS = [JobKind(20, "Estimate - HOA"), JobKind(21, "HOA"), JobKind(22, "Gizmo")]
HEADER = "business_unit,rollup,role,valid_from,valid_to\n"


def rows(folder: Path, units: list[Unit] = UNITS) -> list[UnitRow]:
    records = [SourceRecord(1, unit.id, unit.name) for unit in units]
    return list(read_units(folder / "business_units.csv", records))


def test_a_draft_can_be_read_as_it_is(tmp_path: Path) -> None:
    known = {10: Activity(3, Decimal("12.5")), 12: Activity(1)}
    draft = draft_units(tmp_path, UNITS, known)
    assert (draft.lines, draft.unsure, draft.was_there) == (4, 2, False)
    assert [(row.business_unit_id, row.rollup, row.role) for row in rows(tmp_path)] == [
        (13, "Mesa", "BOTH"),
        (10, "M\u00fcnchen S\u00fcd", "SALES"),
        (11, "M\u00fcnchen S\u00fcd", "PRODUCTION"),
        (12, "Mesa", "SALES"),
    ]
    text = draft.file.read_text(encoding="utf-8-sig").splitlines()
    assert text[2] == '10,"M\u00fcnchen, S\u00fcd Sales",M\u00fcnchen S\u00fcd,SALES,,,yes,3,12.50,'
    assert text[3].endswith(",yes,0,0.00,")
    assert text[4].endswith(",no,1,0.00,retired: which rollup has its past?")
    draft = draft_types(tmp_path, KINDS, None)
    assert (draft.lines, draft.unsure) == (3, 1)
    records = [SourceRecord(1, kind.id, kind.name) for kind in KINDS]
    families = {row.job_type_id: row.family for row in read_types(draft.file, records)}
    assert families == {20: "estimate", 21: "production", 22: "production"}


@given(
    st.lists(st.sampled_from(["All", "All Sales", "---", "(unassigned)"]) | st.text(), max_size=6)
)
@example(["\ud800", "a\r\nb", "# note", '"', "\0"])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_units_and_types_are_called(tmp_path: Path, names: list[str]) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    units = [Unit(n, name) for n, name in enumerate(names)]
    draft_units(tmp_path, units, None)
    assert {row.business_unit_id for row in rows(tmp_path, units)} == set(range(len(names)))
    assert draft_units(tmp_path, units, None).lines == 0
    kinds = [JobKind(n, name) for n, name in enumerate(names)]
    draft = draft_types(tmp_path, kinds, None)
    found = read_types(draft.file, [SourceRecord(1, kind.id, kind.name) for kind in kinds])
    assert {row.job_type_id for row in found} == set(range(len(names)))


def test_what_a_person_made_of_it_stays_and_only_what_is_new_is_added(tmp_path: Path) -> None:
    file = draft_units(tmp_path, UNITS[:3], None).file
    edited = file.read_bytes().replace(b",Mesa,SALES", b",Elsewhere,PRODUCTION")
    file.write_bytes(edited)
    draft = draft_units(tmp_path, UNITS, None)
    assert (draft.lines, draft.was_there) == (1, True)
    assert file.read_bytes().startswith(edited)
    assert len(rows(tmp_path)) == 4
    whole = file.read_bytes()
    assert draft_units(tmp_path, UNITS, None).lines == 0
    assert file.read_bytes() == whole


AS_PEOPLE_SAVE = [
    ("cp1252", ";", "\r\n", ""),
    ("utf-16", "\t", "\r\n", "\r\n"),
    ("utf-8-sig", ",", "\n", ""),
]


@pytest.mark.parametrize(("encoding", "by", "end", "last"), AS_PEOPLE_SAVE)
def test_lines_are_added_as_the_file_is_written(
    encoding: str, by: str, end: str, last: str, tmp_path: Path
) -> None:
    file = tmp_path / "business_units.csv"
    lines = [
        "role,Business_Unit,rollup,valid_to,valid_from",
        "SALES,M\u00fcnchen S\u00fcd Sales,South,,",
    ]
    content = end.join(line.replace(",", by) for line in lines) + last
    file.write_bytes(content.encode(encoding))
    units = [
        Unit(10, "M\u00fcnchen S\u00fcd Sales"),
        Unit(11, "\u0141\u00f3d\u017a S\u00fcd Install"),
    ]
    assert draft_units(tmp_path, units, None).lines == 1
    assert [(row.business_unit_id, row.role) for row in rows(tmp_path, units)] == [
        (10, "SALES"),
        (11, "BOTH"),
    ]
    text = file.read_bytes().decode(encoding)
    assert text.startswith(content)
    assert f"{end}# " in text, "no column has the names, so a note does"
    assert text.count(end) == 4
    assert "\n" not in text.replace(end, "")


def test_a_file_that_cannot_be_used_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "business_units.csv"
    file.write_text(HEADER + "Nowhere,East,SALES,,\n")
    with pytest.raises(MappingError, match=r"business_units\.csv:2: No business unit"):
        draft_units(tmp_path, UNITS, None)
    assert file.read_text() == HEADER + "Nowhere,East,SALES,,\n"
