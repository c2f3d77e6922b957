/* What tests/bench.c decides without measuring anything: its options, where its table goes, which
 * core a BLAS library is asked for, and which of its times count. tests/test_bench.c checks it. */
#ifndef NN_BENCH_H
#define NN_BENCH_H

#include <stdlib.h>
#include <string.h>

#include "../nn.h"

/* ----------------------------------------- options ------------------------------------------- */

#define BENCH_MAX_PARTS 32

typedef struct bench_options {
  int quick, help;
  const char *only, *csv, *isa_name; /* NULL where not given */
  nn_isa isa;
  int threads[NN_MAX_THREADS], thread_counts; /* 0 counts: not given */
} bench_options;

/* The list's place-th part; its length, 0 past the last one. */
static size_t bench_part(const char *list, int place, const char **part) {
  while (place > 0 && *list)
    if (*list++ == ',') place--;
  *part = list;
  return strcspn(list, ",");
}

/* Whether the list (NULL: there is none) asks for the row. Sets used[i] if its i-th part does. */
static int bench_wants(const char *list, const char *row, unsigned char *used) {
  const char *part, *at;
  size_t length;
  int wanted = !list, i;
  for (i = 0; list && (length = bench_part(list, i, &part)) > 0; i++)
    for (at = row; strlen(at) >= length; at++)
      if (strncmp(at, part, length) == 0) wanted = used[i] = 1;
  return wanted;
}

static int bench_read_only(const char *list) {
  const char *part;
  int parts = 1;
  for (part = list; *part; part++) parts += *part == ',';
  if (parts > BENCH_MAX_PARTS) return 0;
  while (parts > 0)
    if (bench_part(list, --parts, &part) == 0) return 0;
  return 1;
}

static int bench_read_threads(const char *list, bench_options *o) {
  char *end;
  for (o->thread_counts = 0; o->thread_counts < NN_MAX_THREADS; list = end + 1) {
    const long n = strtol(list, &end, 10);
    if (end == list || n < 1 || n > NN_MAX_THREADS || (*end && *end != ',')) return 0;
    o->threads[o->thread_counts++] = (int)n;
    if (!*end) return 1;
  }
  return 0;
}

/* Reads the command line. Returns NULL or what is wrong with it, and sets *word to the option. */
static const char *bench_read(int argc, char **argv, bench_options *o, const char **word) {
  int i;
  memset(o, 0, sizeof *o);
  for (i = 1; i < argc; i++) {
    const char *name = *word = argv[i], *value;
    if (strcmp(name, "--help") == 0 || strcmp(name, "--quick") == 0) {
      *(name[2] == 'h' ? &o->help : &o->quick) = 1;
      continue;
    }
    if (strcmp(name, "--only") && strcmp(name, "--threads") && strcmp(name, "--isa") &&
        strcmp(name, "--csv"))
      return "there is no such option";
    if (++i == argc) return "a value is missing";
    value = argv[i];
    if (strcmp(name, "--csv") == 0) {
      o->csv = value;
    } else if (strcmp(name, "--only") == 0) {
      o->only = value;
      if (!bench_read_only(value)) return "parts of rows' names are needed, with commas between";
    } else if (strcmp(name, "--threads") == 0) {
      if (!bench_read_threads(value, o)) return "numbers of threads are needed, as 1,2";
    } else {
      o->isa_name = value;
      if (nn_isa_find(value, &o->isa) != NN_OK) return "there are no such kernels";
      if (o->isa != NN_ISA_AUTO && !nn_isa_available(o->isa)) return "they cannot run here";
    }
  }
  return NULL;
}

/* Where the rows go. Only a run without options writes the whole table, so only it may replace the
 * file of one. */
static const char *bench_csv(const bench_options *o) {
  const int whole = !o->only && !o->quick && !o->isa_name && !o->thread_counts;
  return o->csv ? o->csv : whole ? "build/bench.csv" : "build/bench_part.csv";
}

/* -------------------------------------- a library's core ------------------------------------- */

/* A core is what a BLAS library calls the set of kernels for a kind of processor; isa is the best
 * of our sets that those kernels are a match for (SSE2: anything below AVX2). The first core of
 * each isa is the one to ask for. A list ends with a name of NULL. */
typedef struct bench_core {
  const char *name;
  nn_isa isa;
} bench_core;

static const bench_core bench_openblas_cores[] = {
    {"SkylakeX", NN_ISA_AVX512},   {"Haswell", NN_ISA_AVX2},     {"Zen", NN_ISA_AVX2},
    {"Prescott", NN_ISA_SSE2},     {"Unknown", NN_ISA_SSE2},     {"Katmai", NN_ISA_SSE2},
    {"Coppermine", NN_ISA_SSE2},   {"Northwood", NN_ISA_SSE2},   {"Banias", NN_ISA_SSE2},
    {"Atom", NN_ISA_SSE2},         {"Core2", NN_ISA_SSE2},       {"Penryn", NN_ISA_SSE2},
    {"Dunnington", NN_ISA_SSE2},   {"Nehalem", NN_ISA_SSE2},     {"Athlon", NN_ISA_SSE2},
    {"Opteron", NN_ISA_SSE2},      {"Opteron_SSE3", NN_ISA_SSE2}, {"Barcelona", NN_ISA_SSE2},
    {"Nano", NN_ISA_SSE2},         {"Bobcat", NN_ISA_SSE2},      {"Sandybridge", NN_ISA_SSE2},
    {"Bulldozer", NN_ISA_SSE2},    {"Piledriver", NN_ISA_SSE2},  {"Steamroller", NN_ISA_SSE2},
    {"Excavator", NN_ISA_SSE2},    {NULL, NN_ISA_AUTO}};

static const bench_core bench_blis_cores[] = {
    {"skx", NN_ISA_AVX512},       {"haswell", NN_ISA_AVX2},    {"zen", NN_ISA_AVX2},
    {"zen2", NN_ISA_AVX2},        {"zen3", NN_ISA_AVX2},       {"penryn", NN_ISA_SSE2},
    {"sandybridge", NN_ISA_SSE2}, {"excavator", NN_ISA_SSE2},  {"steamroller", NN_ISA_SSE2},
    {"piledriver", NN_ISA_SSE2},  {"bulldozer", NN_ISA_SSE2},  {"generic", NN_ISA_SSE2},
    {NULL, NN_ISA_AUTO}};

/* The core to ask for where the library chose one whose kernels are below ours. NULL where its
 * choice is as good, and where that cannot be told. */
static const char *bench_better_core(const bench_core *cores, const char *chosen, nn_isa ours) {
  const bench_core *have = cores, *want = cores;
  while (have->name && strcmp(have->name, chosen)) have++;
  while (want->name && want->isa != ours) want++;
  return have->name && want->name && have->isa < ours ? want->name : NULL;
}

/* How the library's environment variable names it: BLIS by its number, OpenBLAS by its name. */
static const char *bench_core_value(const char *core) {
  return strcmp(core, "skx") == 0 ? "0" : strcmp(core, "haswell") == 0 ? "3" : core;
}

/* ---------------------------------------- what counts ---------------------------------------- */

/* Threads of a library that wait for each other by spinning can lose whole time slices to it. That
 * tells nothing of its kernels, so it is no time to be compared with. ms: a run on several threads;
 * alone: the same run on one. More threads may cost more, but neither three times as much nor .1 ms
 * (starting them takes a few microseconds). */
static int bench_stalls(double ms, double alone) { return ms > 3 * alone + .1; }

#endif
