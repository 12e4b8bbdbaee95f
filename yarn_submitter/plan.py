"""From a JobSpec to what will be submitted: pure. The result is the value that `--dry_run` prints.

What only submit can know stands in the plan as a placeholder, `<ys:NAME>`; submit substitutes and does nothing else:

    <ys:id>          our id of the job             <ys:webhdfs>      addresses of the NameNodes (a list)
    <ys:user>        who submits                   <ys:agent_ports>  ports that the agent may take (a list)
    <ys:fs>          the store, hdfs://host:port   <ys:code>         URI of our own code, as staged
    <ys:base>        the user's place on it        <ys:python>       URI of the agent's environment, as staged
    <ys:staged:SHA>  URI of a staged local file or directory with that content

What the user wrote is never taken for one: `<ys:` in it stands in the plan as `<ys:text>`, which becomes `<ys:` again.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from am import runtimes
from am.contract import job as contract
from am.contract.codec import from_json, to_json
from yarn_submitter.localfiles import LocalFile
from yarn_submitter.spec import JobSpec, Localization, RoleSpec
from yarn_submitter.values import INPUT_NAME

FORMAT = 1
AGENT_MEMORY_MIB = 512  # Skein's ApplicationMaster (about 200 MB) and the agent (at most 80 MB at 10 tasks), with room
# Small heaps and code caches for the one JVM of a job, its temporary files in the container, no hsperfdata in /tmp.
AGENT_JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xss512k -XX:ReservedCodeCacheSize=32m -XX:-UsePerfData"
    " -Djava.io.tmpdir=./tmp"
)
_UNTRACKED = {"tensorflow": ("ps", "evaluator")}
_PLACEHOLDER = re.compile(r"<ys:([a-z_]+(?::[0-9a-f]{64})?)>")
_OPENING = "<ys:"
_EVERY_TASK = 8  # up to so many tasks of a role, the environment of each is shown; it names the hosts of all the others
_IMPORT = "import sys; sys.path.insert(0, '.ys.zip'); from am.{0}.__main__ import main; sys.exit(main())"


@dataclass(frozen=True)
class SubmissionPlan:
    """What will be submitted.

    Attributes:
        spec: What the user described.
        staged: Local files and directories that must be on the store.
        job: Content of job.json with placeholders (see am.contract.job.JobPlan).
        application: The Skein application as plain values with placeholders, without its credentials.
        environment: Task -> what its framework will find in its environment, hosts as placeholders; of a role with
            many tasks only the first two and the last.
    """

    spec: JobSpec
    staged: tuple[LocalFile, ...]
    job: dict[str, Any]
    application: dict[str, Any]
    environment: dict[str, dict[str, str]]

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON values; stable keys first, everything else below `plan`."""
        spec = self.spec
        roles = {role["name"]: role for role in self.job["roles"]}
        return {
            "name": spec.name,
            "framework": spec.framework,
            "queue": spec.queue,
            "input_path": spec.input_path,
            "checkpoint_path": self.job["checkpoint_path"],
            "saved_model_path": self.job["saved_model_path"],
            "wait_job_finish": spec.wait_job_finish,
            "verbose": spec.verbose,
            "distributed": sum(role.instances for role in spec.roles) > 1,
            "env": spec.env,
            "localizations": [_localization_document(item) for item in spec.localizations],
            "roles": {role.name: _role_document(role, roles[role.name]) for role in spec.roles},
            "plan": {
                "format": FORMAT,
                "staged": [
                    {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "directory": file.is_tree}
                    for file in self.staged
                ],
                "job": self.job,
                "environment": self.environment,
                "application": self.application,
            },
        }


def plan(spec: JobSpec, files: Mapping[str, LocalFile]) -> SubmissionPlan:
    """Return the plan of a job.

    Args:
        spec: The job.
        files: Local path -> what lies there, for every path of `local_paths(spec)`.
    """
    described, spec = spec, _escape(spec)
    staged: dict[str, LocalFile] = {}
    for file in (files[path] for path in local_paths(described)):
        if file.sha256 not in staged or file.extension:  # YARN takes the kind of an archive from its name
            staged[file.sha256] = file
    files = {_escape(path): file for path, file in files.items()}
    job = _job(spec)
    application = {
        "name": spec.name,
        "queue": spec.queue,
        "max_attempts": 1,
        "tags": ["yarn-submitter", "ys-id:<ys:id>"],
        "master": {
            "resources": {"memory": f"{AGENT_MEMORY_MIB} MiB", "vcores": 1},
            "script": f'exec ./{contract.PYTHON_DIR}/bin/python3 -I -c "{_IMPORT.format("agent")}"',
            "env": {"_JAVA_OPTIONS": AGENT_JAVA_OPTIONS, "LC_ALL": "C.UTF-8"},
            "files": {**_own_files(), contract.PYTHON_DIR: _file("<ys:python>", archive=True)},
        },
        "services": {role.name: _service(spec, role, files) for role in spec.roles},
    }
    return SubmissionPlan(described, tuple(staged.values()), job, application, _environment(job))


