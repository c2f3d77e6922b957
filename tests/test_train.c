/* Training: optimizers against their formulas in double precision, schedules, clipping, dropout,
 * initial values, learning, and that every promise about bits, memory and threads is kept. */
#if !defined _WIN32 && !defined _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200112L /* pthreads, for models in threads of the caller */
#endif
#include "test.h"
#include "../data/drawn.inc"

#ifdef NN_NO_TRAINING
static void training(void) { SKIP("built without training"); }
int main(void) {
  RUN(training);
  return test_end("train");
}
#else

#if !defined NN_NO_THREADS && !defined _WIN32
#include <pthread.h>
#define CALLER_THREADS
#endif

#ifndef __TINYC__
#include <fenv.h>
#endif

static const int is_float = sizeof(nn_real) == 4;

/* ------------------------------------------------------------------------ models to train ---- */

enum { CNN, RNN, LSTM, GRU, KINDS };
enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };

/* LeNet5 with few maps, or one recurrent layer over the rows. */
static void describe(nn_model *m, int kind, int hidden) {
  int x;
  if (kind == CNN) {
    x = nn_input_image(m, 1, SIDE, SIDE);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 8, 5, 1, 2)), 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 12, 5, 1, 2)), 2, 2, 0);
    x = nn_relu(m, nn_batch_norm(m, nn_linear(m, nn_flatten(m, x), hidden)));
    x = nn_dropout(m, x, 0.3);
  } else {
    x = nn_input_sequence(m, SIDE, SIDE);
    x = kind == RNN    ? nn_rnn(m, x, hidden)
        : kind == LSTM ? nn_lstm(m, x, hidden)
                       : nn_gru(m, x, hidden);
    x = nn_last_step(m, x);
  }
  nn_cross_entropy(m, nn_linear(m, x, CLASSES));
}

static nn_model *model_with(const nn_config *c, int kind, int hidden, double rate) {
  nn_model *m = nn_create(c);
  nn_optimizer adam = nn_adam(rate);
  if (!CHECK(m != NULL)) return NULL;
  describe(m, kind, hidden);
  nn_set_optimizer(m, &adam);
  if (CHECK_OK(nn_build(m))) return m;
  fprintf(stderr, "    %s\n", nn_error(m));
  nn_destroy(m);
  return NULL;
}

/* 3x3 and 5x5 convolutions of 16 channels and more. */
static nn_model *wide_model(const nn_config *c) {
  nn_model *m = nn_create(c);
  nn_optimizer adam = nn_adam(1e-2);
  int x;
  if (!CHECK(m != NULL)) return NULL;
  x = nn_max_pool2d(m, nn_input_image(m, 1, SIDE, SIDE), 2, 2, 0);
  x = nn_relu(m, nn_conv2d(m, x, 17, 3, 1, 1));
  x = nn_relu(m, nn_conv2d(m, nn_conv2d(m, x, 20, 3, 1, 1), 16, 5, 1, 2));
  nn_cross_entropy(m, nn_linear(m, nn_flatten(m, x), CLASSES));
  nn_set_optimizer(m, &adam);
  if (CHECK_OK(nn_build(m))) return m;
  nn_destroy(m);
  return NULL;
}

/* Digits that the engine draws: `count` to learn from, and as many again to be tested on. */
static uint8_t *pixels;
static int32_t *labels;
enum { MOST = 3000 };
static nn_dataset digits(int from, int count) {
  if (!pixels) {
    pixels = (uint8_t *)test_memory((size_t)MOST * PIXELS);
    labels = (int32_t *)test_memory(MOST * sizeof *labels);
    draw_digits(7, MOST, pixels, labels);
  }
  return nn_dataset_pixels(pixels + (size_t)from * PIXELS, labels + from, count, 1, SIDE, SIDE);
}

static uint32_t bits_of(nn_model *m) { /* a checksum over parameters and buffers */
  uint32_t crc = 0;
  int i;
  for (i = 0; i < nn_param_count(m); i++) {
    nn_param p;
    CHECK_OK(nn_get_param(m, i, &p));
    crc = nn_crc32(crc, p.value, p.count * sizeof *p.value);
  }
  return crc;
}

static int fit(nn_model *m, const nn_dataset *d, int64_t steps) {
  nn_fit_options o = nn_fit_default();
  o.epochs = 0, o.steps = steps;
  return CHECK_OK(nn_fit(m, d, &o));
}

/* --------------------------------------------------------------- optimizers and schedules ---- */

/* One step of the formulas in nn.h. s, v and most are the state. */
static void step_oracle(const nn_optimizer *o, double rate, int t, double g, double *w, double *s,
                        double *v, double *most) {
  if (o->kind == NN_ADAMW) *w -= rate * o->weight_decay * *w;
  else g += o->weight_decay * *w;
  switch (o->kind) {
    case NN_SGD:
      *v = t == 1 ? g : o->momentum * *v + g;
      *w -= rate * (o->nesterov ? g + o->momentum * *v : o->momentum > 0 ? *v : g);
      break;
    case NN_ADAGRAD:
      *s += g * g;
      *w -= rate * g / (sqrt(*s) + o->eps);
      break;
    case NN_RMSPROP:
      *s = o->alpha * *s + (1 - o->alpha) * g * g;
      g /= sqrt(*s) + o->eps;
      *v = o->momentum * *v + g;
      *w -= rate * *v;
      break;
    default:
      *v = o->beta1 * *v + (1 - o->beta1) * g;
      *s = o->beta2 * *s + (1 - o->beta2) * g * g;
      *most = o->amsgrad ? fmax(*most, *s) : *s;
      *w -= rate * *v / (1 - pow(o->beta1, t)) / (sqrt(*most / (1 - pow(o->beta2, t))) + o->eps);
      break;
  }
}

/* A model of n parameters whose gradients the test writes itself, which nn.h allows. */
static nn_model *plain_model(int n, const nn_optimizer *o) {
  nn_config c = test_config();
  nn_model *m;
  c.batch = 1;
  m = nn_create(&c);
  nn_mean_squared_error(m, nn_linear_no_bias(m, nn_input_vector(m, n), 1));
  if (CHECK_OK(nn_set_optimizer(m, o)) && CHECK_OK(nn_build(m))) return m;
  fprintf(stderr, "    %s\n", nn_error(m));
  nn_destroy(m);
  return NULL;
}

static int optimizer_case(int n, const nn_optimizer *o, int steps, const char *what) {
  nn_model *m = plain_model(n, o);
  double *w = (double *)test_memory((size_t)n * 5 * sizeof(double)), *s = w + n, *v = s + n;
  double *most = v + n, *average = most + n;
  nn_real *g, *p;
  int t, i, held = m != NULL;
  size_t count;
  if (!m) return 0;
  p = nn_parameters(m, &count), g = nn_gradients(m, &count);
  CHECK_INT(count, n);
  for (i = 0; i < n; i++) w[i] = (double)p[i];
  for (t = 1; t <= steps && held; t++) {
    double norm = 0, scale = 1, rate = nn_schedule_rate(&o->schedule, o->rate, t - 1);
    CHECK_NEAR(nn_rate(m), rate, 0);
    test_fill(g, (size_t)n, (uint32_t)t);
    for (i = 0; i < n; i++) norm += (double)g[i] * (double)g[i];
    norm = sqrt(norm);
    held = CHECK_NEAR(nn_gradient_norm(m), norm, is_float ? 2e-6 : 1e-13);
    if (o->clip_norm > 0 && norm > o->clip_norm) scale = o->clip_norm / (norm + 1e-6);
    for (i = 0; i < n; i++) {
      double x = (double)g[i] * scale;
      if (o->clip_value > 0) x = fmax(-o->clip_value, fmin(o->clip_value, x));
      step_oracle(o, rate, t, x, &w[i], &s[i], &v[i], &most[i]);
      average[i] = t == 1 ? w[i] : o->average * average[i] + (1 - o->average) * w[i];
    }
    CHECK_OK(nn_step(m));
    CHECK_INT(nn_steps(m), t);
    for (i = 0; i < n && held; i++) {
      held = CHECK(g[i] == 0) && CHECK_NEAR(p[i], w[i], is_float ? 2e-6 * (1 + t / 4) : 1e-11);
      if (!held) fprintf(stderr, "    %s: parameter %d of %d, step %d\n", what, i, n, t);
    }
    if (!(o->average > 0)) continue;
    CHECK_OK(nn_swap_average(m));
    for (i = 0; i < n && held; i++)
      held = CHECK_NEAR(p[i], average[i], is_float ? 2e-6 * (1 + t / 4) : 1e-11);
    CHECK_OK(nn_swap_average(m));
  }
  free(w);
  nn_destroy(m);
  return held;
}

static void optimizers(void) {
  static const int sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 70001};
  nn_optimizer o[16];
  size_t i, k, n = 0;
  o[n++] = nn_sgd(0.1, 0);
  o[n++] = nn_sgd(0.1, 0.9);
  o[n] = nn_sgd(0.1, 0.9), o[n++].nesterov = 1;
  o[n] = nn_sgd(0.1, 0.5), o[n++].weight_decay = 0.1;
  o[n++] = nn_adagrad(0.1);
  o[n] = nn_adagrad(0.1), o[n++].weight_decay = 0.1;
  o[n++] = nn_rmsprop(0.01, 0);
  o[n] = nn_rmsprop(0.01, 0.9), o[n].alpha = 0.9, o[n++].weight_decay = 0.1;
  o[n++] = nn_adam(0.01);
  o[n] = nn_adam(0.01), o[n].beta1 = 0.5, o[n].beta2 = 0.9, o[n].eps = 1e-3,
  o[n++].weight_decay = 0.1;
  o[n++] = nn_adamw(0.01);
  o[n] = nn_adamw(0.05), o[n++].weight_decay = 0.5;
  o[n] = nn_sgd(0.1, 0.9), o[n].clip_norm = 0.5, o[n++].clip_value = 0.2;
  o[n] = nn_adam(0.01), o[n].clip_value = 0.3, o[n].schedule.kind = NN_COSINE;
  o[n].schedule.total = 30, o[n].schedule.warmup = 5, o[n++].schedule.floor = 1e-3;
  o[n] = nn_adam(0.01), o[n].beta2 = .75, o[n].amsgrad = 1, o[n++].average = .75;
  o[n] = nn_adamw(0.01), o[n].beta2 = .5, o[n++].amsgrad = 1;
  CHECK(n == COUNT(o));
  for (i = 0; i < n; i++)
    for (k = 0; k < COUNT(sizes); k++) {
      char what[40];
      sprintf(what, "optimizer %d of the list", (int)i);
      if (!optimizer_case(sizes[k], &o[i], sizes[k] > 1000 ? 3 : 40, what)) return;
    }
}

static void optimizer_defaults(void) {
  nn_optimizer o = nn_adam(1);
  CHECK(o.beta1 == test_double(0.9) && o.beta2 == test_double(0.999));
  CHECK(o.eps == test_double(1e-8) && o.weight_decay == 0);
  o = nn_adamw(1);
  CHECK(o.kind == NN_ADAMW && o.weight_decay == test_double(0.01));
  o = nn_rmsprop(1, 0.5);
  CHECK(o.alpha == test_double(0.99) && o.eps == test_double(1e-8) && o.momentum == 0.5);
  o = nn_adagrad(1);
  CHECK(o.eps == test_double(1e-10) && o.kind == NN_ADAGRAD);
  o = nn_sgd(1, 0.5);
  CHECK(o.momentum == 0.5 && !o.nesterov && o.schedule.kind == NN_CONSTANT && o.clip_norm == 0);
}

