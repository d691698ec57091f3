"""The command line, as `python -m autopeft`."""

from autopeft.cli.main import main

main()
