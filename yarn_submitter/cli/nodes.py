"""`job nodes`: the cluster's NodeManagers, what they have, what is free, their labels and health."""

from __future__ import annotations

import argparse
from typing import Any

from yarn_submitter.cli.console import Column, Console, aligned
from yarn_submitter.cli.job_arguments import add_cluster, site_of
from yarn_submitter.facts import Node
from yarn_submitter.units import memory_text

NAME = "nodes"
HELP = "show the nodes: resources, what is free, labels, health"
SCHEMA = 1
_COLUMNS = (
    *(Column("NODE"), Column("STATE"), Column("MEMORY FREE", right=True), Column("VCORES FREE", right=True)),
    *(Column("GPUS FREE", right=True), Column("CONTAINERS", right=True), Column("LABEL"), Column("HEALTH")),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_cluster(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    nodes = sorted(site_of(args, console).resource_manager.nodes(), key=lambda node: node.id)
    if args.json:
        console.out_json({"schema": SCHEMA, "nodes": [_document(node) for node in nodes]})
        return 0
    if not nodes:
        console.say("the cluster has no nodes")
        return 0
    console.out("\n".join(aligned(_COLUMNS, [_cells(node) for node in nodes], console.out_ink)))
    return 0


def _cells(node: Node) -> tuple[str, ...]:
    gpus = f"{node.free.gpus} of {node.total.gpus}" if node.total.gpus else ""
    memory = f"{memory_text(node.free.memory_mib)} of {memory_text(node.total.memory_mib)}"
    vcores = f"{node.free.vcores} of {node.total.vcores}"
    health = " ".join(node.health.split())
    return node.id, node.state, memory, vcores, gpus, str(node.containers), ", ".join(node.labels), health


def _document(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "host": node.host,
        "http": node.http,
        "rack": node.rack,
        "state": node.state,
        "health": node.health,
        "labels": list(node.labels),
        "containers": node.containers,
        "total": node.total.document(),
        "free": node.free.document(),
    }
