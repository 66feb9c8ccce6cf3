"""What names and flags of units and job types are taken for."""

from collections import defaultdict

import pytest

from st_kpi.kpis.guesses import JobKind, Unit, guess_kinds, guess_units
from st_kpi.parameters import FAMILIES
from st_kpi.sandbox import generate_company

UNITS = [
    # Pairs, however they are written: same rollup, one sells and one works.
    (["East Valley - HVAC - Sales", "East Valley HVAC Install"], [("East Valley HVAC", "SALES"), ("East Valley HVAC", "PRODUCTION")]),
    (["Tucson Plumbing Sales", "Tucson PL Service"], [("Tucson Plumbing", "SALES"), ("Tucson Plumbing", "PRODUCTION")]),
    (["01 SALES ELECTRIC", "02 SERVICE ELECTRIC"], [("ELECTRIC", "SALES"), ("ELECTRIC", "PRODUCTION")]),
    (["K\u00f6ln S\u00fcd Estimating", "K\u00d6LN  S\u00dcD Crew"], [("K\u00f6ln S\u00fcd", "SALES"), ("K\u00f6ln S\u00fcd", "PRODUCTION")]),
    (["Sales", "Production"], [("Company", "SALES"), ("Company", "PRODUCTION")]),
]  # fmt: skip
DOUBTFUL = [
    ("Tucson Service", "BOTH", "no unit of this rollup sells"),
    ("Prescott", "BOTH", "does not say whether it sells or works"),
    ("Mesa Sales & Install", "BOTH", "says sales and work"),
    ("99 ADMIN", "NONE", "nothing is sold or done there"),
    ("(OLD) Mesa Sales", "SALES", "retired"),
    ("zzz_Mesa Sales", "SALES", "retired"),
    ("Mesa Sales - DO NOT USE", "SALES", "retired"),
    ("", "BOTH", "does not list it any more"),
]
KINDS = [
    ("Estimate - RES-EXT", "estimate"),
    ("Furnace EST", "estimate"),
    ("Free 2nd Opinion", "estimate"),
    ("SALES - Panel Quote", "estimate"),
    ("INSTALL - Furnace (Sold Hrs)", "production"),
    ("No Heat / No Cool", "production"),
    ("Drain Cleaning", "production"),
    ("Recall/Callback", "warranty"),
    ("Go-Back", "warranty"),
    ("Warranty Repair", "warranty"),
]
DOUBTFUL_KINDS = [
    (JobKind(1, "Warranty Estimate"), "estimate", "says warranty too"),
    (JobKind(1, "PM Inspection"), "excluded", "upkeep"),
    (JobKind(1, "Parts Pick-Up"), "other", "neither a sale nor work"),
    (JobKind(1, "Gizmo"), "production", "does not say what it is"),
    (JobKind(1, "Tune-Up", no_charge=True), "production", "free of charge"),
    (JobKind(1, "Old Estimate", active=False), "estimate", "retired"),
    (JobKind(1, ""), "other", "does not list it any more"),
]


@pytest.mark.parametrize(("names", "expected"), UNITS)
def test_units_of_one_market_are_a_pair(names: list[str], expected: list[tuple[str, str]]) -> None:
    guesses = guess_units([Unit(n, name) for n, name in enumerate(names)])
    assert [(guess.rollup, guess.role) for guess in guesses] == expected
    assert [guess.doubt for guess in guesses] == ["", ""]


@pytest.mark.parametrize(("name", "role", "doubt"), DOUBTFUL)
def test_what_is_not_sure_of_a_unit_is_said(name: str, role: str, doubt: str) -> None:
    (guess,) = guess_units([Unit(1, name)])
    assert guess.role == role
    assert doubt in guess.doubt


def test_a_retired_unit_is_one_though_its_name_does_not_say_so() -> None:
    live, past = guess_units([Unit(1, "Mesa Install"), Unit(2, "Mesa Sales", active=False)])
    assert (live.role, past.role) == ("BOTH", "SALES"), "nobody sells there any more"
    assert "retired" in past.doubt


@pytest.mark.parametrize(("name", "family"), KINDS)
def test_a_name_says_the_family(name: str, family: str) -> None:
    (guess,) = guess_kinds([JobKind(1, name)])
    assert (guess.family, guess.doubt) == (family, "")


@pytest.mark.parametrize(("kind", "family", "doubt"), DOUBTFUL_KINDS)
def test_what_is_not_sure_of_a_type_is_said(kind: JobKind, family: str, doubt: str) -> None:
    (guess,) = guess_kinds([kind])
    assert guess.family == family
    assert doubt in guess.doubt


def test_other_types_and_classes_help() -> None:
    asked, done = guess_kinds([JobKind(1, "Estimate- HOA"), JobKind(2, "HOA")])
    assert (done.family, done.doubt) == ("production", ""), "what estimates are asked for is done"
    gizmo, odd = guess_kinds(
        [JobKind(1, "Gizmo", group="Estimate"), JobKind(2, "Fence Quote", group="Work")]
    )
    assert (gizmo.family, gizmo.doubt) == ("estimate", "")
    assert "its class is 'Work'" not in asked.doubt
    assert "its class is 'Work'" in odd.doubt


@pytest.mark.parametrize("seed", [7, 1, 2, 3, 4, 5, 8])
def test_a_companys_own_mapping_is_met_but_for_what_is_said_to_be_unsure(seed: int) -> None:
    company = generate_company(seed=seed, scale=0.001)
    units = company.business_units
    guesses = guess_units([Unit(unit.id, unit.name, unit.active) for unit in units])
    sure = [(unit, guess) for unit, guess in zip(units, guesses, strict=True) if not guess.doubt]
    assert len(sure) >= 14
    assert all(guess.role == unit.role for unit, guess in sure)
    together: dict[str, set[str]] = defaultdict(set)
    for unit, guess in sure:
        together[guess.rollup].add(unit.rollup)
    assert all(len(rollups) == 1 for rollups in together.values())
    assert len(together) >= 7
    kinds = company.job_types
    families = guess_kinds(
        [JobKind(k.id, k.name, k.active, k.group, bool(k.no_charge)) for k in kinds]
    )
    assert {guess.family for guess in families} <= set(FAMILIES)
    assert {guess.family for guess in families} >= {kind.family for kind in kinds}
    wrong = [
        kind.name
        for kind, guess in zip(kinds, families, strict=True)
        if not guess.doubt and guess.family != kind.family
    ]
    assert wrong == []
    assert sum(not guess.doubt for guess in families) > 0.75 * len(kinds)
