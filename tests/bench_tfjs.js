// The engine as WebAssembly beside TensorFlow.js on its wasm backend: LeNet5 and a GRU as the program
// makes them, inference of 1 and 64 images and a training step of 32. Both have SIMD and one thread, and
// take turns in one run; medians in milliseconds, and each one's shortest, which a busy machine spoils
// less.
//
//     make web && npm install --prefix build/tfjs --ignore-scripts @tensorflow/tfjs \
//       @tensorflow/tfjs-backend-wasm && node tests/bench_tfjs.js [BUILD] [ROUNDS]
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');
const build = path.resolve(process.argv[2] || 'build'), rounds = +process.argv[3] || 15;
const modules = path.resolve('build/tfjs/node_modules/@tensorflow');
console.warn = () => {}; // advice
const tf = require(path.join(modules, 'tfjs'));
const wasm = require(path.join(modules, 'tfjs-backend-wasm'));

const work = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-'));
const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];
const clock = f => { const begin = process.hrtime.bigint(); f(); return Number(process.hrtime.bigint() - begin) / 1e6; };

function lenet5() {
  const l = tf.layers, relu = 'relu', padding = 'same', m = tf.sequential();
  m.add(l.conv2d({ inputShape: [28, 28, 1], filters: 32, kernelSize: 5, padding, activation: relu }));
  m.add(l.maxPooling2d({ poolSize: 2 }));
  m.add(l.conv2d({ filters: 64, kernelSize: 5, padding, activation: relu }));
  m.add(l.maxPooling2d({ poolSize: 2 }));
  m.add(l.flatten());
  m.add(l.dense({ units: 1024, activation: relu }));
  m.add(l.dense({ units: 10 }));
  return m;
}
function gru() {
  const m = tf.sequential();
  m.add(tf.layers.gru({ inputShape: [28, 28], units: 128, recurrentActivation: 'sigmoid' }));
  m.add(tf.layers.dense({ units: 10 }));
  return m;
}

async function main() {
  const { load } = await import(path.join(build, 'nn.mjs'));
  const nn = await load(fs.readFileSync(path.join(build, 'nn.wasm')));
  wasm.setWasmPaths(path.join(modules, 'tfjs-backend-wasm', 'dist') + '/');
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await tf.setBackend('wasm');
  await tf.ready();
  console.log(`tfjs ${tf.version.tfjs}, ${tf.getBackend()}, SIMD ${await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')}; `
    + `node ${process.version}; ${os.cpus()[0].model}`);
  console.log('                          nn      tfjs   nn/tfjs  shortest: nn   tfjs   nn/tfjs');
  for (const [name, words, make, shape] of [['LeNet5', ['--cell', 'cnn'], lenet5, [28, 28, 1]],
    ['GRU 128', ['--cell', 'gru', '--hidden', '128'], gru, [28, 28]]]) {
    const folder = path.join(work, name.replace(' ', '-'));
    execFileSync(path.join(build, 'nn'), ['mnist', ...words, '--steps', '1', '--batch', '32', '--out', folder, '--quiet'],
      { cwd: work, stdio: 'ignore' });
    const bytes = fs.readFileSync(path.join(folder, 'best.nn')), theirs = make();
    const pixels = Float32Array.from({ length: 64 * 784 }, (_, i) => (i * 7919 % 256) / 255);
    for (const [what, n, train] of [['one image', 1, 0], ['64 images', 64, 0], ['a step of 32', 32, 1]]) {
      const ours = nn.open(bytes, n, train), x = tf.tensor(pixels.slice(0, n * 784), [n, ...shape]);
      const y = tf.oneHot(tf.tensor1d(Array.from({ length: n }, (_, i) => i % 10), 'int32'), 10);
      const sgd = tf.train.sgd(.01), sample = pixels.slice(0, n * 784);
      nn.view(Float32Array, nn.c.play_x(ours.at), sample.length).set(sample);
      nn.view(Int32Array, nn.c.play_labels(ours.at), n).set(Array.from({ length: n }, (_, i) => i % 10));
      const own = () => train ? nn.c.play_train(ours.at, n) : ours.run(sample);
      const other = () => tf.tidy(() => {
        if (!train) return void tf.softmax(theirs.predict(x, { batchSize: n })).dataSync();
        sgd.minimize(() => tf.losses.softmaxCrossEntropy(y, theirs.apply(x, { training: true })), true).dataSync();
      });
      const times = [[], []];
      let why = '';
      try { other(); } catch (e) { why = e.message.split('\n')[0]; }
      own();
      const often = Math.max(1, Math.ceil(20 / clock(own)));
      for (let r = 0; r < rounds; r++)
        [own, other].forEach((f, k) => {
          if (!why || !k) times[k].push(clock(() => { for (let i = 0; i < often; i++) f(); }) / often);
        });
      const [a, b] = times.map(median), [c, d] = times.map(t => Math.min(...t)), cell = v => v.toFixed(3).padStart(9);
      console.log(`${(name + ', ' + what).padEnd(22)}${cell(a)} ` + (why ? `   tfjs cannot: ${why}` : cell(b) + cell(a / b) + '     ' + cell(c) + cell(d) + cell(c / d)));
      ours.close();
    }
  }
  fs.rmSync(work, { recursive: true });
}
main();
