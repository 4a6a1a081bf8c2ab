// Messages between nodes: one gRPC call that carries JSON either way, served on
// the same address as the public services.

import grpc from '@grpc/grpc-js';

const json = {
  requestSerialize: (value) => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes) => JSON.parse(bytes.toString()),
};

// peerService is the definition to be added to the gRPC server, with a handler
// named `call`.
export const peerService = {
  call: {
    path: '/nodebank.Peer/Call',
    requestStream: false,
    responseStream: false,
    ...json,
    responseSerialize: json.requestSerialize,
    responseDeserialize: json.requestDeserialize,
  },
};

const Client = grpc.makeGenericClientConstructor(peerService, 'Peer');

export const channelOptions = {
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.max_send_message_length': 64 << 20,
  // A node that comes back after a crash should be found again at once.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 400,
};

const clients = new Map(); // address -> Client

// call sends a message to the node at an address and returns its answer. It
// rejects when there is none within timeout (ms).
export function call(address, message, timeout) {
  let client = clients.get(address);
  if (!client) {
    client = new Client(address, grpc.credentials.createInsecure(), channelOptions);
    clients.set(address, client);
  }
  return new Promise((resolve, reject) => {
    client.call(message, { deadline: Date.now() + timeout }, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

// silence is what to make of an error of call: null if the node is gone, an empty
// answer if it is merely slow, which says nothing about its cluster's quorum.
export function silence(error) {
  return error.code === grpc.status.DEADLINE_EXCEEDED ? {} : null;
}
