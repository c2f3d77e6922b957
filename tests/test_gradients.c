/* Backward passes against central differences, in double precision (-DNN_REAL=double, an engine
 * built the same way). For an objective L, either a model's loss or the sum of its outputs times
 * fixed random numbers, dL/dp for parameters and inputs p is compared with
 *   (8 (L(p+h) - L(p-h)) - (L(p+2h) - L(p-2h))) / 12 h,
 * whose own error is of order h^4. */
#include "graphs.h"

#ifdef NN_NO_TRAINING
static void gradients(void) { SKIP("built without training"); }
int main(void) {
  RUN(gradients);
  return test_end("gradients");
}
#else

/* What the objective is a function of. */
typedef struct Problem {
  nn_model *m;
  nn_batch b;
  int inputs, has_loss;
  nn_real *x[NN_MAX_INPUTS], *p, *direction; /* the inputs, the parameters, dL/d output */
  size_t x_count[NN_MAX_INPUTS], p_count, out_count;
  const char *what;
} Problem;

static nn_model *begin(int batch) {
  nn_config c = test_config();
  c.batch = batch, c.input_gradient = 1;
  return nn_create(&c);
}

/* The engine draws a new dropout mask at every training forward; a fresh start gives the first one
 * again. */
static double objective(Problem *q) {
  size_t i, count;
  double sum = 0;
  const nn_real *y;
  if (!CHECK_OK(nn_reinitialise(q->m, 5))) return NAN;
  memcpy(nn_parameters(q->m, &count), q->p, q->p_count * sizeof *q->p);
  if (!CHECK_OK(nn_forward(q->m, &q->b, 1))) return NAN;
  if (q->has_loss) {
    CHECK_OK(nn_loss(q->m, &q->b, &sum, NULL));
    return sum;
  }
  y = nn_output(q->m);
  for (i = 0; i < q->out_count; i++) sum += (double)q->direction[i] * (double)y[i];
  return sum;
}

/* Compares dL/d *p with differences. Returns 0 where *p stands beside a kink (the two differences
 * then disagree), 1 otherwise. */
static int compare(Problem *q, nn_real *p, double got, const char *name, size_t index) {
  const double h = 2e-5, old = (double)*p;
  double at[4], near, far, want;
  int i;
  for (i = 0; i < 4; i++) {
    *p = (nn_real)(old + h * (i < 2 ? i - 2 : i - 1));
    at[i] = objective(q);
  }
  *p = (nn_real)old;
  near = (at[2] - at[1]) / (2 * h), far = (at[3] - at[0]) / (4 * h), want = (4 * near - far) / 3;
  if (fabs(near - far) > 2e-6 * (1 + fabs(near))) return 0;
  if (!(fabs(got - want) <= 1e-6 * fabs(want) + 2e-9 * (1 + fabs(at[0]))) &&
      test_fail(__FILE__, __LINE__))
    fprintf(stderr, "%s: d/d %s[%lu] = %.12g, differences give %.12g\n", q->what, name,
            (unsigned long)index, got, want);
  return 1;
}

/* Numbers in (-2, 2), no two alike, no two as far apart as another two (softmax makes these alike,
 * and at a tie max has no derivative) and none near 0, in an order that looks random. */
static void spread(nn_real *x, size_t n) {
  size_t prime = n | 1, i, d;
  for (;; prime += 2) {
    for (d = 3; d * d <= prime && prime % d; d += 2) continue;
    if (d * d > prime && prime > n) break;
  }
  test_fill(x, n, 20);
  for (i = 0; i < n; i++)
    x[i] = (nn_real)(
        4 * (((double)((i + 1) * 7919 % prime) + 0.4 * fabs((double)x[i])) / (double)prime - 0.5));
}

static double parameter_scale = 1; /* parameters are in (-1, 1) times this */

/* Builds m and checks all of its gradients; b gives labels, values and lengths. */
static int check(nn_model *m, const nn_batch *b, int has_loss, const char *what) {
  Problem q;
  size_t i, most = 40;
  int k, tried = 0, smooth = 0, bad = test_state.bad;
  nn_real *gradient = NULL, *dx[NN_MAX_INPUTS] = {0};
  nn_node_info info;
  memset(&q, 0, sizeof q);
  q.m = m, q.b = *b, q.has_loss = has_loss, q.what = what;
  if (!CHECK_OK(nn_build(m))) {
    fprintf(stderr, "    %s: %s\n", what, nn_error(m));
    return 0;
  }
  for (k = 0; k < nn_node_count(m); k++) {
    size_t count = (size_t)b->n;
    int j;
    CHECK_OK(nn_get_node(m, k, &info));
    for (j = 0; j < info.rank; j++) count *= (size_t)info.dim[j];
    if (k == nn_output_node(m)) q.out_count = count;
    if (info.inputs) continue;
    q.x_count[q.inputs] = count;
    q.x[q.inputs] = test_reals(count);
    spread(q.x[q.inputs], count);
    if (strcmp(info.kind, "tokens") == 0)
      for (i = 0; i < count; i++) q.x[q.inputs][i] = (nn_real)(i * 5 % 7);
    q.b.x[q.inputs] = q.x[q.inputs];
    q.inputs++;
  }
  q.direction = test_reals(q.out_count);
  test_fill(q.direction, q.out_count, 21);
  nn_parameters(m, &q.p_count);
  q.p = test_reals(q.p_count);
  test_fill(q.p, q.p_count, 22);
  for (i = 0; i < q.p_count; i++) q.p[i] *= (nn_real)parameter_scale;

  objective(&q);
  nn_zero_gradients(m);
  CHECK_OK(has_loss ? nn_backward(m) : nn_backward_from(m, q.direction));
  gradient = test_reals(q.p_count);
  if (q.p_count) memcpy(gradient, nn_gradients(m, NULL), q.p_count * sizeof *gradient);
  for (k = 0; k < q.inputs; k++) {
    const nn_real *d = nn_input_gradient(m, k);
    if (!d) continue;
    dx[k] = test_reals(q.x_count[k]);
    memcpy(dx[k], d, q.x_count[k] * sizeof *d);
  }
  for (k = 0; k < nn_param_count(m); k++) { /* some of every array */
    nn_param p;
    size_t first, step;
    CHECK_OK(nn_get_param(m, k, &p));
    if (!p.gradient) continue;
    first = (size_t)(p.value - nn_parameters(m, NULL)), step = p.count / most + 1;
    for (i = 0; i < p.count; i += step, tried++)
      smooth += compare(&q, q.p + first + i, (double)gradient[first + i], p.name, i);
  }
  for (k = 0; k < q.inputs; k++)
    for (i = 0; dx[k] && i < q.x_count[k]; i += q.x_count[k] / (2 * most) + 1, tried++)
      smooth += compare(&q, q.x[k] + i, (double)dx[k][i], "x", i);
  if (tried == 0 || smooth < tried * 9 / 10 - 1) {
    if (test_fail(__FILE__, __LINE__))
      fprintf(stderr, "%s: only %d of %d places were smooth\n", what, smooth, tried);
  }
  for (k = 0; k < q.inputs; k++) free(q.x[k]), free(dx[k]);
  free(q.p);
  free(q.direction);
  free(gradient);
  return test_state.bad == bad;
}

