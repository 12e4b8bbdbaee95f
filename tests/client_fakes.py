"""A cluster that clients take for one: ResourceManager, NameNode, DataNode and NodeManager in one small web server.

It keeps the rules that the client relies on: renames replace only when told to, contents go where CREATE and OPEN say,
lists are filtered. What it tells of queues and nodes is recorded from Hadoop 3.5.0. The real thing is tried in
tests/cluster. Beside it stands FakeYarn, another way to submit than Skein's driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from httpstandin import Reply, Request, StandIn, serving

from am.contract.events import to_line
from am.contract.job import JobPlan, Limits, Resources, RolePlan, history_dir, spec_dir
from yarn_submitter.site import Site, open_site

if TYPE_CHECKING:
    from am.contract.events import Event

RECORDED = Path(__file__).parent / "unit" / "data" / "rest-3.5.0"
APP = "application_1700000000000_0001"
JOB = "20260102t030405-abcdef"
USER = "ada"


@dataclass
class PretendCluster:
    """What such a cluster holds.

    Attributes:
        apps: What the ResourceManager knows, as it writes it.
        files: What lies on HDFS; a directory's value is None.
        modified_s: When files and directories were changed, seconds since the epoch; 0 when nothing is said here.
        logs: Container -> file -> bytes, on its NodeManager; None: gone since it was listed.
        faults: Asked first about every request; an answer of theirs is the cluster's.
        master_ends: Number of an ApplicationMaster -> what YARN says of its end, in XML.
        killed: (application, why) of every kill.
    """

    apps: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes | None] = field(default_factory=lambda: {"/": None})
    modified_s: dict[str, float] = field(default_factory=dict)
    logs: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    faults: list[Callable[[Request], Reply | None]] = field(default_factory=list)
    master_ends: dict[int, str] = field(default_factory=dict)
    killed: list[tuple[str, str]] = field(default_factory=list)
    server: StandIn = field(init=False)
    conf_dir: Path = field(init=False)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment in which clients find it."""
        path = f"{self.conf_dir.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {"HADOOP_CONF_DIR": str(self.conf_dir), "HADOOP_USER_NAME": USER, "PATH": path}

    def site(self) -> Site:
        """Return the client's view of it."""
        return open_site("", self.environ)

    @property
    def asked(self) -> list[Request]:
        """Return every request so far."""
        return self.server.asked

    def add_app(self, state: str = "RUNNING", app_id: str = APP, job_id: str = JOB, **changes: Any) -> dict[str, Any]:
        """Let the ResourceManager know an application of ours."""
        final = changes.get("finalStatus", "UNDEFINED")
        app = {
            "id": app_id,
            "user": USER,
            "name": "fit",
            "queue": "root.default",
            "state": state,
            "finalStatus": final,
            "diagnostics": "",
            "applicationType": "skein",
            "applicationTags": f"yarn-submitter,ys-id:{job_id}",
            "startedTime": 1_700_000_000_000,
            "finishedTime": 1_700_000_060_000 if state in ("FINISHED", "FAILED", "KILLED") else 0,
            "amHostHttpAddress": self.server.address,
            "amContainerLogs": f"{self.server.url}/node/containerlogs/container_1_0001_01_000001/{USER}",
            "logAggregationStatus": "SUCCEEDED",
            **changes,
        }
        self.apps.insert(0, app)
        return app

    def add_job(self, job: JobPlan | None = None, events: Mapping[str, list[Event]] | None = None) -> JobPlan:
        """Put a job's directory on HDFS: its job.json, and history segments by name."""
        job = job or job_plan()
        self.put(f"{spec_dir(job.job_dir)}/job.json", job.to_text())
        for name, found in (events or {}).items():
            self.put(f"{history_dir(job.job_dir)}/{name}.jsonl", "".join(to_line(event) + "\n" for event in found))
        return job

    def put(self, path: str, content: str | bytes) -> None:
        """Put a file on HDFS, and its directories."""
        with self.lock:
            self._mkdirs(path.rpartition("/")[0])
            self.files[path] = content.encode() if isinstance(content, str) else content

    def names(self, below: str) -> list[str]:
        """Return the files below a directory, relative to it."""
        return sorted(
            path.removeprefix(below + "/")
            for path, content in self.files.items()
            if path.startswith(below + "/") and content is not None
        )

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        for fault in self.faults:
            reply = fault(request)
            if reply is not None:
                return reply
        doors = {
            "/webhdfs/v1": self._namenode,
            "/data": self._datanode,
            "/ws/v1/cluster": self._resource_manager,
            "/ws/v1/node": self._node_manager,
            "/jmx": lambda _request, _path: Reply(body=b'{"beans": [{"Safemode": ""}]}'),
        }
        for prefix, door in doors.items():
            if request.path.startswith(prefix):
                with self.lock:
                    return door(request, unquote(request.path.removeprefix(prefix)))
        return Reply(404)

    def _resource_manager(self, request: Request, path: str) -> Reply:
        first, _, rest = path.strip("/").partition("/")
        if first in ("info", "scheduler", "nodes"):
            return Reply(body=(RECORDED / f"{first}.json").read_bytes())
        if first == "get-node-labels":
            return Reply(body=b"{}")
        if not rest:
            return _json({"apps": {"app": [app for app in self.apps if _listed(app, request.params)]}})
        app = next((app for app in self.apps if app["id"] == rest.partition("/")[0]), None)
        if app is None:
            return Reply(404, b"{}")
        if "/appattempts/appattempt_" in rest:
            return Reply(body=self.master_ends.get(int(rest.rpartition("_")[2]), "").encode())
        if request.method == "PUT":
            return self._change(app, rest.partition("/")[2], json.loads(request.body))
        return _json({"app": app})

    def _change(self, app: dict[str, Any], what: str, asked: dict[str, Any]) -> Reply:
        """Change an application as Hadoop 3.5.0 does: priorities are cut, queues have their path."""
        if what == "state":
            self.killed.append((app["id"], asked["diagnostics"]))
            app.update(state="KILLED", finalStatus="KILLED", finishedTime=1_700_000_060_000)
            return _json({"state": "KILLED"})
        if what == "timeout":
            app["timeouts"] = {"timeout": [asked["timeout"]]}
            return _json(asked)
        value = min(asked[what], 10) if what == "priority" else f"root.{asked[what].removeprefix('root.')}"
        app[what] = value
        return _json({what: value})

    def _node_manager(self, request: Request, path: str) -> Reply:
        parts = path.strip("/").split("/")
        files = self.logs.get(parts[1])
        if files is None:
            return Reply(404)
        if parts[0] == "containers":
            infos = [{"fileName": name, "fileSize": str(len(data or b""))} for name, data in files.items()]
            return _json({"containerLogsInfo": {"containerLogInfo": infos, "logAggregationType": "LOCAL"}})
        data = files.get(parts[2])
        if data is None:
            return Reply(404)
        last = data[-min(len(data), -int(request.params["size"])) :] if data else b""
        head = f"Container: {parts[1]}\nLogType:{parts[2]}\nLogLength:{len(data)}\nLogContents:\n"
        return Reply(body=head.encode() + last + f"\nEnd of LogType:{parts[2]}".encode())

    def _namenode(self, request: Request, path: str) -> Reply:
        operation = request.params["op"]
        if operation in ("CREATE", "OPEN"):
            if operation == "OPEN" and self.files.get(path) is None:
                return _missing(path)
            query = "&".join(f"{key}={value}" for key, value in request.params.items() if key in ("offset", "length"))
            return _json({"Location": f"{self.server.url}/data{request.path.removeprefix('/webhdfs/v1')}?{query}"})
        if operation in ("GETFILESTATUS", "LISTSTATUS", "CHECKACCESS", "GETCONTENTSUMMARY"):
            return self._look(operation, path)
        known = path in self.files
        if operation == "MKDIRS":
            self._mkdirs(path)
        elif operation == "RENAME":
            target = request.params["destination"]
            if target in self.files and request.params["renameoptions"] != "OVERWRITE":
                return _error(403, "FileAlreadyExistsException", target)
            self.files[target] = self.files.pop(path)
        elif operation == "DELETE":
            for found in [name for name in self.files if name == path or name.startswith(f"{path}/")]:
                del self.files[found]
            return _json({"boolean": known})
        return _json({"boolean": True})

    def _look(self, operation: str, path: str) -> Reply:
        if path not in self.files:
            return _missing(path)
        if operation == "CHECKACCESS":
            return Reply(body=b"")
        if operation == "GETCONTENTSUMMARY":
            sizes = [len(self.files[f"{path}/{name}"] or b"") for name in self.names(path)]
            return _json({"ContentSummary": {"length": sum(sizes), "fileCount": len(sizes), "directoryCount": 1}})
        if operation == "GETFILESTATUS":
            return _json({"FileStatus": self._line(path, "")})
        found = [name for name in self.files if name.rpartition("/")[0] == path and name != "/"]
        lines = [self._line(name, name.rpartition("/")[2]) for name in found]
        return _json({"FileStatuses": {"FileStatus": lines}})

    def _datanode(self, request: Request, path: str) -> Reply:
        if request.method == "PUT":
            self.put(path, request.body)
            return Reply(201, b"")
        content = self.files[path] or b""
        start = int(request.params.get("offset", "0"))
        return Reply(body=content[start : start + int(request.params.get("length", len(content)))])

    def _mkdirs(self, path: str) -> None:
        parts = path.split("/")
        for n in range(1, len(parts) + 1):
            self.files.setdefault("/".join(parts[:n]) or "/", None)

    def _line(self, path: str, name: str) -> dict[str, Any]:
        content = self.files[path]
        kind = "DIRECTORY" if content is None else "FILE"
        times = {"modificationTime": int(self.modified_s.get(path, 0) * 1000)}
        return {"pathSuffix": name, "type": kind, "length": len(content or b""), "permission": "600", **times}


