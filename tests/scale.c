/* What a step costs on several ranks: measures nets and MPI's all-reduce here, fits a model of both
 * to steps on 1, 2, 4 .. ranks, and says what it predicts for up to 1,024 ranks.
 * usage: mpirun -n 4 build/tests/scale [SECONDS a figure, default .3]
 *
 * The model. A step of b samples computes for c + d b (fitted to b = 4 and 32 on one rank), of
 * which backward is two thirds. An all-reduce of n bytes over P ranks takes, by Rabenseifner's
 * algorithm (2004), A(n) = 2 log2(P) alpha + 2 (P - 1)/P n beta; the program and this one ask Open
 * MPI for it, where P is a power of two. A step has two of a few numbers, A(0), and that of the
 * gradient, in buckets of 256 KiB or a layer. Of what is under way during backward a share,
 * `overlap`, hides behind it; the rest, but at least the last bucket, is waited for. alpha and beta
 * are fitted to all-reduces of many sizes, overlap to the steps. These sleep for as long as a net
 * computes, so that ranks need no cores of their own; the real step of a net is measured beside
 * them, on as many ranks as there are cores. */
#define _DEFAULT_SOURCE
#include <limits.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../nn.h"

enum { LENET5, CIFAR, LSTM, NETS, BATCH = 32, BUCKET = 65536, MOST = 16 };
static const char *const names[NETS] = {"LeNet5", "CIFAR net", "LSTM"};
static MPI_Comm among; /* the ranks of the figure that is being measured */
static MPI_Request request[64];
static int begun;

static nn_status wait_all(void *user) {
  (void)user;
  MPI_Waitall(begun, request, MPI_STATUSES_IGNORE);
  begun = 0;
  return NN_OK;
}
static nn_status reduce(void *user, void *values, size_t count, size_t bytes) {
  int done;
  if (begun == 64) wait_all(user);
  MPI_Testall(begun, request, &done, MPI_STATUSES_IGNORE);
  if (done) begun = 0;
  MPI_Iallreduce(MPI_IN_PLACE, values, (int)count, bytes == sizeof(double) ? MPI_DOUBLE : MPI_FLOAT,
                 MPI_SUM, among, &request[begun++]);
  return NN_OK;
}
static nn_status reduce_now(void *user, void *values, size_t count, size_t bytes) {
  return reduce(user, values, count, bytes), wait_all(user);
}

static nn_model *make(int net) {
  nn_config c = nn_config_default();
  const nn_optimizer sgd = nn_sgd(1e-3, .9);
  c.batch = BATCH;
  nn_model *m = nn_create(&c);
  int x;
  if (net == LSTM) {
    x = nn_last_step(m, nn_lstm(m, nn_input_sequence(m, 28, 28), 128));
  } else if (net == LENET5) {
    x = nn_conv2d(m, nn_input_image(m, 1, 28, 28), 6, 5, 1, 2);
    x = nn_max_pool2d(m, nn_relu(m, x), 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 16, 5, 1, 0)), 2, 2, 0);
    x = nn_relu(m, nn_linear(m, nn_relu(m, nn_linear(m, nn_flatten(m, x), 120)), 84));
  } else {
    x = nn_input_image(m, 3, 32, 32);
    for (int width = 32; width <= 128; width *= 2) {
      for (int k = 0; k < 2; k++) x = nn_relu(m, nn_conv2d(m, x, width, 3, 1, 1));
      x = nn_max_pool2d(m, x, 2, 2, 0);
    }
    x = nn_relu(m, nn_linear(m, nn_flatten(m, x), 256));
  }
  nn_cross_entropy(m, nn_linear(m, x, 10));
  nn_set_optimizer(m, &sgd);
  if (nn_build(m)) printf("%s\n", nn_error(m)), exit(1);
  return m;
}

