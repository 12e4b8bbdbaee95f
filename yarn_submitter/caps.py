"""What a site lets one job have: its caps and its images. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator

from yarn_submitter.errors import Problem
from yarn_submitter.settings import Settings
from yarn_submitter.settingtexts import Mebibytes, Seconds
from yarn_submitter.spec import JobSpec, RoleSpec

# Hadoop's own variable for the image of a container, which a job may set by hand.
_IMAGE_VARIABLE = "YARN_CONTAINER_RUNTIME_DOCKER_IMAGE"


def over_caps(spec: JobSpec, settings: Settings) -> list[Problem]:
    """Return what the job asks beyond what the site's settings let it have: totals over all tasks, images."""
    roles = [*spec.roles, *([spec.tensorboard] if spec.tensorboard else [])]
    return [*_totals(spec, roles, settings), *_images(spec, roles, settings)]


def _totals(spec: JobSpec, roles: list[RoleSpec], settings: Settings) -> Iterator[Problem]:
    caps = settings.caps

    def check(
        key: str, asked: Callable[[RoleSpec], int], cap: int | None, text: Callable[[int], str]
    ) -> Iterator[Problem]:
        total = sum(role.instances * asked(role) for role in roles)
        if cap is None or total <= cap:
            return
        shares = [f"{role.name} {role.instances} x {text(asked(role))}" for role in roles if asked(role)]
        sentence = f"The job asks for {text(total)} {key} in all; the most is {text(cap)}."
        yield _over(f"caps.{key}", sentence, ", ".join(shares), settings, "ask for less")

    yield from check("instances", lambda _: 1, caps.instances, str)
    yield from check(
        "memory", lambda role: role.resources.memory_mib, caps.memory_mib, lambda mib: Mebibytes(mib).text()
    )
    yield from check("vcores", lambda role: role.resources.vcores, caps.vcores, str)
    yield from check("gpus", lambda role: role.resources.gpus, caps.gpus, str)
    if caps.lifetime_s is not None and not 0 < spec.max_runtime_s <= caps.lifetime_s:
        asked_text = Seconds(spec.max_runtime_s).text() if spec.max_runtime_s else "without end"
        most = caps.lifetime_s.text()
        sentence = f"The job may run {asked_text}; the most is {most}."
        yield _over("caps.lifetime", sentence, "", settings, f"--max_runtime {most}")


def _over(key: str, sentence: str, shares: str, settings: Settings, step: str) -> Problem:
    evidence = "\n".join(line for line in (shares, f"{key} is set by {settings.origin(key)}") if line)
    return Problem("cap-exceeded", sentence, evidence, f"{step}, or ask an administrator for more")


def _images(spec: JobSpec, roles: list[RoleSpec], settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each image that no pattern of the site allows."""
    patterns = settings.allowed_images
    if not patterns:
        return
    asked: dict[str, list[str]] = {}
    for role in roles:
        by_hand = role.env.get(_IMAGE_VARIABLE) or spec.env.get(_IMAGE_VARIABLE) or ""
        for image in dict.fromkeys((role.image or spec.image, by_hand)):
            if image and not any(fnmatch.fnmatchcase(image, pattern) for pattern in patterns):
                asked.setdefault(image, []).append(role.name)
    for image, names in asked.items():
        evidence = f"allowed: {', '.join(patterns)}\nallowed_images is set by {settings.origin('allowed_images')}"
        sentence = f"The image {image} of {', '.join(names)} is not allowed here."
        yield Problem("image-not-allowed", sentence, evidence, "take an image that matches one of them")
