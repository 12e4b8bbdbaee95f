"""Random jobs with random faults, driven through the agent's loop and desk: what must hold for every job, holds.

A failure prints the steps that lead to it; each is a method of the machine below.
"""

# ruff: noqa: D102 - each rule is named by what happens
from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import textwrap
import typing

import pytest
from agent_laws import Laws
from agent_model import World
from agent_model_executor import AGAIN, HELD, NEW, RUNS, require
from fakes import plan, role
from hypothesis import HealthCheck, Phase, configuration, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from am.agent import fold, gang, policy, recovery
from am.agent.cluster import DOWN, UNKNOWN
from am.contract import events, wire
from am.contract.job import AFTER_FAILURE, FIRST_COME, IGNORE, RESTART_JOB, RESTART_TASK, TOGETHER, JobPlan, Limits

pytestmark = pytest.mark.thorough
configuration.set_hypothesis_home_dir(os.devnull)  # it remembers nothing

WHICH = st.integers(0, 11)
EXAMPLES = int(os.environ.get("EXAMPLES", "400"))  # more of them find more: EXAMPLES=5000 python -m pytest ...
# Leading a failure back to few steps takes minutes: SHRINK=1 python -m pytest ...
PHASES = [Phase.generate, Phase.shrink] if os.environ.get("SHRINK") else [Phase.generate]
ROUNDS = 400  # of the end of every run, 5 s each
EXITS = st.sampled_from(
    [(0, ""), (0, ""), (1, ""), (137, ""), (143, ""), (1, "address-in-use"), (75, "program-stalled")]
)
AFTER = st.sampled_from((RESTART_TASK, RESTART_JOB, *AFTER_FAILURE))
STATUSES = st.sampled_from([0, 1, 137, -100, -100, -101, -102, -102, -104, -105])