static nn_batch batch_of(int n) {
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = n;
  return b;
}

/* The gradients of a model without a loss; destroys it. */
static int check_layers(nn_model *m, int n, const char *what) {
  nn_batch b = batch_of(n);
  int held = check(m, &b, 0, what);
  nn_destroy(m);
  return held;
}

/* ------------------------------------------------------------------------------- the layers -- */

static int conv_case(int n, int C, int H, int W, const nn_conv2d_options *o, int relu) {
  nn_model *m;
  char what[200];
  int x;
  sprintf(what,
          "conv n %d C %d H %d W %d out %d kernel %dx%d stride %dx%d pad %dx%d dilation %dx%d "
          "groups %d relu %d",
          n, C, H, W, o->out, o->kernel_h, o->kernel_w, o->stride_h, o->stride_w, o->pad_h,
          o->pad_w, o->dilation_h, o->dilation_w, o->groups, relu);
  if (H + 2 * o->pad_h < o->dilation_h * (o->kernel_h - 1) + 1) return 1;
  if (W + 2 * o->pad_w < o->dilation_w * (o->kernel_w - 1) + 1) return 1;
  m = begin(n);
  x = nn_conv2d_with(m, nn_input_image(m, C, H, W), o);
  if (relu) nn_relu(m, x);
  return check_layers(m, n, what);
}

static void conv2d_any(void) {
  int i;
  dice_state = 3;
  for (i = 0; i < 160; i++) {
    int groups = dice(0, 3) == 0 ? dice(2, 3) : 1, C = groups * dice(1, 3);
    nn_conv2d_options o = {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0};
    o.groups = groups, o.out = groups * dice(1, 4), o.kernel_h = dice(1, 4),
    o.kernel_w = dice(1, 4);
    o.stride_h = dice(1, 3), o.stride_w = dice(1, 3), o.pad_h = dice(0, 2), o.pad_w = dice(0, 2);
    o.dilation_h = dice(1, 2), o.dilation_w = dice(1, 2), o.no_bias = dice(0, 3) == 0;
    if (!conv_case(dice(1, 3), C, dice(1, 8), dice(1, 8), &o, dice(0, 4) == 0)) return;
  }
}

/* Every small one: among them those whose output is as large as the image but lies elsewhere. */
static void conv2d_small(void) {
  int kernel, stride, pad, side;
  for (kernel = 1; kernel <= 3; kernel++)
    for (stride = 1; stride <= 3; stride++)
      for (pad = 0; pad <= 3; pad++)
        for (side = 1; side <= 4; side++) {
          nn_conv2d_options o = {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0};
          if (side + 2 * pad < kernel) continue;
          o.kernel_h = o.kernel_w = kernel, o.stride_h = o.stride_w = stride;
          o.pad_h = o.pad_w = pad;
          if (!conv_case(1, 1, side, side, &o, 0)) return;
          o.out = o.groups = 2; /* depthwise */
          if (!conv_case(1, 2, side, side, &o, 0)) return;
        }
}

/* The shapes of LeNet5 and of residual nets, small in number of maps; and depthwise. */
static void conv2d_usual(void) {
  static const int shape[][8] = {/* C, H, W, out, kernel, stride, pad, groups */
                                 {1, 28, 28, 4, 5, 1, 2, 1},  {6, 14, 14, 5, 5, 1, 1, 1},
                                 {3, 16, 15, 8, 7, 2, 3, 1},  {17, 5, 5, 18, 3, 1, 1, 1},
                                 {16, 4, 4, 33, 1, 1, 0, 1},  {16, 5, 5, 8, 1, 2, 0, 1},
                                 {9, 6, 6, 9, 3, 1, 1, 9},    {8, 7, 7, 16, 3, 2, 1, 8},
                                 {33, 3, 3, 33, 3, 1, 1, 33}, {1, 2, 40, 3, 3, 1, 1, 1}};
  size_t i;
  for (i = 0; i < COUNT(shape); i++) {
    const int *s = shape[i];
    nn_conv2d_options o = {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0};
    o.out = s[3], o.kernel_h = o.kernel_w = s[4], o.stride_h = o.stride_w = s[5];
    o.pad_h = o.pad_w = s[6], o.groups = s[7];
    if (!conv_case(2, s[0], s[1], s[2], &o, 0)) return;
  }
}

static void conv1d_any(void) {
  const int32_t lengths[3] = {5, 7, 4};
  dice_state = 6;
  for (int i = 0; i < 30; i++) {
    const int groups = dice(0, 1) ? 1 : dice(2, 3), F = groups * dice(1, 3);
    nn_conv1d_options o = {1, 1, 1, 0, 1, 1, 0};
    nn_pool1d_options p = {2, 1, 1, 0, 0};
    nn_batch b = batch_of(3);
    nn_model *m = begin(3);
    o.out = groups * dice(1, 3), o.kernel = dice(1, 3), o.stride = dice(1, 2), o.pad = dice(0, 2);
    o.dilation = o.kernel < 3 ? dice(1, 2) : 1, o.groups = groups, o.no_bias = dice(0, 3) == 0;
    p.stride = dice(1, 2), p.ceil = dice(0, 1), p.exclude_pad = i % 4 == 2 && dice(0, 1);
    int x = nn_conv1d_with(m, nn_input_sequence(m, 7, F), &o);
    if (i % 3 == 0) x = nn_relu(m, x);
    if (i % 4 == 1) x = nn_max_pool1d_with(m, x, &p);
    if (i % 4 == 2) x = nn_avg_pool1d_with(m, x, &p);
    if (i % 2) b.lengths = lengths;
    const int held = check(m, &b, 0, "conv1d");
    nn_destroy(m);
    if (!held) return;
  }
}

static void conv_transpose_any(void) {
  dice_state = 8;
  for (int i = 0; i < 60; i++) {
    const int groups = dice(0, 1) ? 1 : dice(2, 3), C = groups * dice(1, 3);
    nn_conv2d_options o = {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0};
    nn_model *m = begin(2);
    o.groups = groups, o.out = i % 3 ? groups * dice(1, 3) : C, o.kernel_h = dice(1, 3);
    o.kernel_w = dice(1, 4), o.stride_h = dice(1, 3), o.stride_w = dice(1, 2);
    o.pad_h = dice(0, o.kernel_h / 2), o.pad_w = dice(0, o.kernel_w / 2);
    o.dilation_h = dice(1, 2), o.no_bias = dice(0, 3) == 0;
    const int high = dice(2, 5), wide = dice(2, 4), more = dice(0, o.stride_h - 1);
    const int x = nn_conv_transpose2d_with(m, nn_input_image(m, C, high, wide), &o, more, 0);
    if (i % 4 == 0) nn_relu(m, x);
    if (i % 4 == 1) nn_upsample2d_bilinear(m, x, dice(1, 3), 2);
    if (!check_layers(m, 2, "conv_transpose")) return;
  }
}

