"""Kubeflow's TFJob and PyTorchJob: replicas of pods with one container each.

Names and meanings are those of the training operator's API kubeflow.org/v1 and of Kubernetes' pods. A bare mapping of
replicas (`tfReplicaSpecs:` or `pytorchReplicaSpecs:` at the top of the file) is read, too.
"""

from __future__ import annotations

import posixpath
import shlex
from typing import Any

from yarn_submitter.formats.roles import fold_master, role_of, unset_when_alone
from yarn_submitter.formats.source import Entries, Source, Wish, expanded, shell_word
from yarn_submitter.given import Given
from yarn_submitter.yamlfile import YamlJob

SYSTEM = "Kubeflow"

_REPLICAS = {"tfReplicaSpecs": "tensorflow", "pytorchReplicaSpecs": "pytorch"}
_KINDS = {"TFJob": "tfReplicaSpecs", "PyTorchJob": "pytorchReplicaSpecs"}
_NO_RESTARTS = "what follows a failure is the framework's; see --max_restarts and --role_on_failure"
_METADATA_LEFT = {
    "namespace": "it is Kubernetes'; see --queue",
    "labels": "a job has no labels of its user's",
    "annotations": "they are for Kubernetes",
}
_POLICY = ("activeDeadlineSeconds", "backoffLimit", "suspend")
_POLICY_LEFT = {
    "cleanPodPolicy": "the job's containers end with it",
    "ttlSecondsAfterFinished": "the record of a job is kept",
    "schedulingPolicy": "all tasks start together or none; see --queue",
    "managedBy": "it is Kubernetes'",
}
_ELASTIC = ("minReplicas", "maxReplicas", "maxRestarts")
_ELASTIC_LEFT = {
    **dict.fromkeys(("rdzvBackend", "rdzvHost", "rdzvPort", "rdzvId", "rdzvConf"), "torchrun finds its rendezvous"),
    "standalone": "torchrun finds its rendezvous",
    "nProcPerNode": "torchrun starts a process for each GPU of a task",
    "metrics": "the number of tasks follows what the cluster has",
}
_POD_LEFT = {
    "nodeSelector": "YARN's nodes are chosen with --node_label or --role_node_label",
    "affinity": "YARN's nodes are chosen with --node_label or --role_node_label",
    "tolerations": "YARN's nodes are chosen with --node_label or --role_node_label",
    "schedulerName": "YARN schedules",
    "priorityClassName": "the queue decides",
    "serviceAccountName": "tasks run as YARN's user",
    "serviceAccount": "tasks run as YARN's user",
    "securityContext": "tasks run as YARN's user",
    "imagePullSecrets": "the nodes' Docker has the keys of registries",
    "hostNetwork": "tasks have the network of their nodes, or of --mount and Docker as YARN is set",
    "hostIPC": "it is YARN's to allow",
    "hostPID": "it is YARN's to allow",
    "dnsPolicy": "it is Kubernetes'",
    "terminationGracePeriodSeconds": "the time to end is the job's; see --stop_grace",
}
_CONTAINER_LEFT = {
    "imagePullPolicy": "YARN decides",
    "ports": "tasks find each other by what the framework's variables say",
    "envFrom": "give what it holds with --env, --env_file or --secret",
    "securityContext": "tasks run as YARN's user",
    "livenessProbe": "a task lives while its command runs",
    "readinessProbe": "a task lives while its command runs",
    "startupProbe": "a task lives while its command runs",
    "lifecycle": "put it into the command",
    "stdin": "standard input is empty",
    "tty": "tasks have no terminal",
    "terminationMessagePath": "the last lines of a task are shown",
    "terminationMessagePolicy": "the last lines of a task are shown",
}
_CONTAINER = ("name", "image", "command", "args", "env", "resources", "workingDir", "volumeMounts")
_DEVICES = {"nvidia.com/gpu": "gpu"}
_VOLUME = "bring it with --localization, or --mount a directory of the nodes"


