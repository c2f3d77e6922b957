/* Seeing inside: statistics against NumPy and naive twins, what goes back to the inputs and
 * occlusion against PyTorch (tests/goldens.py) and nets whose answers are known by hand, and models
 * that stay what they were to the bit. */
#ifdef NN_NO_INSPECT
#include "test.h"
int main(void) { return test_end("inspect"); }
#else
#include "goldens.h"
#include "graphs.h"

static size_t node_size(const nn_model *m, int node) { /* of one sample */
  nn_node_info f;
  size_t size = 1;
  if (!CHECK_OK(nn_get_node(m, node, &f))) return 0;
  for (int i = 0; i < f.rank; i++) size *= (size_t)f.dim[i];
  return size;
}

static int maps_of(const nn_model *m, int node) {
  nn_node_info f;
  if (!CHECK_OK(nn_get_node(m, node, &f))) return 0;
  return f.rank == 3 ? f.dim[0] : f.dim[f.rank - 1];
}

static int named(nn_model *m, const char *name, int node) { return nn_name(m, node, name), node; }

static int built(nn_model *m) {
  if (CHECK_OK(nn_build(m))) return 1;
  fprintf(stderr, "  %s\n", nn_error(m));
  return 0;
}

/* Samples for every input, whose arrays lie in `to`, one after the other. */
static nn_batch fill_batch(const nn_model *m, int n, nn_real *to, uint32_t seed) {
  nn_batch b;
  int inputs = 0;
  memset(&b, 0, sizeof b);
  b.n = n;
  for (int node = 0; node < nn_node_count(m) && inputs < NN_MAX_INPUTS; node++) {
    nn_node_info f;
    size_t count = (size_t)n * node_size(m, node);
    nn_get_node(m, node, &f);
    if (f.inputs) continue;
    test_fill(to, count, seed + (uint32_t)node);
    for (size_t i = 0; i < count && strcmp(f.kind, "tokens") == 0; i++)
      to[i] = (nn_real)((int)(to[i] * 3.5 + 3.5) % 7);
    b.x[inputs++] = to;
    to += count;
  }
  return b;
}

/* --------------------------------------- statistics ----------------------------------------- */

enum { VALUES = 5000 };

static nn_real *near_values(int far) {
  nn_real *x = test_reals(VALUES);
  for (size_t i = 0; i < VALUES; i++) {
    int k = (int)(bits(key_of("moments", "values", ""), i) & 0x7fffffffu);
    x[i] = far ? (nn_real)(1073741824.0 + 128.0 * (k % 4))
               : k % 8 == 0 ? 0 : (nn_real)((k % 4096 - 1000) / 1024.0);
  }
  return x;
}

static void compare_moments(const nn_moments *s, const char *name) {
  const nn_real counts[2] = {(nn_real)s->count, (nn_real)s->zeros};
  const nn_real place[3] = {(nn_real)s->mean, (nn_real)s->min, (nn_real)s->max};
  const nn_real spread[2] = {(nn_real)nn_moments_variance(s), (nn_real)nn_moments_deviation(s)};
  expect_near("moments", "counts ", name, counts, 2, 1e-7);
  expect_near("moments", "place ", name, place, 3, 1e-7);
  expect_near("moments", "spread ", name, spread, 2, 1e-6);
  CHECK_INT(s->not_finite, 0);
}

static void moments_are_numpys(void) {
  for (int far = 0; far < 2; far++) {
    nn_moments s = {0, 0, 0, 0, 0, 0, 0};
    nn_real *x = near_values(far);
    CHECK_OK(nn_moments_add(&s, x, VALUES));
    compare_moments(&s, far ? "far" : "near");
    free(x);
  }
}

static void moments_merged_are_those_of_one_pass(void) {
  for (int far = 0; far < 2; far++) {
    nn_moments whole = {0, 0, 0, 0, 0, 0, 0}, parts = whole;
    nn_real *x = near_values(far);
    CHECK_OK(nn_moments_add(&whole, x, VALUES));
    dice_state = 7;
    for (size_t at = 0; at < VALUES;) {
      nn_moments part = {0, 0, 0, 0, 0, 0, 0};
      size_t n = (size_t)dice(0, 700);
      if (n > VALUES - at) n = VALUES - at;
      CHECK_OK(nn_moments_add(&part, x + at, n));
      CHECK_OK(nn_moments_merge(&parts, &part));
      at += n;
    }
    compare_moments(&parts, far ? "far" : "near");
    CHECK_INT(parts.count, whole.count);
    CHECK_INT(parts.zeros, whole.zeros);
    CHECK(parts.min == whole.min && parts.max == whole.max);
    CHECK_NEAR(parts.mean, whole.mean, 1e-14);
    CHECK_NEAR(parts.m2, whole.m2, 1e-9);
    free(x);
  }
}

static void moments_leave_out_what_is_not_finite(void) {
  nn_real x[6] = {3, 0, -1, 0, 0, 2};
  nn_moments s = {0, 0, 0, 0, 0, 0, 0};
  x[1] = (nn_real)NAN, x[3] = (nn_real)INFINITY, x[4] = -(nn_real)INFINITY;
  CHECK_OK(nn_moments_add(&s, x + 1, 1)); /* nothing but a NaN first */
  CHECK_INT(s.count, 0);
  CHECK(nn_moments_variance(&s) == 0);
  CHECK_OK(nn_moments_add(&s, x, 6));
  CHECK_INT(s.count, 3);
  CHECK_INT(s.not_finite, 4);
  CHECK_INT(s.zeros, 0);
  CHECK(s.min == -1 && s.max == 3);
  CHECK_NEAR(s.mean, 4. / 3, 1e-15);
  CHECK_NEAR(s.m2, 26. / 3, 1e-15);
}

static int64_t histogram_total(const nn_histogram *h) {
  int64_t sum = h->below + h->above + h->nans;
  for (int i = 0; i < NN_HISTOGRAM_BINS; i++) sum += h->bin[i];
  return sum;
}

static void histogram_is_numpys(void) {
  nn_real *x = test_reals(VALUES), bins[NN_HISTOGRAM_BINS], outside[2];
  nn_histogram h, a, b;
  draw(x, VALUES, key_of("moments", "values", ""), 1, 0);
  CHECK_OK(nn_histogram_range(&h, -.75, .875));
  CHECK_OK(nn_histogram_range(&a, -.75, .875));
  CHECK_OK(nn_histogram_range(&b, -.75, .875));
  CHECK_OK(nn_histogram_add(&h, x, VALUES));
  CHECK_OK(nn_histogram_add(&a, x, 1234));
  CHECK_OK(nn_histogram_add(&b, x + 1234, VALUES - 1234));
  CHECK_OK(nn_histogram_merge(&a, &b));
  CHECK_SAME(&a, &h, sizeof h);
  for (int i = 0; i < NN_HISTOGRAM_BINS; i++) bins[i] = (nn_real)h.bin[i];
  outside[0] = (nn_real)h.below, outside[1] = (nn_real)h.above;
  expect_near("moments", "histogram", "", bins, NN_HISTOGRAM_BINS, 1e-7);
  expect_near("moments", "outside", "", outside, 2, 1e-7);
  CHECK_INT(histogram_total(&h), VALUES);
  free(x);
}

static void histogram_at_its_edges(void) {
  nn_real x[9] = {-1, 1, 0, -1.5, 1.5, 0, 0, 0, (nn_real)0.96875};
  nn_histogram h;
  x[5] = (nn_real)NAN, x[6] = (nn_real)INFINITY, x[7] = -(nn_real)INFINITY;
  CHECK_OK(nn_histogram_range(&h, -1, 1)); /* bins of 1/32 */
  CHECK_OK(nn_histogram_add(&h, x, 9));
  CHECK_INT(h.bin[0], 1);
  CHECK_INT(h.bin[32], 1);
  CHECK_INT(h.bin[63], 2); /* its lower edge, and the upper end */
  CHECK_INT(h.below, 2);
  CHECK_INT(h.above, 2);
  CHECK_INT(h.nans, 1);
  CHECK_INT(histogram_total(&h), 9);
}

/* ------------------------------------- what forward left ------------------------------------- */

enum { SHOTS = 3 };

/* A small net of every sort of shape: its nodes' maps are channels, steps' features, features. */
static nn_model *shapes_net(int sequence, int samples) {
  nn_config c = test_config();
  c.batch = samples, c.keep_activations = 1;
  nn_model *m = nn_create(&c);
  if (sequence) {
    int x = nn_gru(m, nn_input_sequence(m, 4, 3), 5);
    nn_linear(m, nn_last_step(m, nn_relu(m, x)), 4);
  } else {
    int x = nn_relu(m, nn_conv2d(m, nn_input_image(m, 2, 6, 5), 3, 3, 1, 1));
    x = nn_batch_norm(m, nn_max_pool2d(m, x, 2, 2, 0));
    nn_linear(m, nn_flatten(m, x), 4);
  }
  return m;
}

/* Value `place` of map `map` of a sample, in the border layout. */
static nn_real border_at(const nn_model *m, int node, const nn_real *y, int sample, int map,
                         int place) {
  nn_node_info f;
  nn_get_node(m, node, &f);
  const int maps = maps_of(m, node), places = (int)node_size(m, node) / maps;
  y += (size_t)sample * node_size(m, node);
  return f.rank == 3 ? y[map * places + place] : y[place * maps + map];
}

