/* What the bench decides before and after it measures (bench.h). Nothing is timed here. */
#include "test.h"

#include "bench.h"

static const char *word;

/* Reads a command line of up to four words. */
static const char *reads(bench_options *o, const char *a, const char *b, const char *c,
                         const char *d) {
  const char *words[6];
  char *argv[6];
  int i, argc = 1;
  words[0] = "bench", words[1] = a, words[2] = b, words[3] = c, words[4] = d, words[5] = NULL;
  while (words[argc]) argc++;
  for (i = 0; i <= argc; i++) memcpy(&argv[i], &words[i], sizeof argv[i]);
  return bench_read(argc, argv, o, &word);
}

static void options(void) {
  bench_options o;
  CHECK(reads(&o, NULL, NULL, NULL, NULL) == NULL);
  CHECK(!o.quick && !o.help && !o.only && !o.csv && o.thread_counts == 0 && o.isa == NN_ISA_AUTO);
  CHECK(reads(&o, "--quick", "--threads", "1,4,2", "--help") == NULL);
  CHECK(o.quick && o.help);
  CHECK_INT(o.thread_counts, 3);
  CHECK(o.threads[0] == 1 && o.threads[1] == 4 && o.threads[2] == 2);
  CHECK(reads(&o, "--isa", "scalar", "--csv", "x") == NULL);
  CHECK(o.isa == NN_ISA_SCALAR);
  CHECK_TEXT(o.csv, "x");
}

static void wrong_options(void) {
  static const char *const wrong[][2] = {
      {"--onyl", "a"},      {"only", "a"},       {"--only", NULL},       {"--only", ""},
      {"--only", "a,"},     {"--only", ",a"},    {"--only", "a,,b"},     {"--threads", NULL},
      {"--threads", ""},    {"--threads", "0"},  {"--threads", "1,"},    {"--threads", "1,x"},
      {"--threads", "1 2"}, {"--threads", "-1"}, {"--threads", "1,9999"}, {"--isa", "avx3"},
      {"--isa", NULL},      {"--csv", NULL}};
  bench_options o;
  size_t i;
  for (i = 0; i < COUNT(wrong); i++) {
    if (!CHECK(reads(&o, "--quick", wrong[i][0], wrong[i][1], NULL) != NULL))
      fprintf(stderr, "  %s %s\n", wrong[i][0], wrong[i][1] ? wrong[i][1] : "");
    CHECK_TEXT(word, wrong[i][0]);
  }
}

static void only_takes_a_list(void) {
  unsigned char used[BENCH_MAX_PARTS] = {0};
  char many[2 * BENCH_MAX_PARTS + 2];
  bench_options o;
  int i;
  CHECK(bench_wants(NULL, "gemm_64x64x64_nn", used));
  CHECK(bench_wants("lstm,gemm_64,b100", "gemm_64x64x64_nn", used));
  CHECK(!used[0] && used[1] && !used[2]);
  CHECK(bench_wants("lstm,gemm_64,b100", "lenet_28_gray_b100", used));
  CHECK(!used[0] && used[2]);
  CHECK(!bench_wants("lstm,gemm_64,b100", "gru_1_layer_h128_b128", used));
  CHECK(!bench_wants("lstm,gemm", "gem", used));
  CHECK(!used[0]);
  CHECK(bench_wants("lstm", "lstm", used) && used[0]);
  /* As many parts as there is room for, and no more. */
  for (i = 0; i < BENCH_MAX_PARTS; i++) memcpy(many + 2 * i, "a,", 3);
  many[2 * BENCH_MAX_PARTS - 1] = 0;
  CHECK(reads(&o, "--only", many, NULL, NULL) == NULL);
  strcat(many, ",a");
  CHECK(reads(&o, "--only", many, NULL, NULL) != NULL);
}

