/* What tests/goldens.py computed, and the hash from which both sides draw weights and inputs. The
 * file's format is described there. */
#ifndef NN_GOLDENS_H
#define NN_GOLDENS_H

#include "test.h"

#ifndef NN_GOLDENS
#define NN_GOLDENS "tests/goldens/" /* the folder */
#endif

/* ------------------------------ the hash that both sides share ------------------------------ */

static TEST_UNUSED uint32_t fnv1a(uint32_t h, const char *text) {
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x01000193u;
  return h;
}

/* The key of "net/prefix" + name. */
static TEST_UNUSED uint32_t key_of(const char *net, const char *prefix, const char *name) {
  return fnv1a(fnv1a(fnv1a(fnv1a(0x811c9dc5u, net), "/"), prefix), name);
}

static TEST_UNUSED uint32_t bits(uint32_t key, size_t i) {
  uint32_t x = key + (uint32_t)i * 0x9e3779b9u;
  x ^= x >> 16, x *= 0x7feb352du;
  x ^= x >> 15, x *= 0x846ca68bu;
  return x ^ x >> 16;
}

/* A multiple of 2^-23 in [-1, 1). */
static TEST_UNUSED double unit(uint32_t key, size_t i) {
  return ((double)(bits(key, i) >> 8) - 8388608.0) / 8388608.0;
}

static TEST_UNUSED void draw(nn_real *to, size_t count, uint32_t key, double scale, double offset) {
  for (size_t i = 0; i < count; i++) to[i] = (nn_real)(offset + scale * unit(key, i));
}

/* How far an element may be off, relative to itself plus the root mean square of its array. */
#define TOLERANCE 1e-5

/* --------------------------------------- the records ---------------------------------------- */

static struct {
  uint32_t *word;     /* of the whole file, in this machine's byte order */
  unsigned char *hit; /* for each word that begins a record: compared */
  size_t words;
} goldens;

static TEST_UNUSED void load_goldens(const char *name) {
  char path[sizeof NN_GOLDENS + 40];
  unsigned char b[4];
  size_t room = 0;
  sprintf(path, NN_GOLDENS "%.40s", name);
  FILE *f = fopen(path, "rb");
  while (f && fread(b, 1, 4, f) == 4) {
    if (goldens.words == room) {
      room = 2 * room + 4096;
      goldens.word = (uint32_t *)realloc(goldens.word, room * sizeof *goldens.word);
      if (!goldens.word) break;
    }
    goldens.word[goldens.words++] =
        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  }
  if (f) fclose(f);
  if (goldens.words == 0 || goldens.word[0] != 0x316c676eu) {
    fprintf(stderr, "%s: missing or damaged; run from the top folder\n", path);
    exit(2);
  }
  goldens.hit = (unsigned char *)test_memory(goldens.words);
}

static TEST_UNUSED double stored(size_t place) {
  float f;
  if (place >= goldens.words) return 0;
  memcpy(&f, &goldens.word[place], sizeof f);
  return f;
}

/* The words of a record but its key, 0 when there is no such record. */
static TEST_UNUSED size_t find(uint32_t key) {
  for (size_t i = 1; i + 2 < goldens.words;) {
    uint32_t count = goldens.word[i + 1], stride = goldens.word[i + 2];
    if (goldens.word[i] == key) return i + 1;
    if (stride == 0) break;
    i += 3 + (count + stride - 1) / stride + (stride > 1 ? 2 : 0);
  }
  return 0;
}

/* Compares an array with the record "net/prefix" + name. */
static TEST_UNUSED void expect_near(const char *net, const char *prefix, const char *name,
                                    const nn_real *a, size_t count, double tol) {
  uint32_t key = key_of(net, prefix, name);
  size_t place = find(key), stride, kept, worst = 0;
  double norm = 0, most = 0;
  if (!place || goldens.word[place] != count || !a) {
    if (test_fail(__FILE__, __LINE__))
      fprintf(stderr, "%s/%s%s: %s\n", net, prefix, name,
              !place ? "no such record" : !a ? "NULL" : "another count");
    return;
  }
  goldens.hit[place] = 1;
  stride = goldens.word[place + 1];
  place += 2;
  kept = (count + stride - 1) / stride;
  for (size_t i = 0; i < kept; i++) norm += stored(place + i) * stored(place + i);
  norm = stride > 1 ? stored(place + kept + 1) : sqrt(norm);
  for (size_t i = 0; i < kept; i++) {
    double want = stored(place + i), scale = fabs(want) + norm / sqrt((double)count) + 1e-3;
    double off = fabs((double)a[i * stride] - want) / scale;
    if (!(off <= most)) most = off, worst = i;
    if (off != off) break; /* NaN */
  }
  if (!(most <= tol) && test_fail(__FILE__, __LINE__))
    fprintf(stderr, "%s/%s%s[%lu] = %.9g, PyTorch %.9g, off by %.2g, allowed %.2g\n", net, prefix,
            name, (unsigned long)(worst * stride), (double)a[worst * stride],
            stored(place + worst), most, tol);
  if (stride > 1) {
    double sum = 0, want = stored(place + kept);
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * unit(key, i);
    if (!(fabs(sum - want) <= tol * norm + 1e-6) && test_fail(__FILE__, __LINE__))
      fprintf(stderr, "%s/%s%s: random sum %.9g, PyTorch %.9g, allowed %.2g\n", net, prefix, name,
              sum, want, tol * norm + 1e-6);
  }
  if (getenv("NN_TORCH_SHOW")) printf("%10.2e %s/%s%s\n", most, net, prefix, name);
}

/* A record that no case above compared is a case that was forgotten. */
static TEST_UNUSED void every_record(void) {
  if (getenv("NN_TEST_ONLY") || getenv("NN_TEST_WITHOUT")) {
    SKIP("only some functions were run");
    return;
  }
  for (size_t i = 1; i + 2 < goldens.words;) {
    uint32_t count = goldens.word[i + 1], stride = goldens.word[i + 2];
    if (!goldens.hit[i + 1] && test_fail(__FILE__, __LINE__))
      fprintf(stderr, "the record at word %lu, %lu elements, was compared with nothing\n",
              (unsigned long)i, (unsigned long)count);
    if (!CHECK(stride != 0)) return;
    i += 3 + (count + stride - 1) / stride + (stride > 1 ? 2 : 0);
  }
}

static TEST_UNUSED void free_goldens(void) {
  free(goldens.word);
  free(goldens.hit);
}

static TEST_UNUSED int ends_in(const char *text, const char *end) {
  size_t n = strlen(text), k = strlen(end);
  return n >= k && strcmp(text + n - k, end) == 0;
}

/* Weights (rank 2 and more): the greatest power of two up to 1/sqrt(fan_in); the rest 1/2. */
static TEST_UNUSED void set_parameters(nn_model *m, const char *net) {
  for (int i = 0; i < nn_param_count(m); i++) {
    nn_param p;
    double scale = .5;
    if (!CHECK_OK(nn_get_param(m, i, &p))) return;
    if (p.rank > 1)
      for (scale = 1; scale * scale * (double)(p.count / (size_t)p.dim[0]) > 1;) scale /= 2;
    draw(p.value, p.count, key_of(net, "", p.name), scale, ends_in(p.name, "running_var") ? 1 : 0);
  }
}

#endif
