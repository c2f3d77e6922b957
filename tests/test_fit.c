/* nn_fit over a long run: checkpoints and what goes on from them, validation, samples from a
 * callback, data sets that are parts of others. */
#if !defined _WIN32 && !defined _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* mkfifo */
#endif
#include "test.h"

#ifndef _WIN32
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
enum { CLASSIFIER, SEQUENCES, VALUES, KINDS };

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
  if (kind == VALUES) d.targets = data.targets;
  else d.labels = data.labels;
  if (kind == SEQUENCES) d.lengths = data.lengths;
  return d;
}

static void describe(nn_model *m, int kind) {
  nn_optimizer adam = nn_adam(2e-2);
  int x = kind == SEQUENCES ? nn_last_step(m, nn_gru(m, nn_input_sequence(m, STEPS, FEATURES), 6))
                            : nn_relu(m, nn_linear(m, nn_input_vector(m, FEATURES), 9));
  x = nn_dropout(m, kind == CLASSIFIER ? nn_batch_norm(m, x) : x, .2);
  if (kind == VALUES) nn_mean_squared_error(m, nn_linear(m, x, 2));
  else nn_cross_entropy(m, nn_linear(m, x, CLASSES));
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
  uint32_t bits, best;
  nn_progress p;
} End;
static End end_of(nn_model *m, const nn_progress *p) {
  End e;
  memset(&e, 0, sizeof e);
  e.bits = bits_of(m), e.best = crc_in(best), e.p = *p;
  return e;
}
static void same_end(const End *want, nn_model *m, const nn_progress *p) {
  const End e = end_of(m, p);
  CHECK(e.bits == want->bits && e.best == want->best);
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
  for (int kind = 0; kind < KINDS; kind++) {
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
    CHECK_STATUS(nn_fit(r.model, &d, &o), NN_ERR_ARGUMENT); /* no room for them */
    nn_destroy(r.model), nn_destroy(whole);
    c = config();
    remove_files();
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
      CHECK_INT(p.step, 10);
      CHECK_NEAR(nn_gradient_norm(m), 0, 0);
    }
    nn_destroy(m);
  }
  CHECK(bits[0] == bits[1]);
}

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
  RUN(cannot_write);
  remove_files();
#endif
  RUN(gradients_between);
  RUN(validates);
  RUN(patience);
  RUN(which_is_better);
  RUN(validation_diverges);
  RUN(refused_options);
  RUN(read_or_arrays);
  RUN(reading_fails);
  RUN(nothing_to_learn);
  RUN(splits);
  RUN(part_or_copy);
  return test_end("fit");
}
#endif
