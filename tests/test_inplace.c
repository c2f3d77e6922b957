/* Inference: weights packed once, norms folded into convolutions, layers that write over their
 * input, parameters that are read where the caller has them. */
#if !defined _WIN32
#define _GNU_SOURCE /* mmap's MAP_ANONYMOUS */
#endif
#include "graphs.h"

#if !defined _WIN32 && !defined NN_NO_THREADS
#include <pthread.h>
#include <sys/mman.h>
#define HAS_MAPPING
#endif

enum { BATCH = 5, CLASSES = 10 };

/* ------------------------------------------------------------------------------------- nets -- */

static int convolution(nn_model *m, int x, int out, int kernel, int groups, int no_bias) {
  nn_conv2d_options o;
  memset(&o, 0, sizeof o);
  o.out = out, o.kernel_h = o.kernel_w = kernel, o.pad_h = o.pad_w = kernel / 2;
  o.stride_h = o.stride_w = o.dilation_h = o.dilation_w = 1;
  o.groups = groups, o.no_bias = no_bias;
  return nn_conv2d_with(m, x, &o);
}

/* One after the other all kinds of packed weights, with a norm and without. */
enum { DENSE, GROUPED, DEPTHWISE, WINOGRAD3, WINOGRAD5, PLAIN_NORM, MANY, ONE_RNN, ONE_LSTM,
       TWO_GRU, LINEARS, NETS };

static int net(nn_model *m, int which) {
  int x;
  if (which >= ONE_RNN && which <= TWO_GRU) {
    nn_recurrent_options o = {19, 1, 0, 0, 0, 0};
    x = nn_input_sequence(m, 6, 7);
    o.layers = which == TWO_GRU ? 2 : 1;
    x = which == ONE_RNN    ? nn_rnn_with(m, x, &o)
        : which == ONE_LSTM ? nn_lstm_with(m, x, &o)
                            : nn_gru_with(m, x, &o);
    nn_name(m, x, "cell");
    return nn_linear(m, nn_last_step(m, nn_leaky_relu(m, x, .1)), CLASSES);
  }
  if (which == LINEARS) {
    static const nn_real mean[42] = {(nn_real).5, -1}, scale[42] = {2, 3};
    x = nn_normalise(m, nn_input_vector(m, 42), mean, scale);
    x = nn_silu(m, nn_layer_norm(m, nn_linear(m, x, 33)));
    x = nn_gelu(m, nn_batch_norm(m, nn_linear_no_bias(m, x, 70)));
    return nn_softmax(m, nn_linear(m, x, CLASSES));
  }
  x = nn_input_image(m, which < WINOGRAD3 ? 6 : 16, 9, 7);
  if (which == DENSE) x = nn_relu(m, nn_batch_norm(m, convolution(m, x, 13, 3, 1, 0)));
  if (which == GROUPED) x = nn_batch_norm(m, convolution(m, x, 10, 3, 2, 1));
  if (which == DEPTHWISE) x = nn_relu(m, nn_batch_norm(m, convolution(m, x, 6, 3, 6, 0)));
  if (which == WINOGRAD3) x = nn_relu(m, nn_batch_norm(m, convolution(m, x, 35, 3, 1, 1)));
  if (which == WINOGRAD5) x = nn_silu(m, nn_batch_norm(m, convolution(m, x, 18, 5, 1, 0)));
  if (which == PLAIN_NORM) x = nn_batch_norm(m, nn_tanh(m, convolution(m, x, 8, 3, 1, 0)));
  if (which == MANY) { /* what one layer reads twice may not be written over */
    const int a = nn_batch_norm(m, convolution(m, x, 16, 3, 1, 0));
    const int b = nn_batch_norm(m, convolution(m, nn_relu(m, a), 16, 3, 1, 1));
    x = nn_leaky_relu(m, nn_add(m, b, a), .2);
    x = nn_add(m, nn_concat(m, x, a), nn_gelu(m, nn_concat(m, a, x)));
  }
  return nn_linear(m, nn_flatten(m, nn_max_pool2d(m, x, 2, 2, 0)), CLASSES);
}

