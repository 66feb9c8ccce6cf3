"""`python -m st_kpi`: the command line."""

from st_kpi.cli import main

main()
