/* Every reader of bytes that the engine has: any bytes give a result or one line that names the
 * place and the reason, without a crash, a leak, or more memory than is promised. The targets are
 * fuzzed (see fuzz.h); attacks.h has models made by hand, each with what has to be said about it.
 * The readers of data have their tables of attacks in test_data.c.
 *
 * Every model is loaded as it is and with its CRCs made right, or nearly nothing would get past
 * them. What loads must save and load again to the same bytes, and run. */
#include "fuzz.h"
#include "attacks.h"

/* ---- the allocator under the readers: counts, and knows the documented bound ---- */

static struct {
  long live;           /* blocks */
  size_t bytes, bound; /* of all of them, and how many there may be */
  size_t most;         /* there were at once */
  int broken;
} heap;
enum { BATCH = 2, REFUSED = 1 << 22 }; /* what is large but allowed is "out of memory" here */

static void *allocate(void *user, size_t size) {
  void *p;
  (void)user;
  if (size > heap.bound || heap.bytes > heap.bound - size) heap.broken = 1;
  p = size > REFUSED ? NULL : malloc(size ? size : 1);
  if (p) heap.live++, heap.bytes += size;
  if (heap.bytes > heap.most) heap.most = heap.bytes;
  return p;
}

static void release(void *user, void *memory, size_t size) {
  (void)user;
  if (!memory) return;
  memset(memory, 0xDD, size);
  free(memory);
  heap.live--, heap.bytes -= size;
}

/* After a read: what is said and what is left. */
static void judge(nn_status status, const nn_message *why) {
  if (heap.broken) fuzz_fail("more memory than is promised", why->text);
  heap.broken = 0;
  if (status == NN_OK) return;
  if (heap.live || heap.bytes) fuzz_fail("memory kept after an error", why->text);
  heap.live = 0, heap.bytes = 0;
  for (const char *c = why->text; *c; c++)
    if (*c < ' ' || *c > '~') fuzz_fail("an error with an odd character", why->text);
  if (!test_told(why->text) || strlen(why->text) > 250) fuzz_fail("no sentence", why->text);
  if (status != NN_ERR_MEMORY && !test_names(why->text, "byte "))
    fuzz_fail("an error without its place", why->text);
}

static nn_allocator counted(size_t bound) {
  nn_allocator a;
  heap.bound = bound, heap.most = heap.bytes;
  a.allocate = allocate, a.release = release, a.user = NULL;
  return a;
}

static nn_config config(int inference) {
  nn_config c = nn_config_default();
  c.batch = BATCH;
  c.inference = inference;
  c.allocator = counted(SIZE_MAX);
  return c;
}

/* ---- models and checkpoints ---- */

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
    if (nn_get_node(m, i, &info) != NN_OK) fuzz_fail("nn_get_node", "");
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
  if (nn_forward(m, &b, 0) != NN_OK) fuzz_fail("nn_forward", nn_error(m));
}

static void *saved(nn_model *m, const nn_load_result *r, int inference, size_t *size) {
  const nn_progress *p = r->is_checkpoint && !inference ? &r->progress : NULL;
  void *bytes;
  *size = nn_save_size(m, p);
  bytes = *size ? malloc(*size) : NULL;
  if (!bytes || nn_save_memory(m, p, bytes, *size) != NN_OK) fuzz_fail("cannot save", nn_error(m));
  return bytes;
}

/* 1 if the bytes are those of a model. */
static int load(const uint8_t *data, size_t size, int inference, nn_message *why) {
  static const nn_load_result none;
  const size_t each = size > (size_t)1 << 16 ? size << 12 : (size_t)1 << 28;
  nn_config c = config(inference);
  nn_load_result r, again;
  size_t size1, size2;
  nn_status status;
  heap.bound = nn_model_size() + 6 * size * sizeof(nn_real) / 4 + BATCH * each + 8192;
  why->text[0] = 0;
  memset(&r, 0xA5, sizeof r);
  status = nn_load_memory(data, size, &c, &r, why);
  judge(status, why);
  if (status != NN_OK) {
    if (memcmp(&r, &none, sizeof r)) fuzz_fail("a result with an error", why->text);
    return 0;
  }
  heap.bound = SIZE_MAX;
  void *first = saved(r.model, &r, inference, &size1);
  run(r.model, !inference);
  nn_destroy(r.model);
  status = first ? nn_load_memory(first, size1, &c, &again, why) : NN_ERR_STATE;
  if (status == NN_OK) {
    void *second = saved(again.model, &again, inference, &size2);
    if (!second || size1 != size2 || memcmp(first, second, size1))
      fuzz_fail("saved, loaded and saved: other bytes", "");
    free(second);
    nn_destroy(again.model);
  } else {
    fuzz_fail("what was saved does not load", why->text);
  }
  free(first);
  if (heap.live) fuzz_fail("memory kept", "");
  heap.live = 0, heap.bytes = 0;
  return 1;
}

/* The same bytes as a description that is built without its loss, and as weights for it, copied or
 * in place, where they lie as they must. */
