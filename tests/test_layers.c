/* Every layer's forward pass against its definition, written here once more in double precision and
 * without any of the engine's code; shapes; what is refused while describing a model, and how. */
#include "graphs.h"

static const double EPS = sizeof(nn_real) == 4 ? 1.2e-7 : 2.3e-16;

/* Each layer runs in a model for inference, and in one for training without and with the training
 * flag. */
enum { INFERENCE, EVALUATION, TRAINING, MODES };
#ifdef NN_NO_TRAINING
enum { LAST_MODE = INFERENCE };
#else
enum { LAST_MODE = TRAINING };
#endif

/* Layers are compared with exact sums; only conv2d_winograd asks for the other way. */
static int direct_convolution = 1;

static nn_model *begin(int batch, int mode) {
  nn_config c = test_config();
  c.direct_convolution = direct_convolution;
  nn_model *m;
  c.batch = batch;
  c.inference = mode == INFERENCE;
  m = nn_create(&c);
  CHECK(m != NULL);
  return m;
}

/* Builds, and gives every parameter and buffer a value that is not its initial one. */
static int ready(nn_model *m) {
  int i, count;
  if (!CHECK_OK(nn_build(m))) {
    fprintf(stderr, "    %s\n", nn_error(m));
    return 0;
  }
  count = nn_param_count(m);
  for (i = 0; i < count; i++) {
    nn_param p;
    size_t j;
    if (!CHECK_OK(nn_get_param(m, i, &p))) return 0;
    test_fill(p.value, p.count, (uint32_t)i + 77);
    if (strstr(p.name, "running_var"))
      for (j = 0; j < p.count; j++) p.value[j] += (nn_real)1.5;
  }
  return 1;
}

static const nn_real *forward(nn_model *m, int n, const nn_real *x, const int32_t *lengths,
                              int mode) {
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = n, b.x[0] = x, b.lengths = lengths;
  if (!CHECK_OK(nn_forward(m, &b, mode == TRAINING))) {
    fprintf(stderr, "    %s\n", nn_error(m));
    return NULL;
  }
  return nn_output(m);
}

static const nn_real *param(nn_model *m, const char *name) {
  nn_param p;
  if (!CHECK_OK(nn_find_param(m, name, &p))) {
    fprintf(stderr, "    no %s\n", name);
    return NULL;
  }
  return p.value;
}

/* Compares with what the oracle got; tol is relative to max(1, |want|). */
static int agree(const nn_real *got, const double *want, size_t n, double tol, const char *what) {
  size_t i;
  if (!got) return CHECK(got != NULL);
  for (i = 0; i < n; i++) {
    double size = fabs(want[i]) > 1 ? fabs(want[i]) : 1;
    if ((double)got[i] == want[i] || fabs((double)got[i] - want[i]) <= tol * size) continue;
    if (test_fail(__FILE__, __LINE__))
      fprintf(stderr, "%s: y[%lu] = %.9g, wanted %.9g\n", what, (unsigned long)i, (double)got[i],
              want[i]);
    return 0;
  }
  return 1;
}

static double *doubles(size_t n) { return (double *)test_memory(n * sizeof(double)); }
static nn_real *inputs(size_t n, uint32_t seed) {
  nn_real *x = test_reals(n);
  test_fill(x, n, seed);
  return x;
}
static int same_dims(nn_model *m, int node, int rank, int a, int b, int c) {
  nn_node_info i;
  return CHECK_OK(nn_get_node(m, node, &i)) && CHECK_INT(i.rank, rank) && CHECK_INT(i.dim[0], a) &&
         (rank < 2 || CHECK_INT(i.dim[1], b)) && (rank < 3 || CHECK_INT(i.dim[2], c));
}

/* ---------------------------------------------------------------- convolution and pooling ---- */

/* The five lines that nn.h gives as the definition. x [n,C,H,W] -> y [n,O,OH,OW]. */
static void conv_oracle(const nn_conv2d_options *o, int n, int C, int H, int W, int OH, int OW,
                        const nn_real *x, const nn_real *w, const nn_real *bias, double *y) {
  int s, k, i, j, c, u, v, per = C / o->groups, maps = o->out / o->groups;
  for (s = 0; s < n; s++)
    for (k = 0; k < o->out; k++, y += OH * OW) {
      for (i = 0; i < OH * OW; i++) y[i] = bias ? (double)bias[k] : 0;
      for (c = 0; c < per; c++)
        for (u = 0; u < o->kernel_h; u++)
          for (v = 0; v < o->kernel_w; v++) {
            const double weight = (double)w[((k * per + c) * o->kernel_h + u) * o->kernel_w + v];
            const int left = v * o->dilation_w - o->pad_w, step = o->stride_w;
            const int first = left < 0 ? (step - 1 - left) / step : 0;
            const int last = left < W ? (W - 1 - left) / step : -1; /* of those inside the row */
            const int end = last + 1 < OW ? last + 1 : OW;
            for (i = 0; i < OH; i++) {
              const int r = i * o->stride_h + u * o->dilation_h - o->pad_h;
              const int at = ((s * C + k / maps * per + c) * H + r) * W + left;
              if (r < 0 || r >= H) continue;
              for (j = first; j < end; j++) y[i * OW + j] += weight * (double)x[at + j * step];
            }
          }
    }
}

static int conv_case(int n, int C, int H, int W, nn_conv2d_options o) {
  int OH = H + 2 * o.pad_h - o.dilation_h * (o.kernel_h - 1) - 1, mode, held = 1;
  int OW = W + 2 * o.pad_w - o.dilation_w * (o.kernel_w - 1) - 1, oh, ow;
  size_t size = 0, k;
  nn_real *x = NULL;
  double *want = NULL, tol = 0, square = 0;
  char what[160];
  sprintf(what,
          "conv n %d C %d H %d W %d out %d kernel %dx%d stride %dx%d pad %dx%d dilation %dx%d "
          "groups %d",
          n, C, H, W, o.out, o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.pad_h, o.pad_w,
          o.dilation_h, o.dilation_w, o.groups);
  for (mode = 0; mode <= LAST_MODE && held; mode++) {
    nn_model *m = begin(n, mode);
    int y = nn_conv2d_with(m, nn_input_image(m, C, H, W), &o);
    if (OH < 0 || OW < 0) {
      held = CHECK_INT(y, -1) && CHECK_STATUS(nn_build(m), NN_ERR_SHAPE);
      nn_destroy(m);
      continue;
    }
    oh = OH / o.stride_h + 1, ow = OW / o.stride_w + 1;
    held = ready(m) && same_dims(m, y, 3, o.out, oh, ow);
    if (held && !want) { /* every mode has the same inputs and parameters */
      size = (size_t)(n * o.out * oh * ow), want = doubles(size);
      x = inputs((size_t)(n * C * H * W), 5);
      conv_oracle(&o, n, C, H, W, oh, ow, x, param(m, "conv1.weight"),
                  o.no_bias ? NULL : param(m, "conv1.bias"), want);
      tol = EPS * (C / o.groups * o.kernel_h * o.kernel_w + 8);
      /* Winograd's error is stated against the root mean square of the outputs. */
      for (k = 0; k < size; k++) square += want[k] * want[k];
      if (!direct_convolution) tol += 840 * EPS * sqrt(square / (double)size);
    }
    held = held && agree(forward(m, n, x, NULL, mode), want, size, tol, what);
    if (!held) fprintf(stderr, "    %s, mode %d\n", what, mode);
    nn_destroy(m);
  }
  free(x);
  free(want);
  return held;
}

static nn_conv2d_options conv_options(int out, int kernel, int stride, int pad, int groups) {
  nn_conv2d_options o;
  memset(&o, 0, sizeof o);
  o.out = out, o.kernel_h = o.kernel_w = kernel, o.stride_h = o.stride_w = stride;
  o.pad_h = o.pad_w = pad, o.dilation_h = o.dilation_w = 1, o.groups = groups;
  return o;
}

static void conv2d_usual(void) {
  static const int shape[][8] = {
      /* n, C, H, W, out, kernel, stride, pad */
      {2, 1, 28, 28, 32, 5, 1, 2}, {2, 32, 14, 14, 64, 5, 1, 2}, {3, 3, 32, 32, 6, 5, 1, 0},
      {2, 8, 9, 9, 16, 3, 1, 1},   {2, 3, 31, 29, 8, 7, 2, 3},   {2, 16, 7, 7, 33, 1, 1, 0},
      {2, 16, 7, 7, 12, 1, 2, 0},  {1, 1, 1, 1, 1, 1, 1, 0},     {1, 1, 1, 1, 3, 3, 1, 1},
      {1, 5, 3, 3, 7, 3, 1, 0},    {1, 4, 17, 5, 4, 3, 3, 1},    {2, 2, 11, 40, 17, 4, 4, 0},
      {1, 2, 6, 6, 2, 9, 1, 4},    {1, 1, 4, 70, 2, 3, 1, 1},    {1, 1, 70, 4, 2, 3, 1, 1}};
  size_t i;
  for (i = 0; i < COUNT(shape); i++) {
    const int *s = shape[i];
    if (!conv_case(s[0], s[1], s[2], s[3], conv_options(s[4], s[5], s[6], s[7], 1))) return;
  }
}

/* 3x3 and 5x5 windows with channels enough, at every way tiles can stick out of the image. */
static void conv2d_winograd(void) {
  int i;
  dice_state = 3;
  direct_convolution = 0;
  for (i = 0; i < 40; i++) {
    int kernel = i & 1 ? 5 : 3, C = dice(16, 40);
    nn_conv2d_options o = conv_options(dice(16, 70), kernel, 1, 0, 1);
    o.pad_h = dice(0, kernel - 1), o.pad_w = dice(0, kernel - 1);
    o.no_bias = i % 5 == 0;
    if (!conv_case(dice(5, 7), C, dice(10, 26), dice(10, 26), o)) break;
  }
  direct_convolution = 1;
}

/* What a convolution should give at one place, numbered as its array is: an output, the gradient of
 * an input or that of a weight. */
enum { OUTPUT, DATA, WEIGHT, PRODUCTS };
typedef struct Wide {
  int n, C, O, side, kernel;
  const nn_real *x, *w, *dy;
} Wide;
static double wide_oracle(const Wide *q, int product, size_t at) {
  const int S = q->side, K = q->kernel, pad = K / 2;
  int s, c, k, i, j, u, v;
  double sum = 0;
#define EACH(a, most) for (a = 0; a < (most); a++)
  if (product == WEIGHT) {
    v = (int)(at % (size_t)K), u = (int)(at / (size_t)K % (size_t)K), at /= (size_t)(K * K);
    c = (int)(at % (size_t)q->C), k = (int)(at / (size_t)q->C);
    EACH(s, q->n) EACH(i, S) EACH(j, S) {
      const int r = i + u - pad, t = j + v - pad;
      if (r < 0 || t < 0 || r >= S || t >= S) continue;
      sum += (double)q->dy[((s * q->O + k) * S + i) * S + j] *
             (double)q->x[((s * q->C + c) * S + r) * S + t];
    }
    return sum;
  }
  const int here = product == OUTPUT ? q->O : q->C, there = product == OUTPUT ? q->C : q->O;
  const nn_real *from = product == OUTPUT ? q->x : q->dy;
  j = (int)(at % (size_t)S), i = (int)(at / (size_t)S % (size_t)S), at /= (size_t)(S * S);
  k = (int)(at % (size_t)here), s = (int)(at / (size_t)here);
  EACH(c, there) EACH(u, K) EACH(v, K) {
    const int r = product == OUTPUT ? i + u - pad : i - u + pad;
    const int t = product == OUTPUT ? j + v - pad : j - v + pad;
    const int w = product == OUTPUT ? k * q->C + c : c * q->C + k;
    if (r < 0 || t < 0 || r >= S || t >= S) continue;
    sum += (double)q->w[(w * K + u) * K + v] *
           (double)from[((s * there + c) * S + r) * S + t];
  }
#undef EACH
  return sum;
}

/* The errors of a sample of `size` numbers against what nn.h states: of their root mean square, one
 * below 1e-4, their own root mean square below 7e-6. */
static int wide_errors(const Wide *q, int product, const nn_real *got, size_t size) {
  enum { SAMPLE = 500 };
  static const char *const name[PRODUCTS] = {"outputs", "gradient of x", "gradient of w"};
  double square = 0, errors = 0, most = 0, root;
  size_t i;
  if (!CHECK(got != NULL)) return 0;
  for (i = 0; i < size; i++) square += (double)got[i] * (double)got[i];
  root = sqrt(square / (double)size);
  for (i = 0; i < SAMPLE; i++) {
    const size_t at = (size_t)((uint32_t)i * 2654435761u) % size;
    const double error = fabs((double)got[at] - wide_oracle(q, product, at)) / root;
    errors += error * error;
    if (!(error <= most)) most = error;
  }
  errors = sqrt(errors / SAMPLE);
  if (getenv("NN_VERBOSE"))
    printf("%d -> %d, %d: %s %.1e, rms %.1e\n", q->C, q->O, q->kernel, name[product], most, errors);
  if (CHECK(most < 1e-4) && CHECK(errors < 7e-6)) return 1;
  fprintf(stderr, "    %d -> %d channels, kernel %d: %s off by %.2e, root mean square %.2e\n", q->C,
          q->O, q->kernel, name[product], most, errors);
  return 0;
}

/* The errors that nn.h states, up to the most channels that go this way. */
static void conv2d_winograd_wide(void) {
  static const int shape[][3] = {{16, 16, 3},   {32, 64, 3},   {128, 128, 3}, {512, 128, 3},
                                 {128, 512, 3}, {2048, 32, 3}, {4096, 16, 3}, {32, 64, 5},
                                 {512, 128, 5}, {2048, 32, 5}};
  size_t i;
  direct_convolution = 0;
  for (i = 0; i < COUNT(shape); i++) {
    Wide q = {2, shape[i][0], shape[i][1], 12, shape[i][2], NULL, NULL, NULL};
    const size_t xs = (size_t)(q.n * q.C * q.side * q.side);
    const size_t ys = (size_t)(q.n * q.O * q.side * q.side);
    nn_config config = test_config();
    nn_model *m;
    nn_real *x = inputs(xs, (uint32_t)i + 1), *dy = inputs(ys, (uint32_t)i + 100);
    nn_conv2d_options o = conv_options(q.O, q.kernel, 1, q.kernel / 2, 1);
    o.no_bias = 1, config.batch = q.n, config.input_gradient = 1;
    m = nn_create(&config);
    nn_conv2d_with(m, nn_input_image(m, q.C, q.side, q.side), &o);
    if (sizeof(size_t) < 8 && i >= 8) { /* more than 32 bits allow */
      CHECK_STATUS(nn_build(m), NN_ERR_LIMIT);
    } else if (ready(m)) {
      q.x = x, q.dy = dy, q.w = param(m, "conv1.weight");
      wide_errors(&q, OUTPUT, forward(m, q.n, x, NULL, LAST_MODE), ys);
#ifndef NN_NO_TRAINING
      {
        nn_param w;
        CHECK_OK(nn_backward_from(m, dy));
        wide_errors(&q, DATA, nn_input_gradient(m, 0), xs);
        CHECK_OK(nn_find_param(m, "conv1.weight", &w));
        wide_errors(&q, WEIGHT, w.gradient, w.count);
      }
#endif
    }
    nn_destroy(m);
    free(x), free(dy);
  }
  direct_convolution = 1;
}

/* A NaN in an image reaches the outputs of its tile that do not read it, too: at most those within
 * 8 pixels, and no other image. */
static void conv2d_winograd_nan(void) {
  enum { C = 16, SIDE = 24, N = 2, AT = 12 };
  nn_model *m;
  nn_real *x = inputs(N * C * SIDE * SIDE, 3);
  const nn_real *y;
  int i, far = 0, near = 0;
  direct_convolution = 0;
  m = begin(N, INFERENCE);
  nn_conv2d(m, nn_input_image(m, C, SIDE, SIDE), C, 3, 1, 1);
  x[AT * SIDE + AT] = (nn_real)NAN;
  if (ready(m) && (y = forward(m, N, x, NULL, INFERENCE)) != NULL)
    for (i = 0; i < N * C * SIDE * SIDE; i++) {
      const int down = abs(i / SIDE % SIDE - AT), right = abs(i % SIDE - AT);
      const int reads = i < C * SIDE * SIDE && down <= 1 && right <= 1;
      if (y[i] != y[i] && (i >= C * SIDE * SIDE || down > 8 || right > 8)) far++;
      if (reads && y[i] == y[i]) near++;
    }
  CHECK_INT(far, 0);
  CHECK_INT(near, 0);
  nn_destroy(m);
  free(x);
  direct_convolution = 1;
}

static void conv2d_any(void) {
  int i;
  dice_state = 1;
  for (i = 0; i < 500; i++) {
    int groups = dice(0, 3) == 0 ? dice(1, 4) : 1, C = groups * dice(1, 6);
    nn_conv2d_options o = conv_options(groups * dice(1, 9), 1, 1, 0, groups);
    o.kernel_h = dice(1, 5), o.kernel_w = dice(1, 5), o.stride_h = dice(1, 3),
    o.stride_w = dice(1, 3);
    o.pad_h = dice(0, 3), o.pad_w = dice(0, 3), o.dilation_h = dice(1, 3),
    o.dilation_w = dice(1, 3);
    o.no_bias = dice(0, 3) == 0;
    if (!conv_case(dice(1, 3), C, dice(1, 20), dice(1, 20), o)) return;
  }
}

/* groups = C, one or several maps a channel, at every width round a vector's. */
static void conv2d_depthwise(void) {
  int i;
  for (i = 1; i <= 36; i++) {
    nn_conv2d_options o = conv_options(i, 3, 1, 1, i);
    o.no_bias = i % 2;
    if (!conv_case(2, i, 5, 6, o)) return;
    o.out = 2 * i, o.stride_h = 2, o.dilation_w = 2;
    if (!conv_case(1, i, 7, i, o)) return;
  }
  for (i = 1; i <= 3; i++) { /* rows of many channels, outputs side by side */
    if (!conv_case(1, 265, 4, 11, conv_options(265, 3, i, 1, 265))) return;
  }
}

/* One image shared out among tasks: in bands of rows, or in parts of its output channels. */
static void conv2d_shared(void) {
  conv_case(2, 3, 43, 31, conv_options(5, 1, 1, 0, 1));
  conv_case(1, 3, 70, 41, conv_options(20, 3, 2, 0, 1));
  conv_case(2, 40, 11, 13, conv_options(300, 1, 1, 0, 1));
}

