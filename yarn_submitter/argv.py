"""The command line of `job run` as texts with their source; its grammar is in docs/job-run.md.

One dash or two, `--opt value` or `--opt=value`; a value may begin with a dash, but an option that is known never serves
as another's value; a flag may be followed by a stray `true`.
"""

from __future__ import annotations

from collections.abc import Sequence

from yarn_submitter.given import Faults, Given, closest, shown
from yarn_submitter.options import BY_NAME, FLAG, HIDDEN, REPEATABLE, RESOURCE_LIST, RESOURCES, Option

_DASHES = ("\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212")  # what word processors make of `-` and `--`


def read_argv(argv: Sequence[str], faults: Faults) -> dict[str, list[Given]]:
    """Return option name -> what was given for it, in order."""
    given: dict[str, list[Given]] = {}
    words = list(argv)
    last: tuple[Option, Given] | None = None
    while words:
        place = (0, len(argv) - len(words))
        word = words.pop(0)
        option = known_option(word)
        if option is None:
            if last is not None and not word.startswith(("-", *_DASHES)) and word.strip() == word:
                _torn(*last, Given(word, word, place), words, faults)
            else:
                _complain(Given(word, word, place), faults)
                if word.startswith("-") and "=" not in word and words and not words[0].startswith("-"):
                    words.pop(0)  # most likely its value: one slip of the pen is one fault
            last = None
            continue
        value = _take_value(option, Given(word, option.typed, place), words, faults)
        last = None
        if value is None:
            continue
        item = faults.usable(Given(value, option.typed, place))
        last = option, item
        earlier = given.setdefault(option.name, [])
        if earlier and option.kind not in REPEATABLE:
            both = f"{shown(earlier[0].value)} and {shown(item.value)}"
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
    if option.kind == FLAG:
        if equals:
            return value
        return words.pop(0) if words and words[0].lower() in ("true", "false") else "true"
    if not equals:
        if not words or known_option(words[0]):
            seen = f"the next word is {shown(words[0])}, an option" if words else "it is the last word"
            form = f"write {option.typed}=VALUE"
            faults.add("option-without-value", f"{option.typed} needs a value.", seen, form, at=word)
            faults.mean(option.name)
            return None
        value = words.pop(0)
    if option.name == "conf" and value.startswith(f"{RESOURCE_LIST}="):
        # Submarine's guide breaks this list into lines after a comma, which makes several words of it.
        while value.rstrip().endswith(",") and words and not words[0].startswith("-"):
            value += words.pop(0)
    return value


def _torn(option: Option, value: Given, item: Given, words: list[str], faults: Faults) -> None:
    """Note words that stand behind an option's value as if they were its rest, which they most likely are."""
    rest = [item.value]
    while words and option.kind != FLAG and not _near_option(words[0]):
        rest.append(words.pop(0))
    text = " ".join(rest)
    sentence = f"{shown(text)} is not the value of an option."
    if option.kind == FLAG:
        seen = f"it stands behind {option.typed}, which takes true, false or nothing"
        faults.add("argument-unexpected", sentence, seen, f"write {option.typed}, or {option.typed}=false", at=item)
    elif rest[0].partition("=")[0].replace("-", "_") in BY_NAME and "=" in rest[0]:
        faults.mean(rest[0].partition("=")[0].replace("-", "_"))
        faults.add("argument-unexpected", sentence, "its dashes are missing", f"write --{_cut(rest[0])}", at=item)
    else:
        if option.name == HIDDEN:
            value = value.part(f"{value.value.partition('=')[0]}=@FILE")  # it may hold the secret itself
        seen = f"it stands behind {option.typed} {_cut(value.value)}"
        if option.kind == RESOURCES:
            step = f"put commas between amounts: {option.typed} {_cut(','.join([value.value, *rest]))}"
        elif option.repeatable and "=" in rest[0]:
            step = f"write {option.typed} before each: {option.typed} {_cut(rest[0])}"
        else:
            step = f'put a value with blanks in quotes: {option.typed} "{_cut(f"{value.value} {text}")}"'
        faults.add("argument-unexpected", sentence, seen, step, at=item)


def _near_option(word: str) -> bool:
    """Return whether a word is an option, or one with a slip of the pen."""
    name = word.lstrip("-").split("=", 1)[0].replace("-", "_")
    return word.startswith("-") and (known_option(word) is not None or (len(name) > 2 and bool(closest(name, BY_NAME))))


def _complain(item: Given, faults: Faults) -> None:
    word = item.value
    bare = word.lstrip("-" + "".join(_DASHES))
    name = bare.split("=", 1)[0].replace("-", "_")
    if word.startswith("-") and bare:
        close = closest(name, [name for name in BY_NAME if len(name) > 1])
        faults.mean(close)
        sentence = f"There is no option {_cut(word.split('=', 1)[0])}."
        seen, step = (f"did you mean --{close}?", "") if close else ("", "see job run --help")
        faults.add("option-unknown", sentence, seen, step, at=item)
    elif word.startswith(_DASHES):
        sentence = f"{shown(word)} begins with a long dash, as word processors write it."
        faults.mean(name)
        faults.add("option-unknown", sentence, "", f"type --{_cut(bare)}", at=item)
    elif not word.strip():
        seen = "in a script, a line ends right after its backslash: a blank behind it makes such a word"
        sentence = f"{shown(word)} is not the value of an option."
        faults.add("argument-unexpected", sentence, seen, "take the blank behind the backslash away", at=item)
    elif word != word.lstrip() and known_option(word.lstrip()):
        seen = "a blank stands before it: in a script, a line ends right after its backslash"
        faults.mean(word.strip().lstrip("-").split("=", 1)[0].replace("-", "_"))
        sentence = f"{shown(word)} is not an option."
        faults.add("argument-unexpected", sentence, seen, "take the blank behind the backslash away", at=item)
    elif name in BY_NAME and "=" in word:
        faults.mean(name)
        sentence = f"{shown(word)} is not the value of an option."
        faults.add("argument-unexpected", sentence, "", f"write --{_cut(word)}", at=item)
    else:
        faults.add(
            "argument-unexpected",
            f"{shown(word)} is not the value of an option.",
            "a value follows its option, and one with blanks stands in quotes",
            "write --option VALUE",
            at=item,
        )


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."
