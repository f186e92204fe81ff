"""nats-py, imported without what it takes along where it finds it.

For websockets, which are never spoken here, it imports aiohttp if that is installed: 80 ms of each start of a cell, of
which a killed one has 300 to be back.
"""

import sys

_WEBSOCKETS = "aiohttp"


def _import() -> None:
    if _WEBSOCKETS in sys.modules:
        return  # it is there already, and costs nothing more
    sys.modules[_WEBSOCKETS] = None  # type: ignore[assignment]  # this is how an import is made to fail
    try:
        import nats.aio.client
    finally:
        del sys.modules[_WEBSOCKETS]
    del nats


_import()
