-- Messages that were taken away whole: refused, out of tries, expired, not to be repeated. Times in Unix seconds.
CREATE TABLE dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    actor TEXT NOT NULL,
    died REAL NOT NULL,
    bytes INTEGER NOT NULL,
    letter BLOB NOT NULL,
    UNIQUE (actor, id)
) STRICT;

-- How many there was no room for, since ever: one row.
CREATE TABLE dead_dropped (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO dead_dropped (only, count) VALUES (1, 0);
