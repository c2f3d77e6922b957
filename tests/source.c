/* Random nets as C source, for tests/source: each as a header, and a program that holds what the
 * engine gives for some input against what the header's code gives.
 * usage: source nets FOLDER FROM TO [int8], or source NET FILE PREFIX [int8] for one of the nets
 * below; int8: the same nets in int8, beside nn_int8_run */
#include "../nn.c"

#include "graphs.h"

static unsigned kinds[NN__KIND_COUNT];
static int int8; /* the same nets in int8, which have one input and are compared to the bit */

static void numbers(FILE *f, const char *name, int net, const nn_real *x, size_t n) {
  fprintf(f, "static const float %s%d[%zu] = {", name, net, n);
  for (size_t i = 0; i < n; i++) fprintf(f, "%s%.9e%s", i ? "," : "", (double)x[i], "f");
  fprintf(f, "};\n");
}

/* Values of every parameter, variances above 0 and factors round 1. */
static void randomise(nn_model *m) {
  nn_param p;
  for (int k = 0; k < nn_param_count(m); k++) {
    nn_get_param(m, k, &p);
    const char *const what = strchr(p.name, '.') + 1;
    const double offset = strstr(what, "var") || !strcmp(what, "scale") ? 1.2 : 0;
    for (size_t i = 0; i < p.count; i++)
      p.value[i] = (nn_real)(offset + (double)dice(-1000, 1000) / (offset > 0 ? 1000 : 2000));
  }
}

/* In front of the random graphs: what they have not. */
static int scaled(nn_model *m, int seed) {
  static const nn_real mean[5] = {(nn_real).5, (nn_real)-.25, 0, 1, 2};
  static const nn_real scale[5] = {1, 2, (nn_real).5, 1, 3};
  const nn_recurrent_options two = {3, 2, 0, 0, 0, 0}, both = {2, 2, 0, 0, 0, 1};
  nn_conv2d_options o = {4, 3, 2, 1, 2, 1, 1, 2, 1, 2, 0};
  const nn_recurrent_options relu = {4, 1, 0, 1, 0, 0};
  int x, state;
  dice_state = (uint32_t)seed * 2654435761u;
  switch (seed % 16) {
    case 0: /* scaling into a padded convolution, average pool */
      x = nn_normalise(m, nn_input_image(m, 3, 9, 8), mean, scale);
      x = nn_avg_pool2d(m, nn_tanh(m, nn_batch_norm(m, nn_conv2d(m, x, 5, 3, 1, 1))), 2, 2, 0);
      return nn_linear(m, nn_flatten(m, nn_relu(m, nn_conv2d(m, x, 3, 2, 1, 0))), 4);
    case 1: /* into one without padding, global maximum */
      x = nn_normalise(m, nn_input_image(m, 2, 7, 7), mean, scale);
      return nn_global_max_pool(m, nn_silu(m, nn_conv2d(m, x, 6, 3, 2, 0)));
    case 2: /* into a linear layer behind flatten, and a norm behind it; two softmaxes */
      x = nn_flatten(m, nn_normalise(m, nn_input_image(m, 3, 4, 5), mean, scale));
      x = nn_softmax(m, nn_clamp(m, nn_batch_norm(m, nn_linear(m, x, 6)), -1, 2));
      return nn_softmax(m, nn_linear(m, x, 4));
    case 3: /* streams */
      x = nn_normalise(m, nn_input_sequence(m, 6, 5), mean, scale);
      x = nn_last_step(m, nn_gru_with(m, x, &two));
      return nn_linear(m, nn_relu(m, nn_linear(m, x, 7)), 4);
    case 4:
      x = nn_lstm_with(m, nn_embedding(m, nn_input_tokens(m, 5), 7, 4), &two);
      return nn_softmax(m, nn_linear(m, nn_layer_norm(m, x), 3)); /* an answer a step */
    case 5:
      x = nn_rnn(m, nn_elu(m, nn_linear(m, nn_input_sequence(m, 4, 3), 6), .5), 5);
      return nn_last_step(m, nn_add(m, x, nn_rnn(m, x, 5)));
    case 6: /* whole sequences */
      x = nn_lstm_with(m, nn_normalise(m, nn_input_sequence(m, 5, 3), mean, scale), &both);
      return nn_linear(m, nn_last_step(m, nn_gru(m, nn_conv1d(m, x, 6, 3, 1, 1), 4)), 3);
    case 7: /* scaling into a padded convolution with groups, strides, dilation */
      x = nn_normalise(m, nn_input_image(m, 4, 9, 11), mean, scale);
      x = nn_max_pool2d(m, nn_hard_swish(m, nn_conv2d_with(m, x, &o)), 2, 2, 0);
      return nn_global_avg_pool(m, nn_relu(m, nn_conv2d(m, x, 3, 3, 1, 3)));
    case 8: /* a copy */ return nn_flatten(m, nn_input_image(m, 2, 3, 4));
    case 9: /* overlapping and uneven pools */
      x = nn_relu(m, nn_conv2d(m, nn_input_image(m, 1, 12, 12), 3, 3, 1, 1));
      x = nn_max_pool2d(m, x, 3, 2, 1);
      return nn_adaptive_avg_pool2d(m, x, 4, 3);
    case 10: /* a residual block and a norm on its own */
      x = nn_conv2d(m, nn_input_image(m, 2, 6, 6), 4, 3, 1, 1);
      x = nn_add(m, x, nn_conv2d(m, nn_relu(m, nn_batch_norm(m, x)), 4, 3, 1, 1));
      return nn_multiply(m, x, nn_sigmoid(m, nn_linear(m, nn_global_avg_pool(m, x), 4)));
    case 11: /* scaling ahead of steps, padded */
      x = nn_conv1d(m, nn_normalise(m, nn_input_sequence(m, 7, 3), mean, scale), 4, 3, 2, 1);
      return nn_global_max_pool(m, nn_gelu(m, x));
    case 12: /* steps that are added, so that it cannot run step by step */
      x = nn_gru(m, nn_pad1d(m, nn_input_sequence(m, 4, 3), 1, 2), 5);
      return seed < 16 ? nn_last_step(m, x) : nn_rnn(m, nn_upsample1d(m, x, 2), 3);
    case 13: /* an encoder and a decoder, whose input is scaled */
      x = nn_input_sequence(m, 5, 3);
      state = nn_tanh(m, nn_final_state(m, nn_lstm_with(m, x, &both)));
      x = nn_lstm_from(m, nn_normalise(m, x, mean, scale), state, &both);
      return nn_linear(m, nn_last_step(m, x), 3);
    case 14: /* a state goes in and out; other layers stand between the cell and its state */
      state = nn_input_vector(m, 6);
      x = nn_gru_from(m, nn_input_sequence(m, 4, 3), state, &two);
      return nn_concat(m, nn_linear(m, nn_last_step(m, x), 4), nn_final_state(m, x));
    default: /* a state is the output; pools over steps that share them out */
      x = nn_rnn_with(m, nn_input_sequence(m, 7, 3), &relu);
      if (seed < 16) return nn_final_state(m, x);
      return nn_adaptive_avg_pool1d(m, nn_upsample1d(m, x, 2), 3);
  }
}

