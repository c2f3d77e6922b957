/* Weights from and to other programs' files: what is written comes back to the bit, what others
 * write is read as they mean it, and what is no whole file of its format is refused. */
#include "test.h"
#ifdef NN_NO_EXPORT
int main(void) {
  printf("export: 0 passed, 0 failed, 1 skipped\n");
  return 0;
}
#else

/* ---- files made by hand ---- */

typedef struct Buffer {
  unsigned char *at;
  size_t size, room, calls, stop; /* stop: the call that fails; 0: none */
} Buffer;

static int append(void *user, const void *bytes, size_t size) {
  Buffer *b = (Buffer *)user;
  if (++b->calls == b->stop) return 1;
  if (b->size + size > b->room) {
    unsigned char *more = (unsigned char *)test_memory(b->room = 2 * (b->size + size));
    if (b->size) memcpy(more, b->at, b->size);
    free(b->at);
    b->at = more;
  }
  memcpy(b->at + b->size, bytes, size);
  b->size += size;
  return 0;
}
static void add(Buffer *b, const void *bytes, size_t size) { append(b, bytes, size); }
static void add_text(Buffer *b, const char *text) { append(b, text, strlen(text)); }
static void add_number(Buffer *b, uint64_t x, int bytes) {
  unsigned char c[8];
  for (int i = 0; i < bytes; i++) c[i] = (unsigned char)(x >> 8 * i & 255);
  append(b, c, (size_t)bytes);
}
static void add_float(Buffer *b, double x) {
  const float narrow = (float)x;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  add_number(b, bits, 4);
}

/* A header of safetensors and, behind it, so many floats 0, 1, 2, .. */
static Buffer tensors(const char *header, size_t floats) {
  Buffer b = {NULL, 0, 0, 0, 0};
  add_number(&b, strlen(header), 8);
  add_text(&b, header);
  for (size_t i = 0; i < floats; i++) add_float(&b, (double)i);
  return b;
}

/* Adds a stored file to a zip archive and its entry to the directory. */
static void zip_add(Buffer *zip, Buffer *directory, const char *name, const Buffer *file) {
  const size_t offset = zip->size, length = strlen(name);
  for (int central = 0; central < 2; central++) {
    Buffer *b = central ? directory : zip;
    add_number(b, central ? 0x02014B50 : 0x04034B50, 4);
    if (central) add_number(b, 20, 2);
    add_number(b, 20, 2), add_number(b, 0, 2), add_number(b, 0, 2), add_number(b, 0, 4);
    add_number(b, nn_crc32(0, file->at, file->size), 4);
    add_number(b, file->size, 4), add_number(b, file->size, 4);
    add_number(b, length, 2), add_number(b, 0, 2);
    if (central) add_number(b, 0, 8), add_number(b, 0, 2), add_number(b, offset, 4);
    add_text(b, name);
    if (!central) add(b, file->at, file->size);
  }
}
static void zip_end(Buffer *zip, Buffer *directory, unsigned count) {
  const size_t begin = zip->size;
  add(zip, directory->at, directory->size);
  add_number(zip, 0x06054B50, 4), add_number(zip, 0, 4);
  add_number(zip, count, 2), add_number(zip, count, 2);
  add_number(zip, directory->size, 4), add_number(zip, begin, 4), add_number(zip, 0, 2);
  free(directory->at);
}
static Buffer npy(const char *type, const char *shape, size_t floats) {
  Buffer b = {NULL, 0, 0, 0, 0};
  char text[160];
  sprintf(text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", type, shape);
  add(&b, "\x93NUMPY\1\0", 8);
  add_number(&b, strlen(text), 2);
  add_text(&b, text);
  for (size_t i = 0; i < floats; i++) add_float(&b, (double)i);
  return b;
}
/* An npz with the arrays of a linear layer, 2 to 3. */
static Buffer small_npz(void) {
  Buffer zip = {NULL, 0, 0, 0, 0}, directory = zip, w = npy("<f4", "(3, 2)", 6),
         b = npy("<f4", "(3,)", 3);
  zip_add(&zip, &directory, "linear1.weight.npy", &w);
  zip_add(&zip, &directory, "linear1.bias.npy", &b);
  zip_end(&zip, &directory, 2);
  free(w.at), free(b.at);
  return zip;
}

/* ---- models ---- */

static void images(nn_model *m) {
  static const nn_real mean[2] = {(nn_real).25, -3}, scale[2] = {2, (nn_real).125};
  int x = nn_normalise(m, nn_input_image(m, 2, 6, 5), mean, scale);
  nn_conv2d_options o = {4, 3, 2, 1, 1, 1, 0, 1, 1, 2, 1};
  x = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, x, 4, 3, 1, 1)));
  x = nn_conv2d_with(m, x, &o);
  nn_name(m, x, "stage/conv-2");
  nn_softmax(m, nn_linear(m, nn_layer_norm(m, nn_flatten(m, x)), 3));
}
static void sequences(nn_model *m) {
  nn_recurrent_options o = {5, 2, 0, 0, 0, 0};
  int x = nn_lstm_with(m, nn_embedding(m, nn_input_tokens(m, 4), 9, 3), &o);
  nn_linear_no_bias(m, nn_last_step(m, nn_gru(m, nn_rnn(m, x, 4), 3)), 2);
}
static void linear(nn_model *m) { nn_linear(m, nn_input_vector(m, 2), 3); }
static void twins(nn_model *m) {
  nn_linear(m, nn_linear(m, nn_input_vector(m, 2), 2), 2);
}
static void (*const nets[])(nn_model *m) = {images, sequences, linear};

static nn_model *make(void (*net)(nn_model *m), int inference, int in_place) {
  nn_config c = test_config();
  nn_param p;
  c.inference = inference, c.in_place = in_place;
  nn_model *m = nn_create(&c);
  net(m);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  for (int i = 0; i < nn_param_count(m) && !in_place; i++) /* so that constants differ, too */
    if (CHECK_OK(nn_get_param(m, i, &p))) test_fill(p.value, p.count, (uint32_t)i + 7);
  return m;
}

static void spoil(nn_model *m, double x) {
  nn_param p;
  for (int i = 0; i < nn_param_count(m); i++) {
    CHECK_OK(nn_get_param(m, i, &p));
    for (size_t k = 0; k < p.count; k++) p.value[k] = (nn_real)x;
  }
}

static void same_parameters(nn_model *a, nn_model *b) {
  nn_param p, q;
  CHECK_INT(nn_param_count(a), nn_param_count(b));
  for (int i = 0; i < nn_param_count(a); i++) {
    CHECK_OK(nn_get_param(a, i, &p));
    CHECK_OK(nn_get_param(b, i, &q));
    CHECK_SAME(p.value, q.value, p.count * sizeof *p.value);
  }
}

static nn_real value(nn_model *m, const char *name, size_t index) {
  nn_param p;
  return CHECK_OK(nn_find_param(m, name, &p)) && CHECK(index < p.count) ? p.value[index] : 0;
}

typedef nn_status (*Writer)(nn_model *m, const char *names, nn_write write, void *user);
static const Writer writers[] = {nn_export_safetensors, nn_export_npz};

static Buffer written(nn_model *m, int form, const char *names) {
  Buffer b = {NULL, 0, 0, 0, 0};
  if (!CHECK_OK(writers[form](m, names, append, &b))) fprintf(stderr, "    %s\n", nn_error(m));
  return b;
}

static nn_status load(nn_model *m, const Buffer *b, const nn_weights_options *o, nn_weights *w) {
  unsigned char *copy = (unsigned char *)test_memory(b->size); /* a sanitizer sees its end */
  if (b->size) memcpy(copy, b->at, b->size);
  const nn_status status = nn_load_weights_memory(m, copy, b->size, o, w);
  free(copy);
  return status;
}

/* ---- round trips ---- */

static void round_trip(void) {
  const nn_weights_options strict = {.strict = 1};
  for (size_t net = 0; net < COUNT(nets); net++)
    for (int form = 0; form < 2; form++) {
      nn_model *m = make(nets[net], 0, 0), *n = make(nets[net], 1, 0);
      Buffer b, again;
      nn_weights w;
      CHECK_OK(nn_set_note(m, "classes", "a \"b\"\tc\\\nK\xc3\xa4se \xf0\x9f\x90\x88"));
      CHECK_OK(nn_set_note(m, "format", "mine"));
      b = written(m, form, NULL);
      spoil(n, -1);
      if (!CHECK_OK(load(n, &b, &strict, &w))) fprintf(stderr, "    %s\n", nn_error(n));
      CHECK_INT(w.found, nn_param_count(m));
      CHECK_INT(w.missing + w.reshaped + w.unused, 0);
      same_parameters(m, n);
      if (form == 0) CHECK_TEXT(nn_note(n, "classes"), nn_note(m, "classes"));
      CHECK(nn_note(n, "format") == NULL);
      again = written(m, form, NULL);
      CHECK(again.size == b.size && CHECK_SAME(again.at, b.at, b.size));
      free(b.at), free(again.at);
      nn_destroy(m), nn_destroy(n);
    }
}

/* Every call of the writer's callback fails in turn. */
static void failing_writes(void) {
  for (int form = 0; form < 2; form++) {
    nn_model *m = make(linear, 0, 0);
    Buffer b = written(m, form, NULL);
    const size_t calls = b.calls;
    CHECK(calls > 3);
    for (size_t stop = 1; stop <= calls; stop++) {
      b.size = b.calls = 0, b.stop = stop;
      CHECK_STATUS(writers[form](m, NULL, append, &b), NN_ERR_IO);
      CHECK_INT(b.calls, stop); /* and it is not called again */
    }
    free(b.at);
    nn_destroy(m);
  }
}

static Buffer source_of(nn_model *m, const char *prefix) {
  const nn_c_options o = {prefix, NULL, NULL};
  Buffer b = {NULL, 0, 0, 0, 0};
  CHECK_OK(nn_export_c(m, &o, append, &b));
  add(&b, "", 1);
  return b;
}

