// The public services, as gRPC handlers: what may be asked, of whom, and how it
// is answered. The messages are those of proto/paxbank/v1.

import grpc from '@grpc/grpc-js';
import { Lost } from './raft.js';
import { Refusal } from './state.js';

const defaultDeadline = 5000; // ms
const answerMargin = 100; // ms that an answer may take to the client

// unary makes a gRPC handler of an async function from request to reply.
function unary(handle) {
  return ({ request }, answer) => {
    (async () => handle(request))().then((reply) => answer(null, reply), (error) => answer(asStatus(error)));
  };
}

function asStatus(error) {
  if (error instanceof Refusal) return { code: grpc.status[error.status], details: error.message };
  console.error(error);
  return { code: grpc.status.INTERNAL, details: error.message };
}

export function controlService(state) {
  const identity = (replica) => ({ topology: replica.fingerprint, epoch: replica.epoch });
  return {
    Configure: unary(async (request) => identity(await state.configure(request))),
    Reset: unary(async (request) => identity(await state.reset(request))),
    SetLive: unary(async (request) => (await state.setLive(request)) ?? {}),
    Status: unary(() => state.status()),
  };
}

export function inspectService(state) {
  return {
    Balance: unary(({ items }) => {
      const { topology, cluster, bank } = state.configured();
      const held = items.filter((item) => topology.owner(item) === cluster);
      return { items: held.map((item) => ({ item, balance: bank.balance(item).toString() })) };
    }),
    Views: unary(() => ({ views: state.configured().views() })),
    Database: (stream) => {
      try {
        const items = state.configured().bank.database(stream.request.all);
        for (let i = 0; i < items.length; i += 10000) stream.write({ items: items.slice(i, i + 10000) });
        stream.end();
      } catch (error) {
        stream.emit('error', asStatus(error));
      }
    },
  };
}

export function bankService(state) {
  // serve makes an async function from request to reply. item(request) is whose
  // cluster must be asked, invalid(request, topology) says what is wrong with a
  // request, work(replica, request, until) does it at the leader, lost is the
  // result when its outcome remains open, and echo(request) goes into the reply.
  const serve = ({ item, invalid, work, lost = 'RESULT_UNKNOWN', echo = () => ({}) }) =>
    async (request) => {
      const { replica } = state;
      if (!replica?.live) throw new Refusal('UNAVAILABLE', `refused: ${state.id} is ${replica ? 'disconnected' : 'not configured'}`);
      const reply = (answer) => ({ ...echo(request), epoch: replica.epoch, ...answer, success: answer.result === 'RESULT_COMMITTED' });
      const wrong = misplaced(replica, request, item(request), invalid(request, replica.topology));
      if (wrong) return reply(wrong);
      const until = Date.now() + (request.deadline_ms || defaultDeadline) - answerMargin;
      let end;
      const disconnected = new Promise((_, reject) => {
        end = () => reject(new Refusal('UNAVAILABLE', `${state.id} was disconnected at work on this`));
      });
      replica.work.add(end);
      try {
        return reply(await Promise.race([work(replica, request, until), disconnected]));
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        return reply({ result: lost, message: error.message });
      } finally {
        replica.work.delete(end);
      }
    };

  // misplaced returns the answer to what this node must not carry out.
  function misplaced({ epoch, fingerprint, topology, cluster, raft }, request, item, invalid) {
    if (request.epoch !== epoch) return { result: 'RESULT_WRONG_EPOCH', message: `the epoch is ${epoch}` };
    if (request.topology !== '0' && request.topology !== fingerprint) return { result: 'RESULT_WRONG_EPOCH', message: 'another topology' };
    if (invalid) return { result: 'RESULT_INVALID', final: true, message: invalid };
    if (topology.owner(item) !== cluster) return { result: 'RESULT_NOT_LEADER', message: `${item} is not in ${cluster}` };
    if (raft.ready) return undefined;
    if (raft.noQuorum) return { result: 'RESULT_UNAVAILABLE', message: `${cluster} has no quorum` };
    return { result: 'RESULT_NOT_LEADER', leader: raft.role === 'leader' ? '' : raft.leader };
  }

  const name = ({ client_id, timestamp }) => `${client_id}/${timestamp}`;
  const nameless = ({ client_id, timestamp }) => (client_id === '0' || timestamp === '0' ? 'client_id and timestamp are needed' : '');
  const noItem = (item, topology) => (topology.owner(item) ? '' : `there is no item ${item}`);

  const submit = serve({
    item: ({ transfer }) => transfer?.from,
    invalid: (request, topology) => {
      const { transfer } = request;
      if (!transfer) return 'there is no transfer';
      const { from, to, amount } = transfer;
      if (BigInt(amount) <= 0n) return `amount ${amount} is not positive`;
      if (from === to) return `${from} cannot pay itself`;
      return nameless(request) || noItem(from, topology) || noItem(to, topology);
    },
    work: ({ transactions }, request, until) => transactions.submit(name(request), request.transfer, request.done_below, until),
    echo: ({ client_id, timestamp }) => ({ client_id, timestamp }),
  });
  const read = serve({
    item: ({ item }) => item,
    invalid: ({ item }, topology) => noItem(item, topology),
    work: ({ transactions }, request, until) => transactions.read(request.item, until),
    lost: 'RESULT_UNAVAILABLE',
  });
  const resolve = serve({
    item: ({ from }) => from,
    invalid: (request, topology) => nameless(request) || noItem(request.from, topology),
    work: ({ transactions }, request, until) => transactions.resolve(name(request), request.done_below, until),
  });

  // submitStream answers many requests on one stream. Replies that come up in
  // one turn of the event loop go into one message. The first error ends the
  // stream; it says "refused" only if no request on it has an outcome unsaid.
  function submitStream(stream) {
    let underWay = 0;
    let replies = [];
    let ended = false; // by the client
    let failed = false;
    const flush = () => {
      if (failed) return;
      if (replies.length > 0) stream.write({ replies });
      replies = [];
      if (ended && underWay === 0) stream.end();
    };
    const fail = (error) => {
      if (failed) return;
      failed = true;
      // What was under way has failed the stream when the node was disconnected.
      const unsaid = replies.length > 0 && error instanceof Refusal;
      stream.emit('error', asStatus(unsaid ? new Refusal('UNAVAILABLE', `${state.id} was disconnected`) : error));
    };
    const one = async (request) => {
      underWay++;
      try {
        const reply = await submit(request);
        replies.push(reply);
        if (replies.length === 1) setImmediate(flush);
      } catch (error) {
        fail(error);
      }
      underWay--;
    };
    stream.on('data', ({ requests }) => requests.forEach(one));
    stream.on('end', () => {
      ended = true;
      setImmediate(flush);
    });
    stream.on('cancelled', () => (failed = true)); // the client is gone
  }

  return { Submit: unary(submit), SubmitStream: submitStream, Read: unary(read), Resolve: unary(resolve) };
}
