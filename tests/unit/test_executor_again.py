"""A real executor begins again in its container: after a failure, when it is told to, whatever it is doing."""

import os
import socket
import threading

import pytest
from executor_world import group_gone, plan

from am.contract import wire
from am.contract.job import Resources, RolePlan

EACH_ITS_OWN = "echo out $ATTEMPT; echo err $YARN_SUBMITTER_ATTEMPT >&2; exit $((3 - ATTEMPT))"


@pytest.fixture
def agent(agent):
    """The job's agent, which lets failed tasks start again."""
    agent.hold = True
    return agent


@pytest.fixture
def container(agent, hdfs, container_of):
    """Makes a container of a job with this agent and store; changes are the plan's."""
    return lambda command, **changes: container_of(
        plan(command=command, agent_ports=(agent.port,), webhdfs=(hdfs.address,), **changes)
    )


def exit_of(agent, attempt):
    """Return how an attempt ended."""
    return agent.told(wire.Exit, lambda message: message.attempt == attempt)


def kinds(agent):
    """Return what the agent heard, without the beats."""
    return [type(message).__name__ for message in agent.said if not isinstance(message, wire.Beat)]


def test_a_failed_task_starts_again_in_its_container(agent, container):
    """It says which attempt ended, knows the new one, and writes its output beside that of the first one."""
    here = container(EACH_ITS_OWN)
    process = here.start()
    first = agent.start()
    assert (exit_of(agent, 1).code, exit_of(agent, 1).tail) == (2, "err 1")
    second = agent.again(1)
    assert (second.pid, second.container_id) == (process.pid, first.container_id)
    agent.start(1)
    assert (exit_of(agent, 2).code, exit_of(agent, 2).tail) == (1, "err 2")
    agent.again(2)
    agent.hold = False
    agent.start(2)
    assert exit_of(agent, 3).code == 0
    assert here.end() == 0
    assert [(here.logs / f"stdout{ending}").read_text() for ending in ("", ".2", ".3")] == [
        "out 1\n",
        "out 2\n",
        "out 3\n",
    ]
    assert (here.logs / "stderr.2").read_text() == "err 2\n"
    assert kinds(agent) == ["Register", "Exit"] * 3 + ["Done"]


def test_again_ends_what_runs(agent, container):
    """TERM, grace, KILL; the end is told with its attempt, nothing of it lives, and no pid of it is told after that."""
    here = container("trap '' TERM; sleep 600 & echo $$ $! >said; while :; do wait; done")
    here.start()
    agent.start()
    pids = [int(word) for word in here.hear()]
    agent.again(1, grace_s=0.2)
    assert exit_of(agent, 1).code == 137
    group_gone(pids)
    agent.start(1)
    beat = agent.told(wire.Beat, lambda beat: beat.pid not in (0, pids[0]))
    registered = [isinstance(message, wire.Register) for message in agent.said].index(True, 1)
    assert {message.pid for message in agent.said[registered:] if isinstance(message, wire.Beat)} <= {0, beat.pid}


def test_again_before_the_command_ran(agent, container):
    """There is no end to tell; the newest order counts."""
    here = container("echo $ATTEMPT")
    here.start()
    agent.told(wire.Beat)
    agent.again(1)
    agent.again(2)
    agent.hold = False
    agent.start(2)
    assert here.end() == 0
    assert not (here.logs / "stdout").exists()
    assert (here.logs / "stdout.3").read_text() == "3\n"
    assert kinds(agent) == ["Register"] * 3 + ["Exit", "Done"]


def test_again_twice_is_once(agent, container):
    """An order that is given anew while the first one is obeyed begins no third attempt."""
    here = container("trap '' TERM; echo >said; while :; do sleep 600; done")
    here.start()
    agent.start()
    here.hear()
    agent.order(wire.AGAIN, grace_s=0.2)
    agent.told(wire.Beat, lambda beat: beat.order_id == 3)
    agent.again(1, grace_s=0.2)
    agent.order(wire.WAIT)
    agent.told(wire.Beat, lambda beat: beat.order_id == 5)
    assert kinds(agent) == ["Register", "Exit", "Register"]


