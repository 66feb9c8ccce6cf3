"""How a company names its units and job types: what a naming is made of, and that of the default company."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Kinds = tuple[tuple[str, int, int], ...]

#: How many customers of a hundred live in the market of each branch.
MARKET_SIZES = (34, 16, 6, 13, 8, 10, 7, 6)


@dataclass(frozen=True)
class Branch:
    """A market and its two units; where both have one name, one unit does both."""

    rollup: str
    sales: str
    production: str
    trade: str = "Painting"


@dataclass(frozen=True)
class Naming:
    """What a company calls what it has. `branches` are as many as `MARKET_SIZES`; `retired` was folded into the first.

    `types` has by family each type's name, its weight among jobs of the family, and its typical price in dollars.
    `groups` is what the company calls the class of a family's types, and `idle` are units that never have a job.
    """

    company: str
    branches: tuple[Branch, ...]
    retired: Branch
    types: Mapping[str, Kinds]
    sold_thresholds: Mapping[str, int]
    no_charge: frozenset[str]
    retired_types: frozenset[str]
    groups: Mapping[str, str]
    idle: tuple[str, ...] = field(default=())


def _painters(rollup: str, place: str) -> Branch:
    return Branch(rollup, f"{place} Sales", f"{place} Production")


_ESTIMATES = (
    ("ESTIMATE -RES-EXT-PRE 1960", 5, 6200),
    ("Estimate - RES-EXT", 30, 5200),
    ("Estimate- RES-INT", 22, 3100),
    ("ESTIMATE-RES-INT & EXT", 8, 8400),
    ("Estimate- Interior PLUS Cabinets", 4, 7300),
    ("Estimate - Cabinets", 6, 4400),
    ("estimate -COMM-INT", 4, 9800),
    ("ESTIMATE - COMM-EXT", 4, 14500),
    ("Estimate  HOA", 2, 22000),
    ("Estimate - Epoxy Floor", 4, 2900),
    ("Estimate - Fence & Deck", 3, 1900),
    ("ESTIMATE -NEW CONSTRUCTION", 1, 12000),
    ("Estimate - Stucco Repair", 3, 1600),
    ("Virtual Estimate", 2, 2400),
    ("Estimate - Revisit (No Charge)", 1, 2600),
    ("Commercial ESTIMATE/Walk-through", 1, 11000),
)
_WARRANTY = (("Warranty", 6, 0), ("Warranty - COMM", 1, 0), ("Touchup", 5, 0))
_EXCLUDED = (
    ("PM Inspection", 3, 180),
    ("Safety Inspection", 1, 240),
    ("Window/Solar Washing", 6, 320),
)
_PRODUCTION = (
    ("RES-EXT", 30, 5200),
    ("RES-INT", 22, 3100),
    ("RES-INT & EXT", 8, 8400),
    ("COMM-INT", 4, 9800),
    ("COMM-EXT", 4, 14500),
    ("Cabinets", 6, 4400),
    ("HOA", 2, 22000),
    ("Epoxy Floor", 4, 2900),
    ("Fence & Deck", 3, 1900),
    ("NEW CONSTRUCTION", 1, 12000),
    ("Stucco Repair", 3, 1600),
    ("Drywall Repair", 3, 900),
    ("Popcorn Ceiling Removal", 2, 2200),
    ("Wallpaper Removal", 1, 1300),
    ("Lead-Safe RES-EXT PRE 1960", 4, 6900),
    ("Pressure Wash & Seal", 2, 1100),
    ("Garage Floor", 2, 2500),
    ("Change Order", 1, 800),
)
_OTHER = (
    ("Color Consultation", 5, 0),
    ("Site Visit", 3, 0),
    ("Sample Drop-off", 2, 0),
    ("Office Visit", 1, 0),
    ("Supply Run", 1, 0),
    ("Z - old type (do not use)", 1, 0),
)
PAINTERS = Naming(
    company="Sample Painting Co.",
    branches=(
        _painters("PHX", "Phoenix"),
        _painters("TUC", "Tucson"),
        _painters("FLG", "Flagstaff"),
        _painters("LAS", "Las Vegas"),
        _painters("ABQ", "Albuquerque"),
        _painters("DEN", "Denver"),
        _painters("SLC", "Salt Lake"),
        _painters("SAN", "San Diego"),
    ),
    retired=_painters("PHX", "Z-DO NOT USE East Valley"),
    types={
        "estimate": _ESTIMATES,
        "production": _PRODUCTION,
        "warranty": _WARRANTY,
        "excluded": _EXCLUDED,
        "other": _OTHER,
    },
    sold_thresholds={
        "ESTIMATE -NEW CONSTRUCTION": 5_000_00,
        "Virtual Estimate": 500_00,
        "Estimate  HOA": 2_500_00,
    },
    no_charge=frozenset({"Estimate - Revisit (No Charge)", "Office Visit"}),
    retired_types=frozenset({"Z - old type (do not use)"}),
    groups={
        "estimate": "Estimate",
        "production": "Work",
        "warranty": "Work",
        "excluded": "Work",
        "other": "Work",
    },
)
