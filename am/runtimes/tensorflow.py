"""TensorFlow: TF_CONFIG, and a port that is held until TensorFlow listens on it.

TF_CONFIG is {"cluster": {type: ["host:port", ...]}, "task": {"type": type, "index": n}}, as
tf.distribute.cluster_resolver.TFConfigClusterResolver reads it.

- A job with a role `chief` or `master` names its tasks after its roles.
- Without one, `tf_worker0` says what worker 0 is called. `chief` and `master` take it out of the workers: it is task 0
  of that type, and the other workers are counted from 0 again, because TensorFlow takes a task's index as its place in
  the list. Apache Submarine 0.6.0 did the same with `master`.
- An evaluator finds the cluster of the others and itself as the task; it stands in nobody's cluster, for a TensorFlow 2
  that finds one there waits for it for ever.
- A role `tensorboard` stands outside; it finds where to listen, TB_HOST and TB_PORT. Other roles get nothing.
- A single worker gets a cluster of one, so that a program reads its TF_CONFIG in the same way at every size.

TF_GRPC_REUSE_PORT makes TensorFlow's server listen with SO_REUSEPORT, so that whoever holds the port for it need not
let it go before.
"""

from __future__ import annotations

import json
import typing

from am.contract.job import JobPlan

IDENTITY = ("TF_CONFIG",)
CLUSTER_ROLES = ("chief", "master", "worker", "ps")
EVALUATOR = "evaluator"
TENSORBOARD = "tensorboard"
HOLDING = (*CLUSTER_ROLES, EVALUATOR)  # they listen with SO_REUSEPORT


def environment(
    plan: JobPlan, topology: typing.Dict[str, typing.Tuple[str, ...]], role: str, index: int
) -> typing.Dict[str, str]:
    """Return TF_CONFIG and TF_GRPC_REUSE_PORT of the task `role:index`; what a TensorBoard or another role gets.

    Args:
        plan: The job; only `tf_worker0` matters.
        topology: host:port of every task, by role and index.
        role: Of the task.
        index: Of the task.
    """
    if role == TENSORBOARD:
        host, _, port = topology[role][index].rpartition(":")
        return {"TB_HOST": host, "TB_PORT": port}
    if role != EVALUATOR and role not in CLUSTER_ROLES:
        return {}
    cluster = {name: list(topology[name]) for name in CLUSTER_ROLES if topology.get(name)}
    task = {"type": role, "index": index}
    first = plan.tf_worker0
    if first != "worker" and "worker" in cluster and "chief" not in cluster and "master" not in cluster:
        workers = cluster.pop("worker")
        cluster = {first: workers[:1], **({"worker": workers[1:]} if workers[1:] else {}), **cluster}
        if role == "worker":
            task = {"type": first, "index": 0} if index == 0 else {"type": "worker", "index": index - 1}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task}), "TF_GRPC_REUSE_PORT": "true"}
