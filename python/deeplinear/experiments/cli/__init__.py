"""The command line of the package."""

#: What the shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130
#: What the commands of stores exit with, beside 0, 1 for an error and 2 for an argument: the store
#: can be gone on with; some of its blocks failed; it cannot be used; nobody works on it.
RESUMABLE, FAILED_BLOCKS, NO_STORE, NO_WORKERS = 3, 4, 5, 6