static nn_model *net(int seed) {
  nn_config config = nn_config_default();
  config.batch = 1, config.seed = (uint64_t)seed, config.inference = 1;
  config.keep_activations = int8;
  nn_model *m = nn_create(&config);
  if (seed < 32) scaled(m, seed);
  else graph(m, seed);
  if (nn_build(m)) {
    fprintf(stderr, "net %d: %s\n", seed, nn_error(m));
    exit(1);
  }
  randomise(m);
  return m;
}

static nn_real *samples(const nn__node *node, int count) {
  const size_t n = node->rows * node->cols * (size_t)count;
  nn_real *x = (nn_real *)test_memory(n * sizeof *x);
  for (size_t i = 0; i < n; i++)
    x[i] = node->kind == NN__TOKENS ? (nn_real)dice(0, 6) : (nn_real)dice(-2000, 2000) / 1000;
  return x;
}

/* In int8, calibrated on numbers of the same sort. */
static nn_int8 *in_bytes(nn_model *m, int seed) {
  const nn__node *in = &m->node[m->input[0]];
  nn_dataset d;
  nn_int8 *q;
  memset(&d, 0, sizeof d);
  dice_state = (uint32_t)seed * 747796405u + 1;
  d.count = 8, d.channels = d.height = 1, d.width = (int)(in->rows * in->cols);
  if (in->rank == 3) d.channels = in->dim[0], d.height = in->dim[1], d.width = in->dim[2];
  if (in->rank == 2) d.height = in->dim[0], d.width = in->dim[1];
  d.values = samples(in, d.count);
  if (nn_int8_create(m, &d, &q)) {
    fprintf(stderr, "net %d: %s\n", seed, nn_error(m));
    exit(1);
  }
  return q;
}

