/* The harness of the C tests: a suite is one program that calls RUN for each of its functions.
 *
 *   #include "test.h"
 *   static void adds(void) { CHECK(1 + 1 == 2); CHECK_NEAR(0.1 + 0.2, 0.3, 1e-15); }
 *   int main(void) { RUN(adds); return test_end("arithmetic"); }
 *
 * A failed check prints file, line, expression and values, and the function goes on; each function
 * counts once. Environment: NN_ISA (kernels to run), NN_THREADS (threads of the models),
 * NN_VERBOSE (also name the functions that pass), NN_TEST_ONLY (run functions whose name has this
 * in it), NN_TEST_WITHOUT (skip the functions of these names, with a space between). */
#ifndef NN_TEST_H
#define NN_TEST_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn.h"

#if defined(__GNUC__) || defined(__clang__)
#define TEST_UNUSED __attribute__((unused))
#else
#define TEST_UNUSED
#endif

#define COUNT(a) (sizeof(a) / sizeof *(a)) /* of an array */

#define TEST_MAX_LINES 20 /* failure lines printed for one function; the others are counted */

static struct {
  int passed, failed, skipped; /* functions */
  int bad;                     /* failed checks of the running function */
  const char *skip;            /* why the running function was skipped, or NULL */
} test_state;

/* In the build that replaces malloc (tests/hooks.h), what replaces it: it counts live blocks. */
#ifdef NN_MALLOC
static long test_hook_live;
void *test_hook_malloc(size_t size) {
  void *p = malloc(size);
  if (p) __sync_fetch_and_add(&test_hook_live, 1);
  return p;
}
void test_hook_free(void *p) {
  if (p) __sync_fetch_and_sub(&test_hook_live, 1);
  free(p);
}
#endif

/* A constant as the engine keeps it: the x87 compares with more digits (FLT_EVAL_METHOD 2). */
static TEST_UNUSED double test_double(double x) {
  volatile double stored = x;
  return stored;
}

/* Counts a failure; 1 while its line should still be printed. */
static TEST_UNUSED int test_fail(const char *file, int line) {
  test_state.bad++;
  if (test_state.bad == TEST_MAX_LINES + 1) fprintf(stderr, "  ... and more\n");
  if (test_state.bad > TEST_MAX_LINES) return 0;
  fprintf(stderr, "  %s:%d: ", file, line);
  return 1;
}

/* Each check returns whether it held, so that a loop may stop or say where it was. */
static TEST_UNUSED int test_true(int held, const char *text, const char *file, int line) {
  if (!held && test_fail(file, line)) fprintf(stderr, "%s\n", text);
  return held;
}

static TEST_UNUSED int test_near(double a, double b, double tol, const char *ta, const char *tb,
                                 const char *file, int line) {
  double size = fabs(b) > 1 ? fabs(b) : 1;
  /* A NaN fails both; an infinity is near to itself alone. */
  int held = a == b || (fabs(b) <= 1e308 && fabs(a - b) <= tol * size);
  if (!held && test_fail(file, line))
    fprintf(stderr, "%s = %.9g, %s = %.9g, off by %.3g, allowed %.3g\n", ta, a, tb, b,
            fabs(a - b), tol * size);
  return held;
}

static TEST_UNUSED int test_int(long long a, long long b, const char *ta, const char *tb,
                                const char *file, int line) {
  if (a != b && test_fail(file, line)) fprintf(stderr, "%s = %lld, %s = %lld\n", ta, a, tb, b);
  return a == b;
}

static TEST_UNUSED int test_text(const char *a, const char *b, const char *ta, const char *tb,
                                 const char *file, int line) {
  int held = a && b && strcmp(a, b) == 0;
  if (!held && test_fail(file, line))
    fprintf(stderr, "%s = \"%s\", %s = \"%s\"\n", ta, a ? a : "(null)", tb, b ? b : "(null)");
  return held;
}

static TEST_UNUSED int test_has(const char *text, const char *part, const char *tt,
                                const char *file, int line) {
  int held = text && strstr(text, part) != NULL;
  if (!held && test_fail(file, line))
    fprintf(stderr, "%s = \"%s\" lacks \"%s\"\n", tt, text ? text : "(null)", part);
  return held;
}

static TEST_UNUSED int test_status(int got, int want, const char *text, const char *file,
                                   int line) {
  if (got != want && test_fail(file, line))
    fprintf(stderr, "%s: %d (%s), wanted %d (%s)\n", text, got, nn_status_text(got), want,
            nn_status_text(want));
  return got == want;
}

