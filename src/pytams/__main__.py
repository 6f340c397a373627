"""`python -m pytams`."""

from pytams.cli import main

main()
