"""The kinds of text that settings take, as typed values; each says in a sentence what is wrong with another text."""

from __future__ import annotations

import os

from yarn_submitter.units import memory_text, parse_duration, parse_resources


class Word(str):
    """A text without blanks, or an empty one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Word:
        """Read it; ValueError says what is wrong."""
        if len(text.split()) > 1 or text != text.strip():
            raise ValueError(f"takes one word, not {text!r}")
        return cls(text)


class StorePath(str):
    """An absolute path on the cluster's store, or an empty text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> StorePath:
        """Read it; ValueError says what is wrong."""
        if text and not text.startswith("/"):
            raise ValueError(f"is {text!r}, which is not an absolute path on the cluster's store")
        return cls(text.rstrip("/"))


class LocalDirectory(str):
    """An absolute path on this machine; `~` is the user's home."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> LocalDirectory:
        """Read it; ValueError says what is wrong."""
        path = os.path.expanduser(text)
        if not path.startswith("/"):
            raise ValueError(f"is {text!r}, which is not an absolute path on this machine")
        return cls(os.path.normpath(path))


class Resources(str):
    """Resources of one container, such as `memory=2G,vcores=1`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Resources:
        """Read it; ValueError says what is wrong."""
        try:
            parse_resources(text)
        except ValueError as error:
            raise ValueError(f"takes resources: {error}") from None
        return cls(text)


class Mebibytes(int):
    """An amount of memory, such as `512G`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Mebibytes:
        """Read it; ValueError says what is wrong."""
        try:
            return cls(parse_resources(f"memory={text}").memory_mib)
        except ValueError:
            raise ValueError(f"takes an amount of memory such as 900M or 512G, not {text!r}") from None

    def text(self) -> str:
        """Return it as it is written."""
        return memory_text(self).replace(" GiB", "G").replace(" MiB", "M")


class Seconds(int):
    """A duration, such as `30d`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Seconds:
        """Read it; ValueError says what is wrong."""
        try:
            return cls(parse_duration(text))
        except ValueError:
            raise ValueError(f"takes a duration such as 90m, 12h or 30d, not {text!r}") from None

    def text(self) -> str:
        """Return it as it is written, in the largest unit that divides it."""
        for seconds, unit in ((86400, "d"), (3600, "h"), (60, "m")):
            if self % seconds == 0:
                return f"{self // seconds}{unit}"
        return f"{int(self)}s"
