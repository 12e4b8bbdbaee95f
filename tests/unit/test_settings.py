"""Settings: the strongest level wins, key by key; what is wrong is told all at once, with the place where it stands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from am.contract.job import Limits
from yarn_submitter.errors import UsageError
from yarn_submitter.levels import Found, merge
from yarn_submitter.settings import Caps, JobDefaults, Settings, job_defaults, keys
from yarn_submitter.siteconfig import NO_SETTINGS, load_settings, variable_of

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "conf" / "yarn-submitter.yaml"
# Every key -> as it is typed, and five texts with their values: one for each level.
TEXTS: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "cluster": ("cluster", [(name, name) for name in ("sandbox:a", "sandbox:b", "sandbox:c", "sandbox:d")]),
    "staging_root": ("staging_root", [(f"/{name}", f"/{name}") for name in "abcd"]),
    "queue": ("queue", [(name, name) for name in "abcd"]),
    "docker_image": ("docker_image", [(f"r/{name}:1.10", f"r/{name}:1.10") for name in "abcd"]),
    "allowed_images": ("allowed_images", [(f"{name}/*,x", (f"{name}/*", "x")) for name in "abcd"]),
    "env.*": ("env.NAME", [(name, name) for name in ("0042", "yes", "1e3", "~")]),
    "profiles.*": ("profiles.small", [(f"memory={n}G", f"memory={n}G") for n in range(1, 5)]),
    "caps.instances": ("caps.instances", [("1", 1), ("2", 2), ("none", None), ("4", 4)]),
    "caps.memory": ("caps.memory", [("1G", 1024), ("2048M", 2048), ("none", None), ("4g", 4096)]),
    "caps.vcores": ("caps.vcores", [("1", 1), ("2", 2), ("none", None), ("4", 4)]),
    "caps.gpus": ("caps.gpus", [("0", 0), ("2", 2), ("none", None), ("4", 4)]),
    "caps.lifetime": ("caps.lifetime", [("45s", 45), ("90m", 5400), ("none", None), ("1d12h", 129600)]),
    "retention": ("retention", [("1d", 86400), ("2d", 172800), ("never", None), ("30d", 2592000)]),
    **{f"limits.{name}": (f"limits.{name}", [(str(n), n) for n in range(1, 5)]) for name in
       ("gang_hold_s", "registration_s", "silence_s", "stop_grace_s", "upload_s", "call_s", "gang_tries",
        "queue_wait_s", "probe_s", "stall_s", "gpu_idle_s")},
}  # fmt: skip


class Machine:
    """A machine with a site's and a user's file."""

    def __init__(self, directory: Path) -> None:
        self.site = directory / "site.yaml"
        self.user = directory / "xdg" / "yarn-submitter" / "config.yaml"
        self.user.parent.mkdir(parents=True)
        self.site.write_text("")
        self.environ = {"XDG_CONFIG_HOME": str(directory / "xdg"), "YARN_SUBMITTER_SITE_FILE": str(self.site)}

    def load(self, *overrides: str, cluster: str = "", **environ: str) -> Settings:
        """Return what counts here."""
        return load_settings({**self.environ, **environ}, overrides, cluster)

    def faults(self, *overrides: str, cluster: str = "", **environ: str) -> list[str]:
        """Return `id sentence evidence next_step` of every fault."""
        with pytest.raises(UsageError) as refused:
            self.load(*overrides, cluster=cluster, **environ)
        return [f"{one.id} {one.sentence} {one.evidence} {one.next_step}" for one in refused.value.problems]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine."""
    return Machine(tmp_path)


def value_of(settings: Settings, name: str, typed: str) -> Any:
    """Return the value of a key."""
    value: Any = settings
    for field in keys()[name].path:
        value = getattr(value, field)
    return value.get(typed.partition(".")[2]) if name.endswith(".*") else value


def in_yaml(typed: str, text: str) -> str:
    """Return a file that sets one key."""
    section, dot, last = typed.partition(".")
    quoted = '"~"' if text == "~" else f"[{text}]" if typed == "allowed_images" else text
    return f"{section}:\n  {last}: {quoted}\n" if dot else f"{section}: {quoted}\n"


