"""What a refusal looks like, and that it leaves nothing on the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster.leftovers import site_of
from cluster.typing_jobs import Result, until

from yarn_submitter.sandbox import SandboxInfo

TOLD_S = 10.0  # what a client can know is said within ten seconds


@pytest.fixture(autouse=True)
def nothing_submitted(sandbox: SandboxInfo) -> Iterator[None]:
    """No test here may bring YARN an application that lives, or leave a job's directory."""
    site = site_of(sandbox)

    def there() -> tuple[list[str], list[str]]:
        jobs = site.store.list(site.paths.jobs) if site.store.status(site.paths.jobs) else []
        apps = site.resource_manager.list_apps()
        return [app.id for app in apps if app.state != "KILLED"], [job.path for job in jobs]

    before = there()
    yield
    until(lambda: f"all is as it was: {before}, {there()}", lambda: there() == before, 20)


def refused(ended: Result, code: int, problem: str, *said: str) -> None:
    """Assert that a command ended with this problem alone, told well."""
    assert ended.code == code, ended.err
    assert f"[{problem}]" in ended.err, ended.err
    assert ended.err.count("job: ") == 1, ended.err
    assert "  next: " in ended.err, ended.err
    assert "Traceback" not in ended.err, ended.err
    assert "\tat " not in ended.err, ended.err
    assert ended.out == ""
    for words in said:
        assert words in ended.err, ended.err
