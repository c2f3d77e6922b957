/* nn, the program: trains LeNet5 on CIFAR-10, recurrent networks on the rows of MNIST, and both on
 * a user's own images.
 *
 * Everything numeric is a call of nn.h or of data/measures.inc, everything shown in a browser is
 * data/report.html, and the rows of the experiments are data/experiments.inc. Sections, each
 * calling only sections above it:
 *   @@TEXT     growing text, numbers for people, errors
 *   @@SYSTEM   what differs between operating systems: terminal, clock, files, signals
 *   @@OPTIONS  one table of options, which parses, explains and writes back
 *   @@DATA     which images are used, and what they are called
 *   @@NET      the networks and optimizers that the options describe
 *   @@PAGE     figures: tables, curves, pictures, heat maps; each in the page, as CSV, on stdout
 *   @@RUN      a run's folder, its training, its checkpoint, resuming
 *   @@STUDY    many runs in one table: experiments, sweeps, the demonstration
 *   @@LOOK     what a trained net is made of
 *   @@COMMANDS info, convert, predict, data; main
 * A wrong command line ends with one line on stderr and exit 2, anything else that goes wrong with
 * one line and exit 1. Results go to stdout, progress to stderr.
 *
 * The Makefile makes build/page.inc of data/report.html and compiles with -DPAGE='"page.inc"'.
 * Compiled by hand, `cc -O2 main.c nn.c -lm -lpthread`, the program reads data/report.html when it
 * writes a page, and so has to run in this folder.
 */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* the terminal's size is not in POSIX */
#define _DARWIN_C_SOURCE
#endif
#include "nn.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "data/drawn.inc"
#include "data/measures.inc"

#if defined NN_NO_STDIO || defined NN_NO_MALLOC || defined NN_NO_TRAINING || \
    defined NN_NO_INSPECT || defined NN_NO_EXPORT
#error "main.c needs files, malloc, training and looking inside: build nn.c with all of them"
#endif

/* ======================================== @@TEXT =========================================== */
#if defined __GNUC__ && !defined _WIN32 /* where the checks know other formats */
#define PRINTF_LIKE(text, values) __attribute__((format(printf, text, values)))
#else
#define PRINTF_LIKE(text, values)
#endif
enum { PATH_SIZE = 4096 };

/* A line on stderr: nothing that was typed or read can break it. command: whose help may explain;
 * or NULL. */
PRINTF_LIKE(2, 3) static void say(const char *command, const char *format, ...) {
  char what[2 * PATH_SIZE];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  for (char *c = what; *c; c++)
    if (iscntrl((unsigned char)*c)) *c = '?';
  fflush(stdout);
  fprintf(stderr, "nn: %s", what);
  if (command) fprintf(stderr, " (nn %s%s--help explains)", command, *command ? " " : "");
  fputs("\n", stderr);
}
#define note(...) say(NULL, __VA_ARGS__) /* the program goes on */
#define fail(...) (note(__VA_ARGS__), exit(1))
#define wrong(command, ...) (say(command, __VA_ARGS__), exit(2)) /* a command line */

static void *need_memory(void *memory) {
  if (!memory) fail("out of memory");
  return memory;
}
static void *allocate(size_t count, size_t size) {
  return need_memory(calloc(count ? count : 1, size));
}

static char *copy_of(const char *s) { return strcpy(allocate(strlen(s) + 1, 1), s); }

/* An array with room for one element more; it doubles at 0, 1, 3, 7, .. */
static void *grow(void *array, size_t count, size_t size) {
  return count & (count + 1) ? array : need_memory(realloc(array, (2 * count + 1) * size));
}

/* Copies of texts that settings point to, which stay until the end. */
static char **all_kept;
static size_t kept_count;
static char *keep(const char *text) {
  all_kept = grow(all_kept, kept_count, sizeof *all_kept);
  return all_kept[kept_count++] = copy_of(text);
}
static void forget(void) {
  while (kept_count) free(all_kept[--kept_count]);
  free(all_kept), all_kept = NULL;
}

/* A text that grows; size leaves out the closing zero. */
struct text {
  char *data;
  size_t size, room;
};

/* The end of a text, with room for n bytes and a zero. */
static char *text_room(struct text *t, size_t n) {
  if (n >= t->room - t->size) {
    t->room = 2 * t->room + n + 256;
    t->data = need_memory(realloc(t->data, t->room));
  }
  return t->data + t->size;
}

static void text_bytes(struct text *t, const char *bytes, size_t n) {
  memcpy(text_room(t, n), bytes, n);
  t->size += n;
  t->data[t->size] = 0;
}

static void text_put(struct text *t, const char *s) { text_bytes(t, s, strlen(s)); }

PRINTF_LIKE(2, 3) static void text_add(struct text *t, const char *format, ...) {
  va_list list;
  va_start(list, format);
  const size_t n = (size_t)vsnprintf(NULL, 0, format, list);
  va_end(list);
  va_start(list, format);
  vsnprintf(text_room(t, n), n + 1, format, list);
  va_end(list);
  t->size += n;
}

/* Puts s so that a shell reads it as one word. */
static void text_word(struct text *t, const char *s) {
  const char *plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,=+:@%";
  const char *quote = *s && !s[strspn(s, plain)] ? "" : "'";
  text_put(t, quote);
  for (; *s; s++)
    if (*s == '\'') text_put(t, "'\\''");
    else text_bytes(t, s, 1);
  text_put(t, quote);
}

/* Cuts such words apart, in place; their number, at most `most`. */
static int split(char *text, const char **words, int most) {
  int count = 0;
  while (count < most && *(text += strspn(text, " "))) {
    char *to = text;
    words[count++] = text;
    for (int quoted = 0; *text && (quoted || *text != ' '); text++)
      if (*text == '\'') quoted = !quoted;
      else if (*text == '\\' && !quoted && text[1]) *to++ = *++text;
      else *to++ = *text;
    text += *text != 0;
    *to = 0;
  }
  return count;
}

static void text_free(struct text *t) {
  free(t->data);
  memset(t, 0, sizeof *t);
}

static void text_save(const struct text *t, const char *path) {
  nn_message why;
  if (nn_file_write(path, t->data, t->size, &why)) fail("%s", why.text);
}

static void text_append(const struct text *t, const char *path) {
  FILE *f = fopen(path, "ab");
  const int written = f && fwrite(t->data, 1, t->size, f) == t->size;
  if ((f && fclose(f)) || !written) fail("%s: cannot write: %s", path, strerror(errno));
}

/* A path or a sentence, for one call. */
struct line {
  char text[PATH_SIZE + 1]; /* so that a path that is too long can be told from the longest */
};
PRINTF_LIKE(1, 2) static struct line line_of(const char *format, ...) {
  struct line l;
  va_list list;
  va_start(list, format);
  vsnprintf(l.text, sizeof l.text, format, list);
  va_end(list);
  return l;
}

static struct line whole_path(struct line path) {
  if (strlen(path.text) >= PATH_SIZE) fail("a path is longer than %d bytes", PATH_SIZE - 1);
  return path;
}
#define path_of(...) whole_path(line_of(__VA_ARGS__))
static struct line in_folder(const char *folder, const char *name) {
  return path_of("%s/%s", folder, name);
}

static int ends_with(const char *s, const char *end) {
  const size_t n = strlen(s), k = strlen(end);
  return n >= k && strcmp(s + n - k, end) == 0;
}

/* A few words; returned in one of these, so that several fit in one printf. */
struct word {
  char text[48];
};

PRINTF_LIKE(1, 2) static struct word word_of(const char *format, ...) {
  struct word w;
  va_list list;
  va_start(list, format);
  vsnprintf(w.text, sizeof w.text, format, list);
  va_end(list);
  return w;
}

/* 1234567 -> 1,234,567 */
static struct word grouped(double value) {
  struct word w = word_of("%.0f", value);
  const int first = w.text[0] == '-';
  for (int at = (int)strlen(w.text) - 3; at > first && strlen(w.text) < 46; at -= 3) {
    memmove(w.text + at + 1, w.text + at, strlen(w.text + at) + 1);
    w.text[at] = ',';
  }
  return w;
}

/* Seconds as 8.4 s, 93 s, or 12:34 and 1:02:03 from a hundred on. */
static struct word duration(double seconds) {
  const int s = (int)fmin(fmax(seconds, 0) + .5, 1e9);
  if (seconds < 9.95) return word_of("%.1f s", fmax(seconds, 0));
  if (s < 100) return word_of("%d s", s);
  if (s < 3600) return word_of("%d:%02d min", s / 60, s % 60);
  return word_of("%d:%02d:%02d h", s / 3600, s / 60 % 60, s % 60);
}

/* A share, for people, and a loss, which may be huge where a run diverges. */
static struct word percent(double share) { return word_of("%.2f %%", 100 * share); }
static struct word loss_of(double loss) { return word_of(fabs(loss) < 1e6 ? "%.4f" : "%g", loss); }

static struct word shape_of(const int *dim, int rank) {
  return rank == 1   ? word_of("%d", dim[0])
         : rank == 2 ? word_of("%dx%d", dim[0], dim[1])
                     : word_of("%dx%dx%d", dim[0], dim[1], dim[2]);
}

/* How many letters two words are apart: inserted, removed or replaced (Levenshtein 1966); one more
 * than `most` for all that is above. */
static size_t apart(const char *a, const char *b, size_t most) {
  while (*a && *a == *b) a++, b++;
  if (!*a && !*b) return 0;
  if (most == 0) return 1;
  const size_t left = *a ? apart(a + 1, b, most - 1) : most;
  const size_t right = *b ? apart(a, b + 1, most - 1) : most;
  const size_t both = *a && *b ? apart(a + 1, b + 1, most - 1) : most;
  const size_t least = left < right ? left : right;
  return 1 + (both < least ? both : least);
}

/* The place of a word in "a|b|c"; else -1, and `meant`, or NULL, says which was likely meant: one
 * that begins so, or is at most two letters and not all of them apart. */
static int find_word(const char *list, const char *typed, struct word *meant) {
  const size_t size = strlen(typed), letters = size - strspn(typed, "-");
  struct word near = {""};
  size_t least = letters < 3 ? letters : 3;
  for (int k = 0; *list; k++) {
    const int n = (int)strcspn(list, "|");
    const struct word w = word_of("%.*s", n, list);
    if (n && strcmp(w.text, typed) == 0) return k;
    const int begun = letters >= 3 && strncmp(typed, w.text, size) == 0;
    const size_t far = begun ? 1 : apart(typed, w.text, 2);
    if (far < least) least = far, near = word_of("; did you mean %.30s?", w.text);
    list += n + (list[n] == '|');
  }
  if (meant) *meant = near;
  return -1;
}

/* The whole of s as a plain decimal number; 0 if it is anything else (spaces, nan, hexadecimal).
 * The program never calls setlocale, so the point is a point everywhere. */
static int read_number(const char *s, double *value) {
  char *end;
  if (!*s || s[strspn(s, "0123456789.eE+-")]) return 0;
  *value = strtod(s, &end);
  return *end == 0 && *value - *value == 0;
}

/* ======================================= @@SYSTEM ==========================================
 * The only place that knows the operating system. */
#include <dirent.h>
#include <sys/stat.h>
#ifdef _WIN32
#include <direct.h>
#include <fcntl.h>
#include <io.h>
#include <share.h>
#else
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>
#endif

#define stbi_set_unpremultiply_on_load_thread stbi__unpremultiply_on_load_thread /* its slip */
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_GIF
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
/* No array of a decoder may be larger than this: a small file may be a bomb. They begin with zeros,
 * for a JPEG may use tables, and end before pixels, that it never gives. */
static size_t picture_room;
#define STBI_MALLOC(size) ((size) > picture_room ? NULL : calloc(1, size))
#define STBI_REALLOC(p, size) ((size) > picture_room ? NULL : realloc(p, size))
#define STBI_FREE free
#include <stb/stb_image.h>

/* The signal that asks the program to stop, 0 while there is none. The second signal of a kind ends
 * the program at once. */
static volatile sig_atomic_t stop_signal;
static void on_signal(int number) {
  stop_signal = number;
  signal(number, SIG_DFL);
}
static void catch_signals(void) {
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
#ifdef SIGHUP /* a program that nohup started goes on when its terminal is closed */
  if (signal(SIGHUP, on_signal) == SIG_IGN) signal(SIGHUP, SIG_IGN);
#endif
}

#ifdef _WIN32
static const char separators[] = "/\\";
static void ignore_signals(void) { _setmode(_fileno(stdin), _O_BINARY); }
static int terminal_columns(void) { return 0; }
static int is_terminal(FILE *f) { return _isatty(_fileno(f)); }
static int make_folder(const char *path) { return _mkdir(path); }
static double now(void) { return (double)clock() / CLOCKS_PER_SEC; } /* wall time there */
typedef FILE lock;
static lock *take_folder(const char *folder) {
  FILE *f = _fsopen(in_folder(folder, "lock").text, "abD", _SH_DENYRW); /* D: it goes when closed */
  if (!f && errno == EACCES) fail("another process is at work in %s", folder);
  if (!f) fail("%s: %s", folder, strerror(errno));
  return f;
}
static void leave_folder(lock *l) { if (l) fclose(l); }
#else
static const char separators[] = "/";
/* A file that grows past the user's limit is an error like a full disk, not the end. */
static void ignore_signals(void) { signal(SIGXFSZ, SIG_IGN); }
static int terminal_columns(void) {
  struct winsize size;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
static int is_terminal(FILE *f) { return isatty(fileno(f)); }
static int make_folder(const char *path) { return mkdir(path, 0777); }
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
/* A folder that one process at a time works in. The system takes it back from a process that ends,
 * however it ends. */
typedef DIR lock;
static lock *take_folder(const char *folder) {
  DIR *d = opendir(folder);
  if (!d) fail("%s: %s", folder, strerror(errno));
  if (flock(dirfd(d), LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) /* some disks know no locks */
    fail("another process is at work in %s", folder);
  return d;
}
static void leave_folder(lock *l) { if (l) closedir(l); }
#endif

/* Ranks of one program: mpirun starts several, and MPI adds up. Rank 0 is the program, the others
 * wait for runs that they take a share of. Without MPI there is one. */
#ifdef NN_MPI
#include <mpi.h>
static struct {
  int rank, ranks, in_run, begun;
  MPI_Request request[64];
} mpi;
static nn_status mpi_wait(void *user) {
  (void)user;
  MPI_Waitall(mpi.begun, mpi.request, MPI_STATUSES_IGNORE); /* MPI itself ends the job on errors */
  mpi.begun = 0;
  return NN_OK;
}
static nn_status mpi_reduce(void *user, void *values, size_t count, size_t bytes) {
  int done;
  if (count > INT_MAX) return NN_ERR_LIMIT;
  if (mpi.begun == sizeof mpi.request / sizeof *mpi.request) mpi_wait(user);
  MPI_Testall(mpi.begun, mpi.request, &done, MPI_STATUSES_IGNORE); /* it moves what has begun */
  MPI_Iallreduce(MPI_IN_PLACE, values, (int)count, bytes == sizeof(double) ? MPI_DOUBLE : MPI_FLOAT,
                 MPI_SUM, MPI_COMM_WORLD, &mpi.request[mpi.begun++]);
  return NN_OK;
}
/* A checkpoint's bytes go to all ranks; none: there are no more runs. */
static void *share_bytes(void *bytes, size_t *size) {
  MPI_Bcast(size, sizeof *size, MPI_BYTE, 0, MPI_COMM_WORLD);
  if (*size > INT_MAX) fail("a model of %zu bytes is too large for MPI", *size);
  mpi.in_run = mpi.rank && *size;
  if (mpi.rank) bytes = *size ? allocate(*size, 1) : NULL;
  MPI_Bcast(bytes, (int)*size, MPI_BYTE, 0, MPI_COMM_WORLD);
  return bytes;
}
static void leave_ranks(void) {
  if (mpi.in_run) MPI_Abort(MPI_COMM_WORLD, 1); /* the others would wait for ever */
  if (!mpi.rank) share_bytes(NULL, &(size_t){0});
  MPI_Finalize();
}
/* Of a sum in place Open MPI sends all bytes 2 log2(ranks) times, one after another, if not told to
 * use Rabenseifner's way: twice, but longer where the number of ranks is no power of two. */
static int join_ranks(void) {
  const char *started = getenv("OMPI_COMM_WORLD_SIZE");
  int ranks = started ? atoi(started) : 0, level;
  if (!(ranks & (ranks - 1))) setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
  MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &mpi.rank), MPI_Comm_size(MPI_COMM_WORLD, &mpi.ranks);
  atexit(leave_ranks);
  return mpi.in_run = mpi.rank;
}
static int rank_count(void) { return mpi.ranks; }
static void use_ranks(nn_model *m, int use) {
  const nn_ranks ranks = {mpi.rank, use ? mpi.ranks : 0, mpi_reduce, mpi_wait, NULL, 0, 0};
  nn_set_ranks(m, mpi.ranks > 1 && use ? &ranks : NULL);
  mpi.in_run = use || mpi.rank;
}
#else
static void *share_bytes(void *bytes, size_t *size) { return (void)size, bytes; }
static int join_ranks(void) { return 0; }
static int rank_count(void) { return 1; }
static void use_ranks(nn_model *m, int use) { (void)m, (void)use; }
#endif

static int is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* Whether there is a file to read. One that cannot be opened is not a missing one: who goes on
 * without it could lose what it holds. To open what is no file, a pipe say, could wait for ever. */
static int file_exists(const char *path) {
  struct stat s;
  if (stat(path, &s) == 0 && !S_ISREG(s.st_mode))
    fail("%s is not a file: a folder, a pipe or a device", path);
  FILE *f = fopen(path, "rb");
  if (!f && errno != ENOENT && errno != ENOTDIR) fail("%s: %s", path, strerror(errno));
  if (f) fclose(f);
  return f != NULL;
}

/* Where a path's last name begins. */
static const char *name_of(const char *path) {
  const char *name = path;
  for (; *path; path++)
    if (strchr(separators, *path)) name = path + 1;
  return name;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}
/* Whether a path leads to one of these. */
static int is_one_of(const struct stat *folder, int count, const char *path) {
  struct stat s;
  if (stat(path, &s) || !s.st_ino) return 0; /* 0: the system has no such numbers */
  for (int k = 0; k < count; k++)
    if (folder[k].st_ino == s.st_ino && folder[k].st_dev == s.st_dev) return 1;
  return 0;
}

static int is_link(const char *path) {
#ifdef S_ISLNK
  struct stat s;
  return lstat(path, &s) == 0 && S_ISLNK(s.st_mode);
#else
  return (void)path, 0;
#endif
}

/* Calls back for each file of a folder and each folder in it, in order; without `enter` for the
 * files of those folders, too. Hidden ones are left out, links that lead back, and those of inner
 * folders, which may lead to one another. */
typedef void on_path(void *user, const char *path);
static void visit(const char *folder, on_path *enter, on_path *call, void *user) {
  static struct stat way[64]; /* to this folder, and itself */
  static int deep;
  DIR *d = opendir(folder);
  char **names = NULL;
  size_t count = 0;
  if (deep == 64) fail("%.99s..: folders within folders, more than 64 deep", folder);
  if (!d || stat(folder, &way[deep++])) fail("%s: %s", folder, strerror(errno));
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (*e->d_name == '.') continue;
    names = grow(names, count, sizeof *names);
    names[count++] = copy_of(e->d_name);
  }
  closedir(d);
  if (count) qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; free(names[i++])) {
    const struct line path = in_folder(folder, names[i]);
    if (!is_folder(path.text)) call(user, path.text);
    else if (is_one_of(way, deep, path.text))
      note("left out: %s, a link to a folder that it is in", path.text);
    else if (deep > 1 && is_link(path.text))
      note("left out: %s, a link from an inner folder to another", path.text);
    else if (enter) enter(user, path.text);
    else visit(path.text, NULL, call, user);
  }
  free(names);
  deep--;
}
static void each_file(const char *folder, on_path *call, void *user) {
  visit(folder, NULL, call, user);
}

/* ======================================= @@OPTIONS ==========================================
 * Every option is one row of data/options.inc and nothing else: the parser, --help, what goes with
 * what and the command line that repeats a run are all made from it. */
enum { CIFAR10 = 1, MNIST = 2, OWN = 4, DEMO = 8, EXPERIMENT = 16, LOOK = 32, INFO = 64,
       PREDICT = 128, SOURCES = 256, CONVERT = 2048, PLAYS = 4096,
       OUTWARD = 512, UNNOTED = 1024 | OUTWARD }; /* see data/options.inc */
enum { TRAIN = CIFAR10 | MNIST | OWN, CELLS = MNIST | OWN, STUDY = TRAIN | EXPERIMENT,
       RUNS = TRAIN | DEMO | EXPERIMENT | LOOK, USES_DATA = CIFAR10 | MNIST | DEMO | EXPERIMENT |
       LOOK | SOURCES | PLAYS };

enum kind { FLAG, WHOLE, REAL, CHOICE, TEXT };

enum option {
#define O(id, ...) OPT_##id,
#include "data/options.inc"
#undef O
  OPTION_COUNT
};
static const struct option_entry {
  const char *name;
  enum kind kind;
  int commands;
  const char *form, *standard;
  double least, most;
  const char *needs, *help;
} options[] = {
#define O(id, ...) {__VA_ARGS__},
#include "data/options.inc"
#undef O
};

struct command {
  const char *name;
  int bit, operands;
  const char *form, *summary, *more;
};
#include "data/commands.inc"
#include "data/defaults.inc"

static const struct command *find_command(const char *name) {
  const int k = find_word(command_names, name, NULL);
  return k < 0 ? NULL : &commands[k];
}

/* The option of "--name", "--name=value" or "--name one|of|these", or of WHAT, if a command in the
 * mask has it; else -1. */
static int find_option(const char *name, int mask) {
  name += strncmp(name, "--", 2) ? 0 : 2;
  const size_t n = strcspn(name, "= ");
  for (int o = 0; o < OPTION_COUNT; o++)
    if ((options[o].commands & mask) && strlen(options[o].name) == n &&
        strncmp(options[o].name, name, n) == 0)
      return o;
  return -1;
}

/* text "": not set. number is the value of numbers, 1 for a flag, the place of a choice. Of an
 * option with several values text is all of them until a study takes each. */
struct value {
  const char *text;
  double number;
  int given, several; /* on the command line; a list or a range */
};

