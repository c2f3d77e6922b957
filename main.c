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
 *   @@STUDY    many runs in one table: experiments, sweeps, the demonstration, ablation
 *   @@LOOK     what a trained net is made of
 *   @@COMMANDS info, predict, data; main
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
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "data/drawn.inc"
#include "data/measures.inc"

#if defined NN_NO_STDIO || defined NN_NO_MALLOC || defined NN_NO_TRAINING || defined NN_NO_INSPECT
#error "main.c needs files, malloc, training and looking inside: build nn.c with all of them"
#endif

/* ======================================== @@TEXT =========================================== */
#if defined __GNUC__ && !defined _WIN32 /* where the checks know other formats */
#define PRINTF_LIKE(text, values) __attribute__((format(printf, text, values)))
#else
#define PRINTF_LIKE(text, values)
#endif
enum { PATH_SIZE = 4096 };

/* A line on stderr: nothing that was typed or read can break it. from: the file whose note a wrong
 * command line stands in; command: whose help may explain; or NULL. */
PRINTF_LIKE(3, 4) static void say(const char *from, const char *command, const char *format, ...) {
  char what[2 * PATH_SIZE];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  for (char *c = what; *c; c++)
    if (iscntrl((unsigned char)*c)) *c = '?';
  fflush(stdout);
  fputs("nn: ", stderr);
  if (from) fprintf(stderr, "%s: the command line that it notes is of another version: ", from);
  fputs(what, stderr);
  if (command && !from) fprintf(stderr, " (nn %s%s--help explains)", command, *command ? " " : "");
  fputs("\n", stderr);
}
#define note(...) say(NULL, NULL, __VA_ARGS__) /* the program goes on */
#define fail(...) (note(__VA_ARGS__), exit(1))
#define wrong(command, ...) (say(NULL, command, __VA_ARGS__), exit(2)) /* a command line */

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) fail("out of memory");
  return memory;
}

