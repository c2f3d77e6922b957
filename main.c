/* nn, the program: trains LeNet5 on CIFAR-10 and recurrent networks on the rows of MNIST.
 *
 * It holds commands, options, the choice of data, run folders and reports. Everything numeric is a
 * call of nn.h. Sections, each under a banner and calling only sections above it:
 *   @@SYSTEM   what differs between operating systems: terminal, clock, folders, signals
 *   @@TEXT     growing text, numbers for people, errors
 *   @@OPTIONS  one table of options: it parses, explains, writes and reads them back
 *   @@DATA     which data set is used, and its name
 *   @@NET      the networks and optimizers that the options describe
 *   @@REPORT   report.html: curves (SVG), filters (PNG), tables
 *   @@RUN      a run's folder, its training, checkpoints, resuming
 *   @@STUDY    the reports' experiments, sweeps: many runs, one table
 *   @@LOOK     what a trained net is made of: pictures and tables in its report
 *   @@COMMANDS cifar10, mnist, demo, info, predict, data; main
 * A wrong command line ends with one line on stderr and exit 2, anything else that goes wrong with
 * one line and exit 1. Results go to stdout, progress to stderr.
 */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* the terminal's size is not in POSIX */
#define _DARWIN_C_SOURCE
#endif
#include "nn.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "data/drawn.inc"

#if defined NN_NO_STDIO || defined NN_NO_MALLOC || defined NN_NO_TRAINING || defined NN_NO_INSPECT
#error "main.c needs files, malloc, training and looking inside: build nn.c with all of them"
#endif

/* ======================================= @@SYSTEM ==========================================
 * The only place that knows the operating system and the compiler. */
#ifdef _WIN32
#include <direct.h>
#include <io.h>
#include <share.h>
#else
#include <dirent.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#if defined __GNUC__ && !defined _WIN32 /* where the checks know other formats */
#define PRINTF_LIKE(text, values) __attribute__((format(printf, text, values)))
#else
#define PRINTF_LIKE(text, values)
#endif
#ifdef __GNUC__
#define NO_RETURN __attribute__((noreturn))
#else
#define NO_RETURN
#endif

#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif

enum { PATH_SIZE = 4096 };

/* The signal that asks the program to stop, 0 while there is none: its only global variable. */
static volatile sig_atomic_t stop_signal;
static void on_signal(int number) { stop_signal = number; }

#ifdef _WIN32
static void catch_signals(void) {
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
}
static void ignore_signals(void) {}
static int terminal_columns(void) { return 0; }
static int is_terminal(FILE *f) { return _isatty(_fileno(f)); }
static int make_folder(const char *path) { return _mkdir(path); }
static int replace(const char *from, const char *to) { /* rename does not, there */
  return rename(from, to) == 0 ? 0 : errno == ENOENT ? -1 : (remove(to), rename(from, to));
}
static double now(void) { return (double)clock() / CLOCKS_PER_SEC; } /* wall time there */
static int is_special(const char *path) { return (void)path, 0; }
enum { HAS_GZIP = 0 };
static FILE *open_gzip(const char *path) { return (void)path, NULL; }
static int close_gzip(FILE *f) { return (void)f, -1; }
typedef FILE lock;
static lock *take_folder(const char *folder, int *taken) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/lock", folder);
  FILE *f = _fsopen(path, "abD", _SH_DENYRW); /* D: it goes when it is closed */
  *taken = !f && errno == EACCES;
  return f;
}
static void leave_folder(lock *l) {
  if (l) fclose(l);
}
#else
/* The second signal of a kind ends the program at once. A program that nohup started goes on when
 * its terminal is closed. */
static void catch_signals(void) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, NULL);
}
/* A file that grows past the user's limit is an error like a full disk, not the end. */
static void ignore_signals(void) { signal(SIGXFSZ, SIG_IGN); }
static int terminal_columns(void) {
  struct winsize size;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
static int is_terminal(FILE *f) { return isatty(fileno(f)); }
static int make_folder(const char *path) { return mkdir(path, 0777); }
static int replace(const char *from, const char *to) { return rename(from, to); }
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static int is_special(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && !S_ISREG(s.st_mode);
}
enum { HAS_GZIP = 1 };
/* Only ever called with paths that are constants of this file, so nothing needs quoting. */
static FILE *open_gzip(const char *path) {
  char command[PATH_SIZE];
  snprintf(command, sizeof command, "gzip -dc '%s'", path);
  return popen(command, "r");
}
static int close_gzip(FILE *f) { return pclose(f); }

/* A folder that one process at a time works in; NULL when it cannot be had, *taken when another
 * process has it. The system takes it back from one that ends, however it does. */
typedef DIR lock;
static lock *take_folder(const char *folder, int *taken) {
  DIR *d = opendir(folder);
  *taken = d && flock(dirfd(d), LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
  if (*taken) closedir(d);
  return *taken ? NULL : d; /* a disk may know no locks */
}
static void leave_folder(lock *l) {
  if (l) closedir(l);
}
#endif

/* ======================================== @@TEXT =========================================== */

/* One line on stderr: nothing that was typed or read can break it. */
static void say(const char *format, va_list list, const char *tail) {
  char line[2 * PATH_SIZE];
  vsnprintf(line, sizeof line, format, list);
  for (char *c = line; *c; c++)
    if (iscntrl((unsigned char)*c)) *c = '?';
  fflush(stdout);
  fprintf(stderr, "nn: %s%s\n", line, tail);
}

NO_RETURN PRINTF_LIKE(1, 2) static void fail(const char *format, ...) {
  va_list list;
  va_start(list, format);
  say(format, list, "");
  va_end(list);
  exit(1);
}

/* For what a person should know though the program goes on. */
PRINTF_LIKE(1, 2) static void note(const char *format, ...) {
  va_list list;
  va_start(list, format);
  say(format, list, "");
  va_end(list);
}

/* For a wrong command line: the sentence, then where help is. */
NO_RETURN PRINTF_LIKE(2, 3) static void wrong(const char *command, const char *format, ...) {
  char tail[64];
  va_list list;
  snprintf(tail, sizeof tail, " (nn %s%s--help explains)", command, *command ? " " : "");
  va_start(list, format);
  say(format, list, tail);
  va_end(list);
  exit(2);
}

/* To open what is no file, a pipe with a name say, could wait for ever. */
static void need_regular(const char *path) {
  if (is_special(path)) fail("%s is not a file: a folder, a pipe or a device", path);
}

/* Whether there is a file to read. One that cannot be opened is not a missing one: who goes on
 * without it could lose what it holds. */
static int file_exists(const char *path) {
  need_regular(path);
  FILE *f = fopen(path, "rb");
  if (!f && errno != ENOENT && errno != ENOTDIR) fail("%s: %s", path, strerror(errno));
  if (f) fclose(f);
  return f != NULL;
}

/* A text that grows; size leaves out the closing zero. */
struct text {
  char *data;
  size_t size, room;
};

static void text_bytes(struct text *t, const char *bytes, size_t n) {
  if (n >= t->room - t->size) {
    size_t room = 2 * t->room + n + 256;
    char *data = realloc(t->data, room);
    if (!data) fail("out of memory");
    t->data = data;
    t->room = room;
  }
  memcpy(t->data + t->size, bytes, n);
  t->size += n;
  t->data[t->size] = 0;
}

static void text_put(struct text *t, const char *s) {
  text_bytes(t, s, strlen(s));
}

PRINTF_LIKE(2, 3) static void text_add(struct text *t, const char *format, ...) {
  char line[2 * PATH_SIZE + 256];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  text_put(t, line);
}

/* Puts s where HTML text or an attribute's value stands. */
static void text_html(struct text *t, const char *s) {
  for (; *s; s++) {
    const char *name = *s == '&'   ? "&amp;"
                       : *s == '<' ? "&lt;"
                       : *s == '>' ? "&gt;"
                       : *s == '"' ? "&quot;"
                                   : NULL;
    if (name) text_put(t, name);
    else text_bytes(t, s, 1);
  }
}

/* Puts s so that a shell reads it as one word. */
static void text_word(struct text *t, const char *s) {
  const char *plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,=+:@%";
  if (*s && strspn(s, plain) == strlen(s)) {
    text_put(t, s);
    return;
  }
  text_put(t, "'");
  for (; *s; s++) {
    if (*s == '\'') text_put(t, "'\\''");
    else text_bytes(t, s, 1);
  }
  text_put(t, "'");
}

static void text_free(struct text *t) {
  free(t->data);
  memset(t, 0, sizeof *t);
}

static void text_save(const struct text *t, const char *path) {
  nn_message why;
  if (nn_file_write(path, t->data, t->size, &why)) fail("%s", why.text);
}

PRINTF_LIKE(2, 3) static void path_of(char path[PATH_SIZE], const char *format, ...) {
  va_list list;
  int size;
  va_start(list, format);
  size = vsnprintf(path, PATH_SIZE, format, list);
  va_end(list);
  if (size < 0 || size >= PATH_SIZE) fail("a path is longer than %d bytes", PATH_SIZE - 1);
}

/* A number in words of its own; sprinted into one of these, so that several fit in one printf. */
struct word {
  char text[48];
};

/* 1234567 -> 1,234,567 */
static struct word grouped(double value) {
  char digits[32];
  struct word w;
  size_t i, n, k = 0;
  snprintf(digits, sizeof digits, "%.0f", value);
  for (i = 0, n = strlen(digits); i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') w.text[k++] = ',';
    w.text[k++] = digits[i];
  }
  w.text[k] = 0;
  return w;
}

/* Seconds as 8.4 s, 93 s, or 12:34 and 1:02:03 from a hundred on. */
static struct word duration(double seconds) {
  struct word w;
  int s = (int)(seconds < 0 ? 0 : seconds > 1e9 ? 1e9 : seconds + .5);
  if (seconds < 9.95) snprintf(w.text, sizeof w.text, "%.1f s", seconds < 0 ? 0 : seconds);
  else if (s < 100) snprintf(w.text, sizeof w.text, "%d s", s);
  else if (s < 3600) snprintf(w.text, sizeof w.text, "%d:%02d min", s / 60, s % 60);
  else snprintf(w.text, sizeof w.text, "%d:%02d:%02d h", s / 3600, s / 60 % 60, s % 60);
  return w;
}

static struct word percent(double share) {
  struct word w;
  snprintf(w.text, sizeof w.text, "%.2f %%", 100 * share);
  return w;
}

/* That of a run that diverges may be huge. */
static struct word loss_of(double loss) {
  struct word w;
  snprintf(w.text, sizeof w.text, fabs(loss) < 1e6 ? "%.4f" : "%g", loss);
  return w;
}

static struct word shape_of(const int *dim, int rank) {
  struct word w = {""};
  int used = 0;
  for (int i = 0; i < rank && used < 40; i++)
    used += snprintf(w.text + used, sizeof w.text - (size_t)used, "%s%d", i ? "x" : "", dim[i]);
  return w;
}

static int ends_with(const char *s, const char *end) {
  size_t n = strlen(s), k = strlen(end);
  return n >= k && strcmp(s + n - k, end) == 0;
}

/* Letters to insert, remove or replace to turn a into b (Levenshtein 1966). */
static size_t distance(const char *a, const char *b) {
  size_t row[64], i, j, n = strlen(b);
  if (n >= 64) return 99;
  for (j = 0; j <= n; j++) row[j] = j;
  for (i = 0; a[i]; i++) {
    size_t corner = row[0]++;
    for (j = 1; j <= n; j++) {
      size_t best = corner + (a[i] != b[j - 1]);
      corner = row[j];
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      if (row[j] + 1 < best) best = row[j] + 1;
      row[j] = best;
    }
  }
  return row[n];
}

/* Whether `name` may have been meant by `typed`, more likely than one of this score; lowers it. */
static int closer(const char *typed, const char *name, size_t *score) {
  size_t d = distance(typed, name), n = strlen(typed);
  if (n >= 3 && strncmp(typed, name, n) == 0) d = 1;
  if (d >= *score || d > 2 || d >= n) return 0;
  *score = d;
  return 1;
}

/* The whole of s as a plain decimal number; 0 if it is anything else (spaces, nan, hexadecimal).
 * The program never calls setlocale, so the point is a point everywhere. */
static int read_number(const char *s, double *value) {
  char *end;
  if (!*s || s[strspn(s, "0123456789.eE+-")]) return 0;
  *value = strtod(s, &end);
  return *end == 0 && *value - *value == 0;
}

/* ======================================= @@OPTIONS ==========================================
 * Every option is one entry of this list and nothing else: the parser, --help, settings.txt and the
 * command that repeats a run are all made from it. */
enum { CIFAR10 = 1, MNIST = 2, DEMO = 4, INFO = 8, PREDICT = 16, SOURCES = 32, EXPERIMENT = 64,
       SWEEP = 128, LOOK = 256 };
enum { TRAIN = CIFAR10 | MNIST, STUDY = EXPERIMENT | SWEEP, RUNS = TRAIN | DEMO | STUDY | LOOK,
       USES_DATA = RUNS | SOURCES };

enum kind { FLAG, WHOLE, REAL, CHOICE, TEXT };

/* O(name, text, kind, commands, what a value looks like, default, least, most, explanation).
 * A default of "" is filled in by complete() or means "not used". */
#define OPTIONS(O)                                                                                 \
  O(CELL, "cell", CHOICE, MNIST, "rnn|lstm|gru|cnn|mlp", "gru", 0, 0,                              \
    "the network; rnn, lstm and gru read an image row by row, cnn is LeNet5")                      \
  O(OPTIMIZER, "optimizer", CHOICE, TRAIN, "sgd|momentum|adagrad|rmsprop|adam|adamw", "adam", 0,   \
    0, "sgd is plain gradient descent")                                                            \
  O(LR, "lr", REAL, TRAIN, "RATE", "", 1e-9, 1000,                                                 \
    "learning rate (default .001; momentum and adagrad .01; sgd .05)")                             \
  O(MOMENTUM, "momentum", REAL, TRAIN, "M", "", 0, 1,                                              \
    "of momentum (default .9) and rmsprop (default 0)")                                            \
  O(ALPHA, "alpha", REAL, TRAIN, "A", "", 0, .999999,                                              \
    "rmsprop: share of the mean square that a step keeps (default .99)")                           \
  O(WEIGHT_DECAY, "weight-decay", REAL, TRAIN, "D", "", 0, 10, "default 0; adamw .01")             \
  O(CLIP_NORM, "clip-norm", REAL, TRAIN, "N", "0", 0, 1e9,                                         \
    "scale the gradients down to this 2-norm; 0: never")                                           \
  O(CLIP_VALUE, "clip-value", REAL, TRAIN, "V", "", 1e-9, 1e9,                                     \
    "then limit every element of them to +-V (default: never)")                                    \
  O(SCHEDULE, "schedule", CHOICE, TRAIN, "constant|step|exponential|cosine|one-cycle", "constant", \
    0, 0, "how the learning rate moves")                                                           \
  O(WARMUP, "warmup", WHOLE, TRAIN, "STEPS", "0", 0, 1e9, "rise linearly to the learning rate")    \
  O(GAMMA, "gamma", REAL, TRAIN, "G", ".1", 1e-9, 1,                                               \
    "step, exponential: times this in every period")                                               \
  O(PERIOD, "period", WHOLE, TRAIN, "STEPS", "", 1, 1e12,                                          \
    "step, exponential: length of a period (default: a third of the run)")                         \
  O(BATCH, "batch", WHOLE, TRAIN, "N", "64", 1, 65536, "samples in a step")                        \
  O(EPOCHS, "epochs", WHOLE, TRAIN, "N", "", 1, 1e6,                                               \
    "passes over the training images (default 10, unless --steps is given)")                       \
  O(STEPS, "steps", WHOLE, TRAIN | DEMO | LOOK, "N", "", 1, 1e12,                                  \
    "length in steps instead of epochs; look: of each net of ablation and kernels (default: the "  \
    "run's), of each classifier of depth (default: 3 epochs)")                                     \
  O(BUDGET, "budget", WHOLE, DEMO, "SECONDS", "100", 1, 86400,                                     \
    "for all networks together; how many steps fit is measured (--steps fixes them), each gets "   \
    "its share and 100 at the least")                                                              \
  O(KEEP, "keep", REAL, TRAIN, "SHARE", "", .01, 1,                                                \
    "share that dropout keeps, after the first linear layer (default .5), or between and after "   \
    "recurrent layers (default 1)")                                                                \
  O(HIDDEN, "hidden", WHOLE, TRAIN, "N", "", 0, 65536,                                             \
    "units of a recurrent layer (default 128), of the linear one of cnn (1024; 0: without it) and "\
    "mlp (800)")                                                                                   \
  O(LAYERS, "layers", WHOLE, MNIST, "N", "1", 1, 16, "stacked recurrent layers")                   \
  O(RELU, "relu", FLAG, MNIST, "", "", 0, 0, "rnn: relu in place of tanh")                         \
  O(ACTIVATION, "activation", CHOICE, TRAIN, "relu|tanh", "relu", 0, 0,                            \
    "cnn: after the first linear layer")                                                           \
  O(PAD1, "pad1", WHOLE, TRAIN, "N", "2", 0, 5,                                                    \
    "cnn: zeros round the first convolution's images; half of --kernel1 keeps their size")         \
  O(PAD2, "pad2", WHOLE, TRAIN, "N", "2", 0, 2, "cnn: zeros round the second one")                 \
  O(KERNEL1, "kernel1", WHOLE, TRAIN, "N", "", 1, 11,                                              \
    "cnn: side of the first convolution's windows (default 5)")                                    \
  O(STRIDE1, "stride1", WHOLE, TRAIN, "N", "", 1, 4, "cnn: how far apart they are (default 1)")    \
  O(MAPS1, "maps1", WHOLE, TRAIN, "N", "", 0, 4096,                                                \
    "cnn: maps of the first convolution (default 32; 0: without it)")                              \
  O(MAPS2, "maps2", WHOLE, TRAIN, "N", "", 0, 4096,                                                \
    "cnn: maps of the second one (default 64; 0: without it)")                                     \
  O(SIZE, "size", CHOICE, CIFAR10 | SOURCES, "28|32", "32", 0, 0,                                  \
    "28: the 28x28 gray subset where there is one, else the middle of each image")                 \
  O(GRAY, "gray", FLAG, CIFAR10 | SOURCES, "", "", 0, 0, "images turned gray (ITU-R 601)")         \
  O(INIT, "init", CHOICE, TRAIN, "default|he|xavier|orthogonal|tensorflow", "default", 0, 0,       \
    "initial weights; default: PyTorch's; tensorflow: as in its first tutorials, cells by xavier " \
    "with open forget gates, the layer after them normal with deviation 1, other layers with .1")  \
  O(AUGMENT, "augment", TEXT, TRAIN, "flip,shift=N,cutout=N", "", 0, 0,                            \
    "random changes of the training images: mirrored, moved by up to N pixels, a square blanked")  \
  O(TEST_EVERY, "test-every", WHOLE, TRAIN, "STEPS", "", 1, 1e12,                                  \
    "test, and save the best (default: every epoch; with --steps a tenth of the run)")             \
  O(SAVE_EVERY, "save-every", WHOLE, TRAIN, "STEPS", "", 1, 1e12,                                  \
    "save a checkpoint (default: at every test); the last two are kept")                           \
  O(SAVE_SECONDS, "save-seconds", WHOLE, TRAIN, "SECONDS", "", 1, 1e9,                             \
    "and whenever so many seconds have passed since the last one")                                 \
  O(KEEP_GOING, "keep-going", FLAG, TRAIN, "", "", 0, 0,                                           \
    "leave out steps whose loss or gradient is NaN or infinite, in place of stopping there")       \
  O(SNAPSHOTS, "snapshots", WHOLE, TRAIN, "N", "", 1, 1000,                                        \
    "keep the model at so many steps of the run, closest at its start; for nn look")               \
  O(SEED, "seed", WHOLE, RUNS, "N", "1", 0, 9e15, "of initial values, order and dropout")          \
  O(SEEDS, "seeds", WHOLE, STUDY | LOOK, "N", "1", 1, 1000,                                        \
    "runs of each row, with the seeds from --seed on")                                             \
  O(RANDOM, "random", WHOLE, SWEEP, "N", "", 1, 10000,                                             \
    "so many combinations drawn at random, in place of all")                                       \
  O(LIST, "list", FLAG, EXPERIMENT, "", "", 0, 0, "list the rows, train nothing")                  \
  O(DONE, "done", FLAG, STUDY, "", "", 0, 0, "show what is done already, train nothing")           \
  O(MINIATURE, "quick", FLAG, EXPERIMENT | LOOK, "", "", 0, 0,                                     \
    "a miniature: 30 steps of at most 20 on a thousand images, 200 to test")                       \
  O(LAYER, "layer", TEXT, LOOK, "NAME", "", 0, 0,                                                  \
    "deconv, evolution: this layer alone, by its name in nn info (default: every rectified "       \
    "convolution; deconv: and the layers after them); occlusion: that of the strongest map")       \
  O(MAP, "map", WHOLE, LOOK, "N", "", 0, 65535,                                                    \
    "deconv, evolution: this map of --layer alone, from 0 on")                                     \
  O(IMAGES, "images", TEXT, LOOK, "N,N,..", "", 0, 0,                                              \
    "occlusion, saliency, deconv, invariance: these test images, from 0 on, at most 50 (default: " \
    "the first one of each of five classes; deconv: the strongest of each map)")                   \
  O(SQUARE, "square", WHOLE, LOOK, "N", "", 1, 32,                                                 \
    "occlusion, correspondence: side in pixels (default: a quarter of the image)")                 \
  O(SET, "set", CHOICE, LOOK, "cifar10|mnist", "", 0, 0,                                           \
    "the images for a model without settings.txt beside it (default: by what it takes)")           \
  O(THREADS, "threads", WHOLE, RUNS | PREDICT, "N", "0", 0, NN_MAX_THREADS,                        \
    "0: one a core; the results are the same for any number")                                      \
  O(ISA, "isa", CHOICE, RUNS | PREDICT, "auto|scalar|sse2|avx2|avx512|neon", "", 0, 0,             \
    "kernels to use (default: NN_ISA of the environment, else auto)")                              \
  O(DATA, "data", TEXT, USES_DATA, "DIR", "", 0, 0,                                                \
    "where the images are (default: NN_DATA of the environment, then data, then system folders)")  \
  O(OUT, "out", TEXT, RUNS, "DIR", "", 0, 0,                                                       \
    "folder to write (default: the next free runs/NAME-NNN; demo: runs; experiment: "             \
    "runs/experiments; sweep: runs/sweep-NAME)")                          \
  O(RESUME, "resume", TEXT, TRAIN, "DIR", "", 0, 0,                                                \
    "go on with the run in this folder, with its own settings, to the same bits")                  \
  O(LABELS, "labels", TEXT, PREDICT, "FILE", "", 0, 0,                                             \
    "the true classes (IDX or npy), to compare with")                                              \
  O(QUIET, "quiet", FLAG, RUNS, "", "", 0, 0, "no progress, only results and errors")

enum option {
#define O(id, name, kind, commands, form, standard, least, most, help) OPT_##id,
  OPTIONS(O)
#undef O
      OPTION_COUNT
};

static const struct option_entry {
  const char *name;
  enum kind kind;
  int commands;
  const char *form, *standard;
  double least, most;
  const char *help;
} options[] = {
#define O(id, name, kind, commands, form, standard, least, most, help)                             \
  {name, kind, commands, form, standard, least, most, help},
    OPTIONS(O)
#undef O
};

#define MEANS                                                                                     \
  "Training figures on the terminal are means since the epoch began, those of log.csv since its\n" \
  "line before.\n"
static const struct command {
  const char *name;
  int bit, operands;
  const char *form, *summary, *more;
} commands[] = {
    {"cifar10", CIFAR10, 0, "[options]", "train LeNet5 on CIFAR-10",
     "examples:\n"
     "  nn cifar10 --gray --pad2 1 --activation tanh --keep 1 --batch 128 --optimizer adagrad \\\n"
     "      --epochs 20\n"
     "  nn cifar10 --size 28 --gray --batch 50 --epochs 15\n" MEANS},
    {"mnist", MNIST, 0, "[options]", "train a recurrent or other network on MNIST",
     "examples:\n"
     "  nn mnist --cell gru --layers 2\n"
     "  nn mnist --cell rnn --relu --layers 2 --optimizer adagrad\n"
     "  nn mnist --cell cnn --epochs 5 --schedule one-cycle --augment shift=2\n" MEANS},
    {"demo", DEMO, 0, "[options]", "train LeNet5, RNN, LSTM and GRU and compare them",
     "It trains on the best data at hand, prints one table and writes report.html.\n"},
    {"experiment", EXPERIMENT, 1, "ROWS [options]", "train the rows of five reports, and compare",
     "ROWS: a row (E1-adagrad-.01), a report's study (E1), a report (E), best, same (a CNN and\n"
     "RNNs on the same digits), all, or several of these with commas between. --list lists them.\n"
     "Each run has a folder OUT/ROW/seed-N. Runs that are done are skipped, one that was stopped\n"
     "goes on. Tables go to stdout, CSV files and OUT/report.html.\n"},
    {"sweep", SWEEP, 1, "cifar10|mnist --OPTION=VALUES.. [options]",
     "train with every combination of options, and compare",
     "Every option of nn cifar10 or nn mnist may have several values: a list 1e-4,1e-3, or a\n"
     "range LOW:HIGH[:COUNT], logarithmic from a factor of ten on (COUNT 3 unless given; with\n"
     "--random anything between). The alternatives of --augment are parted by /. Runs that are\n"
     "done are skipped, one that was stopped goes on.\n"
     "examples:\n"
     "  nn sweep mnist --cell=rnn,gru --lr=1e-3:1e-1 --steps 500 --seeds 3\n"
     "  nn sweep cifar10 --gray --lr=1e-4:1e-2 --keep=.4:.8 --epochs 5 --random 20\n"},
    {"look", LOOK, 2, "WHAT RUN|MODEL [options]", "see inside a trained net",
     "RUN is the folder of a run, whose best model is looked at, MODEL a file of one. WHAT:\n"
     "  filters         the first layer's weights: at the start, on the way, at the end\n"
     "  activations     every layer's values on the test images: moments, histograms, dead units\n"
     "  deconv          what in an image drives each map: the deconvnet's way back to the pixels\n"
     "  evolution       the same for some maps at several steps of the training\n"
     "  invariance      features and answer against moving, scaling and turning an image\n"
     "  occlusion       the answer when a gray square covers a part of the image\n"
     "  correspondence  whether covering the same part changes the features of images alike\n"
     "  saliency        gradient of the input, guided back-propagation and the deconvnet\n"
     "  depth           a linear classifier on each layer's features, on other images, too\n"
     "  confusion       which classes are taken for which, and the worst mistakes\n"
     "  ablation        trains nets with layers removed or resized (not part of all)\n"
     "  kernels         trains first layers of 3x3 .. 11x11 at strides 1, 2, 4 (not part of all)\n"
     "  all             the first ten\n"
     "Figures and CSV files go to RUN/look (of a MODEL: to --out DIR, default MODEL-look), with\n"
     "--quick to look-quick, all sections to report.html there. Models are read, never written.\n"
     "The way of a net through its training is seen best in runs with --snapshots.\n"
     "examples:\n"
     "  nn cifar10 --gray --epochs 5 --snapshots 8\n"
     "  nn look all runs/cifar10-001\n"
     "  nn look deconv runs/cifar10-001 --layer relu2 --map 7 --images 3,14\n"},
    {"info", INFO, 1, "MODEL", "list the layers of a model or checkpoint", ""},
    {"predict", PREDICT, 2, "MODEL IMAGES [options]", "classify images with a trained model",
     "IMAGES: IDX, npy [n,h,w] or [n,c,h,w], or a CIFAR-10 .bin file. The model takes bytes\n"
     "as 0..1, floating-point numbers as they are.\n"
     "Prints a line for each image: its index, the most probable class, that probability.\n"},
    {"data", SOURCES, 0, "[options]", "say which data would be used", ""},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct command *find_command(const char *name) {
  for (int i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

/* The option named by the first n bytes of `name`, if a command in the mask has it; else -1. */
static int find_option(const char *name, size_t n, int mask) {
  for (int o = 0; o < OPTION_COUNT; o++)
    if ((options[o].commands & mask) && strlen(options[o].name) == n &&
        strncmp(options[o].name, name, n) == 0)
      return o;
  return -1;
}

/* text "" : not set. number is the value of numbers, 1 for a flag, the place of a choice. */
struct value {
  const char *text;
  double number;
  int given; /* on the command line */
  int line;  /* of settings.txt that it stands in, or 0 */
};

struct settings {
  const struct command *command;
  const char *file; /* the settings.txt of those lines */
  struct value v[OPTION_COUNT];
  const char *operand[2];
};

static double number_of(const struct settings *s, enum option o) { return s->v[o].number; }
static int whole_of(const struct settings *s, enum option o) { return (int)s->v[o].number; }
static int is_set(const struct settings *s, enum option o) { return s->v[o].text[0] != 0; }
static int whole_or(const struct settings *s, enum option o, int otherwise) {
  return is_set(s, o) ? whole_of(s, o) : otherwise;
}
static int is_choice(const struct settings *s, enum option o, const char *choice) {
  return strcmp(s->v[o].text, choice) == 0;
}

/* Finds `text` among the words of "a|b|c"; else -1, and *why says so. */
static int read_choice(const char *form, const char *text, char why[256]) {
  char word[32], best[32] = "";
  size_t score = 99;
  const char *at = form;
  for (int k = 0; *at; k++) {
    const size_t n = strcspn(at, "|");
    snprintf(word, sizeof word, "%.*s", (int)n, at);
    if (strcmp(word, text) == 0) return k;
    if (closer(text, word, &score)) strcpy(best, word);
    at += n + (at[n] == '|');
  }
  snprintf(why, 256, "is none of %s%s%s%s", form, *best ? "; did you mean " : "", best,
           *best ? "?" : "");
  return -1;
}

/* Sets an option; *why is "" when the text is good, else the end of a sentence. */
static void set_option(struct settings *s, enum option o, const char *text, char why[256]) {
  const struct option_entry *e = &options[o];
  struct value *v = &s->v[o];
  *why = 0;
  v->text = text;
  v->number = 1;
  if (e->kind == CHOICE) {
    v->number = read_choice(e->form, text, why);
  } else if (e->kind == WHOLE || e->kind == REAL) {
    const int whole = e->kind == WHOLE;
    if (!read_number(text, &v->number) || v->number < e->least || v->number > e->most ||
        (whole && text[strspn(text, "0123456789")]))
      snprintf(why, 256, "is not a %snumber from %.10g to %.10g", whole ? "whole " : "", e->least,
               e->most);
  } else if (e->kind == TEXT) {
    if (!*text) snprintf(why, 256, "is empty");
    for (; *text; text++)
      if (iscntrl((unsigned char)*text)) snprintf(why, 256, "has a control character");
  }
}

/* As if it had been given on the command line. */
static void give(struct settings *s, enum option o, const char *text) {
  char why[256];
  set_option(s, o, text, why);
  s->v[o].given = 1;
}

/* Sets an option to a text of the program's own, unless it has a value. */
static void fill(struct settings *s, enum option o, const char *text) {
  char why[256];
  if (!is_set(s, o) && *text) set_option(s, o, text, why);
}

static void set_standards(struct settings *s, const struct command *c) {
  memset(s, 0, sizeof *s);
  s->command = c;
  for (int o = 0; o < OPTION_COUNT; o++) {
    s->v[o].text = "";
    fill(s, (enum option)o, options[o].standard);
  }
}

/* A line from this column on, wrapped at column 96 and indented as far. */
static void print_wrapped(const char *text, int indent) {
  int column = indent;
  for (const char *at = text; *at;) {
    const int n = (int)strcspn(at, " "), space = at > text;
    if (column + space + n > 96) column = printf("\n%*s%.*s", indent, "", n, at) - 1;
    else column += printf("%s%.*s", space ? " " : "", n, at);
    at += n + (at[n] == ' ');
  }
  putchar('\n');
}

/* --name FORM, then the explanation. */
static void help_option(const char *name, const char *form, const char *help,
                        const char *standard) {
  struct text t = {0};
  int column = printf("  --%s%s%s", name, *form ? " " : "", form);
  if (column > 24) column = printf("\n") - 1;
  printf("%*s", 26 - column, "");
  text_add(&t, *standard ? "%s (default %s)" : "%s%s", help, standard);
  print_wrapped(t.data, 26);
  text_free(&t);
}

static void help_command(const struct command *c) {
  printf("nn %s: %s\nusage: nn %s %s\n%soptions:\n", c->name, c->summary, c->name, c->form,
         c->more);
  for (int o = 0; o < OPTION_COUNT; o++)
    if (options[o].commands & c->bit)
      help_option(options[o].name, options[o].form, options[o].help, options[o].standard);
  help_option("help", "", "this text", "");
}

static void help_all(void) {
  puts("nn: convolutional and recurrent networks on a CPU\nusage: nn COMMAND [options]\ncommands:");
  for (int i = 0; i < COMMAND_COUNT; i++)
    printf("  %-12s%s\n", commands[i].name, commands[i].summary);
  puts("nn COMMAND --help lists the options of a command, nn --version tells the version.\n"
       "Images are looked for in --data DIR, $NN_DATA, data/ and system folders; data/fetch\n"
       "downloads them. Without any, the program draws its own and says so.\n"
       "Ctrl-C saves a run; --resume goes on with it.");
}

/* Ends with the sentence for an option that the command does not have. */
NO_RETURN static void unknown_option(const struct command *c, const char *typed) {
  const char *best = NULL;
  size_t score = 99, n = strcspn(typed, "=");
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)n, typed);
  if (find_option(name, n, ~0) >= 0) wrong(c->name, "nn %s has no option --%s", c->name, name);
  for (int o = 0; o < OPTION_COUNT; o++)
    if ((options[o].commands & c->bit) && closer(name, options[o].name, &score))
      best = options[o].name;
  if (best) wrong(c->name, "unknown option --%s; did you mean --%s?", name, best);
  wrong(c->name, "unknown option --%s", name);
}

static const char mend[] = ": put it back as it was, or start the run anew";

/* Ends with what is wrong with an option, where it was read: in settings.txt or as it was typed. */
NO_RETURN PRINTF_LIKE(3, 4) static void refuse(const struct settings *s, enum option o,
                                               const char *format, ...) {
  char what[PATH_SIZE];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  if (s->v[o].line)
    fail("%s: line %d: %s %s%s", s->file, s->v[o].line, options[o].name, what, mend);
  wrong(s->command->name, "--%s %s", options[o].name, what);
}

/* Reads the command line after the command's name. Answers --help itself. */
static void parse(struct settings *s, const struct command *c, int count,
                  const char *const *words) {
  int operands = 0;
  set_standards(s, c);
  for (int i = 0; i < count; i++)
    if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
      help_command(c);
      exit(fflush(stdout) ? 1 : 0);
    }
  for (int i = 0; i < count; i++) {
    const char *word = words[i];
    if (word[0] != '-') {
      if (operands == c->operands) wrong(c->name, "'%s' is one argument too many", word);
      for (const char *at = word; *at; at++)
        if (iscntrl((unsigned char)*at)) wrong(c->name, "'%s' has a control character", word);
      s->operand[operands++] = word;
      continue;
    }
    if (word[1] != '-') wrong(c->name, "unknown option %s; options begin with --", word);
    word += 2;
    const size_t n = strcspn(word, "=");
    const char *value = word[n] ? word + n + 1 : NULL;
    const int o = find_option(word, n, c->bit);
    if (o < 0) unknown_option(c, word);
    if (options[o].kind == FLAG) {
      if (value) wrong(c->name, "--%s takes no value", options[o].name);
      value = "yes";
    } else if (!value) {
      if (i + 1 == count || strncmp(words[i + 1], "--", 2) == 0)
        wrong(c->name, "--%s needs a value: %s", options[o].name, options[o].form);
      value = words[++i];
    }
    char why[256];
    set_option(s, (enum option)o, value, why);
    if (*why) refuse(s, (enum option)o, "'%s' %s", value, why);
    s->v[o].given = 1;
  }
  if (operands < c->operands && !is_set(s, OPT_LIST))
    wrong(c->name, "usage: nn %s %s", c->name, c->form);
}

/* What an option needs to mean anything; else naming it is an error, and it has no value. */
static void needs(struct settings *s, enum option o, int met, const char *what) {
  if (met) return;
  if (s->v[o].given || s->v[o].line) refuse(s, o, "goes only with %s", what);
  s->v[o].text = "";
}

static int is_recurrent(const struct settings *s) {
  return s->command->bit == MNIST && number_of(s, OPT_CELL) < 3;
}
static int is_cnn(const struct settings *s) {
  return s->command->bit == CIFAR10 || is_choice(s, OPT_CELL, "cnn");
}

/* --isa, else NN_ISA, else auto; kernels that cannot run here are an error. */
static void complete_isa(struct settings *s) {
  const char *text = getenv("NN_ISA"), *name = is_set(s, OPT_ISA) ? "--isa" : "NN_ISA";
  char why[256] = "";
  nn_isa isa;
  if (!is_set(s, OPT_ISA)) set_option(s, OPT_ISA, text && *text ? text : "auto", why);
  text = s->v[OPT_ISA].text;
  if (*why) wrong(s->command->name, "%s: '%s' %s", name, text, why);
  if (nn_isa_find(text, &isa) || (isa != NN_ISA_AUTO && !nn_isa_available(isa)))
    wrong(s->command->name, "%s: %s kernels cannot run here; the best that can are %s", name, text,
          nn_isa_name(nn_isa_best()));
}

/* --augment: flip,shift=N,cutout=N, or some of them. 0 if it is anything else. */
static int read_augment(const char *text, nn_augment *a) {
  memset(a, 0, sizeof *a);
  while (*text) {
    const size_t n = strcspn(text, ",");
    char word[32], *value;
    double number = 0;
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    text += n + (text[n] == ',');
    value = strchr(word, '=');
    if (value) *value++ = 0;
    if (value && (value[strspn(value, "0123456789")] || !read_number(value, &number))) return 0;
    if (value && (number < 1 || number > 16)) return 0;
    if (strcmp(word, "flip") == 0 && !value) a->flip = 1;
    else if (strcmp(word, "shift") == 0 && value) a->shift = (int)number;
    else if (strcmp(word, "cutout") == 0 && value) a->cutout = (int)number;
    else return 0;
  }
  return 1;
}

/* Fills in what depends on other options, and refuses what does not go together. */
static void complete(struct settings *s) {
  const int cells = is_recurrent(s), cnn = is_cnn(s);
  const int periods = is_choice(s, OPT_SCHEDULE, "step") ||
                      is_choice(s, OPT_SCHEDULE, "exponential");
  const int momentum = is_choice(s, OPT_OPTIMIZER, "momentum");
  const int rmsprop = is_choice(s, OPT_OPTIMIZER, "rmsprop");
  nn_augment augment;
  char why[256];
  if (is_set(s, OPT_EPOCHS) && is_set(s, OPT_STEPS))
    refuse(s, OPT_EPOCHS, "and steps exclude each other");
  if (!read_augment(s->v[OPT_AUGMENT].text, &augment))
    refuse(s, OPT_AUGMENT, "'%s' is not made of flip, shift=N and cutout=N with N from 1 to 16",
           s->v[OPT_AUGMENT].text);
  needs(s, OPT_LAYERS, cells, "--cell rnn, lstm or gru");
  needs(s, OPT_RELU, cells && is_choice(s, OPT_CELL, "rnn"), "--cell rnn");
  needs(s, OPT_ACTIVATION, cnn, "--cell cnn");
  needs(s, OPT_PAD1, cnn, "--cell cnn");
  needs(s, OPT_PAD2, cnn, "--cell cnn");
  needs(s, OPT_KERNEL1, cnn, "--cell cnn");
  needs(s, OPT_STRIDE1, cnn, "--cell cnn");
  needs(s, OPT_MAPS1, cnn, "--cell cnn");
  needs(s, OPT_MAPS2, cnn, "--cell cnn");
  if (cnn && !s->v[OPT_PAD1].given && !s->v[OPT_PAD1].line) {
    static const char *const halves[] = {"0", "1", "2", "3", "4", "5"};
    set_option(s, OPT_PAD1, halves[whole_or(s, OPT_KERNEL1, 5) / 2], why);
  }
  if (cnn && whole_of(s, OPT_PAD1) > whole_or(s, OPT_KERNEL1, 5) / 2)
    refuse(s, OPT_PAD1, "%s is more than half of --kernel1", s->v[OPT_PAD1].text);
  if (!cnn && is_choice(s, OPT_HIDDEN, "0"))
    refuse(s, OPT_HIDDEN, "0: only --cell cnn can do without this layer");
  needs(s, OPT_MOMENTUM, momentum || rmsprop, "--optimizer momentum or rmsprop");
  needs(s, OPT_ALPHA, rmsprop, "--optimizer rmsprop");
  needs(s, OPT_GAMMA, periods, "--schedule step or exponential");
  needs(s, OPT_PERIOD, periods, "--schedule step or exponential");
  needs(s, OPT_WARMUP, !is_choice(s, OPT_SCHEDULE, "one-cycle"),
        "another --schedule: one-cycle has a rise of its own");
  if (!is_set(s, OPT_STEPS)) fill(s, OPT_EPOCHS, "10");
  fill(s, OPT_LR, is_choice(s, OPT_OPTIMIZER, "sgd") ? ".05"
                  : momentum || is_choice(s, OPT_OPTIMIZER, "adagrad") ? ".01" : ".001");
  if (momentum || rmsprop) fill(s, OPT_MOMENTUM, momentum ? ".9" : "0");
  if (rmsprop) fill(s, OPT_ALPHA, ".99");
  fill(s, OPT_WEIGHT_DECAY, is_choice(s, OPT_OPTIMIZER, "adamw") ? ".01" : "0");
  fill(s, OPT_KEEP, cells ? "1" : ".5");
  fill(s, OPT_HIDDEN, cells ? "128" : cnn ? "1024" : "800");
  complete_isa(s);
}

/* Options that say where and how fast, not what comes out: a resumed run may change them. */
static int is_outward(int o) {
  return o == OPT_OUT || o == OPT_RESUME || o == OPT_QUIET || o == OPT_DATA || o == OPT_THREADS;
}
/* Those that a run may be resumed with though it began otherwise. */
static int may_change(int o) {
  return o == OPT_DATA || o == OPT_THREADS || o == OPT_SAVE_EVERY || o == OPT_SAVE_SECONDS ||
         o == OPT_KEEP_GOING;
}

/* What settings.txt begins with: every option, one key=value a line, and the command line. Facts
 * that are no options follow, as run.KEY=value. */
static void text_settings(struct text *t, const struct settings *s) {
  text_add(t, "command=%s\n", s->command->name);
  for (int o = 0; o < OPTION_COUNT; o++)
    if ((options[o].commands & s->command->bit) && is_set(s, (enum option)o) && o != OPT_OUT &&
        o != OPT_RESUME && o != OPT_QUIET)
      text_add(t, "%s=%s\n", options[o].name, s->v[o].text);
  text_add(t, "run.command=nn %s", s->command->name);
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!s->v[o].given || (is_outward(o) && o != OPT_DATA)) continue;
    text_add(t, " --%s", options[o].name);
    if (options[o].kind != FLAG) text_put(t, " "), text_word(t, s->v[o].text);
  }
  text_put(t, "\n");
}

/* Where the next line of a text starts; NULL after the last. */
static const char *next_line(const char *text) {
  text = strchr(text, '\n');
  return text ? text + 1 : NULL;
}

/* The value of a key in such a text, copied to `to`; 0 if it is not there. */
static int find_fact(const char *text, const char *key, char *to, size_t size) {
  const size_t n = strlen(key);
  for (; text && *text; text = next_line(text))
    if (strncmp(text, key, n) == 0 && text[n] == '=') {
      text += n + 1;
      return snprintf(to, size, "%.*s", (int)strcspn(text, "\r\n"), text) < (int)size;
    }
  return 0;
}

/* The same for a fact that has to be there. */
static void need_fact(const char *path, const char *text, const char *key, char *to, size_t size) {
  if (!find_fact(text, key, to, size))
    fail("%s: the line %s=.. is missing or too long%s", path, key, mend);
}

/* A small file as text with a closing zero; the caller frees it. NULL if it is not there. Zeros
 * within, which a damaged file may have, are made question marks: its lines stay what they are. */
static char *read_text(const char *path) {
  struct text t = {0};
  nn_array bytes;
  nn_message why;
  if (!file_exists(path)) return NULL;
  if (nn_file_read(path, (size_t)1 << 26, NULL, &bytes, &why)) fail("%s", why.text);
  text_bytes(&t, bytes.data, bytes.count);
  for (size_t i = 0; i < t.size; i++)
    if (!t.data[i]) t.data[i] = '?';
  nn_array_free(&bytes);
  return t.data;
}

/* The options in settings.txt; its text is cut into lines, which the settings point to. */
static void read_settings(struct settings *s, const char *path, char *text) {
  char *next;
  int number = 1, commands_read = 0;
  s->file = path;
  for (char *line = text; line; line = next, number++) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    line[strcspn(line, "\r")] = 0;
    if (!*line || *line == '#' || strncmp(line, "run.", 4) == 0) continue;
    char *value = strchr(line, '='), why[256];
    if (!value) fail("%s: line %d: '%.80s' is not key=value%s", path, number, line, mend);
    *value++ = 0;
    if (strcmp(line, "command") == 0) {
      const struct command *c = find_command(value);
      if (!c || !(c->bit & TRAIN))
        fail("%s: line %d: there is no run of 'nn %.80s'%s", path, number, value, mend);
      if (c != s->command) fail("%s is of nn %s; resume it by nn %s --resume", path, value, value);
      commands_read++;
      continue;
    }
    const int o = find_option(line, strlen(line), s->command->bit);
    if (o < 0) fail("%s: line %d: there is no setting '%.80s'%s", path, number, line, mend);
    if (s->v[o].line)
      fail("%s: line %d: %s is already in line %d%s", path, number, line, s->v[o].line, mend);
    set_option(s, (enum option)o, value, why);
    s->v[o].line = number;
    if (*why) refuse(s, (enum option)o, "'%.80s' %s", value, why);
  }
  if (!commands_read) fail("%s: the line command=.. is missing%s", path, mend);
}

/* A run's file names all that its run goes by: a default in its place would be another run. */
static void check_settings(const struct settings *s) {
  for (int o = 0; o < OPTION_COUNT; o++)
    if (is_set(s, (enum option)o) && (options[o].commands & s->command->bit) && !is_outward(o) &&
        !may_change(o) && !s->v[o].line)
      fail("%s: the line %s=.. is missing%s", s->file, options[o].name, mend);
}

/* ========================================= @@DATA ===========================================
 * A data set is only called by a name that it has proved: MNIST and the like by the checksum of
 * their arrays, CIFAR-10 by its sizes and first labels. */
struct data {
  nn_dataset train, test;
  uint8_t *pixels[2]; /* what the two borrow: train, test */
  int32_t *labels[2];
  char name[80];         /* "MNIST"; what every figure on it is labelled with */
  char where[PATH_SIZE]; /* a folder, or how it was made */
  uint32_t crc;          /* of pixels and labels, so that a resumed run meets the same data */
  nn_real mean[3], scale[3]; /* of nn_normalise, for a net that is trained on it */
};

enum {
  CLASSES = 10, CIFAR_RECORD = 3073,
  DIGITS = 20000, DIGIT_TESTS = 2000, SHAPES = 10000, SHAPE_TESTS = 1000 /* when drawn */
};
static const char *const idx_names[4] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
static const char *const cifar_names[6] = {"data_batch_1.bin", "data_batch_2.bin",
                                           "data_batch_3.bin", "data_batch_4.bin",
                                           "data_batch_5.bin", "test_batch.bin"};
/* CRC-32 over train pixels, train labels, test pixels, test labels. */
static const struct {
  uint32_t crc;
  const char *name;
} known_sets[] = {{0x1939f699, "MNIST"},
                  {0xc7a95b27, "Fashion-MNIST"},
                  {0x23b3297d, "CIFAR-10 gray 28x28 subset"},
                  {0xd48007a7, "CIFAR-10 (JPEG-recoded copy)"}};
/* Debian's package dataset-fashion-mnist keeps the four files here, each with .gz at its end. */
static const char system_folder[] = "/usr/share/datasets/fashion-mnist";

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) fail("out of memory");
  return memory;
}

static void data_free(struct data *d) {
  for (int i = 0; i < 2; i++) free(d->pixels[i]), free(d->labels[i]);
  memset(d, 0, sizeof *d);
}

/* Whether an array has one number a sample: [n], or a column [n,1]. */
static int is_column(const nn_array *a) { return a->rank > 0 && a->count == a->dim[0]; }

/* Labels as the engine wants them, each below `classes`. Frees the array. */
static int32_t *take_labels(nn_array *a, int classes, const char *path) {
  int32_t *labels = allocate(a->count, sizeof *labels);
  if (a->type == NN_F32 || a->type == NN_F64)
    fail("%s: its labels are not whole numbers", path);
  for (size_t i = 0; i < a->count; i++) {
    const int64_t v = a->type == NN_U8    ? ((const uint8_t *)a->data)[i]
                      : a->type == NN_I32 ? ((const int32_t *)a->data)[i]
                                          : ((const int64_t *)a->data)[i];
    if (v < 0 || v >= classes)
      fail("%s: label %lld of sample %zu is not 0 .. %d", path, (long long)v, i, classes - 1);
    labels[i] = (int32_t)v;
  }
  nn_array_free(a);
  return labels;
}

/* Pixels in memory of this program. Frees the array. */
static uint8_t *take_pixels(nn_array *a) {
  uint8_t *pixels = allocate(a->count, 1);
  memcpy(pixels, a->data, a->count);
  nn_array_free(a);
  return pixels;
}

static void need_member(const char *path) {
  if (!file_exists(path))
    fail("%s is missing, though others of its set are there", path);
}

/* One IDX file; from the system's folder gzipped. */
static nn_array read_idx(const char *folder, int which, char path[PATH_SIZE]) {
  const int of_labels = which & 1;
  nn_array a;
  nn_message why;
  if (folder == system_folder) {
    struct text t = {0};
    char block[4096];
    path_of(path, "%s/%s.gz", folder, idx_names[which]);
    FILE *f = open_gzip(path);
    if (!f) fail("%s cannot be unpacked here; unpack it into data/fashion-mnist", path);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) text_bytes(&t, block, n);
    if (close_gzip(f) != 0) fail("%s is damaged, or there is no gzip to unpack it", path);
    if (nn_idx_parse(t.data, t.size, NULL, &a, &why)) fail("%s: %s", path, why.text);
    text_free(&t);
  } else {
    path_of(path, "%s/%s", folder, idx_names[which]);
    need_member(path);
    if (nn_idx_load(path, NULL, &a, &why)) fail("%s", why.text);
  }
  if (a.type != NN_U8 || !(of_labels ? is_column(&a) : a.rank == 3) || a.count == 0)
    fail("%s is not an IDX file of %s", path, of_labels ? "byte labels" : "byte images");
  if (a.dim[0] > INT32_MAX / 8 || (!of_labels && (a.dim[1] > 4096 || a.dim[2] > 4096)))
    fail("%s: more or larger images than nn takes", path);
  return a;
}

/* By its checksum, else as it is told. */
static void name_data(struct data *d, const char *unknown) {
  snprintf(d->name, sizeof d->name, "%s", unknown);
  for (size_t i = 0; i < sizeof known_sets / sizeof *known_sets; i++)
    if (known_sets[i].crc == d->crc) snprintf(d->name, sizeof d->name, "%s", known_sets[i].name);
}

static void load_idx(struct data *d, const char *folder) {
  char path[PATH_SIZE];
  for (int i = 0; i < 2; i++) {
    nn_array images = read_idx(folder, 2 * i, path), labels = read_idx(folder, 2 * i + 1, path);
    const int n = (int)images.dim[0], h = (int)images.dim[1], w = (int)images.dim[2];
    if (labels.dim[0] != images.dim[0])
      fail("%s has %zu labels for %d images", path, labels.dim[0], n);
    if (i && (h != d->train.height || w != d->train.width))
      fail("%s/%s has images of another size than %s", folder, idx_names[2], idx_names[0]);
    d->crc = nn_crc32(d->crc, images.data, images.count);
    d->crc = nn_crc32(d->crc, labels.data, labels.count);
    d->pixels[i] = take_pixels(&images);
    d->labels[i] = take_labels(&labels, CLASSES, path);
    *(i ? &d->test : &d->train) = nn_dataset_pixels(d->pixels[i], d->labels[i], n, 1, h, w);
  }
  name_data(d, "IDX images of unknown origin");
  path_of(d->where, "%s", folder);
}

/* The middle 28x28 of n planes of 32x32, in place. */
static void crop_28(uint8_t *pixels, size_t n) {
  uint8_t *to = pixels;
  for (size_t plane = 0; plane < n; plane++)
    for (size_t y = 0; y < 28; y++, to += 28)
      memmove(to, pixels + plane * 1024 + (y + 2) * 32 + 2, 28);
}

/* Train and test set from CIFAR-10 records, which it frees. */
static void take_records(struct data *d, struct text records[2], int gray, int size) {
  const int channels = gray ? 1 : 3;
  for (int i = 0; i < 2; i++) {
    nn_array images, labels;
    nn_message why;
    if (nn_cifar10_parse(records[i].data, records[i].size, gray, NULL, &images, &labels, &why))
      fail("%s: %s", d->where, why.text);
    const int n = (int)labels.count;
    text_free(&records[i]);
    d->pixels[i] = take_pixels(&images);
    d->labels[i] = take_labels(&labels, CLASSES, d->where);
    if (size == 28) crop_28(d->pixels[i], (size_t)(n * channels));
    *(i ? &d->test : &d->train) =
        nn_dataset_pixels(d->pixels[i], d->labels[i], n, channels, size, size);
  }
  if (gray) strcat(d->name, " gray");
  if (size == 28) strcat(d->name, ", middle 28x28");
}

static void load_cifar(struct data *d, const char *folder, int gray, int size) {
  /* The published files begin with these classes. */
  static const char first[2][10] = {{6, 9, 9, 4, 1, 1, 2, 7, 8, 3}, {3, 8, 8, 0, 6, 6, 1, 6, 3, 1}};
  struct text records[2] = {{0}, {0}};
  int published = 1;
  for (int k = 0; k < 6; k++) {
    char path[PATH_SIZE];
    nn_array bytes;
    nn_message why;
    path_of(path, "%s/%s", folder, cifar_names[k]);
    need_member(path);
    if (nn_file_read(path, (size_t)1 << 30, NULL, &bytes, &why)) fail("%s", why.text);
    if (bytes.count == 0 || bytes.count % CIFAR_RECORD != 0)
      fail("%s: %zu bytes are not whole records of %d: cut short?", path, bytes.count,
           CIFAR_RECORD);
    for (size_t at = 0; at < bytes.count; at += CIFAR_RECORD)
      if (((const uint8_t *)bytes.data)[at] >= CLASSES)
        fail("%s: byte %zu: label %d is not 0 .. %d", path, at, ((const uint8_t *)bytes.data)[at],
             CLASSES - 1);
    text_bytes(&records[k == 5], bytes.data, bytes.count);
    nn_array_free(&bytes);
  }
  for (int i = 0; i < 2; i++) {
    published = published && records[i].size == (size_t)CIFAR_RECORD * (i ? 10000 : 50000);
    for (int j = 0; published && j < 10; j++)
      published = records[i].data[j * CIFAR_RECORD] == first[i][j];
  }
  for (int i = 0; i < 2; i++) d->crc = nn_crc32(d->crc, records[i].data, records[i].size);
  name_data(d, published ? "CIFAR-10" : "CIFAR-10 (not the published files)");
  path_of(d->where, "%s", folder);
  take_records(d, records, gray, size);
}

/* The images that the program draws itself. Their seeds are fixed: they are a data set. */
static void draw(struct data *d, int cifar, int gray, int size) {
  const size_t each = cifar ? 3072 : 784;
  struct text records[2] = {{0}, {0}};
  snprintf(d->name, sizeof d->name, cifar ? "drawn shapes" : "drawn digits");
  path_of(d->where, "the program itself");
  for (int half = 0; half < 2; half++) {
    const int n = cifar ? (half ? SHAPE_TESTS : SHAPES) : (half ? DIGIT_TESTS : DIGITS);
    uint8_t *pixels = d->pixels[half] = allocate((size_t)n, each);
    int32_t *labels = d->labels[half] = allocate((size_t)n, sizeof *labels);
    (cifar ? draw_shapes : draw_digits)(half ? 2 : 1, n, pixels, labels);
    d->crc = nn_crc32(d->crc, pixels, (size_t)n * each);
    *(half ? &d->test : &d->train) = nn_dataset_pixels(pixels, labels, n, 1, 28, 28);
    for (int i = 0; cifar && i < n; i++) {
      const char label = (char)labels[i];
      text_bytes(&records[half], &label, 1);
      text_bytes(&records[half], (const char *)pixels + (size_t)i * each, each);
    }
    if (cifar) free(pixels), free(labels);
  }
  if (cifar) take_records(d, records, gray, size);
}

/* Whether any of the files are in PLACE/SUB; the folder's path is left in `folder`. */
static int any_there(char folder[PATH_SIZE], const char *place, const char *sub,
                     const char *const *names, int count) {
  char path[PATH_SIZE];
  path_of(folder, "%s%s%s", place, *sub ? "/" : "", sub);
  for (int i = 0; i < count; i++) {
    path_of(path, "%s/%s", folder, names[i]);
    if (file_exists(path)) return 1;
  }
  return 0;
}

/* Loads from one place if any of the files are there, in the usual folders or directly; else 0. */
static int load_from(struct data *d, const char *place, int cifar, int gray, int size) {
  char folder[PATH_SIZE];
  const int idx = !cifar || (gray && size == 28);
  if (idx && (any_there(folder, place, cifar ? "cifar10-28gray" : "mnist", idx_names, 4) ||
              any_there(folder, place, "", idx_names, 4) ||
              (!cifar && any_there(folder, place, "fashion-mnist", idx_names, 4)))) {
    load_idx(d, folder);
    return 1;
  }
  if (cifar && (any_there(folder, place, "cifar-10-batches-bin", cifar_names, 6) ||
                any_there(folder, place, "", cifar_names, 6))) {
    load_cifar(d, folder, gray, size);
    return 1;
  }
  return 0;
}

/* Whether a place has files of any set. */
static int has_images(const char *place) {
  static const char *const subs[] = {"", "mnist", "fashion-mnist", "cifar10-28gray"};
  char folder[PATH_SIZE];
  for (int i = 0; i < 4; i++)
    if (any_there(folder, place, subs[i], idx_names, 4)) return 1;
  return any_there(folder, place, "", cifar_names, 6) ||
         any_there(folder, place, "cifar-10-batches-bin", cifar_names, 6);
}

/* The only place that may have the images, or NULL: what --data names; or what NN_DATA names if no
 * set is there, for then it is mistyped. */
static const char *only_place(const struct settings *s) {
  const char *environment = getenv("NN_DATA");
  if (is_set(s, OPT_DATA)) return s->v[OPT_DATA].text;
  return environment && *environment && !has_images(environment) ? environment : NULL;
}

/* Which data: those of the only place; else of $NN_DATA, data, the system, and if `draws` those the
 * program draws. 0 if there are none; with `draws` that is an error instead. */
static int data_find(struct data *d, const struct settings *s, int cifar, int draws) {
  const char *place = only_place(s), *environment = getenv("NN_DATA");
  const int gray = is_set(s, OPT_GRAY), size = is_choice(s, OPT_SIZE, "28") ? 28 : 32;
  char path[PATH_SIZE];
  memset(d, 0, sizeof *d);
  if (place) {
    if (load_from(d, place, cifar, gray, size)) return 1;
    if (!draws) return 0;
    fail("no %s files in %s%s: %s should be there or in %s (data/fetch %s downloads them)",
         cifar ? "CIFAR-10" : "MNIST", place, is_set(s, OPT_DATA) ? "" : ", which NN_DATA names",
         cifar ? cifar_names[0] : idx_names[0],
         cifar ? "cifar-10-batches-bin" : "mnist", cifar ? "cifar10" : "mnist");
  }
  if (environment && *environment && load_from(d, environment, cifar, gray, size)) return 1;
  if (load_from(d, "data", cifar, gray, size)) return 1;
  path_of(path, "%s/%s.gz", system_folder, idx_names[0]);
  if (!cifar && HAS_GZIP && file_exists(path)) {
    load_idx(d, system_folder);
    return 1;
  }
  if (draws) draw(d, cifar, gray, size);
  return draws;
}

/* What nets that are trained on this data begin with: pixels/255 as they are for digits, 32x32
 * images (x - .5)/.5, 28x28 ones standardised over the training images. */
static void data_moments(struct data *d, int cifar) {
  const int channels = d->train.channels;
  for (int c = 0; cifar && c < channels; c++) d->mean[c] = (nn_real).5, d->scale[c] = 2;
  if (cifar && d->train.height == 28 &&
      nn_dataset_moments(&d->train, (size_t)channels, d->mean, d->scale))
    fail("%s: its training images have no mean", d->where);
}

/* The names of its classes as the note that every model keeps: one a line. */
static const char *class_names(const struct data *d) {
  return strncmp(d->name, "CIFAR-10", 8) == 0
             ? "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck"
         : strcmp(d->name, "Fashion-MNIST") == 0
             ? "T-shirt\ntrousers\npullover\ndress\ncoat\nsandal\nshirt\nsneaker\nbag\nboot"
             : "0\n1\n2\n3\n4\n5\n6\n7\n8\n9";
}

/* "MNIST, 60,000 + 10,000 images 28x28, from data/mnist" */
static void text_data(struct text *t, const struct data *d) {
  text_add(t, "%s, %s + %s images %dx%d%s, from %s", d->name, grouped(d->train.count).text,
           grouped(d->test.count).text, d->train.height, d->train.width,
           d->train.channels == 3 ? " in colour" : "", d->where);
}

/* ========================================== @@NET =========================================== */

static const char *net_name(const struct settings *s) {
  static const char *const names[] = {"RNN", "LSTM", "GRU", "LeNet5", "MLP"};
  return s->command->bit == CIFAR10 ? "LeNet5" : names[whole_of(s, OPT_CELL)];
}

/* As tables that compare have it. */
static const char *net_label(const struct settings *s) {
  return is_cnn(s) ? "CNN (LeNet5)" : net_name(s);
}

static int add_dropout(nn_model *m, int x, const struct settings *s) {
  double keep = number_of(s, OPT_KEEP);
  return keep < 1 ? nn_dropout(m, x, 1 - keep) : x;
}

/* LeCun et al. 1998, as it is used today: two convolutions with max pooling, two linear layers. A
 * layer of size 0 is left out; its pooling stays, so that those after it keep their sizes. */
static int add_lenet5(nn_model *m, int x, const struct settings *s) {
  const int maps1 = whole_or(s, OPT_MAPS1, 32), maps2 = whole_or(s, OPT_MAPS2, 64);
  if (maps1)
    x = nn_relu(m, nn_conv2d(m, x, maps1, whole_or(s, OPT_KERNEL1, 5), whole_or(s, OPT_STRIDE1, 1),
                             whole_of(s, OPT_PAD1)));
  x = nn_max_pool2d(m, x, 2, 2, 0);
  if (maps2) x = nn_relu(m, nn_conv2d(m, x, maps2, 5, 1, whole_of(s, OPT_PAD2)));
  x = nn_flatten(m, nn_max_pool2d(m, x, 2, 2, 0));
  if (whole_of(s, OPT_HIDDEN)) {
    x = nn_linear(m, x, whole_of(s, OPT_HIDDEN));
    x = is_choice(s, OPT_ACTIVATION, "tanh") ? nn_tanh(m, x) : nn_relu(m, x);
  }
  return nn_linear(m, add_dropout(m, x, s), CLASSES);
}

/* Rows of an image, top to bottom, as the steps of a sequence. */
static int add_recurrent(nn_model *m, int x, const struct settings *s) {
  nn_recurrent_options o;
  memset(&o, 0, sizeof o);
  o.hidden = whole_of(s, OPT_HIDDEN);
  o.layers = whole_of(s, OPT_LAYERS);
  o.dropout = 1 - number_of(s, OPT_KEEP);
  o.relu = is_set(s, OPT_RELU);
  x = is_choice(s, OPT_CELL, "rnn")    ? nn_rnn_with(m, x, &o)
      : is_choice(s, OPT_CELL, "lstm") ? nn_lstm_with(m, x, &o)
                                       : nn_gru_with(m, x, &o);
  return nn_linear(m, add_dropout(m, nn_last_step(m, x), s), CLASSES);
}

static nn_optimizer optimizer_of(const struct settings *s, int64_t total) {
  static const nn_schedule_kind kinds[] = {NN_CONSTANT, NN_STEP, NN_EXPONENTIAL, NN_COSINE,
                                           NN_ONE_CYCLE};
  double rate = number_of(s, OPT_LR), momentum = number_of(s, OPT_MOMENTUM);
  nn_optimizer o = is_choice(s, OPT_OPTIMIZER, "adagrad")   ? nn_adagrad(rate)
                   : is_choice(s, OPT_OPTIMIZER, "rmsprop") ? nn_rmsprop(rate, momentum)
                   : is_choice(s, OPT_OPTIMIZER, "adam")    ? nn_adam(rate)
                   : is_choice(s, OPT_OPTIMIZER, "adamw")   ? nn_adamw(rate)
                                                            : nn_sgd(rate, momentum);
  if (o.kind == NN_RMSPROP) o.alpha = number_of(s, OPT_ALPHA);
  o.weight_decay = number_of(s, OPT_WEIGHT_DECAY);
  o.clip_norm = number_of(s, OPT_CLIP_NORM);
  if (is_set(s, OPT_CLIP_VALUE)) o.clip_value = number_of(s, OPT_CLIP_VALUE);
  o.schedule.kind = kinds[whole_of(s, OPT_SCHEDULE)];
  o.schedule.warmup = (int64_t)number_of(s, OPT_WARMUP);
  o.schedule.total = total;
  o.schedule.period = is_set(s, OPT_PERIOD) ? (int64_t)number_of(s, OPT_PERIOD)
                                            : (total + 2) / 3;
  o.schedule.gamma = number_of(s, OPT_GAMMA);
  if (o.schedule.warmup > total) refuse(s, OPT_WARMUP, "is longer than the run");
  return o;
}

static nn_config config_of(const struct settings *s) {
  nn_config c = nn_config_default();
  if (s->command->bit & TRAIN) {
    c.batch = whole_of(s, OPT_BATCH);
    c.seed = (uint64_t)number_of(s, OPT_SEED);
  }
  c.threads = whole_of(s, OPT_THREADS);
  nn_isa_find(s->v[OPT_ISA].text, &c.isa);
  return c;
}

/* --init, for every layer that has weights. */
static void set_initial(nn_model *m, const struct settings *s) {
  static const nn_init inits[] = {NN_INIT_DEFAULT, NN_INIT_HE_NORMAL, NN_INIT_XAVIER_UNIFORM,
                                  NN_INIT_ORTHOGONAL, NN_INIT_TRUNCATED_NORMAL};
  nn_node_info info;
  for (int i = 0; nn_get_node(m, i, &info) == NN_OK; i++) {
    nn_init init = inits[whole_of(s, OPT_INIT)];
    double value = 1;
    if (init == NN_INIT_HE_NORMAL) value = sqrt(2);
    if (init == NN_INIT_TRUNCATED_NORMAL && !is_recurrent(s)) value = .1;
    else if (init == NN_INIT_TRUNCATED_NORMAL && strcmp(info.kind, "linear") != 0)
      init = NN_INIT_XAVIER_UNIFORM;
    if (info.params) nn_set_init(m, i, init, value);
  }
}

/* TensorFlow's LSTM remembers at the start: the forget gates' biases are greater by 1. */
static void open_forget_gates(nn_model *m, const struct settings *s) {
  const size_t units = (size_t)number_of(s, OPT_HIDDEN);
  nn_param p;
  if (!is_choice(s, OPT_INIT, "tensorflow") || !is_recurrent(s) || !is_choice(s, OPT_CELL, "lstm"))
    return;
  for (int i = 0; nn_get_param(m, i, &p) == NN_OK; i++)
    for (size_t k = units; strstr(p.name, "bias_ih") && k < 2 * units; k++) p.value[k] += 1;
}

/* What a model needs to be known by. The command has every option that decides what comes out. */
static void set_notes(nn_model *m, const struct settings *s, const struct data *d) {
  struct text command = {0}, data = {0};
  text_add(&command, "nn %s", s->command->name);
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!(options[o].commands & s->command->bit) || !is_set(s, (enum option)o) || is_outward(o) ||
        may_change(o) || o == OPT_ISA)
      continue;
    text_add(&command, " --%s", options[o].name);
    if (options[o].kind != FLAG) text_put(&command, " "), text_word(&command, s->v[o].text);
  }
  text_add(&data, "%s, CRC-32 %08lx", d->name, (unsigned long)d->crc);
  if (nn_set_note(m, "classes", class_names(d)) || nn_set_note(m, "data", data.data) ||
      nn_set_note(m, "command", command.data))
    fail("%s", nn_error(m));
  text_free(&command);
  text_free(&data);
}

/* The network and optimizer that the settings describe, built. */
static nn_model *build_model(const struct settings *s, const nn_config *c, const struct data *d,
                             int64_t total) {
  nn_optimizer o = optimizer_of(s, total);
  nn_model *m = nn_create(c);
  const nn_dataset *t = &d->train;
  int x;
  if (!m) fail("a model cannot be made: out of memory, or --threads is too large");
  if (is_recurrent(s)) {
    x = add_recurrent(m, nn_input_sequence(m, t->height, t->width), s);
  } else {
    x = nn_input_image(m, t->channels, t->height, t->width);
    if (s->command->bit == CIFAR10) x = nn_normalise(m, x, d->mean, d->scale);
    if (is_cnn(s)) {
      x = add_lenet5(m, x, s);
    } else {
      x = nn_relu(m, nn_linear(m, nn_flatten(m, x), whole_of(s, OPT_HIDDEN)));
      x = nn_linear(m, add_dropout(m, x, s), CLASSES);
    }
  }
  set_initial(m, s);
  nn_cross_entropy(m, x);
  nn_set_optimizer(m, &o);
  if (nn_build(m)) fail("the network cannot be built: %s", nn_error(m));
  open_forget_gates(m, s);
  set_notes(m, s, d);
  return m;
}

static nn_load_result load_model(const char *path, const nn_config *c) {
  nn_load_result loaded;
  nn_message why;
  need_regular(path);
  if (nn_load(path, c, &loaded, &why)) fail("%s", why.text);
  return loaded;
}

static size_t parameter_count(nn_model *m) {
  size_t count = 0;
  nn_parameters(m, &count);
  return count;
}

/* ========================================= @@REPORT =========================================
 * One file that needs nothing else: styles, curves and pictures are inside. Colours are CSS
 * variables, so that the curves follow the reader's light or dark mode. */

/* A line of log.csv: means over the steps since the line before; test figures NAN if not tested. */
struct row {
  int64_t step;
  double epoch, loss, accuracy, test_loss, test_accuracy, seconds;
};

struct picture {
  int width, height;
  double most; /* the absolute value that white and black stand for */
  unsigned char *rgba;
};

struct run {
  struct settings s;
  const struct data *d;
  const char *const *again; /* the words that go on with it; one: the program's, resuming it */
  char folder[PATH_SIZE];
  lock *lock; /* of the folder while it is trained in */
  nn_model *m;
  int64_t total, per_epoch, test_every, save_every, row_every; /* in steps */
  size_t parameters;
  nn_progress progress;
  double window_loss;            /* the sums that the next row is made of */
  int64_t window_correct, window_rows;
  int64_t best_step;                    /* of the model in best.nn, 0 while there is none */
  double best_accuracy;                 /* its share of the test set */
  double deadline;                      /* the demonstration's: when to end; 0: at the last step */
  int cut;                              /* ended by it */
  int diverged;                         /* ended by a NaN or infinity; `why` has the sentence */
  nn_message why;
  int64_t left_out_before;              /* steps, with --keep-going, before the present one */
  int64_t saved_step;                   /* of the checkpoint in last.nn; -1: none to keep */
  double save_seconds, saved_at;        /* --save-seconds, or 0; when last.nn was written */
  int save_due;                         /* so many have passed */
  int watch;                            /* activations are measured at every test */
  nn_model *probe;                      /* a copy that keeps them */
  struct text activations;              /* activations.csv, but for its first line */
  double seconds, started;              /* of training so far; when the present stretch began */
  double session_seconds, drawn;        /* since this process began; last redrawing */
  int64_t session_step;                 /* where it began */
  int live, colour, quiet, brief;       /* brief: no line a test */
  int silent;                           /* no word on what is lost, for nothing goes on with it */
  struct row *rows;
  size_t row_count;
  struct text facts;          /* what settings.txt holds */
  struct picture filters[2];  /* of the first layer, at the start and now; none if not conv */
};

/* The last row with a test; NULL if there is none. */
static const struct row *last_tested(const struct run *r) {
  size_t i = r->row_count;
  while (i > 0 && isnan(r->rows[i - 1].test_accuracy)) i--;
  return i ? &r->rows[i - 1] : NULL;
}
/* Whether the test of the present step gave no finite loss: the model is of no use. */
static int is_ruined(const struct run *r) {
  const struct row *last = last_tested(r);
  return last && last->step == r->progress.step && isnan(last->test_loss);
}

static double best_epoch(const struct run *r) {
  return (double)r->best_step / (double)r->per_epoch;
}

/* "1,200", or "600/1,200" if it did not get to the end. */
static struct word steps_of(const struct run *r) {
  const struct word done = grouped((double)r->progress.step), all = grouped((double)r->total);
  struct word w = done;
  if (r->progress.step < r->total)
    snprintf(w.text, sizeof w.text, "%.22s/%.22s", done.text, all.text);
  return w;
}

static struct picture picture_of(int width, int height) {
  struct picture p = {width, height, 0, allocate((size_t)width * (size_t)height, 4)};
  return p;
}

static void put_pixel(struct picture *p, int row, int column, double red, double green,
                      double blue, double alpha) {
  const double v[4] = {red, green, blue, alpha};
  unsigned char *to = p->rgba + 4 * (row * p->width + column);
  for (int c = 0; c < 4; c++) to[c] = (unsigned char)(fmin(fmax(v[c], 0), 255) + .5);
}

/* A part of an array [channels,height,width] with 0 as gray and the greatest absolute value as
 * black or white, or, of three channels, as full colours. most: that value; 0: the part's own. */
static void put_signed(struct picture *p, int row, int column, const nn_real *x, const int dim[3],
                       const int *part, double most) {
  const int whole[4] = {0, 0, dim[1], dim[2]};
  const int plane = dim[1] * dim[2], channels = dim[0] == 3 ? 3 : 1;
  if (!part) part = whole;
  for (int pass = most > 0; pass < 2; pass++)
    for (int i = 0; i < part[2]; i++)
      for (int j = 0; j < part[3]; j++) {
        const nn_real *at = x + (part[0] + i) * dim[2] + part[1] + j;
        double v[3];
        for (int c = 0; c < 3; c++) {
          v[c] = (double)at[c % channels * plane];
          if (!pass) most = fmax(most, fabs(v[c]));
          else v[c] = 127.5 + (most > 0 ? 127.5 * v[c] / most : 0);
        }
        if (pass) put_pixel(p, row + i, column + j, v[0], v[1], v[2], 255);
      }
}

static double greatest(const nn_param *w) {
  double most = 0;
  for (size_t i = 0; i < w->count; i++) most = fmax(most, fabs((double)w->value[i]));
  return most;
}

/* The first layer's filters side by side, white the greatest weight and black its negative. */
static struct picture picture_filters(nn_model *m) {
  enum { COLUMNS = 8 };
  struct picture p = {0, 0, 0, NULL};
  nn_param w;
  if (nn_get_param(m, 0, &w) || w.rank != 4) return p;
  const int dim[3] = {w.dim[1], w.dim[2], w.dim[3]}, high = dim[1] + 1, wide = dim[2] + 1;
  const size_t each = w.count / (size_t)w.dim[0];
  p = picture_of(COLUMNS * wide - 1, (w.dim[0] + COLUMNS - 1) / COLUMNS * high - 1);
  p.most = greatest(&w);
  for (int f = 0; f < w.dim[0]; f++)
    put_signed(&p, f / COLUMNS * high, f % COLUMNS * wide, w.value + (size_t)f * each, dim, NULL,
               p.most);
  return p;
}

static void collect_png(void *text, void *bytes, int size) {
  text_bytes(text, bytes, (size_t)size);
}

/* The picture itself, as an address; gray ones as such, which is a third of the size. */
static void html_png(struct text *t, const struct picture *p) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t count = (size_t)p->width * (size_t)p->height;
  struct text png = {0};
  unsigned char *gray = allocate(count, 2);
  int is_gray = 1;
  for (size_t i = 0; i < count; i++) {
    const unsigned char *v = p->rgba + 4 * i;
    is_gray = is_gray && v[0] == v[1] && v[1] == v[2];
    gray[2 * i] = v[0], gray[2 * i + 1] = v[3];
  }
  stbi_write_png_to_func(collect_png, &png, p->width, p->height, is_gray ? 2 : 4,
                         is_gray ? gray : p->rgba, (is_gray ? 2 : 4) * p->width);
  free(gray);
  text_put(t, "data:image/png;base64,");
  for (size_t i = 0; i < png.size; i += 3) {
    unsigned long v = 0;
    char four[5] = "====";
    const size_t n = png.size - i < 3 ? png.size - i : 3;
    for (size_t k = 0; k < 3; k++) v = v << 8 | (k < n ? (unsigned char)png.data[i + k] : 0u);
    for (size_t k = 0; k <= n; k++) four[k] = digits[v >> (18 - 6 * k) & 63];
    text_bytes(t, four, 4);
  }
  text_free(&png);
}

static void html_image(struct text *t, const struct picture *p, const char *alt) {
  text_put(t, "<img alt=\"");
  text_html(t, alt);
  text_put(t, "\" src=\"");
  html_png(t, p);
  text_put(t, "\">");
}

static void html_picture(struct text *t, const struct picture *p, const char *what) {
  char alt[64];
  snprintf(alt, sizeof alt, "filters %s", what);
  text_put(t, "<figure class=card>");
  html_image(t, p, alt);
  text_add(t, "<figcaption>%s; white +%.2g, black -%.2g</figcaption></figure>\n", what, p->most,
           p->most);
}

enum { COLOURS = 8 }; /* of curves; the next so many are dashed, those after them dotted */
struct series {
  const char *name, *group; /* group: what it has in common with its neighbours, or NULL */
  int colour, thin; /* thin: a line without dots */
  size_t count;
  double *x, *y;
};

/* 1, 2 or 5 times a power of ten, such that at most `most` of them fit in the range. */
static double nice_step(double range, int most) {
  double power = pow(10, floor(log10(range / most)));
  double k = range / most / power;
  return power * (k <= 1 ? 1 : k <= 2 ? 2 : k <= 5 ? 5 : 10);
}

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--page:#f6f7f8;--card:#fff;--ink:#1b1f24;--soft:#57606a;"
    "--line:#dfe3e8;--edge:#1b1f2459;--c0:#1f6feb;--c1:#d4480b;--c2:#2a8540;--c3:#8a3fc4;"
    "--c4:#0e7c86;--c5:#b3246b;--c6:#7d6608;--c7:#57606a}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#0f1216;--card:#171b21;--ink:#e6e9ed;"
    "--soft:#9aa4b0;--line:#2b323b;--edge:#d3e4ff4d;--c0:#6cabff;--c1:#ff9457;--c2:#5fd07c;"
    "--c3:#c793ff;--c4:#4fd1dc;--c5:#ff7fb6;--c6:#d9bd4a;--c7:#9aa4b0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif;"
    "overflow-wrap:anywhere}\n"
    "main{max-width:66rem;margin:auto;padding:1.5rem 1rem 3rem}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:0}h2{font-size:1.2rem;margin:2.2rem 0 .7rem}"
    "h3{font-size:1rem;margin:0}p{margin:.3rem 0}\n"
    ".soft,figcaption,th,.k span,.s span,svg text{color:var(--soft);fill:var(--soft)}\n"
    ".card,.k div{background:var(--card);border:1px solid var(--line);border-radius:.6rem}"
    ".card{margin:0;padding:.8rem 1rem;min-width:0}\n"
    ".grid{display:grid;gap:1rem;grid-template-columns:"
    "repeat(auto-fill,minmax(min(100%,25rem),1fr))}\n"
    ".k{display:flex;flex-wrap:wrap;gap:.7rem;margin:1.2rem 0}"
    ".k div{flex:1 1 8.6rem;padding:.6rem .9rem}.k b{display:block;font-size:1.35rem;"
    "line-height:1.3}.k span{font-size:.82rem}\n"
    ".s{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));"
    "gap:0 1.5rem;font-size:.9rem}.s div{border-bottom:1px solid var(--line);padding:.2rem 0}"
    ".s div{display:flex;gap:.6rem}"
    ".s span{flex:0 0 7rem}.s b{font-weight:400}\n"
    "ul{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.2rem 0;padding:0;"
    "font-size:.85rem;color:var(--soft)}li::before{content:'';display:inline-block;width:1.1rem;"
    "height:.2rem;border-radius:.1rem;background:var(--c);margin-right:.4rem;vertical-align:.25em}"
    "li.thin::before{height:.1rem}li.of{font-weight:600}li.of::before{display:none}\n"
    "svg{display:block;width:100%;height:auto}svg text{font-size:14px}.g{stroke:var(--line)}"
    ".l{fill:none;stroke:var(--c);stroke-width:2.4;stroke-linejoin:round}.l.thin{stroke-width:1.3}"
    "circle{fill:var(--c)}\n"
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}"
    ".c5{--c:var(--c5)}.c6{--c:var(--c6)}.c7{--c:var(--c7)}.d1{stroke-dasharray:7 4}"
    ".d2{stroke-dasharray:2 3}li.d1::before,li.d2::before{background:repeating-linear-gradient("
    "90deg,var(--c) 0 .3rem,transparent .3rem .5rem)}b.net{color:var(--c)}"
    "a{color:inherit}\n"
    "img{display:block;width:100%;max-width:30rem;image-rendering:pixelated;margin:auto}"
    "figcaption{font-size:.85rem;margin-top:.5rem}\n"
    "table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:.3rem 0 .3rem .7rem;border-bottom:1px solid var(--line);"
    "overflow-wrap:normal}th{font-weight:500}.a{text-align:left}"
    "tr>:first-child{padding-left:0}"
    "tr:last-child>*{border:0}"
    /* where a table goes on beyond its right edge, a shadow stands there; its end covers it */
    ".x{overflow-x:auto;margin:1.2rem 0;background:linear-gradient(to left,var(--card) 40%,"
    "transparent) right/3rem 100% no-repeat local,linear-gradient(to left,var(--edge),transparent) "
    "right/1.1rem 100% no-repeat,var(--card)}.x th,.x td{white-space:nowrap}"
    ".x tr>:first-child{position:sticky;left:0;background:var(--card)}\n"
    "details{margin-top:1rem}summary{cursor:pointer;font-weight:600;margin-bottom:.3rem}"
    "code{font-size:.9rem}\n";
static const char look_style[] = /* its end; C99 promises no more than 4095 bytes of a string */
    "#look{margin-top:2rem}section{margin-top:3rem;border-top:1px solid var(--line)}"
    "section h3{margin:1.4rem 0 .5rem}"
    "figure.card h3{margin:0}section>p{max-width:46rem;margin:.3rem 0 .8rem}"
    "svg image{image-rendering:pixelated}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(var(--w),1fr));"
    "gap:.7rem .6rem;text-align:center;font-size:.75rem;color:var(--soft)}"
    ".tiles div>span{display:flex;gap:.5rem}.tiles img{max-width:none}"
    ".tiles img,.p img{outline:1px solid var(--edge)}"
    ".tiles .dead>span{min-height:calc(var(--w)/2);border:1px dashed var(--line);"
    "align-items:center;justify-content:center}"
    ".p td,.p th{text-align:center;border:0;padding:.25rem}.p td:first-child{text-align:left}"
    ".p img{width:var(--w);max-width:none}.p.x td{vertical-align:middle}"
    ".m td{min-width:2.6rem;text-align:center;padding:.35rem;border:1px solid var(--card)}"
    ".m th{padding:.35rem}li i{font-style:normal}\n"
    "@media(max-width:34rem){svg text{font-size:18px}h1{font-size:1.4rem}table{font-size:.85rem}}"
    "\n"
    "</style>\n";

/* The plotting area of every figure, and the values at its edges; of y perhaps the logarithms. */
enum { WIDTH = 480, LEFT = 54, RIGHT = 466, TOP = 12, BOTTOM = 248 };
struct axes {
  double x_least, x_most, low, high;
  int logarithmic, left; /* left: LEFT, or more where labels are long */
};
static double place_x(const struct axes *a, double x) {
  return a->left + (RIGHT - a->left) * (x - a->x_least) / (a->x_most - a->x_least);
}
static double place_y(const struct axes *a, double y) {
  if (a->logarithmic) y = log10(y);
  return BOTTOM - (BOTTOM - TOP) * (y - a->low) / (a->high - a->low);
}

/* What a label takes at most: a phone's letters are 18 high, and a plus is wide. */
static double label_width(const char *label) {
  return 10.3 * (double)strlen(label) + (strchr(label, '+') ? 12 : 0);
}

/* t: NULL just makes room for the label. */
static void html_y_tick(struct text *t, struct axes *a, double y, double label) {
  const double at = place_y(a, y);
  char text[24];
  snprintf(text, sizeof text, "%g", label);
  if (!t) a->left = (int)fmax(a->left, label_width(text) + 8);
  else text_add(t, "<path class=g d=\"M%d %.1fH%d\"/><text x=%d y=%.1f text-anchor=end>%s</text>\n",
                a->left, at, RIGHT, a->left - 6, at + 5, text);
}

/* A label below the axis, at its place or as far left of it as the edge demands; none where it
 * would meet the one to its right. *room: where that begins; moved to where this one does. */
static void html_x_label(struct text *t, double x, double label, double *room) {
  char text[24];
  snprintf(text, sizeof text, "%.7g", label);
  const double width = label_width(text);
  const int last = x + width / 2 > WIDTH;
  if ((last ? WIDTH : x + width / 2) > *room) return;
  *room = (last ? WIDTH - width : x - width / 2) - 6;
  text_add(t, "<text x=%.1f y=%d text-anchor=%s>%s</text>\n", last ? WIDTH : x, BOTTOM + 21,
           last ? "end" : "middle", text);
}

/* The y axis' ticks between low and high, or the room for their labels; t as above. */
static void html_y_ticks(struct text *t, struct axes *a, double step, double scale) {
  static const double steps[] = {1, 2, 5};
  const double low = pow(10, a->low - 1e-9), high = pow(10, a->high + 1e-9);
  const int dense = high / low < 150;
  if (a->logarithmic) {
    const int every = 1 + (int)((a->high - a->low) / 12); /* labels have to find room */
    for (int k = (int)floor(a->low); k <= a->high + 1e-9; k += every)
      for (int i = 0; i < (dense ? 3 : 1); i++) {
        const double y = pow(10, k) * steps[i];
        if (y >= low && y <= high) html_y_tick(t, a, y, y);
      }
    return;
  }
  const int64_t first = (int64_t)ceil(a->low / step - .01);
  for (int64_t i = first; (double)i * step <= a->high + step * .01; i++)
    html_y_tick(t, a, (double)i * step, scale * (double)i * step);
}

/* The class that gives a curve its colour, and so on. */
static void html_class(struct text *t, const struct series *s) {
  text_add(t, "class=\"l c%d d%d%s\"", s->colour % COLOURS, s->colour / COLOURS % 3,
           s->thin ? " thin" : "");
}

/* Leaves out the points that no axis can hold, NaN among them: any number may come from a file. */
static void keep_drawable(struct series *s, int is_share) {
  const double most = is_share ? 1e3 : 1e300;
  size_t kept = 0;
  for (size_t k = 0; k < s->count; k++)
    if (fabs(s->x[k]) <= 1e300 && fabs(s->y[k]) <= most) {
      s->x[kept] = s->x[k];
      s->y[kept++] = s->y[k];
    }
  s->count = kept;
}

/* Chooses what the axes span, and draws names and ticks, of x at multiples of x_step (0: as is
 * best). Losses that span much get a logarithmic axis. 0 if there is nothing to show. */
static int html_axes(struct text *t, struct axes *a, const char *title, const char *x_name,
                     double x_step, int is_share, struct series *list, int count) {
  double low = HUGE_VAL, high = -HUGE_VAL, step = 0, room = WIDTH;
  a->x_least = a->x_most = 0;
  for (int i = 0; i < count; i++) {
    keep_drawable(&list[i], is_share);
    for (size_t k = 0; k < list[i].count; k++) {
      a->x_least = fmin(a->x_least, list[i].x[k]);
      a->x_most = fmax(a->x_most, list[i].x[k]);
      low = fmin(low, list[i].y[k]);
      high = fmax(high, list[i].y[k]);
    }
  }
  if (!(low <= high) || a->x_most - a->x_least < 1e-300) return 0;
  a->logarithmic = !is_share && low > 0 && high / low > 25;
  text_add(t, "<figure class=card><h3>%s%s</h3><ul>", title,
           a->logarithmic ? " <span class=soft>(logarithmic axis)</span>" : "");
  for (int i = 0; i < count; i++) {
    if (list[i].group && (i == 0 || strcmp(list[i].group, list[i - 1].group) != 0)) {
      text_put(t, i ? "</ul><ul><li class=of>" : "<li class=of>");
      text_html(t, list[i].group);
    }
    text_put(t, "<li ");
    html_class(t, &list[i]);
    text_put(t, ">");
    text_html(t, list[i].name);
  }
  text_add(t, "</ul><svg viewBox=\"0 0 480 300\" role=img aria-label=\"%s against %s\">\n", title,
           x_name);
  a->left = LEFT;
  if (a->logarithmic) {
    a->low = log10(low);
    a->high = log10(high);
  } else {
    if (!is_share) low = fmin(low, 0), high = fmax(high, 0);
    if (high - low < 1e-9) { /* a constant: as a line amid what it might have been */
      low = is_share ? fmax(low - .05, 0) : low;
      high += is_share ? .05 : 1;
    }
    step = nice_step(high - low, 6);
    a->low = floor(low / step + 1e-9) * step;
    a->high = ceil(high / step - 1e-9) * step;
  }
  for (int pass = 0; pass < 2; pass++) html_y_ticks(pass ? t : NULL, a, step, is_share ? 100 : 1);
  step = x_step > 0 ? x_step : nice_step(a->x_most - a->x_least, 6);
  for (int i = (int)floor(a->x_most / step + 1e-4); i * step >= a->x_least - step * 1e-4; i--) {
    text_add(t, "<path class=g d=\"M%.1f %dv5\"/>", place_x(a, i * step), BOTTOM);
    html_x_label(t, place_x(a, i * step), i * step, &room);
  }
  text_add(t, "<path class=g d=\"M%d %dH%d\"/><text x=%d y=292 text-anchor=middle>%s</text>\n",
           a->left, BOTTOM, RIGHT, (a->left + RIGHT) / 2, x_name);
  return 1;
}

/* A figure with axes, ticks and a legend. Frees the series. */
static void html_chart(struct text *t, const char *title, const char *x_name, double x_step,
                       int is_share, struct series *list, int count) {
  struct axes a;
  const int any = html_axes(t, &a, title, x_name, x_step, is_share, list, count);
  for (int i = 0; i < count; i++) {
    const struct series *s = &list[i];
    if (any) {
      text_put(t, "<path ");
      html_class(t, s);
      text_put(t, " d=\"");
      for (size_t k = 0; k < s->count; k++)
        text_add(t, "%c%.1f %.1f", k ? 'L' : 'M', place_x(&a, s->x[k]), place_y(&a, s->y[k]));
      text_put(t, "\"/>\n");
      for (size_t k = 0; !s->thin && s->count <= 60 && k < s->count; k++)
        text_add(t, "<circle class=c%d r=3 cx=%.1f cy=%.1f><title>%g: %.4g</title></circle>\n",
                 s->colour % COLOURS, place_x(&a, s->x[k]), place_y(&a, s->y[k]), s->x[k],
                 is_share ? 100 * s->y[k] : s->y[k]);
    }
    free(s->x);
    free(s->y);
  }
  if (any) text_put(t, "</svg></figure>\n");
}

enum { SHOW_LOSS = 1, SHOW_TEST = 2, AGAINST_SECONDS = 4 };
static struct series series_of(const struct row *rows, size_t count, int what) {
  struct series s;
  memset(&s, 0, sizeof s);
  s.x = allocate(count, sizeof *s.x);
  s.y = allocate(count, sizeof *s.y);
  for (size_t i = 0; i < count; i++) {
    const struct row *w = &rows[i];
    const double y = what & SHOW_TEST ? (what & SHOW_LOSS ? w->test_loss : w->test_accuracy)
                                      : (what & SHOW_LOSS ? w->loss : w->accuracy);
    if (isnan(y)) continue;
    s.x[s.count] = what & AGAINST_SECONDS ? w->seconds : w->epoch;
    s.y[s.count++] = y;
  }
  s.thin = !(what & SHOW_TEST);
  s.colour = what & SHOW_TEST ? 1 : 0;
  s.name = what & SHOW_TEST ? "test" : "training";
  return s;
}

/* Training and test curves of one run. */
static void html_curves(struct text *t, const struct run *r, int loss) {
  struct series list[2] = {series_of(r->rows, r->row_count, loss),
                           series_of(r->rows, r->row_count, loss | SHOW_TEST)};
  html_chart(t, loss ? "Loss, nats" : "Accuracy, %", "epoch", 0, !loss, list, 2);
}

/* What a figure compares. */
struct curve {
  const char *name, *group; /* as in a series */
  const struct row *rows;
  size_t count;
};

static void html_compared(struct text *t, const struct curve *curves, int count, int what) {
  struct series *list = allocate((size_t)count, sizeof *list);
  char title[64];
  snprintf(title, sizeof title, "%s %s%s", what & SHOW_TEST ? "Test" : "Training",
           what & SHOW_LOSS ? "loss, nats" : "accuracy, %",
           what & AGAINST_SECONDS ? ", against time" : "");
  for (int i = 0; i < count; i++) {
    list[i] = series_of(curves[i].rows, curves[i].count, what);
    list[i].colour = i;
    list[i].thin = curves[i].count > 1000;
    list[i].name = curves[i].name;
    list[i].group = curves[i].group;
  }
  html_chart(t, title, what & AGAINST_SECONDS ? "seconds of training" : "epoch", 0,
             !(what & SHOW_LOSS), list, count);
  free(list);
}

/* A table of words, written in three ways. The first column names the row. */
struct table {
  const char *const *heads; /* up to a NULL */
  char **cells;
  size_t count;
};

static int columns_of(const struct table *t) {
  int columns = 0;
  while (t->heads[columns]) columns++;
  return columns;
}
static int rows_of(const struct table *t) {
  return (int)t->count / columns_of(t);
}

PRINTF_LIKE(2, 3) static void cell(struct table *t, const char *format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  char **cells = realloc(t->cells, (t->count + 1) * sizeof *cells);
  if (!cells) fail("out of memory");
  t->cells = cells;
  t->cells[t->count] = allocate(strlen(text) + 1, 1);
  strcpy(t->cells[t->count++], text);
}

static void table_free(struct table *t) {
  while (t->count) free(t->cells[--t->count]);
  free(t->cells);
  t->cells = NULL;
}

/* To stdout, in columns. */
static void print_table(const struct table *t) {
  const int columns = columns_of(t), rows = rows_of(t);
  for (int i = -1; i < rows; i++)
    for (int k = 0; k < columns; k++) {
      size_t width = strlen(t->heads[k]);
      for (int j = 0; j < rows; j++) {
        const size_t n = strlen(t->cells[j * columns + k]);
        if (n > width) width = n;
      }
      const char *text = i < 0 ? t->heads[k] : t->cells[i * columns + k];
      if (k == 0) printf("%-*s", (int)width, text);
      else printf("  %*s", (int)width, text);
      if (k + 1 == columns) putchar('\n');
    }
}

typedef char address[256];

/* links: for each row, where its name leads to, or ""; or NULL. coloured: names as their curves. */
static void html_table(struct text *to, const struct table *t, address *links, int coloured) {
  const int columns = columns_of(t), rows = rows_of(t);
  text_put(to, "<div class=\"card x\" tabindex=0><table><tr>");
  for (int k = 0; k < columns; k++) text_add(to, "<th%s>%s", k ? "" : " class=a", t->heads[k]);
  for (int i = 0; i < rows; i++)
    for (int k = 0; k < columns; k++) {
      const char *text = t->cells[i * columns + k];
      const int linked = k == 0 && links && *links[i];
      text_put(to, k ? "<td>" : "</tr>\n<tr><td class=a>");
      if (k == 0 && coloured) text_add(to, "<b class=\"net c%d\">", i % COLOURS);
      if (linked) {
        text_put(to, "<a href=\"");
        text_html(to, links[i]);
        text_put(to, "\">");
      }
      text_html(to, text);
      if (k == 0) text_add(to, "%s%s", linked ? "</a>" : "", coloured ? "</b>" : "");
    }
  text_put(to, "</tr>\n</table></div>\n");
}

/* A cell with commas stands in quotes. */
static void save_table(const struct table *t, const char *path) {
  const size_t columns = (size_t)columns_of(t);
  struct text to = {0};
  for (size_t i = 0; i < columns + t->count; i++) {
    const char *text = i < columns ? t->heads[i] : t->cells[i - columns];
    const int quoted = text[strcspn(text, ",\"")] != 0;
    text_put(&to, quoted ? "\"" : "");
    for (; *text; text++) text_bytes(&to, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    text_put(&to, quoted ? "\"" : "");
    text_put(&to, i % columns == columns - 1 ? "\n" : ",");
  }
  text_save(&to, path);
  text_free(&to);
}

static void html_figure(struct text *t, const char *value, const char *name) {
  text_add(t, "<div><b>%s</b><span>%s</span></div>", value, name);
}

/* What settings.txt holds, as a grid of names and values. */
static void html_settings(struct text *t, const char *line) {
  for (; line && *line; line = next_line(line)) {
    const size_t fact = strncmp(line, "run.", 4) ? 0 : 4, key = strcspn(line, "=\n");
    if (line[key] != '=' || *line == '#' || strncmp(line, "command=", 8) == 0) continue;
    text_put(t, "<div><span>");
    text_bytes(t, line + fact, key - fact);
    text_put(t, "</span><b>");
    for (size_t k = key + 1; line[k] && line[k] != '\n'; k++) {
      const char one[2] = {line[k], 0};
      text_html(t, one);
    }
    text_put(t, "</b></div>\n");
  }
}

/* A line for every test; training figures are means since the test before. */
static void html_tests(struct text *t, const struct run *r) {
  double loss = 0, share = 0, sum = 0;
  text_put(t, "<div class=\"card x\" tabindex=0><table><tr><th class=a>step<th>epoch<th>training "
              "loss<th>training accuracy<th>test loss<th>test accuracy<th>seconds</tr>\n");
  for (size_t i = 0; i < r->row_count; i++) {
    const struct row *w = &r->rows[i];
    const double steps = (double)(w->step - (i ? w[-1].step : 0));
    loss += steps * w->loss;
    share += steps * w->accuracy;
    sum += steps;
    if (isnan(w->test_accuracy)) continue;
    text_add(t, "<tr><td class=a>%s<td>%.3g<td>%s<td>%s<td>%s<td>%s<td>%.1f</tr>\n",
             grouped((double)w->step).text, w->epoch, loss_of(loss / sum).text,
             percent(share / sum).text, loss_of(w->test_loss).text,
             percent(w->test_accuracy).text, w->seconds);
    loss = share = sum = 0;
  }
  text_put(t, "</table></div>\n");
}

/* What `nn look` has made of a run or model, each a section in a file of its own. */
static const char *const look_names[] = {"filters",     "activations",    "deconv",   "evolution",
                                         "invariance",  "occlusion",      "saliency",
                                         "correspondence", "depth",       "confusion",
                                         "ablation",    "kernels"};
enum { LOOKS = sizeof look_names / sizeof *look_names };
/* Of the run's folder; that of a miniature (--quick) is shown where there is nothing else. */
static const char *const look_folders[2] = {"look", "look-quick"};

/* What is kept of a look; NULL if there is nothing. The caller frees it. */
static char *read_look(const char *folder, const char *name) {
  char path[PATH_SIZE], *section = NULL;
  for (int i = 0; i < 2 && !section; i++) {
    path_of(path, "%s/%s/%s.html", folder, look_folders[i], name);
    section = read_text(path);
  }
  return section;
}

/* Figures, curves, filters and settings of one run. */
static void html_run(struct text *t, const struct run *r, int alone) {
  const struct row *last = last_tested(r);
  const double done = (double)r->progress.epoch * r->d->train.count + (double)r->progress.place;
  const char *open = alone ? " open" : "";
  struct text data = {0};
  text_data(&data, r->d);
  text_put(t, "<p class=soft>Data: ");
  text_html(t, data.data);
  text_free(&data);
  text_put(t, "</p>\n<div class=k>");
  if (r->best_step) {
    char name[64];
    snprintf(name, sizeof name, "best test accuracy (epoch %.3g)", best_epoch(r));
    html_figure(t, percent(r->best_accuracy).text, name);
  }
  if (last) html_figure(t, percent(last->test_accuracy).text, "last test accuracy");
  html_figure(t, duration(r->seconds).text, "training, tests left out");
  html_figure(t, grouped((double)r->parameters).text, "parameters");
  if (r->seconds > 0) html_figure(t, grouped(done / r->seconds).text, "samples a second");
  text_put(t, "</div>\n");
  if (r->progress.step < r->total)
    text_add(t, "<p><b>Not finished</b>: step %s of %s.</p>\n",
             grouped((double)r->progress.step).text, grouped((double)r->total).text);
  text_put(t, "<div class=grid>\n");
  html_curves(t, r, 0);
  html_curves(t, r, SHOW_LOSS);
  text_put(t, "</div>\n");
  char *seen = alone ? read_look(r->folder, "filters") : NULL; /* which shows them, too */
  if (r->filters[0].rgba && !seen) {
    text_put(t, "<h2>First layer's filters</h2><div class=grid>\n");
    html_picture(t, &r->filters[0], "before training");
    /* a look has read best.nn alone */
    html_picture(t, &r->filters[1], r->m ? "after training" : "of the best model");
    text_put(t, "</div>\n");
  }
  free(seen);
  text_add(t, "<details%s><summary>Tests</summary>", open);
  html_tests(t, r);
  text_add(t, "</details>\n<details%s><summary>Settings</summary><div class=s>\n", open);
  html_settings(t, r->facts.data);
  text_put(t, "</div></details>\n");
}

/* How several networks compare. */
static struct table compare(struct run *const *runs, int count) {
  static const char *const heads[] = {"network", "test accuracy", "best", "steps", "training",
                                      "parameters", "data", NULL};
  struct table t = {heads, NULL, 0};
  for (int i = 0; i < count; i++) {
    const struct run *r = runs[i];
    cell(&t, "%s", net_label(&r->s));
    cell(&t, "%s", percent(last_tested(r)->test_accuracy).text);
    cell(&t, "%s", percent(r->best_accuracy).text);
    cell(&t, "%s", steps_of(r).text);
    cell(&t, "%s", duration(r->seconds).text);
    cell(&t, "%s", grouped((double)r->parameters).text);
    cell(&t, "%s", r->d->name);
  }
  return t;
}

/* The table and the curves over which several runs are compared. */
static void html_comparison(struct text *t, struct run *const *runs, int count) {
  struct table table = compare(runs, count);
  struct curve *curves = allocate((size_t)count, sizeof *curves);
  html_table(t, &table, NULL, 1);
  for (int i = 0; i < count; i++) {
    curves[i].name = net_name(&runs[i]->s);
    curves[i].group = runs[i]->d->name;
    curves[i].rows = runs[i]->rows;
    curves[i].count = runs[i]->row_count;
  }
  text_put(t, "<div class=grid>\n");
  html_compared(t, curves, count, SHOW_TEST | AGAINST_SECONDS);
  html_compared(t, curves, count, SHOW_TEST | AGAINST_SECONDS | SHOW_LOSS);
  text_put(t, "</div>\n");
  free(curves);
  table_free(&table);
}

/* "GRU on MNIST", between two tags. */
static void html_name(struct text *t, const char *open, const struct run *r, const char *close) {
  text_add(t, "%s%s on ", open, net_name(&r->s));
  text_html(t, r->d->name);
  text_put(t, close);
}

/* A page, from its title on; then what stands on it, then its end. */
static void html_begin(struct text *t, const char *title) {
  text_put(t, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
              "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>");
  text_html(t, title);
  text_put(t, "</title>\n");
  text_put(t, style);
  text_put(t, look_style);
  text_put(t, "</head><body><main>\n<h1>");
  text_html(t, title);
  text_put(t, "</h1>\n");
}

/* Saves the page, too. */
static void html_end(struct text *t, const char *path) {
  text_add(t, "<p class=soft style=\"margin-top:2rem\">nn %s</p>\n</main></body></html>\n",
           NN_VERSION);
  text_save(t, path);
  text_free(t);
}

/* The sections of all looks. */
static void html_looks(struct text *t, const char *folder) {
  struct text all = {0};
  for (int i = 0; i < LOOKS; i++) {
    char *section = read_look(folder, look_names[i]);
    if (!section) continue;
    text_add(t, "%s<a href=\"#look-%s\">%s</a>", all.size ? ", " : "<p id=look>Seeing inside: ",
             look_names[i], look_names[i]);
    text_put(&all, section);
    free(section);
  }
  text_put(t, all.size ? ".</p>\n" : "");
  text_put(t, all.size ? all.data : "");
  text_free(&all);
}

/* runs: one, or several to compare. */
static void write_report(const char *path, struct run *const *runs, int count) {
  struct text t = {0};
  char title[160];
  snprintf(title, sizeof title, "%s on %s", net_name(&runs[0]->s), runs[0]->d->name);
  html_begin(&t, count > 1 ? "Networks compared" : title);
  if (count > 1) html_comparison(&t, runs, count);
  for (int i = 0; i < count; i++) {
    if (count > 1) html_name(&t, "<h2>", runs[i], "</h2>\n");
    html_run(&t, runs[i], count == 1);
  }
  if (count == 1) html_looks(&t, runs[0]->folder);
  html_end(&t, path);
}

/* ========================================== @@RUN ===========================================
 * A run's folder holds settings.txt; log.csv; best.nn, the model with the best test accuracy;
 * last.nn, the checkpoint to go on from; progress.txt, what log.csv needs besides to go on;
 * previous.nn and previous.txt, the same of the checkpoint before; and report.html. next.nn and
 * next.txt are on their way to become last.nn and progress.txt.
 * A file that cannot be written ends the run: what was there under its name stays as it was. */

/* Makes a folder and those above it. */
static void make_folders(const char *path) {
  char part[PATH_SIZE];
  const size_t n = strlen(path);
  for (size_t i = 1; i <= n; i++) {
    if (i < n && path[i] != '/') continue;
    path_of(part, "%.*s", (int)i, path);
    if (make_folder(part) && errno != EEXIST && i == n)
      fail("the folder %s cannot be made: %s", path, strerror(errno));
  }
}

/* Where a folder is written to by one process at a time. */
static lock *lock_folder(const char *folder) {
  int taken;
  lock *l = take_folder(folder, &taken);
  if (taken) fail("another process is at work in %s", folder);
  if (!l) fail("%s: %s", folder, strerror(errno));
  return l;
}

/* Whether a folder has a file of that name. */
static int holds(const char *folder, const char *name) {
  char path[PATH_SIZE];
  path_of(path, "%s/%s", folder, name);
  return file_exists(path);
}

/* For what writes a report of its own into a folder. */
static void need_no_run(const char *folder) {
  if (holds(folder, "settings.txt"))
    fail("%s holds a run, whose report would be lost: give another --out", folder);
}

/* The folder that --out names, or the first free BASE/NAME-NNN. */
static void choose_folder(struct run *r, const char *base, const char *name) {
  if (is_set(&r->s, OPT_OUT)) {
    path_of(r->folder, "%s", r->s.v[OPT_OUT].text);
    make_folders(r->folder);
    if (holds(r->folder, "settings.txt"))
      fail("%s already holds a run: give another --out, or go on with it by --resume %s", r->folder,
           r->folder);
    if (holds(r->folder, "report.html"))
      fail("%s/report.html is that of a sweep, demo or the like: give another --out", r->folder);
    return;
  }
  make_folders(base);
  for (int i = 1;; i++) {
    path_of(r->folder, "%s/%s-%03d", base, name, i);
    if (make_folder(r->folder) == 0) return;
    if (errno != EEXIST) fail("the folder %s cannot be made: %s", r->folder, strerror(errno));
  }
}

static void text_facts(struct text *t, const struct run *r) {
  nn_config used = config_of(&r->s);
  nn_get_config(r->m, &used);
  text_settings(t, &r->s);
  text_add(t, "run.version=%s\nrun.network=%s\nrun.parameters=%zu\nrun.total-steps=%lld\n",
           NN_VERSION, net_name(&r->s), r->parameters, (long long)r->total);
  text_add(t, "run.kernels=%s\nrun.threads-used=%d\n", nn_isa_name(used.isa), used.threads);
  text_add(t, "run.data-name=%s\nrun.data-from=%s\nrun.data-crc=%08lx\n", r->d->name,
           r->d->where, (unsigned long)r->d->crc);
  text_add(t, "run.images=%d + %d\n", r->d->train.count, r->d->test.count);
}

static void add_row(struct run *r, const struct row *row) {
  if ((r->row_count & (r->row_count + 1)) == 0) { /* doubles at 0, 1, 3, 7, .. */
    struct row *rows = realloc(r->rows, (2 * r->row_count + 1) * sizeof *rows);
    if (!rows) fail("out of memory");
    r->rows = rows;
  }
  r->rows[r->row_count++] = *row;
}

static const char log_head[] =
    "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n";

static const char activations_head[] = "step,layer,mean,deviation,most,zeros\n";

static void write_log(struct run *r) {
  struct text t = {0};
  char path[PATH_SIZE];
  text_put(&t, log_head);
  for (size_t i = 0; i < r->row_count; i++) {
    const struct row *w = &r->rows[i];
    text_add(&t, "%lld,%.6g,%.9g,%.9g,", (long long)w->step, w->epoch, w->loss, w->accuracy);
    if (isnan(w->test_accuracy)) text_put(&t, ",,");
    else if (!isnan(w->test_loss)) text_add(&t, "%.9g,%.9g,", w->test_loss, w->test_accuracy);
    else text_add(&t, "nan,%.9g,", w->test_accuracy); /* diverged */
    text_add(&t, "%.3f\n", w->seconds);
  }
  path_of(path, "%s/log.csv", r->folder);
  text_save(&t, path);
  if (r->watch) {
    t.size = 0;
    text_put(&t, activations_head);
    text_put(&t, r->activations.data ? r->activations.data : "");
    path_of(path, "%s/activations.csv", r->folder);
    text_save(&t, path);
  }
  text_free(&t);
}

static void write_run_report(struct run *r) {
  char path[PATH_SIZE];
  path_of(path, "%s/report.html", r->folder);
  write_report(path, &r, 1);
}

/* Gives a file of the run's folder another name there, over what has it. */
static void rename_in(const struct run *r, const char *from, const char *to) {
  char old[PATH_SIZE], new[PATH_SIZE];
  path_of(old, "%s/%s", r->folder, from);
  path_of(new, "%s/%s", r->folder, to);
  if (replace(old, new) && errno != ENOENT)
    fail("%s cannot be renamed to %s: %s", old, to, strerror(errno));
}

/* The checkpoint that is there becomes the one before only when the new one is whole and on the
 * disk. The model is renamed first: previous.txt, which that of previous.nn then replaces, is still
 * needed until previous.nn itself has been replaced. So a run that is killed anywhere in here keeps
 * the progress of every checkpoint that it keeps. */
static void write_checkpoint(struct run *r) {
  struct text t = {0};
  char path[PATH_SIZE];
  text_add(&t, "step=%lld\nseconds=%.3f\nloss=%.17g\ncorrect=%lld\nrows=%lld\n",
           (long long)r->progress.step, r->seconds, r->window_loss, (long long)r->window_correct,
           (long long)r->window_rows);
  text_add(&t, "best=%lld\nbest-accuracy=%.17g\n", (long long)r->best_step, r->best_accuracy);
  path_of(path, "%s/next.txt", r->folder);
  text_save(&t, path);
  text_free(&t);
  path_of(path, "%s/next.nn", r->folder);
  if (nn_save_checkpoint(r->m, &r->progress, path)) {
    path_of(path, "%s/next.txt", r->folder);
    remove(path);
    fail("%s", nn_error(r->m));
  }
  if (r->saved_step >= 0 && r->saved_step != r->progress.step) {
    rename_in(r, "last.nn", "previous.nn");
    rename_in(r, "progress.txt", "previous.txt");
  }
  rename_in(r, "next.nn", "last.nn");
  rename_in(r, "next.txt", "progress.txt");
  r->saved_step = r->progress.step;
  r->saved_at = now();
}

/* The k-th of --snapshots, 1 on: the first ones are closest, for there a net changes most. */
static int64_t snapshot_step(const struct run *r, int k) {
  const double share = k / number_of(&r->s, OPT_SNAPSHOTS);
  return (int64_t)ceil((double)r->total * share * share);
}
static int snapshots_of(const struct run *r) {
  return whole_or(&r->s, OPT_SNAPSHOTS, 0);
}
static void snapshot_path(const struct run *r, int64_t step, char path[PATH_SIZE]) {
  path_of(path, "%s/snapshots/step-%lld.nn", r->folder, (long long)step);
}
static void write_snapshot(struct run *r) {
  char path[PATH_SIZE];
  path_of(path, "%s/snapshots", r->folder);
  make_folders(path);
  snapshot_path(r, r->progress.step, path);
  if (nn_save(r->m, path)) fail("%s", nn_error(r->m));
}

/* Whether a test with this accuracy is better than the model in best.nn. */
static int is_better(const struct run *r, double accuracy) {
  return r->best_step == 0 || accuracy > r->best_accuracy + 1e-9;
}
static void set_best(struct run *r, int64_t step, double accuracy) {
  r->best_step = step;
  r->best_accuracy = accuracy;
}

/* Adds a line for every rectifier or tanh: its activations on the first test images. The copy that
 * keeps them leaves the model, and so the run's bits, alone. */
static void watch_activations(struct run *r) {
  enum { WATCHED = 200 };
  const nn_dataset *d = &r->d->test;
  const int n = d->count < WATCHED ? d->count : WATCHED;
  nn_config c = config_of(&r->s);
  nn_node_info info;
  nn_batch b;
  size_t count;
  c.batch = WATCHED;
  c.keep_activations = 1;
  if (!r->probe) r->probe = build_model(&r->s, &c, r->d, r->total);
  const nn_real *from = nn_parameters(r->m, &count);
  memcpy(nn_parameters(r->probe, &count), from, count * sizeof *from);
  nn_real *x = allocate((size_t)(n * d->channels * d->height * d->width), sizeof *x);
  int32_t index[WATCHED];
  for (int i = 0; i < n; i++) index[i] = i;
  memset(&b, 0, sizeof b);
  b.n = n;
  b.x[0] = x;
  if (nn_gather(d, index, n, NULL, NULL, x, NULL) || nn_forward(r->probe, &b, NN_INSPECTING))
    fail("%s", nn_error(r->probe));
  for (int node = 0; nn_get_node(r->probe, node, &info) == NN_OK; node++) {
    nn_moments s;
    memset(&s, 0, sizeof s);
    if (strcmp(info.kind, "relu") != 0 && strcmp(info.kind, "tanh") != 0) continue;
    if (nn_observe(r->probe, node, &s, NULL, NULL)) fail("%s", nn_error(r->probe));
    text_add(&r->activations, "%lld,%s,%.6g,%.6g,%.6g,%.6g\n", (long long)r->progress.step,
             info.name, s.mean, nn_moments_deviation(&s), s.max,
             (double)s.zeros / (double)(s.count + s.not_finite));
  }
  free(x);
}

/* A line of activations.csv. */
struct activity {
  double step, mean, deviation, most, zeros;
  char layer[25];
};

/* 0 if it is anything else, or a number of it is not finite. */
static int read_activity(const char *line, struct activity *a) {
  char step[24], v[4][24];
  return sscanf(line, "%23[^,\n],%24[^,\n],%23[^,\n],%23[^,\n],%23[^,\n],%23[^,\r\n]", step,
                a->layer, v[0], v[1], v[2], v[3]) == 6 &&
         read_number(step, &a->step) && read_number(v[0], &a->mean) &&
         read_number(v[1], &a->deviation) && read_number(v[2], &a->most) &&
         read_number(v[3], &a->zeros);
}

/* Its lines up to the checkpoint's step. */
static void read_activations(struct run *r) {
  char path[PATH_SIZE], *text;
  if (!r->watch) return;
  path_of(path, "%s/activations.csv", r->folder);
  text = read_text(path);
  for (const char *line = text; line && *line; line += strcspn(line, "\n") + 1) {
    if (isdigit((unsigned char)*line) && strtoll(line, NULL, 10) <= r->progress.step)
      text_bytes(&r->activations, line, strcspn(line, "\n")), text_put(&r->activations, "\n");
    if (!strchr(line, '\n')) break;
  }
  free(text);
}

/* A line of log.csv, which it cuts up: seven numbers, those of the test perhaps empty, its loss
 * perhaps "nan". 0 if it is anything else. */
static int read_row(char *line, struct row *row) {
  double v[7];
  for (int k = 0; k < 7; k++) {
    const size_t n = strcspn(line, ",");
    const int more = line[n] == ',';
    line[n] = 0;
    if (more != (k < 6)) return 0;
    if ((n == 0 && (k == 4 || k == 5)) || (k == 4 && strcmp(line, "nan") == 0)) v[k] = NAN;
    else if (!read_number(line, &v[k])) return 0;
    line += n + (size_t)more;
  }
  if (v[0] < 1 || v[0] > 9e15 || v[3] < 0 || v[3] > 1 || v[6] < 0) return 0;
  if ((isnan(v[5]) && !isnan(v[4])) || v[5] < 0 || v[5] > 1) return 0;
  row->step = (int64_t)v[0], row->epoch = v[1], row->loss = v[2], row->accuracy = v[3];
  row->test_loss = v[4], row->test_accuracy = v[5], row->seconds = v[6];
  return 1;
}

/* Reads log.csv up to the checkpoint's step. The run can go on without it, so what it lacks is only
 * told, by one line. 1 if it lacks nothing, else 0; -1 if a test beyond that step was better. */
static int read_log(struct run *r) {
  const int64_t step = r->progress.step;
  const int64_t rows = step - step % r->row_every, tests = step - step % r->test_every;
  char path[PATH_SIZE], *text, *next;
  int64_t before = 0;
  int number = 1, first = 0, damaged = 0, newer = 0;
  path_of(path, "%s/log.csv", r->folder);
  text = read_text(path);
  for (char *line = text; line && *line; line = next, number++) {
    struct row row;
    next = line + strcspn(line, "\n");
    if (*next) *next++ = 0;
    if (number == 1 && strncmp(line, log_head, sizeof log_head - 2) == 0) continue;
    if (!read_row(line, &row) || row.step <= before) {
      if (!damaged++) first = number;
      continue;
    }
    before = row.step;
    const int better = !isnan(row.test_loss) && is_better(r, row.test_accuracy);
    if (row.step > step) {
      newer |= better;
      continue;
    }
    add_row(r, &row);
    if (better) set_best(r, row.step, row.test_accuracy);
  }
  if (r->row_count) r->seconds = r->rows[r->row_count - 1].seconds;
  const int cut = before < (rows > tests ? rows : tests);
  const int tell = !r->silent;
  if (tell && !text) note("%s is missing: the curves begin at step %lld", path, (long long)step);
  else if (tell && damaged)
    note("%s: line %d is damaged%s: left out of the curves", path, first,
         damaged > 1 ? ", and others" : "");
  else if (tell && cut)
    note("%s ends at step %lld: the curves have a gap up to step %lld", path, (long long)before,
         (long long)step);
  free(text);
  return newer ? -1 : !damaged && !cut;
}

/* Reads a file that write_checkpoint wrote, if it is of the checkpoint's very step. 1 if it is
 * whole, of this step or another; 0 if it is damaged, -1 if missing. */
static int read_progress_file(struct run *r, const char *path, int *matches) {
  static const char *const keys[] = {"step", "seconds", "loss", "correct",
                                     "rows", "best",    "best-accuracy"};
  enum { KEYS = sizeof keys / sizeof *keys };
  char value[64], *text = read_text(path);
  double v[KEYS];
  int k = 0;
  if (!text) return -1;
  while (k < KEYS && find_fact(text, keys[k], value, sizeof value) && read_number(value, &v[k]) &&
         v[k] >= 0 && (v[k] <= 9e15 || k == 2)) /* a loss may be as large as it likes */
    k++;
  free(text);
  if (k < KEYS || v[3] > v[4] || v[5] > v[0] || v[6] > 1)
    return 0;
  *matches = (int64_t)v[0] == r->progress.step;
  if (!*matches) return 1;
  r->seconds = v[1];
  r->window_loss = v[2];
  r->window_correct = (int64_t)v[3];
  r->window_rows = (int64_t)v[4];
  set_best(r, (int64_t)v[5], v[6]);
  return 1;
}

/* The progress of the loaded checkpoint. It has a name of its own beside each of the two; a run
 * that was killed in write_checkpoint left it under one of the others. The name that it was found
 * under, or NULL. */
static const char *read_progress(struct run *r) {
  static const char *const names[] = {"previous.txt", "progress.txt", "next.txt", "previous.txt"};
  static const char *const faults[] = {"missing", "damaged", "of another step"};
  const char *const *own = names + (r->saved_step >= 0);
  char path[PATH_SIZE];
  int matches = 0, fault = 0;
  for (int i = 0; i < 3; i++) {
    path_of(path, "%s/%s", r->folder, own[i]);
    const int whole = read_progress_file(r, path, &matches);
    if (matches) return own[i];
    if (i == 0) fault = whole + 1;
  }
  if (!r->silent)
    note("%s/%s is %s: the next training figures are those of the steps from %lld on", r->folder,
         *own, faults[fault], (long long)r->progress.step);
  return NULL;
}

/* Whether best.nn is what the log says. The run can go on without it: the checkpoint takes its
 * place if that was just tested, else the model of the next test does. */
static void check_best(struct run *r) {
  const struct row *last = last_tested(r);
  const char *what = NULL;
  char path[PATH_SIZE];
  nn_config c = config_of(&r->s);
  nn_load_result loaded;
  c.inference = 1;
  path_of(path, "%s/best.nn", r->folder);
  if (r->best_step == 0) {
    if (r->progress.step < r->test_every || last) return; /* no test, or none with a finite loss */
    what = "of unknown accuracy";
  } else if (!file_exists(path)) {
    what = "missing";
  } else if (nn_load(path, &c, &loaded, NULL)) {
    what = "damaged";
  } else {
    if (parameter_count(loaded.model) != r->parameters) what = "of another network";
    nn_destroy(loaded.model);
  }
  if (!what) return;
  if (last && last->step == r->progress.step && !is_ruined(r)) {
    if (nn_save(r->m, path)) fail("%s", nn_error(r->m));
    set_best(r, last->step, last->test_accuracy);
    note("%s is %s: it gets the model of step %lld, test accuracy %s", path, what,
         (long long)last->step, percent(last->test_accuracy).text);
  } else {
    set_best(r, 0, 0);
    note("%s is %s: the next test writes it anew", path, what);
  }
}

/* Steps and intervals of a run. */
static void run_plan(struct run *r) {
  const struct settings *s = &r->s;
  int64_t batch = (int64_t)number_of(s, OPT_BATCH);
  r->per_epoch = (r->d->train.count + batch - 1) / batch;
  r->total = is_set(s, OPT_STEPS) ? (int64_t)number_of(s, OPT_STEPS)
                                  : (int64_t)number_of(s, OPT_EPOCHS) * r->per_epoch;
  r->test_every = is_set(s, OPT_TEST_EVERY) ? (int64_t)number_of(s, OPT_TEST_EVERY)
                  : is_set(s, OPT_STEPS)    ? (r->total + 9) / 10
                                            : r->per_epoch;
  r->save_every = is_set(s, OPT_SAVE_EVERY) ? (int64_t)number_of(s, OPT_SAVE_EVERY)
                                            : r->test_every;
  r->row_every = r->total < 2000 ? 10 : (r->total + 199) / 200;
  r->save_seconds = is_set(s, OPT_SAVE_SECONDS) ? number_of(s, OPT_SAVE_SECONDS) : 0;
  r->saved_step = -1;
  r->quiet = is_set(s, OPT_QUIET);
  r->live = !r->quiet && is_terminal(stderr) &&
            strcmp(getenv("TERM") ? getenv("TERM") : "dumb", "dumb") != 0;
  r->colour = r->live && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
}

/* The same, and the model. */
static void run_prepare(struct run *r) {
  const nn_config c = config_of(&r->s);
  run_plan(r);
  r->m = build_model(&r->s, &c, r->d, r->total);
  r->parameters = parameter_count(r->m);
  r->filters[0] = picture_filters(r->m);
  r->filters[1] = picture_filters(r->m);
}

/* A new run: settings are complete, d is there. */
static void run_new(struct run *r, const char *base) {
  char path[PATH_SIZE];
  run_prepare(r);
  choose_folder(r, base, r->s.command->bit == CIFAR10 ? "cifar10" : r->s.v[OPT_CELL].text);
  r->lock = lock_folder(r->folder);
  text_facts(&r->facts, r);
  path_of(path, "%s/settings.txt", r->folder);
  text_save(&r->facts, path);
}

/* Whether the run in the folder was trained on the data that is at hand. */
static void check_data(const struct run *r, const char *facts) {
  char value[64], name[128], crc[16];
  snprintf(crc, sizeof crc, "%08lx", (unsigned long)r->d->crc);
  need_fact(r->s.file, facts, "run.data-crc", value, sizeof value);
  need_fact(r->s.file, facts, "run.data-name", name, sizeof name);
  if (strspn(value, "0123456789abcdef") != 8 || value[8])
    fail("%s: run.data-crc '%s' is not eight hexadecimal digits%s", r->s.file, value, mend);
  if (strcmp(value, crc) != 0)
    fail("%s was trained on other data (%s, checksum %s) than %s from %s (%s): give its --data",
         r->folder, name, value, r->d->name, r->d->where, crc);
}

/* The settings.txt that a model's file belongs to: that beside it, of a snapshot the one above. Its
 * text, which the caller frees, or NULL, and its path. */
static char *settings_of(const char *model, char path[PATH_SIZE]) {
  const char *slash = strrchr(model, '/');
  const int n = slash ? (int)(slash - model + 1) : 0;
  char *text;
  if (n >= 10 && strncmp(slash - 9, "snapshots", 9) == 0) {
    path_of(path, "%.*ssettings.txt", n - 10, model);
    if ((text = read_text(path))) return text;
  }
  path_of(path, "%.*ssettings.txt", n, model);
  return read_text(path);
}

/* Ends at a run whose models do not scale their input themselves: its settings.txt tells a mean. */
static void refuse_unscaled(const char *path, const char *facts) {
  char value[128], version[32] = "0.1.0";
  find_fact(facts, "run.version", version, sizeof version);
  if (find_fact(facts, "run.mean", value, sizeof value) && strpbrk(value, "123456789"))
    fail("%s is of nn %s, which scaled the images outside of its models: start the run anew", path,
         version);
}

/* Whether a model is trained as the settings say. How long its schedule is, is the run's affair. */
static int same_training(const nn_model *m, const nn_model *fresh) {
  nn_optimizer a, b;
  nn_config c, d;
  if (nn_get_optimizer(m, &a) || nn_get_optimizer(fresh, &b) || nn_get_config(m, &c) ||
      nn_get_config(fresh, &d))
    return 0;
  return c.seed == d.seed && a.kind == b.kind && a.rate == b.rate && a.momentum == b.momentum &&
         a.alpha == b.alpha && a.beta1 == b.beta1 && a.beta2 == b.beta2 && a.eps == b.eps &&
         a.weight_decay == b.weight_decay && a.clip_norm == b.clip_norm &&
         a.clip_value == b.clip_value && a.schedule.kind == b.schedule.kind;
}

/* Loads one of the folder's two checkpoints; 0, or why not. */
static int load_checkpoint(const struct run *r, const char *name, nn_load_result *loaded,
                           nn_message *why) {
  const nn_config c = config_of(&r->s);
  nn_status status;
  char path[PATH_SIZE];
  path_of(path, "%s/%s", r->folder, name);
  memset(loaded, 0, sizeof *loaded);
  if (!file_exists(path)) {
    snprintf(why->text, sizeof why->text, "%.200s is missing", path);
    return -1;
  }
  status = nn_load(path, &c, loaded, why);
  if (status == NN_ERR_MEMORY) fail("%s", why->text); /* the file may be sound */
  if (status) return -1;
  if (loaded->is_checkpoint && parameter_count(loaded->model) == r->parameters &&
      loaded->progress.step <= r->total && same_training(loaded->model, r->m))
    return 0;
  nn_destroy(loaded->model);
  snprintf(why->text, sizeof why->text,
           "%.120s is not a checkpoint of the run that settings.txt beside it describes", path);
  return -1;
}

/* Whether a run that has neither of its two checkpoints was killed before it could save one. */
static int never_saved(const struct run *r) {
  return !holds(r->folder, "last.nn") && !holds(r->folder, "previous.nn") &&
         !holds(r->folder, "result.txt");
}

/* Puts the checkpoint of the run's folder in place of the fresh model: the last, else the one
 * before. */
static void run_load(struct run *r, const char *facts) {
  nn_load_result loaded;
  nn_message why, other;
  nn_config used;
  char best[PATH_SIZE], kernels[32];
  check_data(r, facts);
  r->lock = lock_folder(r->folder);
  run_prepare(r);
  text_put(&r->facts, facts);
  need_fact(r->s.file, facts, "run.kernels", kernels, sizeof kernels);
  if (nn_get_config(r->m, &used) == NN_OK && strcmp(kernels, nn_isa_name(used.isa)) != 0)
    note("%s used %s kernels, which cannot run here: it goes on with %s kernels, and its bits "
         "differ from here on", r->folder, kernels, nn_isa_name(used.isa));
  if (never_saved(r)) {
    note("%s has no checkpoint yet: the run starts from its beginning", r->folder);
    return;
  }
  if (load_checkpoint(r, "last.nn", &loaded, &why) == 0) {
    r->saved_step = loaded.progress.step;
  } else {
    if (load_checkpoint(r, "previous.nn", &loaded, &other)) {
      path_of(best, "%s/best.nn", r->folder);
      fail("%s; %s; start the run anew%s%s%s", why.text, other.text,
           file_exists(best) ? " (its best model so far is in " : "", file_exists(best) ? best : "",
           file_exists(best) ? ")" : "");
    }
    note("%s; going on from the checkpoint before it, step %lld", why.text,
         (long long)loaded.progress.step);
  }
  const nn_progress *p = &loaded.progress;
  const int64_t batch = whole_of(&r->s, OPT_BATCH);
  if (p->step != p->epoch * r->per_epoch + (p->place + batch - 1) / batch)
    fail("%s: batch %s does not lead to epoch %lld, sample %lld in the %lld steps of last.nn%s",
         r->s.file, r->s.v[OPT_BATCH].text, (long long)p->epoch + 1, (long long)p->place,
         (long long)p->step, mend);
  nn_destroy(r->m);
  r->m = loaded.model;
  set_notes(r->m, &r->s, r->d); /* more steps may be wanted now */
  r->progress = loaded.progress;
  free(r->filters[1].rgba);
  r->filters[1] = picture_filters(r->m);
  read_log(r);
  const char *own = r->saved_step < 0 ? "previous.txt" : "progress.txt";
  const char *found = read_progress(r);
  if (found && strcmp(found, own) != 0)
    rename_in(r, found, own); /* before the next checkpoint's progress takes the other name */
  read_activations(r);
  check_best(r);
}

static void run_free(struct run *r) {
  leave_folder(r->lock);
  nn_destroy(r->m);
  nn_destroy(r->probe);
  text_free(&r->activations);
  free(r->rows);
  free(r->filters[0].rgba);
  free(r->filters[1].rgba);
  text_free(&r->facts);
}

/* "epoch 3/10" or "step 300/3000" */
static struct word where_of(const struct run *r) {
  struct word w;
  if (is_set(&r->s, OPT_STEPS)) {
    snprintf(w.text, sizeof w.text, "step %lld/%lld", (long long)r->progress.step,
             (long long)r->total);
  } else {
    int64_t epoch = (r->progress.step + r->per_epoch - 1) / r->per_epoch;
    snprintf(w.text, sizeof w.text, "epoch %lld/%lld", (long long)epoch,
             (long long)(r->total / r->per_epoch));
  }
  return w;
}

static double samples_per_second(const struct run *r, double seconds) {
  double steps = (double)(r->progress.step - r->session_step);
  return seconds > 0 ? steps * r->d->train.count / (double)r->per_epoch / seconds : 0;
}

/* Whether the terminal shows UTF-8, by the variables that setlocale would look at. */
static int shows_utf8(void) {
  static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  const char *value = NULL;
  for (int i = 0; i < 3 && !(value && *value); i++) value = getenv(names[i]);
  return value && (strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "UTF8"));
}

/* Draws the live line: as many of its parts as fit, so that it never wraps. */
static void draw_live(struct run *r, double time) {
  enum { BAR = 1, PARTS = 6, LEAST_BAR = 12, MOST_BAR = 32 };
  static const int order[PARTS] = {0, 2, BAR, 3, 5, 4}; /* which matter most */
  const double seconds = r->session_seconds + time - r->started;
  const double done = (double)(r->progress.step - r->session_step);
  const double left = seconds * (double)(r->total - r->progress.step) / (done > 0 ? done : 1);
  const char *columns = getenv("COLUMNS");
  double wide = 0;
  char part[PARTS][64] = {{0}};
  int width = terminal_columns(), bar = 0;
  struct text t = {0};
  if (columns && read_number(columns, &wide) && wide >= 1 && (width <= 0 || wide < width))
    width = (int)fmin(wide, 1000);
  int room = (width > 0 ? width : 80) - 1; /* some terminals wrap at the last column */
  snprintf(part[0], 64, "%s %s", net_name(&r->s), where_of(r).text);
  snprintf(part[2], 64, "  loss %s", loss_of(r->progress.loss).text);
  snprintf(part[3], 64, "  acc %.2f %%", 100 * r->progress.accuracy);
  snprintf(part[4], 64, "  %s samples/s", grouped(samples_per_second(r, seconds)).text);
  snprintf(part[5], 64, "  %s left", duration(left).text);
  for (int i = 0; i < PARTS; i++) {
    const int n = order[i] == BAR ? LEAST_BAR : (int)strlen(part[order[i]]);
    if (n > room) part[order[i]][0] = 0;
    else room -= n, bar += order[i] == BAR ? n : 0;
  }
  if (bar > 0) bar = bar + room < MOST_BAR ? bar + room : MOST_BAR;
  text_add(&t, "\r%s", part[0]);
  if (bar > 0) {
    const int utf8 = shows_utf8();
    const int full = (int)((bar - 2) * (double)r->progress.step / (double)r->total + .5);
    text_add(&t, "  %s", r->colour ? "\033[36m" : "");
    for (int i = 0; i < bar - 2; i++) {
      if (i == full && r->colour) text_put(&t, "\033[2m");
      if (utf8) text_put(&t, i < full || r->colour ? "\342\224\201" : "\342\224\200");
      else text_put(&t, i < full ? "#" : "-");
    }
    if (r->colour) text_put(&t, "\033[0m");
  }
  for (int i = 2; i < PARTS; i++) text_put(&t, part[i]);
  fprintf(stderr, "%s\033[K", t.data);
  fflush(stderr);
  text_free(&t);
  r->drawn = time;
}

static void clear_live(const struct run *r) {
  if (r->live) fputs("\r\033[K", stderr);
}

enum { LEAST_STEPS = 100 }; /* that a network of the demonstration gets, whatever the time */

/* nn_fit's callback: sums for the next row, the live line, and whether to stop. */
static int on_step(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *step) {
  struct run *r = user;
  const double time = r->live || r->save_seconds > 0 ? now() : 0;
  /* not a difference of the epoch's sums, in which one huge loss would drown all later ones */
  r->window_loss += step->loss * (double)step->rows;
  r->window_correct += step->correct;
  r->window_rows += step->rows;
  if (p->left_out > r->left_out_before && !r->left_out_before) {
    clear_live(r);
    note("left out, as every step like it: %s", nn_error(m));
  }
  r->left_out_before = p->left_out;
  if (r->live && time - r->drawn >= .1) draw_live(r, time);
  r->save_due = r->save_seconds > 0 && time - r->saved_at >= r->save_seconds;
  return stop_signal != 0 || r->save_due ||
         (r->deadline > 0 && p->step >= LEAST_STEPS && now() > r->deadline);
}

/* Tests, keeps the best model, and tells. */
static void run_test(struct run *r, struct row *row) {
  char path[PATH_SIZE];
  nn_evaluation e;
  clear_live(r);
  if (nn_evaluate(r->m, &r->d->test, &e)) fail("%s", nn_error(r->m));
  const int better = isfinite(e.loss) && is_better(r, e.accuracy);
  row->test_loss = isfinite(e.loss) ? e.loss : NAN;
  row->test_accuracy = e.accuracy;
  if (better) {
    path_of(path, "%s/best.nn", r->folder);
    if (nn_save(r->m, path)) fail("%s", nn_error(r->m));
    set_best(r, row->step, e.accuracy);
  }
  if (r->watch) watch_activations(r);
  if (r->quiet || r->brief) return;
  fprintf(stderr, "%s %s  loss %s  accuracy %s  test %s%s  %s samples/s  %s\n", net_name(&r->s),
          where_of(r).text, loss_of(r->progress.loss).text, percent(r->progress.accuracy).text,
          percent(e.accuracy).text, better ? " (best)" : "",
          grouped(samples_per_second(r, r->session_seconds)).text, duration(r->seconds).text);
}

/* The log's next line, with a test or without. */
static void run_row(struct run *r, int tests) {
  const double n = (double)r->window_rows;
  struct row row = {r->progress.step, 0, r->progress.loss, r->progress.accuracy, NAN, NAN, 0};
  row.epoch = (double)row.step / (double)r->per_epoch;
  if (n > 0) row.loss = r->window_loss / n, row.accuracy = (double)r->window_correct / n;
  row.seconds = r->seconds;
  r->window_loss = 0;
  r->window_correct = r->window_rows = 0;
  if (tests) run_test(r, &row);
  add_row(r, &row);
}

static int64_t next_multiple(int64_t step, int64_t every) {
  return (step / every + 1) * every;
}

/* Trains to the end, the deadline, a divergence or a signal; everything is written when it returns,
 * but the checkpoint of before is kept when training diverged, be it that only a test shows it. 0,
 * or the signal. */
static int run_train(struct run *r) {
  nn_fit_options fit = nn_fit_default();
  nn_status status = NN_OK;
  fit.epochs = 0;
  read_augment(r->s.v[OPT_AUGMENT].text, &fit.augment);
  fit.augment.fill = r->d->mean;
  fit.progress = &r->progress;
  fit.on_step = on_step;
  fit.user = r;
  fit.keep_going = is_set(&r->s, OPT_KEEP_GOING);
  r->left_out_before = r->progress.left_out;
  r->saved_at = now();
  r->session_step = r->progress.step;
  r->session_seconds = 0;
  catch_signals();
  while (r->progress.step < r->total && status == NN_OK && !stop_signal) {
    int64_t step = r->progress.step, stop = r->total;
    double spent;
    if (next_multiple(step, r->test_every) < stop) stop = next_multiple(step, r->test_every);
    if (next_multiple(step, r->save_every) < stop) stop = next_multiple(step, r->save_every);
    if (next_multiple(step, r->row_every) < stop) stop = next_multiple(step, r->row_every);
    int snapshot = 0;
    for (int k = snapshots_of(r); k > 0 && snapshot_step(r, k) > step; k--)
      if (snapshot_step(r, k) <= stop) stop = snapshot_step(r, k), snapshot = 1;
    fit.steps = stop;
    r->started = now();
    status = nn_fit(r->m, &r->d->train, &fit);
    spent = now() - r->started;
    r->seconds += spent;
    r->session_seconds += spent;
    step = r->progress.step;
    if (snapshot && step == stop && status >= 0) write_snapshot(r);
    const int due = r->save_due && status >= 0;
    if (due && status == NN_STOPPED) status = NN_OK;
    r->cut = status == NN_STOPPED && !stop_signal && step < r->total;
    if ((step == stop && status >= 0) || r->cut || due) {
      const int tests = step % r->test_every == 0 || step == r->total || r->cut;
      if (tests || step % r->row_every == 0) run_row(r, tests);
      const int saves = step % r->save_every == 0 || due;
      if (tests && is_ruined(r) && !fit.keep_going) {
        status = NN_ERR_DIVERGED;
        snprintf(r->why.text, sizeof r->why.text, "step %lld: the test loss is not finite",
                 (long long)step);
      } else if ((tests || saves) && step < r->total && !stop_signal) {
        write_log(r); /* first: a checkpoint's log must not lack a line when all ends here */
        if (saves && !is_ruined(r)) write_checkpoint(r);
        write_run_report(r); /* last, and large: the disk's room is the checkpoint's first */
      }
    }
  }
  clear_live(r);
  r->diverged = status == NN_ERR_DIVERGED;
  if (r->diverged && !*r->why.text) snprintf(r->why.text, sizeof r->why.text, "%s", nn_error(r->m));
  if ((r->progress.step == r->total || (r->diverged && r->progress.step > 0)) &&
      !(last_tested(r) && last_tested(r)->step == r->progress.step)) {
    /* diverged; or resumed at its end, but the log has lost that test */
    if (r->row_count && r->rows[r->row_count - 1].step == r->progress.step)
      run_test(r, &r->rows[r->row_count - 1]); /* no step has two lines */
    else run_row(r, 1);
  }
  free(r->filters[1].rgba);
  r->filters[1] = picture_filters(r->m);
  write_log(r);
  if (!r->diverged && !is_ruined(r)) write_checkpoint(r);
  write_run_report(r);
  if (status < 0 && !r->diverged) fail("%s", nn_error(r->m));
  if (r->progress.left_out && !r->diverged)
    note("%s of %s steps were left out", grouped((double)r->progress.left_out).text,
         grouped((double)r->progress.step).text);
  if (r->progress.step < r->total && !r->cut && !r->diverged) {
    struct text t = {0};
    text_word(&t, r->again[0]);
    if (r->again[1]) {
      for (int i = 1; r->again[i]; i++) text_put(&t, " "), text_word(&t, r->again[i]);
    } else {
      text_add(&t, " %s --resume ", r->s.command->name);
      text_word(&t, r->folder);
    }
    fprintf(stderr, "nn: stopped at step %lld of %lld and %s; go on with: %s\n",
            (long long)r->progress.step, (long long)r->total,
            is_ruined(r) ? "not saved, for the test loss is not finite" : "saved", t.data);
    text_free(&t);
    return stop_signal;
  }
  return 0;
}

/* Where a divergence is no result. */
static void refuse_divergence(const struct run *r) {
  char kept[PATH_SIZE + 64];
  if (!r->diverged) return;
  snprintf(kept, sizeof kept, "no checkpoint was saved since the start (%s)", r->folder);
  if (r->saved_step >= 0)
    snprintf(kept, sizeof kept, "%s/last.nn keeps step %lld", r->folder, (long long)r->saved_step);
  fail("training diverged: %s. Give a lower --lr, --clip-norm 1 or --keep-going; %s", r->why.text,
       kept);
}

static void tell_start(const struct run *r) {
  nn_config used = config_of(&r->s);
  if (r->quiet) return;
  nn_get_config(r->m, &used);
  fprintf(stderr, "%s: %s parameters, %s steps of %d, %s, %d thread%s, in %s\n", net_name(&r->s),
          grouped((double)r->parameters).text, grouped((double)r->total).text,
          whole_of(&r->s, OPT_BATCH), nn_isa_name(used.isa), used.threads,
          used.threads == 1 ? "" : "s", r->folder);
}

static void tell_data(const struct data *d, int quiet) {
  struct text t = {0};
  text_data(&t, d);
  if (!quiet) fprintf(stderr, "data: %s\n", t.data);
  text_free(&t);
}

/* The first option in which two runs differ, outward ones left out; else -1. Of the second run all
 * count, or those that were given; with all, kernels may differ. */
static int differing(const struct settings *a, const struct settings *b, int all) {
  for (int o = 0; o < OPTION_COUNT; o++) {
    const struct value *v = &a->v[o], *w = &b->v[o];
    if (is_outward(o) || (all ? o == OPT_ISA : !w->given || may_change(o))) continue;
    if (!*v->text != !*w->text || (*v->text && v->number != w->number) ||
        (options[o].kind == TEXT && strcmp(v->text, w->text) != 0))
      return o;
  }
  return -1;
}

/* The kernels that the run used, for others give other bits. Where they cannot run, those of --isa,
 * of NN_ISA or the best; run_load says so. */
static void resume_isa(struct settings *s, const struct settings *typed, const char *facts) {
  char name[32], why[256];
  nn_isa isa;
  need_fact(s->file, facts, "run.kernels", name, sizeof name);
  if (nn_isa_find(name, &isa) || isa == NN_ISA_AUTO)
    fail("%s: run.kernels '%s' are no kernels%s", s->file, name, mend);
  const int line = s->v[OPT_ISA].line;
  s->v[OPT_ISA] = typed->v[OPT_ISA];
  s->v[OPT_ISA].line = line;
  if (nn_isa_available(isa)) set_option(s, OPT_ISA, nn_isa_name(isa), why);
}

/* The settings of the run in the folder that --resume names, and what its settings.txt says;
 * `lines` is the same text, which the settings go on to point to. */
static char *read_resumed(struct run *r, const struct settings *typed, char path[PATH_SIZE],
                          char **lines) {
  path_of(r->folder, "%s", typed->v[OPT_RESUME].text);
  path_of(path, "%s/settings.txt", r->folder);
  char *facts = read_text(path);
  *lines = read_text(path);
  if (!facts || !*lines) fail("%s is missing: %s is not the folder of a run", path, r->folder);
  set_standards(&r->s, typed->command);
  refuse_unscaled(path, facts);
  read_settings(&r->s, path, *lines);
  resume_isa(&r->s, typed, facts);
  for (int o = 0; o < OPTION_COUNT; o++)
    if (may_change(o) && typed->v[o].given) r->s.v[o] = typed->v[o];
  r->s.v[OPT_QUIET] = typed->v[OPT_QUIET];
  complete(&r->s);
  check_settings(&r->s);
  return facts;
}

/* ========================================= @@STUDY ==========================================
 * Many runs in one table. A trial is a row of it, a run for each seed; each run has a folder
 * OUT/ROW/seed-N with the files of any run, result.txt once it is done (last.nn is then removed)
 * and, of convolutional networks, activations.csv. */

/* The two studies as five reports made them. A row's options are what its report gives; those
 * chosen here, for the report does not give them, are marked as such in every listing. Both are a
 * command line, the row's after its group's. reported is the report's test accuracy, torch the one
 * that PyTorch 1.13 ends with on the same images; 0: none. */
#define GRAY28 "cifar10 --size 28 --gray "
#define GRAY32 "cifar10 --gray --pad2 1 --activation tanh --keep 1 --batch 128 --hidden 1024 "
#define LINES "mnist --layers 1 "
/* Reports A to D speak of "keep" and "gradient descent", as TensorFlow does: where it decides, the
 * start of its tutorials and its RMSProp are chosen. With PyTorch's start an RNN is ten points
 * behind after 500 steps, in PyTorch as well. */
#define TENSORFLOW "--init tensorflow "
#define RMSPROP "--momentum 0 --alpha .9"
enum { MOST_PRESETS = 12 };
struct preset {
  const char *name, *given, *chosen;
  double reported, torch;
  const char *remark;
};
struct group {
  int study;
  const char *title, *given, *chosen;
  struct preset rows[MOST_PRESETS];
};
static const struct group groups[] = {
  {1, "Report A: Adam's rate, and gradient descent",
   GRAY28, "--batch 50 --epochs 15 --keep .5",
   {{"A1-rate-1e-4", "--optimizer adam --lr 1e-4", "", .470, 0, ""},
    {"A1-rate-1e-3", "--optimizer adam --lr 1e-3", "", .474, .546, ""},
    {"A1-rate-1e-2", "--optimizer adam --lr 1e-2", "", .100, 0, ""},
    {"A1-adam", "--optimizer adam", "--lr 1e-3", .466, 0, ""},
    {"A1-sgd", "--optimizer sgd", "--lr .01", .334, 0, ""}}},
  {1, "Report B: eight trials",
   GRAY28, "--test-every 200",
   {{"B1-1", "--optimizer adam --lr 1e-4 --batch 100 --steps 10000 --keep .8", "", 0, 0, ""},
    {"B1-2", "--optimizer adam --lr 1e-4 --batch 100 --steps 10000 --keep .6", "", 0, 0, ""},
    {"B1-3", "--optimizer adam --lr 1e-4 --batch 100 --steps 8000 --keep .6", "", 0, 0,
     "the report's table says keep .6, its text .4: B1-3-text"},
    {"B1-3-text", "--optimizer adam --lr 1e-4 --batch 100 --steps 8000 --keep .4", "", 0, 0, ""},
    {"B1-4", "--optimizer adam --lr 1e-4 --batch 500 --steps 8000 --keep .4", "", 0, 0,
     "the best of the report's trials"},
    {"B1-5", "--optimizer sgd --lr .01 --batch 500 --steps 8000 --keep .6", "", 0, 0, ""},
    {"B1-6", "--optimizer sgd --lr .05 --batch 100 --steps 8000 --keep .6", "", 0, 0, ""},
    {"B1-7", "--optimizer rmsprop --lr .0025 --batch 200 --steps 5000 --keep .5",
     "--momentum 0", 0, 0, ""},
    {"B1-8", "--optimizer rmsprop --lr .0005 --batch 500 --steps 20000 --keep .4",
     "--momentum 0", 0, 0, ""}}},
  {1, "Report C: Adam's rate",
   GRAY28 "--optimizer adam --steps 1000", "--batch 50 --keep .5",
   {{"C1-rate-1e-3", "--lr 1e-3", "", 0, 0, "the report: a higher rate learns faster"},
    {"C1-rate-1e-4", "--lr 1e-4", "", 0, 0, ""},
    {"C1-rate-1e-5", "--lr 1e-5", "", 0, 0, ""}}},
  {1, "Report C: RMSProp's momentum",
   GRAY28 "--optimizer rmsprop --lr 1e-4", "--batch 50 --steps 1000 --keep .5",
   {{"C1-momentum-0", "--momentum 0", "", 0, 0, "the report: 0 and 1 bad, .5 and .75 good"},
    {"C1-momentum-.5", "--momentum .5", "", 0, 0, ""},
    {"C1-momentum-.75", "--momentum .75", "", 0, 0, ""},
    {"C1-momentum-1", "--momentum 1", "", 0, 0, ""}}},
  {1, "Report D: three optimizers",
   GRAY28 "--batch 50 --steps 300", "--keep .5",
   {{"D1-adam-1e-3", "--optimizer adam --lr 1e-3", "", .384, 0, ""},
    {"D1-adam-1e-4", "--optimizer adam --lr 1e-4", "", .303, 0, ""},
    {"D1-adam-1e-2", "--optimizer adam --lr 1e-2", "", .100, 0, ""},
    {"D1-adagrad-1e-3", "--optimizer adagrad --lr 1e-3", "", .264, 0, ""},
    {"D1-adagrad-1e-4", "--optimizer adagrad --lr 1e-4", "", .136, 0, ""},
    {"D1-adagrad-1e-2", "--optimizer adagrad --lr 1e-2", "", .324, 0, ""},
    {"D1-momentum", "--optimizer momentum --momentum .5 --lr 1e-2", "", .295, 0, ""},
    {"D1-adam-5000", "--optimizer adam --lr 1e-3 --steps 5000", "", .417, 0, ""}}},
  {1, "Report E: Adam and Adagrad",
   GRAY32 "--epochs 10", "",
   {{"E1-adam-.001", "--optimizer adam --lr .001", "", .6423, 0, ""},
    {"E1-adam-.005", "--optimizer adam --lr .005", "", .6409, 0, ""},
    {"E1-adam-.01", "--optimizer adam --lr .01", "", .1796, 0, ""},
    {"E1-adagrad-.001", "--optimizer adagrad --lr .001", "", .5678, 0, ""},
    {"E1-adagrad-.005", "--optimizer adagrad --lr .005", "", .651, 0, ""},
    {"E1-adagrad-.01", "--optimizer adagrad --lr .01", "", .6848, 0, ""},
    {"E1-adagrad-.01-20", "--optimizer adagrad --lr .01 --epochs 20", "", .717, .6982,
     "the report's best"}}},
  {1, "The best of this net",
   "", "cifar10 --gray --optimizer adamw --lr 2e-3 --schedule one-cycle",
   {{"best-gray28", "--size 28", "--batch 64 --epochs 60 --keep .5 --weight-decay .05 "
                                 "--augment flip,shift=3,cutout=8", 0, 0, ""},
    {"best-gray32", "--size 32", "--batch 128 --epochs 40 --keep .6 --weight-decay .02 "
                                 "--augment flip,shift=4,cutout=8", 0, 0, ""}}},
  {2, "Report A: cells, and sizes of the RNN",
   LINES, TENSORFLOW "--optimizer adam --lr 1e-3 --batch 100 --steps 500 --hidden 128 --keep 1",
   {{"A2-rnn", "--cell rnn", "", .9034, 0, ""},
    {"A2-lstm", "--cell lstm", "", .9233, 0, ""},
    {"A2-gru", "--cell gru", "", .9233, 0, ""},
    {"A2-rnn-64", "--cell rnn --hidden 64", "", .8435, 0, ""},
    {"A2-rnn-128", "--cell rnn --hidden 128", "", .9131, 0, ""},
    {"A2-rnn-256", "--cell rnn --hidden 256", "", .8572, 0, ""}}},
  {2, "Report B: sizes of each cell",
   LINES "--optimizer adam --lr 1e-3 --batch 100 --keep .6", TENSORFLOW "--steps 500",
   {{"B2-rnn-50", "--cell rnn --hidden 50", "", 0, 0,
     "the report's 50,000 taken as samples; 100 units best, LSTM best, RNN worst"},
    {"B2-rnn-100", "--cell rnn --hidden 100", "", 0, 0, ""},
    {"B2-rnn-500", "--cell rnn --hidden 500", "", 0, 0, ""},
    {"B2-lstm-50", "--cell lstm --hidden 50", "", 0, 0, ""},
    {"B2-lstm-100", "--cell lstm --hidden 100", "", 0, 0, ""},
    {"B2-lstm-200", "--cell lstm --hidden 200", "", 0, 0, ""},
    {"B2-lstm-500", "--cell lstm --hidden 500", "", 0, 0, ""},
    {"B2-gru-20", "--cell gru --hidden 20 --batch 200", "--steps 250", 0, 0, ""},
    {"B2-gru-100", "--cell gru --hidden 100 --batch 200", "--steps 250", 0, 0, ""},
    {"B2-gru-500", "--cell gru --hidden 500 --batch 200", "--steps 250", 0, 0, ""}}},
  {2, "Report B: 50,000 steps",
   LINES "--optimizer adam --lr 1e-3 --batch 100 --keep .6 --hidden 100",
   TENSORFLOW "--steps 50000",
   {{"B2-rnn-long", "--cell rnn", "", 0, 0, "the report's 50,000 taken as steps"},
    {"B2-lstm-long", "--cell lstm", "", 0, 0, ""},
    {"B2-gru-long", "--cell gru --batch 200", "", 0, 0, ""}}},
  {2, "Report C: sizes of GRU and LSTM",
   LINES, TENSORFLOW "--optimizer adam --lr 1e-3 --batch 100 --steps 500 --keep 1",
   {{"C2-gru-32", "--cell gru", "--hidden 32", 0, 0,
     "the report: more units learn faster, GRU above LSTM"},
    {"C2-gru-128", "--cell gru", "--hidden 128", 0, 0, ""},
    {"C2-gru-512", "--cell gru", "--hidden 512", 0, 0, ""},
    {"C2-lstm-32", "--cell lstm", "--hidden 32", 0, 0, ""},
    {"C2-lstm-128", "--cell lstm", "--hidden 128", 0, 0, ""},
    {"C2-lstm-512", "--cell lstm", "--hidden 512", 0, 0, ""}}},
  {2, "Report D: sizes of the RNN, and cells",
   LINES "--lr 1e-3 --batch 100 --steps 500 --hidden 128", TENSORFLOW "--keep 1",
   {{"D2-rnn-128", "--cell rnn --optimizer rmsprop", RMSPROP, .8898, 0, ""},
    {"D2-rnn-256", "--cell rnn --optimizer rmsprop --hidden 256", RMSPROP, .854, 0, ""},
    {"D2-rnn-512", "--cell rnn --optimizer rmsprop --hidden 512", RMSPROP, .6321, 0, ""},
    {"D2-rnn-1024", "--cell rnn --optimizer rmsprop --hidden 1024", RMSPROP, .1028, 0, ""},
    {"D2-rnn-adam", "--cell rnn --optimizer adam", "", .9135, 0, ""},
    {"D2-lstm", "--cell lstm", "--optimizer adam", .9505, 0, ""},
    {"D2-gru", "--cell gru", "--optimizer adam", .9572, 0, ""}}},
  {2, "Report E: three cells, two layers",
   "mnist --layers 2 --batch 64 --epochs 10 --hidden 128", "--keep 1",
   {{"E2-rnn-adam-.01", "--cell rnn --relu --optimizer adam --lr .01", "", .8378, 0, ""},
    {"E2-rnn-adam-.001", "--cell rnn --relu --optimizer adam --lr .001", "", .9818, .9774, ""},
    {"E2-rnn-64", "--cell rnn --relu --optimizer adam --lr .001 --hidden 64", "", .9432, 0, ""},
    {"E2-rnn-adagrad", "--cell rnn --relu --optimizer adagrad --lr .01", "", .9737, 0, ""},
    {"E2-lstm-adam-.01", "--cell lstm --optimizer adam --lr .01", "", .9776, 0, ""},
    {"E2-lstm-adam-.001", "--cell lstm --optimizer adam --lr .001", "", .9895, .9858, ""},
    {"E2-lstm-64", "--cell lstm --optimizer adam --lr .001 --hidden 64", "", .9863, 0, ""},
    {"E2-lstm-adagrad", "--cell lstm --optimizer adagrad --lr .01", "", .9847, 0, ""},
    {"E2-gru-adam-.01", "--cell gru --optimizer adam --lr .01", "", .9432, .9112,
     "the reported figure is doubtful: an RNN row has the same"},
    {"E2-gru-adam-.001", "--cell gru --optimizer adam --lr .001", "", .9906, .9882, ""},
    {"E2-gru-64", "--cell gru --optimizer adam --lr .001 --hidden 64", "", .9871, 0, ""},
    {"E2-gru-adagrad", "--cell gru --optimizer adagrad --lr .01", "", .9862, 0, ""}}},
  {2, "A convolutional network on the same digits",
   "mnist --cell cnn", "--optimizer adam --lr .001 --batch 64 --epochs 10 --keep .5",
   {{"same-cnn", "", "", 0, 0, "beside E2-rnn, E2-lstm and E2-gru, Adam .001"}}},
  {2, "The best of these nets",
   "", "mnist --optimizer adamw --schedule one-cycle",
   {{"best-mnist-cnn", "--cell cnn", "--lr 2e-3 --batch 64 --epochs 20 --keep .5 "
                                     "--weight-decay .05 --augment shift=2", 0, 0, ""},
    {"best-mnist-gru", "--cell gru", "--layers 2 --hidden 192 --lr 2e-3 --batch 64 --epochs 25 "
                                     "--keep .7 --weight-decay .02 --clip-norm 1 "
                                     "--augment shift=2", 0, 0, ""}}},
};
enum { GROUPS = sizeof groups / sizeof *groups };

/* The i-th row of all, from 0 on, and its group; NULL after the last. */
static const struct preset *find_preset(int i, const struct group **group) {
  for (int g = 0; g < GROUPS; g++)
    for (int k = 0; k < MOST_PRESETS && groups[g].rows[k].name; k++)
      if (i-- == 0) {
        *group = &groups[g];
        return &groups[g].rows[k];
      }
  return NULL;
}

/* The rows of the comparison of a CNN with RNNs. */
static const char *const same_digits[] = {"same-cnn", "E2-rnn-adam-.001", "E2-lstm-adam-.001",
                                          "E2-gru-adam-.001"};
enum { SAME_DIGITS = sizeof same_digits / sizeof *same_digits };
/* A study's data sets. */
enum { DATA_MNIST, DATA_RGB32, DATA_RGB28, DATA_GRAY32, DATA_GRAY28, DATA_KINDS };
/* The names of those that a reported figure may be compared on; no report is about colours. */
static const char *const compared_data[DATA_KINDS][2] = {
    {"MNIST", NULL}, {NULL, NULL}, {NULL, NULL},
    {"CIFAR-10 gray", "CIFAR-10 (JPEG-recoded copy) gray"}, {"CIFAR-10 gray 28x28 subset", NULL}};

/* What there is of a run, less first; it is worth showing from DAMAGED on. */
enum state { NOT_RUN, OTHER_RUN, UNFINISHED, DAMAGED, DONE };
static const char *const state_names[] = {"not run", "other settings", "unfinished", "damaged"};

/* What a finished run leaves; of its activations the second convolution's, at two thirds of the way
 * and at the end. */
struct outcome {
  enum state state;
  int diverged, tests; /* tests: how many images it was tested on */
  uint32_t crc;        /* of its images */
  double seed, accuracy, best, seconds, parameters, sparsity, mean[2], deviation[2], strongest;
  char data[80], stuck_layer[48]; /* one that says the same of every image, if there is one */
  struct row *rows;
  size_t row_count;
};

struct trial {
  char name[160];
  const struct group *group; /* of an experiment */
  const struct preset *preset;
  struct settings s;
  char given[OPTION_COUNT]; /* by its report */
  char *words;       /* what they point to */
  int unasked;       /* shown for it is done, not trained */
  struct outcome *outcomes; /* for each seed asked for, then for others that are done */
  int seeds, done, damaged, diverged, stuck; /* how many outcomes, and of those */
  struct outcome all; /* the means; its rows are the mean curves; the state that says most */
  double deviation, lowest, highest; /* of the accuracy */
};

struct study {
  struct settings *typed;
  const char *const *again; /* the words of the command */
  char base[PATH_SIZE];
  struct data data[DATA_KINDS];
  struct trial *trials;
  int count, seeds, done_before;
  struct text sources; /* which data the outcomes are on, as HTML */
  lock *lock; /* of the folder */
};

/* Cuts at spaces, in place. */
static int split(char *text, const char **words, int most) {
  int count = 0;
  for (char *at = strtok(text, " "); at && count < most; at = strtok(NULL, " "))
    words[count++] = at;
  return count;
}

static int data_kind(const struct settings *s) {
  const int small = is_choice(s, OPT_SIZE, "28");
  if (s->command->bit == MNIST) return DATA_MNIST;
  if (is_set(s, OPT_GRAY)) return small ? DATA_GRAY28 : DATA_GRAY32;
  return small ? DATA_RGB28 : DATA_RGB32;
}

/* A trial of a command and its words, which point into t->words; the options that are the study's
 * own come from its command line. */
static void make_trial(struct trial *t, const struct study *st, int count, const char **words) {
  static const enum option shared[] = {OPT_THREADS, OPT_ISA, OPT_DATA, OPT_QUIET};
  parse(&t->s, find_command(words[0]), count - 1, words + 1);
  for (int k = 0; k < 4; k++) t->s.v[shared[k]] = st->typed->v[shared[k]];
  if (is_set(st->typed, OPT_MINIATURE)) {
    t->s.v[OPT_EPOCHS].text = "";
    give(&t->s, OPT_STEPS, "30");
    give(&t->s, OPT_TEST_EVERY, "10");
    if (number_of(&t->s, OPT_BATCH) > 20) give(&t->s, OPT_BATCH, "20");
  }
  complete(&t->s);
  t->seeds = st->seeds;
  t->outcomes = allocate((size_t)st->seeds, sizeof *t->outcomes);
}

/* A row of a report. The row's length, in epochs or steps, takes the place of its group's. */
static void make_preset(struct trial *t, const struct study *st, const struct group *g,
                        const struct preset *p) {
  enum { WORDS = 64 };
  const char *words[WORDS];
  struct text all = {0}, given = {0};
  struct settings s;
  text_add(&given, "%s %s", g->given, p->given);
  text_add(&all, "%s %s %s %s", g->given, g->chosen, p->given, p->chosen);
  t->words = all.data;
  t->group = g;
  t->preset = p;
  snprintf(t->name, sizeof t->name, "%s", p->name);
  make_trial(t, st, split(all.data, words, WORDS), words);
  memset(&s, 0, sizeof s);
  const int count = split(given.data, words, WORDS);
  if (count && find_command(words[0])) parse(&s, find_command(words[0]), count - 1, words + 1);
  else parse(&s, t->s.command, count, words);
  for (int o = 0; o < OPTION_COUNT; o++) t->given[o] = s.v[o].given != 0;
  text_free(&given);
}

/* Leaves at most so many samples of a set, from all over it and not in step with its classes, for
 * some sets are sorted by them and some take them in turn. */
static void thin_out(nn_dataset *d, uint8_t *pixels, int32_t *labels, int most) {
  const size_t each = (size_t)(d->channels * d->height * d->width);
  const int stride = d->count / most;
  if (stride < 2) return;
  for (int i = 0; i < most; i++) {
    const int from = i * stride + i % stride;
    memmove(pixels + (size_t)i * each, pixels + (size_t)from * each, each);
    labels[i] = labels[from];
  }
  d->count = most;
}

/* Of the data of a miniature: other data than the whole, for a resumed run, too. */
static uint32_t miniature_crc(uint32_t whole) { return nn_crc32(whole, "part", 4); }

static struct data *study_data(struct study *st, const struct settings *s) {
  struct data *d = &st->data[data_kind(s)];
  const int cifar = s->command->bit == CIFAR10;
  if (d->train.count) return d;
  data_find(d, s, cifar, 1);
  if (is_set(st->typed, OPT_MINIATURE)) {
    d->crc = miniature_crc(d->crc);
    thin_out(&d->train, d->pixels[0], d->labels[0], 1000);
    thin_out(&d->test, d->pixels[1], d->labels[1], 200);
  }
  data_moments(d, cifar);
  tell_data(d, is_set(st->typed, OPT_QUIET));
  return d;
}

/* Hoyer 2004: (sqrt n - sum |x| / sqrt(sum x^2)) / (sqrt n - 1): 0 when all n values are equally
 * large, 1 when all but one are 0; 0 of fewer than two values, and of zeros. */
static double sparsity(const nn_real *x, size_t count) {
  const double root = sqrt((double)count);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; i++) {
    sum += fabs((double)x[i]);
    squares += (double)x[i] * (double)x[i];
  }
  return squares > 0 && count > 1 ? (root - sum / sqrt(squares)) / (root - 1) : 0;
}

/* Spearman's rank correlation, -1 .. 1; equal values share the mean of their ranks. 0 where all of
 * a or all of b are equal. It is Pearson's correlation of the ranks: a rank off the middle one is
 * half of how many values are smaller less how many are greater. */
static double rank_correlation(const double *a, const double *b, size_t count) {
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < count; i++) {
    double u = 0, v = 0;
    for (size_t k = 0; k < count; k++) {
      u += (a[k] < a[i]) - (a[k] > a[i]);
      v += (b[k] < b[i]) - (b[k] > b[i]);
    }
    aa += u * u, bb += v * v, ab += u * v;
  }
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* Of the first layer's weights. */
static double filter_sparsity(nn_model *m) {
  nn_param w;
  return nn_get_param(m, 0, &w) || w.rank != 4 ? 0 : sparsity(w.value, w.count);
}

enum { END_STEP, END_DIVERGED, END_ACCURACY, END_BEST, END_PARAMETERS, END_SPARSITY, END_SECONDS,
       RESULTS };
static const struct {
  const char *key;
  double most;
} results[RESULTS] = {{"step", 9e15},       {"diverged", 1},        {"accuracy", 1},
                      {"best-accuracy", 1}, {"parameters", 9e15}, {"filter-sparsity", 1},
                      {"seconds", 9e15}};

/* The run is done: result.txt says so. What would go on with it is not needed any more. */
static void write_result(struct run *r) {
  const struct row *last = last_tested(r);
  const double values[RESULTS] = {(double)r->progress.step, r->diverged || !r->best_step,
                                  last ? last->test_accuracy : 0, r->best_accuracy,
                                  (double)r->parameters, filter_sparsity(r->m), r->seconds};
  struct text t = {0};
  char path[PATH_SIZE];
  for (int k = 0; k < RESULTS; k++) text_add(&t, "%s=%.9g\n", results[k].key, values[k]);
  path_of(path, "%s/result.txt", r->folder);
  text_save(&t, path);
  text_free(&t);
  for (int k = 0; k < 3 && !r->diverged; k++) { /* what a divergence came from may be looked at */
    static const char *const names[] = {"last.nn", "previous.nn", "previous.txt"};
    path_of(path, "%s/%s", r->folder, names[k]);
    remove(path);
  }
}

/* Whether the run in the folder is done, damaged or unfinished; of one that is done its outcome. */
static enum state read_result(struct run *r, struct outcome *to) {
  const double rounding = 1e-9;
  char path[PATH_SIZE], value[64], *text;
  double v[RESULTS];
  int k = 0;
  path_of(path, "%s/result.txt", r->folder);
  if (!file_exists(path)) return UNFINISHED;
  text = read_text(path);
  while (k < RESULTS && find_fact(text, results[k].key, value, sizeof value) &&
         read_number(value, &v[k]) && v[k] >= -rounding && v[k] <= results[k].most + rounding)
    k++;
  free(text);
  run_plan(r);
  if (k < RESULTS || v[END_STEP] > (double)r->total) return DAMAGED;
  r->progress.step = (int64_t)v[END_STEP];
  read_log(r);
  to->tests = r->d->test.count;
  to->crc = r->d->crc;
  to->diverged = v[END_DIVERGED] > 0;
  to->accuracy = v[END_ACCURACY], to->best = v[END_BEST], to->seconds = v[END_SECONDS];
  to->parameters = v[END_PARAMETERS], to->sparsity = v[END_SPARSITY];
  snprintf(to->data, sizeof to->data, "%s", r->d->name);
  to->rows = r->rows;
  to->row_count = r->row_count;
  r->rows = NULL;
  path_of(path, "%s/activations.csv", r->folder);
  text = read_text(path);
  for (const char *line = text; line && *line; line = next_line(line)) {
    struct activity a;
    if (!read_activity(line, &a)) continue;
    for (int i = 0; i < 2 && strcmp(a.layer, "relu2") == 0; i++)
      if (i || a.step * 3 <= v[END_STEP] * 2)
        to->mean[i] = a.mean, to->deviation[i] = a.deviation, to->strongest = a.most;
    if (a.step != v[END_STEP] || *to->stuck_layer) continue;
    if (a.zeros == 1) snprintf(to->stuck_layer, sizeof to->stuck_layer, "%s gives 0", a.layer);
    else if (strncmp(a.layer, "tanh", 4) == 0 &&
             a.mean * a.mean + a.deviation * a.deviation > .9995) /* where no gradient is left */
      snprintf(to->stuck_layer, sizeof to->stuck_layer, "%s gives +-1", a.layer);
  }
  free(text);
  return DONE;
}

/* A run of a study, and what its settings point to. */
struct opened {
  struct run r;
  struct data d; /* of a run that is only shown: what its facts tell of it */
  char *facts, *lines, folder[PATH_SIZE], seed[24];
};

static void close_run(struct opened *o) {
  run_free(&o->r);
  free(o->facts);
  free(o->lines);
  free(o);
}

/* The run of a trial with a seed: its folder and the settings that it should have. */
static struct opened *place_run(const struct study *st, const struct trial *t, double seed) {
  struct opened *o = allocate(1, sizeof *o);
  snprintf(o->seed, sizeof o->seed, "%.0f", seed);
  path_of(o->folder, "%s/%s/seed-%s", st->base, t->name, o->seed);
  path_of(o->r.folder, "%s", o->folder);
  o->r.s = t->s;
  give(&o->r.s, OPT_SEED, o->seed);
  o->r.s.v[OPT_OUT].text = o->r.s.v[OPT_RESUME].text = o->folder;
  return o;
}

/* Whether a folder without settings.txt holds something else that a run has left. */
static int has_rests(const char *folder) {
  static const char *const names[] = {"result.txt", "best.nn", "last.nn", "log.csv", "report.html"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (holds(folder, names[i])) return 1;
  return 0;
}

/* Which data a done run was on, once in all. */
static void tell_source(struct study *st, const struct data *d) {
  struct text t = {0}, line = {0};
  text_data(&t, d);
  text_put(&line, "<p class=soft>Data: ");
  text_html(&line, t.data);
  text_put(&line, "</p>\n");
  if (!st->sources.data || !strstr(st->sources.data, line.data)) text_put(&st->sources, line.data);
  text_free(&t);
  text_free(&line);
}

static const char result_mend[] = "remove it, and the run is trained anew";
static const char settings_mend[] =
    "put it back, or remove the folder, and the run is trained anew";

/* Prepares a run to be trained. 0 when it is done: then `to` has its outcome. */
static int open_run(struct opened *o, struct study *st, struct outcome *to) {
  struct run *r = &o->r;
  const struct settings s = r->s;
  char path[PATH_SIZE];
  path_of(path, "%s/settings.txt", o->folder);
  r->again = st->again;
  r->brief = 1;
  r->watch = is_cnn(&s);
  if (!file_exists(path)) {
    if (has_rests(o->folder)) fail("%s is missing: %s", path, settings_mend);
    r->d = study_data(st, &s);
    run_new(r, st->base);
    return 1;
  }
  o->facts = read_resumed(r, &s, path, &o->lines);
  const int differs = differing(&r->s, &s, 1);
  if (differs >= 0)
    fail("%s holds a run with %s %s, not %s: move it away, or give another --out", r->folder,
         options[differs].name,
         is_set(&r->s, (enum option)differs) ? r->s.v[differs].text : "not set",
         is_set(&s, (enum option)differs) ? s.v[differs].text : "without it");
  r->d = study_data(st, &s);
  check_data(r, o->facts);
  to->state = read_result(r, to);
  if (to->state == DAMAGED) fail("%s/result.txt is damaged: %s", r->folder, result_mend);
  if (to->state == DONE) return 0;
  run_load(r, o->facts); /* one without checkpoints starts from its beginning */
  return 1;
}

/* What settings.txt says of its run: UNFINISHED when it is the one that is wanted. */
static enum state compare_settings(const struct settings *s, const char *facts) {
  char values[OPTION_COUNT][128], why[256];
  struct settings read = *s; /* of which the options of other commands stay */
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!(options[o].commands & s->command->bit) || is_outward(o)) continue;
    read.v[o].text = "";
    if (!find_fact(facts, options[o].name, values[o], sizeof values[o])) continue;
    set_option(&read, (enum option)o, values[o], why);
    if (*why) return DAMAGED;
  }
  return differing(&read, s, 1) >= 0 ? OTHER_RUN : UNFINISHED;
}

/* What settings.txt says of the run's data, without its pixels. 0 if it is damaged. */
static int read_source(struct data *d, const struct settings *s, const char *facts) {
  const int kind = data_kind(s), side = kind == DATA_RGB32 || kind == DATA_GRAY32 ? 32 : 28;
  char value[64], *end;
  double train, test;
  if (!find_fact(facts, "run.data-crc", value, sizeof value)) return 0;
  d->crc = (uint32_t)strtoul(value, NULL, 16);
  if (!find_fact(facts, "run.data-name", d->name, sizeof d->name) ||
      !find_fact(facts, "run.data-from", d->where, sizeof d->where) ||
      !find_fact(facts, "run.images", value, sizeof value) || !(end = strstr(value, " + ")))
    return 0;
  *end = 0;
  if (!read_number(value, &train) || !read_number(end + 3, &test) || train < 1 || test < 1 ||
      train > INT32_MAX / 8 || test > INT32_MAX / 8)
    return 0;
  d->train.count = (int)train, d->test.count = (int)test;
  d->train.height = d->train.width = side;
  d->train.channels = kind == DATA_RGB32 || kind == DATA_RGB28 ? 3 : 1;
  return 1;
}

/* What there is of a run by its own files alone: its images need not be at hand, and nothing that
 * is wrong with it keeps the others from being shown. */
static void find_run(struct study *st, const struct trial *t, double seed, struct outcome *to) {
  struct opened *o = place_run(st, t, seed);
  struct run *r = &o->r;
  char path[PATH_SIZE];
  to->seed = seed;
  path_of(path, "%s/settings.txt", o->folder);
  o->facts = read_text(path);
  r->d = &o->d;
  if (!o->facts) to->state = has_rests(o->folder) ? DAMAGED : NOT_RUN;
  else if (!read_source(&o->d, &r->s, o->facts)) to->state = DAMAGED;
  else to->state = compare_settings(&r->s, o->facts);
  if (to->state == DAMAGED) {
    note("%s is missing or damaged: %s", path, settings_mend);
  } else if (to->state == UNFINISHED) {
    to->state = read_result(r, to);
    if (to->state == DAMAGED) note("%s/result.txt is damaged: %s", o->folder, result_mend);
    if (to->state == DONE) tell_source(st, &o->d);
  }
  close_run(o);
}

/* Adds what is done of a trial without having been trained just now: of the seeds that were asked
 * for, and of others up to a hundred. The runs of a row have to be on the same images. */
static void find_runs(struct study *st, struct trial *t) {
  enum { MOST_SEEDS = 100 };
  const double first = number_of(st->typed, OPT_SEED), last = first + st->seeds - 1;
  const struct outcome *of = NULL;
  for (int k = 0; k < st->seeds; k++)
    if (t->outcomes[k].state != DONE) {
      find_run(st, t, first + k, &t->outcomes[k]);
      st->done_before += !t->unasked && t->outcomes[k].state == DONE;
    }
  for (int seed = 1; seed <= MOST_SEEDS; seed++) {
    struct outcome other;
    memset(&other, 0, sizeof other);
    if (seed >= first && seed <= last) continue;
    find_run(st, t, seed, &other);
    if (other.state < DAMAGED) continue;
    struct outcome *all = realloc(t->outcomes, ((size_t)t->seeds + 1) * sizeof *all);
    if (!all) fail("out of memory");
    t->outcomes = all;
    t->outcomes[t->seeds++] = other;
  }
  for (int k = 0; k < t->seeds; k++) {
    struct outcome *o = &t->outcomes[k];
    if (o->state == DONE && !of) of = o;
    if (o->state == DONE && o->crc != of->crc) o->state = OTHER_RUN;
  }
}

/* How many runs were asked for. */
static int count_runs(const struct study *st) {
  int count = 0;
  for (int i = 0; i < st->count; i++) count += st->trials[i].unasked ? 0 : st->seeds;
  return count;
}

/* Trains the k-th run of a trial, from its beginning or from where it stopped, unless it is done.
 * number: which one of all this is. 0, or the signal. */
static int train_one(struct study *st, struct trial *t, int k, int number) {
  struct outcome *o = &t->outcomes[k];
  int stopped = 0;
  o->seed = number_of(st->typed, OPT_SEED) + k;
  struct opened *now_open = place_run(st, t, o->seed);
  struct run *r = &now_open->r;
  if (!open_run(now_open, st, o)) {
    st->done_before++;
  } else if (!(stopped = run_train(r))) {
    write_result(r);
    free(r->rows), r->rows = NULL, r->row_count = 0;
    o->state = read_result(r, o);
    if (!r->quiet)
      fprintf(stderr, "%s, seed %s: test accuracy %s (best %s)%s, %s (run %d of %d)\n", t->name,
              now_open->seed, percent(o->accuracy).text, percent(o->best).text,
              o->diverged ? ", diverged" : "", duration(o->seconds).text, number, count_runs(st));
  }
  if (o->state == DONE) tell_source(st, r->d);
  close_run(now_open);
  return stopped;
}

/* Runs, skips or resumes every run of every trial that was asked for. 0, or the signal. */
static int train_all(struct study *st) {
  int stopped = 0, number = 0;
  need_no_run(st->base);
  if (!is_set(st->typed, OPT_DONE)) {
    make_folders(st->base);
    st->lock = lock_folder(st->base);
    for (int i = 0; i < st->count; i++)
      for (int k = 0; k < st->seeds && !st->trials[i].unasked && !stopped; k++)
        stopped = train_one(st, &st->trials[i], k, ++number);
  }
  for (int i = 0; i < st->count && !stopped; i++) find_runs(st, &st->trials[i]);
  return stopped;
}

/* The row of a step, if the run's log has it. */
static const struct row *row_at(const struct outcome *o, int64_t step) {
  size_t from = 0, to = o->row_count;
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    if (o->rows[middle].step < step) from = middle + 1;
    else to = middle;
  }
  return from < o->row_count && o->rows[from].step == step ? &o->rows[from] : NULL;
}

/* The curves' means, at the steps that the logs of all seeds have: elsewhere it would be a mean of
 * others. */
static void mean_rows(struct trial *t) {
  const struct outcome *first = t->outcomes;
  while (first->state != DONE) first++;
  t->all.rows = allocate(first->row_count, sizeof *t->all.rows);
  for (size_t i = 0; i < first->row_count; i++) {
    struct row *to = &t->all.rows[t->all.row_count], mean = {0, 0, 0, 0, 0, 0, 0};
    int n = 0;
    for (int k = 0; k < t->seeds; k++) {
      const struct outcome *o = &t->outcomes[k];
      const struct row *from = o->state == DONE ? row_at(o, first->rows[i].step) : NULL;
      if (!from) continue;
      mean.loss += from->loss, mean.accuracy += from->accuracy, mean.seconds += from->seconds;
      mean.test_loss += from->test_loss, mean.test_accuracy += from->test_accuracy;
      n++;
    }
    if (n < t->done) continue;
    *to = first->rows[i];
    to->loss = mean.loss / n, to->accuracy = mean.accuracy / n, to->seconds = mean.seconds / n;
    to->test_loss = mean.test_loss / n, to->test_accuracy = mean.test_accuracy / n;
    t->all.row_count++;
  }
}

/* Means and spread over a trial's seeds. */
static void sum_trial(struct trial *t) {
  struct outcome *all = &t->all;
  double squares = 0;
  t->lowest = HUGE_VAL;
  for (int k = 0; k < t->seeds; k++) {
    const enum state state = t->outcomes[k].state;
    t->done += state == DONE;
    t->damaged += state == DAMAGED;
    if (state > all->state) all->state = state;
  }
  for (int k = 0; k < t->seeds; k++) {
    const struct outcome *o = &t->outcomes[k];
    const double n = t->done;
    if (o->state != DONE) continue;
    t->diverged += o->diverged;
    t->stuck += *o->stuck_layer != 0;
    if (*o->stuck_layer) memcpy(all->stuck_layer, o->stuck_layer, sizeof all->stuck_layer);
    t->lowest = fmin(t->lowest, o->accuracy);
    t->highest = fmax(t->highest, o->accuracy);
    all->accuracy += o->accuracy / n, all->best += o->best / n, all->seconds += o->seconds / n;
    all->parameters += o->parameters / n, all->sparsity += o->sparsity / n;
    all->strongest += o->strongest / n;
    for (int i = 0; i < 2; i++)
      all->mean[i] += o->mean[i] / n, all->deviation[i] += o->deviation[i] / n;
    all->tests = o->tests;
    memcpy(all->data, o->data, sizeof all->data);
  }
  for (int k = 0; k < t->seeds; k++)
    if (t->outcomes[k].state == DONE) squares += pow(t->outcomes[k].accuracy - all->accuracy, 2);
  if (t->done > 1) t->deviation = sqrt(squares / (t->done - 1));
  if (t->done) mean_rows(t);
}

static void trial_free(struct trial *t) {
  for (int k = 0; k < t->seeds; k++) free(t->outcomes[k].rows);
  free(t->outcomes);
  free(t->all.rows);
  free(t->words);
}

static void study_free(struct study *st) {
  for (int i = 0; i < st->count; i++) trial_free(&st->trials[i]);
  text_free(&st->sources);
  for (int i = 0; i < DATA_KINDS; i++) data_free(&st->data[i]);
  leave_folder(st->lock);
  free(st->trials);
}

/* A share in hundredths, for tables that programs may read too. */
static struct word hundredths(double share) {
  struct word w;
  snprintf(w.text, sizeof w.text, "%.2f", 100 * share);
  return w;
}

/* Cells that every table of trials has: mean, deviation, range over the seeds, and so on. */
#define TRIAL_HEADS "accuracy, %", "deviation", "range", "best", "seconds", "seeds"
static void trial_cells(struct table *to, const struct trial *t) {
  const int several = t->done > 1;
  struct text seeds = {0};
  if (t->done == 0) {
    for (int k = 0; k < 6; k++) cell(to, "%s", k ? "-" : state_names[t->all.state]);
    return;
  }
  cell(to, "%s", hundredths(t->all.accuracy).text);
  cell(to, "%s", several ? hundredths(t->deviation).text : "-");
  if (several)
    cell(to, "%s..%s", hundredths(t->lowest).text, hundredths(t->highest).text);
  else cell(to, "-");
  cell(to, "%s", hundredths(t->all.best).text);
  cell(to, t->all.seconds < 100 ? "%.1f" : "%.0f", t->all.seconds);
  text_add(&seeds, "%d", t->done);
  if (t->diverged) text_add(&seeds, " (%d diverged)", t->diverged);
  else if (t->stuck) text_add(&seeds, " (%d stuck: %s)", t->stuck, t->all.stuck_layer);
  if (t->damaged) text_add(&seeds, " (and %d damaged)", t->damaged);
  cell(to, "%s", seeds.data);
  text_free(&seeds);
}

/* The cell under "parameters". */
static void parameter_cell(struct table *to, const struct trial *t) {
  if (t->done) cell(to, "%.0f", t->all.parameters);
  else cell(to, "-");
}

/* Whether the trial's images are those that its report's were. */
static int on_reported_data(const struct trial *t) {
  const char *const *names = compared_data[data_kind(&t->s)];
  return (names[0] && strcmp(t->all.data, names[0]) == 0) ||
         (names[1] && strcmp(t->all.data, names[1]) == 0);
}

/* Whether the figure is within a point of the reported one or of PyTorch's, or better; or why it
 * cannot be compared. */
static const char *verdict(const struct study *st, const struct trial *t, int *compared) {
  const double ours = t->all.accuracy + 1e-9, reported = t->preset->reported;
  *compared = 0;
  if (!t->done || reported <= 0) return "-";
  if (is_set(st->typed, OPT_MINIATURE)) return "miniature";
  if (!on_reported_data(t)) return "other data";
  *compared = 1;
  if (ours > reported + .01) return "better";
  if (ours >= reported - .01) return "yes";
  return t->preset->torch > 0 && ours >= t->preset->torch - .01 ? "as PyTorch" : "no";
}

/* One study's rows beside what was reported. */
static struct table compare_reported(const struct study *st, int study) {
  static const char *const heads[] = {"row", "reported", "PyTorch", TRIAL_HEADS, "difference",
                                      "reached", "data", NULL};
  struct table to = {heads, NULL, 0};
  for (int i = 0; i < st->count; i++) {
    const struct trial *t = &st->trials[i];
    const struct preset *p = t->preset;
    if (t->group->study != study) continue;
    int compared;
    const char *reached = verdict(st, t, &compared);
    cell(&to, "%s", t->name);
    cell(&to, "%s", p->reported > 0 ? hundredths(p->reported).text : "-");
    cell(&to, "%s", p->torch > 0 ? hundredths(p->torch).text : "-");
    trial_cells(&to, t);
    if (compared) cell(&to, "%+.2f", 100 * (t->all.accuracy - p->reported));
    else cell(&to, "-");
    cell(&to, "%s", reached);
    cell(&to, "%s", t->done ? t->all.data : "-");
  }
  return to;
}

/* Options that have a column where rows are listed, those about length sharing one. */
static const enum option listed[] = {OPT_OPTIMIZER, OPT_LR,     OPT_MOMENTUM, OPT_BATCH,
                                     OPT_STEPS,     OPT_HIDDEN, OPT_LAYERS,   OPT_KEEP,
                                     OPT_INIT};

/* The options of a row that have no column and are not what they would be had none been given but
 * the network and its optimizer. */
static void other_cell(struct table *to, const struct trial *t) {
  static const enum option elsewhere[] = {OPT_CELL, OPT_SIZE, OPT_GRAY, OPT_EPOCHS, OPT_SEED};
  const struct settings *s = &t->s;
  struct settings plain;
  struct text text = {0};
  char has_column[OPTION_COUNT] = {0};
  for (size_t k = 0; k < sizeof listed / sizeof *listed; k++) has_column[listed[k]] = 1;
  for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++) has_column[elsewhere[k]] = 1;
  set_standards(&plain, s->command);
  plain.v[OPT_CELL] = s->v[OPT_CELL];
  plain.v[OPT_OPTIMIZER] = s->v[OPT_OPTIMIZER];
  complete(&plain);
  for (int o = 0; o < OPTION_COUNT; o++) {
    const struct value *v = &s->v[o];
    if (!(options[o].commands & s->command->bit) || is_outward(o) || o == OPT_ISA ||
        has_column[o] || !*v->text || strcmp(v->text, plain.v[o].text) == 0)
      continue;
    text_add(&text, "%s%s", text.size ? ", " : "", options[o].name);
    if (options[o].kind != FLAG) text_add(&text, " %s", v->text);
    if (!t->given[o]) text_put(&text, "*");
  }
  cell(to, "%s", text.size ? text.data : "-");
  text_free(&text);
}

/* What every row is made of; a star stands at what its report does not give. */
static struct table list_rows(const struct study *st, int study) {
  static const char *const heads[] = {"row",     "data",   "network", "optimizer", "rate",
                                      "momentum", "batch",  "length",  "hidden",    "layers",
                                      "keep",    "start", "reported", "other", NULL};
  struct table to = {heads, NULL, 0};
  for (int i = 0; i < st->count; i++) {
    const struct trial *t = &st->trials[i];
    const struct settings *s = &t->s;
    if (t->group->study != study) continue;
    cell(&to, "%s", t->name);
    if (data_kind(s) == DATA_MNIST) cell(&to, "mnist");
    else cell(&to, "%s%s", is_set(s, OPT_GRAY) ? "gray" : "rgb", s->v[OPT_SIZE].text);
    cell(&to, "%s", net_name(s));
    for (size_t k = 0; k < sizeof listed / sizeof *listed; k++) {
      enum option o = listed[k];
      const int epochs = o == OPT_STEPS && !is_set(s, o);
      if (epochs) o = OPT_EPOCHS;
      /* LeNet5's linear layer is given by all reports */
      const int given = t->given[o] || (o == OPT_HIDDEN && is_cnn(s));
      if (!is_set(s, o)) cell(&to, "-");
      else cell(&to, "%s%s%s", s->v[o].text, listed[k] != OPT_STEPS ? "" : epochs ? " epochs"
                : " steps", given ? "" : "*");
    }
    cell(&to, "%s", t->preset->reported > 0 ? hundredths(t->preset->reported).text : "-");
    other_cell(&to, t);
  }
  return to;
}

static const char star[] = "* not given by the report: chosen here, or the program's default\n";

/* A trial by its name, if it has results. */
static const struct trial *find_done(const struct study *st, const char *name) {
  for (int i = 0; i < st->count; i++)
    if (strcmp(st->trials[i].name, name) == 0 && st->trials[i].done) return &st->trials[i];
  return NULL;
}

/* The first step at which the mean test accuracy is at least so much. */
static double first_step(const struct trial *t, double accuracy) {
  for (size_t i = 0; i < t->all.row_count; i++)
    if (t->all.rows[i].test_accuracy >= accuracy) return (double)t->all.rows[i].step;
  return HUGE_VAL;
}

/* Report B's trials, and its claims about them as far as they have been answered. */
enum { KEEP_8, KEEP_6, SHORT_6, SHORT_4, BATCH_500, SGD_LOW, SGD_HIGH, RMS_7, RMS_8, TRIALS_B };
static const char *const trials_b[TRIALS_B] = {"B1-1", "B1-2", "B1-3", "B1-3-text", "B1-4",
                                               "B1-5", "B1-6", "B1-7", "B1-8"};
struct claims {
  struct table table;
  struct text figures;  /* of the claim that is being looked at */
  const char *no_answer; /* why figures like these answer nothing, or NULL */
  const struct trial *t[TRIALS_B];
};

/* Ends a claim; its figures are then empty again. */
static void claim(struct claims *c, const char *what, const char *answer) {
  cell(&c->table, "%s", what);
  cell(&c->table, "%s", c->figures.data);
  cell(&c->table, "%s", c->no_answer ? c->no_answer : answer);
  c->figures.size = 0;
}
static const char *answer_of(int confirmed) { return confirmed ? "confirmed" : "not confirmed"; }

/* The same where two test accuracies are compared: as good as equal when they are less than two
 * standard errors of a difference of two proportions apart. */
static const char *answer_between(struct claims *c, const struct trial *a, const struct trial *b,
                                  int confirmed) {
  const int n = a->all.tests < b->all.tests ? a->all.tests : b->all.tests;
  const double p = (a->all.accuracy + b->all.accuracy) / 2;
  const double noise = 2 * sqrt(2 * p * (1 - p) / n);
  text_add(&c->figures, "; two standard errors of a difference on %s test images: %s",
           grouped(n).text, percent(noise).text);
  return fabs(a->all.accuracy - b->all.accuracy) < noise ? "within the noise"
                                                         : answer_of(confirmed);
}

/* Two pairs of trials that differ in nothing but what is kept. */
static void claim_keep(struct claims *c) {
  int held = 1;
  for (int k = KEEP_8; k <= SHORT_6; k += 2) {
    const struct trial *pair[2] = {c->t[k], c->t[k + 1]};
    const double level = .95 * fmin(pair[0]->all.best, pair[1]->all.best);
    double steps[2];
    text_add(&c->figures, "%ssteps to %s: ", k ? "; " : "", percent(level).text);
    for (int i = 0; i < 2; i++) {
      steps[i] = first_step(pair[i], level);
      text_add(&c->figures, "%s%s at keep %s", i ? ", " : "",
               isfinite(steps[i]) ? grouped(steps[i]).text : "never", pair[i]->s.v[OPT_KEEP].text);
    }
    held = held && steps[1] < steps[0];
  }
  claim(c, "a lower keep rate converges faster on the test set", answer_of(held));
}

/* B1-3 is left out: it is the first 8,000 steps of B1-2. */
static void claim_sparse_activation(struct claims *c) {
  const double bound = .643; /* of Spearman's rank correlation of eight, one-sided, 5 % */
  double accuracy[TRIALS_B], sparse[TRIALS_B];
  size_t count = 0;
  for (int i = 0; i < TRIALS_B; i++) {
    const struct outcome *o = &c->t[i]->all;
    const double usual = o->mean[1] + o->deviation[1];
    if (i == SHORT_6) continue;
    accuracy[count] = o->accuracy;
    sparse[count++] = usual > 0 ? o->strongest / usual : 0;
  }
  const double rank = rank_correlation(accuracy, sparse, count);
  text_add(&c->figures, "second convolution after ReLU, maximum / (mean + deviation) against test "
           "accuracy over %d trials (B1-3 is the beginning of B1-2): rank correlation %+.3f "
           "(confirmed from +%.3f on, one-sided 5 %% level)", (int)count, rank, bound);
  claim(c, "sparse activation goes with better test accuracy", answer_of(rank >= bound));
}

static void claim_descent(struct claims *c) {
  const struct trial *low = c->t[SGD_LOW], *high = c->t[SGD_HIGH];
  int sparsest = 0;
  text_put(&c->figures, "sparsity of the filters (Hoyer):");
  for (int i = 0; i < TRIALS_B; i++) {
    text_add(&c->figures, " %s %.3f%s", trials_b[i], c->t[i]->all.sparsity,
             i + 1 < TRIALS_B ? "," : "");
    if (c->t[i]->all.sparsity > c->t[sparsest]->all.sparsity) sparsest = i;
  }
  text_add(&c->figures, "; test accuracy %s at rate %s with batch %s, %s at rate %s with batch %s: "
           "rate and batch both differ", percent(low->all.accuracy).text, low->s.v[OPT_LR].text,
           low->s.v[OPT_BATCH].text, percent(high->all.accuracy).text, high->s.v[OPT_LR].text,
           high->s.v[OPT_BATCH].text);
  const int held = high->all.accuracy > low->all.accuracy && sparsest == SGD_HIGH;
  claim(c, "gradient descent needs a high rate and gives the sparsest filters",
        answer_between(c, low, high, held));
}

static void claim_rmsprop(struct claims *c) {
  const double least = .99; /* what a fall leaves at most: values that stand still waver */
  int falling = 0;
  text_put(&c->figures, "second convolution after ReLU, mean and deviation at two thirds and at "
                        "the end (a fall: by over 1 %):");
  for (int i = 0; i < TRIALS_B; i++) {
    const struct outcome *o = &c->t[i]->all;
    text_add(&c->figures, " %s %.3g to %.3g and %.3g to %.3g%s", trials_b[i], o->mean[0],
             o->mean[1], o->deviation[0], o->deviation[1], i + 1 < TRIALS_B ? ";" : "");
    falling |= (o->mean[1] < least * o->mean[0] && o->deviation[1] < least * o->deviation[0]) << i;
  }
  claim(c, "RMSProp alone ends with falling mean and deviation",
        answer_of(falling == (1 << RMS_7 | 1 << RMS_8)));
}

static void claim_batch(struct claims *c) {
  const struct trial *small = c->t[SHORT_4], *large = c->t[BATCH_500];
  const double share = number_of(&small->s, OPT_BATCH) / number_of(&large->s, OPT_BATCH);
  const double seen = share * number_of(&small->s, OPT_STEPS); /* as many images */
  double same = 0;
  for (size_t i = 0; i < large->all.row_count; i++)
    if ((double)large->all.rows[i].step <= seen && !isnan(large->all.rows[i].test_accuracy))
      same = large->all.rows[i].test_accuracy;
  text_add(&c->figures, "%s steps, keep %s: test accuracy %s with batch %s, %s with batch %s (%s "
           "after as many images as the former)", grouped(number_of(&small->s, OPT_STEPS)).text,
           small->s.v[OPT_KEEP].text, percent(small->all.accuracy).text,
           small->s.v[OPT_BATCH].text, percent(large->all.accuracy).text,
           large->s.v[OPT_BATCH].text, percent(same).text);
  claim(c, "a larger batch helps",
        answer_between(c, small, large, large->all.accuracy > small->all.accuracy));
}

/* Report B's five claims, each with its figures. Empty unless all its trials are done. */
static struct table test_claims(const struct study *st) {
  static const char *const heads[] = {"claim of report B", "figures", "answer", NULL};
  struct claims c;
  memset(&c, 0, sizeof c);
  c.table.heads = heads;
  for (int i = 0; i < TRIALS_B; i++) {
    if (!(c.t[i] = find_done(st, trials_b[i]))) return c.table;
    if (!on_reported_data(c.t[i])) c.no_answer = "other images";
  }
  if (is_set(st->typed, OPT_MINIATURE)) c.no_answer = "miniature";
  claim_keep(&c);
  claim_sparse_activation(&c);
  claim_descent(&c);
  claim_rmsprop(&c);
  claim_batch(&c);
  text_free(&c.figures);
  return c.table;
}

/* The CNN and the RNNs on the same digits; `done` gets those that have results. */
static struct table compare_same(const struct study *st, const struct trial **done, int *count) {
  static const char *const heads[] = {"network", TRIAL_HEADS, "parameters", "row", "data", NULL};
  struct table to = {heads, NULL, 0};
  *count = 0;
  for (int i = 0; i < SAME_DIGITS; i++) {
    const struct trial *t = find_done(st, same_digits[i]);
    if (!t) continue;
    done[(*count)++] = t;
    cell(&to, "%s", net_label(&t->s));
    trial_cells(&to, t);
    parameter_cell(&to, t);
    cell(&to, "%s", t->name);
    cell(&to, "%s", t->all.data);
  }
  return to;
}

/* The report of a trial's first run that is done, from the study's folder, or "". */
static void report_of(const struct study *st, const char *name, address *to) {
  for (int i = 0; i < st->count; i++)
    for (int k = 0; k < st->trials[i].seeds && strcmp(st->trials[i].name, name) == 0; k++) {
      const struct outcome *o = &st->trials[i].outcomes[k];
      if (o->state != DONE) continue;
      snprintf(*to, sizeof *to, "%s/seed-%.0f/report.html", name, o->seed);
      return;
    }
}

/* A table on stdout, as CSV and on the page, there perhaps with the rows as links to the report of
 * their first run. */
static void put_table(struct study *st, struct text *page, struct table *t, const char *title,
                      const char *file, int linked, int coloured) {
  const int rows = rows_of(t);
  char path[PATH_SIZE];
  address *links = linked ? allocate((size_t)rows, sizeof *links) : NULL;
  for (int i = 0; i < rows && linked; i++) report_of(st, t->cells[i * columns_of(t)], &links[i]);
  printf("%s\n", title);
  print_table(t);
  putchar('\n');
  path_of(path, "%s/%s.csv", st->base, file);
  save_table(t, path);
  text_add(page, "<h2>%s</h2>\n", title);
  html_table(page, t, links, coloured);
  free(links);
  table_free(t);
}

/* A table of an earlier call that nothing is left of would be taken for one of this. */
static void remove_table(const struct study *st, const char *file) {
  char path[PATH_SIZE];
  path_of(path, "%s/%s.csv", st->base, file);
  remove(path);
}

/* Figures that compare trials: what to show of them, in the order of `what`. */
static void put_curves(struct text *page, const struct trial *const *trials, int count,
                       const int *what, int figures) {
  struct curve *curves = allocate((size_t)count, sizeof *curves);
  for (int i = 0; i < count; i++) {
    const struct outcome *all = &trials[i]->all;
    struct curve c = {trials[i]->name, trials[i]->group ? all->data : NULL, all->rows,
                      all->row_count};
    curves[i] = c;
  }
  text_put(page, "<div class=grid>\n");
  for (int k = 0; k < figures; k++) html_compared(page, curves, count, what[k]);
  text_put(page, "</div>\n");
  free(curves);
}

static const int all_figures[] = {SHOW_TEST, SHOW_TEST | SHOW_LOSS, 0, SHOW_LOSS};
static const int timed_figures[] = {SHOW_TEST | AGAINST_SECONDS, SHOW_TEST};

/* Claims are sentences: on stdout each has lines of its own. */
static void put_claims(struct study *st, struct text *page) {
  struct table t = test_claims(st);
  char path[PATH_SIZE], title[160];
  if (t.count) {
    snprintf(title, sizeof title, "Report B's claims, on %s", find_done(st, "B1-1")->all.data);
    puts(title);
    for (size_t i = 0; i < t.count; i += 3) {
      printf("%s: %s\n    ", t.cells[i], t.cells[i + 2]);
      print_wrapped(t.cells[i + 1], 4);
    }
    putchar('\n');
    path_of(path, "%s/claims.csv", st->base);
    save_table(&t, path);
    text_add(page, "<h2>%s</h2>\n<div class=card>\n", title);
    for (size_t i = 0; i < t.count; i += 3)
      text_add(page, "<p><b>%s: %s</b><br>%s</p>\n", t.cells[i], t.cells[i + 2], t.cells[i + 1]);
    text_put(page, "</div>\n");
  } else {
    remove_table(st, "claims");
  }
  table_free(&t);
}

/* Everything about one study's rows. */
static void put_study(struct study *st, struct text *page, int study) {
  static const char *const titles[] = {"Study 1: LeNet5 on CIFAR-10",
                                       "Study 2: the rows of MNIST through a recurrent net"};
  char file[16];
  struct table t = compare_reported(st, study), rows = list_rows(st, study);
  const struct trial **list = allocate((size_t)st->count, sizeof *list);
  snprintf(file, sizeof file, "study%d", study);
  if (t.count) {
    put_table(st, page, &t, titles[study - 1], file, 1, 0);
    text_put(page, "<p class=soft>Test accuracy at the end of training in %, the mean over the "
                   "seeds; deviation: the sample standard deviation over them, range: the lowest "
                   "and the highest; best: the mean of each run's best test; seconds: of the "
                   "training steps of a run, without tests and saving. reached: whether it is "
                   "within one point of the reported figure (yes), of what PyTorch 1.13 ends with "
                   "on the same images, or better. A row's name leads to its own report.</p>\n"
                   "<details><summary>What the rows are made of</summary>\n");
    html_table(page, &rows, NULL, 0);
    text_add(page, "<p class=soft>%s</p></details>\n", star);
  } else {
    remove_table(st, file);
  }
  for (int g = 0; g < GROUPS; g++) {
    int count = 0;
    if (groups[g].study != study) continue;
    for (int i = 0; i < st->count; i++)
      if (st->trials[i].group == &groups[g] && st->trials[i].done) list[count++] = &st->trials[i];
    if (!count) continue;
    text_add(page, "<h2>%s</h2>\n", groups[g].title);
    for (int i = 0; i < count; i++)
      if (*list[i]->preset->remark)
        text_add(page, "<p class=soft>%s: %s</p>\n", list[i]->name, list[i]->preset->remark);
    put_curves(page, list, count, all_figures, 4);
  }
  if (study == 1) put_claims(st, page);
  free(list);
  table_free(&t);
  table_free(&rows);
}

/* What the tables have to say first: a miniature proves nothing, and nor do other images. */
static void put_data(struct study *st, struct text *page) {
  if (st->sources.data) text_put(page, st->sources.data);
  if (is_set(st->typed, OPT_MINIATURE)) {
    puts("a miniature (--quick): these figures say nothing about the experiments\n");
    text_put(page, "<p><b>A miniature (--quick)</b>: these figures say nothing about the "
                   "experiments.</p>\n");
  }
}

static void end_study(struct study *st, struct text *page) {
  char path[PATH_SIZE];
  path_of(path, "%s/report.html", st->base);
  html_end(page, path);
  const int asked = count_runs(st), rows = st->count - asked / st->seeds;
  printf("%d of %d runs were done before", st->done_before, asked);
  if (rows) printf(", and %d row%s of earlier calls", rows, rows > 1 ? "s" : "");
  printf("; report: %s\n", path);
}

/* Whether the first n bytes of a name are a row's whole name. */
static int is_row(const char *name, size_t n) {
  const struct group *group;
  const struct preset *p;
  for (int i = 0; (p = find_preset(i, &group)); i++)
    if (strlen(p->name) == n && strncmp(p->name, name, n) == 0) return 1;
  return 0;
}

/* Whether a row is meant by one of the names, which commas part: its own; else its beginning up to
 * a hyphen, a report's letter, a list, or all. */
static int is_meant(const char *row, const char *names) {
  for (const char *at = names; *at; at += strcspn(at, ","), at += *at == ',') {
    const size_t n = strcspn(at, ",");
    if (n == 3 && strncmp(at, "all", 3) == 0) return 1;
    if (n == 4 && strncmp(at, "same", 4) == 0)
      for (int i = 0; i < SAME_DIGITS; i++)
        if (strcmp(row, same_digits[i]) == 0) return 1;
    if (!n || strncmp(row, at, n) != 0) continue;
    if (!row[n] || (!is_row(at, n) && (row[n] == '-' || n == 1))) return 1;
  }
  return 0;
}

/* Each of the names has to mean some row. */
static void check_names(const char *names) {
  const struct group *group;
  const struct preset *p;
  for (const char *at = names; *at; at += strcspn(at, ","), at += *at == ',') {
    char name[64], best[64] = "";
    size_t score = 99;
    int found = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
    for (int i = 0; (p = find_preset(i, &group)); i++) {
      found = found || is_meant(p->name, name);
      if (closer(name, p->name, &score)) snprintf(best, sizeof best, "%s", p->name);
    }
    if (!found)
      wrong("experiment", "there is no row '%s'%s%s; nn experiment --list lists them", name,
            *best ? "; did you mean " : "", best);
  }
}

/* Sums all rows; those that were not asked for stay only if there is something to show. */
static void sum_shown(struct study *st) {
  int count = 0;
  for (int i = 0; i < st->count; i++) {
    struct trial *t = &st->trials[i];
    sum_trial(t);
    if (t->unasked && t->all.state < DAMAGED) trial_free(t);
    else st->trials[count++] = *t;
  }
  st->count = count;
}

/* nn experiment: trains the rows that its operand names, and shows them with all others that are
 * done in the same folder: its report is of all of them. */
static int experiment_command(struct settings *typed, const char *const *words) {
  const char *names = typed->operand[0] ? typed->operand[0] : "all";
  const struct group *group;
  const struct preset *p;
  struct study st;
  struct text page = {0};
  int stopped = 0;
  memset(&st, 0, sizeof st);
  check_names(names);
  complete_isa(typed);
  st.typed = typed;
  st.again = words;
  st.seeds = whole_of(typed, OPT_SEEDS);
  path_of(st.base, "%s", is_set(typed, OPT_OUT)         ? typed->v[OPT_OUT].text
                         : is_set(typed, OPT_MINIATURE) ? "runs/experiments-quick"
                                                        : "runs/experiments");
  st.trials = allocate((size_t)GROUPS * MOST_PRESETS, sizeof *st.trials);
  for (int i = 0; (p = find_preset(i, &group)); i++) {
    const int unasked = !is_meant(p->name, names);
    if (unasked && is_set(typed, OPT_LIST)) continue;
    make_preset(&st.trials[st.count], &st, group, p);
    st.trials[st.count++].unasked = unasked;
  }
  if (is_set(typed, OPT_LIST)) {
    for (int study = 1; study <= 2; study++) {
      struct table t = list_rows(&st, study);
      if (t.count) print_table(&t), putchar('\n');
      table_free(&t);
    }
    fputs(star, stdout);
  } else if (!(stopped = train_all(&st))) {
    const struct trial *same[SAME_DIGITS];
    int count;
    sum_shown(&st);
    make_folders(st.base);
    html_begin(&page, "Experiments");
    put_data(&st, &page);
    for (int study = 1; study <= 2; study++) put_study(&st, &page, study);
    struct table t = compare_same(&st, same, &count);
    if (count > 1) {
      put_table(&st, &page, &t, "CNN and RNNs on the same digits", "same", 0, 1);
      text_put(&page, "<p class=soft>Means over the seeds, as above. The first figure shows what a "
                      "network reaches in how long, the second what it learns of as many "
                      "images.</p>\n");
      put_curves(&page, same, count, timed_figures, 2);
    } else {
      remove_table(&st, "same");
    }
    table_free(&t);
    end_study(&st, &page);
  }
  study_free(&st);
  return stopped ? 128 + stopped : 0;
}

/* An option of a sweep: a list of values, or a range. */
struct axis {
  enum option o;
  char *text, *values[64];
  int count, range;
  double low, high;
};

/* The value at a share of a range's length, written for people. */
static void write_between(const struct axis *a, double share, char *to, size_t size) {
  const int logarithmic = a->low > 0 && a->high >= 10 * a->low;
  const double v = logarithmic ? a->low * pow(a->high / a->low, share)
                               : a->low + (a->high - a->low) * share;
  if (options[a->o].kind == WHOLE) snprintf(to, size, "%.0f", v);
  else snprintf(to, size, "%.4g", v);
}

/* Refuses the k-th value of an option if it is none; an empty one is left out later. */
static void check_value(const struct axis *a, const char *command, const char *typed, int k) {
  struct settings s;
  char why[256];
  if (!*a->values[k]) return;
  set_option(&s, a->o, a->values[k], why);
  if (*why) wrong(command, "--%s '%s': '%s' %s", options[a->o].name, typed, a->values[k], why);
}

/* A value without the spaces round it, in place. */
static char *trim(char *text) {
  char *end = text + strlen(text);
  while (end > text && end[-1] == ' ') *--end = 0;
  return text + strspn(text, " ");
}

/* Reads what was typed for an option with several values. What is refused is named as it was typed,
 * and no value is refused that nobody typed. */
static void read_axis(struct axis *a, const char *command, enum option o, const char *text) {
  const int is_number = options[o].kind == WHOLE || options[o].kind == REAL;
  const char *cut = o == OPT_AUGMENT ? "/" : is_number && strchr(text, ':') ? ":" : ",";
  enum { MOST = sizeof a->values / sizeof *a->values };
  char *at;
  double count = 3;
  memset(a, 0, sizeof *a);
  a->o = o;
  a->text = allocate(strlen(text) + 1 + MOST * 24, 1);
  strcpy(a->text, text);
  for (at = a->text; at; a->count++) {
    char *end = strpbrk(at, cut);
    if (a->count == MOST) wrong(command, "--%s has more than %d values", options[o].name, MOST);
    if (end) *end++ = 0;
    a->values[a->count] = trim(at);
    if (!*a->values[a->count] && o != OPT_AUGMENT) /* there it means none */
      wrong(command, "--%s '%s' has an empty value", options[o].name, text);
    at = end;
  }
  if (*cut != ':') {
    for (int k = 0; k < a->count; k++) check_value(a, command, text, k);
    return;
  }
  a->range = 1;
  if (a->count > 3 || !read_number(a->values[0], &a->low) ||
      !read_number(a->values[1], &a->high) || a->high <= a->low ||
      (a->count == 3 && (!read_number(a->values[2], &count) || count != floor(count))) ||
      count < 2 || count > MOST)
    wrong(command, "--%s '%s' is no range LOW:HIGH or LOW:HIGH:COUNT with COUNT from 2 to %d",
          options[o].name, text, MOST);
  a->count = (int)count;
  at = a->text + strlen(text) + 1;
  for (int k = 0; k < a->count; k++, at += 24) {
    write_between(a, k / (count - 1), at, 24);
    a->values[k] = at;
  }
  check_value(a, command, text, 0);
  check_value(a, command, text, a->count - 1);
}

/* One combination: the command's fixed words, and a value for each axis. */
static void make_combination(struct study *st, int count, const char *const *fixed,
                             const struct axis *axes, int axis_count, const char *const *values) {
  struct trial *t = &st->trials[st->count];
  const char **words = allocate((size_t)(count + 2 * axis_count), sizeof *words);
  struct text all = {0}, name = {0};
  for (int i = 0; i < axis_count; i++) {
    const char *option = options[axes[i].o].name;
    text_add(&name, "%s%s=%s", i ? "," : "", option, values[i]);
    if (!*values[i]) continue; /* an alternative of --augment: none */
    text_add(&all, "--%s=%s", option, values[i]);
    text_bytes(&all, "", 1); /* each a string: a value may have spaces */
  }
  if (name.size >= sizeof t->name) fail("a combination has a name that is too long: %s", name.data);
  strcpy(t->name, name.data);
  for (int i = 0; i < st->count; i++)
    if (strcmp(st->trials[i].name, t->name) == 0) { /* drawn before */
      text_free(&all), text_free(&name), free(words);
      return;
    }
  t->words = all.data;
  for (int i = 0; i < count; i++) words[i] = fixed[i];
  for (size_t at = 0; at < all.size; at += strlen(all.data + at) + 1)
    words[count++] = all.data + at;
  make_trial(t, st, count, words);
  st->count++;
  text_free(&name);
  free(words);
}

/* All combinations, or so many drawn at random. */
static void make_combinations(struct study *st, int count, const char *const *fixed,
                              const struct axis *axes, int axis_count) {
  const int wanted = whole_or(st->typed, OPT_RANDOM, 0);
  const char *values[OPTION_COUNT];
  char between[OPTION_COUNT][24];
  nn_random r = {(uint64_t)number_of(st->typed, OPT_SEED), 0, 0};
  double all = 1;
  int ranges = 0;
  for (int i = 0; i < axis_count; i++) all *= axes[i].count, ranges |= axes[i].range;
  const int drawn = wanted && (ranges || wanted < all) ? wanted : 0;
  if (!drawn && all > 10000) wrong("sweep", "%.0f combinations are too many: give --random", all);
  const int most = drawn ? drawn : (int)all;
  st->trials = allocate((size_t)most, sizeof *st->trials);
  for (int tries = 0; tries < (drawn ? 20 * most : most) && st->count < most; tries++) {
    int left = tries;
    for (int i = axis_count - 1; i >= 0; i--) { /* the last axis moves first */
      const struct axis *a = &axes[i];
      const uint32_t place = drawn ? nn_random_below(&r, (uint32_t)a->count)
                                   : (uint32_t)(left % a->count);
      left /= a->count;
      values[i] = a->values[place];
      if (!drawn || !a->range) continue;
      write_between(a, nn_random_uniform(&r), between[i], sizeof between[i]);
      values[i] = between[i];
    }
    make_combination(st, count, fixed, axes, axis_count, values);
  }
  if (st->count < wanted)
    note(drawn ? "--random %d: no more than %d different combinations came up"
               : "--random %d: there are only %d combinations", wanted, st->count);
}

/* The best first; what has no result last. */
static int by_accuracy(const void *a, const void *b) {
  const struct trial *const *t = a, *const *u = b;
  if (!(*t)->done || !(*u)->done) return (*u)->done - (*t)->done;
  const double d = (*u)->all.accuracy - (*t)->all.accuracy;
  return d > 0 ? 1 : d < 0 ? -1 : strcmp((*t)->name, (*u)->name);
}

static void put_sweep(struct study *st) {
  static const char *const heads[] = {"options", TRIAL_HEADS, "parameters", "data", NULL};
  const struct trial **list = allocate((size_t)st->count, sizeof *list);
  struct table t = {heads, NULL, 0};
  struct text page = {0};
  char title[160];
  int done = 0;
  for (int i = 0; i < st->count; i++) {
    sum_trial(&st->trials[i]);
    list[i] = &st->trials[i];
  }
  qsort(list, (size_t)st->count, sizeof *list, by_accuracy);
  for (int i = 0; i < st->count; i++) {
    cell(&t, "%s", list[i]->name);
    trial_cells(&t, list[i]);
    parameter_cell(&t, list[i]);
    cell(&t, "%s", list[i]->done ? list[i]->all.data : "-");
    done += list[i]->done > 0;
  }
  snprintf(title, sizeof title, "%d combinations of nn %s", st->count, st->typed->operand[0]);
  make_folders(st->base);
  html_begin(&page, "Sweep");
  put_data(st, &page);
  put_table(st, &page, &t, title, "sweep", 1, 0);
  put_curves(&page, list, done, all_figures, 4);
  end_study(st, &page);
  free(list);
}

/* nn sweep: its own options, and those of cifar10 or mnist, of which some have several values. */
static int sweep_command(const struct command *c, int count, const char *const *typed,
                         const char *const *words) {
  const char **own = allocate((size_t)count + 1, sizeof *own);
  const char **fixed = allocate((size_t)count + 2, sizeof *fixed);
  const char *unknown = NULL;
  struct axis axes[OPTION_COUNT];
  int own_count = 0, fixed_count = 1, axis_count = 0, stopped;
  struct settings s;
  struct study st;
  for (int i = 0; i < count; i++) {
    const char *word = typed[i], *name = word + 2, *value = strchr(word, '=');
    const size_t n = strcspn(name, "=");
    const int mine = strncmp(word, "--", 2) != 0 || strcmp(name, "help") == 0 ||
                     find_option(name, n, SWEEP) >= 0;
    const int o = mine ? find_option(name, n, SWEEP) : find_option(name, n, TRAIN);
    const int takes = o >= 0 && options[o].kind != FLAG && !value && i + 1 < count;
    if (mine) {
      own[own_count++] = word;
      if (strncmp(word, "--", 2) == 0 && takes) own[own_count++] = typed[++i];
      continue;
    }
    if (o < 0) unknown = unknown ? unknown : name;
    value = value ? value + 1 : takes ? typed[i + 1] : "";
    if (o >= 0 && o != OPT_RESUME && strpbrk(value, o == OPT_AUGMENT ? "/" : ",:")) {
      for (int k = 0; k < axis_count; k++)
        if (axes[k].o == (enum option)o) wrong(c->name, "--%s is there twice", options[o].name);
      read_axis(&axes[axis_count++], c->name, (enum option)o, value);
    } else {
      if (o == OPT_RESUME || o == OPT_SEED) wrong(c->name, "a sweep resumes by itself");
      fixed[fixed_count++] = word;
      if (takes) fixed[fixed_count++] = typed[i + 1];
    }
    i += takes;
  }
  parse(&s, c, own_count, own);
  const struct command *inner = find_command(s.operand[0]);
  if (!inner || !(inner->bit & TRAIN))
    wrong(c->name, "'%s' is neither cifar10 nor mnist", s.operand[0]);
  if (unknown) unknown_option(inner, unknown);
  if (!axis_count)
    wrong(c->name, "no option has several values, as in --lr=1e-4,1e-3 or --lr=1e-4:1e-2");
  fixed[0] = inner->name;
  memset(&st, 0, sizeof st);
  complete_isa(&s);
  st.typed = &s;
  st.again = words;
  st.seeds = whole_of(&s, OPT_SEEDS);
  if (is_set(&s, OPT_OUT)) path_of(st.base, "%s", s.v[OPT_OUT].text);
  else path_of(st.base, "runs/sweep-%s", inner->name);
  make_combinations(&st, fixed_count, fixed, axes, axis_count);
  stopped = train_all(&st);
  if (!stopped) put_sweep(&st);
  study_free(&st);
  for (int i = 0; i < axis_count; i++) free(axes[i].text);
  free(own);
  free(fixed);
  return stopped ? 128 + stopped : 0;
}

/* Refuses what `nn cifar10 --resume` and `nn mnist --resume` cannot go on with: a study's run that
 * is done, and one on the few images of a miniature. */
static void check_resumed_study(const struct run *r, const char *facts) {
  char value[64];
  if (holds(r->folder, "result.txt") && !holds(r->folder, "last.nn") &&
      !holds(r->folder, "previous.nn"))
    fail("%s is done: nothing is left to train, and its best model is in %s/best.nn", r->folder,
         r->folder);
  if (find_fact(facts, "run.data-crc", value, sizeof value) &&
      strtoul(value, NULL, 16) == miniature_crc(r->d->crc))
    fail("%s is a miniature (--quick): it goes on with the command that began it", r->folder);
}

/* ========================================== @@LOOK ==========================================
 * nn look: what a trained net is made of, in pictures and tables. Each look makes a section, kept
 * as look/NAME.html beside its figures as CSV (of a miniature in look-quick); a report is put
 * together of those that are there, so a look replaces its own section alone. Models are only
 * read. */

enum { AT_ONCE = 100, MOST_STAGES = 12, MOST_IMAGES = 50, STRONGEST = 9 };

/* A model of the run's way: fresh from the seed, a snapshot, or the best. */
struct stage {
  int64_t step;
  char path[PATH_SIZE]; /* "" is the fresh one */
};

struct look {
  struct settings *typed;
  const char *const *words; /* of the command */
  int of_run, cifar;
  struct run r;           /* of a bare model no more than settings and folder */
  struct data d, whole;   /* whole: the same, its counts those before --quick */
  struct text guess;      /* why this data, of a model without settings */
  char *facts, *lines, file[PATH_SIZE];
  const char *kept;       /* which of look_folders */
  nn_model *m;
  char path[PATH_SIZE];   /* of the model, */
  int64_t step;           /* and after which step of its training; -1: it is not told */
  const char *title;      /* of the section; */
  int printed;            /* so many of them have something on stdout */
  nn_node_info in, out;
  struct stage stage[MOST_STAGES];
  int stages;
  int32_t *found;         /* the class of each test image by the model, */
  nn_real *share;         /* and the probabilities of all classes, [images, classes] */
  int image[MOST_IMAGES], images; /* those that --images names, or none */
  struct text html;
};

/* What the engine answers to what was checked before. */
static void must(nn_model *m, nn_status status) {
  if (status) fail("%s", nn_error(m));
}

static size_t size_of(const nn_node_info *n) {
  size_t size = 1;
  for (int i = 0; i < n->rank; i++) size *= (size_t)n->dim[i];
  return size;
}
static int maps_of(const nn_node_info *n) {
  return n->rank == 3 ? n->dim[0] : n->dim[n->rank - 1];
}
static int is_kind(const nn_node_info *n, const char *kind) { return strcmp(n->kind, kind) == 0; }
static int is_bent(const nn_node_info *n) { /* by a non-linearity */
  static const char *const kinds[] = {"relu", "tanh", "leaky_relu", "gelu", "silu", "sigmoid"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (is_kind(n, kinds[i])) return 1;
  return 0;
}
static nn_node_info node_of(nn_model *m, int node) {
  nn_node_info n;
  must(m, nn_get_node(m, node, &n));
  return n;
}

/* What the model calls a class, else its number. */
static struct word class_name(const struct look *l, int k) {
  struct word w;
  nn_class_name(l->m, k, w.text, sizeof w.text);
  return w;
}

/* ---- pictures ---- */

/* A part of a test image. part: top, left, height, width; NULL: all of it. */
static void put_sample(struct picture *p, int row, int column, const nn_dataset *d, int sample,
                       const int *part) {
  const int whole[4] = {0, 0, d->height, d->width};
  const int plane = d->height * d->width;
  const uint8_t *from = d->pixels + (size_t)sample * (size_t)(d->channels * plane);
  if (!part) part = whole;
  for (int i = 0; i < part[2]; i++)
    for (int j = 0; j < part[3]; j++) {
      const uint8_t *at = from + (part[0] + i) * d->width + part[1] + j;
      const int g = d->channels == 3 ? plane : 0;
      put_pixel(p, row + i, column + j, at[0], at[g], at[2 * g], 255);
    }
}

/* Shares 0 .. 1 as one colour more or less dense, which is legible on light and dark. */
static void put_share(struct picture *p, int row, int column, double share) {
  put_pixel(p, row, column, 47, 129, 247, 255 * fmin(fmax(share, 0), 1));
}

static void put_image(struct text *t, struct picture *p, const char *alt) {
  html_image(t, p, alt);
  free(p->rgba);
}

/* An image's input shape as [channels,height,width]; a sequence is an image of its rows. */
static void image_shape(const struct look *l, int dim[3]) {
  dim[0] = l->in.rank == 3 ? l->in.dim[0] : 1;
  dim[1] = l->in.dim[l->in.rank - 2], dim[2] = l->in.dim[l->in.rank - 1];
}

/* ---- a section and its figures as CSV ---- */

static void put_link(struct look *l, const char *name) {
  text_add(&l->html, "<p class=soft>The figures: <a href=\"%s/%s.csv\">%s/%s.csv</a></p>\n",
           l->kept, name, l->kept, name);
}

/* Frees the text. */
static void save_csv(struct look *l, struct text *t, const char *name) {
  char path[PATH_SIZE];
  path_of(path, "%s/%s/%s.csv", l->r.folder, l->kept, name);
  text_save(t, path);
  text_free(t);
  put_link(l, name);
}

/* What a section has on stdout begins with its title. */
static void print_title(struct look *l) {
  printf("%s%s\n", l->printed++ ? "\n" : "", l->title);
}

/* A table in the section and on stdout. */
static void show_table(struct look *l, const struct table *t) {
  html_table(&l->html, t, NULL, 0);
  print_title(l);
  print_table(t);
}

/* The same, and as CSV. Frees it. */
static void put_table_of(struct look *l, struct table *t, const char *name) {
  char path[PATH_SIZE];
  show_table(l, t);
  path_of(path, "%s/%s/%s.csv", l->r.folder, l->kept, name);
  save_table(t, path);
  table_free(t);
  put_link(l, name);
}

/* "step 180", or nothing where it is not told. */
static struct word step_name(const struct look *l, const char *before, const char *after) {
  struct word w = {""};
  if (l->step >= 0)
    snprintf(w.text, sizeof w.text, "%sstep %.24s%s", before, grouped((double)l->step).text, after);
  return w;
}

static void put_head(struct look *l, const char *title, const char *how) {
  text_add(&l->html, "<h3>%s</h3>\n<p>%s</p>\n", title, how);
}

/* A table of pictures: a width for them in rem, heads up to a NULL. */
static void pictures_begin(struct text *t, double width, const char *const *heads) {
  text_add(t, "<div class=\"card x p\" tabindex=0 style=\"--w:%grem\"><table><tr>", width);
  for (int k = 0; heads[k]; k++) text_put(t, "<th>"), text_html(t, heads[k]);
}
static void pictures_row(struct text *t, const char *name) {
  text_put(t, "</tr>\n<tr><td>");
  text_html(t, name);
}
static void pictures_end(struct text *t) { text_put(t, "</tr></table></div>\n"); }

static void tiles_begin(struct text *t, double width) {
  text_add(t, "<div class=\"card tiles\" style=\"--w:%grem\">\n", width);
}

/* ---- models ---- */

static nn_config look_config(const struct look *l) {
  nn_config c = config_of(&l->r.s);
  c.batch = AT_ONCE;
  c.keep_activations = c.input_gradient = 1;
  return c;
}

/* A file of the run's folder may come from another run, whose layers are not those looked at. */
static int is_same_net(nn_model *m, nn_model *own) {
  int same = nn_node_count(m) == nn_node_count(own) &&
             nn_output_node(m) == nn_output_node(own) &&
             parameter_count(m) == parameter_count(own);
  for (int i = 0; same && i < nn_node_count(m); i++) {
    const nn_node_info a = node_of(m, i), b = node_of(own, i);
    same = is_kind(&a, b.kind) && a.params == b.params && a.rank == b.rank;
    for (int k = 0; same && k < a.rank; k++) same = a.dim[k] == b.dim[k];
  }
  return same;
}

static nn_model *stage_model(const struct look *l, const struct stage *s) {
  const nn_config c = look_config(l);
  if (!*s->path) return build_model(&l->r.s, &c, &l->d, l->r.total);
  return load_model(s->path, &c).model;
}

/* n samples by their numbers, as the network gets them, and an inspecting forward of them. */
static void forward_samples(nn_model *m, const nn_dataset *d, const int32_t *index, int n,
                            nn_real *x) {
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = n;
  b.x[0] = x;
  if (nn_gather(d, index, n, NULL, NULL, x, NULL)) fail("a sample cannot be read");
  must(m, nn_forward(m, &b, NN_INSPECTING));
}

/* A unit of a node in a sample. */
struct unit {
  int sample, map, row, column;
};

/* Goes back to the pixels from a unit in each of n samples; the result stays until the next
 * forward. */
static const nn_real *go_back(struct look *l, nn_model *m, int node, const struct unit *units,
                              int n, nn_rule rule) {
  const nn_node_info info = node_of(m, node);
  const size_t each = size_of(&info);
  nn_real *x = allocate((size_t)n * size_of(&l->in), sizeof *x);
  nn_real *start = allocate((size_t)n * each, sizeof *start);
  int32_t index[AT_ONCE];
  for (int i = 0; i < n; i++) {
    const struct unit *u = &units[i];
    const int at = info.rank == 3   ? (u->map * info.dim[1] + u->row) * info.dim[2] + u->column
                   : info.rank == 2 ? u->row * info.dim[1] + u->map
                                    : u->map;
    index[i] = u->sample;
    start[(size_t)i * each + (size_t)at] = 1;
  }
  forward_samples(m, &l->d.test, index, n, x);
  must(m, nn_project(m, node, start, rule));
  free(x);
  free(start);
  return nn_input_gradient(m, 0);
}

static int is_kind_of(nn_model *m, int node, const char *kind) {
  const nn_node_info n = node_of(m, node);
  return is_kind(&n, kind);
}

static int has_kind(nn_model *m, const char *kind) {
  for (int i = 0; i < nn_node_count(m); i++)
    if (is_kind_of(m, i, kind)) return 1;
  return 0;
}
static int has_convolution(nn_model *m) { return has_kind(m, "conv"); }

/* What each layer with weights reads, and the output: the features at each depth. A copy of the
 * layer before, as dropout is here, goes by that layer's name. */
enum { MOST_DEPTHS = 40 };
static int depths_of(nn_model *m, int nodes[MOST_DEPTHS]) {
  int count = 0;
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    int from = n.inputs == 1 && n.params && !is_kind(&n, "normalise") ? n.input[0] : -1;
    while (from > 0 && (is_kind_of(m, from, "flatten") || is_kind_of(m, from, "dropout") ||
                        is_kind_of(m, from, "normalise")))
      from = node_of(m, from).input[0];
    if (from >= 0 && count < MOST_DEPTHS - 1 && !(count && nodes[count - 1] == from))
      nodes[count++] = from;
    if (i == nn_output_node(m)) nodes[count++] = i;
  }
  return count;
}

/* ---- filters ---- */

/* The first convolution's filters, each a picture, on one scale. */
static void put_filters(struct text *t, const nn_param *w, const char *what, double most) {
  const int dim[3] = {w->dim[1], w->dim[2], w->dim[3]};
  const size_t each = w->count / (size_t)w->dim[0];
  tiles_begin(t, w->dim[2] > 7 ? 4.5 : 3.2);
  for (int f = 0; f < w->dim[0]; f++) {
    struct picture p = picture_of(dim[2], dim[1]);
    char alt[80];
    put_signed(&p, 0, 0, w->value + (size_t)f * each, dim, NULL, most);
    snprintf(alt, sizeof alt, "filter %d %s", f, what);
    text_put(t, "<div>");
    put_image(t, &p, alt);
    text_add(t, "%d</div>\n", f);
  }
  text_put(t, "</div>\n");
}

static const char *look_filters(struct look *l) {
  struct text *t = &l->html, figures = {0};
  nn_model *models[MOST_STAGES];
  nn_param w[MOST_STAGES];
  char title[80];
  if (nn_get_param(l->m, 0, &w[0]) || w[0].rank != 4)
    return "the first layer is no convolution: its weights are no images";
  snprintf(title, sizeof title, "The %smodel%s", l->of_run ? "best " : "",
           step_name(l, " (", ")").text);
  put_head(l, title,
           "Each square is the window of weights of one map, by its number: gray is 0, white the "
           "greatest weight of all, black its negative; of colour images red, green and blue are "
           "the weights of these channels. A map answers most where the image looks like its "
           "filter. Edges and blobs are what a net that has learned shows; noise is what it began "
           "with.");
  put_filters(t, &w[0], "of the model", greatest(&w[0]));
  if (l->stages > 1) {
    const size_t each = w[0].count / (size_t)w[0].dim[0];
    const int dim[3] = {w[0].dim[1], w[0].dim[2], w[0].dim[3]};
    text_add(&figures, "step,filter,channel,row,column,weight\n");
    for (int i = 0; i < l->stages; i++) {
      models[i] = stage_model(l, &l->stage[i]);
      must(models[i], nn_get_param(models[i], 0, &w[i]));
      for (size_t k = 0; k < w[i].count; k++) {
        const size_t place = k % each, column = place % (size_t)dim[2];
        text_add(&figures, "%lld,%zu,%zu,%zu,%zu,%.6g\n", (long long)l->stage[i].step, k / each,
                 place / (size_t)(dim[1] * dim[2]), place / (size_t)dim[2] % (size_t)dim[1], column,
                 (double)w[i].value[k]);
      }
    }
    put_head(l, "On the way", "");
    text_put(t, "<p>The same filters side by side, from left to right at step ");
    for (int i = 0; i < l->stages; i++)
      text_add(t, "%s%s", i ? ", " : "", grouped((double)l->stage[i].step).text);
    text_put(t, ", each step on a scale of its own. A filter that hardly changes has little to "
                "learn from the images.</p>\n");
    tiles_begin(t, 1.6 * l->stages);
    for (int f = 0; f < w[0].dim[0]; f++) {
      struct picture p = picture_of(l->stages * (dim[2] + 1) - 1, dim[1]);
      char alt[80];
      for (int i = 0; i < l->stages; i++)
        put_signed(&p, 0, i * (dim[2] + 1), w[i].value + (size_t)f * each, dim, NULL,
                   greatest(&w[i]));
      snprintf(alt, sizeof alt, "filter %d at %d steps of the training", f, l->stages);
      text_put(t, "<div>");
      put_image(t, &p, alt);
      text_add(t, "%d</div>\n", f);
    }
    text_put(t, "</div>\n");
    for (int i = 0; i < l->stages; i++) nn_destroy(models[i]);
    save_csv(l, &figures, "filters");
  }
  return NULL;
}

/* ---- activations ---- */

/* What one pass over the test images gathers of every node that computes something. */
struct gathered {
  nn_moments moments[NN_MAX_NODES];
  nn_histogram histogram[NN_MAX_NODES];
  nn_real *greatest[NN_MAX_NODES]; /* of each map; NULL for the other nodes */
  const struct gathered *like;     /* its histograms' ranges; NULL: by the first batch */
  int nodes;
};

static int is_gathered(const struct gathered *g, int node) { return g->greatest[node] != NULL; }

/* The range that holds nearly all of a node's values, by the first batch. */
static void choose_range(nn_histogram *h, const nn_moments *s) {
  const double off = 6 * nn_moments_deviation(s);
  double low = fmax(s->min, s->mean - off), high = fmin(s->max, s->mean + off);
  if (!(low < high)) low -= .5, high += .5;
  if (nn_histogram_range(h, low, high)) nn_histogram_range(h, -1, 1);
}

static nn_status gather_batch(void *user, nn_model *m, const nn_batch *b, int first) {
  struct gathered *g = user;
  (void)b;
  for (int i = 0; i < g->nodes; i++) {
    nn_histogram *h = &g->histogram[i];
    if (!is_gathered(g, i)) continue;
    if (first == 0 && g->like) {
      nn_histogram_range(h, g->like->histogram[i].low, g->like->histogram[i].high);
    } else if (first == 0) {
      nn_moments s;
      memset(&s, 0, sizeof s);
      must(m, nn_observe(m, i, &s, NULL, NULL));
      choose_range(h, &s);
    }
    must(m, nn_observe(m, i, &g->moments[i], h, g->greatest[i]));
  }
  return NN_OK;
}

static struct gathered *gather(struct look *l, nn_model *m, const struct gathered *like) {
  struct gathered *g = allocate(1, sizeof *g);
  g->like = like;
  g->nodes = nn_node_count(m);
  for (int i = 0; i < g->nodes; i++) {
    const nn_node_info n = node_of(m, i);
    const int maps = maps_of(&n);
    if (!n.inputs || is_kind(&n, "dropout") || is_kind(&n, "flatten") ||
        is_kind(&n, "normalise") || i > nn_output_node(m))
      continue;
    g->greatest[i] = allocate((size_t)maps, sizeof *g->greatest[i]);
    for (int k = 0; k < maps; k++) g->greatest[i][k] = -(nn_real)HUGE_VAL;
  }
  must(m, nn_survey(m, &l->d.test, gather_batch, g));
  return g;
}

static void gathered_free(struct gathered *g) {
  for (int i = 0; i < g->nodes; i++) free(g->greatest[i]);
  free(g);
}

/* How many maps a rectifier has left at 0 for every test image; `none` of other nodes. */
static struct word dead_of(const struct gathered *g, int node, const nn_node_info *n,
                           const char *none) {
  struct word w;
  int dead = 0;
  for (int k = 0; k < maps_of(n); k++) dead += g->greatest[node][k] <= 0;
  snprintf(w.text, sizeof w.text, "%d", dead);
  if (!is_kind(n, "relu")) snprintf(w.text, sizeof w.text, "%s", none);
  return w;
}

static double zeros_of(const nn_moments *s) {
  return (double)s->zeros / fmax((double)s->count, 1);
}

static struct series new_series(const char *name, int colour, size_t room) {
  struct series s;
  memset(&s, 0, sizeof s);
  s.name = name;
  s.colour = colour;
  s.x = allocate(room, sizeof *s.x);
  s.y = allocate(room, sizeof *s.y);
  return s;
}
static void add_point(struct series *s, double x, double y) {
  s->x[s->count] = x;
  s->y[s->count++] = y;
}

/* A node's values as a density, so that bins of any width compare; those without any are left out.
 * The name tells how many lie outside the range, too. */
static struct series histogram_series(const nn_histogram *h, double count, struct word *name,
                                      int colour) {
  struct series s = new_series(name->text, colour, NN_HISTOGRAM_BINS);
  const double width = (h->high - h->low) / NN_HISTOGRAM_BINS;
  const size_t n = strlen(name->text);
  s.thin = 1;
  for (int k = 0; k < NN_HISTOGRAM_BINS; k++)
    if (h->bin[k])
      add_point(&s, h->low + (k + .5) * width, 100 * (double)h->bin[k] / (count * width));
  if (h->below || h->above)
    snprintf(name->text + n, sizeof name->text - n, ", %.2g %% outside",
             100 * (double)(h->below + h->above) / count);
  return s;
}

/* A node's histograms at every stage, each a column: the darker the more values. */
static void put_heat(struct look *l, struct gathered *const *g, int node, const char *name) {
  struct text *t = &l->html;
  const nn_histogram *h = &g[l->stages - 1]->histogram[node];
  struct picture p = picture_of(l->stages, NN_HISTOGRAM_BINS);
  struct axes a = {0, l->stages, h->low, h->high, 0, LEFT};
  const double step = nice_step(h->high - h->low, 6);
  double room = WIDTH;
  for (int i = 0; i < l->stages; i++) {
    int64_t first = 1, most = 1; /* the second: a rectifier's zeros would outshine all else */
    h = &g[i]->histogram[node];
    for (int k = 0; k < NN_HISTOGRAM_BINS; k++) {
      if (h->bin[k] > first) most = first, first = h->bin[k];
      else if (h->bin[k] > most) most = h->bin[k];
    }
    for (int k = 0; k < NN_HISTOGRAM_BINS; k++)
      put_share(&p, NN_HISTOGRAM_BINS - 1 - k, i, sqrt((double)h->bin[k] / (double)most));
  }
  text_add(t, "<figure class=card><h3>%s</h3><svg viewBox=\"0 0 480 300\" role=img aria-label=\""
           "histograms of %s at %d steps of the training\">\n", name, name, l->stages);
  for (int pass = 0; pass < 2; pass++) html_y_ticks(pass ? t : NULL, &a, step, 1);
  text_add(t, "<image x=%d y=%d width=%d height=%d preserveAspectRatio=none href=\"", a.left, TOP,
           RIGHT - a.left, BOTTOM - TOP);
  html_png(t, &p);
  text_put(t, "\"/>\n");
  for (int i = l->stages - 1; i >= 0; i--)
    html_x_label(t, place_x(&a, i + .5), (double)l->stage[i].step, &room);
  text_add(t, "<text x=%d y=292 text-anchor=middle>step</text></svg></figure>\n",
           (a.left + RIGHT) / 2);
  free(p.rgba);
}

enum { COURSES = 16, COURSE_FIGURES = 4 }; /* of so many layers; mean, deviation, maximum, zeros */

/* How a figure of each layer moved from stage to stage: a series of each, whose names stay in
 * `names`. Their number. */
static int course_of_stages(struct look *l, struct gathered *const *g, int figure,
                            struct series *list, struct word *names) {
  int count = 0;
  for (int node = 0; node < g[0]->nodes && count < COURSES; node++) {
    const nn_node_info n = node_of(l->m, node);
    if (!is_gathered(g[0], node) || !(is_bent(&n) || n.rank == 2)) continue;
    snprintf(names[count].text, sizeof names[count].text, "%s", n.name);
    list[count] = new_series(names[count].text, count, (size_t)l->stages);
    for (int i = 0; i < l->stages; i++) {
      const nn_moments *s = &g[i]->moments[node];
      const double v[COURSE_FIGURES] = {s->mean, nn_moments_deviation(s), s->max,
                                        100 * zeros_of(s)};
      add_point(&list[count], (double)l->stage[i].step, v[figure]);
    }
    count++;
  }
  return count;
}

/* The same from what activations.csv holds. */
static int course_of_file(const char *text, int figure, struct series *list, struct word *names) {
  struct activity a;
  size_t room = 0;
  int count = 0;
  for (const char *line = text; line && *line; line = next_line(line))
    room += (size_t)read_activity(line, &a);
  for (const char *line = text; line && *line; line = next_line(line)) {
    int k = 0;
    if (!read_activity(line, &a)) continue;
    const double v[COURSE_FIGURES] = {a.mean, a.deviation, a.most, 100 * a.zeros};
    while (k < count && strcmp(names[k].text, a.layer) != 0) k++;
    if (k == COURSES) continue;
    if (k == count) {
      strcpy(names[k].text, a.layer);
      list[count++] = new_series(names[k].text, k, room);
    }
    add_point(&list[k], a.step, v[figure]);
  }
  return count;
}

/* How the statistics moved: by the stages, else by what an experiment has written at its tests. */
static void put_course(struct look *l, struct gathered *const *g) {
  static const char *const titles[COURSE_FIGURES] = {"Mean of the activations", "Their deviation",
                                                     "Their maximum", "Zeros, %"};
  char path[PATH_SIZE], *text;
  path_of(path, "%s/activations.csv", l->r.folder);
  text = l->of_run && l->stages <= 2 ? read_text(path) : NULL;
  if (!text && l->stages < 2) return;
  put_head(l, "Over the training", "How mean, spread and greatest value of each layer, after its "
           "non-linearity if it has one, and the share of zeros moved while the net learned.");
  text_put(&l->html, "<div class=grid>\n");
  for (int f = 0; f < COURSE_FIGURES; f++) {
    struct series list[COURSES];
    struct word names[COURSES];
    const int count = text ? course_of_file(text, f, list, names)
                           : course_of_stages(l, g, f, list, names);
    html_chart(&l->html, titles[f], "step", 0, 0, list, count);
  }
  text_put(&l->html, "</div>\n");
  free(text);
}

/* What was gathered at one step (-1: it is not told), as lines of activations.csv and
 * histograms.csv. */
static void gathered_lines(struct text *figures, struct text *bins, nn_model *m,
                           const struct gathered *g, int64_t step) {
  char at[24] = "";
  if (step >= 0) snprintf(at, sizeof at, "%lld", (long long)step);
  for (int node = 0; node < g->nodes; node++) {
    const nn_node_info n = node_of(m, node);
    const nn_moments *s = &g->moments[node];
    const nn_histogram *h = &g->histogram[node];
    const double width = (h->high - h->low) / NN_HISTOGRAM_BINS;
    if (!is_gathered(g, node)) continue;
    text_add(figures, "%s,%s,%s,%lld,%.9g,%.9g,%.9g,%.9g,%.9g,%.6g,%s,%d\n", at, n.name, n.kind,
             (long long)s->count, s->mean, nn_moments_variance(s), nn_moments_deviation(s), s->min,
             s->max, zeros_of(s), dead_of(g, node, &n, "").text, maps_of(&n));
    text_add(bins, "%s,%s,-inf,%.9g,%lld\n", at, n.name, h->low, (long long)h->below);
    for (int k = 0; k < NN_HISTOGRAM_BINS; k++)
      text_add(bins, "%s,%s,%.9g,%.9g,%lld\n", at, n.name, h->low + k * width,
               h->low + (k + 1) * width, (long long)h->bin[k]);
    text_add(bins, "%s,%s,%.9g,inf,%lld\n", at, n.name, h->high, (long long)h->above);
  }
}

static const char *look_activations(struct look *l) {
  static const char *const heads[] = {"layer", "kind",  "mean",     "variance", "deviation", "min",
                                      "max",   "zeros, %", "dead maps", "maps",  NULL};
  struct text *t = &l->html, figures = {0}, bins = {0};
  struct table table = {heads, NULL, 0};
  struct gathered *g[MOST_STAGES], *last = gather(l, l->m, NULL);
  const int rectified = has_kind(l->m, "relu"), bent = rectified || has_kind(l->m, "tanh");
  text_put(&figures, "step,layer,kind,values,mean,variance,deviation,min,max,zeros,dead_maps,"
                     "maps\n");
  text_add(&bins, "step,layer,from,to,count\n");
  for (int i = 0; i < l->stages; i++) {
    nn_model *m = stage_model(l, &l->stage[i]);
    g[i] = gather(l, m, last);
    nn_destroy(m);
  }
  for (int i = 0; i < l->stages; i++)
    gathered_lines(&figures, &bins, l->m, g[i], l->stage[i].step);
  if (!l->of_run || l->step < 0) /* else it is one of the stages */
    gathered_lines(&figures, &bins, l->m, last, l->step);
  for (int node = 0; node < last->nodes; node++) {
    const nn_node_info n = node_of(l->m, node);
    const nn_moments *s = &last->moments[node];
    if (!is_gathered(last, node)) continue;
    cell(&table, "%s", n.name);
    cell(&table, "%s", n.kind);
    cell(&table, "%.4g", s->mean);
    cell(&table, "%.4g", nn_moments_variance(s));
    cell(&table, "%.4g", nn_moments_deviation(s));
    cell(&table, "%.4g", s->min);
    cell(&table, "%.4g", s->max);
    cell(&table, "%.1f", 100 * zeros_of(s));
    cell(&table, "%s", dead_of(last, node, &n, "-").text);
    cell(&table, "%d", maps_of(&n));
  }
  text_add(t, "<p>Every value that each layer gives on the %s test images, in one pass.%s%s</p>\n",
           grouped(l->d.test.count).text,
           bent ? " A layer with weights is what comes before its non-linearity." : "",
           rectified ? " A map of a rectifier (relu) is dead when it is 0 on all of them. Few "
                       "values far above a small mean are sparse activation: each map answers to "
                       "little, and strongly." : "");
  show_table(l, &table);
  table_free(&table);
  save_csv(l, &figures, "activations");
  put_head(l, bent ? "Histograms before and after the non-linearity" : "Histograms",
           "How the values of a layer are spread: the share of them, in %, per unit of value. On a "
           "logarithmic axis, as most of these are, rare values can be seen, too; but each line is "
           "several times the one below it, so areas say nothing about shares.");
  text_add(t, "<p>%s%sThe few values outside a curve's range are told beside its name.</p>\n",
           rectified ? "A rectifier leaves what is positive, where both curves agree, and heaps "
                       "the rest at 0. " : "",
           has_kind(l->m, "tanh") ? "A tanh keeps what is small and heaps what is large at -1 and "
                                    "1, where no gradient is left. " : "");
  text_put(t, "<div class=grid>\n");
  for (int node = 0; node < last->nodes; node++) {
    const nn_node_info n = node_of(l->m, node);
    const int before = n.inputs ? n.input[0] : -1;
    struct series list[2];
    struct word names[2];
    char title[96];
    int count = 0;
    if (!is_gathered(last, node) || !(is_bent(&n) || n.rank == 2)) continue;
    snprintf(title, sizeof title, "%s: share of values per unit, %%", n.name);
    snprintf(names[0].text, sizeof names[0].text, "before");
    snprintf(names[1].text, sizeof names[1].text, "%.24s", is_bent(&n) ? "after" : n.name);
    if (before >= 0 && is_gathered(last, before) && is_bent(&n))
      list[count++] = histogram_series(&last->histogram[before],
                                       (double)last->moments[before].count, &names[0], 0);
    list[count++] = histogram_series(&last->histogram[node], (double)last->moments[node].count,
                                     &names[1], 1);
    html_chart(t, title, "value", 0, 0, list, count);
  }
  text_put(t, "</div>\n");
  if (l->stages > 1) {
    put_head(l, "Histograms over the training",
             "Each column is a histogram at one step of the training, value upwards: the denser "
             "the colour, the more values (the square root of their number; each column is as "
             "dense as can be at its second fullest place).");
    text_put(t, "<div class=grid>\n");
    for (int node = 0; node < last->nodes; node++) {
      const nn_node_info n = node_of(l->m, node);
      if (is_gathered(last, node) && (n.params || is_bent(&n))) put_heat(l, g, node, n.name);
    }
    text_put(t, "</div>\n");
  }
  save_csv(l, &bins, "histograms");
  put_course(l, g);
  for (int i = 0; i < l->stages; i++) gathered_free(g[i]);
  gathered_free(last);
  return NULL;
}

/* ---- deconv and evolution ---- */

/* The nodes to look at: --layer, else each rectified convolution and, if `beyond`, the non-linear
 * layers after them and the output. */
static int deconv_nodes(const struct look *l, int beyond, int *nodes) {
  const char *name = l->typed->v[OPT_LAYER].text;
  int count = 0;
  for (int i = 0; i <= nn_output_node(l->m); i++) {
    const nn_node_info n = node_of(l->m, i);
    if (*name ? strcmp(n.name, name) == 0 && n.inputs
              : (is_bent(&n) && n.rank == 3) ||
                    (beyond && (is_bent(&n) || i == nn_output_node(l->m))))
      nodes[count++] = i;
  }
  if (*name && !count) fail("the model has no layer '%s' (nn info lists them)", name);
  return count;
}

/* A part of a sample, or of what came back from it. */
static void put_part(struct picture *p, int row, int column, const struct look *l, int sample,
                     const nn_real *x, const int part[4]) {
  int dim[3];
  image_shape(l, dim);
  if (x) put_signed(p, row, column, x, dim, part, 0);
  else put_sample(p, row, column, &l->d.test, sample, part);
}

static struct unit unit_of(const nn_peak *peak, int map) {
  const struct unit u = {peak->sample, map, peak->row, peak->column};
  return u;
}

/* The part of an image that a unit sees, as large as those in the middle see: one at the edge gets
 * more of the image in place of what lies outside. */
static void patch_of(nn_model *m, int node, int row, int column, int part[4]) {
  const nn_node_info n = node_of(m, node);
  int middle[4];
  must(m, nn_receptive_field(m, node, row, column, part));
  must(m, nn_receptive_field(m, node, n.rank == 3 ? n.dim[1] / 2 : 0,
                             n.rank == 3 ? n.dim[2] / 2 : 0, middle));
  for (int k = 0; k < 2; k++) {
    if (part[k]) part[k] -= middle[k + 2] - part[k + 2];
    part[k + 2] = middle[k + 2];
  }
}

static const char not_active[] = "not active";

/* One map: what came back from its strongest units beside the patches that drove them. */
static void put_strongest(struct look *l, int node, int map, const nn_peak *peaks) {
  enum { ACROSS = 3 };
  struct unit units[STRONGEST];
  int part[STRONGEST][4], n = 0;
  char alt[160];
  for (; n < STRONGEST && peaks[n].sample >= 0 && peaks[n].value > 0; n++) {
    units[n] = unit_of(&peaks[n], map);
    patch_of(l->m, node, units[n].row, units[n].column, part[n]);
  }
  const struct word class = class_name(l, map);
  const int is_class = node == nn_output_node(l->m);
  if (!n) {
    text_add(&l->html, "<div class=dead><span>%s</span>%d%s%s</div>\n", not_active, map,
             is_class ? ": " : "", is_class ? class.text : "");
    return;
  }
  const nn_real *back = go_back(l, l->m, node, units, n, NN_RULE_DECONVNET);
  const int high = part[0][2] + 1, wide = part[0][3] + 1;
  text_put(&l->html, "<div><span>");
  for (int side = 0; side < 2; side++) {
    struct picture p = picture_of(ACROSS * wide - 1, ACROSS * high - 1);
    for (int k = 0; k < p.width * p.height; k++) /* thin lines, lest white meets white */
      if (k / p.width % high == high - 1 || k % p.width % wide == wide - 1)
        put_pixel(&p, k / p.width, k % p.width, 127, 127, 127, 100);
    for (int k = 0; k < n; k++)
      put_part(&p, k / ACROSS * high, k % ACROSS * wide, l, units[k].sample,
               side ? NULL : back + (size_t)k * size_of(&l->in), part[k]);
    snprintf(alt, sizeof alt, "map %d: %s", map,
             side ? "the patches of the images" : "its nine strongest activations, projected");
    put_image(&l->html, &p, alt);
  }
  text_add(&l->html, "</span>%d%s%s</div>\n", map, is_class ? ": " : "",
           is_class ? class.text : "");
}

/* --map, or -1. */
static int one_map(const struct look *l, const nn_node_info *n) {
  const int maps = maps_of(n), one = whole_or(l->typed, OPT_MAP, -1);
  if (one >= maps) fail("%s has %d maps: --map 0 .. %d", n->name, maps, maps - 1);
  return one;
}

/* The maps of a node to be shown: --map, else at most so many, from all over those that are active
 * on some test image by their peaks, per_map of each; `dead`: where these are too few, others, too.
 * Their number. */
static int chosen_maps(const struct look *l, const nn_node_info *n, const nn_peak *peaks,
                       int per_map, int dead, int most, int *maps) {
  const int one = one_map(l, n), all = maps_of(n);
  int *live = allocate((size_t)all, sizeof *live), count = 0, shown = 0;
  char *chosen = allocate((size_t)all, 1);
  for (int k = 0; k < all; k++)
    if (peaks[k * per_map].value > 0) live[count++] = k;
  const int few = count < most ? count : most;
  int room = dead ? most - few : 0;
  for (int k = 0; k < few; k++) chosen[live[k * count / few]] = 1;
  for (int k = 0; k < all && room > 0; k++)
    if (!chosen[k]) chosen[k] = 1, room--;
  for (int k = 0; k < all && one >= 0; k++) chosen[k] = k == one;
  for (int k = 0; k < all; k++)
    if (chosen[k]) maps[shown++] = k;
  free(live);
  free(chosen);
  return shown;
}

/* The strongest activations of each map over the test images. Freed by the caller. */
static nn_peak *strongest(const struct look *l, nn_model *m, int node, int per_map) {
  const nn_node_info n = node_of(m, node);
  nn_peak *peaks = allocate((size_t)(maps_of(&n) * per_map), sizeof *peaks);
  must(m, nn_peaks(m, &l->d.test, node, per_map, peaks));
  return peaks;
}

static int by_value(const void *a, const void *b) {
  const nn_real x = ((const nn_peak *)a)->value, y = ((const nn_peak *)b)->value;
  return (x < y) - (x > y);
}

/* The maps of a node by how much they answer to one image, the strongest first; of each the peak
 * whose `sample` is the map's number. */
static nn_peak *strongest_in(struct look *l, int node, int sample, int *count) {
  const nn_node_info n = node_of(l->m, node);
  const int32_t index = sample;
  nn_peak *peaks = allocate((size_t)maps_of(&n), sizeof *peaks);
  nn_real *x = allocate(size_of(&l->in), sizeof *x);
  for (int k = 0; k < maps_of(&n); k++) peaks[k].sample = -1;
  forward_samples(l->m, &l->d.test, &index, 1, x);
  must(l->m, nn_peaks_add(l->m, node, 0, 1, peaks));
  for (int k = 0; k < maps_of(&n); k++) peaks[k].sample = k;
  qsort(peaks, (size_t)maps_of(&n), sizeof *peaks, by_value);
  *count = maps_of(&n);
  free(x);
  return peaks;
}

/* A line of deconv.csv. */
static void unit_line(const struct look *l, struct text *t, int node, const struct unit *u,
                      int rank, double value) {
  int part[4];
  must(l->m, nn_receptive_field(l->m, node, u->row, u->column, part));
  text_add(t, "%s,%d,%d,%d,%s,%d,%d,%.9g,%d,%d,%d,%d\n", node_of(l->m, node).name, u->map, rank,
           u->sample, class_name(l, l->d.test.labels[u->sample]).text, u->row, u->column, value,
           part[0], part[1], part[2], part[3]);
}

/* --images: the strongest maps of each of them. */
static void put_images_back(struct look *l, int node, struct text *figures) {
  static const char *const heads[] = {"image", "", "strongest", "2nd", "3rd", "4th", "5th", "6th",
                                      NULL};
  enum { MOST = 6 };
  const nn_node_info n = node_of(l->m, node);
  const int one = one_map(l, &n);
  pictures_begin(&l->html, 6, heads);
  for (int i = 0; i < l->images; i++) {
    char name[96];
    int count;
    nn_peak *peaks = strongest_in(l, node, l->image[i], &count);
    struct picture p = picture_of(l->d.test.width, l->d.test.height);
    put_sample(&p, 0, 0, &l->d.test, l->image[i], NULL);
    snprintf(name, sizeof name, "%d: %s", l->image[i],
             class_name(l, l->d.test.labels[l->image[i]]).text);
    pictures_row(&l->html, name);
    text_put(&l->html, "<td>");
    put_image(&l->html, &p, name);
    for (int k = 0, shown = 0; k < count && shown < MOST; k++) {
      const struct unit u = {l->image[i], peaks[k].sample, peaks[k].row, peaks[k].column};
      if ((one >= 0 && u.map != one) || (peaks[k].value <= 0 && one < 0)) continue;
      if (peaks[k].value == 0) {
        text_add(&l->html, "<td class=soft>map %d: %s", u.map, not_active);
        continue;
      }
      const nn_real *back = go_back(l, l->m, node, &u, 1, NN_RULE_DECONVNET);
      const int whole[4] = {0, 0, l->d.test.height, l->d.test.width};
      p = picture_of(whole[3], whole[2]);
      put_part(&p, 0, 0, l, u.sample, back, whole);
      snprintf(name, sizeof name, "image %d, projected from map %d", u.sample, u.map);
      text_put(&l->html, "<td>");
      put_image(&l->html, &p, name);
      text_add(&l->html, "<span class=soft>map %d: %.3g</span>", u.map, (double)peaks[k].value);
      unit_line(l, figures, node, &u, ++shown, (double)peaks[k].value);
    }
    free(peaks);
  }
  pictures_end(&l->html);
}

static const char no_convolution[] =
    "the net has no convolution, whose maps it could lead back to the pixels (look saliency shows "
    "what its pixels do)";

enum { MOST_SHOWN = 64 };

static const char *look_deconv(struct look *l) {
  struct text *t = &l->html, figures = {0};
  int nodes[NN_MAX_NODES], count = deconv_nodes(l, 1, nodes);
  if (!has_convolution(l->m)) return no_convolution;
  text_add(&figures, "layer,map,rank,image,class,row,column,value,top,left,height,width\n");
  text_put(t, "<p>Zeiler and Fergus's deconvnet goes from one activation back to the pixels: "
              "through the places that the pooling took its maxima from, rectified at every "
              "rectifier, through the transposed filters. Left of each pair is what comes back "
              "from the nine strongest activations of a map over all test images, each in another "
              "image and on a scale of its own, gray where nothing does; right of it are the "
              "patches of the images that drove them. Patches alike in one thing and unlike in "
              "all else show what the map has learned to find. The number is the map's; one that "
              "is not active is above 0 on no test image.</p>\n");
  for (int i = 0; i < count; i++) {
    const nn_node_info n = node_of(l->m, nodes[i]);
    int maps[MOST_SHOWN], part[4];
    patch_of(l->m, nodes[i], 0, 0, part);
    text_add(t, "<h3>%s: each unit sees %d x %d pixels", n.name, part[2], part[3]);
    if (l->images) {
      text_put(t, "</h3>\n");
      put_images_back(l, nodes[i], &figures);
      continue;
    }
    nn_peak *peaks = strongest(l, l->m, nodes[i], STRONGEST);
    const int shown = chosen_maps(l, &n, peaks, STRONGEST, 1, n.rank == 3 ? MOST_SHOWN : 16, maps);
    if (shown > 1 && shown < maps_of(&n))
      text_add(t, ", %d of %d maps, active ones first", shown, maps_of(&n));
    text_put(t, "</h3>\n");
    tiles_begin(t, part[2] > 20 ? 15 : 9);
    for (int m = 0; m < shown; m++) {
      put_strongest(l, nodes[i], maps[m], peaks + maps[m] * STRONGEST);
      for (int k = 0; k < STRONGEST; k++) {
        const nn_peak *p = &peaks[maps[m] * STRONGEST + k];
        const struct unit u = unit_of(p, maps[m]);
        if (p->sample >= 0) unit_line(l, &figures, nodes[i], &u, k + 1, (double)p->value);
      }
    }
    text_put(t, "</div>\n");
    free(peaks);
  }
  save_csv(l, &figures, "deconv");
  return NULL;
}

enum { EVOLVING = 8 };

static const char *look_evolution(struct look *l) {
  struct text figures = {0};
  struct word names[MOST_STAGES];
  const char *heads[MOST_STAGES + 2] = {"map"};
  int nodes[NN_MAX_NODES], count = deconv_nodes(l, 0, nodes);
  if (!has_convolution(l->m)) return no_convolution;
  if (l->stages < 2) return "there is but one model: only the folder of a run has more";
  text_add(&figures, "layer,map,step,image,row,column,value\n");
  for (int i = 0; i < l->stages; i++) {
    snprintf(names[i].text, sizeof names[i].text, "step %lld", (long long)l->stage[i].step);
    heads[i + 1] = names[i].text;
  }
  text_put(&l->html, "<p>The strongest activation of a map over all test images, led back to the "
                     "pixels by the deconvnet, at several steps of the training, of some maps that "
                     "the best model uses. A jump from one column to the next is another image "
                     "that has become the strongest. Lower layers settle early, higher ones late. "
                     "Each picture has a scale of its own, its greatest value white or black."
                     "</p>\n");
  for (int i = 0; i < count; i++) {
    const nn_node_info n = node_of(l->m, nodes[i]);
    struct picture pictures[EVOLVING][MOST_STAGES];
    int maps[EVOLVING];
    nn_peak *own = strongest(l, l->m, nodes[i], 1);
    const int shown = chosen_maps(l, &n, own, 1, 0, EVOLVING, maps);
    free(own);
    memset(pictures, 0, sizeof pictures);
    for (int s = 0; s < l->stages; s++) {
      nn_model *m = stage_model(l, &l->stage[s]);
      nn_peak *peaks = strongest(l, m, nodes[i], 1);
      for (int k = 0; k < shown; k++) {
        const nn_peak *p = &peaks[maps[k]];
        const struct unit u = unit_of(p, maps[k]);
        int part[4];
        if (p->sample < 0 || p->value <= 0) continue;
        patch_of(m, nodes[i], p->row, p->column, part);
        const nn_real *back = go_back(l, m, nodes[i], &u, 1, NN_RULE_DECONVNET);
        pictures[k][s] = picture_of(part[3], part[2]);
        put_part(&pictures[k][s], 0, 0, l, u.sample, back, part);
        text_add(&figures, "%s,%d,%lld,%d,%d,%d,%.9g\n", n.name, maps[k],
                 (long long)l->stage[s].step, (int)p->sample, (int)p->row, (int)p->column,
                 (double)p->value);
      }
      free(peaks);
      nn_destroy(m);
    }
    text_add(&l->html, "<h3>%s</h3>\n", n.name);
    pictures_begin(&l->html, 5, heads);
    for (int k = 0; k < shown; k++) {
      char name[96];
      snprintf(name, sizeof name, "%d", maps[k]);
      pictures_row(&l->html, name);
      for (int s = 0; s < l->stages; s++) {
        text_put(&l->html, "<td>");
        snprintf(name, sizeof name, "strongest activation at %.40s", names[s].text);
        if (pictures[k][s].rgba) put_image(&l->html, &pictures[k][s], name);
        else text_add(&l->html, "<span class=soft>%s</span>", not_active);
      }
    }
    pictures_end(&l->html);
  }
  save_csv(l, &figures, "evolution");
  return NULL;
}

/* ---- single images ---- */

static double share_of(const struct look *l, int sample, int class) {
  return (double)l->share[(size_t)sample * (size_t)l->out.dim[0] + (size_t)class];
}

/* Classes and probabilities of all test images. */
static void classify(struct look *l) {
  const nn_dataset *d = &l->d.test;
  const size_t classes = (size_t)l->out.dim[0];
  nn_real *x = allocate(AT_ONCE * size_of(&l->in), sizeof *x);
  int32_t index[AT_ONCE];
  l->found = allocate((size_t)d->count, sizeof *l->found);
  l->share = allocate((size_t)d->count * classes, sizeof *l->share);
  for (int i = 0; i < d->count; i += AT_ONCE) {
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = d->count - i < AT_ONCE ? d->count - i : AT_ONCE;
    b.x[0] = x;
    for (int k = 0; k < b.n; k++) index[k] = i + k;
    if (nn_gather(d, index, b.n, NULL, NULL, x, NULL)) fail("a sample cannot be read");
    must(l->m, nn_predict(l->m, &b, l->found + i, l->share + (size_t)i * classes));
  }
  free(x);
}

/* --images, else the first image of each of so many classes that is taken for what it is. */
static int choose_images(const struct look *l, int want, int *image) {
  const int32_t *labels = l->d.test.labels;
  int count = 0;
  for (int k = 0; k < l->images; k++) image[k] = l->image[k];
  if (l->images) return l->images;
  for (int right = 1; right >= 0; right--)
    for (int k = 0; k < CLASSES && count < want; k++) {
      int i = 0;
      while (i < l->d.test.count && (labels[i] != k || (l->found[i] == k) != right)) i++;
      for (int j = 0; j < count; j++)
        if (labels[image[j]] == k) i = l->d.test.count;
      if (i < l->d.test.count) image[count++] = i;
    }
  return count;
}

/* "14: frog" */
static struct word image_name(const struct look *l, int sample) {
  struct word w;
  snprintf(w.text, sizeof w.text, "%d: %.30s", sample,
           class_name(l, l->d.test.labels[sample]).text);
  return w;
}

static void put_whole(struct look *l, int sample) {
  struct picture p = picture_of(l->d.test.width, l->d.test.height);
  put_sample(&p, 0, 0, &l->d.test, sample, NULL);
  put_image(&l->html, &p, image_name(l, sample).text);
}

static const char *look_saliency(struct look *l) {
  static const struct {
    nn_rule rule;
    const char *name;
  } rules[] = {{NN_RULE_GRADIENT, "gradient"},
               {NN_RULE_GUIDED, "guided back-propagation"},
               {NN_RULE_DECONVNET, "deconvnet"}};
  static const char *const heads[] = {"image", "", "gradient", "guided", "deconvnet", NULL};
  static const char *const smooth[] = {"image", "", "gradient", NULL};
  struct text figures = {0};
  int image[MOST_IMAGES], dim[3];
  const int count = choose_images(l, CLASSES, image), rectified = has_kind(l->m, "relu");
  image_shape(l, dim);
  text_add(&figures, "image,class,rule,channel,row,column,value\n");
  text_put(&l->html, "<p>How the score of an image's own class would move with each pixel: gray "
                     "not at all, white upwards with a brighter pixel, black downwards, each "
                     "picture on a scale of its own. ");
  text_put(&l->html, rectified
      ? "The three ways back differ in one thing, what a rectifier lets through: the gradient "
        "passes where the value was positive, the deconvnet where what comes back is positive, "
        "guided back-propagation where both are.</p>\n"
      : "The net has no rectifier (relu), so guided back-propagation and the deconvnet are the "
        "gradient itself.</p>\n");
  pictures_begin(&l->html, 7, rectified ? heads : smooth);
  for (int i = 0; i < count; i++) {
    const int label = l->d.test.labels[image[i]];
    const struct unit u = {image[i], label, 0, 0};
    char alt[96];
    pictures_row(&l->html, image_name(l, image[i]).text);
    text_add(&l->html, "<br><span class=soft>%s</span><td>", percent(share_of(l, image[i], label))
             .text);
    put_whole(l, image[i]);
    for (int k = 0; k < (rectified ? 3 : 1); k++) {
      const nn_real *back = go_back(l, l->m, nn_output_node(l->m), &u, 1, rules[k].rule);
      struct picture p = picture_of(dim[2], dim[1]);
      put_signed(&p, 0, 0, back, dim, NULL, 0);
      snprintf(alt, sizeof alt, "%s of image %d", rules[k].name, image[i]);
      text_put(&l->html, "<td>");
      put_image(&l->html, &p, alt);
      for (int v = 0; v < dim[0] * dim[1] * dim[2]; v++)
        text_add(&figures, "%d,%s,%s,%d,%d,%d,%.6g\n", image[i], class_name(l, label).text,
                 rules[k].name, v / (dim[1] * dim[2]), v / dim[2] % dim[1], v % dim[2],
                 (double)back[v]);
    }
  }
  pictures_end(&l->html);
  save_csv(l, &figures, "saliency");
  return NULL;
}

/* Ten colours for classes, apart from each other on light and on dark. */
static const unsigned char class_colours[CLASSES][3] = {
    {47, 129, 247}, {212, 72, 11},  {58, 158, 84},  {163, 84, 214}, {18, 150, 164},
    {206, 58, 128}, {168, 140, 12}, {130, 138, 147}, {122, 82, 48}, {238, 134, 154}};

static int square_of(const struct look *l) {
  const int least = l->d.test.height < l->d.test.width ? l->d.test.height : l->d.test.width;
  const int side = whole_or(l->typed, OPT_SQUARE, least / 4);
  if (side > least) fail("--square %d is larger than the images of %d x %d", side,
                         l->d.test.height, l->d.test.width);
  return side;
}

/* What covers a part, and comes in from outside: the mean that the net subtracts, a gray; the black
 * ground of digits where it subtracts none. */
static const nn_real *cover_of(const struct look *l) {
  static const nn_real black[3] = {0};
  nn_param mean;
  return nn_find_param(l->m, "normalise1.mean", &mean) ? black : mean.value;
}
static const char *cover_name(const struct look *l) { return *cover_of(l) > 0 ? "gray" : "black"; }

static const char *look_occlusion(struct look *l) {
  static const char *const heads[] = {"image", "", "probability of its class", "strongest map",
                                      "most probable class", NULL};
  struct text *t = &l->html, figures = {0};
  int image[MOST_IMAGES], nodes[NN_MAX_NODES], deep[MOST_DEPTHS], dim[3], h, w;
  int seen[CLASSES] = {0};
  const int count = choose_images(l, 5, image), side = square_of(l);
  const int rows = deconv_nodes(l, 0, nodes), depth = depths_of(l->m, deep);
  const int node = rows ? nodes[rows - 1] : deep[depth - 2];
  nn_occlusion_options o = {side, 1, cover_of(l), 0, node, 0};
  nn_real *x = allocate(size_of(&l->in), sizeof *x), *maps[2];
  int32_t *best;
  must(l->m, nn_occlusion_size(l->m, &o, &h, &w));
  image_shape(l, dim);
  for (int k = 0; k < 2; k++) maps[k] = allocate((size_t)(h * w), sizeof *maps[k]);
  best = allocate((size_t)(h * w), sizeof *best);
  text_add(&figures, "image,class,row,column,probability,activity,predicted\n");
  text_add(t, "<p>A %s square of %d x %d pixels slides over the image; each pixel of the three "
           "maps stands for the square with its middle there. Where the probability of the true "
           "class falls, the covered part is what the answer rests on. The second map is the sum "
           "over the map of %s that answers most to the whole image: where it falls, that map "
           "looks. The third is what the net then takes the image for. The first two "
           "have their scale under them, from clear to blue, the colours of the third stand below "
           "the table.</p>\n", cover_name(l), side, side,
           node_of(l->m, node).name);
  pictures_begin(t, 7, heads);
  for (int i = 0; i < count; i++) {
    const int32_t index = image[i];
    struct picture p[3];
    double least[2] = {HUGE_VAL, HUGE_VAL}, most[2] = {-HUGE_VAL, -HUGE_VAL};
    int peaks;
    nn_peak *peak = strongest_in(l, node, image[i], &peaks);
    o.label = l->d.test.labels[image[i]];
    o.map = peak[0].sample;
    if (nn_gather(&l->d.test, &index, 1, NULL, NULL, x, NULL)) fail("a sample cannot be read");
    must(l->m, nn_occlusion(l->m, x, &o, maps[0], maps[1], best));
    for (int k = 0; k < 2; k++)
      for (int v = 0; v < h * w; v++) {
        least[k] = fmin(least[k], (double)maps[k][v]);
        most[k] = fmax(most[k], (double)maps[k][v]);
      }
    for (int k = 0; k < 3; k++) p[k] = picture_of(dim[2], dim[1]);
    for (int v = 0; v < h * w; v++) {
      const int row = v / w + side / 2, column = v % w + side / 2;
      const unsigned char *c = class_colours[best[v]];
      for (int k = 0; k < 2; k++)
        put_share(&p[k], row, column, .04 + .96 * ((double)maps[k][v] - least[k]) /
                                      fmax(most[k] - least[k], 1e-30));
      put_pixel(&p[2], row, column, c[0], c[1], c[2], 255);
      seen[best[v]] = 1;
      text_add(&figures, "%d,%s,%d,%d,%.6g,%.6g,%s\n", image[i], class_name(l, o.label).text, row,
               column, (double)maps[0][v], (double)maps[1][v], class_name(l, best[v]).text);
    }
    pictures_row(t, image_name(l, image[i]).text);
    text_put(t, "<td>");
    put_whole(l, image[i]);
    text_put(t, "<span class=soft>&nbsp;</span>"); /* as high as its neighbours */
    for (int k = 0; k < 3; k++) {
      char alt[96];
      snprintf(alt, sizeof alt, "%s, image %d", heads[k + 2], image[i]);
      text_put(t, "<td>");
      put_image(t, &p[k], alt);
      if (k == 0) text_add(t, "<span class=soft>%.0f .. %.0f %%</span>", 100 * least[0],
                           100 * most[0]);
      if (k == 1) text_add(t, "<span class=soft>map %d: %.3g .. %.3g</span>", o.map, least[1],
                           most[1]);
      if (k == 2) text_put(t, "<span class=soft>&nbsp;</span>");
    }
    free(peak);
  }
  pictures_end(t);
  text_put(t, "<ul>");
  for (int k = 0; k < CLASSES; k++)
    if (seen[k])
      text_add(t, "<li style=\"--c:rgb(%d,%d,%d)\">%s", class_colours[k][0], class_colours[k][1],
               class_colours[k][2], class_name(l, k).text);
  text_put(t, "</ul>\n");
  for (int k = 0; k < 2; k++) free(maps[k]);
  free(best);
  free(x);
  save_csv(l, &figures, "occlusion");
  return NULL;
}

/* Features of up to AT_ONCE samples that are in x as the network gets them. */
static void features(nn_model *m, const nn_real *x, int n, int node, nn_real *to) {
  nn_batch b;
  memset(&b, 0, sizeof b);
  b.n = n;
  b.x[0] = x;
  must(m, nn_forward(m, &b, NN_INSPECTING));
  must(m, nn_read(m, node, to));
}

enum { MOVES = 3, MOST_AMOUNTS = 64, SINGLE = 5 };
static const struct {
  const char *name, *axis;
  double least, most, step, tick; /* least and most of translation: shares of the image's width */
} moves[MOVES] = {{"Translation", "pixels to the right", -.25, .25, 1, 2},
                  {"Scale", "change of scale, %", -40, 80, 10, 20},
                  {"Rotation", "degrees counter-clockwise", -180, 180, 15, 45}};

/* y [height,width] is the plane x turned counter-clockwise by `angle` degrees about its middle,
 * enlarged `scale` times about it, then moved down and to the right by so many pixels; between
 * pixels linearly interpolated, `fill` where it was outside. So each pixel of y goes back: off the
 * middle by (i, j), less the move; turned clockwise, to (i cos + j sin, j cos - i sin); less the
 * scale. */
struct motion {
  double down, right, scale, angle;
};
static void move_plane(const nn_real *x, int height, int width, const struct motion *by,
                       nn_real fill, nn_real *y) {
  const double turn = by->angle * (3.14159265358979323846 / 180), most = 1e6;
  const double c = cos(turn) / by->scale, s = sin(turn) / by->scale;
  const double middle_i = (height - 1) / 2.0, middle_j = (width - 1) / 2.0;
  for (int p = 0; p < height * width; p++) {
    const double i = p / width - middle_i - by->down, j = p % width - middle_j - by->right;
    const double row = i * c + j * s + middle_i, column = j * c - i * s + middle_j;
    const int outside = !(fabs(row) < most && fabs(column) < most);
    const int top = outside ? -2 : (int)floor(row), left = outside ? -2 : (int)floor(column);
    double sum = 0;
    for (int tap = 0; tap < 4; tap++) {
      const int r = top + tap / 2, q = left + tap % 2;
      const double far_i = outside ? .5 : fabs(row - r), far_j = outside ? .5 : fabs(column - q);
      const int inside = r >= 0 && r < height && q >= 0 && q < width;
      sum += (1 - far_i) * (1 - far_j) * (double)(inside ? x[r * width + q] : fill);
    }
    y[p] = (nn_real)sum;
  }
}

/* sqrt of the sum of (a - b)^2; b NULL: the 2-norm of a. */
static double distance_of(const nn_real *a, const nn_real *b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    const double d = (double)a[i] - (b ? (double)b[i] : 0);
    sum += d * d;
  }
  return sqrt(sum);
}

/* At how many places the signs (-1, 0, 1) of a and b differ: the Hamming distance by which Zeiler &
 * Fergus 2014 compare what a covered part changes in the features of two images. */
static size_t sign_distance(const nn_real *a, const nn_real *b, size_t count) {
  size_t differ = 0;
  for (size_t i = 0; i < count; i++)
    differ += (a[i] > 0) - (a[i] < 0) != (b[i] > 0) - (b[i] < 0);
  return differ;
}

/* Distances of features and probabilities of images moved by one amount. */
struct moved {
  double distance[2], share, single[SINGLE];
};

static struct moved move_images(const struct look *l, const int *image, int count, int move,
                                double amount, const int nodes[2], nn_real *const plain[2],
                                nn_real *const after[2]) {
  const size_t each = size_of(&l->in);
  const struct motion by = {0, move == 0 ? amount : 0, move == 1 ? 1 + amount / 100 : 1,
                        move == 2 ? amount : 0};
  nn_real *x = allocate(2 * (size_t)count * each, sizeof *x), *y = x + (size_t)count * each;
  nn_real *share = allocate((size_t)count * (size_t)l->out.dim[0], sizeof *share);
  struct moved result;
  int32_t index[MOST_IMAGES];
  int dim[3];
  nn_batch b;
  memset(&result, 0, sizeof result);
  memset(&b, 0, sizeof b);
  image_shape(l, dim);
  for (int i = 0; i < count; i++) index[i] = image[i];
  if (nn_gather(&l->d.test, index, count, NULL, NULL, x, NULL)) fail("a sample cannot be read");
  for (int i = 0; i < count * dim[0]; i++) { /* a channel at a time */
    const size_t at = (size_t)i * each / (size_t)dim[0];
    move_plane(x + at, dim[1], dim[2], &by, cover_of(l)[i % dim[0]], y + at);
  }
  for (int k = 0; k < 2; k++) {
    const nn_node_info n = node_of(l->m, nodes[k]);
    const size_t size = size_of(&n);
    features(l->m, y, count, nodes[k], after[k]);
    for (int i = 0; i < count; i++) {
      const nn_real *was = plain[k] + (size_t)i * size, *is = after[k] + (size_t)i * size;
      const double norm = distance_of(was, NULL, size);
      result.distance[k] += norm > 0 ? distance_of(is, was, size) / norm / count : 0;
    }
  }
  b.n = count;
  b.x[0] = y;
  must(l->m, nn_predict(l->m, &b, NULL, share));
  for (int i = 0; i < count; i++) {
    const double p = (double)share[i * l->out.dim[0] + l->d.test.labels[image[i]]];
    result.share += p / count;
    if (i < SINGLE) result.single[i] = p;
  }
  free(share);
  free(x);
  return result;
}

static const char *look_invariance(struct look *l) {
  struct text figures = {0};
  struct word names[SINGLE];
  int image[MOST_IMAGES], all[MOST_DEPTHS], nodes[2], dim[3];
  int count = choose_images(l, SINGLE, image), right = 0;
  const int depth = depths_of(l->m, all), single = count < SINGLE ? count : SINGLE;
  nn_real *plain[2], *after[2];
  for (int i = 0; i < l->d.test.count && !l->images && count < MOST_IMAGES; i++) {
    int left_out = l->found[i] != l->d.test.labels[i];
    for (int k = 0; k < count; k++) left_out |= image[k] == i;
    if (!left_out) image[count++] = i;
  }
  for (int i = 0; i < count; i++) right += l->found[image[i]] == l->d.test.labels[image[i]];
  nodes[0] = all[depth > 2], nodes[1] = all[depth - 2];
  image_shape(l, dim);
  for (int k = 0; k < 2; k++) {
    const nn_node_info n = node_of(l->m, nodes[k]);
    nn_real *x = allocate((size_t)count * size_of(&l->in), sizeof *x);
    int32_t index[MOST_IMAGES];
    plain[k] = allocate((size_t)count * size_of(&n), sizeof *plain[k]);
    after[k] = allocate((size_t)count * size_of(&n), sizeof *after[k]);
    for (int i = 0; i < count; i++) index[i] = image[i];
    forward_samples(l->m, &l->d.test, index, count, x);
    must(l->m, nn_read(l->m, nodes[k], plain[k]));
    free(x);
  }
  for (int i = 0; i < single; i++) names[i] = image_name(l, image[i]);
  text_add(&figures, "move,amount,first_distance,last_distance,probability");
  for (int i = 0; i < single; i++) text_add(&figures, ",image_%d", image[i]);
  text_add(&figures, "\n");
  const int curves = nodes[0] != nodes[1] ? 2 : 1; /* a small net has but one layer to compare */
  const nn_node_info first = node_of(l->m, nodes[0]), last = node_of(l->m, nodes[1]);
  text_add(&l->html, "<p>%d test images, of which the net gets %d right, are moved, scaled and "
           "turned, and what it makes of them then is compared with what it made of the images as "
           "they were. Left: how far the features go, relative to their own length, ", count,
           right);
  if (curves == 2)
    text_add(&l->html, "at the first layer (%s) and at the last one before the answer (%s)",
             first.name, last.name);
  else if (depth > 2) text_add(&l->html, "at the one layer before the answer (%s)", last.name);
  else text_put(&l->html, "of the image itself, for no layer comes before the answer");
  text_add(&l->html, "; the flatter the curve, the more invariant. Right: the probability of the "
           "true class, the mean in thick, %d images in thin lines. What moves in from outside is "
           "%s.</p>\n<div class=grid>\n", single, cover_name(l));
  for (int move = 0; move < MOVES; move++) {
    const double size = move == 0 ? l->d.test.width : 1;
    const double least = ceil(moves[move].least * size), most = floor(moves[move].most * size);
    const double step = moves[move].step;
    struct series distance[2], share[SINGLE + 1];
    char title[96];
    distance[0] = new_series(curves == 2 ? "first layer" : depth > 2 ? first.name : "image", 0,
                             MOST_AMOUNTS);
    if (curves == 2) distance[1] = new_series("last layer", 1, MOST_AMOUNTS);
    share[0] = new_series("mean", 0, MOST_AMOUNTS);
    for (int i = 0; i < single; i++) {
      share[i + 1] = new_series(names[i].text, i + 1, MOST_AMOUNTS);
      share[i + 1].thin = 1;
    }
    for (int k = 0; k < MOST_AMOUNTS && least + k * step <= most; k++) {
      const double amount = least + k * step;
      const struct moved v = move_images(l, image, count, move, amount, nodes, plain, after);
      for (int i = 0; i < curves; i++) add_point(&distance[i], amount, v.distance[i]);
      add_point(&share[0], amount, v.share);
      text_add(&figures, "%s,%g,%.6g,%.6g,%.6g", moves[move].name, amount, v.distance[0],
               v.distance[1], v.share);
      for (int i = 0; i < single; i++) {
        add_point(&share[i + 1], amount, v.single[i]);
        text_add(&figures, ",%.6g", v.single[i]);
      }
      text_add(&figures, "\n");
    }
    snprintf(title, sizeof title, "%s: distance of the features", moves[move].name);
    html_chart(&l->html, title, moves[move].axis, moves[move].tick, 0, distance, curves);
    snprintf(title, sizeof title, "%s: probability of the true class, %%", moves[move].name);
    html_chart(&l->html, title, moves[move].axis, moves[move].tick, 1, share,
               single + 1);
  }
  text_put(&l->html, "</div>\n");
  for (int k = 0; k < 2; k++) free(plain[k]), free(after[k]);
  save_csv(l, &figures, "invariance");
  return NULL;
}

/* ---- correspondence ---- */

enum { PARTS = 6, ALIKE = 10 }; /* places of the square, the last one random; images of a class */

/* Where the square covers an image: its top left corner. */
static void place_part(const struct look *l, int part, int side, nn_random *r, int at[2]) {
  static const double places[PARTS - 1][2] = {{.5, .5}, {0, .5}, {1, .5}, {.5, 0}, {.5, 1}};
  const int room[2] = {l->d.test.height - side, l->d.test.width - side};
  for (int k = 0; k < 2; k++)
    at[k] = part == PARTS - 1 ? (int)nn_random_below(r, (uint32_t)room[k] + 1)
                              : (int)(places[part][k] * room[k] + .5);
}

/* The mean share of features whose changes differ in sign, over all pairs of n images of a class
 * that are covered at the same part. */
static double part_distance(struct look *l, const int32_t *index, int n, int part, int side,
                            int node, nn_random *r) {
  const nn_node_info info = node_of(l->m, node);
  const size_t each = size_of(&l->in), size = size_of(&info);
  nn_real *x = allocate((size_t)n * each, sizeof *x);
  nn_real *plain = allocate((size_t)n * size, sizeof *plain);
  nn_real *change = allocate((size_t)n * size, sizeof *change);
  double sum = 0;
  int dim[3];
  image_shape(l, dim);
  forward_samples(l->m, &l->d.test, index, n, x);
  must(l->m, nn_read(l->m, node, plain));
  for (int i = 0; i < n; i++) {
    int at[2];
    place_part(l, part, side, r, at);
    for (int c = 0; c < dim[0]; c++)
      for (int row = at[0]; row < at[0] + side; row++)
        for (int q = at[1]; q < at[1] + side; q++)
          x[(size_t)i * each + (size_t)((c * dim[1] + row) * dim[2] + q)] = cover_of(l)[c];
  }
  features(l->m, x, n, node, change);
  for (size_t k = 0; k < (size_t)n * size; k++) change[k] = plain[k] - change[k];
  for (int i = 0; i < n; i++)
    for (int k = 0; k < i; k++)
      sum += (double)sign_distance(change + (size_t)i * size, change + (size_t)k * size, size);
  free(x), free(plain), free(change);
  return sum / (n * (n - 1) / 2.0) / (double)size;
}

static const char *look_correspondence(struct look *l) {
  static const char *const names[PARTS] = {"middle", "top", "bottom", "left", "right",
                                           "a random place in each"};
  static const char *const pictured[] = {"middle", "top", "bottom", "left", "right", "random",
                                         NULL};
  const char *heads[2 * MOST_DEPTHS + 2] = {"covered part"};
  struct word words[2 * MOST_DEPTHS];
  struct text figures = {0};
  struct table table = {heads, NULL, 0};
  int all[MOST_DEPTHS], image[MOST_IMAGES];
  const int depth = depths_of(l->m, all), side = square_of(l);
  const int nodes = depth - 1 > 1 ? depth - 2 : 0; /* all but the image and the answer */
  if (!nodes) return "the net has no layer before its answer";
  for (int k = 0; k < nodes; k++) {
    snprintf(words[2 * k].text, sizeof words[0].text, "%s", node_of(l->m, all[k + 1]).name);
    snprintf(words[2 * k + 1].text, sizeof words[0].text, "deviation");
    heads[2 * k + 1] = words[2 * k].text, heads[2 * k + 2] = words[2 * k + 1].text;
  }
  heads[2 * nodes + 1] = NULL;
  text_add(&figures, "part,layer,class,distance\n");
  for (int part = 0; part < PARTS; part++) {
    cell(&table, "%s", names[part]);
    for (int k = 0; k < nodes; k++) {
      nn_random r = {(uint64_t)number_of(l->typed, OPT_SEED), 1, 0};
      nn_moments s;
      memset(&s, 0, sizeof s);
      for (int class = 0; class < CLASSES; class++) {
        int32_t index[ALIKE];
        int n = 0;
        for (int i = 0; i < l->d.test.count && n < ALIKE; i++)
          if (l->d.test.labels[i] == class) index[n++] = i;
        if (n < 2) continue;
        const nn_real v = (nn_real)part_distance(l, index, n, part, side, all[k + 1], &r);
        nn_moments_add(&s, &v, 1);
        text_add(&figures, "%s,%s,%s,%.6g\n", names[part], words[2 * k].text, class_name(l,
                 class).text, (double)v);
      }
      cell(&table, "%.4f", s.mean);
      cell(&table, "%.4f", nn_moments_deviation(&s));
    }
  }
  text_add(&l->html, "<p>The same part of up to %d images of a class is covered by a %s square of "
           "%d x %d pixels. Where a net takes that part of all of them for the same thing, its "
           "features should change alike: the table has the share of features whose changes "
           "differ in sign between two images, the mean over all pairs and classes and its "
           "deviation over the classes. A part with a lower share than random places "
           "<em>corresponds</em>: the net relates what is there in one image to what is there in "
           "another. That takes images with their parts in the same places, as digits and clothes "
           "have them. In a layer whose units see a part of the image alone, a random place "
           "changes other units in each image, and is far from alike for that reason "
           "already.</p>\n", ALIKE, cover_name(l), side, side);
  choose_images(l, 1, image);
  pictures_begin(&l->html, 5, pictured);
  text_put(&l->html, "</tr>\n<tr>");
  nn_random r = {(uint64_t)number_of(l->typed, OPT_SEED), 1, 0};
  for (int part = 0; part < PARTS; part++) {
    struct picture p = picture_of(l->d.test.width, l->d.test.height);
    const double gray = l->cifar ? 127 : 0;
    char alt[96];
    int at[2];
    put_sample(&p, 0, 0, &l->d.test, image[0], NULL);
    place_part(l, part, side, &r, at);
    for (int k = 0; k < side * side; k++)
      put_pixel(&p, at[0] + k / side, at[1] + k % side, gray, gray, gray, 255);
    snprintf(alt, sizeof alt, "image %d with its part covered: %s", image[0], names[part]);
    text_put(&l->html, "<td>");
    put_image(&l->html, &p, alt);
  }
  pictures_end(&l->html);
  show_table(l, &table);
  table_free(&table);
  save_csv(l, &figures, "correspondence");
  return NULL;
}

/* ---- confusion ---- */

static const char *look_confusion(struct look *l) {
  enum { WORST = 24 };
  struct text *t = &l->html, figures = {0};
  const int classes = l->out.dim[0];
  int64_t *counts = allocate((size_t)(classes * classes), sizeof *counts);
  int64_t right = 0, most = 1;
  int worst[WORST], shown = 0;
  must(l->m, nn_confusion(l->m, &l->d.test, counts));
  for (int i = 0; i < classes * classes; i++) {
    right += i % (classes + 1) == 0 ? counts[i] : 0;
    if (i % (classes + 1) && counts[i] > most) most = counts[i];
  }
  print_title(l);
  printf("%s of %s, %s\n", grouped((double)right).text, grouped(l->d.test.count).text,
         percent((double)right / l->d.test.count).text);
  text_add(t, "<p>%s of %s test images are taken for what they are: %s. Each row is a true class, "
           "each column what the net takes its images for, so the diagonal counts right answers. "
           "Blue gets denser with the share of the row, mistakes (red) with their number. "
           "Recall: how many of a class are found; precision: how many of those taken for it are "
           "of it.</p>\n", grouped((double)right).text, grouped(l->d.test.count).text,
           percent((double)right / l->d.test.count).text);
  text_put(t, "<div class=\"card x m\" tabindex=0><table><tr><th class=a>true class");
  text_add(&figures, "class");
  for (int k = 0; k < classes; k++) {
    text_add(t, "<th>%s", class_name(l, k).text);
    text_add(&figures, ",%s", class_name(l, k).text);
  }
  text_put(t, "<th>recall<th>precision");
  text_add(&figures, ",recall,precision\n");
  for (int i = 0; i < classes; i++) {
    double row = 0, column = 0;
    for (int k = 0; k < classes; k++)
      row += (double)counts[i * classes + k], column += (double)counts[k * classes + i];
    const double own = (double)counts[i * classes + i];
    text_add(t, "</tr>\n<tr><th class=a>%s", class_name(l, i).text);
    text_add(&figures, "%s", class_name(l, i).text);
    for (int k = 0; k < classes; k++) {
      const double v = (double)counts[i * classes + k];
      const double dense = i == k ? .7 * v / fmax(row, 1) : .7 * v / (double)most;
      text_add(t, "<td style=\"background:rgba(%s,%.2f)\">%.0f",
               i == k ? "47,129,247" : "212,72,11", dense, v);
      text_add(&figures, ",%.0f", v);
    }
    text_add(t, "<td>%s<td>%s", percent(row > 0 ? own / row : 0).text,
             percent(column > 0 ? own / column : 0).text);
    text_add(&figures, ",%.6g,%.6g\n", row > 0 ? own / row : 0, column > 0 ? own / column : 0);
  }
  text_put(t, "</tr></table></div>\n");
  save_csv(l, &figures, "confusion");
  text_add(&figures, "image,class,taken_for,probability_of_class,probability_of_taken\n");
  while (shown < WORST) {
    int at = -1;
    for (int i = 0; i < l->d.test.count; i++) {
      int left_out = l->found[i] == l->d.test.labels[i];
      for (int k = 0; k < shown; k++) left_out |= worst[k] == i;
      if (!left_out && (at < 0 || share_of(l, i, l->d.test.labels[i]) <
                                      share_of(l, at, l->d.test.labels[at])))
        at = i;
    }
    if (at < 0) break;
    worst[shown++] = at;
  }
  if (shown) {
    put_head(l, "The worst mistakes", "The test images whose own class the net finds least "
             "probable: the number of each, what it is and how probable that is to the net, and "
             "what the net takes it for.");
    tiles_begin(t, 7);
  }
  for (int k = 0; k < shown; k++) {
    const int i = worst[k], label = l->d.test.labels[i];
    text_put(t, "<div>");
    put_whole(l, i);
    text_add(t, "%s, %.2f&nbsp;%%<br>taken for <b>%s</b>, %.2f&nbsp;%%</div>\n",
             image_name(l, i).text, 100 * share_of(l, i, label), class_name(l, l->found[i]).text,
             100 * share_of(l, i, l->found[i]));
    text_add(&figures, "%d,%s,%s,%.6g,%.6g\n", i, class_name(l, label).text, class_name(l,
             l->found[i]).text, share_of(l, i, label), share_of(l, i, l->found[i]));
  }
  if (shown) text_put(t, "</div>\n");
  save_csv(l, &figures, "mistakes");
  free(counts);
  return NULL;
}

/* ---- depth ---- */

enum { PROBE_EPOCHS = 3 };

/* A linear classifier of so many features, standardised by a batch norm, which is linear, too. The
 * fewer they are, the larger the weights that a sure answer takes, and so the rate. */
static nn_model *build_probe(const struct look *l, size_t size, int64_t steps) {
  nn_config c = look_config(l);
  nn_optimizer adam = nn_adam(.3 / sqrt((double)size));
  c.keep_activations = c.input_gradient = 0;
  nn_model *m = nn_create(&c);
  adam.schedule.kind = NN_COSINE;
  adam.schedule.total = steps;
  if (!m) fail("a model cannot be made: out of memory");
  nn_cross_entropy(m, nn_linear(m, nn_batch_norm(m, nn_input_vector(m, (int)size)), CLASSES));
  nn_set_optimizer(m, &adam);
  must(m, nn_build(m));
  return m;
}

/* Trains a classifier on each depth's features, the net itself staying as it is; then their
 * accuracies on the test images. */
static void probe_depths(const struct look *l, nn_model *m, const struct data *d,
                         double *accuracy) {
  nn_model *probe[MOST_DEPTHS];
  nn_real *feature[MOST_DEPTHS], *x = allocate(AT_ONCE * size_of(&l->in), sizeof *x);
  int nodes[MOST_DEPTHS];
  const int depth = depths_of(m, nodes);
  const int n = d->train.count < AT_ONCE ? d->train.count : AT_ONCE;
  const int64_t per_epoch = d->train.count / n;
  const int64_t steps = is_set(l->typed, OPT_STEPS) ? (int64_t)number_of(l->typed, OPT_STEPS)
                                                    : PROBE_EPOCHS * per_epoch;
  int32_t index[AT_ONCE], labels[AT_ONCE], found[AT_ONCE];
  nn_batch b;
  memset(&b, 0, sizeof b);
  for (int k = 0; k < depth; k++) {
    const nn_node_info info = node_of(m, nodes[k]);
    probe[k] = build_probe(l, size_of(&info), steps);
    feature[k] = allocate(AT_ONCE * size_of(&info), sizeof *feature[k]);
    accuracy[k] = 0;
  }
  for (int64_t step = 0; step < steps; step++) {
    for (int i = 0; i < n; i++) {
      index[i] = (int32_t)nn_shuffled(1, (uint64_t)(step / per_epoch), (uint32_t)d->train.count,
                                      (uint32_t)(step % per_epoch * n + i));
      labels[i] = d->train.labels[index[i]];
    }
    forward_samples(m, &d->train, index, n, x);
    for (int k = 0; k < depth; k++) {
      must(m, nn_read(m, nodes[k], feature[k]));
      b.n = n, b.x[0] = feature[k], b.labels = labels;
      must(probe[k], nn_train(probe[k], &b, NULL, NULL));
    }
  }
  for (int first = 0; first < d->test.count; first += AT_ONCE) {
    b.n = d->test.count - first < AT_ONCE ? d->test.count - first : AT_ONCE;
    for (int i = 0; i < b.n; i++) index[i] = first + i;
    forward_samples(m, &d->test, index, b.n, x);
    for (int k = 0; k < depth; k++) {
      must(m, nn_read(m, nodes[k], feature[k]));
      b.x[0] = feature[k];
      must(probe[k], nn_predict(probe[k], &b, found, NULL));
      for (int i = 0; i < b.n; i++)
        accuracy[k] += (found[i] == d->test.labels[first + i]) / (double)d->test.count;
    }
  }
  for (int k = 0; k < depth; k++) nn_destroy(probe[k]), free(feature[k]);
  free(x);
}

/* Makes images of another size fit a net: cut or framed in black about the middle; colours to gray
 * (ITU-R 601) or gray to three equal channels. */
static void fit_images(struct data *d, const int dim[3]) {
  nn_dataset *const sets[2] = {&d->train, &d->test};
  for (int half = 0; half < 2; half++) {
    nn_dataset *s = sets[half];
    const int plane = s->height * s->width, down = (dim[1] - s->height) / 2;
    const int right = (dim[2] - s->width) / 2;
    uint8_t *pixels = allocate((size_t)s->count * (size_t)(dim[0] * dim[1] * dim[2]), 1);
    uint8_t *to = pixels;
    for (int i = 0; i < s->count; i++)
      for (int v = 0; v < dim[0] * dim[1] * dim[2]; v++, to++) {
        const int c = v / (dim[1] * dim[2]), row = v / dim[2] % dim[1] - down;
        const int column = v % dim[2] - right;
        if (row < 0 || row >= s->height || column < 0 || column >= s->width) continue;
        const uint8_t *at = d->pixels[half] + (size_t)i * (size_t)(s->channels * plane) +
                            row * s->width + column;
        if (s->channels == dim[0]) *to = at[c * plane];
        else if (s->channels == 1) *to = at[0];
        else *to = (uint8_t)(.299 * at[0] + .587 * at[plane] + .114 * at[2 * plane] + .5);
      }
    free(d->pixels[half]);
    d->pixels[half] = pixels;
    *s = nn_dataset_pixels(pixels, s->labels, s->count, dim[0], dim[1], dim[2]);
  }
}

static void look_thin(struct data *d) {
  thin_out(&d->train, d->pixels[0], d->labels[0], 1000);
  thin_out(&d->test, d->pixels[1], d->labels[1], 200);
}

/* Images of another kind than the net was trained on, as it takes them. */
static void other_data(const struct look *l, struct data *d) {
  struct settings s;
  int dim[3];
  image_shape(l, dim);
  set_standards(&s, find_command(l->cifar ? "mnist" : "cifar10"));
  s.v[OPT_DATA] = l->typed->v[OPT_DATA];
  if (!data_find(d, &s, !l->cifar, 0)) {
    s.v[OPT_DATA].text = "";
    data_find(d, &s, !l->cifar, 1);
  }
  if (is_set(l->typed, OPT_MINIATURE)) look_thin(d);
  fit_images(d, dim);
}

static const char *look_depth(struct look *l) {
  static const char *const heads[] = {"features", "number", "this net, %", "untrained net, %",
                                      "other images, %", NULL};
  enum { WAYS = 3 };
  double accuracy[WAYS][MOST_DEPTHS];
  struct series list[WAYS];
  struct table table = {heads, NULL, 0};
  struct data other;
  char others[128], length[48];
  int nodes[MOST_DEPTHS], ways = 0;
  const int depth = depths_of(l->m, nodes);
  other_data(l, &other);
  snprintf(others, sizeof others, "this net on %s", other.name);
  const char *const names[WAYS] = {"this net", "the same net untrained", others};
  for (int way = 0; way < WAYS; way++) {
    nn_model *fresh = way == 1 && l->of_run ? stage_model(l, &l->stage[0]) : NULL;
    if (way == 1 && !fresh) continue;
    probe_depths(l, fresh ? fresh : l->m, way == 2 ? &other : &l->d, accuracy[way]);
    list[ways] = new_series(names[way], way, (size_t)depth);
    for (int k = 0; k < depth; k++) add_point(&list[ways], k, accuracy[way][k]);
    ways++;
    nn_destroy(fresh);
  }
  for (int k = 0; k < depth; k++) {
    const nn_node_info n = node_of(l->m, nodes[k]);
    cell(&table, "%d: %s", k, k ? n.name : "the image");
    cell(&table, "%zu", size_of(&n));
    for (int way = 0; way < WAYS; way++)
      if (way == 1 && !l->of_run) cell(&table, "-");
      else cell(&table, "%s", hundredths(accuracy[way][k]).text);
  }
  snprintf(length, sizeof length, "%d epochs", PROBE_EPOCHS);
  if (is_set(l->typed, OPT_STEPS))
    snprintf(length, sizeof length, "%s steps", l->typed->v[OPT_STEPS].text);
  text_add(&l->html, "<p>On the features that each layer with weights gets, and on the net's "
           "answer, a linear classifier is trained (%s in batches of %d), while the net stays as "
           "it is: what a linear rule can tell from them grows with depth where the layers "
           "have learned something. The same net untrained shows what its structure alone does. "
           "On other images (", length, AT_ONCE);
  text_html(&l->html, other.name);
  text_put(&l->html, ") the last row but one is the net with its last layer trained anew: features "
                     "that are of use there, too, are general.</p>\n<div class=grid>\n");
  html_chart(&l->html, "Test accuracy of a linear classifier, %", "layers with weights passed", 1,
             1, list, ways);
  text_put(&l->html, "</div>\n");
  put_table_of(l, &table, "depth");
  data_free(&other);
  return NULL;
}

/* ---- ablation and kernels: nets trained anew ---- */

struct variant {
  const char *name, *what, *words;
};
static const struct variant cnn_variants[] = {
    {"whole", "the net as it was", ""},
    {"no-conv1", "without the first convolution", "--maps1=0"},
    {"no-conv2", "without the second convolution", "--maps2=0"},
    {"no-conv", "without both convolutions", "--maps1=0 --maps2=0"},
    {"no-hidden", "without the hidden linear layer", "--hidden=0"},
    {"no-conv2-hidden", "without second convolution and hidden layer", "--maps2=0 --hidden=0"},
    {"maps-8-16", "8 and 16 maps", "--maps1=8 --maps2=16"},
    {"maps-16-32", "16 and 32 maps", "--maps1=16 --maps2=32"},
    {"maps-64-128", "64 and 128 maps", "--maps1=64 --maps2=128"},
    {"hidden-128", "128 hidden units", "--hidden=128"},
    {"hidden-2048", "2048 hidden units", "--hidden=2048"},
    {NULL, NULL, NULL}};
static const struct variant cell_variants[] = {
    {"whole", "the net as it was", ""},
    {"rnn", "plain recurrent cells", "--cell=rnn"},
    {"lstm", "LSTM cells", "--cell=lstm"},
    {"gru", "GRU cells", "--cell=gru"},
    {"layers-1", "one recurrent layer", "--layers=1"},
    {"layers-2", "two recurrent layers", "--layers=2"},
    {"hidden-32", "32 units", "--hidden=32"},
    {"hidden-256", "256 units", "--hidden=256"},
    {NULL, NULL, NULL}};
static const struct variant mlp_variants[] = {
    {"whole", "the net as it was", ""},
    {"hidden-100", "100 hidden units", "--hidden=100"},
    {"hidden-1600", "1600 hidden units", "--hidden=1600"},
    {NULL, NULL, NULL}};
static const struct variant kernel_variants[] = {
    {"3x3-stride-1", "3x3 windows", "--kernel1=3 --stride1=1 --pad1=1"},
    {"3x3-stride-2", "3x3, every second place", "--kernel1=3 --stride1=2 --pad1=1"},
    {"3x3-stride-4", "3x3, every fourth place", "--kernel1=3 --stride1=4 --pad1=1"},
    {"5x5-stride-1", "5x5 windows", "--kernel1=5 --stride1=1 --pad1=2"},
    {"5x5-stride-2", "5x5, every second place", "--kernel1=5 --stride1=2 --pad1=2"},
    {"5x5-stride-4", "5x5, every fourth place", "--kernel1=5 --stride1=4 --pad1=2"},
    {"7x7-stride-1", "7x7 windows", "--kernel1=7 --stride1=1 --pad1=3"},
    {"7x7-stride-2", "7x7, every second place", "--kernel1=7 --stride1=2 --pad1=3"},
    {"7x7-stride-4", "7x7, every fourth place", "--kernel1=7 --stride1=4 --pad1=3"},
    {"11x11-stride-1", "11x11 windows", "--kernel1=11 --stride1=1 --pad1=5"},
    {"11x11-stride-2", "11x11, every second place", "--kernel1=11 --stride1=2 --pad1=5"},
    {"11x11-stride-4", "11x11, every fourth place", "--kernel1=11 --stride1=4 --pad1=5"},
    {NULL, NULL, NULL}};

/* The words that would train the run again with some options changed. */
static void variant_words(struct text *t, const struct look *l, const char *changed) {
  const struct settings *s = &l->r.s;
  text_add(t, "%s", s->command->name);
  for (int o = 0; o < OPTION_COUNT; o++) {
    char name[40];
    snprintf(name, sizeof name, "--%s=", options[o].name);
    const int length = o == OPT_EPOCHS || o == OPT_STEPS;
    if (!is_set(s, (enum option)o) || !(options[o].commands & s->command->bit) || is_outward(o) ||
        o == OPT_ISA || o == OPT_SEED || o == OPT_SNAPSHOTS || strstr(changed, name) ||
        (length && is_set(l->typed, OPT_STEPS)) || (o == OPT_RELU && strstr(changed, "--cell=")))
      continue;
    if (options[o].kind == FLAG) text_add(t, " --%s", options[o].name);
    else text_add(t, " %s%s", name, s->v[o].text);
  }
  if (is_set(l->typed, OPT_STEPS)) text_add(t, " --steps=%s", l->typed->v[OPT_STEPS].text);
  text_add(t, " %s", changed);
}

/* Trains the variants that are not done yet, as an experiment does, and compares them. 0, or the
 * signal. */
static int train_variants(struct look *l, const char *folder, const struct variant *variants) {
  static const char *const heads[] = {"net", "what it is", TRIAL_HEADS, "parameters", NULL};
  enum { WORDS = 64 };
  struct table table = {heads, NULL, 0};
  struct study st;
  int stopped;
  memset(&st, 0, sizeof st);
  st.typed = l->typed;
  st.again = l->words;
  st.seeds = whole_of(l->typed, OPT_SEEDS);
  path_of(st.base, "%s/%s/%s", l->r.folder, l->kept, folder);
  while (variants[st.count].name) st.count++;
  st.trials = allocate((size_t)st.count, sizeof *st.trials);
  for (int i = 0; i < st.count; i++) {
    struct trial *t = &st.trials[i];
    struct text all = {0};
    const char *words[WORDS];
    variant_words(&all, l, variants[i].words);
    t->words = all.data;
    snprintf(t->name, sizeof t->name, "%s", variants[i].name);
    make_trial(t, &st, split(all.data, words, WORDS), words);
  }
  stopped = train_all(&st);
  for (int i = 0; i < st.count && !stopped; i++) {
    sum_trial(&st.trials[i]);
    cell(&table, "%s", variants[i].name);
    cell(&table, "%s", variants[i].what);
    trial_cells(&table, &st.trials[i]);
    parameter_cell(&table, &st.trials[i]);
  }
  if (!stopped) {
    text_add(&l->html, "<p>Test accuracy at the end of training in %%; every net is trained as the "
             "run was%s.</p>\n",
             is_set(l->typed, OPT_MINIATURE) ? ", but in miniature (--quick): it says nothing"
             : is_set(l->typed, OPT_STEPS)   ? ", but for its length (--steps)" : "");
    put_table_of(l, &table, folder);
  }
  study_free(&st);
  return stopped;
}

static const char no_run[] =
    "nets are trained anew from a run's settings: give the folder of a run";

static const char *look_ablation(struct look *l) {
  if (!l->of_run) return no_run;
  text_put(&l->html, "<p>The net is trained again with a layer left out or of another size, all "
                     "else the same: how far the accuracy falls shows what the layer is worth; "
                     "parameters that cost no accuracy when they go were not needed.</p>\n");
  if (train_variants(l, "ablation", is_recurrent(&l->r.s) ? cell_variants
                                    : is_cnn(&l->r.s)     ? cnn_variants : mlp_variants))
    return "";
  return NULL;
}

static const char *look_kernels(struct look *l) {
  if (!l->of_run) return no_run;
  if (!is_cnn(&l->r.s)) return no_convolution;
  text_put(&l->html, "<p>The net is trained again with other windows of the first convolution, "
                     "large and small, close together and far apart. Small windows close together "
                     "keep detail; large ones at a stride see more at once and are cheaper. Below, "
                     "the filters that each of them has learned.</p>\n");
  if (train_variants(l, "kernels", kernel_variants)) return "";
  for (const struct variant *v = kernel_variants; v->name; v++) {
    const nn_config c = look_config(l);
    char path[PATH_SIZE];
    nn_param w;
    path_of(path, "%s/%s/kernels/%s/seed-%s/best.nn", l->r.folder, l->kept, v->name,
            l->typed->v[OPT_SEED].text);
    nn_model *m = load_model(path, &c).model;
    must(m, nn_get_param(m, 0, &w));
    text_add(&l->html, "<h3>%s</h3>\n", v->what);
    put_filters(&l->html, &w, v->what, greatest(&w));
    nn_destroy(m);
  }
  return NULL;
}

/* ---- the command ---- */

/* In the order of look_names. */
static const struct {
  const char *title;
  const char *(*look)(struct look *l); /* NULL, or why it makes no sense; "": stopped */
} looks[LOOKS] = {
    {"The first layer's filters", look_filters},
    {"Activations", look_activations},
    {"What drives each map: the deconvnet", look_deconv},
    {"How maps evolve", look_evolution},
    {"Invariance to moves, scale and turns", look_invariance},
    {"What the answer rests on: occlusion", look_occlusion},
    {"Saliency: the gradient of the input", look_saliency},
    {"Correspondence of parts", look_correspondence},
    {"What each layer knows: a linear classifier at each depth", look_depth},
    {"Confusion and mistakes", look_confusion},
    {"Ablation: layers removed or resized", look_ablation},
    {"Windows of the first layer", look_kernels}};
enum { IN_ALL = 10 };

/* Options that mean something to some looks only. */
static const struct {
  enum option o;
  const char *looks;
} taken[] = {{OPT_LAYER, "deconv, evolution and occlusion"},
             {OPT_MAP, "deconv and evolution"},
             {OPT_IMAGES, "deconv, invariance, occlusion and saliency"},
             {OPT_SQUARE, "occlusion and correspondence"},
             {OPT_STEPS, "depth, ablation and kernels"},
             {OPT_SEED, "correspondence, ablation and kernels"},
             {OPT_SEEDS, "ablation and kernels"}};

/* Refuses those that none of the looks from `first` up to `end` takes. */
static void check_taken(const struct settings *typed, int first, int end) {
  for (size_t k = 0; k < sizeof taken / sizeof *taken; k++) {
    int any = !typed->v[taken[k].o].given;
    for (int i = first; i < end; i++) any |= strstr(taken[k].looks, look_names[i]) != NULL;
    if (!any)
      wrong("look", "--%s: look %s does not take it, only %s", options[taken[k].o].name,
            typed->operand[0], taken[k].looks);
  }
  if (is_set(typed, OPT_MAP) && !is_set(typed, OPT_LAYER))
    wrong("look", "--map goes only with --layer, whose map it is");
}

/* The data of a run's settings, checked against what it was trained on. */
static void look_data(struct look *l, int check) {
  const int cifar = l->r.s.command->bit == CIFAR10;
  char value[64];
  l->cifar = cifar;
  data_find(&l->d, &l->r.s, cifar, 1);
  l->whole = l->d;
  if (check) {
    const uint32_t part = nn_crc32(l->d.crc, "part", 4); /* a miniature of an experiment */
    need_fact(l->file, l->facts, "run.data-crc", value, sizeof value);
    if (strtoul(value, NULL, 16) == part) l->d.crc = part, look_thin(&l->d);
    l->whole = l->d;
    l->r.d = &l->whole;
    l->r.s.file = l->file;
    check_data(&l->r, l->facts);
  }
  data_moments(&l->d, cifar); /* those of the run: before it is thinned out */
  if (is_set(l->typed, OPT_MINIATURE)) look_thin(&l->d);
  tell_data(&l->d, is_set(l->typed, OPT_QUIET));
  if (l->guess.size && !is_set(l->typed, OPT_QUIET)) fprintf(stderr, "%s\n", l->guess.data);
}

/* The settings that a run was made with, but for kernels, threads and place of the data. */
static void look_settings(struct look *l) {
  static const enum option here[] = {OPT_ISA, OPT_THREADS};
  char name[32];
  struct settings *s = &l->r.s;
  refuse_unscaled(l->file, l->facts);
  l->lines = read_text(l->file);
  need_fact(l->file, l->facts, "command", name, sizeof name);
  const struct command *c = find_command(name);
  if (!c || !(c->bit & TRAIN)) fail("%s: there is no run of 'nn %s'%s", l->file, name, mend);
  set_standards(s, c);
  read_settings(s, l->file, l->lines);
  for (int k = 0; k < 2; k++) {
    const int line = s->v[here[k]].line;
    s->v[here[k]] = l->typed->v[here[k]];
    s->v[here[k]].line = line;
  }
  if (l->typed->v[OPT_DATA].given) s->v[OPT_DATA] = l->typed->v[OPT_DATA];
  complete(s);
  check_settings(s);
  l->typed->v[OPT_DATA] = s->v[OPT_DATA];
  if (!l->typed->v[OPT_SEED].given) l->typed->v[OPT_SEED] = s->v[OPT_SEED];
}

/* A model alone: what it takes tells the images. */
static void guess_settings(struct look *l) {
  int dim[3];
  const char *set = l->typed->v[OPT_SET].text;
  image_shape(l, dim);
  if (dim[1] != dim[2] || (dim[1] != 28 && dim[1] != 32) || (dim[0] != 1 && dim[0] != 3))
    fail("%s takes %s: neither MNIST's nor CIFAR-10's images", l->typed->operand[1],
         shape_of(l->in.dim, l->in.rank).text);
  if (*set) {
    text_add(&l->guess, "That of nn %s, as --set says", set);
  } else {
    set = dim[1] == 28 && dim[0] == 1 ? "mnist" : "cifar10";
    text_add(&l->guess, "That of nn %s, for the model takes %s and has no settings.txt beside it "
             "(--set chooses)", set, shape_of(l->in.dim, l->in.rank).text);
  }
  set_standards(&l->r.s, find_command(set));
  l->r.s.v[OPT_ISA] = l->typed->v[OPT_ISA];
  l->r.s.v[OPT_THREADS] = l->typed->v[OPT_THREADS];
  l->r.s.v[OPT_DATA] = l->typed->v[OPT_DATA];
  if (dim[0] == 1) give(&l->r.s, OPT_GRAY, "yes");
  if (dim[1] == 28) give(&l->r.s, OPT_SIZE, "28");
}

static void add_stage(struct look *l, int64_t step, const char *path) {
  struct stage *s = &l->stage[l->stages];
  if ((l->stages && step <= s[-1].step) || (*path && !file_exists(path))) return;
  s->step = step;
  path_of(s->path, "%s", path);
  l->stages++;
}

/* Start, snapshots and best model of a run, by their steps; of many snapshots every second, or as
 * many as there is room for, the last one always. */
static void find_stages(struct look *l) {
  const struct run *r = &l->r;
  const int all = snapshots_of(r), room = MOST_STAGES - 2, every = (all + room - 1) / room;
  char path[PATH_SIZE];
  add_stage(l, 0, "");
  for (int k = 1; k <= all; k++) {
    const int64_t step = snapshot_step(r, k);
    if (step >= l->step) add_stage(l, l->step, l->path);
    snapshot_path(r, step, path);
    if ((all - k) % every == 0) add_stage(l, step, path);
  }
  add_stage(l, l->step, l->path);
}

static const char not_of_run[] = "is not a model of the run that settings.txt describes";

/* A snapshot that is damaged, or of another net, is left out: the others show the way as well. */
static void check_stages(struct look *l, nn_model *own) {
  const int all = l->stages;
  nn_config c = config_of(&l->r.s);
  c.inference = 1;
  l->stages = 1; /* that of the start */
  for (int i = 1; i < all; i++) {
    const struct stage s = l->stage[i];
    nn_load_result loaded;
    nn_message why;
    if (nn_load(s.path, &c, &loaded, &why)) {
      note("left out: %s", why.text);
      continue;
    }
    const int same = is_same_net(loaded.model, own);
    nn_destroy(loaded.model);
    if (same) l->stage[l->stages++] = s;
    else note("left out: %s %s", s.path, not_of_run);
  }
}

/* A run's folder: everything that its report shows, too. */
static void open_folder(struct look *l, const char *folder) {
  struct run *r = &l->r;
  char path[PATH_SIZE], value[64], *text;
  double step;
  path_of(r->folder, "%s", folder);
  look_settings(l);
  look_data(l, 1);
  run_plan(r);
  r->progress.step = r->total;
  path_of(path, "%s/progress.txt", folder);
  text = read_text(path);
  if (find_fact(text, "step", value, sizeof value) && read_number(value, &step) && step >= 0)
    r->progress.step = (int64_t)step;
  free(text);
  r->progress.epoch = r->progress.step / r->per_epoch;
  r->progress.place = r->progress.step % r->per_epoch * whole_of(&r->s, OPT_BATCH);
  r->silent = 1;
  const int logged = read_log(r), told = read_progress(r) != NULL;
  /* of a run that was killed best.nn may be newer than what is kept with the checkpoint */
  if (logged < 0 || !(logged || told)) set_best(r, 0, 0);
  text_put(&r->facts, l->facts);
  path_of(l->path, "%s/best.nn", folder);
  l->step = r->best_step ? r->best_step : -1;
  find_stages(l);
  nn_model *fresh = stage_model(l, &l->stage[0]);
  r->parameters = parameter_count(fresh);
  r->filters[0] = picture_filters(fresh);
  const nn_config c = look_config(l);
  l->m = load_model(l->path, &c).model;
  if (!is_same_net(l->m, fresh)) fail("%s %s", l->path, not_of_run);
  check_stages(l, fresh);
  nn_destroy(fresh);
  r->filters[1] = picture_filters(l->m);
}

/* After which step a model was saved: a checkpoint tells it, a snapshot's name, and progress.txt
 * that of the best one beside it. */
static int64_t step_of(const char *path, const nn_load_result *loaded) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  char beside[PATH_SIZE], value[32], *text = NULL;
  double step = -1;
  if (loaded->is_checkpoint) return loaded->progress.step;
  if (strcmp(name, "best.nn") == 0) {
    path_of(beside, "%.*sprogress.txt", (int)(name - path), path);
    text = read_text(beside);
    if (!find_fact(text, "best", value, sizeof value)) *value = 0;
  } else if (sscanf(name, "step-%31[0-9].nn", value) != 1) {
    return -1;
  }
  free(text);
  return read_number(value, &step) && step >= 1 && step < 9e15 ? (int64_t)step : -1;
}

/* A model's file; its data by the settings.txt beside it, else by what it takes. */
static void open_model(struct look *l, const char *path) {
  const size_t n = strlen(path) - (ends_with(path, ".nn") ? 3 : 0);
  nn_config c = nn_config_default();
  if (is_special(path))
    fail("%s is missing: %s is neither the folder of a run nor a model's file", l->file, path);
  path_of(l->r.folder, "%.*s-look", (int)n, path);
  nn_isa_find(l->typed->v[OPT_ISA].text, &c.isa);
  c.threads = whole_of(l->typed, OPT_THREADS);
  c.batch = AT_ONCE;
  c.keep_activations = c.input_gradient = 1;
  const nn_load_result loaded = load_model(path, &c);
  l->m = loaded.model;
  path_of(l->path, "%s", path);
  l->step = step_of(path, &loaded);
  must(l->m, nn_get_node(l->m, 0, &l->in));
  if (l->in.rank < 2) fail("%s takes no images", path);
  l->facts = settings_of(path, l->file);
  if (l->facts) look_settings(l);
  else guess_settings(l);
  look_data(l, l->facts != NULL);
}

static void open_look(struct look *l) {
  const char *path = l->typed->operand[1];
  int dim[3];
  path_of(l->file, "%s/settings.txt", path);
  l->facts = read_text(l->file);
  l->of_run = l->facts != NULL;
  if (l->of_run) open_folder(l, path);
  else open_model(l, path);
  must(l->m, nn_get_node(l->m, 0, &l->in));
  must(l->m, nn_get_node(l->m, nn_output_node(l->m), &l->out));
  image_shape(l, dim);
  if (l->facts && is_set(l->typed, OPT_SET))
    fail("--set is for a model without settings.txt: here %s tells the images", l->file);
  if (l->out.rank != 1 || l->out.dim[0] != CLASSES)
    fail("%s does not tell ten classes apart", path);
  if (dim[0] != l->d.test.channels || dim[1] != l->d.test.height || dim[2] != l->d.test.width)
    fail("%s takes %s, the images of %s are %d x %d x %d", path,
         shape_of(l->in.dim, l->in.rank).text, l->d.name, l->d.test.channels, l->d.test.height,
         l->d.test.width);
  if (is_set(l->typed, OPT_OUT)) path_of(l->r.folder, "%s", l->typed->v[OPT_OUT].text);
  if (strcmp(l->r.folder, path) != 0) need_no_run(l->r.folder);
  classify(l);
}

static void read_images(struct look *l) {
  const char *at = l->typed->v[OPT_IMAGES].text;
  while (*at) {
    char word[24];
    double number;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
    at += strcspn(at, ","), at += *at == ',';
    if (!read_number(word, &number) || number < 0 || number != floor(number) ||
        number >= l->d.test.count)
      fail("--images: '%s' is not the number of a test image, 0 .. %d%s", word,
           l->d.test.count - 1, is_set(l->typed, OPT_MINIATURE) ? " with --quick" : "");
    if (l->images == MOST_IMAGES) fail("--images: more than %d", MOST_IMAGES);
    l->image[l->images++] = (int)number;
  }
}

static void write_look_report(struct look *l) {
  char path[PATH_SIZE];
  struct run *r = &l->r;
  path_of(path, "%s/report.html", r->folder);
  if (l->of_run) {
    write_report(path, &r, 1);
  } else {
    struct text page = {0}, data = {0};
    html_begin(&page, l->typed->operand[1]);
    text_data(&data, &l->d);
    text_put(&page, "<p class=soft>Data: ");
    text_html(&page, data.data);
    if (l->guess.size) text_add(&page, ". %s.", l->guess.data);
    text_put(&page, "</p>\n");
    html_looks(&page, r->folder);
    html_end(&page, path);
    text_free(&data);
  }
  printf("report: %s\n", path);
}

/* What a section is about: those of a page may be of different models and steps. */
static void put_model(struct look *l, int trained) {
  struct text *t = &l->html;
  text_put(t, trained ? "<p class=soft>Nets trained with the settings of "
                      : "<p class=soft>The model: ");
  text_html(t, trained ? l->r.folder : l->path);
  if (!trained) text_put(t, step_name(l, " at ", "").text);
  if (!trained && l->step < 0) text_put(t, " at a step that is not told");
  text_put(t, ". The images: ");
  text_html(t, l->d.name);
  text_add(t, ", %s", grouped(l->d.test.count).text);
  if (l->d.test.count < l->whole.test.count)
    text_add(t, " of the %s", grouped(l->whole.test.count).text);
  text_add(t, " to test%s.</p>\n", is_set(l->typed, OPT_MINIATURE) ? " (--quick)" : "");
}

/* Makes one look's section. Why it makes no sense, or NULL; "": stopped. */
static const char *take_look(struct look *l, int which) {
  char path[PATH_SIZE];
  const double start = now();
  l->html.size = 0;
  l->title = looks[which].title;
  text_add(&l->html, "<section id=look-%s>\n<h2>%s</h2>\n", look_names[which], l->title);
  put_model(l, which >= IN_ALL);
  const char *why = looks[which].look(l);
  if (why) return why;
  text_put(&l->html, "</section>\n");
  path_of(path, "%s/%s/%s.html", l->r.folder, l->kept, look_names[which]);
  text_save(&l->html, path);
  if (!is_set(l->typed, OPT_QUIET))
    fprintf(stderr, "%s: %s\n", look_names[which], duration(now() - start).text);
  return NULL;
}

/* nn look WHAT RUN|MODEL */
static int look_command(struct settings *typed, const char *const *words) {
  struct look *l = allocate(1, sizeof *l);
  struct text names = {0};
  char why[256], path[PATH_SIZE];
  const char *reason = NULL;
  int hidden = 0;
  for (int i = 0; i < LOOKS; i++) text_add(&names, "%s|", look_names[i]);
  text_put(&names, "all");
  const int which = read_choice(names.data, typed->operand[0], why);
  if (which < 0) wrong("look", "'%s' %s", typed->operand[0], why);
  const int first = which < LOOKS ? which : 0, end = which < LOOKS ? which + 1 : IN_ALL;
  check_taken(typed, first, end);
  complete_isa(typed);
  l->typed = typed;
  l->words = words;
  l->kept = look_folders[is_set(typed, OPT_MINIATURE)];
  open_look(l);
  read_images(l);
  path_of(path, "%s/%s", l->r.folder, l->kept);
  make_folders(path);
  for (int i = first; i < end; i++) {
    reason = take_look(l, i);
    path_of(path, "%s/%s/%s.html", l->r.folder, look_folders[0], look_names[i]);
    hidden += !reason && is_set(typed, OPT_MINIATURE) && file_exists(path);
    if (which == LOOKS && reason) note("%s: left out: %s", look_names[i], reason);
  }
  const int stopped = reason && !*reason ? stop_signal : 0;
  if (which < LOOKS && reason && !stopped) fail("look %s: %s", look_names[which], reason);
  if (!stopped) write_look_report(l);
  if (hidden)
    note("the report shows what was seen without --quick: the miniature is in %s/%s",
         l->r.folder, l->kept);
  run_free(&l->r);
  nn_destroy(l->m);
  data_free(&l->d);
  text_free(&names);
  text_free(&l->html);
  text_free(&l->guess);
  free(l->facts), free(l->lines), free(l->found), free(l->share);
  free(l);
  return stopped ? 128 + stopped : 0;
}

/* ======================================= @@COMMANDS ========================================= */

static int run_command(struct settings *typed, const char *program) {
  const char *const again[] = {program, NULL};
  const int cifar = typed->command->bit == CIFAR10;
  struct run r;
  struct data d;
  char *facts = NULL, *lines = NULL, path[PATH_SIZE];
  memset(&r, 0, sizeof r);
  r.again = again;
  if (is_set(typed, OPT_RESUME)) {
    if (typed->v[OPT_OUT].given)
      wrong(typed->command->name, "--resume goes on in its own folder: leave --out away");
    facts = read_resumed(&r, typed, path, &lines);
    const int o = differing(&r.s, typed, 0);
    if (o >= 0)
      wrong(typed->command->name,
            "--%s %s is not what this run has (%s): leave it away to resume", options[o].name,
            typed->v[o].text, is_set(&r.s, (enum option)o) ? r.s.v[o].text : "none");
  } else {
    r.s = *typed;
    complete(&r.s);
  }
  data_find(&d, &r.s, cifar, 1);
  data_moments(&d, cifar);
  tell_data(&d, is_set(&r.s, OPT_QUIET));
  r.d = &d;
  if (facts) check_resumed_study(&r, facts);
  if (facts) run_load(&r, facts);
  else run_new(&r, "runs");
  tell_start(&r);
  const int stopped = run_train(&r);
  refuse_divergence(&r);
  if (!stopped && r.best_step == 0)
    fail("no test had a finite loss, so there is no best model: give a lower --lr or --clip-norm 1 "
         "(%s)", r.folder);
  if (!stopped)
    printf("%s on %s: test accuracy %s (best %s at epoch %.3g), %s parameters, %s; "
           "%s/report.html\n",
           net_name(&r.s), d.name, percent(last_tested(&r)->test_accuracy).text,
           percent(r.best_accuracy).text, best_epoch(&r), grouped((double)r.parameters).text,
           duration(r.seconds).text, r.folder);
  run_free(&r);
  data_free(&d);
  free(facts);
  free(lines);
  return stopped ? 128 + stopped : 0;
}

/* Seconds of a training step and of a test, measured for about so long on a model that is then
 * thrown away. */
static void measure(const struct run *r, double seconds, double *step, double *test) {
  const nn_config c = config_of(&r->s);
  nn_model *m = build_model(&r->s, &c, r->d, 1000000);
  nn_fit_options fit = nn_fit_default();
  nn_dataset part = r->d->test;
  nn_evaluation e;
  nn_progress p;
  double start = now();
  memset(&p, 0, sizeof p);
  fit.epochs = 0;
  fit.progress = &p;
  do {
    if (p.step == 5) start = now(); /* the first steps bring the memory in and do not count */
    fit.steps = p.step + 5;
    if (nn_fit(m, &r->d->train, &fit)) fail("%s", nn_error(m));
  } while (p.step < 10 || (now() - start < seconds && p.step < 500));
  *step = (now() - start) / (double)(p.step - 5);
  if (part.count > 1000) part.count = 1000;
  start = now();
  if (nn_evaluate(m, &part, &e)) fail("%s", nn_error(m));
  *test = (now() - start) * r->d->test.count / part.count;
  nn_destroy(m);
}

/* The networks of the demonstration and their parts of the time. Of the last two, the one whose
 * images are at hand. */
static const struct {
  double part;
  const char *words[9];
} demo_nets[] = {
    {2, {"mnist", "--cell", "cnn", "--schedule", "one-cycle", "--lr", ".002"}},
    {1, {"mnist", "--cell", "rnn", "--relu", "--schedule", "one-cycle", "--lr", ".002"}},
    {1.5, {"mnist", "--cell", "lstm", "--schedule", "one-cycle", "--lr", ".01"}},
    {1.5, {"mnist", "--cell", "gru", "--schedule", "one-cycle", "--lr", ".01"}},
    {2, {"cifar10", "--schedule", "one-cycle", "--lr", ".002"}},
    {2, {"cifar10", "--schedule", "one-cycle", "--lr", ".002", "--size", "28", "--gray"}},
};
enum { DEMO_NETS = sizeof demo_nets / sizeof *demo_nets };

struct demo {
  struct run runs[DEMO_NETS], *list[DEMO_NETS];
  double part[DEMO_NETS];
  const char *again[2]; /* of each run */
  int brief[DEMO_NETS]; /* the budget is too short for more than the least steps */
  char steps[DEMO_NETS][24], interval[DEMO_NETS][24]; /* what their settings point to */
  struct data digits, photos;
  int count;
};

/* Settings and data of every network that there is data for. */
static void demo_prepare(struct demo *demo, struct settings *typed, const char *program) {
  static const enum option shared[] = {OPT_SEED, OPT_THREADS, OPT_ISA, OPT_DATA, OPT_QUIET};
  const int quiet = is_set(typed, OPT_QUIET);
  demo->again[0] = program;
  complete_isa(typed);
  data_find(&demo->digits, typed, 0, 1);
  tell_data(&demo->digits, quiet);
  for (int i = 0; i < DEMO_NETS; i++) {
    struct run *r = &demo->runs[demo->count];
    const char *const *words = demo_nets[i].words;
    const int cifar = strcmp(words[0], "cifar10") == 0;
    int count = 1;
    while (count < 9 && words[count]) count++;
    parse(&r->s, find_command(words[0]), count - 1, words + 1);
    for (int k = 0; k < 5; k++) r->s.v[shared[k]] = typed->v[shared[k]];
    give(&r->s, OPT_STEPS, is_set(typed, OPT_STEPS) ? typed->v[OPT_STEPS].text : "1");
    complete(&r->s);
    if (cifar && (demo->photos.train.count || !data_find(&demo->photos, &r->s, 1, 0))) continue;
    if (cifar) {
      data_moments(&demo->photos, 1);
      tell_data(&demo->photos, quiet);
    }
    r->d = cifar ? &demo->photos : &demo->digits;
    r->again = demo->again;
    demo->part[demo->count] = demo_nets[i].part;
    demo->list[demo->count++] = r;
  }
}

/* How long the i-th network trains: as many steps as fit in its part of the time left, but in no
 * less than three quarters of its part of the whole budget, so that those before it cannot starve
 * it, and never fewer than LEAST_STEPS. One that then takes half as long again is cut short.
 * Returns the number of tests on the way. */
static double demo_plan(struct demo *demo, int i, double budget, double end, double *steps) {
  struct run *r = demo->list[i];
  double step, test, all = 0, left = 0;
  for (int k = 0; k < demo->count; k++) {
    all += demo->part[k];
    if (k >= i) left += demo->part[k];
  }
  const double fair = budget * demo->part[i] / all;
  measure(r, fmin(.8, .1 * fair), &step, &test);
  /* a second of it to save */
  const double share = fmax((end - now()) * demo->part[i] / left, .75 * fair) - 1;
  const double tests = fmin(fmax(floor(.15 * share / test), 2), 8);
  const double fit = floor((share - tests * test) / step / 50) * 50;
  demo->brief[i] = fit < LEAST_STEPS;
  *steps = fmax(fit, LEAST_STEPS);
  r->deadline = now() + 1.5 * share;
  return tests;
}

/* One line with the networks that the budget was too short for. */
static void demo_brief(const struct demo *demo, double budget) {
  struct text t = {0};
  const struct data *d = NULL;
  for (int i = 0; i < demo->count; i++) {
    const struct run *r = demo->list[i];
    if (!demo->brief[i] && !r->cut) continue;
    if (d && d != r->d) text_add(&t, " on %s", d->name);
    text_add(&t, "%s%s", d ? ", " : "", net_name(&r->s));
    d = r->d;
  }
  if (d) text_add(&t, " on %s", d->name);
  if (d)
    printf("cut short by the budget of %.0f s (--budget gives more): %s\n", budget, t.data);
  text_free(&t);
}

/* All four networks on the same digits, and LeNet5 on CIFAR-10 where that is at hand. Without
 * --steps the budget decides how long; their settings tell the steps. */
static int demo_command(struct settings *typed, const char *program) {
  const char *base = is_set(typed, OPT_OUT) ? typed->v[OPT_OUT].text : "runs";
  const double budget = number_of(typed, OPT_BUDGET), end = now() + budget;
  struct demo *demo = allocate(1, sizeof *demo);
  int stopped = 0;
  need_no_run(base);
  demo_prepare(demo, typed, program);
  for (int i = 0; i < demo->count && !stopped; i++) {
    struct run *r = demo->list[i];
    double tests = 8, steps = number_of(&r->s, OPT_STEPS);
    if (!is_set(typed, OPT_STEPS)) tests = demo_plan(demo, i, budget, end, &steps);
    snprintf(demo->steps[i], sizeof demo->steps[i], "%.0f", steps);
    snprintf(demo->interval[i], sizeof demo->interval[i], "%.0f", ceil(steps / tests));
    give(&r->s, OPT_STEPS, demo->steps[i]);
    give(&r->s, OPT_TEST_EVERY, demo->interval[i]);
    fill(&r->s, OPT_SAVE_EVERY, demo->steps[i]);
    run_new(r, base);
    tell_start(r);
    stopped = run_train(r);
    refuse_divergence(r);
  }
  if (!stopped) {
    char path[PATH_SIZE];
    struct table table = compare(demo->list, demo->count);
    print_table(&table);
    table_free(&table);
    demo_brief(demo, budget);
    path_of(path, "%s/report.html", base);
    write_report(path, demo->list, demo->count);
    printf("report: %s\n", path);
  }
  for (int i = 0; i < demo->count; i++) run_free(demo->list[i]);
  data_free(&demo->digits);
  data_free(&demo->photos);
  free(demo);
  return stopped ? 128 + stopped : 0;
}

/* nn data: which images a training command would use. */
static int data_command(struct settings *s) {
  for (int cifar = 0; cifar < 2; cifar++) {
    const char *name = cifar ? "cifar10" : "mnist";
    struct data d;
    if (data_find(&d, s, cifar, 0)) {
      struct text t = {0};
      text_data(&t, &d);
      printf("%-8s %s\n", name, t.data);
      text_free(&t);
    } else if (only_place(s)) {
      printf("%-8s nothing in %s\n", name, only_place(s));
    } else {
      printf("%-8s images drawn by the program; data/fetch %s downloads the real ones\n", name,
             name);
    }
    data_free(&d);
  }
  return 0;
}

static int info_command(const struct settings *s) {
  static const char *const names[] = {"SGD", "Adagrad", "RMSprop", "Adam", "AdamW"};
  nn_optimizer o = nn_sgd(0, 0);
  nn_config c = nn_config_default();
  nn_load_result loaded;
  double macs = 0;
  c.batch = 1;
  c.inference = 1;
  loaded = load_model(s->operand[0], &c);
  const size_t to_classify = nn_memory(loaded.model);
  nn_destroy(loaded.model);
  c.inference = 0;
  loaded = load_model(s->operand[0], &c);
  printf("%s: %s, %s parameters\n", s->operand[0], loaded.is_checkpoint ? "checkpoint" : "model",
         grouped((double)parameter_count(loaded.model)).text);
  nn_get_optimizer(loaded.model, &o);
  if (loaded.is_checkpoint)
    printf("at step %lld, %lld samples into epoch %lld; %s, learning rate %g\n",
           (long long)loaded.progress.step, (long long)loaded.progress.place,
           (long long)loaded.progress.epoch + 1, names[o.kind], o.rate);
  printf("%-4s %-18s %-18s %-8s %12s %12s %14s\n", "node", "name", "kind", "from", "output",
         "parameters", "multiply-adds");
  for (int i = 0; i < nn_node_count(loaded.model); i++) {
    nn_node_info n;
    char from[32] = "";
    if (nn_get_node(loaded.model, i, &n)) continue;
    if (n.inputs == 1) snprintf(from, sizeof from, "%d", n.input[0]);
    if (n.inputs == 2) snprintf(from, sizeof from, "%d,%d", n.input[0], n.input[1]);
    printf("%-4d %-18s %-18s %-8s %12s %12s %14s\n", i, n.name, n.kind, from,
           shape_of(n.dim, n.rank).text, grouped((double)n.params).text, grouped(n.macs).text);
    macs += n.macs;
  }
  printf("%s multiply-adds and %s bytes of memory to classify one sample\n", grouped(macs).text,
         grouped((double)to_classify).text);
  printf("%s bytes of memory to train by %s, a sample at a time\n",
         grouped((double)nn_memory(loaded.model)).text, names[o.kind]);
  nn_destroy(loaded.model);
  return 0;
}

static nn_array load_array(const char *path) {
  nn_array a;
  nn_message why;
  if (!file_exists(path)) fail("%s: %s", path, strerror(errno));
  if ((ends_with(path, ".npy") ? nn_npy_load : nn_idx_load)(path, NULL, &a, &why))
    fail("%s", why.text);
  return a;
}

/* The images of `nn predict`, in memory of their own. */
struct images {
  nn_dataset d;
  uint8_t *pixels;
  nn_real *values;
  int32_t *labels; /* CIFAR-10 files bring them */
};

static void load_images(struct images *to, const char *path, const nn_node_info *in) {
  const int rank = in->rank, width = in->dim[rank - 1];
  const int channels = rank == 3 ? in->dim[0] : 1;
  const int height = rank == 3 ? in->dim[1] : rank == 2 ? in->dim[0] : 1;
  size_t need = (size_t)channels * (size_t)height * (size_t)width, each = 1;
  nn_array a;
  need_regular(path);
  if (ends_with(path, ".bin")) {
    nn_array bytes, labels;
    nn_message why;
    if (rank != 3) fail("%s: the model takes no CIFAR-10 images", path);
    if (nn_file_read(path, (size_t)1 << 30, NULL, &bytes, &why)) fail("%s", why.text);
    if (nn_cifar10_parse(bytes.data, bytes.count, channels == 1, NULL, &a, &labels, &why))
      fail("%s: %s", path, why.text);
    if (width == 28 && height == 28) {
      crop_28(a.data, a.count / 1024);
      a.dim[2] = a.dim[3] = 28;
    }
    to->labels = take_labels(&labels, CLASSES, path);
    nn_array_free(&bytes);
  } else {
    a = load_array(path);
  }
  for (int i = 1; i < a.rank; i++) each *= a.dim[i];
  if (a.count == 0) fail("%s: no images are in it", path);
  if (a.rank < 2 || each != need || a.dim[0] > INT32_MAX / 8)
    fail("%s: %zu numbers an image; the model takes %s", path, each, shape_of(in->dim, rank).text);
  if (a.type != NN_U8 && a.type != NN_F32 && a.type != NN_F64)
    fail("%s: its numbers are neither bytes nor floating point", path);
  const size_t count = a.dim[0] * each;
  if (a.type == NN_U8) to->pixels = allocate(count, 1);
  else to->values = allocate(count, sizeof *to->values);
  for (size_t i = 0; i < count; i++) {
    if (a.type == NN_U8) to->pixels[i] = ((const uint8_t *)a.data)[i];
    if (a.type == NN_F32) to->values[i] = (nn_real)((const float *)a.data)[i];
    if (a.type == NN_F64) to->values[i] = (nn_real)((const double *)a.data)[i];
    if (to->values && !isfinite(to->values[i]))
      fail("%s: image %zu holds NaN, an infinite number or one too large", path, i / each);
  }
  to->d = nn_dataset_pixels(to->pixels, NULL, (int)a.dim[0], channels, height, width);
  to->d.values = to->values;
  nn_array_free(&a);
}

static int predict_command(struct settings *s) {
  enum { AT_ONCE = 256 };
  struct images images = {0};
  nn_node_info in, out;
  int32_t index[AT_ONCE], found[AT_ONCE];
  int right = 0;
  complete_isa(s);
  nn_config c = config_of(s);
  c.batch = AT_ONCE;
  c.inference = 1;
  nn_load_result loaded = load_model(s->operand[0], &c);
  nn_model *m = loaded.model;
  if (nn_get_node(m, 0, &in) || nn_get_node(m, nn_output_node(m), &out) || out.rank != 1)
    fail("%s is not a model that classifies images", s->operand[0]);
  load_images(&images, s->operand[1], &in);
  const nn_dataset *d = &images.d;
  const size_t classes = (size_t)out.dim[0];
  if (is_set(s, OPT_LABELS)) {
    const char *path = s->v[OPT_LABELS].text;
    nn_array a = load_array(path);
    if (!is_column(&a) || a.count != (size_t)d->count)
      fail("%s has %zu labels for %d images%s", path, a.count, d->count,
           is_column(&a) ? "" : ": not one for each");
    free(images.labels);
    images.labels = take_labels(&a, out.dim[0], path);
  }
  nn_real *x = allocate(AT_ONCE * (size_t)(d->channels * d->height * d->width), sizeof *x);
  nn_real *share = allocate(AT_ONCE * classes, sizeof *share);
  char name[256], path[PATH_SIZE], *facts = settings_of(s->operand[0], path);
  if (facts) refuse_unscaled(path, facts);
  free(facts);
  printf("index class probability%s\n", images.labels ? " label" : "");
  for (int i = 0; i < d->count; i += AT_ONCE) {
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = d->count - i < AT_ONCE ? d->count - i : AT_ONCE;
    b.x[0] = x;
    for (int k = 0; k < b.n; k++) index[k] = i + k;
    if (nn_gather(d, index, b.n, NULL, NULL, x, NULL) || nn_predict(m, &b, found, share))
      fail("%s", nn_error(m));
    for (int k = 0; k < b.n; k++) {
      const double most = (double)share[(size_t)k * classes + (size_t)found[k]];
      if (isnan(most))
        fail("%s: the model's output for image %d is not a number: the image's numbers are too "
             "large, or the model's are not numbers", s->operand[1], i + k);
      nn_class_name(m, found[k], name, sizeof name);
      printf("%d %s %.4f", i + k, name, most);
      if (images.labels) nn_class_name(m, images.labels[i + k], name, sizeof name);
      if (images.labels) printf(" %s", name);
      putchar('\n');
      right += images.labels && images.labels[i + k] == found[k];
    }
  }
  if (images.labels)
    printf("accuracy %s (%d of %d)\n", percent((double)right / d->count).text, right, d->count);
  nn_destroy(m);
  free(images.pixels);
  free(images.values);
  free(images.labels);
  free(x);
  free(share);
  return 0;
}

int main(int count, char **argv) {
  const char *const *words = (const char *const *)argv;
  const char *name = count > 1 ? argv[1] : NULL, *best = NULL;
  const struct command *c;
  struct settings s;
  size_t score = 99;
  int result = 0;
  ignore_signals();
  if (!name)
    wrong("", "which command? cifar10, mnist, demo, experiment, sweep, look, info, predict or "
              "data");
  c = find_command(name);
  if (c && c->bit == SWEEP) {
    result = sweep_command(c, count - 2, words + 2, words);
  } else if (c) {
    parse(&s, c, count - 2, words + 2);
    switch (c->bit) {
      case DEMO: result = demo_command(&s, argv[0]); break;
      case EXPERIMENT: result = experiment_command(&s, words); break;
      case SOURCES: result = data_command(&s); break;
      case INFO: result = info_command(&s); break;
      case PREDICT: result = predict_command(&s); break;
      case LOOK: result = look_command(&s, words); break;
      default: result = run_command(&s, argv[0]); break;
    }
  } else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    if (count > 2 && !(c = find_command(argv[2]))) wrong("", "there is no command '%s'", argv[2]);
    if (c) help_command(c);
    else help_all();
  } else if (strcmp(name, "--version") == 0) {
    puts("nn " NN_VERSION);
  } else {
    for (int i = 0; i < COMMAND_COUNT; i++)
      if (closer(name, commands[i].name, &score)) best = commands[i].name;
    if (best) wrong("", "there is no command '%s'; did you mean %s?", name, best);
    wrong("", "there is no command '%s'", name);
  }
  if (fflush(stdout) || ferror(stdout)) fail("the results cannot be written: %s", strerror(errno));
  return result;
}
