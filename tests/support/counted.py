"""A proxy in front of the emulator that counts what BigQuery would bill and let wait: jobs, statements, requests, bytes.

The emulator reads nothing as BigQuery does, so what it is asked is counted; bytes and waits are approximations.

- Bytes are those of the columns that a statement reads (``scanned.py``), times the rows of the table at the end or when
  it is dropped. Each table costs 10 MiB at least, a temporary one always just that. Clusters spare nothing.
- Of a script the statements count that ran: the emulator tells of which kinds they were. SET, BEGIN and COMMIT count
  too, DECLARE and IF do not. Of a script that failed all of them count.
- A job waits for another where it began after that one had ended. The longest such chain is what more threads cannot
  make shorter.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from functools import cache
from json import loads
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from st_kpi.servicetitan.registry import REGISTRY, Changes
from st_kpi.warehouse.bigquery.values import tables_in
from tests.support.bigquery_emulator import PROJECT
from tests.support.faulty import Faulty, served
from tests.support.scanned import scanned

MINIMUM = 10 * 1024 * 1024
#: Tables of fewer rows in the emulator are no larger in a large company.
_LARGE = 100
#: And these never: they have a row per week or day, or one per business unit or technician.
_BOUNDED = (
    "st_kpi_kpi_",
    "st_staging_previous_",
    "st_ref_",
    "st_ops_reported_weeks",
    "st_ops_chunks",
    *(f"st_raw_{e.name}" for e in REGISTRY.values() if e.changes is Changes.WHOLE),
)
_WIDTHS = {"BOOLEAN": 1, "BOOL": 1, "NUMERIC": 16}
_TEXTS = ("STRING", "JSON")


@dataclass(frozen=True)
class Statement:
    """A statement that ran: its first word, or ``CREATE AS``, its text, and the bytes that it read."""

    kind: str
    sql: str
    bytes: int


@dataclass
class Job:
    """A job: ``SCRIPT``, ``LOAD``, ``COPY`` or the kind of its one statement; times in seconds of one clock."""

    kind: str
    start: float
    end: float
    id: str | None = None
    sql: str = ""
    dry_run: bool = False
    done: bool = False
    failed: bool = False
    statements: list[Statement] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def bytes(self) -> int:
        return sum(statement.bytes for statement in self.statements)


@dataclass(frozen=True)
class Counts:
    """What was asked: ``jobs`` without dry runs, ``statements`` within scripts, ``waits`` the longest chain of jobs."""

    jobs: int
    dry_runs: int
    scripts: int
    statements: int
    requests: int
    waits: int
    bytes: int


class Counted(Faulty):
    """What has gone through, since ``clear`` or the beginning; ask for it when no job is under way."""

    def __init__(self, url: str, times: int) -> None:
        super().__init__(url)
        self._tables = _Tables(url, times)
        self.clear()

    def clear(self) -> None:
        self.requests = 0
        self._jobs: list[Job] = []

    def jobs(self) -> list[Job]:
        """Every job, dry runs too, with the statements that ran."""
        for job in self._jobs:
            if job.sql and not job.statements:
                texts = list(_all(_blocks(job.sql)))
                if job.kind == "SCRIPT" and job.done and not job.failed:
                    texts = list(_ran(_blocks(job.sql), self._children(job)))
                job.statements = [
                    Statement(_kind(text), text, self._tables.read(text)) for text in texts
                ]
        return list(self._jobs)

    def counts(self) -> Counts:
        jobs = [job for job in self.jobs() if not job.dry_run]
        scripts = [job for job in jobs if job.kind == "SCRIPT"]
        return Counts(
            jobs=len(jobs),
            dry_runs=len(self._jobs) - len(jobs),
            scripts=len(scripts),
            statements=sum(len(job.statements) for job in scripts),
            requests=self.requests,
            waits=round(dearest_chain(jobs, lambda job: 1)),
            bytes=sum(job.bytes for job in jobs),
        )

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> httpx.Response | None:
        if method == "DELETE" and "/tables/" in path:
            dataset, name = path.split("?")[0].split("/datasets/")[1].split("/tables/")
            self._tables.measure(f"{dataset}.{name}")
        start = monotonic()
        response = super().answer(method, path, headers, body)
        end = monotonic()
        if response is not None and (place := response.headers.get("location")):
            response.headers["location"] = place.replace(self._target, self.url)
        with self._lock:
            self.requests += 1
            if response is not None:
                self._note(method, urlsplit(path).path, headers, body, response, start, end)
        return response

    def _note(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        response: httpx.Response,
        start: float,
        end: float,
    ) -> None:
        told = response.json() if response.content.startswith(b"{") else {}
        name = told.get("jobReference", {}).get("jobId")
        job = next((job for job in self._jobs if name and job.id == name), None)
        begins = method == "POST" and path.endswith(("/jobs", "/queries"))
        if begins and not response.headers.get("location") and response.status_code != 409:
            job = _job(path, headers, body, start, end)
            job.id, job.failed = name, response.status_code >= 400
            self._jobs.append(job)
        elif method == "PUT" and name and job is None:  # the last part of a large upload
            job = Job("LOAD", start, end, name)
            self._jobs.append(job)
        if job is None or job.done:
            return
        status = told.get("status", {})
        job.end, job.done = end, status.get("state") == "DONE" or told.get("jobComplete") is True
        job.failed = job.failed or "errorResult" in status

    def _children(self, job: Job) -> list[dict[str, Any]]:
        """What the emulator tells of the statements of a script, in their order."""
        told = httpx.get(
            f"{self._target}/bigquery/v2/projects/{PROJECT}/jobs",
            params={"parentJobId": job.id or ""},
            timeout=60,
            verify=False,
        ).json()
        children: list[dict[str, Any]] = told.get("jobs", [])
        children.sort(key=lambda child: int(child["jobReference"]["jobId"].rsplit("_", 1)[1]))
        return [child["statistics"]["query"] for child in children]


def dearest_chain(jobs: Sequence[Job], price: Callable[[Job], float]) -> float:
    """The price of the dearest chain of jobs, each begun after the one before had ended.

    With the seconds that BigQuery would take as the price of a job: what a run takes at least.
    """
    ends, dearest = [0.0], [0.0]
    for job in sorted(jobs, key=lambda job: job.end):
        before = dearest[bisect_right(ends, job.start) - 1]
        ends.append(job.end)
        dearest.append(max(dearest[-1], before + price(job)))
    return dearest[-1]


@contextmanager
def counted(url: str, times: int = 1) -> Iterator[Counted]:
    """The proxy before the emulator at ``url``; large tables are billed as if they had so many ``times`` their rows."""
    with served(Counted(url, times)) as proxy:
        yield proxy


def _job(path: str, headers: dict[str, str], body: bytes, start: float, end: float) -> Job:
    """A job by the request that begins it."""
    if "/upload/" in path:
        kind = next(value for name, value in headers.items() if name.lower() == "content-type")
        message = message_from_bytes(
            b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=policy.HTTP
        )
        body = next(iter(message.iter_parts())).get_payload(decode=True)  # type: ignore[attr-defined]
    asked = loads(body)
    configuration = asked.get("configuration", {"query": asked, "dryRun": asked.get("dryRun")})
    for kind in ("load", "copy"):
        if kind in configuration:
            return Job(kind.upper(), start, end)
    sql = configuration["query"]["query"]
    texts = list(_all(_blocks(sql)))
    kind = "SCRIPT" if len(texts) > 1 else _kind(sql)
    return Job(kind, start, end, sql=sql, dry_run=bool(configuration.get("dryRun")))


class _Tables:
    """How many bytes the columns of each table have."""

    def __init__(self, url: str, times: int) -> None:
        self._url = f"{url}/bigquery/v2/projects/{PROJECT}"
        self._times = times
        self._columns: dict[str, dict[str, float]] = {}
        self._widths: dict[tuple[str, str], float] = {}

    def read(self, text: str) -> int:
        """What a statement reads; nothing where it asks for no column, but how many rows there are."""
        if _kind(text) not in _READING:
            return 0
        for table in tables_in(text) - self._columns.keys():
            self.measure(table)
        read = scanned(text, self._columns)
        if not any(read.values()):
            return 0
        return sum(max(MINIMUM, self._size(table, columns)) for table, columns in read.items())

    def _size(self, table: str, columns: Iterable[str]) -> int:
        widths = self._columns.get(table, {})
        return round(sum(widths.get(column, 0) for column in columns))

    def measure(self, table: str) -> dict[str, float]:
        """The bytes of each column as they are now; nothing where there is no such table."""
        dataset, name = table.split(".", 1)
        there = httpx.get(
            f"{self._url}/datasets/{dataset}/tables/{name}", timeout=60, verify=False
        ).json()
        fields = there.get("schema", {}).get("fields", [])
        if not fields:
            return {}
        count = float(there.get("numRows", 0))
        is_bounded = any(part in f"{dataset}_{name}" for part in _BOUNDED)
        rows = count * self._times if count > _LARGE and not is_bounded else count
        texts = {field["name"]: field["type"] for field in fields if field["type"] in _TEXTS}
        widths = self._text_widths(table, texts) if count else {}
        self._columns[table] = {
            field["name"]: rows * widths.get(field["name"], _WIDTHS.get(field["type"], 8))
            for field in fields
        }
        return self._columns[table]

    def _text_widths(self, table: str, texts: Mapping[str, str]) -> dict[str, float]:
        """How wide texts are on average; outside ``st_raw`` columns of one name are taken to be as wide in each table."""
        group = table if table.startswith("st_raw.") else ""
        unknown = {name: kind for name, kind in texts.items() if (group, name) not in self._widths}
        if unknown:
            values = [
                f"TO_JSON_STRING(`{name}`)" if kind == "JSON" else f"`{name}`"
                for name, kind in unknown.items()
            ]
            averages = ", ".join(f"AVG(LENGTH({value}))" for value in values)
            answer = httpx.post(
                f"{self._url}/queries",
                json={"query": f"SELECT {averages} FROM {table}", "useLegacySql": False},
                timeout=60,
                verify=False,
            ).json()
            for name, cell in zip(unknown, answer["rows"][0]["f"], strict=True):
                self._widths[group, name] = float(cell["v"] or 0) + 2
        return {name: self._widths[group, name] for name in texts}


#: Statements that may read a table.
_READING = ("SELECT", "CREATE AS", "INSERT", "UPDATE", "DELETE", "MERGE", "SET")
#: Statements that the emulator tells nothing of.
_UNTOLD = ("SET", "RAISE", "ASSERT")
_TOLD_AS = {
    "CREATE AS": "CREATE_TABLE_AS_SELECT",
    "CREATE": "CREATE_TABLE",
    "DROP": "DROP_TABLE",
    "ALTER": "ALTER_TABLE",
    "TRUNCATE": "TRUNCATE_TABLE",
    **dict.fromkeys(("BEGIN", "COMMIT", "ROLLBACK"), "SCRIPT"),
}

#: Statements in their order; a list in place of one holds the branches of an IF.
_Blocks = list["str | list[_Blocks]"]


@cache
def _tokens(sql: str) -> list[Token]:
    return sqlglot.tokenize(sql, read="bigquery")


def _kind(text: str) -> str:
    words = " ".join(token.text.upper() for token in _tokens(text)).split()
    if words[0] == "CREATE":
        return "CREATE AS" if "SELECT" in words else "CREATE"
    return (
        "SELECT" if words[0] in ("WITH", "(") else words[0].split()[0]
    )  # BEGIN TRANSACTION is one


def _blocks(sql: str) -> _Blocks:
    """The statements of a script, without DECLARE."""
    tokens = _tokens(sql)
    blocks, _ = _block(sql, tokens, 0)
    return blocks


def _block(sql: str, tokens: Sequence[Token], at: int) -> tuple[_Blocks, int]:
    """The statements up to the END, ELSE or ELSEIF that closes their block, and its place."""
    found: _Blocks = []
    while at < len(tokens) and tokens[at].text.upper() not in ("END", "ELSE", "ELSEIF"):
        word = tokens[at].text.upper()
        if word == "IF":
            branches: list[_Blocks] = []
            while tokens[at].text.upper() != "END":
                while tokens[at].text.upper() not in ("THEN", "ELSE"):
                    at += 1
                branch, at = _block(sql, tokens, at + 1)
                branches.append(branch)
            found.append(branches)
            at += 2
        elif word == ";":
            at += 1
        else:
            start = at
            while at < len(tokens) and tokens[at].token_type is not TokenType.SEMICOLON:
                at += 1
            if word != "DECLARE":
                found.append(sql[tokens[start].start : tokens[at - 1].end + 1])
    return found, at


def _all(blocks: _Blocks) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, str):
            yield block
        else:
            for branch in block:
                yield from _all(branch)


def _ran(blocks: _Blocks, told: list[dict[str, Any]]) -> Iterator[str]:
    """The statements that ran, by what was ``told`` of those that did, which is used up: no branch but the one it fits."""
    for block in blocks:
        if isinstance(block, list):
            for branch in block:
                first = next((text for text in _all(branch) if _kind(text) not in _UNTOLD), None)
                if first is not None and told and _fits(first, told[0]):
                    yield from _ran(branch, told)
                    break
            continue
        if _kind(block) not in _UNTOLD:
            if not told:  # it returned before
                return
            told.pop(0)
        yield block


def _fits(text: str, told: dict[str, Any]) -> bool:
    kind = _kind(text)
    if _TOLD_AS.get(kind, kind) != told["statementType"]:
        return False
    referenced = {f"{t['datasetId']}.{t['tableId']}" for t in told.get("referencedTables", ())}
    if kind == "CREATE AS":  # what it makes is not told among what it refers to
        text = text[next(t.end + 1 for t in _tokens(text) if t.text.upper() == "AS") :]
    return not referenced or tables_in(text) <= referenced
