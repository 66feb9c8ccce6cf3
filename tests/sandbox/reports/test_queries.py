"""Reports that are queried now and fetched later."""

from typing import Any

from tests.sandbox.reports.conftest import Meet, Reader

YEAR = {"From": "2024-01-01", "To": "2024-12-31"}


async def ask(reader: Reader, name: str = "Leads", **query: Any) -> Any:
    return await reader.post(await reader.path(name) + "/data/query", YEAR, **query)


async def test_without_the_fault_there_are_no_queries(reader: Reader) -> None:
    assert (await ask(reader)).status_code == 404


async def test_the_old_way_is_closed(meet: Meet) -> None:
    for fault, status in (("report-async", 410), ("report-async#404", 404)):
        other = await meet(fault)
        answer = await other.post(await other.path("Leads") + "/data", YEAR)
        assert answer.status_code == status
        assert "deprecated" in answer.json()["title"]
        assert (await other.http.get("/sandbox")).json()["faults"] == {"report-async": 1}


async def test_a_fast_query_answers_at_once(reader: Reader, meet: Meet) -> None:
    other = await meet("report-async")
    answer = await ask(other, page=2, pageSize=3)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"Fields", "Data", "HasMore", "TotalCount", "TimeZone"}
    rows = await reader.rows("Leads", **YEAR)
    names = [field["Name"] for field in body["Fields"]]
    assert [dict(zip(names, row, strict=True)) for row in body["Data"]] == rows
    assert (body["HasMore"], body["TotalCount"]) == (False, len(rows))
    assert body["TimeZone"] == "America/Phoenix"
    assert (await ask(other)).status_code == 200  # nothing is left running


async def test_a_slow_query_is_polled(meet: Meet) -> None:
    other = await meet("report-async", "report-slow#3")
    answer = await ask(other)
    assert answer.status_code == 202
    assert answer.json()["status"] == "NotStarted"
    path = f"reporting:data-queries/{answer.json()['token']}"
    for _ in range(2):
        waiting = await other.get(path)
        assert waiting.status_code == 202
        assert waiting.json() == {"status": "InProgress", "token": answer.json()["token"]}
    done = await other.get(path)
    assert done.status_code == 200
    assert done.json()["Data"]
    assert (await other.get(path)).status_code == 404


async def test_a_tenant_has_one_place_for_queries(meet: Meet) -> None:
    other = await meet("report-async", "report-slow")
    first = await ask(other)
    taken = await ask(other, "Sold Estimates")
    assert taken.status_code == 409
    url = other.url(f"reporting:data-queries/{first.json()['token']}")
    assert (await other.http.delete(url)).status_code == 204
    assert (await other.http.delete(url)).status_code == 404
    assert (await ask(other, "Sold Estimates")).status_code == 202


async def test_queries_are_checked_as_calls_are(meet: Meet) -> None:
    other = await meet("report-async")
    path = await other.path("Leads") + "/data/query"
    assert (await other.post(path, {"From": "2024-01-01"})).status_code == 400
