"""What must hold for every job at every moment, whatever happens to it: read from its event lines and its snapshot."""

from __future__ import annotations

import dataclasses
import typing

from agent_model_executor import require

from am.agent import fold, snapshot
from am.contract import events, states
from am.contract.job import FIRST_COME

if typing.TYPE_CHECKING:
    from agent_model import World

    from am.agent.snapshot import Snapshot, Task

# What the model does to tasks, and whose fault that is; said here anew, so that the table of faults is tested, too.
NOT_COUNTED = frozenset(
    (
        "executor-lost",
        "task-silent",
        "preempted",
        "node-lost",
        "disks-failed",
        "container-stopped",
        "container-ended",
        "registration-timeout",
        "no-log-directory",
        "gpu-missing",
        "address-in-use",
    )
)
HOPELESS = frozenset(("gpu-idle", "command-not-found", "source-archive-broken", "memory-exceeded", "executor-bug"))


class Laws:
    """Watches one job over all its agents.

    Args:
        world: The job and its cluster.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.plan = world.plan
        self.now = snapshot.start(self.plan)
        self.seen = 0
        self.counted = 0

    def check(self) -> None:
        """Read what is new; then look at the job as it stands.

        Raises:
            BrokenLawError: A law does not hold.
        """
        agent = self.world.agent
        require(not self.world.wrongs, "; ".join(self.world.wrongs))
        for line in agent.lines[self.seen :]:
            self.seen += 1
            event = events.from_line(line)
            require(event is not None, f"a line that nobody reads: {line}")
            before, self.now = self.now, fold.apply(self.now, event)
            self._event(before, event)
            _stays(before, self.now, line)
            _counters(self.now, line)
        require(self.now == agent.snapshot, "the lines, read anew, give another job")
        self._budget()
        self._at_rest()

    def _event(self, before: Snapshot, event: events.Event) -> None:
        check = getattr(self, f"_{type(event).__name__}", None)
        if check is not None:
            check(before, event)

    def _GangComplete(self, before: Snapshot, event: events.GangComplete) -> None:  # noqa: N802 - an event's name
        require(before.stopping is None, "a job that stops was released")
        for role in self.plan.roles:
            tasks = before.role(role.name)
            up = [task for task in tasks if task.up]
            require(len(up) >= role.needed, f"the gang was released with {len(up)} of {role.needed} {role.name}")
            require([task.index for task in up] == list(range(len(up))), f"the gang of {role.name} has a gap")
            fresh = all(task.round == before.round for task in up)
            require(fresh, f"the gang was released with {role.name} of an earlier round")
            ports = [task.address.rpartition(":")[2] for task in up]
            said = [address.rpartition(":")[2] for address in event.topology[role.name]]
            require(ports == said, f"the topology of {role.name} is {said}, and its tasks are at {ports}")

    def _TaskRestarting(self, before: Snapshot, event: events.TaskRestarting) -> None:  # noqa: N802
        task = before.tasks[event.task]
        require(event.attempt == task.attempt + 1, f"{event.task} goes from attempt {task.attempt} to {event.attempt}")
        require(before.stopping is None, f"{event.task} starts again in a job that stops")
        if event.keeps:
            kept = self.world.executors[task.container_id]
            spoke = task.exit is not None and task.exit.witness == "executor"
            require(spoke, f"{event.task} keeps a container of which only YARN spoke")
            require(kept.host not in before.avoided, f"{event.task} stays on a host that is avoided")
        if task.round == before.round:
            self._count(task, counted=event.counted)

    def _JobRestarting(self, before: Snapshot, event: events.JobRestarting) -> None:  # noqa: N802
        require(event.round == before.round + 1, f"round {event.round} follows round {before.round}")
        require(before.stopping is None, "a job that stops starts again")
        self._count(before.tasks[event.task], counted=event.counted)

    def _count(self, task: Task, *, counted: bool) -> None:
        self.counted += counted
        require(task.exit is not None and task.failed, f"{task.name} starts again and has not failed")
        problem = task.exit.problem if task.exit is not None else ""
        require(problem not in HOPELESS, f"{task.name} starts again after {problem}")
        should = problem not in NOT_COUNTED
        require(counted == should, f"a restart after {problem or 'a failed program'} counts: {counted}")

    def _JobStopping(self, before: Snapshot, event: events.JobStopping) -> None:  # noqa: N802
        verdict = event.verdict
        if verdict is None or verdict.state != states.SUCCEEDED:
            return
        for task in before.tasks.values():
            require(not task.failed or task.pardoned, f"the job succeeds although {task.name} failed")
        chiefs = before.role("chief")
        if self.plan.done_when == "chief" and chiefs and all(task.state == states.SUCCEEDED for task in chiefs):
            return
        for task in before.tasks.values():
            elastic = self.plan.role(task.role).min_instances > 0 and task.lacking
            good = task.state == states.SUCCEEDED or task.pardoned or elastic or not task.tracked
            require(good, f"the job succeeds although {task.name} is {task.state}")

    def _HostAvoided(self, before: Snapshot, event: events.HostAvoided) -> None:  # noqa: N802
        others = set(self.world.host_names) - before.avoided - {event.host}
        require(others, f"{event.host} is avoided, and there is no other host")

    def _budget(self) -> None:
        allowed = self.plan.max_restarts
        require(self.counted <= allowed, f"{self.counted} restarts were counted, and {allowed} are allowed")
        require(self.counted == self.now.restarts, f"{self.now.restarts} restarts are counted of {self.counted}")

    def _at_rest(self) -> None:
        """Check what holds when the agent has done all that it wanted."""
        now = self.now
        if now.stopping is not None or now.verdict is not None:
            return
        require(not now.behind, f"nobody begins the new attempts of {now.behind}")
        chiefs = now.role("chief")
        done = self.plan.done_when == "chief" and chiefs and all(task.state == states.SUCCEEDED for task in chiefs)
        require(not (done and not now.blamed), "the chief has succeeded, and the job goes on")
        doubted = bool(self.world.agent.signs.doubted_s) or not self.world.rested
        failed = [task.name for task in now.tasks.values() if task.failed and not task.pardoned]
        require(not failed or doubted, f"{failed} failed, and nothing follows")
        if not now.topology:
            runs = [task for task in now.tasks.values() if task.state == states.RUNNING and task.round == now.round]
            early = [task.name for task in runs if self.plan.role(task.role).start != FIRST_COME]
            require(not early, f"commands of {early} run before the gang is complete")


def _stays(before: Snapshot, after: Snapshot, line: str) -> None:
    """Check what no event may change."""
    require(list(before.tasks) == list(after.tasks), f"tasks came or went with {line}")
    if before.verdict is not None:
        require(before == after, f"the job has its verdict, and is changed by {line}")
    if before.stopping is not None and before.stopping.verdict is not None and after.stopping is not None:
        was, is_ = before.stopping.verdict, after.stopping.verdict
        changed = was.state in {states.FAILED, states.KILLED} and was != is_
        require(not changed, f"the end was decided, and is changed by {line}")
    for name, task in before.tasks.items():
        then = after.tasks[name]
        require((then.role, then.index) == (task.role, task.index), f"{name} is another task after {line}")
        require(then.attempt >= task.attempt, f"{name} goes back to attempt {then.attempt} with {line}")
        if task.ended and then.attempt == task.attempt:
            same = (then.state, then.exit) == (task.state, task.exit)
            require(same, f"{name} had ended as {task.state}, and is {then.state} after {line}")


def _counters(now: Snapshot, line: str) -> None:
    """Check that what is counted along is what counting anew gives."""
    tasks = now.tasks.values()
    ended = now.verdict is not None
    anew = dataclasses.replace(
        now,
        registered=sum(task.up for task in tasks),
        lacking=0 if ended else sum(task.lacking for task in tasks),
        holding=sum(task.holds_success for task in tasks) if not ended else now.holding,
        unsettled=0 if ended else sum(not task.settled for task in tasks),
        containers={task.container_id: task.name for task in tasks if task.container_id},
    )
    if ended:
        anew = dataclasses.replace(anew, registered=now.registered)
    for counter in ("registered", "lacking", "holding", "unsettled", "containers"):
        counted, right = getattr(now, counter), getattr(anew, counter)
        require(counted == right, f"{counter} is {counted} and should be {right} after {line}")
    behind = {task.name for task in tasks if task.round < now.round and task.ended}
    require(ended or behind <= set(now.behind), f"behind is {now.behind} and should hold {behind} after {line}")
    for name in now.behind:
        require(now.tasks[name].round < now.round, f"{name} is behind in its own round after {line}")
    for role in {task.role for task in tasks}:
        first = next((task.index for task in now.role(role) if task.lacking), None)
        require(ended or now.free_index(role) == first, f"the free index of {role} is not {first} after {line}")
