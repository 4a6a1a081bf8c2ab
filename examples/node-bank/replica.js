// A replica is what one process is between Configure and the next: its place in
// the topology, the journal of its epoch, Raft and the bank. The directory holds
// identity.json (node, topology, epoch) and epoch-N.journal.

import { mkdir, readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Bank } from './bank.js';
import { Journal, replaceFile } from './journal.js';
import { call } from './peers.js';
import { Raft } from './raft.js';
import { Topology } from './topology.js';
import { Transactions } from './transactions.js';

export class Replica {
  // open starts a replica in a directory whose identity.json is about it. It is
  // disconnected, and holds what the journal holds.
  static async open(directory, { id, shape, epoch }) {
    const replica = new Replica();
    const topology = new Topology(shape);
    const cluster = topology.clusterOf.get(id);
    const { journal, records } = await Journal.open(join(directory, `epoch-${epoch}.journal`));
    const bank = new Bank(topology, cluster);
    Object.assign(replica, { id, epoch, topology, cluster, journal, bank, fingerprint: topology.fingerprint });
    replica.work = new Set(); // how to end the client calls that are under way
    replica.raft = new Raft({
      id,
      nodes: topology.clusters.get(cluster),
      journal,
      records,
      send: (node, message, timeout) => replica.send(node, 'raft', message, timeout),
      apply: (command, index) => bank.apply(command, index),
      onLead: () => replica.transactions.inherit(),
    });
    replica.transactions = new Transactions(replica);
    return replica;
  }

  // load opens the replica that the directory holds, or returns null.
  static async load(directory) {
    await mkdir(directory, { recursive: true });
    const text = await readFile(join(directory, 'identity.json'), 'utf8').catch((error) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    return text && Replica.open(directory, JSON.parse(text));
  }

  // begin makes a directory's bank the given one, without anything from before.
  // The new identity on disk is the moment at which the old epoch is over.
  static async begin(directory, identity) {
    const journal = `epoch-${identity.epoch}.journal`;
    await unlink(join(directory, journal)).catch(() => {}); // of a Configure that a crash cut short
    await replaceFile(join(directory, 'identity.json'), identity);
    for (const name of await readdir(directory)) {
      if (name.endsWith('.journal') && name !== journal) await unlink(join(directory, name));
    }
    return Replica.open(directory, identity);
  }

  get live() {
    return this.raft.live;
  }

  setLive(live) {
    if (live) {
      this.raft.connect();
      this.transactions.start();
    } else {
      this.raft.disconnect();
      this.transactions.stop();
      for (const end of this.work) end();
    }
  }

  // close ends this replica for good. Its journal may be deleted afterwards.
  async close() {
    this.setLive(false);
    await this.journal.close();
  }

  // send promises another node's answer to a message of a kind.
  send(node, kind, body, timeout) {
    if (!this.live) return Promise.reject(new Error(`${this.id} is disconnected`));
    const { epoch, fingerprint } = this;
    return call(this.topology.addresses.get(node), { to: node, epoch, fingerprint, kind, body }, timeout);
  }

  // receive answers another node's message. It rejects what comes from another
  // bank or epoch, and never answers once it is disconnected.
  async receive({ to, epoch, fingerprint, kind, body }) {
    if (!this.live) throw new Error(`${this.id} is disconnected`);
    if (to !== this.id || epoch !== this.epoch || fingerprint !== this.fingerprint) throw new Error(`${this.id} is in another epoch or bank`);
    const { life } = this.raft;
    const answer = kind === 'raft' ? await this.raft.receive(body) : await this.transactions.receive(kind, body);
    if (life !== this.raft.life) throw new Error(`${this.id} was disconnected`);
    return answer;
  }

  // views returns the first entry of each leader that this node heard of, as
  // NewView messages: Raft has no other announcement, and re-proposes nothing.
  views() {
    const views = [];
    this.raft.log.forEach(({ term, command }, index) => {
      if (command?.op !== 'lead') return;
      const { leader, commit } = command;
      views.push({ ballot: `${term}.${leader}`, leader, first_index: index, commit_index: commit, sent: leader === this.id });
    });
    return views;
  }

  // status is a StatusReply.
  status() {
    const { raft, bank, epoch, cluster, live } = this;
    const prepared = [...bank.undecided()].length;
    const { lastIndex, commit, applied } = raft;
    return {
      node_id: this.id,
      cluster,
      configured: true,
      topology: this.fingerprint,
      epoch,
      live,
      ready: raft.ready,
      leader: raft.leader,
      ballot: `${raft.term}.${raft.leader || this.id}`,
      quorum: raft.quorum,
      last_index: lastIndex,
      commit_index: commit,
      applied_index: applied,
      requests: this.work.size,
      locks: bank.locks.size,
      prepared: prepared + bank.open.size,
      quiet: this.work.size === 0 && lastIndex === commit && commit === applied && this.journal.idle,
      elections: raft.elections,
    };
  }
}
