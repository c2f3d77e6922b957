/* How fast nn.c is, beside its peers in the same run.
 *
 *   bench [--quick] [--only PARTS] [--threads LIST] [--isa NAME] [--csv FILE]
 *
 * For every thread count of the list (default 1,2) a process of its own is pinned to as many cores
 * and measures: the FMA peak and the memory bandwidth of a core, the matrix product beside
 * OpenBLAS and BLIS (opened at run time where installed), networks and layers beside PyTorch and,
 * one sample at a time, ONNX Runtime (tests/bench_torch.py and tests/bench_onnx.js, children
 * spoken with over pipes; $PYTHON, else /usr/bin/python3), and what subnormal numbers cost. Ours
 * and the peers run in turn, A B A B, and the medians of the rounds are shown; a peer that is not
 * installed is named as missing. A library that does not know the processor may choose old
 * kernels: where its choice is below the instruction set that ours uses, it is told a better one,
 * if it is faster with that and the user has not told it anything. --only: rows whose name has one
 * of the parts in it, with commas between. The table goes to stdout and to build/bench.csv; a part
 * of it, by any option, goes to build/bench_part.csv. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity; fork, dlopen, clock_gettime everywhere */
#endif
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#if defined(__GNUC__) && !defined(__TINYC__) && (defined(__x86_64__) || defined(__i386__))
#define BENCH_X86
#include <immintrin.h>
#elif defined(__GNUC__) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#define MAX_ROUNDS 9
#define MAX_PEERS 2

static struct {
  int threads, quick, rounds;
  double round_seconds; /* at least this long is measured in one round */
  const char *only;
  unsigned char *used; /* whether each part of it is in a row's name; all processes see it */
  nn_isa isa;          /* never AUTO */
  FILE *csv;
  double peak; /* GFLOP/s of the cores in use */
  int core[NN_MAX_THREADS];
} bench;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Lets worker threads of a peer that still spin after their last call fall asleep. */
static void settle(void) {
  struct timespec t = {0, 0};
  t.tv_nsec = bench.threads > 1 ? 120000000 : 1000000;
  nanosleep(&t, NULL);
}

static void *memory(size_t size) {
  void *p = NULL;
  if (posix_memalign(&p, 64, size ? size : 64)) {
    fprintf(stderr, "bench: out of memory\n");
    exit(1);
  }
  memset(p, 0, size);
  return p;
}

static nn_real *random_reals(size_t count) {
  nn_real *x = (nn_real *)memory(count * sizeof *x);
  for (size_t i = 0; i < count; i++)
    x[i] = (nn_real)((double)nn_random_at(1, 2, i) / 2147483648.0 - 1.0);
  return x;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *x, int n) {
  qsort(x, (size_t)n, sizeof *x, by_size);
  return n % 2 ? x[n / 2] : .5 * (x[n / 2 - 1] + x[n / 2]);
}

/* ------------------------------------- the machine's limits ---------------------------------- */

/* Twelve independent chains a = a b + c hide the latency of a fused multiply-add (4 or 5 cycles,
 * two start in each). Every chain goes to 2 and stays there. Returns the operations done. */
static volatile float sink;
#define TWELVE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define START(k) a##k = set((float)k);
#define STEP(k) a##k = fma(a##k, b, c);
#define SUM(k) b = add(b, a##k);
#define PEAK_LOOP(vector, lanes)                                            \
  vector b = set(.5f), c = set(1.f);                                        \
  vector a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11;                  \
  TWELVE(START)                                                             \
  for (long i = 0; i < count; i++) { TWELVE(STEP) }                         \
  TWELVE(SUM)                                                               \
  sink = first(b);                                                          \
  return 12. * 2. * lanes * (double)count;

#ifdef BENCH_X86
#define set _mm512_set1_ps
#define fma _mm512_fmadd_ps
#define add _mm512_add_ps
#define first _mm512_cvtss_f32
__attribute__((target("avx512f"))) static double flops_avx512(long count) {
  PEAK_LOOP(__m512, 16)
}
#undef set
#undef fma
#undef add
#undef first
#define set _mm256_set1_ps
#define fma _mm256_fmadd_ps
#define add _mm256_add_ps
#define first _mm256_cvtss_f32
__attribute__((target("avx2,fma"))) static double flops_avx2(long count) {
  PEAK_LOOP(__m256, 8)
}
#undef set
#undef fma
#undef add
#undef first
#define set _mm_set1_ps
#define fma(x, y, z) _mm_add_ps(_mm_mul_ps(x, y), z)
#define add _mm_add_ps
#define first _mm_cvtss_f32
__attribute__((target("sse2"))) static double flops_sse2(long count) {
  PEAK_LOOP(__m128, 4)
}
#elif defined(__GNUC__) && defined(__aarch64__)
#define set vdupq_n_f32
#define fma(x, y, z) vfmaq_f32(z, x, y)
#define add vaddq_f32
#define first(x) vgetq_lane_f32(x, 0)
static double flops_neon(long count) { PEAK_LOOP(float32x4_t, 4) }
#endif
#undef set
#undef fma
#undef add
#undef first

