"""From the parameters of a request to what is asked: unknown, missing and wrong ones are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from st_kpi.sandbox.query import BadRequest
from st_kpi.sandbox.reports.catalogue import DATE_SET, DATE_TYPES
from st_kpi.sandbox.reports.table import Asked, Parameter, Report

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(T[\d:.]+)?(Z|[+-]\d\d:\d\d)?")


def parameters_of(body: Any) -> dict[str, Any]:
    """Name and value of each parameter in a request's body; whatever else it holds is ignored."""
    listed = body.get("parameters") if isinstance(body, dict) else None
    if not isinstance(listed, list) or not all(
        isinstance(pair, dict) and isinstance(pair.get("name"), str) for pair in listed
    ):
        raise BadRequest("parameters", "The list of parameters is not valid.")
    return {pair["name"]: pair.get("value") for pair in listed}


def asked(report: Report, given: Mapping[str, Any]) -> Asked:
    """What a request asks a report for; raises BadRequest."""
    known = {parameter.name: parameter for parameter in report.parameters}
    for name in given:
        if name not in known:
            raise BadRequest(name, f"Report has no parameter '{name}'.")
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        value = given.get(name)
        if value is not None:
            values[name] = _value(parameter, value)
        elif parameter.required:
            raise BadRequest(name, f"Parameter '{name}' is required.")
    last = values.get("AsOf") or values["To"]
    units = values.get("BusinessUnitId")
    return Asked(
        first=values.get("From", last),
        last=last,
        date_type=values.get("DateType", ""),
        units=frozenset(units) if units else None,
        adjustments=values.get("IncludeAdjustmentInvoices", False),
    )


def _value(parameter: Parameter, value: Any) -> Any:
    read = _READ[parameter.data_type]
    try:
        if parameter.array:
            return [read(each) for each in value] if isinstance(value, list) else [read(value)]
        if parameter.dynamic_set == DATE_SET:
            return DATE_TYPES[read(value)]
        return read(value)
    except (ValueError, KeyError) as error:
        raise BadRequest(
            parameter.name, f"The value '{value}' of parameter '{parameter.name}' is not valid."
        ) from error


def _day(value: Any) -> date:
    match = _DAY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    return date.fromisoformat(match[1])


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


_READ: dict[str, Callable[[Any], Any]] = {"Date": _day, "Number": _number, "Boolean": _boolean}
