"""Unpacking the user's source archive into the working directory, without letting it reach anything outside."""

from __future__ import annotations

import os
import shutil
import tarfile
import typing
import zlib

_OURS = (".ys.", ".skein.")


class SourceError(Exception):
    """The archive is damaged or wants to write outside; the message is a sentence."""


def unpack(archive: str, directory: str) -> int:
    """Unpack a tar.gz of files, directories and links; return how many members were written.

    What is localized into the directory already (YARN puts links there) is kept, and so are our own files.

    Raises:
        SourceError: It is damaged, or a member is absolute, leaves the directory, or is a device or the like.
    """
    import gzip

    root = os.path.realpath(directory)
    count = 0
    try:
        with gzip.open(archive, "rb") as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    count += _write(tar, member, root)
            while stream.read(1 << 16):  # to its end, where gzip checks the sum
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise SourceError(f"The source archive cannot be unpacked: {error}.") from error
    return count


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, root: str) -> int:
    name = os.path.normpath(member.name)
    path = os.path.join(root, name)
    if os.path.isabs(name) or name.split(os.sep)[0] == os.pardir:
        raise SourceError(f"The source archive holds {member.name!r}, which lies outside the working directory.")
    if name == os.curdir or name.startswith(_OURS) or _is_localized(root, name):
        return 0
    if member.isdir():
        os.makedirs(path, exist_ok=True)
        return 1
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    if member.issym():
        _expect_inside(root, os.path.join(os.path.dirname(path), member.linkname), member)
        os.symlink(member.linkname, path)
    elif member.islnk():
        linked = os.path.join(root, os.path.normpath(member.linkname))
        _expect_inside(root, linked, member)
        shutil.copy2(linked, path)
    elif member.isfile():
        with typing.cast("typing.IO[bytes]", tar.extractfile(member)) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 16)
        os.chmod(path, member.mode & 0o777 | 0o600)
        os.utime(path, (member.mtime, member.mtime))
    else:
        raise SourceError(f"The source archive holds {member.name!r}, which is neither file, directory nor link.")
    return 1


def _is_localized(root: str, name: str) -> bool:
    """Whether `name` is, or lies below, a link out of the working directory: something that YARN put there."""
    path = root
    for part in name.split(os.sep):
        path = os.path.join(path, part)
        if os.path.islink(path) and not _inside(root, path):
            return True
    return False


def _expect_inside(root: str, target: str, member: tarfile.TarInfo) -> None:
    if not _inside(root, target):
        raise SourceError(f"In the source archive {member.name!r} links to {member.linkname!r}, outside of it.")


def _inside(root: str, path: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(root + os.sep)
