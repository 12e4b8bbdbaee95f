"""PyTorch: one environment for a program that calls init_process_group itself and for torchrun.

- MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE are what `env://` reads. LOCAL_RANK is 0, for a task sees its own GPUs
  only. NODE_RANK is for PyTorch Lightning; WORLD and INIT_METHOD are Submarine's and TonY's names.
- torchrun takes the default of each of its options from PET_<OPTION> (torch.distributed.argparse_util) and gives its
  processes RANK and the like anew, so `torchrun train.py` needs no argument. Its static form is for a fixed number of
  workers. With `min:max` workers it is the rendezvous `c10d`, whose store rank 0 holds; is_host says who that is,
  because a host name is no proof of it. A process that loses its peers fails and is started again by its torchrun,
  which PET_MAX_RESTARTS must allow.
"""

from __future__ import annotations

import typing

from am.contract.job import JobPlan
from am.runtimes.ranks import Topology, rank_of

IDENTITY = ("RANK", "WORLD_SIZE", "WORLD", "NODE_RANK", "PET_NODE_RANK")
INTERFACES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
# As often as the elastic examples of torchrun's own documentation; a job that allows more restarts allows more here.
ELASTIC_RESTARTS = 3


def environment(plan: JobPlan, topology: Topology, role: str, index: int) -> typing.Dict[str, str]:
    """Return what PyTorch and torchrun read in the worker `index`; nothing for another role.

    Args:
        plan: The job; its number of workers and their GPUs matter, its id and `max_restarts`.
        topology: host:port of every task, by role and index.
        role: Of the task.
        index: Of the task.
    """
    place = rank_of(topology, role, index)
    if place is None:
        return {}
    rank, size = str(place.rank), str(place.size)
    found = {
        "MASTER_ADDR": place.host,
        "MASTER_PORT": place.port,
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": "0",
        "NODE_RANK": rank,
        "WORLD": size,
        "INIT_METHOD": f"tcp://{place.host}:{place.port}",
    }
    workers = plan.role(role)
    if workers.resources.gpus > 1:
        found["PET_NPROC_PER_NODE"] = str(workers.resources.gpus)
    if workers.needed < workers.instances:
        found["PET_NNODES"] = f"{workers.needed}:{workers.instances}"
        found["PET_RDZV_BACKEND"] = "c10d"
        found["PET_RDZV_ENDPOINT"] = f"{place.host}:{place.port}"
        found["PET_RDZV_ID"] = plan.id
        found["PET_RDZV_CONF"] = f"is_host={int(place.rank == 0)}"
        found["PET_MAX_RESTARTS"] = str(max(ELASTIC_RESTARTS, plan.max_restarts))
    else:
        found["PET_NNODES"] = size
        found["PET_NODE_RANK"] = rank
        found["PET_MASTER_ADDR"] = place.host
        found["PET_MASTER_PORT"] = place.port
    return found
