"""llama.cpp's own server, with its threads, in this process: on loopback, behind a key that is made for its life.

Two things about the package shape this module. Its constructor and its destructor hold the interpreter, about half a
second for the one; so files are read before, and clients are gone before. And its destructor waits for each client that
is being answered, for ever if need be; so clients are hung up on first, also when the interpreter ends.

A client that hangs up frees its slot at its next token if it asked for a stream. Without one the server looks only in
a second in which no slot has said anything: on a busy server that is never. So clients should ask for streams.
"""

import secrets
import time
import weakref
from pathlib import Path
from typing import Any, Final

import msgspec

from callboard.printable import printable

from .connections import shut
from .errors import ModelServerAbsent, ModelServerFailed

HOST: Final = "127.0.0.1"
_READY_WITHIN: Final = 30.0
_END_WITHIN: Final = 8.0
"""Two are enough; beyond this the server is destroyed with its clients, and waits for them."""
_LOOK_AGAIN: Final = 0.02
_CACHE_MIB: Final = 256
"""For prompts that were read before; the server's own default is 8 GiB."""
_BATCH: Final = 256
"""Tokens of a prompt that are read in one go, which nothing can interrupt: below a second on one core."""
_WAITING_MOST: Final = 64
"""Requests that may wait for a slot, each in a thread of the server; more wait unread."""
_OK: Final = 200
_SILENT: Final = 0
"""The server's level of speech on the standard error: at the next one it calls each orderly end an error."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How much a server may take on."""

    context: int
    """Tokens in all slots together."""
    slots: int
    """Requests that are answered at once."""
    threads: int
    """Threads that compute; 0: as many as there are cores."""


class Engine:
    """A running server for one model. All of it blocks: use it from a thread."""

    def __init__(self, weights: Path, *, name: str, shape: Shape) -> None:
        """Load `weights` and serve them as the model `name`. Raises ModelServerAbsent, ModelServerFailed."""
        self.key: Final = secrets.token_hex(16)
        server = _start(weights, name, shape, self.key)
        self.port: Final = int(str(server.listening_address).rpartition(":")[2])
        self._running = [server]
        self.end: Final = weakref.finalize(self, _end, self._running, self.port)
        """End the server and give its memory back; the second time nothing happens. Runs by itself when the engine is
        dropped, and when the interpreter ends."""
        _wait_ready(self.port)

    @property
    def url(self) -> str:
        """Where clients of OpenAI's API find it."""
        return f"http://{HOST}:{self.port}/v1"


def _start(weights: Path, name: str, shape: Shape, key: str) -> Any:
    try:
        import xllamacpp  # pyright: ignore[reportMissingTypeStubs]  # it has none
    except ImportError as error:
        raise ModelServerAbsent(f"no language model can run here: pip install 'callboard[local]' ({error})") from error
    package: Any = xllamacpp
    try:
        return package.Server(_settings(package, weights, name, shape, key))
    except (AttributeError, TypeError) as error:
        raise ModelServerAbsent(f"xllamacpp is another release: pip install 'callboard[local]' ({error})") from error
    except (RuntimeError, ValueError, OSError) as error:
        size = f"{shape.context} tokens in {shape.slots} slots"
        raise ModelServerFailed(
            f"{weights} cannot be loaded, with {size}: {printable(str(error))[:300]}", model=name
        ) from error


def _settings(package: Any, weights: Path, name: str, shape: Shape, key: str) -> Any:
    wish = package.CommonParams()
    wish.model.path, wish.model_alias = str(weights), {name}
    wish.hostnames, wish.port, wish.api_keys = [HOST], 0, [key]
    wish.n_ctx, wish.n_parallel, wish.n_predict = shape.context, shape.slots, shape.context // shape.slots
    if shape.threads:
        wish.cpuparams.n_threads = wish.cpuparams_batch.n_threads = shape.threads
    wish.n_threads_http, wish.cache_ram_mib, wish.verbosity = shape.slots + _WAITING_MOST, _CACHE_MIB, _SILENT
    wish.n_batch = wish.n_ubatch = _BATCH
    wish.ui = wish.endpoint_slots = False
    wish.warmup = wish.fit_params = False  # neither is worth the time in which the interpreter stands still
    return wish


def _wait_ready(port: int) -> None:
    until = time.monotonic() + _READY_WITHIN
    while not _is_ready(port):
        if time.monotonic() > until:
            raise ModelServerFailed(f"the server on port {port} was not ready within {_READY_WITHIN:.0f} s", port=port)
        time.sleep(_LOOK_AGAIN)


def _is_ready(port: int) -> bool:
    import http.client  # not in each process that only looks for a model's files

    asked = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        asked.request("GET", "/health")
        return asked.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def _end(running: list[Any], port: int) -> None:
    """Hang up on all clients, and wait until the server has seen it, before it is destroyed."""
    until = time.monotonic() + _END_WITHIN
    while shut(port) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN)
    running.clear()
