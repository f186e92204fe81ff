"""What the models of the demo's fleet did cost, as ``callboard cost`` shows it."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

WITHIN: Final = 10.0
PEER: Final = "gpt-5-mini"
"""With which model the same tokens are priced, as the one on this machine costs nothing."""


def bill(state: Path, *words: str) -> str:
    """Return what ``callboard cost`` prints."""
    command = [sys.executable, "-m", "callboard.supervisor.cli", "cost", "--state", str(state), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30.0).stdout  # noqa: S603 - ours


def wait_booked(state: Path, answers: int) -> dict[str, Any]:
    """Wait until so many answers are in the ledger, ten seconds at most; return its sum."""
    end = time.monotonic() + WITHIN
    while True:
        rows: list[dict[str, Any]] = json.loads(bill(state, "--json"))["rows"]
        if (rows and rows[0]["calls"] - rows[0]["failures"] >= answers) or time.monotonic() > end:
            return rows[0] if rows else {"calls": 0, "hits": 0, "input": 0, "output": 0}
        time.sleep(0.1)
