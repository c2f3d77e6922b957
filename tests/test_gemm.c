/* nn_gemm against the definition of the matrix product, summed in double precision. */
#include <time.h>

#include "test.h"

static nn_context *context; /* the kernels NN_ISA names, NN_THREADS threads */

/* Bound on |got - exact|: each of the k products and additions may round once. */
static double bound(double sum_of_sizes, size_t k) {
  double eps = sizeof(nn_real) == 4 ? 1.2e-7 : 2.3e-16;
  return eps * ((double)k + 4) * sum_of_sizes + 1e-30;
}

typedef struct Problem {
  size_t m, n, k, pad_a, pad_b, pad_c; /* padding of each leading dimension */
  int ta, tb, offset;                  /* offset: elements by which the pointers are misaligned */
  double alpha, beta;
} Problem;

#define GUARD 37 /* elements round C that must stay as they were */

/* Runs one product and compares every element of C, and of what lies round and between its rows. */
static int run(const Problem *p) {
  size_t rows_a = p->ta ? p->k : p->m, cols_a = p->ta ? p->m : p->k;
  size_t rows_b = p->tb ? p->n : p->k, cols_b = p->tb ? p->k : p->n;
  size_t lda = cols_a + p->pad_a, ldb = cols_b + p->pad_b, ldc = p->n + p->pad_c;
  size_t off = (size_t)p->offset, size_c = p->m * ldc + 2 * GUARD + off, i, j, l, bad = 0;
  nn_real *a, *b, *c, *before, *ma = test_reals(rows_a * lda + off), *mb;
  if (lda == 0) lda = 1;
  if (ldb == 0) ldb = 1;
  if (ldc == 0) ldc = 1;
  mb = test_reals(rows_b * ldb + off);
  c = test_reals(size_c);
  before = test_reals(size_c);
  a = ma + off, b = mb + off;
  test_fill(a, rows_a * (cols_a + p->pad_a), (uint32_t)(p->m * 131 + p->k));
  test_fill(b, rows_b * (cols_b + p->pad_b), (uint32_t)(p->n * 137 + p->k + 7));
  test_fill(c, size_c, (uint32_t)(p->m + 11 * p->n));
  if (p->beta == 0)
    for (i = 0; i < p->m; i++)
      for (j = 0; j < p->n; j++) c[GUARD + off + i * ldc + j] = (nn_real)NAN;
  memcpy(before, c, size_c * sizeof *c);
  if (!CHECK_OK(nn_gemm(context, p->ta, p->tb, p->m, p->n, p->k, (nn_real)p->alpha, a, lda, b, ldb,
                        (nn_real)p->beta, c + GUARD + off, ldc)))
    bad = 1;
  for (i = 0; i < p->m && !bad; i++)
    for (j = 0; j < p->n && !bad; j++) {
      size_t at = GUARD + off + i * ldc + j;
      double sum = 0, sizes = 0, want;
      for (l = 0; l < p->k; l++) {
        double x = (double)(p->ta ? a[l * lda + i] : a[i * lda + l]);
        double y = (double)(p->tb ? b[j * ldb + l] : b[l * ldb + j]);
        sum += x * y, sizes += fabs(x * y);
      }
      want = p->alpha * sum + (p->beta == 0 ? 0 : p->beta * (double)before[at]);
      sizes = fabs(p->alpha) * sizes + fabs(p->beta) + fabs(want);
      if (!(fabs((double)c[at] - want) <= bound(sizes, p->k))) bad = 2;
      if (bad && test_fail(__FILE__, __LINE__))
        fprintf(stderr, "C[%lu,%lu] = %.9g, wanted %.9g\n", (unsigned long)i, (unsigned long)j,
                (double)c[at], want);
    }
  for (i = 0; i < size_c && !bad; i++) {
    size_t at = i - GUARD - off;
    if (i >= GUARD + off && at < p->m * ldc && at % ldc < p->n) continue;
    if (memcmp(c + i, before + i, sizeof *c) != 0) bad = 3;
    if (bad && test_fail(__FILE__, __LINE__))
      fprintf(stderr, "element %ld outside of C was written\n", (long)i - GUARD);
  }
  if (bad)
    fprintf(stderr,
            "    m %lu n %lu k %lu transposed %d%d pads %lu %lu %lu offset %d alpha %g "
            "beta %g\n",
            (unsigned long)p->m, (unsigned long)p->n, (unsigned long)p->k, p->ta, p->tb,
            (unsigned long)p->pad_a, (unsigned long)p->pad_b, (unsigned long)p->pad_c, p->offset,
            p->alpha, p->beta);
  free(ma);
  free(mb);
  free(c);
  free(before);
  return !bad;
}

