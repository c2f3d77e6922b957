/* ONNX files, out and in. Without words: the suite. With words it is the C side of tests/onnx:
 *
 *   test_onnx export DIR COUNT   nets and COUNT random graphs as NAME.onnx of DIR, each beside
 *                                samples and answers
 *   test_onnx compare FILE..     FILE.onnx of others, likewise, as nn computes it
 *
 * What lies beside NAME.onnx is NAME.bin: a little-endian u32, the number of samples n, and float32
 * values of all inputs, in their order, and of the output, [n, shape] each. */
#include "graphs.h"

#ifndef NN_NO_EXPORT
enum { SAMPLES = 3, MOST = 1 << 16 };

/* A file in memory, which grows. `left`: bytes that it takes before it fails; 0: no limit. */
typedef struct Sink {
  unsigned char *at;
  size_t size, room, left;
} Sink;
static int sink(void *user, const void *bytes, size_t size) {
  Sink *s = (Sink *)user;
  if (!size) return 0;
  if (s->left && size > s->left - s->size) return 1;
  if (s->size + size > s->room) {
    s->room = 2 * (s->size + size);
    s->at = (unsigned char *)realloc(s->at, s->room);
    if (!s->at) exit(2);
  }
  memcpy(s->at + s->size, bytes, size);
  s->size += size;
  return 0;
}

static nn_config plain(void) {
  nn_config c = test_config();
  c.batch = SAMPLES;
  c.inference = 1;
  return c;
}

/* Samples for every input, one after the other in `to`; how many numbers. */
static size_t samples(nn_model *m, int n, nn_real *to, nn_batch *b) {
  size_t used = 0, count;
  int i, k, input = 0;
  memset(b, 0, sizeof *b);
  b->n = n;
  for (i = 0; i < nn_node_count(m); i++) {
    nn_node_info f;
    nn_get_node(m, i, &f);
    if (f.inputs) continue;
    for (count = (size_t)n, k = 0; k < f.rank; k++) count *= (size_t)f.dim[k];
    b->x[input++] = to + used;
    test_fill(to + used, count, (uint32_t)i + 1);
    for (k = 0; k < (int)count && strcmp(f.kind, "tokens") == 0; k++)
      to[used + (size_t)k] = (nn_real)(int)(3 + 3 * to[used + (size_t)k]);
    used += count;
  }
  return used;
}

static size_t outputs(nn_model *m, int n) {
  nn_node_info f;
  size_t count = (size_t)n;
  int k;
  nn_get_node(m, nn_output_node(m), &f);
  for (k = 0; k < f.rank; k++) count *= (size_t)f.dim[k];
  return count;
}

/* Parameters that are no starting values: norms have means, variances and factors of their own. */
static void stir(nn_model *m) {
  int i;
  for (i = 0; i < nn_param_count(m); i++) {
    nn_param p;
    size_t k;
    nn_get_param(m, i, &p);
    test_fill(p.value, p.count, (uint32_t)i + 77);
    for (k = 0; k < p.count; k++) {
      if (strstr(p.name, "running_var")) p.value[k] = (nn_real)1.5 + p.value[k];
      else if (p.rank > 1) p.value[k] *= (nn_real)0.5;
      else p.value[k] += (nn_real)0.25;
    }
  }
}

static int swallow(void *user, const void *bytes, size_t size) {
  (void)user, (void)bytes, (void)size;
  return 0;
}

/* NULL: a graph that cannot be built, or has layers without operators in ONNX. */
static nn_model *random_graph(int seed, const nn_config *c) {
  nn_model *m = nn_create(c);
  int x = graph(m, seed);
  if (seed % 3 == 0) { /* the input's own scaling */
    static const nn_real mean[64] = {(nn_real).5, (nn_real)-.25}, scale[64] = {2, (nn_real).5, 3};
    nn_node_info f;
    nn_get_node(m, x, &f);
    if (f.dim[f.rank == 2] <= 64) nn_normalise(m, x, mean, scale);
  }
  if (seed % 7 == 0) nn_dropout(m, nn_node_count(m) - 1, .5);
  if (nn_build(m) != NN_OK || nn_export_onnx(m, 0, swallow, NULL) == NN_ERR_UNSUPPORTED) {
    nn_destroy(m);
    return NULL;
  }
  stir(m);
  return m;
}


/* ---- the C side of tests/onnx ---- */

static nn_model *known_net(int which, const nn_config *c) {
  nn_model *m = nn_create(c);
  const nn_recurrent_options two = {24, 2, 0, 0, 0, 0};
  int x;
  if (which == 4) { /* maxima of negative pixels and of zeros that are no padding of the pool */
    x = nn_input_image(m, 3, 6, 6);
    x = nn_clamp(m, x, -1, -.25);
    x = nn_max_pool2d(m, nn_dropout(m, nn_pad2d(m, x, 2, 1, 2, 0), .5), 2, 2, 1);
  } else if (which == 0) {
    x = nn_input_image(m, 1, 28, 28);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 32, 5, 1, 2)), 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 64, 5, 1, 2)), 2, 2, 0);
    x = nn_linear(m, nn_dropout(m, nn_relu(m, nn_linear(m, nn_flatten(m, x), 128)), .5), 10);
  } else {
    x = nn_input_sequence(m, 28, 28);
    x = which == 1 ? nn_rnn_with(m, x, &two)
                   : which == 2 ? nn_lstm_with(m, x, &two) : nn_gru_with(m, x, &two);
    x = nn_linear(m, nn_last_step(m, x), 10);
  }
  nn_build(m);
  nn_set_note(m, "classes", "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine");
  return m;
}

static void write_all(const char *path, const void *head, size_t size, const float *x, size_t n) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(head, 1, size, f) != size || fwrite(x, 4, n, f) != n || fclose(f)) {
    fprintf(stderr, "test_onnx: cannot write %s\n", path);
    exit(2);
  }
}

static int export_one(nn_model *m, const char *folder, const char *name, int batch) {
  static nn_real x[MOST];
  static float values[2 * MOST];
  const uint32_t n = SAMPLES;
  char path[512];
  Sink s = {NULL, 0, 0, 0};
  nn_batch b;
  size_t used = samples(m, SAMPLES, x, &b), i, count = outputs(m, SAMPLES);
  const nn_real *y;
  if (nn_forward(m, &b, 0) != NN_OK || nn_export_onnx(m, batch, sink, &s) != NN_OK) {
    fprintf(stderr, "test_onnx: %s: %s\n", name, nn_error(m));
    return 0;
  }
  y = nn_output(m);
  for (i = 0; i < used; i++) values[i] = (float)x[i];
  for (i = 0; i < count; i++) values[used + i] = (float)y[i];
  snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
  write_all(path, s.at, s.size, NULL, 0);
  snprintf(path, sizeof path, "%s/%s.bin", folder, name);
  write_all(path, &n, sizeof n, values, used + count);
  free(s.at);
  return 1;
}

