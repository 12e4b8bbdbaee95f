"""The job as its user described it: values only, nothing looked up, nothing filled in by the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarn_submitter.units import Ask

FRAMEWORKS = ("tensorflow", "pytorch", "mxnet", "horovod", "jax", "generic")
# What a task's failure does: it ends the job, or the others go on.
ON_FAILURE = ("fail", "ignore")
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
class Mount:
    """A Docker bind mount: an absolute path on the node, an absolute path in the container."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Quicklink:
    """A link that is shown with the job: to a port of one task.

    Attributes:
        label: What it is called.
        protocol: `http` or `https`.
        task: `role:index`.
        port: On the task's host.
    """

    label: str
    protocol: str
    task: str
    port: int


@dataclass(frozen=True)
class Secret:
    """A local file whose content reaches the tasks and nothing else.

    Attributes:
        name: A variable's name, or `./NAME` for a file of mode 0400 in the task's working directory.
        path: The local file, absolute.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Security:
    """Who the job is on a Kerberos cluster.

    Attributes:
        insecure: Kept for old scripts; whether a cluster is secure is read from its configuration.
        keytab: Local path, or empty.
        principal: Its principal, or empty.
        distribute_keytab: Whether the keytab travels with the job.
    """

    insecure: bool = False
    keytab: str = ""
    principal: str = ""
    distribute_keytab: bool = False


@dataclass(frozen=True)
class RoleSpec:
    """A named group of like tasks.

    Attributes:
        name: Role name, `worker`, `ps`, `chief` or any other.
        instances: How many tasks.
        resources: What each of them is asked to have.
        command: Shell text, opaque.
        env: Variables of this role.
        localizations: For this role.
        mounts: For this role.
        image: Docker image of this role; empty: the job's.
        node_label: Label of the nodes that this role runs on; empty: the job's.
        on_failure: One of ON_FAILURE.
    """

    name: str
    instances: int
    resources: Ask
    command: str
    env: dict[str, str] = field(default_factory=dict)
    localizations: tuple[Localization, ...] = ()
    mounts: tuple[Mount, ...] = ()
    image: str = ""
    node_label: str = ""
    on_failure: str = "fail"


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
        image: Docker image of every role that has none of its own; empty: no Docker.
        node_label: Label of the nodes that every role runs on that names none of its own; empty: the queue's default.
        mounts: For every role.
        quicklinks: Shown with the job.
        secrets: For every role.
        conf: Hadoop properties for this job's submission.
        security: Keytab and principal.
        tensorboard: The sidecar that shows the job's checkpoints; its command may be empty.
        max_runtime_s: The job fails when it has run longer; 0: no limit.
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
    image: str = ""
    node_label: str = ""
    mounts: tuple[Mount, ...] = ()
    quicklinks: tuple[Quicklink, ...] = ()
    secrets: tuple[Secret, ...] = ()
    conf: dict[str, str] = field(default_factory=dict)
    security: Security = field(default_factory=Security)
    tensorboard: RoleSpec | None = None
    max_runtime_s: int = 0
