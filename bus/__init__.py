"""The bus room: carry an envelope from here to there, now, or say at once that it cannot be done.

May import the floor and the ``nats`` package (nobody else may). Knows subjects and bytes, not actors' types. Promises
are written in :mod:`.interface`, the wire format in docs/adr/0002-wire.md.
"""

from . import subjects as subjects
from .codec import FRAME_MOST as FRAME_MOST
from .codec import check_size as check_size
from .codec import decode_body as decode_body
from .codec import encode as encode
from .codec import error_body as error_body
from .codec import is_bare as is_bare
from .codec import join as join
from .codec import refuse as refuse
from .codec import split as split
from .connection import Connection as Connection
from .connection import ConnectOptions as ConnectOptions
from .connection import connect as connect
from .endpoint import Endpoint as Endpoint
from .envelope import EMPTY as EMPTY
from .envelope import VERSION as VERSION
from .envelope import CreditBody as CreditBody
from .envelope import Envelope as Envelope
from .envelope import ErrorBody as ErrorBody
from .envelope import Format as Format
from .envelope import Kind as Kind
from .envelope import NoticeBody as NoticeBody
from .envelope import StatusBody as StatusBody
from .envelope import Trust as Trust
from .errors import ActorDied as ActorDied
from .errors import BusClosed as BusClosed
from .errors import BusUnavailable as BusUnavailable
from .errors import DeadlineExceeded as DeadlineExceeded
from .errors import Held as Held
from .errors import InvalidSubject as InvalidSubject
from .errors import LeaseHeld as LeaseHeld
from .errors import MailboxFull as MailboxFull
from .errors import MessageRefused as MessageRefused
from .errors import MessageTooLarge as MessageTooLarge
from .errors import NoLeases as NoLeases
from .errors import NoSuchActor as NoSuchActor
from .errors import PortTaken as PortTaken
from .errors import ServerFailed as ServerFailed
from .errors import ServerMissing as ServerMissing
from .errors import held_error as held_error
from .interface import Bus as Bus
from .interface import BusStatistics as BusStatistics
from .interface import Receiver as Receiver
from .interface import Subscription as Subscription
from .interface import is_inbox as is_inbox
from .lease import Holder as Holder
from .lease import Lease as Lease
from .memory import Faults as Faults
from .memory import MemoryBroker as MemoryBroker
from .memory import MemoryBus as MemoryBus
from .roll_call import RollCall as RollCall
from .server import NatsServer as NatsServer
from .server_process import find_binary as find_binary