/* Convolutions over steps and transposed ones, from their definitions. */
static void conv1d_any(void) {
  dice_state = 5;
  for (int i = 0; i < 60; i++)
    for (int mode = 0; mode <= LAST_MODE; mode++) {
      const int n = dice(1, 3), groups = dice(0, 2) ? 1 : dice(2, 5), each = dice(1, 3);
      const int T = dice(6, 20), F = groups * each, per = i % 3 ? dice(1, 9) : 1;
      nn_conv1d_options o = {1, 1, 1, 0, 1, 1, 0};
      o.groups = groups, o.out = groups * per, o.kernel = dice(1, 4), o.stride = dice(1, 3);
      o.pad = dice(0, 2), o.dilation = o.kernel < 4 ? dice(1, 2) : 1, o.no_bias = dice(0, 3) == 0;
      const int OT = (T + 2 * o.pad - o.dilation * (o.kernel - 1) - 1) / o.stride + 1;
      nn_model *m = begin(n, mode);
      const int y = nn_conv1d_with(m, nn_input_sequence(m, T, F), &o);
      nn_real *x = inputs((size_t)(n * T * F), 6);
      double *want = doubles((size_t)(n * OT * o.out)), *to = want;
      if (ready(m) && same_dims(m, y, 2, OT, o.out, 0)) {
        const nn_real *w = param(m, "conv1.weight"), *b = o.no_bias ? NULL : param(m, "conv1.bias");
        for (int s = 0; s < n; s++)
          for (int t = 0; t < OT; t++)
            for (int k = 0; k < o.out; k++, to++) {
              *to = b ? (double)b[k] : 0;
              for (int c = 0; c < each; c++)
                for (int u = 0; u < o.kernel; u++) {
                  const int at = t * o.stride + u * o.dilation - o.pad;
                  if (at < 0 || at >= T) continue;
                  *to += (double)w[(k * each + c) * o.kernel + u] *
                         (double)x[(s * T + at) * F + k / per * each + c];
                }
            }
        agree(forward(m, n, x, NULL, mode), want, (size_t)(n * OT * o.out), 40 * EPS, "conv1d");
      }
      free(x);
      free(want);
      nn_destroy(m);
    }
}

static void conv_transpose_any(void) {
  dice_state = 7;
  for (int i = 0; i < 60; i++)
    for (int mode = 0; mode <= LAST_MODE; mode++) {
      const int n = dice(1, 3), groups = dice(0, 2) ? 1 : dice(2, 4), each = dice(1, 4);
      const int C = groups * each, per = i % 3 ? dice(1, 9) : each, H = dice(1, 7), W = dice(1, 6);
      nn_conv2d_options o = conv_options(groups * per, 1, 1, 0, groups);
      o.kernel_h = dice(1, 4), o.kernel_w = dice(1, 4), o.stride_h = dice(1, 5);
      o.stride_w = dice(1, 3), o.dilation_h = dice(1, 2), o.pad_h = dice(0, o.kernel_h / 2);
      o.pad_w = dice(0, o.kernel_w / 2), o.no_bias = dice(0, 3) == 0;
      const int more_h = dice(0, o.stride_h - 1), more_w = dice(0, o.stride_w - 1);
      const int reach = o.dilation_h * (o.kernel_h - 1);
      const int OH = (H - 1) * o.stride_h - 2 * o.pad_h + reach + more_h + 1;
      const int OW = (W - 1) * o.stride_w - 2 * o.pad_w + o.kernel_w + more_w;
      if (OH < 1 || OW < 1) continue;
      nn_model *m = begin(n, mode);
      const int y = nn_conv_transpose2d_with(m, nn_input_image(m, C, H, W), &o, more_h, more_w);
      nn_real *x = inputs((size_t)(n * C * H * W), 6);
      const size_t size = (size_t)(n * o.out * OH * OW);
      double *want = doubles(size);
      if (ready(m) && same_dims(m, y, 3, o.out, OH, OW)) {
        const nn_real *w = param(m, "conv_transpose1.weight");
        const nn_real *b = o.no_bias ? NULL : param(m, "conv_transpose1.bias");
        for (size_t k = 0; k < size; k++)
          want[k] = b ? (double)b[k / (size_t)(OH * OW) % (size_t)o.out] : 0;
        for (int s = 0; s < n * C * H * W; s++) { /* every input adds to what its taps meet */
          const int c = s / W / H % C, at = s / W / H / C, first = c / each * per;
          for (int k = 0; k < per; k++)
            for (int u = 0; u < o.kernel_h; u++)
              for (int v = 0; v < o.kernel_w; v++) {
                const int r = s / W % H * o.stride_h + u * o.dilation_h - o.pad_h;
                const int q = s % W * o.stride_w + v - o.pad_w;
                if (r < 0 || r >= OH || q < 0 || q >= OW) continue;
                want[((at * o.out + first + k) * OH + r) * OW + q] +=
                    (double)x[s] * (double)w[((c * per + k) * o.kernel_h + u) * o.kernel_w + v];
              }
        }
        agree(forward(m, n, x, NULL, mode), want, size, 60 * EPS, "conv_transpose");
      }
      free(x);
      free(want);
      nn_destroy(m);
    }
}

/* Windows along an axis; with ceil one more if something is left and it begins early enough. */
static int windows(int size, int kernel, int stride, int pad, int ceil) {
  int out = 0, i;
  if (size + 2 * pad < kernel) return 0;
  for (i = 0; i * stride + kernel <= size + 2 * pad; i++) out++;
  return out + (ceil && (i - 1) * stride + kernel < size + 2 * pad && i * stride < size + pad);
}

/* kind: maximum, average, adaptive average (to kernel_h x kernel_w) */
static void pool_case(int kind, int n, int C, int H, int W, nn_pool2d_options o) {
  const int adaptive = kind == 2;
  const int oh = adaptive ? o.kernel_h : windows(H, o.kernel_h, o.stride_h, o.pad_h, o.ceil);
  const int ow = adaptive ? o.kernel_w : windows(W, o.kernel_w, o.stride_w, o.pad_w, o.ceil);
  int mode;
  char what[160];
  sprintf(what, "pool %d n %d C %d H %d W %d kernel %dx%d stride %dx%d pad %dx%d flags %d %d", kind,
          n, C, H, W, o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.pad_h, o.pad_w, o.ceil,
          o.exclude_pad);
  for (mode = 0; mode <= LAST_MODE; mode++) {
    nn_model *m = begin(n, mode);
    const int in = nn_input_image(m, C, H, W);
    const int y = adaptive ? nn_adaptive_avg_pool2d(m, in, oh, ow)
                  : kind   ? nn_avg_pool2d_with(m, in, &o)
                           : nn_max_pool2d_with(m, in, &o);
    if (!adaptive && (o.pad_h > o.kernel_h / 2 || o.pad_w > o.kernel_w / 2 || !oh || !ow)) {
      CHECK_INT(y, -1);
      CHECK(nn_build(m) != NN_OK);
    } else if (ready(m)) {
      int s, i, j, u, v;
      nn_real *x = inputs((size_t)(n * C * H * W), 9);
      double *want = doubles((size_t)(n * C * oh * ow)), *to = want;
      for (i = 0; i < n * C * H * W; i++) x[i] -= 3; /* padding, were it zeros, would win */
      for (s = 0; s < n * C; s++)
        for (i = 0; i < oh; i++)
          for (j = 0; j < ow; j++) {
            const int top = adaptive ? (int)floor((double)i * H / oh) : i * o.stride_h - o.pad_h;
            const int left = adaptive ? (int)floor((double)j * W / ow) : j * o.stride_w - o.pad_w;
            const int end = adaptive ? (int)ceil((i + 1.) * H / oh) : top + o.kernel_h;
            const int right = adaptive ? (int)ceil((j + 1.) * W / ow) : left + o.kernel_w;
            double best = -INFINITY, sum = 0;
            int inside = 0, covered = 0;
            for (u = top; u < end; u++)
              for (v = left; v < right; v++) {
                double e;
                covered += u < H + o.pad_h && v < W + o.pad_w;
                if (u < 0 || u >= H || v < 0 || v >= W) continue;
                e = (double)x[(s * H + u) * W + v];
                inside++;
                sum += e;
                if (e > best) best = e;
              }
            *to++ = kind ? sum / (o.exclude_pad ? inside : covered) : best;
          }
      same_dims(m, y, 3, C, oh, ow);
      agree(forward(m, n, x, NULL, mode), want, (size_t)(n * C * oh * ow),
            kind ? EPS * (H * W + 4) : 0, what);
      free(x);
      free(want);
    }
    nn_destroy(m);
  }
}

static void pools(void) {
  int i, kind;
  dice_state = 2;
  for (kind = 0; kind < 3; kind++) {
    const nn_pool2d_options plain = {2, 2, 2, 2, 0, 0, 0, 0}, overlap = {3, 3, 2, 2, 1, 1, 0, 0};
    pool_case(kind, 2, 32, 28, 28, plain);
    pool_case(kind, 1, 3, 8, 8, overlap);
    for (i = 0; i < 300 && !test_state.bad; i++) {
      nn_pool2d_options o;
      const int n = dice(1, 3), C = dice(1, 20), H = dice(1, 15);
      memset(&o, 0, sizeof o);
      o.kernel_h = dice(1, 5), o.stride_h = dice(1, 4), o.pad_h = dice(0, o.kernel_h / 2 + 1);
      o.kernel_w = dice(1, 5), o.stride_w = dice(1, 4), o.pad_w = dice(0, o.kernel_w / 2 + 1);
      if (i % 3 == 0) o.kernel_w = o.kernel_h, o.stride_w = o.stride_h, o.pad_w = o.pad_h;
      if (kind == 2) o.pad_h = o.pad_w = 0;
      if (kind < 2 && i % 2) o.ceil = dice(0, 1), o.exclude_pad = kind && dice(0, 1);
      pool_case(kind, n, C, H, dice(1, 15), o);
    }
  }
}

static void global_pools(void) {
  int C, kind, mode;
  for (C = 1; C <= 40; C++)
    for (kind = 0; kind < 2; kind++)
      for (mode = 0; mode <= LAST_MODE; mode++) {
        int n = 2, H = 1 + C % 7, W = 1 + C % 5, i, j, y;
        nn_model *m = begin(n, mode);
        nn_real *x = inputs((size_t)(n * C * H * W), 3);
        double *want = doubles((size_t)(n * C));
        y = nn_input_image(m, C, H, W);
        y = kind ? nn_global_avg_pool(m, y) : nn_global_max_pool(m, y);
        for (i = 0; i < n * C; i++) {
          double sum = 0, best = -INFINITY;
          for (j = 0; j < H * W; j++) {
            double e = (double)x[i * H * W + j];
            sum += e, best = e > best ? e : best;
          }
          want[i] = kind ? sum / (H * W) : best;
        }
        if (ready(m)) {
          same_dims(m, y, 1, C, 0, 0);
          agree(forward(m, n, x, NULL, mode), want, (size_t)(n * C), kind ? EPS * (H * W + 4) : 0,
                kind ? "global_avg_pool" : "global_max_pool");
        }
        free(x);
        free(want);
        nn_destroy(m);
      }
}

static void max_pool_takes_nan(void) {
  int at, mode;
  for (mode = 0; mode <= LAST_MODE; mode++)
    for (at = 0; at < 16; at++) {
      nn_model *m = begin(1, mode);
      nn_real x[16];
      const nn_real *y;
      int i;
      nn_max_pool2d(m, nn_input_image(m, 1, 4, 4), 2, 2, 0);
      for (i = 0; i < 16; i++) x[i] = i == at ? (nn_real)NAN : (nn_real)(i * 7 % 5);
      if (ready(m) && (y = forward(m, 1, x, NULL, mode)) != NULL)
        for (i = 0; i < 4; i++) CHECK((y[i] != y[i]) == (i == at / 8 * 2 + at % 4 / 2));
      nn_destroy(m);
    }
}

/* ------------------------------------------------------------------------ element by element -- */

typedef struct Function {
  const char *name;
  int (*add)(nn_model *m, int x);
  double (*exact)(double x);
  double relative; /* bound on |error| / |exact|, for float */
  double to_x;     /* or on |error| / |x| */
} Function;

static double exact_relu(double x) { return x > 0 ? x : 0; }
static int add_leaky(nn_model *m, int x) { return nn_leaky_relu(m, x, 0.1); }
static double exact_leaky(double x) { return x > 0 ? x : 0.1 * x; }
static double exact_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double exact_silu(double x) { return x / (1 + exp(-x)); }
static double exact_gelu(double x) { return x / 2 * erfc(-x / sqrt(2)); }
static int add_elu(nn_model *m, int x) { return nn_elu(m, x, .75); }
static double exact_elu(double x) { return x > 0 ? x : .75 * expm1(x); }
static double exact_softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double exact_hard_sigmoid(double x) { return fmin(fmax((x + 3) / 6, 0), 1); }
static double exact_hard_swish(double x) { return x * exact_hard_sigmoid(x); }
static int add_clamp(nn_model *m, int x) { return nn_clamp(m, x, -0.75, 6); }
static double exact_clamp(double x) { return fmin(fmax(x, -0.75), 6); }
static const Function functions[] = {
    {"relu", nn_relu, exact_relu, 0, 0},    {"leaky_relu", add_leaky, exact_leaky, 1.2e-7, 0},
    {"tanh", nn_tanh, tanh, 3e-7, 0},       {"sigmoid", nn_sigmoid, exact_sigmoid, 3e-7, 0},
    {"silu", nn_silu, exact_silu, 5e-7, 0}, {"gelu", nn_gelu, exact_gelu, 0, 5e-7},
    {"elu", add_elu, exact_elu, 3e-7, 0},   {"softplus", nn_softplus, exact_softplus, 3e-7, 0},
    {"hard_sigmoid", nn_hard_sigmoid, exact_hard_sigmoid, 3e-7, 0},
    {"hard_swish", nn_hard_swish, exact_hard_swish, 3e-7, 0},
    {"clamp", add_clamp, exact_clamp, 0, 0}};

/* Over the whole range of float, about a million numbers. A result below the smallest normal
 * number is flushed to 0, as is the sigmoid within a silu. The worst relative errors are printed
 * by NN_VERBOSE. */
static void functions_over_all_floats(void) {
  enum { WIDTH = 4096 };
  size_t f;
  nn_real *x = test_reals(WIDTH);
  for (f = 0; f < COUNT(functions); f++) {
    const Function *fn = &functions[f];
    nn_model *m = begin(1, INFERENCE);
    uint64_t bits = 0;
    double worst = 0, worst_x = 0;
    fn->add(m, nn_input_vector(m, WIDTH));
    if (!ready(m)) break;
    while (bits < ((uint64_t)1 << 32)) {
      const nn_real *y;
      int i;
      for (i = 0; i < WIDTH; i++, bits += 4093) {
        uint32_t pattern = (uint32_t)bits;
        float value;
        memcpy(&value, &pattern, sizeof value);
        x[i] = (nn_real)value;
      }
      y = forward(m, 1, x, NULL, INFERENCE);
      for (i = 0; y && i < WIDTH; i++) {
        double in = (double)x[i], want = fn->exact(in), off;
        if (in != in) {
          CHECK(y[i] != y[i]); /* a NaN must come out, or training would hide that it diverged */
          continue;
        }
        if (want != want || fabs(in) > 3e38) continue; /* tried one by one below */
        off = fabs((double)y[i] - want);
        if (off <= 1.2e-38 * (fabs(in) > 1 ? fabs(in) : 1)) continue;
        off /= fn->to_x > 0 ? fabs(in) : fabs(want);
        if (!(off <= worst)) worst = off, worst_x = in;
      }
      if (!y) break;
    }
    if (getenv("NN_VERBOSE")) printf("%s: worst error %.3g, at %.9g\n", fn->name, worst, worst_x);
    if (!(worst <= (fn->to_x > 0 ? fn->to_x : fn->relative)) && test_fail(__FILE__, __LINE__))
      fprintf(stderr, "%s: error %.3g at %.9g\n", fn->name, worst, worst_x);
    nn_destroy(m);
  }
  free(x);
}

#ifndef NN_NO_TRAINING
/* Where a maximum is a NaN the gradient goes to it, to the last of several: PyTorch's. Channel c
 * has its NaNs at pixels c and 2 c of every window, and none where c is 9. Windows lie side by side
 * or overlap, and are of an image, of steps or the whole. */
static void max_pool_back_at_nan(void) {
  enum { C = 10, SIDE = 9, PIXELS = SIDE * SIDE };
  for (int way = 0; way < 4; way++) {
    nn_real x[C * PIXELS], dy[C * PIXELS];
    nn_config c = test_config();
    nn_batch b;
    c.batch = 1, c.input_gradient = 1;
    nn_model *m = nn_create(&c);
    const int steps = way == 2, side = way == 3 ? 3 : SIDE, pixels = steps ? 9 : side * side;
    const int in = steps ? nn_input_sequence(m, pixels, C) : nn_input_image(m, C, side, side);
    if (way < 2) nn_max_pool2d(m, in, 3, way ? 1 : 3, 0);
    if (steps) nn_max_pool1d(m, in, 9, 1, 0);
    if (way == 3) nn_global_max_pool(m, in);
    for (int k = 0; k < C; k++)
      for (int i = 0; i < pixels; i++) {
        const int place = way < 2 ? i / side % 3 * 3 + i % 3 : i; /* within the window */
        const int nan = k < 9 && (place == k || place == 2 * k);
        x[steps ? i * C + k : k * pixels + i] = nan ? (nn_real)NAN : (nn_real)(place == 5);
        dy[k * pixels + i] = 2;
      }
    memset(&b, 0, sizeof b);
    b.n = 1, b.x[0] = x;
    if (ready(m) && CHECK_OK(nn_forward(m, &b, NN_TRAINING)) && CHECK_OK(nn_backward_from(m, dy)))
      for (int k = 0; k < C; k++) {
        const int last = k == 9 ? 5 : 2 * k < 9 ? 2 * k : k;
        for (int i = 0; i < pixels; i++) {
          const nn_real got = nn_input_gradient(m, 0)[steps ? i * C + k : k * pixels + i];
          const int here = (way < 2 ? i / side % 3 * 3 + i % 3 : i) == last;
          if (way == 1) { /* where several windows meet, their order in each differs */
            if (k == 9 || k == 0) CHECK(here ? got > 0 : got == 0);
          } else if (!CHECK(got == (here ? 2 : 0))) {
            fprintf(stderr, "    way %d, channel %d, pixel %d: %g\n", way, k, i, (double)got);
          }
        }
      }
    nn_destroy(m);
  }
}

