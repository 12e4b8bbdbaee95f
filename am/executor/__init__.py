"""The executor: a small process in each container that registers, waits, runs the user's command and reports."""