static void wrong_optimizers(void) {
  nn_optimizer good = nn_sgd(0.1, 0.9), o, now;
  nn_model *m = plain_model(3, &good);
  nn_real *p = nn_parameters(m, NULL);
  int i;
#define REFUSED(part, change)                               \
  do {                                                      \
    o = good;                                               \
    change;                                                 \
    CHECK_STATUS(nn_set_optimizer(m, &o), NN_ERR_ARGUMENT); \
    CHECK_HAS(nn_error(m), "optimizer: " part);             \
    CHECK_OK(nn_get_optimizer(m, &now));                    \
    CHECK(now.rate == good.rate && now.kind == good.kind);  \
  } while (0)
  REFUSED("rate is 0, must be above 0 and below inf", o.rate = 0);
  REFUSED("rate is -1, must be above 0", o.rate = -1);
  REFUSED("rate is nan", o.rate = NAN);
  REFUSED("rate is inf, must be above 0 and below inf", o.rate = INFINITY);
  REFUSED("momentum is -0.1, must be at least 0", o.momentum = -0.1);
  REFUSED("beta1 is 1, must be at least 0 and below 1", o.beta1 = 1);
  REFUSED("beta2 is -0.1", o.beta2 = -0.1);
  REFUSED("alpha is 1,", o.alpha = 1);
  REFUSED("eps is -1,", o.eps = -1);
  REFUSED("weight_decay is -1,", o.weight_decay = -1);
  REFUSED("weight_decay is nan", o.weight_decay = NAN);
  REFUSED("clip_norm is nan", o.clip_norm = NAN);
  REFUSED("clip_value is -1, must be at least 0 and at most inf", o.clip_value = -1);
  REFUSED("kind is 9, must be at least 0 and at most 4", o.kind = (nn_optimizer_kind)9);
  REFUSED("kind is ", o.kind = (nn_optimizer_kind)-1);
  REFUSED("schedule.kind is 9,", o.schedule.kind = (nn_schedule_kind)9);
  REFUSED("schedule.period is 0, must be at least 1", o.schedule.kind = NN_STEP);
  REFUSED("schedule.gamma is 0, must be above 0",
          o.schedule.kind = NN_STEP; o.schedule.period = 5; o.schedule.gamma = 0);
  REFUSED("schedule.gamma is inf",
          o.schedule.kind = NN_EXPONENTIAL; o.schedule.period = 5; o.schedule.gamma = INFINITY);
  REFUSED("schedule.total is 0, must be above 0", o.schedule.kind = NN_COSINE);
  REFUSED("schedule.warmup is -1,", o.schedule.warmup = -1);
  REFUSED("nesterov", o.momentum = 0; o.nesterov = 1);
  REFUSED("amsgrad", o.amsgrad = 1);
  REFUSED("average is 1,", o.average = 1);
  REFUSED("average is -0.1", o.average = -.1);
  REFUSED("average is nan", o.average = NAN);
  REFUSED("schedule.gamma is 0, must be above 0 and below 1", o.schedule.kind = NN_PLATEAU);
  REFUSED("schedule.gamma is 1, must be above 0 and below 1",
          o.schedule.kind = NN_PLATEAU; o.schedule.gamma = 1);
  REFUSED("schedule.floor is 1, must be at least 0 and at most 0.1",
          o.schedule.kind = NN_PLATEAU; o.schedule.gamma = .5; o.schedule.floor = 1);
  REFUSED("schedule.threshold is 1,", o.schedule.threshold = 1);
  REFUSED("schedule.threshold is nan", o.schedule.threshold = NAN);
  REFUSED("schedule.period is 0,", o.schedule.kind = NN_TRIANGULAR; o.schedule.gamma = 1);
  REFUSED("schedule.gamma is 0,", o.schedule.kind = NN_TRIANGULAR; o.schedule.period = 5);
  REFUSED("schedule.gamma is 2, must be above 0 and at most 1",
          o.schedule.kind = NN_TRIANGULAR; o.schedule.period = 5; o.schedule.gamma = 2);
  REFUSED("schedule.total is 0,", o.schedule.kind = NN_POLYNOMIAL; o.schedule.gamma = 1);
  REFUSED("schedule.gamma is 0,", o.schedule.kind = NN_POLYNOMIAL; o.schedule.total = 9);
  REFUSED("schedule.gamma is nan",
          o.schedule.kind = NN_POLYNOMIAL; o.schedule.total = 9; o.schedule.gamma = NAN);
  REFUSED("schedule.momentum_high needs one-cycle",
          o.schedule.momentum_low = .8; o.schedule.momentum_high = .9);
  REFUSED("schedule.momentum_high is 1,",
          o.schedule.kind = NN_ONE_CYCLE; o.schedule.total = 9; o.schedule.momentum_high = 1);
  REFUSED("schedule.momentum_low is 0.1, must be at least 0 and at most 0",
          o.schedule.kind = NN_ONE_CYCLE; o.schedule.total = 9; o.schedule.momentum_low = .1);
  REFUSED("schedule.momentum_high needs a momentum",
          o.momentum = 0; o.schedule.kind = NN_ONE_CYCLE; o.schedule.total = 9;
          o.schedule.momentum_high = .9);
  REFUSED("schedule.warmup is 0, total 9007199254740993, period 0, must be 2^53",
          o.schedule.total = ((int64_t)1 << 53) + 1);
  REFUSED("schedule.warmup is 1, must be at least 0 and at most 0",
          o.schedule.kind = NN_ONE_CYCLE; o.schedule.total = 9; o.schedule.warmup = 1);
#undef REFUSED
  CHECK_STATUS(nn_set_optimizer(m, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_set_optimizer(NULL, &good), NN_ERR_ARGUMENT);
  o = nn_adam(0.1); /* two blocks of state, where one was built */
  CHECK_STATUS(nn_set_optimizer(m, &o), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "keeps 2 numbers a weight, there is room for");
  o = nn_adagrad(0.1);
  CHECK_OK(nn_set_optimizer(m, &o));
  nn_destroy(m);
  /* Another kind must not read the state of the one before as its own: a momentum below 0 has no
   * root. */
  o = nn_adam(0.1);
  m = plain_model(3, &o);
  p = nn_parameters(m, NULL);
  for (i = 0; i < 6; i++) {
    nn_real *g = nn_gradients(m, NULL);
    g[0] = -1, g[1] = 1, g[2] = (nn_real)-0.5;
    CHECK_OK(nn_step(m));
    o = i % 2 ? nn_adagrad(0.1) : nn_rmsprop(0.1, 0.5);
    CHECK_OK(nn_set_optimizer(m, &o));
    CHECK(p[0] - p[0] == 0 && p[1] - p[1] == 0 && p[2] - p[2] == 0);
  }
  nn_destroy(m);
}

/* Numbers that a float has not: a limit is not none, and an eps of 0 is said to be what it is. */
static void below_floats(void) {
  nn_optimizer o = nn_sgd(.5, 0);
  o.clip_value = 1e-60;
  nn_model *m = plain_model(3, &o);
  nn_real *p = nn_parameters(m, NULL), *g = nn_gradients(m, NULL);
  const nn_real before = p[0];
  g[0] = 1;
  CHECK_OK(nn_step(m));
  CHECK_NEAR(p[0], before, 1e-30);
  nn_destroy(m);
  if (sizeof(nn_real) > sizeof(float)) return;
  o = nn_adam(.5), o.eps = 1e-60;
  m = plain_model(3, &o);
  CHECK_STATUS(nn_step(m), NN_ERR_DIVERGED); /* of gradients that are 0 */
  CHECK_HAS(nn_error(m), "is nan, for eps is 1e-60 and a gradient that was always 0 gives 0/0");
  nn_destroy(m);
}

static void schedules(void) {
  nn_schedule s;
  int64_t t;
  memset(&s, 0, sizeof s);
  for (int kind = NN_CONSTANT; kind <= NN_POLYNOMIAL; kind++) /* one that no optimizer takes */
    for (t = 0; t < 5; t++) {
      s.kind = (nn_schedule_kind)kind, s.momentum_high = .5;
      const double rate = nn_schedule_rate(&s, 0.5, t), momentum = nn_schedule_momentum(&s, .5, t);
      CHECK(rate - rate == 0 && momentum - momentum == 0);
    }
  s.kind = NN_CONSTANT, s.momentum_high = 0;
  for (t = 0; t < 200; t += 7) CHECK_NEAR(nn_schedule_rate(&s, 0.5, t), 0.5, 0);
  CHECK_NEAR(nn_schedule_rate(NULL, 0.5, 3), 0.5, 0);
  s.warmup = 10, s.period = 20, s.gamma = 0.5, s.total = 110;
  for (t = 0; t < 200; t++) {
    double u = (double)(t - 10), ramp = (double)(t + 1) / 10, part = u < 100 ? u / 100 : 1;
    s.kind = NN_STEP;
    CHECK_NEAR(nn_schedule_rate(&s, 3, t), t < 10 ? 3 * ramp : 3 * pow(0.5, floor(u / 20)), 1e-15);
    s.kind = NN_EXPONENTIAL;
    CHECK_NEAR(nn_schedule_rate(&s, 3, t), t < 10 ? 3 * ramp : 3 * pow(0.5, u / 20), 1e-15);
    s.kind = NN_COSINE, s.floor = 0.1;
    CHECK_NEAR(nn_schedule_rate(&s, 3, t),
               t < 10 ? 3 * ramp : 0.1 + 2.9 * (1 + cos(3.14159265358979 * part)) / 2, 1e-13);
    s.kind = NN_POLYNOMIAL, s.gamma = 1.5;
    CHECK_NEAR(nn_schedule_rate(&s, 3, t), t < 10 ? 3 * ramp : 0.1 + 2.9 * pow(1 - part, 1.5),
               1e-13);
    s.kind = NN_TRIANGULAR, s.gamma = 0.5, s.momentum_low = .25, s.momentum_high = .75;
    const double turn = fmod(fmax(u, 0), 40), up = pow(.5, floor(fmax(u, 0) / 40)) *
                                                   (turn < 20 ? turn : 40 - turn) / 20;
    CHECK_NEAR(nn_schedule_rate(&s, 3, t), t < 10 ? 3 * ramp : 0.1 + 2.9 * up, 1e-13);
    CHECK_NEAR(nn_schedule_momentum(&s, .9, t), .75 - .5 * up, 1e-13);
    s.momentum_low = s.momentum_high = 0;
    CHECK_NEAR(nn_schedule_momentum(&s, .9, t), .9, 0);
    s.kind = NN_CONSTANT;
    CHECK_NEAR(nn_schedule_rate(&s, 3, t), t < 10 ? 3 * ramp : 3, 1e-15);
  }
  memset(&s, 0, sizeof s);
  s.kind = NN_ONE_CYCLE, s.total = 100;
  CHECK_NEAR(nn_schedule_rate(&s, 1, 0), 1.0 / 25, 1e-14);
  CHECK_NEAR(nn_schedule_rate(&s, 1, 29), 1, 1e-14);
  CHECK_NEAR(nn_schedule_rate(&s, 1, 99) * 25e4, 1, 1e-9);
  for (t = 1; t < 100; t++) {
    double now = nn_schedule_rate(&s, 1, t), before = nn_schedule_rate(&s, 1, t - 1);
    CHECK(t <= 29 ? now > before : now < before);
  }
  CHECK_NEAR(nn_schedule_rate(&s, 1, 1000) * 25e4, 1, 1e-9);
}

/* --------------------------------------------------------------------------- initial values -- */

static nn_param weight_with(nn_model *m, nn_init init, double value, int in, int out) {
  nn_param p;
  int x = nn_linear(m, nn_input_vector(m, in), out);
  memset(&p, 0, sizeof p);
  nn_set_init(m, x, init, value);
  if (CHECK_OK(nn_build(m))) CHECK_OK(nn_find_param(m, "linear1.weight", &p));
  return p;
}

static void moments(const nn_param *p, double *mean, double *deviation, double *most) {
  size_t i;
  double sum = 0, squares = 0;
  *most = 0;
  for (i = 0; i < p->count; i++) {
    double v = (double)p->value[i];
    sum += v, squares += v * v;
    if (fabs(v) > *most) *most = fabs(v);
  }
  *mean = sum / (double)p->count;
  *deviation = sqrt(squares / (double)p->count - *mean * *mean);
}

static void initial_values(void) {
  enum { IN = 300, OUT = 200 };
  static const struct {
    nn_init init;
    double value, deviation, most; /* most 0: no bound */
  } want[] = {{NN_INIT_DEFAULT, 0, 0.0333333, 0.0577350},
              {NN_INIT_HE_UNIFORM, 1.4142136, 0.0816497, 0.1414214},
              {NN_INIT_HE_NORMAL, 1.4142136, 0.0816497, 0},
              {NN_INIT_XAVIER_UNIFORM, 1, 0.0632456, 0.1095445},
              {NN_INIT_XAVIER_NORMAL, 1, 0.0632456, 0},
              {NN_INIT_TRUNCATED_NORMAL, 0.1, 0.0879626, 0.2},
              {NN_INIT_CONSTANT, 0.25, 0, 0.25}};
  size_t i, j, k;
  nn_config c = test_config();
  for (i = 0; i < COUNT(want); i++) {
    nn_model *m = nn_create(&c);
    nn_param p = weight_with(m, want[i].init, want[i].value, IN, OUT);
    double mean, deviation, most;
    moments(&p, &mean, &deviation, &most);
    if (want[i].init != NN_INIT_CONSTANT)
      CHECK(fabs(mean) < 5 * want[i].deviation / sqrt(IN * OUT));
    CHECK(fabs(deviation - want[i].deviation) < 0.015 * want[i].deviation + 1e-6);
    if (want[i].most > 0) CHECK(most <= want[i].most * 1.00001 && most > want[i].most * 0.99);
    if (test_state.bad)
      fprintf(stderr, "    init %d: deviation %g most %g\n", (int)i, deviation, most);
    CHECK_OK(nn_find_param(m, "linear1.bias", &p));
    moments(&p, &mean, &deviation, &most);
    if (want[i].init == NN_INIT_CONSTANT) CHECK_NEAR(most, 0.25, 0);
    else CHECK(most <= 0.0577351 && most > 0.05);
    nn_destroy(m);
  }
  for (i = 0; i < 2; i++) { /* rows orthonormal where there are fewer, else columns */
    nn_model *m = nn_create(&c);
    int in = i ? 30 : 50, out = i ? 50 : 30, few = 30, many = 50;
    nn_param p = weight_with(m, NN_INIT_ORTHOGONAL, 2, in, out);
    for (j = 0; p.value && j < (size_t)few; j++)
      for (k = 0; k <= j; k++) {
        double sum = 0;
        int l;
        for (l = 0; l < many; l++)
          sum += i ? (double)p.value[(size_t)l * 30 + j] * (double)p.value[(size_t)l * 30 + k]
                   : (double)p.value[j * 50 + (size_t)l] * (double)p.value[k * 50 + (size_t)l];
        CHECK_NEAR(sum, j == k ? 4 : 0, 1e-5);
      }
    nn_destroy(m);
  }
}

/* The defaults of the other layers: +-1/sqrt(fan_in), and +-1/sqrt(hidden) in the cells. */
static void initial_values_of_layers(void) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_conv2d_options o = {64, 5, 3, 1, 1, 0, 0, 1, 1, 2, 0};
  static const struct {
    const char *name;
    double most;
  } want[] = {{"conv1.weight", 0.091287},   {"conv1.bias", 0.091287},
              {"gru1.weight_ih_l0", 0.125}, {"gru1.weight_hh_l0", 0.125},
              {"gru1.bias_ih_l0", 0.125},   {"gru1.bias_hh_l0", 0.125}};
  size_t i;
  nn_conv2d_with(m, nn_input_image(m, 16, 9, 9), &o);
  nn_gru(m, nn_input_sequence(m, 4, 20), 64);
  CHECK_OK(nn_build(m));
  for (i = 0; i < COUNT(want); i++) {
    nn_param p;
    double mean, deviation, most;
    if (!CHECK_OK(nn_find_param(m, want[i].name, &p))) continue;
    moments(&p, &mean, &deviation, &most);
    if (!CHECK(most <= want[i].most * 1.0001 && most > want[i].most * 0.93))
      fprintf(stderr, "    %s: most %g\n", want[i].name, most);
  }
  nn_destroy(m);
}

/* The same seed gives the same values, another seed others; as freshly built after training. */
static void seeds(void) {
  nn_config c = test_config();
  nn_dataset d = digits(0, 64);
  uint32_t first, again, other;
  nn_model *a, *b;
  c.batch = 16;
  a = model_with(&c, CNN, 20, 1e-3), b = model_with(&c, CNN, 20, 1e-3);
  if (!a || !b) return;
  first = bits_of(a);
  CHECK(first == bits_of(b));
  fit(a, &d, 6);
  again = bits_of(a);
  CHECK(again != first);
  CHECK_OK(nn_reinitialise(a, c.seed));
  CHECK(bits_of(a) == first);
  CHECK_INT(nn_steps(a), 0);
  fit(a, &d, 6);
  CHECK(bits_of(a) == again);
  CHECK_OK(nn_reinitialise(a, c.seed + 1));
  other = bits_of(a);
  CHECK(other != first);
  nn_destroy(b);
  c.seed++;
  b = model_with(&c, CNN, 20, 1e-3);
  if (b) CHECK(bits_of(b) == other);
  nn_destroy(a);
  nn_destroy(b);
}

