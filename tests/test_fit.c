/* nn_fit over a long run: checkpoints and what goes on from them, validation, samples from a
 * callback, data sets that are parts of others. */
#if !defined _WIN32 && !defined _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* mkfifo */
#endif
#include "graphs.h"

#ifndef _WIN32
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#ifdef NN_NO_TRAINING
static void training(void) { SKIP("built without training"); }
int main(void) {
  RUN(training);
  return test_end("fit");
}
#else

/* ------------------------------------------------------------------------ nets and samples --- */

enum { SAMPLES = 50, FEATURES = 6, STEPS = 5, CLASSES = 3, BATCH = 8, PER_EPOCH = 7 };
enum { CLASSIFIER, SEQUENCES, VALUES, KINDS, TUNED = KINDS }; /* TUNED: values, to be validated */

static struct {
  uint8_t pixels[SAMPLES * STEPS * FEATURES];
  nn_real values[SAMPLES * STEPS * FEATURES], targets[SAMPLES * 2];
  int32_t labels[SAMPLES], lengths[SAMPLES];
} data;

static void fill_data(void) {
  test_fill(data.values, COUNT(data.values), 7);
  for (int i = 0; i < (int)COUNT(data.pixels); i++) data.pixels[i] = (uint8_t)(i * i * 29 + i / 5);
  for (int i = 0; i < SAMPLES; i++) {
    const nn_real *x = data.values + i * FEATURES;
    data.labels[i] = x[0] + x[1] > (nn_real).3 ? 0 : x[2] > 0 ? 1 : 2;
    data.lengths[i] = 1 + i % STEPS;
    data.targets[2 * i] = x[0] * x[1], data.targets[2 * i + 1] = x[2];
  }
}

/* As arrays; CLASSIFIER: vectors, SEQUENCES: of several lengths, VALUES: vectors and targets. */
static nn_dataset arrays(int kind) {
  nn_dataset d;
  memset(&d, 0, sizeof d);
  d.count = SAMPLES, d.channels = 1, d.height = kind == SEQUENCES ? STEPS : 1, d.width = FEATURES;
  d.values = data.values;
  d.label_size = 1, d.target_size = 2;
  if (kind >= VALUES) d.targets = data.targets;
  else d.labels = data.labels;
  if (kind == SEQUENCES) d.lengths = data.lengths;
  return d;
}

static void describe(nn_model *m, int kind) {
  nn_optimizer adam = nn_adam(2e-2);
  int x = kind == SEQUENCES ? nn_last_step(m, nn_gru(m, nn_input_sequence(m, STEPS, FEATURES), 6))
                            : nn_relu(m, nn_linear(m, nn_input_vector(m, FEATURES), 9));
  x = nn_dropout(m, kind == CLASSIFIER ? nn_batch_norm(m, x) : x, .2);
  if (kind >= VALUES) nn_mean_squared_error(m, nn_linear(m, x, 2));
  else nn_cross_entropy(m, nn_linear(m, x, CLASSES));
  if (kind == SEQUENCES) { /* all that an optimizer may keep */
    adam.amsgrad = 1, adam.average = .75;
    adam.schedule.kind = NN_ONE_CYCLE, adam.schedule.total = 12;
    adam.schedule.momentum_low = .5, adam.schedule.momentum_high = .9;
  } else if (kind == TUNED) {
    adam = nn_sgd(.1, .5), adam.average = .5;
    adam.schedule.kind = NN_PLATEAU, adam.schedule.gamma = .5, adam.schedule.period = 1;
    adam.schedule.threshold = .25;
  }
  nn_set_optimizer(m, &adam);
}

static nn_config config(void) {
  nn_config c = test_config();
  c.batch = BATCH;
  return c;
}

static nn_model *fresh(int kind) {
  const nn_config c = config();
  nn_model *m = nn_create(&c);
  describe(m, kind);
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  return m;
}

static uint32_t bits_of(nn_model *m) {
  uint32_t crc = 0;
  nn_param p;
  for (int i = 0; i < nn_param_count(m) && nn_get_param(m, i, &p) == NN_OK; i++)
    crc = nn_crc32(crc, p.value, p.count * sizeof *p.value);
  return crc;
}

/* What callbacks saw, and when they stop. */
typedef struct Seen {
  int64_t stop_at, saved[40], validated[40];
  int saves, validations, steps;
  double time, loss[40];
} Seen;
static TEST_UNUSED int stops(void *user, nn_model *m, const nn_progress *p,
                             const nn_evaluation *step) {
  Seen *s = (Seen *)user;
  (void)m, (void)step;
  s->steps++;
  return p->step == s->stop_at;
}
static TEST_UNUSED int on_save(void *user, nn_model *m, const nn_progress *p) {
  Seen *s = (Seen *)user;
  CHECK_OK(nn_set_note(m, "data", "saved"));
  if (s->saves < (int)COUNT(s->saved)) s->saved[s->saves++] = p->step;
  return 0;
}
static int on_validation(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *e) {
  Seen *s = (Seen *)user;
  (void)m;
  CHECK_INT(p->validated, p->step);
  CHECK(p->not_better > 0 || (p->best_step == p->step && p->best_loss == e->loss));
  s->loss[s->validations] = e->loss;
  if (s->validations < (int)COUNT(s->validated)) s->validated[s->validations++] = p->step;
  return 0;
}
static double one_second_on(void *user) { return (((Seen *)user)->time += 1); }

/* ------------------------------------------------------------------------- files that are kept */

#ifndef NN_NO_STDIO
static char path[64], previous[80], fresh_one[80], damaged[80], best[80];
static void name_files(void) {
  sprintf(path, "test_fit.%p", (void *)&data);
  sprintf(previous, "%s.previous", path), sprintf(fresh_one, "%s.tmp", path);
  sprintf(damaged, "%s.damaged", path), sprintf(best, "%s.best", path);
}
static void remove_files(void) {
  remove(path), remove(previous), remove(fresh_one), remove(damaged), remove(best);
}

/* The bytes of a file, size 0 where there is none; the caller frees them. */
static Bytes bytes_in(const char *name) {
  nn_array a;
  Bytes b = {NULL, 0};
  if (nn_file_read(name, SIZE_MAX, test_filling(), &a, NULL) != NN_OK) return b;
  b.size = a.count;
  b.at = (unsigned char *)test_memory(b.size);
  memcpy(b.at, a.data, b.size);
  nn_array_free(&a);
  return b;
}
static uint32_t crc_in(const char *name) {
  Bytes b = bytes_in(name);
  const uint32_t crc = nn_crc32((uint32_t)b.size, b.at, b.size);
  free(b.at);
  return crc;
}
static int is_there(const char *name) {
  FILE *f = fopen(name, "rb");
  if (f) fclose(f);
  return f != NULL;
}
/* The step of a checkpoint; -1: no whole one. */
static long step_in(const char *name) {
  const nn_config c = config();
  nn_load_result r;
  long step;
  if (nn_load(name, &c, &r, NULL) != NN_OK) return -1;
  step = r.is_checkpoint ? (long)r.progress.step : -2;
  nn_destroy(r.model);
  return step;
}
/* Changes a byte in the middle, or cuts the file off there. */
static void damage(const char *name, int cut) {
  Bytes b = bytes_in(name);
  b.at[b.size / 2] ^= 64;
  CHECK_OK(nn_file_write(name, b.at, cut ? b.size / 2 : b.size, NULL));
  free(b.at);
}

static void checkpoints(void) {
  static const struct {
    int64_t steps, epochs, every;
    double seconds;
    int64_t stop_at, saved[8];
  } cases[] = {
      {10, 0, 3, 0, 0, {3, 6, 9, 10}},         {9, 0, 3, 0, 0, {3, 6, 9}},
      {100, 0, 3, 0, 8, {3, 6, 8}},            {0, 2, 0, 0, 0, {7, 14}},
      {10, 0, 0, 4, 0, {4, 8, 10}},            {10, 0, 5, 3, 0, {3, 5, 8, 10}},
      {1, 0, 1, 0, 0, {1}},
  };
  const nn_dataset d = arrays(CLASSIFIER);
  for (size_t i = 0; i < COUNT(cases); i++) {
    nn_model *m = fresh(CLASSIFIER);
    nn_fit_options o = nn_fit_default();
    nn_progress p;
    Seen s;
    int want = 0;
    memset(&p, 0, sizeof p), memset(&s, 0, sizeof s);
    s.stop_at = cases[i].stop_at;
    o.epochs = cases[i].epochs, o.steps = cases[i].steps, o.progress = &p, o.user = &s;
    o.path = path, o.save_every = cases[i].every, o.save_seconds = cases[i].seconds;
    o.clock = one_second_on, o.on_step = stops, o.on_save = on_save;
    CHECK_STATUS(nn_fit(m, &d, &o), s.stop_at ? NN_STOPPED : NN_OK);
    for (int k = 0; k < 8 && cases[i].saved[k]; k++, want++)
      if (!CHECK_INT(s.saved[k], cases[i].saved[k])) fprintf(stderr, "    case %d\n", (int)i);
    CHECK_INT(s.saves, want);
    CHECK_INT(step_in(path), p.step);
    CHECK_INT(step_in(previous), want > 1 ? cases[i].saved[want - 2] : -1);
    CHECK(!is_there(fresh_one));
    Bytes kept = bytes_in(path), own = test_saved(m, &p);
    CHECK(kept.size == own.size && !memcmp(kept.at, own.at, own.size));
    free(kept.at), free(own.at);
    if (s.stop_at == 0) { /* what is done is not done again */
      const int saves = s.saves;
      const uint32_t before = crc_in(previous);
      CHECK_OK(nn_fit(m, &d, &o));
      CHECK(s.saves == saves && crc_in(previous) == before);
    }
    nn_destroy(m);
    remove_files();
  }
}

/* The whole of a run's options: two files, validation, early stopping. */
static nn_fit_options run_of(const nn_dataset *validation, nn_progress *p, Seen *s) {
  nn_fit_options o = nn_fit_default();
  memset(s, 0, sizeof *s);
  o.epochs = 0, o.steps = 24, o.progress = p, o.augment.flip = 1;
  o.path = path, o.save_every = 3, o.best_path = best;
  o.validation = validation, o.validate_every = 4, o.patience = 4;
  o.on_step = stops, o.on_validation = on_validation, o.user = s;
  return o;
}

/* What the run that nothing happens to ends with. */
typedef struct End {
  uint32_t bits, best, average;
  double rate;
  nn_progress p;
} End;
static End end_of(nn_model *m, const nn_progress *p) {
  End e;
  nn_optimizer o;
  memset(&e, 0, sizeof e);
  e.bits = bits_of(m), e.best = crc_in(best), e.p = *p, e.rate = nn_rate(m);
  CHECK_OK(nn_get_optimizer(m, &o));
  if (!(o.average > 0)) return e;
  CHECK_OK(nn_swap_average(m));
  e.average = bits_of(m);
  CHECK(e.average != e.bits);
  CHECK_OK(nn_swap_average(m));
  CHECK(bits_of(m) == e.bits);
  return e;
}
static void same_end(const End *want, nn_model *m, const nn_progress *p) {
  const End e = end_of(m, p);
  CHECK(e.bits == want->bits && e.best == want->best && e.average == want->average);
  CHECK_NEAR(e.rate, want->rate, 0);
  CHECK_SAME(&e.p, &want->p, sizeof e.p);
}

/* Goes on from what nn_resume finds, or from the start, to the end. */
static void go_on(int kind, const nn_dataset *d, const nn_dataset *validation, const End *want,
                  nn_status found, int before) {
  const nn_config c = config();
  nn_load_result r;
  nn_message why;
  Seen s;
  nn_model *m;
  const nn_status status = nn_resume(path, &c, &r, &why);
  if (!CHECK_STATUS(status, found)) fprintf(stderr, "    %s\n", why.text);
  CHECK_INT(r.previous, before);
  CHECK((status == NN_OK) == (r.model != NULL));
  CHECK((status == NN_OK && !before) == (why.text[0] == 0));
  m = r.model ? r.model : fresh(kind);
  const nn_fit_options o = run_of(validation, &r.progress, &s);
  CHECK_OK(nn_fit(m, d, &o));
  same_end(want, m, &r.progress);
  CHECK_INT(step_in(path), want->p.step);
  nn_destroy(m);
}

