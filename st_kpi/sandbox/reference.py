"""What the company looks like before its first job: units, job types, people, price book."""

from __future__ import annotations

from random import Random

from st_kpi.sandbox.clock import DAY, HOUR, ticks
from st_kpi.sandbox.company import (
    ActivityCode,
    BusinessUnit,
    Campaign,
    Company,
    JobType,
    Material,
    PaymentType,
    Technician,
)

OPENING = ticks("2020-01-01T07:00:00Z")
NOW = ticks("2025-10-21T22:00:00Z")
RETIREMENT = ticks("2021-07-01T07:00:00Z")
UTC_OFFSET = 7 * HOUR  # local midnight in Arizona is 07:00Z all year

MARKETS = (
    ("PHX", "Phoenix", 34),
    ("TUC", "Tucson", 16),
    ("FLG", "Flagstaff", 6),
    ("LAS", "Las Vegas", 13),
    ("ABQ", "Albuquerque", 8),
    ("DEN", "Denver", 10),
    ("SLC", "Salt Lake", 7),
    ("SAN", "San Diego", 6),
)
RETIRED = (
    ("Z-DO NOT USE East Valley Sales", "PHX", "SALES"),
    ("Z-DO NOT USE East Valley Production", "PHX", "PRODUCTION"),
)

# name, weight among jobs of its family, typical price in dollars
ESTIMATE_TYPES = (
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
WARRANTY_TYPES = (("Warranty", 6, 0), ("Warranty - COMM", 1, 0), ("Touchup", 5, 0))
EXCLUDED_TYPES = (
    ("PM Inspection", 3, 180),
    ("Safety Inspection", 1, 240),
    ("Window/Solar Washing", 6, 320),
)
PRODUCTION_TYPES = (
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
OTHER_TYPES = (
    ("Color Consultation", 5, 0),
    ("Site Visit", 3, 0),
    ("Sample Drop-off", 2, 0),
    ("Office Visit", 1, 0),
    ("Supply Run", 1, 0),
    ("Z - old type (do not use)", 1, 0),
)
FAMILIES = {
    "estimate": ESTIMATE_TYPES,
    "production": PRODUCTION_TYPES,
    "warranty": WARRANTY_TYPES,
    "excluded": EXCLUDED_TYPES,
    "other": OTHER_TYPES,
}
SOLD_THRESHOLDS = {
    "ESTIMATE -NEW CONSTRUCTION": 5_000_00,
    "Virtual Estimate": 500_00,
    "Estimate  HOA": 2_500_00,
}
PAYMENT_TYPES = (
    "Check",
    "Cash",
    "Visa",
    "MasterCard",
    "ACH / Bank draft",
    "Financing \u2013 Sample",
)
# Two neighbours above 2**53: a float key would merge them.
ACTIVITY_CODES = (
    (9_007_199_254_740_993, "Painting hours", "PAINT", "Timesheet"),
    (9_007_199_254_740_992, "Prep hours", "PREP", "Timesheet"),
    (801, "Commission", "COMM", "Commission"),
    (802, "Direct adjustment", "ADJ", "Commission"),
    (803, "Tools reimbursement", "TOOLS", "Reimbursement"),
    (804, "Driving", "DRIVE", "Timesheet"),
    (805, "Old spiff (do not use)", "SPIFF", "Commission"),
)
CAMPAIGNS = (
    "Web search",
    "Yard sign",
    "Door hanger",
    "Referral",
    'Radio "Morning paint"',
    "Postcard",
)


def add_reference(company: Company, rng: Random) -> None:
    """Fill the lists that do not grow with scale."""
    _add_units(company)
    _add_job_types(company)
    _add_people(company, rng)
    _add_price_book(company, rng)
    company.payment_types = [
        PaymentType(900 + n, name, OPENING if n else None, OPENING if n else None, active=n != 1)
        for n, name in enumerate(PAYMENT_TYPES)
    ]
    company.campaigns = [
        Campaign(70_000 + n, name, OPENING + n * DAY, OPENING + n * 30 * DAY, active=n != 5)
        for n, name in enumerate(CAMPAIGNS)
    ]
    company.activity_codes = [
        ActivityCode(key, name, code, category, OPENING, OPENING + DAY, active=code != "SPIFF")
        for key, name, code, category in ACTIVITY_CODES
    ]


def _add_units(company: Company) -> None:
    for n, (rollup, city, _) in enumerate(MARKETS):
        for m, role in enumerate(("SALES", "PRODUCTION")):
            unit = BusinessUnit(1_000 + 10 * n + m, f"{city} {role.title()}", rollup, role)
            company.business_units.append(unit)
    for n, (name, rollup, role) in enumerate(RETIRED):
        unit = BusinessUnit(1_900 + n, name, rollup, role, active=False)
        company.business_units.append(unit)
    for n, unit in enumerate(company.business_units):
        unit.created = OPENING + n * HOUR
        unit.modified = unit.created if unit.active else RETIREMENT


def _add_job_types(company: Company) -> None:
    for family, kinds in FAMILIES.items():
        for name, _, _ in kinds:
            n = len(company.job_types)
            company.job_types.append(
                JobType(
                    id=2_000 + 3 * n,
                    name=name,
                    family=family,
                    sold_threshold_cents=SOLD_THRESHOLDS.get(name),
                    no_charge="No Charge" in name or name == "Office Visit",
                    created=OPENING,
                    modified=OPENING + n * DAY,
                    active="do not use" not in name,
                )
            )


def _add_people(company: Company, rng: Random) -> None:
    for n in range(221):
        began = OPENING + int(rng.random() * 5 * 365) * DAY * (n > 60)
        company.technicians.append(
            Technician(
                id=5_000 + n,
                user_id=15_000 + n,
                name=f"Painter {n + 1:03d} Sample",
                business_unit_id=company.business_units[int(rng.random() * 16)].id,
                hourly_cents=1800 + int(rng.random() * 1700),
                burden_cents=int(rng.random() * 600),
                created=began,
                modified=began + int(rng.random() * (NOW - began)),
                active=rng.random() < 0.7,
            )
        )


def _add_price_book(company: Company, rng: Random) -> None:
    kinds = ("Exterior acrylic", "Interior latex", "Primer", "Epoxy kit", "Caulk", 'Brush 3"')
    for n in range(400):
        cost = 350 + int(rng.random() * 9000)
        created = OPENING + int(rng.random() * 1500) * DAY
        company.materials.append(
            Material(
                id=40_000 + n,
                code=f"MAT-{n:04d}",
                name=f"{kinds[n % len(kinds)]} No. {n // len(kinds) + 1}",
                cost_cents=cost,
                price_cents=int(cost * 1.6),
                created=created,
                modified=created + int(rng.random() * (NOW - created)),
                active=rng.random() < 0.9,
            )
        )
