/* A model as a thing that one hands over: notes, opening and changing its description, weights by
 * name, layers that learn more or less than others, state in and out. */
#include "test.h"

static nn_batch batch_of(int n, const nn_real *x, const int32_t *labels) {
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = n, b.x[0] = x, b.labels = labels;
  return b;
}

/* Convolution, batch norm, two linear layers. */
static nn_model *convolutional(const nn_config *c, int classes) {
  nn_model *m = nn_create(c);
  int x = nn_input_image(m, 1, 6, 6);
  x = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, x, 4, 3, 1, 1)));
  x = nn_relu(m, nn_linear(m, nn_flatten(m, nn_max_pool2d(m, x, 2, 2, 0)), 8));
  x = nn_linear(m, x, classes);
  nn_name(m, x, "head");
#ifndef NN_NO_TRAINING
  nn_optimizer adam = nn_adam(.01);
  nn_cross_entropy(m, x);
  nn_set_optimizer(m, &adam);
#endif
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  return m;
}

/* ------------------------------------------------------------------------------------ notes -- */

static void notes(void) {
  nn_config c = test_config();
  c.notes = 64;
  nn_model *m = nn_create(&c);
  nn_linear(m, nn_input_vector(m, 2), 3);
  CHECK_STATUS(nn_set_note(m, "data", "x"), NN_ERR_STATE);
  CHECK(nn_note(m, "data") == NULL && nn_note_key(m, 0) == NULL);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_set_note(m, "data", "MNIST"));
  CHECK_OK(nn_set_note(m, "classes", "cat\ndog\nK\xc3\xa4se"));
  CHECK_OK(nn_set_note(m, "empty", ""));
  CHECK_TEXT(nn_note(m, "data"), "MNIST");
  CHECK_TEXT(nn_note(m, "empty"), "");
  CHECK_TEXT(nn_note_key(m, 0), "data");
  CHECK_TEXT(nn_note_key(m, 1), "classes");
  CHECK(nn_note_key(m, 3) == NULL && nn_note_key(m, -1) == NULL && nn_note(m, "no") == NULL);
  CHECK_OK(nn_set_note(m, "data", "CIFAR-10")); /* another one takes its place */
  CHECK_TEXT(nn_note(m, "data"), "CIFAR-10");
  CHECK_TEXT(nn_note(m, "classes"), "cat\ndog\nK\xc3\xa4se");
  CHECK_TEXT(nn_note_key(m, 2), "data");
  CHECK_STATUS(nn_set_note(m, "long", "0123456789012345678901234567890"), NN_ERR_LIMIT);
  CHECK_HAS(nn_error(m), "config.notes");
  CHECK_OK(nn_set_note(m, "classes", NULL));
  CHECK_OK(nn_set_note(m, "gone", NULL));
  CHECK(nn_note(m, "classes") == NULL);
  CHECK_TEXT(nn_note(m, "data"), "CIFAR-10");
  CHECK_OK(nn_set_note(m, "long", "0123456789012345678901234567890"));
  CHECK_OK(nn_set_note(m, "data", NULL));
  CHECK_OK(nn_set_note(m, "empty", NULL)); /* a note fills the room to the last byte */
  CHECK_OK(nn_set_note(m, "e", "0123456789012345678901"));
  CHECK_OK(nn_set_note(m, "e", "012345678901234567890123"));
  CHECK_STATUS(nn_set_note(m, "e", "0123456789012345678901234"), NN_ERR_LIMIT);
  nn_destroy(m);
}

/* Keys and texts that are the notes' own. */
static void notes_of_notes(void) {
  const nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_linear(m, nn_input_vector(m, 2), 3);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_set_note(m, "a", "one"));
  CHECK_OK(nn_set_note(m, "bb", "two"));
  CHECK_OK(nn_set_note(m, "ccc", "three"));
  CHECK_OK(nn_set_note(m, nn_note_key(m, 0), "new"));
  CHECK_TEXT(nn_note(m, "a"), "new");
  CHECK_OK(nn_set_note(m, "bb", nn_note(m, "ccc")));
  CHECK_TEXT(nn_note(m, "bb"), "three");
  CHECK_OK(nn_set_note(m, "ccc", nn_note(m, "ccc") + 1));
  CHECK_TEXT(nn_note(m, "ccc"), "hree");
  CHECK_OK(nn_set_note(m, nn_note_key(m, 0), NULL));
  CHECK(nn_note(m, "a") == NULL && nn_note_key(m, 2) == NULL);
  CHECK_TEXT(nn_note(m, "bb"), "three");
  nn_destroy(m);
}

static void wrong_notes(void) {
  static const char *const keys[] = {"", "a b", "-a", ".", "k\xc3\xa4se", "a\n",
                                     "a2345678901234567890123456789012"};
  static const char *const texts[] = {"\x01", "a\rb", "\x7f", "\x80", "\xc0\xaf", "\xe0\x80\xaf",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                      "cut \xe2\x82", "\xc3"};
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_linear(m, nn_input_vector(m, 2), 3);
  CHECK_OK(nn_build(m));
  for (size_t i = 0; i < COUNT(keys); i++)
    CHECK_STATUS(nn_set_note(m, keys[i], "x"), NN_ERR_ARGUMENT);
  for (size_t i = 0; i < COUNT(texts); i++)
    if (!CHECK_STATUS(nn_set_note(m, "key", texts[i]), NN_ERR_ARGUMENT))
      fprintf(stderr, "    text %d\n", (int)i);
  CHECK_STATUS(nn_set_note(m, NULL, "x"), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_set_note(NULL, "a", "x"), NN_ERR_ARGUMENT);
  CHECK(nn_note(NULL, "a") == NULL && nn_note(m, NULL) == NULL && nn_note_key(NULL, 0) == NULL);
  CHECK_OK(nn_set_note(m, "a.b_c-D9", "\xe2\x82\xac \xf0\x9f\x98\x80\ttab"));
  nn_destroy(m);
  c.notes = ((size_t)1 << 24) + 1;
  CHECK(nn_create(&c) == NULL);
}

/* Saved with a model, read by a model with less room, not there in a file without. */
static void notes_in_files(void) {
  static char long_text[5000];
  nn_config c = test_config();
  nn_model *m = convolutional(&c, 3), *n;
  Bytes b = test_saved(m, NULL), again;
  CHECK(nn_note_key(m, 0) == NULL);
  free(b.at);
  nn_destroy(m);
  c.notes = 8192;
  m = convolutional(&c, 3);
  memset(long_text, 'x', sizeof long_text - 1);
  CHECK_OK(nn_set_note(m, "classes", "cat\ndog\nhorse"));
  CHECK_OK(nn_set_note(m, "long", long_text));
  b = test_saved(m, NULL);
  c.notes = 0;
  n = test_loaded(b, &c);
  CHECK_TEXT(nn_note(n, "long"), long_text);
  CHECK_TEXT(nn_note(n, "classes"), "cat\ndog\nhorse");
  CHECK_STATUS(nn_set_note(n, "more", "x"), NN_ERR_LIMIT);
  again = test_saved(n, NULL);
  CHECK(again.size == b.size && !memcmp(again.at, b.at, b.size));
  free(again.at);
  nn_destroy(n);
  free(b.at);
  nn_destroy(m);
}

/* Notes that no call would write, with the section's CRC made right again: the last section of the
 * file, tag and length before it. */
