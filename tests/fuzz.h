/* The frame of the fuzz programs: what a target is, random changes, and both ways to be driven.
 *
 *   -DNN_LIBFUZZER -fsanitize=fuzzer   libFuzzer drives it: NN_FUZZ=TARGET PROGRAM DIR..
 *   PROGRAM -t TARGET -n RUNS          random changes of drawn seeds, as many as wanted,
 *   PROGRAM -t TARGET -d SECONDS       or for so long; -s SEED for others
 *   PROGRAM -t TARGET FILE..           replays files; so AFL++ can drive it: .. -t TARGET @@
 *   PROGRAM -t TARGET -w DIR           writes seeds for either to DIR
 *
 * A program defines its targets, then FUZZ_ENTRY and a main. */
#ifndef NN_FUZZ_H
#define NN_FUZZ_H

#include <limits.h>
#include <time.h>

#include "test.h"

enum { FUZZ_ROOM = 1 << 14 }; /* bytes of an input that is changed */

typedef struct Target {
  const char *name;
  void (*run)(const uint8_t *data, size_t size); /* fuzz_fail if anything does not hold */
  size_t (*seed)(uint8_t *data);                 /* an input to start from, at most FUZZ_ROOM/2 */
  size_t (*change)(uint8_t *data, size_t size);  /* one change where it hurts; the new size */
} Target;

static int fuzz_failures;
static void fuzz_fail(const char *what, const char *more) {
  fprintf(stderr, "  fuzz: %s%s%s\n", what, *more ? ": " : "", more);
  fuzz_failures++;
#ifdef NN_LIBFUZZER
  abort();
#endif
}

/* ---- chance ---- */

static nn_random dice;
static int up_to(int n) { return (int)nn_random_below(&dice, (uint32_t)n + 1); }

