#!/usr/bin/env bash
# The ways in which a program may hold and compile nn.c: under another name, as a part of another
# file, beside that file's own macros, in a shared library; and what is refused, by one sentence.
# usage: [CC=cc] [BUILD=build] tests/test_build.sh; ends with "build: N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
check() { # NAME COMMAND..
  local name=$1
  shift
  if "$@" > "$work/said" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) && echo "FAIL $name" && head -n 10 "$work/said"
  fi
}
cc=${CC:-cc} strict='-std=c99 -pedantic -Wall -Wextra -Werror' quick='-O0 -DNN_NO_SIMD -DNN_NO_WARNING'
macros() { echo "$2" | $cc $1 -E -dM - 2> /dev/null; } # WORDS SOURCE

# refused PATTERN COMMAND..: it fails, and prints one error, which says PATTERN
refused() {
  local pattern=$1
  shift
  "$@" > "$work/errors" 2>&1 && { echo 'it compiles'; return 1; }
  cat "$work/errors"
  [ "$(grep -cE ': (fatal )?(error|warning):' "$work/errors")" = 1 ] && grep -q -- "$pattern" "$work/errors"
}

# The names of the kernels, and others that a program may well have.
names='VW MR MR2 MR3 NV NR V M K ROWS PIECE BLOCK PANELS PART v_load v_store v_part v_put v_set v_zero
  v_add v_sub v_mul v_div v_sqrt v_fma v_max v_min v_gt v_eq v_pick v_round v_exp2i v_zip_low
  v_zip_high v_sum v_get v_give'
{
  for name in $names; do echo "#define $name 12345"; done
  echo '#include "nn.c"'
  for name in $names; do printf '#if !defined %s || %s != 12345\n#error "%s"\n#endif\n' $name $name $name; done
} > "$work/macros.c"
check 'macros of a file that includes nn.c stay as they are' $cc $strict -O1 -I. -fsyntax-only "$work/macros.c"
if [ "$(macros '' 'int x;' | wc -l)" -gt 9 ]; then
  echo '#include "nn.c"' > "$work/plain.c"
  left() { # macros that nn.c leaves behind: those of its lines that no later #undef takes back
    $cc -std=c99 -I. -E -dD "$work/plain.c" | awk '
      /^# [0-9]+ "/ { ours = $3 ~ /nn\.[ch]"/ }
      ours && $1 == "#define" { sub(/\(.*/, "", $2); left[$2] }
      $1 == "#undef" { delete left[$2] }
      END { for (name in left) if (name !~ /^(NN_|nn_|_)/) { print name; bad = 1 } exit bad }'
  }
  check 'nn.c leaves no macro without its prefix' left
fi
for headers in stdio.h sys/stat.h 'stdio.h stdlib.h string.h math.h limits.h errno.h'; do
  { for h in $headers; do echo "#include <$h>"; done; echo '#include "nn.c"'; } > "$work/late.c"
  check "after $headers" $cc $strict -O1 -I. -fsyntax-only "$work/late.c"
done
one_error() { # HEADER: nn.c after it says in one #error that it comes too late
  printf '#include <%s>\n#include "nn.c"\n' "$1" > "$work/late.c"
  $cc $strict -I. -c -o "$work/late.o" "$work/late.c" 2>&1 | grep -c 'error: #error' | grep -qx 1
}
if echo '#include <features.h>' | $cc -E - > /dev/null 2>&1; then
  for header in signal.h fcntl.h; do check "$header before nn.c is one error" one_error $header; done
fi
printf '#include <tgmath.h>\n#include "nn.c"\n' > "$work/late.c"
check 'after tgmath.h' $cc -std=c99 -O1 -w -I. -c -o "$work/late.o" "$work/late.c"

# nn.h's examples. What they take for granted are the functions' arguments.
example() { sed -n "/^ \*     $1/,/^ \*     $2/{s/^ \* *//;s, \*/\$,,;p}" nn.h; } # FIRST LAST
{
  printf '#include <stdio.h>\n#include "nn.h"\n'
  echo 'void whole(nn_dataset train, nn_dataset test, nn_evaluation result) {'
  example 'nn_config config' nn_destroy
  echo '}'
  example 'static nn_status shape' 'static const nn_custom_layer'
  example 'static nn_status distance' 'static const nn_custom_loss'
  echo 'int own(nn_model *m, int x) {'
  example 'int y = nn_custom' '' | head -n 1
  example nn_custom_loss_with '' | head -n 1
  echo 'return y; }'
} > "$work/examples.c"
check "nn.h's examples" $cc $strict -Wconversion -I. -fsyntax-only "$work/examples.c"

# Other names and places. The including file is called nn.c itself.
mkdir -p "$work/part/deep"
cp nn.h "$work/part" && cp nn.h "$work/part/deep"
cp nn.c "$work/part/engine.c" && cp nn.c "$work/part/deep/nn.c"
echo '#include "deep/nn.c"' > "$work/part/nn.c"
echo '#include "part/engine.c"' > "$work/nn.c"
syntax="$cc $strict -O1 -fsyntax-only"
check 'nn.c from a folder, included in another nn.c' $syntax "$work/part/nn.c"
check 'a renamed nn.c that is told its name' $syntax '-DNN__SELF="engine.c"' "$work/part/engine.c"
if [ "$(echo __FILE_NAME__ | $cc -E -P - 2> /dev/null)" != __FILE_NAME__ ]; then
  check 'a renamed nn.c' $syntax "$work/part/engine.c"
  check 'a renamed nn.c, included in another nn.c' $syntax "$work/nn.c"
else
  rm "$work/part/nn.c"
  check 'a renamed nn.c asks for NN__SELF' refused NN__SELF $syntax "$work/part/engine.c"
fi
: > "$work/empty.c"
check 'NN__SELF that is no file' refused NN__SELF $syntax '-DNN__SELF="no such.c"' nn.c
check 'NN__SELF that is another file' refused NN__SELF $syntax "-DNN__SELF=\"$work/empty.c\"" nn.c

# What is refused.
if command -v g++ > /dev/null; then
  check 'C++ is told to compile it as C' refused 'not C++' g++ -c -o "$work/x.o" nn.c
  echo '#include "nn.c"' > "$work/plus.cpp"
  check 'the same of a C++ file that includes it' refused 'not C++' g++ -I. -c -o "$work/x.o" "$work/plus.cpp"
fi
if macros -ffast-math '' | grep -q __FAST_MATH__; then
  for flag in -Ofast -ffast-math -ffinite-math-only; do
    check "$flag" refused 'checks for NaN' $cc $flag -std=c99 -fsyntax-only nn.c
  done
fi
check 'NN_MAX_NODES above 4096' refused NN_MAX_NODES $syntax -DNN_MAX_NODES=4097 nn.c
check 'NN_MAX_NODES of 4096' $syntax -DNN_MAX_NODES=4096 nn.c
many() { $cc -std=c99 $quick -DNN_MAX_PARAMS=16384 -I. -o "$work/many" tests/test_fail.c -lm -lpthread &&
  NN_TEST_ONLY=names_in_order "$work/many"; }
check 'names of 16384 arrays in few walks' many
check 'NN_REAL that is neither' refused NN_REAL $syntax -DNN_REAL=int nn.c
check 'NN_MALLOC without NN_FREE' refused NN_FREE $syntax -DNN_MALLOC=malloc nn.c
if macros -O1 '' | grep -q __OPTIMIZE__; then
  one_warning() { "$@" 2>&1 | tee "$work/errors" && [ "$(grep -c 'without -O2' "$work/errors")" -ge 1 ] &&
    [ "$(grep -c warning: "$work/errors")" = 1 ]; }
  check 'a warning without optimisation' one_warning $cc -std=c99 -pedantic -Wall -Wextra -O0 -fsyntax-only nn.c
  check 'which one macro silences' $cc $strict -O0 -DNN_NO_WARNING -fsyntax-only nn.c
fi

# Two precisions that meet.
cat > "$work/use.c" << 'C'
#include "nn.h"
int main(void)
{
  nn_model *m = nn_create(NULL);
  nn_destroy(m);
  return m == NULL;
}
C
for real in float double; do
  check "nn.c in $real" $cc $strict $quick -DNN_REAL=$real -c -o "$work/nn-$real.o" nn.c
  check "a program in $real" $cc $strict -I. -DNN_REAL=$real -c -o "$work/use-$real.o" "$work/use.c"
done
links() { $cc -o "$work/use" "$work/use-$1.o" "$work/nn-$2.o" -lm -lpthread; }
check 'float with float links' links float float
check 'double with double links' links double double
undefined() { links "$1" "$2" > "$work/errors" 2>&1 && return 1; grep -q nn_create "$work/errors"; }
check 'float with double does not link' undefined float double
check 'double with float does not link' undefined double float
untagged() { # what takes an nn_real in some form, or makes a model, under the same name in both
  $cc -E -P -std=c99 -DNN_REAL=double nn.h | tr '\n' ' ' | tr ';' '\n' | sed 's/.*extern "C" {//' |
    grep -E '^ *extern.*\(' | grep -E 'nn_(real|batch|param|dataset|peak|augment|fit_options|occlusion_options|on_batch)\y|nn_(create|load|open)' |
    grep -vE '_double *\(' && return 1
  return 0
}
check 'every such call has a name for each precision' untagged

# An inference-only build has no room for what nn_fit and nn_evaluate would want.
cat > "$work/save.c" << 'C'
#include "nn.h"
int main(void)
{
  for (int loss = 0; loss < 2; loss++) {
    nn_model *m = nn_create(NULL);
    int x = nn_linear(m, nn_input_vector(m, 1000), 100);
    if (loss) nn_cross_entropy(m, x);
    if (nn_build(m) != NN_OK || nn_save(m, loss ? "loss.nn" : "plain.nn") != NN_OK) return 1;
    nn_destroy(m);
  }
  return 0;
}
C
cat > "$work/load.c" << 'C'
#include <stdio.h>
#include "nn.h"
int main(void)
{
  nn_load_result r[2];
  size_t size[2];
  for (int i = 0; i < 2; i++) {
    if (nn_load(i ? "loss.nn" : "plain.nn", NULL, &r[i], NULL) != NN_OK) return 1;
    size[i] = nn_memory(r[i].model);
    nn_destroy(r[i].model);
  }
  printf("%lu without a loss, %lu with one\n", (unsigned long)size[0], (unsigned long)size[1]);
  return size[0] != size[1];
}
C
no_stage() (
  $cc $quick -DNN_NO_TRAINING -DNN_NO_INSPECT -I. -o "$work/load" "$work/load.c" nn.c -lm -lpthread &&
    $cc -I. -o "$work/save" "$work/save.c" "$work/nn-float.o" -lm -lpthread && cd "$work" && ./save && ./load
)
check 'inference only: a loss in a file costs nothing' no_stage

# A shared library. Elsewhere than with ELF nm lists other things.
if macros '' '' | grep -q __ELF__ && command -v nm > /dev/null; then
  shared() { # NAME FLAGS..
    $cc $quick -fPIC -shared -fvisibility=hidden "${@:2}" -o "$work/$1.so" nn.c -lm -lpthread && nm -D --defined-only "$work/$1.so"
  }
  exported() { shared all && nm -D "$work/all.so" | grep -q ' T nn_create$'; }
  hidden() { shared none -DNN_API=extern && ! nm -D "$work/none.so" | grep -q ' T nn_'; }
  check '-fvisibility=hidden exports the public functions' exported
  check 'which NN_API=extern takes back' hidden
fi

destination="$work/it's a folder"
check 'make install where a space and a quote are in the name' make -s -o "${BUILD:-build}/nn" install BUILD="${BUILD:-build}" \
  DESTDIR="$destination" PREFIX=/usr
check 'and the program is there' test -x "$destination/usr/bin/nn"

echo "build: $passed passed, $failed failed"
[ "$failed" = 0 ]
