"""``[memory]``: by what memories are compared."""

import msgspec


class EmbedderTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which embedder, and for ``endpoint`` where it is; the other fields are for that one alone."""

    embedder: str = "static"
    """``static``: with each installation. ``minilm``: better, fetched. ``hash``: for tests. ``endpoint``: by `url`."""
    url: str = ""
    """Where the API begins: its ``/embeddings`` is asked."""
    model: str = ""
    dimensions: int = 0
    """How many numbers a vector of that model has."""
    shorten: bool = False
    """Whether to ask the model for vectors of that length, for models that can."""
    key_file: str = ""
    """A file, readable by its owner alone, with the key: never the key itself."""
    key_env: str = ""
    """Instead of a file: the name of the variable that holds the key."""
    timeout: float = 10.0
    """Seconds for one call in all."""
