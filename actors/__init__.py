"""The actors room: an address, a mailbox, a handler, a context.

May import the floor, the bus and the store. Decides nothing about restarts: a replica that cannot go on ends and says
why; the supervisor's room above decides.
"""

from .actor import Actor as Actor
from .context import Context as Context
from .context import Down as Down
from .discovery import Discovery as Discovery
from .door import Door as Door
from .errors import ActorStopped as ActorStopped
from .errors import BadActor as BadActor
from .errors import HandlerFailed as HandlerFailed
from .errors import PermissionDenied as PermissionDenied
from .errors import Stalled as Stalled
from .errors import WrongReply as WrongReply
from .evidence import place_of as place_of
from .evidence import stack_of as stack_of
from .flight import NO_FLIGHT as NO_FLIGHT
from .flight import Flight as Flight
from .flight import FlightReader as FlightReader
from .flight import FlightRecorder as FlightRecorder
from .flight import Owed as Owed
from .grant import EVERYTHING as EVERYTHING
from .grant import VERBS as VERBS
from .grant import Grant as Grant
from .hand import InHand as InHand
from .handlers import Handler as Handler
from .handlers import receive as receive
from .host import QUEUE as QUEUE
from .host import CellServices as CellServices
from .host import Host as Host
from .host import Row as Row
from .host import State as State
from .mailbox import Letter as Letter
from .mailbox import Mailbox as Mailbox
from .message import Message as Message
from .message import Untrusted as Untrusted
from .message import fingerprint as fingerprint
from .message import tag_of as tag_of
from .replica import Crashed as Crashed
from .replica import Replica as Replica
from .replies import Replies as Replies
from .speaking import Json as Json
from .speaking import Speaker as Speaker
from .spec import RESTARTS as RESTARTS
from .spec import ActorSpec as ActorSpec
from .spec import Health as Health
from .spec import Intensity as Intensity
from .spec import Restart as Restart
from .spec import spec_of as spec_of
from .suspects import CRASHES_MOST as CRASHES_MOST
from .suspects import PAROLE as PAROLE
from .suspects import Poisonous as Poisonous
from .suspects import Record as Record
from .suspects import Suspects as Suspects
from .suspects import digest_of as digest_of
