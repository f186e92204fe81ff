"""The parts of a streamed answer: from bytes to events, and from events to pieces. Pure."""

from collections import deque
from typing import Final

import msgspec

from ..errors import ModelDown
from ..reply import Piece, Reply, Usage
from .answer import ANSWER_MOST, NONSENSE, bad, check_end, failed, usage_of
from .where import Where

_NULL: Final = msgspec.Raw(b"null")


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_CHUNKS: Final = msgspec.json.Decoder(_Chunk)


class Events:
    """Server-sent events, cut from bytes however these were cut."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._seen = 0
        self.taken = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the events that `piece` completes."""
        self.taken += len(piece)
        self._rest += piece
        end = self._rest.rfind(b"\n", self._seen)
        self._seen = len(self._rest)
        if end < 0:
            return []
        lines, self._rest = bytes(self._rest[:end]).split(b"\n"), self._rest[end + 1 :]
        self._seen = len(self._rest)
        return [data for line in lines if (data := self._line(line.removesuffix(b"\r"))) is not None]

    def _line(self, line: bytes) -> bytes | None:
        """Take one line; return the data if it ends an event that has some. Comments and other fields are nothing."""
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        if line or not self._data:
            return None
        data, self._data = b"\n".join(self._data), []
        return data


class Gathering:
    """What a stream has said so far: each event goes in, pieces come out, and at its end what it was as a whole."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self.ready: deque[Piece] = deque()
        self._events = Events()
        self._texts: list[str] = []
        self._served = self._finish = self._refusal = ""
        self._usage: Usage | None = None
        self._chosen = False
        self.ended = False

    def feed(self, bytes_: bytes) -> None:
        """Make these bytes into pieces. Raises BadAnswer and ModelDown."""
        for data in self._events.feed(bytes_):
            if data == b"[DONE]":
                self.ended = True
                return
            self._event(data)
        if self._events.taken > ANSWER_MOST:
            raise bad(f"answered more than {ANSWER_MOST} bytes", self._where, reply=self._reply())

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: what may still come is its usage."""
        return bool(self._finish)

    def end(self) -> None:
        """Add a piece with what is known at the end. Raises BadAnswer, AnswerCut, and ModelDown if it is no end.

        Not all endpoints say ``[DONE]``, and not all say why they end: one of the two is enough.
        """
        if not self.ended and not self._finish:
            if self._chosen or not self._events.taken:
                raise self._where.error(ModelDown, "stopped in the middle of its answer", cost="unknown")
            raise bad("answered with something that is no stream", self._where)
        if not self._chosen:
            raise bad("answered without a choice", self._where, reply=self._reply())
        check_end(self._reply(), self._where, finish=self._finish, refusal=self._refusal)
        self.ready.append(Piece(finish=self._finish or "stop", usage=self._usage, served=self._served))

    def _event(self, data: bytes) -> None:
        chunk = _decoded(data)
        if isinstance(chunk, str):
            raise bad(chunk, self._where, reply=self._reply())
        if bytes(chunk.error) != b"null":
            raise failed(chunk.error, self._where)
        if chunk.model and not self._served:
            self._served = self._where.name(chunk.model)
        self._usage = usage_of(chunk.usage) or self._usage
        if chunk.choices:
            self._choice(chunk.choices[0])

    def _choice(self, choice: _Choice) -> None:
        self._chosen = True
        self._finish = choice.finish_reason or self._finish
        self._refusal += choice.delta.refusal or ""
        if text := choice.delta.content:
            self._texts.append(text)
            self.ready.append(Piece(text=text))

    def _reply(self) -> Reply:
        return Reply(text="".join(self._texts), served=self._served, usage=self._usage)


def _decoded(data: bytes) -> _Chunk | str:
    try:
        return _CHUNKS.decode(data)
    except NONSENSE as error:
        return f"streamed nonsense: {error}"