/* Stopped at any step and gone on with, from the last checkpoint or from the one before: the same
 * bits, best model and count of validations as the run that nothing happens to. */
static void goes_on(void) {
  for (int kind = 0; kind <= TUNED; kind++) {
    static int32_t index[SAMPLES];
    const nn_dataset d = arrays(kind);
    nn_dataset train, validation;
    nn_progress p;
    Seen s;
    nn_model *m = fresh(kind);
    CHECK_OK(nn_dataset_split(&d, .3, 5, index, &train, &validation));
    memset(&p, 0, sizeof p);
    nn_fit_options o = run_of(&validation, &p, &s);
    CHECK_OK(nn_fit(m, &train, &o));
    CHECK(p.best_step > 0 && s.validations > 1);
    const End want = end_of(m, &p);
    if (kind == TUNED) CHECK(want.rate < .1 && want.rate > 0); /* it has met a plateau */
    nn_destroy(m);
    for (int stop = 1; stop < p.step; stop++)
      for (int how = 0; how < 4; how++) { /* stopped; the last damaged, cut off, missing */
        nn_progress part;
        if ((stop + how + kind) % 3) continue; /* a third of them, for each waits for the disk */
        remove_files();
        memset(&part, 0, sizeof part);
        o = run_of(&validation, &part, &s);
        s.stop_at = stop;
        m = fresh(kind);
        CHECK_STATUS(nn_fit(m, &train, &o), NN_STOPPED);
        nn_destroy(m);
        CHECK_INT(step_in(path), stop);
        const int two = is_there(previous);
        CHECK_INT(two, stop > 3);
        const long older = two ? step_in(previous) : -1;
        if (how == 1 || how == 2) damage(path, how == 2);
        if (how == 3) remove(path);
        if (how && how < 3 && !two) continue; /* see nothing_whole */
        go_on(kind, &train, &validation, &want, how && !two ? NN_ABSENT : NN_OK, how && two);
        CHECK_INT(is_there(damaged), how == 1 || how == 2);
        if (older >= 0 && how) CHECK(step_in(previous) >= older);
      }
    remove_files();
  }
}

/* Six steps, of which the last and the third are kept. */
static void two_checkpoints(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  nn_fit_options o = nn_fit_default();
  nn_model *m = fresh(CLASSIFIER);
  o.epochs = 0, o.steps = 6, o.save_every = 3, o.path = path;
  CHECK_OK(nn_fit(m, &d, &o));
  nn_destroy(m);
}

/* A damaged checkpoint never takes the place of the whole one before it. */
static void damage_is_put_aside(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  const nn_config c = config();
  nn_fit_options o = nn_fit_default();
  nn_load_result r;
  nn_message why;
  two_checkpoints();
  damage(path, 0);
  const uint32_t bad = crc_in(path), whole = crc_in(previous);
  for (int twice = 0; twice < 2; twice++) {
    CHECK_OK(nn_resume(path, &c, &r, &why));
    CHECK(r.previous == 1 && r.progress.step == 3);
    CHECK_HAS(why.text, twice ? "cannot open" : "CRC-32");
    CHECK_HAS(why.text, path);
    CHECK(!is_there(path) && crc_in(damaged) == bad && crc_in(previous) == whole);
    if (!twice) nn_destroy(r.model);
  }
  o.epochs = 0, o.steps = 4, o.path = path, o.progress = &r.progress;
  CHECK_OK(nn_fit(r.model, &d, &o));
  CHECK(step_in(path) == 4 && crc_in(previous) == whole);
  nn_destroy(r.model);
  remove_files();
}

/* A save that was killed ahead of its last renaming, or while it wrote. */
static void between_two_names(void) {
  const nn_config c = config();
  nn_load_result r;
  nn_message why;
  two_checkpoints();
  CHECK(rename(path, fresh_one) == 0);
  CHECK_OK(nn_resume(path, &c, &r, &why));
  CHECK(r.progress.step == 6 && r.previous == 0 && !why.text[0]);
  CHECK(step_in(path) == 6 && step_in(previous) == 3 && !is_there(fresh_one));
  nn_destroy(r.model);
  CHECK(rename(path, fresh_one) == 0);
  damage(fresh_one, 1);
  CHECK_OK(nn_resume(path, &c, &r, &why));
  CHECK(r.progress.step == 3 && r.previous == 1);
  CHECK_HAS(why.text, "cannot open");
  nn_destroy(r.model);
  remove(previous);
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ABSENT); /* killed within the very first one */
  CHECK(r.model == NULL);
  remove_files();
}

static void nothing_whole(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  nn_config c = config();
  nn_fit_options o = nn_fit_default();
  nn_model *m = fresh(CLASSIFIER);
  nn_load_result r;
  nn_message why;
  nn_progress p;
  memset(&p, 0, sizeof p), memset(&r, 255, sizeof r);
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ABSENT);
  CHECK_HAS(why.text, "no checkpoint yet");
  CHECK(r.model == NULL && r.previous == 0 && r.progress.step == 0);
  CHECK_STATUS(nn_resume(path, &c, &r, NULL), NN_ABSENT);
  o.epochs = 0, o.steps = 6, o.save_every = 3, o.path = path, o.progress = &p;
  CHECK_OK(nn_fit(m, &d, &o));
  c.batch = 0; /* not the file's fault: no look at the one before */
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ERR_ARGUMENT);
  c.batch = BATCH;
  damage(previous, 0);
  CHECK_OK(nn_resume(path, &c, &r, &why)); /* the last is enough */
  nn_destroy(r.model);
  damage(path, 1);
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ERR_FORMAT);
  CHECK_HAS(why.text, "cut short");
  CHECK_HAS(why.text, previous);
  CHECK(r.model == NULL && is_there(path) && is_there(previous)); /* nothing is put aside */
  remove(previous);
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ERR_FORMAT);
  CHECK_HAS(why.text, "cannot open");
  CHECK_OK(nn_save(m, path));
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ERR_STATE);
  CHECK_HAS(why.text, "a model, not a checkpoint");
  CHECK(is_there(path)); /* it is no damage */
  CHECK_STATUS(nn_resume(NULL, &c, &r, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_resume(path, &c, NULL, &why), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_resume("", &c, &r, &why), NN_ERR_LIMIT);
  nn_destroy(m);
  remove_files();
}

/* Killed before the first renaming, and then the last was damaged: path.tmp is the newer one. */
static void newest_is_tmp(void) {
  const nn_config c = config();
  nn_load_result r;
  nn_message why;
  two_checkpoints();
  CHECK(rename(path, best) == 0 && rename(previous, path) == 0);
  damage(path, 1); /* which writes by way of path.tmp */
  CHECK(rename(best, fresh_one) == 0);
  if (!CHECK_OK(nn_resume(path, &c, &r, &why))) fprintf(stderr, "    %s\n", why.text);
  CHECK_INT(r.progress.step, 6);
  CHECK(is_there(path) && is_there(damaged) && !is_there(fresh_one));
  CHECK_OK(nn_save(r.model, fresh_one)); /* a model is no checkpoint, and in nobody's way */
  nn_destroy(r.model);
  remove(path);
  CHECK_STATUS(nn_resume(path, &c, &r, &why), NN_ABSENT);
  remove_files();
}

/* A run whose step's samples nobody names takes as many when it goes on, whatever config says. */
static void batch_goes_on(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  nn_config c = config();
  for (int room = BATCH; room <= BATCH + 3; room += 3) {
    nn_fit_options o = nn_fit_default();
    nn_progress p;
    nn_load_result r;
    nn_model *m = fresh(CLASSIFIER), *whole = fresh(CLASSIFIER);
    memset(&p, 0, sizeof p);
    o.epochs = 0, o.steps = 9;
    CHECK_OK(nn_fit(whole, &d, &o));
    o.path = path, o.steps = 4, o.progress = &p;
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK_INT(p.batch, c.batch);
    nn_destroy(m);
    c.batch = room;
    CHECK_OK(nn_resume(path, &c, &r, NULL));
    o.steps = 9, o.progress = &r.progress;
    CHECK_OK(nn_fit(r.model, &d, &o));
    CHECK(bits_of(r.model) == bits_of(whole));
    nn_destroy(r.model);
    c.batch = 2;
    CHECK_OK(nn_resume(path, &c, &r, NULL));
    o.steps = 11, o.progress = &r.progress;
    CHECK_OK(nn_fit(r.model, &d, &o)); /* in parts */
    CHECK_INT(r.progress.batch, BATCH);
    nn_destroy(r.model), nn_destroy(whole);
    c = config();
    remove_files();
  }
}

/* A batch in parts: the gradient, the figures and what dropout drops are those of the whole, to
 * rounding; layers, losses and samples of every sort, weights, lengths, labels left out. */
static int parts_net(nn_model *m, int kind) {
  nn_recurrent_options o = {6, 2, .4, 0, 0, 0};
  int x;
  if (kind == 2)
    return nn_dropout(m, nn_conv2d(m, nn_input_image(m, 1, STEPS, FEATURES), 3, 3, 1, 1), .3);
  x = kind == 0 ? nn_linear(m, nn_dropout(m, nn_input_vector(m, STEPS * FEATURES), .3), 9)
                : nn_dropout(m, nn_gru_with(m, nn_input_sequence(m, STEPS, FEATURES), &o), .3);
  return nn_linear(m, nn_layer_norm(m, x), 3);
}

static nn_status keep_gradient(void *user, nn_model *m, const nn_progress *p) {
  size_t count;
  const nn_real *g = nn_gradients(m, &count);
  (void)p;
  memcpy(user, g, count * sizeof *g);
  return NN_OK;
}

static void batch_in_parts(void) {
  static const int rooms[] = {17, 16, 9, 4, 1};
  nn_real weights[SAMPLES], targets[SAMPLES * 3 * STEPS * FEATURES];
  int32_t labels[SAMPLES * STEPS * FEATURES];
  test_fill(weights, SAMPLES, 5), test_fill(targets, COUNT(targets), 6);
  for (int i = 0; i < SAMPLES; i++) weights[i] += 1;
  for (int i = 0; i < (int)COUNT(labels); i++) labels[i] = i % 5 == 0 ? -1 : i * 7 % 3;
  for (int kind = 0; kind < 3; kind++) {
    nn_real want[2000], got[2000];
    nn_evaluation e, whole;
    uint32_t images[COUNT(rooms)];
    memset(&whole, 0, sizeof whole);
    for (size_t r = 0; r < COUNT(rooms); r++) {
      nn_dataset d = arrays(kind == 1 ? SEQUENCES : CLASSIFIER);
      nn_config c = config();
      nn_optimizer sgd = nn_sgd(.1, .9);
      nn_fit_options o = nn_fit_default();
      nn_loss_options loss = nn_loss_default(NN_CROSS_ENTROPY);
      nn_progress p;
      const int rows = kind == 0 ? 1 : kind == 1 ? STEPS : STEPS * FEATURES;
      size_t count;
      memset(&p, 0, sizeof p);
      d.height = STEPS, d.label_size = (size_t)rows, d.labels = labels, d.weights = weights;
      d.targets = targets, d.target_size = (size_t)(3 * rows);
      c.batch = rooms[r];
      nn_model *m = nn_create(&c);
      const int x = parts_net(m, kind);
      loss.smoothing = .1;
      nn_loss_with(m, x, &loss);
      loss = nn_loss_default(NN_HUBER), loss.weight = .5, loss.sum = kind == 2;
      nn_loss_with(m, x, &loss);
      nn_set_optimizer(m, &sgd);
      if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
      o.batch = 17, o.epochs = 0, o.progress = &p, o.on_gradient = keep_gradient, o.user = got;
      o.augment.cutout = kind == 2 ? 3 : 0;
      nn_gradients(m, &count);
      CHECK(count <= COUNT(got));
      for (o.steps = 1; o.steps <= 4; o.steps++) { /* the last is of 16 samples, another epoch's */
        CHECK_OK(nn_fit(m, &d, &o));
        if (o.steps != 3) continue;
        if (r == 0) memcpy(want, got, sizeof want);
        CHECK_NEAR_ALL(got, want, count, 2e-5);
      }
      CHECK_INT(p.batch, 17);
      CHECK_INT(p.step, 4);
      CHECK_INT(p.rows > 0, 1);
      e.loss = p.loss, e.correct = p.correct, e.rows = p.rows;
      if (r == 0) whole = e;
      CHECK_NEAR(e.loss, whole.loss, 1e-5);
      CHECK_INT(e.rows, whole.rows);
      images[r] = bits_of(m);
      nn_destroy(m);
      CHECK(r < 2 || images[r] != images[0]); /* other sums: this has been in parts */
    }
  }
}

