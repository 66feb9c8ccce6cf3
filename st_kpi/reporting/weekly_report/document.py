"""The review as plain data for the page's script: numbers as exact text, names in lists, rows by column.

What the script reads is said here alone: a number is text with every digit, or None for no value.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from st_kpi.kpis.definitions.cards import Card
from st_kpi.reporting.published import ALL, UNASSIGNED, Kpi, exact_text
from st_kpi.reporting.weekly_report.behind import Row
from st_kpi.reporting.weekly_report.moved import Caused
from st_kpi.reporting.weekly_report.review import Review

#: Where a job is looked at in ServiceTitan; its id follows.
_JOB_SCREENS = {
    "production": "https://go.servicetitan.com/#/Job/Index/",
    "integration": "https://integration.servicetitan.com/#/Job/Index/",
}

Plain = dict[str, Any]

_MOVES_LISTED = 100


def overview(review: Review) -> Plain:
    """All that the page shows before anything is opened."""
    shown = review.numbers.published
    weeks = shown.weeks
    return {
        "tenant": shown.tenant_id,
        "asOf": review.today.isoformat(),
        "builtFor": shown.as_of.isoformat(),
        "zone": review.zone.key,
        "knownUntil": _minute(review.known_until),
        "jobScreen": _JOB_SCREENS[review.environment],
        "all": ALL,
        "unassigned": UNASSIGNED,
        "kpis": [_kpi(kpi, review.cards.get(kpi.name)) for kpi in shown.kpis],
        "rollups": review.numbers.rollups,
        "weeks": [week.isoformat() for week in weeks],
        "over": [week in review.numbers.over for week in weeks],
        "opened": review.numbers.opened,
        "chosen": weeks.index(review.numbers.chosen),
        "cells": {kpi.name: _cells(review, kpi) for kpi in shown.kpis},
        "measured": _measured(review),
        "reported": _reported(review),
        "moved": _moved(review),
        "inputs": [
            [
                each.entity,
                _minute(each.known_until and each.known_until.astimezone(review.zone)),
                each.optional,
            ]
            for each in review.attention.inputs
        ],
        "checks": review.attention.checks,
        "matters": [
            {"what": m.what, "detail": m.detail, "command": m.command, "severe": m.severe}
            for m in review.attention.matters
        ],
        "accepted": review.attention.accepted,
        "reconciled": [
            {
                "kpi": each.kpi,
                "week": each.week_start.isoformat(),
                "rollup": each.rollup,
                "report": each.report,
                "at": _minute(each.compared_at.astimezone(review.zone)),
                "there": exact_text(each.there),
                "here": exact_text(each.here),
                "differing": each.differing,
            }
            for each in reversed(shown.reconciled)
            if each.week_start in review.numbers.weeks_opened
        ],
    }


def opened_weeks(review: Review) -> dict[str, Plain]:
    """What is behind the numbers of each week that can be opened, by the week's Monday."""
    names = set(review.numbers.rollups)
    everything = ALL in names
    opened: dict[str, Plain] = {}
    for week, rows in review.rows.items():
        kept = rows if everything else [row for row in rows if row["rollup_name"] in names]
        opened[week.isoformat()] = {
            "rows": _by_column(kept, week),
            "changes": _amounts(review.moved.since_reported, week, names, "cause"),
            "leftOut": _amounts(review.left_out, week, names, "rule"),
        }
    return opened


def _kpi(kpi: Kpi, card: Card | None) -> Plain:
    plain: Plain = {
        "name": kpi.name,
        "title": kpi.title,
        "kind": kpi.kind,
        "unit": kpi.unit,
        "version": kpi.version,
        "better": card.better if card else "more",
        "card": None,
    }
    if card is None:
        return plain  # its folder is gone since the build
    said = {
        "Meaning": card.meaning,
        "Dated by": card.dated_by,
        "Statuses": card.statuses,
        "Left out": card.exclusions,
        "Owner": card.owner,
    }
    return plain | {
        "card": {
            "said": list(said.items()),
            "alternatives": [[each.title, each.meaning] for each in card.alternatives],
            "history": [[c.version, c.date.isoformat(), c.what, c.why] for c in card.history],
        }
    }


