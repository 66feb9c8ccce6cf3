"""What a client sees of each fault: over ASGI, and on a socket where the connection itself is at fault."""

import asyncio
import copy
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import uvicorn

from st_kpi.sandbox import Company, Fault, Faults, SandboxCredentials, create_app, misbehave
from st_kpi.sandbox.clock import ticks
from st_kpi.sandbox.faults.app import Misbehaving
from st_kpi.sandbox.faults.names import CATALOGUE
from tests.sandbox.conftest import FORM, Client

ROOT = Path(__file__).resolve().parents[2]
Meet = Callable[..., Awaitable[Client]]


@pytest.fixture
async def meet(company: Company) -> AsyncIterator[Meet]:
    """A signed-in client of a tenant with faults; its feeds have pages of 200 rows."""
    clients: list[Client] = []

    async def meet(
        *faults: str, seed: int = 1, tenant: Company = company, **options: Any
    ) -> Client:
        app = create_app(tenant, requests_per_second=100_000, feed_page=200)
        client = Client(misbehave(app, Faults.parse(faults, seed), **options), tenant.tenant_id)
        clients.append(client)
        await client.sign_in()
        return client

    yield meet
    for client in clients:
        await client.http.aclose()


@contextmanager
def served(company: Company, *faults: str) -> Iterator[str]:
    """The tenant on a real socket; the value is its URL."""
    app = misbehave(create_app(company), Faults.parse(faults))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", date_header=False, lifespan="off")
    )
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:  # the socket listens already, so a request waits until the server takes it
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def signed_in(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False) as http:
        token = http.post("/connect/token", data=FORM).json()["access_token"]
        http.headers.update(
            {"Authorization": f"Bearer {token}", "ST-App-Key": SandboxCredentials.APP_KEY}
        )
        yield http


# Asking for faults


ASKED: dict[str, tuple[str, Fault]] = {
    "a name alone": ("server-error", Fault("server-error", 0.1)),
    "a share": ("server-error=1", Fault("server-error", 1.0)),
    "a path": ("forbidden@/jpm/jobs", Fault("forbidden", 1.0, "jpm/jobs")),
    "a detail": ("page-fails#3", Fault("page-fails", 1.0, "", "3")),
    "all of them": ("hang=0.5@export/#7", Fault("hang", 0.5, "export/", "7")),
}


