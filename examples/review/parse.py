"""Python source to a syntax tree, or the reason why there is none.

The source is hostile: besides wrong syntax it may be nested so deeply that the parser, or a later pass of the
compiler, gives up with RecursionError or MemoryError. Runs in a worker process, never on an event loop: the
parser holds the interpreter for as long as it takes.
"""

import ast
import sys
import warnings
from typing import Final

import msgspec

VERSION: Final = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_TOO_DEEP: Final = "it is nested too deeply"


class Unparsable(msgspec.Struct, frozen=True):
    """Why there is no tree, and the line it was seen in (1 if unknown)."""

    why: str
    line: int


def parse(source: bytes) -> ast.Module | Unparsable:
    """Return the tree of `source` if this Python can compile it. Not thread-safe: it silences warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
            compile(tree, "source", "exec", dont_inherit=True)
        except SyntaxError as error:
            return Unparsable(error.msg, max(1, error.lineno or 1))
        except (RecursionError, MemoryError):
            return Unparsable(_TOO_DEEP, 1)
        except ValueError as error:  # null bytes, in some versions; surrogates in names
            return Unparsable(str(error), 1)
    return tree
