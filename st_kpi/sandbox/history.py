"""The company's jobs in the order they were booked, with their visits and estimates."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from random import Random

from st_kpi.sandbox.clock import DAY, HOUR, MINUTE
from st_kpi.sandbox.company import Appointment, Company, Estimate, EstimateItem, Job
from st_kpi.sandbox.names import Naming
from st_kpi.sandbox.people import People, Place
from st_kpi.sandbox.reference import NOW, RETIREMENT
from st_kpi.sandbox.schedule import (
    crew_start,
    local_midnight,
    request_times,
    sale_time,
    touched,
    visit_end,
    visit_start,
)

FAMILY_SHARES = (
    ("estimate", 66),
    ("production", 26),
    ("warranty", 3),
    ("excluded", 3),
    ("other", 2),
)
_MISSING_APPOINTMENT = 399_999_999
_SKU_KINDS = ("Service", "Service", "Service", "Material", "Equipment")


class History:
    """Books jobs one after another; sold estimates queue up and become production jobs."""

    def __init__(
        self, company: Company, rng: Random, people: People, plan: dict[str, int], naming: Naming
    ) -> None:
        self.company = company
        self.rng = rng
        self.people = people
        self.plan = plan
        self.revenue: list[int] = []
        self.family_of = {kind.id: kind.family for kind in company.job_types}
        units = {unit.name: unit.id for unit in company.business_units}
        self._sales = [units[branch.sales] for branch in naming.branches]
        self._crews = [units[branch.production] for branch in naming.branches]
        self._retired = {
            "SALES": units[naming.retired.sales],
            "PRODUCTION": units[naming.retired.production],
        }
        self._menu = self._weighted_types(naming)
        self._queue: list[tuple[int, int, Job, Place, int, int]] = []
        self._finished: list[tuple[Job, Place]] = []
        self._appointment_ids = count(300_000_000, 3)
        self._estimate_ids = count(90_000_000, 5)
        self._item_ids = count(400_000_000)
        self._carried = 0

    def write(self) -> None:
        """Fill jobs, appointments, estimates, customers and locations."""
        times = request_times(
            self.rng, self.plan["jobs"], self.company.first_day, self.company.last_day
        )
        families = self.rng.choices(
            [name for name, _ in FAMILY_SHARES], [share for _, share in FAMILY_SHARES], k=len(times)
        )
        requests = max(1, families.count("estimate"))
        seen = 0
        for n, (created, family, quota) in enumerate(
            zip(times, families, self._estimate_quota(families), strict=True)
        ):
            job = Job(50_000_000 + 3 * n, 0, 0, "Scheduled", created)
            self.company.jobs.append(job)
            self.revenue.append(0)
            if family == "estimate" or not self.people.places:
                seen += 1
                self._estimate_job(job, self.people.place_for(created, seen / requests), quota)
            elif family == "production":
                self._production_job(job, quota)
            else:
                self._small_job(job, family, quota)
        self.people.finish()
        self._orphan_estimates(self.plan["estimates"] - len(self.company.estimates))
        self.company.appointments.sort(key=lambda row: row.created)

    def _estimate_quota(self, families: list[str]) -> list[int]:
        """How many estimates each job gets, so that the company total is exactly as planned."""
        rng, wanted = self.rng, self.plan["estimates"]
        wanted -= max(1, wanted // 300)  # the rest have no job
        draws = rng.choices((0, 1, 2, 3, 4), (13, 47, 25, 11, 4), k=len(families))
        quota = [
            drawn if family == "estimate" else int(family == "production" and rng.random() < 0.03)
            for family, drawn in zip(families, draws, strict=True)
        ]
        missing = wanted - sum(quota)
        while missing:
            n = int(rng.random() * len(quota))
            if (
                families[n] == "estimate"
                and 0 <= quota[n] + (step := 1 if missing > 0 else -1) <= 6
            ):
                quota[n] += step
                missing -= step
        return quota

    def _weighted_types(self, naming: Naming) -> dict[str, list[tuple[int, int]]]:
        menu: dict[str, list[tuple[int, int]]] = {}
        ids = iter(kind.id for kind in self.company.job_types)
        for family, kinds in naming.types.items():
            menu[family] = [
                entry for _, weight, price in kinds for entry in [(next(ids), price)] * weight
            ]
        return menu

    def _describe(self, job: Job, place: Place, family: str, role: str) -> int:
        """Set who, where and what; returns the typical price of the type in cents."""
        rng = self.rng
        kinds = self._menu[family]
        job.job_type_id, price = kinds[int(rng.random() * len(kinds))]
        job.customer_id, job.location_id = place.customer_id, place.location_id
        job.business_unit_id = (self._sales if role == "SALES" else self._crews)[place.market]
        retired_share = 0.3 if job.created < RETIREMENT else 0.002
        if place.market == 0 and rng.random() < retired_share:
            job.business_unit_id = self._retired[role]
        job.campaign_id = self.company.campaigns[int(rng.random() * 6)].id
        return price * 100

    # Sales

    def _estimate_job(self, job: Job, place: Place, quota: int) -> None:
        rng = self.rng
        price = self._describe(job, place, "estimate", "SALES")
        job.no_charge = None if rng.random() < 0.02 else rng.random() < 0.02
        start = visit_start(rng, job.created, int(rng.random() * rng.random() * 12))
        self._set_status(job, start, visit_end(rng, start), canceled_share=0.15)
        self._book(job, start, 1, 2 * HOUR)
        if job.status != "Completed":
            keep = quota if rng.random() < 0.2 else 0
            self._carried += quota - keep
            self._estimates(job, place, price, keep, job.created + HOUR)
        else:
            quota, self._carried = min(6, quota + self._carried), max(0, quota + self._carried - 6)
            self._estimates(job, place, price, quota, job.completed or start)

    def _estimates(self, job: Job, place: Place, price: int, quota: int, visited: int) -> None:
        rng = self.rng
        if not quota:
            return
        sells = 0
        if job.status == "Completed" or rng.random() < 0.05:
            draw = rng.random()
            sells = 2 if draw < 0.09 else 1 if draw < 0.66 else 0
        first_sale, total = 0, 0
        rows = [self._estimate(job, place, price, visited, n < sells) for n in range(quota)]
        for row in rows:
            if row.status == "Sold" and row.active and row.sold is not None:
                first_sale = min(first_sale or row.sold, row.sold)
                total += row.subtotal_cents
        job.estimate_ids = tuple(row.id for row in rows)
        if first_sale and job.status != "Canceled":
            job.sold_by_id = rows[0].sold_by_id
            heappush(self._queue, (first_sale, rows[0].id, job, place, total, job.job_type_id))

    def _estimate(
        self, job: Job | None, place: Place, price: int, visited: int, sells: bool
    ) -> Estimate:
        rng = self.rng
        created = min(NOW, visited - int(rng.random() * 25) * MINUTE)
        items = self._estimate_items(price)
        row = Estimate(
            id=next(self._estimate_ids),
            job_id=job.id if job else None,
            status="Open",
            subtotal_cents=sum(item.total_cents for item in items),
            created=created,
            customer_id=place.customer_id,
            location_id=place.location_id,
            business_unit_id=job.business_unit_id if job else None,
            items=items,
            change_order=job is not None and bool(self.revenue[-1]),
        )
        row.tax_cents = row.subtotal_cents // 12 if rng.random() < 0.3 else 0
        sold = sale_time(rng, visited) if sells else 0
        if sold and created <= sold <= NOW:
            row.status, row.sold = "Sold", sold
            row.sold_by_id = self._technician()
            if rng.random() < 0.01:  # taken back later, the date stays behind
                row.status = "Open"
        elif NOW - created > 60 * DAY and rng.random() < 0.6:
            row.status = "Dismissed"
        row.active = rng.random() > 0.008
        row.modified = touched(rng, max(created, row.sold or 0), 20)
        self.company.estimates.append(row)
        return row

    def _estimate_items(self, price: int) -> tuple[EstimateItem, ...]:
        rng = self.rng
        lines = 1 + int(rng.random() * rng.random() * 4)
        amount = int(price * (0.45 + rng.random() * rng.random() * 2.2)) // lines
        items = []
        for _ in range(lines):
            units = 1 + int(rng.random() * 3) * (lines > 1)
            rate = int(amount * (0.7 + rng.random() * 0.6)) // units
            items.append(
                EstimateItem(
                    id=next(self._item_ids),
                    sku_id=40_000 + int(rng.random() * 400),
                    kind=_SKU_KINDS[int(rng.random() * 5)],
                    quantity=units * 100,
                    rate_cents=rate,
                    total_cents=units * rate,
                    unit_cost_cents=rate * 55 // 100,
                )
            )
        return tuple(items)

    def _orphan_estimates(self, missing: int) -> None:
        """Estimates without a job, some of them sold; they bring the list to the planned count."""
        for n in range(missing):
            job = self.company.jobs[int(self.rng.random() * len(self.company.jobs))]
            row = self._estimate(
                None, self.people.any_place(), 250_000, job.created, sells=n % 3 == 0
            )
            if n % 3 == 0 and row.sold is None:
                row.status, row.sold = "Sold", row.created

    def _technician(self) -> int:
        return 5_000 + int(self.rng.random() * 221)

    # Production

    def _production_job(self, job: Job, quota: int) -> None:
        rng = self.rng
        if self._queue and self._queue[0][0] <= job.created:
            _, estimate_id, source, place, total, type_id = heappop(self._queue)
            self._describe(job, place, "production", "PRODUCTION")
            twin = self._menu["production"][0][0] + (type_id - self._menu["estimate"][0][0])
            if rng.random() < 0.8 and twin in self.family_of:
                job.job_type_id = twin if self.family_of[twin] == "production" else job.job_type_id
            job.created_from_estimate_id = estimate_id
            job.sold_by_id = source.sold_by_id
        else:
            place = self.people.any_place()
            price = self._describe(job, place, "production", "PRODUCTION")
            total = int(price * (0.4 + rng.random() * rng.random() * 2))
        lead = 380 * rng.random() if rng.random() < 0.03 else 4 + 46 * rng.random() * rng.random()
        days = 1 + (rng.random() < 0.24) + 2 * (rng.random() < 0.06)
        start = crew_start(rng, job.created, int(lead))
        end = start + (days - 1) * DAY + 8 * HOUR + int(rng.random() * 3) * DAY
        self._set_status(job, start, end, canceled_share=0.035)
        self._book(job, start, days, 8 * HOUR)
        if job.status != "Canceled" or rng.random() < 0.1:
            self.revenue[-1] = total
        self._estimates(job, place, 80_000, quota, min(NOW, start))
        self._finished.append((job, place))

    def _small_job(self, job: Job, family: str, quota: int) -> None:
        rng = self.rng
        self._carried += quota
        role = "SALES" if family == "other" and rng.random() < 0.5 else "PRODUCTION"
        place = self.people.any_place()
        if family == "warranty" and self._finished:
            cause, place = self._finished[int(rng.random() * len(self._finished))]
            job.recall_for_id = cause.id
        price = self._describe(job, place, family, role)
        start = visit_start(rng, job.created, 1 + int(rng.random() * 14))
        self._set_status(job, start, visit_end(rng, start), canceled_share=0.06)
        self._book(job, start, 1, 3 * HOUR)
        paid = family == "excluded" or rng.random() < 0.05
        self.revenue[-1] = int((price or 9_500) * (0.7 + rng.random() * 0.8)) if paid else 0
        job.no_charge = not paid if role == "PRODUCTION" else rng.random() < 0.6

    # Status and visits

    def _set_status(self, job: Job, start: int, end: int, canceled_share: float) -> None:
        rng = self.rng
        draw = rng.random()
        if draw < canceled_share:
            job.status = "Canceled"
            canceled = job.created + int(rng.random() * (min(start, NOW) - job.created))
            if rng.random() < 0.75:  # canceled jobs carry a completion too
                job.completed = min(NOW, canceled // MINUTE * MINUTE + MINUTE)
        elif start > NOW:
            job.status = "Hold" if draw > 0.98 else "Scheduled"
        elif end > NOW:
            job.status = "Dispatched" if draw > 0.7 else "InProgress"
        elif draw > 0.985:
            job.status = ("Hold", "InProgress", "Scheduled")[int(rng.random() * 3)]
        else:
            job.status, job.completed = "Completed", end
        job.modified = touched(rng, max(job.created, min(NOW, job.completed or 0)), 9)

    def _book(self, job: Job, start: int, days: int, length: int) -> None:
        """The job's visits; some were moved, in place or by a canceled row and a new one."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.004:
            return
        rows = [self._visit(job, start + n * DAY, length) for n in range(days)]
        first = rows[0]
        if draw < 0.05:
            shift = (1 + int(rng.random() * 9)) * DAY
            before = max(local_midnight(job.created) + 15 * HOUR, start - shift)
            old = self._visit(job, before, length)
            old.status = "Canceled"
            rows.append(old)
            if draw < 0.025:
                first = old  # the job still names the canceled visit
        elif draw < 0.09:
            first.modified = touched(rng, first.created, 12)  # moved in place: only a new stamp
        if draw > 0.996:
            rows[-1].active = False
        job.first_appointment_id = (
            first.id if draw < 0.993 or draw > 0.996 else _MISSING_APPOINTMENT
        )
        job.last_appointment_id = max(rows, key=lambda row: row.start).id
        job.appointment_count = len(rows)

    def _visit(self, job: Job, start: int, length: int) -> Appointment:
        status = "Scheduled"
        if job.status == "Canceled":
            status = "Canceled"
        elif start < NOW:
            status = "Done" if job.status == "Completed" else "Working"
        row = Appointment(
            id=next(self._appointment_ids),
            job_id=job.id,
            start=start,
            end=start + length,
            status=status,
            created=job.created,
            modified=job.modified,
            customer_id=job.customer_id,
            unused=self.rng.random() < 0.003,
        )
        self.company.appointments.append(row)
        return row


def in_production(company: Company, revenue: list[int]) -> Iterator[tuple[Job, int]]:
    """Jobs of PRODUCTION units with the revenue planned for them, cents."""
    crews = {unit.id for unit in company.business_units if unit.role == "PRODUCTION"}
    for job, cents in zip(company.jobs, revenue, strict=True):
        if job.business_unit_id in crews:
            yield job, cents
