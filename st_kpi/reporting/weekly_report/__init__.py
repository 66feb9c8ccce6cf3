"""The weekly review as one page: what is read for it, what of that is drawn, and the file that is written."""

from st_kpi.reporting.weekly_report.page import FILE, html, write
from st_kpi.reporting.weekly_report.review import Review, read

__all__ = ["FILE", "Review", "html", "read", "write"]