def _cells(review: Review, kpi: Kpi) -> list[list[Sequence[str | None] | None]]:
    """By rollup and week numerator and, of a ratio, denominator; None where nothing is known."""
    shown = review.numbers.published
    lines = []
    for rollup in review.numbers.rollups:
        line: list[Sequence[str | None] | None] = []
        for week in shown.weeks:
            cell = shown.cells.get((kpi.name, week, rollup))
            if cell is not None and cell.denominator is not None:
                line.append((exact_text(cell.numerator), exact_text(cell.denominator)))
            elif cell is not None:
                line.append((exact_text(cell.numerator),))
            else:  # what belongs to no rollup is only there where there is some
                value = None if rollup == UNASSIGNED else shown.value(kpi, week, rollup)
                line.append(None if value is None else (exact_text(value),))
        lines.append(line)
    return lines


def _measured(review: Review) -> dict[str, dict[str, str]]:
    days: dict[str, dict[str, str]] = {}
    for (kpi, week), day in review.numbers.measured.items():
        if week in review.numbers.published.weeks:
            days.setdefault(kpi, {})[week.isoformat()] = day.isoformat()
    return days


def _reported(review: Review) -> dict[str, dict[int, dict[int, Sequence[str | None]]]]:
    """Numerator and denominator as reported, where they are others now: by KPI and the places of rollup and week."""
    weeks = {week: place for place, week in enumerate(review.numbers.published.weeks)}
    rollups = {rollup: place for place, rollup in enumerate(review.numbers.rollups)}
    reported: dict[str, dict[int, dict[int, Sequence[str | None]]]] = {}
    for (kpi, week, rollup), cell in sorted(review.numbers.reported.items()):
        if rollup in rollups and week in weeks:
            of_rollup = reported.setdefault(kpi, {}).setdefault(rollups[rollup], {})
            of_rollup[weeks[week]] = (exact_text(cell.numerator), exact_text(cell.denominator))
    return reported


def _moved(review: Review) -> Plain:
    """By week and cause what moved in which KPIs; listed are the newest, for a changed definition moves all weeks."""
    lines: dict[tuple[str, str], list[tuple[str, str, str | None]]] = {}
    for row in review.moved.this_week:
        moves = lines.setdefault((row["week_start"].isoformat(), row["cause"]), [])
        moves.append((row["kpi"], row["part"], exact_text(row["amount"])))
    listed = [[week, cause, moves] for (week, cause), moves in lines.items()]
    return {
        "since": review.moved.since.isoformat(),
        "weeks": len({week for week, _ in lines}),
        "changes": listed[:_MOVES_LISTED],
        "more": len(listed[_MOVES_LISTED:]),
    }


def _amounts(rows: Iterable[Caused], week: date, names: set[str], why: str) -> list[list[Any]]:
    """KPI, rollup, part, ``why``, amount and number of rows of one week."""
    return [
        [
            row["kpi"],
            row["rollup_name"],
            row["part"],
            row[why],
            exact_text(row["amount"]),
            int(row["source_rows"]),
        ]
        for row in rows
        if row["week_start"] == week and (ALL in names or row["rollup_name"] in names)
    ]


#: What is written once and named by its place: many rows have the same.
_NAMED = ("kpi", "rollup_name", "business_unit", "part", "reason", "source_entity")


def _by_column(rows: Sequence[Row], week: date) -> Plain:
    """Rows as columns, which compress to a third of what records do; jobs and records by their place among the ids of the week."""
    named: Plain = {}
    for column in _NAMED:
        places: dict[str, int] = {}
        indexes = [places.setdefault(row[column] or "", len(places)) for row in rows]
        named[column] = [list(places), indexes]
    days = {week + timedelta(days=n): n for n in range(7)}
    numbers = {row["job_id"]: row["job_number"] for row in rows}
    jobs, job_places = _ids([row["job_id"] for row in rows])
    ids, id_places = _ids([row["source_id"] for row in rows])
    return named | {
        "day": [days[row["on_date"]] for row in rows],
        "job": [_steps(jobs), job_places],
        "number": [None if numbers[job] == str(job) else numbers[job] for job in jobs],
        "id": [_steps(ids), id_places],
        "amount": [exact_text(row["amount"]) for row in rows],
    }


def _ids(column: Sequence[int | None]) -> tuple[list[int], list[int]]:
    """The ids there are, in order, and for each row the place of its own; -1 for none."""
    ids = sorted({each for each in column if each is not None})
    places: dict[int | None, int] = {each: place for place, each in enumerate(ids)}
    return ids, [places.get(each, -1) for each in column]


def _steps(ids: Sequence[int]) -> list[int]:
    """Each as its distance from the one before: ids of a week lie close together."""
    return [each - before for before, each in pairwise((0, *ids))]


def _minute(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M}" if time else None
