"""What is done with jobs on the second day: submitted again, moved, hurried, limited, filtered, cleaned."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

from cluster.leftovers import site_of
from cluster.typing_jobs import JOB, Result, Typist, until

from am.contract.job import spec_dir
from yarn_submitter.sandbox import SandboxInfo

SLEEPER = "echo ready; exec sleep 300"
READER = "cat key data/text && python3 code.py"


def id_of(ended: Result) -> str:
    """Return our id of the job that a `job run` has told."""
    found = re.search(r"submitted .*, id (\S+)", ended.err)
    assert found, ended.err
    return found[1]


def queue_of(sandbox: SandboxInfo, application_id: str) -> str:
    """Return the queue in which YARN has an application."""
    app = site_of(sandbox).resource_manager.get_app(application_id)
    assert app is not None
    return app.queue


def detached(typist: Typist, name: str, *words: str, **roles: str) -> str:
    """Submit a job, wait until it runs, return its application id."""
    submitted = typist.type(*typist.generic(name, "--detach", *words, **roles))
    assert submitted.code == 0, submitted.err
    until("it runs", lambda: typist.type("show", name, "--json").json()["state"] == "RUNNING", 60)
    return submitted.out.strip()


def test_rerun_needs_no_local_file_but_secrets(typist: Typist, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """A job that succeeded and one that failed run again from their record, from another directory, files gone."""
    for name, content in {"data/text": "here\n", "src/code.py": "print('from src'); raise SystemExit(CODE)"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
    (tmp_path / "key").write_text("secret\n")
    code = tmp_path / "src" / "code.py"
    more = ["--src", str(code.parent), "--localization", f"{tmp_path}/data:./data"]
    more += ["--secret", f"./key=@{tmp_path}/key", "--env", "X=y z"]
    firsts = {}
    for name, exit_code in {"again-good": 0, "again-bad": 3}.items():
        code.write_text(f"print('from src'); raise SystemExit({exit_code})")
        first = typist.type(*typist.generic(name, *more, a=READER))
        assert first.code == exit_code, first.err
        firsts[name] = id_of(first)
    shutil.rmtree(tmp_path / "src")
    shutil.rmtree(tmp_path / "data")
    site = site_of(sandbox)
    cached = [(entry.path, entry.mtime_ms) for entry in site.store.list(site.paths.cache)]
    good = typist.type("rerun", firsts["again-good"])
    assert good.code == 0, good.err
    assert [line for line in good.out.splitlines() if "[a:0]" in line] == [
        "[a:0] secret",
        "[a:0] here",
        "[a:0] from src",
    ]
    bad = typist.type("rerun", "again-bad", "--name", "again-renamed", "--json")
    assert (bad.code, bad.json()["state"], bad.json()["name"]) == (3, "FAILED", "again-renamed"), bad.err
    assert [(entry.path, entry.mtime_ms) for entry in site.store.list(site.paths.cache)] == cached
    record = json.loads(site.store.read(f"{spec_dir(site.paths.job(id_of(good)))}/plan.json"))["record"]
    assert record["rerun_of"] == firsts["again-good"]
    listed = typist.type("list", "--tag", f"ys-rerun-of:{firsts['again-bad']}", "--json").json()["jobs"]
    assert [job["name"] for job in listed] == ["again-renamed"]
    (tmp_path / "key").unlink()
    for path, _ in cached:
        if any(path.endswith(end) for end in (f"{file['sha256']}.tar.gz" for file in record["files"].values())):
            site.store.delete(path)
    refused = typist.type("rerun", "again-good")
    assert (refused.code, refused.out) == (64, "")
    for told in ("[rerun-files]", f"{tmp_path}/data: it is gone", f"{tmp_path}/src: it is gone", "[secret-file]"):
        assert told in refused.err


def test_a_live_job_is_moved_hurried_and_limited(typist: Typist, sandbox: SandboxInfo) -> None:
    """YARN has it in the other queue and with the priority; the timeout ends it, and `job run` says so with 75."""
    running = typist.start(*typist.generic("limited", a=SLEEPER))
    running.wait_line("[a:0] ready")
    (job,) = typist.type("list", "--name", "limited", "--json").json()["jobs"]
    moved = typist.type("move", "limited", "ml")
    assert "moved from queue default to ml" in moved.out, moved.err
    assert queue_of(sandbox, job["application_id"]) == "ml"
    assert typist.type("show", "limited", "--json").json()["queue"] == "ml"
    hurried = typist.type("priority", "limited", "99", "--json").json()
    assert (hurried["priority_before"], hurried["priority"]) == (0, 10)
    later = typist.type("timeout", "limited", "1h", "--json").json()
    out = typist.type("show", "limited").out
    for told in ("ml (moved from default)", "Priority:          10", "Timeout:           YARN kills the job at "):
        assert told in out
    sooner = typist.type("timeout", "limited", "5s", "--json").json()
    assert later["expires_s"] - sooner["expires_s"] > 3000
    ended = running.end(60)
    assert ended.code == 75, ended.err
    assert "job limited KILLED: The job ran longer than its timeout in YARN: it had until 20" in ended.err
    assert "exit code 75 (origin: yarn)" in ended.err
    shown = typist.type("show", "limited", "--json").json()
    assert (shown["state"], shown["exit_code"], shown["problem"]) == ("KILLED", 75, "yarn-timeout")
    for words in (("move", "prod"), ("priority", "1"), ("timeout", "1h")):
        refused = typist.type(words[0], "limited", words[1])
        assert (refused.code, "[job-over]" in refused.err) == (64, True), refused.err


def test_a_move_that_cannot_be(typist: Typist, sandbox: SandboxInfo) -> None:
    """No such queue, a parent, and a queue that takes no jobs of this user: refused by us, the job stays."""
    application_id = detached(typist, "stays", a=SLEEPER)
    for queue, problem in {"nosuch": "queue-unknown", "root": "queue-not-leaf"}.items():
        refused = typist.type("move", "stays", queue)
        assert (refused.code, f"[{problem}]" in refused.err) == (64, True), refused.err
    other = typist.type("move", application_id, "prod", HADOOP_USER_NAME="somebody-else")
    assert other.code in (64, 77), other.err
    assert queue_of(sandbox, application_id) == "default"
    assert typist.type("kill", "stays").code == 0


def test_list_is_filtered_by_yarn(typist: Typist, sandbox: SandboxInfo) -> None:
    """Queue, user, state and name, alone and together; a queue's parent stands for what lives below it."""
    detached(typist, "filter-ml", "--queue", "ml", a=SLEEPER)
    failed = typist.type(*typist.generic("filter-failed", "--am_attempts", "1", a="exit 3"))
    assert failed.code == 3, failed.err
    app_id = failed.err.partition("submitted filter-failed: ")[2].partition(",")[0]
    manager = site_of(sandbox).resource_manager
    until("YARN has its end", lambda: (app := manager.get_app(app_id)) is not None and app.ended, 60)

    def names(*words: str) -> list[str]:
        listed = typist.type("list", "--json", *words)
        assert listed.code == 0, listed.err
        return [job["name"] for job in listed.json()["jobs"] if job["name"].startswith("filter-")]

    assert names("--queue", "ml") == names("--queue", "root.ml") == names("--state", "RUNNING") == ["filter-ml"]
    assert names() == ["filter-failed", "filter-ml"]
    assert names("--queue", "root") == ["filter-ml"]
    assert names("--state", "failed", "--queue", "default") == names("--name", "filter-failed") == ["filter-failed"]
    assert names("--user", "somebody-else") == []
    assert names("--all_users", "--state", "SUCCEEDED,KILLED") == []
    unknown = typist.type("list", "--queue", "nosuch")
    assert (unknown.code, "[queue-unknown]" in unknown.err) == (64, True)
    assert typist.type("kill", "filter-ml").code == 0


