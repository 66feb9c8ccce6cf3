"""What ``kpi_sql`` says: statements in order, cards, and everything that can be wrong with them before they run."""