static int export_all(const char *folder, int count) {
  static const char *const names[] = {"lenet5", "rnn", "lstm", "gru", "padded"};
  const nn_config c = plain();
  int i, done = 0, bad = 0;
  char name[32];
  for (i = 0; i < (int)COUNT(names); i++) {
    nn_model *m = known_net(i, &c);
    bad += !export_one(m, folder, names[i], i % 2 ? SAMPLES : 0);
    nn_destroy(m);
  }
  for (i = 0; done < count; i++) {
    nn_model *m = random_graph(i, &c);
    if (!m) continue;
    snprintf(name, sizeof name, "graph-%d", i);
    bad += !export_one(m, folder, name, done++ % 2 ? SAMPLES : 0);
    nn_destroy(m);
  }
  return bad != 0;
}

/* What nn makes of NAME.onnx, on the samples of NAME.bin; 1 if it is within 1e-4 of the answers. */
static int compare_one(const char *path) {
  static float values[2 * MOST];
  static nn_real x[MOST];
  nn_config c = plain();
  nn_model *m = NULL;
  nn_message why;
  nn_batch b;
  uint32_t n = 0;
  double worst = 0;
  size_t i, count, used, wanted = 0;
  char name[512];
  Sink s = {NULL, 0, 0, 0};
  FILE *f = fopen(path, "rb");
  while (f && (i = fread(values, 1, sizeof values, f)) > 0) sink(&s, values, i);
  if (f) fclose(f);
  snprintf(name, sizeof name, "%.*s.bin", (int)strlen(path) - 5, path);
  f = fopen(name, "rb");
  if (f && fread(&n, 4, 1, f) == 1) wanted = fread(values, 4, 2 * MOST, f);
  if (f) fclose(f);
  c.batch = (int)n;
  if (nn_load_onnx_memory(s.at, s.size, &c, NULL, &m, &why) != NN_OK) {
    printf("%s: %s\n", path, why.text);
    return 0;
  }
  free(s.at);
  used = samples(m, (int)n, x, &b);
  for (i = 0; i < used; i++) x[i] = (nn_real)values[i];
  if (nn_forward(m, &b, 0) != NN_OK) printf("%s: %s\n", path, nn_error(m)), worst = 1;
  count = outputs(m, (int)n);
  if (used + count != wanted) {
    printf("%s: %lu numbers, not %lu\n", path, (unsigned long)(used + count),
           (unsigned long)wanted);
    worst = 1;
  }
  for (i = 0; i < count && worst < 1; i++) {
    const double y = (double)values[used + i], size = fabs(y) > 1 ? fabs(y) : 1;
    const double off = fabs((double)nn_output(m)[i] - y) / size;
    if (!(off <= worst)) worst = off;
  }
  if (!(worst <= 1e-4)) printf("%s: off by %g\n", path, worst);
  nn_destroy(m);
  return worst <= 1e-4;
}

static int compare_all(int count, char **path) {
  int passed = 0, i;
  for (i = 0; i < count; i++) passed += compare_one(path[i]);
  printf("%d passed, %d failed\n", passed, count - passed);
  return passed != count;
}

/* ---- the suite ---- */

static Sink exported(nn_model *m, int batch) {
  Sink s = {NULL, 0, 0, 0};
  CHECK_OK(nn_export_onnx(m, batch, sink, &s));
  return s;
}

/* Out and in again: the same answers, of any graph. */
/* Pools over steps that share them out, evenly and not: the file's numbers are the engine's. */
static void adaptive_steps(void) {
  static nn_real x[MOST];
  nn_config c = plain();
  for (int steps = 1; steps <= 7; steps++) {
    nn_model *m = nn_create(&c), *back = NULL;
    nn_message why = {{0}};
    nn_batch b;
    nn_adaptive_avg_pool1d(m, nn_input_sequence(m, 6, 3), steps);
    CHECK_OK(nn_build(m));
    Sink s = exported(m, 0);
    samples(m, SAMPLES, x, &b);
    CHECK_OK(nn_forward(m, &b, 0));
    if (CHECK_OK(nn_load_onnx_memory(s.at, s.size, &c, NULL, &back, &why))) {
      CHECK_OK(nn_forward(back, &b, 0));
      if (CHECK_INT(outputs(back, SAMPLES), outputs(m, SAMPLES)))
        CHECK_NEAR_ALL(nn_output(back), nn_output(m), outputs(m, SAMPLES), 1e-5);
    }
    nn_destroy(back), nn_destroy(m);
    free(s.at);
  }
}

static void round_trip(void) {
  static nn_real x[MOST];
  nn_config c = plain();
  int i, done = 0;
  for (i = 0; done < 60; i++) {
    nn_model *m = random_graph(i, &c), *back = NULL;
    nn_message why = {{0}};
    nn_batch b;
    Sink s;
    if (!m) continue;
    done++;
    s = exported(m, i % 2 ? 5 : 0);
    samples(m, SAMPLES, x, &b);
    CHECK_OK(nn_forward(m, &b, 0));
    if (CHECK_OK(nn_load_onnx_memory(s.at, s.size, &c, NULL, &back, &why))) {
      CHECK_OK(nn_forward(back, &b, 0));
      if (!CHECK_INT(outputs(back, SAMPLES), outputs(m, SAMPLES)) ||
          !CHECK_NEAR_ALL(nn_output(back), nn_output(m), outputs(m, SAMPLES), 1e-5))
        fprintf(stderr, "    graph %d\n", i);
    } else {
      fprintf(stderr, "    graph %d: %s\n", i, why.text);
    }
    nn_destroy(back);
    nn_destroy(m);
    free(s.at);
  }
}

/* A net of the layers that have weights, out and in again: the weights are the same, to the bit,
 * and stand in the same order. Cells have one layer: a stack comes back as several cells. */
static void same_weights(void) {
  static nn_real x[MOST];
  const nn_config c = plain();
  const nn_recurrent_options both = {4, 1, 0, 0, 0, 1};
  const nn_norm_options norm = {1e-3, .1, 3, 0, 0}, whole = {1e-3, .1, 0, 0, 0};
  const nn_conv2d_options wide = {4, 2, 3, 2, 1, 1, 0, 1, 1, 2, 0};
  const nn_real mean[4] = {1, 2, 3, 4}, scale[4] = {4, 3, 2, 1};
  nn_model *m = nn_create(&c), *back = NULL;
  nn_message why = {{0}};
  nn_batch b;
  Sink s;
  int i, y = nn_input_image(m, 2, 6, 8);
  y = nn_prelu(m, nn_batch_norm(m, nn_conv2d(m, y, 6, 3, 1, 1)), 1);
  y = nn_group_norm_with(m, y, &norm);
  y = nn_normalise(m, nn_conv_transpose2d_with(m, y, &wide, 1, 0), mean, scale);
  y = nn_lstm_with(m, nn_image_to_sequence(m, y, 1), &both);
  y = nn_layer_norm_with(m, nn_conv1d(m, y, 5, 3, 1, 1), &whole);
  y = nn_gru_with(m, nn_linear(m, y, 3), &both);
  y = nn_rnn_with(m, nn_linear_no_bias(m, y, 3), &both);
  nn_linear(m, nn_flatten(m, y), 4);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  stir(m);
  s = exported(m, 0);
  samples(m, SAMPLES, x, &b);
  CHECK_OK(nn_forward(m, &b, 0));
  if (CHECK_OK(nn_load_onnx_memory(s.at, s.size, &c, NULL, &back, &why)) &&
      CHECK_INT(nn_param_count(back), nn_param_count(m))) {
    CHECK_OK(nn_forward(back, &b, 0));
    CHECK_NEAR_ALL(nn_output(back), nn_output(m), outputs(m, SAMPLES), 1e-5);
    for (i = 0; i < nn_param_count(m); i++) {
      nn_param p, q;
      size_t k, same = 0;
      nn_get_param(m, i, &p), nn_get_param(back, i, &q);
      for (k = 0; k < p.count && k < q.count; k++) same += (float)p.value[k] == (float)q.value[k];
      if (!CHECK_INT(q.count, p.count) || !CHECK_INT(same, p.count))
        fprintf(stderr, "    %s\n", p.name);
    }
  }
  nn_destroy(back);
  nn_destroy(m);
  free(s.at);
}

