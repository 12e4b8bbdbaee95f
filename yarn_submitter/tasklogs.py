"""The logs of a job's tasks as they are now: from the NodeManager while it has them, else from the aggregated file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from yarn_submitter.errors import LimitError, Problem, SubmitterError
from yarn_submitter.job import Job
from yarn_submitter.livelog import files_of
from yarn_submitter.monitor import TaskView
from yarn_submitter.nodemanager import NodeManager
from yarn_submitter.rest import App
from yarn_submitter.tfile import StoreFile, aggregated, read_container_logs

AGENT = "agent"
_AGENT_FILES = ("application.driver.log", "application.master.log")
_MOST_BYTES = 64 << 20
# NodeManagers aggregate within a second of the application's end; this is for slow ones.
_AGGREGATION_S = 15.0
_PAUSE_S = 0.3


@dataclass(frozen=True)
class Source:
    """Where the logs of one attempt of a task are: its container, its NodeManager, the files that are its own."""

    task: str
    container_id: str
    node_http: str
    files: tuple[str, ...] = files_of(1)
    attempt: int = 1
    host: str = ""


def sources(job: Job) -> list[Source]:
    """Return what there is to read: every attempt of every task that had a container, in order, then the agent.

    Of the agent each ApplicationMaster counts as an attempt.
    """
    view, _ = job.view()
    found = [_source_of(one) for task in view.tasks.values() for one in task.attempts if one.container_id]
    return [*found, *_agents(job, view.app)]


def _source_of(one: TaskView) -> Source:
    """Return where the logs of one attempt are."""
    return Source(one.task, one.container_id, one.node_http, files_of(one.attempt), one.attempt, one.host)


def _agents(job: Job, app: App | None) -> list[Source]:
    """Return the ApplicationMasters, beside which the agent ran; YARN is asked for those before the newest."""
    if app is None or not app.am_container:
        return []
    newest = Source(AGENT, app.am_container, app.am_node_http, _AGENT_FILES, max(1, app.am_attempt))
    if newest.attempt == 1:
        return [newest]
    earlier = [
        Source(AGENT, one.container_id, one.node_http, _AGENT_FILES, one.number)
        for one in job.site.resource_manager.app_attempts(job.application_id)
        if one.container_id and one.container_id != app.am_container
    ]
    return [*sorted(earlier, key=lambda source: source.attempt), newest]


def read(job: Job, source: Source) -> Iterator[tuple[str, str]]:
    """Yield (file name, text) of a task's logs.

    Raises:
        LimitError: The logs have left the NodeManager and are not aggregated within a deadline.
    """
    contents = _from_node(job, source)
    if contents is None:
        contents = _stored(job, source)
    for name in source.files:
        if name in contents:
            yield name, contents[name].decode(errors="replace")


def _from_node(job: Job, source: Source) -> dict[str, bytes] | None:
    """Return the logs that lie on the node, None when it has none of the container (any more)."""
    nodes = NodeManager(job.site.user)
    try:
        listed = {file.name for file in nodes.log_files(source.node_http, source.container_id) or ()}
        if not listed:
            return None
        slices = {
            name: nodes.read_log(source.node_http, source.container_id, name, _MOST_BYTES) for name in source.files
        }
    except SubmitterError:
        return None  # the node is gone: the aggregated file is what is left
    if any(piece is None and name in listed for name, piece in slices.items()):
        return None  # the node has just given them up: they are in the aggregated file
    return {name: piece.data for name, piece in slices.items() if piece is not None}


def stored_output(job: Job, one: TaskView) -> dict[str, bytes]:
    """Return what an attempt's command has written, from the aggregated files; nothing of one that never began.

    Raises:
        LimitError: YARN does not come to an end with them within a deadline.
    """
    return _stored(job, _source_of(one)) if one.started_s else {}


def _stored(job: Job, source: Source) -> dict[str, bytes]:
    """Return the logs from the aggregated files, waiting while YARN still writes them.

    Raises:
        LimitError: It does not come to an end within a deadline.
    """
    site, end, pause = job.site, time.monotonic() + _AGGREGATION_S, threading.Event()
    while True:
        files = aggregated(site.conf, site.store, job.plan.user, job.application_id)
        pieces: dict[str, list[bytes]] = {}
        for file in (file for file in files if not file.path.endswith(".tmp")):
            for _, name, piece in read_container_logs(StoreFile(site.store, file), source.container_id):
                pieces.setdefault(name, []).append(piece)
        contents = {name: b"".join(pieces[name]) for name in pieces if name in source.files}
        app = site.resource_manager.get_app(job.application_id)
        settled = app is None or app.log_aggregation in ("DISABLED", "SUCCEEDED", "FAILED", "TIME_OUT")
        if pieces or settled:
            return contents
        if time.monotonic() > end:
            raise LimitError(
                Problem(
                    "logs-not-aggregated",
                    f"The logs of {source.task} are not aggregated yet.",
                    f"YARN says {app.log_aggregation if app else 'nothing'}",
                    "try again in a moment",
                )
            )
        pause.wait(_PAUSE_S)