@contextlib.contextmanager
def pretend_cluster(directory: Path) -> Iterator[PretendCluster]:
    """Serve a cluster until the block ends; its configuration, and a `java` and `yarn` for show, lie in `directory`."""
    cluster = PretendCluster()
    with serving(cluster.answer) as server:
        cluster.server = server
        cluster.conf_dir = directory / "conf"
        cluster.conf_dir.mkdir(parents=True)
        settings = {
            "core-site.xml": {"fs.defaultFS": "hdfs://nn:9000"},
            "hdfs-site.xml": {"dfs.namenode.http-address": server.address},
            "yarn-site.xml": {"yarn.resourcemanager.webapp.address": server.address},
        }
        for name, values in settings.items():
            rows = "".join(
                f"<property><name>{key}</name><value>{value}</value></property>" for key, value in values.items()
            )
            (cluster.conf_dir / name).write_text(f"<configuration>{rows}</configuration>")
        (directory / "bin").mkdir()
        for name in ("java", "yarn"):
            (directory / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
            (directory / "bin" / name).chmod(0o755)
        yield cluster


@dataclass
class FakeYarn:
    """Takes applications as Skein's driver does.

    Attributes:
        cluster: Where they become known.
        fails: Raised by `submit`, after the application is known when `too_late`.
        too_late: YARN has the application already when `submit` fails.
        under_way: YARN has the application when the door is closed: a submission under way comes to its end then.
        taken: What was submitted.
        closed: Whether it was let go.
    """

    cluster: PretendCluster
    fails: BaseException | None = None
    too_late: bool = False
    under_way: bool = False
    taken: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    _pending: list[Mapping[str, Any]] = field(default_factory=list)

    def begin(self) -> None:
        """Nothing takes long here."""

    def certificate(self) -> str:
        """Return what agents would show."""
        return "a certificate"

    def submit(self, application: Mapping[str, Any]) -> str:
        """Take an application."""
        if self.fails is None or self.too_late:
            self._take(application)
        if self.fails is not None:
            self._pending += [application] * self.under_way
            raise self.fails
        return str(self.cluster.apps[-1]["id"])

    def _take(self, application: Mapping[str, Any]) -> None:
        self.taken.append(json.loads(json.dumps(application)))
        job_id = next(tag.removeprefix("ys-id:") for tag in application["tags"] if tag.startswith("ys-id:"))
        app = self.cluster.add_app("ACCEPTED", job_id=job_id, name=application["name"])
        self.cluster.put(f"/user/{USER}/.skein/{app['id']}/skein.jar", b"jar")

    def close(self) -> None:
        """Let go."""
        self.closed = True
        while self._pending:
            self._take(self._pending.pop())


def job_plan(job_id: str = JOB, **changes: Any) -> JobPlan:
    """Return a job with a chief, two workers and a ps."""
    roles = tuple(
        RolePlan(name, count, Resources(128), f"run {name}", tracked=name != "ps")
        for name, count in (("chief", 1), ("worker", 2), ("ps", 1))
    )
    values: dict[str, Any] = {
        "id": job_id,
        "name": "fit",
        "user": USER,
        "framework": "tensorflow",
        "queue": "default",
        "roles": roles,
        "main_task": "chief:0",
        "done_when": "chief",
        "tf_worker0": "worker",
        "input_path": "",
        "checkpoint_path": f"hdfs://nn:9000/user/{USER}/.yarn-submitter/jobs/{job_id}/checkpoint",
        "saved_model_path": f"hdfs://nn:9000/user/{USER}/.yarn-submitter/jobs/{job_id}/model",
        "data_dir": "",
        "job_dir": f"/user/{USER}/.yarn-submitter/jobs/{job_id}",
        "webhdfs": (),
        "agent_ports": (0,),
        "limits": Limits(),
    }
    return JobPlan(**{**values, **changes})


def _listed(app: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    tags = params.get("applicationTags", "").split(",")
    queue = params.get("queue", "root").removeprefix("root").strip(".")
    return (
        params.get("user", app["user"]) == app["user"]
        and f"{app['queue']}.".startswith(f"root.{queue}." if queue else "")
        and app["state"] in params.get("states", app["state"]).split(",")
        and params.get("name", app["name"]) == app["name"]
        and params.get("applicationTypes", app["applicationType"]) == app["applicationType"]
        and (tags == [""] or bool(set(tags) & set(app["applicationTags"].split(","))))
    )


def _json(value: Any) -> Reply:
    return Reply(body=json.dumps(value).encode())


def _error(status: int, exception: str, message: str) -> Reply:
    return Reply(status, json.dumps({"RemoteException": {"exception": exception, "message": message}}).encode())


def _missing(path: str) -> Reply:
    return _error(404, "FileNotFoundException", f"File does not exist: {path}")
