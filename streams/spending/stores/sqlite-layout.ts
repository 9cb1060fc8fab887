import type { FileLayout } from '../../sqlite/database.ts'

/**
 * A reply that was rejected stays beside the one that took its place. Rates and sums are few rows; `counter` is one.
 */
const createTables = `
  CREATE TABLE reply (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    time INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    form INTEGER NOT NULL,
    size INTEGER NOT NULL,
    value BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX reply_key ON reply (key) WHERE rejected = 0;
  CREATE INDEX reply_time ON reply (time);
  CREATE TABLE counter (times INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL) STRICT;
  INSERT INTO counter VALUES (0, 0, 0);
  CREATE TABLE bucket (
    endpoint TEXT NOT NULL,
    rate TEXT NOT NULL,
    level REAL NOT NULL,
    at REAL NOT NULL,
    asked REAL NOT NULL,
    burst REAL NOT NULL,
    raisedUntil REAL NOT NULL,
    PRIMARY KEY (endpoint, rate)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE worker (name TEXT PRIMARY KEY, run TEXT NOT NULL, seen INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE spent (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    usd REAL NOT NULL,
    PRIMARY KEY (kind, name)
  ) STRICT, WITHOUT ROWID;
`

export const spendingLayout: FileLayout = {
  file: 'spending.db',
  owner: 'spending store',
  // "SIT$" in ASCII.
  applicationId: 0x53495424,
  version: 1,
  pageBytes: 8192,
  createTables,
  shrinks: true,
}
