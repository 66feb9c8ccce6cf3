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
from st_kpi.sandbox.names import Branch, Naming

OPENING = ticks("2020-01-01T07:00:00Z")
NOW = ticks("2025-10-21T22:00:00Z")
RETIREMENT = ticks("2021-07-01T07:00:00Z")
UTC_OFFSET = 7 * HOUR  # local midnight in Arizona is 07:00Z all year

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


def add_reference(company: Company, rng: Random, naming: Naming) -> None:
    """Fill the lists that do not grow with scale."""
    _add_units(company, naming)
    _add_job_types(company, naming)
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


def _add_units(company: Company, naming: Naming) -> None:
    for n, branch in enumerate(naming.branches):
        company.business_units += _units_of(branch, 1_000 + 10 * n)
    company.business_units += _units_of(naming.retired, 1_900, active=False)
    company.business_units += [
        BusinessUnit(1_990 + n, name, "", "", "") for n, name in enumerate(naming.idle)
    ]
    for n, unit in enumerate(company.business_units):
        unit.created = OPENING + n * HOUR
        unit.modified = unit.created if unit.active else RETIREMENT


def _units_of(branch: Branch, key: int, *, active: bool = True) -> list[BusinessUnit]:
    """The two units of a branch, or the one that does both."""
    if branch.sales == branch.production:
        roles = [(branch.sales, "BOTH")]
    else:
        roles = [(branch.sales, "SALES"), (branch.production, "PRODUCTION")]
    return [
        BusinessUnit(key + n, name, branch.rollup, role, branch.trade, active=active)
        for n, (name, role) in enumerate(roles)
    ]


def _add_job_types(company: Company, naming: Naming) -> None:
    for family, kinds in naming.types.items():
        for name, _, _ in kinds:
            n = len(company.job_types)
            company.job_types.append(
                JobType(
                    id=2_000 + 3 * n,
                    name=name,
                    family=family,
                    sold_threshold_cents=naming.sold_thresholds.get(name),
                    no_charge=name in naming.no_charge,
                    group=naming.groups.get(family, ""),
                    created=OPENING,
                    modified=OPENING + n * DAY,
                    active=name not in naming.retired_types,
                )
            )


def _add_people(company: Company, rng: Random) -> None:
    at_work = [unit for unit in company.business_units if unit.active and unit.role]
    for n in range(221):
        began = OPENING + int(rng.random() * 5 * 365) * DAY * (n > 60)
        company.technicians.append(
            Technician(
                id=5_000 + n,
                user_id=15_000 + n,
                name=f"Painter {n + 1:03d} Sample",
                business_unit_id=at_work[int(rng.random() * len(at_work))].id,
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
