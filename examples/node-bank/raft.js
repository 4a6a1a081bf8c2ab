// Raft for one cluster: leader election, log replication, and a journal that
// makes term, vote and log durable before anybody is told of them. There are no
// snapshots; a log lives as long as its epoch. See Ongaro and Ousterhout, "In
// Search of an Understandable Consensus Algorithm" (2014); names follow Figure 2.

import { silence } from './peers.js';

const tickEvery = 50; // ms
const heartbeatEvery = 150; // ms
const electionTimeout = 1200; // ms; each wait is random in [1, 2) times this
const quorumTimeout = 2000; // ms without a majority's answers until a leader resigns
const callTimeout = 700; // ms
const batchSize = 1000; // entries in one append message

// Lost rejects a proposal whose leader resigned or was disconnected: another
// leader may commit it or throw it away.
export class Lost extends Error {}

export class Raft {
  // id and nodes name this node and all of its cluster. send(node, message,
  // timeout) promises the answer of its receive. apply(command, index) is called
  // once for each committed command, in order; what it returns resolves the
  // proposal. onLead is called when this node has begun to lead.
  constructor({ id, nodes, journal, records, send, apply, onLead }) {
    Object.assign(this, { id, nodes, journal, send, apply, onLead });
    this.others = nodes.filter((node) => node !== id);
    this.term = 0;
    this.vote = '';
    this.log = [{ term: 0 }]; // indices begin at 1
    this.commit = 0;
    this.applied = 0;
    this.elections = 0; // won by this process
    this.live = false;
    this.life = 0; // changes with every connect and disconnect
    this.proposals = new Map(); // index -> { resolve, reject }
    this.#follow(0, '');
    for (const record of records) this.#replay(record);
    this.#applyCommitted();
  }

  get lastIndex() {
    return this.log.length - 1;
  }

  get majority() {
    return Math.floor(this.nodes.length / 2) + 1;
  }

  // ready: it leads, and everything that earlier leaders committed is applied.
  get ready() {
    return this.role === 'leader' && this.applied >= this.firstIndex && this.quorum;
  }

  // quorum: a majority was heard of lately. A follower takes its leader's word.
  get quorum() {
    if (!this.live) return false;
    if (this.role !== 'leader') return this.leader !== '' && this.leaderHasQuorum;
    const since = Date.now() - quorumTimeout;
    return 1 + [...this.peers.values()].filter((peer) => peer.answeredAt > since).length >= this.majority;
  }

  // connect begins to take part, as a follower.
  connect() {
    if (this.live) return;
    this.live = true;
    this.life++;
    this.noQuorum = false;
    this.#follow(this.term, '');
    this.#resetElection();
    if (this.term === 0) {
      // A fresh bank needs no patience: the first node leads, or else the second.
      this.electionAt = Date.now() + tickEvery + this.nodes.indexOf(this.id) * 4 * tickEvery;
    }
    this.tickedAt = Date.now();
    this.timer = setInterval(() => this.#tick(), tickEvery);
  }

  // disconnect stops all timers; answers that are under way are not looked at.
  disconnect() {
    if (!this.live) return;
    clearInterval(this.timer);
    this.live = false;
    this.life++;
    this.#follow(this.term, '');
  }

  // propose appends a command to the log and promises what apply makes of it.
  // The promise rejects with Lost. Only a leader that is ready may be asked.
  propose(command) {
    if (!this.ready) return Promise.reject(new Lost(`${this.id} does not lead`));
    return new Promise((resolve, reject) => {
      this.proposals.set(this.#append(command), { resolve, reject });
      this.#kick();
    });
  }

  // receive answers another node's message.
  async receive(message) {
    const { life } = this;
    const answer = message.type === 'append' ? this.#onAppend(message) : this.#onVote(message);
    await this.journal.sync(); // what the answer promises
    if (life !== this.life) throw new Error(`${this.id} was disconnected`);
    if (message.term < this.term) return { term: this.term, ok: false, last: 0 };
    if (message.type === 'append' && answer.ok) this.#commitUpTo(Math.min(message.commit, message.prev + message.entries.length));
    return answer;
  }

  #replay(record) {
    if (record.vote !== undefined) {
      this.term = record.term;
      this.vote = record.vote;
    } else if (record.index !== undefined) {
      this.log.length = record.index; // a new leader's entry replaces what was there
      this.log.push({ term: record.term, command: record.command });
    } else {
      this.commit = record.commit;
    }
  }

  #tick() {
    const now = Date.now();
    // After a pause of the whole process, somebody else may lead: listen first.
    if (now - this.tickedAt > electionTimeout / 2) this.#resetElection();
    this.tickedAt = now;
    if (this.role === 'leader') {
      if (!this.quorum) {
        this.noQuorum = true;
        this.#follow(this.term, '');
        return;
      }
      for (const node of this.others) if (now - this.peers.get(node).sentAt >= heartbeatEvery) this.#replicate(node);
    } else if (now >= this.electionAt) {
      this.#campaign();
    }
  }