/* Layers without operators, and weights that are not there, are refused by name, and nothing is
 * written. */
static void unsupported(void) {
  const nn_config c = plain();
  nn_model *m = nn_create(&c);
  const int x = nn_input_sequence(m, 4, 3);
  mix(m, x, nn_tanh(m, x));
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_export_onnx(m, 0, swallow, NULL), NN_ERR_UNSUPPORTED);
#ifndef NN_NO_STDIO
  CHECK_STATUS(nn_save_onnx(m, 0, "build/never.onnx"), NN_ERR_UNSUPPORTED);
  CHECK_HAS(nn_error(m), "custom1 cannot be written: it is the program's own layer");
#endif
  nn_destroy(m);
#ifndef NN_NO_STDIO
  static const char *const why[] = {"pad1 cannot be written: it adds or repeats steps",
                                    "upsample1 cannot be written: it adds or repeats steps",
                                    "final_state1 cannot be written: it gives a final state",
                                    "gru1 cannot be written: it begins from a given state"};
  for (int way = 0; way < 4; way++) {
    const nn_recurrent_options o = {2, 1, 0, 0, 0, 0};
    m = nn_create(&c);
    const int steps = nn_input_sequence(m, 4, 3);
    if (way == 0) nn_pad1d(m, steps, 1, 1);
    else if (way == 1) nn_upsample1d(m, steps, 2);
    else if (way == 2) nn_final_state(m, nn_gru(m, steps, 2));
    else nn_gru_from(m, steps, nn_input_vector(m, 2), &o);
    CHECK_OK(nn_build(m));
    CHECK_STATUS(nn_save_onnx(m, 0, "build/never.onnx"), NN_ERR_UNSUPPORTED);
    CHECK_HAS(nn_error(m), why[way]);
    nn_destroy(m);
  }
  nn_config in_place = c;
  in_place.in_place = 1;
  m = nn_create(&in_place);
  nn_linear(m, nn_input_vector(m, 2), 2);
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_save_onnx(m, 0, "build/never.onnx"), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "linear1.weight is not there yet (config.in_place)");
  nn_destroy(m);
#endif
}

/* ---- files made by hand ---- */

/* A message from text: N:7 a varint, N'word' a string, N{ .. } a message, N<0a1b> bytes, N~0.5 a
 * real of four bytes, !0a1b bytes without a field. The text behind it. */
static const char *message(const char *text, Sink *s);
static void number(Sink *s, uint64_t value) {
  unsigned char b;
  for (; value > 127; value >>= 7) b = (unsigned char)(value | 128), sink(s, &b, 1);
  b = (unsigned char)value, sink(s, &b, 1);
}
static void hex(const char **text, Sink *s) {
  for (; strchr("0123456789abcdef", **text) && **text; *text += 2) {
    const char pair[3] = {(*text)[0], (*text)[1], 0};
    const unsigned char b = (unsigned char)strtoul(pair, NULL, 16);
    sink(s, &b, 1);
  }
}
static const char *message(const char *text, Sink *s) {
  while (*text && *text != '}') {
    Sink inside = {NULL, 0, 0, 0};
    char *end = NULL;
    unsigned long key = 0;
    if (*text == ' ') {
      text++;
      continue;
    }
    if (*text == '!') {
      text++, hex(&text, s);
      continue;
    }
    key = strtoul(text, &end, 10) << 3;
    text = end + 1;
    if (*end == ':') {
      number(s, key), number(s, strtoull(text, &end, 10));
      text = end;
      continue;
    }
    if (*end == '~') {
      const float x = (float)strtod(text, &end);
      uint32_t bits;
      unsigned char b[4];
      int i;
      memcpy(&bits, &x, 4);
      for (i = 0; i < 4; i++) b[i] = (unsigned char)(bits >> 8 * i);
      number(s, key | 5), sink(s, b, 4);
      text = end;
      continue;
    }
    if (*end == '{') text = message(text, &inside) + 1;
    else if (*end == '<') hex(&text, &inside), text++;
    else sink(&inside, text, strcspn(text, "'")), text += strcspn(text, "'") + 1;
    number(s, key | 2), number(s, inside.size);
    sink(s, inside.at ? inside.at : (unsigned char *)"", inside.size);
    free(inside.at);
  }
  return text;
}

#define MODEL(graph) "1:7 8{1'' 2:13} 7{" graph "}"
#define SHAPED(name, dims) "11{1'" name "' 2{1{1:1 2{1{1:1} " dims "}}}}"
#define X SHAPED("x", "1{1:2}")                            /* [N,2] */
#define IMAGE SHAPED("x", "1{1:2} 1{1:6} 1{1:6}")          /* [N,2,6,6] */
#define STEPS SHAPED("x", "1{1:4} 1{1:2}")                 /* [N,4,2] */
#define Y "12{1'y'}"
#define RELU "1{1'x' 2'y' 4'Relu'}"
#define GEMM "1{1'x' 1'w' 2'y' 4'Gemm' 5{1'transB' 3:1}}"
#define ONE_TWO "0000803f00000040"
#define ONES "010101010101010101010101010101010101010101010101010101010101010101" /* 33 */
#define CELL(type, more) MODEL(STEPS Y "1{1'x' 2't' 4'Transpose' 5{1'perm' 8:1 8:0 8:2}} " \
  "1{1't' 1'w' 1'r' 2'u' 4'" type "' 5{1'hidden_size' 3:1} " more "} " \
  "1{1'u' 1'one' 2's' 4'Squeeze'} " \
  "1{1's' 2'y' 4'Transpose' 5{1'perm' 8:1 8:0 8:2}} 5{1:1 2:7 7:1 8'one'} " \
  "5{1:1 1:1 1:2 2:1 9<" ONE_TWO "> 8'w'} 5{1:1 1:1 1:1 2:1 9<0000803f> 8'r'}")

