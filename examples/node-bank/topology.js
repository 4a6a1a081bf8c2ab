// The shape of the bank: clusters, their nodes, and which cluster owns which
// items. Numbers of 64 bits are decimal strings in messages and in the journal,
// and BigInt where they are counted with.

import { createHash } from 'node:crypto';

const maxInt64 = 2n ** 63n - 1n;

export class Topology {
  // shape is a paxbank.v1.Topology message. An Error says what is wrong with it.
  constructor(shape) {
    this.shape = shape;
    this.clusters = new Map(); // cluster id -> node ids
    this.clusterOf = new Map(); // node id -> cluster id
    this.addresses = new Map(); // node id -> host:port
    for (const { id, nodes } of shape?.clusters ?? []) {
      if (!id || nodes.length === 0) throw new Error(`cluster "${id}" needs an id and nodes`);
      if (this.clusters.has(id)) throw new Error(`cluster ${id} occurs twice`);
      this.clusters.set(id, nodes.map((node) => node.id));
      for (const node of nodes) {
        if (!node.id || !node.address) throw new Error(`a node of ${id} lacks its id or address`);
        if (this.clusterOf.has(node.id)) throw new Error(`node ${node.id} occurs twice`);
        this.clusterOf.set(node.id, id);
        this.addresses.set(node.id, node.address);
      }
    }
    if (this.clusters.size === 0) throw new Error('the topology has no clusters');
    this.ranges = (shape.item_map?.ranges ?? []).map((range) => {
      const first = BigInt(range.first_item);
      const last = BigInt(range.last_item);
      if (first > last) throw new Error(`items ${first} to ${last} are no range`);
      if (!this.clusters.has(range.cluster)) throw new Error(`unknown cluster ${range.cluster} of items ${first} to ${last}`);
      return { first, last, cluster: range.cluster };
    });
    this.ranges.forEach((range, i) => {
      if (i > 0 && range.first <= this.ranges[i - 1].last) throw new Error(`item ${range.first} is claimed twice or out of order`);
    });
    this.initial = new Map(shape.balances.map(({ item, balance }) => [item, BigInt(balance)]));
    for (const balance of [BigInt(shape.initial_balance), ...this.initial.values()]) {
      if (balance < 0n || balance > maxInt64) throw new Error(`initial balance ${balance} is out of range`);
    }
  }

  // owner returns the id of the cluster that holds item, or undefined.
  owner(item) {
    const number = BigInt(item);
    return this.ranges.find(({ first, last }) => first <= number && number <= last)?.cluster;
  }

  // initialBalance of an item that some cluster holds.
  initialBalance(item) {
    return this.initial.get(item) ?? BigInt(this.shape.initial_balance);
  }

  // items yields all items of a cluster, ascending.
  *items(cluster) {
    for (const range of this.ranges) {
      if (range.cluster !== cluster) continue;
      for (let item = range.first; item <= range.last; item++) yield item.toString();
    }
  }

  // fingerprint is the same on all nodes of a bank, wherever they listen: a
  // decimal string of 64 bits, not 0.
  get fingerprint() {
    const { clusters, ...rest } = this.shape;
    const names = clusters.map(({ id, nodes }) => [id, nodes.map((node) => node.id)]);
    const digest = createHash('sha256').update(JSON.stringify([names, rest])).digest();
    return (digest.readBigUInt64BE() | 1n).toString();
  }
}

// fits tells whether a balance is within 64 bits.
export function fits(balance) {
  return balance <= maxInt64;
}
