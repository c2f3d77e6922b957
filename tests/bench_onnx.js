// The ONNX Runtime side of tests/bench.c, which starts it and speaks with it over two pipes.
//
//     node tests/bench_onnx.js FOLDER     where node_modules/onnxruntime-node and the models are
//
// The first line out is "ready VERSION". Then for each line in, "CASE COUNT THREADS", it runs
// FOLDER/CASE.onnx (a colon of the case is a '-' there) COUNT times on so many threads and answers
// with the mean milliseconds of one run, or "-1" where it cannot.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const folder = path.resolve(process.argv[2]);
const modules = path.join(folder, 'node_modules', 'onnxruntime-node');
const ort = require(modules);

let present = '', session = null, feeds = {};

async function open(name, threads) {
  if (present === name + threads) return;
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
  session = await ort.InferenceSession.create(
    path.join(folder, name.replace(/:/g, '-') + '.onnx'), options);
  feeds = {};
  for (const input of session.inputMetadata) {
    const values = new Float32Array(input.shape.reduce((a, b) => a * b, 1)).map(Math.random);
    feeds[input.name] = new ort.Tensor('float32', values, input.shape);
  }
  for (let i = 0; i < 3; i++) await session.run(feeds);
  present = name + threads;
}

async function answer(line) {
  const [name, count, threads] = line.trim().split(' ');
  try {
    await open(name, +threads);
    const start = process.hrtime.bigint();
    for (let i = 0; i < +count; i++) await session.run(feeds);
    console.log(Number(process.hrtime.bigint() - start) / 1e6 / +count);
  } catch (error) {
    console.error(error.message);
    console.log(-1);
  }
}

async function main() {
  const version = JSON.parse(fs.readFileSync(path.join(modules, 'package.json'))).version;
  console.log('ready ' + version);
  for await (const line of readline.createInterface({ input: process.stdin })) await answer(line);
}
main();
