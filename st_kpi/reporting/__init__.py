"""The published numbers as people ask for them, each question written once for all KPIs."""
