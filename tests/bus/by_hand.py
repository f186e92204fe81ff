"""The protocol without a client that would refuse to send nonsense, and a server that knows a password."""

import socket
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import msgspec

from callboard.bus import Credentials, find_binary
from callboard.bus.keys import Key

USER, PASSWORD = "them", "their-secret"


class _Info(msgspec.Struct):
    nonce: str = ""


def greeting(info: bytes, who: Credentials) -> bytes:
    """Return what a client says first, after a server has said `info`."""
    nonce = msgspec.json.decode(info.split(b"\r\n")[0].removeprefix(b"INFO "), type=_Info).nonce
    signed = Key(who.seed).answer(nonce).decode()
    shown = {"jwt": who.jwt, "sig": signed, "headers": True, "verbose": False, "pedantic": False, "no_responders": True}
    return b"CONNECT " + msgspec.json.encode(shown) + b"\r\nPING\r\n"


@asynccontextmanager
async def spoken(url: str, who: Credentials) -> AsyncGenerator[anyio.abc.SocketStream]:
    """Be connected for the time of the block."""
    async with await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        await stream.send(greeting(await stream.receive(), who))
        answer = await stream.receive()
        if answer != b"PONG\r\n":
            raise RuntimeError(f"not let in: {answer!r}")
        yield stream


@contextmanager
def server_with_password(folder: Path) -> Generator[int]:
    """Run a server that lets in who knows USER and PASSWORD; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config = folder / "password.conf"
    user = f'{{ user: "{USER}", password: "{PASSWORD}" }}'
    config.write_text(f"listen: 127.0.0.1:{port}\nauthorization {{ users: [ {user} ] }}\n", encoding="utf-8")
    with subprocess.Popen([find_binary(), "-c", config], stderr=subprocess.PIPE, cwd="/", text=True) as process:
        try:
            assert process.stderr is not None
            next(line for line in process.stderr if "Server is ready" in line)
            yield port
        finally:
            process.terminate()