static void observations_are_naive_ones(void) {
  const int32_t lengths[SHOTS] = {2, 4, 1};
  for (int sort = 0; sort < 3; sort++) { /* image, sequence, sequence with lengths */
    nn_model *m = shapes_net(sort > 0, SHOTS);
    nn_real x[SHOTS * 60];
    if (!built(m)) return;
    nn_batch b = fill_batch(m, SHOTS, x, 3);
    if (sort == 2) b.lengths = lengths;
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    for (int node = 0; node < nn_node_count(m); node++) {
      nn_moments s = {0, 0, 0, 0, 0, 0, 0}, naive = s;
      nn_histogram h, counted;
      nn_real most[128], naive_most[128];
      const int maps = maps_of(m, node), places = (int)node_size(m, node) / maps;
      nn_node_info f;
      nn_real *y = test_reals(SHOTS * node_size(m, node));
      nn_get_node(m, node, &f);
      CHECK_OK(nn_read(m, node, y));
      CHECK_OK(nn_histogram_range(&h, -.5, .5));
      CHECK_OK(nn_histogram_range(&counted, -.5, .5));
      for (int j = 0; j < maps; j++) most[j] = naive_most[j] = -(nn_real)HUGE_VAL;
      for (int i = 0; i < SHOTS; i++)
        for (int p = 0; p < places; p++)
          for (int j = 0; j < maps; j++) {
            const nn_real v = border_at(m, node, y, i, j, p);
            if (sort == 2 && f.rank == 2 && p >= lengths[i]) continue;
            nn_moments_add(&naive, &v, 1);
            nn_histogram_add(&counted, &v, 1);
            if (v > naive_most[j]) naive_most[j] = v;
          }
      CHECK_OK(nn_observe(m, node, &s, &h, most));
      CHECK_INT(s.count, naive.count);
      CHECK_INT(s.zeros, naive.zeros);
      CHECK_NEAR(s.mean, naive.mean, 1e-12);
      CHECK_NEAR(s.m2, naive.m2, 1e-12);
      CHECK(s.min == naive.min && s.max == naive.max);
      CHECK_SAME(&h, &counted, sizeof h);
      CHECK_SAME(most, naive_most, (size_t)maps * sizeof *most);
      CHECK_OK(nn_observe(m, node, NULL, NULL, NULL));
      free(y);
    }
    nn_destroy(m);
  }
}

/* A drawn data set for the nets of shapes_net, labels 0..3 and some -1. */
enum { SET = 23 };
static nn_dataset drawn_set(int sequence, nn_real *values, int32_t *labels) {
  nn_dataset d;
  memset(&d, 0, sizeof d);
  d.count = SET, d.channels = sequence ? 1 : 2;
  d.height = sequence ? 4 : 6, d.width = sequence ? 3 : 5;
  test_fill(values, SET * 60, 11);
  d.values = values, d.labels = labels;
  for (int i = 0; i < SET; i++) labels[i] = i % 7 == 6 ? -1 : i % 4;
  for (int i = 0; i < SET * 60; i++) values[i] = 2 * values[i] - (nn_real).25;
  return d;
}

static void peaks_are_naive_ones(void) {
  enum { RANKS = 4 };
  for (int sequence = 0; sequence < 2; sequence++) {
    static nn_real values[SET * 60];
    int32_t labels[SET];
    nn_dataset d = drawn_set(sequence, values, labels);
    nn_model *m = shapes_net(sequence, 5); /* the last batch is smaller */
    if (!built(m)) return;
    for (int node = 0; node < nn_node_count(m); node++) {
      const int maps = maps_of(m, node), places = (int)node_size(m, node) / maps;
      const size_t size = (size_t)maps * RANKS * sizeof(nn_peak);
      nn_peak *peaks = (nn_peak *)test_memory(size);
      nn_real *best = test_reals((size_t)(maps * SET));
      int32_t *where = (int32_t *)test_memory((size_t)(maps * SET) * sizeof *where);
      nn_node_info f;
      nn_get_node(m, node, &f);
      CHECK_OK(nn_peaks(m, &d, node, RANKS, peaks));
      for (int i = 0; i < SET; i++) { /* one sample at a time */
        nn_real x[60], y[160];
        nn_batch b;
        memset(&b, 0, sizeof b);
        b.n = 1, b.x[0] = x;
        CHECK_OK(nn_gather(&d, &i, 1, NULL, NULL, x, NULL));
        CHECK_OK(nn_forward(m, &b, NN_INFERENCE));
        CHECK_OK(nn_read(m, node, y));
        for (int j = 0; j < maps; j++)
          for (int p = 0; p < places; p++) {
            const nn_real v = border_at(m, node, y, 0, j, p);
            if (p && !(v > best[j * SET + i])) continue;
            best[j * SET + i] = v, where[j * SET + i] = p;
          }
      }
      for (int j = 0; j < maps; j++)
        for (int rank = 0; rank < RANKS; rank++) {
          const nn_peak *p = &peaks[j * RANKS + rank];
          const int wide = f.rank == 3 ? f.dim[2] : 1;
          int first = 0;
          for (int i = 1; i < SET; i++)
            if (best[j * SET + i] > best[j * SET + first]) first = i;
          CHECK_INT(p->sample, first);
          CHECK_NEAR(p->value, best[j * SET + first], 1e-6);
          CHECK_INT(p->row * wide + p->column, where[j * SET + first]);
          best[j * SET + first] = -(nn_real)HUGE_VAL;
        }
      free(peaks);
      free(best);
      free(where);
    }
    nn_destroy(m);
  }
}

static void fewer_samples_than_peaks(void) {
  nn_model *m = shapes_net(0, SHOTS);
  nn_peak peaks[4 * (SHOTS + 2)];
  nn_real x[SHOTS * 60];
  if (!built(m)) return;
  nn_batch b = fill_batch(m, SHOTS, x, 3);
  for (int i = 0; i < 4 * (SHOTS + 2); i++) peaks[i].sample = -1;
  for (int i = 0; i < 60; i++) x[60 + i] = (nn_real)NAN; /* the second sample never wins */
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  CHECK_OK(nn_peaks_add(m, nn_output_node(m), 100, SHOTS + 2, peaks));
  for (int j = 0; j < 4; j++) {
    const nn_peak *p = peaks + j * (SHOTS + 2);
    CHECK(p[0].sample + p[1].sample == 202 && p[0].sample != p[1].sample);
    CHECK(p[0].value >= p[1].value);
    for (int rank = 2; rank < SHOTS + 2; rank++) CHECK_INT(p[rank].sample, -1);
  }
  nn_destroy(m);
}

static void confusion_is_a_naive_one(void) {
  for (int sequence = 0; sequence < 2; sequence++) {
    static nn_real values[SET * 60];
    int32_t labels[SET];
    int64_t counts[16], naive[16] = {0};
    nn_dataset d = drawn_set(sequence, values, labels);
    nn_model *m = shapes_net(sequence, 5);
    if (!built(m)) return;
    memset(counts, 77, sizeof counts);
    CHECK_OK(nn_confusion(m, &d, counts));
    for (int i = 0; i < SET; i++) {
      nn_real x[60];
      nn_batch b;
      int32_t answer;
      memset(&b, 0, sizeof b);
      b.n = 1, b.x[0] = x;
      CHECK_OK(nn_gather(&d, &i, 1, NULL, NULL, x, NULL));
      CHECK_OK(nn_predict(m, &b, &answer, NULL));
      if (labels[i] >= 0) naive[labels[i] * 4 + answer]++;
    }
    CHECK_SAME(counts, naive, sizeof counts);
    nn_destroy(m);
  }
}

/* An output at every step, samples of different lengths. */
static void confusion_of_steps(void) {
  nn_config c = test_config();
  c.batch = 2, c.keep_activations = 1;
  nn_model *m = nn_create(&c);
  const int32_t labels[6] = {0, 1, 2, -1, 2, 0}, lengths[2] = {2, 3};
  const nn_real x[18] = {9, 0, 0, 0, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 9, 0, 9, 0};
  int64_t counts[9] = {0};
  int softmax = nn_softmax(m, nn_input_sequence(m, 3, 3));
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 2, b.x[0] = x, b.lengths = lengths;
  if (!built(m)) return;
  CHECK_INT(softmax, nn_output_node(m));
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  CHECK_OK(nn_confusion_add(m, labels, counts));
  CHECK_INT(counts[0], 1);         /* step 0 of sample 0 */
  CHECK_INT(counts[1 * 3 + 1], 1); /* step 1: the first among equals; step 2 is past the end */
  CHECK_INT(counts[2 * 3 + 2], 1); /* step 1 of sample 1, whose step 0 has no label */
  CHECK_INT(counts[0 * 3 + 1], 1); /* step 2 */
  for (int i = 0; i < 9; i++) CHECK_INT(counts[i], i == 0 || i == 1 || i == 4 || i == 8);
  nn_destroy(m);
}

