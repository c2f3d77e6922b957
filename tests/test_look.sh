#!/usr/bin/env bash
# Looks inside small nets: every `nn look` in miniature on the images that the program draws, and
# the report in a browser, light and dark, on a phone and on a desk.
# usage: [NN_BIN=build/nn] tests/test_look.sh
# Chromium measures the page; without it that part is skipped. Screenshots are left in
# $BUILD/look-*.png.
set -u
cd "$(dirname "$0")/.." || exit 1
build=$(realpath "${BUILD:-build}")
. tests/program.sh
skipped=0
models() { find "$1" -name '*.nn' -not -path '*/look/*' -exec cksum {} + | sort; }

# ---- nets to look at: a convolutional one of photographs' kind, one of digits, a recurrent one ----
run cifar10 --size 28 --gray --hidden 24 --batch 20 --steps 60 --snapshots 4 --quiet --out photo
ok 'a net to look at' test $rc = 0
run mnist --cell cnn --maps1 6 --maps2 5 --hidden 12 --batch 20 --steps 60 --quiet --out digit
ok 'another' test $rc = 0
run mnist --cell gru --hidden 12 --batch 4 --steps 1200 --quiet --snapshots 10 --out row
ok 'a recurrent one' test $rc = 0
run cifar10 --hidden 8 --maps1 4 --maps2 4 --batch 20 --steps 10 --quiet --out colour
ok 'one of colours' test $rc = 0

# ---- wrong words ----
refused 2 'usage: nn look WHAT RUN' look all
refused 2 "'filtres' is none of .*; did you mean filters" look filtres photo
refused 2 'one argument too many' look filters photo digit
refused 1 'nowhere: .*No such file' look filters nowhere
refused 1 '^nn: photo/snapshots/settings.txt is missing: .* is neither the folder of a run nor a' \
  look filters photo/snapshots
refused 1 'photo holds a run, whose report would be lost' look confusion digit --quick --quiet --out photo
refused 2 '--square: look filters does not take it, only occlusion and correspondence' \
  look filters photo --square 3
refused 2 '--map: look saliency does not take it, only deconv and evolution' \
  look saliency photo --map 3
refused 2 '--steps: look confusion does not take it, only ' look confusion photo --steps 3
refused 2 '--seeds: look all does not take it, only ablation and kernels' look all photo --seeds 2
refused 2 '--map goes only with --layer' look deconv photo --map 3
refused 1 '--set is for a model without settings.txt' look confusion photo --quiet --set mnist
refused 1 '--images: more than 50' look saliency photo --quiet --images "$(seq -s , 51)"
refused 1 'is not the number of a test image, 0 .. 199' look saliency photo --quick --quiet --images 1,200
refused 1 "no layer 'relu9'" look deconv photo --quick --quiet --layer relu9
refused 1 'relu1 has 32 maps: --map 0 .. 31' look deconv photo --quick --quiet --layer relu1 --map 32
refused 1 'larger than the images of 28 x 28' look occlusion photo --quick --quiet --square 29

# ---- everything that takes no training, and that leaves the models what they were ----
models photo > before
cp photo/report.html plain.html
run look all photo --quick
ok 'look all' test $rc = 0 -a "$(grep -c '^report: photo/report.html$' out)" = 1
ok 'leaves every bit of the models' cmp before <(models photo)
whats='filters activations deconv evolution invariance occlusion saliency correspondence depth confusion'
for what in $whats; do
  ok "$what has a section" test "$(grep -c "<section id=look-$what>" photo/report.html)" = 1
  ok "$what has its figures as CSV" test -s "photo/look-quick/$what.csv" -a \
    "$(grep -c "href=\"look-quick/$what.csv\"" photo/report.html)" = 1
  ok "$what.csv has as many cells in each line" awk -F, \
    '{ gsub(/"[^"]*"/, "") } NF != n && n { exit 1 } { n = NF }' "photo/look-quick/$what.csv"