static void open_and_fill(const uint8_t *data, size_t size, int loads, int in_place) {
  const size_t each = size > (size_t)1 << 16 ? size << 12 : (size_t)1 << 28;
  nn_config c = config(1);
  nn_model *m = NULL;
  nn_weights w;
  nn_message why;
  void *bytes = malloc(size ? size : 1); /* aligned, and its end is watched by sanitizers */
  if (!bytes) return;
  memcpy(bytes, data, size);
  c.in_place = in_place;
  heap.bound = 2 * nn_model_size() + BATCH * each + 8192;
  why.text[0] = 0;
  const nn_status status = nn_open_memory(bytes, size, &c, NULL, &m, &why);
  judge(status, &why);
  if ((status == NN_OK) != (m != NULL)) fuzz_fail("a model and an error, or neither", why.text);
  if (loads && status != NN_OK && status != NN_ERR_LIMIT) fuzz_fail("loads, but", why.text);
  if (m && nn_build(m) == NN_OK) {
    const nn_status filled = nn_load_weights_memory(m, bytes, size, NULL, &w);
    const int elsewhere = in_place && (filled == NN_ERR_ARGUMENT || filled == NN_ERR_UNSUPPORTED);
    if (filled != NN_OK && !nn_error(m)[0]) fuzz_fail("weights refused without a word", "");
    if (loads && !elsewhere && (filled != NN_OK || w.missing || w.reshaped))
      fuzz_fail("loads, but not all of it is found", nn_error(m));
    if (nn_note_key(m, 0)) fuzz_fail("a note in an opened model", "");
    if (filled == NN_OK && !w.missing && !w.reshaped) run(m, 0);
  }
  nn_destroy(m);
  if (memcmp(bytes, data, size)) fuzz_fail("bytes written to", "");
  free(bytes);
  heap.bound = SIZE_MAX;
  if (heap.live) fuzz_fail("memory kept by an opened model", "");
  heap.live = 0, heap.bytes = 0;
}

/* ---- the format, as far as CRCs go: see @@IO in nn.c ---- */

enum { HEADER = 32, BEFORE = 12, AFTER = 4 }; /* tag and length before a body, its CRC after it */

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

static void attack_seal(uint8_t *data, size_t size) { mend(data, size); }

static void run_model(const uint8_t *data, size_t size) {
  uint8_t *copy = (uint8_t *)test_memory(size);
  nn_message why;
  memcpy(copy, data, size);
  mend(copy, size);
  if (size && memcmp(copy, data, size)) load(data, size, 0, &why);
  const int loads = load(copy, size, 0, &why);
  if (loads) load(copy, size, 1, &why);
  open_and_fill(copy, size, loads, 0);
  open_and_fill(copy, size, loads, 1);
  free(copy);
}

/* ---- models to start from: a few random layers, some as checkpoints after two steps ---- */

static int random_shape(nn_model *m, int x, const nn_node_info *f) {
  const int axis = up_to(f->rank - 1), begin = up_to(f->dim[axis] - 1);
  int dim[3];
  switch (up_to(3)) {
  case 0: return nn_slice(m, x, axis, begin, 1 + up_to(f->dim[axis] - 1 - begin));
  case 1: return nn_concat_along(m, x, x, axis);
  case 2:
    if (f->rank == 2) return nn_sequence_to_image(m, x, 1, up_to(1));
    if (f->rank == 3) return nn_image_to_sequence(m, x, up_to(1));
    return nn_slice(m, x, 0, begin, 1);
  default:
    dim[0] = f->dim[f->rank - 1], dim[1] = f->rank > 1 ? f->dim[0] : 1;
    dim[2] = f->rank > 2 ? f->dim[1] : 1;
    return nn_reshape(m, x, f->rank, dim);
  }
}