/* What is refused or left out, and what a failure between two parts leaves. */
static nn_status fails_at(void *user, const int32_t *index, int n, nn_real *x, int32_t *labels,
                          nn_real *targets, int32_t *lengths) {
  int *left = (int *)user;
  const nn_dataset d = arrays(CLASSIFIER);
  (void)targets, (void)lengths;
  if (--*left == 0) return NN_ERR_IO;
  return nn_gather(&d, index, n, NULL, NULL, x, labels);
}

static void parts_that_fail(void) {
  nn_dataset d = arrays(CLASSIFIER);
  nn_config c = config();
  nn_fit_options o = nn_fit_default();
  nn_progress p;
  size_t count;
  nn_model *m = nn_create(&c);
  nn_recurrent_options carry = {3, 1, 0, 0, 1, 0};
  nn_cross_entropy(m, nn_last_step(m, nn_gru_with(m, nn_input_sequence(m, 1, FEATURES), &carry)));
  CHECK_OK(nn_build(m));
  o.batch = BATCH + 1;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_UNSUPPORTED);
  CHECK_HAS(nn_error(m), "gru1 carries its state");
  nn_destroy(m);
  m = fresh(CLASSIFIER); /* with a batch norm: parts of 5 and 4; of 3, 3 and 2; never of 1 */
  o.batch = 9, o.progress = &p, memset(&p, 0, sizeof p);
  CHECK_OK(nn_fit(m, &d, &o));
  CHECK_INT(p.step, 6);
  o.batch = (1 << 20) + 1;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  nn_destroy(m);
  c = config(), c.batch = 2; /* parts of 2, 2, 2 and 1, of which a batch norm learns nothing */
  m = nn_create(&c);
  nn_cross_entropy(m, nn_linear(m, nn_batch_norm(m, nn_input_vector(m, FEATURES)), 3));
  CHECK_OK(nn_build(m));
  o.batch = 7, memset(&p, 0, sizeof p);
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "batch_norm1 cannot learn");
  CHECK_HAS(nn_error(m), "of a batch of 7 in 4 parts one has a single sample");
  CHECK_INT(p.step, 0);
  nn_destroy(m);
  for (int at = 1; at < 8; at++) { /* a call for each part, twice */
    int left = at;
    nn_model *whole = fresh(CLASSIFIER);
    nn_dataset read = d;
    read.values = NULL, read.labels = NULL, read.fill = fails_at, read.user = &left;
    read.target_size = 0;
    m = fresh(CLASSIFIER);
    o = nn_fit_default(), o.batch = 20, o.epochs = 0, o.steps = 1, o.progress = &p;
    memset(&p, 0, sizeof p);
    const nn_status status = nn_fit(m, &read, &o);
    CHECK_STATUS(status, at < 7 ? NN_ERR_IO : NN_OK);
    if (status == NN_ERR_IO) {
      CHECK_INT(p.step, 0);
      for (size_t i = 0; i < (nn_gradients(m, &count), count); i++)
        if (!CHECK(nn_gradients(m, NULL)[i] == 0)) break;
    }
    left = 0; /* from where it stands, dropout's masks included */
    if (status == NN_ERR_IO) CHECK_OK(nn_fit(m, &read, &o));
    memset(&p, 0, sizeof p);
    CHECK_OK(nn_fit(whole, &d, &o));
    nn_param a, b;
    CHECK_OK(nn_find_param(m, "linear1.weight", &a));
    CHECK_OK(nn_find_param(whole, "linear1.weight", &b));
    CHECK_SAME(a.value, b.value, a.count * sizeof *a.value);
    nn_destroy(m), nn_destroy(whole);
  }
}

/* A pipe is not waited for, a folder not renamed; a best model has a name of its own. */
static void names_in_the_way(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  nn_fit_options o = nn_fit_default();
  nn_model *m = fresh(CLASSIFIER);
#ifndef _WIN32
  nn_config c = config();
  nn_load_result r;
  nn_message why;
  struct stat own;
  CHECK(mkfifo(path, 0600) == 0);
  CHECK(nn_resume(path, &c, &r, &why) < 0 && stat(path, &own) == 0 && S_ISFIFO(own.st_mode));
  CHECK(remove(path) == 0 && mkdir(path, 0700) == 0);
  CHECK(nn_resume(path, &c, &r, &why) < 0 && !is_there(damaged));
  CHECK(rmdir(path) == 0);
#endif
  o.path = path, o.validation = &d, o.best_path = previous;
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "best_path");
  nn_destroy(m);
}

/* What cannot be written stops nn_fit; what was there stays. */
static void cannot_write(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  for (int which = 0; which < 2; which++) {
    nn_fit_options o = nn_fit_default();
    nn_model *m = fresh(CLASSIFIER);
    nn_progress p;
    memset(&p, 0, sizeof p);
    o.progress = &p;
    if (which) o.best_path = "no-such-folder/best.nn", o.validation = &d;
    else o.path = "no-such-folder/run.nn", o.save_every = 3;
    CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_IO);
    CHECK_HAS(nn_error(m), which ? "no-such-folder/best.nn" : "no-such-folder/run.nn");
    CHECK_INT(p.step, which ? 7 : 3);
    CHECK_INT(p.best_step, 0);
    nn_destroy(m);
  }
}
#endif

/* ------------------------------------------------------------------------------- validation -- */

/* The validations are nn_evaluate's, when they are due, and leave the training alone. */
static void validates(void) {
  static const struct {
    int64_t steps, epochs, every, at[8];
  } cases[] = {
      {10, 0, 4, {4, 8, 10}}, {8, 0, 4, {4, 8}},    {0, 2, 0, {7, 14}},
      {10, 0, 0, {7, 10}},    {0, 2, 5, {5, 10, 14}},
  };
  for (int kind = 0; kind < KINDS; kind++) {
    const nn_dataset d = arrays(kind);
    nn_dataset half = d;
    half.count = SAMPLES / 2;
    for (size_t i = 0; i < COUNT(cases); i++) {
      nn_model *m = fresh(kind), *other = fresh(kind);
      nn_fit_options o = nn_fit_default();
      nn_evaluation e;
      Seen s;
      int want = 0;
      memset(&s, 0, sizeof s);
      o.epochs = cases[i].epochs, o.steps = cases[i].steps;
      CHECK_OK(nn_fit(other, &d, &o));
      o.validation = &half, o.validate_every = cases[i].every;
      o.on_validation = on_validation, o.user = &s;
      CHECK_OK(nn_fit(m, &d, &o));
      for (int k = 0; k < 8 && cases[i].at[k]; k++, want++)
        CHECK_INT(s.validated[k], cases[i].at[k]);
      CHECK_INT(s.validations, want);
      CHECK(bits_of(m) == bits_of(other));
      if (kind == SEQUENCES) CHECK_OK(nn_swap_average(m));
      CHECK_OK(nn_evaluate(m, &half, &e));
      CHECK(s.loss[want - 1] == e.loss);
      nn_destroy(m), nn_destroy(other);
    }
  }
}

/* Stops as soon as `patience` validations in a row were no better: a rate of almost nothing changes
 * no figure, so the first stays the best. */
static void patience(void) {
  for (int kind = SEQUENCES; kind <= VALUES; kind++) { /* batch norm's statistics would move */
    const nn_dataset d = arrays(kind);
    nn_optimizer still = nn_sgd(1e-30, 0);
    nn_model *m = fresh(kind);
    nn_fit_options o = nn_fit_default();
    nn_progress p;
    Seen s;
    memset(&p, 0, sizeof p), memset(&s, 0, sizeof s);
    CHECK_OK(nn_set_optimizer(m, &still));
    o.epochs = 0, o.steps = 100, o.progress = &p, o.validation = &d, o.validate_every = 2;
    o.patience = 3, o.on_validation = on_validation, o.user = &s;
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK(p.step == 8 && p.best_step == 2 && p.not_better == 3);
    CHECK_OK(nn_fit(m, &d, &o)); /* stays stopped */
    CHECK(p.step == 8 && s.validations == 4);
    o.patience = 4;
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK(p.step == 10 && p.not_better == 4);
    nn_destroy(m);
  }
}

/* Higher accuracy first, then lower loss, then the earlier: with the figures of before put into
 * progress. Values: lower loss alone. */
static void which_is_better(void) {
  for (int kind = CLASSIFIER; kind <= VALUES; kind += VALUES) {
    const nn_dataset d = arrays(kind);
    for (int accuracy = -1; accuracy <= 1; accuracy++)
      for (int loss = -1; loss <= 1; loss++) {
        nn_fit_options o = nn_fit_default();
        nn_progress p, known;
        memset(&p, 0, sizeof p);
        o.epochs = 0, o.steps = 2, o.validation = &d, o.progress = &p;
        nn_model *m = fresh(kind);
        CHECK_OK(nn_fit(m, &d, &o));
        nn_destroy(m);
        CHECK(p.best_step == 2 && p.validated == 2 && p.not_better == 0);
        known = p;
        memset(&p, 0, sizeof p);
        p.best_step = 1, p.not_better = 1;
        p.best_accuracy = known.best_accuracy - accuracy * .125;
        p.best_loss = known.best_loss * (1 - loss * .125);
        m = fresh(kind);
        CHECK_OK(nn_fit(m, &d, &o));
        const int better = kind == VALUES || accuracy == 0 ? loss < 0 : accuracy > 0;
        if (!CHECK_INT(p.best_step, better ? 2 : 1)) fprintf(stderr, "    %d %d\n", accuracy, loss);
        CHECK_INT(p.not_better, better ? 0 : 2);
        nn_destroy(m);
      }
  }
}

/* A validation that is not finite is no best one; without keep_going it ends the training. */
static void validation_diverges(void) {
  nn_dataset d = arrays(VALUES), bad = d;
  nn_real targets[2 * SAMPLES];
  memcpy(targets, data.targets, sizeof targets);
  targets[3] = (nn_real)NAN;
  bad.targets = targets;
  for (int keep = 0; keep < 2; keep++) {
    nn_model *m = fresh(VALUES);
    nn_fit_options o = nn_fit_default();
    nn_progress p;
    memset(&p, 0, sizeof p);
    o.epochs = 3, o.validation = &bad, o.progress = &p, o.keep_going = keep;
#ifndef NN_NO_STDIO
    o.path = path, o.best_path = best;
#endif
    CHECK_STATUS(nn_fit(m, &d, &o), keep ? NN_OK : NN_ERR_DIVERGED);
    if (!keep) CHECK_HAS(nn_error(m), "step 7: the validation loss is not finite");
    CHECK(p.best_step == 0 && p.not_better == (keep ? 3 : 1) && p.epoch == (keep ? 3 : 1));
#ifndef NN_NO_STDIO
    CHECK(!is_there(best) && is_there(path) == keep);
    remove_files();
#endif
    nn_destroy(m);
  }
}

