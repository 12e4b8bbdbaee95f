"""ResourceManager and NodeManager answers of Hadoop 3.4.3 and 3.5.0, as recorded, become the same values."""

import dataclasses
import json
from pathlib import Path

import pytest
from httpstandin import Reply, closed_port, serving

from yarn_submitter.errors import DeniedError, InternalError, UnreachableError, UsageError
from yarn_submitter.facts import GPU, Amount, Label
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.nodemanager import NodeManager
from yarn_submitter.rest import ResourceManager

DATA = Path(__file__).parent / "data"
VERSIONS = ("3.4.3", "3.5.0")
CID = "container_1_0001_01_000001"


def conf_for(*addresses: str, webhdfs: tuple[str, ...] = ()) -> HadoopConf:
    """Return a configuration with these ResourceManagers."""
    return HadoopConf(
        Path("/conf"), "hdfs://nn", webhdfs, addresses, "/logs", "logs-tfile", kerberos=False, raw={}, environ={}
    )


def recorded(version: str, name: str) -> Reply:
    """Return a recorded answer."""
    return Reply(body=(DATA / f"rest-{version}" / name).read_bytes())


def remote_exception(status: int, name: str, message: str) -> Reply:
    """Return an error as Hadoop writes it."""
    return Reply(status, json.dumps({"RemoteException": {"exception": name, "message": message}}).encode())


@pytest.fixture(params=VERSIONS)
def version(request):
    """Every test with it runs on the answers of each version."""
    return request.param


def test_app_running(version):
    """An application that waits for its ApplicationMaster: ids, node, times, what it holds."""
    with serving(lambda request: recorded(version, "app-running.json")) as server:
        app = ResourceManager(conf_for(server.url), "ada").get_app("application_1_0001")
    assert app is not None
    assert (app.state, app.final_status, app.ended) == ("ACCEPTED", "UNDEFINED", False)
    assert (app.tags, app.priority, app.queue) == (("a", "b"), 3, "default")
    assert app.am_container.startswith("container_")
    assert app.am_node_http.startswith("localhost:")
    assert (app.allocated.memory_mib, app.allocated.vcores, app.allocated.others) == (128, 1, {GPU: 0})
    assert 1_700_000_000 < app.started_s <= app.launched_s
    assert (app.finished_s, app.tracking_url) == (0, "")
    assert server.asked[0].params["user.name"] == "ada"


def test_app_ended(version):
    """An application that ended: nothing held, its end and YARN's words."""
    with serving(lambda request: recorded(version, "app-finished.json")) as server:
        app = ResourceManager(conf_for(server.url), "ada").get_app("application_1_0001")
    assert app is not None
    assert (app.state, app.ended, app.containers) == ("KILLED", True, 0)
    assert "exceeded the lifetime" in app.diagnostics
    assert app.finished_s > app.started_s
    assert app.log_aggregation


@pytest.mark.parametrize(("name", "count"), [("apps-none.json", 0), ("apps-one.json", 1), ("apps-several.json", 2)])
def test_lists_of_any_length(version, name, count):
    """Lists of none, one and several are lists, the newest application first."""
    with serving(lambda request: recorded(version, name)) as server:
        apps = ResourceManager(conf_for(server.url), "ada").list_apps(
            tags=["ys-id:A"], states=["RUNNING", "KILLED"], limit=5
        )
    ids = [app.id for app in apps]
    assert len(ids) == count
    assert ids == sorted(ids, reverse=True)
    asked = server.asked[0].params
    assert (asked["applicationTags"], asked["states"], asked["limit"]) == ("ys-id:a", "RUNNING,KILLED", "5")


def test_queues(version):
    """Every queue with its path, its kind and its limits."""
    with serving(lambda request: recorded(version, "scheduler.json")) as server:
        queues = {queue.path: queue for queue in ResourceManager(conf_for(server.url), "ada").queues()}
    assert list(queues) == ["root", "root.default", "root.ml", "root.prod"]
    assert [queue.leaf for queue in queues.values()] == [False, True, True, True]
    ml = queues["root.ml"]
    assert (ml.name, ml.state, ml.capacity_percent, ml.max_percent) == ("ml", "RUNNING", 25.0, 100.0)
    assert ml.am_limit is not None
    assert ml.max_allocation is not None
    assert (ml.am_limit.memory_mib, ml.max_allocation.memory_mib, ml.max_allocation.gpus) == (16384, 8192, 8)


