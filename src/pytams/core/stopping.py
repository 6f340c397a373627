"""Signals by which a machine asks a process to stop."""

import signal

ASKED_TO_STOP = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""By a queue, a terminal that is closed, or a limit of CPU time. Ctrl-C is a user's."""