/* What goes back where x is a NaN is PyTorch's: a NaN, but for those that do not compute with x. */
static void gradients_at_nan(void) {
  enum { WIDTH = 35 };
  for (size_t f = 0; f <= COUNT(functions); f++) {
    const char *name = f < COUNT(functions) ? functions[f].name : "prelu";
    nn_real want = !strcmp(name, "relu") ? 2 : !strcmp(name, "leaky_relu") ? (nn_real).2 : 0;
    const int prelu = f == COUNT(functions), some = want > 0 || prelu ||
              !strcmp(name, "clamp") || !strcmp(name, "hard_sigmoid");
    nn_config c = test_config();
    nn_real x[WIDTH], dy[WIDTH];
    nn_batch b;
    c.batch = 1, c.input_gradient = 1;
    nn_model *m = nn_create(&c);
    const int in = nn_input_vector(m, WIDTH);
    prelu ? nn_prelu(m, in, 0) : functions[f].add(m, in);
    memset(&b, 0, sizeof b);
    for (int i = 0; i < WIDTH; i++) x[i] = (nn_real)NAN, dy[i] = 2;
    b.n = 1, b.x[0] = x;
    if (!ready(m)) break;
    if (prelu) want = 2 * param(m, "prelu1.weight")[0];
    if (CHECK_OK(nn_forward(m, &b, 1)) && CHECK_OK(nn_backward_from(m, dy)))
      for (int i = 0; i < WIDTH; i++) {
        const nn_real got = nn_input_gradient(m, 0)[i];
        if (!(some ? CHECK(got == want) : CHECK(got != got)))
          fprintf(stderr, "    %s: %g\n", name, (double)got);
      }
    nn_destroy(m);
  }
}
#endif

/* exp is no layer, but the softmax of (x, 0) is exp(x) : 1, each rounded once more. */
static void exponentials(void) {
  enum { ROWS = 8192 };
  nn_real *x = test_reals(2 * ROWS);
  nn_model *m = begin(1, INFERENCE);
  const nn_real *y;
  double worst = 0, worst_x = 0;
  for (int i = 0; i < ROWS; i++) x[2 * i] = (nn_real)(i * (-87. / ROWS));
  nn_softmax(m, nn_input_sequence(m, ROWS, 2));
  if (!ready(m)) return;
  y = forward(m, 1, x, NULL, INFERENCE);
  for (int i = 0; y && i < ROWS; i++) {
    const double off =
        fabs((double)y[2 * i] / (double)y[2 * i + 1] / exp((double)x[2 * i]) - 1);
    if (!(off <= worst)) worst = off, worst_x = (double)x[2 * i];
  }
  if (!CHECK(worst < 3e-7 + 1.2e-7)) fprintf(stderr, "exp: error %.3g at %g\n", worst, worst_x);
  if (getenv("NN_VERBOSE")) printf("exp: worst error %.3g, at %.9g\n", worst, worst_x);
  nn_destroy(m);
  free(x);
}

/* Infinities, and that a value does not depend on where in an array it stands. */
static void functions_at_the_ends(void) {
  size_t f;
  for (f = 0; f < COUNT(functions); f++) {
    const Function *fn = &functions[f];
    const double odd[] = {INFINITY, 3.4e38, 0, -0.0, -3.4e38, -INFINITY};
    int width, i;
    double first[8] = {0};
    for (width = 1; width <= 70; width++) {
      nn_model *m = begin(3, INFERENCE);
      nn_real *x = test_reals((size_t)(3 * width));
      const nn_real *y;
      fn->add(m, nn_input_vector(m, width));
      for (i = 0; i < 3 * width; i++) x[i] = (nn_real)((i % 8 - 4) * 0.7309);
      if (ready(m) && (y = forward(m, 3, x, NULL, INFERENCE)) != NULL)
        for (i = 0; i < 3 * width; i++) {
          if (width == 1 && i < 3) first[i] = (double)y[i];
          if (width == 3 && i < 8) first[i] = (double)y[i];
          if (width > 3 && (double)y[i] != first[i % 8] && test_fail(__FILE__, __LINE__))
            fprintf(stderr, "%s: place %d of %d gives other bits\n", fn->name, i, width);
        }
      free(x);
      nn_destroy(m);
    }
    for (i = 0; i < (int)COUNT(odd); i++) {
      nn_model *m = begin(1, INFERENCE);
      nn_real x = (nn_real)odd[i];
      const nn_real *y;
      double want = fn->exact((double)x);
      fn->add(m, nn_input_vector(m, 1));
      if (ready(m) && (y = forward(m, 1, &x, NULL, INFERENCE)) != NULL) {
        if (want == want) CHECK_NEAR(*y, want, 5e-7);
        else CHECK(*y != *y || *y == 0); /* -inf times 0 */
      }
      if (test_state.bad) fprintf(stderr, "    %s(%g)\n", fn->name, (double)x);
      nn_destroy(m);
    }
  }
}

/* ---------------------------------------------------------------------------------- softmax -- */

/* rows of K numbers, `apart` elements between the numbers of a row */
static void softmax_oracle(const nn_real *x, double *y, int K, int apart) {
  double top = -INFINITY, sum = 0;
  int k;
  for (k = 0; k < K; k++) top = (double)x[k * apart] > top ? (double)x[k * apart] : top;
  for (k = 0; k < K; k++) sum += exp((double)x[k * apart] - top);
  for (k = 0; k < K; k++) y[k * apart] = exp((double)x[k * apart] - top) / sum;
}

static void softmax(void) {
  int K, kind, mode;
  for (K = 1; K <= 70; K += K < 36 ? 1 : 17)
    for (kind = 0; kind < 3; kind++)
      for (mode = 0; mode <= LAST_MODE; mode++) {
        int n = 3, rest = kind ? 5 : 1, size = n * K * rest, i;
        nn_model *m = begin(n, mode);
        nn_real *x = inputs((size_t)size, (uint32_t)K);
        double *want = doubles((size_t)size);
        int in = kind == 0   ? nn_input_vector(m, K)
                 : kind == 1 ? nn_input_sequence(m, rest, K)
                             : nn_input_image(m, K, 1, rest);
        nn_softmax(m, in);
        for (i = 0; i < size; i++) x[i] *= 20;
        for (i = 0; i < n * rest; i++) {
          int at = kind == 2 ? i / rest * K * rest + i % rest : i * K;
          softmax_oracle(x + at, want + at, K, kind == 2 ? rest : 1);
        }
        if (ready(m)) agree(forward(m, n, x, NULL, mode), want, (size_t)size, 1e-6, "softmax");
        free(x);
        free(want);
        nn_destroy(m);
      }
}

static void softmax_extremes(void) {
  const double in[][4] = {{1e30, -1e30, 1e30, 0},       {-1e30, -1e30, -1e30, -1e30},
                                 {-INFINITY, 1, 2, -INFINITY}, {88.8, 88.8, 0, -88.8},
                                 {3e38, -3e38, 0, 3e38},       {1e-30, 0, -1e-30, 1e-40}};
  size_t i;
  for (i = 0; i < COUNT(in); i++) {
    nn_model *m = begin(1, INFERENCE);
    nn_real x[4];
    double want[4];
    int k;
    nn_softmax(m, nn_input_vector(m, 4));
    for (k = 0; k < 4; k++) x[k] = (nn_real)in[i][k];
    softmax_oracle(x, want, 4, 1);
    if (ready(m)) agree(forward(m, 1, x, NULL, INFERENCE), want, 4, 1e-6, "softmax");
    nn_destroy(m);
  }
}

static void softmax_shows_nan(void) {
  const double in[][4] = {{NAN, 1, 2, 3}, {1, 2, 3, NAN}};
  size_t i;
  for (i = 0; i < COUNT(in); i++) {
    nn_model *m = begin(1, INFERENCE);
    nn_real x[4];
    const nn_real *y;
    int k;
    nn_softmax(m, nn_input_vector(m, 4));
    for (k = 0; k < 4; k++) x[k] = (nn_real)in[i][k];
    if (ready(m) && (y = forward(m, 1, x, NULL, INFERENCE)) != NULL)
      CHECK(y[0] != y[0] && y[1] != y[1] && y[2] != y[2] && y[3] != y[3]);
    nn_destroy(m);
  }
}

/* ------------------------------------------------------------------------------------ norms -- */

/* An input of one of three kinds, as [outer, C, inner]: the norm is over outer and inner for each
 * of C. A sequence [n,T,F] is [n T, F, 1]. */
static int norm_input(nn_model *m, int kind, int C, int inner) {
  if (kind == 0) return nn_input_vector(m, C);
  if (kind == 1) return nn_input_sequence(m, inner, C);
  return nn_input_image(m, C, 2, inner);
}

static void batch_norm(void) {
  int C, kind, mode;
  for (C = 1; C <= 37; C += 1 + C / 6)
    for (kind = 0; kind < 3; kind++)
      for (mode = 0; mode <= LAST_MODE; mode++) {
        int n = 4, inner = 3, outer = kind == 1 ? n * inner : n, in = kind == 2 ? 2 * inner : 1;
        int size = outer * C * in, c, i, j, count = outer * in;
        nn_model *m = begin(n, mode);
        nn_real *x = inputs((size_t)size, (uint32_t)C + 1), *old_mean = test_reals((size_t)C);
        nn_real *old_var = test_reals((size_t)C);
        double *want = doubles((size_t)size);
        nn_batch_norm(m, norm_input(m, kind, C, inner));
        for (i = 0; i < size; i++)
          x[i] = x[i] * 3 + 40; /* var by E[x^2] - mean^2 would lose digits */
        if (ready(m)) {
          const nn_real *w = param(m, "batch_norm1.weight"), *b = param(m, "batch_norm1.bias");
          const nn_real *rm = param(m, "batch_norm1.running_mean");
          const nn_real *rv = param(m, "batch_norm1.running_var");
          const nn_real *y;
          if (!w || !b || !rm || !rv) return;
          memcpy(old_mean, rm, (size_t)C * sizeof *rm);
          memcpy(old_var, rv, (size_t)C * sizeof *rv);
          y = forward(m, n, x, NULL, mode);
          for (c = 0; c < C; c++) {
            double mean = 0, var = 0;
            for (i = 0; i < outer; i++)
              for (j = 0; j < in; j++) mean += (double)x[(i * C + c) * in + j] / count;
            for (i = 0; i < outer; i++)
              for (j = 0; j < in; j++)
                var += pow((double)x[(i * C + c) * in + j] - mean, 2) / count;
            if (mode == TRAINING) {
              CHECK_NEAR(rm[c], 0.9 * (double)old_mean[c] + 0.1 * mean, 2e-6);
              CHECK_NEAR(rv[c], 0.9 * (double)old_var[c] + 0.1 * var * count / (count - 1), 2e-5);
            } else {
              CHECK(rm[c] == old_mean[c] && rv[c] == old_var[c]);
              mean = (double)rm[c], var = (double)rv[c];
            }
            for (i = 0; i < outer; i++)
              for (j = 0; j < in; j++) {
                int at = (i * C + c) * in + j;
                want[at] = ((double)x[at] - mean) / sqrt(var + 1e-5) * (double)w[c] + (double)b[c];
              }
          }
          agree(y, want, (size_t)size, 3e-5, "batch_norm");
        }
        free(x);
        free(want);
        free(old_mean);
        free(old_var);
        nn_destroy(m);
        if (test_state.bad) {
          fprintf(stderr, "    C %d kind %d mode %d\n", C, kind, mode);
          return;
        }
      }
}

static void layer_norm(void) {
  int F, kind, mode;
  for (F = 1; F <= 70; F += 1 + F / 6)
    for (kind = 0; kind < 3; kind++)
      for (mode = 0; mode <= LAST_MODE; mode++) {
        int n = 3, inner = 4, rows = kind == 1 ? n * inner : n,
            width = kind == 2 ? F * 2 * inner : F;
        int i, j;
        nn_model *m = begin(n, mode);
        nn_real *x = inputs((size_t)(rows * width), (uint32_t)F);
        double *want = doubles((size_t)(rows * width));
        nn_layer_norm(m, norm_input(m, kind, F, inner));
        for (i = 0; i < rows * width; i++) x[i] = x[i] * 3 + 40;
        if (ready(m)) {
          const nn_real *w = param(m, "layer_norm1.weight"), *b = param(m, "layer_norm1.bias");
          if (!w || !b) return;
          for (i = 0; i < rows; i++) {
            double mean = 0, var = 0;
            for (j = 0; j < width; j++) mean += (double)x[i * width + j] / width;
            for (j = 0; j < width; j++) var += pow((double)x[i * width + j] - mean, 2) / width;
            for (j = 0; j < width; j++)
              want[i * width + j] = ((double)x[i * width + j] - mean) / sqrt(var + 1e-5) *
                                        (double)w[j] +
                                    (double)b[j];
          }
          agree(forward(m, n, x, NULL, mode), want, (size_t)(rows * width), F == 1 ? 2e-3 : 3e-5,
                "layer_norm");
        }
        free(x);
        free(want);
        nn_destroy(m);
        if (test_state.bad) {
          fprintf(stderr, "    F %d kind %d mode %d\n", F, kind, mode);
          return;
        }
      }
}

/* --------------------------------------------------------- linear, embedding, add, concat, .. --
 */

/* y = (x - mean[c]) scale[c], of few and many channels, in whole pieces and less; and that neither
 * a new start nor training touches the numbers. */
static void normalise(void) {
  static const struct { int kind, channels, inner; } cases[] = {
      {0, 1, 1}, {0, 5, 1}, {0, 40, 1}, {1, 1, 7},  {1, 6, 5},
      {1, 17, 3}, {2, 1, 24}, {2, 3, 12}, {2, 16, 3}, {2, 1, 2450}};
  for (size_t k = 0; k < COUNT(cases); k++) {
    const int C = cases[k].channels, inner = cases[k].inner, kind = cases[k].kind, n = 3;
    const size_t count = (size_t)(n * C * inner * (kind == 2 ? 2 : 1));
    nn_real *x = inputs(count, 4), *mean = inputs((size_t)C, 5), *scale = inputs((size_t)C, 6);
    double *want = doubles(count);
    for (size_t i = 0; i < count; i++) {
      const size_t c = (kind == 2 ? i / (size_t)(2 * inner) : i) % (size_t)C;
      want[i] = ((double)x[i] - (double)mean[c]) * (double)scale[c];
    }
    for (int mode = 0; mode <= LAST_MODE; mode++) {
      nn_model *m = begin(n, mode);
      nn_param p;
      int y = norm_input(m, kind, C, inner);
      CHECK(nn_normalise(m, y, mean, scale) >= 0);
      CHECK_OK(nn_build(m));
      CHECK_OK(nn_reinitialise(m, 9));
      CHECK_OK(nn_find_param(m, "normalise1.mean", &p));
      CHECK_SAME(p.value, mean, (size_t)C * sizeof *mean);
      CHECK(p.gradient == NULL);
      agree(forward(m, n, x, NULL, mode), want, count, 2 * EPS, "normalise");
      nn_destroy(m);
    }
    free(x), free(mean), free(scale), free(want);
  }
}

/* A net starts from the same weights with it and without. */
static void normalise_draws_nothing(void) {
  const nn_real some[4] = {1, 2, 3, 4};
  nn_real *start[2];
  size_t count = 0;
  nn_model *m[2];
  for (int k = 0; k < 2; k++) {
    m[k] = begin(1, 0);
    const int x = nn_input_vector(m[k], 4);
    nn_linear(m[k], nn_linear(m[k], k ? nn_normalise(m[k], x, some, some) : x, 5), 3);
    CHECK_OK(nn_build(m[k]));
    start[k] = nn_parameters(m[k], &count);
  }
  CHECK(count == 4 * 5 + 5 + 5 * 3 + 3);
  CHECK_SAME(start[0], start[1], count * sizeof *start[0]);
  nn_destroy(m[0]), nn_destroy(m[1]);
}

static void linear(void) {
  static const int sizes[] = {1, 2, 3, 5, 8, 16, 17, 31, 33, 64, 97};
  size_t a, b;
  int mode, kind, bias;
  for (a = 0; a < COUNT(sizes); a++)
    for (b = 0; b < COUNT(sizes); b++)
      for (mode = 0; mode <= LAST_MODE; mode++) {
        int in = sizes[a], out = sizes[b], n = 3, rows, i, j, k;
        nn_model *m = begin(n, mode);
        nn_real *x;
        double *want;
        kind = (int)(a + b) & 1, bias = (int)(a * 3 + b) % 4 != 0, rows = kind ? n * 5 : n;
        x = inputs((size_t)(rows * in), 8), want = doubles((size_t)(rows * out));
        k = kind ? nn_input_sequence(m, 5, in) : nn_input_vector(m, in);
        k = bias ? nn_linear(m, k, out) : nn_linear_no_bias(m, k, out);
        if (ready(m)) {
          const nn_real *w = param(m, "linear1.weight"),
                        *c = bias ? param(m, "linear1.bias") : NULL;
          nn_param none;
          if (!bias) CHECK(nn_find_param(m, "linear1.bias", &none) != NN_OK);
          kind ? same_dims(m, k, 2, 5, out, 0) : same_dims(m, k, 1, out, 0, 0);
          for (i = 0; w && i < rows; i++)
            for (j = 0; j < out; j++) {
              double sum = c ? (double)c[j] : 0;
              for (k = 0; k < in; k++) sum += (double)w[j * in + k] * (double)x[i * in + k];
              want[i * out + j] = sum;
            }
          agree(forward(m, n, x, NULL, mode), want, (size_t)(rows * out), EPS * (in + 8), "linear");
        }
        free(x);
        free(want);
        nn_destroy(m);
      }
}