static void refused_options(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  nn_dataset other = d;
  nn_model *m = fresh(CLASSIFIER);
  nn_fit_options o;
  nn_progress p;
  Seen s;
  const uint32_t bits = bits_of(m);
  memset(&s, 0, sizeof s);
#define REFUSED(change, status, part)                   \
  do {                                                  \
    o = nn_fit_default(), memset(&p, 0, sizeof p);      \
    o.progress = &p, o.user = &s, change;               \
    CHECK_STATUS(nn_fit(m, &d, &o), status);            \
    CHECK_HAS(nn_error(m), part);                       \
  } while (0)
#ifdef NN_NO_STDIO
  REFUSED(o.path = "a", NN_ERR_UNSUPPORTED, "without files");
#else
  REFUSED((o.path = "a", o.save_every = -1), NN_ERR_ARGUMENT, "save_every -1");
  REFUSED((o.path = "a", o.save_seconds = -1), NN_ERR_ARGUMENT, "save_seconds -1");
  REFUSED((o.path = "a", o.save_seconds = NAN), NN_ERR_ARGUMENT, "save_seconds");
  REFUSED((o.path = "a", o.save_seconds = 1), NN_ERR_ARGUMENT, "without a clock");
  REFUSED((o.path = o.best_path = "a", o.validation = &d), NN_ERR_ARGUMENT, "the same");
  REFUSED(o.best_path = "a", NN_ERR_ARGUMENT, "best_path without a validation set");
#endif
  REFUSED(o.save_every = 1, NN_ERR_ARGUMENT, "without a path");
  REFUSED((o.save_seconds = 1, o.clock = one_second_on), NN_ERR_ARGUMENT, "without a path");
  REFUSED(o.validate_every = 1, NN_ERR_ARGUMENT, "without a validation set");
  REFUSED(o.patience = 1, NN_ERR_ARGUMENT, "without a validation set");
  REFUSED((o.validation = &d, o.validate_every = -1), NN_ERR_ARGUMENT, "validate_every -1");
  REFUSED((o.validation = &d, o.patience = -1), NN_ERR_ARGUMENT, "patience -1");
  REFUSED((other.width = 3, o.validation = &other), NN_ERR_SHAPE, "validation: samples of");
  REFUSED((other = d, other.labels = NULL, o.validation = &other), NN_ERR_ARGUMENT,
          "validation: the data set has no labels");
  REFUSED(p.left_out = -1, NN_ERR_ARGUMENT, "progress.left_out -1");
  REFUSED(p.left_out_in_a_row = -1, NN_ERR_ARGUMENT, "progress.left_out_in_a_row");
  REFUSED(p.best_step = -1, NN_ERR_ARGUMENT, "progress.best_step");
  REFUSED(p.validated = -1, NN_ERR_ARGUMENT, "progress.validated");
  REFUSED(p.not_better = -1, NN_ERR_ARGUMENT, "progress.not_better");
  REFUSED((p.step = 1, p.batch = (int64_t)1 << 40), NN_ERR_ARGUMENT,
          "a batch of 1099511627776 (of progress, or config.batch times the ranks), must be 1..");
  REFUSED(o.batch = -3, NN_ERR_ARGUMENT, "a batch of -3, must be 1..");
  CHECK(bits_of(m) == bits);
  nn_destroy(m);
}

/* -------------------------------------------------------------------- samples from a callback */

typedef struct Source {
  int kind, calls, most, fails; /* fails: the call that does */
  int bad_label;
} Source;
static nn_status fill(void *user, const int32_t *index, int n, nn_real *x, int32_t *labels,
                      nn_real *targets, int32_t *lengths) {
  Source *s = (Source *)user;
  const size_t each = FEATURES * (size_t)(s->kind == SEQUENCES ? STEPS : 1);
  if (++s->calls == s->fails) return NN_ERR_IO;
  if (n > s->most) s->most = n;
  CHECK(n >= 1 && n <= 64);
  for (int i = 0; i < n; i++) {
    CHECK(index[i] >= 0 && index[i] < SAMPLES);
    memcpy(x + (size_t)i * each, data.values + (size_t)index[i] * each, each * sizeof *x);
    if (labels) labels[i] = s->bad_label ? CLASSES : data.labels[index[i]];
    if (targets) memcpy(targets + 2 * i, data.targets + 2 * index[i], 2 * sizeof *targets);
    CHECK(!lengths || (s->kind == SEQUENCES && lengths[i] == STEPS));
    if (lengths) lengths[i] = data.lengths[index[i]];
  }
  return NN_OK;
}
static nn_dataset read_set(int kind, Source *s) {
  nn_dataset d = arrays(kind);
  memset(s, 0, sizeof *s);
  s->kind = kind;
  d.values = NULL, d.labels = NULL, d.targets = NULL, d.lengths = NULL;
  d.label_size = kind != VALUES, d.target_size = kind == VALUES ? 2 : 0;
  d.fill = fill, d.user = s;
  return d;
}

#ifndef NN_NO_INSPECT
static nn_status add_batch(void *user, nn_model *m, const nn_batch *b, int first) {
  uint32_t *crc = (uint32_t *)user;
  (void)m;
  *crc = nn_crc32(*crc + (uint32_t)first, b->x[0], (size_t)b->n * FEATURES * sizeof(nn_real));
  if (b->labels) *crc = nn_crc32(*crc, b->labels, (size_t)b->n * sizeof(int32_t));
  if (b->values) *crc = nn_crc32(*crc, b->values, (size_t)b->n * 2 * sizeof(nn_real));
  if (b->lengths) *crc = nn_crc32(*crc, b->lengths, (size_t)b->n * sizeof(int32_t));
  return NN_OK;
}
#endif

/* The same bits as arrays with the same samples, whatever is done with them. */
static void read_or_arrays(void) {
  for (int kind = 0; kind < KINDS; kind++)
    for (int augmented = 0; augmented < 2; augmented++) {
      Source s;
      const nn_dataset set[2] = {arrays(kind), read_set(kind, &s)};
      uint32_t bits[2], seen[2] = {0, 0};
      nn_evaluation e[2];
      nn_progress p[2];
      int64_t counts[2][CLASSES * CLASSES];
      memset(p, 0, sizeof p), memset(counts, 0, sizeof counts), memset(e, 0, sizeof e);
      for (int k = 0; k < 2; k++) {
        nn_model *m = fresh(kind);
        nn_fit_options o = nn_fit_default();
        o.epochs = 3, o.progress = &p[k], o.validation = &set[k];
        static const nn_real edge[1] = {(nn_real).25};
        if (augmented) o.augment.flip = 1, o.augment.shift = 1, o.augment.fill = edge;
        CHECK_OK(nn_fit(m, &set[k], &o));
        CHECK_OK(nn_evaluate(m, &set[k], &e[k]));
#ifndef NN_NO_INSPECT
        CHECK_OK(nn_survey(m, &set[k], add_batch, &seen[k]));
        if (kind != VALUES) CHECK_OK(nn_confusion(m, &set[k], counts[k]));
#endif
        bits[k] = bits_of(m);
        nn_destroy(m);
      }
      CHECK(bits[0] == bits[1] && seen[0] == seen[1] && p[0].best_step > 0);
      CHECK_SAME(&e[0], &e[1], sizeof e[0]);
      CHECK_SAME(&p[0], &p[1], sizeof p[0]);
      CHECK_SAME(counts[0], counts[1], sizeof counts[0]);
      CHECK_INT(s.most, BATCH);
      nn_real x[2][SAMPLES * FEATURES * STEPS];
      int32_t index[SAMPLES * 2], labels[2][SAMPLES * 2];
      for (int i = 0; i < SAMPLES; i++) index[i] = SAMPLES - 1 - i;
      for (int k = 0; k < 2; k++) {
        memset(x[k], 0, sizeof x[k]), memset(labels[k], 0, sizeof labels[k]);
        CHECK_OK(nn_gather(&set[k], index, SAMPLES, NULL, NULL, x[k],
                           kind == VALUES ? NULL : labels[k]));
      }
      CHECK_SAME(x[0], x[1], sizeof x[0]);
      CHECK_SAME(labels[0], labels[1], sizeof labels[0]);
    }
}

static void reading_fails(void) {
  for (int kind = 0; kind < KINDS; kind++) {
    Source s;
    nn_dataset d = read_set(kind, &s);
    nn_model *m = fresh(kind);
    nn_evaluation e;
    nn_progress p;
    nn_fit_options o = nn_fit_default();
    nn_real mean[FEATURES], scale[FEATURES], x[FEATURES * STEPS];
    const int32_t first = 0;
    memset(&p, 0, sizeof p);
    o.epochs = 2, o.progress = &p;
    s.fails = 3;
    CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_IO);
    CHECK(p.step == 2 && p.place == 2 * BATCH);
    CHECK_HAS(nn_error(m), "data set cannot be read");
    CHECK_OK(nn_fit(m, &d, &o)); /* goes on where it was */
    const uint32_t bits = bits_of(m);
    nn_destroy(m);
    m = fresh(kind);
    d = read_set(kind, &s), o.progress = NULL;
    CHECK_OK(nn_fit(m, &d, &o));
    CHECK(bits_of(m) == bits);
    s.calls = 0, s.fails = 1;
    CHECK_STATUS(nn_evaluate(m, &d, &e), NN_ERR_IO);
    s.calls = 0;
    CHECK_STATUS(nn_gather(&d, &first, 1, NULL, NULL, x, NULL), NN_ERR_IO);
#ifndef NN_NO_INSPECT
    uint32_t seen = 0;
    s.calls = 0;
    CHECK_STATUS(nn_survey(m, &d, add_batch, &seen), NN_ERR_IO);
#endif
    CHECK_STATUS(nn_dataset_moments(&d, FEATURES, mean, scale), NN_ERR_ARGUMENT);
    s.fails = 0, s.bad_label = kind != VALUES;
    if (kind != VALUES) {
      CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
      CHECK_HAS(nn_error(m), "label 3 of sample 0");
    }
    d.label_size = d.target_size = 0;
    CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), kind == VALUES ? "no targets" : "no labels");
    d = read_set(kind, &s), d.pixels = data.pixels; /* either, not both */
    CHECK_STATUS(nn_gather(&d, &first, 1, NULL, NULL, x, NULL), NN_ERR_ARGUMENT);
    nn_destroy(m);
  }
}

/* Batch norm over steps that turn out to be one a sample: an epoch without a step ends nn_fit. */
static nn_status fill_short(void *user, const int32_t *index, int n, nn_real *x, int32_t *labels,
                            nn_real *targets, int32_t *lengths) {
  (void)index, (void)targets;
  for (int i = 0; i < n * STEPS * FEATURES; i++) x[i] = (nn_real)i;
  for (int i = 0; i < n; i++) labels[i] = 0, lengths[i] = *(int *)user;
  return NN_OK;
}
/* ------------------------------------------------------------------- losses over a data set --- */

static const nn_loss_kind some_losses[3] = {NN_CROSS_ENTROPY, NN_HUBER, NN_CROSS_ENTROPY};

/* What nn_evaluate gives is the loss of the whole set as one batch, whatever config.batch: of
 * pixels, with an ignored label, samples' weights, three losses, one of them a sum; from arrays,
 * from a callback and from a part of a set. */
static nn_status fill_pixels(void *user, const int32_t *index, int n, nn_real *x, int32_t *labels,
                             nn_real *targets, int32_t *lengths) {
  const nn_dataset *d = (const nn_dataset *)user;
  (void)lengths;
  for (int i = 0; i < n; i++) {
    memcpy(x + i * 12, d->values + index[i] * 12, 12 * sizeof *x);
    memcpy(labels + i * 24, d->labels + index[i] * 24, 24 * sizeof *labels);
    memcpy(targets + i * 36, d->targets + index[i] * 36, 36 * sizeof *targets);
  }
  return NN_OK;
}

static nn_model *pixels_model(int batch) {
  nn_config c = test_config();
  c.batch = batch;
  nn_model *m = nn_create(&c);
  const int x = nn_conv2d(m, nn_input_image(m, 1, 3, 4), 3, 3, 1, 1);
  for (int k = 0; k < 3; k++) {
    nn_loss_options o = nn_loss_default(some_losses[k]);
    if (o.kind == NN_CROSS_ENTROPY) o.ignored = 7;
    o.weight = 1 + k, o.sum = k == 1, o.from = k == 2 ? 12 : 0;
    nn_loss_with(m, x, &o);
  }
  if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
  return m;
}