def load(source: Source, root: Any) -> YamlJob:
    """Read a TFJob or PyTorchJob."""
    job = YamlJob()
    left = {"status": "it is what Kubernetes made of the job"}
    top = source.take(root, "", ("apiVersion", "kind", "metadata", "spec", *_REPLICAS), left)
    kind = source.scalar(top, "kind")
    if kind and kind.value not in _KINDS:
        source.refuse(kind, f"kind {kind.value}", f"known: {', '.join(_KINDS)}")
        source.give_up()
    if "metadata" in top:
        known = ("name", "generateName")
        metadata = source.take(top["metadata"][0], "metadata", known, _METADATA_LEFT, open_ended=True)
        name = source.scalar(metadata, "name") or source.scalar(metadata, "generateName")
        if name:
            job.options["name"] = [name.part(name.value.rstrip("-"))]
    spec = {**top, **(_spec(source, job, top) if "spec" in top else {})}
    wanted = [_KINDS[kind.value]] if kind else [key for key in _REPLICAS if key in spec]
    found = [key for key in wanted if key in spec]
    for key in _REPLICAS:
        if key in spec and key not in wanted[:1]:
            source.refuse(spec[key][1], key, f"the job is a {kind.value}" if kind else "a job has one framework")
    if not found:
        source.missing(" or ".join(wanted or _REPLICAS), "spec")
        source.give_up()
    framework = _REPLICAS[found[0]]
    node, place = spec[found[0]]
    job.options["framework"] = [place.part(framework)]
    for replica, where in source.mapping(node, found[0]).values():
        role = role_of(source, framework, where, job)
        if role:
            _replicas(source, job, role, replica, where)
    fold_master(source, job)
    _elastic(source, job, spec)
    unset_when_alone(job)
    return job


def _spec(source: Source, job: YamlJob, top: Entries) -> Entries:
    """Read what holds for the whole job; older operators had the run policy's keys in the spec itself."""
    own = ("runPolicy", "successPolicy", "elasticPolicy", "enableDynamicWorker", "nprocPerNode")
    spec = source.take(top["spec"][0], "spec", (*own, *_POLICY, *_REPLICAS), _POLICY_LEFT)
    policy = spec
    if "runPolicy" in spec:
        inner = source.take(spec["runPolicy"][0], "runPolicy", _POLICY, _POLICY_LEFT)
        policy = {**spec, **inner}
    deadline, suspend = source.scalar(policy, "activeDeadlineSeconds"), source.scalar(policy, "suspend")
    if deadline:
        seconds = deadline.value.strip()
        job.options["max_runtime"] = [deadline.part(f"{seconds}s" if seconds.isdecimal() else seconds)]
    if source.is_true(suspend) and suspend:
        source.refuse(suspend, "suspend", "a job starts when there is room", "take it out")
    success, dynamic = source.scalar(spec, "successPolicy"), source.scalar(spec, "enableDynamicWorker")
    if success and success.value == "AllWorkers":
        job.options["done_when"] = [success.part("all")]
    elif success and success.value:
        source.refuse(success, f"successPolicy {success.value}", "known: AllWorkers")
    if source.is_true(dynamic) and dynamic:
        source.refuse(dynamic, "enableDynamicWorker", "the tasks of a job stay the same", "take it out")
    processes = source.scalar(spec, "nprocPerNode")
    if processes and processes.value.strip() != "1":
        reason = "a task is one process here"
        source.refuse(processes, f"nprocPerNode {processes.value}", reason, "ask for as many workers with one GPU each")
    backoff = source.scalar(policy, "backoffLimit")
    if backoff:
        job.options["max_restarts"] = [backoff]
    return spec


def _elastic(source: Source, job: YamlJob, spec: Entries) -> None:
    """Read how many workers are enough, and how many are wanted."""
    if "elasticPolicy" not in spec or "worker" not in job.roles:
        return
    node, place = spec["elasticPolicy"]
    found = source.take(node, "elasticPolicy", _ELASTIC, _ELASTIC_LEFT)
    workers = job.roles["worker"].get("replicas", [place.part("1")])[0].value
    least, most, restarts = (source.scalar(found, key) for key in _ELASTIC)
    if least or most:
        text = f"{least.value if least else workers}:{most.value if most else workers}"
        job.roles["worker"]["replicas"] = [place.part(text)]
    if restarts and "max_restarts" in job.options:
        source.left(restarts, "elasticPolicy.maxRestarts", "backoffLimit is the one number of restarts")
    elif restarts:
        job.options["max_restarts"] = [restarts]


