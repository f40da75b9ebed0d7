-- Documents in chunks, and the index that finds them. Times are Unix seconds.

CREATE TABLE documents (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  title      TEXT NOT NULL,
  media_type TEXT NOT NULL,
  note       TEXT NOT NULL,
  bytes      INTEGER NOT NULL,
  sha256     BLOB NOT NULL,
  chunks     INTEGER NOT NULL,
  path       TEXT UNIQUE,            -- NULL: it was not read from a file
  mtime_ns   INTEGER,
  added      REAL NOT NULL
);

CREATE TABLE chunks (
  id       INTEGER PRIMARY KEY,
  document INTEGER NOT NULL REFERENCES documents (id),
  number   INTEGER NOT NULL,         -- 1, 2, 3, … in its document
  heading  TEXT NOT NULL,
  text     TEXT NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document, number);

-- The texts are kept once, in chunks. Words are compared without case, diacritics and (English) endings.
CREATE VIRTUAL TABLE found USING fts5 (
  heading, text, content = 'chunks', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER chunk_added AFTER INSERT ON chunks BEGIN
  INSERT INTO found (rowid, heading, text) VALUES (new.id, new.heading, new.text);
END;
CREATE TRIGGER chunk_removed AFTER DELETE ON chunks BEGIN
  INSERT INTO found (found, rowid, heading, text) VALUES ('delete', old.id, old.heading, old.text);
END;
-- In how many chunks a word is.
CREATE VIRTUAL TABLE words USING fts5vocab (found, row);
