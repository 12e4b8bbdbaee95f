"""From YARN's JSON to values, for every shape that Hadoop 3.x writes.

Hadoop 3.4 and 3.5 differ: with or without a root element, a list of one as an object, numbers as strings, an empty
collection as {}, null or nothing. All of them are read alike here. (Seen on 3.4.3 and 3.5.0; recorded in tests.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from yarn_submitter.facts import Amount, Label, Node, Partition, Pending, Queue, UserShare, total

_XML = re.compile(r"<(finishedTime|diagnosticsInfo)>(.*?)</", re.DOTALL)
# Either right lets a user submit (RMAppManager.createAndPopulateNewRMApp), in the queue or in one above it.
_SUBMITTERS = ("SUBMIT_APP", "ADMINISTER_QUEUE")


def member(data: Any, *path: str) -> Any:
    """Return what lies below a path of keys; a key that is missing at the beginning of the path is skipped."""
    found = data
    for number, key in enumerate(path):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif number:
            return None
    return found


def items(data: Any, *path: str) -> list[dict[str, Any]]:
    """Return the objects of a list below a path; an object alone is a list of one, nothing is an empty list."""
    found: Any = data
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, dict):
        return [found] if found else []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(data: Any, key: str) -> str:
    """Return a string; empty when it is missing, null or "null"."""
    value = data.get(key) if isinstance(data, dict) else None
    return "" if value is None or value == "null" else str(value)


def number(data: Any, key: str, default: float = 0.0) -> float:
    """Return a number, also of a string that holds one."""
    value = data.get(key) if isinstance(data, dict) else None
    try:
        return default if value is None else float(value)
    except (TypeError, ValueError):
        return default


def integer(data: Any, key: str, default: int = 0) -> int:
    """Return a whole number, also of a string that holds one; exact up to 64 bits, which a float is not."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if type(value) is int else _whole(value, default)