struct settings {
  const struct command *command;
  struct value v[OPTION_COUNT];
  const char *const *operand;
  const char *program; /* as it was called, for what it says to type; NULL: nothing was typed */
  int operands;
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

#define refuse(s, ...) wrong((s)->command->name, __VA_ARGS__)
/* Ends the program with what is wrong with its settings, if anything is. */
static void need_right(const struct settings *s, struct line why) {
  if (*why.text) refuse(s, "%s", why.text);
}

/* --augment: flip,shift=N,cutout=N, or some of them. 0 if it is anything else. */
static int read_augment(const char *text, nn_augment *a) {
  memset(a, 0, sizeof *a);
  while (*text) {
    int n = 0, value = 1;
    if (strncmp(text, "flip", 4) == 0) a->flip = 1, n = 4;
    else if (sscanf(text, "shift=%2d%n", &value, &n) == 1) a->shift = value;
    else if (sscanf(text, "cutout=%2d%n", &value, &n) == 1) a->cutout = value;
    if (!n || value < 1 || value > 16 || (text[n] && text[n] != ',')) return 0;
    text += n + (text[n] == ',');
  }
  return 1;
}

/* Sets an option; "" when the text is good, else the end of a sentence. */
static nn_message set_option(struct settings *s, enum option o, const char *text) {
  const struct option_entry *e = &options[o];
  struct value *v = &s->v[o];
  nn_augment augment;
  nn_message why = {""};
  v->text = text;
  v->number = 1;
  if (e->kind == CHOICE) {
    struct word meant;
    v->number = find_word(e->form, text, &meant);
    if (v->number < 0)
      snprintf(why.text, sizeof why.text, "is none of %s%s", e->form, meant.text);
  } else if (e->kind == WHOLE || e->kind == REAL) {
    const int whole = e->kind == WHOLE;
    if (!read_number(text, &v->number) || v->number < e->least || v->number > e->most ||
        (whole && text[strspn(text, "0123456789")]))
      snprintf(why.text, sizeof why.text, "is not a %snumber from %.10g to %.10g",
               whole ? "whole " : "", e->least, e->most);
  } else if (!*text) {
    strcpy(why.text, "is empty");
  } else if (o == OPT_AUGMENT && !read_augment(text, &augment)) {
    strcpy(why.text, "is not made of flip, shift=N and cutout=N with N from 1 to 16");
  }
  return why;
}

/* As if it had been given on the command line. */
static void give(struct settings *s, enum option o, const char *text) {
  set_option(s, o, text);
  s->v[o].given = 1;
}

/* Sets an option to a text of the program's own, unless it has a value. */
static void fill(struct settings *s, enum option o, const char *text) {
  if (!is_set(s, o) && *text) set_option(s, o, text);
}

static void set_standards(struct settings *s, const struct command *c) {
  memset(s, 0, sizeof *s);
  s->command = c;
  for (int o = 0; o < OPTION_COUNT; o++) {
    s->v[o].text = "";
    fill(s, (enum option)o, options[o].standard);
  }
}

/* A text from this column on, wrapped at column 96 and indented as far. */
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

static int help_command(const struct command *c) {
  printf("nn %s: %s\nusage: nn %s %s\n%soptions:\n", c->name, c->summary, c->name, c->form,
         c->more);
  for (int o = 0; o < OPTION_COUNT; o++) {
    const struct option_entry *e = &options[o];
    struct text t = {0};
    if (!(e->commands & c->bit) || o == OPT_WHAT) continue;
    if (find_option(e->needs, c->bit) >= 0) text_add(&t, "with %s: ", e->needs);
    int column = printf("  --%s%s%s", e->name, *e->form ? " " : "", e->form);
    if (column > 24) column = printf("\n") - 1;
    printf("%*s", 26 - column, "");
    const char *help = e->help;
    for (const char *part = help; *part; part += strcspn(part, "|"), part += *part == '|')
      if (strncmp(part, c->name, strlen(c->name)) == 0 && part[strlen(c->name)] == ':')
        help = part + strlen(c->name) + 2;
    text_bytes(&t, help, strcspn(help, "|"));
    if (*e->standard) text_add(&t, " (default %s)", e->standard);
    print_wrapped(t.data, 26);
    text_free(&t);
  }
  printf("  --help%18sthis text\n", "");
  return 0;
}

/* Whether a training command's option was given a list or a range. */
static int has_several(const struct settings *s, int o, const char *text) {
  const enum kind kind = options[o].kind;
  if (!s->program || !(s->command->bit & TRAIN) || o == OPT_SEED || o == OPT_SEEDS) return 0;
  if (o == OPT_AUGMENT) return strchr(text, '/') != NULL;
  return kind != FLAG && kind != TEXT && strpbrk(text, kind == CHOICE ? "," : ",:") != NULL;
}

/* The sentence for an option that the command does not have. */
static struct line unknown_option(const struct settings *s, const char *typed) {
  struct text names = {0};
  struct word meant;
  const struct word name = word_of("%.*s", (int)strcspn(typed, "="), typed);
  if (find_option(typed, ~0) >= 0)
    return line_of("nn %s has no option %s", s->command->name, name.text);
  for (int o = 0; o < OPTION_COUNT; o++)
    if (options[o].commands & s->command->bit) text_add(&names, "--%s|", options[o].name);
  find_word(names.data, name.text, &meant);
  text_free(&names);
  return line_of("unknown option %s%s", name.text, meant.text);
}

/* Reads words of a command line, after those that the settings have; what is wrong with them.
 * Operands are moved to the front of the words. */
static struct line read_words(struct settings *s, int count, const char **words) {
  const struct command *c = s->command;
  s->operand = words;
  for (int i = 0; i < count; i++)
    for (const char *at = words[i]; *at; at++)
      if (iscntrl((unsigned char)*at)) return line_of("'%s' has a control character", words[i]);
  for (int i = 0; i < count; i++) {
    const char *word = words[i], *value = strchr(word, '=');
    nn_message why = {""};
    if (word[0] != '-' || !word[1]) {
      if (s->operands == c->operands) return line_of("'%s' is one argument too many", word);
      words[s->operands++] = word;
      continue;
    }
    if (word[1] != '-' || word[strcspn(word, " =")] == ' ')
      return line_of("unknown option %s; options begin with -- and have no spaces", word);
    const int o = find_option(word, c->bit);
    if (o < 0) return unknown_option(s, word);
    const struct option_entry *e = &options[o];
    struct value *v = &s->v[o];
    if (e->kind == FLAG) {
      if (value) return line_of("--%s takes no value", e->name);
      value = "yes";
    } else if (value) {
      value++;
    } else {
      if (i + 1 == count || strncmp(words[i + 1], "--", 2) == 0)
        return line_of("--%s needs a value: %s", e->name, e->form);
      value = words[++i];
    }
    v->several = has_several(s, o, value);
    if (v->several) v->text = value;
    else why = set_option(s, (enum option)o, value);
    if (*why.text) return line_of("--%s '%s' %s", e->name, value, why.text);
    v->given = 1;
  }
  return (struct line){""};
}

/* Whether the settings have what an option needs. */
static int is_met(const struct settings *s, const char *needs) {
  const size_t n = strcspn(needs, " ");
  const int o = find_option(needs, s->command->bit);
  return o < 0 || (needs[n] ? find_word(needs + n + 1, s->v[o].text, NULL) >= 0 : *s->v[o].text);
}

static int is_recurrent(const struct settings *s) {
  return (s->command->bit & CELLS) && number_of(s, OPT_CELL) < 3;
}
static int is_cnn(const struct settings *s) {
  return s->command->bit == CIFAR10 || is_choice(s, OPT_CELL, "cnn");
}

/* --isa, else NN_ISA, else auto; kernels that cannot run here are wrong. */
static struct line complete_isa(struct settings *s) {
  const char *text = getenv("NN_ISA"), *name = is_set(s, OPT_ISA) ? "--isa" : "NN_ISA";
  nn_message why = {""};
  nn_isa isa;
  if (!is_set(s, OPT_ISA)) why = set_option(s, OPT_ISA, text && *text ? text : "auto");
  text = s->v[OPT_ISA].text;
  if (*why.text) return line_of("%s: '%s' %s", name, text, why.text);
  if (nn_isa_find(text, &isa) || (isa != NN_ISA_AUTO && !nn_isa_available(isa)))
    return line_of("%s: %s kernels cannot run here; the best that can are %s", name, text,
                   nn_isa_name(nn_isa_best()));
  return (struct line){""};
}

/* Options that mean nothing without others are wrong; those that were not given become unset. */
static struct line check_needs(struct settings *s) {
  for (int o = 0; o < OPTION_COUNT; o++) {
    const char *needs = options[o].needs;
    if (!(options[o].commands & s->command->bit) || is_met(s, needs)) continue;
    if (s->v[o].given) return line_of("--%s goes only with %s", options[o].name, needs);
    s->v[o].text = "";
  }
  return (struct line){""};
}

/* Fills in what depends on other options; what does not go together. */
static struct line complete(struct settings *s) {
  if (s->command->bit & CELLS) fill(s, OPT_CELL, s->command->bit == OWN ? "cnn" : "gru");
  const struct line needs = check_needs(s);
  if (*needs.text) return needs;
  if (is_set(s, OPT_EPOCHS) && is_set(s, OPT_STEPS))
    return line_of("--epochs and --steps exclude each other");
  if (s->command->bit == OWN && !is_set(s, OPT_OWN_IMAGES) && !is_set(s, OPT_RESUME))
    return line_of("--images is missing: which images?");
  for (size_t k = 0; k < sizeof defaults / sizeof *defaults; k++)
    if (is_met(s, defaults[k].needs) && is_met(s, options[defaults[k].o].needs))
      fill(s, defaults[k].o, defaults[k].text);
  if (!is_set(s, OPT_STEPS)) fill(s, OPT_EPOCHS, "10");
  if (is_cnn(s) && whole_of(s, OPT_PAD1) > whole_of(s, OPT_KERNEL1) / 2)
    return line_of("--pad1 %s is more than half of --kernel1", s->v[OPT_PAD1].text);
  if (!is_cnn(s) && is_choice(s, OPT_HIDDEN, "0"))
    return line_of("--hidden 0: only --cell cnn can do without this layer");
  return complete_isa(s);
}

/* Writes a command line back, complete: what it does does not depend on defaults. */
static void write_back(struct text *t, const struct settings *s) {
  text_add(t, "nn %s", s->command->name);
  for (int o = 0; o < OPTION_COUNT; o++) {
    const int mask = options[o].commands;
    if (!(mask & s->command->bit) || !is_set(s, (enum option)o)) continue;
    if ((mask & UNNOTED) == UNNOTED) continue;
    text_add(t, " --%s", options[o].name);
    if (options[o].kind != FLAG) text_put(t, " "), text_word(t, s->v[o].text);
  }
}

/* The first option in which two runs differ, outward ones left out; else -1. With `given` only
 * those that were given to the second one count. */
static int differing(const struct settings *a, const struct settings *b, int given) {
  for (int o = 0; o < OPTION_COUNT; o++) {
    const struct value *v = &a->v[o], *w = &b->v[o];
    const int mask = options[o].commands;
    if ((mask & OUTWARD) || (given && !w->given) || !(mask & a->command->bit)) continue;
    if (!*v->text != !*w->text || (*v->text && v->number != w->number) ||
        (options[o].kind == TEXT && strcmp(v->text, w->text) != 0))
      return o;
  }
  return -1;
}

/* ========================================= @@DATA ===========================================
 * A data set is only called by a name that it has proved, by the checksum of its arrays. */
enum { THIN = 1000, THIN_TEST = 200, MOST_CLASSES = 1000 };
struct data {
  nn_dataset train, test;
  char name[100];        /* "MNIST"; what every figure on it is labelled with */
  char where[PATH_SIZE]; /* a folder, or how it was made */
  char said[240];        /* which data it stands in for, or "" */
  uint32_t crc;          /* of pixels and labels, so that a resumed run meets the same data */
  nn_real least, greatest; /* of images that are no bytes, and 0 */
  int classes, scaled;   /* scaled: the network gets (x - mean) scale of each channel */
  nn_real mean[4], scale[4]; /* mean: gray or black; what hides a part, too */
  struct text class_names; /* one a line, or empty */
  int32_t *index, thinned[THIN + THIN_TEST]; /* of a part held out, and of a part for --quick */
};

enum { GRAY28 = 1024 }; /* a set beside MNIST and CIFAR10, which are the commands */
#include "data/sets.inc"

static void data_free(struct data *d) {
  nn_dataset_free(&d->train);
  nn_dataset_free(&d->test);
  text_free(&d->class_names);
  free(d->index);
  memset(d, 0, sizeof *d);
}

static int32_t label_of(const nn_dataset *d, int i) { return d->labels[d->only ? d->only[i] : i]; }

/* ---- files ---- */

/* A file's bytes, without a zero behind them; "-": those of standard input. */
static struct text read_bytes(const char *path) {
  struct text t = {0};
  nn_array a;
  nn_message why;
  if (strcmp(path, "-") == 0) {
    for (size_t n; (n = fread(text_room(&t, 4096), 1, 4096, stdin)) > 0;) t.size += n;
    return t;
  }
  if (nn_file_read(path, SIZE_MAX / 2, NULL, &a, &why)) fail("%s", why.text);
  return (struct text){a.data, a.count, a.count};
}

/* The array of an npy or IDX file's bytes. */
static nn_status parse_array(const struct text *file, nn_array *a, nn_message *why) {
  const int is_npy = file->size && *file->data == '\x93';
  return (is_npy ? nn_npy_parse : nn_idx_parse)(file->data, file->size, NULL, a, why);
}
static nn_array read_array(const char *path) {
  struct text file = read_bytes(path);
  nn_array a;
  nn_message why;
  if (parse_array(&file, &a, &why)) fail("%s: %s", path, why.text);
  text_free(&file);
  return a;
}

/* Whether no Huffman table of a JPEG has more than 256 codes: stb_image before 2.28 writes those
 * beyond past its own. What stb_image takes for a table, this does, too. */
static int good_tables(const stbi_uc *bytes, size_t size) {
  for (size_t i = 0, end; i + 3 < size; i = end) {
    const int marker = bytes[i + 1], plain = marker < 2 || (marker >= 0xD0 && marker <= 0xD9);
    end = i + 1;
    if (bytes[i] != 255 || marker == 255 || plain) continue;
    end = i + 2 + (size_t)(bytes[i + 2] << 8 | bytes[i + 3]);
    for (size_t at = i + 4, codes; marker == 0xC4 && at < end; at += 17 + codes) {
      codes = 0;
      for (size_t k = 1; k <= 16 && at + k < size; k++) codes += bytes[at + k];
      if (codes > 256) return 0;
    }
  }
  return 1;
}

/* Makes a picture one image of the shape dim: its middle, scaled so that each pixel is the mean of
 * what it covers. Sizes of dim that are 0 become the picture's, at most 64 x 64. was: the picture's
 * height and width. 0 if the bytes are no picture. */
static int read_picture(const struct text *file, int dim[3], nn_dataset *to, int was[2]) {
  const stbi_uc *bytes = (const stbi_uc *)file->data;
  const int size = file->size < INT32_MAX ? (int)file->size : 0;
  int w, h, c, scans = 0;
  picture_room = 1 << 16; /* for its tables */
  if (size && *bytes == 255 && !good_tables(bytes, file->size)) return 0;
  if (!stbi_info_from_memory(bytes, size, &w, &h, &c)) return 0;
  if (h < 0 && h > -(1 << 24)) h = -h; /* a BMP's top row comes first */
  /* Each scan of a JPEG, a few bytes maybe, takes as long as all its pixels; ten are usual. */
  for (int i = 1; i < size && *bytes == 255; i++) scans += bytes[i - 1] == 255 && bytes[i] == 0xDA;
  if (w < 1 || h < 1 || w > (1 << 24) / h || scans > 500 || dim[0] > 4) return 0;
  if (!dim[0]) dim[0] = c >= 3 ? 3 : 1;
  if (!dim[1]) dim[1] = dim[2] = (int)fmin(fmin(w, h), 64);
  /* What is cut out, and how often its pixels are repeated so that it is no smaller than dim. */
  const int tall = (int)fmax(fmin(h, (double)w * dim[1] / dim[2]), 1);
  const int wide = (int)fmax(fmin(w, (double)h * dim[2] / dim[1]), 1);
  const int times = 1 + (int)fmax((dim[1] - 1) / tall, (dim[2] - 1) / wide);
  if ((double)tall * times * wide * times > 1 << 24) return 0;
  /* Rows of four 16-bit numbers a pixel, in an array that doubles; a JPEG's whole blocks. */
  picture_room += 2 * file->size + 16 * (size_t)(w + 32) * (size_t)(h + 32);
  stbi_uc *from = stbi_load_from_memory(bytes, size, &w, &h, &c, dim[0]);
  if (!from) return 0;
  const int cut[3] = {dim[0], tall * times, wide * times};
  uint8_t *pixels = allocate((size_t)(cut[0] * cut[1] * cut[2]), 1);
  cut_middle(from, h, w, (size_t)dim[0], 1, dim[0], times, cut, pixels);
  stbi_image_free(from);
  const nn_transform shrink = {.height = dim[1], .width = dim[2]};
  *to = nn_dataset_pixels(pixels, NULL, 1, cut[0], cut[1], cut[2]);
  to->owned[0].data = pixels;
  if (nn_dataset_transform(to, &shrink, NULL)) fail("out of memory");
  was[0] = h, was[1] = w;
  return 1;
}

/* Ends the program where a model could not note a name, before anything is written. */
static void need_notable(const char *name) {
  nn_config c = nn_config_default();
  c.batch = c.inference = c.threads = 1, c.notes = strlen(name) + 8;
  nn_model *m = nn_create(&c);
  nn_relu(m, nn_input_vector(m, 1));
  if (!m || nn_build(m)) fail("out of memory");
  if (nn_set_note(m, "name", name))
    fail("%s: a name that is not UTF-8, so that no model can note it", name);
  nn_destroy(m);
}

/* What a folder has that has a sub-folder of pictures for each class. */
struct album {
  struct text pixels, labels, names, empty; /* empty: sub-folders without pictures */
  int dim[3], classes, skipped, was[2];
  struct line first; /* that was skipped */
};
static void skip_file(void *user, const char *path) {
  struct album *a = user;
  if (!a->skipped++) a->first = path_of("%s", path);
}
static void add_picture(void *user, const char *path) {
  struct album *a = user;
  struct text file = read_bytes(path);
  nn_dataset d;
  if (read_picture(&file, a->dim, &d, a->was)) {
    text_bytes(&a->pixels, d.owned[0].data, (size_t)(d.channels * d.height * d.width));
    text_bytes(&a->labels, (const char *)&(int32_t){a->classes}, sizeof(int32_t));
    nn_dataset_free(&d);
  } else {
    skip_file(a, path);
  }
  text_free(&file);
}
static void add_class(void *user, const char *path) {
  struct album *a = user;
  const size_t before = a->labels.size;
  need_notable(path);
  if (strpbrk(path, "\n\t")) fail("%s: its folder's name has a control character", path);
  each_file(path, add_picture, a);
  if (a->labels.size == before) text_add(&a->empty, " %s", name_of(path));
  else text_add(&a->names, a->classes++ ? "\n%s" : "%s", name_of(path));
}

/* A folder with a sub-folder of pictures for each class. Those for tests have the shape and the
 * classes of those for training. */
static void load_folder(struct data *d, nn_dataset *to, const char *path, int gray, int side) {
  struct album a = {.dim = {gray ? 1 : d->train.channels, side, side}};
  if (d->train.count) a.dim[1] = d->train.height, a.dim[2] = d->train.width;
  visit(path, add_class, skip_file, &a);
  if (!a.classes)
    fail("%s has no sub-folders of pictures (PNG, JPEG, BMP, PGM, PPM), one for each class", path);
  if (a.skipped)
    note("%s: %d files left out that are no PNG, JPEG, BMP, PGM or PPM in a sub-folder; the first: "
         "%s", path, a.skipped, a.first.text);
  if (a.empty.size) note("%s: without pictures, and so no classes:%s", path, a.empty.data);
  text_free(&a.empty);
  if (d->class_names.size && strcmp(a.names.data, d->class_names.data) != 0)
    fail("%s has other sub-folders than the training images", path);
  *to = nn_dataset_pixels((uint8_t *)a.pixels.data, (const int32_t *)(void *)a.labels.data,
                          (int)(a.labels.size / sizeof(int32_t)), a.dim[0], a.dim[1], a.dim[2]);
  to->owned[0].data = a.pixels.data, to->owned[1].data = a.labels.data;
  text_free(&d->class_names);
  d->class_names = a.names;
}

/* ---- sets that are known ---- */

/* Checks a set's labels, which are below `most`; how many classes they are of. */
static int count_classes(const nn_dataset *d, int most, const char *path) {
  int classes = 0;
  if (d->label_size > 1)
    fail("%s: not one label for each image, but %zu; of one-hot rows save y.argmax(1)", path,
         d->label_size);
  for (int i = 0; i < d->count; i++) {
    const int label = d->labels[i];
    if (label < 0 || label >= most)
      fail("%s: label %d of sample %d is not 0 .. %d", path, label, i, most - 1);
    if (label >= classes) classes = label + 1;
  }
  return classes;
}

/* The same of a half of the data, which is added to the checksum. labels: their file; "": path. */
static int take_in(struct data *d, const nn_dataset *half, int most, const char *path,
                   const char *labels) {
  const size_t count = (size_t)(half->channels * half->height * half->width) * (size_t)half->count;
  if (half->channels != d->train.channels || half->height != d->train.height ||
      half->width != d->train.width)
    fail("%s: images of another shape than the training images", path);
  const int classes = count_classes(half, most, *labels ? labels : path);
  d->crc = half->pixels ? nn_crc32(d->crc, half->pixels, count)
                        : nn_crc32(d->crc, half->values, count * sizeof *half->values);
  for (int i = 0; i < half->count; i++)
    d->crc = nn_crc32(d->crc, &(uint8_t){(uint8_t)half->labels[i]}, 1);
  for (size_t i = 0; half->values && i < count; i++) {
    if (half->values[i] < d->least) d->least = half->values[i];
    if (half->values[i] > d->greatest) d->greatest = half->values[i];
  }
  return classes;
}

/* The folder that a user names for images, or NULL. */
static const char *named_place(const struct settings *s) {
  const char *place = is_set(s, OPT_DATA) ? s->v[OPT_DATA].text : getenv("NN_DATA");
  return place && *place ? place : NULL;
}

/* Loads the images of that place, or draws them where it is NULL: from fixed seeds, for they are a
 * data set. Checks ten classes of them, and names them by their checksum if it is known. */
static void load_known(struct data *d, const struct place *p, const struct wanted *w) {
  const int is_cifar = p && p->set == CIFAR10;
  const size_t side = w->side, each = w->channels * side * side;
  d->classes = 10;
  for (int test = 0; test < 2; test++) {
    nn_dataset *to = test ? &d->test : &d->train;
    const char *const *files = idx_files + 2 * test;
    nn_message why;
    nn_status status;
    if (!p) {
      const size_t n = w->counts[test];
      nn_array x = {NN_U8, 4, {n, w->channels, side, side}, n * each, allocate(n, each), {0}};
      nn_array y = {NN_I32, 1, {n}, n, allocate(n, sizeof(int32_t)), {0}};
      w->draw(1 + (unsigned)test, (int)n, x.data, y.data);
      status = nn_dataset_from_arrays(&x, &y, to, &why);
    } else if (is_cifar) {
      status = nn_dataset_load_cifar10(d->where, test, 0, NULL, to, &why);
    } else {
      status = nn_dataset_load(in_folder(d->where, files[0]).text,
                               in_folder(d->where, files[1]).text, NULL, to, &why);
    }
    if (status) fail("%s", why.text);
    take_in(d, to, d->classes, d->where, "");
  }
  snprintf(d->name, sizeof d->name, "%s%s", !p ? w->drawn : is_cifar ? "CIFAR-10 files" :
           "IDX images", p ? " of unknown origin" : "");
  if (is_cifar) text_put(&d->class_names, PHOTOS);
  for (size_t i = 0; i < sizeof known_sets / sizeof *known_sets; i++)
    if (known_sets[i].crc == d->crc) {
      snprintf(d->name, sizeof d->name, "%s", known_sets[i].name);
      text_put(&d->class_names, known_sets[i].classes);
    }
}

/* The images of a known set. Where there are none: drawn ones if `draws` is 2, or 1 and no place
 * was named; an error if one was, for it is mistyped; 0 if `draws` is 0. */
static int find_known(struct data *d, const struct settings *s, int draws) {
  const int cifar = s->command->bit == CIFAR10;
  const int gray = is_set(s, OPT_GRAY), small = is_choice(s, OPT_SIZE, "28");
  const struct wanted *w = &wanted[cifar];
  const char *place = named_place(s);
  const int sets = !cifar ? MNIST : gray && small ? CIFAR10 | GRAY28 : CIFAR10;
  const struct place *found = NULL;
  for (size_t k = 0; k < sizeof places / sizeof *places && !found; k++) {
    const char *folder = places[k].folder, *first = wanted[places[k].set == CIFAR10].file;
    strcpy(d->where, path_of("%s%s%s", place ? place : "data", *folder ? "/" : "", folder).text);
    if ((places[k].set & sets) && file_exists(in_folder(d->where, first).text)) found = &places[k];
  }
  if (found) load_known(d, found, w);
  if (cifar && strstr(d->name, "MNIST")) { /* in files of the same names */
    if (draws < 2) fail("%s holds %s, which is not CIFAR-10", d->where, d->name);
    data_free(d);
    found = NULL;
  }
  if (!found && !draws) return 0;
  if (!found && place && draws == 1)
    fail("no %s files in %s%s: %s should be there or in %s (data/fetch %s downloads them)", w->name,
         place, is_set(s, OPT_DATA) ? "" : ", which NN_DATA names", w->file, w->folder, w->command);
  if (!found) strcpy(d->where, "the program itself"), load_known(d, NULL, w);
  const int fashion = !cifar && strcmp(d->name, "Fashion-MNIST") == 0;
  if (cifar && d->train.channels == 3) {
    const int middle = small ? 28 : 0;
    const nn_transform t = {.gray = gray, .crop_height = middle, .crop_width = middle};
    if (nn_dataset_transform(&d->train, &t, NULL) || nn_dataset_transform(&d->test, &t, NULL))
      fail("%s: its images are not 32x32", d->where);
    snprintf(d->name + strlen(d->name), 24, "%s%s", gray ? " gray" : "",
             small ? ", middle 28x28" : "");
  }
  if (!found || fashion)
    snprintf(d->said, sizeof d->said, "There is no %s here: %s %s.", w->name, d->name,
             found ? "stands in for it" : "stand in for it (data/fetch gets it)");
  return 1;
}

/* ---- all of them ---- */

/* --images and --labels, or --test and --test-labels; how many classes they are of. */
static int load_own(struct data *d, nn_dataset *to, const struct settings *s, enum option images,
                    enum option labels) {
  const char *path = s->v[images].text, *named = s->v[labels].text;
  const int gray = is_set(s, OPT_GRAY);
  nn_message why;
  if (is_folder(path)) {
    if (*named) refuse(s, "--%s does not go with a folder", options[labels].name);
    if (d->train.count && !d->class_names.size)
      fail("%s is a folder, whose classes have names: the training labels are numbers", path);
    load_folder(d, to, path, gray, whole_or(s, OPT_SIDE, 0));
  } else {
    if (!*named && !file_exists(path)) fail("%s: no such file or folder", path);
    if (!*named)
      refuse(s, "--%s is missing: %s is no folder of images", options[labels].name, path);
    if (nn_dataset_load(path, named, NULL, to, &why)) fail("%s", why.text);
    if (gray && to->channels > 1 && nn_dataset_transform(to, &(nn_transform){.gray = 1}, &why))
      fail("%s: --gray: %s", path, why.text);
  }
  return take_in(d, to, d->classes ? d->classes : MOST_CLASSES, path, named);
}

/* Says what may have been meant otherwise. */
static void tell_own(const struct data *d, const char *path) {
  int first = MOST_CLASSES;
  for (int i = 0; i < d->train.count; i++) first = (int)fmin(first, d->train.labels[i]);
  if (first)
    note("%s: its labels begin with %d, so no image is of the classes before", path, first);
  if (d->least < 0 || d->greatest > 1)
    note("%s: its numbers are %g .. %g, not 0 .. 1 as pictures are taken: train on %s", path,
         (double)d->least, (double)d->greatest, d->least < 0 || d->greatest > 255
         ? "numbers 0 .. 1, or have such numbers predicted alone"
         : "x.astype('uint8'), or have pictures multiplied by 255");
}

/* The images of one's own; a tenth is held out where none are given to test. */
static void find_own(struct data *d, const struct settings *s) {
  const char *path = s->v[OPT_OWN_IMAGES].text;
  d->classes = load_own(d, &d->train, s, OPT_OWN_IMAGES, OPT_OWN_LABELS);
  if (d->classes < 2) fail("%s: all images are of one class", path);
  if (s->program) tell_own(d, path);
  strcpy(d->where, path_of("%s", path).text);
  for (size_t n = strlen(path); n > 1 && strchr(separators, path[n - 1]);) d->where[--n] = 0;
  const char *own = name_of(d->where);
  int fits = strlen(own) < 90 ? (int)strlen(own) : 90;
  while (fits && (own[fits] & 0xC0) == 0x80) fits--; /* cut between characters of UTF-8 */
  snprintf(d->name, sizeof d->name, "%.*s", fits, own);
  if (is_set(s, OPT_TEST_IMAGES)) {
    load_own(d, &d->test, s, OPT_TEST_IMAGES, OPT_TEST_LABELS);
    return;
  }
  const nn_dataset all = d->train;
  d->index = allocate((size_t)all.count, sizeof *d->index);
  if (nn_dataset_split(&all, .1, 1, d->index, &d->train, &d->test))
    fail("%s: a tenth of %d images is too few to test", path, all.count);
  memcpy(d->train.owned, all.owned, sizeof all.owned);
  snprintf(d->said, sizeof d->said, "A tenth of the images is held out to test.");
}

/* Which data the settings mean; 0: none. What the network gets of the pixels 0..1: MNIST's as they
 * are; 32x32 ones (x - .5)/.5; all others, and numbers that are no bytes, standardised over the
 * training images. */
static int data_find(struct data *d, const struct settings *s, int draws) {
  const int own = s->command->bit == OWN, mnist = !own && s->command->bit != CIFAR10;
  memset(d, 0, sizeof *d);
  for (int o = 0; o < OPTION_COUNT && s->program && s->command->bit & TRAIN; o++)
    if (options[o].kind == TEXT && (options[o].commands & UNNOTED) != UNNOTED)
      need_notable(s->v[o].text);
  if (own) find_own(d, s);
  else if (!find_known(d, s, draws)) return 0;
  if (d->train.channels > 4) fail("%s: images of more than four channels", d->where);
  for (char *c = d->where; *c; c++) /* which is shown on terminals */
    if (iscntrl((unsigned char)*c)) *c = '?';
  d->scaled = !mnist;
  for (int c = 0; c < 4; c++) d->mean[c] = (nn_real)(mnist ? 0 : .5), d->scale[c] = 2;
  if (!mnist && (d->train.values || d->train.height != 32 || d->train.width != 32) &&
      nn_dataset_moments(&d->train, (size_t)d->train.channels, d->mean, d->scale))
    fail("%s: images with numbers that are too large", d->where);
  return 1;
}

/* Keeps at most so many samples, drawn at random; their numbers go to index. */
static void draw_some(nn_dataset *d, int most, int32_t *index) {
  const uint32_t all = (uint32_t)d->count;
  if (d->count <= most) return;
  d->count = most;
  for (int i = 0; i < most; i++) {
    index[i] = (int32_t)nn_shuffled(1, 0, all, (uint32_t)i);
    if (d->only) index[i] = d->only[index[i]];
  }
  d->only = index;
}

/* For --quick: keeps a small part, which counts as other data than the whole. */
static void data_thin(struct data *d) {
  d->crc = nn_crc32(d->crc, "part", 4);
  draw_some(&d->train, THIN, d->thinned);
  draw_some(&d->test, THIN_TEST, d->thinned + THIN);
}

/* Images of another kind than `own`, as a net takes them that was trained on those: cut or framed
 * in black about the middle, gray ones in three equal channels. */
static void data_other(struct data *d, const struct data *own, const struct settings *typed,
                       const int dim[3]) {
  const int is_photo = strstr(own->name, "CIFAR-10") || strstr(own->name, "shapes");
  struct settings s;
  set_standards(&s, find_command(is_photo ? "mnist" : "cifar10"));
  s.v[OPT_DATA] = typed->v[OPT_DATA];
  if (dim[0] == 1) give(&s, OPT_GRAY, "yes");
  if (dim[1] == 28) give(&s, OPT_SIZE, "28");
  data_find(d, &s, 2);
  if (!d->train.pixels || !d->test.pixels) fail("%s: its images are not bytes", d->where);
  for (int half = 0; half < 2; half++) {
    nn_dataset *to = half ? &d->test : &d->train;
    const size_t each = (size_t)(dim[0] * dim[1] * dim[2]), count = (size_t)to->count;
    const size_t plane = (size_t)(to->height * to->width), was = plane * (size_t)to->channels;
    uint8_t *pixels = allocate(count, each);
    for (size_t n = 0; n < count; n++)
      cut_middle(to->pixels + n * was, to->height, to->width, 1, plane, to->channels, 1, dim,
                 pixels + n * each);
    nn_array_free(&to->owned[0]);
    to->pixels = to->owned[0].data = pixels;
    to->channels = dim[0], to->height = dim[1], to->width = dim[2];
  }
}

/* "MNIST, 60,000 + 10,000 images 28x28, from data/mnist" */
static struct line data_line(const struct data *d) {
  return line_of("%s, %s + %s images %dx%d%s, from %s", d->name, grouped(d->train.count).text,
                 grouped(d->test.count).text, d->train.height, d->train.width,
                 d->train.channels == 3 ? " in colour" : "", d->where);
}

static void tell_data(const struct data *d, int quiet) {
  if (!quiet)
    fprintf(stderr, "data: %s\n%s%s", data_line(d).text, d->said, *d->said ? "\n" : "");
}

/* ========================================== @@NET =========================================== */

static const char *net_name(const struct settings *s) {
  static const char *const names[] = {"RNN", "LSTM", "GRU", "LeNet5", "MLP"};
  return s->command->bit == CIFAR10 ? "LeNet5" : names[whole_of(s, OPT_CELL)];
}

/* LeCun et al. 1998, as it is used today: two convolutions with max pooling, two linear layers. A
 * layer of size 0 is left out; its pooling stays, so that those after it keep their sizes. */
static int add_lenet5(nn_model *m, int x, const struct settings *s) {
  const int maps1 = whole_of(s, OPT_MAPS1), maps2 = whole_of(s, OPT_MAPS2);
  if (maps1)
    x = nn_relu(m, nn_conv2d(m, x, maps1, whole_of(s, OPT_KERNEL1), whole_of(s, OPT_STRIDE1),
                             whole_of(s, OPT_PAD1)));
  x = nn_max_pool2d(m, x, 2, 2, 0);
  if (maps2) x = nn_relu(m, nn_conv2d(m, x, maps2, 5, 1, whole_of(s, OPT_PAD2)));
  x = nn_flatten(m, nn_max_pool2d(m, x, 2, 2, 0));
  if (!whole_of(s, OPT_HIDDEN)) return x;
  x = nn_linear(m, x, whole_of(s, OPT_HIDDEN));
  return is_choice(s, OPT_ACTIVATION, "tanh") ? nn_tanh(m, x) : nn_relu(m, x);
}

/* Rows of an image, top to bottom, as the steps of a sequence. */
static int add_recurrent(nn_model *m, int x, const struct settings *s) {
  const nn_recurrent_options o = {whole_of(s, OPT_HIDDEN), whole_of(s, OPT_LAYERS),
                                  1 - number_of(s, OPT_KEEP), is_set(s, OPT_RELU), 0, 0};
  return nn_last_step(m, is_choice(s, OPT_CELL, "rnn")    ? nn_rnn_with(m, x, &o)
                         : is_choice(s, OPT_CELL, "lstm") ? nn_lstm_with(m, x, &o)
                                                          : nn_gru_with(m, x, &o));
}

static int64_t count_or(const struct settings *s, enum option o, int64_t otherwise) {
  return is_set(s, o) ? (int64_t)number_of(s, o) : otherwise;
}

static nn_optimizer optimizer_of(const struct settings *s, int64_t total) {
  const double rate = number_of(s, OPT_LR), momentum = number_of(s, OPT_MOMENTUM);
  nn_optimizer o = is_choice(s, OPT_OPTIMIZER, "adagrad")   ? nn_adagrad(rate)
                   : is_choice(s, OPT_OPTIMIZER, "rmsprop") ? nn_rmsprop(rate, momentum)
                   : is_choice(s, OPT_OPTIMIZER, "adam")    ? nn_adam(rate)
                   : is_choice(s, OPT_OPTIMIZER, "adamw")   ? nn_adamw(rate)
                                                            : nn_sgd(rate, momentum);
  if (o.kind == NN_RMSPROP) o.alpha = number_of(s, OPT_ALPHA);
  o.weight_decay = number_of(s, OPT_WEIGHT_DECAY);
  o.clip_norm = number_of(s, OPT_CLIP_NORM);
  o.clip_value = number_of(s, OPT_CLIP_VALUE);
  o.schedule.kind = (nn_schedule_kind)whole_of(s, OPT_SCHEDULE); /* both have the same order */
  o.schedule.warmup = (int64_t)number_of(s, OPT_WARMUP);
  o.schedule.total = total;
  o.schedule.period = count_or(s, OPT_PERIOD, o.schedule.kind == NN_TRIANGULAR ? (total + 5) / 6
                                                                               : (total + 2) / 3);
  o.schedule.gamma = number_of(s, OPT_GAMMA);
  o.schedule.floor = number_of(s, OPT_FLOOR);
  o.schedule.threshold = o.schedule.kind == NN_PLATEAU ? 1e-4 : 0; /* PyTorch's */
  if (o.schedule.floor > rate) refuse(s, "--floor is above --lr");
  if (o.schedule.warmup > total) refuse(s, "--warmup is longer than the run");
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
    double value = init == NN_INIT_HE_NORMAL ? sqrt(2) : 1;
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
  if (!is_choice(s, OPT_INIT, "tensorflow") || !is_choice(s, OPT_CELL, "lstm")) return;
  for (int i = 0; nn_get_param(m, i, &p) == NN_OK; i++)
    for (size_t k = units; strstr(p.name, "bias_ih") && k < 2 * units; k++) p.value[k] += 1;
}

/* Ends the program where a call fails that was made sure to work. */
static void must(nn_model *m, nn_status status) {
  if (status) fail("%s", nn_error(m));
}

/* The network and optimizer that the settings describe, built. */
static nn_model *build_model(const struct settings *s, const nn_config *c, const struct data *d,
                             int64_t total) {
  const nn_dataset *t = &d->train;
  const nn_optimizer o = optimizer_of(s, total);
  const int cells = is_recurrent(s), count = cells ? t->width : t->channels;
  nn_real *mean = allocate(2 * (size_t)count, sizeof *mean), *scale = mean + count;
  nn_model *m = nn_create(c);
  if (!m) fail("a model cannot be made: out of memory, or --threads is too large");
  if (cells && t->channels > 1)
    refuse(s, "--cell %s reads images of one channel: these have %d%s", s->v[OPT_CELL].text,
           t->channels, s->command->bit == OWN ? " (--gray turns them gray)" : "");
  for (int k = 0; k < count && d->scaled; k++)
    mean[k] = d->mean[cells ? 0 : k], scale[k] = d->scale[cells ? 0 : k];
  int x = cells ? nn_input_sequence(m, t->height, t->width)
                : nn_input_image(m, t->channels, t->height, t->width);
  if (d->scaled) x = nn_normalise(m, x, mean, scale);
  if (cells) x = add_recurrent(m, x, s);
  else if (is_cnn(s)) x = add_lenet5(m, x, s);
  else x = nn_relu(m, nn_linear(m, nn_flatten(m, x), whole_of(s, OPT_HIDDEN)));
  if (number_of(s, OPT_KEEP) < 1) x = nn_dropout(m, x, 1 - number_of(s, OPT_KEEP));
  x = nn_linear(m, x, d->classes);
  set_initial(m, s);
  nn_cross_entropy(m, x);
  nn_set_optimizer(m, &o);
  if (nn_build(m)) fail("the network cannot be built: %s", nn_error(m));
  free(mean);
  open_forget_gates(m, s);
  return m;
}

/* Counts npy files, and all files. */
static void count_npy(void *user, const char *path) {
  int *count = user;
  count[0] += ends_with(path, ".npy");
  if (++count[1] > 10000)
    fail("no run, model or folder of npy files: more than 10000 files, as far as %s", path);
}

/* Whether a file, or a folder of npy files, has weights alone, without layers. */
static int is_weights(const char *path) {
  int files[2] = {0};
  if (is_folder(path) && !file_exists(in_folder(path, "best.nn").text))
    each_file(path, count_npy, files);
  return files[0] || ends_with(path, ".safetensors") || ends_with(path, ".npz");
}

/* Refuses an ONNX file where only nn's own can be opened. */
static void need_own(const char *path) {
  if (ends_with(path, ".onnx"))
    fail("%s is an ONNX file: make a model of it by nn convert %s model.nn", path, path);
}

/* A model from a file of nn's own or an ONNX file. */
static nn_load_result load_model(const char *path, const nn_config *c) {
  nn_load_result loaded = {0};
  nn_message why;
  if (ends_with(path, ".onnx") ? nn_load_onnx(path, c, NULL, &loaded.model, &why)
                               : nn_load(path, c, &loaded, &why))
    fail("%s", why.text);
  return loaded;
}

static size_t parameter_count(nn_model *m) {
  size_t count = 0;
  nn_parameters(m, &count);
  return count;
}

static nn_node_info node_of(nn_model *m, int node) {
  nn_node_info n;
  must(m, nn_get_node(m, node, &n));
  return n;
}

/* The first layer's weights if it is a convolution; else value is NULL. */
static nn_param first_weights(nn_model *m) {
  nn_param w;
  if (nn_get_param(m, 0, &w) || w.rank != 4) w.value = NULL;
  return w;
}

static struct word class_name(const nn_model *m, int k) {
  struct word w = {"?"};
  nn_class_name(m, k, w.text, sizeof w.text);
  return w;
}

/* ========================================= @@PAGE ===========================================
 * Figures. Each is a part of the page's JSON, whose form stands at the top of data/report.html, a
 * CSV file, and, if it is a table, text on stdout, which is also what the page shows without
 * script. */
static const char *const page_lines[] = {
#ifdef PAGE
#include PAGE
#endif
    NULL};
static const char *const play_lines[] = { /* data/play.html with the engine in it: `make web` */
#ifdef PLAY
#include PLAY
#endif
    NULL};

struct page {
  struct line folder;
  struct text head, sections, logs, tables, csv; /* head: more keys of the page's JSON */
  struct word csv_name;               /* of the figure's file; "": none */
  int is_open, items, grids, printed; /* a figure; its items; the last one's; tables on stdout */
};

static void json_string(struct text *t, const char *s) {
  text_put(t, "\"");
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') text_put(t, "\\");
    if (iscntrl((unsigned char)*s) || *s == '<') text_add(t, "\\u%04x", (unsigned char)*s);
    else text_bytes(t, s, 1);
  }
  text_put(t, "\"");
}
static void json_base64(struct text *t, const unsigned char *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  text_put(t, "\"");
  for (size_t i = 0; i < size; i += 3) {
    int v = 0;
    for (size_t k = i; k < i + 3; k++) v = v << 8 | (k < size ? bytes[k] : 0);
    for (size_t k = 0; k < 4; k++)
      text_bytes(t, i + k <= size ? &digits[v >> (18 - 6 * k) & 63] : "=", 1);
  }
  text_put(t, "\"");
}