/* Compares n values; prints the worst and how many are off. */
static TEST_UNUSED int test_near_all(const nn_real *a, const nn_real *b, size_t n, double tol,
                                     const char *ta, const char *tb, const char *file, int line) {
  size_t i, bad = 0, worst = 0;
  double most = -1;
  if (!a || !b) {
    if (n && test_fail(file, line)) fprintf(stderr, "%s is NULL\n", a ? tb : ta);
    return n == 0;
  }
  for (i = 0; i < n; i++) {
    double x = (double)a[i], y = (double)b[i], size = fabs(y) > 1 ? fabs(y) : 1;
    double off = x == y ? 0 : fabs(x - y) / size;
    if (off <= tol) continue;
    bad++;
    if (!(off <= most)) most = off, worst = i;
  }
  if (bad && test_fail(file, line))
    fprintf(stderr, "%lu of %lu are off, worst %s[%lu] = %.9g, %s = %.9g, allowed %.3g\n",
            (unsigned long)bad, (unsigned long)n, ta, (unsigned long)worst, (double)a[worst], tb,
            (double)b[worst], tol);
  return bad == 0;
}

/* The same bits, NaN included. */
static TEST_UNUSED int test_same(const void *a, const void *b, size_t size, const char *ta,
                                 const char *tb, const char *file, int line) {
  size_t i = 0;
  const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
  if (size == 0) return 1;
  if (!p || !q) {
    if (test_fail(file, line)) fprintf(stderr, "%s is NULL\n", p ? tb : ta);
    return 0;
  }
  while (i < size && p[i] == q[i]) i++;
  if (i < size && test_fail(file, line))
    fprintf(stderr, "%s and %s differ from byte %lu of %lu on\n", ta, tb, (unsigned long)i,
            (unsigned long)size);
  return i == size;
}

