"""The long form, led by coverage: ``python -m tests.fuzz NAME SECONDS``, or ``make fuzz`` for all; needs atheris."""

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # pyright: ignore  # only where .venv-fuzz is

from tests.fuzz.targets import SEEDS, TARGETS

atheris.instrument_all()  # pyright: ignore[reportAttributeAccessIssue]  # the same


def main() -> None:
    """Fuzz one target for so many seconds; a finding ends it with its input in ``crash-…``."""
    name, seconds = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS[name]):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup(["fuzz", folder, f"-max_total_time={seconds}", "-max_len=4096"], TARGETS[name])
        atheris.Fuzz()


main()
