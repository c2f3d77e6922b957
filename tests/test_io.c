/* Models and checkpoints as bytes and as files: what is saved comes back, and what is not a whole,
 * unchanged file is refused with a sentence, without a crash, a leak or a large allocation. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64 /* fseeko, past 2 GiB */
#include "test.h"
#ifdef _WIN32
#include <io.h>
#include <wchar.h>
#undef fseeko
#define fseeko _fseeki64
#endif

/* An allocator that counts what is live and the most that ever was. */
typedef struct Counter {
  long live;
  size_t now, most;
} Counter;
static void *count_allocate(void *user, size_t size) {
  Counter *c = (Counter *)user;
  void *p = malloc(size ? size : 1);
  if (!p) return NULL;
  c->live++, c->now += size;
  if (c->now > c->most) c->most = c->now;
  return p;
}
static void count_release(void *user, void *memory, size_t size) {
  Counter *c = (Counter *)user;
  if (!memory) return;
  c->live--, c->now -= size;
  free(memory);
}
static nn_config counted(Counter *count) {
  nn_config c = test_config();
  memset(count, 0, sizeof *count);
  c.allocator.allocate = count_allocate, c.allocator.release = count_release;
  c.allocator.user = count;
  c.batch = 3;
  c.least_memory = 1; /* inference takes the same sums as training */
  return c;
}

/* ------------------------------------------------------------------------------- the models -- */

/* Small nets which between them have every kind of layer and every option of one. */
static void images(nn_model *m) {
  nn_conv2d_options o = {4, 3, 2, 2, 1, 1, 0, 1, 2, 2, 1};
  const nn_pool2d_options pool = {3, 2, 1, 1, 1, 0, 1, 1};
  static const nn_real mean[2] = {(nn_real).25, -3}, scale[2] = {2, (nn_real).125};
  int x = nn_normalise(m, nn_input_image(m, 2, 8, 7), mean, scale), y, z;
  x = nn_conv2d(m, x, 4, 3, 1, 1);
  nn_name(m, x, "first/conv-1_a");
  x = nn_relu(m, nn_batch_norm(m, x));
  y = nn_silu(m, nn_conv2d_with(m, x, &o));
  z = nn_gelu(m, nn_max_pool2d(m, nn_max_pool2d_with(m, x, &pool), 2, 2, 0));
  y = nn_adaptive_avg_pool2d(m, nn_avg_pool2d(m, y, 2, 1, 1), 3, 4);
  y = nn_upsample2d(m, nn_crop2d(m, nn_pad2d(m, y, 1, 0, 2, 3), 0, 1, 3, 5), 2, 1);
  y = nn_concat(m, nn_flatten(m, y), nn_flatten(m, z));
  z = nn_concat(m, nn_global_avg_pool(m, x), nn_global_max_pool(m, x));
  x = nn_linear(m, nn_concat(m, y, nn_multiply(m, z, z)), 6);
  nn_set_init(m, x, NN_INIT_HE_NORMAL, 1.5);
  x = nn_layer_norm(m, nn_leaky_relu(m, x, 0.07));
  x = nn_add(m, x, nn_tanh(m, nn_linear_no_bias(m, nn_clamp(m, x, -2, 3), 6)));
  nn_softmax(m, nn_linear(m, nn_dropout(m, nn_sigmoid(m, x), 0.3), 5));
}
static void sequences(nn_model *m) {
  nn_recurrent_options o = {5, 2, 0.25, 0, 0};
  int x = nn_embedding(m, nn_input_tokens(m, 4), 9, 3);
  x = nn_gru_with(m, x, &o);
  o.carry = 1;
  x = nn_lstm_with(m, x, &o);
  o.relu = 1, o.layers = 1, o.carry = 0;
  x = nn_rnn(m, nn_reverse(m, nn_rnn_with(m, x, &o)), 4);
  x = nn_concat(m, nn_last_step(m, x), nn_global_max_pool(m, x));
#ifndef NN_NO_TRAINING
  {
    static const nn_real weights[3] = {1, 2, (nn_real)0.5};
    nn_cross_entropy_with(m, nn_linear(m, x, 3), 0.1, weights);
  }
#else
  nn_linear(m, x, 3);
#endif
}
static void two_inputs(nn_model *m) {
  int a = nn_input_vector(m, 6), b = nn_input_sequence(m, 3, 2);
  a = nn_linear(m, nn_add(m, a, nn_flatten(m, b)), 2);
#ifndef NN_NO_TRAINING
  nn_mean_squared_error(m, a);
#endif
}
static void (*const nets[])(nn_model *m) = {images, sequences, two_inputs};

