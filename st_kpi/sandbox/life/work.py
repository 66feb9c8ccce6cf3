"""A day of work: jobs booked, moved, finished, canceled and deleted; estimates made and sold."""

from __future__ import annotations

from st_kpi.sandbox.clock import DAY, HOUR, MINUTE
from st_kpi.sandbox.company import (
    Appointment,
    Customer,
    Estimate,
    EstimateItem,
    Job,
    Location,
)
from st_kpi.sandbox.diary import Diary
from st_kpi.sandbox.life.costs import Costs
from st_kpi.sandbox.life.money import Money
from st_kpi.sandbox.schedule import crew_start, visit_start


class Work:
    """Each method is one event; it does nothing when no row fits."""

    def __init__(self, diary: Diary, money: Money, costs: Costs) -> None:
        self.diary = diary
        self.company = diary.company
        self.money = money
        self.costs = costs
        self._types: dict[str, list[int]] = {}
        for kind in self.company.job_types:
            if kind.active:
                self._types.setdefault(kind.family, []).append(kind.id)
        units = [unit for unit in self.company.business_units if unit.active]
        self._sales = [unit.id for unit in units if unit.sells]
        crews = [unit for unit in units if unit.produces]
        self._crew_of = {unit.rollup: unit.id for unit in crews}
        self._rollups = {unit.id: unit.rollup for unit in self.company.business_units}

    # Jobs

    def book_visit(self) -> None:
        """Somebody asks for an estimate, in three of ten cases a new customer."""
        diary = self.diary
        place = self._new_place() if diary.chance(0.3) else self._known_place()
        unit = self._sales[diary.between(0, len(self._sales) - 1)]
        job = self._job(place.customer_id, place.id, unit, "estimate")
        start = visit_start(diary.rng, diary.now, diary.between(0, 9))
        self._name_visits(job, [self._visit(job, start, 2 * HOUR)])

    def book_crew(self) -> None:
        """A sold estimate becomes a production job with its invoice."""
        diary = self.diary
        sale = diary.pick(self.company.estimates, lambda row: row.active and row.status == "Sold")
        source = diary.jobs.get(sale.job_id or 0) if sale else None
        if sale is None or source is None:
            return
        crew = self._crew_of[self._rollups[source.business_unit_id]]
        family = "production" if diary.chance(0.9) else "warranty"
        job = self._job(source.customer_id, source.location_id, crew, family)
        job.created_from_estimate_id, job.sold_by_id = sale.id, sale.sold_by_id
        job.recall_for_id = source.id if family == "warranty" else None
        start = crew_start(diary.rng, diary.now, diary.between(1, 40))
        days = diary.between(1, 3)
        self._name_visits(job, [self._visit(job, start + n * DAY, 8 * HOUR) for n in range(days)])
        self.money.bill(job, 0 if family == "warranty" else sale.subtotal_cents)

    def finish(self) -> None:
        """A job is done: a sales visit leaves estimates, a crew leaves costs."""
        diary = self.diary
        job = diary.pick(diary.unfinished, _unfinished)
        if job is None:
            return
        job.status = "Completed"
        job.completed = max(job.created, diary.now - diary.now % MINUTE)
        for visit in diary.visits[job.id]:
            if visit.active and visit.status != "Canceled":
                visit.start = min(visit.start, diary.now - 2 * HOUR)
                visit.end, visit.status = max(visit.start, job.completed), "Done"
                diary.change("appointments", visit)
        role = diary.roles.get(job.business_unit_id)
        is_visit = diary.families.get(job.job_type_id) == "estimate"
        if role == "SALES" or (role == "BOTH" and is_visit):
            rows = [self._estimate(job) for _ in range(diary.between(0, 3))]
            job.estimate_ids += tuple(row.id for row in rows)
        else:
            self.money.settle_up(job)
            self.costs.pay_crew(job)
            self.costs.order(job)
        diary.change("jobs", job)

    def start_work(self) -> None:
        """A crew or an estimator is on the way."""
        job = self.diary.pick(self.diary.unfinished, lambda row: row.status == "Scheduled")
        if job is not None:
            job.status = "Dispatched" if self.diary.chance(0.5) else "InProgress"
            self.diary.change("jobs", job)

    def cancel(self) -> None:
        """A job is called off; most carry a completion all the same."""
        diary = self.diary
        job = diary.pick(diary.unfinished, _unfinished)
        if job is None:
            return
        job.status = "Canceled"
        job.completed = diary.now if diary.chance(0.75) else None
        for visit in diary.visits[job.id]:
            if visit.active and visit.status != "Canceled":
                visit.status = "Canceled"
                diary.change("appointments", visit)
        diary.change("jobs", job)

    def reclassify(self) -> None:
        """An old job gets another type of its family, or changes its no-charge flag."""
        diary = self.diary
        job = diary.pick(self.company.jobs, lambda row: row.active)
        if job is None:
            return
        kinds = self._types[diary.families.get(job.job_type_id, "other")]
        if diary.chance(0.7):
            job.job_type_id = kinds[diary.between(0, len(kinds) - 1)]
        else:
            job.no_charge = not job.no_charge
        diary.change("jobs", job)

    def delete_job(self) -> None:
        """A job disappears with its visits; what was billed stays behind."""
        diary = self.diary
        job = diary.pick(self.company.jobs, lambda row: row.active)
        if job is None:
            return
        diary.deactivate("jobs", job)
        for visit in diary.visits[job.id]:
            if visit.active:
                diary.deactivate("appointments", visit)

    # Visits

    def move_visit(self) -> None:
        """A visit moves: in place, or as a canceled row and a new one."""
        diary = self.diary
        job = diary.pick(diary.unfinished, lambda row: _unfinished(row) and bool(self._open(row)))
        if job is None:
            return
        visit = self._open(job)[0]
        shift = diary.between(1, 12) * DAY
        if diary.chance(0.5):
            visit.start, visit.end = visit.start + shift, visit.end + shift
        else:
            visit.status = "Canceled"
            rows = [*diary.visits[job.id], self._visit(job, visit.start + shift, 2 * HOUR)]
            first = job.first_appointment_id
            self._name_visits(job, rows)
            job.first_appointment_id = first  # the job may go on naming the canceled visit
            diary.change("jobs", job)
        diary.change("appointments", visit)

    def delete_visit(self) -> None:
        """A visit is taken out of the calendar; its job still names it."""
        visit = self.diary.pick(self.company.appointments, lambda row: row.active)
        if visit is not None:
            self.diary.deactivate("appointments", visit)

    def _open(self, job: Job) -> list[Appointment]:
        return [row for row in self.diary.visits[job.id] if row.active and row.status != "Canceled"]

    # Estimates

    def sell(self) -> None:
        """An open estimate is sold, also one of years ago."""
        diary = self.diary
        row = diary.pick(
            self.company.estimates,
            lambda row: row.active and row.status == "Open" and row.job_id in diary.jobs,
        )
        if row is None:
            return
        row.status, row.sold, row.sold_by_id = "Sold", diary.now, self._technician()
        diary.change("estimates", row)
        job = diary.jobs[row.job_id or 0]
        job.sold_by_id = row.sold_by_id
        diary.change("jobs", job)

    def unsell(self) -> None:
        """A sale is taken back: the date stays behind."""
        sold = self.diary.pick(self.company.estimates, lambda row: row.status == "Sold")
        if sold is not None:
            sold.status = "Open" if self.diary.chance(0.5) else "Dismissed"
            self.diary.change("estimates", sold)

    def reprice(self) -> None:
        """An estimate gets one more line."""
        row = self.diary.pick(self.company.estimates, lambda row: row.active)
        if row is not None:
            row.items = (*row.items, self._item(self.diary.between(50, 900) * 100))
            row.subtotal_cents += row.items[-1].total_cents
            self.diary.change("estimates", row)

    def delete_estimate(self) -> None:
        """An estimate is deleted, sold or not."""
        row = self.diary.pick(self.company.estimates, lambda row: row.active)
        if row is not None:
            self.diary.deactivate("estimates", row)

    def _estimate(self, job: Job) -> Estimate:
        diary = self.diary
        items = tuple(
            self._item(diary.between(300, 7_000) * 100) for _ in range(diary.between(1, 3))
        )
        row = Estimate(
            id=diary.new_id("estimates", 5),
            job_id=job.id,
            status="Open",
            subtotal_cents=sum(item.total_cents for item in items),
            customer_id=job.customer_id,
            location_id=job.location_id,
            business_unit_id=job.business_unit_id,
            items=items,
        )
        if diary.chance(0.4):
            row.status, row.sold, row.sold_by_id = "Sold", diary.now, self._technician()
        diary.add("estimates", row)
        return row

    def _item(self, cents: int) -> EstimateItem:
        return EstimateItem(
            id=self.diary.new_id("estimate_items", 1),
            sku_id=40_000 + self.diary.between(0, 399),
            kind="Service",
            quantity=100,
            rate_cents=cents,
            total_cents=cents,
            unit_cost_cents=cents * 55 // 100,
        )

    # Customers

    def edit_customer(self) -> None:
        """A customer changes its name, or turns out to be another one twice."""
        diary = self.diary
        row = diary.pick(self.company.customers, lambda row: row.active)
        other = diary.pick(self.company.customers, lambda row: row.active)
        if row is None:
            return
        if other is not None and other is not row and diary.chance(0.3):
            row.merged_to_id = other.id
            diary.deactivate("customers", row)
        else:
            row.name = f"{row.name.removesuffix(' & Co.')} & Co."
            diary.change("customers", row)

    def edit_location(self) -> None:
        """A place gets another name."""
        row = self.diary.pick(self.company.locations, lambda row: row.active)
        if row is not None:
            row.name = f"Place {self.diary.between(1, 9_999)} Sample"
            self.diary.change("locations", row)

    # Parts

    def _known_place(self) -> Location:
        places = self.company.locations
        return places[self.diary.between(0, len(places) - 1)]

    def _new_place(self) -> Location:
        diary = self.diary
        customer = Customer(diary.new_id("customers", 11), f"New Sample {diary.between(1, 999)}")
        diary.add("customers", customer)
        place = Location(diary.new_id("locations", 7), customer.id, "New place Sample")
        diary.add("locations", place)
        return place

    def _job(self, customer: int, location: int, unit: int, family: str) -> Job:
        diary, campaigns = self.diary, self.company.campaigns
        kinds = self._types[family]
        job = Job(
            id=diary.new_id("jobs"),
            business_unit_id=unit,
            job_type_id=kinds[diary.between(0, len(kinds) - 1)],
            status="Scheduled",
            created=diary.now,
            customer_id=customer,
            location_id=location,
            campaign_id=campaigns[diary.between(0, len(campaigns) - 1)].id,
        )
        diary.add("jobs", job)
        diary.jobs[job.id] = job
        diary.unfinished.append(job)
        return job

    def _visit(self, job: Job, start: int, length: int) -> Appointment:
        row = Appointment(
            id=self.diary.new_id("appointments"),
            job_id=job.id,
            start=start,
            end=start + length,
            customer_id=job.customer_id,
        )
        self.diary.add("appointments", row)
        self.diary.visits[job.id].append(row)
        return row

    def _name_visits(self, job: Job, rows: list[Appointment]) -> None:
        job.first_appointment_id = rows[0].id
        job.last_appointment_id = max(rows, key=lambda row: row.start).id
        job.appointment_count = len(rows)

    def _technician(self) -> int:
        people = self.company.technicians
        return people[self.diary.between(0, len(people) - 1)].id


def _unfinished(job: Job) -> bool:
    """The list was gathered at the start; a job in it may have ended meanwhile."""
    return job.active and job.status not in ("Completed", "Canceled")
