"""A real executor notices programs that do nothing, and GPUs that are not there."""

import os
from pathlib import Path

import pytest
from executor_world import group_gone, plan

from am.contract import wire
from am.contract.job import Limits, Resources, RolePlan
from am.executor.gpu import utilization, visible
from am.executor.stalls import Idleness

FOREVER = "trap '' TERM; echo $$ >said; while :; do sleep 600; done"
PY_SPY = '#!/bin/sh\nread -r name </proc/$3/comm; [ "$name" = python3 ] && echo "$1 $2: waiting in recv"\n'


@pytest.fixture
def programs(tmp_path):
    """Makes programs that come first on the PATH; returns the PATH."""
    where = tmp_path / "programs"
    where.mkdir()

    def make(**texts):
        for name, text in texts.items():
            path = where / name.replace("_", "-")
            path.write_text(text)
            path.chmod(0o755)
        return f"{where}:{os.environ['PATH']}"

    return make


@pytest.fixture
def container(agent, container_of):
    """Makes a container of a job of one worker with this agent; `gpus` and `tracked` are its role's."""

    def make(command, gpus=0, tracked=True, **limits):
        role = RolePlan("worker", 1, Resources(512, gpus=gpus), command, tracked=tracked)
        limits = {"stop_grace_s": 1, **limits}
        return container_of(plan(agent_ports=(agent.port,), roles=(role,), limits=limits))

    return make


def nvidia_smi(*percents):
    """Return the text of an nvidia-smi that sees so many GPUs, so busy."""
    indices = "".join(f"echo {index}; " for index, _ in enumerate(percents))
    busy = "".join(f"echo {percent}; " for percent in percents)
    return f'#!/bin/sh\ncase "$1" in *index) {indices}:;; *) {busy}:;; esac\n'


def test_a_silent_program_is_stopped_and_its_stacks_are_kept(agent, container, programs):
    """TERM, grace, KILL; what py-spy says of its Python processes stands in its last lines."""
    here = container(f"python3 -c 'import time; time.sleep(600)' & {FOREVER}", stall_s=1)
    here.start(PATH=programs(py_spy=PY_SPY))
    agent.start()
    pids = [int(word) for word in here.hear()]
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem, exit_.tail) == (75, "program-stalled", "dump --pid: waiting in recv")
    assert here.end() == 75
    group_gone(pids)


def test_a_program_that_writes_is_let_be(agent, container):
    """Each line begins the time anew; a program's own end is its own."""
    here = container("for n in 1 2 3 4; do echo $n; read -t 0.8 <>said; done; exit 3", stall_s=2)
    here.start()
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (3, "")


def test_a_parameter_server_may_be_silent(agent, container):
    """Untracked tasks serve others: their silence says nothing."""
    here = container("read -t 1.6 <>said; exit 3", tracked=False, stall_s=1)
    here.start()
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (3, "")


def test_idle_gpus_end_a_program_that_writes(agent, container, programs):
    """Output is no use of a GPU."""
    here = container("while echo x; do read -t 0.2 <>said; done", gpus=2, gpu_idle_s=1)
    here.start(PATH=programs(nvidia_smi=nvidia_smi(0, 0)))
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (75, "gpu-idle")
    assert here.end() == 75


def test_missing_gpus_end_a_task_before_its_command(agent, container, programs):
    """The agent hears how many are there, and where."""
    here = container("echo ran", gpus=2)
    here.start(PATH=programs(nvidia_smi=nvidia_smi(0)))
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (76, "gpu-missing")
    assert exit_.tail == "The task asked for 2 GPUs and sees 1 on 127.0.0.1."
    assert here.end() == 76
    assert not (here.logs / "stdout").exists()


def test_enough_gpus_are_enough(agent, container, programs):
    """A node without isolation shows more than were asked for."""
    here = container("echo ran", gpus=1)
    here.start(PATH=programs(nvidia_smi=nvidia_smi(0, 50)))
    agent.start()
    assert here.end() == 0


def test_gpus_are_read_as_nvidia_smi_prints_them(programs):
    """One line a GPU; a GPU that does not say how busy it is makes nothing known, and so does a broken driver."""
    assert utilization({"PATH": programs(nvidia_smi=nvidia_smi(0, 97))}) == [0, 97]
    assert visible({"PATH": programs(nvidia_smi=nvidia_smi(0, 97))}) == 2
    assert utilization({"PATH": programs(nvidia_smi=nvidia_smi("'[N/A]'", 97))}) is None
    broken = {"PATH": programs(nvidia_smi="#!/bin/sh\necho no driver; exit 9\n")}
    assert utilization(broken) is None
    assert visible(broken) == sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*"))


def test_gpus_of_another_maker_are_not_counted(programs):
    """Where nothing of NVIDIA's is to be found nobody knows how many there are, and no task is kept from starting."""
    assert visible({"PATH": programs()}) is None


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        ([(50, 1, None), (99, 1, None)], ""),
        ([(50, 1, None), (149, 1, None)], ""),
        ([(50, 1, None), (150, 1, None)], "program-stalled"),
        ([(90, 1, None), (180, 2, None), (270, 3, None)], ""),
        ([(90, 1, [0, 5]), (180, 1, [0, 0])], ""),
        ([(90, 1, [0, 5]), (190, 1, [0, 0])], "program-stalled"),
        ([(90, 1, [0, 0]), (180, 2, [0, 0]), (199, 3, [0, 0])], ""),
        ([(90, 1, [0, 0]), (180, 2, [0, 0]), (200, 3, [0, 0])], "gpu-idle"),
        ([(90, 1, [0, 0]), (180, 2, [0, 9]), (270, 3, [0, 0])], ""),
        ([(90, 1, [0, 0]), (180, 2, None), (270, 3, [0, 0])], ""),
    ],
)
def test_what_is_idle(seen, problem):
    """100 s without output and GPU use is a stall, 200 s without GPU use is idle; what is not known is no fault."""
    idleness = Idleness(Limits(stall_s=100, gpu_idle_s=200), 0.0)
    found = [idleness.problem(float(now_s), written, gpus) for now_s, written, gpus in seen]
    assert found == [*[""] * (len(seen) - 1), problem]


def test_without_a_limit_nothing_is_idle():
    """Each limit counts by itself."""
    silent = Idleness(Limits(gpu_idle_s=200), 0.0)
    assert silent.problem(1e6, 1, None) == ""
    idle = Idleness(Limits(stall_s=100), 0.0)
    assert idle.problem(1e6, 1, [0]) == ""