static nn_model *described(const nn_config *c, int which) {
  nn_model *m = nn_create(c);
  net(m, which);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    net %d: %s\n", which, nn_error(m));
  return m;
}

/* A net whose every number is its own: norms have statistics, too. */
static Bytes file_of(int which) {
  nn_config c = test_config();
  nn_model *m;
  nn_param p;
  Bytes b;
  int i;
  c.batch = BATCH;
  m = described(&c, which);
  for (i = 0; i < nn_param_count(m); i++) {
    size_t k;
    CHECK_OK(nn_get_param(m, i, &p));
    if (p.rank > 1) continue;
    test_fill(p.value, p.count, (uint32_t)(i + 1));
    for (k = 0; k < p.count && strstr(p.name, "running_var"); k++)
      p.value[k] = (nn_real)1.5 + p.value[k];
  }
  b = test_saved(m, NULL);
  nn_destroy(m);
  return b;
}

/* The output of n samples, [n, CLASSES]. */
static void run(nn_model *m, int n, nn_real *to) {
  static nn_real x[BATCH * 16 * 9 * 7];
  nn_batch b;
  memset(&b, 0, sizeof b);
  test_fill(x, COUNT(x), 7);
  b.n = n, b.x[0] = x;
  memset(to, 0, (size_t)n * CLASSES * sizeof *to);
  if (CHECK_OK(nn_forward(m, &b, NN_INFERENCE)))
    memcpy(to, nn_output(m), (size_t)n * CLASSES * sizeof *to);
  else
    fprintf(stderr, "    %s\n", nn_error(m));
}

/* ----------------------------------------------------------------------------- packed once -- */

/* With least memory an inference model gives the bits of the model that was trained; packed once,
 * with its norms folded in, the same numbers within rounding, and the same bits at every call. */
static void packs_once(void) {
  int which, n;
  for (which = 0; which < NETS; which++) {
    nn_config c = test_config();
    Bytes file = file_of(which);
    nn_model *trained, *least, *once;
    c.batch = BATCH;
    c.least_memory = 1; /* which only says something to an inference model */
    trained = test_loaded(file, &c);
    c.inference = 1;
    least = test_loaded(file, &c);
    c.least_memory = 0;
    once = test_loaded(file, &c);
    for (n = BATCH; n > 0 && trained && least && once; n -= 2) {
      nn_real want[BATCH * CLASSES], got[BATCH * CLASSES];
      run(trained, n, want);
      run(least, n, got);
      if (!CHECK_SAME(got, want, (size_t)n * CLASSES * sizeof *got))
        fprintf(stderr, "    net %d, %d samples\n", which, n);
      run(once, n, got);
      if (!CHECK_NEAR_ALL(got, want, n * CLASSES, 2e-5))
        fprintf(stderr, "    net %d, %d samples\n", which, n);
      run(once, n, want);
      CHECK_SAME(got, want, (size_t)n * CLASSES * sizeof *got);
    }
    nn_destroy(trained), nn_destroy(least), nn_destroy(once);
    free(file.at);
  }
}

