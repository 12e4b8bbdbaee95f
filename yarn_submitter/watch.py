"""Waiting for jobs: one thread for each watched job follows its feed, and any number of callers hear what it hears.

The thread is a daemon and ends with the job; it goes on when a wait is given up, so that the next one knows at once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from am.contract.events import JobEnded
from yarn_submitter.errors import LimitError, Problem, SubmitterError
from yarn_submitter.feed import Feed
from yarn_submitter.monitor import JobView, apply, begin
from yarn_submitter.rest import LIVE, App, ResourceManager

if TYPE_CHECKING:
    from yarn_submitter.hadoopconf import HadoopConf
    from yarn_submitter.job import Job

_BEAT_S = 0.25  # less than the pause between two questions of a feed
_MOST_SHOWN = 10
T = TypeVar("T")
Listener = Callable[[JobView | Exception], None]


class Watch:
    """One job, watched in the background from the first listener on.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._view: JobView | None = None
        self._runs = False

    @property
    def ended(self) -> JobView | None:
        """Return the job's last view, or None when its end has not been heard of."""
        view = self._view
        return view if view is not None and view.verdict is not None else None

    @contextlib.contextmanager
    def listening(self, tell: Listener, resource_manager: ResourceManager | None = None) -> Iterator[None]:
        """Have `tell` called with the view as it is known, and with each that follows, until the block ends.

        It is called from the watching thread and must return at once. An exception instead of a view is the last
        that it is told.

        Args:
            tell: Who is told.
            resource_manager: Another way to the ResourceManager than the job's own.
        """
        with self._lock:
            if self._view is not None:
                tell(self._view)
            self._listeners.append(tell)
            if not self._runs and self.ended is None:
                self._runs = True
                door = resource_manager or self._job.site.resource_manager
                name = f"watch {self._job.id}"
                threading.Thread(target=self._follow, args=(door,), name=name, daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(tell)

    def _follow(self, resource_manager: ResourceManager) -> None:
        job = self._job
        try:
            view = begin(job.plan)
            for item in Feed(resource_manager, job.site.store, job.plan.job_dir, job.application_id).follow():
                view = apply(view, item)
                if view.verdict is not None:
                    with contextlib.suppress(SubmitterError):  # who looks at the job next tries again
                        job.sweep(view.verdict)
                self._publish(view, runs=view.verdict is None)
        except Exception as error:  # noqa: BLE001  raised where somebody waits
            self._publish(error, runs=False)

    def _publish(self, said: JobView | Exception, *, runs: bool) -> None:
        with self._lock:
            self._view = None if isinstance(said, Exception) else said
            self._runs = runs
            for tell in self._listeners:
                tell(said)


class Crowd(ResourceManager):
    """A ResourceManager that is asked about many waiting jobs at once instead of about each of them."""

    def __init__(self, conf: HadoopConf, user: str) -> None:
        """Make it; nothing is sent."""
        super().__init__(conf, user)
        self._lock = threading.Lock()
        self._asked_s = -_BEAT_S
        self._live: dict[str, App] = {}
        self._silence: SubmitterError | None = None

    def get_app(self, app_id: str) -> App | None:
        """Return an application as it was a moment ago, None when the ResourceManager does not know it."""
        with self._lock:
            if time.monotonic() - self._asked_s >= _BEAT_S:
                self._ask()
            if self._silence is not None:
                raise self._silence
            app = self._live.get(app_id)
        return app or super().get_app(app_id)

    def _ask(self) -> None:
        self._silence = None
        try:
            self._live = {app.id: app for app in self.list_apps(user=self._user, states=LIVE, tags=("yarn-submitter",))}
        except SubmitterError as error:
            self._silence = error
        self._asked_s = time.monotonic()


def wait(job: Job, timeout_s: float | None, on_change: Callable[[JobView], None] | None) -> JobEnded:
    """Return a job's verdict when it has one; see Job.wait."""
    said: queue.SimpleQueue[JobView | Exception] = queue.SimpleQueue()
    end_s = _end(timeout_s)
    with job.watch.listening(said.put):
        while True:
            try:
                view = _heard(said, end_s)
            except queue.Empty:
                raise _too_late([job], timeout_s) from None
            if isinstance(view, Exception):
                raise view
            if on_change is not None:
                on_change(view)
            if view.verdict is not None:
                return view.verdict


def as_completed(jobs: Iterable[Job], timeout_s: float | None) -> Iterator[Job]:
    """Yield jobs as they end; see api.as_completed."""
    said: queue.SimpleQueue[tuple[Job, JobView | Exception]] = queue.SimpleQueue()
    end_s = _end(timeout_s)
    waiting = dict.fromkeys(jobs)
    crowds: dict[tuple[str, str], Crowd] = {}
    with contextlib.ExitStack() as listening:
        for job in waiting:
            site = job.site
            crowd = crowds.setdefault((site.name, site.user), Crowd(site.conf, site.user))
            listening.enter_context(job.watch.listening(_for(job, said), crowd))
        while waiting:
            try:
                job, view = _heard(said, end_s)
            except queue.Empty:
                raise _too_late(list(waiting), timeout_s) from None
            if isinstance(view, Exception):
                raise view
            if view.verdict is not None and job in waiting:
                del waiting[job]
                yield job


def _for(job: Job, said: queue.SimpleQueue[tuple[Job, JobView | Exception]]) -> Listener:
    return lambda view: said.put((job, view))


def _end(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


def _heard(said: queue.SimpleQueue[T], end_s: float | None) -> T:
    """Return what is said next; raises queue.Empty at `end_s`."""
    return said.get() if end_s is None else said.get(timeout=max(0.0, end_s - time.monotonic()))


def _too_late(jobs: list[Job], timeout_s: float | None) -> LimitError:
    which = f"job {jobs[0].name}" if len(jobs) == 1 else f"{len(jobs)} jobs"
    sentence = f"Within {timeout_s or 0:g} s {which} did not end."
    rows = [f"{job.name} {job.id} {job.application_id}" for job in jobs[:_MOST_SHOWN]]
    more = [f"and {len(jobs) - _MOST_SHOWN} more"] if len(jobs) > _MOST_SHOWN else []
    return LimitError(Problem("wait-timeout", sentence, "\n".join(rows + more), "nothing was ended: wait again"))
