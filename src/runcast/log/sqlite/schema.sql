-- The SQLite log, format 1. `application_id` says that a file is a Runcast log, `user_version` its format.
-- Every change takes a position, from one sequence over the whole log; rows become visible in that order,
-- because SQLite has one writer at a time.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL                  -- 'epoch': the identity of the whole log
) WITHOUT ROWID;

CREATE TABLE streams (
  stream INTEGER PRIMARY KEY,          -- the position of its first row
  name   TEXT NOT NULL,
  run    INTEGER                       -- the current one; NULL: removed, its rows wait to be swept
);
CREATE UNIQUE INDEX stream_names ON streams (name) WHERE run IS NOT NULL;

CREATE TABLE runs (
  run      INTEGER PRIMARY KEY,        -- the position of its first row
  stream   INTEGER NOT NULL,
  epoch    TEXT    NOT NULL,
  oldest   INTEGER NOT NULL,           -- the first seq that is kept
  swept    INTEGER NOT NULL DEFAULT 1, -- the first seq that is still here; those before oldest wait to be swept
  head     INTEGER NOT NULL,           -- the last seq given
  tag      INTEGER NOT NULL,           -- of the event at head
  position INTEGER NOT NULL,           -- of the event at head
  terminal INTEGER NOT NULL,           -- 1: saw a terminal event, so a start event opens the next run
  closed   INTEGER NOT NULL,           -- the position of the row that sealed it; 0: open
  created  INTEGER NOT NULL,           -- microseconds since the Unix epoch, as all times
  updated  INTEGER NOT NULL,
  dropped  INTEGER NOT NULL DEFAULT 0  -- 1: invisible; its rows wait to be swept
);
CREATE UNIQUE INDEX run_epochs ON runs (epoch);
CREATE INDEX run_streams ON runs (stream);
CREATE INDEX run_dropped ON runs (run) WHERE dropped = 1;
CREATE INDEX run_trimmed ON runs (run) WHERE swept < oldest;

-- An event, or a control row: `seq` NULL, `type` end, clear or trim, `data` the oldest seq kept, in digits.
CREATE TABLE events (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  stream   INTEGER NOT NULL,
  run      INTEGER NOT NULL,
  seq      INTEGER,
  id       TEXT    NOT NULL,
  given    INTEGER NOT NULL,           -- 1: the publisher gave the id, so it is checked for repetition
  type     TEXT    NOT NULL,
  time     INTEGER NOT NULL,
  data     BLOB    NOT NULL
);
CREATE UNIQUE INDEX event_seqs ON events (run, seq);
-- Not unique: a trimmed event may lie here while its id is given anew.
CREATE INDEX event_ids ON events (stream, id) WHERE given = 1;

-- AUTOINCREMENT: a token is larger than every one before it, even if its name was forgotten meanwhile.
CREATE TABLE leases (
  token   INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT    NOT NULL UNIQUE,
  owner   TEXT    NOT NULL,
  expires INTEGER NOT NULL,
  ttl     INTEGER NOT NULL             -- tells a lease that a clock's jump back has made too long
);

CREATE INDEX lease_expiry ON leases (expires);

CREATE TABLE snapshots (
  stream  INTEGER NOT NULL,
  fold    TEXT    NOT NULL,
  version INTEGER NOT NULL,
  run     INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  tag     INTEGER NOT NULL,
  state   BLOB    NOT NULL,
  PRIMARY KEY (stream, fold)
) WITHOUT ROWID;