static int random_layer(nn_model *m, int x) {
  nn_node_info info;
  nn_conv2d_options conv = {1 + up_to(4), 1 + up_to(3), 1 + up_to(3), 1 + up_to(2), 1 + up_to(2),
                            up_to(3),     up_to(3),     1 + up_to(1), 1 + up_to(1), 1, up_to(1)};
  nn_recurrent_options cell = {1 + up_to(4), 1 + up_to(2), up_to(1) * .25, up_to(1), up_to(1), 0};
  const int kernel = 1 + up_to(3), stride = 1 + up_to(2), pad = up_to(kernel / 2);
  nn_norm_options norm = {.25, .5, 1, up_to(1), up_to(1)};
  cell.bidirectional = !cell.carry && up_to(1);
  nn_recurrent_options gates = cell;
  nn_norm_options plain = norm;
  gates.relu = plain.frozen = 0, plain.momentum = 0;
  if (norm.frozen) norm.momentum = .1;
  const nn_pool2d_options pool = {kernel, 1 + up_to(3), stride,    1 + up_to(2),
                                  pad,    up_to(1),     up_to(1), 0};
  nn_pool2d_options mean = pool;
  mean.exclude_pad = up_to(1);
  if (nn_get_node(m, x, &info) != NN_OK) return -1;
  switch (up_to(info.rank == 1 ? 13 : 18)) {
  case 0: return up_to(1) ? nn_relu(m, x) : nn_clamp(m, x, -1, 2);
  case 1: return up_to(1) ? nn_leaky_relu(m, x, .1) : nn_elu(m, x, .5);
  case 2: return up_to(1) ? nn_gelu(m, x) : nn_softplus(m, x);
  case 3: return up_to(1) ? nn_silu(m, x) : nn_hard_swish(m, x);
  case 4: return up_to(1) ? nn_tanh(m, x) : nn_hard_sigmoid(m, x);
  case 5: return nn_sigmoid(m, x);
  case 6: return nn_softmax(m, x);
  case 7: return up_to(1) ? nn_dropout(m, x, .5) : nn_dropout_channels(m, x, .5);
  case 8: return up_to(1) ? nn_batch_norm(m, x) : nn_batch_norm_with(m, x, &norm);
  case 9:
    if (up_to(1)) return up_to(1) ? nn_prelu(m, x, up_to(1)) : nn_instance_norm(m, x);
    return up_to(1) ? nn_layer_norm_with(m, x, &plain) : nn_group_norm_with(m, x, &plain);
  case 10:
    if (info.rank == 2 && up_to(1)) return nn_reverse(m, x);
    if (info.rank == 3 && up_to(1)) return nn_upsample2d(m, x, kernel, stride);
    if (info.rank == 3 && up_to(1)) return nn_upsample2d_bilinear(m, x, kernel, stride);
    return up_to(1) ? nn_add(m, x, x) : nn_multiply(m, x, x);
  case 11: return nn_concat(m, x, x);
  case 12:
    if (info.rank == 2 && up_to(1)) return nn_conv1d(m, x, 1 + up_to(3), kernel, stride, pad);
    if (info.rank == 3 && up_to(2) == 0)
      return nn_conv_transpose2d_with(m, x, &conv, up_to(conv.stride_h - 1), 0);
    return info.rank == 3 ? nn_conv2d_with(m, x, &conv) : nn_linear(m, x, 1 + up_to(5));
  case 13:
    if (info.rank == 3 && up_to(2) == 0) return nn_pad2d(m, x, up_to(2), stride, 0, kernel);
    if (up_to(1)) return random_shape(m, x, &info);
    return info.rank == 1 ? nn_linear_no_bias(m, x, 1 + up_to(5)) : nn_flatten(m, x);
  case 14:
    if (info.rank == 2 && up_to(1)) {
      cell.layers = gates.layers = cell.bidirectional = gates.bidirectional = 1;
      cell.carry = gates.carry = 0;
      const int state = nn_final_state(m, nn_gru_with(m, x, &gates));
      return nn_final_state(m, nn_rnn_from(m, x, state, &cell));
    }
    conv.groups = info.dim[0];
    conv.out = info.dim[0];
    return info.rank == 3 ? nn_conv2d_with(m, x, &conv) : nn_rnn_with(m, x, &cell);
  case 15:
    if (info.rank == 3 && up_to(1)) return nn_max_pool2d_with(m, x, &pool);
    if (info.rank == 2 && up_to(1)) return nn_max_pool1d(m, x, kernel, stride, pad);
    return info.rank == 3 ? nn_max_pool2d(m, x, kernel, stride, pad) : nn_lstm_with(m, x, &gates);
  case 16:
    if (info.rank == 3 && up_to(1)) return nn_avg_pool2d_with(m, x, &mean);
    if (info.rank == 3 && up_to(1)) return nn_adaptive_avg_pool2d(m, x, kernel, stride);
    return info.rank == 3 ? nn_avg_pool2d(m, x, kernel, stride, pad) : nn_gru_with(m, x, &gates);
  case 17: return info.rank == 3 || up_to(1) ? nn_global_max_pool(m, x) : nn_last_step(m, x);
  default: return info.rank == 3 || up_to(1) ? nn_global_avg_pool(m, x) : nn_last_step(m, x);
  }
}

/* The bytes of a random model or checkpoint, or NULL when its layers did not fit. */
static uint8_t *random_model(int checkpoint, size_t *size) {
  nn_config c = config(0);
  nn_load_result r;
  uint8_t *bytes = NULL;
  int x, layers = 1 + up_to(6);
  (void)checkpoint; /* without training there are none */
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
    while (up_to(2) == 0 && nn_model_status(r.model) == NN_OK) {
      nn_loss_options o = nn_loss_default((nn_loss_kind)up_to(4));
      if (o.kind == NN_CROSS_ENTROPY) o.smoothing = .25, o.ignored = up_to(1) ? -1 : 255;
      if (o.kind == NN_BINARY_CROSS_ENTROPY) o.weights = weights;
      o.weight = 1 + up_to(3), o.sum = up_to(1), o.from = up_to(2);
      nn_loss_with(r.model, up_to(1) ? x : 0, &o);
    }
  }
  nn_set_optimizer(r.model, &some[up_to(3)]);
  r.is_checkpoint = checkpoint;
#endif
#ifndef NN_NO_TRAINING
  if (x >= 0 && up_to(3) == 0) nn_set_learning(r.model, up_to(x), .5 * up_to(2), up_to(2));
#endif
  if (x >= 0 && nn_build(r.model) == NN_OK) {
    if (up_to(2) == 0) nn_set_note(r.model, "classes", "one\ntwo\nK\xc3\xa4se");
    if (up_to(4) == 0) nn_set_note(r.model, "data", "");
    run(r.model, 1);
    bytes = saved(r.model, &r, 0, size);
  }
  nn_destroy(r.model);
  return bytes;
}

