-- The highest epoch that has owned this file: one row.
CREATE TABLE owner (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO owner (only, epoch) VALUES (1, 0);

-- number: its label in the index of vectors, never given twice. labels and evidence: JSON. worked: NULL if unknown.
-- Times are Unix seconds.
CREATE TABLE episodes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT UNIQUE NOT NULL,
    situation TEXT NOT NULL,
    cause TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    worked INTEGER,
    about TEXT NOT NULL,
    source TEXT NOT NULL,
    labels TEXT NOT NULL,
    evidence TEXT NOT NULL,
    trust INTEGER NOT NULL,
    at REAL NOT NULL,
    valid_from REAL NOT NULL,
    valid_until REAL,
    sightings INTEGER NOT NULL DEFAULT 1,
    returned INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL DEFAULT 0,
    helped INTEGER NOT NULL DEFAULT 0,
    harmed INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX episodes_by_about ON episodes (about) WHERE about != '';
CREATE INDEX episodes_by_source ON episodes (source) WHERE source != '';
CREATE INDEX episodes_by_worked ON episodes (worked) WHERE worked IS NOT NULL;
CREATE INDEX episodes_by_trust ON episodes (trust) WHERE trust != 1;

-- The same labels, to find episodes by. Columns in the order of the key: else SQLite 3.40's quick_check, which looks at a
-- file before it is opened, takes a sound table without rowids for a damaged one.
CREATE TABLE labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    episode INTEGER NOT NULL,
    PRIMARY KEY (name, value, episode)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_by_episode ON labels (episode);

-- other: the episode that is superseded, or that is nearly the same.
CREATE TABLE links (
    episode INTEGER NOT NULL,
    other INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('supersedes', 'near')),
    likeness REAL,
    PRIMARY KEY (episode, other, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_other ON links (other);

-- In which message an episode was remembered, and for which it was recalled: what an outcome goes by.
CREATE TABLE made (
    message TEXT NOT NULL,
    episode INTEGER NOT NULL,
    PRIMARY KEY (message, episode)
) STRICT, WITHOUT ROWID;
CREATE INDEX made_by_episode ON made (episode);
CREATE TABLE recalls (
    message TEXT NOT NULL,
    episode INTEGER NOT NULL,
    at REAL NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message, episode)
) STRICT, WITHOUT ROWID;
CREATE INDEX recalls_by_time ON recalls (at);
CREATE INDEX recalls_by_episode ON recalls (episode);

-- What was said of how a message turned out; the same said twice counts once.
CREATE TABLE outcomes (
    message TEXT NOT NULL,
    said_by TEXT NOT NULL,
    good INTEGER NOT NULL,
    why TEXT NOT NULL,
    trust INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (message, said_by)
) STRICT, WITHOUT ROWID;
CREATE INDEX outcomes_by_time ON outcomes (at);

-- vector: float32, of unit length; empty where no word of the text is known.
CREATE TABLE vectors (
    embedder TEXT NOT NULL,
    episode INTEGER NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (embedder, episode)
) STRICT;
CREATE INDEX vectors_by_episode ON vectors (episode);

-- The embedder whose vectors count; empty until the first one.
CREATE TABLE embedder (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL
) STRICT;
INSERT INTO embedder (only, id) VALUES (1, '');

-- Episodes without a vector of that embedder.
CREATE TABLE pending (episode INTEGER PRIMARY KEY) STRICT;

-- The file that the index was written to last: at most one row.
CREATE TABLE snapshot (
    generation INTEGER PRIMARY KEY,
    embedder TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;

-- Kept equal to the episodes by table.py: a trigger may not write a virtual table where the schema is not trusted.
CREATE VIRTUAL TABLE words USING fts5 (
    situation, cause, action, outcome, content = 'episodes', content_rowid = 'number', tokenize = 'porter unicode61'
);

CREATE TRIGGER episodes_come AFTER INSERT ON episodes BEGIN
    INSERT INTO pending (episode) VALUES (new.number);
END;
CREATE TRIGGER episodes_go AFTER DELETE ON episodes BEGIN
    DELETE FROM pending WHERE episode = old.number;
    DELETE FROM vectors WHERE episode = old.number;
    DELETE FROM labels WHERE episode = old.number;
    DELETE FROM links WHERE episode = old.number OR other = old.number;
    DELETE FROM made WHERE episode = old.number;
    DELETE FROM recalls WHERE episode = old.number;
END;