@pytest.mark.parametrize("name", TEXTS)
def test_every_level_wins_over_those_below(machine: Machine, name: str) -> None:
    """Each key can be set on every level: flag > environment > user's file > site's file > default; origins tell."""
    typed, ((site, site_value), (user, user_value), (variable, variable_value), (flag, flag_value)) = TEXTS[name]
    key = keys()[name]
    seen = [(value_of(machine.load(), name, typed), machine.load().origin(typed))]
    line = 2 if "." in typed else 1
    machine.site.write_text(in_yaml(typed, site))
    seen.append((value_of(machine.load(), name, typed), machine.load().origin(typed)))
    machine.user.write_text(in_yaml(typed, user))
    seen.append((value_of(machine.load(), name, typed), machine.load().origin(typed)))
    own = variable_of(key) + (typed.partition(".")[2] if name.endswith("*") else "")
    in_environment = machine.load(**{own: variable})
    seen.append((value_of(in_environment, name, typed), in_environment.origin(typed)))
    by_flag = machine.load(f"{typed}={flag}", **{own: variable})
    seen.append((value_of(by_flag, name, typed), by_flag.origin(typed)))
    assert seen == [
        (key.default, "default"),
        (site_value, f"{machine.site}:{line}"),
        (user_value, f"{machine.user}:{line}"),
        (variable_value, own),
        (flag_value, f"--set {typed}"),
    ]


def test_every_key_is_in_the_table() -> None:
    """A key that is added gets its row; a directory belongs to a cluster and is tried below."""
    assert set(TEXTS) | {"hadoop_conf_dir"} == set(keys())


def test_nothing_set_is_nothing_read() -> None:
    """Without files and variables the defaults count, and these are those of the parts."""
    assert load_settings({}) == Settings() == merge([{}, {}])
    assert (Settings().caps, Settings().limits) == (Caps(), Limits())
    assert job_defaults(Settings()) == JobDefaults()


def test_the_shipped_file_has_every_key_at_its_default(machine: Machine) -> None:
    """conf/yarn-submitter.yaml sets each key, to the default; what its comments show can be set too."""
    machine.site.write_text(SHIPPED.read_text())
    settings = machine.load()
    assert settings == Settings()
    names = {name for name in keys() if not name.endswith("*")} - {"hadoop_conf_dir"}
    assert set(settings.origins) == names
    text = re.sub(
        r"^(clusters|env|profiles): {}$|^(allowed_images): \[\]$", r"\1\2:", SHIPPED.read_text(), flags=re.MULTILINE
    )
    machine.site.write_text(re.sub(r"^#  ", "  ", text, flags=re.MULTILINE))
    shown = machine.load(cluster="prod")
    assert (shown.queue, shown.hadoop_conf_dir, shown.caps.gpus) == ("research", "/etc/hadoop/conf", 64)
    assert (shown.profiles["small"], shown.allowed_images) == ("memory=2G,vcores=1", ("registry.example.org/ml/*",))


def test_the_page_has_every_key_with_variable_and_default() -> None:
    """docs/configuration.md has a row for each key, and for nothing else."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    table = {row[0].strip("` "): (row[2], row[3].strip("` ")) for row in rows if len(row) == 4}
    assert list(table) == list(keys())
    for name, (default, variable) in table.items():
        key = keys()[name]
        assert variable.startswith(variable_of(key)) or (name, variable) == ("hadoop_conf_dir", "HADOOP_CONF_DIR")
        if key.nothing or isinstance(key.default, int) or name == "queue":
            assert default == f"`{key.text(key.default)}`"


def test_a_cluster_brings_its_own_values(machine: Machine) -> None:
    """A chosen cluster's value wins over the general one of its level, and over no higher level."""
    machine.site.write_text(
        "queue: general\nenv: {A: general, B: general}\ncaps: {gpus: 1, vcores: 9}\n"
        "clusters:\n  prod:\n    hadoop_conf_dir: /prod\n    queue: own\n    env: {A: own}\n    caps: {gpus: 2}\n"
    )
    prod = machine.load(cluster="prod")
    assert (prod.cluster, prod.hadoop_conf_dir, prod.queue) == ("prod", "/prod", "own")
    assert (prod.env, prod.caps.gpus, prod.caps.vcores) == ({"A": "own", "B": "general"}, 2, 9)
    assert (prod.origin("cluster"), prod.origin("queue")) == ("--cluster", f"{machine.site}:7")
    assert machine.load().queue == "general"
    assert machine.load(cluster="prod", YARN_SUBMITTER_QUEUE="mine").queue == "mine"
    machine.user.write_text("queue: mine\nclusters: {prod: {caps: {gpus: 3}}, lab: {hadoop_conf_dir: ~/lab}}\n")
    prod = machine.load(cluster="prod")
    assert (prod.queue, prod.caps.gpus, prod.hadoop_conf_dir) == ("mine", 3, "/prod")
    assert prod.clusters == {"prod": "/prod", "lab": str(Path("~/lab").expanduser())}


