// The ONNX Runtime side of tests/onnx.
//
//     node tests/onnx.js MODULES FOLDER [answer]     where onnxruntime-node and the models are
//
// Runs each NAME.onnx on the samples of NAME.bin (see tests/test_onnx.c) and compares what comes
// out with the answers there; or, told to answer, adds them. One line for each that is off, and the
// last line sums.
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require(path.resolve(process.argv[2], 'onnxruntime-node'));

const TOLERANCE = 1e-4; // of the greater of 1 and the answer

async function off(file) {
  const options = { intraOpNumThreads: 1, logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(file, options);
  const bytes = fs.readFileSync(file.replace(/onnx$/, 'bin'));
  const start = bytes.byteOffset;
  const values = new Float32Array(bytes.buffer.slice(start + 4, start + bytes.length));
  const n = bytes.readUInt32LE(0);
  const feeds = {};
  let at = 0;
  for (const input of session.inputMetadata) {
    const shape = [n, ...input.shape.slice(1)];
    const count = shape.reduce((a, b) => a * b, 1);
    const part = values.subarray(at, at + count);
    const data = input.type === 'int64' ? BigInt64Array.from(part, (v) => BigInt(v)) : part;
    feeds[input.name] = new ort.Tensor(input.type, data, shape);
    at += count;
  }
  const result = (await session.run(feeds))[session.outputNames[0]];
  if (process.argv[4]) {
    fs.appendFileSync(file.replace(/onnx$/, 'bin'), Buffer.from(Float32Array.from(result.data).buffer));
    return '';
  }
  const wanted = values.subarray(at);
  if (result.data.length !== wanted.length) return `${result.dims}, not ${wanted.length} numbers`;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    const far = Math.abs(result.data[i] - wanted[i]) / Math.max(1, Math.abs(wanted[i]));
    if (!(far <= worst)) worst = far;
  }
  return worst <= TOLERANCE ? '' : `off by ${worst}`;
}

async function main() {
  let passed = 0, failed = 0;
  for (const file of fs.readdirSync(process.argv[3]).filter((name) => name.endsWith('.onnx'))) {
    const said = await off(path.join(process.argv[3], file)).catch((error) => error.message);
    if (said) console.log(`${file}: ${said}`);
    if (said) failed++; else passed++;
  }
  console.log(`${passed} passed, ${failed} failed`);
}
main();