static void damaged_notes(void) {
  static const struct {
    const char *at;
    int skip;
    unsigned char byte;
    const char *says;
  } damages[] = {{"one", 0, 0xff, "UTF-8"}, {"one", 1, 0, "UTF-8"},    {"kb", 1, 'a', "twice"},
                 {"ka", 0, '-', "no key"},  {"ka", 2, 200, "cut short"},
                 {"note", 12, 9, "cut short"}};
  nn_config c = test_config();
  for (size_t k = 0; k < COUNT(damages); k++) {
    nn_model *m = convolutional(&c, 3);
    nn_load_result r;
    nn_message why;
    CHECK_OK(nn_set_note(m, "ka", "one"));
    CHECK_OK(nn_set_note(m, "kb", "two"));
    const Bytes b = test_saved(m, NULL);
    size_t start = b.size - 16, at;
    while (start && memcmp(b.at + start, "note", 4)) start--;
    for (at = start; at < b.size && memcmp(b.at + at, damages[k].at, strlen(damages[k].at));) at++;
    b.at[at + (size_t)damages[k].skip] = damages[k].byte;
    const uint32_t crc = nn_crc32(0, b.at + start, b.size - start - 4);
    for (int i = 0; i < 4; i++) b.at[b.size - 4 + (size_t)i] = (unsigned char)(crc >> 8 * i);
    CHECK_STATUS(nn_load_memory(b.at, b.size, &c, &r, &why), NN_ERR_FORMAT);
    CHECK_HAS(why.text, damages[k].says);
    free(b.at);
    nn_destroy(m);
  }
}

/* --------------------------------------------------------------------------------- answers -- */

static void top_classes(void) {
  enum { N = 3, K = 5 };
  const nn_real x[N * K] = {1, 3, 2, 3, 0, -1, -1, -1, -1, -1, 9, 8, 7, 6, (nn_real)5.5};
  static const int32_t want[N * K] = {1, 3, 2, 0, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4};
  nn_config c = test_config();
  char name[8];
  int32_t label[N * K], one[N];
  nn_real p[N * K], all[N * K];
  nn_batch b = batch_of(N, x, NULL);
  for (int soft = 0; soft < 2; soft++) {
    nn_model *m = nn_create(&c);
    int y = nn_leaky_relu(m, nn_input_vector(m, K), 1);
    if (soft) nn_softmax(m, y);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_predict(m, &b, one, all));
    for (int k = 1; k <= K; k++) {
      CHECK_OK(nn_predict_top(m, &b, k, label, p));
      for (int i = 0; i < N; i++) {
        CHECK_INT(label[i * k], one[i]);
        for (int r = 0; r < k; r++) {
          CHECK_INT(label[i * k + r], want[i * K + r]);
          CHECK_NEAR(p[i * k + r], all[i * K + label[i * k + r]], 1e-6);
        }
      }
    }
    CHECK_STATUS(nn_predict_top(m, &b, 0, label, p), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_predict_top(m, &b, K + 1, label, p), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_predict_top(m, &b, 1, NULL, p), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_predict_top(NULL, &b, 1, label, p), NN_ERR_ARGUMENT);
    CHECK_OK(nn_predict_top(m, &b, 2, label, NULL));
    CHECK_STATUS(nn_class_name(m, 2, name, sizeof name), NN_ERR_STATE);
    CHECK_TEXT(name, "2");
    CHECK_OK(nn_set_note(m, "classes", "cat\n\nhorseback\nK\xc3\xa4" "\xc3\xa4\xc3\xa4"));
    CHECK_OK(nn_class_name(m, 0, name, sizeof name));
    CHECK_TEXT(name, "cat");
    CHECK_STATUS(nn_class_name(m, 1, name, sizeof name), NN_ERR_STATE);
    CHECK_TEXT(name, "1");
    CHECK_OK(nn_class_name(m, 2, name, sizeof name));
    CHECK_TEXT(name, "horseba");
    CHECK_OK(nn_class_name(m, 3, name, 7)); /* a character is not cut in two */
    CHECK_TEXT(name, "K\xc3\xa4\xc3\xa4");
    CHECK_STATUS(nn_class_name(m, 4, name, sizeof name), NN_ERR_STATE);
    CHECK_STATUS(nn_class_name(m, -1, name, sizeof name), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_class_name(m, 0, name, 0), NN_ERR_ARGUMENT);
    nn_destroy(m);
  }
}

/* ------------------------------------------------------------------------ opened and changed -- */

static void open_whole(void) {
  nn_config c = test_config();
  nn_real x[72], want[6];
  nn_batch b = batch_of(2, x, NULL);
  nn_model *m = convolutional(&c, 3), *n = NULL;
  nn_weights w;
  nn_message why;
  nn_weights_options strict = {.strict = 1};
  test_fill(x, COUNT(x), 3);
  test_fill(nn_parameters(m, NULL), 10, 4);
  CHECK_OK(nn_forward(m, &b, 0));
  memcpy(want, nn_output(m), sizeof want);
  const Bytes file = test_saved(m, NULL);
  c.batch = 2, c.seed = 77;
  CHECK_OK(nn_open_memory(file.at, file.size, &c, NULL, &n, &why));
  CHECK_INT(nn_node_count(n), nn_find_node(m, "head") + 1); /* without the loss */
  CHECK_STATUS(nn_load_weights_memory(n, file.at, file.size, NULL, &w), NN_ERR_STATE);
  nn_destroy(n); /* that error sticks to nobody but is a description's end */
  CHECK_OK(nn_open_memory(file.at, file.size, &c, NULL, &n, &why));
  CHECK_OK(nn_build(n));
  CHECK_OK(nn_load_weights_memory(n, file.at, file.size, &strict, &w));
  CHECK(w.found == 10 && !w.missing && !w.reshaped && !w.unused);
  CHECK_OK(nn_forward(n, &b, 0));
  CHECK_SAME(nn_output(n), want, sizeof want);
  nn_destroy(n);
  nn_destroy(m);
  free(file.at);
}

/* The numbers of an nn_normalise stay in the file, too; until they come it changes nothing. */
static void open_normalised(void) {
  nn_config c = test_config();
  const nn_real mean[2] = {1, 2}, scale[2] = {3, 4}, x[2] = {5, 6};
  nn_batch b = batch_of(1, x, NULL);
  nn_model *m = nn_create(&c), *n = NULL;
  nn_message why;
  nn_normalise(m, nn_input_vector(m, 2), mean, scale);
  CHECK_OK(nn_build(m));
  const Bytes file = test_saved(m, NULL);
  for (int loaded = 0; loaded < 2; loaded++) {
    CHECK_OK(nn_open_memory(file.at, file.size, &c, NULL, &n, &why));
    CHECK_OK(nn_build(n));
    if (loaded) CHECK_OK(nn_load_weights_memory(n, file.at, file.size, NULL, NULL));
    CHECK_OK(nn_forward(n, &b, 0));
    for (int i = 0; i < 2; i++) {
      const nn_real want = loaded ? (x[i] - mean[i]) * scale[i] : x[i];
      CHECK_NEAR(nn_output(n)[i], want, 1e-6);
    }
    nn_destroy(n);
  }
  nn_destroy(m);
  free(file.at);
}