/* Whoever took a pointer may write through it whenever he likes. */
static void packs_again(void) {
  int which, i;
  for (which = 0; which < NETS; which++) {
    nn_config c = test_config();
    Bytes file = file_of(which);
    nn_model *once, *least;
    nn_real want[BATCH * CLASSES], got[BATCH * CLASSES];
    c.batch = BATCH, c.inference = 1;
    once = test_loaded(file, &c);
    c.least_memory = 1;
    least = test_loaded(file, &c);
    run(once, BATCH, got);
    for (i = 0; once && least && i < nn_param_count(once); i++) {
      nn_param p, q;
      CHECK_OK(nn_get_param(once, i, &p));
      CHECK_OK(nn_get_param(least, i, &q));
      run(once, BATCH, got);
      p.value[p.count - 1] += (nn_real).75, q.value[q.count - 1] += (nn_real).75;
      run(once, BATCH, got);
      run(least, BATCH, want);
      if (!CHECK_NEAR_ALL(got, want, BATCH * CLASSES, 2e-5))
        fprintf(stderr, "    net %d, %s\n", which, p.name);
    }
    CHECK_OK(nn_load_weights_memory(once, file.at, file.size, NULL, NULL));
    CHECK_OK(nn_load_weights_memory(least, file.at, file.size, NULL, NULL));
    run(once, BATCH, got);
    run(least, BATCH, want);
    CHECK_NEAR_ALL(got, want, BATCH * CLASSES, 2e-5);
    nn_destroy(once), nn_destroy(least);
    free(file.at);
  }
}

/* What random graphs give: packed once, in less memory and with every array kept. */
static void random_graphs_packed_once(void) {
  enum { N = 3 };
  static const int32_t lengths[N] = {2, 3, 1};
  int seed, way, n, k;
  for (seed = 1; seed <= 300 && !test_state.bad; seed++) {
    nn_real *out[3] = {NULL, NULL, NULL}, *x[NN_MAX_INPUTS];
    size_t size = 0, i;
    double rms = 0;
    for (way = 0; way < 3; way++) {
      nn_config c = test_config();
      nn_node_info f;
      nn_model *m;
      nn_batch b;
      int used = 0;
      memset(&b, 0, sizeof b);
      c.batch = N + 1, c.inference = 1, c.least_memory = way == 0, c.keep_activations = way == 2;
      m = nn_create(&c);
      graph(m, seed);
      if (!CHECK_OK(nn_build(m))) return;
      for (k = 0; k < nn_param_count(m); k++) { /* norms are not what they start as */
        nn_param p;
        CHECK_OK(nn_get_param(m, k, &p));
        for (i = 0; i < p.count && p.rank == 1; i++)
          p.value[i] += (nn_real)((double)((i + (size_t)k) % 5) / 8);
      }
      for (k = 0; k < nn_node_count(m); k++) {
        CHECK_OK(nn_get_node(m, k, &f));
        for (size = N, n = 0; n < f.rank; n++) size *= (size_t)f.dim[n];
        if (f.rank == 2 && seed % 2) b.lengths = lengths;
        if (f.inputs) continue;
        b.x[used] = x[used] = test_reals(size);
        test_fill(x[used], size, (uint32_t)k);
        for (i = 0; i < size && strcmp(f.kind, "tokens") == 0; i++)
          x[used][i] = (nn_real)(i * 5 % 7);
        used++;
      }
      CHECK_OK(nn_get_node(m, nn_output_node(m), &f));
      for (size = N, n = 0; n < f.rank; n++) size *= (size_t)f.dim[n];
      out[way] = test_reals(size);
      for (n = N; n > 0; n--) { /* fewer samples find the same packed weights */
        b.n = n;
        CHECK_OK(nn_forward(m, &b, 0));
        if (n == N) memcpy(out[way], nn_output(m), size * sizeof *out[way]);
      }
      while (used) free(x[--used]);
      nn_destroy(m);
    }
    for (i = 0; i < size; i++) rms += (double)out[0][i] * (double)out[0][i] / (double)size;
    for (i = 0; i < 2 * size; i++) { /* relative to the whole */
      nn_real *const o = out[1 + i / size] + i % size;
      *o = (nn_real)((double)*o / (sqrt(rms) + 1e-30));
      if (i >= size) out[0][i % size] = (nn_real)((double)out[0][i % size] / (sqrt(rms) + 1e-30));
    }
    if (!CHECK_NEAR_ALL(out[1], out[0], size, 1e-4) || !CHECK_NEAR_ALL(out[2], out[0], size, 1e-4))
      fprintf(stderr, "    graph %d\n", seed);
    for (way = 0; way < 3; way++) free(out[way]);
  }
}