/* The most GFLOP/s that one core reached in short runs of the loop. */
static double peak_of(const char *name, double (*flops)(long count)) {
  double best = 0;
  for (int round = 0; round < 15; round++) {
    const long count = 3000000;
    double start = now(), done = flops(count), rate = done / (now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  printf("peak of one core, %-18s %8.1f GFLOP/s\n", name, best);
  return best;
}

static double fma_peak(void) {
  double peak = 0, rate;
#ifdef BENCH_X86
  __builtin_cpu_init();
  peak = peak_of("SSE2 multiply, add", flops_sse2);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      (rate = peak_of("AVX2 FMA", flops_avx2)) > peak)
    peak = rate;
  if (__builtin_cpu_supports("avx512f") && (rate = peak_of("AVX-512 FMA", flops_avx512)) > peak)
    peak = rate;
#elif defined(__GNUC__) && defined(__aarch64__)
  (void)rate;
  peak = peak_of("NEON FMA", flops_neon);
#else
  (void)rate;
  printf("peak of one core: not known how to measure with this compiler and processor\n");
#endif
  return peak;
}

static void bandwidth(void) {
  size_t n = (size_t)1 << (bench.quick ? 23 : 24); /* 32 or 64 MiB each */
  float *a = (float *)memory(n * 4), *b = (float *)memory(n * 4), *c = (float *)memory(n * 4);
  double copy = 0, triad = 0;
  for (int round = 0; round < 7; round++) {
    double t0 = now(), t1, t2;
    memcpy(a, b, n * 4);
    t1 = now();
    for (size_t i = 0; i < n; i++) c[i] = a[i] + .5f * b[i];
    t2 = now();
    sink = c[n / 2];
    if (8. * (double)n / (t1 - t0) > copy) copy = 8. * (double)n / (t1 - t0);
    if (12. * (double)n / (t2 - t1) > triad) triad = 12. * (double)n / (t2 - t1);
  }
  printf("memory of one core: copy %.1f GB/s, triad %.1f GB/s\n", copy / 1e9, triad / 1e9);
  free(a), free(b), free(c);
}

/* ------------------------------------- measuring in turn ------------------------------------- */

/* Runs a thing some times; the seconds of what counts of it, below 0 if it failed. */
typedef double (*runner)(void *what, int count);

typedef struct contender {
  const char *name;
  runner run, alone; /* alone, if not NULL: the same on one thread */
  void *what;
  int count, failed;
  double ms[MAX_ROUNDS], median;
} contender;

static int wanted(const char *name) { return bench_wants(bench.only, name, bench.used); }

/* This process's threads, ours and those of the BLAS libraries, each on a core of its own: left
 * alone, one that was asleep often wakes on the core of the one that woke it, and they share it for
 * a while. PyTorch is left alone, in a process of its own: its two pools are slower when pinned. */
static void spread_threads(void) {
#ifdef __linux__
  DIR *threads = bench.threads > 1 ? opendir("/proc/self/task") : NULL;
  struct dirent *entry;
  while (threads && (entry = readdir(threads)) != NULL) {
    int id = atoi(entry->d_name), first = id == (int)getpid();
    cpu_set_t set;
    if (id <= 0) continue;
    CPU_ZERO(&set);
    for (int i = 0; i < bench.threads; i++)
      if (first ? i == 0 : i > 0) CPU_SET((size_t)bench.core[i], &set);
    sched_setaffinity(id, sizeof set, &set);
  }
  if (threads) closedir(threads);
#endif
}

/* How many runs fill a round. */
static void calibrate(contender *c) {
  double spent = c->run(c->what, 1);
  spread_threads();
  for (c->count = 1; spent >= 0 && spent < bench.round_seconds && c->count < 1 << 24;) {
    double more = 1.2 * bench.round_seconds / (spent / c->count + 1e-9);
    int next = more < 4. * c->count ? (int)more : 4 * c->count;
    c->count = next > c->count ? next : c->count + 1;
    if (spent > .5 * bench.round_seconds) break;
    spent = c->run(c->what, c->count);
  }
  c->failed = spent < 0;
}

/* The peer's part of a row, on the screen and in the CSV. A peer that stalls gets no ratio. */
static void show_peer(const contender *ours, contender *peer) {
  double alone = 0;
  if (bench.threads > 1 && peer->alone && peer->median > ours->median)
    alone = peer->alone(peer->what, peer->count) / peer->count * 1e3;
  if (alone > 0 && bench_stalls(peer->median, alone)) {
    printf("  %-8s %10.4g ms  stalls, not counted (%.4g ms on one thread)", peer->name,
           peer->median, alone);
    fprintf(bench.csv, ",%s stalls,%.6g,", peer->name, peer->median);
    return;
  }
  printf("  %-8s %10.4g ms  ratio %5.2f", peer->name, peer->median, ours->median / peer->median);
  fprintf(bench.csv, ",%s,%.6g,%.4g", peer->name, peer->median, ours->median / peer->median);
}

/* One table row for each peer, or one alone when there is none. c[0] is ours. flops 0: not told. */
static void measure(const char *name, const char *what, double flops, contender *c,
                    int contenders) {
  double gflops, share;
  for (int i = 0; i < contenders; i++) {
    calibrate(&c[i]);
    settle();
    if (c[i].failed) {
      printf("%s: %s does not answer\n", name, c[i].name);
      c[i--] = c[--contenders];
    }
  }
  if (contenders == 0) return;
  for (int round = 0; round < bench.rounds; round++)
    for (int i = 0; i < contenders; i++) {
      c[i].ms[round] = c[i].run(c[i].what, c[i].count) / c[i].count * 1e3;
      settle();
    }
  for (int i = 0; i < contenders; i++) c[i].median = median(c[i].ms, bench.rounds);
  gflops = flops / c[0].median / 1e6;
  share = bench.peak > 0 ? gflops / bench.peak : 0;
  for (int i = contenders > 1; i < contenders; i++) {
    printf("%-30s %2d  %10.4g ms", name, bench.threads, c[0].median);
    fprintf(bench.csv, "%s,%s,%d,%.6g", name, what, bench.threads, c[0].median);
    if (i) {
      show_peer(&c[0], &c[i]);
    } else {
      printf("  %-8s %10s     %11s", "no peer", "", "");
      fprintf(bench.csv, ",,,");
    }
    if (flops > 0) printf("  %7.1f GFLOP/s  %5.1f %%", gflops, 100 * share);
    printf("\n");
    fprintf(bench.csv, flops > 0 ? ",%.4g,%.4g\n" : ",,\n", gflops, share);
  }
  fflush(stdout);
  fflush(bench.csv);
}

/* -------------------------------------- matrix product --------------------------------------- */

typedef void (*cblas_sgemm_function)(int order, int ta, int tb, int m, int n, int k, float alpha,
                                     const float *a, int lda, const float *b, int ldb, float beta,
                                     float *c, int ldc);

/* A peer whose core can be chosen: a BLAS, or PyTorch, which brings one with it. */
typedef struct library {
  const char *name, *file, *variable; /* file NULL: PyTorch; variable: where it reads its core */
  const bench_core *cores;
  char told[32]; /* the variable's value that it is started with; "": none */
  cblas_sgemm_function sgemm;
  void *set_threads;
} library;

typedef struct product {
  nn_context *context;
  const library *blas;
  int m, n, k, ta, tb;
  nn_real *a, *b, *c;
} product;

static double run_ours(void *what, int count) {
  product *p = (product *)what;
  double start = now();
  for (int i = 0; i < count; i++)
    nn_gemm(p->context, p->ta, p->tb, (size_t)p->m, (size_t)p->n, (size_t)p->k, 1, p->a,
            (size_t)(p->ta ? p->m : p->k), p->b, (size_t)(p->tb ? p->k : p->n), 0, p->c,
            (size_t)p->n);
  return now() - start;
}

static double run_blas(void *what, int count) {
  product *p = (product *)what;
  double start = now();
  for (int i = 0; i < count; i++)
    p->blas->sgemm(101, p->ta ? 112 : 111, p->tb ? 112 : 111, p->m, p->n, p->k, 1.f,
                   (const float *)(const void *)p->a, p->ta ? p->m : p->k,
                   (const float *)(const void *)p->b, p->tb ? p->k : p->n, 0.f,
                   (float *)(void *)p->c, p->n);
  return now() - start;
}

/* dlsym gives an object pointer; ISO C has no cast from it to a function pointer. */
static int symbol(void *handle, const char *name, void *function, size_t size) {
  void *p = handle ? dlsym(handle, name) : NULL;
  memcpy(function, &p, size);
  return p != NULL;
}

static void set_threads(const library *l, int threads) {
  void (*ints)(int);
  void (*words)(intptr_t);
  memcpy(&ints, &l->set_threads, sizeof ints);
  memcpy(&words, &l->set_threads, sizeof words);
  if (!l->set_threads) return;
  if (l->cores == bench_blis_cores) words(threads); /* its integers are of pointer's size */
  else ints(threads);
}

static double run_blas_alone(void *what, int count) {
  double spent;
  set_threads(((product *)what)->blas, 1);
  spent = run_blas(what, count);
  set_threads(((product *)what)->blas, bench.threads);
  return spent;
}

/* Opens a BLAS; its version to text, its core to core ("-" where it does not say). Its constructor
 * reads the variable. 0 if it is missing. */
static int open_library(library *l, int threads, char text[96], char core[32]) {
  const int blis = l->cores == bench_blis_cores;
  void *handle;
  const char *(*version)(void), *(*core_name)(void), *(*core_text)(int);
  void (*init)(void);
  int (*core_number)(void);
  if (*l->told) setenv(l->variable, l->told, 1);
  handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
  if (!symbol(handle, "cblas_sgemm", &l->sgemm, sizeof l->sgemm)) return 0;
  l->set_threads = dlsym(handle, blis ? "bli_thread_set_num_threads" : "openblas_set_num_threads");
  if (symbol(handle, "bli_init", &init, sizeof init)) init();
  set_threads(l, threads);
  strcpy(core, "-");
  if (symbol(handle, "openblas_get_corename", &core_name, sizeof core_name))
    snprintf(core, 32, "%s", core_name());
  else if (symbol(handle, "bli_arch_query_id", &core_number, sizeof core_number) &&
           symbol(handle, "bli_arch_string", &core_text, sizeof core_text))
    snprintf(core, 32, "%s", core_text(core_number()));
  snprintf(text, 96, "%s",
           symbol(handle, blis ? "bli_info_get_version_str" : "openblas_get_config", &version,
                  sizeof version) ? version() : "found");
  return 1;
}

static void gemm_row(product *p, library *libraries) {
  char name[64];
  contender c[1 + MAX_PEERS];
  product theirs[MAX_PEERS];
  int contenders = 1;
  sprintf(name, "gemm_%dx%dx%d_%c%c", p->m, p->n, p->k, p->ta ? 't' : 'n', p->tb ? 't' : 'n');
  if (!wanted(name)) return;
  memset(c, 0, sizeof c);
  p->a = random_reals((size_t)p->m * (size_t)p->k);
  p->b = random_reals((size_t)p->k * (size_t)p->n);
  p->c = random_reals((size_t)p->m * (size_t)p->n);
  c[0].name = "nn", c[0].run = run_ours, c[0].what = p;
  for (int i = 0; i < MAX_PEERS; i++) {
    if (!libraries[i].sgemm) continue;
    theirs[i] = *p;
    theirs[i].blas = &libraries[i];
    c[contenders].name = libraries[i].name;
    c[contenders].run = run_blas, c[contenders].alone = run_blas_alone;
    c[contenders].what = &theirs[i];
    contenders++;
  }
  measure(name, "m x n x k product", 2. * p->m * p->n * p->k, c, contenders);
  free(p->a), free(p->b), free(p->c);
}

static void gemms(library *libraries) {
  static const int squares[] = {16,  24,  32,  48,  64,   96,   128,  192,
                                256, 384, 512, 768, 1024, 1536, 2048};
  /* The three products of a linear layer, those of recurrent and small nets. */
  static const int shapes[][3] = {{100, 1024, 3136}, {100, 3136, 1024}, {1024, 3136, 100},
                                  {128, 512, 128},   {128, 384, 128},   {64, 784, 800},
                                  {1, 1024, 3136}};
  product p;
  for (int i = 0; i < MAX_PEERS; i++) {
    char text[96], core[32];
    if (open_library(&libraries[i], bench.threads, text, core))
      printf("%s: %s, core %s\n", libraries[i].name, text, core);
    else
      printf("%s: missing (%s)\n", libraries[i].name, libraries[i].file);
  }
  memset(&p, 0, sizeof p);
  p.context = nn_context_create(bench.isa, bench.threads, NULL);
  if (!p.context) {
    fprintf(stderr, "bench: no context\n");
    exit(1);
  }
  for (size_t i = 0; i < sizeof squares / sizeof *squares; i++) {
    int s = p.m = p.n = p.k = squares[i];
    if (bench.quick && (s & (s - 1) || s > 1024)) continue;
    for (int way = 0; way < (s == 64 || s == 256 || s == 1024 ? 4 : 1); way++) {
      if (bench.quick && way) break;
      p.ta = way & 1, p.tb = way >> 1;
      gemm_row(&p, libraries);
    }
  }
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int way = 0; way < 4; way++) {
      p.m = shapes[i][0], p.n = shapes[i][1], p.k = shapes[i][2];
      p.ta = way & 1, p.tb = way >> 1;
      if (!bench.quick || way == 2) gemm_row(&p, libraries);
    }
  nn_context_destroy(p.context);
}

