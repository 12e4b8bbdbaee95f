"""A container for a real executor process, and a small agent that speaks wire.py, for the executor's tests.

The interpreter is the running one, or what the variable EXECUTOR_PYTHON names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import io
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

from certificates import certificate_and_key

from am.contract import job, wire

ROOT = Path(__file__).parent.parent
SECRET = "a secret of the job"
START_TEXT = "import sys; sys.path.insert(0, '.ys.zip'); from am.executor.__main__ import main; sys.exit(main())"
LONG_S = 20.0
KINDS = {
    "register": wire.Register,
    "beat": wire.Beat,
    "probed": wire.Probed,
    "exit": wire.Exit,
    "done": wire.Done,
}


def credentials(directory: Path, name: str) -> tuple[Path, Path]:
    """Write the certificate and the key of a job."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.pem"
    made = certificate_and_key(name)
    certificate.write_bytes(made[0])
    key.write_bytes(made[1])
    return certificate, key


class FakeAgent:
    """An agent at the seam: it gives index and orders, and remembers what it was told, in order."""

    def __init__(self, certificate: Path, key: Path, host: str = "127.0.0.1") -> None:
        self.said = []
        self.orders = wire.Orders(1, wire.WAIT)
        self.index = 0
        self.known = -1  # which order a registration tells
        self.refuse = None
        self.hold = False
        self.owed = 0  # answers to what is told once, which are still on their way
        self.changed = threading.Condition()
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Authorization"] != "Bearer " + wire.task_token(SECRET):
                    status, answer = 401, b'{"problem": "wrong-token", "message": "no"}'
                else:
                    status, answer = agent.answer(self.path, body)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                finally:
                    if status != 401 and not self.path.endswith("/beat"):
                        with agent.changed:
                            agent.owed -= 1
                            agent.changed.notify_all()

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass

            def shutdown_request(self, request):
                agent.sockets.discard(request)
                super().shutdown_request(request)

            def process_request(self, request, client_address):
                agent.sockets.add(request)
                super().process_request(request, client_address)

        self.sockets = set()
        self.server = Server((host, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=functools.partial(self.server.serve_forever, poll_interval=0.02))
        self.thread.start()

    def answer(self, path, body):
        """Answer one request."""
        name = path.removeprefix(wire.PREFIX + "/")
        message = wire.decode(KINDS[name], body)
        with self.changed:
            self.said.append(message)
            self.owed += name != "beat"
            self.changed.notify_all()
            if self.refuse is not None and name in self.refuse:
                return self.refuse[name], b'{"problem": "job-ended", "message": "the job has ended"}'
            if name == "register":
                return 200, wire.encode(
                    wire.Registered(self.index, message.attempt + 1, "application_1_0001", self.known)
                )
            if name == "beat":
                self.changed.wait_for(lambda: self.orders.order_id > message.order_id, message.wait_s)
                return 200, wire.encode(self.orders)
        return 200, wire.encode(wire.Ack(hold=self.hold and name == "exit"))

    def order(self, order: str, **more) -> None:
        """Give a new order."""
        with self.changed:
            self.orders = wire.Orders(self.orders.order_id + 1, order, **more)
            self.changed.notify_all()

    def start(self, ended: int = 0) -> wire.Register:
        """Let the gang be complete, with who has registered after attempt `ended` as its topology."""
        me = self.told(wire.Register, lambda register: register.attempt == ended)
        self.order(wire.START, topology={me.role: (f"{me.host}:{me.ports[0]}",)})
        return me

    def again(self, ended: int, grace_s: float = LONG_S) -> wire.Register:
        """Order another attempt; return how it registers."""
        self.order(wire.AGAIN, grace_s=grace_s)
        return self.told(wire.Register, lambda register: register.attempt == ended)

    def told(self, kind, fits=lambda message: True):
        """Wait for the first message of a kind that fits."""

        def find():
            return next((message for message in self.said if isinstance(message, kind) and fits(message)), None)

        with self.changed:
            assert self.changed.wait_for(lambda: find() is not None, LONG_S), (kind, self.said)
            return find()

    def vanish(self) -> None:
        """Stop listening and drop every connection, once what was told is answered."""
        with self.changed:
            assert self.changed.wait_for(lambda: not self.owed, LONG_S)
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for connection in list(self.sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@functools.cache
def code_zip() -> bytes:
    """Pack what travels to a container, once."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted((ROOT / "am").rglob("*.py")):
            archive.write(file, file.relative_to(ROOT))
    return packed.getvalue()


def plan(**changes) -> job.JobPlan:
    """Return a small job of one generic worker."""
    command = changes.pop("command", "true")
    env = changes.pop("env", {})
    limits = changes.pop("limits", {})
    values = {
        "id": "20260101-000000-abcd",
        "name": "try",
        "user": "alice",
        "framework": "generic",
        "queue": "default",
        "roles": (job.RolePlan("worker", 1, job.Resources(512), command, env),),
        "main_task": "worker:0",
        "done_when": "all",
        "tf_worker0": "worker",
        "input_path": "",
        "checkpoint_path": "",
        "saved_model_path": "",
        "data_dir": "",
        "job_dir": "/apps/alice/jobs/1",
        "webhdfs": (),
        "agent_ports": (1,),
        "limits": job.Limits(**{"registration_s": 20, "silence_s": 20, "upload_s": 20, **limits}),
        **changes,
    }
    return job.JobPlan(**values)


@dataclasses.dataclass
class Container:
    """A directory like YARN's container's, and the executor in it."""

    directory: Path
    logs: Path
    process: subprocess.Popen | None = None

    @staticmethod
    def make(where: Path, job_plan: job.JobPlan, certificate: Path) -> Container:
        """Lay out what YARN and Skein lay out."""
        directory, logs = where / "container_1_0001_01_000002", where / "logs"
        directory.mkdir(parents=True)
        logs.mkdir()
        (directory / job.CODE_ZIP).write_bytes(code_zip())
        (directory / job.JOB_FILE).write_text(job_plan.to_text())
        (directory / job.SECRET_FILE).write_text(SECRET)
        shutil.copy(certificate, directory / job.CERTIFICATE_FILE)
        os.mkfifo(directory / "said")
        return Container(directory, logs)

    def start(self, role: str = "worker", **env) -> subprocess.Popen:
        """Start the executor as Skein's service script does."""
        environment = {
            "PATH": os.environ["PATH"],
            "CONTAINER_ID": self.directory.name,
            "NM_HOST": "127.0.0.1",
            "NM_HTTP_PORT": "8042",
            "LOG_DIRS": f"{self.logs},/nowhere",
            "USER": "alice",
            "HOME": "/home/",
            "SKEIN_APPMASTER_ADDRESS": "127.0.0.1:9",
            **env,
        }
        python = os.environ.get("EXECUTOR_PYTHON", sys.executable)
        with (self.logs / "worker.log").open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-I", "-S", "-c", START_TEXT, role],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def end(self) -> int:
        """Wait for the executor's end; return its code."""
        return self.process.wait(LONG_S)

    def hear(self) -> list[str]:
        """Wait for the first line that the command writes into the pipe `said`; return its words."""
        descriptor = os.open(self.directory / "said", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([descriptor], [], [], LONG_S)[0], "the command said nothing"
            return os.read(descriptor, 4096).decode().split()
        finally:
            os.close(descriptor)

    def out(self) -> str:
        """Return what the command wrote to stdout."""
        return (self.logs / "stdout").read_text()

    def log(self) -> str:
        """Return what the executor wrote to its own log."""
        return (self.logs / "worker.log").read_text()

    def close(self) -> None:
        """End what a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def group_gone(pids: list[int]) -> None:
    """Wait until none of the processes lives any more; a process's pidfd becomes readable at its end."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], LONG_S)[0], f"process {pid} lives"
        finally:
            os.close(descriptor)


def json_of(text: str):
    """Return the last line of a text as JSON."""
    return json.loads(text.splitlines()[-1])
