"""The Prefect flows, one a file; each is a story that fits on a page."""