/* Numbers in C source read back to the bit; what is subnormal is 0. */
static void numbers_in_c(void) {
  static const double odd[6] = {1.1754944e-38, -3.4028235e38, 1 + 1.0 / 8388608, 1e-40, -.1,
                                1e9};
  nn_model *m = make(linear, 0, 0);
  nn_param p;
  CHECK_OK(nn_get_param(m, 0, &p));
  for (int round = 0; round < 300; round++) {
    for (size_t i = 0; i < p.count; i++) {
      uint32_t bits = nn_random_at(7, (uint64_t)round, i) & 0xBFFFFFFF;
      float x;
      memcpy(&x, &bits, sizeof x);
      if (round % 2) x = (float)((double)(bits % 2000001) / 1e6 - 1);
      p.value[i] = round ? (nn_real)x : (nn_real)odd[i];
    }
    Buffer b = source_of(m, NULL);
    const char *at = strstr((const char *)b.at, "linear1_weight[6] = {");
    if (!CHECK(at != NULL)) return;
    at = strchr(at, '{') + 1;
    for (size_t i = 0; i < p.count; i++) {
      char *end;
      const float wanted = (float)p.value[i], x = strtof(at, &end);
      CHECK(fabsf(wanted) < 1.17549435e-38f ? x == 0 : x == wanted);
      CHECK(*end == 'f' && (end[1] == ',' || end[1] == '\n'));
      at = end + 2;
    }
    free(b.at);
  }
  nn_destroy(m);
}

static nn_status nothing(void *user, nn_custom_run *r) {
  (void)user, (void)r;
  return NN_OK;
}

static void wrong_source(void) {
  static const nn_custom_layer own = {"own", NULL, nothing, NULL, NULL};
  static const char *const bad[] = {"", "1net", "a b", "a-b", "_net", "n\xc3\xa9t", "a*/", "net;",
                                    "a23456789b123456789c123456789d123"};
  nn_config config = test_config();
  nn_param p;
  Buffer b = {NULL, 0, 0, 0, 0};
  CHECK_STATUS(nn_export_c(NULL, NULL, append, &b), NN_ERR_ARGUMENT);
  nn_model *m = nn_create(&config);
  int x = nn_input_vector(m, 3);
  CHECK_STATUS(nn_export_c(m, NULL, append, &b), NN_ERR_STATE);
  config.inference = 1;
  nn_destroy(m), m = nn_create(&config), x = nn_input_vector(m, 3), x = nn_custom(m, &x, 1, &own);
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_export_c(m, NULL, append, &b), NN_ERR_UNSUPPORTED);
  CHECK_HAS(nn_error(m), "export: custom1 is a layer of one's own");
  nn_destroy(m);
  m = make(linear, 0, 0);
  CHECK_STATUS(nn_export_c(m, NULL, NULL, NULL), NN_ERR_ARGUMENT);
  for (size_t i = 0; i < COUNT(bad); i++) {
    const nn_c_options o = {bad[i], NULL, NULL};
    CHECK_STATUS(nn_export_c(m, &o, append, &b), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "is no name in C");
  }
  CHECK_OK(nn_get_param(m, 0, &p));
  p.value[2] = (nn_real)HUGE_VAL;
  CHECK_STATUS(nn_export_c(m, NULL, append, &b), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "export: linear1 is not finite");
  CHECK_INT(b.size, 0);
  p.value[2] = 0;
  CHECK_OK(nn_export_c(m, NULL, append, &b));
  const size_t calls = b.calls;
  for (size_t stop = 1; stop <= calls; stop++) {
    b.size = b.calls = 0, b.stop = stop;
    CHECK_STATUS(nn_export_c(m, NULL, append, &b), NN_ERR_IO);
    CHECK_INT(b.calls, stop);
  }
  free(b.at);
  nn_destroy(m);
}

static nn_dataset values_of(const nn_real *x, int count, int channels, int height, int width) {
  nn_dataset d;
  memset(&d, 0, sizeof d);
  d.count = count, d.channels = channels, d.height = height, d.width = width, d.values = x;
  return d;
}

/* By hand: x in 0 .. 1 are bytes of 1/255 from -128 on, y in -.4 .. 1 of 1.4/255 about -55, weights
 * of 1/127: 127 and round(-50.8) = -51. So y(0, 1) is round(-51/127 * 255/1.4) = -73 steps. */
static void int8_by_hand(void) {
  static const nn_real x[8] = {0, 0, 1, 0, 0, 1, 1, 1};
  static const int32_t labels[4] = {0, 0, 0, 0};
  static const int steps[4] = {0, 182, -73, 109};
  const float step = (float)(1.4 / 255);
  nn_config config = test_config();
  nn_dataset d = values_of(x, 4, 1, 1, 2);
  nn_int8_result r;
  nn_int8 *q;
  nn_param p;
  nn_real y;
  config.keep_activations = config.inference = 1, config.batch = 3;
  nn_model *m = nn_create(&config);
  nn_linear(m, nn_input_vector(m, 2), 1);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_get_param(m, 0, &p));
  p.value[0] = 1, p.value[1] = (nn_real)-.4;
  CHECK_OK(nn_get_param(m, 1, &p));
  p.value[0] = 0;
  d.labels = labels;
  CHECK_OK(nn_int8_create(m, &d, &q));
  for (int i = 0; i < 4; i++) {
    CHECK_OK(nn_int8_run(q, x + 2 * i, &y));
    CHECK((float)y == step * (float)steps[i]);
  }
  CHECK_OK(nn_int8_evaluate(q, &d, &r));
  CHECK_INT(r.rows, 4), CHECK_INT(r.right, 4), CHECK_INT(r.right_int8, 4);
  CHECK(r.error > 0 && r.error < .01 && r.cut == 0);
  nn_c_sizes sizes;
  const nn_c_options o = {"q", q, &sizes};
  Buffer b = {NULL, 0, 0, 0, 0};
  CHECK_OK(nn_export_c(m, &o, append, &b));
  add(&b, "", 1);
  CHECK_HAS((const char *)b.at, "static const int8_t q_linear1_weight[2] = {\n  127, -51\n};");
  CHECK_INT(sizes.weights, 2 + 4 + 4), CHECK_INT(sizes.memory, 3);
  CHECK(sizes.macs == 2);
  free(b.at);
  nn_int8_free(q);
  nn_destroy(m);
}

static void wrong_int8(void) {
  static nn_real x[60];
  nn_config config = test_config();
  nn_dataset d = values_of(x, 1, 1, 1, 2);
  nn_int8 *q;
  nn_param p;
  Buffer b = {NULL, 0, 0, 0, 0};
  CHECK_STATUS(nn_int8_create(NULL, &d, &q), NN_ERR_ARGUMENT);
  CHECK(q == NULL);
  nn_model *other = make(linear, 0, 0);
  CHECK_STATUS(nn_int8_create(other, &d, &q), NN_ERR_STATE);
  config.keep_activations = 1;
  nn_model *m = nn_create(&config);
  nn_add(m, nn_input_vector(m, 2), nn_input_vector(m, 2));
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_int8_create(m, &d, &q), NN_ERR_UNSUPPORTED);
  nn_destroy(m), m = nn_create(&config);
  nn_linear(m, nn_input_vector(m, 2), 3);
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_int8_create(m, NULL, &q), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_int8_create(m, &d, NULL), NN_ERR_ARGUMENT);
  d.width = 3;
  CHECK_STATUS(nn_int8_create(m, &d, &q), NN_ERR_SHAPE);
  d.width = 2;
  CHECK_OK(nn_get_param(m, 0, &p));
  p.value[1] = (nn_real)HUGE_VAL;
  CHECK_STATUS(nn_int8_create(m, &d, &q), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "int8: linear1 gives ");
  p.value[1] = 1;
  d.count = 8; /* the last of them tell how far ranges go */
  x[15] = (nn_real)HUGE_VAL;
  CHECK_STATUS(nn_int8_create(m, &d, &q), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "int8: the net gives ");
  d.count = 1, x[15] = 0;
  CHECK_OK(nn_int8_create(m, &d, &q)); /* all samples are 0 */
  const nn_c_options o = {NULL, q, NULL};
  Buffer full = {NULL, 0, 0, 0, 1};
  CHECK_STATUS(nn_export_c(m, &o, append, &full), NN_ERR_IO);
  CHECK_OK(nn_export_c(m, &o, append, &b)); /* a failed one spoils nothing */
  free(full.at), free(b.at), b.at = NULL;
  CHECK_STATUS(nn_export_c(other, &o, append, &b), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(other), "export: the int8 net is another model's");
  CHECK_STATUS(nn_int8_run(q, NULL, x), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_int8_run(NULL, x, x), NN_ERR_ARGUMENT);
  nn_int8_free(q), nn_int8_free(NULL);
  nn_destroy(m), nn_destroy(other);
}

/* A factor that is not finite, and that no sample meets. */
static void infinite_in_int8(void) {
  static nn_real x[4] = {1, 2, 1, 2};
  for (int way = 0; way < 2; way++) {
    nn_config config = test_config();
    config.keep_activations = 1;
    nn_dataset d = values_of(x, 2, 1, 1, 2);
    nn_model *m = nn_create(&config);
    nn_int8 *q;
    nn_param p;
    if (way) nn_embedding(m, nn_input_tokens(m, 2), 5, 3);
    else nn_prelu(m, nn_input_vector(m, 2), 1);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_get_param(m, 0, &p));
    p.value[0] = (nn_real)HUGE_VAL;
    CHECK_STATUS(nn_int8_create(m, &d, &q), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "is not finite");
    nn_destroy(m);
  }
}

/* Checks that a net is off by less than this in int8, and ends it. */
static void end_int8(nn_model *m, const nn_dataset *d, double most) {
  nn_int8_result r;
  nn_int8 *q;
  CHECK_OK(nn_int8_create(m, d, &q));
  CHECK_OK(nn_int8_evaluate(q, d, &r));
  CHECK(r.error < most);
  nn_int8_free(q);
  nn_destroy(m);
}

