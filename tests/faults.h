/* Failures on demand. A test that includes this and then nn.c (and main.c) as parts of itself has
 * their calls of the C library counted, and can have the n-th of them fail, or the process killed
 * right before it. */
#ifndef NN_FAULTS_H
#define NN_FAULTS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* whatever either of the two asks for */
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAULT_FILES = 1, FAULT_MEMORY = 2, FAULT_THREADS = 4, FAULT_RENAMES = 8 };
enum { FAULT_NO_WRITES = 16, FAULT_CALL = FAULT_FILES | FAULT_NO_WRITES }; /* all but fwrite */
static struct {
  int kinds;        /* of the calls that count */
  long calls, at;   /* so far; the one that fails, 0: none */
  int kills;        /* it ends the process instead */
  int unsynced;     /* fsync does nothing: a kill, other than a loss of power, needs none */
  const char *what; /* the call that failed, NULL: none yet */
  FILE *broken;     /* the file on which it did */
  long open;        /* files that are open */
} fault;

#ifdef FAULTS_OF_A_PROGRAM
/* NN_FAULT="files|renames|memory fail|kill N"; the file NN_FAULT_TOLD gets the name of the call
 * that failed, or, when none did, how many there were. */
static inline void fault_tell(const char *text) {
  const char *path = getenv("NN_FAULT_TOLD");
  const int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
  if (file >= 0 && write(file, text, strlen(text)) >= 0) close(file);
}
static void fault_tell_count(void) {
  char text[32];
  if (!fault.what) snprintf(text, sizeof text, "%ld", fault.calls), fault_tell(text);
}
static inline void fault_ready(void) {
  const char *text = getenv("NN_FAULT");
  char kind[16] = "", how[16] = "";
  if (fault.kinds) return;
  fault.kinds = -1;
  if (!text || sscanf(text, "%15s %15s %ld", kind, how, &fault.at) != 3) return;
  fault.kinds = strcmp(kind, "files") == 0     ? FAULT_FILES
                : strcmp(kind, "renames") == 0 ? FAULT_RENAMES
                                               : FAULT_MEMORY;
  fault.kills = strcmp(how, "kill") == 0;
  atexit(fault_tell_count);
}
#else
static inline void fault_ready(void) {}
static inline void fault_tell(const char *text) { (void)text; }
#endif

/* Counts a call; whether it is the one. errno is then what it should leave. */
static inline int fault_now(int kind, const char *what) {
  fault_ready();
  if (!(fault.kinds & kind) || ++fault.calls != fault.at) return 0;
  fault.what = what;
  fault_tell(what);
  if (fault.kills) raise(SIGKILL);
  errno = kind & FAULT_FILES ? EIO : ENOMEM;
  return 1;
}

