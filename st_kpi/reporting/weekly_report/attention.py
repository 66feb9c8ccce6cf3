"""How far the page may be believed: freshness of each input, what the checks found, and what needs a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.errors import SqlError
from st_kpi.ingest.rejects import Rejects
from st_kpi.kpis import build_log
from st_kpi.kpis.checks import results_of
from st_kpi.kpis.definitions.statements import CHECKS_FILE, default_root, read_file
from st_kpi.kpis.history.restatements import OLDEST_DATA
from st_kpi.reporting.published import Kpi, Published
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import KNOWN_UNTIL


@dataclass(frozen=True)
class Input:
    """An entity the numbers are made of, and until when all of it is known, in UTC; None where it was never read.

    One that is ``optional`` the tenant may lack.
    """

    entity: str
    known_until: datetime | None
    optional: bool


@dataclass(frozen=True)
class Matter:
    """One thing that needs a person: what it is, more of it, and what helps; ``severe`` where numbers are withheld or wrong."""

    what: str
    detail: str
    command: str = ""
    severe: bool = False


@dataclass(frozen=True)
class Attention:
    """``checks`` is how many of the last build hold, and of how many; none where no results are kept.

    ``accepted`` are the rows that break a check and that somebody said are right, with the reason.
    """

    inputs: tuple[Input, ...]
    checks: tuple[int, int] | None
    matters: tuple[Matter, ...]
    accepted: tuple[str, ...]


def read(
    warehouse: Warehouse,
    shown: Published,
    zone: ZoneInfo,
    optional: frozenset[str],
) -> Attention:
    """All of it for one tenant, the most severe matters first; entities that are ``optional`` are not missed."""
    missing = [(kpi, entity) for kpi, entity in shown.missing_inputs if entity not in optional]
    tenant = shown.tenant_id
    checks = _last_checks(warehouse)
    results = checks.results if checks else []
    matters = [
        *(_broken(row) for row in results if row["rows"]),
        *_ended(shown, zone),
        *_incomplete(shown.kpis, missing),
        *_refused_rows(warehouse, tenant),
    ]
    if checks and checks.stopped:
        matters.insert(0, _refused_build(warehouse, checks.asked_at, zone))
    holding = sum(1 for row in results if not row["rows"])
    return Attention(
        inputs=_inputs(warehouse, tenant, optional),
        checks=(holding, len(results)) if results else None,
        matters=tuple(sorted(matters, key=lambda matter: not matter.severe)),
        accepted=tuple(
            f"{row['check']}, {row['subject']}: {row['reason']}" for row in shown.accepted
        ),
    )


def _inputs(warehouse: Warehouse, tenant: int, optional: frozenset[str]) -> tuple[Input, ...]:
    """The entities that KPIs are made of, those known the least far first."""
    rows = warehouse.query(
        "SELECT needed.entity, known.known_until"
        " FROM (SELECT DISTINCT entity FROM st_kpi.kpi_inputs) AS needed"
        f" LEFT JOIN ({KNOWN_UNTIL}) AS known"
        " ON known.entity = needed.entity AND known.tenant_id = @tenant_id"
        " ORDER BY known.known_until IS NOT NULL, known.known_until, needed.entity",
        {"tenant_id": tenant},
    )
    return tuple(
        Input(row["entity"], row["known_until"], row["entity"] in optional) for row in rows
    )


@dataclass(frozen=True)
class _Checks:
    """What the last build found that asked its checks, published or not; ``asked_at`` in UTC."""

    results: list[dict[str, Any]]
    asked_at: datetime

    @property
    def stopped(self) -> bool:
        return any(row["rows"] and row["severity"] == "fail" for row in self.results)


def _last_checks(warehouse: Warehouse) -> _Checks | None:
    """None where no results are kept."""
    if not warehouse.table_exists("st_ops.check_results"):
        return None
    newest = warehouse.query(
        "SELECT run_id, checked_at FROM st_ops.check_results ORDER BY checked_at DESC LIMIT 1"
    )
    if not newest:
        return None
    return _Checks(results_of(warehouse, newest[0]["run_id"]), newest[0]["checked_at"])


def _refused_build(warehouse: Warehouse, asked_at: datetime, zone: ZoneInfo) -> Matter:
    """Said where a check stopped the last build: what is shown is older."""
    when = asked_at.astimezone(zone)
    kept = build_log.builds(warehouse)
    shown = f" The numbers here are those of build {kept[-1].number}." if kept else ""
    return Matter(
        f"The last build was refused on {when:%Y-%m-%d %H:%M}.",
        f"A check that has to hold does not; nothing of that build was published.{shown}",
        "st-kpi build",
        severe=True,
    )


def _broken(row: Mapping[str, Any]) -> Matter:
    """A check that does not hold; its detail ends with the way on."""
    name, count = row["check"], int(row["rows"])
    return Matter(
        f"Check {name}: {count:,} {'row' if count == 1 else 'rows'}. {_claim(name)}".rstrip(),
        row["detail"],
        severe=row["severity"] == "fail",
    )


def _claim(check: str) -> str:
    """What a check claims, in the words of its file; nothing for one that is gone."""
    root = default_root()
    kpi, _, own_name = check.rpartition("/")
    path = root / "kpis" / kpi / CHECKS_FILE if kpi else root / "checks" / f"{check}.sql"
    if not path.is_file():
        return ""
    try:
        claims = {s.name.rpartition("/")[2]: s.purpose for s in read_file(path, root)}
    except SqlError:
        return ""  # being edited; a build says what is wrong with it
    return claims.get(own_name, "")


def _ended(shown: Published, zone: ZoneInfo) -> list[Matter]:
    """Said where the data end well before the day the numbers are for: what follows is unknown, and no bad week."""
    if shown.input_watermark is None:
        return []
    until = shown.input_watermark.astimezone(zone)
    if until.date() >= shown.as_of - OLDEST_DATA:
        return []
    return [
        Matter(
            f"Nothing new since {until:%Y-%m-%d %H:%M}, and the numbers are as of {shown.as_of}.",
            "Weeks after that are unknown, which is not the same as bad.",
            "st-kpi sync && st-kpi build",
            severe=True,
        )
    ]


def _incomplete(kpis: tuple[Kpi, ...], missing: Sequence[tuple[str, str]]) -> list[Matter]:
    matters = []
    for kpi in kpis:
        absent = [entity for name, entity in missing if name == kpi.name]
        if absent:
            matters.append(
                Matter(
                    f"{kpi.title} is not complete: {', '.join(absent)} were never read.",
                    "Load them, or give the app the right to read them.",
                    "st-kpi backfill && st-kpi build",
                    severe=True,
                )
            )
    return matters


def _refused_rows(warehouse: Warehouse, tenant: int) -> list[Matter]:
    return [
        Matter(
            f"{entity}: {count:,} {'record' if count == 1 else 'records'} refused.",
            "They did not fit and are in no number; st_ops.rejects has each with field and reason.",
            f"st-kpi repair --entity {entity}",
        )
        for entity, count in sorted(Rejects(warehouse, tenant).outstanding_counts().items())
    ]