/* ----------------------------------------------------------------------------------- dropout -- */

static void dropout(void) {
  enum { N = 50, F = 2003 };
  nn_config c = test_config();
  nn_real *x = test_reals(N * F), *first = test_reals(N * F), *second = test_reals(N * F);
  double rate = 0.3;
  int run, i;
  c.batch = N, c.input_gradient = 1;
  for (i = 0; i < N * F; i++) x[i] = 1;
  for (run = 0; run < 2; run++) {
    nn_model *m = nn_create(&c);
    nn_batch b;
    int t;
    memset(&b, 0, sizeof b);
    b.n = N, b.x[0] = x;
    i = nn_input_vector(m, F);
    nn_add(m, nn_dropout(m, i, rate), nn_dropout(m, i, rate));
    CHECK_OK(nn_build(m));
    for (t = 0; t < 3; t++) {
      double count[3] = {0, 0, 0};
      const nn_real *y;
      CHECK_OK(nn_forward(m, &b, 1));
      y = nn_output(m);
      for (i = 0; i < N * F; i++) {
        double kept = (double)y[i] * (1 - rate);
        int k = (int)(kept + 0.5);
        CHECK_NEAR(kept, k, 1e-6);
        if (k >= 0 && k <= 2) count[k]++;
      }
      /* two masks that know nothing of each other: .09, .42, .49 of all, within 5 deviations */
      CHECK(fabs(count[0] / (N * F) - 0.09) < 5 * sqrt(0.09 * 0.91 / (N * F)));
      CHECK(fabs(count[1] / (N * F) - 0.42) < 5 * sqrt(0.42 * 0.58 / (N * F)));
      CHECK(fabs(count[2] / (N * F) - 0.49) < 5 * sqrt(0.49 * 0.51 / (N * F)));
      if (run == 0 && t == 0) memcpy(first, y, N * F * sizeof *y);
      if (run == 1 && t == 0) CHECK_SAME(first, y, N * F * sizeof *y); /* the same seed */
      if (t == 1) CHECK(memcmp(first, y, N * F * sizeof *y) != 0);     /* another step */
      if (run == 0 && t == 1) memcpy(second, y, N * F * sizeof *y);
      if (run == 1 && t == 1) CHECK_SAME(second, y, N * F * sizeof *y); /* backward draws none */
      if (run == 1) CHECK_OK(nn_backward_from(m, x));
    }
    CHECK_OK(nn_forward(m, &b, 0));
    for (i = 0; i < N * F; i++) CHECK(nn_output(m)[i] == 2);
    nn_destroy(m);
  }
  free(x);
  free(first);
  free(second);
}

/* Between recurrent layers, and not after the last. */
static void dropout_between_cells(void) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_recurrent_options o = {40, 2, 0.5, 0, 0, 0};
  nn_real x[32 * 3 * 4], plain[32 * 3 * 40];
  nn_batch b;
  const nn_real *y;
  size_t i, zeros = 0;
  memset(&b, 0, sizeof b);
  b.n = 32, b.x[0] = x;
  test_fill(x, COUNT(x), 1);
  nn_gru_with(m, nn_input_sequence(m, 3, 4), &o);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_forward(m, &b, 0));
  memcpy(plain, nn_output(m), sizeof plain);
  CHECK_OK(nn_forward(m, &b, 1));
  y = nn_output(m);
  for (i = 0; i < COUNT(plain); i++) zeros += y[i] == 0;
  CHECK_INT(zeros, 0);
  CHECK(memcmp(y, plain, sizeof plain) != 0);
  CHECK_OK(nn_forward(m, &b, 0));
  CHECK_SAME(nn_output(m), plain, sizeof plain);
  nn_destroy(m);
}

/* ---------------------------------------------------------------------------------- learning -- */

static void learns(void) {
  static const double enough[] = {0.85, 0.25, 0.6, 0.65};
  nn_config c = test_config();
  nn_dataset train = digits(0, 1000), test = digits(2000, 1000);
  int kind;
  c.batch = 32;
  for (kind = 0; kind < KINDS; kind++) {
    nn_model *m = model_with(&c, kind, 32, kind == RNN ? 2e-3 : 5e-3);
    nn_fit_options o = nn_fit_default();
    nn_evaluation before, after;
    o.epochs = kind == CNN ? 2 : 10;
    if (!m) return;
    CHECK_OK(nn_evaluate(m, &test, &before));
    CHECK(before.accuracy < 0.3 && fabs(before.loss - 2.3) < 0.3);
    CHECK_OK(nn_fit(m, &train, &o));
    CHECK_OK(nn_evaluate(m, &test, &after));
    CHECK(after.loss < before.loss);
    CHECK_INT(after.rows, 1000);
    CHECK_NEAR(after.accuracy, (double)after.correct / 1000, 1e-12);
    if (!CHECK(after.accuracy > enough[kind]) || getenv("NN_VERBOSE"))
      printf("  kind %d: accuracy %.3f, loss %.3f\n", kind, after.accuracy, after.loss);
    nn_destroy(m);
  }
}

/* Regression through nn_fit, from values, with lengths: the sum of a sequence's numbers. */
static void fits_values(void) {
  enum { COUNT_ = 256, T = 6 };
  nn_config c = test_config();
  nn_dataset d;
  nn_real *x = test_reals(COUNT_ * T), *y = test_reals(COUNT_);
  int32_t lengths[COUNT_];
  nn_model *m;
  nn_evaluation before, after;
  nn_fit_options o = nn_fit_default();
  nn_optimizer adam = nn_adam(1e-2);
  int i, j;
  test_fill(x, COUNT_ * T, 4);
  for (i = 0; i < COUNT_; i++)
    for (lengths[i] = 1 + i % T, j = 0; j < lengths[i]; j++) y[i] += x[i * T + j] / 4;
  memset(&d, 0, sizeof d);
  d.count = COUNT_, d.channels = 1, d.height = T, d.width = 1;
  d.values = x, d.targets = y, d.target_size = 1, d.lengths = lengths;
  m = nn_create(&c);
  nn_mean_squared_error(
      m, nn_linear(m, nn_last_step(m, nn_gru(m, nn_input_sequence(m, T, 1), 12)), 1));
  nn_set_optimizer(m, &adam);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_evaluate(m, &d, &before));
  o.epochs = 25;
  CHECK_OK(nn_fit(m, &d, &o));
  CHECK_OK(nn_evaluate(m, &d, &after));
  if (!CHECK(after.loss < before.loss / 20)) printf("  loss %g -> %g\n", before.loss, after.loss);
  nn_destroy(m);
  free(x);
  free(y);
}

typedef struct Watch {
  int64_t steps, epochs, stop_at;
  double loss_sum;
  int64_t correct;
  nn_progress last;
} Watch;
static int on_step(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *step) {
  Watch *w = (Watch *)user;
  const int64_t rows = p->rows - (p->rows > w->last.rows ? w->last.rows : 0);
  w->steps++;
  CHECK_INT(step->rows, rows);
  w->loss_sum = step->loss * (double)rows + (rows < p->rows ? w->loss_sum : 0);
  w->correct = step->correct + (rows < p->rows ? w->correct : 0);
  CHECK_NEAR(w->loss_sum, p->loss_sum, 1e-9 * p->loss_sum);
  CHECK_INT(w->correct, p->correct);
  CHECK_NEAR(step->accuracy, (double)step->correct / (double)rows, 1e-12);
  w->last = *p;
  CHECK_INT(p->step, nn_steps(m));
  return w->stop_at == p->step;
}
static int on_epoch(void *user, nn_model *m, const nn_progress *p) {
  Watch *w = (Watch *)user;
  (void)m;
  w->epochs++;
  CHECK_INT(p->place, 0);
  CHECK_INT(p->epoch, w->epochs);
  CHECK_INT(p->rows, 70);
  return 0;
}

static void fit_counts(void) {
  nn_config c = test_config();
  nn_dataset d = digits(0, 70), wrong;
  nn_model *m;
  nn_fit_options o = nn_fit_default();
  nn_progress p;
  nn_evaluation e;
  Watch w;
  int i;
  memset(&w, 0, sizeof w);
  c.batch = 16;
  m = model_with(&c, RNN, 8, 1e-3);
  if (!m) return;
  o.on_step = on_step, o.on_epoch = on_epoch, o.user = &w, o.epochs = 2;
  CHECK_OK(nn_fit(m, &d, &o)); /* 70 = 4 * 16 + 6: five steps an epoch */
  CHECK(w.steps == 10 && w.epochs == 2);
  CHECK(w.last.loss > 0 && w.last.accuracy >= 0 && w.last.accuracy <= 1);
  nn_reinitialise(m, 1);
  memset(&w, 0, sizeof w);
  memset(&p, 0, sizeof p);
  o.epochs = 0, o.steps = 7, o.progress = &p;
  CHECK_OK(nn_fit(m, &d, &o));
  CHECK(w.steps == 7 && p.step == 7 && p.epoch == 1 && p.place == 32);
  w.stop_at = 9, o.steps = 100;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_STOPPED);
  CHECK(p.step == 9 && p.epoch == 1 && p.place == 64);
  o.batch = (1 << 20) + 1;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  o.batch = -1;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  o.batch = 0;
  wrong = d, wrong.labels = NULL;
  CHECK_STATUS(nn_fit(m, &wrong, &o), NN_ERR_ARGUMENT);
  wrong = d, wrong.width = 27;
  CHECK(nn_fit(m, &wrong, &o) != NN_OK);
  wrong = d, wrong.pixels = NULL;
  CHECK_STATUS(nn_fit(m, &wrong, &o), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_fit(m, NULL, &o), NN_ERR_ARGUMENT);
  CHECK_OK(nn_fit(m, &d, NULL)); /* the default: an epoch in batches of config.batch */
  CHECK_INT(nn_steps(m), 9 + 5);
  CHECK_STATUS(nn_fit(NULL, &d, &o), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_evaluate(m, NULL, &e), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_evaluate(m, &d, NULL), NN_ERR_ARGUMENT);
  p.place = 70;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  p.place = -1;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  nn_destroy(m);
  for (i = 0; i < 2; i++) { /* without a loss; for inference */
    c.inference = i;
    m = nn_create(&c);
    if (i) describe(m, RNN, 4);
    else nn_linear(m, nn_flatten(m, nn_input_sequence(m, SIDE, SIDE)), CLASSES);
    CHECK_OK(nn_build(m));
    o = nn_fit_default();
    CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_STATE);
    if (!i) CHECK_HAS(nn_error(m), "fit: the model has no loss");
    nn_destroy(m);
  }
  m = nn_create(&c);
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "fit: the model is not built");
  nn_destroy(m);
}

/* The loss over a set is the mean over its samples, whatever the batches. */
static void evaluate_is_a_mean(void) {
  nn_config c = test_config();
  nn_dataset d = digits(0, 70), one;
  nn_model *m;
  nn_evaluation whole, part;
  double sum = 0;
  int64_t correct = 0;
  int i;
  c.batch = 16;
  m = model_with(&c, LSTM, 8, 1e-3);
  if (!m) return;
  CHECK_OK(nn_evaluate(m, &d, &whole));
  for (i = 0; i < 70; i++) {
    one = digits(i, 1);
    CHECK_OK(nn_evaluate(m, &one, &part));
    sum += part.loss / 70;
    correct += part.correct;
  }
  CHECK_NEAR(whole.loss, sum, 1e-6);
  CHECK_INT(whole.correct, correct);
  nn_destroy(m);
}

/* A loss that is not finite is reported and changes nothing. */
static void diverged(void) {
  nn_config c = test_config();
  nn_real *x = test_reals(4 * PIXELS);
  int32_t label[4] = {0, 1, 2, 3};
  nn_model *m;
  nn_batch b;
  int kind;
  c.batch = 4;
  memset(&b, 0, sizeof b);
  b.n = 4, b.x[0] = x, b.labels = label;
  for (kind = 0; kind < KINDS; kind++) {
    uint32_t before;
    double loss = 0;
    m = model_with(&c, kind, 8, 1e-3);
    if (!m) break;
    test_fill(x, 4 * PIXELS, 1);
    CHECK_OK(nn_train(m, &b, &loss, NULL));
    before = bits_of(m);
    x[PIXELS + 400] = (nn_real)NAN;
    CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
    CHECK(nn_error(m)[0] != 0);
    if (!CHECK(bits_of(m) == before)) fprintf(stderr, "    kind %d: nn_train changed it\n", kind);
    CHECK_INT(nn_steps(m), 1);
    CHECK_NEAR(nn_gradient_norm(m), 0, 0);
    test_fill(x, 4 * PIXELS, 2);
    CHECK_OK(nn_train(m, &b, &loss, NULL));
    CHECK(loss == loss);
    nn_destroy(m);
  }
  free(x);
}

/* State that was carried into a refused step does not bring its NaN into the next. */
static void diverged_with_carry(void) {
  enum { N = 2, T = 3, F = 4 };
  nn_recurrent_options o = {5, 2, 0, 0, 1, 0};
  nn_config c = test_config();
  nn_real good[N * T * F], bad[N * T * F];
  int32_t label[N] = {0, 1};
  int kind, k;
  test_fill(good, COUNT(good), 1);
  memcpy(bad, good, sizeof bad);
  bad[T * F + 1] = (nn_real)NAN;
  for (kind = RNN; kind <= GRU; kind++) {
    nn_model *m = nn_create(&c);
    nn_batch b;
    double loss[2];
    int x = nn_input_sequence(m, T, F);
    x = kind == RNN    ? nn_rnn_with(m, x, &o)
        : kind == LSTM ? nn_lstm_with(m, x, &o)
                       : nn_gru_with(m, x, &o);
    nn_cross_entropy(m, nn_linear(m, nn_last_step(m, x), 2));
    CHECK_OK(nn_build(m));
    memset(&b, 0, sizeof b);
    b.n = N, b.x[0] = good, b.labels = label;
    CHECK_OK(nn_train(m, &b, NULL, NULL));
    b.x[0] = bad;
    CHECK_STATUS(nn_train(m, &b, NULL, NULL), NN_ERR_DIVERGED);
    b.x[0] = good;
    for (k = 0; k < 2; k++) { /* as after a reset */
      CHECK_OK(nn_forward(m, &b, 0));
      CHECK_OK(nn_loss(m, &b, &loss[k], NULL));
      nn_reset_state(m);
    }
    CHECK(loss[0] == loss[1]);
    for (k = 0; k < 3; k++) {
      CHECK_OK(nn_train(m, &b, &loss[0], NULL));
      CHECK(loss[0] - loss[0] == 0);
    }
    nn_destroy(m);
  }
}

