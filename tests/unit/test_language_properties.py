"""What holds for every text of the language, tried with texts that nobody would think of; the same ones in each run."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, configuration, given, settings
from hypothesis import strategies as st
from language_world import in_yaml

from am.contract.job import AFTER_FAILURE, IGNORE, STARTS
from yarn_submitter.argv import known_option, read_argv
from yarn_submitter.given import Faults, Given
from yarn_submitter.load import load
from yarn_submitter.options import FLAG, OPTIONS, REPEATABLE
from yarn_submitter.remotes import read_localizations, read_mounts
from yarn_submitter.spec import JobLimits, JobSpec, Localization, Mount, Quicklink, RoleSpec, Security
from yarn_submitter.units import Ask, parse_duration, parse_resources
from yarn_submitter.values import read_pairs, read_quicklinks
from yarn_submitter.words import words
from yarn_submitter.yamlfile import read_yaml

pytestmark = pytest.mark.thorough
configuration.set_hypothesis_home_dir(os.devnull)  # it remembers nothing
SLOW = [HealthCheck.too_slow]  # a busy machine is none of the language's faults
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, max_examples=200, suppress_health_check=SLOW
)
settings.load_profile("repeatable")

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
BLANKS = st.sampled_from(["", " ", "  ", "\t", "\n"])
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_TAKEN = ("rw", "wr", "ro", "input")  # by the form, or by us
FILES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\0/:#,"), min_size=1, max_size=12)
FILES = FILES.filter(lambda name: name.strip(".") and not name.startswith((".ys.", ".skein.")) and name not in _TAKEN)
COUNTS = st.integers(0, 2**31 - 1)
REMOTES = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["hdfs", "s3a", "viewfs", "https", "abfs"]),
    st.sampled_from(["", "host", "host:8020", "[::1]:8020", "user@host:1"]),
    st.lists(FILES, min_size=1, max_size=3).map("/".join),
)
ENVIRONMENTS = st.dictionaries(VARIABLES, TEXT, max_size=4)


# Resources


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """Return what a container may be asked to have."""
    others = draw(st.dictionaries(st.sampled_from(["yarn.io/gpu", "yarn.io/fpga", "acme.com/npu"]), COUNTS, max_size=3))
    amounts = {name: count for name, count in others.items() if count}
    return Ask(draw(st.integers(1, 2**31 - 1)), draw(st.integers(1, 2**31 - 1)), amounts)


@given(asks(), st.data())
def test_resources_in_any_spelling(ask: Ask, data: st.DataObject) -> None:
    """Whatever the order, the blanks, the unit and its case, and the alias, a text means what it says."""
    short = {"yarn.io/gpu": "gpu", "yarn.io/fpga": "fpga"}
    memory = [f"memory={ask.memory_mib}M", f"memory={ask.memory_mib}m", f"memory-mb={ask.memory_mib}"]
    if ask.memory_mib % 1024 == 0:
        memory += [f"memory={ask.memory_mib // 1024}G", f"MEMORY-MB={ask.memory_mib // 1024}g"]
    pairs = [data.draw(st.sampled_from(memory))]
    if ask.vcores != 1 or data.draw(st.booleans()):
        pairs.append(f"{data.draw(st.sampled_from(['vcores', 'VCORES']))}={ask.vcores}")
    for name, count in ask.others.items():
        pairs.append(f"{data.draw(st.sampled_from([name, short.get(name, name)]))}={count}")
    spaced = []
    for pair in data.draw(st.permutations(pairs)):
        key, _, amount = pair.partition("=")
        spaced.append("".join([data.draw(BLANKS), key, data.draw(BLANKS), "=", data.draw(BLANKS), amount]))
    assert parse_resources(",".join(spaced) + data.draw(st.sampled_from(["", ",", " , "]))) == ask


@given(st.one_of(TEXT, st.text("memoryvcs=,.0123456789GMk -", max_size=40)))
def test_any_text_is_resources_or_a_short_sentence(text: str) -> None:
    """No text makes anything but an ask of at least one MiB and one vcore, or a sentence that fits on a line or two."""
    sentence = ""
    try:
        ask = parse_resources(text)
    except ValueError as error:
        sentence = str(error)
    assert len(sentence) < 300
    if not sentence:
        assert (ask.memory_mib >= 1, ask.vcores >= 1) == (True, True)


# The command line


@given(
    st.lists(st.tuples(st.sampled_from([option for option in OPTIONS if option.kind != FLAG]), TEXT), max_size=6),
    st.data(),
)
def test_any_value_comes_through_a_command_line(items: list[tuple[object, str]], data: st.DataObject) -> None:
    """By one dash or two, with `-` or `_`, behind `=` or as the next word: the value is what was typed."""
    typed: list[str] = []
    expected: dict[str, list[str]] = {}
    for option, value in items:
        if option.name in expected and option.kind not in REPEATABLE:
            continue
        name = data.draw(st.sampled_from(["-", "--"])) + option.name.replace("_", data.draw(st.sampled_from("-_")))
        if known_option(value) or data.draw(st.booleans()):
            typed.append(f"{name}={value}")
        else:
            typed += [name, value]
        if option.name == "conf" and value.startswith("tony."):
            return
        expected.setdefault(option.name, []).append(value)
    faults = Faults()
    found = read_argv(typed, faults)
    assert ({name: [item.value for item in given] for name, given in found.items()}, faults.problems) == (expected, [])


@given(st.lists(st.one_of(TEXT, st.sampled_from([f"--{option.name}" for option in OPTIONS])), max_size=8))
def test_any_words_are_options_or_faults(typed: list[str]) -> None:
    """Every word becomes part of a value or of a fault; nothing is dropped without a word."""
    faults = Faults()
    found = read_argv(typed, faults)
    taken = sum(1 for given in found.values() for _ in given)
    assert len(typed) == 0 or taken or faults.problems


# Jobs


@st.composite
def localizations(draw: st.DrawFn) -> Localization:
    """Return something to be brought from a URI."""
    local = draw(st.one_of(FILES, FILES.map("/{}".format), st.lists(FILES, min_size=2, max_size=3).map("/".join)))
    archive = draw(st.booleans())
    return Localization(draw(REMOTES) + (".zip" if archive else ""), local, archive, draw(st.booleans()))


PLACES = st.lists(localizations(), max_size=3, unique_by=lambda item: item.local).map(tuple)
MOUNTS = st.lists(
    st.builds(Mount, FILES.map("/data/{}".format), FILES.map("/mnt/{}".format), st.booleans()),
    max_size=2,
    unique_by=lambda mount: mount.target,
).map(tuple)
IMAGES = st.sampled_from(["", "team/image", "registry:5000/team/image:1.2", "1.10"])
LABELS = st.sampled_from(["", "fast", "A-1"])


NUMBERS = st.none() | st.integers(0, 10**5)
LIMITS = st.builds(
    JobLimits, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, stop_grace_s=st.none() | st.integers(1, 10**5)
)


@st.composite
def roles(draw: st.DrawFn, name: str) -> RoleSpec:
    """Return a role."""
    least = draw(st.integers(0, 3))
    return RoleSpec(
        name,
        draw(st.integers(max(1, least), 50)),
        draw(asks()),
        draw(TEXT.filter(bool)),
        draw(ENVIRONMENTS),
        draw(PLACES),
        draw(MOUNTS),
        draw(IMAGES),
        draw(LABELS),
        draw(st.sampled_from(["", *AFTER_FAILURE])),
        draw(st.sampled_from(["", *AFTER_FAILURE])),
        least,
        draw(st.sampled_from(STARTS)),
    )


@st.composite
def jobs(draw: st.DrawFn) -> JobSpec:
    """Return a job whose files all lie elsewhere."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    found = tuple(draw(roles(name)) for name in names)
    if len(found) > 1:
        ended = [] if IGNORE in (found[0].on_failure, found[0].on_loss) else [(f"{names[0]}:succeeded",)]
        order = draw(st.sampled_from([(), (names[0],), tuple(names[:-1]), *ended]))
        found = (*found[:-1], dataclasses.replace(found[-1], depends_on=order))
    links = st.builds(
        lambda label, role, port: Quicklink(label, "https", f"{role.name}:{role.instances - 1}", port),
        st.from_regex(r"[A-Za-z][A-Za-z0-9 _]{0,9}", fullmatch=True),
        st.sampled_from(found),
        st.integers(1, 65535),
    )
    return JobSpec(
        name=draw(TEXT.filter(bool)),
        framework="generic",
        roles=found,
        queue=draw(NAMES),
        input_path=draw(st.one_of(st.just(""), REMOTES)),
        checkpoint_path=draw(st.one_of(st.just(""), REMOTES)),
        saved_model_path=draw(st.one_of(st.just(""), FILES.map("/m/{}".format))),
        env=draw(ENVIRONMENTS),
        localizations=draw(PLACES),
        done_when=draw(st.sampled_from(["chief", "all"])),
        tf_worker0=draw(st.sampled_from(["worker", "chief", "master"])),
        wait_job_finish=draw(st.booleans()),
        image=draw(IMAGES),
        node_label=draw(LABELS),
        mounts=draw(MOUNTS),
        quicklinks=tuple(draw(st.lists(links, max_size=2))),
        conf=draw(st.dictionaries(st.from_regex(r"(dfs|yarn)\.[a-z.]{1,8}", fullmatch=True), TEXT, max_size=2)),
        security=Security(False, draw(FILES), draw(FILES), draw(st.booleans())),
        max_runtime_s=draw(st.integers(0, 10**6)),
        max_restarts=draw(st.integers(0, 9)),
        am_attempts=draw(st.integers(1, 9)),
        port_range=draw(st.sampled_from([(), (1024, 65535), (20000, 20001)])),
        limits=draw(LIMITS),
    )


