"""The command line: a file per group of commands. Each reads its arguments, calls one function and prints."""
