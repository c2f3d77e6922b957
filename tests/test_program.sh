#!/usr/bin/env bash
# Drives the program as a person would: help, mistakes, a short run, Ctrl-C, resuming, predicting.
# usage: [NN_BIN=build/nn] tests/test_program.sh
# It needs no data set: small IDX and CIFAR-10 files are made, the program draws the rest.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/program.sh

# ---- help and version ----
run --help
ok 'help exits 0 and is on stdout' test $rc = 0 -a -s out -a ! -s err
for command in cifar10 mnist demo experiment sweep look info predict data; do
  ok "help names $command" grep -q "^  $command " out
done
for command in cifar10 mnist demo experiment sweep look info predict data; do
  "$nn" $command --help > help 2> err
  ok "$command --help" test $? = 0 -a -s help -a ! -s err
  "$nn" help $command | cmp -s - help
  ok "help $command is the same" test $? = 0
  ok "$command --help has short lines, none with a space at its end" \
    awk 'length > 100 || / $/ { exit 1 }' help
done
run --version
ok 'version' grep -Eq '^nn [0-9]+\.[0-9]+\.[0-9]+$' out

# ---- every kind of mistake on the command line: exit 2, one line ----
refused 2 'which command'
refused 2 "no command 'mnits'; did you mean mnist" mnits
refused 2 "no command 'xyzzy'" xyzzy
refused 2 'one argument too many' mnist extra
refused 2 'did you mean --optimizer' mnist --optmizer adam
refused 2 'did you mean --epochs' mnist --epoch=3
refused 2 'unknown option --frobnicate' mnist --frobnicate 1
refused 2 'options begin with --' mnist -q
refused 2 'no option --gray' mnist --gray
refused 2 'no option --cell' cifar10 --cell gru
refused 2 'needs a value' mnist --lr
refused 2 'needs a value' mnist --lr --quiet
refused 2 'takes no value' mnist --quiet=1
refused 2 'is none of .*did you mean lstm' mnist --cell lstn
refused 2 'is none of' mnist --optimizer best
refused 2 'is none of' cifar10 --size 29
for value in '' abc nan inf -1 1e999 0x1 ' 1' '1 ' 1,5 --1; do
  refused 2 '--lr' mnist "--lr=$value"
done
for value in '' 0 -1 1.5 1e2 99999999999999999999 ten; do
  refused 2 '--batch' mnist "--batch=$value"
done
refused 2 '--keep' mnist --keep 0
refused 2 '--keep' mnist --keep 1.01
refused 2 '--pad1' cifar10 --pad1 6
refused 2 'pad1 3 is more than half of --kernel1' cifar10 --pad1 3
refused 2 'pad1 2 is more than half' cifar10 --pad1 2 --kernel1 3
refused 2 'hidden 0: only --cell cnn' mnist --hidden 0
refused 2 'goes only with --cell cnn' mnist --maps1 8
refused 2 '--augment' mnist --augment flip,tilt
refused 2 '--augment' mnist --augment shift=0
refused 2 'is empty' mnist --out ''
refused 2 'control character' mnist --out $'a\nb'
refused 2 'exclude each other' mnist --epochs 1 --steps 1
refused 2 'goes only with' mnist --cell gru --relu
refused 2 'goes only with' mnist --cell cnn --layers 2
refused 2 'goes only with' mnist --momentum .5
refused 2 'goes only with' mnist --gamma .5
refused 2 'goes only with' mnist --alpha .9
refused 2 'goes only with' mnist --pad1 1
refused 2 'usage: nn info' info
refused 2 'usage: nn predict' predict model
NN_ISA=sse3 refused 2 'NN_ISA.*is none of' mnist
case $(uname -m) in x86_64 | i?86) other=neon ;; *) other=sse2 ;; esac
refused 2 'cannot run here' mnist --isa $other

# ---- more small data sets of this test's own ----
mkdir -p set/cifar-10-batches-bin
for name in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  for k in 3 5; do printf "\\$k"; head -c 3072 "$nn"; done > set/cifar-10-batches-bin/$name.bin
done
small=(mnist --data set --quiet --batch 8 --hidden 16)

run data --data set
ok 'data tells what is there' grep -q 'mnist .*unknown origin, 100 + 50 images' out
ok 'data never calls other files CIFAR-10 itself' grep -q 'cifar10 .*not the published' out
NN_DATA=set run data
ok 'NN_DATA is looked into' grep -q '100 + 50 images' out
for place in nowhere mnt; do # one that is not there, one without images
  [ $place = nowhere ] || mkdir $place
  NN_DATA=$place refused 1 "no MNIST files in $place, which NN_DATA names: train-images" mnist
  NN_DATA=$place refused 1 "no CIFAR-10 files in $place, which NN_DATA names: data_batch" cifar10
  NN_DATA=$place refused 1 "no MNIST files in $place, which NN_DATA names" demo
  NN_DATA=$place run data
  ok "data tells of $place" test "$(grep -c "nothing in $place$" out)" = 2
done
NN_DATA=nowhere run data --data set
ok '--data goes before NN_DATA' grep -q 'mnist .* 100 + 50 images' out
NN_DATA=set/mnist run data
ok 'an NN_DATA with one of the sets does without the other' test "$(grep -c \
  'mnist .*from set/mnist$\|cifar10 .*drawn by the program' out)" = 2
cp -r set data
run data
ok 'data/ is looked into' grep -q 'mnist .*from data/mnist' out
rm -r data

# ---- missing and damaged files: exit 1, one line ----
refused 1 'no MNIST files in nowhere' mnist --data nowhere
refused 1 'no CIFAR-10 files in nowhere' cifar10 --data nowhere
damaged() { # damaged FILE BYTES PATTERN WORDS..: with that file of the set cut to so many bytes
  local file=$1 bytes=$2
  rm -rf cut && cp -r set cut
  if [ "$bytes" = none ]; then rm "cut/$file"; else head -c "$bytes" "set/$file" > "cut/$file"; fi
  shift 2
  refused 1 "$@" --data cut --quiet
}
for bytes in none 0 3 10 20 5000; do
  damaged mnist/train-images-idx3-ubyte $bytes 'train-images' mnist
