"""Aggregated logs are read back byte for byte, as YARN wrote them and compressed; damage is one sentence."""

import contextlib
import gzip
import struct
import zlib
from pathlib import Path

import pytest

from yarn_submitter.errors import StagingError
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.tfile import MAGIC, PIECE_BYTES, log_dirs, read_container_logs

DATA = Path(__file__).parent / "data"


def vlong(number: int) -> bytes:
    """Write a number as TFile does (Utils.writeVLong)."""
    if -32 <= number < 128:
        return struct.pack(">b", number)
    positive = number if number >= 0 else ~number
    bits = positive.bit_length()
    top = number >> 8
    if bits <= 12:
        return struct.pack(">bB", top - 52, number & 0xFF)
    if bits <= 19:
        return struct.pack(">bH", (number >> 16) - 88, number & 0xFFFF)
    if bits <= 26:
        return struct.pack(">bHB", (number >> 24) - 112, (number >> 8) & 0xFFFF, number & 0xFF)
    size = bits // 8 + 1
    return struct.pack(">b", size - 129) + number.to_bytes(size, "big", signed=True)


def text(word: str) -> bytes:
    """Write a text with its length before it."""
    return vlong(len(word)) + word.encode()


def java_text(word: str) -> bytes:
    """Write a text as DataOutput.writeUTF."""
    return struct.pack(">H", len(word)) + word.encode()


def record(key: bytes, value: bytes, chunk: int = 4096) -> bytes:
    """Write a record, its value in chunks."""
    pieces = [value[start : start + chunk] for start in range(0, len(value), chunk)] or [b""]
    more = b"".join(vlong(-len(piece)) + piece for piece in pieces[:-1])
    return vlong(len(key)) + key + more + vlong(len(pieces[-1])) + pieces[-1]


def container(name: str, logs: dict[str, bytes]) -> bytes:
    """Write the record of a container."""
    value = b"".join(java_text(file) + java_text(str(len(data))) + data for file, data in logs.items())
    return record(java_text(name), value)


def tfile(codec: str, *blocks: bytes) -> bytes:
    """Write a whole file with these data blocks."""
    compress = {"none": bytes, "gz": gzip.compress, "zlib": zlib.compress}[codec]
    name = "none" if codec == "none" else "gz"
    out, regions = MAGIC, []
    for block in blocks:
        packed = compress(block)
        regions.append((len(out), len(packed), len(block)))
        out += packed
    index = text(name) + vlong(len(regions)) + b"".join(vlong(part) for region in regions for part in region)
    packed = compress(index)
    entries = text("data:TFile.meta") + text(name) + vlong(1) + vlong(2) + vlong(3)
    entries += text("data:BCFile.index") + text(name) + vlong(len(out)) + vlong(len(packed)) + vlong(len(index))
    out += packed
    return out + vlong(2) + entries + struct.pack(">qhh", len(out), 1, 0) + MAGIC


def logs_of(data: bytes, container_id: str = "") -> dict[tuple[str, str], bytes]:
    """Read everything back, pieces joined."""
    found: dict[tuple[str, str], bytes] = {}
    for name, file, piece in read_container_logs(data, container_id):
        found[name, file] = found.get((name, file), b"") + piece
    return found


@pytest.mark.parametrize("version", ["3.4.3", "3.5.0"])
def test_files_that_yarn_wrote(version):
    """All logs of a file that a NodeManager wrote are there, empty ones too."""
    found = logs_of((DATA / f"rest-{version}" / "tfile-none.bin").read_bytes())
    (container_id,) = {name for name, _ in found}
    files = {file: data for (_, file), data in found.items()}
    assert set(files) == {"directory.info", "launch_container.sh", "prelaunch.err", "prelaunch.out", "stderr", "stdout"}
    assert files["stderr"] == b""
    assert files["stdout"].startswith(b"hello from hello.sh\n")
    assert files["launch_container.sh"].startswith(b"#!/bin/bash\n")
    assert logs_of((DATA / f"rest-{version}" / "tfile-none.bin").read_bytes(), container_id) == found
    assert logs_of((DATA / f"rest-{version}" / "tfile-none.bin").read_bytes(), "container_other") == {}


@pytest.mark.parametrize("codec", ["none", "gz", "zlib"])
def test_blocks_chunks_and_long_logs(codec):
    """Several blocks and containers, chunked values, and a log of many pieces come back byte for byte."""
    long = bytes(range(256)) * 10000
    first = record(java_text("VERSION"), struct.pack(">i", 1)) + container(
        "container_1", {"stdout": long, "stderr": b""}
    )
    second = container("container_2", {"stdout": b"two\n"}) + container("container_3", {})
    data = tfile(codec, first, second)
    assert logs_of(data) == {
        ("container_1", "stdout"): long,
        ("container_1", "stderr"): b"",
        ("container_2", "stdout"): b"two\n",
    }
    assert logs_of(data, "container_2") == {("container_2", "stdout"): b"two\n"}
    assert max(len(piece) for _, _, piece in read_container_logs(data)) <= PIECE_BYTES


@pytest.mark.parametrize(
    "number", [0, 127, 128, -32, -33, -4096, 4095, 4096, 524287, 524288, 1 << 26, (1 << 31) + 5, 1 << 50]
)
def test_numbers_of_every_length(number):
    """Lengths are written in 1 to 9 bytes; each form is read."""
    from yarn_submitter.tfile import _Bytes

    assert _Bytes(iter([vlong(number)])).vlong() == number


def test_damage_is_one_sentence():
    """Whatever byte is cut off or changed, the error is [log-unreadable] or the logs are read, never a crash."""
    whole = tfile("gz", container("container_1", {"stdout": b"hello\n" * 100}))
    tail = whole[-28:]
    for broken in [b"", b"x" * 100, whole[:-1], *(whole[:cut] + tail for cut in range(0, len(whole) - 28, 7))]:
        with pytest.raises(StagingError) as caught:
            logs_of(broken)
        assert caught.value.problems[0].id == "log-unreadable"
    plain = tfile("none", container("container_1", {"stdout": b"hello\n", "stderr": b""}))
    for data in (whole, plain):
        for place in range(len(data)):
            for value in (0, 0x7F, 0x80, 0xFF):
                changed = data[:place] + bytes([value]) + data[place + 1 :]
                with contextlib.suppress(StagingError):
                    logs_of(changed)


def test_unknown_compression_is_named():
    """A codec that is not known here is named."""
    with pytest.raises(StagingError) as caught:
        logs_of(tfile("none", b"").replace(text("none"), text("lzo!")))
    assert "lzo!" in caught.value.problems[0].sentence


def test_places():
    """Logs lie in a bucket by the last four digits of the application's number, below the owner's directory."""
    conf = HadoopConf(
        Path("/c"), "hdfs://nn", (), (), "hdfs://nn/logs", "logs-tfile", kerberos=False, raw={}, environ={}
    )
    assert log_dirs(conf, "ada", "application_1700000000000_120007") == [
        "/logs/ada/bucket-logs-tfile/0007/application_1700000000000_120007",
        "/logs/ada/logs-tfile/application_1700000000000_120007",
        "/logs/ada/logs/application_1700000000000_120007",
    ]