@pytest.fixture(autouse=True)
def quiet():
    """Leave out what the agent logs of thousands of jobs."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@st.composite
def jobs(draw: st.DrawFn) -> JobPlan:
    """Return a job that the language lets pass."""
    names = draw(st.sampled_from([["worker"], ["chief", "worker"], ["worker", "ps"], ["chief", "worker", "ps"]]))
    roles = []
    for name in names:
        count = draw(st.integers(1, 1 if name == "chief" else 3))
        least = draw(st.sampled_from([0, 0, 1, 2]))
        firm = [each.name for each in roles if each.tracked and IGNORE not in {each.on_failure, each.on_loss}]
        words = [each.name for each in roles] + [f"{each}:succeeded" for each in firm]
        one = role(name, count, tracked=name != "ps" or draw(st.booleans()), on_failure=draw(AFTER))
        one = dataclasses.replace(
            one,
            on_loss=draw(AFTER),
            min_instances=least if least < count else 0,
            start=draw(st.sampled_from([TOGETHER, TOGETHER, TOGETHER, FIRST_COME])),
            depends_on=(draw(st.sampled_from(words)),) if words and draw(st.integers(0, 3)) == 0 else (),
        )
        roles.append(one)
    limits = Limits(
        gang_hold_s=draw(st.sampled_from([0, 300])),
        gang_tries=draw(st.sampled_from([0, 2])),
        queue_wait_s=draw(st.sampled_from([0, 0, 0, 900])),
        probe_s=draw(st.sampled_from([0, 60])),
        lifetime_s=draw(st.sampled_from([0, 0, 1800])),
    )
    return plan(
        *roles,
        done_when=draw(st.sampled_from(["chief", "all"])),
        limits=limits,
        max_restarts=draw(st.integers(0, 3)),
        max_attempts=draw(st.integers(1, 2)),
    )


class AgentMachine(RuleBasedStateMachine):
    """One job, from its start to its verdict."""

    world: World
    laws: Laws
    scarce = False

    @initialize(job=jobs(), hosts=st.integers(1, 3), scarce=st.booleans(), rounds=st.sampled_from([0, 4, 4, 4]))
    def begin(self, job: JobPlan, hosts: int, scarce: bool, rounds: int) -> None:
        self.world = World(job, hosts)
        self.laws = Laws(self.world)
        self.scarce = scarce
        self.all_goes_well(rounds)

    # ---- what goes well

    @rule(which=WHICH, host=WHICH)
    def a_container_is_given(self, which: int, host: int) -> None:
        names = self.world.host_names
        self.world.yarn.give(which, names[host % len(names)])

    @rule(which=WHICH)
    def an_executor_registers(self, which: int) -> None:
        if executor := self.world.pick(which):
            executor.register()

    @rule(which=WHICH)
    def an_executor_beats(self, which: int) -> None:
        if executor := self.world.pick(which):
            executor.beat()

    @rule(which=WHICH)
    def an_executor_goes_on(self, which: int) -> None:
        if executor := self.world.pick(which):
            executor.step()

    @rule(times=st.integers(1, 4))
    def all_goes_well(self, times: int) -> None:
        for _ in range(times):
            self.calm()

    @rule(which=WHICH, end=EXITS)
    def a_program_ends(self, which: int, end: tuple[int, str]) -> None:
        running = [each for each in self.world.speaking() if each.phase == RUNS]
        if running:
            running[which % len(running)].end_program(*end)

    # ---- what does not

    @rule(which=WHICH, code=st.sampled_from([1, 137]), times=st.integers(1, 3))
    def a_program_fails(self, which: int, code: int, times: int) -> None:
        """The same one again, if it is started again."""
        for _ in range(times):
            running = [each for each in self.world.speaking() if each.phase == RUNS]
            if running:
                running[which % len(running)].end_program(code)
            self.calm()

    @rule(which=WHICH, problem=st.sampled_from(["gpu-idle", "command-not-found"]))
    def a_program_is_hopeless(self, which: int, problem: str) -> None:
        running = [each for each in self.world.speaking() if each.phase == RUNS]
        if running and which < 1:
            running[which % len(running)].end_program(75, problem)

    @rule(which=WHICH, problem=st.sampled_from(["source-archive-broken", "no-log-directory", "task-cannot-start"]))
    def an_executor_cannot_work(self, which: int, problem: str) -> None:
        new = [each for each in self.world.speaking() if each.phase in {NEW, AGAIN}]
        if new:
            new[which % len(new)].failing = problem

    @rule(which=WHICH, status=STATUSES, noticed=st.booleans())
    def a_container_ends(self, which: int, status: int, noticed: bool) -> None:
        if executor := self.world.pick(which):
            self.world.linger = False
            self.world.yarn.end(executor.container_id, status)
            if noticed and executor.name:
                self.world.agent.dropped(executor.container_id)
            self.world.look()

    @rule(which=WHICH, status=st.sampled_from([-100, -102, -104, -105, 143]))
    def a_node_tells_an_executor_to_end(self, which: int, status: int) -> None:
        if executor := self.world.pick(which):
            executor.told_to_end(status)

    @rule(which=WHICH)
    def a_container_that_waits_ends(self, which: int) -> None:
        held = [each for each in self.world.living() if each.phase in {HELD, AGAIN}]
        if held:
            self.world.yarn.end(held[which % len(held)].container_id, 137)
            self.world.look()

    @rule(which=WHICH, dropped=st.booleans())
    def an_executor_falls_silent(self, which: int, dropped: bool) -> None:
        if executor := self.world.pick(which):
            executor.silent = True
            if dropped and executor.name:
                self.world.agent.dropped(executor.container_id)

    @rule()
    def the_silent_speak_again(self) -> None:
        for executor in self.world.living():
            executor.silent = False

    @rule(host=WHICH, how=st.sampled_from([DOWN, UNKNOWN]))
    def a_node_is_away(self, host: int, how: str) -> None:
        names = self.world.host_names
        self.world.yarn.down = {} if self.world.yarn.down else {names[host % len(names)]: how}

    @rule(
        misses=st.booleans(), linger=st.booleans(), away=st.booleans(), upload=st.sampled_from(["", "", "HDFS is full"])
    )
    def surroundings_change(self, misses: bool, linger: bool, away: bool, upload: str) -> None:
        self.world.misses, self.world.linger, self.world.yarn.away = misses, linger, away
        self.world.upload_problem = upload

    @rule(seconds=st.sampled_from([0.4, 0.4, 4.0, 4.0, 12.0, 12.0, 35.0, 130.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)
        self.world.look()

    @rule(seconds=st.sampled_from([-100.0, 100.0, 1000.0]), really=WHICH)
    def the_clock_jumps(self, seconds: float, really: int) -> None:
        if really < 3:
            self.world.advance(seconds, heard=False)

    @rule(number=WHICH)
    def a_message_comes_again(self, number: int) -> None:
        self.world.repeat(number)

    @rule(really=WHICH)
    def a_client_kills(self, really: int) -> None:
        if really < (6 if self.world.agent.snapshot.stopping else 1):
            self.world.say("stop", wire.Stop("alice"))

    @rule(really=WHICH)
    def another_master_starts(self, really: int) -> None:
        world = self.world
        if really < 3 and world.attempt < world.plan.max_attempts and not world.over:
            world.next_master(list(world.agent.lines))

    # ---- what holds

    @invariant()
    def laws_hold(self) -> None:
        if hasattr(self, "laws"):
            self.laws.check()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.quiet()
            for _ in range(ROUNDS):
                if self.world.over:
                    break
                self.calm()
                self.end_programs()
                self.laws.check()
            require(self.world.over, f"the job has no end: {self.told()}")
            self.afterwards()
        finally:
            self.world.close()

    def quiet(self) -> None:
        """Let nothing more go wrong."""
        world = self.world
        world.yarn.away = world.misses = world.linger = False
        world.yarn.down, world.upload_problem = {}, ""
        for executor in world.living():
            executor.silent = False

    def calm(self) -> None:
        """Let 5 s go by in which everybody does what he should, but no program ends."""
        world = self.world
        for number, name in enumerate(list(world.yarn.asked)):
            if not (self.scarce and self.enough(name)):
                world.yarn.give(world.yarn.asked.index(name), world.host_names[number % len(world.host_names)])
        for executor in world.speaking():
            executor.register()
            for _ in range(2):
                executor.beat()
                executor.step()
        if world.linger:
            return
        for executor in world.living():
            if executor.container_id in world.yarn.ended:
                executor.alive = False
        world.advance(5.0)
        world.look()

    def enough(self, name: str) -> bool:
        """Return whether YARN has no room for more tasks of an elastic role."""
        living = sum(each.role == name for each in self.world.living())
        return living >= self.world.plan.role(name).needed

    def end_programs(self) -> None:
        for executor in self.world.speaking():
            if executor.phase == RUNS and executor.pid:
                executor.beat()
                executor.end_program(0)

    def afterwards(self) -> None:
        """After the verdict everybody is sent away, and nothing changes any more."""
        world = self.world
        for number in range(12):
            world.repeat(number)
        for executor in world.speaking():
            executor.register()
            executor.step()
            executor.beat()
            executor.step()
            require(not executor.alive, f"{executor.name} stays after the verdict")
        self.laws.check()

    def told(self) -> str:
        return "\n".join(line[:150] for line in self.world.agent.lines[-12:])


def run(examples: int) -> None:
    """Try so many jobs; the same ones in each run."""
    run_state_machine_as_test(
        AgentMachine,
        settings=settings(
            derandomize=True,
            deadline=None,
            database=None,
            max_examples=examples,
            stateful_step_count=40,
            phases=PHASES,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_job_ends_as_it_should() -> None:
    """Whatever happens to a job: it ends, its ends stay, its budget is kept, no attempt starts twice."""
    run(EXAMPLES)


EXITED = fold._fold.dispatch(events.TaskExited)
RESTARTING = fold._fold.dispatch(events.TaskRestarting)
# What a bug is, where it is put, the text that is replaced there, and what replaces it.
BUGS = [
    ("restarts do not count", recovery.after_failure, "keeps, fault.counted)", "keeps, False)"),
    ("the budget is not looked at", recovery._choice, "snapshot.restarts < plan.max_restarts", "True"),
    (
        "a task that starts again elsewhere keeps its container",
        RESTARTING,
        'task.container_id if event.keeps else ""',
        "task.container_id",
    ),
    ("a lost task starts again in its container", recovery.stays, "task.held", "bool(task.container_id)"),
    ("who was blamed stays blamed", RESTARTING, 'blamed=blamed[0] if blamed else ""', "blamed=snapshot.blamed"),
    ("what comes late changes a job that has ended", fold.apply, "snapshot.verdict is not None", "False"),
    ("a kill makes a failed job a killed one", policy.kill, "earlier.state == states.FAILED", "False"),
    (
        "the gang is released with one task missing",
        gang._all_or_enough,
        "snapshot.registered == len(snapshot.tasks)",
        "snapshot.registered >= len(snapshot.tasks) - 1",
    ),
    ("the only host is avoided", recovery.avoided_with, "if others else snapshot.avoided", ""),
    ("the round does not grow", recovery.after_failure, "snapshot.round + 1", "snapshot.round"),
    ("the chief's success is not seen", policy._succeeded, "role == CHIEF", "False"),
    ("an elastic role waits for all its tasks", gang._enough, "role.needed", "role.instances"),
    ("every task's failure is forgiven", EXITED, "if after.pardoned and (", "if ("),
    ("the index of a task that starts again is not free", RESTARTING, "lowest=lowest,", ""),
]


@pytest.mark.parametrize(("function", "text", "bug"), [pytest.param(*rest, id=name) for name, *rest in BUGS])
def test_a_bug_in_the_policy_is_caught(function, text, bug, monkeypatch):
    """The model finds each of these within a bounded number of jobs; else it would guard nothing."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(text) == 1, f"the code has changed: name another text than {text!r}"
    source = source[source.index("def ") :].replace(text, bug)
    namespace: dict[str, typing.Any] = {}
    exec(compile(f"from __future__ import annotations\n{source}", "a bug", "exec"), function.__globals__, namespace)  # noqa: S102
    monkeypatch.setattr(function, "__code__", namespace[function.__name__].__code__)
    with pytest.raises((AssertionError, LookupError, TypeError)):
        run(300)