/* Three samples for any of the nets. */
static nn_batch batch_for(int net, nn_real *x, int32_t *labels) {
  nn_batch b;
  int i;
  memset(&b, 0, sizeof b);
  test_fill(x, 600, 31);
  for (i = 0; net == 1 && i < 12; i++) x[i] = (nn_real)(i * 4 % 9);
  for (i = 0; i < 3; i++) labels[i] = i;
  b.n = 3, b.x[0] = x, b.x[1] = x + 100, b.labels = labels, b.values = x + 200;
  return b;
}

static nn_model *make(int net, const nn_config *c) {
  nn_model *m = nn_create(c);
#ifndef NN_NO_TRAINING
  nn_optimizer o = nn_adam(0.01);
  o.schedule.kind = NN_COSINE, o.schedule.total = 100, o.clip_norm = 5, o.weight_decay = 1e-3;
  nn_set_optimizer(m, &o);
#endif
  nets[net](m);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  return m;
}

/* A net that has trained for three steps, and what it makes of a batch. */
static nn_model *trained(int net, const nn_config *c) {
  nn_model *m = make(net, c);
#ifndef NN_NO_TRAINING
  nn_real x[600];
  int32_t labels[3];
  nn_batch b = batch_for(net, x, labels);
  int step;
  for (step = 0; step < 3; step++) {
    CHECK_OK(nn_forward(m, &b, 1));
    if (net == 0) CHECK_OK(nn_backward_from(m, x));
    else CHECK_OK(nn_loss(m, &b, NULL, NULL)), CHECK_OK(nn_backward(m));
    CHECK_OK(nn_step(m));
  }
#endif
  return m;
}

/* ------------------------------------------------------------------------------- round trips -- */

/* The same graph, parameters, buffers and output. */
static void alike(nn_model *a, nn_model *b, int net) {
  nn_real x[600];
  int32_t labels[3];
  nn_batch batch = batch_for(net, x, labels);
  nn_node_info p, q;
  nn_param u, v;
  int i;
  CHECK_INT(nn_node_count(a), nn_node_count(b));
  CHECK_INT(nn_param_count(a), nn_param_count(b));
  for (i = 0; i < nn_node_count(a); i++) {
    CHECK_OK(nn_get_node(a, i, &p));
    CHECK_OK(nn_get_node(b, i, &q));
    CHECK_TEXT(p.kind, q.kind);
    CHECK_TEXT(p.name, q.name);
    CHECK(p.inputs == q.inputs && p.rank == q.rank && p.params == q.params && p.macs == q.macs);
    CHECK_SAME(p.dim, q.dim, sizeof p.dim);
    CHECK(p.inputs < 1 || p.input[0] == q.input[0]);
    CHECK(p.inputs < 2 || p.input[1] == q.input[1]);
  }
  for (i = 0; i < nn_param_count(a); i++) {
    CHECK_OK(nn_get_param(a, i, &u));
    CHECK_OK(nn_get_param(b, i, &v));
    CHECK_TEXT(u.name, v.name);
    CHECK(u.count == v.count && u.rank == v.rank && u.node == v.node);
    CHECK_SAME(u.dim, v.dim, sizeof u.dim);
    if (u.count == v.count) CHECK_SAME(u.value, v.value, u.count * sizeof *u.value);
  }
  nn_reset_state(a);
  nn_reset_state(b);
  CHECK_OK(nn_forward(a, &batch, 0));
  CHECK_OK(nn_forward(b, &batch, 0));
  CHECK_SAME(nn_output(a), nn_output(b), 6 * sizeof(nn_real));
}

