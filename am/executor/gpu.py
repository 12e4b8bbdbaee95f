"""The GPUs that this container sees, and how busy they are, as NVIDIA's own nvidia-smi tells it.

A process of its own is asked, not the driver's library: a driver that hangs must not hang the executor, and the
container needs no package. Which GPUs it names follows the container's isolation (cgroup or Docker).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import typing

ASK_S = 10.0
_USUAL = "/usr/bin:/usr/local/bin:/usr/local/nvidia/bin:/bin"
_DEVICE = re.compile(r"nvidia\d+")


def visible(environment: typing.Mapping[str, str]) -> typing.Optional[int]:
    """Return how many GPUs the container sees: what nvidia-smi lists, else the devices that can be opened.

    None where nothing of NVIDIA's is to be found: GPUs of another maker are not to be counted by these means.

    Args:
        environment: Of the container; its PATH counts.
    """
    listed = _ask("index", environment)
    if listed is not None:
        return len(listed)
    devices = [name for name in os.listdir("/dev") if _DEVICE.fullmatch(name)]
    return sum(map(_opens, devices)) if devices or _program(environment) else None


def utilization(environment: typing.Mapping[str, str]) -> typing.Optional[typing.List[int]]:
    """Return how busy each GPU is, in percent; None when that is not to be known.

    Args:
        environment: Of the container; its PATH counts.
    """
    listed = _ask("utilization.gpu", environment)
    if not listed or not all(text.isdigit() for text in listed):
        return None
    return [int(text) for text in listed]


def _ask(what: str, environment: typing.Mapping[str, str]) -> typing.Optional[typing.List[str]]:
    found = _program(environment)
    if found is None:
        return None
    try:
        said = subprocess.run(
            [found, f"--query-gpu={what}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ASK_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return [line.strip() for line in said.stdout.decode(errors="replace").splitlines() if line.strip()]


def _program(environment: typing.Mapping[str, str]) -> typing.Optional[str]:
    return shutil.which("nvidia-smi", path=f"{environment.get('PATH', '')}:{_USUAL}")


def _opens(name: str) -> bool:
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDWR | os.O_NONBLOCK))
    except OSError:
        return False
    return True
