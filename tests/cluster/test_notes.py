"""What has to wait is not refused: a job that runs makes the next one wait, and that is said before it is submitted."""

from __future__ import annotations

from cluster.test_preflight import Admin, job
from cluster.typing_jobs import Typist, until

from yarn_submitter.sandbox import SandboxInfo


def test_a_busy_cluster(typist: Typist, sandbox: SandboxInfo) -> None:
    """A job that holds both nodes: the next one is told what is free, that its name is taken, and its share of masters.

    The queue's share for ApplicationMasters is smaller than one: YARN starts the first one all the same.
    """
    admin = Admin(sandbox)
    admin.set_queue("ml", {"maximum-am-resource-percent": "0.01"})
    try:
        words = typist.generic("busy", "--queue", "ml", "--detach", memory="7G", a="sleep 300", b="sleep 300")
        app = typist.type(*words).out.strip()
        until("both tasks run", lambda: typist.type("show", app).out.count("RUNNING") >= 3, 120)
        ended = typist.type(*job("memory=2G,vcores=1", "--queue", "ml", "--check", name="busy"), deadline_s=10)
        assert ended.code == 0
        for note in ("[gang-waits]", "[am-share-used]", "[name-taken]", app):
            assert note in ended.err
        assert "1 run, 0 wait" in typist.type("queues").out
        free = [node["free"]["memory_mib"] for node in typist.type("nodes", "--json").json()["nodes"]]
        assert sorted(free) == [512, 1024]
        typist.type("kill", app)
    finally:
        admin.set_queue("ml", {"maximum-am-resource-percent": "1.0"})