#ifndef NN_NO_TRAINING
/* Labels are of another loss, which has fewer rows than the output. */
static void confusion_of_too_few_labels(void) {
  nn_config c = test_config();
  c.batch = 2;
  nn_model *m = nn_create(&c);
  const nn_real x[10] = {0};
  int32_t *const labels = (int32_t *)calloc(2, sizeof *labels); /* valgrind sees more read */
  int64_t counts[4] = {0};
  const int out = nn_linear(m, nn_input_sequence(m, 5, 1), 2);
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 2, b.x[0] = x;
  const int last = nn_last_step(m, out);
  nn_mean_squared_error(m, out);
  nn_cross_entropy(m, last);
  if (!built(m)) return;
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  CHECK_STATUS(nn_confusion_add(m, labels, counts), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(m), "the losses read 1 label(s) a sample, linear1 answers 5 times");
  for (int i = 0; i < 4; i++) CHECK_INT(counts[i], 0);
  free(labels);
  nn_destroy(m);
}
#endif

static nn_status survey_steps(void *user, nn_model *m, const nn_batch *b, int first) {
  int *seen = (int *)user;
  (void)m;
  CHECK_INT(seen[0], first);
  CHECK(b->labels && b->labels[0] == (first % 7 == 6 ? -1 : first % 4));
  seen[0] += b->n;
  return --seen[1] ? NN_OK : NN_STOPPED;
}

static void a_survey_sees_every_sample_and_can_stop(void) {
  static nn_real values[SET * 60];
  int32_t labels[SET];
  int seen[2] = {0, -1};
  nn_dataset d = drawn_set(0, values, labels);
  nn_model *m = shapes_net(0, 5);
  if (!built(m)) return;
  CHECK_OK(nn_survey(m, &d, survey_steps, seen));
  CHECK_INT(seen[0], SET);
  seen[0] = 0, seen[1] = 2;
  CHECK_STATUS(nn_survey(m, &d, survey_steps, seen), NN_STOPPED);
  CHECK_INT(seen[0], 10);
  nn_destroy(m);
}

/* ------------------------------------------ images ------------------------------------------ */

/* Units that see all of the image, though they have a place: behind a channel's scale, a norm over
 * the image, steps that a cell has gone through, another shape. */
static void fields_of_all(void) {
  for (int way = 0; way < 4; way++) {
    nn_config c = test_config();
    nn_model *m = nn_create(&c);
    const int x = nn_conv2d(m, nn_input_image(m, 1, 9, 8), 4, 2, 1, 0);
    const int shape[3] = {7, 8, 4};
    int part[4] = {0, 0, 0, 0}, y = 0;
    if (way == 0) y = nn_multiply(m, x, nn_sigmoid(m, nn_global_avg_pool(m, x)));
    if (way == 1) y = nn_group_norm(m, x, 2);
    if (way == 2) y = nn_sequence_to_image(m, nn_gru(m, nn_image_to_sequence(m, x, 1), 8), 2, 1);
    if (way == 3) y = nn_reshape(m, x, 3, shape);
    CHECK_OK(nn_build(m));
    CHECK_OK(nn_receptive_field(m, x, 3, 2, part));
    CHECK(part[0] == 3 && part[1] == 2 && part[2] == 2 && part[3] == 2);
    CHECK_OK(nn_receptive_field(m, y, 3, 2, part));
    if (!CHECK(part[0] == 0 && part[1] == 0 && part[2] == 9 && part[3] == 8))
      fprintf(stderr, "    way %d\n", way);
    nn_destroy(m);
  }
}

/* With weights of 1 and no cut, a unit's value moves with just those pixels that it sees: from an
 * image of one pixel to the next, the pixels that move it span the field that the engine names. */
