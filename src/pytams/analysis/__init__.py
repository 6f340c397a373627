"""Numbers and pictures from finished runs."""
