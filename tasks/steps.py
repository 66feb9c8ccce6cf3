"""Steps that ``prefect.yaml`` names: what a deployment needs to know when it is made, and when it runs."""

import os
from pathlib import Path

import psutil

from st_kpi.errors import ConfigurationError
from st_kpi.settings import load_settings


def tenant_zone() -> dict[str, str]:
    """The tenant's time zone, from the settings of whoever deploys; without one that ends with a sentence."""
    try:
        return {"name": load_settings().zone.key}
    except ConfigurationError as error:  # which Prefect would hide in a page of its own
        raise SystemExit(str(error)) from None


def installed_code() -> dict[str, str]:
    """Run what is installed beside the worker, wherever that is: a checkout, or an image.

    The settings stay those of the folder where the worker was started, unless ``ST_KPI_FOLDER`` names another one.
    """
    os.environ.setdefault("ST_KPI_FOLDER", _where_it_was_started())
    folder = str(Path(__file__).parent.parent)
    os.chdir(folder)
    return {"directory": folder}


def _where_it_was_started() -> str:
    """The folder of the worker, which gives a run one of its own; of a run without a worker, as in a container, its own."""
    try:
        parent = psutil.Process().parent()
        return parent.cwd() if parent else os.getcwd()
    except psutil.Error:
        return os.getcwd()
