"""The command line ``st-kpi``."""

from st_kpi.cli.commands import app, main

__all__ = ["app", "main"]