/* ------------------------------------- PyTorch, ONNX Runtime --------------------------------- */

typedef struct peer {
  const char *name;
  pid_t pid;      /* 0: it is not there */
  FILE *in, *out; /* what it says, what is said to it */
} peer;
static peer torch = {"PyTorch", 0, NULL, NULL}, onnx = {"ONNX Runtime", 0, NULL, NULL};
static const char torch_script[] = "tests/bench_torch.py", onnx_script[] = "tests/bench_onnx.js";
static const char onnx_folder[] = "build/onnx";
static const char *const one_sample[] = {"lenet_forward:1:28:1", "cell_forward:rnn:1:128:1",
                                         "cell_forward:lstm:1:128:1", "cell_forward:gru:1:128:1"};

static const char *python(void) {
  const char *name = getenv("PYTHON");
  return name ? name : access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3";
}

/* Starts argv[0] as a child that says "ready .." first; told: NAME=VALUE for its environment. */
static void start_peer(peer *p, const char *const *argv, const library *told, const char *needs) {
  int to[2], from[2];
  char threads[16], line[256];
  sprintf(threads, "%d", bench.threads);
  if (pipe(to) || pipe(from)) return;
  fflush(stdout);
  p->pid = fork();
  if (p->pid == 0) {
    dup2(to[0], 0), dup2(from[1], 1);
    close(to[0]), close(to[1]), close(from[0]), close(from[1]);
    setenv("OMP_NUM_THREADS", threads, 1);
    setenv("OPENBLAS_NUM_THREADS", threads, 1);
    if (told && *told->told) setenv(told->variable, told->told, 1);
    if (!freopen("/dev/null", "w", stderr)) _exit(127);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(to[0]), close(from[1]);
  /* not for the next child: one that holds the other's input open keeps it from ending */
  fcntl(to[1], F_SETFD, FD_CLOEXEC), fcntl(from[0], F_SETFD, FD_CLOEXEC);
  p->out = fdopen(to[1], "w");
  p->in = fdopen(from[0], "r");
  if (p->pid < 0 || !p->in || !p->out || !fgets(line, sizeof line, p->in) ||
      strncmp(line, "ready ", 6) != 0) {
    printf("%s: missing (%s)\n", p->name, needs);
    if (p->pid > 0) waitpid(p->pid, NULL, 0);
    p->pid = 0;
  } else
    printf("%s: %s", p->name, line + 6);
}

static void start_torch(const library *l) {
  char threads[16];
  const char *const argv[] = {python(), torch_script, threads, NULL};
  sprintf(threads, "%d", bench.threads);
  start_peer(&torch, argv, l, "python3 with torch");
}

/* Writes the networks that ONNX Runtime is to run, by PyTorch. */
static int export_onnx(void) {
  int status = 1;
  pid_t child;
  if (!torch.pid) return 0;
  fflush(stdout);
  child = fork();
  if (child == 0) {
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(127);
    execlp(python(), python(), torch_script, "onnx", onnx_folder, one_sample[0], one_sample[1],
           one_sample[2], one_sample[3], (char *)NULL);
    _exit(127);
  }
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void start_onnx(void) {
  const char *const argv[] = {"node", onnx_script, onnx_folder, NULL};
  if (access(onnx_folder, R_OK) == 0 && !export_onnx())
    printf("ONNX Runtime: missing (PyTorch, which writes the networks for it)\n");
  else
    start_peer(&onnx, argv, NULL,
               "npm install --prefix build/onnx --ignore-scripts onnxruntime-node");
}

static double ask(peer *p, const char *request, int count, int threads) {
  char line[64];
  fprintf(p->out, "%s %d %d\n", request, count, threads);
  fflush(p->out);
  if (!fgets(line, sizeof line, p->in)) return -1;
  return strtod(line, NULL) * 1e-3 * count;
}

static double run_torch(void *what, int count) {
  return ask(&torch, (const char *)what, count, bench.threads);
}

static double run_torch_alone(void *what, int count) {
  return ask(&torch, (const char *)what, count, 1);
}

static double run_onnx(void *what, int count) {
  return ask(&onnx, (const char *)what, count, bench.threads);
}

static double run_onnx_alone(void *what, int count) {
  return ask(&onnx, (const char *)what, count, 1);
}

static void stop_peer(peer *p) {
  if (!p->pid) return;
  fclose(p->out); /* the end of its input ends it */
  fclose(p->in);
  waitpid(p->pid, NULL, 0);
}

/* ------------------------------------------- nets -------------------------------------------- */

typedef struct net {
  nn_model *m;
  nn_batch b;
  nn_real *x, *gradient;
  int32_t *labels;
} net;

static double run_training(void *what, int count) {
  net *t = (net *)what;
  double start = now();
  for (int i = 0; i < count; i++)
    if (nn_train(t->m, &t->b, NULL, NULL) != NN_OK) return -1;
  return now() - start;
}

static double run_forward(void *what, int count) {
  net *t = (net *)what;
  double start = now();
  for (int i = 0; i < count; i++)
    if (nn_forward(t->m, &t->b, 0) != NN_OK) return -1;
  return now() - start;
}

/* Only the way back is timed. */
static double run_backward(void *what, int count) {
  net *t = (net *)what;
  double spent = 0;
  for (int i = 0; i < count; i++) {
    double start;
    nn_zero_gradients(t->m);
    if (nn_forward(t->m, &t->b, 1) != NN_OK || nn_loss(t->m, &t->b, NULL, NULL) != NN_OK)
      return -1;
    start = now();
    if (nn_backward(t->m) != NN_OK) return -1;
    spent += now() - start;
  }
  return spent;
}

static nn_config config_of(int batch) {
  nn_config c = nn_config_default();
  c.batch = batch;
  c.threads = bench.threads;
  c.isa = bench.isa;
  return c;
}

/* Multiply-adds of one sample: forward, and of the first product with the input, whose gradient
 * nobody needs. */
static double macs_of(const nn_model *m, double *first) {
  double macs = 0;
  *first = 0;
  for (int i = 0; i < nn_node_count(m); i++) {
    nn_node_info info;
    if (nn_get_node(m, i, &info) != NN_OK) continue;
    if (macs == 0 && info.macs > 0) {
      nn_node_info x;
      int gates = strcmp(info.kind, "lstm") == 0 ? 4 : strcmp(info.kind, "gru") == 0 ? 3
                  : strcmp(info.kind, "rnn") == 0 ? 1 : 0;
      nn_get_node(m, info.input[0], &x);
      *first = gates ? (double)info.dim[0] * gates * info.dim[1] * x.dim[1] : info.macs;
    }
    macs += info.macs;
  }
  return macs;
}

/* Builds, fills, measures and destroys. passes: products of forward's size in what is timed. */
static void net_row(const char *name, const char *what, nn_model *m, int batch, runner run,
                    const char *request, double passes, int first_too) {
  contender c[3];
  net t;
  double first, flops;
  int contenders = 1;
  size_t in = 1, out = 1;
  nn_node_info info;
  memset(c, 0, sizeof c), memset(&t, 0, sizeof t);
  t.m = m;
  if (nn_build(m) != NN_OK) {
    fprintf(stderr, "bench: %s: %s\n", name, nn_error(m));
    exit(1);
  }
  nn_get_node(m, 0, &info);
  for (int i = 0; i < info.rank; i++) in *= (size_t)info.dim[i];
  nn_get_node(m, nn_output_node(m), &info);
  for (int i = 0; i < info.rank; i++) out *= (size_t)info.dim[i];
  t.x = random_reals(in * (size_t)batch);
  t.gradient = random_reals(out * (size_t)batch);
  t.labels = (int32_t *)memory((size_t)batch * sizeof *t.labels);
  for (int i = 0; i < batch; i++) t.labels[i] = i % 10;
  t.b.n = batch, t.b.x[0] = t.x, t.b.labels = t.labels, t.b.values = t.gradient;
  flops = 2. * batch * passes * macs_of(m, &first);
  if (!first_too) flops -= 2. * batch * first; /* no gradient of the input */
  c[0].name = "nn", c[0].run = run, c[0].what = &t;
  if (torch.pid) {
    c[1].name = torch.name, c[1].run = run_torch, c[1].alone = run_torch_alone;
    c[contenders++].what = (void *)(uintptr_t)request;
  }
  for (size_t i = 0; onnx.pid && i < sizeof one_sample / sizeof *one_sample; i++) {
    if (strcmp(request, one_sample[i])) continue;
    c[contenders].name = onnx.name, c[contenders].run = run_onnx;
    c[contenders].alone = run_onnx_alone;
    c[contenders++].what = (void *)(uintptr_t)request;
  }
  if (run(&t, 1) < 0) {
    fprintf(stderr, "bench: %s: %s\n", name, nn_error(m));
    exit(1);
  }
  measure(name, what, flops, c, contenders);
  free(t.x), free(t.gradient), free(t.labels);
  nn_destroy(m);
}

static int lenet(nn_model *m, int channels, int side) {
  int x = nn_input_image(m, channels, side, side);
  x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 32, 5, 1, 2)), 2, 2, 0);
  x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 64, 5, 1, 2)), 2, 2, 0);
  x = nn_relu(m, nn_linear(m, nn_flatten(m, x), 1024));
  return nn_linear(m, x, 10);
}