static inline FILE *fault_fopen(const char *path, const char *mode) {
  FILE *f = fault_now(FAULT_CALL, "fopen") ? NULL : fopen(path, mode);
  fault.open += f != NULL;
  return f;
}
static inline int fault_fclose(FILE *f) { /* a failed one closes the file, too */
  const int fails = fault_now(FAULT_CALL, "fclose"), code = errno, result = fclose(f);
  fault.open--;
  if (fails) errno = code;
  return fails ? EOF : result;
}
static inline int fault_broken(FILE *f, const char *what) {
  if (!fault_now(strcmp(what, "fwrite") ? FAULT_CALL : FAULT_FILES, what)) return 0;
  fault.broken = f;
  return 1;
}
static inline int fault_ferror(FILE *f) { return f == fault.broken || ferror(f); }
static inline int fault_getc(FILE *f) { return fault_broken(f, "getc") ? EOF : getc(f); }
static inline int fault_fseek(FILE *f, long at, int from) {
  return fault_broken(f, "fseek") ? -1 : fseek(f, at, from);
}
static inline long fault_ftell(FILE *f) { return fault_broken(f, "ftell") ? -1 : ftell(f); }
static inline int fault_fseeko(FILE *f, off_t at, int from) {
  return fault_broken(f, "fseeko") ? -1 : fseeko(f, at, from);
}
static inline off_t fault_ftello(FILE *f) { return fault_broken(f, "ftello") ? -1 : ftello(f); }
static inline size_t fault_fread(void *to, size_t size, size_t count, FILE *f) {
  return fault_broken(f, "fread") ? 0 : fread(to, size, count, f);
}
/* Half of it gets through, as when the disk is full. */
static inline size_t fault_fwrite(const void *from, size_t size, size_t count, FILE *f) {
  if ((fault.kinds & FAULT_FILES) && fault.calls + 1 == fault.at) {
    const size_t half = fwrite(from, size, count / 2, f);
    fflush(f);
    fault_broken(f, "fwrite");
    return half;
  }
  fault_now(FAULT_FILES, "fwrite");
  return fwrite(from, size, count, f);
}
static inline int fault_fflush(FILE *f) { return fault_broken(f, "fflush") ? EOF : fflush(f); }
static inline int fault_fsync(int file) {
  return fault_now(FAULT_CALL, "fsync") ? -1 : fault.unsynced ? 0 : fsync(file);
}
static inline int fault_rename(const char *from, const char *to) {
  return fault_now(FAULT_CALL | FAULT_RENAMES, "rename") ? -1 : rename(from, to);
}
static inline int fault_remove(const char *path) {
  return fault_now(FAULT_CALL, "remove") ? -1 : remove(path);
}
static inline int fault_stat(const char *path, struct stat *s) {
  return fault_now(FAULT_CALL, "stat") ? -1 : stat(path, s);
}
static inline void *fault_malloc(size_t size) {
  return fault_now(FAULT_MEMORY, "malloc") ? NULL : malloc(size);
}
static inline void *fault_calloc(size_t count, size_t size) {
  return fault_now(FAULT_MEMORY, "calloc") ? NULL : calloc(count, size);
}
static inline void *fault_realloc(void *p, size_t size) {
  return fault_now(FAULT_MEMORY, "realloc") ? NULL : realloc(p, size);
}
static inline int fault_thread(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *),
                               void *arg) {
  return fault_now(FAULT_THREADS, "pthread_create") ? EAGAIN : pthread_create(t, a, run, arg);
}
static inline int fault_mutex(pthread_mutex_t *m, const pthread_mutexattr_t *a) {
  return fault_now(FAULT_THREADS, "pthread_mutex_init") ? ENOMEM : pthread_mutex_init(m, a);
}
static inline int fault_cond(pthread_cond_t *c, const pthread_condattr_t *a) {
  return fault_now(FAULT_THREADS, "pthread_cond_init") ? ENOMEM : pthread_cond_init(c, a);
}

#undef getc
#undef ferror
#define fopen(path, mode) fault_fopen(path, mode)
#define fclose(f) fault_fclose(f)
#define ferror(f) fault_ferror(f)
#define getc(f) fault_getc(f)
#define fseek(f, at, from) fault_fseek(f, at, from)
#define ftell(f) fault_ftell(f)
#define fseeko(f, at, from) fault_fseeko(f, at, from)
#define ftello(f) fault_ftello(f)
#define fread(to, size, count, f) fault_fread(to, size, count, f)
#define fwrite(from, size, count, f) fault_fwrite(from, size, count, f)
#define fflush(f) fault_fflush(f)
#define fsync(file) fault_fsync(file)
#define rename(from, to) fault_rename(from, to)
#define remove(path) fault_remove(path)
#define stat(path, s) fault_stat(path, s)
#define malloc(size) fault_malloc(size)
#define calloc(count, size) fault_calloc(count, size)
#define realloc(p, size) fault_realloc(p, size)
#define pthread_create(t, a, run, arg) fault_thread(t, a, run, arg)
#define pthread_mutex_init(m, a) fault_mutex(m, a)
#define pthread_cond_init(c, a) fault_cond(c, a)
#endif