static const struct {
  const char *name, *text, *says;
} files[] = {
    {"a good one", MODEL(X RELU Y), NULL},
    {"a cell", CELL("RNN", ""), NULL},
    {"fields that nobody knows", "99:5 99{1{1{1{1{1{1{1:1}}}}}}} " MODEL(X RELU Y "77~1"), NULL},
    {"no bytes", "", "no ONNX model: there is no graph"},
    {"text", "!68656c6c6f2c20776f726c64", "no ONNX model, or a damaged one"},
    {"a length past the end", "!3a7f", "no field of a message"},
    {"a length of 2^64-1", "!3affffffffffffffffff01", "no field of a message"},
    {"a varint without an end", "!08ffffffffffffffffffffffff01", "no field of a message"},
    {"field 0", "!0007", "no field of a message"},
    {"a group", "!0b0c", "no field of a message"},
    {"operator set 10", "8{1'' 2:10} 7{" X RELU Y "}", "operator set 10, 11 to 20 are read"},
    {"operator set 21", "8{1'' 2:21} 7{" X RELU Y "}", "operator set 21"},
    {"another's operator set", "8{1'ai.onnx.ml' 2:13} 7{" X RELU Y "}", "operator set 0"},
    {"another's operator", MODEL(X "1{1'x' 2'y' 4'Relu' 7'com.me'}" Y), "that is not ONNX's own"},
    {"an unknown operator", MODEL(X "1{1'x' 2'y' 3'n1' 4'Einsum'}" Y),
     "Einsum n1: nn has no layer for this operator"},
    {"two unknown operators, the second of constants",
     MODEL(X "1{1'x' 2'a' 4'Einsum'} 1{1'c' 2'b' 4'Nope'} 1{1'a' 1'b' 2'y' 4'Add'}" Y
           "5{1:1 2:1 9<0000803f> 8'c'}"), "Einsum: nn has no layer"},
    {"a circle", MODEL(X "1{1'x' 1'z' 2'y' 4'Add'} 1{1'y' 2'z' 4'Relu'}" Y),
     "it reads 'z', which no operator before it gives"},
    {"layers beside none", MODEL(X "1{1'x' 1'' 2'y' 4'Concat' 5{1'axis' 3:1}}" Y),
     "its input 1 is missing"},
    {"a sum with none", MODEL(X "1{1'x' 1'' 2'y' 4'Sum'}" Y), "its input 1 is missing"},
    {"itself", MODEL(X "1{1'y' 2'y' 4'Relu'}" Y), "it reads 'y', which no"},
    {"nothing", MODEL(X "1{1'q' 2'y' 4'Relu'}" Y), "it reads 'q', which no operator before"},
    {"a name twice", MODEL(X RELU RELU Y), "two values are called 'y'"},
    {"an output's name for an input", MODEL(X "1{1'x' 2'x' 4'Relu'}" Y),
     "two values are called 'x'"},
    {"no output", MODEL(X RELU), "0 outputs, where a model has one"},
    {"two outputs", MODEL(X RELU Y "12{1'x'}"), "2 outputs"},
    {"an output of nothing", MODEL(X RELU "12{1'q'}"), "the output is no value of the graph"},
    {"an input that is the output", MODEL(X RELU "12{1'x'}"), "no layers after the input"},
    {"a constant that is the output", MODEL(X RELU "12{1'w'} 5{2:1 9<00000000> 8'w'}"),
     "the output is no layer's"},
    {"an operator without an output", MODEL(X "1{1'x' 4'Relu'}" Y), "it has no output"},
    {"a number for an operator", MODEL(X "1:5 " RELU Y), "it has no output"},
    {"an input without a size", MODEL(SHAPED("x", "1{2'F'}") RELU Y),
     "axis 1 of an input has no size"},
    {"an input of rank 1", MODEL(SHAPED("x", "") RELU Y), "an input of type 1 and rank 1"},
    {"an input of rank 6", MODEL(SHAPED("x", "1{1:1} 1{1:1} 1{1:1} 1{1:1} 1{1:1}") RELU Y),
     "rank 6"},
    {"an input of 2^40 numbers", MODEL(SHAPED("x", "1{1:1} 1{1:1048576} 1{1:1048576}") RELU Y),
     "too "},
    {"an input of 2^63", MODEL(SHAPED("x", "1{1:9223372036854775808}") RELU Y), "is -1, must be"},
    {"a sparse array", MODEL(X RELU Y "15{1:1}"), "sparse"},
    {"weights elsewhere", MODEL(X GEMM Y "5{1:1 1:2 2:1 8'w' 13{1'location' 2'f'} 14:1}"),
     "in another file"},
    {"an array of rank 9", MODEL(X GEMM Y "5{1:1 1:2 1:1 1:1 1:1 1:1 1:1 1:1 1:1 2:1 8'w' 9<00>}"),
     "rank 9, 8 is"},
    {"a size below 0", MODEL(X GEMM Y "5{1:1 1:18446744073709551615 2:1 8'w' 9<00>}"),
     "an array's sizes (the first is 1) cannot be"},
    {"sizes that wrap", MODEL(X GEMM Y "5{1:4294967296 1:4294967296 1:4294967296 2:1 8'w' 9<00>}"),
     "cannot be"},
    {"sizes that wrap, of no numbers",
     MODEL(X "1{1'e' 1'e' 2'y' 4'Concat' 5{1'axis' 3:2}}" Y
           "5{1:1099511627776 1:1099511627776 1:0 2:1 8'e'}"), "cannot be"},
    {"a number too few", MODEL(X GEMM Y "5{1:1 1:2 2:1 8'w' 9<00000000>}"),
     "2 numbers should be here, 1"},
    {"half a number", MODEL(X GEMM Y "5{1:1 1:2 2:1 8'w' 9<00000000000000>}"),
     "2 numbers should be"},
    {"no numbers", MODEL(X GEMM Y "5{1:1 1:2 2:1 8'w'}"), "2 numbers should be here, 0"},
    {"reals among whole ones", MODEL(X GEMM Y "5{1:1 1:2 2:1 8'w' 7:1 7:2}"), "field of another"},
    {"weights of another width", MODEL(X GEMM Y "5{1:1 1:3 2:1 8'w' 9<" ONE_TWO "00000000>}"),
     "an array of 3 numbers, linear1.weight takes 2"},
    {"weights that are strings", MODEL(X GEMM Y "5{1:1 1:2 2:8 8'w'}"), "input 1 must be numbers"},
    {"weights of no rows", MODEL(X GEMM Y "5{1:0 1:2 2:1 8'w'}"), "input 1 must be reals"},
    {"a weight that is computed", MODEL(X "1{1'x' 1'x' 2'y' 4'Gemm'}" Y),
     "its input 1 must be numbers that do not change"},
    {"a convolution of a vector",
     MODEL(X "1{1'x' 1'w' 2'y' 4'Conv'}" Y "5{1:1 1:1 1:1 1:2 2:1 8'w' 9<" ONE_TWO ">}"),
     "weights of another rank than its input"},
    {"groups that do not divide",
     MODEL(IMAGE "1{1'x' 1'w' 2'y' 4'Conv' 5{1'group' 3:3}}" Y
           "5{1:1 1:1 1:1 1:2 2:1 8'w' 9<" ONE_TWO ">}"), "groups 3 must divide"},
    {"a kernel of other channels",
     MODEL(IMAGE "1{1'x' 1'w' 2'y' 4'Conv'}" Y "5{1:1 1:1 1:1 1:2 2:1 8'w' 9<" ONE_TWO ">}"),
     "an array of 2 numbers, conv1.weight takes 4"},
    {"strides of 2^40",
     MODEL(IMAGE "1{1'x' 1'w' 2'y' 4'Conv' 5{1'strides' 8:1099511627776 8:1}}" Y
           "5{1:1 1:2 1:1 1:1 2:1 8'w' 9<" ONE_TWO ">}"), "stride_h is 2147483647"},
    {"pads of nine", MODEL(IMAGE "1{1'x' 2'y' 4'MaxPool' 5{1'pads' 8<000000000000000000>}}" Y),
     "its pads: 9 numbers, not 4"},
    {"a list cut short", MODEL(IMAGE "1{1'x' 2'y' 4'MaxPool' 5{1'pads' 8<0080>}}" Y), "cut short"},
    {"a pool without a window", MODEL(IMAGE "1{1'x' 2'y' 4'MaxPool'}" Y), "kernel_h is 0"},
    {"axes that are none", MODEL(IMAGE "1{1'x' 2'y' 4'Transpose' 5{1'perm' 8:0 8:1 8:2 8:4}}" Y),
     "axis 4 of 4"},
    {"two axes of four", MODEL(IMAGE "1{1'x' 2'y' 4'Transpose' 5{1'perm' 8:0 8:1}}" Y),
     "2 axes of 4"},
    {"the same axis for all", MODEL(IMAGE "1{1'x' 2'y' 4'Transpose' 5{1'perm' 8:0 8:0 8:0 8:0}}" Y),
     "an axis twice"},
    {"channels last", MODEL(IMAGE "1{1'x' 2'y' 4'Transpose' 5{1'perm' 8:0 8:2 8:3 8:1}}" Y),
     NULL},
    {"another shape",
     MODEL(IMAGE "1{1'x' 1's' 2'y' 4'Reshape'}" Y "5{1:3 2:7 7:1 7:2 7:36 8's'}"),
     NULL},
    {"a shape of other numbers",
     MODEL(IMAGE "1{1'x' 1's' 2'y' 4'Reshape'}" Y "5{1:2 2:7 7:1 7:71 8's'}"),
     "a shape that mixes samples, or that is of other numbers"},
    {"a sample that is no axis",
     MODEL(IMAGE "1{1'x' 1's' 2'y' 4'Reshape'}" Y "5{1:1 2:7 7:72 8's'}"),
     "the samples must be an axis of their own"},
    {"a shape that is computed", MODEL(IMAGE "1{1'x' 1'x' 2'y' 4'Reshape'}" Y), "must be numbers"},
    {"no shape", MODEL(IMAGE "1{1'x' 2'y' 4'Reshape'}" Y), "its input 1 is missing"},
    {"a Constant of nothing", MODEL(X "1{2'c' 4'Constant'} 1{1'x' 1'c' 2'y' 4'Add'}" Y),
     "other than by a tensor"},
    {"a Constant of nothing that nobody reads", MODEL(X "1{2'c' 4'Constant'}" RELU Y), NULL},
    {"other activations", CELL("RNN", "5{1'activations' 9'Affine'}"), "its attribute activations"},
    {"a gru's other activations",
     CELL("GRU", "5{1'activations' 9'HardSigmoid' 9'Tanh'} 5{1'linear_before_reset' 3:1}"),
     "its attribute activations"},
    {"zeros of a damaged array",
     MODEL(X "1{1's' 2'z' 4'ConstantOfShape' 5{1'value' 5{1:1 2:1}}} 1{1'x' 1'z' 2'y' 4'Add'}" Y
           "5{1:1 2:7 7:4 8's'}"), "1 numbers should be here, 0"},
    {"what is made of zeros",
     MODEL(X "1{1's' 2'z' 4'ConstantOfShape'} 1{1'z' 2'e' 4'Exp'} 1{1'x' 1'e' 2'y' 4'Add'}" Y
           "5{1:1 2:7 7:2 8's'}"), "nn has no layer for this operator"},
    {"a column for a bias",
     MODEL(X "1{1'x' 1'w' 1'b' 2'y' 4'Gemm' 5{1'transB' 3:1}}" Y
           "5{1:2 1:2 2:1 9<" ONE_TWO ONE_TWO "> 8'w'} 5{1:2 1:1 2:1 9<" ONE_TWO "> 8'b'}"),
     "must be one row"},
    {"a Dropout that learns",
     MODEL(X "1{1'x' 1'r' 1't' 2'a' 4'Dropout'} 1{1'a' 2'y' 4'Relu'}" Y
           "5{2:1 9<0000003f> 8'r'} 5{2:9 9<01> 8't'}"), "training"},
    {"a gru of the other kind", CELL("GRU", ""), "its attribute linear_before_reset is 0"},
    {"a cell of other weights", CELL("LSTM", ""),
     "its input 1, of 2 numbers, has not the shape"},
    {"two directions of one's weights", CELL("RNN", "5{1'direction' 4'bidirectional'}"),
     "its input 1, of 2 numbers, has not the shape"},
    {"pads below 0",
     MODEL(IMAGE "1{1'x' 2'y' 4'MaxPool' 5{1'kernel_shape' 8:2 8:2} "
           "5{1'pads' 8:0 8:0 8:18446744073709551611 8:0}}" Y), "pads below 0"},
    {"a window over three axes",
     MODEL(SHAPED("x", "1{1:2} 1{1:6}") "1{1'x' 1's' 2'a' 4'Reshape'} "
           "1{1'a' 2'y' 4'MaxPool' 5{1'kernel_shape' 8:1 8:1 8:1}}" Y
           "5{1:5 2:7 7:0 7:2 7:3 7:2 7:1 8's'}"), "a window over 3 axes"},
    {"another kernel than the weights'",
     MODEL(IMAGE "1{1'x' 1'w' 2'y' 4'Conv' 5{1'kernel_shape' 8:2 8:1}}" Y
           "5{1:1 1:2 1:1 1:2 2:1 8'w' 9<" ONE_TWO ONE_TWO ">}"), "not that of the weights"},
    {"an attribute that nobody has", MODEL(X "1{1'x' 2'y' 4'Softmax' 5{1'spin' 3:1}}" Y),
     "Softmax: its attribute spin, which nn has not"},
    {"training", MODEL(X "1{1'x' 1's' 1's' 1's' 1's' 2'y' 4'BatchNormalization' "
                       "5{1'training_mode' 3:1}}" Y "5{1:2 2:1 9<" ONE_TWO "> 8's'}"),
     "its attribute training_mode; nn has 0 alone"},
    {"the places of the maxima",
     MODEL(IMAGE "1{1'x' 2'a' 2'b' 4'MaxPool' 5{1'kernel_shape' 8:2 8:2}} "
           "1{1'a' 1'b' 2'y' 4'Add'}" Y), "its output 1 is read"},
    {"padding by what is not 0",
     MODEL(IMAGE "1{1'x' 1'p' 1'v' 2'y' 4'Pad'}" Y "5{2:1 8'v' 9<0000803f>} "
           "5{1:8 2:7 7:0 7:0 7:1 7:0 7:0 7:0 7:0 7:0 8'p'}"), "nn pads with zeros"},
    {"padding by reflection",
     MODEL(IMAGE "1{1'x' 1'p' 2'y' 4'Pad' 5{1'mode' 4'reflect'}}" Y
           "5{1:8 2:7 7:0 7:0 7:1 7:0 7:0 7:0 7:0 7:0 8'p'}"), "its attribute mode"},
    {"padding of channels",
     MODEL(IMAGE "1{1'x' 1'p' 2'y' 4'Pad'}" Y "5{1:8 2:7 7:0 7:1 7:0 7:0 7:0 7:0 7:0 7:0 8'p'}"),
     "nn pads height and width"},
    {"the samples, counted",
     MODEL(X "1{1'x' 2's' 4'Shape'} 1{1's' 1'i' 2'n' 4'Gather'} 1{1'n' 2'f' 4'Cast' 5{1'to' 3:1}} "
           "1{1'x' 1'f' 2'y' 4'Div'}" Y "5{2:7 7:0 8'i'}"), "must be reals that do not change"},
    {"a slice of samples",
     MODEL(X "1{1'x' 1'a' 1'b' 2'y' 4'Slice'}" Y "5{1:1 2:7 7:0 8'a'} 5{1:1 2:7 7:1 8'b'}"),
     "along the samples"},
    {"a mean over samples", MODEL(X "1{1'x' 2'y' 4'ReduceMean'}" Y), "over samples"},
    {"softmax over samples", MODEL(X "1{1'x' 2'y' 4'Softmax' 5{1'axis' 3:0}}" Y), "the samples"},
    {"samples that are not the first axis",
     MODEL(X "1{1'x' 2'y' 4'Transpose' 5{1'perm' 8:1 8:0}}" Y), "must be the samples"},
    {"the log of probabilities", MODEL(X "1{1'x' 2'y' 4'LogSoftmax' 5{1'axis' 3:1}}" Y),
     "the loss takes logits"},
    {"a hard sigmoid of other numbers", MODEL(X "1{1'x' 2'y' 4'HardSigmoid'}" Y),
     "its alpha and beta; nn has 1/6 and 1/2"},
    {"resizing by a half",
     MODEL(IMAGE "1{1'x' 1'' 1's' 2'y' 4'Resize'}" Y
           "5{1:4 2:1 8's' 9<0000803f0000803f0000003f0000803f>}"), "whole factors"},
    {"resizing over three axes",
     MODEL(IMAGE "1{1'x' 1'r' 2'a' 4'Reshape'} 1{1'a' 1'' 1's' 2'y' 4'Resize'}" Y
           "5{1:5 2:7 7:0 7:2 7:3 7:2 7:6 8'r'} "
           "5{1:5 2:1 8's' 9<0000803f0000803f000000400000004000000040>}"),
     "its input must be [N,C,T] or [N,C,H,W]"},
    {"resizing corner by corner",
     MODEL(IMAGE "1{1'x' 1'' 1's' 2'y' 4'Resize' 5{1'mode' 4'linear'} "
           "5{1'coordinate_transformation_mode' 4'align_corners'}}" Y
           "5{1:4 2:1 8's' 9<0000803f0000803f0000004000000040>}"),
     "its attribute coordinate_transformation_mode; nn has half_pixel|"},
    {"a layer that is spread out, and added",
     MODEL(STEPS "1{1'x' 2'm' 4'ReduceMean' 5{1'axes' 8:1}} 1{1'x' 2's' 4'Shape'} "
           "1{1'm' 1's' 2'e' 4'Expand'} 1{1'x' 1'e' 2'y' 4'Add'}" Y), "takes it as a factor alone"},
    {"samples that are spread out",
     MODEL(X "1{1'x' 1's' 2'y' 4'Expand'}" Y "5{1:2 2:7 7:3 7:2 8's'}"), "shapes that do not fit"},
    {"no places for a pixel's channels",
     MODEL(IMAGE "1{1'x' 2'y' 4'DepthToSpace' 5{1'blocksize' 3:2}}" Y), "C blocks of channels"},
    {"constants of two heights",
     MODEL(X "1{1'a' 1'b' 2'c' 4'Concat' 5{1'axis' 3:1}} 1{1'x' 1'c' 2'y' 4'Add'}" Y
           "5{1:1 1:2 2:1 8'a' 9<" ONE_TWO ">} 5{1:2 1:1 2:1 8'b' 9<" ONE_TWO ">}"),
     "its input 1 does not lie beside"},
    {"layers of two shapes",
     MODEL(STEPS "1{1'x' 2'm' 4'ReduceMean' 5{1'axes' 8:1}} 1{1'x' 1'm' 2'y' 4'Add'}" Y),
     "two layers of these shapes"},
    {"a transposed convolution that is cut",
     MODEL(IMAGE "1{1'x' 1'w' 2'y' 4'ConvTranspose' 5{1'pads' 8:0 8:0 8:1 8:0}}" Y
           "5{1:2 1:1 1:2 1:1 2:1 8'w' 9<" ONE_TWO ONE_TWO ">}"), "output_pad_h is -1"},
    {"half an axis", /* behind the last of eight, which is all there may be */
     MODEL(X "1{1'a' 1'i' 2'c' 4'Gather' 5{1'axis' 2~-0.5}} 1{1'x' 1'c' 2'y' 4'Add'}" Y
           "5{1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 2:1 8'a' 9<0000803f>} 5{2:7 7:0 8'i'}"),
     "axis -0.5 of 8"},
    {"a new axis, twice",
     MODEL(X "1{1'a' 2'c' 4'Unsqueeze' 5{1'axes' 8:2 8:2}} 1{1'x' 1'c' 2'y' 4'Add'}" Y
           "5{1:2 2:1 8'a' 9<" ONE_TWO ">}"), "an axis twice"},
    {"more whole numbers than are read, beside raw ones",
     MODEL(X "1{1'a' 2'c' 4'Cast' 5{1'to' 3:1}} 1{1'x' 1'c' 2'y' 4'Add'}" Y
           "5{1:66 2:7 8'a' 9<0100000000000000> 7<" ONES ONES ">}"),
     "must be numbers that nn reads"},
    {"numbers that are spread out twice",
     MODEL(X "1{1'a' 1's' 2'b' 4'Expand'} 1{1'b' 1't' 2'c' 4'Expand'} "
           "1{1'c' 2'd' 4'Cast' 5{1'to' 3:1}} 1{1'x' 1'd' 2'y' 4'Add'}" Y
           "5{1:1 1:1 2:7 7:1 8'a'} 5{1:2 2:7 7:1 7:900000000 8's'} "
           "5{1:2 2:7 7:900000000 7:1 8't'}"), "shapes that do not fit"},
    {"whole numbers, spread out and made real",
     MODEL(X "1{1'a' 1's' 2'b' 4'Expand'} 1{1'b' 2'd' 4'Cast' 5{1'to' 3:1}} "
           "1{1'x' 1'd' 2'y' 4'Add'}" Y "5{1:1 1:1 2:7 7:1 8'a'} "
           "5{1:2 2:7 7:800000 7:900000000 8's'}"), "does not fit the other input"},
    {"far steps over no numbers",
     MODEL(X "1{1'a' 1'b' 1'e' 1'b' 1's' 2'c' 4'Slice'} 1{1'x' 1'c' 2'y' 4'Add'}" Y
           "5{1:3 1:144115188075855872 1:0 2:1 8'a'} 5{1:1 2:7 7:0 8'b'} "
           "5{1:1 2:7 7:3 8'e'} 5{1:1 2:7 7:2147483647 8's'}"), "must be reals that do not change"},
    {"a NaN for a limit",
     MODEL(X "1{1'x' 1'l' 2'y' 4'Clip'}" Y "5{2:1 9<0000c07f> 8'l'}"), "its limits"},
};

