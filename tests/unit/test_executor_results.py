"""A real executor carries what its command left, against a small agent and a small HDFS."""

import dataclasses
import os
import threading

import pytest
from executor_world import plan

from am.contract import wire
from am.contract.job import Resources, RolePlan


@pytest.fixture
def container(agent, hdfs, container_of):
    """Makes a container of a job with this agent and store; changes are the plan's."""

    def make(command, **changes):
        values = {"checkpoint_path": "hdfs://c/ckpt", "saved_model_path": "/model", **changes}
        return container_of(plan(command=command, agent_ports=(agent.port,), webhdfs=(hdfs.address,), **values))

    return make


LEAVE_ALL = "echo o >$OUTPUT_DIR/o; echo m >$MODEL_DIR/m; echo c >$CHECKPOINT_DIR/c; echo s >$JOB_STATE_DIR/s; exit {}"


@pytest.mark.parametrize("code", [0, 5])
def test_the_main_task_carries_everything_also_when_it_fails(agent, hdfs, container, code):
    """Output and state go below the job, model and checkpoint to their own paths; Done counts them."""
    here = container(LEAVE_ALL.format(code))
    here.start()
    agent.start()
    assert here.end() == code
    assert hdfs.text() == {
        "/apps/alice/jobs/1/output/worker-0/o": "o\n",
        "/apps/alice/jobs/1/output/worker-0/state/s": "s\n",
        "/ckpt/c": "c\n",
        "/model/m": "m\n",
    }
    done = agent.told(wire.Done)
    assert (done.files, done.bytes, done.problem) == (4, 8, "")


def test_other_tasks_carry_only_what_is_theirs(agent, hdfs, container):
    """Model and checkpoint are the main task's."""
    here = container(LEAVE_ALL.format(0), main_task="worker:1")
    here.start()
    agent.start()
    assert here.end() == 0
    assert set(hdfs.text().values()) == {"o\n", "s\n"}
    assert agent.told(wire.Done).files == 2


def test_the_main_task_finds_its_checkpoint(agent, hdfs, container):
    """What lies at the checkpoint path is there before the command starts, and is not sent back."""
    hdfs.files.update({"/ckpt": None, "/ckpt/w": b"weights"})
    here = container("cat $CHECKPOINT_DIR/w")
    here.start()
    agent.start()
    assert here.end() == 0
    assert here.out() == "weights"
    assert [operation for operation, _ in hdfs.asked] == ["GETFILESTATUS", "LISTSTATUS", "OPEN"]


def test_a_checkpoint_that_cannot_be_fetched_ends_the_task(agent, container):
    """The command does not start from nothing without a word."""
    here = container("echo ran", checkpoint_path="s3://bucket/c")
    here.start()
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (73, "checkpoint-fetch-failed")
    assert "s3://bucket/c" in exit_.tail
    assert here.end() == 73
    assert not (here.logs / "stdout").exists()


def test_the_exit_is_told_before_the_results_are_carried(agent, hdfs, container):
    """The agent hears of the end while a slow store still takes the results."""
    hdfs.slow = threading.Event()
    here = container("echo x >$OUTPUT_DIR/x; exit 4")
    here.start()
    agent.start()
    assert agent.told(wire.Exit).code == 4
    assert not [message for message in agent.said if isinstance(message, wire.Done)]
    hdfs.slow.set()
    assert agent.told(wire.Done).files == 1
    assert here.end() == 4


def test_a_stop_limits_the_carrying(agent, hdfs, container):
    """A killed job's task carries what fits into the time it is given, and says that it was not all."""
    hdfs.standby = 10**9
    here = container("echo x >$OUTPUT_DIR/x; echo >said; sleep 600", checkpoint_path="")
    here.start()
    agent.start()
    here.hear()
    agent.order(wire.STOP, grace_s=5.0, upload_s=0.3)
    done = agent.told(wire.Done)
    assert "HDFS does not answer" in done.problem
    assert here.end() == 143


def test_results_get_a_little_more_time_than_an_agent_that_is_gone(agent, hdfs, container):
    """While the agent is silent they are carried on, for `silence_s`; then the executor leaves as one that lost it."""
    hdfs.standby = 10**9
    limits = {"silence_s": 3, "upload_s": 600}
    here = container("echo x >$OUTPUT_DIR/x", checkpoint_path="", limits=limits)
    here.start()
    agent.start()
    agent.told(wire.Exit)
    agent.vanish()
    assert here.end() == 76


def test_leave_ends_the_carrying_and_leaves_no_temporary_name(agent, hdfs, container):
    """The job has ended: what is half carried is taken off the store again."""
    here = container("head -c 3000000 /dev/zero >$OUTPUT_DIR/x", checkpoint_path="")
    hdfs.slow = threading.Event()
    here.start()
    agent.start()
    agent.told(wire.Exit)
    hdfs.wait_for("CREATE")
    agent.order(wire.LEAVE)
    agent.told(wire.Beat, lambda beat: beat.order_id == 3)
    hdfs.slow.set()
    assert here.end() == 0
    assert not [path for path in hdfs.files if ".ys-tmp-" in path]


def test_a_stop_while_the_checkpoint_is_fetched_ends_the_task(agent, hdfs, container):
    """No command starts after a stop."""
    hdfs.standby = 10**9
    here = container("echo ran")
    here.start()
    agent.start()
    agent.told(wire.Beat, lambda beat: beat.order_id == 2)
    agent.order(wire.STOP, grace_s=5.0, upload_s=5.0)
    assert agent.told(wire.Exit).code == 143
    assert here.end() == 143
    assert not (here.logs / "stdout").exists()


def test_results_that_cannot_be_carried_are_told(agent, hdfs, container):
    """The exit code stays the program's; Done says what is missing, and so does the container's log."""
    hdfs.denied.add("/model")
    here = container("echo m >$MODEL_DIR/m")
    here.start()
    agent.start()
    assert here.end() == 0
    assert "MODEL_DIR was not wholly carried to /model: m: " in agent.told(wire.Done).problem
    assert "Permission denied" in here.log()


def test_a_users_own_directories_are_not_taken_for_results(agent, hdfs, container):
    """./output and ./model in the working directory are the user's."""
    here = container("ls; echo m >model/x")
    for name in ("output", "model"):
        os.mkdir(here.directory / name)
    here.start()
    agent.start()
    assert here.end() == 0
    assert hdfs.text() == {}
    assert here.out().split() == ["model", "output", "said"]


def test_a_watching_task_finds_the_checkpoint_and_sends_none(agent, hdfs, container):
    """A TensorBoard sees what the main task has sent, also when it is the main task itself."""
    hdfs.files.update({"/ckpt": None, "/ckpt/events": b"loss"})
    board = RolePlan("worker", 1, Resources(256), "", watches=True)
    wait = "until [ -e $CHECKPOINT_DIR/events ]; do read -t 0.05 <>said; done"
    command = f"{wait}; cat $CHECKPOINT_DIR/events; echo x >$CHECKPOINT_DIR/x"
    here = container("", roles=(dataclasses.replace(board, command=command),))
    here.start()
    agent.start()
    assert here.end() == 0
    assert here.out() == "loss"
    assert hdfs.text() == {"/ckpt/events": "loss"}
