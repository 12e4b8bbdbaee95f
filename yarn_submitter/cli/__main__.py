"""`python -m yarn_submitter.cli` is `job`."""

import sys

from yarn_submitter.cli import main

sys.exit(main())
