// Uses a page made of data/play.html as a reader does; tests/web.js runs it there. Variables and
// functions that are not its own are the page's; `name` is the page's, `act` what a hand does.
// Returns a line for each check: "right", or what is wrong; and one with the pixels of a stroke.
(async () => {
  const told = [], check = (what, right, seen) => told.push(right ? 'right' : `FAIL ${name} ${what}: ${seen}`);
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const until = async held => { for (let i = 0; i < 1000 && !held(); i++) await wait(20); return held(); };
  const all = css => [...document.querySelectorAll(css)];
  const drawnOn = c => { // not of one colour
    const copy = el('canvas', { width: c.width, height: c.height });
    const to = copy.getContext('2d', { willReadFrequently: true });
    to.drawImage(c, 0, 0);
    const d = to.getImageData(0, 0, c.width, c.height).data;
    return d.some((v, i) => i > 3 && v !== d[i % 4]);
  };
  const mouse = (e, type, x, y) => {
    const box = e.getBoundingClientRect(), held = type === 'mousePressed' || type === 'dragged';
    return act('Input.dispatchMouseEvent', { type: type === 'dragged' ? 'mouseMoved' : type,
      x: box.left + x * box.width, y: box.top + y * box.height, button: type === 'mouseMoved' ? 'none' : 'left',
      buttons: held ? 1 : 0, clickCount: 1 });
  };
  const key = async (k, code, text) => {
    await act('Input.dispatchKeyEvent', { type: 'keyDown', key: k, windowsVirtualKeyCode: code, text });
    await act('Input.dispatchKeyEvent', { type: 'keyUp', key: k, windowsVirtualKeyCode: code });
  };
  try {
    await ready;
    await wait(300);
    const made = name.startsWith('cnn') || name.startsWith('gru'), untaught = !made;
    check('a net is there', net && net.classes.length === 10, at('said').textContent);
    check('no complaint', at('said').textContent === '', at('said').textContent);
    check('images to choose from', all('#gallery button').length >= 10, all('#gallery button').length);
    check('no odd values', !/NaN|undefined|\[object|Infinity/.test(document.body.innerText),
      (document.body.innerText.match(/.{0,30}(NaN|undefined|\[object|Infinity).{0,20}/) || [''])[0]);

    // a stroke: a one
    at('wipe').click();
    check('wiped', !pixels.some(v => v) && at('best').textContent === '', at('best').textContent);
    board.scrollIntoView({ block: 'center' });
    await mouse(board, 'mousePressed', .55, .15);
    for (let i = 1; i <= 20; i++) await mouse(board, 'dragged', .55 - .005 * i, .15 + .035 * i);
    await mouse(board, 'mouseReleased', .45, .85);
    await until(() => !due && pixels.some(v => v > .5));
    await wait(300);
    check('the stroke is read', pixels.filter(v => v > .5).length > 20, pixels.filter(v => v > .5).length);
    const rows = Array.from({ length: 28 }, (_, i) => pixels.subarray(28 * i, 28 * i + 28).some(v => v > .3));
    check('and brought to 20 rows', Math.abs(rows.filter(r => r).length - 20) <= 1, rows.filter(r => r).length);
    check('probabilities', Math.abs(answer.reduce((a, b) => a + b) - 1) < 1e-4, answer.join());
    check('as bars', all('#bars .bar').every((b, k) => b.lastChild.textContent === percent(answer[k])),
      at('bars').innerText);
    check('the best is named', at('best').textContent === net.classes[answer.indexOf(Math.max(...answer))],
      at('best').textContent);
    const bytes = Array.from(pixels, v => Math.round(255 * v)); // for nn predict
    told.push(`PIXELS ${name} ${answer.indexOf(Math.max(...answer))} ${Math.max(...answer).toFixed(4)} `
      + bytes.map(v => v.toString(16).padStart(2, '0')).join(''));
    check('whole bytes', pixels.every((v, i) => Math.abs(255 * v - bytes[i]) < 1e-3), 'not');
    check('all pictures of why', all('#why canvas').every(drawnOn), all('#why canvas').map(drawnOn));

    // every layer's maps, and one under the lens
    check('every layer has a card', all('.layer').length === layers.filter(l => l.kept || !l.node).length,
      all('.layer').length);
    check('maps are drawn', all('.layer .maps').every(m => all('#' + m.parentNode.id + ' canvas').some(drawnOn)),
      'not all');
    const map = all('.layer .maps button')[3], line = all('canvas.units[tabindex]')[0];
    (map || line).scrollIntoView({ block: 'start' });
    await mouse(map || line, 'mouseMoved', map ? .5 : .99, .5);
    await wait(400);
    check('the lens says which', picked && at('lens').querySelector('h3').textContent.startsWith(picked.layer.name
      + (map ? ', map 4' : ', unit ')), at('lens').innerText);
    check('four pictures or five', all('#lens .tiles:not(.small) canvas').length === (map ? 5 : 4),
      all('#lens .tiles canvas').length);
    check('its filter', all('#lens .small canvas').length > 0, at('lens').innerText);
    check('all drawn', all('#lens canvas').every(drawnOn), all('#lens canvas').map(drawnOn).join());
    if (line) {
      line.focus();
      const before = picked.map;
      await key('ArrowRight', 39), await key('ArrowDown', 40);
      check('the keyboard moves the lens', picked.map !== before || picked.layer !== layers.find(k => k.draw && k.node), before);
    }
    // the deconvnet's picture stays inside what the unit sees
    if (map) {
      const l = layers.find(k => k.rank === 3 && k.node), told = nn.c.play_part(net.at, l.node, 10, 10);
      check('a part of the image', nn.view(Int32Array, told, 4)[2] < 28, [...nn.view(Int32Array, told, 4)].join());
    }
    const cell = layers.find(isCell);
    check('row by row for a cell alone', at('rows').hidden === !cell, at('rows').hidden);
    if (cell) {
      const say = () => at('at').textContent;
      at('row').value = 28, at('row').dispatchEvent(new Event('input'));
      check('after the last row the answer', say().endsWith(`${at('best').textContent}, ${percent(Math.max(...answer))}`), say());
      at('row').value = 3, at('row').dispatchEvent(new Event('input'));
      check('after the third another', say().startsWith('3 of 28'), say());
      at('reading').click();
      check('it reads', await until(() => say().startsWith('28 of 28')), say());
    }

    // by the keyboard
    at('wipe').click();
    board.focus();
    await key(' ', 32, ' ');
    for (let i = 0; i < 9; i++) await key('ArrowUp', 38);
    await key(' ', 32, ' ');
    check('drawn by the keyboard', await until(() => pixels.some(v => v > .5)), 'nothing');

    // by a finger
    at('wipe').click();
    board.scrollIntoView({ block: 'center' });
    const box = board.getBoundingClientRect(), finger = (type, x, y) => act('Input.dispatchTouchEvent', { type,
      touchPoints: type === 'touchEnd' ? [] : [{ x: box.left + x * box.width, y: box.top + y * box.height }] });
    await finger('touchStart', .5, .2);
    for (let i = 1; i < 8; i++) await finger('touchMove', .5, .2 + .08 * i);
    await finger('touchEnd');
    check('drawn by a finger', await until(() => !due && pixels.filter(v => v > .5).length > 20), 'nothing');

    // an image, dropped; a model, dropped; neither
    const drop = async f => {
      const data = new DataTransfer();
      data.items.add(f);
      dispatchEvent(new DragEvent('drop', { dataTransfer: data, cancelable: true }));
    };
    const paper = el('canvas', { width: 90, height: 60 }), c = paper.getContext('2d');
    c.fillStyle = '#fff', c.fillRect(0, 0, 90, 60), c.fillStyle = '#000', c.fillRect(42, 10, 6, 40);
    await drop(new File([await new Promise(done => paper.toBlob(done))], 'one.png'));
    check('dark on light is turned', await until(() => /light on dark/.test(at('said').textContent)), at('said').textContent);
    check('and read', pixels[14 * 28 + 14] > .8 && pixels[14 * 28 + 2] < .1, pixels.subarray(392, 420).join());
    await drop(new File(['no picture'], 'bad.png'));
    check('what is no picture is told', await until(() => /^bad.png: /.test(at('said').textContent)), at('said').textContent);
    if (made) {
      await drop(new File([from64(given.model).slice(0, 500)], 'cut.nn'));
      check('a cut model is told', await until(() => /^cut.nn: .{10}/.test(at('said').textContent)), at('said').textContent);
      await drop(new File([from64(given.model)], 'again.nn'));
      check('a model is taken', await until(() => at('about').textContent.startsWith('again.nn')), at('about').textContent);
    }
    all('#gallery button')[4].click();
    check('a test image', all('#gallery [aria-pressed=true]').length === 1 && pixels.some(v => v > .5), 'none');

    // training: stop, another rate, on, another net
    at('kind').value = name.includes('dark') ? 2 : name.includes('400') ? 0 : 1;
    at('kind').dispatchEvent(new Event('change'));
    at('go').click();
    check('50 steps', await until(() => steps >= 50), steps);
    at('go').click();
    const mean = list => list.reduce((a, b) => a + b, 0) / list.length, stopped = steps;
    check('the loss falls', mean(curve.slice(-5)) < .97 * mean(curve.slice(0, 5)), curve.map(v => v.toFixed(2)).join());
    check('two lines', all('#curve path:not(.grid)').length === 2, all('#curve path:not(.grid)').length);
    await wait(100);
    check('it stops', steps === stopped && at('go').textContent === 'Go on', steps);
    at('rate').value = -2, at('rate').dispatchEvent(new Event('input'));
    check('the rate is said', at('rated').textContent === '0.010', at('rated').textContent);
    at('go').click();
    check('it goes on', await until(() => steps >= stopped + 5), steps);
    at('go').click();
    at('use').click();
    await wait(400);
    check('one can look inside it', net === lesson && at('about').textContent.startsWith('The net'), at('about').textContent);
    check('what was looked at stays', pixels.some(v => v > .5) && at('board').getContext('2d')
      .getImageData(0, 0, 280, 280).data.some((v, i) => i % 4 < 3 && v > 128), 'a black board');
    if (untaught) check('no file, no name', given.name === undefined, given.name);

    // labels, and nothing sticks out
    const bare = all('canvas').filter(e => e.clientWidth && !e.getAttribute('aria-label') && !e.closest('button'));
    check('every picture is described', !bare.length, bare.map(e => e.className + ' in ' + e.parentNode.id).join());
    const dumb = all('button, input, select').filter(e => e.offsetParent && !(e.getAttribute('aria-label')
      || e.innerText || (e.labels && [...e.labels].some(l => l.innerText))));
    check('every control has a name', !dumb.length, dumb.map(e => e.id || e.outerHTML).join());
    const page = document.documentElement;
    check('nothing sticks out', page.scrollWidth <= innerWidth, page.scrollWidth);
    const out = all('main *').filter(e => !e.closest('.scroll, .quiet, svg') && e.offsetParent && e.type !== 'file'
      && e.getBoundingClientRect().right > innerWidth + 1);
    check('no element either', !out.length, out.map(e => e.id || e.className || e.tagName).join());
    check('large enough to touch', all('.do').filter(e => e.offsetParent)
      .every(e => e.getBoundingClientRect().height >= 28), 'not');
  } catch (e) {
    check('the probe', false, e.stack);
  }
  return told.join('\n');
})()
