/* Trains for as many seconds as it is told (3600), with all that a long run does besides: testing,
 * looking inside, saving, loading, new models and threads; then compares the last tenth of the time
 * with the second: memory in use, open files, and the time of a training step, which is the least
 * processor time of any turn, so that other programs matter little. Exit 1 if one has grown. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../nn.h"
#include "../data/drawn.inc"

enum { PARTS = 10, NETS = 3, SAMPLES = 1000, TESTS = 200, STEPS = 20, BATCH = 50 };
static const char *const names[NETS] = {"CNN", "LSTM", "GRU, 2 threads"};

typedef struct Part {
  long turns, kilobytes, files; /* the most of both */
  double step[NETS];            /* milliseconds, the least */
} Part;

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long kilobytes(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  long all = 0, resident = 0;
  if (!f || fscanf(f, "%ld %ld", &all, &resident) != 2) resident = 0;
  if (f) fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long files(void) {
  DIR *d = opendir("/proc/self/fd");
  long count = 0;
  while (d && readdir(d)) count++;
  if (d) closedir(d);
  return count;
}

static nn_config config_of(int net) {
  nn_config c = nn_config_default();
  c.batch = BATCH;
  c.threads = net == 2 ? 2 : 1;
  c.keep_activations = net == 0;
  return c;
}

static nn_model *make(int net) {
  const nn_config c = config_of(net);
  nn_model *m = nn_create(&c);
  nn_optimizer adam = nn_adam(1e-3);
  int x;
  if (net == 0) {
    x = nn_input_image(m, 1, 28, 28);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 16, 5, 1, 2)), 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 32, 5, 1, 2)), 2, 2, 0);
    x = nn_dropout(m, nn_batch_norm(m, nn_linear(m, nn_flatten(m, x), 128)), .3);
  } else {
    x = nn_input_sequence(m, 28, 28);
    x = nn_last_step(m, net == 1 ? nn_lstm(m, x, 64) : nn_gru(m, x, 64));
  }
  nn_cross_entropy(m, nn_linear(m, x, 10));
  adam.schedule.kind = NN_COSINE, adam.schedule.total = 1000000;
  nn_set_optimizer(m, &adam);
  if (nn_build(m) == NN_OK) return m;
  fprintf(stderr, "long: %s\n", nn_error(m));
  exit(2);
}

static void need(nn_status status, const char *why) {
  if (status == NN_OK) return;
  fprintf(stderr, "long: %s: %s\n", nn_status_text(status), why);
  exit(1);
}

/* A stretch of training and what goes with it; the model goes on as its saved copy. */
static nn_model *turn(nn_model *m, int net, nn_progress *p, const nn_dataset *train,
                      const nn_dataset *test, const char *path, double *step) {
  const nn_config c = config_of(net);
  nn_fit_options o = nn_fit_default();
  nn_evaluation e;
  nn_load_result load;
  nn_message why;
  int64_t counts[100];
  double begin;
  o.epochs = 0, o.steps = p->step + STEPS, o.progress = p, o.augment.shift = 2;
  begin = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  need(nn_fit(m, train, &o), nn_error(m));
  *step = (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - begin) / STEPS * 1e3;
  need(nn_evaluate(m, test, &e), nn_error(m));
  memset(counts, 0, sizeof counts);
  need(nn_confusion(m, test, counts), nn_error(m));
  need(nn_save_checkpoint(m, p, path), nn_error(m));
  nn_destroy(m);
  need(nn_load(path, &c, &load, &why), why.text);
  return load.model;
}

int main(int argc, char **argv) {
  static uint8_t pixels[(SAMPLES + TESTS) * 784];
  static int32_t labels[SAMPLES + TESTS];
  const double limit = argc > 1 ? atof(argv[1]) : 3600;
  const double begin = seconds_of(CLOCK_MONOTONIC);
  nn_progress progress[NETS];
  nn_model *m[NETS];
  Part part[PARTS];
  const Part *early = &part[1], *late = &part[PARTS - 1];
  nn_dataset train, test;
  char path[64];
  int i, k, bad = 0;
  if (!(limit >= 1)) return fputs("usage: long [SECONDS]\n", stderr), 2;
  snprintf(path, sizeof path, "/tmp/nn_long.%ld.nn", (long)getpid());
  draw_digits(3, SAMPLES + TESTS, pixels, labels);
  train = nn_dataset_pixels(pixels, labels, SAMPLES, 1, 28, 28);
  test = nn_dataset_pixels(pixels + (size_t)SAMPLES * 784, labels + SAMPLES, TESTS, 1, 28, 28);
  memset(progress, 0, sizeof progress);
  memset(part, 0, sizeof part);
  for (k = 0; k < NETS; k++) m[k] = make(k);
  printf("part   turns  KB in use  files");
  for (k = 0; k < NETS; k++) printf("  %s", names[k]);
  printf("  (ms a step)\n");
  for (i = 0; i < PARTS; i++) {
    Part *now = &part[i];
    do {
      for (k = 0; k < NETS; k++) {
        double step;
        m[k] = turn(m[k], k, &progress[k], &train, &test, path, &step);
        if (now->turns == 0 || step < now->step[k]) now->step[k] = step;
      }
      now->turns++;
      if (kilobytes() > now->kilobytes) now->kilobytes = kilobytes();
      if (files() > now->files) now->files = files();
    } while (seconds_of(CLOCK_MONOTONIC) - begin < limit * (i + 1) / PARTS);
    printf("%4d %7ld %10ld %6ld", i + 1, now->turns, now->kilobytes, now->files);
    for (k = 0; k < NETS; k++) printf("  %.3f", now->step[k]);
    printf("\n");
    fflush(stdout);
  }
  for (k = 0; k < NETS; k++) nn_destroy(m[k]);
  remove(path);
  if (late->kilobytes > early->kilobytes + 64) bad++, printf("memory in use has grown\n");
  if (late->files > early->files) bad++, printf("files stay open\n");
  for (k = 0; k < NETS - 1; k++) /* threads that wait take time of their own, more or less */
    if (late->step[k] > early->step[k] * 1.05) bad++, printf("%s has become slower\n", names[k]);
  printf("long: %.0f s, %d checks passed, %d failed\n", seconds_of(CLOCK_MONOTONIC) - begin,
         NETS + 1 - bad, bad);
  return bad != 0;
}
