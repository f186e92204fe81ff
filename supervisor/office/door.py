"""The part of the supervisor actor that hears what people ask about money."""

from callboard.actors import Context, receive
from callboard.actors.llm import NoModels
from callboard.names import OFFICE

from ..hearing import Hearing
from .messages import Costs, ShowCosts

LOOK_WITHIN = 30.0


class OfficeDoor(Hearing):
    """Handlers of :class:`~..service.Supervisor`."""

    @receive
    async def costs(self, message: ShowCosts, ctx: Context) -> Costs:
        """Show what models did cost."""
        self.hear_owner(ctx)
        if not self.options.config.llm.on:
            raise NoModels("this fleet asks no models: it has no [llm]")
        return await self.options.voice.ask(OFFICE, message, timeout=LOOK_WITHIN, reply=Costs)