static void embedding(void) {
  int width, mode;
  for (width = 1; width <= 40; width += 3)
    for (mode = 0; mode <= LAST_MODE; mode++) {
      enum { N = 2, T = 5, V = 7 };
      static const nn_real tokens[N * T] = {0, 6, 3, 3, 1, 5, 0, 2, 4, 6};
      const double wrong[] = {7, -1, 0.5, 1e30, NAN, INFINITY, -1e-3, 4294967296.0};
      nn_model *m = begin(N, mode);
      nn_batch batch;
      nn_real bad[N * T];
      int i, j, y = nn_embedding(m, nn_input_tokens(m, T), V, width);
      if (ready(m)) {
        const nn_real *w = param(m, "embedding1.weight"), *got = forward(m, N, tokens, NULL, mode);
        same_dims(m, y, 2, T, width, 0);
        for (i = 0; w && got && i < N * T; i++)
          for (j = 0; j < width; j++) CHECK(got[i * width + j] == w[(int)tokens[i] * width + j]);
        memset(&batch, 0, sizeof batch);
        batch.n = N, batch.x[0] = bad;
        for (i = 0; i < (int)COUNT(wrong); i++) {
          memcpy(bad, tokens, sizeof bad);
          bad[i] = (nn_real)wrong[i];
          if (!CHECK_STATUS(nn_forward(m, &batch, mode == TRAINING), NN_ERR_ARGUMENT))
            fprintf(stderr, "    token %g\n", wrong[i]);
          CHECK_HAS(nn_error(m), "embedding1");
        }
        { /* past a sample's end no token is read, and the layer gives zeros */
          const int32_t lengths[N] = {2, T};
          memcpy(bad, tokens, sizeof bad);
          for (i = 2; i < T; i++) bad[i] = (nn_real)wrong[i];
          got = forward(m, N, bad, lengths, mode);
          for (i = 0; w && got && i < N * T; i++)
            for (j = 0; j < width; j++)
              CHECK(got[i * width + j] == (i < 2 || i >= T ? w[(int)tokens[i] * width + j] : 0));
        }
      }
      nn_destroy(m);
    }
}

/* An image within another, a part of one, and larger pixels. */
static void frames(void) {
  int mode, C;
  for (C = 1; C <= 20; C += 3)
    for (mode = 0; mode <= LAST_MODE; mode++) {
      enum { N = 2, H = 4, W = 5, TOP = 1, BOTTOM = 2, LEFT = 3, RIGHT = 0, DOWN = 2, ACROSS = 3 };
      enum { HIGH = H + TOP + BOTTOM, WIDE = W + LEFT + RIGHT };
      nn_model *m = begin(N, mode);
      const int padded = nn_pad2d(m, nn_input_image(m, C, H, W), TOP, BOTTOM, LEFT, RIGHT);
      const int large = nn_upsample2d(m, padded, DOWN, ACROSS);
      const int rows = nn_slice(m, large, 1, 1, HIGH * DOWN - 3);
      const int part = nn_slice(m, rows, 2, 2, WIDE * ACROSS - 2);
      nn_real *x = inputs((size_t)(N * C * H * W), 3);
      if (ready(m)) {
        const nn_real *y = forward(m, N, x, NULL, mode);
        same_dims(m, part, 3, C, HIGH * DOWN - 3, WIDE * ACROSS - 2);
        for (int k = 0; y && k < N * C; k++)
          for (int i = 1; i < HIGH * DOWN - 2; i++)
            for (int j = 2; j < WIDE * ACROSS; j++) {
              const int row = i / DOWN - TOP, column = j / ACROSS - LEFT;
              const int in = row >= 0 && row < H && column >= 0 && column < W;
              CHECK(*y++ == (in ? x[(k * H + row) * W + column] : 0));
            }
      }
      free(x);
      nn_destroy(m);
    }
}

/* Each sample's groups of channels for themselves, over its own steps; and slopes that learn. */
static void group_norms(void) {
  enum { N = 3, C = 12, T = 5, W = 2 };
  static const int32_t lengths[N] = {3, 5, 2};
  for (int kind = 0; kind < 3; kind++)
    for (int groups = 1; groups <= C; groups *= groups == 1 ? 3 : 4)
      for (int mode = 0; mode <= LAST_MODE; mode++) {
        const nn_norm_options o = {.01, 0, groups, groups == 3, 0};
        const int all = kind == 0 ? 1 : kind == 1 ? T : T * W, each = C / groups;
        nn_model *m = begin(N, mode);
        const int in = kind == 0   ? nn_input_vector(m, C)
                       : kind == 1 ? nn_input_sequence(m, T, C)
                                   : nn_input_image(m, C, T, W);
        nn_prelu(m, nn_group_norm_with(m, in, &o), groups == 12);
        nn_real *x = inputs((size_t)(N * C * all), 9);
        double *want = doubles((size_t)(N * C * all));
        if (ready(m)) {
          const nn_real *w = o.no_affine ? NULL : param(m, "group_norm1.weight");
          const nn_real *b = o.no_affine ? NULL : param(m, "group_norm1.bias");
          const nn_real *slope = param(m, "prelu1.weight");
          for (int s = 0; s < N; s++)
            for (int g = 0; g < groups; g++) {
              const int places = kind == 1 ? lengths[s] : all;
              double sum = 0, square = 0, mean;
#define PLACE(c, p) ((size_t)(kind == 1 ? (s * T + (p)) * C + (c) : (s * C + (c)) * all + (p)))
#define EACH for (int c = g * each; c < (g + 1) * each; c++) for (int p = 0; p < places; p++)
              EACH sum += (double)x[PLACE(c, p)];
              mean = sum / (each * places);
              EACH square += pow((double)x[PLACE(c, p)] - mean, 2);
              EACH {
                double y = ((double)x[PLACE(c, p)] - mean) / sqrt(square / (each * places) + .01);
                if (w) y = y * (double)w[c] + (double)b[c];
                want[PLACE(c, p)] = y > 0 ? y : y * (double)slope[groups == 12 ? c : 0];
              }
#undef PLACE
#undef EACH
            }
          agree(forward(m, N, x, kind == 1 ? lengths : NULL, mode), want, (size_t)(N * C * all),
                200 * EPS, "group norm");
        }
        free(x);
        free(want);
        nn_destroy(m);
      }
}

#ifndef NN_NO_TRAINING
/* A channel of a sample is dropped as a whole, at the rate asked for, or scaled. */
static void dropped_channels(void) {
  enum { N = 8, C = 50, H = 3, W = 2 };
  for (int kind = 1; kind < 3; kind++) {
    nn_model *m = begin(N, TRAINING);
    const int in = kind == 1 ? nn_input_sequence(m, H * W, C) : nn_input_image(m, C, H, W);
    int dropped = 0;
    nn_real *x = inputs(N * C * H * W, 2);
    const nn_real *y;
    nn_dropout_channels(m, in, .25);
    if (ready(m) && (y = forward(m, N, x, NULL, TRAINING)) != NULL)
      for (int s = 0; s < N; s++)
        for (int c = 0; c < C; c++) {
          const int first = kind == 1 ? s * C * H * W + c : (s * C + c) * H * W;
          const int zero = y[first] == 0;
          for (int p = 0; p < H * W; p++) {
            const int at = first + p * (kind == 1 ? C : 1);
            CHECK_NEAR(y[at], zero ? 0 : (double)x[at] / .75, 4 * EPS);
          }
          dropped += zero;
        }
    CHECK(dropped > N * C / 4 - 40 && dropped < N * C / 4 + 40); /* 4.6 deviations */
    y = forward(m, N, x, NULL, EVALUATION);
    if (y) CHECK_SAME(y, x, N * C * H * W * sizeof *x);
    free(x);
    nn_destroy(m);
  }
}
#endif

/* Each pixel between the four whose centres are next. */
static void bilinear(void) {
  for (int C = 1; C <= 17; C += 8)
    for (int down = 1; down <= 4; down++)
      for (int mode = 0; mode <= LAST_MODE; mode++) {
        enum { N = 2, H = 3, W = 4, ACROSS = 2 };
        nn_model *m = begin(N, mode);
        const int y = nn_upsample2d_bilinear(m, nn_input_image(m, C, H, W), down, ACROSS);
        nn_real *x = inputs((size_t)(N * C * H * W), 3);
        double *want = doubles((size_t)(N * C * H * down * W * ACROSS)), *to = want;
        if (ready(m) && same_dims(m, y, 3, C, H * down, W * ACROSS)) {
          for (int k = 0; k < N * C; k++)
            for (int i = 0; i < H * down; i++)
              for (int j = 0; j < W * ACROSS; j++) {
                const double r = fmax((i + .5) / down - .5, 0), q = fmax((j + .5) / ACROSS - .5, 0);
                for (int a = (int)r; a <= (int)r + 1; a++)
                  for (int b = (int)q; b <= (int)q + 1; b++)
                    *to += (1 - fabs(r - a)) * (1 - fabs(q - b)) *
                           (double)x[(k * H + (a < H ? a : H - 1)) * W + (b < W ? b : W - 1)];
                to++;
              }
          agree(forward(m, N, x, NULL, mode), want, (size_t)(to - want), 8 * EPS, "bilinear");
        }
        free(x);
        free(want);
        nn_destroy(m);
      }
}

/* The numbers of the border, axis by axis: at [sample, a, b, c], of sizes that are 1 where the rank
 * has no more. */
typedef struct Shape {
  int rank, dim[3];
} Shape;
static Shape shape_of(nn_model *m, int node) {
  nn_node_info f;
  Shape s = {0, {1, 1, 1}};
  if (!CHECK_OK(nn_get_node(m, node, &f))) return s;
  for (s.rank = 0; s.rank < f.rank; s.rank++) s.dim[s.rank] = f.dim[s.rank];
  return s;
}
static nn_real at(const nn_real *x, const Shape *s, int sample, const int *place) {
  return x[((sample * s->dim[0] + place[0]) * s->dim[1] + place[1]) * s->dim[2] + place[2]];
}

/* Parts, two parts joined again, steps made of images and back, and other shapes, of every rank. */
static void shapes(void) {
  enum { N = 3, PARTS, JOINED, COLUMNS, ROWS, BACK, RESHAPED, WAYS };
  for (int rank = 1; rank <= 3; rank++)
    for (int axis = 0; axis < rank; axis++)
      for (int way = PARTS; way < WAYS; way++)
        for (int mode = 0; mode <= LAST_MODE; mode++) {
          const int turns = way >= COLUMNS && way <= BACK, first = 2, count = 3;
          if (turns && rank < 3) continue;
          nn_model *m = begin(N, mode);
          const int x = rank == 1   ? nn_input_vector(m, 18)
                        : rank == 2 ? nn_input_sequence(m, 6, 7)
                                    : nn_input_image(m, 17, 6, 5);
          const Shape in = shape_of(m, x);
          int y = x;
          if (way == PARTS) y = nn_slice(m, x, axis, first, count);
          if (way == JOINED)
            y = nn_concat_along(m, nn_slice(m, x, axis, first, count), nn_relu(m, x), axis);
          if (turns) y = nn_image_to_sequence(m, x, way != ROWS);
          if (way == BACK) y = nn_sequence_to_image(m, y, in.dim[0], 1);
          if (way == RESHAPED) {
            const int dim[3][3] = {{in.dim[2], in.dim[0] * in.dim[1], 1},
                                   {in.dim[0] * in.dim[1] * in.dim[2], 1, 1},
                                   {in.dim[1], in.dim[2], in.dim[0]}};
            y = nn_reshape(m, x, axis == 0 ? 2 : axis == 1 ? 1 : 3, dim[axis]);
          }
          const int all = in.dim[0] * in.dim[1] * in.dim[2];
          nn_real *from = inputs((size_t)(N * all), 4);
          const nn_real *got = ready(m) ? forward(m, N, from, NULL, mode) : NULL;
          const Shape out = shape_of(m, y);
          if (got && way == RESHAPED) CHECK_SAME(got, from, (size_t)(N * all) * sizeof *from);
          for (int i = 0; got && way != RESHAPED && i < N * out.dim[0] * out.dim[1] * out.dim[2];
               i++) {
            const int place[3] = {i / out.dim[2] / out.dim[1] % out.dim[0],
                                  i / out.dim[2] % out.dim[1], i % out.dim[2]};
            const int sample = i / out.dim[2] / out.dim[1] / out.dim[0];
            int p[3] = {place[0], place[1], place[2]};
            nn_real want;
            if (way == PARTS) p[axis] += first;
            if (way == JOINED) p[axis] += place[axis] < count ? first : -count;
            if (way == COLUMNS) p[2] = place[0], p[0] = place[1] / 6, p[1] = place[1] % 6;
            if (way == ROWS) p[1] = place[0], p[0] = place[1] / 5, p[2] = place[1] % 5;
            want = at(from, &in, sample, p);
            if (way == JOINED && place[axis] >= count && want < 0) want = 0;
            CHECK(got[i] == want);
          }
          free(from);
          nn_destroy(m);
        }
}

/* Zeros round steps, each step several times, and means of as many parts. */
static void over_steps(void) {
  enum { T = 5, F = 2 };
  const int from[3][8] = {{-1, -1, 0, 1, 2, 3, 4, -1}, {0, 0, 1, 1, 2, 2, 3, 3}, {0, 1, 3, 0}};
  for (int way = 0; way < 3; way++)
    for (int mode = 0; mode <= LAST_MODE; mode++) {
      nn_model *m = begin(1, mode);
      nn_real *x = inputs(T * F, 3);
      int y = nn_input_sequence(m, T, F);
      y = way == 0 ? nn_pad1d(m, y, 2, 1) : way == 1 ? nn_upsample1d(m, y, 2)
                                                     : nn_adaptive_avg_pool1d(m, y, 3);
      const nn_real *got = ready(m) && same_dims(m, y, 2, way == 0 ? 8 : way == 1 ? 10 : 3, F, 0)
                               ? forward(m, 1, x, NULL, mode) : NULL;
      for (int i = 0; got && i < (way == 2 ? 3 : 8) * F; i++) {
        const int at = from[way][i / F]; /* of the means, 0 1, 1 2 3 and 3 4 */
        nn_real want = at < 0 ? 0 : x[at * F + i % F];
        if (way == 2) want += x[(at + 1) * F + i % F] + (at == 1 ? x[3 * F + i % F] : 0);
        CHECK_NEAR(got[i], (double)want / (way < 2 ? 1 : at == 1 ? 3 : 2), EPS);
      }
      free(x);
      nn_destroy(m);
    }
}

/* Over samples of different lengths, each is as if it were alone and whole. */
static void own_steps(void) {
  enum { N = 4, T = 6, F = 3, OUT = 9 * F + 5 * F + 7 + 6 * F };
  static const int32_t lengths[N] = {2, 6, 4, 2};
  for (int mode = 0; mode <= LAST_MODE; mode++) {
    nn_real *x = inputs(N * T * F, 5), alone[OUT * N];
    for (int i = N; i >= 0; i--) { /* the last time all together */
      const int t = i ? lengths[i - 1] : T;
      nn_model *m = begin(i ? 1 : N, mode);
      const int in = nn_input_sequence(m, t, F), back = nn_reverse(m, in);
      const int most = nn_global_max_pool(m, back), mean = nn_global_avg_pool(m, in);
      const int scaled = nn_multiply(m, nn_multiply(m, in, back), mean);
      const int tail = nn_slice(m, in, 0, 1, t - 1), two = nn_concat_along(m, tail, scaled, 0);
      const int pairs = nn_reshape(m, nn_relu(m, in), 2, (int[2]){t / 2, 2 * F});
      int y = nn_concat(m, nn_last_step(m, back), nn_last_step(m, nn_reverse(m, scaled)));
      y = nn_concat(m, nn_concat(m, most, mean), y);
      y = nn_concat(m, y, nn_last_step(m, tail));
      y = nn_concat(m, y, nn_concat(m, nn_global_avg_pool(m, two), nn_last_step(m, two)));
      y = nn_concat(m, y, nn_global_max_pool(m, pairs));
      const nn_conv1d_options deep = {F, 2, 1, 1, 1, F, 0};
      const nn_pool1d_options most_of = {3, 2, 1, 1, 0}, mean_of = {3, 2, 1, 1, 1};
      int z = nn_relu(m, nn_conv1d(m, in, 7, 3, 2, 1));
      y = nn_concat(m, y, nn_last_step(m, nn_conv1d(m, z, F + 7, 1, 1, 0)));
      z = nn_max_pool1d_with(m, nn_conv1d_with(m, in, &deep), &most_of);
      y = nn_concat(m, y, nn_concat(m, nn_last_step(m, z), nn_global_avg_pool(m, z)));
      z = nn_avg_pool1d(m, in, 2, 2, 1);
      y = nn_concat(m, y, nn_concat(m, nn_last_step(m, nn_avg_pool1d_with(m, in, &mean_of)),
                                    nn_last_step(m, z)));
      const int own[3] = {nn_pad1d(m, nn_pad1d(m, in, 2, 0), 0, 1), nn_upsample1d(m, in, 3),
                          nn_adaptive_avg_pool1d(m, in, 3)};
      for (int k = 0; k < 3; k++) /* the convolution tells where each step is */
        y = nn_concat(m, nn_concat(m, y, nn_last_step(m, own[k])), nn_last_step(
                      m, nn_slice(m, nn_conv1d(m, own[k], F, 2, 1, 0), 0, 1, 1)));
      if (ready(m)) {
        const nn_real *from = x + (i ? (i - 1) * T * F : 0);
        const nn_real *y = forward(m, i ? 1 : N, from, i ? NULL : lengths, mode);
        if (y && i) memcpy(alone + (i - 1) * OUT, y, OUT * sizeof *y);
        else if (y) CHECK_SAME(y, alone, sizeof alone);
      }
      nn_destroy(m);
    }
    free(x);
  }
}

static void add_and_concat(void) {
  int kind, mode, C;
  for (C = 1; C <= 35; C += 2)
    for (kind = 0; kind < 3; kind++)
      for (mode = 0; mode <= LAST_MODE; mode++) {
        int n = 2, more = C % 5 + 1, inner = 3,
            rest = kind == 0   ? 1
                   : kind == 1 ? inner
                               : 2 * inner;
        nn_model *m = begin(n, mode);
        int a = norm_input(m, kind, C, inner), b = norm_input(m, kind, more, inner), sum, y, i, c,
            r;
        nn_real *xa = inputs((size_t)(n * C * rest), 1), *xb = inputs((size_t)(n * more * rest), 2);
        nn_batch batch;
        const nn_real *got;
        sum = nn_add(m, a, nn_relu(m, a));
        y = nn_concat(m, sum, b);
        memset(&batch, 0, sizeof batch);
        batch.n = n, batch.x[0] = xa, batch.x[1] = xb;
        if (ready(m) && CHECK_OK(nn_forward(m, &batch, mode == TRAINING)) &&
            (got = nn_output(m)) != NULL) {
          int all = C + more;
          kind == 0   ? same_dims(m, y, 1, all, 0, 0)
          : kind == 1 ? same_dims(m, y, 2, inner, all, 0)
                      : same_dims(m, y, 3, all, 2, inner);
          for (i = 0; i < n; i++)
            for (c = 0; c < all; c++)
              for (r = 0; r < rest; r++) {
                int cc = c < C ? c : c - C, wide = c < C ? C : more;
                nn_real v =
                    (c < C
                         ? xa
                         : xb)[kind == 2 ? (i * wide + cc) * rest + r : (i * rest + r) * wide + cc];
                nn_real want = c < C ? v + (v > 0 ? v : 0) : v;
                CHECK(got[kind == 2 ? (i * all + c) * rest + r : (i * rest + r) * all + c] == want);
              }
        }
        free(xa);
        free(xb);
        nn_destroy(m);
      }
}