done
head_of() { # the counts of the data, and the best epoch
  grep -Eo '<p class=soft>Data: [^<]*</p>|best test accuracy [(][^)]*[)]' "$1"
}
ok 'its counts are those of the run, not of --quick' cmp <(head_of plain.html) \
  <(head_of photo/report.html)
ok 'what the report had stays' test "$(grep -c '<summary>Tests' photo/report.html)" = 1
first_layers() { grep -c 'alt="filters before training' "$1"; }
ok 'but the filters, which it would show twice' test "$(first_layers plain.html)" = 1 -a \
  "$(first_layers photo/report.html)" = 0
ok 'the report needs no network' sh -c '! grep -Eq "(src|href)=\"?(https?:)?//|url[(]|@import" "$1"' - \
  photo/report.html

at_step() { # at_step REPORT MODEL [DATA] : all its sections say that they are of it
  test "$(grep -c '<p class=soft>The model: ' "$1")" = "$(grep -c '<section id=look-' "$1")" -a \
    -z "$(grep '<p class=soft>The model: ' "$1" | grep -v "The model: $2\. The images: ${3:-}")"
}
best=$(awk -F, 'NR > 1 && $6 > most { most = $6; step = $1 } END { print step }' photo/log.csv)
ok 'each section tells model and step' at_step photo/report.html "photo/best.nn at step $best"
ok 'which is not called the end' test "$(grep -c "<h3>The best model (step $best)</h3>" \
  photo/report.html)" = 1 -a "$(grep -ci 'end of training' photo/report.html)" = 0
titles='Activations|Correspondence of parts|What each layer knows: .*|Confusion and mistakes'
ok 'what stands on stdout has its titles' test "$(grep -Exc "$titles" out)" = 4

# What can be counted is right.
ok 'activations: every layer at every step' test "$(wc -l < photo/look-quick/activations.csv)" = \
  $((1 + 9 * $(cut -d , -f 1 photo/look-quick/activations.csv | sed 1d | sort -u | wc -l)))
stages() { printf '%s\n' "$best" "$@" | sort -nu | tr '\n' ' '; } # with the best model's
ok 'of the start, each snapshot and the best model' test "$(sed 1d photo/look-quick/activations.csv |
  cut -d , -f 1 | sort -nu | tr '\n' ' ')" = "$(stages 0 4 15 34 60)"
values=$(awk -F, '$1 == 60 && $2 == "relu1" { print $4 }' photo/look-quick/activations.csv)
ok 'a value for each place, map and image' test "$values" = $((200 * 32 * 28 * 28))
ok 'a histogram counts each of them' test "$(awk -F, '$1 == 60 && $2 == "relu1" { n += $5 }
  END { print n }' photo/look-quick/histograms.csv)" = "$values"
ok 'dead maps are those of rectifiers' awk -F, 'NR > 1 && ($11 == "") != ($3 != "relu") { exit 1 }' \
  photo/look-quick/activations.csv
agree() { # of relu2: beyond its first bins the mean distance of the two curves, in pixels
  grep -A 99 '<h3>relu2: share of values per unit, % <span' photo/look-quick/activations.html |
    grep -m 2 '^<path class="l ' | sed 's/.* d="M//; s/".*//; y/L/\n/; s/$/\n/' |
    awk 'NF { if (before && $1 < last) after = 1
      if (after) { if (++k > 3 && $1 in y) { sum += ($2 > y[$1] ? 1 : -1) * ($2 - y[$1]); n++ } }
      else for (x = $1; x < $1 + 8; x += .1) y[sprintf("%.1f", x)] = $2
      before = 1; last = $1 } END { exit !(n > 10 && sum / n < 8) }'
}
ok 'the curves before and after a rectifier agree' agree
right=$(awk -F, 'NR > 1 { n += $NR } END { print n }' photo/look-quick/confusion.csv)
all=$(awk -F, 'NR > 1 { for (i = 2; i < 12; i++) n += $i } END { print n }' photo/look-quick/confusion.csv)
ok 'the confusion counts each image once' test "$all" = 200
ok 'mistakes and right answers are all images' test \
  $(($(wc -l < photo/look-quick/mistakes.csv) - 1)) = $((200 - right < 24 ? 200 - right : 24))
