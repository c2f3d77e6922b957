#!/usr/bin/env bash
# The programs in README.md: those in C compiled as a reader would, and run on drawn digits that lie
# where it looks for MNIST; those in Python where there is PyTorch. Ends with "readme: N passed, N failed".
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
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
blocks '#include "nn.h"' > "$work/example.c"
blocks '#include "gru.h"' > "$work/digit.c"
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
# The net as C source: what the example says of each image is what the program says.
program=$(cd "$root" && realpath "${NN_BIN:-${BUILD:-build}/nn}")
if [ -x "$program" ]; then
  "$program" mnist --cell gru --hidden 24 --steps 300 --data data --quiet --out chip > /dev/null &&
    "$program" convert chip gru.h > /dev/null
  check "the example with gru.h compiles without a warning" $cc ${flags/-I$root/-I.} -o digit digit.c -lm
  for i in 0 1 2 3 4 5 6 7; do
    { printf '\0\0\10\3\0\0\0\1\0\0\0\34\0\0\0\34'
      tail -c +$((17 + 784 * i)) data/mnist/t10k-images-idx3-ubyte | head -c 784; } > one.idx
    tail -c 784 one.idx | ./digit >> chip.digits
    "$program" predict chip one.idx --top 1 | awk '{print $2}' >> program.digits
  done
  check "and classifies as the program does" cmp chip.digits program.digits
  check "different digits" test "$(sort -u chip.digits | wc -l)" -gt 2
fi

# The Python: a net of PyTorch's to a model and back, and one of another program's layouts.
python=''
for p in python3 /usr/bin/python3; do
  [ -n "$python" ] || ! $p -c 'import numpy, torch' 2> /dev/null || python=$p
done
if [ -z "$python" ] || [ ! -x "$program" ]; then
  echo "skipped PyTorch in and out: no python3-torch, or no $program"
  skipped=1
else
  python_block() { # python_block N: the N-th block of Python
    awk -v wanted="$1" '/^```python$/ {n++; inside = 1; next} /^```$/ {inside = 0}
      inside && n == wanted' "$root/README.md"
  }
  mkdir -p build && ln -sf "$program" build/nn
  python_block 1 > in.py
  check "Python takes ten lines to write the weights" test "$(wc -l < in.py)" -le 10
  cat >> in.py <<'PY'
# What they are in other formats, and in the layouts of Keras; by the formats' descriptions.
import json, struct
def save(path, arrays, type, words):
    header, data = {"__metadata__": {"classes": "\n".join(map(str, range(10)))}}, b""
    for name in sorted(arrays):
        bits = words(arrays[name].detach()).tobytes()
        header[name] = {"dtype": type, "shape": list(arrays[name].shape),
                        "data_offsets": [len(data), len(data) + len(bits)]}
        data += bits
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    open(path, "wb").write(struct.pack("<Q", len(head)) + head + data)
state = net.state_dict()
save("lenet.safetensors", state, "F32", lambda a: a.numpy().astype("<f4"))
save("half.safetensors", state, "F16", lambda a: a.numpy().astype("<f2"))
save("brain.safetensors", {k: v.bfloat16().float() for k, v in state.items()}, "BF16",
     lambda a: (a.numpy().view("<u4") >> 16).astype("<u2"))
numpy.savez("half.npz", **{k: v.half().float() for k, v in state.items()})
numpy.savez("brain.npz", **{k: v.bfloat16().float() for k, v in state.items()})
numpy.savez_compressed("small.npz", **state)
save("sequential.safetensors", {k.replace("conv", "layers.").replace("linear", "layers.1"): v
                                for k, v in state.items()}, "F32", lambda a: a.numpy())
w = {k: v.numpy() for k, v in state.items()}
numpy.savez("keras.npz", *[numpy.ascontiguousarray(a) for a in (
    w["conv1.weight"].transpose(2, 3, 1, 0), w["conv1.bias"],
    w["conv2.weight"].transpose(2, 3, 1, 0), w["conv2.bias"],
    w["linear1.weight"].reshape(1024, 64, 7, 7).transpose(2, 3, 1, 0).reshape(3136, 1024),
    w["linear1.bias"], w["linear2.weight"].T, w["linear2.bias"])])
