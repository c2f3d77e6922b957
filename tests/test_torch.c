/* Equality with PyTorch: each case of tests/goldens.py built again through nn.h, in the same order.
 * Both sides draw weights and inputs from the same hash of a name and a place (see there, also for
 * the file's format); what PyTorch computed from them, in double precision, is in the file. */
#include "goldens.h"

/* Tolerances of their own, where TOLERANCE is too strict. */
#define WINOGRAD 4e-5      /* gradients of a network whose convolutions are Winograd's */
#define WINOGRAD_ADAM 2e-3 /* its losses after 12 steps of Adam */

#ifndef NN_NO_TRAINING
static int32_t *draw_labels(const char *net, const char *name, size_t count, int classes) {
  int32_t *to = (int32_t *)test_memory(count * sizeof *to);
  for (size_t i = 0; i < count; i++)
    to[i] = (int32_t)(bits(key_of(net, name, ""), i) % (uint32_t)classes);
  return to;
}
#endif

/* ------------------------------------ running one case --------------------------------------- */

/* What is special about the present case; begin() sets it back. */
static struct {
  double scale;         /* of the inputs */
  int below;            /* not 0: the inputs are whole numbers 0 .. below - 1 */
  const int32_t *lengths;
  int carry;            /* the state that "before" leaves is where it starts */
} special;

/* How the convolutions of whole networks are done: Winograd's transforms cost some accuracy, which
 * shows in the gradients and, enlarged by Adam's division, in what is trained with them. */
static int direct_convolution;

static int inputs_scaled(double scale, int node) { return special.scale = scale, node; }
static int inputs_whole(int below, int node) { return special.below = below, node; }
static int named(nn_model *m, const char *name, int node) { return nn_name(m, node, name), node; }

static nn_model *begin(int samples, int inference) {
  nn_config c = test_config();
  c.direct_convolution = direct_convolution;
  c.batch = samples + !inference; /* room for one more, so that n < batch is met too */
#ifdef NN_NO_TRAINING
  c.inference = 1;
#else
  c.inference = inference;
  c.input_gradient = !inference;
#endif
  memset(&special, 0, sizeof special);
  special.scale = 1;
  return nn_create(&c);
}

static int built(nn_model *m, const char *net) {
  if (CHECK_OK(nn_build(m))) return 1;
  fprintf(stderr, "  %s: %s\n", net, nn_error(m));
  return 0;
}

static int ran(nn_model *m, const char *net, nn_status status) {
  if (CHECK_OK(status)) return 1;
  fprintf(stderr, "  %s: %s\n", net, nn_error(m));
  return 0;
}

static size_t node_size(const nn_model *m, int node) {
  nn_node_info info;
  size_t size = 1;
  if (!CHECK_OK(nn_get_node(m, node, &info))) return 0;
  for (int i = 0; i < info.rank; i++) size *= (size_t)info.dim[i];
  return size;
}

/* The samples of "net/x0", "net/x1" .. or, with another letter, of another stream. */
static nn_batch draw_batch(const nn_model *m, const char *net, const char *stream, int n) {
  nn_batch b;
  int inputs = 0;
  memset(&b, 0, sizeof b);
  b.n = n;
  b.lengths = special.lengths;
  for (int node = 0; node < nn_node_count(m) && inputs < NN_MAX_INPUTS; node++) {
    nn_node_info info;
    if (nn_get_node(m, node, &info) == NN_OK && info.inputs == 0) {
      char name[32];
      size_t count = (size_t)n * node_size(m, node);
      nn_real *x = test_reals(count);
      sprintf(name, "%.20s%d", stream, inputs);
      draw(x, count, key_of(net, name, ""), special.scale, 0);
      if (special.below)
        for (size_t i = 0; i < count; i++)
          x[i] = (nn_real)(bits(key_of(net, name, ""), i) % (uint32_t)special.below);
      b.x[inputs++] = x;
    }
  }
  return b;
}

static void free_batch(nn_batch *b) {
  for (int i = 0; i < NN_MAX_INPUTS; i++) free((void *)(uintptr_t)b->x[i]);
}

static int forward(nn_model *m, const char *net, const nn_batch *b, int training) {
  if (special.carry) {
    nn_batch before = draw_batch(m, net, "before", b->n);
    int fine;
    nn_reset_state(m);
    fine = ran(m, net, nn_forward(m, &before, training));
    free_batch(&before);
    if (!fine) return 0;
  }
  return ran(m, net, nn_forward(m, b, training));
}

#ifndef NN_NO_TRAINING
static void compare_training(nn_model *m, const char *net, const nn_batch *b, size_t outputs) {
  nn_real *dy = test_reals(outputs);
  draw(dy, outputs, key_of(net, "dy", ""), 1, 0);
  if (forward(m, net, b, 1)) {
    expect_near(net, "y", "", nn_output(m), outputs, TOLERANCE);
    if (ran(m, net, nn_backward_from(m, dy))) {
      for (int i = 0, node = 0; i < NN_MAX_INPUTS && b->x[i]; i++, node++) {
        char name[8];
        sprintf(name, "dx%d", i);
        if (special.below && !find(key_of(net, name, ""))) continue; /* tokens */
        expect_near(net, name, "", nn_input_gradient(m, i), (size_t)b->n * node_size(m, node),
                    TOLERANCE);
      }
      for (int i = 0; i < nn_param_count(m); i++) {
        nn_param p;
        if (!CHECK_OK(nn_get_param(m, i, &p))) break;
        if (p.gradient)
          expect_near(net, "d ", p.name, p.gradient, p.count,
                      strncmp(net, "lenet", 5) || direct_convolution ? TOLERANCE : WINOGRAD);
        else expect_near(net, "after ", p.name, p.value, p.count, TOLERANCE);
      }
    }
  }
  free(dy);
}
#endif

static void compare(nn_model *m, const char *net, int n, int inference) {
  if (built(m, net)) {
    nn_batch b = draw_batch(m, net, "x", n);
    size_t outputs = (size_t)n * node_size(m, nn_output_node(m));
    set_parameters(m, net);
#ifndef NN_NO_TRAINING
    if (!inference) compare_training(m, net, &b, outputs);
    set_parameters(m, net); /* the running statistics have moved */
#else
    (void)inference;
#endif
    if (forward(m, net, &b, 0))
      expect_near(net, find(key_of(net, "eval", "")) ? "eval" : "y", "", nn_output(m), outputs,
                  TOLERANCE);
    free_batch(&b);
  }
  nn_destroy(m);
}

/* Builds the net of model m that the last argument describes, once for training and once for
 * inference alone, and compares all that it computes. */
#define NET(net, samples, ...)                            \
  for (int inference = 0; inference < 2; inference++) {   \
    nn_model *m = begin(samples, inference);              \
    __VA_ARGS__;                                          \
    compare(m, net, samples, inference);                  \
  }
