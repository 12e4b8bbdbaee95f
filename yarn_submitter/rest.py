"""The ResourceManager over its REST interface, version 1 (`/ws/v1/cluster`), without a JVM.

Answers become frozen values; the shapes of Hadoop 3.4 and 3.5 are read alike (readers.py). Every request carries
`user.name`, so that applications and kills belong to the user and not to YARN's `dr.who`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from yarn_submitter.errors import DeniedError, InternalError, Problem, UnreachableError, UsageError
from yarn_submitter.facts import Amount, Label, Node, Pending, Queue, total, typed_queue
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.readers import (
    activities,
    amount,
    attempt_end,
    expiry_s_of,
    integer,
    items,
    labels,
    member,
    node,
    number,
    pending,
    queues,
    text,
    words,
)
from yarn_submitter.web import Answer, Doors, Service, Web

ENDED = frozenset(("FINISHED", "FAILED", "KILLED"))
LIVE = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING")
_RM = "/ws/v1/cluster"
_NOTHING = Amount()


@dataclass(frozen=True)
class App:
    """An application as the ResourceManager reports it; times in seconds since the epoch, 0 when not yet.

    Attributes:
        id: `application_..._0001`.
        name: As submitted.
        user: Its owner.
        queue: Its queue as users type it.
        state: NEW, SUBMITTED, ACCEPTED, RUNNING, FINISHED, FAILED or KILLED.
        final_status: UNDEFINED, SUCCEEDED, FAILED or KILLED.
        diagnostics: YARN's words.
        tags: As submitted (YARN makes them lower case).
        type: Application type, `skein` and others.
        priority: Within its queue.
        progress: 0 to 100.
        started_s: Submission.
        launched_s: Start of its first ApplicationMaster.
        finished_s: End.
        tracking_url: Empty until the ApplicationMaster has registered.
        am_node_http: `host:port` of the web server of its ApplicationMaster's NodeManager; empty before it has one.
        am_container: Id of the newest ApplicationMaster's container; empty before it has one.
        allocated: What it holds now.
        containers: How many it holds now.
        log_aggregation: DISABLED, NOT_START, RUNNING, RUNNING_WITH_FAILURE, SUCCEEDED, FAILED or TIME_OUT.
        pending: What it waits for; empty in lists, which do not tell it.
        reserved: What nodes keep free for it although it has not got it; counted as used in its queue.
        expires_s: When YARN kills it if it has not ended; 0 when it has all the time.
    """

    id: str
    name: str
    user: str
    queue: str
    state: str
    final_status: str
    diagnostics: str
    tags: tuple[str, ...]
    type: str
    priority: int
    progress: float
    started_s: float
    launched_s: float
    finished_s: float
    tracking_url: str
    am_node_http: str
    am_container: str
    allocated: Amount
    containers: int
    log_aggregation: str
    pending: tuple[Pending, ...] = ()
    reserved: Amount = _NOTHING
    expires_s: float = 0.0

    @property
    def ended(self) -> bool:
        """Return whether it has ended."""
        return self.state in ENDED

    @property
    def am_attempt(self) -> int:
        """Return which of its ApplicationMasters the newest is, from 1; 0 before it has one."""
        number = self.am_container.split("_")[-2:-1]
        return int(number[0]) if number and number[0].isdigit() else 0

    @property
    def begun_again(self) -> bool:
        """Return whether it lives with another ApplicationMaster than its first, or waits for one."""
        between = self.state == "ACCEPTED" and self.launched_s > 0 and not self.am_container
        return not self.ended and (between or self.am_attempt > 1)

    @property
    def launched(self) -> bool:
        """Return whether it lives and an ApplicationMaster of it has run."""
        return self.begun_again or self.state == "RUNNING"


@dataclass(frozen=True)
class AppAttempt:
    """One try of an application's ApplicationMaster, `number` from 1."""

    number: int
    container_id: str
    node_http: str


