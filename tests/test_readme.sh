#!/usr/bin/env bash
# The C program in README.md: compiled as a reader would, and run on drawn digits that lie where it
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

# The block of C that has a main.
awk '/^```c$/ {block = ""; inside = 1; next} /^```$/ {if (inside && block ~ /int main/) printf "%s", block; inside = 0}
     inside {block = block $0 "\n"}' "$root/README.md" > "$work/example.c"
body() { awk '/^{/ {on = 1; next} /^}/ {on = 0} on' "$work/example.c" | wc -l; }

cat > "$work/draw.c" <<'C'
/* Writes drawn digits as the four files of MNIST. */
#include <stdio.h>
#include <stdlib.h>
#include "nn.h"
static void write_set(const char *images, const char *labels, uint64_t seed, int count)
{
  const unsigned char head[16] = {0, 0, 8, 3, 0, 0, (unsigned char)(count >> 8),
                                  (unsigned char)count, 0, 0, 0, 28, 0, 0, 0, 28};
  uint8_t *pixels = malloc((size_t)count * 784);
  int32_t *label = malloc((size_t)count * sizeof *label);
  FILE *x = fopen(images, "wb"), *y = fopen(labels, "wb");
  if (!pixels || !label || !x || !y) exit(1);
  nn_draw_digits(seed, count, pixels, label);
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
echo "readme: $passed passed, $failed failed"
[ "$failed" = 0 ]