#define IMAGE(c, h, w) nn_input_image(m, c, h, w)
#define SEQUENCE(t, f) nn_input_sequence(m, t, f)
#define VECTOR(f) nn_input_vector(m, f)
#define LAYER(node) named(m, "layer", node)

/* ------------------------------------------ layers ------------------------------------------- */

static void conv(const char *net, int c, int h, int w, int out, int kernel, int stride, int pad) {
  NET(net, 3, LAYER(nn_conv2d(m, IMAGE(c, h, w), out, kernel, stride, pad)))
}

static void conv_with(const char *net, int c, int h, int w, nn_conv2d_options o) {
  NET(net, 3, LAYER(nn_conv2d_with(m, IMAGE(c, h, w), &o)))
}

static void convolutions(void) {
  conv("conv", 3, 7, 8, 4, 3, 1, 1);
  conv("conv_valid", 2, 6, 9, 5, 3, 1, 0);
  conv("conv_stride", 3, 9, 10, 5, 3, 2, 1);
  conv("conv_1x1", 8, 6, 5, 7, 1, 1, 0);
  conv("conv_1x1_stride", 8, 6, 5, 7, 1, 2, 0);
  conv("conv_wide_padding", 2, 4, 5, 3, 3, 1, 4);
  conv("conv_gray", 1, 28, 28, 8, 5, 1, 2);
  conv("conv_rgb", 3, 17, 15, 9, 5, 1, 2);
  conv("conv_3x3", 16, 14, 14, 24, 3, 1, 1);
  conv("conv_5x5", 8, 14, 14, 16, 5, 1, 2);
}