@dataclass(frozen=True)
class ClusterInfo:
    """What the ResourceManager says of itself; `ha_state` is ACTIVE or STANDBY."""

    state: str
    ha_state: str
    hadoop_version: str
    started_s: float


class ResourceManager:
    """The active ResourceManager of a cluster.

    Every method raises UnreachableError [rm-unreachable] when none answers, DeniedError when the cluster refuses,
    UsageError [rm-refused] when it does not accept the request.
    """

    def __init__(self, conf: HadoopConf, user: str) -> None:
        """Make it; nothing is sent. `user` is whom requests are made as."""
        service = Service("ResourceManager", "rm-unreachable", f"{_RM}/info", conf.start)
        self._user = user
        self._doors = Doors(service, conf.rm_http, Web(user), _standby)

    def reachable(self, deadline_s: float) -> Problem | None:
        """Return None when an active ResourceManager answers within `deadline_s`, else the problem."""
        return self._doors.reachable(deadline_s)

    def get_app(self, app_id: str) -> App | None:
        """Return an application; None when the ResourceManager does not know it (any more)."""
        answer = self._send("GET", f"/apps/{quote(app_id)}", missing_ok=True)
        return None if answer is None else _app(member(answer, "app"))

    def list_apps(
        self,
        *,
        user: str = "",
        states: Iterable[str] = (),
        tags: Iterable[str] = (),
        types: Iterable[str] = (),
        queue: str = "",
        name: str = "",
        started_after_s: float = 0.0,
        limit: int = 0,
    ) -> list[App]:
        """Return applications, newest first.

        Args:
            user: Only this owner's.
            states: Only in one of these states.
            tags: Only with at least one of these tags.
            types: Only of one of these application types.
            queue: Only in this queue.
            name: Only of this name.
            started_after_s: Only submitted since then, seconds since the epoch.
            limit: At most so many; 0 for all that the ResourceManager remembers.
        """
        asked = {
            "user": user,
            "states": ",".join(states),
            "applicationTags": ",".join(tag.lower() for tag in tags),
            "applicationTypes": ",".join(types),
            "queue": queue,
            "name": name,
            "startedTimeBegin": str(int(started_after_s * 1000)) if started_after_s else "",
            "limit": str(limit) if limit else "",
            "deSelects": "resourceRequests",
        }
        answer = self._send("GET", "/apps", {key: value for key, value in asked.items() if value})
        found = [_app(data) for data in items(answer, "apps", "app")]
        return sorted(found, key=lambda app: _age(app.id), reverse=True)

    def kill(self, app_id: str, why: str) -> bool:
        """Ask for an application's end; `why` becomes its diagnostics.

        Returns:
            True when it has ended already, False when its end is on the way.

        Raises:
            DeniedError: The user may not end it. [rm-denied]
            UsageError: No such application. [app-unknown]
        """
        body = {"state": "KILLED", "diagnostics": why}
        answer = self._send("PUT", f"/apps/{quote(app_id)}/state", body=body, what=f"the end of {app_id}")
        return text(answer, "state") in ENDED

    def app_attempts(self, app_id: str) -> list[AppAttempt]:
        """Return the tries of an application's ApplicationMaster, oldest first; none for an unknown application."""
        answer = self._send("GET", f"/apps/{quote(app_id)}/appattempts", missing_ok=True)
        return [_attempt(data) for data in items(answer, "appAttempts", "appAttempt")]

    def attempt_end(self, app_id: str, attempt: int) -> tuple[float, str]:
        """Return when an ApplicationMaster ended (seconds since the epoch; 0: not known), and YARN's words about it."""
        name = f"appattempt{app_id.removeprefix('application')}_{attempt:06d}"
        path = f"{_RM}/apps/{quote(app_id)}/appattempts/{quote(name)}"
        answer = self._doors.send("GET", path, None, headers={"Accept": "application/xml"})  # 3.5.0 fails at JSON
        return attempt_end(answer.body.decode(errors="replace")) if answer.status == 200 else (0.0, "")

    def queues(self) -> list[Queue]:
        """Return every queue, parents before their children."""
        return queues(self._send("GET", "/scheduler"))

    def nodes(self) -> list[Node]:
        """Return every NodeManager that is listed, lost ones included."""
        return [node(data) for data in items(self._send("GET", "/nodes"), "nodes", "node")]

    def labels(self) -> list[Label] | None:
        """Return every node label; None when the ResourceManager does not tell (before Hadoop 2.8)."""
        answer = self._send("GET", "/get-node-labels", missing_ok=True)
        return None if answer is None else labels(answer)

    def activities(self, app_id: str) -> tuple[str, ...]:
        """Return why the scheduler gave an application nothing, in its words, and have it look again for some seconds.

        What it tells was recorded after an earlier call: none at the first, none before Hadoop 3.3, none when another
        scheduler is used.
        """
        path = f"/scheduler/app-activities/{quote(app_id)}"
        asked = {"groupBy": "diagnostic", "summarize": "true", "limit": "1"}
        return activities(self._send("GET", path, asked, missing_ok=True))

    def cluster_info(self) -> ClusterInfo:
        """Return version and state of the active ResourceManager."""
        data = member(self._send("GET", "/info"), "clusterInfo")
        return ClusterInfo(
            state=text(data, "state"),
            ha_state=text(data, "haState"),
            hadoop_version=text(data, "hadoopVersion"),
            started_s=number(data, "startedOn") / 1000,
        )

    def move(self, app_id: str, queue: str) -> str:
        """Move a live application to another queue; return the path of the one that it is in then."""
        what = f"the move of {app_id} to queue {queue}"
        return text(self._send("PUT", f"/apps/{quote(app_id)}/queue", body={"queue": queue}, what=what), "queue")

    def set_priority(self, app_id: str, priority: int) -> int:
        """Set a live application's priority; return what it is then: YARN cuts it to the cluster's greatest one."""
        what = f"another priority of {app_id}"
        path = f"/apps/{quote(app_id)}/priority"
        return integer(self._send("PUT", path, body={"priority": priority}, what=what), "priority")

    def set_expiry(self, app_id: str, expiry_s: float) -> float:
        """Let YARN kill a live application at a time (seconds since the epoch); return the time that counts then.

        Only milliseconds and an offset without a colon are understood (seen on 3.5.0 and 3.4.3).

        Raises:
            UnreachableError: The answer holds no time. [rm-failed]
        """
        from datetime import datetime, timezone

        at = datetime.fromtimestamp(expiry_s, timezone.utc)
        expiry = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
        body = {"timeout": {"type": "LIFETIME", "expiryTime": expiry}}
        answer = self._send("PUT", f"/apps/{quote(app_id)}/timeout", body=body, what=f"another timeout of {app_id}")
        expires_s = expiry_s_of(member(answer, "timeout"))
        if not expires_s:
            sentence = f"The ResourceManager took another timeout of {app_id}, and does not say when it ends."
            raise UnreachableError(Problem("rm-failed", sentence, json.dumps(answer)[:200], f"job show {app_id}"))
        return expires_s

    def _send(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        *,
        body: Any = None,
        missing_ok: bool = False,
        what: str = "",
    ) -> Any:
        """Return the answer's JSON; None when `missing_ok` and there is no such thing; `what` names it in errors."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        answer = self._doors.send(method, _RM + path, params, body=sent, headers=headers)
        if answer.status in (200, 201, 202):
            data = answer.json() if answer.body else {}
            if data is None:
                raise InternalError(_not_json(answer))
            return data
        if answer.status == 404 and missing_ok:
            return None
        raise _refusal(answer, what or f"the request {method} {path}", self._user)


def _standby(answer: Answer) -> str:
    """Say that a ResourceManager is not the active one.

    It answers with a redirect, or a page that reloads itself; only /info it answers itself, saying what it is.
    """
    if answer.status in (302, 307) and answer.headers.get("Location"):
        return "it is the standby"
    if "Refresh" in answer.headers:
        return "it is the standby, and no ResourceManager is active"
    if answer.url.endswith("/info") and text(member(answer.json(), "clusterInfo"), "haState") == "STANDBY":
        return "it is the standby"
    return ""


def _age(app_id: str) -> tuple[int, ...]:
    """Return start of the ResourceManager and number; start times are lost when a ResourceManager recovers."""
    return tuple(int(part) for part in app_id.split("_") if part.isdigit())


def _app(data: Any) -> App:
    am_logs = text(data, "amContainerLogs")
    return App(
        id=text(data, "id"),
        name=text(data, "name"),
        user=text(data, "user"),
        queue=typed_queue(text(data, "queue")),
        state=text(data, "state"),
        final_status=text(data, "finalStatus"),
        diagnostics=text(data, "diagnostics").strip(),
        tags=words(data, "applicationTags"),
        type=text(data, "applicationType"),
        priority=integer(data, "priority"),
        progress=number(data, "progress"),
        started_s=number(data, "startedTime") / 1000,
        launched_s=number(data, "launchTime") / 1000,
        finished_s=number(data, "finishedTime") / 1000,
        tracking_url=text(data, "trackingUrl"),
        am_node_http=text(data, "amHostHttpAddress"),
        am_container=next((part for part in am_logs.split("/") if part.startswith("container_")), ""),
        allocated=_allocated(data),
        containers=max(0, integer(data, "runningContainers")),
        log_aggregation=text(data, "logAggregationStatus"),
        pending=pending(data),
        reserved=Amount(max(0, integer(data, "reservedMB")), max(0, integer(data, "reservedVCores"))),
        expires_s=max((expiry_s_of(timeout) for timeout in items(data, "timeouts", "timeout")), default=0.0),
    )


def _allocated(data: Any) -> Amount:
    """Return what an application holds; only the list by partition knows GPUs and the like."""
    used = [amount(part.get("used")) or Amount() for part in items(data, "resourceInfo", "resourceUsagesByPartition")]
    return Amount(
        memory_mib=max(0, integer(data, "allocatedMB")),
        vcores=max(0, integer(data, "allocatedVCores")),
        others=total(used).others,
    )


def _attempt(data: Any) -> AppAttempt:
    return AppAttempt(integer(data, "id"), text(data, "containerId"), text(data, "nodeHttpAddress"))


def _refusal(answer: Answer, what: str, user: str) -> UsageError | DeniedError | UnreachableError:
    """Return the error for a status that is no success."""
    name, message = answer.remote_exception()
    said = message or f"status {answer.status}"
    if answer.status == 403:
        step = "ask an administrator of the queue, or run as the owner of the application"
        return DeniedError(Problem("rm-denied", f"The ResourceManager refuses {what} to the user {user}.", said, step))
    if answer.status == 404:
        sentence = "The ResourceManager does not know this application."
        return UsageError(Problem("app-unknown", sentence, said, "`job list` shows the applications that it knows"))
    # What YARN itself refuses (a YarnException) comes as 503 under this name.
    if answer.status >= 500 and name != "UndeclaredThrowableException":
        sentence = f"The ResourceManager failed at {what} with status {answer.status}."
        return UnreachableError(
            Problem("rm-failed", sentence, f"{name} {message}".strip(), "try again; see the log of the ResourceManager")
        )
    return UsageError(Problem("rm-refused", f"The ResourceManager does not accept {what}.", said))


def _not_json(answer: Answer) -> Problem:
    sentence = f"{answer.url} answers something that is not JSON."
    evidence = answer.body[:200].decode(errors="replace")
    return Problem(
        "not-a-resourcemanager", sentence, evidence, "check yarn.resourcemanager.webapp.address in yarn-site.xml"
    )
