"""Raw Skein, as somebody would write it: submit one service, wait for its end. The yardstick of first_job.py.

python skein_client.py driver                              a driver; prints its address; ends with its standard input
python skein_client.py run ADDRESS N COMMAND [FILE...]     N containers; ADDRESS `cold`: with a driver of its own
"""

from __future__ import annotations

import sys
import time

import skein


def main(words: list[str]) -> int:
    """Return 0 when the application succeeded."""
    if words[0] == "driver":
        with skein.Client(log=False) as client:
            print(client.address, flush=True)
            sys.stdin.read()
        return 0
    address, count, command, *files = words[1:]
    service = skein.Service(
        instances=int(count),
        resources=skein.Resources(memory="128 MiB", vcores=1),
        files={file.rpartition("/")[2]: skein.File(source=file) for file in files},
        script=command,
    )
    with skein.Client(address=None if address == "cold" else address, log=False) as client:
        application = client.submit(skein.ApplicationSpec(name="raw-skein", services={"w": service}))
        print(application, flush=True)
        while True:
            report = client.application_report(application)
            if str(report.final_status) != "UNDEFINED":
                print(report.final_status, flush=True)
                return 0 if str(report.final_status) == "SUCCEEDED" else 1
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