/* The lines of main that run net `seed`, and its data. */
static void check_of(FILE *data, FILE *calls, nn_model *m, nn_int8 *q, int seed) {
  static nn_real bytes[4096];
  nn_batch b;
  char name[8], list[64] = "";
  memset(&b, 0, sizeof b);
  b.n = 1;
  for (int k = 0; k < m->inputs; k++) {
    const nn__node *node = &m->node[m->input[k]];
    b.x[k] = samples(node, 1);
    sprintf(name, "x%d_", k);
    numbers(data, name, seed, b.x[k], node->rows * node->cols);
    sprintf(list + strlen(list), "x%d_%d, ", k, seed);
  }
  if (nn_forward(m, &b, 0)) {
    fprintf(stderr, "net %d: %s\n", seed, nn_error(m));
    exit(1);
  }
  const nn__node *out = &m->node[m->output], *in = &m->node[m->input[0]];
  const size_t n = out->rows * out->cols;
  char rest[48] = "";
  if (out->rank == 2) sprintf(rest, " + t * NET%d_STEP_OUTPUT", seed);
  if (q && nn_int8_run(q, b.x[0], bytes)) exit(1);
  numbers(data, "want", seed, q ? bytes : nn_output(m), n);
  fprintf(calls, "  exact = %d;\n", q && q->c.soft < 0);
  fprintf(calls, "  net%d_run(%sy);\n  check(%d, y, want%d, %zu);\n", seed, list, seed, seed, n);
  fprintf(calls, "#ifdef NET%d_STEP_INPUT\n  {\n    struct net%d_state s;\n    net%d_reset(&s);\n"
          "    for (int t = 0; t < %d; t++) net%d_step(&s, x0_%d + t * NET%d_STEP_INPUT, y%s);\n"
          "    check(%d, y, want%d, %zu), streams++;\n  }\n#endif\n", seed, seed, seed, in->dim[0],
          seed, seed, seed, rest, seed, seed, n);
}

static void nets(const char *folder, int from, int to) {
  char path[512], prefix[16];
  sprintf(path, "%s/data.h", folder);
  FILE *data = fopen(path, "wb");
  sprintf(path, "%s/calls.h", folder);
  FILE *calls = fopen(path, "wb");
  for (int seed = from; seed < to; seed++) {
    nn_model *m = net(seed);
    nn_int8 *const q = int8 && m->inputs == 1 ? in_bytes(m, seed) : NULL;
    if (int8 && !q) {
      nn_destroy(m);
      continue;
    }
    for (int i = 0; i < m->nodes; i++) kinds[m->node[i].kind]++;
    sprintf(path, "%s/net%d.h", folder, seed), sprintf(prefix, "net%d", seed);
    const nn_c_options o = {prefix, q, NULL};
    if (nn_save_c(m, &o, path)) {
      fprintf(stderr, "net %d: %s\n", seed, nn_error(m));
      exit(1);
    }
    fprintf(data, "#include \"net%d.h\"\n", seed);
    check_of(data, calls, m, q, seed);
    nn_int8_free(q);
    nn_destroy(m);
  }
  fclose(data), fclose(calls);
  for (int kind = 0; kind < NN__CROSS_ENTROPY; kind++)
    if (kind != NN__CUSTOM && !kinds[kind]) printf("%s is in no net\n", nn__kind_text[kind]);
}

/* The nets whose size is measured. */
static void one(const char *which, const char *path, const char *prefix) {
  nn_config config = nn_config_default();
  config.batch = 1, config.inference = 1, config.keep_activations = int8;
  nn_model *m = nn_create(&config);
  int x;
  if (strstr(which, "gru")) {
    x = nn_linear(m, nn_last_step(m, nn_gru(m, nn_input_sequence(m, 28, 28), 32)), 10);
  } else {
    x = nn_relu(m, nn_conv2d(m, nn_input_image(m, 1, 28, 28), 6, 5, 1, 2));
    x = nn_max_pool2d(m, x, 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 16, 5, 1, 0)), 2, 2, 0);
    x = nn_relu(m, nn_linear(m, nn_relu(m, nn_linear(m, nn_flatten(m, x), 120)), 84));
    x = nn_linear(m, x, 10);
  }
  nn_c_options o = {prefix, NULL, NULL};
  if (!nn_build(m) && int8) o.int8 = in_bytes(m, 1);
  if (nn_save_c(m, &o, path)) {
    fprintf(stderr, "%s\n", nn_error(m));
    exit(1);
  }
  nn_int8_free(o.int8);
  nn_destroy(m);
}

int main(int argc, char **argv) {
  int8 = argc > 1 && !strncmp(argv[argc - 1], "int8", 4);
  argc -= int8;
  if (argc == 5 && !strcmp(argv[1], "nets")) nets(argv[2], atoi(argv[3]), atoi(argv[4]));
  else if (argc == 4) one(argv[1], argv[2], argv[3]);
  else return 2;
  return 0;
}