/* Puts what `form` says, ' standing for ". A comma at its beginning is left out where nothing
 * stands before it. $i is an int, $n a double, $N doubles and their number as a list, $s a text,
 * $S texts up to a NULL as a list, $b bytes and their number in base 64, $j JSON, $k a key and its
 * text, left out where that is empty. */
static void json(struct text *t, const char *form, ...) {
  va_list list;
  va_start(list, form);
  if (*form == ',' && (!t->size || strchr("[{:", t->data[t->size - 1]))) form++;
  for (; *form; form++) {
    if (*form == '\'') text_put(t, "\"");
    else if (*form != '$') text_bytes(t, form, 1);
    else if (*++form == 'i') text_add(t, "%d", va_arg(list, int));
    else if (*form == 's') json_string(t, va_arg(list, const char *));
    else if (*form == 'j') text_put(t, va_arg(list, const char *));
    else if (*form == 'n') {
      const double v = va_arg(list, double);
      if (!isfinite(v)) text_put(t, "null");
      else text_add(t, v == floor(v) && fabs(v) < 1e15 ? "%.0f" : "%.7g", v);
    } else if (*form == 'k') {
      const char *key = va_arg(list, const char *), *value = va_arg(list, const char *);
      if (value && *value) text_put(t, ","), json(t, "$s:$s", key, value);
    } else if (*form == 'b') {
      const void *bytes = va_arg(list, const void *);
      json_base64(t, bytes, va_arg(list, size_t));
    } else {
      text_put(t, "[");
      if (*form == 'S')
        for (const char *const *s = va_arg(list, const char *const *); *s; s++) json(t, ",$s", *s);
      else {
        const double *v = va_arg(list, const double *);
        for (size_t n = va_arg(list, size_t); n--; v++) json(t, ",$n", *v);
      }
      text_put(t, "]");
    }
  }
  va_end(list);
}

/* A cell of a CSV file, with the comma after it, which csv_end makes the end of the line. */
static void csv_text(struct text *t, const char *s) {
  const char *quote = s[strcspn(s, ",\"\n")] ? "\"" : "";
  text_put(t, quote);
  for (; *s; s++) text_bytes(t, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1);
  text_add(t, "%s,", quote);
}
static void csv_end(struct text *t) { t->data[t->size - 1] = '\n'; }

/* Ends the figure that is open, if one is, with its last item. What follows it calls this. */
static void figure_end(struct page *p) {
  if (!p->is_open) return;
  text_put(&p->sections, p->items ? "]}]}" : "}");
  if (*p->csv_name.text) text_save(&p->csv, in_folder(p->folder.text, p->csv_name.text).text);
  p->is_open = 0;
}

static void section(struct page *p, const char *id, const char *title, const char *said,
                    int folded) {
  figure_end(p);
  if (p->sections.size) text_put(&p->sections, "]}");
  json(&p->sections, ",\n{'id':$s,'title':$s$k,'folded':$j,'figures':[", id, title, "note", said,
       folded ? "true" : "false");
}

/* csv: the name of its file; NULL: none. What its kind has is to be added to the text. */
static struct text *figure(struct page *p, const char *kind, const char *title, const char *csv) {
  figure_end(p);
  p->csv_name = word_of("%s%s", csv ? csv : "", csv ? ".csv" : "");
  json(&p->sections, ",\n{'kind':$s,'title':$s$k", kind, title, "csv", p->csv_name.text);
  p->csv.size = 0;
  p->is_open = 1, p->items = 0;
  return &p->sections;
}

/* ---- tables ---- */

/* heads: "name" of a column of texts, "name|format" of one of numbers, up to a NULL. */
struct table {
  const char *const *heads;
  struct table_cell {
    char *text; /* NULL: the number; NAN: none */
    double number;
    const char *link; /* of a row's first cell: where it leads to, "": nowhere; NULL: of no row */
  } *cells;
  size_t count;
};

static void put_number(struct table *t, double number) {
  const struct table_cell c = {NULL, number, NULL};
  t->cells = grow(t->cells, t->count, sizeof c);
  t->cells[t->count++] = c;
}
static void put_text(struct table *t, const char *text) {
  put_number(t, NAN);
  t->cells[t->count - 1].text = copy_of(text);
}
/* A row's first cell, in a table whose rows lead somewhere. */
static void put_link(struct table *t, const char *text, const char *link) {
  put_text(t, text);
  t->cells[t->count - 1].link = link;
}
/* A row, or a part of one: for each letter of `form` a text (s), an int (i) or a double (n). */
static void put_row(struct table *t, const char *form, ...) {
  va_list list;
  va_start(list, form);
  for (; *form; form++)
    if (*form == 's') put_text(t, va_arg(list, const char *));
    else put_number(t, *form == 'i' ? va_arg(list, int) : va_arg(list, double));
  va_end(list);
}
static size_t columns_of(const struct table *t) {
  size_t columns = 0;
  while (t->heads[columns]) columns++;
  return columns;
}
static void table_free(struct table *t) {
  while (t->count) free(t->cells[--t->count].text);
  free(t->cells);
  t->cells = NULL;
}

/* A number in one of the page's formats. */
static struct word format_number(const char *format, double v) {
  return !isfinite(v)                     ? word_of("-")
         : strcmp(format, "percent") == 0 ? percent(v)
         : strcmp(format, "points") == 0  ? word_of("%+.2f", 100 * v)
         : strcmp(format, "count") == 0   ? grouped(v)
         : strcmp(format, "loss") == 0    ? loss_of(v)
         : strcmp(format, "seconds") == 0 ? duration(v)
                                          : word_of("%.4g", v);
}

/* A column's format; its name goes to `name`. */
static const char *format_of(const char *head, char name[128]) {
  const char *bar = strrchr(head, '|');
  snprintf(name, 128, "%.*s", (int)(bar ? bar - head : 127), head);
  return !bar ? "text" : bar[1] ? bar + 1 : "number";
}

/* The table as text, its columns flush right, but for the first and those without a name, as wide
 * as they are; without those that have nothing. Texts of more than `most` letters lose their
 * middle. Returns the lines' width. */
static int text_table(struct text *to, const struct table *t, int most) {
  const size_t columns = columns_of(t);
  int *width = allocate(2 * columns, sizeof *width), *is_shown = width + columns, all = 0;
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < columns + t->count; i++) {
      const size_t k = i % columns, at = to->size;
      const struct table_cell *c = i < columns ? NULL : &t->cells[i - columns];
      char name[128];
      const char *format = format_of(t->heads[k], name), *text = c && c->text ? c->text : name;
      struct word cell = format_number(format, c ? c->number : 0);
      if (c && !c->text) text = cell.text;
      const int size = (int)strlen(text), half = most / 2 - 1;
      if (size > most) cell = word_of("%.*s..%s", half, text, text + size - half), text = cell.text;
      const int says = c ? c->text ? *text : isfinite(c->number) : k == 0 || !t->count;
      if (!pass && says) is_shown[k] = 1;
      if (!pass && (int)strlen(text) > width[k]) width[k] = (int)strlen(text);
      if (pass && is_shown[k])
        text_add(to, !k ? "%-*s" : *name ? "  %*s" : "  %-*s", columns > 1 ? width[k] : 0, text);
      for (size_t b = at; b < to->size; b++)
        if (iscntrl((unsigned char)to->data[b])) to->data[b] = '?';
      while (pass && k == columns - 1 && to->size && to->data[to->size - 1] == ' ') to->size--;
      if (pass && k == columns - 1) text_put(to, "\n");
    }
  for (size_t k = 0; k < columns; k++) all += is_shown[k] ? width[k] + (k ? 2 : 0) : 0;
  free(width);
  return all;
}

enum { ON_STDOUT = 1, COLOURED = 2, CLOSED = 4, CURVES = 8, HEAT = 16, POINTS = 32 };
#include "data/tables.inc"

/* best: the column whose best row comes first, 0: none. CURVES: drawn as a series for each text in
 * the first column, of column `best` against the second, with POINTS as points. HEAT: as a heat
 * map. Frees the table. */
static void show_table(struct page *p, struct table *t, const char *title, const char *csv, int how,
                       int best) {
  const size_t columns = columns_of(t);
  const char *kind = how & CURVES ? "curves" : how & HEAT ? "heat" : "table";
  struct text *to = figure(p, kind, title, csv), plain = {0};
  char name[128];
  json(to, ",'columns':[");
  for (size_t k = 0; k < columns; k++) {
    const char *format = format_of(t->heads[k], name);
    json(to, ",[$s,$s]", name, format);
    csv_text(&p->csv, name);
  }
  json(to, "],'rows':[");
  for (size_t i = 0; i < t->count; i++) {
    const struct table_cell *c = &t->cells[i];
    if (i % columns == 0) csv_end(&p->csv), json(to, i ? "],[" : "[");
    const struct word number = isfinite(c->number) ? word_of("%.9g", c->number) : word_of("%s", "");
    if (c->text) json(to, ",$s", c->text);
    else json(to, ",$n", c->number);
    csv_text(&p->csv, c->text ? c->text : number.text);
  }
  csv_end(&p->csv);
  json(to, t->count ? "]]" : "]");
  if (!(how & (CURVES | HEAT))) {
    text_table(&plain, t, INT_MAX);
    if (how & ON_STDOUT) printf("%s%s\n%s", p->printed++ ? "\n" : "", title, plain.data);
    text_add(&p->tables, "%s\n%s\n", title, plain.data);
  }
  if (how & COLOURED) json(to, ",'coloured':true");
  if (how & CLOSED) json(to, ",'open':false");
  if (how & POINTS) json(to, ",'points':true");
  if (best) json(to, ",'best':$i", best);
  if (t->count && t->cells->link) {
    json(to, ",'links':[");
    for (size_t i = 0; i < t->count; i += columns) json(to, ",$s", t->cells[i].link);
    json(to, "]");
  }
  text_free(&plain);
  table_free(t);
}

/* ---- curves ---- */

/* A run's log, which is CSV, under a name, for curves. */
static void page_log(struct page *p, const char *name, const char *log) {
  json(&p->logs, ",\n$s:$s", name, log);
}

/* What the page draws of some of these: of one its training and test, of several each beside the
 * others. names: as it has them, up to a NULL; groups: headings, one for each; test: what the tests
 * were of. points: several runs may be of one name. */
static void show_logs(struct page *p, const char *const *names, const char *const *groups,
                      const char *test, int points) {
  json(figure(p, "logs", "Curves", NULL), ",'logs':$S,'groups':$S$k,'points':$j", names, groups,
       "test", test, points ? "true" : "false");
}

/* ---- pictures ---- */

/* heads: names of the grids of each row, up to a NULL; NULL: tiles. */
static void pictures(struct page *p, const char *title, const char *ink, const char *const *heads,
                     const char *csv) {
  struct text *t = figure(p, "pictures", title, csv);
  json(t, ",'ink':$s", ink);
  if (heads) json(t, ",'columns':$S", heads);
  text_put(&p->csv, "item,grid,place,value\n");
}
/* The next item, whose grids follow. */
static void item(struct page *p, const char *label, const char *said, const char *mark) {
  text_put(&p->sections, p->items++ ? "]}," : ",\"items\":[");
  json(&p->sections, "\n{'label':$s$k$k,'grids':[", label, "note", said, "mark", mark);
  p->grids = 0;
}

/* Arrays [n, channels, height, width] beside each other. */
struct grid {
  const nn_real *x;
  const int *dim;         /* channels, height, width */
  int n;                  /* 0 means 1 */
  const int (*part)[4];   /* top, left, height, width of what is shown of each; NULL: all */
  double most;            /* colours stand for 0 .. most; 0: for the range of each array */
  const char *ink;        /* NULL: the figure's */
  const struct grid *over; /* laid over it, or NULL */
};
enum { PIXELS = 1 }; /* `most` of an image, whose values are not in the CSV */

/* Adds it to the item. */
static void put_grid(struct page *p, const struct grid *g) {
  const int whole[1][4] = {{0, 0, g->dim[1], g->dim[2]}}, n = g->n ? g->n : 1, at = p->grids;
  const int (*part)[4] = g->part ? g->part : whole, channels = g->dim[0] == 3 ? 3 : 1;
  const int height = part[0][2], width = part[0][3];
  const size_t each = (size_t)(channels * height * width), count = (size_t)n;
  unsigned char *bytes = allocate(count * each, 1);
  nn_real *shown = allocate(each, sizeof *shown);
  double *least = allocate(2 * count, sizeof *least), *most = least + count;
  for (int k = 0; k < n; k++) {
    cut_out(g->x + k * g->dim[0] * g->dim[1] * g->dim[2], g->dim, channels, part[k], shown);
    most[k] = g->most;
    bytes_of(shown, each, &least[k], &most[k], bytes + (size_t)k * each);
    for (size_t i = 0; i < each && g->most != PIXELS; i++)
      text_add(&p->csv, "%d,%d,%zu,%.6g\n", p->items - 1, at + k, i, (double)shown[i]);
  }
  json(&p->sections, ",{'w':$i,'h':$i,'channels':$i,'count':$i,'least':$N,'most':$N$k,'bytes':$b",
       width, height, channels, n, least, count, most, count, "ink", g->ink, bytes, count * each);
  if (g->over) json(&p->sections, ",'over':"), put_grid(p, g->over);
  text_put(&p->sections, "}");
  p->grids = at + n;
  free(bytes), free(shown), free(least);
}

/* ---- of a model ---- */

/* Its layers, as a diagram, each with the shape of its weights. */
static void show_net(struct page *p, nn_model *m) {
  struct text *t = figure(p, "net", "The network", NULL);
  json(t, ",'layers':[");
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    const char *from[3] = {NULL};
    double shape[3], weights[4];
    nn_param w;
    for (int k = 0; k < n.rank; k++) shape[k] = n.dim[k];
    for (int k = 0; k < n.inputs; k++) from[k] = node_of(m, n.input[k]).name;
    if (nn_find_param(m, word_of("%s.weight", n.name).text, &w)) w.rank = 0;
    for (int k = 0; k < w.rank; k++) weights[k] = w.dim[k];
    json(t, ",\n{'name':$s,'kind':$s,'shape':$N,'weights':$N,'parameters':$n,'multiply_adds':$n",
         n.name, n.kind, shape, (size_t)n.rank, weights, (size_t)w.rank, (double)n.params, n.macs);
    if (n.inputs > 1 || (n.inputs && n.input[0] != i - 1)) json(t, ",'from':$S", from);
    json(t, "}");
  }
  json(t, "]");
}

/* The first layer's filters in some models: columns, or NULL of one. */
static void show_filters(struct page *p, nn_model *const *models, int count, const char *title,
                         const char *const *columns, const char *csv) {
  const nn_param w = first_weights(models[0]);
  pictures(p, title, "signed", columns, csv);
  if (!columns) json(&p->sections, ",'scale':'shared'");
  for (int f = 0; f < w.dim[0]; f++) {
    item(p, word_of("%d", f).text, NULL, NULL);
    for (int k = 0; k < count; k++)
      put_grid(p, &(struct grid){.dim = w.dim + 1, .x = first_weights(models[k]).value +
                                                        (size_t)f * w.count / (size_t)w.dim[0]});
  }
}

/* Images with their classes and the model's answers; one that comes twice in a row only once. */
static void show_answers(struct page *p, const char *title, nn_model *m, const nn_dataset *d,
                         const int *images, int count, const char *csv) {
  const int dim[3] = {d->channels, d->height, d->width};
  const int classes = node_of(m, nn_output_node(m)).dim[0];
  nn_real *x = allocate((size_t)(dim[0] * dim[1] * dim[2] + classes), sizeof *x);
  nn_real *share = x + dim[0] * dim[1] * dim[2];
  const nn_batch b = {.n = 1, .x = {x}};
  pictures(p, title, "gray", NULL, csv);
  p->csv.size = 0;
  text_put(&p->csv, "image,class,taken_for,probability_of_class,probability_of_taken\n");
  for (int i = 0; i < count; i++) {
    const int32_t index = images[i];
    int32_t label, found;
    if (i && images[i] == images[i - 1]) continue;
    if (nn_gather(d, &index, 1, NULL, NULL, x, &label) || nn_predict(m, &b, &found, share))
      fail("%s", nn_error(m));
    const struct word class = class_name(m, label), taken = class_name(m, found);
    item(p, line_of("%d: %s", images[i], class.text).text,
         line_of("%s %s", taken.text, percent((double)share[found]).text).text,
         found == label ? "right" : "wrong");
    put_grid(p, &(struct grid){.x = x, .dim = dim, .most = PIXELS});
    text_add(&p->csv, "%d,", images[i]);
    csv_text(&p->csv, class.text), csv_text(&p->csv, taken.text);
    text_add(&p->csv, "%.6g,%.6g\n", (double)share[label], (double)share[found]);
  }
  free(x);
}

/* Which classes are taken for which; the counts, which the caller frees. */
static int64_t *show_confusion(struct page *p, nn_model *m, const nn_dataset *d) {
  const size_t n = (size_t)node_of(m, nn_output_node(m)).dim[0];
  int64_t *counts = allocate(n * n, sizeof *counts);
  char (*names)[64] = allocate(n, sizeof *names);
  const char **heads = allocate(n + 2, sizeof *heads);
  struct table t = {heads, NULL, 0};
  must(m, nn_confusion(m, d, counts));
  heads[0] = "class";
  for (size_t k = 0; k < n; k++) {
    snprintf(names[k], sizeof names[k], "%s|count", class_name(m, (int)k).text);
    heads[k + 1] = names[k];
  }
  for (size_t i = 0; i < n * n; i++) {
    if (i % n == 0) put_text(&t, class_name(m, (int)(i / n)).text);
    put_number(&t, (double)counts[i]);
  }
  show_table(p, &t, "Which classes are taken for which", "confusion", HEAT, 0);
  free(names), free(heads);
  return counts;
}

