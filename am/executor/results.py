"""Which of a task's directories go where, during the run and at its end."""

from __future__ import annotations

import threading
import time
import typing

from am.contract.job import JobPlan, output_dir, split_task
from am.executor.checkpoints import CheckpointMirror, CheckpointWatch
from am.executor.environment import Directories
from am.executor.files import TRIES, Carrier
from am.executor.happenings import say
from am.executor.webhdfs import Leash, Store, StoreError

MIRROR_S = 60.0
WATCH_S = 15.0


class Results:
    """What one task leaves on the store.

    Args:
        plan: The job.
        task: `role:index`.
        directories: The task's local ones.

    Attributes:
        leash: Limits the carrying.
        carrier: Counts it.
        mirror: Of the checkpoint; None when this is not the main task, or only watches.
        due_at: By the monotonic clock, when the checkpoint is to be looked at again.
    """

    def __init__(self, plan: JobPlan, task: str, directories: Directories) -> None:
        self.leash = Leash()
        self.carrier = Carrier(Store(plan.webhdfs, plan.user, self.leash), task)
        self.mirror: typing.Optional[CheckpointMirror] = None
        self.due_at = float("inf")
        self._plan = plan
        self._task = task
        self._directories = directories
        self._mirroring: typing.Optional[threading.Thread] = None
        self._watch: typing.Optional[CheckpointWatch] = None
        self._watches = plan.role(split_task(task)[0]).watches
        self._main = task == plan.main_task and not self._watches
        self._fetched = False
        self._newest: typing.Optional[CheckpointWatch] = None
        if plan.checkpoint_path and self._main:
            self.mirror = CheckpointMirror(self.carrier, directories.checkpoint, plan.checkpoint_path)
        elif plan.checkpoint_path:
            self._newest = CheckpointWatch(directories.checkpoint, plan.checkpoint_path)
            self._watch = self._newest if self._watches else None

    def fetches(self, attempt: int) -> bool:
        """Return whether a checkpoint has to be here before this attempt of the task starts.

        The task that sends checkpoints gets what lies on the store once and keeps it over restarts in its container;
        every other task gets the newest when it starts again.
        """
        if self.mirror is not None:
            return not self._fetched
        return self._newest is not None and attempt > 1 and not self._watches

    def fetch(self, leash: Leash) -> None:
        """Bring the checkpoint.

        Raises:
            StoreError: It cannot be read, or `leash` is over.
            OSError: It cannot be written here.
        """
        store = Store(self._plan.webhdfs, self._plan.user, leash)
        if self.mirror is not None:
            self.mirror.fetch(store)
            self._fetched = True
        elif self._newest is not None:
            self._fetch_newest(self._newest, store)

    def _fetch_newest(self, newest: CheckpointWatch, store: Store) -> None:
        """Get it, again when a file of it was deleted meanwhile: the main task may be running."""
        for left in reversed(range(TRIES)):
            try:
                newest.update(store)
            except StoreError as error:
                if error.lost or not left or store.leash.over():
                    raise
            else:
                return

    def renew(self) -> None:
        """Let another attempt of the task begin: nothing that was ordered of the last one's results counts for it."""
        self.leash.renew()
        self.due_at = float("inf")

    def look(self) -> None:
        """Send what is new of the checkpoint, or fetch it, in a thread, when that is due."""
        now = time.monotonic()
        if (self.mirror is None and self._watch is None) or now < self.due_at < float("inf"):
            return
        first = self.due_at == float("inf")
        if (self._watch is not None or not first) and (self._mirroring is None or not self._mirroring.is_alive()):
            self._mirroring = threading.Thread(target=self._update, name="mirror", daemon=True)
            self._mirroring.start()
        self.due_at = now + (MIRROR_S if self._watch is None else WATCH_S)

    def _update(self) -> None:
        if self._watch is not None:
            try:
                self._watch.update(Store(self._plan.webhdfs, self._plan.user, self.leash))
            except (StoreError, OSError) as error:
                say(f"The checkpoint was not fetched: {error}; it is tried again")
        elif self.mirror is not None:
            self.mirror.update()
            for problem in self.carrier.begin_anew():
                say(f"{problem}; it is tried again")

    def send_checkpoint(self) -> None:
        """Send what is new of the checkpoint, if this task sends it."""
        if self.mirror is None or not self._fetched:
            return
        if self._mirroring is not None:
            self._mirroring.join()
        self._update()

    def carry(self) -> None:
        """Send everything, what the job is for first; problems are the carrier's."""
        if self._watch is not None:
            self.due_at = float("inf")
        elif self._mirroring is not None:
            self._mirroring.join()
        self.carrier.begin_anew()
        plan, here = self._plan, self._directories
        if self._main and plan.saved_model_path:
            self.carrier.upload("MODEL_DIR", here.model, plan.saved_model_path)
        if self.mirror is not None:
            self.mirror.update()
        there = output_dir(plan.job_dir, self._task)
        self.carrier.upload("OUTPUT_DIR", here.output, there)
        self.carrier.upload("JOB_STATE_DIR", here.state, f"{there}/state")