static void convolutions_with_options(void) {
  nn_conv2d_options whole = {9, 5, 6, 1, 1, 0, 0, 1, 1, 1, 0};
  nn_conv2d_options dilated = {4, 3, 3, 1, 1, 2, 2, 2, 2, 1, 0};
  nn_conv2d_options groups = {6, 3, 3, 1, 1, 1, 1, 1, 1, 2, 0};
  nn_conv2d_options depthwise = {6, 3, 3, 1, 1, 1, 1, 1, 1, 6, 0};
  nn_conv2d_options multiplier = {8, 3, 3, 2, 2, 1, 1, 1, 1, 4, 0};
  nn_conv2d_options rectangular = {6, 2, 5, 2, 1, 1, 2, 1, 2, 2, 0};
  nn_conv2d_options no_bias = {4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  conv_with("conv_whole", 4, 5, 6, whole);
  conv_with("conv_dilated", 3, 9, 9, dilated);
  conv_with("conv_groups", 4, 8, 7, groups);
  conv_with("conv_depthwise", 6, 9, 7, depthwise);
  conv_with("conv_multiplier", 4, 8, 8, multiplier);
  conv_with("conv_rectangular", 4, 9, 12, rectangular);
  conv_with("conv_no_bias", 3, 6, 6, no_bias);
}

static void conv1d(const char *net, int steps, int features, nn_conv1d_options o) {
  NET(net, 3, LAYER(nn_conv1d_with(m, SEQUENCE(steps, features), &o)))
}

static void transpose(const char *net, int c, int h, int w, nn_conv2d_options o, int pad_h,
                      int pad_w) {
  NET(net, 3, LAYER(nn_conv_transpose2d_with(m, IMAGE(c, h, w), &o, pad_h, pad_w)))
}

static void convolutions_of_steps(void) {
  conv1d("conv1d", 9, 5, (nn_conv1d_options){7, 3, 1, 1, 1, 1, 0});
  conv1d("conv1d_stride", 10, 4, (nn_conv1d_options){9, 4, 2, 0, 1, 1, 1});
  conv1d("conv1d_dilated", 12, 6, (nn_conv1d_options){8, 3, 1, 2, 2, 2, 0});
  conv1d("conv1d_depthwise", 8, 6, (nn_conv1d_options){6, 3, 1, 1, 1, 6, 0});
  conv1d("conv1d_multiplier", 8, 4, (nn_conv1d_options){8, 2, 2, 1, 1, 4, 0});
  NET("conv1d_net", 3, int x = named(m, "one", nn_conv1d(m, SEQUENCE(12, 5), 8, 3, 1, 1));
      x = nn_relu(m, x); x = nn_max_pool1d(m, named(m, "norm", nn_batch_norm(m, x)), 2, 2, 0);
      nn_global_avg_pool(m, nn_relu(m, named(m, "two", nn_conv1d(m, x, 6, 3, 1, 0)))))
}

static void convolutions_transposed(void) {
  transpose("transpose", 3, 5, 6, (nn_conv2d_options){4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 0}, 1, 1);
  transpose("transpose_2x2", 4, 5, 3, (nn_conv2d_options){6, 2, 2, 2, 2, 0, 0, 1, 1, 1, 0}, 0, 0);
  transpose("transpose_gaps", 3, 4, 5, (nn_conv2d_options){2, 1, 2, 2, 3, 0, 0, 1, 1, 1, 1}, 1, 2);
  transpose("transpose_groups", 4, 5, 4, (nn_conv2d_options){6, 3, 2, 1, 2, 1, 0, 2, 1, 2, 0}, 1,
            0);
  transpose("transpose_depthwise", 6, 4, 5, (nn_conv2d_options){6, 4, 4, 2, 2, 1, 1, 1, 1, 6, 0},
            0, 0);
  transpose("transpose_dense", 17, 9, 12, (nn_conv2d_options){20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0}, 0,
            0);
  const nn_conv2d_options no_bias = {5, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1};
  NET("transpose_relu", 3,
      int x = LAYER(nn_conv_transpose2d_with(m, IMAGE(3, 4, 4), &no_bias, 0, 0));
      nn_relu(m, named(m, "norm", nn_batch_norm(m, x))))
  NET("transpose_relu_alone", 3,
      nn_relu(m, LAYER(nn_conv_transpose2d(m, IMAGE(6, 3, 4), 9, 3, 1, 1))))
}

static void linears(void) {
  NET("linear", 3, LAYER(nn_linear(m, VECTOR(7), 5)))
  NET("linear_sequence", 3, LAYER(nn_linear(m, SEQUENCE(4, 6), 3)))
  NET("linear_no_bias", 3, LAYER(nn_linear_no_bias(m, VECTOR(9), 4)))
  NET("linear_large", 5, LAYER(nn_linear(m, VECTOR(300), 130)))
}

static void pool(const char *name, int height, int width,
                 int (*add)(nn_model *m, int x, const nn_pool2d_options *o), nn_pool2d_options o) {
  NET(name, 3, add(m, IMAGE(3, height, width), &o))
}

static void pools(void) {
  NET("max_pool", 3, nn_max_pool2d(m, IMAGE(2, 8, 9), 2, 2, 0))
  NET("max_pool_overlap", 3, nn_max_pool2d(m, IMAGE(3, 9, 8), 3, 2, 1))
  NET("max_pool_dense", 3, nn_max_pool2d(m, IMAGE(2, 6, 7), 3, 1, 1))
  NET("max_pool_ties", 3, nn_max_pool2d(m, inputs_whole(3, IMAGE(2, 8, 8)), 3, 2, 1))
  NET("avg_pool", 3, nn_avg_pool2d(m, IMAGE(2, 8, 9), 2, 2, 0))
  NET("avg_pool_overlap", 3, nn_avg_pool2d(m, IMAGE(3, 9, 8), 3, 2, 1))
  NET("avg_pool_dense", 3, nn_avg_pool2d(m, IMAGE(2, 6, 7), 3, 1, 0))
  pool("max_pool_rectangle", 9, 8, nn_max_pool2d_with, (nn_pool2d_options){2, 3, 1, 2, 0, 1, 0, 0});
  pool("max_pool_ceil", 8, 9, nn_max_pool2d_with, (nn_pool2d_options){3, 2, 2, 3, 0, 0, 1, 0});
  pool("avg_pool_rectangle", 9, 8, nn_avg_pool2d_with, (nn_pool2d_options){2, 3, 1, 2, 0, 1, 0, 0});
  pool("avg_pool_ceil", 8, 9, nn_avg_pool2d_with, (nn_pool2d_options){3, 3, 2, 2, 1, 1, 1, 0});
  pool("avg_pool_exclude", 8, 9, nn_avg_pool2d_with, (nn_pool2d_options){3, 3, 2, 2, 1, 1, 0, 1});
  pool("avg_pool_ceil_exclude", 8, 10, nn_avg_pool2d_with,
       (nn_pool2d_options){3, 2, 2, 3, 1, 1, 1, 1});
  NET("adaptive", 3, nn_adaptive_avg_pool2d(m, IMAGE(3, 7, 10), 3, 4))
  NET("adaptive_up", 3, nn_adaptive_avg_pool2d(m, IMAGE(2, 3, 4), 5, 1))
  NET("adaptive_steps", 3, nn_adaptive_avg_pool1d(m, SEQUENCE(10, 4), 3))
  NET("global_max_pool_steps", 3, nn_global_max_pool(m, SEQUENCE(5, 4)))
  NET("global_avg_pool_steps", 3, nn_global_avg_pool(m, SEQUENCE(5, 4)))
  NET("max_pool_of_steps", 3, nn_max_pool1d(m, SEQUENCE(9, 5), 3, 2, 1))
  NET("max_pool_pairs", 3, nn_max_pool1d(m, SEQUENCE(8, 5), 2, 2, 0))
  NET("avg_pool_of_steps", 3, nn_avg_pool1d(m, SEQUENCE(9, 5), 3, 2, 1))
  NET("avg_pool_of_steps_ceil", 3, nn_pool1d_options o = {4, 3, 1, 1, 1};
      nn_avg_pool1d_with(m, SEQUENCE(9, 5), &o))
  NET("global_max_pool", 3, nn_global_max_pool(m, IMAGE(5, 4, 6)))
  NET("global_avg_pool", 3, nn_global_avg_pool(m, IMAGE(5, 4, 6)))
}

static int leaky_relu(nn_model *m, int x) { return nn_leaky_relu(m, x, .1); }
static int elu(nn_model *m, int x) { return nn_elu(m, x, 1.5); }
static int clamp(nn_model *m, int x) { return nn_clamp(m, x, -.75, 6); }

static void activation(const char *name, int (*act)(nn_model *m, int x)) {
  char net[64];
  NET((sprintf(net, "%s", name), net), 3, act(m, inputs_scaled(8, VECTOR(37))))
  NET((sprintf(net, "%s_sequence", name), net), 3, act(m, inputs_scaled(2, SEQUENCE(3, 7))))
  NET((sprintf(net, "%s_image", name), net), 3, act(m, inputs_scaled(2, IMAGE(5, 3, 3))))
  NET((sprintf(net, "%s_at_zero", name), net), 3, act(m, inputs_whole(2, VECTOR(9))))
  NET((sprintf(net, "linear_%s", name), net), 3, act(m, LAYER(nn_linear(m, VECTOR(7), 18))))
  NET((sprintf(net, "conv_%s", name), net), 3,
      act(m, LAYER(nn_conv2d(m, IMAGE(3, 6, 5), 9, 3, 1, 1))))
}

static void activations(void) {
  activation("relu", nn_relu);
  activation("leaky_relu", leaky_relu);
  activation("gelu", nn_gelu);
  activation("silu", nn_silu);
  activation("tanh", nn_tanh);
  activation("sigmoid", nn_sigmoid);
  activation("elu", elu);
  activation("softplus", nn_softplus);
  activation("hard_sigmoid", nn_hard_sigmoid);
  activation("hard_swish", nn_hard_swish);
  activation("clamp", clamp);
}

static void softmaxes(void) {
  NET("softmax", 3, nn_softmax(m, inputs_scaled(4, VECTOR(11))))
  NET("softmax_sequence", 3, nn_softmax(m, inputs_scaled(4, SEQUENCE(4, 5))))
  NET("softmax_image", 3, nn_softmax(m, inputs_scaled(4, IMAGE(6, 3, 4))))
}

static void norms(void) {
  NET("batch_norm", 7, LAYER(nn_batch_norm(m, VECTOR(5))))
  NET("batch_norm_sequence", 3, LAYER(nn_batch_norm(m, SEQUENCE(4, 3))))
  NET("batch_norm_image", 3, LAYER(nn_batch_norm(m, IMAGE(5, 4, 3))))
  NET("layer_norm", 3, LAYER(nn_layer_norm(m, VECTOR(9))))
  NET("layer_norm_sequence", 3, LAYER(nn_layer_norm(m, SEQUENCE(4, 9))))
  NET("layer_norm_image", 3, LAYER(nn_layer_norm(m, IMAGE(3, 4, 5))))
}

static void norms_with_options(void) {
  const nn_norm_options batch = {.5, .25, 1, 0, 0}, bare = {1e-5, .1, 1, 1, 0};
  const nn_norm_options frozen = {1e-3, .1, 1, 0, 1}, layer = {.125, 0, 1, 0, 0};
  const nn_norm_options groups = {.01, 0, 3, 0, 0};
  NET("batch_norm_with", 3, LAYER(nn_batch_norm_with(m, IMAGE(5, 4, 3), &batch)))
  NET("batch_norm_bare", 3,
      LAYER(nn_batch_norm_with(m, named(m, "fc", nn_linear_no_bias(m, SEQUENCE(4, 3), 5)), &bare)))
  NET("batch_norm_frozen", 3, LAYER(nn_batch_norm_with(m, IMAGE(5, 4, 3), &frozen)))
  NET("conv_norm_bare", 3,
      nn_relu(m, LAYER(nn_batch_norm_with(m, named(m, "conv", nn_conv2d(m, IMAGE(3, 5, 4), 6, 3, 1,
                                                                       1)), &frozen))))
  NET("layer_norm_with", 3, LAYER(nn_layer_norm_with(m, SEQUENCE(4, 9), &layer)))
  NET("group_norm", 3, LAYER(nn_group_norm(m, IMAGE(6, 5, 4), 2)))
  NET("group_norm_with", 3, LAYER(nn_group_norm_with(m, SEQUENCE(5, 6), &groups)))
  NET("group_norm_vector", 3, LAYER(nn_group_norm(m, VECTOR(8), 2)))
  NET("instance_norm", 3, nn_instance_norm(m, IMAGE(5, 4, 6)))
  NET("prelu", 3, LAYER(nn_prelu(m, IMAGE(5, 4, 3), 0)))
  NET("prelu_channels", 3, LAYER(nn_prelu(m, named(m, "conv", nn_conv2d(m, IMAGE(3, 4, 5), 7, 3, 1,
                                                                      1)), 1)))
  NET("prelu_features", 3, LAYER(nn_prelu(m, SEQUENCE(4, 6), 1)))
}

static void moves(void) {
  NET("reverse", 3, nn_reverse(m, SEQUENCE(5, 3)))
  NET("pad1d", 3, nn_pad1d(m, SEQUENCE(4, 5), 2, 1))
  NET("upsample1d", 3, nn_upsample1d(m, SEQUENCE(4, 5), 3))
  NET("pad2d", 3, nn_pad2d(m, IMAGE(3, 4, 5), 1, 2, 3, 0))
  NET("slice_image", 3, int x = IMAGE(5, 6, 7);
      nn_slice(m, nn_slice(m, nn_slice(m, x, 1, 1, 4), 2, 2, 2), 0, 1, 3))
  NET("slice_sequence", 3, nn_slice(m, nn_slice(m, SEQUENCE(6, 5), 0, 1, 4), 1, 2, 2))
  NET("slice_vector", 3, nn_slice(m, VECTOR(9), 0, 2, 4))
  NET("concat_height", 3, int a = IMAGE(3, 4, 5), b = IMAGE(3, 2, 5); nn_concat_along(m, a, b, 1))
  NET("concat_width", 3, int a = IMAGE(3, 4, 2), b = IMAGE(3, 4, 5); nn_concat_along(m, a, b, 2))
  NET("concat_steps", 3, int a = SEQUENCE(4, 3), b = SEQUENCE(2, 3); nn_concat_along(m, a, b, 0))
  NET("columns", 3, nn_image_to_sequence(m, IMAGE(3, 4, 5), 1))
  NET("rows", 3, nn_image_to_sequence(m, IMAGE(3, 4, 5), 0))
  NET("from_columns", 3, nn_sequence_to_image(m, SEQUENCE(5, 12), 3, 1))
  NET("from_rows", 3, nn_sequence_to_image(m, SEQUENCE(4, 15), 3, 0))
  NET("reshape_image", 3, nn_reshape(m, IMAGE(6, 4, 5), 3, (int[3]){4, 10, 3}))
  NET("reshape_steps", 3, nn_reshape(m, SEQUENCE(6, 5), 2, (int[2]){3, 10}))
  NET("reshape_vector", 3, nn_reshape(m, VECTOR(24), 3, (int[3]){2, 4, 3}))
  NET("reshape_to_vector", 3, nn_reshape(m, IMAGE(3, 4, 2), 1, (int[1]){24}))
  NET("text_reader", 3,
      int x = nn_relu(m, named(m, "conv", nn_conv2d(m, IMAGE(1, 12, 14), 4, 3, 1, 1)));
      nn_recurrent_options o = {5, 1, 0, 0, 0, 1};
      x = nn_image_to_sequence(m, nn_max_pool2d(m, x, 2, 2, 0), 1);
      named(m, "fc", nn_linear(m, named(m, "cell", nn_gru_with(m, x, &o)), 6)))
  NET("upsample2d", 3, nn_upsample2d(m, IMAGE(3, 4, 5), 2, 3))
  NET("bilinear", 3, nn_upsample2d_bilinear(m, IMAGE(3, 4, 5), 2, 3))
  NET("bilinear_of_one", 3, nn_upsample2d_bilinear(m, IMAGE(9, 1, 4), 3, 4))
  NET("conv_same", 3, LAYER(nn_conv2d(m, nn_pad2d(m, IMAGE(3, 8, 9), 0, 1, 1, 1), 5, 3, 2, 0)))
  NET("multiply", 3, int x = VECTOR(5), a = named(m, "one", nn_linear(m, x, 4));
      nn_multiply(m, a, named(m, "two", nn_linear(m, x, 4))))
  NET("multiply_image", 3,
      int x = IMAGE(3, 5, 4), a = named(m, "one", nn_conv2d(m, x, 6, 3, 1, 1));
      nn_multiply(m, a, named(m, "two", nn_conv2d(m, x, 6, 3, 1, 1))))
  NET("excitation", 3, int x = IMAGE(4, 5, 3), a = nn_global_avg_pool(m, x);
      a = named(m, "one", nn_linear(m, a, 2));
      nn_multiply(m, x, nn_sigmoid(m, named(m, "two", nn_linear(m, a, 4)))))
  NET("excited_sequence", 3, int x = SEQUENCE(5, 4);
      nn_multiply(m, x, named(m, "one", nn_linear(m, nn_last_step(m, x), 4))))
}

static void shapes(void) {
  NET("flatten_image", 3, nn_flatten(m, IMAGE(3, 4, 5)))
  NET("flatten_sequence", 3, nn_flatten(m, SEQUENCE(4, 5)))
  NET("add", 3, int a = IMAGE(3, 4, 5), b = IMAGE(3, 4, 5); nn_add(m, a, b))
  NET("add_twice", 3, int a = VECTOR(6); nn_add(m, a, a))
  NET("concat_image", 3, int a = IMAGE(3, 4, 5), b = IMAGE(2, 4, 5); nn_concat(m, a, b))
  NET("concat_sequence", 3, int a = SEQUENCE(4, 3), b = SEQUENCE(4, 5); nn_concat(m, a, b))
  NET("concat_vector", 3, int a = VECTOR(4), b = VECTOR(3); nn_concat(m, a, b))
  NET("embedding", 3, LAYER(nn_embedding(m, inputs_whole(7, nn_input_tokens(m, 5)), 7, 4)))
}

/* Layers that meet each other: layouts at the borders, fusion, branches. */
static int net_norm(nn_model *m) {
  nn_conv2d_options no_bias = {8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  int x = named(m, "conv", nn_conv2d_with(m, IMAGE(3, 8, 8), &no_bias));
  x = nn_relu(m, named(m, "norm", nn_batch_norm(m, x)));
  return nn_avg_pool2d(m, named(m, "next", nn_conv2d(m, x, 5, 3, 2, 1)), 2, 2, 0);
}

static int net_residual(nn_model *m) {
  int x = IMAGE(4, 6, 6), y;
  y = nn_relu(m, named(m, "a", nn_conv2d(m, x, 4, 3, 1, 1)));
  y = nn_relu(m, nn_add(m, x, named(m, "b", nn_conv2d(m, y, 4, 3, 1, 1))));
  return named(m, "c", nn_conv2d(m, nn_concat(m, y, x), 3, 1, 1, 0));
}

static int net_mixed(nn_model *m) {
  int x = named(m, "cell", nn_lstm(m, SEQUENCE(5, 6), 7));
  x = named(m, "fc", nn_linear(m, named(m, "norm", nn_layer_norm(m, x)), 4));
  return nn_flatten(m, nn_silu(m, x));
}

static int net_tokens(nn_model *m) {
  int x = inputs_whole(9, nn_input_tokens(m, 6));
  x = named(m, "embed", nn_embedding(m, x, 9, 5));
  x = nn_last_step(m, named(m, "cell", nn_gru(m, x, 8)));
  return named(m, "fc", nn_linear(m, x, 3));
}

static int net_pool(nn_model *m) {
  int x = named(m, "conv", nn_conv2d(m, IMAGE(3, 12, 11), 17, 5, 1, 2));
  x = nn_flatten(m, nn_max_pool2d(m, nn_relu(m, x), 2, 2, 0));
  return named(m, "fc", nn_linear(m, x, 6));
}

static void nets(void) {
  NET("net_pool", 3, net_pool(m))
  NET("net_norm", 3, net_norm(m))
  NET("net_residual", 3, net_residual(m))
  NET("net_tokens", 3, net_tokens(m))
  NET("net_mixed", 3, net_mixed(m))
}

/* ------------------------------------------- cells ------------------------------------------- */

typedef int (*cell_builder)(nn_model *m, int x, const nn_recurrent_options *options);

typedef int (*from_builder)(nn_model *m, int x, int state, const nn_recurrent_options *options);

static void cell(const char *name, cell_builder build, from_builder from, int relu) {
  static const int32_t lengths[] = {6, 1, 4};
  nn_recurrent_options o = {7, 1, 0, relu, 0, 0};
  char net[64];
  for (o.layers = 1; o.layers <= 2; o.layers++)
    for (int way = 0; way < 4; way++) {
      const char *ways[] = {"", "_last", "_lengths", "_lengths_last"};
      sprintf(net, "%s_%d%s", name, o.layers, ways[way]);
      NET(net, 3, int x = LAYER(build(m, SEQUENCE(6, 5), &o)); if (way & 1) nn_last_step(m, x);
          special.lengths = way & 2 ? lengths : NULL)
    }
  o.bidirectional = 1;
  for (o.layers = 1; o.layers <= 2; o.layers++)
    for (int ends = 0; ends < 2; ends++) {
      sprintf(net, "%s_%d_both%s", name, o.layers, ends ? "_lengths" : "");
      NET(net, 3, LAYER(build(m, SEQUENCE(6, 5), &o)); special.lengths = ends ? lengths : NULL)
    }
  sprintf(net, "%s_h_n", name);
  o.layers = 2;
  NET(net, 3, int x = LAYER(build(m, SEQUENCE(6, 5), &o));
      nn_concat(m, nn_slice(m, nn_last_step(m, x), 0, 0, 7),
                nn_slice(m, nn_last_step(m, nn_reverse(m, x)), 0, 7, 7));
      special.lengths = lengths)
  sprintf(net, "%s_state", name); /* in and out, and the steps between */
  const int size = build == nn_lstm_with ? 56 : 28;
  NET(net, 3, int x = SEQUENCE(6, 5), y = LAYER(from(m, x, VECTOR(size), &o));
      nn_concat(m, nn_final_state(m, y), nn_flatten(m, y)); special.lengths = lengths)
  o.bidirectional = 0;
  sprintf(net, "%s_wide", name);
  o.layers = 1, o.hidden = 40;
  NET(net, 9, nn_last_step(m, LAYER(build(m, SEQUENCE(4, 28), &o))))
  sprintf(net, "%s_carry", name);
  o.layers = 2, o.hidden = 7, o.carry = 1;
  NET(net, 3, LAYER(build(m, SEQUENCE(6, 5), &o)); special.carry = 1)
}

static void rnn(void) { cell("rnn", nn_rnn_with, nn_rnn_from, 0); }
static void rnn_relu(void) { cell("rnn_relu", nn_rnn_with, nn_rnn_from, 1); }
static void lstm(void) { cell("lstm", nn_lstm_with, nn_lstm_from, 0); }
static void gru(void) { cell("gru", nn_gru_with, nn_gru_from, 0); }

/* ----------------------------------- losses and optimizers ----------------------------------- */

#ifndef NN_NO_TRAINING
static void compare_loss(nn_model *m, const char *net, const nn_batch *b, int correct_too) {
  double loss = 0;
  int64_t correct = 0;
  set_parameters(m, net);
  if (ran(m, net, nn_forward(m, b, 1)) && ran(m, net, nn_loss(m, b, &loss, &correct)) &&
      ran(m, net, nn_backward(m))) {
    nn_real value = (nn_real)loss, hits = (nn_real)correct;
    expect_near(net, "loss", "", &value, 1, TOLERANCE);
    expect_near(net, "dx0", "", nn_input_gradient(m, 0), (size_t)b->n * node_size(m, 0),
                TOLERANCE);
    if (correct_too) expect_near(net, "correct", "", &hits, 1, 1e-6);
  }
}

/* A loss may not stand right on an input: an identity between them. */
static int identity(nn_model *m, int x) { return nn_leaky_relu(m, x, 1); }

enum { WEIGHTS = 1, IGNORED = 2 };

static void cross_entropy(const char *net, int steps, int classes, double smoothing, int what,
                          double scale) {
  nn_model *m = begin(6, 0);
  size_t rows = 6 * (size_t)(steps ? steps : 1);
  nn_real *weights = test_reals((size_t)classes);
  int32_t *labels = draw_labels(net, "labels", rows, classes);
  int32_t *ignored = draw_labels(net, "ignored", rows, 3);
  int x;
  draw(weights, (size_t)classes, key_of(net, "weights", ""), 1, 1.25);
  x = identity(m, inputs_scaled(scale, steps ? SEQUENCE(steps, classes) : VECTOR(classes)));
  nn_cross_entropy_with(m, x, smoothing, what & WEIGHTS ? weights : NULL);
  for (size_t i = 0; i < rows; i++)
    if (what & IGNORED && ignored[i] == 0) labels[i] = -1;
  if (built(m, net)) {
    nn_batch b = draw_batch(m, net, "x", 6);
    b.labels = labels;
    compare_loss(m, net, &b, 1);
    free_batch(&b);
  }
  free(weights), free(labels), free(ignored);
  nn_destroy(m);
}

static void value_loss(const char *net, int (*build)(nn_model *m, int x), int as_image,
                       double scale, int probabilities) {
  nn_model *m = begin(6, 0);
  build(m, identity(m, inputs_scaled(scale, as_image ? IMAGE(2, 3, 4) : VECTOR(5))));
  if (built(m, net)) {
    nn_batch b = draw_batch(m, net, "x", 6);
    size_t count = 6 * node_size(m, 0);
    nn_real *values = test_reals(count);
    draw(values, count, key_of(net, "values", ""), probabilities ? .5 : 1, probabilities ? .5 : 0);
    b.values = values;
    compare_loss(m, net, &b, 0);
    free(values);
    free_batch(&b);
  }
  nn_destroy(m);
}

/* A loss with the options o, drawn weights [weights] of classes or features where that is not 0,
 * and of samples. */
static void loss_with(const char *net, int features, int image, nn_loss_options o, int weights,
                      int samples) {
  nn_model *m = begin(6, 0);
  nn_real more[8], each[6];
  const int labelled = o.kind == NN_CROSS_ENTROPY, binary = o.kind == NN_BINARY_CROSS_ENTROPY;
  draw(more, (size_t)weights, key_of(net, "weights", ""), 1, 1.25);
  draw(each, 6, key_of(net, "samples", ""), 1, 1.25);
  if (weights) o.weights = more;
  nn_loss_with(
      m, identity(m, inputs_scaled(4, image ? IMAGE(features, 3, 4) : VECTOR(features))), &o);
  if (built(m, net)) {
    nn_batch b = draw_batch(m, net, "x", 6);
    nn_node_info f;
    CHECK_OK(nn_get_node(m, 0, &f));
    const size_t count = 6 * node_size(m, 0), rows = count / (size_t)f.dim[0];
    int32_t *labels = draw_labels(net, "labels", rows, f.dim[0]);
    int32_t *ignored = draw_labels(net, "ignored", rows, 3);
    nn_real *values = test_reals(count);
    for (size_t i = 0; i < rows; i++)
      if (ignored[i] == 0) labels[i] = o.ignored;
    draw(values, count, key_of(net, "values", ""), binary ? .5 : 1, binary ? .5 : 0);
    if (labelled) b.labels = labels;
    else b.values = values;
    if (samples) b.weights = each;
    compare_loss(m, net, &b, 0);
    free(labels), free(ignored), free(values);
    free_batch(&b);
  }
  nn_destroy(m);
}

static void loss_options(void) {
  nn_loss_options ce = nn_loss_default(NN_CROSS_ENTROPY), mse = nn_loss_default(NN_SQUARED_ERROR);
  nn_loss_options bce = nn_loss_default(NN_BINARY_CROSS_ENTROPY), o;
  nn_loss_options huber = nn_loss_default(NN_HUBER), l1 = nn_loss_default(NN_ABSOLUTE_ERROR);
  loss_with("ce_image", 5, 1, ce, 0, 0);
  o = ce, o.ignored = 255, o.smoothing = .125;
  loss_with("ce_image_ignored", 5, 1, o, 5, 0);
  o = ce, o.ignored = 2;
  loss_with("ce_image_samples", 5, 1, o, 5, 1);
  o = ce, o.ignored = -100;
  loss_with("ce_samples", 7, 0, o, 0, 1);
  ce.sum = mse.sum = 1;
  loss_with("ce_sum", 7, 0, ce, 0, 0);
  loss_with("ce_sum_samples", 7, 0, ce, 0, 1);
  loss_with("mse_sum", 5, 0, mse, 0, 0);
  mse.sum = 0;
  loss_with("mse_samples", 2, 1, mse, 0, 1);
  loss_with("bce_positive", 5, 0, bce, 5, 0);
  loss_with("bce_positive_image", 2, 1, bce, 2, 1);
  loss_with("huber", 5, 0, huber, 0, 0);
  huber.delta = .75;
  loss_with("huber_image", 2, 1, huber, 0, 1);
  loss_with("l1", 5, 0, l1, 0, 0);
  l1.sum = 1;
  loss_with("l1_sum", 2, 1, l1, 0, 1);
}

static void several_losses(void) {
  nn_model *m = begin(5, 0);
  nn_loss_options o = nn_loss_default(NN_CROSS_ENTROPY);
  const int x = nn_tanh(m, named(m, "trunk", nn_linear(m, inputs_scaled(1, VECTOR(6)), 8)));
  const int y = named(m, "main", nn_linear(m, x, 4)), aux = named(m, "aux", nn_linear(m, x, 4));
  const int deep = named(m, "deep", nn_linear(m, nn_tanh(m, aux), 3));
  nn_cross_entropy(m, y);
  o.weight = .3;
  nn_loss_with(m, aux, &o);
  o.weight = .5, o.sum = 1, o.from = 1;
  nn_loss_with(m, aux, &o);
  o = nn_loss_default(NN_HUBER), o.weight = 2;
  nn_loss_with(m, deep, &o);
  if (built(m, "heads")) {
    nn_batch b = draw_batch(m, "heads", "x", 5);
    int32_t *labels = draw_labels("heads", "labels", 10, 4);
    nn_real values[15];
    draw(values, 15, key_of("heads", "values", ""), 1, 0);
    b.labels = labels, b.values = values;
    CHECK_INT(nn_output_node(m), y);
    compare_loss(m, "heads", &b, 0);
    for (int i = 0; i < nn_param_count(m); i++) {
      nn_param p;
      if (CHECK_OK(nn_get_param(m, i, &p)))
        expect_near("heads", "d ", p.name, p.gradient, p.count, TOLERANCE);
    }
    free(labels);
    free_batch(&b);
  }
  nn_destroy(m);
}

static void losses(void) {
  cross_entropy("ce", 0, 10, 0, 0, 4);
  cross_entropy("ce_far", 0, 10, 0, 0, 64);
  cross_entropy("ce_smooth", 0, 7, .125, 0, 4);
  cross_entropy("ce_weights", 0, 7, 0, WEIGHTS, 4);
  cross_entropy("ce_ignored", 0, 7, 0, IGNORED, 4);
  cross_entropy("ce_smooth_ignored", 0, 7, .125, IGNORED, 4);
  cross_entropy("ce_weights_ignored", 0, 7, 0, WEIGHTS | IGNORED, 4);
  cross_entropy("ce_sequence", 4, 5, .25, IGNORED, 4);
  cross_entropy("ce_smooth_weights", 0, 7, .125, WEIGHTS, 4);
  value_loss("mse", nn_mean_squared_error, 0, 4, 0);
  value_loss("mse_image", nn_mean_squared_error, 1, 4, 0);
  value_loss("bce", nn_binary_cross_entropy, 0, 4, 1);
  value_loss("bce_far", nn_binary_cross_entropy, 0, 128, 1);
  value_loss("bce_image", nn_binary_cross_entropy, 1, 4, 1);
}

/* The loss before each of some steps over fixed batches. */
static void train(const char *net, int (*build)(nn_model *m), nn_optimizer o, int steps, int n,
                  int batches, int classes) {
  nn_config c = test_config();
  nn_model *m;
  c.batch = n;
  c.direct_convolution = direct_convolution;
  m = nn_create(&c);
  memset(&special, 0, sizeof special);
  special.scale = 1;
  nn_cross_entropy(m, build(m));
  nn_set_optimizer(m, &o);
  if (built(m, net)) {
    nn_real *losses_seen = test_reals((size_t)steps);
    nn_batch b[2];
    int32_t *labels[2];
    for (int i = 0; i < batches; i++) {
      char name[2][16];
      sprintf(name[0], "x%d", i), sprintf(name[1], "labels%d", i);
      b[i] = draw_batch(m, net, "x", n);
      draw((nn_real *)(uintptr_t)b[i].x[0], (size_t)n * node_size(m, 0),
           key_of(net, name[0], ""), special.scale, 0);
      b[i].labels = labels[i] = draw_labels(net, name[1], (size_t)n, classes);
    }
    set_parameters(m, net);
    for (int step = 0; step < steps; step++) {
      double loss = 0;
      if (!ran(m, net, nn_train(m, &b[step % batches], &loss, NULL))) break;
      losses_seen[step] = (nn_real)loss;
    }
    expect_near(net, "losses", "", losses_seen, (size_t)steps,
                !strcmp(net, "lenet_adam") && !direct_convolution ? WINOGRAD_ADAM : TOLERANCE);
    if (o.average > 0) CHECK_OK(nn_swap_average(m));
    for (int i = 0; i < nn_param_count(m) && o.average > 0; i++) {
      nn_param p;
      if (CHECK_OK(nn_get_param(m, i, &p)))
        expect_near(net, "average ", p.name, p.value, p.count, TOLERANCE);
    }
    for (int i = 0; i < batches; i++) free_batch(&b[i]), free(labels[i]);
    free(losses_seen);
  }
  nn_destroy(m);
}

static int small_net(nn_model *m) {
  int x = nn_tanh(m, named(m, "fc1", nn_linear(m, inputs_scaled(2, VECTOR(6)), 8)));
  return named(m, "fc2", nn_linear(m, x, 3));
}

static nn_optimizer decayed(nn_optimizer o, double weight_decay) {
  o.weight_decay = weight_decay;
  return o;
}

static nn_optimizer nesterov(nn_optimizer o) {
  o.nesterov = 1;
  return o;
}

/* A large eps shows on which side of the root it stands; other decay rates, where they enter. */
static nn_optimizer with_eps(nn_optimizer o) {
  o.eps = .125;
  o.alpha = o.beta1 = .75, o.beta2 = .875;
  return o;
}

static nn_optimizer clipped(nn_optimizer o, double norm, double value) {
  o.clip_norm = norm, o.clip_value = value;
  return o;
}

static void optimizers(void) {
  nn_optimizer one_cycle = nn_sgd(.5, 0);
  const struct {
    const char *net;
    nn_optimizer o;
  } all[] = {
      {"optimizer_sgd", nn_sgd(.1, 0)},
      {"optimizer_sgd_decay", decayed(nn_sgd(.1, 0), .01)},
      {"optimizer_sgd_momentum", nn_sgd(.1, .9)},
      {"optimizer_sgd_momentum_decay", decayed(nn_sgd(.1, .9), .01)},
      {"optimizer_sgd_nesterov", nesterov(nn_sgd(.1, .9))},
      {"optimizer_sgd_nesterov_decay", decayed(nesterov(nn_sgd(.1, .9)), .01)},
      {"optimizer_adagrad", nn_adagrad(.05)},
      {"optimizer_adagrad_decay", decayed(nn_adagrad(.05), .01)},
      {"optimizer_rmsprop", nn_rmsprop(.005, 0)},
      {"optimizer_rmsprop_decay", decayed(nn_rmsprop(.005, 0), .01)},
      {"optimizer_rmsprop_momentum", nn_rmsprop(.001, .9)},
      {"optimizer_rmsprop_momentum_decay", decayed(nn_rmsprop(.001, .9), .01)},
      {"optimizer_adam", nn_adam(.01)},
      {"optimizer_adam_decay", decayed(nn_adam(.01), .01)},
      {"optimizer_adamw", nn_adamw(.01)},
      {"optimizer_adamw_decay", decayed(nn_adamw(.01), .5)},
      {"optimizer_adagrad_eps", with_eps(nn_adagrad(.1))},
      {"optimizer_rmsprop_eps", with_eps(nn_rmsprop(.02, 0))},
      {"optimizer_adam_eps", with_eps(nn_adam(.05))},
      {"optimizer_adamw_eps", with_eps(nn_adamw(.05))},
      {"optimizer_sgd_clip_norm", clipped(nn_sgd(.1, .9), .125, 0)},
      {"optimizer_sgd_clip_value", clipped(nn_sgd(.1, .9), 0, .015625)},
      {"optimizer_adam_clip_norm", clipped(nn_adam(.01), .125, 0)},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    train(all[i].net, small_net, all[i].o, 100, 12, 1, 3);
  one_cycle.schedule.kind = NN_ONE_CYCLE;
  one_cycle.schedule.total = 101;
  train("optimizer_sgd_one_cycle", small_net, one_cycle, 100, 12, 1, 3);
  nn_optimizer o = nn_sgd(.125, .5);
  o.schedule.kind = NN_ONE_CYCLE, o.schedule.total = 101;
  o.schedule.momentum_low = .85, o.schedule.momentum_high = .95;
  train("optimizer_sgd_whole_cycle", small_net, o, 100, 12, 1, 3);
  o.kind = NN_ADAM, o.momentum = 0;
  train("optimizer_adam_whole_cycle", small_net, o, 100, 12, 1, 3);
  o = nn_sgd(.25, .5), o.nesterov = 1, o.schedule.kind = NN_TRIANGULAR, o.schedule.period = 15;
  o.schedule.gamma = .5, o.schedule.floor = .01;
  o.schedule.momentum_low = .8, o.schedule.momentum_high = .9;
  train("optimizer_sgd_triangles", small_net, o, 100, 12, 1, 3);
  o = nn_adam(.05), o.beta1 = .75, o.beta2 = .875, o.amsgrad = 1;
  train("optimizer_amsgrad", small_net, o, 100, 12, 1, 3);
  o.kind = NN_ADAMW, o.weight_decay = .01;
  train("optimizer_amsgrad_w", small_net, o, 100, 12, 1, 3);
  o = nn_sgd(.1, .9), o.average = .9375;
  train("optimizer_sgd_average", small_net, o, 100, 12, 1, 3);
}

static void schedule(const char *net, nn_schedule s, int steps) {
  nn_real rates[64];
  for (int i = 0; i < steps; i++) rates[i] = (nn_real)nn_schedule_rate(&s, .5, i);
  expect_near(net, "rates", "", rates, (size_t)steps, 1e-6);
}

static nn_schedule schedule_of(nn_schedule_kind kind, int warmup, int total, int period,
                               double gamma, double low) {
  nn_schedule s;
  memset(&s, 0, sizeof s);
  s.kind = kind, s.warmup = warmup, s.total = total, s.period = period;
  s.gamma = gamma, s.floor = low;
  return s;
}

static void plateau(const char *net, nn_schedule s, double threshold, int steps) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_optimizer o = nn_sgd(.5, 0);
  nn_real rates[64];
  o.schedule = s, o.schedule.threshold = threshold;
  CHECK_OK(nn_set_optimizer(m, &o));
  for (int i = 0; i < steps; i++) {
    CHECK_OK(nn_plateau(m, 2 + unit(key_of(net, "losses", ""), (size_t)i) / (i + 1)));
    rates[i] = (nn_real)nn_rate(m);
  }
  expect_near(net, "rates", "", rates, (size_t)steps, 1e-6);
  nn_destroy(m);
}

static void schedules(void) {
  schedule("schedule_step", schedule_of(NN_STEP, 0, 0, 7, .5, 0), 40);
  schedule("schedule_exponential", schedule_of(NN_EXPONENTIAL, 0, 0, 1, .9, 0), 40);
  schedule("schedule_exponential_period", schedule_of(NN_EXPONENTIAL, 0, 0, 8, .5, 0), 40);
  schedule("schedule_cosine", schedule_of(NN_COSINE, 0, 40, 0, 0, .01), 41);
  schedule("schedule_one_cycle", schedule_of(NN_ONE_CYCLE, 0, 40, 0, 0, 0), 40);
  schedule("schedule_one_cycle_odd", schedule_of(NN_ONE_CYCLE, 0, 37, 0, 0, 0), 37);
  schedule("schedule_warm_step", schedule_of(NN_STEP, 5, 0, 7, .5, 0), 40);
  schedule("schedule_warm_cosine", schedule_of(NN_COSINE, 5, 40, 0, 0, .01), 40);
  schedule("schedule_triangular", schedule_of(NN_TRIANGULAR, 0, 0, 6, 1, .125), 40);
  schedule("schedule_triangular2", schedule_of(NN_TRIANGULAR, 0, 0, 5, .5, .125), 40);
  schedule("schedule_polynomial", schedule_of(NN_POLYNOMIAL, 0, 30, 0, 2, 0), 40);
  plateau("schedule_plateau", schedule_of(NN_PLATEAU, 0, 0, 2, .5, .001), .0625, 60);
  plateau("schedule_plateau_eager", schedule_of(NN_PLATEAU, 0, 0, 0, .9, 0), 0, 20);
}
#endif

/* --------------------------------------- whole networks -------------------------------------- */

static int lenet(nn_model *m, int channels, int side) {
  int x = nn_input_image(m, channels, side, side);
  x = nn_relu(m, named(m, "conv1", nn_conv2d(m, x, 32, 5, 1, 2)));
  x = nn_max_pool2d(m, x, 2, 2, 0);
  x = nn_relu(m, named(m, "conv2", nn_conv2d(m, x, 64, 5, 1, 2)));
  x = nn_flatten(m, nn_max_pool2d(m, x, 2, 2, 0));
  x = nn_relu(m, named(m, "fc1", nn_linear(m, x, 1024)));
  return named(m, "fc2", nn_linear(m, x, 10));
}

static void lenets(void) {
  for (direct_convolution = 0; direct_convolution < 2; direct_convolution++) {
    NET("lenet_gray", 3, lenet(m, 1, 28))
    NET("lenet_rgb", 3, lenet(m, 3, 32))
  }
}

#ifndef NN_NO_TRAINING
static int gray(nn_model *m) { return lenet(m, 1, 28); }

static int rows_net(nn_model *m, cell_builder build, int relu) {
  nn_recurrent_options o = {64, 2, 0, relu, 0, 0};
  int x = nn_last_step(m, named(m, "cell", build(m, SEQUENCE(28, 28), &o)));
  return named(m, "fc", nn_linear(m, x, 10));
}
static int rnn_net(nn_model *m) { return rows_net(m, nn_rnn_with, 0); }
static int relu_net(nn_model *m) { return rows_net(m, nn_rnn_with, 1); }
static int lstm_net(nn_model *m) { return rows_net(m, nn_lstm_with, 0); }
static int gru_net(nn_model *m) { return rows_net(m, nn_gru_with, 0); }

static void lenet_training(void) {
  for (direct_convolution = 0; direct_convolution < 2; direct_convolution++) {
    train("lenet_adam", gray, nn_adam(1e-3), 12, 8, 2, 10);
    train("lenet_momentum", gray, nn_sgd(.02, .9), 12, 8, 2, 10);
  }
}

static void cell_training(void) {
  train("rnn_adam", rnn_net, nn_adam(2e-3), 20, 16, 2, 10);
  train("rnn_relu_adam", relu_net, nn_adam(2e-3), 20, 16, 2, 10);
  train("lstm_adam", lstm_net, nn_adam(2e-3), 20, 16, 2, 10);
  train("gru_adam", gru_net, nn_adam(2e-3), 20, 16, 2, 10);
}
#endif

int main(void) {
  load_goldens("torch.bin");
  RUN(convolutions);
  RUN(convolutions_with_options);
  RUN(convolutions_of_steps);
  RUN(convolutions_transposed);
  RUN(linears);
  RUN(pools);
  RUN(activations);
  RUN(softmaxes);
  RUN(moves);
  RUN(norms);
  RUN(norms_with_options);
  RUN(shapes);
  RUN(nets);
  RUN(rnn);
  RUN(rnn_relu);
  RUN(lstm);
  RUN(gru);
  RUN(lenets);
#ifndef NN_NO_TRAINING
  RUN(losses);
  RUN(loss_options);
  RUN(several_losses);
  RUN(optimizers);
  RUN(schedules);
  RUN(lenet_training);
  RUN(cell_training);
  RUN(every_record);
#endif
  free_goldens();
  return test_end("torch");
}
