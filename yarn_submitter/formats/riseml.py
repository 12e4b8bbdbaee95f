"""RiseML's `riseml.yml`: one experiment, alone or as distributed TensorFlow, or with Horovod.

Names and meanings are those of RiseML 1.0's documentation ("Configuring Experiments" and the guides).
"""

from __future__ import annotations

import os
import re
from typing import Any

from yarn_submitter.formats.roles import alone, changed
from yarn_submitter.formats.source import Entries, Source, Wish, amount
from yarn_submitter.given import Given, valid_words
from yarn_submitter.options import TENSORBOARD
from yarn_submitter.yamlfile import YamlJob

SYSTEM = "RiseML"

_TRAIN = ("framework", "tensorflow", "resources", "image", "run", "parameters")
_LEFT = {
    "install": "nothing is installed before a task; bring an environment (job pack, --localization) or an image",
    "concurrency": "a job is one experiment",
}
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_VOLUME = re.compile(r"(?<![\w./-])/(data|output)(?![\w.-])")
_INSTEAD = {"data": "$DATA_DIR, from --input_path", "output": "$OUTPUT_DIR"}
# RiseML counted memory in megabytes, from 1.0 on in gigabytes. No task does with less than this many of the former, and
# none asked for as many of the latter.
_GIGABYTES_BELOW = 128
_MEMORY_FORM = "`mem:` below `resources:`"


def load(source: Source, root: Any) -> YamlJob:
    """Read an experiment; its files are those of the directory that it lies in, as `riseml train` sent them."""
    job = YamlJob()
    top = source.take(root, "", ("project", "train"), {"deploy": "only experiments are run here"})
    name = source.scalar(top, "project")
    if name:
        job.options["name"] = [name]
    if "src" not in source.command_line:
        job.options["src"] = [Given(os.path.dirname(source.path) or ".", source.path, (1, 0))]
    if "train" not in top:
        source.missing("train")
        source.give_up()
    _Experiment(source, job, *top["train"]).read()
    return job


