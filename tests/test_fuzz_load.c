/* Fuzzes nn_load_memory: any bytes give a model or a clear error, and leave nothing behind.
 *
 *   cc -I. tests/test_fuzz_load.c nn.c -lm -lpthread   20000 mutations of drawn models, fixed seed
 *   test_fuzz_load -n RUNS [-s SEED]                   as many as wanted, from another seed
 *   test_fuzz_load FILE...                             replays files
 *   clang -fsanitize=fuzzer,address,undefined -DNN_LIBFUZZER -I. tests/test_fuzz_load.c nn.c
 *                                                      grows its own corpus
 *
 * Every input is loaded as it is and with its CRCs made right, or nearly nothing would get past
 * them. What loads must save and load again to the same bytes, and run. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* ---- the allocator under the loader: counts, and knows the documented bound ---- */

static struct {
  long live;
  size_t bound; /* no single allocation may be larger */
  int broken;
} heap;
enum { BATCH = 2, REFUSED = 1 << 26 }; /* what is large but allowed is "out of memory" here */

static void *allocate(void *user, size_t size) {
  void *p;
  (void)user;
  if (size > heap.bound) heap.broken = 1;
  p = size > REFUSED ? NULL : malloc(size);
  heap.live += p != NULL;
  return p;
}

static void release(void *user, void *memory, size_t size) {
  (void)user;
  memset(memory, 0xDD, size);
  free(memory);
  heap.live--;
}

static nn_config config(int inference) {
  nn_config c = nn_config_default();
  c.batch = BATCH;
  c.inference = inference;
  c.allocator.allocate = allocate;
  c.allocator.release = release;
  return c;
}

/* ---- what has to hold for any bytes ---- */

static int failures;
static void fail(const char *what, const char *more) {
  fprintf(stderr, "  fuzz_load: %s%s%s\n", what, *more ? ": " : "", more);
  failures++;
#ifdef NN_LIBFUZZER
  abort();
#endif
}

/* Runs a loaded model if it is small enough: whatever was accepted must not harm. */
static void run(nn_model *m, int training) {
  static nn_real zero[1 << 16];
  static int32_t label[1 << 16];
  double macs = 0;
  int i, k;
  nn_batch b;
  nn_node_info info;
  memset(&b, 0, sizeof b);
  b.n = BATCH;
  for (i = 0; i < nn_node_count(m); i++) {
    double size = 1;
    if (nn_get_node(m, i, &info) != NN_OK) fail("nn_get_node", "");
    for (k = 0; k < info.rank; k++) size *= info.dim[k];
    macs += info.macs + 10 * size;
    if (size * BATCH > 1 << 16) return;
  }
  if (nn_memory(m) > 1 << 20 || macs > 1e6) return;
  for (i = 0; i < NN_MAX_INPUTS; i++) b.x[i] = zero;
  b.labels = label;
  b.values = zero;
#ifndef NN_NO_TRAINING
  if (training) {
    for (i = 0; i < 2; i++) nn_train(m, &b, NULL, NULL);
    return;
  }
#endif
  (void)training;
  if (nn_forward(m, &b, 0) != NN_OK) fail("nn_forward", nn_error(m));
}

static void *saved(nn_model *m, const nn_load_result *r, int inference, size_t *size) {
  const nn_progress *p = r->is_checkpoint && !inference ? &r->progress : NULL;
  void *bytes;
  *size = nn_save_size(m, p);
  bytes = *size ? malloc(*size) : NULL;
  if (!bytes || nn_save_memory(m, p, bytes, *size) != NN_OK) fail("cannot save", nn_error(m));
  return bytes;
}