/* Flatten and dropout without training change nothing; the border layout is NCHW whatever is
 * inside. The same node twice, and a node read by several, are ordinary. */
static void copies(void) {
  int C, mode;
  for (C = 1; C <= 35; C += 3)
    for (mode = 0; mode <= LAST_MODE; mode++) {
      int n = 2, H = 3, W = 5, size = n * C * H * W, i, x0, d;
      nn_model *m = begin(n, mode);
      nn_real *x = inputs((size_t)size, 4);
      const nn_real *y;
      x0 = nn_input_image(m, C, H, W);
      d = nn_dropout(m, x0, mode == TRAINING ? 0 : 0.5);
      d = nn_flatten(m, nn_add(m, d, nn_add(m, x0, x0)));
      if (ready(m) && (y = forward(m, n, x, NULL, mode)) != NULL) {
        same_dims(m, d, 1, C * H * W, 0, 0);
        for (i = 0; i < size; i++) CHECK_NEAR(y[i], 3 * (double)x[i], 2 * EPS);
      }
      free(x);
      nn_destroy(m);
    }
}

/* A convolution's output in the border layout, read from the middle of a net, is the flattened one.
 */
static void read_any_node(void) {
  nn_config c = test_config();
  nn_model *m;
  nn_real *x = inputs(2 * 3 * 7 * 6, 1), *at = test_reals(2 * 5 * 7 * 6),
          *flat = test_reals(2 * 5 * 7 * 6);
  int conv, f;
  c.batch = 2, c.keep_activations = 1;
  m = nn_create(&c);
  conv = nn_conv2d(m, nn_input_image(m, 3, 7, 6), 5, 3, 1, 1);
  f = nn_flatten(m, conv);
  nn_linear(m, nn_relu(m, f), 4);
  if (ready(m) && forward(m, 2, x, NULL, EVALUATION)) {
    nn_real *logits = test_reals(8);
    CHECK_OK(nn_read(m, conv, at));
    CHECK_OK(nn_read(m, f, flat));
    CHECK_SAME(at, flat, 2 * 5 * 7 * 6 * sizeof *at);
    CHECK_OK(nn_read(m, 0, at));
    CHECK_SAME(at, x, 2 * 3 * 7 * 6 * sizeof *at);
    CHECK_OK(nn_read(m, nn_output_node(m), logits));
    CHECK_SAME(logits, nn_output(m), 8 * sizeof *logits);
    CHECK_STATUS(nn_read(m, -1, at), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_read(m, 99, at), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_read(m, conv, NULL), NN_ERR_ARGUMENT);
    free(logits);
  }
  nn_destroy(m);
  c.keep_activations = 0, c.inference = 1;
  m = nn_create(&c);
  conv = nn_conv2d(m, nn_input_image(m, 3, 7, 6), 5, 3, 1, 1);
  nn_linear(m, nn_flatten(m, conv), 4);
  if (ready(m)) {
    CHECK_STATUS(nn_read(m, nn_output_node(m), at), NN_ERR_STATE);
    if (forward(m, 2, x, NULL, INFERENCE)) CHECK_STATUS(nn_read(m, conv, at), NN_ERR_STATE);
  }
  nn_destroy(m);
  free(x);
  free(at);
  free(flat);
}

/* ------------------------------------------------------------------------- recurrent layers -- */

static const char *const cell_name[] = {"rnn", "rnn", "lstm", "gru"};
static int directions = 1; /* of the cells; only recurrent_both_ways asks for two */
static int given = -1;     /* the node that gives their state, or -1 */

static int add_stack(nn_model *m, int x, int cell, int hidden, int layers, int carry) {
  nn_recurrent_options o = {0, 0, 0, 0, 0, 0};
  o.hidden = hidden, o.layers = layers, o.carry = carry, o.bidirectional = directions == 2;
  return given < 0 ? add_cell(m, x, cell, &o) : add_cell_from(m, x, given, cell, &o);
}

static double dot(const nn_real *w, const double *x, int n) {
  double sum = 0;
  int i;
  for (i = 0; i < n; i++) sum += (double)w[i] * x[i];
  return sum;
}

/* One layer over one sample of `steps` steps: x [steps,F] -> y [steps,H]; h and c are its state. */
static void cell_oracle(int cell, int steps, int F, int H, const double *x, const nn_real *wi,
                        const nn_real *wh, const nn_real *bi, const nn_real *bh, double *h,
                        double *c, double *y) {
  double *next = doubles((size_t)H);
  int t, j;
  for (t = 0; t < steps; t++, x += F, y += H) {
    for (j = 0; j < H; j++) {
#define GATE_X(g) (dot(wi + ((g)*H + j) * F, x, F) + (double)bi[(g)*H + j])
#define GATE_H(g) (dot(wh + ((g)*H + j) * H, h, H) + (double)bh[(g)*H + j])
      if (cell == LSTM) {
        double i = exact_sigmoid(GATE_X(0) + GATE_H(0)), f = exact_sigmoid(GATE_X(1) + GATE_H(1));
        double g = tanh(GATE_X(2) + GATE_H(2)), o = exact_sigmoid(GATE_X(3) + GATE_H(3));
        c[j] = f * c[j] + i * g;
        next[j] = o * tanh(c[j]);
      } else if (cell == GRU) {
        double r = exact_sigmoid(GATE_X(0) + GATE_H(0)), z = exact_sigmoid(GATE_X(1) + GATE_H(1));
        double n = tanh(GATE_X(2) + r * GATE_H(2));
        next[j] = (1 - z) * n + z * h[j];
      } else {
        double a = GATE_X(0) + GATE_H(0);
        next[j] = cell == RELU ? exact_relu(a) : tanh(a);
      }
    }
    memcpy(h, next, (size_t)H * sizeof *h);
    memcpy(y, next, (size_t)H * sizeof *h);
  }
  free(next);
}

/* x[rows, cols] to the other order of rows. */
static void turn(const double *x, int rows, int cols, double *to) {
  int r;
  for (r = 0; r < rows; r++)
    memcpy(to + (rows - 1 - r) * cols, x + r * cols, (size_t)cols * sizeof *to);
}

/* All layers for one sample; h, c [layers directions,H]. Steps past the end stay 0. A second
 * direction is the first over the steps turned round, with weights of its own. */
static void stack_oracle(nn_model *m, const char *name, int cell, int layers, int T, int steps,
                         int F, int H, const nn_real *x, double *h, double *c, double *y) {
  double *in = doubles((size_t)(T * F)), *out = NULL;
  int i, k, way, t, width = F;
  for (i = 0; i < steps * F; i++) in[i] = (double)x[i];
  for (k = 0; k < layers; k++) {
    double *one = doubles((size_t)(T * H)), *back = doubles((size_t)(T * (width > H ? width : H)));
    out = doubles((size_t)(T * H * directions));
    for (way = 0; way < directions; way++) {
      static const char *const what[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
      const nn_real *w[4];
      double *from = in, *to = one;
      int at = (k * directions + way) * H;
      for (i = 0; i < 4; i++) {
        char text[64];
        sprintf(text, "%s.%s_l%d%s", name, what[i], k, way ? "_reverse" : "");
        w[i] = param(m, text);
      }
      if (way) turn(in, steps, width, from = back);
      if (w[0] && w[1] && w[2] && w[3])
        cell_oracle(cell, steps, width, H, from, w[0], w[1], w[2], w[3], h + at, c + at, one);
      if (way) turn(one, steps, H, to = back);
      for (t = 0; t < steps; t++)
        memcpy(out + (t * directions + way) * H, to + t * H, (size_t)H * sizeof *out);
    }
    free(one);
    free(back);
    free(in);
    in = out, width = H * directions;
  }
  memcpy(y, in, (size_t)(T * width) * sizeof *y);
  free(in);
}

static int cell_case(int cell, int n, int T, int F, int H, int layers, int with_lengths) {
  enum { STEPS, LAST, STATES, WAYS }; /* all steps; the last; from a state given, the final one */
  int mode, i, held = 1;
  char what[120], name[16];
  nn_real *x = inputs((size_t)(n * T * F), 6);
  const int wide = H * directions;
  const int state = layers * wide, all = cell == LSTM ? 2 * state : state;
  double *want = doubles((size_t)(n * T * wide)), *last = doubles((size_t)(n * wide));
  double *end = doubles((size_t)(n * all));
  nn_real *from = inputs((size_t)(n * all), 8);
  int32_t lengths[16];
  sprintf(name, "%s1", cell_name[cell]);
  for (i = 0; i < n; i++) lengths[i] = with_lengths ? 1 + (i * 5 + 2) % T : T;
  for (mode = 0; mode < WAYS * (LAST_MODE + 1) && held; mode++) {
    int way = mode % WAYS, k;
    nn_model *m = begin(n, mode / WAYS);
    int y = nn_input_sequence(m, T, F);
    given = way == STATES ? nn_input_vector(m, all) : -1;
    y = add_stack(m, y, cell, H, layers, 0);
    if (way == LAST) y = nn_last_step(m, y);
    if (way == STATES) y = nn_final_state(m, y);
    sprintf(what, "%s%s n %d T %d F %d H %d x %d layers %d%s%s mode %d", cell_name[cell],
            cell == RELU ? " relu" : "", n, T, F, directions, H, layers,
            with_lengths ? " lengths" : "", way == LAST ? " last step" : way ? " states" : "",
            mode / WAYS);
    held = ready(m);
    if (held) {
      double *h = doubles((size_t)(layers * wide)), *c = doubles((size_t)(layers * wide));
      size_t count;
      nn_real *p = nn_parameters(m, &count);
      for (i = 0; i < (int)count; i++)
        p[i] /= (nn_real)sqrt((double)(H + F)); /* keep relu bounded */
      if (way == STEPS) same_dims(m, y, 2, T, wide, 0);
      else same_dims(m, y, 1, way == LAST ? wide : all, 0, 0);
      for (i = 0; i < n; i++) {
        for (k = 0; k < state; k++) {
          h[k] = way == STATES ? (double)from[i * all + k] : 0;
          c[k] = way == STATES ? (double)from[i * all + all - state + k] : 0;
        }
        stack_oracle(m, name, cell, layers, T, lengths[i], F, H, x + i * T * F, h, c,
                     want + i * T * wide);
        for (k = 0; k < wide; k++)
          last[i * wide + k] = want[(i * T + lengths[i] - 1) * wide + k];
        memcpy(end + i * all, h, (size_t)state * sizeof *h);
        if (cell == LSTM) memcpy(end + i * all + state, c, (size_t)state * sizeof *c);
      }
      nn_batch b;
      memset(&b, 0, sizeof b);
      b.n = n, b.x[0] = x, b.x[1] = from, b.lengths = with_lengths ? lengths : NULL;
      held = CHECK_OK(nn_forward(m, &b, mode / WAYS == TRAINING)) &&
             agree(nn_output(m), way == STEPS ? want : way == LAST ? last : end,
                   (size_t)(n * (way == STEPS ? T * wide : way == LAST ? wide : all)), 1e-5, what);
      free(h);
      free(c);
    }
    nn_destroy(m);
  }
  free(x);
  free(want);
  free(last);
  free(end);
  free(from);
  given = -1;
  return held;
}

static void recurrent(void) {
  static const int shape[][5] = {/* n, T, F, H, layers */
                                 {1, 1, 1, 1, 1},  {2, 3, 4, 5, 1},    {3, 7, 28, 33, 2},
                                 {5, 4, 3, 16, 3}, {1, 28, 28, 17, 1}, {7, 2, 65, 31, 2},
                                 {9, 5, 8, 8, 1},  {16, 3, 1, 40, 2},  {4, 6, 13, 1, 2}};
  size_t i;
  int cell;
  for (cell = 0; cell < CELLS; cell++)
    for (i = 0; i < COUNT(shape); i++) {
      const int *s = shape[i];
      if (!cell_case(cell, s[0], s[1], s[2], s[3], s[4], 0)) break;
      if (!cell_case(cell, s[0], s[1], s[2], s[3], s[4], 1)) break;
    }
}

static void recurrent_both_ways(void) {
  directions = 2;
  recurrent();
  directions = 1;
}

/* Every width of hidden state past two vectors: all tails of the fused gates. */
static void recurrent_widths(void) {
  int cell, H;
  for (cell = 0; cell < CELLS; cell++)
    for (H = 1; H <= 36; H++)
      if (!cell_case(cell, 3, 2, 1 + H % 4, H, 1, H & 1)) break;
}

/* With carry, a sequence in two calls gives what it gives in one; reset begins anew. */
static void recurrent_carry(void) {
  int cell;
  for (cell = 0; cell < CELLS; cell++) {
    enum { N = 3, T = 4, F = 5, H = 9 };
    nn_model *whole = begin(N, INFERENCE), *half = begin(N, INFERENCE);
    nn_real *x = inputs(N * 2 * T * F, 3), *part = test_reals(N * T * F), want[N * 2 * T * H];
    nn_real first[N * T * H];
    const nn_real *y;
    int i, k;
    add_stack(whole, nn_input_sequence(whole, 2 * T, F), cell, H, 2, 0);
    add_stack(half, nn_input_sequence(half, T, F), cell, H, 2, 1);
    if (ready(whole) && ready(half)) {
      size_t count;
      nn_real *p = nn_parameters(whole, &count), *q = nn_parameters(half, &count);
      memcpy(q, p, count * sizeof *q);
      y = forward(whole, N, x, NULL, INFERENCE);
      if (y) memcpy(want, y, sizeof want);
      for (k = 0; y && k < 2; k++) {
        for (i = 0; i < N; i++)
          memcpy(part + i * T * F, x + (i * 2 * T + k * T) * F, T * F * sizeof *part);
        y = forward(half, N, part, NULL, INFERENCE);
        for (i = 0; y && i < N; i++)
          CHECK_NEAR_ALL(y + i * T * H, want + (i * 2 * T + k * T) * H, T * H, 1e-6);
        if (y && k == 0) memcpy(first, y, sizeof first);
      }
      for (i = 0; i < N; i++) memcpy(part + i * T * F, x + i * 2 * T * F, T * F * sizeof *part);
      nn_reset_state(half);
      y = forward(half, N, part, NULL, INFERENCE);
      CHECK_SAME(y, first, sizeof first);
      y = forward(half, N, part, NULL, INFERENCE);
      if (y) CHECK(memcmp(y, first, sizeof first) != 0);
    }
    free(x);
    free(part);
    nn_destroy(whole);
    nn_destroy(half);
  }
}

static void wrong_lengths(void) {
  static const int32_t wrong[][2] = {{0, 3}, {3, -1}, {5, 1}, {1, INT32_MAX}};
  size_t i;
  nn_model *m = begin(2, INFERENCE);
  nn_real *x = inputs(2 * 4 * 3, 3);
  nn_last_step(m, nn_gru(m, nn_input_sequence(m, 4, 3), 5));
  if (ready(m))
    for (i = 0; i < COUNT(wrong); i++) {
      nn_batch b;
      memset(&b, 0, sizeof b);
      CHECK(forward(m, 2, x, NULL, INFERENCE) != NULL);
      b.n = 2, b.x[0] = x, b.lengths = wrong[i];
      CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_ARGUMENT);
      CHECK(nn_error(m)[0] != 0);
      CHECK(nn_output(m) == NULL); /* not that of the forward before */
    }
  nn_destroy(m);
  m = begin(2, INFERENCE);
  nn_reshape(m, nn_input_sequence(m, 4, 3), 2, (int[2]){2, 6});
  if (ready(m)) {
    static const int32_t odd[] = {4, 3}; /* 9 numbers are one step and a half */
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = 2, b.x[0] = x, b.lengths = odd;
    CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "length 3 of sample 1 leaves reshape1 no whole step");
  }
  free(x);
  nn_destroy(m);
}

/* Places times places are more than 32 bits hold. */
static void long_axes(void) {
  enum { LONG = 1 << 16 };
  nn_real *x = (nn_real *)malloc(2 * LONG * sizeof *x);
  const int32_t length = LONG / 2 + 1;
  nn_batch b;
  for (int i = 0; i < 2 * LONG; i++) x[i] = (nn_real)i;
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x, b.lengths = &length;
  nn_model *m = begin(1, INFERENCE);
  nn_last_step(m, nn_reshape(m, nn_input_sequence(m, LONG, 2), 2, (int[2]){2 * LONG, 1}));
  if (ready(m) && CHECK_OK(nn_forward(m, &b, 0))) CHECK_NEAR(nn_output(m)[0], LONG + 1, 0);
  nn_destroy(m);
  b.lengths = NULL;
  m = begin(1, INFERENCE);
  nn_adaptive_avg_pool2d(m, nn_input_image(m, 1, LONG, 1), LONG - 1, 1); /* of two rows each */
  if (sizeof(size_t) == 4) CHECK_STATUS(nn_build(m), NN_ERR_LIMIT);
  else if (ready(m) && CHECK_OK(nn_forward(m, &b, 0)))
    for (int i = 0; i < LONG - 1; i++) CHECK_NEAR(nn_output(m)[i], i + 0.5, 0);
  nn_destroy(m);
  free(x);
}

/* ---------------------------------------------------------------------------- whole networks -- */

/* A net with a layer of nearly every kind. */
static void mixed_net(nn_model *m) {
  int x = nn_input_image(m, 2, 12, 10), y, z;
  x = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, x, 9, 3, 1, 1)));
  y = nn_silu(m, nn_conv2d(m, x, 9, 3, 1, 1));
  x = nn_max_pool2d(m, nn_add(m, x, y), 2, 2, 0);
  z = nn_gelu(m, nn_avg_pool2d(m, x, 3, 1, 1));
  x = nn_concat(m, x, z);
  y = nn_global_avg_pool(m, x);
  x = nn_tanh(m, nn_linear(m, nn_flatten(m, x), 21));
  x = nn_concat(m, nn_layer_norm(m, x), nn_sigmoid(m, y));
  nn_linear(m, nn_dropout(m, x, 0.5), 7);
}

