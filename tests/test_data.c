/* Random numbers, shuffles, CRC, readers, files, batches, augmentation, drawn sets: everything
 * under @@BASE and @@DATA of nn.h, through the public calls alone. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L /* mkdir, mkfifo, symlink: to make writes fail */
#define ON_POSIX 1
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define ON_POSIX 0
#endif

#include "test.h"
#include "../data/drawn.inc"

/* ------------------------------------- helpers ------------------------------------ */

/* An allocator that counts, and that fails once `allowed` calls have been made. */
typedef struct counting {
  int allowed, calls, live;
  size_t bytes, most, peak; /* at present, of one block, and of all at once */
} counting;

static void *count_allocate(void *user, size_t size)
{
  counting *c = (counting *)user;
  if (c->calls++ >= c->allowed) return NULL;
  c->live++;
  c->bytes += size;
  if (size > c->most) c->most = size;
  if (c->bytes > c->peak) c->peak = c->bytes;
  return malloc(size);
}

static void count_release(void *user, void *memory, size_t size)
{
  counting *c = (counting *)user;
  c->live--;
  c->bytes -= size;
  free(memory);
}

static nn_allocator counting_allocator(counting *c, int allowed)
{
  nn_allocator a;
  memset(c, 0, sizeof *c);
  c->allowed = allowed;
  a.allocate = count_allocate;
  a.release = count_release;
  a.user = c;
  return a;
}

static int is_empty(const nn_array *a)
{
  return a->data == NULL && a->count == 0 && a->rank == 0;
}

/* A heap copy of exactly these bytes, so that a sanitizer sees any step past their end. */
static unsigned char *exactly(const void *bytes, size_t size)
{
  unsigned char *p = (unsigned char *)test_memory(size);
  if (size) memcpy(p, bytes, size);
  return p;
}

typedef nn_status (*parser)(const void *bytes, size_t size, const nn_allocator *allocator,
                            nn_array *out, nn_message *why);

/* Bytes that must be refused: with this status, a sentence that has this in it, no allocation. */
typedef struct bad_bytes {
  const char *bytes;
  size_t size;
  nn_status status;
  const char *says;
} bad_bytes;
#define BYTES(text) text, sizeof(text) - 1

static void refuse(parser parse, const bad_bytes *table, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    unsigned char *p = exactly(table[i].bytes, table[i].size);
    nn_message why = {""};
    counting c;
    nn_allocator a = counting_allocator(&c, 1000);
    nn_array out;
    memset(&out, 1, sizeof out);
    if (!CHECK_STATUS(parse(p, table[i].size, &a, &out, &why), table[i].status))
      fprintf(stderr, "    case %d: %s\n", (int)i, table[i].says);
    CHECK_HAS(why.text, table[i].says);
    CHECK_HAS(why.text, "byte ");
    CHECK(strchr(why.text, '\n') == NULL);
    CHECK(is_empty(&out));
    CHECK_INT(c.calls, 0);
    nn_array_free(&out);
    CHECK_STATUS(parse(p, table[i].size, &a, &out, NULL), table[i].status);
    free(p);
  }
}

/* What every parser must do with good bytes, whatever they hold: take any prefix as an error, fail
 * cleanly without memory, and give back exactly what it took. */
static void survive(parser parse, const void *bytes, size_t size)
{
  counting c;
  nn_allocator a = counting_allocator(&c, 1);
  nn_array out;
  nn_message why;
  CHECK_OK(parse(bytes, size, &a, &out, &why));
  CHECK_INT(c.live, 1);
  CHECK(c.most <= size);
  nn_array_free(&out);
  CHECK_INT(c.live, 0);
  CHECK_INT(c.bytes, 0);
  CHECK(is_empty(&out));
  nn_array_free(&out);
  a = counting_allocator(&c, 0);
  CHECK_STATUS(parse(bytes, size, &a, &out, &why), NN_ERR_MEMORY);
  CHECK(is_empty(&out));
  a = counting_allocator(&c, 1000000);
  for (size_t n = 0; n < size; n++) {
    unsigned char *p = exactly(bytes, n);
    if (!CHECK_STATUS(parse(p, n, &a, &out, &why), NN_ERR_FORMAT))
      fprintf(stderr, "    cut to %d bytes\n", (int)n);
    free(p);
  }
  CHECK_INT(c.calls, 0);
  CHECK_STATUS(parse(NULL, size, &a, &out, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(parse(bytes, size, &a, NULL, &why), NN_ERR_ARGUMENT);
}

/* ---------------------------------- random numbers -------------------------------- */

/* The first four are the published vector for key 0, counter 0; the rest come from the definition
 * written a second time, in Python, and checked there against the other published vectors. */
static void random_known_answers(void)
{
  static const struct {
    uint64_t seed, stream, index;
    uint32_t value;
  } known[] = {
    {0, 0, 0, 0x6627e8d5},
    {0, 0, 1, 0xe169c58d},
    {0, 0, 2, 0xbc57ac4c},
    {0, 0, 3, 0x9b00dbd8},
    {1, 0, 0, 0xe3e80670},
    {0, 1, 0, 0x844515e1},
    {1, 2, 7, 0x0e0b3cf3},
    {UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), UINT64_C(12345678901), 0x4e2c8ee1},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0x411fcefd},
    {UINT64_C(1) << 32, 0, 4, 0xccf3076a},
    {0, UINT64_C(1) << 32, 5, 0x510c4549},
    {0, 0, UINT64_C(1) << 34, 0x6ad0c5ec},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    CHECK_INT(nn_random_at(known[i].seed, known[i].stream, known[i].index), known[i].value);
}

static void random_next_walks_the_stream(void)
{
  nn_random r = {5, 6, 3};
  for (uint64_t i = 3; i < 20; i++) {
    CHECK_INT(nn_random_next(&r), nn_random_at(5, 6, i));
    CHECK(r.counter == i + 1);
  }
  CHECK(r.seed == 5 && r.stream == 6);
}

static void random_below_is_even(void)
{
  static const uint32_t bounds[] = {1, 2, 3, 7, 10, 100};
  nn_random r = {1, 2, 0};
  CHECK_INT(nn_random_below(&r, 0), 0);
  CHECK_INT(nn_random_below(&r, 1), 0);
  for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
    uint32_t n = bounds[b], seen[100] = {0};
    double chi = 0, each = 20000.0 / n;
    for (int i = 0; i < 20000; i++) {
      uint32_t v = nn_random_below(&r, n);
      if (!CHECK(v < n)) return;
      seen[v]++;
    }
    for (uint32_t v = 0; v < n; v++) chi += (seen[v] - each) * (seen[v] - each) / each;
    CHECK(chi < n - 1 + 6 * sqrt(2.0 * n)); /* mean n-1, variance 2(n-1) */
  }
  /* Where plain scaling is most uneven: it gives multiples of 3 twice as often as others. */
  int rest[3] = {0};
  for (int i = 0; i < 30000; i++) rest[nn_random_below(&r, 0xC0000000u) % 3]++;
  for (int k = 0; k < 3; k++) CHECK_NEAR(rest[k] / 10000.0, 1, 0.06);
}

static void random_uniform_and_normal(void)
{
  nn_random r = {3, 4, 0};
  double sum = 0, square = 0, cube = 0, fourth = 0;
  int n = 200000;
  for (int i = 0; i < n; i++) {
    double u = nn_random_uniform(&r);
    if (!CHECK(u >= 0 && u < 1)) return;
    sum += u;
    square += u * u;
  }
  CHECK_NEAR(sum / n, 0.5, 0.004);
  CHECK_NEAR(square / n, 1.0 / 3, 0.004);
  sum = square = 0;
  for (int i = 0; i < n; i++) {
    double v = nn_random_normal(&r);
    if (!CHECK(fabs(v) < 8)) return;
    sum += v;
    square += v * v;
    cube += v * v * v;
    fourth += v * v * v * v;
  }
  CHECK_NEAR(sum / n, 0, 0.015);
  CHECK_NEAR(square / n, 1, 0.02);
  CHECK_NEAR(cube / n, 0, 0.05);
  CHECK_NEAR(fourth / n, 3, 0.06);
}

static void shuffle_is_a_permutation(void)
{
  static const uint32_t counts[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 100, 255, 256, 257, 1000,
                                    1024, 60000, 65535, 65536, 65537};
  for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
    uint32_t n = counts[c], fixed = 0;
    unsigned char *seen = (unsigned char *)test_memory(n);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t v = nn_shuffled(42, c, n, i);
      if (!CHECK(v < n) || !CHECK(!seen[v])) break;
      seen[v] = 1;
      fixed += v == i;
      CHECK_INT(nn_shuffled(42, c, n, i), v);
    }
    CHECK(n < 100 || fixed < 10); /* one is expected to stay in place */
    free(seen);
  }
  CHECK_INT(nn_shuffled(1, 2, 0, 7), 0);
  CHECK(nn_shuffled(1, 2, 10, 10) < 10);
  CHECK(nn_shuffled(1, 2, 10, UINT32_MAX) < 10);
  CHECK(nn_shuffled(1, 2, UINT32_MAX, UINT32_MAX - 1) < UINT32_MAX);
  CHECK(nn_shuffled(1, 2, 0x80000001u, 5) < 0x80000001u);
}

/* Over many epochs every pair of places gets every pair of samples equally often. */
static void shuffle_is_even(void)
{
  static const uint32_t counts[] = {4, 5, 12, 16};
  for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
    uint32_t n = counts[c];
    for (uint32_t a = 0; a < n; a++) {
      uint32_t b = (a + 1) % n, seen[16][16] = {{0}};
      double pairs = n * (n - 1), each = 50, chi = 0;
      for (uint64_t epoch = 0; epoch < 50 * n * (n - 1); epoch++)
        seen[nn_shuffled(3, epoch, n, a)][nn_shuffled(3, epoch, n, b)]++;
      for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++)
          if (i != j) chi += (seen[i][j] - each) * (seen[i][j] - each) / each;
      if (!CHECK(chi < pairs - 1 + 6 * sqrt(2 * pairs))) fprintf(stderr, "    %g\n", chi);
    }
  }
}

static void shuffle_depends_on_seed_and_epoch(void)
{
  int same_epoch = 0, same_seed = 0, orders[6] = {0}, near = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    uint32_t v = nn_shuffled(1, 0, 1000, i), w = nn_shuffled(1, 0, 1000, (i + 1) % 1000);
    same_epoch += v == nn_shuffled(1, 1, 1000, i);
    same_seed += v == nn_shuffled(2, 0, 1000, i);
    near += w == v + 1 || w + 1 == v;
  }
  CHECK(same_epoch < 10 && same_seed < 10);
  CHECK(near < 15); /* two neighbours stay neighbours about twice */
  for (uint64_t epoch = 0; epoch < 6000; epoch++) { /* all orders of three come up, about evenly */
    uint32_t a = nn_shuffled(9, epoch, 3, 0), b = nn_shuffled(9, epoch, 3, 1);
    if (CHECK(a < 3 && b < 3 && a != b)) orders[a * 2 + (b > a ? b - 1 : b)]++;
  }
  for (int i = 0; i < 6; i++) CHECK(orders[i] > 700 && orders[i] < 1300);
}

/* ---------------------------------- CRC and texts --------------------------------- */

static void crc32_is_that_of_zip(void)
{
  unsigned char bytes[300];
  CHECK_INT(nn_crc32(0, "123456789", 9), 0xcbf43926);
  CHECK_INT(nn_crc32(0, "", 0), 0);
  CHECK_INT(nn_crc32(0, NULL, 0), 0);
  CHECK_INT(nn_crc32(0, "The quick brown fox jumps over the lazy dog", 43), 0x414fa339);
  for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)nn_random_at(8, 8, i);
  for (size_t start = 0; start < 5; start++) { /* every length and alignment, against one by bits */
    uint32_t slow = 0xffffffffu;
    for (size_t n = 0; start + n < sizeof bytes; n++) {
      CHECK_INT(nn_crc32(0, bytes + start, n), ~slow & 0xffffffffu);
      slow ^= bytes[start + n];
      for (int k = 0; k < 8; k++) slow = slow >> 1 ^ (slow & 1 ? 0xedb88320u : 0);
    }
  }
  for (size_t cut = 0; cut <= sizeof bytes; cut++) /* going on from a first part */
    CHECK_INT(nn_crc32(nn_crc32(0, bytes, cut), bytes + cut, sizeof bytes - cut),
              nn_crc32(0, bytes, sizeof bytes));
}

