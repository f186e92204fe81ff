"""The rows of episodes: SQL on a connection, inside whatever transaction the caller has."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from .episode import Episode, Filter, Recalled

COLUMNS: Final = (
    "number, id, situation, cause, action, outcome, worked, about, source, labels, evidence, trust, at, valid_from, "
    "valid_until, sightings, returned, used, helped, harmed, why"
)
_NAMES: Final = COLUMNS.split(", ")
_EPISODE: Final = (
    "situation", "cause", "action", "outcome", "about", "source", "labels", "evidence", "trust", "valid_from",
    "valid_until",
)  # fmt: skip
_WORDS: Final = "situation, cause, action, outcome"
_SUPERSEDED: Final = (
    "EXISTS (SELECT 1 FROM links JOIN episodes AS newer ON newer.number = links.episode "
    "WHERE links.other = :number AND kind = 'supersedes' AND newer.trust > :trust)"
)
"""By an episode that is trusted more."""
_NAMED: Final = frozenset({"about", "source"})
_labels: Final = msgspec.json.Decoder(dict[str, str])
_evidence: Final = msgspec.json.Decoder(tuple[str, ...])


class Row(NamedTuple):
    """An episode as the file has it."""

    number: int
    recalled: Recalled


def number_of(conn: sqlite3.Connection, name: str) -> int | None:
    """Return the number of an episode; None if there is none of that id."""
    found = conn.execute("SELECT number FROM episodes WHERE id = ?", (name,)).fetchone()
    return int(found[0]) if found else None


def insert(conn: sqlite3.Connection, name: str, episode: Episode, now: float) -> int:
    """Write a new episode, and return its number."""
    begin = now if episode.valid_from is None else episode.valid_from
    number = conn.execute(
        "INSERT INTO episodes (id, situation, cause, action, outcome, worked, about, source, labels, evidence, trust, "
        "at, valid_from, valid_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name, episode.situation, episode.cause, episode.action, episode.outcome, episode.worked, episode.about,
            episode.source, _json(episode.labels), _json(episode.evidence), trust_of(conn, episode), now, begin,
            episode.valid_until,
        ),
    ).lastrowid  # fmt: skip
    assert number is not None  # noqa: S101 - SQLite gives one to each inserted row
    copied = f"INSERT INTO words (rowid, {_WORDS}) SELECT number, {_WORDS} FROM episodes WHERE number = ?"  # noqa: S608 - our own columns
    conn.execute(copied, (number,))
    conn.executemany(
        "INSERT INTO labels (episode, name, value) VALUES (?, ?, ?)",
        [(number, *each) for each in episode.labels.items()],
    )
    _supersede(conn, number, episode, begin)
    return number


def trust_of(conn: sqlite3.Connection, episode: Episode) -> int:
    """Return the least trust of an episode and of those that it names as evidence."""
    marks = ", ".join("?" * len(episode.evidence))
    least = conn.execute(f"SELECT min(trust) FROM episodes WHERE id IN ({marks})", episode.evidence).fetchone()[0]  # noqa: S608 - marks only
    return episode.trust if least is None else min(episode.trust, int(least))


def _supersede(conn: sqlite3.Connection, number: int, episode: Episode, begin: float) -> None:
    """End the validity of what is superseded, unless that is trusted more: a stranger ends no one's belief."""
    for name in episode.supersedes:
        if (old := number_of(conn, name)) is not None and old != number:
            conn.execute(
                "INSERT OR IGNORE INTO links (episode, other, kind) VALUES (?, ?, 'supersedes')", (number, old)
            )
            conn.execute(
                "UPDATE episodes SET valid_until = min(coalesce(valid_until, ?), ?) WHERE number = ? AND trust <= ?",
                (begin, begin, old, trust_of(conn, episode)),
            )


def see_again(conn: sqlite3.Connection, number: int, episode: Episode, now: float) -> None:
    """Count a sighting. Of two who say the same the higher trust holds, and the word of who knows whether it worked.

    What is no longer valid is so again, if who says it is trusted as much as it is and as what has superseded it.
    """
    trust = trust_of(conn, episode)
    _own(conn, number, episode, trust, now)
    if episode.valid_until is None or episode.valid_until > now:
        conn.execute(
            "UPDATE episodes SET valid_until = :until WHERE number = :number AND valid_until <= :now "  # noqa: S608 - our own
            f"AND trust <= :trust AND NOT {_SUPERSEDED}",
            {"until": episode.valid_until, "now": now, "number": number, "trust": trust},
        )
    conn.execute(
        "UPDATE episodes SET sightings = sightings + 1, trust = max(trust, ?2), worked = CASE WHEN ?1 IS NULL "
        "OR (?2 < trust AND worked IS NOT NULL) THEN worked ELSE ?1 END WHERE number = ?3",
        (episode.worked, trust, number),
    )
    _supersede(conn, number, episode, now if episode.valid_from is None else episode.valid_from)


