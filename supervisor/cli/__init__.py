"""``callboard``: one command, verbs that read like sentences. What is heavy is imported inside the verbs."""

from .main import main as main