static Problem problem(size_t m, size_t n, size_t k) {
  Problem p = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
  p.m = m, p.n = n, p.k = k;
  return p;
}

static void squares(void) {
  size_t n;
  int t;
  for (n = 0; n <= 33; n++)
    for (t = 0; t < 4; t++) {
      Problem p = problem(n, n, n);
      p.ta = t & 1, p.tb = t >> 1;
      if (!run(&p)) return;
    }
}

/* Every m and n past two tiles of the widest kernel, k small: all edges of a tile. */
static void edges(void) {
  size_t m, n;
  for (m = 1; m <= 34; m++)
    for (n = 1; n <= 70; n++) {
      Problem p = problem(m, n, 1 + (m + n) % 5);
      p.pad_c = 3, p.beta = n % 3 == 0 ? 0.5 : 0;
      if (!run(&p)) return;
    }
}

static void primes(void) {
  static const size_t prime[] = {2,  3,  5,  7,   11,  13,  17,  19,  23,  29, 31,
                                 37, 41, 43, 47,  53,  59,  61,  67,  71,  73, 79,
                                 83, 89, 97, 101, 103, 107, 109, 113, 127, 131};
  size_t i, count = sizeof prime / sizeof *prime;
  for (i = 0; i < count; i++) {
    Problem p = problem(prime[i], prime[(i * 7 + 3) % count], prime[(i * 5 + 11) % count]);
    p.ta = (int)i & 1, p.tb = (int)(i >> 1) & 1;
    p.pad_a = i % 4, p.pad_b = i % 3, p.pad_c = i % 5, p.offset = (int)i & 1;
    p.alpha = 1.5, p.beta = i % 4 == 0 ? 0 : -0.5;
    if (!run(&p)) return;
    p = problem(prime[i], prime[i], prime[i]);
    if (!run(&p)) return;
  }
}

/* Past the blocks of the outer loops: more than one block of k, of m, of n, and each just beside.
 */
static void blocks(void) {
  static const size_t size[][3] = {{1, 1, 5000},   {3, 5, 1025},   {5000, 3, 3},   {3, 9000, 2},
                                   {257, 61, 513}, {61, 257, 385}, {1, 1000, 300}, {1000, 1, 300},
                                   {150, 4100, 7}, {400, 20, 260}, {16, 16, 640},  {121, 97, 1281},
                                   {200, 100, 641}};
  size_t i;
  int t;
  for (i = 0; i < sizeof size / sizeof *size; i++)
    for (t = 0; t < 4; t++) {
      Problem p = problem(size[i][0], size[i][1], size[i][2]);
      p.ta = t & 1, p.tb = t >> 1, p.pad_a = 1, p.pad_c = 2;
      if (t == 3) p.alpha = -2, p.beta = 1;
      if (!run(&p)) return;
    }
}

/* Rows 4096 bytes or a multiple apart meet in the same sets of the cache: A is packed. */
static void aliased_rows(void) {
  for (int t = 0; t < 4; t++)
    for (int pad = 0; pad < 2; pad++) {
      Problem p = problem(pad ? 170 : 1024, 90, pad ? 1024 : 170);
      p.ta = t & 1, p.tb = t >> 1, p.pad_a = t & 1 ? 1024 - p.m % 1024 : 1024 - p.k % 1024;
      p.pad_a %= 1024;
      if (!run(&p)) return;
    }
}

