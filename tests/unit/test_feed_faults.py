"""What a follower hears when agent, store or ResourceManager are away, and what it makes of YARN's word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from am.contract import states, wire
from am.contract.events import JobEnded, Waiting, killed, to_line
from yarn_submitter.agentdoor import AgentGoneError
from yarn_submitter.errors import Problem, StagingError, UnreachableError
from yarn_submitter.facts import Amount
from yarn_submitter.feed import AppSeen, Feed
from yarn_submitter.rest import App
from yarn_submitter.verdicts import verdict_of

JOB_DIR = "/user/me/.yarn-submitter/jobs/20260101t000000-aaaaaa"
AWAY = UnreachableError(Problem("rm-unreachable", "The ResourceManager does not answer."))


def app(state: str, final: str = "UNDEFINED", said: str = "") -> App:
    """Return an application in a state."""
    nothing = Amount()
    return App(
        "application_1_1",
        "n",
        "me",
        "q",
        state,
        final,
        said,
        (),
        "skein",
        0,
        0.0,
        1.0,
        2.0,
        3.0,
        "",
        "",
        "",
        nothing,
        0,
        "",
    )


LOST = app("FAILED", "FAILED", "Container released on a *lost* node")
LATE = app("KILLED", "KILLED", "Application is killed by ResourceManager as it has exceeded the lifetime period.")


class Answers:
    """A ResourceManager that gives one answer after the other, the last for ever; an error is raised."""

    def __init__(self, *answers: App | UnreachableError | None) -> None:
        self.answers = list(answers)

    def get_app(self, _app_id: str) -> App | None:
        """Give the next answer."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, UnreachableError):
            raise answer
        return answer


class Written:
    """A store that holds nothing but a history of one segment."""

    def __init__(self, *events) -> None:
        self.text = "".join(to_line(event) + "\n" for event in events)

    def status(self, path: str):
        """There is a history when it has events."""
        return path if path.endswith("/history") and self.text else None

    def list(self, path: str):
        """Name its one segment."""
        return [type("Status", (), {"path": f"{path}/1-0.jsonl"})]

    def read(self, _path: str) -> bytes:
        """Return it."""
        return self.text.encode()


def follow(manager: Answers, store: Written, patience_s: float = 60.0) -> list:
    """Return all that a follower hears."""
    return list(Feed(manager, store, JOB_DIR, "application_1_1", patience_s).follow())


def test_a_resourcemanager_that_comes_back_is_waited_for():
    """A follower is told once that nobody answers, then that this is over, and hears the end all the same."""
    heard = follow(Answers(AWAY, AWAY, app("FINISHED", "SUCCEEDED", "w:0 exited with code 0")), Written())
    assert [type(item) for item in heard] == [Waiting, Waiting, AppSeen, JobEnded]
    assert heard[0].reason.startswith("The ResourceManager does not answer. Trying for 60 s")
    assert heard[1].reason == ""


def test_an_agent_that_comes_back_is_told_at_once(monkeypatch):
    """A follower is told once that it does not answer, and that it does again, whether it has news or not."""
    monkeypatch.setattr("yarn_submitter.feed._SILENT_AGENT_S", -1.0)
    monkeypatch.setattr("yarn_submitter.feed._PAUSE_S", 0.0)
    end = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
    heard: list = []
    before: list[int] = []  # how much was heard when the agent was asked
    answers = [None, None, wire.Events((), 0), wire.Events((to_line(end),), 1)]

    class Door:
        def events(self, _start, _wait_s):
            before.append(len(heard))
            answer = answers.pop(0)
            if answer is None:
                raise AgentGoneError("no answer")
            return answer

    class Scripted(Feed):
        def door(self):
            return Door()

    heard.extend(Scripted(Answers(app("RUNNING")), Written(), JOB_DIR, "application_1_1", 60.0).follow())
    assert [item.reason if isinstance(item, Waiting) else type(item) for item in heard] == [
        *(AppSeen, "the job's agent does not answer, YARN says that it runs; trying again", ""),
        JobEnded,
    ]
    assert before == [1, 2, 2, 3]


def test_a_store_that_fails_is_waited_for(monkeypatch):
    """A NameNode that answers but cannot say is as good as one that is away: for as long as that."""
    monkeypatch.setattr("yarn_submitter.feed._PAUSE_S", 0.0)
    end = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
    failed = StagingError(Problem("store-failed", "HDFS failed at it."))

    class Failing(Written):
        fails = 2

        def list(self, path: str):
            self.fails -= 1
            if self.fails >= 0:
                raise failed
            return super().list(path)

    heard = follow(Answers(app("FINISHED", "SUCCEEDED")), Failing(end))
    assert [type(item) for item in heard] == [Waiting, Waiting, AppSeen, JobEnded]
    assert heard[0].reason.startswith("HDFS failed at it. Trying for 60 s")
    with pytest.raises(StagingError):
        follow(Answers(app("FINISHED", "SUCCEEDED")), Failing(end), patience_s=0.0)


