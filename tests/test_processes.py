"""A process is known by its number and its beginning."""

import os
import subprocess

from callboard.processes import began


def test_a_living_process_keeps_its_beginning() -> None:
    assert began(os.getpid()) == began(os.getpid()) != 0


def test_a_process_that_is_gone_has_no_beginning() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert began(gone.pid) is None