static void every_status_has_words(void)
{
  for (int i = -9; i <= 2; i++) {
    CHECK(nn_status_text(i) != NULL && strlen(nn_status_text(i)) > 1);
    for (int j = -9; j < i; j++) CHECK(strcmp(nn_status_text(i), nn_status_text(j)) != 0);
  }
  CHECK(nn_status_text(12345) != NULL && nn_status_text(-12345) != NULL);
}

/* --------------------------------------- IDX -------------------------------------- */

static void idx_values(void)
{
  nn_array a;
  nn_message why;
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x08\3\0\0\0\1\0\0\0\2\0\0\0\3\1\2\3\4\5\xff"), test_allocator(),
                        &a, &why));
  CHECK(a.type == NN_U8 && a.rank == 3 && a.count == 6);
  CHECK(a.dim[0] == 1 && a.dim[1] == 2 && a.dim[2] == 3);
  CHECK_SAME(a.data, "\1\2\3\4\5\xff", 6);
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x0C\1\0\0\0\3\0\0\0\1\xff\xff\xff\xfe\x7f\xff\xff\xff"),
                        test_allocator(), &a, NULL));
  if (CHECK(a.type == NN_I32 && a.rank == 1 && a.count == 3)) {
    const int32_t *v = (const int32_t *)a.data;
    CHECK(v[0] == 1 && v[1] == -2 && v[2] == INT32_MAX);
  }
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x0D\1\0\0\0\2\x3f\x80\0\0\xc0\x20\0\0"), test_allocator(), &a,
                        &why));
  if (CHECK(a.type == NN_F32 && a.count == 2))
    CHECK(((const float *)a.data)[0] == 1.0f && ((const float *)a.data)[1] == -2.5f);
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x0B\1\0\0\0\2\1\2\xff\xfe"), test_allocator(), &a, &why));
  if (CHECK(a.type == NN_I32 && a.count == 2)) /* i16 */
    CHECK(((const int32_t *)a.data)[0] == 258 && ((const int32_t *)a.data)[1] == -2);
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x09\1\0\0\0\1\xfe"), test_allocator(), &a, &why));
  if (CHECK(a.type == NN_I32 && a.count == 1)) CHECK(*(const int32_t *)a.data == -2); /* i8 */
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x0E\1\0\0\0\1\x3f\xf8\0\0\0\0\0\0"), test_allocator(), &a,
                        &why));
  if (CHECK(a.type == NN_F64 && a.count == 1)) CHECK(((const double *)a.data)[0] == 1.5);
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(BYTES("\0\0\x08\2\0\0\0\0\0\0\0\5"), test_allocator(), &a, NULL));
  CHECK(a.count == 0 && a.rank == 2 && a.dim[1] == 5);
  nn_array_free(&a);
  CHECK_OK(nn_idx_parse(
      BYTES("\0\0\x08\x08\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\2ab"),
      test_allocator(), &a, &why));
  CHECK(a.rank == 8 && a.dim[7] == 2 && a.count == 2);
  nn_array_free(&a);
}

static void idx_malformed(void)
{
  static const bad_bytes table[] = {
    {BYTES(""), NN_ERR_FORMAT, "too few"},
    {BYTES("\0\0\x08"), NN_ERR_FORMAT, "too few"},
    {BYTES("\x1f\x8b\x08\0\0\0\0\0"), NN_ERR_FORMAT, "gzip"},
    {BYTES("<html>not found"), NN_ERR_FORMAT, "byte 0"},
    {BYTES("\0\1\x08\1\0\0\0\0"), NN_ERR_FORMAT, "two zeros"},
    {BYTES("\0\0\x0A\1\0\0\0\1a"), NN_ERR_FORMAT, "type 0xa"},
    {BYTES("\0\0\xff\1\0\0\0\1a"), NN_ERR_FORMAT, "byte 2"},
    {BYTES("\0\0\x08\0a"), NN_ERR_FORMAT, "rank 0"},
    {BYTES("\0\0\x08\x09\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1a"),
     NN_ERR_FORMAT, "rank 9"},
    {BYTES("\0\0\x08\1\0\0\0"), NN_ERR_FORMAT, "header ends"},
    {BYTES("\0\0\x08\3\0\0\0\1\0\0\0\1"), NN_ERR_FORMAT, "header ends"},
    {BYTES("\0\0\x08\1\0\0\0\5abcd"), NN_ERR_FORMAT, "promises 5 bytes, 4 are there"},
    {BYTES("\0\0\x08\1\0\0\0\3abcd"), NN_ERR_FORMAT, "promises 3 bytes, 4 are there"},
    {BYTES("\0\0\x0D\1\0\0\0\2abcd"), NN_ERR_FORMAT, "promises 8 bytes, 4 are there"},
    {BYTES("\0\0\x08\1\x7f\xff\xff\xffz"), NN_ERR_FORMAT, "promises 2147483647 bytes"},
    {BYTES("\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffz"), NN_ERR_LIMIT, "shape"},
    {BYTES("\0\0\x0E\2\xff\xff\xff\xff\xff\xff\xff\xffz"), NN_ERR_LIMIT, "shape"},
    /* 2^64 elements: a product that is not checked comes out as 0 */
    {BYTES("\0\0\x08\4\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0"), NN_ERR_LIMIT, "shape"},
  };
  refuse(nn_idx_parse, table, sizeof table / sizeof table[0]);
}

static void idx_cut_short_or_without_memory(void)
{
  survive(nn_idx_parse, BYTES("\0\0\x0C\2\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\2"));
}

/* --------------------------------------- npy -------------------------------------- */

/* Puts version, header length, header and data together; returns the size. */
static size_t make_npy(unsigned char *to, int version, const char *header, const void *data,
                       size_t data_size)
{
  size_t length = strlen(header), at = 8;
  memcpy(to, "\x93NUMPY", 6);
  to[6] = (unsigned char)version;
  to[7] = 0;
  to[at++] = (unsigned char)(length & 255);
  to[at++] = (unsigned char)(length >> 8 & 255);
  if (version > 1) {
    to[at++] = 0;
    to[at++] = 0;
  }
  memcpy(to + at, header, length);
  if (data_size) memcpy(to + at + length, data, data_size);
  return at + length + data_size;
}

static void npy_values(void)
{
  static const struct {
    int version;
    const char *header;
    size_t data_size;
    nn_type type;
    int rank;
    size_t dim[3];
  } good[] = {
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 24, NN_F32, 2, {2, 3}},
    {2, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", 16, NN_F64, 1, {2}},
    {3, "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3), }\n", 3, NN_U8, 3, {1, 1, 3}},
    {1, "{'shape': (1,), 'fortran_order': False, 'descr': '<i4'}\n", 4, NN_I32, 1, {1}},
    {1, "{\"fortran_order\":False,\"shape\":(0,4),\"descr\":\"<i8\"}\n", 0, NN_I64, 2, {0, 4}},
    {1, "{  'descr' :'<i8' , 'fortran_order' :False , 'shape' :( 1 , ) , } \n", 8, NN_I64, 1, {1}},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 4, NN_F32, 0, {0}},
    {1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1,)}\n", 2, NN_U8, 2, {2, 1}},
  };
  unsigned char data[24], bytes[256];
  for (int i = 0; i < 24; i++) data[i] = (unsigned char)(17 * i + 3);
  for (size_t g = 0; g < sizeof good / sizeof good[0]; g++) {
    size_t size = make_npy(bytes, good[g].version, good[g].header, data, good[g].data_size);
    unsigned char *p = exactly(bytes, size);
    nn_message why = {""};
    nn_array a;
    if (!CHECK_OK(nn_npy_parse(p, size, test_allocator(), &a, &why))) {
      fprintf(stderr, "    %s\n", why.text);
    } else {
      CHECK(a.type == good[g].type && a.rank == good[g].rank);
      for (int d = 0; d < a.rank; d++) CHECK_INT(a.dim[d], good[g].dim[d]);
      CHECK(a.rank > 0 || a.count == 1);
      if (a.type == NN_I32) CHECK_INT(*(const int32_t *)a.data, 0x36251403);
      if (a.type == NN_I64 && a.count)
        CHECK(*(const int64_t *)a.data == INT64_C(0x7a69584736251403));
      if (a.type == NN_U8) CHECK_SAME(a.data, data, a.count);
    }
    nn_array_free(&a);
    free(p);
  }
  nn_array a; /* numbers, from bytes as an x86 has them */
  size_t size = make_npy(bytes, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n",
                         "\0\0\x80\x3f\0\0\x20\xc0", 8);
  CHECK_OK(nn_npy_parse(bytes, size, test_allocator(), &a, NULL));
  CHECK(((const float *)a.data)[0] == 1.0f && ((const float *)a.data)[1] == -2.5f);
  nn_array_free(&a);
  size = make_npy(bytes, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n",
                  "\0\0\0\0\0\0\xf8\x3f", 8);
  CHECK_OK(nn_npy_parse(bytes, size, test_allocator(), &a, NULL));
  CHECK(((const double *)a.data)[0] == 1.5);
  nn_array_free(&a);
}

/* Types that an nn_array has not, and those whose highest byte is first: two numbers of each. */
static void npy_converted(void)
{
  static const struct {
    const char *type, *bytes;
    size_t size;
    nn_type as;
    double is[2];
  } rows[] = {{"|b1", BYTES("\0\1"), NN_I32, {0, 1}},
              {"|i1", BYTES("\x80\x7f"), NN_I32, {-128, 127}},
              {"<i2", BYTES("\1\2\0\x80"), NN_I32, {513, -32768}},
              {">i2", BYTES("\1\2\x80\0"), NN_I32, {258, -32768}},
              {"<u2", BYTES("\1\2\xff\xff"), NN_I32, {513, 65535}},
              {"<u4", BYTES("\1\0\0\0\xff\xff\xff\xff"), NN_F64, {1, 4294967295.0}},
              {"<u8", BYTES("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80"), NN_F64,
               {1, 9223372036854775808.0}},
              {"<f2", BYTES("\0\xbc\1\0"), NN_F32, {-1, 1.0 / 16777216}},
              {">f2", BYTES("\x35\x55\x7b\xff"), NN_F32, {1365.0 / 4096, 65504}},
              {">f4", BYTES("\x3f\x80\0\0\xc0\x20\0\0"), NN_F32, {1, -2.5}},
              {">i4", BYTES("\0\0\0\1\xff\xff\xff\xfe"), NN_I32, {1, -2}}};
  unsigned char bytes[256];
  char head[96];
  for (size_t k = 0; k < COUNT(rows); k++) {
    counting c;
    nn_array a;
    nn_message why = {""};
    sprintf(head, "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n", rows[k].type);
    const size_t size = make_npy(bytes, 1, head, rows[k].bytes, rows[k].size);
    for (int allowed = 0; allowed < 3; allowed++) {
      const nn_allocator from = counting_allocator(&c, allowed);
      const nn_status status = nn_npy_parse(bytes, size, &from, &a, &why);
      if (status == NN_OK) {
        CHECK(a.type == rows[k].as && a.rank == 1 && a.count == 2 && a.dim[0] == 2);
        for (int i = 0; i < 2; i++)
          CHECK_NEAR(a.type == NN_I32 ? (double)((const int32_t *)a.data)[i]
                     : a.type == NN_F32 ? (double)((const float *)a.data)[i]
                                        : ((const double *)a.data)[i], rows[k].is[i], 0);
      } else {
        CHECK_STATUS(status, NN_ERR_MEMORY);
        CHECK(is_empty(&a) && allowed < 2);
      }
      nn_array_free(&a);
      CHECK(c.live == 0 && c.bytes == 0);
    }
  }
}

