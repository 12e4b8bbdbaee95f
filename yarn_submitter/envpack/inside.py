"""The part of packing that runs inside the packed interpreter, which may be any CPython from 3.7 on.

envpack hands this file's text to that interpreter with `-c`, so it imports the standard library only and nothing of
ours. Each action reads one JSON value from standard input and writes one JSON value into the file it is given (not to
standard output, where imported modules may print).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

GLIBC_FAMILY = (
    *("ld-linux", "ld64", "libanl.", "libc.", "libdl.", "libm.", "libmvec", "libnss", "libpthread", "libresolv"),
    *("librt.", "libthread_db", "libutil.", "linux-vdso", "linux-gate", "libgcc_s", "libstdc++"),
)
"""How the names of the C and C++ runtime begin: these always stay the node's own."""


def describe(_: Any) -> dict[str, Any]:
    """Say where this interpreter keeps its parts; site directories in the order in which they are searched."""
    import importlib.machinery
    import importlib.util
    import sysconfig

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = getattr(sys, "_base_executable", None) or sys.executable
    named = os.path.join(sys.base_prefix, "bin", "python" + version)  # a venv made of copies has no link to follow
    if os.path.realpath(base).startswith(os.path.realpath(sys.prefix) + os.sep) and sys.prefix != sys.base_prefix:
        base = named
    stdlib = os.path.dirname(os.path.realpath(os.__file__))
    sites = [p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages") and os.path.isdir(p)]
    standard = ("ssl", "zlib", "bz2", "lzma", "sqlite3", "ctypes", "hashlib", "socket", "multiprocessing")
    return {
        "version": version,
        "full_version": sys.version.split()[0],
        "prefix": os.path.realpath(sys.prefix),
        "base_prefix": os.path.realpath(sys.base_prefix),
        "executable": os.path.realpath(base),
        "platlibdir": getattr(sys, "platlibdir", "lib"),
        "stdlib": stdlib,
        "dynload": [p for p in sys.path if os.path.basename(p) == "lib-dynload"],
        "sites": sites,
        "debian": os.path.isdir(os.path.join(sys.base_prefix, "lib", "python3", "dist-packages")),
        "cache_tag": sys.implementation.cache_tag,
        "magic": importlib.util.MAGIC_NUMBER.hex(),
        "implementation": sys.implementation.name,
        "platform": sysconfig.get_platform(),
        "standard": [name for name in standard if importable(name)],
    }


def importable(name: str) -> bool:
    """Say whether the module can be imported here (an interpreter may be built without some)."""
    try:
        __import__(name)
    except Exception:  # noqa: BLE001  # whatever it raises, it is not there
        return False
    return True


def compile_all(jobs: Any) -> int:
    """Compile [source, compiled, shown name] triples; what is not Python of this version is passed over.

    The compiled files are unchecked-hash ones: unpacking sets new times, which must not make them stale.
    """
    import py_compile

    done = 0
    for source, compiled, shown in jobs:
        try:
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(source, compiled, shown, doraise=True, invalidation_mode=mode)
            done += 1
        except (py_compile.PyCompileError, ValueError, RecursionError):
            continue  # as pip does: some packages carry files of another Python
    return done


def prove(ask: Any) -> dict[str, Any]:
    """Import modules and say what of this process comes from a forbidden directory.

    Args:
        ask: {"imports": [...], "forbidden": [directories], "tree": the directory of this interpreter}.

    Returns:
        {"leaks": [sentences], "libraries": [shared libraries of the system that are in use], "prefix": sys.prefix}.
    """
    for name in ask["imports"]:
        __import__(name)
    forbidden = [os.path.join(os.path.realpath(path), "") for path in ask["forbidden"]]
    tree = os.path.join(os.path.realpath(ask["tree"]), "")

    def leaks_to(path: str) -> bool:
        real = os.path.realpath(path) + os.sep
        return not real.startswith(tree) and any(real.startswith(place) for place in forbidden)

    leaks = []
    if not (os.path.realpath(sys.prefix) + os.sep).startswith(tree):
        leaks.append(f"sys.prefix is {sys.prefix}")
    leaks += [f"sys.path holds {path}" for path in sys.path if leaks_to(path)]
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and os.path.isabs(path) and leaks_to(path):
            leaks.append(f"module {name} comes from {path}")
    mapped = mapped_files()
    leaks += [f"the process maps {path}" for path in mapped if leaks_to(path)]
    system = [path for path in mapped if ".so" in path and not path.startswith(tree) and not leaks_to(path)]
    libraries = sorted({os.path.basename(path) for path in system})
    return {
        "leaks": leaks,
        "libraries": [name for name in libraries if not name.startswith(GLIBC_FAMILY)],
        "prefix": sys.prefix,
    }


def mapped_files() -> list[str]:
    """Return the files mapped into this process (/proc/self/maps, see proc(5))."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        fields = [line.rstrip("\n").split(None, 5) for line in lines]
    return sorted({field[5] for field in fields if len(field) == 6 and field[5].startswith("/")})


def main() -> None:
    """Run the action named by the first argument; its answer goes into the file named by the second."""
    actions = {"describe": describe, "compile": compile_all, "prove": prove}
    answer = actions[sys.argv[1]](json.load(sys.stdin))
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump(answer, out)


if __name__ == "__main__":
    main()