/* Inputs far from 0, whose scaling goes into the biases of a cell's gates. */
static void large_biases_in_int8(void) {
  static nn_real x[40 * 10 * 8];
  const nn_real mean[8] = {20, 20, 20, 20, 20, 20, 20, 20}, scale[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  for (int i = 0; i < 3200; i++) x[i] = (nn_real)(18.5 + (i * 7919 % 1009) / 336.);
  for (int kind = 0; kind < 3; kind++) {
    nn_config config = test_config();
    config.keep_activations = 1, config.batch = 8;
    nn_dataset d = values_of(x, 40, 1, 10, 8);
    nn_model *m = nn_create(&config);
    const int in = nn_normalise(m, nn_input_sequence(m, 10, 8), mean, scale);
    if (kind == 0) nn_rnn(m, in, 8);
    else if (kind == 1) nn_lstm(m, in, 8);
    else nn_gru(m, in, 8);
    CHECK_OK(nn_build(m));
    end_int8(m, &d, .1);
  }
}

/* Sums that fill 32 bits with their bias; a row of zeros beside small weights; more steps than an
 * int holds the square of. */
static void sums_in_int8(void) {
  enum { MANY = 65025, STEPS = 65537 };
  static nn_real x[2 * STEPS];
  for (int way = 0; way < (sizeof(size_t) < 8 ? 2 : 3); way++) { /* 2: too much for 32 bits */
    nn_config config = test_config();
    config.keep_activations = 1;
    const int steps = way < 2 ? 1 : STEPS, width = way == 0 ? MANY : way == 1 ? 2 : 1;
    nn_dataset d = values_of(x, 2, 1, steps, width);
    nn_model *m = nn_create(&config);
    nn_param p;
    for (int i = 0; i < 2 * steps * width; i++)
      x[i] = way == 0 ? (nn_real)(i / width) : (nn_real)((i * 7919 % 1009) / 1009.);
    if (way == 2) nn_adaptive_avg_pool1d(m, nn_input_sequence(m, STEPS, 1), STEPS - 2);
    else nn_linear(m, nn_input_vector(m, width), way + 1);
    CHECK_OK(nn_build(m));
    for (int k = 0; k < nn_param_count(m); k++) {
      CHECK_OK(nn_get_param(m, k, &p));
      for (size_t i = 0; i < p.count; i++)
        p.value[i] = way == 0 ? k ? MANY * 256 / (nn_real)255 : 1 : i || k ? 0 : (nn_real)1e-9;
    }
    end_int8(m, &d, .02);
  }
}

/* What would not fit into the sums; found before anything is computed. */
static void too_large_for_int8(void) {
  static const int size[6][2] = {{1, 16385}, {1, 1}, {4096, 2049}, {4200, 2047}, {4097, 4096},
                                 {4097, 4096}};
  for (int way = 0; way < (sizeof(size_t) < 8 ? 4 : 6); way++) { /* 4: for 32 bits, too */
    nn_config config = test_config();
    config.keep_activations = config.inference = config.batch = 1;
    nn_model *m = nn_create(&config);
    nn_real x = 0;
    nn_dataset d = values_of(&x, 1, 1, size[way][0], size[way][1]);
    nn_int8 *q;
    if (way == 0) nn_relu(m, nn_softmax(m, nn_input_vector(m, size[0][1])));
    else nn_input_image(m, 1, size[way][0], size[way][1]);
    if (way == 1) nn_upsample2d_bilinear(m, 0, 1025, 1024);
    if (way == 2) nn_global_avg_pool(m, 0);
    if (way == 3) nn_adaptive_avg_pool2d(m, 0, 1, 2);
    if (way == 4) nn_layer_norm(m, 0);
    if (way == 5) nn_group_norm(m, 0, 1);
    CHECK_OK(nn_build(m));
    CHECK_STATUS(nn_int8_create(m, &d, &q), NN_ERR_LIMIT);
    CHECK_HAS(nn_error(m), "is too large for int8");
    nn_destroy(m);
  }
}

/* A net that adds steps, or whose cells begin from another's state, cannot go step by step;
 * tests/source compares the numbers. */
static void no_stream_in_c(void) {
  nn_config config = test_config();
  for (int way = 0; way < 4; way++) {
    const nn_recurrent_options o = {4, 1, 0, 0, 0, 0};
    nn_model *m = nn_create(&config);
    int x = nn_gru(m, nn_input_sequence(m, 5, 3), 4);
    if (way == 1) x = nn_pad1d(m, x, 1, 0);
    if (way == 2) x = nn_upsample1d(m, x, 2);
    if (way == 3) x = nn_gru_from(m, x, nn_final_state(m, x), &o);
    CHECK_OK(nn_build(m));
    Buffer b = source_of(m, NULL);
    const char *const text = (const char *)b.at;
    CHECK((strstr(text, "net_step(") != NULL) == (way == 0));
    if (way == 3) CHECK_HAS(text, "net_hold(m + 20, m + 24, 4)");
    free(b.at);
    nn_destroy(m);
  }
}

/* Strangers' names end no comment and are no code; names of layers are names in C, no two alike. */
static void names_in_c(void) {
  nn_config config = test_config();
  nn_model *m = nn_create(&config);
  int x = nn_linear(m, nn_input_vector(m, 2), 3);
  nn_name(m, x, "a-b");
  x = nn_linear(m, x, 3), nn_name(m, x, "a/b");
  x = nn_linear(m, x, 3), nn_name(m, x, "layer1");
  x = nn_linear(m, x, 6), nn_name(m, x, "a_b");
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_set_note(m, "classes", "*/ int evil;\n\"quote\\\n?\?/\n$@ %s\n\xe4\xba\x8c"));
  Buffer b = source_of(m, "Net_1");
  const char *const text = (const char *)b.at, *const end = strstr(text, "*/");
  CHECK_HAS(text, " *   y[0]: _/ int evil;\n *   y[1]: _quote_\n *   y[2]: __/\n *   y[3]: $@ %s\n"
                  " *   y[4]: _\n */\n#ifndef Net_1_H\n#define Net_1_H\n#ifdef NET_1_OUTPUT\n"
                  "#error \"another net's prefix differs from Net_1 in capitals alone\"\n#endif\n");
  CHECK(end && !strncmp(end, "*/\n#ifndef", 10));
  CHECK_HAS(text, "Net_1_layer1_weight[6]"), CHECK_HAS(text, "Net_1_layer2_weight[9]");
  CHECK_HAS(text, "Net_1_layer3_weight[9]"), CHECK_HAS(text, "Net_1_a_b_weight[18]");
  for (const unsigned char *c = b.at; *c; c++) CHECK(*c == '\n' || (*c >= ' ' && *c <= '~'));
  Buffer again = source_of(m, "Net_1");
  if (CHECK_INT(again.size, b.size)) CHECK_SAME(again.at, b.at, b.size);
  free(b.at), free(again.at);
  nn_destroy(m);
}

/* The exact bytes, as the format's description has them. */
static void bytes_of_safetensors(void) {
  nn_model *m = make(linear, 0, 0);
  Buffer b;
  nn_param p;
  uint64_t length = 0;
  const int wide = (int)sizeof(nn_real);
  char head[512];
  CHECK_OK(nn_set_note(m, "data", "x\n\"y\""));
  b = written(m, 0, "# a table\n\n fc.w = linear1.weight \r\n");
  for (int i = 8; i-- > 0;) length = length << 8 | b.at[i];
  sprintf(head, "{\"__metadata__\":{\"format\":\"pt\",\"data\":\"x\\n\\\"y\\\"\"},"
          "\"fc.w\":{\"dtype\":\"F%d\",\"shape\":[3,2],\"data_offsets\":[0,%d]},"
          "\"linear1.bias\":{\"dtype\":\"F%d\",\"shape\":[3],\"data_offsets\":[%d,%d]}}",
          8 * wide, 6 * wide, 8 * wide, 6 * wide, 9 * wide);
  CHECK_INT(length % 64, 56);
  CHECK_INT(b.size, 8 + length + 9 * sizeof(nn_real));
  CHECK_SAME(b.at + 8, head, strlen(head));
  for (size_t i = 8 + strlen(head); i < 8 + length; i++) CHECK_INT(b.at[i], ' ');
  CHECK_OK(nn_find_param(m, "linear1.weight", &p));
  for (int i = 0; i < 6; i++) {
    double x = 0;
    uint64_t bits = 0;
    float narrow;
    for (int k = wide; k-- > 0;) bits = bits << 8 | b.at[8 + length + (size_t)(i * wide + k)];
    const uint32_t low = (uint32_t)bits;
    memcpy(&narrow, &low, 4);
    if (wide == 8) memcpy(&x, &bits, 8);
    else x = (double)narrow;
    CHECK(x == (double)p.value[i]);
  }
  free(b.at);
  nn_destroy(m);
}

/* What is asked of a writer and cannot be. */
static void wrong_writes(void) {
  nn_config c = test_config();
  nn_model *m = make(linear, 0, 0), *unbuilt = nn_create(&c), *empty = make(linear, 1, 1);
  Buffer b = {NULL, 0, 0, 0, 0};
  for (int form = 0; form < 2; form++) {
    CHECK_STATUS(writers[form](NULL, NULL, append, &b), NN_ERR_ARGUMENT);
    CHECK_STATUS(writers[form](unbuilt, NULL, append, &b), NN_ERR_STATE);
    CHECK_STATUS(writers[form](empty, NULL, append, &b), NN_ERR_STATE);
    CHECK_STATUS(writers[form](m, NULL, NULL, &b), NN_ERR_ARGUMENT);
    CHECK_STATUS(writers[form](m, "x=linear1.wait", append, &b), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "line 1: the model has no array linear1.wait");
    CHECK_STATUS(writers[form](m, "\nx", append, &b), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "line 2: not name=name");
    CHECK_STATUS(writers[form](m, "=linear1.bias", append, &b), NN_ERR_ARGUMENT);
    CHECK_STATUS(writers[form](m, "linear1.weight=linear1.bias", append, &b), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "names: two arrays would be called");
    CHECK_STATUS(writers[form](m, "\xff=linear1.bias", append, &b), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "not UTF-8");
  }
  CHECK_INT(b.calls, 0);
  nn_destroy(m), nn_destroy(unbuilt), nn_destroy(empty);
}

static void files(void) {
#ifdef NN_NO_STDIO
  SKIP("built without files");
#else
  nn_model *m = make(images, 0, 0), *n = make(images, 0, 0);
  const nn_weights_options strict = {.strict = 1};
  char path[64], old[] = "old";
  nn_array a;
  nn_message why;
  sprintf(path, "test_export.%p", (void *)m);
  for (int form = 0; form < 2; form++) {
    nn_status (*save)(nn_model *, const char *, const char *) =
        form ? nn_save_npz : nn_save_safetensors;
    Buffer b = written(m, form, NULL);
    CHECK_OK(nn_file_write(path, old, sizeof old, NULL));
    CHECK_STATUS(save(m, "bad", path), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "line 1");
    CHECK_OK(nn_file_read(path, 100, test_filling(), &a, &why)); /* and the old file is there */
    CHECK(a.count == sizeof old && CHECK_SAME(a.data, old, sizeof old));
    nn_array_free(&a);
    CHECK_OK(save(m, NULL, path));
    CHECK_OK(nn_file_read(path, 1 << 20, test_filling(), &a, &why));
    CHECK(a.count == b.size && CHECK_SAME(a.data, b.at, b.size));
    nn_array_free(&a);
    spoil(n, 0);
    CHECK_OK(nn_load_weights(n, path, &strict, NULL));
    same_parameters(m, n);
    CHECK_STATUS(save(m, NULL, "no/such/folder/x"), NN_ERR_IO);
    CHECK_HAS(nn_error(m), "no/such/folder/x");
    CHECK_STATUS(save(m, NULL, NULL), NN_ERR_ARGUMENT);
    CHECK_STATUS(save(NULL, NULL, path), NN_ERR_ARGUMENT);
    free(b.at);
  }
  remove(path);
  nn_destroy(m), nn_destroy(n);
#endif
}