ok 'the confusion is told in a line' grep -Eq "^$right of 200, $(awk "BEGIN {
  printf \"%.2f\", $right / 2 }") %$" out
worst() { # their own classes' probabilities, which they are sorted by, stand in the section
  diff <(awk -F, 'NR > 1 { printf "%.2f\n", 100 * $4 }' photo/look-quick/mistakes.csv) \
    <(grep -Eo ', [0-9.]+&nbsp;%<br>taken for <b>' photo/look-quick/confusion.html |
      sed 's/^, //; s/&.*//') &&
    sed 1d photo/look-quick/mistakes.csv | cut -d , -f 4 | sort -gc
}
ok 'the worst mistakes by the probability of what they are' worst
ok 'filters: each weight at each step' test "$(wc -l < photo/look-quick/filters.csv)" = \
  $((1 + 32 * 25 * $(cut -d , -f 1 photo/look-quick/filters.csv | sed 1d | sort -u | wc -l)))
strongest() { # the strongest of the nine come first, and are in different images
  awk -F, 'NR > 1 && $3 > 1 && $8 > last { exit 1 } NR > 1 { last = $8
    if (seen[$1, $2, $4]++) exit 1 }' photo/look-quick/deconv.csv
}
ok 'deconv: the strongest first, each in another image' strongest
ok 'deconv: each unit sees what it can' awk -F, 'NR > 1 && ($9 + $11 > 28 || $10 + $12 > 28 ||
  ($1 == "relu1" && ($11 > 5 || $12 > 5)) || ($1 == "relu2" && ($11 > 14 || $12 > 14))) { exit 1 }' \
  photo/look-quick/deconv.csv
ok 'invariance: nothing has moved where nothing was moved' awk -F, '$2 == 0 && ($3 > 1e-6 ||
  $4 > 1e-6) { exit 1 } $2 == 0 { n++ } END { exit n != 3 }' photo/look-quick/invariance.csv
ok 'invariance: ticks at angles, and at pixels' test \
  "$(grep -c '>-135</text>' photo/look-quick/invariance.html)" = 2 -a \
  "$(grep -c '>-6</text>' photo/look-quick/invariance.html)" = 2
ok 'occlusion: a place for each square inside, and shares' awk -F, 'NR > 1 && ($5 < 0 || $5 > 1) {
  exit 1 } END { exit (NR - 1) % (22 * 22) }' photo/look-quick/occlusion.csv
ok 'depth: from the image to the answer' test "$(cut -d , -f 1 photo/look-quick/depth.csv | sed 1d |
  tr '\n' ' ')" = '0: the image 1: max_pool1 2: max_pool2 3: relu3 4: linear2 '

# ---- images that are named ----
run look all photo --quick --quiet --images 1,2,3,5,8,13,21,34,55,89,144
ok 'a look at eleven images, where it takes them' test $rc = 0 -a ! -s err -a \
  "$(cut -d , -f 1 photo/look-quick/occlusion.csv | sed 1d | sort -u | wc -l)" = 11

# ---- a section is replaced, and no other ----
cp photo/look-quick/saliency.html saliency.html
cp photo/look-quick/depth.html depth.html
run look saliency photo --images 3,14 --quiet --quick
ok 'a look at two images' test $rc = 0 -a ! -s err -a "$(cut -d , -f 1 photo/look-quick/saliency.csv |
  sed 1d | sort -u | tr '\n' ' ')" = '14 3 '
ok 'replaces its section' test "$(grep -c '<section id=look-saliency>' photo/report.html)" = 1 -a \
  "$(cmp -s saliency.html photo/look-quick/saliency.html; echo $?)" = 1
ok 'and leaves the others' cmp depth.html photo/look-quick/depth.html
for layer in relu2 linear1 max_pool1; do
  run look deconv photo --quick --layer $layer --map 3 --quiet
  ok "one map of $layer" test $rc = 0 -a "$(sed 1d photo/look-quick/deconv.csv | cut -d , -f 1,2 |
    sort -u)" = "$layer,3"