@pytest.mark.parametrize(
    ("cluster", "environ", "name", "directory", "origin"),
    [
        ("", {}, "prod", "/prod", "user"),
        ("lab", {"YARN_SUBMITTER_CLUSTER": "prod", "HADOOP_CONF_DIR": "/else"}, "lab", "/lab", "--cluster"),
        ("", {"YARN_SUBMITTER_CLUSTER": "lab", "HADOOP_CONF_DIR": "/else"}, "lab", "/lab", "YARN_SUBMITTER_CLUSTER"),
        ("", {"HADOOP_CONF_DIR": "/else", "YARN_CONF_DIR": "/lab"}, "", "/else", "HADOOP_CONF_DIR"),
        ("", {"HADOOP_CONF_DIR": "/lab/"}, "lab", "/lab", "HADOOP_CONF_DIR"),
        ("", {"YARN_CONF_DIR": "/lab"}, "lab", "/lab", "YARN_CONF_DIR"),
        ("sandbox:x", {"HADOOP_CONF_DIR": "/lab"}, "sandbox:x", "", "--cluster"),
    ],
)
def test_which_cluster(
    machine: Machine, cluster: str, environ: dict[str, str], name: str, directory: str, origin: str
) -> None:
    """--cluster > YARN_SUBMITTER_CLUSTER > HADOOP_CONF_DIR > YARN_CONF_DIR > user's file > site's file."""
    machine.site.write_text("cluster: lab\nclusters: {lab: {hadoop_conf_dir: /lab}, prod: {hadoop_conf_dir: /prod}}\n")
    machine.user.write_text("cluster: prod\n")
    settings = machine.load(cluster=cluster, **environ)
    assert (settings.cluster, settings.hadoop_conf_dir) == (name, directory)
    assert settings.origin("cluster") == (f"{machine.user}:1" if origin == "user" else origin)


def test_a_sandbox_has_a_section_too(machine: Machine) -> None:
    """`sandbox` counts for every sandbox, `sandbox:NAME` for one."""
    machine.site.write_text("queue: research\nclusters: {sandbox: {queue: default}, sandbox:two: {queue: two}}\n")
    assert [machine.load(cluster=name).queue for name in ("sandbox", "sandbox:one", "sandbox:two", "")] == [
        *("default", "default", "two", "research")
    ]


BROKEN = """\
quue: x
queue: [a, b]
caps: {memory: 12, gpus: many, instance: 3}
env: {1X: 3}
limits: {call_s: 0, gang_hold_s: 9999999999}
clusters:
  prod: {hadoop_conf_dir: conf, cluster: x}
  sandbox: {hadoop_conf_dir: /x}
retention: soon
profiles: {small: "memory=2"}
queue: c
docker_image: {a: b}
limits.call_s: 3
"""


def test_all_faults_at_once(machine: Machine) -> None:
    """Each fault of each level has its place, what was read, and the close match."""
    machine.site.write_text(BROKEN)
    machine.user.write_text("caps:\n  lifetime: long\n- x\n")
    found = machine.faults(
        *("queue", "cpas.gpus=1", "caps=3", "hadoop_conf_dir=/x"),
        cluster="prd",
        YARN_SUBMITTER_QUEU="x",
        YARN_SUBMITTER_CAPS_GPUS="-1",
        YARN_SUBMITTER_JOB="application_1_1",
    )
    site, user = f"{machine.site}:", f"{machine.user}:"
    expected = [
        ("yaml-key-twice", f"{site}11", "queue", "first in line 2"),
        ("setting-unknown", f"{site}1:", "quue", "did you mean queue?"),
        ("setting-value", f"{site}2:", "queue", "one value"),
        ("setting-value", f"{site}3:", "caps.memory", "512G", "'12'"),
        ("setting-value", f"{site}3:", "caps.gpus", "whole number", "'many'", "none: no limit"),
        ("setting-unknown", f"{site}3:", "caps.instance.", "did you mean instances?"),
        ("setting-name", f"{site}4:", "'1X'", "variable"),
        ("setting-value", f"{site}5:", "limits.call_s", "from 1 to", "'0'"),
        ("setting-value", f"{site}5:", "limits.gang_hold_s", "'9999999999'"),
        ("setting-value", f"{site}7:", "clusters.prod.hadoop_conf_dir", "'conf'", "absolute"),
        ("setting-unknown", f"{site}7:", "clusters.prod.cluster"),
        ("setting-value", f"{site}8:", "clusters.sandbox.hadoop_conf_dir"),
        ("setting-value", f"{site}9:", "retention", "30d", "'soon'"),
        ("setting-value", f"{site}10:", "profiles.small", "needs a unit"),
        ("yaml-shape", f"{site}12:", "docker_image", "one value"),
        ("setting-unknown", f"{site}13:", "limits.call_s", "did you mean limits?"),
        ("yaml-broken", f"{user}3:"),
        ("setting-value", "YARN_SUBMITTER_CAPS_GPUS", "whole number", "'-1'"),
        ("setting-unknown", "YARN_SUBMITTER_QUEU:", "did you mean YARN_SUBMITTER_QUEUE?"),
        ("setting-form", "KEY=VALUE", "'queue'"),
        ("setting-unknown", "--set cpas.gpus", "did you mean caps?"),
        ("setting-unknown", "--set caps", "section", "lifetime"),
        ("setting-unknown", "--set hadoop_conf_dir", "clusters: NAME:"),
        ("cluster-unknown", "--cluster", "'prd'", "sandbox:NAME", "HADOOP_CONF_DIR"),
    ]
    missing = [
        (words, text)
        for words, text in zip(expected, found, strict=False)
        if not text.startswith(words[0]) or any(word not in text for word in words)
    ]
    assert (missing, len(found)) == ([], len(expected))