def test_nodes(version):
    """Every node with what it has and what is free."""
    with serving(lambda request: recorded(version, "nodes.json")) as server:
        nodes = ResourceManager(conf_for(server.url), "ada").nodes()
    assert len(nodes) == 2
    assert {node.state for node in nodes} == {"RUNNING"}
    assert [(node.total.memory_mib, node.total.vcores, node.total.gpus) for node in nodes] == [(8192, 8, 4)] * 2
    assert all(node.http.startswith("localhost:") for node in nodes)


def test_labelled_node():
    """A node says its label."""
    with serving(lambda request: recorded("3.5.0", "nodes-labelled.json")) as server:
        nodes = ResourceManager(conf_for(server.url), "ada").nodes()
    assert sorted(node.labels for node in nodes) == [(), ("gpu",)]


def test_a_node_whose_label_was_removed():
    """YARN 3.5.0 then writes a list of one empty label: the node has none."""
    data = json.loads(recorded("3.5.0", "nodes-labelled.json").body)
    data["nodes"]["node"][0]["nodeLabels"] = [""]
    with serving(lambda request: Reply(body=json.dumps(data).encode())) as server:
        nodes = ResourceManager(conf_for(server.url), "ada").nodes()
    assert [node.labels for node in nodes] == [(), ()]


def test_labels(version):
    """Node labels, in a list or alone, with whether they are exclusive; none where they are switched off."""
    with serving(lambda request: recorded(version, "get-node-labels.json")) as server:
        labels = ResourceManager(conf_for(server.url), "ada").labels()
    assert labels == [Label("gpu", exclusive=True)]
    with serving(lambda request: Reply(body=b"{}")) as server:
        assert ResourceManager(conf_for(server.url), "ada").labels() == []
    with serving(lambda request: Reply(404)) as server:
        assert ResourceManager(conf_for(server.url), "ada").labels() is None


def test_shares_by_label():
    """A queue says its share of each label's nodes, what may be used for ApplicationMasters there, its rounding."""
    with serving(lambda request: recorded("3.5.0", "scheduler-labelled.json")) as server:
        queues = {queue.path: queue for queue in ResourceManager(conf_for(server.url), "ada").queues()}
    ml = queues["root.ml"]
    assert (ml.labels, ml.default_label, ml.min_allocation) == (("gpu",), "", Amount(64, 1))
    gpu = ml.partition("gpu")
    assert gpu is not None
    assert gpu.am_limit is not None
    assert (gpu.capacity_percent, gpu.max_percent, gpu.am_limit.memory_mib) == (25.0, 100.0, 2048)
    assert (ml.reaches("gpu"), ml.reaches("red"), ml.containers) == (True, False, 0)


def test_attempts_and_info(version):
    """Attempts of the ApplicationMaster, and the cluster's version."""
    with serving(lambda request: recorded(version, "appattempts.json")) as server:
        (attempt,) = ResourceManager(conf_for(server.url), "ada").app_attempts("application_1_0001")
    assert attempt.number == 1
    assert attempt.container_id.startswith("container_")
    with serving(lambda request: recorded(version, "info.json")) as server:
        info = ResourceManager(conf_for(server.url), "ada").cluster_info()
    assert (info.state, info.ha_state, info.hadoop_version) == ("STARTED", "ACTIVE", version)


def test_unknown_application():
    """Asking for an unknown application is no error; ending it is one sentence."""
    missing = remote_exception(404, "NotFoundException", "app with id application_1_0009 not found")
    with serving(lambda request: missing) as server:
        manager = ResourceManager(conf_for(server.url), "ada")
        assert manager.get_app("application_1_0009") is None
        assert manager.app_attempts("application_1_0009") == []
        with pytest.raises(UsageError) as caught:
            manager.kill("application_1_0009", "test")
    assert caught.value.problems[0].id == "app-unknown"