/* A gradient that is not finite, wherever it lies, is found before anything moves, and named. */
static void diverged_gradient(void) {
  const double bad[] = {NAN, HUGE_VAL, -HUGE_VAL};
  nn_config c = test_config();
  const size_t first = 300 * 301, all = first + 300 * 2 + 2;
  const size_t places[] = {0, 1, 7, 32767, 32768, 65540, first - 301, first - 1, first, all - 1};
  int clips;
  for (clips = 0; clips < 2; clips++) {
    nn_model *m = nn_create(&c);
    nn_optimizer o = nn_adam(.01);
    nn_real *g;
    uint32_t before;
    size_t count, i;
    if (clips) o.clip_norm = 1, o.clip_value = .1; /* neither may hide it */
    nn_set_optimizer(m, &o);
    nn_linear(m, nn_linear(m, nn_input_vector(m, 300), 300), 2);
    if (!CHECK_OK(nn_build(m))) return;
    before = bits_of(m);
    g = nn_gradients(m, &count);
    CHECK_INT(count, all);
    for (i = 0; i < COUNT(places); i++) {
      test_fill(g, all, 5);
      g[places[i]] = (nn_real)bad[i % 3], g[all / 2] = -32;
      CHECK_STATUS(nn_step(m), NN_ERR_DIVERGED);
      CHECK_HAS(nn_error(m), places[i] < first - 300 ? "gradient of linear1.weight is "
                             : places[i] < first     ? "gradient of linear1.bias is "
                             : places[i] < all - 2   ? "gradient of linear2.weight is "
                                                     : "gradient of linear2.bias is ");
      CHECK_HAS(nn_error(m), i % 3 == 0 ? " nan " : i % 3 == 1 ? " inf " : " -inf ");
      CHECK_HAS(nn_error(m), "step 0: ");
      CHECK_HAS(nn_error(m), "largest finite gradient 32, rate 0.01");
      CHECK_HAS(nn_error(m), "clip_norm");
      CHECK(bits_of(m) == before && nn_steps(m) == 0);
      CHECK(g[places[i]] - g[places[i]] != 0); /* the caller may look at it */
    }
    nn_zero_gradients(m);
    CHECK_OK(nn_step(m));
    CHECK(bits_of(m) == before); /* no state had changed either */
    nn_destroy(m);
  }
}

/* y = w x from w = 0 towards y = 10: a finite loss whose gradient, or whose step, is too large. */
static nn_model *overflowing(const nn_optimizer *o) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  int x = nn_linear_no_bias(m, nn_input_vector(m, 1), 1);
  nn_set_init(m, x, NN_INIT_CONSTANT, 0);
  nn_mean_squared_error(m, x);
  nn_set_optimizer(m, o);
  CHECK_OK(nn_build(m));
  return m;
}

static void overflows(void) {
  const double most = sizeof(nn_real) == 4 ? 3e38 : 1.5e308, root = sqrt(most);
  nn_optimizer sgd = nn_sgd(.01, 0), adam = nn_adam(.01);
  nn_real x, y = 10, w[1];
  nn_batch b;
  nn_model *m;
  nn_param p;
  double loss = 0;
  char largest[60];
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = &x, b.values = &y;

  m = overflowing(&sgd); /* d loss / d w = 2 (0 - 10) x */
  x = (nn_real)most;
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_NEAR(loss, 100, 1e-6);
  CHECK_HAS(nn_error(m), "the gradient of linear1.weight is -inf");
  CHECK(nn_steps(m) == 0 && nn_gradient_norm(m) == 0);
  x = (nn_real)root; /* and a step that is: the last good state is the one before */
  sgd.rate = root;
  CHECK_OK(nn_set_optimizer(m, &sgd));
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_HAS(nn_error(m), "step 0: parameter linear1.weight is inf");
  sprintf(largest, "(largest finite gradient %g, ", 20 * (double)x);
  CHECK_HAS(nn_error(m), largest);
  CHECK_INT(nn_steps(m), 1);
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED); /* and it stays found */
  CHECK_HAS(nn_error(m), "step 1: parameter linear1.weight is inf and so the loss is ");
  nn_destroy(m);

  m = overflowing(&adam); /* the gradient's square */
  x = (nn_real)root;
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_HAS(nn_error(m), "the optimizer's state of linear1.weight is inf");
  CHECK_OK(nn_get_param(m, 0, &p));
  CHECK(p.value[0] - p.value[0] == 0);
  nn_destroy(m);

  adam.clip_norm = 1; /* clipping is what helps */
  m = overflowing(&adam);
  CHECK_OK(nn_train(m, &b, &loss, NULL));
  nn_destroy(m);

  m = overflowing(&sgd); /* a layer's output, and what came in */
  CHECK_OK(nn_get_param(m, 0, &p));
  p.value[0] = w[0] = (nn_real)10, x = (nn_real)most;
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_HAS(nn_error(m), "the output of linear1 is not finite");
  CHECK_SAME(p.value, w, sizeof w);
  x = (nn_real)NAN;
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_HAS(nn_error(m), "the samples given to input1 hold a NaN");
  x = 1, y = (nn_real)NAN;
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_HAS(nn_error(m), "step 0: the loss is nan");
  CHECK_INT(nn_steps(m), 0);
  nn_destroy(m);
}

/* nn_fit stops at the first bad batch, or leaves bad ones out: then it trains as if the data set
 * did not have them. */
static void diverged_in_fit(void) {
  enum { N = 400 };
  nn_config c = test_config();
  nn_fit_options o = nn_fit_default();
  nn_real *x = test_reals(N);
  nn_progress p;
  nn_dataset d;
  nn_model *m;
  uint32_t want[2];
  int k;
  nn_real y[N];
  memset(&d, 0, sizeof d);
  test_fill(x, N, 3);
  for (k = 0; k < N; k++) y[k] = 2 * x[k];
  d.count = 6, d.channels = d.height = d.width = 1, d.values = x, d.targets = y, d.target_size = 1;
  c.batch = 1, o.no_shuffle = 1, o.progress = &p;
  for (k = 0; k < 2; k++) { /* without sample 2; with a bad one in its place */
    nn_real good[6];
    memset(&p, 0, sizeof p);
    m = nn_create(&c);
    nn_mean_squared_error(m, nn_linear(m, nn_input_vector(m, 1), 1));
    if (!CHECK_OK(nn_build(m))) return;
    memcpy(good, x, sizeof good);
    if (k) x[2] = (nn_real)NAN;
    else memmove(x + 2, x + 3, 3 * sizeof *x), memmove(y + 2, y + 3, 3 * sizeof *y);
    d.count = k ? 6 : 5;
    if (k) {
      CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_DIVERGED);
      CHECK(p.step == 2 && nn_steps(m) == 2);
      CHECK_HAS(nn_error(m), "step 2: ");
      o.keep_going = 1;
    }
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK_INT(p.step, k ? 6 : 5);
    CHECK_INT(p.left_out, k);
    CHECK_INT(nn_steps(m), 5);
    CHECK_INT(p.rows, 5);
    CHECK(p.loss - p.loss == 0);
    want[k] = bits_of(m);
    memcpy(x, good, sizeof good);
    for (int i = 0; i < 6; i++) y[i] = 2 * x[i];
    nn_destroy(m);
  }
  CHECK(want[0] == want[1]);
  for (k = 0; k < N; k++) x[k] = (nn_real)NAN; /* when nothing is left there is an end */
  d.count = N;
  memset(&p, 0, sizeof p);
  m = nn_create(&c);
  nn_mean_squared_error(m, nn_linear(m, nn_input_vector(m, 1), 1));
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_DIVERGED);
  CHECK(p.left_out == NN_MOST_LEFT_OUT && p.step == NN_MOST_LEFT_OUT);
  nn_destroy(m);
  free(x);
}

/* What lies past a sample's end does not matter, a NaN least of all. */
static void padding_is_ignored(void) {
  enum { N = 3, T = 4, F = 2 };
  nn_config c = test_config();
  nn_real zero[N * T * F], nan[N * T * F];
  int32_t label[N] = {0, 1, 1}, length[N] = {2, 4, 1};
  int kind;
  test_fill(zero, COUNT(zero), 3);
  memcpy(nan, zero, sizeof nan);
  for (int i = 0; i < N; i++)
    for (int k = length[i] * F; k < T * F; k++)
      zero[i * T * F + k] = 0, nan[i * T * F + k] = (nn_real)NAN;
  for (kind = RNN; kind <= GRU; kind++) {
    size_t count = 0;
    nn_real *first = NULL;
    for (int padded = 0; padded < 2; padded++) {
      nn_model *m = nn_create(&c);
      nn_batch b;
      int x = nn_tanh(m, nn_linear(m, nn_input_sequence(m, T, F), 3));
      x = kind == RNN ? nn_rnn(m, x, 5) : kind == LSTM ? nn_lstm(m, x, 5) : nn_gru(m, x, 5);
      nn_cross_entropy(m, nn_linear(m, nn_last_step(m, x), 2));
      CHECK_OK(nn_build(m));
      memset(&b, 0, sizeof b);
      b.n = N, b.x[0] = padded ? nan : zero, b.labels = label, b.lengths = length;
      for (int k = 0; k < 3; k++) CHECK_OK(nn_train(m, &b, NULL, NULL));
      nn_real *value = nn_parameters(m, &count);
      if (!padded) {
        first = test_reals(count);
        memcpy(first, value, count * sizeof *first);
      } else {
        CHECK_SAME(value, first, count * sizeof *first);
      }
      nn_destroy(m);
    }
    free(first);
  }
}

/* Nor does it in a loss of values: no share of the mean, and no gradient. */
static void padding_has_no_loss(void) {
  enum { N = 2, T = 3, F = 2 };
  nn_config c = test_config();
  nn_real x[N * T * F], t[N * T * F];
  int32_t length[N] = {2, 3};
  nn_batch b;
  test_fill(x, COUNT(x), 3), test_fill(t, COUNT(t), 4);
  for (int i = 0; i < N * T * F; i++) t[i] = (t[i] + 1) / 2;
  t[2 * F] = 255, t[2 * F + 1] = (nn_real)NAN; /* past the first sample's end */
  memset(&b, 0, sizeof b);
  b.n = N, b.x[0] = x, b.values = t, b.lengths = length;
  c.batch = N, c.input_gradient = 1;
  for (int squared = 0; squared < 2; squared++) {
    nn_model *m = nn_create(&c);
    double sum = 0, loss = 0;
    int i, counted = 0;
    i = nn_leaky_relu(m, nn_input_sequence(m, T, F), 1);
    i = squared ? nn_mean_squared_error(m, i) : nn_binary_cross_entropy(m, i);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_forward(m, &b, 1));
    CHECK_OK(nn_loss(m, &b, &loss, NULL));
    CHECK_OK(nn_backward(m));
    for (i = 0; i < N * T * F; i++) {
      const double v = (double)x[i], y = (double)t[i];
      if (i / F % T >= length[i / (T * F)]) continue;
      sum += squared ? (v - y) * (v - y) : (v > 0 ? v : 0) - v * y + log1p(exp(-fabs(v)));
      counted++;
    }
    CHECK_NEAR(loss, sum / counted, 1e-6);
    for (i = 0; i < N * T * F; i++) {
      const double v = (double)x[i], y = (double)t[i];
      double d = (squared ? 2 * (v - y) : 1 / (1 + exp(-v)) - y) / counted;
      if (i / F % T >= length[i / (T * F)]) d = 0;
      CHECK_NEAR(nn_input_gradient(m, 0)[i], d, 1e-6);
    }
    nn_destroy(m);
  }
}

/* Data sets and options that nn_fit refuses. */
/* Batch norm over padded sequences is that over their real steps alone, as vectors: outputs,
 * running statistics, gradients. */
static void batch_norm_of_lengths(void) {
  enum { N = 3, T = 400, F = 5 };
  const int32_t length[N] = {2, 390, 117};
  const int real = 2 + 390 + 117;
  nn_config c = test_config();
  nn_real *x = test_reals(N * T * F), *d = test_reals(N * T * F), *packed = test_reals(N * T * F);
  nn_real *signal = test_reals(N * T * F);
  nn_model *m[2];
  nn_batch b;
  int at = 0;
  c.batch = N * T, c.input_gradient = 1;
  test_fill(x, N * T * F, 3), test_fill(d, N * T * F, 4);
  for (int i = 0; i < N * T; i++) {
    if (i % T >= length[i / T]) {
      for (int j = 0; j < F; j++) x[i * F + j] = (nn_real)(j ? 1e30 : NAN);
      continue;
    }
    for (int j = 0; j < F; j++) packed[at * F + j] = x[i * F + j] *= (nn_real)(j + 1);
    for (int j = 0; j < F; j++) signal[at * F + j] = d[i * F + j];
    at++;
  }
  for (int k = 0; k < 2; k++) {
    nn_param p;
    m[k] = nn_create(&c);
    nn_batch_norm(m[k], k ? nn_input_vector(m[k], F) : nn_input_sequence(m[k], T, F));
    CHECK_OK(nn_build(m[k]));
    CHECK_OK(nn_find_param(m[k], "batch_norm1.weight", &p));
    test_fill(p.value, p.count, 5);
    memset(&b, 0, sizeof b);
    b.n = k ? real : N, b.x[0] = k ? packed : x, b.lengths = k ? NULL : length;
    CHECK_OK(nn_forward(m[k], &b, 1));
    CHECK_OK(nn_backward_from(m[k], k ? signal : d));
  }
  for (int i = 0; i < nn_param_count(m[0]); i++) {
    nn_param p, q;
    CHECK_OK(nn_get_param(m[0], i, &p));
    CHECK_OK(nn_get_param(m[1], i, &q));
    CHECK_NEAR_ALL(p.value, q.value, p.count, 2e-6);
    if (p.gradient) CHECK_NEAR_ALL(p.gradient, q.gradient, p.count, 2e-5);
  }
  const nn_real *y = nn_output(m[0]), *want = nn_output(m[1]);
  const nn_real *dx = nn_input_gradient(m[0], 0), *dwant = nn_input_gradient(m[1], 0);
  for (int i = at = 0; i < N * T; i++) {
    const int counts = i % T < length[i / T];
    for (int j = 0; j < F; j++) {
      CHECK_NEAR(y[i * F + j], counts ? want[at * F + j] : 0, 1e-5);
      CHECK_NEAR(dx[i * F + j], counts ? dwant[at * F + j] : 0, 1e-5);
    }
    at += counts;
  }
  nn_destroy(m[0]), nn_destroy(m[1]);
  free(x), free(d), free(packed), free(signal);
}