static void round_trip(void) {
  int net, inference;
  for (net = 0; net < (int)COUNT(nets); net++)
    for (inference = 0; inference < 2; inference++) {
      Counter count;
      nn_config c = counted(&count);
      nn_model *m = trained(net, &c);
      Bytes b = test_saved(m, NULL), again;
      nn_load_result load;
      nn_message why;
      nn_config got;
      memset(&load, 1, sizeof load);
      c.inference = inference, c.batch = 5, c.seed = 99;
      if (CHECK_OK(nn_load_memory(b.at, b.size, &c, &load, &why))) {
        CHECK_INT(load.is_checkpoint, 0);
        CHECK_INT(load.progress.step, 0);
        alike(m, load.model, net);
        CHECK_OK(nn_get_config(load.model, &got));
        CHECK_INT(got.batch, 5);
        CHECK_INT(got.seed, 1); /* the file's */
#ifndef NN_NO_TRAINING
        CHECK_INT(got.inference != 0, inference);
#endif
        again = test_saved(load.model, NULL);
        CHECK_INT(again.size, b.size);
        if (again.size == b.size) CHECK_SAME(again.at, b.at, b.size);
        free(again.at);
        nn_destroy(load.model);
      } else {
        fprintf(stderr, "    %s\n", why.text);
      }
      free(b.at);
      nn_destroy(m);
      CHECK(count.live == 0 && count.now == 0);
    }
}

/* A loaded model goes on learning; a checkpoint also brings back what the optimizer knew. */
static void checkpoints(void) {
#ifdef NN_NO_TRAINING
  SKIP("built without training");
#else
  int net;
  for (net = 0; net < (int)COUNT(nets); net++) {
    Counter count;
    nn_config c = counted(&count);
    nn_model *m = trained(net, &c);
    nn_progress p;
    nn_load_result load;
    nn_message why;
    nn_optimizer o;
    Bytes b;
    memset(&load, 0, sizeof load);
    memset(&p, 0, sizeof p);
    p.step = 3, p.epoch = 1, p.place = 2, p.loss = 0.5, p.accuracy = 0.25, p.loss_sum = 1.5;
    p.correct = 7, p.rows = 30;
    b = test_saved(m, &p);
    CHECK(b.size > nn_save_size(m, NULL));
    if (CHECK_OK(nn_load_memory(b.at, b.size, &c, &load, &why))) {
      CHECK_INT(load.is_checkpoint, 1);
      CHECK_SAME(&load.progress, &p, sizeof p);
      CHECK_INT(nn_steps(load.model), 3);
      CHECK_OK(nn_get_optimizer(load.model, &o));
      const double rate = test_double(0.01), decay = test_double(1e-3);
      CHECK(o.kind == NN_ADAM && o.rate == rate && o.clip_norm == 5 && o.weight_decay == decay);
      CHECK(o.schedule.kind == NN_COSINE && o.schedule.total == 100);
      alike(m, load.model, net);
      nn_destroy(load.model);
    } else {
      fprintf(stderr, "    %s\n", why.text);
    }
    c.inference = 1; /* only to be used: the state is left out */
    memset(&load, 0, sizeof load);
    if (CHECK_OK(nn_load_memory(b.at, b.size, &c, &load, &why))) {
      CHECK(nn_gradients(load.model, NULL) == NULL);
      alike(m, load.model, net);
      nn_destroy(load.model);
    }
    free(b.at);
    nn_destroy(m);
    CHECK(count.live == 0 && count.now == 0);
  }
#endif
}

