"""Why numbers changed, and what was reported before they did."""