def test_clean_removes_what_it_shows_and_nothing_of_a_live_job(typist: Typist, sandbox: SandboxInfo) -> None:
    """Ended jobs' directories go; a live job's, what it uses of another's, and the cache that it names stay."""
    site = site_of(sandbox)
    ended = [typist.type(*typist.generic(name, a=f"echo {name} > $OUTPUT_DIR/f")) for name in ("old-1", "old-2")]
    assert [one.code for one in ended] == [0, 0]
    first, second = (id_of(one) for one in ended)
    used = f"hdfs://{site.paths.job(second)}/output/a-0/f"
    detached(typist, "lives", "--localization", f"{site.conf.default_fs}{used.removeprefix('hdfs://')}:./f", a=SLEEPER)
    live = typist.type("show", "lives", "--json").json()["id"]

    def there() -> set[str]:
        return {entry.name for entry in site.store.list(site.paths.jobs)}

    before = there()
    shown = typist.type("clean", "--older", "1s", "--state", "SUCCEEDED", "--json")
    document = shown.json()
    assert (shown.code, document["removed"], there()) == (64, False, before)
    ids = {job["id"] for job in document["jobs"]}
    assert first in ids
    assert not ids & {second, live}
    assert any(second in kept["path"] and live in kept["why"] for kept in document["kept"])
    refused = typist.type("clean", "lives", first, "--yes")
    assert (refused.code, "[clean-live]" in refused.err, there()) == (64, True, before)
    done = typist.type("clean", "--older", "1s", "--state", "SUCCEEDED", "--cache", "--yes")
    assert done.code == 0, done.err
    assert before - there() == ids
    assert typist.type("show", "lives", "--json").json()["state"] == "RUNNING"
    gone = typist.type("show", first)
    assert (gone.code, "[job-record-missing]" in gone.err) == (64, True)
    assert typist.type("kill", "lives").code == 0
    assert typist.type("clean", second, live, "--yes").code == 0
    assert not there() & {first, second, live}