done
run look deconv photo --quick --layer relu2 --images 3,14 --quiet
ok 'one layer, two images' test $rc = 0 -a "$(grep -o 'projected from map' \
  photo/look-quick/deconv.html | wc -l)" -ge 2
# ---- a run of the kind that scaled images outside of its models ----
cp photo/settings.txt own.txt
sed -i 's/^run.version=.*/run.version=0.1.0/' photo/settings.txt
echo 'run.mean=127.5' >> photo/settings.txt
refused 1 'photo/settings.txt is of nn 0.1.0, which scaled the images' look confusion photo
refused 1 'settings.txt is of nn 0.1.0' look confusion photo/best.nn --quiet
refused 1 'settings.txt is of nn 0.1.0' cifar10 --resume photo --quiet
cp own.txt photo/settings.txt

# ---- models of another net in the run's folder ----
snapshot=photo/snapshots/step-15.nn
cp "$snapshot" own.nn
for other in digit row; do # fewer maps; no convolution at all
  cp $other/best.nn "$snapshot"
  for what in filters activations evolution; do
    run look $what photo --quick --quiet
    ok "$what goes on without a snapshot of another net" test $rc = 0 -a "$(cat err)" = \
      "nn: left out: $snapshot is not a model of the run that settings.txt describes"
  done
done
head -c 3000 own.nn > "$snapshot"
run look evolution photo --quick --quiet
ok 'and without one that is damaged' test $rc = 0 -a \
  "$(grep -c "^nn: left out: $snapshot: " err)" = 1
ok 'with the others' test "$(grep -c '<th>' photo/look-quick/evolution.html)" -gt 0 -a \
  "$(grep -o '<th>step [0-9]*' photo/look-quick/evolution.html | sort -u | tr -cd '0-9\n' |
  sort -n | tr '\n' ' ')" = "$(stages 0 4 34 60)"
cp own.nn "$snapshot"
cp photo/best.nn own.nn
cp row/best.nn photo/best.nn
refused 1 '^nn: photo/best.nn is not a model of the run' look confusion photo --quick --quiet
cp own.nn photo/best.nn

# ---- a run that goes on ----
run look all photo --quick --quiet
sed -i 's/^steps=60$/steps=80/' photo/settings.txt
run cifar10 --resume photo --quiet
ok 'a run that goes on keeps what was seen' test $rc = 0 -a \
  "$(grep -c '<section id=look-' photo/report.html)" = 10

# ---- a run that has lost some of its files ----
mkdir odd
cp digit/*.* odd
printf '%s\n' step,layer,mean,deviation,most,zeros 10,relu1,1,1,1,0 20,relu1,1,inf,1,0 \
  30,relu1,1e-320,1e300,-1e300,nan 40,relu1,1e308,2,1e300,0 > odd/activations.csv
timeout 60 "$nn" look activations odd --quick --quiet > out 2> err
rc=$?
ok 'numbers that no axis can hold are left out' test $rc = 0 -a \
  "$(grep -c '<title>40: ' odd/look-quick/activations.html)" = 3 -a \
  "$(grep -c '<title>[23]0: ' odd/look-quick/activations.html)" = 0
mkdir lost
cp photo/*.* lost
rm lost/progress.txt
run look confusion lost --quick --quiet
ok 'the log tells the step of the best model' at_step lost/report.html "lost/best.nn at step $(awk -F, '
  NR > 1 && $6 > most { most = $6; step = $1 } END { print step }' lost/log.csv)"
head -n 5 photo/log.csv > lost/log.csv
run look confusion lost --quick --quiet
run look activations lost --quick --quiet
ok 'what is lost is not spoken of' test $rc = 0 -a ! -s err
ok 'no step is told that is not known' at_step lost/report.html 'lost/best.nn at a step that is not told'
ok 'nor an epoch of the best accuracy' test "$(grep -c 'best test accuracy' lost/report.html)" = 0
ok 'its figures are there' test "$(grep -c '^,relu1,' lost/look-quick/activations.csv)" = 1
rm -r lost/look-quick
cp photo/log.csv photo/progress.txt lost
sed -i 's/^step=.*/step=10/; s/^best=.*/best=10/; s/^best-accuracy=.*/best-accuracy=0/' lost/progress.txt
run look confusion lost --quick --quiet
ok 'nor that of a checkpoint before a better test' at_step lost/report.html \
  'lost/best.nn at a step that is not told'