static int count_epochs(void *user, nn_model *m, const nn_progress *p) {
  (void)m, (void)p;
  ++*(int *)user;
  return 0;
}

/* Images of a large mean and a small deviation: the mean is as exact as one number can be, and what
 * goes back adds up to 0 in each channel. */
static void batch_norm_far_from_zero(void) {
  enum { N = 4, SIDE = 16, C = 3, PLANE = SIDE * SIDE, COUNT = N * C * PLANE };
  nn_config c = test_config();
  nn_real *x = malloc(COUNT * sizeof *x), *dy = malloc(COUNT * sizeof *dy);
  nn_batch b;
  nn_param p;
  nn_model *m;
  int i, k, n;
  memset(&b, 0, sizeof b);
  c.batch = b.n = N, c.input_gradient = 1;
  m = nn_create(&c);
  nn_batch_norm(m, nn_input_image(m, C, SIDE, SIDE));
  CHECK_OK(nn_build(m));
  test_fill(x, COUNT, 5), test_fill(dy, COUNT, 6);
  for (i = 0; i < COUNT; i++) x[i] = 100 + x[i];
  b.x[0] = x;
  CHECK_OK(nn_forward(m, &b, 1));
  CHECK_OK(nn_find_param(m, "batch_norm1.running_mean", &p));
  for (k = 0; k < C; k++) {
    double mean = 0;
    for (n = 0; n < N; n++)
      for (i = 0; i < PLANE; i++) mean += (double)x[(n * C + k) * PLANE + i] / (N * PLANE);
    CHECK(fabs(10 * (double)p.value[k] - mean) < 1e-5); /* 100 has units of 8e-6 */
  }
  CHECK_OK(nn_backward_from(m, dy));
  for (k = 0; k < C; k++) {
    double sum = 0, size = 0;
    for (n = 0; n < N; n++)
      for (i = 0; i < PLANE; i++) {
        const double g = (double)nn_input_gradient(m, 0)[(n * C + k) * PLANE + i];
        sum += g, size += fabs(g);
      }
    CHECK(fabs(sum) < 1e-6 * size);
  }
  nn_destroy(m);
  free(x), free(dy);
}

/* Batch norm of one value a channel is refused; nn_fit leaves such an end of an epoch out, and what
 * it learns is what it learns from a set without that sample. */
static void batch_norm_of_one(void) {
  enum { F = 3, COUNT_ = 21 };
  nn_config c = test_config();
  nn_real x[COUNT_ * F];
  int32_t label[COUNT_], length[2] = {1, 1};
  uint32_t bits[2];
  nn_batch b;
  nn_model *m;
  test_fill(x, COUNT(x), 6);
  for (int i = 0; i < COUNT_; i++) label[i] = x[i * F] > 0;
  c.batch = 10;
  for (int more = 0; more < 2; more++) {
    nn_dataset d;
    nn_fit_options o = nn_fit_default();
    nn_progress p;
    int epochs = 0;
    memset(&d, 0, sizeof d), memset(&p, 0, sizeof p);
    d.count = 20 + more, d.channels = 1, d.height = 1, d.width = F, d.values = x, d.labels = label;
    m = nn_create(&c);
    nn_cross_entropy(m, nn_linear(m, nn_batch_norm(m, nn_input_vector(m, F)), 2));
    CHECK_OK(nn_build(m));
    o.epochs = 3, o.no_shuffle = 1, o.progress = &p, o.on_epoch = count_epochs, o.user = &epochs;
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK(p.step == 6 && p.epoch == 3 && p.place == 0 && epochs == 3);
    bits[more] = bits_of(m);
    if (more) { /* a set of one sample is no end of an epoch */
      d.count = 1;
      o.progress = NULL;
      CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
      CHECK_HAS(nn_error(m), "batch_norm1");
      CHECK(bits_of(m) == bits[more]);
    }
    nn_destroy(m);
  }
  CHECK(bits[0] == bits[1]);
  { /* in batches of one, a sample of one step in the middle is left out; only such: an error */
    int32_t lengths[4] = {2, 1, 2, 2}, ones[4] = {1, 1, 1, 1};
    nn_dataset d;
    nn_progress p;
    nn_fit_options o = nn_fit_default();
    memset(&d, 0, sizeof d), memset(&p, 0, sizeof p);
    d.count = 4, d.channels = 1, d.height = 2, d.width = F, d.values = x, d.labels = label;
    d.lengths = lengths;
    m = nn_create(&c);
    int y = nn_batch_norm(m, nn_input_sequence(m, 2, F));
    nn_cross_entropy(m, nn_linear(m, nn_last_step(m, y), 2));
    CHECK_OK(nn_build(m));
    o.batch = 1, o.no_shuffle = 1, o.progress = &p, o.epochs = 2;
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK(p.step == 6 && p.epoch == 2);
    d.lengths = ones, o.epochs = 3;
    CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "fit: batch_norm1 cannot learn");
    CHECK(p.step == 6);
    nn_destroy(m);
  }
  m = nn_create(&c);
  nn_batch_norm(m, nn_input_sequence(m, 2, F));
  CHECK_OK(nn_build(m));
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x, b.lengths = length;
  CHECK_STATUS(nn_forward(m, &b, 1), NN_ERR_ARGUMENT);
  CHECK_OK(nn_forward(m, &b, 0));
  b.n = 2;
  CHECK_OK(nn_forward(m, &b, 1));
  nn_destroy(m);
}

/* Evaluation neither uses nor changes what layers carry, and does not depend on the batch. */
static void evaluation_carries_nothing(void) {
  enum { N = 12, T = 3, F = 2, H = 4 };
  nn_real x[N * T * F], t[N * T * H];
  nn_recurrent_options r = {H, 2, 0, 0, 1, 0};
  nn_dataset d;
  test_fill(x, COUNT(x), 1), test_fill(t, COUNT(t), 2);
  memset(&d, 0, sizeof d);
  d.count = N, d.channels = 1, d.height = T, d.width = F, d.values = x;
  d.targets = t, d.target_size = T * H;
  for (int kind = RNN; kind <= GRU; kind++) {
    uint32_t bits[2];
    double loss = 0;
    for (int batch = 3; batch <= 4; batch++)
      for (int looks = 0; looks < 2; looks++) {
        nn_config c = test_config();
        nn_evaluation e;
        nn_progress p;
        nn_fit_options o = nn_fit_default();
        c.batch = batch;
        nn_model *m = nn_create(&c);
        int y = nn_input_sequence(m, T, F);
        y = kind == RNN    ? nn_rnn_with(m, y, &r)
            : kind == LSTM ? nn_lstm_with(m, y, &r)
                           : nn_gru_with(m, y, &r);
        nn_mean_squared_error(m, y);
        CHECK_OK(nn_build(m));
        CHECK_OK(nn_evaluate(m, &d, &e));
        if (batch == 3 && !looks) loss = e.loss;
        CHECK_NEAR(e.loss, loss, 1e-6);
        memset(&p, 0, sizeof p);
        o.progress = &p, o.epochs = 0, o.no_shuffle = 1, o.batch = 3;
        for (o.steps = 1; o.steps <= 5; o.steps++) {
          CHECK_OK(nn_fit(m, &d, &o));
          if (looks) CHECK_OK(nn_evaluate(m, &d, &e));
        }
        bits[looks] = bits_of(m);
        if (looks) CHECK(bits[0] == bits[1]);
        nn_destroy(m);
      }
  }
}

/* Clipping by norm and the norm itself, for gradients whose squares overflow or vanish in float. */
static void norms_of_any_size(void) {
  double sizes[] = {3e38, 1e30, 2e19, 1e12, 1, 1e-12, 1e-20, 1e-30, 2e-38};
  enum { N = 40000 };
  nn_optimizer o = nn_sgd(.1, 0);
  o.clip_norm = 1;
  if (!is_float) sizes[0] = 1e300, sizes[1] = 1e200, sizes[7] = 1e-200, sizes[8] = 1e-300;
  nn_model *m = plain_model(N, &o);
  nn_real *w = nn_parameters(m, NULL), *g = nn_gradients(m, NULL);
  for (size_t k = 0; k < COUNT(sizes); k++) {
    double sum = 0, moved = 0;
    for (int i = 0; i < N; i++) {
      w[i] = 0;
      g[i] = (nn_real)(i % 100 ? 0 : sizes[k] * (i % 200 ? .75 : -1));
      sum += (double)g[i] / sizes[k] * ((double)g[i] / sizes[k]);
    }
    const double norm = sqrt(sum) * sizes[k];
    CHECK_NEAR(nn_gradient_norm(m) / norm, 1, 1e-6);
    CHECK_OK(nn_step(m));
    for (int i = 0; i < N; i++) moved += (double)w[i] * (double)w[i];
    if (norm < 1e-30) continue; /* whose step is below the smallest normal number of a float */
    CHECK_NEAR(sqrt(moved) / (norm > 1 ? .1 : .1 * norm), 1, norm > 1 ? 3e-6 : 1e-6);
    CHECK(w[0] > 0 && w[100] < 0);
  }
  if (is_float) { /* a factor that no float holds */
    double moved = 0;
    o.clip_norm = 1.6e-29;
    CHECK_OK(nn_set_optimizer(m, &o));
    for (int i = 0; i < N; i++) w[i] = 0, g[i] = (nn_real)(i % 100 ? 0 : 1e34);
    CHECK_OK(nn_step(m));
    for (int i = 0; i < N; i++) moved += (double)w[i] * 1e30 * ((double)w[i] * 1e30);
    CHECK_NEAR(sqrt(moved), 1.6, 1e-4);
  }
  nn_destroy(m);
}

/* A batch whose variance overflows is no batch of zeros: training it diverges by name. */
static void batch_norm_overflows(void) {
  nn_config c = test_config();
  const double size = is_float ? 3e19 : 3e160;
  nn_real x[4] = {(nn_real)-size, (nn_real)size, (nn_real)-size, (nn_real)size}, y[4] = {0};
  nn_batch b;
  nn_param p;
  double loss;
  memset(&b, 0, sizeof b);
  b.n = 4, b.x[0] = x, b.values = y;
  nn_model *m = nn_create(&c);
  nn_mean_squared_error(m, nn_batch_norm(m, nn_input_vector(m, 1)));
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_train(m, &b, &loss, NULL), NN_ERR_DIVERGED);
  CHECK_OK(nn_find_param(m, "batch_norm1.running_var", &p));
  CHECK(p.value[0] == 1);
  nn_destroy(m);
}

/* A NaN that a layer or loss of the caller's makes is said to be its own. */
typedef struct Fault {
  int forward, backward, loss, slope;
} Fault;
static nn_status faulty_forward(void *user, nn_custom_run *r) {
  for (size_t i = 0; i < r->y_count; i++) r->y[i] = r->x[0][i];
  if (((Fault *)user)->forward) r->y[0] = (nn_real)NAN;
  return NN_OK;
}
static nn_status faulty_backward(void *user, nn_custom_run *r) {
  for (size_t i = 0; i < r->y_count && r->dx[0]; i++) r->dx[0][i] = r->dy[i];
  if (((Fault *)user)->backward && r->dx[0]) r->dx[0][0] = (nn_real)INFINITY;
  return NN_OK;
}
static nn_status faulty_loss(void *user, nn_custom_loss_run *r) {
  r->loss[0] = ((Fault *)user)->loss ? (nn_real)NAN : r->x[0];
  if (((Fault *)user)->slope && r->dx) r->dx[0] = (nn_real)NAN;
  return NN_OK;
}
static void whose_fault(void) {
  for (int way = 0; way < 5; way++) {
    Fault fault = {way == 1, way == 2, way == 3, way == 4};
    const nn_custom_layer layer = {"odd", NULL, faulty_forward, faulty_backward, &fault};
    const nn_custom_loss loss = {"strange", 0, 0, faulty_loss, &fault};
    nn_config c = test_config();
    nn_real x[6];
    nn_batch b;
    memset(&b, 0, sizeof b);
    test_fill(x, 6, 1);
    b.n = 2, b.x[0] = x;
    nn_model *m = nn_create(&c);
    int y = nn_linear(m, nn_input_vector(m, 3), 2);
    y = nn_custom(m, &y, 1, &layer);
    nn_custom_loss_with(m, nn_linear(m, y, 2), &loss, 1);
    CHECK_OK(nn_build(m));
    const nn_status status = nn_train(m, &b, NULL, NULL);
    CHECK_STATUS(status, way ? NN_ERR_DIVERGED : NN_OK);
    if (way) CHECK_HAS(nn_error(m), way < 3 ? "the callback of custom1 (odd) makes a NaN"
                                            : "the callback of custom_loss1 (strange) makes a NaN");
    if (way) CHECK_HAS(nn_error(m), way % 2 ? "the loss is nan" : "the gradient of linear");
    nn_destroy(m);
  }
}

/* The labels that may be left out are named. */
static void ignored_is_named(void) {
  for (int own = 0; own < 2; own++) {
    nn_config c = test_config();
    nn_loss_options o = nn_loss_default(NN_CROSS_ENTROPY);
    nn_real x[2] = {1, 2};
    const int32_t label = 7;
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = 1, b.x[0] = x, b.labels = &label;
    if (own) o.ignored = 255;
    nn_model *m = nn_create(&c);
    nn_loss_with(m, nn_linear(m, nn_input_vector(m, 2), 3), &o);
    CHECK_OK(nn_build(m));
    CHECK_STATUS(nn_train(m, &b, NULL, NULL), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), own ? "is not in 0..2 (or -1 or 255)" : "is not in 0..2 (or -1)");
    nn_destroy(m);
  }
}

/* What cannot be learned from is named: targets that are no probabilities or not finite, and 0/0.
 */
