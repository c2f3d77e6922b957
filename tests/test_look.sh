#!/usr/bin/env bash
# Looks inside small nets: every `nn look` in miniature on the images that the program draws. What
# the page makes of its figures is tests/test_page.sh's.
# usage: [NN_BIN=build/nn] tests/test_look.sh
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/program.sh
models() { find "$1" -name '*.nn' -not -path '*/look*/*' -exec cksum {} + | sort; }
sections() { grep -o '{"id":"[a-z-]*"' "$1" | cut -d '"' -f 4; } # those of a page

# ---- nets to look at: a convolutional one of photographs' kind, one of digits, a recurrent one ----
run cifar10 --size 28 --gray --hidden 24 --batch 20 --steps 60 --snapshots 4 --quiet --out photo
ok 'a net to look at' test $rc = 0
ok 'its page tells its best model, and how many images tested it' grep -q \
  '"summary":"[^"]*The best is the model of step .*"at the end, of [0-9,]* images"' photo/report.html
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
refused 1 'photo/snapshots is not the folder of a run: best.nn is missing' look filters photo/snapshots
refused 2 '--square goes only with WHAT occlusion.correspondence.all' \
  look filters photo --square 3
refused 2 '--map goes only with --layer' \
  look saliency photo --map 3
refused 2 '--steps goes only with WHAT depth' look confusion photo --steps 3
refused 2 'no option --seeds' look all photo --seeds 2
refused 2 '--map goes only with --layer' look deconv photo --map 3
refused 1 '--images: more than 50' look saliency photo --quiet --images "$(seq -s , 51)"
refused 1 'is not the number of a test image, 0 .. 199' look saliency photo --quick --quiet --images 1,200
refused 1 "no layer 'relu9'" look deconv photo --quick --quiet --layer relu9
refused 1 'relu1 has 32 maps: --map 0 .. 31' look deconv photo --quick --quiet --layer relu1 --map 32
refused 1 'larger than the images of 28 x 28' look occlusion photo --quick --quiet --square 29
refused 1 'photo holds a run, whose report would be lost' look confusion digit --quick --quiet --out photo

# ---- everything that takes no training, and that leaves the models what they were ----
models photo > before
run look all photo --quick
ok 'look all' test $rc = 0 -a "$(grep -c '^report: photo/look-quick/all.html$' out)" = 1
ok 'leaves every bit of the models' cmp before <(models photo)
page=photo/look-quick/all.html
ok 'a section for each look' test "$(sections $page | tr '\n' ' ')" = 'filters activations deconv evolution invariance occlusion saliency correspondence depth confusion '
ok 'what a net has not is left out and named' test "$(grep -c '^nn: states: left out: the net has no recurrent' err)" = 1
for csv in photo/look-quick/*.csv; do
  ok "$csv has as many cells in each line" awk -F, \
    '{ gsub(/"[^"]*"/, "") } NF != n && n { exit 1 } { n = NF }' "$csv"
done
best=$(sed -n 's/.*best_step=\([0-9]*\) .*/\1/p' <("$nn" info photo/last.nn))
share=$(awk -F, 'NR > 1 { n += $NR } END { printf "%.2f", n / 2 }' photo/look-quick/confusion.csv)
ok 'it tells step, images and how many are right' grep -q "\"summary\":\"The model of step $best answers \
$share % of 200 test images right: drawn shapes gray, middle 28x28 (--quick)\"" $page
titles='Activations|Correspondence of parts|What each layer knows|Confusion and mistakes'
ok 'what stands on stdout has its titles' test "$(grep -Exc "$titles" out)" = 4

# What can be counted is right.
stages() { printf '%s\n' "$best" "$@" | sort -nu | tr '\n' ' '; } # with the best model's
way=photo/look-quick/activations-way.csv
ok 'activations of the start, each snapshot and the best model' test "$(sed 1d $way | cut -d , -f 2 |
  sort -nu | tr '\n' ' ')" = "$(stages 0 4 15 34 60)"
ok 'of every layer at every step' test "$(wc -l < $way)" = \
  $((1 + 10 * $(cut -d , -f 2 $way | sed 1d | sort -u | wc -l)))
