"""An answer that is told piece by piece."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
import msgspec

from .asker import Asker
from .calls.attempt import Attempt
from .calls.caller import StepDown
from .calls.route import Route, parts_of
from .calls.trying import was_late
from .errors import BadAnswer, ModelFailed
from .job import WAIT_GRACE, Job, late
from .minds import Minds
from .request import Request

if TYPE_CHECKING:
    from .door.stream import ModelStream
    from .reply import Piece


class TextStream:
    """Pieces of text, inside ``async with``. Another model is asked only as long as nothing was told."""

    def __init__(self, minds: Minds, asker: Asker, job: Job, request: Request) -> None:
        self._minds, self._asker, self._job, self._request = minds, asker, job, request
        self._stack = AsyncExitStack()
        self._caller = minds.caller
        self._attempt: Attempt
        self._pieces: ModelStream
        self._finished = False
        self._broken: BaseException | None = None
        """What the stream itself raised."""

    async def __aenter__(self) -> "TextStream":
        left = self._job.end - self._minds.clock.monotonic()
        self._stack.enter_context(self._asker.waiting(f"model {self._job.model}", max(left, 0.0) + WAIT_GRACE))
        try:
            with anyio.fail_after(max(left, 0.0)):  # it is over before the first piece: nothing is open across a yield
                await self._begin()
        except TimeoutError:
            await self._stack.__aexit__(None, None, None)
            raise late(self._job) from None
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _begin(self) -> None:
        try:
            await self._begin_with(step_down=False)
        except StepDown:
            await self._begin_with(step_down=True)

    async def _begin_with(self, *, step_down: bool) -> None:
        failed: Exception | None = None
        for route, part in parts_of(self._caller.routes(self._job, step_down=step_down)):
            try:
                opened = await self._opened(route, part=part, may_step_down=not step_down)
                await self._stack.enter_async_context(opened)
            except (ModelFailed, BadAnswer) as error:
                failed = failed if failed and was_late(error) else error
            else:
                return
        if failed is not None:
            raise failed

    async def _opened(self, route: Route, *, part: float, may_step_down: bool) -> AsyncExitStack:
        """Return what ends the stream of one route, its attempt settled; the stream itself has begun."""
        async with AsyncExitStack() as opening:
            attempt = await opening.enter_async_context(
                self._caller.attempt(self._job, route, self._request, part=part, may_step_down=may_step_down)
            )
            stream = await self._caller.stream(attempt)
            self._pieces = await opening.enter_async_context(stream)
            self._attempt = attempt
            return opening.pop_all()

    async def __aiter__(self) -> AsyncIterator[str]:
        attempt = self._attempt
        while (piece := await self._next()) is not None:
            attempt.take(piece.usage, piece.served)
            self._finished = self._finished or bool(piece.finish)
            if piece.text:
                if not attempt.first:
                    attempt.first = max(self._minds.clock.monotonic() - attempt.began, 1e-6)
                yield piece.text

    async def _next(self) -> "Piece | None":
        try:
            return await anext(aiter(self._pieces), None)
        except BaseException as error:
            self._broken = error
            if isinstance(error, BadAnswer):
                self._attempt.take_reply(error.reply)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if error is not None and error is self._broken:
            return await self._stack.__aexit__(kind, error, traceback)
        # Whatever else ends the block is not the endpoint's doing: the stream was read to its end, or left.
        await self._stack.__aexit__(None, None, None)
        how = "ok" if self._finished else "cancelled"
        self._minds.record(msgspec.structs.replace(self._attempt.entry(self._minds.clock), how=how))
        return None