# ---- a model alone; other nets ----
cp digit/best.nn alone.nn
run look all alone.nn --quick --quiet
ok 'a model alone, its images by what it takes' test $rc = 0 -a -s alone-look/report.html
ok 'and that is told' grep -Eq 'from [^<]*. That of nn mnist, for the model takes 1x28x28 and has no' \
  alone-look/report.html
ok 'what needs a run is told' grep -q 'evolution: left out: there is but one model' err
ok 'and that no step is told' at_step alone-look/report.html 'alone.nn at a step that is not told'
run look confusion alone.nn --set cifar10 --quick
ok 'as what --set says' grep -q '^That of nn cifar10, as --set says$' err
run look confusion photo/snapshots/step-15.nn --quick --quiet --out seen
ok 'a snapshot, with the data of its run' at_step seen/report.html \
  'photo/snapshots/step-15.nn at step 15' 'drawn shapes'
run look activations photo/snapshots/step-15.nn --quick --quiet --out stepped
steps_in() { sed 1d "stepped/look-quick/$1.csv" | cut -d , -f 1 | sort -u; }
ok 'its figures, too, are of that step' test "$(steps_in activations)" = 15 -a \
  "$(steps_in histograms)" = 15
run look activations alone.nn --quick --quiet --out stepped
ok 'or of none' test $rc = 0 -a -s stepped/look-quick/activations.csv -a -z "$(steps_in activations)"
run look confusion digit/last.nn --quick --quiet --out seen
ok 'a checkpoint' at_step seen/report.html 'digit/last.nn at step 60'
run look confusion digit/best.nn --quick --quiet --out seen
ok 'a model of a run, its report elsewhere' test $rc = 0 -a -s seen/report.html -a \
  ! -e digit/look-quick
run look all row --quick
ok 'a recurrent net' test $rc = 0 -a "$(grep -c '<section id=look-' row/report.html)" = 7
ok 'a text speaks of what the net has' sh -c 'test -s "$1" && ! grep -qi rectif "$1" &&
  ! grep -q "non-linearity\." "$1"' - row/look-quick/activations.html
ok 'as here' grep -q 'A rectifier leaves what' photo/look-quick/activations.html
ok 'its one layer is not called first and last' sh -c '! grep -q "first layer" "$1" &&
  grep -q "at the one layer before the answer (last_step1)" "$1"' - row/look-quick/invariance.html
for what in filters deconv evolution; do
  ok "what $what cannot show there is told" grep -q "^nn: $what: left out: .*convolution" err
done
refused 1 'look deconv: the net has no convolution' look deconv row --quick --quiet
run mnist --cell cnn --maps1 0 --maps2 0 --hidden 0 --batch 20 --steps 20 --quiet --out linear
run look invariance linear --quick --quiet
ok 'the image is what a net without layers has' grep -q 'of the image itself, for no layer' \
  linear/look-quick/invariance.html
run look all colour --quick --quiet
ok 'a net of colours' test $rc = 0 -a "$(grep -c '<section id=look-' colour/report.html)" = 10
cp set.nn bad.nn 2> err || head -c 3000 digit/best.nn > bad.nn
refused 1 'bad.nn' look filters bad.nn --quick --quiet

# ---- a miniature is not in the way of what was seen without --quick ----
run look confusion row --quiet
cp row/look/confusion.html whole.html
run look confusion row --quick
ok 'a miniature leaves the whole' cmp whole.html row/look/confusion.html
ok 'which the report goes on to show' test "$(grep -c -- '(--quick)' row/report.html)" = 6
ok 'and that is told' grep -q '^nn: the report shows .*: the miniature is in row/look-quick$' err

