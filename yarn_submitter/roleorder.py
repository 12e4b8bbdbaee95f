"""Which role waits for which: texts of `depends_on`, and what is wrong with the order that they make."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Mapping

from yarn_submitter.given import Faults, Given, shown, valid_words

SUCCEEDED = "succeeded"


def read_order(items: Iterable[Given], faults: Faults) -> tuple[str, ...]:
    """Return the roles of `OTHER[:succeeded][,OTHER...]` texts, each once, as they are written."""
    found: dict[str, None] = {}
    for item in items:
        for text in item.value.split(","):
            name, colon, state = (part.strip() for part in text.partition(":"))
            if colon and state.lower() != SUCCEEDED:
                sentence = f"{item.source}: {shown(state)} is not known."
                faults.add(
                    "value-unknown",
                    sentence,
                    valid_words(state, (SUCCEEDED,)),
                    f"write {name}:{SUCCEEDED}, or {name}",
                    at=item,
                )
            elif text.strip():
                found[f"{name}:{SUCCEEDED}" if colon else name] = None
    return tuple(found)


def needed_role(word: str) -> str:
    """Return the role that an item of `depends_on` names."""
    return word.partition(":")[0]


def renamed(order: Iterable[str], name_of: Callable[[str], str]) -> tuple[str, ...]:
    """Return items of `depends_on` with other names of the roles."""
    return tuple(name_of(word.partition(":")[0]) + "".join(word.partition(":")[1:]) for word in order)


def check_order(
    order: Mapping[str, tuple[str, ...]], places: Mapping[str, Given], unsure: Mapping[str, str], faults: Faults
) -> None:
    """Note roles that wait for what cannot be.

    Args:
        order: Role -> what it depends on; every role that has tasks.
        places: Role -> where that is said, for those that depend on any.
        unsure: Roles whose good end nobody may wait for -> why, as the end of a sentence.
        faults: Takes what is wrong.
    """
    for name, words in order.items():
        for word in words:
            at = places[name]
            other = needed_role(word)
            if other not in order:
                sentence = f"{at.source}: role {name} depends on {shown(other)}, and the job has no such role."
                others = valid_words(other, [role for role in order if role != name], "other roles")
                faults.add("role-unknown", sentence, others, at=at)
            elif word != other and other in unsure:
                sentence = f"{at.source}: role {name} waits for {other} to succeed, which {unsure[other]}."
                step = f"write {other}: then {name} starts when {other} runs"
                faults.add("role-never-succeeds", sentence, "", step, at=at)
    _check_circle(order, places, faults)


def _check_circle(order: Mapping[str, tuple[str, ...]], places: Mapping[str, Given], faults: Faults) -> None:
    try:
        graphlib.TopologicalSorter({name: map(needed_role, words) for name, words in order.items()}).prepare()
    except graphlib.CycleError as error:
        circle = list(reversed(error.args[1]))  # each waits for the next, the last is the first
        at = places[circle[0]]
        sentence = f"{at.source}: roles wait for one another: {' -> '.join(circle)}."
        if len(circle) == 2:
            sentence = f"{at.source}: role {circle[0]} depends on itself."
        faults.add("role-cycle", sentence, "", f"take {circle[1]} out of what {circle[0]} depends on", at=at)