def local_paths(spec: JobSpec) -> list[str]:
    """Return the local paths that the job takes along, each once, in order."""
    items = [*spec.localizations, *(item for role in spec.roles for item in role.localizations)]
    paths = [item.remote for item in items if not _is_uri(item.remote)]
    if spec.source_dir:
        paths.append(spec.source_dir)
    if spec.input_path and not _is_uri(spec.input_path):
        paths.append(spec.input_path)
    return list(dict.fromkeys(paths))


def substitute(value: Any, known: Mapping[str, Any]) -> Any:
    """Return a plan's value with every placeholder replaced.

    Args:
        value: JSON values.
        known: Placeholder name -> value; one that stands alone may become a list.

    Raises:
        KeyError: A placeholder that is not known.
    """
    return _substitute(value, {**known, "text": _OPENING})


def _substitute(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_substitute(key, known): _substitute(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, known) for item in value]
    if not isinstance(value, str):
        return value
    alone = _PLACEHOLDER.fullmatch(value)
    if alone:
        return known[alone.group(1)]
    return _PLACEHOLDER.sub(lambda match: str(known[match.group(1)]), value)


def _escape(value: Any) -> Any:
    """Return a user's value with every `<ys:` in its texts marked as the user's."""
    if isinstance(value, str):
        return value.replace(_OPENING, "<ys:text>")
    if isinstance(value, tuple):
        return tuple(_escape(item) for item in value)
    if isinstance(value, dict):
        return {key: _escape(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: _escape(getattr(value, name)) for name in names})
    return value


def to_text(document: Mapping[str, Any]) -> str:
    """Return a plan's document as the text that `--dry_run` prints: the same plan gives the same bytes."""
    return json.dumps(document, indent=2, sort_keys=False, ensure_ascii=False) + "\n"


def _is_uri(path: str) -> bool:
    return "://" in path


def _job(spec: JobSpec) -> dict[str, Any]:
    job_dir = contract.JobPaths("<ys:base>").job("<ys:id>")
    checkpoint = spec.checkpoint_path or f"<ys:fs>{job_dir}/checkpoint"
    model = spec.saved_model_path or spec.checkpoint_path or f"<ys:fs>{job_dir}/model"
    paths = {"input_path": spec.input_path, "checkpoint_path": checkpoint, "saved_model_path": model}
    untracked = _UNTRACKED.get(spec.framework, ())
    roles = tuple(
        contract.RolePlan(
            name=role.name,
            instances=role.instances,
            resources=contract.Resources(role.resources.memory_mib, role.resources.vcores, role.resources.gpus),
            command=_fill(role.command, paths),
            env={**spec.env, **role.env},
            tracked=role.name not in untracked,
        )
        for role in spec.roles
    )
    names = [role.name for role in spec.roles]
    main = next((name for name in ("chief", "worker") if name in names), names[0])
    local_input = spec.input_path and not _is_uri(spec.input_path)
    job: dict[str, Any] = to_json(
        contract.JobPlan(
            id="<ys:id>",
            name=spec.name,
            user="<ys:user>",
            framework=spec.framework,
            queue=spec.queue,
            roles=roles,
            main_task=contract.task_name(main, 0),
            done_when=spec.done_when,
            tf_worker0=spec.tf_worker0,
            data_dir=INPUT_NAME if local_input else "",
            job_dir=job_dir,
            webhdfs=(),
            agent_ports=(),
            has_source=bool(spec.source_dir),
            input_path=spec.input_path,
            checkpoint_path=checkpoint,
            saved_model_path=model,
        )
    )
    return {**job, "webhdfs": "<ys:webhdfs>", "agent_ports": "<ys:agent_ports>"}


