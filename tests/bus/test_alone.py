"""What nats-py takes along without need costs a start nothing, and who wants it still has it."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import callboard.bus
print("aiohttp" in sys.modules)
import aiohttp
print(aiohttp.here)
"""


def test_aiohttp_is_not_imported_with_us_and_can_be_after_us(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text("here = True\n", encoding="utf-8")
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["False", "True"]
