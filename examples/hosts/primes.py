"""Two roles that find each other in a file of hosts, in plain Python: a leader has counters count primes.

HOSTS_FILE has a line for each task of the job, `host:port role index`; JOB_NAME and TASK_INDEX say which of them this
task is. The leader calls every counter, hands out ranges of numbers one after the other, and adds up. What it leaves in
OUTPUT_DIR is carried to HDFS.
"""

import argparse
import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections import Counter

CONNECT_S = 60  # all tasks start together, but a counter may listen a moment later than the leader calls
PIECE = 10_000


def main() -> None:
    """Do what this task's role says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--below", type=int, default=200_000, help="count the primes below this number")
    options = parser.parse_args()
    hosts = read_hosts(os.environ["HOSTS_FILE"])
    role, index = os.environ["JOB_NAME"], int(os.environ["TASK_INDEX"])
    if role == "leader":
        lead({place: number for (name, number), place in hosts.items() if name == "counter"}, options.below)
    else:
        count(hosts[role, index][1])


def read_hosts(path: str) -> dict[tuple[str, int], tuple[str, int]]:
    """Return (role, index) -> (host, port)."""
    hosts = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            address, role, index = line.split()
            host, _, port = address.rpartition(":")
            hosts[role, int(index)] = (host, int(port))
    return hosts


def lead(counters: dict[tuple[str, int], int], below: int) -> None:
    """Hand out ranges to all counters at once, and leave primes.json."""
    ranges: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    for start in range(0, below, PIECE):
        ranges.put((start, min(start + PIECE, below)))
    pieces: Counter[int] = Counter()
    found: list[int] = []

    def talk(place: tuple[str, int], number: int) -> None:
        with contextlib.suppress(queue.Empty), connect(*place) as connection, connection.makefile("rw") as stream:
            while True:
                stream.write(json.dumps(ranges.get_nowait()) + "\n")
                stream.flush()
                found.append(json.loads(stream.readline()))
                pieces[number] += 1

    threads = [threading.Thread(target=talk, args=item) for item in counters.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sum(pieces.values()) * PIECE < below:
        raise SystemExit("a counter went away before it had answered")
    for number in sorted(pieces):
        print(f"counter {number} did {pieces[number]} ranges", flush=True)
    with open(os.path.join(os.environ["OUTPUT_DIR"], "primes.json"), "w", encoding="utf-8") as file:
        json.dump({"primes": sum(found), "below": below, "counters": len(counters)}, file)
    print(f"{sum(found)} primes below {below}", flush=True)


def count(port: int) -> None:
    """Answer each range with the number of primes in it, until the leader hangs up."""
    with socket.create_server(("", port)) as listener:
        print(f"listens on port {port}", flush=True)
        connection, _ = listener.accept()
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        for line in stream:
            start, end = json.loads(line)
            stream.write(f"{sum(map(is_prime, range(start, end)))}\n")
            stream.flush()


def is_prime(number: int) -> bool:
    """Return whether a number is a prime, by trying all divisors up to its root."""
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def connect(host: str, port: int) -> socket.socket:
    """Return a connection to a counter, as soon as it listens."""
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
