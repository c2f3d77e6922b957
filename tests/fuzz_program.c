/* The readers of main.c: the images of `nn predict`, and what a model's notes tell of its run. Any
 * bytes give a result or one line on stderr, without a crash, and without more memory than a few
 * times the file. main.c is part of this file, with files, exit and memory of the test's own; nn.c
 * has to be compiled with -include tests/hooks.h -Dfopen=fuzz_fopen. See fuzz.h.
 *
 * The first byte of an input is not the file's: it chooses among the models and files. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory: counted, and all that is left after an early end is freed ---- */

typedef struct Block {
  struct Block *before, *after;
  size_t size;
  double body; /* aligned for anything */
} Block;
static Block first_block = {&first_block, &first_block, 0, 0};
static size_t live_bytes, most_bytes;

static void *fuzz_malloc(size_t size) {
  Block *b = size < SIZE_MAX - sizeof *b ? (Block *)malloc(sizeof *b + size) : NULL;
  if (!b) return NULL;
  b->size = size;
  b->before = &first_block, b->after = first_block.after;
  b->before->after = b->after->before = b;
  live_bytes += size;
  if (live_bytes > most_bytes) most_bytes = live_bytes;
  return &b->body;
}
static void fuzz_free(void *p) {
  if (!p) return;
  Block *b = (Block *)(void *)((char *)p - offsetof(Block, body));
  b->before->after = b->after, b->after->before = b->before;
  live_bytes -= b->size;
  free(b);
}
static void *fuzz_calloc(size_t count, size_t size) {
  void *p = size && count > SIZE_MAX / size ? NULL : fuzz_malloc(count * size);
  return p ? memset(p, 0, count * size) : NULL;
}
static void *fuzz_realloc(void *p, size_t size) {
  void *q = fuzz_malloc(size);
  if (p && q) {
    const Block *b = (const Block *)(void *)((char *)p - offsetof(Block, body));
    memcpy(q, p, b->size < size ? b->size : size);
    fuzz_free(p);
  }
  return q;
}
void *test_hook_malloc(size_t size);
void test_hook_free(void *p);
void *test_hook_malloc(size_t size) { return fuzz_malloc(size); }
void test_hook_free(void *p) { fuzz_free(p); }

/* ---- files: some names, with these bytes ---- */

static struct {
  const char *name;
  const void *data;
  size_t size;
} files[4];
FILE *fuzz_fopen(const char *path, const char *mode);
FILE *fuzz_fopen(const char *path, const char *mode) {
  for (int i = 0; i < 4 && mode[0] == 'r'; i++)
    if (files[i].name && strcmp(files[i].name, path) == 0)
      return fmemopen((void *)(uintptr_t)files[i].data, files[i].size, "rb");
  errno = ENOENT;
  return NULL;
}
static void set_file(int i, const char *name, const void *data, size_t size) {
  files[i].name = name, files[i].data = data, files[i].size = size;
}

/* ---- the program, ending where it says so ---- */

static jmp_buf ended;
#ifdef __GNUC__
__attribute__((noreturn))
#endif
static void fuzz_exit(int status) {
  longjmp(ended, status ? status : 3);
}
static char said[16384]; /* on stderr */
static FILE *fuzz_stderr, *fuzz_stdout;

#undef _DEFAULT_SOURCE
#undef stderr
#undef stdout
#define stderr fuzz_stderr
#define stdout fuzz_stdout
#define printf(...) fprintf(fuzz_stdout, __VA_ARGS__)
#define putchar(c) putc(c, fuzz_stdout)
#define puts(s) fputs(s, fuzz_stdout)
#define exit fuzz_exit
#define fopen fuzz_fopen
#define malloc fuzz_malloc
#define calloc fuzz_calloc
#define realloc fuzz_realloc
#define free fuzz_free
#define main program_main
#include "../main.c"
#undef main
#undef free
#undef realloc
#undef calloc
#undef malloc
#undef fopen
#undef exit
#undef puts
#undef putchar
#undef printf

enum { EACH = 8, FIXED = 1 << 16 }; /* bytes for each of the file's, and beside them */

static void before(void) {
  static int ready;
  if (!ready++) {
    fuzz_stderr = fmemopen(said, sizeof said, "w");
    fuzz_stdout = fopen("/dev/null", "w");
  }
  if (!fuzz_stderr || !fuzz_stdout) abort();
  rewind(fuzz_stderr);
  most_bytes = live_bytes;
}