values=$(awk -F, '$2 == 60 && $1 == "relu1" { print $12 }' $way)
ok 'a value for each place, map and image' test "$values" = $((200 * 32 * 28 * 28))
ok 'a histogram counts nearly all of them' awk -F, -v all="$values" 'NR > 1 {
  n += $1 == "zeros" ? all * $NF : $NF } END { exit !(n > .98 * all && n <= all + 1) }' \
  photo/look-quick/histograms-relu1.csv
ok 'dead maps are those of rectifiers' awk -F, 'NR > 1 && ($10 == "") != ($3 != "relu") { exit 1 }' \
  photo/look-quick/activations.csv
ok 'a rectifier keeps its zeros apart' test "$(grep -l ^zeros photo/look-quick/histograms-*.csv |
  tr '\n' ' ')" = "$(echo photo/look-quick/histograms-relu{1,2,3}.csv) "
right=$(awk -F, 'NR > 1 { n += $NR } END { print n }' photo/look-quick/confusion.csv)
all=$(awk -F, 'NR > 1 { for (i = 2; i < 12; i++) n += $i } END { print n }' photo/look-quick/confusion.csv)
ok 'the confusion counts each image once' test "$all" = 200
ok 'mistakes and right answers are all images' test \
  $(($(wc -l < photo/look-quick/mistakes.csv) - 1)) = $((200 - right < 24 ? 200 - right : 24))
ok 'the table of classes has the same' test "$(awk -F, 'NR > 1 { n += $3 } END { print n }' \
  photo/look-quick/classes.csv)" = "$right"
ok 'the worst mistakes by the probability of what they are' sh -c \
  'sed 1d "$1" | cut -d , -f 4 | sort -gc' - photo/look-quick/mistakes.csv
ok 'filters: each weight' test "$(wc -l < photo/look-quick/filters.csv)" = $((1 + 32 * 25))
strongest() { # the strongest of the nine come first, and are in different images
  awk -F, 'NR > 1 && $4 > 1 && $9 > last { exit 1 } NR > 1 { last = $9
    if (seen[$1, $2, $5]++) exit 1 }' photo/look-quick/deconv.csv
}
ok 'deconv: the strongest first, each in another image' strongest
ok 'deconv: each unit sees what it can' awk -F, 'NR > 1 && ($10 + $12 > 28 || $11 + $13 > 28 ||
  ($1 == "relu1" && ($12 > 5 || $13 > 5)) || ($1 == "relu2" && ($12 > 14 || $13 > 14))) { exit 1 }' \
  photo/look-quick/deconv.csv
ok 'invariance: nothing has moved where nothing was moved' awk -F, '$2 == 0 && $3 > 1e-6 { exit 1 }
  $2 == 0 { n++ } END { exit n != 6 }' photo/look-quick/invariance-[135].csv
ok 'occlusion: a place for each square inside, and shares' awk -F, 'NR > 1 && $2 == 1 && ($4 < 0 || $4 > 1) {
  exit 1 } END { exit (NR - 1) % (3 * 23 * 23) && (NR - 1) % (3 * 22 * 22) }' photo/look-quick/occlusion.csv
ok 'depth: from the image to the answer' test "$(cut -d , -f 1 photo/look-quick/depth.csv | sed 1d |
  tr '\n' ' ')" = '0: the image 1: max_pool1 2: max_pool2 3: relu3 4: linear2 '

# ---- images and layers that are named ----
run look saliency photo --images 3,14 --quiet --quick
ok 'a look at two images' test $rc = 0 -a ! -s err -a \
  "$(grep -c '^{"label":"\(3\|14\): \|"items":\[{"label":"3: ' photo/look-quick/saliency.html)" = 2
for layer in relu2 linear1 max_pool1; do
  run look deconv photo --quick --layer $layer --map 3 --quiet
  ok "one map of $layer" test $rc = 0 -a "$(sed 1d photo/look-quick/deconv.csv | cut -d , -f 1,2 |
    sort -u)" = "$layer,3"
done
run look deconv photo --quick --layer relu2 --images 3,14 --quiet
ok 'one layer, two images' test $rc = 0 -a "$(sed 1d photo/look-quick/deconv.csv | cut -d , -f 5 |
  sort -u | tr '\n' ' ')" = '14 3 '

