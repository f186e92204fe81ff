-- Tasks that are done, so that the queue's next delivery of one finds it: outlives the queue's own memory of ids.
CREATE TABLE inbox (
    task TEXT PRIMARY KEY NOT NULL,
    done REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_by_time ON inbox (done);

-- Tasks that failed and are not done: how often, and what was said each time (a JSON array).
CREATE TABLE tries (
    task TEXT PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL,
    history TEXT NOT NULL,
    latest REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Steps and acts of tasks that are not done. args: digest of the arguments. result: msgpack; NULL: claimed, not settled.
CREATE TABLE steps (
    task TEXT NOT NULL,
    name TEXT NOT NULL,
    act INTEGER NOT NULL,
    args TEXT NOT NULL,
    result BLOB,
    at REAL NOT NULL,
    PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;

-- What done tasks have said and what has not left. claimed: when a message that leaves at most once was about to.
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    verb TEXT NOT NULL,
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    data BLOB NOT NULL,
    claimed REAL
) STRICT;