done
damaged mnist/t10k-labels-idx1-ubyte 57 't10k-labels' mnist
damaged cifar-10-batches-bin/test_batch.bin none 'test_batch' cifar10
damaged cifar-10-batches-bin/data_batch_3.bin 5000 'data_batch_3' cifar10
column() { printf '\0\0\10\2'; word "$1"; word "$2"; classes $(($1 * $2)); }
rm -rf cut && cp -r set cut
column 50 2 > cut/mnist/train-labels-idx1-ubyte
refused 1 'train-labels.* is not an IDX file of byte labels' mnist --data cut --quiet
column 100 1 > cut/mnist/train-labels-idx1-ubyte
column 50 1 > cut/mnist/t10k-labels-idx1-ubyte
run "${small[@]}" --cell mlp --steps 3 --out flat
run "${small[@]}" --cell mlp --steps 3 --out column --data cut
ok 'a column of labels is as good as a row of them' cmp flat/last.nn column/last.nn
rm -rf cut && cp -r set cut
labels 50 | tr '\3' '\12' > cut/mnist/t10k-labels-idx1-ubyte
refused 1 'label 10 of sample 3' mnist --data cut --quiet
printf '\12' | dd of=cut/cifar-10-batches-bin/data_batch_2.bin bs=1 seek=3073 conv=notrunc 2> /dev/null
refused 1 'data_batch_2.bin: byte 3073: label 10 is not 0 .. 9' cifar10 --data cut --quiet
cp set/mnist/train-labels-idx1-ubyte cut/mnist/t10k-labels-idx1-ubyte
refused 1 '100 labels for 50 images' mnist --data cut --quiet
refused 1 'cannot be made' "${small[@]}" --out set/mnist/train-images-idx3-ubyte/sub
refused 1 'missing|No such|cannot' info nothing.nn
refused 1 '' info set/mnist/train-images-idx3-ubyte
mkfifo pipe
refused 1 'pipe is not a file' info pipe
refused 1 'pipe is not a file' predict pipe set/mnist/t10k-images-idx3-ubyte
refused 1 'set is not a file' info set

# ---- a short run leaves everything behind ----
run "${small[@]}" --epochs 2 --cell lstm
ok 'a run exits 0, silent on stderr with --quiet' test $rc = 0 -a ! -s err
ok 'its result names the data' grep -q '^LSTM on IDX images of unknown origin: ' out
for file in settings.txt log.csv best.nn last.nn report.html; do
  ok "it writes $file" test -s runs/lstm-001/$file
done
ok 'log.csv has its columns' grep -qx \
  'step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds' runs/lstm-001/log.csv
ok 'log.csv ends with the last step' grep -q '^26,2,' runs/lstm-001/log.csv
offline() { ! grep -Eq 'https?:/|url[(]|@import' "$1"; }
ok 'report.html needs no network' offline runs/lstm-001/report.html
ok 'report.html has both curves' test "$(grep -c '<svg' runs/lstm-001/report.html)" = 2
run mnist --data set --batch 8 --hidden 16 --epochs 1 --cell mlp --out named/run
ok 'progress says which data' grep -q '^data: IDX images of unknown origin, .*from set/mnist' err
ok 'one line an epoch where stderr is no terminal' test "$(grep -c 'epoch 1/1' err)" = 1
ok 'no control characters there' test -z "$(tr -d '\n\40-\176' < err)"
refused 1 'already holds a run' "${small[@]}" --out named/run
run "${small[@]}" --cell cnn --steps 4
ok 'filters are in the report of a convolutional network' \
  test "$(grep -c 'data:image/png;base64' runs/cnn-001/report.html)" = 2
run "${small[@]}" --cell cnn --steps 9 --snapshots 4 --kernel1 3 --stride1 2 --maps2 0 --out kept
ok 'snapshots, closest at the start' test "$(echo kept/snapshots/* | sed 's|kept/snapshots/||g')" = \
  'step-1.nn step-3.nn step-6.nn step-9.nn'
ok 'the last is the model that training ended with' \
  cmp <("$nn" predict kept/snapshots/step-9.nn set/mnist/t10k-images-idx3-ubyte 2> err) \
  <("$nn" predict kept/last.nn set/mnist/t10k-images-idx3-ubyte 2> err)
run info kept/best.nn
ok 'a convolution resized and another left out' grep -q '^1 .* 32x14x14 .* 320 ' out
run cifar10 --quiet --steps 2 --size 28 --gray --hidden 8 --batch 4
ok 'without data the program draws its own, and says so' grep -q '^LeNet5 on drawn shapes gray' out
run mnist --data set --quiet --cell rnn --relu --optimizer sgd --lr 1000 --steps 200 --hidden 64
ok 'a loss that explodes is one clear line' test $rc = 1 -a "$(grep -c 'lower --lr' err)" = 1
run mnist --data set --quiet --cell gru --layers 2 --keep .8 --optimizer adamw --schedule cosine \
  --warmup 2 --clip-norm 1 --weight-decay .1 --augment flip,shift=2,cutout=4 --steps 6 --hidden 8 \
  --init orthogonal
ok 'all these options together' test $rc = 0
ok 'the settings hold the command that repeats the run' grep -q \
  '^run.command=nn mnist --cell gru --optimizer adamw .*flip,shift=2,cutout=4 --data set$' \
  runs/gru-001/settings.txt

