/* How deep the engine goes into the stack: every call of nn.h that does some work, in a thread
 * whose stack is painted first. nn.h states the most; threads of embedded systems have little. */
#if !defined _POSIX_C_SOURCE && !defined _WIN32
#define _POSIX_C_SOURCE 200809L
#endif
#include "test.h"

/* What nn.h says under STACK, of a build that is optimised. */
enum { STATED = 8 * 1024 };

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED
#endif

#if defined _WIN32 || !defined __OPTIMIZE__ || defined SANITIZED
static void stack(void) {
  SKIP("frames are those of an optimised build, and painted where threads are POSIX's");
}
#else
#include <pthread.h>
#include <unistd.h>

enum { SAMPLES = 6, SIDE = 12, CLASSES = 3, STEPS = 4, STACK = 1 << 19, PAINT = 0xA5 };

static struct {
  uint8_t pixels[SAMPLES * SIDE * SIDE];
  int32_t labels[SAMPLES], lengths[SAMPLES];
  nn_real tokens[SAMPLES * STEPS], image[SIDE * SIDE], map[SIDE * SIDE];
  char folder[32], path[64];
} data;

/* Every kind of layer that images pass. */
static void describe_image(nn_model *m, int direct) {
  int x = nn_input_image(m, 1, SIDE, SIDE), y;
  nn_set_init(m, x = nn_conv2d(m, x, 16, 3, 1, 1), NN_INIT_ORTHOGONAL, 1);
  x = nn_max_pool2d(m, nn_relu(m, nn_batch_norm(m, x)), 3, 1, 1);
  y = x = nn_relu(m, nn_conv2d(m, x, 20, direct ? 5 : 3, 1, direct ? 2 : 1));
  x = nn_dropout(m, nn_conv2d(m, x, 20, 5, 1, 2), .2);
  x = nn_layer_norm(m, nn_add(m, x, y));
  x = nn_avg_pool2d(m, nn_leaky_relu(m, x, .1), 2, 2, 1);
  {
    nn_conv2d_options o = {20, 3, 3, 1, 1, 1, 1, 1, 1, 20, 0};
    x = nn_gelu(m, nn_conv2d_with(m, x, &o));
    o.out = 8, o.groups = 4, o.dilation_h = 2, o.stride_w = 2;
    x = nn_silu(m, nn_conv2d_with(m, x, &o));
  }
  y = nn_concat(m, nn_global_max_pool(m, x), nn_global_avg_pool(m, x));
  x = nn_concat(m, nn_tanh(m, nn_flatten(m, x)), nn_sigmoid(m, y));
  x = nn_softmax(m, nn_linear(m, x, 70));
  x = nn_linear_no_bias(m, x, CLASSES);
#ifndef NN_NO_TRAINING
  {
    const nn_optimizer adam = nn_adam(.01);
    nn_cross_entropy(m, x);
    nn_set_optimizer(m, &adam);
  }
#endif
}

static void describe_tokens(nn_model *m) {
  nn_recurrent_options o = {18, 2, .2, 0, 1, 0};
  int x = nn_embedding(m, nn_input_tokens(m, STEPS), 7, 5);
  x = nn_gru_with(m, nn_lstm_with(m, nn_rnn_with(m, x, &o), &o), &o);
  nn_linear(m, nn_last_step(m, x), CLASSES);
#ifndef NN_NO_TRAINING
  nn_cross_entropy(m, nn_node_count(m) - 1);
#endif
}

static nn_model *built(int tokens, int direct) {
  nn_config c = test_config();
  nn_model *m;
  c.batch = 4, c.keep_activations = 1, c.input_gradient = 1, c.direct_convolution = direct;
  m = nn_create(&c);
  if (tokens)
    describe_tokens(m);
  else
    describe_image(m, direct);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  return m;
}