static size_t seed_model(uint8_t *data, int checkpoint) {
  uint8_t *bytes = NULL;
  nn_message why;
  size_t size = 0;
  do free(bytes), bytes = random_model(checkpoint, &size);
  while (!bytes || size > FUZZ_ROOM / 2);
  memcpy(data, bytes, size);
  free(bytes);
  if (!load(data, size, 0, &why) || !load(data, size, 1, &why))
    fuzz_fail("a seed does not load", why.text);
  return size;
}
static size_t seed_plain_model(uint8_t *data) { return seed_model(data, 0); }
#ifndef NN_NO_TRAINING
static size_t seed_checkpoint(uint8_t *data) { return seed_model(data, 1); }
#endif

/* A place in a random section's body, and that section's start; 0 if there is none. */
static size_t place(const uint8_t *data, size_t size, size_t *section) {
  size_t start[8], count = 0, at = HEADER;
  while (count < 8 && size >= at && size - at >= BEFORE + AFTER &&
         get(data + at + 4) <= size - at - BEFORE - AFTER) {
    start[count++] = at;
    at += BEFORE + (size_t)get(data + at + 4) + AFTER;
  }
  if (!count) return 0;
  *section = start[up_to((int)count - 1)];
  return *section + BEFORE + (size_t)up_to((int)get(data + *section + 4));
}

static size_t change_model(uint8_t *data, size_t size) {
  static const uint64_t reals[] = {0, 0x3FF0000000000000, 0xBFF0000000000000, 0x7FF0000000000000,
                                   0x7FF8000000000000, 0x7FE0000000000000, 1, 0x3FE0000000000000};
  size_t section = 0, at = place(data, size, &section), n;
  if (!at || up_to(15) == 0) return change_bytes(data, size, HEADER);
  const size_t end = section + BEFORE + (size_t)get(data + section + 4);
  switch (up_to(9)) {
  case 0: data[at] ^= (uint8_t)(1 << up_to(7)); break;
  case 1: data[at] = (uint8_t)up_to(255); break;
  case 2: data[at] = (uint8_t)(data[at] + up_to(8) - 4); break;
  case 3:
  case 4:
    if (end - at >= 4) put(data + at, hard_number(), 4);
    break;
  case 5:
    if (end - at >= 8) put(data + at, reals[up_to(7)], 8);
    break;
  case 6: /* take bytes out of a body */
    n = (size_t)up_to(16);
    if (n > end - at) n = end - at;
    put(data + section + 4, end - section - BEFORE - n, 8);
    return fuzz_remove(data, size, at, n);
  case 7: /* copy bytes into one */
    n = (size_t)up_to(up_to(3) ? 16 : 200);
    if (size + n > FUZZ_ROOM || n > size - at) break;
    put(data + section + 4, end - section - BEFORE + n, 8);
    return fuzz_insert(data, size, at, data + at, n);
  case 8: /* a section once more, or one that is not known */
    n = end + AFTER - section;
    if (size + n > FUZZ_ROOM) break;
    memmove(data + section + n, data + section, size - section);
    data[section] ^= (uint8_t)(up_to(1) << 5);
    return size + n;
  default: /* or not at all */
    return fuzz_remove(data, size, section, end + AFTER - section);
  }
  return size;
}

/* ---- arrays: IDX, npy, CIFAR-10 ---- */

/* What was read is as large as it says, within so many bytes, and can be touched; its bytes. */
static volatile uint8_t touched;
static size_t keep(const nn_array *a, size_t most) {
  static const size_t wide[] = {0, 1, 4, 8, 4, 8};
  size_t count = 1;
  uint8_t sum = 0;
  if (a->rank < 0 || a->rank > 8 || a->type < NN_U8 || a->type > NN_F64) {
    fuzz_fail("not an array", "");
    return 0;
  }
  for (int i = 0; i < a->rank; i++) count *= a->dim[i];
  const size_t bytes = count * wide[a->type];
  if (count != a->count || bytes > most) fuzz_fail("an array of another size", "");
  for (size_t i = 0; i < bytes; i++) sum ^= ((const uint8_t *)a->data)[i];
  touched = sum;
  return bytes;
}

/* Numbers of a type that nn_type has not are there beside what they become: wider ones or, of u64,
 * doubles. */
static void run_array(const uint8_t *data, size_t size, int npy) {
  nn_allocator allocator = counted(5 * size);
  nn_message why;
  nn_array a;
  nn_status status = (npy ? nn_npy_parse : nn_idx_parse)(data, size, &allocator, &a, &why);
  judge(status, &why);
  if (status == NN_OK) {
    const size_t bytes = keep(&a, 4 * size), beside = heap.most - bytes;
    const int wider = a.type != NN_U8 && bytes + (a.type == NN_F64) > beside;
    if (bytes && (beside ? beside > size || !wider : bytes > size))
      fuzz_fail("more memory than the array takes", "");
  }
  nn_array_free(&a);
  if (heap.live) fuzz_fail("memory kept", "");
}
static void run_idx(const uint8_t *data, size_t size) { run_array(data, size, 0); }
static void run_npy(const uint8_t *data, size_t size) { run_array(data, size, 1); }

static void run_cifar10(const uint8_t *data, size_t size) {
  nn_allocator allocator = counted(size);
  nn_message why;
  nn_array pixels, labels;
  nn_status status =
      nn_cifar10_parse(data, size, size % 2 == 0, &allocator, &pixels, &labels, &why);
  judge(status, &why);
  if (status == NN_OK) keep(&pixels, size), keep(&labels, size);
  nn_array_free(&pixels);
  nn_array_free(&labels);
  if (heap.live) fuzz_fail("memory kept", "");
}

