"""A tenant that lives: the company stays consistent, and list, feed and books tell the same changes."""

import copy
import time
from collections import Counter
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from st_kpi.sandbox import Books, Company, create_app
from st_kpi.sandbox.clock import DAY, SECOND, iso, ticks
from st_kpi.sandbox.diary import ADDED, CHANGED, DEACTIVATED, REMOVED, Diary
from st_kpi.sandbox.endpoints import ENDPOINTS, Active, Endpoint
from st_kpi.sandbox.life.day import live
from st_kpi.sandbox.reference import NOW
from st_kpi.sandbox.wire.base import Names
from tests.sandbox.conftest import Client
from tests.sandbox.test_company import digest

ALL = {"active": "Any", "activeState": "All"}
FEEDS = [entry for entry in ENDPOINTS if entry.export]
LISTS = [entry for entry in ENDPOINTS if not entry.bare]


def entity(entry: Endpoint) -> str:
    """The company's attribute behind an endpoint."""
    return entry.path.removesuffix("/paginated").replace("-", "_")


@pytest.fixture
def tenant(company: Company) -> Company:
    """A company of one's own, to change."""
    return copy.deepcopy(company)


@pytest.fixture(scope="module")
def lived(company: Company) -> tuple[Company, list[Diary]]:
    """Three days in the life of a company; tests only read it."""
    own = copy.deepcopy(company)
    return own, [live(own, Random(f"{day}"), 800) for day in range(3)]


@pytest.fixture
async def client(lived: tuple[Company, list[Diary]]) -> Any:
    own, _ = lived
    one = Client(create_app(own, requests_per_second=100_000), own.tenant_id)
    await one.sign_in()
    yield one
    await one.http.aclose()


# The stamps


def test_the_clock_starts_where_the_history_ends(company: Company) -> None:
    assert company.now == NOW


def test_a_day_is_a_day_and_today_is_its_date(lived: tuple[Company, list[Diary]]) -> None:
    own, days = lived
    assert [day.since for day in days] == [NOW, NOW + DAY, NOW + 2 * DAY]
    assert own.now == days[-1].until == NOW + 3 * DAY
    assert own.last_day.isoformat() == "2025-10-24"
    assert own.version == 3


def test_every_change_is_later_than_everything_before_it(tenant: Company) -> None:
    for day in range(3):
        before = tenant.now
        diary = live(tenant, Random(day), 300)
        for entry in LISTS:
            for row in entry.rows(tenant):
                what = diary.rows[entity(entry)].get(getattr(row, entry.key))
                if what is None:
                    assert row.modified is None or row.modified <= before
                elif row.modified is not None:
                    assert before < row.modified <= tenant.now
                    assert row.created is None or row.created <= row.modified


def test_moments_only_advance(tenant: Company) -> None:
    diary = Diary(tenant, Random(1), tenant.now + DAY, 500)
    moments = [diary.now]
    for _ in range(500):
        diary.next_moment()
        moments.append(diary.now)
    assert moments == sorted(set(moments))
    assert moments[-1] < diary.until
    assert {moment % SECOND == 0 for moment in moments} == {True, False}


def test_a_stretch_may_be_given(tenant: Company) -> None:
    diary = live(tenant, Random(1), 10, until=ticks("2025-10-21T22:05:00Z"))
    assert (diary.since, tenant.now) == (NOW, ticks("2025-10-21T22:05:00Z"))


IMPOSSIBLE: dict[str, dict[str, int]] = {
    "beyond the real clock": {"changes": 10, "until": (int(time.time()) + 86_400) * SECOND},
    "no time passes": {"changes": 10, "until": NOW},
    "back in time": {"changes": 10, "until": NOW - DAY},
    "nothing happens": {"changes": 0},
}


