// Right variations of the bank: other than the usual one, and as right. A grader
// has to treat them alike. --variation NAME plants one, from here as in bugs.js.

import { override } from './override.js';
import { Raft } from './raft.js';
import { Replica } from './replica.js';

const pause = 50; // ms

export const variations = {
  slow: {
    about: `each answer to a client or the driver takes ${pause} ms more`,
    plant: (services) => {
      for (const service of Object.values(services)) {
        for (const [name, handle] of Object.entries(service)) {
          // A stream keeps its answers to itself, and is not slowed down.
          if (handle.length > 1) service[name] = (call, answer) => handle(call, (...reply) => setTimeout(answer, pause, ...reply));
        }
      }
    },
  },
  bare: {
    about: 'no call and no field that the contract does not need',
    plant: ({ bank, inspect }) => {
      delete bank.SubmitStream;
      delete bank.Resolve;
      delete inspect.Views;
      override(Replica, 'status', (status) => {
        const { node_id, configured, topology, epoch, ready, leader, quorum, commit_index, applied_index } = status();
        return { node_id, configured, topology, epoch, ready, leader, quorum, commit_index, applied_index };
      });
    },
  },
  'last-leads': {
    about: 'the last node of a fresh cluster leads first, and later elections take longer',
    plant: () =>
      override(Raft, 'connect', function (connect) {
        const fresh = this.term === 0 && !this.live;
        connect();
        const place = this.nodes.length - 1 - this.nodes.indexOf(this.id);
        if (fresh) this.electionAt = Date.now() + 50 + 200 * place;
        else this.electionAt += 500;
      }),
  },
};
