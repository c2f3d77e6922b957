// Runs a script in pages, in headless Chromium, by the DevTools protocol over two pipes.
//
//     node tests/web.js CHROMIUM FOLDER SCRIPT NAME=FILE,light|dark,WIDTH ..
//
// FOLDER: where the browser may keep its files. The script's value is printed, and for each page
// "checked NAME" and what it said on the console or threw. A page finds its `name`, and
// `act(METHOD, PARAMETERS)`, by which it asks for what a mouse, a finger or a key does; random numbers
// and the time of day are always the same. With SCREENSHOTS=DIR, DIR/NAME.png is how it looked at last.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');
const [browser, folder, script, ...pages] = process.argv.slice(2);
const child = spawn(browser, ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
  '--no-first-run', '--remote-debugging-pipe', '--user-data-dir=' + folder],
  { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const waiting = new Map(), listeners = new Map();
let sent = 0, rest = '';
function send(method, params = {}, sessionId = undefined) {
  child.stdio[3].write(JSON.stringify({ id: ++sent, method, params, sessionId }) + '\0');
  return new Promise((done, failed) => waiting.set(sent, { done, failed, method }));
}
child.stdio[4].setEncoding('utf8').on('data', data => {
  const messages = (rest + data).split('\0');
  rest = messages.pop();
  for (const m of messages.map(JSON.parse)) {
    if (!m.id) { (listeners.get(m.sessionId) || (() => {}))(m); continue; }
    const { done, failed, method } = waiting.get(m.id);
    waiting.delete(m.id);
    if (m.error) failed(new Error(method + ': ' + m.error.message)); else done(m.result);
  }
});

const first = name => `var name = ${JSON.stringify(name)}, acted, random = 1;
  Math.random = () => (random = random * 16807 % 2147483647) / 2147483647;
  Date.now = () => 7;
  var act = (method, params) => new Promise(done => { acted = done; asked(JSON.stringify([method, params])); });`;
async function use(name, file, scheme, width) {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const tell = (method, params) => send(method, params, sessionId), words = [];
  let loaded;
  const load = new Promise(done => { loaded = done; });
  listeners.set(sessionId, async ({ method, params }) => {
    if (method === 'Page.loadEventFired') loaded();
    if (method === 'Runtime.bindingCalled') {
      const [what, how] = JSON.parse(params.payload);
      await tell(what, how);
      await tell('Runtime.evaluate', { expression: 'acted()' });
    }
    if (method === 'Runtime.consoleAPICalled') words.push(params.args.map(a => a.value).join(' '));
    if (method === 'Runtime.exceptionThrown') words.push(params.exceptionDetails.text + ' '
      + (params.exceptionDetails.exception || {}).description);
    if (method === 'Log.entryAdded') words.push(params.entry.text);
  });
  for (const what of ['Page', 'Runtime', 'Log']) await tell(what + '.enable');
  await tell('Runtime.addBinding', { name: 'asked' });
  await tell('Page.addScriptToEvaluateOnNewDocument', { source: first(name) });
  await tell('Emulation.setDeviceMetricsOverride', { width: +width, height: 900, deviceScaleFactor: 1, mobile: false });
  await tell('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  await tell('Page.navigate', { url: 'file://' + path.resolve(file) });
  await load;
  const { result, exceptionDetails } = await tell('Runtime.evaluate', { expression: fs.readFileSync(script, 'utf8'),
    awaitPromise: true, returnByValue: true });
  console.log(exceptionDetails ? `FAIL ${name} ${exceptionDetails.text} ${(exceptionDetails.exception || {}).description}`
    : result.value);
  for (const w of words) console.log(`FAIL ${name} console: ${w}`);
  if (process.env.SCREENSHOTS) {
    const { data } = await tell('Page.captureScreenshot', { captureBeyondViewport: true });
    fs.writeFileSync(path.join(process.env.SCREENSHOTS, name + '.png'), Buffer.from(data, 'base64'));
  }
  console.log('checked ' + name);
  await send('Target.closeTarget', { targetId });
}
async function main() {
  for (const page of pages) {
    const [name, what] = page.split(/=(.*)/);
    await use(name, ...what.split(','));
  }
}
main().catch(e => { console.log('FAIL ' + e.message); process.exitCode = 1; }).finally(() => {
  send('Browser.close').catch(() => {});
  child.stdio[3].end();
});
