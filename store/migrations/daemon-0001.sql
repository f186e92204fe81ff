-- What the supervisor saw and did. AUTOINCREMENT: a number is never given twice, also after the oldest are deleted.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_kind ON event (kind, seq);
CREATE INDEX event_by_subject ON event (subject, seq);

-- The last epoch given to each cell and actor.
CREATE TABLE epoch (
    name TEXT PRIMARY KEY NOT NULL,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