def _replicas(source: Source, job: YamlJob, role: str, node: Any, place: Given) -> None:
    """Read the replicas of one kind."""
    found = source.take(node, place.value, ("replicas", "template", "restartPolicy"))
    _restarts(source, found)
    source.add_role(job, role, place)
    replicas = source.scalar(found, "replicas")
    source.put(job, role, "replicas", [replicas] if replicas else [])
    template = source.take(found["template"][0], "template", ("metadata", "spec")) if "template" in found else {}
    if "metadata" in template:
        source.left(template["metadata"][1], "template.metadata", "it is for Kubernetes")
    known = ("containers", "initContainers", "volumes", "restartPolicy")
    pod = source.take(template["spec"][0], "pod", known, _POD_LEFT, open_ended=True) if "spec" in template else {}
    _restarts(source, pod)
    if "initContainers" in pod and source.items("initContainers", *pod["initContainers"]):
        source.refuse(pod["initContainers"][1], "initContainers", "a task is one container", "put it into the command")
    containers = source.items("containers", *pod["containers"]) if "containers" in pod else []
    if len(containers) != 1:
        sentence = f"{place.source}: {place.value} should have one container, and has {len(containers)}."
        step = "keep the one that trains" if containers else "add `containers:` below `template.spec`"
        source.faults.add("format-refused", sentence, "a task is one container", step, at=place)
    if containers:
        _Container(source, job, role, containers[0], place).read(pod)


def _restarts(source: Source, entries: Entries) -> None:
    policy = source.scalar(entries, "restartPolicy")
    if policy and policy.value != "Never":
        source.left(policy, f"restartPolicy {policy.value}", _NO_RESTARTS)


