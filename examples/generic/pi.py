"""Two roles that talk to each other, in plain Python: workers throw darts at a circle, the server adds up to pi.

Nothing here knows YARN. Where the others are stands in YARN_SUBMITTER_TOPOLOGY, {"server": ["host:port"], "worker":
["host:port", ...]}; who this task is, in YARN_SUBMITTER_ROLE and YARN_SUBMITTER_INDEX. What the server leaves in
OUTPUT_DIR is carried to HDFS.
"""

import argparse
import json
import os
import random
import socket
import time

CONNECT_S = 60  # all tasks start together, but the server may listen a moment later than a worker calls


def main() -> None:
    """Do what this task's role says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--darts", type=int, default=200_000, help="thrown by each worker")
    options = parser.parse_args()
    topology = json.loads(os.environ["YARN_SUBMITTER_TOPOLOGY"])
    role, index = os.environ["YARN_SUBMITTER_ROLE"], int(os.environ["YARN_SUBMITTER_INDEX"])
    host, port = topology["server"][0].rsplit(":", 1)
    if role == "server":
        serve(int(port), len(topology["worker"]))
    else:
        work(host, int(port), index, options.darts)


def serve(port: int, workers: int) -> None:
    """Take one line of JSON from each worker, and leave pi.json."""
    counts = {}
    with socket.create_server(("", port)) as listener:
        print(f"server listens on port {port}, waits for {workers} workers", flush=True)
        while len(counts) < workers:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw", encoding="utf-8") as stream:
                found = json.loads(stream.readline())
                counts[found["worker"]] = found
                stream.write("thanks\n")
            print(f"worker {found['worker']}: {found['inside']} of {found['darts']} inside", flush=True)
    inside = sum(found["inside"] for found in counts.values())
    darts = sum(found["darts"] for found in counts.values())
    result = {"pi": 4 * inside / darts, "darts": darts, "workers": workers}
    with open(os.path.join(os.environ["OUTPUT_DIR"], "pi.json"), "w", encoding="utf-8") as file:
        json.dump(result, file)
    print(f"pi is about {result['pi']:.4f}", flush=True)


def work(host: str, port: int, index: int, darts: int) -> None:
    """Throw the darts, tell the server how many fell into the circle."""
    dice = random.Random(index)  # noqa: S311 (darts, no secrets; each worker throws its own)
    inside = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(darts))
    with connect(host, port) as connection, connection.makefile("rw", encoding="utf-8") as stream:
        stream.write(json.dumps({"worker": index, "inside": inside, "darts": darts}) + "\n")
        stream.flush()
        print(
            f"worker {index}: {inside} of {darts} inside; the server at {host}:{port} says {stream.readline().strip()}"
        )


def connect(host: str, port: int) -> socket.socket:
    """Return a connection to the server, as soon as it listens."""
    deadline = time.monotonic() + CONNECT_S
    while True:
        try:
            return socket.create_connection((host, port), timeout=10)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
