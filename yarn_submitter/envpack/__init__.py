"""Environment archives: made and proven (pack.py), and judged when a user brings one (check.py)."""
