// A busy Node.js program that checks itself until its input ends: compiled loops, workers, its collector, sockets, files,
// children. Says "whole" then.
const { Worker, isMainThread, parentPort } = require('worker_threads');
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const { execFile } = require('child_process');

let over = false;
let running = 0;

function wrong(what) {
  console.log('wrong:', what);
  process.exit(1);
}

function sum(n) {
  let total = 0;
  for (let i = 0; i < n; i++) total += i % 7;
  return total;
}

const wantSum = sum(100000);
const wantHash = crypto.createHash('sha256').update('whole').digest('hex');

function compute(next) {
  if (sum(100000) !== wantSum) wrong('a sum');
  if (crypto.createHash('sha256').update('whole').digest('hex') !== wantHash) wrong('a hash');
  const objects = [];
  for (let i = 0; i < 2000; i++) objects.push({ text: 'v' + i });
  for (let i = 0; i < 2000; i++) if (objects[i].text !== 'v' + i) wrong('memory');
  setImmediate(next);
}

function again(work) {
  running++;
  const next = () => {
    if (!over) return work(next);
    if (--running === 0) end();
  };
  next();
}

function end() {
  if (!isMainThread) return parentPort.close();
  console.log('whole');
  process.exit(0);
}

process.on('uncaughtException', (error) => wrong(error.stack));
again(compute);
if (!isMainThread) {
  parentPort.on('message', () => { over = true; });
} else {
  const workers = [new Worker(__filename), new Worker(__filename)];
  for (const worker of workers) worker.on('error', (error) => wrong(error.stack));
  const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
    again((next) => {
      const socket = net.connect(server.address().port, '127.0.0.1', () => socket.write('whole'));
      socket.on('error', (error) => wrong(error.stack));
      socket.on('data', (data) => String(data) === 'whole' ? socket.end() : wrong('an echo'));
      socket.on('close', next);
    });
    console.log('ready');
  });
  again((next) => fs.readFile(__filename, (error) => error ? wrong(error.stack) : next()));
  again((next) => execFile('/bin/echo', ['whole'], (error, out) => error || out !== 'whole\n' ? wrong('a child') : next()));
  process.stdin.resume().on('end', () => {
    over = true;
    for (const worker of workers) worker.postMessage('over');
  });
}