static Sink written(const char *text) {
  Sink s = {NULL, 0, 0, 0};
  message(text, &s);
  return s;
}

static void by_hand(void) {
  const nn_config c = plain();
  size_t i;
  for (i = 0; i < COUNT(files); i++) {
    if (sizeof(size_t) < 8 && !strcmp(files[i].name, "far steps over no numbers")) continue;
    Sink s = written(files[i].text);
    unsigned char *exact = (unsigned char *)test_memory(s.size); /* sanitizers watch its end */
    nn_message why = {{0}};
    nn_model *m = NULL;
    nn_status status;
    int held;
    if (s.size) memcpy(exact, s.at, s.size);
    status = nn_load_onnx_memory(exact, s.size, &c, NULL, &m, &why);
    held = CHECK_INT(status == NN_OK, !files[i].says) && CHECK_INT(m != NULL, !files[i].says);
    if (files[i].says) {
      held &= CHECK_HAS(why.text, files[i].says) && CHECK_HAS(why.text, "byte ");
      if (held) held = CHECK(strtoul(strstr(why.text, "byte ") + 5, NULL, 10) <= s.size);
    }
    if (!held) fprintf(stderr, "    %s: %s\n", files[i].name, why.text);
    nn_destroy(m);
    free(exact);
    free(s.at);
  }
}