static void losses_of_a_set(void) {
  enum { N = 11 };
  nn_real values[N * 12], targets[N * 36], weights[N];
  int32_t labels[N * 24], only[N];
  nn_dataset d, filled;
  nn_evaluation e, part;
  double want = 0;
  memset(&d, 0, sizeof d);
  test_fill(values, N * 12, 1), test_fill(targets, N * 36, 2), test_fill(weights, N, 3);
  for (int i = 0; i < N; i++) weights[i] += (nn_real)1.5, only[i] = (i * 3 + 1) % N;
  for (int i = 0; i < N * 24; i++) labels[i] = i % 7 == 2 ? 7 : i % 11 == 3 ? -1 : i * 5 % 3;
  d.count = N, d.channels = 1, d.height = 3, d.width = 4, d.values = values;
  d.labels = labels, d.label_size = 24, d.targets = targets, d.target_size = 36;
  d.weights = weights;
  filled = d, filled.values = NULL, filled.labels = NULL, filled.targets = NULL;
  filled.fill = fill_pixels, filled.user = &d;
  for (int batch = N; batch > 0; batch -= 5) {
    nn_model *m = pixels_model(batch);
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = N, b.x[0] = values, b.labels = labels, b.values = targets, b.weights = weights;
    CHECK_OK(nn_evaluate(m, &d, &e));
    if (batch == N) {
      int64_t correct = 0, rows = 0;
      CHECK_OK(nn_forward(m, &b, 0));
      CHECK_OK(nn_loss(m, &b, &want, &correct));
      for (int i = 0; i < N * 24; i++) rows += i / 12 % 2 == 0 && labels[i] != 7 && labels[i] >= 0;
      CHECK_INT(e.correct, correct);
      CHECK_INT(e.rows, rows);
    }
    CHECK_NEAR(e.loss, want, 1e-6);
    CHECK_OK(nn_evaluate(m, &filled, &part));
    CHECK(part.loss == e.loss && part.correct == e.correct);
    d.only = filled.only = only, d.count = filled.count = 4;
    CHECK_OK(nn_evaluate(m, &d, &e));
    CHECK_OK(nn_evaluate(m, &filled, &part));
    CHECK(part.loss == e.loss && part.correct == e.correct);
    d.only = filled.only = NULL, d.count = filled.count = N;
#ifndef NN_NO_INSPECT
    int64_t counts[9], all = 0, right = 0;
    CHECK_OK(nn_evaluate(m, &d, &e));
    CHECK_OK(nn_confusion(m, &d, counts));
    for (int i = 0; i < 9; i++) all += counts[i], right += i % 4 == 0 ? counts[i] : 0;
    CHECK_INT(all, e.rows);
    CHECK_INT(right, e.correct);
#endif
    nn_destroy(m);
  }
  nn_model *m = pixels_model(4);
  weights[3] = -1;
  CHECK_STATUS(nn_evaluate(m, &d, &e), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "weight -1 of sample 3, must be 0 or more");
  weights[3] = (nn_real)NAN;
  CHECK_STATUS(nn_fit(m, &d, NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_evaluate(m, &filled, &e), NN_ERR_ARGUMENT); /* as it comes */
  weights[3] = 1, labels[30] = 8;
  CHECK_STATUS(nn_fit(m, &d, NULL), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "fit: label 8 of sample 1 is not in 0..2");
  labels[30] = 7, d.label_size = 12;
  CHECK_STATUS(nn_fit(m, &d, NULL), NN_ERR_SHAPE);
  CHECK_HAS(nn_error(m), "12 label(s) a sample, the loss compares conv1 with 24");
  d.label_size = 24, d.targets = NULL;
  CHECK_STATUS(nn_fit(m, &d, NULL), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "no targets");
  d.targets = targets;
  nn_fit_options moved = nn_fit_default();
  moved.augment.flip = 1;
  CHECK_STATUS(nn_fit(m, &d, &moved), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "not what cross_entropy1 compares with");
  moved.augment.flip = 0, moved.augment.cutout = 2;
  CHECK_OK(nn_fit(m, &d, &moved));
  for (int i = 0; i < N; i++) weights[i] = 0; /* nothing counts, and nothing moves */
  nn_param p;
  CHECK_OK(nn_get_param(m, 0, &p));
  const nn_real before = p.value[0];
  CHECK_OK(nn_fit(m, &d, NULL));
  CHECK(p.value[0] == before);
  CHECK_OK(nn_evaluate(m, &d, &e));
  CHECK(e.loss == 0);
  nn_destroy(m);
}

/* nn_fit validates with the average, saves that as the best model, and tells the plateau's losses.
 */
static int sees_average(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *e) {
  const nn_dataset d = arrays(TUNED);
  nn_evaluation own;
  (void)p;
  const uint32_t bits = bits_of(m);
  CHECK_OK(nn_evaluate(m, &d, &own));
  CHECK(own.loss > e->loss || own.loss < e->loss);
  CHECK_OK(nn_swap_average(m));
  CHECK_OK(nn_evaluate(m, &d, &own));
  CHECK(own.loss >= e->loss && own.loss <= e->loss);
  *(uint32_t *)user = bits_of(m);
  CHECK_OK(nn_swap_average(m));
  CHECK(bits_of(m) == bits);
  return 0;
}

static void averages(void) {
  const nn_dataset d = arrays(TUNED);
  nn_fit_options o = nn_fit_default();
  uint32_t average = 0;
  nn_model *m = fresh(TUNED);
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_ARGUMENT);
  CHECK_HAS(nn_error(m), "a plateau without a validation set");
  CHECK_STATUS(nn_swap_average(m), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "no step has been averaged");
  o.epochs = 3, o.validation = &d, o.on_validation = sees_average, o.user = &average;
#ifndef NN_NO_STDIO
  o.best_path = best;
#endif
  CHECK_OK(nn_fit(m, &d, &o));
#ifndef NN_NO_STDIO
  nn_load_result r;
  const nn_config c = config();
  CHECK_OK(nn_load(best, &c, &r, NULL)); /* the third validation was the best */
  CHECK(bits_of(r.model) == average);
  CHECK_STATUS(nn_swap_average(r.model), NN_ERR_STATE);
  CHECK_HAS(nn_error(r.model), "not built with nn_optimizer.average");
  nn_destroy(r.model);
  remove_files();
#endif
  /* swapped: nothing that would mix the two up */
  nn_optimizer other = nn_sgd(.1, .5);
  nn_progress p;
  memset(&p, 0, sizeof p);
  const uint32_t bits = bits_of(m);
  CHECK_OK(nn_swap_average(m));
  CHECK_STATUS(nn_step(m), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "nn_swap_average");
  CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_STATE);
  CHECK_STATUS(nn_set_optimizer(m, &other), NN_ERR_STATE);
  CHECK(nn_save_size(m, &p) == 0);
  CHECK(nn_save_size(m, NULL) > 0);
  CHECK_OK(nn_swap_average(m));
  CHECK(bits_of(m) == bits);
  CHECK_OK(nn_keep_average(m));
  CHECK(bits_of(m) == average);
  CHECK_OK(nn_keep_average(m)); /* it is already */
  CHECK(bits_of(m) == average);
  CHECK_OK(nn_set_optimizer(m, &other)); /* averages no longer */
  CHECK_STATUS(nn_keep_average(m), NN_ERR_STATE);
  other.average = .5;
  CHECK_OK(nn_set_optimizer(m, &other));
  CHECK_STATUS(nn_plateau(m, 1), NN_ERR_STATE);
  CHECK_OK(nn_step(m));
  CHECK_OK(nn_swap_average(m)); /* as they are after the first step */
  nn_destroy(m);
  m = fresh(CLASSIFIER);
  other = nn_adam(.1), other.average = .5;
  CHECK_STATUS(nn_set_optimizer(m, &other), NN_ERR_STATE);
  CHECK_HAS(nn_error(m), "no average was built");
  other.average = 0, other.amsgrad = 1;
  CHECK_STATUS(nn_set_optimizer(m, &other), NN_ERR_STATE);
  nn_destroy(m);
  CHECK_STATUS(nn_swap_average(NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_keep_average(NULL), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_plateau(NULL, 1), NN_ERR_ARGUMENT);
}

/* Layers and losses of one's own, in a whole run: in parts, evaluated, and when they fail: whatever
 * call it is, nn_fit ends with their status, nothing has moved, and a second nn_fit goes on. */
static void custom_fails(void) {
  const nn_dataset d = arrays(SEQUENCES);
  nn_dataset e = d;
  static int left;
  static const nn_custom_layer layer = {"mix", mix_shape, mix_forward, mix_backward, &left};
  static const nn_custom_loss loss = {"half", 1, STEPS * FEATURES, half_square, &left};
  static nn_real values[SAMPLES * STEPS * FEATURES];
  test_fill(values, COUNT(values), 5);
  e.targets = values, e.target_size = STEPS * FEATURES;
  for (int at = 0; at < 16; at++) { /* 0: none; a part calls the layer 3 times, the loss once */
    nn_config c = config();
    nn_progress p;
    nn_evaluation figures;
    nn_fit_options o = nn_fit_default();
    c.batch = 4;
    nn_model *m = nn_create(&c);
    const int x = nn_tanh(m, nn_linear(m, nn_input_sequence(m, STEPS, FEATURES), FEATURES));
    const int in[2] = {x, nn_dropout(m, x, .2)};
    nn_custom_loss_with(m, nn_custom(m, in, 2, &layer), &loss, 1);
    if (!CHECK_OK(nn_build(m))) fprintf(stderr, "    %s\n", nn_error(m));
    memset(&p, 0, sizeof p);
    o.batch = 12, o.epochs = 0, o.steps = 1, o.progress = &p;
    const uint32_t before = bits_of(m);
    left = at;
    const nn_status status = nn_fit(m, &e, &o);
    CHECK_STATUS(status, at == 0 || at > 12 ? NN_OK
                         : at % 4 == 1 || at % 4 == 2 ? NN_ERR_IO : NN_ERR_MEMORY);
    if (status != NN_OK) {
      CHECK(bits_of(m) == before);
      CHECK_INT(p.step, 0);
      for (int i = 0; i < 10; i++) CHECK(nn_gradients(m, NULL)[i] == 0);
    }
    left = 0;
    nn_param w;
    if (at == 0) {
      CHECK_OK(nn_find_param(m, "custom1.s", &w));
      for (size_t i = 0; i < w.count; i++) CHECK(w.value[i] != (nn_real).5); /* it has learned */
      CHECK_OK(nn_evaluate(m, &e, &figures));
      CHECK_INT(figures.rows, SAMPLES);
      CHECK(figures.loss > 0 && figures.loss < 100);
    } else if (status != NN_OK) {
      CHECK_OK(nn_fit(m, &e, &o));
      CHECK(bits_of(m) != before);
    }
    nn_destroy(m);
  }
}

/* A sample of weight 2 counts as two. */
static void weight_or_twice(void) {
  nn_dataset d = arrays(CLASSIFIER);
  nn_real weights[SAMPLES];
  int32_t twice[SAMPLES + 10];
  nn_evaluation one, two;
  nn_model *m = fresh(CLASSIFIER);
  for (int i = 0; i < SAMPLES; i++) weights[i] = i < 10 ? 2 : 1, twice[i] = i;
  for (int i = 0; i < 10; i++) twice[SAMPLES + i] = i;
  d.weights = weights;
  CHECK_OK(nn_evaluate(m, &d, &one));
  d.weights = NULL, d.only = twice, d.count = SAMPLES + 10;
  CHECK_OK(nn_evaluate(m, &d, &two));
  CHECK_NEAR(one.loss, two.loss, 1e-6);
  nn_destroy(m);
}