static void lenet_row(const char *name, int channels, int side, int batch, int training) {
  char request[64];
  nn_config c = config_of(batch);
  nn_optimizer adam = nn_adam(1e-3);
  nn_model *m;
  int x;
  if (!wanted(name)) return;
  c.inference = !training;
  m = nn_create(&c);
  x = lenet(m, channels, side);
  if (training) nn_cross_entropy(m, x), nn_set_optimizer(m, &adam);
  sprintf(request, "lenet_%s:%d:%d:%d", training ? "train" : "forward", channels, side, batch);
  net_row(name, training ? "LeNet5 training step with Adam" : "LeNet5 forward", m, batch,
          training ? run_training : run_forward, request, training ? 3 : 1, !training);
}

/* batch 1: the forward of one sequence; else a training step. */
static void cell_row(int cell, int layers, int hidden, int batch) {
  static const char *const kinds[] = {"rnn", "lstm", "gru"};
  nn_recurrent_options o = {0, 0, 0, 0, 0, 0};
  char name[64], request[64];
  const int training = batch > 1;
  nn_config c = config_of(batch);
  nn_optimizer adam = nn_adam(1e-3);
  nn_model *m;
  int x;
  if (training) sprintf(name, "%s_%d_layer_h%d_b%d", kinds[cell], layers, hidden, batch);
  else sprintf(name, "%s_h%d_one_sequence", kinds[cell], hidden);
  if (!wanted(name)) return;
  sprintf(request, "cell_%s:%s:%d:%d:%d", training ? "train" : "forward", kinds[cell], layers,
          hidden, batch);
  o.hidden = hidden, o.layers = layers;
  c.inference = !training;
  m = nn_create(&c);
  x = nn_input_sequence(m, 28, 28);
  x = cell == 0 ? nn_rnn_with(m, x, &o) : cell == 1 ? nn_lstm_with(m, x, &o)
                                                    : nn_gru_with(m, x, &o);
  x = nn_linear(m, nn_last_step(m, x), 10);
  if (training) nn_cross_entropy(m, x), nn_set_optimizer(m, &adam);
  net_row(name, training ? "training step with Adam on 28 rows of 28" : "forward of 28 rows of 28",
          m, batch, training ? run_training : run_forward, request, training ? 3 : 1, !training);
}