static void odd_targets(void) {
  enum { N = 3, F = 2 };
  nn_config c = test_config();
  nn_real x[N * F], y[N * F];
  nn_batch b;
  nn_dataset d;
  nn_optimizer adam = nn_adam(.01);
  double loss;
  memset(&b, 0, sizeof b), memset(&d, 0, sizeof d);
  b.n = N, b.x[0] = x, b.values = y;
  d.count = N, d.channels = d.height = 1, d.width = F, d.values = x;
  d.targets = y, d.target_size = F;
  test_fill(x, N * F, 1);
  for (int squared = 0; squared < 2; squared++) {
    const double odd[] = {255, -1e-3, INFINITY, NAN};
    nn_model *m = nn_create(&c);
    int v = nn_linear(m, nn_input_vector(m, F), F);
    squared ? nn_mean_squared_error(m, v) : nn_binary_cross_entropy(m, v);
    CHECK_OK(nn_build(m));
    for (size_t k = 0; k < COUNT(odd); k++) {
      const int refused = !squared && k < 3;
      for (int i = 0; i < N * F; i++) y[i] = (nn_real)(i % 2);
      if (k == 0) y[0] = (nn_real)(refused ? NAN : 0); /* which does not hide what comes after */
      y[3] = (nn_real)odd[k];
      const nn_status status = nn_train(m, &b, &loss, NULL);
      if (squared && k < 2) {
        CHECK_OK(status);
        continue;
      }
      CHECK_STATUS(status, refused ? NN_ERR_ARGUMENT : NN_ERR_DIVERGED);
      CHECK_HAS(nn_error(m), refused ? "of sample 1 is not in 0..1" : "the targets given to ");
      CHECK_STATUS(nn_fit(m, &d, NULL), refused ? NN_ERR_ARGUMENT : NN_ERR_DIVERGED);
      CHECK_HAS(nn_error(m), refused ? "fit: target " : "the targets given to ");
    }
    nn_destroy(m);
  }
  adam.eps = 0;
  nn_model *m = plain_model(2, &adam);
  nn_gradients(m, NULL)[0] = 1;
  CHECK_STATUS(nn_step(m), NN_ERR_DIVERGED);
  CHECK_HAS(nn_error(m), "eps is 0");
  nn_destroy(m);
}

/* Labels past a sample's end are not looked at. */
static void labels_past_the_end(void) {
  enum { N = 2, T = 3, K = 4 };
  const int32_t length[N] = {1, 3}, label[N * T] = {2, 99, -7, 0, 1, 3};
  nn_config c = test_config();
  nn_real x[N * T * K];
  nn_dataset d;
  nn_evaluation e;
  test_fill(x, COUNT(x), 7);
  memset(&d, 0, sizeof d);
  d.count = N, d.channels = 1, d.height = T, d.width = K, d.values = x;
  d.labels = label, d.label_size = T, d.lengths = length;
  nn_model *m = nn_create(&c);
  nn_cross_entropy(m, nn_linear(m, nn_input_sequence(m, T, K), K));
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_fit(m, &d, NULL));
  CHECK_OK(nn_evaluate(m, &d, &e));
  CHECK_INT(e.rows, 4);
#ifndef NN_NO_INSPECT
  int64_t counts[K * K], sum = 0;
  CHECK_OK(nn_confusion(m, &d, counts));
  for (int i = 0; i < K * K; i++) sum += counts[i];
  CHECK_INT(sum, 4);
#endif
  nn_destroy(m);
}

/* What dropout drops is 0 both ways, be it infinite. */
static void dropped_is_zero(void) {
  enum { F = 100 };
  nn_config c = test_config();
  c.input_gradient = 1, c.batch = 1;
  nn_real x[F], d[F];
  nn_batch b;
  int dropped = 0;
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x;
  for (int i = 0; i < F; i++) x[i] = (nn_real)(i % 2 ? INFINITY : NAN), d[i] = (nn_real)NAN;
  nn_model *m = nn_create(&c);
  nn_dropout(m, nn_input_vector(m, F), .5);
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_forward(m, &b, 1));
  CHECK_OK(nn_backward_from(m, d));
  for (int i = 0; i < F; i++) {
    const nn_real y = nn_output(m)[i], dx = nn_input_gradient(m, 0)[i];
    CHECK((y == 0 && dx == 0) || (y - y != 0 && dx - dx != 0));
    dropped += y == 0;
  }
  CHECK(dropped > 20 && dropped < 80);
  nn_destroy(m);
}

/* A unit that is off passes no gradient back, not even a NaN. */
static void off_passes_nothing(void) {
  enum { F = 37 };
  nn_config c = test_config();
  c.input_gradient = 1, c.batch = 1;
  nn_real x[F], d[F];
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x;
  for (int i = 0; i < F; i++) x[i] = (nn_real)(i % 2 ? 1 : -1), d[i] = (nn_real)(i % 2 ? 1 : NAN);
  for (int cell = 0; cell < 2; cell++) {
    nn_recurrent_options o = {F, 1, 0, 1, 0, 0};
    nn_model *m = nn_create(&c);
    if (cell) nn_rnn_with(m, nn_input_sequence(m, 1, F), &o);
    else nn_relu(m, nn_input_vector(m, F));
    CHECK_OK(nn_build(m));
    if (cell) { /* W the identity */
      nn_param p;
      memset(nn_parameters(m, NULL), 0, (2 * F * F + 2 * F) * sizeof(nn_real));
      CHECK_OK(nn_find_param(m, "rnn1.weight_ih_l0", &p));
      for (int i = 0; i < F; i++) p.value[i * F + i] = 1;
    }
    CHECK_OK(nn_forward(m, &b, 1));
    CHECK_OK(nn_backward_from(m, d));
    for (int i = 0; i < F; i++) CHECK(nn_input_gradient(m, 0)[i] == (i % 2 ? 1 : 0));
    nn_destroy(m);
  }
}

/* An infinite input of a cell saturates its gates as a huge one does; so but for the weights that
 * multiply it every gradient is the same, whatever zeros the kernels have put beside the gates. */
static void infinite_input(void) {
  enum { N = 3, T = 4, F = 3 };
  const int at = (1 * T + 1) * F + 2; /* sample 1, step 1, feature 2 */
  for (int kind = RNN; kind <= GRU; kind++)
    for (int h = 1; h <= 40; h += h < 20 ? 1 : 5) {
      nn_config c = test_config();
      nn_model *m[2];
      nn_real x[N * T * F];
      nn_batch b;
      c.input_gradient = 1;
      test_fill(x, COUNT(x), (uint32_t)h);
      memset(&b, 0, sizeof b);
      b.n = N, b.x[0] = x;
      for (int k = 0; k < 2; k++) {
        x[at] = (nn_real)(k ? INFINITY : 1e30);
        m[k] = nn_create(&c);
        int y = nn_input_sequence(m[k], T, F);
        y = kind == RNN    ? nn_rnn(m[k], y, h)
            : kind == LSTM ? nn_lstm(m[k], y, h)
                           : nn_gru(m[k], y, h);
        CHECK_OK(nn_build(m[k]));
        nn_real *d = test_reals((size_t)(N * T * h));
        test_fill(d, (size_t)(N * T * h), 9);
        CHECK_OK(nn_forward(m[k], &b, 1));
        CHECK_OK(nn_backward_from(m[k], d));
        free(d);
      }
      CHECK_SAME(nn_input_gradient(m[1], 0), nn_input_gradient(m[0], 0), sizeof x);
      for (int i = 0; i < nn_param_count(m[0]); i++) {
        nn_param p, q;
        CHECK_OK(nn_get_param(m[0], i, &p));
        CHECK_OK(nn_get_param(m[1], i, &q));
        for (size_t k = 0; k < p.count; k++)
          if (!strstr(p.name, "weight_ih") || k % F != 2) CHECK(p.gradient[k] == q.gradient[k]);
      }
      nn_destroy(m[0]), nn_destroy(m[1]);
    }
}

/* Whether the mode for subnormal numbers rules what the kernels of test_isa compute: the x87 has no
 * such mode. */
#if defined NN_NO_SIMD || defined __TINYC__
#define FLUSHES 0
#elif defined __x86_64__ || defined _M_X64 || defined __aarch64__ || defined __ARM_NEON || \
    (defined __i386__ && defined __SSE2_MATH__)
#define FLUSHES (sizeof(nn_real) == 4)
#elif defined __i386__
#define FLUSHES \
  (sizeof(nn_real) == 4 && test_isa() != NN_ISA_SCALAR && nn_isa_available(NN_ISA_SSE2))
#else
#define FLUSHES nn_isa_available(NN_ISA_NEON) /* ARMv7, where the system says whether it is there */
#endif

static int keeps_subnormals(void) { /* whether this thread does */
  volatile float tiny = 1e-30f;
  return tiny * 1e-10f > 0;
}

/* Subnormals are 0 within a call, on every thread, and the caller's again after it. */
static void subnormals(void) {
  enum { N = 64, F = 200 };
  nn_config c = test_config();
  nn_real *x = test_reals(N * F), *d = test_reals(N * F);
  nn_batch b;
  size_t count;
  memset(&b, 0, sizeof b);
  for (int i = 0; i < N * F; i++) x[i] = (nn_real)1e-20, d[i] = (nn_real)1e-20;
  b.n = N, b.x[0] = x;
  c.batch = N, c.threads = 0;
#ifdef NN_NO_THREADS
  c.threads = 1;
#endif
  nn_model *m = nn_create(&c);
  const int y = nn_linear_no_bias(m, nn_input_vector(m, F), F);
  nn_set_init(m, y, NN_INIT_CONSTANT, 1e-20);
  CHECK_OK(nn_build(m));
  CHECK(keeps_subnormals());
  CHECK_OK(nn_forward(m, &b, 1));
  CHECK(keeps_subnormals());
  CHECK_OK(nn_backward_from(m, d));
  CHECK(keeps_subnormals());
  const nn_real *out = nn_output(m), *g = nn_gradients(m, &count);
  for (int i = 0; i < N * F; i++)
    if (!CHECK((out[i] == 0) == FLUSHES)) break;
  for (size_t i = 0; i < count; i++)
    if (!CHECK((g[i] == 0) == FLUSHES)) break;
  CHECK_OK(nn_step(m));
  CHECK(keeps_subnormals());
  nn_destroy(m);
#ifdef FE_UPWARD
  if (FLUSHES) { /* another rounding is the caller's affair, too */
    nn_real *once = test_reals(N * F);
    test_fill(x, N * F, 3);
    m = nn_create(&c);
    nn_tanh(m, nn_linear(m, nn_input_vector(m, F), F));
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_forward(m, &b, 0));
    memcpy(once, nn_output(m), N * F * sizeof *once);
    fesetround(FE_UPWARD);
    CHECK_OK(nn_forward(m, &b, 0));
    CHECK_INT(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    CHECK_SAME(nn_output(m), once, N * F * sizeof *once);
    nn_destroy(m);
    free(once);
  }
#endif
  for (int i = 0; i < N * F; i++) x[i] = (nn_real)1e-20;
  nn_context *context = nn_context_create(test_isa(), 1, test_allocator());
  CHECK_OK(nn_gemm(context, 0, 0, N, N, 1, 1, x, 1, x, N, 0, d, N));
  CHECK((d[0] == 0) == FLUSHES && (d[N * N - 1] == 0) == FLUSHES && keeps_subnormals());
  nn_context_destroy(context);
  free(x), free(d);
}

static void refused_fits(void) {
  nn_dataset d = digits(0, 20), other;
  nn_config c = test_config();
  nn_model *m = model_with(&c, GRU, 4, 1e-2), *sum;
  nn_fit_options o;
  nn_progress p;
  nn_evaluation e;
  char bytes[1 << 16];
  nn_real target[40];
  int32_t label[20], length[20];
  int i;
  memset(target, 0, sizeof target);
#define REFUSED(status, says, change)            \
  do {                                           \
    o = nn_fit_default(), other = d, change;     \
    CHECK_STATUS(nn_fit(m, &other, &o), status); \
    CHECK_STATUS(nn_model_status(m), status);    \
    CHECK_HAS(nn_error(m), says);                \
  } while (0)
  REFUSED(NN_ERR_ARGUMENT, "epochs -1, must be 0", o.epochs = -1);
  REFUSED(NN_ERR_ARGUMENT, "steps -5, must be 0", o.steps = -5);
  REFUSED(NN_ERR_ARGUMENT, "no callback to stop it", o.epochs = 0);
  REFUSED(NN_ERR_ARGUMENT, "augment.shift -1", o.augment.shift = -1);
  REFUSED(NN_ERR_ARGUMENT, "augment.cutout 16384", o.augment.cutout = 16384);
  REFUSED(NN_ERR_SHAPE, "2 label(s) a sample", other.label_size = 2);
  REFUSED(NN_ERR_ARGUMENT, "no labels", other.labels = NULL);
  memset(&p, 0, sizeof p);
  p.place = 20;
  REFUSED(NN_ERR_ARGUMENT, "fit: progress.place 20, must be 0..19", o.progress = &p);
  p.place = 0, p.step = -1;
  REFUSED(NN_ERR_ARGUMENT, "fit: progress.step -1, must be 0..", o.progress = &p);
  p.step = 0, p.correct = INT64_MAX;
  REFUSED(NN_ERR_ARGUMENT, "fit: progress.correct 9223372036854775807, must", o.progress = &p);
  for (i = 0; i < 20; i++) label[i] = d.labels[i], length[i] = SIDE;
  length[17] = SIDE + 1; /* the sample's number, not that in a shuffled batch; nothing is trained */
  REFUSED(NN_ERR_ARGUMENT, "fit: length 29 of sample 17 is not in 1..28", other.lengths = length);
  label[18] = CLASSES;
  REFUSED(NN_ERR_ARGUMENT, "fit: label 10 of sample 18 is not in 0..9 (or -1)",
          other.labels = label);
  CHECK_STATUS(nn_evaluate(m, &other, &e), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "evaluate: label 10 of sample 18 is not in 0..9 (or -1)");
  CHECK_INT(nn_steps(m), 0);
  CHECK_OK(nn_fit(m, &d, NULL));
  CHECK_STATUS(nn_model_status(m), NN_ERR_ARGUMENT); /* that of the last failed call stays */
#undef REFUSED
  sum = nn_create(&c);
  nn_mean_squared_error(sum, nn_linear(sum, nn_input_vector(sum, PIXELS), 1));
  CHECK_OK(nn_build(sum));
  other = d, other.targets = target, other.target_size = 2;
  CHECK_STATUS(nn_fit(sum, &other, NULL), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(sum), "2 target(s) a sample, the loss compares linear1 with 1");
  nn_destroy(sum);
  memset(&p, 0, sizeof p);
  p.step = -1;
  CHECK_STATUS(nn_save_memory(m, &p, bytes, sizeof bytes), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "step is -1");
  nn_destroy(m);
  c.inference = 1;
  m = model_with(&c, GRU, 4, 1e-2);
  p.step = 0;
  CHECK_STATUS(nn_save_memory(m, &p, bytes, sizeof bytes), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "no checkpoint can be made of an inference model");
  nn_destroy(m);
}

