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
from yarn_submitter.docker_runtime import launch_environment, local_name, task_environment
from yarn_submitter.document import plan_document
from yarn_submitter.frameworks import FRAMEWORK, after_bad_end, with_task_roles
from yarn_submitter.given import UNPRINTABLE
from yarn_submitter.localfiles import LocalFile
from yarn_submitter.options import TENSORBOARD
from yarn_submitter.remotes import INPUT_NAME
from yarn_submitter.spec import JobSpec, RoleSpec

AGENT_MEMORY_MIB = 512  # Skein's ApplicationMaster (about 200 MB) and the agent (at most 80 MB at 10 tasks), with room
# Small heaps and code caches for the one JVM of a job, its temporary files in the container, no hsperfdata in /tmp.
AGENT_JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xss512k -XX:ReservedCodeCacheSize=32m -XX:-UsePerfData"
    " -Djava.io.tmpdir=./tmp"
)
_STAGING = "<ys:fs>" + contract.staging_dir(contract.JobPaths("<ys:base>").job("<ys:id>"))
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
        files: Local path as `spec` has it -> what lay there.
    """

    spec: JobSpec
    staged: tuple[LocalFile, ...]
    job: dict[str, Any]
    application: dict[str, Any]
    environment: dict[str, dict[str, str]]
    files: dict[str, LocalFile]

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON values; stable keys first, everything else below `plan`."""
        rest = {"environment": self.environment, "application": self.application}
        return plan_document(self.spec, self.staged, self.job, rest)


def plan(spec: JobSpec, files: Mapping[str, LocalFile], limits: contract.Limits | None = None) -> SubmissionPlan:
    """Return the plan of a job.

    Args:
        spec: The job.
        files: Local path -> what lies there, for every path of `local_paths(spec)`.
        limits: The site's deadlines; the job's own are put into them.
    """
    described, spec = spec, with_task_roles(_escape(spec))
    staged: dict[str, LocalFile] = {}
    taken = {path: files[path] for path in local_paths(described)}
    for file in taken.values():
        if file.sha256 not in staged or file.extension:  # YARN takes the kind of an archive from its name
            staged[file.sha256] = file
    files = {_escape(path): file for path, file in files.items()}
    job = _job(spec, limits or contract.Limits())
    application = {
        "name": spec.name,
        "queue": spec.queue,
        "max_attempts": spec.am_attempts,
        "tags": ["yarn-submitter", "ys-id:<ys:id>"],
        "master": {
            "resources": {"memory": f"{AGENT_MEMORY_MIB} MiB", "vcores": 1},
            "script": f'exec ./{contract.PYTHON_DIR}/bin/python3 -I -c "{_IMPORT.format("agent")}"',
            "env": {"_JAVA_OPTIONS": AGENT_JAVA_OPTIONS, "LC_ALL": "C.UTF-8"},
            "files": {**_own_files(), contract.PYTHON_DIR: _file("<ys:python>", archive=True)},
        },
        "services": {role.name: _service(spec, role, files) for role in _all_roles(spec)},
    }
    return SubmissionPlan(described, tuple(staged.values()), job, application, _environment(job), taken)


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
    """Return a plan's document as the text that `--dry_run` prints: the same plan gives the same bytes.

    What would steer a terminal is escaped: JSON itself lets DEL and the control characters above it through.
    """
    text = json.dumps(document, indent=2, sort_keys=False, ensure_ascii=False) + "\n"
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _is_uri(path: str) -> bool:
    return "://" in path


def _job(spec: JobSpec, limits: contract.Limits) -> dict[str, Any]:
    job_dir = contract.JobPaths("<ys:base>").job("<ys:id>")
    checkpoint = spec.checkpoint_path or f"<ys:fs>{job_dir}/checkpoint"
    model = spec.saved_model_path or spec.checkpoint_path or f"<ys:fs>{job_dir}/model"
    paths = {"input_path": spec.input_path, "checkpoint_path": checkpoint, "saved_model_path": model}
    local_input = spec.input_path and not _is_uri(spec.input_path)
    filled = {**paths, **({"input_path": f"./{INPUT_NAME}"} if local_input else {})}
    roles = tuple(_role_plan(spec, role, filled) for role in _all_roles(spec))
    names = [role.name for role in roles]
    main = next((name for name in ("chief", "worker") if name in names), names[0])
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
            secrets=tuple(secret.name for secret in spec.secrets),
            quicklinks=_quicklinks(spec),
            max_restarts=spec.max_restarts,
            max_attempts=spec.am_attempts,
            port_range=spec.port_range,
            limits=_limits(spec, limits),
            input_path=spec.input_path,
            checkpoint_path=checkpoint,
            saved_model_path=model,
        )
    )
    return {**job, "webhdfs": "<ys:webhdfs>", "agent_ports": "<ys:agent_ports>"}


def _limits(spec: JobSpec, limits: contract.Limits) -> contract.Limits:
    """Return the site's deadlines with the job's own."""
    own = {name: value for name, value in vars(spec.limits).items() if value is not None}
    return dataclasses.replace(limits, lifetime_s=spec.max_runtime_s, **own)


def _all_roles(spec: JobSpec) -> tuple[RoleSpec, ...]:
    """Return the roles, the TensorBoard last."""
    if spec.tensorboard is None:
        return spec.roles
    return (*spec.roles, dataclasses.replace(spec.tensorboard, command=_board_command(spec)))


