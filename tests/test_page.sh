#!/usr/bin/env bash
# Opens pages (data/report.html with data in it) in headless Chromium, light and dark, 1400 and 400
# pixels wide, and uses them as a reader does: figures, crosshair, legend, zoom, tables, pictures.
# usage: tests/test_page.sh [PAGE.html..]     without pages: those of the data in tests/report, and
# some that the program writes
# Without Chromium nothing is tested, and says so.
set -u
pages=() names=()
for page in "$@"; do pages+=("$(realpath "$page")"); done
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/program.sh
. tests/program.sh
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || true
if [ -z "$browser" ]; then
  echo 'skipped the pages: there is no chromium (apt-get install chromium)'
  echo 'page: 0 passed, 0 failed, 1 skipped'
  exit 0
fi

# ---- the page as a file ----
cd "$root" || exit 1
ok 'each marker stands in one line of its own' test \
  "$(grep -cx '@DATA@' data/report.html) $(grep -cx '@TABLES@' data/report.html)" = '1 1'
lacks() { ! grep -En "$1" data/report.html; }
ok 'the page asks nothing of the network' lacks '(src|href)=|@import|https?://[^w]|fetch\(|XMLHttp'
ok 'and makes no markup of texts' lacks \
  'innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|setTimeout\([^(]*["'\'']'
