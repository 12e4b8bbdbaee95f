"""States of jobs and tasks, drawn where they are defined.

A job:

    STAGING -> ACCEPTED -> STARTING -> GATHERING -> RUNNING -> STOPPING -> SUCCEEDED | FAILED | KILLED
                                          ^            |
                                          +- RESTARTING+

STAGING   the client brings files to the store; no application exists yet
ACCEPTED  YARN has the application, the agent has no container yet
STARTING  the agent's container was given, the agent does not answer yet
GATHERING the agent waits for tasks to register
RUNNING   the gang was complete, user commands run
RESTARTING all tasks are stopped and asked for again
STOPPING  the end is decided: tasks are being stopped, results are being carried to the store

A task (the words that Submarine's users know):

    NEW -> READY -> RUNNING -> SUCCEEDED | FAILED | FINISHED | KILLED

NEW       asked for, not registered
READY     its executor has registered; it waits for the gang
FINISHED  stopped by the agent because the job had succeeded without it, or untracked (a parameter server)
KILLED    stopped because the job ended for another reason (also every task that has not ended when the job has)
A terminal state never changes: of a job, and of an attempt of a task. A new attempt begins at NEW.
"""

from __future__ import annotations

STAGING = "STAGING"
ACCEPTED = "ACCEPTED"
STARTING = "STARTING"
GATHERING = "GATHERING"
RUNNING = "RUNNING"
RESTARTING = "RESTARTING"
STOPPING = "STOPPING"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
KILLED = "KILLED"

JOB_STATES = (STAGING, ACCEPTED, STARTING, GATHERING, RUNNING, RESTARTING, STOPPING, SUCCEEDED, FAILED, KILLED)
JOB_ENDED = frozenset((SUCCEEDED, FAILED, KILLED))

NEW = "NEW"
READY = "READY"
FINISHED = "FINISHED"

TASK_STATES = (NEW, READY, RUNNING, SUCCEEDED, FAILED, FINISHED, KILLED)
TASK_ENDED = frozenset((SUCCEEDED, FAILED, FINISHED, KILLED))


def state_at_exit(code: int, problem: str, stopped: bool, needed: bool) -> str:
    """Return the state in which a task's end leaves it; agent and client fold TaskExited with the same rule.

    Args:
        code: Exit code.
        problem: Id of docs/errors.md, or empty.
        stopped: The agent had asked it to stop.
        needed: The job still wanted its good end: it is tracked, and the job had not succeeded without it.
    """
    if stopped and not needed:
        return FINISHED
    if code == 0 and not problem:
        return SUCCEEDED
    return KILLED if stopped else FAILED
