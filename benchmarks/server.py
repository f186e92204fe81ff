"""The server that all sides share: the settings of a fleet's own, but one login, which the peers' clients can use."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from callboard.bus import find_binary
from callboard.bus.ports import LOOPBACK, is_free, pick_ports
from callboard.guardian import Guardian

LISTENS_WITHIN: Final = 10.0
_CONFIG: Final = """\
listen: "{host}:{port}"
max_payload: 1048576
ping_interval: "5s"
ping_max: 2
write_deadline: "10s"
jetstream {{
    store_dir: "{folder}"
    sync_interval: always
}}
authorization {{ users: [ {{ user: bench, password: "{password}" }} ] }}
"""


@asynccontextmanager
async def shared_server(guardian: Guardian) -> AsyncIterator[str]:
    """Run it for the time of the block; yield its URL with the login in it."""
    port, password = pick_ports().client, secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        config = anyio.Path(folder) / "nats.conf"
        await config.touch(mode=0o600)
        await config.write_text(_CONFIG.format(host=LOOPBACK, port=port, folder=folder, password=password))
        async with await anyio.open_process([str(find_binary()), "-c", str(Path(config))], stderr=None) as process:
            guardian.add(process.pid, stage=1, name="the server of a benchmark")
            try:
                with anyio.fail_after(LISTENS_WITHIN):
                    while is_free(port):  # noqa: ASYNC110 - another process, which tells nobody
                        await anyio.sleep(0.01)
                yield f"nats://bench:{password}@{LOOPBACK}:{port}"
            finally:
                process.terminate()
                await process.wait()
                guardian.remove(process.pid)
