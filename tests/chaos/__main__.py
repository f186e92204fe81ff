"""``make chaos``: the long run. ``python -m tests.chaos --seconds 600 --seed 7``."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import anyio

from .run import chaos


def main() -> None:
    """Run, print the ledger, and exit 1 if it does not come out even."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=600.0, help="of harm (default 600)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed, the same harm")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="callboard-chaos-") as folder:
        wrong, ledger = anyio.run(lambda: chaos(Path(folder), seconds=options.seconds, seed=options.seed, say=say))
    print("\n".join(["", *ledger, "", *(wrong or ["the ledger comes out even"])]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