static void batch_sizes(void) {
  enum { MOST = 9, IN = 2 * 12 * 10, OUT = 7 };
  int mode, n;
  for (mode = INFERENCE; mode <= EVALUATION && mode <= LAST_MODE; mode++) {
    nn_model *m = begin(MOST, mode), *one = begin(1, mode);
    nn_real *x = inputs(MOST * IN, 12), alone[MOST * OUT], twice[MOST * OUT];
    mixed_net(m);
    mixed_net(one);
    if (ready(m) && ready(one)) {
      for (n = 0; n < MOST; n++) {
        const nn_real *y = forward(one, 1, x + n * IN, NULL, mode);
        if (y) memcpy(alone + n * OUT, y, OUT * sizeof *y);
      }
      for (n = 1; n <= MOST; n++) {
        const nn_real *y = forward(m, n, x, NULL, mode);
        CHECK_NEAR_ALL(y, alone, n * OUT, 5e-6);
        if (y) memcpy(twice, y, (size_t)(n * OUT) * sizeof *y);
        CHECK_SAME(forward(m, n, x, NULL, mode), twice, (size_t)(n * OUT) * sizeof *twice);
      }
      for (n = -1; n <= MOST + 1; n++) {
        nn_batch b;
        memset(&b, 0, sizeof b);
        b.n = n, b.x[0] = x;
        if (n < 1 || n > MOST) CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_ARGUMENT);
      }
    }
    free(x);
    nn_destroy(m);
    nn_destroy(one);
  }
}

/* One build for inference and one for training give the same output for the same parameters. */
static void inference_and_training_agree(void) {
#ifdef NN_NO_TRAINING
  SKIP("built without training");
#else
  nn_model *a = begin(3, INFERENCE), *b = begin(3, EVALUATION);
  nn_real *x = inputs(3 * 240, 2), first[21];
  mixed_net(a);
  mixed_net(b);
  if (ready(a) && ready(b)) {
    const nn_real *y = forward(a, 3, x, NULL, INFERENCE);
    if (y) memcpy(first, y, sizeof first);
    CHECK_NEAR_ALL(forward(b, 3, x, NULL, EVALUATION), first, 21, 5e-6);
    CHECK(nn_memory(a) < nn_memory(b));
  }
  free(x);
  nn_destroy(a);
  nn_destroy(b);
#endif
}

static void same_bits_for_any_threads(void) {
#ifdef NN_NO_THREADS
  SKIP("built without threads");
#else
  nn_real *x = inputs(6 * 240, 2), first[42];
  int threads;
  for (threads = 1; threads <= 4; threads++) {
    nn_config c = test_config();
    nn_model *m;
    const nn_real *y;
    c.batch = 6, c.threads = threads;
    m = nn_create(&c);
    mixed_net(m);
    if (ready(m) && (y = forward(m, 6, x, NULL, EVALUATION)) != NULL) {
      if (threads == 1) memcpy(first, y, sizeof first);
      else CHECK_SAME(y, first, sizeof first);
    }
    nn_destroy(m);
  }
  free(x);
#endif
}

static void predict(void) {
  enum { N = 4, K = 7 };
  nn_model *m = begin(N, INFERENCE);
  nn_real *x = inputs(N * 240, 2), probability[N * K];
  int32_t label[N];
  int i, k;
  mixed_net(m);
  if (ready(m)) {
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = N, b.x[0] = x;
    CHECK_OK(nn_predict(m, &b, label, probability));
    for (i = 0; i < N; i++) {
      const nn_real *logit = nn_output(m) + i * K;
      double want[K];
      int best = 0;
      softmax_oracle(logit, want, K, 1);
      for (k = 1; k < K; k++)
        if (logit[k] > logit[best]) best = k;
      CHECK_INT(label[i], best);
      agree(probability + i * K, want, K, 1e-6, "nn_predict");
    }
    CHECK_OK(nn_predict(m, &b, NULL, NULL));
    b.x[0] = NULL;
    CHECK_STATUS(nn_predict(m, &b, label, probability), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_predict(m, NULL, label, probability), NN_ERR_ARGUMENT);
  }
  free(x);
  nn_destroy(m);
}

/* A class for each step of a sequence, as far as its sample goes, and each pixel of an image. */
static void predict_rows(void) {
  enum { N = 3, K = 5, ROWS = 6, SIZE = N * K * ROWS };
  static const int32_t lengths[N] = {6, 2, 5};
  nn_real *x = inputs(SIZE, 4), share[SIZE], top_share[SIZE];
  int32_t label[N * ROWS], top[SIZE];
  for (int which = 0; which < 4; which++) {
    const int image = which & 1, soft = which >> 1, apart = image ? ROWS : 1;
    nn_model *m = begin(N, soft ? EVALUATION : INFERENCE);
    int y = image ? nn_input_image(m, K, 2, 3) : nn_input_sequence(m, ROWS, K);
    nn_batch b;
    y = nn_leaky_relu(m, y, 1);
    if (soft) nn_softmax(m, y);
    memset(&b, 0, sizeof b);
    b.n = N, b.x[0] = x, b.lengths = image ? NULL : lengths;
    if (ready(m) && CHECK_OK(nn_predict(m, &b, label, share))) {
      if (!soft) /* still the logits */
        CHECK_SAME(nn_output(m), x, (size_t)(K * apart) * sizeof *x);
      CHECK_OK(nn_predict_top(m, &b, K, top, top_share));
      for (int r = 0; r < N * ROWS; r++) {
        const int at = image ? r / ROWS * K * ROWS + r % ROWS : r * K;
        const int there = image || r % ROWS < lengths[r / ROWS];
        double want[K * ROWS] = {0};
        int best = 0;
        if (there) softmax_oracle(x + at, want, K, apart);
        for (int k = 1; k < K; k++)
          if (x[at + k * apart] > x[at + best * apart]) best = k;
        CHECK_INT(label[r], there ? best : -1);
        for (int k = 0; k < K; k++) {
          const int found = top[r * K + k];
          CHECK_NEAR(share[at + k * apart], want[k * apart], 1e-6);
          if (!k) CHECK_INT(found, label[r]);
          if (there) CHECK_NEAR(top_share[r * K + k], want[found * apart], 1e-6);
          else CHECK(found == -1 && top_share[r * K + k] == 0);
        }
      }
    }
    nn_destroy(m);
  }
  free(x);
}

/* ---------------------------------------------------------------------------- random graphs -- */

/* What the graph gives without training and, where it can be trained, then with it, and then the
 * gradients; the caller frees it. */
static nn_real *run_graph(int seed, int mode, int keep, size_t *count) {
  enum { N = 3 };
  static const int32_t lengths[N] = {2, 3, 1};
  nn_config c = test_config();
  nn_model *m;
  nn_batch b;
  nn_node_info f;
  nn_real *x[NN_MAX_INPUTS], *result;
  size_t size, out = 0, i;
  int k, j, used = 0, with_lengths, held;
  memset(&b, 0, sizeof b);
  c.batch = N + 1, c.inference = mode == INFERENCE, c.keep_activations = keep;
  c.least_memory = 1; /* what is packed once may be summed in another order: tests/test_inplace.c */
  c.input_gradient = seed % 2;
  m = nn_create(&c);
  graph(m, seed);
  b.n = N, with_lengths = dice(0, 1);
  held = ready(m);
  for (k = 0; k < nn_node_count(m); k++) {
    nn_get_node(m, k, &f);
    for (size = N, j = 0; j < f.rank; j++) size *= (size_t)f.dim[j];
    if (k == nn_output_node(m)) out = size;
    if (with_lengths && f.rank == 2) b.lengths = lengths;
    if (f.inputs) continue;
    b.x[used] = x[used] = inputs(size, (uint32_t)k);
    for (i = 0; i < size && strcmp(f.kind, "tokens") == 0; i++) x[used][i] = (nn_real)(i * 5 % 7);
    used++;
  }
  nn_parameters(m, count);
  *count = mode == INFERENCE ? out : 2 * out + *count;
  result = test_reals(*count);
  held = held && CHECK_OK(nn_forward(m, &b, 0));
  if (held) memcpy(result, nn_output(m), out * sizeof *result);
#ifndef NN_NO_TRAINING
  held = held && mode == TRAINING && CHECK_OK(nn_forward(m, &b, 1));
  if (held) memcpy(result + out, nn_output(m), out * sizeof *result);
  /* refused where the output does not depend on any parameter or wanted input */
  if (held && *count > 2 * out && nn_backward_from(m, nn_output(m)) == NN_OK)
    memcpy(result + 2 * out, nn_gradients(m, NULL), (*count - 2 * out) * sizeof *result);
#endif
  while (used) free(x[--used]);
  nn_destroy(m);
  return result;
}

/* What shares memory is worked out from the graph and from what the model is for; with all
 * activations kept nothing shares it. Both give the same bits. */
static void random_graphs(void) {
  int seed, mode, keep;
  for (seed = 1; seed <= 500 && !test_state.bad; seed++) {
    size_t most, count;
    nn_real *want = run_graph(seed, LAST_MODE, 1, &most), *got;
    for (mode = INFERENCE; mode <= LAST_MODE; mode += TRAINING)
      for (keep = 0; keep < 2; keep++) {
        got = run_graph(seed, mode, keep, &count);
        if (!CHECK(count <= most) || !CHECK_SAME(got, want, count * sizeof *got))
          fprintf(stderr, "    graph %d, mode %d, keep %d\n", seed, mode, keep);
        free(got);
      }
    free(want);
  }
}

/* ------------------------------------------------------------------------ describing a model -- */

/* The first error stays, later calls do nothing, every later call that needs a built model says no,
 * and the sentence names what it should: the layer, and the shapes. NN_OK: any error will do. */
static void refused(nn_model *m, int line, nn_status want, const char *a, const char *b,
                    const char *c) {
  nn_status status = nn_build(m);
  char sentence[512];
  nn_real x[16] = {0};
  nn_batch batch;
  size_t bytes;
  int bad = test_state.bad;
  if (want != NN_OK) CHECK_STATUS(status, want);
  else CHECK(status != NN_OK);
  strncpy(sentence, nn_error(m), sizeof sentence - 1);
  sentence[sizeof sentence - 1] = 0;
  CHECK(test_told(sentence));
  CHECK_HAS(sentence, a);
  CHECK_HAS(sentence, b);
  CHECK_HAS(sentence, c);
  CHECK_INT(nn_input_vector(m, 3), -1);
  CHECK_INT(nn_linear(m, 0, 3), -1);
  CHECK_STATUS(nn_model_status(m), status);
  CHECK_TEXT(nn_error(m), sentence);
  CHECK_STATUS(nn_plan(m, &bytes), status);
  CHECK_STATUS(nn_build(m), status);
  memset(&batch, 0, sizeof batch);
  batch.n = 1, batch.x[0] = x;
  CHECK_STATUS(nn_forward(m, &batch, 0), status);
  CHECK(nn_output(m) == NULL);
  if (test_state.bad != bad && bad < TEST_MAX_LINES)
    fprintf(stderr, "    the mistake of line %d: %s\n", line, sentence);
  nn_destroy(m);
}
#define REFUSED(status, a, b, c, mistake)  \
  do {                                     \
    nn_model *m = begin(2, EVALUATION);    \
    mistake;                               \
    refused(m, __LINE__, status, a, b, c); \
  } while (0)

static int image(nn_model *m) { return nn_input_image(m, 3, 8, 8); }
static void conv_with(nn_model *m, int stride, int dilation, int groups) {
  nn_conv2d_options o = conv_options(4, 3, stride, 0, groups);
  o.dilation_h = o.dilation_w = dilation;
  nn_conv2d_with(m, image(m), &o);
}

static void wrong_shapes(void) {
  const nn_status e = NN_ERR_SHAPE;
  REFUSED(e, "add1", "[3,8,8]", "[4,8,8]", nn_add(m, image(m), nn_input_image(m, 4, 8, 8)));
  REFUSED(e, "add1", "[6]", "[2,3]", nn_add(m, nn_input_vector(m, 6), nn_input_sequence(m, 2, 3)));
  REFUSED(e, "concat1", "[3,8,8]", "[3,8,9]", nn_concat(m, image(m), nn_input_image(m, 3, 8, 9)));
  REFUSED(e, "concat1", "[4,2]", "[5,2]",
          nn_concat(m, nn_input_sequence(m, 4, 2), nn_input_sequence(m, 5, 2)));
  REFUSED(e, "conv1", "[10]", "", nn_conv2d(m, nn_input_vector(m, 10), 4, 3, 1, 1));
  REFUSED(e, "conv1", "[3,8,8]", "9", nn_conv2d(m, image(m), 4, 9, 1, 0));
  REFUSED(e, "conv1", "[3,8,8]", "5", conv_with(m, 1, 5, 1));
  REFUSED(e, "conv1", "groups", "2", conv_with(m, 1, 1, 2));
  REFUSED(e, "conv1", "groups", "3", conv_with(m, 1, 1, 3));
  REFUSED(e, "max_pool1", "[4,4]", "", nn_max_pool2d(m, nn_input_sequence(m, 4, 4), 2, 2, 0));
  REFUSED(e, "max_pool1", "[3,8,8]", "9", nn_max_pool2d(m, image(m), 9, 1, 0));
  REFUSED(e, "global_avg_pool1", "[8]", "", nn_global_avg_pool(m, nn_input_vector(m, 8)));
  REFUSED(e, "linear1", "[3,8,8]", "", nn_linear(m, image(m), 10));
  REFUSED(e, "rnn1", "[8]", "", nn_rnn(m, nn_input_vector(m, 8), 10));
  REFUSED(e, "lstm1", "[3,8,8]", "", nn_lstm(m, image(m), 10));
  REFUSED(e, "last_step1", "[8]", "", nn_last_step(m, nn_input_vector(m, 8)));
  REFUSED(e, "embedding1", "", "", nn_embedding(m, nn_input_vector(m, 8), 10, 4));
  REFUSED(e, "embedding1: needs nn_input_tokens", "", "",
          nn_embedding(m, nn_input_sequence(m, 8, 2), 10, 4));
  REFUSED(e, "linear1", "", "", nn_linear(m, nn_input_tokens(m, 8), 4));
}

static void recurrent_with(nn_model *m, int layers, double rate) {
  nn_recurrent_options o;
  memset(&o, 0, sizeof o);
  o.hidden = 4, o.layers = layers, o.dropout = rate;
  nn_gru_with(m, nn_input_sequence(m, 3, 4), &o);
}
static int vector(nn_model *m) { return nn_input_vector(m, 4); }
#ifndef NN_NO_TRAINING
static int loss_of(nn_model *m, nn_loss_kind kind, double weight, int from, double smoothing,
                   double delta) {
  nn_loss_options o = nn_loss_default(kind);
  o.weight = weight, o.from = from, o.smoothing = smoothing, o.delta = delta;
  return nn_loss_with(m, vector(m), &o);
}
#endif

/* What a custom layer's description may not be; `wrong` says what its shape does. */
enum { NO_RANK = 1, NO_SIZE, MANY_PARAMS, NO_NAME, ONE_NAME, NO_PARAM_SIZE, LONG_NAME, NO_INIT,
       RANK_5, FAILS, LARGE, INFINITE, NO_MEMORY };
static int wrong;
static nn_status wrong_shape(void *user, nn_custom_shape *s) {
  static const char *const names[2] = {"a", "b"};
  (void)user;
  s->params = wrong == MANY_PARAMS ? 5 : 2;
  for (int i = 0; i < 2; i++) {
    s->param[i].name = names[wrong == ONE_NAME ? 0 : i];
    s->param[i].rank = wrong == RANK_5 ? 5 : 2, s->param[i].dim[0] = s->param[i].dim[1] = 2;
  }
  if (wrong == NO_RANK) s->rank = 0;
  if (wrong == NO_SIZE) s->dim[0] = 0;
  if (wrong == NO_NAME) s->param[1].name = NULL;
  if (wrong == LONG_NAME) s->param[1].name = "abcdefghijklmnop";
  if (wrong == NO_PARAM_SIZE) s->param[1].dim[1] = 0;
  if (wrong == NO_INIT) s->param[1].init = NN_INIT_HE_NORMAL;
  if (wrong == INFINITE) s->param[1].init = NN_INIT_CONSTANT, s->param[1].value = INFINITY;
  if (wrong == LARGE)
    for (int i = 0; i < 4; i++) s->param[1].rank = 4, s->param[1].dim[i] = 1 << 20;
  return wrong == FAILS ? NN_ERR_SHAPE : wrong == NO_MEMORY ? NN_ERR_MEMORY : NN_OK;
}
static nn_status nothing(void *user, nn_custom_run *r) { return (void)user, (void)r, NN_OK; }
static int custom_with(nn_model *m, int what, const char *name) {
  static nn_custom_layer layer;
  const int in[2] = {vector(m), 0};
  layer.name = name, layer.shape = wrong_shape;
  layer.forward = what == -1 ? NULL : nothing, layer.backward = what == -2 ? NULL : nothing;
  wrong = what;
  return nn_custom(m, what == -3 ? NULL : in, what == -4 ? 3 : what == -5 ? 0 : 1, &layer);
}

static void wrong_custom(void) {
  const nn_status e = NN_ERR_ARGUMENT;
  for (int k = -1; k >= -5; k--) {
#ifdef NN_NO_TRAINING
    if (k == -2) continue; /* inference needs no backward */
#endif
    REFUSED(e, k == -1 ? "nn_custom: forward is NULL" : k == -2 ? "nn_custom: backward is NULL"
                                                      : "nn_custom: takes 1 or 2 inputs", "", "",
            custom_with(m, k, "own"));
  }
  REFUSED(e, "nn_custom: its name is not 1..23", "", "", custom_with(m, 0, NULL));
  REFUSED(e, "nn_custom: its name", "", "", custom_with(m, 0, ""));
  REFUSED(e, "nn_custom: its name", "", "", custom_with(m, 0, "a b"));
  REFUSED(e, "nn_custom: its name", "", "", custom_with(m, 0, "abcdefghijklmnopqrstuvwx"));
  REFUSED(e, "nn_custom: the layer is NULL", "", "", nn_custom(m, &wrong, 1, NULL));
  REFUSED(e, "custom1: its input 7", "", "", (wrong = 7, nn_custom(m, &wrong, 1, &mix_layer)));
  REFUSED(e, "custom1: the rank is 0", "", "", custom_with(m, NO_RANK, "own"));
  REFUSED(e, "custom1: a size is 0", "", "", custom_with(m, NO_SIZE, "own"));
  REFUSED(e, "the shape of own: params must be", "", "", custom_with(m, MANY_PARAMS, "own"));
  REFUSED(e, "a parameter's name has 1..15 letters", "", "", custom_with(m, NO_NAME, "own"));
  REFUSED(e, "a parameter's name has 1..15", "", "", custom_with(m, LONG_NAME, "own"));
  REFUSED(e, "two parameters of one name", "", "", custom_with(m, ONE_NAME, "own"));
  REFUSED(e, "a parameter's size must be", "", "", custom_with(m, NO_PARAM_SIZE, "own"));
  REFUSED(e, "a parameter's rank must be", "", "", custom_with(m, RANK_5, "own"));
  REFUSED(e, "initial value is none", "", "", custom_with(m, NO_INIT, "own"));
  REFUSED(e, "initial value is none", "", "", custom_with(m, INFINITE, "own"));
  REFUSED(e, "a parameter is too large", "", "", custom_with(m, LARGE, "own"));
  REFUSED(NN_ERR_SHAPE, "custom1: the shape of own: shapes do", "", "",
          custom_with(m, FAILS, "own"));
  REFUSED(NN_ERR_MEMORY, "custom1: the shape of own: out of", "", "", /* no net without the layer */
          nn_linear(m, custom_with(m, NO_MEMORY, "own"), 2));
  REFUSED(NN_ERR_SHAPE, "tokens", "", "", mix(m, nn_input_tokens(m, 3), 0));
#ifndef NN_NO_TRAINING
  static nn_custom_loss loss = {"half", 1, 0, half_square, NULL};
  REFUSED(e, "loss is NULL", "", "", nn_custom_loss_with(m, vector(m), NULL, 1));
  REFUSED(e, "its weight is 0", "", "", nn_custom_loss_with(m, vector(m), &loss, 0));
  REFUSED(e, "its weight is nan", "", "", nn_custom_loss_with(m, vector(m), &loss, NAN));
  loss.values = -1;
  REFUSED(e, "labels and values must be 0..", "", "", nn_custom_loss_with(m, vector(m), &loss, 1));
  loss.values = 0, loss.name = "/";
  REFUSED(e, "custom_loss1: its name", "", "", nn_custom_loss_with(m, vector(m), &loss, 1));
  loss.name = "half", loss.loss = NULL;
  REFUSED(e, "its function is NULL", "", "", nn_custom_loss_with(m, vector(m), &loss, 1));
#endif
}

