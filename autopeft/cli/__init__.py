"""The command line: a file per group of commands, each of which reads arguments, calls one function and prints."""

from autopeft.cli.main import commands, main

__all__ = ["commands", "main"]