# ---- a linear classifier of a trained net's features finds what the net itself finds ----
run mnist --cell mlp --hidden 32 --steps 600 --lr .003 --quiet --out plain
run look depth plain --quiet
ok "depth of a trained net: $(cat plain/look/depth.csv)" awk -F, -v best="$(awk -F, 'NR > 1 &&
  100 * $6 > most { most = 100 * $6 } END { print most }' plain/log.csv)" \
  '/^[12]: / && $3 >= best - 1 { n++ } END { exit best < 50 || n != 2 }' plain/look/depth.csv

# ---- a net whose maps a large rate has killed ----
run cifar10 --size 28 --gray --maps1 4 --maps2 5 --hidden 8 --batch 20 --lr 1 --steps 20 --quiet \
  --out dead
run look deconv dead --quick --quiet
ok 'a dead map is told in its place' test $rc = 0 -a \
  "$(grep -c '^<div class=dead><span>not active</span>[0-9]</div>$' dead/look-quick/deconv.html)" -gt 3
run look deconv dead --layer relu2 --map 1 --images 3,14 --quick --quiet
ok 'of one image, too' test "$(grep -c '<td class=soft>map 1: not active' \
  dead/look-quick/deconv.html)" = 2

run cifar10 --size 28 --gray --maps1 4 --maps2 5 --hidden 200 --batch 20 --lr .02 --steps 20 --quiet \
  --out dying
run look activations dying --quick --quiet
run look deconv dying --quick --quiet
live=$(awk -F, '$2 == "relu3" { n = $12 - $11 } END { print n }' dying/look-quick/activations.csv)
shown=$(sed -n '/<h3>relu3: .*, 16 of 200 maps/,/<h3>linear2/p' dying/look-quick/deconv.html |
  grep -c '^<div><span>')
ok "of many maps those that are active are shown: $shown of $live" test "$live" -lt 150 -a \
  "$shown" = $((live < 16 ? live : 16))

# ---- nets trained anew; what is done is skipped ----
run look ablation digit --quick --quiet
ok 'ablation' test $rc = 0 -a "$(wc -l < digit/look-quick/ablation.csv)" = 12
ok 'a layer left out is left out' test "$("$nn" info \
  digit/look-quick/ablation/no-conv1/seed-1/best.nn | grep -c ' conv ')" = 1
marks=$(stat -c %Y.%i digit/look-quick/ablation/*/seed-1/result.txt)
rm -r digit/look-quick/ablation/no-conv
run look ablation digit --quick --quiet
ok 'what is missing is trained' test -s digit/look-quick/ablation/no-conv/seed-1/result.txt
ok 'what is done is not done again' test "$(stat -c %Y.%i \
  digit/look-quick/ablation/*/seed-1/result.txt | sort | comm -12 - <(sort <<< "$marks") | wc -l)" = 10
run look kernels digit --quick --quiet
ok 'kernels' test $rc = 0 -a "$(wc -l < digit/look-quick/kernels.csv)" = 13
"$nn" info digit/look-quick/kernels/11x11-stride-4/seed-1/best.nn > out
ok 'a window of 11x11 at every fourth place' grep -q '^1 .* 6x7x7 ' out
run look ablation row --quick --quiet
ok 'ablation of a recurrent net' test $rc = 0 -a "$(wc -l < row/look-quick/ablation.csv)" = 9

