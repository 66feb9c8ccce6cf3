"""The endpoints behave as the real ones: sign-in, paging, filters, feeds, limits, errors."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from st_kpi.sandbox import Company, SandboxCredentials, create_app, generate_company
from st_kpi.sandbox.clock import iso, ticks
from st_kpi.sandbox.endpoints import ENDPOINTS, Active, Endpoint

FORM = {
    "grant_type": "client_credentials",
    "client_id": SandboxCredentials.CLIENT_ID,
    "client_secret": SandboxCredentials.CLIENT_SECRET,
}
ALL = {"active": "Any", "activeState": "All"}


class Clock:
    """A hand-wound clock for expiry and limits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def bare_client(app: Starlette) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://sandbox.invalid")


# Sign-in


async def test_a_token_is_given_for_a_form(company: Company) -> None:
    async with bare_client(create_app(company, token_seconds=900)) as http:
        answer = await http.post("/connect/token", data=FORM)
    body = answer.json()
    assert answer.status_code == 200
    assert (body["expires_in"], body["token_type"]) == (900, "Bearer")
    assert body["access_token"].count(".") == 2
    assert "tn.jpm.jobs:r" in body["scope"]


REFUSED_SIGN_INS: dict[str, dict[str, Any]] = {
    "wrong secret": {"data": {**FORM, "client_secret": "no"}},
    "unknown client": {"data": {**FORM, "client_id": "no"}},
    "wrong grant": {"data": {**FORM, "grant_type": "password"}},
    "JSON in place of a form": {"json": FORM},
}


@pytest.mark.parametrize("request_", REFUSED_SIGN_INS.values(), ids=REFUSED_SIGN_INS)
async def test_a_bad_sign_in_is_a_400(company: Company, request_: dict[str, Any]) -> None:
    async with bare_client(create_app(company)) as http:
        answer = await http.post("/connect/token", **request_)
    assert answer.status_code == 400
    if request_.get("data", {}).get("client_id") == "no":
        assert answer.json() == {"error": "invalid_client"}


async def test_a_token_ends(company: Company) -> None:
    clock = Clock()
    app = create_app(company, token_seconds=900, clock=clock)
    async with bare_client(app) as http:
        token = (await http.post("/connect/token", data=FORM)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "ST-App-Key": SandboxCredentials.APP_KEY}
        url = f"/jpm/v2/tenant/{company.tenant_id}/job-types"
        clock.now += 899
        assert (await http.get(url, headers=headers)).status_code == 200
        clock.now += 2
        assert (await http.get(url, headers=headers)).status_code == 401
    assert app.state.unauthorized == 1
    assert app.state.tokens_issued == 1


REFUSED_CALLS: dict[str, tuple[dict[str, str], str, int]] = {
    "no token": ({"Authorization": ""}, "{tenant}/jobs", 401),
    "made-up token": ({"Authorization": "Bearer x"}, "{tenant}/jobs", 401),
    "wrong app key": ({"ST-App-Key": "x"}, "{tenant}/jobs", 403),
    "another tenant": ({}, "1/jobs", 403),
    "unknown path": ({}, "{tenant}/jobs/1/costing", 404),
}


@pytest.mark.parametrize(("headers", "path", "status"), REFUSED_CALLS.values(), ids=REFUSED_CALLS)
async def test_refused_calls(client: Any, headers: dict[str, str], path: str, status: int) -> None:
    url = "/jpm/v2/tenant/" + path.replace("{tenant}", str(client.tenant_id))
    answer = await client.http.get(url, headers=headers)
    assert answer.status_code == status
    body = answer.json()
    assert (body["status"], set(body)) == (
        status,
        {"type", "title", "status", "traceId", "errors", "data"},
    )
    assert body["traceId"]


async def test_every_answer_carries_one_date(client: Any) -> None:
    for path in ("jpm:jobs", "jpm:nowhere"):
        answer = await client.get(path)
        assert len(answer.headers.get_list("date")) == 1


# Paging


async def test_pages_join_to_the_whole_without_repeats(client: Any, company: Company) -> None:
    rows, page, more = [], 1, True
    while more:
        body = await client.ok("jpm:jobs", page=page, pageSize=333, sort="+Id", includeTotal="true")
        rows += [row["id"] for row in body["data"]]
        assert (body["page"], body["pageSize"]) == (page, 333)
        assert body["totalCount"] == sum(job.active for job in company.jobs)
        page, more = page + 1, body["hasMore"]
    assert rows == sorted(job.id for job in company.jobs if job.active)


