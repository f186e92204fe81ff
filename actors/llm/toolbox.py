"""The tools of one call, each run as an act of the actor: under its grant, and no further than the message is trusted.

Whatever keeps one from being run is a text for the model to read; what a tool itself raises is the handler's failure,
except PermissionDenied.
"""

import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from ..errors import PermissionDenied
from .asker import Asker
from .job import Progress
from .prompts.fence import fenced
from .request import ToolCall
from .tools import RESULT_MOST, Tool, arguments_of

_CURE: Final = (
    "what a stranger may have written was read, also any input that no prompt file declares as trusted; "
    "tool(fn, trust=0) is for that"
)


class Toolbox:
    """What a model may have done for one handler."""

    def __init__(self, asker: Asker, tools: Sequence[Tool], progress: Progress) -> None:
        self._asker, self._tools, self._progress = asker, {tool.name: tool for tool in tools}, progress

    async def run(self, call: ToolCall) -> str:
        """Return what a tool says, or why it was not run."""
        chosen = self._tools.get(call.name)
        if chosen is None:
            return f"there is no tool {call.name[:80]!r}: {', '.join(self._tools)}"
        if why := self._distrusted(chosen):
            return why
        try:
            arguments = arguments_of(chosen, call.arguments)
            self._asker.permit(chosen.name, chosen.fn, arguments)
        except PermissionDenied as error:
            return f"refused: {error.text}"
        except ValueError as error:
            return str(error)
        self._progress.doing = f"its tool {chosen.name} did not end"
        try:
            result = await self._asker.act(chosen.name, chosen.fn, arguments)
            text = msgspec.json.encode(result).decode()[:RESULT_MOST]
        except PermissionDenied as error:  # what it tried itself; all else that it raises is the handler's failure
            text = f"refused: {error.text}"
        self._progress.doing = ""
        self._asker.doubt(chosen.gives)
        return fenced("result", text, secrets.token_hex(8))

    def _distrusted(self, chosen: Tool) -> str:
        trust = self._asker.trust()
        if trust >= chosen.trust:
            return ""
        why = f"it asks for trust {chosen.trust}, and the message in hand has {trust}"
        self._asker.refused(chosen.name, f"{why}: {_CURE}")
        return f"refused: {why}"