/* Numbers of every type, in every field that may hold them, and the way of a name and a note. */
static void types(void) {
  static const char *const weights[] = {
      "2:1 9<" ONE_TWO ">", "2:1 4<" ONE_TWO ">", "2:11 9<000000000000f03f0000000000000040>",
      "2:11 10<000000000000f03f0000000000000040>", "2:10 9<003c0040>"};
  static const nn_real x[] = {3, 5};
  size_t i;
  for (i = 0; i < COUNT(weights); i++) {
    nn_config c = plain();
    nn_model *m = NULL;
    nn_message why;
    nn_batch b;
    char text[512];
    Sink s;
    snprintf(text, sizeof text, MODEL(X "1{1'x' 1'net.1.weight' 2'y' 4'Gemm' 5{1'transB' 3:1} "
             "5{1'alpha' 2~0.5}}" Y "5{1:1 1:2 %s 8'net.1.weight'}") " 14{1'classes' 2'only'}",
             weights[i]);
    s = written(text);
    memset(&b, 0, sizeof b);
    b.n = 1, b.x[0] = x, c.batch = 1;
    if (CHECK_OK(nn_load_onnx_memory(s.at, s.size, &c, NULL, &m, &why))) {
      CHECK_OK(nn_forward(m, &b, 0));
      CHECK_NEAR(nn_output(m)[0], 6.5, 1e-6);
      CHECK(nn_find_node(m, "x") == 0 && nn_find_node(m, "net/1") == 1);
      CHECK_TEXT(nn_note(m, "classes"), "only");
    }
    nn_destroy(m);
    free(s.at);
  }
}

