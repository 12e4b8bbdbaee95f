"""yarn-submitter: run a training job on a Hadoop cluster with one command, or from a program.

    import yarn_submitter as ys

    worker = ys.RoleSpec("worker", 2, ys.Ask.of("memory=1G"), "python3 fit.py")
    job = ys.submit(ys.JobSpec("fit", "generic", (worker,), source_dir="src"))
    print(job.wait().state)

docs/python-api.md tells more. Nothing is imported before it is asked for.
"""

# ruff: noqa: TC004 -- what __all__ names is imported when it is asked for

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False  # typing's own costs more to import than all the rest here
if TYPE_CHECKING:
    from am.contract.events import JobEnded
    from yarn_submitter.api import (
        ListedJob,
        as_completed,
        attach,
        job_from_file,
        job_from_words,
        list_jobs,
        plan,
        submit,
    )
    from yarn_submitter.errors import (
        DeniedError,
        InternalError,
        LimitError,
        LostError,
        Problem,
        StagingError,
        SubmitterError,
        UnreachableError,
        UsageError,
    )
    from yarn_submitter.job import Job
    from yarn_submitter.monitor import JobView, TaskView
    from yarn_submitter.outputs import LogLine
    from yarn_submitter.plan import SubmissionPlan
    from yarn_submitter.spec import JobLimits, JobSpec, Localization, Mount, Quicklink, RoleSpec, Secret, Security
    from yarn_submitter.units import Ask

__version__ = "0.1.0"

__all__ = [
    "Ask",
    "DeniedError",
    "InternalError",
    "Job",
    "JobEnded",
    "JobLimits",
    "JobSpec",
    "JobView",
    "LimitError",
    "ListedJob",
    "Localization",
    "LogLine",
    "LostError",
    "Mount",
    "Problem",
    "Quicklink",
    "RoleSpec",
    "Secret",
    "Security",
    "StagingError",
    "SubmissionPlan",
    "SubmitterError",
    "TaskView",
    "UnreachableError",
    "UsageError",
    "__version__",
    "as_completed",
    "attach",
    "job_from_file",
    "job_from_words",
    "list_jobs",
    "plan",
    "submit",
]

_PLACES = {
    "am.contract.events": ("JobEnded",),
    "yarn_submitter.api": (
        *("ListedJob", "as_completed", "attach", "job_from_file", "job_from_words", "list_jobs", "plan", "submit"),
    ),
    "yarn_submitter.errors": (
        *("DeniedError", "InternalError", "LimitError", "LostError", "Problem", "StagingError", "SubmitterError"),
        *("UnreachableError", "UsageError"),
    ),
    "yarn_submitter.job": ("Job",),
    "yarn_submitter.monitor": ("JobView", "TaskView"),
    "yarn_submitter.outputs": ("LogLine",),
    "yarn_submitter.plan": ("SubmissionPlan",),
    "yarn_submitter.spec": (
        *("JobLimits", "JobSpec", "Localization", "Mount", "Quicklink", "RoleSpec", "Secret", "Security"),
    ),
    "yarn_submitter.units": ("Ask",),
}


class _Package(ModuleType):
    """The package: its names are imported when they are asked for.

    `plan` and `submit` are functions of it and modules, too: when the import system wants to bind such a module to its
    name here, nothing happens.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> object:
        import importlib

        for module, names in _PLACES.items():
            if name in names:
                found: object = getattr(importlib.import_module(module), name)
                setattr(self, name, found)
                return found
        raise AttributeError(f"module 'yarn_submitter' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