# ---- Ctrl-C and resuming: the same bits as without interruption, for other thread counts too ----
long=("${small[@]}" --cell gru --steps 6000 --test-every 1000 --save-every 50 --keep .9 --layers 2)
run "${long[@]}" --threads 1 --out whole
ok 'the uninterrupted run' test $rc = 0
interrupted() { # interrupted SIGNAL WORDS..: sends it once $saved has changed; its status in $rc
  local signal=$1 before
  shift
  before=$(cksum $saved 2> /dev/null)
  "$nn" "$@" > out 2> err < /dev/null &
  local pid=$!
  while kill -0 $pid 2> /dev/null; do
    [ ! -f $saved ] || [ "$(cksum $saved 2> /dev/null)" = "$before" ] || break
    sleep .02
  done
  kill -"$signal" $pid
  { wait $pid; } 2> /dev/null
  rc=$?
}
saved=part/last.nn
interrupted INT "${long[@]}" --threads 2 --out part
ok 'Ctrl-C exits 130' test $rc = 130
ok 'it says how to go on' grep -q "saved; go on with: $nn mnist --resume part" err
ok 'on one line' one_line err
interrupted TERM mnist --resume part --quiet --threads 1
ok 'SIGTERM exits 143' test $rc = 143
interrupted HUP mnist --resume part --quiet --threads 2
ok 'SIGHUP exits 129' test $rc = 129
ok 'it is saved, too' grep -q "saved; go on with: $nn mnist --resume part" err
saved=hangup/last.nn
trap '' HUP
interrupted HUP "${small[@]}" --cell gru --steps 400 --test-every 400 --save-every 10 --out hangup
trap - HUP
ok 'with nohup a closed terminal stops nothing' test $rc = 0 -a ! -s err
saved=part/last.nn
interrupted KILL mnist --resume part --quiet --threads 2
ok 'SIGKILL leaves what was saved last' test $rc = 137
cp part/last.nn saved.nn
refused 2 'lr .* is not what this run has' mnist --resume part --lr .5
refused 2 'cell .* is not what this run has' mnist --resume part --cell rnn
refused 2 'leave --out away' mnist --resume part --out other
refused 1 'nn mnist' cifar10 --resume part
refused 1 'other data' mnist --resume part --quiet --data "$(rm -rf cut; cp -r set cut
  labels 50 | tr '\5' '\6' > cut/mnist/t10k-labels-idx1-ubyte; echo cut)"
refused 1 'not the folder of a run' mnist --resume nowhere
refused 2 'lr .* is not what' mnist --resume part --lr .5 --save-every 7 --keep-going
cp part/previous.nn before.nn
ok 'the checkpoint before is kept, too' test -s before.nn -a -s part/previous.txt
rm part/previous.nn
head -c 3000 saved.nn > part/last.nn
refused 1 'last.nn: .*part/previous.nn is missing; start the run anew' mnist --resume part --quiet
cp named/run/last.nn part/last.nn
refused 1 'not a checkpoint of the run' mnist --resume part --quiet
cp before.nn part/previous.nn
run mnist --resume part --quiet --threads 2 --cell gru
ok 'the resumed run finishes from the checkpoint before' test $rc = 0 -a "$(wc -l < err)" = 1 -a \
  "$(grep -c 'not a checkpoint of .*; going on from the checkpoint before it, step ' err)" = 1
for file in best.nn last.nn; do ok "$file has the same bits" cmp whole/$file part/$file; done
for d in whole part; do cut -d , -f 1-6 $d/log.csv > $d.csv; done
ok 'log.csv is the same but for the seconds' cmp whole.csv part.csv
run mnist --resume part --quiet
ok 'resuming a finished run changes nothing' test $rc = 0 -a ! -s err
ok 'its model neither' cmp whole/last.nn part/last.nn

# One huge loss does not drown those of the steps after it.
run cifar10 --size 28 --gray --init he --maps1 8 --maps2 8 --hidden 64 --optimizer sgd --lr 50 --seed 3 \
  --batch 20 --steps 8 --test-every 1 --isa scalar --quiet --out huge
ok 'each line has the losses of its own steps' awk -F, 'NR > 1 && $3 > 1e20 { huge = 1 }
  huge && $3 == 0 { zero = 1 } END { exit zero || !huge || NR != 9 }' huge/log.csv

# ---- resuming from a damaged folder: what is wrong, where, and what to do ----
changed() { # changed SED PATTERN: a run whose settings.txt sed has changed is refused
  rm -rf bad && cp -r named/run bad && sed "$1" named/run/settings.txt > bad/settings.txt
  refused 1 "$2" mnist --resume bad --quiet
}
changed 's/^command=.*/command=mnits/' 'settings.txt: line 1: there is no run of .*put it back'
changed 1d 'settings.txt: the line command=.. is missing'
changed 's/^lr=.*/lr=fast/' "settings.txt: line [0-9]+: lr 'fast' is not a number.*put it back"
changed 's/^lr/rl/' "settings.txt: line [0-9]+: there is no setting 'rl'"
changed 's/^lr=/lr/' "settings.txt: line [0-9]+: 'lr.001' is not key=value"
changed 's/^lr=/\x00\x00=/' "settings.txt: line [0-9]+: there is no setting"
changed '/^lr=/d' 'settings.txt: the line lr=.. is missing'
changed '/^lr=/p' 'settings.txt: line 5: lr is already in line 4'
changed '/^batch/,$d' 'settings.txt: the line run.kernels=.. is missing'
changed 's/^epochs=.*/&\nsteps=5/' 'settings.txt: line [0-9]+: epochs and steps exclude each other'
changed 's/^lr=.*/&\nrelu=yes/' 'settings.txt: line [0-9]+: relu goes only with --cell rnn'
changed 's/^lr=.*/&\naugment=tilt/' "settings.txt: line [0-9]+: augment 'tilt' is not made of"
changed 's/^batch=.*/batch=7/' 'settings.txt: batch 7 does not lead to epoch 2, sample 0 in .*put it'
changed 's/^warmup=.*/warmup=99/' 'settings.txt: line [0-9]+: warmup is longer than the run'
changed 's/^lr=.*/lr=.25/' 'last.nn is not a checkpoint of the run that settings.txt'
changed 's/^seed=.*/seed=77/' 'last.nn is not a checkpoint of the run that settings.txt'
changed 's/^optimizer=.*/optimizer=sgd/' 'last.nn is not a checkpoint of the run that settings.txt'
changed 's/^run.kernels=.*/run.kernels=mmx/' "run.kernels 'mmx' are no kernels"
changed '/^run.data-crc/d' 'the line run.data-crc=.. is missing'
changed 's/^run.data-crc=.*/run.data-crc=12/' 'not eight hexadecimal digits'