def test_patience_has_an_end():
    """When nobody answers for the whole time, the error itself comes."""
    with pytest.raises(UnreachableError):
        follow(Answers(AWAY), Written(), patience_s=0.0)


@pytest.mark.parametrize(
    ("seen", "state", "code", "problem"),
    [
        (app("FINISHED", "SUCCEEDED", "w:0 exited with code 0"), states.SUCCEEDED, 0, ""),
        (app("FINISHED", "FAILED", "w:0 on h exited with code 3"), states.FAILED, 76, "verdict-missing"),
        (app("FINISHED", "FAILED", "Application driver failed with exit code 1"), states.FAILED, 76, "agent-lost"),
        (app("FAILED", "FAILED", "AM Container exited with exitCode: -100"), states.FAILED, 76, "agent-lost"),
        (app("KILLED", "KILLED", "by somebody"), states.KILLED, 137, "killed-by-yarn"),
        (app("KILLED", "KILLED", "the job was killed by ada@edge: wrong"), states.KILLED, 137, "job-killed"),
        (LATE, states.KILLED, 75, "yarn-timeout"),
        (None, states.FAILED, 76, "application-lost"),
    ],
)
def test_yarns_word_when_the_agent_left_none(seen, state, code, problem):
    """A job whose history never reached the store ends as YARN was told, with YARN's words."""
    verdict = verdict_of(seen)
    assert (verdict.state, verdict.exit_code, verdict.problem) == (state, code, problem)
    if seen is not None:
        assert seen.diagnostics in (verdict.message, verdict.tail)


@pytest.mark.parametrize("reason", ["", "wrong data", "two\nlines"])
def test_a_kill_through_yarn_is_the_agents_verdict(reason):
    """It is told in the words that YARN was given, whatever YARN writes before them."""
    said = killed("ada@edge", reason, 3.0)
    assert verdict_of(app("KILLED", "KILLED", said.message)) == said
    assert verdict_of(app("KILLED", "KILLED", f"Application a was killed with: {said.message}")) == said


def test_a_lost_master_has_yarns_words_and_code():
    """The agent beside a master that dies knows no more than that: the code and the reason are YARN's."""
    said = (
        "Application a failed 2 times due to AM Container for b exited with  exitCode: 137\nKilled by external signal"
    )
    died = JobEnded(1.0, states.FAILED, 76, "yarn", "am-lost", "the ApplicationMaster on nm died")
    verdict = follow(Answers(app("FAILED", "FAILED", said)), Written(died))[-1]
    assert verdict.message == "the ApplicationMaster on nm died: exit code 137, Killed by external signal"
    assert verdict.tail == said


def test_a_timeout_is_told_with_its_limit():
    """When it was, and how long after the submission."""
    verdict = verdict_of(replace(LATE, started_s=1000.0, expires_s=1090.0))
    assert "1 min 30 s after its submission" in verdict.message
    assert "at" not in verdict_of(LATE).message.split()


GONE = JobEnded(1.0, states.KILLED, 137, "yarn", "am-stopped", "YARN stopped the ApplicationMaster")
TERM = JobEnded(1.0, states.FAILED, 143, "task", "task-failed", "w:0 on h exited with code 143", "w:0", "h")


@pytest.mark.parametrize(
    ("said", "seen", "code", "problem"),
    [
        (GONE, LOST, 76, "am-lost"),
        (GONE, app("KILLED", "KILLED", "by somebody"), 137, "am-stopped"),
        (GONE, LATE, 75, "yarn-timeout"),
        (GONE, app("KILLED", "KILLED", "Application a was killed with: the job was killed by me@h"), 137, "job-killed"),
        (TERM, LATE, 75, "yarn-timeout"),
        (replace(TERM, exit_code=3), LATE, 3, "task-failed"),
        (TERM, LOST, 76, "am-lost"),
        (TERM, app("FINISHED", "FAILED", "w:0 on h exited with code 143"), 143, "task-failed"),
        (replace(TERM, exit_code=76, problem="executor-lost", origin="yarn"), LOST, 76, "am-lost"),
        (replace(TERM, exit_code=3), LOST, 3, "task-failed"),
    ],
)
def test_what_the_loss_of_the_master_looks_like_is_told_apart_by_yarn(said, seen, code, problem):
    """An agent that was stopped, or whose tasks were, thinks of a kill; YARN knows that it lost the master's node."""
    verdict = follow(Answers(seen), Written(said))[-1]
    assert (verdict.exit_code, verdict.problem) == (code, problem)