/* What has to hold after a reader came back (status 0) or ended the program. `allowed`: bytes. */
static void after(int status, size_t allowed) {
  fflush(fuzz_stderr);
  const long n = ftell(fuzz_stderr);
  char *line = said;
  if (status == 3) fuzz_fail("ended without an error", "");
  if (most_bytes > allowed) fuzz_fail("more memory than is promised", said);
  if (n < 0 || n >= (long)sizeof said) {
    fuzz_fail("too much on stderr", "");
    return;
  }
  said[n] = 0;
  if (status && strchr(line, '\n') != line + n - 1) fuzz_fail("not one line", line);
  for (; *line; line++)
    if (*line != '\n' && iscntrl((unsigned char)*line)) fuzz_fail("an odd character", said);
  if (!status && live_bytes) fuzz_fail("memory kept", "");
  while (first_block.after != &first_block) fuzz_free(&first_block.after->body);
  all_kept = NULL, kept_count = 0; /* they are among them */
}

/* ---- images to predict ---- */

/* Three models: of 1x4x4 images, of CIFAR-10's, of vectors of 12. */
static uint8_t model[3][4096];
static size_t model_size[3];

static void make_models(void) {
  for (int i = 0; i < 3; i++) {
    nn_config c = nn_config_default();
    nn_model *m = nn_create(&c);
    int x = i == 0   ? nn_input_image(m, 1, 4, 4)
            : i == 1 ? nn_input_image(m, 3, 32, 32)
                     : nn_input_vector(m, 12);
    x = i == 1 ? nn_global_avg_pool(m, x) : i == 0 ? nn_flatten(m, x) : x;
    nn_linear(m, x, 10);
    if (nn_build(m)) abort();
    model_size[i] = nn_save_size(m, NULL);
    if (nn_save_memory(m, NULL, model[i], sizeof model[i])) abort();
    nn_destroy(m);
  }
}

/* `nn predict`: a name's end says what the bytes are; now and then they are the labels of two good
 * images instead. */
static void run_images(const uint8_t *data, size_t size) {
  static const char *const names[] = {"x.idx", "x.npy", "x.bin"};
  static const uint8_t good[12 + 24] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 12};
  const int first = size ? data[0] : 0, labels = first / 9 % 4 == 0;
  const int which = labels ? 2 : first % 3;
  const char *const name = names[first / 3 % 3];
  const char *const words[] = {"nn", "predict", "m.nn",     labels ? "good" : name,
                               "--threads", "1",   "--labels", name};
  if (!model_size[0]) make_models();
  before();
  set_file(0, "m.nn", model[which], model_size[which]);
  set_file(1, name, data + (size > 0), size - (size > 0));
  set_file(2, "settings.txt", "run.version=0.1.0\n", 18);
  set_file(3, "good", good, sizeof good);
  const int status = setjmp(ended);
  if (status == 0 && program_main(labels ? 8 : 6, (char **)(uintptr_t)(const void *)words))
    fuzz_fail("an exit status without a reason", "");
  after(status, ((size_t)1 << 28) + EACH * size); /* what a picture of 16 million pixels takes */
}

/* An npy file's head; returns its size. */
static size_t put_npy(uint8_t *data, const char *type, const char *shape) {
  const int n = sprintf((char *)data + 10,
                        "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", type, shape);
  memcpy(data, "\x93NUMPY\1", 8);
  put(data + 8, (uint64_t)n, 2);
  return 10 + (size_t)n;
}

static size_t seed_images(uint8_t *data) {
  static const size_t each[] = {16, 3072, 12};
  const size_t which = (size_t)up_to(2), kind = (size_t)up_to(2), n = 1 + (size_t)up_to(1);
  const int floats = up_to(1), labels = (data[0] = (uint8_t)up_to(255)) / 9 % 4 == 0;
  const size_t count = labels ? 2 : n * each[which];
  char shape[32];
  size_t at = 1;
  if (!labels) data[0] = (uint8_t)((size_t)data[0] / 9 * 9 % 252 + which + 3 * kind);
  if (data[0] / 3 % 3 == 2) {
    memset(data + at, 5, 3073);
    return at + 3073;
  }
  if (data[0] / 3 % 3 == 1) {
    sprintf(shape, labels ? "%d," : "%d, %d", labels ? 2 : (int)n, (int)each[which]);
    if (count > 1000) return seed_images(data);
    at += put_npy(data + at, !floats ? "|u1" : labels ? "<i4" : "<f4", shape);
    memset(data + at, 0, count * (floats ? 4 : 1));
    return at + count * (floats ? 4 : 1);
  }
  put(data + at, (uint64_t)0x080000 | (labels ? 1u : 2u) << 24, 4);
  put(data + at + 4, (uint64_t)(labels ? 2 : n) << 24, 4), at += 8;
  if (!labels) {
    put(data + at, (uint64_t)(each[which] & 255) << 24 | (each[which] >> 8) << 16, 4);
    at += 4;
  }
  memset(data + at, 0, count);
  return at + count;
}
static size_t change_images(uint8_t *data, size_t size) { return change_bytes(data, size, 90); }