/* ---- the page ---- */

/* Writes a page, with tables and data in place of its lines that hold only a marker; tables may be
 * NULL for a page without theirs. */
static void write_page(const char *path, const char *const *lines, const struct text *tables,
                       const struct text *data) {
  struct text page = {0}, to = {0};
  if (!*lines) page = read_bytes("data/report.html");
  for (; *lines; lines++) text_put(&page, *lines);
  text_put(&page, "");
  for (const char *at = page.data; *at;) {
    const size_t n = strcspn(at, "\n") + (strchr(at, '\n') != NULL);
    if (strncmp(at, "@TABLES@\n", n) == 0) text_bytes(&to, tables->data, tables->size);
    else if (strncmp(at, "@DATA@\n", n) == 0) text_bytes(&to, data->data, data->size);
    else text_bytes(&to, at, n);
    at += n;
  }
  text_save(&to, path);
  text_free(&page), text_free(&to);
}

/* Writes the page with all that was shown, and empties it. */
static void page_save(struct page *p, const char *name, const char *title) {
  struct text tables = {0}, data = {0};
  figure_end(p);
  if (p->sections.size) text_put(&p->sections, "]}");
  struct text *const parts[] = {&p->head, &p->logs, &p->sections, &p->tables, &p->csv, &tables};
  for (int k = 0; k < 6; k++) text_put(parts[k], ""); /* for those without anything */
  for (const char *c = p->tables.data; *c; c++)
    text_add(&tables, strchr("&<>", *c) ? "&#%d;" : "%c", *c);
  json(&data, "{'nn':$s,'title':$s$j,'logs':{$j},\n'sections':[$j]}\n", NN_VERSION, title,
       p->head.data, p->logs.data, p->sections.data);
  write_page(in_folder(p->folder.text, name).text, page_lines, &tables, &data);
  for (int k = 0; k < 6; k++) text_free(parts[k]);
  text_free(&data);
}

/* ========================================== @@RUN ===========================================
 * A run is its checkpoint last.nn, whose notes tell the command line, the data and the log so far.
 * What else is in its folder is output: log.csv, best.nn, snapshots, report.html. */

struct run {
  struct settings s;
  const struct data *d;
  char folder[PATH_SIZE];   /* "": another rank's part of a run, which writes nothing */
  lock *lock;               /* of the folder while it is trained in */
  nn_model *m;
  nn_dataset train, chosen; /* what it learns from; what tests on the way and the best go by */
  int32_t *index;           /* which samples those two have; NULL: all */
  const char *chosen_name;
  int64_t total, per_epoch, test_every, row_every; /* in steps */
  nn_progress progress;     /* which nn_fit keeps up to date */
  struct text log;          /* log.csv, as it is */
  double born;              /* Unix time at which it would have begun without a pause */
  nn_evaluation sum;        /* what its next line is made of */
  double gradient;          /* the norm of the last step's, for that line */
  double seconds, mark, drawn, paged; /* of training; when it was last counted; last drawings */
  int64_t saved;            /* the last checkpoint's step */
  int live, quiet;
  nn_evaluation tested;        /* the last test on the way; */
  nn_evaluation last, of_best; /* on the whole test set, at the end */
  char stuck[64];           /* a layer that says the same of every image */
  nn_message why;           /* it diverged */
  /* in a study: */
  int differs;              /* the option in which it is another run */
  const char *again;        /* the words that go on with it; else NULL */
};

static int diverged(const struct run *r) { return *r->why.text != 0; }
static int is_done(const struct run *r) {
  return r->progress.step >= r->total ||
         r->progress.not_better >= count_or(&r->s, OPT_PATIENCE, INT64_MAX);
}

/* Makes a folder and those above it. */
static void make_folders(const char *path) {
  const size_t n = strlen(path);
  for (size_t i = 1; i <= n; i++) {
    if (i < n && !strchr(separators, path[i])) continue;
    if (make_folder(path_of("%.*s", (int)i, path).text) && errno != EEXIST && i == n)
      fail("the folder %s cannot be made: %s", path, strerror(errno));
  }
}

/* Whether a folder has a file of that name. */
static int holds(const char *folder, const char *name) {
  return file_exists(in_folder(folder, name).text);
}

static void refuse_old(const char *folder) {
  if (holds(folder, "settings.txt"))
    fail("%s was made by nn 0.1, which kept settings.txt: go on with it by that version", folder);
}

/* A model's file: the best of a run's folder. */
static struct line model_path(const char *operand) {
  if (is_weights(operand))
    fail("%s has weights alone, no layers: make a model of it by "
         "nn convert %s model.nn --net RUN|MODEL, which has the layers", operand, operand);
  if (!is_folder(operand)) return path_of("%s", operand);
  refuse_old(operand);
  if (!holds(operand, "best.nn"))
    fail("%s is not the folder of a run: best.nn is missing", operand);
  return in_folder(operand, "best.nn");
}

static int holds_run(const char *folder) {
  refuse_old(folder);
  return holds(folder, "last.nn") || holds(folder, "last.nn.previous");
}

/* For what writes a report of its own into a folder. */
static void need_no_run(const char *folder) {
  if (holds_run(folder))
    fail("%s holds a run, whose report would be lost: give another --out", folder);
}

/* ---- the log: log.csv, and the same for other programs ---- */

/* Numbers as protobuf has them: the lowest byte first, or seven bits a byte. */
static void put_fixed(struct text *t, uint64_t x, int bytes) {
  for (; bytes--; x >>= 8) text_bytes(t, &(char){(char)(x & 255)}, 1);
}
static void put_varint(struct text *t, uint64_t x) {
  for (; x > 127; x >>= 7) put_fixed(t, (x & 127) | 128, 1);
  put_fixed(t, x, 1);
}

/* A value of a Summary: its tag, at most 100 letters, and a float. */
static void put_scalar(struct text *t, const char *tag, double value) {
  const union { float value; uint32_t bits; } number = {(float)value};
  const int n = (int)strlen(tag);
  text_add(t, "\n%c\n%c%s\025", n + 7, n, tag);
  put_fixed(t, number.bits, 4);
}

/* CRC-32C (Castagnoli; RFC 3720, B.4), masked as TensorFlow's record_writer does. */
static uint32_t masked_crc(const char *bytes, size_t size) {
  uint32_t crc = 0xFFFFFFFF;
  for (; size--; bytes++) {
    crc ^= (unsigned char)*bytes;
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
  }
  return ((~crc >> 15) | (~crc << 17)) + 0xA282EAD8;
}

/* A record of a TFRecord file: an Event of tensorflow/core/util/event.proto, of a time and the rest
 * of its fields. */
static void put_event(struct text *t, double time, const struct text *rest) {
  const union { double value; uint64_t bits; } number = {time};
  struct text event = {0};
  text_put(&event, "\t"), put_fixed(&event, number.bits, 8);
  text_bytes(&event, rest->data, rest->size);
  put_fixed(t, event.size, 8);
  put_fixed(t, masked_crc(t->data + t->size - 8, 8), 4);
  text_bytes(t, event.data, event.size);
  put_fixed(t, masked_crc(event.data, event.size), 4);
  text_free(&event);
}

/* Adds a row of the log to a file of JSON lines, and as an Event with a Summary of scalars. The row
 * behind it. */
static const char *put_log_row(const struct run *r, const char *row, struct text *lines,
                               struct text *events) {
  struct text summary = {0}, rest = {0};
  double v[LOG_COLUMNS];
  json(lines, "{");
  for (int k = 0; k < LOG_COLUMNS; k++) {
    const size_t n = strcspn(row, ",\n");
    v[k] = n ? strtod(row, NULL) : 0;
    if (n) json(lines, ",$s:$n", log_columns[k].name, v[k]);
    if (n && log_columns[k].tag) put_scalar(&summary, log_columns[k].tag, v[k]);
    row += n + (row[n] == ',');
  }
  text_put(lines, "}\n");
  text_put(&rest, "\020"), put_varint(&rest, (uint64_t)v[LOG_STEP]);
  text_put(&rest, "*"), put_varint(&rest, summary.size);
  text_bytes(&rest, summary.data, summary.size);
  put_event(events, r->born + v[LOG_SECONDS], &rest);
  text_free(&summary), text_free(&rest);
  row += strcspn(row, "\n");
  return row + (*row != 0);
}

/* Writes the log from a byte of it on, 0: anew. */
static void write_log(const struct run *r, size_t from) {
  static const char *const files[] = {"log.csv", "log.jsonl", "events.out.tfevents.nn"};
  const int wanted[] = {1, is_set(&r->s, OPT_JSONL), is_set(&r->s, OPT_TENSORBOARD)};
  char begins[] = "\032\015brain.Event:2";
  const struct text version = {begins, sizeof begins - 1, 0};
  struct text parts[3] = {{0}};
  const char *row = r->log.data + from;
  text_put(&parts[0], row);
  if (!from) put_event(&parts[2], r->born, &version), row += strcspn(row, "\n") + 1;
  while (*row) row = put_log_row(r, row, &parts[1], &parts[2]);
  for (int k = 0; k < 3; k++) {
    if (wanted[k]) (from ? text_append : text_save)(&parts[k], in_folder(r->folder, files[k]).text);
    text_free(&parts[k]);
  }
}

/* Adds a line: the means of training since the line before, and a test or NULL. */
static void add_row(struct run *r, const nn_evaluation *test) {
  const double n = fmax((double)r->sum.rows, 1), step = (double)r->progress.step;
  const size_t before = r->log.size;
  text_add(&r->log, "%.0f,%.9g,%.9g,%.9g,", step, step / (double)r->per_epoch, r->sum.loss / n,
           (double)r->sum.correct / n);
  if (test) text_add(&r->log, "%.9g,%.9g", fabs(test->loss), test->accuracy); /* nan, not -nan */
  else text_put(&r->log, ",");
  text_add(&r->log, ",%.9g,%.3f,%.9g\n", nn_rate(r->m), r->seconds, fabs(r->gradient));
  memset(&r->sum, 0, sizeof r->sum);
  write_log(r, before);
}

/* ---- notes ---- */

/* Notes what a checkpoint needs beside what the engine keeps; nn_fit's callback before each. */
static int note_state(void *user, nn_model *m, const nn_progress *p) {
  struct run *r = user;
  const struct line state = line_of("%.17g %.17g %lld %lld", r->seconds, r->sum.loss,
                                    (long long)r->sum.correct, (long long)r->sum.rows);
  must(m, nn_set_note(m, "state", state.text));
  must(m, nn_set_note(m, "log", r->log.data));
  r->saved = p->step;
  return 0;
}

static void save_run(struct run *r) {
  note_state(r, r->m, &r->progress);
  must(r->m, nn_save_checkpoint(r->m, &r->progress, in_folder(r->folder, "last.nn").text));
}

/* Whether a model notes that it has learned from data of this checksum. */
static int knows_data(nn_model *m, uint32_t crc) {
  const char *data = nn_note(m, "data");
  return data && strstr(data, word_of("\n%08lx", (unsigned long)crc).text);
}

/* The images of a run, or those of another --data. remedy: where images of one's own are gone. */
static void run_data(struct data *d, struct settings *s, const struct settings *typed,
                     const char *remedy) {
  const char *path = s->v[OPT_OWN_IMAGES].text;
  if (typed->v[OPT_DATA].given) s->v[OPT_DATA] = typed->v[OPT_DATA];
  if (*path && !is_folder(path) && !file_exists(path))
    fail("there is no %s, which has the images: %s", path, remedy);
  data_find(d, s, 1);
}

/* The settings of the run that a model is of, from its note. 0 if it notes none that this version
 * understands, and why. */
static int noted_settings(nn_model *m, struct settings *s, nn_message *why) {
  enum { WORDS = 2 * OPTION_COUNT + 2 };
  const char *list[WORDS], *command = nn_note(m, "command");
  nn_isa isa;
  snprintf(why->text, sizeof why->text, "it does not say which command of nn trained it");
  if (!command) return 0;
  const int count = split(keep(command), list, WORDS);
  const struct command *c = count > 1 ? find_command(list[1]) : NULL;
  if (!c || !(c->bit & TRAIN)) return 0;
  set_standards(s, c);
  struct line unread = read_words(s, count - 2, list + 2);
  s->operand = NULL;
  /* kernels that cannot run here are no reason to end */
  if (is_set(s, OPT_ISA) &&
      (nn_isa_find(s->v[OPT_ISA].text, &isa) || !nn_isa_available(isa))) s->v[OPT_ISA].text = "";
  if (!*unread.text) unread = complete(s);
  snprintf(why->text, sizeof why->text, "it notes a command line of another version: %.180s",
           unread.text);
  return !*unread.text;
}

/* ---- steps and tests ---- */

/* Steps, intervals, and the images that tests on the way use. */
static void run_plan(struct run *r) {
  const struct settings *s = &r->s;
  const int by_steps = is_set(s, OPT_STEPS), validates = is_set(s, OPT_VALIDATION);
  const double batch = number_of(s, OPT_BATCH);
  const nn_dataset *all = validates ? &r->d->train : &r->d->test;
  nn_dataset rest;
  double share = number_of(s, OPT_VALIDATION);
  /* Going forward and back costs three times going forward: a sample this large is tested in less
   * than a tenth of the time of the steps since the last test. */
  if (!validates)
    share = !by_steps || is_set(s, OPT_TEST_EVERY) ? 1
            : fmax(floor(ceil(number_of(s, OPT_STEPS) / 10) * batch / 5), 1) / all->count;
  r->train = r->d->train;
  r->chosen = r->d->test;
  r->chosen_name = validates ? "validation images"
                   : share < 1 ? "a sample of the test images" : "test images";
  if (share < 1) {
    r->index = allocate((size_t)all->count, sizeof *r->index);
    if (nn_dataset_split(all, share, validates ? (uint64_t)number_of(s, OPT_SEED) : 1, r->index,
                         validates ? &r->train : &rest, &r->chosen))
      fail("--validation %s leaves no images to train on or none to hold out",
           s->v[OPT_VALIDATION].text);
  }
  r->per_epoch = (int64_t)ceil(r->train.count / batch);
  r->total = count_or(s, OPT_STEPS, (int64_t)number_of(s, OPT_EPOCHS) * r->per_epoch);
  r->test_every = count_or(s, OPT_TEST_EVERY, by_steps ? (r->total + 9) / 10 : r->per_epoch);
  r->row_every = r->total < 2000 ? 10 : (r->total + 199) / 200;
  if (r->total / r->test_every > 100000)
    refuse(s, "%lld tests are too many for a log: give a larger --test-every",
           (long long)(r->total / r->test_every));
  r->quiet |= is_set(s, OPT_QUIET);
  r->live = !is_set(s, OPT_QUIET) && is_terminal(stderr) &&
            strcmp(getenv("TERM") ? getenv("TERM") : "dumb", "dumb") != 0;
}

static struct line snapshot_path(const char *folder, int64_t step) {
  return in_folder(folder, word_of("snapshots/step-%lld.nn", (long long)step).text);
}
/* Writes one if it is due. The first of --snapshots are closest: there a net changes most. */
static void write_snapshot(struct run *r) {
  int due = 0;
  for (int k = whole_or(&r->s, OPT_SNAPSHOTS, 0); k > 0; k--) {
    const double share = k / number_of(&r->s, OPT_SNAPSHOTS);
    due |= (int64_t)ceil((double)r->total * share * share) == r->progress.step;
  }
  if (!due) return;
  make_folders(in_folder(r->folder, "snapshots").text);
  must(r->m, nn_save(r->m, snapshot_path(r->folder, r->progress.step).text));
}

static struct word samples_per_second(const struct run *r) {
  return grouped((double)r->progress.step * r->train.count / (double)r->per_epoch /
                 fmax(r->seconds, 1e-9));
}

static void clear_live(const struct run *r) {
  if (r->live) fputs("\r\033[K", stderr);
}

/* Tells where it stands: after a test in a line of its own, else in one that is drawn over, cut so
 * that it never wraps. */
static void tell_progress(struct run *r, int after_test) {
  const nn_progress *p = &r->progress;
  const int steps = is_set(&r->s, OPT_STEPS), columns = terminal_columns();
  const int64_t each = steps ? 1 : r->per_epoch;
  struct text t = {0};
  text_add(&t, "%s %s %lld/%lld  loss %s  train %s  ", net_name(&r->s),
           steps ? "step" : "epoch", (long long)((p->step + each - 1) / each),
           (long long)(r->total / each), loss_of(p->loss).text, percent(p->accuracy).text);
  if (r->tested.rows)
    text_add(&t, "%s %s%s  ", is_set(&r->s, OPT_VALIDATION) ? "validation" : "test",
             percent(r->tested.accuracy).text,
             after_test && p->best_step == p->step ? " (best)" : "");
  if (after_test)
    text_add(&t, "%s samples/s  %s\n", samples_per_second(r).text, duration(r->seconds).text);
  else text_add(&t, "%s left",
                duration(r->seconds * ((double)r->total / (double)p->step - 1)).text);
  clear_live(r);
  fprintf(stderr, "%.*s", after_test ? (int)t.size : (columns > 0 ? columns : 80) - 1, t.data);
  fflush(stderr);
  r->drawn = r->mark;
  text_free(&t);
}

/* ---- the report ---- */

/* "test accuracy 99.13 % (best 99.20 % at epoch 9, chosen by validation images)"; or, beside these
 * two figures, "The best is the model of epoch 9, chosen by validation images" */
static struct line result_line(const struct run *r, int beside) {
  const nn_progress *p = &r->progress;
  const double best = (double)p->best_step;
  const struct word at = is_set(&r->s, OPT_STEPS) ? word_of("step %s", grouped(best).text)
                         : word_of("epoch %.3g", best / (double)r->per_epoch);
  struct word chosen = {""};
  struct line early = {""}, bad = {""};
  if (r->index && (is_set(&r->s, OPT_VALIDATION) || p->best_step != p->step))
    chosen = word_of(", chosen by %s", r->chosen_name); /* the last step's test is of all images */
  if (p->step < r->total && is_done(r))
    early = line_of("; stopped at step %s of %s, for %lld tests were no better",
                    grouped((double)p->step).text, grouped((double)r->total).text,
                    (long long)p->not_better);
  if (*r->stuck) bad = line_of("; the net is dead: %s for every image", r->stuck);
  else if (r->last.accuracy * r->d->classes < 1.05)
    bad = line_of("; that is no better than chance");
  if (beside)
    return line_of("The best is the model of %s%s%s%s", at.text, chosen.text, early.text, bad.text);
  return line_of("test accuracy %s (best %s at %s%s)%s%s", percent(r->last.accuracy).text,
                 percent(r->of_best.accuracy).text, at.text, chosen.text, early.text, bad.text);
}

/* The network and what it answers. */
static void show_run(struct page *p, const struct run *r) {
  enum { ANSWERS = 24 };
  int images[ANSWERS];
  section(p, "net", "The network", NULL, 0);
  show_net(p, r->m);
  section(p, "answers", "What it answers", NULL, 0);
  for (int k = 0; k < ANSWERS; k++) /* spread evenly: they may be sorted by class */
    images[k] = (int)((int64_t)k * r->d->test.count / ANSWERS);
  show_answers(p, "Some test images", r->m, &r->d->test, images, ANSWERS, NULL);
  section(p, "confusion", "Confusion", NULL, 0);
  free(show_confusion(p, r->m, &r->d->test));
  if (!first_weights(r->m).value) return;
  section(p, "filters", "The first layer's filters", NULL, 0);
  show_filters(p, &r->m, 1, "After training", NULL, NULL);
}

/* The page of the run as it stands; of one that is at its end all of it. */
static void write_report(struct run *r) {
  static const char *const log[] = {"run", NULL};
  struct table t = {setting_heads, NULL, 0};
  struct page p = {.folder = path_of("%s", r->folder)};
  const int ended = r->last.rows > 0, goes_on = !ended && !diverged(r) && !stop_signal;
  page_log(&p, "run", r->log.data);
  json(&p.head, "$k", "summary", line_of("%s%s%s%s", r->d->said, *r->d->said ? " " : "",
       ended ? result_line(r, 1).text : "", ended ? "." : "").text);
  if (!ended)
    json(&p.head, "$k", "state", line_of("%s: step %s of %s", goes_on ? "Training" : stop_signal ?
         "Stopped" : "Diverged", grouped((double)r->progress.step).text,
         grouped((double)r->total).text).text);
  if (goes_on) json(&p.head, ",'refresh':5");
  if (r->again) json(&p.head, ",'links':[['all rows','../../report.html']]");
  else if (holds(r->folder, "look/all.html"))
    json(&p.head, ",'links':[['what it has learned','look/all.html']]");
  json(&p.head, ",'facts':[");
  if (ended)
    json(&p.head, "['test accuracy','percent',$n,$s],['best','percent',$n,$s]",
         r->last.accuracy, word_of("at the end, of %s images", grouped(r->d->test.count).text).text,
         r->of_best.accuracy, word_of("chosen by %.40s", r->chosen_name).text);
  json(&p.head, ",['time','seconds',$n,'without tests'],['parameters','count',$n],"
       "['samples a second','text',$s]]", r->seconds, (double)parameter_count(r->m),
       samples_per_second(r).text);
  section(&p, "training", "Training", NULL, 0);
  show_logs(&p, log, log + 1, r->chosen_name, 0);
  if (ended) show_run(&p, r);
  section(&p, "settings", "Settings", NULL, 1);
  put_row(&t, "ssssss", "command", nn_note(r->m, "command"), "data", nn_note(r->m, "data"),
          "images", data_line(r->d).text);
  show_table(&p, &t, "Settings", NULL, 0, 0);
  page_save(&p, "report.html", line_of("%s on %s", net_name(&r->s), r->d->name).text);
  r->paged = now();
}

/* ---- training ---- */

/* nn_fit's callback before each step: what the next line of the log tells of its gradient. */
static nn_status on_gradient(void *user, nn_model *m, const nn_progress *p) {
  struct run *r = user;
  const int64_t step = p->step + 1;
  if (step % r->row_every == 0 || step % r->test_every == 0 || step == r->total)
    r->gradient = nn_gradient_norm(m);
  return NN_OK;
}

/* And after it: the log, snapshots, the live line; whether to stop. */
static int on_step(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *step) {
  struct run *r = user;
  const double time = now();
  if (!*r->folder) return stop_signal != 0;
  r->seconds += time - r->mark;
  if (p->left_out == 1 && step->rows == 0) {
    clear_live(r);
    note("a step is left out, as others like it will be: %s", nn_error(m));
  }
  r->sum.loss += step->loss * (double)step->rows;
  r->sum.correct += step->correct;
  r->sum.rows += step->rows;
  const int tests = p->step % r->test_every == 0 || p->step == r->total;
  if (!tests && p->step % r->row_every == 0) add_row(r, NULL); /* else the line follows the test */
  write_snapshot(r);
  if (time - r->paged > 5) write_report(r);
  r->mark = now();
  if (r->live && r->mark - r->drawn >= .1) tell_progress(r, 0);
  return stop_signal != 0;
}

/* Its callback after each test. The last one is of all test images. */
static int on_validation(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *e) {
  struct run *r = user;
  (void)p;
  if (is_done(r) && !is_set(&r->s, OPT_VALIDATION)) {
    r->last = *e;
    if (r->index) must(m, nn_evaluate(m, &r->d->test, &r->last));
    e = &r->last;
  }
  if (!*r->folder) return 0;
  r->tested = *e;
  add_row(r, e);
  if (!r->quiet) tell_progress(r, 1);
  r->mark = now();
  return 0;
}

/* Its clock, which it asks after a checkpoint: training goes on. */
static double clock_of(void *user) { return ((struct run *)user)->mark = now(); }

/* nn_fit of a run, of which all ranks take a share, beginning with a copy of rank 0's model. */
static nn_status run_fit(struct run *r) {
  const struct line last = in_folder(r->folder, "last.nn"), best = in_folder(r->folder, "best.nn");
  const int writes = *r->folder != 0;
  size_t size = writes && rank_count() > 1 ? nn_save_size(r->m, &r->progress) : 0;
  nn_fit_options fit = {
      .steps = r->total, .batch = whole_of(&r->s, OPT_BATCH), .progress = &r->progress,
      .keep_going = is_set(&r->s, OPT_KEEP_GOING), .validation = &r->chosen,
      .validate_every = r->test_every, .patience = count_or(&r->s, OPT_PATIENCE, 0),
      .on_gradient = on_gradient, .on_step = on_step, .on_validation = on_validation,
      .on_save = note_state, .user = r};
  read_augment(r->s.v[OPT_AUGMENT].text, &fit.augment);
  fit.augment.fill = r->d->mean;
  if (writes) {
    fit.path = last.text, fit.save_every = count_or(&r->s, OPT_SAVE_EVERY, r->test_every);
    fit.save_seconds = (double)count_or(&r->s, OPT_SAVE_SECONDS, 0), fit.clock = clock_of;
    fit.best_path = best.text;
  }
  if (size) {
    void *bytes = allocate(size, 1);
    must(r->m, nn_save_memory(r->m, &r->progress, bytes, size));
    free(share_bytes(bytes, &size));
  }
  catch_signals();
  use_ranks(r->m, 1);
  const nn_status status = nn_fit(r->m, &r->train, &fit);
  use_ranks(r->m, 0);
  return status;
}

enum { WATCHED = 200 };

/* nn_survey's callback: what says the same of all images, a rectifier, a tanh or the answer where
 * they are of several classes. */
static nn_status find_stuck(void *user, nn_model *m, const nn_batch *b, int first) {
  struct run *r = user;
  int32_t found[WATCHED];
  int answers = 0, labels = 0;
  (void)first;
  for (int i = 0; i < nn_node_count(m); i++) {
    const nn_node_info n = node_of(m, i);
    const int relu = strcmp(n.kind, "relu") == 0;
    nn_moments s = {0};
    if (!relu && strcmp(n.kind, "tanh") != 0) continue;
    must(m, nn_observe(m, i, &s, NULL, NULL));
    /* of a tanh that says +-1 no gradient is left */
    if (relu ? s.zeros == s.count : s.mean * s.mean + nn_moments_variance(&s) > .9995)
      snprintf(r->stuck, sizeof r->stuck, "%s gives %s", n.name, relu ? "0" : "+-1");
  }
  must(m, nn_predict(m, b, found, NULL));
  for (int i = 1; i < b->n; i++)
    answers += found[i] != found[0], labels += b->labels[i] != b->labels[0];
  if (!*r->stuck && !answers && labels)
    snprintf(r->stuck, sizeof r->stuck, "it gives %.50s", class_name(m, found[0]).text);
  return NN_OK;
}

/* The whole test set, for the last model and the best; then all is kept. */
static void run_finish(struct run *r) {
  const struct line last = in_folder(r->folder, "last.nn"), best = in_folder(r->folder, "best.nn");
  nn_config c = config_of(&r->s);
  nn_dataset d = r->d->test;
  int32_t watched[WATCHED];
  if (!r->last.rows) must(r->m, nn_evaluate(r->m, &d, &r->last));
  r->of_best = r->last;
  if (r->progress.best_step && r->progress.best_step != r->progress.step) {
    nn_model *m = load_model(best.text, &c).model;
    must(m, nn_evaluate(m, &d, &r->of_best));
    nn_destroy(m);
  }
  /* Where there is none, or it is as good as the best of a sample, which is chance: */
  if ((!r->progress.best_step && isfinite(r->last.loss)) ||
      (r->index && !is_set(&r->s, OPT_VALIDATION) && r->last.accuracy >= r->of_best.accuracy)) {
    must(r->m, nn_save(r->m, best.text));
    r->progress.best_step = r->progress.step;
    r->of_best = r->last;
  }
  if (!file_exists(last.text)) save_run(r); /* it went on from the one before */
  draw_some(&d, WATCHED, watched); /* any of them: they may be sorted by class */
  c.batch = WATCHED;
  c.keep_activations = c.inference = 1;
  nn_model *kept = load_model(last.text, &c).model;
  must(kept, nn_survey(kept, &d, find_stuck, r));
  nn_destroy(kept);
  const struct line result = line_of(
      "accuracy=%.9g best=%.9g best_step=%lld diverged=%d seconds=%.3f%s%s", r->last.accuracy,
      r->of_best.accuracy, (long long)r->progress.best_step, diverged(r), r->seconds,
      *r->stuck ? "\n" : "", r->stuck);
  must(r->m, nn_set_note(r->m, "result", result.text));
  save_run(r);
  if (r->again) remove(in_folder(r->folder, "last.nn.previous").text); /* rows are many */
}