/* up: a transposed convolution at stride 2 */
static void conv_row(int in, int out, int kernel, int side, int batch, int backward, int up) {
  char name[64], request[64];
  nn_config c = config_of(batch);
  nn_model *m;
  int first = in <= 3; /* a first layer: nobody needs the gradient of its input */
  sprintf(name, "%sconv_%d_%d_k%d_%dx%d_b%d_%s", up ? "up" : "", in, out, kernel, side, side, batch,
          backward ? "bwd" : "fwd");
  if (!wanted(name)) return;
  sprintf(request, "%sconv_%s:%d:%d:%d:%d:%d", up ? "up" : "", backward ? "backward" : "forward",
          in, out, kernel, side, batch);
  c.inference = !backward;
  c.input_gradient = backward && !first;
  m = nn_create(&c);
  int x = nn_input_image(m, in, side, side);
  x = up ? nn_conv_transpose2d(m, x, out, kernel, 2, 1)
         : nn_conv2d(m, x, out, kernel, 1, kernel / 2);
  if (backward) nn_mean_squared_error(m, x);
  net_row(name, up         ? backward ? "transposed convolution backward" : "transposed convolution"
                : backward ? "convolution backward" : "convolution forward", m, batch,
          backward ? run_backward : run_forward, request, backward ? 2 : 1, !(backward && first));
}

