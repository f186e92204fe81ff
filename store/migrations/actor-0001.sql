-- The highest epoch that has owned this file: one row.
CREATE TABLE owner (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO owner (only, epoch) VALUES (1, 0);

-- Working memory. expires: Unix seconds, may be infinite. used: a tick that grows with each write or access.
CREATE TABLE memory (
    key TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL,
    expires REAL NOT NULL,
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX memory_by_use ON memory (used);

-- How many rows memory has. Kept by SQLite itself, so that a rollback takes the count back too.
CREATE TABLE memory_size (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    entries INTEGER NOT NULL
) STRICT;
INSERT INTO memory_size (only, entries) VALUES (1, 0);
CREATE TRIGGER memory_grows AFTER INSERT ON memory BEGIN
    UPDATE memory_size SET entries = entries + 1;
END;
CREATE TRIGGER memory_shrinks AFTER DELETE ON memory BEGIN
    UPDATE memory_size SET entries = entries - 1;
END;
