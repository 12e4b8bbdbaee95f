"""A plain program: nothing is set but what every task finds; peers stand in YARN_SUBMITTER_TOPOLOGY."""

from __future__ import annotations

import typing

from am.contract.job import JobPlan


def environment(
    plan: JobPlan,  # noqa: ARG001
    topology: typing.Dict[str, typing.Tuple[str, ...]],  # noqa: ARG001
    role: str,  # noqa: ARG001
    index: int,  # noqa: ARG001
) -> typing.Dict[str, str]:
    """Return no variables at all."""
    return {}
