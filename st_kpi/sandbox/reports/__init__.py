"""The reports the office looks at, computed from the company's books and served as the Reporting API does."""
