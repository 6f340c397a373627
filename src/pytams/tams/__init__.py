"""The door: what a user calls."""