static size_t seed_idx(uint8_t *data) {
  static const int types[] = {0x08, 0x0C, 0x0D, 0x0E}, wide[] = {1, 4, 4, 8};
  const int type = up_to(3), rank = 1 + up_to(7);
  size_t count = (size_t)wide[type], at = 4;
  put(data, (uint64_t)types[type] << 16 | (uint64_t)rank << 24, 4);
  for (int i = 0; i < rank; i++, at += 4) {
    const int dim = up_to(9) ? 1 + up_to(2) : 0;
    count *= (size_t)dim;
    put(data + at, (uint64_t)dim << 24, 4);
  }
  if (at + count > FUZZ_ROOM / 2) return seed_idx(data);
  memset(data + at, 7, count);
  return at + count;
}

static size_t seed_npy(uint8_t *data) {
  static const char *const types[] = {"|u1", "<i4", "<i8", "<f4", "<f8"};
  static const int wide[] = {1, 4, 8, 4, 8};
  const int type = up_to(4), rank = up_to(4), order = up_to(5), version = 1 + up_to(2);
  char part[3][64], *shape = part[2];
  size_t count = (size_t)wide[type], at = version == 1 ? 10 : 12;
  sprintf(part[0], "'descr': '%s', ", types[type]);
  sprintf(part[1], "'fortran_order': False, ");
  shape += sprintf(shape, "'shape': (");
  for (int i = 0; i < rank; i++) {
    const int dim = up_to(9) ? 1 + up_to(3) : 0;
    count *= (size_t)dim;
    shape += sprintf(shape, i + 1 < rank ? "%d, " : "%d,", dim);
  }
  sprintf(shape, "), ");
  memcpy(data, "\x93NUMPY", 6);
  const int n = sprintf((char *)data + at, "{%s%s%s}%*s\n", part[order / 2],
                        part[(order / 2 + 1 + order % 2) % 3],
                        part[(order / 2 + 2 - order % 2) % 3], up_to(20), "");
  put(data + 6, (uint64_t)version, 2);
  put(data + 8, (uint64_t)n, version == 1 ? 2 : 4);
  at += (size_t)n;
  memset(data + at, 7, count);
  return at + count;
}

static size_t seed_cifar10(uint8_t *data) {
  const size_t records = 1 + (size_t)up_to(1);
  memset(data, up_to(255), records * 3073);
  for (size_t i = 0; i < records; i++) data[i * 3073] = (uint8_t)up_to(9);
  return records * 3073;
}

static size_t change_idx(uint8_t *data, size_t size) { return change_bytes(data, size, 40); }
static size_t change_npy(uint8_t *data, size_t size) {
  static const char *const words[] = {"'shape'", "'descr'", "'fortran_order'", "True", "False",
                                      "(", ")", "9999999999999999999", "4294967296", "}", "{",
                                      "'<f4'", "'|u1'", "\"", ",", ":", "0", "-1", "\n"};
  const char *word = words[up_to((int)(sizeof words / sizeof *words) - 1)];
  const size_t at = size ? (size_t)up_to((int)(size < 120 ? size : 120) - 1) : 0;
  if (up_to(2)) return change_bytes(data, size, 120);
  if (size > 10 && up_to(1)) data[8] = (uint8_t)(data[8] + strlen(word)); /* the header's length */
  return fuzz_insert(data, size, at, (const uint8_t *)word, strlen(word));
}
static size_t change_cifar10(uint8_t *data, size_t size) {
  const size_t label = 3073 * (size_t)up_to(2);
  if (up_to(1) && label < size) {
    data[label] = (uint8_t)up_to(12);
    return size;
  }
  return change_bytes(data, size, 1);
}

/* ---- weights of other programs: safetensors, npz ---- */
#ifndef NN_NO_EXPORT

/* Two small nets, each with parameters of its own and in place, which are made once. The bytes
 * themselves choose one of them, and how it takes them. */
enum { NETS = 2 };
static nn_model *net_for(int which, int in_place) {
  static nn_model *net[NETS][2];
  nn_model *m = net[which][in_place];
  if (m) return m;
  nn_config c = nn_config_default();
  c.batch = BATCH, c.inference = 1, c.in_place = in_place;
  c.allocator = counted(SIZE_MAX); /* from the next call of it on nothing may be allocated */
  m = net[which][in_place] = nn_create(&c);
  if (which == 0) {
    const int x = nn_batch_norm(m, nn_conv2d(m, nn_input_image(m, 2, 4, 3), 2, 3, 1, 1));
    nn_linear(m, nn_flatten(m, x), 3);
  } else {
    nn_linear(m, nn_last_step(m, nn_lstm(m, nn_gru(m, nn_input_sequence(m, 3, 2), 2), 2)), 2);
  }
  if (nn_build(m) != NN_OK) fuzz_fail("nn_build", nn_error(m));
  heap.live = 0, heap.bytes = 0; /* it stays */
  return m;
}

static const char table[] = "a = linear1.weight\n\xc3\xa4\"\\=linear1.bias";
static const nn_weights_options ways[] = {
    {.strict = 0}, {.by_order = 1},  {.keras = 1}, {.by_order = 1, .keras = 1},
    {.strict = 1}, {.names = table}, {.from = "a", .to = "linear1"}};

