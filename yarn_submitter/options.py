"""Every option of `job run`, in one table: its name, its kind, where the YAML form has it, and its help.

A new option is a new row here, a field in spec.py and its reader in load.py's build step. In option names `-` and `_`
are the same. Rows with `control` steer the client and are no part of the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from am.contract.job import AFTER_FAILURE, STARTS, TOGETHER
from yarn_submitter.spec import AM_ATTEMPTS, FRAMEWORKS

TEXT = "text"
COUNT = "count"
FLAG = "flag"
CHOICE = "choice"
RESOURCES = "resources"
DURATION = "duration"
LIST = "list"  # repeatable
PAIRS = "pairs"  # repeatable K=V
ROLE_PAIRS = "role pairs"  # repeatable ROLE=TEXT
REPEATABLE = (LIST, PAIRS, ROLE_PAIRS)

ANY_ROLE = "*"
# Whose job descriptions are read; `job` is our own form.
FORMATS = ("job", "riseml", "ffdl", "kubeflow", "submarine")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: As documented, with `_`.
        kind: One of the kinds above.
        help: One line.
        default: Shown in the help; empty when there is none.
        yaml: Section and key in the YAML form, or empty; `("roles", ROLE, KEY)` for what describes a role.
        choices: For CHOICE.
        placeholder: What the value is called in the help.
        control: Whether it steers the client instead of describing the job.
    """

    name: str
    kind: str
    help: str
    default: str = ""
    yaml: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    placeholder: str = ""
    control: bool = False

    @property
    def typed(self) -> str:
        """Return the name as it is typed: `--name`, `-f`."""
        return f"-{self.name}" if len(self.name) == 1 else f"--{self.name}"

    @property
    def repeatable(self) -> bool:
        """Return whether it may be given several times."""
        return self.kind in REPEATABLE

    @property
    def role(self) -> str:
        """Return the role that it describes, ANY_ROLE when its value names the role, empty when it describes none."""
        return self.yaml[1] if self.yaml[:1] == ("roles",) else ""

    @property
    def key(self) -> str:
        """Return what the YAML form calls it."""
        return self.yaml[-1] if self.yaml else ""


# Roles that have options of their own; any role can be given by --role and --role_cmd.
OPTION_ROLES = ("worker", "ps", "scheduler")
TENSORBOARD = "tensorboard"
HIDDEN = "secret"  # the option whose values are never repeated: they may hold the secret itself
# Options that set a deadline of the job -> field of JobLimits.
OWN_LIMITS = {
    "gang_timeout": "gang_hold_s",
    "gang_tries": "gang_tries",
    "queue_timeout": "queue_wait_s",
    "stall_timeout": "stall_s",
    "kill_if_gpu_idle": "gpu_idle_s",
    "stop_grace": "stop_grace_s",
}
# Paths that stand in a command as `%name%`.
PLACEHOLDERS = ("input_path", "checkpoint_path", "saved_model_path")
# The key of `--conf` that is a list of localizations, as in scripts for TonY and Submarine.
RESOURCE_LIST = "tony.containers.resources"
_DEFAULT_COUNT = {"worker": "1"}


def _role_rows(role: str) -> tuple[Option, ...]:
    plural = "ps" if role == "ps" else f"{role}s"
    only = " (MXNet)" if role == "scheduler" else ""
    section = ("roles", role)
    return (
        Option(
            f"num_{plural}",
            COUNT,
            f"number of {role} tasks{only}",
            _DEFAULT_COUNT.get(role, "0"),
            (*section, "replicas"),
            placeholder="N|MIN:MAX" if role == "worker" else "",
        ),
        Option(f"{role}_resources", RESOURCES, f"resources of a {role}", "", (*section, "resources")),
        Option(f"{role}_launch_cmd", TEXT, f"shell command of a {role}", "", (*section, "launch_cmd"), (), "COMMAND"),
        Option(
            f"{role}_docker_image",
            TEXT,
            f"Docker image of a {role}",
            "--docker_image",
            (*section, "docker_image"),
            placeholder="IMAGE",
        ),
    )


def _config(name: str, kind: str, text: str, default: str = "", *, key: str = "", placeholder: str = "") -> Option:
    return Option(name, kind, text, default, ("configs", key or name), placeholder=placeholder)


