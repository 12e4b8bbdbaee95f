"""Puts a job to the facts of a cluster: every question with its answer, all at once, before anything is sent.

Only what can never be is refused. What merely has to wait (a busy queue, nodes in use) is YARN's to schedule: it is
said, and the job goes on. See docs/preflight.md for the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from yarn_submitter.errors import Problem
from yarn_submitter.facts import GPU, ClusterFacts, Queue
from yarn_submitter.findings import REFUSED, Finding
from yarn_submitter.given import closest
from yarn_submitter.plan import AGENT_MEMORY_MIB
from yarn_submitter.preflight_places import Want, docker_findings, namesake_findings, place_findings
from yarn_submitter.preflight_queues import label_findings, queue_findings, share_findings
from yarn_submitter.preflight_sizes import RoleAsk, size_findings
from yarn_submitter.spec import JobSpec, RoleSpec

_AGENT = "the ApplicationMaster"


def judge(spec: JobSpec, wants: Sequence[Want], facts: ClusterFacts, user: str = "") -> list[Finding]:
    """Return every question about a job with what the cluster answers.

    Args:
        spec: The job.
        wants: Every path on the store that it reads or writes.
        facts: The cluster as it is now.
        user: Who submits, where queues look at that; empty when they do not.
    """
    queue = facts.queue(spec.queue)
    roles = [role for role in with_instances(spec) if role.instances]
    asks = [_ask(role, label_of(role, spec, queue)) for role in roles]
    # The plan names labels for the tasks only: the ApplicationMaster goes where the queue sends it.
    agent = RoleAsk(_AGENT, 1, AGENT_MEMORY_MIB, label=queue.default_label if queue else "")
    labels = sorted({ask.label for ask in (agent, *asks) if ask.label})
    found = [*queue_findings(spec.queue, facts, user)]
    for label in labels:
        found += label_findings(label, queue, facts, user)
    found += [finding for role in roles for finding in _not_expressible(role, facts)]
    found += size_findings(asks, agent, queue, facts)
    if queue is not None:
        found += share_findings(agent, queue, facts)
    found += place_findings(wants, facts)
    images = [role.name for role in roles if image_of(role, spec)]
    if images:
        found += docker_findings(images, facts)
    return [*found, *namesake_findings(spec.name, facts)]


def with_instances(spec: JobSpec) -> tuple[RoleSpec, ...]:
    """Return every role of a job, the TensorBoard beside it among them."""
    return (*spec.roles, *([spec.tensorboard] if spec.tensorboard else []))


def image_of(role: RoleSpec, spec: JobSpec) -> str:
    """Return the image that a role runs in; empty when it runs on the bare node."""
    return role.image or spec.image


def label_of(role: RoleSpec, spec: JobSpec, queue: Queue | None) -> str:
    """Return the label of the nodes on which a role runs."""
    return role.node_label or spec.node_label or (queue.default_label if queue else "")


def _ask(role: RoleSpec, label: str) -> RoleAsk:
    resources = role.resources
    amounts = (resources.memory_mib, resources.vcores, resources.gpus)
    return RoleAsk(role.name, role.instances, *amounts, label, role.min_instances)


def _not_expressible(role: RoleSpec, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield a refusal for each resource type that the launcher has no word for, whether YARN knows it or not."""
    for name, count in role.resources.others.items():
        if name == GPU:
            continue
        known = "the cluster knows it" if name in facts.resource_types else "the cluster does not know it either"
        sentence = f"Role {role.name} asks for {name}, which the launcher cannot ask YARN for."
        evidence = f"memory, vcores and gpu can be asked for; {known}"
        close = "" if name in facts.resource_types else closest(name, _expressible(facts))
        step = f"write {close}={count} if you mean that, else leave it out" if close else "leave it out"
        problem = Problem("resource-not-expressible", sentence, evidence, step)
        yield Finding("resource", role.name, f"{count} {name}", "memory, vcores and gpu", REFUSED, problem)


def _expressible(facts: ClusterFacts) -> list[str]:
    """Return what can be asked for and is there, memory aside, whose amount has a unit."""
    return ["vcores", *(["gpu"] if GPU in facts.resource_types else [])]
