"""Actors that were spawned by actors: who may be a child, and who is whose."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from callboard.actors import Actor, ActorSpec, BadActor, Grant, Host, PermissionDenied, spec_of

from .reserved import is_reserved

CHILDREN_MOST: Final = 10_000


class Family:
    """Parents and children among the `hosts` of one cell; `homes` are the names that the fleet file has given."""

    def __init__(self, hosts: Mapping[str, Host], homes: Mapping[str, str], cell: str) -> None:
        self._hosts, self._homes, self._cell = hosts, homes, cell

    def children(self, parent: str) -> Iterator[Host]:
        """Return the children of an actor that are here now."""
        return iter([host for host in self._hosts.values() if host.parent == parent])

    def admit(self, parent: Host, actor: type[Actor], *, name: str, may: Grant | None) -> ActorSpec | None:
        """Return the spec of a child to be, or None if it is there already; raise BadActor, PermissionDenied."""
        known = self._hosts.get(name)
        if known is not None and known.parent == parent.name and known.spec.actor is actor:
            return None
        if known is not None or name in self._homes or is_reserved(name):
            raise BadActor(f"{parent.name} cannot spawn {name!r}: the name is taken", actor=parent.name)
        if len(self._hosts) >= CHILDREN_MOST:
            raise BadActor(f"cell {self._cell} has {CHILDREN_MOST} actors: the limit", cell=self._cell)
        if actor.table.kept:
            raise BadActor(f"{actor.__qualname__} has durable topics: only an actor of the fleet file can", actor=name)
        granted = actor.may if may is None else may
        _check_subset(parent, name, granted)
        return msgspec.structs.replace(spec_of(actor, cell=self._cell), name=name, may=granted)


def _check_subset(parent: Host, name: str, granted: Grant) -> None:
    if (excess := granted.excess(parent.grant)) is not None:
        verb, target = excess
        text = f"{parent.name} cannot let {name} {verb} {target!r}: it may not do so itself"
        raise PermissionDenied(text, actor=parent.name, verb=verb, name=target)
