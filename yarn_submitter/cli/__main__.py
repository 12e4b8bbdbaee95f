"""`python -m yarn_submitter.cli` is `job`."""

import sys

from yarn_submitter.cli import main

if __name__ == "__main__":
    sys.exit(main())
