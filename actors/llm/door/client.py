"""The door to one endpoint of models: one request, one answer, one deadline, and no second try."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from callboard.errors import CallboardError

from ..errors import BadModelRequest
from ..reply import Reply
from ..request import Request
from ..tables import EndpointTable
from .answer import ANSWER_MOST, check_plain, checked
from .body import body_of
from .guarded import guarded
from .opened import Opener, read_most
from .said import place
from .stream import ModelStream
from .tools_by_schema import from_schema, to_schema
from .where import Where


class ModelClient:
    """Asks the models of one endpoint. What is worth another try, and what it may cost, others decide.

    Each error says in its detail which endpoint and model, and whether the call may have cost something.
    """

    def __init__(self, table: EndpointTable, *, key: str) -> None:
        self._table, self._key = table, key
        self._host = place(table.url)
        self._opener = Opener(table.url, key)

    async def ask(self, request: Request, *, within: float) -> Reply:
        """Return the whole answer, at most `within` seconds from now.

        Raises BadModelKey, UnknownModelName, ContextTooLong, BadModelRequest, ModelBusy, ModelDown, ModelStalled,
        BadAnswer and AnswerCut.
        """
        try:
            return await self._whole(request, within)
        except CallboardError as error:
            failure = error.with_traceback(None)  # its frames hold what came, and some endpoints repeat the key
        raise failure

    def stream(self, request: Request, *, within: float, idle: float) -> ModelStream:
        """Return an answer to read piece by piece, within `within` seconds and with no silence longer than `idle`.

        Only of text: a call of a tool is acted on as a whole. Raises BadModelRequest where there are tools; the
        stream raises what :meth:`ask` does.
        """
        where = self._where(request)
        if request.tools:
            raise where.error(BadModelRequest, "is not asked for tools in a stream: ask for the whole", cost="nothing")
        return ModelStream(lambda: self._sent(request, stream=True), where, within=within, idle=idle)

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._opener.aclose()

    @property
    def in_use(self) -> int:
        """Connections on which a call is under way: for tests, which look here for what is left behind."""
        return self._opener.in_use

    async def _whole(self, request: Request, within: float) -> Reply:
        where, by_schema = self._where(request), bool(request.tools) and self._table.tools == "schema"
        asked = to_schema(request) if by_schema else request
        content = bytearray()
        late = f"did not answer within {within:g} s"
        await guarded(lambda: self._read(asked, content, where), where, seconds=within, late=late)
        reply = checked(bytes(content), where)
        return from_schema(reply, request, where) if by_schema else reply

    def _where(self, request: Request) -> Where:
        return Where(self._table.name, self._host, model=request.model, key=self._key)

    async def _sent(self, request: Request, *, stream: bool) -> AbstractAsyncContextManager[Any]:
        client = await self._opener.client()
        body = body_of(request, self._table, stream=stream)
        # All of the body goes by the side door: the front one copies each message field by field.
        found: AbstractAsyncContextManager[Any] = client.chat.completions.with_streaming_response.create(
            model=body.pop("model"), messages=[], extra_body=body, extra_headers={"Accept-Encoding": "identity"}
        )
        return found

    async def _read(self, request: Request, content: bytearray, where: Where) -> None:
        async with await self._sent(request, stream=False) as response:
            check_plain(response.headers, where)
            await read_most(response.http_response.aiter_raw(), content, most=ANSWER_MOST)
