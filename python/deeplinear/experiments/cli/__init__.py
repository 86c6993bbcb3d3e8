"""The command line of the package."""

#: What the shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130