/* Trains to the end, a divergence or a signal. 0, or the signal. */
static int run_train(struct run *r) {
  const struct settings *s = &r->s;
  nn_status status = NN_OK;
  r->saved = r->progress.step;
  r->paged = now();
  if (!r->quiet)
    fprintf(stderr, "%s: %s parameters, %s steps of %d%s, %s kernels, in %s\n", net_name(s),
            grouped((double)parameter_count(r->m)).text, grouped((double)r->total).text,
            whole_of(s, OPT_BATCH),
            rank_count() > 1 ? word_of(" on %d ranks", rank_count()).text : "",
            s->v[OPT_ISA].text, r->folder);
  if (!is_done(r)) status = run_fit(r);
  clear_live(r);
  if (status == NN_ERR_DIVERGED) snprintf(r->why.text, sizeof r->why.text, "%s", nn_error(r->m));
  else if (status < 0) fail("%s", nn_error(r->m));
  if (is_done(r) || (diverged(r) && r->again)) run_finish(r);
  write_report(r);
  if (r->progress.left_out && !diverged(r))
    note("%s of %s steps were left out, as --keep-going asks for",
         grouped((double)r->progress.left_out).text, grouped((double)r->progress.step).text);
  if (is_done(r) || diverged(r)) return 0;
  struct text t = {0};
  text_word(&t, s->program ? s->program : "nn");
  text_add(&t, " %s --resume ", s->command->name);
  text_word(&t, r->folder);
  fprintf(stderr, "nn: stopped at step %lld of %lld and saved; go on with: %s\n",
          (long long)r->progress.step, (long long)r->total, r->again ? r->again : t.data);
  text_free(&t);
  return stop_signal ? stop_signal : SIGTERM; /* another rank had one */
}

/* ---- beginning and going on ---- */

/* The folder that --out names, or the first free one runs/NAME-NNN. */
static struct line choose_folder(const struct settings *s, const char *name) {
  const char *out = s->v[OPT_OUT].text;
  make_folders(*out ? out : "runs");
  for (int i = 1; !*out; i++) {
    const struct line path = path_of("runs/%s-%03d", name, i);
    if (make_folder(path.text) == 0) return path;
    if (errno != EEXIST) fail("the folder %s cannot be made: %s", path.text, strerror(errno));
  }
  if (holds_run(out))
    fail("%s already holds a run: give another --out, or go on with it by --resume %s", out, out);
  if (holds(out, "report.html"))
    fail("%s/report.html is that of a sweep, demo or the like: give another --out", out);
  return path_of("%s", out);
}

/* The last checkpoint, as a model to be read, or where it is damaged the one before. */
static nn_status load_last(const char *folder, nn_load_result *loaded, nn_message *why) {
  nn_config c = nn_config_default();
  c.inference = c.batch = 1;
  const nn_status status = nn_load(in_folder(folder, "last.nn").text, &c, loaded, why);
  return status ? nn_load(in_folder(folder, "last.nn.previous").text, &c, loaded, NULL) : status;
}

/* A new model, with what it begins with noted. */
static void make_model(struct run *r, nn_config *c) {
  const char *from = r->s.v[OPT_FROM].text;
  const struct line data = line_of("%s\n%08lx", r->d->name, (unsigned long)r->d->crc);
  const struct word range = word_of("%g %g", (double)r->d->least, (double)r->d->greatest);
  nn_weights w;
  r->m = build_model(&r->s, c, r->d, r->total);
  must(r->m, nn_get_config(r->m, c));
  give(&r->s, OPT_ISA, nn_isa_name(c->isa));
  must(r->m, nn_set_note(r->m, "data", data.text));
  if (r->d->class_names.size) must(r->m, nn_set_note(r->m, "classes", r->d->class_names.data));
  if (r->d->train.values) must(r->m, nn_set_note(r->m, "range", range.text));
  for (int k = 0; k < LOG_COLUMNS; k++)
    text_add(&r->log, "%s%c", log_columns[k].name, k + 1 < LOG_COLUMNS ? ',' : '\n');
  if (!*from) return;
  const struct line path = is_weights(from) && !is_folder(from) ? path_of("%s", from)
                                                                : model_path(from);
  need_own(path.text);
  must(r->m, nn_load_weights(r->m, path.text, NULL, &w));
  note("%d arrays come from %s; %d are not in it and %d have another shape%s%s", w.found, from,
       w.missing, w.reshaped, w.reshaped ? ", as " : "", w.first_reshaped);
}

/* That of the last checkpoint, with all that it notes. */
static void load_checkpoint(struct run *r, const nn_config *c) {
  const struct line last = in_folder(r->folder, "last.nn"), best = in_folder(r->folder, "best.nn");
  nn_load_result loaded, best_one = {0};
  nn_optimizer o;
  nn_message why;
  long long correct, rows;
  if (nn_resume(last.text, c, &loaded, &why)) fail("%s", why.text);
  if (loaded.previous)
    note("%s; going on from the checkpoint before it, step %lld", why.text,
         (long long)loaded.progress.step);
  r->m = loaded.model;
  r->progress = loaded.progress;
  const char *state = nn_note(r->m, "state"), *log = nn_note(r->m, "log");
  const char *data = nn_note(r->m, "data");
  if (!knows_data(r->m, r->d->crc))
    fail("%s was trained on other data (%s) than %s from %s (checksum %08lx): give its --%s",
         r->folder, data ? data : "not noted", r->d->name, r->d->where, (unsigned long)r->d->crc,
         r->s.command->bit == OWN ? "images" : "data");
  if (!log || !state ||
      sscanf(state, "%39lf %39lf %lld %lld", &r->seconds, &r->sum.loss, &correct, &rows) != 4 ||
      !(r->seconds >= 0 && isfinite(r->seconds)))
    fail("%s cannot be resumed: the notes of its run are missing or damaged", last.text);
  r->sum.correct = correct, r->sum.rows = rows;
  text_put(&r->log, log);
  if (r->progress.best_step && nn_load(best.text, c, &best_one, NULL)) {
    note("%s is missing or damaged: %s", best.text,
         is_done(r) ? "the last model takes its place" : "the next test writes it anew");
    r->progress.best_step = 0;
  }
  nn_destroy(best_one.model);
  must(r->m, nn_get_optimizer(r->m, &o));
  if (r->total < r->progress.step)
    fail("%s is at step %lld already and cannot end at step %lld: give more --steps or --epochs",
         r->folder, (long long)r->progress.step, (long long)r->total);
  if (o.schedule.total != r->total && r->index && !is_set(&r->s, OPT_VALIDATION))
    r->progress.best_step = 0; /* it was the best on another sample */
  o = optimizer_of(&r->s, r->total);
  must(r->m, nn_set_optimizer(r->m, &o));
}

/* Begins the run in its folder, or goes on where its last checkpoint is: settings are complete, d
 * is there. A checkpoint is written at once, so that there is something to go on with wherever it
 * is killed, and its log.csv is as long as the run. */
static void run_begin(struct run *r) {
  struct text command = {0};
  nn_config c = config_of(&r->s);
  c.notes = 1 << 24; /* the most there may be: nobody knows how long the log gets */
  r->lock = take_folder(r->folder);
  run_plan(r);
  const int begins = !holds_run(r->folder);
  if (begins) make_model(r, &c);
  else load_checkpoint(r, &c);
  if (!is_done(r)) must(r->m, nn_set_note(r->m, "result", NULL));
  write_back(&command, &r->s);
  must(r->m, nn_set_note(r->m, "command", command.data));
  text_free(&command);
  if (begins) save_run(r);
  r->born = (double)time(NULL) - r->seconds;
  write_log(r, 0);
}

static void run_free(struct run *r) {
  leave_folder(r->lock);
  nn_destroy(r->m);
  text_free(&r->log);
  free(r->index);
}

/* The options of a resumed run: those it notes, but for those that may change. */
static void resume_settings(struct run *r, const struct settings *typed) {
  static const char may[] = "steps|epochs|patience|keep-going|images|labels|test|test-labels";
  struct settings *s = &r->s;
  nn_load_result loaded;
  nn_message why;
  strcpy(r->folder, path_of("%s", typed->v[OPT_RESUME].text).text);
  if (!holds_run(r->folder)) fail("%s is not the folder of a run: last.nn is missing", r->folder);
  if (load_last(r->folder, &loaded, &why)) fail("%s; nor can last.nn.previous be read", why.text);
  if (!noted_settings(loaded.model, s, &why)) fail("%s/last.nn: %s", r->folder, why.text);
  nn_destroy(loaded.model);
  if (s->command != typed->command)
    fail("%s was begun by nn %s: go on with it by nn %s --resume %s", r->folder, s->command->name,
         s->command->name, r->folder);
  if (typed->v[OPT_STEPS].given && typed->v[OPT_EPOCHS].given)
    refuse(typed, "--epochs and --steps exclude each other");
  if (typed->v[OPT_STEPS].given) s->v[OPT_EPOCHS].text = "";
  if (typed->v[OPT_EPOCHS].given) s->v[OPT_STEPS].text = "";
  for (int o = 0; o < OPTION_COUNT; o++)
    if (typed->v[o].given && (options[o].commands & (OUTWARD | UNNOTED) ||
                              find_word(may, options[o].name, NULL) >= 0))
      s->v[o] = typed->v[o];
  const int o = differing(s, typed, 1);
  if (o >= 0)
    refuse(typed, "--%s %s is not what this run has (%s): omit it to resume", options[o].name,
           typed->v[o].text, is_set(s, (enum option)o) ? s->v[o].text : "none");
  s->program = typed->program;
}

/* nn cifar10, mnist and train with one value for each option. */
static int run_command(struct settings *typed) {
  const int resumes = is_set(typed, OPT_RESUME);
  struct run r = {.s = *typed};
  struct data d;
  if (resumes) {
    if (typed->v[OPT_OUT].given)
      wrong(typed->command->name, "--resume goes on in its own folder: leave --out away");
    resume_settings(&r, typed);
  } else {
    need_right(&r.s, complete(&r.s));
  }
  const char *from = r.s.v[OPT_FROM].text;
  if (*from && !resumes && !is_folder(from) && !file_exists(from))
    fail("%s: %s", from, strerror(ENOENT));
  run_data(&d, &r.s, typed, "give other --images");
  tell_data(&d, is_set(&r.s, OPT_QUIET));
  r.d = &d;
  if (!resumes)
    strcpy(r.folder, choose_folder(&r.s, r.s.command->bit == CIFAR10
                                         ? "cifar10" : r.s.v[OPT_CELL].text).text);
  run_begin(&r);
  const int stopped = run_train(&r);
  if (diverged(&r))
    fail("training diverged: %s. Give a lower --lr, --clip-norm 1 or --keep-going; %s/last.nn "
         "keeps step %lld", r.why.text, r.folder, (long long)r.saved);
  if (!stopped && r.progress.best_step == 0)
    fail("no test had a finite loss, so there is no best model: give a lower --lr or --clip-norm 1 "
         "(%s)", r.folder);
  if (!stopped)
    printf("%s on %s: %s, %s parameters, %s of training; %s/report.html\n%s%s", net_name(&r.s),
           d.name, result_line(&r, 0).text, grouped((double)parameter_count(r.m)).text,
           duration(r.seconds).text, r.folder, d.said, *d.said ? "\n" : "");
  run_free(&r);
  data_free(&d);
  return stopped ? 128 + stopped : 0;
}

/* Takes a share of each run that rank 0 begins, and writes nothing but why it fails. The run's
 * model notes its command line. */
static int follow(void) {
  for (;;) {
    struct run r = {.folder = ""};
    struct data d;
    nn_load_result loaded;
    nn_message why;
    nn_config c = nn_config_default();
    size_t size = 0;
    void *bytes = share_bytes(NULL, &size);
    if (!size) return 0;
    c.inference = c.batch = 1;
    if (nn_load_memory(bytes, size, &c, &loaded, &why) ||
        !noted_settings(loaded.model, &r.s, &why))
      fail("%s", why.text);
    nn_destroy(loaded.model);
    data_find(&d, &r.s, 1);
    r.d = &d;
    run_plan(&r);
    c = config_of(&r.s);
    if (nn_load_memory(bytes, size, &c, &loaded, &why)) fail("%s", why.text);
    free(bytes);
    r.m = loaded.model, r.progress = loaded.progress;
    if (!knows_data(r.m, d.crc))
      fail("this machine has other images than the first one: %s from %s", d.name, d.where);
    run_fit(&r); /* rank 0 says how it ended */
    run_free(&r);
    data_free(&d);
    forget();
  }
}

/* ========================================= @@STUDY ==========================================
 * Many runs in one table: a trial is a row of it, with a run for each seed in OUT/ROW/seed-N. An
 * experiment, a sweep and the demonstration differ in the command lines that their trials are made
 * of. A finished run's figures stand in its last.nn. */

enum { SWEEP, STUDY_1, STUDY_2, STUDY_3, DEMO_ROWS, STUDIES, MOST_PRESETS = 12 };
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
#include "data/experiments.inc"
enum { GROUPS = sizeof groups / sizeof *groups };

/* What there is of a run, less first; it is worth showing from DAMAGED on. */
enum state { NOT_RUN, STRANGE, OTHER_RUN, UNFINISHED, DAMAGED, DONE };

struct trial {
  char name[160];
  const struct group *group;
  const struct preset *preset; /* NULL: of a sweep */
  struct settings s;
  int unasked;         /* shown if it is done, not trained */
  enum state state;    /* of its runs the one that says most */
  nn_moments accuracy, best, seconds, parameters, sparsity; /* over its runs */
  int damaged, diverged, dead;
  char data[100], stuck[64], link[PATH_SIZE]; /* link: from the page to the first run's */
  struct text log;     /* of all runs */
};

struct study {
  const struct settings *typed;
  struct text again; /* the command line that goes on with it */
  struct page page;
  struct data data;  /* what the last run learned from, */
  struct word of;    /* by the settings that choose it */
  struct trial *trials;
  int count, seeds, asked, before; /* the last two: of runs, and of those done before */
  double shares; /* the demonstration: of all trials in its budget; 0: none is planned */
  lock *lock;
};

/* ---- trials ---- */

/* A trial with the settings of base, or of none, changed by a command line. */
static struct trial *add_trial(struct study *st, const char *name, const struct settings *base,
                               const char *line) {
  static const enum option shared[] = {OPT_THREADS, OPT_ISA, OPT_DATA, OPT_QUIET};
  const char *words[80];
  st->trials = grow(st->trials, (size_t)st->count, sizeof *st->trials);
  struct trial *t = &st->trials[st->count++];
  memset(t, 0, sizeof *t);
  snprintf(t->name, sizeof t->name, "%s", name);
  t->group = groups; /* the sweep's */
  const int count = split(keep(line), words, 80), first = !base;
  if (base) t->s = *base;
  else set_standards(&t->s, find_command(words[0]));
  need_right(&t->s, read_words(&t->s, count - first, words + first));
  for (int k = 0; k < 4; k++) t->s.v[shared[k]] = st->typed->v[shared[k]];
  if (is_set(st->typed, OPT_MINIATURE)) {
    t->s.v[OPT_EPOCHS].text = "";
    give(&t->s, OPT_STEPS, "30");
    give(&t->s, OPT_TEST_EVERY, "10");
    if (number_of(&t->s, OPT_BATCH) > 20) give(&t->s, OPT_BATCH, "20");
  }
  need_right(&t->s, complete(&t->s));
  return t;
}

/* The trials of all groups, of the demonstration or of experiments. */
static void add_presets(struct study *st, int demo) {
  for (const struct group *g = groups; g < groups + GROUPS; g++)
    for (const struct preset *p = g->rows; p < g->rows + MOST_PRESETS && p->name; p++) {
      if ((g->study == DEMO_ROWS) != demo) continue;
      const struct line line = line_of("%s %s %s %s", g->given, g->chosen, p->given, p->chosen);
      struct trial *t = add_trial(st, p->name, NULL, line.text);
      t->group = g;
      t->preset = p;
    }
}

/* The images of a trial, which stay for those after it. */
static const struct data *study_data(struct study *st, const struct settings *s) {
  const struct word of = word_of("%s %.9s %.9s %s", s->command->name, s->v[OPT_SIZE].text,
                                 s->v[OPT_SIDE].text, s->v[OPT_GRAY].text);
  if (strcmp(of.text, st->of.text) == 0) return &st->data;
  data_free(&st->data);
  data_find(&st->data, s, 1);
  if (is_set(st->typed, OPT_MINIATURE)) data_thin(&st->data);
  tell_data(&st->data, is_set(st->typed, OPT_QUIET));
  st->of = of;
  return &st->data;
}

/* The demonstration: as many steps as fit in a trial's share of the budget, by some that are
 * trained to be thrown away, and a hundred at least; a part of it is for tests and saving. */
static void plan_steps(struct study *st, struct trial *t, struct settings *s) {
  const nn_fit_options first = {.steps = 5}, more = {.steps = 20};
  const struct data *d = study_data(st, s);
  const nn_config c = config_of(s);
  nn_model *m = build_model(s, &c, d, 100);
  must(m, nn_fit(m, &d->train, &first)); /* these bring the memory in */
  const double start = now();
  must(m, nn_fit(m, &d->train, &more));
  const double each = (now() - start) / 20;
  const double time = .8 * number_of(st->typed, OPT_BUDGET) * t->preset->reported / st->shares;
  nn_destroy(m);
  give(s, OPT_STEPS, keep(word_of("%.0f", fmax(floor(time / each / 50) * 50, 100)).text));
}

/* ---- their runs ---- */

/* A trial's run with a seed, and what there is of it; by its last model alone, which is r->m if it
 * is done: its images need not be at hand. */
static enum state find_run(const struct study *st, const struct trial *t, double seed,
                           struct run *r) {
  nn_load_result loaded;
  nn_message why;
  struct settings s;
  enum state state = STRANGE;
  memset(r, 0, sizeof *r);
  r->s = t->s;
  give(&r->s, OPT_SEED, keep(word_of("%.0f", seed).text));
  strcpy(r->folder, path_of("%s/%s/seed-%.0f", st->page.folder.text, t->name, seed).text);
  if (!holds_run(r->folder)) return NOT_RUN;
  if (load_last(r->folder, &loaded, &why)) return DAMAGED;
  if (noted_settings(loaded.model, &s, &why)) {
    const enum option o = is_set(&s, OPT_STEPS) ? OPT_STEPS : OPT_EPOCHS;
    if (st->shares > 0) give(&r->s, OPT_STEPS, s.v[OPT_STEPS].text); /* planned before */
    const double more = number_of(&r->s, o) - number_of(&s, o);
    if (is_set(&r->s, o) && more > 0 && is_choice(&s, OPT_SCHEDULE, "constant"))
      s.v[o] = r->s.v[o]; /* it may be longer, if its rate does not go by its length */
    r->differs = differing(&s, &r->s, 0);
    state = r->differs >= 0 ? OTHER_RUN
            : nn_note(loaded.model, "result") && !(more > 0) ? DONE : UNFINISHED;
  }
  if (state == DONE) r->m = loaded.model;
  else nn_destroy(loaded.model);
  return state;
}

static void add_figure(nn_moments *to, double x) {
  const nn_moments one = {1, 0, 0, x, 0, x, x};
  nn_moments_merge(to, &one);
}

/* Adds a finished run's figures, from its model: DONE, unless its notes are damaged or it learned
 * from other images than those before. */
static enum state add_result(struct trial *t, nn_model *m) {
  const char *data = nn_note(m, "data"), *log = nn_note(m, "log"), *result = nn_note(m, "result");
  const nn_param filters = first_weights(m);
  double accuracy, best, diverged, seconds;
  char name[sizeof t->data], stuck[sizeof t->stuck] = "";
  if (!data || !log || !result ||
      sscanf(result, "accuracy=%39lf best=%39lf best_step=%*s diverged=%39lf seconds=%39lf "
             "%63[^\n]",
             &accuracy, &best, &diverged, &seconds, stuck) < 4 ||
      !(accuracy >= 0 && accuracy <= 1) || !(best >= 0 && best <= 1) ||
      !(seconds >= 0 && isfinite(seconds)))
    return DAMAGED;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(data, "\n"), data);
  if (*t->data && strcmp(name, t->data) != 0) return OTHER_RUN;
  memcpy(t->data, name, sizeof name);
  add_figure(&t->accuracy, accuracy), add_figure(&t->best, best);
  add_figure(&t->seconds, seconds), add_figure(&t->parameters, (double)parameter_count(m));
  if (filters.value) add_figure(&t->sparsity, sparsity(filters.value, filters.count));
  t->diverged += diverged > 0;
  t->dead += *stuck != 0;
  if (*stuck) memcpy(t->stuck, stuck, sizeof stuck);
  text_put(&t->log, log);
  return DONE;
}

/* Adds what there is of a trial's run, which is trained first if that is asked for and it is not
 * done. Nothing that is wrong with one that is not trained keeps others from being shown. 0, or the
 * signal. */
static int take_run(struct study *st, struct trial *t, double seed, int asked) {
  struct run r;
  enum state state = find_run(st, t, seed, &r);
  const int trains = asked && st->lock && state != DONE && state != STRANGE;
  int stopped = 0;
  if (asked && st->lock && state == STRANGE)
    note("%s: left out: last.nn notes no command line of this version", r.folder);
  if (trains && state == OTHER_RUN)
    fail("%s holds a run with other options (--%s): move it away, or give another --out", r.folder,
         options[r.differs].name);
  if (trains && state == DAMAGED)
    fail("%s is damaged: remove it, and the run is trained anew", r.folder);
  if (trains && st->shares > 0 && state == NOT_RUN) plan_steps(st, t, &r.s);
  if (trains) { /* from its beginning or from where it stopped */
    make_folders(r.folder);
    r.d = study_data(st, &r.s);
    r.again = st->again.data;
    r.quiet = st->typed->command->bit != DEMO; /* no line a test */
    run_begin(&r);
    stopped = run_train(&r);
    state = DONE;
    if (!stopped && !is_set(st->typed, OPT_QUIET))
      fprintf(stderr, "%s, seed %.0f: %s%s, %s\n", t->name, seed, result_line(&r, 0).text,
              diverged(&r) ? ", diverged" : "", duration(r.seconds).text);
  }
  if (state == DONE && !stopped) state = add_result(t, r.m);
  if (state == DONE && t->accuracy.count == 1)
    strcpy(t->link, path_of("%s/report.html", r.folder + strlen(st->page.folder.text) + 1).text);
  if (state == DAMAGED) {
    t->damaged++;
    note("%s/last.nn is damaged: remove its folder, and the run is trained anew", r.folder);
  }
  if (asked) st->asked++, st->before += state == DONE && !trains;
  if (state > t->state) t->state = state;
  run_free(&r);
  return stopped;
}

/* ---- what is shown of them ---- */

static int is_shown(const struct trial *t) { return !t->unasked || t->state >= DAMAGED; }

static double mean_of(const nn_moments *m) { return m->count ? m->mean : (double)NAN; }

/* Puts what a row's accuracy is beside the reported one: within a point of that or of PyTorch's, or
 * better; or why they cannot be compared. */
static void put_verdict(struct table *to, const struct study *st, const struct trial *t) {
  static const char theirs[] =
      "MNIST, CIFAR-10 gray 28x28 subset, CIFAR-10 (JPEG-recoded copy) gray";
  const double reported = t->preset->reported, torch = t->preset->torch;
  const double ours = t->accuracy.mean + 1e-9;
  const char *why = !t->accuracy.count || reported <= 0 ? "-"
                    : is_set(st->typed, OPT_MINIATURE)  ? "miniature"
                    : !strstr(theirs, t->data)          ? "other data" : NULL;
  const char *reached = ours > reported + .01                ? "better"
                        : ours >= reported - .01             ? "yes"
                        : torch > 0 && ours >= torch - .01   ? "as PyTorch" : "no";
  put_row(to, "nnnsn", reported > 0 ? reported : (double)NAN, torch > 0 ? torch : (double)NAN,
          why ? (double)NAN : t->accuracy.mean - reported, why ? why : reached,
          mean_of(&t->sparsity));
}

/* A study's trials as a table, with the means over their seeds; whether there are any. */
static int show_trials(struct study *st, int study, const char *id, const char *title) {
  const int compares = st->typed->command->bit == EXPERIMENT;
  struct table to = {compares ? compared_heads : row_heads, NULL, 0};
  struct text runs = {0};
  for (const struct trial *t = st->trials; t < st->trials + st->count; t++) {
    const nn_moments *a = &t->accuracy;
    const double spread = a->count > 1 ? 1 : (double)NAN; /* NAN times a figure that there is not */
    if (!is_shown(t) || t->group->study != study) continue;
    runs.size = 0;
    text_add(&runs, "%d", (int)a->count);
    if (!a->count) text_add(&runs, " (%s)", state_names[t->state]);
    if (t->diverged) text_add(&runs, " (%d diverged)", t->diverged);
    else if (t->dead) text_add(&runs, " (%d dead: %s)", t->dead, t->stuck);
    if (t->damaged && a->count) text_add(&runs, " (and %d damaged)", t->damaged);
    put_link(&to, t->name, t->link);
    if (compares) put_verdict(&to, st, t);
    put_row(&to, "nnnnnnsns", mean_of(a), spread * sqrt(a->m2 / fmax((double)a->count - 1, 1)),
            spread * a->min, spread * a->max, mean_of(&t->best), mean_of(&t->seconds), runs.data,
            mean_of(&t->parameters), a->count ? t->data : "-");
  }
  const char *quick = is_set(st->typed, OPT_MINIATURE)
                      ? ". A miniature (--quick), which proves nothing" : "";
  const char *said = st->data.said;
  const int rows = to.count > 0;
  if (rows) section(&st->page, id, studies[study].title ? title : "Results", NULL, 0);
  if (rows)
    show_table(&st->page, &to, line_of("%s%s%s%s", title, quick, *said ? ". " : "", said).text, id,
               study == DEMO_ROWS ? ON_STDOUT | COLOURED : ON_STDOUT, study == SWEEP);
  text_free(&runs);
  return rows;
}

/* The curves of those of a group. */
static void show_curves(struct study *st, const struct group *g) {
  const char **names = allocate(2 * (size_t)st->count + 2, sizeof *names);
  const char **data = names + st->count + 1;
  int count = 0, several = 0, shown = 0;
  for (const struct trial *t = st->trials; t < st->trials + st->count; t++) {
    if (!is_shown(t) || t->group != g) continue;
    shown++;
    several |= t->accuracy.count > 1;
    if (t->accuracy.count) names[count] = t->name, data[count++] = t->data;
  }
  if (shown) section(&st->page, "curves", g->title, g->rows[0].remark, 0);
  if (shown) show_logs(&st->page, names, data, NULL, several);
  free(names);
}

/* The best first; what has no result last. */
static int by_accuracy(const void *a, const void *b) {
  const struct trial *t = a, *u = b;
  const double d = (u->accuracy.count ? u->accuracy.mean : -1) -
                   (t->accuracy.count ? t->accuracy.mean : -1);
  return d > 0 ? 1 : d < 0 ? -1 : strcmp(t->name, u->name);
}

