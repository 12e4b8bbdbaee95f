"""Asks a cluster what it has and what it lets a user do: all questions at once."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from yarn_submitter.errors import DeniedError, Problem, SubmitterError, UnreachableError
from yarn_submitter.facts import ClusterFacts, Launcher, Node, Place, kinds
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.nodemanager import NodeManager
from yarn_submitter.readers import member, text
from yarn_submitter.rest import LIVE, ResourceManager
from yarn_submitter.store import HdfsStore
from yarn_submitter.web import start
from yarn_submitter.webhdfs import WebHdfs

REACH_S = 3.0
_LANES = 8  # so many paths are looked at at the same time; a job may bring hundreds
_EXECUTOR = "yarn.nodemanager.container-executor.class"
_RUNTIMES = "yarn.nodemanager.runtime.linux.allowed-runtimes"

T = TypeVar("T")


@dataclass(frozen=True)
class Questions:
    """What of a cluster depends on the job.

    Attributes:
        name: Its name; empty: whose jobs live is not asked.
        reads: Absolute paths on the store that must be readable.
        writes: Absolute paths on the store that must be writable, or can be made.
        docker_labels: Node labels of the roles that want Docker, the empty one among them if need be.
    """

    name: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    docker_labels: tuple[str, ...] = ()


_NOTHING_MORE = Questions()


def ask(conf: HadoopConf, user: str, questions: Questions = _NOTHING_MORE) -> ClusterFacts:
    """Return what a cluster answers, having seen that ResourceManager and NameNode do and that HDFS takes writes.

    Raises:
        UnreachableError: One or both do not answer, or HDFS is in safe mode; with a problem for each.
            [rm-unreachable, hdfs-unreachable, hdfs-safemode]
        DeniedError: The cluster refuses to answer this user.
        UsageError: The cluster's default file system is not HDFS. [store-scheme]
    """
    manager, store = ResourceManager(conf, user), HdfsStore(conf, user)
    hdfs = WebHdfs(conf.webhdfs, user, start=conf.start)
    # A daemon that hangs takes connections and answers nothing: these two end all waiting within REACH_S.
    reachable = [start(lambda: manager.reachable(REACH_S)), start(lambda: _store_problem(store))]
    queues, labels = start(manager.queues), start(manager.labels)
    nodes = start(lambda: _nodes_and_launchers(manager, NodeManager(user), questions.docker_labels))
    mine = start(lambda: _live_jobs(manager, user, questions.name))
    reads = _look(partial(_readable, hdfs), questions.reads)
    writes = _look(partial(_writable, hdfs), questions.writes)
    found = [problem for problem in (answer.result() for answer in reachable) if problem]
    if found:
        raise UnreachableError(*found)
    listed, launchers = nodes.result()
    all_queues = queues.result()
    largest = [queue.max_allocation for queue in all_queues if queue.max_allocation]
    return ClusterFacts(
        queues=tuple(all_queues),
        nodes=listed,
        resource_types=kinds([*(node.total for node in listed), *largest]),
        labels=_tuple(labels.result()),
        readable=_by_path(reads),
        writable=_by_path(writes),
        launchers=launchers,
        namesakes=mine.result(),
    )


def _tuple(values: list[T] | None) -> tuple[T, ...] | None:
    return None if values is None else tuple(values)


def _nodes_and_launchers(
    manager: ResourceManager, node_manager: NodeManager, labels: tuple[str, ...]
) -> tuple[tuple[Node, ...], tuple[Launcher, ...]]:
    """Return every node, and how one live node of each label, or any when it has none, starts containers."""
    nodes = tuple(manager.nodes())
    facts = ClusterFacts((), nodes)
    asked = {node.id: node for label in labels for node in (facts.own_nodes(label) or facts.usable_nodes)[:1]}
    answers = [start(partial(_launcher, node_manager, node)) for node in asked.values()]
    return nodes, tuple(answer.result() for answer in answers)


def _launcher(node_manager: NodeManager, node: Node) -> Launcher:
    try:
        runtimes = start(lambda: node_manager.setting(node.http, _RUNTIMES))
        executor = node_manager.setting(node.http, _EXECUTOR)
        words = tuple(word.strip() for word in (runtimes.result() or "").split(",") if word.strip())
    except SubmitterError as error:
        return Launcher(node.id, silence=error.problems[0].sentence)
    return Launcher(node.id, executor or "", words, "" if executor else "it does not show its settings")


def _live_jobs(manager: ResourceManager, user: str, name: str) -> tuple[str, ...]:
    if not name:
        return ()
    apps = manager.list_apps(user=user, states=LIVE, tags=("yarn-submitter",), name=name)
    return tuple(app.id for app in apps if app.name == name and not app.ended)


def _look(look: Callable[[str], Place], paths: Sequence[str]) -> list[Future[list[Place]]]:
    """Look at every path once, a few at the same time."""
    todo = list(dict.fromkeys(paths))
    lanes = [todo[lane::_LANES] for lane in range(min(_LANES, len(todo)))]
    return [start(partial(_each, look, lane)) for lane in lanes]


def _each(look: Callable[[str], Place], paths: Sequence[str]) -> list[Place]:
    return [look(path) for path in paths]


def _by_path(lanes: Sequence[Future[list[Place]]]) -> dict[str, Place]:
    return {place.path: place for lane in lanes for place in lane.result()}


def _readable(hdfs: WebHdfs, path: str) -> Place:
    denied, answer = _said(hdfs, path, "CHECKACCESS", {"fsaction": "r--"})
    return Place(path, exists=bool(denied) or answer is not None, nearest=path, denied=denied)


def _writable(hdfs: WebHdfs, path: str) -> Place:
    """Look for the path, or for the nearest directory above it, and whether this user may write there."""
    nearest, kind = path, ""
    while True:
        denied, answer = _said(hdfs, nearest, "GETFILESTATUS")
        kind = text(member(answer, "FileStatus"), "type")
        if denied or answer is not None or nearest == "/":
            break
        nearest = posixpath.dirname(nearest)
    if not denied:
        denied, _ = _said(hdfs, nearest, "CHECKACCESS", {"fsaction": "-wx" if kind == "DIRECTORY" else "-w-"})
    return Place(path, nearest == path, kind == "DIRECTORY", nearest, denied)


def _said(hdfs: WebHdfs, path: str, op: str, params: dict[str, str] | None = None) -> tuple[str, Any]:
    """Return HDFS's words if it refuses, and its answer, None when there is no such path."""
    try:
        return "", hdfs.call("GET", path, op, params, missing_ok=True)
    except DeniedError as error:
        if error.problems[0].id != "store-denied":
            raise
        return error.problems[0].evidence or error.problems[0].sentence, None


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