/* Seconds of processor time: other work on the machine does not lengthen it. */
static double computing(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void sleep_for(double seconds) {
  struct timespec t = {(time_t)seconds, (long)(1e9 * fmod(seconds, 1))};
  nanosleep(&t, NULL);
}

typedef struct Cost {
  double c, d, bytes; /* seconds, seconds a sample, of the gradient */
} Cost;
typedef struct Network {
  double alpha, beta, overlap; /* seconds, seconds a byte, share */
} Network;

/* A step's work: the net's own, or sleep of the same length between the same sums. */
typedef struct Work {
  nn_model *model; /* or NULL */
  const nn_batch *batch;
  const Cost *cost;
  int bytes; /* of one sum alone, when there is neither */
} Work;
static void work_once(const Work *w) {
  static float values[1 << 21];
  if (w->model) {
    if (nn_train(w->model, w->batch, NULL, NULL)) printf("%s\n", nn_error(w->model)), exit(1);
  } else if (w->cost) {
    const double all = w->cost->c + w->cost->d * BATCH;
    const size_t count = (size_t)w->cost->bytes / 4;
    reduce_now(NULL, values, 2, sizeof *values);
    sleep_for(all / 3);
    for (size_t i = 0; i < count; i += BUCKET) {
      const size_t n = count - i < BUCKET ? count - i : BUCKET;
      sleep_for(all * 2 / 3 * (double)n / (double)count);
      reduce(NULL, values + i, n, sizeof *values);
    }
    wait_all(NULL);
    reduce_now(NULL, values, 2, sizeof *values);
  } else {
    reduce_now(NULL, values, (size_t)w->bytes / 4, sizeof *values);
  }
}

/* The seconds of the work by that clock, the slowest rank's: of many times the last of the fastest
 * tenth, for ranks that share a core, and other work, make some far longer. */
static int ascending(const void *a, const void *b) {
  return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}
static double usual_time(const Work *w, double (*clock_of)(void), double seconds) {
  enum { FEW = 5, MANY = 4096 };
  static double took[MANY];
  const double end = MPI_Wtime() + seconds;
  int n = 0;
  work_once(w), work_once(w); /* the first ones fill caches */
  for (int more = 1; more && n < MANY; n++) {
    const double start = clock_of();
    work_once(w);
    took[n] = clock_of() - start;
    more = n + 1 < FEW || MPI_Wtime() < end;
    MPI_Bcast(&more, 1, MPI_INT, 0, among);
  }
  qsort(took, (size_t)n, sizeof *took, ascending);
  MPI_Allreduce(MPI_IN_PLACE, &took[n / 10], 1, MPI_DOUBLE, MPI_MAX, among);
  return took[n / 10];
}

/* A net's step of n samples on `ranks` ranks. */
static double step_time(int net, int n, int ranks, double length) {
  static nn_real x[BATCH * 3072];
  static int32_t labels[BATCH];
  int rank;
  MPI_Comm_rank(among, &rank);
  const nn_ranks all = {rank, ranks, reduce, wait_all, NULL, 0, BUCKET};
  const nn_batch b = {n, {x}, labels, NULL, NULL, NULL};
  const Work work = {make(net), &b, NULL, 0};
  for (int i = 0; i < BATCH * 3072; i++) x[i] = (nn_real)(i * 37 % 101) / 101;
  for (int i = 0; i < BATCH; i++) labels[i] = i % 10;
  if (ranks > 1) nn_set_ranks(work.model, &all);
  const double took = usual_time(&work, ranks > 1 ? MPI_Wtime : computing, length);
  nn_destroy(work.model);
  return took;
}

static double all_reduce(double bytes, double p, const Network *w) {
  return p < 2 ? 0 : 2 * log2(p) * w->alpha + 2 * (p - 1) / p * bytes * w->beta;
}
static double predicted(const Cost *k, double b, double p, const Network *w) {
  const double computes = k->c + k->d * b, last = fmin(k->bytes, 4.0 * BUCKET);
  const double hidden = w->overlap * computes * 2 / 3 * (1 - last / k->bytes);
  const double rest = fmax(all_reduce(k->bytes, p, w) - hidden, all_reduce(last, p, w));
  return computes + 2 * all_reduce(0, p, w) + rest;
}

/* alpha and beta for which the squares of relative errors over all sums are the least. */
static void fit_network(Network *w, int count, const double (*sums)[3]) {
  double aa = 0, ab = 0, bb = 0, at = 0, bt = 0; /* the normal equations */
  for (int i = 0; i < count; i++) {
    const double p = sums[i][0], t = sums[i][2];
    const double a = 2 * log2(p) / t, b = 2 * (p - 1) / p * sums[i][1] / t;
    aa += a * a, ab += a * b, bb += b * b, at += a, bt += b;
  }
  const double det = aa * bb - ab * ab;
  w->alpha = fmax((at * bb - bt * ab) / det, 0), w->beta = fmax((bt * aa - at * ab) / det, 0);
}
/* Does f on ranks 0 to p - 1, while the others sleep; its figure, on every rank. */
static double on(int p, double (*f)(int p, const void *what), const void *what) {
  static const struct timespec nap = {0, 1000000};
  MPI_Request all_done;
  double figure = 0;
  int rank, done = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_split(MPI_COMM_WORLD, rank < p ? 0 : MPI_UNDEFINED, rank, &among);
  if (rank < p) figure = f(p, what), MPI_Comm_free(&among);
  MPI_Ibarrier(MPI_COMM_WORLD, &all_done);
  for (MPI_Test(&all_done, &done, MPI_STATUS_IGNORE); !done;
       MPI_Test(&all_done, &done, MPI_STATUS_IGNORE))
    nanosleep(&nap, NULL);
  MPI_Bcast(&figure, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  return figure;
}
static double seconds = .3; /* a figure */
static double time_of_sums(int p, const void *bytes) {
  const Work work = {NULL, NULL, NULL, *(const int *)bytes};
  (void)p;
  return usual_time(&work, MPI_Wtime, seconds);
}
static double time_asleep(int p, const void *cost) {
  const Work work = {NULL, NULL, cost, 0};
  (void)p;
  return usual_time(&work, MPI_Wtime, seconds);
}
static double time_of_step(int p, const void *net_and_samples) {
  const int *const w = net_and_samples;
  return step_time(w[0], w[1], p, seconds);
}

static Cost cost_of(int net) {
  const int few[] = {net, 4}, many[] = {net, BATCH};
  const double t_few = on(1, time_of_step, few), t_many = on(1, time_of_step, many);
  const double d = (t_many - t_few) / (BATCH - 4);
  nn_model *m = make(net);
  size_t values;
  nn_gradients(m, &values);
  nn_destroy(m);
  printf("| %s | %.0f KB | %.2f ms | %.2f ms |\n", names[net], 4e-3 * (double)values, 1e3 * t_few,
         1e3 * t_many);
  return (Cost){fmax(t_few - 4 * d, 0), d, 4.0 * (double)values};
}

/* Prints what was measured of the network, and fits it. */
static void measure_network(int ranks, const Cost *cost, Network *w) {
  double sums[MOST * 8][3], asleep[NETS][MOST + 1], least = 1e300;
  int count = 0;
  printf("\n| all-reduce |");
  for (int bytes = 8; bytes <= 1 << 23; bytes *= 32) printf(" %d B |", bytes);
  printf("\n|-|-|-|-|-|-|\n");
  for (int p = 2; p <= ranks; p *= 2) {
    printf("| %d ranks |", p);
    for (int bytes = 8; bytes <= 1 << 23; bytes *= 32, count++) {
      sums[count][0] = p, sums[count][1] = bytes;
      sums[count][2] = on(p, time_of_sums, &bytes);
      printf(" %.1f us |", 1e6 * sums[count][2]);
    }
    printf("\n");
  }
  fit_network(w, count, (const double(*)[3])sums);
  for (int net = 0; net < NETS; net++)
    for (int p = 1; p <= ranks; p *= 2) asleep[net][p] = on(p, time_asleep, &cost[net]);
  for (int k = 0; k <= 20; k++) {
    Network tried = *w;
    double off = 0;
    tried.overlap = k / 20.;
    for (int net = 0; net < NETS; net++)
      for (int p = 2; p <= ranks; p *= 2)
        off += pow(predicted(&cost[net], BATCH, p, &tried) / asleep[net][p] - 1, 2);
    if (off < least) least = off, w->overlap = tried.overlap;
  }
  printf("\nfitted: alpha %.1f us, 1/beta %.2f GB/s, overlap %.2f\n\n", 1e6 * w->alpha,
         w->beta > 0 ? 1e-9 / w->beta : 0, w->overlap);
  printf("| step of 32 samples a rank | ranks | asleep | model | off | real |\n|-|-|-|-|-|-|\n");
  for (int net = 0; net < NETS; net++)
    for (int p = 1; p <= ranks; p *= 2) {
      const double t = predicted(&cost[net], BATCH, p, w);
      const int what[] = {net, BATCH};
      printf("| %s | %d | %.2f ms | %.2f ms | %+.0f %% |", names[net], p, 1e3 * asleep[net][p],
             1e3 * t, 100 * (t / asleep[net][p] - 1));
      if (p > sysconf(_SC_NPROCESSORS_ONLN)) printf(" |\n");
      else printf(" %.2f ms |\n", 1e3 * on(p, time_of_step, what));
    }
}

static void predict(const Cost *cost, const char *name, const Network *w) {
  printf("\n| predicted, %s | | 4 | 16 | 64 | 256 | 1,024 |\n|-|-|-|-|-|-|-|\n", name);
  for (int strong = 0; strong < 2; strong++)
    for (int net = 0; net < NETS; net++) {
      const double whole = 1024, one = predicted(&cost[net], strong ? whole : BATCH, 1, w);
      printf("| %s | %s |", names[net],
             strong ? "1,024 samples a step, times faster" : "32 samples a rank, efficiency");
      for (double p = 4; p <= 1024; p *= 4) {
        const double t = predicted(&cost[net], strong ? whole / p : BATCH, p, w);
        if (strong) printf(" %.1f |", one / t);
        else printf(" %.0f %% |", 100 * one / t);
      }
      printf("\n");
    }
}

int main(int count, char **words) {
  Network here = {0, 0, 0}, slow = {30e-6, 8 / 10e9, 0}, fast = {5e-6, 8 / 100e9, 0};
  Cost cost[NETS];
  int rank, ranks;
  setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0); /* as main.c does */
  MPI_Init(NULL, NULL);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank), MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (rank && !freopen("/dev/null", "w", stdout)) return 1;
  if (ranks < 2 || ranks > MOST) return printf("scale: 2 to %d ranks, not %d\n", MOST, ranks), 2;
  if (count > 1) seconds = atof(words[1]);
  printf("| net | gradient | step, 4 samples | 32 samples |\n|-|-|-|-|\n");
  for (int net = 0; net < NETS; net++) cost[net] = cost_of(net);
  measure_network(ranks, cost, &here);
  slow.overlap = fast.overlap = here.overlap;
  predict(cost, "10 Gb/s, 30 us", &slow);
  predict(cost, "100 Gb/s, 5 us", &fast);
  MPI_Finalize();
  return 0;
}