static void pools(void) {
  /* windows side by side: over all, over all but the last rows, columns, the last and the first */
  static const int beside[][4] = {{2, 0, 6, 4}, {2, 0, 7, 4}, {2, 0, 4, 7}, {3, 1, 6, 9}};
  int i;
  dice_state = 4;
  for (i = 0; i < 204; i++) {
    int kernel = dice(1, 4), stride = dice(1, 4), pad = dice(0, kernel / 2), H = dice(kernel, 9);
    int C = dice(1, 9), W = dice(kernel, 9), n = dice(1, 3), kind = dice(0, 4), x;
    nn_model *m = begin(n);
    char what[100];
    if (i >= 200) {
      const int *b = beside[i - 200];
      kernel = stride = b[0], pad = b[1], H = b[2], W = b[3], kind = 0;
    }
    sprintf(what, "pool %d n %d C %d H %d W %d kernel %d stride %d pad %d", kind, n, C, H, W,
            kernel, stride, pad);
    x = nn_input_image(m, C, H, W);
    nn_pool2d_options o = {kernel, kernel, stride, stride, pad, pad, 0, 0};
    if (i < 200 && i % 2) {
      o.kernel_w = dice(1, kernel), o.pad_w = dice(0, o.kernel_w / 2), o.stride_w = dice(1, 3);
      o.ceil = dice(0, 1), o.exclude_pad = kind == 1 && dice(0, 1);
    }
    if (kind == 0) nn_max_pool2d_with(m, x, &o);
    if (kind == 1) nn_avg_pool2d_with(m, x, &o);
    if (kind == 4) nn_adaptive_avg_pool2d(m, x, kernel, stride);
    if (kind == 2) nn_global_max_pool(m, x);
    if (kind == 3) nn_global_avg_pool(m, x);
    if (!check_layers(m, n, what)) return;
  }
}

/* Among equal numbers the first in row order gets the gradient. */
static void max_pool_ties(void) {
  nn_model *m = begin(1);
  nn_real x[16], d[4] = {1, 2, 3, 4};
  nn_batch b = batch_of(1);
  int i;
  nn_max_pool2d(m, nn_input_image(m, 1, 4, 4), 2, 2, 0);
  for (i = 0; i < 16; i++) x[i] = 0;
  x[13] = x[9] = 5;
  b.x[0] = x;
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_forward(m, &b, 1));
  CHECK_OK(nn_backward_from(m, d));
  for (i = 0; i < 16; i++) {
    double want = i == 0 ? 1 : i == 2 ? 2 : i == 9 ? 3 : i == 10 ? 4 : 0;
    CHECK_NEAR(nn_input_gradient(m, 0)[i], want, 0);
  }
  nn_destroy(m);
}

static int input_of(nn_model *m, int kind, int C) {
  return kind == 0   ? nn_input_vector(m, C)
         : kind == 1 ? nn_input_sequence(m, 3, C)
                     : nn_input_image(m, C, 3, 2);
}

static int leaky(nn_model *m, int x) { return nn_leaky_relu(m, x, .2); }
static int elu(nn_model *m, int x) { return nn_elu(m, x, .7); }
static int clamp(nn_model *m, int x) { return nn_clamp(m, x, -.31, .57); }
static int drop(nn_model *m, int x) { return nn_dropout(m, x, .4); }
static int drop_channels(nn_model *m, int x) { return nn_dropout_channels(m, x, .4); }
static int prelu(nn_model *m, int x) { return nn_prelu(m, x, 0); }
static int prelus(nn_model *m, int x) { return nn_prelu(m, x, 1); }
static int one_group(nn_model *m, int x) { return nn_group_norm(m, x, 1); }
static const nn_norm_options frozen = {.01, .1, 1, 0, 1}, bare = {.01, .1, 1, 1, 0};
static int frozen_norm(nn_model *m, int x) { return nn_batch_norm_with(m, x, &frozen); }
static int bare_norm(nn_model *m, int x) { return nn_batch_norm_with(m, x, &bare); }
static int bare_layer(nn_model *m, int x) { return nn_layer_norm_with(m, x, &bare); }
static int instances(nn_model *m, int x) { /* of one number: flat */
  nn_node_info f;
  nn_get_node(m, x, &f);
  return f.rank > 1 ? nn_instance_norm(m, x) : nn_prelu(m, x, 1);
}
static int scaled(nn_model *m, int x) {
  static nn_real some[20];
  test_fill(some, COUNT(some), 8);
  return nn_normalise(m, x, some, some + 1);
}
/* inputs are within 1 of 0; what bends at 3 is shown more */
static int wide(nn_model *m, int x) {
  static const nn_real mean[18], scale[18] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
  return nn_normalise(m, x, mean, scale);
}
static int hard_sigmoid(nn_model *m, int x) { return nn_hard_sigmoid(m, wide(m, x)); }
static int hard_swish(nn_model *m, int x) { return nn_hard_swish(m, wide(m, x)); }

static void activations_and_norms(void) {
  static const struct {
    const char *name;
    int (*add)(nn_model *m, int x);
  } layers[] = {{"relu", nn_relu},         {"leaky_relu", leaky},
                {"elu", elu},              {"gelu", nn_gelu},
                {"silu", nn_silu},         {"softplus", nn_softplus},
                {"clamp", clamp},          {"hard_sigmoid", hard_sigmoid},
                {"tanh", nn_tanh},         {"hard_swish", hard_swish},
                {"sigmoid", nn_sigmoid},   {"softmax", nn_softmax},
                {"dropout", drop},         {"batch_norm", nn_batch_norm},
                {"normalise", scaled},     {"layer_norm", nn_layer_norm},
                {"drop_channels", drop_channels}, {"prelu", prelu},
                {"prelus", prelus},        {"group_norm", one_group},
                {"instances", instances},  {"frozen_norm", frozen_norm},
                {"bare_norm", bare_norm},  {"bare_layer", bare_layer}};
  int f, kind, C;
  for (f = 0; f < (int)COUNT(layers); f++)
    for (kind = 0; kind < 3; kind++)
      for (C = 1; C <= 18; C = C * 2 + 1) {
        int between;
        for (between = 0; between < 2; between++) { /* on an input; and on what a layer wrote */
          nn_model *m = begin(4);
          int x = input_of(m, kind, C);
          char what[60];
          sprintf(what, "%s kind %d C %d%s", layers[f].name, kind, C,
                  between ? " in the middle" : "");
          const int alone = layers[f].add == nn_layer_norm || layers[f].add == bare_layer;
          if (C == 1 && ((alone && kind < 2) || (layers[f].add == one_group && kind == 0))) {
            /* of one number: flat */
            nn_destroy(m);
            continue;
          }
          if (between) x = kind == 2 ? nn_conv2d(m, x, C, 1, 1, 0) : nn_linear(m, x, C);
          x = layers[f].add(m, x);
          if (between) kind == 2 ? nn_conv2d(m, x, 2, 1, 1, 0) : nn_linear(m, x, 2);
          if (!check_layers(m, 4, what)) return;
        }
      }
}

