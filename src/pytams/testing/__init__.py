"""Suites that a backend of one's own can be held against, with pytest."""