# A run of 200 steps, made one of 300 that stopped there; what it can do without, it does without.
run "${small[@]}" --cell mlp --steps 200 --test-every 100 --out half
rm -r bad
cp -r half bad
rm bad/*.nn
run mnist --resume bad --quiet
ok 'a run without a checkpoint begins anew and says so' test $rc = 0 -a "$(wc -l < err)" = 1 -a \
  "$(grep -c 'bad has no checkpoint yet: the run starts from its beginning' err)" = 1
ok 'to the same bits' cmp half/last.nn bad/last.nn
# What cannot be opened is not missing: nothing begins anew over it.
for file in last.nn best.nn log.csv; do
  rm -r bad && cp -r half bad && ln -sf "$file" bad/$file
  refused 1 "bad/$file: Too many levels" mnist --resume bad --quiet
done
rm -r bad && cp -r half bad && mkfifo bad/log.csv.tmp && sed -i 's/^steps=200$/steps=300/' bad/settings.txt
refused 1 'bad/log.csv.tmp: cannot write' mnist --resume bad --quiet
for file in last.nn progress.txt log.csv settings.txt; do # nor is what is no file
  for kind in mkfifo mkdir 'ln -s /dev/null'; do
    rm -r bad && cp -r half bad && rm bad/$file && $kind bad/$file
    refused 1 "bad/$file is not a file: a folder, a pipe or a device\$" mnist --resume bad --quiet
  done
done
refused 1 '^nn: bad/settings.txt is not a file' predict bad/best.nn \
  set/mnist/t10k-images-idx3-ubyte
refused 1 '^nn: /dev/null is not a file' predict half/best.nn set/mnist/t10k-images-idx3-ubyte \
  --labels /dev/null
refused 2 'has a control character' info $'half/\033[31mlast.nn'
rm -r bad
sed -i 's/^steps=200$/steps=300/' half/settings.txt
cp -r half bad
run mnist --resume bad --quiet
ok 'it goes on silently when nothing is damaged' test $rc = 0 -a ! -s err
cp bad/last.nn end.nn
cp bad/log.csv end.csv
without() { # without COMMAND PATTERN [NOTES]: in its folder, before resuming; the notes match
  rm -rf bad && cp -r half bad && (cd bad && eval "$1")
  run mnist --resume bad --quiet
  ok "$1: resumes with a note" test $rc = 0 -a "$(wc -l < err)" = "${3:-1}" -a \
    "$(grep -Ec -- "$2" err)" = "${3:-1}"
  ok "$1: to the same model" cmp end.nn bad/last.nn
  ok "$1: to a report" test -s bad/report.html -a -s bad/log.csv
  local best
  best=$(sed -n 's/.*(best \([0-9.]* %\) at.*/\1/p' out)
  run predict bad/best.nn "$test_set-images-idx3-ubyte" --labels "$test_set-labels-idx1-ubyte"
  ok "$1: best.nn is what the result says" grep -q "^accuracy ${best:-none} " out
}
test_set=set/mnist/t10k
without 'rm best.nn' 'best.nn is missing: it gets the model of step 200, test accuracy'
without 'echo damaged > best.nn' 'best.nn is damaged: it gets the model of step 200'
without 'cp ../whole/best.nn .' 'best.nn is of another network: it gets'
without 'rm log.csv' 'log.csv is missing: the curves begin at step 200'
without 'sed -i s/^50,/x,/ log.csv' 'log.csv: line 6 is damaged: left out'
ok 'the other lines are still there' test "$(wc -l < bad/log.csv)" = $(($(wc -l < end.csv) - 1))
without 'sed -i 1,9s/[,.]/-/ log.csv' 'log.csv: line 1 is damaged, and others'
without 'head -c 300 log.csv > l; mv l log.csv' 'log.csv: line [0-9]+ is damaged'
without 'head -n 5 log.csv > l; mv l log.csv' 'log.csv ends at step 40: .* gap up to step 200'
without 'rm last.nn' 'last.nn is missing; going on from the checkpoint before it, step 100'
without 'head -c 900 last.nn > l; mv l last.nn' 'last.nn: .*; going on from .* before it, step 100'
without 'rm last.nn; mv progress.txt l' 'last.nn is missing; going on from'
without 'rm progress.txt' 'progress.txt is missing: the next training figures'
without 'echo step=1e99 > progress.txt' 'progress.txt is damaged: the next training figures'
without 'sed -i s/^best=.*/best=201/ progress.txt' 'progress.txt is damaged'
without 'sed -i s/^step=.*/step=250/ progress.txt' 'progress.txt is of another step: the next'
without 'rm last.nn previous.txt' 'last.nn is missing; go|previous.txt is missing' 2
without "sed -i s/^run.kernels=.*/run.kernels=$other/ settings.txt" \
  " $other kernels, which cannot run here: it goes on with [a-z0-9]* kernels, and its bits differ"
