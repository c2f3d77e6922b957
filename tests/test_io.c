/* Models and checkpoints as bytes and as files: what is saved comes back, and what is not a whole,
 * unchanged file is refused with a sentence, without a crash, a leak or a large allocation. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64 /* fseeko, past 2 GiB */
#include "graphs.h"
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
  const nn_norm_options norm = {.25, .1, 1, 1, 1}, bare = {.25, 0, 1, 1, 0};
  const nn_norm_options own = {.25, .5, 1, 0, 0};
  const nn_pool2d_options pool = {3, 2, 1, 1, 1, 0, 1, 0}, averages = {2, 2, 1, 1, 1, 1, 0, 1};
  static const nn_real mean[2] = {(nn_real).25, -3}, scale[2] = {2, (nn_real).125};
  int x = nn_normalise(m, nn_input_image(m, 2, 8, 7), mean, scale), y, z;
  x = nn_conv2d(m, x, 4, 3, 1, 1);
  nn_name(m, x, "first/conv-1_a");
  x = nn_relu(m, nn_batch_norm_with(m, x, &own));
  x = nn_prelu(m, nn_batch_norm_with(m, x, &norm), 1);
  y = nn_silu(m, nn_conv2d_with(m, x, &o));
  y = nn_dropout_channels(m, nn_instance_norm(m, y), .5);
  z = nn_gelu(m, nn_max_pool2d(m, nn_max_pool2d_with(m, x, &pool), 2, 2, 0));
  y = nn_adaptive_avg_pool2d(m, nn_avg_pool2d_with(m, y, &averages), 3, 4);
  nn_conv2d_options back = {4, 2, 1, 2, 1, 1, 0, 1, 2, 2, 1};
  y = nn_conv_transpose2d_with(m, nn_upsample2d_bilinear(m, y, 1, 2), &back, 1, 1);
  y = nn_adaptive_avg_pool2d(m, y, 3, 4);
  y = nn_slice(m, nn_slice(m, nn_pad2d(m, y, 1, 0, 2, 3), 2, 1, 5), 1, 0, 3);
  y = nn_image_to_sequence(m, nn_concat_along(m, nn_upsample2d(m, y, 2, 1), y, 1), 1);
  y = nn_reshape(m, nn_sequence_to_image(m, y, 3, 0), 2, (int[2]){9, 20});
  y = nn_concat(m, nn_flatten(m, y), nn_flatten(m, z));
  z = nn_concat(m, nn_global_avg_pool(m, x), nn_global_max_pool(m, x));
  x = nn_linear(m, nn_concat(m, y, nn_multiply(m, z, z)), 6);
  nn_set_init(m, x, NN_INIT_HE_NORMAL, 1.5);
  x = nn_layer_norm(m, nn_leaky_relu(m, x, 0.07));
  x = nn_group_norm(m, nn_layer_norm_with(m, nn_prelu(m, x, 0), &bare), 3);
  x = nn_add(m, x, nn_tanh(m, nn_linear_no_bias(m, nn_clamp(m, x, -2, 3), 6)));
  nn_softmax(m, nn_linear(m, nn_dropout(m, nn_sigmoid(m, x), 0.3), 5));
}
static void sequences(nn_model *m) {
  nn_recurrent_options o = {5, 2, 0.25, 0, 0, 0};
  int x = nn_embedding(m, nn_input_tokens(m, 4), 9, 3);
  x = nn_gru_with(m, x, &o);
  o.carry = 1;
  x = nn_lstm_with(m, x, &o);
  o.carry = 0, o.bidirectional = 1;
  x = nn_gru_with(m, x, &o);
  const int state = nn_final_state(m, x);
  x = nn_lstm_from(m, x, nn_concat(m, state, state), &o);
  o.relu = 1, o.layers = 1, o.bidirectional = 0;
  x = nn_adaptive_avg_pool1d(m, nn_pad1d(m, nn_upsample1d(m, x, 2), 1, 0), 3);
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

/* Losses with all that they can have, at the end of a net; what is loaded computes the same and
 * is saved as the same bytes. A plain loss is written as version 0.2.0 wrote it. */
static void losses(void) {
#ifdef NN_NO_TRAINING
  SKIP("built without training");
#else
  nn_config c = test_config();
  nn_real x[8], values[12], weights[3] = {1, 2, (nn_real)0.5}, samples[2] = {3, 1};
  int32_t labels[4] = {1, 255, 2, 0};
  nn_batch b;
  double loss[2];
  c.batch = 2;
  nn_model *m = nn_create(&c), *loaded;
  nn_loss_options o = nn_loss_default(NN_CROSS_ENTROPY);
  const int y = nn_linear(m, nn_input_vector(m, 4), 3);
  o.smoothing = .125, o.weights = weights, o.ignored = 255, o.from = 1, o.weight = .5;
  nn_loss_with(m, y, &o);
  o = nn_loss_default(NN_BINARY_CROSS_ENTROPY), o.weights = weights, o.sum = 1;
  nn_loss_with(m, nn_node_count(m) - 2, &o);
  o = nn_loss_default(NN_HUBER), o.delta = .25, o.from = 3;
  nn_loss_with(m, y, &o);
  o = nn_loss_default(NN_CROSS_ENTROPY), o.ignored = INT32_MIN;
  nn_loss_with(m, y, &o);
  o.ignored = -2;
  nn_loss_with(m, y, &o);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  memset(&b, 0, sizeof b);
  test_fill(x, 8, 1), test_fill(values, 12, 2);
  for (int i = 0; i < 12; i++) values[i] = (values[i] + 1) / 2;
  b.n = 2, b.x[0] = x, b.labels = labels, b.values = values, b.weights = samples;
  Bytes one = test_saved(m, NULL), two;
  loaded = test_loaded(one, &c);
  two = test_saved(loaded, NULL);
  CHECK(one.size == two.size && memcmp(one.at, two.at, one.size) == 0);
  for (int k = 0; k < 2; k++) {
    CHECK_OK(nn_forward(k ? loaded : m, &b, 0));
    CHECK_OK(nn_loss(k ? loaded : m, &b, &loss[k], NULL));
  }
  CHECK_SAME(&loss[0], &loss[1], sizeof *loss);
  free(one.at), free(two.at);
  nn_destroy(m), nn_destroy(loaded);
  for (int k = 0; k < 3; k++) { /* no "_with" */
    m = nn_create(&c);
    const int end = nn_linear(m, nn_input_vector(m, 4), 3);
    if (k == 0) nn_cross_entropy_with(m, end, .1, weights);
    if (k == 1) nn_mean_squared_error(m, end);
    if (k == 2) nn_binary_cross_entropy(m, end);
    CHECK_OK(nn_build(m));
    one = test_saved(m, NULL);
    for (size_t i = 0; i + 5 < one.size; i++) CHECK(memcmp(one.at + i, "_with", 5) != 0);
    free(one.at);
    nn_destroy(m);
  }
  { /* weights of more features than a cross-entropy has classes */
    enum { FEATURES = NN_MAX_CLASSES + 1 };
    nn_real *const w = (nn_real *)malloc(FEATURES * sizeof *w);
    for (int i = 0; i < FEATURES; i++) w[i] = 2;
    c.batch = 1, m = nn_create(&c);
    o = nn_loss_default(NN_BINARY_CROSS_ENTROPY), o.weights = w;
    nn_loss_with(m, nn_input_vector(m, FEATURES), &o);
    CHECK_OK(nn_build(m));
    one = test_saved(m, NULL);
    nn_destroy(m);
    nn_destroy(m = test_loaded(one, &c));
    free(one.at), free(w);
  }
#endif
}

/* What was in the memory that a model is built in gets into no checkpoint, of step 0 either. */
static void nothing_of_the_memory(void) {
#ifdef NN_NO_TRAINING
  SKIP("built without training");
#else
  const nn_config c = test_config();
  nn_optimizer o = nn_adam(.1);
  const nn_progress progress = {0};
  nn_recurrent_options cell = {3, 1, 0, 0, 1, 0};
  Bytes file[2];
  o.amsgrad = 1, o.average = .9;
  for (int k = 0; k < 2; k++) {
    nn_model *m = nn_create(&c);
    size_t size;
    nn_cross_entropy(m, nn_last_step(m, nn_batch_norm(m, nn_lstm_with(m, nn_input_sequence(m, 2, 3),
                                                                      &cell))));
    nn_set_optimizer(m, &o);
    CHECK_OK(nn_plan(m, &size));
    void *const memory = malloc(size);
    memset(memory, k ? 0x55 : 0xAA, size);
    CHECK_OK(nn_build_in(m, memory, size));
    file[k] = test_saved(m, &progress);
    nn_destroy(m);
    free(memory);
  }
  CHECK_INT(file[0].size, file[1].size);
  CHECK_SAME(file[0].at, file[1].at, file[0].size);
  free(file[0].at), free(file[1].at);
#endif
}

/* A file names layers and losses of the caller's; config has them, or the file is refused. */
static void custom(void) {
  nn_config c = test_config(), without;
  static const nn_custom_layer known[] = {
      {"sum", sum_shape, sum_forward, sum_backward, NULL},
      {"mix", mix_shape, mix_forward, mix_backward, NULL}};
  static const nn_custom_loss losses_known[] = {{"half", 1, 3, half_square, NULL}};
  nn_real x[24], y[9];
  nn_batch b;
  nn_load_result r;
  nn_message why;
  nn_model *opened;
  c.batch = 3;
  without = c;
  nn_model *m = nn_create(&c);
  int in[2] = {nn_input_image(m, 2, 2, 2), 0};
  in[1] = nn_relu(m, in[0]);
  in[0] = nn_custom(m, in, 2, &known[1]);
  const int end = nn_custom(m, in, 1, &known[0]);
  nn_name(m, end, "end");
#ifndef NN_NO_TRAINING
  nn_custom_loss_with(m, end, losses_known, 2);
#endif
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  memset(&b, 0, sizeof b);
  test_fill(x, 24, 3);
  b.n = 3, b.x[0] = x;
  CHECK_OK(nn_forward(m, &b, 0));
  memcpy(y, nn_output(m), sizeof y);
  Bytes bytes = test_saved(m, NULL), again;
  nn_destroy(m);
  for (int k = 0; k < 6; k++) { /* what config has: nothing, one, the other, ..; for inference */
    c.custom_layers = known + (k == 1), c.custom_layers_count = k == 0 ? 0 : k < 3 ? 1 : 2;
    c.custom_losses = losses_known, c.custom_losses_count = k > 3;
    c.inference = k == 5;
    if (k == 5) c.custom_losses = NULL;
    const nn_status status = nn_load_memory(bytes.at, bytes.size, &c, &r, &why);
#ifdef NN_NO_TRAINING
    CHECK_STATUS(status, k < 3 ? NN_ERR_FORMAT : NN_OK);
#else
    CHECK_STATUS(status, k < 4 ? NN_ERR_FORMAT : NN_OK);
    if (k == 3) CHECK_HAS(why.text, "custom_loss1: config.custom_losses has no half");
#endif
    if (k == 0) CHECK_HAS(why.text, "config.custom_layers has no mix");
    if (k == 1) CHECK_HAS(why.text, "end: config.custom_layers has no sum");
    if (status != NN_OK) continue;
    CHECK_OK(nn_forward(r.model, &b, 0));
    CHECK_NEAR_ALL(nn_output(r.model), y, 9, 1e-6);
    again = test_saved(r.model, NULL);
    CHECK(again.size == bytes.size && memcmp(again.at, bytes.at, bytes.size) == 0);
#ifndef NN_NO_TRAINING
    double loss;
    if (k == 5) CHECK_STATUS(nn_loss(r.model, &b, &loss, NULL), NN_ERR_STATE);
    if (k == 5) CHECK_HAS(nn_error(r.model), "config.custom_losses has no half");
    if (k == 4) CHECK_STATUS(nn_loss(r.model, &b, &loss, NULL), NN_ERR_ARGUMENT); /* no labels */
#endif
    free(again.at);
    nn_destroy(r.model);
  }
  nn_custom_layer twice[2] = {known[0], known[0]};
  c.inference = 0, c.custom_layers = twice, c.custom_layers_count = 2;
  CHECK_STATUS(nn_load_memory(bytes.at, bytes.size, &c, &r, &why), NN_ERR_ARGUMENT);
  CHECK_HAS(why.text, "config: a custom layer or loss");
  c.custom_layers = known;
  nn_config odd[5] = {c, c, c, c, c};
  odd[0].batch = 0, odd[1].threads = -2, odd[2].notes = (size_t)1 << 25, odd[3].most_nodes = 1;
  odd[4].isa = NN_ISA_WASM;
  const char *const said[5] = {"batch 0, must be 1..1048576", "threads -2, must be 0..",
                               "notes 33554432, 0..16777216", "most_nodes 1, most_params 0: must",
                               "isa wasm with"};
  for (int i = 0; i < 5 - nn_isa_available(NN_ISA_WASM); i++) {
    CHECK(nn_load_memory(bytes.at, bytes.size, &odd[i], &r, &why) != NN_OK);
    CHECK_HAS(why.text, said[i]);
  }
  CHECK_OK(nn_open_memory(bytes.at, bytes.size, &c, NULL, &opened, &why)); /* without its loss */
  CHECK_INT(nn_node_count(opened), 4);
  nn_destroy(opened);
  CHECK_STATUS(nn_open_memory(bytes.at, bytes.size, &without, NULL, &opened, &why), NN_ERR_FORMAT);
  free(bytes.at);
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
  held = CHECK(status < 0) && CHECK(load.model == NULL) && CHECK(test_told(why.text));
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
    for (size_t k = 0; k < p.count; k++) { /* as a little-endian processor has them in memory */
      const float value = (float)p.value[k];
      uint32_t bits;
      memcpy(&bits, &value, sizeof bits);
      const unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                                      (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
      sum = nn_crc32(sum, bytes, sizeof bytes);
    }
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

/* NN_NO_INIT: zeros until a file brings values. */
static void no_initial_values(void) {
#ifndef NN_NO_INIT
  SKIP("only in a build of NN_NO_INIT");
#else
  const nn_config c = test_config();
  nn_model *m = nn_create(&c), *loaded;
  Bytes file;
  size_t count = 0, i;
  nn_real *w;
  nn_linear(m, nn_input_vector(m, 3), 2);
  CHECK_OK(nn_build(m));
  w = nn_parameters(m, &count);
  CHECK_INT(count, 8);
  for (i = 0; i < count; i++) CHECK(w[i] == 0), w[i] = (nn_real)(i + 1);
  CHECK_STATUS(nn_reinitialise(m, 2), NN_ERR_UNSUPPORTED);
  file = test_saved(m, NULL);
  loaded = test_loaded(file, &c);
  CHECK_SAME(nn_parameters(loaded, &count), w, count * sizeof *w);
  nn_destroy(m), nn_destroy(loaded), free(file.at);
  { /* but what the caller brings */
    const nn_real mean = 3, scale = 4;
    nn_param p;
    m = nn_create(&c);
    nn_normalise(m, nn_input_vector(m, 1), &mean, &scale);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_find_param(m, "normalise1.mean", &p));
    CHECK_SAME(p.value, &mean, sizeof mean);
    CHECK_OK(nn_find_param(m, "normalise1.scale", &p));
    CHECK_SAME(p.value, &scale, sizeof scale);
    nn_destroy(m);
  }
#endif
}

/* NN_NO_MESSAGES: a failure's text is its status's, and there is none without a failure. */
static void no_messages(void) {
#ifndef NN_NO_MESSAGES
  SKIP("only in a build of NN_NO_MESSAGES");
#else
  const nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_load_result r;
  nn_message why;
  CHECK_TEXT(nn_error(m), "");
  nn_linear(m, nn_input_vector(m, 3), 0);
  CHECK_STATUS(nn_model_status(m), NN_ERR_ARGUMENT);
  CHECK_TEXT(nn_error(m), nn_status_text(NN_ERR_ARGUMENT));
  CHECK_STATUS(nn_load_memory("nn", 2, &c, &r, &why), NN_ERR_FORMAT);
  CHECK_TEXT(why.text, nn_status_text(NN_ERR_FORMAT));
  nn_destroy(m);
#endif
}

int main(void) {
  test_isa();
  RUN(crc);
  RUN(round_trip);
  RUN(checkpoints);
  RUN(losses);
  RUN(nothing_of_the_memory);
  RUN(custom);
  RUN(wrong_arguments);
  RUN(truncated);
  RUN(bytes_added);
  RUN(bytes_changed);
  RUN(files);
  RUN(files_of_version_0_1_0);
  RUN(names);
  RUN(large_file);
  RUN(no_initial_values);
  RUN(no_messages);
  return test_end("io");
}