/* A call that comes too early is refused, and spoils nothing. */
static void early_calls(void) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_real x[2] = {1, 2};
  int32_t label = 1;
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x, b.labels = &label;
  CHECK_STATUS(nn_forward(m, &b, 0), NN_ERR_STATE);
  CHECK(nn_model_status(m) == NN_ERR_STATE && *nn_error(m));
  CHECK_STATUS(nn_step(m), NN_ERR_STATE);
  CHECK_STATUS(nn_loss(m, &b, NULL, NULL), NN_ERR_STATE);
  nn_cross_entropy(m, nn_linear(m, nn_input_vector(m, 2), 2));
  CHECK_OK(nn_build(m));
  CHECK_OK(nn_train(m, &b, NULL, NULL));
  nn_destroy(m);
}

/* Several small batches and one step, or two machines whose gradients are averaged, are one large
 * batch; and nn_train is forward, loss, backward, step. */
static void accumulation(void) {
  nn_config c = test_config();
  nn_model *one, *four, *train;
  nn_real x[16 * 12], *g;
  int32_t label[16];
  nn_batch b;
  double loss[3];
  size_t count, i;
  int k, step;
  nn_model **all[3];
  all[0] = &one, all[1] = &four, all[2] = &train;
  c.batch = 16;
  for (k = 0; k < 3; k++) {
    nn_optimizer o = nn_sgd(0.5, 0.9);
    nn_model *m = *all[k] = nn_create(&c);
    nn_cross_entropy(m, nn_linear(m, nn_tanh(m, nn_linear(m, nn_input_vector(m, 12), 20)), 5));
    nn_set_optimizer(m, &o);
    CHECK_OK(nn_build(m));
  }
  memset(&b, 0, sizeof b);
  for (step = 0; step < 5; step++) {
    test_fill(x, COUNT(x), (uint32_t)step + 1);
    for (i = 0; i < 16; i++) label[i] = (int32_t)(i * 3 + (size_t)step) % 5;
    b.n = 16, b.x[0] = x, b.labels = label;
    CHECK_OK(nn_train(train, &b, &loss[2], NULL));
    CHECK_OK(nn_forward(one, &b, 1));
    CHECK_OK(nn_loss(one, &b, &loss[0], NULL));
    CHECK_OK(nn_backward(one));
    CHECK_OK(nn_step(one));
    CHECK(loss[0] == loss[2]);
    for (loss[1] = 0, k = 0; k < 4; k++) {
      double part;
      b.n = 4, b.x[0] = x + k * 4 * 12, b.labels = label + k * 4;
      CHECK_OK(nn_forward(four, &b, 1));
      CHECK_OK(nn_loss(four, &b, &part, NULL));
      CHECK_OK(nn_backward(four));
      loss[1] += part / 4;
    }
    g = nn_gradients(four, &count);
    for (i = 0; i < count; i++) g[i] /= 4;
    CHECK_OK(nn_step(four));
    CHECK_NEAR(loss[1], loss[0], 1e-5);
  }
  CHECK(bits_of(one) == bits_of(train));
  CHECK_NEAR_ALL(nn_parameters(four, NULL), nn_parameters(one, NULL), count, 1e-5);
  nn_destroy(one);
  nn_destroy(four);
  nn_destroy(train);
}

/* A second loss after backward leaves the gradients of inputs, wherever they lie in memory that is
 * shared, and does not let backward run again. */
static void loss_after_backward(void) {
  enum { N = 2, MOST = 24 };
  nn_config c = test_config();
  nn_real x[N * MOST], before[N * MOST];
  int32_t label[N] = {0, 1};
  nn_batch b;
  int features, classes, layers, k;
  memset(&b, 0, sizeof b);
  b.n = N, b.x[0] = x, b.labels = label;
  test_fill(x, N * MOST, 4);
  c.batch = N, c.input_gradient = 1;
  for (features = 4; features <= MOST; features += 4)
    for (classes = 2; classes <= 6; classes++)
      for (layers = 0; layers < 3; layers++) {
        nn_model *m = nn_create(&c);
        const nn_real *d;
        double first = 0, second = 1;
        int y = nn_input_vector(m, features), held = 0;
        for (k = 0; k < layers; k++) y = nn_tanh(m, nn_linear(m, y, 4 * classes));
        nn_cross_entropy(m, nn_linear(m, y, classes));
        if (CHECK_OK(nn_build(m)) && CHECK_OK(nn_forward(m, &b, 1)) &&
            CHECK_OK(nn_loss(m, &b, &first, NULL)) && CHECK_OK(nn_backward(m)) &&
            CHECK((d = nn_input_gradient(m, 0)) != NULL)) {
          const size_t bytes = (size_t)(N * features) * sizeof *d;
          memcpy(before, d, bytes);
          held = CHECK_OK(nn_loss(m, &b, &second, NULL)) && CHECK(first == second) &&
                 CHECK(nn_input_gradient(m, 0) == d) && CHECK_SAME(d, before, bytes) &&
                 CHECK_STATUS(nn_backward(m), NN_ERR_STATE) && CHECK_SAME(d, before, bytes);
        }
        nn_destroy(m);
        if (held) continue;
        fprintf(stderr, "    %d features, %d classes, %d layers\n", features, classes, layers);
        return;
      }
}

