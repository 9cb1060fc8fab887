import { join } from 'node:path'
import type { FileLayout } from '../../sqlite/database.ts'

/**
 * `message.id` is the id of the partition, then the offset in 40 bits, so that a partition is one range of the table
 * and of each index, and every number stays below 2^53.
 *
 * A text that several messages share lies once in `text`; the message keeps where in its value the text begins (`cut`)
 * and how many of the text's bytes stand there (`shared`), which for an excerpt is less than all.
 */
const createTables = `
  CREATE TABLE topic (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    first_partition INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    start INTEGER NOT NULL,
    next INTEGER NOT NULL,
    records INTEGER NOT NULL,
    written INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    newest INTEGER
  ) STRICT;
  CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    key TEXT NOT NULL,
    parent TEXT,
    size INTEGER NOT NULL,
    form INTEGER NOT NULL,
    value BLOB,
    text INTEGER,
    cut INTEGER,
    shared INTEGER
  ) STRICT;
  CREATE INDEX message_key ON message (key);
  CREATE INDEX message_parent ON message (parent) WHERE parent IS NOT NULL;
  CREATE INDEX message_text ON message (text) WHERE text IS NOT NULL;
  CREATE TABLE text (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    head INTEGER NOT NULL,
    size INTEGER NOT NULL,
    form INTEGER NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX text_hash ON text (hash);
  CREATE INDEX text_head ON text (head, size);
  CREATE TABLE task (id TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE schema (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE subject (name TEXT PRIMARY KEY, level TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE subject_version (
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    PRIMARY KEY (subject, version)
  ) STRICT, WITHOUT ROWID;
`

/** The log of a data folder. */
export const logLayout: FileLayout = {
  file: 'situ.db',
  owner: 'embedded',
  // "SITU" in ASCII.
  applicationId: 0x53495455,
  version: 1,
  // Half-full pages of 4,096 bytes cost more than they save: a compressed page of text is about 3,000 bytes.
  pageBytes: 8192,
  createTables,
}

export function databasePath(folder: string): string {
  return join(folder, logLayout.file)
}

const offsetsPerPartition = 2 ** 40
export const maxPartitions = 2 ** 13

export function messageId(partitionId: number, offset: number): number {
  return partitionId * offsetsPerPartition + offset
}

export function offsetOf(id: number): number {
  return id % offsetsPerPartition
}

export function partitionIdOf(id: number): number {
  return Math.floor(id / offsetsPerPartition)
}