@pytest.mark.parametrize(("order", "code", "last"), [(wire.STOP, 7, "Done"), (wire.LEAVE, 0, "Exit")])
def test_a_task_that_waits_for_another_attempt_may_be_sent_home(agent, hdfs, container, order, code, last):
    """STOP carries the results of the failed attempt, LEAVE carries nothing."""
    here = container("echo o >$OUTPUT_DIR/o; exit 7")
    here.start()
    agent.start()
    exit_of(agent, 1)
    agent.order(order, grace_s=1.0, upload_s=5.0)
    assert here.end() == code
    assert kinds(agent)[-1] == last
    assert (hdfs.text() == {}) == (order == wire.LEAVE)


def test_a_task_that_waits_for_another_attempt_of_a_silent_agent_leaves(agent, container):
    """Nothing waits for ever."""
    here = container("exit 7", limits={"silence_s": 3})
    here.start()
    agent.start()
    exit_of(agent, 1)
    agent.told(wire.Beat)
    agent.vanish()
    assert here.end() == 76


def test_the_directories_are_kept_and_carried_once(agent, hdfs, container):
    """What the first attempt wrote is there for the second one, and both lie on the store at the end."""
    here = container("ls $OUTPUT_DIR; echo $ATTEMPT >$OUTPUT_DIR/$ATTEMPT; exit $((2 - ATTEMPT))")
    here.start()
    agent.start()
    exit_of(agent, 1)
    agent.again(1)
    agent.hold = False
    agent.start(1)
    assert here.end() == 0
    assert (here.logs / "stdout.2").read_text() == "1\n"
    there = "/apps/alice/jobs/1/output/worker-0/"
    assert hdfs.text() == {f"{there}1": "1\n", f"{there}2": "2\n"}


def test_results_of_an_earlier_attempt_are_carried(agent, hdfs, container):
    """A job that is killed while its tasks start again loses nothing of what they had."""
    here = container("echo $ATTEMPT >$OUTPUT_DIR/o; exit 1")
    here.start()
    agent.start()
    exit_of(agent, 1)
    agent.again(1)
    agent.order(wire.STOP, grace_s=1.0, upload_s=5.0)
    assert here.end() == 143
    assert hdfs.text() == {"/apps/alice/jobs/1/output/worker-0/o": "1\n"}


def test_again_while_results_are_carried(agent, hdfs, container):
    """A task that had ended well starts again with the others; what was half carried leaves no temporary name."""
    hdfs.slow = threading.Event()
    here = container("head -c 3000000 /dev/zero >$OUTPUT_DIR/x; echo $ATTEMPT >$OUTPUT_DIR/y")
    agent.hold = False
    here.start()
    agent.start()
    exit_of(agent, 1)
    hdfs.wait_for("CREATE")
    agent.order(wire.AGAIN)
    agent.told(wire.Beat, lambda beat: beat.order_id == 3)
    hdfs.slow.set()
    agent.start(1)
    assert here.end() == 0
    assert hdfs.text()["/apps/alice/jobs/1/output/worker-0/y"] == "2\n"
    assert not [path for path in hdfs.files if ".ys-tmp-" in path]
    assert kinds(agent) == ["Register", "Exit", "Register", "Exit", "Done"]


def test_again_does_not_wait_for_a_store_that_is_away(agent, hdfs, container):
    """The results of the attempt before would be carried until their time is over; the others are waiting."""
    hdfs.standby = 10**9
    here = container("echo x >$OUTPUT_DIR/x", limits={"upload_s": 600})
    agent.hold = False
    here.start()
    agent.start()
    with hdfs.changed:
        assert hdfs.changed.wait_for(lambda: hdfs.asked, 20)
    agent.again(1)
    agent.order(wire.LEAVE)
    assert here.end() == 0