def test_kill_tells_whether_it_is_done():
    """A kill is a PUT as the user with the reason; 202 means on the way, a terminal state means done."""
    replies = [Reply(202, b'{"state":"RUNNING"}'), Reply(200, b'{"state":"KILLED"}')]
    with serving(lambda request: replies.pop(0)) as server:
        manager = ResourceManager(conf_for(server.url), "ada")
        assert manager.kill("application_1_0001", "because") is False
        assert manager.kill("application_1_0001", "because") is True
    request = server.asked[0]
    assert (request.method, request.path) == ("PUT", "/ws/v1/cluster/apps/application_1_0001/state")
    assert json.loads(request.body) == {"state": "KILLED", "diagnostics": "because"}
    assert request.params["user.name"] == "ada"


@pytest.mark.parametrize(
    ("reply", "error", "problem"),
    [
        (remote_exception(403, "ForbiddenException", "User ada cannot"), DeniedError, "rm-denied"),
        (remote_exception(400, "BadRequestException", "no such state"), UsageError, "rm-refused"),
        (remote_exception(500, "RuntimeException", "broken"), UnreachableError, "rm-failed"),
        (Reply(401, b"", {"WWW-Authenticate": "Negotiate"}), DeniedError, "auth-required"),
        (Reply(200, b"<html>hello</html>"), InternalError, "not-a-resourcemanager"),
    ],
)
def test_refusals_are_sentences(reply, error, problem):
    """Every status that is no success is an error with an id."""
    with serving(lambda request: reply) as server, pytest.raises(error) as caught:
        ResourceManager(conf_for(server.url), "ada").list_apps()
    assert caught.value.problems[0].id == problem


def test_standby_is_passed_over():
    """The standby's redirect, or its page that reloads itself, leads to the active one, which is then asked first."""
    with serving(lambda request: recorded("3.5.0", f"{request.path.rpartition('/')[2]}.json")) as active:
        for standby_says in (
            Reply(307, b"This is standby RM.", {"Location": f"{active.url}/ws/v1/cluster/info"}),
            Reply(200, b"Can not find any active RM.", {"Refresh": "3; url=/"}),
        ):
            with serving(lambda request, says=standby_says: says) as standby:
                manager = ResourceManager(conf_for(standby.url, active.url), "ada")
                assert manager.reachable(5) is None
                assert manager.cluster_info().ha_state == "ACTIVE"
                manager.nodes()
                assert {request.path for request in standby.asked} <= {"/ws/v1/cluster/info"}


def test_standby_alone_is_not_reachable():
    """A standby answers /info itself and says so; without an active one nothing is reachable."""
    with serving(lambda request: Reply(body=b'{"clusterInfo":{"state":"STARTED","haState":"STANDBY"}}')) as standby:
        problem = ResourceManager(conf_for(standby.url), "ada").reachable(5)
    assert problem is not None
    assert "it is the standby" in problem.evidence


def test_redirect_leads_to_an_address_that_is_not_configured():
    """With the standby's address alone, its redirect is enough."""
    with serving(lambda request: recorded("3.5.0", "info.json")) as active:
        redirect = Reply(307, b"", {"Location": f"{active.url}/ws/v1/cluster/info"})
        with serving(lambda request: redirect) as standby:
            assert ResourceManager(conf_for(standby.url), "ada").cluster_info().ha_state == "ACTIVE"


def test_dead_address_is_passed_over():
    """One of two ResourceManagers is down: the other answers."""
    with serving(lambda request: recorded("3.5.0", "info.json")) as active:
        manager = ResourceManager(conf_for(f"http://{closed_port()}", active.url), "ada")
        assert manager.cluster_info().ha_state == "ACTIVE"


