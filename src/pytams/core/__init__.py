"""The algorithm, pure: no clock but for messages, no process, no file."""