static void put(uint8_t *to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

/* Numbers that have broken readers: what wraps, what is one too many, what has the sign's bit. */
static uint64_t hard_number(void) {
  static const uint64_t numbers[] = {
      0, 1, 2, 3, 4, 5, 8, 16, 127, 128, 255, 256, 511, 4095, 65535, 65536, 1u << 20,
      (1u << 20) + 1, 1u << 24, 0x7FFFFFFF, 1u << 31, 0xFFFFFFFF, (uint64_t)1 << 32,
      (uint64_t)1 << 53, (uint64_t)1 << 63, UINT64_MAX};
  return numbers[up_to((int)(sizeof numbers / sizeof *numbers) - 1)];
}

/* Copies n bytes from one place of the input into another, moving what follows. */
static size_t fuzz_insert(uint8_t *data, size_t size, size_t at, const uint8_t *from, size_t n) {
  uint8_t copy[256];
  if (n > sizeof copy || size + n > FUZZ_ROOM) return size;
  memcpy(copy, from, n);
  memmove(data + at + n, data + at, size - at);
  memcpy(data + at, copy, n);
  return size + n;
}

static size_t fuzz_remove(uint8_t *data, size_t size, size_t at, size_t n) {
  if (n > size - at) n = size - at;
  memmove(data + at, data + at + n, size - at - n);
  return size - n;
}

/* A change of bytes that knows nothing of the format. near: where most of them fall, for what
 * matters is the head. */
static size_t change_bytes(uint8_t *data, size_t size, size_t near) {
  const size_t reach = size > near && up_to(3) ? near : size;
  const size_t at = reach ? (size_t)up_to((int)reach - 1) : 0, left = size - at;
  uint8_t bytes[8];
  const int wide = 1 << up_to(3), big = up_to(1);
  const uint64_t number = hard_number();
  if (size == 0) return fuzz_insert(data, 0, 0, (const uint8_t *)"\0", 1);
  for (int i = 0; i < wide; i++) bytes[i] = (uint8_t)(number >> 8 * (big ? wide - 1 - i : i));
  switch (up_to(7)) {
  case 0: data[at] ^= (uint8_t)(1 << up_to(7)); break;
  case 1: data[at] = (uint8_t)up_to(255); break;
  case 2: data[at] = (uint8_t)(data[at] + up_to(8) - 4); break;
  case 3:
  case 4:
    if (left >= (size_t)wide) memcpy(data + at, bytes, (size_t)wide);
    break;
  case 5: return fuzz_remove(data, size, at, 1 + (size_t)up_to(up_to(3) ? 8 : 256));
  case 6: return fuzz_insert(data, size, at, bytes, (size_t)wide);
  default: {
    const size_t n = nn_random_below(&dice, (uint32_t)(left < 64 ? left : 64)) + 1;
    return fuzz_insert(data, size, (size_t)up_to((int)size), data + at, n);
  }
  }
  return size;
}

/* ---- driving ---- */

static const Target *fuzz_find(const Target *targets, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (name && strcmp(targets[i].name, name) == 0) return &targets[i];
  fprintf(stderr, "fuzz: no target '%s'; there are", name ? name : "");
  for (int i = 0; i < count; i++) fprintf(stderr, " %s", targets[i].name);
  fprintf(stderr, "\n");
  exit(2);
}

#ifdef NN_LIBFUZZER

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

/* Half of the changes are libFuzzer's own, half the target's. */
static size_t fuzz_custom(const Target *t, uint8_t *data, size_t size, size_t most,
                          unsigned seed) {
  static uint8_t room[FUZZ_ROOM];
  dice.seed = seed, dice.counter = 0;
  if (up_to(1) || size > sizeof room) return LLVMFuzzerMutate(data, size, most);
  memcpy(room, data, size);
  if (up_to(999) == 0) size = t->seed(room);
  for (int n = up_to(2); n >= 0; n--) size = t->change(room, size);
  if (size > most) size = most;
  memcpy(data, room, size);
  return size;
}

#define FUZZ_ENTRY(targets)                                                                        \
  static const Target *fuzz_target(void) {                                                         \
    static const Target *t;                                                                        \
    if (!t) t = fuzz_find(targets, sizeof targets / sizeof *targets, getenv("NN_FUZZ"));           \
    return t;                                                                                      \
  }                                                                                                \
  int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {                                   \
    fuzz_target()->run(data, size);                                                                \
    return 0;                                                                                      \
  }                                                                                                \
  size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {         \
    return fuzz_custom(fuzz_target(), data, size, most, seed);                                     \
  }

#else

#define FUZZ_ENTRY(targets)

/* In memory of exactly its size, so that a sanitizer sees the first byte read beyond it. */
static int fuzz_holds(const Target *t, const uint8_t *data, size_t size) {
  uint8_t *copy = (uint8_t *)test_memory(size);
  memcpy(copy, data, size);
  fuzz_failures = 0;
  t->run(copy, size);
  free(copy);
  return !fuzz_failures;
}

static int fuzz_save(const char *path, const uint8_t *data, size_t size) {
  FILE *f = fopen(path, "wb");
  int whole = f && fwrite(data, 1, size, f) == size;
  if (f && fclose(f)) whole = 0;
  if (!whole) fprintf(stderr, "fuzz: cannot write %s\n", path);
  return whole;
}

/* runs changed seeds, or as many as `seconds` allow; how many were treated wrongly. */
static long fuzz_run(const Target *t, long runs, double seconds, long *done) {
  static uint8_t seed[FUZZ_ROOM], data[FUZZ_ROOM];
  const time_t start = time(NULL);
  size_t seed_size = 0, size;
  long bad = 0;
  for (*done = 0; *done < runs; ++*done) {
    if (*done % 100 == 0) {
      if (seconds > 0 && difftime(time(NULL), start) >= seconds) break;
      seed_size = t->seed(seed);
    }
    memcpy(data, seed, size = seed_size);
    for (int n = up_to(3); n >= 0; n--) size = t->change(data, size);
    if (fuzz_holds(t, data, size)) continue;
    if (bad++) continue;
    fprintf(stderr, "  the first of target %s is in fuzz.bin\n", t->name);
    fuzz_save("fuzz.bin", data, size);
  }
  return bad;
}

static long fuzz_replay(const Target *t, const char *path) {
  static uint8_t data[1 << 20];
  FILE *f = fopen(path, "rb");
  size_t size = f ? fread(data, 1, sizeof data, f) : 0;
  if (!f) return fprintf(stderr, "fuzz: cannot open %s\n", path), 1;
  fclose(f);
  return !fuzz_holds(t, data, size);
}

static long fuzz_seeds(const Target *t, const char *folder) {
  static uint8_t data[FUZZ_ROOM];
  char path[512];
  long bad = 0;
  for (int i = 0; i < 200; i++) {
    snprintf(path, sizeof path, "%s/seed-%03d", folder, i);
    bad += !fuzz_save(path, data, t->seed(data));
  }
  return bad;
}

static int fuzz_command(const Target *targets, int count, int words, char **word) {
  const Target *t = NULL;
  long runs = 0, done = 0, bad = 0;
  double seconds = 0;
  for (int i = 1; i < words; i++) {
    const char *value = i + 1 < words ? word[i + 1] : "";
    if (word[i][0] != '-') {
      if (!t) fuzz_find(targets, count, NULL);
      bad += fuzz_replay(t, word[i]), done++;
      continue;
    }
    i++;
    if (word[i - 1][1] == 't') t = fuzz_find(targets, count, value);
    if (word[i - 1][1] == 'n') runs = strtol(value, NULL, 10);
    if (word[i - 1][1] == 'd') seconds = strtod(value, NULL), runs = LONG_MAX;
    if (word[i - 1][1] == 's') dice.seed = strtoull(value, NULL, 10);
    if (word[i - 1][1] == 'w' && t) bad += fuzz_seeds(t, value);
  }
  if (!t) fuzz_find(targets, count, NULL);
  if (runs) bad += fuzz_run(t, runs, seconds, &done);
  printf("%s: %ld executions, %ld treated wrongly\n", t->name, done, bad);
  return bad != 0;
}

#endif

#endif