/* A config whose tables could not be used makes no model. */
static void wrong_custom_tables(void) {
  static const char long_name[] = "abcdefghijklmnopqrstuvwx";
  for (int way = 0; way < 12; way++) {
    nn_config c = test_config();
    nn_custom_layer layers[2] = {mix_layer, sum_layer};
    nn_custom_loss losses[2] = {{"half", 1, 0, half_square, NULL},
                                {"own", 1, 0, half_square, NULL}};
    c.custom_layers = layers, c.custom_losses = losses;
    c.custom_layers_count = c.custom_losses_count = 2, c.inference = way == 1 || way == 7;
    if (way == 1) layers[0].backward = NULL; /* which inference does without */
    if (way == 2) layers[1].name = NULL;
    if (way == 3) layers[1].name = long_name;
    if (way == 4) layers[1].name = "mix";
    if (way == 5) layers[0].forward = NULL;
    if (way == 6) layers[1].name = "";
    if (way == 7) c.custom_layers_count = -1;
    if (way == 8) losses[1].name = NULL;
    if (way == 9) losses[1].name = "half";
    if (way == 10) losses[0].loss = NULL;
    if (way == 11) losses[0].values = -1;
    nn_model *m = nn_create(&c);
    if (!CHECK(!m == (way > 1))) fprintf(stderr, "    way %d\n", way);
    nn_destroy(m);
  }
}

static void wrong_values(void) {
  const nn_status e = NN_ERR_ARGUMENT;
  const nn_norm_options flat = {0, .1, 1, 0, 0}, fast = {1, 1.01, 1, 0, 0};
  REFUSED(e, "eps is 0", "", "", nn_layer_norm_with(m, vector(m), &flat));
  REFUSED(e, "momentum is 1.01", "", "", nn_batch_norm_with(m, vector(m), &fast));
  const double least = NN__PASTE(NN__REAL_, NN_REAL) == 1 ? 1e-38 : 1e-320 / 1e9;
  const nn_norm_options tiny = {least, .1, 1, 0, 0}, huge = {1e300 * 1e9, .1, 1, 0, 0};
  REFUSED(e, "must be above 0 as a float", "", "", nn_batch_norm_with(m, vector(m), &tiny));
  REFUSED(e, "must be above 0 as a float", "", "", nn_layer_norm_with(m, vector(m), &tiny));
  REFUSED(e, "must be above 0 as a float", "", "", nn_group_norm_with(m, vector(m), &huge));
  const nn_norm_options frozen = {1e-5, .1, 1, 0, 1};
  REFUSED(e, "layer_norm1: frozen is of batch", "", "", nn_layer_norm_with(m, vector(m), &frozen));
  const nn_norm_options moves = {1e-5, .2, 1, 0, 0}, stays = {1e-5, .2, 1, 0, 1};
  REFUSED(e, "layer_norm1: momentum is 0.2, but no running", "", "",
          nn_layer_norm_with(m, vector(m), &moves));
  REFUSED(e, "group_norm1: momentum is 0.2", "", "", nn_group_norm_with(m, vector(m), &moves));
  REFUSED(e, "batch_norm1: momentum is 0.2", "", "", nn_batch_norm_with(m, vector(m), &stays));
  const nn_norm_options grouped = {1e-5, .1, 2, 0, 0};
  REFUSED(e, "batch_norm1: groups is 2, but of group", "", "",
          nn_batch_norm_with(m, vector(m), &grouped));
  REFUSED(e, "layer_norm1: groups is 2", "", "", nn_layer_norm_with(m, vector(m), &grouped));
  const nn_pool2d_options inside = {2, 2, 1, 1, 1, 1, 0, 1};
  const nn_pool1d_options of_steps = {2, 1, 1, 0, 1};
  REFUSED(e, "max_pool1: exclude_pad is of average", "", "",
          nn_max_pool2d_with(m, image(m), &inside));
  REFUSED(e, "max_pool1: exclude_pad is of average", "", "",
          nn_max_pool1d_with(m, nn_input_sequence(m, 3, 4), &of_steps));
  nn_recurrent_options relu = {4, 1, 0, 1, 0, 0};
  REFUSED(e, "gru1: relu is of", "", "", nn_gru_with(m, nn_input_sequence(m, 3, 4), &relu));
  REFUSED(e, "options are NULL", "", "", nn_group_norm_with(m, vector(m), NULL));
  REFUSED(NN_ERR_SHAPE, "groups 3", "4", "", nn_group_norm(m, vector(m), 3));
  REFUSED(e, "dropout_channels1", "", "", nn_dropout_channels(m, vector(m), 1));
  REFUSED(e, "options are NULL", "", "", nn_conv1d_with(m, nn_input_sequence(m, 3, 4), NULL));
  REFUSED(e, "options are NULL", "", "", nn_max_pool1d_with(m, nn_input_sequence(m, 3, 4), NULL));
  REFUSED(e, "options are NULL", "", "", nn_conv_transpose2d_with(m, image(m), NULL, 0, 0));
  REFUSED(e, "output_pad_h is 1", "", "",
          (void)nn_conv_transpose2d_with(m, image(m), &(nn_conv2d_options){1, 1, 1, 1, 1, 0, 0, 1,
                                                                           1, 1, 0}, 1, 0));
  REFUSED(NN_ERR_SHAPE, "needs a sequence", "", "", nn_avg_pool1d(m, image(m), 2, 2, 0));
  REFUSED(NN_ERR_SHAPE, "a kernel of 4 (dilation 1) does not fit the 3 steps of input1", "", "",
          nn_conv1d(m, nn_input_sequence(m, 3, 4), 2, 4, 1, 0));
  REFUSED(NN_ERR_SHAPE, "max_pool1: a kernel of 4 (dilation 1) does not fit the 3 steps", "", "",
          nn_max_pool1d(m, nn_input_sequence(m, 3, 4), 4, 1, 0));
  REFUSED(e, "upsample1: factor is 0", "", "", nn_upsample1d(m, nn_input_sequence(m, 3, 4), 0));
  REFUSED(e, "avg_pool1: steps is 0", "", "",
          nn_adaptive_avg_pool1d(m, nn_input_sequence(m, 3, 4), 0));
  REFUSED(NN_ERR_SHAPE, "needs a sequence", "", "", nn_pad1d(m, image(m), 1, 1));
  REFUSED(e, "conv1: stride is 0", "", "", nn_conv1d(m, nn_input_sequence(m, 3, 4), 2, 2, 0, 0));
  REFUSED(e, "conv1: pad is -1", "", "", nn_conv1d(m, nn_input_sequence(m, 3, 4), 2, 2, 1, -1));
  REFUSED(e, "the sizes are NULL", "", "", nn_reshape(m, vector(m), 1, NULL));
  REFUSED(NN_ERR_SHAPE, "cannot be 3", "4", "", nn_reshape(m, vector(m), 1, (int[1]){3}));
  REFUSED(e, "count is 3", "", "", nn_slice(m, vector(m), 0, 2, 3));
  REFUSED(e, "axis is 1", "", "", nn_slice(m, vector(m), 1, 0, 1));
  REFUSED(e, "axis is -1", "", "", nn_concat_along(m, vector(m), 0, -1));
  REFUSED(NN_ERR_SHAPE, "side by side", "", "",
          nn_concat_along(m, image(m), nn_input_image(m, 1, 1, 1), 1));
  REFUSED(NN_ERR_SHAPE, "do not divide", "", "",
          nn_sequence_to_image(m, nn_input_sequence(m, 3, 4), 3, 0));
  const nn_real four[4] = {1, 1, 1, 1}, odd[4] = {1, 1, (nn_real)NAN, 1};
  REFUSED(e, "conv1", "", "", nn_conv2d(m, image(m), 0, 3, 1, 1));
  REFUSED(e, "conv1", "", "", nn_conv2d(m, image(m), 4, 0, 1, 1));
  REFUSED(e, "conv1", "", "", nn_conv2d(m, image(m), 4, 3, 0, 1));
  REFUSED(e, "conv1", "", "", nn_conv2d(m, image(m), 4, 3, 1, -1));
  REFUSED(e, "conv1", "", "", conv_with(m, 1, 0, 1));
  REFUSED(e, "conv1", "", "", conv_with(m, -1, 1, 1));
  REFUSED(e, "conv1", "", "", conv_with(m, 1, 1, 0));
  REFUSED(e, "conv1", "", "", nn_conv2d_with(m, image(m), NULL));
  REFUSED(e, "avg_pool1", "", "", nn_avg_pool2d(m, image(m), 2, 2, 2));
  REFUSED(e, "avg_pool1", "", "", nn_avg_pool2d(m, image(m), 0, 2, 0));
  REFUSED(e, "max_pool1", "", "", nn_max_pool2d(m, image(m), 2, 0, 0));
  REFUSED(e, "linear1", "", "", nn_linear(m, vector(m), 0));
  REFUSED(e, "gru1", "", "", nn_gru(m, nn_input_sequence(m, 3, 8), 0));
  REFUSED(e, "gru1", "16", "17", recurrent_with(m, 17, 0));
  REFUSED(e, "gru1", "-1", "", recurrent_with(m, -1, 0));
  REFUSED(e, "gru1", "", "", recurrent_with(m, 2, 1));
  REFUSED(e, "lstm1", "", "", nn_lstm_with(m, nn_input_sequence(m, 3, 4), NULL));
  nn_recurrent_options both = {4, 1, 0, 0, 1, 1};
  REFUSED(e, "carry and bidirectional", "", "", nn_gru_with(m, nn_input_sequence(m, 3, 4), &both));
  both.carry = 0;
  REFUSED(NN_ERR_SHAPE, "needs a state [8] but input1", "[4]", "",
          (vector(m), nn_gru_from(m, nn_input_sequence(m, 3, 4), 0, &both)));
  REFUSED(NN_ERR_SHAPE, "a state [16], h and then c,", "[3,4]", "",
          nn_lstm_from(m, nn_input_sequence(m, 3, 4), 0, &both));
  both.carry = 1, both.bidirectional = 0;
  REFUSED(e, "carry and a state from input1", "", "",
          (vector(m), nn_rnn_from(m, nn_input_sequence(m, 3, 4), 0, &both)));
  REFUSED(e, "no node -1 gives its state", "", "",
          nn_gru_from(m, nn_input_sequence(m, 3, 4), -1, &both));
  REFUSED(e, "not a layer", "", "", nn_gru_from(m, nn_input_sequence(m, 3, 4), 7, &both));
  REFUSED(NN_ERR_SHAPE, "input1 is no rnn, lstm or gru", "", "", nn_final_state(m, vector(m)));
  REFUSED(e, "final_state1 already gives the state of gru1", "", "",
          (nn_final_state(m, nn_gru(m, nn_input_sequence(m, 3, 4), 2)), nn_final_state(m, 1)));
  REFUSED(e, "embedding1", "", "", nn_embedding(m, nn_input_tokens(m, 8), 0, 4));
  REFUSED(e, "input1", "", "", nn_input_image(m, 0, 8, 8));
  REFUSED(e, "input1", "-8", "", nn_input_image(m, 1, -8, 8));
  REFUSED(e, "input1", "", "", nn_input_sequence(m, 0, 8));
  REFUSED(e, "input1", "", "", nn_input_vector(m, 0));
  REFUSED(e, "relu1", "7", "", (vector(m), nn_relu(m, 7)));
  REFUSED(e, "relu1", "", "", (vector(m), nn_relu(m, -1)));
  REFUSED(e, "dropout1", "", "", nn_dropout(m, vector(m), 1));
  REFUSED(e, "dropout1", "", "", nn_dropout(m, vector(m), -0.1));
  REFUSED(e, "dropout1", "", "", nn_dropout(m, vector(m), NAN));
  REFUSED(e, "leaky_relu1", "", "", nn_leaky_relu(m, vector(m), NAN));
  REFUSED(e, "leaky_relu1", "", "", nn_leaky_relu(m, vector(m), INFINITY));
  REFUSED(e, "twin", "", "", (nn_name(m, vector(m), "twin"), nn_name(m, vector(m), "twin")));
  REFUSED(e, "a b", "", "", nn_name(m, vector(m), "a b"));
  REFUSED(e, "", "", "", nn_name(m, vector(m), ""));
  REFUSED(e, "", "", "", nn_name(m, vector(m), NULL));
  REFUSED(e, "23", "", "", nn_name(m, vector(m), "abcdefghijklmnopqrstuvwx"));
  REFUSED(e, "3", "", "", (vector(m), nn_name(m, 3, "x")));
  REFUSED(e, "3", "", "", (vector(m), nn_set_init(m, 3, NN_INIT_CONSTANT, 0)));
  REFUSED(e, "linear1", "", "", nn_set_init(m, nn_linear(m, vector(m), 2), (nn_init)99, 0));
  REFUSED(e, "linear1", "above 0", "",
          nn_set_init(m, nn_linear(m, vector(m), 2), NN_INIT_HE_NORMAL, 0));
  REFUSED(e, "linear1", "above 0", "",
          nn_set_init(m, nn_linear(m, vector(m), 2), NN_INIT_ORTHOGONAL, -1));
  for (int k = 0; k < 2 && sizeof(nn_real) == 4; k++) /* 0 and infinite as a float */
    REFUSED(e, "linear1", "above 0", "",
            nn_set_init(m, nn_linear(m, vector(m), 2), NN_INIT_HE_NORMAL, k ? 1e300 : 1e-300));
  REFUSED(e, "nn_normalise", "mean", "", nn_normalise(m, vector(m), NULL, four));
  REFUSED(e, "nn_normalise", "scale", "", nn_normalise(m, vector(m), four, NULL));
  REFUSED(e, "normalise1", "channel 2", "", nn_normalise(m, vector(m), four, odd));
  REFUSED(e, "linear1", "", "", nn_set_init(m, nn_linear(m, vector(m), 2), NN_INIT_CONSTANT, NAN));
#ifndef NN_NO_TRAINING
  static const nn_real below[2] = {1, -1};
  nn_optimizer still = nn_sgd(0, 0);
  REFUSED(e, "class weight 1 is -1", "", "",
          nn_cross_entropy_with(m, nn_input_vector(m, 2), 0, below));
  REFUSED(e, "a loss", "", "", nn_relu(m, (vector(m), nn_mean_squared_error(m, 0))));
  REFUSED(e, "options are NULL", "", "", nn_loss_with(m, vector(m), NULL));
  REFUSED(e, "no loss 5", "", "", loss_of(m, (nn_loss_kind)5, 1, 0, 0, 1));
  REFUSED(e, "no loss -1", "", "", loss_of(m, (nn_loss_kind)-1, 1, 0, 0, 1));
  REFUSED(e, "weight is 0, must be above 0", "", "", loss_of(m, NN_HUBER, 0, 0, 0, 1));
  REFUSED(e, "weight is nan", "", "", loss_of(m, NN_CROSS_ENTROPY, NAN, 0, 0, 1));
  REFUSED(e, "weight is inf", "", "", loss_of(m, NN_CROSS_ENTROPY, INFINITY, 0, 0, 1));
  REFUSED(e, "from is -1", "", "", loss_of(m, NN_CROSS_ENTROPY, 1, -1, 0, 1));
  REFUSED(e, "smoothing is 1", "", "", loss_of(m, NN_CROSS_ENTROPY, 1, 0, 1, 1));
  REFUSED(e, "smoothing is nan", "", "", loss_of(m, NN_CROSS_ENTROPY, 1, 0, NAN, 1));
  REFUSED(e, "smoothing is of a cross", "", "", loss_of(m, NN_SQUARED_ERROR, 1, 0, .5, 1));
  for (int kind = NN_SQUARED_ERROR; kind <= NN_ABSOLUTE_ERROR; kind++) {
    nn_loss_options o = nn_loss_default((nn_loss_kind)kind);
    o.ignored = 0;
    REFUSED(e, "ignored is of a cross", "", "", nn_loss_with(m, vector(m), &o));
    if (kind == NN_HUBER) continue;
    REFUSED(e, "delta is of a Huber", "", "", loss_of(m, (nn_loss_kind)kind, 1, 0, 0, .5));
  }
  REFUSED(e, "delta is of a Huber", "", "", loss_of(m, NN_CROSS_ENTROPY, 1, 0, 0, .5));
  REFUSED(e, "delta is 0, must be above 0", "", "", loss_of(m, NN_HUBER, 1, 0, 0, 0));
  REFUSED(e, "delta is nan", "", "", loss_of(m, NN_HUBER, 1, 0, 0, NAN));
  REFUSED(e, "delta is inf", "", "", loss_of(m, NN_HUBER, 1, 0, 0, INFINITY));
  REFUSED(e, "smoothing is of a cross-entropy", "", "", loss_of(m, NN_HUBER, 1, 0, .5, 1));
  REFUSED(NN_ERR_LIMIT, "from is 1048577", "", "", loss_of(m, NN_HUBER, 1, (1 << 20) + 1, 0, 1));
  REFUSED(NN_ERR_STATE, "only another loss can follow", "", "",
          (vector(m), nn_mean_squared_error(m, 0), nn_relu(m, 0)));
  REFUSED(e, "optimizer: rate", "", "", (vector(m), nn_set_optimizer(m, &still)));
#endif
  REFUSED(NN_ERR_STATE, "the last layer is an input", "", "", (nn_relu(m, vector(m)), vector(m)));
}

