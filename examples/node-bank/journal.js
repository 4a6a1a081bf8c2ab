// A journal is an append-only file of JSON lines. What is appended is written
// and synced in batches: while one batch is on its way to the disk, the next
// one gathers.

import { open, readFile, rename, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';

export class Journal {
  #path;
  #file; // FileHandle, open for appending
  #queue = []; // lines that no write has taken yet
  #written = Promise.resolve(); // the write under way, or the last one
  #next = null; // the write that will take the queue
  #writing = false;

  // open returns the journal at path, made when it is not there, and the
  // records that it holds. A last line that a crash cut short is dropped: no
  // sync that covered it can have been reported.
  static async open(path) {
    const journal = new Journal();
    journal.#path = path;
    const bytes = await readFile(path).catch((error) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    const end = bytes.lastIndexOf('\n') + 1;
    if (end < bytes.length) await truncate(path, end);
    journal.#file = await open(path, 'a');
    await syncDirectory(dirname(path));
    const records = bytes.toString('utf8', 0, end).split('\n').filter(Boolean).map((line) => JSON.parse(line));
    return { journal, records };
  }

  // append adds a record (a JSON value) to the next batch.
  append(record) {
    this.#queue.push(JSON.stringify(record) + '\n');
  }

  // sync resolves once everything appended so far is on disk.
  sync() {
    if (this.#queue.length === 0) return this.#written;
    this.#next ??= this.#written.then(() => this.#write());
    return this.#next;
  }

  // idle: nothing is queued or on its way.
  get idle() {
    return this.#queue.length === 0 && !this.#writing;
  }

  // close ends the file after what is under way.
  async close() {
    await this.sync();
    await this.#file.close();
  }

  #write() {
    const batch = this.#queue.join('');
    this.#queue = [];
    this.#next = null;
    this.#writing = true;
    this.#written = (async () => {
      try {
        await this.#file.appendFile(batch);
        await this.#file.datasync();
      } catch (error) {
        // Nobody may be told that this is durable, now or later.
        console.error(`cannot write ${this.#path}: ${error.message}`);
        process.exit(70);
      }
      this.#writing = false;
    })();
    return this.#written;
  }
}

// replaceFile writes value as JSON to path: afterwards the file has the old or
// the new contents, whatever crashes.
export async function replaceFile(path, value) {
  const draft = await open(path + '.new', 'w');
  await draft.writeFile(JSON.stringify(value));
  await draft.sync();
  await draft.close();
  await rename(path + '.new', path);
  await syncDirectory(dirname(path));
}

async function syncDirectory(path) {
  const directory = await open(path, 'r');
  await directory.sync();
  await directory.close();
}
