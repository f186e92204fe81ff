-- Actors that a person holds: they take no messages, also after the daemon was started again.
CREATE TABLE held (
    actor TEXT PRIMARY KEY NOT NULL,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;