/* Sizes that are allowed alone, but not together. config.batch 2^20, every output kept. */
#define REFUSED_SUM(what, says, mistake)                \
  do {                                                  \
    nn_config c = test_config();                        \
    nn_model *m;                                        \
    c.batch = 1 << 20, c.keep_activations = 1;          \
    m = nn_create(&c);                                  \
    mistake;                                            \
    refused(m, __LINE__, NN_ERR_LIMIT, what, says, ""); \
  } while (0)

static void too_large_together(void) {
  nn_conv2d_options o = conv_options(1 << 10, 65535, 1, 32767, 1);
  nn_recurrent_options cell;
  int i, x;
  memset(&cell, 0, sizeof cell);
  cell.hidden = 1 << 20, cell.layers = 16;
  /* in 32 bits the inputs are too large already */
  REFUSED_SUM(sizeof(size_t) < 8 ? "" : "conv1", "too large",
              nn_conv2d_with(m, nn_input_image(m, 1 << 11, 1, 1), &o));
  REFUSED_SUM(sizeof(size_t) < 8 ? "" : "gru1", "too large",
              nn_gru_with(m, nn_input_sequence(m, 1 << 20, 1), &cell));
  REFUSED_SUM("", "too ", nn_flatten(m, nn_input_image(m, 1 << 11, 1 << 11, 1 << 10)));
  REFUSED_SUM("", sizeof(size_t) < 8 ? "" : "the model's memory cannot be counted",
              (x = nn_input_image(m, 1 << 11, 1 << 11, 1 << 12), x = nn_relu(m, x));
              for (i = 2; i < NN_MAX_NODES && x >= 0; i++) x = nn_relu(m, x));
  o = conv_options(1 << 20, 32, 1, 0, 1); /* 2^50 weights each */
  REFUSED_SUM("", sizeof(size_t) < 8 ? "" : "the parameters of the model are too many",
              x = nn_input_image(m, 1 << 20, 32, 32);
              for (i = 0; i < 70; i++) nn_conv2d_with(m, x, &o));
}

static void too_large(void) {
  const int most = 2147483647;
  int i;
  nn_recurrent_options deep;
  memset(&deep, 0, sizeof deep);
  deep.hidden = 1, deep.layers = 16;
  REFUSED(NN_ERR_LIMIT, "NN_MAX_PARAMS", "lstm", "", i = nn_input_sequence(m, 2, 1);
          for (int k = 0; k <= NN_MAX_PARAMS / 64; k++) i = nn_lstm_with(m, i, &deep));
  REFUSED(NN_ERR_LIMIT, "", "", "", nn_linear(m, nn_input_vector(m, most), most));
  REFUSED(NN_ERR_LIMIT, "", "", "", nn_relu(m, nn_input_image(m, most, most, most)));
  REFUSED(NN_OK, "conv1", "", "", nn_conv2d(m, image(m), 4, most, 1, 0));
  REFUSED(NN_OK, "conv1", "", "", nn_conv2d(m, image(m), 4, 3, 1, most));
  REFUSED(NN_OK, "conv1", "", "", nn_conv2d(m, image(m), most, 3, 1, 1));
  REFUSED(NN_OK, "conv1", "", "", conv_with(m, most, most, 1));
  REFUSED(NN_OK, "max_pool1", "", "", nn_max_pool2d(m, image(m), most, most, most));
  /* what a layer keeps in 16 bits */
  REFUSED(NN_ERR_LIMIT, "conv1: kernel is 65536, must be 1..65535", "", "",
          nn_conv1d(m, nn_input_sequence(m, 1 << 17, 1), 1, 65536, 1, 0));
  REFUSED(NN_ERR_LIMIT, "conv1: groups is 65536, must be 1..65535", "", "",
          conv_with(m, 1, 1, 65536));
  REFUSED(NN_ERR_LIMIT, "max_pool1: stride is 65536, must be 1..65535", "", "",
          nn_max_pool1d(m, nn_input_sequence(m, 1 << 17, 1), 1, 65536, 0));
  REFUSED(NN_ERR_LIMIT, "avg_pool1: steps is 65536, must be 1..65535", "", "",
          nn_adaptive_avg_pool1d(m, nn_input_sequence(m, 1 << 17, 1), 65536));
  REFUSED(NN_ERR_LIMIT, "pad1: bottom is 65536, must be 0..65535", "", "",
          nn_pad1d(m, nn_input_sequence(m, 1, 1), 0, 65536));
  REFUSED(NN_ERR_LIMIT, "upsample1: factor is 65536, must be 1..65535", "", "",
          nn_upsample1d(m, nn_input_sequence(m, 1, 1), 65536));
  REFUSED(NN_OK, "gru1", "", "", nn_gru(m, nn_input_sequence(m, 3, 4), most));
  REFUSED(NN_OK, "embedding1", "", "", nn_embedding(m, nn_input_tokens(m, 3), most, most));
  REFUSED(NN_ERR_LIMIT, "4", "", "", for (i = 0; i < NN_MAX_INPUTS + 1; i++) vector(m));
  REFUSED(NN_ERR_LIMIT, "", "", "",
          for (i = 0; i <= NN_MAX_NODES; i++) i ? nn_relu(m, 0) : vector(m));
}

static void nothing_described(void) {
  nn_model *m = begin(2, EVALUATION);
  CHECK_STATUS(nn_build(m), NN_ERR_STATE);
  CHECK(test_told(nn_error(m)));
  nn_destroy(m);
}

static void null_is_an_error(void) {
  nn_config c;
  nn_param p;
  nn_node_info info;
  size_t count = 1;
  nn_real x = 0;
  nn_batch b;
  memset(&b, 0, sizeof b);
  CHECK_INT(nn_input_vector(NULL, 3), -1);
  CHECK_INT(nn_relu(NULL, 0), -1);
  CHECK_INT(nn_conv2d(NULL, 0, 1, 1, 1, 0), -1);
  CHECK_INT(nn_gru(NULL, 0, 1), -1);
  nn_name(NULL, 0, "x");
  nn_set_init(NULL, 0, NN_INIT_CONSTANT, 0);
  nn_destroy(NULL);
  nn_reset_state(NULL);
  CHECK_STATUS(nn_build(NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_plan(NULL, &count), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_build_in(NULL, &x, 4), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_reinitialise(NULL, 1), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_forward(NULL, &b, 0), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_read(NULL, 0, &x), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_predict(NULL, &b, NULL, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_get_param(NULL, 0, &p), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_find_param(NULL, "x", &p), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_get_node(NULL, 0, &info), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_get_config(NULL, &c), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_model_status(NULL), NN_ERR_ARGUMENT);
  CHECK(nn_error(NULL) != NULL);
  CHECK(nn_output(NULL) == NULL);
  CHECK(nn_parameters(NULL, &count) == NULL);
  CHECK_INT(nn_param_count(NULL), 0);
  CHECK_INT(nn_node_count(NULL), 0);
  CHECK_INT(nn_output_node(NULL), -1);
  CHECK(nn_memory(NULL) == 0);
}

static void wrong_configs(void) {
  nn_config good = test_config(), c;
  nn_model *m;
#define NO_MODEL(change) (c = good, change, m = nn_create(&c), CHECK(m == NULL), nn_destroy(m))
  NO_MODEL(c.batch = 0);
  NO_MODEL(c.batch = -1);
  NO_MODEL(c.batch = (1 << 20) + 1);
  NO_MODEL(c.threads = -1);
  NO_MODEL(c.threads = NN_MAX_THREADS + 1);
  NO_MODEL(c.isa = NN_ISA_COUNT);
  NO_MODEL(c.isa = (nn_isa)-1);
  NO_MODEL((c.allocator.allocate = test_allocate, c.allocator.release = NULL));
#undef NO_MODEL
#ifndef NN_NO_MALLOC
  m = nn_create(NULL);
  CHECK(m != NULL);
  nn_destroy(m);
#endif
  m = nn_create(&good);
  nn_linear(m, nn_input_vector(m, 2), 3);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_get_config(m, &c));
  CHECK(c.isa != NN_ISA_AUTO && (good.isa == NN_ISA_AUTO || c.isa == good.isa));
  CHECK_INT(c.threads, good.threads);
  CHECK_INT(c.batch, good.batch);
  CHECK_STATUS(nn_build(m), NN_ERR_STATE);
  nn_destroy(m);
}

/* A builder that comes too late is refused, changes nothing, and keeps the model from nothing. */
static void late_builders(void) {
  const nn_config config = test_config();
  const nn_real image[2] = {1, 2};
  const char *const says[] = {"nn_name after nn_build", "nn_set_init after nn_build",
                              "relu added after nn_build", "input added after nn_build"};
  nn_batch b = {0};
  nn_real before[3];
  nn_node_info info;
  nn_model *m = nn_create(&config);
  nn_linear(m, nn_input_vector(m, 2), 3);
  CHECK_OK(nn_build(m));
  b.n = 1, b.x[0] = image;
  CHECK_OK(nn_forward(m, &b, NN_INFERENCE));
  memcpy(before, nn_output(m), sizeof before);
  for (int i = 0; i < 4; i++) {
    switch (i) {
    case 0: nn_name(m, 1, "late"); break;
    case 1: nn_set_init(m, 1, NN_INIT_CONSTANT, 1); break;
    case 2: CHECK_INT(nn_relu(m, 1), -1); break;
    default: CHECK_INT(nn_input_image(m, 1, 2, 2), -1); break;
    }
    CHECK_STATUS(nn_model_status(m), NN_ERR_STATE);
    CHECK_HAS(nn_error(m), says[i]);
    b.n = 0; /* the next error is told, too */
    CHECK_STATUS(nn_forward(m, &b, NN_INFERENCE), NN_ERR_ARGUMENT);
    CHECK_STATUS(nn_model_status(m), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "0 samples");
    b.n = 1;
    CHECK_OK(nn_reinitialise(m, config.seed));
    CHECK_OK(nn_forward(m, &b, NN_INFERENCE));
    CHECK_SAME(nn_output(m), before, sizeof before);
  }
  CHECK_INT(nn_node_count(m), 2);
  CHECK_OK(nn_get_node(m, 1, &info));
  CHECK_TEXT(info.name, "linear1");
#ifndef NN_NO_TRAINING
  nn_optimizer sgd = nn_sgd(.1, 0);
  nn_name(m, 1, "late");
  CHECK_OK(nn_set_optimizer(m, &sgd));
  CHECK_OK(nn_forward(m, &b, NN_TRAINING));
  CHECK_OK(nn_backward_from(m, before));
  CHECK_OK(nn_step(m));
#endif
  nn_destroy(m);
}

/* What a forward and what reads its result refuse, and softmax as the answer itself. */
static void refused_runs(void) {
  nn_model *m = begin(2, EVALUATION);
  nn_real x[8], share[8];
  int32_t length[2] = {1, 1}, label[2];
  nn_batch b;
  test_fill(x, 8, 5);
  nn_softmax(m, nn_linear(m, nn_input_vector(m, 4), 3));
  if (!ready(m)) return;
  memset(&b, 0, sizeof b);
  b.n = 2, b.x[0] = x;
  CHECK_OK(nn_predict(m, &b, label, share));
  CHECK_SAME(share, nn_output(m), 6 * sizeof *share);
  b.lengths = length;
  CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "no layer is a sequence");
  nn_destroy(m);
#ifndef NN_NO_INSPECT
  int64_t counts[1] = {0};
  int32_t pixel[8] = {0, 0, 0, 0, 0, 1, 0, 0};
  m = begin(2, EVALUATION);
  nn_relu(m, nn_input_image(m, 1, 2, 2));
  if (!ready(m)) return;
  b.lengths = NULL;
  CHECK_OK(nn_forward(m, &b, 0));
  CHECK_STATUS(nn_confusion_add(m, pixel, counts), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "label 1 of sample 1 is not in 0..0");
  pixel[5] = -1;
  CHECK_OK(nn_confusion_add(m, pixel, counts));
  CHECK_INT(counts[0], 7);
  nn_destroy(m);
#endif
#ifndef NN_NO_TRAINING
  m = begin(2, EVALUATION);
  nn_mean_squared_error(m, nn_linear(m, nn_input_vector(m, 4), 3));
  if (!ready(m)) return;
  b.lengths = NULL, b.values = share;
  memset(share, 0, sizeof share);
  CHECK_OK(nn_forward(m, &b, 0));
  CHECK_STATUS(nn_read(m, 2, share), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "has no output");
  b.n = 1;
  CHECK_STATUS(nn_loss(m, &b, NULL, NULL), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "not the batch of the last forward");
  nn_destroy(m);
#endif
}

static void describes_itself(void) {
  nn_model *m = begin(2, INFERENCE);
  nn_node_info info;
  nn_param p;
  nn_real *all;
  size_t count;
  int x = nn_input_image(m, 3, 10, 8), conv, lin, i;
  conv = nn_conv2d(m, x, 6, 3, 1, 0);
  nn_name(m, conv, "first/conv-1_a");
  x = nn_relu(m, nn_batch_norm(m, conv));
  lin = nn_linear(m, nn_flatten(m, x), 10);
  CHECK_INT(nn_node_count(m), 6);
  CHECK_OK(nn_get_node(m, conv, &info));
  CHECK_TEXT(info.name, "first/conv-1_a");
  CHECK_INT(info.params, 6 * 3 * 9 + 6);
  CHECK_NEAR(info.macs, 6 * 8 * 6 * 27, 0);
  CHECK_INT(info.inputs, 1);
  CHECK_INT(info.input[0], 0);
  CHECK_OK(nn_get_node(m, conv + 1, &info));
  CHECK_INT(info.params, 6 + 6); /* its running statistics are not trained */
  CHECK_OK(nn_get_node(m, lin, &info));
  CHECK_TEXT(info.name, "linear1");
  CHECK_TEXT(info.kind, "linear");
  CHECK_NEAR(info.macs, 10 * 288, 0);
  CHECK_STATUS(nn_get_node(m, -1, &info), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_get_node(m, 6, &info), NN_ERR_ARGUMENT);
  CHECK_INT(nn_output_node(m), -1);
  CHECK(nn_memory(m) == 0);
  CHECK_OK(nn_plan(m, &count));
  CHECK_OK(nn_build(m));
  CHECK(nn_memory(m) == count);
  CHECK_INT(nn_output_node(m), lin);
  all = nn_parameters(m, &count);
  CHECK(all != NULL);
  CHECK_INT(count, 6 * 27 + 6 + 6 + 6 + 10 * 288 + 10);
  CHECK_INT(nn_param_count(m), 8);
  for (i = 0; i < nn_param_count(m); i++) {
    static const char *const names[] = {"first/conv-1_a.weight",    "first/conv-1_a.bias",
                                        "batch_norm1.weight",       "batch_norm1.bias",
                                        "linear1.weight",           "linear1.bias",
                                        "batch_norm1.running_mean", "batch_norm1.running_var"};
    CHECK_OK(nn_get_param(m, i, &p));
    CHECK_TEXT(p.name, names[i]);
    if (i < 6) CHECK(p.value >= all && p.value + p.count <= all + count);
    else CHECK(p.value < all || p.value >= all + count);
    CHECK(p.gradient == NULL);
    if (i == 0) {
      CHECK_INT(p.rank, 4);
      CHECK(p.dim[0] == 6 && p.dim[1] == 3 && p.dim[2] == 3 && p.dim[3] == 3);
      CHECK_INT(p.node, conv);
    }
    if (i == 2)
      for (x = 0; x < 6; x++) CHECK(p.value[x] == 1);
    if (i == 3)
      for (x = 0; x < 6; x++) CHECK(p.value[x] == 0);
    if (i == 6)
      for (x = 0; x < 6; x++) CHECK(p.value[x] == 0);
    if (i == 7)
      for (x = 0; x < 6; x++) CHECK(p.value[x] == 1);
  }
  CHECK_STATUS(nn_get_param(m, -1, &p), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_get_param(m, 8, &p), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_find_param(m, "nobody", &p), NN_ERR_ARGUMENT);
  nn_destroy(m);
}

int main(void) {
  test_isa();
  RUN(conv2d_usual);
  RUN(conv2d_winograd);
  RUN(conv1d_any);
  RUN(conv_transpose_any);
  RUN(conv2d_winograd_wide);
  RUN(conv2d_winograd_nan);
  RUN(conv2d_any);
  RUN(conv2d_depthwise);
  RUN(conv2d_shared);
  RUN(pools);
  RUN(global_pools);
  RUN(max_pool_takes_nan);
  RUN(functions_over_all_floats);
#ifndef NN_NO_TRAINING
  RUN(max_pool_back_at_nan);
  RUN(gradients_at_nan);
#endif
  RUN(exponentials);
  RUN(functions_at_the_ends);
  RUN(softmax);
  RUN(softmax_extremes);
  RUN(softmax_shows_nan);
  RUN(batch_norm);
  RUN(layer_norm);
  RUN(normalise);
  RUN(normalise_draws_nothing);
  RUN(linear);
  RUN(embedding);
  RUN(frames);
  RUN(group_norms);
#ifndef NN_NO_TRAINING
  RUN(dropped_channels);
#endif
  RUN(bilinear);
  RUN(shapes);
  RUN(over_steps);
  RUN(own_steps);
  RUN(add_and_concat);
  RUN(copies);
  RUN(read_any_node);
  RUN(recurrent);
  RUN(recurrent_both_ways);
  RUN(recurrent_widths);
  RUN(recurrent_carry);
  RUN(wrong_lengths);
  RUN(long_axes);
  RUN(batch_sizes);
  RUN(inference_and_training_agree);
  RUN(same_bits_for_any_threads);
  RUN(predict);
  RUN(predict_rows);
  RUN(random_graphs);
  RUN(wrong_shapes);
  RUN(wrong_values);
  RUN(wrong_custom);
  RUN(wrong_custom_tables);
  RUN(too_large);
  RUN(too_large_together);
  RUN(nothing_described);
  RUN(null_is_an_error);
  RUN(wrong_configs);
  RUN(late_builders);
  RUN(refused_runs);
  RUN(describes_itself);
  return test_end("layers");
}