net.eval()
x = torch.from_numpy(numpy.fromfile("data/mnist/t10k-images-idx3-ubyte", "u1", 784 * 50, offset=16))
with torch.no_grad():
    p = torch.softmax(net(x.reshape(50, 1, 28, 28).float() / 255), 1)
numpy.savez("wanted.npz", p=p.numpy())
PY
  check "which runs" $python in.py
  commands=$(awk '/^```$/ {inside = !inside; block = ""; next}
    inside && /^build\/nn convert lenet.npz/ {on = 1}
    inside {block = block $0 "\n"}
    on && inside && /predict/ {printf "%s", block; exit}' "$root/README.md" | sed 's/ *#.*//; s/IMAGES\.\./images.npy --top 10/')
  $python -c 'import numpy
x = numpy.fromfile("data/mnist/t10k-images-idx3-ubyte", "u1", 784 * 50, offset=16)
numpy.save("images.npy", x.reshape(50, 28, 28))'
  check "the commands after it" sh -ec "$commands" > said 2> errors
  cat > answers.py <<'PY'
import numpy
p = numpy.load("wanted.npz")["p"]
lines = [line.split() for line in open("said") if "images.npy[" in line or line.startswith("[")]
assert len(lines) == 50, lines
for row, words in zip(p, lines):
    assert len(words) == 21, words
    for label, share in zip(words[1::2], words[2::2]):
        assert abs(row[int(label)] - float(share)) < 1e-4, (words, row)
PY
  check "answer as PyTorch does" $python answers.py
  weights() { "$program" info "$1" | sed -n '1s/.*CRC-32 //p'; }
  converts() { # converts FROM OPTIONS..: to other.nn, which has the weights of $same
    "$program" convert "$1" other.nn --net shape "${@:2}" > /dev/null && [ -n "$(weights other.nn)" ] &&
      [ "$(weights other.nn)" = "$(weights "$same")" ]
  }
  same=lenet.nn
  check "safetensors are the same weights" converts lenet.safetensors
  check "and bring their metadata" sh -c "build/nn info other.nn | grep -q '^classes: 0, 1, 2'"
  check "Keras's layouts are the same weights" converts keras.npz --keras --by-order
  printf 'layers.%s=%s\n' 1.weight conv1.weight 1.bias conv1.bias 2.weight conv2.weight 2.bias conv2.bias \
    11.weight linear1.weight 11.bias linear1.bias 12.weight linear2.weight 12.bias linear2.bias > names
  check "a table of names, too" converts sequential.safetensors --names names
  check "order alone, where the order is sure" converts lenet.npz --by-order
  for type in half brain; do
    "$program" convert $type.npz $type.nn --net shape > /dev/null
    same=$type.nn
    check "F16 and BF16 are what PyTorch makes of them: $type" converts $type.safetensors
  done
  refuses() { # refuses PATTERN COMMAND..: it fails, and its last line on stderr says PATTERN
    local pattern=$1
    shift
    ! "$program" "$@" > said 2> errors && [ "$(wc -l < errors)" = 1 ] && grep -q -- "$pattern" errors
  }
  check "names that differ are told" refuses 'arrays missing, first' convert sequential.safetensors x.nn --net shape
  check "with both lists" test "$(grep -c '^layers\|^conv\|^linear' said)" = 16
  check "compressed ones are refused with what to do" refuses 'numpy.savez' convert small.npz x.nn --net shape
  check "weights without a net" refuses -- '--net is missing' convert lenet.npz x.nn
  check "another kind of file" refuses 'ends in one of .nn, .onnx, .safetensors, .npz, .h, /' convert lenet.nn x.pt
  check "info lists a file of weights" sh -c 'build/nn info half.safetensors > said && grep -q "^conv1.weight  *32x1x5x5  *F16  *800" said'

  # A net with skips and long names, as PyTorch exports it.
  cat > skips.py <<'PY'
import numpy, torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first_convolution_of_it = nn.Conv2d(1, 3, 3, padding=1)
        self.second_of_the_two_here = nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Linear(3 * 28 * 28, 10)
    def forward(self, x):
        x = self.first_convolution_of_it(x)
        x = x + nn.functional.leaky_relu(self.second_of_the_two_here(x))
        return self.last(torch.flatten(x, 1))
net = Net().eval()
x = torch.from_numpy(numpy.load("images.npy")).reshape(50, 1, 28, 28).float() / 255
torch.onnx.export(net, x[:1], "skips.onnx", opset_version=13)
with torch.no_grad():
    p = torch.softmax(net(x), 1)
numpy.savez("wanted.npz", p=p.numpy())
PY
  check "PyTorch writes ONNX" $python skips.py
  "$program" info skips.onnx > said
  check "info draws its skip" grep -qE '^add1 +add .* from f[a-z_]*\.\.[a-z_]*of_it$' said
  check "in at most 100 columns" awk 'length > 100 {exit 1}' said
  check "and lists its arrays by their whole names" grep -q \
    '^second_of_the_two_here.weight  *3x3x3x3  *F32  *81 ' said
  check "predict takes it as it is" sh -c 'build/nn predict skips.onnx images.npy --top 10 > said'
  check "and answers as PyTorch does" $python answers.py
  "$program" convert skips.onnx skips.nn > said && "$program" predict skips.nn images.npy --top 10 > said
  check "made a model of it answers the same" $python answers.py

  # A net of nn's own to PyTorch.
  "$program" mnist --cell cnn --steps 30 --data data --quiet --out run > /dev/null &&
    "$program" convert run mine.npz > /dev/null && "$program" convert run mine.safetensors > /dev/null
  { python_block 1 | sed '/savez/d'; python_block 2; } > out.py
  check "Python takes ten lines to read them" test "$(python_block 2 | wc -l)" -le 10
  cat >> out.py <<'PY'
import json, struct
file = open("mine.safetensors", "rb").read()
size = struct.unpack("<Q", file[:8])[0]
header = json.loads(file[8:8 + size])
metadata, end = header.pop("__metadata__"), 0
assert metadata["format"] == "pt" and "command" in metadata and set(header) == set(state)
for name, info in header.items():
    begin, end_of = info["data_offsets"]
    assert begin == end and info["dtype"] == "F32" and info["shape"] == list(state[name].shape)
    assert file[8 + size + begin:8 + size + end_of] == state[name].numpy().tobytes()
    end = end_of
assert end == len(file) - 8 - size
numpy.savez("back.npz", **net.state_dict())
x = torch.from_numpy(numpy.load("images.npy")).reshape(50, 1, 28, 28).float() / 255
with torch.no_grad():
    numpy.savez("wanted.npz", p=torch.softmax(net(x), 1).numpy())
PY
  check "and they are the same in both formats" $python out.py
  same=run
  check "there and back they keep their bits" converts back.npz
  grep -E '^build/nn convert [^#]*(onnx|arrays)' "$root/README.md" |
    sed 's/ *#.*//; s|runs/cnn-001|run|' > commands
  check "ONNX and npy files have four commands" test "$(wc -l < commands)" = 4
  check "which go out as ONNX and come back" sh -e -c "$(sed -n 1,2p commands)"
  check "the same" test "$(weights again.nn)" = "$(weights run)"
  rm again.nn
  check "and as a folder of npy files" sh -e -c "$(sed -n 3,4p commands)"
  check "the same, too" test "$(weights again.nn)" = "$(weights run)"
  check "which NumPy reads" $python -c '
import numpy
assert all((numpy.load("arrays/%s.npy" % k) == v).all() for k, v in numpy.load("mine.npz").items())'
fi
echo "readme: $passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