/* Test accuracy of a sweep's trials against an option. */
static void show_axis(struct study *st, enum option o) {
  const char *const heads[] = {"", options[o].name, "test accuracy|percent", "row", NULL};
  struct table to = {heads, NULL, 0};
  for (const struct trial *t = st->trials; t < st->trials + st->count; t++) {
    if (!t->accuracy.count) continue;
    put_link(&to, "test accuracy", t->link);
    if (options[o].kind == WHOLE || options[o].kind == REAL) put_number(&to, number_of(&t->s, o));
    else put_text(&to, t->s.v[o].text);
    put_row(&to, "ns", t->accuracy.mean, t->name);
  }
  show_table(&st->page, &to, word_of("Test accuracy against %s", options[o].name).text, NULL,
             CURVES | POINTS, 2);
}

/* The page: each study's table and the curves of its groups; of a sweep the best first, and
 * accuracy against each option. */
static void show_all(struct study *st, const char *title) {
  int others = 0;
  if (st->typed->command->bit & TRAIN)
    qsort(st->trials, (size_t)st->count, sizeof *st->trials, by_accuracy);
  for (int study = 0; study < STUDIES; study++) {
    const char *id = studies[study].id, *own = studies[study].title;
    if (!show_trials(st, study, id, own ? own : title)) {
      /* of an earlier call: */
      remove(in_folder(st->page.folder.text, word_of("%s.csv", id).text).text);
      continue;
    }
    for (int o = 0; o < OPTION_COUNT; o++)
      if (st->typed->v[o].several) show_axis(st, (enum option)o);
    for (const struct group *g = groups; g < groups + GROUPS; g++)
      if (g->study == study) show_curves(st, g);
  }
  for (const struct trial *t = st->trials; t < st->trials + st->count; t++) {
    others += t->unasked && t->state >= DAMAGED;
    if (t->accuracy.count) page_log(&st->page, t->name, t->log.data);
  }
  page_save(&st->page, "report.html", title);
  printf("\n%d of %d runs were done before", st->before, st->asked);
  if (others) printf(", and %d row%s of earlier calls", others, others > 1 ? "s" : "");
  printf("; report: %s/report.html\n", st->page.folder.text);
}

/* Runs, skips or resumes every run of every trial that was asked for, and takes in what there is of
 * others, of seeds up to a hundred; shows all. 0, or the exit status. */
static int run_study(struct study *st, const char *title) {
  const double first = number_of(st->typed, OPT_SEED);
  struct trial *const end = st->trials + st->count;
  int stopped = 0;
  need_no_run(st->page.folder.text);
  make_folders(st->page.folder.text);
  if (!is_set(st->typed, OPT_DONE)) st->lock = take_folder(st->page.folder.text);
  for (struct trial *t = st->trials; t < end; t++) {
    for (int k = 0; k < st->seeds && !stopped; k++)
      stopped = take_run(st, t, first + k, !t->unasked);
    for (int seed = 1; seed <= 100 && !stopped; seed++)
      if (seed < first || seed >= first + st->seeds) take_run(st, t, seed, 0);
  }
  if (!stopped) show_all(st, title);
  return stopped ? 128 + stopped : 0;
}

/* ---- experiments ---- */

/* Asks for the trials that names, which commas part, mean: each a row's own, or its beginning up to
 * a hyphen, a report's letter, or all. */
static void choose(struct study *st, const char *names) {
  struct text all = {0};
  for (int i = 0; i < st->count; i++) {
    text_add(&all, "%s|", st->trials[i].name);
    st->trials[i].unasked = 1;
  }
  for (const char *at = names; *at; at += strcspn(at, ","), at += *at == ',') {
    const size_t n = strcspn(at, ",");
    const struct word name = word_of("%.*s", (int)n, at);
    struct word meant;
    const int whole = find_word(all.data, name.text, &meant);
    int found = 0;
    for (int i = 0; i < st->count; i++) {
      struct trial *t = &st->trials[i];
      const int begun = strncmp(t->name, at, n) == 0 && (t->name[n] == '-' || n == 1);
      if (whole >= 0 ? whole != i : !begun && strcmp(name.text, "all") != 0) continue;
      t->unasked = 0, found = 1; /* a row's whole name means no other */
    }
    if (!found)
      wrong("experiment", "there is no row '%s' (nn experiment --list lists them)%s", name.text,
            meant.text);
  }
  text_free(&all);
}

/* nn experiment --list: the options that a row's report gives, a star, and those chosen here. */
static void list_rows(const struct study *st) {
  for (const struct trial *t = st->trials; t < st->trials + st->count; t++) {
    const struct group *g = t->group;
    const struct preset *p = t->preset;
    const char *const part[] = {g->given, p->given, "*", g->chosen, p->chosen};
    struct text line = {0};
    if (t->unasked) continue;
    for (int k = 0; k < 5; k++)
      if (*part[k]) text_add(&line, "%s%s", line.size ? " " : "", part[k]);
    printf("%-24s%8s  ", p->name, p->reported > 0 ? word_of("%.2f", 100 * p->reported).text : "-");
    print_wrapped(line.data, 34);
    text_free(&line);
  }
  puts("* behind it what the report does not give: chosen here. The last of two values counts.");
}

/* ---- sweeps ---- */

enum { MOST_VALUES = 64 };

/* Makes a list of LOW:HIGH or LOW:HIGH:COUNT, whose parts it has; returns how many. What lies
 * between the ends is written for people. */
static int spread_range(const struct settings *typed, enum option o, const char **list, int parts) {
  const int whole = options[o].kind == WHOLE;
  const char *const last = list[1];
  const double low = strtod(list[0], NULL), high = strtod(last, NULL);
  double count = is_set(typed, OPT_RANDOM) ? MOST_VALUES : 3;
  int n = 1;
  if (parts > 3 || !(low < high) || (parts == 3 && !read_number(list[2], &count)) ||
      count != floor(count) || count < 2 || count > MOST_VALUES)
    refuse(typed, "--%s '%s' is no range LOW:HIGH or LOW:HIGH:COUNT with COUNT from 2 to %d",
           options[o].name, typed->v[o].text, MOST_VALUES);
  for (int k = 1; k < count - 1; k++) {
    const double share = k / (count - 1);
    const double v = low > 0 && high >= 10 * low ? low * pow(high / low, share)
                                                 : low + (high - low) * share;
    const struct word shown = word_of("%.*g", whole ? 17 : 4, whole ? floor(v + .5) : v);
    const double rounded = strtod(shown.text, NULL);
    list[n] = keep(rounded < low || rounded > high ? word_of("%.17g", v).text : shown.text);
    n += strcmp(list[n], list[n - 1]) != 0;
  }
  n -= strcmp(list[n - 1], last) == 0;
  list[n] = last;
  return n + 1;
}

/* Reads an option's values; returns how many. */
static int read_values(const struct settings *typed, enum option o, const char **list) {
  const char *const text = typed->v[o].text;
  struct settings s;
  int count = 0;
  for (char *at = keep(text), *end; at; at = end) {
    if (count == MOST_VALUES) refuse(typed, "--%s has more than %d values", options[o].name, count);
    list[count++] = at;
    end = strpbrk(at, o == OPT_AUGMENT ? "/" : ",:");
    if (end) *end++ = 0;
  }
  if (strchr(text, ':')) count = spread_range(typed, o, list, count);
  for (int k = count - 1; k >= 0; k--) { /* the last one first: a range's ends were typed */
    if (!*list[k] && o == OPT_AUGMENT) continue; /* there it means none */
    const nn_message why = set_option(&s, o, list[k]);
    if (*why.text) refuse(typed, "--%s '%s': '%s' %s", options[o].name, text, list[k], why.text);
    if (options[o].kind == WHOLE) list[k] = keep(word_of("%.0f", s.v[o].number).text);
  }
  return count;
}

/* A trial of each combination of values, or of so many drawn at random. */
static void add_combinations(struct study *st) {
  const struct settings *typed = st->typed;
  const int wanted = whole_or(typed, OPT_RANDOM, 0);
  const char *values[OPTION_COUNT][MOST_VALUES];
  int count[OPTION_COUNT];
  struct settings base = *typed;
  double all = 1;
  base.v[OPT_OUT].text = "";
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!typed->v[o].several) continue;
    base.v[o].text = "";
    base.v[o].several = 0;
    all *= count[o] = read_values(typed, (enum option)o, values[o]);
  }
  const double most = wanted && wanted < all ? wanted : all;
  if (most > 10000 || all > UINT32_MAX)
    refuse(typed, "%.0f combinations: at most 10000 are trained, --random draws some", all);
  if (wanted && all == 1)
    refuse(typed, "--random draws among an option's values: give one a list or LOW:HIGH");
  if (wanted > all) note("--random %d: there are only %.0f combinations", wanted, all);
  for (uint32_t k = 0; k < most; k++) {
    struct settings s = base;
    struct text name = {0};
    uint32_t rest = (uint32_t)all;
    uint32_t at = most < all ? nn_shuffled((uint64_t)number_of(typed, OPT_SEED), 0, rest, k) : k;
    for (int o = 0; o < OPTION_COUNT; o++) { /* the last option moves first */
      if (!typed->v[o].several) continue;
      const char *value = values[o][at / (rest /= (uint32_t)count[o])];
      at %= rest;
      text_add(&name, "%s%s=%s", name.size ? "," : "", options[o].name, value);
      if (*value) give(&s, (enum option)o, value);
    }
    if (name.size >= sizeof st->trials->name)
      fail("give fewer options several values: a folder's name is too long: %s", name.data);
    add_trial(st, name.size ? name.data : "run", &s, "");
    text_free(&name);
  }
}

/* ---- the commands ---- */

/* The trials of the demonstration: all four networks on the same digits, and LeNet5 on CIFAR-10
 * where that is at hand. Without --steps the budget decides how long. */
static void add_demo(struct study *st) {
  const struct settings *typed = st->typed;
  struct data d;
  int photos = 0;
  add_presets(st, 1);
  for (struct trial *t = st->trials; t < st->trials + st->count; t++) {
    if (t->s.command->bit == CIFAR10) { /* the first whose images are there */
      t->unasked = photos || !data_find(&d, &t->s, 0);
      if (!t->unasked) photos = 1, data_free(&d);
    }
    if (is_set(typed, OPT_STEPS)) give(&t->s, OPT_STEPS, typed->v[OPT_STEPS].text);
    else if (!t->unasked) st->shares += t->preset->reported;
  }
}

/* nn demo; nn experiment: the rows that its operand names, shown with all others that are done in
 * the same folder; or a sweep, where an option has several values, or there are several seeds. */
static int study_command(struct settings *typed, const char *const *words) {
  const char *const command = typed->command->name;
  const int is_demo = typed->command->bit == DEMO, is_sweep = typed->command->bit & TRAIN;
  const int quick = is_set(typed, OPT_MINIATURE);
  struct study st = {.typed = typed, .seeds = whole_of(typed, OPT_SEEDS)};
  struct word title = word_of(is_demo ? "Networks compared" : "Experiments");
  int status = 0;
  if (is_set(typed, OPT_RESUME))
    refuse(typed, "--resume is for one run: several go on by the command that began them");
  if (number_of(typed, OPT_SEED) + st.seeds - 1 > options[OPT_SEED].most)
    refuse(typed, "--seed %s and those after it are too large", typed->v[OPT_SEED].text);
  for (int i = 0; words[i]; i++) text_put(&st.again, i ? " " : ""), text_word(&st.again, words[i]);
  if (is_set(typed, OPT_OUT)) st.page.folder = path_of("%s", typed->v[OPT_OUT].text);
  else if (is_sweep) st.page.folder = path_of("runs/sweep-%s", command);
  else if (!is_demo) st.page.folder = path_of("runs/experiments%s", quick ? "-quick" : "");
  else {
    st.page.folder = choose_folder(typed, "demo");
    text_put(&st.again, " --out "), text_word(&st.again, st.page.folder.text);
  }
  if (is_demo) add_demo(&st);
  else if (!is_sweep) add_presets(&st, 0), choose(&st, typed->operands ? *typed->operand : "all");
  else {
    add_combinations(&st);
    title = word_of("%d combination%s of nn %s", st.count, st.count > 1 ? "s" : "", command);
  }
  if (is_set(typed, OPT_LIST)) list_rows(&st);
  else status = run_study(&st, title.text);
  for (int i = 0; i < st.count; i++) text_free(&st.trials[i].log);
  data_free(&st.data), text_free(&st.again), leave_folder(st.lock);
  free(st.trials);
  return status;
}

/* ========================================== @@LOOK ==========================================
 * nn look: what a trained net is made of. Each look fills figures of a page in the folder look of
 * the run; what a kind of figure means is explained there. Models are only read. */

enum { AT_ONCE = 50, MOST_STAGES = 12, CHOSEN = 5, STRONGEST = 9 };

struct look {
  struct settings *typed, s; /* s: of the run, or what makes the images that the model takes */
  struct page page;
  struct data d;
  char path[PATH_SIZE];      /* of the model's file */
  int of_run;
  nn_node_info in, out;
  int dim[3];                /* the input as an image: a sequence is an image of its rows */
  struct stage {
    int64_t step;            /* -1: unknown */
    nn_model *m;
  } *stage;                  /* a run's start, snapshots and best model, or the only model */
  const char *heads[MOST_STAGES + 1]; /* their steps as texts */
  int stages, own;           /* own: the stage that is the model */
  nn_model *m;
  int32_t image[AT_ONCE];    /* --images, else right ones, the first five of different classes */
  int images, shown;         /* shown: those that are looked at one by one */
  int depth[NN_MAX_NODES], depths; /* what each layer with weights reads, and the output */
  nn_real *x;                /* room for AT_ONCE samples */
  int32_t *found;            /* the class of each test image by the model, */
  nn_real *share;            /* and the probabilities of all classes, [images, classes] */
};

static size_t size_of(const nn_node_info *n) {
  size_t size = 1;
  for (int i = 0; i < n->rank; i++) size *= (size_t)n->dim[i];
  return size;
}
static size_t size_at(nn_model *m, int node) {
  const nn_node_info n = node_of(m, node);
  return size_of(&n);
}
static int maps_of(const nn_node_info *n) { return n->dim[n->rank == 3 ? 0 : n->rank - 1]; }
/* The last node of one of these kinds, "a|b"; -1: none. */
static int last_of(nn_model *m, const char *kinds) {
  int i = nn_node_count(m) - 1;
  while (i >= 0 && find_word(kinds, node_of(m, i).kind, NULL) < 0) i--;
  return i;
}

/* "14: frog" */
static struct line image_name(const struct look *l, int image) {
  return line_of("%d: %s", image, class_name(l->m, label_of(&l->d.test, image)).text);
}
/* The probability that an image's own class has in a row of them. */
static double share_of(const struct look *l, const nn_real *share, int image) {
  return (double)share[label_of(&l->d.test, image)];
}

/* The model's layers with the weights of its file; with those of another one of its run, or NULL
 * and a note if that is of another net; or, for "", as they were before the training. */
static nn_model *stage_model(const struct look *l, const char *path) {
  const nn_weights_options strict = {.strict = 1};
  nn_config c = config_of(l->typed);
  c.batch = AT_ONCE;
  c.keep_activations = c.input_gradient = 1;
  nn_model *m = load_model(l->path, &c).model;
  must(m, nn_get_config(m, &c));
  if (!*path) {
    must(m, nn_reinitialise(m, c.seed));
    open_forget_gates(m, &l->s);
  } else if (path != l->path && nn_load_weights(m, path, &strict, NULL)) {
    note("left out: %s", nn_error(m));
    nn_destroy(m);
    return NULL;
  }
  return m;
}

/* An inspecting forward of n samples in l->x; of test images by their numbers, which it puts there,
 * unless image is NULL. */
static void take(const struct look *l, nn_model *m, const int32_t *image, int n) {
  const nn_batch b = {.n = n, .x = {l->x}};
  if (image && nn_gather(&l->d.test, image, n, NULL, NULL, l->x, NULL))
    fail("a sample cannot be read");
  must(m, nn_forward(m, &b, NN_INSPECTING));
}
/* What that left of n samples at a node; freed by the caller. */
static nn_real *left_at(nn_model *m, int node, int n) {
  nn_real *x = allocate((size_t)n * size_at(m, node), sizeof *x);
  must(m, nn_read(m, node, x));
  return x;
}

/* The features at each depth. A layer that copies, as dropout does here, goes by the name of the
 * one before. */
static void find_depths(struct look *l) {
  for (int i = 0; i <= nn_output_node(l->m); i++) {
    const nn_node_info n = node_of(l->m, i);
    int from = n.inputs == 1 && n.params ? n.input[0] : -1;
    while (from > 0 && strstr("flatten dropout normalise", node_of(l->m, from).kind))
      from = node_of(l->m, from).input[0];
    if (from >= 0 && !(l->depths && l->depth[l->depths - 1] == from)) l->depth[l->depths++] = from;
  }
  l->depth[l->depths++] = nn_output_node(l->m);
}
/* What comes before the answer; of a net without a hidden layer the image. */
static int last_features(const struct look *l) {
  return l->depth[l->depths > 1 ? l->depths - 2 : 0];
}

/* Goes back to the pixels from a place in a map in each of n samples, which l->x gets. What comes
 * back stays until the next forward. */
static const nn_real *go_back(const struct look *l, nn_model *m, int node, int map,
                              const nn_peak *peaks, int n, nn_rule rule) {
  const nn_node_info info = node_of(m, node);
  const size_t each = size_of(&info);
  nn_real *start = allocate((size_t)n * each, sizeof *start);
  int32_t image[AT_ONCE];
  for (int i = 0; i < n; i++) {
    const nn_peak *p = &peaks[i];
    const int at = info.rank == 3 ? (map * info.dim[1] + p->row) * info.dim[2] + p->column
                                  : p->row * maps_of(&info) + map;
    image[i] = p->sample;
    start[(size_t)i * each + (size_t)at] = 1;
  }
  take(l, m, image, n);
  must(m, nn_project(m, node, start, rule));
  free(start);
  return nn_input_gradient(m, 0);
}

/* ---- filters ---- */

static void look_filters(struct look *l) {
  nn_model *models[MOST_STAGES];
  show_filters(&l->page, &l->m, 1, "Filters of the model", NULL, "filters");
  for (int i = 0; i < l->stages; i++) models[i] = l->stage[i].m;
  if (l->stages > 1)
    show_filters(&l->page, models, l->stages, "The same filters over the training", l->heads,
                 "filters-way");
}

/* ---- activations ---- */

static double zeros_of(const nn_moments *s) { return (double)s->zeros / (double)s->count; }

/* What a pass over the test images gathers of each node that computes something. */
struct gathered {
  nn_moments moments[NN_MAX_NODES];
  nn_histogram histogram[NN_MAX_NODES];
  nn_real *greatest[NN_MAX_NODES]; /* of each map, 0 at the least */
};

static nn_status gather_batch(void *user, nn_model *m, const nn_batch *b, int first) {
  struct gathered *g = user;
  (void)b, (void)first;
  for (int i = 0; i <= nn_output_node(m); i++) {
    nn_histogram *h = &g->histogram[i];
    nn_moments s = {0};
    if (!g->greatest[i]) continue;
    if (h->low >= h->high) must(m, nn_observe(m, i, &s, NULL, NULL)), set_range(h, &s);
    must(m, nn_observe(m, i, &g->moments[i], h, g->greatest[i]));
  }
  return NN_OK;
}

/* like: what has the ranges of the histograms; those that it lacks are of the first batch. */
static void gather(const struct look *l, nn_model *m, struct gathered *g,
                   const struct gathered *like) {
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    if (!n.inputs || strstr("dropout flatten", n.kind)) continue;
    nn_histogram_range(&g->histogram[i], like->histogram[i].low, like->histogram[i].high);
    g->greatest[i] = allocate((size_t)maps_of(&n), sizeof *g->greatest[i]);
  }
  must(m, nn_survey(m, &l->d.test, gather_batch, g));
}

/* A node's histograms at every stage, each a column, a rectifier's zeros apart. */
static void show_histograms(struct look *l, const struct gathered *g, int node) {
  const nn_node_info n = node_of(l->m, node);
  const nn_histogram *h = &g->histogram[node];
  const int is_relu = strcmp(n.kind, "relu") == 0;
  const double width = (h->high - h->low) / NN_HISTOGRAM_BINS;
  const char *heads[MOST_STAGES + 2] = {"value|"};
  struct table t = {heads, NULL, 0};
  memcpy(heads + 1, l->heads, sizeof l->heads);
  for (int k = NN_HISTOGRAM_BINS - 1; k >= 0; k--) {
    const int has_zeros = is_relu && k == (int)floor(-h->low / width);
    put_number(&t, h->low + k * width);
    for (int i = 0; i < l->stages; i++)
      put_number(&t, fmax((double)g[i].histogram[node].bin[k] -
                              (double)g[i].moments[node].zeros * has_zeros, 0));
  }
  if (is_relu) put_text(&t, "zeros");
  for (int i = 0; i < l->stages && is_relu; i++) put_number(&t, zeros_of(&g[i].moments[node]));
  show_table(&l->page, &t, n.name, word_of("histograms-%s", n.name).text, HEAT, 0);
}

/* Rows for a stage's layers; of rectifiers the maps that are dead, never above 0. */
static void put_layers(struct table *t, struct look *l, const struct stage *stage,
                       const struct gathered *g) {
  for (int i = 0; i <= nn_output_node(l->m); i++) {
    const nn_node_info n = node_of(l->m, i);
    const nn_moments *s = &g->moments[i];
    int dead = 0;
    if (!s->count) continue;
    for (int k = 0; k < maps_of(&n); k++) dead += g->greatest[i][k] <= 0;
    put_row(t, "snsnnnnnnnin", n.name, stage->step < 0 ? (double)NAN : (double)stage->step, n.kind,
            s->mean, nn_moments_variance(s), nn_moments_deviation(s), s->min, s->max, zeros_of(s),
            strcmp(n.kind, "relu") ? (double)NAN : dead, maps_of(&n), (double)s->count);
  }
}

static void look_activations(struct look *l) {
  struct gathered *g = allocate((size_t)l->stages, sizeof *g);
  for (int k = 0; k < l->stages; k++) { /* the model first, for it sets the histograms' ranges */
    const int i = (l->own + k) % l->stages;
    gather(l, l->stage[i].m, &g[i], &g[l->own]);
  }
  for (int way = 0; way < (l->stages > 1 ? LAYER_FIGURES : 1); way++) {
    const struct layer_figure *f = &layer_figures[way];
    struct table t = {layer_heads, NULL, 0};
    for (int i = 0; i < l->stages; i++)
      if (way || i == l->own) put_layers(&t, l, &l->stage[i], &g[i]);
    show_table(&l->page, &t, f->title, f->csv, f->how, f->column);
  }
  for (int k = 0; k <= nn_output_node(l->m); k++)
    if (g->moments[k].count) show_histograms(l, g, k);
  for (int i = 0; i < l->stages; i++)
    for (int k = 0; k <= nn_output_node(l->m); k++) free(g[i].greatest[k]);
  free(g);
}

/* ---- single images ---- */

/* One of them is in l->x: it, or with a map laid over it. */
static void put_image(struct look *l, const struct grid *over) {
  put_grid(&l->page, &(struct grid){.x = l->x, .dim = l->dim, .most = PIXELS, .ink = "gray",
                                    .over = over});
}
/* Begins an item of an image, which stays there. */
static void image_item(struct look *l, int image) {
  const double share = share_of(l, l->share + image * l->out.dim[0], image);
  item(&l->page, image_name(l, image).text, percent(share).text, NULL);
  take(l, l->m, &image, 1);
  put_image(l, NULL);
}

static void look_saliency(struct look *l) {
  static const nn_rule rules[] = {NN_RULE_GRADIENT, NN_RULE_GUIDED, NN_RULE_DECONVNET};
  const int is_rectified = last_of(l->m, "relu") >= 0, plane[3] = {1, l->dim[1], l->dim[2]};
  nn_real *size = allocate((size_t)(plane[1] * plane[2]), sizeof *size);
  pictures(&l->page, "Saliency", "signed", is_rectified ? saliency_heads : gradient_heads,
           "saliency");
  for (int i = 0; i < l->shown; i++) {
    const nn_peak from = {0, l->image[i], 0, 0};
    image_item(l, l->image[i]);
    for (int k = 0; k < (is_rectified ? 3 : 1); k++) {
      const nn_real *back = go_back(l, l->m, nn_output_node(l->m),
                                    label_of(&l->d.test, l->image[i]), &from, 1, rules[k]);
      put_grid(&l->page, &(struct grid){.x = back, .dim = l->dim});
      if (k) continue;
      greatest_size(back, l->dim[0], (size_t)(plane[1] * plane[2]), size);
      put_image(l, &(struct grid){.x = size, .dim = plane, .ink = "hot"});
    }
  }
  free(size);
}

static int square_of(const struct look *l) {
  const int least = l->dim[1] < l->dim[2] ? l->dim[1] : l->dim[2];
  const int side = whole_or(l->typed, OPT_SQUARE, (least + 3) / 4);
  if (side > least) fail("--square %d is larger than the images of %d x %d", side, l->dim[1],
                         l->dim[2]);
  return side;
}

/* The nodes that a look at maps takes: --layer, else each rectified convolution and, if `beyond`,
 * the non-linear layers after them and the output. */
static int nodes_of(const struct look *l, int beyond, int *nodes) {
  static const char bends[] =
      "leaky_relu elu gelu silu softplus clamp tanh hard_sigmoid hard_swish";
  const char *name = l->typed->v[OPT_LAYER].text;
  int count = 0;
  for (int i = 0; i <= nn_output_node(l->m); i++) {
    const nn_node_info n = node_of(l->m, i);
    if (*name ? strcmp(n.name, name) == 0 && n.inputs
              : (strstr(bends, n.kind) && (beyond || n.rank == 3)) ||
                    (beyond && i == nn_output_node(l->m)))
      nodes[count++] = i;
  }
  if (*name && !count) fail("the model has no layer '%s' to look at (nn info lists them)", name);
  return count;
}

static void look_occlusion(struct look *l) {
  int nodes[NN_MAX_NODES], dim[3] = {1, 0, 0};
  const int rows = nodes_of(l, 0, nodes);
  nn_occlusion_options o = {.side = square_of(l), .stride = 1, .fill = l->d.mean,
                            .node = rows ? nodes[rows - 1] : last_features(l)};
  const nn_node_info n = node_of(l->m, o.node);
  const struct line said = line_of("The square has %d x %d pixels; the map is one of %s.", o.side,
                                   o.side, n.name);
  must(l->m, nn_occlusion_size(l->m, &o, &dim[1], &dim[2]));
  const int size = dim[1] * dim[2];
  nn_real *maps = allocate(3 * (size_t)size, sizeof *maps);
  int32_t *best = allocate((size_t)size, sizeof *best);
  pictures(&l->page, "Occlusion", "gray", occlusion_heads, "occlusion");
  json(&l->page.sections, ",'note':$s,'names':[", said.text);
  for (int k = 0; k < l->out.dim[0]; k++) json(&l->page.sections, ",$s", class_name(l->m, k).text);
  json(&l->page.sections, "]");
  for (int i = 0; i < l->shown; i++) {
    size_t strongest = 0;
    image_item(l, l->image[i]);
    nn_real *left = left_at(l->m, o.node, 1);
    for (size_t k = 1; k < size_of(&n); k++)
      if (left[k] > left[strongest]) strongest = k;
    o.map = (int)(n.rank == 3 ? strongest / (size_t)(n.dim[1] * n.dim[2])
                              : strongest % (size_t)maps_of(&n));
    o.label = label_of(&l->d.test, l->image[i]);
    must(l->m, nn_occlusion(l->m, l->x, &o, maps, maps + size, best));
    for (int v = 0; v < size; v++) maps[2 * size + v] = (nn_real)best[v];
    for (int k = 0; k < 3; k++)
      put_image(l, &(struct grid){.x = maps + k * size, .dim = dim,
                                  .ink = k < 2 ? "cold" : "classes",
                                  .most = k < 2 ? 0 : l->out.dim[0] - 1});
    free(left);
  }
  free(best), free(maps);
}

