"""The directories that users expect on a fresh HDFS, made over WebHDFS: no JVM is started for it.

Requests: https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

from yarn_submitter.errors import Problem, UnreachableError

TIMEOUT_S = 10.0
# Everybody's, with the sticky bit: temporary files, aggregated logs, and the root of what jobs stage.
SHARED = ("/tmp", "/tmp/logs", "/yarn-submitter")  # noqa: S108 - a path on HDFS


def make_directories(nn_http: str, user: str) -> None:
    """Make /tmp, /tmp/logs and /yarn-submitter (1777), /user and the user's own directory.

    Args:
        nn_http: host:port of the NameNode's web server.
        user: The superuser, who started the NameNode.

    Raises:
        UnreachableError: The NameNode refuses or does not answer.
    """
    for path in SHARED:
        _put(nn_http, user, path, "MKDIRS", {"permission": "1777"})
        _put(nn_http, user, path, "SETPERMISSION", {"permission": "1777"})
    _put(nn_http, user, "/user", "MKDIRS", {"permission": "755"})
    _put(nn_http, user, f"/user/{user}", "MKDIRS", {"permission": "755"})


def _put(nn_http: str, user: str, path: str, operation: str, arguments: dict[str, str]) -> None:
    import urllib3

    query = urlencode({"op": operation, "user.name": user, **arguments})
    url = f"http://{nn_http}/webhdfs/v1{quote(path)}?{query}"
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S) as pool:
            answer = pool.request("PUT", url)
            evidence = "" if answer.status == 200 else _message(answer.data)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        evidence = str(error)
    if evidence:
        raise UnreachableError(
            Problem(
                "sandbox-hdfs",
                f"The sandbox's NameNode does not make {path}.",
                evidence,
                "job sandbox status",
            )
        )


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["RemoteException"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:500] or "an empty answer"