/* 1 if the bytes are those of a model. */
static int load(const uint8_t *data, size_t size, int inference) {
  static const nn_load_result none;
  nn_config c = config(inference);
  nn_load_result r, again;
  nn_message why;
  size_t size1, size2;
  nn_status status;
  const size_t each = size > (size_t)1 << 16 ? size << 12 : (size_t)1 << 28;
  heap.bound = nn_model_size() + 16 * size + BATCH * each + (1 << 20);
  why.text[0] = 0;
  memset(&r, 0xA5, sizeof r);
  status = nn_load_memory(data, size, &c, &r, &why);
  if (heap.broken) fail("an allocation above the bound", why.text);
  heap.broken = 0;
  if (status != NN_OK) {
    if (memcmp(&r, &none, sizeof r)) fail("a result with an error", why.text);
    if (!why.text[0] || strchr(why.text, '\n')) fail("an error without one line", why.text);
    if (heap.live) fail("memory kept after an error", why.text);
    heap.live = 0;
    return 0;
  }
  void *first = saved(r.model, &r, inference, &size1);
  run(r.model, !inference);
  nn_destroy(r.model);
  status = first ? nn_load_memory(first, size1, &c, &again, &why) : NN_ERR_STATE;
  if (status == NN_OK) {
    void *second = saved(again.model, &again, inference, &size2);
    if (!second || size1 != size2 || memcmp(first, second, size1))
      fail("saved, loaded and saved: other bytes", "");
    free(second);
    nn_destroy(again.model);
  } else {
    fail("what was saved does not load", why.text);
  }
  free(first);
  if (heap.live) fail("memory kept", "");
  heap.live = 0;
  return 1;
}

/* ---- the format, as far as CRCs go: see @@IO in nn.c ---- */

enum { HEADER = 32, BEFORE = 12, AFTER = 4 }; /* tag and length before a body, its CRC after it */

static void put(uint8_t *to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *from) {
  uint64_t value = 0;
  for (int i = 8; i-- > 0;) value = value << 8 | from[i];
  return value;
}

static void mend(uint8_t *data, size_t size) {
  size_t at = HEADER;
  if (size < HEADER) return;
  put(data + 20, size, 8);
  put(data + 28, nn_crc32(0, data, 28), 4);
  while (size - at >= BEFORE + AFTER && get(data + at + 4) <= size - at - BEFORE - AFTER) {
    const size_t whole = BEFORE + (size_t)get(data + at + 4);
    put(data + at + whole, nn_crc32(0, data + at, whole), 4);
    at += whole + AFTER;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size + 1);
  if (!copy) return 0;
  memcpy(copy, data, size);
  load(copy, size, 0);
  mend(copy, size);
  load(copy, size, 0);
  load(copy, size, 1);
  free(copy);
  return 0;
}

#ifndef NN_LIBFUZZER

/* ---- models to start from: a few random layers, some as checkpoints after two steps ---- */

static nn_random dice;
static int up_to(int n) { return (int)nn_random_below(&dice, (uint32_t)n + 1); }

static int random_layer(nn_model *m, int x) {
  nn_node_info info;
  nn_conv2d_options conv = {1 + up_to(4), 1 + up_to(3), 1 + up_to(3), 1 + up_to(2), 1 + up_to(2),
                            up_to(3),     up_to(3),     1 + up_to(1), 1 + up_to(1), 1, up_to(1)};
  nn_recurrent_options cell = {1 + up_to(4), 1 + up_to(2), up_to(1) * .25, up_to(1), up_to(1)};
  const int kernel = 1 + up_to(3), stride = 1 + up_to(2), pad = up_to(kernel / 2);
  if (nn_get_node(m, x, &info) != NN_OK) return -1;
  switch (up_to(info.rank == 1 ? 13 : 18)) {
  case 0: return nn_relu(m, x);
  case 1: return nn_leaky_relu(m, x, .1);
  case 2: return nn_gelu(m, x);
  case 3: return nn_silu(m, x);
  case 4: return nn_tanh(m, x);
  case 5: return nn_sigmoid(m, x);
  case 6: return nn_softmax(m, x);
  case 7: return nn_dropout(m, x, .5);
  case 8: return nn_batch_norm(m, x);
  case 9: return nn_layer_norm(m, x);
  case 10: return nn_add(m, x, x);
  case 11: return nn_concat(m, x, x);
  case 12: return info.rank == 3 ? nn_conv2d_with(m, x, &conv) : nn_linear(m, x, 1 + up_to(5));
  case 13: return info.rank == 1 ? nn_linear_no_bias(m, x, 1 + up_to(5)) : nn_flatten(m, x);
  case 14:
    conv.groups = info.dim[0];
    conv.out = info.dim[0];
    return info.rank == 3 ? nn_conv2d_with(m, x, &conv) : nn_rnn_with(m, x, &cell);
  case 15:
    return info.rank == 3 ? nn_max_pool2d(m, x, kernel, stride, pad) : nn_lstm_with(m, x, &cell);
  case 16:
    return info.rank == 3 ? nn_avg_pool2d(m, x, kernel, stride, pad) : nn_gru_with(m, x, &cell);
  case 17: return info.rank == 3 ? nn_global_max_pool(m, x) : nn_last_step(m, x);
  default: return info.rank == 3 ? nn_global_avg_pool(m, x) : nn_last_step(m, x);
  }
}