async def test_a_page_is_fifty_rows_and_has_no_total_unless_asked(client: Any) -> None:
    body = await client.ok("jpm:jobs")
    assert (len(body["data"]), body["pageSize"], body["totalCount"]) == (50, 50, None)


async def test_a_page_past_the_end_is_empty(client: Any) -> None:
    body = await client.ok("jpm:job-types", page=40)
    assert (body["data"], body["hasMore"]) == ([], False)


async def test_without_a_sort_no_order_can_be_relied_on(client: Any) -> None:
    ids = [row["id"] for row in await client.all("jpm:jobs")]
    assert ids != sorted(ids)
    assert ids != sorted(ids, reverse=True)


async def test_the_plain_bill_list_is_a_bare_array(client: Any) -> None:
    assert isinstance(await client.ok("accounting:inventory-bills"), list)


BAD_REQUESTS: dict[str, tuple[str, dict[str, str], str]] = {
    "page size above 5000": ("jpm:jobs", {"pageSize": "5001"}, "pageSize"),
    "page zero": ("jpm:jobs", {"page": "0"}, "page"),
    "a page that is no number": ("jpm:jobs", {"page": "x"}, "page"),
    "sort outside the closed list": ("jpm:jobs", {"sort": "-CompletedOn"}, "sort"),
    "a plus that arrived as a space": ("jpm:jobs", {"sort": " Id"}, "sort"),
    "a sort without a sign": ("jpm:jobs", {"sort": "Id"}, "sort"),
    "no date": ("jpm:jobs", {"createdOnOrAfter": "yesterday"}, "createdOnOrAfter"),
    "an offset whose plus arrived as a space": (
        "jpm:jobs",
        {"modifiedBefore": "2024-01-01T00:00:00 00:00"},
        "modifiedBefore",
    ),
    "51 ids": ("jpm:jobs", {"ids": ",".join(map(str, range(51)))}, "ids"),
    "ids that are no numbers": ("jpm:jobs", {"ids": "a,b"}, "ids"),
    "an unknown active": ("jpm:appointments", {"active": "Both"}, "active"),
    "an unknown activeState": ("accounting:invoices", {"activeState": "Any"}, "activeState"),
    "a token that is none": ("jpm:export/jobs", {"from": "xyz"}, "from"),
    "orderBy outside the list": ("jpm:job-types", {"orderBy": "name"}, "orderBy"),
}


