"""Environments of frameworks for the tests: each is made once, and kept in the user's cache for the next run.

TensorFlow, JAX and MXNet are archives as `job pack` makes them. PyTorch is Debian's: PyPI has no PyTorch without CUDA
that is less than 3 GB of downloads. It cannot be packed, for it lies in /usr of every node; its virtualenv, which only
adds scikit-learn, is used by its path. Horovod is compiled against it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from yarn_submitter.config import cache_dir
from yarn_submitter.envpack.install import Requirements
from yarn_submitter.envpack.pack import cached_env
from yarn_submitter.scratch import locked

ROOT = Path(__file__).parent.parent.parent
JAX = ("jax[cpu]==0.10.2", "scikit-learn")
MXNET = ("mxnet==1.9.1", "numpy<1.24", "scikit-learn<1.4")  # numpy 1.24 took names away that this MXNet uses
HOROVOD = "horovod==0.28.1"
SYSTEM_PYTHON = "/usr/bin/python3"
TORCH_PACKAGES = ("python3-torch", "python3-venv")
HOROVOD_PACKAGES = ("libtorch-dev", "pybind11-dev", "cmake", "g++")
# Debian's PyTorch is of the time of these; a newer scipy wants a newer numpy than Debian's.
BESIDE_TORCH = ("scikit-learn<1.5", "scipy<1.12")
# Not that of the tests' own virtualenv, which may be a copy: what is packed is kept for this interpreter.
PYTHON = os.path.realpath(Path(sys.base_prefix) / "bin" / "python3")
HOROVOD_BUILD = {
    "CPATH": "/usr/include/pybind11",
    "MAKEFLAGS": "-j2",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_MPI": "1",
    "HOROVOD_WITH_PYTORCH": "1",
    "HOROVOD_WITHOUT_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
}


@functools.cache
def tensorflow_archive(sandbox: str) -> Path:
    """Return the archive of the quickstart, packed as the quickstart does it."""
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "examples" / "digits" / "quickstart.py")
    quickstart = sys.modules["quickstart"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    quickstart.prepare(sandbox)
    return quickstart.ARCHIVE


@functools.cache
def jax_archive() -> Path:
    """Return an archive with JAX for CPUs and scikit-learn."""
    return cached_env(Requirements(JAX, python=PYTHON), progress=print)


@functools.cache
def mxnet_archive() -> Path:
    """Return an archive with MXNet and scikit-learn."""
    return cached_env(Requirements(MXNET, python=PYTHON), progress=print)


@functools.cache
def torch_python() -> Path:
    """Return a Python of this machine with Debian's PyTorch and scikit-learn."""
    python = _directory() / "torch" / "bin" / "python"
    with locked(_directory()):
        if not _imports(python, "torch, sklearn"):
            if not _imports(Path(SYSTEM_PYTHON), "torch, ensurepip"):
                install(*TORCH_PACKAGES)
            _run(SYSTEM_PYTHON, "-m", "venv", "--clear", "--system-site-packages", str(python.parent.parent))
            _pip(python, *BESIDE_TORCH)
    return python


@functools.cache
def horovod_python() -> Path:
    """Return `torch_python` with Horovod in it, which is compiled when no earlier run has kept its wheel."""
    python = torch_python()
    wheels = _directory() / "wheels"
    with locked(_directory()):
        if not _imports(python, "horovod.torch"):
            if not list(wheels.glob("horovod-*.whl")):
                install(*HOROVOD_PACKAGES)
                _pip(python, "wheel")
                wheel = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), HOROVOD)
                _run(str(python), "-m", "pip", *wheel, environment=HOROVOD_BUILD)
            _pip(python, "cloudpickle", "packaging", "psutil", "pyyaml")
            _pip(python, "--no-deps", "--no-index", "--find-links", str(wheels), HOROVOD)
    return python


def _directory() -> Path:
    directory = cache_dir() / "tests"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _imports(python: Path, modules: str) -> bool:
    """Return whether an interpreter is there and imports the modules."""
    command = [str(python), "-c", f"import {modules}"]
    return python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def install(*packages: str) -> None:
    """Install packages of Debian; who may not do that is told what is missing."""
    wanted = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        pytest.fail(f"this test needs Debian's {', '.join(packages)}, and this machine has no apt-get", pytrace=False)
    if os.geteuid():
        pytest.fail(f"this test needs packages that only root can install: sudo {wanted}", pytrace=False)
    _run("apt-get", "update", "-qq")
    options = ("-y", "-qq", "-o", "DPkg::Lock::Timeout=300")
    _run(*wanted.split()[:2], *options, *wanted.split()[2:], environment={"DEBIAN_FRONTEND": "noninteractive"})


def _pip(python: Path, *words: str) -> None:
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    """Run a program that makes an environment; its last words are the test's failure."""
    every = {**os.environ, **(environment or {})}
    ended = subprocess.run(
        command, env=every, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if ended.returncode:
        pytest.fail(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout[-3000:]}", pytrace=False)
