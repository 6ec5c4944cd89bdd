"""Exit statuses of the command line."""

DONE = 0
FAILED = 1
BAD_USE = 2
CANCELLED = 130