/* The bytes of a random model, or NULL when its layers did not fit. */
static uint8_t *random_model(size_t *size) {
  nn_config c = config(0);
  nn_load_result r;
  uint8_t *bytes = NULL;
  int x, layers = 1 + up_to(6);
  heap.bound = SIZE_MAX;
  memset(&r, 0, sizeof r);
  c.seed = nn_random_next(&dice);
  r.model = nn_create(&c);
  if (!r.model) return NULL;
  switch (up_to(3)) {
  case 0: x = nn_input_image(r.model, 1 + up_to(3), 1 + up_to(7), 1 + up_to(7)); break;
  case 1: x = nn_input_sequence(r.model, 1 + up_to(4), 1 + up_to(4)); break;
  case 2: x = nn_input_vector(r.model, 1 + up_to(6)); break;
  default: x = nn_embedding(r.model, nn_input_tokens(r.model, 1 + up_to(4)), 5, 1 + up_to(3));
  }
  while (layers-- > 0 && x >= 0) {
    x = random_layer(r.model, x);
    if (up_to(3) == 0) nn_set_init(r.model, x, (nn_init)up_to(NN_INIT_CONSTANT), .5);
  }
  if (up_to(3) == 0) nn_name(r.model, x, "a-name/of_1");
#ifndef NN_NO_TRAINING
  nn_optimizer some[4]; /* one by one, which tcc takes */
  some[0] = nn_sgd(.1, 0), some[1] = nn_sgd(.1, .9);
  some[2] = nn_rmsprop(.1, .9), some[3] = nn_adamw(.1);
  static const nn_real weights[1 << 16];
  if (x >= 0 && up_to(1)) {
    if (up_to(2) == 0)
      nn_cross_entropy_with(r.model, x, .1, weights);
    else
      up_to(1) ? nn_mean_squared_error(r.model, x) : nn_binary_cross_entropy(r.model, x);
  }
  nn_set_optimizer(r.model, &some[up_to(3)]);
  r.is_checkpoint = up_to(1);
#endif
  if (x >= 0 && nn_build(r.model) == NN_OK) {
    run(r.model, 1);
    bytes = saved(r.model, &r, 0, size);
  }
  nn_destroy(r.model);
  return bytes;
}

/* ---- mutations ---- */

enum { ROOM = 1 << 14 };

/* A place in a random section's body, and that section's start; 0 if there is none. */
static size_t place(const uint8_t *data, size_t size, size_t *section) {
  size_t start[8], count = 0, at = HEADER;
  while (count < 8 && size - at >= BEFORE + AFTER &&
         get(data + at + 4) <= size - at - BEFORE - AFTER) {
    start[count++] = at;
    at += BEFORE + (size_t)get(data + at + 4) + AFTER;
  }
  if (!count) return 0;
  *section = start[up_to((int)count - 1)];
  return *section + BEFORE + (size_t)up_to((int)get(data + *section + 4));
}

