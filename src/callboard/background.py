"""Tasks that serve a block of code and end with it.

A plain task group wraps every error of its block in an ExceptionGroup. Users of ``async with Fleet(...)`` should see
the error they caused, not our scaffolding: so the block's own errors leave as they are, and only errors of the
background tasks come as a group.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def background() -> AsyncGenerator[TaskGroup, None]:
    """Yield a task group that is cancelled when the block ends, however it ends."""
    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group
            failed = error
        finally:
            tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed
