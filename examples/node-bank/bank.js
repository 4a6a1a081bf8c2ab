// The bank of one cluster as a deterministic state machine. The nodes of a
// cluster apply the same commands in the same order, so they agree on every
// balance, lock and outcome.
//
// A transfer inside the cluster is one command. A transfer to another cluster is
// two-phase commit; sender and receiver are locked and their balances change
// only when it is decided:
//
//     sender's cluster (coordinator)     receiver's cluster (participant)
//     transfer  lock `from`
//                                        prepare  lock `to`, vote
//     decide    debit or not, unlock
//                                        finish   credit or not, unlock
//
// A command that meets a lock, or another send of the same request, changes
// nothing and returns { busy: true, changed }; its proposer tries again once the
// promise `changed` says that some lock or request has ended.

import { fits } from './topology.js';

const final = (result, message = '') => ({ result, final: true, message });

export class Bank {
  constructor(topology, cluster) {
    this.topology = topology;
    this.cluster = cluster;
    this.balances = new Map(); // item -> BigInt, of items that were ever modified
    this.locks = new Map(); // item -> transaction that holds it
    this.outcomes = new Map(); // request -> { transfer, result, final, message }
    this.open = new Map(); // request -> its undecided transaction, here as coordinator
    this.coordinated = new Map(); // transaction -> { request, transfer, commit }; commit is undefined until decided
    this.participated = new Map(); // transaction -> { to, amount, commit }; the same
    this.floors = new Map(); // client -> lowest timestamp that may still execute
    this.waiting = []; // callbacks of those who wait for a change
  }

  // apply carries out the command at an index of the log and returns its result.
  apply(command, index) {
    switch (command.op) {
      case 'lead':
        return {};
      case 'transfer':
        return this.transfer(command, index);
      case 'decide':
        return this.decide(command);
      case 'prepare':
        return this.prepare(command);
      case 'finish':
        return this.finish(command);
      case 'resolve':
        return this.resolve(command);
      case 'read':
        return this.read(command);
    }
    throw new Error(`unknown operation ${command.op} at ${index}`);
  }

  balance(item) {
    return this.balances.get(item) ?? this.topology.initialBalance(item);
  }

  busy() {
    return { busy: true, changed: new Promise((resolve) => this.waiting.push(resolve)) };
  }

  transfer({ request, transfer, doneBelow }, index) {
    const known = this.known(request, transfer);
    if (known) return known;
    this.raiseFloor(request, doneBelow);
    const { from, to, amount } = transfer;
    const intra = this.topology.owner(to) === this.cluster;
    if (this.open.has(request) || this.locks.has(from) || (intra && this.locks.has(to))) return this.busy();
    if (!this.canPay(from, amount)) {
      return this.settle(request, transfer, 'RESULT_INSUFFICIENT_FUNDS', `${from} holds ${this.balance(from)} of ${amount}`);
    }
    if (intra) {
      if (!fits(this.balance(to) + BigInt(amount))) return this.settle(request, transfer, 'RESULT_INVALID', `${to} would overflow`);
      this.add(from, -BigInt(amount));
      this.add(to, BigInt(amount));
      return this.settle(request, transfer, 'RESULT_COMMITTED');
    }
    const transaction = `${this.cluster}-${index}`;
    this.locks.set(from, transaction);
    this.open.set(request, transaction);
    this.coordinated.set(transaction, { request, transfer });
    return { transaction };
  }

  // decide ends a transaction at its coordinator; the first decision counts.
  decide({ transaction, commit }) {
    const entry = this.coordinated.get(transaction);
    if (entry.commit !== undefined) return entry;
    entry.commit = commit;
    const { request, transfer } = entry;
    this.open.delete(request);
    if (commit) {
      this.add(transfer.from, -BigInt(transfer.amount));
      this.settle(request, transfer, 'RESULT_COMMITTED');
    }
    this.unlock(transfer.from);
    return entry;
  }

  prepare({ transaction, to, amount }) {
    const entry = this.participated.get(transaction);
    if (entry) return { yes: entry.commit !== false }; // sent before
    if (this.locks.has(to)) return this.busy();
    if (!fits(this.balance(to) + BigInt(amount))) return { yes: false, message: `${to} would overflow` };
    this.locks.set(to, transaction);
    this.participated.set(transaction, { to, amount });
    return { yes: true };
  }

  // finish ends a transaction at its participant. An abort may come before a
  // delayed prepare and is then remembered against it.
  finish({ transaction, commit }) {
    const entry = this.participated.get(transaction);
    if (entry?.commit !== undefined) return {};
    this.participated.set(transaction, { ...entry, commit });
    if (!entry) return {};
    if (commit) this.add(entry.to, BigInt(entry.amount));
    this.unlock(entry.to);
    return {};
  }

  // resolve makes sure that a request without an outcome never gets another one
  // than aborted.
  resolve({ request, doneBelow }) {
    const known = this.known(request, null);
    if (known) return known;
    this.raiseFloor(request, doneBelow);
    if (this.open.has(request)) return this.busy();
    return this.settle(request, null, 'RESULT_ABORTED', 'resolved before it was executed');
  }

  read({ item }) {
    return this.locks.has(item) ? this.busy() : { balance: this.balance(item).toString() };
  }

  // known returns the final reply to a request that is settled or too old, or
  // undefined. transfer is null if only its name is known.
  known(request, transfer) {
    const outcome = this.outcomes.get(request);
    if (outcome) {
      const same = !transfer || !outcome.transfer || ['from', 'to', 'amount'].every((key) => transfer[key] === outcome.transfer[key]);
      return same ? outcome : final('RESULT_INVALID', 'this client and timestamp name another transfer');
    }
    const [client, timestamp] = request.split('/');
    if (BigInt(timestamp) < (this.floors.get(client) ?? 0n)) return final('RESULT_ABORTED', 'the client was done with it');
    return undefined;
  }

  raiseFloor(request, doneBelow) {
    const [client] = request.split('/');
    const floor = BigInt(doneBelow);
    if (floor > (this.floors.get(client) ?? 0n)) this.floors.set(client, floor);
  }

  canPay(item, amount) {
    return this.balance(item) >= BigInt(amount);
  }

  add(item, amount) {
    this.balances.set(item, this.balance(item) + amount);
  }

  settle(request, transfer, result, message) {
    const outcome = { ...final(result, message), transfer };
    this.outcomes.set(request, outcome);
    this.wake();
    return outcome;
  }

  unlock(item) {
    this.locks.delete(item);
    this.wake();
  }

  wake() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  // undecided yields [transaction, entry] of what this cluster has prepared as a
  // participant and not heard the decision of.
  *undecided() {
    for (const pair of this.participated) if (pair[1].commit === undefined) yield pair;
  }

  // database returns the balances to be shown, as [{ item, balance }]: of the
  // items that were ever modified, or of all.
  database(all) {
    const items = all ? [...this.topology.items(this.cluster)] : [...this.balances.keys()];
    return items.map((item) => ({ item, balance: this.balance(item).toString() }));
  }
}
