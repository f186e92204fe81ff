"""A model for tests: a real HTTP server that says what the test wrote down, and fails as it was told to.

Public as ``callboard.testing.ScriptedModel``. It shares nothing with the client that it tests but the values of
``request.py`` and ``reply.py``.
"""

from .model import ScriptedModel

__all__ = ["ScriptedModel"]