/* More rows than softmax takes at a time, and dropout that drops nothing, of what is used again. */
static void pieces_and_passes(void) {
  int kind, x;
  for (kind = 0; kind < 3; kind++) {
    nn_model *m = begin(9);
    nn_softmax(m, input_of(m, kind, 900));
    if (!check_layers(m, 9, "wide softmax")) return;
    m = begin(2);
    x = nn_tanh(m, input_of(m, kind, 5));
    nn_add(m, x, nn_dropout(m, x, 0));
    if (!check_layers(m, 2, "dropout of rate 0")) return;
  }
}

static void linear_and_joins(void) {
  int kind, C;
  for (kind = 0; kind < 3; kind++)
    for (C = 1; C <= 20; C += 3) {
      nn_model *m;
      int a, b;
      if (kind < 2) {
        m = begin(3);
        nn_linear(m, nn_linear_no_bias(m, input_of(m, kind, C), C + 2), 5);
        if (!check_layers(m, 3, "linear")) return;
      }
      m = begin(2);
      a = input_of(m, kind, C), b = input_of(m, kind, C);
      nn_add(m, a, nn_add(m, b, nn_add(m, a, a)));
      if (!check_layers(m, 2, "add")) return;
      m = begin(2);
      a = input_of(m, kind, C), b = input_of(m, kind, 3);
      nn_concat(m, nn_concat(m, a, nn_tanh(m, b)), nn_concat(m, a, b));
      if (!check_layers(m, 2, "concat")) return;
      m = begin(2);
      a = input_of(m, kind, C);
      if (kind) nn_linear(m, nn_flatten(m, nn_tanh(m, a)), 3);
      else nn_tanh(m, a);
      if (!check_layers(m, 2, "flatten")) return;
    }
}

static void shapes(void) {
  for (int kind = 0; kind < 3; kind++)
    for (int axis = 0; axis <= kind; axis++) {
      nn_model *m = begin(3);
      int x = nn_tanh(m, kind == 0 ? nn_input_vector(m, 6) : input_of(m, kind, 5));
      x = nn_concat_along(m, nn_slice(m, x, axis, 1, 1), x, axis);
      nn_concat_along(m, nn_concat_along(m, x, x, axis), nn_slice(m, x, axis, 0, 2), axis);
      if (!check_layers(m, 3, "slice and concat")) return;
      m = begin(2);
      x = input_of(m, kind, 4);
      nn_reshape(m, nn_tanh(m, x), 2, (int[2]){2, kind == 0 ? 2 : kind == 1 ? 6 : 12});
      if (!check_layers(m, 2, "reshape")) return;
      if (kind != 2) continue;
      m = begin(2);
      x = nn_linear(m, nn_image_to_sequence(m, input_of(m, kind, 4), axis & 1), 10);
      nn_conv2d(m, nn_sequence_to_image(m, x, 5, axis > 1), 2, 1, 1, 0);
      if (!check_layers(m, 2, "steps of an image")) return;
    }
  const int32_t lengths[4] = {2, 6, 4, 2};
  nn_batch b = batch_of(4);
  nn_model *m = begin(4);
  int x = nn_input_sequence(m, 6, 3);
  b.lengths = lengths;
  x = nn_linear(m, x, 4); /* whole steps of any length, both ways */
  const int y = nn_concat_along(m, nn_slice(m, nn_linear(m, x, 4), 0, 1, 5), x, 0);
  const int z = nn_adaptive_avg_pool1d(m, nn_pad1d(m, nn_upsample1d(m, y, 2), 1, 2), 3);
  const int halves = nn_reshape(m, y, 2, (int[2]){22, 2});
  const int wholes = nn_reshape(m, nn_tanh(m, halves), 2, (int[2]){11, 4});
  nn_concat(m, nn_concat(m, nn_last_step(m, y), nn_last_step(m, nn_conv1d(m, z, 2, 2, 1, 0))),
            nn_concat(m, nn_global_avg_pool(m, halves), nn_last_step(m, wholes)));
  check(m, &b, 0, "shapes of different lengths");
  nn_destroy(m);
}

static void embedding(void) {
  nn_model *m = begin(3);
  nn_linear(m, nn_embedding(m, nn_input_tokens(m, 6), 7, 5), 2);
  check_layers(m, 3, "embedding");
  m = begin(2);
  nn_gru(m, nn_embedding(m, nn_input_tokens(m, 4), 7, 9), 3);
  check_layers(m, 2, "embedding into gru");
}

/* Samples of different lengths through layers that join steps or take means over them. */
static void lengths_and_means(void) {
  const int32_t lengths[4] = {2, 4, 1, 3};
  for (int cell = 0; cell < CELLS; cell++) {
    nn_recurrent_options o = {4, 1, 0, 0, 0, 0};
    nn_batch b = batch_of(4);
    nn_model *m = begin(4);
    int x = nn_input_sequence(m, 4, 3), y;
    b.lengths = lengths;
    x = nn_batch_norm(m, nn_linear(m, x, 5));
    y = nn_batch_norm(m, add_cell(m, x, cell, &o));
    x = nn_concat(m, nn_layer_norm(m, x), nn_embedding(m, nn_input_tokens(m, 4), 7, 2));
    y = nn_concat(m, nn_group_norm(m, nn_prelu(m, nn_concat(m, x, y), 1), cell < 2 ? 1 : 11), y);
    nn_linear(m, nn_flatten(m, y), 3);
    const int held = check(m, &b, 0, "lengths and means");
    nn_destroy(m);
    if (!held) return;
  }
}

/* -------------------------------------------------------------------------------- the cells -- */