static void nets(void) {
  lenet_row("lenet_28_gray_b100", 1, 28, 100, 1);
  lenet_row("lenet_32_rgb_b128", 3, 32, 128, 1);
  for (int cell = 0; cell < 3; cell++) cell_row(cell, 1, 128, 128);
  for (int cell = 0; cell < 3; cell++) cell_row(cell, 2, 128, 64);
  lenet_row("lenet_28_gray_one_image", 1, 28, 1, 0);
  for (int cell = 0; cell < 3; cell++) cell_row(cell, 1, 128, 1);
  for (int backward = 0; backward < 2; backward++) {
    conv_row(1, 32, 5, 28, 100, backward, 0);
    conv_row(32, 64, 5, 14, 100, backward, 0);
    conv_row(64, 64, 3, 32, 64, backward, 0);
    conv_row(64, 32, 4, 16, 64, backward, 1);
  }
}

/* ------------------------------------- the peers' cores -------------------------------------- */

typedef struct choice {
  char core[32];
  double gflops;
} choice;

/* The core that a BLAS chose and its GFLOP/s on one thread, to stdout. */
static void tell_core(library *l) {
  enum { size = 384 };
  char text[96], core[32];
  product p;
  double best = 0;
  if (!open_library(l, 1, text, core)) return;
  memset(&p, 0, sizeof p);
  p.blas = l, p.m = p.n = p.k = size;
  p.a = random_reals(size * size), p.b = random_reals(size * size);
  p.c = random_reals(size * size);
  for (const double start = now(); now() - start < .2;) {
    const double rate = 2e-9 * size * size * size / run_blas(&p, 1);
    if (rate > best) best = rate;
  }
  printf("%s %.4g\n", core, best);
}

/* What a library chooses with l->told, seen in a process of its own: it chooses once in a process,
 * and a core that the processor cannot run ends it. core is "" where it gives no answer. */
static choice try_core(library *l) {
  choice c = {"", 0};
  int from[2];
  pid_t child;
  FILE *in;
  if (pipe(from)) return c;
  fflush(stdout);
  child = fork();
  if (child == 0) {
    dup2(from[1], 1);
    close(from[0]), close(from[1]);
    if (!freopen("/dev/null", "w", stderr)) _exit(1);
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (*l->told) setenv(l->variable, l->told, 1);
    if (!l->file) execlp(python(), python(), torch_script, "core", (char *)NULL);
    else tell_core(l);
    fflush(stdout);
    _exit(0);
  }
  close(from[1]);
  in = fdopen(from[0], "r");
  if (child < 0 || !in || fscanf(in, "%31s %lf", c.core, &c.gflops) != 2) c.core[0] = 0;
  if (in) fclose(in);
  if (child > 0) waitpid(child, NULL, 0);
  return c;
}

/* Finds out what the library chooses, and sets l->told where it does better with another core. */
static void choose_core(library *l) {
  const choice own = try_core(l);
  choice other;
  const char *better = bench_better_core(l->cores, own.core, bench.isa), *set = getenv(l->variable);
  if (!own.core[0] || strcmp(own.core, "-") == 0) return;
  printf("%s: core %s, %.3g GFLOP/s", l->name, own.core, own.gflops);
  if (set) {
    printf(", as %s=%s in the environment asks\n", l->variable, set);
    return;
  }
  if (!better) {
    printf(", its own choice, is no worse than nn's %s\n", nn_isa_name(bench.isa));
    return;
  }
  printf(", its own choice, is below nn's %s", nn_isa_name(bench.isa));
  snprintf(l->told, sizeof l->told, "%s", bench_core_value(better));
  other = try_core(l);
  printf("; %s=%s: ", l->variable, l->told);
  if (strcmp(other.core, better) == 0 && other.gflops > own.gflops) {
    printf("core %s, %.3g GFLOP/s, which it is started with\n", other.core, other.gflops);
    return;
  }
  if (strcmp(other.core, better)) printf("does not work; the choice stays, and flatters nn\n");
  else printf("core %s, %.3g GFLOP/s; the choice stays\n", other.core, other.gflops);
  l->told[0] = 0;
}

