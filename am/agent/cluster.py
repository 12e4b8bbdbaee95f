"""The seam to YARN: which containers the job has, what became of them, and the end of the application.

`Cluster` is what the agent needs, in words of no particular launcher. `SkeinCluster` is its first form.

What Skein 0.8.2 cannot express, so that such an ask must be refused before submit: FPGAs and other resource types,
priorities of requests, placement beside or apart from other containers.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import typing

from am.agent.faults import STATUSES
from am.agent.threads import in_thread

ASKED = "asked"  # YARN has not given it yet
GIVEN = "given"  # allocated; whether anything runs there only its executor or its node can say
ENDED = "ended"

LOCALIZING = "localizing"
RUNNING = "running"
GONE = "gone"  # the node does not know it (any more)
UNKNOWN = "unknown"  # the node does not answer
DOWN = "down"  # its machine answers, and no NodeManager listens there

CALL_S = 10.0
NODE_CALL_S = 3.0

INVALID_CODE = -1000  # ContainerExitStatus (3.4, 3.5) of a container that has not ended
# org.apache.hadoop.yarn.server.nodemanager...container.ContainerState and the public ContainerState.
_ENDED_STATES = frozenset(
    (
        "COMPLETE",
        "DONE",
        "LOCALIZATION_FAILED",
        "EXITED_WITH_SUCCESS",
        "EXITED_WITH_FAILURE",
        "CONTAINER_CLEANEDUP_AFTER_KILL",
        "CONTAINER_RESOURCES_CLEANINGUP",
    )
)
_TIME = re.compile(r"^\[\d{4}-\d\d-\d\d [\d:.]+\]", re.MULTILINE)  # the NodeManager's, before each of its sentences
_STACK = re.compile(r"^\s+(at |\.\.\. \d+ more).*\n?", re.MULTILINE)  # where in Java it happened helps nobody
_EARLY_STATES = frozenset(("NEW", "LOCALIZING", "SCHEDULED"))


@dataclasses.dataclass(frozen=True)
class Container:
    """A container of the job as the launcher sees it.

    Attributes:
        id: YARN's container id; empty while it is only asked for.
        role: For which it was asked.
        node_http: host:port of its NodeManager's web server.
        state: ASKED, GIVEN or ENDED.
        words: What the launcher says of its end.
    """

    id: str
    role: str
    node_http: str
    state: str
    words: str = ""


@dataclasses.dataclass(frozen=True)
class NodeWord:
    """What a node says of a container.

    Attributes:
        state: LOCALIZING, RUNNING, ENDED, GONE, UNKNOWN or DOWN.
        code: Exit code of an ended one: 0..255 of its process, below 0 one of YARN's; None when not known.
        words: The node's diagnostics.
    """

    state: str
    code: int | None = None
    words: str = ""


class Cluster(typing.Protocol):
    """What the agent needs of YARN. Every call has a deadline and raises ClusterError when it is not answered."""

    def prepare(self) -> None:
        """Import what takes time; called once, by the main thread, when the agent listens and before anything else."""
        ...

    async def containers(self) -> tuple[Container, ...]:
        """Return every container that the job asked for, ended ones too (without its ApplicationMaster)."""
        ...

    async def look(self, container_id: str, node_http: str) -> NodeWord:
        """Return what the container's node says of it; UNKNOWN or DOWN when the node does not answer."""
        ...

    async def ask(self, role: str, count: int) -> None:
        """Ask for so many more containers of a role."""
        ...

    async def release_all(self) -> frozenset[str]:
        """Give back every container of the job, given or only asked for; return the ids of those that were given."""
        ...

    async def stop(self, container_id: str) -> None:
        """Stop a container whose executor does not stop by itself."""
        ...

    async def finish(self, state: str, message: str) -> None:
        """End the application as SUCCEEDED, FAILED or KILLED; YARN shows the message as its diagnostics."""
        ...


class ClusterError(Exception):
    """The launcher did not answer, or refused."""


