"""What a person sees of a run in the dashboard: tables and a progress bar."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from prefect.artifacts import (
    acreate_link_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from st_kpi.ingest.manifest import Completeness
from st_kpi.kpis.build_log import digest
from st_kpi.reporting.published import ALL, ALL_ROLLUPS, NOTHING
from st_kpi.reporting.reconcile.compare import Line
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.servicetitan.registry import REGISTRY

#: How many rows of a comparison are listed.
_LARGEST = 20


async def completeness_table(rows: list[Completeness], promised: Mapping[str, int]) -> None:
    """Promised, fetched and stored rows of every entity, as a table artifact; ``promised`` by the entity's name.

    Of an entity that the run was not about, nothing is said but that.
    """
    columns = ("entity", "chunks", "promised", "fetched", "stored", "changed", "rejected")
    of_run = {row.entity: asdict(row) | {"promised": promised.get(row.entity)} for row in rows}
    absent: dict[str, Any] = dict.fromkeys(columns, NOTHING)
    table = [of_run.get(name, absent | {"entity": name}) for name in REGISTRY]
    await acreate_table_artifact(
        key="completeness",
        table=_only(columns, table),
        description="Rows promised by ServiceTitan, fetched, and stored in the warehouse by this run; a dash where"
        " it was about other entities.",
    )


async def changes_table(rows: list[Completeness]) -> None:
    """What a sync read, changed and found missing per entity, as a table artifact."""
    columns = ("entity", "fetched", "changed", "vanished", "missed", "rejected")
    await acreate_table_artifact(
        key="changes",
        table=_only(columns, [asdict(row) for row in rows]),
        description="Rows read since the watermarks; vanished ones are gone from ServiceTitan, missed ones the feed"
        " had left out.",
    )


def _only(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{column: row[column] for column in columns} for row in rows]


async def kpi_tables(rows: Mapping[str, list[dict[str, Any]]]) -> None:
    """The published weekly numbers by rollup, each as a table artifact; cells are text."""
    keys: dict[str, str] = {}
    for rollup, table in rows.items():
        key, words = _WEEKLY, ALL_ROLLUPS.lower()
        if rollup != ALL:
            key, words = f"{_WEEKLY}-{_slug(rollup)}", rollup
        if keys.setdefault(key, rollup) != rollup:  # two names that differ by signs alone
            key += f"-{digest([rollup])[:6]}"
        await acreate_table_artifact(
            key=key,
            table=[{name: _as_it_is(text) for name, text in row.items()} for row in table],
            description=f"The latest weeks of {_as_it_is(words)}.",
        )


#: The key of the artifact with all rollups together, and the beginning of those of each.
_WEEKLY = "weekly-kpis"


def _slug(name: str) -> str:
    """A name as the key of an artifact may have it; of one without a Latin letter or digit, its digest.

    >>> _slug("Phoenix / East"), len(_slug("\u5317"))
    ('phoenix-east', 8)
    """
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or digest([name])[:8]


async def reconciliation_tables(results: Sequence[Reconciliation]) -> None:
    """What was compared with ServiceTitan's reports, and per KPI the rows with the largest residuals, as table artifacts."""
    if not results:
        return
    await acreate_table_artifact(
        key="reconciliations",
        table=[_compared(result) for result in results],
        description=f"The week of {results[0].week_start} beside ServiceTitan's own reports, row by row.",
    )
    for result in (each for each in results if not each.agrees):
        await acreate_table_artifact(
            key=f"reconciliation-{result.kpi.name.replace('_', '-')}",
            table=[_differing(line) for line in result.largest(_LARGEST)],
            description=f"{result.kpi.title}, the week of {result.week_start}: the rows that differ most.",
        )