static void open_until(void) {
  nn_config c = test_config();
  nn_real x[72];
  nn_batch b = batch_of(2, x, NULL);
  nn_model *m = convolutional(&c, 3), *n = NULL;
  nn_weights w;
  nn_message why;
  nn_param p, q;
  nn_open_options until = {"relu2", 0, 0, 0, 0};
  nn_weights_options strict = {.strict = 1}, prefix = {.from = "conv", .to = "stem/conv"};
  test_fill(x, COUNT(x), 3);
  const Bytes file = test_saved(m, NULL);
  CHECK_OK(nn_open_memory(file.at, file.size, &c, &until, &n, &why));
  CHECK_INT(nn_node_count(n), nn_find_node(m, "relu2") + 1);
  int y = nn_linear(n, nn_node_count(n) - 1, 5);
  nn_name(n, y, "head");
  CHECK_OK(nn_build(n));
  CHECK_STATUS(nn_load_weights_memory(n, file.at, file.size, &strict, &w), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(n), "head.weight");
  CHECK_OK(nn_find_param(n, "conv1.weight", &p));
  CHECK_OK(nn_find_param(m, "conv1.weight", &q));
  const nn_real before = p.value[0];
  q.value[0] = 5;
  const Bytes other = test_saved(m, NULL);
  CHECK_STATUS(nn_load_weights_memory(n, other.at, other.size, &strict, NULL), NN_ERR_SHAPE);
  CHECK(p.value[0] == before); /* strict: all or nothing */
  CHECK_OK(nn_load_weights_memory(n, other.at, other.size, NULL, &w));
  CHECK(w.found == 8 && w.reshaped == 2 && !w.missing && !w.unused);
  CHECK_TEXT(w.first_reshaped, "head.weight");
  CHECK(p.value[0] == 5);
  CHECK_OK(nn_forward(n, &b, 0));
  nn_destroy(n);
  /* another prefix: only what has it is taken */
  n = nn_create(&c);
  y = nn_conv2d(n, nn_input_image(n, 1, 9, 9), 4, 3, 1, 1);
  nn_name(n, y, "stem/conv1");
  nn_linear(n, nn_flatten(n, y), 2);
  CHECK_OK(nn_build(n));
  CHECK_OK(nn_load_weights_memory(n, other.at, other.size, &prefix, &w));
  CHECK(w.found == 2 && w.missing == 2 && w.unused == 8 && !w.reshaped);
  CHECK_TEXT(w.first_missing, "linear1.weight");
  CHECK_TEXT(w.first_unused, "batch_norm1.weight");
  prefix.from = "convolution"; /* no name begins so: no weights, and no silence about it */
  CHECK_STATUS(nn_load_weights_memory(n, other.at, other.size, &prefix, NULL), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(n), "4 arrays missing, first stem/conv1.weight");
  CHECK_HAS(nn_error(n), "10 of the file unused, first conv1.weight");
#ifndef NN_NO_EXPORT
  CHECK_STATUS(nn_load_weights_memory(n, "\2\0\0\0\0\0\0\0{}", 10, NULL, NULL), NN_ERR_SHAPE);
#endif
  CHECK_OK(nn_find_param(n, "stem/conv1.weight", &p));
  CHECK(p.value[0] == 5);
  nn_destroy(n);
  until.until = "nobody";
  CHECK_STATUS(nn_open_memory(file.at, file.size, &c, &until, &n, &why), NN_ERR_ARGUMENT);
  CHECK(n == NULL);
  CHECK_HAS(why.text, "nobody");
  free(file.at), free(other.at);
  nn_destroy(m);
}

/* A net of convolutions alone takes an image of another size, a recurrent one other steps. */
static void open_resized(void) {
  nn_config c = test_config();
  nn_open_options size = {NULL, 9, 12, 10, 0};
  nn_model *n = NULL;
  nn_message why;
  nn_node_info info;
  for (int kind = 0; kind < 3; kind++) {
    nn_model *m = nn_create(&c);
    if (kind == 0)
      nn_linear(m, nn_global_avg_pool(m, nn_conv2d(m, nn_input_image(m, 2, 6, 6), 4, 3, 1, 1)), 2);
    else if (kind == 1)
      nn_linear(m, nn_last_step(m, nn_gru(m, nn_input_sequence(m, 4, 3), 5)), 2);
    else
      nn_last_step(m, nn_lstm(m, nn_embedding(m, nn_input_tokens(m, 4), 7, 3), 5));
    CHECK_OK(nn_build(m));
    const Bytes file = test_saved(m, NULL);
    nn_weights_options strict = {.strict = 1};
    CHECK_OK(nn_open_memory(file.at, file.size, &c, &size, &n, &why));
    CHECK_OK(nn_get_node(n, 0, &info));
    CHECK_INT(info.dim[kind == 0], kind ? 9 : 12);
    if (kind == 0) CHECK_INT(info.dim[2], 10);
    CHECK_OK(nn_build(n));
    CHECK_OK(nn_load_weights_memory(n, file.at, file.size, &strict, NULL));
    nn_destroy(n), nn_destroy(m);
    free(file.at);
  }
  { /* where shapes do not allow it the error is the layer's, at the build or before */
    nn_model *m = convolutional(&c, 3);
    const Bytes file = test_saved(m, NULL);
    size.height = size.width = 2;
    CHECK_OK(nn_open_memory(file.at, file.size, &c, &size, &n, &why));
    CHECK_OK(nn_build(n));
    nn_weights w;
    CHECK_OK(nn_load_weights_memory(n, file.at, file.size, NULL, &w));
    CHECK_TEXT(w.first_reshaped, "linear1.weight");
    nn_destroy(n);
    size.height = 1;
    CHECK_STATUS(nn_open_memory(file.at, file.size, &c, &size, &n, &why), NN_ERR_SHAPE);
    CHECK_HAS(why.text, "max_pool1");
    size.height = -1;
    CHECK_STATUS(nn_open_memory(file.at, file.size, &c, &size, &n, &why), NN_ERR_ARGUMENT);
    nn_destroy(m);
    free(file.at);
  }
}