static void cells(void) {
  static const int shape[][4] = {
      /* n, T, F, H */ {1, 1, 1, 1}, {2, 3, 2, 3}, {3, 5, 4, 5}, {2, 2, 9, 17}, {4, 4, 3, 8}};
  size_t i;
  int cell, layers, how;
  for (cell = 0; cell < CELLS; cell++)
    for (i = 0; i < COUNT(shape); i++)
      for (layers = 1; layers <= 3; layers++)
        /* bits: lengths, last step only, dropout or layers below, both ways, states in and out */
        for (how = layers == 3 ? 5 : 0; how < (i < 2 ? 32 : 8); how++) {
          const int *s = shape[i];
          int n = s[0], T = s[1], F = s[2], k, x, held;
          nn_recurrent_options o = {0, 0, 0, 0, 0, 0};
          nn_model *m = begin(n);
          nn_batch b = batch_of(n);
          int32_t lengths[4];
          char what[100];
          sprintf(what, "cell %d n %d T %d F %d H %d layers %d how %d", cell, n, T, F, s[3], layers,
                  how);
          o.hidden = s[3], o.layers = layers, o.bidirectional = how / 8 % 2;
          x = nn_input_sequence(m, T, F);
          if (how & 4) {
            if (layers > 1) o.dropout = 0.3;
            else x = nn_tanh(m, nn_linear(m, x, F));
          }
          const int steps = x;
          x = add_cell(m, x, cell, &o);
          if (how & 16) x = add_cell_from(m, steps, nn_final_state(m, x), cell, &o);
          const int end = how & 2 && how & 16 ? nn_final_state(m, x) : -1;
          if (how & 2 && (end < 0 || layers > 1)) x = nn_last_step(m, x);
          if (end >= 0) x = layers > 1 ? nn_concat(m, x, end) : end;
          if (how & 2) x = nn_linear(m, x, 2);
          for (k = 0; k < n; k++) lengths[k] = 1 + (k * 3 + 1) % T;
          if (how & 1) b.lengths = lengths;
          held = check(m, &b, 0, what);
          nn_destroy(m);
          if (!held) return;
        }
}

/* Carried state: the gradient stops where the call begins, so with a state of nought it is that of
 * a cell without carry; and a second call, which starts from what the first left, is checked by
 * differences in that call alone. */
static void carried_state(void) {
  int cell;
  for (cell = 0; cell < CELLS; cell++) {
    enum { N = 2, T = 3, F = 2, H = 4 };
    nn_model *m = begin(N);
    nn_recurrent_options o = {H, 2, 0, 0, 1, 0};
    nn_real x1[N * T * F], x2[N * T * F], direction[N * T * H], *p, *g;
    nn_batch b1 = batch_of(N), b2 = batch_of(N);
    size_t count, i, j;
    int k;
    add_cell(m, nn_input_sequence(m, T, F), cell, &o);
    CHECK_OK(nn_build(m));
    spread(x1, N * T * F);
    test_fill(x2, N * T * F, 5);
    test_fill(direction, N * T * H, 6);
    b1.x[0] = x1, b2.x[0] = x2;
    p = nn_parameters(m, &count), g = nn_gradients(m, NULL);
    for (i = 0; i < (size_t)(N * T * F); i += 2) {
      double at[2], want, got = 0;
      for (k = 0; k < 3; k++) { /* at x, where the gradient is taken; then at x - h and x + h */
        const double h = 1e-5, old = (double)x2[i];
        const nn_real *y;
        nn_reset_state(m);
        CHECK_OK(nn_forward(m, &b1, 1));
        if (k) x2[i] = (nn_real)(old + (k == 1 ? -h : h));
        CHECK_OK(nn_forward(m, &b2, 1));
        x2[i] = (nn_real)old;
        y = nn_output(m);
        if (k)
          for (at[k - 1] = 0, j = 0; j < N * T * H; j++) at[k - 1] += (double)(direction[j] * y[j]);
        if (k) continue;
        nn_zero_gradients(m);
        CHECK_OK(nn_backward_from(m, direction));
        got = (double)nn_input_gradient(m, 0)[i];
        for (j = 0; j < count; j++) CHECK(g[j] == g[j] && p[j] == p[j]);
      }
      want = (at[1] - at[0]) / 2e-5;
      CHECK_NEAR(got, want, 1e-6);
    }
    nn_destroy(m);
  }
}

/* ------------------------------------------------------------------------------- the losses -- */

/* The loss as nn.h defines it, from the model's own output. */
static double cross_entropy_oracle(const nn_real *x, const int32_t *label, int rows, int K,
                                   double smoothing, const nn_real *weights) {
  double sum = 0, total = 0;
  int i, k;
  for (i = 0; i < rows; i++, x += K) {
    double top = -INFINITY, z = 0, wl;
    if (label[i] < 0) continue;
    wl = weights ? (double)weights[label[i]] : 1;
    for (k = 0; k < K; k++) top = (double)x[k] > top ? (double)x[k] : top;
    for (k = 0; k < K; k++) z += exp((double)x[k] - top);
    z = log(z) + top;
    for (k = 0; k < K; k++) {
      double w = weights ? (double)weights[k] : 1; /* PyTorch weighs the smoothed part by class */
      sum += (smoothing / K * w + (k == label[i] ? (1 - smoothing) * w : 0)) * (z - (double)x[k]);
    }
    total += wl;
  }
  return sum / total;
}

static void cross_entropy(void) {
  int kind, K, how;
  for (kind = 0; kind < 2; kind++)
    for (K = 1; K <= 19; K += 3)
      for (how = 0; how < 8; how++) { /* bits: smoothing, weights, labels left out */
        enum { N = 4 };
        int rows = kind ? 3 * N : N, i, held;
        nn_real weights[19];
        int32_t labels[3 * N];
        nn_batch b = batch_of(N);
        nn_model *m = begin(N);
        double loss = 0, smoothing = how & 1 ? 0.15 : 0;
        char what[60];
        sprintf(what, "cross_entropy kind %d K %d how %d", kind, K, how);
        for (i = 0; i < K; i++) weights[i] = (nn_real)(0.3 + 0.2 * i);
        for (i = 0; i < rows; i++) labels[i] = how & 4 && i % 3 == 1 ? -1 : i * 5 % K;
        b.labels = labels;
        nn_cross_entropy_with(m, input_of(m, kind, K), smoothing, how & 2 ? weights : NULL);
        held = check(m, &b, 1, what);
        if (held) {
          nn_real *x = test_reals((size_t)(rows * K));
          test_fill(x, (size_t)(rows * K), 3);
          for (i = 0; i < rows * K; i++) x[i] *= 30;
          b.x[0] = x;
          CHECK_OK(nn_forward(m, &b, 0));
          CHECK_OK(nn_loss(m, &b, &loss, NULL));
          held = CHECK_NEAR(
              loss, cross_entropy_oracle(x, labels, rows, K, smoothing, how & 2 ? weights : NULL),
              1e-12);
          if (!held) fprintf(stderr, "    %s\n", what);
          free(x);
        }
        nn_destroy(m);
        if (!held) return;
      }
}

