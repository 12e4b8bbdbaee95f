"""What every end of a task means: whose fault it is, whether to try again, what to do about it. One table, no decision.

Three kinds of ends are told apart, because the same number means different things in each: a program's exit code
that its executor reported, the code of a container that ended without its executor's word (Docker's and the
container-executor's codes stand there), and YARN's own statuses, which are below 0. An end with a name of ours (an id
of docs/errors.md) is classed by that name.

Sources: Hadoop 3.4 and 3.5, `ContainerExitStatus` and container-executor's `util.h`; signal(7); the shell's and
Docker's own 125, 126 and 127; Python's 120.
"""

from __future__ import annotations

import dataclasses
import signal
import typing

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

    from am.contract.events import TaskExited

PROGRAM = "program"  # the user's program, or what was asked for it: follows `on_failure`, counts
PLATFORM = "platform"  # the cluster: follows `on_loss`, never counts
STORE = "store"  # files that could not be had: as PROGRAM, since what is missing once is often missing for ever
RENDEZVOUS = "rendezvous"  # addresses were no good any more: a new rendezvous, never counts
WHOSE = (PROGRAM, PLATFORM, STORE, RENDEZVOUS)


@dataclasses.dataclass(frozen=True)
class Fault:
    """What an end means.

    Attributes:
        name: What happened, in words.
        whose: One of WHOSE.
        retry: Whether trying again may help; if not, nothing is ever restarted for it, whatever the policy says.
        advice: What to do, as an imperative; empty when only the program can know.
    """

    name: str
    whose: str
    retry: bool
    advice: str

    @property
    def counted(self) -> bool:
        """Return whether a restart because of it counts against the job's `max_restarts`."""
        return self.whose in {PROGRAM, STORE}


_OWN = "the program's own error"
_MEMORY = "ask for more memory in the role's resources, or let the program use less"
_NATIVE = "run it with PYTHONFAULTHANDLER=1 to see where; compare native libraries and drivers with the node's"
_DISK = "nothing to correct in the job; tell an administrator which node"
_NODE = "look at the node's memory and its NodeManager's log at that time"
_DOCKER_RULES = "ask an administrator what the node's container-executor.cfg lets Docker containers have"

# Of the user's program, as its executor reports it. Nothing here is beyond retry: a program may use any code for what
# passes, and who gives a job restarts means them. The shell's 126 and 127 are in PROBLEMS when it said them itself.
EXITS: Mapping[int, Fault] = {
    0: Fault("the program's good end", PROGRAM, False, ""),
    1: Fault(_OWN, PROGRAM, True, ""),
    2: Fault(f"{_OWN}, often a wrong argument", PROGRAM, True, "compare the command with what the program takes"),
    120: Fault(
        "Python could not write its last output", PROGRAM, True, "see whether the disk of the node's logs is full"
    ),
    126: Fault(
        "the command was found but could not be run: is it executable, and for this kind of machine?",
        PROGRAM,
        True,
        "`chmod +x` it before submitting, or start it with its interpreter: `python3 fit.py`",
    ),
    127: Fault(
        "command not found: name a program that is in the task's environment or image, or ship it with --src",
        PROGRAM,
        True,
        "check the command and the task's PATH",
    ),
}
SIGNALS: Mapping[signal.Signals, Fault] = {
    signal.SIGHUP: Fault("its terminal or parent went away", PROGRAM, True, "see what in the program sends it"),
    signal.SIGINT: Fault("interrupted", PROGRAM, True, "see what in the program sends it"),
    signal.SIGQUIT: Fault("told to dump its state and end", PROGRAM, True, "its last lines hold what it dumped"),
    signal.SIGILL: Fault(
        "an instruction that this machine does not know", PROGRAM, True, "use a build for the nodes' kind of processor"
    ),
    signal.SIGTRAP: Fault("a debugger's stop", PROGRAM, True, _NATIVE),
    signal.SIGABRT: Fault("the program gave up, often an assertion in native code", PROGRAM, True, _NATIVE),
    signal.SIGBUS: Fault(
        "the program crashed in native code, often a full /dev/shm",
        PROGRAM,
        True,
        "use fewer loader processes, or ask for a larger /dev/shm (Docker's is 64 MB)",
    ),
    signal.SIGFPE: Fault("a division by zero in native code", PROGRAM, True, _NATIVE),
    signal.SIGKILL: Fault("killed, often out of memory", PROGRAM, True, f"if the kernel did it for memory: {_MEMORY}"),
    signal.SIGSEGV: Fault("the program crashed in native code", PROGRAM, True, _NATIVE),
    signal.SIGPIPE: Fault(
        "it wrote to something that nobody reads any more", PROGRAM, True, "see which of its pipes or peers ended first"
    ),
    signal.SIGALRM: Fault("a timer of its own", PROGRAM, True, "see which timeout the program sets"),
    signal.SIGTERM: Fault(
        "told to end by somebody on its node", PROGRAM, True, "see who ended it; neither this job nor YARN did"
    ),
    signal.SIGXCPU: Fault("its limit of processor time", PROGRAM, True, "see `ulimit -t` in the task"),
    signal.SIGXFSZ: Fault("its limit of file size", PROGRAM, True, "see `ulimit -f` in the task"),
    signal.SIGSYS: Fault(
        "a system call that is forbidden here", PROGRAM, True, "the container's seccomp rules forbid it: ask for them"
    ),
}

