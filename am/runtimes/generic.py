"""A plain program: nothing is set but what every task finds. Its peers stand in YARN_SUBMITTER_TOPOLOGY and a file."""

from __future__ import annotations

import typing

from am.contract.job import JobPlan
from am.runtimes.ranks import Topology, present

INTERFACES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")


def environment(
    plan: JobPlan,  # noqa: ARG001
    topology: Topology,  # noqa: ARG001
    role: str,  # noqa: ARG001
    index: int,  # noqa: ARG001
) -> typing.Dict[str, str]:
    """Return no variables at all."""
    return {}


def hosts_text(topology: Topology) -> str:
    """Return a file of all tasks, `host:port role index` a line, in the order of roles and indices."""
    lines = [f"{topology[role][index]} {role} {index}\n" for role in topology for index in present(topology, role)]
    return "".join(lines)
