"""The mapping files: what is read, and what is refused with file, line and reason."""

import datetime as dt
from pathlib import Path

import pytest

from st_kpi.errors import MappingError
from st_kpi.kpis.mappings import (
    SourceRecord,
    TypeRow,
    UnitRow,
    read_mappings,
    read_types,
    read_units,
)

UNITS = [
    SourceRecord(1, 10, "East Sales"),
    SourceRecord(1, 11, "East Production "),
    SourceRecord(1, 12, "Z-DO NOT USE"),
]
TYPES = [SourceRecord(1, 20, "ESTIMATE -RES-EXT-PRE 1960"), SourceRecord(1, 21, "Warranty")]

HEADER = "business_unit,rollup,role,valid_from,valid_to\n"


def units(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "business_units.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_unit_is_named_by_id_or_by_name_trimmed_in_any_case(tmp_path: Path) -> None:
    file = units(
        tmp_path,
        HEADER
        + "10,East,SALES,,\n  east PRODUCTION,East , production,2025-01-01,2025-12-31\n\n,,,,\n",
    )
    assert read_units(file, UNITS) == (
        UnitRow(1, 10, "East", "SALES", None, None),
        UnitRow(1, 11, "East", "PRODUCTION", dt.date(2025, 1, 1), dt.date(2025, 12, 31)),
    )


def test_what_a_spreadsheet_writes(tmp_path: Path) -> None:
    file = tmp_path / "job_types.csv"
    text = 'Family,Job_Type\r\nestimate,"ESTIMATE -RES-EXT-PRE 1960"\r\nWarranty,warranty\r\n'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_types(file, TYPES) == (TypeRow(1, 20, "estimate"), TypeRow(1, 21, "warranty"))


def test_one_unit_on_different_days(tmp_path: Path) -> None:
    file = units(tmp_path, HEADER + "10,East,SALES,,2025-01-08\n10,West,SALES,2025-01-09,\n")
    assert [row.rollup for row in read_units(file, UNITS)] == ["East", "West"]


def test_a_unit_that_does_not_count_has_no_rollup(tmp_path: Path) -> None:
    file = units(tmp_path, HEADER + "10,East,SALES,,1/8/2025\n10, ,none,1/9/2025,\n")
    assert read_units(file, UNITS) == (
        UnitRow(1, 10, "East", "SALES", None, dt.date(2025, 1, 8)),
        UnitRow(1, 10, None, "NONE", dt.date(2025, 1, 9), None),
    )


def test_a_job_type_that_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "job_types.csv"
    file.write_text("job_type,family\n21,None\n", encoding="utf-8")
    assert read_types(file, TYPES) == (TypeRow(1, 21, "none"),)


def test_a_name_two_units_share_maps_both(tmp_path: Path) -> None:
    shared = [SourceRecord(1, 10, "Old"), SourceRecord(1, 11, "OLD"), SourceRecord(2, 10, "Old")]
    rows = read_units(units(tmp_path, HEADER + "Old,East,SALES,,\n"), shared)
    assert [(row.tenant_id, row.business_unit_id) for row in rows] == [(1, 10), (1, 11), (2, 10)]


def test_a_rollup_is_one_in_the_spelling_first_met(tmp_path: Path) -> None:
    file = units(tmp_path, HEADER + "10,PHX,SALES,,\n11,Phx,PRODUCTION,,\n12, phx ,BOTH,,\n")
    assert [row.rollup for row in read_units(file, UNITS)] == ["PHX", "PHX", "PHX"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param("business_unit,rollup,role,valid_from,until\n", 1, "Unknown column 'until'", id="unknown column"),
        pytest.param("business_unit,rollup,role,valid_from\n", 1, "The column 'valid_to' is missing", id="missing column"),
        pytest.param("business_unit,business_unit,rollup,role,valid_from,valid_to\n", 1, "twice in the header", id="twice"),
        pytest.param("", 1, "is missing", id="empty file"),
        pytest.param(HEADER + "10,East,BOSS,,\n", 2, "Unknown role 'BOSS'", id="unknown role"),
        pytest.param(HEADER + "10,,SALES,,\n", 2, "The rollup is empty", id="no rollup"),
        pytest.param(HEADER + "10,East,NONE,,\n", 2, "the role NONE counts in no rollup, and this line names 'East'", id="a rollup of none"),
        pytest.param(HEADER + "10,,NONE,,\n10,East,SALES,,\n", 3, "mapped for all days by line 2", id="none and one"),
        pytest.param(HEADER + "10, aLL ,SALES,,\n", 2, "cannot be called 'aLL'", id="the sum of all rollups"),
        pytest.param(HEADER + "10,(UNASSIGNED),SALES,,\n", 2, "'(unassigned)' for what belongs", id="no rollup's"),
        pytest.param(HEADER + ",East,SALES,,\n", 2, "The business unit is empty", id="no unit"),
        pytest.param(HEADER + "\nNowhere,East,SALES,,\n", 3, "has the id or name 'Nowhere'", id="matches nothing"),
        pytest.param(HEADER + "10,East,SALES,13/02/2025,\n", 2, "valid_from '13/02/2025' is not a date", id="bad date"),
        pytest.param(HEADER + "10,East,SALES,,2025-02-30\n", 2, "valid_to '2025-02-30' is not a date", id="no such day"),
        pytest.param(
            HEADER + "10,East,SALES,2025-02-01,2025-01-31\n", 2, "lies before valid_from", id="ends before it starts"
        ),
        pytest.param(
            HEADER + "10,East,SALES,,\nEast Sales,West,SALES,,\n", 3, "mapped for all days by line 2", id="twice, always"
        ),
        pytest.param(
            HEADER + "10,East,SALES,,2025-01-08\n10,West,SALES,2025-01-08,\n", 3, "mapped on 2025-01-08 by line 2", id="one day"
        ),
        pytest.param(HEADER + "10,East,SALES,,,x\n", 2, "6 cells, the header 5", id="too many cells"),
        pytest.param(HEADER + '10,"East,SALES,,\n', 2, "The line is not CSV", id="open quote"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused(tmp_path: Path, text: str, line: int, reason: str) -> None:
    file = units(tmp_path, text)
    with pytest.raises(MappingError) as caught:
        read_units(file, UNITS)
    assert (caught.value.file, caught.value.line) == (file, line)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        pytest.param("20,sales\n", 2, "Unknown family 'sales'", id="unknown family"),
        pytest.param("20,estimate\n20,other\n", 3, "mapped on line 2 already", id="twice"),
        pytest.param("Nothing,other\n", 2, "No job type in ServiceTitan", id="matches nothing"),
    ],
)
def test_malformed_job_types(tmp_path: Path, rows: str, line: int, reason: str) -> None:
    file = tmp_path / "job_types.csv"
    file.write_text("job_type,family\n" + rows, encoding="utf-8")
    with pytest.raises(MappingError, match=reason) as caught:
        read_types(file, TYPES)
    assert caught.value.line == line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"business_units\.csv:1: There is no such file"):
        read_mappings(tmp_path, units=UNITS, types=TYPES)