typedef struct Piece {
  uint8_t *at;
  size_t size, room;
} Piece;
static int append(void *user, const void *bytes, size_t size) {
  Piece *p = (Piece *)user;
  if (size > p->room - p->size) return 1;
  memcpy(p->at + p->size, bytes, size);
  p->size += size;
  return 0;
}

static int keep_stored(void *user, const nn_stored *s) {
  const uint8_t *p = (const uint8_t *)s->bytes;
  size_t *left = (size_t *)user;
  uint8_t sum = (uint8_t)strlen(s->name);
  for (size_t i = 0; i < s->size; i++) sum ^= p[i];
  touched = sum;
  if (s->rank < 0 || s->rank > 8 || s->size > *left) fuzz_fail("not an array", s->name);
  *left -= s->size; /* they do not overlap */
  return 0;
}

static void judge_weights(nn_status status, const char *said) {
  if (heap.broken) fuzz_fail("memory for weights", said);
  heap.broken = 0;
  if (status >= 0) return;
  for (const char *c = said; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 127) fuzz_fail("an error with an odd character", said);
  if (!test_told(said) || (!test_names(said, "byte ") && strncmp(said, "names, line ", 12)))
    fuzz_fail("no sentence with its place", said);
}

static void load_weights(const uint8_t *data, size_t size) {
  static uint8_t room[FUZZ_ROOM];
  nn_message why;
  size_t left = size;
  const uint32_t crc = nn_crc32(0, data, size);
  const nn_status listed = nn_list_weights(data, size, keep_stored, &left, &why);
  judge_weights(listed, why.text);
  enum { WAYS = sizeof ways / sizeof *ways }; /* and one more: in place */
  const int which = (int)(crc % NETS), way = (int)(crc / NETS % (WAYS + 1)), in_place = way == WAYS;
  const nn_weights_options *const o = in_place ? NULL : &ways[way];
  nn_model *m = net_for(which, in_place);
  nn_weights w;
  heap.bound = 0;
  const nn_status status = nn_load_weights_memory(m, data, size, o, &w);
  const int lacks = status == NN_ERR_SHAPE && !(o && o->by_order); /* a sentence about no byte */
  judge_weights(lacks ? NN_OK : status, nn_error(m));
  if (listed < 0 && status == NN_OK) fuzz_fail("loads, but cannot be listed", why.text);
  if (status == NN_OK && !w.missing && !w.reshaped && !in_place) {
    Piece all = {room, 0, FUZZ_ROOM / 2};
    if (nn_export_safetensors(m, NULL, append, &all) != NN_OK ||
        nn_load_weights_memory(m, room, all.size, &ways[4], &w) != NN_OK)
      fuzz_fail("what was loaded cannot be written and loaded", nn_error(m));
  }
  if (nn_crc32(0, data, size) != crc) fuzz_fail("bytes written to", "");
}

/* Makes the CRCs of an npz right, as far as its headers can be followed. */
static void mend_npz(uint8_t *data, size_t size) {
  for (size_t at = 0; size > 46 && at < size - 46; at++) {
    if (memcmp(data + at, "PK\1\2", 4)) continue;
    const size_t offset = (size_t)(get(data + at + 38) >> 32);
    const size_t bytes = (size_t)(get(data + at + 20) & 0xFFFFFFFF);
    if (offset > size - 30 || memcmp(data + offset, "PK\3\4", 4)) continue;
    const size_t begin = offset + 30 + data[offset + 26] + 256u * data[offset + 27] +
                         data[offset + 28] + 256u * data[offset + 29];
    if (begin > size || bytes > size - begin) continue;
    const uint32_t crc = nn_crc32(0, data + begin, bytes);
    put(data + at + 16, crc, 4), put(data + offset + 14, crc, 4);
  }
}

static void run_safetensors(const uint8_t *data, size_t size) { load_weights(data, size); }
static void run_npz(const uint8_t *data, size_t size) {
  uint8_t *copy = (uint8_t *)test_memory(size);
  memcpy(copy, data, size);
  mend_npz(copy, size);
  if (size && memcmp(copy, data, size)) load_weights(data, size);
  load_weights(copy, size);
  free(copy);
}

static size_t seed_weights(uint8_t *data, int npz) {
  nn_model *m = net_for(up_to(NETS - 1), 0);
  Piece all = {data, 0, FUZZ_ROOM / 2};
  nn_set_note(m, "classes", up_to(1) ? "one\n\"two\"\\\xc3\xa4" : NULL);
  const char *names = up_to(2) ? NULL : "a=linear1.weight\n\xc3\xa4\"\\=linear1.bias";
  if ((npz ? nn_export_npz : nn_export_safetensors)(m, names, append, &all) != NN_OK)
    fuzz_fail("a seed is not written", nn_error(m));
  nn_set_note(m, "classes", NULL);
  return all.size;
}
static size_t seed_safetensors(uint8_t *data) { return seed_weights(data, 0); }
static size_t seed_npz(uint8_t *data) { return seed_weights(data, 1); }