def same(one: JobSpec, other: JobSpec) -> bool:
    """Return whether two jobs differ in nothing but the order of their roles, which a mapping does not keep."""
    first, second = (
        dataclasses.replace(job, roles=tuple(sorted(job.roles, key=lambda role: role.name))) for job in (one, other)
    )
    return first == second


@given(jobs())
def test_a_job_comes_through_words_and_through_yaml(job: JobSpec) -> None:
    """Its words and its YAML form are read as the job that they were made of."""
    typed = words(job)
    assert load(typed)[0] == job
    options = {name: [item.value for item in items] for name, items in read_argv(typed, Faults()).items()}
    Path("job.yaml").write_text(in_yaml(options))
    assert same(load(["-f", "job.yaml"])[0], job)


@pytest.fixture(autouse=True, scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory) -> object:
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("here"))
    yield
    os.chdir(before)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_faults(content: bytes) -> None:
    """No file makes anything but options or faults with their sentences."""
    Path("any.yaml").write_bytes(content)
    faults = Faults()
    read_yaml("any.yaml", faults)
    assert all(problem.id and problem.sentence for problem in faults.problems)


# Small texts


@given(localizations())
def test_localizations_split_where_they_should(item: Localization) -> None:
    """REMOTE, LOCAL, `#archive` and `:rw` are found, whatever colons REMOTE has."""
    text = f"{item.remote}{'#archive' if item.archive else ''}:{item.local}{':rw' if item.writable else ''}"
    faults = Faults()
    assert (read_localizations([Given(text, "x")], faults), faults.problems) == ((item,), [])