@pytest.mark.parametrize(
    ("text", "problem_id", "words"),
    [
        ("- a\n", "yaml-shape", ":1: the file should hold"),
        ("caps: 3\n", "yaml-shape", ":1: caps should hold"),
        ("queue: a\n---\nqueue: b\n", "yaml-broken", "no YAML"),
        ("\tqueue: a\n", "yaml-broken", ":1:"),
        ("queue: 'a\n", "yaml-broken", "no YAML"),
        ("? [a]\n: b\n", "yaml-shape", ":1: a key should be one word"),
        ("env: {<<: 3}\n", "yaml-broken", ":1: this cannot be merged"),
        ("clusters: &a {prod: *a}\n", "setting-unknown", "clusters.prod.prod"),
    ],
)
def test_broken_yaml(machine: Machine, text: str, problem_id: str, words: str) -> None:
    """What is no YAML, or has another shape, is one fault with its line; never a traceback."""
    machine.site.write_text(text)
    (found,) = machine.faults()
    assert found.startswith(problem_id), found
    assert words in found


def test_yaml_as_people_write_it(machine: Machine) -> None:
    """Anchors and merge keys work; null is as if left out; texts stay as written; an empty file is none."""
    machine.site.write_text(
        "clusters:\n  a: &a {hadoop_conf_dir: /a, queue: one}\n  b: {<<: *a, queue: two}\n"
        "queue:\ncaps:\nenv: {V: 0x1F, W: no, X: 1.50, Y: 2024-01-05, Z: none}\nretention: never\n"
    )
    settings = machine.load(cluster="b")
    assert (settings.hadoop_conf_dir, settings.queue, settings.caps) == ("/a", "two", Caps())
    assert settings.env == {"V": "0x1F", "W": "no", "X": "1.50", "Y": "2024-01-05", "Z": "none"}
    machine.site.write_text("# nothing\n")
    assert machine.load() == Settings()


def test_files_that_cannot_be_read(machine: Machine, tmp_path: Path) -> None:
    """A site's file that is named must be there; a user's may be missing, not be something else."""
    machine.user.mkdir()
    found = machine.faults(YARN_SUBMITTER_SITE_FILE=str(tmp_path / "none.yaml"))
    assert [text.partition(" ")[0] for text in found] == ["yaml-unreadable", "yaml-unreadable"]
    assert "none.yaml" in found[0]


def test_a_cluster_without_a_directory(machine: Machine) -> None:
    """A section alone makes no cluster; whoever chooses it is told what to add."""
    machine.site.write_text("clusters: {prod: {queue: x}}\n")
    (found,) = machine.faults(cluster="prod")
    assert found.startswith("cluster-unknown")
    assert "add hadoop_conf_dir below clusters: prod:" in found
    assert machine.load().clusters == {}


def test_what_a_task_finds_is_no_setting() -> None:
    """`job run` works inside another job's task: no variable that our executors set is taken for a setting."""
    tree = ast.parse((ROOT / "am" / "executor" / "environment.py").read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    theirs = {text for text in texts if re.fullmatch(r"YARN_SUBMITTER_[A-Z_]+", text)}
    assert theirs
    assert theirs <= NO_SETTINGS
    assert {variable_of(key) for key in keys().values()} & NO_SETTINGS == set()


def test_what_a_job_gets(machine: Machine) -> None:
    """Queue, image, variables, profiles, and a lifetime where there is a cap."""
    flags = ["queue=q", "docker_image=i:1", "env.A=b=c", "profiles.small=memory=1G", "caps.lifetime=2h"]
    found = job_defaults(machine.load(*flags))
    assert found == JobDefaults("q", "i:1", {"A": "b=c"}, {"small": "memory=1G"}, 7200)
    assert type(found.max_runtime_s) is int  # job.json takes nothing else


def test_merging_edits_nothing() -> None:
    """The merge is pure: levels stay as they were, and two calls give equal values."""
    level = {("env", "A"): Found("1", "x"), ("caps", "gpus"): Found(3, "y")}
    before = dict(level)
    assert merge([level]) == merge([level])
    assert level == before
    assert merge([level]).origin("env.A") == "x"
