"""What each framework wants to find in its environment: pure functions, one file a framework."""

from __future__ import annotations

import typing

from am.contract.job import JobPlan
from am.runtimes import generic, tensorflow

Topology = typing.Dict[str, typing.Tuple[str, ...]]

# A framework that is not named here gets what a generic job gets.
_ENVIRONMENTS: typing.Dict[str, typing.Callable[[JobPlan, Topology, str, int], typing.Dict[str, str]]] = {
    "tensorflow": tensorflow.environment,
    "generic": generic.environment,
}
_IDENTITIES: typing.Dict[str, typing.Tuple[str, ...]] = {"tensorflow": tensorflow.IDENTITY}
_HOLDING: typing.Dict[str, typing.Tuple[str, ...]] = {"tensorflow": tensorflow.HOLDING}


def environment(plan: JobPlan, topology: Topology, role: str, index: int) -> typing.Dict[str, str]:
    """Return the variables that the job's framework wants in the task `role:index`.

    Args:
        plan: The job.
        topology: host:port of every task, by role and index; placeholders do for a dry run.
        role: Of the task.
        index: Of the task.
    """
    return _ENVIRONMENTS.get(plan.framework, generic.environment)(plan, topology, role, index)


def identity(plan: JobPlan) -> typing.Tuple[str, ...]:
    """Return the names of the framework's variables that say who a task is, which no user's variable replaces."""
    return _IDENTITIES.get(plan.framework, ())


def releases_port(plan: JobPlan, role: str) -> bool:
    """Return whether the held port of a role's task must be let go just before its command starts.

    False where the framework can listen on a port that is still held (bound with SO_REUSEPORT, not listening).
    """
    return role not in _HOLDING.get(plan.framework, ())
