"""Start of the executor: what it finds in its container, then one session."""

from __future__ import annotations

import os
import sys
import time
import typing

from am.contract import codes, job, wire
from am.executor.happenings import say
from am.executor.preparation import Place
from am.executor.session import Session


def main(arguments: typing.Optional[typing.Sequence[str]] = None) -> int:
    """Be the executor of one task.

    Args:
        arguments: The role; sys.argv's when None.

    Returns:
        The exit code of the container.
    """
    started_s = time.time()
    role = (sys.argv[1:] if arguments is None else list(arguments))[0]
    directory = os.getcwd()
    environment = {name: value for name, value in os.environ.items() if name != job.OWN_PYTHON}
    try:
        plan = job.JobPlan.from_text(_read(job.JOB_FILE))
        plan.role(role)
        token = wire.task_token(_read(job.SECRET_FILE).strip())
        agent_host = environment["SKEIN_APPMASTER_ADDRESS"].rpartition(":")[0]
        certificate = os.path.join(directory, job.CERTIFICATE_FILE)
        session = Session(plan, Place(role, directory, agent_host, certificate, token, environment, started_s))
    except OSError as error:
        say(f"A file of the job is missing in the container: {error}.")
        return codes.LOST
    except (ValueError, KeyError) as error:
        say(f"The container was not set up by a yarn-submitter of this version: {error}.")
        return codes.BUG
    return session.run()


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
