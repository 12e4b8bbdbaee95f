"""A question about a job, what the job asks, what there is, and what follows from it.

ok        it is so
note      it is not so now, or not nice: said, and the job goes on
refused   it can never be so: the job is not submitted
unknown   nobody could say
"""

from __future__ import annotations

from dataclasses import dataclass

from yarn_submitter.errors import Problem

OK = "ok"
NOTE = "note"
REFUSED = "refused"
UNKNOWN = "unknown"

# Refusals by what changes while a cluster lives (its nodes, labels and shares) or differs from node to node. The
# others (no such queue, no right, a missing file) the cluster would repeat at once.
MAY_BE_WRONG = frozenset(
    (
        "memory-too-large",
        "vcores-too-large",
        "gpus-too-large",
        "gpus-unknown",
        "no-node-fits",
        "gang-too-large",
        "label-unknown",
        "label-denied",
        "label-no-node",
        "am-no-node",
        "am-share-too-small",
        "docker-ignored",
        "docker-not-allowed",
    )
)


@dataclass(frozen=True)
class Finding:
    """One question and its answer.

    Attributes:
        question: What is asked about, in one word or two: `queue`, `memory`.
        about: Of what: a role, a path; may be empty.
        asked: What the job asks.
        available: What there is.
        verdict: One of the words above.
        problem: What is said about it when it is not ok.
    """

    question: str
    about: str
    asked: str
    available: str
    verdict: str = OK
    problem: Problem | None = None

    @property
    def may_be_wrong(self) -> bool:
        """Return whether it refuses by what could be different in a moment or on another node."""
        return self.verdict == REFUSED and self.problem is not None and self.problem.id in MAY_BE_WRONG
