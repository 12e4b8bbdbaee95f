"""job sandbox: a real Hadoop on this machine, up and down."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from am.contract import codes

if TYPE_CHECKING:
    import argparse

    from yarn_submitter.cli.console import Console
    from yarn_submitter.sandbox import SandboxInfo, SandboxStatus

NAME = "sandbox"
HELP = "a real Hadoop on this machine: up, status, down, env"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the four actions of `job sandbox` and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="up|status|down|env")
    up = actions.add_parser("up", help="start whatever does not run, and wait until jobs can be submitted")
    # `-` and `_` are the same in option names.
    up.add_argument("--nodes", type=int, metavar="N", help="NodeManagers (default 2)")
    up.add_argument("--memory_mb", "--memory-mb", type=int, metavar="MB", help="memory that each offers (default 8192)")
    up.add_argument("--vcores", type=int, metavar="N", help="virtual cores that each offers (default 8)")
    up.add_argument("--gpus", type=int, metavar="N", help="GPUs that each claims to have (default 4)")
    up.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="any Hadoop property; may be repeated; kept until `up` is given others, or --defaults",
    )
    up.add_argument("--defaults", action="store_true", help="forget the settings of the last time first")
    up.add_argument("--timeout", type=float, default=180, metavar="S", help="longest wait in seconds (default 180)")
    status = actions.add_parser("status", help="what runs and answers; exit code 69 when not all of it does")
    status.add_argument("--json", action="store_true", help="the same as JSON on standard output")
    down = actions.add_parser("down", help="end its processes, and no others; HDFS is kept")
    down.add_argument("--delete", action="store_true", help="remove its HDFS, logs and settings too")
    env = actions.add_parser("env", help='what other programs need: eval "$(job sandbox env)"')
    for action in (up, status, down, env):
        action.add_argument("--name", default="default", metavar="NAME", help="which sandbox (default: default)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one action; returns 0, or 69 when `status` finds that not everything is up."""
    actions = {"up": _up, "status": _status, "down": _down, "env": _env}
    return actions[args.action](args, console)


def _up(args: argparse.Namespace, console: Console) -> int:
    from yarn_submitter.sandbox import DEFAULT_NAME, Sandbox, SandboxSettings, name_option, parse_properties

    settings = SandboxSettings(
        nodes=args.nodes,
        memory_mb=args.memory_mb,
        vcores=args.vcores,
        gpus=args.gpus,
        properties=None if args.set is None else parse_properties(args.set),
        forget=args.defaults,
        deadline_s=args.timeout,
    )
    info = Sandbox(args.name).up(settings, console.progress)
    nodes = f"{len(info.nodes)} node{'s' * (len(info.nodes) != 1)}"
    console.say(f"sandbox {info.name!r} is up: {nodes}, HDFS {info.fs}, YARN http://{info.rm_http}/")
    cluster = "sandbox" if info.name == DEFAULT_NAME else f"sandbox:{info.name}"
    env = f"job sandbox env{name_option(info.name)}"
    console.say(f'next: job run --cluster {cluster} ... ; for other programs: eval "$({env})"')
    return 0


def _status(args: argparse.Namespace, console: Console) -> int:
    from yarn_submitter.sandbox import Sandbox

    status = Sandbox(args.name).status()
    if args.json:
        console.out_json(status.to_json())
    else:
        console.out("\n".join(_status_lines(status)))
    return 0 if status.up else codes.UNREACHABLE


def _status_lines(status: SandboxStatus) -> list[str]:
    from yarn_submitter.sandbox import name_option, others

    info = status.info
    if info is None:
        return [
            f"there is no sandbox {status.name!r} ({others(status.name)})",
            f"next: job sandbox up{name_option(status.name)}",
        ]
    lines = [f"{'daemon':<16} {'pid':>8}  {'address':<22} state"]
    for daemon in status.daemons:
        state = "answers" if daemon.answering else "runs, does not answer" if daemon.alive else "not running"
        hint = "" if daemon.answering or not daemon.pid else f" (log: {daemon.log})"
        lines.append(f"{daemon.name:<16} {daemon.pid or '-':>8}  {daemon.address:<22} {state}{hint}")
    lines.append(f"nodes running    {status.nodes_running} of {len(info.nodes)}")
    lines.append(f"YARN             http://{info.rm_http}/")
    lines.append(f"HDFS             {info.fs}")
    lines.append(f"HADOOP_CONF_DIR  {info.conf_dir}")
    word = "up" if status.up else "not up" if any(daemon.alive for daemon in status.daemons) else "down"
    lines.append(f"sandbox {status.name!r} is {word}")
    return lines


def _down(args: argparse.Namespace, console: Console) -> int:
    from yarn_submitter.sandbox import Sandbox, find, others

    unknown = find(args.name) is None
    ended = Sandbox(args.name).down(delete=args.delete, progress=console.progress)
    if unknown and not ended:
        console.say(f"there is no sandbox {args.name!r} ({others(args.name)})")
        return 0
    console.say(f"sandbox {args.name!r} is {'down' if ended else 'not running'}{' and deleted' * args.delete}")
    return 0


def _env(args: argparse.Namespace, console: Console) -> int:
    from yarn_submitter.sandbox import require

    console.out("\n".join(_exports(require(args.name))))
    return 0


def _exports(info: SandboxInfo) -> list[str]:
    lines = []
    for key, value in info.environment().items():
        suffix = ':"$PATH"' if key == "PATH" else ""  # some shells split what is not quoted at its blanks
        lines.append(f"export {key}={shlex.quote(value)}{suffix}")
    return lines