static void random_rectangles(void) {
  uint64_t s = 1;
  int i;
  for (i = 0; i < 400; i++) {
    Problem p = problem(0, 0, 0);
    unsigned r[9], j;
    for (j = 0; j < 9; j++)
      s = s * 6364136223846793005u + 1442695040888963407u, r[j] = (unsigned)(s >> 40);
    p.m = r[0] % 75, p.n = r[1] % 75, p.k = r[2] % 100;
    p.ta = (int)(r[3] & 1), p.tb = (int)(r[3] >> 1 & 1), p.offset = (int)(r[3] >> 2) & 3;
    p.pad_a = r[4] % 4, p.pad_b = r[5] % 4, p.pad_c = r[6] % 4;
    p.alpha = (double)(r[7] % 5) - 2, p.beta = (double)(r[8] % 5) / 2 - 1;
    if (!run(&p)) return;
  }
}

/* k = 0 and alpha = 0 leave beta C; beta = 0 overwrites even then; beta = 1 is exact. */
static void empty_sums(void) {
  nn_real a[4] = {1, 2, 3, 4}, c[4];
  int i;
  for (i = 0; i < 4; i++) c[i] = (nn_real)(i + 1);
  CHECK_OK(nn_gemm(context, 0, 0, 2, 2, 0, 1, a, 2, a, 2, 2, c, 2));
  for (i = 0; i < 4; i++) CHECK_NEAR(c[i], 2 * (i + 1), 0);
  for (i = 0; i < 4; i++) c[i] = (nn_real)NAN;
  CHECK_OK(nn_gemm(context, 0, 0, 2, 2, 0, 1, a, 2, a, 2, 0, c, 2));
  for (i = 0; i < 4; i++) CHECK_NEAR(c[i], 0, 0);
  for (i = 0; i < 4; i++) c[i] = (nn_real)NAN;
  a[1] = (nn_real)NAN, a[2] = (nn_real)INFINITY; /* alpha 0: not read, as in BLAS */
  CHECK_OK(nn_gemm(context, 0, 0, 2, 2, 2, 0, a, 2, a, 2, 0, c, 2));
  for (i = 0; i < 4; i++) CHECK_NEAR(c[i], 0, 0);
  CHECK_OK(nn_gemm(context, 1, 1, 2, 2, 2, 0, NULL, 0, NULL, 0, 1, c, 2));
  for (i = 0; i < 4; i++) CHECK_NEAR(c[i], 0, 0);
  for (i = 0; i < 8; i++) /* NULL where nothing is read */
    CHECK_OK(nn_gemm(context, i & 1, i >> 1 & 1, 2, 2, 0, 1, NULL, 0, NULL, 0,
                     (nn_real)(i >> 2), c, 2));
  for (i = 0; i < 4; i++) c[i] = (nn_real)0.1;
  CHECK_OK(nn_gemm(context, 0, 0, 2, 2, 0, 1, a, 2, a, 2, 1, c, 2));
  for (i = 0; i < 4; i++) CHECK(c[i] == (nn_real)0.1);
}

/* A NaN or an infinity in A or B reaches exactly the elements of C whose sums contain it. */
static void not_finite(void) {
  enum { M = 19, N = 37, K = 21 };
  const double odd[] = {NAN, INFINITY, -INFINITY}; /* not static: NAN is no constant to tcc */
  nn_real *a = test_reals(M * K), *b = test_reals(K * N), *c = test_reals(M * N);
  int which, i, j;
  for (which = 0; which < 6; which++) {
    int row = (which * 7 + 3) % M, column = (which * 11 + 5) % N, in_a = which < 3;
    for (i = 0; i < M * K; i++) a[i] = 1;
    for (i = 0; i < K * N; i++) b[i] = 1;
    if (in_a) a[row * K + 4] = (nn_real)odd[which];
    else b[9 * N + column] = (nn_real)odd[which - 3];
    for (i = 0; i < M * N; i++) c[i] = (nn_real)NAN;
    CHECK_OK(nn_gemm(context, 0, 0, M, N, K, 1, a, K, b, N, 0, c, N));
    for (i = 0; i < M; i++)
      for (j = 0; j < N; j++) {
        double got = (double)c[i * N + j],
               want = (in_a ? i == row : j == column) ? odd[which % 3] : K;
        if (got == want || (got != got && want != want)) continue;
        CHECK_NEAR(got, want, 0);
      }
  }
  free(a);
  free(b);
  free(c);
}