@pytest.mark.parametrize(("text", "fault"), ASKED.values(), ids=ASKED)
def test_a_fault_is_asked_for_in_words(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


MISTAKES = {
    "boom": "There is no fault 'boom'. The faults are: rate-limit,",
    "hang=2": "The share in 'hang=2' is not a number from 0 to 1.",
    "hang=often": "The share in 'hang=often' is not a number from 0 to 1.",
    "hang=": "The share in 'hang=' is not a number from 0 to 1.",
    "hang#long": "What follows # in 'hang#long' is not a number of seconds.",
    "token-refused#200": "What follows # in 'token-refused#200' is not a number of status.",
    "bad-gateway#502": "The fault in 'bad-gateway#502' takes nothing after #.",
    "odd-names#runes": "The script in 'odd-names#runes' is none of: emoji,",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError) as mistake:  # noqa: PT011
        Fault.parse(text)
    assert str(mistake.value).startswith(said)


def st_kpi(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "st_kpi", "sandbox", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_command_refuses_an_unknown_fault() -> None:
    done = st_kpi("--fault", "boom")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert all(name in done.stderr for name in CATALOGUE)
    assert done.stdout == ""


def test_the_help_of_the_command_lists_every_fault() -> None:
    listed = st_kpi("--help").stdout
    assert "--fault-seed" in listed
    assert [name for name in CATALOGUE if f"  {name}" not in listed] == []


def test_the_program_takes_faults_too(company: Company) -> None:
    command = [sys.executable, "-m", "st_kpi.sandbox", "--scale", "0.003", "--fault", "forbidden"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        with signed_in(process.stdout.readline().strip().rpartition(" on ")[2]) as http:
            answer = http.get(f"/jpm/v2/tenant/{company.tenant_id}/jobs")
            assert answer.status_code == 403
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


# In general


async def test_without_faults_nothing_changes(meet: Meet, company: Company) -> None:
    wrapped = await meet()
    plain = Client(create_app(company, feed_page=200), company.tenant_id)
    await plain.sign_in()
    for path in ("jpm:jobs", "jpm:export/jobs", "accounting:inventory-bills", "jpm:nowhere"):
        one, other = await wrapped.get(path), await plain.get(path)
        assert (one.status_code, one.content) == (other.status_code, other.content)
    await plain.http.aclose()


async def test_the_same_seed_fails_the_same_calls(meet: Meet) -> None:
    sequences = []
    for seed in (1, 1, 2):
        client = await meet("server-error=0.3", "rate-limit=0.3", seed=seed)
        answers = [(await client.get("jpm:job-types")).status_code for _ in range(60)]
        assert set(answers) == {200, 429, 500}
        sequences.append(answers)
    assert sequences[0] == sequences[1] != sequences[2]


async def test_one_fault_does_not_disturb_the_sequence_of_another(meet: Meet) -> None:
    def failures(statuses: list[int]) -> list[int]:
        return [n for n, status in enumerate(statuses) if status == 500]

    runs = []
    for faults in (["server-error=0.2"], ["server-error=0.2", "unavailable=0.5"]):
        client = await meet(*faults)
        runs.append([(await client.get("jpm:job-types")).status_code for _ in range(40)])
    assert failures(runs[0]) == failures(runs[1])


async def test_a_fault_keeps_to_its_path(meet: Meet) -> None:
    client = await meet("server-error=1@jpm/export/")
    assert (await client.get("jpm:jobs")).status_code == 200
    assert (await client.get("jpm:export/jobs")).status_code == 500
    assert (await client.get("accounting:export/invoices")).status_code == 200
    assert (await client.http.get("/sandbox")).status_code == 200


async def test_faulty_calls_are_counted_and_limited_like_all_others(company: Company) -> None:
    inner = create_app(company, requests_per_second=3, clock=lambda: 100.0)
    client = Client(misbehave(inner, Faults.parse(["server-error=1"])), company.tenant_id)
    await client.sign_in()
    statuses = [(await client.get("jpm:job-types")).status_code for _ in range(5)]
    about = (await client.http.get("/sandbox")).json()
    await client.http.aclose()
    assert statuses == [500, 500, 500, 429, 429]
    assert (about["requests"], about["rate_limited"]) == (5, 2)
    assert about["max_requests_in_a_second"] == 5
    assert about["faults"] == {"server-error": 3}


async def test_a_refusal_of_the_tenant_itself_goes_first(meet: Meet) -> None:
    client = await meet("bad-gateway=1")
    assert (await client.get("jpm:jobs", pageSize=9_999)).status_code == 400
    client.http.headers["Authorization"] = "Bearer made-up"
    assert (await client.get("jpm:jobs")).status_code == 401


# Answers


async def test_rate_limit_says_how_long_in_a_header(meet: Meet) -> None:
    answer = await (await meet("rate-limit=1#7")).get("jpm:jobs")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["title"] == "Rate limit is exceeded. Try again in 7 seconds."


async def test_rate_limit_in_words_has_no_header(meet: Meet) -> None:
    answer = await (await meet("rate-limit-in-words=1#9")).get("jpm:jobs")
    assert answer.status_code == 429
    assert "Retry-After" not in answer.headers
    assert answer.json()["title"] == "Rate limit is exceeded. Try again in 9 seconds."


async def test_server_error_is_json_with_a_trace_id(meet: Meet) -> None:
    answer = await (await meet("server-error=1")).get("jpm:jobs")
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert answer.json()["traceId"]


async def test_bad_gateway_is_html(meet: Meet) -> None:
    answer = await (await meet("bad-gateway=1")).get("jpm:jobs")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (502, "text/html")
    assert answer.text.startswith("<html>")


async def test_unavailable_is_empty(meet: Meet) -> None:
    answer = await (await meet("unavailable=1")).get("jpm:jobs")
    assert (answer.status_code, answer.content) == (503, b"")


async def test_an_answer_of_the_token_endpoint_fails_when_asked_for(company: Company) -> None:
    app = misbehave(create_app(company), Faults.parse(["bad-gateway=1@connect/token"]))
    client = Client(app, company.tenant_id)
    assert (await client.http.post("/connect/token", data=FORM)).status_code == 502
    await client.http.aclose()


def test_cut_connection_ends_in_the_middle_of_the_body(company: Company) -> None:
    with served(company, "cut-connection=1@jpm/jobs") as url, signed_in(url) as http:
        with pytest.raises(
            httpx.RemoteProtocolError, match="without sending complete message body"
        ):
            http.get(f"/jpm/v2/tenant/{company.tenant_id}/jobs")
        assert http.get(f"/jpm/v2/tenant/{company.tenant_id}/job-types").status_code == 200


async def test_truncated_json_looks_complete(meet: Meet) -> None:
    answer = await (await meet("truncated-json=1")).get("jpm:jobs")
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.content.startswith(b'{"page":1')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize(
    ("path", "closing"), [("jpm:jobs", "]}"), ("accounting:inventory-bills", "]")]
)
async def test_cut_between_records_ends_with_a_comma(meet: Meet, path: str, closing: str) -> None:
    answer = await (await meet("cut-between-records=1")).get(path, pageSize=20)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.text.endswith(",")
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    body = json.loads(answer.text.removesuffix(",") + closing)
    assert len(body if isinstance(body, list) else body["data"]) == 10


async def test_cut_between_records_spares_an_empty_page(meet: Meet) -> None:
    body = await (await meet("cut-between-records=1")).ok("jpm:job-types", page=40)
    assert body["data"] == []


def test_hang_sends_nothing(company: Company) -> None:
    with served(company, "hang=1@jpm/jobs#3600") as url, signed_in(url) as http:
        with pytest.raises(httpx.ReadTimeout):
            http.get(f"/jpm/v2/tenant/{company.tenant_id}/jobs", timeout=0.2)
        assert http.get(f"/jpm/v2/tenant/{company.tenant_id}/job-types").status_code == 200


class Naps:
    """Remembers how long somebody wanted to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_hang_answers_in_the_end(meet: Meet) -> None:
    naps = Naps()
    client = await meet("hang=1#30", sleep=naps)
    assert len((await client.ok("jpm:jobs"))["data"]) == 50
    assert naps.seconds == [30]


async def test_slow_comes_in_pieces_with_pauses(meet: Meet) -> None:
    naps = Naps()
    client = await meet("slow=1#20", sleep=naps)
    assert len((await client.ok("jpm:jobs"))["data"]) == 50
    assert naps.seconds == [2.0] * 10


async def _ask(app: Misbehaving, path: str, authorization: str, gone: asyncio.Event) -> list[Any]:
    """Call the app by hand as a server would; the client hangs up when `gone` is set."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"authorization", authorization.encode()),
        (b"st-app-key", SandboxCredentials.APP_KEY.encode()),
    ]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(("fault", "messages"), [("hang=1#3600", 0), ("slow=1#3600", 2)])
async def test_a_client_that_hangs_up_ends_the_wait(meet: Meet, fault: str, messages: int) -> None:
    client = await meet(fault)
    gone = asyncio.Event()
    gone.set()
    path, token = client.url("jpm:jobs"), client.http.headers["Authorization"]
    sent = await _ask(client.app, path, token, gone)  # type: ignore[arg-type]
    assert len(sent) == messages


# Access


async def test_token_dies_until_a_new_one_is_fetched(meet: Meet) -> None:
    client = await meet("token-dies=0.2")
    statuses = [(await client.get("jpm:job-types")).status_code for _ in range(40)]
    death = statuses.index(401)
    assert death > 0
    assert statuses == [200] * death + [401] * (40 - death)
    await client.sign_in()
    assert (await client.get("jpm:job-types")).status_code == 200


async def test_a_token_works_at_least_once(meet: Meet) -> None:
    client = await meet("token-dies=1")
    for _ in range(3):
        await client.sign_in()
        answers = [(await client.get("jpm:job-types")).status_code for _ in range(3)]
        assert answers == [200, 401, 401]


async def sign_ins(company: Company, fault: str) -> list[httpx.Response]:
    client = Client(misbehave(create_app(company), Faults.parse([fault])), company.tenant_id)
    answers = [await client.http.post("/connect/token", data=FORM) for _ in range(3)]
    await client.http.aclose()
    return answers


async def test_token_refused_is_an_invalid_client(company: Company) -> None:
    answers = await sign_ins(company, "token-refused")
    assert [answer.status_code for answer in answers] == [400] * 3
    assert answers[0].json() == {"error": "invalid_client"}


async def test_token_refused_once_works_the_second_time(company: Company) -> None:
    answers = await sign_ins(company, "token-refused-once#429")
    assert [answer.status_code for answer in answers] == [429, 200, 200]
    assert answers[0].headers["Retry-After"] == "1"


@pytest.mark.parametrize(("fault", "status"), [("missing-endpoint", 404), ("forbidden", 403)])
async def test_an_endpoint_that_this_tenant_lacks(meet: Meet, fault: str, status: int) -> None:
    client = await meet(f"{fault}@payroll/")
    answer = await client.get("payroll:gross-pay-items")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["traceId"]
    assert (await client.get("jpm:jobs")).status_code == 200


async def test_page_fails_each_time_and_only_that_page(meet: Meet) -> None:
    client = await meet("page-fails@jpm/jobs#3")
    statuses = [(await client.get("jpm:jobs", page=n)).status_code for n in (1, 2, 3, 3, 3, 4)]
    assert statuses == [200, 200, 500, 500, 500, 200]
    assert (await client.get("jpm:jobs", page=3)).json()["traceId"]
    assert (await client.get("jpm:appointments", page=3)).status_code == 200


# Lists that change while they are read


@pytest.fixture
def own(company: Company) -> Company:
    """A company of one's own, since these faults change it."""
    return copy.deepcopy(company)


async def two_pages(client: Client, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    query = {"pageSize": 40, "sort": "+Id", "includeTotal": "true", "active": "Any"}
    return await client.ok(path, page=1, **query), await client.ok(path, page=2, **query)


@pytest.mark.parametrize("path", ["jpm:jobs", "sales:estimates", "crm:customers"])
async def test_row_removed_makes_the_next_page_skip_a_row(
    meet: Meet, own: Company, path: str
) -> None:
    plain = await meet(tenant=own)
    _, whole = await two_pages(plain, path)
    first, second = await two_pages(await meet("row-removed=1", tenant=own), path)
    assert second["data"][0]["id"] == whole["data"][1]["id"]  # the first of the page was skipped
    assert second["totalCount"] == first["totalCount"] - 1


async def test_a_removed_job_is_inactive_in_the_feed(meet: Meet, own: Company) -> None:
    client = await meet("row-removed=1@jpm/jobs", tenant=own)
    before = {job.id for job in own.jobs if job.active}
    await client.ok("jpm:jobs")
    (removed,) = before - {job.id for job in own.jobs if job.active}
    changed = await client.feed("jpm:export/jobs", **{"from": "2025-10-21T22:00:00.0000001Z"})
    assert [(row["id"], row["active"]) for row in changed] == [(removed, False)]


@pytest.mark.parametrize("path", ["jpm:jobs", "sales:estimates", "crm:customers"])
async def test_row_inserted_makes_the_next_page_repeat_a_row(
    meet: Meet, own: Company, path: str
) -> None:
    first, second = await two_pages(await meet("row-inserted=1", tenant=own), path)
    assert second["data"][0]["id"] == first["data"][-1]["id"]
    assert second["totalCount"] == first["totalCount"] + 1


@pytest.mark.parametrize("size", [1, 5_000], ids=["a question for the total", "the last page"])
async def test_rows_move_only_while_a_list_is_paged(meet: Meet, own: Company, size: int) -> None:
    client = await meet("row-removed=1", "row-inserted=1", tenant=own)
    await client.ok("jpm:job-types", pageSize=size)
    assert own.version == 0


# Feeds


async def test_feed_duplicates_come_twice_in_a_page(meet: Meet, company: Company) -> None:
    client = await meet("feed-duplicates=0.1")
    body = await client.ok("jpm:export/jobs")
    ids = [row["id"] for row in body["data"]]
    assert len(set(ids)) == 200 < len(ids)
    rows = await client.feed("jpm:export/jobs")
    assert {row["id"] for row in rows} == {job.id for job in company.jobs}
    assert len((await client.ok("jpm:jobs", pageSize=200))["data"]) == 200


async def test_feed_empty_page_promises_more_and_loses_nothing(
    meet: Meet, company: Company
) -> None:
    client = await meet("feed-empty-page=1")
    token, sizes, ids = "", [], []
    while True:
        body = await client.ok("jpm:export/jobs", **{"from": token})
        assert body["continueFrom"] != token
        sizes.append(len(body["data"]))
        ids += [row["id"] for row in body["data"]]
        token = body["continueFrom"]
        if not body["hasMore"]:
            break
    assert sizes[0::2] == [0] * len(sizes[0::2])
    assert 0 not in sizes[1::2]
    assert sorted(ids) == [job.id for job in company.jobs]


async def test_feed_repeats_the_last_row_of_the_page_before(meet: Meet, company: Company) -> None:
    client = await meet("feed-repeats-last-row")
    one = await client.ok("jpm:export/jobs")
    two = await client.ok("jpm:export/jobs", **{"from": one["continueFrom"]})
    assert two["data"][0] == one["data"][-1]
    assert len(two["data"]) == 201
    rows = await client.feed("jpm:export/jobs")
    assert len(rows) == len(company.jobs) + len(company.jobs) // 200


async def test_the_older_address_of_a_feed_has_the_faults_of_feeds(meet: Meet) -> None:
    client = await meet("feed-duplicates=1", "page-fails#1")
    rows = (await client.ok("sales:estimates/export"))["data"]
    assert rows[0] == rows[1]
    assert (await client.get("sales:estimates")).status_code == 500


async def test_feed_unsorted_has_the_same_rows(meet: Meet) -> None:
    fine = await (await meet()).ok("jpm:export/jobs")
    body = await (await meet("feed-unsorted")).ok("jpm:export/jobs")
    assert body["data"] != fine["data"]
    assert sorted(row["id"] for row in body["data"]) == sorted(row["id"] for row in fine["data"])
    assert body["continueFrom"] == fine["continueFrom"]


async def test_feed_ends_in_null(meet: Meet) -> None:
    client = await meet("feed-ends-in-null")
    assert (await client.ok("jpm:export/jobs"))["continueFrom"]
    last = await client.ok("jpm:export/jobs", **{"from": "2025-10-21T21:00:00Z"})
    assert (last["hasMore"], last["continueFrom"]) == (False, None)


async def test_feed_hides_rows_for_good_and_the_list_shows_them(
    meet: Meet, company: Company
) -> None:
    client = await meet("feed-hides-rows=0.1")
    fed = [{row["id"] for row in await client.feed("jpm:export/jobs")} for _ in range(2)]
    listed = {row["id"] for row in await client.all("jpm:jobs")}
    assert fed[0] == fed[1]
    assert 0.05 < 1 - len(fed[0]) / len(company.jobs) < 0.15
    assert listed - fed[0]
    assert listed == {job.id for job in company.jobs if job.active}


# Records


async def both(meet: Meet, path: str, *faults: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each record of a page as it is, and with the faults."""
    plain, faulty = await meet(), await meet(*faults)
    pages = [await one.ok(path, pageSize=500, sort="+Id") for one in (plain, faulty)]
    return list(zip(*(page["data"] for page in pages), strict=True))


def changes(fine: dict[str, Any], odd: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = {**fine, **odd}
    pairs = {name: (fine.get(name), odd.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def test_unknown_field_is_on_every_record(meet: Meet) -> None:
    for fine, odd in await both(meet, "jpm:jobs", "unknown-field#jobColour"):
        assert list(changes(fine, odd)) == ["jobColour"]
    for record in await (await meet("unknown-field")).ok("accounting:inventory-bills"):
        assert record["newField"]["values"] == [1, "two", None]


TYPES: dict[str, tuple[str, str, Callable[[Any, Any], bool]]] = {
    "a number becomes a word": (
        "number-as-word=0.2",
        "jpm:jobs",
        lambda old, new: isinstance(old, int | float) and new == "twelve",
    ),
    "money in a text becomes a word": (
        "number-as-word=0.2#subTotal",
        "accounting:invoices",
        lambda old, new: isinstance(old, str) and new == "twelve",
    ),
    "a whole number becomes a fraction": (
        "int-as-fraction=0.2",
        "jpm:jobs",
        lambda old, new: new == old + 0.5,
    ),
    "an object becomes a text": (
        "object-as-string=0.2",
        "accounting:invoices",
        lambda old, new: isinstance(old, dict) and isinstance(new, str),
    ),
    "a required field is null": (
        "null-in-required=0.2",
        "jpm:jobs",
        lambda old, new: old is not None and new is None,
    ),
    "the field asked for is null": (
        "null-in-required=0.2#customerId",
        "jpm:jobs",
        lambda old, new: isinstance(old, int) and new is None,
    ),
}


@pytest.mark.parametrize(("fault", "path", "check"), TYPES.values(), ids=TYPES)
async def test_a_field_of_a_share_of_records_changes(
    meet: Meet, fault: str, path: str, check: Callable[[Any, Any], bool]
) -> None:
    pairs = await both(meet, path, fault)
    hit = [changed for fine, odd in pairs if (changed := changes(fine, odd))]
    assert 0.1 < len(hit) / len(pairs) < 0.3
    for changed in hit:
        ((name, (old, new)),) = changed.items()
        assert name != "id"
        assert check(old, new)
        assert "#" not in fault or fault.endswith(f"#{name}")


async def test_a_record_looks_the_same_wherever_it_is_read(meet: Meet) -> None:
    client = await meet("number-as-word=0.3", "odd-timestamps")
    listed = {row["id"]: row for row in await client.all("jpm:jobs")}
    again = {row["id"]: row for row in await client.all("jpm:jobs", sort="-Id", pageSize=77)}
    assert listed == again


async def test_odd_timestamps_are_the_same_instants(meet: Meet) -> None:
    seen = set()
    for path in ("jpm:jobs", "accounting:payments"):
        for fine, odd in await both(meet, path, "odd-timestamps"):
            for old, new in _instants(fine, odd):
                assert ticks(old) == ticks(new)
                zone = new[-1] if new[-1] == "Z" else new[-6:]
                fraction = new.removesuffix(zone).partition(".")[2]
                seen.add((len(fraction), zone))
    assert {digits for digits, _ in seen} == set(range(8))
    assert {zone for _, zone in seen} == {"Z", "+00:00", "-07:00", "+05:30"}


def _instants(fine: Any, odd: Any) -> Iterator[tuple[str, str]]:
    if isinstance(fine, dict):
        for name, value in fine.items():
            yield from _instants(value, odd[name])
    elif isinstance(fine, list):
        for old, new in zip(fine, odd, strict=True):
            yield from _instants(old, new)
    elif isinstance(fine, str) and fine[4:5] == "-" and fine[10:11] == "T":
        yield fine, odd
    else:
        assert fine == odd


async def test_huge_ids_still_find_one_another(meet: Meet) -> None:
    client = await meet("huge-ids")
    jobs = {row["id"]: row for row in await client.all("jpm:jobs")}
    assert min(jobs) > 2**53
    visits = await client.all("jpm:appointments", active="Any")
    feed = await client.feed("jpm:export/jobs")
    everyone = jobs.keys() | {row["id"] for row in feed}
    assert all(row["jobId"] in everyone for row in visits)
    estimates = {row["id"] for row in await client.all("sales:estimates", active="Any")}
    assert all(key in estimates for job in jobs.values() for key in job["estimateIds"])


async def test_a_payment_names_its_type_and_invoice_by_huge_ids(meet: Meet) -> None:
    client = await meet("huge-ids=0.5")
    types = {row["id"] for row in await client.all("accounting:payment-types", active="Any")}
    invoices = {row["id"] for row in await client.all("accounting:invoices", activeState="All")}
    assert {key > 2**53 for key in types | invoices} == {True, False}
    for payment in await client.all("accounting:payments", activeState="All"):
        assert int(payment["typeId"]) in types
        for line in payment["appliedTo"]:
            assert line["appliedTo"] in invoices or line["appliedTo"] % 1_000 in (999, 992)


async def test_huge_record_is_one_long_text(meet: Meet) -> None:
    client = await meet("huge-record=1")
    answer = await client.get("jpm:jobs")
    rows = answer.json()["data"]
    assert len(rows[0]["summary"]) == 6_000_000
    assert len(answer.content) < 6_200_000
    assert len(rows) == 50
    units = await client.ok("settings:business-units")
    assert len(units["data"][0]["memo"]) == 6_000_000


async def test_long_records_are_long_and_their_money_is_the_same(meet: Meet) -> None:
    pairs = await both(meet, "accounting:invoices", "long-records#6")
    sizes = [len(orjson.dumps(long)) - len(orjson.dumps(short)) for short, long in pairs]
    assert 4_000 < sum(sizes) / len(sizes) < 10_000
    assert max(sizes) > 3 * sum(sizes) / len(sizes)
    lines = [len(long["items"]) for _, long in pairs]
    assert max(lines) == 40
    for short, long in pairs:
        for name in ("total", "totalCost"):
            costs = [
                [Decimal(line[name] or 0) for line in record["items"]] for record in (short, long)
            ]
            assert sum(costs[0]) == sum(costs[1])
    jobs = await both(meet, "jpm:jobs", "long-records")
    assert max(len(long["summary"]) for _, long in jobs) > 8_000


@pytest.mark.parametrize(
    ("fault", "path", "field", "expected"),
    [
        ("empty-date=1", "jpm:jobs", "completedOn", "0001-01-01T00:00:00Z"),
        ("empty-date=1#soldOn", "sales:estimates", "soldOn", "0001-01-01T00:00:00Z"),
        ("zero-id=1", "jpm:jobs", "businessUnitId", 0),
        ("project-billing=1", "accounting:invoices", "job", None),
        ("project-billing=1", "sales:estimates", "jobId", None),
    ],
)
async def test_shapes_from_the_field(
    meet: Meet, fault: str, path: str, field: str, expected: object
) -> None:
    for fine, odd in await both(meet, path, fault):
        assert odd[field] == expected
        assert set(changes(fine, odd)) <= {field, "projectId"}
        if fault.startswith("project"):
            assert odd["projectId"] > 0


async def test_zero_id_within_an_object(meet: Meet) -> None:
    for fine, odd in await both(meet, "accounting:invoices", "zero-id=1#businessUnit"):
        unit = fine["businessUnit"]
        assert odd["businessUnit"] == (unit and {**unit, "id": 0})


async def test_odd_names_are_of_every_script(meet: Meet) -> None:
    pairs = await both(meet, "crm:customers", "odd-names=0.5")
    suffixes = {odd["name"].removeprefix(fine["name"]) for fine, odd in pairs}
    assert len(suffixes) == 5  # four scripts, and the names left as they were


async def test_half_a_surrogate_pair_is_an_escape(meet: Meet) -> None:
    answer = await (await meet("odd-names=1#surrogate")).get("crm:customers")
    assert rb"\ud83d" in answer.content
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.content)
    assert json.loads(answer.content)["data"][0]["name"].endswith("\ud83d")


def test_every_fault_is_tested_here() -> None:
    tests = [Path(__file__), *(ROOT / "tests/sandbox/reports").glob("test_*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in tests)
    asked = [name for name in CATALOGUE if f'"{name}' not in source and f"{{{name}" not in source]
    assert asked == []
