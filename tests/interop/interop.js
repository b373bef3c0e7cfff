// The daemon as other people's programs meet it: jayson (newline framing), vscode-jsonrpc (header framing), and an
// OpenRPC checker. Wants the daemon's socket in ASPACED_SOCKET and the packages in NODE_PATH.
'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const test = require('node:test');
const { promisify } = require('node:util');
const jayson = require('jayson');
const vscode = require('vscode-jsonrpc/node');
const { parseOpenRPCDocument, validateOpenRPCDocument, MethodCallValidator } = require('@open-rpc/schema-utils-js');

const path = process.env.ASPACED_SOCKET;

function jaysonClient() {
  const client = jayson.Client.tcp({ path });
  // request(method, params, id) gives the whole reply; a batch is request([...])
  return promisify(client.request.bind(client));
}

async function vscodeClient(t) {
  const socket = net.connect(path);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const connection = vscode.createMessageConnection(
    new vscode.StreamMessageReader(socket), new vscode.StreamMessageWriter(socket));
  connection.listen();
  t.after(() => { connection.dispose(); socket.destroy(); });
  return connection;
}

test('jayson gets results, by name and by position', async () => {
  const ask = jaysonClient();
  assert.deepEqual((await ask('daemon.ping', {})).result, {});
  assert.equal((await ask('space.create', { name: 'jayson' })).result.name, 'jayson');
  assert.equal((await ask('area.map', ['jayson', '64K', 'rw-'])).result.area.size, '0x10000');
  assert.deepEqual((await ask('space.destroy', { space: 'jayson' })).result, {});
});

test('jayson gets its id back, a string or a number', async () => {
  const ask = jaysonClient();
  assert.equal((await ask('daemon.ping', {}, 'caf\u00e9 \u{1f600}')).id, 'caf\u00e9 \u{1f600}');
  assert.equal((await ask('daemon.ping', {}, 9007199254740991)).id, 9007199254740991);
});

test('jayson gets errors as errors', async () => {
  const ask = jaysonClient();
  assert.equal((await ask('no.such', {})).error.code, -32601);
  assert.equal((await ask('space.info', {})).error.code, -32602);
  const { error } = await ask('space.info', { space: 'nobody' });
  assert.equal(error.code, 4);
  assert.equal(error.data.name, 'NotFound');
});

test('jayson sends a batch and gets one array', async () => {
  const client = jayson.Client.tcp({ path });
  const replies = await promisify(client.request.bind(client))([
    client.request('daemon.ping', {}, 'a', false), client.request('no.such', {}, 'b', false)]);
  assert.deepEqual(replies.map((reply) => [reply.id, 'result' in reply]), [['a', true], ['b', false]]);
});

test('vscode-jsonrpc keeps hundreds of requests in flight on one connection', async (t) => {
  const connection = await vscodeClient(t);
  await connection.sendRequest('space.create', { name: 'vscode' });
  const maps = Array.from({ length: 300 }, (_, n) => connection.sendRequest('area.map',
    { space: 'vscode', start: 0x100000 + n * 0x2000, size: 4096, flags: 'rw-', tag: `n\u00e9 ${n}` }));
  const results = await Promise.all(maps);
  assert.deepEqual(results.map((one) => one.generation), results.map((_, n) => n + 1));
  const listed = await connection.sendRequest('area.list', { space: 'vscode' });
  assert.deepEqual(listed.areas.map((area) => area.tag), results.map((_, n) => `n\u00e9 ${n}`));
  assert.deepEqual(await connection.sendRequest('space.check', { space: 'vscode' }), { problems: [], ok: true });
  await connection.sendRequest('space.destroy', { space: 'vscode' });
});

test('vscode-jsonrpc gets errors as errors, and its notifications are carried out', async (t) => {
  const connection = await vscodeClient(t);
  await assert.rejects(connection.sendRequest('no.such'), { code: -32601 });
  await connection.sendNotification('space.create', { name: 'noted' });
  await assert.rejects(connection.sendRequest('space.create', { name: 'noted' }), (error) => {
    assert.equal(error.code, 2);
    assert.equal(error.data.name, 'AlreadyExists');
    return true;
  });
  await connection.sendRequest('space.destroy', { space: 'noted' });
});

test('rpc.discover is an OpenRPC document, every reference in it leads somewhere, and its schemas take real calls', async () => {
  const ask = jaysonClient();
  const { result } = await ask('rpc.discover', {});
  assert.equal(validateOpenRPCDocument(result), true);
  const document = await parseOpenRPCDocument(result, { validate: true, dereference: true });
  assert.ok(document.methods.length > 30);
  const validator = new MethodCallValidator(document);
  assert.deepEqual(validator.validate('area.map', { space: 's', size: '4K', flags: 'rw-', start: 4096 }), []);
  assert.deepEqual(validator.validate('area.list', { space: 's' }), []);
  assert.notDeepEqual(validator.validate('area.map', { space: 's', size: '4K' }), []);
  assert.notDeepEqual(validator.validate('area.map', { space: 's', size: true, flags: 'rw-' }), []);
});
