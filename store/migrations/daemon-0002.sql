-- Messages that crashed or failed their actor again and again, whole, and why. One row for each content.
CREATE TABLE quarantine (
    digest TEXT PRIMARY KEY NOT NULL,
    actor TEXT NOT NULL,
    type TEXT NOT NULL,
    sender TEXT NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    history TEXT NOT NULL,
    at REAL NOT NULL,
    until REAL NOT NULL,
    refused INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX quarantine_by_actor ON quarantine (actor, until);
