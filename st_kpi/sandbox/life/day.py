"""A tenant that lives: a day's worth of changes, told by change stamps like those of a real one.

`live` moves the company's clock by a day. New rows come, old ones are edited, some turn inactive (the
list drops them, the feed keeps them with `active: false`), a row of a short list vanishes altogether,
and pay is recomputed. The books stay computable, for they read the same rows that the API shows.

Rows written with a null stamp on purpose, one a day each: an invoice without `modified`, which no
feed shows, and a vendor's bill without `created`, which no window of creation holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from st_kpi.sandbox.clock import DAY, SECOND, LocalDays
from st_kpi.sandbox.company import Campaign, Company, Material, Ticks
from st_kpi.sandbox.diary import Diary
from st_kpi.sandbox.life.costs import Costs
from st_kpi.sandbox.life.money import Money
from st_kpi.sandbox.life.work import Work

Event = Callable[[], None]
_WHOLE_DAY = 60  # changes from which on a stretch has everything that a day is sure to bring
_NEW_NAME = " Division"


def live(
    company: Company,
    rng: Random,
    changes: int,
    *,
    until: Ticks | None = None,
    renames: bool = True,
) -> Diary:
    """Make about so many changes between the company's `now` and `until`, by default a day later.

    Each change has a stamp later than all before it and none beyond the real clock. `renames=False`
    leaves the names of business units alone, which a mapping by name does not survive. Returns what
    became of which row. Raises ValueError when there is no time for so many changes.

    Example: `live(company, Random(1), 2000).counts()["jobs"]["added"]`.
    """
    real = int(time.time()) * SECOND
    end = min(company.now + DAY, real) if until is None else until
    if changes < 1 or end > real or end - company.now <= changes:
        raise ValueError(f"there is no room for {changes} changes before the clock's now")
    diary = Diary(company, rng, end, changes)
    _Day(diary, renames).pass_by(changes)
    company.now = end
    company.last_day = LocalDays(company.timezone)(end)
    company.touch()
    return diary


class _Day:
    def __init__(self, diary: Diary, renames: bool) -> None:
        self.diary = diary
        self.company = diary.company
        self.money = Money(diary)
        self.costs = Costs(diary)
        self.work = Work(diary, self.money, self.costs)
        self.renames = renames

    def pass_by(self, changes: int) -> None:
        """Events by their weight, with those in between that every whole day brings."""
        diary = self.diary
        events, weights = zip(*self._menu(), strict=True)
        certain = self._certain() if changes >= _WHOLE_DAY else []
        diary.rng.shuffle(certain)
        last = [self.money.bill_without_stamp] if certain else []
        for event in certain:
            self._happen(event)
        while diary.moments < changes - len(last) and diary.touched < changes - len(last):
            self._happen(diary.rng.choices(events, weights)[0])
        for event in last:  # nothing may edit that invoice afterwards and so give it a stamp
            self._happen(event)

    def _happen(self, event: Event) -> None:
        self.diary.next_moment()
        event()

    def _menu(self) -> list[tuple[Event, int]]:
        work, money, costs = self.work, self.money, self.costs
        return [
            (work.book_visit, 12),
            (work.book_crew, 8),
            (work.start_work, 4),
            (work.finish, 10),
            (work.cancel, 3),
            (work.reclassify, 2),
            (work.delete_job, 1),
            (work.move_visit, 7),
            (work.delete_visit, 1),
            (work.sell, 6),
            (work.unsell, 1),
            (work.reprice, 3),
            (work.delete_estimate, 1),
            (work.edit_customer, 3),
            (work.edit_location, 1),
            (money.bill_progress, 3),
            (money.edit, 6),
            (money.delete_invoice, 1),
            (money.take, 10),
            (money.refund, 1),
            (money.apply_rest, 1),
            (money.void, 1),
            (money.credit, 1),
            (money.use_credit, 1),
            (costs.pay_bonus, 2),
            (costs.recompute, 3),
            (costs.close_payroll, 1),
            (costs.receive, 4),
            (costs.cancel_order, 1),
            (costs.correct_bill, 1),
            (costs.send_back, 1),
            (costs.delete_paper, 1),
        ]

    def _certain(self) -> list[Event]:
        work, money, costs = self.work, self.money, self.costs
        return [
            *([self._rename_unit] if self.renames else []),
            self._lose_reference,
            self._new_reference,
            self._edit_technician,
            work.delete_job,
            work.sell,
            work.finish,
            money.edit,
            money.take,
            costs.recompute,
            costs.bill_without_stamp,
        ]

    # Short lists

    def _rename_unit(self) -> None:
        units = self.company.business_units
        unit = units[self.diary.between(0, len(units) - 1)]
        stem = unit.name.removesuffix(_NEW_NAME)
        unit.name = stem if stem != unit.name else stem + _NEW_NAME
        self.diary.change("business_units", unit)

    def _lose_reference(self) -> None:
        """A campaign or a material is gone, although jobs and items still name it."""
        if len(self.company.campaigns) > 4 and self.diary.chance(0.5):
            self.diary.remove("campaigns", self.company.campaigns[1])
        else:
            self.diary.remove("materials", self.company.materials[3])

    def _new_reference(self) -> None:
        diary = self.diary
        if diary.chance(0.5):
            key = diary.new_id("campaigns", 1)
            row = Campaign(key, f"Campaign {key} Sample", diary.now, diary.now)
            diary.add("campaigns", row)
        else:
            key = diary.new_id("materials", 1)
            name = f"MAT-{key - 40_000:04d}"
            diary.add("materials", Material(key, name, name, 900, 1_440, diary.now, diary.now))

    def _edit_technician(self) -> None:
        """A rise, or somebody leaves."""
        row = self.diary.pick(self.company.technicians, lambda row: row.active)
        if row is not None and self.diary.chance(0.6):
            row.hourly_cents += 100
            self.diary.change("technicians", row)
        elif row is not None:
            self.diary.deactivate("technicians", row)
