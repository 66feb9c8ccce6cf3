"""Processes of this machine: a private Prefect server, Postgres, and everything that ``scripts/up`` brings up."""