static void nothing_to_learn(void) {
  for (int length = 1; length < 3; length++) {
    int own = length;
    nn_config c = config();
    nn_model *m = nn_create(&c);
    nn_fit_options o = nn_fit_default();
    nn_dataset d;
    memset(&d, 0, sizeof d);
    d.count = 4, d.channels = 1, d.height = STEPS, d.width = FEATURES, d.label_size = 1;
    d.fill = fill_short, d.user = &own;
    nn_cross_entropy(m, nn_linear(m, nn_last_step(m, nn_batch_norm(m, nn_input_sequence(
                                                                       m, STEPS, FEATURES))), 2));
    CHECK_OK(nn_build(m));
    o.epochs = 0, o.steps = 3, o.batch = 1;
    CHECK_STATUS(nn_fit(m, &d, &o), length == 1 ? NN_ERR_ARGUMENT : NN_OK);
    if (length == 1) CHECK_HAS(nn_error(m), "one value a channel");
    nn_destroy(m);
  }
}

/* -------------------------------------------------------------------------- parts of a set --- */

static void splits(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  int32_t index[SAMPLES], again[SAMPLES], inner[SAMPLES];
  nn_dataset train, validation, a, b;
  int seen[SAMPLES] = {0};
  CHECK_OK(nn_dataset_split(&d, .25, 3, index, &train, &validation));
  CHECK(train.count == 37 && validation.count == 13); /* 12.5 */
  for (int i = 0; i < SAMPLES; i++) seen[index[i]]++;
  for (int i = 0; i < SAMPLES; i++) CHECK_INT(seen[i], 1);
  CHECK(train.only == index && validation.only == index + 37);
  CHECK_OK(nn_dataset_split(&d, .25, 3, again, &train, &validation));
  CHECK_SAME(index, again, sizeof index);
  CHECK_OK(nn_dataset_split(&d, .25, 4, again, &train, &validation));
  CHECK(memcmp(index, again, sizeof index) != 0);
  CHECK_OK(nn_dataset_split(&train, .5, 9, inner, &a, &b)); /* a part of a part */
  CHECK_STATUS(nn_dataset_split(&train, .5, 9, again, &a, &b), NN_ERR_ARGUMENT); /* in use */
  for (int i = 0; i < SAMPLES; i++) seen[i] = 0;
  for (int i = 0; i < train.count; i++) seen[inner[i]]++;
  for (int i = 0; i < train.count; i++) CHECK_INT(seen[train.only[i]], 1);
  CHECK(a.count + b.count == train.count && a.owned[0].data == NULL);
  CHECK_STATUS(nn_dataset_split(&d, 0, 3, index, &a, &b), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_split(&d, 1, 3, index, &a, &b), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_split(&d, NAN, 3, index, &a, &b), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_split(&d, .001, 3, index, &a, &b), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_split(&d, .999, 3, index, &a, &b), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_split(&d, .5, 3, NULL, &a, &b), NN_ERR_ARGUMENT);
  CHECK_STATUS(nn_dataset_split(NULL, .5, 3, index, &a, &b), NN_ERR_ARGUMENT);
}

/* A part is as good as a copy of its samples, from arrays and from a callback; and a label outside
 * of it may be anything. */
static void part_or_copy(void) {
  for (int kind = 0; kind < KINDS; kind++) {
    static nn_real x[SAMPLES * STEPS * FEATURES], y[SAMPLES * 2];
    int32_t index[SAMPLES], labels[SAMPLES], lengths[SAMPLES], odd[SAMPLES];
    Source s;
    nn_dataset d = arrays(kind), read = read_set(kind, &s), set[3], rest;
    const size_t each = FEATURES * (size_t)d.height;
    uint32_t bits[3], seen[3] = {0, 0, 0};
    nn_evaluation e[3];
    memset(e, 0, sizeof e);
    CHECK_OK(nn_dataset_split(&d, .4, 11, index, &set[0], &rest));
    CHECK_OK(nn_dataset_split(&read, .4, 11, index, &set[1], &rest));
    set[2] = d, set[2].count = set[0].count, set[2].values = x;
    for (int i = 0; i < set[2].count; i++) {
      memcpy(x + (size_t)i * each, data.values + (size_t)index[i] * each, each * sizeof *x);
      labels[i] = data.labels[index[i]], lengths[i] = data.lengths[index[i]];
      y[2 * i] = data.targets[2 * index[i]], y[2 * i + 1] = data.targets[2 * index[i] + 1];
    }
    memcpy(odd, data.labels, sizeof odd);
    for (int i = set[0].count; i < SAMPLES; i++) odd[index[i]] = -7;
    if (kind != VALUES) set[2].labels = labels, set[0].labels = odd;
    if (kind == SEQUENCES) set[2].lengths = lengths;
    if (kind == VALUES) set[2].targets = y;
    for (int k = 0; k < 3; k++) {
      nn_model *m = fresh(kind);
      nn_fit_options o = nn_fit_default();
      o.epochs = 3;
      CHECK_OK(nn_fit(m, &set[k], &o));
      CHECK_OK(nn_evaluate(m, &set[k], &e[k]));
#ifndef NN_NO_INSPECT
      CHECK_OK(nn_survey(m, &set[k], add_batch, &seen[k]));
#endif
      bits[k] = bits_of(m);
      if (k == 0 && kind != VALUES) {
        const int last = index[set[0].count - 1];
        char text[40];
        odd[last] = CLASSES;
        sprintf(text, "label 3 of sample %d ", last);
        CHECK_STATUS(nn_evaluate(m, &set[0], &e[0]), NN_ERR_ARGUMENT);
        CHECK_HAS(nn_error(m), text);
        odd[last] = data.labels[last];
        CHECK_OK(nn_evaluate(m, &set[0], &e[0]));
      }
      nn_destroy(m);
    }
    for (int k = 0; k < 2; k++) {
      CHECK(bits[k] == bits[2] && seen[k] == seen[2]);
      CHECK_SAME(&e[k], &e[2], sizeof e[2]);
    }
    nn_real mean[2][FEATURES], scale[2][FEATURES];
    for (int k = 0; k < 2; k++)
      CHECK_OK(nn_dataset_moments(&set[2 * k], FEATURES, mean[k], scale[k]));
    CHECK_SAME(mean[0], mean[1], sizeof mean[0]);
    CHECK_SAME(scale[0], scale[1], sizeof scale[0]);
    nn_model *m = fresh(kind);
    nn_evaluation none;
    index[1] = -1;
    CHECK_STATUS(nn_evaluate(m, &set[0], &none), NN_ERR_ARGUMENT);
    CHECK_HAS(nn_error(m), "number 1 of only is -1");
    nn_destroy(m);
  }
}

/* Between backward and step: what the callback does to the gradients is what the step takes. */
typedef struct Between {
  int calls, end_at;
  double scale, norm;
} Between;
static nn_status between(void *user, nn_model *m, const nn_progress *p) {
  Between *b = user;
  size_t count;
  nn_real *g = nn_gradients(m, &count);
  b->norm = nn_gradient_norm(m);
  CHECK_INT(p->step, b->calls);
  if (++b->calls == b->end_at) return NN_ERR_UNSUPPORTED;
  for (size_t i = 0; i < count; i++) g[i] *= (nn_real)b->scale;
  return NN_OK;
}
static uint32_t parameters_of(nn_model *m) {
  size_t count;
  const nn_real *v = nn_parameters(m, &count);
  return nn_crc32(0, v, count * sizeof *v);
}
static void gradients_between(void) {
  const nn_dataset d = arrays(CLASSIFIER);
  uint32_t bits[3] = {0, 0, 0};
  for (int way = 0; way < 3; way++) { /* half the rate, half the gradient, none */
    nn_model *m = fresh(CLASSIFIER);
    const nn_optimizer sgd = nn_sgd(way ? .25 : .125, 0);
    nn_fit_options o = nn_fit_default();
    Between b = {0, 0, way == 1 ? .5 : 0, 0};
    nn_progress p;
    memset(&p, 0, sizeof p);
    CHECK_OK(nn_set_optimizer(m, &sgd));
    o.epochs = 0, o.steps = 9, o.progress = &p, o.user = &b;
    if (way) o.on_gradient = between;
    if (way == 2) bits[2] = parameters_of(m);
    CHECK_OK(nn_fit(m, &d, &o));
    if (way) CHECK(b.calls == 9 && b.norm > 0);
    if (way == 2) CHECK(parameters_of(m) == bits[2]);
    bits[way] = parameters_of(m);
    if (way == 1) { /* an error ends it, before the step */
      o.steps = 12, b.end_at = 11;
      CHECK_STATUS(nn_fit(m, &d, &o), NN_ERR_UNSUPPORTED);
      CHECK_STATUS(nn_model_status(m), NN_ERR_UNSUPPORTED);
      CHECK_HAS(nn_error(m), "fit: on_gradient: ");
      CHECK_INT(p.step, 10);
      CHECK_NEAR(nn_gradient_norm(m), 0, 0);
    }
    nn_destroy(m);
  }
  CHECK(bits[0] == bits[1]);
}

/* What on_gradient may do, and what it may not, by the step; a step is what it was without it. */
enum { LOOKS = 1, NESTS, STEPS_ON, STOPS, SWAPS, WHAT };
typedef struct Inside {
  int what, calls;
  const nn_dataset *d;
  nn_evaluation e[2];
} Inside;
static nn_status inside(void *user, nn_model *m, const nn_progress *p) {
  Inside *s = (Inside *)user;
  const nn_fit_options o = nn_fit_default();
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = 3, b.x[0] = data.values, b.labels = data.labels;
  s->calls++;
  if (s->what == LOOKS) {
    CHECK_OK(nn_evaluate(m, s->d, &s->e[p->step & 1]));
    CHECK_OK(nn_forward(m, &b, NN_INSPECTING));
    CHECK_OK(nn_loss(m, &b, NULL, NULL));
    CHECK_OK(nn_backward(m));
  } else if (s->what == NESTS) {
    const char *said = "not from on_gradient";
    CHECK_STATUS(nn_fit(m, s->d, &o), NN_ERR_STATE);
    CHECK_HAS(nn_error(m), said);
    CHECK_STATUS(nn_train(m, &b, NULL, NULL), NN_ERR_STATE);
    CHECK_HAS(nn_error(m), said);
    CHECK_STATUS(nn_forward(m, &b, NN_TRAINING), NN_ERR_STATE);
    CHECK_HAS(nn_error(m), said);
    CHECK_STATUS(nn_step(m), NN_ERR_STATE);
    CHECK_STATUS(nn_set_ranks(m, NULL), NN_ERR_STATE);
    CHECK_HAS(nn_error(m), said);
    CHECK(nn_save_size(m, p) == 0 && nn_save_size(m, NULL) > 0);
  }
  return s->what == STOPS && s->calls == 3 ? (nn_status)7 : NN_OK;
}
/* Between two steps everything is allowed. */
static int steps_on(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *step) {
  Inside *s = (Inside *)user;
  const nn_fit_options o = nn_fit_default();
  nn_evaluation e;
  if (s->what == STEPS_ON && p->step == 2) {
    CHECK_OK(nn_evaluate(m, s->d, &e));
    CHECK_OK(nn_fit(m, s->d, &o));
    CHECK_INT(nn_steps(m), 2 + PER_EPOCH);
  }
  if (s->what == SWAPS && p->step == 2) nn_swap_average(m); /* where there is one */
  s->e[p->step & 1] = *step;
  return 0;
}
static void calls_from_callbacks(void) {
  for (int kind = CLASSIFIER; kind < VALUES; kind++)
    for (int batch = BATCH; batch <= 3 * BATCH; batch += 2 * BATCH) { /* in one part, in three */
      const nn_dataset d = arrays(kind);
      nn_progress p[WHAT];
      uint32_t bits[WHAT];
      nn_evaluation e[WHAT][2];
      memset(p, 0, sizeof p);
      for (int what = 0; what < WHAT; what++) {
        nn_model *m = fresh(kind);
        Inside s = {what, 0, &d, {{0, 0, 0, 0}, {0, 0, 0, 0}}};
        nn_fit_options o = nn_fit_default();
        o.epochs = 0, o.steps = 8, o.batch = batch, o.progress = &p[what], o.user = &s;
        if (what && what != STEPS_ON && what != SWAPS) o.on_gradient = inside;
        if (what != LOOKS) o.on_step = steps_on;
        const nn_status status = nn_fit(m, &d, &o);
        if (what == STOPS) CHECK_STATUS(status, NN_STOPPED);
        else if (what == SWAPS) CHECK_STATUS(status, kind == SEQUENCES ? NN_ERR_STATE : NN_OK);
        else if (!CHECK_OK(status)) fprintf(stderr, "    %s\n", nn_error(m));
        CHECK_INT(p[what].step, what == STOPS ? 3 : what == SWAPS && kind == SEQUENCES ? 2 : 8);
        bits[what] = bits_of(m), memcpy(e[what], s.e, sizeof s.e);
        nn_destroy(m);
        if (what != LOOKS && what != NESTS) continue;
        CHECK(bits[what] == bits[0]);
        CHECK_SAME(&p[what], &p[0], sizeof *p);
        if (what == NESTS) CHECK_SAME(e[what], e[0], sizeof e[0]);
        else CHECK(e[what][0].rows == SAMPLES && e[what][1].rows == SAMPLES);
      }
    }
}


