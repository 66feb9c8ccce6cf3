"""What the log of a run says first: where it reads and writes, and what it is going to do."""

import logging

from prefect.logging import get_run_logger

from st_kpi.settings import Settings

_log = logging.getLogger("st_kpi.run")


def log_places(settings: Settings) -> None:
    """Say where the run reads and writes: a worker may have been started elsewhere than one thinks."""
    get_run_logger().info(settings.places)


def log_outlook(sentence: str) -> None:
    """Say how much there is to do: in the run's log, and to who waits for it on a command line."""
    get_run_logger().info(sentence)
    _log.info(sentence)
