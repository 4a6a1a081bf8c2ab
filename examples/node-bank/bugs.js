// Wrong variants of the bank, to see what a grader makes of them. Each is
// planted from here, by replacing a method, so that the other files stay as they
// should be. --bug NAME plants one.

import { Bank } from './bank.js';
import { override } from './override.js';
import { Raft } from './raft.js';
import { State } from './state.js';
import { Transactions } from './transactions.js';

// everyNth returns a function that is true each nth time.
function everyNth(n) {
  let count = 0;
  return () => ++count % n === 0;
}

export const bugs = {
  'loses-money-on-abort': {
    about: 'the sender pays for transfers that were aborted',
    plant: () =>
      override(Bank, 'decide', function (decide, command) {
        const { commit, transfer } = this.coordinated.get(command.transaction);
        if (commit === undefined && !command.commit) this.add(transfer.from, -BigInt(transfer.amount));
        return decide(command);
      }),
  },
  'double-applies-retry': {
    about: 'each second transfer is sent to the log twice, and nobody remembers it',
    plant: () => {
      const again = everyNth(2);
      override(Bank, 'known', () => undefined);
      override(Transactions, 'submit', async (submit, ...args) => {
        const outcome = await submit(...args);
        return outcome.result === 'RESULT_COMMITTED' && again() ? submit(...args) : outcome;
      });
    },
  },
  'stale-read-after-failover': {
    about: 'later leaders answer reads from the state in which they took over',
    plant: () => {
      override(Transactions, 'inherit', function (inherit) {
        if (this.raft.term > 1) this.stale = new Map(this.bank.balances);
        inherit();
      });
      override(Transactions, 'read', function (read, item, until) {
        if (!this.stale) return read(item, until);
        const balance = this.stale.get(item) ?? this.bank.topology.initialBalance(item);
        return { result: 'RESULT_COMMITTED', balance: balance.toString() };
      });
    },
  },
  'forgets-catch-up': {
    about: 'a recovered node takes what it missed for applied',
    plant: () => {
      override(Raft, 'connect', function (connect) {
        const { apply, applied } = this;
        let missed = applied > 0 ? Infinity : 0; // up to this index; not known yet
        this.missed = (commit) => (missed = Math.min(missed, commit));
        this.apply = (command, index) => (index <= missed ? {} : apply(command, index));
        connect();
      });
      override(Raft, 'receive', function (receive, message) {
        if (message.type === 'append') this.missed(message.commit);
        return receive(message);
      });
    },
  },
  'ignores-F': {
    about: 'SetLive(false) is answered and ignored',
    plant: () => override(State, 'setLive', (setLive, request) => (request.live ? setLive(request) : {})),
  },
  'commits-without-quorum': {
    about: 'a leader needs nobody else to commit',
    plant: () => {
      const { get } = Object.getOwnPropertyDescriptor(Raft.prototype, 'majority');
      Object.defineProperty(Raft.prototype, 'majority', {
        get() {
          return this.role === 'leader' ? 1 : get.call(this);
        },
      });
    },
  },
  'swaps-sender-and-receiver': {
    about: 'transfers within c2 go the other way',
    plant: () =>
      override(Bank, 'transfer', function (apply, command, index) {
        const { from, to, amount } = command.transfer;
        const swapped = this.cluster === 'c2' && this.topology.owner(to) === 'c2';
        return apply(swapped ? { ...command, transfer: { from: to, to: from, amount } } : command, index);
      }),
  },
  hangs: {
    about: 'a node never answers its sixth and later Submit',
    plant: () => {
      let count = 0;
      override(Transactions, 'submit', (submit, ...args) => (++count > 5 ? new Promise(() => {}) : submit(...args)));
    },
  },
  crashes: {
    about: 'a node exits at its sixth Submit',
    plant: () => {
      const sixth = everyNth(6);
      override(Transactions, 'submit', (submit, ...args) => (sixth() ? process.exit(1) : submit(...args)));
    },
  },
  'answers-garbage': {
    about: 'each third answer has no result, each fifth another name',
    plant: () => {
      const third = everyNth(3);
      const fifth = everyNth(5);
      override(Transactions, 'submit', async (submit, ...args) => {
        const outcome = await submit(...args);
        if (third()) return { ...outcome, result: 'RESULT_UNSPECIFIED' };
        return fifth() ? { ...outcome, client_id: '1', timestamp: '999999' } : outcome;
      });
    },
  },
  'lies-in-PrintDB': {
    about: 'receivers get one too little, but Database has it right',
    plant: () => {
      override(Bank, 'add', function (add, item, amount) {
        this.right ??= new Map();
        this.right.set(item, (this.right.get(item) ?? this.balance(item)) + amount);
        add(item, amount > 0n ? amount - 1n : amount);
      });
      override(Bank, 'database', function () {
        return [...(this.right ?? [])].map(([item, balance]) => ({ item, balance: balance.toString() }));
      });
    },
  },
  'wrong-in-PrintDB': {
    about: 'Database has one too much for each item',
    plant: () => override(Bank, 'database', (database, all) => database(all).map(({ item, balance }) => ({ item, balance: `${BigInt(balance) + 1n}` }))),
  },
  'accepts-overdraft': {
    about: 'nobody checks whether the sender can pay',
    plant: () => override(Bank, 'canPay', () => true),
  },
  'wrong-epoch-kept': {
    about: 'Reset begins an epoch with the balances of the last one',
    plant: () =>
      override(State, 'reset', async function (reset, request) {
        const { balances } = this.configured().bank;
        const replica = await reset(request);
        for (const [item, balance] of balances) replica.bank.balances.set(item, balance);
        return replica;
      }),
  },
  'leaves-locks': {
    about: 'an aborted transfer keeps its sender locked',
    plant: () =>
      override(Bank, 'decide', function (decide, command) {
        const entry = this.coordinated.get(command.transaction);
        const result = decide(command);
        if (!result.commit) this.locks.set(entry.transfer.from, command.transaction);
        return result;
      }),
  },
  'says-committed': {
    about: 'each fourth transfer is acknowledged and not carried out',
    plant: () => {
      const fourth = everyNth(4);
      override(Transactions, 'submit', (submit, ...args) => (fourth() ? { result: 'RESULT_COMMITTED', final: true } : submit(...args)));
    },
  },
  'one-replica-differs': {
    about: 'n3 forgets what its items receive',
    plant: (id) =>
      override(Bank, 'add', (add, item, amount) => {
        if (id !== 'n3' || amount < 0n) add(item, amount);
      }),
  },
};

// plant makes a bug part of this process, which is node id.
export function plant(name, id) {
  bugs[name].plant(id);
}