static void npy_malformed(void)
{
  static const struct {
    const char *header, *says;
    nn_status status;
  } headers[] = {
    {"\n", "{ expected", NN_ERR_FORMAT},
    {"[]\n", "{ expected", NN_ERR_FORMAT},
    {"{}\n", "expected", NN_ERR_FORMAT},
    {"{'descr': '|u1'\n", "} expected", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'shape': (3,)}\n", "missing", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False}\n", "missing", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'descr': '|u1', 'shape': (3,)}\n", "each once", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'order': False, 'shape': (3,)}\n", "expected", NN_ERR_FORMAT},
    {"{descr: '|u1'}\n", "expected", NN_ERR_FORMAT},
    {"{'descr\": '|u1'}\n", "expected", NN_ERR_FORMAT},
    {"{'descr' '|u1'}\n", ": expected", NN_ERR_FORMAT},
    {"{'descr': '|u1' 'fortran_order': False}\n", "} expected", NN_ERR_FORMAT},
    {"{'descr': '>u1', 'fortran_order': False, 'shape': (3,), }\n", "type", NN_ERR_FORMAT},
    {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }\n", "type", NN_ERR_FORMAT},
    {"{'descr': '>f2', 'fortran_order': False, 'shape': (3,), }\n", "promises 6", NN_ERR_FORMAT},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n", "type", NN_ERR_FORMAT},
    {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,), }\n", "type", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': True, 'shape': (3, 1), }\n", "Fortran", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': 0, 'shape': (3,), }\n", "True or False", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': 3, }\n", "( expected", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3), }\n", "tuple", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (,), }\n", "whole number", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3 1), }\n", ") expected", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,,), }\n", "whole number", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (-3,), }\n", "whole number", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3, }\n", "whole number", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,\n", "whole number", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", "line end", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), } x\n", "line end", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n\n", "line end", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }\n", "promises 4", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n", "promises 2", NN_ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", "promises 12", NN_ERR_FORMAT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999,), }\n",
     "does not fit", NN_ERR_LIMIT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", "fit",
     NN_ERR_LIMIT},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,), }\n", "fit",
     NN_ERR_LIMIT},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,3), }\n", "more than 8",
     NN_ERR_LIMIT},
  };
  static const bad_bytes table[] = {
    {BYTES(""), NN_ERR_FORMAT, "no npy data"},
    {BYTES("\x93NUMPY\1\0"), NN_ERR_FORMAT, "no npy data"},
    {BYTES("\x93numpy\1\0\0\0"), NN_ERR_FORMAT, "no npy data"},
    {BYTES("PK\3\4 an npz archive"), NN_ERR_FORMAT, "no npy data"},
    {BYTES("\x93NUMPY\0\0\0\0"), NN_ERR_FORMAT, "version 0.0"},
    {BYTES("\x93NUMPY\4\0\0\0"), NN_ERR_FORMAT, "version 4.0"},
    {BYTES("\x93NUMPY\1\1\0\0"), NN_ERR_FORMAT, "version 1.1"},
    {BYTES("\x93NUMPY\1\0\0\0"), NN_ERR_FORMAT, "{ expected"},
    {BYTES("\x93NUMPY\1\0\5\0{'d"), NN_ERR_FORMAT, "cut short"},
    {BYTES("\x93NUMPY\1\0\x16\0{'fortran_order': Fals"), NN_ERR_FORMAT, "True or False"},
    {BYTES("\x93NUMPY\2\0\5\0"), NN_ERR_FORMAT, "cut short"},
    {BYTES("\x93NUMPY\2\0\xff\xff\xff\xff{"), NN_ERR_FORMAT, "cut short"},
  };
  unsigned char bytes[8192];
  refuse(nn_npy_parse, table, sizeof table / sizeof table[0]);
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    bad_bytes b;
    b.size = make_npy(bytes, 1 + (int)(i % 3), headers[i].header, "abc", 3);
    b.bytes = (const char *)bytes;
    b.status = headers[i].status;
    b.says = headers[i].says;
    refuse(nn_npy_parse, &b, 1);
  }
  char *wide = (char *)test_memory(6000); /* correct, but longer than any array's header */
  int n = sprintf(wide, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }");
  memset(wide + n, ' ', (size_t)(5000 - n));
  wide[5000] = '\n';
  bad_bytes b = {(const char *)bytes, 0, NN_ERR_LIMIT, "header of"};
  b.size = make_npy(bytes, 1, wide, "abc", 3);
  refuse(nn_npy_parse, &b, 1);
  free(wide);
}

static void npy_cut_short_or_without_memory(void)
{
  unsigned char bytes[128];
  size_t size = make_npy(bytes, 2, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1), } \n",
                         "\1\0\0\0\2\0\0\0", 8);
  survive(nn_npy_parse, bytes, size);
}

/* ------------------------------------- CIFAR-10 ----------------------------------- */

static void cifar10_values(void)
{
  size_t size = 3 * 3073;
  unsigned char *bytes = (unsigned char *)test_memory(size);
  nn_array pixels, labels;
  nn_message why;
  for (uint32_t i = 0; i < size; i++) bytes[i] = (unsigned char)nn_random_at(1, 1, i);
  memset(bytes + 1, 255, 3072); /* white must stay 255 */
  for (int i = 0; i < 3; i++) bytes[i * 3073] = (unsigned char)(9 - 4 * i);
  CHECK_OK(nn_cifar10_parse(bytes, size, 0, test_allocator(), &pixels, &labels, &why));
  CHECK(pixels.type == NN_U8 && pixels.rank == 4 && pixels.count == 3 * 3072);
  CHECK(pixels.dim[0] == 3 && pixels.dim[1] == 3 && pixels.dim[2] == 32 && pixels.dim[3] == 32);
  CHECK(labels.type == NN_U8 && labels.rank == 1 && labels.count == 3);
  CHECK_SAME(labels.data, "\x9\5\1", 3);
  for (size_t i = 0; i < 3; i++)
    CHECK_SAME((const uint8_t *)pixels.data + i * 3072, bytes + i * 3073 + 1, 3072);
  nn_array_free(&pixels);
  nn_array_free(&labels);
  CHECK_OK(nn_cifar10_parse(bytes, size, 1, test_allocator(), &pixels, &labels, &why));
  CHECK(pixels.rank == 4 && pixels.dim[1] == 1 && pixels.count == 3 * 1024);
  CHECK_SAME(labels.data, "\x9\5\1", 3);
  for (size_t i = 0; i < 3; i++) {
    for (size_t j = 0; j < 1024; j++) {
      const unsigned char *p = bytes + i * 3073 + 1 + j;
      int gray = ((const uint8_t *)pixels.data)[i * 1024 + j];
      /* In thousandths, so that halves are exact and go up. */
      if (!CHECK_INT(gray, (299 * p[0] + 587 * p[1024] + 114 * p[2048] + 500) / 1000)) break;
    }
  }
  CHECK_INT(((const uint8_t *)pixels.data)[0], 255);
  nn_array_free(&pixels);
  nn_array_free(&labels);
  free(bytes);
}

