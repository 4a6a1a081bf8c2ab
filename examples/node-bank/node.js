#!/usr/bin/env node
// One node of a replicated bank. The driver's client starts it, tells it with
// Control.Configure which node of which bank it is, and grades what it does.

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bugs, plant } from './bugs.js';
import { channelOptions, peerService } from './peers.js';
import { bankService, controlService, inspectService } from './services.js';
import { State } from './state.js';
import { variations } from './variations.js';

const list = (planted) => Object.entries(planted).map(([name, { about }]) => `  ${name.padEnd(28)}${about}`).join('\n');
const usage = `usage: node node.js --id ID --listen HOST:PORT --data DIRECTORY [--bug NAME | --variation NAME]

Bugs, for trying what a grader makes of them:
${list(bugs)}

Variations that are right, and that a grader must treat alike:
${list(variations)}
`;

function fail(code, message) {
  console.error(message);
  process.exit(code);
}

function parse() {
  const text = { type: 'string' };
  try {
    return parseArgs({ options: { id: text, listen: text, data: text, bug: text, variation: text, help: { type: 'boolean' } } }).values;
  } catch (error) {
    return fail(64, `${error.message}\n\n${usage}`);
  }
}

const { id, listen, data, bug, variation, help } = parse();
if (help) {
  console.log(usage);
  process.exit(0);
}
if (!id || !listen || !data) fail(64, `--id, --listen and --data are needed\n\n${usage}`);
if (bug) {
  if (!bugs[bug]) fail(64, `no bug is named ${bug}\n\n${usage}`);
  plant(bug, id);
}
if (variation && !variations[variation]) fail(64, `no variation is named ${variation}\n\n${usage}`);

const files = ['bank', 'control', 'inspect'].map((name) => `paxbank/v1/${name}.proto`);
const definition = protoLoader.loadSync(files, {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
});
const { Bank, Control, Inspect } = grpc.loadPackageDefinition(definition).paxbank.v1;

const state = new State(id, data);
await state.load().catch((error) => fail(70, `cannot use ${data}: ${error.message}`));

const server = new grpc.Server(channelOptions);
const services = { bank: bankService(state), control: controlService(state), inspect: inspectService(state) };
if (variation) variations[variation].plant(services);
server.addService(Bank.service, services.bank);
server.addService(Control.service, services.control);
server.addService(Inspect.service, services.inspect);
server.addService(peerService, {
  call: ({ request }, answer) => {
    const receiving = state.replica ? state.replica.receive(request) : Promise.reject(new Error(`${id} is not configured`));
    receiving.then(
      (reply) => answer(null, reply),
      (error) => answer({ code: grpc.status.UNAVAILABLE, details: error.message }),
    );
  },
});
server.bindAsync(listen, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) fail(69, `cannot listen on ${listen}: ${error.message}`);
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
