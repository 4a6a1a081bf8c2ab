// What a process is: a node with a directory, and the replica that it was
// configured to be, if any. The calls of Control change it one at a time.

import { Replica } from './replica.js';
import { Topology } from './topology.js';

// Refusal is an error for the caller, with the name of a gRPC status.
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class State {
  replica = null;
  #turn = Promise.resolve();

  constructor(id, directory) {
    this.id = id;
    this.directory = directory;
  }

  async load() {
    this.replica = await Replica.load(this.directory);
    if (this.replica && this.replica.id !== this.id) throw new Error(`it belongs to ${this.replica.id}`);
  }

  configure({ node_id, topology: shape, epoch }) {
    return this.#inTurn(async () => {
      const number = BigInt(epoch);
      if (node_id !== this.id) throw new Refusal('INVALID_ARGUMENT', `this is ${this.id}, not ${node_id}`);
      if (number === 0n) throw new Refusal('INVALID_ARGUMENT', 'epochs begin at 1');
      let topology;
      try {
        topology = new Topology(shape);
      } catch (error) {
        throw new Refusal('INVALID_ARGUMENT', error.message);
      }
      if (!topology.clusterOf.has(node_id)) throw new Refusal('INVALID_ARGUMENT', `${node_id} is not in the topology`);
      const current = this.replica;
      if (current && number < BigInt(current.epoch)) throw new Refusal('FAILED_PRECONDITION', `epoch ${epoch} is over, it is ${current.epoch}`);
      if (current && epoch === current.epoch) {
        if (topology.fingerprint !== current.fingerprint) throw new Refusal('FAILED_PRECONDITION', `epoch ${epoch} has another topology`);
        current.setLive(false);
        current.topology.addresses = topology.addresses;
        return current;
      }
      return this.#begin({ id: node_id, shape, epoch });
    });
  }

  reset({ epoch }) {
    return this.#inTurn(() => {
      const current = this.configured();
      if (epoch === current.epoch) return current;
      if (BigInt(epoch) < BigInt(current.epoch)) throw new Refusal('FAILED_PRECONDITION', `epoch ${epoch} is over, it is ${current.epoch}`);
      return this.#begin({ id: this.id, shape: current.topology.shape, epoch });
    });
  }

  setLive({ live }) {
    return this.#inTurn(() => this.configured().setLive(live));
  }

  status() {
    return this.replica ? this.replica.status() : { node_id: this.id };
  }

  // configured returns the replica.
  configured() {
    if (!this.replica) throw new Refusal('FAILED_PRECONDITION', `${this.id} is not configured`);
    return this.replica;
  }

  async #begin(identity) {
    if (this.replica) await this.replica.close();
    this.replica = await Replica.begin(this.directory, identity);
    return this.replica;
  }

  #inTurn(change) {
    const done = this.#turn.then(change);
    this.#turn = done.catch(() => {});
    return done;
  }
}