static void cross_entropy_counts(void) {
  nn_model *m = begin(3);
  nn_real x[9] = {1, 2, 3, /**/ 5, 4, 5, /**/ 0, 9, 0};
  int32_t labels[3] = {2, 0, 1};
  nn_batch b = batch_of(3);
  double loss;
  int64_t correct = -1;
  nn_cross_entropy(m, nn_input_vector(m, 3));
  b.x[0] = x, b.labels = labels;
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_forward(m, &b, 0));
  CHECK_OK(nn_loss(m, &b, &loss, &correct));
  CHECK(correct == 2 || correct == 3); /* a tie may go either way, but stays within this */
  labels[0] = 0, labels[2] = -1;
  CHECK_OK(nn_loss(m, &b, NULL, &correct));
  CHECK(correct <= 1);
  labels[0] = 3;
  CHECK_STATUS(nn_loss(m, &b, &loss, &correct), NN_ERR_ARGUMENT);
  labels[0] = -2;
  CHECK_STATUS(nn_loss(m, &b, &loss, &correct), NN_ERR_ARGUMENT);
  b.labels = NULL;
  CHECK_STATUS(nn_loss(m, &b, &loss, &correct), NN_ERR_ARGUMENT);
  nn_destroy(m);
}

/* Logits of any size leave the loss and its gradient finite. */
static void losses_of_extremes(void) {
  static const double big[] = {1e30, -1e30, 700, -700, 1e-30, 0};
  int kind, i;
  size_t j;
  for (kind = 0; kind < 2; kind++)
    for (i = 0; i < (int)COUNT(big); i++) {
      nn_model *m = begin(2);
      nn_real x[6], values[6] = {0, 1, 0.5, 1, 0, 0.25};
      int32_t labels[2] = {0, 2};
      nn_batch b = batch_of(2);
      double loss = NAN;
      for (j = 0; j < 6; j++) x[j] = (nn_real)((j % 2 ? 1 : -1) * big[i]);
      b.x[0] = x, b.labels = labels, b.values = values;
      if (kind) nn_binary_cross_entropy(m, nn_input_vector(m, 3));
      else nn_cross_entropy(m, nn_input_vector(m, 3));
      CHECK_OK(nn_build(m));
      CHECK_OK(nn_forward(m, &b, 1));
      CHECK_OK(nn_loss(m, &b, &loss, NULL));
      CHECK(loss >= 0 && loss < 1e31);
      CHECK_OK(nn_backward(m));
      for (j = 0; j < 6; j++) CHECK(fabs((double)nn_input_gradient(m, 0)[j]) <= 1);
      nn_destroy(m);
    }
}

static void value_losses(void) {
  int kind, shape, C;
  for (kind = 0; kind < 2; kind++)
    for (shape = 0; shape < 3; shape++)
      for (C = 1; C <= 17; C += 4) {
        enum { N = 3 };
        int size = N * C * (shape == 0 ? 1 : shape == 1 ? 3 : 6), i, held;
        nn_real *y = test_reals((size_t)size), *x = test_reals((size_t)size);
        nn_batch b = batch_of(N);
        nn_model *m = begin(N);
        double loss = 0, want = 0;
        test_fill(y, (size_t)size, 8);
        if (kind)
          for (i = 0; i < size; i++) y[i] = (y[i] + 1) / 2;
        b.values = y;
        if (kind) nn_binary_cross_entropy(m, input_of(m, shape, C));
        else nn_mean_squared_error(m, input_of(m, shape, C));
        held = check(m, &b, 1, kind ? "binary_cross_entropy" : "mean_squared_error");
        test_fill(x, (size_t)size, 9);
        b.x[0] = x;
        CHECK_OK(nn_forward(m, &b, 0));
        CHECK_OK(nn_loss(m, &b, &loss, NULL));
        for (i = 0; i < size; i++) {
          double p = (double)x[i], t = (double)y[i];
          want += (kind ? -t * log(1 / (1 + exp(-p))) - (1 - t) * log(1 / (1 + exp(p)))
                        : (p - t) * (p - t)) /
                  size;
        }
        CHECK_NEAR(loss, want, 1e-12);
        b.values = NULL;
        CHECK_STATUS(nn_loss(m, &b, &loss, NULL), NN_ERR_ARGUMENT);
        free(x);
        free(y);
        nn_destroy(m);
        if (!held) return;
      }
}

/* l(x,y) of nn.h, w: pos_weight. */
static double element_oracle(const nn_loss_options *o, double x, double y, double w) {
  const double e = fabs(x - y), p = 1 / (1 + exp(-x));
  switch (o->kind) {
    case NN_SQUARED_ERROR: return e * e;
    case NN_HUBER: return e <= o->delta ? e * e / 2 : o->delta * (e - o->delta / 2);
    case NN_ABSOLUTE_ERROR: return e;
    default: return -w * y * log(p) - (1 - y) * log(1 - p);
  }
}

/* The loss as nn.h defines it, of samples [n, C, places] (images) or [n, places, C]; each: labels
 * or targets a sample. */
static double loss_oracle(const nn_loss_options *o, const nn_batch *b, const nn_real *x, int C,
                          int places, int image, int each) {
  double sum = 0, total = 0;
  for (int i = 0; i < b->n; i++)
    for (int p = 0; p < places; p++) {
      const double u = b->weights ? (double)b->weights[i] : 1;
      double row[20], top = -INFINITY, z = 0;
      if (b->lengths && p >= b->lengths[i]) continue;
      for (int j = 0; j < C; j++) {
        const int at = image ? j * places + p : p * C + j;
        row[j] = (double)x[i * C * places + at];
        top = fmax(top, row[j]);
        if (o->kind == NN_CROSS_ENTROPY) continue;
        const double y = (double)b->values[i * each + o->from + at];
        sum += u * element_oracle(o, row[j], y, o->weights ? (double)o->weights[j] : 1);
        total += u;
      }
      if (o->kind != NN_CROSS_ENTROPY) continue;
      const int32_t label = b->labels[i * each + o->from + p];
      if (label == -1 || label == o->ignored) continue;
      for (int j = 0; j < C; j++) z += exp(row[j] - top);
      for (int j = 0; j < C; j++)
        sum += u * (o->weights ? (double)o->weights[j] : 1) * (log(z) + top - row[j]) *
               (o->smoothing / C + (j == label ? 1 - o->smoothing : 0));
      total += u * (o->weights ? (double)o->weights[label] : 1);
    }
  return o->weight * (o->sum ? sum : sum / total);
}

