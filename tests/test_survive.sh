#!/usr/bin/env bash
# Runs of the program that are killed, that cannot write, that are out of memory, that diverge: what
# is on the disk stays whole, and what goes on from there ends at the bits of the run that nothing
# happened to.
# usage: [NN_BIN=build/nn] [KILLS=20] [FAULTS=12] [SEED=1] tests/test_survive.sh
# KILLS: at random instants; FAULTS: calls of each kind that fail or are the last, or "all".
set -u
cd "$(dirname "$0")/.." || exit 1
faulty=$(realpath "${NN_FAULTY:-${BUILD:-build}/tests/faulty}")
. tests/program.sh
kills=${KILLS:-20} faults=${FAULTS:-12} skipped=0
RANDOM=${SEED:-1}
skip() { skipped=$((skipped + 1)); echo "skipped $1: $2"; }
columns() { cut -d , -f 1-7 "$1/log.csv"; } # all but the seconds
same() { # same FOLDER FOLDER: two runs have the same models and curves
  same_weights "$1/last.nn" "$2/last.nn" && same_weights "$1/best.nn" "$2/best.nn" &&
    cmp <(columns "$1") <(columns "$2")
}
# go_on FOLDER WORDS..: sets `going` to what goes on with the run in the folder, or begins it
go_on() {
  local folder=$1
  shift
  if [ -f "$folder/last.nn" ] || [ -f "$folder/last.nn.previous" ]; then
    going=(mnist --resume "$folder" --quiet)
  else going=("$@" --out "$folder"); fi
}

# ---- killed at random instants ----
words=(mnist --data set --quiet --cell gru --layers 2 --keep .9 --hidden 24 --batch 10 --steps 400
  --test-every 100 --save-every 10)
run "${words[@]}" --threads 1 --out whole
ok 'the run that nothing happens to' test $rc = 0
complete=0 differing=0 killed=0
while [ $killed -lt "$kills" ] && [ $failed = 0 ]; do
  go_on part "${words[@]}"
  "$nn" "${going[@]}" --threads $((RANDOM % 2 + 1)) > out 2> err < /dev/null &
  pid=$!
  sleep "$(printf .%03d $((RANDOM % 600)))"
  if kill -KILL $pid 2> /dev/null; then killed=$((killed + 1)); fi
  { wait $pid; } 2> /dev/null
  rc=$?
  if [ $rc = 0 ]; then
    complete=$((complete + 1))
    same whole part || differing=$((differing + 1))
    rm -r part
  elif [ $rc != 137 ]; then
    ok "a killed run goes on: $(head -n 1 err)" false
  fi
done
go_on part "${words[@]}"
run "${going[@]}"
same whole part || differing=$((differing + 1))
ok "after $killed kills all of $((complete + 1)) runs end at the same bits" test $differing = 0
[ "$kills" -le 20 ] || echo "$killed kills, $((complete + 1)) runs"

# ---- every call on a file, and for memory: it fails, or the program is killed right before it ----
# A failure ends the run with one line, or is passed over. What goes on from there, or begins anew,
# ends at the same bits.
words=(mnist --data set --quiet --cell rnn --isa scalar --hidden 8 --batch 10 --steps 40
  --test-every 20 --save-every 10 --threads 1)
rm -rf whole
NN_FAULT_TOLD=told NN_FAULT='files fail 0' "$faulty" "${words[@]}" --out whole > out 2> err
ok 'a run whose calls are counted' test -s told
calls_of_files=$(cat told)
NN_FAULT_TOLD=told NN_FAULT='memory fail 0' "$faulty" "${words[@]}" --out count > out 2> err
calls_of_memory=$(cat told)
fault() { # fault KIND HOW N: as it should be, or a line that says what is not
  rm -rf part told
  NN_FAULT_TOLD=told NN_FAULT="$1 $2 $3" "$faulty" "${words[@]}" --out part > out 2> err < /dev/null
  local rc=$? what
  what="$1 $2 $3, $(cat told 2> /dev/null)"
  [ -s told ] || { echo "$what: no such call"; return; }
  case $2$rc in
  fail0) ! [ -s err ] || one_line err || echo "$what: passed over with $(wc -l < err) lines" ;;
  fail1)
    one_line err || echo "$what: $(wc -l < err) lines on stderr"
    grep -Eqi 'input/output error|out of memory|no .* of memory|cannot|missing' err || echo "$what: $(cat err)" ;;
  kill137) ;;
  *) echo "$what: exit $rc" ;;
  esac
  go_on part "${words[@]}"
  "$faulty" "${going[@]}" > out 2> err < /dev/null || echo "$what: does not go on: $(cat err)"
  same whole part || echo "$what: ends elsewhere"
}
for kind in files memory; do
  calls=calls_of_$kind
  for how in fail kill; do
    [ "$kind $how" = 'memory kill' ] && continue
    for ((i = 0, bad = 0, count = 0; i < ${!calls}; count++)); do
      if [ "$faults" = all ]; then i=$((i + 1))
      else i=$((i + 1 + RANDOM * 2 * (${!calls} / faults) / 32768)); fi
      [ $i -le ${!calls} ] || break
      report=$(fault $kind $how $i 2>&1)
      [ -z "$report" ] || { bad=$((bad + 1)); echo "$report"; }
    done
    ok "$count of ${!calls} calls: $kind $how" test $bad = 0
    [ "$faults" != all ] || echo "$kind $how: $count calls of ${!calls}, $bad bad"
  done