rm -r bad && cp -r half bad && sed -i "s/^run.kernels=.*/run.kernels=$other/" bad/settings.txt
run mnist --resume bad --quiet --isa scalar
ok 'or with those of --isa' test $rc = 0 -a "$(grep -c ' goes on with scalar kernels, ' err)" = 1
without 'rm best.nn log.csv' 'best.nn is missing: the next test writes it|log.csv is missing' 2
without 'rm log.csv progress.txt' 'unknown accuracy: the next|(log.csv|progress.txt) is missing' 3
rm named/run/log.csv
run mnist --resume named/run --quiet
ok 'a finished run that lost its log is tested again' test $rc = 0 -a "$(wc -l < err)" = 1 -a \
  "$(grep -c 'test accuracy' out)" = 1 -a "$(wc -l < named/run/log.csv)" = 2

# ---- info and predict ----
run info whole/best.nn
ok 'info lists the layers' grep -Eq 'linear' out
bytes() { grep -o "[0-9,]* bytes of memory to $1" out | tr -cd 0-9; }
parameters=$(sed -n 's/.* \([0-9,]*\) parameters$/\1/p' out | tr -d ,)
ok 'and the memory: parameters alone, or gradients and more as well' test \
  "$(bytes classify)" -gt $((4 * parameters)) -a "$(bytes train)" -gt $((8 * parameters)) -a \
  "$(bytes train)" -gt "$(bytes classify)"
run info whole/last.nn
ok 'info knows a checkpoint' grep -Eq 'checkpoint.*parameters' out
ok 'and its place' grep -q 'at step 6000' out
run predict whole/best.nn $test_set-images-idx3-ubyte
ok 'predict prints a line for each image' test $rc = 0 -a "$(wc -l < out)" = 51
run predict whole/last.nn $test_set-images-idx3-ubyte --labels $test_set-labels-idx1-ubyte
accuracy=$(awk -F, 'END { printf "%.2f %%", 100 * $6 }' whole/log.csv)
ok 'its accuracy is the one of the log' grep -q "^accuracy $accuracy " out
run predict runs/cifar10-001/best.nn set/cifar-10-batches-bin/test_batch.bin
ok 'predict reads CIFAR-10 files' test $rc = 0 -a "$(wc -l < out)" = 4
mkdir -p bars/cifar-10-batches-bin elsewhere # a model has all in it that it needs
for name in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  for k in 0 1 2 3 4 5 6 7 8 9; do # a class is the height of a bar
    printf "\\$(printf %o $k)"
    for _ in 1 2 3; do
      head -c $((96 * k)) /dev/zero
      head -c 160 /dev/zero | tr '\0' '\377'
      head -c $((864 - 96 * k)) /dev/zero
    done
  done > bars/cifar-10-batches-bin/$name.bin
done
for size in '28 --gray' '32'; do
  # shellcheck disable=SC2086
  run cifar10 --data bars --size $size --steps 200 --batch 10 --maps1 2 --maps2 4 --hidden 32 \
    --keep 1 --lr .01 --out "bars/$size"
  best=$(sed -n 's/.*(best \([0-9.]* %\) at.*/\1/p' out)
  cp "bars/$size/best.nn" elsewhere/bars.nn
  run predict elsewhere/bars.nn bars/cifar-10-batches-bin/test_batch.bin
  ok "size $size: it predicts anywhere what it did in its run" test $rc = 0 -a ! -s err -a \
    "$(sed -n 's/^accuracy \(.* %\) .*/\1/p' out)" = "$best"
  ok "size $size: by names" grep -q '^1 automobile [0-9.]* automobile$' out
  ok "size $size: all right" test "$best" = '100.00 %'
done
ok 'it tells by what data and command it was made' test \
  "$(grep -ac 'CIFAR-10 (not the published files), CRC-32 [0-9a-f]*' elsewhere/bars.nn)" = 1 -a \
  "$(grep -aco 'nn cifar10 .*--hidden 32' elsewhere/bars.nn)" = 1
echo 'run.mean=127.5' > elsewhere/settings.txt
refused 1 'elsewhere/settings.txt is of nn 0.1.0' predict elsewhere/bars.nn \
  bars/cifar-10-batches-bin/test_batch.bin
rm -r bars elsewhere
refused 1 'labels-idx1' predict runs/cifar10-001/best.nn $test_set-labels-idx1-ubyte
refused 1 'labels for' predict whole/best.nn $test_set-images-idx3-ubyte \
  --labels set/mnist/train-labels-idx1-ubyte
refused 1 '' predict whole/best.nn nothing
npy() { # npy TYPE SHAPE: what an npy file begins with
  printf '\223NUMPY\1\0\166\0%-117s\n' "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
}
run predict whole/last.nn $test_set-images-idx3-ubyte --labels $test_set-labels-idx1-ubyte
cp out out.flat
column 50 1 > column.idx
for type in '|u1' '<i4' '<i8'; do
  { npy "$type" '50, 1'
    for ((i = 0; i < 50; i++)); do
      printf "\\x$((i % 10))"
      head -c $((${type:2} - 1)) /dev/zero
    done
  } > "column-$type.npy"
done
for file in column.idx column-*.npy; do
  run predict whole/last.nn $test_set-images-idx3-ubyte --labels "$file"
  ok "predict reads $file, labels of shape [50,1]" cmp out out.flat
done
column 25 2 > pairs.idx
refused 1 'pairs.idx has 50 labels for 50 images: not one for each' \
  predict whole/last.nn $test_set-images-idx3-ubyte --labels pairs.idx
floats() { # floats BYTES..: an npy file of two 28x28 images of floats, the second begins with these
  npy '<f4' '2, 28, 28'
  head -c 3136 /dev/zero
  printf '%b' "$1"
  head -c 3132 /dev/zero
}
floats '\0\0\0\077' > half.npy
run predict whole/best.nn half.npy
ok 'predict reads npy files' test $rc = 0 -a "$(wc -l < out)" = 3
for bits in '\0\0\0300\0177' '\0\0\0200\0377'; do # NaN, -inf
  floats "$bits" > bad.npy
  refused 1 'bad.npy: image 1 holds NaN, an infinite number' predict whole/best.nn bad.npy
