"""Models behind an API: the only room that imports ``openai``, and that at the first call.

It promises: each call ends within its own time; nothing is tried twice behind the caller's back; a key is in no
setting, no text and no error; and what a model answers is checked before anybody trusts it.
"""

from .embeddings import EndpointEmbedder
from .errors import BadModelKey
from .key import read_key

__all__ = ["BadModelKey", "EndpointEmbedder", "read_key"]