/* Equal rows of A and columns of B give the same bits in every place of C: no edge has a formula of
 * its own. */
static void position(void) {
  enum { N = 83, K = 150 };
  nn_real *row = test_reals(K), *column = test_reals(K), *a = test_reals(N * K);
  nn_real *b = test_reals(K * N), *c = test_reals(N * N);
  int size, i, j, l;
  test_fill(row, K, 1);
  test_fill(column, K, 2);
  for (size = 1; size <= N; size += size < 40 ? 1 : 7) {
    for (i = 0; i < size; i++) memcpy(a + i * K, row, K * sizeof *a);
    for (l = 0; l < K; l++)
      for (j = 0; j < size; j++) b[l * size + j] = column[l];
    CHECK_OK(nn_gemm(context, 0, 0, (size_t)size, (size_t)size, K, 1, a, K, b, (size_t)size, 0, c,
                     (size_t)size));
    for (i = 0; i < size * size; i++)
      if (!CHECK(memcmp(&c[i], c, sizeof *c) == 0)) {
        fprintf(stderr, "    size %d, row %d, column %d: %.9g, in the corner %.9g\n", size,
                i / size, i % size, (double)c[i], (double)c[0]);
        goto end;
      }
  }
end:
  free(row);
  free(column);
  free(a);
  free(b);
  free(c);
}

static void same_bits_for_any_threads(void) {
#ifdef NN_NO_THREADS
  SKIP("built without threads");
#else
  static const size_t size[][3] = {{1, 1, 1},     {5, 7, 9},      {64, 500, 300}, {500, 64, 300},
                                   {3, 900, 700}, {700, 10, 900}, {300, 300, 300}};
  size_t i;
  for (i = 0; i < sizeof size / sizeof *size; i++) {
    size_t m = size[i][0], n = size[i][1], k = size[i][2];
    nn_real *a = test_reals(m * k), *b = test_reals(k * n), *c = test_reals(m * n),
            *one = test_reals(m * n);
    int threads, t;
    test_fill(a, m * k, 1);
    test_fill(b, k * n, 2);
    for (t = 0; t < 4; t++)
      for (threads = 1; threads <= 5; threads++) {
        nn_context *own = nn_context_create(test_isa(), threads, test_allocator());
        if (!CHECK(own != NULL)) break;
        memset(c, 0, m * n * sizeof *c);
        CHECK_OK(
            nn_gemm(own, t & 1, t >> 1, m, n, k, 1, a, t & 1 ? m : k, b, t >> 1 ? k : n, 0, c, n));
        if (threads == 1) memcpy(one, c, m * n * sizeof *c);
        else CHECK_SAME(c, one, m * n * sizeof *c);
        nn_context_destroy(own);
      }
    free(a);
    free(b);
    free(c);
    free(one);
  }
#endif
}

/* Jobs that follow at once, and after pauses long enough for the threads to fall asleep. */
static void many_jobs(void) {
#ifdef NN_NO_THREADS
  SKIP("built without threads");
#else
  enum { SIDE = 90 }; /* large enough to be shared out */
  nn_real *a = test_reals(SIDE * SIDE), *c = test_reals(SIDE * SIDE);
  nn_real *one = test_reals(SIDE * SIDE);
  test_fill(a, SIDE * SIDE, 7);
  for (int threads = 1; threads <= 5; threads++) {
    nn_context *own = nn_context_create(test_isa(), threads, test_allocator());
    int jobs = threads == 1 ? 1 : 200;
    if (!CHECK(own != NULL)) break;
    for (int i = 0; i < jobs; i++) {
      clock_t begin = clock();
      memset(c, 0, SIDE * SIDE * sizeof *c);
      CHECK_OK(nn_gemm(own, 0, 1, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, c, SIDE));
      if (threads == 1) memcpy(one, c, SIDE * SIDE * sizeof *c);
      if (!CHECK_SAME(c, one, SIDE * SIDE * sizeof *c)) break;
      while (i % 20 == 0 && clock() - begin < CLOCKS_PER_SEC / 5000) continue;
    }
    nn_context_destroy(own);
  }
  for (int i = 0; i < 100; i++) nn_context_destroy(nn_context_create(test_isa(), 4, NULL));
  free(a);
  free(c);
  free(one);
#endif
}

