"""MXNet's parameter server (ps-lite): the scheduler's address, how many there are of each, and who this task is.

No rank is passed: the scheduler gives them out. The same program runs in every role; in schedulers and servers
`import mxnet` does the whole work and ends when the workers have ended.

What ps-lite makes of addresses, tried with MXNet 1.9.1:

- Servers and workers listen at DMLC_NODE_HOST, and tell it to the others. ZeroMQ binds no names: it must be numeric
  (`NUMERIC`), else the process dies with "bind failed".
- The scheduler would listen at DMLC_PS_ROOT_URI, which others may know by name. DMLC_USE_KUBERNETES makes it listen on
  all addresses.
- PORT is where a server or worker listens, if that is free; without it ps-lite takes any port, which no firewall knows.
- It cannot listen on a port that somebody holds.
"""

from __future__ import annotations

import typing

from am.contract.job import JobPlan
from am.runtimes.ranks import Topology, present

SCHEDULER = "scheduler"
SERVER = "server"
WORKER = "worker"
ROLES = (SCHEDULER, SERVER, WORKER)
IDENTITY = ("DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_SERVER", "DMLC_NUM_WORKER")
NUMERIC = ("DMLC_NODE_HOST",)


def environment(
    plan: JobPlan,  # noqa: ARG001
    topology: Topology,
    role: str,
    index: int,
) -> typing.Dict[str, str]:
    """Return what ps-lite reads in the task `role:index`.

    Nothing for a role that it does not know, and nothing in a job without a scheduler: its worker trains alone.

    Args:
        plan: The job.
        topology: host:port of every task, by role and index.
        role: Of the task.
        index: Of the task.
    """
    if role not in ROLES or not topology.get(SCHEDULER):
        return {}
    root, _, root_port = topology[SCHEDULER][0].rpartition(":")
    host, _, port = topology[role][index].rpartition(":")
    found = {
        "DMLC_ROLE": role,
        "DMLC_PS_ROOT_URI": root,
        "DMLC_PS_ROOT_PORT": root_port,
        "DMLC_NUM_SERVER": str(len(present(topology, SERVER))),
        "DMLC_NUM_WORKER": str(len(present(topology, WORKER))),
        "DMLC_NODE_HOST": host,
    }
    return {**found, **({"DMLC_USE_KUBERNETES": "1"} if role == SCHEDULER else {"PORT": port})}
