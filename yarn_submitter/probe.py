"""Asks a cluster what it has, all questions at once."""

from __future__ import annotations

from yarn_submitter.errors import Problem, UnreachableError
from yarn_submitter.facts import ClusterFacts, kinds
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.rest import ResourceManager
from yarn_submitter.store import HdfsStore

REACH_S = 3.0


def ask(conf: HadoopConf, user: str) -> ClusterFacts:
    """Return queues and nodes, having seen that ResourceManager and NameNode answer and that HDFS takes writes.

    Raises:
        UnreachableError: One or both do not answer, or HDFS is in safe mode; with a problem for each.
            [rm-unreachable, hdfs-unreachable, hdfs-safemode]
        DeniedError: The cluster refuses to answer this user.
        UsageError: The cluster's default file system is not HDFS. [store-scheme]
    """
    from concurrent.futures import ThreadPoolExecutor

    manager, store = ResourceManager(conf, user), HdfsStore(conf, user)
    pool = ThreadPoolExecutor(4)
    try:
        store_problem = pool.submit(_store_problem, store)
        # A daemon that hangs takes connections and answers nothing: one short question first, the long ones then.
        found = [problem for problem in (manager.reachable(REACH_S), store_problem.result()) if problem]
        if found:
            raise UnreachableError(*found)
        info = pool.submit(manager.cluster_info)
        queues = pool.submit(manager.queues)
        nodes = pool.submit(manager.nodes)
        listed = tuple(nodes.result())
        types = kinds([node.total for node in listed])
        return ClusterFacts(tuple(queues.result()), listed, types, info.result().hadoop_version)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _store_problem(store: HdfsStore) -> Problem | None:
    """Return why nothing can be written to HDFS now; None when it can."""
    problem = store.reachable(REACH_S)
    if problem is not None:
        return problem
    reason = store.safe_mode()
    if not reason:
        return None
    step = "wait until it has left it; an administrator sees why with `hdfs dfsadmin -safemode get`"
    return Problem("hdfs-safemode", "HDFS is in safe mode and takes no writes.", reason, step)