/* A recurrent net's hidden units over the steps, and its answer after each of them. */
static void look_states(struct look *l) {
  const int node = last_of(l->m, "rnn|lstm|gru");
  const nn_node_info n = node_of(l->m, node);
  const int steps = l->in.dim[0], classes = l->out.dim[0];
  const int units[3] = {1, n.dim[0], n.dim[1]}, answers[3] = {1, steps, classes};
  nn_real *share = allocate((size_t)(steps * classes), sizeof *share);
  pictures(&l->page, "States", "gray", state_heads, "states");
  for (int i = 0; i < l->shown; i++) {
    image_item(l, l->image[i]);
    nn_real *state = left_at(l->m, node, 1);
    for (int32_t length = 1; length <= steps; length++) { /* the same sample, cut short */
      const nn_batch b = {.n = 1, .x = {l->x}, .lengths = &length};
      must(l->m, nn_predict(l->m, &b, NULL, share + (length - 1) * classes));
    }
    put_grid(&l->page, &(struct grid){.x = state, .dim = units, .ink = "signed"});
    put_grid(&l->page, &(struct grid){.x = share, .dim = answers, .ink = "hot"});
    free(state);
  }
  free(share);
}

/* ---- deconv and evolution ---- */

/* The part of an image that a unit sees, as large as those in the middle see: one at the edge gets
 * more of the image in place of what lies outside. */
static void patch_of(nn_model *m, int node, int row, int column, int part[4]) {
  const nn_node_info n = node_of(m, node);
  const int image = n.rank == 3;
  int middle[4];
  must(m, nn_receptive_field(m, node, row, column, part));
  must(m, nn_receptive_field(m, node, image ? n.dim[1] / 2 : 0, image ? n.dim[2] / 2 : 0, middle));
  for (int k = 0; k < 2; k++) {
    if (part[k]) part[k] -= middle[k + 2] - part[k + 2];
    part[k + 2] = middle[k + 2];
  }
}

/* The strongest activations of each map over the test images, or those of --images; freed by the
 * caller. */
static nn_peak *strongest(const struct look *l, nn_model *m, int node, int per_map) {
  const nn_node_info n = node_of(m, node);
  const size_t size = (size_t)(maps_of(&n) * per_map);
  const int some = is_set(l->typed, OPT_IMAGES);
  nn_peak *peaks = allocate(size, sizeof *peaks);
  nn_dataset d = l->d.test;
  int32_t only[AT_ONCE];
  for (int i = 0; i < l->images; i++) only[i] = d.only ? d.only[l->image[i]] : l->image[i];
  if (some) d.only = only, d.count = l->images;
  must(m, nn_peaks(m, &d, node, per_map, peaks));
  for (size_t i = 0; i < size && some; i++)
    if (peaks[i].sample >= 0) peaks[i].sample = l->image[peaks[i].sample];
  return peaks;
}

/* What leads back from a map's strongest units at a stage, and, if more than one is asked for, the
 * patches that they see; and a row for each. */
static void put_units(struct look *l, const struct stage *s, int node, int map,
                      const nn_peak *peaks, int most, struct table *t) {
  int part[STRONGEST][4], n = 0;
  for (; n < most && peaks[n].value > 0; n++) {
    const nn_peak *p = &peaks[n];
    patch_of(s->m, node, p->row, p->column, part[n]);
    put_row(t, "siniisiiniiii", node_of(l->m, node).name, map, (double)s->step, n + 1,
            (int)p->sample, class_name(l->m, label_of(&l->d.test, p->sample)).text, (int)p->row,
            (int)p->column, (double)p->value, part[n][0], part[n][1], part[n][2], part[n][3]);
  }
  struct grid g = {.dim = l->dim, .n = n, .part = (const int (*)[4])part};
  if (!n) json(&l->page.sections, most > 1 ? ",null,null" : ",null");
  if (!n) return;
  g.x = go_back(l, s->m, node, map, peaks, n, NN_RULE_DECONVNET);
  put_grid(&l->page, &g);
  g.x = l->x, g.most = PIXELS, g.ink = "gray";
  if (most > 1) put_grid(&l->page, &g);
}

/* Leads back what is strongest in each map: the nine strongest at the model's stage, as tiles; over
 * the training, of some maps, the strongest at all stages, a column each. */
static void lead_back(struct look *l, int evolves) {
  const int first = evolves ? 0 : l->own, end = evolves ? l->stages : l->own + 1;
  const int per_map = evolves ? 1 : STRONGEST, most = evolves ? 8 : 64;
  const int one = whole_or(l->typed, OPT_MAP, -1);
  struct table t = {unit_heads, NULL, 0};
  int nodes[NN_MAX_NODES], count = nodes_of(l, !evolves, nodes);
  for (int i = 0; i < count; i++) {
    const nn_node_info n = node_of(l->m, nodes[i]);
    const int all = maps_of(&n), is_output = nodes[i] == nn_output_node(l->m);
    nn_peak *peaks[MOST_STAGES];
    int shown = 0;
    if (one >= all) fail("%s has %d maps: --map 0 .. %d", n.name, all, all - 1);
    pictures(&l->page, n.name, "signed", end - first > 1 ? l->heads : NULL, NULL);
    for (int s = first; s < end; s++)
      peaks[s] = strongest(l, l->stage[s].m, nodes[i], per_map);
    for (int k = 0; k < 2 * all && shown < (n.rank == 3 ? most : most / 4); k++) {
      const int map = k % all, active = peaks[l->own][map * per_map].value > 0;
      if (one < 0 ? active != (k < all) : k != one) continue;
      item(&l->page, is_output ? line_of("%d: %s", map, class_name(l->m, map).text).text
                               : word_of("%d", map).text, active ? NULL : "not active", NULL);
      for (int s = first; s < end; s++)
        put_units(l, &l->stage[s], nodes[i], map, peaks[s] + map * per_map, per_map, &t);
      shown++;
    }
    for (int s = first; s < end; s++) free(peaks[s]);
  }
  show_table(&l->page, &t, "The units", evolves ? "evolution" : "deconv", CLOSED, 0);
}
static void look_deconv(struct look *l) { lead_back(l, 0); }
static void look_evolution(struct look *l) { lead_back(l, 1); }

/* ---- invariance and correspondence ---- */

static void look_invariance(struct look *l) {
  const int n = l->images, plane = l->dim[1] * l->dim[2], classes = l->out.dim[0];
  const nn_batch b = {.n = n, .x = {l->x}};
  const int ends[2] = {l->depth[l->depths > 2], last_features(l)};
  nn_real *p = allocate((size_t)(n * classes), sizeof *p), *plain[2];
  take(l, l->m, l->image, n);
  nn_real *still = left_at(l->m, 0, n);
  for (int k = 0; k < 2; k++) plain[k] = left_at(l->m, ends[k], n);
  for (int move = 0; move < 3; move++) {
    const char *const heads[2][4] = {{"features of", moves[move].axis, "distance|", NULL},
                                     {"image", moves[move].axis, "probability|percent", NULL}};
    const double size = move == 0 ? l->dim[2] : 1, least = ceil(moves[move].least * size);
    struct table t[2] = {{heads[0], NULL, 0}, {heads[1], NULL, 0}};
    for (double amount = least; amount <= moves[move].most * size; amount += moves[move].step) {
      const struct motion by = {0, move == 0 ? amount : 0, move == 1 ? 1 + amount / 100 : 1,
                                move == 2 ? amount : 0};
      double mean = 0;
      for (int c = 0; c < n * l->dim[0]; c++)
        move_plane(still + c * plane, l->dim[1], l->dim[2], &by, l->d.mean[c % l->dim[0]],
                   l->x + c * plane);
      must(l->m, nn_predict(l->m, &b, NULL, p));
      for (int k = ends[0] == ends[1]; k < 2; k++) {
        nn_real *after = left_at(l->m, ends[k], n);
        put_row(&t[0], "snn", node_of(l->m, ends[k]).name, amount,
                mean_change(plain[k], after, size_at(l->m, ends[k]), n));
        free(after);
      }
      for (int i = 0; i < n; i++) mean += share_of(l, p + i * classes, l->image[i]) / n;
      put_row(&t[1], "snn", "mean", amount, mean);
      for (int i = 0; i < n && i < CHOSEN; i++)
        put_row(&t[1], "snn", image_name(l, l->image[i]).text, amount,
                share_of(l, p + i * classes, l->image[i]));
    }
    for (int k = 0; k < 2; k++)
      show_table(&l->page, &t[k], word_of("%s: %s", moves[move].name, k ? "probability of the true "
                 "class" : "distance of the features").text,
                 word_of("invariance-%d", 2 * move + k + 1).text, CURVES, 2);
  }
  free(still), free(plain[0]), free(plain[1]), free(p);
}

enum { ALIKE = 10 }; /* images of a class */

/* How differently the features of n images of a class, which are in l->x, change where the same
 * part of all is covered, added to the moments of each node. */
static void cover_part(const struct look *l, int n, int part, int side, const int *nodes, int count,
                       nn_random *r, nn_moments *to) {
  nn_real *plain[NN_MAX_NODES];
  for (int k = 0; k < count; k++) plain[k] = left_at(l->m, nodes[k], n);
  for (int i = 0; i < n; i++) {
    int at[2];
    for (int k = 0; k < 2; k++) {
      const int room = l->dim[k + 1] - side;
      at[k] = parts[part].at[k] < 0 ? (int)nn_random_below(r, (uint32_t)room + 1)
                                    : (int)(parts[part].at[k] * room + .5);
    }
    cover_square(l->x + (size_t)i * size_of(&l->in), l->dim, at[0], at[1], side, l->d.mean);
  }
  take(l, l->m, NULL, n);
  for (int k = 0; k < count; k++) {
    const size_t size = size_at(l->m, nodes[k]);
    nn_real *covered = left_at(l->m, nodes[k], n);
    for (size_t i = 0; i < (size_t)n * size; i++) covered[i] = plain[k][i] - covered[i];
    const nn_real v = (nn_real)mean_sign_distance(covered, size, n);
    nn_moments_add(&to[k], &v, 1);
    free(covered), free(plain[k]);
  }
}

static void look_correspondence(struct look *l) {
  struct word words[NN_MAX_NODES];
  const char *heads[2 * NN_MAX_NODES + 2] = {"covered part"};
  struct table t = {heads, NULL, 0};
  const int *nodes = l->depth + 1, count = l->depths - 2; /* not image and answer */
  const int side = square_of(l);
  for (int k = 0; k < count; k++) {
    words[k] = word_of("%.40s|", node_of(l->m, nodes[k]).name);
    heads[2 * k + 1] = words[k].text, heads[2 * k + 2] = "deviation|";
  }
  for (int part = 0; part < PARTS; part++) {
    nn_random r = {(uint64_t)number_of(l->typed, OPT_SEED), 1, 0};
    nn_moments s[NN_MAX_NODES] = {{0}};
    for (int class = 0; class < l->out.dim[0]; class++) {
      int32_t image[ALIKE];
      int n = 0;
      for (int i = 0; i < l->d.test.count && n < ALIKE; i++)
        if (label_of(&l->d.test, i) == class) image[n++] = i;
      if (n < 2) continue;
      take(l, l->m, image, n);
      cover_part(l, n, part, side, nodes, count, &r, s);
    }
    put_text(&t, parts[part].name);
    for (int k = 0; k < count; k++) put_row(&t, "nn", s[k].mean, nn_moments_deviation(&s[k]));
  }
  show_table(&l->page, &t, "Correspondence of parts", "correspondence", ON_STDOUT, 0);
}

/* ---- depth ---- */

/* The test accuracy of a linear classifier of what a node gives, standardised by a batch norm (it
 * is linear, too); the net below it stays as it is, or as it was before the training. The fewer the
 * features, the larger the weights that a sure answer takes, and so the rate. */
static double probe_depth(const struct look *l, const nn_node_info *n, const struct data *d,
                          int trained) {
  const nn_open_options until = {.until = n->name};
  const char *const which = trained ? NULL : "normalise"; /* the scaling of the data alone */
  const nn_weights_options weights = {.from = which, .to = which};
  nn_config c = config_of(l->typed);
  nn_fit_options fit = nn_fit_default();
  nn_optimizer adam = nn_adam(.3 / sqrt((double)size_of(n)));
  nn_weights result;
  nn_evaluation e;
  nn_message why;
  nn_model *m;
  c.batch = AT_ONCE;
  if (nn_open(l->path, &c, &until, &m, &why)) fail("%s", why.text);
  fit.epochs = 0;
  fit.steps = count_or(l->typed, OPT_STEPS, 3 * ((d->train.count + AT_ONCE - 1) / AT_ONCE));
  adam.schedule.kind = NN_COSINE;
  adam.schedule.total = fit.steps;
  nn_set_learning(m, -1, 0, 0);
  int x = nn_node_count(m) - 1;
  if (n->rank > 1) x = nn_flatten(m, x);
  nn_cross_entropy(m, nn_linear(m, nn_batch_norm(m, x), d->classes));
  nn_set_optimizer(m, &adam);
  must(m, nn_build(m));
  if (!trained) open_forget_gates(m, &l->s);
  const nn_status loaded = nn_load_weights(m, l->path, &weights, &result);
  if (loaded != NN_ERR_SHAPE || result.found) must(m, loaded); /* what is below may have none */
  must(m, nn_fit(m, &d->train, &fit));
  must(m, nn_evaluate(m, &d->test, &e));
  nn_destroy(m);
  return e.accuracy;
}

static void look_depth(struct look *l) {
  struct table t = {depth_heads, NULL, 0}, curve = {depth_axes, NULL, 0};
  struct data other;
  char name[128];
  data_other(&other, &l->d, l->typed, l->dim);
  if (is_set(l->typed, OPT_MINIATURE)) data_thin(&other);
  snprintf(name, sizeof name, "this net on %s", other.name);
  const char *const names[3] = {"this net", "the same net untrained", name};
  for (int k = 0; k < l->depths; k++) {
    const nn_node_info n = node_of(l->m, l->depth[k]);
    put_row(&t, "sn", line_of("%d: %s", k, k ? n.name : "the image").text, (double)size_of(&n));
    for (int way = 0; way < 3; way++) {
      const double v = probe_depth(l, &n, way == 2 ? &other : &l->d, way != 1);
      put_number(&t, v);
      put_row(&curve, "snn", names[way], (double)k, v);
    }
  }
  show_table(&l->page, &curve, "Test accuracy of a linear classifier", NULL, CURVES, 2);
  show_table(&l->page, &t, "What each layer knows", "depth", ON_STDOUT, 0);
  data_free(&other);
}

/* ---- confusion ---- */

static int by_value(const void *a, const void *b) {
  const nn_peak *p = a, *q = b;
  return p->value == q->value ? p->sample - q->sample : p->value < q->value ? 1 : -1;
}

static void look_confusion(struct look *l) {
  enum { WORST = 24 };
  const int classes = l->out.dim[0], images = l->d.test.count;
  struct table t = {class_heads, NULL, 0};
  nn_peak *wrong_ones = allocate((size_t)images, sizeof *wrong_ones);
  int worst[WORST], count = 0, shown = 0;
  int64_t *counts = show_confusion(&l->page, l->m, &l->d.test);
  for (int i = 0; i < classes; i++) {
    double row = 0, column = 0;
    const double own = (double)counts[i * classes + i];
    for (int k = 0; k < classes; k++)
      row += (double)counts[i * classes + k], column += (double)counts[k * classes + i];
    put_row(&t, "snnnn", class_name(l->m, i).text, row, own, row > 0 ? own / row : (double)NAN,
            column > 0 ? own / column : (double)NAN);
  }
  show_table(&l->page, &t, "Confusion and mistakes", "classes", ON_STDOUT, 0);
  for (int i = 0; i < images; i++)
    if (l->found[i] != label_of(&l->d.test, i))
      wrong_ones[count++] = (nn_peak){-l->share[i * classes + label_of(&l->d.test, i)], i, 0, 0};
  qsort(wrong_ones, (size_t)count, sizeof *wrong_ones, by_value);
  for (; shown < WORST && shown < count; shown++) worst[shown] = wrong_ones[shown].sample;
  if (shown)
    show_answers(&l->page, "The worst mistakes: their own class seems least probable", l->m,
                 &l->d.test, worst, shown, "mistakes");
  free(counts), free(wrong_ones);
}

/* ---- the command ---- */

/* In the order of WHAT. */
static const struct {
  const char *name, *title;
  void (*look)(struct look *l);
  int needs;
} looks[] = {
    {"filters", "The first layer's filters", look_filters, FILTERS},
    {"activations", "Activations", look_activations, 0},
    {"deconv", "What drives each map: the deconvnet", look_deconv, MAPS},
    {"evolution", "How maps evolve", look_evolution, MAPS | STAGES},
    {"invariance", "Invariance to moves, scale and turns", look_invariance, 0},
    {"occlusion", "What the answer rests on: occlusion", look_occlusion, 0},
    {"saliency", "Saliency: the gradient of the input", look_saliency, 0},
    {"states", "A recurrent net, step by step", look_states, STATES},
    {"correspondence", "Correspondence of parts", look_correspondence, HIDDEN},
    {"depth", "What each layer knows: a linear classifier at each depth", look_depth, 0},
    {"confusion", "Confusion and mistakes", look_confusion, 0}};
enum { LOOKS = sizeof looks / sizeof *looks };

static int by_step(const void *a, const void *b) {
  const struct stage *s = a, *t = b;
  return (s->step > t->step) - (s->step < t->step);
}

static void add_stage(struct look *l, int64_t step, nn_model *m) {
  l->stage = grow(l->stage, (size_t)l->stages, sizeof *l->stage);
  l->stage[l->stages++] = (struct stage){step, m};
}
static void add_snapshot(void *user, const char *path) {
  struct look *l = user;
  long long step;
  if (sscanf(name_of(path), "step-%15lld.nn", &step) == 1 && step != l->stage->step)
    add_stage(l, step, NULL);
}

/* The start, snapshots and best model of a run, which is there, by their steps; of many snapshots
 * every second, or as many as there is room for, the last one always. */
static void find_stages(struct look *l, const char *folder) {
  enum { ROOM = MOST_STAGES - 2 };
  const struct line snapshots = in_folder(folder, "snapshots");
  if (is_folder(snapshots.text)) each_file(snapshots.text, add_snapshot, l);
  const int all = l->stages - 1, each = (all + ROOM - 1) / ROOM;
  qsort(l->stage + 1, (size_t)all, sizeof *l->stage, by_step);
  l->stages = 1;
  for (int i = 0; i < all; i++) {
    struct stage s = l->stage[1 + i];
    if ((all - 1 - i) % each) continue;
    s.m = stage_model(l, snapshot_path(folder, s.step).text);
    if (s.m) l->stage[l->stages++] = s;
  }
  add_stage(l, 0, stage_model(l, ""));
  qsort(l->stage, (size_t)l->stages, sizeof *l->stage, by_step);
  while (l->stage[l->own].m != l->m) l->own++;
}

/* The model, its run's settings and its images, with a word about these if it has learned from
 * others, which its note names. */
static void open_look(struct look *l) {
  const char *path = l->typed->operand[l->typed->operands - 1];
  const int quick = is_set(l->typed, OPT_MINIATURE);
  const nn_dataset *d = &l->d.test;
  nn_message why;
  l->of_run = is_folder(path);
  need_own(path);
  strcpy(l->path, model_path(path).text);
  const struct line checkpoint = path_of(l->of_run ? "%s/last.nn" : "%s", path);
  const nn_load_result last = load_model(checkpoint.text, NULL); /* its notes are the run's */
  const int known = noted_settings(last.model, &l->s, &why);
  l->m = stage_model(l, l->path);
  l->in = node_of(l->m, 0);
  l->out = node_of(l->m, nn_output_node(l->m));
  if (l->in.rank < 2 || l->out.rank != 1) fail("%s is no net that classifies images", path);
  l->dim[0] = l->in.rank == 3 ? l->in.dim[0] : 1;
  l->dim[1] = l->in.dim[l->in.rank - 2], l->dim[2] = l->in.dim[l->in.rank - 1];
  if (!known) { /* made by another program: by what it takes */
    const int small = l->dim[1] == 28 && l->dim[0] == 1;
    note("%s: %s, so it is shown images of %s", l->path, why.text, small ? "MNIST" : "CIFAR-10");
    set_standards(&l->s, find_command(small ? "mnist" : "cifar10"));
    if (l->dim[0] == 1) give(&l->s, OPT_GRAY, "yes");
    l->of_run = 0;
  }
  l->s.v[OPT_ISA] = l->typed->v[OPT_ISA], l->s.v[OPT_THREADS] = l->typed->v[OPT_THREADS];
  if (!l->typed->v[OPT_SEED].given) l->typed->v[OPT_SEED] = l->s.v[OPT_SEED];
  const char *learned = nn_note(last.model, "data");
  run_data(&l->d, &l->s, l->typed, "call nn where the net was trained");
  if (quick || knows_data(last.model, nn_crc32(l->d.crc, "part", 4))) data_thin(&l->d);
  if (learned && !quick && !knows_data(last.model, l->d.crc))
    note("%s was trained on other data (%.*s) than %s", l->path, (int)strcspn(learned, "\n"),
         learned, l->d.name);
  tell_data(&l->d, is_set(l->typed, OPT_QUIET));
  if (l->dim[0] != d->channels || l->dim[1] != d->height || l->dim[2] != d->width ||
      l->d.classes > l->out.dim[0])
    fail("%s takes %s, the images of %s are %d x %d x %d", l->path,
         shape_of(l->in.dim, l->in.rank).text, l->d.name, d->channels, d->height, d->width);
  const int64_t step = !last.is_checkpoint ? -1
                       : l->of_run ? last.progress.best_step : last.progress.step;
  add_stage(l, step, l->m);
  if (l->of_run && step > 0) find_stages(l, path);
  nn_destroy(last.model);
  for (int i = 0; i < l->stages; i++)
    l->heads[i] = keep(word_of("%lld", (long long)l->stage[i].step).text);
}

/* Classes and probabilities of all test images. */
static nn_status classify(void *user, nn_model *m, const nn_batch *b, int first) {
  const struct look *l = user;
  return nn_predict(m, b, l->found + first, l->share + first * l->out.dim[0]);
}

/* Those of --images; else images that it takes for what they are: some of different classes, which
 * are shown, and more behind them. */
static void choose_images(struct look *l) {
  const nn_dataset *test = &l->d.test;
  const char *at = l->typed->v[OPT_IMAGES].text;
  const int chosen = *at == 0;
  for (char *end; *at; at = end + (*end == ',')) {
    const long number = strtol(at, &end, 10);
    if (end == at || (*end && *end != ',') || number < 0 || number >= test->count)
      fail("--images: '%.20s' is not the number of a test image, 0 .. %d%s", at,
           test->count - 1, is_set(l->typed, OPT_MINIATURE) ? " with --quick" : "");
    if (l->images == AT_ONCE) fail("--images: more than %d", AT_ONCE);
    l->image[l->images++] = (int32_t)number;
  }
  for (int pass = 0; chosen && pass < 2; pass++)
    for (int i = 0; i < test->count && l->images < (pass ? AT_ONCE : CHOSEN); i++) {
      int fits = l->found[i] == label_of(test, i);
      for (int k = 0; k < l->images; k++)
        fits &= l->image[k] != i && (pass || label_of(test, l->image[k]) != label_of(test, i));
      if (fits) l->image[l->images++] = i;
      if (!pass) l->shown = l->images;
    }
  if (!l->images) l->images = 1; /* the first one, where all are taken for others */
  if (!l->shown) l->shown = l->images;
}

/* nn look WHAT RUN|MODEL */
static int look_command(struct settings *typed) {
  struct look *l = allocate(1, sizeof *l);
  struct page *p = &l->page;
  const char *what = typed->operand[0], *model = typed->operand[1];
  const nn_message why = set_option(typed, OPT_WHAT, what);
  if (*why.text) refuse(typed, "'%s' %s", what, why.text);
  need_right(typed, check_needs(typed));
  const int which = whole_of(typed, OPT_WHAT), quick = is_set(typed, OPT_MINIATURE);
  const int first = which < LOOKS ? which : 0, end = which < LOOKS ? which + 1 : LOOKS;
  l->typed = typed;
  open_look(l);
  l->x = allocate(AT_ONCE * size_of(&l->in), sizeof *l->x);
  l->found = allocate((size_t)l->d.test.count, sizeof *l->found);
  l->share = allocate((size_t)l->d.test.count * size_of(&l->out), sizeof *l->share);
  must(l->m, nn_survey(l->m, &l->d.test, classify, l));
  choose_images(l);
  find_depths(l);
  if (is_set(typed, OPT_OUT)) p->folder = path_of("%s", typed->v[OPT_OUT].text);
  else if (is_folder(model)) p->folder = path_of("%s/look%s", model, quick ? "-quick" : "");
  else p->folder = path_of("%.*s-look", (int)strlen(model) - 3 * ends_with(model, ".nn"), model);
  if (is_set(typed, OPT_OUT)) need_no_run(p->folder.text);
  make_folders(p->folder.text);
  const int has[NEEDS] = {first_weights(l->m).value != NULL, last_of(l->m, "conv") >= 0,
                          l->stages > 1, l->in.rank == 2 && last_of(l->m, "rnn|lstm|gru") >= 0,
                          l->depths > 2};
  for (int i = first; i < end; i++) {
    const double start = now();
    const char *lacks_this = NULL;
    for (int k = 0; k < NEEDS && !lacks_this; k++)
      if ((looks[i].needs >> k & 1) && !has[k]) lacks_this = lacks[k];
    if (lacks_this && which < LOOKS) fail("look %s: %s", what, lacks_this);
    if (lacks_this) {
      note("%s: left out: %s", looks[i].name, lacks_this);
      continue;
    }
    section(p, looks[i].name, looks[i].title, NULL, 0);
    looks[i].look(l);
    if (!is_set(typed, OPT_QUIET))
      fprintf(stderr, "%s: %s\n", looks[i].name, duration(now() - start).text);
  }
  const int known = l->stage[l->own].step >= 0;
  double right = 0;
  for (int i = 0; i < l->d.test.count; i++) right += l->found[i] == label_of(&l->d.test, i);
  json(&p->head, "$k", "summary", line_of("The model%s%s answers %s of %s test images right: %s%s",
       known ? " of step " : "", known ? l->heads[l->own] : "",
       percent(right / l->d.test.count).text, grouped(l->d.test.count).text, l->d.name,
       quick ? " (--quick)" : "").text);
  if (l->of_run && !is_set(typed, OPT_OUT))
    json(&p->head, ",'links':[['the run','../report.html']]");
  page_save(p, word_of("%s.html", what).text, line_of("Inside %s", l->path).text);
  printf("report: %s/%s.html\n", p->folder.text, what);
  for (int i = 0; i < l->stages; i++) nn_destroy(l->stage[i].m);
  data_free(&l->d);
  free(l->stage), free(l->found), free(l->share), free(l->x), free(l);
  return 0;
}

/* ======================================= @@COMMANDS ========================================= */

/* What the pixels 0 .. 1 of pictures are multiplied by, where they may be, for a net that learned
 * from numbers. */
static nn_real pixel_factor(const nn_model *m, int may) {
  const char *range = nn_note(m, "range");
  double low = 0, high = 1;
  if (!range || sscanf(range, "%lf %lf", &low, &high) < 2 || (low >= 0 && high <= 1)) return 1;
  if (!may || !(low >= 0 && high <= 255))
    fail("the net learned from numbers %g .. %g, which pictures do not have", low, high);
  note("the net learned from numbers 0 .. %g: pixels are taken as 0 .. 255", high);
  return 255;
}

