"""``st-kpi doctor``: all checks together. Prefect is imported beside the questions to ServiceTitan, for it takes a second."""

import asyncio
from importlib import import_module
from typing import Any

from st_kpi.cli import render
from st_kpi.cli.progress import log_on_stderr, waiting
from st_kpi.local.api_answers import require_api, shown
from st_kpi.local.private_server import configured_api
from st_kpi.reporting.doctor import Check, Finding, NotNeeded, Patient, Verdict, examine

_OF_PREFECT = ("worker", "limits", "automations", "deployments")


def run_doctor(*, as_json: bool) -> bool:
    """Ask everything and print a line as soon as it is known, or all as JSON; returns whether nothing fails."""
    with log_on_stderr(), waiting("Doctor"):
        findings = asyncio.run(_findings(tell=not as_json))
    if as_json:
        print(render.findings_json(findings))
    return all(finding.verdict is not Verdict.FAILS for finding in findings)


def all_checks(patient: Patient) -> list[Check]:
    """In the order in which they would fail."""
    return [
        *patient.checks(),
        Check("Prefect API", _api),
        *(_of_prefect(name, patient) for name in _OF_PREFECT),
        patient.freshness(),
    ]


async def _findings(*, tell: bool) -> list[Finding]:
    patient = Patient()
    findings = []
    try:
        async for finding in examine(all_checks(patient)):
            findings.append(finding)
            if tell:
                print(render.finding_line(finding), flush=True)
    finally:
        await patient.close()
    return findings


async def _api() -> str:
    url = await asyncio.to_thread(configured_api)
    if url is None:
        raise NotNeeded(
            "None is set: each command starts a private one. Schedules need one that lasts:"
            " set PREFECT_API_URL, or start one with scripts/up."
        )
    await asyncio.to_thread(require_api, url)
    return f"{shown(url)} answers."


def _of_prefect(name: str, patient: Patient) -> Check:
    async def ask() -> str:
        doctor: Any = await asyncio.to_thread(import_module, "tasks.doctor")
        found: str = await doctor.CHECKS[name](patient.settings)
        return found

    return Check(name, ask, ("Prefect API", "settings"))
