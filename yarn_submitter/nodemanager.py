"""NodeManagers over their REST interface, version 1 (`/ws/v1/node`): a container's state and its live log files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from yarn_submitter.errors import Problem, UnreachableError
from yarn_submitter.readers import integer, items, member, settings, text, words
from yarn_submitter.web import Answer, NoAnswerError, Web

_NM = "/ws/v1/node"
_EXIT_UNKNOWN = -1000  # YARN's ContainerExitStatus.INVALID: the container has not ended
_LOG_HEADER = re.compile(rb"\A.*?^LogLength:(\d+)\r?\n(?:LogContents:\r?\n)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class ContainerState:
    """A container as its NodeManager knows it, while it does.

    Attributes:
        id: Container id.
        state: NEW, LOCALIZING, SCHEDULED, RUNNING, EXITED_WITH_SUCCESS, DONE and others of YARN's.
        exit_code: None while it runs; negative when YARN ended it (-105: killed on request, -104: memory, and others).
        diagnostics: YARN's words.
        user: As whom it runs.
        log_files: Names of its log files.
    """

    id: str
    state: str
    exit_code: int | None
    diagnostics: str
    user: str
    log_files: tuple[str, ...]


@dataclass(frozen=True)
class LogFile:
    """A log file of a live container; `size` in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class LogSlice:
    """Bytes `start` to `start + len(data)` of a log file that has `total` bytes at this moment."""

    data: bytes
    start: int
    total: int


class NodeManager:
    """The NodeManagers of a cluster, each asked at its web address `host:port`; what they no longer know is None."""

    def __init__(self, user: str) -> None:
        """Make it; `user` is whom requests are made as."""
        self._web = Web(user)

    def container_state(self, node_http: str, container_id: str) -> ContainerState | None:
        """Return a container; None when the node does not know it (any more).

        Raises:
            UnreachableError: The node does not answer. [node-unreachable]
        """
        answer = self._get(node_http, f"/containers/{quote(container_id)}")
        data = member(answer.json(), "container") if answer.status == 200 else None
        if not isinstance(data, dict):
            return None
        code = integer(data, "exitCode", _EXIT_UNKNOWN)
        return ContainerState(
            id=text(data, "id"),
            state=text(data, "state"),
            exit_code=None if code == _EXIT_UNKNOWN else code,
            diagnostics=text(data, "diagnostics").strip(),
            user=text(data, "user"),
            log_files=words(data, "containerLogFiles"),
        )

    def log_files(self, node_http: str, container_id: str) -> list[LogFile] | None:
        """Return the log files that lie on the node; None when it has none of this container (any more).

        Raises:
            UnreachableError: The node does not answer. [node-unreachable]
        """
        answer = self._get(node_http, f"/containers/{quote(container_id)}/logs")
        data = answer.json() if answer.status == 200 else None
        lists = items(data, "containerLogsInfo") or items({"": data}, "")
        local = [entry for entry in lists if text(entry, "logAggregationType") in ("", "LOCAL")]
        files = [
            LogFile(text(log, "fileName"), integer(log, "fileSize"))
            for e in local
            for log in items(e, "containerLogInfo")
        ]
        return files or None

    def read_log(self, node_http: str, container_id: str, name: str, last_bytes: int) -> LogSlice | None:
        """Return the last bytes of a log file, as many as there are of `last_bytes`; None when it is not there.

        Raises:
            UnreachableError: The node does not answer. [node-unreachable]
        """
        path = f"/containerlogs/{quote(container_id)}/{quote(name)}"
        answer = self._get(node_http, path, {"size": str(-max(1, last_bytes)), "format": "text"})
        header = _LOG_HEADER.match(answer.body) if answer.status == 200 else None
        if header is None:
            return None
        total = int(header.group(1))
        length = min(total, max(1, last_bytes))
        data = answer.body[header.end() : header.end() + length]
        return LogSlice(data, total - length, total)

    def setting(self, node_http: str, name: str) -> str | None:
        """Return a setting as the node has it, defaults included; None when it has none or does not tell us.

        Raises:
            UnreachableError: The node does not answer. [node-unreachable]
        """
        answer = self._ask(node_http, "/conf", {"name": name}, {"Accept": "application/json"})
        return settings(answer.json()).get(name) if answer.status == 200 else None

    def _get(self, node_http: str, path: str, params: dict[str, str] | None = None) -> Answer:
        return self._ask(node_http, _NM + path, params)

    def _ask(
        self,
        node_http: str,
        path: str,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        url = node_http if "://" in node_http else f"http://{node_http}"
        try:
            return self._web.send("GET", url.rstrip("/") + path, params, headers=headers)
        except NoAnswerError as error:
            sentence = f"The NodeManager at {node_http} does not answer."
            step = f"check that the node is up: curl -m 5 '{url}{_NM}/info'"
            raise UnreachableError(Problem("node-unreachable", sentence, error.reason, step)) from None