static size_t change_safetensors(uint8_t *data, size_t size) {
  static const char *const words[] = {
      "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "\\ud83d\\udc08", "\\ud800", "\"F16\"",
      "\"BF16\"", "\"F64\"", "\"I64\"", "\"U8\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"",
      "\"__metadata__\":{\"a\":\"b\"},", "num_batches_tracked", "0", "1", "-1", "1e3", " ", "\n",
      "18446744073709551615", "4294967296", "\xc3\xa4", "\xff", "null", "linear1.weight"};
  const size_t header = size < 8 || get(data) > size - 8 ? 0 : (size_t)get(data);
  const size_t at = 8 + (header ? (size_t)up_to((int)header - 1) : 0);
  const char *word = words[up_to((int)(sizeof words / sizeof *words) - 1)];
  size_t n = strlen(word), now;
  if (!header) return change_bytes(data, size, 40);
  switch (up_to(6)) {
  case 0: return change_bytes(data, size, 8 + header);
  case 1:
  case 2: /* a word more */
    now = fuzz_insert(data, size, at, (const uint8_t *)word, n);
    put(data, header + (now - size), 8);
    return now;
  case 3: /* some bytes fewer */
    n = 1 + (size_t)up_to(15);
    if (n > 8 + header - at) n = 8 + header - at;
    put(data, header - n, 8);
    return fuzz_remove(data, size, at, n);
  case 4: /* another digit */
    for (size_t i = at; i < 8 + header; i++)
      if (data[i] >= '0' && data[i] <= '9') return data[i] = (uint8_t)('0' + up_to(9)), size;
    return size;
  case 5: /* a part of the header once more */
    n = 1 + (size_t)up_to(200);
    if (n > size - at) return size;
    now = fuzz_insert(data, size, 8 + (size_t)up_to((int)header), data + at, n);
    put(data, header + (now - size), 8);
    return now;
  default: return change_bytes(data, size, size);
  }
}

static size_t change_archive(uint8_t *data, size_t size) {
  const size_t reach = size < 600 ? size : 600; /* the directory */
  const size_t at = size - reach + (reach ? (size_t)up_to((int)reach - 1) : 0);
  if (up_to(2) == 0 && size - at >= 8) return put(data + at, hard_number(), 1 << up_to(3)), size;
  if (up_to(2) == 0 && at < size) return data[at] = (uint8_t)(data[at] + up_to(4) - 2), size;
  return up_to(1) ? change_npy(data, size) : change_bytes(data, size, 400);
}

/* ---- ONNX: messages within messages, see @@ONNX in nn.c ---- */

static void run_onnx(const uint8_t *data, size_t size) {
  const size_t each = size > (size_t)1 << 16 ? size << 12 : (size_t)1 << 28;
  for (int inference = 0; inference < 2; inference++) {
    nn_config c = config(inference);
    nn_open_options options = {NULL, 0, 0, 0, 0};
    nn_model *m = NULL;
    nn_message why = {{0}};
    if (inference) options.steps = 3, options.height = options.width = 4, options.carry = 1;
    heap.bound = nn_model_size() + ((size_t)NN_MAX_NODES << 14) + BATCH * each;
    const nn_status status = nn_load_onnx_memory(data, size, &c, &options, &m, &why);
    judge(status, &why);
    if ((status == NN_OK) != (m != NULL)) fuzz_fail("a model and an error, or neither", why.text);
    heap.bound = SIZE_MAX;
    if (m) {
      nn_load_result none, again;
      size_t saved_size = 0;
      memset(&none, 0, sizeof none);
      void *bytes = saved(m, &none, inference, &saved_size);
      run(m, 0);
      nn_destroy(m);
      if (!bytes || nn_load_memory(bytes, saved_size, &c, &again, &why) != NN_OK)
        fuzz_fail("what was read does not load when it is saved", why.text);
      else
        nn_destroy(again.model);
      free(bytes);
    }
    if (heap.live) fuzz_fail("memory kept", "");
    heap.live = 0, heap.bytes = 0;
  }
}

static size_t seed_onnx(uint8_t *data) {
  for (;;) {
    nn_config c = config(1);
    nn_load_result r;
    size_t size = 0;
    uint8_t *bytes = random_model(0, &size);
    Piece p = {data, 0, FUZZ_ROOM / 2};
    if (!bytes) continue;
    nn_status status = nn_load_memory(bytes, size, &c, &r, NULL);
    if (status == NN_OK) status = nn_export_onnx(r.model, up_to(2), append, &p);
    if (r.model) nn_destroy(r.model);
    free(bytes);
    heap.live = 0, heap.bytes = 0;
    if (status == NN_OK) return p.size;
  }
}

static int varint(Piece *p, uint64_t value) {
  uint8_t b[10];
  size_t n = 0;
  for (; value > 127; value >>= 7) b[n++] = (uint8_t)(value | 128);
  b[n++] = (uint8_t)value;
  return append(p, b, n);
}
static size_t take(const uint8_t *data, size_t size, uint64_t *value) { /* bytes; 0: none */
  *value = 0;
  for (size_t i = 0; i < size && i < 10; i++) {
    *value |= (uint64_t)(data[i] & 127) << (7 * i);
    if (data[i] < 128) return i + 1;
  }
  return 0;
}
static size_t field(const uint8_t *data, size_t size, uint64_t *key, size_t *body) { /* its bytes */
  uint64_t value = 0;
  const size_t head = take(data, size, key), wire = (size_t)(*key & 7);
  const size_t more = head ? take(data + head, size - head, &value) : 0;
  *body = head + (wire == 2 ? more : 0);
  const size_t whole = wire == 0   ? head + more
                       : wire == 2 ? (value > size ? 0 : head + more + (size_t)value)
                                   : head + (wire == 1 ? 8 : 4);
  return head && (wire == 1 || wire == 5 || more) && whole <= size ? whole : 0;
}

