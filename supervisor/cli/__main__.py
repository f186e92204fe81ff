"""``python -m callboard.supervisor.cli``: the command, where its script is not on the path."""

from .main import main

main(prog_name="callboard")