def test_the_main_task_sends_its_checkpoint_before_it_registers_again(agent, hdfs, container):
    """The others fetch the newest one; the main task keeps its own and fetches nothing."""
    here = container("cat $CHECKPOINT_DIR/w; echo $ATTEMPT >$CHECKPOINT_DIR/w; exit 1", checkpoint_path="/ckpt")
    hdfs.files.update({"/ckpt": None, "/ckpt/w": b"old\n"})
    here.start()
    agent.start()
    exit_of(agent, 1)
    agent.again(1)
    assert hdfs.text() == {"/ckpt/w": "1\n"}
    hdfs.files["/ckpt/w"] = b"another's\n"
    agent.start(1)
    exit_of(agent, 2)
    assert here.out() == "old\n"
    assert (here.logs / "stdout.2").read_text() == "1\n"
    assert [operation for operation, _ in hdfs.asked].count("OPEN") == 1


def test_another_task_that_starts_again_finds_the_newest_checkpoint(agent, hdfs, container):
    """Its directory is filled from the store before the command starts."""
    hdfs.files.update({"/ckpt": None, "/ckpt/w": b"newest"})
    here = container("cat $CHECKPOINT_DIR/w || exit 5", checkpoint_path="/ckpt", main_task="chief:0")
    here.start()
    agent.start()
    assert exit_of(agent, 1).code == 5
    agent.again(1)
    agent.start(1)
    assert exit_of(agent, 2).code == 0
    assert (here.logs / "stdout.2").read_text() == "newest"


def test_the_old_number_is_held_again_when_it_is_free(agent, container):
    """Peers may know it; a port that another program took meanwhile is left to it."""
    here = container("exit 1")
    here.start()
    port = agent.start().ports[0]
    exit_of(agent, 1)
    assert agent.again(1).ports == (port,)
    agent.start(1)
    exit_of(agent, 2)
    with socket.create_server(("127.0.0.1", port)):
        assert agent.again(2).ports != (port,)


LISTENS = "import socket; held = [socket.create_server(('127.0.0.1', 0))]; socket.create_server(held[0].getsockname())"


def test_a_port_in_use_is_told_and_another_one_taken(agent, container):
    """A program that finds its port taken by a thief gets another number, though the thief may have gone."""
    here = container(f'python3 -c "{LISTENS}"')
    here.start()
    port = agent.start().ports[0]
    assert (exit_of(agent, 1).code, exit_of(agent, 1).problem) == (1, "address-in-use")
    assert agent.again(1).ports != (port,)


def test_an_executor_that_could_not_begin_tries_again(agent, container):
    """A failure of the executor itself holds the container like any other one."""
    with socket.socket() as first:
        first.bind(("", 0))
        number = first.getsockname()[1]
        here = container("echo $ATTEMPT", port_range=(number, number))
        here.start()
        assert agent.told(wire.Register).ports == ()
        exit_ = exit_of(agent, 1)
        assert (exit_.code, exit_.problem) == (75, "no-free-port")
        assert exit_.tail.startswith(f"No port of {number}-{number} is free on 127.0.0.1: ")
        first.close()
        assert agent.again(1).ports == (number,)
        agent.hold = False
        agent.start(1)
        assert here.end() == 0
    assert sorted(os.listdir(here.logs)) == ["stderr.2", "stdout.2", "worker.log"]


def test_a_task_with_peers_can_be_tried_by_them(agent, container):
    """Its second port accepts connections from registration on, over restarts."""
    roles = (RolePlan("worker", 2, Resources(512), "exit 1"),)
    here = container("", roles=roles)
    here.start()
    port = agent.told(wire.Register).probe_port
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            assert connection.recv(1) == b""
    agent.start()
    exit_of(agent, 1)
    assert agent.again(1).probe_port == port
