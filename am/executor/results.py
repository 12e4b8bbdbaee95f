"""Which of a task's directories go where, during the run and at its end."""

from __future__ import annotations

import threading
import time
import typing

from am.contract.job import JobPlan, output_dir, split_task
from am.executor.checkpoints import CheckpointMirror, CheckpointWatch
from am.executor.environment import Directories
from am.executor.files import Carrier
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
        if plan.checkpoint_path and self._main:
            self.mirror = CheckpointMirror(self.carrier, directories.checkpoint, plan.checkpoint_path)
        if plan.checkpoint_path and self._watches:
            self._watch = CheckpointWatch(directories.checkpoint, plan.checkpoint_path)

    def fetch(self, leash: Leash) -> None:
        """Bring the checkpoint, if this task has one.

        Raises:
            StoreError: It cannot be read, or `leash` is over.
            OSError: It cannot be written here.
        """
        if self.mirror is not None:
            self.mirror.fetch(Store(self._plan.webhdfs, self._plan.user, leash))

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