static void look(nn_model *m, nn_dataset *d) {
#ifndef NN_NO_INSPECT
  nn_occlusion_options o = {5, 3, NULL, 1, 0, 0};
  int64_t counts[CLASSES * CLASSES];
  nn_peak peaks[20];
  int part[4];
  CHECK_OK(nn_confusion(m, d, counts));
  CHECK_OK(nn_peaks(m, d, 5, 1, peaks));
  CHECK_OK(nn_occlusion(m, data.image, &o, data.map, NULL, NULL));
  CHECK_OK(nn_receptive_field(m, nn_node_count(m) - 3, 0, 0, part));
#else
  (void)m, (void)d;
#endif
}

static void life_of_images(int direct) {
  nn_model *m = built(0, direct);
  nn_dataset d = nn_dataset_pixels(data.pixels, data.labels, SAMPLES, 1, SIDE, SIDE);
  nn_batch b;
  nn_real probability[CLASSES];
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = data.image, b.labels = data.labels;
  CHECK_OK(nn_dataset_moments(&d, 1, probability, probability + 1));
#ifndef NN_NO_TRAINING
  {
    nn_fit_options fit = nn_fit_default();
    nn_evaluation e;
    fit.epochs = 2, fit.augment.shift = 1, fit.augment.flip = 1;
    CHECK_OK(nn_fit(m, &d, &fit));
    CHECK_OK(nn_evaluate(m, &d, &e));
    CHECK(nn_gradient_norm(m) == 0);
#ifndef NN_NO_INSPECT
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    probability[0] = 1, probability[1] = probability[2] = 0;
    CHECK_OK(nn_project(m, nn_node_count(m) - 2, probability, NN_RULE_GUIDED));
#endif
    b.labels = NULL; /* what fails explains itself */
    CHECK(nn_train(m, &b, NULL, NULL) != NN_OK && nn_error(m)[0]);
    data.image[0] = (nn_real)HUGE_VAL, b.labels = data.labels;
    CHECK_STATUS(nn_train(m, &b, NULL, NULL), NN_ERR_DIVERGED);
    data.image[0] = 0;
  }
#endif
  CHECK_OK(nn_predict(m, &b, NULL, probability));
  look(m, &d);
#ifndef NN_NO_STDIO
  {
    const nn_config c = test_config();
    nn_load_result load;
    nn_message why;
    CHECK_OK(nn_save(m, data.path));
    CHECK_OK(nn_load(data.path, &c, &load, &why));
    nn_destroy(load.model);
#ifndef NN_NO_EXPORT
    const nn_weights_options order = {.by_order = 1};
    CHECK_OK(nn_save_npz(m, NULL, data.path));
    CHECK_OK(nn_load_weights(m, data.path, &order, NULL));
    CHECK_OK(nn_save_safetensors(m, NULL, data.path));
    CHECK_OK(nn_load_weights(m, data.path, NULL, NULL));
#endif
#ifndef NN_NO_TRAINING
    {
      nn_progress p;
      memset(&p, 0, sizeof p);
      nn_fit_options fit = nn_fit_default();
      char previous[80];
      CHECK_OK(nn_save_checkpoint(m, &p, data.path));
      CHECK_OK(nn_load(data.path, &c, &load, &why));
      nn_destroy(load.model);
      fit.path = data.path, fit.save_every = 1, fit.validation = &d, fit.validate_every = 1;
      CHECK_OK(nn_fit(m, &d, &fit));
      CHECK_OK(nn_file_write(data.path, data.pixels, 100, &why));
      CHECK_OK(nn_resume(data.path, &c, &load, &why)); /* the one before */
      nn_destroy(load.model);
      sprintf(previous, "%s.previous", data.path), remove(previous);
      CHECK_STATUS(nn_resume(data.path, &c, &load, &why), NN_ABSENT);
      sprintf(previous, "%s.damaged", data.path), remove(previous);
    }
#endif
    CHECK(nn_load("/nowhere", &c, &load, &why) != NN_OK);
  }
#endif
  nn_destroy(m);
}

static void life_of_tokens(void) {
  nn_model *m = built(1, 0);
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 4, b.x[0] = data.tokens, b.labels = data.labels, b.lengths = data.lengths;
#ifndef NN_NO_TRAINING
  CHECK_OK(nn_train(m, &b, NULL, NULL));
#endif
  CHECK_OK(nn_forward(m, &b, NN_INFERENCE));
  nn_destroy(m);
}

