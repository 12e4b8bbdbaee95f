"""`job queues`: the scheduler's queues as a tree, with their shares, what is used of them, and who may submit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from yarn_submitter.cli.console import Column, Console, aligned
from yarn_submitter.cli.job_arguments import add_cluster, site_of
from yarn_submitter.facts import Amount, Partition, Queue
from yarn_submitter.units import memory_text

NAME = "queues"
HELP = "show the queues: shares, use, who may submit"
SCHEMA = 1
_COLUMNS = (
    *(Column("QUEUE"), Column("STATE"), Column("SHARE", right=True), Column("MAX", right=True)),
    *(Column("USED", right=True), Column("PENDING"), Column("APPS"), Column("AM SHARE"), Column("SUBMIT")),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_cluster(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    site = site_of(args, console)
    user = site.user if site.conf.acls else ""
    queues = sorted(site.resource_manager.queues(), key=lambda queue: queue.path.split("."))
    if args.json:
        console.out_json({"schema": SCHEMA, "queues": [_document(queue, user) for queue in queues]})
        return 0
    rows = [row for queue in queues for row in _rows(queue, user)]
    console.out("\n".join(aligned(_COLUMNS, rows, console.out_ink)))
    return 0


def _rows(queue: Queue, user: str) -> Iterator[tuple[str, ...]]:
    """Yield a queue's line, and one below it for each node label of which it has a share."""
    indent = "  " * queue.path.count(".")
    part = queue.partition("") or Partition()
    apps = f"{queue.active_apps} run, {queue.pending_apps} wait" if queue.leaf else ""
    pending = queue.pending.text() if queue.leaf else ""
    yield (
        indent + queue.name,
        queue.state,
        *_shares(part),
        pending,
        apps,
        _am_share(queue, part),
        submitters(queue, user),
    )
    for other in _by_label(queue):
        yield (f"{indent}  (label {other.label})", "", *_shares(other), "", "", _am_share(queue, other), "")


def _by_label(queue: Queue) -> list[Partition]:
    return [part for part in queue.partitions if part.label and part.max_percent > 0]


def _shares(part: Partition) -> tuple[str, str, str]:
    return f"{part.capacity_percent:.4g} %", f"{part.max_percent:.4g} %", f"{part.used_percent:.4g} %"


def _am_share(queue: Queue, part: Partition) -> str:
    if not queue.leaf or part.am_limit is None:
        return ""
    used = part.am_used or Amount()
    return f"{memory_text(used.memory_mib)} of {memory_text(part.am_limit.memory_mib)}"


def submitters(queue: Queue, user: str) -> str:
    """Return who may submit to a queue, by its own lists and those above it.

    Args:
        queue: The queue.
        user: Who asks, where YARN looks at the lists; empty when it does not.
    """
    if not queue.leaf and not queue.creates_children:
        return ""
    if not user or not queue.submit_acls:
        return "everybody"
    lists = [acl.partition(" ") for acl in queue.submit_acls]
    if any(users.strip() == "*" or groups.strip() == "*" for users, _, groups in lists):
        return "everybody"
    names = [name for users, _, _ in lists for name in users.split(",") if name.strip()]
    groups = [f"group {name}" for _, _, listed in lists for name in listed.split(",") if name.strip()]
    return ", ".join(dict.fromkeys([*names, *groups])) or "nobody"


def _document(queue: Queue, user: str) -> dict[str, Any]:
    return {
        "path": queue.path,
        "name": queue.name,
        "leaf": queue.leaf,
        "state": queue.state,
        "capacity_percent": queue.capacity_percent,
        "max_percent": queue.max_percent,
        "used_percent": queue.used_percent,
        "used": queue.used.document(),
        "pending": queue.pending.document(),
        "containers": queue.containers,
        "running_apps": queue.active_apps,
        "waiting_apps": queue.pending_apps,
        "am_limit": _amount(queue.am_limit),
        "am_used": _amount(queue.am_used),
        "max_allocation": _amount(queue.max_allocation),
        "labels": list(queue.labels),
        "default_label": queue.default_label,
        "label_shares": [_label(part) for part in _by_label(queue)],
        "submitters": submitters(queue, user),
        "may_submit": queue.leaf and queue.state == "RUNNING" and queue.takes(user),
    }


def _label(part: Partition) -> dict[str, Any]:
    return {
        "label": part.label,
        "capacity_percent": part.capacity_percent,
        "max_percent": part.max_percent,
        "used_percent": part.used_percent,
        "am_limit": _amount(part.am_limit),
        "am_used": _amount(part.am_used),
    }


def _amount(amount: Amount | None) -> dict[str, Any] | None:
    return None if amount is None else amount.document()
