"""A real executor among peers: tries them before the start, says where they are, which interface leads to them."""

import http.client
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from executor_world import plan

from am.contract import wire
from am.contract.job import Resources, RolePlan
from am.executor.interfaces import interface_of, interfaces, parse

SHOW = "python3 -c 'import os, json; print(json.dumps(dict(os.environ)))'"


@pytest.fixture
def container(agent, container_of):
    """Makes a container of a job of two workers with this agent; changes are the plan's."""

    def make(command="true", env=None, **changes):
        roles = (RolePlan("worker", 2, Resources(512), command, env or {}),)
        return container_of(plan(agent_ports=(agent.port,), roles=roles, **changes))

    return make


@pytest.fixture
def peer():
    """A peer's open port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def dead():
    """A port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def begin(agent, here):
    """Start the executor; return its address among two and how it registered."""
    here.start()
    me = agent.told(wire.Register)
    return f"{me.host}:{me.ports[0]}", me


def test_a_peer_is_reached_at_one_of_its_addresses(agent, container, peer, dead):
    """The answer says which; then the command starts."""
    here = container()
    mine, me = begin(agent, here)
    ways = f"127.0.0.1:{dead},[localhost]:{peer}"  # an address of IPv6 stands in brackets
    agent.order(wire.PROBE, topology={"worker": (f"{me.host}:{me.probe_port}", ways)})
    assert agent.told(wire.Probed) == wire.Probed(me.container_id, 2, {"worker:1": "localhost"}, {})
    agent.order(wire.START, topology={"worker": (mine, "127.0.0.1:9")})
    assert here.end() == 0


def test_a_peer_that_is_not_reached_is_named_with_the_reason(agent, container, dead):
    """Tries end with the job's limit for them, and each address says why not."""
    here = container(limits={"probe_s": 1})
    begin(agent, here)
    agent.order(wire.PROBE, topology={"worker": ("-:1", f"127.0.0.1:{dead},no-such-host.invalid:1")})
    missed = agent.told(wire.Probed).missed
    assert list(missed) == ["worker:1"]
    assert missed["worker:1"].startswith(f"127.0.0.1:{dead}: Connection refused; no-such-host.invalid:1: ")


def test_a_peer_that_comes_late_is_reached(agent, container):
    """One refusal is no answer: peers may still be on their way."""
    here = container()
    begin(agent, here)
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        agent.order(wire.PROBE, topology={"worker": ("-:1", f"127.0.0.1:{late.getsockname()[1]}")})
        agent.told(wire.Beat, lambda beat: beat.order_id == 2)
        late.listen()
        assert agent.told(wire.Probed).reached == {"worker:1": "127.0.0.1"}


@pytest.mark.parametrize("order", [wire.PROBE, wire.START, wire.AGAIN, wire.STOP, wire.LEAVE])
def test_a_newer_order_ends_the_trying(agent, container, peer, dead, order):
    """Nothing is told of the older one."""
    here = container()
    mine, _ = begin(agent, here)
    agent.order(wire.PROBE, topology={"worker": ("-:1", f"127.0.0.1:{dead}")})
    agent.told(wire.Beat, lambda beat: beat.order_id == 2)
    agent.order(order, topology={"worker": (mine, f"127.0.0.1:{peer}")}, upload_s=1.0)
    if order == wire.PROBE:
        assert agent.told(wire.Probed).order_id == 3
        agent.order(wire.LEAVE)
    elif order == wire.AGAIN:
        agent.told(wire.Register, lambda register: register.attempt == 1)
        agent.order(wire.LEAVE)
    assert here.end() == (143 if order == wire.STOP else 0)
    assert not [message for message in agent.said if isinstance(message, wire.Probed) and message.order_id == 2]


def test_libraries_are_told_the_interface_that_peers_reach(agent, container):
    """Loopback where the cluster lives on it; what the user says of one of them counts."""
    here = container(SHOW, env={"NCCL_SOCKET_IFNAME": "ib0"})
    mine, _ = begin(agent, here)
    agent.order(wire.START, topology={"worker": (mine, "127.0.0.1:9")})
    assert here.end() == 0
    found = json.loads(here.out())
    assert (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"]) == ("lo", "ib0")


def test_a_generic_task_finds_a_file_of_all_hosts(agent, container):
    """It is written anew for each attempt."""
    agent.hold = True
    here = container('cat "$HOSTS_FILE"; exit 1')
    mine, _ = begin(agent, here)
    agent.order(wire.START, topology={"worker": (mine, "node2:9")})
    agent.told(wire.Exit)
    agent.again(1)
    agent.order(wire.START, topology={"worker": (mine, "node3:9")})
    agent.told(wire.Exit, lambda message: message.attempt == 2)
    assert here.out() == f"{mine} worker 0\nnode2:9 worker 1\n"
    assert (here.logs / "stdout.2").read_text() == f"{mine} worker 0\nnode3:9 worker 1\n"


def test_rank_0_of_horovod_serves_the_store_while_its_command_runs(agent, container):
    """At its held port, below the path that the environment names; closed with the attempt, there for the next one."""
    agent.hold = True
    here = container(f"{SHOW} >env; echo >said; sleep 600", framework="horovod")
    mine, me = begin(agent, here)
    for attempt in (1, 2):
        agent.order(wire.START, topology={"worker": (mine, "127.0.0.1:9")})
        here.hear()
        found = json.loads((here.directory / "env").read_text())
        host, port = found["HOROVOD_GLOO_RENDEZVOUS_ADDR"], found["HOROVOD_GLOO_RENDEZVOUS_PORT"]
        assert port == str(me.ports[0])
        path = f"{host}:{port}/global/key".partition("/")[2]
        assert asked("PUT", me, f"/{path}", b"value") == (200, b"")
        assert asked("GET", me, f"/{path}") == (200, b"value")
        assert asked("GET", me, "/global/key")[0] == 404
        assert agent.again(attempt).ports == me.ports
        with pytest.raises(ConnectionRefusedError):
            asked("GET", me, f"/{path}")


def asked(method, me, path, body=None):
    """Return status and body of what the store answers."""
    connection = http.client.HTTPConnection(me.host, me.ports[0], timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def entry(name, address):
    """Return a `struct ifreq` as a 64-bit kernel writes it."""
    return struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(address))


@pytest.mark.skipif(sys.maxsize < 2**32, reason="the layout is a 64-bit kernel's")
def test_the_kernels_answer_is_read():
    """Names of all lengths, aliases as their interface, nothing of half an entry."""
    said = entry(b"lo", "127.0.0.1") + entry(b"enp0s31f6interf", "192.0.2.7") + entry(b"eth0:1", "198.51.100.1")
    assert parse(said + b"half") == [
        ("lo", "127.0.0.1"),
        ("enp0s31f6interf", "192.0.2.7"),
        ("eth0", "198.51.100.1"),
    ]


def test_this_machines_interfaces_are_found_by_their_addresses():
    """By names that the kernel knows; an address of nobody has none."""
    said = Path("/proc/net/dev").read_text()
    assert interfaces()
    for name, address in interfaces():
        assert f"{name}:" in said
        assert interface_of(address) == name
    assert interface_of("127.0.0.11") == "lo"
    assert interface_of("203.0.113.254") == ""


def test_a_normal_start_imports_nothing_for_peers(agent, container):
    """Modules that only some tasks need are not loaded by the others."""
    here = container()
    names = ("probing", "interfaces", "rendezvous_store", "gpu", "stalls")
    text = f"import sys, am.executor.__main__; print([n for n in {names} if 'am.executor.' + n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.ys.zip'); {text}"],
        cwd=here.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "[]\n"