static void life_of_data(void) {
  nn_context *c = nn_context_create(test_isa(), test_threads(), test_allocator());
  static nn_real big[200 * 200], product[200 * 200];
  for (size_t m = 1; m <= 200; m += 66)
    for (int k = 0; k < 4; k++)
      CHECK_OK(nn_gemm(c, k & 1, k & 2, m, 200, 200, 1, big, 200, big, 200, 1, product, 200));
  nn_context_destroy(c);
#ifndef NN_NO_STDIO
  {
    static uint8_t bytes[2 * 3072]; /* nothing, but of a size */
    nn_array a, read;
    nn_message why;
    memset(&a, 0, sizeof a);
    a.type = NN_U8, a.rank = 1, a.dim[0] = a.count = sizeof bytes, a.data = bytes;
    CHECK_OK(nn_npy_save(data.path, &a, &why));
    CHECK_OK(nn_npy_load(data.path, test_allocator(), &read, &why));
    nn_array_free(&read);
    CHECK_OK(nn_file_write(data.path, bytes, sizeof bytes, &why));
    CHECK_OK(nn_file_read(data.path, SIZE_MAX, test_allocator(), &read, &why));
    nn_array_free(&read);
    CHECK_STATUS(nn_idx_load(data.path, test_allocator(), &read, &why), NN_ERR_FORMAT);
  }
#endif
}

static volatile uintptr_t top; /* where the life begins */
static void *live(void *part) {
  unsigned char here = 0;
  top = (uintptr_t)&here;
  switch (*(const int *)part) {
  case 0: life_of_images(0); break;
  case 1: life_of_images(1); break;
  case 2: life_of_tokens(); break;
  default: life_of_data();
  }
  return NULL;
}

static void in_a_thread(void *memory, int part) {
  pthread_attr_t a;
  pthread_t t;
  pthread_attr_init(&a);
  if (CHECK(pthread_attr_setstack(&a, memory, STACK) == 0) &&
      CHECK(pthread_create(&t, &a, live, &part) == 0))
    pthread_join(t, NULL);
  pthread_attr_destroy(&a);
}

static void stack(void) {
  static const char *const name[] = {"images", "images, directly", "tokens", "data"};
  unsigned char *memory = NULL;
  if (!CHECK(posix_memalign((void **)&memory, 4096, STACK) == 0)) return;
#ifndef NN_NO_STDIO
  strcpy(data.folder, "/tmp/nn_test_stack.XXXXXX");
  if (!CHECK(mkdtemp(data.folder) != NULL)) return;
  sprintf(data.path, "%s/file", data.folder);
#endif
  for (int i = 0; i < SAMPLES * SIDE * SIDE; i++) data.pixels[i] = (uint8_t)(i * i * 31 + i / 7);
  for (int i = 0; i < SAMPLES * STEPS; i++) data.tokens[i] = (nn_real)(i % 7);
  for (int i = 0; i < SAMPLES; i++) data.labels[i] = i % CLASSES, data.lengths[i] = 1 + i % STEPS;
  for (int part = 0; part < (int)COUNT(name); part++) {
    size_t clean = 0;
    long depth;
    in_a_thread(memory, part); /* a call of a library has its address looked up once */
    memset(memory, PAINT, STACK);
    in_a_thread(memory, part);
    while (clean < STACK && memory[clean] == PAINT) clean++;
    depth = (long)(top - (uintptr_t)(memory + clean));
    if (getenv("NN_VERBOSE")) printf("%s: %ld bytes of stack\n", name[part], depth);
    if (!CHECK(depth > 500 && depth <= STATED))
      fprintf(stderr, "    %s: %ld bytes of stack, %d stated\n", name[part], depth, (int)STATED);
  }
#ifndef NN_NO_STDIO
  remove(data.path), rmdir(data.folder);
#endif
  free(memory);
}
#endif

int main(void) {
  RUN(stack);
  return test_end("stack");
}