static void a_part_does_not_replace_the_table(void) {
  static const char *const part = "build/bench_part.csv";
  bench_options o;
  reads(&o, NULL, NULL, NULL, NULL);
  CHECK_TEXT(bench_csv(&o), "build/bench.csv");
  reads(&o, "--only", "gemm", NULL, NULL);
  CHECK_TEXT(bench_csv(&o), part);
  reads(&o, "--quick", NULL, NULL, NULL);
  CHECK_TEXT(bench_csv(&o), part);
  reads(&o, "--threads", "1", NULL, NULL);
  CHECK_TEXT(bench_csv(&o), part);
  reads(&o, "--isa", "scalar", NULL, NULL);
  CHECK_TEXT(bench_csv(&o), part);
  reads(&o, "--only", "gemm", "--csv", "mine.csv");
  CHECK_TEXT(bench_csv(&o), "mine.csv");
}

static void cores_below_ours(void) {
  const bench_core *open = bench_openblas_cores, *blis = bench_blis_cores;
  /* What OpenBLAS 0.3.21 falls back to, and what BLIS takes for an Intel processor it lacks. */
  CHECK_TEXT(bench_better_core(open, "Prescott", NN_ISA_AVX512), "SkylakeX");
  CHECK_TEXT(bench_better_core(open, "Prescott", NN_ISA_AVX2), "Haswell");
  CHECK_TEXT(bench_better_core(open, "Sandybridge", NN_ISA_AVX2), "Haswell");
  CHECK_TEXT(bench_better_core(open, "Haswell", NN_ISA_AVX512), "SkylakeX");
  CHECK_TEXT(bench_better_core(open, "Zen", NN_ISA_AVX512), "SkylakeX");
  CHECK_TEXT(bench_better_core(blis, "generic", NN_ISA_AVX512), "skx");
  CHECK_TEXT(bench_better_core(blis, "haswell", NN_ISA_AVX512), "skx");
  CHECK_TEXT(bench_better_core(blis, "generic", NN_ISA_AVX2), "haswell");
  CHECK_TEXT(bench_core_value("SkylakeX"), "SkylakeX");
  CHECK_TEXT(bench_core_value("Haswell"), "Haswell");
  CHECK_TEXT(bench_core_value("skx"), "0"); /* of bli_arch_string(0) and (3) */
  CHECK_TEXT(bench_core_value("haswell"), "3");
}

static void cores_as_good_as_ours(void) {
  static const nn_isa below[] = {NN_ISA_SCALAR, NN_ISA_SSE2, NN_ISA_NEON};
  const bench_core *open = bench_openblas_cores, *blis = bench_blis_cores;
  size_t i;
  CHECK(!bench_better_core(open, "SkylakeX", NN_ISA_AVX512));
  CHECK(!bench_better_core(open, "SkylakeX", NN_ISA_AVX2));
  CHECK(!bench_better_core(open, "Haswell", NN_ISA_AVX2));
  CHECK(!bench_better_core(open, "Zen", NN_ISA_AVX2));
  CHECK(!bench_better_core(blis, "skx", NN_ISA_AVX512));
  CHECK(!bench_better_core(blis, "zen3", NN_ISA_AVX2));
  /* Newer than the list, or another kind of processor: left alone. */
  CHECK(!bench_better_core(open, "Cooperlake", NN_ISA_AVX512));
  CHECK(!bench_better_core(open, "SapphireRapids", NN_ISA_AVX512));
  CHECK(!bench_better_core(blis, "zen5", NN_ISA_AVX512));
  CHECK(!bench_better_core(open, "", NN_ISA_AVX512));
  CHECK(!bench_better_core(open, "-", NN_ISA_AVX512));
  for (i = 0; i < COUNT(below); i++) {
    CHECK(!bench_better_core(open, "Prescott", below[i]));
    CHECK(!bench_better_core(blis, "generic", below[i]));
  }
}

static void stalls(void) {
  CHECK(bench_stalls(70, .2));
  CHECK(bench_stalls(2, .2));
  CHECK(!bench_stalls(.2, .2));
  CHECK(!bench_stalls(.5, .2));
  CHECK(!bench_stalls(.02, .0005)); /* what starting a thread costs */
  CHECK(!bench_stalls(250, 100));
}

int main(void) {
  RUN(options);
  RUN(wrong_options);
  RUN(only_takes_a_list);
  RUN(a_part_does_not_replace_the_table);
  RUN(cores_below_ours);
  RUN(cores_as_good_as_ours);
  RUN(stalls);
  return test_end("bench");
}
