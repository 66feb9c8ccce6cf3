"""Names as other companies have them: trades and places, numbers in front, abbreviations, capitals, units nobody uses.

Nothing here is the name of a real company's unit; the shapes are those of real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from st_kpi.sandbox.names import MARKET_SIZES, Branch, Kinds, Naming

_PLACES = (
    "East Valley",
    "Gr\u00fcnfeld",
    "Tucson",
    "North Shore",
    "Ca\u00f1on City",
    "St. Mary's",
    "Lake County",
    "New K\u00f6ln",
    "Prescott",
    "Mesa",
)
# A trade, as a short name, and what it works on.
_TRADES = (
    ("HVAC", "AC", ("Furnace", "AC System", "Heat Pump", "Mini Split", "Duct Work", "Boiler")),
    ("Plumbing", "PL", ("Water Heater", "Repipe", "Sewer Line", "Softener", "Gas Line", "Fixture")),
    ("Electric", "EL", ("Panel Upgrade", "EV Charger", "Generator", "Rewire", "Lighting", "Sauna")),
    ("Roofing", "RF", ("Shingle Roof", "Tile Roof", "Gutters", "Skylight", "Flat Roof", "Vents")),
)
_SERVICE_CALLS = (
    "Demand Service",
    "No Heat / No Cool",
    "Diagnostic",
    "Drain Cleaning",
    "Tune-Up",
    "After Hours Emergency",
)
_TYPE_STYLES = (
    ("Estimate - {}", "INSTALL - {} (Sold Hrs)"),
    ("SALES - {} Quote", "{} Replacement"),
    ("{} EST", "{} Install"),
)
_OTHERS: Kinds = (
    ("Parts Pick-Up", 2, 0),
    ("Ride Along", 1, 0),
    ("Permit / City Visit", 2, 0),
    ("Office - Meeting", 1, 0),
    ("zz OLD Import (do not use)", 1, 0),
)

#: Writes the name of a unit from its place, its trade, the trade's short name, a number and what it does.
_Style = Callable[[str, str, str, int, str], str]


def naming_of(rng: Random) -> Naming:
    """Names of a company that is not the painters', another one for each state of `rng`."""
    number_of_trades = 1 + int(rng.random() * 3)
    trades = rng.sample(_TRADES, number_of_trades)
    places = rng.sample(_PLACES, -(-len(MARKET_SIZES) // number_of_trades))
    style = (_dashes, _abbreviated, _numbered)[int(rng.random() * 3)]
    pairs = [(place, trade) for place in places for trade in trades][: len(MARKET_SIZES)]
    branches = [_branch(n, *pair, style) for n, pair in enumerate(pairs)]
    # One does everything in a single unit, and one was typed by somebody in a hurry.
    branches[-1] = _as_one(branches[-1])
    hasty = branches[2]
    branches[2] = Branch(
        hasty.rollup, hasty.sales, hasty.production.upper().replace(" ", "  ", 1), hasty.trade
    )
    items = [item for _, _, of_trade in trades for item in of_trade]
    estimate, work = _TYPE_STYLES[int(rng.random() * len(_TYPE_STYLES))]
    return Naming(
        company=f"Sample {trades[0][0]} of {places[0]}",
        branches=tuple(branches),
        retired=Branch(
            branches[0].rollup,
            f"(OLD) {places[-1]} Sales",
            f"ZZ-{places[-1]} Install DO NOT USE",
            trades[0][0],
        ),
        types={
            "estimate": _estimates(items, estimate),
            "production": _production(items, work),
            "warranty": (("Recall/Callback", 6, 0), ("Warranty Call", 3, 0), ("Go-Back", 2, 0)),
            "excluded": (("Annual Safety Check", 2, 120), ("Membership Visit (PM)", 6, 180)),
            "other": _OTHERS,
        },
        sold_thresholds={"Free 2nd Opinion": 500_00, "Commercial Bid": 5_000_00},
        no_charge=frozenset({"Free 2nd Opinion", "Ride Along", "Parts Pick-Up"}),
        retired_types=frozenset({"zz OLD Import (do not use)"}),
        groups=_groups(rng),
        idle=("Corporate Office", "99 ADMIN", "Training - DO NOT BOOK"),
    )


def _dashes(place: str, trade: str, short: str, number: int, work: str) -> str:
    return f"{place} - {trade} - {work}"


def _abbreviated(place: str, trade: str, short: str, number: int, work: str) -> str:
    return f"{place} {short} {'Service' if work == 'Install' else work}"


def _numbered(place: str, trade: str, short: str, number: int, work: str) -> str:
    kind = "SERVICE" if work == "Install" else work.upper()
    return f"{number:02d} {kind} {trade.upper()} {place.upper()}".strip()


def _branch(n: int, place: str, trade: tuple[str, str, tuple[str, ...]], style: _Style) -> Branch:
    name, short, _ = trade
    sales, production = (
        style(place, name, short, 2 * n + m, work) for m, work in enumerate(("Sales", "Install"), 1)
    )
    return Branch(f"{place} {name}", sales, production, name)


def _as_one(branch: Branch) -> Branch:
    return Branch(branch.rollup, branch.rollup, branch.rollup, branch.trade)


def _estimates(items: list[str], style: str) -> Kinds:
    return (
        *((style.format(item), 5, 4_000 + 900 * n) for n, item in enumerate(items)),
        ("Free 2nd Opinion", 3, 6_500),
        ("Commercial Bid", 1, 18_000),
        ("Comfort Advisor Visit", 4, 7_500),
    )


def _production(items: list[str], style: str) -> Kinds:
    return (
        *((style.format(item), 5, 4_000 + 900 * n) for n, item in enumerate(items)),
        *((call, 4, 450) for call in _SERVICE_CALLS),
    )


def _groups(rng: Random) -> dict[str, str]:
    """Half of the companies sort their types into classes."""
    if rng.random() < 0.5:
        return {}
    return {"estimate": "Estimate", "production": "Service", "warranty": "Warranty"}