cd "$work" || exit 1
if [ $# = 0 ]; then
  for data in "$root"/tests/report/*.json; do
    awk -v data="$data" '/^@DATA@$/ { while ((getline line < data) > 0) print line; next }
      /^@TABLES@$/ { print "name  &lt;value&gt;"; next } { print }' "$root/data/report.html" \
      > "$(basename "$data" .json)-made.html"
    pages+=("$work/$(basename "$data" .json)-made.html")
  done
  made() { # made PAGE WORDS..: by the program
    pages+=("$work/$1")
    shift
    run "$@" --quiet
    ok "nn $*" test $rc = 0
  }
  made demo/report.html demo --data set --steps 40 --out demo
  made run/report.html mnist --cell cnn --maps1 6 --maps2 5 --hidden 12 --data set --epochs 4 \
    --batch 10 --snapshots 3 --out run
  made run/look/all.html look all run
  made rows/report.html mnist --cell gru --hidden 12 --data set --steps 60 --batch 10 --out rows
  made rows/look/all.html look all rows
  # few images, of classes with names that are long, and of letters that take several bytes
  long='a class whose name has fifty letters, as some h' two='ëëëëëëëëëëëëëëëëëëëëëë'
  for class in "$long" $two 2; do
    mkdir -p "own/$class"
    for ((i = 0; i < 20; i++)); do
      { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "${#class}"; } > "own/$class/$i.pgm"
    done
  done
  made names/report.html train --images own --cell mlp --hidden 4 --steps 9 --batch 4 --out names
  for name in "$long" $two; do
    ok "$name is whole" grep -q "\"label\":\"[0-9]*: $name\"" names/report.html
  done
  ok 'no image is shown twice' test -z "$(grep -o '"label":"[^"]*"' names/report.html | sort |
    uniq -d)"
  made sweep/report.html mnist --cell rnn,gru --lr 1e-3:1e-1 --hidden 8 --data set --steps 20 \
    --batch 10 --seeds 2 --out sweep
fi

# ---- what is appended to a page ----
# Before all else it counts errors; at the end it uses the page, and posts a line for each check.
cat > watch.html << 'HTML'
<script>
var errors = [];
addEventListener('error', e => errors.push(e.message || 'a file that does not load'), true);
addEventListener('securitypolicyviolation', e => errors.push('policy: ' + e.violatedDirective));
var delays = []; // what the page would wait for, to reload itself
window.setTimeout = (f, ms) => delays.push(ms);
console.error = console.warn = (...words) => errors.push(words.join(' '));
</script>
HTML
cat > probe.html << 'HTML'
<script>
addEventListener('load', () => {
  const said = [], check = (what, right, seen) => said.push(right ? 'right' : `${what}: ${seen}`);
  const all = (css, from = document) => [...from.querySelectorAll(css)];
  const own = JSON.parse(document.getElementById('data').textContent);
  const figures = (own.sections || []).flatMap(s => s && Array.isArray(s.figures) ? s.figures : [])
    .filter(f => f && typeof f == 'object').flatMap(f => f.kind != 'logs' ? [f] : f.logs.length == 1
      ? [['accuracy', 'percent', 'training', f.test], ['loss', 'loss', 'training', f.test],
         ['rate', 'number', 'learning rate'], ['gradient_norm', 'number', 'before clipping']]
        .map(([y, format, ...names]) => ({kind: 'curves', x: ['epoch', 'step', 'seconds'], format,
          title: y, logy: /loss|norm/.test(y), series: names.map((name, i) => ({name, log: f.logs[0],
            y: names.length < 2 ? y : (i ? 'test_' : 'train_') + y}))}))
      : ['test_accuracy', 'test_loss', 'train_accuracy', 'train_loss'].map(y => ({kind: 'curves', title: y,
          x: ['epoch', 'step', 'seconds'], format: /loss/.test(y) ? 'loss' : 'percent', logy:
          /loss/.test(y), points: f.points, series: f.logs.map(name => ({name, log: name, y}))})));
  for (const f of figures.filter(g => g.kind == 'curves' && Array.isArray(g.rows))) {
    f.rows = f.rows.filter(Array.isArray);
    f.x = [(f.columns[1] || [])[0]];
    const xs = f.rows.map(r => r[1]);
    f.logx = Math.min(...xs) > 0 && Math.max(...xs) >= 10 * Math.min(...xs);
    f.format = (f.columns[f.best] || [])[1];
    f.series = [...new Set(f.rows.map(r => r[0]))].map(name => ({name, x: f.rows.filter(r =>
      r[0] == name).map(r => r[1]), y: f.rows.filter(r => r[0] == name).map(r => r[f.best])}));
  }
  const again = name.endsWith('-again'), hostile = name.startsWith('hostile');
  const wide = innerWidth > 1000, tip = () =>
    document.getElementById('tip').hidden ? '' : document.getElementById('tip').innerText;
  const point = (e, type, x, y) => e.dispatchEvent(new PointerEvent(type, {bubbles: true,
    clientX: x, clientY: y, button: 0, pointerType: 'mouse'}));
  const key = (e, k) => e.dispatchEvent(new KeyboardEvent('keydown', {key: k, bubbles: true}));
  if (!again) try {
    // every figure of the data is drawn, and by its kind; figures that cannot be drawn say so
    for (const kind of ['table', 'curves', 'pictures', 'heat', 'net']) {
      const n = figures.filter(f => f.kind == kind && (kind != 'heat' || f.rows)).length;
      const drawn = all(`main figure[data-kind=${kind}][data-drawn=yes]`).length;
      check(kind + ' drawn', n == drawn, `${drawn} of ${n}`);
    }
    check('all figures', all('figure').length == figures.length, all('figure').length);
    check('all that cannot be drawn', all('figure[data-drawn=no]').length == (hostile ? 3 : 0),
          all('figure[data-drawn=no]').map(f => f.innerText).join('; '));
    check('the title', hostile || all('h1')[0].textContent == own.title, all('h1')[0].textContent);
    check('the window\'s title', hostile ? document.title != 'hacked' : document.title == own.title,
          document.title);
    const said_before = all('h2, figure h3').filter(h => !hostile && [own.title, h.matches('h3') &&
      h.closest('section').querySelector('h2').textContent].some(t => h.textContent == t ||
      h.textContent.startsWith(t + '. '))).map(h => h.textContent);
    check('no title twice', !said_before.length, said_before);
    const listed = all('nav a').length;
    check('a contents list', listed == all('main section').length, listed);
    const odd = document.body.innerText.match(/.{0,30}(NaN|undefined|\[object|Infinity).{0,20}/);
    check('no odd values', !odd, odd);

    // no text became markup, no address leads away
    const foreign = all('iframe, img, object, embed, main script, main style');
    check('no foreign elements', !foreign.length, foreign.length);
    const away = all('a').map(a => new URL(a.getAttribute('href'), location).href)
      .filter(h => !h.startsWith('file:'));
    const strays = all('a').map(a => a.getAttribute('href')).filter(h => !/^(\.\/|#)/.test(h));
    check('links stay here', away.length + strays.length == 0, [...away, ...strays]);
    const handled = all('*').filter(e => [...e.attributes].some(a => /^on/.test(a.name)));
    check('no handlers', !handled.length, handled.length);
    check('no prototype was touched', ({}).hacked === undefined, 'it was');

    // described, and within the window
    const bare = all('canvas[role=img], svg[role=img]').filter(e => !e.getAttribute('aria-label'));
    check('pictures are described', !bare.length, bare.length);
    const scroll = document.documentElement.scrollWidth - innerWidth;
    check('nothing wider than the window', scroll <= 0, scroll);
    const boxed = e => e && (getComputedStyle(e).overflowX != 'visible' || boxed(e.parentElement));
    const out = all('body *').filter(e => {
      const box = e.getBoundingClientRect();
      return box.width && (box.right > innerWidth + .5 || box.left < -.5) &&
        !boxed(e.parentElement);
    });
    check('nothing sticks out', !out.length, out.slice(0, 3).map(e => e.outerHTML.slice(0, 80)));
    let cut = 0, met = 0;
    for (const s of all('.plot svg')) {
      const of = s.getBoundingClientRect();
      const texts = all('text', s).map(e => e.getBoundingClientRect());
      for (const a of texts) {
        if (a.left < of.left - .5 || a.right > of.right + .5 || a.bottom > of.bottom + 2) cut++;
        for (const b of texts) if (a != b && a.left < b.left && a.right > b.left &&
                                   a.top < b.bottom - 3 && a.bottom > b.top + 3) met++;
      }
    }
    check('labels of axes are whole and apart', cut + met == 0, `${cut} cut, ${met} met`);
    const high = document.documentElement.scrollHeight;
    check('not too high', high < (wide ? 20000 : 60000), high);
    for (const row of all('.row')) {
      if (!row.getBoundingClientRect().width) continue;
      const boxes = [...row.children].map(f => f.getBoundingClientRect());
      const last = boxes[boxes.length - 1], right = row.getBoundingClientRect().right;
      const short = right - last.right;
      check('the last figure of a row ends it', Math.abs(short) < 2, short);
      if (innerWidth < 500) check('one column', boxes.every(b => b.left == boxes[0].left), 'no');
    }
    const ground = getComputedStyle(document.body).backgroundColor.match(/\d+/g)[0] < 99;
    check('the scheme', ground == name.includes('dark'), ground);
    scrollTo(0, 99999);
    check('contents stay in view', Math.abs(all('nav')[0].getBoundingClientRect().top) < 1,
          all('nav')[0].getBoundingClientRect().top);
    scrollTo(0, 0);

    // curves: crosshair, keys, legend, zoom, logarithms
    const drawn = figures.filter(f => f.kind == 'curves');
    all('figure[data-kind=curves]').forEach((figure, i) => {
      const f = drawn[i], plot = () => figure.querySelector('.plot svg');
      const paths = () => all('.line', plot()).map(p => p.getAttribute('d')).join(' ');
      if (!paths()) return;
      const log = (s, name) => {
        const [heads, ...rows] = (own.logs[s.log] || '').trim().split('\n').map(l => l.split(','));
        return rows.map(r => r[heads.indexOf(name)]).map(v => v && !isNaN(v) ? Number(v) : null);
      };
      const axis = f.x[0], xs = s => Array.isArray(s.x) ? s.x : log(s, axis);
      const ys = s => Array.isArray(s.y) ? s.y : log(s, s.y);
      const usable = s => xs(s).map((x, k) => [x, ys(s)[k]]).filter(([x, y]) => x !== null &&
        y !== null && (!f.logx || typeof x == 'string' || x > 0) && (!f.logy || y > 0));
      f.series = f.series.filter(s => xs(s).some((x, k) => Number.isFinite(ys(s)[k]) &&
        (typeof x == 'string' || Number.isFinite(x))));
      const isNear = (words, y) => Math.abs(y - parseFloat(words.replace('\u2212', '-')
        .replace(/,/g, '')) / (f.format == 'percent' ? 100 : 1)) <= 6e-5 + 1e-3 * Math.abs(y);
      const box = plot().getBoundingClientRect(), middle = box.top + box.height / 2;
      point(plot(), 'pointermove', box.left + box.width * .6, middle);
      const lines = all('#tip div').map(d => d.innerText.split(/\n/));
      check('the crosshair names every series', lines.length == Math.min(24, f.series.length) &&
        all('.cross', plot()).length == 1, `${f.title}: ${lines.length} of ${f.series.length}`);
      if (!f.points && !hostile) for (const s of f.series.slice(0, 24)) {
        const line = all('#tip div').find(d => d.firstChild.textContent == s.name);
        const value = line && line.lastChild.textContent;
        check('and a value of it', line && usable(s).some(([, y]) => isNear(value, y)),
              `${f.title}, ${s.name}: ${value}`);
      }
      point(plot(), 'pointerleave', 0, 0);
      check('the crosshair goes', !tip() && !all('.cross', plot()).length, tip());
      if (!hostile && !f.points) {
        key(plot(), 'ArrowRight');
        const at = Math.min(...f.series.flatMap(s => usable(s).map(p => p[0])));
        const first = f.series.find(s => usable(s).some(p => p[0] == at));
        const y = usable(first).find(p => p[0] == at)[1];
        const told = all('#tip div').find(d => d.firstChild.textContent == first.name);
        check('an arrow key reads the first value', told && isNear(told.lastChild.textContent, y),
              `${f.title}: ${told && told.innerText}, not ${y}`);
        key(plot(), 'Escape');
      }
      const before = paths(), entry = () => figure.querySelector('.legend button');
      const count = all('.line', plot()).length;
      const entries = all('.legend button', figure).length;
      check('the legend has what is drawn', entries == f.series.length, entries);
      if (f.series.length > 1) {
        entry().click();
        check('a legend entry hides', all('.line', plot()).length == count - 1 &&
          entry().getAttribute('aria-pressed') == 'false', all('.line', plot()).length);
        entry().click();
        check('and shows again', paths() == before, 'other curves');
      }
      const words = f.series.some(s => Array.isArray(s.x) && s.x.some(x => typeof x == 'string'));
      if (!words && !hostile) {
        const drag = () => {
          point(plot(), 'pointerdown', box.left + box.width * .4, middle);
          point(plot(), 'pointermove', box.left + box.width * .8, middle);
          point(plot(), 'pointerup', box.left + box.width * .8, middle);
        };
        drag();
        check('dragging zooms', paths() != before, f.title);
        const back = all('.tools button', figure).find(b => b.textContent == 'Show all');
        check('a way back', !back.hidden, 'hidden');
        back.click();
        check('leads back', paths() == before, f.title);
        drag();
        key(plot(), 'Escape');
        check('so does Escape', paths() == before, f.title);
      }
      for (const b of all('.tools button[aria-pressed]', figure)) {
        b.click();
        const named = all('text', plot()).some(t => t.textContent.endsWith('logarithmic'));
        const pressed = b.getAttribute('aria-pressed') == 'true';
        const seen = f.series.flatMap(s => usable(s).map(p => p[1])).filter(y => y > 0);
        const flat = new Set(seen).size < 3 || Math.max(...seen) < 1.1 * Math.min(...seen);
        check('a logarithmic axis', !/NaN|Infinity/.test(paths()) && (b.textContent == 'log y'
          ? paths() != before || flat : named == pressed || !paths()), f.title + b.textContent);
        b.click();
        check('and back', paths() == before, f.title);
      }
    });
    for (const bench of all('.bench')) {
      const first = bench.closest('section').querySelector('.plot svg');
      if (!all('.line', first).length) continue;
      const d = () => all('.line', first).map(p => p.getAttribute('d')).join(), was = d();
      const slider = bench.querySelector('input');
      if (slider) {
        slider.value = .8;
        slider.dispatchEvent(new Event('input'));
        check('smoothing', d() != was && !/NaN/.test(d()) && all('.ghost', first).length, 'none');
        slider.value = 0;
        slider.dispatchEvent(new Event('input'));
        check('none again', d() == was, 'other curves');
      }
      const choices = all('.choice button', bench);
      choices.forEach(b => {
        b.click();
        const named = all('text', first).some(t => t.textContent == b.textContent);
        check('x by ' + b.textContent, named && b.getAttribute('aria-pressed') == 'true', 'no');
      });
      if (choices.length) choices[0].click();
    }

    // tables: best first, sorted by a click, rows that are folded
    const tables = figures.filter(f => f.kind == 'table');
    all('figure[data-kind=table]').forEach((figure, i) => {
      const f = tables[i], rows = () => all('tbody tr', figure).map(r => r.cells[0].innerText);
      const more = figure.querySelector('.more');
      if (!hostile && Number.isInteger(f.best)) {
        const best = Math.max(...f.rows.map(r => r[f.best]));
        check('the best row is first', rows()[0].startsWith(f.rows.find(r => r[f.best] == best)[0]),
              rows()[0]);
      }
      more.click();
      check('all rows', hostile || all('tbody tr', figure).length == f.rows.length, rows().length);
      const sort = figure.querySelector('th button');
      if (!sort) return;
      sort.click();
      const once = rows().join();
      sort.click();
      check('a click sorts', new Set(rows()).size < 2 || once != rows().join() &&
        figure.querySelector('th').getAttribute('aria-sort'), f.title);
    });

    // pictures: none is empty; they tell values and enlarge; one scale for all
    const images = figures.filter(f => f.kind == 'pictures');
    all('figure[data-kind=pictures]').forEach((figure, i) => {
      const f = images[i];
      figure.querySelector('.more').click();
      const canvases = all('canvas[role=img]', figure);
      const n = (f.items || []).filter(Boolean).flatMap(t => t.grids || []).filter(Boolean).length;
      check('all pictures', hostile || canvases.length == n,
            `${f.title}: ${canvases.length} of ${n}`);
      const blank = canvases.filter(c => c.getContext('2d').getImageData(0, 0, c.width, c.height)
        .data.every((v, k) => k % 4 < 3 || v == 0));
      check('none is blank', !blank.length, blank.length);
      const zoom = figure.querySelector('.zoom'), dialog = document.querySelector('dialog');
      zoom.click();
      check('a picture enlarges', dialog.open && dialog.querySelector('canvas'), dialog.open);
      dialog.close();
      for (const b of all('.tools button', figure)) {
        const was = canvases.length && all('canvas', figure)[0].toDataURL();
        const pressed = b.getAttribute('aria-pressed');
        b.click();
        check('another scale', b.getAttribute('aria-pressed') != pressed &&
          all('canvas[role=img]', figure).length == canvases.length, f.title);
        b.click();
        check('and back', all('canvas', figure)[0].toDataURL() == was, f.title);
      }
    });
    for (const c of all('.heat canvas')) {
      const box = c.getBoundingClientRect();
      point(c, 'pointermove', box.left + box.width / 2, box.top + box.height / 2);
      check('a heat map tells values', /\d/.test(tip()), tip());
      point(c, 'pointerleave', 0, 0);
    }
    const taken = figures.filter(g => g.kind == 'heat' && g.rows &&
      typeof g.rows[0][0] == 'string');
    for (const [i, t] of all('.confusion').entries()) {
      if (hostile) continue;
      const f = taken.filter(g => g.rows.length <= 20)[i]; // no number stands for 0
      const numbers = css => all(css, t).map(d => parseFloat(d.innerText.replace(/,/g, '')) || 0);
      const counts = f.rows.map(r => r.slice(1)), sum = v => v.reduce((a, b) => a + b, 0);
      check('the confusion counts', numbers('tbody td:not(.rate)').join() == counts.flat().join(),
            numbers('tbody td:not(.rate)').join());
      const share = (part, all) => all ? 100 * part / all : 0;
      const near = (seen, right) => right.every((v, k) => Math.abs(v - seen[k]) < .6);
      check('recall', near(numbers('tbody .rate'), counts.map((r, k) => share(r[k], sum(r)))),
            f.title);
      check('precision', near(numbers('tfoot .rate'), counts.map((r, k) =>
        share(r[k], sum(counts.map(q => q[k]))))), f.title);
      const pen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const light = colours => {
        for (const c of colours) { pen.fillStyle = c; pen.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255)
          .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b + .05;
      };
      const card = getComputedStyle(t.closest('figure')).backgroundColor;
      const worst = Math.min(...all('tbody td:not(.soft)', t).map(d => getComputedStyle(d))
        .map(d => [light([card, d.backgroundColor]), light([d.color])])
        .map(([a, b]) => Math.max(a, b) / Math.min(a, b)));
      check('counts can be read on their colours', worst >= 4.5, `contrast ${worst.toFixed(2)}`);
    }
    for (const [i, map] of all('.heat.square').entries()) {
      const f = taken.filter(g => g.rows.length > 20)[i], c = map.querySelector('canvas');
      const {data} = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      const at = (x, y) => data.slice(4 * (y * c.width + x), 4 * (y * c.width + x) + 4);
      f.rows.forEach((r, y) => r.slice(1).forEach((v, x) => {
        if (v) check('right is blue, wrong is red', x == y == at(x, y)[2] > at(x, y)[0], at(x, y));
      }));
      check('its ends are named', [f.rows[0][0], f.rows[f.rows.length - 1][0], f.columns[0][0]]
        .every(n => (map.innerText + c.getAttribute('aria-label')).includes(n)), map.innerText);
      const most = Math.max(...f.rows.flatMap((r, y) => r.slice(1).filter((v, x) => x != y)));
      check('the most frequent mistake', map.closest('figure').querySelector('td:nth-child(3)')
        .innerText == String(most), most);
    }
    const parted = all('.tile .soft').filter(e => / %$/.test(e.textContent));
    check('a number and its sign stay in one line', !parted.length, parted.length);
    for (const row of all('.rows tr')) {
      const high = all('td canvas[role=img]', row).map(c => c.getBoundingClientRect().height);
      check('pictures of a row are equally high', Math.max(...high) - Math.min(...high) < 1 ||
        !high.length, high);
    }
    for (const row of all('.row')) if (wide && row.children.length == 6 &&
        !row.querySelector('figure:not([data-kind=curves])'))
      check('curves stand in pairs', row.children[0].getBoundingClientRect().top <
        row.children[2].getBoundingClientRect().top, row.innerText);
    const ticks = all('.plot text').map(t => t.textContent)
      .filter(t => /\d{4}/.test(t) && !/[.e]/.test(t));
    check('thousands are set apart', !ticks.length, ticks);
    const words = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    for (let t; (t = words.nextNode());) if (/[\u0590-\u08ff]/.test(t.data))
      check('words from right to left are set apart', !/(^|[^\u2068])[\u0590-\u08ff]+.*\d/
        .test(t.data.replace(/\u2068[^\u2069]*\u2069/g, '')), t.data);
    const top = figures.find(f => f.kind == 'table' && f.best > 0);
    const best = top && !hostile && top.rows.reduce((a, r) => r[top.best] > a[top.best] ? r : a);
    const summary = all('.summary').map(p => p.innerText).join();
    if (best && !own.summary)
      check('the best row is told', summary.includes(best[0]), summary);
    for (const d of all('main section > details')) {
      check('what is folded is shut', !d.open, 'open');
      location.hash = '#' + encodeURIComponent(d.parentNode.id);
      dispatchEvent(new HashChangeEvent('hashchange'));
      check('a link to it opens it', d.open, 'shut');
    }
    check('nothing sticks out unfolded', document.documentElement.scrollWidth <= innerWidth,
          document.documentElement.scrollWidth);
  } catch (e) {
    check('the probe', false, e.stack);
  }
  const delay = own.refresh ? 1000 * own.refresh : '';
  check('reloads only while something runs', delays.join() == delay, delays.join());
  check('no error', !errors.length, errors.join('; '));
  // what was hidden and chosen is so again after a reload, at the same place
  const legend = document.querySelector('.legend:not([hidden]) button');
  const choice = document.querySelector('.choice button:nth-child(2)');
  if (again) {
    said.length = 0;
    check('hidden again', !legend || legend.getAttribute('aria-pressed') == 'false', 'shown');
    check('chosen again', !choice || choice.getAttribute('aria-pressed') == 'true', 'not');
    check('at the same place', scrollY == 150, scrollY);
  } else {
    if (legend) legend.click();
    if (choice) choice.click();
    scrollTo(0, 150);
  }
  parent.postMessage([`checked ${name}`, ...said.filter(s => s != 'right').map(s => 'FAIL ' + name +
    ' ' + s), `${name}: ${said.filter(s => s == 'right').length} right`].join('\n'), '*');
  if (again || !name.includes('light') || !wide) return;
  name += '-again';
  location.reload();
});
</script>
HTML

# ---- a frame for each page, scheme and width; one browser opens them all ----
{
  # without script: the text that then can be seen
  printf '<iframe id=plain sandbox=allow-same-origin srcdoc="'
  sed 's/&/\&amp;/g; s/"/\&quot;/g' "${pages[0]}"
  echo '"></iframe>'
  cat << 'HTML'
<script>
addEventListener('load', () => document.body.append('\nPLAIN ',
  plain.contentDocument.body.innerText.replace(/\s+/g, ' '), '\n'));
addEventListener('message', m => document.body.append('\n', m.data, '\n'));
</script>
HTML
  for page in "${pages[@]}"; do
    for scheme in light dark; do
      # the scheme goes by the name of the frame, not by this machine
      media=all
      [ $scheme = dark ] || media='not all'
      name=$(basename "$page" .html)-$scheme-${#names[@]}
      sed -e "s/@media screen and (prefers-color-scheme: dark)/@media $media/" \
        -e '/<meta charset/r watch.html' "$page" | cat - probe.html > "$name.html"
      for width in 1400 400; do # each a file of its own, for what is remembered goes by its name
        names+=("$name-$width")
        [ $scheme$width != light1400 ] || names+=("$name-$width-again")
        ln "$name.html" "$name-$width.html"
        echo "<iframe name=$name-$width src=$name-$width.html width=$width height=900></iframe>"
      done
    done
  done
} > frames.html
timeout 300 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
  --user-data-dir="$work/browser" --virtual-time-budget=20000 --enable-logging=stderr --dump-dom \
  "file://$work/frames.html" > dom 2> log
for name in "${names[@]}"; do
  ok "$name is used to the end" grep -q "^checked $name\$" dom
  right=$(sed -n "s/^$name: \([0-9]*\) right.*/\1/p" dom)
  passed=$((passed + ${right:-0}))
done
while read -r _ line; do
  failed=$((failed + 1))
  echo "FAILED: $line"
done < <(grep '^FAIL ' dom)
grep CONSOLE log | grep -v 'Blocked script .* about:srcdoc' > console
head -5 console
ok 'no word on the console' test ! -s console

# ---- without script: the tables, and no data ----
plain=$(sed -n 's/^PLAIN //p' dom)
ok "without script there are the tables: $plain" grep -q '^Tables The curves' <<< "$plain"
[ $# != 0 ] || ok 'as they were' grep -q 'name &lt;value&gt;' <<< "$plain"

echo "page: $passed passed, $failed failed"
[ $failed = 0 ]
