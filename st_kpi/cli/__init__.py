"""The command line ``st-kpi``."""

from st_kpi.cli.commands import app
from st_kpi.cli.lifecycle import run

__all__ = ["app", "main"]


def main() -> None:
    """Run the command of ``sys.argv`` and end the process."""
    run(app)