class _Experiment:
    """What stands below `train`."""

    def __init__(self, source: Source, job: YamlJob, node: Any, place: Given) -> None:
        self.source = source
        self.job = job
        self.place = place
        self.train = source.take(node, "train", _TRAIN, _LEFT)
        self.wish = self.resources(self.train, place)

    def read(self) -> None:
        """Fill the job."""
        source, job = self.source, self.job
        framework = source.scalar(self.train, "framework")
        job.options["framework"] = [framework or self.place.part("generic")]
        image = self.image()
        if image:
            job.options["docker_image"] = [image]
        tensorflow = self.tensorflow(framework, image)
        parameters = self.parameters()
        command = self.command(parameters)
        roles = self.roles(tensorflow)
        if job.options["framework"][0].value.lower() == "tensorflow" and "distributed" not in tensorflow and command:
            command = command.part(alone(command.value))
        for role, (count, wish) in roles.items():
            source.add_role(job, role, wish.place)
            job.roles[role]["replicas"] = [count]
            source.put_wish(job, role, wish, _MEMORY_FORM)
            source.put_command(job, role, command, wish.place, "`run:`")
            source.put(job, role, "envs", parameters)

    def image(self) -> Given | None:
        """Return the image, which is a name or `name:` below it."""
        import yaml

        if "image" in self.train and isinstance(self.train["image"][0], yaml.MappingNode):
            return self.source.scalar(self.source.take(self.train["image"][0], "train.image", ("name",)), "name")
        return self.source.scalar(self.train, "image")

    def resources(self, entries: Entries, place: Given) -> Wish:
        """Return what `resources` asks for."""
        if "resources" not in entries:
            return Wish(place)
        node, where = entries["resources"]
        found = self.source.take(node, "resources", ("cpus", "mem", "gpus"))
        memory, gpus = self.source.scalar(found, "mem"), self.source.scalar(found, "gpus")
        unit = "M"
        if memory and _is_gigabytes(memory.value):
            unit = "G"
            self.source.faults.warn(
                f"{memory.source}: mem: {memory.value} is taken as {memory.value}G, for RiseML counts in gigabytes from"
                " 1.0 on; megabytes are those of 128 and more"
            )
        return self.source.wish(where, memory, self.source.scalar(found, "cpus"), {"gpu": gpus} if gpus else {}, unit)

    def tensorflow(self, framework: Given | None, image: Given | None) -> Entries:
        """Return the block `tensorflow`, without `distributed` when that is false."""
        import yaml

        source = self.source
        if "tensorflow" not in self.train:
            return {}
        node, place = self.train["tensorflow"]
        if framework is None or framework.value.lower() != "tensorflow":
            source.refuse(place, "train.tensorflow", "framework is not tensorflow", "add `framework: tensorflow`")
        found = source.take(node, "tensorflow", ("version", "tensorboard", "distributed"))
        version, board = source.scalar(found, "version"), source.scalar(found, "tensorboard")
        if version:
            gpu = "-gpu" if self.wish.others.get("gpu") and "gpu" not in version.value else ""
            tag = f"{version.value}{gpu}"
            source.version_left(
                version, "tensorflow.version", f"tensorflow/tensorflow:{tag}", has_image=image is not None
            )
        if board:
            self.job.options[TENSORBOARD] = [board]
        if source.is_true(board):
            reason = "the TensorBoard shows the checkpoint path: write summaries to $CHECKPOINT_DIR"
            source.left(found["tensorboard"][1], "TensorBoard's place, OUTPUT_DIR,", reason)
        if "distributed" in found and isinstance(found["distributed"][0], yaml.ScalarNode):
            switch = source.scalar(found, "distributed")
            del found["distributed"]
            if switch and switch.value.lower() not in ("false", "no", "off"):
                source.refuse(
                    switch, "distributed", "it does not say how many tasks", "write `ps: 1` and `worker: 3` there"
                )
        return found

    def roles(self, tensorflow: Entries) -> dict[str, tuple[Given, Wish]]:
        """Return our role -> its count and what it asks for."""
        if "distributed" not in tensorflow:
            return {"worker": (self.place.part("1"), self.wish)}
        node, place = tensorflow["distributed"]
        found = self.source.take(node, "distributed", ("ps", "worker", "master", "horovod"))
        if "horovod" in found:
            return self.horovod(*found["horovod"])
        reason = "each task has its own here; all of them are carried to the store"
        self.source.left(place, "the OUTPUT_DIR that all tasks share", reason)
        roles = {"worker": self.node("worker", found, place)}
        if "ps" in found:
            roles["ps"] = self.node("ps", found, place)
        self.job.options["tf_worker0"] = [place.part("master")]
        master = self.node("master", found, place)[1] if "master" in found else self.wish
        workers, worker = roles["worker"]
        if "master" not in found or master.text == worker.text:
            return roles
        self.source.faults.warn(
            f"{master.place.source}: the master asks for other resources than the workers, so it is a role of its own"
            " and TF_CONFIG calls it chief"
        )
        rest = changed(workers.value, -1)
        return {"chief": (place.part("1"), master), **roles, "worker": (workers.part(rest), worker)}

    def node(self, name: str, entries: Entries, place: Given) -> tuple[Given, Wish]:
        """Return count and resources of a kind of nodes, `ps: 2` or a mapping."""
        import yaml

        if name not in entries:
            return place.part("1"), self.wish
        node, where = entries[name]
        if not isinstance(node, yaml.MappingNode):
            return self.source.scalar(entries, name) or where.part("1"), Wish(where, *_amounts(self.wish))
        known = ("resources",) if name == "master" else ("count", "resources")
        found = self.source.take(node, name, known)
        wish = self.resources(found, where) if "resources" in found else Wish(where, *_amounts(self.wish))
        return self.source.scalar(found, "count") or where.part("1"), wish

    def horovod(self, node: Any, place: Given) -> dict[str, tuple[Given, Wish]]:
        """Return the workers of Horovod; RiseML ran a process for each GPU, and a task here is one process."""
        import yaml

        source = self.source
        found = source.take(node, "horovod", ("workers",))
        self.job.options["framework"] = [place.part("horovod")]
        workers, processes = found.get("workers", (None, place)), None
        if isinstance(workers[0], yaml.MappingNode):
            inner = source.take(workers[0], "workers", ("count", "processes"))
            count, processes = source.scalar(inner, "count"), source.scalar(inner, "processes")
        else:
            count = source.scalar(found, "workers")
        gpus = self.wish.others.get("gpu", 0)
        per_task = processes.value.strip() if processes else str(max(gpus, 1))
        if per_task != "1":
            reason = f"{per_task} processes for each worker, and a task here is one process"
            source.refuse(workers[1], "horovod.workers", reason, "ask for as many workers with one GPU each")
        return {"worker": (count or place.part("1"), self.wish)}

    def parameters(self) -> list[Given]:
        """Return the parameters as variables, `NUM_LAYERS=4`, each with the one value that it may have."""
        import yaml

        if "parameters" not in self.train:
            return []
        node, place = self.train["parameters"]
        found, combinations = [], 1
        for name, (values, where) in self.source.mapping(node, "parameters").items():
            if isinstance(values, yaml.MappingNode):
                self.source.refuse(where, f"range of {name}", "it makes several experiments, and a job is one", _ONE)
                continue
            texts = self.source.texts(name, values, where)
            combinations *= len(texts)
            found += [text.part(f"{name}={text.value}") for text in texts[:1]]
        if combinations != 1:
            reason = f"they make {combinations} experiments, and a job is one"
            self.source.refuse(place, "parameters", reason, _ONE)
        return found

    def command(self, parameters: list[Given]) -> Given | None:
        """Return the shell text of `run` with its placeholders filled; makes `parameters` variables' names."""
        if "run" not in self.train:
            return None
        node, place = self.train["run"]
        values = dict(item.value.split("=", 1) for item in parameters)
        named = (
            set(self.source.mapping(self.train["parameters"][0], "parameters")) if "parameters" in self.train else set()
        )
        used: set[str] = set()
        lines = [self.filled(text, values, named, used) for text in self.source.texts("run", node, place)]
        for index, item in enumerate(parameters):
            name, _, value = item.value.partition("=")
            parameters[index] = item.part(f"{re.sub(r'[^A-Za-z0-9_]', '_', name).upper()}={value}")
            if name not in used:
                sentence = f"{item.source}: parameter {name} is not used in run."
                self.source.faults.add("format-refused", sentence, "", f"take it out, or write {{{{{name}}}}}", at=item)
        if not lines:
            return None
        return place.part(lines[0] if len(lines) == 1 else " && ".join(f"(\n{line}\n)" for line in lines))

    def filled(self, text: Given, values: dict[str, str], named: set[str], used: set[str]) -> str:
        """Return one command with its parameters' values."""
        for volume in dict.fromkeys(_VOLUME.findall(text.value)):
            self.source.left(text, f"the volume /{volume}", f"use {_INSTEAD[volume]}")

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            used.add(name)
            if name not in named:
                sentence = f"{text.source}: run names a parameter {name} that is not defined."
                known = valid_words(name, sorted(named), "parameters") if named else "there are no parameters"
                self.source.faults.add("format-refused", sentence, known, "add it below `parameters:`", at=text)
            return values.get(name, "")

        return _PLACEHOLDER.sub(value, text.value)


_ONE = "keep one value of each, and run a job for every one that you want"


def _is_gigabytes(text: str) -> bool:
    try:
        return amount(text) < _GIGABYTES_BELOW
    except ValueError:
        return False


def _amounts(wish: Wish) -> tuple[int | None, int | None, dict[str, int], bool]:
    return wish.memory_mib, wish.vcores, dict(wish.others), wish.broken