static void cifar10_malformed(void)
{
  size_t size = 2 * 3073;
  unsigned char *bytes = (unsigned char *)test_memory(size);
  nn_array pixels, labels;
  nn_message why;
  counting c;
  nn_allocator a = counting_allocator(&c, 1000);
  static const size_t wrong[] = {0, 1, 3072, 3074, 6145};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    unsigned char *p = exactly(bytes, wrong[i]);
    CHECK_STATUS(nn_cifar10_parse(p, wrong[i], 0, &a, &pixels, &labels, &why), NN_ERR_FORMAT);
    CHECK_HAS(why.text, "3073");
    CHECK(is_empty(&pixels) && is_empty(&labels));
    free(p);
  }
  CHECK_INT(c.calls, 0);
  bytes[3073] = 10;
  CHECK_STATUS(nn_cifar10_parse(bytes, size, 1, &a, &pixels, &labels, &why), NN_ERR_FORMAT);
  CHECK_HAS(why.text, "byte 3073: label 10");
  CHECK(is_empty(&pixels) && is_empty(&labels) && c.live == 0);
  bytes[3073] = 0;
  for (int allowed = 0; allowed < 2; allowed++) {
    a = counting_allocator(&c, allowed);
    CHECK_STATUS(nn_cifar10_parse(bytes, size, 0, &a, &pixels, &labels, &why), NN_ERR_MEMORY);
    CHECK(is_empty(&pixels) && is_empty(&labels) && c.live == 0);
  }
  CHECK_STATUS(nn_cifar10_parse(NULL, size, 0, &a, &pixels, &labels, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_cifar10_parse(bytes, size, 0, &a, NULL, &labels, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_cifar10_parse(bytes, size, 0, &a, &pixels, NULL, NULL), NN_ERR_ARGUMENT);
  free(bytes);
}

/* -------------------------------------- files ------------------------------------- */
#ifndef NN_NO_STDIO

/* A name for a file of this run, beside the programs under test. */
static const char *file_name(const char *name)
{
  static char path[8][1024];
  static int next;
  const char *build = getenv("BUILD");
  char *p = path[next++ % 8];
  sprintf(p, "%.900s%stest_data.%.60s", build ? build : "", build ? "/tests/" : "", name);
  return p;
}

static void put_file(const char *path, const void *bytes, size_t size)
{
  FILE *f = fopen(path, "wb");
  if (!CHECK(f != NULL)) return;
  if (size) CHECK(fwrite(bytes, 1, size, f) == size);
  fclose(f);
}

static int file_holds(const char *path, const char *text)
{
  nn_array a;
  int same = nn_file_read(path, 1000, test_allocator(), &a, NULL) == NN_OK &&
             a.count == strlen(text) && memcmp(a.data, text, a.count) == 0;
  nn_array_free(&a);
  return same;
}

static int file_is_there(const char *path)
{
  FILE *f = fopen(path, "rb");
  if (f) fclose(f);
  return f != NULL;
}

static void file_read_and_limits(void)
{
  const char *path = file_name("read");
  nn_array a;
  nn_message why = {""};
  counting c;
  nn_allocator allocator = counting_allocator(&c, 1);
  put_file(path, "ab\0cd\r\n\x1a", 8);
  CHECK_OK(nn_file_read(path, 8, &allocator, &a, &why));
  CHECK(a.type == NN_U8 && a.rank == 1 && a.count == 8 && a.dim[0] == 8);
  CHECK_SAME(a.data, "ab\0cd\r\n\x1a", 8);
  nn_array_free(&a);
  CHECK_INT(c.bytes, 0);
  CHECK_STATUS(nn_file_read(path, 8, &allocator, &a, &why), NN_ERR_MEMORY); /* one was allowed */
  CHECK_HAS(why.text, "test_data.read");
  CHECK_STATUS(nn_file_read(path, 7, test_allocator(), &a, &why), NN_ERR_LIMIT);
  CHECK_HAS(why.text, "test_data.read");
  CHECK(is_empty(&a));
  put_file(path, "", 0);
  CHECK_OK(nn_file_read(path, 0, test_allocator(), &a, &why));
  CHECK(a.count == 0 && a.rank == 1);
  nn_array_free(&a);
  remove(path);
  CHECK_STATUS(nn_file_read(path, 8, test_allocator(), &a, &why), NN_ERR_IO);
  CHECK_HAS(why.text, "test_data.read");
  CHECK(is_empty(&a));
  CHECK_STATUS(nn_file_read(NULL, 8, test_allocator(), &a, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_file_read(path, 8, test_allocator(), NULL, &why), NN_ERR_ARGUMENT);
#if ON_POSIX
  CHECK_STATUS(nn_file_read(".", 1000000, test_allocator(), &a, &why), NN_ERR_IO);
  CHECK_STATUS(nn_idx_load(".", test_allocator(), &a, &why), NN_ERR_IO);
#endif
}

static void file_write_replaces_whole_files(void)
{
  const char *path = file_name("write"), *temporary = file_name("write.tmp");
  nn_message why = {""};
  put_file(temporary, "left by a run that was killed", 29);
  CHECK_OK(nn_file_write(path, "first", 5, &why));
  CHECK(file_holds(path, "first"));
  CHECK(!file_is_there(temporary));
  CHECK_OK(nn_file_write(path, "second one", 10, NULL));
  CHECK(file_holds(path, "second one"));
  CHECK_OK(nn_file_write(path, NULL, 0, &why));
  CHECK(file_holds(path, ""));
  remove(path);
  CHECK_STATUS(nn_file_write(NULL, "x", 1, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_file_write("", "x", 1, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_file_write(path, NULL, 1, &why), NN_ERR_ARGUMENT);
  CHECK(!file_is_there(path));
  CHECK_STATUS(nn_file_write(file_name("nowhere/x"), "x", 1, &why), NN_ERR_IO);
  CHECK_HAS(why.text, "test_data.nowhere/x");
  char *endless = (char *)test_memory(20000);
  memset(endless, 'a', 19999);
  CHECK_STATUS(nn_file_write(endless, "x", 1, &why), NN_ERR_LIMIT);
  free(endless);
}

static void file_write_keeps_the_old_file(void)
{
#if ON_POSIX
  const char *path = file_name("old"), *temporary = file_name("old.tmp");
  nn_message why = {""};
  remove(temporary); /* what a run that was killed may have left */
  remove(path);
  put_file(path, "old", 3);
  if (CHECK(mkdir(temporary, 0777) == 0)) { /* the temporary file cannot be made */
    CHECK_STATUS(nn_file_write(path, "new", 3, &why), NN_ERR_IO);
    CHECK_HAS(why.text, "test_data.old");
    CHECK(file_holds(path, "old"));
    CHECK(rmdir(temporary) == 0);
  }
  char *much = (char *)test_memory(200000);
  struct rlimit before, small;
  if (CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0)) { /* no space for a file of more bytes */
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (int large = 0; large < 2; large++) { /* seen when it is flushed, or by fwrite */
      small = before, small.rlim_cur = large ? 100000 : 2;
      CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
      const nn_status status = nn_file_write(path, much, large ? 200000 : 3, &why);
      CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
      CHECK_STATUS(status, NN_ERR_IO);
      CHECK(file_holds(path, "old"));
      CHECK(!file_is_there(temporary));
    }
    signal(SIGXFSZ, handler);
  }
  free(much);
  remove(path);
  if (CHECK(mkdir(path, 0777) == 0)) { /* a directory is not replaced */
    CHECK_STATUS(nn_file_write(path, "new", 3, &why), NN_ERR_IO);
    CHECK_HAS(why.text, "test_data.old");
    CHECK(!file_is_there(temporary));
    if (geteuid() != 0) { /* the superuser may write anywhere */
      char inside[1200];
      sprintf(inside, "%.1000s/file", path);
      put_file(inside, "old", 3);
      CHECK(chmod(path, 0555) == 0);
      CHECK_STATUS(nn_file_write(inside, "new", 3, &why), NN_ERR_IO);
      CHECK(file_holds(inside, "old"));
      CHECK(chmod(path, 0777) == 0);
      remove(inside);
    }
    CHECK(rmdir(path) == 0);
  }
  /* Neither is what is no file. A pipe of our own: a mistake here must not cost a real device. */
  struct stat kind;
  if (CHECK(mkfifo(path, 0666) == 0)) {
    CHECK_STATUS(nn_file_write(path, "new", 3, &why), NN_ERR_IO);
    CHECK(stat(path, &kind) == 0 && S_ISFIFO(kind.st_mode));
    CHECK(!file_is_there(temporary));
    nn_array a; /* nor is it read, which could wait for ever */
    CHECK_STATUS(nn_file_read(path, SIZE_MAX, NULL, &a, &why), NN_ERR_IO);
    CHECK_STATUS(nn_npy_load(path, NULL, &a, &why), NN_ERR_IO);
    CHECK_HAS(why.text, "not a regular file");
  }
  remove(path);
#else
  SKIP("needs POSIX calls to make writes fail");
#endif
}

/* What lies under the temporary name is not written through, and the new file has the old one's
 * rights. */
static void file_write_touches_no_other(void)
{
#if ON_POSIX
  const char *path = file_name("mine"), *temporary = file_name("mine.tmp");
  const char *victim = file_name("victim");
  nn_message why = {""};
  struct stat kind;
  remove(temporary), remove(path), remove(victim);
  put_file(path, "old", 3);
  put_file(victim, "precious", 8);
  for (int hard = 0; hard < 2; hard++) {
    CHECK((hard ? link(victim, temporary) : symlink(victim, temporary)) == 0);
    CHECK_STATUS(nn_file_write(path, "new", 3, &why), NN_ERR_IO);
    CHECK_HAS(why.text, "test_data.mine.tmp");
    CHECK(file_holds(path, "old"));
    CHECK(file_holds(victim, "precious"));
    CHECK(remove(temporary) == 0);
  }
  CHECK(mkfifo(temporary, 0666) == 0);
  CHECK_STATUS(nn_file_write(path, "new", 3, &why), NN_ERR_IO); /* and does not wait */
  remove(temporary);
  CHECK(chmod(path, 0640) == 0);
  CHECK_OK(nn_file_write(path, "new", 3, &why));
  CHECK(stat(path, &kind) == 0 && (kind.st_mode & 0777) == 0640);
  CHECK(chmod(path, 0440) == 0); /* a folder's owner may replace what nobody may write */
  CHECK_OK(nn_file_write(path, "new", 3, &why));
  CHECK(stat(path, &kind) == 0 && (kind.st_mode & 0777) == 0640);
  remove(path), remove(victim);
#else
  SKIP("needs POSIX calls");
#endif
}

#if ON_POSIX
enum { WRITERS = 3, WRITES = 100, SHARED = 60000 };
static size_t shared_size(int letter) { return SHARED - (size_t)(20000 * (letter - 'a')); }

typedef struct writer {
  pthread_t thread;
  const char *path;
  int letter, failed;
} writer;

static void *write_shared(void *arg)
{
  writer *w = (writer *)arg;
  char bytes[SHARED];
  memset(bytes, w->letter, sizeof bytes);
  for (int k = 0; k < WRITES; k++)
    w->failed += nn_file_write(w->path, bytes, shared_size(w->letter), NULL) != NN_OK;
  return NULL;
}
#endif

/* Several write a file of one name at once: who reads it finds one that is whole. */
static void file_writers_take_turns(void)
{
#if ON_POSIX
  const char *path = file_name("shared");
  writer writers[WRITERS];
  int torn = 0;
  nn_array a;
  put_file(path, "a", 1);
  for (int i = 0; i < WRITERS; i++) {
    writer *w = &writers[i];
    w->path = path, w->letter = 'a' + i, w->failed = 0;
    if (!CHECK(pthread_create(&w->thread, NULL, write_shared, w) == 0)) return;
  }
  for (int k = 0; k < 300; k++) {
    if (!CHECK_OK(nn_file_read(path, SIZE_MAX, test_allocator(), &a, NULL))) break;
    const unsigned char *bytes = (const unsigned char *)a.data;
    int whole = a.count == 1 || a.count == shared_size(bytes[0]);
    for (size_t i = 0; whole && i < a.count; i++) whole = bytes[i] == bytes[0];
    torn += !whole;
    nn_array_free(&a);
  }
  for (int i = 0; i < WRITERS; i++) {
    CHECK(pthread_join(writers[i].thread, NULL) == 0);
    CHECK_INT(writers[i].failed, 0);
  }
  CHECK_INT(torn, 0);
  CHECK(!file_is_there(file_name("shared.tmp")));
  remove(path);
#else
  SKIP("needs pthreads");
#endif
}

static void npy_round_trip(void)
{
  static const nn_type types[] = {NN_U8, NN_I32, NN_I64, NN_F32, NN_F64};
  static const size_t bytes_of[] = {1, 4, 8, 4, 8}, dims[8] = {3, 3, 1, 3, 1, 3, 1, 12};
  const char *path = file_name("npy");
  unsigned char data[8 * 972];
  nn_message why = {""};
  for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 37 + i / 256);
  for (int t = 0; t < 5; t++) {
    for (int rank = 0; rank <= 8; rank++) {
      nn_array a, b;
      memset(&a, 0, sizeof a);
      a.type = types[t];
      a.rank = rank;
      a.count = 1;
      for (int d = 0; d < rank; d++) a.count *= a.dim[d] = dims[d];
      a.data = data;
      if (!CHECK_OK(nn_npy_save(path, &a, &why))) continue;
      if (!CHECK_OK(nn_npy_load(path, test_allocator(), &b, &why))) {
        fprintf(stderr, "    %s\n", why.text);
        continue;
      }
      CHECK(b.type == a.type && b.rank == rank && b.count == a.count);
      for (int d = 0; d < rank; d++) CHECK(a.dim[d] == b.dim[d]);
      CHECK_SAME(a.data, b.data, a.count * bytes_of[t]);
      nn_array_free(&b);
    }
  }
  remove(path);
}

/* Byte for byte the file that numpy.save writes of numpy.array([[0, 1, 2], [3, 4, 5]], '<f4'). */
static void npy_save_is_numpys(void)
{
  static const float values[] = {0, 1, 2, 3, 4, 5};
  const char *path = file_name("numpy");
  float copy[6];
  char want[152];
  nn_array a, b;
  nn_message why = {""};
  memset(want, ' ', 127);
  memcpy(want, "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 69);
  memcpy(want + 127, "\n\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40", 25);
  memcpy(copy, values, sizeof copy);
  memset(&a, 0, sizeof a);
  a.type = NN_F32;
  a.rank = 2;
  a.dim[0] = 2;
  a.dim[1] = 3;
  a.count = 6;
  a.data = copy;
  CHECK_OK(nn_npy_save(path, &a, &why));
  CHECK_OK(nn_file_read(path, 1000, test_allocator(), &b, &why));
  CHECK_INT(b.count, 152);
  CHECK_SAME(b.data, want, 152);
  nn_array_free(&b);
  remove(path);
  a.count = 7; /* what does not agree is not written */
  CHECK_STATUS(nn_npy_save(path, &a, &why), NN_ERR_ARGUMENT);
  a.count = 6;
  a.rank = 9;
  CHECK_STATUS(nn_npy_save(path, &a, &why), NN_ERR_ARGUMENT);
  a.rank = -1;
  CHECK_STATUS(nn_npy_save(path, &a, &why), NN_ERR_ARGUMENT);
  a.rank = 2;
  a.type = (nn_type)0;
  CHECK_STATUS(nn_npy_save(path, &a, &why), NN_ERR_ARGUMENT);
  a.type = NN_F32;
  a.data = NULL;
  CHECK_STATUS(nn_npy_save(path, &a, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_npy_save(path, NULL, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_npy_save(NULL, &b, &why), NN_ERR_ARGUMENT);
  CHECK(!file_is_there(path));
}

/* Files shorter and longer than the head that is read first, and files that lie. */
static void load_from_files(void)
{
  static const size_t sizes[] = {0, 1, 1012, 1016, 1017, 1024, 1025, 20000};
  const char *path = file_name("idx");
  unsigned char *bytes = (unsigned char *)test_memory(20100);
  nn_array a;
  nn_message why = {""};
  counting c;
  for (uint32_t i = 0; i < 20100; i++) bytes[i] = (unsigned char)nn_random_at(3, 3, i);
  memcpy(bytes, "\0\0\x08\1", 4);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t n = sizes[i];
    nn_allocator allocator = counting_allocator(&c, 2);
    bytes[4] = bytes[5] = 0;
    bytes[6] = (unsigned char)(n >> 8);
    bytes[7] = (unsigned char)(n & 255);
    put_file(path, bytes, 8 + n);
    CHECK_OK(nn_idx_load(path, &allocator, &a, &why));
    CHECK_INT(a.count, n);
    CHECK(n == 0 || a.data != NULL);
    if (a.data) CHECK_SAME(a.data, bytes + 8, n);
    nn_array_free(&a);
    CHECK_INT(c.bytes, 0);
    put_file(path, bytes, 8 + n + 1);
    CHECK_STATUS(nn_idx_load(path, &allocator, &a, &why), NN_ERR_FORMAT);
    CHECK_HAS(why.text, "test_data.idx, byte 8: ");
    if (n == 0) continue;
    put_file(path, bytes, 8 + n - 1);
    CHECK_STATUS(nn_idx_load(path, &allocator, &a, &why), NN_ERR_FORMAT);
    CHECK_HAS(why.text, "cut short");
    CHECK(is_empty(&a));
    CHECK_INT(c.calls, 1);
  }
  put_file(path, "\0\0\x0C\1\0\0\0\1\1\2\3\4", 12);
  CHECK_OK(nn_idx_load(path, test_allocator(), &a, NULL));
  CHECK_INT(*(const int32_t *)a.data, 0x01020304);
  nn_array_free(&a);
  CHECK_STATUS(nn_npy_load(path, test_allocator(), &a, &why), NN_ERR_FORMAT);
  CHECK_HAS(why.text, "test_data.idx");
  CHECK_STATUS(nn_idx_load(file_name("absent"), test_allocator(), &a, &why), NN_ERR_IO);
  CHECK_HAS(why.text, "test_data.absent");
  CHECK_STATUS(nn_idx_load(NULL, test_allocator(), &a, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_npy_load(path, test_allocator(), NULL, &why), NN_ERR_ARGUMENT);
  remove(path);
  free(bytes);
}

/* Images and labels that belong to each other become a data set; others are named. */
static void dataset_from_files(void)
{
  const char *images = file_name("images"), *labels = file_name("labels");
  static const struct {
    const char *images;
    size_t image_size;
    const char *labels;
    size_t label_size;
    const char *says; /* NULL: fine */
  } sets[] = {
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"), BYTES("\0\0\x08\1\0\0\0\2\1\xff"), NULL},
    {BYTES("\0\0\x08\4\0\0\0\2\0\0\0\3\0\0\0\1\0\0\0\1abcdef"), BYTES("\0\0\x08\1\0\0\0\2\1\xff"),
     NULL},
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"),
     BYTES("\0\0\x08\2\0\0\0\2\0\0\0\1\1\xff"), NULL}, /* labels [2,1] */
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"),
     BYTES("\0\0\x08\2\0\0\0\1\0\0\0\2\1\2"), "data.labels: not one label"}, /* [1,2] */
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"),
     BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\1\1\2"), "data.labels: not labels [n]"},
    {BYTES("\0\0\x08\1\0\0\0\6abcdef"), BYTES("\0\0\x08\1\0\0\0\6\1\2\3\4\5\6"),
     "data.images: not images"},
    {BYTES("\0\0\x08\3\0\0\0\0\0\0\0\1\0\0\0\3"), BYTES("\0\0\x08\1\0\0\0\0"),
     "data.images: not images"},
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"), BYTES("\0\0\x08\1\0\0\0\3\1\2\3"),
     "data.labels: not one label, or row of labels, for each of the 2 images: there are 3"},
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"), BYTES("\0\0\x0C\1\0\0\0\1\1\2\3\4"),
     "data.labels: not one label"},
    {BYTES("\0\0\x08\3\0\0\0\1\0\0\0\1\0\0\0\3abc"),
     BYTES("\0\0\x0D\1\0\0\0\1\x3f\xc0\0\0"), /* 1.5 */
     "data.labels: labels are whole numbers of 32 bits, number 0 is 1.5"},
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcde"), BYTES("\0\0\x08\1\0\0\0\2\1\2"),
     "data.images, byte 16"},
    {BYTES("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef"), BYTES("\0\0\x08\1\0\0\0\2\1"),
     "data.labels, byte 8"},
  };
  nn_dataset d;
  nn_message why = {""};
  counting c;
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
    nn_allocator a = counting_allocator(&c, 100);
    put_file(images, sets[i].images, sets[i].image_size);
    put_file(labels, sets[i].labels, sets[i].label_size);
    memset(&d, 1, sizeof d);
    CHECK_STATUS(nn_dataset_load(images, labels, &a, &d, &why),
                 sets[i].says ? NN_ERR_FORMAT : NN_OK);
    if (sets[i].says) {
      CHECK_HAS(why.text, sets[i].says);
    } else {
      const int colours = i == 1;
      CHECK(d.count == 2 && d.channels == (colours ? 3 : 1));
      CHECK(d.height == 1 && d.width == (colours ? 1 : 3));
      CHECK_SAME(d.pixels, "abcdef", 6);
      CHECK(d.labels[0] == 1 && d.labels[1] == 255);
    }
    nn_dataset_free(&d);
    CHECK(c.live == 0 && d.count == 0 && !d.pixels);
  }
  put_file(images, sets[0].images, sets[0].image_size);
  put_file(labels, sets[0].labels, sets[0].label_size);
  for (int allowed = 0; allowed < 3; allowed++) {
    nn_allocator a = counting_allocator(&c, allowed);
    CHECK_STATUS(nn_dataset_load(images, labels, &a, &d, &why), NN_ERR_MEMORY);
    CHECK(c.live == 0 && d.count == 0);
  }
  CHECK_STATUS(nn_dataset_load(NULL, labels, test_allocator(), &d, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_load(images, labels, test_allocator(), NULL, &why), NN_ERR_ARGUMENT);
  nn_dataset_free(NULL);
  remove(images);
  CHECK_STATUS(nn_dataset_load(images, labels, test_allocator(), &d, &why), NN_ERR_IO);
  remove(labels);
}