# ---- the page in a browser ----
# A script in a copy of each page measures it in a frame of the width of a phone and of a desk:
# pictures that do not load, those without a description, and what sticks out of the window.
cat > probe.html << 'HTML'
<script>
addEventListener('load', async () => {
  const all = [...document.images].map(i => [i, i.src]);
  for (const i of document.querySelectorAll('svg image')) all.push([i, i.getAttribute('href')]);
  let broken = 0, bare = 0, out = 0;
  for (const [element, source] of all) {
    const image = new Image();
    await new Promise(done => { image.onload = image.onerror = done; image.src = source; });
    if (!image.naturalWidth) broken++;
    if (element.tagName == 'IMG' && (!element.naturalWidth || !element.alt)) bare++;
  }
  const boxed = e => e && (getComputedStyle(e).overflowX != 'visible' || boxed(e.parentElement));
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + .5 || box.left < -.5) && !boxed(e.parentElement)) out++;
  }
  let cut = 0; // labels that a figure's edge cuts
  for (const e of document.querySelectorAll('svg text')) {
    const box = e.getBoundingClientRect(), of = e.ownerSVGElement.getBoundingClientRect();
    if (box.left < of.left - .5 || box.right > of.right + .5) cut++;
  }
  let met = 0; // labels that meet each other: boxes have some room above and below their letters
  for (const svg of document.querySelectorAll('svg')) {
    const all = [...svg.querySelectorAll('text')].map(e => e.getBoundingClientRect());
    for (const a of all)
      for (const b of all)
        if (a.left < b.left && a.right > b.left && a.top < b.bottom - 5 && a.bottom > b.top + 5)
          met++;
  }
  let plain = 0, scrolled = 0; // what goes on beyond its edge without a shadow there
  for (const e of document.querySelectorAll('body *')) {
    if (e.scrollWidth <= e.clientWidth || getComputedStyle(e).overflowX != 'auto') continue;
    scrolled++;
    if (!/^local, scroll/.test(getComputedStyle(e).backgroundAttachment)) plain++;
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  const page = getComputedStyle(document.body).backgroundColor;
  const scheme = page == 'rgb(15, 18, 22)' ? 'dark' : page == 'rgb(246, 247, 248)' ? 'light' : page;
  parent.postMessage(`${name}: images ${all.length} broken ${broken} bare ${bare} out ${out} ` +
                     `cut ${cut} met ${met} plain ${plain} wide ${wide} ` +
                     `scrolled ${innerWidth < 400 ? scrolled : 1} ` +
                     `window ${innerWidth} ${scheme}`, '*');
});
</script>
HTML
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || browser=
pages='photo-light photo-dark digit-light digit-dark row-light row-dark'
if [ -n "$browser" ]; then
  { # frames of both widths, and what comes from them
    echo '<script>addEventListener("message", m => document.body.append("\n", m.data, "\n"));</script><pre>'
    for page in $pages; do
      # the reader's mode is decided by the name of the page, not by this machine
      scheme=all
      [ "${page#*-}" = dark ] || scheme='not all'
      sed "s/@media(prefers-color-scheme:dark)/@media $scheme/" "${page%-*}/report.html" |
        cat - probe.html > "$page.html"
      for width in 390 1280; do
        echo "<iframe name=$page src=$page.html width=$width height=700 frameborder=0></iframe>"
      done
    done
  } > frames.html
  flags=(--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run
    --user-data-dir="$work/browser" --virtual-time-budget=20000)
  timeout 200 "$browser" "${flags[@]}" --dump-dom "file://$work/frames.html" > dom 2> err
  fine='broken 0 bare 0 out 0 cut 0 met 0 plain 0 wide 0'
  for page in $pages; do
    for width in 390 1280; do
      seen=$(grep "^ *$page: .* window $width " dom)
      ok "$page at $width pixels: ${seen:-nothing}" grep -Eq \
        "images [1-9][0-9]+ $fine scrolled [1-9][0-9]* window $width ${page#*-}$" <<< "$seen"
    done
  done
  for shot in photo-light-1280-12000 photo-dark-390-16000; do
    IFS=- read -r name scheme width height <<< "$shot"
    echo "<body style=margin:0><iframe src=$name-$scheme.html width=$width height=$height" \
      'frameborder=0></iframe>' > frame.html
    timeout 200 "$browser" "${flags[@]}" --window-size="$width,$height" \
      --screenshot="$build/look-$name-$scheme-$width.png" "file://$work/frame.html" > /dev/null 2>&1
    ok "a screenshot of $shot" test -s "$build/look-$name-$scheme-$width.png"
  done
else
  skipped=14
  echo 'skipped the report in a browser: there is no chromium (apt-get install chromium)'
fi

echo "look: $passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
[ $failed = 0 ]