done
npy '<f4' '0, 28, 28' > none.npy
refused 1 'none.npy: no images are in it' predict whole/best.nn none.npy
for bytes in 0 10 500 3000; do
  head -c $bytes whole/best.nn > cut.nn
  refused 1 'cut.nn' info cut.nn
done
"$nn" --help > /dev/full 2> err
ok 'a full disk is an error' test $? = 1

# ---- the figures of its reports ----
ok "$("$(dirname "$nn")/tests/figures" | tail -n 1)" "$(dirname "$nn")/tests/figures"

# ---- changed files: see fuzz_program.c, whose targets these are ----
for target in images settings records; do
  ok "2000 changed files: $target" "$(dirname "$nn")/tests/fuzz_program" -t $target -n 2000
done

# ---- the demonstration ----
run demo --data set --steps 2 --out shown --quiet
ok 'demo exits 0' test $rc = 0
for name in CNN RNN LSTM GRU; do
  ok "its table has $name" grep -q "^$name .*unknown origin" out
done
ok 'it writes report.html' test -s shown/report.html
ok 'with every network and curve' test "$(grep -c '<svg' shown/report.html)" = 12
ok 'that needs no network' offline shown/report.html
ok 'a figure against time says so in its title' test \
  "$(grep -o '<h3>[^<]*, against time<' shown/report.html | wc -l)" = 2
ok 'the data is named once in a legend' test "$(grep -c '<li class=of>' shown/report.html)" = 2
mkdir digits && cp -r set/mnist digits
run demo --data digits --budget 1 --out brief --quiet
ok 'a budget that is too short leaves each network a hundred steps' test $rc = 0 -a \
  "$(grep -Ec '^(CNN|RNN|LSTM|GRU).* % +100  ' out)" = 4
ok 'and says so in one line' test \
  "$(grep -c '^cut short by the budget of 1 s .*: LeNet5, RNN, LSTM, GRU on' out)" = 1

# ---- the experiments ----
run experiment --list
ok 'experiment --list' test $rc = 0 -a ! -s err -a "$(grep -c '^[A-E][12]-' out)" = 80
ok 'what a report does not give is marked' grep -Eq '^A1-sgd .* \.01\* .* 15 epochs\* .* 33\.40  *-$' out
ok 'what it gives is not' grep -Eq '^E1-adagrad-.01-20 .* \.01 .* 20 epochs .* 71\.70  *activation tanh, pad2 1$' \
  out
ok 'options without a column stand in the last' test "$(grep -Ec "^best-gray28 .*  weight-decay \
.05\*, schedule one-cycle\*, augment flip,shift=3,cutout=8\*$|^D2-rnn-128 .*  alpha .9\*$|\
^E2-rnn-64 .*  relu$" out)" = 3
run experiment E2-gru,best --list
ok 'a list of some rows' test "$(grep -c '^E2-gru\|^best-' out)" = 8
refused 2 "no row 'A3'" experiment A3
refused 2 "did you mean E1-adam-.001" experiment D1,E1-adm-.001
refused 2 'usage: nn experiment' experiment
quick=(experiment "A2-rnn,same-cnn" --quick --data set --threads 1)
run "${quick[@]}"
ok 'a miniature says that it is one' test $rc = 0 -a "$(grep -c miniature out)" = 2
ok 'its table has a line for each row' test "$(grep -c '^A2-rnn  .* 90.34 \|^same-cnn  ' out)" = 2
row=runs/experiments-quick/A2-rnn/seed-1
ok 'a done row has its files' test -s $row/result.txt -a -s $row/best.nn -a ! -e $row/last.nn
ok 'a convolutional one its activations' \
  test "$(wc -l < runs/experiments-quick/same-cnn/seed-1/activations.csv)" = 10
ok 'the table is a CSV file, too' test "$(grep -c '^A2-rnn,\|^same-cnn,' \
  runs/experiments-quick/study2.csv)" = 2
ok 'report.html has its figures' \
  test "$(grep -c '<svg' runs/experiments-quick/report.html)" = 8
ok 'and needs no network' offline runs/experiments-quick/report.html
sed -i.kept "s/^run.kernels=.*/run.kernels=$other/" $row/settings.txt
run "${quick[@]}" --quiet
ok 'a done run stays done where its kernels cannot run' test $rc = 0 -a ! -s err -a \
  "$(grep -c '^2 of 2 runs were done' out)" = 1
mv $row/settings.txt.kept $row/settings.txt
touch -d '1 day ago' $row/*
run "${quick[@]}" --quiet --seeds 2
ok 'what is done is not done again' grep -q '^2 of 4 runs were done before' out
ok 'its files stay' test -z "$(find $row -type f -newermt '1 hour ago')"
run "${quick[@]}" --seeds 3 --done
ok '--done shows what is there' test $rc = 0 -a "$(grep -c '^4 of 6 runs were' out)" = 1
run "${quick[@]}" --seed 9 --done
ok 'a row leads to a run that is there' test $rc = 0 -a "$(grep -o 'href="[^"]*/report.html' \
  runs/experiments-quick/report.html | sort -u | tr '\n' ' ')" = \
  'href="A2-rnn/seed-1/report.html href="same-cnn/seed-1/report.html '
