"""CHECKPOINT_DIR and its place on the store: the main task sends what is new of it, a watching task gets it."""

from __future__ import annotations

import contextlib
import os
import typing

from am.executor.files import TEMPORARY, TRIES, Carrier, Stamp, walk
from am.executor.webhdfs import Store, StoreError, store_path


class CheckpointMirror:
    """Keeps a directory on the store like the local one: what is new or changed is sent, oldest first.

    Oldest first, because programs write the data before the file that names it as the newest checkpoint. What this task
    sent and its program then deleted is deleted on the store too, so that a program that keeps its last three
    checkpoints keeps three there; what lay there before is never deleted.

    Args:
        carrier: Does the work.
        local: The directory.
        uri: Path or hdfs:// URI.
    """

    NAME = "CHECKPOINT_DIR"

    def __init__(self, carrier: Carrier, local: str, uri: str) -> None:
        self._carrier = carrier
        self._local = local
        self._uri = uri
        self._there: typing.Dict[str, Stamp] = {}
        self._sent: typing.Set[str] = set()

    def fetch(self, store: Store) -> int:
        """Bring what lies on the store, if anything, into the local directory; return the number of files.

        Raises:
            StoreError: It could not be read, or the address is none of the store's.
            OSError: It could not be written here.
        """
        path = store_path(self._uri)
        if not path:
            raise StoreError(f"{self._uri} is no path on the cluster's HDFS")
        count = 0
        with contextlib.closing(store.like()) as own:
            found = own.status(path)
            if found is not None and found.is_dir:
                count = _fetch(own, path, self._local)
        self._there = {file.relative: file.stamp for file in walk(self._local) if not file.is_dir}
        return count

    def update(self) -> None:
        """Send what has changed; problems are the carrier's."""
        now = {file.relative: file for file in walk(self._local) if not file.is_dir}
        changed = [file for file in now.values() if self._there.get(file.relative) != file.stamp]
        gone = [relative for relative in self._sent if relative not in now]
        if not changed and not gone:
            return
        changed.sort(key=lambda file: file.stamp[1])
        arrived = self._carrier.send(self.NAME, self._uri, changed)
        self._there.update({relative: now[relative].stamp for relative in arrived})
        self._sent.update(arrived)
        if len(arrived) == len(changed):
            self._carrier.forget(self.NAME, self._uri, gone)
            self._sent.difference_update(gone)


def _fetch(store: Store, remote: str, local: str) -> int:
    os.makedirs(local, exist_ok=True)
    count = 0
    for entry in store.listing(remote):
        target = os.path.join(local, entry.name)
        if entry.is_dir:
            count += _fetch(store, f"{remote}/{entry.name}", target)
        elif TEMPORARY not in entry.name:
            _save(store, f"{remote}/{entry.name}", target)
            count += 1
    return count


class CheckpointWatch:
    """Keeps a local directory like one on the store, for programs that look at what the main task sends.

    A file that is new or has another size or time is fetched beside its place and renamed into it; what is deleted on
    the store is deleted here.

    Args:
        local: The directory.
        uri: Path or hdfs:// URI.
    """

    def __init__(self, local: str, uri: str) -> None:
        self._local = local
        self._uri = uri
        self._here: typing.Dict[str, Stamp] = {}

    def update(self, store: Store) -> None:
        """Fetch what is new.

        Raises:
            StoreError: It could not be read, or the address is none of the store's.
            OSError: It could not be written here.
        """
        path = store_path(self._uri)
        if not path:
            raise StoreError(f"{self._uri} is no path on the cluster's HDFS")
        with contextlib.closing(store.like()) as own:
            found = own.status(path)
            there = dict(_stamps(own, path, "")) if found is not None and found.is_dir else {}
            # Oldest first, as they were sent: the file that names the newest checkpoint must not come before it.
            for relative, stamp in sorted(there.items(), key=lambda item: item[1][1]):
                if self._here.get(relative) != stamp:
                    self._get(own, f"{path}/{relative}", relative)
                    self._here[relative] = stamp
        for relative in [known for known in self._here if known not in there]:
            with contextlib.suppress(OSError):
                os.remove(os.path.join(self._local, relative))
            del self._here[relative]

    def _get(self, store: Store, remote: str, relative: str) -> None:
        target = os.path.join(self._local, relative)
        directory, name = os.path.split(target)
        os.makedirs(directory, exist_ok=True)
        beside = os.path.join(directory, f".{name}{TEMPORARY}")
        _save(store, remote, beside)
        os.replace(beside, target)


def _stamps(store: Store, remote: str, above: str) -> typing.Iterator[typing.Tuple[str, Stamp]]:
    for entry in store.listing(remote):
        if entry.is_dir:
            yield from _stamps(store, f"{remote}/{entry.name}", f"{above}{entry.name}/")
        elif TEMPORARY not in entry.name:
            yield f"{above}{entry.name}", (entry.length, entry.modified_ms)


def _save(store: Store, remote: str, target: str) -> None:
    """Write a file of the store to a local one; when a DataNode breaks off, it or another one is asked again."""
    for left in reversed(range(TRIES)):
        try:
            _copy(store, remote, target)
        except StoreError as error:
            if not error.lost or not left or store.leash.over():
                raise
        else:
            return


def _copy(store: Store, remote: str, target: str) -> None:
    with open(target, "wb") as file:
        for chunk in store.read(remote):
            file.write(chunk)
            if store.leash.over():
                raise StoreError("the task was stopped meanwhile")