def _whole(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return int(number({"": value}, "", default))


def words(data: Any, key: str) -> tuple[str, ...]:
    """Return the words of a list of strings, of one string, or of a comma-separated string."""
    value = data.get(key) if isinstance(data, dict) else None
    if isinstance(value, list):  # a node whose labels were removed has one without letters
        return tuple(str(word) for word in value if str(word).strip())
    return tuple(word.strip() for word in text(data, key).split(",") if word.strip())


def amount(data: Any) -> Amount | None:
    """Return a resource; None when there is none."""
    if not isinstance(data, dict) or not data:
        return None
    types = {
        text(entry, "name"): integer(entry, "value")
        for entry in items(data, "resourceInformations", "resourceInformation")
    }
    return Amount(
        memory_mib=integer(data, "memory", types.get("memory-mb", 0)),
        vcores=integer(data, "vCores", types.get("vcores", 0)),
        others={name: value for name, value in types.items() if name not in ("memory-mb", "vcores")},
    )


def node(data: Any) -> Node:
    """Return one node of the ResourceManager's list."""
    free = amount(data.get("availableResource")) or Amount(
        integer(data, "availMemoryMB"), integer(data, "availableVirtualCores")
    )
    used = amount(data.get("usedResource")) or Amount(integer(data, "usedMemoryMB"), integer(data, "usedVirtualCores"))
    return Node(
        id=text(data, "id"),
        host=text(data, "nodeHostName"),
        http=text(data, "nodeHTTPAddress"),
        state=text(data, "state"),
        total=amount(data.get("totalResource")) or total((free, used)),
        free=free,
        rack=text(data, "rack"),
        labels=words(data, "nodeLabels"),
        health=text(data, "healthReport"),
        containers=integer(data, "numContainers"),
    )


def queues(data: Any) -> list[Queue]:
    """Return every queue of a scheduler's answer, the root first; capacity, fair and fifo scheduler."""
    info = member(data, "scheduler", "schedulerInfo")
    if not isinstance(info, dict):
        return []
    kind = text(info, "type").lower()
    if kind.startswith("fair"):
        return list(_fair_queues(info.get("rootQueue")))
    if kind.startswith("fifo"):
        return [Queue("default", "default", state=text(info, "qstate") or "RUNNING")]
    return list(_capacity_queues(info, "", ()))


def _capacity_queues(data: dict[str, Any], parent: str, acls: tuple[str, ...]) -> Iterator[Queue]:
    children = items(data, "queues", "queue")
    name = text(data, "queueName")
    path = text(data, "queuePath") or (f"{parent}.{name}" if parent else name)
    acls += tuple(
        text(acl, "accessControlList")
        for acl in items(data, "queueAcls", "queueAcl")
        if text(acl, "accessType") in _SUBMITTERS
    )
    capacity = number(data, "capacity", 100.0)
    yield Queue(
        name=name,
        path=path,
        state=text(data, "state") or "RUNNING",
        leaf=not children and text(data, "queueType") in ("", "leaf"),
        capacity_percent=number(data, "absoluteCapacity", capacity),
        max_percent=number(data, "absoluteMaxCapacity", number(data, "maxCapacity", 100.0)),
        used_percent=number(data, "absoluteUsedCapacity", number(data, "usedCapacity")),
        used=amount(data.get("resourcesUsed")) or Amount(),
        am_limit=amount(data.get("AMResourceLimit")),
        am_used=amount(data.get("usedAMResource")),
        max_allocation=amount(data.get("maximumAllocation")),
        active_apps=integer(data, "numActiveApplications"),
        pending_apps=integer(data, "numPendingApplications"),
        labels=words(data, "nodeLabels"),
        default_label=text(data, "defaultNodeLabelExpression").strip(),
        partitions=tuple(_partitions(data)),
        min_allocation=_min_allocation(data),
        pending=total(amount(part.get("pending")) or Amount() for part in _usages(data)),
        containers=integer(data, "allocatedContainers") if "allocatedContainers" in data else None,
        user_limit_factor=max(0.0, number(data, "userLimitFactor")),
        creates_children=data.get("autoCreateChildQueueEnabled") is True
        or text(data, "autoCreationEligibility") in ("legacy", "flexible"),
        submit_acls=acls,
        users=tuple(_users(data)),
    )
    for child in children:
        yield from _capacity_queues(child, path, acls)


def _usages(data: dict[str, Any]) -> list[dict[str, Any]]:
    return items(data, "resources", "resourceUsagesByPartition")


def _partitions(data: dict[str, Any]) -> Iterator[Partition]:
    usages = {text(usage, "partitionName"): usage for usage in _usages(data)}
    for part in items(data, "capacities", "queueCapacitiesByPartition"):
        label = text(part, "partitionName")
        usage = usages.get(label, {})
        yield Partition(
            label=label,
            capacity_percent=number(part, "absoluteCapacity"),
            max_percent=number(part, "absoluteMaxCapacity", 100.0),
            used_percent=number(part, "absoluteUsedCapacity"),
            am_limit=amount(usage.get("amLimit")),
            am_used=amount(usage.get("amUsed")),
            pending=amount(usage.get("pending")),
            most=amount(part.get("effectiveMaxResource")),
            used=amount(usage.get("used")),
        )


def _users(data: dict[str, Any]) -> Iterator[UserShare]:
    for user in items(data, "users", "user"):
        used = amount(user.get("resourcesUsed")) or Amount()
        yield UserShare(text(user, "username"), used, amount(user.get("userResourceLimit")))


def pending(data: Any) -> tuple[Pending, ...]:
    """Return what an application waits for: of its requests those for any node, which hold all there is to come."""
    return tuple(
        Pending(
            amount(request.get("capability")) or Amount(),
            integer(request, "numContainers"),
            text(request, "nodeLabelExpression"),
        )
        for request in items(data, "resourceRequests")
        if text(request, "resourceName") == "*" and integer(request, "numContainers") > 0
    )


def expiry_s_of(timeout: Any) -> float:
    """Return when a timeout is over, in seconds since the epoch; 0 for `UNLIMITED`."""
    from datetime import datetime

    try:
        return datetime.strptime(text(timeout, "expiryTime"), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    except ValueError:
        return 0.0


def attempt_end(xml: str) -> tuple[float, str]:
    """Return when an ApplicationMaster ended, in seconds since the epoch (0: not yet), and YARN's words about it."""
    found = dict(_XML.findall(xml))
    return number(found, "finishedTime") / 1000, unescape(text(found, "diagnosticsInfo")).strip()


def activities(data: Any) -> tuple[str, ...]:
    """Return the scheduler's words about an application, each once, from its answer about activities."""
    found: dict[str, None] = {}
    todo = items(data, "appActivities", "allocations")
    while todo:
        one = todo.pop(0)
        if text(one, "diagnostic"):
            found[text(one, "diagnostic").strip()] = None
        # Hadoop >= 3.3; before, requests lay below `requestAllocation` and nodes below `allocationAttempt`.
        for name in ("children", "requestAllocation", "allocationAttempt"):
            todo += items(one, name)
    return tuple(found)


def _min_allocation(data: dict[str, Any]) -> Amount | None:
    """Return what the scheduler rounds up to; it stands beside a queue's configured resources."""
    for part in items(data, "capacities", "queueCapacitiesByPartition"):
        kinds = {
            text(kind, "name"): integer(kind, "minimumAllocation")
            for kind in items(part, "configuredMinResource", "resourceInformations", "resourceInformation")
        }
        if kinds.get("memory-mb"):
            return Amount(kinds["memory-mb"], kinds.get("vcores", 0))
    return None


def labels(data: Any) -> list[Label]:
    """Return the node labels of a cluster."""
    found = items(data, "nodeLabelInfo") or items(data, "nodeLabelsInfo", "nodeLabelInfo")
    return [Label(text(label, "name"), text(label, "exclusivity").lower() != "false") for label in found]


def settings(data: Any) -> dict[str, str]:
    """Return name -> value of the answer of a daemon's `/conf` in JSON."""
    found = items(data, "properties") or items(data, "property")
    return {text(entry, "key"): text(entry, "value") for entry in found}


def _fair_queues(data: Any) -> Iterator[Queue]:
    if not isinstance(data, dict):
        return
    children = items(data, "childQueues", "queue") or items(data, "childQueues")
    children = [child for child in children if "queueName" in child]
    path = text(data, "queueName")
    yield Queue(
        name=path.rpartition(".")[2],
        path=path,
        leaf=not children and "Leaf" in text(data, "type"),
        used=amount(data.get("usedResources")) or Amount(),
        am_limit=amount(data.get("amMaxResources")),
        am_used=amount(data.get("amUsedResources")),
        am_limit_strict=True,
        max_allocation=amount(data.get("maxContainerAllocation")),
        active_apps=integer(data, "numActiveApps"),
        pending_apps=integer(data, "numPendingApps"),
        creates_children=True,  # its setting is not shown; the default is to make queues (allow-undeclared-pools)
    )
    for child in children:
        yield from _fair_queues(child)