# YARN's own statuses, org.apache.hadoop.yarn.api.records.ContainerExitStatus. The name follows "because", so to say:
# it stands before the node's words.
STATUSES: Mapping[int, Fault] = {
    -1: Fault(
        "its node refused to start it", PROGRAM, False, "ask only for what the node allows: image, network, mounts"
    ),
    -100: Fault("its container was released, or its node was lost", PLATFORM, True, _NODE),
    -101: Fault("too many disks of its node are full or broken", PLATFORM, True, _DISK),
    -102: Fault("it was preempted", PLATFORM, True, "submit to a queue with a larger guarantee"),
    -103: Fault("it used more virtual memory than it asked for", PROGRAM, False, _MEMORY),
    -104: Fault("it used more memory than it asked for", PROGRAM, False, _MEMORY),
    -105: Fault("it was stopped by the ApplicationMaster", PLATFORM, True, "see the log: `job logs JOB agent`"),
    # A node knows no -102: this is what it says of a container that was preempted.
    -106: Fault(
        "it was stopped by the ResourceManager: preempted, or its node goes out of service",
        PLATFORM,
        True,
        "submit to a queue with a larger guarantee",
    ),
    -107: Fault("it was stopped because its application ended", PLATFORM, True, "see why: `job show JOB`"),
    -108: Fault("it was stopped by its node's container scheduler", PLATFORM, True, _NODE),
    -109: Fault("its logs grew too large", PROGRAM, False, "write less to stdout and stderr"),
    -1000: Fault("its node does not say how it ended", PLATFORM, True, _NODE),
}
# What such an end is called in our events; the statuses that tell nothing more go by what else is known.
STATUS_PROBLEMS: Mapping[int, str] = {
    -1: "container-refused",
    -100: "node-lost",
    -101: "disks-failed",
    -102: "preempted",
    -103: "memory-exceeded",
    -104: "memory-exceeded",
    -105: "container-stopped",
    -106: "preempted",
    -107: "container-stopped",
    -108: "preempted",
    -109: "logs-exceeded",
}

