// What a leader does for clients: it proposes their requests, waits for locks,
// and coordinates transfers to other clusters. All that must survive is in the
// log; whatever a leader forgets, its successor aborts (inherit) or asks for
// (inquire).

import { silence } from './peers.js';
import { Lost } from './raft.js';

const peerTimeout = 700; // ms for one message between leaders
const lockPatience = 200; // ms that a participant waits for a lock; ends deadlocks
const settleBefore = 400; // ms before its client's deadline a coordinator stops waiting
const inquireEvery = 250; // ms
const conviction = 800; // ms of failing to reach a quorum until it is believed to be gone

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// within promises what promise does, or undefined after ms milliseconds.
function within(promise, ms) {
  let timer;
  const timeout = new Promise((resolve) => (timer = setTimeout(resolve, Math.max(ms, 0))));
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

export class Transactions {
  constructor(replica) {
    Object.assign(this, { replica, bank: replica.bank, raft: replica.raft });
    this.hints = new Map(); // cluster -> node that led it last
    this.driven = new Set(); // transactions that this node coordinates just now
  }

  start() {
    this.timer ??= setInterval(() => this.#inquire(), inquireEvery);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  // submit carries out a transfer; `until` is the client's deadline (ms since the
  // Unix epoch). It returns { result, final, message }.
  async submit(request, transfer, doneBelow, until) {
    const command = { op: 'transfer', request, transfer, doneBelow };
    for (;;) {
      const outcome = await this.#persist(command, until);
      if (!outcome) return { result: 'RESULT_ABORTED', message: 'a lock was not to be had before the deadline' };
      if (!outcome.transaction) return outcome;
      const { vote, commit } = await this.#coordinate(outcome.transaction, transfer, until);
      if (commit) return this.bank.outcomes.get(request);
      if (!vote.busy || Date.now() > until - settleBefore) return { result: 'RESULT_ABORTED', message: vote.message };
      await sleep(10 + 40 * Math.random()); // so that two which block each other do not meet again
    }
  }

  // read returns a balance that everything acknowledged before is part of.
  async read(item, until) {
    const outcome = await this.#persist({ op: 'read', item }, until);
    if (!outcome) return { result: 'RESULT_UNAVAILABLE', message: `${item} was locked until the deadline` };
    return { result: 'RESULT_COMMITTED', balance: outcome.balance };
  }

  async resolve(request, doneBelow, until) {
    const outcome = await this.#persist({ op: 'resolve', request, doneBelow }, until);
    return outcome ?? { result: 'RESULT_UNKNOWN', message: 'it was under way until the deadline' };
  }

  // receive answers another cluster's message.
  async receive(kind, body) {
    if (kind === 'inquire') {
      const decided = body.transactions.map((transaction) => [transaction, this.bank.coordinated.get(transaction)?.commit]);
      return Object.fromEntries(decided); // JSON leaves out the undecided
    }
    if (!this.raft.ready) return { leader: this.raft.leader, noQuorum: this.raft.noQuorum };
    const now = Date.now();
    const result = await this.#persist({ op: kind, ...body }, now + peerTimeout, now + lockPatience).catch((error) => {
      if (error instanceof Lost) return { leader: '' };
      throw error;
    });
    return result ? { done: true, ...result } : { done: true, busy: true, message: `${body.to} is locked` };
  }

  // inherit aborts what was left undecided, by an earlier leader as a rule. Its
  // clients ask again.
  inherit() {
    for (const transaction of this.bank.open.values()) {
      if (this.driven.has(transaction)) continue;
      this.raft.propose({ op: 'decide', transaction, commit: false }).catch(() => {}); // or the next leader will
    }
  }

  // propose is Raft's, but it gives up at the deadline: the outcome is open then.
  async #propose(command, until) {
    const result = await within(this.raft.propose(command), until - Date.now());
    if (!result) throw new Lost('not replicated before the deadline');
    return result;
  }

  // persist proposes a command until it does not meet a lock any more. It returns
  // undefined if it still does when its patience ends, at the deadline or before;
  // the command had no effect then.
  async #persist(command, until, patience = until) {
    for (;;) {
      const result = await this.#propose(command, until);
      if (!result.busy) return result;
      await within(result.changed, patience - Date.now());
      if (Date.now() >= patience) return undefined;
    }
  }

  // coordinate carries a transaction from prepared to decided. It returns the
  // participant's vote and what was decided.
  async #coordinate(transaction, transfer, until) {
    this.driven.add(transaction);
    try {
      const vote = await this.#collectVote(transaction, transfer, until - settleBefore);
      const { commit } = await this.#propose({ op: 'decide', transaction, commit: vote.yes === true }, until);
      this.#deliver(transaction, transfer, commit);
      return { vote, commit };
    } finally {
      this.driven.delete(transaction);
    }
  }

  // collectVote asks the receiver's cluster to prepare. It returns { yes, busy,
  // message }; without yes, the transaction has to be aborted.
  async #collectVote(transaction, { to, amount }, until) {
    const cluster = this.replica.topology.owner(to);
    const nodes = this.replica.topology.clusters.get(cluster);
    const majority = Math.floor(nodes.length / 2) + 1;
    const state = new Map(); // node -> its last answer, or null if there was none
    let hopelessSince = Infinity;
    let node = this.hints.get(cluster) ?? nodes[0];
    while (Date.now() < until) {
      const answer = await this.replica.send(node, 'prepare', { transaction, to, amount }, peerTimeout).catch(silence);
      if (answer?.done) {
        this.hints.set(cluster, node);
        return answer;
      }
      state.set(node, answer);
      const reached = [...state.values()].filter(Boolean);
      const hopeless = state.size === nodes.length && (reached.length < majority || reached.every((other) => other.noQuorum));
      hopelessSince = hopeless ? Math.min(hopelessSince, Date.now()) : Infinity;
      if (Date.now() - hopelessSince > conviction) return { message: `${cluster} has no quorum` };
      const hint = answer?.leader;
      node = hint && hint !== node ? hint : nodes[(nodes.indexOf(node) + 1) % nodes.length];
      await sleep(hint ? 5 : 20);
    }
    return { message: `${cluster} did not vote in time` };
  }

  // deliver tells the participant the decision, to save it the asking.
  async #deliver(transaction, { to }, commit) {
    const cluster = this.replica.topology.owner(to);
    const node = this.hints.get(cluster);
    if (node) await this.replica.send(node, 'finish', { transaction, commit }, peerTimeout).catch(() => {});
  }

  // inquire asks the coordinators of what has been prepared here for a while:
  // all their nodes at once, since some may be slow or gone. An answer can only
  // be a decision that was made; no answer means to go on waiting.
  async #inquire() {
    if (!this.raft.ready || this.inquiring) return;
    this.inquiring = true;
    this.inherit();
    const before = this.seen ?? new Set();
    this.seen = new Set([...this.bank.undecided()].map(([transaction]) => transaction));
    const open = new Map(); // coordinating cluster -> transactions
    for (const transaction of this.seen) {
      if (!before.has(transaction)) continue;
      const [cluster] = transaction.split(/-(?=\d+$)/);
      open.set(cluster, [...(open.get(cluster) ?? []), transaction]);
    }
    const asked = [...open].flatMap(([cluster, transactions]) =>
      this.replica.topology.clusters.get(cluster).map(async (node) => {
        const decisions = await this.replica.send(node, 'inquire', { transactions }, peerTimeout);
        const told = transactions.filter((transaction) => transaction in decisions && this.seen.delete(transaction));
        await Promise.all(told.map((transaction) => this.raft.propose({ op: 'finish', transaction, commit: decisions[transaction] })));
      }),
    );
    await within(Promise.allSettled(asked), 2 * peerTimeout);
    this.inquiring = false;
  }
}