static void damaged_files(void) {
  nn_config c = test_config();
  nn_model *m = convolutional(&c, 3), *n;
  const Bytes file = test_saved(m, NULL);
  nn_message why;
  nn_weights w;
  uint32_t before = 0, after = 0;
  nn_param p;
  for (int i = 0; i < nn_param_count(m) && CHECK_OK(nn_get_param(m, i, &p)); i++)
    before = nn_crc32(before, p.value, p.count * sizeof *p.value);
  for (size_t i = 0; i < file.size; i += 1 + i / 200) {
    file.at[i] ^= 0x20;
    CHECK(nn_open_memory(file.at, file.size, &c, NULL, &n, &why) != NN_OK && !n);
    CHECK(nn_load_weights_memory(m, file.at, file.size, NULL, &w) != NN_OK);
    file.at[i] ^= 0x20;
    CHECK(nn_open_memory(file.at, i, &c, NULL, &n, &why) != NN_OK && !n);
  }
  for (int i = 0; i < nn_param_count(m) && CHECK_OK(nn_get_param(m, i, &p)); i++)
    after = nn_crc32(after, p.value, p.count * sizeof *p.value);
  CHECK(before == after);
  CHECK_STATUS(nn_open_memory(NULL, 0, &c, NULL, &n, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_open_memory(file.at, file.size, &c, NULL, NULL, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_load_weights_memory(NULL, file.at, file.size, NULL, &w), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_load_weights_memory(m, NULL, 0, NULL, &w), NN_ERR_ARGUMENT);
  free(file.at);
  nn_destroy(m);
}

static void files_by_path(void) {
#ifdef NN_NO_STDIO
  SKIP("built without files");
#else
  nn_config c = test_config();
  nn_model *m = convolutional(&c, 3), *n = NULL;
  nn_message why;
  nn_weights w;
  nn_weights_options strict = {.strict = 1};
  char path[200];
  const char *folder = getenv("BUILD");
  sprintf(path, "%.150s/test_model_%s.nn", folder ? folder : ".",
          nn_isa_name(test_isa()));
  CHECK_OK(nn_save(m, path));
  CHECK_OK(nn_open(path, &c, NULL, &n, &why));
  CHECK_OK(nn_build(n));
  CHECK_OK(nn_load_weights(n, path, &strict, &w));
  CHECK_INT(w.found, 10);
  remove(path);
  CHECK_STATUS(nn_load_weights(n, path, &strict, &w), NN_ERR_IO);
  CHECK_HAS(nn_error(n), "test_model_");
  nn_destroy(n);
  CHECK_STATUS(nn_open(path, &c, NULL, &n, &why), NN_ERR_IO);
  CHECK(n == NULL);
  nn_destroy(m);
#endif
}

/* --------------------------------------------------------------------------------- learning -- */

#ifndef NN_NO_TRAINING
static uint32_t crc_of(nn_model *m, const char *prefix) {
  uint32_t crc = 0;
  nn_param p;
  for (int i = 0; i < nn_param_count(m) && CHECK_OK(nn_get_param(m, i, &p)); i++)
    if (!strncmp(p.name, prefix, strlen(prefix)))
      crc = nn_crc32(crc, p.value, p.count * sizeof *p.value);
  return crc;
}

/* Frozen layers stay to the bit, batch norm's statistics with them, and the rest learns as if what
 * is below were the input. */
static void frozen(void) {
  nn_config c = test_config();
  nn_real x[4 * 36];
  int32_t label[4] = {0, 1, 2, 1};
  nn_batch b = batch_of(4, x, label);
  nn_model *m = convolutional(&c, 3), *n = NULL;
  nn_message why;
  nn_open_options until = {"relu2", 0, 0, 0, 0};
  test_fill(x, COUNT(x), 3);
  const Bytes file = test_saved(m, NULL);
  size_t room[2];
  for (int freezes = 0; freezes < 2; freezes++) {
    CHECK_OK(nn_open_memory(file.at, file.size, &c, &until, &n, &why));
    if (freezes) CHECK_OK(nn_set_learning(n, -1, 0, 1));
    int y = nn_linear(n, nn_node_count(n) - 1, 3);
    nn_name(n, y, "head");
    nn_cross_entropy(n, y);
    CHECK_OK(nn_plan(n, &room[freezes]));
    CHECK_OK(nn_build(n));
    CHECK_OK(nn_load_weights_memory(n, file.at, file.size, NULL, NULL));
    static const char *const body[] = {"conv1.weight", "batch_norm1.weight",
                                       "batch_norm1.running_mean", "linear1.weight"};
    const uint32_t head = crc_of(n, "head");
    uint32_t before[COUNT(body)];
    for (size_t k = 0; k < COUNT(body); k++) before[k] = crc_of(n, body[k]);
    for (int i = 0; i < 5; i++) CHECK_OK(nn_train(n, &b, NULL, NULL));
    for (size_t k = 0; k < COUNT(body); k++) CHECK((before[k] == crc_of(n, body[k])) == freezes);
    CHECK(head != crc_of(n, "head"));
    if (freezes) { /* alone, a sample is no trouble to a norm that does not learn */
      b.n = 1;
      CHECK_OK(nn_train(n, &b, NULL, NULL));
      b.n = 4;
      CHECK_STATUS(nn_set_learning(n, 1, 1, 1), NN_ERR_STATE);
      CHECK_HAS(nn_error(n), "was built frozen");
      CHECK_OK(nn_set_learning(n, y, 2, 1));
      CHECK_STATUS(nn_set_learning(n, y, 0, 1), NN_ERR_STATE);
      CHECK_HAS(nn_error(n), "was built to learn");
    }
    nn_destroy(n);
  }
  CHECK(room[1] < room[0]); /* no gradients of activations below */
  free(file.at);
  nn_destroy(m);
}

/* A frozen layer between two that learn: the gradient passes through it. */
static void frozen_in_the_middle(void) {
  nn_config c = test_config();
  nn_real x[4 * 6];
  int32_t label[4] = {0, 1, 2, 1};
  nn_batch b = batch_of(4, x, label);
  test_fill(x, COUNT(x), 3);
  for (int cell = 0; cell < 2; cell++) {
    nn_model *m[2];
    for (int k = 0; k < 2; k++) {
      m[k] = nn_create(&c);
      int y = cell ? nn_input_sequence(m[k], 2, 3) : nn_input_vector(m[k], 6), middle;
      y = nn_linear(m[k], y, 5);
      middle = cell ? nn_gru(m[k], y, 4) : nn_linear(m[k], y, 4);
      if (k) CHECK_OK(nn_set_learning(m[k], middle, 0, 1));
      y = cell ? nn_last_step(m[k], middle) : nn_layer_norm(m[k], middle);
      nn_cross_entropy(m[k], nn_linear(m[k], y, 3));
      CHECK_OK(nn_build(m[k]));
      CHECK_OK(nn_forward(m[k], &b, 1));
      CHECK_OK(nn_loss(m[k], &b, NULL, NULL));
      CHECK_OK(nn_backward(m[k]));
    }
    for (int i = 0; i < nn_param_count(m[0]); i++) {
      nn_param p, q;
      CHECK_OK(nn_get_param(m[0], i, &p));
      CHECK_OK(nn_get_param(m[1], i, &q));
      const int stays = strstr(p.name, cell ? "gru1" : "linear2") != NULL;
      for (size_t k = 0; k < p.count; k++)
        CHECK(q.gradient[k] == (stays ? 0 : p.gradient[k]));
    }
    CHECK_OK(nn_step(m[1]));
    nn_destroy(m[0]), nn_destroy(m[1]);
  }
}

/* Two layers with factors move as two models with rates and decays of their own would. */
static void factors(void) {
  enum { F = 40 };
  nn_optimizer kinds[] = {nn_sgd(.1, .9), nn_adagrad(.1), nn_rmsprop(.01, .5), nn_adam(.01),
                          nn_adamw(.01)};
  nn_config c = test_config();
  for (size_t k = 0; k < COUNT(kinds); k++)
    for (int weights_only = 0; weights_only < 2; weights_only++) {
      nn_model *m[3];
      for (int i = 0; i < 3; i++) { /* with factors; with the first's numbers; the second's */
        nn_optimizer o = kinds[k];
        o.weight_decay = .1;
        o.decay_weights_only = weights_only;
        if (i) o.rate *= i == 1 ? .25 : 2, o.weight_decay *= i == 1 ? 0 : .5;
        m[i] = nn_create(&c);
        int a = nn_linear(m[i], nn_input_vector(m[i], F), F);
        int b = nn_linear(m[i], nn_layer_norm(m[i], a), 3);
        if (i == 0) CHECK_OK(nn_set_learning(m[0], -1, 2, .5));
        if (i == 0) CHECK_OK(nn_set_learning(m[0], a, .25, 0));
        (void)b;
        nn_set_optimizer(m[i], &o);
        CHECK_OK(nn_build(m[i]));
        for (int step = 0; step < 3; step++) {
          size_t count;
          nn_real *g = nn_gradients(m[i], &count);
          test_fill(g, count, (uint32_t)step + 9);
          CHECK_OK(nn_step(m[i]));
        }
      }
      for (int i = 0; i < nn_param_count(m[0]); i++) {
        nn_param p, q;
        CHECK_OK(nn_get_param(m[0], i, &p));
        CHECK_OK(nn_get_param(m[strstr(p.name, "linear1") ? 1 : 2], i, &q));
        CHECK_SAME(p.value, q.value, p.count * sizeof *p.value);
      }
      for (int i = 0; i < 3; i++) nn_destroy(m[i]);
    }
  { /* decay of weights alone: without a gradient biases and norms stay */
    nn_optimizer o = nn_sgd(.1, 0);
    nn_param p;
    o.weight_decay = .5, o.decay_weights_only = 1;
    nn_model *m = nn_create(&c);
    nn_batch_norm(m, nn_linear(m, nn_input_vector(m, 3), 3));
    nn_set_optimizer(m, &o);
    CHECK_OK(nn_build(m));
    for (int i = 0; i < 4 && CHECK_OK(nn_get_param(m, i, &p)); i++) p.value[0] = 1;
    CHECK_OK(nn_step(m));
    for (int i = 0; i < 4 && CHECK_OK(nn_get_param(m, i, &p)); i++)
      CHECK_NEAR(p.value[0], strcmp(p.name, "linear1.weight") ? 1 : .95, 1e-6);
    nn_destroy(m);
    m = nn_create(&c);
    nn_layer_norm(m, nn_input_image(m, 2, 3, 3)); /* whose weights have three dimensions */
    nn_set_optimizer(m, &o);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_step(m));
    CHECK(CHECK_OK(nn_get_param(m, 0, &p)) && p.value[0] == 1);
    nn_destroy(m);
  }
}

static void wrong_learning(void) {
  nn_config c = test_config();
  const double odd[] = {-1, NAN, INFINITY};
  for (int i = 0; i < 8; i++) {
    nn_model *m = nn_create(&c);
    nn_linear(m, nn_input_vector(m, 3), 3);
    CHECK_STATUS(nn_set_learning(m, i < 6 ? 1 : i == 6 ? 2 : -2, i < 3 ? odd[i] : 1,
                                 i >= 3 && i < 6 ? odd[i - 3] : 1), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_build(m), NN_ERR_ARGUMENT);
    nn_destroy(m);
  }
  CHECK_STATUS(nn_set_learning(NULL, 0, 1, 1), NN_ERR_ARGUMENT);
}

/* A checkpoint of a model whose layers differ goes on to the same bits. */
static void factors_in_checkpoints(void) {
  nn_config c = test_config();
  nn_real x[4 * 36];
  int32_t label[4] = {0, 1, 2, 1};
  nn_batch b = batch_of(4, x, label);
  nn_progress p;
  nn_model *m = nn_create(&c), *n;
  nn_optimizer o = nn_adamw(.01);
  test_fill(x, COUNT(x), 3);
  int y = nn_batch_norm(m, nn_conv2d(m, nn_input_image(m, 1, 6, 6), 3, 3, 1, 1));
  CHECK_OK(nn_set_learning(m, -1, 0, 1));
  y = nn_linear(m, nn_flatten(m, nn_relu(m, nn_conv2d(m, y, 3, 3, 1, 1))), 6);
  CHECK_OK(nn_set_learning(m, y, .5, 2));
  nn_cross_entropy(m, nn_linear(m, nn_relu(m, y), 3));
  o.decay_weights_only = 1;
  nn_set_optimizer(m, &o);
  CHECK_OK(nn_build(m));
  for (int i = 0; i < 3; i++) CHECK_OK(nn_train(m, &b, NULL, NULL));
  memset(&p, 0, sizeof p);
  const Bytes file = test_saved(m, &p);
  n = test_loaded(file, &c);
  nn_optimizer loaded;
  CHECK_OK(nn_get_optimizer(n, &loaded));
  CHECK_INT(loaded.decay_weights_only, 1);
  for (int i = 0; i < 3; i++) CHECK_OK(nn_train(m, &b, NULL, NULL));
  for (int i = 0; i < 3; i++) CHECK_OK(nn_train(n, &b, NULL, NULL));
  CHECK(crc_of(m, "") == crc_of(n, ""));
  nn_destroy(n), nn_destroy(m);
  free(file.at);
}
#else
static void training(void) { SKIP("built without training"); }
#endif

/* ------------------------------------------------------------------------------------ state -- */

/* One step at a time with the state of before is the whole sequence, also when the state is taken
 * out and put into another model in between. */
static void state_in_and_out(void) {
  enum { N = 3, T = 5, F = 4, H = 6, L = 2 };
  nn_config c = test_config();
  nn_real x[N * T * F], one[N * F], want[N * T * H], h[L * N * H], cells[L * N * H];
  c.batch = N;
  test_fill(x, COUNT(x), 3);
  for (int kind = 0; kind < 3; kind++) {
    nn_recurrent_options o = {H, L, 0, 0, 0, 0};
    nn_model *m[3]; /* of T steps; two of one step, which carry */
    nn_open_options one_step = {NULL, 1, 0, 0, 1}, all_carry = {NULL, 0, 0, 0, 1};
    nn_weights_options strict = {.strict = 1};
    nn_message why;
    int n = 0;
    nn_model *plain = nn_create(&c);
    int y = nn_input_sequence(plain, T, F);
    y = kind == 0   ? nn_rnn_with(plain, y, &o)
        : kind == 1 ? nn_lstm_with(plain, y, &o)
                    : nn_gru_with(plain, y, &o);
    nn_name(plain, y, "cell");
    CHECK_OK(nn_build(plain));
    CHECK_STATUS(nn_get_state(plain, "cell", &n, h, cells), NN_ERR_STATE); /* it carries none */
    const Bytes file = test_saved(plain, NULL);
    nn_destroy(plain);
    for (int k = 0; k < 3; k++) {
      CHECK_OK(nn_open_memory(file.at, file.size, &c, k ? &one_step : &all_carry, &m[k], &why));
      CHECK_OK(nn_build(m[k]));
      CHECK_OK(nn_load_weights_memory(m[k], file.at, file.size, &strict, NULL));
    }
    nn_batch b = batch_of(N, x, NULL);
    CHECK_OK(nn_forward(m[0], &b, 0));
    memcpy(want, nn_output(m[0]), sizeof want);
    CHECK_OK(nn_get_state(m[1], "cell", &n, h, cells));
    CHECK_INT(n, 0);
    for (int t = 0; t < T; t++) {
      nn_model *now = m[1 + t % 2];
      for (int i = 0; i < N; i++) memcpy(one + i * F, x + (i * T + t) * F, F * sizeof *one);
      b.x[0] = one;
      if (t) CHECK_OK(nn_set_state(now, "cell", N, h, cells));
      CHECK_OK(nn_forward(now, &b, 0));
      for (int i = 0; i < N; i++)
        CHECK_NEAR_ALL(nn_output(now) + i * H, want + (i * T + t) * H, H, 1e-6);
      CHECK_OK(nn_get_state(now, "cell", &n, h, cells));
      CHECK_INT(n, N);
    }
    CHECK_SAME(h + N * H, nn_output(m[1 + (T - 1) % 2]), N * H * sizeof *h); /* the top layer's */
    nn_real last[L * N * H];
    CHECK_OK(nn_get_state(m[0], "cell", &n, last, NULL));
    CHECK_NEAR_ALL(last, h, L * N * H, 1e-6);
    CHECK_STATUS(nn_set_state(m[0], "cell", 0, h, cells), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_set_state(m[0], "cell", N + 1, h, cells), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_set_state(m[0], "nobody", N, h, cells), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_set_state(m[0], NULL, N, h, cells), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_get_state(m[0], "input1", &n, h, cells), NN_ERR_STATE);
    CHECK_STATUS(nn_get_state(NULL, "cell", &n, h, cells), NN_ERR_ARGUMENT);
    CHECK_OK(nn_set_state(m[0], "cell", 2, NULL, NULL)); /* zeros */
    CHECK_OK(nn_get_state(m[0], "cell", &n, h, NULL));
    CHECK_INT(n, 2);
    for (int i = 0; i < L * 2 * H; i++) CHECK(h[i] == 0);
    for (int k = 0; k < 3; k++) nn_destroy(m[k]);
    free(file.at);
  }
}

/* A net that cannot be as nn_open's options ask says so, and does not blame the file. */
static void open_to_what_cannot_be(void) {
  for (int way = 0; way < 3; way++) {
    nn_config c = test_config();
    nn_recurrent_options o = {3, 1, 0, 0, 0, way == 0};
    const nn_open_options options = {NULL, way == 2 ? 2 : 0, 0, 0, way != 2};
    nn_message why;
    nn_model *m = nn_create(&c), *opened = m;
    int x = nn_input_sequence(m, 4, 2);
    if (way == 1) x = nn_gru_from(m, x, nn_linear(m, nn_last_step(m, x), 3), &o);
    if (way != 1) x = nn_gru_with(m, x, &o);
    if (way == 2) nn_slice(m, x, 0, 3, 1);
    CHECK_OK(nn_build(m));
    const Bytes file = test_saved(m, NULL);
    nn_destroy(m);
    CHECK_STATUS(nn_open_memory(file.at, file.size, &c, &options, &opened, &why), NN_ERR_ARGUMENT);
    CHECK(opened == NULL);
    CHECK_HAS(why.text, way == 0 ? "gru1: carry and bidirectional exclude each other" : way == 1
                                 ? "gru1: carry and a state from linear1 exclude each other"
                                 : "slice1: begin is 3, must be 0..1");
    free(file.at);
  }
}

/* ----------------------------------------------------------------------- pointers to nothing -- */

/* All calls with a pointer, each with one of its pointers NULL after the other, and with models
 * that cannot do what is asked: nothing crashes, and no call succeeds without a model. */
enum { NOTHING, TRAINED, FOR_INFERENCE, EMPTY, FAILED, DESCRIBED, DESTROYED, STATES };
static int missing, place; /* the pointer that is NULL; those that were given */
static void *given(const void *p) { return place++ == missing ? NULL : (void *)(uintptr_t)p; }
#define G(p) given(p)
#define CALLBACK(f) (place++ == missing ? NULL : (f))

static nn_status copies(void *user, nn_custom_run *r) {
  (void)user;
  if (r->dy && r->dx[0]) memcpy(r->dx[0], r->dy, r->x_count[0] * sizeof *r->dy);
  if (!r->dy) memcpy(r->y, r->x[0], r->y_count * sizeof *r->y);
  return NN_OK;
}
static const nn_custom_layer copy = {"copy", NULL, copies, copies, NULL};

static nn_model *model_in(int state, void *memory) {
  static nn_real x[4 * 6 * 2];
  static const int32_t labels[2] = {0, 1};
  nn_recurrent_options gru = {3, 1, 0, 0, 1, 0};
  nn_config c = test_config();
  nn_batch b = batch_of(2, x, labels);
  if (state == NOTHING) return NULL;
  c.batch = 4, c.inference = state == FOR_INFERENCE;
  c.keep_activations = c.input_gradient = state == TRAINED;
  nn_model *m = state == DESTROYED ? nn_create_in(memory, nn_model_size(), &c) : nn_create(&c);
  if (state == EMPTY) return m;
  const int in = nn_input_sequence(m, 4, 6);
  const int out = nn_linear(m, nn_last_step(m, nn_gru_with(m, in, &gru)), state == FAILED ? 0 : 3);
#ifndef NN_NO_TRAINING
  nn_optimizer adam = nn_adam(1e-3);
  adam.average = .9;
  nn_cross_entropy(m, out);
  nn_set_optimizer(m, &adam);
#endif
  if (state == FAILED || state == DESCRIBED) return m;
  CHECK_OK(nn_build(m));
#ifndef NN_NO_TRAINING
  if (state == TRAINED) CHECK_OK(nn_train(m, &b, NULL, NULL));
  if (state == TRAINED) CHECK_OK(nn_loss(m, &b, NULL, NULL));
#endif
#ifdef NN_NO_TRAINING
  state = state == TRAINED ? FOR_INFERENCE : state;
#endif
  CHECK_OK(nn_forward(m, &b, state == TRAINED));
  if (state == DESTROYED) nn_destroy(m);
  (void)out;
  return m;
}

#define CALL(call) if (at++ == number) (void)(call), result = -1
#define FAILS(call) if (at++ == number) result = (call) /* where there is no model */

/* Makes call number `number`, and gives what it returned, or -1 of one that has no status; 1: there
 * is no such number. */
static int builder_call(int number, nn_model *m) {
  static const nn_real x[32] = {1};
  static const int dim[3] = {6, 4, 1};
  const nn_conv2d_options c2 = {2, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0};
  const nn_conv1d_options c1 = {2, 1, 1, 0, 1, 1, 0};
  const nn_pool2d_options p2 = {1, 1, 1, 1, 0, 0, 0, 0};
  const nn_pool1d_options p1 = {1, 1, 0, 0, 0};
  const nn_norm_options norm = {1e-5, .1, 1, 0, 0};
  const nn_recurrent_options cell = {3, 1, 0, 0, 0, 0};
  int at = 0, result = 1;
  FAILS(nn_input_image(G(m), 1, 1, 1));
  FAILS(nn_input_sequence(G(m), 1, 1));
  FAILS(nn_input_vector(G(m), 1));
  FAILS(nn_input_tokens(G(m), 1));
  FAILS(nn_conv2d(G(m), 0, 1, 1, 1, 1));
  FAILS(nn_conv2d_with(G(m), 0, G(&c2)));
  FAILS(nn_conv1d(G(m), 0, 1, 1, 1, 1));
  FAILS(nn_conv1d_with(G(m), 0, G(&c1)));
  FAILS(nn_conv_transpose2d(G(m), 0, 1, 1, 1, 1));
  FAILS(nn_conv_transpose2d_with(G(m), 0, G(&c2), 1, 1));
  FAILS(nn_linear(G(m), 0, 1));
  FAILS(nn_linear_no_bias(G(m), 0, 1));
  FAILS(nn_max_pool2d(G(m), 0, 1, 1, 1));
  FAILS(nn_max_pool2d_with(G(m), 0, G(&p2)));
  FAILS(nn_avg_pool2d(G(m), 0, 1, 1, 1));
  FAILS(nn_avg_pool2d_with(G(m), 0, G(&p2)));
  FAILS(nn_max_pool1d(G(m), 0, 1, 1, 1));
  FAILS(nn_max_pool1d_with(G(m), 0, G(&p1)));
  FAILS(nn_avg_pool1d(G(m), 0, 1, 1, 1));
  FAILS(nn_avg_pool1d_with(G(m), 0, G(&p1)));
  FAILS(nn_adaptive_avg_pool2d(G(m), 0, 1, 1));
  FAILS(nn_adaptive_avg_pool1d(G(m), 0, 1));
  FAILS(nn_global_max_pool(G(m), 0));
  FAILS(nn_global_avg_pool(G(m), 0));
  FAILS(nn_pad2d(G(m), 0, 1, 1, 1, 1));
  FAILS(nn_pad1d(G(m), 0, 1, 1));
  FAILS(nn_upsample2d(G(m), 0, 1, 1));
  FAILS(nn_upsample1d(G(m), 0, 1));
  FAILS(nn_upsample2d_bilinear(G(m), 0, 1, 1));
  FAILS(nn_relu(G(m), 0));
  FAILS(nn_leaky_relu(G(m), 0, .5));
  FAILS(nn_prelu(G(m), 0, 1));
  FAILS(nn_elu(G(m), 0, .5));
  FAILS(nn_gelu(G(m), 0));
  FAILS(nn_silu(G(m), 0));
  FAILS(nn_softplus(G(m), 0));
  FAILS(nn_hard_sigmoid(G(m), 0));
  FAILS(nn_hard_swish(G(m), 0));
  FAILS(nn_clamp(G(m), 0, .5, .5));
  FAILS(nn_tanh(G(m), 0));
  FAILS(nn_sigmoid(G(m), 0));
  FAILS(nn_softmax(G(m), 0));
  FAILS(nn_dropout(G(m), 0, .5));
  FAILS(nn_dropout_channels(G(m), 0, .5));
  FAILS(nn_normalise(G(m), 0, G(x), G(x)));
  FAILS(nn_batch_norm(G(m), 0));
  FAILS(nn_batch_norm_with(G(m), 0, G(&norm)));
  FAILS(nn_layer_norm(G(m), 0));
  FAILS(nn_layer_norm_with(G(m), 0, G(&norm)));
  FAILS(nn_group_norm(G(m), 0, 1));
  FAILS(nn_group_norm_with(G(m), 0, G(&norm)));
  FAILS(nn_instance_norm(G(m), 0));
  FAILS(nn_reshape(G(m), 0, 1, G(dim)));
  FAILS(nn_flatten(G(m), 0));
  FAILS(nn_image_to_sequence(G(m), 0, 1));
  FAILS(nn_sequence_to_image(G(m), 0, 1, 1));
  FAILS(nn_slice(G(m), 0, 1, 1, 1));
  FAILS(nn_add(G(m), 0, 0));
  FAILS(nn_multiply(G(m), 0, 0));
  FAILS(nn_concat(G(m), 0, 0));
  FAILS(nn_concat_along(G(m), 0, 0, 1));
  FAILS(nn_embedding(G(m), 0, 1, 1));
  FAILS(nn_rnn(G(m), 0, 1));
  FAILS(nn_lstm(G(m), 0, 1));
  FAILS(nn_gru(G(m), 0, 1));
  FAILS(nn_rnn_with(G(m), 0, G(&cell)));
  FAILS(nn_lstm_with(G(m), 0, G(&cell)));
  FAILS(nn_gru_with(G(m), 0, G(&cell)));
  FAILS(nn_rnn_from(G(m), 0, 1, G(&cell)));
  FAILS(nn_lstm_from(G(m), 0, 1, G(&cell)));
  FAILS(nn_gru_from(G(m), 0, 1, G(&cell)));
  FAILS(nn_final_state(G(m), 0));
  FAILS(nn_last_step(G(m), 0));
  FAILS(nn_reverse(G(m), 0));
  CALL(nn_set_init(G(m), 1, NN_INIT_DEFAULT, .5));
  FAILS(nn_custom(G(m), G(dim), 1, G(&copy)));
  CALL(nn_name(G(m), 1, G("linear1")));
  return result;
}

static int run_call(int number, nn_model *m) {
  static nn_real x[256], y[1024];
  static const int32_t labels[4] = {0, 1, 2, 0};
  static char memory[64];
  nn_real probabilities[12];
  int32_t answers[12];
  nn_random r = {1, 2, 3};
  nn_config c = test_config();
  nn_batch b = batch_of(2, x, labels);
  nn_context *context = nn_context_create(NN_ISA_AUTO, 1, test_allocator());
  nn_isa isa;
  nn_param p;
  nn_node_info info;
  size_t size = 0;
  int n, at = 0, result = 1;
  char name[9];
  CALL(nn_random_next(G(&r)));
  CALL(nn_random_below(G(&r), 10));
  CALL(nn_random_uniform(G(&r)));
  CALL(nn_random_normal(G(&r)));
  CALL(nn_crc32(1, G(x), sizeof x));
  CALL(nn_isa_find(G("scalar"), G(&isa)));
  FAILS(nn_gemm(G(m ? context : NULL), 0, 0, 1, 1, 1, 1, G(x), 1, G(x), 1, 1, G(y), 1));
  CALL(nn_model_size_for(G(&c)));
  CALL(nn_create_in(G(memory), sizeof memory, G(&c)));
  FAILS(nn_model_status(G(m)));
  CALL(nn_error(G(m)));
  FAILS(nn_plan(G(m), G(&size)));
  FAILS(nn_build(G(m)));
  FAILS(nn_build_in(G(m), G(memory), sizeof memory));
  FAILS(nn_reinitialise(G(m), 1));
  FAILS(nn_forward(G(m), G(&b), 1));
  CALL(nn_output(G(m)));
  FAILS(nn_read(G(m), 1, G(y)));
  FAILS(nn_predict(G(m), G(&b), G(answers), G(probabilities)));
  FAILS(nn_predict_top(G(m), G(&b), 1, G(answers), G(probabilities)));
  FAILS(nn_class_name(G(m), 1, G(name), sizeof name));
  FAILS(nn_get_state(G(m), G("gru1"), G(&n), G(y), G(y)));
  FAILS(nn_set_state(G(m), G("gru1"), 1, G(x), G(x)));
  CALL(nn_reset_state(G(m)));
  CALL(nn_parameters(G(m), G(&size)));
  CALL(nn_param_count(G(m)));
  FAILS(nn_get_param(G(m), 1, G(&p)));
  FAILS(nn_find_param(G(m), G("linear1.bias"), G(&p)));
  FAILS(nn_share_weights(G(m), G(m)));
  FAILS(nn_place_weights(G(m), G(x), 1));
  CALL(nn_node_count(G(m)));
  CALL(nn_find_node(G(m), G("linear1")));
  FAILS(nn_get_node(G(m), 1, G(&info)));
  CALL(nn_output_node(G(m)));
  FAILS(nn_get_config(G(m), G(&c)));
  CALL(nn_memory(G(m)));
  FAILS(nn_set_note(G(m), G("classes"), G("a")));
  CALL(nn_note(G(m), G("classes")));
  CALL(nn_note_key(G(m), 0));
  nn_context_destroy(context);
  nn_context_destroy(NULL), nn_destroy(NULL), nn_array_free(NULL), nn_dataset_free(NULL);
  return result;
}
#ifndef NN_NO_TRAINING

static nn_status no_loss(void *user, nn_custom_loss_run *r) { return (void)user, (void)r, NN_OK; }

static int training_call(int number, nn_model *m) {
  static nn_real x[256];
  static const uint8_t pixels[8 * 4 * 6] = {0};
  static const int32_t labels[8] = {0, 1, 2, 0};
  static const nn_custom_loss own = {"none", 0, 0, no_loss, NULL};
  const nn_loss_options loss = nn_loss_default(NN_CROSS_ENTROPY);
  const nn_ranks alone = {0, 1, NULL, NULL, NULL, 0, 0};
  const nn_dataset d = nn_dataset_pixels(pixels, labels, 8, 1, 4, 6);
  const nn_fit_options fit = nn_fit_default();
  nn_optimizer adam = nn_adam(1e-3);
  nn_batch b = batch_of(2, x, labels);
  nn_evaluation e;
  double value;
  int64_t right;
  size_t size;
  int at = 0, result = 1;
  FAILS(nn_loss_with(G(m), 1, G(&loss)));
  FAILS(nn_cross_entropy(G(m), 1));
  FAILS(nn_cross_entropy_with(G(m), 1, .1, G(x)));
  FAILS(nn_mean_squared_error(G(m), 1));
  FAILS(nn_binary_cross_entropy(G(m), 1));
  FAILS(nn_custom_loss_with(G(m), 1, G(&own), 1));
  CALL(nn_schedule_rate(G(&adam.schedule), 1, 1));
  CALL(nn_schedule_momentum(G(&adam.schedule), 1, 1));
  FAILS(nn_set_optimizer(G(m), G(&adam)));
  FAILS(nn_get_optimizer(G(m), G(&adam)));
  FAILS(nn_plateau(G(m), 1));
  FAILS(nn_set_learning(G(m), 1, 1, 1));
  FAILS(nn_loss(G(m), G(&b), G(&value), G(&right)));
  FAILS(nn_backward(G(m)));
  FAILS(nn_backward_from(G(m), G(x)));
  CALL(nn_input_gradient(G(m), 0));
  FAILS(nn_step(G(m)));
  FAILS(nn_train(G(m), G(&b), G(&value), G(&right)));
  FAILS(nn_set_ranks(G(m), G(&alone)));
  CALL(nn_gradients(G(m), G(&size)));
  CALL(nn_zero_gradients(G(m)));
  CALL(nn_steps(G(m)));
  CALL(nn_rate(G(m)));
  CALL(nn_gradient_norm(G(m)));
  FAILS(nn_swap_average(G(m)));
  FAILS(nn_keep_average(G(m)));
  FAILS(nn_fit(G(m), G(&d), G(&fit)));
  FAILS(nn_evaluate(G(m), G(&d), G(&e)));
  return result;
}
#else
static int training_call(int number, nn_model *m) { return (void)number, (void)m, 1; }
#endif

static int count_bytes(void *user, const void *bytes, size_t size) {
  return (void)user, (void)bytes, (void)size, 0;
}
#ifndef NN_NO_INSPECT
static nn_status on_batch(void *user, nn_model *m, const nn_batch *b, int first) {
  return (void)user, (void)m, (void)b, (void)first, NN_OK;
}

static int looking_call(int number, nn_model *m) {
  static nn_real x[256], y[256];
  static const uint8_t pixels[8 * 4 * 6] = {0};
  static const int32_t labels[8] = {0, 1, 2, 0};
  const nn_dataset d = nn_dataset_pixels(pixels, labels, 8, 1, 4, 6);
  const nn_occlusion_options o = {1, 1, NULL, 0, 1, 0};
  nn_moments moments = {0, 0, 0, 0, 0, 0, 0}, more = moments;
  nn_histogram h, other;
  nn_peak peaks[64];
  int64_t counts[9] = {0};
  int32_t answers[64];
  int part[4], height, width, at = 0, result = 1;
  memset(peaks, -1, sizeof peaks);
  CHECK_OK(nn_histogram_range(&h, 0, 1));
  other = h;
  FAILS(nn_moments_add(G(m ? &moments : NULL), G(x), 9));
  FAILS(nn_moments_merge(G(m ? &moments : NULL), G(&more)));
  CALL(nn_moments_variance(G(&moments)));
  CALL(nn_moments_deviation(G(&moments)));
  FAILS(nn_histogram_range(G(m ? &h : NULL), 0, 1));
  FAILS(nn_histogram_add(G(m ? &h : NULL), G(x), 9));
  FAILS(nn_histogram_merge(G(m ? &h : NULL), G(&other)));
  FAILS(nn_observe(G(m), 1, G(&moments), G(&h), G(y)));
  FAILS(nn_peaks_add(G(m), 1, 0, 1, G(peaks)));
  FAILS(nn_confusion_add(G(m), G(labels), G(counts)));
  FAILS(nn_survey(G(m), G(&d), CALLBACK(on_batch), NULL));
  FAILS(nn_confusion(G(m), G(&d), G(counts)));
  FAILS(nn_peaks(G(m), G(&d), 1, 1, G(peaks)));
  FAILS(nn_receptive_field(G(m), 1, 0, 0, G(part)));
  FAILS(nn_occlusion_size(G(m), G(&o), G(&height), G(&width)));
  FAILS(nn_occlusion(G(m), G(x), G(&o), G(y), G(y + 64), G(answers)));
#ifndef NN_NO_TRAINING
  FAILS(nn_project(G(m), 1, G(x), NN_RULE_GRADIENT));
#endif
  return result;
}
#else
static int looking_call(int number, nn_model *m) { return (void)number, (void)m, 1; }
#endif

static int file_call(int number, nn_model *m) {
  static char memory[4096], bytes[1 << 14];
  const nn_config c = test_config();
  const nn_open_options open = {NULL, 0, 0, 0, 0};
  const nn_weights_options how = {NULL, NULL, 0, NULL, 0, 0};
  nn_load_result loaded = {NULL, 0, {0}, 0};
  nn_weights weights;
  nn_message why;
  nn_model *opened = NULL;
  size_t size = m ? nn_save_size(m, NULL) : 0, room = sizeof memory;
  int at = 0, result = 1;
  if (size && size <= sizeof bytes) CHECK_OK(nn_save_memory(m, NULL, bytes, size));
  CALL(nn_save_size(G(m), G(NULL)));
  FAILS(nn_save_memory(G(m), G(NULL), G(bytes), sizeof bytes));
  FAILS(nn_load_memory(G(bytes), size, G(&c), G(&loaded), G(&why)));
  FAILS(nn_load_in(G(memory), G(&room), G(bytes), size, G(&c), G(&loaded), G(&why)));
  FAILS(nn_open_memory(G(bytes), size, G(&c), G(&open), G(&opened), G(&why)));
  FAILS(nn_load_weights_memory(G(m), G(bytes), size, G(&how), G(&weights)));
#ifndef NN_NO_EXPORT
  const nn_c_options source = {NULL, NULL, NULL};
  FAILS(nn_export_safetensors(G(m), G(NULL), CALLBACK(count_bytes), NULL));
  FAILS(nn_export_npz(G(m), G(NULL), CALLBACK(count_bytes), NULL));
  FAILS(nn_export_c(G(m), G(&source), CALLBACK(count_bytes), NULL));
  FAILS(nn_export_onnx(G(m), 1, CALLBACK(count_bytes), NULL));
  FAILS(nn_load_onnx_memory(G(bytes), size, G(&c), G(&open), G(&opened), G(&why)));
#endif
  (void)count_bytes;
  nn_destroy(loaded.model), nn_destroy(opened);
  return result;
}

static void pointers_to_nothing(void) {
  int (*const calls[])(int number, nn_model *m) = {builder_call, run_call, training_call,
                                                   looking_call, file_call};
  for (size_t sort = 0; sort < COUNT(calls); sort++)
    for (int state = NOTHING; state < STATES; state++)
      for (int number = 0, more = 1; more; number++)
        for (missing = -1; missing < 0 || missing < place; missing++) {
          void *memory = test_memory(nn_model_size());
          nn_model *m = model_in(state, memory);
          place = 0;
          const int result = calls[sort](number, m);
          more = result < 1 || place > 0;
          if (more && state == NOTHING && !CHECK(result < 0))
            fprintf(stderr, "    call %d of sort %d\n", number, (int)sort);
          if (state != NOTHING && state != DESTROYED && more) CHECK(nn_error(m) != NULL);
          nn_destroy(m);
          free(memory);
          if (!more) break;
        }
}

int main(void) {
  test_isa();
  RUN(notes);
  RUN(notes_of_notes);
  RUN(wrong_notes);
  RUN(notes_in_files);
  RUN(damaged_notes);
  RUN(top_classes);
  RUN(open_whole);
  RUN(open_normalised);
  RUN(open_until);
  RUN(open_resized);
  RUN(damaged_files);
  RUN(files_by_path);
#ifndef NN_NO_TRAINING
  RUN(frozen);
  RUN(frozen_in_the_middle);
  RUN(factors);
  RUN(wrong_learning);
  RUN(factors_in_checkpoints);
#else
  RUN(training);
#endif
  RUN(state_in_and_out);
  RUN(open_to_what_cannot_be);
  RUN(pointers_to_nothing);
  return test_end("model");
}