/* ------------------------------------- subnormal numbers ------------------------------------- */

/* The same work on numbers below 1.2e-38, beside ordinary ones: on many processors each operation
 * on one takes a hundred times as long, unless they are flushed to zero. */
static void subnormal_row(const char *name, const char *what, double flops, runner run,
                          void *subnormal, void *ordinary) {
  contender c[2];
  memset(c, 0, sizeof c);
  c[0].name = "subnormal", c[0].run = run, c[0].what = subnormal;
  c[1].name = "ordinary", c[1].run = run, c[1].what = ordinary;
  measure(name, what, flops, c, 2);
}

/* Shows whether the row has what it is about: none where the engine flushes them. */
static void count_subnormals(const char *name, const char *of, const nn_real *x, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) found += fpclassify(x[i]) == FP_SUBNORMAL;
  printf("%s: %lu of %lu %s are subnormal\n", name, (unsigned long)found, (unsigned long)count, of);
}

static void subnormal_gemm(void) {
  static const char name[] = "subnormal_gemm_256";
  const size_t count = 256 * 256;
  product p[2];
  if (!wanted(name)) return;
  memset(p, 0, sizeof p);
  for (int ordinary = 0; ordinary < 2; ordinary++) {
    product *q = &p[ordinary];
    q->context = nn_context_create(bench.isa, bench.threads, NULL);
    q->m = q->n = q->k = 256;
    q->a = random_reals(count), q->b = random_reals(count), q->c = random_reals(count);
    for (size_t i = 0; !ordinary && i < count; i++)
      q->a[i] *= (nn_real)1e-20, q->b[i] *= (nn_real)1e-20;
    if (!q->context) exit(1);
  }
  run_ours(&p[0], 1);
  count_subnormals(name, "sums", p[0].c, count);
  subnormal_row(name, "product of numbers about 1e-20", 2. * 256 * 256 * 256, run_ours, &p[0],
                &p[1]);
  for (int i = 0; i < 2; i++) {
    nn_context_destroy(p[i].context);
    free(p[i].a), free(p[i].b), free(p[i].c);
  }
}

typedef struct adam_steps {
  nn_model *m;
  nn_real gradient; /* of every parameter, in each step */
} adam_steps;

/* Only nn_step is timed. */
static double run_adam(void *what, int count) {
  adam_steps *t = (adam_steps *)what;
  double spent = 0;
  for (int i = 0; i < count; i++) {
    size_t n;
    nn_real *g = nn_gradients(t->m, &n);
    double start;
    for (size_t j = 0; j < n; j++) g[j] = t->gradient;
    start = now();
    if (nn_step(t->m) != NN_OK) return -1;
    spent += now() - start;
  }
  return spent;
}

/* The optimizer's state is to be seen in a checkpoint alone, at the end of its section OPTM. */
static void count_in_state(const char *name, nn_model *m) {
  static const nn_progress none; /* all zero */
  const size_t size = nn_save_size(m, &none);
  unsigned char *bytes = (unsigned char *)memory(size);
  size_t parameters, at = 32;
  uint64_t length = 0;
  nn_real *state;
  nn_parameters(m, &parameters);
  if (nn_save_memory(m, &none, bytes, size) != NN_OK) exit(1);
  for (;; at += 16 + (size_t)length) {
    memcpy(&length, bytes + at + 4, sizeof length);
    if (memcmp(bytes + at, "OPTM", 4) == 0) break;
  }
  state = (nn_real *)memory(2 * parameters * sizeof *state);
  memcpy(state, bytes + at + 12 + length - 2 * parameters * sizeof *state,
         2 * parameters * sizeof *state);
  count_subnormals(name, "values of Adam's state", state, 2 * parameters);
  free(state), free(bytes);
}

/* Units that get no gradient any more: m falls by a tenth in each step, and ends at some 1e-44. */
static void subnormal_adam(void) {
  static const char name[] = "subnormal_adam_512x512";
  const nn_config config = config_of(1);
  const nn_optimizer adam = nn_adam(1e-6);
  adam_steps t[2];
  if (!wanted(name)) return;
  for (int ordinary = 0; ordinary < 2; ordinary++) {
    t[ordinary].m = nn_create(&config);
    nn_mean_squared_error(t[ordinary].m, nn_linear(t[ordinary].m,
                                                   nn_input_vector(t[ordinary].m, 512), 512));
    nn_set_optimizer(t[ordinary].m, &adam);
    t[ordinary].gradient = 1;
    if (nn_build(t[ordinary].m) != NN_OK || run_adam(&t[ordinary], 1) < 0) exit(1);
  }
  t[0].gradient = 0;
  run_adam(&t[0], 1200);
  count_in_state(name, t[0].m);
  subnormal_row(name, "Adam step long after the last gradient", 0, run_adam, &t[0], &t[1]);
  nn_destroy(t[0].m), nn_destroy(t[1].m);
}

/* Each step back in time makes the gradient smaller, by more where the recurrent weights are small:
 * to 1e-40 in 120 of the 150 steps, or to 1e-9 in all of them. */