static size_t mutate(uint8_t *data, size_t size) {
  static const uint32_t numbers[] = {0,          1,     2,     3,        4,             5,
                                     8,          16,    127,   128,      255,           256,
                                     511,        4095,  65535, 65536,    1u << 20,      1u << 24,
                                     0x7FFFFFFF, 1u << 31, 0xFFFFFFFF, (1u << 20) + 1};
  static const uint64_t reals[] = {0, 0x3FF0000000000000, 0xBFF0000000000000, 0x7FF0000000000000,
                                   0x7FF8000000000000, 0x7FE0000000000000, 1, 0x3FE0000000000000};
  size_t section = 0, at = place(data, size, &section), n;
  if (!at || up_to(15) == 0) {
    data[up_to((int)size - 1)] ^= (uint8_t)(1 << up_to(7));
    return size;
  }
  const size_t end = section + BEFORE + (size_t)get(data + section + 4);
  switch (up_to(9)) {
  case 0: data[at] ^= (uint8_t)(1 << up_to(7)); break;
  case 1: data[at] = (uint8_t)up_to(255); break;
  case 2: data[at] = (uint8_t)(data[at] + up_to(8) - 4); break;
  case 3:
  case 4:
    if (end - at >= 4) put(data + at, numbers[up_to(21)], 4);
    break;
  case 5:
    if (end - at >= 8) put(data + at, reals[up_to(7)], 8);
    break;
  case 6: /* take bytes out of a body */
    n = (size_t)up_to(16);
    if (n > end - at) n = end - at;
    memmove(data + at, data + at + n, size - at - n);
    put(data + section + 4, end - section - BEFORE - n, 8);
    return size - n;
  case 7: /* copy bytes into one */
    n = (size_t)up_to(up_to(3) ? 16 : 200);
    if (size + n > ROOM || n > size - at) break;
    memmove(data + at + n, data + at, size - at);
    put(data + section + 4, end - section - BEFORE + n, 8);
    return size + n;
  case 8: /* a section once more, or one that is not known */
    n = end + AFTER - section;
    if (size + n > ROOM) break;
    memmove(data + section + n, data + section, size - section);
    data[section] ^= (uint8_t)(up_to(1) << 5);
    return size + n;
  default: /* or not at all */
    n = end + AFTER - section;
    memmove(data + section, data + section + n, size - section - n);
    return size - n;
  }
  return size;
}

static int replay(const char *path) {
  static uint8_t data[1 << 20];
  FILE *f = fopen(path, "rb");
  if (!f) return fprintf(stderr, "fuzz_load: cannot open %s\n", path), 0;
  LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, f));
  fclose(f);
  return 1;
}

int main(int argc, char **argv) {
  static uint8_t data[ROOM];
  long runs = 20000, done = 0, loaded = 0, bad = 0;
  uint8_t *seed = NULL;
  size_t size = 0, seed_size = 0;
  dice.seed = 1;
  int i = 1;
  for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
    if (!strcmp(argv[i], "-n")) runs = strtol(argv[i + 1], NULL, 10);
    if (!strcmp(argv[i], "-s")) dice.seed = strtoull(argv[i + 1], NULL, 10);
  }
  if (i < argc) runs = 0;
  for (; i < argc; i++, done++) {
    failures = 0;
    bad += !replay(argv[i]) || failures;
  }
  while (runs-- > 0) {
    failures = 0;
    if (!seed || up_to(99) == 0) {
      do free(seed), seed = random_model(&seed_size);
      while (!seed || seed_size > ROOM / 2);
      if (!load(seed, seed_size, 0) || !load(seed, seed_size, 1)) fail("a seed does not load", "");
    }
    memcpy(data, seed, seed_size);
    size = seed_size;
    for (int n = up_to(3); n >= 0; n--) size = mutate(data, size);
    if (up_to(20)) mend(data, size);
    loaded += load(data, size, up_to(3) == 0);
    done++;
    if (!failures) continue;
    if (!bad++) {
      FILE *f = fopen("fuzz_load.bin", "wb");
      if (f) fwrite(data, 1, size, f), fclose(f);
      fprintf(stderr, "  the first is in fuzz_load.bin\n");
    }
  }
  free(seed);
  if (loaded) printf("%ld of them loaded\n", loaded);
  printf("%ld files, %ld of them treated wrongly\n", done, bad);
  printf("fuzz_load: %d passed, %d failed\n", !bad, bad != 0);
  return bad != 0;
}
#endif
