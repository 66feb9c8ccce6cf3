"""What the log of a run says first."""

from prefect.logging import get_run_logger

from st_kpi.settings import Settings


def log_places(settings: Settings) -> None:
    """Say where the run reads and writes: a worker may have been started elsewhere than one thinks."""
    get_run_logger().info(settings.places)
