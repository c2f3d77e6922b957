#!/usr/bin/env bash
# The C programs in README.md: compiled as a reader would, and run on drawn digits that lie where it
# looks for MNIST. Ends with "readme: N passed, N failed".
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAIL $name"; fi
}

# The blocks of C: the one that has a main, and the functions that stand alone.
blocks() { # blocks REGEX: those that have it
  awk -v regex="$1" '/^```c$/ {block = ""; inside = 1; next}
    /^```$/ {if (inside && block ~ regex) printf "%s", block; inside = 0}
    inside {block = block $0 "\n"}' "$root/README.md"
}
blocks 'int main' > "$work/example.c"
body() { awk '/^{/ {on = 1; next} /^}/ {on = 0} on' "$work/example.c" | wc -l; }

cat > "$work/draw.c" <<'C'
/* Writes drawn digits as the four files of MNIST. */
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "nn.h"
#include "data/drawn.inc"
static void write_set(const char *images, const char *labels, uint64_t seed, int count)
{
  const unsigned char head[16] = {0, 0, 8, 3, 0, 0, (unsigned char)(count >> 8),
                                  (unsigned char)count, 0, 0, 0, 28, 0, 0, 0, 28};
  uint8_t *pixels = malloc((size_t)count * 784);
  int32_t *label = malloc((size_t)count * sizeof *label);
  FILE *x = fopen(images, "wb"), *y = fopen(labels, "wb");
  if (!pixels || !label || !x || !y) exit(1);
  draw_digits(seed, count, pixels, label);
  fwrite(head, 1, 16, x);
  fwrite(pixels, 784, (size_t)count, x);
  fwrite("\0\0\10\1", 1, 4, y);
  fwrite(head + 4, 1, 4, y);
  for (int i = 0; i < count; i++) fputc((int)label[i], y);
  if (fclose(x) | fclose(y)) exit(1);
  free(pixels);
  free(label);
}
int main(void)
{
  write_set("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 1, 20000);
  write_set("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 2, 1000);
  return 0;
}
C
cc=${CC:-cc} flags="-std=c99 -pedantic -Wall -Wextra -Werror -O2 -I$root"
check "the program has at most 25 lines in main" test "$(body)" -le 25 -a "$(body)" -gt 5
check "it compiles without a warning" $cc $flags -c -o "$work/example.o" "$work/example.c"
check "the engine compiles" $cc $flags -c -o "$work/nn.o" "$root/nn.c"
check "it links with libm and pthreads" $cc -o "$work/example" "$work/example.o" "$work/nn.o" -lm -lpthread
check "the digits compile" $cc $flags -o "$work/draw" "$work/draw.c" "$work/nn.o" -lm -lpthread
cd "$work" || exit 1
check "without data it says which file is missing" sh -c './example | grep -q train-images; test $? = 0'
mkdir -p data/mnist && (cd data/mnist && "$work/draw")
./example > out
check "with data it prints an accuracy" grep -qE '^test accuracy 0\.[0-9]{4}$' out
check "which is far above chance" awk '{exit !($3 > .7)}' out

# The functions, in a program that trains what they go on from.
{
  printf '#include <stdio.h>\n#include <string.h>\n#include "nn.h"\n'
  printf 'static nn_model *lenet5(void);\n'
  blocks 'static nn_model \*(fine_tune|reader|train_long)\('
  cat <<'C'
static nn_model *small(int kind, int classes, const nn_dataset *train, int steps)
{
  nn_model *m = nn_create(NULL);
  nn_optimizer adam = nn_adam(1e-3);
  nn_fit_options fit = nn_fit_default();
  int x = kind ? nn_input_sequence(m, 28, 28) : nn_input_image(m, 1, 28, 28);
  if (kind) {
    x = nn_last_step(m, nn_gru(m, x, 24));
  } else {
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 8, 5, 1, 2)), 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 12, 5, 1, 2)), 2, 2, 0);
    x = nn_relu(m, nn_linear(m, nn_flatten(m, x), 64));
  }
  nn_cross_entropy(m, nn_linear(m, x, classes));
  nn_set_optimizer(m, &adam);
  fit.epochs = 0, fit.steps = steps;
  if (nn_build(m) || nn_fit(m, train, &fit)) puts(nn_error(m));
  return m;
}
static nn_model *lenet5(void)
{
  nn_model *m = nn_create(NULL);
  nn_optimizer adam = nn_adam(1e-3);
  int x = nn_relu(m, nn_linear(m, nn_flatten(m, nn_input_image(m, 1, 28, 28)), 16));
  nn_cross_entropy(m, nn_linear(m, x, 10));
  nn_set_optimizer(m, &adam);
  if (nn_build(m)) puts(nn_error(m));
  return m;
}
int main(int argc, char **argv)
{
  static int32_t index[20000];
  nn_dataset train, test;
  nn_message why;
  nn_evaluation tuned, scratch;
  if (nn_dataset_load("data/mnist/train-images-idx3-ubyte", "data/mnist/train-labels-idx1-ubyte",
                      NULL, &train, &why) ||
      nn_dataset_load("data/mnist/t10k-images-idx3-ubyte", "data/mnist/t10k-labels-idx1-ubyte",
                      NULL, &test, &why))
    return puts(why.text), 1;
  train.count = argc > 1 ? 2000 : train.count;
  if (argc > 1) { /* a long training alone, whose files have this name */
    char best[40];
    snprintf(best, sizeof best, "%.30s.best", argv[1]);
    nn_destroy(train_long(argv[1], best, &train, index));
    return 0;
  }
  nn_model *m = small(0, 10, &train, 400);
  if (nn_save(m, "base.nn")) return 1;
  nn_destroy(m);
  for (int k = 0; k < 2; k++) { /* another task: three groups of digits */
    const nn_dataset *d = k ? &test : &train;
    for (int i = 0; i < d->count; i++) ((int32_t *)d->owned[1].data)[i] = d->labels[i] * 7 % 10 % 3;
  }
  m = fine_tune("base.nn", &train, 3, 60);
  if (!m || nn_evaluate(m, &test, &tuned)) return 1;
  nn_destroy(m);
  m = small(0, 3, &train, 60);
  if (nn_evaluate(m, &test, &scratch)) return 1;
  nn_destroy(m);
  printf("tuned %.4f scratch %.4f\n", tuned.accuracy, scratch.accuracy);
  m = small(1, 3, &train, 30);
  if (nn_save(m, "gru.nn")) return 1;
  nn_model *one = reader("gru.nn", m);
  for (int i = 0; i < 5 && one; i++) {
    static nn_real x[784];
    nn_real p[2][3], most = 0;
    int32_t index = i;
    nn_batch b, row;
    nn_gather(&test, &index, 1, NULL, NULL, x, NULL);
    memset(&b, 0, sizeof b), memset(&row, 0, sizeof row);
    b.n = row.n = 1, b.x[0] = x;
    nn_predict(m, &b, NULL, p[0]);
    nn_reset_state(one);
    for (int t = 0; t < 28; t++) row.x[0] = x + t * 28, nn_predict(one, &row, NULL, p[1]);
    for (int k = 0; k < 3; k++) most += p[0][k] > p[1][k] ? p[0][k] - p[1][k] : p[1][k] - p[0][k];
    printf("by rows %s\n", most < 1e-5 ? "the same" : "another");
  }
  nn_destroy(one), nn_destroy(m);
  return 0;
}
C
} > parts.c
lines() { awk -v f="$1" '$0 ~ f {on = 1} on {n++} on && /^}/ {print n; exit}' parts.c; }
check "fine-tuning takes less than 20 lines" test "$(lines 'nn_model \*fine_tune')" -lt 20
check "and reading by steps 12 or fewer" test "$(lines 'nn_model \*reader')" -le 12
check "a long training takes less than 20 lines" test "$(lines 'nn_model \*train_long')" -lt 20
check "the functions compile without a warning" $cc $flags -o parts parts.c nn.o -lm -lpthread
./parts whole > out
check "a long training tells its best model" grep -qE '^best: step [1-9][0-9]*, accuracy 0\.[0-9]{4}$' out
check "and keeps two checkpoints and the best model" test -s whole -a -s whole.previous -a -s whole.best
for pause in .02 .05 .1 .15 .2; do
  ./parts part > part.out & pid=$!
  sleep $pause
  kill -KILL $pid 2> /dev/null
  wait $pid 2> /dev/null
done
./parts part > part.out
check "killed and started again it ends at the same bits" cmp -s whole part
check "with the same best model" cmp -s whole.best part.best
check "and says the same" cmp -s out part.out
./parts > out
check "the tuned net is better than one from scratch" awk '/^tuned/ {ok = $2 > $4 + .02} END {exit !ok}' out
check "a sequence read step by step gives the same answer" test "$(grep -c '^by rows the same$' out)" = 5
echo "readme: $passed passed, $failed failed"
[ "$failed" = 0 ]