def _board_command(spec: JobSpec) -> str:
    """Return the shell text that starts TensorBoard with the first Python that has it, an archive's or the node's."""
    archives = [item.local for item in spec.localizations if item.archive]
    pythons = " ".join([shlex.quote(f"./{name}/bin/python3") for name in archives] + ["python3"])
    return f"""\
for python in {pythons}; do
  if "$python" -c "import tensorboard" 2>/dev/null; then
    exec "$python" -m tensorboard.main --logdir "$CHECKPOINT_DIR" --host "$TB_HOST" --port "$TB_PORT"
  fi
done
echo "no Python here has TensorBoard: put it into an archive of the job, or into the image" >&2
exit 127"""


def _quicklinks(spec: JobSpec) -> tuple[contract.Quicklink, ...]:
    links = tuple(contract.Quicklink(link.label, link.protocol, link.task, link.port) for link in spec.quicklinks)
    board = contract.Quicklink("TensorBoard", "http", contract.task_name(TENSORBOARD, 0), 0)
    return (*links, board) if spec.tensorboard else links


def _role_plan(spec: JobSpec, role: RoleSpec, paths: Mapping[str, str]) -> contract.RolePlan:
    sidecar = spec.tensorboard is not None and role.name == TENSORBOARD
    on_failure, on_loss = after_bad_end(spec, role)
    decides = role.name not in FRAMEWORK[spec.framework].untracked and not sidecar
    return contract.RolePlan(
        name=role.name,
        instances=role.instances,
        resources=contract.Resources(role.resources.memory_mib, role.resources.vcores, role.resources.gpus),
        command=role.command if sidecar else _fill(role.command, paths),
        env=task_environment(spec, role),
        tracked=decides or not spec.roles,  # a TensorBoard without a job beside it is the job
        on_failure=on_failure,
        on_loss=on_loss,
        min_instances=role.min_instances,
        start=role.start,
        depends_on=role.depends_on,
        watches=sidecar,
    )


def _fill(command: str, paths: Mapping[str, str]) -> str:
    return re.sub(f"%({'|'.join(paths)})%", lambda match: paths[match.group(1)], command)


def _own_files() -> dict[str, Any]:
    return {
        contract.CODE_ZIP: _file("<ys:code>"),
        contract.JOB_FILE: {**_file(f"{_STAGING}/job.json"), "visibility": "application"},
        contract.SECRET_FILE: {**_file(f"{_STAGING}/secret"), "visibility": "application"},
    }


def _file(source: str, *, archive: bool = False) -> dict[str, Any]:
    return {"source": source, "type": "archive" if archive else "file", "visibility": "private"}


def _service(spec: JobSpec, role: RoleSpec, files: Mapping[str, LocalFile]) -> dict[str, Any]:
    wanted = {**_own_files(), contract.PYTHON_ARCHIVE: _file("<ys:python>")}
    if spec.secrets:
        wanted[contract.SECRETS_FILE] = {**_file(f"{_STAGING}/secrets.json"), "visibility": "application"}
    for item in (*spec.localizations, *role.localizations):
        local = files.get(item.remote)
        archive = item.archive or (local is not None and local.is_tree)
        wanted[local_name(item)] = _file(f"<ys:staged:{local.sha256}>" if local else item.remote, archive=archive)
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
    service: dict[str, Any] = {
        "instances": role.instances,
        "resources": resources,
        "max_restarts": 0,
        "allow_failures": True,
        "script": _executor_script(role.name, archives),
        "files": wanted,
    }
    env, label = launch_environment(spec, role), role.node_label or spec.node_label
    return {**service, **({"env": env} if env else {}), **({"node_label": label} if label else {})}


def _executor_script(role: str, archives: list[str]) -> str:
    """Return the shell text that finds a Python (3.7 or newer) and becomes the executor of a task of `role`.

    An archive's interpreter is tried first: it may stand for one that the node does not have. The node's own tells its
    version, which costs no start of an interpreter, and gives way by itself when it has no ssl. Ours comes last and
    packed: unpacking it for every container costs a second, and having YARN unpack it costs one `chmod` a file on nodes
    without Hadoop's native library, where hardly any container needs it.
    """
    become = f'"{_IMPORT.format("executor")}" {role}'
    unpacked = contract.PYTHON_DIR
    own = (
        f"mkdir {unpacked} && gzip -dc {contract.PYTHON_ARCHIVE} | tar -xf - -C {unpacked}"
        f" && exec ./{unpacked}/bin/python3 -I -S -c {become}"
    )
    tries = "".join(_ARCHIVE_PYTHON.format(shlex.quote(f"./{name}/bin/python3"), become) for name in archives)
    node = _NODE_PYTHON.format(contract.OWN_PYTHON, shlex.quote(own), _IMPORT.format("executor"), role)
    return f"{tries}{node}{own}"


_ARCHIVE_PYTHON = """\
if {0} -I -S -c "import sys, ssl; sys.exit(sys.version_info < (3, 7))" 2>/dev/null; then
  exec {0} -I -S -c {1}
fi
"""
_NODE_PYTHON = """\
case $(python3 -V 2>&1) in "Python 3."[789].*|"Python 3."[1-9][0-9].*)
  export {0}={1}
  exec python3 -I -S -c "
try:
  import ssl
except ImportError:
  import os
  os.execvp('bash', ['bash', '-c', os.environ['{0}']])
{2}" {3} ;;
esac
"""


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
