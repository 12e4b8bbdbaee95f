"""What each framework wants to find in its environment, and where: pure functions, one file a framework."""

from __future__ import annotations

import typing

from am.contract.job import JobPlan
from am.runtimes import dialing, generic, horovod, jax, mxnet, pytorch, tensorflow
from am.runtimes.ranks import Topology


class Framework(typing.NamedTuple):
    """A framework.

    Attributes:
        environment: Variables of a task.
        identity: Names of those that say who a task is.
        holding: Roles that can listen on a port that is still held.
        interfaces: Variables that name the network interface to use.
        numeric: Variables whose value must be an address in digits, no name.
    """

    environment: typing.Callable[[JobPlan, Topology, str, int], typing.Dict[str, str]]
    identity: typing.Tuple[str, ...] = ()
    holding: typing.Tuple[str, ...] = ()
    interfaces: typing.Tuple[str, ...] = ()
    numeric: typing.Tuple[str, ...] = ()


_HOROVOD = "horovod"
_GENERIC = Framework(generic.environment, interfaces=generic.INTERFACES)
# A framework that is not named here gets what a generic job gets.
_FRAMEWORKS = {
    "tensorflow": Framework(
        tensorflow.environment, tensorflow.IDENTITY, tensorflow.HOLDING, interfaces=("NCCL_SOCKET_IFNAME",)
    ),
    "pytorch": Framework(pytorch.environment, pytorch.IDENTITY, interfaces=pytorch.INTERFACES),
    "mxnet": Framework(mxnet.environment, mxnet.IDENTITY, numeric=mxnet.NUMERIC),
    # Horovod itself does not listen there: the store of rank 0's executor does.
    _HOROVOD: Framework(horovod.environment, horovod.IDENTITY, ("worker",), horovod.INTERFACES),
    "jax": Framework(jax.environment, jax.IDENTITY, ("worker",), jax.INTERFACES),
    "generic": _GENERIC,
}


def environment(plan: JobPlan, topology: Topology, role: str, index: int, secret: str = "") -> typing.Dict[str, str]:
    """Return the variables that the job's framework wants in the task `role:index`.

    Args:
        plan: The job.
        topology: host:port of every task, by role and index; placeholders do for a dry run.
        role: Of the task.
        index: Of the task.
        secret: Of the job, for Horovod's store; the same in all of its tasks.
    """
    if plan.framework == _HOROVOD:
        return horovod.environment(plan, topology, role, index, secret)
    return _of(plan).environment(plan, topology, role, index)


def identity(plan: JobPlan) -> typing.Tuple[str, ...]:
    """Return the names of the framework's variables that say who a task is, which no user's variable replaces."""
    return _of(plan).identity


def releases_port(plan: JobPlan, role: str) -> bool:
    """Return whether the held port of a role's task must be let go just before its command starts.

    False where the framework can listen on a port that is still held (bound with SO_REUSEPORT, not listening), or where
    it does not listen there at all.
    """
    return role not in _of(plan).holding


def network_interface_variables(plan: JobPlan) -> typing.Tuple[str, ...]:
    """Return the variables that name a network interface: that of the published address, unless the user names one."""
    return _of(plan).interfaces


def numeric_variables(plan: JobPlan) -> typing.Tuple[str, ...]:
    """Return the framework's variables that hold this task's own host and must hold an address in digits instead."""
    return _of(plan).numeric


def served_store(
    plan: JobPlan, topology: Topology, role: str, index: int, secret: str
) -> typing.Optional[horovod.Store]:
    """Return the rendezvous store that this task's executor serves while its command runs; None for most.

    Args:
        plan: The job.
        topology: As `environment` gets it.
        role: Of the task.
        index: Of the task.
        secret: As `environment` gets it.
    """
    return horovod.served_store(topology, role, index, secret) if plan.framework == _HOROVOD else None


def hosts_text(topology: Topology) -> str:
    """Return the text of a hosts file: `host:port role index` of each task, a line each."""
    return generic.hosts_text(topology)


def peers(plan: JobPlan, topology: Topology, role: str, index: int) -> typing.Tuple[str, ...]:
    """Return the names of the at most 16 tasks to try before the commands start, never the task itself.

    Args:
        plan: The job.
        topology: Every task by role and index; only an empty text matters, a task that is not there.
        role: Of the task.
        index: Of the task.
    """
    return dialing.peers(plan, topology, role, index)


def _of(plan: JobPlan) -> Framework:
    return _FRAMEWORKS.get(plan.framework, _GENERIC)