/* Arrays of any type and layout; npy files are the same by another way. */
static nn_array array_of(nn_type type, int rank, const size_t *dim, counting *c)
{
  nn_array a;
  memset(&a, 0, sizeof a);
  a.type = type, a.rank = rank, a.count = 1;
  for (int i = 0; i < rank; i++) a.dim[i] = dim[i], a.count *= dim[i];
  a.allocator = counting_allocator(c, 100);
  const size_t each = type == NN_U8 ? 1 : type == NN_I64 || type == NN_F64 ? 8 : 4;
  a.data = a.allocator.allocate(a.allocator.user, a.count * each);
  for (size_t i = 0; i < a.count && a.data; i++)
    switch (type) {
    case NN_U8: ((uint8_t *)a.data)[i] = (uint8_t)(i % 7); break;
    case NN_I32: ((int32_t *)a.data)[i] = (int32_t)(i % 7); break;
    case NN_I64: ((int64_t *)a.data)[i] = (int64_t)(i % 7); break;
    case NN_F32: ((float *)a.data)[i] = (float)(i % 7); break;
    case NN_F64: ((double *)a.data)[i] = (double)(i % 7); break;
    }
  return a;
}

static void dataset_from_arrays(void)
{
  static const struct {
    int rank;
    size_t dim[4];
    int c, h, w, last; /* channels, height, width; whether channels come last. c 0: refused */
  } shapes[] = {{2, {3, 5}, 1, 1, 5, 0},          {3, {3, 6, 5}, 1, 6, 5, 0},
                {4, {3, 1, 6, 5}, 1, 6, 5, 0},    {4, {3, 3, 6, 5}, 3, 6, 5, 0},
                {4, {3, 6, 5, 3}, 3, 6, 5, 1},    {4, {3, 6, 5, 1}, 1, 6, 5, 1},
                {4, {3, 16, 6, 5}, 16, 6, 5, 0},  {4, {3, 1, 6, 1}, 1, 6, 1, 0},
                {4, {3, 3, 2, 3}, 0, 0, 0, 0},    {1, {3}, 0, 0, 0, 0},
                {4, {3, 3, 2, 1}, 3, 2, 1, 0}};
  static const nn_type types[] = {NN_U8, NN_I32, NN_I64, NN_F32, NN_F64};
  static const nn_type labels[] = {NN_I64, NN_U8, NN_F32, NN_I32};
  const size_t n = 3, rows[2] = {3, 2};
  nn_message why;
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
    for (int t = 0; t < 5; t++)
      for (int l = 0; l < 4; l++) { /* labels of four types; of [n] and [n,2] */
        counting cx, cy;
        const int c = shapes[s].c, plane = shapes[s].h * shapes[s].w;
        nn_array x = array_of(types[t], shapes[s].rank, shapes[s].dim, &cx);
        nn_array y = array_of(labels[l], 1 + l % 2, l % 2 ? rows : &n, &cy);
        nn_dataset d;
        const void *before = x.data;
        const nn_status status = nn_dataset_from_arrays(&x, &y, &d, &why);
        if (!c) {
          CHECK_STATUS(status, s == 8 ? NN_ERR_SHAPE : NN_ERR_FORMAT);
          CHECK_HAS(why.text, s == 8 ? "transpose(0, 3, 1, 2)" : "images: not images");
          CHECK(x.data == before && y.data && !d.count);
          nn_array_free(&x), nn_array_free(&y);
          continue;
        }
        CHECK_OK(status);
        CHECK(!x.data && !y.data && d.count == 3 && d.channels == c);
        CHECK(d.height == shapes[s].h && d.width == shapes[s].w);
        for (int i = 0; i < 3 * c * plane; i++) {
          const int image = i / (c * plane), channel = i / plane % c, place = i % plane;
          const int from = shapes[s].last ? (image * plane + place) * c + channel : i;
          CHECK((d.pixels ? (int)d.pixels[i] : (int)d.values[i]) == from % 7);
        }
        CHECK((d.pixels != NULL) == (types[t] == NN_U8));
        CHECK(d.labels[2] == 2 && d.label_size == (l % 2 ? 2 : 0));
        nn_dataset_free(&d);
        CHECK(cx.live == 0 && cy.live == 0);
      }
  for (int allowed = 1; allowed < 4; allowed++) { /* no memory for a copy: all is as it was */
    counting cx, cy;
    const size_t dim[4] = {3, 6, 5, 3};
    nn_array x = array_of(NN_I64, 4, dim, &cx), y = array_of(NN_I64, 1, &n, &cy);
    nn_dataset d;
    cx.allowed = allowed < 3 ? allowed : 100, cy.allowed = allowed == 3 ? 1 : 100;
    CHECK_STATUS(nn_dataset_from_arrays(&x, &y, &d, &why), NN_ERR_MEMORY);
    CHECK(x.data && y.data && cx.live == 1 && cy.live == 1 && ((int64_t *)x.data)[6] == 6);
    nn_array_free(&x), nn_array_free(&y);
  }
  { /* labels that an int32 does not hold, reals for labels, too few */
    counting cx, cy;
    const size_t two = 2;
    for (int k = 0; k < 3; k++) {
      nn_array x = array_of(NN_U8, 2, rows, &cx);
      nn_array y = array_of(k == 1 ? NN_F32 : NN_I64, 1, k == 2 ? &two : &n, &cy);
      nn_dataset d;
      if (k == 0) ((int64_t *)y.data)[1] = (int64_t)1 << 31;
      if (k == 1) ((float *)y.data)[2] = (float)NAN;
      CHECK_STATUS(nn_dataset_from_arrays(&x, &y, &d, &why), NN_ERR_FORMAT);
      CHECK_HAS(why.text, k == 0 ? "number 1 is 2.14748e+09" : k == 1 ? "number 2 is nan"
                                                             : "3 images: there are 2");
      CHECK(x.data && y.data);
      nn_array_free(&y);
      CHECK_OK(nn_dataset_from_arrays(&x, NULL, &d, &why)); /* without labels it is a set, too */
      CHECK(!d.labels && d.pixels);
      nn_dataset_free(&d);
      CHECK_STATUS(nn_dataset_from_arrays(&x, NULL, &d, &why), NN_ERR_ARGUMENT);
      CHECK_STATUS(nn_dataset_from_arrays(NULL, NULL, &d, &why), NN_ERR_ARGUMENT);
      CHECK(cx.live == 0 && cy.live == 0);
    }
  }
}