static void subnormal_rnn(void) {
  static const char name[] = "subnormal_rnn_150_steps";
  enum { steps = 150, features = 28, batch = 32 };
  const double scale[2] = {.87, 1.6};
  nn_config config = config_of(batch);
  net t[2];
  if (!wanted(name)) return;
  memset(t, 0, sizeof t);
  config.input_gradient = 1;
  for (int ordinary = 0; ordinary < 2; ordinary++) {
    net *q = &t[ordinary];
    nn_param recurrent;
    int x;
    q->m = nn_create(&config);
    x = nn_last_step(q->m, nn_rnn(q->m, nn_input_sequence(q->m, steps, features), 128));
    nn_cross_entropy(q->m, nn_linear(q->m, x, 10));
    if (nn_build(q->m) != NN_OK ||
        nn_find_param(q->m, "rnn1.weight_hh_l0", &recurrent) != NN_OK) {
      fprintf(stderr, "bench: %s: %s\n", name, nn_error(q->m));
      exit(1);
    }
    for (size_t i = 0; i < recurrent.count; i++) recurrent.value[i] *= (nn_real)scale[ordinary];
    q->x = random_reals(batch * steps * features);
    q->labels = (int32_t *)memory(batch * sizeof *q->labels);
    q->b.n = batch, q->b.x[0] = q->x, q->b.labels = q->labels;
  }
  if (run_backward(&t[0], 1) < 0) exit(1);
  count_subnormals(name, "gradients of the input", nn_input_gradient(t[0].m, 0),
                   batch * steps * features);
  subnormal_row(name, "RNN of 128 units, the way back", 0, run_backward, &t[0], &t[1]);
  for (int i = 0; i < 2; i++) {
    nn_destroy(t[i].m);
    free(t[i].x), free(t[i].labels);
  }
}

/* -------------------------------------------- main ------------------------------------------- */

static void pin(int cores) {
#ifdef __linux__
  cpu_set_t all, set;
  int taken = 0;
  CPU_ZERO(&all);
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof all, &all)) return;
  for (size_t i = 0; i < CPU_SETSIZE && taken < cores; i++)
    if (CPU_ISSET(i, &all)) {
      CPU_SET(i, &set);
      bench.core[taken++] = (int)i;
    }
  if (taken < cores) printf("only %d cores are there\n", taken);
  if (sched_setaffinity(0, sizeof set, &set)) perror("bench: cannot pin");
#else
  printf("not pinned: no sched_setaffinity here\n");
#endif
}

static int run_all(int threads, library *libraries, const library *torch_blas) {
  double core;
  struct rusage usage;
  bench.threads = threads;
  signal(SIGPIPE, SIG_IGN); /* a peer that has died is noticed where its answer is missing */
  pin(threads);
  printf("\n%d thread%s, kernels %s\n", threads, threads > 1 ? "s" : "", nn_isa_name(bench.isa));
  core = fma_peak();
  bench.peak = core * threads;
  bandwidth();
  start_torch(torch_blas);
  start_onnx();
  gemms(libraries);
  nets();
  stop_peer(&torch), stop_peer(&onnx);
  subnormal_gemm();
  subnormal_adam();
  subnormal_rnn();
  getrusage(RUSAGE_SELF, &usage);
  printf("other work took a core from this program %ld times; near 0 in a clean run\n",
         usage.ru_nivcsw);
  return 0;
}

/* A process for each count: the peers' pools of threads take their size and cores from it. */
static int run_counts(const bench_options *o) {
  library libraries[MAX_PEERS] = {
      {"OpenBLAS", "libopenblas.so.0", "OPENBLAS_CORETYPE", bench_openblas_cores, "", NULL, NULL},
      {"BLIS", "libblis.so.4", "BLIS_ARCH_TYPE", bench_blis_cores, "", NULL, NULL}};
  library torch_blas = {"PyTorch's OpenBLAS", NULL, "OPENBLAS_CORETYPE", bench_openblas_cores,
                        "",                   NULL, NULL};
  for (int i = 0; i < MAX_PEERS; i++) choose_core(&libraries[i]);
  choose_core(&torch_blas);
  for (int i = 0; i < o->thread_counts; i++) {
    int status = 0;
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child == 0) exit(run_all(o->threads[i], libraries, &torch_blas));
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) return 1;
  }
  return 0;
}

/* 1 if a part of --only is in no row's name. */
static int parts_without_rows(const char *list) {
  const char *part;
  size_t length;
  int missing = 0;
  for (int i = 0; list && (length = bench_part(list, i, &part)) > 0; i++)
    if (!bench.used[i]) {
      fprintf(stderr, "bench: no row has %.*s in its name\n", (int)length, part);
      missing = 1;
    }
  return missing;
}

static int help(FILE *to, int result) {
  fprintf(to, "usage: bench [--quick] [--only PARTS] [--threads LIST] [--isa NAME] [--csv FILE]\n");
  return result;
}

int main(int argc, char **argv) {
  bench_options o;
  const char *word, *wrong = bench_read(argc, argv, &o, &word), *csv = bench_csv(&o);
  int failed;
  if (wrong) {
    fprintf(stderr, "bench: %s: %s\n", word, wrong);
    return help(stderr, 2);
  }
  if (o.help) return help(stdout, 0);
  bench.quick = o.quick, bench.only = o.only;
  bench.rounds = o.quick ? 3 : 7, bench.round_seconds = o.quick ? .03 : .15;
  bench.isa = o.isa == NN_ISA_AUTO ? nn_isa_best() : o.isa;
  if (o.thread_counts == 0) {
    o.threads[0] = 1, o.threads[1] = 2;
    o.thread_counts = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
  }
  bench.used = (unsigned char *)mmap(NULL, BENCH_MAX_PARTS, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  bench.csv = fopen(csv, "w");
  if (!bench.csv || bench.used == MAP_FAILED) {
    fprintf(stderr, "bench: %s: %s\n", csv, strerror(errno));
    return 1;
  }
  printf("The rows go to %s.\n", csv);
  fprintf(bench.csv, "case,what,threads,ours_ms,peer,peer_ms,ratio,gflops,peak_share\n");
  fflush(bench.csv);
  failed = run_counts(&o) || parts_without_rows(o.only);
  fclose(bench.csv);
  return failed;
}
