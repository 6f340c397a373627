"""`python -m pytams`."""

from pytams.cli.main import main

main()