_ENDED = Fault("nothing could be started in it", PLATFORM, True, _NODE)
_FILES = Fault(
    "its files could not be fetched or unpacked",
    STORE,
    False,
    "see that its archives are whole and still as they were at submit, and that you may read them",
)
# In a node's words about a container that it could not make ready: another try would find the same.
_FILES_SAID = (
    "not in gzip format",
    "ZipException",
    "TarException",
    "changed on src filesystem",
    "FileNotFoundException",
    "AccessControlException",
)
# Of org.apache.hadoop.fs.LocalDirAllocator. A node that has no good disk left at all refuses by -1, as it does for what
# is wrong with the job; -101 comes only when some are left.
_DISKS_SAID = ("No space available in any of the local directories", "Could not find any valid local directory")
_NODE_BROKEN = Fault("its node could not make the container's directories or rights", PLATFORM, True, _DISK)
_REFUSED = Fault("its node's rules refuse its Docker container", PROGRAM, False, _DOCKER_RULES)
# Of containers that ended before their executor registered. Codes that the executor itself may leave with (70, 73, 75,
# 76) are not here.
CONTAINERS: Mapping[int, Fault] = {
    2: Fault(
        "its node does not know the user, or its image has an ENTRYPOINT of its own",
        PROGRAM,
        False,
        "let an administrator give the user an account on the nodes; build the image with `ENTRYPOINT []`",
    ),
    **dict.fromkeys((5, 6, 20, 25, 26, 27, 28, 33, 34, 35, 36, 37, 38, 45, 46), _NODE_BROKEN),
    7: Fault(
        "its start script could not be run; with Docker, its image is often missing",
        PROGRAM,
        True,
        "see that the image's name is right and that the node may pull it",
    ),
    18: Fault("its node has no memory left to start it", PLATFORM, True, _NODE),
    22: Fault("its node's container-executor has wrong rights", PLATFORM, True, _DISK),
    24: Fault("its node's container-executor.cfg is not valid", PLATFORM, True, _DISK),
    29: Fault(
        "Docker could not run it",
        PROGRAM,
        True,
        "see that Docker runs on the node, and that image and mounts exist there",
    ),
    **dict.fromkeys((32, *range(39, 44), *range(49, 53), *range(55, 58), *range(60, 65), 71, 72, 74), _REFUSED),
    125: Fault(
        "Docker could not make the container, often because its image is missing",
        PROGRAM,
        False,
        "see that the image's name is right and that the node may pull it",
    ),
    126: Fault(
        "what starts it cannot be run there",
        PROGRAM,
        False,
        "use an image for the nodes' kind of processor, with an executable bash",
    ),
    127: Fault(
        "what starts it was not found there",
        PROGRAM,
        False,
        "see YARN's words; an image needs bash, and to be one that the nodes trust: others get no mounts",
    ),
    137: Fault("it was killed while it started", PLATFORM, True, _NODE),
    139: Fault("what starts it crashed", PROGRAM, True, "use an image for the nodes' kind of processor"),
    143: Fault("it was told to end while it started", PLATFORM, True, _NODE),
    154: Fault("its NodeManager started again and did not find it", PLATFORM, True, _NODE),
}