def test_nobody_answers():
    """With every address dead the error names each, why, and what to type."""
    first, second = closed_port(), closed_port()
    manager = ResourceManager(conf_for(f"http://{first}", f"http://{second}"), "ada")
    with pytest.raises(UnreachableError) as caught:
        manager.cluster_info()
    text = str(caught.value)
    for word in (
        "[rm-unreachable]",
        first,
        second,
        "connection refused",
        f"curl -m 5 'http://{first}/ws/v1/cluster/info'",
    ):
        assert word in text
    problem = manager.reachable(5)
    assert problem is not None
    assert problem.id == "rm-unreachable"


def test_container_state(version):
    """A container that runs has no exit code; one that the node does not know is None."""
    with serving(lambda request: recorded(version, "nm-containers-CID.json")) as server:
        state = NodeManager("ada").container_state(server.address, CID)
    assert state is not None
    assert (state.state, state.exit_code, state.user) == ("RUNNING", None, "root")
    assert "stdout" in state.log_files
    with serving(lambda request: remote_exception(404, "NotFoundException", "gone")) as server:
        assert NodeManager("ada").container_state(server.address, CID) is None


def test_log_files(version):
    """Live log files have names and sizes; after the end there are none."""
    with serving(lambda request: recorded(version, "nm-containers-CID-logs-running.json")) as server:
        files = NodeManager("ada").log_files(server.address, CID)
    assert files is not None
    sizes = {file.name: file.size for file in files}
    assert sizes["stdout"] > 1800
    assert sizes["stderr"] == 0
    finished = dataclasses.replace(recorded(version, "nm-containers-CID-logs-finished.json"), status=503)
    with serving(lambda request: finished) as server:
        assert NodeManager("ada").log_files(server.address, CID) is None


def test_log_slices_are_exact(version):
    """Header and trailer of a log answer are no part of the log; the length in the header counts."""
    with serving(lambda request: recorded(version, "nm-log-stdout-last20.txt")) as server:
        part = NodeManager("ada").read_log(server.address, CID, "stdout", 20)
        assert server.asked[0].params["size"] == "-20"
    assert part is not None
    last = {"3.4.3": b"ine 5\nline 6\nline 7\n", "3.5.0": b"ine 6\nline 7\nline 8\n"}[version]
    assert part.data == last
    assert part.start + len(part.data) == part.total
    with serving(lambda request: recorded(version, "nm-log-stdout.txt")) as server:
        whole = NodeManager("ada").read_log(server.address, CID, "stdout", 1 << 20)
    assert whole is not None
    assert (whole.start, len(whole.data)) == (0, whole.total)
    assert whole.data.startswith(b"hello from hello.sh\n")
    assert whole.data.endswith(last)


def test_log_text_that_looks_like_a_header():
    """A program that prints YARN's own header lines does not confuse the reader."""
    log = b"LogLength:5\nLogContents:\nhello\nEnd of LogType:stdout"
    head = b"Container: c on n\nLogType:stdout\nLogLength:%d\nLogContents:\n" % len(log)
    with serving(lambda request: Reply(body=head + log + b"\nEnd of LogType:stdout.\n***")) as server:
        part = NodeManager("ada").read_log(server.address, CID, "stdout", 1000)
    assert part is not None
    assert part.data == log


def test_a_setting_of_a_node():
    """A node tells a setting of its own, defaults included; one that it has not, or keeps to itself, is None."""
    answer = recorded("3.5.0", "nm-conf-container-executor.json")
    name = "yarn.nodemanager.container-executor.class"
    with serving(lambda request: answer if request.params["name"] == name else Reply(404)) as server:
        value = NodeManager("ada").setting(server.address, name)
        assert value == "org.apache.hadoop.yarn.server.nodemanager.DefaultContainerExecutor"
        assert NodeManager("ada").setting(server.address, "nothing.of.that.name") is None
    assert server.asked[0].path == "/conf"


def test_missing_log_and_dead_node():
    """A log that is gone is None, a node that is gone is an error."""
    with serving(lambda request: Reply(404, b"not found")) as server:
        assert NodeManager("ada").read_log(server.address, CID, "stdout", 10) is None
    with pytest.raises(UnreachableError) as caught:
        NodeManager("ada").read_log(closed_port(), CID, "stdout", 10)
    assert caught.value.problems[0].id == "node-unreachable"