/* Two losses at once, of all kinds, shapes and options: on one node, or on two. */
static void any_losses(void) {
  enum { N = 3 };
  dice_state = 11;
  for (int i = 0; i < 120; i++) {
    const int shape = dice(0, 2), C = dice(2, 9), places = shape == 0 ? 1 : shape == 1 ? 3 : 6;
    const int apart = dice(0, 1), rows = N * 2 * places;
    nn_model *m = begin(N);
    nn_loss_options o[2];
    nn_real weights[2][9], samples[N], *x = test_reals((size_t)(N * C * places));
    nn_real *values = test_reals((size_t)(rows * C));
    int32_t *labels = (int32_t *)test_memory((size_t)rows * sizeof *labels), lengths[N] = {2, 3, 1};
    nn_batch b = batch_of(N);
    char what[80];
    int node[2], each[2] = {0, 0};
    double loss = 0;
    sprintf(what, "losses %d, shape %d, C %d, apart %d", i, shape, C, apart);
    node[0] = node[1] = nn_relu(m, wide(m, input_of(m, shape, C)));
    if (apart) node[1] = nn_tanh(m, node[0]);
    for (int k = 0; k < 2; k++) {
      const int share = dice(0, 1);
      o[k] = nn_loss_default((nn_loss_kind)dice(0, 4));
      const int labelled = o[k].kind == NN_CROSS_ENTROPY;
      if (dice(0, 1)) o[k].weight = dice(1, 20) * .1;
      o[k].sum = dice(0, 1);
      if (o[k].kind == NN_HUBER) o[k].delta = .3 * dice(1, 4);
      if (labelled) o[k].smoothing = .1 * dice(0, 2), o[k].ignored = dice(-2, C - 2);
      test_fill(weights[k], 9, (uint32_t)i + 7);
      for (int j = 0; j < 9; j++) weights[k][j] += 1;
      const int weighted = labelled || o[k].kind == NN_BINARY_CROSS_ENTROPY;
      if (dice(0, 1) && weighted) o[k].weights = weights[k];
      if (k && share) o[k].from = places * (labelled ? 1 : C);
      const int end = o[k].from + places * (labelled ? 1 : C);
      if (end > each[labelled]) each[labelled] = end;
      CHECK(nn_loss_with(m, node[k], &o[k]) > 0);
    }
    test_fill(values, (size_t)(rows * C), (uint32_t)i), test_fill(samples, N, (uint32_t)i + 1);
    for (int k = 0; k < rows * C; k++) values[k] = (values[k] + 1) / 2;
    for (int k = 0; k < N; k++) samples[k] = dice(0, 4) ? samples[k] + 1 : 0;
    samples[2] = 1;
    for (int k = 0; k < rows; k++) labels[k] = k % 5 == 1 ? -1 : dice(0, C - 1);
    for (int k = 0; k < rows; k++) /* another value, which only the first loss leaves out */
      if (o[0].kind == NN_CROSS_ENTROPY && o[1].kind != NN_CROSS_ENTROPY && k % 7 == 2)
        labels[k] = o[0].ignored;
    b.labels = labels, b.values = values;
    if (dice(0, 1)) b.weights = samples;
    if (shape == 1 && dice(0, 1)) b.lengths = lengths;
    int held = check(m, &b, 1, what);
    test_fill(x, (size_t)(N * C * places), (uint32_t)i + 3);
    b.x[0] = x;
    CHECK_OK(nn_forward(m, &b, 0));
    CHECK_OK(nn_loss(m, &b, &loss, NULL));
    double want = 0;
    for (int k = 0; k < N * C * places; k++) x[k] = (nn_real)fmax(7 * (double)x[k], 0);
    for (int k = 0; k < 2; k++) {
      const int labelled = o[k].kind == NN_CROSS_ENTROPY;
      for (int j = 0; k && apart && j < N * C * places; j++) x[j] = (nn_real)tanh((double)x[j]);
      const double own = loss_oracle(&o[k], &b, x, C, places, shape == 2, each[labelled]);
      want += own == own ? own : 0; /* 0/0 */
    }
    held = held && CHECK_NEAR(loss, want, 1e-12);
    if (!held) fprintf(stderr, "    %s\n", what);
    free(x), free(values), free(labels);
    nn_destroy(m);
    if (!held) return;
  }
}

/* Layers of one's own on every shape, with lengths, on inputs and between layers; one that does
 * what two built-in ones do, and a loss that is one. */
static void custom(void) {
  for (int i = 0; i < 24; i++) {
    enum { N = 3 };
    const int shape = i % 3, C = 2 + i / 6, between = i / 3 % 2;
    const int size = C * (shape == 0 ? 1 : shape == 1 ? 3 : 6);
    nn_model *m = begin(N), *twin = begin(N);
    nn_custom_loss own = {"half", 1, 0, half_square, NULL};
    nn_real x[N * 80], values[N * 80], samples[N] = {1, 2, (nn_real).5};
    int32_t labels[N] = {1, -2, 3}, lengths[N] = {3, 1, 2};
    nn_batch b = batch_of(N);
    nn_param p, q;
    double loss = 0, want = 0;
    char what[40];
    sprintf(what, "custom %d", i);
    own.values = size;
    test_fill(x, COUNT(x), 1), test_fill(values, COUNT(values), 2);
    b.labels = labels, b.values = values, b.weights = samples;
    if (shape == 1 && i % 4 == 1) b.lengths = lengths;
    int y = input_of(m, shape, C);
    if (between) y = nn_silu(m, y);
    y = mix(m, y, between ? nn_tanh(m, y) : y);
    if (i % 4 < 2) y = nn_relu(m, y);
    CHECK(nn_custom_loss_with(m, y, &own, 1.5) > 0);
    int held = check(m, &b, 1, what);
    nn_destroy(m);
    m = begin(N); /* the other layer, and both losses */
    y = nn_gelu(m, input_of(m, shape, C));
    y = nn_tanh(m, nn_custom(m, &y, 1, &sum_layer));
    own.values = 3;
    int z = nn_sigmoid(m, y);
    nn_custom_loss_with(m, y, &own, 1.5);
    nn_mean_squared_error(m, z);
    held = held && check(m, &b, 1, what);
    y = nn_gelu(twin, input_of(twin, shape, C));
    y = nn_tanh(twin, nn_linear_no_bias(twin, nn_flatten(twin, y), 3));
    z = nn_sigmoid(twin, y);
    nn_loss_options o = nn_loss_default(NN_SQUARED_ERROR);
    o.weight = .75;
    nn_loss_with(twin, y, &o);
    nn_mean_squared_error(twin, z);
    CHECK_OK(nn_build(twin));
    CHECK_OK(nn_find_param(m, "custom1.weight", &p));
    CHECK_OK(nn_find_param(twin, "linear1.weight", &q));
    memcpy(q.value, p.value, p.count * sizeof *p.value);
    b.x[0] = x, b.lengths = NULL, labels[0] = labels[1] = labels[2] = 0;
    CHECK_OK(nn_forward(m, &b, 1)), CHECK_OK(nn_forward(twin, &b, 1));
    CHECK_NEAR_ALL(nn_output(m), nn_output(twin), N * 3, 1e-13);
    CHECK_OK(nn_loss(m, &b, &loss, NULL)), CHECK_OK(nn_loss(twin, &b, &want, NULL));
    CHECK_NEAR(loss, want, 1e-13);
    CHECK_OK(nn_backward(m)), CHECK_OK(nn_backward(twin));
    CHECK_NEAR_ALL(nn_input_gradient(m, 0), nn_input_gradient(twin, 0), N * size, 1e-13);
    nn_destroy(m), nn_destroy(twin);
    if (!held) return;
  }
}