/* Copies a message with one field of it, or of a message within, changed, so that lengths fit. */
static int edit(const uint8_t *data, size_t size, Piece *to, int depth) {
  static const char *const words[] = {
      "Add", "Sub", "Mul", "Div", "Conv", "Gemm", "MatMul", "Relu", "Reshape", "Transpose", "Shape",
      "Gather", "Concat", "Slice", "Squeeze", "Unsqueeze", "Pad", "Resize", "LSTM", "GRU", "RNN",
      "Constant", "ConstantOfShape", "Expand", "Identity", "Flatten", "ReduceMean", "Softmax",
      "LayerNormalization", "BatchNormalization", "MaxPool", "AveragePool", "Sigmoid",
      "ConvTranspose", "InstanceNormalization", "PRelu", "Split", "Equal", "Where", "ReduceMax",
      "auto_pad", "SAME_UPPER", "count_include_pad", "ceil_mode", "output_padding", "keepdims",
      "direction", "axes",
      "axis", "perm", "pads", "input1", "relu1", "linear1.weight", "conv1", "bidirectional", ""};
  uint64_t key = 0;
  size_t at = 0, body = 0, count = 0, n;
  while (at < size && (n = field(data + at, size - at, &key, &body)) != 0) at += n, count++;
  const int chosen = count ? up_to((int)count - 1) : 0;
  int i = 0, bad = 0;
  for (at = 0; at < size && (n = field(data + at, size - at, &key, &body)) != 0; at += n, i++) {
    const uint8_t *const from = data + at + body;
    Piece inside = {NULL, 0, FUZZ_ROOM};
    if (i != chosen || (key & 7) != 2) {
      const int how = i == chosen ? up_to(4) : 0;
      if (how == 1) continue;
      bad |= how == 2 ? varint(to, key) || varint(to, hard_number()) : append(to, data + at, n);
      if (how == 3) bad |= append(to, data + at, n);
      continue;
    }
    inside.at = (uint8_t *)test_memory(FUZZ_ROOM);
    const char *word = words[up_to((int)(sizeof words / sizeof *words) - 1)];
    const int how = depth < 6 && up_to(3) ? 9 : up_to(5);
    const size_t other = n > body ? (size_t)up_to((int)(n - body) - 1) : 0;
    if (how == 9) bad |= edit(from, n - body, &inside, depth + 1);
    else if (how < 2) bad |= append(&inside, word, strlen(word));
    else if (how == 2) bad |= append(&inside, from, other);
    else if (how == 3)
      memcpy(inside.at, from, n - body), inside.size = change_bytes(inside.at, n - body, 64);
    else bad |= append(&inside, from, n - body);
    if (how != 5)
      bad |= varint(to, key) || varint(to, inside.size) || append(to, inside.at, inside.size);
    if (how == 4) bad |= append(to, data + at, n); /* twice; how 5: not at all */
    free(inside.at);
  }
  return bad || append(to, data + at, size - at);
}

static size_t change_onnx(uint8_t *data, size_t size) {
  static uint8_t room[FUZZ_ROOM];
  Piece p = {room, 0, FUZZ_ROOM};
  if (up_to(7) == 0 || edit(data, size, &p, 0)) return change_bytes(data, size, size);
  memcpy(data, room, p.size);
  return p.size;
}
#endif

static const Target targets[] = {
    {"model", run_model, seed_plain_model, change_model},
#ifndef NN_NO_TRAINING
    {"checkpoint", run_model, seed_checkpoint, change_model},
#endif
    {"idx", run_idx, seed_idx, change_idx},
    {"npy", run_npy, seed_npy, change_npy},
    {"cifar10", run_cifar10, seed_cifar10, change_cifar10},
#ifndef NN_NO_EXPORT
    {"safetensors", run_safetensors, seed_safetensors, change_safetensors},
    {"npz", run_npz, seed_npz, change_archive},
    {"onnx", run_onnx, seed_onnx, change_onnx},
#endif
};

FUZZ_ENTRY(targets)

#ifndef NN_LIBFUZZER
enum { TARGETS = sizeof targets / sizeof *targets };

static void attacks(void) {
  static uint8_t data[FUZZ_ROOM];
  nn_message why;
  for (int i = 0; i < ATTACKS; i++) {
    const Attack *a = &attacks_table[i];
    const size_t size = attack_bytes(a->text, data);
    int held = CHECK(size || !strcmp(a->text, "<0"));
    fuzz_failures = 0;
    held &= CHECK_INT(load(data, size, 0, &why), !a->says);
    if (a->says) held &= CHECK_HAS(why.text, a->says);
    held &= CHECK(fuzz_holds(&targets[0], data, size));
    if (!held) fprintf(stderr, "    %s: %s\n", a->name, why.text);
  }
}

/* Of every target some thousand changed seeds, always the same ones. */
static void changes(void) {
  long done;
  for (int i = 0; i < TARGETS; i++) CHECK_INT(fuzz_run(&targets[i], 10000, 0, &done), 0);
}

int main(int count, char **word) {
  dice.seed = 1;
  if (count > 1) return fuzz_command(targets, TARGETS, count, word);
  RUN(attacks);
  RUN(changes);
  return test_end("fuzz");
}
#endif
