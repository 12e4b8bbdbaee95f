"""Every option of `job run`, in one table: its name, its kind, where the YAML form has it, and its help.

A new option is a new row here, a field in spec.py and its reader in load.py's build step. In option names `-` and `_`
are the same. Rows with `control` steer the client and are no part of the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from yarn_submitter.spec import FRAMEWORKS

TEXT = "text"
COUNT = "count"
FLAG = "flag"
CHOICE = "choice"
RESOURCES = "resources"
LIST = "list"  # repeatable
PAIRS = "pairs"  # repeatable K=V
ROLE_PAIRS = "role pairs"  # repeatable ROLE=TEXT


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: As documented, with `_`.
        kind: One of the kinds above.
        help: One line.
        default: Shown in the help; empty when there is none.
        yaml: Section and key in the YAML form, or empty.
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


# Roles that have options of their own; any role can be given by --role and --role_cmd.
OPTION_ROLES = ("worker", "ps")
_DEFAULT_COUNT = {"worker": "1", "ps": "0"}


def _role_rows(role: str) -> tuple[Option, ...]:
    plural = "ps" if role == "ps" else f"{role}s"
    section = ("roles", role)
    return (
        Option(f"num_{plural}", COUNT, f"number of {role} tasks", _DEFAULT_COUNT[role], (*section, "replicas")),
        Option(f"{role}_resources", RESOURCES, f"resources of a {role}", "", (*section, "resources")),
        Option(f"{role}_launch_cmd", TEXT, f"shell command of a {role}", "", (*section, "launch_cmd")),
    )


OPTIONS: tuple[Option, ...] = (
    Option("f", TEXT, "job description in YAML", placeholder="FILE", control=True),
    Option("name", TEXT, "name of the job (needed)", "", ("spec", "name")),
    Option("framework", CHOICE, "what brings the tasks together", "tensorflow", ("spec", "framework"), FRAMEWORKS),
    Option("queue", TEXT, "YARN queue", "default", ("scheduling", "queue")),
    Option("input_path", TEXT, 'input data: URI, local path or ""', "", ("configs", "input_path")),
    Option("checkpoint_path", TEXT, "where checkpoints are kept", "the job's own", ("configs", "checkpoint_path")),
    Option("saved_model_path", TEXT, "where the model is kept", "the job's own", ("configs", "saved_model_path")),
    *(row for role in OPTION_ROLES for row in _role_rows(role)),
    Option("role", LIST, "any role", placeholder="NAME:instances=1,memory=1G,vcores=1,gpu=0"),
    Option("role_cmd", ROLE_PAIRS, "shell command of a role", placeholder="NAME=COMMAND"),
    Option("env", PAIRS, "variable for every task", "", ("configs", "envs"), placeholder="K=V"),
    Option(
        "localization",
        LIST,
        "file, directory or archive for every task",
        "",
        ("configs", "localizations"),
        placeholder="REMOTE[#archive]:LOCAL[:rw]",
    ),
    Option("src", TEXT, "directory put into every working directory", "", ("configs", "src"), placeholder="DIR"),
    Option("done_when", CHOICE, "whose good end is the job's", "chief", ("configs", "done_when"), ("chief", "all")),
    Option(
        "tf_worker0",
        CHOICE,
        "TF_CONFIG's name of worker 0 without a chief",
        "worker",
        ("configs", "tf_worker0"),
        ("worker", "chief", "master"),
    ),
    Option("wait_job_finish", FLAG, "kept in the record; job run always follows", "", ("configs", "wait_job_finish")),
    Option("verbose", FLAG, "say more", ""),
    Option("cluster", TEXT, "`sandbox`, or sandbox:NAME; else HADOOP_CONF_DIR", placeholder="NAME", control=True),
    Option("dry_run", FLAG, "print the plan as JSON, contact nothing", control=True),
    Option("detach", FLAG, "print the application id and return", control=True),
    Option("json", FLAG, "print the result as JSON", control=True),
    Option("quiet", FLAG, "do not show the program's output", control=True),
    Option("logs", TEXT, "show the output of `all` tasks or of one role", placeholder="all|ROLE", control=True),
)

BY_NAME = {option.name: option for option in OPTIONS}
