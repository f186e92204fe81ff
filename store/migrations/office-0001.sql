-- The highest epoch that has owned this file: one row.
CREATE TABLE owner (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO owner (only, epoch) VALUES (1, 0);

-- Windows of budgets, by their start: a clock that jumps and comes back finds them again. Money is in nano-dollars,
-- times are Unix seconds; ends is infinite for a tree of messages. beyond: what of spent no lease had reserved.
-- above: what a lowered limit left above it. told: bits of the lines that were told. No number is given twice.
CREATE TABLE windows (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    start REAL NOT NULL,
    ends REAL NOT NULL,
    most INTEGER NOT NULL,
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    beyond INTEGER NOT NULL DEFAULT 0 CHECK (beyond >= 0),
    above INTEGER NOT NULL DEFAULT 0 CHECK (above >= 0),
    told INTEGER NOT NULL DEFAULT 0,
    used REAL NOT NULL,
    UNIQUE (name, start),
    CHECK (spent + reserved <= most + beyond + above)
) STRICT;
CREATE INDEX windows_by_end ON windows (ends);

-- Leases. rest: what is reserved and was not settled; a lease with a rest is open. lost: what was counted as spent
-- when its holder was gone, and no entry has accounted for since.
CREATE TABLE leases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cell TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    actor TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    rest INTEGER NOT NULL CHECK (rest BETWEEN 0 AND amount),
    lost INTEGER NOT NULL DEFAULT 0 CHECK (lost BETWEEN 0 AND amount),
    made REAL NOT NULL,
    until REAL NOT NULL
) STRICT;
CREATE INDEX leases_open ON leases (cell, epoch) WHERE rest > 0;

-- Which windows a lease is reserved in. A window that is swept leaves its rows to their leases.
CREATE TABLE shares (
    lease INTEGER NOT NULL REFERENCES leases (id) ON DELETE CASCADE,
    budget INTEGER NOT NULL,
    PRIMARY KEY (lease, budget)
) STRICT, WITHOUT ROWID;

-- Calls of models, one row each, and what was lost with its holder. saved: what a hit of the cache would have cost.
-- good: what was said of the message. evicted: its answer was taken out of the cache for that.
CREATE TABLE ledger (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT UNIQUE NOT NULL,
    at REAL NOT NULL,
    cell TEXT NOT NULL,
    actor TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    tree TEXT NOT NULL DEFAULT '',
    tenant TEXT NOT NULL DEFAULT '',
    asked TEXT NOT NULL DEFAULT '',
    endpoint TEXT NOT NULL DEFAULT '',
    served TEXT NOT NULL DEFAULT '',
    prompt TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cached INTEGER NOT NULL DEFAULT 0,
    reasoning INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL DEFAULT 0 CHECK (cost >= 0),
    input_cost INTEGER NOT NULL DEFAULT 0,
    worst INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0.0,
    first REAL NOT NULL DEFAULT 0.0,
    cache TEXT NOT NULL DEFAULT '',
    key BLOB NOT NULL DEFAULT x'',
    how TEXT NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    lease INTEGER NOT NULL DEFAULT 0,
    chars INTEGER NOT NULL DEFAULT 0,
    raw TEXT NOT NULL DEFAULT '',
    saved INTEGER NOT NULL DEFAULT 0,
    good INTEGER,
    evicted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX ledger_by_time ON ledger (at);
CREATE INDEX ledger_by_message ON ledger (message) WHERE message != '';
CREATE INDEX ledger_by_key ON ledger (key) WHERE key != x'' AND cache = '';

-- Answers, by a digest of all that they depend on. used: a tick that grows with each write, or use, that is noted.
CREATE TABLE cache (
    number INTEGER PRIMARY KEY,
    key BLOB UNIQUE NOT NULL,
    actor TEXT NOT NULL,
    tenant TEXT NOT NULL,
    made REAL NOT NULL,
    expires REAL NOT NULL,
    used INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX cache_by_use ON cache (used, bytes);
CREATE INDEX cache_by_expiry ON cache (expires);

-- How many bytes the cache takes. Kept by SQLite itself, so that a rollback takes the sum back too.
CREATE TABLE cache_size (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO cache_size (only, bytes) VALUES (1, 0);
CREATE TRIGGER cache_grows AFTER INSERT ON cache BEGIN
    UPDATE cache_size SET bytes = bytes + new.bytes;
END;
CREATE TRIGGER cache_shrinks AFTER DELETE ON cache BEGIN
    UPDATE cache_size SET bytes = bytes - old.bytes;
END;

-- How often the memory of an actor was changed by hand.
CREATE TABLE memories (
    actor TEXT PRIMARY KEY,
    changes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