static void dataset_from_npy(void)
{
  const char *images = file_name("images"), *labels = file_name("labels");
  const size_t dim[4] = {2, 6, 5, 3}, n = 2;
  counting c;
  nn_message why;
  nn_dataset d;
  nn_array x = array_of(NN_U8, 4, dim, &c);
  CHECK_OK(nn_npy_save(images, &x, &why));
  nn_array_free(&x);
  x = array_of(NN_I64, 1, &n, &c);
  CHECK_OK(nn_npy_save(labels, &x, &why));
  nn_array_free(&x);
  CHECK_OK(nn_dataset_load(images, labels, test_allocator(), &d, &why));
  CHECK(d.count == 2 && d.channels == 3 && d.height == 6 && d.width == 5 && d.pixels[1] == 3);
  CHECK(d.labels[0] == 0 && d.labels[1] == 1);
  nn_dataset_free(&d);
  remove(images), remove(labels);
}

/* A path longer than a message still leaves room for its end and the reason. */
/* Records of every label in six files; a byte of their pixels tells file, record and place. */
enum { RECORDS = 20 };
static uint8_t cifar_byte(int k, int i, int j) { return (uint8_t)(37 * k + 11 * i + j * j / 7); }
static const char *cifar_file(int k)
{
  static const char *const names[6] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                       "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  return names[k];
}
static const char *cifar_place(void)
{
  static char path[1024];
  const char *build = getenv("BUILD");
  sprintf(path, "%.900s%s", build ? build : ".", build ? "/tests" : "");
  return path;
}
static const char *cifar_path(int k)
{
  static char path[1100];
  sprintf(path, "%s/%s", cifar_place(), cifar_file(k));
  return path;
}
static void put_cifar(int k, size_t size, int label)
{
  static uint8_t bytes[RECORDS * 3073];
  for (int i = 0; i < RECORDS; i++) {
    bytes[i * 3073] = (uint8_t)(i == 3 ? label : (i + k) % 10);
    for (int j = 0; j < 3072; j++) bytes[i * 3073 + 1 + j] = cifar_byte(k, i, j);
  }
  put_file(cifar_path(k), bytes, size);
}

static nn_status load_cifar(int test, int gray, const nn_allocator *a, nn_dataset *d,
                            nn_message *why)
{
  return nn_dataset_load_cifar10(cifar_place(), test, gray, a, d, why);
}

/* Channels that may be first or last: refused, and the array stays the caller's. */
static void channels_anywhere(void)
{
  static const size_t dims[][4] = {{4, 64, 4, 4}, {4, 64, 2, 2}, {4, 5, 5, 3}, {4, 16, 1, 1},
                                   {4, 64, 8, 4}, {4, 8, 8, 32}, {4, 3, 8, 9}};
  for (size_t i = 0; i < COUNT(dims); i++) {
    nn_message why;
    nn_dataset d;
    nn_array x;
    memset(&x, 0, sizeof x);
    x.type = NN_U8, x.rank = 4, x.count = 1, x.allocator = *test_filling();
    for (int k = 0; k < 4; k++) x.dim[k] = dims[i][k], x.count *= dims[i][k];
    x.data = test_allocate(NULL, x.count);
    const nn_status status = nn_dataset_from_arrays(&x, NULL, &d, &why);
    const int last = i == 2; /* 5x5 of 3 */
    CHECK_STATUS(status, i < 5 && !last ? NN_ERR_SHAPE : NN_OK);
    if (status == NN_OK) CHECK_INT(d.channels, last ? 3 : (int)dims[i][1]);
    else CHECK_HAS(why.text, "transpose");
    CHECK((status != NN_OK) == (x.data != NULL));
    nn_array_free(&x), nn_dataset_free(&d);
  }
}

static void dataset_from_cifar10(void)
{
  nn_message why = {""};
  nn_dataset d;
  counting c;
  for (int k = 0; k < 6; k++) put_cifar(k, RECORDS * 3073, 3);
  for (int kind = 0; kind < 4; kind++) {
    const int test = kind & 1, gray = kind / 2, each = gray ? 1024 : 3072;
    const int n = test ? RECORDS : 5 * RECORDS;
    nn_allocator a = counting_allocator(&c, 100);
    if (!CHECK_OK(load_cifar(test, gray, &a, &d, &why))) return;
    CHECK(d.count == n && d.channels == (gray ? 1 : 3) && d.height == 32 && d.width == 32);
    for (int i = 0; i < n; i++) {
      const int k = test ? 5 : i / RECORDS, r = i % RECORDS;
      CHECK_INT(d.labels[i], r == 3 ? 3 : (r + k) % 10);
      for (int j = 0; j < each; j++) {
        const int red = cifar_byte(k, r, j), green = cifar_byte(k, r, j + 1024);
        const int blue = cifar_byte(k, r, j + 2048);
        const int want = gray ? (int)(.299 * red + .587 * green + .114 * blue + .5) : red;
        if (!CHECK_INT(d.pixels[i * each + j], want)) return;
      }
    }
    CHECK(c.peak <= (size_t)n * ((size_t)each + 4) + 3073 + 1020); /* the set, a record, a path */
    nn_dataset_free(&d);
    CHECK(c.live == 0 && c.bytes == 0);
  }
  for (int allowed = 0; allowed < 3; allowed++) {
    nn_allocator a = counting_allocator(&c, allowed);
    CHECK_STATUS(load_cifar(0, 0, &a, &d, &why), NN_ERR_MEMORY);
    CHECK(c.live == 0 && d.count == 0);
  }
  nn_allocator a = counting_allocator(&c, 100);
  put_cifar(2, RECORDS * 3073, 10);
  CHECK_STATUS(load_cifar(0, 1, &a, &d, &why), NN_ERR_FORMAT);
  CHECK_HAS(why.text, "data_batch_3.bin, byte 9219: label 10 is not 0 .. 9");
  CHECK_OK(load_cifar(1, 1, &a, &d, &why)); /* the tests are another file */
  nn_dataset_free(&d);
  for (size_t size = 0; size <= 3072; size += 3072) {
    put_cifar(2, size, 3);
    CHECK_STATUS(load_cifar(0, 1, &a, &d, &why), NN_ERR_FORMAT);
    CHECK_HAS(why.text, size ? "batch_3.bin: 3072 bytes are not whole records" : "_3.bin: 0 b");
  }
  remove(cifar_path(4));
  put_cifar(2, 3073, 3);
  CHECK_STATUS(load_cifar(0, 1, &a, &d, &why), NN_ERR_IO);
  CHECK_HAS(why.text, "data_batch_5.bin: cannot open");
  CHECK_STATUS(nn_dataset_load_cifar10(NULL, 0, 1, &a, &d, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(load_cifar(0, 1, &a, NULL, &why), NN_ERR_ARGUMENT);
  CHECK(c.live == 0 && d.count == 0);
  for (int k = 0; k < 6; k++) remove(cifar_path(k));
}

static void long_paths_keep_their_end(void)
{
  char path[600];
  nn_array a;
  nn_message why;
  memset(path, 'd', sizeof path);
  for (int i = 100; i < 560; i += 100) path[i] = '/';
  strcpy(path + 560, "/train-images-idx3-ubyte");
  CHECK_STATUS(nn_idx_load(path, test_allocator(), &a, &why), NN_ERR_IO);
  CHECK_HAS(why.text, "train-images-idx3-ubyte: cannot open: ");
}

/* nn.h: a path to write to has at most 1019 bytes; one byte more is too many. */
static void longest_path(void)
{
  enum { LONGEST = 1019 };
  char path[LONGEST + 2];
  const char *short_path = file_name("longest");
  const size_t length = strlen(short_path), over = LONGEST - length;
  nn_message why;
  for (size_t i = 0; i < over; i++) path[i] = i % 2 || i + 1 == over ? '/' : '.';
  if (*short_path == '/') memset(path, '/', over); /* many slashes are one */
  strcpy(path + over, short_path);
#ifndef _WIN32 /* which has a limit of its own */
  CHECK_OK(nn_file_write(path, "x", 1, &why));
  CHECK(file_is_there(short_path));
  remove(short_path);
#endif
  memmove(path + 1, path, LONGEST + 1);
  path[0] = '/';
  CHECK_STATUS(nn_file_write(path, "x", 1, &why), NN_ERR_LIMIT);
  CHECK_HAS(why.text, "a path of 1020 bytes is too long: 1019 at most");
}
#endif

/* -------------------------------- batches of a data set --------------------------- */

/* A set of `count` images with values that tell where they came from. */
static nn_dataset some_pixels(uint8_t *pixels, int32_t *labels, int count, int c, int h, int w)
{
  nn_dataset d = nn_dataset_pixels(pixels, labels, count, c, h, w);
  for (int i = 0; i < count * c * h * w; i++) pixels[i] = (uint8_t)nn_random_at(1, 9, (uint64_t)i);
  for (int i = 0; labels && i < count; i++) labels[i] = i % 10;
  return d;
}

/* A set of its own of n images [c,h,w], byte i = 7 i + i/9, labels i. */
static nn_dataset owned_set(int n, int c, int h, int w, counting *count)
{
  const size_t dim[4] = {(size_t)n, (size_t)c, (size_t)h, (size_t)w};
  nn_array x, y;
  nn_dataset d;
  memset(&x, 0, sizeof x);
  x.allocator = counting_allocator(count, 9);
  x.type = NN_U8, x.rank = 4, x.count = (size_t)(n * c * h * w);
  memcpy(x.dim, dim, sizeof dim);
  x.data = count_allocate(count, x.count);
  y = x, y.type = NN_I32, y.rank = 1, y.count = (size_t)n;
  y.data = count_allocate(count, 4 * y.count);
  for (size_t i = 0; i < x.count; i++) ((uint8_t *)x.data)[i] = (uint8_t)(7 * i + i / 9);
  for (int i = 0; i < n; i++) ((int32_t *)y.data)[i] = i;
  CHECK_OK(nn_dataset_from_arrays(&x, &y, &d, NULL));
  return d;
}

/* Against the plain loops, each step alone and all together. */
static void transforms_are_the_plain_loops(void)
{
  enum { N = 7, H = 12, W = 9, P = H * W };
  static const nn_transform ways[] = {{1, 0, 0, 0, 0, 0}, {0, 6, 3, 0, 0, 0}, {0, 5, 4, 0, 0, 0},
                                      {0, 0, 0, 7, 4, 0}, {0, 0, 0, 0, 0, 3}, {1, 8, 6, 5, 5, 2}};
  for (size_t k = 0; k < COUNT(ways); k++) {
    const nn_transform *t = &ways[k];
    counting count;
    nn_dataset d = owned_set(N, 3, H, W, &count);
    const size_t before = count.peak;
    const int c = t->gray ? 1 : 3, h = t->height ? t->height : H, w = t->width ? t->width : W;
    const int ch = t->crop_height ? t->crop_height : h, cw = t->crop_width ? t->crop_width : w;
    const int every = t->every ? t->every : 1;
    CHECK_OK(nn_dataset_transform(&d, t, NULL));
    CHECK(d.count == (N + every - 1) / every && d.channels == c);
    CHECK(d.height == ch && d.width == cw && count.peak == before + 3 * P);
    for (int i = 0; i < d.count * c * ch * cw; i++) {
      const int image = i / (c * ch * cw) * every, q = i / (ch * cw) % c;
      const int row = i / cw % ch + (h - ch) / 2, column = i % cw + (w - cw) / 2;
      double sum = 0; /* each pixel cut into h w parts; of them H W make one of the result */
      for (int part = 0; part < P; part++) {
        const int r = row * H + part / W, s = column * W + part % W; /* of H h and W w */
        const int at = (image * 3 + q) * P + r / h * W + s / w;
        double v = (uint8_t)(7 * at + at / 9);
        if (t->gray) {
          const int g = at + P, b = at + 2 * P;
          v = floor(.299 * v + .587 * (uint8_t)(7 * g + g / 9) +
                    .114 * (uint8_t)(7 * b + b / 9) + .5);
        }
        sum += v / P;
      }
      if (!CHECK(fabs(d.pixels[i] - sum) <= .5 + 1e-9)) break;
    }
    for (int i = 0; i < d.count; i++) CHECK_INT(d.labels[i], i * every);
    nn_dataset_free(&d);
    CHECK(count.live == 0 && count.bytes == 0);
  }
}

static void transform_refuses(void)
{
  static const nn_transform bad[] = {{0, -1, 0, 0, 0, 0}, {0, 5, 0, 0, 0, 0}, {0, 0, 0, 0, 6, 0},
                                     {0, 2, 2, 3, 1, 0}, {0, 0, 0, 0, 0, -2}};
  const nn_transform gray = {1, 0, 0, 0, 0, 0};
  nn_message why;
  counting count;
  nn_dataset d = owned_set(2, 3, 4, 5, &count), borrowed = d;
  for (size_t k = 0; k < COUNT(bad); k++)
    CHECK_STATUS(nn_dataset_transform(&d, &bad[k], &why), NN_ERR_ARGUMENT);
  memset(borrowed.owned, 0, sizeof borrowed.owned);
  CHECK_STATUS(nn_dataset_transform(&borrowed, &gray, &why), NN_ERR_ARGUMENT);
  CHECK_HAS(why.text, "of its own");
  CHECK_STATUS(nn_dataset_transform(NULL, &gray, &why), NN_ERR_ARGUMENT);
  static const int32_t second[1] = {1};
  nn_dataset part = d;
  part.only = second, part.count = 1; /* its numbers are those of the arrays */
  CHECK_STATUS(nn_dataset_transform(&part, &gray, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_transform(&d, NULL, &why), NN_ERR_ARGUMENT);
  count.allowed = 0;
  CHECK_STATUS(nn_dataset_transform(&d, &gray, &why), NN_ERR_MEMORY);
  CHECK(d.count == 2 && d.channels == 3 && d.pixels[1] == 7);
  nn_dataset_free(&d);
}

static void dataset_pixels_defaults(void)
{
  uint8_t p[4] = {1, 2, 3, 4};
  int32_t l[1] = {3};
  nn_dataset d = nn_dataset_pixels(p, l, 1, 1, 2, 2);
  CHECK(d.count == 1 && d.channels == 1 && d.height == 2 && d.width == 2);
  CHECK(d.pixels == p && d.labels == l && !d.values && !d.targets && !d.lengths);
}

static void gather_is_the_plain_loop(void)
{
  static const struct {
    int c, h, w;
  } shapes[] = {{1, 1, 1}, {1, 5, 7}, {3, 4, 4}, {4, 3, 5}, {5, 2, 9}, {1, 28, 28}, {3, 32, 32}};
  static const int32_t index[] = {3, 0, 0, 6, 2};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    int c = shapes[s].c, h = shapes[s].h, w = shapes[s].w;
    size_t plane = (size_t)h * (size_t)w, sample = plane * (size_t)c;
    uint8_t *pixels = (uint8_t *)test_memory(7 * sample);
    nn_real *values = test_reals(7 * sample), *x = test_reals(5 * sample + 1);
    nn_real *want = test_reals(5 * sample);
    int32_t labels[7], got[5];
    nn_dataset d = some_pixels(pixels, labels, 7, c, h, w);
    for (int kind = 0; kind < 2; kind++) {
      if (kind == 1) { /* reals in place of bytes */
        test_fill(values, 7 * sample, 5);
        d.values = values;
        d.pixels = NULL;
      }
      for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < sample; j++) {
          size_t from = (size_t)index[i] * sample + j;
          want[i * sample + j] = kind ? values[from] : (nn_real)(pixels[from] / 255.);
        }
      }
      x[5 * sample] = 77;
      CHECK_OK(nn_gather(&d, index, 5, NULL, NULL, x, got));
      CHECK_NEAR_ALL(x, want, 5 * sample, kind ? 0 : 1e-7);
      CHECK(x[5 * sample] == 77);
      for (int i = 0; i < 5; i++) CHECK_INT(got[i], labels[index[i]]);
    }
    free(pixels);
    free(values);
    free(x);
    free(want);
  }
}