/* ------------------------------------------------------------- ranks: threads as processes --- */

#if defined NN_NO_THREADS || defined _WIN32
static void ranks_train(void) { SKIP("needs pthreads"); }
static void ranks_end_together(void) { SKIP("needs pthreads"); }
static void ranks_step_by_step(void) { SKIP("needs pthreads"); }
#else

enum { MOST_RANKS = 4, RANK_STEPS = 200, SUM_ROOM = 4096, QUEUE = 64 };
enum { IMAGES, NORMED, TEXTS, NETS };

/* Threads that add up what they have put into their room; there are two, taken in turn, so that one
 * may be filled while a slower rank still reads the other. order: all asked for the same sums. */
typedef struct Net {
  pthread_mutex_t mutex;
  pthread_cond_t met;
  int ranks, here, order;
  unsigned round;
  size_t size[2][MOST_RANKS];
  double room[2][MOST_RANKS][SUM_ROOM];
} Net;
static void meet(Net *n) {
  pthread_mutex_lock(&n->mutex);
  const unsigned round = n->round;
  if (++n->here == n->ranks) n->here = 0, n->round++, pthread_cond_broadcast(&n->met);
  while (n->round == round) pthread_cond_wait(&n->met, &n->mutex);
  pthread_mutex_unlock(&n->mutex);
}

typedef struct Rank {
  pthread_t thread;
  Net *net;
  int rank, kind, room, waits, own_norms, begun;
  unsigned turn;
  struct {
    void *values;
    size_t count, bytes;
  } queue[QUEUE];
  /* what nn_fit is given and gives */
  uint64_t seed;
  const nn_dataset *d;
  nn_fit_options o;
  nn_progress p;
  const char *resume;
  int64_t gradient_fails_at, stop_at;
  int left; /* calls of the custom layer until one fails */
  nn_status status;
  nn_message said;
  nn_evaluation e;
  uint32_t bits;
  nn_real loss[RANK_STEPS + 1];
} Rank;

/* Adds up all that has begun, in the order of the ranks, so that all get the same bits. */
static nn_status add_all(void *user) {
  Rank *r = (Rank *)user;
  Net *n = r->net;
  const unsigned turn = r->turn++ % 2;
  double *own = n->room[turn][r->rank];
  size_t at = 0, size = 0;
  for (int k = 0; k < r->begun; k++)
    for (size_t i = 0; i < r->queue[k].count && at < SUM_ROOM; i++, size += r->queue[k].bytes)
      own[at++] = r->queue[k].bytes == sizeof(double) ? ((double *)r->queue[k].values)[i]
                                                      : (double)((float *)r->queue[k].values)[i];
  n->size[turn][r->rank] = size;
  meet(n);
  for (int k = 0; k < n->ranks; k++)
    if (n->size[turn][k] != size || at == SUM_ROOM) {
      pthread_mutex_lock(&n->mutex), n->order = 0, pthread_mutex_unlock(&n->mutex);
      return NN_ERR_STATE;
    }
  at = 0;
  for (int q = 0; q < r->begun; q++)
    for (size_t i = 0; i < r->queue[q].count; i++, at++) {
      double sum = 0;
      for (int k = 0; k < n->ranks; k++) sum += n->room[turn][k][at];
      if (r->queue[q].bytes == sizeof(double)) ((double *)r->queue[q].values)[i] = sum;
      else ((float *)r->queue[q].values)[i] = (float)sum;
    }
  r->begun = 0;
  return NN_OK;
}
static nn_status add_later(void *user, void *values, size_t count, size_t bytes) {
  Rank *r = (Rank *)user;
  if (r->begun == QUEUE) return NN_ERR_LIMIT;
  r->queue[r->begun].values = values;
  r->queue[r->begun].count = count, r->queue[r->begun++].bytes = bytes;
  return r->waits ? NN_OK : add_all(user);
}

static nn_status on_rank_gradient(void *user, nn_model *m, const nn_progress *p) {
  Rank *r = (Rank *)user;
  nn_evaluation e;
  if (p->step == r->rank) CHECK_OK(nn_evaluate(m, r->d, &e)); /* alone: none of the others does */
  return nn_gradient_norm(m) >= 0 && p->step + 1 == r->gradient_fails_at ? NN_ERR_LIMIT : NN_OK;
}
static int on_rank_step(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *step) {
  Rank *r = (Rank *)user;
  (void)m;
  r->loss[p->step] = (nn_real)step->loss;
  return p->step == r->stop_at ? -1 : 0; /* any number stops, on all ranks */
}

static void describe_ranks(nn_model *m, Rank *r, nn_custom_layer *mix) {
  nn_recurrent_options gru = {6, 2, .3, 0, 0, 0};
  nn_optimizer adam = nn_adam(3e-3);
  nn_custom_layer own = {"mix", mix_shape, mix_forward, mix_backward, &r->left};
  int x = r->kind == TEXTS ? nn_input_sequence(m, STEPS, FEATURES)
                           : nn_input_image(m, 1, STEPS, FEATURES);
  *mix = own;
  if (r->kind == TEXTS) {
    x = nn_dropout(m, nn_gru_with(m, x, &gru), .2);
  } else {
    /* No bias before a norm: rounding is all the gradient that it has, and Adam takes whole steps
     * by that, which an evaluation by running means then sees. */
    const nn_conv2d_options same = {4, 3, 3, 1, 1, 1, 1, 1, 1, 1, r->kind == NORMED};
    x = nn_conv2d_with(m, x, &same);
    x = nn_relu(m, r->kind == NORMED ? nn_batch_norm(m, x) : x);
    x = nn_max_pool2d(m, x, 2, 2, 0);
    x = r->kind == NORMED ? nn_batch_norm(m, nn_linear_no_bias(m, nn_flatten(m, x), 8))
                          : nn_dropout(m, nn_linear(m, nn_flatten(m, x), 12), .3);
    if (r->kind == NORMED && r->left >= 0) {
      const int in[2] = {x, nn_dropout(m, x, .2)};
      x = nn_custom(m, in, 2, mix);
    }
    x = nn_tanh(m, x);
  }
  nn_cross_entropy(m, nn_linear(m, x, CLASSES));
  adam.clip_norm = .5;
  nn_set_optimizer(m, &adam);
}

static void *run_rank(void *arg) {
  Rank *r = (Rank *)arg;
  nn_config c = config();
  nn_custom_layer mix;
  nn_ranks ranks = {r->rank, r->net->ranks, add_later, r->waits ? add_all : NULL, r,
                    r->own_norms, 50};
  nn_model *m = NULL;
  c.threads = 1, c.batch = r->room, c.seed = r->seed;
  if (r->resume) {
#ifndef NN_NO_STDIO
    nn_load_result loaded;
    r->status = nn_load(r->resume, &c, &loaded, &r->said);
    m = loaded.model, r->p = loaded.progress;
#endif
  } else {
    m = nn_create(&c);
    describe_ranks(m, r, &mix);
    r->status = nn_build(m);
  }
  r->o.progress = &r->p, r->o.user = r;
  r->o.on_step = on_rank_step, r->o.on_gradient = r->gradient_fails_at ? on_rank_gradient : NULL;
  if (m) {
    nn_set_ranks(m, &ranks);
    r->status = nn_fit(m, r->d, &r->o);
    snprintf(r->said.text, sizeof r->said.text, "%s", nn_error(m));
    if (r->status == NN_OK) r->status = nn_evaluate(m, r->d, &r->e);
    r->bits = bits_of(m);
  }
  nn_destroy(m);
  return NULL;
}

/* Runs so many ranks, each as the first but for its number; change: what one has of its own. */
static void run_ranks(int count, Rank *rank, void (*change)(Rank *r)) {
  static Net net;
  memset(&net, 0, sizeof net);
  pthread_mutex_init(&net.mutex, NULL), pthread_cond_init(&net.met, NULL);
  net.ranks = count, net.order = 1;
  for (int i = 0; i < count; i++) {
    if (i) rank[i] = rank[0];
    rank[i].net = &net, rank[i].rank = i;
  }
  for (int i = 0; i < count && change; i++) change(&rank[i]);
  for (int i = 0; i < count; i++)
    if (pthread_create(&rank[i].thread, NULL, run_rank, &rank[i])) exit(2);
  for (int i = 0; i < count; i++) pthread_join(rank[i].thread, NULL);
  CHECK(net.order);
  pthread_mutex_destroy(&net.mutex), pthread_cond_destroy(&net.met);
}

/* Sixteen samples a step, and the last two or three of an epoch: not for every rank one. */
static Rank rank_of(int kind, const nn_dataset *d) {
  Rank r;
  memset(&r, 0, sizeof r);
  r.kind = kind, r.room = 16, r.waits = 1, r.d = d, r.o = nn_fit_default(), r.seed = 1;
  r.left = -1;
  r.o.epochs = 0, r.o.steps = RANK_STEPS, r.o.batch = 16;
  r.o.augment.shift = kind != TEXTS, r.o.augment.flip = kind != TEXTS;
  return r;
}

static nn_dataset rank_set(int kind) {
  static int32_t labels[SAMPLES * STEPS];
  static nn_real weights[SAMPLES];
  nn_dataset d = arrays(kind == TEXTS ? SEQUENCES : CLASSIFIER);
  d.height = STEPS;
  if (kind == NORMED) d.count = 35; /* norms of two values are too near to a step function */
  for (int i = 0; i < SAMPLES * STEPS; i++) labels[i] = i % 5 == 1 ? -1 : i * 7 / 3 % CLASSES;
  for (int i = 0; i < SAMPLES; i++) weights[i] = (nn_real)(.5 + i % 3);
  if (kind == TEXTS) d.labels = labels, d.label_size = STEPS, d.weights = weights;
  return d;
}

/* 200 steps: one to four ranks learn what one process does, to rounding; all the same bits, again
 * in a second run, in parts, and with sums that are made at once or later. */
static void ranks_train(void) {
  for (int kind = 0; kind < NETS; kind++) {
    const nn_dataset d = rank_set(kind);
    Rank one[MOST_RANKS], r[MOST_RANKS];
    one[0] = rank_of(kind, &d);
    run_ranks(1, one, NULL);
    if (!CHECK_OK(one[0].status)) fprintf(stderr, "    %s\n", one[0].said.text);
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
      uint32_t bits = 0;
      for (int again = 0; again < 1 + (ranks == 3); again++) {
        r[0] = rank_of(kind, &d);
        r[0].room = kind == NORMED ? 16 : 3, r[0].waits = !again;
        run_ranks(ranks, r, NULL);
        for (int i = 0; i < ranks; i++) {
          if (!CHECK_OK(r[i].status)) fprintf(stderr, "    %s\n", r[i].said.text);
          CHECK(r[i].bits == r[0].bits);
          CHECK_SAME(&r[i].p, &r[0].p, sizeof r[i].p);
        }
        CHECK_NEAR_ALL(r[0].loss, one[0].loss, RANK_STEPS + 1, 1e-5);
        CHECK_NEAR(r[0].e.loss, one[0].e.loss, 1e-5);
        CHECK_INT(r[0].e.rows, one[0].e.rows);
        CHECK(again == 0 || bits == r[0].bits);
        bits = r[0].bits;
      }
    }
    CHECK(one[0].loss[RANK_STEPS - 1] < one[0].loss[1]);
  }
}