static void wrong_arguments(void) {
  nn_real a[16] = {0}, c[16];
  int i;
  for (i = 0; i < 16; i++) c[i] = 5;
  CHECK_STATUS(nn_gemm(NULL, 0, 0, 2, 2, 2, 1, a, 2, a, 2, 0, c, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 0, 2, 2, 2, 1, NULL, 2, a, 2, 0, c, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 0, 2, 2, 2, 1, a, 2, NULL, 2, 0, c, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 0, 2, 2, 2, 1, a, 2, a, 2, 0, NULL, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 0, 2, 2, 3, 1, a, 2, a, 2, 0, c, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 1, 0, 3, 2, 2, 1, a, 2, a, 2, 0, c, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 0, 2, 3, 2, 1, a, 2, a, 2, 0, c, 3), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 1, 2, 2, 3, 1, a, 3, a, 2, 0, c, 2), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gemm(context, 0, 0, 2, 3, 2, 1, a, 2, a, 3, 0, c, 2), NN_ERR_ARGUMENT);
  for (i = 0; i < 16; i++) CHECK(c[i] == 5);
}

static void contexts(void) {
  nn_context *own;
  nn_context_destroy(NULL);
  CHECK(nn_context_create(test_isa(), -1, test_allocator()) == NULL);
  CHECK(nn_context_create(test_isa(), NN_MAX_THREADS + 1, test_allocator()) == NULL);
  CHECK(nn_context_create(NN_ISA_COUNT, 1, test_allocator()) == NULL);
  CHECK(nn_context_create((nn_isa)-1, 1, test_allocator()) == NULL);
#ifdef NN_NO_THREADS
  CHECK(nn_context_create(test_isa(), 2, test_allocator()) == NULL);
#endif
#ifdef NN_NO_MALLOC
  CHECK(nn_context_create(test_isa(), 1, NULL) == NULL);
#endif
  own = nn_context_create(NN_ISA_AUTO, 0, test_allocator());
  CHECK(own != NULL);
  nn_context_destroy(own);
}

static void isa_names(void) {
  nn_isa isa = NN_ISA_COUNT;
  int i;
  for (i = 0; i < NN_ISA_COUNT; i++) {
    CHECK_OK(nn_isa_find(nn_isa_name((nn_isa)i), &isa));
    CHECK_INT(isa, i);
  }
  CHECK_STATUS(nn_isa_find("avx3", &isa), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_isa_find("", &isa), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_isa_find(NULL, &isa), NN_ERR_ARGUMENT);
  CHECK(nn_isa_name((nn_isa)99) != NULL);
  CHECK(nn_isa_available(NN_ISA_SCALAR));
  CHECK(!nn_isa_available(NN_ISA_COUNT));
  CHECK(nn_isa_best() != NN_ISA_AUTO);
  CHECK(nn_isa_available(nn_isa_best()));
}

int main(void) {
  context = nn_context_create(test_isa(), test_threads(), test_allocator());
  if (!context) {
    fprintf(stderr, "nn_context_create failed\n");
    return 1;
  }
  RUN(isa_names);
  RUN(contexts);
  RUN(wrong_arguments);
  RUN(empty_sums);
  RUN(squares);
  RUN(edges);
  RUN(primes);
  RUN(blocks);
  RUN(aliased_rows);
  RUN(random_rectangles);
  RUN(not_finite);
  RUN(position);
  RUN(same_bits_for_any_threads);
  RUN(many_jobs);
  nn_context_destroy(context);
  return test_end("gemm");
}