static void gather_refuses(void)
{
  uint8_t pixels[12] = {0};
  nn_real x[12];
  int32_t labels[3] = {0}, index[2] = {0, 2}, got[2];
  nn_dataset d = some_pixels(pixels, labels, 3, 1, 2, 2), e;
  nn_random r = {1, 1, 0};
  nn_augment none = {0, 0, 0, NULL}, flip = {1, 0, 0, NULL}, a;
  CHECK_OK(nn_gather(&d, index, 2, &none, NULL, x, got)); /* nothing to draw: no r needed */
  CHECK_OK(nn_gather(&d, index, 0, NULL, NULL, x, got));
  CHECK_OK(nn_gather(&d, NULL, 0, NULL, NULL, NULL, NULL));
  index[1] = 3;
  CHECK_STATUS(nn_gather(&d, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  index[1] = -1;
  CHECK_STATUS(nn_gather(&d, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  index[1] = 1;
  CHECK_STATUS(nn_gather(&d, index, -1, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gather(&d, NULL, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gather(&d, index, 2, NULL, NULL, NULL, got), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gather(NULL, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_gather(&d, index, 2, &flip, NULL, x, got), NN_ERR_ARGUMENT);
  a = flip;
  a.shift = -1;
  CHECK_STATUS(nn_gather(&d, index, 2, &a, &r, x, got), NN_ERR_ARGUMENT);
  a = flip;
  a.cutout = -1;
  CHECK_STATUS(nn_gather(&d, index, 2, &a, &r, x, got), NN_ERR_ARGUMENT);
  e = d;
  e.labels = NULL;
  CHECK_OK(nn_gather(&e, index, 2, NULL, NULL, x, NULL));
  CHECK_STATUS(nn_gather(&e, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  e = d;
  e.pixels = NULL;
  CHECK_STATUS(nn_gather(&e, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  e = d;
  e.width = 0;
  CHECK_STATUS(nn_gather(&e, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  e = d;
  e.channels = 0;
  CHECK_STATUS(nn_gather(&e, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  e = d;
  e.count = -1;
  CHECK_STATUS(nn_gather(&e, index, 2, NULL, NULL, x, got), NN_ERR_ARGUMENT);
  CHECK(r.counter == 0);
}

/* Two channels, 5 x 6, every pixel of an image different; what fills the edges of each. */
static const nn_real fills[2] = {(nn_real)-.25, (nn_real)1.5};
enum { AH = 5, AW = 6, AP = AH * AW, AN = 400 };
static nn_dataset augment_set(uint8_t pixels[2 * AP], int32_t index[AN])
{
  nn_dataset d = nn_dataset_pixels(pixels, NULL, 1, 2, AH, AW);
  for (int i = 0; i < 2 * AP; i++) pixels[i] = (uint8_t)(50 + i);
  for (int i = 0; i < AN; i++) index[i] = 0;
  return d;
}

/* What (mirror, down, right) must give at channel c, row y, column x. */
static double moved(const nn_dataset *d, int mirror, int down, int right, int c, int y, int x)
{
  y -= down;
  x -= right;
  if (y < 0 || y >= AH || x < 0 || x >= AW) return (double)fills[c];
  return d->pixels[c * AP + y * AW + (mirror ? AW - 1 - x : x)] / 255.;
}

static void augment_mirrors_and_moves(void)
{
  static const int shifts[] = {0, 1, 2, 9}; /* the last can move an image out of sight */
  uint8_t pixels[2 * AP];
  int32_t index[AN];
  nn_dataset d = augment_set(pixels, index);
  nn_real *x = test_reals(AN * 2 * AP);
  for (int flip = 0; flip < 2; flip++) {
    for (int s = 0; s < 4; s++) {
      nn_augment a = {0, 0, 0, fills};
      nn_random r = {1, (uint64_t)(10 * flip + s), 0};
      int mirrored = 0, unseen = 0, hidden = 0, seen[19][19] = {{0}}, range = shifts[s];
      a.flip = flip;
      a.shift = range;
      CHECK_OK(nn_gather(&d, index, AN, &a, &r, x, NULL));
      for (int i = 0; i < AN; i++) {
        int found = 0;
        for (int m = 0; m <= flip && !found; m++) {
          for (int down = -range; down <= range && !found; down++) {
            for (int right = -range; right <= range && !found; right++) {
              int same = 1;
              for (int j = 0; j < 2 * AP && same; j++) {
                double want = moved(&d, m, down, right, j / AP, j % AP / AW, j % AW);
                same = fabs(want - (double)x[i * 2 * AP + j]) < 1e-6;
              }
              if (!same) continue;
              found = 1;
              mirrored += m;
              seen[down + 9][right + 9]++;
            }
          }
        }
        if (!CHECK(found)) break;
        for (int j = 0; j < AP; j++) found += x[i * 2 * AP + j] == fills[0];
        hidden += found == AP + 1;
      }
      /* Seen in part with probability (9/19)(11/19). */
      CHECK(range == 9 ? hidden > AN * 0.62 && hidden < AN * 0.83 : hidden == 0);
      CHECK(range == 9 || !flip || (mirrored > AN / 2 - 60 && mirrored < AN / 2 + 60));
      for (int down = -range; down <= range; down++)
        for (int right = -range; right <= range; right++) unseen += !seen[down + 9][right + 9];
      CHECK(range == 9 || unseen == 0);
    }
  }
  free(x);
}

static void augment_cuts_out(void)
{
  static const int sides[] = {1, 2, 3, 4, 40};
  uint8_t pixels[2 * AP];
  int32_t index[AN];
  nn_dataset d = augment_set(pixels, index);
  nn_real *x = test_reals(AN * 2 * AP);
  for (int s = 0; s < 5; s++) {
    const nn_augment plain = {0, 0, 0, NULL}, filled = {0, 0, 0, fills};
    nn_augment a = s % 2 ? plain : filled; /* without a fill it is 0 */
    const nn_real fill[2] = {s % 2 ? 0 : fills[0], s % 2 ? 0 : fills[1]};
    nn_random r = {2, 2, 0};
    int side = sides[s], whole = 0, ever[AP] = {0};
    a.cutout = side;
    CHECK_OK(nn_gather(&d, index, AN, &a, &r, x, NULL));
    for (int i = 0; i < AN; i++) {
      const nn_real *p = x + i * 2 * AP;
      int top = AH, bottom = -1, left = AW, right = -1, zeros = 0;
      for (int j = 0; j < AP; j++) {
        CHECK((p[j] == fill[0]) == (p[AP + j] == fill[1])); /* the same place in both channels */
        if (p[j] != fill[0]) {
          CHECK_NEAR(p[j], moved(&d, 0, 0, 0, 0, j / AW, j % AW), 1e-6);
          CHECK_NEAR(p[AP + j], moved(&d, 0, 0, 0, 1, j / AW, j % AW), 1e-6);
          continue;
        }
        zeros++;
        ever[j]++;
        if (j / AW < top) top = j / AW;
        if (j / AW > bottom) bottom = j / AW;
        if (j % AW < left) left = j % AW;
        if (j % AW > right) right = j % AW;
      }
      /* A rectangle, not empty, of the side unless the image's edge cuts it. */
      CHECK(zeros > 0 && zeros == (bottom - top + 1) * (right - left + 1));
      CHECK(bottom - top < side && right - left < side);
      CHECK(bottom - top + 1 == side || top == 0 || bottom == AH - 1);
      CHECK(right - left + 1 == side || left == 0 || right == AW - 1);
      whole += zeros == AP;
    }
    CHECK(side < 40 || whole == AN);
    for (int j = 0; j < AP; j++) CHECK(ever[j] > 0);
  }
  free(x);
}

static void augment_depends_on_the_place_alone(void)
{
  uint8_t pixels[2 * AP];
  int32_t index[AN];
  nn_dataset d = augment_set(pixels, index);
  nn_augment a = {1, 2, 3, NULL};
  nn_random r = {7, 8, 0}, q = {7, 8, 0};
  nn_real *x = test_reals(AN * 2 * AP), *y = test_reals(AN * 2 * AP);
  int same = 0;
  CHECK_OK(nn_gather(&d, index, AN, &a, &r, x, NULL));
  for (int i = 0, n = 1; i < AN; i += n, n = n % 7 + 1) { /* in batches of other sizes */
    if (n > AN - i) n = AN - i;
    CHECK_OK(nn_gather(&d, index, n, &a, &q, y + i * 2 * AP, NULL));
  }
  CHECK_SAME(x, y, AN * 2 * AP * sizeof *x);
  CHECK(r.counter == q.counter && r.counter > 0);
  CHECK_OK(nn_gather(&d, index, AN, &a, &r, y, NULL)); /* and goes on with other draws */
  for (int i = 0; i < AN; i++)
    same += memcmp(x + i * 2 * AP, y + i * 2 * AP, 2 * AP * sizeof *x) == 0;
  CHECK(same < AN / 10);
  /* Where nothing is asked for nothing is drawn. */
  nn_augment none = {0, 0, 0, fills};
  uint64_t before = r.counter;
  CHECK_OK(nn_gather(&d, index, 2, &none, &r, x, NULL));
  CHECK_OK(nn_gather(&d, index, 2, NULL, NULL, y, NULL));
  CHECK_SAME(x, y, 4 * AP * sizeof *x);
  CHECK(r.counter == before);
  free(x);
  free(y);
}

/* Over channels (0) or the features of rows (1). */
static void moments_make_mean_0_deviation_1(void)
{
  static const int channels[] = {1, 2, 3, 4, 6, 40};
  for (int k = 0; k < 24; k++) {
    const int features = k / 2 % 2, groups = channels[k / 4];
    int c = features ? 1 : groups, w = features ? groups : 6;
    int n = 50, plane = 7 * w, all = n * c * plane;
    uint8_t *pixels = (uint8_t *)test_memory((size_t)all);
    nn_real *values = test_reals((size_t)all), *x = test_reals((size_t)all);
    nn_real *mean = test_reals((size_t)groups), *scale = test_reals((size_t)groups);
    int32_t index[50];
    nn_dataset d = some_pixels(pixels, NULL, n, c, 7, w);
    for (int i = 0; i < n; i++) index[i] = i;
    for (int i = 0; i < all; i++) { /* every group its own range */
      int group = features ? i % w : i / plane % c;
      pixels[i] = (uint8_t)(pixels[i] / (group % 5 + 1) + 3 * group);
      values[i] = (nn_real)(1000 + pixels[i]);
    }
    if (k % 2) {
      d.pixels = NULL;
      d.values = values;
    }
    CHECK_OK(nn_dataset_moments(&d, (size_t)groups, mean, scale));
    CHECK_OK(nn_gather(&d, index, n, NULL, NULL, x, NULL));
    for (int group = 0; group < groups; group++) {
      double sum = 0, square = 0, m = 0;
      for (int i = 0; i < all; i++) {
        if ((features ? i % w : i / plane % c) != group) continue;
        const double v = ((double)x[i] - (double)mean[group]) * (double)scale[group];
        sum += v;
        square += v * v;
        m++;
      }
      CHECK_NEAR(sum / m, 0, 2e-5);
      CHECK_NEAR(square / m, 1, 2e-5);
    }
    CHECK_STATUS(nn_dataset_moments(&d, (size_t)groups + 1, mean, scale), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_dataset_moments(&d, (size_t)groups, NULL, scale), NN_ERR_ARGUMENT);
    free(pixels), free(values), free(x), free(mean), free(scale);
  }
}

/* Steps past a sample's end are not counted, whatever lies there. */
static void moments_of_lengths(void)
{
  const nn_real values[2 * 4 * 2] = {1, 10, 3, 30, (nn_real)1e6, (nn_real)NAN, (nn_real)1e6, 7,
                                     1, 10, 3, 30, 5,            50,           7,            70};
  const int32_t lengths[2] = {2, 4};
  nn_real mean[2], scale[2];
  nn_dataset d;
  memset(&d, 0, sizeof d);
  d.count = 2, d.channels = 1, d.height = 4, d.width = 2, d.values = values, d.lengths = lengths;
  CHECK_OK(nn_dataset_moments(&d, 2, mean, scale));
  for (int k = 0; k < 2; k++) {
    CHECK_NEAR(mean[k], 20. / 6 * (k ? 10 : 1), 1e-5);
    CHECK_NEAR(1 / scale[k], sqrt(94. / 6 - 100. / 9) * (k ? 10 : 1), 1e-5);
  }
}

static void moments_of_odd_sets(void)
{
  uint8_t pixels[8] = {9, 9, 9, 9, 9, 9, 9, 9};
  nn_real values[8] = {0}, mean = 5, scale = 6;
  nn_dataset d = nn_dataset_pixels(pixels, NULL, 2, 1, 2, 2), e = d;
  e.count = 0;
  CHECK_STATUS(nn_dataset_moments(&e, 1, &mean, &scale), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_moments(NULL, 1, &mean, &scale), NN_ERR_ARGUMENT);
  e = d;
  e.pixels = NULL;
  CHECK_STATUS(nn_dataset_moments(&e, 1, &mean, &scale), NN_ERR_ARGUMENT);
  e.values = values;
  values[3] = (nn_real)NAN;
  CHECK_STATUS(nn_dataset_moments(&e, 1, &mean, &scale), NN_ERR_ARGUMENT);
  values[3] = (nn_real)INFINITY;
  CHECK_STATUS(nn_dataset_moments(&e, 1, &mean, &scale), NN_ERR_ARGUMENT);
  CHECK(mean == 5 && scale == 6); /* unchanged by what failed */
  CHECK_OK(nn_dataset_moments(&d, 1, &mean, &scale)); /* constant: becomes 0, not NaN */
  CHECK_NEAR(mean, 9 / 255., 1e-8);
  CHECK(scale == 1);
}

/* ------------------------------------ drawn sets ---------------------------------- */

typedef void (*drawer)(uint64_t seed, int count, uint8_t *pixels, int32_t *labels);

/* Classes that even the nearest mean image tells apart, but does not tell apart for good. */
static double nearest_mean(const uint8_t *pixels, const int32_t *labels, int train, int test,
                           size_t size)
{
  double *mean = (double *)test_memory(10 * size * sizeof *mean), right = 0;
  int count[10] = {0};
  for (int i = 0; i < train; i++) count[labels[i]]++;
  for (int i = 0; i < train; i++)
    for (size_t j = 0; j < size; j++)
      mean[(size_t)labels[i] * size + j] += pixels[(size_t)i * size + j] / (double)count[labels[i]];
  for (int i = train; i < train + test; i++) {
    double best = 1e300;
    int guess = 0;
    for (int c = 0; c < 10; c++) {
      double sum = 0;
      for (size_t j = 0; j < size; j++) {
        double v = pixels[(size_t)i * size + j] - mean[(size_t)c * size + j];
        sum += v * v;
      }
      if (sum < best) {
        best = sum;
        guess = c;
      }
    }
    right += guess == labels[i];
  }
  free(mean);
  return right / test;
}

static void check_drawn(drawer draw, size_t size)
{
  enum { N = 200 };
  uint8_t *a = (uint8_t *)test_memory(N * size), *b = (uint8_t *)test_memory(N * size);
  int32_t la[N], lb[N];
  int in_place = 0, grainy = 0, repeated = 0;
  draw(5, N, a, la);
  draw(5, N, b, lb);
  CHECK_SAME(a, b, N * size);
  CHECK_SAME(la, lb, sizeof la);
  memset(b, 0, N * size);
  memset(lb, 0xff, sizeof lb);
  draw(5, 33, b, lb); /* a sample does not depend on how many there are */
  CHECK_SAME(a, b, 33 * size);
  CHECK_SAME(la, lb, 33 * sizeof la[0]);
  for (size_t i = 33 * size; i < N * size; i++)
    if (!CHECK(b[i] == 0)) break;
  CHECK_INT(lb[33], -1);
  draw(5, 0, b, lb);
  draw(6, N, b, lb);
  for (size_t i = 0; i < N; i++) {
    int low = 255, high = 0;
    CHECK(memcmp(a + i * size, b + i * size, size) != 0);
    for (size_t j = 0; j < size; j++) {
      if (a[i * size + j] < low) low = a[i * size + j];
      if (a[i * size + j] > high) high = a[i * size + j];
    }
    CHECK(high - low > 60); /* there is something to be seen */
    in_place += la[i] == lb[i];
    grainy += a[i * size] != a[i * size + 1]; /* noise in the corner, where nothing is drawn */
    repeated += i >= 10 && la[i] == la[i - 10];
  }
  CHECK(in_place < N / 4);
  CHECK(grainy > N / 2);
  CHECK(repeated < N / 4); /* in an order of their own each time */
  for (int i = 0; i < N; i += 10) { /* every ten samples have every class */
    int seen = 0;
    for (int j = 0; j < 10; j++)
      if (CHECK(la[i + j] >= 0 && la[i + j] < 10)) seen |= 1 << la[i + j];
    CHECK_INT(seen, 1023);
  }
  free(a);
  free(b);
}

static void drawn_digits(void)
{
  uint8_t *pixels = (uint8_t *)test_memory(2500 * 784);
  int32_t *labels = (int32_t *)test_memory(2500 * sizeof *labels);
  double accuracy;
  check_drawn(draw_digits, 784);
  draw_digits(1, 2500, pixels, labels);
  accuracy = nearest_mean(pixels, labels, 2000, 500, 784);
  if (!CHECK(accuracy > 0.5 && accuracy < 0.9)) fprintf(stderr, "    %g\n", accuracy);
  free(pixels);
  free(labels);
}

static void drawn_shapes(void)
{
  check_drawn(draw_shapes, 3072);
}

int main(void)
{
  RUN(random_known_answers);
  RUN(random_next_walks_the_stream);
  RUN(random_below_is_even);
  RUN(random_uniform_and_normal);
  RUN(shuffle_is_a_permutation);
  RUN(shuffle_is_even);
  RUN(shuffle_depends_on_seed_and_epoch);
  RUN(crc32_is_that_of_zip);
  RUN(every_status_has_words);
  RUN(idx_values);
  RUN(idx_malformed);
  RUN(idx_cut_short_or_without_memory);
  RUN(npy_values);
  RUN(npy_converted);
  RUN(npy_malformed);
  RUN(npy_cut_short_or_without_memory);
  RUN(cifar10_values);
  RUN(cifar10_malformed);
#ifndef NN_NO_STDIO
  RUN(file_read_and_limits);
  RUN(file_write_replaces_whole_files);
  RUN(file_write_keeps_the_old_file);
  RUN(file_write_touches_no_other);
  RUN(file_writers_take_turns);
  RUN(npy_round_trip);
  RUN(npy_save_is_numpys);
  RUN(load_from_files);
  RUN(dataset_from_files);
  RUN(dataset_from_arrays);
  RUN(dataset_from_npy);
  RUN(channels_anywhere);
  RUN(dataset_from_cifar10);
  RUN(long_paths_keep_their_end);
  RUN(longest_path);
#endif
  RUN(transforms_are_the_plain_loops);
  RUN(transform_refuses);
  RUN(dataset_pixels_defaults);
  RUN(gather_is_the_plain_loop);
  RUN(gather_refuses);
  RUN(augment_mirrors_and_moves);
  RUN(augment_cuts_out);
  RUN(augment_depends_on_the_place_alone);
  RUN(moments_make_mean_0_deviation_1);
  RUN(moments_of_lengths);
  RUN(moments_of_odd_sets);
  RUN(drawn_digits);
  RUN(drawn_shapes);
  return test_end("data");
}
