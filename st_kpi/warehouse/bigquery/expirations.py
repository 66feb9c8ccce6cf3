"""What BigQuery would delete by itself: a dataset's defaults give each new table an end, and each old month its own.

A project without billing, BigQuery's sandbox, has such defaults everywhere, and they stay when billing comes; so may an
organization. A table of ours with an end loses rows, or refuses old ones, without a word.
"""

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from google.cloud import bigquery

from st_kpi.errors import ConfigurationError, StKpiError
from st_kpi.warehouse.bigquery.client import Jobs

_log = logging.getLogger(__name__)

#: The label of what we have made.
LABELS = {"app": "st-kpi"}
#: Its tables are to expire.
_STAGING = "st_staging"
#: Requests at the same time, each for another dataset or table.
_AT_ONCE = 8


@dataclass(frozen=True)
class Expiration:
    """The end that the tables of a dataset, or one table, have been given by others; ``ours`` is what we made."""

    name: str
    says: str
    ours: bool
    of_rows: bool


def found(jobs: Jobs, datasets: Iterable[str], tables: Collection[str]) -> list[Expiration]:
    """Every end in these datasets that rows of ``tables``, or of others with our label, would meet; none is changed."""

    def look(name: str) -> list[Expiration]:
        dataset = jobs.client.get_dataset(name, retry=jobs.retry)
        ours = dataset.labels.items() >= LABELS.items()
        ends = [Expiration(name, says, ours, False) for says in _defaults(dataset)]
        if name == _STAGING:
            return ends
        for item in jobs.client.list_tables(name, retry=jobs.retry):
            table = f"{name}.{item.table_id}"
            if table in tables or item.labels.items() >= LABELS.items():
                ends += _of_table(table, item, ours)
        return ends

    with jobs.translate_errors(), ThreadPoolExecutor(_AT_ONCE) as pool:
        return [end for ends in pool.map(look, sorted(datasets)) for end in ends]


def require_ours(jobs: Jobs, ends: Collection[Expiration]) -> None:
    """Raise ``ConfigurationError`` where an end is not ours to take away."""
    if foreign := [end for end in ends if not end.ours]:
        raise ConfigurationError(
            f"BigQuery would delete what is loaded: {listed(foreign)}. The dataset was not made by st-kpi (it lacks the"
            f" label app=st-kpi), so nothing was changed: take that away, {_by_hand(jobs, foreign[0])}, or give the"
            " dataset the label."
        )


def clear(jobs: Jobs, ends: Collection[Expiration]) -> None:
    """Take these ends away where the datasets are ours; raises as ``require_ours``, with nothing changed, where one is not.

    Rows that are gone already are said: the counts of ServiceTitan tell which.
    """
    require_ours(jobs, ends)
    for name in sorted({end.name for end in ends}):
        _clear(jobs, name)
    if lossy := [end for end in ends if end.of_rows]:
        _log.warning(
            "BigQuery deleted rows by itself until now, and no longer does: %s. Run `st-kpi repair`, which fetches"
            " what ServiceTitan has and the warehouse lacks.",
            listed(lossy),
        )


def create_lasting(jobs: Jobs, dataset: bigquery.Dataset) -> None:
    """Create a dataset whose tables stay; raises ``ConfigurationError``, with nothing left, where the project lets none stay."""
    name = dataset.dataset_id
    with jobs.translate_errors():
        made = jobs.client.create_dataset(dataset, exists_ok=True, retry=jobs.retry)
    if not list(_defaults(made)):
        return
    try:
        _clear(jobs, name)
    except StKpiError:
        with suppress(StKpiError), jobs.translate_errors():
            jobs.client.delete_dataset(name, retry=jobs.retry, not_found_ok=True)
        raise


def listed(ends: Iterable[Expiration]) -> str:
    """The ends in words."""
    return "; ".join(f"{end.name}, {end.says}" for end in ends)


def _clear(jobs: Jobs, name: str) -> None:
    """Take the ends of a dataset or a table away; raises ``ConfigurationError`` where they stay."""
    with jobs.translate_errors():
        left = _clear_table(jobs, name) if "." in name else _clear_dataset(jobs, name)
    if left:
        raise ConfigurationError(
            f"BigQuery would delete what is loaded: {name}, {'; '.join(left)}. It was told to take that away and did not:"
            " without a billing account (BigQuery's sandbox) it takes 60 days at most, and an organization may have a rule."
            f" Enable billing for project {jobs.project}, or ask who keeps the rules."
        )


def _clear_dataset(jobs: Jobs, name: str) -> list[str]:
    dataset = jobs.client.get_dataset(name, retry=jobs.retry)
    dataset.default_table_expiration_ms = None
    dataset.default_partition_expiration_ms = None
    fields = ["default_table_expiration_ms", "default_partition_expiration_ms"]
    return list(_defaults(jobs.client.update_dataset(dataset, fields, retry=jobs.retry)))


def _clear_table(jobs: Jobs, name: str) -> list[str]:
    table = jobs.client.get_table(jobs.reference(name), retry=jobs.retry)
    table.expires = None
    fields = ["expires"]
    if table.time_partitioning:
        table.time_partitioning.expiration_ms = None
        fields.append("time_partitioning")
    updated = jobs.client.update_table(table, fields, retry=jobs.retry)
    return [end.says for end in _of_table(name, updated, ours=True)]


def _defaults(dataset: bigquery.Dataset) -> Iterable[str]:
    if milliseconds := dataset.default_table_expiration_ms:
        yield f"whose new tables are deleted {_after(milliseconds)}"
    if milliseconds := dataset.default_partition_expiration_ms:
        yield f"whose new tables lose rows {_after(milliseconds)}"


def _of_table(
    name: str, table: bigquery.Table | bigquery.table.TableListItem, ours: bool
) -> Iterable[Expiration]:
    if table.expires:
        yield Expiration(name, f"which is deleted on {table.expires:%Y-%m-%d}", ours, False)
    if table.time_partitioning and (milliseconds := table.time_partitioning.expiration_ms):
        yield Expiration(name, f"which loses rows {_after(milliseconds)}", ours, True)


def _after(milliseconds: int) -> str:
    return f"after {timedelta(milliseconds=int(milliseconds)) / timedelta(days=1):g} days"


def _by_hand(jobs: Jobs, end: Expiration) -> str:
    place = f"{jobs.project}:{end.name}"
    if "." in end.name:
        return f"`bq update --expiration 0 --time_partitioning_expiration 0 {place}`"
    return f"`bq update --default_table_expiration 0 --default_partition_expiration 0 {place}`"