@given(TEXT)
def test_any_text_is_a_localization_or_one_fault(text: str) -> None:
    """And a mount, and a quicklink: exactly one value, or exactly one fault."""
    for read in (
        lambda faults: read_localizations([Given(text, "x")], faults),
        lambda faults: read_mounts([Given(text, "x")], faults),
        lambda faults: read_quicklinks([Given(text, "x")], {"worker": 3}, {}, faults),
    ):
        faults = Faults()
        assert len(read(faults)) + len(faults.problems) in (1, 2)  # something missing is still a localization
        assert len(faults.problems) <= 1


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from("dhms")), min_size=1, max_size=4), st.data())
def test_durations_are_the_sum_of_their_parts(parts: list[tuple[int, str]], data: st.DataObject) -> None:
    """Blanks and case do not count; no time at all is none."""
    text = "".join(
        f"{number}{data.draw(BLANKS)}{data.draw(st.sampled_from([unit, unit.upper()]))}" for number, unit in parts
    )
    seconds = sum(number * {"d": 86400, "h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)
    if seconds:
        assert parse_duration(text) == seconds
    else:
        with pytest.raises(ValueError, match="no time at all"):
            parse_duration(text)


@given(ENVIRONMENTS)
def test_variables_come_back(env: dict[str, str]) -> None:
    """The first `=` splits, and nothing else does."""
    faults = Faults()
    pairs = [Given(f"{name}={value}" if value else name, "--env") for name, value in env.items()]
    assert (read_pairs(pairs, faults), faults.problems) == (env, [])
