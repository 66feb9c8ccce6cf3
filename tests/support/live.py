"""A real project to test on, where one is given: ``ST_KPI_LIVE_BIGQUERY=bigquery://project?location=US``."""

import os

from google.cloud import bigquery

from st_kpi.warehouse.bigquery.engine import BigQueryWarehouse
from st_kpi.warehouse.bigquery.options import project_and_location
from tests.support.bigquery_emulator import emptied

LIVE = os.environ.get("ST_KPI_LIVE_BIGQUERY", "")
_MARK = ("purpose", "st-kpi-test")


def live_warehouse() -> BigQueryWarehouse:
    """The project, emptied; raises ``AssertionError`` unless its datasets were made for tests."""
    project, location = project_and_location(LIVE)
    client = bigquery.Client(project=project, location=location)
    datasets = [client.get_dataset(item.reference) for item in client.list_datasets()]
    ours = [d for d in datasets if d.dataset_id.startswith("st_")]
    foreign = [d.dataset_id for d in ours if d.labels.get(_MARK[0]) != _MARK[1]]
    assert not foreign, (
        f"{LIVE} holds {', '.join(foreign)}, which these tests would empty: give them a project of their own,"
        f" or label the datasets {_MARK[0]}={_MARK[1]} if they may."
    )
    warehouse = emptied(None, project, location)
    if not ours:
        for item in client.list_datasets():
            dataset = client.get_dataset(item.reference)
            dataset.labels = {**dataset.labels, _MARK[0]: _MARK[1]}
            client.update_dataset(dataset, ["labels"])
    return warehouse