def _fill(command: str, paths: Mapping[str, str]) -> str:
    return re.sub(f"%({'|'.join(paths)})%", lambda match: paths[match.group(1)], command)


def _own_files() -> dict[str, Any]:
    staging = "<ys:fs>" + contract.staging_dir(contract.JobPaths("<ys:base>").job("<ys:id>"))
    return {
        contract.CODE_ZIP: _file("<ys:code>"),
        contract.JOB_FILE: {**_file(f"{staging}/job.json"), "visibility": "application"},
        contract.SECRET_FILE: {**_file(f"{staging}/secret"), "visibility": "application"},
    }


def _file(source: str, *, archive: bool = False) -> dict[str, Any]:
    return {"source": source, "type": "archive" if archive else "file", "visibility": "private"}


def _service(spec: JobSpec, role: RoleSpec, files: Mapping[str, LocalFile]) -> dict[str, Any]:
    wanted = {**_own_files(), contract.PYTHON_ARCHIVE: _file("<ys:python>")}
    for item in (*spec.localizations, *role.localizations):
        local = files.get(item.remote)
        archive = item.archive or (local is not None and local.is_tree)
        wanted[item.local] = _file(f"<ys:staged:{local.sha256}>" if local else item.remote, archive=archive)
    archives = [name for name, file in wanted.items() if file["type"] == "archive"]
    if spec.source_dir:
        wanted[contract.SOURCE_ARCHIVE] = _file(f"<ys:staged:{files[spec.source_dir].sha256}>")
    if spec.input_path in files:
        local_input = files[spec.input_path]
        wanted[INPUT_NAME] = _file(f"<ys:staged:{local_input.sha256}>", archive=local_input.is_tree)
    resources: dict[str, Any] = {
        "memory": f"{role.resources.memory_mib} MiB",
        "vcores": role.resources.vcores,
        "gpus": role.resources.gpus,
    }
    return {
        "instances": role.instances,
        "resources": resources,
        "max_restarts": 0,
        "allow_failures": True,
        "script": _executor_script(role.name, archives),
        "files": wanted,
    }


def _executor_script(role: str, archives: list[str]) -> str:
    """Return the shell text that finds a Python (3.7 or newer) and becomes the executor of a task of `role`.

    Our own interpreter comes last and packed: unpacking it for every container costs a second, and having YARN unpack
    it costs one `chmod` a file on nodes without Hadoop's native library, where hardly any container needs it.
    """
    pythons = " ".join([shlex.quote(f"./{name}/bin/python3") for name in archives] + ["python3"])
    start = f'-I -S -c "{_IMPORT.format("executor")}" {role}'
    unpacked = contract.PYTHON_DIR
    return f"""\
for python in {pythons}; do
  if "$python" -I -S -c "import sys, ssl; sys.exit(sys.version_info < (3, 7))" 2>/dev/null; then
    exec "$python" {start}
  fi
done
mkdir {unpacked} && gzip -dc {contract.PYTHON_ARCHIVE} | tar -xf - -C {unpacked}
exec ./{unpacked}/bin/python3 {start}"""


def _environment(job: dict[str, Any]) -> dict[str, dict[str, str]]:
    plain = {**job, "webhdfs": [], "agent_ports": []}
    plan_value = from_json(contract.JobPlan, plain)
    topology = {
        role.name: tuple(f"<host of {role.name}:{n}>:<port>" for n in range(role.instances))
        for role in plan_value.roles
    }
    return {
        contract.task_name(role.name, index): runtimes.environment(plan_value, topology, role.name, index)
        for role in plan_value.roles
        for index in range(role.instances)
        if role.instances <= _EVERY_TASK or index in (0, 1, role.instances - 1)
    }


def _localization_document(item: Localization) -> dict[str, str]:
    return {
        "remote_uri": item.remote + ("#archive" if item.archive else ""),
        "local_path": item.local,
        "permission": "rw" if item.writable else "ro",
    }


def _role_document(role: RoleSpec, planned: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instances": role.instances,
        "resources": {
            "memory_mb": role.resources.memory_mib,
            "vcores": role.resources.vcores,
            "gpus": role.resources.gpus,
            "fpgas": role.resources.others.get("yarn.io/fpga", 0),
        },
        "launch_cmd": planned["command"],
        "env": role.env,
        "localizations": [_localization_document(item) for item in role.localizations],
    }