/* Calls in the wrong order say so and do no harm. */
static void wrong_order(void) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_real x[4] = {1, 2, 3, 4}, d[6] = {0};
  int32_t label[2] = {1, 0};
  nn_batch b;
  double loss;
  size_t count = 9;
  memset(&b, 0, sizeof b);
  b.n = 2, b.x[0] = x, b.labels = label;
  nn_cross_entropy(m, nn_linear(m, nn_input_vector(m, 2), 3));
  CHECK_STATUS(nn_step(m), NN_ERR_STATE);
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE);
  CHECK_STATUS(nn_loss(m, &b, &loss, NULL), NN_ERR_STATE);
  CHECK(nn_gradients(m, &count) == NULL);
  CHECK(nn_input_gradient(m, 0) == NULL);
  nn_destroy(m);
  m = nn_create(&c);
  nn_cross_entropy(m, nn_linear(m, nn_input_vector(m, 2), 3));
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_loss(m, &b, &loss, NULL), NN_ERR_STATE);
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE);
  CHECK_STATUS(nn_backward_from(m, d), NN_ERR_STATE);
  CHECK_OK(nn_forward(m, &b, 0));
  CHECK_OK(nn_loss(m, &b, &loss, NULL));
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE); /* not a training forward */
  CHECK_STATUS(nn_backward_from(m, d), NN_ERR_STATE);
  CHECK_OK(nn_forward(m, &b, 1));
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE); /* no loss */
  CHECK_OK(nn_loss(m, &b, &loss, NULL));
  CHECK_OK(nn_backward(m));
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE); /* twice */
  nn_loss(m, &b, &loss, NULL); /* does not bring back what the forward had left */
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE);
  CHECK_STATUS(nn_backward_from(m, d), NN_ERR_STATE);
  CHECK(nn_output(m) != NULL);
  CHECK_OK(nn_step(m));
  CHECK(nn_input_gradient(m, 0) == NULL); /* not asked for */
  CHECK_INT(nn_linear(m, 0, 3), -1);      /* built */
  CHECK_STATUS(nn_backward_from(m, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_backward(NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_step(NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_train(NULL, &b, &loss, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_train(m, NULL, &loss, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_loss(NULL, &b, &loss, NULL), NN_ERR_ARGUMENT);
  nn_zero_gradients(NULL);
  CHECK_NEAR(nn_gradient_norm(NULL), 0, 0);
  nn_destroy(m);
  c.inference = 1;
  m = nn_create(&c);
  nn_cross_entropy(m, nn_linear(m, nn_input_vector(m, 2), 3));
  CHECK_OK(nn_build(m));
  CHECK_STATUS(nn_forward(m, &b, 1), NN_ERR_STATE);
  CHECK_OK(nn_forward(m, &b, 0));
  CHECK_STATUS(nn_step(m), NN_ERR_STATE);
  CHECK(nn_gradients(m, &count) == NULL);
  nn_destroy(m);
}

/* A forward that was refused, at once or half way, leaves nothing to go back from: neither its own
 * batch nor the one before. */
static void refused_forward(void) {
  enum { N = 2, T = 3, MISTAKES = 7 };
  nn_config c = test_config();
  nn_model *m;
  int i;
  c.batch = N;
  m = nn_create(&c);
  i = nn_gru(m, nn_embedding(m, nn_input_tokens(m, T), 5, 4), 6);
  nn_cross_entropy(m, nn_linear(m, nn_last_step(m, i), 2));
  CHECK_OK(nn_build(m));
  for (i = 0; i < MISTAKES; i++) {
    nn_real x[N * T] = {0, 1, 2, 3, 4, 0}, d[N * 2] = {0};
    int32_t label[N] = {1, 0}, lengths[N] = {T, 1};
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = N, b.x[0] = x, b.labels = label, b.lengths = lengths;
    CHECK_OK(nn_train(m, &b, NULL, NULL));
    CHECK_OK(nn_forward(m, &b, 1));
    CHECK_OK(nn_loss(m, &b, NULL, NULL));
    if (i == 0) lengths[1] = T + 1;
    if (i == 1) lengths[0] = 0;
    if (i == 2) lengths[1] = INT32_MAX;
    if (i == 3) b.n = N + 1;
    if (i == 4) b.n = 0;
    if (i == 5) b.x[0] = NULL;
    if (i == 6) x[T] = 5;
    CHECK_STATUS(nn_forward(m, &b, 1), NN_ERR_ARGUMENT);
    CHECK(nn_output(m) == NULL);
    CHECK_STATUS(nn_backward(m), NN_ERR_STATE);
    CHECK_STATUS(nn_backward_from(m, d), NN_ERR_STATE);
    CHECK_STATUS(nn_backward_from(m, NULL), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "output_gradient is NULL"); /* not what the call before it said */
    CHECK_STATUS(nn_loss(m, &b, NULL, NULL), NN_ERR_STATE);
    CHECK_NEAR(nn_gradient_norm(m), 0, 0);
    if (test_state.bad) {
      fprintf(stderr, "    mistake %d\n", i);
      break;
    }
  }
  nn_destroy(m);
}

/* -------------------------------------------------------------------- bits, memory, threads -- */

static void same_bits_for_any_threads(void) {
#ifdef NN_NO_THREADS
  SKIP("built without threads");
#else
  static const int threads[] = {1, 2, 3, 4, 7};
  nn_dataset d = digits(0, 96);
  int kind, i;
  for (kind = 0; kind <= KINDS; kind++) { /* the last one's convolutions go through Winograd's */
    uint32_t one = 0;
    for (i = 0; i < (int)COUNT(threads); i++) {
      nn_config c = test_config();
      nn_model *m;
      uint32_t bits;
      c.batch = 19, c.threads = threads[i];
      m = kind < KINDS ? model_with(&c, kind, 24, 1e-2) : wide_model(&c);
      if (!m || !fit(m, &d, kind < KINDS ? 8 : 2)) return;
      bits = bits_of(m);
      if (i == 0) one = bits;
      else if (!CHECK(bits == one)) fprintf(stderr, "    kind %d, %d threads\n", kind, threads[i]);
      nn_destroy(m);
    }
  }
#endif
}

/* How many samples a model could take has no part in the bits of those that it gets. */
static void same_bits_for_any_room(void) {
  static const int room[] = {5, 8, 64};
  nn_dataset d = digits(0, 48);
  for (int kind = 0; kind <= KINDS; kind++) {
    uint32_t first = 0;
    for (int i = 0; i < (int)COUNT(room); i++) {
      nn_fit_options o = nn_fit_default();
      nn_config c = test_config();
      c.batch = room[i], o.batch = 5, o.epochs = 0, o.steps = kind < KINDS ? 8 : 2;
      nn_model *m = kind < KINDS ? model_with(&c, kind, 24, 1e-2) : wide_model(&c);
      if (!m || !CHECK_OK(nn_fit(m, &d, &o))) return;
      const uint32_t bits = bits_of(m);
      if (i == 0) first = bits;
      else if (!CHECK(bits == first)) fprintf(stderr, "    kind %d, room for %d\n", kind, room[i]);
      nn_destroy(m);
    }
  }
}

/* What nn.h promises across ISAs: the same bits where numbers are drawn, rounding elsewhere. */
static void isas_agree(void) {
  nn_dataset d = digits(0, 64);
  int kind, isa;
  for (kind = 0; kind <= KINDS; kind++) {
    nn_real *want = NULL;
    uint32_t drawn = 0;
    for (isa = NN_ISA_SCALAR; isa < NN_ISA_COUNT; isa++) {
      nn_config c = test_config();
      nn_optimizer sgd = nn_sgd(1e-2, 0.9);
      nn_model *m;
      nn_real *w;
      size_t count;
      if (!nn_isa_available((nn_isa)isa)) continue;
      c.batch = 16, c.isa = (nn_isa)isa;
      m = kind < KINDS ? model_with(&c, kind, 24, 1e-2) : wide_model(&c);
      if (!m) return;
      if (isa == NN_ISA_SCALAR) drawn = bits_of(m);
      CHECK(bits_of(m) == drawn);
      CHECK_OK(nn_set_optimizer(m, &sgd));
      if (!fit(m, &d, 4)) return; /* an epoch: order and dropout are drawn, too */
      w = nn_parameters(m, &count);
      if (!want) want = test_reals(count), memcpy(want, w, count * sizeof *w);
      if (!CHECK_NEAR_ALL(w, want, count, 1e-6))
        fprintf(stderr, "    kind %d, %s\n", kind, nn_isa_name((nn_isa)isa));
      nn_destroy(m);
    }
    free(want);
  }
}

/* An allocator that counts, checks sizes, and can fail the n-th request. */
typedef struct Counter {
  long calls, live, fail_at; /* fail_at 0: never */
  size_t bytes;
} Counter;
static void *count_allocate(void *user, size_t size) {
  Counter *c = (Counter *)user;
  void *p;
  if (++c->calls == c->fail_at) return NULL;
  p = malloc(size ? size : 1);
  if (p) c->live++, c->bytes += size;
  return p;
}
static void count_release(void *user, void *memory, size_t size) {
  Counter *c = (Counter *)user;
  if (!memory) return;
  c->live--, c->bytes -= size; /* wraps when the size is not the one asked for */
  free(memory);
}
static nn_allocator counting(Counter *c) {
  nn_allocator a;
  a.allocate = count_allocate, a.release = count_release, a.user = c;
  return a;
}

/* After nn_build nothing allocates: training, evaluating, saving, changing the optimizer. */
static void no_allocation_after_build(void) {
  nn_dataset d = digits(0, 64);
  int kind;
  for (kind = 0; kind < KINDS; kind++) {
    Counter count = {0, 0, 0, 0};
    nn_config c = test_config();
    nn_model *m;
    nn_evaluation e;
    nn_optimizer o;
    size_t planned;
    void *bytes;
    long calls;
    c.allocator = counting(&count), c.batch = 16;
    m = nn_create(&c);
    CHECK_INT(count.calls, 1);
    describe(m, kind, 12);
    CHECK_OK(nn_plan(m, &planned));
    CHECK_INT(count.calls, 1);
    CHECK_OK(nn_build(m));
    CHECK_INT(count.calls, 2);
    CHECK_INT(count.bytes, planned + nn_model_size());
    calls = count.calls;
    fit(m, &d, 5);
    CHECK_OK(nn_evaluate(m, &d, &e));
    CHECK_OK(nn_get_optimizer(m, &o));
    CHECK_OK(nn_set_optimizer(m, &o));
    bytes = test_memory(nn_save_size(m, NULL));
    CHECK_OK(nn_save_memory(m, NULL, bytes, nn_save_size(m, NULL)));
    CHECK_OK(nn_reinitialise(m, 3));
    CHECK_INT(count.calls, calls);
    free(bytes);
    nn_destroy(m);
    CHECK(count.live == 0 && count.bytes == 0);
  }
}

static void every_failing_allocation(void) {
  long n;
  int done = 0;
  for (n = 1; n < 50 && !done; n++) {
    Counter count = {0, 0, 0, 0};
    nn_config c = test_config();
    nn_model *m;
    nn_context *x;
    nn_load_result load;
    nn_message why;
    void *bytes = NULL;
    size_t size = 0;
    c.allocator = counting(&count);
    count.fail_at = n;
    x = nn_context_create(test_isa(), test_threads(), &c.allocator);
    m = nn_create(&c);
    if (m) {
      nn_status status;
      describe(m, GRU, 5);
      status = nn_build(m);
      if (status != NN_OK) {
        CHECK_STATUS(status, NN_ERR_MEMORY);
        CHECK_HAS(nn_error(m), "memory");
        CHECK(nn_output(m) == NULL && nn_parameters(m, NULL) == NULL);
      } else {
        size = nn_save_size(m, NULL);
        bytes = test_memory(size);
        CHECK_OK(nn_save_memory(m, NULL, bytes, size));
      }
    }
    if (bytes) {
      nn_status status = nn_load_memory(bytes, size, &c, &load, &why);
      if (status == NN_OK) done = count.calls < n;
      else CHECK_STATUS(status, NN_ERR_MEMORY), CHECK(load.model == NULL && why.text[0]);
      if (status == NN_OK) nn_destroy(load.model);
    }
    nn_destroy(m);
    nn_context_destroy(x);
    free(bytes);
    if (!CHECK(count.live == 0 && count.bytes == 0))
      fprintf(stderr, "    %ld blocks, %ld bytes lost when request %ld failed\n", count.live,
              (long)count.bytes, n);
  }
  CHECK(done);
}

/* The caller's memory, at any alignment: the same bits, and nothing beyond it is touched. */
static void caller_memory(void) {
  nn_dataset d = digits(0, 48);
  nn_config c = test_config();
  int kind, shift;
  c.batch = 16;
  for (kind = 0; kind < KINDS; kind++) {
    nn_model *own = model_with(&c, kind, 10, 1e-3);
    uint32_t want;
    if (!own || !fit(own, &d, 4)) return;
    want = bits_of(own);
    for (shift = 0; shift < 70; shift = shift * 2 + 1) {
      enum { GUARD = 64 };
      size_t size = 0, i;
      unsigned char *raw;
      void *place = test_memory(nn_model_size());
      nn_config without = c;
      nn_model *m;
      nn_optimizer adam = nn_adam(1e-3);
      m = nn_create_in(place, nn_model_size(), &without);
      if (!CHECK(m != NULL)) return;
      describe(m, kind, 10);
      nn_set_optimizer(m, &adam);
      CHECK_OK(nn_plan(m, &size));
      raw = (unsigned char *)test_memory(size + 2 * GUARD + (size_t)shift);
      memset(raw, 0xA5, size + 2 * GUARD + (size_t)shift);
      CHECK_STATUS(nn_build_in(m, raw + GUARD + shift, size - 1), NN_ERR_MEMORY);
      nn_destroy(m);
      m = nn_create_in(place, nn_model_size(), &without);
      describe(m, kind, 10);
      nn_set_optimizer(m, &adam);
      CHECK_OK(nn_build_in(m, raw + GUARD + shift, size));
      CHECK(nn_memory(m) == size);
      if (fit(m, &d, 4) && !CHECK(bits_of(m) == want))
        fprintf(stderr, "    kind %d, shifted by %d\n", kind, shift);
      nn_destroy(m);
      for (i = 0; i < GUARD; i++)
        CHECK(raw[i] == 0xA5 && raw[GUARD + (size_t)shift + size + i] == 0xA5);
      free(raw);
      free(place);
    }
    nn_destroy(own);
  }
  {
    char small[16];
    CHECK(nn_create_in(small, sizeof small, &c) == NULL);
    CHECK(nn_create_in(NULL, nn_model_size(), &c) == NULL);
  }
}

/* What comes back after a stop goes on as if nothing had happened: dropout, batch norm, shuffling,
 * augmentation, the optimizer's state, in the middle of an epoch and at its end, and with another
 * number of threads. */
static void resume(void) {
  nn_dataset d = digits(0, 70);
  nn_config c = test_config();
  int kind, at;
  c.batch = 16;
  for (kind = 0; kind < KINDS; kind++) {
    nn_fit_options o = nn_fit_default();
    nn_model *m;
    nn_progress whole;
    uint32_t want;
    memset(&whole, 0, sizeof whole);
    o.epochs = 0, o.steps = 12, o.augment.flip = 1, o.augment.shift = 2, o.augment.cutout = 5;
    o.progress = &whole;
    m = model_with(&c, kind, 12, 1e-2);
    if (!m || !CHECK_OK(nn_fit(m, &d, &o))) return;
    want = bits_of(m);
    nn_destroy(m);
    for (at = 1; at < 12; at += 2) { /* 5 is the end of an epoch */
      nn_progress p;
      nn_load_result load;
      nn_message why;
      nn_config again = c;
      size_t size;
      void *bytes;
#ifndef NN_NO_THREADS
      again.threads = 1 + at % 4;
#endif
      memset(&p, 0, sizeof p);
      memset(&load, 0, sizeof load);
      m = model_with(&c, kind, 12, 1e-2);
      if (!m) return;
      o.progress = &p, o.steps = at;
      CHECK_OK(nn_fit(m, &d, &o));
      size = nn_save_size(m, &p);
      bytes = test_memory(size);
      CHECK_OK(nn_save_memory(m, &p, bytes, size));
      nn_destroy(m);
      if (CHECK_OK(nn_load_memory(bytes, size, &again, &load, &why))) {
        CHECK(load.is_checkpoint);
        CHECK_SAME(&load.progress, &p, sizeof p);
        o.progress = &load.progress, o.steps = 12;
        CHECK_OK(nn_fit(load.model, &d, &o));
        if (!CHECK(bits_of(load.model) == want))
          fprintf(stderr, "    kind %d, step %d\n", kind, at);
        CHECK_SAME(&load.progress, &whole, sizeof whole);
        nn_destroy(load.model);
      } else {
        fprintf(stderr, "    %s\n", why.text);
      }
      free(bytes);
    }
  }
}

/* Several models at once in threads of the caller train to the bits of one alone. */
#ifdef CALLER_THREADS
typedef struct Job {
  nn_dataset data;
  int kind, threads;
  uint32_t bits;
  nn_status status;
} Job;
static void *train_one(void *argument) {
  Job *job = (Job *)argument;
  nn_config c = test_config();
  nn_fit_options o = nn_fit_default();
  nn_optimizer adam = nn_adam(1e-3);
  nn_model *m;
  int i;
  c.batch = 16, c.threads = job->threads;
  m = nn_create(&c);
  describe(m, job->kind, 16);
  nn_set_optimizer(m, &adam);
  job->status = nn_build(m);
  if (job->status == NN_OK) job->status = nn_fit(m, &job->data, &o);
  for (i = 0; job->status == NN_OK && i < nn_param_count(m); i++) {
    nn_param p;
    nn_get_param(m, i, &p);
    job->bits = nn_crc32(job->bits, p.value, p.count * sizeof *p.value);
  }
  nn_destroy(m);
  return NULL;
}
#endif

static void models_in_threads(void) {
#ifndef CALLER_THREADS
  SKIP("no pthreads in this build");
#else
  enum { JOBS = 8 };
  Job job[JOBS], alone[KINDS];
  pthread_t thread[JOBS];
  int i;
  memset(job, 0, sizeof job);
  memset(alone, 0, sizeof alone);
  for (i = 0; i < KINDS; i++) {
    alone[i].data = digits(0, 64), alone[i].kind = i, alone[i].threads = 1;
    train_one(&alone[i]);
    CHECK_OK(alone[i].status);
  }
  for (i = 0; i < JOBS; i++) {
    job[i] = alone[i % KINDS];
    job[i].bits = 0, job[i].threads = 1 + i / KINDS;
    CHECK(pthread_create(&thread[i], NULL, train_one, &job[i]) == 0);
  }
  for (i = 0; i < JOBS; i++) {
    CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK_OK(job[i].status);
    CHECK(job[i].bits == alone[i % KINDS].bits);
  }
#endif
}

/* One model, two threads of the caller's, a lock of the caller's: every step counts. */
#ifdef CALLER_THREADS
typedef struct Shared {
  pthread_mutex_t lock;
  nn_model *m;
  const nn_batch *b;
  int failures;
} Shared;
enum { TURNS = 20 };
static void *train_by_turns(void *argument) {
  Shared *s = (Shared *)argument;
  int i;
  for (i = 0; i < TURNS; i++) {
    pthread_mutex_lock(&s->lock);
    s->failures += nn_train(s->m, s->b, NULL, NULL) != NN_OK || nn_output(s->m) == NULL;
    pthread_mutex_unlock(&s->lock);
  }
  return NULL;
}
#endif

static void a_model_by_turns(void) {
#ifndef CALLER_THREADS
  SKIP("no pthreads in this build");
#else
  nn_config c = test_config();
  nn_real *x = test_reals(4 * PIXELS);
  int32_t label[4] = {0, 1, 2, 3};
  uint32_t bits[2];
  int k, i;
  c.batch = 4;
  test_fill(x, 4 * PIXELS, 1);
  for (k = 0; k < 2; k++) { /* by two threads; by one, twice as often */
    Shared s;
    nn_batch b;
    pthread_t thread[2];
    memset(&b, 0, sizeof b);
    b.n = 4, b.x[0] = x, b.labels = label;
    memset(&s, 0, sizeof s);
    s.m = model_with(&c, CNN, 8, 1e-3), s.b = &b;
    if (!s.m) break;
    pthread_mutex_init(&s.lock, NULL);
    for (i = 0; i < 2 && k == 0; i++)
      CHECK(pthread_create(&thread[i], NULL, train_by_turns, &s) == 0);
    for (i = 0; i < 2; i++) {
      if (k == 0) CHECK(pthread_join(thread[i], NULL) == 0);
      else train_by_turns(&s);
    }
    pthread_mutex_destroy(&s.lock);
    CHECK_INT(s.failures, 0);
    CHECK_INT(nn_steps(s.m), 2 * TURNS);
    bits[k] = bits_of(s.m);
    nn_destroy(s.m);
  }
  CHECK(bits[0] == bits[1]);
  free(x);
#endif
}

/* A graph in which every node is read twice has 2^n paths; planning it must not walk them all. */
static void many_paths(void) {
  nn_config c = test_config();
  nn_model *m = nn_create(&c);
  nn_real in[3] = {0, 0, 0};
  nn_batch b;
  int x = nn_input_vector(m, 3), i;
  for (i = 0; i < 200; i++) x = nn_add(m, x, x);
  nn_linear(m, x, 2);
  CHECK_OK(nn_build(m));
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = in;
  CHECK_OK(nn_forward(m, &b, 1));
  nn_destroy(m);
}

int main(void) {
  test_isa();
  RUN(optimizers);
  RUN(optimizer_defaults);
  RUN(wrong_optimizers);
  RUN(below_floats);
  RUN(schedules);
  RUN(initial_values);
  RUN(initial_values_of_layers);
  RUN(seeds);
  RUN(dropout);
  RUN(dropout_between_cells);
  RUN(learns);
  RUN(fits_values);
  RUN(fit_counts);
  RUN(evaluate_is_a_mean);
  RUN(diverged);
  RUN(diverged_with_carry);
  RUN(diverged_gradient);
  RUN(overflows);
  RUN(diverged_in_fit);
  RUN(padding_is_ignored);
  RUN(padding_has_no_loss);
  RUN(batch_norm_of_lengths);
  RUN(batch_norm_far_from_zero);
  RUN(batch_norm_of_one);
  RUN(evaluation_carries_nothing);
  RUN(norms_of_any_size);
  RUN(batch_norm_overflows);
  RUN(whose_fault);
  RUN(ignored_is_named);
  RUN(odd_targets);
  RUN(labels_past_the_end);
  RUN(dropped_is_zero);
  RUN(off_passes_nothing);
  RUN(infinite_input);
  RUN(subnormals);
  RUN(refused_fits);
  RUN(early_calls);
  RUN(accumulation);
  RUN(loss_after_backward);
  RUN(wrong_order);
  RUN(refused_forward);
  RUN(same_bits_for_any_threads);
  RUN(same_bits_for_any_room);
  RUN(isas_agree);
  RUN(no_allocation_after_build);
  RUN(every_failing_allocation);
  RUN(caller_memory);
  RUN(resume);
  RUN(models_in_threads);
  RUN(a_model_by_turns);
  RUN(many_paths);
  free(pixels);
  free(labels);
  return test_end("train");
}
#endif