def test_a_job_submits_another_from_its_container(typist: Typist, sandbox: SandboxInfo) -> None:
    """With what YARN and the executor put into a task's environment, and `yarn` on PATH; it waits for its child."""
    inner = typist.generic("inner", a="echo from the inner job; exit 5")
    lines = [
        f"export XDG_CACHE_HOME={shlex.quote(str(cache_of(typist)))} PATH={shlex.quote(str(sandbox.bin_dir))}:$PATH",
        "env | grep -c '^YARN_SUBMITTER_\\|^HADOOP_TOKEN_FILE_LOCATION=\\|^CONTAINER_ID='",
        shlex.join([JOB, *inner]),
        "echo inner ended with $?",
        shlex.join([JOB, "list", "--name", "inner", "--state", "FAILED"]),
    ]
    ended = typist.type(*typist.generic("outer", memory="1G", a="\n".join(lines)))
    assert ended.code == 0, ended.err
    assert "[a:0] [a:0] from the inner job" in ended.out, ended.out
    assert "[a:0] inner ended with 5" in ended.out
    listed = [line for line in ended.out.splitlines() if re.search(r"application_\S+ +inner +FAILED", line)]
    assert len(listed) == 1


def cache_of(typist: Typist) -> Path:
    """Return the user's cache, where the agent's environment is packed already."""
    home = Path(typist.environment["HOME"])
    return Path(typist.environment.get("XDG_CACHE_HOME") or home / ".cache")


def test_version(typist: Typist) -> None:
    """`job --version` and `job run --version`, without a cluster."""
    said = [typist.type(*words, HADOOP_CONF_DIR="") for words in (["--version"], ["run", "--version"])]
    assert {(one.code, one.out) for one in said} == {(0, said[0].out)}
    assert said[0].out.startswith("yarn-submitter ")