class SkeinCluster:
    """Cluster by Skein: its ApplicationMaster lists and stops containers, NodeManagers are asked over REST."""

    def __init__(self) -> None:
        self._skein: typing.Any = None
        self._client: typing.Any = None
        self._skein_ids: dict[str, str] = {}

    def prepare(self) -> None:
        """See Cluster.

        Two threads that import grpc and hdfs (both through six) at the same time can block each other for ever, so no
        import of theirs is left to a thread.
        """
        import skein

        self._skein = skein

    async def containers(self) -> tuple[Container, ...]:
        """See Cluster."""

        def call() -> list[typing.Any]:
            states = ("WAITING", "REQUESTED", "RUNNING", "SUCCEEDED", "FAILED", "KILLED")
            return list(self._connect().get_containers(states=states))

        found = await self._call(call)
        self._skein_ids = {item.yarn_container_id: item.id for item in found if item.yarn_container_id}
        return tuple(read_container(item) for item in found)

    async def look(self, container_id: str, node_http: str) -> NodeWord:
        """See Cluster."""
        try:
            return await in_thread(lambda: ask_node(container_id, node_http), NODE_CALL_S + 1)
        except ConnectionRefusedError:
            return NodeWord(DOWN, words=f"no NodeManager listens at {node_http}")
        except (OSError, http.client.HTTPException) as error:
            return NodeWord(UNKNOWN, words=f"{node_http} does not answer: {error}")

    async def ask(self, role: str, count: int) -> None:
        """See Cluster."""
        await self._call(lambda: self._connect().scale(role, delta=count))

    async def release_all(self) -> frozenset[str]:
        """See Cluster. Skein withdraws what was only asked for when that is "killed"."""

        def call() -> frozenset[str]:
            application = self._connect()
            found = application.get_containers(states=("WAITING", "REQUESTED", "RUNNING"))
            for item in found:
                application.kill_container(item.id)
            return frozenset(item.yarn_container_id for item in found if item.yarn_container_id)

        return typing.cast("frozenset[str]", await self._call(call))

    async def stop(self, container_id: str) -> None:
        """See Cluster."""
        if container_id not in self._skein_ids:
            await self.containers()
        skein_id = self._skein_ids.get(container_id)
        if skein_id is not None:
            await self._call(lambda: self._connect().kill_container(skein_id))

    async def finish(self, state: str, message: str) -> None:
        """See Cluster."""
        await self._call(lambda: self._connect().shutdown(status=state, diagnostics=message))

    def _connect(self) -> typing.Any:
        if self._client is None:
            self._client = self._skein.ApplicationClient.from_current()
        return self._client

    async def _call(self, function: typing.Callable[[], typing.Any]) -> typing.Any:
        try:
            return await in_thread(function, CALL_S)
        except Exception as error:
            raise ClusterError(f"the ApplicationMaster did not do it: {type(error).__name__}: {error}") from error


def read_container(item: typing.Any) -> Container:
    """Return Skein's container as ours; Skein says RUNNING as soon as YARN has allocated it."""
    state = str(item.state)
    ours = ASKED if state in {"WAITING", "REQUESTED"} else GIVEN if state == "RUNNING" else ENDED
    return Container(
        id=item.yarn_container_id or "",
        role=item.service_name,
        node_http=item.yarn_node_http_address or "",
        state=ours,
        words=item.exit_message or "",
    )


def ask_node(container_id: str, node_http: str) -> NodeWord:
    """Return what the NodeManager at `node_http` (host:port) says of a container; blocks for NODE_CALL_S at most.

    Raises:
        OSError, http.client.HTTPException: It does not answer.
    """
    connection = http.client.HTTPConnection(node_http, timeout=NODE_CALL_S)
    try:
        connection.request("GET", f"/ws/v1/node/containers/{container_id}", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return read_node_word(answer.status, answer.read())
    finally:
        connection.close()


def read_node_word(status: int, body: bytes) -> NodeWord:
    """Return a NodeManager's answer as a value, whatever version wrote it (3.4 writes numbers as strings)."""
    if status == 404:
        return NodeWord(GONE, words="its node does not know the container any more")
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if status != 200 or not isinstance(data, dict):
        return NodeWord(UNKNOWN, words=f"its node answered with HTTP status {status}")
    found = data.get("container", data)
    found = found if isinstance(found, dict) else {}
    try:
        code = int(found.get("exitCode", INVALID_CODE))
    except (TypeError, ValueError):
        code = INVALID_CODE
    state = str(found.get("state", ""))
    if code == INVALID_CODE and state not in _ENDED_STATES:
        return NodeWord(LOCALIZING if state in _EARLY_STATES else RUNNING)
    words = _STACK.sub("", _TIME.sub("", str(found.get("diagnostics") or ""))).strip()
    if code in STATUSES:
        words = f"{STATUSES[code].name}\n{words}".strip()
    return NodeWord(ENDED, None if code == INVALID_CODE else code, words)
