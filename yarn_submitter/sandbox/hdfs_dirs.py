"""The directories that users expect on a fresh HDFS, made over WebHDFS: no JVM is started for it.

Requests: https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from yarn_submitter.errors import Problem, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 10.0
# Everybody's, with the sticky bit: temporary files, aggregated logs, and the root of what jobs stage.
SHARED = ("/tmp", "/tmp/logs", "/yarn-submitter")  # noqa: S108 - a path on HDFS


def make_directories(nn_http: str, user: str) -> None:
    """Make /tmp, /tmp/logs and /yarn-submitter (1777), /user and the user's own directory, unless they were made.

    The user's own is made last: where it is nothing is changed.

    Args:
        nn_http: host:port of the NameNode's web server.
        user: The superuser, who started the NameNode.

    Raises:
        UnreachableError: The NameNode refuses or does not answer.
    """
    home = f"/user/{user}"
    if _ask("GET", nn_http, user, home, "GETFILESTATUS", {})[0] == HTTPStatus.OK:
        return
    for path in SHARED:
        _put(nn_http, user, path, "MKDIRS", {"permission": "1777"})
        _put(nn_http, user, path, "SETPERMISSION", {"permission": "1777"})
    _put(nn_http, user, "/user", "MKDIRS", {"permission": "755"})
    _put(nn_http, user, home, "MKDIRS", {"permission": "755"})


def _put(nn_http: str, user: str, path: str, operation: str, arguments: dict[str, str]) -> None:
    status, said = _ask("PUT", nn_http, user, path, operation, arguments)
    if status != HTTPStatus.OK:
        sentence = f"The sandbox's NameNode does not make {path}."
        raise UnreachableError(
            Problem("sandbox-hdfs", sentence, said, "run the command again: it makes what is missing")
        )


def _ask(
    method: str, nn_http: str, user: str, path: str, operation: str, arguments: Mapping[str, str]
) -> tuple[int, str]:
    """Return the status and what was said when it is not 200; status 0 when there is no answer."""
    import urllib3

    query = urlencode({"op": operation, "user.name": user, **arguments})
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S) as pool:
            answer = pool.request(method, f"http://{nn_http}/webhdfs/v1{quote(path)}?{query}")
            return answer.status, "" if answer.status == HTTPStatus.OK else _message(answer.data)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return 0, str(error)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["RemoteException"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:500] or "an empty answer"