static void receptive_fields(void) {
  enum { H = 13, W = 11, PIXELS = H * W };
  const nn_conv2d_options far = {3, 3, 2, 1, 1, 0, 0, 2, 3, 1, 0};
  const nn_conv2d_options wide = {2, 1, 3, 2, 1, 0, 1, 1, 1, 1, 0};
  const nn_pool2d_options edge = {3, 2, 2, 2, 1, 1, 1, 1};
  nn_config c = test_config();
  c.batch = PIXELS + 1, c.keep_activations = 1;
  nn_model *m = nn_create(&c);
  int x = nn_conv2d_with(m, nn_input_image(m, 1, H, W), &far); /* 9x8 */
  const int a = nn_avg_pool2d(m, x, 3, 2, 1), b = nn_conv2d(m, x, 3, 3, 2, 1);
  x = nn_concat(m, nn_relu(m, a), nn_conv2d(m, nn_add(m, a, b), 2, 1, 1, 0)); /* 5x4 */
  nn_avg_pool2d_with(m, nn_adaptive_avg_pool2d(m, x, 4, 3), &edge);
  const int large = nn_upsample2d(m, nn_pad2d(m, x, 0, 1, 2, 0), 2, 3);
  const int part_of = nn_slice(m, nn_slice(m, large, 1, 1, 7), 2, 4, 8);
  const int other = nn_slice(m, nn_slice(m, large, 1, 3, 7), 2, 6, 3);
  nn_conv2d(m, nn_concat_along(m, part_of, other, 2), 1, 2, 1, 0);
  const nn_conv2d_options grown = {2, 3, 3, 2, 1, 1, 2, 1, 1, 1, 0};
  nn_conv2d(m, nn_upsample2d_bilinear(m, nn_conv_transpose2d_with(m, x, &grown, 1, 0), 2, 3), 1, 2,
            3, 0);
  x = nn_conv2d_with(m, x, &wide);
  nn_linear(m, nn_flatten(m, nn_softmax(m, nn_max_pool2d(m, x, 2, 1, 0))), 3);
  nn_real *image = test_reals((PIXELS + 1) * PIXELS), *y = test_reals((PIXELS + 1) * 2400);
  nn_batch batch;
  size_t count;
  int part[4];
  memset(&batch, 0, sizeof batch);
  batch.n = PIXELS + 1, batch.x[0] = image;
  CHECK_STATUS(nn_receptive_field(m, 1, 0, 0, part), NN_ERR_STATE);
  if (!built(m)) return;
  nn_real *value = nn_parameters(m, &count);
  for (size_t i = 0; i < count; i++) value[i] = 1;
  for (int i = 0; i < PIXELS; i++) image[(i + 1) * PIXELS + i] = 1;
  CHECK_OK(nn_forward(m, &batch, NN_INFERENCE));
  for (int node = 0; node < nn_node_count(m); node++) {
    nn_node_info f;
    CHECK_OK(nn_get_node(m, node, &f));
    const int high = f.rank == 3 ? f.dim[1] : 1, across = f.rank == 3 ? f.dim[2] : 1;
    const int whole = !strcmp(f.kind, "softmax") || f.rank == 1; /* only named, not measured */
    CHECK_OK(nn_read(m, node, y));
    for (int u = 0; u < high * across; u++) {
      int box[4] = {H, W, -1, -1};
      for (int p = 0; p < PIXELS; p++) {
        const nn_real off = y[(size_t)(p + 1) * node_size(m, node) + (size_t)u] - y[u];
        if (off == 0) continue;
        if (p / W < box[0]) box[0] = p / W;
        if (p % W < box[1]) box[1] = p % W;
        if (p / W > box[2]) box[2] = p / W;
        if (p % W > box[3]) box[3] = p % W;
      }
      CHECK_OK(nn_receptive_field(m, node, u / across, u % across, part));
      if (box[2] < 0) { /* zeros round the image alone */
        CHECK(whole || (part[0] == 0 && part[1] == 0 && part[2] == 0 && part[3] == 0));
        continue;
      }
      if (f.rank == 1) CHECK(part[0] == 0 && part[1] == 0 && part[2] == H && part[3] == W);
      if (whole || !strcmp(f.kind, "max_pool")) continue;
      CHECK_INT(part[0], box[0]);
      CHECK_INT(part[1], box[1]);
      CHECK_INT(part[0] + part[2] - 1, box[2]);
      CHECK_INT(part[1] + part[3] - 1, box[3]);
    }
  }
  CHECK_STATUS(nn_receptive_field(NULL, 1, 0, 0, part), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_receptive_field(m, 1, 0, 0, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_receptive_field(m, 1, 9, 0, part), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_receptive_field(m, 1, 0, -1, part), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_receptive_field(m, 99, 0, 0, part), NN_ERR_ARGUMENT);
  nn_destroy(m);
  free(image), free(y);
}

/* What a net of maximum and layer norm, a sequence and a vector see. */
static void fields_of_other_inputs(void) {
  for (int kind = 0; kind < 3; kind++) {
    const int want[3][4] = {{2, 4, 2, 2}, {0, 0, 5, 3}, {0, 0, 1, 7}};
    nn_config c = test_config();
    nn_model *m = nn_create(&c);
    int part[4];
    const int x = kind == 0   ? nn_max_pool2d(m, nn_input_image(m, 2, 6, 8), 2, 2, 0)
                  : kind == 1 ? nn_last_step(m, nn_gru(m, nn_input_sequence(m, 5, 3), 4))
                              : nn_linear(m, nn_input_vector(m, 7), 2);
    if (kind == 0) nn_layer_norm(m, x);
    if (!built(m)) return;
    CHECK_OK(nn_receptive_field(m, x, kind ? 0 : 1, kind ? 0 : 2, part));
    CHECK_SAME(part, want[kind], sizeof part);
    if (kind == 0) {
      CHECK_OK(nn_receptive_field(m, x + 1, 1, 2, part));
      CHECK(part[0] == 0 && part[1] == 0 && part[2] == 6 && part[3] == 8);
    }
    nn_destroy(m);
  }
}

/* ----------------------------------------- occlusion ----------------------------------------- */

/* Sums the 3x3 patch at (top, left) of an 8x9 image of two channels; class 1 is "it is there". */
static nn_model *patch_net(int top, int left, int keep) {
  nn_config c = test_config();
  c.batch = 7, c.keep_activations = keep;
  nn_model *m = nn_create(&c);
  nn_param w;
  int x = nn_flatten(m, nn_input_image(m, 2, 8, 9));
  x = nn_relu(m, named(m, "see", nn_linear(m, x, 1)));
  named(m, "tell", nn_linear(m, x, 2));
#ifndef NN_NO_TRAINING
  if (!keep) nn_cross_entropy(m, nn_node_count(m) - 1);
#endif
  if (!built(m)) return m;
  nn_real *all = nn_parameters(m, NULL);
  CHECK_OK(nn_find_param(m, "see.weight", &w));
  for (size_t i = 0; i < w.count; i++) w.value[i] = 0;
  for (int k = 0; k < 18; k++)
    w.value[k / 9 * 72 + (top + k % 9 / 3) * 9 + left + k % 3] = 1;
  all[144] = 0;                              /* see.bias */
  all[145] = 0, all[146] = 1;                /* tell.weight */
  all[147] = 9, all[148] = 0;                /* tell.bias */
  return m;
}

static void occlusion_peaks_on_the_patch(void) {
  for (int keep = 0; keep < 2; keep++) {
#ifdef NN_NO_TRAINING
    if (!keep) continue; /* no loss to be had */
#endif
    nn_model *m = patch_net(4, 2, keep);
    nn_real image[144], p[6 * 7], sum[6 * 7];
    int32_t best[6 * 7];
    nn_occlusion_options o = {3, 1, NULL, 1, 3, 0};
    int h, w, worst = 0;
    for (int i = 0; i < 144; i++) image[i] = 1;
    CHECK_OK(nn_occlusion_size(m, &o, &h, &w));
    CHECK_INT(h, 6);
    CHECK_INT(w, 7);
    if (!keep) o.node = nn_output_node(m), o.map = 1;
    if (!CHECK_OK(nn_occlusion(m, image, &o, p, sum, best))) fprintf(stderr, "%s\n", nn_error(m));
    for (int i = 0; i < 42; i++) {
      const int dy = abs(i / 7 - 4), dx = abs(i % 7 - 2);
      const int seen = 18 - (dy < 3 && dx < 3 ? 2 * (3 - dy) * (3 - dx) : 0);
      CHECK_NEAR(sum[i], seen, 1e-6);
      CHECK_NEAR(p[i], 1 / (1 + exp(9. - seen)), 1e-6);
      CHECK_INT(best[i], seen > 9);
      if (p[i] < p[worst]) worst = i;
    }
    CHECK_INT(worst, 4 * 7 + 2);
    nn_destroy(m);
  }
}

/* The net that PyTorch was asked about, and a covered image put together by hand. */
static nn_model *lenet(int keep, int batch, int winograd) {
  nn_config c = test_config();
  c.batch = batch, c.keep_activations = keep, c.input_gradient = 1;
  c.direct_convolution = !winograd;
#ifdef NN_NO_TRAINING
  c.inference = 1;
#endif
  nn_model *m = nn_create(&c);
  int x = named(m, "conv1", nn_conv2d(m, nn_input_image(m, 2, 12, 12), 6, 5, 1, 2));
  x = nn_max_pool2d(m, named(m, "relu1", nn_relu(m, x)), 2, 2, 0);
  x = named(m, "relu2", nn_relu(m, named(m, "conv2", nn_conv2d(m, x, 8, 3, 1, 1))));
  x = nn_flatten(m, named(m, "pool2", nn_max_pool2d(m, x, 2, 2, 0)));
  x = nn_relu(m, named(m, "fc1", nn_linear(m, x, 20)));
  named(m, "fc2", nn_linear(m, x, 5));
  if (built(m)) set_parameters(m, "look_lenet");
  return m;
}

static int node_named(const nn_model *m, const char *name) {
  for (int i = 0; i < nn_node_count(m); i++) {
    nn_node_info f;
    if (nn_get_node(m, i, &f) == NN_OK && strcmp(f.name, name) == 0) return i;
  }
  return -1;
}

static void occlusion_is_pytorchs(void) {
  nn_model *m = lenet(1, 6, 0);
  nn_real image[288], p[25], sum[25], best[25], naive[25 * 5], y[8 * 36];
  int32_t answers[25];
  const nn_real fill[2] = {(nn_real).75, (nn_real).75};
  nn_occlusion_options o = {3, 2, fill, 1, 0, 3};
  o.node = node_named(m, "relu2");
  draw(image, 288, key_of("look_lenet", "x0", ""), 1, 0);
  CHECK_OK(nn_occlusion(m, image, &o, p, sum, answers));
  for (int i = 0; i < 25; i++) best[i] = (nn_real)answers[i];
  expect_near("look_lenet", "probability", "", p, 25, TOLERANCE);
  expect_near("look_lenet", "activity", "", sum, 25, TOLERANCE);
  expect_near("look_lenet", "predicted", "", best, 25, 1e-7);
  for (int i = 0; i < 25; i++) {
    nn_real covered[288], total = 0;
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = 1, b.x[0] = covered;
    memcpy(covered, image, sizeof covered);
    for (int k = 0; k < 18; k++)
      covered[k / 9 * 144 + (i / 5 * 2 + k % 9 / 3) * 12 + i % 5 * 2 + k % 3] = fill[k / 9];
    CHECK_OK(nn_predict(m, &b, &answers[0], naive + i * 5));
    CHECK_OK(nn_read(m, o.node, y));
    for (int k = 0; k < 36; k++) total += y[3 * 36 + k];
    CHECK_NEAR(p[i], naive[i * 5 + 1], 1e-6);
    CHECK_NEAR(sum[i], total, 1e-5);
    CHECK_INT((int)best[i], answers[0]);
  }
  nn_destroy(m);
}

/* A sequence is an image of one channel; an output that is a softmax is the probability. */
static void occlusion_of_a_sequence(void) {
  nn_config c = test_config();
  c.batch = 2, c.keep_activations = 1, c.inference = 1;
  nn_model *m = nn_create(&c);
  const nn_real x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6};
  nn_real p[2], sum[2];
  int32_t best[2];
  const nn_real fill[1] = {-1};
  nn_occlusion_options o = {3, 1, fill, 2, 0, 1};
  nn_softmax(m, nn_last_step(m, nn_input_sequence(m, 4, 3)));
  if (!built(m)) return;
  CHECK_OK(nn_occlusion(m, x, &o, p, sum, best)); /* steps 0..2, then 1..3 */
  CHECK_NEAR(p[0], 1 / (1 + exp(1.) + exp(2.)), 1e-6);
  CHECK_NEAR(p[1], 1. / 3, 1e-6);
  CHECK_NEAR(sum[0], -1 - 1 - 1 + 7, 1e-6);
  CHECK_NEAR(sum[1], 2 - 1 - 1 - 1, 1e-6);
  CHECK(best[0] == 0 && best[1] == 0);
  nn_destroy(m);
}

/* --------------------------------------- nothing changes ------------------------------------- */

/* Inspecting computes what inference does, also in inference models and with carried state. */
static void inspecting_computes_inference(void) {
  for (int seed = 0; seed < 150; seed++) {
    nn_model *m[2];
    nn_real *x = NULL, *first = NULL;
    size_t out = 0;
    nn_batch b;
    int fine = 1;
    for (int k = 0; k < 2; k++) {
      nn_config c = test_config();
      c.batch = SHOTS + 1, c.inference = seed % 3 == 0, c.keep_activations = seed % 2;
      m[k] = nn_create(&c);
      graph(m[k], seed);
      fine = built(m[k]) && fine;
    }
    if (!fine) return;
    out = SHOTS * node_size(m[0], nn_output_node(m[0]));
    x = test_reals(SHOTS * 2000), first = test_reals(out);
    b = fill_batch(m[0], SHOTS, x, (uint32_t)seed);
    for (int step = 0; step < 3; step++) { /* the second model is looked at between */
      CHECK_OK(nn_forward(m[0], &b, NN_INFERENCE));
      memcpy(first, nn_output(m[0]), out * sizeof *first);
      for (int k = 0; k < 2; k++) {
        CHECK_OK(nn_forward(m[1], &b, NN_INSPECTING));
        CHECK_SAME(nn_output(m[1]), first, out * sizeof *first);
      }
      b.n = 1;
      CHECK_OK(nn_forward(m[1], &b, NN_INSPECTING)); /* other counts leave the state, too */
      b.n = SHOTS;
      CHECK_OK(nn_forward(m[1], &b, NN_INFERENCE));
      CHECK_SAME(nn_output(m[1]), first, out * sizeof *first);
    }
    b.n = 1; /* carried state is another count's: both start from 0 */
    CHECK_OK(nn_forward(m[1], &b, NN_INSPECTING));
    CHECK_OK(nn_forward(m[0], &b, NN_INFERENCE));
    CHECK_SAME(nn_output(m[1]), nn_output(m[0]), out / SHOTS * sizeof *first);
    if (test_state.bad) fprintf(stderr, "  graph %d\n", seed);
    for (int k = 0; k < 2; k++) nn_destroy(m[k]);
    free(x);
    free(first);
    if (test_state.bad) return;
  }
}