def _own(conn: sqlite3.Connection, number: int, episode: Episode, trust: int, now: float) -> None:
    """Let all that is not in the id be as one says who is trusted more than whoever said it before."""
    begin = now if episode.valid_from is None else episode.valid_from
    conn.execute(
        "UPDATE episodes SET worked = :worked, why = '', source = :source, evidence = :evidence, valid_from = :begin, "  # noqa: S608 - our own
        f"valid_until = CASE WHEN {_SUPERSEDED} THEN valid_until ELSE :until END "
        "WHERE number = :number AND trust < :trust",
        {
            "worked": episode.worked, "source": episode.source, "evidence": _json(episode.evidence), "begin": begin,
            "until": episode.valid_until, "number": number, "trust": trust,
        },
    )  # fmt: skip


def check_all(conn: sqlite3.Connection) -> None:
    """Read each row as a recall would; raises what a row gives that cannot be read."""
    for each in conn.execute(f"SELECT {COLUMNS} FROM episodes"):  # noqa: S608 - our own columns
        _row(each)


def delete(conn: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Delete episodes and all that belongs to them."""
    for number in numbers:
        conn.execute(
            f"INSERT INTO words (words, rowid, {_WORDS}) SELECT 'delete', number, {_WORDS} FROM episodes "  # noqa: S608 - our own columns
            "WHERE number = ?",
            (number,),
        )
        conn.execute("DELETE FROM episodes WHERE number = ?", (number,))


def load(conn: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Recalled]:
    """Return the episodes of these numbers, by number."""
    wanted = list(numbers)
    found: dict[int, Recalled] = {}
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        sql = f"SELECT {COLUMNS} FROM episodes WHERE number IN ({', '.join('?' * len(part))})"  # noqa: S608 - marks only
        found.update((row.number, row.recalled) for row in map(_row, conn.execute(sql, part)))
    return found


def page(conn: sqlite3.Connection, *, below: int, limit: int, wanted: Filter, now: float) -> list[Row]:
    """Return the newest episodes whose number is below `below`, newest first."""
    sql, values = passing(wanted, now)
    sql += " AND worked = 1" if wanted.worked else ""
    query = f"SELECT {COLUMNS} FROM episodes WHERE number < ? AND {sql} ORDER BY number DESC LIMIT ?"  # noqa: S608 - our own SQL
    return [_row(each) for each in conn.execute(query, (below, *values, limit))]


def passing(wanted: Filter, now: float) -> tuple[str, list[Any]]:
    """Return a filter as SQL and its values."""
    at = now if wanted.at is None else wanted.at
    # What was valid when it came is valid now, also if the clock has been put back since.
    begun = "(valid_from <= ? OR valid_from <= at)" if wanted.at is None else "valid_from <= ?"
    parts, values = [f"{begun} AND (valid_until IS NULL OR valid_until > ?)"], [at, at]
    found: list[Any] = values
    if wanted.worked is not None:
        parts.append("worked IS NOT NULL" if wanted.worked else "worked = 0")
    if not wanted.failures:
        parts.append("worked IS NOT 0")
    if wanted.min_trust > 0:
        parts.append("trust >= ?")
        found.append(wanted.min_trust)
    for name, value in wanted.where.items():
        if name in _NAMED:
            parts.append(f"{name} = ?")
            found.append(value)
        else:
            parts.append("number IN (SELECT episode FROM labels WHERE name = ? AND value = ?)")
            found += [name, value]
    return " AND ".join(parts), found


def numbers_passing(conn: sqlite3.Connection, wanted: Filter, now: float, *, most: int) -> list[int] | None:
    """Return the numbers of what passes a filter; None if it is more than `most`."""
    sql, values = passing(wanted, now)
    found = conn.execute(f"SELECT number FROM episodes WHERE {sql} LIMIT ?", (*values, most + 1)).fetchall()  # noqa: S608 - our own SQL
    return None if len(found) > most else [int(number) for (number,) in found]


def passing_of(conn: sqlite3.Connection, numbers: Sequence[int], wanted: Filter, now: float) -> set[int]:
    """Return which of these numbers pass a filter."""
    sql, values = passing(wanted, now)
    found: set[int] = set()
    for start in range(0, len(numbers), 500):
        part = numbers[start : start + 500]
        query = f"SELECT number FROM episodes WHERE number IN ({', '.join('?' * len(part))}) AND {sql}"  # noqa: S608 - marks only
        found |= {int(number) for (number,) in conn.execute(query, (*part, *values))}
    return found


def _row(values: tuple[Any, ...]) -> Row:
    row = dict(zip(_NAMES, values, strict=True))
    number, known = row.pop("number"), row.pop("worked")
    kept = {name: row.pop(name) for name in _EPISODE}
    kept |= {"labels": _labels.decode(kept["labels"]), "evidence": _evidence.decode(kept["evidence"])}
    episode = Episode(**kept, worked=None if known is None else bool(known))
    return Row(number, Recalled(**row, episode=episode, score=0.0, likeness=None))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
