"""Resources, sizes and durations are read and written as docs/job-run.md says; a wrong text names its wrong pair."""

from __future__ import annotations

import re

import pytest

from yarn_submitter.units import Ask, bytes_text, memory_text, parse_resources, seconds_text


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("memory=2G,vcores=2,gpu=1", Ask(2048, 2, {"yarn.io/gpu": 1})),
        ("memory=2048M", Ask(2048)),
        ("memory=4g", Ask(4096)),
        ("memory=900m,vcores=3", Ask(900, 3)),
        ("memory=4 G , vcores = 2", Ask(4096, 2)),
        ("  memory = 4G,\n vcores=2,", Ask(4096, 2)),
        ("memory=4G,vcores=2, ", Ask(4096, 2)),
        ("memory-mb=2048", Ask(2048)),
        ("memory-mb=3G", Ask(3072)),
        ("MEMORY-MB=2048,VCORES=2", Ask(2048, 2)),
        ("memory=1G,fpga=2", Ask(1024, 1, {"yarn.io/fpga": 2})),
        ("memory=1G,yarn.io/gpu=2", Ask(1024, 1, {"yarn.io/gpu": 2})),
        ("memory=1G,gpu=0", Ask(1024)),
        ("memory=1G,site.org/licence=3", Ask(1024, 1, {"site.org/licence": 3})),
        ("memory=1G,gpu0=1,gpus=2", Ask(1024, 1, {"gpu0": 1, "gpus": 2})),
        ("memory=1G,fpga2=1,memory2=5", Ask(1024, 1, {"fpga2": 1, "memory2": 5})),
    ],
)
def test_what_is_taken(text: str, ask: Ask) -> None:
    """Blanks, either case, a trailing comma, old keys, any name that a cluster may have; vcores left out is 1."""
    assert parse_resources(text) == ask


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "key=amount"),
        ("  ", "key=amount"),
        (",", "key=amount"),
        ("vcores=2", "memory is left out"),
        ("memory=2048", "memory=2048M"),
        ("memory=1.5G", "'memory=1.5G' has no whole number"),
        ("memory=2T", "Acceptable units are M/G"),
        ("memory=2GB", "Acceptable units are M/G"),
        ("memory=-2G", "'memory=-2G' has no whole number"),
        ("memory=G", "'memory=G' has no whole number"),
        ("memory=0G", "at least 1"),
        ("memory=2G,vcores=0", "at least 1"),
        ("memory=2G,vcores=-1", "'vcores=-1' has no whole number"),
        ("memory=2G,vcores=2G", "without a unit"),
        ("memory=2G,gpu=1M", "without a unit"),
        ("memory=2G,,vcores=2", "'' is not of the form"),
        ("a=1,,memory=2G", "'' is not of the form"),
        ("memory=2G;vcores=2", "'memory=2G;vcores=2' has no whole number"),
        ("memory=2G vcores=2", "'memory=2G vcores=2' has no whole number"),
        ("memory", "'memory' is not of the form"),
        ("=2G", "'=2G' is not of the form"),
        ("memory=2G,memory=3G", "memory is given twice"),
        ("memory=2G,cpu=3", "'cpu=3' names no resource; write vcores=3"),
        ("memory=2G,Cores=3", "write vcores=3"),
        ("mem=2G", "write memory=2G"),
        ("memroy=2G", "'memroy=2G' takes a number without a unit; did you mean memory=2G?"),
        ("memory=2G,licence=2G", "'licence=2G' takes a number without a unit"),
        ("memroy=2048,vcores=1", "memory is left out"),
        ("memory=2G,vcore=3", "write vcores=3"),
        ("memory=2G,GPU=1", "write gpu=1"),
        ("memory=2G,memory-mb=3000", "memory is given twice"),
        ("memory=2G,gpu=1,yarn.io/gpu=1", "yarn.io/gpu is given twice"),
        ("memory=99999999999G", "more than any cluster has"),
        ("memory=" + "9" * 5000 + "G", "more than any cluster has"),
        ("memory=2G,vcores=2147483648", "more than any cluster has"),
        ("memory=²G", "has no whole number"),
        ("Memory=2G", "write memory=2G"),
        ("memory=2G,Fpga=1", "write fpga=1"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    """The message names the pair that is wrong and what is acceptable."""
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        parse_resources(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (250 << 20, "250 MiB"), (3 << 40, "3.0 TiB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    """Bytes are shown in the unit that keeps them short."""
    assert bytes_text(count) == text


@pytest.mark.parametrize(("mib", "text"), [(0, "0 MiB"), (900, "900 MiB"), (1024, "1 GiB"), (1536, "1536 MiB")])
def test_memory_for_people(mib: int, text: str) -> None:
    """Only whole GiB are shown as such."""
    assert memory_text(mib) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (12000, "3 h 20 min")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    """Durations are shown in at most two units."""
    assert seconds_text(seconds) == text