#ifndef NN_NO_TRAINING

typedef struct saved {
  void *bytes;
  size_t size;
} saved;

static saved save(nn_model *m) {
  saved s;
  nn_progress p;
  memset(&p, 0, sizeof p);
  s.size = nn_save_size(m, &p);
  s.bytes = test_memory(s.size);
  CHECK_OK(nn_save_memory(m, &p, s.bytes, s.size));
  return s;
}

static void same_model(nn_model *a, nn_model *b) {
  saved p = save(a), q = save(b);
  if (CHECK_INT(p.size, q.size)) CHECK_SAME(p.bytes, q.bytes, p.size);
  free(p.bytes);
  free(q.bytes);
}

/* Everything there is to do with a model without training it. */
static nn_status look_at_batch(void *user, nn_model *m, const nn_batch *b, int first) {
  nn_moments s = {0, 0, 0, 0, 0, 0, 0};
  (void)user;
  (void)first;
  CHECK_OK(nn_observe(m, nn_output_node(m), &s, NULL, NULL));
  CHECK_OK(nn_loss(m, b, NULL, NULL));
  return nn_backward(m);
}

static void look_at(nn_model *m, const nn_dataset *d, const nn_batch *b) {
  nn_peak peaks[64];
  int64_t counts[16];
  nn_real *start = test_reals(4 * 200), p[64];
  nn_occlusion_options o = {2, 1, NULL, 1, 0, 0};
  CHECK_OK(nn_survey(m, d, look_at_batch, NULL));
  CHECK_OK(nn_confusion(m, d, counts));
  CHECK_OK(nn_peaks(m, d, nn_output_node(m), 3, peaks));
  CHECK_OK(nn_occlusion(m, d->values, &o, p, NULL, NULL));
  test_fill(start, 4 * 200, 5);
  for (int node = 0; node < nn_node_count(m) - 1; node++)
    for (int rule = 0; rule < 3; rule++) {
      CHECK_OK(nn_forward(m, b, NN_INSPECTING));
      if (!CHECK_OK(nn_project(m, node, start, (nn_rule)rule)))
        fprintf(stderr, "  %s\n", nn_error(m));
    }
  free(start);
}

/* A net with all that has a memory: batch norm, dropout, carried state, momentum. */
static nn_model *net_with_memory(int sequence) {
  nn_config c = test_config();
  nn_optimizer o = nn_adam(.01);
  nn_recurrent_options cell = {5, 2, .25, 0, 1, 0};
  c.batch = 4, c.input_gradient = 1;
  nn_model *m = nn_create(&c);
  int x = sequence ? nn_input_sequence(m, 4, 3) : nn_input_image(m, 2, 6, 5);
  if (sequence) {
    x = nn_layer_norm(m, nn_lstm_with(m, x, &cell));
    x = nn_last_step(m, nn_batch_norm(m, nn_gru_with(m, x, &cell)));
  } else {
    x = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, x, 3, 3, 1, 1)));
    x = nn_flatten(m, nn_dropout(m, x, .5));
  }
  nn_cross_entropy(m, nn_linear(m, nn_dropout(m, x, .25), 4));
  nn_set_optimizer(m, &o);
  return m;
}

static void inspecting_changes_no_bits(void) {
  for (int sequence = 0; sequence < 2; sequence++) {
    static nn_real values[SET * 60];
    int32_t labels[SET], batch_labels[4] = {0, 2, 1, 3};
    nn_real x[4 * 60];
    nn_dataset d = drawn_set(sequence, values, labels);
    nn_model *plain = net_with_memory(sequence), *seen = net_with_memory(sequence);
    if (!built(plain) || !built(seen)) return;
    nn_batch b = fill_batch(plain, 4, x, 9);
    b.labels = batch_labels;
    for (int step = 0; step < 4; step++) {
      saved before = save(seen), after;
      size_t count;
      nn_real *g = nn_gradients(seen, &count), *kept = test_reals(count);
      if (step == 2) { /* gradients that wait for their step */
        CHECK_OK(nn_forward(plain, &b, NN_TRAINING));
        CHECK_OK(nn_loss(plain, &b, NULL, NULL));
        CHECK_OK(nn_backward(plain));
        CHECK_OK(nn_forward(seen, &b, NN_TRAINING));
        CHECK_OK(nn_loss(seen, &b, NULL, NULL));
        CHECK_OK(nn_backward(seen));
        free(before.bytes);
        before = save(seen);
      }
      memcpy(kept, g, count * sizeof *g);
      look_at(seen, &d, &b);
      after = save(seen);
      if (CHECK_INT(before.size, after.size)) CHECK_SAME(before.bytes, after.bytes, after.size);
      CHECK_SAME(kept, g, count * sizeof *g);
      free(before.bytes);
      free(after.bytes);
      free(kept);
      CHECK_OK(nn_train(plain, &b, NULL, NULL));
      CHECK_OK(nn_train(seen, &b, NULL, NULL));
      same_model(plain, seen);
    }
    nn_destroy(plain);
    nn_destroy(seen);
  }
}

/* -------------------------------------- back to the inputs ----------------------------------- */

static const char *const rules[] = {"gradient ", "deconvnet ", "guided "};

static void project_from(nn_model *m, const char *net, const char *name, int rule, int n) {
  const int node = node_named(m, name);
  const size_t count = (size_t)n * node_size(m, node), inputs = (size_t)n * node_size(m, 0);
  nn_real *x = test_reals(inputs), *start = test_reals(count);
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = n, b.x[0] = x;
  draw(x, inputs, key_of(net, "x0", ""), 1, 0);
  draw(start, count, key_of(net, "start ", name), 1, 0);
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  if (!CHECK_OK(nn_project(m, node, start, (nn_rule)rule))) fprintf(stderr, "%s\n", nn_error(m));
  expect_near(net, rules[rule], name, nn_input_gradient(m, 0), inputs, TOLERANCE);
  free(x);
  free(start);
}

static void lenet_is_pytorchs(void) {
  static const char *const from[] = {"relu1", "conv2", "relu2", "pool2", "fc1", "fc2"};
  for (int keep = 0; keep < 2; keep++)
    for (int i = 0; i < 6; i++)
      for (int rule = 0; rule < 3; rule++) {
        /* the rectified value stands where a convolution's output was, unless they are kept */
        nn_model *m = lenet(keep, 4, 0);
        project_from(m, "look_lenet", from[i], rule, 3);
        nn_destroy(m);
      }
}