/* ------------------------------------------------------------------------------------ memory -- */

static size_t plan_of(nn_model *m) {
  size_t bytes = 0;
  CHECK_OK(nn_plan(m, &bytes));
  return bytes;
}

/* One sample through 784-32-10 takes its weights, two rows of numbers and the room for notes. */
static void memory_of_inference(void) {
  const size_t weights = (784 * 32 + 32 + 32 * 10 + 10) * sizeof(nn_real);
  nn_config c = test_config();
  nn_model *m;
  int in_place;
  c.batch = 1, c.inference = 1, c.threads = 1, c.least_memory = 1;
  for (in_place = 0; in_place < 2; in_place++) {
    c.in_place = in_place;
    m = nn_create(&c);
    nn_linear(m, nn_relu(m, nn_linear(m, nn_input_vector(m, 784), 32)), 10);
    CHECK(plan_of(m) <= (in_place ? 0 : weights) + 42 * sizeof(nn_real) + c.notes + 12 * 64);
    nn_destroy(m);
  }
  c.in_place = 0; /* a large layer: the padded image, and what goes in and out in both layouts */
  m = nn_create(&c);
  nn_conv2d(m, nn_input_image(m, 3, 180, 320), 32, 3, 1, 1);
  CHECK(plan_of(m) <= (2 * 3 + 2 * 32) * (size_t)182 * 322 * sizeof(nn_real) + 65536);
  nn_destroy(m);
}

/* ---------------------------------------------------------------------------------- in place -- */

static void in_place(void) {
  int which, least;
  for (which = 0; which < NETS; which++)
    for (least = 0; least < 2; least++) {
      nn_config c = test_config();
      Bytes file = file_of(which), again;
      unsigned char *const copy = (unsigned char *)test_memory(file.size);
      nn_real want[BATCH * CLASSES], got[BATCH * CLASSES];
      nn_model *owns, *borrows;
      size_t bytes;
      nn_param p;
      int i;
      memcpy(copy, file.at, file.size);
      c.batch = BATCH, c.inference = 1, c.least_memory = least;
      owns = test_loaded(file, &c);
      c.in_place = 1;
      borrows = test_loaded(file, &c);
      run(owns, BATCH, want);
      run(borrows, BATCH, got);
      CHECK_SAME(got, want, sizeof got);
      CHECK(nn_parameters(borrows, &bytes) == NULL && bytes == 0);
      nn_parameters(owns, &bytes);
      CHECK(nn_memory(borrows) + bytes * sizeof(nn_real) <= nn_memory(owns));
      for (i = 0; i < nn_param_count(borrows); i++) {
        CHECK_OK(nn_get_param(borrows, i, &p));
        CHECK((unsigned char *)p.value > file.at && (unsigned char *)p.value < file.at + file.size);
        if (i == 0) CHECK_INT(((unsigned char *)p.value - file.at) % 64, 0);
        CHECK(p.gradient == NULL);
      }
      CHECK_STATUS(nn_reinitialise(borrows, 3), NN_ERR_STATE);
      again = test_saved(borrows, NULL);
      CHECK(again.size == file.size && CHECK_SAME(again.at, file.at, file.size));
      CHECK_SAME(file.at, copy, file.size);
      nn_destroy(owns), nn_destroy(borrows);
      free(file.at), free(again.at), free(copy);
    }
}