#define CHECK(cond) test_true((cond) != 0, #cond, __FILE__, __LINE__)
/* |a - b| <= tol max(1, |b|); a NaN fails. */
#define CHECK_NEAR(a, b, tol) \
  test_near((double)(a), (double)(b), (tol), #a, #b, __FILE__, __LINE__)
#define CHECK_INT(a, b) test_int((long long)(a), (long long)(b), #a, #b, __FILE__, __LINE__)
#define CHECK_TEXT(a, b) test_text((a), (b), #a, #b, __FILE__, __LINE__)   /* equal strings */
#ifndef NN_NO_MESSAGES
#define CHECK_HAS(text, part) test_has((text), (part), #text, __FILE__, __LINE__) /* a substring */
#else /* there are no sentences, but there is a text */
#define CHECK_HAS(text, part) test_has((text), ((void)(part), ""), #text, __FILE__, __LINE__)
#endif
#define CHECK_OK(status) test_status((status), NN_OK, #status, __FILE__, __LINE__)
#define CHECK_STATUS(got, want) test_status((got), (want), #got, __FILE__, __LINE__)
#define CHECK_NEAR_ALL(a, b, n, tol) \
  test_near_all((a), (b), (size_t)(n), (tol), #a, #b, __FILE__, __LINE__)
#define CHECK_SAME(a, b, bytes) test_same((a), (b), (bytes), #a, #b, __FILE__, __LINE__)

/* Marks the running function as skipped (it should then return). A failure beats a skip. */
#define SKIP(reason) ((void)(test_state.skip = (reason)))

static TEST_UNUSED int test_left_out(const char *name) {
  const char *list = getenv("NN_TEST_WITHOUT");
  while (list && *list) {
    const size_t length = strcspn(list, " ");
    if (length == strlen(name) && strncmp(list, name, length) == 0) return 1;
    list += length + (list[length] == ' ');
  }
  return 0;
}

#define RUN(function) test_run(function, #function)
static TEST_UNUSED void test_run(void (*function)(void), const char *name) {
  const char *only = getenv("NN_TEST_ONLY");
  if (only && !strstr(name, only)) return;
  if (test_left_out(name)) {
    test_state.skipped++;
    printf("skipped %s: NN_TEST_WITHOUT names it\n", name);
    return;
  }
  test_state.bad = 0;
  test_state.skip = NULL;
  function();
  fflush(stdout);
  if (test_state.bad) {
    test_state.failed++;
    fprintf(stderr, "FAIL %s (%d checks)\n", name, test_state.bad);
  } else if (test_state.skip) {
    test_state.skipped++;
    printf("skipped %s: %s\n", name, test_state.skip);
  } else {
    test_state.passed++;
    if (getenv("NN_VERBOSE")) printf("ok %s\n", name);
  }
  fflush(stdout);
}

/* The last line of every suite, and main's result. */
static TEST_UNUSED int test_end(const char *suite) {
#ifdef NN_MALLOC
  if (test_hook_live != 0) {
    fprintf(stderr, "FAIL %ld blocks from NN_MALLOC were never given to NN_FREE\n", test_hook_live);
    test_state.failed++;
  }
#endif
  printf("%s: %d passed, %d failed", suite, test_state.passed, test_state.failed);
  if (test_state.skipped) printf(", %d skipped", test_state.skipped);
  printf("\n");
  return test_state.failed ? 1 : 0;
}

/* The kernels that NN_ISA asks for. A wrong name must not quietly test something else. */
static TEST_UNUSED nn_isa test_isa(void) {
  const char *name = getenv("NN_ISA");
  nn_isa isa = NN_ISA_AUTO;
  if (!name || !*name) return NN_ISA_AUTO;
  if (nn_isa_find(name, &isa) != NN_OK) {
    fprintf(stderr, "NN_ISA=%s: there is no such ISA\n", name);
    exit(2);
  }
  if (isa != NN_ISA_AUTO && !nn_isa_available(isa)) {
    fprintf(stderr, "NN_ISA=%s: not available in this build on this processor\n", name);
    exit(2);
  }
  return isa;
}

static TEST_UNUSED int test_threads(void) {
  const char *text = getenv("NN_THREADS");
  char *end = NULL;
  long n;
  if (!text || !*text) return 1;
  n = strtol(text, &end, 10);
  if (*end || n < 1 || n > NN_MAX_THREADS) {
    fprintf(stderr, "NN_THREADS=%s: a number from 1 to %d is needed\n", text, NN_MAX_THREADS);
    exit(2);
  }
  return (int)n;
}

/* Memory full of NaNs, so that a read before a write spoils a result. Tools that look for such
 * reads themselves want TEST_UNFILLED. */
static TEST_UNUSED void *test_allocate(void *user, size_t size) {
  void *memory = malloc(size);
  (void)user;
#ifndef TEST_UNFILLED
  if (memory) memset(memory, 0xFF, size);
#endif
  return memory;
}
static TEST_UNUSED void test_release(void *user, void *memory, size_t size) {
  (void)user;
  (void)size;
  free(memory);
}
static TEST_UNUSED const nn_allocator *test_filling(void) {
  static const nn_allocator filling = {test_allocate, test_release, NULL};
  return &filling;
}

/* What to pass where an allocator may be NULL: NULL, but for a build without malloc. */
static TEST_UNUSED const nn_allocator *test_allocator(void) {
#ifdef NN_NO_MALLOC
  return test_filling();
#else
  return NULL;
#endif
}

/* The default config on the asked-for kernels and threads, in memory full of NaNs. */
static TEST_UNUSED nn_config test_config(void) {
  nn_config c = nn_config_default();
  c.allocator = *test_filling();
  c.isa = test_isa();
  c.threads = test_threads();
  return c;
}

/* Whether a failure was told in a sentence; and whether `part` is in it. A build without messages
 * has a status's text alone. */
static TEST_UNUSED int test_told(const char *text) {
#ifdef NN_NO_MESSAGES
  return strlen(text) > 1;
#else
  return strlen(text) > 10;
#endif
}
static TEST_UNUSED int test_names(const char *text, const char *part) {
#ifdef NN_NO_MESSAGES
  return test_told(text) && part != NULL;
#else
  return strstr(text, part) != NULL;
#endif
}

/* Repeatable inputs: n numbers in [-1, 1) that depend on seed alone, and not on the engine. */
static TEST_UNUSED void test_fill(nn_real *x, size_t n, uint32_t seed) {
  uint32_t s = seed * 2654435761u + 12345u;
  size_t i;
  for (i = 0; i < n; i++) {
    s ^= s << 13, s ^= s >> 17, s ^= s << 5;
    x[i] = (nn_real)((double)(s >> 8) / 8388608.0 - 1.0);
  }
}

/* Memory that must be there. */
static TEST_UNUSED void *test_memory(size_t size) {
  void *p = calloc(1, size ? size : 1);
  if (!p) {
    fprintf(stderr, "the test itself is out of memory\n");
    exit(2);
  }
  return p;
}

static TEST_UNUSED nn_real *test_reals(size_t n) {
  return (nn_real *)test_memory(n * sizeof(nn_real));
}

/* A model, or a checkpoint where p is given, as a file's bytes; the caller frees them. */
typedef struct Bytes {
  unsigned char *at;
  size_t size;
} Bytes;
static TEST_UNUSED Bytes test_saved(nn_model *m, const nn_progress *p) {
  Bytes b;
#ifdef NN_NO_TRAINING
  p = NULL; /* there are only models to save */
#endif
  b.size = nn_save_size(m, p);
  CHECK(b.size > 0);
  b.at = (unsigned char *)test_memory(b.size);
  CHECK_OK(nn_save_memory(m, p, b.at, b.size));
  return b;
}

static TEST_UNUSED nn_model *test_loaded(Bytes b, const nn_config *c) {
  nn_load_result r;
  nn_message why;
  if (!CHECK_OK(nn_load_memory(b.at, b.size, c, &r, &why))) fprintf(stderr, "    %s\n", why.text);
  return r.model;
}

#endif