static nn_model *norm_net(int keep) {
  nn_config c = test_config();
  nn_conv2d_options o = {5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  c.batch = 4, c.keep_activations = keep, c.input_gradient = 1;
  nn_model *m = nn_create(&c);
  int x = named(m, "conv1", nn_conv2d_with(m, nn_input_image(m, 3, 9, 8), &o));
  x = nn_relu(m, named(m, "norm1", nn_batch_norm(m, x)));
  x = nn_max_pool2d(m, x, 3, 2, 1);
  int y = named(m, "conv2", nn_conv2d(m, x, 6, 3, 2, 1));
  y = named(m, "norm2", nn_batch_norm(m, y));
  x = named(m, "add", nn_add(m, y, named(m, "conv3", nn_conv2d(m, x, 6, 1, 2, 0))));
  x = nn_dropout(m, nn_global_avg_pool(m, nn_relu(m, x)), .5);
  named(m, "fc", nn_linear(m, x, 4));
  if (built(m)) set_parameters(m, "look_norm");
  return m;
}

static void batch_norm_is_pytorchs(void) {
  static const char *const from[] = {"norm1", "norm2", "add", "fc"};
  for (int keep = 0; keep < 2; keep++)
    for (int i = 0; i < 4; i++)
      for (int rule = 0; rule < 3; rule++) {
        nn_model *m = norm_net(keep);
        project_from(m, "look_norm", from[i], rule, 3);
        nn_destroy(m);
      }
}

static void gru_is_pytorchs(void) {
  static const char *const from[] = {"cell", "fc"};
  for (int i = 0; i < 2; i++) {
    nn_config c = test_config();
    nn_recurrent_options o = {7, 2, .25, 0, 0, 0};
    c.batch = 4, c.input_gradient = 1;
    nn_model *m = nn_create(&c);
    int x = named(m, "cell", nn_gru_with(m, nn_input_sequence(m, 6, 5), &o));
    named(m, "fc", nn_linear(m, nn_last_step(m, x), 4));
    if (built(m)) set_parameters(m, "look_gru");
    project_from(m, "look_gru", from[i], NN_RULE_GRADIENT, 3);
    nn_destroy(m);
  }
}

/* The filter [1 -2] over two rows, relu, maxima of 2x2, for the same image twice:
 *   1 3 1 1 1         -5  1 -1 -1         0 1 0 0
 *   4 1 0 1 2   conv:  2  1 -2 -3   relu: 2 1 0 0   maxima: 2 (from row 1, column 0), 0 (the first)
 * Only the deconvnet goes back through the place of the second maximum, which relu has cut off. */
static void a_deconvnet_known_by_hand(void) {
  const nn_real x[20] = {1, 3, 1, 1, 1, 4, 1, 0, 1, 2, 1, 3, 1, 1, 1, 4, 1, 0, 1, 2};
  const nn_real start[4] = {2, 3, -2, 3};
  const nn_real want[3][20] = {
      {0, 0, 0, 0, 0, 2, -4, 0, 0, 0, /**/ 0, 0, 0, 0, 0, -2, 4, 0, 0, 0},
      {0, 0, 3, -6, 0, 2, -4, 0, 0, 0, /**/ 0, 0, 3, -6, 0, 0, 0, 0, 0, 0},
      {0, 0, 0, 0, 0, 2, -4, 0, 0, 0, /**/ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
  const nn_conv2d_options o = {1, 1, 2, 1, 1, 0, 0, 1, 1, 1, 1};
  for (int rule = 0; rule < 3; rule++) {
    nn_config c = test_config();
    c.batch = 2, c.input_gradient = 1;
    nn_model *m = nn_create(&c);
    nn_batch b;
    int y = nn_relu(m, nn_conv2d_with(m, nn_input_image(m, 1, 2, 5), &o));
    y = nn_max_pool2d(m, y, 2, 2, 0);
    memset(&b, 0, sizeof b);
    b.n = 2, b.x[0] = x;
    if (!built(m)) return;
    nn_parameters(m, NULL)[0] = 1, nn_parameters(m, NULL)[1] = -2;
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    CHECK(nn_output(m)[0] == 2 && nn_output(m)[1] == 0);
    CHECK_OK(nn_project(m, y, start, (nn_rule)rule));
    CHECK_NEAR_ALL(nn_input_gradient(m, 0), want[rule], 20, 1e-6);
    nn_destroy(m);
  }
}

static int is_cell(const nn_node_info *f) {
  return !strcmp(f->kind, "rnn") || !strcmp(f->kind, "lstm") || !strcmp(f->kind, "gru");
}

static int input_node(const nn_model *m, int input) {
  nn_node_info f;
  int node = 0;
  while (nn_get_node(m, node, &f), f.inputs || input--) node++;
  return node;
}

/* From any node by any rule the same, whether arrays share memory or not, and from the output by
 * GRADIENT what training's backward gives, where training is not another function. */
static void every_node_of_random_graphs(void) {
  for (int seed = 0; seed < 120; seed++) {
    nn_model *m[2];
    nn_real *x = test_reals(SHOTS * 2000), *start = test_reals(SHOTS * 2000);
    nn_batch b;
    int inputs = 0, plain = 1, images = 0;
    for (int k = 0; k < 2; k++) {
      nn_config c = test_config();
      c.batch = SHOTS + k, c.input_gradient = 1, c.keep_activations = k;
      m[k] = nn_create(&c);
      graph(m[k], seed);
      if (!built(m[k])) return;
    }
    b = fill_batch(m[0], SHOTS, x, (uint32_t)seed);
    test_fill(start, SHOTS * 2000, 77);
    for (int node = 0; node < nn_node_count(m[0]); node++) {
      nn_node_info f;
      nn_get_node(m[0], node, &f);
      inputs += f.inputs == 0, images += f.inputs == 0 && strcmp(f.kind, "tokens") != 0;
      plain = plain && strncmp(f.kind, "dropout", 7) && strcmp(f.kind, "batch_norm") &&
              !(is_cell(&f) && f.dim[1] % 2); /* those have dropout between their layers */
    }
    for (int node = 0; node < nn_node_count(m[0]); node++)
      for (int rule = 0; rule < 3; rule++) {
        nn_status status[2];
        for (int k = 0; k < 2; k++) {
          CHECK_OK(nn_forward(m[k], &b, NN_INSPECTING));
          status[k] = nn_project(m[k], node, start, (nn_rule)rule);
        }
        CHECK_STATUS(status[0], status[1]);
        for (int i = 0; i < inputs && status[0] == NN_OK; i++) {
          const nn_real *p = nn_input_gradient(m[0], i), *q = nn_input_gradient(m[1], i);
          if (CHECK(!p == !q) && p)
            CHECK_SAME(p, q, SHOTS * node_size(m[0], input_node(m[0], i)) * sizeof *p);
        }
      }
    if (plain && images) {
      nn_real *dx[NN_MAX_INPUTS] = {NULL};
      size_t count[NN_MAX_INPUTS];
      nn_reset_state(m[0]);
      CHECK_OK(nn_forward(m[0], &b, NN_TRAINING));
      CHECK_OK(nn_backward_from(m[0], start));
      nn_reset_state(m[0]); /* what the training forward has carried on */
      for (int i = 0; i < inputs; i++) {
        count[i] = SHOTS * node_size(m[0], input_node(m[0], i));
        if (!nn_input_gradient(m[0], i)) continue;
        dx[i] = test_reals(count[i]);
        memcpy(dx[i], nn_input_gradient(m[0], i), count[i] * sizeof *x);
      }
      CHECK_OK(nn_forward(m[0], &b, NN_INSPECTING));
      CHECK_OK(nn_project(m[0], nn_output_node(m[0]), start, NN_RULE_GRADIENT));
      for (int i = 0; i < inputs; i++) {
        if (dx[i]) CHECK_SAME(nn_input_gradient(m[0], i), dx[i], count[i] * sizeof *x);
        free(dx[i]);
      }
    }
    if (test_state.bad) fprintf(stderr, "  graph %d\n", seed);
    for (int k = 0; k < 2; k++) nn_destroy(m[k]);
    free(x);
    free(start);
    if (test_state.bad) return;
  }
}

/* In double precision, along a random direction v: d/de of sum start y(x + e v) is dx v. */
static void derivatives_are_those_of_inference(void) {
  if (sizeof(nn_real) < 8) {
    SKIP("needs NN_REAL=double");
    return;
  }
  for (int seed = 0; seed < 300; seed++) {
    nn_config c = test_config();
    nn_real *x = test_reals(SHOTS * 2000), *v = test_reals(SHOTS * 2000);
    nn_real *start = test_reals(SHOTS * 2000);
    double sum[2] = {0, 0}, dot = 0;
    c.batch = SHOTS, c.input_gradient = 1;
    nn_model *m = nn_create(&c);
    const int output = graph(m, seed);
    if (!built(m)) return;
    const size_t out = SHOTS * node_size(m, output);
    nn_batch b = fill_batch(m, SHOTS, x, (uint32_t)seed);
    test_fill(v, SHOTS * 2000, (uint32_t)seed + 5);
    test_fill(start, out, (uint32_t)seed + 6);
    for (int step = 0; step < 3; step++) /* running statistics that are not the first ones */
      CHECK_OK(nn_forward(m, &b, NN_TRAINING));
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    CHECK_OK(nn_project(m, output, start, NN_RULE_GRADIENT));
    for (int i = 0; i < NN_MAX_INPUTS && b.x[i]; i++) {
      const size_t at = (size_t)(b.x[i] - x), count = SHOTS * node_size(m, input_node(m, i));
      const nn_real *dx = nn_input_gradient(m, i);
      for (size_t k = at; k < at + count; k++) {
        if (!dx) v[k] = 0; /* tokens */
        else dot += (double)(dx[k - at] * v[k]);
      }
    }
    for (int way = 0; way < 2; way++) {
      for (size_t k = 0; k < SHOTS * 2000; k++) x[k] += (nn_real)((way ? -2e-6 : 1e-6)) * v[k];
      CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
      const nn_real *y = nn_output(m);
      for (size_t k = 0; k < out; k++) sum[way] += (double)(y[k] * start[k]);
    }
    if (!CHECK_NEAR((sum[0] - sum[1]) / 2e-6, dot, 1e-5)) fprintf(stderr, "  graph %d\n", seed);
    nn_destroy(m);
    free(x), free(v), free(start);
  }
}

/* nn_backward after an inspecting forward is the loss's gradient at the inputs. */
static void the_loss_at_the_inputs(void) {
  nn_model *m = net_with_memory(0);
  nn_real x[4 * 60], dx[4 * 60], start[16] = {0}, p[16];
  int32_t labels[4] = {3, 1, 1, 0};
  nn_batch b;
  if (!built(m)) return;
  b = fill_batch(m, 4, x, 21);
  b.labels = labels;
  CHECK_OK(nn_predict(m, &b, NULL, p));
  for (int i = 0; i < 16; i++) start[i] = (p[i] - (nn_real)(labels[i / 4] == i % 4)) / 4;
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  CHECK_OK(nn_loss(m, &b, NULL, NULL));
  CHECK_OK(nn_backward(m));
  memcpy(dx, nn_input_gradient(m, 0), sizeof dx);
  CHECK_STATUS(nn_backward(m), NN_ERR_STATE);
  for (int way = 0; way < 2; way++) {
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    CHECK_OK(way ? nn_backward_from(m, start)
                 : nn_project(m, nn_output_node(m), start, NN_RULE_GRADIENT));
    CHECK_NEAR_ALL(nn_input_gradient(m, 0), dx, 4 * 60, 1e-6);
  }
  nn_destroy(m);
}

static void threads_change_no_bits(void) {
#ifdef NN_NO_THREADS
  SKIP("a build without threads");
#else
  nn_real *kept = NULL;
  static nn_real values[SET * 60];
  static nn_peak first[3 * 3], peaks[3 * 3];
  for (int threads = 1; threads < 5; threads++) {
    int32_t labels[SET];
    nn_dataset d = drawn_set(0, values, labels);
    nn_config c = test_config();
    nn_real x[4 * 60], start[4 * 90];
    c.batch = 4, c.threads = threads, c.input_gradient = c.keep_activations = 1;
    nn_model *m = nn_create(&c);
    int node = nn_relu(m, nn_conv2d(m, nn_input_image(m, 2, 6, 5), 3, 3, 1, 1));
    nn_linear(m, nn_flatten(m, node), 4);
    if (!built(m)) return;
    nn_batch b = fill_batch(m, 4, x, 2);
    test_fill(start, 4 * 90, 6);
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    CHECK_OK(nn_project(m, node, start, NN_RULE_GUIDED));
    if (!kept) {
      kept = test_reals(4 * 60);
      memcpy(kept, nn_input_gradient(m, 0), 4 * 60 * sizeof *kept);
    }
    CHECK_SAME(kept, nn_input_gradient(m, 0), 4 * 60 * sizeof *kept);
    CHECK_OK(nn_peaks(m, &d, node, 3, peaks));
    if (threads == 1) memcpy(first, peaks, sizeof first);
    for (int i = 0; i < 9; i++)
      CHECK(peaks[i].sample == first[i].sample && peaks[i].value == first[i].value);
    nn_destroy(m);
  }
  free(kept);
#endif
}
#endif

/* ---------------------------------------- bad arguments -------------------------------------- */

static void bad_statistics(void) {
  nn_moments s = {0, 0, 0, 0, 0, 0, 0};
  nn_histogram h, other;
  const nn_real x = 1;
  CHECK_STATUS(nn_moments_add(NULL, &x, 1), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_moments_add(&s, NULL, 1), NN_ERR_ARGUMENT);
  CHECK_OK(nn_moments_add(&s, NULL, 0));
  CHECK_STATUS(nn_moments_merge(&s, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_moments_merge(NULL, &s), NN_ERR_ARGUMENT);
  {
    nn_moments one, many, before;
    int64_t *const counts[] = {&many.count, &many.zeros, &many.not_finite};
    size_t i;
    for (i = 0; i < COUNT(counts); i++) {
      memset(&many, 0, sizeof many), memset(&one, 0, sizeof one);
      one.count = one.zeros = one.not_finite = 1;
      before = one;
      *counts[i] = INT64_MAX;
      CHECK_STATUS(nn_moments_merge(&one, &many), NN_ERR_ARGUMENT);
      CHECK_STATUS(nn_moments_merge(&many, &one), NN_ERR_ARGUMENT);
      *counts[i] = -1;
      CHECK_STATUS(nn_moments_merge(&one, &many), NN_ERR_ARGUMENT);
      CHECK_SAME(&one, &before, sizeof one);
    }
    memset(&many, 0, sizeof many), many.count = INT64_MAX;
    CHECK_STATUS(nn_moments_add(&many, &x, 1), NN_ERR_ARGUMENT);
  }
  CHECK(nn_moments_deviation(NULL) == 0);
  memset(&h, 0, sizeof h);
  CHECK_STATUS(nn_histogram_add(&h, &x, 1), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_range(NULL, 0, 1), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_range(&h, 1, 1), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_range(&h, 0, NAN), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_range(&h, 0, INFINITY), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_range(&h, -1.7e308, 1.7e308), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_range(&h, 0, 1e-308), NN_ERR_ARGUMENT); /* 1/width is infinite */
  CHECK_OK(nn_histogram_range(&h, 0, 1));
  CHECK_STATUS(nn_histogram_add(NULL, &x, 1), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_add(&h, NULL, 1), NN_ERR_ARGUMENT);
  CHECK_OK(nn_histogram_range(&other, 0, 2));
  CHECK_STATUS(nn_histogram_merge(&h, &other), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_merge(&h, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_histogram_merge(NULL, &h), NN_ERR_ARGUMENT);
  {
    int64_t *const counts[] = {&other.bin[0], &other.bin[NN_HISTOGRAM_BINS - 1], &other.below,
                               &other.above, &other.nans};
    nn_histogram before;
    size_t i;
    for (i = 0; i < COUNT(counts); i++) {
      CHECK_OK(nn_histogram_range(&h, 0, 1));
      h.bin[0] = h.bin[NN_HISTOGRAM_BINS - 1] = h.below = h.above = h.nans = 1;
      CHECK_OK(nn_histogram_range(&other, 0, 1));
      before = h;
      *counts[i] = INT64_MAX;
      CHECK_STATUS(nn_histogram_merge(&h, &other), NN_ERR_ARGUMENT);
      *counts[i] = -1;
      CHECK_STATUS(nn_histogram_merge(&h, &other), NN_ERR_ARGUMENT);
      CHECK_SAME(&h, &before, sizeof h);
    }
  }
}

#define REFUSES(m, call, status, sentence) \
  (void)(CHECK_STATUS(call, status) && CHECK_HAS(nn_error(m), sentence))

static void bad_looks(void) {
  static nn_real values[SET * 60];
  int32_t labels[SET], label = 4;
  int64_t counts[16] = {0};
  nn_real x[SHOTS * 60];
  nn_peak peaks[64];
  nn_histogram h;
  nn_dataset d = drawn_set(0, values, labels), unlabelled = d, small = d, empty = d;
  nn_config c = test_config();
  nn_model *m = shapes_net(0, SHOTS), *bare;
  const int out = 6;
  unlabelled.labels = NULL, small.height = 5, empty.count = 0;
  memset(&h, 0, sizeof h);
  CHECK_STATUS(nn_observe(NULL, 0, NULL, NULL, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_peaks_add(NULL, 0, 0, 1, peaks), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_peaks(NULL, &d, 0, 1, peaks), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_confusion_add(NULL, labels, counts), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_confusion(NULL, &d, counts), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_survey(NULL, &d, NULL, NULL), NN_ERR_ARGUMENT);
  if (!built(m)) return;
  CHECK_INT(nn_output_node(m), out);
  REFUSES(m, nn_observe(m, out, NULL, NULL, NULL), NN_ERR_STATE, "no forward");
  REFUSES(m, nn_peaks_add(m, out, 0, 1, peaks), NN_ERR_STATE, "no forward");
  REFUSES(m, nn_confusion_add(m, labels, counts), NN_ERR_STATE, "no forward");
  nn_batch b = fill_batch(m, SHOTS, x, 3);
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  REFUSES(m, nn_observe(m, -1, NULL, NULL, NULL), NN_ERR_ARGUMENT, "no node -1");
  REFUSES(m, nn_observe(m, 7, NULL, NULL, NULL), NN_ERR_ARGUMENT, "no node 7");
  REFUSES(m, nn_observe(m, out, NULL, &h, NULL), NN_ERR_ARGUMENT, "range");
  REFUSES(m, nn_peaks_add(m, out, 0, 0, peaks), NN_ERR_ARGUMENT, "0 a map");
  REFUSES(m, nn_peaks_add(m, out, -1, 1, peaks), NN_ERR_ARGUMENT, "first -1");
  REFUSES(m, nn_peaks_add(m, out, 2147483647, 1, peaks), NN_ERR_ARGUMENT, "2147483647");
  REFUSES(m, nn_peaks_add(m, out, 0, 1, NULL), NN_ERR_ARGUMENT, "nowhere");
  REFUSES(m, nn_peaks(m, &d, out, 0, peaks), NN_ERR_ARGUMENT, "0 a map");
  REFUSES(m, nn_peaks(m, &d, out, 1, NULL), NN_ERR_ARGUMENT, "nowhere");
  REFUSES(m, nn_peaks(m, &d, 9, 1, peaks), NN_ERR_ARGUMENT, "no node 9");
  REFUSES(m, nn_peaks(m, &small, out, 1, peaks), NN_ERR_SHAPE, "5x5");
  REFUSES(m, nn_peaks(m, &empty, out, 1, peaks), NN_ERR_ARGUMENT, "empty");
  REFUSES(m, nn_peaks(m, NULL, out, 1, peaks), NN_ERR_ARGUMENT, "empty");
  CHECK_OK(nn_peaks(m, &unlabelled, out, 1, peaks));
  REFUSES(m, nn_survey(m, &d, NULL, NULL), NN_ERR_ARGUMENT, "nothing to call");
  REFUSES(m, nn_confusion(m, &unlabelled, counts), NN_ERR_ARGUMENT, "no labels");
  REFUSES(m, nn_confusion(m, &d, NULL), NN_ERR_ARGUMENT, "no counts");
  REFUSES(m, nn_confusion_add(m, NULL, counts), NN_ERR_ARGUMENT, "no labels");
  b.n = 1;
  CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
  REFUSES(m, nn_confusion_add(m, &label, counts), NN_ERR_ARGUMENT, "label 4");
  d.label_size = 2;
  REFUSES(m, nn_confusion(m, &d, counts), NN_ERR_SHAPE, "2 label(s)");
  nn_destroy(m);

  c.batch = 2; /* nothing is kept, and there is no place for a batch */
  bare = nn_create(&c);
  nn_linear(bare, nn_relu(bare, nn_linear(bare, nn_input_vector(bare, 60), 5)), 4);
  if (!built(bare)) return;
  b.n = 2;
  CHECK_OK(nn_forward(bare, &b, NN_INSPECTING));
  CHECK_OK(nn_observe(bare, 3, NULL, NULL, NULL));
  REFUSES(bare, nn_observe(bare, 2, NULL, NULL, NULL), NN_ERR_STATE, "keep_activations");
  REFUSES(bare, nn_peaks_add(bare, 2, 0, 1, peaks), NN_ERR_STATE, "keep_activations");
  d.label_size = 0;
  REFUSES(bare, nn_confusion(bare, &d, counts), NN_ERR_STATE, "keep_activations");
  nn_destroy(bare);
}

/* Nothing works before the build, or without a model. */
static void unbuilt(void) {
  for (int what = 0; what < 6; what++) {
    nn_real x[144] = {0};
    int32_t labels[1] = {0};
    int64_t counts[4];
    nn_peak peaks[4];
    nn_occlusion_options o = {3, 1, NULL, 1, 3, 0};
    nn_dataset d = nn_dataset_pixels((const uint8_t *)"", labels, 1, 1, 1, 1);
    nn_config c = test_config();
    c.keep_activations = 1;
    nn_model *m = nn_create(&c);
    nn_linear(m, nn_input_vector(m, 60), 2);
    CHECK_STATUS(what == 0   ? nn_observe(m, 1, NULL, NULL, NULL)
                 : what == 1 ? nn_peaks(m, &d, 1, 1, peaks)
                 : what == 2 ? nn_peaks_add(m, 1, 0, 1, peaks)
                 : what == 3 ? nn_confusion(m, &d, counts)
                 : what == 4 ? nn_confusion_add(m, labels, counts)
                             : nn_occlusion(m, x, &o, x, NULL, NULL),
                 NN_ERR_STATE);
    CHECK(nn_error(m)[0]);
    nn_destroy(m);
  }
}

static void bad_occlusions(void) {
  nn_model *m = patch_net(0, 0, 1);
  nn_real image[144] = {0}, p[42];
  int32_t best[42];
  int h, w;
  const nn_occlusion_options fine = {3, 1, NULL, 1, 3, 0};
  nn_occlusion_options o = fine;
  CHECK_STATUS(nn_occlusion(NULL, image, &o, p, NULL, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_occlusion_size(NULL, &o, &h, &w), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_occlusion_size(m, &o, NULL, &w), NN_ERR_ARGUMENT);
  REFUSES(m, nn_occlusion(m, image, NULL, p, NULL, NULL), NN_ERR_ARGUMENT, "side 0");
  REFUSES(m, nn_occlusion(m, NULL, &o, p, NULL, NULL), NN_ERR_ARGUMENT, "no image");
  o.side = 9;
  REFUSES(m, nn_occlusion(m, image, &o, p, NULL, NULL), NN_ERR_ARGUMENT, "must be 1..8");
  o = fine, o.stride = 0;
  REFUSES(m, nn_occlusion(m, image, &o, p, NULL, NULL), NN_ERR_ARGUMENT, "stride 0");
  o = fine, o.label = 2;
  REFUSES(m, nn_occlusion(m, image, &o, p, NULL, NULL), NN_ERR_ARGUMENT, "label 2");
  CHECK_OK(nn_occlusion(m, image, &o, NULL, p, best));
  o = fine, o.node = 99;
  REFUSES(m, nn_occlusion(m, image, &o, p, p, NULL), NN_ERR_ARGUMENT, "no node 99");
  CHECK_OK(nn_occlusion(m, image, &o, p, NULL, NULL));
  o = fine, o.map = 1;
  REFUSES(m, nn_occlusion(m, image, &o, p, p, NULL), NN_ERR_ARGUMENT, "no map 1");
  nn_destroy(m);
  nn_config c = test_config();
  c.keep_activations = 1;
  m = nn_create(&c);
  nn_relu(m, nn_conv2d(m, nn_input_image(m, 1, 8, 9), 2, 3, 1, 1));
  o = fine, o.node = 1;
  if (!built(m)) return;
  REFUSES(m, nn_occlusion(m, image, &o, p, NULL, NULL), NN_ERR_SHAPE, "not a vector");
  CHECK_OK(nn_occlusion(m, image, &o, NULL, p, NULL));
  nn_destroy(m);
  m = nn_create(&c);
  nn_linear(m, nn_input_vector(m, 72), 2);
  if (!built(m)) return;
  REFUSES(m, nn_occlusion(m, image, &fine, p, NULL, NULL), NN_ERR_SHAPE, "neither");
  nn_destroy(m);
}

#ifndef NN_NO_TRAINING
static void bad_projections(void) {
  nn_real x[6] = {1, 2, 3, 0, 1, 1}, start[8] = {1};
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 1, b.x[0] = x, b.x[1] = x + 3;
  for (int sort = 0; sort < 3; sort++) { /* an inference model, no input gradient, fine */
    nn_config c = test_config();
    c.inference = sort == 0, c.input_gradient = sort != 1;
    nn_model *m = nn_create(&c);
    int v = nn_linear(m, nn_input_vector(m, 3), 2);
    int t = nn_input_tokens(m, 3), e = nn_last_step(m, nn_embedding(m, t, 2, 2));
    int y = nn_add(m, v, e);
    nn_mean_squared_error(m, y);
    if (!built(m)) return;
    if (sort == 2) REFUSES(m, nn_project(m, y, start, 0), NN_ERR_STATE, "NN_INSPECTING");
    CHECK_STATUS(nn_project(NULL, y, start, NN_RULE_GRADIENT), NN_ERR_ARGUMENT);
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    if (sort < 2) {
      REFUSES(m, nn_project(m, y, start, NN_RULE_GRADIENT), NN_ERR_STATE,
              sort ? "input_gradient" : "inference model");
      CHECK(!nn_input_gradient(m, 0));
      if (!sort) REFUSES(m, nn_backward_from(m, start), NN_ERR_STATE, "backward");
    } else {
      REFUSES(m, nn_project(m, y, NULL, NN_RULE_GRADIENT), NN_ERR_ARGUMENT, "no start");
      REFUSES(m, nn_project(m, y, start, (nn_rule)3), NN_ERR_ARGUMENT, "no rule 3");
      REFUSES(m, nn_project(m, 7, start, NN_RULE_GUIDED), NN_ERR_ARGUMENT, "no node 7");
      REFUSES(m, nn_project(m, 6, start, NN_RULE_GUIDED), NN_ERR_STATE, "squared_error1");
      REFUSES(m, nn_project(m, t, start, NN_RULE_GUIDED), NN_ERR_STATE, "tokens");
      CHECK_OK(nn_project(m, e, start, NN_RULE_GUIDED));
      CHECK(nn_input_gradient(m, 0) && nn_input_gradient(m, 0)[0] == 0); /* not on this way */
      CHECK(!nn_input_gradient(m, 1));
      REFUSES(m, nn_project(m, y, start, NN_RULE_GRADIENT), NN_ERR_STATE, "NN_INSPECTING");
      CHECK_OK(nn_forward(m, &b, NN_TRAINING));
      REFUSES(m, nn_project(m, y, start, NN_RULE_GRADIENT), NN_ERR_STATE, "NN_INSPECTING");
      CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
      CHECK_OK(nn_project(m, 0, start, NN_RULE_GRADIENT)); /* an input: as it was given */
      CHECK_SAME(nn_input_gradient(m, 0), start, 3 * sizeof *start);
    }
    nn_destroy(m);
  }
}
#endif

int main(void) {
  load_goldens("inspect.bin");
  RUN(moments_are_numpys);
  RUN(moments_merged_are_those_of_one_pass);
  RUN(moments_leave_out_what_is_not_finite);
  RUN(histogram_is_numpys);
  RUN(histogram_at_its_edges);
  RUN(observations_are_naive_ones);
  RUN(peaks_are_naive_ones);
  RUN(fewer_samples_than_peaks);
  RUN(confusion_is_a_naive_one);
  RUN(confusion_of_steps);
#ifndef NN_NO_TRAINING
  RUN(confusion_of_too_few_labels);
#endif
  RUN(a_survey_sees_every_sample_and_can_stop);
  RUN(receptive_fields);
  RUN(fields_of_all);
  RUN(fields_of_other_inputs);
  RUN(occlusion_peaks_on_the_patch);
  RUN(occlusion_is_pytorchs);
  RUN(occlusion_of_a_sequence);
  RUN(inspecting_computes_inference);
  RUN(bad_statistics);
  RUN(bad_looks);
  RUN(unbuilt);
  RUN(bad_occlusions);
#ifndef NN_NO_TRAINING
  RUN(inspecting_changes_no_bits);
  RUN(lenet_is_pytorchs);
  RUN(batch_norm_is_pytorchs);
  RUN(gru_is_pytorchs);
  RUN(a_deconvnet_known_by_hand);
  RUN(every_node_of_random_graphs);
  RUN(derivatives_are_those_of_inference);
  RUN(the_loss_at_the_inputs);
  RUN(threads_change_no_bits);
  RUN(bad_projections);
  RUN(every_record);
#endif
  free_goldens();
  return test_end("inspect");
}
#endif