def _scheduling(name: str, kind: str, text: str, default: str, placeholder: str = "") -> Option:
    return Option(name, kind, text, default, ("scheduling", name), placeholder=placeholder)


def _any_role(name: str, key: str, text: str, placeholder: str) -> Option:
    return Option(name, ROLE_PAIRS, text, "", ("roles", ANY_ROLE, key), placeholder=f"ROLE={placeholder}")


_REMOTE = "REMOTE[#archive]:LOCAL[:rw]"
_MOUNT = "SOURCE:TARGET[:ro|rw]"
_BOARD = ("tensorBoard",)
_OF_SITE = "the site's"
_OR_NONE = "DURATION|none"

_JOB = (
    Option("name", TEXT, "name of the job (needed)", "", ("spec", "name"), placeholder="NAME"),
    Option("framework", CHOICE, "what brings the tasks together", "tensorflow", ("spec", "framework"), FRAMEWORKS),
    Option("queue", TEXT, "YARN queue", "default", ("scheduling", "queue"), placeholder="QUEUE"),
    _config(
        "input_path", TEXT, 'input data: URI, local path or "" (needed when there are workers)', placeholder="URI|PATH"
    ),
    _config("checkpoint_path", TEXT, "where checkpoints are kept", "the job's own", placeholder="URI"),
    _config(
        "saved_model_path",
        TEXT,
        "where the model is kept",
        "the checkpoint path if given, else the job's own",
        placeholder="URI",
    ),
    _config("docker_image", TEXT, "Docker image of every role that has none of its own", placeholder="IMAGE"),
)
_ROLES = (
    *(row for role in OPTION_ROLES for row in _role_rows(role)),
    Option("role", LIST, "any role", placeholder="NAME:instances=1,memory=1G,vcores=1,gpu=0"),
    _any_role("role_cmd", "launch_cmd", "shell command of a role", "COMMAND"),
    _any_role("role_image", "docker_image", "Docker image of a role", "IMAGE"),
    _any_role("role_env", "envs", "variable for one role's tasks", "K=V"),
    _any_role("role_localization", "localizations", "file, directory or archive for one role's tasks", _REMOTE),
    _any_role("role_mount", "mounts", "Docker mount for one role's tasks", _MOUNT),
    _any_role("role_node_label", "node_label", "nodes that a role runs on", "LABEL"),
    _any_role("role_start", "start", f"when the tasks of a role start (default: {TOGETHER})", "|".join(STARTS)),
    _any_role(
        "role_depends_on", "depends_on", "roles that must run, or have succeeded, before", "OTHER[:succeeded],..."
    ),
    _any_role("role_on_failure", "on_failure", "what follows when a task of a role fails", "|".join(AFTER_FAILURE)),
    _any_role("role_on_loss", "on_loss", "what follows when the cluster takes a task away", "|".join(AFTER_FAILURE)),
)
_BESIDE = (
    Option(TENSORBOARD, FLAG, "run a TensorBoard beside the job", "off"),
    Option("tensorboard_resources", RESOURCES, "its resources", "memory=4G,vcores=1", (*_BOARD, "resources")),
    Option(
        "tensorboard_docker_image", TEXT, "its Docker image", "--docker_image", (*_BOARD, "docker_image"), (), "IMAGE"
    ),
    _config("quicklink", LIST, "link shown with the job", key="quicklinks", placeholder="LABEL=http[s]://ROLE-N:PORT"),
)
_BROUGHT = (
    _config("src", TEXT, "directory put into every working directory", placeholder="DIR"),
    _config(
        "localization", LIST, "file, directory or archive for every task", key="localizations", placeholder=_REMOTE
    ),
    _config("mount", LIST, "Docker mount for every task", key="mounts", placeholder=_MOUNT),
    _config("env", PAIRS, "variable for every task", key="envs", placeholder="K=V"),
    _config("env_file", LIST, "file with a variable K=V a line; --env wins over it", placeholder="FILE"),
    _config(
        HIDDEN,
        PAIRS,
        "variable, or file ./NAME of mode 0400, with the content of a local file that nobody else sees",
        key="secrets",
        placeholder="K=@FILE",
    ),
)
_RULES = (
    _config("profile", TEXT, "resource profile of every role that asks for nothing itself", placeholder="NAME"),
    Option(
        "node_label",
        TEXT,
        "nodes that the job runs on",
        "the queue's",
        ("scheduling", "node_label"),
        placeholder="LABEL",
    ),
    _scheduling("max_runtime", DURATION, "the job fails when it has run so long", "no limit"),
    Option("done_when", CHOICE, "whose good end is the job's", "chief", ("configs", "done_when"), ("chief", "all")),
    Option(
        "tf_worker0",
        CHOICE,
        "TF_CONFIG's name of worker 0 without a chief",
        "worker",
        ("configs", "tf_worker0"),
        ("worker", "chief", "master"),
    ),
)
_TROUBLE = (
    _scheduling("max_restarts", COUNT, "restarts after failed programs, all together", "0"),
    _scheduling(
        "gang_timeout", DURATION, "a part of the job holds its containers so long for the rest", _OF_SITE, _OR_NONE
    ),
    _scheduling("gang_tries", COUNT, "so often it gives them back, then the job fails; 0: without end", _OF_SITE),
    _scheduling("queue_timeout", DURATION, "the job fails when it is not complete after so long", _OF_SITE, _OR_NONE),
    _scheduling(
        "stall_timeout",
        DURATION,
        "a program without output and work on a GPU for so long has failed",
        _OF_SITE,
        _OR_NONE,
    ),
    _scheduling(
        "kill_if_gpu_idle", DURATION, "a program whose GPUs are idle for so long has failed", _OF_SITE, _OR_NONE
    ),
    _scheduling("stop_grace", DURATION, "from TERM to KILL", _OF_SITE, "DURATION"),
    _scheduling("port_range", TEXT, "ports that tasks may listen on", "any", "FIRST-LAST"),
    _scheduling(
        "am_attempts", COUNT, "ApplicationMasters that the job may have, one after the other", str(AM_ATTEMPTS)
    ),
)
_KERBEROS = (
    Option("keytab", TEXT, "Kerberos keytab", "", ("security", "keytab"), placeholder="PATH"),
    Option("principal", TEXT, "its principal", "", ("security", "principal"), placeholder="NAME"),
    Option("distribute_keytab", FLAG, "bring the keytab to the tasks", "off", ("security", "distribute_keytab")),
    Option("insecure", FLAG, "kept for old scripts: security is read from Hadoop's configuration", "off"),
)
_FILE = (
    Option("f", TEXT, "job description in YAML", placeholder="FILE", control=True),
    Option("format", CHOICE, "whose form the file has", "seen by its shape", choices=FORMATS, control=True),
)
_CONTROLS = (
    Option(
        "cluster", TEXT, "a cluster's name, `sandbox`, or sandbox:NAME; else HADOOP_CONF_DIR", "", (), (), "NAME", True
    ),
    _config("conf", PAIRS, "Hadoop property, or setting of the configuration, for this run", placeholder="K=V"),
    Option("set", LIST, "setting of the configuration for this run", placeholder="KEY=VALUE", control=True),
    Option("dry_run", FLAG, "print the plan as JSON, contact nothing", control=True),
    Option("check", FLAG, "ask the cluster whether it can run the job, and submit nothing", control=True),
    Option("force", FLAG, "submit even when a check that may be wrong says no", control=True),
    Option("detach", FLAG, "print the application id and return", control=True),
    Option("kill_on_exit", FLAG, "Ctrl-C, SIGTERM and SIGHUP end the job, too", control=True),
    Option("json", FLAG, "print the result as JSON", control=True),
    Option("quiet", FLAG, "do not show the program's output", control=True),
    Option("logs", TEXT, "show the output of `all` tasks or of one role", placeholder="all|ROLE", control=True),
    _config("wait_job_finish", FLAG, "kept in the record; job run always follows", "off"),
    Option("verbose", FLAG, "say more", "off"),
)

# As the help shows them: title -> options.
GROUPS = {
    "The job": (*_FILE, *_JOB),
    "Its tasks": _ROLES,
    "What they find": _BROUGHT,
    "Beside them": _BESIDE,
    "Where, how long, what counts": _RULES,
    "What waits, what fails": _TROUBLE,
    "Kerberos": _KERBEROS,
    "This command": _CONTROLS,
}
OPTIONS: tuple[Option, ...] = tuple(option for group in GROUPS.values() for option in group)

BY_NAME = {option.name: option for option in OPTIONS}