def _compared(result: Reconciliation) -> dict[str, str]:
    there, here = (
        result.kpi.format(result.value(s), cents=True) for s in (result.there, result.here)
    )
    verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in result.verdicts.items())
    row = {"KPI": result.kpi.title, "Report": there, "Ours": here, "Rows": verdicts}
    row |= {"With": f"{result.source.name}, {result.source.filters}"}
    if better := result.better_readings:
        best = better[0]
        row |= {"Would agree": f"{best.agreeing:,} of {best.keys:,} with {best.name}"}
    return {key: _as_it_is(text) for key, text in row.items()}


def _differing(line: Line) -> dict[str, str]:
    amounts = ", ".join(
        f"{name} {line.there.get(name, Decimal(0)):,.2f} there, {line.here.get(name, Decimal(0)):,.2f} here"
        for name in line.differing
    )
    why = ": ".join(word for word in (line.verdict.value, line.cause) if word)
    row = {"Row": line.key, "Business unit": line.unit or NOTHING, "Amounts": amounts, "Why": why}
    return {key: _as_it_is(text) for key, text in row.items()}


async def kpi_link(warehouse: str) -> None:
    """Where the published table can be looked at, as a link artifact; nothing for a file, which no browser opens."""
    if link := console_link(warehouse):
        await acreate_link_artifact(
            key="weekly-kpis-in-bigquery", link=link, link_text="The weekly table in BigQuery"
        )


async def report_link(link: str) -> None:
    """Where the weekly review was written, as a link artifact."""
    await acreate_link_artifact(
        key="weekly-review",
        link=link,
        link_text="The weekly review",
        description=f"Written to {link}. A browser opens a file of its own machine only by hand.",
    )


def console_link(warehouse: str) -> str | None:
    """The page of ``st_kpi.kpi_weekly_wide`` in Google's console.

    >>> console_link("bigquery://my-project?location=EU")
    'https://console.cloud.google.com/bigquery?project=my-project&p=my-project&d=st_kpi&t=kpi_weekly_wide&page=table'
    >>> console_link("duckdb:///st_kpi.duckdb")
    """
    address = urlsplit(warehouse)
    if address.scheme != "bigquery":
        return None
    named = {"project": address.netloc, "p": address.netloc}
    table = {"d": "st_kpi", "t": "kpi_weekly_wide", "page": "table"}
    return f"https://console.cloud.google.com/bigquery?{urlencode(named | table)}"


def _as_it_is(text: str) -> str:
    """The dashboard takes a cell for Markdown: a number sign makes a heading, a dash an item of a list."""
    return "\u2013" if text == NOTHING else text.replace("#", "\\#")


async def checks_table(rows: list[dict[str, Any]]) -> None:
    """What each check of a build found, as a table artifact; nothing when it asked none."""
    if not rows:
        return
    hold, accepted = (
        sum(row["result"] == result for row in rows) for result in ("holds", "accepted")
    )
    await acreate_table_artifact(
        key="kpi-checks",
        table=rows,
        description=f"{hold} of {len(rows)} checks hold{f', {accepted} accepted' if accepted else ''}.",
    )


async def bytes_table(billed: Mapping[str, int]) -> None:
    """What reading for each KPI is billed for, as a table artifact; nothing where nobody bills."""
    if billed:
        await acreate_table_artifact(
            key="kpi-bytes",
            table=[{"statement": name, "bytes": count} for name, count in billed.items()],
            description=f"About {sum(billed.values()) / 1e9:,.2f} GB billed by BigQuery for this build.",
        )


class ProgressBar:
    """A progress artifact over a known number of rows, written at most once per whole percent."""

    def __init__(self, artifact: UUID, total: int) -> None:
        self._artifact = artifact
        self._total = total
        self._done = 0
        self._shown = 0

    @classmethod
    async def start(cls, key: str, description: str, total: int) -> "ProgressBar":
        artifact = await acreate_progress_artifact(progress=0.0, key=key, description=description)
        return cls(artifact, total)

    async def advance(self, rows: int) -> None:
        self._done += rows
        percent = 100 if not self._total else min(100, self._done * 100 // self._total)
        if percent > self._shown:
            self._shown = percent
            await aupdate_progress_artifact(self._artifact, progress=float(percent))