static void change_seed(Rank *r) { r->seed += r->rank == 1; }
static void change_gradient(Rank *r) { r->gradient_fails_at = r->rank == 2 ? 9 : 100; }
static void change_stop(Rank *r) { r->stop_at = r->rank == 1 ? 9 : -1; }
static void change_left(Rank *r) { r->left = r->rank == 1 ? r->left : 0; }
static void change_set(Rank *r) { r->d = r->rank == 1 ? NULL : r->d; }
static nn_status fill_of_rank(void *user, const int32_t *index, int n, nn_real *x, int32_t *labels,
                              nn_real *targets, int32_t *lengths) {
  nn_dataset d = arrays(CLASSIFIER);
  (void)targets, (void)lengths;
  d.height = STEPS;
  for (int i = 0; i < n; i++)
    if (index[i] == 7) return *(const nn_status *)user;
  return nn_gather(&d, index, n, NULL, NULL, x, labels);
}

/* An error or a stop on one rank ends all after the same step, wherever it happens. */
static void ranks_end_together(void) {
  enum { RANKS = 3 };
  static nn_status broken = NN_ERR_IO;
  static nn_real values[SAMPLES * STEPS * FEATURES];
  nn_dataset d = rank_set(NORMED), spoilt = d, read = d;
  Rank r[MOST_RANKS];
  memcpy(values, data.values, sizeof values);
  values[7 * STEPS * FEATURES + 14] = (nn_real)NAN; /* in the middle: no shift moves it out */
  spoilt.values = values;
  read.values = NULL, read.labels = NULL, read.fill = fill_of_rank, read.user = &broken;
  read.target_size = 0;
#define ENDS(changes, change, want, part)                                  \
  do {                                                                     \
    r[0] = rank_of(NORMED, &d), changes, run_ranks(RANKS, r, change);      \
    int said = 0;                                                          \
    for (int i = 0; i < RANKS; i++) {                                      \
      if (!CHECK_STATUS(r[i].status, want)) fprintf(stderr, "    %s\n", r[i].said.text); \
      CHECK_SAME(&r[i].p, &r[0].p, sizeof r[i].p);                         \
      CHECK(r[i].bits == r[0].bits || change == change_seed);              \
      said += strstr(r[i].said.text, part) != NULL;                        \
    }                                                                      \
    CHECK(said > 0);                                                       \
  } while (0)
  ENDS((void)0, change_seed, NN_ERR_STATE, "begin with different parameters");
  ENDS((void)0, change_gradient, NN_ERR_LIMIT, "rank 2 failed");
  CHECK_INT(r[0].p.step, 8);
  ENDS((void)0, change_set, NN_ERR_ARGUMENT, "rank 1 failed");
  ENDS((void)0, change_stop, NN_STOPPED, "");
  CHECK_INT(r[0].p.step, 9);
  ENDS(r[0].d = &spoilt, NULL, NN_ERR_DIVERGED, "the samples given to");
  ENDS((r[0].d = &spoilt, r[0].o.keep_going = 1, r[0].o.steps = 40), NULL, NN_OK, "");
  CHECK_INT(r[0].p.left_out, 13); /* one of each epoch of three steps */
  ENDS(r[0].d = &read, NULL, NN_ERR_IO, "failed: ");
  for (int left = 1; left < 8; left++) {
    ENDS((r[0].left = left, r[0].room = left % 2 ? 16 : 3), change_left,
         left % 3 == 1 ? NN_ERR_IO : NN_ERR_MEMORY, "rank 1 failed");
    CHECK(r[0].p.step < 3);
  }
  d = rank_set(TEXTS), d.count = 49;
  r[0] = rank_of(TEXTS, &d), r[0].o.batch = 0, r[0].room = 5, r[0].o.steps = 6;
  run_ranks(RANKS, r, NULL);
  CHECK_OK(r[0].status);
  CHECK_INT(r[0].p.batch, 15);
#ifndef NN_NO_STDIO
  { /* a stop elsewhere: rank 0 keeps what others go on from, as many as they are */
    Rank one[MOST_RANKS];
    d = rank_set(NORMED);
    one[0] = rank_of(NORMED, &d), run_ranks(1, one, NULL);
    ENDS((r[0].o.path = path, r[0].o.save_every = 50), change_stop, NN_STOPPED, "");
    CHECK_INT(step_in(path), 9);
    r[0] = rank_of(NORMED, &d), r[0].resume = path;
    memcpy(r[0].loss, one[0].loss, sizeof r[0].loss);
    run_ranks(4, r, NULL);
    CHECK_OK(r[3].status);
    CHECK_NEAR_ALL(r[3].loss, one[0].loss, RANK_STEPS + 1, 1e-3);
    r[0] = rank_of(NORMED, &d), r[0].o.steps = 9, r[0].o.validation = &d;
    r[0].o.path = "no/such/folder/file";
    run_ranks(RANKS, r, NULL);
    for (int i = 0; i < RANKS; i++) CHECK_STATUS(r[i].status, NN_ERR_IO);
    CHECK_HAS(r[1].said.text, "rank 0 failed");
    remove_files();
  }
#endif
}

static nn_status as_of_a_billion(void *user, void *values, size_t count, size_t bytes) {
  (void)user;
  for (size_t i = 0; i < count && bytes == sizeof(double); i++) ((double *)values)[i] *= 1e9;
  return NN_OK;
}

/* nn_train on shares of a batch, with the norms' statistics shared or each rank's own; and what is
 * refused. */
typedef struct Share {
  Rank rank;
  nn_batch b;
  int64_t correct;
} Share;
static void *train_share(void *arg) {
  Share *s = (Share *)arg;
  Rank *r = &s->rank;
  nn_config c = config();
  nn_custom_layer mix;
  const nn_ranks ranks = {r->rank, r->net->ranks, add_later, add_all, r, r->own_norms, 0};
  c.threads = 1, c.batch = 16;
  nn_model *m = nn_create(&c);
  describe_ranks(m, r, &mix);
  r->status = nn_build(m);
  if (r->status == NN_OK) r->status = nn_set_ranks(m, &ranks);
  for (int i = 1; i <= 9 && r->status == NN_OK; i++) {
    double loss = 0;
    r->status = nn_train(m, i == r->gradient_fails_at ? NULL : &s->b, &loss, &s->correct);
    r->loss[i] = (nn_real)loss;
  }
  r->bits = bits_of(m);
  snprintf(r->said.text, sizeof r->said.text, "%s", nn_error(m));
  nn_destroy(m);
  return NULL;
}
static void train_shares(int count, Share *s, const Rank *rank) {
  static Net net;
  memset(&net, 0, sizeof net);
  pthread_mutex_init(&net.mutex, NULL), pthread_cond_init(&net.met, NULL);
  net.ranks = count, net.order = 1;
  for (int i = 0; i < count; i++) {
    const int first = 16 * i / count;
    memset(&s[i], 0, sizeof s[i]);
    s[i].rank = *rank, s[i].rank.net = &net, s[i].rank.rank = i;
    if (i != 1) s[i].rank.gradient_fails_at = 0;
    s[i].b.n = 16 * (i + 1) / count - first;
    s[i].b.x[0] = data.values + first * STEPS * FEATURES, s[i].b.labels = data.labels + first;
    if (pthread_create(&s[i].rank.thread, NULL, train_share, &s[i])) exit(2);
  }
  for (int i = 0; i < count; i++) pthread_join(s[i].rank.thread, NULL);
  CHECK(net.order);
  pthread_mutex_destroy(&net.mutex), pthread_cond_destroy(&net.met);
}

static void ranks_step_by_step(void) {
  const nn_dataset d = rank_set(NORMED);
  Share one[MOST_RANKS], s[MOST_RANKS];
  for (int kind = IMAGES; kind <= NORMED; kind++) {
    Rank rank = rank_of(kind, &d);
    train_shares(1, one, &rank);
    CHECK_OK(one[0].rank.status);
    for (int ranks = 2; ranks <= 4; ranks += 2)
      for (rank.own_norms = 0; rank.own_norms < 2; rank.own_norms++) {
        train_shares(ranks, s, &rank);
        for (int i = 0; i < ranks; i++) {
          CHECK_OK(s[i].rank.status);
          CHECK(s[i].rank.bits == s[0].rank.bits);
          CHECK_INT(s[i].correct, s[0].correct);
          CHECK_SAME(s[i].rank.loss, s[0].rank.loss, sizeof s[i].rank.loss);
        }
        if (kind == NORMED && rank.own_norms) { /* other statistics */
          CHECK(fabs((double)(s[0].rank.loss[1] - one[0].rank.loss[1])) > 1e-3);
          continue;
        }
        CHECK_NEAR_ALL(s[0].rank.loss, one[0].rank.loss, 10, 1e-5);
        CHECK_INT(s[0].correct, one[0].correct);
      }
    rank = rank_of(kind, &d), rank.gradient_fails_at = 3;
    train_shares(2, s, &rank);
    CHECK_STATUS(s[0].rank.status, NN_ERR_ARGUMENT);
    CHECK_STATUS(s[1].rank.status, NN_ERR_ARGUMENT);
    CHECK_HAS(s[0].rank.said.text, "rank 1 failed");
    CHECK(s[0].rank.loss[2] > 0 && s[0].rank.loss[3] == 0);
  }
  nn_model *m = fresh(CLASSIFIER);
  const nn_ranks wrong[] = {{2, 2, add_later, NULL, NULL, 0, 0},
                            {-1, 2, add_later, NULL, NULL, 0, 0},
                            {0, -1, add_later, NULL, NULL, 0, 0},
                            {0, 2, NULL, NULL, NULL, 0, 0},
                            {0, NN_MAX_RANKS + 1, add_later, NULL, NULL, 0, 0}};
  for (size_t i = 0; i < COUNT(wrong); i++)
    CHECK_STATUS(nn_set_ranks(m, &wrong[i]), NN_ERR_ARGUMENT);
  const nn_ranks many = {NN_MAX_RANKS - 1, NN_MAX_RANKS, as_of_a_billion, NULL, NULL, 0, 0};
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = BATCH, b.x[0] = data.values, b.labels = data.labels;
  CHECK_OK(nn_set_ranks(m, &many));
  CHECK_STATUS(nn_train(m, &b, NULL, NULL), NN_ERR_LIMIT);
  CHECK_HAS(nn_error(m), "a step of 8e+09 samples");
  CHECK_OK(nn_set_ranks(m, NULL));
  CHECK_STATUS(nn_set_ranks(NULL, NULL), NN_ERR_ARGUMENT);
  nn_destroy(m);
}
#endif

int main(void) {
  test_isa();
  fill_data();
#ifndef NN_NO_STDIO
  name_files();
  RUN(checkpoints);
  RUN(goes_on);
  RUN(damage_is_put_aside);
  RUN(between_two_names);
  RUN(nothing_whole);
  RUN(newest_is_tmp);
  RUN(batch_goes_on);
  RUN(names_in_the_way);
  RUN(batch_in_parts);
  RUN(parts_that_fail);
  RUN(cannot_write);
  remove_files();
#endif
  RUN(gradients_between);
  RUN(calls_from_callbacks);
  RUN(validates);
  RUN(patience);
  RUN(which_is_better);
  RUN(validation_diverges);
  RUN(refused_options);
  RUN(read_or_arrays);
  RUN(reading_fails);
  RUN(averages);
  RUN(custom_fails);
  RUN(losses_of_a_set);
  RUN(weight_or_twice);
  RUN(nothing_to_learn);
  RUN(splits);
  RUN(part_or_copy);
  RUN(ranks_train);
  RUN(ranks_end_together);
  RUN(ranks_step_by_step);
  return test_end("fit");
}
#endif
