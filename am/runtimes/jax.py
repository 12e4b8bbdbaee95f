"""JAX: the coordinator is process 0, at its published address.

Of the three things that jax.distributed.initialize wants, JAX takes the coordinator's address from the environment.
Number and id it knows by itself only under Slurm, Open MPI, Kubernetes and on TPUs; a program must pass them:
`num_processes=int(os.environ["JAX_NUM_PROCESSES"]), process_id=int(os.environ["JAX_PROCESS_ID"])`.
The coordinator listens with SO_REUSEPORT, so that the port may be held until it does (tried with 0.10.2).
"""

from __future__ import annotations

import typing

from am.contract.job import JobPlan
from am.runtimes.ranks import Topology, rank_of

IDENTITY = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
INTERFACES = ("NCCL_SOCKET_IFNAME",)


def environment(
    plan: JobPlan,  # noqa: ARG001
    topology: Topology,
    role: str,
    index: int,
) -> typing.Dict[str, str]:
    """Return the coordinator's address, the number of processes and the id of the worker `index`."""
    place = rank_of(topology, role, index)
    if place is None:
        return {}
    return {
        "JAX_COORDINATOR_ADDRESS": f"{place.host}:{place.port}",
        "JAX_NUM_PROCESSES": str(place.size),
        "JAX_PROCESS_ID": str(place.rank),
    }