@pytest.mark.parametrize("wanted", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_lived_is_refused(tenant: Company, wanted: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no room"):
        live(tenant, Random(1), **wanted)  # type: ignore[arg-type]
    assert (tenant.now, tenant.version) == (NOW, 0)


# What happens


def test_about_so_many_changes_are_made(lived: tuple[Company, list[Diary]]) -> None:
    for diary in lived[1]:
        assert 800 <= diary.touched < 830
        assert 400 < sum(len(rows) for rows in diary.rows.values()) <= diary.touched


def test_every_kind_of_change_occurs(lived: tuple[Company, list[Diary]]) -> None:
    seen = Counter(
        (name, what)
        for day in lived[1]
        for name, rows in day.rows.items()
        for what in rows.values()
    )
    for name in ("jobs", "appointments", "estimates", "invoices", "payments", "gross_pay_items"):
        assert all(seen[name, what] for what in (ADDED, CHANGED, DEACTIVATED)), name
    for name in ("purchase_orders", "customers", "inventory_bills", "receipts", "credit_memos"):
        assert seen[name, ADDED], name
    assert seen["business_units", CHANGED]
    assert seen["materials", REMOVED] + seen["campaigns", REMOVED] == 3


def test_the_same_seed_lives_the_same_days(company: Company) -> None:
    digests = []
    for seed in (1, 1, 2):
        own = copy.deepcopy(company)
        for _ in range(2):
            live(own, Random(seed), 200)
        digests.append(digest(own))
    assert digests[0] == digests[1] != digests[2]


def test_units_keep_their_names_when_asked(tenant: Company, company: Company) -> None:
    live(tenant, Random(1), 200, renames=False)
    assert [unit.name for unit in tenant.business_units] == [
        unit.name for unit in company.business_units
    ]
    live(tenant, Random(1), 200)
    renamed = [
        unit.name.removesuffix(" Division")
        for unit in tenant.business_units
        if unit.name.endswith(" Division")
    ]
    assert len(renamed) == 1
    assert renamed[0] in {unit.name for unit in company.business_units}


def test_recomputed_pay_has_new_rows_for_old_days(lived: tuple[Company, list[Diary]]) -> None:
    own, days = lived
    lines = {line.row: line for line in own.gross_pay_items}
    told = [day.rows["gross_pay_items"] for day in days]
    added = [lines[key] for rows in told for key, what in rows.items() if what == ADDED]
    gone = [lines[key] for rows in told for key, what in rows.items() if what == DEACTIVATED]
    assert any(line.date < NOW - 90 * DAY < NOW < line.created for line in added)
    assert gone
    assert not any(line.active for line in gone)


def test_two_rows_a_day_lack_a_stamp(tenant: Company) -> None:
    diary = live(tenant, Random(4), 300)
    bills = {row.id: row for row in tenant.inventory_bills}
    invoices = {row.id: row for row in tenant.invoices}
    assert any(
        bills[key].created is None and bills[key].modified
        for key, what in diary.rows["inventory_bills"].items()
        if what == ADDED
    )
    new = [key for key, what in diary.rows["invoices"].items() if what == ADDED]
    assert sum(invoices[key].modified is None for key in new) == 1


# The company stays consistent


def test_ids_stay_unique(lived: tuple[Company, list[Diary]]) -> None:
    for entry in ENDPOINTS:
        keys = [getattr(row, entry.key) for row in entry.rows(lived[0])]
        assert len(set(keys)) == len(keys), entry.path


def test_new_rows_hang_together(lived: tuple[Company, list[Diary]]) -> None:
    own, _ = lived
    jobs = {row.id: row for row in own.jobs}
    visits = {row.id: row for row in own.appointments}
    estimates = {row.id: row for row in own.estimates}
    orders = {row.id for row in own.purchase_orders}
    payrolls = {row.id for row in own.payrolls}
    customers, places = ({row.id for row in rows} for rows in (own.customers, own.locations))
    new = [job for job in own.jobs if job.created > NOW]
    assert new
    for job in new:
        assert visits[job.first_appointment_id or 0].job_id == job.id
        assert visits[job.last_appointment_id or 0].job_id == job.id
        assert job.customer_id in customers
        assert job.location_id in places
        assert all(estimates[key].job_id == job.id for key in job.estimate_ids)
    rows: list[Any] = [*own.appointments, *own.estimates, *own.invoices, *own.gross_pay_items]
    for row in rows:
        if row.created > NOW:
            assert row.job_id in jobs
    for line in own.gross_pay_items:
        if line.created > NOW:
            assert line.payroll_id in payrolls
    for receipt in own.receipts:
        if receipt.created > NOW:
            assert receipt.purchase_order_id in orders


def test_money_adds_up_after_a_day(tenant: Company) -> None:
    owed = _owed(tenant)
    diary = live(tenant, Random(9), 800)
    for row in tenant.invoices:
        if diary.rows["invoices"].get(row.id) == ADDED:
            assert row.subtotal_cents == sum(item.total_cents for item in row.items)
    for payment in tenant.payments:
        if diary.rows["payments"].get(payment.id) == ADDED:
            applied = sum(line.amount_cents or 0 for line in payment.applied_to)
            assert payment.total_cents == applied + (payment.unapplied_cents or 0)
    after = _owed(tenant)
    assert {key: gap for key, gap in after.items() if gap != owed.get(key, 0)} == {}


def _owed(company: Company) -> dict[int, int]:
    """Balance less what subtotal, tax and applied lines make of it, per invoice.

    Not zero on the invoices that the generator bent on purpose; a day must not change it.
    """
    gaps = {
        row.id: row.balance_cents - row.subtotal_cents - row.tax_cents for row in company.invoices
    }
    credits: list[Any] = [row for row in company.payments if row.active]
    for row in [*credits, *company.credit_memos]:
        for line in row.applied_to:
            if line.invoice_id in gaps:
                gaps[line.invoice_id] += line.amount_cents or 0
    return gaps


def test_the_books_can_be_made_and_have_changed(
    lived: tuple[Company, list[Diary]], company: Company
) -> None:
    own, _ = lived
    before, after = (Books(one).weekly(one.last_day) for one in (company, own))
    assert {kpi for kpi, *_ in after} == {kpi for kpi, *_ in before}
    moved = {
        kpi
        for (kpi, week, rollup), cell in after.items()
        if before.get((kpi, week, rollup)) != cell
    }
    assert moved == {kpi for kpi, *_ in after}
    old = [key for key in before if key[1].year < 2025 and after.get(key) != before[key]]
    assert old  # also weeks of years ago


# What a client sees


@pytest.mark.parametrize("entry", FEEDS, ids=lambda entry: entry.export)
async def test_the_feed_tells_exactly_what_changed(
    client: Client, lived: tuple[Company, list[Diary]], entry: Endpoint
) -> None:
    own, days = lived
    write, names = entry.write, Names(own)
    day = days[-1]  # an earlier day's rows may have been changed again since
    rows = await client.feed(
        f"{entry.module}:{entry.export}", **{"from": iso(day.since + 1), "active": "Any"}
    )
    told = day.rows[entity(entry)]
    expected = [
        write(row, names)
        for row in entry.rows(own)
        if getattr(row, entry.key) in told and row.modified is not None
    ]
    assert sorted(map(_without_active, rows)) == sorted(map(_without_active, expected))
    stamps = [ticks(row["modifiedOn"]) for row in rows]
    assert stamps == sorted(stamps)


def _without_active(record: dict[str, Any]) -> str:
    shown = {name: value for name, value in record.items() if name != "active"}
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode()


async def test_deleted_rows_are_in_the_feed_and_not_in_the_list(
    client: Client, lived: tuple[Company, list[Diary]]
) -> None:
    for entry in FEEDS:
        told = lived[1][-1].rows[entity(entry)]
        gone = {key for key, what in told.items() if what == DEACTIVATED}
        if entry.key != "id" or not gone:
            continue
        listed = {row["id"] for row in await client.all(f"{entry.module}:{entry.path}")}
        fed = {row["id"]: row for row in await client.feed(f"{entry.module}:{entry.export}")}
        assert not listed & gone
        assert not any(fed[key]["active"] for key in gone)


async def test_a_removed_row_is_nowhere(client: Client, lived: tuple[Company, list[Diary]]) -> None:
    for name, path in (("materials", "pricebook:materials"), ("campaigns", "marketing:campaigns")):
        gone = {key for day in lived[1] for key, what in day.rows[name].items() if what == REMOVED}
        listed = {row["id"] for row in await client.all(path, **ALL)}
        assert not listed & gone


async def test_lists_show_what_the_company_has(
    client: Client, lived: tuple[Company, list[Diary]]
) -> None:
    for entry in LISTS:
        rows = entry.rows(lived[0])
        shown = await client.ok(f"{entry.module}:{entry.path}", includeTotal="true", **ALL)
        visible = [row for row in rows if entry.active is not Active.NEVER or row.active]
        assert shown["totalCount"] == len(visible)


# Over HTTP


@pytest.fixture
async def http(tenant: Company) -> Any:
    transport = httpx.ASGITransport(create_app(tenant))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.invalid") as one:
        yield one


async def test_a_day_passes_over_http_without_a_sign_in(
    http: httpx.AsyncClient, tenant: Company, company: Company
) -> None:
    answer = await http.post("/sandbox/live", params={"changes": 300, "seed": 5})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["since"], body["until"]) == ("2025-10-21T22:00:00Z", "2025-10-22T22:00:00Z")
    assert body["rows"]["jobs"]["added"] == len(tenant.jobs) - len(company.jobs)
    about = (await http.get("/sandbox")).json()
    assert (about["today"], about["now"]) == ("2025-10-22", "2025-10-22T22:00:00Z")
    twin = copy.deepcopy(company)
    live(twin, Random("5:life"), 300)
    assert digest(twin) == digest(tenant)


async def test_a_stretch_over_http_may_leave_names_alone(
    http: httpx.AsyncClient, tenant: Company
) -> None:
    names = [unit.name for unit in tenant.business_units]
    until = "2025-10-21T23:00:00Z"
    body = (
        await http.post("/sandbox/live", params={"changes": 80, "until": until, "renames": "false"})
    ).json()
    assert body["until"] == until
    assert [unit.name for unit in tenant.business_units] == names


@pytest.mark.parametrize("wrong", ["changes=x", "changes=0", "until=never", "until=2019-01-01"])
async def test_a_wrong_stretch_is_a_400(
    http: httpx.AsyncClient, tenant: Company, wrong: str
) -> None:
    answer = await http.post(f"/sandbox/live?{wrong}")
    assert answer.status_code == 400
    assert answer.json()["title"]
    assert tenant.version == 0


async def test_the_tenant_tells_how_it_was_called(tenant: Company) -> None:
    app = create_app(tenant, requests_per_second=2, clock=lambda: 100.0)
    one = Client(app, tenant.tenant_id)
    await one.sign_in()
    for _ in range(3):
        await one.get("jpm:job-types")
    about = (await one.http.get("/sandbox")).json()
    await one.http.aclose()
    assert about["requests"] == 3
    assert about["rate_limited"] == 1
    assert about["max_requests_in_a_second"] == 3
    assert about["tokens_issued"] == 1
