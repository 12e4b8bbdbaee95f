"""The job as its user described it: values only, nothing looked up, nothing filled in by the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarn_submitter.units import Ask

FRAMEWORKS = ("tensorflow", "pytorch", "mxnet", "horovod", "jax", "generic")
# Frameworks whose tasks this version can bring together; the others are refused with a sentence.
RUNNABLE = ("tensorflow", "generic")


@dataclass(frozen=True)
class Localization:
    """Something that is brought to a task.

    Attributes:
        remote: A local path or a URI.
        local: Name in the working directory (`data`, from `./data`) or an absolute path.
        archive: Whether YARN unpacks it.
        writable: Whether `:rw` was asked for.
    """

    remote: str
    local: str
    archive: bool = False
    writable: bool = False


@dataclass(frozen=True)
class RoleSpec:
    """A named group of like tasks."""

    name: str
    instances: int
    resources: Ask
    command: str
    env: dict[str, str] = field(default_factory=dict)
    localizations: tuple[Localization, ...] = ()


@dataclass(frozen=True)
class JobSpec:
    """A training job.

    Attributes:
        name: The user's name for it.
        framework: One of FRAMEWORKS.
        roles: In the order in which they are shown: chief, worker, ps first, then as given.
        queue: YARN queue.
        input_path: Local path, URI or empty.
        checkpoint_path: URI, absolute path on the store, or empty for the job's own.
        saved_model_path: The same.
        env: For every role.
        localizations: For every role.
        source_dir: Directory whose content is put into every task's working directory, or empty.
        done_when: `chief` or `all`.
        tf_worker0: What TF_CONFIG calls worker 0 when there is no chief.
        wait_job_finish: Kept for the record.
        verbose: Kept for the record.
    """

    name: str
    framework: str
    roles: tuple[RoleSpec, ...]
    queue: str = "default"
    input_path: str = ""
    checkpoint_path: str = ""
    saved_model_path: str = ""
    env: dict[str, str] = field(default_factory=dict)
    localizations: tuple[Localization, ...] = ()
    source_dir: str = ""
    done_when: str = "chief"
    tf_worker0: str = "worker"
    wait_job_finish: bool = False
    verbose: bool = False