/* ---- numbers ---- */

/* Every half and every bfloat16, by what they mean. */
static void short_numbers(void) {
  nn_config c = test_config();
  for (int form = 0; form < 2; form++) {
    Buffer b = tensors(form ? "{\"linear1.weight\":{\"dtype\":\"BF16\",\"shape\":[256,256],"
                              "\"data_offsets\":[0,131072]}}"
                            : "{\"linear1.weight\":{\"dtype\":\"F16\",\"shape\":[256,256],"
                              "\"data_offsets\":[0,131072]}}", 0);
    nn_model *m = nn_create(&c);
    nn_param p;
    nn_linear_no_bias(m, nn_input_vector(m, 256), 256);
    CHECK_OK(nn_build(m));
    for (unsigned i = 0; i < 65536; i++) add_number(&b, i, 2);
    if (!CHECK_OK(load(m, &b, NULL, NULL))) fprintf(stderr, "    %s\n", nn_error(m));
    CHECK_OK(nn_find_param(m, "linear1.weight", &p));
    for (int i = 0; i < 65536; i++) {
      const int bits = form ? 7 : 10, e = i >> bits & (form ? 255 : 31), f = i & ((1 << bits) - 1);
      const int bias = form ? 127 : 15;
      double x = ldexp(f + (e ? 1 << bits : 0), (e ? e : 1) - bias - bits);
      if (i >> 15) x = -x;
      if (e == (form ? 255 : 31)) { /* infinite, or a NaN */
        if (!CHECK(f ? p.value[i] != p.value[i] : isinf(p.value[i]) && (p.value[i] < 0) == i >> 15))
          break;
      } else if (!CHECK((double)p.value[i] == x && !signbit(p.value[i]) == !(i >> 15))) {
        fprintf(stderr, "    %x is %g, not %g\n", (unsigned)i, (double)p.value[i], x);
        break;
      }
    }
    free(b.at);
    nn_destroy(m);
  }
}

static void doubles(void) {
  Buffer b = tensors("{\"linear1.bias\":{\"dtype\":\"F64\",\"shape\":[3],"
                     "\"data_offsets\":[0,24]}}", 0);
  nn_model *m = make(linear, 0, 0);
  const double x[3] = {1.0 / 3, -1e300, 0};
  nn_weights w;
  for (int i = 0; i < 3; i++) {
    uint64_t bits;
    memcpy(&bits, &x[i], 8);
    add_number(&b, bits, 8);
  }
  CHECK_OK(load(m, &b, NULL, &w));
  CHECK(w.found == 1 && w.missing == 1);
  for (size_t i = 0; i < 3; i++) CHECK(value(m, "linear1.bias", i) == (nn_real)x[i]);
  free(b.at);
  nn_destroy(m);
}

/* ---- what others write ---- */

#define WEIGHT "\"linear1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}"
#define BIAS "\"linear1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]}"
#define GOOD "{" WEIGHT "," BIAS "}"

typedef struct Case {
  const char *name, *header;
  int floats;
  const char *says; /* NULL: it loads, all of it */
} Case;
#define ARRAY(name, type, shape, offsets)                                                          \
  "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