watched=runs/experiments-quick/same-cnn/seed-1/activations.csv
cp $watched watched.kept
sed -i '$!b; s/,relu3,.*/,relu3,0,0,0,1/' $watched
run "${quick[@]}" --seeds 2 --done
ok 'a net that says the same of every image is named' grep -q '2 (1 stuck: relu3 gives 0)' out
mv watched.kept $watched
cp $row/result.txt result.kept
cp $row/settings.txt settings.kept
sed -i 's/^step=.*/step=1e300/' $row/result.txt
mended='result.txt is damaged: remove it, and the run is trained anew'
refused 1 "A2-rnn/seed-1/$mended" "${quick[@]}" --quiet
for line in accuracy=5000 best-accuracy=1.01 step=31 step=-1 seconds=nan parameters=; do
  sed "s/^${line%=*}=.*/$line/" result.kept > $row/result.txt
  run "${quick[@]}" --done
  ok "$line: that row is damaged, and no other" test $rc = 0 -a "$(grep -c "$mended" err)" = 1 -a \
    "$(grep -c '^A2-rnn .* [0-9.]* *1 (and 1 damaged) \|^same-cnn .* 2  ' out)" = 2
done
rm $row/result.txt
run "${quick[@]}" --done
ok 'without result.txt it is not done' test "$(grep -c '^2 of 4\|^1 of 2 runs' out)" = 1
refused 1 'seed-1 is a miniature .--quick.: it goes on with the command' mnist --resume $row \
  --data set --quiet
cp $row/best.nn best.kept
run "${quick[@]}" --quiet
ok 'it is trained anew over its own files' test $rc = 0 -a "$(grep -c '^1 of 2 runs' out)" = 1
ok 'to the same bits' cmp best.kept $row/best.nn
ok 'and the same result' cmp <(grep -v seconds $row/result.txt) <(grep -v seconds result.kept)
ok 'its settings stay' cmp settings.kept $row/settings.txt
refused 1 'seed-1 is done: nothing is left to train' mnist --resume $row --data set --quiet
rm $row/settings.txt
refused 1 'seed-1/settings.txt is missing: put it back, or remove the folder' "${quick[@]}" --quiet
mv $row $row.kept
run "${quick[@]}" --quiet
ok 'a folder that was removed is made anew' cmp $row/best.nn $row.kept/best.nn
sed -i 's/^lr=.*/lr=.5/' $row/settings.txt
refused 1 'A2-rnn/seed-1 holds a run with lr .5, not 1e-3' "${quick[@]}" --quiet
run "${quick[@]}" --done --seed 1
ok 'nor is such a run shown' grep -q '^A2-rnn .*  1  ' out
cp settings.kept $row/settings.txt
# the curves' means are of steps that all seeds have; each point of a curve is one of them
points() { # in the figure of the test accuracy of study 2's first group
  sed -n '/<h2>Report A: cells/,/<.svg>/p' runs/experiments-quick/report.html | grep -c '<circle'
}
run "${quick[@]}" --done
before=$(points)
sed -i '/^20,/d' runs/experiments-quick/A2-rnn/seed-2/log.csv
run "${quick[@]}" --done
ok "a step that one seed lacks is left out of the means" test "$(points)" = $((before - 1))

run experiment B1 --quick --data set --quiet
ok "report B's claims come with its trials" test $rc = 0 -a "$(grep -c ': miniature$' out)" = 5 -a \
  "$(wc -l < runs/experiments-quick/claims.csv)" = 6
ok 'rows of earlier calls are shown as well' grep -q '^0 of 9 runs .* and 2 rows of earlier calls' out
run experiment same-cnn --quick --done
ok 'with those of other studies' test "$(wc -l < runs/experiments-quick/study1.csv)" = 10 -a \
  "$(grep -c '^B1-' out)" = 9 -a "$(wc -l < runs/experiments-quick/claims.csv)" = 6
ok 'and with all their seeds' test "$(grep -c '^A2-rnn,.*,2,\|^same-cnn,.*,2,' \
  runs/experiments-quick/study2.csv)" = 2
run experiment same-cnn --done --out runs/experiments-quick
ok 'a miniature is no row of the whole' test "$(grep -c '^same-cnn .* other settings ' out)" = 1 -a \
  ! -e runs/experiments-quick/study1.csv -a ! -e runs/experiments-quick/claims.csv
# ---- report B's claims, on figures made up for its trials ----
# name, steps, batch, accuracy, step that it is reached at, sparsity of the filters, mean and
# deviation at two thirds, strongest activation
trials='B1-1 10000 100 .56 400 .1 .2 5
B1-2 10000 100 .57 200 .1 .2 6
B1-3 8000 100 .9 400 .1 .2 .1
B1-3-text 8000 100 .50 200 .1 .2 3
B1-4 8000 500 .60 400 .1 .2 8
B1-5 8000 500 .40 400 .1 .2 1
B1-6 8000 100 .49 400 .3 .2 2
B1-7 5000 200 .54 400 .1 .3 4
B1-8 20000 500 .58 400 .1 .3 7'
claims() { # claims [SED [IMAGES]]: of those figures, changed by sed
  local name steps batch accuracy reached sparsity before strongest to
  rm -rf made
  while read -r name steps batch accuracy reached sparsity before strongest; do
    to=made/$name/seed-1
    mkdir -p $to
    sed "s/^steps=.*/steps=$steps/; s/^batch=.*/batch=$batch/; s/^test-every=.*/test-every=200/
      s/^run.data-name=.*/run.data-name=${2:-CIFAR-10 gray 28x28 subset}/
      s/^run.images=.*/run.images=10000 + 1000/" \
      runs/experiments-quick/$name/seed-1/settings.txt > $to/settings.txt
    printf '%s\n' step=$steps diverged=0 accuracy=$accuracy best-accuracy=$accuracy \
      parameters=9 filter-sparsity=$sparsity seconds=1 > $to/result.txt
    printf '%s\n' step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds \
      100,1,2,.1,2,.1,1 $reached,2,2,.1,2,$accuracy,2 > $to/log.csv
    printf '%s\n' step,layer,mean,deviation,most,zeros 200,relu2,$before,$before,9,.5 \
      $steps,relu2,.2,.2,$strongest,.5 > $to/activations.csv
  done < <(sed "${1:-}" <<< "$trials")
  run experiment B1 --done --out made
}
keep='a lower keep rate converges faster on the test set'
sparse='sparse activation goes with better test accuracy'
descent='gradient descent needs a high rate and gives the sparsest filters'
rmsprop='RMSProp alone ends with falling mean and deviation'
batch='a larger batch helps'
answered() { # answered DESCRIPTION CLAIM ANSWER
  ok "$1: $2: $3" grep -qx "$2: $3" out
}
claims
for what in "$keep" "$sparse" "$descent" "$rmsprop" "$batch"; do answered all "$what" confirmed; done
ok 'both gradient descents have their batch in the figures' grep -q \
  '40.00 % at rate .01 with batch 500, 49.00 % at rate .05 with batch 100: rate and batch both' \
  <(tr -s '\n ' ' ' < out)