class _Container:
    """Reads the container of a kind of replicas."""

    def __init__(self, source: Source, job: YamlJob, role: str, node: Any, place: Given) -> None:
        self.source = source
        self.job = job
        self.role = role
        self.place = place
        self.entries = source.take(node, "container", _CONTAINER, _CONTAINER_LEFT, open_ended=True)

    def read(self, pod: Entries) -> None:
        """Fill the role."""
        source, job, role = self.source, self.job, self.role
        image, name = source.scalar(self.entries, "image"), source.scalar(self.entries, "name")
        if name and name.value not in _REPLICAS.values():  # the operator wants this name, which says nothing
            source.left(name, f"the container's name {name.value}", "tasks are called after their roles")
        envs = self.envs()
        source.put(job, role, "docker_image", [image] if image else [])
        source.put(job, role, "envs", [item.part(f"{name}={item.value}") for name, item in envs.items()])
        source.put_command(job, role, self.command(envs), self.place, "`command:`, for an image's is not started")
        source.put(job, role, "mounts", self.mounts(pod))
        source.put_wish(job, role, self.wish(), "`memory: 4Gi` below `resources.limits`")

    def envs(self) -> dict[str, Given]:
        """Return the variables; one may name those before it."""
        found: dict[str, Given] = {}
        node, place = self.entries.get("env", (None, self.place))
        for item in self.source.items("env", node, place) if node else []:
            entry = self.source.take(item, "env", ("name", "value", "valueFrom"))
            name, value = self.source.scalar(entry, "name"), self.source.scalar(entry, "value")
            if name and "valueFrom" in entry:
                step = f"give it with --secret {name.value}=@FILE or --env {name.value}=VALUE"
                self.source.left(name, f"the variable {name.value} from elsewhere", step)
            elif name:
                known = {key: text.value for key, text in found.items()}
                found[name.value] = name.part(expanded(value.value, known) if value else "")
        return found

    def command(self, envs: dict[str, Given]) -> Given | None:
        """Return command and arguments as one shell text."""
        source = self.source
        parts = {key: source.texts(key, *self.entries[key]) for key in ("command", "args") if key in self.entries}
        words = [word for key in ("command", "args") for word in parts.get(key, [])]
        if not words:
            return None
        if not parts.get("command"):
            sentence = f"{words[0].source}: {self.place.value} has args and no command."
            reason = "the entry point of an image is not started here"
            step = "add `command:` with what the image starts"
            source.faults.add("format-refused", sentence, reason, step, at=words[0])
        text = " ".join(shell_word(word.value, envs) for word in words)
        directory = source.scalar(self.entries, "workingDir")
        if directory:
            text = f"cd {shlex.quote(directory.value)} && {text}"
        return self.entries["command" if "command" in self.entries else "args"][1].part(text)

    def wish(self) -> Wish:
        """Return what the container asks for: its limits, and requests where there are none."""
        source = self.source
        if "resources" not in self.entries:
            return Wish(self.place)
        node, place = self.entries["resources"]
        asked = source.take(node, "resources", ("limits", "requests"), {"claims": "YARN has no resource claims"})
        amounts: dict[str, Given] = {}
        for key in ("limits", "requests"):
            entries = source.mapping(asked[key][0], key) if key in asked else {}
            for name in entries:
                text = source.scalar(entries, name)
                if text and name not in amounts:
                    amounts[name] = text
                elif text and text.value != amounts[name].value:
                    reason = f"the limit counts, {amounts[name].value}"
                    source.left(text, f"requests.{name} {text.value}", reason)
        disk = amounts.pop("ephemeral-storage", None)
        if disk:
            source.left(disk, "ephemeral-storage", "a task has the disks of its node")
        memory, cpu = amounts.pop("memory", None), amounts.pop("cpu", None)
        return source.wish(place, memory, cpu, {_DEVICES.get(name, name): text for name, text in amounts.items()})

    def mounts(self, pod: Entries) -> list[Given]:
        """Return the mounts of directories of the nodes; what else is mounted is not there."""
        source = self.source
        kinds, paths = self.volumes(pod)
        found = []
        items = source.items("volumeMounts", *self.entries["volumeMounts"]) if "volumeMounts" in self.entries else []
        for item in items:
            known = ("name", "mountPath", "readOnly", "subPath")
            mount = source.take(item, "volumeMounts", known, open_ended=True)
            name, target = source.scalar(mount, "name"), source.scalar(mount, "mountPath")
            if name is None:
                continue
            kind = kinds.pop(name.value, name.part("not defined"))
            path = paths.get(name.value)
            if path and target:
                sub = source.scalar(mount, "subPath")
                directory = posixpath.join(path.value, sub.value) if sub else path.value
                mode = "ro" if source.is_true(source.scalar(mount, "readOnly")) else "rw"
                found.append(target.part(f"{directory}:{target.value}:{mode}"))
            else:
                where = f", mounted at {target.value}" if target else ""
                source.left(name, f"the volume {name.value} ({kind.value}){where},", _VOLUME)
        for unused, kind in kinds.items():
            source.left(kind, f"the volume {unused} ({kind.value})", "nothing mounts it")
        return found

    def volumes(self, pod: Entries) -> tuple[dict[str, Given], dict[str, Given]]:
        """Return the pod's volumes: name -> kind, and name -> path for directories of the nodes."""
        source = self.source
        kinds: dict[str, Given] = {}
        paths: dict[str, Given] = {}
        for node in source.items("volumes", *pod["volumes"]) if "volumes" in pod else []:
            volume = source.mapping(node, "volume")
            name = source.scalar(volume, "name")
            if name is None:
                continue
            kinds[name.value] = name.part(", ".join(key for key in volume if key != "name") or "emptyDir")
            if "hostPath" in volume:
                inner = source.take(volume["hostPath"][0], "hostPath", ("path",), {"type": "the path has to be there"})
                path = source.scalar(inner, "path")
                paths.update({name.value: path} if path else {})
        return kinds, paths