/* An array with room for one element more; it doubles at 0, 1, 3, 7, .. */
static void *grow(void *array, size_t count, size_t size) {
  if (count & (count + 1)) return array;
  array = realloc(array, (2 * count + 1) * size);
  if (!array) fail("out of memory");
  return array;
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
    t->data = realloc(t->data, t->room);
    if (!t->data) fail("out of memory");
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

PRINTF_LIKE(2, 3) static void path_of(char path[PATH_SIZE], const char *format, ...) {
  va_list list;
  va_start(list, format);
  const int size = vsnprintf(path, PATH_SIZE, format, list);
  va_end(list);
  if (size < 0 || size >= PATH_SIZE) fail("a path is longer than %d bytes", PATH_SIZE - 1);
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

/* A share, for people; in hundredths, for tables that programs may read, too; and a loss, which may
 * be huge where a run diverges. */
static struct word percent(double share) { return word_of("%.2f %%", 100 * share); }
static struct word hundredths(double share) { return word_of("%.2f", 100 * share); }
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

/* Whether `name` may have been meant by `typed`, more likely than one of this score; lowers it. */
static int closer(const char *typed, const char *name, size_t *score) {
  const size_t n = strlen(typed), letters = n - strspn(typed, "-");
  const size_t far = letters >= 3 && strncmp(typed, name, n) == 0 ? 1 : apart(typed, name, 2);
  if (far >= *score || far > 2 || far >= letters) return 0;
  *score = far;
  return 1;
}

/* The place of a word in "a|b|c"; else -1, and `meant`, or NULL, says which was likely meant. */
static int find_word(const char *list, const char *typed, struct word *meant) {
  struct word near = {""};
  size_t score = 99;
  for (int k = 0; *list; k++) {
    const int n = (int)strcspn(list, "|");
    const struct word w = word_of("%.*s", n, list);
    if (n && strcmp(w.text, typed) == 0) return k;
    if (closer(typed, w.text, &score)) near = word_of("; did you mean %.30s?", w.text);
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
#define STBI_MAX_DIMENSIONS 16384
#include <stb/stb_image.h>

/* The signal that asks the program to stop, 0 while there is none: its only global variable. The
 * second signal of a kind ends the program at once. */
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
/* A folder that one process at a time works in; NULL when it cannot be had, *taken when another
 * process has it. The system takes it back from a process that ends, however it ends. */
typedef DIR lock;
static lock *take_folder(const char *folder, int *taken) {
  DIR *d = opendir(folder);
  *taken = d && flock(dirfd(d), LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
  if (*taken) closedir(d);
  return *taken ? NULL : d; /* some disks know no locks */
}
static void leave_folder(lock *l) {
  if (l) closedir(l);
}
#endif

static int is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* To open what is no file, a pipe with a name say, could wait for ever. */
static void need_regular(const char *path) {
  struct stat s;
  if (stat(path, &s) == 0 && !S_ISREG(s.st_mode))
    fail("%s is not a file: a folder, a pipe or a device", path);
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
/* Calls back for each file of a folder and the folders in it, in order, hidden ones left out. */
static void each_file(const char *folder, void (*call)(void *user, const char *path), void *user) {
  DIR *d = opendir(folder);
  char **names = NULL, path[PATH_SIZE];
  size_t count = 0;
  if (!d) fail("%s: %s", folder, strerror(errno));
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (*e->d_name == '.') continue;
    names = grow(names, count, sizeof *names);
    names[count] = allocate(strlen(e->d_name) + 1, 1);
    strcpy(names[count++], e->d_name);
  }
  closedir(d);
  if (count) qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    path_of(path, "%s/%s", folder, names[i]);
    free(names[i]);
    if (is_folder(path)) each_file(path, call, user);
    else call(user, path);
  }
  free(names);
}

/* ======================================= @@OPTIONS ==========================================
 * Every option is one row of data/options.inc and nothing else: the parser, --help, what goes with
 * what and the command line that repeats a run are all made from it. */
enum { CIFAR10 = 1, MNIST = 2, OWN = 4, DEMO = 8, EXPERIMENT = 16, LOOK = 32, INFO = 64,
       PREDICT = 128, SOURCES = 256, /* and two kinds that say nothing of what comes out: */
       OUTWARD = 512, UNNOTED = 1024 }; /* the second is of this call alone */
enum { TRAIN = CIFAR10 | MNIST | OWN, CELLS = MNIST | OWN, STUDY = TRAIN | EXPERIMENT,
       RUNS = TRAIN | DEMO | EXPERIMENT | LOOK, USES_DATA = CIFAR10 | MNIST | DEMO | EXPERIMENT |
       LOOK | SOURCES };

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

/* The option named by the first n bytes of `name`, if a command in the mask has it; else -1. */
static int find_option(const char *name, size_t n, int mask) {
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
  const char *from; /* the file whose note the command line was read from; NULL: it was typed */
  struct value v[OPTION_COUNT];
  const char *const *operand;
  const char *program; /* as it was called, for what it says to type */
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

/* Ends with what is wrong with a command line, where it was read: typed, or in a model's note. */
#define refuse(s, ...)                                                                             \
  (say((s)->from, (s)->command->name, __VA_ARGS__), exit((s)->from ? 1 : 2))

/* The place of `text` in "a|b|c"; else -1, and *why says so. */
static int read_choice(const char *form, const char *text, char why[256]) {
  struct word meant;
  const int k = find_word(form, text, &meant);
  if (k < 0) snprintf(why, 256, "is none of %s%s", form, meant.text);
  return k;
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

/* Sets an option; *why is "" when the text is good, else the end of a sentence. */
static void set_option(struct settings *s, enum option o, const char *text, char why[256]) {
  const struct option_entry *e = &options[o];
  struct value *v = &s->v[o];
  nn_augment augment;
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
  } else if (!*text) {
    snprintf(why, 256, "is empty");
  } else if (o == OPT_AUGMENT && !read_augment(text, &augment)) {
    snprintf(why, 256, "is not made of flip, shift=N and cutout=N with N from 1 to 16");
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

static void help_command(const struct command *c) {
  printf("nn %s: %s\nusage: nn %s %s\n%soptions:\n", c->name, c->summary, c->name, c->form,
         c->more);
  for (int o = 0; o < OPTION_COUNT; o++) {
    const struct option_entry *e = &options[o];
    struct text t = {0};
    if (!(e->commands & c->bit)) continue;
    if (find_option(e->needs, strcspn(e->needs, " "), c->bit) >= 0)
      text_add(&t, "with --%s: ", e->needs);
    int column = printf("  --%s%s%s", e->name, *e->form ? " " : "", e->form);
    if (column > 24) column = printf("\n") - 1;
    printf("%*s", 26 - column, "");
    text_add(&t, *e->standard ? "%s (default %s)" : "%s%s", e->help, e->standard);
    print_wrapped(t.data, 26);
    text_free(&t);
  }
  printf("  --help%18sthis text\n", "");
}

static void help_all(void) {
  puts("nn: convolutional and recurrent networks on a CPU\nusage: nn COMMAND [options]\ncommands:");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    printf("  %-12s%s\n", commands[i].name, commands[i].summary);
  puts(help_end);
}

/* Whether what was typed for an option of a training command is several values. */
static int has_several(const struct settings *s, int o, const char *text) {
  const enum kind kind = options[o].kind;
  if (s->from || !(s->command->bit & TRAIN) || o == OPT_SEED || o == OPT_SEEDS) return 0;
  if (o == OPT_AUGMENT) return strchr(text, '/') != NULL;
  return kind != FLAG && kind != TEXT && strpbrk(text, kind == CHOICE ? "," : ",:") != NULL;
}

/* Ends with the sentence for an option that the command does not have. */
static void unknown_option(const struct settings *s, const char *typed, size_t n) {
  struct text names = {0};
  struct word meant;
  const struct word name = word_of("%.*s", (int)n, typed);
  if (find_option(typed + 2, n - 2, ~0) >= 0)
    refuse(s, "nn %s has no option %s", s->command->name, name.text);
  for (int o = 0; o < OPTION_COUNT; o++)
    if (options[o].commands & s->command->bit) text_add(&names, "--%s|", options[o].name);
  find_word(names.data, name.text, &meant);
  refuse(s, "unknown option %s%s", name.text, meant.text);
}

/* Reads words of a command line, after those that the settings have. Operands are moved to the
 * front of the words. */
static void read_words(struct settings *s, int count, const char **words) {
  const struct command *c = s->command;
  s->operand = words;
  for (int i = 0; i < count; i++)
    for (const char *at = words[i]; *at; at++)
      if (iscntrl((unsigned char)*at)) refuse(s, "'%s' has a control character", words[i]);
  for (int i = 0; i < count; i++) {
    const char *word = words[i], *value = strchr(word, '=');
    char why[256] = "";
    if (word[0] != '-' || !word[1]) {
      if (s->operands == c->operands) refuse(s, "'%s' is one argument too many", word);
      words[s->operands++] = word;
      continue;
    }
    if (word[1] != '-') refuse(s, "unknown option %s; options begin with --", word);
    const size_t n = strcspn(word, "=");
    const int o = find_option(word + 2, n - 2, c->bit);
    if (o < 0) unknown_option(s, word, n);
    const struct option_entry *e = &options[o];
    struct value *v = &s->v[o];
    if (e->kind == FLAG) {
      if (value) refuse(s, "--%s takes no value", e->name);
      value = "yes";
    } else if (value) {
      value++;
    } else {
      if (i + 1 == count || strncmp(words[i + 1], "--", 2) == 0)
        refuse(s, "--%s needs a value: %s", e->name, e->form);
      value = words[++i];
    }
    v->several = has_several(s, o, value);
    if (v->several) v->text = value;
    else set_option(s, (enum option)o, value, why);
    if (*why) refuse(s, "--%s '%s' %s", e->name, value, why);
    v->given = 1;
  }
}

/* Reads the command line after the command's name; from: the file whose note it is, or NULL.
 * Answers --help itself. */
static void parse(struct settings *s, const struct command *c, int count, const char **words,
                  const char *from) {
  for (int i = 0; i < count && !from; i++)
    if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
      help_command(c);
      exit(fflush(stdout) ? 1 : 0);
    }
  set_standards(s, c);
  s->from = from;
  read_words(s, count, words);
  if (s->operands < (c->bit == PREDICT ? 2 : c->operands) && !is_set(s, OPT_LIST))
    wrong(c->name, "usage: nn %s %s", c->name, c->form);
}

/* Whether the settings have what an option needs: "another", or "another with one|of|these". */
static int is_met(const struct settings *s, const char *needs) {
  const size_t n = strcspn(needs, " ");
  const int o = find_option(needs, n, s->command->bit);
  return o < 0 || (needs[n] ? find_word(needs + n + 1, s->v[o].text, NULL) >= 0 : *s->v[o].text);
}

static int is_recurrent(const struct settings *s) {
  return (s->command->bit & CELLS) && number_of(s, OPT_CELL) < 3;
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

/* Fills in what depends on other options, and refuses what does not go together. */
static void complete(struct settings *s) {
  if (s->command->bit & CELLS) fill(s, OPT_CELL, s->command->bit == OWN ? "cnn" : "gru");
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!(options[o].commands & s->command->bit) || is_met(s, options[o].needs)) continue;
    if (s->v[o].given)
      refuse(s, "--%s goes only with --%s", options[o].name, options[o].needs);
    s->v[o].text = "";
  }
  if (is_set(s, OPT_EPOCHS) && is_set(s, OPT_STEPS))
    refuse(s, "--epochs and --steps exclude each other");
  if (s->command->bit == OWN && !is_set(s, OPT_OWN_IMAGES) && !is_set(s, OPT_RESUME))
    refuse(s, "--images is missing: which images?");
  for (size_t k = 0; k < sizeof defaults / sizeof *defaults; k++)
    if (is_met(s, defaults[k].needs) && is_met(s, options[defaults[k].o].needs))
      fill(s, defaults[k].o, defaults[k].text);
  if (!is_set(s, OPT_STEPS)) fill(s, OPT_EPOCHS, "10");
  if (is_cnn(s) && whole_of(s, OPT_PAD1) > whole_or(s, OPT_KERNEL1, 5) / 2)
    refuse(s, "--pad1 %s is more than half of --kernel1", s->v[OPT_PAD1].text);
  if (!is_cnn(s) && is_choice(s, OPT_HIDDEN, "0"))
    refuse(s, "--hidden 0: only --cell cnn can do without this layer");
  complete_isa(s);
}

/* Whether an option says where, how fast or how often, not what comes out. */
static int is_outward(int o) { return (options[o].commands & (OUTWARD | UNNOTED)) != 0; }

/* Writes a command line back, complete: what it does does not depend on defaults. */
static void write_back(struct text *t, const struct settings *s) {
  text_add(t, "nn %s", s->command->name);
  for (int o = 0; o < OPTION_COUNT; o++) {
    const int mask = options[o].commands;
    if (!(mask & s->command->bit) || (mask & UNNOTED) || !is_set(s, (enum option)o)) continue;
    text_add(t, " --%s", options[o].name);
    if (options[o].kind != FLAG) text_put(t, " "), text_word(t, s->v[o].text);
  }
}

/* The first option in which two runs differ, outward ones left out; else -1. With `given` only
 * those that were given to the second one count. */
static int differing(const struct settings *a, const struct settings *b, int given) {
  for (int o = 0; o < OPTION_COUNT; o++) {
    const struct value *v = &a->v[o], *w = &b->v[o];
    if (is_outward(o) || (given && !w->given) || !(options[o].commands & a->command->bit)) continue;
    if (!*v->text != !*w->text || (*v->text && v->number != w->number) ||
        (options[o].kind == TEXT && strcmp(v->text, w->text) != 0))
      return o;
  }
  return -1;
}

/* ========================================= @@DATA ===========================================
 * A data set is only called by a name that it has proved, by the checksum of its arrays. */
struct data {
  nn_dataset train, test;
  char name[100];        /* "MNIST"; what every figure on it is labelled with */
  char where[PATH_SIZE]; /* a folder, or how it was made */
  char said[240];        /* which data it stands in for, or "" */
  uint32_t crc;          /* of pixels and labels, so that a resumed run meets the same data */
  int classes, scaled;   /* scaled: the network gets (x - mean) scale of each channel */
  nn_real mean[4], scale[4], cover[4]; /* cover: what hides a part, gray or black */
  struct text class_names; /* one a line, or empty */
  int32_t *index, *thinned; /* of a part that was held out, and of a part for --quick */
};

enum { GRAY28 = 1024 }; /* a set beside MNIST and CIFAR10, which are the commands */
#include "data/sets.inc"

static void data_free(struct data *d) {
  nn_dataset_free(&d->train);
  nn_dataset_free(&d->test);
  text_free(&d->class_names);
  free(d->index), free(d->thinned);
  memset(d, 0, sizeof *d);
}

static int32_t label_of(const nn_dataset *d, int i) { return d->labels[d->only ? d->only[i] : i]; }

/* ---- files ---- */

/* A file's bytes; "-": those of standard input. */
static nn_array read_bytes(const char *path) {
  nn_array a = {NN_U8, 1, {0}, 0, NULL, {0}};
  struct text t = {0};
  nn_message why;
  if (strcmp(path, "-") == 0) {
    for (size_t n; (n = fread(text_room(&t, 4096), 1, 4096, stdin)) > 0;) t.size += n;
    a.data = t.data, a.count = t.size;
  } else if (nn_file_read(path, (size_t)1 << 31, NULL, &a, &why)) {
    fail("%s", why.text);
  }
  return a;
}

/* The array of an npy or IDX file's bytes. */
static nn_array parse_array(const nn_array *bytes, const char *path) {
  const int is_npy = bytes->count && *(const uint8_t *)bytes->data == 0x93;
  nn_array a;
  nn_message why;
  if ((is_npy ? nn_npy_parse : nn_idx_parse)(bytes->data, bytes->count, NULL, &a, &why))
    fail("%s: %s", path, why.text);
  return a;
}

/* A picture as one image of the shape dim, cut about its middle and scaled: each pixel is the mean
 * of what it covers. What is 0 of dim becomes that of the picture, at most 64 x 64. was: the
 * picture's height and width. 0 if the bytes are no picture. */
static int read_picture(const nn_array *bytes, int dim[3], nn_dataset *to, int was[2]) {
  const int size = bytes->count < INT32_MAX ? (int)bytes->count : 0;
  int w, h, c;
  if (!stbi_info_from_memory(bytes->data, size, &w, &h, &c)) return 0;
  if (w < 1 || h < 1 || w > (1 << 24) / h || dim[0] > 4) return 0; /* the size is an attack's */
  if (!dim[0]) dim[0] = c >= 3 ? 3 : 1;
  if (!dim[1]) dim[1] = dim[2] = (int)fmin(fmin(w, h), 64);
  unsigned char *from = stbi_load_from_memory(bytes->data, size, &w, &h, &c, dim[0]);
  if (!from) return 0;
  /* What is cut out, and how often its pixels are repeated so that it is no smaller than dim. */
  const int tall = (int)fmax(fmin(h, (double)w * dim[1] / dim[2]), 1);
  const int wide = (int)fmax(fmin(w, (double)h * dim[2] / dim[1]), 1);
  const int times = 1 + (int)fmax((dim[1] - 1) / tall, (dim[2] - 1) / wide);
  if ((double)tall * times * wide * times > 1 << 24) {
    stbi_image_free(from);
    return 0;
  }
  const int rows = tall * times, columns = wide * times, plane = rows * columns;
  const size_t count = (size_t)dim[0] * (size_t)plane;
  uint8_t *pixels = allocate(count, 1);
  for (size_t i = 0; i < count; i++) {
    const int at = (int)(i % (size_t)plane), y = (h - tall) / 2 + at / columns / times;
    const int x = (w - wide) / 2 + at % columns / times;
    pixels[i] = from[(y * w + x) * dim[0] + (int)(i / (size_t)plane)];
  }
  stbi_image_free(from);
  nn_transform shrink = {0};
  shrink.height = dim[1], shrink.width = dim[2];
  *to = nn_dataset_pixels(pixels, NULL, 1, dim[0], rows, columns);
  to->owned[0].data = pixels;
  if (nn_dataset_transform(to, &shrink, NULL)) fail("out of memory");
  was[0] = h, was[1] = w;
  return 1;
}

/* What is read of a folder with a sub-folder of pictures for each class. */
struct album {
  const char *folder;
  struct text pixels, names;
  size_t last, images; /* last: where the last class's name begins */
  int32_t *labels;
  int dim[3], classes, skipped, was[2];
};
static void add_picture(void *user, const char *path) {
  struct album *a = user;
  const char *class = path + strlen(a->folder) + 1;
  const size_t n = strcspn(class, separators);
  for (size_t i = 0; i < n; i++)
    if (iscntrl((unsigned char)class[i]))
      fail("%s: its folder's name has a control character", path);
  nn_array bytes = read_bytes(path);
  nn_dataset d;
  if (class[n] && read_picture(&bytes, a->dim, &d, a->was)) {
    if (!a->classes || a->names.size - a->last != n || memcmp(a->names.data + a->last, class, n)) {
      text_put(&a->names, a->classes++ ? "\n" : "");
      a->last = a->names.size;
      text_bytes(&a->names, class, n);
    }
    text_bytes(&a->pixels, d.owned[0].data, (size_t)(d.channels * d.height * d.width));
    a->labels = grow(a->labels, a->images, sizeof *a->labels);
    a->labels[a->images++] = a->classes - 1;
    nn_dataset_free(&d);
  } else {
    a->skipped++;
  }
  nn_array_free(&bytes);
}

/* --images and --labels, or --test and --test-labels. Pictures for tests have the shape and the
 * classes of those for training. */
static void load_own(struct data *d, nn_dataset *to, const struct settings *s, enum option images,
                     enum option labels) {
  const char *path = s->v[images].text;
  const int side = d->train.count ? 0 : whole_or(s, OPT_SIDE, 0);
  struct album a;
  nn_message why;
  if (!is_folder(path)) {
    if (!is_set(s, labels))
      refuse(s, "--%s is missing: the classes of %s", options[labels].name, path);
    if (nn_dataset_load(path, s->v[labels].text, NULL, to, &why)) fail("%s", why.text);
    return;
  }
  if (is_set(s, labels)) refuse(s, "--%s does not go with a folder", options[labels].name);
  memset(&a, 0, sizeof a);
  a.folder = path;
  a.dim[0] = d->train.channels;
  a.dim[1] = side ? side : d->train.height, a.dim[2] = side ? side : d->train.width;
  each_file(path, add_picture, &a);
  if (!a.images) fail("%s has no sub-folders of pictures, one for each class", path);
  if (a.skipped) note("%s: %d files are no pictures, and left out", path, a.skipped);
  if (d->class_names.size && strcmp(a.names.data, d->class_names.data) != 0)
    fail("%s has other sub-folders than the training images", path);
  *to = nn_dataset_pixels((uint8_t *)a.pixels.data, a.labels, (int)a.images, a.dim[0], a.dim[1],
                          a.dim[2]);
  to->owned[0].data = a.pixels.data, to->owned[1].data = a.labels;
  text_free(&d->class_names);
  d->class_names = a.names;
}

/* ---- sets that are known ---- */

/* The first of these sets that is in a folder for data, and its own folder; or 0. */
static int find_set(const char *in, int sets, char folder[PATH_SIZE]) {
  char path[PATH_SIZE];
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const struct place *p = &places[i];
    path_of(folder, "%s%s%s", in, *p->folder ? "/" : "", p->folder);
    path_of(path, "%s/%s", folder, p->set == CIFAR10 ? cifar_file : idx_files[0]);
    if ((p->set & sets) && file_exists(path)) return p->set;
  }
  return 0;
}

/* The folder that a user names for images, or NULL. */
static const char *named_place(const struct settings *s) {
  const char *place = is_set(s, OPT_DATA) ? s->v[OPT_DATA].text : getenv("NN_DATA");
  return place && *place ? place : NULL;
}

/* Loads the images of a command from there, else from data; 0: there are none. */
static int load_found(struct data *d, const struct settings *s) {
  const int small = is_set(s, OPT_GRAY) && is_choice(s, OPT_SIZE, "28");
  const int sets = s->command->bit != CIFAR10 ? MNIST : small ? CIFAR10 | GRAY28 : CIFAR10;
  const int set = find_set(named_place(s) ? named_place(s) : "data", sets, d->where);
  char file[2][PATH_SIZE];
  for (int i = 0; i < 4 && set; i += 2) {
    nn_dataset *to = i ? &d->test : &d->train;
    nn_message why;
    for (int k = 0; k < 2; k++) path_of(file[k], "%s/%s", d->where, idx_files[i + k]);
    if (set == CIFAR10 ? nn_dataset_load_cifar10(d->where, i > 0, 0, NULL, to, &why)
                       : nn_dataset_load(file[0], file[1], NULL, to, &why))
      fail("%s", why.text);
  }
  snprintf(d->name, sizeof d->name, "%s of unknown origin",
           set == CIFAR10 ? "CIFAR-10 files" : "IDX images");
  return set;
}

/* The images that the program draws itself. Their seeds are fixed: they are a data set. */
static void draw(struct data *d, int cifar) {
  static const int counts[2][2] = {{20000, 2000}, {10000, 1000}};
  const size_t side = cifar ? 32 : 28, channels = cifar ? 3 : 1, each = channels * side * side;
  for (int half = 0; half < 2; half++) {
    const size_t n = (size_t)counts[cifar][half];
    nn_array images = {NN_U8, 4, {n, channels, side, side}, n * each, allocate(n, each), {0}};
    nn_array labels = {NN_I32, 1, {n}, n, allocate(n, sizeof(int32_t)), {0}};
    (cifar ? draw_shapes : draw_digits)(half ? 2 : 1, (int)n, images.data, labels.data);
    if (nn_dataset_from_arrays(&images, &labels, half ? &d->test : &d->train, NULL))
      fail("out of memory");
  }
  snprintf(d->name, sizeof d->name, cifar ? "drawn shapes" : "drawn digits");
  path_of(d->where, "the program itself");
}

/* ---- all of them ---- */

/* Checks a half of the data, which may have so many classes, and adds it to the checksum; how many
 * it has. */
static int take_in(struct data *d, const nn_dataset *half, int most, const char *path) {
  const size_t plane = (size_t)(half->height * half->width), each = plane * (size_t)half->channels;
  const size_t size = half->pixels ? each : each * sizeof(nn_real);
  int classes = 0;
  if (half->channels != d->train.channels || half->height != d->train.height ||
      half->width != d->train.width)
    fail("%s: images of another shape than the training images", path);
  if (half->label_size > 1) fail("%s: not one label for each image", path);
  d->crc = nn_crc32(d->crc, half->pixels ? (const void *)half->pixels : half->values,
                    (size_t)half->count * size);
  for (int i = 0; i < half->count; i++) {
    const long label = half->labels[i];
    const uint8_t byte = (uint8_t)label;
    if (label < 0 || label >= most)
      fail("%s: label %ld of sample %d is not 0 .. %d", path, label, i, most - 1);
    if (label >= classes) classes = (int)label + 1;
    d->crc = nn_crc32(d->crc, &byte, 1);
  }
  return classes;
}

/* The images of one's own; a tenth is held out where none are given to test. */
static void find_own(struct data *d, const struct settings *s) {
  const char *path = s->v[OPT_OWN_IMAGES].text;
  load_own(d, &d->train, s, OPT_OWN_IMAGES, OPT_OWN_LABELS);
  d->classes = take_in(d, &d->train, 1000, path);
  if (d->classes < 2) fail("%s: all images are of one class", path);
  char name[PATH_SIZE];
  path_of(name, "%s", path);
  for (size_t n = strlen(name); n > 1 && strchr(separators, name[n - 1]);) name[--n] = 0;
  const char *own = name_of(name);
  size_t fits = strlen(own);
  if (fits > 90) /* cut between characters of UTF-8 */
    for (fits = 90; fits && (own[fits] & 0xC0) == 0x80;) fits--;
  snprintf(d->name, sizeof d->name, "%.*s", (int)fits, own);
  path_of(d->where, "%s", path);
  if (is_set(s, OPT_TEST_IMAGES)) {
    load_own(d, &d->test, s, OPT_TEST_IMAGES, OPT_TEST_LABELS);
    take_in(d, &d->test, d->classes, s->v[OPT_TEST_IMAGES].text);
    return;
  }
  const nn_dataset all = d->train;
  d->index = allocate((size_t)all.count, sizeof *d->index);
  if (nn_dataset_split(&all, .1, 1, d->index, &d->train, &d->test))
    fail("%s: a tenth of %d images is too few to test", path, all.count);
  memcpy(d->train.owned, all.owned, sizeof all.owned);
  snprintf(d->said, sizeof d->said, "A tenth of the images is held out to test.");
}

/* Checks ten classes of images, and names them by their checksum if it is known. */
static void name_known(struct data *d) {
  d->classes = 10;
  for (int half = 0; half < 2; half++)
    take_in(d, half ? &d->test : &d->train, d->classes, d->where);
  for (size_t i = 0; i < sizeof known_sets / sizeof *known_sets; i++)
    if (known_sets[i].crc == d->crc) snprintf(d->name, sizeof d->name, "%s", known_sets[i].name);
}

/* Those of a known set; else those that the program draws, if `draws` is 2, or 1 and no place for
 * images was named, which would be mistyped. 0: none. */
static int find_known(struct data *d, const struct settings *s, int draws) {
  const int cifar = s->command->bit == CIFAR10, found = load_found(d, s);
  const int gray = is_set(s, OPT_GRAY), small = is_choice(s, OPT_SIZE, "28");
  const char *wanted = cifar ? "CIFAR-10" : "MNIST", *place = named_place(s);
  if (!found && !draws) return 0;
  if (!found && place && draws == 1)
    fail("no %s files in %s%s: %s should be there or in %s (data/fetch %s downloads them)", wanted,
         place, is_set(s, OPT_DATA) ? "" : ", which NN_DATA names",
         cifar ? cifar_file : idx_files[0], cifar ? "cifar-10-batches-bin" : "mnist",
         cifar ? "cifar10" : "mnist");
  if (!found) draw(d, cifar);
  name_known(d);
  if (cifar && strstr(d->name, "MNIST")) { /* in files of the same names */
    if (draws < 2) fail("%s holds %s, which is not CIFAR-10", d->where, d->name);
    data_free(d);
    draw(d, cifar);
    name_known(d);
  }
  const int fashion = !cifar && strcmp(d->name, "Fashion-MNIST") == 0;
  if (fashion) text_put(&d->class_names, clothes);
  if (found == CIFAR10 || strstr(d->name, "CIFAR-10 gray")) text_put(&d->class_names, photos);
  if (cifar && d->train.channels == 3) {
    nn_transform t = {0};
    t.gray = gray, t.crop_height = t.crop_width = small ? 28 : 0;
    if (nn_dataset_transform(&d->train, &t, NULL) || nn_dataset_transform(&d->test, &t, NULL))
      fail("%s: its images are not 32x32", d->where);
    snprintf(d->name + strlen(d->name), 24, "%s%s", gray ? " gray" : "",
             small ? ", middle 28x28" : "");
  }
  if (!found || fashion)
    snprintf(d->said, sizeof d->said, "There is no %s here: %s %s.", wanted, d->name,
             found ? "stands in for it" : "stand in for it (data/fetch gets it)");
  return 1;
}

/* Which data the settings mean; 0: none. What the network gets of the pixels 0..1: MNIST's as they
 * are; 32x32 ones (x - .5)/.5; all others standardised over the training images. */
static int data_find(struct data *d, const struct settings *s, int draws) {
  const int own = s->command->bit == OWN, mnist = !own && s->command->bit != CIFAR10;
  memset(d, 0, sizeof *d);
  if (own) find_own(d, s);
  else if (!find_known(d, s, draws)) return 0;
  if (d->train.channels > 4) fail("%s: images of more than four channels", d->where);
  for (char *c = d->where; *c; c++) /* which is shown on terminals */
    if (iscntrl((unsigned char)*c)) *c = '?';
  d->scaled = !mnist;
  for (int c = 0; c < 4; c++)
    d->mean[c] = (nn_real)(mnist ? 0 : .5), d->scale[c] = (nn_real)(mnist ? 1 : 2);
  if (!mnist && (d->train.height != 32 || d->train.width != 32) &&
      nn_dataset_moments(&d->train, (size_t)d->train.channels, d->mean, d->scale))
    fail("%s: images with numbers that are too large", d->where);
  memcpy(d->cover, d->mean, sizeof d->cover);
  return 1;
}

/* For --quick: at most a thousand images, and 200 to test, which are other data than the whole. */
static void data_thin(struct data *d) {
  int32_t *at = allocate((size_t)(d->train.count + d->test.count), sizeof *at);
  d->thinned = at;
  d->crc = nn_crc32(d->crc, "part", 4);
  for (int half = 0; half < 2; half++) {
    nn_dataset *to = half ? &d->test : &d->train, all = *to, rest;
    const double share = (half ? 200. : 1000.) / all.count;
    if (share >= 1) continue;
    if (nn_dataset_split(&all, share, 1, at, &rest, to)) fail("%s: too few images", d->where);
    memcpy(to->owned, all.owned, sizeof all.owned);
    at += all.count;
  }
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
    const int each = dim[0] * dim[1] * dim[2], h = to->height, w = to->width;
    uint8_t *pixels = allocate((size_t)to->count, (size_t)each), *image = pixels;
    for (int n = 0; n < to->count; n++, image += each)
      for (int i = 0; i < each; i++) {
        const int row = i / dim[2] % dim[1] + (h - dim[1]) / 2;
        const int column = i % dim[2] + (w - dim[2]) / 2;
        const int c = i / (dim[1] * dim[2]) % to->channels;
        if (row >= 0 && row < h && column >= 0 && column < w)
          image[i] = to->pixels[((size_t)(n * to->channels + c) * (size_t)h + (size_t)row) *
                                (size_t)w + (size_t)column];
      }
    nn_array_free(&to->owned[0]);
    to->pixels = to->owned[0].data = pixels;
    to->channels = dim[0], to->height = dim[1], to->width = dim[2];
  }
}

/* "MNIST, 60,000 + 10,000 images 28x28, from data/mnist" */
static void text_data(struct text *t, const struct data *d) {
  text_add(t, "%s, %s + %s images %dx%d%s, from %s", d->name, grouped(d->train.count).text,
           grouped(d->test.count).text, d->train.height, d->train.width,
           d->train.channels == 3 ? " in colour" : "", d->where);
}

static void tell_data(const struct data *d, int quiet) {
  struct text t = {0};
  text_data(&t, d);
  if (!quiet) fprintf(stderr, "data: %s\n%s%s", t.data, d->said, *d->said ? "\n" : "");
  text_free(&t);
}

/* ========================================== @@NET =========================================== */

static const char *net_name(const struct settings *s) {
  static const char *const names[] = {"RNN", "LSTM", "GRU", "LeNet5", "MLP"};
  return s->command->bit == CIFAR10 ? "LeNet5" : names[whole_of(s, OPT_CELL)];
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
  if (!whole_of(s, OPT_HIDDEN)) return x;
  x = nn_linear(m, x, whole_of(s, OPT_HIDDEN));
  return is_choice(s, OPT_ACTIVATION, "tanh") ? nn_tanh(m, x) : nn_relu(m, x);
}

/* Rows of an image, top to bottom, as the steps of a sequence. */
static int add_recurrent(nn_model *m, int x, const struct settings *s) {
  const nn_recurrent_options o = {whole_of(s, OPT_HIDDEN), whole_of(s, OPT_LAYERS),
                                  1 - number_of(s, OPT_KEEP), is_set(s, OPT_RELU), 0};
  return nn_last_step(m, is_choice(s, OPT_CELL, "rnn")    ? nn_rnn_with(m, x, &o)
                         : is_choice(s, OPT_CELL, "lstm") ? nn_lstm_with(m, x, &o)
                                                          : nn_gru_with(m, x, &o));
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
  if (is_set(s, OPT_CLIP_VALUE)) o.clip_value = number_of(s, OPT_CLIP_VALUE);
  o.schedule.kind = (nn_schedule_kind)whole_of(s, OPT_SCHEDULE); /* both have the same order */
  o.schedule.warmup = (int64_t)number_of(s, OPT_WARMUP);
  o.schedule.total = total;
  o.schedule.period = is_set(s, OPT_PERIOD) ? (int64_t)number_of(s, OPT_PERIOD)
                                            : (total + 2) / 3;
  o.schedule.gamma = number_of(s, OPT_GAMMA);
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

/* What the engine answers to what was checked before. */
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
    refuse(s, "--cell %s reads images of one channel: these have %d", s->v[OPT_CELL].text,
           t->channels);
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

static nn_load_result load_model(const char *path, const nn_config *c) {
  nn_load_result loaded;
  nn_message why;
  if (nn_load(path, c, &loaded, &why)) fail("%s", why.text);
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
#ifdef PAGE
static const char *const page_lines[] = {
#include PAGE
    NULL};
#endif

struct page {
  char folder[PATH_SIZE];
  struct text sections, logs, tables, csv;
  int open, items, grids, printed; /* of the present section, figure and item; tables on stdout */
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
static void json_key(struct text *t, const char *key, const char *value) {
  if (!value || !*value) return;
  text_add(t, ",\"%s\":", key);
  json_string(t, value);
}
static void json_number(struct text *t, double v) {
  if (!isfinite(v)) text_put(t, "null");
  else text_add(t, v == floor(v) && fabs(v) < 1e15 ? "%.0f" : "%.7g", v);
}

/* Puts what `form` says, ' standing for ". A comma at its beginning is left out where nothing
 * stands before it. $i is an int, $n a double, $N doubles and their number as a list, $s a text,
 * $S texts up to a NULL as a list, $j JSON, $k a key and its text, left out where that is empty. */
static void json(struct text *t, const char *form, ...) {
  va_list list;
  va_start(list, form);
  if (*form == ',' && (!t->size || strchr("[{:", t->data[t->size - 1]))) form++;
  for (; *form; form++) {
    if (*form == '\'') text_put(t, "\"");
    else if (*form != '$') text_bytes(t, form, 1);
    else if (*++form == 'i') text_add(t, "%d", va_arg(list, int));
    else if (*form == 'n') json_number(t, va_arg(list, double));
    else if (*form == 's') json_string(t, va_arg(list, const char *));
    else if (*form == 'j') text_put(t, va_arg(list, const char *));
    else if (*form == 'k') {
      const char *key = va_arg(list, const char *);
      json_key(t, key, va_arg(list, const char *));
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
static void csv_number(struct text *t, double v) {
  if (isfinite(v)) text_add(t, "%.9g", v);
  text_put(t, ",");
}
static void csv_end(struct text *t) { t->data[t->size - 1] = '\n'; }

/* bytes: with two zeros behind them. */
static void text_base64(struct text *t, const unsigned char *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    const int v = bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2];
    for (size_t k = 0; k < 4; k++)
      text_bytes(t, i + k <= size ? &digits[v >> (18 - 6 * k) & 63] : "=", 1);
  }
}

static void section_end(struct page *p) {
  if (p->open) text_put(&p->sections, "]}");
  p->open = 0;
}
static void section(struct page *p, const char *id, const char *title, const char *said,
                    int folded) {
  section_end(p);
  json(&p->sections, ",\n{'id':$s,'title':$s,'about':$s$k,'folded':$j,'figures':[", id, title, id,
       "note", said, folded ? "true" : "false");
  p->open = 1;
}

static struct text *figure(struct page *p, const char *kind, const char *title, const char *said) {
  json(&p->sections, ",\n{'kind':$s,'title':$s$k", kind, title, "note", said);
  p->csv.size = 0;
  p->items = 0;
  return &p->sections;
}
/* csv: the name of its file; NULL: none. rest: the end of what the figure's kind has, as JSON. */
static void figure_end(struct page *p, const char *csv, const char *rest) {
  char path[PATH_SIZE];
  text_put(&p->sections, rest);
  if (csv) {
    path_of(path, "%s/%s.csv", p->folder, csv);
    json_key(&p->sections, "csv", name_of(path));
    text_save(&p->csv, path);
  }
  text_put(&p->sections, "}");
}

/* ---- tables ---- */

/* heads: "name" of a column of texts, "name|format" of one of numbers, up to a NULL. */
struct table {
  const char *const *heads;
  struct table_cell {
    char *text; /* NULL: the number; NAN: none */
    double number;
  } *cells;
  size_t count;
};

static void put_number(struct table *t, double number) {
  const struct table_cell c = {NULL, number};
  t->cells = grow(t->cells, t->count, sizeof c);
  t->cells[t->count++] = c;
}
PRINTF_LIKE(2, 3) static void put_text(struct table *t, const char *format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  put_number(t, NAN);
  t->cells[t->count - 1].text = allocate(strlen(text) + 1, 1);
  strcpy(t->cells[t->count - 1].text, text);
}
/* A row, or a part of one: for each letter of `form` a text (s), an int (i) or a double (n). */
static void put_row(struct table *t, const char *form, ...) {
  va_list list;
  va_start(list, form);
  for (; *form; form++)
    if (*form == 's') put_text(t, "%s", va_arg(list, const char *));
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
  struct word w;
  if (!isfinite(v)) snprintf(w.text, sizeof w.text, "-");
  else if (strcmp(format, "percent") == 0) w = percent(v);
  else if (strcmp(format, "points") == 0) snprintf(w.text, sizeof w.text, "%+.2f", 100 * v);
  else if (strcmp(format, "count") == 0) w = grouped(v);
  else if (strcmp(format, "loss") == 0) w = loss_of(v);
  else if (strcmp(format, "seconds") == 0) w = duration(v);
  else snprintf(w.text, sizeof w.text, "%.4g", v);
  return w;
}

/* A column's format; its name goes to `name`. */
static const char *format_of(const char *head, char name[128]) {
  const char *bar = strrchr(head, '|');
  snprintf(name, 128, "%.*s", (int)(bar ? bar - head : 127), head);
  return !bar ? "text" : bar[1] ? bar + 1 : "number";
}

/* The table as text, its columns flush, as wide as they are; without those that have nothing. */
static void text_table(struct text *to, const struct table *t) {
  const size_t columns = columns_of(t);
  int *width = allocate(2 * columns, sizeof *width), *is_shown = width + columns;
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < columns + t->count; i++) {
      const size_t k = i % columns, at = to->size;
      const struct table_cell *c = i < columns ? NULL : &t->cells[i - columns];
      char name[128];
      const char *format = format_of(t->heads[k], name), *text = c && c->text ? c->text : name;
      const struct word number = format_number(format, c ? c->number : 0);
      if (c && !c->text) text = number.text;
      if (!pass && (c ? c->text || isfinite(c->number) : k == 0 || !t->count)) is_shown[k] = 1;
      if (!pass && (int)strlen(text) > width[k]) width[k] = (int)strlen(text);
      if (pass && is_shown[k])
        text_add(to, k ? "  %*s" : "%-*s", columns > 1 ? width[k] : 0, text);
      for (size_t b = at; b < to->size; b++)
        if (iscntrl((unsigned char)to->data[b])) to->data[b] = '?';
      if (pass && k == columns - 1) text_put(to, "\n");
    }
  free(width);
}

enum { ON_STDOUT = 1, COLOURED = 2, CLOSED = 4, CURVES = 8, HEAT = 16 };
/* links: where the first cell of each row leads to, or NULL. best: the column whose best row comes
 * first, 0: none. CURVES: drawn as a series for each text in the first column, of column `best`
 * against the second. HEAT: as a heat map. Frees the table. */
static void show_table(struct page *p, struct table *t, const char *title, const char *csv, int how,
                       const char *const *links, int best) {
  const size_t columns = columns_of(t);
  const char *kind = how & CURVES ? "curves" : how & HEAT ? "heat" : "table";
  struct text *to = figure(p, kind, title, NULL), plain = {0};
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
    if (c->text) json(to, ",$s", c->text), csv_text(&p->csv, c->text);
    else json(to, ",$n", c->number), csv_number(&p->csv, c->number);
  }
  csv_end(&p->csv);
  json(to, t->count ? "]]" : "]");
  if (!(how & (CURVES | HEAT))) {
    text_table(&plain, t);
    if (how & ON_STDOUT) printf("%s%s\n%s", p->printed++ ? "\n" : "", title, plain.data);
    text_add(&p->tables, "%s\n%s\n", title, plain.data);
  }
  if (how & COLOURED) json(to, ",'coloured':true");
  if (how & CLOSED) json(to, ",'open':false");
  if (best) json(to, ",'best':$i", best);
  if (links) {
    json(to, ",'links':[");
    for (size_t i = 0; i < t->count / columns; i++) json(to, ",$s", links[i]);
    json(to, "]");
  }
  figure_end(p, csv, "");
  text_free(&plain);
  table_free(t);
}

/* ---- curves ---- */

/* A run's log, which is CSV, under a name, for curves. */
static void page_log(struct page *p, const char *name, const char *log) {
  text_put(&p->logs, p->logs.size ? ",\n" : "");
  json_string(&p->logs, name);
  text_put(&p->logs, ":");
  json_string(&p->logs, log);
}

static struct text *curves(struct page *p, const char *title, const char *format,
                           const char *const *x, const char *said) {
  struct text *t = figure(p, "curves", title, said);
  json(t, ",'format':$s,'x':$S,'series':[", format, x);
  text_put(&p->csv, "series,x,y\n");
  return t;
}
/* A series of a log's column; what stands in `more` is JSON. */
static void log_series(struct page *p, const char *name, const char *log, const char *y,
                       const char *group, const char *more) {
  json(&p->sections, ",{'name':$s$k$k$k$j}", name, "log", log, "y", y, "group", group, more);
}

/* ---- pictures ---- */

/* columns: names of the grids of each row, up to a NULL; NULL: tiles. */
static void pictures(struct page *p, const char *title, const char *ink,
                     const char *const *columns, const char *said) {
  struct text *t = figure(p, "pictures", title, said);
  json(t, ",'ink':$s", ink);
  if (columns) json(t, ",'columns':$S", columns);
  json(t, ",'items':[");
  text_put(&p->csv, "item,grid,place,value\n");
}
static void item(struct page *p, const char *label, const char *said, const char *mark) {
  json(&p->sections, ",\n{'label':$s$k$k,'grids':[", label, "note", said, "mark", mark);
  p->items++;
  p->grids = 0;
}
static void item_end(struct page *p) { text_put(&p->sections, "]}"); }

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

static void grid_json(struct page *p, const struct grid *g) {
  const int whole[1][4] = {{0, 0, g->dim[1], g->dim[2]}}, n = g->n ? g->n : 1;
  const int (*part)[4] = g->part ? g->part : whole, channels = g->dim[0] == 3 ? 3 : 1;
  const int height = part[0][2], width = part[0][3];
  const size_t each = (size_t)(channels * height * width), count = (size_t)n;
  unsigned char *bytes = allocate(count * each + 2, 1);
  nn_real *shown = allocate(each, sizeof *shown);
  double *least = allocate(2 * count, sizeof *least), *most = least + count;
  for (int k = 0; k < n; k++) {
    cut_out(g->x + k * g->dim[0] * g->dim[1] * g->dim[2], g->dim, channels, part[k], shown);
    most[k] = g->most;
    bytes_of(shown, each, &least[k], &most[k], bytes + (size_t)k * each);
    for (size_t i = 0; i < each && g->most != PIXELS; i++)
      text_add(&p->csv, "%d,%d,%zu,%.6g\n", p->items - 1, p->grids + k, i, (double)shown[i]);
  }
  json(&p->sections, ",{'w':$i,'h':$i,'channels':$i,'count':$i,'across':3,'least':$N,'most':$N"
       "$k,'bytes':'", width, height, channels, n, least, count, most, count, "ink", g->ink);
  text_base64(&p->sections, bytes, count * each);
  text_put(&p->sections, "\"");
  if (g->over) json(&p->sections, ",'over':"), grid_json(p, g->over);
  text_put(&p->sections, "}");
  free(bytes), free(shown), free(least);
}
/* NULL: a place without picture. */
static void put_grid(struct page *p, const struct grid *g) {
  if (g) grid_json(p, g);
  else json(&p->sections, ",null");
  p->grids += g && g->n ? g->n : 1;
}

/* ---- of a model ---- */

/* Its layers, as a diagram. */
static void show_net(struct page *p, nn_model *m) {
  struct text *t = figure(p, "net", "The network", NULL);
  json(t, ",'layers':[");
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    const char *from[3] = {NULL};
    double shape[3];
    for (int k = 0; k < n.rank; k++) shape[k] = n.dim[k];
    for (int k = 0; k < n.inputs; k++) from[k] = node_of(m, n.input[k]).name;
    json(t, ",\n{'name':$s,'kind':$s,'shape':$N,'parameters':$n,'multiply_adds':$n", n.name, n.kind,
         shape, (size_t)n.rank, (double)n.params, n.macs);
    if (n.inputs > 1 || (n.inputs && n.input[0] != i - 1)) json(t, ",'from':$S", from);
    json(t, "}");
  }
  figure_end(p, NULL, "]");
}

/* The first layer's filters in some models: columns, or NULL of one. */
static void compare_filters(struct page *p, nn_model *const *models, int count, const char *title,
                            const char *const *columns) {
  const nn_param w = first_weights(models[0]);
  pictures(p, title, "signed", columns, NULL);
  for (int f = 0; f < w.dim[0]; f++) {
    char name[24];
    snprintf(name, sizeof name, "%d", f);
    item(p, name, NULL, NULL);
    for (int k = 0; k < count; k++)
      put_grid(p, &(struct grid){.dim = w.dim + 1, .x = first_weights(models[k]).value +
                                                        (size_t)f * w.count / (size_t)w.dim[0]});
    item_end(p);
  }
}
static void show_filters(struct page *p, nn_model *m, const char *title, const char *csv) {
  compare_filters(p, &m, 1, title, NULL);
  figure_end(p, csv, "],\"scale\":\"shared\"");
}

/* Images with their classes and the model's answers. */
static void show_answers(struct page *p, const char *title, nn_model *m, const nn_dataset *d,
                         const int *images, int count, const char *csv) {
  const int dim[3] = {d->channels, d->height, d->width};
  const int classes = node_of(m, nn_output_node(m)).dim[0];
  nn_real *x = allocate((size_t)(dim[0] * dim[1] * dim[2] + classes), sizeof *x);
  nn_real *share = x + dim[0] * dim[1] * dim[2];
  const nn_batch b = {.n = 1, .x = {x}};
  pictures(p, title, "gray", NULL, NULL);
  p->csv.size = 0;
  text_put(&p->csv, "image,class,taken_for,probability_of_class,probability_of_taken\n");
  for (int i = 0; i < count; i++) {
    const int32_t index = images[i];
    int32_t label, found;
    char name[80], said[160];
    if (nn_gather(d, &index, 1, NULL, NULL, x, &label) || nn_predict(m, &b, &found, share))
      fail("%s", nn_error(m));
    const struct word class = class_name(m, label), taken = class_name(m, found);
    snprintf(name, sizeof name, "%d: %s", images[i], class.text);
    snprintf(said, sizeof said, "%s %s", taken.text, percent((double)share[found]).text);
    item(p, name, said, found == label ? "right" : "wrong");
    put_grid(p, &(struct grid){.x = x, .dim = dim, .most = PIXELS});
    item_end(p);
    text_add(&p->csv, "%d,", images[i]);
    csv_text(&p->csv, class.text), csv_text(&p->csv, taken.text);
    text_add(&p->csv, "%.6g,%.6g\n", (double)share[label], (double)share[found]);
  }
  figure_end(p, csv, "]");
  free(x);
}

/* Which classes are taken for which; the counts, which the caller frees. */
static double *show_confusion(struct page *p, nn_model *m, const nn_dataset *d) {
  const int classes = node_of(m, nn_output_node(m)).dim[0];
  const size_t n = (size_t)classes;
  int64_t *counts = allocate(n * n, sizeof *counts);
  double *values = allocate(n * n, sizeof *values);
  struct word *names = allocate(n, sizeof *names);
  const char **heads = allocate(n + 2, sizeof *heads);
  struct table t = {heads, NULL, 0};
  must(m, nn_confusion(m, d, counts));
  heads[0] = "class";
  for (int k = 0; k < classes; k++) {
    snprintf(names[k].text, sizeof names[k].text, "%.40s|count", class_name(m, k).text);
    heads[k + 1] = names[k].text;
  }
  for (size_t i = 0; i < n * n; i++) {
    if (i % n == 0) put_text(&t, "%s", class_name(m, (int)(i / n)).text);
    put_number(&t, values[i] = (double)counts[i]);
  }
  show_table(p, &t, "Which classes are taken for which", "confusion", HEAT, NULL, 0);
  free(counts), free(names), free(heads);
  return values;
}

/* ---- the page ---- */

/* The page as it stands in data/report.html. */
static void page_template(struct text *t) {
#ifdef PAGE
  for (int i = 0; page_lines[i]; i++) text_put(t, page_lines[i]);
#else
  nn_array bytes;
  nn_message why;
  if (nn_file_read("data/report.html", (size_t)1 << 24, NULL, &bytes, &why)) fail("%s", why.text);
  text_bytes(t, bytes.data, bytes.count);
  nn_array_free(&bytes);
#endif
}

/* Writes it with all that was shown. head: more keys of the JSON. Empties the page. */
static void page_save(struct page *p, const char *name, const char *title, const char *head) {
  static const char tables_mark[] = "\n@TABLES@\n", data_mark[] = "\n@DATA@\n";
  struct text t = {0}, to = {0};
  char path[PATH_SIZE];
  page_template(&t);
  section_end(p);
  const char *tables = strstr(t.data, tables_mark);
  const char *data = tables ? strstr(tables, data_mark) : NULL;
  if (!data) fail("data/report.html has not both of its markers");
  text_bytes(&to, t.data, (size_t)(tables + 1 - t.data));
  for (const char *c = p->tables.size ? p->tables.data : ""; *c; c++)
    if (*c == '&' || *c == '<' || *c == '>') text_add(&to, "&#%d;", *c);
    else text_bytes(&to, c, 1);
  tables += sizeof tables_mark - 1;
  text_bytes(&to, tables, (size_t)(data + 1 - tables));
  json(&to, "{'nn':$s,'title':$s$j,'logs':{$j},\n'sections':[$j]}\n$j", NN_VERSION, title, head,
       p->logs.size ? p->logs.data : "", p->sections.size ? p->sections.data : "",
       data + sizeof data_mark - 1);
  path_of(path, "%s/%s", p->folder, name);
  text_save(&to, path);
  text_free(&t), text_free(&to), text_free(&p->sections), text_free(&p->logs);
  text_free(&p->tables), text_free(&p->csv);
}

/* ========================================== @@RUN ===========================================
 * A run is its checkpoint last.nn, whose notes tell the command line, the data and the log so far.
 * What else is in its folder is output: log.csv, best.nn, snapshots, report.html. */

struct run {
  struct settings s;
  const struct data *d;
  char folder[PATH_SIZE], checkpoint[PATH_SIZE], best[PATH_SIZE];
  lock *lock;               /* of the folder while it is trained in */
  nn_model *m;
  nn_dataset train, chosen; /* what it learns from; what tests on the way and the best go by */
  int32_t *index;           /* which samples those two have; NULL: all */
  const char *chosen_name;
  int64_t total, per_epoch, test_every, row_every; /* in steps */
  nn_progress progress;     /* which nn_fit keeps up to date */
  struct text log;          /* log.csv, as it is */
  nn_evaluation sum;        /* what its next line is made of */
  double gradient;          /* the norm of the last step's, for that line */
  double seconds, mark, drawn, paged; /* of training; when it was last counted; last drawings */
  int64_t saved;            /* the last checkpoint's step */
  int live, quiet;
  nn_evaluation last, of_best; /* on the whole test set, at the end */
  char stuck[64];           /* a layer that says the same of every image */
  nn_message why;           /* it diverged */
  /* in a study: */
  char seed[24];            /* what s.v[OPT_SEED] points to */
  const char *again;        /* the words that go on with it; else NULL */
};

static int64_t count_or(const struct settings *s, enum option o, int64_t otherwise) {
  return is_set(s, o) ? (int64_t)number_of(s, o) : otherwise;
}

static int diverged(const struct run *r) { return *r->why.text != 0; }
static int is_done(const struct run *r) {
  return r->progress.step >= r->total ||
         r->progress.not_better >= count_or(&r->s, OPT_PATIENCE, INT64_MAX);
}

/* Makes a folder and those above it. */
static void make_folders(const char *path) {
  char part[PATH_SIZE];
  const size_t n = strlen(path);
  for (size_t i = 1; i <= n; i++) {
    if (i < n && !strchr(separators, path[i])) continue;
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

static void refuse_old(const char *folder) {
  if (holds(folder, "settings.txt"))
    fail("%s was made by nn 0.1, which kept settings.txt: go on with it by that version", folder);
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

/* ---- the log ---- */

/* Adds a line: the means of training since the line before, and a test or NULL. */
static void add_row(struct run *r, const nn_evaluation *test) {
  const double n = fmax((double)r->sum.rows, 1), step = (double)r->progress.step;
  const size_t before = r->log.size;
  char path[PATH_SIZE];
  text_add(&r->log, "%.0f,%.9g,%.9g,%.9g,", step, step / (double)r->per_epoch, r->sum.loss / n,
           (double)r->sum.correct / n);
  if (test) text_add(&r->log, "%.9g,%.9g", fabs(test->loss), test->accuracy); /* nan, not -nan */
  else text_put(&r->log, ",");
  text_add(&r->log, ",%.9g,%.3f,%.9g\n", nn_rate(r->m), r->seconds, fabs(r->gradient));
  memset(&r->sum, 0, sizeof r->sum);
  path_of(path, "%s/log.csv", r->folder);
  FILE *f = fopen(path, "ab");
  const int written = f && fputs(r->log.data + before, f) >= 0;
  if ((f && fclose(f)) || !written) fail("%s: cannot write: %s", path, strerror(errno));
}

/* ---- notes ---- */

/* What a checkpoint needs beside what the engine keeps. */
static void note_state(struct run *r) {
  char state[128];
  snprintf(state, sizeof state, "%.17g %.17g %lld %lld", r->seconds, r->sum.loss,
           (long long)r->sum.correct, (long long)r->sum.rows);
  must(r->m, nn_set_note(r->m, "state", state));
  must(r->m, nn_set_note(r->m, "log", r->log.data));
}

/* A number among the words "key=value" of a note; otherwise what stands for it. */
static double noted(const char *text, const char *key, double otherwise) {
  const size_t n = strlen(key);
  for (const char *at = text; at && *at; at += strcspn(at, " "), at += *at == ' ') {
    char word[40];
    double v;
    if (strncmp(at, key, n) != 0 || at[n] != '=') continue;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(at + n + 1, " \n"), at + n + 1);
    return read_number(word, &v) ? v : otherwise;
  }
  return otherwise;
}

/* The settings of the run that a model is of, from its note; its words stay in *words, which the
 * caller frees. 0 if it notes none. */
static int noted_settings(nn_model *m, const char *path, struct settings *s, char **words) {
  enum { WORDS = 2 * OPTION_COUNT + 2 };
  const char *list[WORDS], *command = nn_note(m, "command");
  *words = NULL;
  if (!command) return 0;
  *words = allocate(strlen(command) + 1, 1);
  strcpy(*words, command);
  const int count = split(*words, list, WORDS);
  const struct command *c = count > 1 ? find_command(list[1]) : NULL;
  if (!c || !(c->bit & TRAIN)) return 0;
  parse(s, c, count - 2, list + 2, path);
  s->operand = NULL;
  if (is_set(s, OPT_ISA)) { /* kernels that cannot run here are no reason to end */
    nn_isa isa;
    if (nn_isa_find(s->v[OPT_ISA].text, &isa) || !nn_isa_available(isa)) s->v[OPT_ISA].text = "";
  }
  complete(s);
  return 1;
}

/* ---- steps and tests ---- */

/* Steps, intervals, and the images that tests on the way use. */
static void run_plan(struct run *r) {
  const struct settings *s = &r->s;
  const int by_steps = is_set(s, OPT_STEPS), validates = is_set(s, OPT_VALIDATION);
  const double batch = number_of(s, OPT_BATCH);
  /* Going forward and back costs three times going forward: a sample this large is tested in less
   * than a tenth of the time of the steps since the last test. */
  const double sample = fmax(floor(ceil(number_of(s, OPT_STEPS) / 10) * batch / 5), 1);
  const nn_dataset *all = validates ? &r->d->train : &r->d->test;
  nn_dataset rest;
  r->train = r->d->train;
  r->chosen = r->d->test;
  r->chosen_name = validates ? "validation images" : "test images";
  if (validates || (by_steps && !is_set(s, OPT_TEST_EVERY) && sample < all->count)) {
    if (!validates) r->chosen_name = "a sample of the test images";
    r->index = allocate((size_t)all->count, sizeof *r->index);
    if (nn_dataset_split(all, validates ? number_of(s, OPT_VALIDATION) : sample / all->count,
                         validates ? (uint64_t)number_of(s, OPT_SEED) : 1, r->index,
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
  r->quiet = is_set(s, OPT_QUIET);
  r->live = !r->quiet && is_terminal(stderr) &&
            strcmp(getenv("TERM") ? getenv("TERM") : "dumb", "dumb") != 0;
}

/* The k-th of --snapshots, 1 on: the first ones are closest, for there a net changes most. */
static int64_t snapshot_step(const struct settings *s, int64_t total, int k) {
  const double share = k / number_of(s, OPT_SNAPSHOTS);
  return (int64_t)ceil((double)total * share * share);
}
static void snapshot_path(const char *folder, int64_t step, char path[PATH_SIZE]) {
  path_of(path, "%s/snapshots/step-%lld.nn", folder, (long long)step);
}
static void write_snapshot(struct run *r) {
  char path[PATH_SIZE];
  int due = 0;
  for (int k = whole_or(&r->s, OPT_SNAPSHOTS, 0); k > 0; k--)
    due |= snapshot_step(&r->s, r->total, k) == r->progress.step;
  if (!due) return;
  path_of(path, "%s/snapshots", r->folder);
  make_folders(path);
  snapshot_path(r->folder, r->progress.step, path);
  must(r->m, nn_save(r->m, path));
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
static void tell_progress(struct run *r, const nn_evaluation *test) {
  const nn_progress *p = &r->progress;
  const int steps = is_set(&r->s, OPT_STEPS), columns = terminal_columns();
  const int64_t each = steps ? 1 : r->per_epoch;
  struct text t = {0};
  text_add(&t, "%s %s %lld/%lld  loss %s  accuracy %s  ", net_name(&r->s),
           steps ? "step" : "epoch", (long long)((p->step + each - 1) / each),
           (long long)(r->total / each), loss_of(p->loss).text, percent(p->accuracy).text);
  if (test)
    text_add(&t, "test %s%s  %s samples/s  %s\n", percent(test->accuracy).text,
             p->best_step == p->step ? " (best)" : "", samples_per_second(r).text,
             duration(r->seconds).text);
  else text_add(&t, "%s left",
                duration(r->seconds * ((double)r->total / (double)p->step - 1)).text);
  clear_live(r);
  if (test) fputs(t.data, stderr);
  else fprintf(stderr, "%.*s", (columns > 0 ? columns : 80) - 1, t.data);
  fflush(stderr);
  r->drawn = r->mark;
  text_free(&t);
}

/* ---- the report ---- */

static void show_curves(struct page *p, const struct run *r) {
  static const char *const x[] = {"epoch", "step", "seconds", NULL};
  section(p, "training", "Training", NULL, 0);
  for (int loss = 0; loss < 2; loss++) {
    curves(p, loss ? "Loss" : "Accuracy", loss ? "loss" : "percent", x, NULL);
    log_series(p, "training", "run", loss ? "train_loss" : "train_accuracy", NULL,
               ",\"faint\":true");
    log_series(p, r->chosen_name, "run", loss ? "test_loss" : "test_accuracy", NULL, "");
    text_put(&p->sections, loss ? "],\"smooth\":true,\"logy\":true" : "],\"smooth\":true");
    figure_end(p, NULL, ",\"csv\":\"log.csv\"");
  }
  curves(p, "Learning rate", "number", x, NULL);
  log_series(p, "learning rate", "run", "rate", NULL, "");
  figure_end(p, NULL, "]");
  curves(p, "Gradient norm", "number", x, NULL);
  log_series(p, "before clipping", "run", "gradient_norm", NULL, "");
  figure_end(p, NULL, "],\"smooth\":true,\"logy\":true");
}

/* What a finished run's page has above its curves: the network and what it answers. */
static void show_result(struct page *p, const struct run *r) {
  enum { ANSWERS = 24 };
  int images[ANSWERS], count = 0;
  section(p, "net", "The network", NULL, 0);
  show_net(p, r->m);
  section(p, "answers", "What it answers", NULL, 0);
  for (; count < ANSWERS && count < r->d->test.count; count++) images[count] = count;
  show_answers(p, "The first test images", r->m, &r->d->test, images, count, NULL);
  section(p, "confusion", "Confusion", NULL, 0);
  free(show_confusion(p, r->m, &r->d->test));
  if (first_weights(r->m).value) {
    section(p, "filters", "The first layer's filters", NULL, 0);
    show_filters(p, r->m, "After training", NULL);
  }
}

/* "test accuracy 99.13 % (best 99.20 % at epoch 9, chosen by validation images)" */
static void text_result(struct text *t, const struct run *r) {
  const nn_progress *p = &r->progress;
  text_add(t, "test accuracy %s (best %s at ", percent(r->last.accuracy).text,
           percent(r->of_best.accuracy).text);
  if (is_set(&r->s, OPT_STEPS)) text_add(t, "step %s", grouped((double)p->best_step).text);
  else text_add(t, "epoch %.3g", (double)p->best_step / (double)r->per_epoch);
  if (r->index && (is_set(&r->s, OPT_VALIDATION) || p->best_step != p->step))
    text_add(t, ", chosen by %s", r->chosen_name); /* the last step's test is of all images */
  text_put(t, ")");
  if (p->step < r->total && is_done(r))
    text_add(t, "; stopped at step %s of %s, for %lld tests were no better",
             grouped((double)p->step).text, grouped((double)r->total).text,
             (long long)p->not_better);
  if (*r->stuck) text_add(t, "; the net is dead: %s for every image", r->stuck);
}

/* The page of the run as it stands; of one that is at its end all of it. */
static void write_report(struct run *r) {
  static const char *const heads[] = {"option", "value", NULL};
  struct table t = {heads, NULL, 0};
  struct page p;
  struct text head = {0}, line = {0};
  const int ended = r->last.rows > 0, goes_on = !ended && !diverged(r) && !stop_signal;
  char title[200];
  memset(&p, 0, sizeof p);
  path_of(p.folder, "%s", r->folder);
  snprintf(title, sizeof title, "%s on %s", net_name(&r->s), r->d->name);
  page_log(&p, "run", r->log.data);
  text_add(&line, "%s%s", r->d->said, *r->d->said ? " " : "");
  if (ended) text_put(&line, "In the end: "), text_result(&line, r);
  json_key(&head, "summary", line.data);
  line.size = 0;
  text_add(&line, "%s: step %s of %s", goes_on ? "Training" : stop_signal ? "Stopped" : "Diverged",
           grouped((double)r->progress.step).text, grouped((double)r->total).text);
  if (!ended) json_key(&head, "state", line.data);
  if (goes_on) text_put(&head, ",\"refresh\":5");
  if (r->again) text_put(&head, ",\"links\":[[\"all rows\",\"../../report.html\"]]");
  else if (holds(r->folder, "look/all.html"))
    text_put(&head, ",\"links\":[[\"what it has learned\",\"look/all.html\"]]");
  text_put(&head, ",\"facts\":[");
  if (ended)
    text_add(&head, "[\"test accuracy\",\"percent\",%.7g,\"at the end\"],"
             "[\"best\",\"percent\",%.7g,\"%s\"],", r->last.accuracy, r->of_best.accuracy,
             r->chosen_name);
  text_add(&head, "[\"time\",\"seconds\",%.7g,\"training, tests left out\"],"
           "[\"parameters\",\"count\",%zu],[\"samples a second\",\"text\",\"%s\"]]", r->seconds,
           parameter_count(r->m), samples_per_second(r).text);
  if (ended) show_result(&p, r);
  show_curves(&p, r);
  section(&p, "settings", "Settings", NULL, 1);
  line.size = 0;
  text_data(&line, r->d);
  put_row(&t, "ssssss", "command", nn_note(r->m, "command"), "data", nn_note(r->m, "data"),
          "images", line.data);
  show_table(&p, &t, "Settings", NULL, 0, NULL, 0);
  page_save(&p, "report.html", title, head.data);
  text_free(&head), text_free(&line);
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
  r->seconds += time - r->mark;
  if (p->left_out == 1 && step->rows == 0) {
    clear_live(r);
    note("left out, as every step like it: %s", nn_error(m));
  }
  r->sum.loss += step->loss * (double)step->rows;
  r->sum.correct += step->correct;
  r->sum.rows += step->rows;
  const int tests = p->step % r->test_every == 0 || p->step == r->total;
  if (!tests && p->step % r->row_every == 0) add_row(r, NULL); /* else the line follows the test */
  write_snapshot(r);
  if (time - r->paged > 5) write_report(r);
  r->mark = now();
  if (r->live && r->mark - r->drawn >= .1) tell_progress(r, NULL);
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
  add_row(r, e);
  if (!r->quiet) tell_progress(r, e);
  r->mark = now();
  return 0;
}

/* Its callback before a checkpoint. */
static int on_save(void *user, nn_model *m, const nn_progress *p) {
  struct run *r = user;
  (void)m;
  note_state(r);
  r->saved = p->step;
  return 0;
}

/* Its clock, which it asks after a checkpoint: training goes on. */
static double clock_of(void *user) {
  struct run *r = user;
  return r->mark = now();
}

/* nn_survey's callback: the name of a rectifier or tanh that says the same of all images. */
static nn_status find_stuck(void *user, nn_model *m, const nn_batch *b, int first) {
  struct run *r = user;
  (void)b, (void)first;
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
  return NN_OK;
}

/* The whole test set, for the last model and the best; then all is kept. */
static void run_finish(struct run *r) {
  enum { WATCHED = 200 };
  nn_config c = config_of(&r->s);
  nn_dataset d = r->d->test;
  char result[256];
  if (!r->last.rows) must(r->m, nn_evaluate(r->m, &d, &r->last));
  r->of_best = r->last;
  if (r->progress.best_step && r->progress.best_step != r->progress.step) {
    nn_model *best = load_model(r->best, &c).model;
    must(best, nn_evaluate(best, &d, &r->of_best));
    nn_destroy(best);
  }
  if (r->index && !is_set(&r->s, OPT_VALIDATION) && r->last.accuracy > r->of_best.accuracy) {
    must(r->m, nn_save(r->m, r->best)); /* better than the best of a sample */
    r->progress.best_step = r->progress.step;
    r->of_best = r->last;
  }
  if (!file_exists(r->checkpoint)) /* it went on from the one before */
    must(r->m, nn_save_checkpoint(r->m, &r->progress, r->checkpoint));
  if (d.count > WATCHED) d.count = WATCHED;
  c.batch = WATCHED;
  c.keep_activations = c.inference = 1;
  nn_model *kept = load_model(r->checkpoint, &c).model;
  must(kept, nn_survey(kept, &d, find_stuck, r));
  nn_destroy(kept);
  snprintf(result, sizeof result, "accuracy=%.9g best=%.9g best_step=%lld diverged=%d seconds=%.3f"
           "%s%s", r->last.accuracy, r->of_best.accuracy, (long long)r->progress.best_step,
           diverged(r), r->seconds, *r->stuck ? "\n" : "", r->stuck);
  must(r->m, nn_set_note(r->m, "result", result));
  note_state(r);
  if (r->again) { /* a finished row does not go on: what would is large, and not needed */
    char path[PATH_SIZE];
    must(r->m, nn_save(r->m, r->checkpoint));
    path_of(path, "%s.previous", r->checkpoint);
    remove(path);
  } else {
    must(r->m, nn_save_checkpoint(r->m, &r->progress, r->checkpoint));
  }
}

/* Trains to the end, a divergence or a signal. 0, or the signal. */
static int run_train(struct run *r) {
  const struct settings *s = &r->s;
  nn_fit_options fit = {
      .steps = r->total, .batch = whole_of(s, OPT_BATCH), .progress = &r->progress,
      .keep_going = is_set(s, OPT_KEEP_GOING),
      .path = r->checkpoint, .save_every = count_or(s, OPT_SAVE_EVERY, r->test_every),
      .save_seconds = (double)count_or(s, OPT_SAVE_SECONDS, 0), .clock = clock_of,
      .validation = &r->chosen, .validate_every = r->test_every, .best_path = r->best,
      .patience = count_or(s, OPT_PATIENCE, 0),
      .on_gradient = on_gradient, .on_step = on_step, .on_validation = on_validation,
      .on_save = on_save, .user = r};
  nn_status status = NN_OK;
  read_augment(s->v[OPT_AUGMENT].text, &fit.augment);
  fit.augment.fill = r->d->mean;
  r->saved = r->progress.step;
  r->paged = now();
  catch_signals();
  if (!r->quiet)
    fprintf(stderr, "%s: %s parameters, %s steps of %d, %s kernels, in %s\n", net_name(s),
            grouped((double)parameter_count(r->m)).text, grouped((double)r->total).text, fit.batch,
            s->v[OPT_ISA].text, r->folder);
  if (!is_done(r)) status = nn_fit(r->m, &r->train, &fit);
  clear_live(r);
  if (status == NN_ERR_DIVERGED) snprintf(r->why.text, sizeof r->why.text, "%s", nn_error(r->m));
  else if (status < 0) fail("%s", nn_error(r->m));
  if (is_done(r) || (diverged(r) && r->again)) run_finish(r);
  write_report(r);
  if (r->progress.left_out && !diverged(r))
    note("%s of %s steps were left out", grouped((double)r->progress.left_out).text,
         grouped((double)r->progress.step).text);
  if (is_done(r) || diverged(r)) return 0;
  struct text t = {0};
  text_word(&t, s->program ? s->program : "nn");
  text_add(&t, " %s --resume ", s->command->name);
  text_word(&t, r->folder);
  fprintf(stderr, "nn: stopped at step %lld of %lld and saved; go on with: %s\n",
          (long long)r->progress.step, (long long)r->total, r->again ? r->again : t.data);
  text_free(&t);
  return stop_signal;
}

/* ---- beginning and going on ---- */

/* The folder that --out names, or the first free one runs/NAME-NNN. */
static void choose_folder(char path[PATH_SIZE], const struct settings *s, const char *name) {
  make_folders(is_set(s, OPT_OUT) ? s->v[OPT_OUT].text : "runs");
  for (int i = 1; !is_set(s, OPT_OUT); i++) {
    path_of(path, "runs/%s-%03d", name, i);
    if (make_folder(path) == 0) return;
    if (errno != EEXIST) fail("the folder %s cannot be made: %s", path, strerror(errno));
  }
  path_of(path, "%s", s->v[OPT_OUT].text);
  if (holds_run(path))
    fail("%s already holds a run: give another --out, or go on with it by --resume %s", path, path);
  if (holds(path, "report.html"))
    fail("%s/report.html is that of a sweep, demo or the like: give another --out", path);
}

static void run_paths(struct run *r) {
  path_of(r->checkpoint, "%s/last.nn", r->folder);
  path_of(r->best, "%s/best.nn", r->folder);
}

/* A new model, with what it begins with noted. */
static void make_model(struct run *r, nn_config *c) {
  const char *from = r->s.v[OPT_FROM].text;
  char data[sizeof r->d->name + 10], path[PATH_SIZE];
  nn_weights w;
  r->m = build_model(&r->s, c, r->d, r->total);
  must(r->m, nn_get_config(r->m, c));
  set_option(&r->s, OPT_ISA, nn_isa_name(c->isa), r->why.text);
  snprintf(data, sizeof data, "%s\n%08lx", r->d->name, (unsigned long)r->d->crc);
  must(r->m, nn_set_note(r->m, "data", data));
  if (r->d->class_names.size) must(r->m, nn_set_note(r->m, "classes", r->d->class_names.data));
  text_put(&r->log, "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,rate,seconds,"
           "gradient_norm\n");
  if (!*from) return;
  path_of(path, is_folder(from) ? "%s/best.nn" : "%s", from);
  need_regular(path);
  must(r->m, nn_load_weights(r->m, path, NULL, &w));
  note("%d arrays come from %s; %d are not in it and %d have another shape%s%s", w.found, from,
       w.missing, w.reshaped, w.reshaped ? ", as " : "", w.first_reshaped);
}

/* That of the last checkpoint, with all that it notes. */
static void load_checkpoint(struct run *r, const nn_config *c) {
  nn_load_result loaded, best = {0};
  nn_message why;
  char crc[16];
  long long correct, rows;
  if (nn_resume(r->checkpoint, c, &loaded, &why)) fail("%s", why.text);
  if (loaded.previous)
    note("%s; going on from the checkpoint before it, step %lld", why.text,
         (long long)loaded.progress.step);
  r->m = loaded.model;
  r->progress = loaded.progress;
  const char *state = nn_note(r->m, "state"), *log = nn_note(r->m, "log");
  const char *data = nn_note(r->m, "data");
  snprintf(crc, sizeof crc, "\n%08lx", (unsigned long)r->d->crc);
  if (!data || !strstr(data, crc))
    fail("%s was trained on other data (%s) than %s from %s (checksum %s): give its --data",
         r->folder, data ? data : "not noted", r->d->name, r->d->where, crc + 1);
  if (!log || !state ||
      sscanf(state, "%39lf %39lf %lld %lld", &r->seconds, &r->sum.loss, &correct, &rows) != 4 ||
      !(r->seconds >= 0 && isfinite(r->seconds)))
    fail("%s does not note the log of its run", r->checkpoint);
  r->sum.correct = correct, r->sum.rows = rows;
  text_put(&r->log, log);
  if (r->progress.best_step && nn_load(r->best, c, &best, NULL)) {
    note("%s is missing or damaged: %s", r->best,
         is_done(r) ? "the last model takes its place" : "the next test writes it anew");
    if (is_done(r)) must(r->m, nn_save(r->m, r->best));
    r->progress.best_step = is_done(r) ? r->progress.step : 0;
  }
  nn_destroy(best.model);
  nn_optimizer o;
  must(r->m, nn_get_optimizer(r->m, &o));
  if (r->total < r->progress.step)
    fail("%s is at step %lld already, and so cannot be one of %lld", r->folder,
         (long long)r->progress.step, (long long)r->total);
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
  char path[PATH_SIZE];
  c.notes = 1 << 24; /* the most there may be: nobody knows how long the log gets */
  run_paths(r);
  r->lock = lock_folder(r->folder);
  run_plan(r);
  const int begins = !holds_run(r->folder);
  if (begins) make_model(r, &c);
  else load_checkpoint(r, &c);
  if (!is_done(r)) must(r->m, nn_set_note(r->m, "result", NULL));
  write_back(&command, &r->s);
  must(r->m, nn_set_note(r->m, "command", command.data));
  text_free(&command);
  note_state(r);
  if (begins) must(r->m, nn_save_checkpoint(r->m, &r->progress, r->checkpoint));
  path_of(path, "%s/log.csv", r->folder);
  text_save(&r->log, path);
}

static void run_free(struct run *r) {
  leave_folder(r->lock);
  nn_destroy(r->m);
  text_free(&r->log);
  free(r->index);
}

/* The options of a resumed run: those it notes, but for those that may change. *words are what they
 * point to. */
static void resume_settings(struct run *r, const struct settings *typed, char **words) {
  static const enum option may[] = {OPT_DATA, OPT_THREADS, OPT_SAVE_EVERY, OPT_SAVE_SECONDS,
                                    OPT_KEEP_GOING, OPT_QUIET, OPT_STEPS, OPT_EPOCHS, OPT_PATIENCE,
                                    OPT_ISA};
  struct settings *s = &r->s;
  char previous[PATH_SIZE];
  nn_config c = nn_config_default();
  nn_load_result loaded;
  nn_message why;
  c.inference = c.batch = 1;
  path_of(r->folder, "%s", typed->v[OPT_RESUME].text);
  run_paths(r);
  path_of(previous, "%s.previous", r->checkpoint);
  if (!holds_run(r->folder)) fail("%s is not the folder of a run: last.nn is missing", r->folder);
  if (nn_load(r->checkpoint, &c, &loaded, &why) && nn_load(previous, &c, &loaded, NULL))
    fail("%s", why.text);
  if (!noted_settings(loaded.model, r->checkpoint, s, words))
    fail("%s is no checkpoint of a run: it does not note its command line", r->checkpoint);
  nn_destroy(loaded.model);
  if (s->command != typed->command)
    fail("%s is of nn %s; resume it by nn %s --resume", r->folder, s->command->name,
         s->command->name);
  if (typed->v[OPT_STEPS].given && typed->v[OPT_EPOCHS].given)
    refuse(typed, "--epochs and --steps exclude each other");
  if (typed->v[OPT_STEPS].given) s->v[OPT_EPOCHS].text = "";
  if (typed->v[OPT_EPOCHS].given) s->v[OPT_STEPS].text = "";
  for (size_t k = 0; k < sizeof may / sizeof *may; k++)
    if (typed->v[may[k]].given) s->v[may[k]] = typed->v[may[k]];
  const int o = differing(s, typed, 1);
  if (o >= 0)
    refuse(typed, "--%s %s is not what this run has (%s): omit it to resume", options[o].name,
           typed->v[o].text, is_set(s, (enum option)o) ? s->v[o].text : "none");
  s->program = typed->program;
}

/* nn cifar10, mnist and train with one value for each option. */
static int run_command(struct settings *typed) {
  struct run r = {.s = *typed};
  struct data d;
  char *words = NULL;
  if (is_set(typed, OPT_RESUME)) {
    if (typed->v[OPT_OUT].given)
      wrong(typed->command->name, "--resume goes on in its own folder: leave --out away");
    complete_isa(typed);
    resume_settings(&r, typed, &words);
  } else {
    complete(&r.s);
  }
  const char *from = r.s.v[OPT_FROM].text;
  if (*from && !is_set(typed, OPT_RESUME) && !is_folder(from) && !file_exists(from))
    fail("%s: %s", from, strerror(ENOENT));
  data_find(&d, &r.s, 1);
  tell_data(&d, is_set(&r.s, OPT_QUIET));
  r.d = &d;
  if (!is_set(typed, OPT_RESUME))
    choose_folder(r.folder, &r.s, r.s.command->bit == CIFAR10 ? "cifar10" : r.s.v[OPT_CELL].text);
  run_begin(&r);
  const int stopped = run_train(&r);
  if (diverged(&r))
    fail("training diverged: %s. Give a lower --lr, --clip-norm 1 or --keep-going; %s keeps step "
         "%lld", r.why.text, r.checkpoint, (long long)r.saved);
  if (!stopped && r.progress.best_step == 0)
    fail("no test had a finite loss, so there is no best model: give a lower --lr or --clip-norm 1 "
         "(%s)", r.folder);
  if (!stopped) {
    struct text t = {0};
    text_result(&t, &r);
    printf("%s on %s: %s, %s parameters, %s of training; %s/report.html\n", net_name(&r.s), d.name,
           t.data, grouped((double)parameter_count(r.m)).text, duration(r.seconds).text, r.folder);
    if (*d.said) puts(d.said);
    text_free(&t);
  }
  run_free(&r);
  data_free(&d);
  free(words);
  return stopped ? 128 + stopped : 0;
}

/* ========================================= @@STUDY ==========================================
 * Many runs in one table: a trial is a row of it, with a run for each seed in OUT/ROW/seed-N. An
 * experiment, a sweep, the demonstration and the nets of ablation and kernels differ in the command
 * lines that their trials are made of. A finished run's figures stand in its last.nn. */

enum { STUDY_1 = 1, STUDY_2, DEMO_ROWS, ABLATE_CNN, ABLATE_CELLS, ABLATE_MLP, KERNELS,
       MOST_PRESETS = 12 };
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
enum state { NOT_RUN, OTHER_RUN, UNFINISHED, DAMAGED, DONE };
static const char *const state_names[] = {"not run", "other settings", "unfinished", "damaged"};

struct trial {
  char name[160];
  const struct group *group;   /* NULL: of a sweep */
  const struct preset *preset;
  struct settings s;
  char *words, steps[24]; /* which s points to */
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
  char base[PATH_SIZE];
  struct page own, *page; /* a look's page or its own */
  struct data data;       /* what the last run learned from, */
  struct settings of;     /* whose settings these are */
  const struct data *given; /* look: the run's data */
  struct trial *trials, **list; /* list: those shown at present */
  int count, seeds, trained, asked, done; /* the last three: of runs */
  double shares; /* the demonstration: of all trials in its budget; 0: none is planned */
  char said[240]; /* behind every title */
  lock *lock;
};

/* ---- trials ---- */

static void begin_study(struct study *st, const struct settings *typed, const char *const *words,
                        const char *base) {
  memset(st, 0, sizeof *st);
  st->typed = typed;
  st->page = &st->own;
  st->seeds = whole_of(typed, OPT_SEEDS);
  for (int i = 0; words[i]; i++)
    text_put(&st->again, i ? " " : ""), text_word(&st->again, words[i]);
  if (typed->command->bit == DEMO && !is_set(typed, OPT_OUT))
    text_put(&st->again, " --out "), text_word(&st->again, base);
  if (number_of(typed, OPT_SEED) + st->seeds - 1 > options[OPT_SEED].most)
    refuse(typed, "--seed %s and those after it are too large", typed->v[OPT_SEED].text);
  path_of(st->base, "%s", is_set(typed, OPT_OUT) ? typed->v[OPT_OUT].text : base);
  path_of(st->own.folder, "%s", st->base);
  if (is_set(typed, OPT_MINIATURE))
    snprintf(st->said, sizeof st->said, "A miniature (--quick), which proves nothing");
}

/* A trial with the settings of base, or of none, changed by a command line. */
static struct trial *add_trial(struct study *st, const char *name, const struct settings *base,
                               const char *line) {
  static const enum option shared[] = {OPT_THREADS, OPT_ISA, OPT_DATA, OPT_QUIET};
  const char *words[80];
  st->trials = grow(st->trials, (size_t)st->count, sizeof *st->trials);
  struct trial *t = &st->trials[st->count++];
  memset(t, 0, sizeof *t);
  snprintf(t->name, sizeof t->name, "%s", name);
  t->words = allocate(strlen(line) + 1, 1);
  strcpy(t->words, line);
  const int count = split(t->words, words, 80), first = !base;
  if (base) t->s = *base;
  else set_standards(&t->s, find_command(words[0]));
  read_words(&t->s, count - first, words + first);
  for (int k = 0; k < 4; k++) t->s.v[shared[k]] = st->typed->v[shared[k]];
  if (is_set(st->typed, OPT_MINIATURE)) {
    t->s.v[OPT_EPOCHS].text = "";
    give(&t->s, OPT_STEPS, "30");
    give(&t->s, OPT_TEST_EVERY, "10");
    if (number_of(&t->s, OPT_BATCH) > 20) give(&t->s, OPT_BATCH, "20");
  }
  complete(&t->s);
  return t;
}

/* The trials of all groups of some studies. base: as above. */
static void add_presets(struct study *st, int from, int to, const struct settings *base) {
  for (int g = 0; g < GROUPS; g++)
    for (int k = 0; k < MOST_PRESETS && groups[g].rows[k].name; k++) {
      const struct group *group = &groups[g];
      const struct preset *p = &group->rows[k];
      struct text line = {0};
      if (group->study < from || group->study > to) continue;
      text_add(&line, "%s %s %s %s", group->given, group->chosen, p->given, p->chosen);
      struct trial *t = add_trial(st, p->name, base, line.data);
      t->group = group;
      t->preset = p;
      text_free(&line);
    }
}

static int is_same_data(const struct settings *a, const struct settings *b) {
  return a->command == b->command && a->v[OPT_SIZE].number == b->v[OPT_SIZE].number &&
         is_set(a, OPT_GRAY) == is_set(b, OPT_GRAY) &&
         a->v[OPT_SIDE].number == b->v[OPT_SIDE].number;
}

static const struct data *study_data(struct study *st, const struct settings *s) {
  if (st->given) return st->given;
  if (is_same_data(s, &st->of)) return &st->data;
  data_free(&st->data);
  data_find(&st->data, s, 1);
  const int quick = is_set(st->typed, OPT_MINIATURE), stands_in = *st->data.said != 0;
  if (quick) data_thin(&st->data);
  snprintf(st->said, sizeof st->said, "%s%s%.160s",
           quick ? "A miniature (--quick), which proves nothing" : "",
           quick && stands_in ? ". " : "", st->data.said);
  tell_data(&st->data, is_set(st->typed, OPT_QUIET));
  st->of = *s;
  return &st->data;
}

/* The demonstration: as many steps as fit in a trial's share of the budget, by some that are
 * trained to be thrown away, and a hundred at least; a part of it is for tests and saving. */
static void plan_steps(struct study *st, struct trial *t) {
  const nn_fit_options first = {.steps = 5}, more = {.steps = 20};
  const struct data *d = study_data(st, &t->s);
  const nn_config c = config_of(&t->s);
  nn_model *m = build_model(&t->s, &c, d, 100);
  must(m, nn_fit(m, &d->train, &first)); /* these bring the memory in */
  const double start = now();
  must(m, nn_fit(m, &d->train, &more));
  const double each = (now() - start) / 20;
  const double time = .8 * number_of(st->typed, OPT_BUDGET) * t->preset->reported / st->shares;
  nn_destroy(m);
  snprintf(t->steps, sizeof t->steps, "%.0f", fmax(floor(time / each / 50) * 50, 100));
  give(&t->s, OPT_STEPS, t->steps);
}

/* As many steps as its run has already, if there is one. */
static int plan_as_before(const struct study *st, struct trial *t, double seed) {
  nn_config c = nn_config_default();
  nn_load_result loaded;
  struct settings s;
  char path[PATH_SIZE], *words;
  path_of(path, "%s/%s/seed-%.0f/last.nn", st->base, t->name, seed);
  c.inference = c.batch = 1;
  if (!file_exists(path) || nn_load(path, &c, &loaded, NULL)) return 0;
  const int known = noted_settings(loaded.model, path, &s, &words) && is_set(&s, OPT_STEPS);
  if (known) {
    snprintf(t->steps, sizeof t->steps, "%s", s.v[OPT_STEPS].text);
    give(&t->s, OPT_STEPS, t->steps);
  }
  free(words);
  nn_destroy(loaded.model);
  return known;
}

/* ---- their runs ---- */

/* A trial's run with a seed, and what there is of it; by its last model alone, which is r->m if it
 * is done: its images need not be at hand. */
static enum state find_run(const struct study *st, const struct trial *t, double seed,
                           struct run *r) {
  nn_config c = nn_config_default();
  nn_load_result loaded;
  struct settings s;
  char *words, previous[PATH_SIZE];
  enum state state = UNFINISHED;
  memset(r, 0, sizeof *r);
  snprintf(r->seed, sizeof r->seed, "%.0f", seed);
  r->s = t->s;
  give(&r->s, OPT_SEED, r->seed);
  path_of(r->folder, "%s/%s/seed-%s", st->base, t->name, r->seed);
  run_paths(r);
  path_of(previous, "%s.previous", r->checkpoint);
  if (!file_exists(r->checkpoint) && !file_exists(previous)) return NOT_RUN;
  c.inference = c.batch = 1;
  if (nn_load(r->checkpoint, &c, &loaded, NULL) && nn_load(previous, &c, &loaded, NULL))
    return DAMAGED;
  if (!noted_settings(loaded.model, r->checkpoint, &s, &words) || differing(&s, &r->s, 0) >= 0)
    state = OTHER_RUN;
  else if (nn_note(loaded.model, "result")) state = DONE;
  free(words);
  if (state == DONE) r->m = loaded.model;
  else nn_destroy(loaded.model);
  return state;
}

/* Trains a trial's run, from its beginning or from where it stopped, unless it is done. 0, or the
 * signal. */
static int train_one(struct study *st, struct trial *t, double seed) {
  struct run r;
  if (st->shares > 0 && !plan_as_before(st, t, seed)) plan_steps(st, t);
  const enum state state = find_run(st, t, seed, &r);
  if (state == DONE) return run_free(&r), 0;
  if (state == OTHER_RUN)
    fail("%s holds a run with other options: move it away, or give another --out", r.folder);
  if (state == DAMAGED) fail("%s is damaged: remove it, and the run is trained anew", r.folder);
  make_folders(r.folder);
  r.d = study_data(st, &r.s);
  r.again = st->again.data;
  run_begin(&r);
  r.quiet |= st->typed->command->bit != DEMO; /* no line a test */
  const int stopped = run_train(&r);
  if (!stopped) {
    struct text line = {0};
    text_result(&line, &r);
    st->trained++;
    if (!is_set(st->typed, OPT_QUIET))
      fprintf(stderr, "%s, seed %s: %s%s, %s\n", t->name, r.seed, line.data,
              diverged(&r) ? ", diverged" : "", duration(r.seconds).text);
    text_free(&line);
  }
  run_free(&r);
  return stopped;
}

static void add_figure(nn_moments *to, double x) {
  const nn_moments one = {1, 0, 0, x, 0, x, x};
  nn_moments_merge(to, &one);
}

/* Adds a finished run's figures, from its model: DONE, unless its notes are damaged or it learned
 * from other images than those before. */
static enum state add_result(struct trial *t, nn_model *m) {
  const char *result = nn_note(m, "result"), *data = nn_note(m, "data"), *log = nn_note(m, "log");
  const double accuracy = noted(result, "accuracy", NAN), best = noted(result, "best", NAN);
  const double seconds = noted(result, "seconds", NAN);
  const nn_param filters = first_weights(m);
  char name[sizeof t->data];
  if (!data || !log || !(accuracy >= 0 && accuracy <= 1 && best >= 0 && best <= 1 && seconds >= 0))
    return DAMAGED;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(data, "\n"), data);
  if (*t->data && strcmp(name, t->data) != 0) return OTHER_RUN;
  memcpy(t->data, name, sizeof name);
  add_figure(&t->accuracy, accuracy), add_figure(&t->best, best);
  add_figure(&t->seconds, seconds), add_figure(&t->parameters, (double)parameter_count(m));
  if (filters.value) add_figure(&t->sparsity, sparsity(filters.value, filters.count));
  t->diverged += noted(result, "diverged", 0) > 0;
  t->dead += strchr(result, '\n') != NULL;
  if (strchr(result, '\n')) snprintf(t->stuck, sizeof t->stuck, "%s", strchr(result, '\n') + 1);
  text_put(&t->log, log);
  return DONE;
}

/* Adds what there is of a trial's run. Nothing that is wrong with it keeps others from being
 * shown. */
static void add_run(struct study *st, struct trial *t, double seed, int asked) {
  struct run r;
  enum state state = find_run(st, t, seed, &r);
  if (state == DONE) state = add_result(t, r.m);
  if (state == DONE && t->accuracy.count == 1)
    path_of(t->link, "%s/report.html", r.folder + strlen(st->page->folder) + 1);
  if (state == DAMAGED) {
    t->damaged++;
    note("%s is damaged: remove its folder, and the run is trained anew", r.checkpoint);
  }
  if (asked) st->asked++, st->done += state == DONE;
  if (state > t->state) t->state = state;
  run_free(&r);
}

/* Runs, skips or resumes every run of every trial that was asked for; then gathers what there is,
 * with seeds that nobody asked for up to a hundred. 0, or the exit status. */
static int train_all(struct study *st) {
  const double first = number_of(st->typed, OPT_SEED);
  need_no_run(st->base);
  make_folders(st->base);
  if (!is_set(st->typed, OPT_DONE)) {
    st->lock = lock_folder(st->base);
    for (int i = 0; i < st->count; i++)
      for (int k = 0; k < st->seeds && !st->trials[i].unasked; k++) {
        const int stopped = train_one(st, &st->trials[i], first + k);
        if (stopped) return 128 + stopped;
      }
  }
  for (int i = 0; i < st->count; i++) {
    struct trial *t = &st->trials[i];
    for (int k = 0; k < st->seeds; k++) add_run(st, t, first + k, !t->unasked);
    for (int seed = 1; seed <= 100; seed++)
      if (seed < first || seed >= first + st->seeds) add_run(st, t, seed, 0);
  }
  return 0;
}

static void study_free(struct study *st) {
  for (int i = 0; i < st->count; i++) {
    struct trial *t = &st->trials[i];
    text_free(&t->log);
    free(t->words);
  }
  data_free(&st->data);
  text_free(&st->again);
  leave_folder(st->lock);
  free(st->trials), free(st->list);
}

/* ---- what is shown of them ---- */

/* Lists the trials of a study, or all (0), and of a group, or all (NULL); returns how many. */
static int pick(struct study *st, int study, const struct group *g) {
  int n = 0;
  if (!st->list) st->list = allocate((size_t)st->count, sizeof *st->list);
  for (int i = 0; i < st->count; i++) {
    struct trial *t = &st->trials[i];
    if ((!t->unasked || t->state >= DAMAGED) && (!g || t->group == g) &&
        (!study || t->group->study == study))
      st->list[n++] = t;
  }
  return n;
}

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
          t->sparsity.count ? t->sparsity.mean : (double)NAN);
}

#define TRIAL_HEADS "accuracy|percent", "deviation|percent", "lowest|percent", "highest|percent",  \
      "best|percent", "time|seconds", "seeds", "parameters|count", "data"
/* The first n listed trials as a table, with the means over their seeds. */
static void show_trials(struct study *st, int n, const char *title, const char *csv, int how) {
  static const char *const usual[] = {"row", TRIAL_HEADS, NULL};
  static const char *const beside[] = {"row", "reported|percent", "PyTorch|percent",
                                       "difference|points", "reached", "sparsity|", TRIAL_HEADS,
                                       NULL};
  const int compares = st->typed->command->bit == EXPERIMENT;
  struct table to = {compares ? beside : usual, NULL, 0};
  const char **links = allocate((size_t)n, sizeof *links);
  struct text full = {0}, runs = {0};
  for (int i = 0; i < n; i++) {
    const struct trial *t = st->list[i];
    const nn_moments *a = &t->accuracy;
    /* NAN times a figure that there is not */
    const double done = a->count ? 1 : (double)NAN, spread = a->count > 1 ? 1 : (double)NAN;
    links[i] = t->link;
    runs.size = 0;
    text_add(&runs, "%d", (int)a->count);
    if (!a->count) text_add(&runs, " (%s)", state_names[t->state]);
    if (t->diverged) text_add(&runs, " (%d diverged)", t->diverged);
    else if (t->dead) text_add(&runs, " (%d dead: %s)", t->dead, t->stuck);
    if (t->damaged && a->count) text_add(&runs, " (and %d damaged)", t->damaged);
    put_text(&to, "%s", t->name);
    if (compares) put_verdict(&to, st, t);
    put_row(&to, "nnnnnnsns", done * a->mean,
            a->count > 1 ? sqrt(a->m2 / (double)(a->count - 1)) : (double)NAN, spread * a->min,
            spread * a->max, done * t->best.mean, done * t->seconds.mean, runs.data,
            done * t->parameters.mean, a->count ? t->data : "-");
  }
  text_add(&full, "%s%s%s", title, *st->said ? ". " : "", st->said);
  show_table(st->page, &to, full.data, csv, ON_STDOUT | how, links, !compares && !how);
  text_free(&full), text_free(&runs);
  free(links);
}

/* Their curves; of several seeds through the means at the same step. */
static void show_trial_curves(struct study *st, int n) {
  static const char *const x[] = {"epoch", "step", "seconds", NULL};
  static const char *const shown[4][2] = {
      {"Test accuracy", "test_accuracy"}, {"Test loss", "test_loss"},
      {"Training accuracy", "train_accuracy"}, {"Training loss", "train_loss"}};
  for (int f = 0; f < 4; f++) {
    int several = 0;
    curves(st->page, shown[f][0], f % 2 ? "loss" : "percent", x, NULL);
    for (int i = 0; i < n; i++) {
      const struct trial *t = st->list[i];
      if (t->accuracy.count) log_series(st->page, t->name, t->name, shown[f][1], t->data, "");
      several |= t->accuracy.count > 1;
    }
    text_put(&st->page->sections, several ? "],\"points\":true" : "]");
    figure_end(st->page, NULL, f % 2 ? ",\"logy\":true" : "");
  }
}

/* The best first; what has no result last. */
static int by_accuracy(const void *a, const void *b) {
  const struct trial *t = a, *u = b;
  if (!t->accuracy.count || !u->accuracy.count)
    return (int)(u->accuracy.count > 0) - (int)(t->accuracy.count > 0);
  const double d = u->accuracy.mean - t->accuracy.mean;
  return d > 0 ? 1 : d < 0 ? -1 : strcmp(t->name, u->name);
}

/* Test accuracy of the listed trials, sorted by it, against a swept option. */
static void show_axis(struct study *st, enum option o) {
  static const char *const keys[] = {"{\"name\":\"test accuracy\",\"x\":[", "],\"y\":[",
                                     "],\"labels\":[", "],\"links\":["};
  const char *const x[] = {options[o].name, NULL};
  const int is_number = options[o].kind == WHOLE || options[o].kind == REAL;
  double least = HUGE_VAL, most = 0;
  char title[64];
  snprintf(title, sizeof title, "Test accuracy against %s", options[o].name);
  struct text *t = curves(st->page, title, "percent", x, NULL);
  for (int key = 0; key < 4; key++)
    for (int i = 0; i < st->count && st->list[i]->accuracy.count; i++) {
      const struct trial *of = st->list[i];
      const struct value *v = &of->s.v[o];
      text_put(t, i ? "," : keys[key]);
      if (key == 0 && is_number) json_number(t, v->number);
      else if (key == 1) json_number(t, of->accuracy.mean);
      else json_string(t, key == 0 ? v->text : key == 2 ? of->name : of->link);
      least = fmin(least, v->number), most = fmax(most, v->number);
    }
  text_put(t, "]}],\"points\":true");
  figure_end(st->page, NULL, is_number && least > 0 && most >= 10 * least ? ",\"logx\":true" : "");
}

/* A study's table, and the curves of each of its groups; of a sweep the best first, and accuracy
 * against each option. */
static void show_study(struct study *st, int study, const char *id, const char *title) {
  int n = pick(st, study, NULL);
  if (n == 0) {
    char path[PATH_SIZE]; /* a table of an earlier call would be taken for one of this */
    path_of(path, "%s/%s.csv", st->base, id);
    remove(path);
    return;
  }
  section(st->page, id, title, NULL, 0);
  show_trials(st, n, title, id, study == DEMO_ROWS ? COLOURED : 0);
  for (int g = 0; g < GROUPS && study; g++) {
    if (!(n = pick(st, study, &groups[g]))) continue;
    section(st->page, "curves", groups[g].title, groups[g].rows[0].remark, 0);
    show_trial_curves(st, n);
  }
  if (study) return;
  for (int o = 0; o < OPTION_COUNT; o++)
    if (st->typed->v[o].several) show_axis(st, (enum option)o);
  section(st->page, "curves", "Curves", NULL, 0);
  show_trial_curves(st, n);
}

/* The page of all, and where it is. */
static void show_all(struct study *st, const char *title) {
  const int bit = st->typed->command->bit;
  int others = 0;
  if (bit & TRAIN) qsort(st->trials, (size_t)st->count, sizeof *st->trials, by_accuracy);
  if (bit & TRAIN) show_study(st, 0, "sweep", title);
  if (bit == DEMO) show_study(st, DEMO_ROWS, "demo", title);
  if (bit == EXPERIMENT) {
    show_study(st, STUDY_1, "study1", "Study 1: LeNet5 on CIFAR-10");
    show_study(st, STUDY_2, "study2", "Study 2: the rows of MNIST through a recurrent net");
  }
  for (int i = 0; i < st->count; i++) {
    const struct trial *t = &st->trials[i];
    others += t->unasked && t->state >= DAMAGED;
    if (t->accuracy.count) page_log(st->page, t->name, t->log.data);
  }
  page_save(st->page, "report.html", title, "");
  printf("\n%d of %d runs were done before", st->done - st->trained, st->asked);
  if (others) printf(", and %d row%s of earlier calls", others, others > 1 ? "s" : "");
  printf("; report: %s/report.html\n", st->base);
}

/* Trains all, shows all, and ends the study. 0, or the exit status. */
static int run_study(struct study *st, const char *title) {
  const int stopped = train_all(st);
  if (!stopped) show_all(st, title);
  study_free(st);
  return stopped;
}

/* ---- experiments ---- */

/* Asks for the trials that names, which commas part, mean: each a row's own, or its beginning up to
 * a hyphen, a report's letter, or all. */
static void choose(struct study *st, const char *names) {
  for (const char *at = names; *at; at += strcspn(at, ","), at += *at == ',') {
    const char *best = NULL;
    char name[64];
    size_t score = 99;
    const int n = snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
    int found = 0;
    for (int pass = 0; pass < 2 && !found; pass++) /* a row's whole name means no other */
      for (int i = 0; i < st->count; i++) {
        struct trial *t = &st->trials[i];
        const int whole = strcmp(t->name, name) == 0, all = strcmp(name, "all") == 0;
        const int begun = strncmp(t->name, name, (size_t)n) == 0 && (t->name[n] == '-' || n == 1);
        if (closer(name, t->name, &score)) best = t->name;
        if (pass ? all || begun : whole) t->unasked = 0, found = 1;
      }
    if (!found)
      wrong("experiment", "there is no row '%s'%s%s; nn experiment --list lists them", name,
            best ? "; did you mean " : "", best ? best : "");
  }
}

/* nn experiment --list: the options that a row's report gives, a star, and those chosen here. */
static void list_rows(struct study *st) {
  const int n = pick(st, 0, NULL);
  for (int i = 0; i < n; i++) {
    const struct group *g = st->list[i]->group;
    const struct preset *p = st->list[i]->preset;
    const char *const part[] = {g->given, p->given, "*", g->chosen, p->chosen};
    struct text line = {0};
    for (int k = 0; k < 5; k++)
      if (*part[k]) text_add(&line, "%s%s", line.size ? " " : "", part[k]);
    printf("%-19s%8s  ", p->name, p->reported > 0 ? hundredths(p->reported).text : "-");
    print_wrapped(line.data, 29);
    text_free(&line);
  }
  puts("* behind it what the report does not give: chosen here. The last of two values counts.");
}

/* nn experiment: trains the rows that its operand names, and shows them with all others that are
 * done in the same folder. */
static int experiment_command(struct settings *typed, const char *const *words) {
  struct study st;
  complete_isa(typed);
  begin_study(&st, typed, words,
              is_set(typed, OPT_MINIATURE) ? "runs/experiments-quick" : "runs/experiments");
  add_presets(&st, STUDY_1, STUDY_2, NULL);
  for (int i = 0; i < st.count; i++) st.trials[i].unasked = 1;
  choose(&st, typed->operands ? typed->operand[0] : "all");
  if (!is_set(typed, OPT_LIST)) return run_study(&st, "Experiments");
  list_rows(&st);
  study_free(&st);
  return 0;
}

/* ---- sweeps ---- */

enum { MOST_VALUES = 64 };
typedef char value_list[MOST_VALUES][64];

/* Makes a list of LOW:HIGH or LOW:HIGH:COUNT, whose parts it has; returns how many. What lies
 * between the ends is written for people. */
static int spread_range(const struct settings *typed, enum option o, value_list list, int parts) {
  const int whole = options[o].kind == WHOLE;
  const double low = strtod(list[0], NULL), high = strtod(list[1], NULL);
  double count = is_set(typed, OPT_RANDOM) ? MOST_VALUES : 3;
  char last[sizeof *list];
  int n = 1;
  if (parts < 2 || parts > 3 || !(low < high) || (parts == 3 && !read_number(list[2], &count)) ||
      count != floor(count) || count < 2 || count > MOST_VALUES)
    refuse(typed, "--%s '%s' is no range LOW:HIGH or LOW:HIGH:COUNT with COUNT from 2 to %d",
           options[o].name, typed->v[o].text, MOST_VALUES);
  strcpy(last, list[1]);
  for (int k = 1; k < count - 1; k++) {
    const double share = k / (count - 1);
    const double v = low > 0 && high >= 10 * low ? low * pow(high / low, share)
                                                 : low + (high - low) * share;
    for (int digits = whole ? 17 : 4; digits < 18; digits++) {
      snprintf(list[n], sizeof *list, "%.*g", digits, whole ? floor(v + .5) : v);
      if (strtod(list[n], NULL) >= low && strtod(list[n], NULL) <= high) break;
    }
    n += strcmp(list[n], list[n - 1]) != 0;
  }
  n -= strcmp(list[n - 1], last) == 0;
  strcpy(list[n], last);
  return n + 1;
}

/* Reads an option's values; returns how many. */
static int read_values(const struct settings *typed, enum option o, value_list list) {
  const char *text = typed->v[o].text, *end = text;
  struct settings s;
  char why[256] = "";
  int count = 0;
  for (const char *at = text; at && count < MOST_VALUES; at = *end ? end + 1 : NULL) {
    end = at + strcspn(at, o == OPT_AUGMENT ? "/" : ",:");
    snprintf(list[count++], sizeof *list, "%.*s", (int)(end - at), at);
  }
  if (*end) refuse(typed, "--%s has more than %d values", options[o].name, MOST_VALUES);
  if (strchr(text, ':')) count = spread_range(typed, o, list, count);
  for (int k = count - 1; k >= 0; k--) { /* the last one first: a range's ends were typed */
    if (*list[k] || o != OPT_AUGMENT) set_option(&s, o, list[k], why); /* there it means none */
    if (*why) refuse(typed, "--%s '%s': '%s' %s", options[o].name, text, list[k], why);
  }
  return count;
}

/* A trial of each combination of values, or of so many drawn at random. */
static void add_combinations(struct study *st) {
  const struct settings *typed = st->typed;
  const int wanted = whole_or(typed, OPT_RANDOM, 0);
  value_list *values = allocate(OPTION_COUNT, sizeof *values);
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
  if (most > 10000 || all > UINT32_MAX) refuse(typed, "%.0f combinations are too many", all);
  if (wanted > all) note("--random %d: there are only %.0f combinations", wanted, all);
  for (uint32_t k = 0; k < most; k++) {
    struct text name = {0}, line = {0};
    uint32_t rest = (uint32_t)all;
    uint32_t at = most < all ? nn_shuffled((uint64_t)number_of(typed, OPT_SEED), 0, rest, k) : k;
    for (int o = 0; o < OPTION_COUNT; o++) { /* the last option moves first */
      if (!typed->v[o].several) continue;
      const char *value = values[o][at / (rest /= (uint32_t)count[o])];
      at %= rest;
      text_add(&name, "%s%s=%s", name.size ? "," : "", options[o].name, value);
      if (*value) text_add(&line, "--%s %s ", options[o].name, value);
    }
    if (name.size >= sizeof st->trials->name)
      fail("a combination has a name that is too long: %s", name.data);
    add_trial(st, name.size ? name.data : "run", &base, line.size ? line.data : "");
    text_free(&name), text_free(&line);
  }
  free(values);
}

/* nn cifar10, mnist or train where an option has several values, or there are several seeds. */
static int sweep_command(struct settings *typed, const char *const *words) {
  struct study st;
  char title[160], folder[64];
  if (is_set(typed, OPT_RESUME)) refuse(typed, "several runs go on by the command that began them");
  complete_isa(typed);
  snprintf(folder, sizeof folder, "runs/sweep-%s", typed->command->name);
  begin_study(&st, typed, words, folder);
  add_combinations(&st);
  snprintf(title, sizeof title, "%d combination%s of nn %s", st.count, st.count > 1 ? "s" : "",
           typed->command->name);
  return run_study(&st, title);
}

/* ---- the demonstration, ablation and kernels ---- */

/* All four networks on the same digits, and LeNet5 on CIFAR-10 where that is at hand. Without
 * --steps the budget decides how long. */
static int demo_command(struct settings *typed, const char *const *words) {
  struct study st;
  struct data d;
  char folder[PATH_SIZE];
  int photos = 0;
  complete_isa(typed);
  if (!is_set(typed, OPT_OUT)) choose_folder(folder, typed, "demo");
  begin_study(&st, typed, words, folder);
  add_presets(&st, DEMO_ROWS, DEMO_ROWS, NULL);
  for (int i = 0; i < st.count; i++) {
    struct trial *t = &st.trials[i];
    if (t->s.command->bit == CIFAR10) { /* the first whose images are there */
      t->unasked = photos || !data_find(&d, &t->s, 0);
      if (!t->unasked) photos = 1, data_free(&d);
    }
    if (is_set(typed, OPT_STEPS)) give(&t->s, OPT_STEPS, typed->v[OPT_STEPS].text);
    else if (!t->unasked) st.shares += t->preset->reported;
  }
  return run_study(&st, "Networks compared");
}

/* Trains a run's net with the rows of a preset group changed, beside each other, and fills figures
 * of p. 0, or the exit status. */
static int train_variants(const struct settings *typed, const struct settings *s,
                          const struct data *d, int which, const char *base, struct page *p,
                          const char *csv) {
  const char *const words[] = {typed->program, "look", typed->operand[0], typed->operand[1], NULL};
  struct settings own = *s;
  struct study st;
  begin_study(&st, typed, words, base);
  for (int o = 0; o < OPTION_COUNT; o++)
    if (typed->v[o].given) {
      text_add(&st.again, " --%s ", options[o].name);
      if (options[o].kind != FLAG) text_word(&st.again, typed->v[o].text);
    }
  path_of(st.base, "%s", base);
  st.page = p;
  st.given = d;
  own.from = NULL;
  own.v[OPT_SNAPSHOTS].text = "";
  for (int o = 0; o < OPTION_COUNT; o++) own.v[o].given = o == OPT_PAD1 && is_cnn(s);
  if (is_set(typed, OPT_STEPS))
    own.v[OPT_EPOCHS].text = "", give(&own, OPT_STEPS, typed->v[OPT_STEPS].text);
  add_presets(&st, which, which, &own);
  const int stopped = train_all(&st), n = stopped ? 0 : pick(&st, 0, NULL);
  if (n) show_trials(&st, n, st.trials->group->title, csv, 0);
  for (int i = 0; i < n && which == KERNELS; i++) {
    struct run r;
    find_run(&st, st.list[i], number_of(typed, OPT_SEED), &r);
    if (r.m && first_weights(r.m).value)
      show_filters(p, r.m, st.list[i]->preset->remark, NULL);
    run_free(&r);
  }
  study_free(&st);
  return stopped;
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
  } stage[MOST_STAGES];      /* a run's start, snapshots and best model, or the only model */
  struct word name[MOST_STAGES];
  const char *heads[MOST_STAGES + 1]; /* their steps as texts */
  int stages, own;           /* own: the stage that is the model */
  nn_model *m;
  int32_t image[AT_ONCE];    /* --images, else right ones, the first five of different classes */
  int images, shown;         /* shown: those that are looked at one by one */
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
static int is_bent(const nn_node_info *n) { /* by a non-linearity */
  return strstr("leaky_relu elu gelu silu softplus clamp tanh hard_sigmoid hard_swish", n->kind) !=
         NULL;
}
static int has_kind(nn_model *m, const char *kind) {
  for (int i = 0; i < nn_node_count(m); i++)
    if (strcmp(node_of(m, i).kind, kind) == 0) return 1;
  return 0;
}

/* "14: frog" */
static struct word image_name(const struct look *l, int image) {
  struct word w;
  snprintf(w.text, sizeof w.text, "%d: %.30s", image,
           class_name(l->m, label_of(&l->d.test, image)).text);
  return w;
}
/* The probability that the model gives to an image's own class. */
static double share_of(const struct look *l, int image) {
  return (double)l->share[image * l->out.dim[0] + label_of(&l->d.test, image)];
}

/* The model's layers up to `until` (NULL: all), to be changed and built. */
static nn_model *open_net(const struct look *l, const char *until) {
  const nn_open_options o = {.until = until};
  nn_config c = config_of(l->typed);
  nn_message why;
  nn_model *m;
  c.batch = AT_ONCE;
  c.keep_activations = c.input_gradient = !until;
  c.notes = 1 << 17; /* for the names of many classes */
  if (nn_open(l->path, &c, &o, &m, &why)) fail("%s", why.text);
  return m;
}
/* Builds it with the weights of a file, or for "" with fresh ones and only the scaling of the data.
 * NULL, and a note, if it is another file than the model's and has none for such a net. */
static nn_model *build_net(const struct look *l, nn_model *m, const char *path) {
  const char *which = *path ? NULL : "normalise";
  const nn_weights_options o = {which, which, *path && path != l->path};
  must(m, nn_build(m));
  if (!*path) open_forget_gates(m, &l->s);
  if (!nn_load_weights(m, *path ? path : l->path, &o, NULL)) return m;
  if (!o.strict) fail("%s", nn_error(m));
  note("left out: %s", nn_error(m));
  nn_destroy(m);
  return NULL;
}
static nn_model *stage_model(const struct look *l, const char *path) {
  nn_model *m = open_net(l, NULL);
  nn_cross_entropy(m, nn_node_count(m) - 1);
  return build_net(l, m, path);
}

/* An inspecting forward of n samples in l->x. */
static void inspect(const struct look *l, nn_model *m, int n) {
  const nn_batch b = {.n = n, .x = {l->x}};
  must(m, nn_forward(m, &b, NN_INSPECTING));
}
/* The same of test images by their numbers, which it puts there. */
static void take(const struct look *l, nn_model *m, const int32_t *image, int n) {
  if (nn_gather(&l->d.test, image, n, NULL, NULL, l->x, NULL)) fail("a sample cannot be read");
  inspect(l, m, n);
}
/* What that left of n samples at a node; freed by the caller. */
static nn_real *left_at(nn_model *m, int node, int n) {
  nn_real *x = allocate((size_t)n * size_at(m, node), sizeof *x);
  must(m, nn_read(m, node, x));
  return x;
}

/* What each layer with weights reads, and the output: the features at each depth. A layer that
 * copies, as dropout does here, goes by the name of the one before. */
static int depths_of(nn_model *m, int nodes[NN_MAX_NODES]) {
  int count = 0;
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    int from = n.inputs == 1 && n.params && strcmp(n.kind, "normalise") ? n.input[0] : -1;
    while (from > 0 && strstr("flatten dropout normalise", node_of(m, from).kind))
      from = node_of(m, from).input[0];
    if (from >= 0 && !(count && nodes[count - 1] == from)) nodes[count++] = from;
  }
  nodes[count++] = nn_output_node(m);
  return count;
}

static int by_value(const void *a, const void *b) {
  const nn_peak *p = a, *q = b;
  return p->value == q->value ? p->sample - q->sample : p->value < q->value ? 1 : -1;
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

static const char *look_filters(struct look *l) {
  nn_model *models[MOST_STAGES];
  if (!first_weights(l->m).value) return "the first layer is no convolution: it has no filters";
  show_filters(&l->page, l->m, "Filters of the model", "filters");
  if (l->stages < 2) return NULL;
  for (int i = 0; i < l->stages; i++) models[i] = l->stage[i].m;
  compare_filters(&l->page, models, l->stages, "The same filters over the training", l->heads);
  figure_end(&l->page, "filters-way", "]");
  return NULL;
}

/* ---- activations ---- */

static double zeros_of(const nn_moments *s) { return (double)s->zeros / (double)s->count; }

/* What a pass over the test images gathers of each node that computes something. */
struct gathered {
  nn_moments moments[NN_MAX_NODES];
  nn_histogram histogram[NN_MAX_NODES];
  nn_real *greatest[NN_MAX_NODES]; /* of each map, during the pass */
  int dead[NN_MAX_NODES];          /* maps that never are above 0 */
};

static nn_status gather_batch(void *user, nn_model *m, const nn_batch *b, int first) {
  struct gathered *g = user;
  (void)b;
  for (int i = 0; i <= nn_output_node(m); i++) {
    nn_histogram *h = &g->histogram[i];
    nn_moments s = {0};
    if (!g->greatest[i]) continue;
    if (first == 0) must(m, nn_observe(m, i, &s, NULL, NULL));
    if (first == 0 && h->low >= h->high) set_range(h, &s);
    must(m, nn_observe(m, i, &g->moments[i], h, g->greatest[i]));
  }
  return NN_OK;
}

/* like: what has the ranges of the histograms; NULL: they are those of the first batch. */
static void gather(const struct look *l, nn_model *m, struct gathered *g,
                   const struct gathered *like) {
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    if (!n.inputs || strstr("dropout flatten", n.kind)) continue;
    if (like) nn_histogram_range(&g->histogram[i], like->histogram[i].low, like->histogram[i].high);
    g->greatest[i] = allocate((size_t)maps_of(&n), sizeof *g->greatest[i]);
    for (int k = 0; k < maps_of(&n); k++) g->greatest[i][k] = -(nn_real)HUGE_VAL;
  }
  must(m, nn_survey(m, &l->d.test, gather_batch, g));
  for (int i = 0; i <= nn_output_node(m); i++) {
    const nn_node_info n = node_of(m, i);
    for (int k = 0; g->greatest[i] && k < maps_of(&n); k++) g->dead[i] += g->greatest[i][k] <= 0;
    free(g->greatest[i]);
  }
}

/* A node's histograms at every stage, each a column, a rectifier's zeros apart. */
static void show_histograms(struct look *l, const struct gathered *g, int node) {
  const nn_node_info n = node_of(l->m, node);
  const nn_histogram *h = &g->histogram[node];
  const int is_relu = strcmp(n.kind, "relu") == 0;
  const double width = (h->high - h->low) / NN_HISTOGRAM_BINS;
  const char *heads[MOST_STAGES + 2] = {"value|"};
  struct table t = {heads, NULL, 0};
  char csv[64];
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
  snprintf(csv, sizeof csv, "histograms-%s", n.name);
  show_table(&l->page, &t, n.name, csv, HEAT, NULL, 0);
}

static const char *look_activations(struct look *l) {
  static const char *const heads[] = {
      "layer", "step|count", "kind", "mean|", "variance|", "deviation|", "min|", "max|",
      "zeros|percent", "dead maps|count", "maps|count", "values|count", NULL};
  static const struct {
    const char *title, *csv;
    int how, column;
  } ways[] = {{"Activations", "activations", ON_STDOUT, 0},
              {"Mean of the activations", NULL, CURVES, 3}, {"Their deviation", NULL, CURVES, 5},
              {"Their maximum", NULL, CURVES, 7}, {"Share of zeros", NULL, CURVES, 8},
              {"Activations at each step", "activations-way", CLOSED, 0}};
  struct gathered *g = allocate((size_t)l->stages, sizeof *g);
  for (int k = 0; k < l->stages; k++) { /* the model first, for it sets the histograms' ranges */
    const int i = (l->own + k) % l->stages;
    gather(l, l->stage[i].m, &g[i], k ? &g[l->own] : NULL);
  }
  for (int way = 0; way < (l->stages > 1 ? 6 : 1); way++) {
    struct table t = {heads, NULL, 0};
    for (int i = way ? 0 : l->own; i < (way ? l->stages : l->own + 1); i++)
      for (int k = 0; k <= nn_output_node(l->m); k++) {
        const nn_node_info n = node_of(l->m, k);
        const nn_moments *s = &g[i].moments[k];
        const double step = l->stage[i].step < 0 ? (double)NAN : (double)l->stage[i].step;
        if (s->count)
          put_row(&t, "snsnnnnnnnin", n.name, step, n.kind, s->mean, nn_moments_variance(s),
                  nn_moments_deviation(s), s->min, s->max, zeros_of(s),
                  strcmp(n.kind, "relu") ? (double)NAN : g[i].dead[k], maps_of(&n),
                  (double)s->count);
      }
    show_table(&l->page, &t, ways[way].title, ways[way].csv, ways[way].how, NULL,
               ways[way].column);
  }
  for (int k = 0; k <= nn_output_node(l->m); k++)
    if (g->moments[k].count) show_histograms(l, g, k);
  free(g);
  return NULL;
}

/* ---- deconv and evolution ---- */

static const char no_convolution[] =
    "the net has no convolution, whose maps it could lead back to the pixels (look saliency shows "
    "what its pixels do)";

/* The nodes to look at: --layer, else each rectified convolution and, if `beyond`, the non-linear
 * layers after them and the output. */
static int deconv_nodes(const struct look *l, int beyond, int *nodes) {
  const char *name = l->typed->v[OPT_LAYER].text;
  int count = 0;
  for (int i = 0; i <= nn_output_node(l->m); i++) {
    const nn_node_info n = node_of(l->m, i);
    if (*name ? strcmp(n.name, name) == 0 && n.inputs
              : (is_bent(&n) && (beyond || n.rank == 3)) || (beyond && i == nn_output_node(l->m)))
      nodes[count++] = i;
  }
  if (*name && !count) fail("the model has no layer '%s' (nn info lists them)", name);
  return count;
}

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

/* The strongest activations of each map over the test images, or only some; freed by the caller. */
static nn_peak *strongest(const struct look *l, nn_model *m, int node, int per_map,
                          const int32_t *images, int count) {
  const nn_node_info n = node_of(m, node);
  const size_t size = (size_t)(maps_of(&n) * per_map);
  nn_peak *peaks = allocate(size, sizeof *peaks);
  nn_dataset d = l->d.test;
  int32_t only[AT_ONCE];
  for (int i = 0; i < count; i++) only[i] = d.only ? d.only[images[i]] : images[i];
  if (count) d.only = only, d.count = count;
  must(m, nn_peaks(m, &d, node, per_map, peaks));
  for (size_t i = 0; i < size && count; i++)
    if (peaks[i].sample >= 0) peaks[i].sample = images[peaks[i].sample];
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
  if (n) g.x = go_back(l, s->m, node, map, peaks, n, NN_RULE_DECONVNET);
  put_grid(&l->page, n ? &g : NULL);
  g.x = l->x, g.most = PIXELS, g.ink = "gray";
  if (most > 1) put_grid(&l->page, n ? &g : NULL);
}

/* Leads back what is strongest in each map at stages, a column each; of one stage alone, tiles. */
static const char *lead_back(struct look *l, int first, int end, int per_map, int beyond, int most,
                             const char *csv) {
  static const char *const heads[] = {
      "layer", "map|count", "step|count", "rank|count", "image|count", "class", "row|count",
      "column|count", "value|", "top|count", "left|count", "height|count", "width|count", NULL};
  const int one = whole_or(l->typed, OPT_MAP, -1);
  struct table t = {heads, NULL, 0};
  int nodes[NN_MAX_NODES], count = deconv_nodes(l, beyond, nodes);
  if (!has_kind(l->m, "conv")) return no_convolution;
  for (int i = 0; i < count; i++) {
    const nn_node_info n = node_of(l->m, nodes[i]);
    const int all = maps_of(&n), is_output = nodes[i] == nn_output_node(l->m);
    nn_peak *peaks[MOST_STAGES];
    int shown = 0;
    if (one >= all) fail("%s has %d maps: --map 0 .. %d", n.name, all, all - 1);
    pictures(&l->page, n.name, "signed", end - first > 1 ? l->heads : NULL, NULL);
    for (int s = first; s < end; s++)
      peaks[s] = strongest(l, l->stage[s].m, nodes[i], per_map, l->image,
                           is_set(l->typed, OPT_IMAGES) ? l->images : 0);
    for (int k = 0; k < 2 * all && shown < (n.rank == 3 ? most : most / 4); k++) {
      const int map = k % all, active = peaks[l->own][map * per_map].value > 0;
      char name[80];
      if (one < 0 ? active != (k < all) : k != one) continue;
      snprintf(name, sizeof name, is_output ? "%d: %s" : "%d", map, class_name(l->m, map).text);
      item(&l->page, name, active ? NULL : "not active", NULL);
      for (int s = first; s < end; s++)
        put_units(l, &l->stage[s], nodes[i], map, peaks[s] + map * per_map, per_map, &t);
      item_end(&l->page);
      shown++;
    }
    figure_end(&l->page, NULL, "]");
    for (int s = first; s < end; s++) free(peaks[s]);
  }
  show_table(&l->page, &t, "The units", csv, CLOSED, NULL, 0);
  return NULL;
}
static const char *look_deconv(struct look *l) {
  return lead_back(l, l->own, l->own + 1, STRONGEST, 1, 64, "deconv");
}
static const char *look_evolution(struct look *l) {
  if (l->stages < 2) return "there is but one model: only the folder of a run has more";
  return lead_back(l, 0, l->stages, 1, 0, 8, "evolution");
}

/* ---- single images ---- */

/* Begins an item of one of the images, which stays in l->x. */
static void image_item(struct look *l, int image) {
  item(&l->page, image_name(l, image).text, percent(share_of(l, image)).text, NULL);
  take(l, l->m, &image, 1);
  put_grid(&l->page, &(struct grid){.x = l->x, .dim = l->dim, .most = PIXELS, .ink = "gray"});
}
/* And that again, with a map [height,width] laid over it. */
static void put_over(struct look *l, const nn_real *map, int height, int width, const char *ink,
                     double most) {
  const int dim[3] = {1, height, width};
  const struct grid over = {.x = map, .dim = dim, .most = most, .ink = ink};
  put_grid(&l->page, &(struct grid){.x = l->x, .dim = l->dim, .most = PIXELS, .ink = "gray",
                                    .over = &over});
}

static const char *look_saliency(struct look *l) {
  static const nn_rule rules[] = {NN_RULE_GRADIENT, NN_RULE_GUIDED, NN_RULE_DECONVNET};
  const int is_rectified = has_kind(l->m, "relu"), plane = l->dim[1] * l->dim[2];
  const char *heads[] = {"image", "gradient, signed", "gradient, its size",
                         "guided back-propagation", "deconvnet", NULL};
  nn_real *size = allocate((size_t)plane, sizeof *size);
  if (!is_rectified) heads[3] = NULL;
  pictures(&l->page, "Saliency", "signed", heads, NULL);
  for (int i = 0; i < l->shown; i++) {
    const nn_peak from = {0, l->image[i], 0, 0};
    image_item(l, l->image[i]);
    for (int k = 0; k < (is_rectified ? 3 : 1); k++) {
      const nn_real *back = go_back(l, l->m, nn_output_node(l->m),
                                    label_of(&l->d.test, l->image[i]), &from, 1, rules[k]);
      put_grid(&l->page, &(struct grid){.x = back, .dim = l->dim});
      if (k) continue;
      greatest_size(back, l->dim[0], (size_t)plane, size);
      put_over(l, size, l->dim[1], l->dim[2], "hot", 0);
    }
    item_end(&l->page);
  }
  figure_end(&l->page, "saliency", "]");
  free(size);
  return NULL;
}

static int square_of(const struct look *l) {
  const int least = l->dim[1] < l->dim[2] ? l->dim[1] : l->dim[2];
  const int side = whole_or(l->typed, OPT_SQUARE, (least + 3) / 4);
  if (side > least) fail("--square %d is larger than the images of %d x %d", side, l->dim[1],
                         l->dim[2]);
  return side;
}

static const char *look_occlusion(struct look *l) {
  static const char *const heads[] = {"image", "probability of its class", "strongest map",
                                      "most probable class", NULL};
  int nodes[NN_MAX_NODES], h, w;
  const int rows = deconv_nodes(l, 0, nodes), depth = rows ? rows + 1 : depths_of(l->m, nodes);
  nn_occlusion_options o = {.side = square_of(l), .stride = 1, .fill = l->d.cover,
                            .node = nodes[depth > 1 ? depth - 2 : 0]};
  const nn_node_info n = node_of(l->m, o.node);
  char said[160];
  must(l->m, nn_occlusion_size(l->m, &o, &h, &w));
  nn_real *maps = allocate(3 * (size_t)(h * w), sizeof *maps);
  int32_t *best = allocate((size_t)(h * w), sizeof *best);
  snprintf(said, sizeof said, "The square has %d x %d pixels; the map is one of %s.", o.side,
           o.side, n.name);
  pictures(&l->page, "Occlusion", "gray", heads, said);
  for (int i = 0; i < l->shown; i++) {
    nn_peak *peaks = strongest(l, l->m, o.node, 1, &l->image[i], 1);
    o.label = label_of(&l->d.test, l->image[i]);
    o.map = 0;
    for (int k = 1; k < maps_of(&n); k++)
      if (peaks[k].value > peaks[o.map].value) o.map = k;
    image_item(l, l->image[i]);
    must(l->m, nn_occlusion(l->m, l->x, &o, maps, maps + h * w, best));
    for (int v = 0; v < h * w; v++) maps[2 * h * w + v] = (nn_real)best[v];
    put_over(l, maps, h, w, "cold", 0);
    put_over(l, maps + h * w, h, w, "cold", 0);
    put_over(l, maps + 2 * h * w, h, w, "classes", l->out.dim[0] - 1);
    item_end(&l->page);
    free(peaks);
  }
  json(&l->page.sections, "],'names':[");
  for (int k = 0; k < l->out.dim[0]; k++) json(&l->page.sections, ",$s", class_name(l->m, k).text);
  figure_end(&l->page, "occlusion", "]");
  free(best), free(maps);
  return NULL;
}

/* A recurrent net's hidden units over the steps, and its answer after each of them. */
static const char *look_states(struct look *l) {
  static const char *const heads[] = {"image", "hidden units (columns) over the steps (rows)",
                                      "probability of each class (columns) after each step", NULL};
  int node = nn_node_count(l->m) - 1;
  while (node >= 0 && !strstr("rnn lstm gru", node_of(l->m, node).kind)) node--;
  if (node < 0 || l->in.rank != 2) return "the net has no recurrent layer";
  const nn_node_info n = node_of(l->m, node);
  const int steps = l->in.dim[0], classes = l->out.dim[0];
  const int units[3] = {1, n.dim[0], n.dim[1]}, answers[3] = {1, steps, classes};
  nn_real *share = allocate((size_t)(steps * classes), sizeof *share);
  pictures(&l->page, "States", "gray", heads, NULL);
  for (int i = 0; i < l->shown; i++) {
    image_item(l, l->image[i]);
    nn_real *state = left_at(l->m, node, 1);
    for (int32_t length = 1; length <= steps; length++) { /* the same sample, cut short */
      const nn_batch b = {.n = 1, .x = {l->x}, .lengths = &length};
      must(l->m, nn_predict(l->m, &b, NULL, share + (length - 1) * classes));
    }
    put_grid(&l->page, &(struct grid){.x = state, .dim = units, .ink = "signed"});
    put_grid(&l->page, &(struct grid){.x = share, .dim = answers, .ink = "hot"});
    item_end(&l->page);
    free(state);
  }
  figure_end(&l->page, "states", "]");
  free(share);
  return NULL;
}

/* ---- invariance and correspondence ---- */

/* Rows for images moved by one amount: distances of their features, and probabilities. */
static void move_images(const struct look *l, const nn_real *still, int move, double amount,
                        const int nodes[2], nn_real *const plain[2], struct table t[2]) {
  const int n = l->images, plane = l->dim[1] * l->dim[2], classes = l->out.dim[0];
  const struct motion by = {0, move == 0 ? amount : 0, move == 1 ? 1 + amount / 100 : 1,
                            move == 2 ? amount : 0};
  const nn_batch b = {.n = n, .x = {l->x}};
  nn_real *p = allocate((size_t)(n * classes), sizeof *p);
  double mean = 0;
  for (int c = 0; c < n * l->dim[0]; c++)
    move_plane(still + c * plane, l->dim[1], l->dim[2], &by, l->d.cover[c % l->dim[0]],
               l->x + c * plane);
  inspect(l, l->m, n);
  for (int k = nodes[0] == nodes[1]; k < 2; k++) {
    nn_real *after = left_at(l->m, nodes[k], n);
    put_row(&t[0], "snn", node_of(l->m, nodes[k]).name, amount,
            mean_change(plain[k], after, size_at(l->m, nodes[k]), n));
    free(after);
  }
  must(l->m, nn_predict(l->m, &b, NULL, p));
  for (int i = 0; i < n; i++)
    mean += (double)p[i * classes + label_of(&l->d.test, l->image[i])] / n;
  put_row(&t[1], "snn", "mean", amount, mean);
  for (int i = 0; i < n && i < CHOSEN; i++)
    put_row(&t[1], "snn", image_name(l, l->image[i]).text, amount,
            (double)p[i * classes + label_of(&l->d.test, l->image[i])]);
  free(p);
}

static const char *look_invariance(struct look *l) {
  static const struct {
    const char *name, *axis;
    double least, most, step; /* of translation: shares of the image's width, and pixels */
  } moves[3] = {{"Translation", "pixels to the right|", -.25, .25, 1},
                {"Scale", "change of scale, %|", -40, 80, 10},
                {"Rotation", "degrees counter-clockwise|", -180, 180, 15}};
  int nodes[NN_MAX_NODES];
  const int depth = depths_of(l->m, nodes), n = l->images;
  const int ends[2] = {nodes[depth > 2], nodes[depth > 1 ? depth - 2 : 0]};
  take(l, l->m, l->image, n);
  nn_real *still = left_at(l->m, 0, n), *plain[2];
  for (int k = 0; k < 2; k++) plain[k] = left_at(l->m, ends[k], n);
  for (int move = 0; move < 3; move++) {
    const char *const heads[2][4] = {{"features of", moves[move].axis, "distance|", NULL},
                                     {"image", moves[move].axis, "probability|percent", NULL}};
    const double size = move == 0 ? l->dim[2] : 1, least = ceil(moves[move].least * size);
    struct table t[2] = {{heads[0], NULL, 0}, {heads[1], NULL, 0}};
    for (double x = least; x <= moves[move].most * size; x += moves[move].step)
      move_images(l, still, move, x, ends, plain, t);
    for (int k = 0; k < 2; k++) {
      char title[96], csv[32];
      snprintf(title, sizeof title, "%s: %s", moves[move].name,
               k ? "probability of the true class" : "distance of the features");
      snprintf(csv, sizeof csv, "invariance-%d", 2 * move + k + 1);
      show_table(&l->page, &t[k], title, csv, CURVES, NULL, 2);
    }
  }
  free(still), free(plain[0]), free(plain[1]);
  return NULL;
}

enum { PARTS = 6, ALIKE = 10 }; /* places of the square, the last one random; images of a class */

/* How differently the features of n images of a class change where the same part of all is covered,
 * added to the moments of each node. */
static void cover_part(const struct look *l, const int32_t *image, int n, int part, int side,
                       const int *nodes, int count, nn_random *r, nn_moments *to) {
  static const double places[PARTS - 1][2] = {{.5, .5}, {0, .5}, {1, .5}, {.5, 0}, {.5, 1}};
  const int room[2] = {l->dim[1] - side, l->dim[2] - side};
  nn_real *plain[NN_MAX_NODES];
  take(l, l->m, image, n);
  for (int k = 0; k < count; k++) plain[k] = left_at(l->m, nodes[k], n);
  for (int i = 0; i < n; i++) {
    int at[2];
    for (int k = 0; k < 2; k++)
      at[k] = part == PARTS - 1 ? (int)nn_random_below(r, (uint32_t)room[k] + 1)
                                : (int)(places[part][k] * room[k] + .5);
    cover_square(l->x + (size_t)i * size_of(&l->in), l->dim, at[0], at[1], side, l->d.cover);
  }
  inspect(l, l->m, n);
  for (int k = 0; k < count; k++) {
    const size_t size = size_at(l->m, nodes[k]);
    nn_real *covered = left_at(l->m, nodes[k], n);
    for (size_t i = 0; i < (size_t)n * size; i++) covered[i] = plain[k][i] - covered[i];
    const nn_real v = (nn_real)mean_sign_distance(covered, size, n);
    nn_moments_add(&to[k], &v, 1);
    free(covered), free(plain[k]);
  }
}

static const char *look_correspondence(struct look *l) {
  static const char *const names[PARTS] = {"middle", "top", "bottom", "left", "right",
                                           "a random place in each"};
  struct word words[NN_MAX_NODES];
  const char *heads[2 * NN_MAX_NODES + 2] = {"covered part"};
  struct table t = {heads, NULL, 0};
  int nodes[NN_MAX_NODES];
  const int count = depths_of(l->m, nodes) - 2, side = square_of(l); /* not image and answer */
  if (count < 1) return "the net has no layer before its answer";
  for (int k = 0; k < count; k++) {
    snprintf(words[k].text, sizeof words[k].text, "%s|", node_of(l->m, nodes[k + 1]).name);
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
      if (n > 1) cover_part(l, image, n, part, side, nodes + 1, count, &r, s);
    }
    put_text(&t, "%s", names[part]);
    for (int k = 0; k < count; k++) put_row(&t, "nn", s[k].mean, nn_moments_deviation(&s[k]));
  }
  show_table(&l->page, &t, "Correspondence of parts", "correspondence", ON_STDOUT, NULL, 0);
  return NULL;
}

/* ---- depth ---- */

/* The test accuracy of a linear classifier of what a node gives, standardised by a batch norm (it
 * is linear, too); the net below it stays as it is. path: of the net's weights, or "". The fewer
 * the features, the larger the weights that a sure answer takes, and so the rate. */
static double probe_depth(const struct look *l, const nn_node_info *n, const struct data *d,
                          const char *path) {
  nn_model *m = open_net(l, n->name);
  nn_fit_options fit = nn_fit_default();
  nn_optimizer adam = nn_adam(.3 / sqrt((double)size_of(n)));
  nn_evaluation e;
  int x = nn_node_count(m) - 1;
  fit.epochs = 0;
  fit.steps = is_set(l->typed, OPT_STEPS) ? (int64_t)number_of(l->typed, OPT_STEPS)
                                          : 3 * ((d->train.count + AT_ONCE - 1) / AT_ONCE);
  adam.schedule.kind = NN_COSINE;
  adam.schedule.total = fit.steps;
  nn_set_learning(m, -1, 0, 0);
  if (n->rank > 1) x = nn_flatten(m, x);
  nn_cross_entropy(m, nn_linear(m, nn_batch_norm(m, x), d->classes));
  nn_set_optimizer(m, &adam);
  build_net(l, m, path);
  must(m, nn_fit(m, &d->train, &fit));
  must(m, nn_evaluate(m, &d->test, &e));
  nn_destroy(m);
  return e.accuracy;
}

static const char *look_depth(struct look *l) {
  static const char *const heads[] = {"features", "number|count", "this net|percent",
                                      "untrained net|percent", "other images|percent", NULL};
  static const char *const axes[] = {"net", "layers with weights passed|", "accuracy|percent",
                                     NULL};
  struct table t = {heads, NULL, 0}, curve = {axes, NULL, 0};
  struct data other;
  char name[128];
  int nodes[NN_MAX_NODES];
  const int depth = depths_of(l->m, nodes);
  data_other(&other, &l->d, l->typed, l->dim);
  if (is_set(l->typed, OPT_MINIATURE)) data_thin(&other);
  snprintf(name, sizeof name, "this net on %s", other.name);
  const char *const names[3] = {"this net", "the same net untrained", name};
  for (int k = 0; k < depth; k++) {
    const nn_node_info n = node_of(l->m, nodes[k]);
    put_text(&t, "%d: %s", k, k ? n.name : "the image");
    put_number(&t, (double)size_of(&n));
    for (int way = 0; way < 3; way++) {
      const double v = probe_depth(l, &n, way == 2 ? &other : &l->d, way == 1 ? "" : l->path);
      put_number(&t, v);
      put_row(&curve, "snn", names[way], (double)k, v);
    }
  }
  show_table(&l->page, &curve, "Test accuracy of a linear classifier", NULL, CURVES, NULL, 2);
  show_table(&l->page, &t, "What each layer knows", "depth", ON_STDOUT, NULL, 0);
  data_free(&other);
  return NULL;
}

/* ---- confusion ---- */

static const char *look_confusion(struct look *l) {
  static const char *const heads[] = {"class", "images|count", "right|count", "recall|percent",
                                      "precision|percent", NULL};
  enum { WORST = 24 };
  const int classes = l->out.dim[0];
  struct table t = {heads, NULL, 0};
  nn_peak *wrong_ones = allocate((size_t)l->d.test.count, sizeof *wrong_ones);
  int worst[WORST], count = 0, shown = 0;
  double *counts = show_confusion(&l->page, l->m, &l->d.test);
  for (int i = 0; i < classes; i++) {
    double row = 0, column = 0;
    const double own = counts[i * classes + i];
    for (int k = 0; k < classes; k++)
      row += counts[i * classes + k], column += counts[k * classes + i];
    put_row(&t, "snnnn", class_name(l->m, i).text, row, own, row > 0 ? own / row : (double)NAN,
            column > 0 ? own / column : (double)NAN);
  }
  show_table(&l->page, &t, "Confusion and mistakes", "classes", ON_STDOUT, NULL, 0);
  for (int i = 0; i < l->d.test.count; i++)
    if (l->found[i] != label_of(&l->d.test, i))
      wrong_ones[count++] = (nn_peak){(nn_real)-share_of(l, i), i, 0, 0};
  qsort(wrong_ones, (size_t)count, sizeof *wrong_ones, by_value);
  for (; shown < WORST && shown < count; shown++) worst[shown] = wrong_ones[shown].sample;
  if (shown)
    show_answers(&l->page, "The worst mistakes", l->m, &l->d.test, worst, shown, "mistakes");
  free(counts), free(wrong_ones);
  return NULL;
}

/* ---- the command ---- */

/* ablation or kernels: nets trained anew from a run's options. */
static const char *look_anew(struct look *l) {
  const char *name = l->typed->operand[0];
  const int is_ablation = strcmp(name, "ablation") == 0;
  const int which = !is_ablation ? KERNELS : is_recurrent(&l->s) ? ABLATE_CELLS
                    : is_cnn(&l->s) ? ABLATE_CNN : ABLATE_MLP;
  char base[PATH_SIZE];
  if (!l->of_run) return "nets are trained anew from a run's options: give the folder of a run";
  if (which == KERNELS && !is_cnn(&l->s)) return no_convolution;
  path_of(base, "%s/%s", l->page.folder, name);
  return train_variants(l->typed, &l->s, &l->d, which, base, &l->page, name) ? "" : NULL;
}

/* takes: what it has of the options that mean something to some looks only. */
static const struct {
  const char *name, *title, *takes;
  const char *(*look)(struct look *l); /* NULL, or why it makes no sense; "": stopped */
} looks[] = {
    {"filters", "The first layer's filters", "", look_filters},
    {"activations", "Activations", "", look_activations},
    {"deconv", "What drives each map: the deconvnet", "layer map images", look_deconv},
    {"evolution", "How maps evolve", "layer map", look_evolution},
    {"invariance", "Invariance to moves, scale and turns", "images", look_invariance},
    {"occlusion", "What the answer rests on: occlusion", "layer images square", look_occlusion},
    {"saliency", "Saliency: the gradient of the input", "images", look_saliency},
    {"states", "A recurrent net, step by step", "images", look_states},
    {"correspondence", "Correspondence of parts", "square seed", look_correspondence},
    {"depth", "What each layer knows: a linear classifier at each depth", "steps", look_depth},
    {"confusion", "Confusion and mistakes", "", look_confusion},
    {"ablation", "Ablation: layers removed or resized", "steps seed seeds", look_anew},
    {"kernels", "Windows of the first layer", "steps seed seeds", look_anew}};
enum { LOOKS = sizeof looks / sizeof *looks, IN_ALL = 11 };

/* Refuses options that none of the looks from `first` up to `end` takes. */
static void check_taken(const struct settings *typed, int first, int end) {
  static const enum option some[] = {OPT_LAYER, OPT_MAP, OPT_IMAGES, OPT_SQUARE, OPT_STEPS,
                                     OPT_SEED, OPT_SEEDS};
  for (size_t k = 0; k < sizeof some / sizeof *some; k++) {
    int is_taken = !typed->v[some[k]].given;
    for (int i = first; i < end; i++)
      is_taken |= strstr(looks[i].takes, options[some[k]].name) != NULL;
    if (!is_taken) refuse(typed, "--%s: look %s does not take it", options[some[k]].name,
                          typed->operand[0]);
  }
  if (is_set(typed, OPT_MAP) && !is_set(typed, OPT_LAYER))
    refuse(typed, "--map goes only with --layer, whose map it is");
}

static int by_step(const void *a, const void *b) {
  const struct stage *s = a, *t = b;
  return (s->step > t->step) - (s->step < t->step);
}

struct snapshots {
  struct stage *at;
  size_t count;
};
static void add_snapshot(void *user, const char *path) {
  struct snapshots *s = user;
  char digits[24];
  double step;
  if (sscanf(name_of(path), "step-%15[0-9].nn", digits) != 1 || !read_number(digits, &step)) return;
  s->at = grow(s->at, s->count, sizeof *s->at);
  s->at[s->count++] = (struct stage){(int64_t)step, NULL};
}

/* The start, snapshots and best model of a run, by their steps; of many snapshots every second, or
 * as many as there is room for, the last one always. */
static void find_stages(struct look *l, const char *folder, int64_t best) {
  enum { ROOM = MOST_STAGES - 2 };
  struct snapshots all = {NULL, 0};
  char path[PATH_SIZE];
  path_of(path, "%s/snapshots", folder);
  if (is_folder(path)) each_file(path, add_snapshot, &all);
  if (all.count) qsort(all.at, all.count, sizeof *all.at, by_step);
  for (size_t i = 0; i < all.count; i++) {
    struct stage *s = &all.at[i];
    if (s->step == best || (all.count - 1 - i) % ((all.count + ROOM - 1) / ROOM)) continue;
    snapshot_path(folder, s->step, path);
    s->m = stage_model(l, path);
    if (s->m) l->stage[l->stages++] = *s;
  }
  l->stage[l->stages++].m = stage_model(l, "");
  qsort(l->stage, (size_t)l->stages, sizeof *l->stage, by_step);
  while (l->stage[l->own].m != l->m) l->own++;
  free(all.at);
}

/* The images for a model that does not tell its own: by what it takes, or by --set. */
static void guess_settings(struct look *l) {
  const char *set = l->typed->v[OPT_SET].text;
  if (!*set) set = l->dim[1] == 28 && l->dim[0] == 1 ? "mnist" : "cifar10";
  note("%s does not tell its images: those of nn %s (--set chooses)", l->path, set);
  set_standards(&l->s, find_command(set));
  if (l->dim[0] == 1) give(&l->s, OPT_GRAY, "yes");
  if (l->dim[1] == 28) give(&l->s, OPT_SIZE, "28");
}

/* The images, and a word about them if the model has learned from others, which its note names. */
static void open_images(struct look *l, const char *learned) {
  const int quick = is_set(l->typed, OPT_MINIATURE);
  const nn_dataset *d = &l->d.test;
  char crc[16];
  data_find(&l->d, &l->s, 1);
  snprintf(crc, sizeof crc, "\n%08lx", (unsigned long)nn_crc32(l->d.crc, "part", 4));
  if (quick || (learned && strstr(learned, crc))) data_thin(&l->d);
  snprintf(crc, sizeof crc, "\n%08lx", (unsigned long)l->d.crc);
  if (learned && !quick && !strstr(learned, crc))
    note("%s was trained on other data (%.*s) than %s", l->path, (int)strcspn(learned, "\n"),
         learned, l->d.name);
  tell_data(&l->d, is_set(l->typed, OPT_QUIET));
  if (l->dim[0] != d->channels || l->dim[1] != d->height || l->dim[2] != d->width ||
      l->d.classes > l->out.dim[0])
    fail("%s takes %s, the images of %s are %d x %d x %d", l->path,
         shape_of(l->in.dim, l->in.rank).text, l->d.name, d->channels, d->height, d->width);
}

/* The model, its run's settings and its images. words: what the settings point to. */
static void open_look(struct look *l, char **words) {
  const char *path = l->typed->operand[1];
  char checkpoint[PATH_SIZE];
  l->of_run = is_folder(path);
  if (l->of_run) refuse_old(path);
  path_of(l->path, l->of_run ? "%s/best.nn" : "%s", path);
  path_of(checkpoint, l->of_run ? "%s/last.nn" : "%s", path);
  if (l->of_run && !file_exists(l->path))
    fail("%s is missing: %s is neither the folder of a run nor a model's file", l->path, path);
  const nn_load_result last = load_model(checkpoint, NULL); /* its notes are the run's */
  const int known = noted_settings(last.model, checkpoint, &l->s, words);
  l->m = stage_model(l, l->path);
  l->in = node_of(l->m, 0);
  l->out = node_of(l->m, nn_output_node(l->m));
  if (l->in.rank < 2 || l->out.rank != 1) fail("%s is no net that classifies images", path);
  l->dim[0] = l->in.rank == 3 ? l->in.dim[0] : 1;
  l->dim[1] = l->in.dim[l->in.rank - 2], l->dim[2] = l->in.dim[l->in.rank - 1];
  nn_set_note(l->m, "classes", nn_note(last.model, "classes"));
  if (!known) l->of_run = 0, guess_settings(l);
  else if (is_set(l->typed, OPT_SET)) fail("--set is for a model that does not tell its images");
  if (l->typed->v[OPT_DATA].given) l->s.v[OPT_DATA] = l->typed->v[OPT_DATA];
  l->s.v[OPT_ISA] = l->typed->v[OPT_ISA], l->s.v[OPT_THREADS] = l->typed->v[OPT_THREADS];
  if (!l->typed->v[OPT_SEED].given) l->typed->v[OPT_SEED] = l->s.v[OPT_SEED];
  open_images(l, known ? nn_note(last.model, "data") : NULL);
  int64_t step = -1;
  if (last.is_checkpoint) step = l->of_run ? last.progress.best_step : last.progress.step;
  else if (l->of_run) step = (int64_t)noted(nn_note(last.model, "result"), "best_step", -1);
  l->stage[l->stages++] = (struct stage){step, l->m};
  if (l->of_run && step > 0) find_stages(l, path, step);
  nn_destroy(last.model);
  for (int i = 0; i < l->stages; i++) {
    snprintf(l->name[i].text, sizeof l->name[i].text, "%lld", (long long)l->stage[i].step);
    l->heads[i] = l->name[i].text;
  }
}

/* Classes and probabilities of all test images. */
static nn_status classify(void *user, nn_model *m, const nn_batch *b, int first) {
  const struct look *l = user;
  return nn_predict(m, b, l->found + first, l->share + first * l->out.dim[0]);
}

/* Those of --images; else one of each of some classes, which is taken for what it is where there is
 * such a one, and then more that are. */
static void choose_images(struct look *l) {
  const nn_dataset *test = &l->d.test;
  const char *at = l->typed->v[OPT_IMAGES].text;
  for (char *end; *at; at = end + (*end == ',')) {
    const long number = strtol(at, &end, 10);
    if (end == at || (*end && *end != ',') || number < 0 || number >= test->count)
      fail("--images: '%.20s' is not the number of a test image, 0 .. %d%s", at,
           test->count - 1, is_set(l->typed, OPT_MINIATURE) ? " with --quick" : "");
    if (l->images == AT_ONCE) fail("--images: more than %d", AT_ONCE);
    l->image[l->images++] = (int32_t)number;
  }
  const int chosen = !l->images;
  for (int k = 0; chosen && k < l->out.dim[0] && l->images < CHOSEN; k++) {
    int best = -1;
    for (int i = 0; i < test->count; i++)
      if (label_of(test, i) == k && (best < 0 || (l->found[i] == k && l->found[best] != k)))
        best = i;
    if (best >= 0) l->image[l->images++] = best;
  }
  l->shown = l->images;
  for (int i = 0; chosen && i < test->count && l->images < AT_ONCE; i++) {
    int is_in = l->found[i] != label_of(test, i);
    for (int k = 0; k < l->shown; k++) is_in |= l->image[k] == i;
    if (!is_in) l->image[l->images++] = i;
  }
}

/* nn look WHAT RUN|MODEL */
static int look_command(struct settings *typed) {
  struct look *l = allocate(1, sizeof *l);
  struct page *p = &l->page;
  struct text names = {0}, head = {0}, line = {0};
  char why[256], *words = NULL;
  const char *reason = NULL, *what = typed->operand[0], *model = typed->operand[1];
  for (int i = 0; i < LOOKS; i++) text_add(&names, "%s|", looks[i].name);
  text_put(&names, "all");
  const int which = read_choice(names.data, what, why), quick = is_set(typed, OPT_MINIATURE);
  if (which < 0) refuse(typed, "'%s' %s", what, why);
  const int first = which < LOOKS ? which : 0, end = which < LOOKS ? which + 1 : IN_ALL;
  check_taken(typed, first, end);
  complete_isa(typed);
  l->typed = typed;
  open_look(l, &words);
  l->x = allocate(AT_ONCE * size_of(&l->in), sizeof *l->x);
  l->found = allocate((size_t)l->d.test.count, sizeof *l->found);
  l->share = allocate((size_t)l->d.test.count * size_of(&l->out), sizeof *l->share);
  must(l->m, nn_survey(l->m, &l->d.test, classify, l));
  choose_images(l);
  if (is_set(typed, OPT_OUT)) path_of(p->folder, "%s", typed->v[OPT_OUT].text);
  else if (is_folder(model)) path_of(p->folder, "%s/look%s", model, quick ? "-quick" : "");
  else path_of(p->folder, "%.*s-look", (int)strlen(model) - 3 * ends_with(model, ".nn"), model);
  if (is_set(typed, OPT_OUT)) need_no_run(p->folder);
  make_folders(p->folder);
  for (int i = first; i < end && !(reason && !*reason); i++) {
    const double start = now();
    const size_t before = p->sections.size;
    section(p, looks[i].name, looks[i].title, NULL, 0);
    reason = looks[i].look(l);
    if (reason) p->sections.size = before, p->open = before > 0 && p->open;
    if (which == LOOKS && reason) note("%s: left out: %s", looks[i].name, reason);
    else if (!reason && !is_set(typed, OPT_QUIET))
      fprintf(stderr, "%s: %s\n", looks[i].name, duration(now() - start).text);
  }
  const int stopped = reason && !*reason ? stop_signal : 0;
  if (which < LOOKS && reason && !stopped) fail("look %s: %s", what, reason);
  if (!stopped) {
    const double step = (double)l->stage[l->own].step;
    text_add(&line, "%s: ", l->path);
    if (step >= 0) text_add(&line, "step %s, ", grouped(step).text);
    text_add(&line, "%s test images of %s%s", grouped(l->d.test.count).text, l->d.name,
             quick ? " (--quick)" : "");
    json_key(&head, "summary", line.data);
    if (l->of_run && !is_set(typed, OPT_OUT))
      json(&head, ",'links':[['the run','../report.html']]");
    line.size = 0;
    text_add(&line, "Inside %s", l->path);
    snprintf(why, sizeof why, "%s.html", what);
    page_save(p, why, line.data, head.data);
    printf("report: %s/%s\n", p->folder, why);
  }
  for (int i = 0; i < l->stages; i++) nn_destroy(l->stage[i].m);
  data_free(&l->d);
  text_free(&names), text_free(&head), text_free(&line);
  free(l->found), free(l->share), free(l->x), free(words);
  free(l);
  return stopped ? 128 + stopped : 0;
}

/* ======================================= @@COMMANDS ========================================= */

/* nn data: which images a training command would use. */
static int data_command(const struct settings *s) {
  static const char *const names[] = {"mnist", "cifar10"};
  for (int k = 0; k < 2; k++) {
    struct settings of = *s;
    struct data d;
    struct text t = {0};
    of.command = find_command(names[k]);
    if (data_find(&d, &of, 0)) text_data(&t, &d);
    else if (named_place(s)) text_add(&t, "nothing in %s", named_place(s));
    else text_add(&t, "drawn by the program; data/fetch %s downloads real images", names[k]);
    printf("%-8s %s\n", names[k], t.data);
    text_free(&t);
    data_free(&d);
  }
  return 0;
}

/* A model's file: the best of a run's folder. */
static void model_path(char path[PATH_SIZE], const char *operand) {
  path_of(path, is_folder(operand) ? "%s/best.nn" : "%s", operand);
  if (is_folder(operand) && !file_exists(path)) refuse_old(operand);
}

static int info_command(const struct settings *s) {
  static const char *const names[] = {"SGD", "Adagrad", "RMSprop", "Adam", "AdamW"};
  static const char *const heads[] = {"name", "kind", "from", "output", "parameters|count",
                                      "multiply-adds|count", NULL};
  struct table t = {heads, NULL, 0};
  struct text out = {0};
  nn_optimizer o = nn_sgd(0, 0);
  nn_config c = nn_config_default();
  char path[PATH_SIZE];
  const char *key;
  double macs = 0;
  size_t count;
  model_path(path, s->operand[0]);
  c.batch = c.inference = 1;
  nn_load_result loaded = load_model(path, &c);
  const size_t to_classify = nn_memory(loaded.model);
  nn_destroy(loaded.model);
  c.inference = 0;
  loaded = load_model(path, &c);
  nn_model *m = loaded.model;
  const nn_real *all = nn_parameters(m, &count);
  printf("%s: %s, %s parameters, CRC-32 %08lx\n", path,
         loaded.is_checkpoint ? "checkpoint" : "model", grouped((double)count).text,
         (unsigned long)nn_crc32(0, all, count * sizeof *all));
  nn_get_optimizer(m, &o);
  if (loaded.is_checkpoint)
    printf("at step %lld, %lld samples into epoch %lld; %s, learning rate %g\n",
           (long long)loaded.progress.step, (long long)loaded.progress.place,
           (long long)loaded.progress.epoch + 1, names[o.kind], o.rate);
  for (int i = 0; (key = nn_note_key(m, i)) != NULL; i++) {
    if (find_word("log|state", key, NULL) >= 0) continue;
    printf("%s: ", key);
    for (const char *v = nn_note(m, key); *v; v++)
      printf(*v == '\n' ? ", " : "%c", iscntrl((unsigned char)*v) ? '?' : *v);
    putchar('\n');
  }
  for (int i = 0; i < nn_node_count(m); i++) {
    const nn_node_info n = node_of(m, i);
    put_row(&t, "ss", n.name, n.kind);
    put_text(&t, "%s%s%s", n.inputs ? node_of(m, n.input[0]).name : "", n.inputs > 1 ? ", " : "",
             n.inputs > 1 ? node_of(m, n.input[1]).name : "");
    put_row(&t, "snn", shape_of(n.dim, n.rank).text, (double)n.params, n.macs);
    macs += n.macs;
  }
  text_table(&out, &t);
  printf("%s%s multiply-adds and %s bytes of memory to classify one sample\n"
         "%s bytes of memory to train it a sample at a time\n", out.data, grouped(macs).text,
         grouped((double)to_classify).text, grouped((double)nn_memory(m)).text);
  text_free(&out), table_free(&t);
  nn_destroy(m);
  return 0;
}

/* ---- predict ---- */

struct predictor {
  const struct settings *s;
  nn_model *m;
  nn_node_info in;
  int dim[3], classes, several; /* several: more than one file */
  int in_folder, right, labelled;
  char fitted[400]; /* the first picture that was not of the model's size, and its own */
};

enum { BATCH = 256 };

/* A line for each image of a set. */
static void predict_set(struct predictor *p, const nn_dataset *d, const char *name) {
  const int top = whole_of(p->s, OPT_TOP) < p->classes ? whole_of(p->s, OPT_TOP) : p->classes;
  const size_t each = (size_t)(p->dim[0] * p->dim[1] * p->dim[2]);
  nn_real *x = allocate(BATCH * (each + (size_t)top), sizeof *x), *share = x + BATCH * each;
  int32_t index[BATCH], *found = allocate(BATCH * (size_t)top, sizeof *found);
  for (int i = 0; i < d->count; i++) {
    const int k = i % BATCH; /* its place in the batch, which is predicted at its first */
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = d->count - i < BATCH ? d->count - i : BATCH;
    b.x[0] = x;
    for (int n = 0; n < b.n && k == 0; n++) index[n] = i + n;
    if (k == 0 && nn_gather(d, index, b.n, NULL, NULL, x, NULL)) fail("%s: cannot be read", name);
    if (k == 0) must(p->m, nn_predict_top(p->m, &b, top, found, share));
    if (isnan(share[k * top])) fail("%s: the answer for image %d is not a number", name, i);
    if (d->count > 1) printf("%s[%d]", p->several ? name : "", i);
    else printf("%s", name);
    for (int c = k * top; c < (k + 1) * top; c++)
      printf("  %s %.4f", class_name(p->m, found[c]).text, (double)share[c]);
    if (d->labels) printf("  is %s", class_name(p->m, d->labels[i]).text);
    putchar('\n');
    p->labelled += d->labels != NULL;
    p->right += d->labels && d->labels[i] == found[k * top];
  }
  free(x), free(found);
}

/* Predicts a file that is a picture, an npy, an IDX or a CIFAR-10 file, by its beginning. */
static void predict_file(void *user, const char *name) {
  struct predictor *p = user;
  nn_array bytes = read_bytes(name), a, labels;
  const int begins = bytes.count ? *(const uint8_t *)bytes.data : -1, *dim = p->dim;
  const int is_cifar = ends_with(name, ".bin");
  const char *given = p->s->v[OPT_LABELS].text;
  nn_transform middle = {0};
  nn_dataset d;
  nn_message why;
  int was[2] = {dim[1], dim[2]};
  memset(&labels, 0, sizeof labels);
  if (is_cifar || begins == 0 || begins == 0x93) {
    if (!is_cifar) a = parse_array(&bytes, name);
    else if (nn_cifar10_parse(bytes.data, bytes.count, dim[0] == 1, NULL, &a, &labels, &why))
      fail("%s: %s", name, why.text);
    if (a.count == 0) fail("%s: no images are in it", name);
    if (a.rank == 2 && p->in.rank > 1 && a.dim[0] == (size_t)dim[1] && a.dim[1] == (size_t)dim[2])
      a.dim[2] = a.dim[1], a.dim[1] = a.dim[0], a.dim[0] = 1, a.rank = 3; /* one image */
    if (*given) {
      nn_array own = read_bytes(given);
      nn_array_free(&labels);
      labels = parse_array(&own, given);
      nn_array_free(&own);
    }
    if (nn_dataset_from_arrays(&a, labels.data ? &labels : NULL, &d, &why))
      fail("%s: %s", name, why.text);
    if (d.label_size > 1) fail("%s: not one label for each image", given);
    for (int i = 0; d.labels && i < d.count; i++)
      if (d.labels[i] < 0 || d.labels[i] >= p->classes)
        fail("%s: label %ld of sample %d is not 0 .. %d", *given ? given : name, (long)d.labels[i],
             i, p->classes - 1);
    middle.crop_height = dim[1], middle.crop_width = dim[2];
    if (is_cifar) nn_dataset_transform(&d, &middle, NULL);
  } else if (p->in.rank == 1 || !read_picture(&bytes, p->dim, &d, was)) {
    if (!p->in_folder) fail("%s is no picture, npy, IDX or CIFAR-10 file", name);
    nn_array_free(&bytes);
    note("%s is no picture, and left out", name);
    return;
  }
  if (d.channels != dim[0] || d.height != dim[1] || d.width != dim[2])
    fail("%s: its images are %d x %d x %d, the model takes %s", name, d.channels, d.height, d.width,
         shape_of(p->in.dim, p->in.rank).text);
  const size_t each = (size_t)(dim[0] * dim[1] * dim[2]);
  for (size_t i = 0; d.values && i < (size_t)d.count * each; i++)
    if (!isfinite(d.values[i]))
      fail("%s: image %zu holds NaN, an infinite number or one too large", name, i / each);
  if (!*p->fitted && (was[0] != dim[1] || was[1] != dim[2]))
    snprintf(p->fitted, sizeof p->fitted, "%.300s has %d x %d pixels", name, was[1], was[0]);
  predict_set(p, &d, name);
  nn_dataset_free(&d);
  nn_array_free(&bytes);
}

static int predict_command(struct settings *s) {
  struct predictor p;
  nn_node_info out;
  char path[PATH_SIZE];
  memset(&p, 0, sizeof p);
  p.s = s;
  complete_isa(s);
  nn_config c = config_of(s);
  c.batch = BATCH;
  c.inference = 1;
  model_path(path, s->operand[0]);
  p.m = load_model(path, &c).model;
  if (nn_get_node(p.m, 0, &p.in) || nn_get_node(p.m, nn_output_node(p.m), &out) || out.rank != 1)
    fail("%s is not a model that classifies images", path);
  p.dim[0] = p.in.rank == 3 ? p.in.dim[0] : 1;
  p.dim[1] = p.in.rank > 1 ? p.in.dim[p.in.rank - 2] : 1;
  p.dim[2] = p.in.dim[p.in.rank - 1];
  p.classes = out.dim[0];
  p.several = s->operands > 2 || is_folder(s->operand[1]);
  if (is_set(s, OPT_LABELS) && p.several) refuse(s, "--labels goes with one file of images");
  for (int i = 1; i < s->operands; i++)
    if ((p.in_folder = is_folder(s->operand[i])) != 0)
      each_file(s->operand[i], predict_file, &p);
    else predict_file(&p, s->operand[i]);
  if (p.labelled)
    printf("accuracy %s (%d of %d)\n", percent((double)p.right / p.labelled).text, p.right,
           p.labelled);
  const char *data = nn_note(p.m, "data");
  if (*p.fitted)
    note("%s: pictures are cut and scaled to %d x %d", p.fitted, p.dim[2], p.dim[1]);
  if (data) note("%s was trained on %.*s", path, (int)strcspn(data, "\n"), data);
  nn_destroy(p.m);
  return 0;
}

/* Runs a command. Its exit status. */
static int run(const struct command *c, int count, char **argv, const char **words) {
  const char *const *typed = (const char *const *)argv;
  struct settings s;
  parse(&s, c, count - 2, words + 2, NULL);
  s.program = argv[0];
  if (c->bit == DEMO) return demo_command(&s, typed);
  if (c->bit == EXPERIMENT) return experiment_command(&s, typed);
  if (c->bit == SOURCES) return data_command(&s);
  if (c->bit == INFO) return info_command(&s);
  if (c->bit == PREDICT) return predict_command(&s);
  if (c->bit == LOOK) return look_command(&s);
  int several = whole_of(&s, OPT_SEEDS) > 1 || is_set(&s, OPT_DONE);
  for (int o = 0; o < OPTION_COUNT; o++) several |= s.v[o].several;
  return several ? sweep_command(&s, typed) : run_command(&s);
}

int main(int count, char **argv) {
  const char *name = count > 1 ? argv[1] : "";
  const char **words = allocate((size_t)count + 1, sizeof *words);
  const int helps = find_word("--help|-h|help", name, NULL) >= 0;
  struct word meant = {""};
  int result = 0;
  ignore_signals();
  for (int i = 0; i < count; i++) words[i] = argv[i];
  if (count < 2) wrong("", "which command? %s", command_names);
  if (helps && count > 2) name = argv[2];
  const int k = find_word(command_names, name, &meant);
  if (strcmp(name, "--version") == 0) puts("nn " NN_VERSION);
  else if (helps && count == 2) help_all();
  else if (k < 0) wrong("", "there is no command '%s'%s", name, meant.text);
  else if (helps) help_command(&commands[k]);
  else result = run(&commands[k], count, argv, words);
  free(words);
  if (fflush(stdout) || ferror(stdout)) fail("the results cannot be written: %s", strerror(errno));
  return result;
}