static void wrong_arguments(void) {
  nn_config c = test_config();
  nn_model *m, *unbuilt = nn_create(&c);
  nn_load_result load;
  nn_message why;
  Bytes b;
  c.batch = 3;
  m = make(2, &c);
  b = test_saved(m, NULL);
  memset(&why, 0, sizeof why);
  CHECK(nn_save_size(NULL, NULL) == 0);
  CHECK(nn_save_size(unbuilt, NULL) == 0);
  CHECK_STATUS(nn_save_memory(NULL, NULL, b.at, b.size), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_save_memory(unbuilt, NULL, b.at, b.size), NN_ERR_STATE);
  CHECK_STATUS(nn_save_memory(m, NULL, NULL, b.size), NN_ERR_ARGUMENT);
  CHECK(nn_save_memory(m, NULL, b.at, b.size - 1) != NN_OK);
  CHECK(nn_save_memory(m, NULL, b.at, 0) != NN_OK);
  CHECK_STATUS(nn_load_memory(b.at, b.size, &c, NULL, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_load_memory(NULL, b.size, &c, &load, &why), NN_ERR_ARGUMENT);
  CHECK(why.text[0] != 0);
  CHECK(nn_load_memory(b.at, 0, &c, &load, NULL) != NN_OK);
  CHECK(load.model == NULL);
  c.batch = 0;
  CHECK_STATUS(nn_load_memory(b.at, b.size, &c, &load, &why), NN_ERR_ARGUMENT);
  CHECK(load.model == NULL);
  c.batch = 3, c.threads = -1;
  CHECK_STATUS(nn_load_memory(b.at, b.size, &c, &load, &why), NN_ERR_ARGUMENT);
#ifndef NN_NO_MALLOC
  CHECK_OK(nn_load_memory(b.at, b.size, NULL, &load, NULL));
  nn_destroy(load.model);
#endif
  nn_destroy(m);
  nn_destroy(unbuilt);
  free(b.at);
}

/* ------------------------------------------------------------------------------ damaged bytes --
 */

/* What must be refused, with a sentence, no model, nothing lost, and no more memory than a file of
 * that size can justify. Returns whether all of it held. */
static int refused(const unsigned char *at, size_t size, size_t allowed, const char *what,
                   size_t where) {
  Counter count;
  nn_config c = counted(&count);
  nn_load_result load;
  nn_message why;
  nn_status status;
  int held;
  memset(&why, 0, sizeof why);
  memset(&load, 1, sizeof load);
  status = nn_load_memory(at, size, &c, &load, &why);
  held = CHECK(status < 0) && CHECK(load.model == NULL) && CHECK(strlen(why.text) > 10);
  if (status >= 0) nn_destroy(load.model);
  held = held && CHECK(count.live == 0 && count.now == 0) && CHECK(count.most <= allowed);
  if (!held)
    fprintf(stderr, "    %s at byte %lu of %lu: status %d, \"%s\", memory %lu\n", what,
            (unsigned long)where, (unsigned long)size, status, why.text, (unsigned long)count.most);
  return held;
}

/* A copy at its own exact size, so that a sanitizer sees the first byte read beyond it. */
static int refused_copy(const unsigned char *at, size_t size, size_t allowed, const char *what) {
  unsigned char *copy = (unsigned char *)test_memory(size);
  int held;
  if (size) memcpy(copy, at, size);
  held = refused(copy, size, allowed, what, size);
  free(copy);
  return held;
}

static Bytes sample(int net) {
  nn_config c = test_config();
  nn_progress p;
  nn_model *m;
  Bytes b;
  c.batch = 3;
  memset(&p, 0, sizeof p);
  m = trained(net, &c);
  b = test_saved(m, net == 2 ? NULL : &p);
  nn_destroy(m);
  return b;
}

static void truncated(void) {
  int net;
  for (net = 0; net < (int)COUNT(nets); net++) {
    Bytes b = sample(net);
    size_t n;
    for (n = 0; n < b.size; n += n < 2000 || n + 500 > b.size ? 1 : 37)
      if (!refused_copy(b.at, n, nn_model_size(), "cut")) break;
    free(b.at);
  }
}

static void bytes_added(void) {
  Bytes b = sample(2);
  unsigned char *longer = (unsigned char *)test_memory(b.size + 8);
  memcpy(longer, b.at, b.size);
  refused(longer, b.size + 1, nn_model_size(), "a byte more", b.size);
  refused(longer, b.size + 8, nn_model_size(), "eight bytes more", b.size);
  free(longer);
  free(b.at);
}

/* The checksums find every single change: of the smallest net every bit, of the others some. */
static void bytes_changed(void) {
  static const unsigned char flips[] = {0x01, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xFF};
  int net;
  size_t i, k;
  for (net = 0; net < (int)COUNT(nets); net++) {
    Bytes b = sample(net);
    int held = 1;
    for (i = 0; i < b.size && held; i++)
      for (k = 0; k < COUNT(flips) && held; k += net == 2 ? 1 : 4) {
        b.at[i] ^= flips[k];
        held = refused(b.at, b.size, nn_model_size(), "changed", i);
        b.at[i] ^= flips[k];
      }
    free(b.at);
  }
}

/* --------------------------------------------------------------------------------------- files --
 */

static void files(void) {
#ifdef NN_NO_STDIO
  SKIP("built without files");
#else
  char path[64], tmp[80];
  Counter count;
  nn_config c = counted(&count);
  nn_model *m = trained(0, &c);
  nn_load_result load;
  nn_message why;
  FILE *f;
  int i;
  sprintf(path, "test_io.%p.nn", (void *)m); /* its own name: several of these run at once */
  sprintf(tmp, "%s.tmp", path);
  memset(&why, 0, sizeof why);
  for (i = 0; i < 2; i++) { /* a new file; over an old one */
    memset(&load, 0, sizeof load);
    CHECK_OK(nn_save(m, path));
    CHECK(fopen(tmp, "rb") == NULL);
    if (CHECK_OK(nn_load(path, &c, &load, &why))) alike(m, load.model, 0);
    else fprintf(stderr, "    %s\n", why.text);
    CHECK_INT(load.is_checkpoint, 0);
    nn_destroy(load.model);
  }
#ifndef NN_NO_TRAINING
  {
    nn_progress p;
    memset(&p, 0, sizeof p);
    p.step = 3, p.place = 1;
    CHECK_OK(nn_save_checkpoint(m, &p, path));
    if (CHECK_OK(nn_load(path, &c, &load, &why))) alike(m, load.model, 0);
    CHECK_INT(load.is_checkpoint, 1);
    CHECK_SAME(&load.progress, &p, sizeof p);
    nn_destroy(load.model);
  }
#endif
  f = fopen(path, "wb"); /* not a model */
  if (f) fputs("hello, world\n", f), fclose(f);
  CHECK_STATUS(nn_load(path, &c, &load, &why), NN_ERR_FORMAT);
  CHECK(load.model == NULL);
  f = fopen(path, "wb"); /* not one either, and not worth reading */
  if (f) fseek(f, 50000000, SEEK_SET), putc(0, f), fclose(f);
  count.most = count.now;
  CHECK_STATUS(nn_load(path, &c, &load, &why), NN_ERR_FORMAT);
  CHECK(count.most - count.now < 1000);
  f = fopen(path, "wb"); /* empty */
  if (f) fclose(f);
  CHECK_STATUS(nn_load(path, &c, &load, &why), NN_ERR_FORMAT);
  remove(path);
  CHECK_STATUS(nn_load(path, &c, &load, &why), NN_ERR_IO);
  CHECK_HAS(why.text, path);
  CHECK_STATUS(nn_load("no\033[31m\nsuch", &c, &load, &why), NN_ERR_IO);
  CHECK_HAS(why.text, "no?[31m?such: "); /* one line, and a terminal stays as it is */
  CHECK_STATUS(nn_load(".", &c, &load, &why), NN_ERR_IO);
  CHECK_STATUS(nn_load(NULL, &c, &load, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_save(m, "no/such/folder/x.nn"), NN_ERR_IO);
  CHECK_HAS(nn_error(m), "no/such/folder/x.nn");
  CHECK_STATUS(nn_save(m, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_save(NULL, path), NN_ERR_ARGUMENT);
  nn_destroy(m);
  CHECK(count.live == 0 && count.now == 0);
#endif
}

/* Files that version 0.1.0 wrote: their parameters to the bit, and what they answer and go on to,
 * by the scalar kernels that wrote them; other kernels round otherwise. */
static size_t old_file(const char *name, unsigned char *bytes, size_t room) {
  char path[80];
  sprintf(path, "tests/goldens/%s", name);
  FILE *f = fopen(path, "rb");
  if (!CHECK(f != NULL)) return 0;
  const size_t size = fread(bytes, 1, room, f);
  fclose(f);
  return size;
}

static uint32_t parameters_of(nn_model *m) {
  uint32_t sum = 0;
  nn_param p;
  for (int i = 0; i < nn_param_count(m) && CHECK_OK(nn_get_param(m, i, &p)); i++)
    sum = nn_crc32(sum, p.value, p.count * sizeof *p.value);
  return sum;
}

static void files_of_version_0_1_0(void) {
  static const nn_real logits[12] = {
      (nn_real).373714,      (nn_real)-.0927256867, (nn_real)-.0724048913, (nn_real).229365468,
      (nn_real).660999954,   (nn_real)-.256753922,  (nn_real).30723387,    (nn_real)-.0216213092,
      (nn_real)-.0898288488, (nn_real).320725918,   (nn_real)-.0552238896, (nn_real)-.137355059};
  static unsigned char bytes[8192];
  nn_config c = test_config();
  nn_real x[4 * 98];
  nn_load_result r;
  nn_message why;
  nn_batch b;
  const int exact = sizeof(nn_real) == 4;
  c.batch = 4;
  memset(&b, 0, sizeof b);
  b.n = 4, b.x[0] = x;
  test_fill(x, COUNT(x), 5);
  size_t size = old_file("v0.1.0-model.nn", bytes, sizeof bytes);
  if (!CHECK_OK(nn_load_memory(bytes, size, &c, &r, &why))) {
    fprintf(stderr, "    %s\n", why.text);
    return;
  }
  CHECK(!r.is_checkpoint);
  if (exact) CHECK(parameters_of(r.model) == 0x21975dbe);
  CHECK_OK(nn_forward(r.model, &b, 0));
  CHECK_NEAR_ALL(nn_output(r.model), logits, 12, 1e-6);
  if (exact) { /* and it is written as it was, but for the header and the padding */
    Bytes again = test_saved(r.model, NULL);
    const unsigned char *const own = again.at;
    size_t at = 32, after = 32; /* a section's length is small here: two bytes hold it */
    while (after < again.size && (at == after || memcmp(own + at, "pads", 4)))
      at = after, after += 16 + own[at + 4] + 256u * own[at + 5];
    CHECK(again.size == size + after - at);
    CHECK_SAME(again.at + 32, bytes + 32, at - 32);
    CHECK_SAME(again.at + after, bytes + at, size - at);
    free(again.at);
  }
  nn_destroy(r.model);
#ifndef NN_NO_TRAINING
  static const double losses[3] = {.63149521, .471817755, .363701717};
  int32_t label[4] = {0, 1, 2, 0};
  b.labels = label;
  size = old_file("v0.1.0-checkpoint.nn", bytes, sizeof bytes);
  if (!CHECK_OK(nn_load_memory(bytes, size, &c, &r, &why))) return;
  CHECK(r.is_checkpoint && r.progress.place == 2 && r.progress.correct == 2);
  for (int i = 0; i < 3; i++) {
    double loss = 0;
    CHECK_OK(nn_train(r.model, &b, &loss, NULL));
    CHECK_NEAR(loss, losses[i], 1e-5);
  }
  nn_destroy(r.model);
#endif
}

/* A name is UTF-8 whatever the system and its settings. */
static void names(void) {
#ifdef NN_NO_STDIO
  SKIP("built without files");
#else
  static const char old[] = "old", text[] = "whatever";
  char name[80];
  nn_message why;
  nn_array a;
  sprintf(name, "test_io.\xC3\xA4\xE2\x82\xAC\xE5\xAD\x97.%p", (void *)&a);
  CHECK_OK(nn_file_write(name, old, sizeof old, &why));
  CHECK_OK(nn_file_write(name, text, sizeof text, &why)); /* over an old one */
  if (CHECK_OK(nn_file_read(name, 100, test_filling(), &a, &why)))
    CHECK_SAME(a.data, text, sizeof text), nn_array_free(&a);
#ifdef _WIN32
  wchar_t wide[80] = L"test_io.\u00E4\u20AC\u5B57.";
  const size_t same = wcslen(wide), bytes = strlen("test_io.") + 2 + 3 + 3 + 1;
  for (size_t i = 0; i <= strlen(name) - bytes; i++) wide[same + i] = (wchar_t)name[bytes + i];
  CHECK_INT(_waccess(wide, 0), 0);
  _wremove(wide);
  CHECK_STATUS(nn_file_write("test_io.\xFF", text, sizeof text, &why), NN_ERR_IO);
#else
  remove(name);
#endif
#endif
}

/* A file that is larger than a 32-bit offset can say. */
static void large_file(void) {
#ifdef NN_NO_STDIO
  SKIP("built without files");
#else
  char path[64];
  nn_message why;
  nn_array a;
  sprintf(path, "test_io.%p.large", (void *)&a);
  FILE *f = fopen(path, "wb"); /* a hole, but for its last byte */
  const int made = f && fseeko(f, (int64_t)5 << 30, SEEK_SET) == 0 && putc(1, f) == 1;
  if (f && fclose(f) == 0 && made) {
    CHECK_STATUS(nn_file_read(path, 1000000, test_filling(), &a, &why), NN_ERR_LIMIT);
    CHECK_HAS(why.text, "larger than the 1000000 bytes");
  } else
    SKIP("no room for a file of 5 GiB");
  remove(path);
#endif
}

static void crc(void) {
  CHECK(nn_crc32(0, "123456789", 9) == 0xCBF43926u);
  CHECK(nn_crc32(nn_crc32(0, "1234", 4), "56789", 5) == 0xCBF43926u);
  CHECK(nn_crc32(0, "", 0) == 0);
}

int main(void) {
  test_isa();
  RUN(crc);
  RUN(round_trip);
  RUN(checkpoints);
  RUN(wrong_arguments);
  RUN(truncated);
  RUN(bytes_added);
  RUN(bytes_changed);
  RUN(files);
  RUN(files_of_version_0_1_0);
  RUN(names);
  RUN(large_file);
  return test_end("io");
}