static const Case cases[] = {
    {"a good file", GOOD, 9, NULL},
    {"padding", GOOD "      ", 9, NULL},
    {"spaces and line ends", " {\n" WEIGHT "\t,\r\n" BIAS " } ", 9, "header, byte 0: "},
    {"spaces and line ends within", "{\n" WEIGHT "\t,\r\n" BIAS " } ", 9, NULL},
    {"another order", "{" BIAS "," WEIGHT "}", 9, NULL},
    {"keys in another order",
     "{" WEIGHT ",\"linear1.bias\":{\"data_offsets\":[24,36],\"shape\":[3],\"dtype\":\"F32\"}}", 9,
     NULL},
    {"metadata between", "{" WEIGHT ",\"__metadata__\":{\"a\":\"b\",\"c\":\"\"}," BIAS "}", 9,
     NULL},
    {"metadata first", "{\"__metadata__\":{}," WEIGHT "," BIAS "}", 9, NULL},
    {"metadata of an array's name",
     "{" WEIGHT ",\"__metadata__\":{\"linear1.bias\":\"\"}," BIAS "}", 9, NULL},
    {"escapes in a name", "{" WEIGHT ",\"l\\u0069near1\\u002Ebias\":{\"dtype\":\"F32\","
     "\"shape\":[3],\"data_offsets\":[24,36]}}", 9, NULL},
    {"a count of batches", "{" WEIGHT "," BIAS ","
     ARRAY("bn.num_batches_tracked", "I64", "[]", "[36,44]") "}", 11, NULL},
    {"an array of nothing", "{" ARRAY("x", "F32", "[0,5]", "[24,24]") "," WEIGHT "," BIAS "}", 9,
     ""},
    {"a single number", "{" WEIGHT "," BIAS "," ARRAY("x", "BOOL", "[]", "[36,37]") "}", 10,
     "the last 3 bytes belong to no array"},

    {"nothing but a length", "", 0, "not a model"},
    {"no object", "[]", 9, "not a model"},
    {"an empty object", "{}", 9, "the last 36 bytes belong to no array"},
    {"a header that ends early", "{" WEIGHT, 6, ", or } expected"},
    {"nothing after a comma", "{" WEIGHT ",}", 6, "\" expected"},
    {"a comma first", "{," WEIGHT "}", 6, "\" expected"},
    {"no comma", "{" WEIGHT " " BIAS "}", 9, ", or } expected"},
    {"text after the object", GOOD " x", 9, "only spaces may follow"},
    {"a line end after the object", GOOD "\n", 9, "only spaces may follow"},
    {"a second object", GOOD GOOD, 9, "only spaces may follow"},
    {"a name without quotes", "{x:" WEIGHT "}", 6, "\" expected"},
    {"a name that never ends", "{\"linear1.weight", 6, "\" expected"},
    {"a name with a control character", "{\"a\nb\":1}", 6, "not UTF-8, or not on one line"},
    {"a name that tells a terminal", "{\"a\xc2\x9b\":1}", 6, "not UTF-8, or not one line"},
    {"a name with an escaped one", "{" ARRAY("a\\nb", "F32", "[1]", "[0,4]") "}", 1,
     "not one line"},
    {"a name with a zero", "{" ARRAY("a\\u0000b", "F32", "[1]", "[0,4]") "}", 1, "not one line"},
    {"a name that is not UTF-8", "{\"\xff\":1}", 6, "not UTF-8"},
    {"an overlong character", "{\"\xc0\xaf\":1}", 6, "not UTF-8"},
    {"a surrogate in UTF-8", "{\"\xed\xa0\x80\":1}", 6, "not UTF-8"},
    {"half a character", "{\"\xe2\x82\":1}", 6, "not UTF-8"},
    {"a bad escape", "{\"\\x\":1}", 6, "escape that is no character"},
    {"an escape cut short", "{\"\\u12", 6, "escape that is no character"},
    {"no hexadecimal", "{\"\\u12g4\":1}", 6, "escape that is no character"},
    {"a lone high surrogate", "{\"\\ud800\":1}", 6, "escape that is no character"},
    {"a lone low surrogate", "{\"\\udc00\":1}", 6, "escape that is no character"},
    {"two high surrogates", "{\"\\ud800\\ud800\":1}", 6, "escape that is no character"},
    {"a surrogate and a letter", "{\"\\ud800\\u0041\":1}", 6, "escape that is no character"},
    {"a name too long", "{" ARRAY(
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
     "01234567890123456789012345678901234567890123456789012345678901234567890123456789",
     "F32", "[1]", "[0,4]")
     "}", 1, "a name of 256 bytes"},

    {"the same name twice", "{" WEIGHT "," ARRAY("linear1.weight", "F32", "[3]", "[24,36]") "}", 9,
     "of the same name"},
    {"the same by an escape", "{" WEIGHT "," ARRAY("linear1\\u002eweight", "F32", "[3]", "[24,36]")
     "}", 9, "of the same name"},
    {"unused names twice", "{" ARRAY("x", "U8", "[1]", "[36,37]") ","
     ARRAY("x", "U8", "[3]", "[37,40]") "," WEIGHT "," BIAS "}", 10, "of the same name"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}," WEIGHT "," BIAS "}", 9,
     "two arrays, or keys, of the same name"},
    {"a key of metadata twice",
     "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}," WEIGHT "," BIAS "}", 9, "of the same name"},
    {"metadata that are no object", "{\"__metadata__\":[]," WEIGHT "}", 6, "{ expected"},
    {"metadata that are numbers", "{\"__metadata__\":{\"a\":1}," WEIGHT "}", 6, "\" expected"},
    {"metadata in metadata", "{\"__metadata__\":{\"a\":{\"b\":\"c\"}}," WEIGHT "}", 6,
     "\" expected"},

    {"an array that is a number", "{\"x\":1}", 0, "{ expected"},
    {"an array that is null", "{\"x\":null}", 0, "{ expected"},
    {"nesting", "{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0, "{ expected"},
    {"nested objects", "{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{", 0, "each once"},
    {"an array of no keys", "{\"x\":{}}", 0, "each once"},
    {"quotes of Python's", "{\"x\":{'dtype':'F32','shape':[],'data_offsets':[0,4]}}", 1,
     "each once"},
    {"a tuple", "{" ARRAY("x", "F32", "(1,)", "[0,4]") "}", 1, "[ expected"},
    {"a comma behind the last key", "{\"x\":{\"dtype\":\"F32\",}}", 1, "each once"},
    {"no dtype", "{\"x\":{\"shape\":[],\"data_offsets\":[0,4]}}", 1, "is missing"},
    {"no shape", "{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 1, "is missing"},
    {"no offsets", "{\"x\":{\"dtype\":\"F32\",\"shape\":[]}}", 1, "is missing"},
    {"an unknown key", "{\"x\":{\"dtype\":\"F32\",\"strides\":[]}}", 1, "each once"},
    {"a key twice", "{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 1, "each once"},
    {"an unknown dtype", "{" ARRAY("x", "F33", "[]", "[0,4]") "}", 1, "dtype that is not known"},
    {"a dtype in small letters", "{" ARRAY("x", "f32", "[]", "[0,4]") "}", 1, "not known"},
    {"a dtype too long", "{" ARRAY("x", "F32aaaaaaaaaaaaaaaaaaaaaaaa", "[]", "[0,4]") "}", 1,
     "not known"},
    {"a shape that is a number", "{" ARRAY("x", "F32", "1", "[0,4]") "}", 1, "[ expected"},
    {"a shape with a comma", "{" ARRAY("x", "F32", "[1,]", "[0,4]") "}", 1,
     "whole number expected"},
    {"a negative size", "{" ARRAY("x", "F32", "[-1]", "[0,4]") "}", 1, "whole number expected"},
    {"a fraction", "{" ARRAY("x", "F32", "[1.0]", "[0,4]") "}", 1, "] expected"},
    {"an exponent", "{" ARRAY("x", "F32", "[1e0]", "[0,4]") "}", 1, "] expected"},
    {"a leading zero", "{" ARRAY("x", "F32", "[01]", "[0,4]") "}", 1, "whole number expected"},
    {"a size of 2^64", "{" ARRAY("x", "F32", "[18446744073709551616]", "[0,4]") "}", 1,
     "does not fit in memory"},
    {"sizes whose product wraps", "{" ARRAY("x", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
     "fit in memory"},
    {"sizes whose product wraps in 32 bits", "{" ARRAY("x", "F32", "[65536,65536]", "[0,0]") "}", 0,
     ""},
    {"bytes that wrap in 32 bits", "{" ARRAY("x", "F32", "[1073741825]", "[0,4]") "}", 1, ""},
    {"nine dimensions", "{" ARRAY("x", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 1,
     "more than 8 numbers"},
    {"one offset", "{" ARRAY("x", "F32", "[1]", "[0]") "}", 1, "two data_offsets"},
    {"three offsets", "{" ARRAY("x", "F32", "[1]", "[0,4,8]") "}", 1, "more than 2 numbers"},
    {"offsets the wrong way round", "{" ARRAY("x", "F32", "[1]", "[4,0]") "}", 1, "data_offsets 4"},
    {"offsets past the end", "{" ARRAY("x", "F32", "[2]", "[0,8]") "}", 1, "in a file with 4"},
    {"offsets that wrap", "{" ARRAY("x", "F32", "[1]", "[18446744073709551615,3]") "}", 1, ""},
    {"offsets of 2^63", "{" ARRAY("x", "F32", "[1]", "[9223372036854775808,3]") "}", 1, ""},
    {"offsets that wrap in 32 bits", "{" ARRAY("x", "F32", "[1]", "[4294967295,3]") "}", 1,
     "data_offsets 4294967295"},
    {"fewer bytes than the shape", "{" ARRAY("x", "F32", "[2]", "[0,4]") "}", 1, "for 8 bytes"},
    {"more bytes than the shape", "{" ARRAY("x", "F32", "[1]", "[0,8]") "}", 2, "for 4 bytes"},
    {"a gap first", "{" ARRAY("x", "F32", "[1]", "[4,8]") "}", 2,
     "offsets 0 and 4 bytes belong to no"},
    {"a gap between", "{" ARRAY("x", "F32", "[1]", "[0,4]") "," ARRAY("y", "F32", "[1]", "[8,12]")
     "}", 3, "offsets 4 and 8 bytes belong to no"},
    {"a gap last", "{" ARRAY("x", "F32", "[1]", "[0,4]") "}", 2, "the last 4 bytes"},
    {"an overlap", "{" ARRAY("x", "F32", "[2]", "[0,8]") "," ARRAY("y", "F32", "[2]", "[4,12]") "}",
     3, "offsets 4 and 8 bytes belong to two"},
    {"the same place", "{" ARRAY("x", "F32", "[1]", "[0,4]") "," ARRAY("y", "F32", "[1]", "[0,4]")
     "}", 1, "bytes belong to two"},
    {"one within another", "{" ARRAY("x", "F32", "[4]", "[0,16]") ","
     ARRAY("y", "F32", "[1]", "[4,8]") "}", 4, "bytes belong to two"},
    {"whole numbers for weights",
     "{" ARRAY("linear1.weight", "I32", "[3,2]", "[0,24]") "," BIAS "}", 9,
     "not F32, F64, F16 or BF16: linear1.weight"},
};

static void headers(void) {
  nn_model *m = make(linear, 0, 0), *before = make(linear, 0, 0);
  for (size_t i = 0; i < COUNT(cases); i++) {
    const Case *c = &cases[i];
    Buffer b = tensors(c->header, (size_t)c->floats);
    nn_weights w;
    const nn_status status = load(m, &b, NULL, &w);
    int held;
    if (!c->says) {
      held = CHECK_OK(status) && CHECK(w.found == 2 && w.missing + w.unused + w.reshaped == 0) &&
             CHECK(value(m, "linear1.weight", 5) == 5 && value(m, "linear1.bias", 2) == 8);
      spoil(m, 0);
    } else if (!*c->says && status == NN_OK) {
      held = CHECK(w.unused == 1);
    } else {
      held = CHECK(status < 0) && CHECK_HAS(nn_error(m), c->says) &&
             CHECK_HAS(nn_error(m), "byte ");
    }
    if (!held) fprintf(stderr, "    %s: \"%s\"\n", c->name, nn_error(m));
    free(b.at);
  }
  nn_destroy(m), nn_destroy(before);
}

/* What is refused changes nothing; and the length of the header is believed by nobody. */
static void lengths(void) {
  static const uint64_t wrong[] = {0, 1, 100000001, 0x7FFFFFFF, 0xFFFFFFFF, (uint64_t)1 << 32,
                                   (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7, 1000};
  nn_model *m = make(linear, 0, 0), *before = make(linear, 0, 0);
  Buffer b = tensors(GOOD, 9);
  for (size_t i = 0; i < COUNT(wrong); i++) {
    for (int k = 0; k < 8; k++) b.at[k] = (unsigned char)(wrong[i] >> 8 * k & 255);
    CHECK(load(m, &b, NULL, NULL) < 0);
    CHECK_HAS(nn_error(m), "byte ");
    same_parameters(m, before);
  }
  free(b.at);
  nn_destroy(m), nn_destroy(before);
}

static void truncated(void) {
  nn_model *m = make(linear, 0, 0), *before = make(linear, 0, 0);
  for (int form = 0; form < 2; form++) {
    Buffer b = written(m, form, NULL), part;
    for (part = b, part.size = 0; part.size < b.size; part.size++)
      if (!CHECK(load(m, &part, NULL, NULL) < 0) || !CHECK(test_told(nn_error(m)))) break;
    same_parameters(m, before);
    append(&b, "x", 1);
    CHECK(load(m, &b, NULL, NULL) < 0);
    free(b.at);
  }
  nn_destroy(m), nn_destroy(before);
}

/* More arrays than one group has, forwards and backwards; then with a name that comes twice, bytes
 * of two arrays, bytes of none. */
static void many_arrays(void) {
  enum { MANY = 200 };
  nn_model *m = make(linear, 0, 0);
  nn_weights w;
  for (int fault = 0; fault < 4 * MANY; fault += fault < MANY ? MANY / 2 : 7)
    for (int back = 0; back < 2; back++) {
      Buffer head = {NULL, 0, 0, 0, 0}, b;
      for (int k = 0; k < MANY; k++) {
        const int i = back ? MANY - 1 - k : k, place = fault % MANY;
        char text[160];
        int name = i, shift = 0;
        if (fault >= 3 * MANY && i == place) shift = 4;
        else if (fault >= 2 * MANY && fault < 3 * MANY && i == place) name = (place + 77) % MANY;
        else if (fault >= MANY && fault < 2 * MANY && i == place) shift = -4;
        sprintf(text, "%s\"a%d\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%d,%d]}",
                k ? "," : "{", name, 8 * i + shift + (i ? 0 : 4 * (shift < 0)),
                8 * i + 8 + shift + (i ? 0 : 4 * (shift < 0)));
        add_text(&head, text);
      }
      add(&head, "}", 2);
      b = tensors((const char *)head.at, 2 * MANY);
      const nn_status status = load(m, &b, NULL, &w);
      const int harmless = fault < MANY || fault == MANY; /* array 0 cannot begin before 0 */
      if (!CHECK(harmless ? status == NN_ERR_SHAPE && w.unused == MANY : status == NN_ERR_FORMAT))
        fprintf(stderr, "    fault %d, back %d: %s\n", fault, back, nn_error(m));
      free(head.at), free(b.at);
    }
  nn_destroy(m);
}

/* ---- zip ---- */

typedef struct Change {
  const char *name, *part; /* at the first (directory: last) place of this in the file.. */
  int last, offset;        /* ..and so many bytes on */
  unsigned bytes, wide;    /* what is written */
  const char *says;
} Change;
#define CENTRAL "PK\1\2"
#define LOCAL "PK\3\4"
#define LAST "PK\5\6"
static const Change changes[] = {
    {"deflated", CENTRAL, 1, 10, 8, 2, "compressed; save it with numpy.savez"},
    {"encrypted", CENTRAL, 1, 8, 1, 2, "encrypted"},
    {"a bomb's sizes", CENTRAL, 1, 24, 0x7FFFFFFF, 4, "sizes or places"},
    {"both sizes too large", CENTRAL, 1, 20, 0x7FFFFFFF, 4, "sizes or places"},
    {"zip64 sizes", CENTRAL, 1, 24, 0xFFFFFFFF, 4, "4 GiB"},
    {"a zip64 place", CENTRAL, 1, 42, 0xFFFFFFFF, 4, "4 GiB"},
    {"a place past the end", CENTRAL, 1, 42, 0x7FFFFFFF, 4, "sizes or places"},
    {"the place of another file", CENTRAL, 1, 42, 0, 4, "differs"},
    {"a place within a file", CENTRAL, 1, 42, 10, 4, "no file's header"},
    {"a wrong CRC", CENTRAL, 1, 16, 1, 4, "differs"},
    {"another signature in the directory", CENTRAL, 1, 2, 3, 1, "no file's header"},
    {"another before the bytes", LOCAL, 0, 2, 5, 1, "not a model"},
    {"a name past the end", CENTRAL, 1, 28, 0xFFFF, 2, "cut short"},
    {"an extra field past the end", CENTRAL, 1, 30, 0xFFFF, 2, "cut short"},
    {"a comment past the end", CENTRAL, 1, 32, 0xFFFF, 2, "cut short"},
    {"a local name of another length", LOCAL, 0, 26, 17, 2, "differs"},
    {"a local method", LOCAL, 0, 8, 8, 2, "differs"},
    {"a local CRC", LOCAL, 0, 14, 0, 4, "differs"},
    {"a local size", LOCAL, 0, 18, 0, 4, "differs"},
    {"another name", CENTRAL, 1, 46, 'm', 1, "differs"},
    {"no file behind", LOCAL, 0, 28, 0xFFFF, 2, "cut short"},
    {"one file fewer", LAST, 1, 8, 1, 2, "directory that is not"},
    {"one file fewer, both times", LAST, 1, 8, 0x10001, 4, "behind the directory's last"},
    {"one more, both times", LAST, 1, 8, 0x30003, 4, "cut short"},
    {"no files", LAST, 1, 8, 0, 4, "directory that is not"},
    {"65535 files", LAST, 1, 8, 0xFFFFFFFF, 4, "65535 files"},
    {"another disk", LAST, 1, 4, 1, 2, "directory that is not"},
    {"a directory elsewhere", LAST, 1, 16, 0, 4, "directory that is not"},
    {"a larger directory", LAST, 1, 12, 0x7FFFFFFF, 4, "directory that is not"},
    {"a zip64 directory", LAST, 1, 16, 0xFFFFFFFF, 4, "4 GiB"},
    {"a comment that is not there", LAST, 1, 20, 5, 2, "directory's end is not there"},
    {"no npy within", "\x93NUMPY", 0, 1, 'n', 1, "CRC-32"},
    {"a number changed", "\x93NUMPY", 0, 90, 1, 1, "CRC-32"},
};

static unsigned char *found_in(const Buffer *b, const char *part, int last) {
  unsigned char *at = NULL;
  for (size_t i = 0; i + strlen(part) <= b->size; i++)
    if (!memcmp(b->at + i, part, strlen(part)) && (last || !at)) at = b->at + i;
  return at;
}

static void archives(void) {
  nn_model *m = make(linear, 0, 0), *before = make(linear, 0, 0);
  nn_weights w;
  for (size_t i = 0; i < COUNT(changes); i++) {
    const Change *c = &changes[i];
    Buffer b = small_npz();
    unsigned char *at = found_in(&b, c->part, c->last);
    if (CHECK(at != NULL))
      for (unsigned k = 0; k < c->wide; k++)
        at[c->offset + (int)k] = (unsigned char)(c->bytes >> 8 * k);
    int held = CHECK(load(m, &b, NULL, NULL) < 0) && CHECK_HAS(nn_error(m), c->says) &&
               CHECK_HAS(nn_error(m), "byte ");
    if (!held) fprintf(stderr, "    %s: \"%s\"\n", c->name, nn_error(m));
    free(b.at);
  }
  same_parameters(m, before);
  Buffer b = small_npz(); /* and the same without a change */
  CHECK_OK(load(m, &b, NULL, &w));
  CHECK(w.found == 2 && w.unused == 0 && value(m, "linear1.weight", 5) == 5);
  b.at[b.size - 2] = 3; /* a comment, and a second end record within it */
  append(&b, "PK\5", 3);
  CHECK_OK(load(m, &b, NULL, &w));
  free(b.at);
  b = small_npz(); /* with the records of zip64 before the end's, as torch.save has them */
  unsigned char end[22], zip64[76] = "PK\6\6";
  memcpy(end, b.at + b.size - 22, 22), memcpy(zip64 + 56, "PK\6\7", 4);
  b.size -= 22;
  append(&b, zip64, 76), append(&b, end, 22);
  CHECK(load(m, &b, NULL, NULL) == NN_ERR_UNSUPPORTED);
  CHECK_HAS(nn_error(m), "as torch.save writes, which is not read");
  free(b.at);
  nn_destroy(m), nn_destroy(before);
}

/* Files within an archive: two of one name, two in one place, none at all, one of another type. */
static void archives_of_others(void) {
  nn_model *m = make(linear, 0, 0);
  nn_weights w;
  for (int k = 0; k < 8; k++) {
    static const char *const says[] = {
        "of the same name", "belong to two arrays", NULL, NULL, "no .npy",
        "the type is no number's", "Fortran", "highest byte first"};
    Buffer zip = {NULL, 0, 0, 0, 0}, directory = zip;
    Buffer a = npy(k == 7 ? ">f4" : "<f4", "(3,)", 3);
    Buffer other = npy(k == 5 ? "<m8" : "<i8", k == 5 ? "(2,)" : "()", k == 5 ? 1 : 2);
    if (k == 6) memcpy(found_in(&a, "False", 0), "True ", 5);
    zip_add(&zip, &directory, k == 4 ? "linear1.bias.txt" : "linear1.bias.npy", &a);
    if (k == 0) zip_add(&zip, &directory, "linear1.bias.npy", &a);
    if (k == 1) { /* a file within another one, as bombs have it */
      Buffer inner = {NULL, 0, 0, 0, 0}, entry = inner, outer;
      char shape[40];
      zip_add(&inner, &entry, "linear1.weight.npy", &a);
      sprintf(shape, "(%lu,)", (unsigned long)inner.size);
      outer = npy("|u1", shape, 0);
      memcpy(entry.at + 42, directory.at + 42, 4);
      entry.at[42] = (unsigned char)(zip.size + 30 + strlen("x.npy") + outer.size);
      add(&outer, inner.at, inner.size);
      zip_add(&zip, &directory, "x.npy", &outer);
      add(&directory, entry.at, entry.size);
      CHECK(zip.size < 700 && entry.at[42] == (zip.size - inner.size) % 256);
      directory.at[directory.size - entry.size + 43] =
          (unsigned char)((zip.size - inner.size) / 256);
      free(inner.at), free(entry.at), free(outer.at);
    }
    if (k == 3 || k == 5) zip_add(&zip, &directory, "bn1.num_batches_tracked.npy", &other);
    if (k == 2) zip.size = 0, directory.size = 0;
    zip_end(&zip, &directory, k == 1 ? 3 : k == 2 ? 0 : k == 4 || k > 5 ? 1 : 2);
    const nn_status status = load(m, &zip, NULL, &w);
    if (says[k]) CHECK(status < 0 && CHECK_HAS(nn_error(m), says[k]));
    else CHECK(status == (k == 3 ? NN_OK : NN_ERR_SHAPE) && w.found == (k == 3) && w.unused == 0);
    if (says[k] && status >= 0) fprintf(stderr, "    archive %d\n", k);
    free(zip.at), free(a.at), free(other.at);
  }
  nn_destroy(m);
}

/* Types of an npz by what safetensors call them; F16 are numbers to fill a model with. */
static int see_type(void *user, const nn_stored *s) {
  char *seen = user;
  sprintf(seen + strlen(seen), "%s %lu %lu;", s->type, (unsigned long)s->count,
          (unsigned long)s->size);
  return 0;
}
static void types_of_archives(void) {
  static const char *const types[] = {"<f8", "<f2", "|i1", "|b1", "<i2", "<u2", "<u4", "<u8"};
  static const size_t floats[] = {4, 1, 1, 1, 1, 1, 2, 4}; /* as many as two numbers' bytes, or */
  static const char *const shapes[] = {"(2,)", "(2,)", "(4,)", "(4,)",
                                       "(2,)", "(2,)", "(2,)", "(2,)"};
  static const unsigned halves[] = {0x3C00, 0xC000, 0x0001}; /* 1, -2, 2^-24 */
  nn_model *m = make(linear, 0, 0);
  Buffer zip = {NULL, 0, 0, 0, 0}, directory = zip, half = npy("<f2", "(3,)", 0);
  char seen[400] = "", name[24];
  nn_weights w;
  for (int i = 0; i < 3; i++) add_number(&half, halves[i], 2);
  zip_add(&zip, &directory, "linear1.bias.npy", &half);
  for (size_t i = 0; i < COUNT(types); i++) {
    Buffer b = npy(types[i], shapes[i], floats[i]);
    sprintf(name, "x%lu.npy", (unsigned long)i);
    zip_add(&zip, &directory, name, &b);
    free(b.at);
  }
  zip_end(&zip, &directory, (unsigned)COUNT(types) + 1);
  CHECK_OK(nn_list_weights(zip.at, zip.size, see_type, seen, NULL));
  CHECK_TEXT(seen, "F16 3 6;F64 2 16;F16 2 4;I8 4 4;BOOL 4 4;I16 2 4;U16 2 4;U32 2 8;U64 2 16;");
  CHECK_OK(load(m, &zip, NULL, &w));
  CHECK(w.found == 1 && w.unused == 8);
  CHECK(value(m, "linear1.bias", 0) == 1 && value(m, "linear1.bias", 1) == -2);
  CHECK(value(m, "linear1.bias", 2) == (nn_real)(1. / 16777216));
  const nn_weights_options o = {.names = "x2=linear1.bias", .strict = 0};
  CHECK_STATUS(load(m, &zip, &o, NULL), NN_ERR_FORMAT);
  free(zip.at), free(half.at);
  nn_destroy(m);
}

/* ---- names ---- */

static void tables_of_names(void) {
  nn_model *m = make(linear, 0, 0);
  Buffer b = tensors("{" ARRAY("net.fc.weight", "F32", "[3,2]", "[0,24]") ","
                     ARRAY("net.fc.bias", "F32", "[3]", "[24,36]") ","
                     ARRAY("Gew\\u00e4chs \\ud83d\\udc08", "F32", "[1]", "[36,40]") "}", 10);
  nn_weights w;
  nn_weights_options o = {
      .names = "net.fc.weight=linear1.weight\n\n# bias\n net.fc.bias = linear1.bias "};
  CHECK_OK(load(m, &b, &o, &w));
  CHECK(w.found == 2 && w.unused == 1);
  CHECK_TEXT(w.first_unused, "Gew\xc3\xa4" "chs \xf0\x9f\x90\x88");
  CHECK(value(m, "linear1.bias", 0) == 6);
  o.names = NULL, o.from = "net.fc", o.to = "linear1", o.strict = 1;
  spoil(m, 1);
  CHECK_OK(load(m, &b, &o, &w));
  CHECK(value(m, "linear1.bias", 1) == 7);
  o.names = "net.fc.weight=linear1.bias", o.from = o.to = NULL; /* another shape */
  CHECK_STATUS(load(m, &b, &o, &w), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(m),
            "1 arrays missing, first linear1.weight, 1 of another shape, first linear1.bias");
  CHECK_INT(w.unused, 2);
  o.strict = 0;
  o.names = "net.fc.weight=linear1.bias\nnet.fc.bias=linear1.bias";
  CHECK_STATUS(load(m, &b, &o, &w), NN_ERR_FORMAT);
  CHECK_HAS(nn_error(m), "two arrays for linear1.bias, from net.fc.bias");
  o.names = "a=b";
  CHECK_STATUS(load(m, &b, &o, &w), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "names, line 1: the model has no array b");
  o.names = "linear1.bias";
  CHECK_STATUS(load(m, &b, &o, &w), NN_ERR_ARGUMENT);
  for (int k = 0; k < 4; k++) { /* lines that mean nothing, names on two of them */
    static const char *const tables[] = {"net.fc.bias=linear1.bias\nnet.fc.wieght=linear1.weight",
                                         "net.fc.bias=linear1.bias\nother=linear1.bias",
                                         "net.fc.bias=linear1.bias\nnet.fc.bias=linear1.weight",
                                         "net.fc.bias=linear1.bias"};
    static const char *const says[] = {"names, line 2: the file has no array net.fc.wieght",
                                       "names, line 2: linear1.bias has a line before",
                                       ("names, line 2: the file has no array net.fc.bias, or "
                                        "another line has it"), "names, or by_order"};
    o.names = tables[k], o.by_order = k == 3;
    CHECK_STATUS(load(m, &b, &o, &w), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), says[k]);
  }
  CHECK(value(m, "linear1.bias", 1) == 7);
  free(b.at);
  nn_destroy(m);
}

/* The metadata become notes that are not there yet, and may be. */
static void metadata(void) {
  nn_config c = test_config();
  Buffer b = tensors("{\"__metadata__\":{\"classes\":\"a\\nb \\u00e4\\ud83d\\udc08\\t/\\/\","
                     "\"format\":\"pt\",\"no key\":\"x\",\"data\":\"theirs\","
                     "\"zero\":\"a\\u0000b\",\"bell\":"
                     "\"\\u0007\",\"0123456789012345678901234567890\":\"y\","
                     "\"01234567890123456789012345678901\":\"z\",\"empty\":\"\"}," WEIGHT ","
                     BIAS "}", 9);
  for (int small = 0; small < 2; small++) {
    c.notes = small ? 24 : 2048;
    nn_model *m = nn_create(&c);
    linear(m);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_set_note(m, "data", "mine"));
    CHECK_OK(load(m, &b, NULL, NULL));
    CHECK_TEXT(nn_note(m, "data"), "mine");
    CHECK(nn_note(m, "format") == NULL && nn_note(m, "zero") == NULL && nn_note(m, "bell") == NULL);
    if (small) CHECK(nn_note(m, "classes") == NULL);
    else CHECK_TEXT(nn_note(m, "classes"), "a\nb \xc3\xa4\xf0\x9f\x90\x88\t//");
    CHECK_TEXT(nn_note(m, "empty"), "");
    CHECK((nn_note(m, "0123456789012345678901234567890") == NULL) == small);
    nn_destroy(m);
  }
  free(b.at);
}

/* ---- by order ---- */

static void by_order(void) {
  nn_model *m = make(images, 0, 0), *n = make(images, 0, 0), *two = make(twins, 0, 0);
  const nn_weights_options o = {.by_order = 1};
  nn_weights w;
  Buffer b = written(m, 1, "0.weight=conv1.weight\n0.bias=conv1.bias\n1.weight=batch_norm1.weight\n"
                           "1.bias=batch_norm1.bias\n1.running_mean=batch_norm1.running_mean\n"
                           "1.running_var=batch_norm1.running_var");
  spoil(n, 9);
  if (!CHECK_OK(load(n, &b, &o, &w))) fprintf(stderr, "    %s\n", nn_error(n));
  same_parameters(m, n);
  free(b.at);
  b = tensors("{" ARRAY("f.0.bias", "F32", "[2]", "[0,8]") ","
              ARRAY("f.0.weight", "F32", "[2,2]", "[8,24]") ","
              ARRAY("f.1.bias", "F32", "[2]", "[24,32]") ","
              ARRAY("f.1.weight", "F32", "[2,2]", "[32,48]") "}", 12);
  CHECK_OK(load(two, &b, &o, &w)); /* each layer's bias first, as safetensors has them */
  CHECK(value(two, "linear1.bias", 1) == 1 && value(two, "linear1.weight", 3) == 5);
  CHECK(value(two, "linear2.bias", 0) == 6 && value(two, "linear2.weight", 3) == 11);
  memcpy(found_in(&b, "f.1.bias", 0), "e.1.bias", 8), memcpy(found_in(&b, "f.1.w", 0), "e.1.w", 5);
  CHECK_STATUS(load(two, &b, &o, &w), NN_ERR_SHAPE); /* encoder or decoder, which is first? */
  CHECK_HAS(nn_error(two), "f.0 and e.1 may be either");
  memcpy(found_in(&b, "f.0.bias", 0), "f.2.bias", 8), memcpy(found_in(&b, "f.0.w", 0), "f.2.w", 5);
  memcpy(found_in(&b, "e.1.bias", 0), "f.1.bias", 8), memcpy(found_in(&b, "e.1.w", 0), "f.1.w", 5);
  CHECK_STATUS(load(two, &b, &o, &w), NN_ERR_SHAPE); /* 10 is sorted before 2 */
  free(b.at);
  for (int named = 0; named < 2; named++) { /* names without a point */
    b = tensors(named ? "{" ARRAY("dec_w", "F32", "[2,2]", "[0,16]") ","
                        ARRAY("enc_w", "F32", "[2]", "[16,24]") "}"
                      : "{" ARRAY("a0", "F32", "[2,2]", "[0,16]") ","
                        ARRAY("a1", "F32", "[2]", "[16,24]") ","
                        ARRAY("a2", "F32", "[2,2]", "[24,40]") ","
                        ARRAY("a3", "F32", "[2]", "[40,48]") "}", named ? 6 : 12);
    CHECK_STATUS(load(two, &b, &o, &w), named ? NN_ERR_SHAPE : NN_OK);
    if (named) CHECK_HAS(nn_error(two), "dec_w and enc_w may be either");
    free(b.at);
  }
  nn_destroy(m), nn_destroy(n), nn_destroy(two);
  m = make(linear, 0, 0);
  static const struct {
    const char *header;
    int floats;
    const char *says;
  } wrong[] = {
      {"{" ARRAY("a.bias", "F32", "[3]", "[0,12]") "}", 3,
       "the file has no array left for linear1.weight"},
      {"{" ARRAY("arr_0", "F32", "[3,2]", "[0,24]") "," ARRAY("arr_1", "F32", "[3]", "[24,36]") ","
       ARRAY("arr_2", "F32", "[1]", "[36,40]") "}", 10, "the model has no array left for arr_2"},
      {"{" ARRAY("a.weight", "F32", "[2,3]", "[0,24]") "}", 6,
       "a.weight [2,3] of the file where the model has linear1.weight [3,2]"},
      {"{" ARRAY("bn.running_mean", "F32", "[3]", "[0,12]") "}", 3,
       "bn.running_mean of the file where the model has linear1.weight"},
      {"{" ARRAY("a.weight", "F32", "[3,2]", "[0,24]") ","
       ARRAY("b.weight", "F32", "[3]", "[24,36]") "}", 9,
       "b.weight of the file where the model has linear1.bias"},
  };
  for (size_t i = 0; i < COUNT(wrong); i++) {
    b = tensors(wrong[i].header, (size_t)wrong[i].floats);
    spoil(m, 3);
    CHECK_STATUS(load(m, &b, &o, &w), NN_ERR_SHAPE);
    CHECK_HAS(nn_error(m), wrong[i].says);
    CHECK(value(m, "linear1.weight", 0) == 3 && value(m, "linear1.bias", 2) == 3);
    free(b.at);
  }
  b = tensors("{" ARRAY("arr_0", "F32", "[3,2]", "[0,24]") ","
              ARRAY("arr_1", "F32", "[3]", "[24,36]") ","
              ARRAY("x.num_batches_tracked", "I64", "[]", "[36,44]") "}", 11);
  CHECK_OK(load(m, &b, &o, &w));
  CHECK(w.found == 2 && value(m, "linear1.bias", 2) == 8);
  free(b.at);
  nn_destroy(m);
}

/* A scaling of the input is nothing that another program's file must have. */
static void scaling_stays(void) {
  nn_model *m = make(images, 0, 0), *n = make(images, 0, 0);
  const nn_weights_options strict = {.strict = 1};
  nn_weights w;
  Buffer b = written(m, 0, "x=normalise1.mean\ny=normalise1.scale");
  nn_param p;
  CHECK_OK(nn_find_param(n, "normalise1.mean", &p));
  p.value[1] = 42;
  CHECK_OK(load(n, &b, &strict, &w));
  CHECK(w.unused == 2 && w.missing == 0 && value(n, "normalise1.mean", 1) == 42);
  free(b.at);
  nn_destroy(m), nn_destroy(n);
}

/* ---- Keras: tests/keras.py has its formulas in numpy, and makes the file ---- */

typedef struct Wanted {
  const char *name;
  nn_real *to;
  size_t count;
} Wanted;
static int take_array(void *user, const nn_stored *s) {
  const Wanted *w = (const Wanted *)user;
  const unsigned char *p = (const unsigned char *)s->bytes;
  if (strcmp(s->name, w->name)) return 0;
  CHECK_INT(s->count, w->count);
  for (size_t i = 0; i < s->count && i < w->count; i++, p += 4) {
    const uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float x;
    memcpy(&x, &bits, 4);
    w->to[i] = (nn_real)x;
  }
  return 1;
}

static void keras_cnn(nn_model *m) {
  nn_conv2d_options conv = {3, 3, 2, 1, 1, 0, 0, 1, 1, 1, 0};
  nn_conv2d_options deep = {6, 2, 2, 1, 1, 0, 0, 1, 1, 3, 0};
  int x = nn_relu(m, nn_conv2d_with(m, nn_input_image(m, 2, 6, 5), &conv));
  x = nn_batch_norm(m, nn_conv2d_with(m, x, &deep));
  x = nn_dropout(m, nn_relu(m, nn_batch_norm(m, nn_flatten(m, x))), .5);
  nn_linear(m, x, 4);
}
static void keras_rnn(nn_model *m) {
  int x = nn_rnn(m, nn_gru(m, nn_lstm(m, nn_input_sequence(m, 5, 3), 4), 3), 2);
  nn_linear(m, nn_last_step(m, x), 2);
}
static const char *const keras_names[] = {
    "conv/kernel=conv1.weight\nconv/bias=conv1.bias\ndeep/kernel=conv2.weight\n"
    "deep/bias=conv2.bias\nnorm/gamma=batch_norm1.weight\nnorm/beta=batch_norm1.bias\n"
    "norm/moving_mean=batch_norm1.running_mean\nnorm/moving_variance=batch_norm1.running_var\n"
    "flat/gamma=batch_norm2.weight\nflat/beta=batch_norm2.bias\n"
    "flat/moving_mean=batch_norm2.running_mean\nflat/moving_variance=batch_norm2.running_var\n"
    "dense/kernel=linear1.weight\ndense/bias=linear1.bias\n",
    "lstm/kernel=lstm1.weight_ih_l0\nlstm/recurrent=lstm1.weight_hh_l0\n"
    "lstm/bias=lstm1.bias_ih_l0\ngru/kernel=gru1.weight_ih_l0\n"
    "gru/recurrent=gru1.weight_hh_l0\ngru/bias=gru1.bias_ih_l0\n"
    "rnn/kernel=rnn1.weight_ih_l0\nrnn/recurrent=rnn1.weight_hh_l0\n"
    "rnn/bias=rnn1.bias_ih_l0\nout/kernel=linear1.weight\nout/bias=linear1.bias\n"};

/* The arrays of one of the nets, without their names: numpy.savez(FILE, *model.get_weights()). */
typedef struct Picked {
  Buffer zip, directory;
  int index, from, to, count;
} Picked;
static int pick(void *user, const nn_stored *s) {
  Picked *p = (Picked *)user;
  char shape[80] = "(", name[20];
  for (int i = 0; i < s->rank; i++) sprintf(shape + strlen(shape), "%d, ", (int)s->dim[i]);
  if (p->index++ < p->from || p->index > p->to) return 0;
  Buffer b = npy("<f4", strcat(shape, ")"), 0);
  add(&b, s->bytes, s->size);
  sprintf(name, "arr_%d.npy", p->count++);
  zip_add(&p->zip, &p->directory, name, &b);
  free(b.at);
  return 0;
}

static void keras(void) {
  static unsigned char bytes[16384];
  nn_real x[120], want[8];
  nn_batch batch;
  nn_weights w;
  FILE *f = fopen("tests/goldens/keras.npz", "rb");
  const Buffer all = {bytes, f ? fread(bytes, 1, sizeof bytes, f) : 0, 0, 0, 0};
  if (!CHECK(f != NULL && all.size < sizeof bytes)) return;
  fclose(f);
  for (int net = 0; net < 2; net++)
    for (int order = 0; order < 2; order++) {
      const size_t outputs = net ? 4 : 8;
      Wanted in = {net ? "s" : "x", x, net ? 30 : 120}, out = {net ? "t" : "y", want, outputs};
      nn_model *m = make(net ? keras_rnn : keras_cnn, 1, 0);
      nn_weights_options o = {.names = keras_names[net], .keras = 1, .strict = 1};
      Picked p = {{NULL, 0, 0, 0, 0}, {NULL, 0, 0, 0, 0}, 0, net ? 16 : 0, net ? 27 : 14, 0};
      CHECK_STATUS(nn_list_weights(bytes, all.size, take_array, &in, NULL), NN_STOPPED);
      CHECK_STATUS(nn_list_weights(bytes, all.size, take_array, &out, NULL), NN_STOPPED);
      CHECK_OK(nn_list_weights(bytes, all.size, pick, &p, NULL));
      zip_end(&p.zip, &p.directory, (unsigned)p.count);
      if (order) o.by_order = 1, o.names = NULL;
      if (!CHECK_OK(load(m, order ? &p.zip : &all, &o, &w)))
        fprintf(stderr, "    %s\n", nn_error(m));
      CHECK(w.found == nn_param_count(m) && w.missing + w.reshaped == 0);
      memset(&batch, 0, sizeof batch);
      batch.n = 2, batch.x[0] = x;
      CHECK_OK(nn_forward(m, &batch, 0));
      CHECK_NEAR_ALL(nn_output(m), want, outputs, 2e-6);
      o.keras = 0;
      CHECK_STATUS(load(m, order ? &p.zip : &all, &o, &w), NN_ERR_SHAPE);
      free(p.zip.at);
      nn_destroy(m);
    }
}

/* ---- in place ---- */

static void in_place(void) {
  const nn_weights_options strict = {.strict = 1}, keras = {.keras = 1};
  for (size_t net = 0; net < COUNT(nets); net++) {
    nn_model *m = make(nets[net], 1, 0), *borrows = make(nets[net], 1, 1);
    Buffer b = written(m, 0, NULL);
    nn_real x[2 * 60];
    nn_batch batch;
    nn_param p;
    memset(&batch, 0, sizeof batch);
    test_fill(x, COUNT(x), 9);
    for (size_t i = 0; net == 1 && i < COUNT(x); i++) x[i] = (nn_real)(i % 9);
    batch.n = 2, batch.x[0] = x;
    if (!CHECK_OK(nn_load_weights_memory(borrows, b.at, b.size, &strict, NULL)))
      fprintf(stderr, "    %s\n", nn_error(borrows));
    for (int i = 0; i < nn_param_count(borrows); i++) {
      CHECK_OK(nn_get_param(borrows, i, &p));
      CHECK((unsigned char *)p.value > b.at && (unsigned char *)p.value < b.at + b.size);
    }
    CHECK_OK(nn_forward(m, &batch, 0));
    CHECK_OK(nn_forward(borrows, &batch, 0));
    CHECK_SAME(nn_output(m), nn_output(borrows), 2 * 2 * sizeof(nn_real));
    CHECK_STATUS(nn_load_weights_memory(borrows, b.at, b.size, &keras, NULL), NN_ERR_UNSUPPORTED);
    unsigned char *shifted = (unsigned char *)test_memory(b.size + 1);
    memcpy(shifted + 1, b.at, b.size);
    CHECK_STATUS(nn_load_weights_memory(borrows, shifted + 1, b.size, NULL, NULL), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(borrows), "multiple of");
    CHECK_OK(nn_forward(borrows, &batch, 0)); /* still there */
    free(shifted);
    nn_destroy(borrows), nn_destroy(m);
    free(b.at);
  }
  nn_model *m = make(linear, 1, 1);
  Buffer b = tensors("{" ARRAY("linear1.bias", "F16", "[3]", "[0,6]") ","
                     ARRAY("linear1.weight", "F16", "[3,2]", "[6,18]") "}", 4);
  add_number(&b, 0, 2);
  CHECK_STATUS(nn_load_weights_memory(m, b.at, b.size, NULL, NULL), NN_ERR_UNSUPPORTED);
  CHECK_HAS(nn_error(m), "numbers of 2 bytes");
  free(b.at);
  nn_destroy(m);
}

/* ---- lists ---- */

typedef struct Listed {
  char text[400];
  int stop;
} Listed;
static int list(void *user, const nn_stored *s) {
  Listed *l = (Listed *)user;
  sprintf(l->text + strlen(l->text), "%s %s %d %lu %lu;", s->name, s->type, s->rank,
          (unsigned long)s->count, (unsigned long)s->size);
  return --l->stop == 0;
}

static void lists(void) {
  Buffer b = tensors("{\"__metadata__\":{}," ARRAY("a", "BF16", "[2,0]", "[0,0]") ","
                     ARRAY("b c", "I8", "[]", "[0,1]") "," ARRAY("d", "U8", "[3]", "[1,4]") "}", 1);
  Listed l = {"", 0};
  nn_message why;
  CHECK_OK(nn_list_weights(b.at, b.size, list, &l, &why));
  CHECK_TEXT(l.text, "a BF16 2 0 0;b c I8 0 1 1;d U8 1 3 3;");
  l.text[0] = 0, l.stop = 2;
  CHECK_STATUS(nn_list_weights(b.at, b.size, list, &l, &why), NN_STOPPED);
  CHECK_TEXT(l.text, "a BF16 2 0 0;b c I8 0 1 1;");
  CHECK_STATUS(nn_list_weights(b.at, b.size - 1, list, &l, &why), NN_ERR_FORMAT);
  CHECK_STATUS(nn_list_weights(NULL, 0, list, &l, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_list_weights(b.at, b.size, NULL, &l, NULL), NN_ERR_ARGUMENT);
  free(b.at);
  b = small_npz(), l.text[0] = 0, l.stop = 0;
  CHECK_OK(nn_list_weights(b.at, b.size, list, &l, &why));
  CHECK_TEXT(l.text, "linear1.weight F32 2 6 24;linear1.bias F32 1 3 12;");
  free(b.at);
  nn_model *m = make(linear, 0, 0);
  const Bytes own = test_saved(m, NULL);
  l.text[0] = 0;
  CHECK_OK(nn_list_weights(own.at, own.size, list, &l, &why));
  CHECK_TEXT(l.text, sizeof(nn_real) == 4 ? "linear1.weight F32 2 6 24;linear1.bias F32 1 3 12;"
                                          : "linear1.weight F64 2 6 48;linear1.bias F64 1 3 24;");
  free(own.at);
  nn_destroy(m);
}

int main(void) {
  test_isa();
  RUN(round_trip);
  RUN(failing_writes);
  RUN(numbers_in_c);
  RUN(wrong_source);
  RUN(int8_by_hand);
  RUN(wrong_int8);
  RUN(infinite_in_int8);
  RUN(large_biases_in_int8);
  RUN(sums_in_int8);
  RUN(too_large_for_int8);
  RUN(no_stream_in_c);
  RUN(names_in_c);
  RUN(bytes_of_safetensors);
  RUN(wrong_writes);
  RUN(files);
  RUN(short_numbers);
  RUN(doubles);
  RUN(headers);
  RUN(lengths);
  RUN(truncated);
  RUN(many_arrays);
  RUN(archives);
  RUN(archives_of_others);
  RUN(types_of_archives);
  RUN(tables_of_names);
  RUN(metadata);
  RUN(by_order);
  RUN(scaling_stays);
  RUN(keras);
  RUN(in_place);
  RUN(lists);
  return test_end("export");
}
#endif