static void wrong_places(void) {
  nn_config c = test_config();
  Bytes file = file_of(DENSE), other = file_of(ONE_RNN);
  unsigned char *const shifted = (unsigned char *)test_memory(file.size + 8);
  nn_load_result r;
  nn_message why;
  nn_weights found;
  nn_model *m;
  nn_batch b;
  nn_real x[6 * 9 * 7] = {0};
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x;
  c.batch = BATCH, c.in_place = 1;
#ifndef NN_NO_TRAINING
  CHECK_STATUS(nn_load_memory(file.at, file.size, &c, &r, &why), NN_ERR_ARGUMENT);
  CHECK_HAS(why.text, "in_place");
  m = nn_create(&c);
  net(m, DENSE);
  CHECK_STATUS(nn_build(m), NN_ERR_STATE);
  nn_destroy(m);
#endif
  c.inference = 1;
  memcpy(shifted + 1, file.at, file.size);
  CHECK_STATUS(nn_load_memory(shifted + 1, file.size, &c, &r, &why), NN_ERR_ARGUMENT);
  CHECK_HAS(why.text, "multiple of");
  m = described(&c, DENSE);
  CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_STATE); /* no parameters yet */
  CHECK_HAS(nn_error(m), "conv1.weight");
  CHECK(nn_save_size(m, NULL) == 0);
  CHECK_STATUS(nn_load_weights_memory(m, shifted + 1, file.size, NULL, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_STATE);
  CHECK_OK(nn_load_weights_memory(m, other.at, other.size, NULL, &found)); /* only linear1.bias */
  CHECK_INT(found.found, 1);
  CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_STATE);
  CHECK_OK(nn_load_weights_memory(m, file.at, file.size, NULL, &found));
  CHECK_INT(found.missing, 0);
  CHECK_OK(nn_forward(m, &b, 0));
#ifndef NN_NO_STDIO
  CHECK_STATUS(nn_load_weights(m, "build/nobody.nn", NULL, NULL), NN_ERR_STATE);
  CHECK_STATUS(nn_load("build/nobody.nn", &c, &r, &why), NN_ERR_ARGUMENT);
#endif
  nn_destroy(m);
  free(file.at), free(other.at), free(shifted);
}

/* ------------------------------------------------------------------------------------ shared -- */

static nn_model *cell_of(const nn_config *c, int steps, int carry) {
  nn_model *m = nn_create(c);
  nn_recurrent_options o = {24, 2, 0, 0, 0, 0};
  int x;
  o.carry = carry;
  x = nn_gru_with(m, nn_input_sequence(m, steps, 7), &o);
  x = nn_linear(m, x, CLASSES);
#ifndef NN_NO_TRAINING
  if (!c->inference) nn_cross_entropy(m, x);
#endif
  CHECK_OK(nn_build(m));
  return m;
}

/* One step at a time beside the whole sequence, before and after training. */
static void step_by_step(void) {
  enum { STEPS = 6 };
  nn_config c = test_config(), d = test_config();
  nn_real x[STEPS * 7], want[STEPS * CLASSES];
  nn_model *whole, *step;
  nn_batch b;
  int round, t;
  c.batch = 1;
  whole = cell_of(&c, STEPS, 0);
  d.batch = 1, d.inference = d.in_place = 1;
  step = cell_of(&d, 1, 1);
  test_fill(x, COUNT(x), 3);
  memset(&b, 0, sizeof b);
  CHECK_OK(nn_share_weights(step, whole));
  for (round = 0; round < 2; round++) {
    b.n = 1, b.x[0] = x;
    CHECK_OK(nn_forward(whole, &b, 0));
    memcpy(want, nn_output(whole), sizeof want);
    nn_reset_state(step);
    for (t = 0; t < STEPS; t++) {
      b.x[0] = x + t * 7;
      CHECK_OK(nn_forward(step, &b, 0));
      CHECK_NEAR_ALL(nn_output(step), want + t * CLASSES, CLASSES, 1e-6);
    }
#ifndef NN_NO_TRAINING
    static const int32_t labels[STEPS] = {1, 2, 3, 4, 5, 6};
    b.x[0] = x, b.labels = labels;
    for (t = 0; t < 30; t++) CHECK_OK(nn_train(whole, &b, NULL, NULL));
    b.labels = NULL;
#endif
  }
  nn_destroy(step), nn_destroy(whole);
}

