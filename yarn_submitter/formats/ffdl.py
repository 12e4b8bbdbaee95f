"""FfDL's manifest: some learners that run one command.

Names and meanings are those of FfDL's user guide and of its REST server's manifest. A learner is a task of the role
worker. It found the code in MODEL_DIR, its working directory, and counted learners from 1: the command is given both.
"""

from __future__ import annotations

from typing import Any

from yarn_submitter.formats.roles import alone
from yarn_submitter.formats.source import Entries, Source
from yarn_submitter.given import Given
from yarn_submitter.spec import FRAMEWORKS
from yarn_submitter.yamlfile import YamlJob

SYSTEM = "FfDL"

_KNOWN = ("name", "learners", "cpus", "gpus", "memory", "data_stores", "framework", "evaluation_metrics")
_LEFT = {
    "description": "a job has no description",
    "version": "it is that of the manifest",
    "gpu_type": "name the nodes that have such GPUs with --node_label",
    "storage": "a task has the disks of its node",
}
_STORE = ("id", "type", "training_data", "training_results", "connection")
# The image of each framework, which FfDL took the version of.
_IMAGES = {
    "tensorflow": "tensorflow/tensorflow",
    "caffe": "bvlc/caffe",
    "caffe2": "caffe2ai/caffe2",
    "pytorch": "pytorch/pytorch",
    "horovod": "uber/horovod",
    "h2o3": "opsh2oai/h2o3-ffdl",
}
_CUSTOM = "custom"  # its version is an image
# FfDL's names for what every task has here: docs/job-run.md, "What every task finds".
_NAMES = 'export MODEL_DIR="$PWD" RESULT_DIR="$OUTPUT_DIR" LEARNER_ID="$((YARN_SUBMITTER_INDEX + 1))"\n'


def load(source: Source, root: Any) -> YamlJob:
    """Read a manifest."""
    job = YamlJob()
    top = source.take(root, "", _KNOWN, _LEFT)
    name = source.scalar(top, "name")
    if name:
        job.options["name"] = [name]
    place = Given("worker", source.path, (1, 0))
    learners = source.scalar(top, "learners") or place.part("1")
    source.add_role(job, "worker", learners)
    job.roles["worker"]["replicas"] = [learners]
    job.roles["worker"]["envs"] = [learners.part(f"NUM_LEARNERS={learners.value.strip()}")]
    gpus = source.scalar(top, "gpus")
    wish = source.wish(place, source.scalar(top, "memory"), source.scalar(top, "cpus"), {"gpu": gpus} if gpus else {})
    source.put_wish(job, "worker", wish, "`memory:`")
    source.put_command(job, "worker", _framework(source, job, top), learners, "`command:` below `framework:`")
    _data_stores(source, top)
    _metrics(source, top)
    return job


def _framework(source: Source, job: YamlJob, top: Entries) -> Given | None:
    """Read framework, image and command; return the command."""
    if "framework" not in top:
        source.missing("framework")
        source.give_up()
    node, place = top["framework"]
    found = source.take(node, "framework", ("name", "version", "image_tag", "command"))
    name = source.scalar(found, "name")
    if name is None:
        source.missing("name", "framework")
        name = place.part("generic")
    word = name.value.lower()
    job.options["framework"] = [name if word in FRAMEWORKS else name.part("generic")]
    if word not in (*FRAMEWORKS, _CUSTOM):
        source.left(name, f"the framework {name.value}", "its learners are plain tasks of a generic job")
    version, tag = source.scalar(found, "version"), source.scalar(found, "image_tag")
    if tag:
        source.left(tag, "framework.image_tag", "name the whole image with --docker_image")
    if version and word == _CUSTOM:
        job.options["docker_image"] = [version]
    elif version:
        image = f"{_IMAGES.get(word, word)}:{version.value}"
        source.version_left(version, "framework.version", image)
    command = source.scalar(found, "command")
    if command is None:
        return None
    if "src" not in source.command_line:
        reason = "FfDL took it beside the manifest; add --src DIR when the command needs it"
        source.left(command, "the directory of the model", reason)
    alone_here = word == "tensorflow" and job.roles["worker"]["replicas"][0].value.strip() == "1"
    return command.part(_NAMES + (alone(command.value) if alone_here else command.value))


def _data_stores(source: Source, top: Entries) -> None:
    """Say of each data store what to type instead; its user and password are never shown."""
    if "data_stores" not in top:
        return
    for item in source.items("data_stores", *top["data_stores"]):
        found = source.take(item, "data_stores", _STORE)
        for key, step in (
            ("training_data", "say where it is with --input_path, hdfs:// or s3a://; tasks find it in $DATA_DIR"),
            ("training_results", "what is in $RESULT_DIR goes to the job's own output directory"),
        ):
            if key in found:
                bucket = source.scalar(source.take(found[key][0], key, ("container",)), "container")
                typed = key == "training_data" and "input_path" in source.command_line
                if bucket:
                    reason = "--input_path says where the data is" if typed else step
                    source.left(bucket, f"{key}.container {bucket.value}", reason)
        if "connection" in found:
            source.left(found["connection"][1], "data_stores.connection", "Hadoop's configuration has the stores' keys")


def _metrics(source: Source, top: Entries) -> None:
    if "evaluation_metrics" in top:
        reason = "metrics are not read; what is in $JOB_STATE_DIR is kept with the job"
        source.left(top["evaluation_metrics"][1], "evaluation_metrics", reason)
