"""The help of `job run`, from the option table, for a terminal of any width."""

from __future__ import annotations

import textwrap

from yarn_submitter.options import CHOICE, COUNT, DURATION, FLAG, GROUPS, RESOURCES, Option

_LEAST, _MOST = 60, 100  # columns: narrower is wrapped by the terminal, longer lines are hard to read
_ABOUT = """\
One dash or two, `--option value` or `--option=value`; `-` and `_` are the same in names. A value that stands in the \
file and on the command line is an error; flags and what the file leaves out may come from the command line.

%input_path%, %checkpoint_path% and %saved_model_path% in a command are replaced by the paths. RESOURCES are for \
example memory=2G,vcores=2,gpu=1, or the name of a profile. Options with `...` may be given again."""
_EXAMPLES = """\
job run --name digits --input_path "" --num_workers 2 \\
    --worker_resources memory=2G,vcores=1 \\
    --worker_launch_cmd "python train.py" --src .
job run -f job.yaml --queue research --dry_run"""
_FORMS = {COUNT: "N", RESOURCES: "RESOURCES", DURATION: "12h"}


def help_text(columns: int) -> str:
    """Return the help.

    Args:
        columns: Of the terminal.
    """
    width = min(max(columns, _LEAST), _MOST)
    parts = ["usage: job run -f FILE [--option value ...]", "       job run --name NAME --option value ...", ""]
    for paragraph in _ABOUT.split("\n\n"):
        parts += [*textwrap.wrap(paragraph, width), ""]
    for title, options in GROUPS.items():
        parts += [f"{title}:", *(line for option in options for line in _lines(option, width)), ""]
    parts += ["For example:", *(f"  {line}" for line in _EXAMPLES.split("\n"))]
    return "\n".join(parts)


def _lines(option: Option, width: int) -> list[str]:
    """Return one option's lines: its text beside it, or below one that is long."""
    indent = width * 2 // 5
    repeated = " ..." if option.repeatable else ""
    head = f"  {option.typed}{_form(option)}{repeated}"
    text = option.help + (f" (default: {option.default})" if option.default and option.kind != FLAG else "")
    lines = textwrap.wrap(text, width - indent, break_on_hyphens=False)
    if len(head) > indent - 2:
        return [*_wrapped_head(head, width), *(" " * indent + line for line in lines)]
    return [head.ljust(indent) + lines[0], *(" " * indent + line for line in lines[1:])]


def _wrapped_head(head: str, width: int) -> list[str]:
    if len(head) <= width:
        return [head]
    form = textwrap.TextWrapper(width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    return form.wrap(head.strip())


def _form(option: Option) -> str:
    if option.kind == FLAG:
        return ""
    choices = "|".join(option.choices) if option.kind == CHOICE else ""
    return f" {option.placeholder or choices or _FORMS.get(option.kind, 'TEXT')}"
