"""The command line of `job run` as texts with their source; its grammar is in docs/job-run.md.

One dash or two, `--opt value` or `--opt=value`; a value may begin with a dash, but an option that is known never serves
as another's value; a flag may be followed by a stray `true`.
"""

from __future__ import annotations

from collections.abc import Sequence

from yarn_submitter.given import Faults, Given, close_match
from yarn_submitter.options import BY_NAME, FLAG, REPEATABLE, Option


def read_argv(argv: Sequence[str], faults: Faults) -> dict[str, list[Given]]:
    """Return option name -> what was given for it, in order."""
    given: dict[str, list[Given]] = {}
    words = list(argv)
    while words:
        place = (0, len(argv) - len(words))
        word = words.pop(0)
        option = known_option(word)
        if option is None:
            _complain(Given(word, word, place), faults)
            if word.startswith("-") and "=" not in word and words and not words[0].startswith("-"):
                words.pop(0)  # most likely its value: one slip of the pen is one fault
            continue
        value = _take_value(option, Given(word, option.typed, place), words, faults)
        if value is None:
            continue
        item = Given(value, option.typed, place)
        earlier = given.setdefault(option.name, [])
        if earlier and option.kind not in REPEATABLE:
            both = f"{earlier[0].value!r} and {value!r}"
            faults.add("option-twice", f"{option.typed} is given twice.", both, "keep one", at=item)
            continue
        earlier.append(item)
    return given


def known_option(word: str) -> Option | None:
    """Return the option that a word of the command line names, or None."""
    if not word.startswith("-"):
        return None
    name = word.removeprefix("-").removeprefix("-").split("=", 1)[0]
    return BY_NAME.get(name.replace("-", "_"))


def _take_value(option: Option, word: Given, words: list[str], faults: Faults) -> str | None:
    _, equals, value = word.value.partition("=")
    if equals:
        return value
    if option.kind == FLAG:
        return words.pop(0) if words and words[0].lower() in ("true", "false") else "true"
    if not words or known_option(words[0]):
        seen = f"the next word is {words[0]}, an option" if words else "it is the last word"
        form = f"write {option.typed}=VALUE"
        faults.add("option-without-value", f"{option.typed} needs a value.", seen, form, at=word)
        return None
    return words.pop(0)


def _complain(item: Given, faults: Faults) -> None:
    word = item.value
    if word.startswith("-"):
        name = word.lstrip("-").split("=", 1)[0].replace("-", "_")
        hint = close_match(name, BY_NAME, "--")
        sentence = f"There is no option {word.split('=', 1)[0]}."
        faults.add("option-unknown", sentence, hint, "see job run --help", at=item)
    else:
        faults.add(
            "argument-unexpected",
            f"{word!r} is not the value of an option.",
            "every value follows its option",
            "put values with spaces in quotes",
            at=item,
        )