/* The order of the gates, which to swap both ways would not show: i o f c and z r h, against the
 * cells' equations. */
#define ONE_UNIT(type, more, rows, w, r) MODEL(SHAPED("x", "1{1:2} 1{1:1}") Y \
  "1{1'x' 2't' 4'Transpose' 5{1'perm' 8:1 8:0 8:2}} " \
  "1{1't' 1'w' 1'r' 2'u' 4'" type "' 5{1'hidden_size' 3:1} " more "} " \
  "1{1'u' 1'one' 2's' 4'Squeeze'} 1{1's' 2'y' 4'Transpose' 5{1'perm' 8:1 8:0 8:2}} " \
  "5{1:1 2:7 7:1 8'one'} 5{1:1 " rows " 1:1 2:1 9<" w "> 8'w'} " \
  "5{1:1 " rows " 1:1 2:1 9<" r "> 8'r'}")
#define ZERO "00000000"
#define HALF "0000003f"
#define LESS "000000bf" /* -1/2 */
#define ONE "0000803f"
#define TWO "00000040"
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static void gates(void) {
  static const nn_real x[] = {1, (nn_real)-.75};
  static const char *const nets[] = {
      ONE_UNIT("LSTM", "", "1:4", HALF LESS ONE TWO, ZERO ZERO ZERO ZERO),
      ONE_UNIT("GRU", "5{1'linear_before_reset' 3:1}", "1:3", HALF LESS TWO, ZERO ZERO ONE)};
  double h[2][2], c = 0;
  int i, t;
  for (t = 0; t < 2; t++) {
    const double v = (double)x[t], before = t ? h[1][0] : 0, z = sigmoid(.5 * v);
    c = sigmoid(v) * c + sigmoid(.5 * v) * tanh(2 * v);
    h[0][t] = sigmoid(-.5 * v) * tanh(c);
    h[1][t] = (1 - z) * tanh(2 * v + sigmoid(-.5 * v) * before) + z * before;
  }
  for (i = 0; i < 2; i++) {
    nn_config config = plain();
    nn_model *m = NULL;
    nn_message why;
    nn_batch b;
    Sink s = written(nets[i]);
    memset(&b, 0, sizeof b);
    b.n = 1, b.x[0] = x;
    if (CHECK_OK(nn_load_onnx_memory(s.at, s.size, &config, NULL, &m, &why))) {
      CHECK_OK(nn_forward(m, &b, 0));
      for (t = 0; t < 2; t++) CHECK_NEAR(nn_output(m)[t], h[i][t], 1e-6);
    }
    nn_destroy(m);
    free(s.at);
  }
}