PROBLEMS: Mapping[str, Fault] = {
    # YARN's word, or its silence
    "memory-exceeded": Fault("it used more memory than it asked for", PROGRAM, False, _MEMORY),
    "logs-exceeded": STATUSES[-109],
    "preempted": STATUSES[-102],
    "node-lost": STATUSES[-100],
    "disks-failed": STATUSES[-101],
    "container-refused": STATUSES[-1],
    "container-stopped": Fault("YARN stopped its container", PLATFORM, True, "YARN's words are in the message"),
    "executor-lost": Fault("its container ended without a word from its executor", PLATFORM, True, _NODE),
    "task-silent": Fault(
        "nothing was heard of it any more", PLATFORM, True, "see whether the node is up and can be reached from others"
    ),
    "registration-timeout": Fault(
        "its container runs, and its executor did not register",
        PLATFORM,
        True,
        "see its log, and that nodes reach each other on ports 20000 to 31999",
    ),
    "container-ended": _ENDED,
    # the executor's word
    "command-not-found": Fault(
        "the shell did not find the command",
        PROGRAM,
        False,
        "check the task's PATH: is the program in the role's archive, in --src, or localized?",
    ),
    "command-not-executable": dataclasses.replace(EXITS[126], retry=False),
    "source-archive-broken": Fault(
        "what `--src` sent cannot be unpacked", PROGRAM, False, "submit again; the last lines name the member at fault"
    ),
    "checkpoint-fetch-failed": Fault(
        "the checkpoint could not be fetched", STORE, True, "check the path and your right to read it"
    ),
    "no-log-directory": Fault("no log directory of its container can be written to", PLATFORM, True, _DISK),
    "no-free-port": Fault(
        "no port of --port_range is free on its node", PLATFORM, True, "give a larger --port_range, or none"
    ),
    # Either the node's or the command's; counted, so that a command that is too long is not started for ever.
    "task-cannot-start": Fault(
        "the container cannot be used, or the kernel refused to start the command",
        PROGRAM,
        True,
        "shorten command and variables if they are long; else tell an administrator which node",
    ),
    "executor-bug": Fault(
        "the program that runs a task's command made an error of its own", PLATFORM, False, "please report it"
    ),
    "address-in-use": Fault(
        "another program had taken the port that it was given",
        RENDEZVOUS,
        True,
        "give a --port_range that nothing else on the nodes uses",
    ),
    "program-stalled": Fault(
        "the program wrote nothing and used no GPU for too long",
        PROGRAM,
        True,
        "its stacks are in its last lines when py-spy is on its PATH; allow it more time with --stall_timeout",
    ),
    # It would hold the same GPUs again; who asks for this wants them free.
    "gpu-idle": Fault(
        "its GPUs did nothing for too long", PROGRAM, False, "see why; allow it more time with --kill_if_gpu_idle"
    ),
    "gpu-missing": Fault("its container sees fewer GPUs than it was given", PLATFORM, True, _DISK),
}
_UNNAMED = Fault("it could not do its work", PROGRAM, True, "")

# Problems that YARN's word names; an executor may have reported the same end as the program's.
YARN_PROBLEMS = frozenset(STATUS_PROBLEMS.values()) | {"executor-lost"}
# Ends that say nothing of the host on which they came.
NOT_THE_HOST = frozenset(("preempted", "container-stopped", "address-in-use"))
# Ends by the cluster: the job's exit code is codes.LOST then, whatever the container's was.
LOST_PROBLEMS = frozenset(
    (
        "executor-lost",
        "task-silent",
        "preempted",
        "node-lost",
        "disks-failed",
        "container-stopped",
        "container-refused",
    )
)


def status_problem(code: int, said: str) -> str:
    """Return the problem's id of one of YARN's statuses (a key of STATUS_PROBLEMS) and what YARN says with it."""
    problem = STATUS_PROBLEMS[code]
    if problem == "container-refused" and any(words in said for words in _DISKS_SAID):
        return STATUS_PROBLEMS[-101]
    return problem


def of_exit(code: int) -> Fault:
    """Return what a program's exit code as a shell shows it (0..255) means."""
    if code in EXITS:
        return EXITS[code]
    if code > 128:
        try:
            number = signal.Signals(code - 128)
        except ValueError:
            return EXITS[1]
        fault = SIGNALS.get(number)
        if fault is None:
            return Fault(number.name, PROGRAM, True, "see what in the program sends it")
        return dataclasses.replace(fault, name=f"{number.name}: {fault.name}")
    return EXITS[1]


def classify(exit_: TaskExited) -> Fault:
    """Return what the end of a task means."""
    if exit_.problem == "container-ended":  # YARN's word: no executor lived that could have said it
        default = _FILES if any(words in exit_.tail for words in _FILES_SAID) else _ENDED
        return CONTAINERS.get(exit_.code, default)
    if exit_.problem:
        return PROBLEMS.get(exit_.problem, _UNNAMED)
    return of_exit(exit_.code)
