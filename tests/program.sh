# What the tests of the program share; each begins with it, in the repository: the program ($nn), a
# folder of its own to be in, checks, and small MNIST files in set/mnist.
# shellcheck shell=bash disable=SC2034
root=$PWD
nn=$(realpath "${NN_BIN:-${BUILD:-build}/nn}")
[ -x "$nn" ] || { echo "test_program: $nn is not there; run make first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset NN_DATA NN_ISA NO_COLOR COLUMNS
passed=0 failed=0

ok() { # ok DESCRIPTION COMMAND.. : the command succeeds
  local what=$1
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $what"; fi
}

# run WORDS..: the program; its exit status in $rc, its output in out and err
run() { "$nn" "$@" > out 2> err < /dev/null; rc=$?; }
one_line() { [ "$(wc -l < "$1")" = 1 ] && [ -s "$1" ]; }

# refused STATUS PATTERN WORDS..: that status, one line on stderr that matches, nothing on stdout
refused() {
  local status=$1 pattern=$2
  local -x ASAN_OPTIONS=detect_leaks=0 # who gives up does not tidy up
  shift 2
  run "$@"
  if [ $rc = "$status" ] && one_line err && [ ! -s out ] && grep -Eq -- "$pattern" err; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: nn $* -> $rc, expected $status and one line with '$pattern':"
    head -3 err
  fi
}

# The pixels are noise, mostly dark and the same everywhere: 1 .. 126, which every awk prints as a
# byte.
LC_ALL=C awk 'BEGIN {
  for (x = 1; n++ < 117600;) {
    x = x * 16807 % 2147483647
    printf "%c", x % 5 ? 1 : 1 + x % 126
  }
}' > noise
word() { # a number as four big-endian bytes
  printf "\\$(printf %o $(($1 >> 24 & 255)))\\$(printf %o $(($1 >> 16 & 255)))"
  printf "\\$(printf %o $(($1 >> 8 & 255)))\\$(printf %o $(($1 & 255)))"
}
classes() { for ((i = 0; i < $1; i += 10)); do printf '\0\1\2\3\4\5\6\7\10\11'; done; }
images() { printf '\0\0\10\3'; word "$1"; word 28; word 28; head -c $(($1 * 784)) noise; }
labels() { printf '\0\0\10\1'; word "$1"; classes "$1"; }
mkdir -p set/mnist
images 100 > set/mnist/train-images-idx3-ubyte
labels 100 > set/mnist/train-labels-idx1-ubyte
images 50 > set/mnist/t10k-images-idx3-ubyte
labels 50 > set/mnist/t10k-labels-idx1-ubyte

weights() { # weights MODEL|RUN: the CRC-32 of its parameters
  "$nn" info "$1" 2> /dev/null | sed -n '1s/.*CRC-32 //p'
}
same_weights() { # same_weights MODEL MODEL: their parameters have the same bits
  local a b
  a=$(weights "$1") b=$(weights "$2")
  [ -n "$a" ] && [ "$a" = "$b" ]
}