static void wrong_sharing(void) {
  nn_config c = test_config();
  nn_model *whole, *owns, *step, *rnn;
  c.batch = 1, c.inference = 1;
  whole = cell_of(&c, 3, 0), owns = cell_of(&c, 1, 1);
  c.in_place = 1;
  step = cell_of(&c, 1, 1), rnn = described(&c, ONE_RNN);
  CHECK_STATUS(nn_share_weights(NULL, whole), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_share_weights(step, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_share_weights(owns, whole), NN_ERR_STATE);
  CHECK_STATUS(nn_share_weights(rnn, whole), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(rnn), "cell.weight_ih_l0");
  CHECK_STATUS(nn_share_weights(step, rnn), NN_ERR_SHAPE); /* which has none itself */
  CHECK_OK(nn_share_weights(step, whole));
  nn_destroy(step), nn_destroy(rnn), nn_destroy(owns), nn_destroy(whole);
}

/* ----------------------------------------------------------------------------------- threads -- */

#ifdef HAS_MAPPING
enum { THREADS = 8, ROUNDS = 10 };
typedef struct Job {
  const void *file;
  size_t size;
  int which, bad;
  const nn_real *want;
} Job;

static void *job(void *arg) {
  Job *j = (Job *)arg;
  nn_config c = test_config();
  nn_load_result r;
  int i;
  c.batch = BATCH, c.inference = 1, c.in_place = 1, c.threads = 1;
  j->bad = nn_load_memory(j->file, j->size, &c, &r, NULL) != NN_OK;
  for (i = 0; i < ROUNDS && !j->bad; i++) {
    nn_real x[BATCH * 16 * 9 * 7];
    nn_batch b;
    memset(&b, 0, sizeof b);
    test_fill(x, COUNT(x), 7);
    b.n = BATCH, b.x[0] = x;
    j->bad = nn_forward(r.model, &b, 0) != NN_OK ||
             memcmp(nn_output(r.model), j->want, BATCH * CLASSES * sizeof(nn_real)) != 0;
  }
  nn_destroy(r.model);
  return NULL;
}

/* Eight models in eight threads over one block that nobody can write to. */
static void read_only_memory(void) {
  int which, i;
  for (which = 0; which < NETS; which++) {
    nn_config c = test_config();
    Bytes file = file_of(which);
    nn_real want[BATCH * CLASSES];
    nn_model *m;
    pthread_t thread[THREADS];
    Job jobs[THREADS];
    void *page = mmap(NULL, file.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(page != MAP_FAILED)) return;
    c.batch = BATCH, c.inference = 1, c.threads = 1;
    m = test_loaded(file, &c);
    run(m, BATCH, want);
    nn_destroy(m);
    memcpy(page, file.at, file.size);
    CHECK(mprotect(page, file.size, PROT_READ) == 0);
    for (i = 0; i < THREADS; i++) {
      jobs[i].file = page, jobs[i].size = file.size, jobs[i].which = which, jobs[i].want = want;
      CHECK(pthread_create(&thread[i], NULL, job, &jobs[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
      CHECK(pthread_join(thread[i], NULL) == 0);
      CHECK(!jobs[i].bad);
    }
    CHECK(memcmp(page, file.at, file.size) == 0);
    munmap(page, file.size);
    free(file.at);
  }
}
#else
static void read_only_memory(void) { SKIP("no mmap, or no threads in this build"); }
#endif

/* An array of all parameters in place, and a model with room for its own layers alone. */
static void from_an_array(void) {
  nn_config c = test_config();
  nn_real x[3] = {1, 2, -1}, want[2];
  const nn_real w[12] = {1, 0, 2, -1, 3, 1, (nn_real).5, (nn_real)-.5, 10, 20, 2, 3};
  const nn_batch b = {1, {x}, NULL, NULL, NULL, NULL};
  nn_model *m;
  c.inference = c.in_place = 1, c.most_nodes = 3, c.most_params = 4;
  CHECK(nn_model_size_for(&c) < nn_model_size() && nn_model_size_for(NULL) == nn_model_size());
  m = nn_create(&c);
  nn_normalise(m, nn_linear(m, nn_input_vector(m, 3), 2), w + 8, w + 10);
  CHECK_STATUS(nn_place_weights(m, w, 12), NN_ERR_STATE);
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_place_weights(m, NULL, 12), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_place_weights(m, w, 11), NN_ERR_SHAPE);
  CHECK_STATUS(nn_place_weights(NULL, w, 12), NN_ERR_ARGUMENT);
  const void *const odd = (const char *)w + sizeof *w / 2;
  CHECK_STATUS(nn_place_weights(m, odd, 12), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "values must lie at a multiple of");
  CHECK_OK(nn_place_weights(m, w, 12));
  CHECK_OK(nn_forward(m, &b, 0));
  want[0] = (-1 + (nn_real).5 - 10) * 2, want[1] = (4 - (nn_real).5 - 20) * 3;
  CHECK_NEAR_ALL(nn_output(m), want, 2, 1e-6);
  nn_destroy(m);
  c.in_place = 0, c.most_nodes = 2;
  m = nn_create(&c);
  nn_relu(m, nn_relu(m, nn_input_vector(m, 3)));
  CHECK_STATUS(nn_build(m), NN_ERR_LIMIT);
  nn_destroy(m);
  c.most_nodes = 1;
  CHECK(nn_model_size_for(&c) == 0 && nn_create(&c) == NULL);
  c.most_nodes = NN_MAX_NODES + 1;
  CHECK(nn_model_size_for(&c) == 0 && nn_create(&c) == NULL);
}

/* Names in as many bytes as they take: one too few is refused, another name moves those behind it,
 * and a file's model has room for its own. */
static void room_for_names(void) {
  nn_config c = test_config();
  for (int few = 0; few < 2; few++) {
    c.most_nodes = 4, c.names = 0;
    const size_t all = nn_model_size_for(&c);
    c.names = 7 + 8 + 6 + 6 - (size_t)few; /* "input1", "linear1", "relu1", "relu2" */
    CHECK(nn_model_size_for(&c) < all - 4 * 24 + c.names + 8);
    nn_model *m = nn_create(&c);
    nn_relu(m, nn_relu(m, nn_linear(m, nn_input_vector(m, 3), 2)));
    if (few) {
      CHECK_STATUS(nn_build(m), NN_ERR_LIMIT);
      CHECK_HAS(nn_error(m), "relu2: config.names = 26 bytes are too few");
      nn_destroy(m);
      continue;
    }
    nn_name(m, 1, "classes"); /* as long */
    nn_name(m, 0, "in"), nn_name(m, 2, "rectified");
    CHECK_STATUS(nn_model_status(m), NN_OK);
    for (int i = 0; i < 4; i++) {
      static const char *const name[] = {"in", "classes", "rectified", "relu2"};
      CHECK_INT(nn_find_node(m, name[i]), i);
    }
    CHECK_OK(nn_build(m));
    Bytes file = test_saved(m, NULL);
    nn_destroy(m);
    nn_load_result r;
    size_t size = 0;
    c.names = 0, c.most_nodes = 0;
    CHECK_OK(nn_load_in(NULL, &size, file.at, file.size, &c, &r, NULL));
    void *const block = test_memory(size);
    if (CHECK_OK(nn_load_in(block, &size, file.at, file.size, &c, &r, NULL)))
      CHECK_INT(nn_find_node(r.model, "rectified"), 2);
    nn_destroy(r.model), free(block), free(file.at);
    c.most_nodes = 4, c.names = 27;
    m = nn_create(&c);
    nn_relu(m, nn_relu(m, nn_linear(m, nn_input_vector(m, 3), 2)));
    nn_name(m, 0, "inputs1");
    CHECK_STATUS(nn_build(m), NN_ERR_LIMIT);
    CHECK_HAS(nn_error(m), "inputs1: config.names = 27 bytes are too few");
    nn_destroy(m);
  }
}

static void *refuse(void *user, size_t size) { return (void)user, (void)size, NULL; }
static void ignore(void *user, void *at, size_t size) { (void)user, (void)at, (void)size; }

/* A file into a block of the size told before: nothing is allocated, nothing written behind it, and
 * the outputs are those of an allocated model, whether or not the weights stay in the file. */
static void into_a_block(void) {
  for (int which = 0; which < 2 * NETS; which++) {
    nn_config c = test_config();
    Bytes file = file_of(which / 2);
    nn_real want[BATCH * CLASSES], got[BATCH * CLASSES];
    nn_load_result r;
    nn_message why;
    size_t told = 0, size;
    nn_model *m;
    c.batch = BATCH, c.inference = 1, c.in_place = which % 2;
    m = test_loaded(file, &c), run(m, BATCH, want);
    CHECK_OK(nn_load_in(NULL, &told, file.at, file.size, &c, &r, &why));
    CHECK(r.model == NULL && told > nn_memory(m) && told < nn_memory(m) + nn_model_size() / 2);
    nn_destroy(m);
    c.allocator = (nn_allocator){refuse, ignore, NULL};
    unsigned char *const block = (unsigned char *)test_memory(told + 64);
    size = told - 1;
    CHECK_STATUS(nn_load_in(block, &size, file.at, file.size, &c, &r, &why), NN_ERR_MEMORY);
    CHECK(r.model == NULL && size == told);
    size = 64;
    CHECK_STATUS(nn_load_in(block, &size, file.at, file.size, &c, &r, &why), NN_ERR_MEMORY);
    CHECK(r.model == NULL && size > 64 && size < told);
    CHECK_STATUS(nn_load_in(block, NULL, file.at, file.size, &c, &r, &why), NN_ERR_ARGUMENT);
    c.most_nodes = -1;
    CHECK_STATUS(nn_load_in(block, &size, file.at, file.size, &c, &r, &why), NN_ERR_ARGUMENT);
    c.most_nodes = 0;
    memset(block, 0x5A, told + 64);
    size = told;
    if (CHECK_OK(nn_load_in(block, &size, file.at, file.size, &c, &r, &why))) {
      CHECK(size == told && (unsigned char *)r.model == block);
      run(r.model, BATCH, got);
      CHECK_SAME(got, want, sizeof got);
      nn_destroy(r.model);
    }
    for (size = told; size < told + 64; size++) CHECK_INT(block[size], 0x5A);
    free(block), free(file.at);
  }
}

/* A layer's working space lies where other layers' activations are not: the second convolution's
 * packed weights, the largest, in the place of the first one's output. */
static void scratch_in_passing(void) {
  nn_config c = test_config();
  c.batch = c.threads = c.inference = c.in_place = c.least_memory = c.direct_convolution = 1;
  c.notes = 0;
  nn_model *m = nn_create(&c);
  int x = nn_conv2d(m, nn_input_image(m, 1, 36, 36), 6, 5, 1, 2);
  x = nn_max_pool2d(m, nn_relu(m, x), 2, 2, 0);
  x = nn_conv2d(m, x, 16, 5, 1, 0);
  nn_max_pool2d(m, nn_relu(m, x), 2, 2, 0);
  CHECK(plan_of(m) <= (6 * 36 * 36 + 6 * 18 * 18 + 2048) * sizeof(nn_real));
  nn_destroy(m);
}

int main(void) {
  test_isa();
  RUN(packs_once);
  RUN(packs_again);
  RUN(random_graphs_packed_once);
  RUN(memory_of_inference);
  RUN(in_place);
  RUN(wrong_places);
  RUN(step_by_step);
  RUN(wrong_sharing);
  RUN(read_only_memory);
  RUN(from_an_array);
  RUN(room_for_names);
  RUN(into_a_block);
  RUN(scratch_in_passing);
  return test_end("inplace");
}