done

# ---- killed at any renaming; then the newest checkpoint is lost ----
# Each of the two checkpoints has all that its run needs: a line of log.csv spans two checkpoints
# here, and is wrong if half of its sums are lost.
words=(mnist --data set --quiet --cell rnn --isa scalar --hidden 8 --batch 10 --steps 21
  --test-every 21 --save-every 7 --threads 1)
rm -rf whole told
NN_FAULT_TOLD=told NN_FAULT='renames fail 0' "$faulty" "${words[@]}" --out whole > out 2> err
renames=$(cat told)
ok 'the renamings are counted' test "$renames" -gt 8
: > report
for ((i = 1; i <= renames; i++)); do
  rm -rf part
  NN_FAULT="renames kill $i" "$faulty" "${words[@]}" --out part > out 2> err < /dev/null
  [ ! -f part/last.nn.previous ] || rm -f part/last.nn part/last.nn.tmp
  go_on part "${words[@]}"
  "$faulty" "${going[@]}" > out 2> err < /dev/null || echo "renaming $i: does not go on: $(cat err)"
  [ ! -s err ] || { one_line err && grep -q 'going on from the checkpoint before it' err; } ||
    echo "renaming $i: $(cat err)"
  same whole part || echo "renaming $i: ends elsewhere"
done >> report 2> /dev/null
cat report
ok 'both checkpoints keep what their run needs, wherever it is killed' test ! -s report

# ---- the disk is full, or may not be written to ----
words=(mnist --data set --quiet --cell gru --hidden 24 --batch 10 --steps 60 --test-every 20
  --save-every 10 --threads 1)
rm -rf whole
run "${words[@]}" --out whole
shortened() { # shortened FOLDER: made the whole run's first part, of one checkpoint
  run "${words[@]}" --steps 20 --out "$1"
  sums "$1" > before
}
sums() { (cd "$1" && cksum best.nn last.nn last.nn.previous); }
unchanged() { sums "$1" | cmp - before && [ -z "$(find "$1" -name '*.tmp')" ]; }
models() { same_weights "$1/best.nn" "$2/best.nn" && same_weights "$1/last.nn" "$2/last.nn"; }
longer=(--quiet --steps 60)
rm -rf part && shortened part
(ulimit -f 16 && "$nn" mnist --resume part "${longer[@]}" > out 2> err < /dev/null)
ok 'no room for a file: exit 1' test $? = 1
ok 'one line says which and why' grep -Eq '^nn: part/.*: cannot write: File too large$' err
ok 'on one line' one_line err
ok 'what was saved stays as it was' unchanged part
run mnist --resume part "${longer[@]}"
ok 'with room it goes on' test $rc = 0
ok 'to the same bits' models whole part
mkdir -p reportless/report.html.tmp
refused 1 'reportless/report.html.tmp: cannot write' "${words[@]}" --out reportless
ok 'a report that cannot be written costs no checkpoint' test -s reportless/last.nn
disk=$work/disk
mkdir "$disk"
trap 'umount "$disk" 2> /dev/null; rm -rf "$work"' EXIT
if mount -t tmpfs -o size=400k tmpfs "$disk" 2> /dev/null; then
  shortened disk/part
  cat /dev/zero > "$disk/rest" 2> /dev/null
  refused 1 '^nn: disk/part/.*: cannot write: No space left on device$' mnist --resume disk/part "${longer[@]}"
  ok 'a full disk leaves what was saved as it was' unchanged disk/part
  refused 1 'No space left on device' "${words[@]}" --out disk/new
  rm "$disk/rest" && mount -o remount,size=4m "$disk"
  run mnist --resume disk/part "${longer[@]}"
  ok 'with room on the disk it goes on to the same bits' models whole disk/part
  rm -r "$disk/part" && shortened disk/part
  mount -o remount,ro "$disk"
  refused 1 '^nn: disk/part/.*: cannot write: Read-only file system$' mnist --resume disk/part "${longer[@]}"
  ok 'nor does a read-only disk' unchanged disk/part
  refused 1 'disk/other cannot be made: Read-only file system' "${words[@]}" --out disk/other
  mount -o remount,rw "$disk"
  run mnist --resume disk/part "${longer[@]}"
  ok 'once it may be written to it goes on to the same bits' models whole disk/part
else
  skip 'a full and a read-only disk' 'no tmpfs can be mounted here'