/* --------------------------------------------------------------------------- whole networks -- */

static void networks(void) {
  nn_batch b = batch_of(3);
  int32_t labels[3] = {1, 0, 2};
  nn_model *m;
  int x, y, z, k;
  b.labels = labels;
  m = begin(3); /* LeNet5, thin */
  x = nn_relu(m, nn_conv2d(m, nn_input_image(m, 1, 12, 12), 3, 5, 1, 2));
  x = nn_max_pool2d(m, x, 2, 2, 0);
  x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 4, 5, 1, 2)), 2, 2, 0);
  x = nn_dropout(m, nn_relu(m, nn_linear(m, nn_flatten(m, x), 9)), 0.5);
  nn_cross_entropy(m, nn_linear(m, x, 4));
  check(m, &b, 1, "LeNet5");
  nn_destroy(m);

  m = begin(3); /* residual blocks with batch norm; a node read three times */
  x = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, nn_input_image(m, 2, 6, 5), 4, 3, 1, 1)));
  for (k = 0; k < 2; k++) {
    y = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, x, 4, 3, 1, 1)));
    x = nn_relu(m, nn_add(m, nn_batch_norm(m, nn_conv2d(m, y, 4, 3, 1, 1)), x));
  }
  y = nn_global_avg_pool(m, x), z = nn_global_max_pool(m, x);
  nn_cross_entropy(m, nn_linear(m, nn_concat(m, y, z), 3));
  check(m, &b, 1, "residual net");
  nn_destroy(m);

  m = begin(3); /* densely joined, every activation, in-place chains */
  x = nn_input_image(m, 3, 6, 6);
  for (k = 0; k < 3; k++) {
    y = nn_silu(m, nn_conv2d(m, x, 2, 3, 1, 1));
    y = nn_tanh(m, nn_dropout(m, nn_sigmoid(m, y), 0.2));
    x = nn_concat(m, x, y);
  }
  x = nn_layer_norm(m, nn_avg_pool2d(m, x, 2, 2, 0));
  x = nn_gelu(m, nn_linear(m, nn_flatten(m, nn_leaky_relu(m, x, 0.1)), 5));
  nn_cross_entropy(m, nn_linear(m, nn_tanh(m, nn_tanh(m, nn_relu(m, x))), 3));
  check(m, &b, 1, "dense net");
  nn_destroy(m);

  m = begin(3); /* different cells on one input, layer norm between, a skip round a cell */
  x = nn_input_sequence(m, 4, 3);
  y = nn_layer_norm(m, nn_gru(m, x, 5));
  z = nn_lstm(m, x, 5);
  x = nn_add(m, nn_add(m, y, z), nn_rnn(m, nn_add(m, y, z), 5));
  nn_cross_entropy(m, nn_linear(m, nn_last_step(m, x), 3));
  check(m, &b, 1, "cells side by side");
  nn_destroy(m);
}

/* ---------------------------------------------------------------------------- random graphs -- */

static void random_graphs(void) {
  int seed, k;
  parameter_scale = 0.5;
  for (seed = 1; seed <= 60; seed++) {
    enum { N = 4 };
    nn_model *m = begin(N);
    int32_t labels[N] = {1, 0, 2, 1}, lengths[N];
    nn_batch b = batch_of(N);
    nn_node_info f;
    char what[40];
    int y = graph(m, seed), held;
    sprintf(what, "graph %d", seed);
    for (k = 0; k < N; k++) lengths[k] = 1 + (k + 1) % GRAPH_STEPS;
    b.labels = labels;
    for (k = dice(0, 1) ? y : -1; k >= 0; k--)
      if (nn_get_node(m, k, &f) == NN_OK && f.rank == 2) b.lengths = lengths;
    nn_get_node(m, y, &f);
    if (seed % 2) nn_cross_entropy(m, nn_linear(m, f.rank > 1 ? nn_flatten(m, y) : y, 3));
    held = check(m, &b, seed % 2, what);
    nn_destroy(m);
    if (!held) break;
  }
  parameter_scale = 1;
}

/* The gradients of two backward passes add up. */
static void gradients_add_up(void) {
  nn_model *m = begin(2);
  nn_real x[2][8], one[2][64], both[64];
  int32_t labels[2] = {1, 0};
  nn_batch b = batch_of(2);
  size_t count, i;
  int k;
  nn_cross_entropy(m, nn_linear(m, nn_tanh(m, nn_linear(m, nn_input_vector(m, 4), 5)), 2));
  CHECK_OK(nn_build(m));
  nn_parameters(m, &count);
  CHECK(count <= 64);
  for (k = 0; k < 3; k++) {
    if (k != 1) nn_zero_gradients(m);
    if (k < 2) test_fill(x[k], 8, (uint32_t)k + 1);
    b.x[0] = x[k == 2 ? 1 : k], b.labels = labels;
    CHECK_OK(nn_forward(m, &b, 1));
    CHECK_OK(nn_loss(m, &b, NULL, NULL));
    CHECK_OK(nn_backward(m));
    memcpy(k == 1 ? both : one[k / 2], nn_gradients(m, NULL), count * sizeof(nn_real));
  }
  for (i = 0; i < count; i++) CHECK_NEAR(both[i], (double)one[0][i] + (double)one[1][i], 1e-14);
  nn_destroy(m);
}

int main(void) {
  test_isa();
  if (sizeof(nn_real) != sizeof(double)) {
    fprintf(stderr, "test_gradients needs -DNN_REAL=double\n");
    return 1;
  }
  RUN(conv2d_usual);
  RUN(conv2d_any);
  RUN(conv2d_small);
  RUN(conv1d_any);
  RUN(conv_transpose_any);
  RUN(pools);
  RUN(max_pool_ties);
  RUN(activations_and_norms);
  RUN(pieces_and_passes);
  RUN(linear_and_joins);
  RUN(shapes);
  RUN(embedding);
  RUN(lengths_and_means);
  RUN(cells);
  RUN(carried_state);
  RUN(cross_entropy);
  RUN(cross_entropy_counts);
  RUN(losses_of_extremes);
  RUN(value_losses);
  RUN(any_losses);
  RUN(custom);
  RUN(networks);
  RUN(random_graphs);
  RUN(gradients_add_up);
  return test_end("gradients");
}
#endif