/* ---- the notes of a model: its run's command line, log, state and result ---- */

static const char *const note_names[] = {"command", "log", "state", "result", "data"};
static const char *const good_notes[] = {
    ("nn mnist --cell gru --optimizer adam --lr .001 --weight-decay 0 --clip-norm 0 --schedule "
     "constant --warmup 0 --batch 8 --steps 40 --keep 1 --hidden 8 --layers 1 --init default "
     "--augment flip,shift=2,cutout=3 --seed 1 --isa scalar --data 'a folder'"),
    ("10,0.00133,2.39,0.0875,,,.001,0.001,3\n50,0.0026,2.3,0.075,nan,0.0878,.001,0.001,2\n"
     "200,0.005,2.2,0.1,2.2,.2,.001,3,nan\n"),
    "1.5 0.25 5 10",
    "accuracy=.9 best=.9 best_step=100 diverged=0 seconds=1\nrelu1 gives 0",
    "MNIST\n1939f699"};
enum { NOTES = sizeof good_notes / sizeof *good_notes };

static void run_notes(const uint8_t *data, size_t size) {
  static struct settings s;
  static struct trial t;
  static nn_model *m;
  static char text[1 << 16];
  nn_message why;
  const size_t which = size ? data[0] % NOTES : 0;
  if (size == 0 || size > sizeof text - 1) return;
  memcpy(text, data + 1, size - 1);
  text[size - 1] = 0;
  before();
  memset(&t, 0, sizeof t);
  m = NULL;
  for (int i = 0; i < 4; i++) set_file(i, NULL, NULL, 0);
  const int status = setjmp(ended);
  if (status == 0) {
    nn_config c = nn_config_default();
    c.notes = sizeof text + 4096;
    m = nn_create(&c);
    nn_linear(m, nn_input_vector(m, 4), 2);
    if (nn_build(m)) abort();
    for (size_t i = 0; i < NOTES; i++)
      if (nn_set_note(m, note_names[i], good_notes[i])) abort();
    if (nn_set_note(m, note_names[which], text) == NN_OK) {
      if (add_result(&t, m) == DONE && !(t.accuracy.mean >= 0 && t.accuracy.mean <= 1))
        fuzz_fail("an accuracy out of its range", "");
      text_free(&t.log);
      if (noted_settings(m, &s, &why) &&
          (!(number_of(&s, OPT_LR) > 0) || number_of(&s, OPT_BATCH) < 1))
        fuzz_fail("settings out of their range", "");
      forget();
    }
    nn_destroy(m);
  }
  after(status, 2 * FIXED + ((size_t)1 << 19) + 64 * size);
}

static size_t seed_notes(uint8_t *data) {
  const int which = up_to(NOTES - 1);
  data[0] = (uint8_t)which;
  memcpy(data + 1, good_notes[which], strlen(good_notes[which]));
  return 1 + strlen(good_notes[which]);
}

/* Words of these notes, numbers that break readers, whole lines moved. */
static size_t change_notes(uint8_t *data, size_t size) {
  static const char *const words[] = {
      "=", "\n", ",", " ", "'", "\\", "--", "nan", "-nan", "inf", "1e999", "1e308", "-1", "0",
      "1e18",
      "9223372036854775807", "18446744073709551616", "9007199254740993", "0x10", "1.5", ".",
      " --epochs 3", " --steps 5", " --augment ", "flip", "shift=", " --relu", " --cell rnn",
      " --optimizer sgd", " --schedule step", " --period 0", " --gamma .5", " --momentum .5",
      " --isa avx512", " --resume d", " --help", "nn cifar10", "nn look", "500,1e400,-1e400,nan\n",
      "%s%n", "\xc3\xa9"};
  const char *word = words[up_to((int)(sizeof words / sizeof *words) - 1)];
  size_t at = size ? (size_t)up_to((int)size - 1) : 0, n = 0;
  switch (up_to(3)) {
  case 0: return change_bytes(data, size, 1);
  case 1: return fuzz_insert(data, size, at, (const uint8_t *)word, strlen(word));
  default: /* in place of a word */
    while (at > 1 && !strchr("= ,\n", data[at - 1])) at--;
    while (at + n < size && !strchr("= ,\n", data[at + n])) n++;
    size = fuzz_remove(data, size, at, n);
    return fuzz_insert(data, size, at, (const uint8_t *)word, strlen(word));
  }
}

static const Target targets[] = {
    {"images", run_images, seed_images, change_images},
    {"notes", run_notes, seed_notes, change_notes},
};

FUZZ_ENTRY(targets)

#ifndef NN_LIBFUZZER
int main(int count, char **word) {
  return fuzz_command(targets, sizeof targets / sizeof *targets, count, word);
}
#endif