fi
if [ "$(id -u)" = 0 ]; then skip 'a read-only folder' 'root may write to any'
else
  rm -rf part && shortened part && chmod a-w part
  refused 1 '^nn: part/.*: cannot write: Permission denied$' mnist --resume part "${longer[@]}"
  ok 'a read-only folder stays as it was' unchanged part
  chmod u+w part
fi

# ---- training that diverges: every step multiplies the weights by 1 - 9, whatever the data ----
words=(mnist --data set --quiet --cell mlp --hidden 16 --batch 10 --threads 1 --optimizer sgd
  --weight-decay 9 --steps 60 --test-every 15 --save-every 2)
refused 1 '^nn: training diverged: step [0-9]+: .*largest finite gradient .*rate .*--clip-norm 1 or -' \
  "${words[@]}" --lr 1 --out diverged
step=$(sed 's/.*diverged: step \([0-9]*\):.*/\1/' err) kept=$(sed 's/.* keeps step //' err)
ok 'it names what it was' grep -Eq \
  ': (the loss|(the gradient of|parameter|the output of) [a-z0-9_.]+) is (not finite|-?nan|-?inf)' err
ok 'the last good checkpoint is kept' test "$kept" = $((step - step % 2)) -a "$kept" -gt 0
run info diverged/last.nn
ok 'it is of that step' grep -q "at step $kept" out
ok 'the curves go nearly as far as it did' test "$(tail -n 1 diverged/log.csv | cut -d , -f 1)" -le "$step" -a \
  "$(tail -n 1 diverged/log.csv | cut -d , -f 1)" -gt $((step - 10))
cp diverged/last.nn kept.nn
refused 1 "step $step: .* keeps step $kept\$" mnist --resume diverged --quiet
ok 'to resume it changes nothing' same_weights kept.nn diverged/last.nn
refused 1 'diverged: step [0-9]+: .* keeps step [0-9]+$' \
  "${words[@]}" --lr 1 --test-every 1 --save-every 1 --out tested
ok 'a model whose test loss is not finite is not saved' \
  grep -Eq "^$(sed 's/.* keeps step //' err)(,[^,]+){3},[0-9.e+]+,[0-9.]+," tested/log.csv
run "${words[@]}" --clip-value .001 --lr .01 --out clipped
ok 'a lower rate and clipping help' test $rc = 0 -a ! -s err
run mnist --resume diverged --quiet --keep-going
ok 'keeping going leaves out what diverges' test $rc = 0 -a "$(wc -l < err)" = 2
ok 'and tells what' grep -q "a step is left out, as others like it will be: step $step: the " err
ok 'and how often' grep -Eq '[1-9][0-9]* of 60 steps were left out' err
run "${words[@]:0:3}" "${words[@]:4}" --lr 1 --test-every 60 --keep-going --out useless
ok 'without a finite test loss there is no best model, which is an error' test $rc = 1 -a \
  ! -s out -a "$(grep -c 'no test had a finite loss.*no best model' err)" = 1 -a ! -e useless/best.nn
run "${words[@]:0:3}" "${words[@]:4}" --lr 1 --steps 15 --out huge
ok 'a huge loss is short' grep -Eq ' loss [0-9.]+e[+][0-9]+  ' err

await() { # await FIND-WORDS..: until there is such a file, or the process $pid has ended
  while kill -0 $pid 2> /dev/null && [ -z "$(find "$@" 2> /dev/null)" ]; do sleep .05; done
}

# ---- a checkpoint every second ----
"$nn" mnist --data set --quiet --cell gru --steps 1000000 --test-every 1000000 --save-seconds 1 \
  --out timed > out 2> err < /dev/null &
pid=$!
await timed/last.nn.previous
kill -KILL $pid
{ wait $pid; } 2> /dev/null
run info timed/last.nn
ok '--save-seconds saves between tests' test $rc = 0 -a -s timed/last.nn.previous

# ---- two processes in one folder ----
"$nn" mnist --data set --quiet --cell gru --steps 1000000 --save-every 1000000 --out held \
  > out 2> err < /dev/null &
pid=$!
await held/last.nn # at step 0, however late it is stopped
kill -STOP $pid
rm -f held/[br]* # whatever else a user clears away
refused 1 '^nn: another process is at work in held$' mnist --resume held --quiet
kill -KILL $pid
{ wait $pid; } 2> /dev/null
run mnist --resume held --quiet --steps 1
ok 'a killed one is in the way of nothing' test $rc = 0
for study in 'experiment E2-lstm-64' 'mnist --lr=1e-9,2e-9 --steps 1000000'; do
  study="$study --data set --quiet --out studies/${study%% *}"
  # shellcheck disable=SC2086
  "$nn" $study > out 2> err < /dev/null &
  pid=$!
  await "${study##* }" -name last.nn
  kill -STOP $pid
  # shellcheck disable=SC2086
  refused 1 "^nn: another process is at work in ${study##* }\$" $study
  kill -KILL $pid
  { wait $pid; } 2> /dev/null
done

printf 'survive: %d passed, %d failed' $passed $failed
[ $skipped = 0 ] || printf ', %d skipped' $skipped
echo
[ $failed = 0 ]
