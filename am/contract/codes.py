"""Exit codes that are ours: of the client, of executors, and of tasks whose program left none. As in sysexits.h."""

from __future__ import annotations

USAGE = 64  # a wrong command line or specification, a refusal
UNREACHABLE = 69  # the cluster does not answer
BUG = 70  # ours
STAGING = 73  # files could not be brought to or from the store
OUTPUT = 74  # what was to be printed could not be written
LIMIT = 75  # a limit or a deadline
LOST = 76  # the cluster lost it: agent, node, a container without a code
DENIED = 77  # a right is missing
KILLED = 137  # as SIGKILL leaves it
TERMINATED = 143  # as SIGTERM leaves it