#: Two units with umlauts, and a file that names both from a day on.
GERMAN = [SourceRecord(1, 10, "Büro  Süd"), SourceRecord(1, 11, "East  Production")]
ASKED = "business_unit,rollup,role,valid_from,valid_to\nBüro Süd,Süd,SALES,2025-01-31,\n11,Süd,PRODUCTION,2025-02-01,\n"
READ = (
    UnitRow(1, 10, "Süd", "SALES", dt.date(2025, 1, 31), None),
    UnitRow(1, 11, "Süd", "PRODUCTION", dt.date(2025, 2, 1), None),
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(ASKED.encode(), id="as a program writes it"),
        pytest.param(ASKED.replace(",", ";").encode("cp1252"), id="semicolons, old Windows"),
        pytest.param(ASKED.replace(",", "\t").encode("utf-16"), id="tabs, UTF-16"),
        pytest.param(ASKED.replace("\n", "\r\n").encode("utf-8-sig"), id="byte order mark, CRLF"),
        pytest.param(ASKED.replace("\n", ",,\n").encode(), id="empty columns at the end"),
        pytest.param(ASKED.replace(",\n", "\n").replace("valid_from\n", "valid_from,\n").replace("valid_from,\n", "valid_from,valid_to\n").encode(), id="no empty cell at the end"),
        pytest.param(ASKED.replace("2025-01-31", "1/31/2025").replace("2025-02-01", "02/01/2025").encode(), id="American dates"),
        pytest.param(ASKED.replace("2025-01-31", "31.1.2025").replace("2025-02-01", "01.02.2025").encode(), id="German dates"),
        pytest.param(ASKED.replace("\n11,", '\n"=""11""",').encode(), id="an id that is to stay text"),
        pytest.param(ASKED.replace("\n11,", "\n'11,").encode(), id="an id after an apostrophe"),
        pytest.param(ASKED.replace("Büro Süd,", " büro   süd\u00a0,").encode(), id="spaces and case"),
        pytest.param(ASKED.replace("\n", ",# note\n", 1).replace("-31,\n", "-31,,new\n").replace("\n11", "\n# old ones\n11").encode(), id="notes for people"),
    ],
)  # fmt: skip
def test_files_as_people_make_them(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "business_units.csv"
    file.write_bytes(content)
    assert read_units(file, GERMAN) == READ


def test_all_that_is_wrong_is_told_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    units(
        tmp_path, HEADER + "East Sale,East,SALES,,\n10,East,SALES,,\n10,West,BOSS,,\n11,,BOTH,,\n"
    )
    (tmp_path / "job_types.csv").write_text("job_type,family\n21,warranty\nWarrantee,other\n")
    with pytest.raises(MappingError) as caught:
        read_mappings(tmp_path, units=UNITS, types=TYPES)
    lines = [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]
    assert lines == [
        "business_units.csv:2: No business unit in ServiceTitan has the id or name 'East Sale'; nearest: 'East Sales'.",
        "business_units.csv:4: Unknown role 'BOSS'; it is one of SALES, PRODUCTION, BOTH, NONE.",
        "business_units.csv:5: The rollup is empty: name one, or give the unit the role NONE if it does not count.",
        "job_types.csv:3: No job type in ServiceTitan has the id or name 'Warrantee'; nearest: 'Warranty'.",
    ]


@pytest.mark.parametrize("line", ["#1 Heating,East,SALES,,", '"#1 Heating",East,SALES,,'])
def test_a_unit_whose_name_begins_like_a_note_is_no_note(tmp_path: Path, line: str) -> None:
    heating = [SourceRecord(1, 12, "#1 Heating")]
    file = units(tmp_path, f"{HEADER}# a note\n{line}\n")
    assert read_units(file, heating) == (UnitRow(1, 12, "East", "SALES", None, None),)