/* Puts up to so many images of a set, as data/play.html reads them. */
static void play_images(struct text *t, const char *key, const nn_dataset *d, int most) {
  const size_t each = (size_t)(d->channels * d->height * d->width);
  struct text bytes = {0};
  json(t, ",$s:{'labels':[", key);
  for (int i = 0; d->pixels && i < d->count && i < most; i++) {
    const size_t at = (size_t)(d->only ? d->only[i] : i);
    text_bytes(&bytes, (const char *)d->pixels + at * each, each);
    json(t, ",$i", (int)label_of(d, i));
  }
  json(t, "],'pixels':$b}", bytes.data, bytes.size);
  text_free(&bytes);
}

/* nn play RUN|MODEL: data/play.html with the model in it, and images that it may be shown. */
static int play_command(struct settings *typed) {
  const char *const model = typed->operand[0];
  struct look *l = allocate(1, sizeof *l);
  struct text data = {0};
  if (!play_lines[0]) fail("this program was built without the page for it: make web builds both");
  l->typed = typed;
  open_look(l);
  const nn_real factor = pixel_factor(l->m, 1);
  const int bare = (int)strlen(model) - 3 * ends_with(model, ".nn");
  const char *folder = is_set(typed, OPT_OUT) ? typed->v[OPT_OUT].text : model;
  if (is_set(typed, OPT_OUT)) make_folders(folder);
  const struct line path = is_folder(folder) ? in_folder(folder, "play.html")
                                             : path_of("%.*s-play.html", bare, model);
  const size_t size = nn_save_size(l->m, NULL);
  void *bytes = allocate(size, 1);
  must(l->m, nn_save_memory(l->m, NULL, bytes, size));
  json(&data, "{'nn':$s,'name':$s,'data':$s,'factor':$n,'model':$b", NN_VERSION, l->path, l->d.name,
       (double)factor, bytes, size);
  play_images(&data, "test", &l->d.test, size_of(&l->in) == 784 ? 200 : 60);
  play_images(&data, "train", &l->d.train, size_of(&l->in) == 784 ? 600 : 0);
  text_put(&data, "}\n");
  write_page(path.text, play_lines, NULL, &data);
  printf("page: %s\n", path.text);
  for (int i = 0; i < l->stages; i++) nn_destroy(l->stage[i].m);
  data_free(&l->d);
  text_free(&data);
  free(bytes), free(l->stage), free(l);
  return 0;
}

/* nn data: which images a training command would use. */
static int data_command(const struct settings *s) {
  for (int k = 0; k < 2; k++) {
    const char *name = wanted[k].command;
    struct settings of = *s;
    struct data d;
    of.command = find_command(name);
    const int found = data_find(&d, &of, 0);
    printf("%-8s ", name);
    if (found) puts(data_line(&d).text);
    else if (named_place(s)) printf("nothing in %s\n", named_place(s));
    else printf("drawn by the program; data/fetch %s downloads real images\n", name);
    data_free(&d);
  }
  return 0;
}

/* ---- files of models and weights ---- */

static int append_bytes(void *user, const void *bytes, size_t size) {
  text_bytes(user, bytes, size);
  return 0;
}

/* A file's bytes; of a folder of npy files those of a safetensors file with the same arrays, whose
 * names are those of the files. */
struct bundle {
  const char *path;
  struct text header, numbers;
};
static void add_npy(void *user, const char *path) {
  static const char *const types[] = {"", "U8", "I32", "I64", "F32", "F64"};
  static const size_t sizes[] = {0, 1, 4, 8, 4, 8};
  struct bundle *b = user;
  double dim[8], place[2] = {(double)b->numbers.size, 0};
  if (!ends_with(path, ".npy")) return;
  const char *name = path + strlen(b->path) + 1;
  const struct line bare = path_of("%.*s", (int)strlen(name) - 4, name);
  nn_array a = read_array(path);
  for (int k = 0; k < a.rank; k++) dim[k] = (double)a.dim[k];
  text_bytes(&b->numbers, a.data, a.count * sizes[a.type]);
  place[1] = (double)b->numbers.size;
  json(&b->header, ",$s:{'dtype':$s,'shape':$N,'data_offsets':$N}", bare.text, types[a.type], dim,
       (size_t)a.rank, place, (size_t)2);
  nn_array_free(&a);
}
static struct text read_weights(const char *path) {
  struct bundle b = {.path = path};
  if (!is_folder(path)) return read_bytes(path);
  text_put(&b.header, "        {");
  each_file(path, add_npy, &b);
  text_put(&b.header, "}");
  for (int k = 0; k < 8; k++) b.header.data[k] = (char)((uint64_t)(b.header.size - 8) >> 8 * k);
  text_bytes(&b.header, b.numbers.data, b.numbers.size);
  text_free(&b.numbers);
  return b.header;
}

/* A folder with an npy file for each array, NAME.npy: as an npz in memory, which is listed. */
static int save_npy(void *user, const nn_stored *s) {
  nn_array a = {NN_F32, s->rank, {0}, s->count, (void *)(uintptr_t)s->bytes, {0}};
  nn_message why;
  if (*s->name == '/' || strstr(s->name, "..") || strpbrk(s->name, "\\:"))
    fail("%s cannot be the name of a file: give the array another one by --names", s->name);
  memcpy(a.dim, s->dim, sizeof a.dim);
  const struct line path = path_of("%s/%s.npy", (const char *)user, s->name);
  const int folder = (int)(name_of(path.text) - path.text); /* its name may have a / */
  make_folders(path_of("%.*s", folder, path.text).text);
  if (nn_npy_save(path.text, &a, &why)) fail("%s", why.text);
  return 0;
}
static void save_folder(nn_model *m, const char *names, const char *path) {
  struct text npz = {0};
  if (is_folder(path) && holds_run(path)) fail("%s holds a run: give another folder", path);
  if (is_weights(path)) note("%s has npy files already: those with other names stay", path);
  must(m, nn_export_npz(m, names, append_bytes, &npz));
  nn_list_weights(npz.data, npz.size, save_npy, (void *)(uintptr_t)path, NULL);
  text_free(&npz);
}

/* C source, whose names begin with the file's where that may be a name in C. */
static nn_status save_source(nn_model *m, nn_int8 *q, nn_c_sizes *sizes, const char *path) {
  const struct word prefix = word_of("%.*s", (int)strlen(name_of(path)) - 2, name_of(path));
  nn_c_options o = {prefix.text, q, sizes};
  const nn_status status = nn_save_c(m, &o, path);
  if (status != NN_ERR_ARGUMENT) return status;
  o.prefix = NULL;
  return nn_save_c(m, &o, path);
}

/* What the end of a name tells nn convert to write: models first; -1: nothing that it knows. */
enum form { TO_NN, TO_ONNX, TO_C, TO_SAFETENSORS, TO_NPZ, TO_FOLDER };
static int form_of(const char *path) {
  const char *dot = strrchr(name_of(path), '.');
  const int form = find_word(".nn|.onnx|.h|.safetensors|.npz", dot ? dot : "", NULL);
  return form < 0 && (ends_with(path, "/") || is_folder(path)) ? TO_FOLDER : form;
}

/* A row for an array: what it is called, its shape, and its bytes. */
static int put_array(void *user, const nn_stored *s) {
  struct text shape = {0};
  for (int i = 0; i < s->rank; i++) text_add(&shape, i ? "x%zu" : "%zu", s->dim[i]);
  put_row(user, "sssnn", s->name, s->rank ? shape.data : "-", s->type, (double)s->count,
          (double)s->size);
  text_free(&shape);
  return 0;
}

/* Prints a table in lines of at most so many columns, for which long texts lose their middle. */
static void print_table(struct table *t, int columns) {
  struct text out = {0};
  for (int most = NN_NAME_SIZE; text_table(&out, t, most) > columns && most > 8; most -= 4)
    out.size = 0;
  fputs(out.data, stdout);
  text_free(&out), table_free(t);
}

/* Prints the arrays of a file of weights, in memory. */
static void print_arrays(const struct text *file, const char *path) {
  struct table t = {array_heads, NULL, 0};
  double numbers = 0, bytes = 0;
  nn_message why;
  if (nn_list_weights(file->data, file->size, put_array, &t, &why)) fail("%s: %s", path, why.text);
  for (size_t i = 0; i < t.count; i += 5)
    numbers += t.cells[i + 3].number, bytes += t.cells[i + 4].number;
  for (size_t i = 4; i < t.count; i += 5) t.cells[i].number /= bytes;
  printf("%s: %zu arrays, %s numbers\n", path, t.count / 5, grouped(numbers).text);
  print_table(&t, INT_MAX);
}

/* Those of a model, with its own names. */
static void print_model_arrays(nn_model *m, const char *path) {
  struct text file = {0};
  must(m, nn_export_safetensors(m, NULL, append_bytes, &file));
  print_arrays(&file, path);
  text_free(&file);
}

/* Fills a net from a file of weights. Where they do not fit, both lists come before the error. */
static void take_weights(nn_model *m, const char *path, const nn_weights_options *o,
                         const char *net) {
  nn_weights w;
  struct text file = read_weights(path);
  if (nn_load_weights_memory(m, file.data, file.size, o, &w)) {
    if (nn_model_status(m) == NN_ERR_SHAPE || nn_model_status(m) == NN_ERR_ARGUMENT)
      print_arrays(&file, path), print_model_arrays(m, net);
    fail("%s: %s", path, nn_error(m));
  }
  text_free(&file);
  if (w.unused)
    note("%s: %d arrays are not in %s, the first is %s", path, w.unused, net, w.first_unused);
}

/* The images that --int8 measures a net on: those of --images, in its shape, or else of its run. */
static void measuring_data(const struct settings *typed, nn_model *m, struct data *d) {
  const nn_node_info in = node_of(m, 0);
  const int given = is_set(typed, OPT_OWN_IMAGES);
  struct settings s = *typed;
  nn_message why;
  s.command = find_command("train"), s.program = NULL;
  if (in.rank < 3 || in.dim[0] == 1) give(&s, OPT_GRAY, "yes");
  if (in.rank > 1) give(&s, OPT_SIDE, keep(word_of("%d", in.dim[in.rank - 2]).text));
  if (!given && !noted_settings(m, &s, &why))
    fail("--int8 measures the net on images like those that it learned from: give --images (%s)",
         why.text);
  run_data(d, &s, typed, "give other --images");
  tell_data(d, 0);
  if (!given && !knows_data(m, d->crc))
    note("the net learned from other images than these: give --data or --images");
}

/* The same in int8, calibrated on images, and what that costs. */
static void save_int8(const struct settings *typed, nn_model *m, const char *path) {
  struct table t = {int8_heads, NULL, 0};
  struct data d;
  nn_int8 *q;
  nn_int8_result r;
  nn_c_sizes plain, small;
  const nn_c_options o = {NULL, NULL, &plain};
  struct text unused = {0};
  measuring_data(typed, m, &d);
  if (d.train.pixels || d.test.pixels) pixel_factor(m, 0);
  draw_some(&d.train, THIN, d.thinned);
  must(m, nn_int8_create(m, &d.train, &q));
  must(m, nn_int8_evaluate(q, &d.test, &r));
  must(m, nn_export_c(m, &o, append_bytes, &unused));
  must(m, save_source(m, q, &small, path));
  const double rows = (double)(r.rows ? r.rows : 1);
  put_row(&t, "snnnn", "float", (double)r.right / rows, (double)plain.weights, (double)plain.memory,
          plain.macs);
  put_row(&t, "snnnn", "int8", (double)r.right_int8 / rows, (double)small.weights,
          (double)small.memory, small.macs);
  print_table(&t, INT_MAX);
  printf("%d training images gave the ranges, less %g of the numbers at each end; the outputs are"
         " off by %.2g of their root mean square\n", d.train.count, r.cut, r.error);
  nn_int8_free(q);
  data_free(&d), text_free(&unused);
}

/* nn convert: reads a model, or weights and the net that they are for, and writes another file. */
static int convert_command(struct settings *s) {
  const char *const from = s->operand[0], *const to = s->operand[1];
  const int comes_in = is_weights(from), by_order = is_set(s, OPT_BY_ORDER), form = form_of(to);
  nn_config c = nn_config_default();
  struct text names = {0};
  nn_weights_options o = {.strict = 1, .by_order = by_order, .keras = is_set(s, OPT_KERAS)};
  nn_status status = NN_OK;
  if (form < 0)
    refuse(s, "%s: the name of what is to be written ends in one of "
           ".nn, .onnx, .safetensors, .npz, .h, /", to);
  if (comes_in && !is_set(s, OPT_NET))
    refuse(s, "--net is missing: %s has weights alone; for which net?", from);
  if (!comes_in && (is_set(s, OPT_NET) || by_order || o.keras))
    refuse(s, "--net, --by-order and --keras go with .safetensors, .npz or a folder of npy, not %s",
           from);
  need_right(s, check_needs(s));
  if (is_set(s, OPT_INT8) && form != TO_C)
    refuse(s, "--int8 is for C source: %s does not end in .h", to);
  if (is_set(s, OPT_NAMES) && by_order) refuse(s, "--names and --by-order exclude each other");
  if (!comes_in && is_set(s, OPT_NAMES) && form <= TO_C)
    refuse(s, "--names is for files of weights: %s and %s are models", from, to);
  const struct line net = model_path(comes_in ? s->v[OPT_NET].text : from);
  c.batch = c.inference = 1, c.notes = 1 << 20; /* metadata may be long */
  if (is_set(s, OPT_INT8)) c.batch = 64, c.threads = 0, c.keep_activations = 1;
  nn_model *m = load_model(net.text, &c).model;
  if (is_set(s, OPT_NAMES)) {
    names = read_bytes(s->v[OPT_NAMES].text);
    text_put(&names, ""); /* a zero behind it */
  }
  o.names = names.data;
  if (comes_in) take_weights(m, from, &o, net.text);
  const char *as = comes_in ? NULL : names.data;
  if (is_set(s, OPT_INT8)) save_int8(s, m, to);
  else if (form == TO_NN) status = nn_save(m, to);
  else if (form == TO_ONNX) status = nn_save_onnx(m, 0, to);
  else if (form == TO_C) status = save_source(m, NULL, NULL, to);
  else if (form == TO_SAFETENSORS) status = nn_save_safetensors(m, as, to);
  else if (form == TO_NPZ) status = nn_save_npz(m, as, to);
  else save_folder(m, as, to);
  must(m, status);
  printf("%s: %d arrays\n", to, nn_param_count(m));
  text_free(&names);
  nn_destroy(m);
  return 0;
}

static int info_command(const struct settings *s) {
  nn_optimizer o = nn_sgd(0, 0);
  nn_config c = nn_config_default();
  double macs = 0;
  size_t count;
  if (is_weights(s->operand[0])) {
    struct text file = read_weights(s->operand[0]);
    print_arrays(&file, s->operand[0]);
    text_free(&file);
    return 0;
  }
  const struct line path = model_path(s->operand[0]);
  c.batch = c.inference = 1;
  nn_model *m = load_model(path.text, &c).model;
  const size_t to_classify = nn_memory(m);
  nn_destroy(m);
  c.inference = 0;
  const nn_load_result loaded = load_model(path.text, &c);
  m = loaded.model;
  const nn_real *all = nn_parameters(m, &count);
  printf("%s: %s, %s parameters, CRC-32 %08lx\n", path.text,
         loaded.is_checkpoint ? "checkpoint" : "model", grouped((double)count).text,
         (unsigned long)nn_crc32(0, all, count * sizeof *all));
  nn_get_optimizer(m, &o);
  if (loaded.is_checkpoint)
    printf("at step %lld, %lld samples into epoch %lld; %s, learning rate %g\n",
           (long long)loaded.progress.step, (long long)loaded.progress.place,
           (long long)loaded.progress.epoch + 1, optimizer_names[o.kind], o.rate);
  const char *key;
  for (int i = 0; (key = nn_note_key(m, i)) != NULL; i++) {
    if (find_word("log|state", key, NULL) >= 0) continue;
    printf("%s: ", key);
    for (const char *c = nn_note(m, key); *c; c++)
      printf(*c == '\n' ? ", " : "%c", iscntrl((unsigned char)*c) ? '?' : *c);
    putchar('\n');
  }
  struct table layers = {net_heads, NULL, 0};
  for (int i = 0; i < nn_node_count(m); i++) {
    const nn_node_info n = node_of(m, i);
    struct text from = {0};
    for (int k = 0; k < n.inputs; k++)
      if (n.input[k] != i - 1)
        text_add(&from, "%s%s", from.size ? ", " : "from ", node_of(m, n.input[k]).name);
    put_row(&layers, "sssnns", n.name, n.kind, shape_of(n.dim, n.rank).text, (double)n.params,
            n.macs, from.size ? from.data : "");
    text_free(&from);
    macs += n.macs;
  }
  print_table(&layers, 100);
  printf("%s multiply-adds and %s bytes of memory to classify one sample\n"
         "%s bytes of memory to train it a sample at a time\n", grouped(macs).text,
         grouped((double)to_classify).text, grouped((double)nn_memory(m)).text);
  print_model_arrays(m, path.text);
  nn_destroy(m);
  return 0;
}

/* ---- predict ---- */

struct predictor {
  const struct settings *s;
  nn_model *m;
  nn_node_info in;
  int dim[3], classes, several; /* several: more than one file */
  nn_real factor; /* of pixels; 0 before there are any */
  int in_folder, label;         /* label: of files in a sub-folder that is named so; else -1 */
  int shown, right, labelled, unread, fitted;
};

enum { BATCH = 256 };

/* A line for each image of a set. */
static void predict_set(struct predictor *p, const nn_dataset *d, const char *name) {
  const int top = whole_of(p->s, OPT_TOP) < p->classes ? whole_of(p->s, OPT_TOP) : p->classes;
  const size_t each = (size_t)(d->channels * d->height * d->width);
  nn_real *x = allocate(BATCH * (each + (size_t)top), sizeof *x), *share = x + BATCH * each;
  int32_t index[BATCH], *found = allocate(BATCH * (size_t)top, sizeof *found);
  for (int first = 0, n; first < d->count; first += n) {
    n = d->count - first < BATCH ? d->count - first : BATCH;
    const nn_batch b = {.n = n, .x = {x}};
    for (int k = 0; k < n; k++) index[k] = first + k;
    must(p->m, nn_gather(d, index, n, NULL, NULL, x, NULL));
    if (d->pixels && p->factor < 1) p->factor = pixel_factor(p->m, 1);
    for (size_t i = 0; d->pixels && i < (size_t)n * each; i++) x[i] *= p->factor;
    must(p->m, nn_predict_top(p->m, &b, top, found, share));
    for (int k = 0; k < n; k++) {
      if (isnan(share[k * top]))
        fail("%s: the model's answer for image %d is not a number", name, first + k);
      if (d->count > 1) printf("%s[%d]", p->several ? name : "", first + k);
      else printf("%s", name);
      for (int c = k * top; c < (k + 1) * top; c++)
        printf("  %s %.4f", class_name(p->m, found[c]).text, (double)share[c]);
      const int32_t label = d->labels ? d->labels[first + k] : p->label;
      if (label >= 0) {
        printf("  is %s", class_name(p->m, label).text);
        p->labelled++;
        p->right += label == found[k * top];
      }
      putchar('\n');
    }
  }
  p->shown += d->count;
  free(x), free(found);
}

/* The images of an npy, IDX or CIFAR-10 file, with the labels that it or --labels has; what is
 * wrong, or "". */
static struct line read_set(const struct predictor *p, const struct text *file, const char *name,
                            nn_dataset *d) {
  const char *given = p->s->v[OPT_LABELS].text;
  const int *dim = p->dim, is_cifar = ends_with(name, ".bin");
  const size_t each = (size_t)(dim[0] * dim[1] * dim[2]);
  nn_array a, labels = {.count = 0};
  nn_message why;
  if (is_cifar ? nn_cifar10_parse(file->data, file->size, dim[0] == 1, NULL, &a, &labels, &why)
               : parse_array(file, &a, &why))
    return line_of("%s: %s", name, why.text);
  if (a.rank == 2 && p->in.rank > 1 && a.dim[0] == (size_t)dim[1] && a.dim[1] == (size_t)dim[2])
    a.dim[2] = a.dim[1], a.dim[1] = a.dim[0], a.dim[0] = 1, a.rank = 3; /* one image */
  if (*given) {
    nn_array_free(&labels);
    labels = read_array(given);
  }
  snprintf(why.text, sizeof why.text, "no images are in it");
  const int failed = !a.count || nn_dataset_from_arrays(&a, labels.data ? &labels : NULL, d, &why);
  nn_array_free(&a), nn_array_free(&labels); /* empty, where d has them */
  if (failed) return line_of("%s: %s", name, why.text);
  if (d->labels) count_classes(d, p->classes, *given ? given : name);
  const nn_transform middle = {.gray = dim[0] == 1 && d->channels == 3,
                               .crop_height = is_cifar ? dim[1] : 0,
                               .crop_width = is_cifar ? dim[2] : 0};
  if (is_cifar || middle.gray) nn_dataset_transform(d, &middle, NULL);
  if (d->channels != dim[0] || d->height != dim[1] || d->width != dim[2])
    return line_of("%s: its images are %d x %d x %d, the model takes %s", name, d->channels,
                   d->height, d->width, shape_of(p->in.dim, p->in.rank).text);
  for (size_t i = 0; d->values && i < (size_t)d->count * each; i++)
    if (!isfinite(d->values[i]))
      return line_of("%s: image %zu holds NaN, an infinite number or one too large", name,
                     i / each);
  return (struct line){""};
}

/* Predicts a file, whose beginning tells images from a picture. Much else that is in folders begins
 * with a zero (HEIC, MP4, icons), but not with IDX's two zeros and a type of 8 or more. One of
 * several that cannot be read does not keep the others from it; in a folder it may be anything. */
static void predict_file(void *user, const char *name) {
  struct predictor *p = user;
  const int *dim = p->dim, is_input = strcmp(name, "-") == 0;
  int was[2] = {dim[1], dim[2]}, is_wrong = 1;
  nn_dataset d = {.count = 0};
  nn_array bytes = {.count = 0};
  nn_message unread = {""};
  if (!is_input) nn_file_read(name, SIZE_MAX / 2, NULL, &bytes, &unread);
  struct text file = is_input ? read_bytes(name) : (struct text){bytes.data, bytes.count, 0};
  const int zeros = file.size && !*file.data &&
                    (!p->in_folder || (file.size > 2 && !file.data[1] && file.data[2] >= 8));
  struct line why = {""};
  if (*unread.text) {
    why = line_of("%s", unread.text);
  } else if (ends_with(name, ".bin") || zeros || (file.size && *file.data == '\x93')) {
    why = read_set(p, &file, name, &d);
  } else if (p->in.rank == 1 || !read_picture(&file, p->dim, &d, was)) {
    why = line_of("%s is no picture, npy, IDX or CIFAR-10 file", name);
    is_wrong = !p->in_folder;
  } else if (is_set(p->s, OPT_LABELS)) {
    refuse(p->s, "--labels is not for pictures: the folder that one is in is named as its class");
  } else if ((was[0] != dim[1] || was[1] != dim[2]) && !p->fitted++) {
    note("%s has %d x %d pixels: pictures are cut and scaled to %d x %d", name, was[1], was[0],
         dim[2], dim[1]);
  }
  if (!*why.text) predict_set(p, &d, name);
  else if (!p->several) fail("%s", why.text);
  else note("left out: %s", why.text), p->unread += is_wrong;
  nn_dataset_free(&d);
  text_free(&file);
}

/* Predicts what is in a sub-folder, which may be named as a class. */
static void predict_class(void *user, const char *path) {
  struct predictor *p = user;
  const int before = p->shown;
  struct line class = {""};
  for (p->label = p->classes - 1; p->label >= 0; p->label--) {
    nn_class_name(p->m, p->label, class.text, sizeof class.text);
    if (strcmp(class.text, name_of(path)) == 0) break;
  }
  each_file(path, predict_file, p);
  if (p->label < 0 && p->shown > before)
    note("%s: the model has no class of this name to compare with", path);
  p->label = -1;
}

static int predict_command(struct settings *s) {
  struct predictor p = {.s = s, .label = -1};
  nn_node_info out;
  nn_config c = config_of(s);
  c.batch = BATCH;
  c.inference = 1;
  const struct line path = model_path(s->operand[0]);
  p.m = load_model(path.text, &c).model;
  p.in = node_of(p.m, 0), out = node_of(p.m, nn_output_node(p.m));
  if (out.rank != 1) fail("%s is not a model that classifies images", path.text);
  for (int i = 1; i < nn_node_count(p.m); i++)
    if (!node_of(p.m, i).inputs)
      fail("%s takes more than images: it has two inputs or more", path.text);
  p.dim[0] = p.in.rank == 3 ? p.in.dim[0] : 1;
  p.dim[1] = p.in.rank > 1 ? p.in.dim[p.in.rank - 2] : 1;
  p.dim[2] = p.in.dim[p.in.rank - 1];
  p.classes = out.dim[0];
  p.several = s->operands > 2 || is_folder(s->operand[1]);
  if (is_set(s, OPT_LABELS) && p.several)
    refuse(s, "--labels is for one file of images: in a folder sub-folders are named as classes");
  for (int i = 1; i < s->operands; i++) {
    p.in_folder = is_folder(s->operand[i]);
    if (p.in_folder) visit(s->operand[i], predict_class, predict_file, &p);
    else predict_file(&p, s->operand[i]);
  }
  if (p.labelled)
    printf("accuracy %s (%d of %d)\n", percent((double)p.right / p.labelled).text, p.right,
           p.labelled);
  if (p.unread) fail("files left out because they cannot be read: %d", p.unread);
  if (!p.shown) fail("%s: no images are there", s->operand[1]);
  nn_destroy(p.m);
  return 0;
}

/* Runs a command, or answers --help. Its exit status. */
static int run(const struct command *c, int count, char **argv, const char **words) {
  const char *const *typed = (const char *const *)argv;
  struct settings s;
  for (int i = 2; i < count; i++)
    if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) return help_command(c);
  set_standards(&s, c);
  s.program = argv[0];
  need_right(&s, read_words(&s, count - 2, words + 2));
  if (s.operands < (c->bit == PREDICT ? 2 : c->operands) && !is_set(&s, OPT_LIST))
    refuse(&s, "usage: nn %s %s", c->name, c->form);
  if (c->bit & (options[OPT_ISA].commands | PLAYS)) need_right(&s, complete_isa(&s));
  if (c->bit == SOURCES) return data_command(&s);
  if (c->bit == INFO) return info_command(&s);
  if (c->bit == CONVERT) return convert_command(&s);
  if (c->bit == PREDICT) return predict_command(&s);
  if (c->bit == LOOK) return look_command(&s);
  if (c->bit == PLAYS) return play_command(&s);
  int several = whole_of(&s, OPT_SEEDS) > 1 || is_set(&s, OPT_DONE) || is_set(&s, OPT_RANDOM) ||
                !(c->bit & TRAIN);
  for (int o = 0; o < OPTION_COUNT; o++) several |= s.v[o].several;
  return several ? study_command(&s, typed) : run_command(&s);
}

int main(int count, char **argv) {
  const char **words = allocate((size_t)count + 1, sizeof *words);
  struct word meant = {""};
  int result = 0;
  ignore_signals();
  if (join_ranks()) return follow();
  for (int i = 0; i < count; i++) words[i] = argv[i];
  if (count < 2) wrong("", "which command? %s", command_names);
  const int helps = find_word("--help|-h|help", argv[1], NULL) >= 0;
  const char *name = argv[helps && count > 2 ? 2 : 1];
  const int k = find_word(command_names, name, &meant);
  if (strcmp(name, "--version") == 0) puts("nn " NN_VERSION);
  else if (helps && count == 2) {
    puts("nn: convolutional and recurrent networks on a CPU\nusage: nn COMMAND [options]\n"
         "commands:");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
      printf("  %-12s%s\n", commands[i].name, commands[i].summary);
    puts(help_end);
  } else if (k < 0) wrong("", "there is no command '%s'%s", name, meant.text);
  else if (helps) help_command(&commands[k]);
  else result = run(&commands[k], count, argv, words);
  free(words), forget();
  if (fflush(stdout) || ferror(stdout)) fail("the results cannot be written: %s", strerror(errno));
  return result;
}