claims 's/ .49 / .42 /; s/ .60 / .53 /'
answered 'little between' "$descent" 'within the noise'
answered 'little between' "$batch" 'within the noise'
ok 'how much is little is told' grep -q 'difference on 1,000 test images: 4.4[0-9] %' \
  <(tr -s '\n ' ' ' < out)
claims 's/ .49 / .31 /; s/ .60 / .41 /'
answered 'the other way round' "$descent" 'not confirmed'
answered 'the other way round' "$batch" 'not confirmed'
claims '/^B1-5/s/ .1 / .4 /; /^B1-8/s/ .3 / .201 /; s/ 400 / 200 /'
answered 'another is sparsest' "$descent" 'not confirmed'
answered 'one falls by half a percent' "$rmsprop" 'not confirmed'
answered 'as fast' "$keep" 'not confirmed'
claims '/^B1-1/s/ .2 5/ .201 5/; /^B1-4/s/ 8$/ .1/; /^B1-1/s/ 400 / 20000 /'
answered 'another falls by half a percent' "$rmsprop" confirmed
answered 'the best is not sparse' "$sparse" 'not confirmed'
ok 'what is not reached is never' grep -q 'steps to 53.20 %: never at keep .8, 200 at keep .6' out
claims '' 'drawn shapes gray'
ok 'other images answer nothing' test "$(grep -c ': other images$' out)" = 5

row=(experiment A2-rnn-64 --data set --threads 1)
run "${row[@]}" --out rows
ok 'a row on other images is not compared' grep -q '^A2-rnn-64 .* - *other data  *IDX images' out
saved=again/A2-rnn-64/seed-1/last.nn
interrupted INT "${row[@]}" --out again
ok 'Ctrl-C in a row exits 130' test $rc = 130
ok 'it says how to go on' grep -q "saved; go on with: $nn experiment A2-rnn-64 --data set" err
run "${row[@]}" --done --out again
ok 'it is unfinished' grep -q '^A2-rnn-64 .* unfinished ' out
interrupted KILL "${row[@]}" --out again
ok 'a row is killed' test $rc = 137
run "${row[@]}" --out again
ok 'and goes on' test $rc = 0
ok 'to the same bits' cmp rows/A2-rnn-64/seed-1/best.nn again/A2-rnn-64/seed-1/best.nn

# ---- sweeps ----
sweep=(sweep mnist --data set --hidden 8 --steps 20 --test-every 10 --seeds 2 --quiet)
run "${sweep[@]}" --cell=rnn,gru --lr 1e-3:1e-1:2
ok 'a sweep of two options' test $rc = 0 -a "$(grep -c '^cell=.*,lr=0' out)" = 4
sorted() { awk '/^cell=/ { if (n++ && $2 > last) exit 1; last = $2 }' out; }
ok 'is sorted by test accuracy' sorted
ok 'and a CSV file' test "$(wc -l < runs/sweep-mnist/sweep.csv)" = 5
ok 'and a report' test "$(grep -c '<svg' runs/sweep-mnist/report.html)" = 4
run "${sweep[@]}" --cell=rnn,gru,lstm --lr 1e-3:1e-1:2
ok 'only what is new is run' grep -q '^8 of 12 runs were done before' out
run "${sweep[@]}" --cell=rnn,gru --done --out none
ok 'what was not run has no figures' test \
  "$(grep -Ec '^cell=(rnn|gru) +not run( +-)+$' out)" = 2
run "${sweep[@]}" --lr=1e-4:1e-1 --augment=/shift=1/flip,shift=2 --random 3 --out drawn
ok 'a random sweep' test $rc = 0 -a "$(grep -c '^lr=.*,augment=' out)" = 3
refused 1 'sweep-mnist/report.html is that of a sweep' "${small[@]}" --out runs/sweep-mnist
refused 1 'named/run holds a run, whose report would be lost' \
  sweep mnist --lr=1,2 --data set --out named/run
refused 1 'named/run holds a run' demo --data set --steps 2 --out named/run
refused 2 'no option has several values' sweep mnist --lr 1e-3
refused 2 "is neither cifar10 nor mnist" sweep demo --lr=1,2
refused 2 'no range LOW:HIGH' sweep mnist --lr=1e-1:1e-3
refused 2 'has an empty value' sweep mnist --lr=1e-3,
refused 2 "hidden '1:100000000': '100000000' is not a" sweep mnist --hidden=1:100000000 --random 2
refused 2 'did you mean --optimizer' sweep mnist --optmizer=sgd,adam
refused 2 "cell 'rnn,grru': 'grru' is none of .*did you mean gru" sweep mnist --cell=rnn,grru
refused 2 "augment 'flip, shift=2' is not made of" sweep mnist '--augment=flip, shift=2/flip'
run "${sweep[@]}" '--cell=rnn, gru' --random 5 --out spaces
ok 'spaces round a value are left away' test $rc = 0 -a "$(grep -c '^cell=rnn \|^cell=gru ' out)" = 2
ok 'more than there are is told' grep -q '^nn: --random 5: there are only 2 combinations$' err

echo "program: $passed passed, $failed failed"
[ $failed = 0 ]
