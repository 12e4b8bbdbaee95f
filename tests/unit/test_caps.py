"""A job over a cap, or with an image that is not allowed, is refused with what it asks and where the cap is set."""

from __future__ import annotations

from typing import Any

import pytest

from yarn_submitter.caps import over_caps
from yarn_submitter.settings import Settings
from yarn_submitter.siteconfig import load_settings
from yarn_submitter.spec import JobSpec, RoleSpec
from yarn_submitter.units import Ask


def job(**changes: Any) -> JobSpec:
    """Return a job of 1 ps and 4 workers: 5 tasks, 18G, 9 vcores, 8 GPUs."""
    roles = (
        RoleSpec("ps", 1, Ask(2048), "run"),
        RoleSpec("worker", 4, Ask(4096, 2, {"yarn.io/gpu": 2}), "run"),
    )
    return JobSpec(**{"name": "fit", "framework": "tensorflow", "roles": roles, **changes})


def settings(*flags: str) -> Settings:
    """Return settings made of flags."""
    return load_settings({}, flags)


def test_without_caps_anything_goes() -> None:
    """No cap, no pattern: nothing is refused."""
    assert over_caps(job(image="any:1"), settings()) == []


@pytest.mark.parametrize(
    ("key", "fits", "too_small", "words"),
    [
        ("instances", "5", "4", ["5 instances", "is 4", "ps 1", "worker 4"]),
        ("memory", "18G", "18431M", ["18G memory", "is 18431M", "ps 1 x 2G", "worker 4 x 4G"]),
        ("vcores", "9", "8", ["9 vcores", "is 8", "worker 4 x 2"]),
        ("gpus", "8", "7", ["8 gpus", "is 7", "worker 4 x 2"]),
        ("gpus", "8", "0", ["8 gpus", "is 0"]),
        ("lifetime", "1h", "59m", ["may run 1h", "is 59m", "--max_runtime 59m"]),
    ],
)
def test_a_cap(key: str, fits: str, too_small: str, words: list[str]) -> None:
    """What is asked exactly fits; one less is refused with the total, the shares, the cap and its place."""
    spec = job(max_runtime_s=3600)
    assert over_caps(spec, settings(f"caps.{key}={fits}")) == []
    (problem,) = over_caps(spec, settings(f"caps.{key}={too_small}"))
    assert problem.id == "cap-exceeded"
    assert f"caps.{key} is set by --set caps.{key}" in problem.evidence
    assert [word for word in words if word not in problem.text()] == []


def test_a_job_without_end_is_over_every_lifetime() -> None:
    """With a cap on the lifetime, no limit is too long."""
    (problem,) = over_caps(job(), settings("caps.lifetime=2d"))
    assert "--max_runtime 2d" in problem.next_step


def test_a_tensorboard_counts() -> None:
    """It is a task like the others."""
    board = RoleSpec("tensorboard", 1, Ask(4096), "")
    assert over_caps(job(), settings("caps.memory=18G")) == []
    (problem,) = over_caps(job(tensorboard=board), settings("caps.memory=18G"))
    assert "tensorboard 1 x 4G" in problem.evidence


def test_all_caps_at_once() -> None:
    """Whoever is over three of them hears of three."""
    flags = ["caps.instances=1", "caps.memory=1G", "caps.gpus=1", "allowed_images=x"]
    assert [one.id for one in over_caps(job(image="y"), settings(*flags))] == [
        *["cap-exceeded"] * 3,
        "image-not-allowed",
    ]


def test_images_must_match_a_pattern() -> None:
    """A role's own image, the job's, a TensorBoard's, and one that comes as a variable: each must match."""
    allowed = settings("allowed_images=registry/ml/*,python:3.1?")
    board = RoleSpec("tensorboard", 1, Ask(1024), "", image="evil:2")
    by_hand = {"YARN_CONTAINER_RUNTIME_DOCKER_IMAGE": "evil:3"}
    roles = (
        RoleSpec("ps", 1, Ask(1), "run"),
        RoleSpec("worker", 1, Ask(1), "run", image="python:3.11"),
        RoleSpec("chief", 1, Ask(1), "run", env=by_hand),
    )
    assert over_caps(job(image="registry/ml/tf:2.16"), allowed) == []
    assert over_caps(job(), allowed) == []
    problems = over_caps(job(roles=roles, image="evil:1", tensorboard=board), allowed)
    assert [one.sentence for one in problems] == [
        "The image evil:1 of ps, chief is not allowed here.",
        "The image evil:3 of chief is not allowed here.",
        "The image evil:2 of tensorboard is not allowed here.",
    ]
    assert "allowed: registry/ml/*, python:3.1?\nallowed_images is set by --set allowed_images" in problems[0].evidence
