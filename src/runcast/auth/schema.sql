-- Keys, users and what they were given. What others show is here as hashes only. All times are Unix seconds.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value INTEGER NOT NULL              -- 'changes': grows when something that was allowed may be so no longer
) WITHOUT ROWID;
INSERT INTO meta VALUES ('changes', 0);

CREATE TABLE secrets (
  name   TEXT PRIMARY KEY,
  secret TEXT NOT NULL                -- 'tokens': what tokens of our own users are signed with
) WITHOUT ROWID;

CREATE TABLE keys (
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL,
  hash     BLOB NOT NULL,             -- SHA-256 of the whole key: it is random, so nothing slower is needed
  grants   TEXT NOT NULL,             -- JSON
  created  REAL NOT NULL,
  expires  REAL,                      -- NULL: never
  revoked  REAL                       -- NULL: it counts
) WITHOUT ROWID;

CREATE TABLE users (
  id       TEXT PRIMARY KEY,
  email    TEXT NOT NULL UNIQUE COLLATE NOCASE,
  name     TEXT NOT NULL,
  hash     TEXT NOT NULL,             -- argon2id, with its salt and parameters
  grants   TEXT NOT NULL,
  created  REAL NOT NULL,
  disabled REAL
) WITHOUT ROWID;

-- What a browser or a client was given to come back with: tickets, cookies, refresh tokens.
CREATE TABLE passes (
  hash      BLOB PRIMARY KEY,         -- SHA-256
  kind      TEXT NOT NULL,            -- ticket, cookie, refresh
  id        TEXT NOT NULL,            -- names it in logs, and when it is revoked
  family    TEXT NOT NULL,            -- all refresh tokens that came of one login
  principal TEXT NOT NULL,            -- JSON
  expires   REAL NOT NULL,
  used      REAL                      -- a ticket or refresh token counts once
) WITHOUT ROWID;
CREATE INDEX pass_families ON passes (family);
CREATE INDEX pass_expiry ON passes (expires);

-- Credentials that count no longer although they have not expired: tokens by their id, and all of a user's.
CREATE TABLE revocations (
  credential TEXT PRIMARY KEY,
  revoked    REAL NOT NULL,
  expires    REAL                     -- when the entry may be forgotten, NULL: never
) WITHOUT ROWID;