  #resetElection() {
    this.electionAt = Date.now() + electionTimeout * (1 + Math.random());
  }

  // follow makes this node a follower in a term, of a leader if it is known. The
  // wait for an election begins anew, but not for a mere follower that only hears
  // of a higher term: a candidate that cannot win must not hold up one that can.
  #follow(term, leader) {
    if (term > this.term) {
      this.term = term;
      this.vote = '';
      this.journal.append({ term, vote: '' });
    }
    if (leader !== '' || this.role !== 'follower') this.#resetElection();
    this.role = 'follower';
    this.leader = leader;
    for (const { reject } of this.proposals.values()) reject(new Lost(`${this.id} stopped leading`));
    this.proposals.clear();
  }

  async #campaign() {
    const term = ++this.term;
    this.vote = this.id;
    this.role = 'candidate';
    this.leader = '';
    this.#resetElection();
    this.journal.append({ term, vote: this.id });
    const { life } = this;
    await this.journal.sync();
    const current = () => life === this.life && term === this.term && this.role === 'candidate';
    let reached = 1;
    let votes = 1;
    const message = { type: 'vote', term, candidate: this.id, last: this.lastIndex, lastTerm: this.log.at(-1).term };
    const count = () => {
      if (current() && votes >= this.majority) this.#lead();
    };
    count();
    await Promise.all(
      this.others.map(async (node) => {
        const answer = await this.send(node, message, callTimeout).catch(silence);
        if (!answer) return;
        reached++;
        if (answer.term > this.term && life === this.life) this.#follow(answer.term, '');
        if (answer.ok) votes++;
        count();
      }),
    );
    if (life === this.life) this.noQuorum = reached < this.majority;
  }

  #onVote({ term, candidate, last, lastTerm }) {
    if (term < this.term) return { term: this.term, ok: false };
    // A leader that was heard of just now is not to be deposed by one who missed it.
    const led = this.role === 'leader' ? this.quorum : this.leader !== '' && Date.now() - this.heardAt < electionTimeout / 2;
    if (led && term > this.term) return { term: this.term, ok: false };
    if (term > this.term) this.#follow(term, '');
    const mine = this.log.at(-1).term;
    const complete = lastTerm > mine || (lastTerm === mine && last >= this.lastIndex);
    const ok = complete && (this.vote === '' || this.vote === candidate);
    if (ok) {
      this.vote = candidate;
      this.journal.append({ term, vote: candidate });
      this.#resetElection();
    }
    return { term, ok };
  }

  #lead() {
    this.role = 'leader';
    this.leader = this.id;
    this.noQuorum = false;
    this.elections++;
    const answeredAt = Date.now(); // the voters just did
    this.peers = new Map(this.others.map((node) => [node, { next: this.log.length, match: 0, commit: 0, sentAt: 0, answeredAt, busy: false }]));
    this.durable = this.lastIndex; // synced with the vote at the latest
    this.firstIndex = this.log.length;
    // The first entry of a term commits what earlier terms left behind.
    this.#append({ op: 'lead', leader: this.id, commit: this.commit });
    this.#kick();
  }

  #append(command) {
    const { term } = this;
    const index = this.log.length;
    this.log.push({ term, command });
    this.journal.append({ index, term, command });
    this.journal.sync().then(() => {
      if (this.role !== 'leader' || this.term !== term || this.durable >= index) return;
      this.durable = index;
      this.#advance();
    });
    return index;
  }

  // kick sends what is new to all followers that wait for it.
  #kick() {
    for (const node of this.others) this.#replicate(node);
  }

  async #replicate(node) {
    const { term, life } = this;
    const peer = this.peers.get(node);
    if (peer.busy || this.role !== 'leader') return;
    peer.busy = true;
    peer.sentAt = Date.now();
    const { sentAt } = peer;
    // Commands that are proposed in the same moment go into one message.
    await Promise.resolve();
    if (this.role !== 'leader' || this.term !== term) return;
    const prev = peer.next - 1;
    const entries = this.log.slice(peer.next, peer.next + batchSize);
    const message = { type: 'append', term, leader: this.id, quorum: this.quorum, prev, prevTerm: this.log[prev].term, entries, commit: this.commit };
    const answer = await this.send(node, message, callTimeout).catch(() => null);
    peer.busy = false;
    if (!answer || life !== this.life) return; // the next tick tries again
    if (answer.term > this.term) this.#follow(answer.term, '');
    if (this.role !== 'leader' || this.term !== term) return;
    peer.answeredAt = sentAt;
    if (answer.ok) {
      peer.match = prev + entries.length;
      peer.next = peer.match + 1;
      peer.commit = message.commit;
      this.#advance();
    } else {
      peer.next = Math.max(1, Math.min(prev, answer.last + 1));
    }
    if (peer.next <= this.lastIndex || peer.commit < this.commit) this.#replicate(node);
  }

  #onAppend({ term, leader, quorum, prev, prevTerm, entries }) {
    if (term < this.term) return { term: this.term, ok: false, last: 0 };
    if (term > this.term || this.leader !== leader) this.#follow(term, leader);
    this.#resetElection();
    this.heardAt = Date.now();
    this.leaderHasQuorum = quorum;
    this.noQuorum = false;
    if (prev > this.lastIndex || this.log[prev].term !== prevTerm) return { term, ok: false, last: Math.min(this.lastIndex, prev - 1) };
    entries.forEach((entry, i) => {
      const index = prev + 1 + i;
      if (this.log[index]?.term === entry.term) return; // sent before
      if (index <= this.commit) throw new Error(`${leader} would replace committed entry ${index}`);
      this.log.length = index;
      this.log.push(entry);
      this.journal.append({ index, ...entry });
    });
    return { term, ok: true };
  }

  // advance commits what a majority has. Only entries of the own term count
  // (Raft, section 5.4.2); earlier ones go with them.
  #advance() {
    const matches = [this.durable, ...[...this.peers.values()].map((peer) => peer.match)].sort((a, b) => b - a);
    const index = matches[this.majority - 1];
    if (index > this.commit && this.log[index].term === this.term) {
      this.#commitUpTo(index);
      this.#kick();
    }
  }

  #commitUpTo(index) {
    if (index <= this.commit) return;
    this.commit = index;
    // Noted so that a restart shows what was applied, before it hears of anybody.
    this.journal.append({ commit: index });
    this.journal.sync();
    this.#applyCommitted();
  }

  #applyCommitted() {
    while (this.applied < this.commit) {
      const index = ++this.applied;
      const result = this.apply(this.log[index].command, index);
      this.proposals.get(index)?.resolve(result);
      this.proposals.delete(index);
      if (this.role === 'leader' && index === this.firstIndex) this.onLead();
    }
  }
}
