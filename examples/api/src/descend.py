"""Fits a line through the origin by gradient descent; exits with 3 when the step size makes it diverge."""

from __future__ import annotations

import argparse
import json
import sys

POINTS = [(x / 10, 2.5 * x / 10) for x in range(-10, 11)]


def main() -> int:
    """Return 0, or 3 when the descent diverges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step_size", type=float, required=True)
    step_size = parser.parse_args().step_size
    slope, first = 0.0, None
    for step in range(50):
        errors = [(x, slope * x - y) for x, y in POINTS]
        loss = sum(error * error for _, error in errors) / len(errors)
        first = loss if first is None else first
        if loss > 10 * first:
            print(f"step size {step_size:g} diverges at step {step}", file=sys.stderr)
            return 3
        slope -= step_size * sum(2 * x * error for x, error in errors) / len(errors)
    print(json.dumps({"loss": loss, "slope": slope}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
