"""The KPI SQL, its cards and its mapping files: read by ``st_kpi.sql``, shipped as package data."""
