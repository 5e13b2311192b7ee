-- Images are immutable; their bytes are files named by content, so several rows may share one.
CREATE TABLE images (
    id         TEXT    PRIMARY KEY,
    sha256     TEXT    NOT NULL,
    format     TEXT    NOT NULL CHECK (format IN ('png', 'jpeg')),
    width      INTEGER NOT NULL CHECK (width > 0),
    height     INTEGER NOT NULL CHECK (height > 0),
    created_at TEXT    NOT NULL
) STRICT;

CREATE INDEX images_by_content ON images (sha256);

CREATE TABLE chats (
    id         TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    image_id   TEXT NOT NULL REFERENCES images (id),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX chats_by_image ON chats (image_id);
CREATE INDEX chats_by_time ON chats (updated_at);

-- A region is stored whole, as the JSON that travels.
CREATE TABLE regions (
    chat_id   TEXT    NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    region_id TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    PRIMARY KEY (chat_id, position),
    UNIQUE (chat_id, region_id)
) STRICT;

CREATE TABLE messages (
    id         TEXT    PRIMARY KEY,
    chat_id    TEXT    NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    role       TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
    mode       TEXT    NOT NULL CHECK (mode IN ('ask', 'find', 'caption')),
    text       TEXT    NOT NULL,
    region_ids TEXT    NOT NULL,
    found      TEXT    NOT NULL,
    finish     TEXT    CHECK (finish IN ('stop', 'length', 'cancelled', 'error')),
    created_at TEXT    NOT NULL,
    UNIQUE (chat_id, position)
) STRICT;

-- A run writes exactly one message.
CREATE TABLE runs (
    id         TEXT PRIMARY KEY,
    chat_id    TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL UNIQUE REFERENCES messages (id) ON DELETE CASCADE,
    state      TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'stopped', 'failed')),
    created_at TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX one_open_run_per_chat ON runs (chat_id) WHERE state IN ('queued', 'running');

-- What a reader that comes back with an event id is sent again.
CREATE TABLE run_events (
    run_id TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    body   TEXT    NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;