@pytest.mark.parametrize(("path", "params", "named"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
async def test_bad_requests(client: Any, path: str, params: dict[str, str], named: str) -> None:
    answer = await client.get(path, **params)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [named]


async def test_a_raw_plus_in_the_url_is_a_space_and_so_a_400(client: Any) -> None:
    answer = await client.http.get(client.url("jpm:jobs") + "?sort=+Id")
    assert answer.status_code == 400
    answer = await client.http.get(client.url("jpm:jobs") + "?sort=%2BId")
    assert answer.status_code == 200


IGNORED = {
    "an unknown parameter": ("jpm:jobs", {"creatdOnOrAfter": "2024-01-01"}),
    "active where there is none": ("jpm:jobs", {"active": "Any"}),
    "sort where there is none": ("settings:business-units", {"sort": "+Id"}),
    "modified where there is none": ("accounting:payment-types", {"modifiedBefore": "2000-01-01"}),
}


@pytest.mark.parametrize(("path", "params"), IGNORED.values(), ids=IGNORED)
async def test_unknown_parameters_are_ignored(
    client: Any, path: str, params: dict[str, str]
) -> None:
    with_it = await client.ok(path, **params, includeTotal="true")
    without = await client.ok(path, includeTotal="true")
    assert with_it == without


# Filters


async def test_default_lists_hide_inactive_rows(client: Any, endpoint: Endpoint) -> None:
    path = f"{endpoint.module}:{endpoint.path}"
    rows = endpoint.rows(client.app.state.company)
    hidden = sum(not getattr(row, "active", True) for row in rows)
    if endpoint.bare:
        return
    shown = (await client.ok(path, includeTotal="true"))["totalCount"]
    asked = (await client.ok(path, includeTotal="true", **ALL))["totalCount"]
    assert shown == len(rows) - hidden
    assert asked == (shown if endpoint.active is Active.NEVER else len(rows))
    assert hidden or endpoint.active is Active.UNKNOWN


CREATED = [entry for entry in ENDPOINTS if not entry.bare]


@pytest.mark.parametrize("entry", CREATED, ids=lambda entry: entry.path)
async def test_closed_windows_of_creation_cover_each_row_once(client: Any, entry: Endpoint) -> None:
    path = f"{entry.module}:{entry.path}"
    stamps = sorted(row.created for row in entry.rows(client.app.state.company) if row.created)
    cut = iso(stamps[len(stamps) // 2])  # on a stamp itself, where off-by-one would show
    total = 0
    for window in ({"createdBefore": cut}, {"createdOnOrAfter": cut}):
        total += (await client.ok(path, includeTotal="true", **ALL, **window))["totalCount"]
    rows = entry.rows(client.app.state.company)
    visible = [row for row in rows if entry.active is not Active.NEVER or row.active]
    assert total == sum(row.created is not None for row in visible)


async def test_created_and_modified_filters_are_anded(client: Any) -> None:
    both = {"createdOnOrAfter": "2025-01-01", "modifiedOnOrAfter": "2025-01-01"}
    rows = await client.all("jpm:jobs", **both)
    assert rows
    for row in rows:
        assert row["createdOn"] >= "2025-01-01"
        assert row["modifiedOn"] >= "2025-01-01"
    changed = await client.all("jpm:jobs", modifiedOnOrAfter="2025-01-01")
    assert len(changed) > len(rows)  # changes to older rows are lost without a sound


Check = Callable[[dict[str, Any]], bool]
FILTERS: dict[str, tuple[str, dict[str, str], Check]] = {
    "soldAfter is exclusive, soldBefore too": (
        "sales:estimates",
        {"soldAfter": "2024-05-01", "soldBefore": "2024-06-01"},
        lambda row: "2024-05-01T00:00:00Z" < row["soldOn"] < "2024-06-01",
    ),
    "paidOn": (
        "accounting:payments",
        {"paidOnAfter": "2024-05-01", "paidOnBefore": "2024-08-01"},
        lambda row: "2024-05-01" < row["date"] < "2024-08-01",
    ),
    "invoicedOn": (
        "accounting:invoices",
        {"invoicedOnOrAfter": "2024-05-01", "invoicedOnBefore": "2024-06-01"},
        lambda row: "2024-05-01" <= row["invoiceDate"] < "2024-06-01",
    ),
    "completedOn with a status": (
        "jpm:jobs",
        {"completedOnOrAfter": "2024-05-01", "jobStatus": "Canceled"},
        lambda row: row["completedOn"] >= "2024-05-01" and row["jobStatus"] == "Canceled",
    ),
    "appointment starts": (
        "jpm:appointments",
        {"startsOnOrAfter": "2025-10-22"},
        lambda row: row["start"] >= "2025-10-22",
    ),
    "pay dates": (
        "payroll:gross-pay-items",
        {"dateOnOrAfter": "2025-01-01", "dateOnOrBefore": "2025-01-31"},
        lambda row: "2025-01-01" <= row["date"] <= "2025-01-31T00:00:00Z",
    ),
    "inactive only": ("jpm:appointments", {"active": "False"}, lambda row: not row["active"]),
}


@pytest.mark.parametrize(("path", "params", "check"), FILTERS.values(), ids=FILTERS)
async def test_filters(client: Any, path: str, params: dict[str, str], check: Check) -> None:
    rows = await client.all(path, **params)
    assert rows
    assert all(check(row) for row in rows)


async def test_ids(client: Any, company: Company) -> None:
    wanted = [customer.id for customer in company.customers[:50]]
    rows = await client.all("crm:customers", ids=",".join(map(str, wanted)), active="Any")
    assert sorted(row["id"] for row in rows) == wanted


@pytest.mark.parametrize("sort", ["+Id", "-Id", "+ModifiedOn", "-CreatedOn"])
async def test_sorts(client: Any, sort: str) -> None:
    field = {"Id": "id", "ModifiedOn": "modifiedOn", "CreatedOn": "createdOn"}[sort[1:]]
    rows = await client.all("jpm:jobs", sort=sort)
    values = [row[field] if field == "id" else ticks(row[field]) for row in rows]
    assert values == sorted(values, reverse=sort[0] == "-")


# Feeds


FEEDS = [entry for entry in ENDPOINTS if entry.export]


@pytest.mark.parametrize("entry", FEEDS, ids=lambda entry: entry.export)
async def test_a_feed_carries_every_row_once_deleted_ones_too(client: Any, entry: Endpoint) -> None:
    rows = await client.feed(f"{entry.module}:{entry.export}")
    expected = entry.rows(client.app.state.company)
    assert len(rows) == len(expected)
    if entry.active is not Active.UNKNOWN:
        assert sum(row["active"] for row in rows) == sum(row.active for row in expected)


async def test_a_deleted_job_is_only_in_the_feed(client: Any, company: Company) -> None:
    deleted = {job.id for job in company.jobs if not job.active}
    listed = {row["id"] for row in await client.all("jpm:jobs")}
    fed = {row["id"]: row["active"] for row in await client.feed("jpm:export/jobs")}
    assert deleted
    assert not deleted & listed
    assert not any(fed[key] for key in deleted)


async def test_the_appointment_feed_takes_active(client: Any) -> None:
    rows = await client.feed("jpm:export/appointments", active="False")
    assert rows
    assert not any(row["active"] for row in rows)


async def test_a_feed_from_a_date_starts_at_it_inclusive(client: Any, company: Company) -> None:
    stamp = sorted(job.modified for job in company.jobs)[800]
    rows = await client.feed("jpm:export/jobs", **{"from": iso(stamp)})
    assert len(rows) == sum(job.modified >= stamp for job in company.jobs)
    assert min(ticks(row["modifiedOn"]) for row in rows) == stamp


async def test_a_token_of_another_feed_is_refused(client: Any) -> None:
    token = (await client.ok("jpm:export/jobs"))["continueFrom"]
    answer = await client.get("jpm:export/appointments", **{"from": token})
    assert answer.status_code == 400


async def test_the_last_token_brings_only_what_changed_since() -> None:
    company = generate_company(seed=5, scale=0.003)
    app = create_app(company, requests_per_second=1000)
    async with bare_client(app) as http:
        token = (await http.post("/connect/token", data=FORM)).json()["access_token"]
        http.headers.update(
            {"Authorization": f"Bearer {token}", "ST-App-Key": SandboxCredentials.APP_KEY}
        )
        url = f"/jpm/v2/tenant/{company.tenant_id}/export/jobs"
        first = (await http.get(url)).json()
        again = (await http.get(url, params={"from": first["continueFrom"]})).json()
        assert (again["data"], again["hasMore"]) == ([], False)
        company.jobs[0].modified = ticks("2025-10-22T01:00:00Z")
        company.touch()
        after = (await http.get(url, params={"from": again["continueFrom"]})).json()
    assert [row["id"] for row in after["data"]] == [company.jobs[0].id]


async def test_the_older_address_of_a_feed_is_the_same_feed(client: Any) -> None:
    rows = await client.feed("sales:export/estimates")
    assert await client.feed("sales:estimates/export") == rows
    token = (await client.ok("sales:export/estimates"))["continueFrom"]
    both = [
        await client.ok(path, **{"from": token})
        for path in ("sales:export/estimates", "sales:estimates/export")
    ]
    assert both[0] == both[1]


async def test_the_item_feed_carries_every_item(client: Any, company: Company) -> None:
    rows = await client.feed("accounting:export/invoice-items")
    assert len(rows) == sum(len(invoice.items) for invoice in company.invoices)


# Limits


async def test_one_call_too_many_in_a_rolling_second(company: Company) -> None:
    clock = Clock()
    app = create_app(company, requests_per_second=3, clock=clock)
    async with bare_client(app) as http:
        token = (await http.post("/connect/token", data=FORM)).json()["access_token"]
        http.headers.update(
            {"Authorization": f"Bearer {token}", "ST-App-Key": SandboxCredentials.APP_KEY}
        )

        def call() -> Awaitable[httpx.Response]:
            return http.get(f"/jpm/v2/tenant/{company.tenant_id}/job-types")

        statuses = []
        for step in (0.0, 0.4, 0.4, 0.1, 0.2):  # the first call has left the window by the last
            clock.now += step
            statuses.append((await call()).status_code)
        assert statuses == [200, 200, 200, 429, 200]
        refused = await call()
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["title"] == "Rate limit is exceeded. Try again in 1 seconds."
    assert app.state.rate_limited == 2
    assert app.state.max_requests_in_a_second >= 4
    assert app.state.requests == 6