# ---- models of another net in the run's folder ----
snapshot=photo/snapshots/step-15.nn
cp "$snapshot" own.nn
for other in digit row; do # fewer maps; no convolution at all
  cp $other/best.nn "$snapshot"
  run look filters photo --quick --quiet
  ok "it goes on without a snapshot of another net" test $rc = 0 -a \
    "$(grep -c "^nn: left out: $snapshot: .*arrays missing" err)" = 1
done
head -c 3000 own.nn > "$snapshot"
run look evolution photo --quick --quiet
ok 'and without one that is damaged' test $rc = 0 -a \
  "$(grep -c "^nn: left out: $snapshot: " err)" = 1
cp own.nn "$snapshot"

# ---- a model alone; other nets ----
cp digit/best.nn alone.nn
run look all alone.nn --quick --quiet
ok 'a model alone, its images by its notes' test $rc = 0 -a -s alone-look/all.html
ok 'what needs a run is told' grep -q 'evolution: left out: there is but one model' err
ok 'its step is not known' grep -q 'The model answers .* of 200 test' alone-look/all.html
run look confusion photo/snapshots/step-15.nn --quick --quiet --out seen
ok 'a snapshot, with the data of its run' grep -q \
  'Inside photo/snapshots/step-15.nn.*of 200 test images right: drawn shapes' seen/confusion.html
run look confusion digit/last.nn --quick --quiet --out seen
ok 'a checkpoint' grep -q 'Inside digit/last.nn.*of step 60 .* of 200 test' seen/confusion.html
ok 'its folder is left alone' test ! -e digit/look-quick
run look all row --quick
ok 'a recurrent net' test $rc = 0 -a "$(sections row/look-quick/all.html | tr '\n' ' ')" = \
  'activations invariance occlusion saliency states correspondence depth confusion '
for what in filters deconv evolution; do
  ok "what $what cannot show there is told" grep -q "^nn: $what: left out: .*convolution" err
done
ok 'states: units and answers of each step' awk -F, 'NR > 1 { n[$2]++ } END {
  exit !(n[1] == n[2] * 28 * 12 / (28 * 10)) }' row/look-quick/states.csv
refused 1 'look deconv: the net has no convolution' look deconv row --quick --quiet
run mnist --cell cnn --maps1 0 --maps2 0 --hidden 0 --batch 20 --steps 20 --quiet --out linear
run look invariance linear --quick --quiet
ok 'a net without layers' test $rc = 0
run look all colour --quick --quiet
ok 'a net of colours' test $rc = 0 -a "$(sections colour/look-quick/all.html | wc -l)" = 10
head -c 3000 digit/best.nn > bad.nn
refused 1 'bad.nn' look filters bad.nn --quick --quiet
run look confusion row --quiet
ok 'a miniature and the whole have folders of their own' test -s row/look/confusion.html -a \
  -s row/look-quick/all.html

# ---- a linear classifier of a trained net's features finds what the net itself finds ----
run mnist --cell mlp --hidden 32 --steps 600 --lr .003 --quiet --out plain
run look depth plain --quiet
ok "depth of a trained net: $(cat plain/look/depth.csv)" awk -F, -v best="$(sed -n \
  's/.* best=\([0-9.]*\) .*/\1/p' <("$nn" info plain/last.nn))" \
  '/^[12]: / && $3 >= best - .01 { n++ } END { exit best < .5 || n != 2 }' plain/look/depth.csv

# ---- a net whose maps a large rate has killed ----
run cifar10 --size 28 --gray --maps1 4 --maps2 5 --hidden 8 --batch 20 --lr 1 --steps 20 --quiet \
  --out dead
run look deconv dead --quick --quiet
ok 'a dead map is told in its place' test $rc = 0 -a \
  "$(grep -c '"note":"not active","grids":\[null,null\]' dead/look-quick/deconv.html)" -gt 3

echo "look: $passed passed, $failed failed"
[ $failed = 0 ]