static void refusals(void) {
  nn_config c = plain();
  nn_open_options o = {NULL, 0, 0, 0, 0};
  nn_model *m = nn_create(&c), *back = m;
  nn_message why;
  Sink s = {NULL, 0, 0, 1}, good = written(MODEL(X RELU Y));
  size_t left;
  nn_linear(m, nn_input_vector(m, 3), 2);
  CHECK_STATUS(nn_export_onnx(m, 0, sink, &s), NN_ERR_STATE);
  CHECK_STATUS(nn_export_onnx(NULL, 0, sink, &s), NN_ERR_ARGUMENT);
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_export_onnx(m, -1, sink, &s), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_export_onnx(m, 0, NULL, &s), NN_ERR_ARGUMENT);
  for (left = 1; left < 200; left += 13) { /* fails at the first byte and later */
    s.size = 0, s.left = left;
    CHECK_STATUS(nn_export_onnx(m, 0, sink, &s), NN_ERR_IO);
  }
  nn_destroy(m);
  CHECK_STATUS(nn_load_onnx_memory(NULL, 5, &c, NULL, &back, &why), NN_ERR_ARGUMENT);
  CHECK(!back);
  CHECK_STATUS(nn_load_onnx_memory(good.at, good.size, &c, NULL, NULL, &why), NN_ERR_ARGUMENT);
  o.until = "y";
  CHECK_STATUS(nn_load_onnx_memory(good.at, good.size, &c, &o, &back, &why), NN_ERR_ARGUMENT);
  o.until = NULL, o.steps = -1;
  CHECK_STATUS(nn_load_onnx_memory(good.at, good.size, &c, &o, &back, &why), NN_ERR_ARGUMENT);
  c.in_place = 1;
  CHECK_STATUS(nn_load_onnx_memory(good.at, good.size, &c, NULL, &back, &why), NN_ERR_ARGUMENT);
  CHECK_HAS(why.text, "in_place");
  free(s.at), free(good.at);
}

/* Sizes that a file leaves free come from the options, which also change others. */
static void free_sizes(void) {
  static const char text[] = MODEL(SHAPED("x", "1{2'T'} 1{1:2}") RELU Y);
  nn_config c = plain();
  nn_open_options o = {NULL, 5, 0, 0, 0};
  nn_node_info f;
  nn_model *m = NULL;
  nn_message why;
  Sink s = written(text);
  CHECK_STATUS(nn_load_onnx_memory(s.at, s.size, &c, NULL, &m, &why), NN_ERR_SHAPE);
  CHECK_OK(nn_load_onnx_memory(s.at, s.size, &c, &o, &m, &why));
  CHECK_OK(nn_get_node(m, 0, &f));
  CHECK(f.rank == 2 && f.dim[0] == 5 && f.dim[1] == 2);
  nn_destroy(m);
  free(s.at);
}

/* Memory that is not there, at any allocation, the model's own among them. */
static int allocations; /* until one fails */
static void *scarce(void *user, size_t size) {
  (void)user;
  return allocations-- > 0 ? malloc(size) : NULL;
}
static void gone(void *user, void *memory, size_t size) {
  (void)user, (void)size;
  free(memory);
}
static void no_memory(void) {
  nn_config c = plain();
  nn_status status = NN_ERR_MEMORY;
  Sink s = written(MODEL(X GEMM Y "5{1:1 1:2 2:1 8'w' 9<" ONE_TWO ">}"));
  int i;
  c.allocator.allocate = scarce, c.allocator.release = gone;
  for (i = 0; i < 30 && status == NN_ERR_MEMORY; i++) {
    nn_model *m = NULL;
    nn_message why = {{0}};
    allocations = i;
    status = nn_load_onnx_memory(s.at, s.size, &c, NULL, &m, &why);
    CHECK(status == NN_OK || status == NN_ERR_MEMORY);
    CHECK_INT(m != NULL, status == NN_OK);
    nn_destroy(m);
  }
  CHECK_OK(status);
  CHECK(i > 3);
  free(s.at);
}

/* More operators than are looked at, and a file that is as long as it is wide. */
static void too_many(void) {
  nn_config c = plain();
  nn_model *m = NULL;
  nn_message why;
  char text[64];
  Sink graph = {NULL, 0, 0, 0}, s = {NULL, 0, 0, 0};
  int i;
  message(X Y, &graph);
  for (i = 0; i < 33 * NN_MAX_NODES; i++) {
    snprintf(text, sizeof text, "1{1'x' 2'v%d' 4'Relu'}", i);
    message(text, &graph);
  }
  message("8{2:13}", &s);
  number(&s, 7 << 3 | 2), number(&s, graph.size), sink(&s, graph.at, graph.size);
  CHECK_STATUS(nn_load_onnx_memory(s.at, s.size, &c, NULL, &m, &why), NN_ERR_LIMIT);
  CHECK_HAS(why.text, "values or operators");
  free(graph.at), free(s.at);
}

#ifndef NN_NO_STDIO
static void paths(void) {
  nn_config c = plain();
  nn_model *m = nn_create(&c), *back = NULL;
  nn_message why;
  static char path[64] = "test_onnx.XXXXXX";
  Sink s;
  nn_relu(m, nn_input_vector(m, 3));
  CHECK_STATUS(nn_save_onnx(m, 0, "x.onnx"), NN_ERR_STATE);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_set_note(m, "classes", "a\nb\nc"));
  CHECK_STATUS(nn_save_onnx(m, -1, "x.onnx"), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_save_onnx(m, 0, "no/such/folder/x.onnx"), NN_ERR_IO);
  sprintf(path, "test_onnx.%lu.onnx", (unsigned long)(uintptr_t)m % 100000);
  CHECK_OK(nn_save_onnx(m, 2, path));
  if (CHECK_OK(nn_load_onnx(path, &c, NULL, &back, &why)))
    CHECK_TEXT(nn_note(back, "classes"), "a\nb\nc");
  nn_destroy(back);
  s = exported(m, 2);
  {
    nn_array a;
    CHECK_OK(nn_file_read(path, 1 << 20, test_allocator(), &a, &why));
    CHECK(a.count == s.size && CHECK_SAME(a.data, s.at, s.size));
    nn_array_free(&a);
  }
  remove(path);
  CHECK_STATUS(nn_load_onnx(path, &c, NULL, &back, &why), NN_ERR_IO);
  CHECK_STATUS(nn_load_onnx("tests", &c, NULL, &back, &why), NN_ERR_IO);
  nn_destroy(m);
  free(s.at);
}
#endif

int main(int count, char **word) {
  if (count > 3 && !strcmp(word[1], "export")) return export_all(word[2], atoi(word[3]));
  if (count > 2 && !strcmp(word[1], "compare")) return compare_all(count - 2, word + 2);
  RUN(round_trip);
  RUN(adaptive_steps);
  RUN(same_weights);
  RUN(unsupported);
  RUN(by_hand);
  RUN(types);
  RUN(gates);
  RUN(refusals);
  RUN(free_sizes);
  RUN(too_many);
  RUN(no_memory);
#ifndef NN_NO_STDIO
  RUN(paths);
#endif
  return test_end("onnx");
}
#else
int main(void) { return test_end("onnx"); }
#endif
