"""`python -m pinnace.cli` is the command line."""

from pinnace.cli.main import main

main()
