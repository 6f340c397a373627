"""Run directories: studies on disk, going on with them, and reading them."""
