/* nn.c - the engine behind nn.h. Read nn.h first: it is the manual and holds every contract.
 *
 * THE HOUSE. A section calls only sections above it; `grep -n @@ nn.c` is the map.
 *   @@CONFIG    compile-time switches and their contradictions
 *   @@PLATFORM  compiler and architecture: the only place that asks who compiles
 *   @@BASE      status, messages, checked sizes, allocation, random streams, CRC
 *   @@CPU       what the processor can do
 *   @@VEC       a small vector vocabulary, one dialect an instruction set
 *   @@KERNEL    every inner loop, written once over the vocabulary
 *   @@DISPATCH  picks a table of kernels
 *   @@THREAD    a pool of workers and a parallel for
 *   @@GEMM      the matrix product: packing and five loops
 *   @@GRAPH     what a model is made of; the list of layer kinds
 *   @@CONV      convolution and pooling
 *   @@OPS       activations, norms, dropout, losses
 *   @@RNN       the three recurrent cells
 *   @@LAYER     the builder calls: checks and shapes
 *   @@OPTIM     optimizers and schedules
 *   @@MODEL     memory plan, build, forward, backward, step
 *   @@DATA      file readers, data sets, augmentation, batches
 *   @@INSPECT   statistics of activations, ways back to the image, occlusion
 *   @@IO        models and checkpoints as bytes
 *   @@FIT       epochs over a data set: training, validation, checkpoints
 *
 * This file includes itself: once for every instruction set it compiles only @@VEC and @@KERNEL,
 * with NN__INSTANCE saying which, between pragmas that let the compiler use that set there and
 * nowhere else. So one plain `cc -O2 nn.c` holds them all and @@DISPATCH chooses at run time.
 *
 * LAYOUT INSIDE. A node's values are a matrix [rows, cols], cols = channels or features:
 * an image has one row a pixel (NHWC), a sequence is time-major (row = t n + sample). So every
 * layer that works on the last axis, from linear to softmax, is the same code for vectors,
 * sequences and images, and a convolution reads contiguous channels. Arrays at the border are as
 * nn.h says. */
#ifndef NN__INSTANCE

#if !defined _GNU_SOURCE && !defined _WIN32
#define _GNU_SOURCE /* Linux: the cores that this process may use */
#endif
#if !defined _POSIX_C_SOURCE && !defined _WIN32
#define _POSIX_C_SOURCE 200809L /* fsync and fileno, under -std=c99 too */
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE 1 /* the number of cores, hidden by the line above */
#endif
#if !defined _FILE_OFFSET_BITS && !defined __LP64__
#define _FILE_OFFSET_BITS 64 /* files over 2 GiB on 32-bit systems */
#endif
#include "nn.h"

/* ======================================= @@CONFIG ==========================================
 * Every mistake is one #error: NN__REFUSED then hides the rest of the file, which would only print
 * what follows from it. */
#ifdef __cplusplus
#error "nn.c is C, not C++: compile it with a C compiler (cc -O2 -c nn.c); C++ includes nn.h alone"
#define NN__REFUSED
#elif defined __FAST_MATH__ || defined __ASSOCIATIVE_MATH__ || defined _M_FP_FAST || \
    (defined __FINITE_MATH_ONLY__ && __FINITE_MATH_ONLY__ > 0)
#error "compile nn.c without -Ofast and -ffast-math: they remove its checks for NaN and infinity"
#define NN__REFUSED
#elif defined NN_MALLOC != defined NN_FREE
#error "define both NN_MALLOC and NN_FREE or neither"
#define NN__REFUSED
#elif defined NN_NO_MALLOC && defined NN_MALLOC
#error "NN_NO_MALLOC and NN_MALLOC contradict each other"
#define NN__REFUSED
#elif NN_MAX_NODES < 4 || NN_MAX_NODES > 4096 /* see nn__site */
#error "NN_MAX_NODES must be 4 .. 4096"
#define NN__REFUSED
#elif NN_MAX_PARAMS < 4 || NN_MAX_THREADS < 1
#error "NN_MAX_PARAMS must be 4 or more, NN_MAX_THREADS 1 or more"
#define NN__REFUSED
#elif NN__PASTE(NN__REAL_, NN_REAL) == 2
#define NN__DOUBLE 1
#elif NN__PASTE(NN__REAL_, NN_REAL) == 1
#define NN__DOUBLE 0
#else
#error "NN_REAL must be float or double"
#define NN__REFUSED
#endif
#if !defined NN_MALLOC && !defined NN_NO_MALLOC
#define NN_MALLOC(size) malloc(size)
#define NN_FREE(memory) free(memory)
#endif

/* The name under which this file can include itself. Compilers look for it beside this file first,
 * so a name without its folder will do. */
#if !defined NN__SELF && defined __FILE_NAME__
#define NN__SELF __FILE_NAME__
#elif !defined NN__SELF
#define NN__SELF "nn.c"
#endif
#if defined __has_include && !defined NN__REFUSED
#if !__has_include(NN__SELF)
#error "nn.c includes itself, and is not found: define NN__SELF as its present name, in quotes"
#define NN__REFUSED
#endif
#endif

#ifndef NN__REFUSED
/* ====================================== @@PLATFORM =========================================
 * NN__SIMD_X86, NN__SIMD_NEON: vector kernels can be compiled here. NN__INLINE: inlined even where
 * the compiler would rather not, for bodies whose constants must meet. NN__UNROLL: before a loop
 * with a constant count whose array must live in registers. */
#if defined __GLIBC__ && !defined __USE_XOPEN2K8
/* A header that was read before this file, under -std=c99, has settled that POSIX stays hidden.
 * This settles it anew for the headers that are still to come. */
#undef _FEATURES_H
#include <features.h>
#define NN__STDIO_HIDDEN
#endif
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#ifndef NN_NO_STDIO
#include <stdio.h>
#endif
#ifndef NN_NO_MALLOC
#include <stdlib.h>
#endif

#if defined __clang__
#define NN__CLANG 1
#else
#define NN__CLANG 0
#endif
#if defined __GNUC__ && !defined __clang__ && !defined __TINYC__
#define NN__GCC 1
#else
#define NN__GCC 0
#endif
#if defined _MSC_VER && !defined __clang__
#define NN__MSVC 1
#else
#define NN__MSVC 0
#endif
#if defined _WIN32
#define NN__WIN32 1
#else
#define NN__WIN32 0
#endif
#if !NN__WIN32 && (defined __unix__ || defined __APPLE__)
#define NN__UNIX 1
#else
#define NN__UNIX 0
#endif
#if defined __linux__ && !defined __EMSCRIPTEN__
#define NN__LINUX 1
#else
#define NN__LINUX 0
#endif

#if (NN__GCC || NN__CLANG) && !defined __OPTIMIZE__ && !defined NN_NO_WARNING
#pragma GCC warning "nn.c is compiled without -O2 and some 20 times slower (NN_NO_WARNING: silent)"
#endif

#if NN__GCC || NN__CLANG
#define NN__INLINE static inline __attribute__((always_inline))
#elif NN__MSVC
#define NN__INLINE static __forceinline
#else
#define NN__INLINE static inline
#endif
/* NN__ATOMICS: reads and additions that other threads see in one order; without them the pool's
 * mutex guards the same places. NN__PAUSE: between two looks at what another thread writes. */
#if NN__GCC || NN__CLANG
#define NN__PREFETCH(p) __builtin_prefetch(p)
#define NN__ATOMICS 1
#else
#define NN__PREFETCH(p) ((void)(p))
#define NN__ATOMICS 0
#endif
#if NN__ATOMICS && (defined __x86_64__ || defined __i386__)
#define NN__PAUSE() __builtin_ia32_pause()
#else
#define NN__PAUSE() ((void)0)
#endif
#if NN__GCC
#define NN__UNROLL _Pragma("GCC unroll 64")
#elif NN__CLANG
#define NN__UNROLL _Pragma("clang loop unroll(full)")
#else
#define NN__UNROLL
#endif

#define NN__SIMD_X86 0
#define NN__SIMD_NEON 0
#if !defined NN_NO_SIMD && !NN__DOUBLE && (NN__GCC || NN__CLANG || NN__MSVC)
#if defined __x86_64__ || defined _M_X64
#undef NN__SIMD_X86
#define NN__SIMD_X86 1
#include <immintrin.h>
#if NN__MSVC
#include <intrin.h>
#endif
#elif (defined __aarch64__ || defined _M_ARM64) && !defined __AARCH64EB__
#undef NN__SIMD_NEON
#define NN__SIMD_NEON 1
#include <arm_neon.h>
#endif
#endif

#if NN__WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX /* min and max stay the includer's */
#endif
#include <windows.h>
#endif

/* Threads are left out where there are none: no <pthread.h> or, as with newlib and WebAssembly, one
 * that only goes through the motions. */
#ifdef __has_include
#if __has_include(<unistd.h>) && __has_include(<pthread.h>)
#define NN__PTHREADS
#endif
#elif NN__UNIX
#define NN__PTHREADS
#endif
#if NN__WIN32 || defined NN_NO_THREADS || (defined __wasi__ && !defined _REENTRANT) || \
    (defined __EMSCRIPTEN__ && !defined __EMSCRIPTEN_PTHREADS__)
#undef NN__PTHREADS
#endif
#ifdef NN__PTHREADS
#include <unistd.h>
#if !defined _POSIX_THREADS || _POSIX_THREADS <= 0
#undef NN__PTHREADS
#endif
#endif
#ifdef NN__PTHREADS
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#ifndef SIG_SETMASK
#error "POSIX is hidden: include nn.c ahead of <signal.h>, or define _GNU_SOURCE ahead of both"
#endif
#elif !NN__WIN32 && !defined NN_NO_THREADS
#define NN_NO_THREADS
#endif

#define NN__ALIGN 64 /* bytes: a cache line, and the widest vector */

/* Files: what C99 leaves open about reading a large one and writing one safely. */
#ifndef NN_NO_STDIO
#include <errno.h>
#if NN__WIN32
#include <io.h>
#elif NN__UNIX
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef NN__STDIO_HIDDEN
extern int fileno(FILE *);
extern int lstat(const char *, struct stat *);
extern int fchmod(int, mode_t);
#endif
#ifndef O_NOFOLLOW
#error "POSIX is hidden: include nn.c ahead of <fcntl.h>, or define _GNU_SOURCE ahead of both"
#endif
#endif

#if NN__WIN32
/* Windows takes names of any script only as UTF-16. 0, and errno, for what is not UTF-8. */
enum { NN__WIDE = 500 };
static int nn__wide(const char *path, wchar_t *wide)
{
  if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, NN__WIDE)) return 1;
  errno = GetLastError() == ERROR_INSUFFICIENT_BUFFER ? ENAMETOOLONG : EILSEQ;
  return 0;
}
#endif

/* fopen, in binary, of a name in UTF-8. writing: empties or creates the file. */
static FILE *nn__fopen(const char *path, int writing)
{
#if NN__WIN32
  wchar_t wide[NN__WIDE];
  return nn__wide(path, wide) ? _wfopen(wide, writing ? L"wb" : L"rb") : NULL;
#else
  return fopen(path, writing ? "wb" : "rb");
#endif
}

/* 0 only if the system says that there is no such file. */
static int nn__exists(const char *path)
{
  errno = 0;
#if NN__UNIX /* a pipe would be waited for */
  struct stat own;
  return stat(path, &own) == 0 || errno != ENOENT;
#else
  FILE *f = nn__fopen(path, 0);
  if (f) fclose(f);
#ifdef ENOENT
  return f || errno != ENOENT;
#else
  return f != NULL;
#endif
#endif
}

static void nn__remove(const char *path)
{
#if NN__WIN32
  wchar_t wide[NN__WIDE];
  if (nn__wide(path, wide)) _wremove(wide);
#else
  remove(path);
#endif
}

/* The bytes of a file, which is then at its start; -1 when that failed. */
static int64_t nn__file_size(FILE *f)
{
#if NN__WIN32
  return fseek(f, 0, SEEK_SET) == 0 ? _filelengthi64(_fileno(f)) : -1;
#elif NN__UNIX && !defined NN__STDIO_HIDDEN
  const int64_t size = fseeko(f, 0, SEEK_END) == 0 ? (int64_t)ftello(f) : -1;
  return fseeko(f, 0, SEEK_SET) == 0 ? size : -1;
#else
  const int64_t size = fseek(f, 0, SEEK_END) == 0 ? (int64_t)ftell(f) : -1;
  return fseek(f, 0, SEEK_SET) == 0 ? size : -1;
#endif
}

/* Waits until a flushed file is on the disk; 0 when that failed. What cannot be synced (a pipe
 * under a name, some network disks) says EINVAL, and there is nothing to wait for. */
static int nn__sync(FILE *f)
{
#if NN__WIN32
  return _commit(_fileno(f)) == 0;
#elif NN__UNIX
  return fsync(fileno(f)) == 0 || errno == EINVAL;
#else
  (void)f;
  return 1;
#endif
}

/* Gives a file another's name, in one step where the system can; 0 when that failed. */
static int nn__replace(const char *from, const char *to)
{
#if NN__WIN32
  wchar_t wide_from[NN__WIDE], wide_to[NN__WIDE];
  return nn__wide(from, wide_from) && nn__wide(to, wide_to) &&
         MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0;
#else
  if (rename(from, to) == 0) return 1;
#if !NN__UNIX
  if (remove(to) == 0) return rename(from, to) == 0; /* C99 allows rename to refuse */
#endif
  return 0;
#endif
}

/* 0 when the name is that of a device, a directory and the like: to read a pipe could wait for
 * ever, to rename a file over these would fail, or, for the superuser, would replace /dev/null. */
static int nn__regular(const char *path)
{
#if NN__UNIX
  struct stat s;
  return stat(path, &s) != 0 || S_ISREG(s.st_mode);
#else
  (void)path;
  return 1;
#endif
}

/* A file that will be renamed to `path` is one writer's at a time, a thread's or a process's: this
 * waits until it is ours, and gives what nn__give_file wants, or -1. It is never another file under
 * a link's name, nor a pipe, and gets the rights of the file that it replaces, and its owner's to
 * write it. */
static int nn__take_file(const char *temporary, const char *path)
{
#if NN__UNIX
  for (int tries = 0; tries < 1000; tries++) {
    struct stat own, named;
    const int how = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const int file = open(temporary, how, 0666);
    if (file < 0) return -1;
    const int known = fstat(file, &own) == 0; /* not where 32 bits do not hold its number */
    if (known && (!S_ISREG(own.st_mode) || own.st_nlink > 1)) {
      close(file);
      errno = EEXIST;
      return -1;
    }
    while (flock(file, LOCK_EX) != 0 && errno == EINTR) continue; /* a disk may know no locks */
    if (!known || (lstat(temporary, &named) == 0 && named.st_ino == own.st_ino &&
                   named.st_dev == own.st_dev)) {
      if (stat(path, &named) == 0) (void)!fchmod(file, (named.st_mode & 0777) | 0600);
      return file;
    }
    close(file); /* who had it has given it its name meanwhile */
  }
  errno = EBUSY;
  return -1;
#else
  (void)temporary, (void)path;
  return 0;
#endif
}

static void nn__give_file(int file)
{
#if NN__UNIX
  close(file);
#else
  (void)file;
#endif
}

/* Sees to it that a new name is on the disk, too. `path` is cut to its folder; some systems have no
 * folders to sync, and there is nothing to wait for. */
static void nn__sync_folder(char *path)
{
#if NN__UNIX
  char *end = strrchr(path, '/');
  if (end) end[end == path] = 0;
  const int folder = open(end ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  fsync(folder);
  close(folder);
#else
  (void)path;
#endif
}
#endif

/* ======================================== @@BASE =========================================== */
/* A printf of our own for messages: the C library's needs stdio, follows the locale (a decimal
 * comma), and is several times the size of a small build. It knows %s %d %x %zu %lld %llu %g %%,
 * always closes the string and cuts what does not fit. */
typedef struct nn__text {
  char *to;
  size_t size, used;
} nn__text;

static void nn__put_char(nn__text *t, char c)
{
  if (t->used + 1 < t->size) t->to[t->used++] = c;
}

/* Names of files may hold anything; a message is one line, and harmless on a terminal. */
static void nn__put_string(nn__text *t, const char *s)
{
  for (; *s; s++) nn__put_char(t, (unsigned char)*s < ' ' || *s == 127 ? '?' : *s);
}

static void nn__put_number(nn__text *t, unsigned long long value, unsigned base)
{
  char digit[24];
  int n = 0;
  do digit[n++] = "0123456789abcdef"[value % base];
  while ((value /= base) != 0);
  while (n > 0) nn__put_char(t, digit[--n]);
}

static void nn__put_signed(nn__text *t, long long value)
{
  if (value < 0) nn__put_char(t, '-');
  nn__put_number(t, value < 0 ? 0ull - (unsigned long long)value : (unsigned long long)value, 10);
}

/* Six significant digits in the manner of %g, good to about the last of them. */
static void nn__put_real(nn__text *t, double value)
{
  int exponent, scientific, point, i, last = 5;
  char digit[6];
  unsigned long rest;
  if (value != value) {
    nn__put_string(t, "nan");
    return;
  }
  if (value < 0) nn__put_char(t, '-');
  value = fabs(value);
  if (value == HUGE_VAL) {
    nn__put_string(t, "inf");
    return;
  }
  if (value == 0) {
    nn__put_char(t, '0');
    return;
  }
  exponent = (int)floor(log10(value));
  /* In two steps, because 10^(5 - exponent) may itself be too large for the smallest values. */
  value = exponent < -200 ? value * 1e200 * pow(10, -195 - exponent)
                          : value * pow(10, 5 - exponent);
  rest = (unsigned long)(value + 0.5);
  if (rest < 100000) { /* log10 was one too high, a hair under a power of ten */
    rest = (unsigned long)(value * 10 + 0.5);
    exponent--;
  }
  if (rest > 999999) {
    rest /= 10;
    exponent++;
  }
  for (i = 5; i >= 0; i--, rest /= 10) digit[i] = (char)('0' + rest % 10);
  while (last > 0 && digit[last] == '0') last--;
  scientific = exponent < -4 || exponent > 5;
  point = scientific ? 0 : exponent; /* the point stands after this digit */
  if (point < 0) {
    nn__put_string(t, "0.");
    for (i = point + 1; i < 0; i++) nn__put_char(t, '0');
  }
  for (i = 0; i <= last || i <= point; i++) {
    nn__put_char(t, digit[i]);
    if (i == point && i < last) nn__put_char(t, '.');
  }
  if (scientific) {
    nn__put_string(t, exponent < 0 ? "e-" : "e+");
    if (exponent < 0) exponent = -exponent;
    if (exponent < 10) nn__put_char(t, '0');
    nn__put_signed(t, exponent);
  }
}

static void nn__format(char *to, size_t size, const char *format, va_list args)
{
  nn__text t;
  t.to = to;
  t.size = size;
  t.used = 0;
  if (size == 0) return;
  for (; *format; format++) {
    const char *s;
    if (*format != '%') {
      nn__put_char(&t, *format);
      continue;
    }
    switch (*++format) {
    case 's':
      s = va_arg(args, const char *);
      nn__put_string(&t, s ? s : "(null)");
      break;
    case 'd': nn__put_signed(&t, va_arg(args, int)); break;
    case 'x': nn__put_number(&t, va_arg(args, unsigned), 16); break;
    case 'g': nn__put_real(&t, va_arg(args, double)); break;
    case 'z': /* %zu */
      nn__put_number(&t, va_arg(args, size_t), 10);
      if (format[1] == 'u') format++;
      break;
    case 'l': /* %lld, %llu */
      if (!strncmp(format, "llu", 3))
        nn__put_number(&t, va_arg(args, unsigned long long), 10);
      else
        nn__put_signed(&t, va_arg(args, long long));
      if (format[1] == 'l') format++;
      if (format[1] == 'd' || format[1] == 'u') format++;
      break;
    case '\0': format--; break; /* a lone % at the end: the loop must still see the zero */
    default: nn__put_char(&t, *format); break;
    }
  }
  to[t.used] = '\0';
}

/* Explains a failure where the caller wants it explained, and returns it, so that a check is one
 * line: return nn__say(why, NN_ERR_SHAPE, "..."). */
static nn_status nn__say(nn_message *why, nn_status status, const char *format, ...)
{
  va_list args;
  if (why == NULL) return status;
  va_start(args, format);
  nn__format(why->text, sizeof why->text, format, args);
  va_end(args);
  return status;
}

const char *nn_status_text(int status)
{
  switch (status) {
  case NN_OK: return "ok";
  case NN_STOPPED: return "stopped";
  case NN_ERR_ARGUMENT: return "invalid argument";
  case NN_ERR_MEMORY: return "out of memory";
  case NN_ERR_SHAPE: return "shapes do not fit";
  case NN_ERR_STATE: return "called in the wrong order";
  case NN_ERR_IO: return "input or output failed";
  case NN_ERR_FORMAT: return "malformed data";
  case NN_ERR_LIMIT: return "too large";
  case NN_ERR_UNSUPPORTED: return "not supported here";
  case NN_ERR_DIVERGED: return "training diverged";
  default: return "unknown status";
  }
}

/* Sizes come from users and files, so every sum and product of them is checked: 1 when it fits
 * in a size_t (of 32 bits too), 0 when it does not. */
static int nn__mul(size_t a, size_t b, size_t *product)
{
  *product = a * b;
  return a == 0 || b <= SIZE_MAX / a;
}

static int nn__add_size(size_t a, size_t b, size_t *sum)
{
  *sum = a + b;
  return a <= SIZE_MAX - b;
}

/* Tells whether x is neither NaN nor infinite, by the bits of its exponent: comparisons are what
 * compilers drop when they are told that no NaN will come. */
static int nn__finite(double x)
{
  const uint64_t exponent = (uint64_t)0x7FF << 52;
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & exponent) != exponent;
}

/* The only two places that touch the heap. Size 0 asks for one byte, so that NULL always means out
 * of memory. An allocator without release (an arena) keeps its memory. */
static void *nn__allocate(const nn_allocator *a, size_t size)
{
  if (a && !a->allocate != !a->release) return NULL; /* half an allocator: nothing could be freed */
  if (size == 0) size = 1;
  if (a && a->allocate) return a->allocate(a->user, size);
#ifdef NN_NO_MALLOC
  return NULL;
#else
  return NN_MALLOC(size);
#endif
}

static void nn__release(const nn_allocator *a, void *memory, size_t size)
{
  if (memory == NULL) return;
  if (size == 0) size = 1;
  if (a && a->allocate) {
    if (a->release) a->release(a->user, memory, size);
    return;
  }
#ifndef NN_NO_MALLOC
  NN_FREE(memory);
#endif
}

/* Philox4x32-10. A round multiplies two of the four counter words, keeps both halves of each
 * product, and mixes in the other two words and the key; the key moves on by Weyl steps (the golden
 * ratio and sqrt(3) - 1). Key = seed, counter = (block, stream): four numbers a block. */
static void nn__random_block(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[4])
{
  uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  int round;
  for (round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)b;
    c3 = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

uint32_t nn_random_at(uint64_t seed, uint64_t stream, uint64_t index)
{
  uint32_t word[4];
  nn__random_block(seed, stream, index / 4, word);
  return word[index % 4];
}

uint32_t nn_random_next(nn_random *r)
{
  return nn_random_at(r->seed, r->stream, r->counter++);
}

/* Lemire, "Fast random integer generation in an interval", 2019: the high half of a product is
 * uniform once the first 2^32 mod n values of the low half are refused. */
uint32_t nn_random_below(nn_random *r, uint32_t n)
{
  uint64_t product;
  if (n == 0) return 0;
  do product = (uint64_t)nn_random_next(r) * n;
  while ((uint32_t)product < n && (uint32_t)product < (0u - n) % n);
  return (uint32_t)(product >> 32);
}

double nn_random_uniform(nn_random *r)
{
  return nn_random_next(r) * (1.0 / 4294967296.0);
}

double nn_random_normal(nn_random *r)
{
  double radius = (nn_random_next(r) + 1.0) * (1.0 / 4294967296.0); /* (0,1]: log is finite */
  double angle = nn_random_next(r) * (6.283185307179586 / 4294967296.0);
  return sqrt(-2 * log(radius)) * cos(angle);
}

/* A Feistel network permutes 0 .. 2^bits - 1, the least power of two that covers count: each round
 * XORs one half of the bits with a hash of the other half, which undoes itself, whatever the hash.
 * Walking on from a value outside the range until it falls inside keeps it a permutation of the
 * range, and takes less than two steps on average. A place outside the range wraps round. Halves
 * of one or two bits mix slowly: with 8 rounds some orders of 8 samples are visibly rarer, with 24
 * a chi-square test over 100,000 epochs finds none. */
uint32_t nn_shuffled(uint64_t seed, uint64_t epoch, uint32_t count, uint32_t place)
{
  uint32_t key[24], mask[2], half[2], value;
  int bits = 1, low, round;
  if (count < 2) return 0;
  while (bits < 32 && (count - 1) >> bits) bits++;
  low = (bits + 1) / 2;
  mask[0] = ((uint32_t)1 << low) - 1;
  mask[1] = ((uint32_t)1 << (bits - low)) - 1;
  /* The tag in the high half keeps these streams apart from those of masks and initial values. */
  epoch ^= (uint64_t)0x73687566u << 32;
  for (round = 0; round < 24; round += 4)
    nn__random_block(seed, epoch, (uint64_t)round, key + round);
  value = place % count;
  do {
    half[0] = value & mask[0];
    half[1] = value >> low;
    for (round = 0; round < 24; round++) {
      uint32_t h = half[1 - round % 2] * 0x9E3779B1u + key[round];
      h = (h ^ (h >> 16)) * 0x85EBCA6Bu; /* the finaliser of MurmurHash3 */
      h = (h ^ (h >> 13)) * 0xC2B2AE35u;
      half[round % 2] ^= (h ^ (h >> 16)) & mask[round % 2];
    }
    value = half[1] << low | half[0];
  } while (value >= count);
  return value;
}

/* CRC-32 is linear, so the CRC of a word is the XOR of those of its eight nibbles, and entry [k][n]
 * is that of nibble n at place k. Four bytes a step from 512 bytes of tables. */
static const uint32_t nn__crc_part[8][16] = {
  {0x00000000, 0xB8BC6765, 0xAA09C88B, 0x12B5AFEE, 0x8F629757, 0x37DEF032, 0x256B5FDC, 0x9DD738B9,
   0xC5B428EF, 0x7D084F8A, 0x6FBDE064, 0xD7018701, 0x4AD6BFB8, 0xF26AD8DD, 0xE0DF7733, 0x58631056},
  {0x00000000, 0x5019579F, 0xA032AF3E, 0xF02BF8A1, 0x9B14583D, 0xCB0D0FA2, 0x3B26F703, 0x6B3FA09C,
   0xED59B63B, 0xBD40E1A4, 0x4D6B1905, 0x1D724E9A, 0x764DEE06, 0x2654B999, 0xD67F4138, 0x866616A7},
  {0x00000000, 0x01C26A37, 0x0384D46E, 0x0246BE59, 0x0709A8DC, 0x06CBC2EB, 0x048D7CB2, 0x054F1685,
   0x0E1351B8, 0x0FD13B8F, 0x0D9785D6, 0x0C55EFE1, 0x091AF964, 0x08D89353, 0x0A9E2D0A, 0x0B5C473D},
  {0x00000000, 0x1C26A370, 0x384D46E0, 0x246BE590, 0x709A8DC0, 0x6CBC2EB0, 0x48D7CB20, 0x54F16850,
   0xE1351B80, 0xFD13B8F0, 0xD9785D60, 0xC55EFE10, 0x91AF9640, 0x8D893530, 0xA9E2D0A0, 0xB5C473D0},
  {0x00000000, 0x191B3141, 0x32366282, 0x2B2D53C3, 0x646CC504, 0x7D77F445, 0x565AA786, 0x4F4196C7,
   0xC8D98A08, 0xD1C2BB49, 0xFAEFE88A, 0xE3F4D9CB, 0xACB54F0C, 0xB5AE7E4D, 0x9E832D8E, 0x87981CCF},
  {0x00000000, 0x4AC21251, 0x958424A2, 0xDF4636F3, 0xF0794F05, 0xBABB5D54, 0x65FD6BA7, 0x2F3F79F6,
   0x3B83984B, 0x71418A1A, 0xAE07BCE9, 0xE4C5AEB8, 0xCBFAD74E, 0x8138C51F, 0x5E7EF3EC, 0x14BCE1BD},
  {0x00000000, 0x77073096, 0xEE0E612C, 0x990951BA, 0x076DC419, 0x706AF48F, 0xE963A535, 0x9E6495A3,
   0x0EDB8832, 0x79DCB8A4, 0xE0D5E91E, 0x97D2D988, 0x09B64C2B, 0x7EB17CBD, 0xE7B82D07, 0x90BF1D91},
  {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
   0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C},
};

uint32_t nn_crc32(uint32_t crc, const void *bytes, size_t size)
{
  const uint32_t(*part)[16] = nn__crc_part;
  const unsigned char *p = (const unsigned char *)bytes;
  crc = ~crc;
  for (; size >= 4; size -= 4, p += 4) {
    crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    crc = part[0][crc & 15] ^ part[1][crc >> 4 & 15] ^ part[2][crc >> 8 & 15] ^
          part[3][crc >> 12 & 15] ^ part[4][crc >> 16 & 15] ^ part[5][crc >> 20 & 15] ^
          part[6][crc >> 24 & 15] ^ part[7][crc >> 28];
  }
  for (; size > 0; size--, p++) { /* one byte: what the top byte of a word would give */
    crc ^= *p;
    crc = part[6][crc & 15] ^ part[7][crc >> 4 & 15] ^ crc >> 8;
  }
  return ~crc;
}

/* ========================================= @@CPU =========================================== */
#if NN__SIMD_X86
/* cpuid leaf and subleaf to r[4] = eax, ebx, ecx, edx. */
static void nn__cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
#if NN__MSVC
  int v[4];
  __cpuidex(v, (int)leaf, (int)subleaf);
  for (int i = 0; i < 4; i++) r[i] = (uint32_t)v[i];
#else
  __asm__ volatile("cpuid"
                   : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                   : "a"(leaf), "c"(subleaf));
#endif
}

/* Which registers the operating system saves: XCR0. Only when cpuid says that OSXSAVE is on. */
static uint32_t nn__xcr0(void)
{
#if NN__MSVC
  return (uint32_t)_xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile(".byte 0x0f, 0x01, 0xd0" /* xgetbv, for assemblers that do not know it */
                   : "=a"(low), "=d"(high)
                   : "c"(0));
  (void)high;
  return low;
#endif
}
#endif

/* How this thread treats subnormal numbers, those below 1.2e-38, which cost many processors a
 * hundred cycles each. nn__flush_subnormals makes them zeros, has results rounded to the nearest,
 * and gives what nn__restore_mode wants; where the mode cannot be reached, both do nothing.
 * MXCSR: flush to zero and denormals are zeros; FPCR: FZ, which is both. */
#if NN__SIMD_X86 || (NN__SIMD_NEON && !NN__MSVC)
#define NN__FLUSH (NN__SIMD_X86 ? 0x8040u : 0x1000000u)
#define NN__ROUND (NN__SIMD_X86 ? 0x6000u : 0xC00000u) /* 0: to the nearest */
static uint32_t nn__float_mode(void)
{
#if NN__MSVC
  return _mm_getcsr();
#elif NN__SIMD_X86
  uint32_t mode;
  __asm__ volatile("stmxcsr %0" : "=m"(mode));
  return mode;
#else
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return (uint32_t)mode;
#endif
}

static void nn__set_float_mode(uint32_t mode)
{
#if NN__MSVC
  _mm_setcsr(mode);
#elif NN__SIMD_X86
  __asm__ volatile("ldmxcsr %0" : : "m"(mode) : "memory");
#else
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode) : "memory");
#endif
}

static uint32_t nn__flush_subnormals(void)
{
  const uint32_t mode = nn__float_mode();
  if ((mode & (NN__FLUSH | NN__ROUND)) != NN__FLUSH)
    nn__set_float_mode((mode | NN__FLUSH) & ~NN__ROUND);
  return mode;
}
static void nn__restore_mode(uint32_t mode)
{
  if ((mode & (NN__FLUSH | NN__ROUND)) != NN__FLUSH) nn__set_float_mode(mode);
}
#else
static uint32_t nn__flush_subnormals(void) { return 0; }
static void nn__restore_mode(uint32_t mode) { (void)mode; }
#endif

int nn_isa_available(nn_isa isa)
{
  if (isa == NN_ISA_SCALAR || isa == NN_ISA_AUTO) return 1;
#if NN__SIMD_NEON
  return isa == NN_ISA_NEON; /* part of every aarch64 processor */
#elif NN__SIMD_X86
  if (isa == NN_ISA_SSE2) return 1; /* part of every x86-64 processor */
  if (isa != NN_ISA_AVX2 && isa != NN_ISA_AVX512) return 0;
  uint32_t r[4];
  nn__cpuid(0, 0, r);
  if (r[0] < 7) return 0;
  nn__cpuid(1, 0, r);
  const uint32_t fma_osxsave_avx = (1u << 12) | (1u << 27) | (1u << 28);
  if ((r[2] & fma_osxsave_avx) != fma_osxsave_avx) return 0;
  const uint32_t saved = nn__xcr0();
  nn__cpuid(7, 0, r);
  if ((saved & 0x06) != 0x06 || !(r[1] & (1u << 5))) return 0; /* xmm, ymm; AVX2 */
  if (isa == NN_ISA_AVX2) return 1;
  return (saved & 0xe6) == 0xe6 && (r[1] & (1u << 16)); /* opmask, zmm; AVX-512F */
#else
  return 0;
#endif
}

nn_isa nn_isa_best(void)
{
  static const nn_isa order[] = {NN_ISA_AVX512, NN_ISA_AVX2, NN_ISA_NEON, NN_ISA_SSE2};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++)
    if (nn_isa_available(order[i])) return order[i];
  return NN_ISA_SCALAR;
}

static const char *const nn__isa_names[NN_ISA_COUNT] = {"auto", "scalar", "sse2",
                                                        "avx2", "avx512", "neon"};

const char *nn_isa_name(nn_isa isa)
{
  return (unsigned)isa < NN_ISA_COUNT ? nn__isa_names[isa] : "unknown";
}

nn_status nn_isa_find(const char *name, nn_isa *isa)
{
  if (!name || !isa) return NN_ERR_ARGUMENT;
  for (int i = 0; i < NN_ISA_COUNT; i++)
    if (!strcmp(name, nn__isa_names[i])) return *isa = (nn_isa)i, NN_OK;
  return NN_ERR_ARGUMENT;
}

/* ============================== the contract of the kernels ================================
 * A kernel is a pure inner loop: it never allocates, never fails and touches only what it is given.
 * A value never depends on its place in an array: a tail is computed by the same formula as the
 * body, on a vector that is partly loaded and partly stored. No argument needs alignment.
 *
 * The product of a tile, C[m,n] = finish(A[m,k] B[k,n]) with m <= MR and n <= NR, is the heart.
 * Every element is one chain of multiply-adds over ascending k (CHAINS: one for each run of the
 * walk, which nn__tiles_at adds up), so tiles of any shape give the same bits. Row i of A lies
 * anywhere: its element k is at a[i][o(k)]. o walks `segments` runs of `length` elements (the last
 * run of `last`), run s starting at skip[s], `a_step` apart; so A may
 * be stored by rows, by columns (a[i] = a[0] + i) or packed, and a convolution without any im2col
 * is such a walk, too: the runs are the rows of the kernel window. B's row k is at b + k b_step,
 * and is read n wide if EXACT, else up to the next multiple of the vector's width (a packed
 * panel: b[k NR + j]).
 * finish: C = alpha AB + beta C + bias[j] (bias may be NULL), then max(0, .) if relu. beta = 0
 * never reads C. across: C is stored transposed, element (i,j) at c[j ldc + i], and bias by i. */
typedef struct nn__finish {
  nn_real alpha, beta;
  const nn_real *bias;
  int relu;
  int across;
} nn__finish;

typedef struct nn__walk {
  size_t segments, length, last;
  const size_t *skip;
  size_t a_step, b_step;
  int how; /* NN__EXACT, NN__CHAINS */
} nn__walk;
enum { NN__EXACT = 1, NN__CHAINS = 2 };

typedef struct nn__steps { /* from row to row and from column to column of two matrices */
  ptrdiff_t a_row, a_col, b_row, b_col;
} nn__steps;

/* The element by element functions, each a kind of layer: name, text, what going back needs (its
 * input X or its output Y) and how many numbers describe it. NN__(act) and NN__(act_back) hold the
 * formulas. */
enum { NN__NEEDS_X = 1, NN__NEEDS_Y = 2, NN__ONE_NUMBER = 4, NN__TWO_NUMBERS = 8 };
#define NN__ACTS(A)                                                                               \
  A(RELU, "relu", NN__NEEDS_Y)                                                                    \
  A(LEAKY_RELU, "leaky_relu", NN__NEEDS_X | NN__ONE_NUMBER)                                       \
  A(ELU, "elu", NN__NEEDS_X | NN__ONE_NUMBER)                                                     \
  A(GELU, "gelu", NN__NEEDS_X)                                                                    \
  A(SILU, "silu", NN__NEEDS_X)                                                                    \
  A(SOFTPLUS, "softplus", NN__NEEDS_X)                                                            \
  A(HARD_SIGMOID, "hard_sigmoid", NN__NEEDS_X)                                                    \
  A(HARD_SWISH, "hard_swish", NN__NEEDS_X)                                                        \
  A(CLAMP, "clamp", NN__NEEDS_X | NN__TWO_NUMBERS)                                                \
  A(TANH, "tanh", NN__NEEDS_Y)                                                                    \
  A(SIGMOID, "sigmoid", NN__NEEDS_Y)
#define NN__ACT_ENUM(name, text, needs) NN__ACT_##name,
typedef enum nn__act { NN__ACTS(NN__ACT_ENUM) NN__ACT_COUNT } nn__act;

/* One optimizer step over n elements; the formulas are in nn.h, the numbers of one step here.
 * slot1, slot2: the state blocks, as far as the kind has them. */
typedef struct nn__update {
  int kind; /* nn_optimizer_kind */
  int nesterov;
  nn_real rate, momentum, alpha, beta1, beta2, eps, decay;
  nn_real rest, rest1, rest2;       /* 1 - alpha, 1 - beta1, 1 - beta2, rounded once */
  nn_real correction1, correction2; /* rate/(1 - beta1^t), 1/sqrt(1 - beta2^t) */
  nn_real scale, limit;             /* clipping: g = clamp(scale g, limit); limit 0 = none */
} nn__update;

#define NN__MAX_MR 16
/* Backward a cell's gates come from far, in more streams than a processor follows by itself: so
 * many rows ahead they are asked for, which past the last row is of no use and no harm. */
#define NN__ROWS_AHEAD 2
#define NN__MAX_NR 32

/* All arrays are row-major; n counts elements, rows and cols are a matrix's. */
typedef struct nn__kernels {
  nn_isa isa;
  size_t vw, mr, nr;     /* vector width, tile height and width, in elements */
  size_t mr2;            /* the next smaller height that has code of its own */
  size_t mc, kc, nc;     /* blocks of the product: mc kc and kc nr in L2, kc nc in L3 */
  void (*tile)(const nn__walk *w, const nn_real *const *a, const nn_real *b, nn_real *c, size_t ldc,
               size_t m, size_t n, const nn__finish *f);
  /* Panels of NR columns each: to[(j/NR k + p) NR + j mod NR] = B[p,j], zero past n; B[p,j] at
   * b[p rs + j cs]. */
  void (*pack)(nn_real *to, const nn_real *b, size_t rs, size_t cs, size_t k, size_t n);
  void (*transpose)(nn_real *to, size_t ldt, const nn_real *from, size_t ldf, size_t rows,
                    size_t cols); /* to[j ldt + i] = from[i ldf + j] */
  /* y[j] = alpha sum_k x[k] w[j ldw + k] + beta y[j] + bias[j] */
  void (*dots)(nn_real *y, const nn_real *x, const nn_real *w, size_t ldw, size_t k, size_t n,
               const nn__finish *f);
  void (*activate)(int act, nn_real *y, const nn_real *x, size_t n, nn_real a, nn_real b);
  void (*add)(nn_real *y, const nn_real *a, const nn_real *b, size_t n); /* y = a + b */
  void (*scale)(nn_real *y, nn_real s, size_t n);                        /* y = s y */
  /* y[j] += sum over r < rows, q < cols of a[r a_row + q a_col + j] b[r b_row + q b_col + j] */
  void (*add_taps)(nn_real *y, const nn_real *a, const nn_real *b, const nn__steps *s, size_t rows,
                   size_t cols, size_t n);
  void (*axpy)(nn_real *y, nn_real s, const nn_real *x, size_t n);       /* y += s x */
  void (*combine)(nn_real *y, const nn_real *s, size_t step, const nn_real *x, size_t ldx,
                  size_t k, size_t n); /* y[j] += sum over p < k of s[p step] x[p ldx + j] */
  /* sum[j] += sum over rows of x[i,j]; with a mean of (x - mean[j]) y, and of (x - mean[j])^2 if y
   * is NULL. y lies as x does. At most 256 rows a call, so that float sums stay short. */
  void (*sum_rows)(nn_real *sum, const nn_real *x, size_t ldx, const nn_real *mean,
                   const nn_real *y, size_t rows, size_t cols);
  /* z = p[j] x + q[j] y + r[j]; without q y if y is NULL */
  void (*affine_rows)(nn_real *z, const nn_real *x, const nn_real *y, const nn_real *p,
                      const nn_real *q, const nn_real *r, size_t rows, size_t cols);
  void (*softmax)(nn_real *y, const nn_real *x, size_t rows, size_t cols);
  /* Layer norm of one row of n: y = (x - mean) inverse w + b, and stats = {mean, what it lost to
   * rounding, inverse}. */
  void (*norm_row)(nn_real *y, const nn_real *x, const nn_real *w, const nn_real *b, size_t n,
                   nn_real *stats);
  /* A window of rows x cols pixels of n channels; its first pixel is x, its rows are `row` apart.
   * y[j] = its maximum (the first among equals, a NaN wins), `more`: and that of y[j] before;
   * y[j] = s times its sum */
  void (*max_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols, size_t n,
                     int more);
  void (*sum_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols, size_t n,
                     nn_real s);
  /* Winograd's transforms of one tile, `c` channels wide; equations at @@CONV. Frequency f of the
   * tile lies at v + f step, pixels at x + i row + j c. `out` and `out_back`: m = 4 or 6 pixels a
   * side, of which rows x cols are inside the image. half: room for 64 vectors, where a tile lies
   * that is transformed along one side. `weights`: n matrices P x P^T of side x side from
   * x of k x k, whose element e lies at `to` + e ldt, at `from` + e ldf. */
  void (*winograd_weights)(nn_real *to, size_t ldt, int side, const nn_real *from, size_t ldf,
                           int k, const nn_real p[8][8], size_t n);
  void (*winograd_in)(nn_real *v, size_t step, const nn_real *x, size_t row, size_t c,
                      nn_real *half);
  void (*winograd_out)(nn_real *y, size_t row, size_t c, const nn_real *v, size_t step, int m,
                       size_t rows, size_t cols, const nn__finish *f, nn_real *half);
  /* One sample's step of a cell over n units; equations and the columns of g at @@RNN. Column j of
   * g, and of a gru's h_before, lies at g[j/NR panel + j mod NR]; to_panels brings n numbers to
   * columns from .. */
  void (*to_panels)(nn_real *to, size_t panel, size_t from, const nn_real *x, size_t n);
  /* A row y[n] = x[k] B[k,n], both in such panels; n columns in whole panels of B, panel_b apart.
   * The order of a sum depends on k alone. */
  void (*panels_row)(nn_real *y, const nn_real *x, size_t panel, const nn_real *b, size_t panel_b,
                     size_t k, size_t n);
  void (*rnn_row)(nn_real *g, size_t panel, nn_real *h, size_t n, int relu);
  void (*lstm_row)(nn_real *g, size_t panel, const nn_real *c_before, nn_real *c, nn_real *h,
                   size_t n);
  void (*gru_row)(nn_real *g, size_t panel, nn_real *h_before, nn_real *h, size_t n);
#ifndef NN_NO_TRAINING
  /* dx = dy f'(.), from x or from y as NN__ACTS says. dx may be dy. */
  void (*activate_back)(int act, nn_real *dx, const nn_real *dy, const nn_real *xy, size_t n,
                        nn_real a, nn_real b);
  double (*sum_squares)(const nn_real *x, size_t n, nn_real s); /* of (s x)^2 */
  void (*softmax_back)(nn_real *dx, const nn_real *dy, const nn_real *y, size_t rows, size_t cols);
  void (*norm_row_back)(nn_real *dx, nn_real *dw, nn_real *db, const nn_real *dy, const nn_real *x,
                        const nn_real *w, size_t n, const nn_real *stats); /* dw, db: += */
  /* dx, a window as x: += (add) or = dy at the first pixel that equals y, 0 elsewhere; past a relu
   * only where y > 0. */
  void (*max_window_back)(nn_real *dx, const nn_real *x, size_t row, size_t rows, size_t cols,
                          const nn_real *y, const nn_real *dy, size_t n, int add, int relu);
  void (*winograd_out_back)(nn_real *v, size_t step, const nn_real *dy, size_t row, size_t c, int m,
                            size_t rows, size_t cols, nn_real *half);
  void (*rnn_row_back)(nn_real *g, size_t panel, const nn_real *dh, size_t n, int relu);
  void (*lstm_row_back)(nn_real *g, size_t panel, const nn_real *c_before, const nn_real *c,
                        const nn_real *dh, nn_real *dc, size_t n);
  void (*gru_row_back)(nn_real *g, size_t panel, nn_real *h_before, const nn_real *dh,
                       nn_real *dh_before, size_t n);
  double (*largest)(const nn_real *x, size_t n); /* the greatest |x|; NaN if one is not finite */
  /* 0, or NaN if a new w or mean square is not finite. */
  nn_real (*update)(const nn__update *u, nn_real *w, nn_real *g, nn_real *slot1, nn_real *slot2,
                    size_t n);
#endif
} nn__kernels;

#endif /* NN__REFUSED */
#endif /* first reading */

/* ========================================= @@VEC ===========================================
 * The vocabulary. V is a vector of VW reals, M a mask of as many lanes.
 *   v_load(p) v_store(p,v)           any alignment
 *   v_part(p,n) v_put(p,v,n)         the first n < VW lanes; the others load as 0, store nothing
 *   v_set(x) v_zero()                every lane x; 0
 *   v_add v_sub v_mul v_div v_sqrt   lane by lane, rounded once
 *   v_fma(a,b,c)                     a b + c, rounded once where the set has FMA, else twice
 *   v_max(a,b) v_min(a,b)            a > b ? a : b and a < b ? a : b, so b when either is a NaN
 *   v_gt(a,b) v_eq(a,b)              masks, false for a NaN; v_pick(m,a,b) = m ? a : b
 *   v_round(x)                       to the nearest whole number, |x| < 2^21
 *   v_exp2i(x,n)                     x 2^n, n whole lanes in -252 .. 254
 *   v_sum(v)                         of all lanes
 *   v_zip_low(a,b) v_zip_high(a,b)   a0 b0 a1 b1 .. of the low, of the high halves
 * and of the tile: MR rows (MR2, MR3 for what is left over) of NV vectors. */
#ifdef NN__INSTANCE
#if NN__INSTANCE

#if NN__INSTANCE == 1 /* ------------------------- scalar ---------------------------------- */
#define NN__(name) name##_scalar
#define NN__THIS_ISA NN_ISA_SCALAR
#define VW 1
#define MR 4
#define MR2 2
#define MR3 1
#define NV 2
#define V nn_real
#define M int
#define v_load(p) (*(p))
#define v_store(p, v) (*(p) = (v))
#define v_part(p, n) ((void)(n), *(p))
#define v_put(p, v, n) ((void)(n), *(p) = (v))
#define v_set(x) (x)
#define v_zero() ((nn_real)0)
#define v_add(a, b) ((a) + (b))
#define v_sub(a, b) ((a) - (b))
#define v_mul(a, b) ((a) * (b))
#define v_div(a, b) ((a) / (b))
#define v_fma(a, b, c) ((a) * (b) + (c))
#define v_max(a, b) ((a) > (b) ? (a) : (b))
#define v_min(a, b) ((a) < (b) ? (a) : (b))
#define v_gt(a, b) ((a) > (b))
#define v_eq(a, b) ((a) == (b))
#define v_pick(m, a, b) ((m) ? (a) : (b))
#define v_sum(v) (v)
#define v_zip_low(a, b) (a)
#define v_zip_high(a, b) (b)
#if NN__DOUBLE
#define v_sqrt(a) sqrt(a)
#else
#define v_sqrt(a) sqrtf(a)
NN__INLINE V NN__(round)(V x)
{
  return x == x ? (V)(int)(x + (x < 0 ? -0.5f : 0.5f)) : 0; /* no int for a NaN */
}
NN__INLINE V NN__(exp2i)(V x, V n)
{
  const int whole = (int)n, half = whole / 2;
  const uint32_t bits[2] = {(uint32_t)(half + 127) << 23, (uint32_t)(whole - half + 127) << 23};
  float power[2];
  memcpy(power, bits, sizeof power);
  return x * power[0] * power[1];
}
#define v_round NN__(round)
#define v_exp2i NN__(exp2i)
#endif

#elif NN__INSTANCE == 2 /* ------------------------ SSE2 ----------------------------------- */
#define NN__(name) name##_sse2
#define NN__THIS_ISA NN_ISA_SSE2
#define VW 4
#define MR 4
#define MR2 2
#define MR3 1
#define NV 2
#define V __m128
#define M __m128
#define v_load(p) _mm_loadu_ps(p)
#define v_store(p, v) _mm_storeu_ps(p, v)
#define v_set(x) _mm_set1_ps(x)
#define v_zero() _mm_setzero_ps()
#define v_add(a, b) _mm_add_ps(a, b)
#define v_sub(a, b) _mm_sub_ps(a, b)
#define v_mul(a, b) _mm_mul_ps(a, b)
#define v_div(a, b) _mm_div_ps(a, b)
#define v_sqrt(a) _mm_sqrt_ps(a)
#define v_fma(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define v_max(a, b) _mm_max_ps(a, b)
#define v_min(a, b) _mm_min_ps(a, b)
#define v_gt(a, b) _mm_cmpgt_ps(a, b)
#define v_eq(a, b) _mm_cmpeq_ps(a, b)
#define v_pick(m, a, b) _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b))
#define v_zip_low(a, b) _mm_unpacklo_ps(a, b)
#define v_zip_high(a, b) _mm_unpackhi_ps(a, b)
#define v_round(x) _mm_cvtepi32_ps(_mm_cvtps_epi32(x))
#define v_exp2i NN__(exp2i)
#define v_sum NN__(sum)
NN__INLINE V NN__(exp2i)(V x, V n)
{
  const __m128i whole = _mm_cvtps_epi32(n), half = _mm_srai_epi32(whole, 1);
  const __m128i bias = _mm_set1_epi32(127), rest = _mm_sub_epi32(whole, half);
  x = _mm_mul_ps(x, _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(half, bias), 23)));
  return _mm_mul_ps(x, _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(rest, bias), 23)));
}
NN__INLINE float NN__(sum)(V v)
{
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}

#elif NN__INSTANCE == 3 /* --------------------- AVX2 + FMA -------------------------------- */
#if NN__GCC
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif NN__CLANG
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#endif
#define NN__(name) name##_avx2
#define NN__THIS_ISA NN_ISA_AVX2
#define VW 8
#define MR 6
#define MR2 4
#define MR3 2
#define NV 2
#define V __m256
#define M __m256
#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, v) _mm256_storeu_ps(p, v)
#define v_part(p, n) _mm256_maskload_ps(p, NN__(lanes)(n))
#define v_put(p, v, n) _mm256_maskstore_ps(p, NN__(lanes)(n), v)
#define v_set(x) _mm256_set1_ps(x)
#define v_zero() _mm256_setzero_ps()
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_sqrt(a) _mm256_sqrt_ps(a)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_gt(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define v_eq(a, b) _mm256_cmp_ps(a, b, _CMP_EQ_OQ)
#define v_pick(m, a, b) _mm256_blendv_ps(b, a, m)
#define v_zip_low(a, b) \
  _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20)
#define v_zip_high(a, b) \
  _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31)
#define v_round(x) _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_exp2i NN__(exp2i)
#define v_sum NN__(sum)
NN__INLINE __m256i NN__(lanes)(size_t n)
{
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
NN__INLINE V NN__(exp2i)(V x, V n)
{
  const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127), rest = _mm256_sub_epi32(whole, half);
  x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
  return _mm256_mul_ps(x,
                       _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}
NN__INLINE float NN__(sum)(V v)
{
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

#elif NN__INSTANCE == 4 /* ---------------------- AVX-512F --------------------------------- */
#if NN__GCC
#pragma GCC push_options
#pragma GCC target("avx512f,avx2,fma")
#elif NN__CLANG
#pragma clang attribute push(__attribute__((target("avx512f,avx2,fma"))), apply_to = function)
#endif
#define NN__(name) name##_avx512
#define NN__THIS_ISA NN_ISA_AVX512
#define VW 16
#define MR 14
#define MR2 8
#define MR3 4
#define NV 2
#define V __m512
#define M __mmask16
#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, v) _mm512_storeu_ps(p, v)
#define v_part(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define v_put(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), v)
#define v_set(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_sqrt(a) _mm512_sqrt_ps(a)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_gt(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define v_eq(a, b) _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ)
#define v_pick(m, a, b) _mm512_mask_blend_ps(m, b, a)
#define v_zip_low(a, b) _mm512_permutex2var_ps(a, NN__(zip)(0), b)
#define v_zip_high(a, b) _mm512_permutex2var_ps(a, NN__(zip)(8), b)
#define v_round(x) _mm512_cvtepi32_ps(_mm512_cvtps_epi32(x))
#define v_exp2i(x, n) _mm512_scalef_ps(x, n)
#define v_sum(v) _mm512_reduce_add_ps(v)
NN__INLINE __m512i NN__(zip)(int first)
{
  const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return _mm512_add_epi32(order, _mm512_set1_epi32(first));
}

#elif NN__INSTANCE == 5 /* ------------------------ NEON ----------------------------------- */
#define NN__(name) name##_neon
#define NN__THIS_ISA NN_ISA_NEON
#define VW 4
#define MR 8
#define MR2 4
#define MR3 2
#define NV 3
#define V float32x4_t
#define M uint32x4_t
#define v_load(p) vld1q_f32(p)
#define v_store(p, v) vst1q_f32(p, v)
#define v_set(x) vdupq_n_f32(x)
#define v_zero() vdupq_n_f32(0)
#define v_add(a, b) vaddq_f32(a, b)
#define v_sub(a, b) vsubq_f32(a, b)
#define v_mul(a, b) vmulq_f32(a, b)
#define v_div(a, b) vdivq_f32(a, b)
#define v_sqrt(a) vsqrtq_f32(a)
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_max(a, b) NN__(max)(a, b)
#define v_min(a, b) NN__(min)(a, b)
#define v_gt(a, b) vcgtq_f32(a, b)
#define v_eq(a, b) vceqq_f32(a, b)
#define v_pick(m, a, b) vbslq_f32(m, a, b)
#define v_zip_low(a, b) vzip1q_f32(a, b)
#define v_zip_high(a, b) vzip2q_f32(a, b)
#define v_round(x) vrndnq_f32(x)
#define v_exp2i NN__(exp2i)
#define v_sum(v) vaddvq_f32(v)
NN__INLINE V NN__(max)(V a, V b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
NN__INLINE V NN__(min)(V a, V b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
NN__INLINE V NN__(exp2i)(V x, V n)
{
  const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
  const int32x4_t bias = vdupq_n_s32(127), rest = vsubq_s32(whole, half);
  x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
  return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
}
#endif

#ifndef v_part /* sets without masked loads and stores */
#define v_part NN__(part)
#define v_put NN__(put)
NN__INLINE V NN__(part)(const nn_real *p, size_t n)
{
  nn_real lane[VW] = {0};
  for (size_t i = 0; i < n; i++) lane[i] = p[i];
  return v_load(lane);
}
NN__INLINE void NN__(put)(nn_real *p, V v, size_t n)
{
  nn_real lane[VW];
  v_store(lane, v);
  for (size_t i = 0; i < n; i++) p[i] = lane[i];
}
#endif

/* A vector of the first min(n, VW) lanes at p, and its way back. */
NN__INLINE V NN__(v_get)(const nn_real *p, size_t n)
{
  return n >= VW ? v_load(p) : v_part(p, n);
}
NN__INLINE void NN__(v_set_n)(nn_real *p, V v, size_t n)
{
  if (n >= VW)
    v_store(p, v);
  else
    v_put(p, v, n);
}
#define v_get NN__(v_get)
#define v_give NN__(v_set_n)
#define NR (NV * VW)

/* ======================================= @@KERNEL ========================================== */

/* exp(x) = 2^n exp(r), n = round(x/ln 2), |r| <= ln 2 / 2, r in two parts (Cody & Waite). Here x
 * becomes exp(r) - 1 = r + r^2 Q(r) with Q the minimax polynomial of degree 4 (error 3e-9). */
#if !NN__DOUBLE
NN__INLINE void NN__(exp_parts)(V *x, V *n)
{
  *n = v_round(v_mul(*x, v_set(1.44269504f)));
  V r = v_fma(*n, v_set(-0.693359375f), *x);
  r = v_fma(*n, v_set(2.12194440e-4f), r);
  V q = v_set(1.38143182e-3f);
  q = v_fma(q, r, v_set(8.36885162e-3f));
  q = v_fma(q, r, v_set(4.16684002e-2f));
  q = v_fma(q, r, v_set(1.66665196e-1f));
  q = v_fma(q, r, v_set(4.99999940e-1f));
  *x = v_fma(q, v_mul(r, r), r);
}
#endif

/* Overflows to infinity, underflows through the subnormals to 0, keeps a NaN. */
NN__INLINE V NN__(vexp)(V x)
{
#if NN__DOUBLE
  return exp(x);
#else
  V n;
  x = v_min(v_set(89.0f), v_max(v_set(-104.0f), x));
  NN__(exp_parts)(&x, &n);
  return v_exp2i(v_add(x, v_set(1.0f)), n);
#endif
}

/* exp(x) - 1 for x <= 0, accurate near 0, too: 2^n (exp(r) - 1) + 2^n - 1. */
NN__INLINE V NN__(vexpm1)(V x)
{
#if NN__DOUBLE
  return expm1(x);
#else
  V n;
  x = v_max(v_set(-104.0f), x);
  NN__(exp_parts)(&x, &n);
  const V power = v_exp2i(v_set(1.0f), n);
  return v_fma(power, x, v_sub(power, v_set(1.0f)));
#endif
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + t), t = exp(-|x|): nothing overflows. log(1 + t) =
 * 2 atanh(z) = 2 (z + z^3/3 + z^5/5 + ..), z = t/(2 + t) <= 1/3: seven terms leave 1e-8 of it. */
NN__INLINE V NN__(vsoftplus)(V x)
{
#if NN__DOUBLE
  return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
#else
  const V t = NN__(vexp)(v_min(x, v_sub(v_zero(), x)));
  const V z = v_div(t, v_add(t, v_set(2.0f))), zz = v_mul(z, z);
  V p = v_set(2 / 13.0f);
  p = v_fma(p, zz, v_set(2 / 11.0f));
  p = v_fma(p, zz, v_set(2 / 9.0f));
  p = v_fma(p, zz, v_set(2 / 7.0f));
  p = v_fma(p, zz, v_set(2 / 5.0f));
  p = v_fma(p, zz, v_set(2 / 3.0f));
  p = v_fma(p, zz, v_set(2.0f));
  return v_fma(p, z, v_max(v_zero(), x));
#endif
}

/* The logistic function of x[0] .. x[sigmoids - 1] and tanh of the others, as fractions x/below:
 * several may share a division, and their chains of dependent operations run side by side.
 *   1/(1 + e) for x > 0, e/(1 + e) else, e = exp(-|x|): nothing overflows, so the relative error
 *   stays small down to the subnormals;
 *   tanh x = e/(e + 2), e = exp(2x) - 1 = 2^n (exp(r) - 1) + 2^n - 1, which is accurate near 0,
 *   too; past |x| = 10 it is +-1 to the last bit, and below stays under 5e8. */
NN__INLINE void NN__(fractions)(int sigmoids, int count, V *x, V *below)
{
#if NN__DOUBLE
  for (int k = 0; k < count; k++) {
    const V e = exp(-fabs(x[k]));
    below[k] = k < sigmoids ? 1 + e : 1;
    x[k] = k < sigmoids ? (x[k] > 0 ? 1 : e) : tanh(x[k]);
  }
#else
  const V zero = v_zero(), one = v_set(1), two = v_set(2);
  V e[4], n[4];
  NN__UNROLL
  for (int k = 0; k < count; k++)
    e[k] = k < sigmoids ? v_max(v_set(-104), v_min(x[k], v_sub(zero, x[k])))
                        : v_min(v_set(20), v_max(v_set(-20), v_add(x[k], x[k])));
  NN__UNROLL
  for (int k = 0; k < count; k++) NN__(exp_parts)(&e[k], &n[k]);
  NN__UNROLL
  for (int k = 0; k < count; k++) {
    if (k < sigmoids) {
      e[k] = v_exp2i(v_add(e[k], one), n[k]);
      x[k] = v_pick(v_gt(x[k], zero), one, e[k]);
      below[k] = v_add(e[k], one);
    } else {
      const V power = v_exp2i(one, n[k]);
      x[k] = v_fma(power, e[k], v_sub(power, one));
      below[k] = v_add(x[k], two);
    }
  }
#endif
}

NN__INLINE V NN__(vtanh)(V x)
{
  V below;
  NN__(fractions)(0, 1, &x, &below);
  return v_div(x, below);
}

NN__INLINE V NN__(vsigmoid)(V x)
{
  V below;
  NN__(fractions)(1, 1, &x, &below);
  return v_div(x, below);
}

/* Phi(x), the normal distribution function, and *density = exp(-x^2/2)/sqrt(2 pi).
 * erfc(z) = exp(-z^2) P(t), t = 1/(1 + z/2), z = |x|/sqrt 2, P minimax of degree 9 (error 7e-8). */
NN__INLINE V NN__(vphi)(V x, V *density)
{
#if NN__DOUBLE
  *density = exp(-0.5 * x * x) * 0.39894228040143267794;
  return 0.5 * erfc(-x * 0.70710678118654752440);
#else
  const V z = v_mul(v_max(v_sub(v_zero(), x), x), v_set(0.707106781f));
  const V e = NN__(vexp)(v_mul(v_mul(x, x), v_set(-0.5f)));
  const V t = v_div(v_set(1.0f), v_fma(z, v_set(0.5f), v_set(1.0f)));
  V p = v_set(-6.14517964e-2f);
  p = v_fma(p, t, v_set(2.97445417e-1f));
  p = v_fma(p, t, v_set(-5.16904771e-1f));
  p = v_fma(p, t, v_set(3.16386044e-1f));
  p = v_fma(p, t, v_set(-5.69602437e-2f));
  p = v_fma(p, t, v_set(2.17910588e-1f));
  p = v_fma(p, t, v_set(2.38278449e-1f));
  p = v_fma(p, t, v_set(2.83303708e-1f));
  p = v_fma(p, t, v_set(2.81988233e-1f));
  p = v_fma(p, t, v_set(4.34604545e-6f));
  const V half_erfc = v_mul(v_mul(p, e), v_set(0.5f));
  *density = v_mul(e, v_set(0.398942280f));
  return v_pick(v_gt(x, v_zero()), v_sub(v_set(1.0f), half_erfc), half_erfc);
#endif
}

/* ---- the tile ----------------------------------------------------------------------------- */

/* Stores the first m rows and n columns of the accumulators; see nn__finish. */
NN__INLINE void NN__(finish_tile)(V acc[MR][NV], int mr, int nv, nn_real *c, size_t ldc, size_t m,
                                  size_t n, const nn__finish *f)
{
  const V alpha = v_set(f->alpha), beta = v_set(f->beta);
  const int reads = f->beta != 0;
  if (f->across) {
    nn_real tile[MR * NR];
    NN__UNROLL
    for (int i = 0; i < mr; i++)
      NN__UNROLL
      for (int v = 0; v < nv; v++) v_store(tile + i * NR + v * VW, acc[i][v]);
    for (size_t j = 0; j < n && j < (size_t)nv * VW; j++)
      for (size_t i = 0; i < m && i < (size_t)mr; i++) {
        nn_real *to = c + j * ldc + i, x = f->alpha * tile[i * NR + j];
        if (reads) x += f->beta * *to;
        if (f->bias) x += f->bias[i];
        *to = f->relu && x < 0 ? 0 : x;
      }
    return;
  }
  if (m == (size_t)mr && n == (size_t)nv * VW && f->alpha == 1 && !f->bias && !f->relu) {
    NN__UNROLL
    for (int i = 0; i < mr; i++) /* whole and plain: no more than the sums and their stores */
      NN__UNROLL
      for (int v = 0; v < nv; v++) {
        nn_real *to = c + (size_t)i * ldc + v * VW;
        v_store(to, reads ? v_fma(beta, v_load(to), acc[i][v]) : acc[i][v]);
      }
    return;
  }
  NN__UNROLL
  for (int i = 0; i < mr; i++) {
    if ((size_t)i >= m) continue;
    NN__UNROLL
    for (int v = 0; v < nv; v++) {
      const size_t j = (size_t)v * VW;
      nn_real *to = c + (size_t)i * ldc + j;
      V x = v_mul(alpha, acc[i][v]);
      if (reads) x = v_fma(beta, v_get(to, n - j), x);
      if (f->bias) x = v_add(x, v_get(f->bias + j, n - j));
      if (f->relu) x = v_max(v_zero(), x);
      v_give(to, x, n - j);
    }
  }
}

/* mr rows of nv vectors: constants wherever this is called, so acc becomes registers. */
NN__INLINE void NN__(tile_body)(int mr, int nv, int exact, const nn__walk *w,
                                const nn_real *const *a, const nn_real *b, nn_real *c, size_t ldc,
                                size_t m, size_t n, const nn__finish *f)
{
  V acc[MR][NV];
  const nn_real *from[MR];
  NN__UNROLL
  for (int i = 0; i < mr; i++) {
    from[i] = a[(size_t)i < m ? i : 0]; /* rows past m are computed and dropped */
    NN__UNROLL
    for (int v = 0; v < nv; v++) acc[i][v] = v_zero();
  }
  const size_t a_step = w->a_step, b_step = w->b_step, segments = w->segments;
  for (size_t s = 0; s < segments; s++) {
    size_t o = w->skip[s], left = s + 1 < segments ? w->length : w->last;
    for (; left; left--, o += a_step, b += b_step) {
      V row[NV];
      NN__UNROLL
      for (int v = 0; v < nv; v++)
        row[v] = exact && v == nv - 1 ? v_get(b + v * VW, n - (size_t)v * VW) : v_load(b + v * VW);
      NN__UNROLL
      for (int i = 0; i < mr; i++) {
        const V x = v_set(from[i][o]);
        NN__UNROLL
        for (int v = 0; v < nv; v++) acc[i][v] = v_fma(x, row[v], acc[i][v]);
      }
    }
  }
  NN__(finish_tile)(acc, mr, nv, c, ldc, m, n, f);
}

NN__INLINE void NN__(tile_high)(int mr, const nn__walk *w, const nn_real *const *a,
                                const nn_real *b, nn_real *c, size_t ldc, size_t m, size_t n,
                                const nn__finish *f)
{
  const int exact = (w->how & NN__EXACT) && n % VW;
  if (n > (NV - 1) * VW) {
    if (exact)
      NN__(tile_body)(mr, NV, 1, w, a, b, c, ldc, m, n, f);
    else
      NN__(tile_body)(mr, NV, 0, w, a, b, c, ldc, m, n, f);
  } else if (NV > 2 && n > VW) {
    NN__(tile_body)(mr, NV - 1, 1, w, a, b, c, ldc, m, n, f);
  } else if (exact) {
    NN__(tile_body)(mr, 1, 1, w, a, b, c, ldc, m, n, f);
  } else {
    NN__(tile_body)(mr, 1, 0, w, a, b, c, ldc, m, n, f);
  }
}

static void NN__(tile)(const nn__walk *w, const nn_real *const *a, const nn_real *b, nn_real *c,
                       size_t ldc, size_t m, size_t n, const nn__finish *f)
{
  /* C is on its way meanwhile; a short product is over sooner than that pays */
  const int ahead = !f->across && (f->beta != 0 || w->segments * w->length > 64);
  for (size_t i = 0; ahead && i < m; i++) {
    NN__PREFETCH(c + i * ldc);
    NN__PREFETCH(c + i * ldc + n - 1);
  }
  if (m > MR2)
    NN__(tile_high)(MR, w, a, b, c, ldc, m, n, f);
  else if (m > MR3)
    NN__(tile_high)(MR2, w, a, b, c, ldc, m, n, f);
  else
    NN__(tile_high)(MR3, w, a, b, c, ldc, m, n, f);
}

/* x[i] = column i of the matrix that has x[0], x[1], .. as its rows: interleaving the upper half of
 * the rows with the lower one moves one bit of a column's number into the row's; VW = 2^stages. */
NN__INLINE void NN__(transpose_square)(V x[VW])
{
  V y[VW];
  NN__UNROLL
  for (int bit = 1; bit < VW; bit *= 2) {
    NN__UNROLL
    for (int i = 0; i < VW; i++) y[i] = x[i];
    NN__UNROLL
    for (int i = 0; i < VW / 2; i++) {
      x[2 * i] = v_zip_low(y[i], y[i + VW / 2]);
      x[2 * i + 1] = v_zip_high(y[i], y[i + VW / 2]);
    }
  }
}

/* to[j ldt + i] = from[i ldf + j]. padded: up to the next multiple of VW in i, with zeros. */
NN__INLINE void NN__(transpose_body)(int padded, nn_real *to, size_t ldt, const nn_real *from,
                                     size_t ldf, size_t rows, size_t cols)
{
  for (size_t j = 0; j < cols; j += VW)
    for (size_t i = 0; i < rows; i += VW) {
      const size_t left = rows - i, count = cols - j < VW ? cols - j : VW;
      const nn_real *at = from + i * ldf + j;
      nn_real *out = to + j * ldt + i;
      V x[VW];
      if (left >= VW && count == VW) {
        NN__UNROLL
        for (int r = 0; r < VW; r++) x[r] = v_load(at + (size_t)r * ldf);
      } else {
        for (size_t r = 0; r < VW; r++) x[r] = r < left ? v_get(at + r * ldf, count) : v_zero();
      }
      NN__(transpose_square)(x);
      if ((left >= VW || padded) && count == VW) {
        NN__UNROLL
        for (int q = 0; q < VW; q++) v_store(out + (size_t)q * ldt, x[q]);
      } else {
        for (size_t q = 0; q < count; q++) v_give(out + q * ldt, x[q], padded ? VW : left);
      }
    }
}

static void NN__(transpose)(nn_real *to, size_t ldt, const nn_real *from, size_t ldf, size_t rows,
                            size_t cols)
{
  NN__(transpose_body)(0, to, ldt, from, ldf, rows, cols);
}

static void NN__(pack)(nn_real *to, const nn_real *b, size_t rs, size_t cs, size_t k, size_t n)
{
  const size_t whole = cs == 1 ? n / NR : 0; /* panels of rows that are copied as they lie */
  for (size_t p = 0; whole && p < k; p++)
    for (size_t j = 0; j < whole; j++)
      NN__UNROLL
      for (int v = 0; v < NV; v++)
        v_store(to + (j * k + p) * NR + v * VW, v_load(b + p * rs + j * NR + v * VW));
  to += whole * k * NR;
  for (size_t j = whole * NR; j < n; j += NR, to += k * NR) {
    const size_t width = n - j < NR ? n - j : NR, stored = (width + VW - 1) / VW * VW;
    if (rs == 1)
      NN__(transpose_body)(1, to, NR, b + j * cs, cs, width, k);
    for (size_t p = 0; p < k; p++) {
      for (size_t i = 0; rs != 1 && i < width; i += VW)
        v_store(to + p * NR + i, v_get(b + p * rs + j + i, width - i));
      for (size_t i = stored; i < NR; i += VW) v_store(to + p * NR + i, v_zero());
    }
  }
}

/* Eight rows of w at a time: x is loaded once for eight sums, and memory has as many streams to
 * fetch ahead. */
static void NN__(dots)(nn_real *y, const nn_real *x, const nn_real *w, size_t ldw, size_t k,
                       size_t n, const nn__finish *f)
{
  enum { NN__ROWS = 8 };
  for (size_t j = 0; j < n; j += NN__ROWS) {
    const nn_real *row[NN__ROWS];
    V acc[NN__ROWS];
    NN__UNROLL
    for (size_t r = 0; r < NN__ROWS; r++) {
      row[r] = w + (j + r < n ? j + r : j) * ldw;
      acc[r] = v_zero();
    }
    size_t p = 0;
    for (; p + VW <= k; p += VW) {
      const V v = v_load(x + p);
      NN__UNROLL
      for (int r = 0; r < NN__ROWS; r++) acc[r] = v_fma(v, v_load(row[r] + p), acc[r]);
    }
    if (p < k) {
      const V v = v_get(x + p, k - p);
      NN__UNROLL
      for (int r = 0; r < NN__ROWS; r++) acc[r] = v_fma(v, v_get(row[r] + p, k - p), acc[r]);
    }
    for (size_t r = 0; r < NN__ROWS && j + r < n; r++) {
      nn_real s = f->alpha * v_sum(acc[r]);
      if (f->beta != 0) s += f->beta * y[j + r];
      if (f->bias) s += f->bias[j + r];
      y[j + r] = f->relu && s < 0 ? 0 : s;
    }
  }
}

/* ---- element by element ------------------------------------------------------------------- */

/* a, b: the numbers of the layer. Every one keeps a NaN: v_max and v_min give their second argument
 * where one is a NaN. */
NN__INLINE V NN__(act)(int act, V x, V a, V b)
{
  const V zero = v_zero(), one = v_set(1), three = v_set(3), sixth = v_set((nn_real)(1 / 6.0));
  V density;
  switch (act) {
  case NN__ACT_RELU: return v_max(zero, x);
  case NN__ACT_LEAKY_RELU: return v_pick(v_gt(x, zero), x, v_mul(a, x));
  case NN__ACT_ELU: return v_pick(v_gt(x, zero), x, v_mul(a, NN__(vexpm1)(v_min(zero, x))));
  case NN__ACT_GELU: return v_mul(x, NN__(vphi)(x, &density));
  case NN__ACT_SILU: return v_mul(x, NN__(vsigmoid)(x));
  case NN__ACT_SOFTPLUS: return NN__(vsoftplus)(x);
  case NN__ACT_HARD_SIGMOID: return v_min(one, v_max(zero, v_mul(v_add(x, three), sixth)));
  case NN__ACT_HARD_SWISH:
    return v_mul(x, v_min(one, v_max(zero, v_mul(v_add(x, three), sixth))));
  case NN__ACT_CLAMP: return v_min(b, v_max(a, x));
  case NN__ACT_TANH: return NN__(vtanh)(x);
  default: return NN__(vsigmoid)(x);
  }
}

NN__INLINE void NN__(activate_body)(int act, nn_real *y, const nn_real *x, size_t n, V a, V b)
{
  for (size_t i = 0; i < n; i += VW)
    v_give(y + i, NN__(act)(act, v_get(x + i, n - i), a, b), n - i);
}

#ifndef NN_NO_TRAINING
/* d times the derivative at v, which is x or y as NN__ACTS says.
 * relu: y > 0 ? d : 0; leaky: x > 0 ? d : a d; elu: x > 0 ? d : d a exp(x); gelu: Phi + x phi;
 * silu: s (1 + x (1 - s)); softplus: the sigmoid; hard sigmoid: -3 < x < 3 ? d/6 : 0; hard swish:
 * x > -3 ? x < 3 ? d (x/3 + 1/2) : d : 0; clamp: a < x < b ? d : 0; tanh: 1 - y^2;
 * sigmoid: y (1 - y). A unit that is off passes nothing, not even a NaN. */
NN__INLINE V NN__(act_back)(int act, V d, V v, V a, V b)
{
  const V zero = v_zero(), one = v_set(1), three = v_set(3);
  V density;
  switch (act) {
  case NN__ACT_RELU: return v_pick(v_gt(v, zero), d, zero);
  case NN__ACT_LEAKY_RELU: return v_pick(v_gt(v, zero), d, v_mul(d, a));
  case NN__ACT_ELU: return v_pick(v_gt(v, zero), d, v_mul(d, v_mul(a, NN__(vexp)(v))));
  case NN__ACT_GELU: {
    const V phi = NN__(vphi)(v, &density);
    return v_mul(d, v_fma(v, density, phi));
  }
  case NN__ACT_SILU: {
    const V s = NN__(vsigmoid)(v);
    return v_mul(d, v_mul(s, v_fma(v, v_sub(one, s), one)));
  }
  case NN__ACT_SOFTPLUS: return v_mul(d, NN__(vsigmoid)(v));
  case NN__ACT_HARD_SIGMOID: {
    const V on = v_pick(v_gt(three, v), v_mul(d, v_set((nn_real)(1 / 6.0))), zero);
    return v_pick(v_gt(v, v_sub(zero, three)), on, zero);
  }
  case NN__ACT_HARD_SWISH: {
    const V rising = v_mul(d, v_fma(v, v_set((nn_real)(1 / 3.0)), v_set(0.5f)));
    const V on = v_pick(v_gt(three, v), rising, d);
    return v_pick(v_gt(v, v_sub(zero, three)), on, zero);
  }
  case NN__ACT_CLAMP: return v_pick(v_gt(v, a), v_pick(v_gt(b, v), d, zero), zero);
  case NN__ACT_TANH: return v_mul(d, v_sub(one, v_mul(v, v)));
  default: return v_mul(d, v_mul(v, v_sub(one, v)));
  }
}

NN__INLINE void NN__(activate_back_body)(int act, nn_real *dx, const nn_real *dy, const nn_real *xy,
                                         size_t n, V a, V b)
{
  for (size_t i = 0; i < n; i += VW)
    v_give(dx + i, NN__(act_back)(act, v_get(dy + i, n - i), v_get(xy + i, n - i), a, b), n - i);
}
#endif

/* The function is a constant for each copy of the body. */
static void NN__(activate)(int act, nn_real *y, const nn_real *x, size_t n, nn_real a, nn_real b)
{
#define NN__ACT_CASE(name, text, needs)                                                           \
  case NN__ACT_##name:                                                                            \
    NN__(activate_body)(NN__ACT_##name, y, x, n, v_set(a), v_set(b));                             \
    break;
  switch (act) { NN__ACTS(NN__ACT_CASE) }
#undef NN__ACT_CASE
}

#ifndef NN_NO_TRAINING
static void NN__(activate_back)(int act, nn_real *dx, const nn_real *dy, const nn_real *xy,
                                size_t n, nn_real a, nn_real b)
{
#define NN__ACT_CASE(name, text, needs)                                                           \
  case NN__ACT_##name:                                                                            \
    NN__(activate_back_body)(NN__ACT_##name, dx, dy, xy, n, v_set(a), v_set(b));                  \
    break;
  switch (act) { NN__ACTS(NN__ACT_CASE) }
#undef NN__ACT_CASE
}
#endif

static void NN__(add)(nn_real *y, const nn_real *a, const nn_real *b, size_t n)
{
  for (size_t i = 0; i < n; i += VW)
    v_give(y + i, v_add(v_get(a + i, n - i), v_get(b + i, n - i)), n - i);
}

static void NN__(scale)(nn_real *y, nn_real s, size_t n)
{
  const V factor = v_set(s);
  for (size_t i = 0; i < n; i += VW) v_give(y + i, v_mul(v_get(y + i, n - i), factor), n - i);
}

/* nv vectors of sums at once, so that their chains of dependent operations run side by side. */
NN__INLINE void NN__(add_taps_body)(size_t nv, nn_real *y, const nn_real *a, const nn_real *b,
                                    const nn__steps *s, size_t rows, size_t cols, size_t n)
{
  V sum[4];
  NN__UNROLL
  for (size_t v = 0; v < nv; v++) sum[v] = nv > 1 ? v_load(y + v * VW) : v_get(y, n);
  for (size_t r = 0; r < rows; r++)
    for (size_t q = 0; q < cols; q++) {
      const nn_real *x = a + (ptrdiff_t)r * s->a_row + (ptrdiff_t)q * s->a_col;
      const nn_real *w = b + (ptrdiff_t)r * s->b_row + (ptrdiff_t)q * s->b_col;
      NN__UNROLL
      for (size_t v = 0; v < nv; v++)
        sum[v] = nv > 1 ? v_fma(v_load(x + v * VW), v_load(w + v * VW), sum[v])
                        : v_fma(v_get(x, n), v_get(w, n), sum[v]);
    }
  NN__UNROLL
  for (size_t v = 0; v < nv; v++) v_give(y + v * VW, sum[v], n - v * VW);
}

static void NN__(add_taps)(nn_real *y, const nn_real *a, const nn_real *b, const nn__steps *s,
                           size_t rows, size_t cols, size_t n)
{
  size_t j = 0;
  for (; n - j >= 4 * VW; j += 4 * VW)
    NN__(add_taps_body)(4, y + j, a + j, b + j, s, rows, cols, 4 * VW);
  for (; j < n; j += VW) NN__(add_taps_body)(1, y + j, a + j, b + j, s, rows, cols, n - j);
}

static void NN__(axpy)(nn_real *y, nn_real s, const nn_real *x, size_t n)
{
  const V factor = v_set(s);
  for (size_t i = 0; i < n; i += VW)
    v_give(y + i, v_fma(factor, v_get(x + i, n - i), v_get(y + i, n - i)), n - i);
}

/* Eight rows at a time: y passes through the registers once for eight, and memory has as many
 * streams to fetch ahead. */
static void NN__(combine)(nn_real *y, const nn_real *s, size_t step, const nn_real *x, size_t ldx,
                          size_t k, size_t n)
{
  enum { NN__ROWS = 8 };
  for (; k >= NN__ROWS; k -= NN__ROWS, s += NN__ROWS * step, x += NN__ROWS * ldx) {
    V factor[NN__ROWS];
    NN__UNROLL
    for (size_t r = 0; r < NN__ROWS; r++) factor[r] = v_set(s[r * step]);
    for (size_t j = 0; j < n; j += VW) {
      V sum = v_get(y + j, n - j);
      NN__UNROLL
      for (size_t r = 0; r < NN__ROWS; r++)
        sum = v_fma(factor[r], v_get(x + r * ldx + j, n - j), sum);
      v_give(y + j, sum, n - j);
    }
  }
  for (; k; k--, s += step, x += ldx) NN__(axpy)(y, *s, x, n);
}

/* ---- sums --------------------------------------------------------------------------------- */

#ifndef NN_NO_TRAINING
static double NN__(sum_squares)(const nn_real *x, size_t n, nn_real s)
{
  const V factor = v_set(s);
  double sum = 0; /* of short float sums */
  for (size_t i = 0; i < n;) {
    V part = v_zero();
    const size_t end = n - i > 64 * VW ? i + 64 * VW : n;
    for (; i < end; i += VW) {
      const V v = v_mul(factor, v_get(x + i, n - i));
      part = v_fma(v, v, part);
    }
    sum += (double)v_sum(part);
  }
  return sum;
}
#endif

NN__INLINE void NN__(sum_rows_body)(int from_mean, int squares, nn_real *sum, const nn_real *x,
                                    size_t ldx, const nn_real *mean, const nn_real *y, size_t rows,
                                    size_t cols)
{
  for (size_t j = 0; j < cols; j += VW) {
    const size_t left = cols - j;
    const V mu = from_mean ? v_get(mean + j, left) : v_zero();
    V s = v_zero();
    for (size_t i = 0; i < rows; i++) {
      const V v = v_get(x + i * ldx + j, left), d = v_sub(v, mu);
      s = from_mean ? v_fma(d, squares ? d : v_get(y + i * ldx + j, left), s) : v_add(s, v);
    }
    v_give(sum + j, v_add(v_get(sum + j, left), s), left);
  }
}

static void NN__(sum_rows)(nn_real *sum, const nn_real *x, size_t ldx, const nn_real *mean,
                           const nn_real *y, size_t rows, size_t cols)
{
  if (!mean)
    NN__(sum_rows_body)(0, 0, sum, x, ldx, mean, y, rows, cols);
  else if (y)
    NN__(sum_rows_body)(1, 0, sum, x, ldx, mean, y, rows, cols);
  else
    NN__(sum_rows_body)(1, 1, sum, x, ldx, mean, y, rows, cols);
}

NN__INLINE void NN__(affine_body)(int both, nn_real *z, const nn_real *x, const nn_real *y,
                                  const nn_real *p, const nn_real *q, const nn_real *r,
                                  size_t rows, size_t cols)
{
  for (size_t i = 0; i < rows * cols; i += cols)
    for (size_t j = 0; j < cols; j += VW) {
      const size_t left = cols - j;
      V t = v_get(r + j, left);
      if (both) t = v_fma(v_get(q + j, left), v_get(y + i + j, left), t);
      v_give(z + i + j, v_fma(v_get(p + j, left), v_get(x + i + j, left), t), left);
    }
}

static void NN__(affine_rows)(nn_real *z, const nn_real *x, const nn_real *y, const nn_real *p,
                              const nn_real *q, const nn_real *r, size_t rows, size_t cols)
{
  if (y)
    NN__(affine_body)(1, z, x, y, p, q, r, rows, cols);
  else
    NN__(affine_body)(0, z, x, y, p, q, r, rows, cols);
}

/* ---- rows --------------------------------------------------------------------------------- */

/* y_j = exp(x_j - max) / sum exp(x_j - max). A row with a NaN becomes all NaN. */
static void NN__(softmax)(nn_real *y, const nn_real *x, size_t rows, size_t cols)
{
  for (size_t i = 0; i < rows; i++, x += cols, y += cols) {
    nn_real max = x[0];
    for (size_t j = 1; j < cols; j++) max = x[j] > max ? x[j] : max;
    const V shift = v_set(max);
    V sum = v_zero();
    for (size_t j = 0; j < cols; j += VW) {
      const V e = NN__(vexp)(v_sub(v_get(x + j, cols - j), shift));
      v_give(y + j, e, cols - j);
      sum = v_add(sum, v_get(y + j, cols - j)); /* read back: lanes past the row count as 0 */
    }
    NN__(scale)(y, 1 / v_sum(sum), cols);
  }
}

#ifndef NN_NO_TRAINING
static void NN__(softmax_back)(nn_real *dx, const nn_real *dy, const nn_real *y, size_t rows,
                               size_t cols)
{
  for (size_t i = 0; i < rows; i++, dx += cols, dy += cols, y += cols) {
    V dot = v_zero();
    for (size_t j = 0; j < cols; j += VW)
      dot = v_fma(v_get(dy + j, cols - j), v_get(y + j, cols - j), dot);
    const V mean = v_set(v_sum(dot));
    for (size_t j = 0; j < cols; j += VW)
      v_give(dx + j, v_mul(v_get(y + j, cols - j), v_sub(v_get(dy + j, cols - j), mean)), cols - j);
  }
}
#endif

/* (x - mean) inverse; stats = {mean, its rest, inverse}. */
NN__INLINE V NN__(hat)(const nn_real *x, size_t n, const nn_real *stats)
{
  const V d = v_sub(v_sub(v_get(x, n), v_set(stats[0])), v_set(stats[1]));
  return v_mul(d, v_set(stats[2]));
}

static void NN__(norm_row)(nn_real *y, const nn_real *x, const nn_real *w, const nn_real *b,
                           size_t n, nn_real *stats)
{
  V sum = v_zero();
  for (size_t j = 0; j < n; j += VW) sum = v_add(sum, v_get(x + j, n - j));
  const nn_real mean = v_sum(sum) / (nn_real)n;
  double rest = 0, square = 0; /* what rounding left out of the mean; the variance */
  for (size_t j = 0; j < n; j++) rest += (double)(x[j] - mean);
  rest /= (double)n;
  for (size_t j = 0; j < n; j++) {
    const double d = (double)(x[j] - mean) - rest;
    square += d * d;
  }
  stats[0] = mean;
  stats[1] = (nn_real)rest;
  stats[2] = (nn_real)(1 / sqrt(square / (double)n + 1e-5));
  for (size_t j = 0; j < n; j += VW)
    v_give(y + j,
           v_fma(NN__(hat)(x + j, n - j, stats), v_get(w + j, n - j), v_get(b + j, n - j)), n - j);
}

#ifndef NN_NO_TRAINING
/* dx = inverse (g - mean(g) - xhat mean(g xhat)), g = dy w. */
static void NN__(norm_row_back)(nn_real *dx, nn_real *dw, nn_real *db, const nn_real *dy,
                                const nn_real *x, const nn_real *w, size_t n, const nn_real *stats)
{
  V sum_g = v_zero(), sum_gx = v_zero();
  for (size_t j = 0; j < n; j += VW) {
    const V d = v_get(dy + j, n - j), hat = NN__(hat)(x + j, n - j, stats);
    const V g = v_mul(d, v_get(w + j, n - j));
    sum_g = v_add(sum_g, g);
    sum_gx = v_fma(g, hat, sum_gx);
    v_give(dw + j, v_fma(d, hat, v_get(dw + j, n - j)), n - j);
    v_give(db + j, v_add(d, v_get(db + j, n - j)), n - j);
  }
  const V mean_g = v_set(v_sum(sum_g) / (nn_real)n), mean_gx = v_set(v_sum(sum_gx) / (nn_real)n);
  for (size_t j = 0; j < n; j += VW) {
    const V hat = NN__(hat)(x + j, n - j, stats);
    const V g = v_mul(v_get(dy + j, n - j), v_get(w + j, n - j));
    v_give(dx + j, v_mul(v_set(stats[2]), v_sub(v_sub(g, mean_g), v_mul(hat, mean_gx))), n - j);
  }
}
#endif

/* ---- pooling ------------------------------------------------------------------------------ */

static void NN__(max_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols,
                             size_t n, int more)
{
  for (size_t j = 0; j < n; j += VW) {
    V max = v_get((more ? y : x) + j, n - j);
    for (size_t r = 0; r < rows; r++)
      for (size_t q = 0; q < cols; q++) {
        const V v = v_get(x + r * row + q * n + j, n - j);
        max = v_pick(v_eq(v, v), v_pick(v_gt(v, max), v, max), v); /* v is not NaN ? .. : v */
      }
    v_give(y + j, max, n - j);
  }
}

static void NN__(sum_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols,
                             size_t n, nn_real s)
{
  for (size_t j = 0; j < n; j += VW) {
    V sum = v_zero();
    for (size_t r = 0; r < rows; r++)
      for (size_t q = 0; q < cols; q++) sum = v_add(sum, v_get(x + r * row + q * n + j, n - j));
    v_give(y + j, v_mul(sum, v_set(s)), n - j);
  }
}

#ifndef NN_NO_TRAINING
static void NN__(max_window_back)(nn_real *dx, const nn_real *x, size_t row, size_t rows,
                                  size_t cols, const nn_real *y, const nn_real *dy, size_t n,
                                  int add, int relu)
{
  const V zero = v_zero();
  for (size_t j = 0; j < n; j += VW) {
    const V max = v_get(y + j, n - j);
    V left = v_get(dy + j, n - j); /* what no pixel has taken yet */
    if (relu) left = v_pick(v_gt(max, zero), left, zero);
    for (size_t r = 0; r < rows; r++)
      for (size_t q = 0; q < cols; q++) {
        const size_t at = r * row + q * n + j;
        const M hit = v_eq(v_get(x + at, n - j), max);
        const V d = v_pick(hit, left, zero);
        v_give(dx + at, add ? v_add(v_get(dx + at, n - j), d) : d, n - j);
        left = v_pick(hit, zero, left);
      }
  }
}
#endif

/* ---- Winograd ----------------------------------------------------------------------------- */

/* B^T d: row j holds the coefficients of prod over i of (x - a_i) without (x - a_j), for the points
 * a = 0, 1, -1, 2, -2, 1/2, -1/2; the last row, for infinity, those of the whole product. */
NN__INLINE void NN__(winograd_b)(V d[8])
{
  const V c5 = v_set((nn_real)5.25), c4 = v_set((nn_real)-4.25), half = v_set((nn_real).5);
  const V quarter = v_set((nn_real).25), two = v_set(2), four = v_set(4);
  const V d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
  const V d4 = d[4], d5 = d[5], d6 = d[6], d7 = d[7];
  const V e1 = v_add(v_fma(c4, d4, d2), d6), o1 = v_add(v_fma(c4, d3, d1), d5);
  const V e2 = v_fma(quarter, d2, v_fma(v_set((nn_real)-1.25), d4, d6));
  const V o2 = v_fma(half, d1, v_fma(v_set((nn_real)-2.5), d3, v_mul(two, d5)));
  const V e3 = v_fma(four, d2, v_fma(v_set(-5), d4, d6));
  const V o3 = v_fma(two, d1, v_fma(v_set((nn_real)-2.5), d3, v_mul(half, d5)));
  d[0] = v_fma(c5, v_sub(d2, d4), v_sub(d6, d0));
  d[1] = v_add(e1, o1);
  d[2] = v_sub(e1, o1);
  d[3] = v_add(e2, o2);
  d[4] = v_sub(e2, o2);
  d[5] = v_add(e3, o3);
  d[6] = v_sub(e3, o3);
  d[7] = v_fma(c5, v_sub(d3, d5), v_sub(d7, d1));
}

/* A^T: sums of a_j^i over the points for i < m, infinity in the last. */
NN__INLINE void NN__(winograd_a)(V d[8], int m)
{
  const V s1 = v_add(d[1], d[2]), d1 = v_sub(d[1], d[2]);
  const V s2 = v_add(d[3], d[4]), d2 = v_sub(d[3], d[4]);
  const V s3 = v_add(d[5], d[6]), d3 = v_sub(d[5], d[6]);
  const V last = d[7];
  d[0] = v_add(v_add(d[0], s1), v_add(s2, s3));
  nn_real power = 2;
  NN__UNROLL
  for (int i = 1; i < 6; i++, power *= 2) {
    if (i >= m) continue;
    const V x = v_fma(v_set(power), i & 1 ? d2 : s2,
                      v_fma(v_set(1 / power), i & 1 ? d3 : s3, i & 1 ? d1 : s1));
    d[i] = i == m - 1 ? v_add(x, last) : x;
  }
}

/* A: the polynomial with coefficients d_0 .. d_{m-1} at the points; infinity: d_{m-1}. */
NN__INLINE void NN__(winograd_a_back)(V d[8], int m)
{
  const V last = d[m - 1];
  V even[3], odd[3];
  NN__UNROLL
  for (int k = 0; k < 3; k++) { /* points 1, 2, 1/2 */
    const nn_real a = k == 0 ? 1 : k == 1 ? 2 : (nn_real).5;
    V e = d[0], o = v_mul(v_set(a), d[1]);
    nn_real power = a;
    NN__UNROLL
    for (int i = 2; i < 6; i++) {
      power *= a;
      if (i >= m) continue;
      if (i & 1)
        o = v_fma(v_set(power), d[i], o);
      else
        e = v_fma(v_set(power), d[i], e);
    }
    even[k] = e, odd[k] = o;
  }
  NN__UNROLL
  for (int k = 0; k < 3; k++) {
    d[1 + 2 * k] = v_add(even[k], odd[k]);
    d[2 + 2 * k] = v_sub(even[k], odd[k]);
  }
  d[7] = last;
}

static void NN__(winograd_weights)(nn_real *to, size_t ldt, int side, const nn_real *from,
                                   size_t ldf, int k, const nn_real p[8][8], size_t n)
{
  for (size_t j = 0; j < n; j += VW)
    for (int i = 0; i < side; i++) {
      V half[8]; /* a row of P x */
      for (int c = 0; c < k; c++) {
        V sum = v_zero();
        for (int r = 0; r < k; r++)
          sum = v_fma(v_set(p[i][r]), v_get(from + (size_t)(r * k + c) * ldf + j, n - j), sum);
        half[c] = sum;
      }
      for (int f = 0; f < side; f++) {
        V sum = v_zero();
        for (int c = 0; c < k; c++) sum = v_fma(v_set(p[f][c]), half[c], sum);
        v_give(to + (size_t)(i * side + f) * ldt + j, sum, n - j);
      }
    }
}

static void NN__(winograd_in)(nn_real *v, size_t step, const nn_real *x, size_t row, size_t c,
                              nn_real *half)
{
  for (size_t j = 0; j < c; j += VW) {
    V t[8];
    for (size_t i = 0; i < 8; i++) {
      NN__UNROLL
      for (size_t k = 0; k < 8; k++) t[k] = v_get(x + i * row + k * c + j, c - j);
      NN__(winograd_b)(t);
      NN__UNROLL
      for (size_t k = 0; k < 8; k++) v_store(half + (i * 8 + k) * VW, t[k]);
    }
    for (size_t k = 0; k < 8; k++) {
      NN__UNROLL
      for (size_t i = 0; i < 8; i++) t[i] = v_load(half + (i * 8 + k) * VW);
      NN__(winograd_b)(t);
      NN__UNROLL
      for (size_t i = 0; i < 8; i++) v_give(v + (i * 8 + k) * step + j, t[i], c - j);
    }
  }
}

NN__INLINE void NN__(winograd_out_body)(int m, nn_real *y, size_t row, size_t c, const nn_real *v,
                                        size_t step, size_t rows, size_t cols, const nn__finish *f,
                                        nn_real *half)
{
  for (size_t j = 0; j < c; j += VW) {
    const V bias = f->bias ? v_get(f->bias + j, c - j) : v_zero();
    V t[8];
    for (size_t k = 0; k < 8; k++) {
      NN__UNROLL
      for (size_t i = 0; i < 8; i++) t[i] = v_get(v + (i * 8 + k) * step + j, c - j);
      NN__(winograd_a)(t, m);
      NN__UNROLL
      for (int i = 0; i < m; i++) v_store(half + ((size_t)i * 8 + k) * VW, t[i]);
    }
    for (size_t i = 0; i < rows; i++) {
      NN__UNROLL
      for (size_t k = 0; k < 8; k++) t[k] = v_load(half + (i * 8 + k) * VW);
      NN__(winograd_a)(t, m);
      for (size_t k = 0; k < cols; k++) {
        V x = v_add(t[k], bias);
        if (f->relu) x = v_max(v_zero(), x);
        v_give(y + i * row + k * c + j, x, c - j);
      }
    }
  }
}

static void NN__(winograd_out)(nn_real *y, size_t row, size_t c, const nn_real *v, size_t step,
                               int m, size_t rows, size_t cols, const nn__finish *f, nn_real *half)
{
  if (m == 4)
    NN__(winograd_out_body)(4, y, row, c, v, step, rows, cols, f, half);
  else
    NN__(winograd_out_body)(6, y, row, c, v, step, rows, cols, f, half);
}

#ifndef NN_NO_TRAINING
NN__INLINE void NN__(winograd_out_back_body)(int m, nn_real *v, size_t step, const nn_real *dy,
                                             size_t row, size_t c, size_t rows, size_t cols,
                                             nn_real *half)
{
  for (size_t j = 0; j < c; j += VW) {
    V t[8];
    for (size_t i = 0; i < (size_t)m; i++) {
      NN__UNROLL
      for (size_t k = 0; k < (size_t)m; k++)
        t[k] = i < rows && k < cols ? v_get(dy + i * row + k * c + j, c - j) : v_zero();
      NN__(winograd_a_back)(t, m);
      NN__UNROLL
      for (size_t k = 0; k < 8; k++) v_store(half + (i * 8 + k) * VW, t[k]);
    }
    for (size_t k = 0; k < 8; k++) {
      NN__UNROLL
      for (size_t i = 0; i < (size_t)m; i++) t[i] = v_load(half + (i * 8 + k) * VW);
      NN__(winograd_a_back)(t, m);
      NN__UNROLL
      for (size_t i = 0; i < 8; i++) v_give(v + (i * 8 + k) * step + j, t[i], c - j);
    }
  }
}

static void NN__(winograd_out_back)(nn_real *v, size_t step, const nn_real *dy, size_t row,
                                    size_t c, int m, size_t rows, size_t cols, nn_real *half)
{
  if (m == 4)
    NN__(winograd_out_back_body)(4, v, step, dy, row, c, rows, cols, half);
  else
    NN__(winograd_out_back_body)(6, v, step, dy, row, c, rows, cols, half);
}
#endif

/* ---- cells -------------------------------------------------------------------------------- */

/* Where a gate's units j.. of a row lie, the gate's first column being `from`. */
NN__INLINE nn_real *NN__(units)(nn_real *g, size_t panel, size_t from, size_t j)
{
  return g + (from + j) / NR * panel + (from + j) % NR;
}

/* x becomes columns from .. of a row that lies in panels. */
static void NN__(to_panels)(nn_real *to, size_t panel, size_t from, const nn_real *x, size_t n)
{
  for (size_t j = 0, step; j < n; j += step) {
    const size_t left = NR - (from + j) % NR;
    step = n - j < left ? n - j : left;
    nn_real *const at = NN__(units)(to, panel, from, j);
    for (size_t i = 0; i < step; i += VW) v_give(at + i, v_get(x + j + i, step - i), step - i);
  }
}

/* A tile of one row would wait for each sum before it could add to it again: here every column has
 * four sums that take turns. B goes by in one stream. */
static void NN__(panels_row)(nn_real *y, const nn_real *x, size_t panel, const nn_real *b,
                             size_t panel_b, size_t k, size_t n)
{
  enum { NN__SUMS = NR < 4 ? NR : 4 };
  for (size_t j = 0; j < n; j += NR, b += panel_b, y += panel) {
    const nn_real *at = b, *from = x;
    V acc[NN__SUMS][NV];
    NN__UNROLL
    for (int s = 0; s < NN__SUMS; s++)
      NN__UNROLL
      for (int v = 0; v < NV; v++) acc[s][v] = v_zero();
    for (size_t left = k; left; from += panel) {
      const size_t here = left < NR ? left : NR, whole = here / NN__SUMS * NN__SUMS;
      size_t p = 0;
      for (; p < whole; p += NN__SUMS, at += NN__SUMS * NR)
        NN__UNROLL
        for (int s = 0; s < NN__SUMS; s++) {
          const V factor = v_set(from[p + (size_t)s]);
          NN__UNROLL
          for (int v = 0; v < NV; v++)
            acc[s][v] = v_fma(factor, v_load(at + s * NR + v * VW), acc[s][v]);
        }
      for (; p < here; p++, at += NR)
        NN__UNROLL
        for (int v = 0; v < NV; v++)
          acc[0][v] = v_fma(v_set(from[p]), v_load(at + v * VW), acc[0][v]);
      left -= here;
    }
    NN__UNROLL
    for (int v = 0; v < NV; v++) {
      V sum = acc[0][v];
      NN__UNROLL
      for (int s = 1; s < NN__SUMS; s++) sum = v_add(sum, acc[s][v]);
      v_store(y + v * VW, sum);
    }
  }
}

/* g: W x + b + U h + c; becomes h. */
static void NN__(rnn_row)(nn_real *g, size_t panel, nn_real *h, size_t n, int relu)
{
  for (size_t j = 0; j < n; j += VW) {
    nn_real *const at = NN__(units)(g, panel, 0, j);
    const V x = v_load(at), y = relu ? v_max(v_zero(), x) : NN__(vtanh)(x);
    v_store(at, y);
    v_give(h + j, y, n - j);
  }
}

#ifndef NN_NO_TRAINING
/* g: h; becomes d(W x + ..). */
static void NN__(rnn_row_back)(nn_real *g, size_t panel, const nn_real *dh, size_t n, int relu)
{
  for (size_t j = 0; j < n; j += VW) {
    nn_real *const at = NN__(units)(g, panel, 0, j);
    const V y = v_load(at), d = v_get(dh + j, n - j);
    v_store(at, relu ? NN__(act_back)(NN__ACT_RELU, d, y, y, y)
                     : NN__(act_back)(NN__ACT_TANH, d, y, y, y));
  }
}
#endif

/* The columns of a lstm: the sums i, f, z, o. */
NN__INLINE void NN__(lstm_units)(nn_real *g, size_t panel, size_t n, size_t j, nn_real *at[4])
{
  const size_t each = (n + VW - 1) / VW * VW;
  NN__UNROLL
  for (size_t k = 0; k < 4; k++) at[k] = NN__(units)(g, panel, k * each, j);
}

/* g: the four sums i,f,z,o; becomes their activations. */
static void NN__(lstm_row)(nn_real *g, size_t panel, const nn_real *c_before, nn_real *c,
                           nn_real *h, size_t n)
{
  for (size_t j = 0; j < n; j += VW) {
    const size_t left = n - j;
    nn_real *at[4];
    NN__(lstm_units)(g, panel, n, j, at);
    V x[4] = {v_load(at[0]), v_load(at[1]), v_load(at[3]), v_load(at[2])}, below[4];
    NN__(fractions)(3, 4, x, below);
    /* 1/a = b 1/(a b): one division for all */
    const V below_if = v_mul(below[0], below[1]), below_oz = v_mul(below[2], below[3]);
    const V all = v_div(v_set(1), v_mul(below_if, below_oz));
    const V per_if = v_mul(all, below_oz), per_oz = v_mul(all, below_if);
    const V i = v_mul(v_mul(x[0], below[1]), per_if), f = v_mul(v_mul(x[1], below[0]), per_if);
    const V o = v_mul(v_mul(x[2], below[3]), per_oz), z = v_mul(v_mul(x[3], below[2]), per_oz);
    const V now = v_fma(f, v_get(c_before + j, left), v_mul(i, z));
    v_store(at[0], i);
    v_store(at[1], f);
    v_store(at[2], z);
    v_store(at[3], o);
    v_give(c + j, now, left);
    v_give(h + j, v_mul(o, NN__(vtanh)(now)), left);
  }
}

#ifndef NN_NO_TRAINING
/* g: the activations; becomes the gradients of the four sums. dc: in d c, out d c_before. */
static void NN__(lstm_row_back)(nn_real *g, size_t panel, const nn_real *c_before,
                                const nn_real *c, const nn_real *dh, nn_real *dc, size_t n)
{
  const V one = v_set(1);
  for (size_t j = 0; j < n; j += VW) {
    const size_t left = n - j;
    nn_real *at[4];
    NN__(lstm_units)(g, panel, n, j, at);
    const V i = v_load(at[0]), f = v_load(at[1]), z = v_load(at[2]), o = v_load(at[3]);
    NN__UNROLL
    for (int k = 0; k < 4; k++) NN__PREFETCH(at[k] + NN__ROWS_AHEAD * NR);
    NN__PREFETCH(c + j + NN__ROWS_AHEAD * n);
    NN__PREFETCH(c_before + j + NN__ROWS_AHEAD * n);
    const V t = NN__(vtanh)(v_get(c + j, left)), d = v_get(dh + j, left);
    const V now = v_fma(v_mul(d, o), v_sub(one, v_mul(t, t)), v_get(dc + j, left));
    v_store(at[0], v_mul(v_mul(now, z), v_mul(i, v_sub(one, i))));
    v_store(at[1], v_mul(v_mul(now, v_get(c_before + j, left)), v_mul(f, v_sub(one, f))));
    v_store(at[2], v_mul(v_mul(now, i), v_sub(one, v_mul(z, z))));
    v_store(at[3], v_mul(v_mul(d, t), v_mul(o, v_sub(one, o))));
    v_give(dc + j, v_mul(now, f), left);
  }
}
#endif

/* The columns of a gru: the sums n over x, the sums r and z, the sums u over h. */
NN__INLINE void NN__(gru_units)(nn_real *g, size_t panel, size_t n, size_t j, nn_real *at[4])
{
  const size_t each = (n + VW - 1) / VW * VW, alone = (n + NR - 1) / NR * NR;
  const size_t joint = (2 * each + NR - 1) / NR * NR;
  at[0] = NN__(units)(g, panel, 0, j);
  at[1] = NN__(units)(g, panel, alone, j);
  at[2] = NN__(units)(g, panel, alone + each, j);
  at[3] = NN__(units)(g, panel, alone + joint, j);
}

/* g: the sums n,r,z,u; n, r and z become their activations. */
static void NN__(gru_row)(nn_real *g, size_t panel, nn_real *h_before, nn_real *h, size_t n)
{
  for (size_t j = 0; j < n; j += VW) {
    nn_real *at[4];
    NN__(gru_units)(g, panel, n, j, at);
    V x[2] = {v_load(at[1]), v_load(at[2])}, below[2];
    NN__(fractions)(2, 2, x, below);
    const V both = v_div(v_set(1), v_mul(below[0], below[1])); /* 1/a = b 1/(a b) */
    const V r = v_mul(v_mul(x[0], below[1]), both), z = v_mul(v_mul(x[1], below[0]), both);
    const V s = NN__(vtanh)(v_fma(r, v_load(at[3]), v_load(at[0])));
    const V before = v_get(NN__(units)(h_before, panel, 0, j), n - j);
    v_store(at[0], s);
    v_store(at[1], r);
    v_store(at[2], z);
    v_give(h + j, v_fma(z, v_sub(before, s), s), n - j);
  }
}

#ifndef NN_NO_TRAINING
/* g: n, r, z and the sum u; becomes the gradients of the four sums.
 * dh_before = dh z, what does not pass through the products. It may be dh. */
static void NN__(gru_row_back)(nn_real *g, size_t panel, nn_real *h_before, const nn_real *dh,
                               nn_real *dh_before, size_t n)
{
  const V one = v_set(1);
  for (size_t j = 0; j < n; j += VW) {
    const size_t left = n - j;
    nn_real *at[4];
    NN__(gru_units)(g, panel, n, j, at);
    NN__UNROLL
    for (int k = 0; k < 4; k++) NN__PREFETCH(at[k] + NN__ROWS_AHEAD * NR);
    const V s = v_load(at[0]), r = v_load(at[1]), z = v_load(at[2]), u = v_load(at[3]);
    const V d = v_get(dh + j, left);
    const V before = v_get(NN__(units)(h_before, panel, 0, j), left); /* past n is no number */
    const V ds = v_mul(v_mul(d, v_sub(one, z)), v_sub(one, v_mul(s, s)));
    v_store(at[0], ds);
    v_store(at[1], v_mul(v_mul(ds, u), v_mul(r, v_sub(one, r))));
    v_store(at[2], v_mul(v_mul(d, v_sub(before, s)), v_mul(z, v_sub(one, z))));
    v_store(at[3], v_mul(ds, r));
    v_give(dh_before + j, v_mul(d, z), left);
  }
}

/* ---- optimizers --------------------------------------------------------------------------- */

/* A maximum may lose a NaN, a sum of products with 0 never does, nor an infinity: inf 0 = NaN. */
static double NN__(largest)(const nn_real *x, size_t n)
{
  V most = v_zero(), bad = v_zero();
  nn_real lane[VW], all = 0;
  for (size_t i = 0; i < n; i += VW) {
    const V v = v_get(x + i, n - i);
    most = v_max(most, v_max(v, v_sub(v_zero(), v)));
    bad = v_fma(v, v_zero(), bad);
  }
  v_store(lane, most);
  for (size_t i = 0; i < VW; i++) all = lane[i] > all ? lane[i] : all;
  return (double)all + (double)v_sum(bad);
}

NN__INLINE nn_real NN__(update_body)(int kind, const nn__update *u, nn_real *w, nn_real *g,
                                     nn_real *slot1, nn_real *slot2, size_t n)
{
  V bad = v_zero(); /* as in `largest` */
  const V rate = v_set(u->rate), momentum = v_set(u->momentum), eps = v_set(u->eps);
  const V beta1 = v_set(u->beta1), rest1 = v_set(u->rest1);
  const V beta2 = v_set(u->beta2), rest2 = v_set(u->rest2);
  const V alpha = v_set(u->alpha), rest = v_set(u->rest), decay = v_set(u->decay);
  const V correction1 = v_set(u->correction1), correction2 = v_set(u->correction2);
  const V scale = v_set(u->scale), high = v_set(u->limit), low = v_set(-u->limit);
  const V shrink = v_set(1 - u->rate * u->decay);
  const int clamp = u->limit > 0, decays = u->decay != 0, moves = u->momentum != 0;
  for (size_t i = 0; i < n; i += VW) {
    const size_t left = n - i;
    V x = v_get(w + i, left), d = v_mul(scale, v_get(g + i, left));
    if (clamp) d = v_min(high, v_max(low, d));
    if (decays) {
      if (kind == NN_ADAMW)
        x = v_mul(x, shrink);
      else
        d = v_fma(decay, x, d);
    }
    if (kind == NN_SGD) {
      if (moves) {
        V v = v_get(slot1 + i, left);
        v = v_fma(momentum, v, d);
        v_give(slot1 + i, v, left);
        d = u->nesterov ? v_fma(momentum, v, d) : v;
      }
      x = v_sub(x, v_mul(rate, d));
    } else if (kind == NN_ADAGRAD) {
      const V s = v_fma(d, d, v_get(slot1 + i, left));
      v_give(slot1 + i, s, left);
      bad = v_fma(s, v_zero(), bad);
      x = v_sub(x, v_div(v_mul(rate, d), v_add(v_sqrt(s), eps)));
    } else if (kind == NN_RMSPROP) {
      const V s = v_fma(alpha, v_get(slot1 + i, left), v_mul(rest, v_mul(d, d)));
      v_give(slot1 + i, s, left);
      bad = v_fma(s, v_zero(), bad);
      V q = v_div(d, v_add(v_sqrt(s), eps));
      if (moves) {
        q = v_fma(momentum, v_get(slot2 + i, left), q);
        v_give(slot2 + i, q, left);
      }
      x = v_sub(x, v_mul(rate, q));
    } else { /* ADAM, ADAMW */
      const V m = v_fma(beta1, v_get(slot1 + i, left), v_mul(rest1, d));
      const V s = v_fma(beta2, v_get(slot2 + i, left), v_mul(rest2, v_mul(d, d)));
      v_give(slot1 + i, m, left);
      v_give(slot2 + i, s, left);
      bad = v_fma(s, v_zero(), bad);
      x = v_sub(x, v_div(v_mul(correction1, m), v_fma(v_sqrt(s), correction2, eps)));
    }
    v_give(w + i, x, left);
    v_give(g + i, v_zero(), left);
    bad = v_fma(x, v_zero(), bad);
  }
  return v_sum(bad);
}

static nn_real NN__(update)(const nn__update *u, nn_real *w, nn_real *g, nn_real *slot1,
                            nn_real *slot2, size_t n)
{
  switch (u->kind) {
  case NN_SGD: return NN__(update_body)(NN_SGD, u, w, g, slot1, slot2, n);
  case NN_ADAGRAD: return NN__(update_body)(NN_ADAGRAD, u, w, g, slot1, slot2, n);
  case NN_RMSPROP: return NN__(update_body)(NN_RMSPROP, u, w, g, slot1, slot2, n);
  case NN_ADAM: return NN__(update_body)(NN_ADAM, u, w, g, slot1, slot2, n);
  default: return NN__(update_body)(NN_ADAMW, u, w, g, slot1, slot2, n);
  }
}
#endif

static const nn__kernels NN__(nn__table) = {
    NN__THIS_ISA,
    VW,
    MR,
    NR,
    MR2,
    112 / MR * MR,
    640,
    NR * 64,
    NN__(tile),
    NN__(pack),
    NN__(transpose),
    NN__(dots),
    NN__(activate),
    NN__(add),
    NN__(scale),
    NN__(add_taps),
    NN__(axpy),
    NN__(combine),
    NN__(sum_rows),
    NN__(affine_rows),
    NN__(softmax),
    NN__(norm_row),
    NN__(max_window),
    NN__(sum_window),
    NN__(winograd_weights),
    NN__(winograd_in),
    NN__(winograd_out),
    NN__(to_panels),
    NN__(panels_row),
    NN__(rnn_row),
    NN__(lstm_row),
    NN__(gru_row),
#ifndef NN_NO_TRAINING
    NN__(activate_back),
    NN__(sum_squares),
    NN__(softmax_back),
    NN__(norm_row_back),
    NN__(max_window_back),
    NN__(winograd_out_back),
    NN__(rnn_row_back),
    NN__(lstm_row_back),
    NN__(gru_row_back),
    NN__(largest),
    NN__(update),
#endif
};

#if NN__INSTANCE == 3 || NN__INSTANCE == 4
#if NN__GCC
#pragma GCC pop_options
#elif NN__CLANG
#pragma clang attribute pop
#endif
#endif
#endif /* the instances; 0 only forgets their names */
#undef NN__
#undef NN__THIS_ISA
#undef VW
#undef MR
#undef MR2
#undef MR3
#undef NV
#undef NR
#undef V
#undef M
#undef v_load
#undef v_store
#undef v_part
#undef v_put
#undef v_set
#undef v_zero
#undef v_add
#undef v_sub
#undef v_mul
#undef v_div
#undef v_sqrt
#undef v_fma
#undef v_max
#undef v_min
#undef v_gt
#undef v_eq
#undef v_pick
#undef v_round
#undef v_exp2i
#undef v_zip_low
#undef v_zip_high
#undef v_sum
#undef v_get
#undef v_give

#undef NN__INSTANCE

#elif !defined NN__REFUSED
/* First reading: one instance after the other. The includer's macros of the same names are put away
 * meanwhile; instance 0 forgets them, and each of the others forgets its own. */
#pragma push_macro("VW")
#pragma push_macro("MR")
#pragma push_macro("MR2")
#pragma push_macro("MR3")
#pragma push_macro("NV")
#pragma push_macro("NR")
#pragma push_macro("V")
#pragma push_macro("M")
#pragma push_macro("v_load")
#pragma push_macro("v_store")
#pragma push_macro("v_part")
#pragma push_macro("v_put")
#pragma push_macro("v_set")
#pragma push_macro("v_zero")
#pragma push_macro("v_add")
#pragma push_macro("v_sub")
#pragma push_macro("v_mul")
#pragma push_macro("v_div")
#pragma push_macro("v_sqrt")
#pragma push_macro("v_fma")
#pragma push_macro("v_max")
#pragma push_macro("v_min")
#pragma push_macro("v_gt")
#pragma push_macro("v_eq")
#pragma push_macro("v_pick")
#pragma push_macro("v_round")
#pragma push_macro("v_exp2i")
#pragma push_macro("v_zip_low")
#pragma push_macro("v_zip_high")
#pragma push_macro("v_sum")
#pragma push_macro("v_get")
#pragma push_macro("v_give")
#define NN__INSTANCE 0
#include NN__SELF
#ifdef NN__INSTANCE
#error "nn.c included another file instead of itself: define NN__SELF as its own name, in quotes"
#define NN__REFUSED
#undef NN__INSTANCE
#else
#define NN__INSTANCE 1
#include NN__SELF
#if NN__SIMD_X86
#define NN__INSTANCE 2
#include NN__SELF
#define NN__INSTANCE 3
#include NN__SELF
#define NN__INSTANCE 4
#include NN__SELF
#elif NN__SIMD_NEON
#define NN__INSTANCE 5
#include NN__SELF
#endif
#endif
#pragma pop_macro("VW")
#pragma pop_macro("MR")
#pragma pop_macro("MR2")
#pragma pop_macro("MR3")
#pragma pop_macro("NV")
#pragma pop_macro("NR")
#pragma pop_macro("V")
#pragma pop_macro("M")
#pragma pop_macro("v_load")
#pragma pop_macro("v_store")
#pragma pop_macro("v_part")
#pragma pop_macro("v_put")
#pragma pop_macro("v_set")
#pragma pop_macro("v_zero")
#pragma pop_macro("v_add")
#pragma pop_macro("v_sub")
#pragma pop_macro("v_mul")
#pragma pop_macro("v_div")
#pragma pop_macro("v_sqrt")
#pragma pop_macro("v_fma")
#pragma pop_macro("v_max")
#pragma pop_macro("v_min")
#pragma pop_macro("v_gt")
#pragma pop_macro("v_eq")
#pragma pop_macro("v_pick")
#pragma pop_macro("v_round")
#pragma pop_macro("v_exp2i")
#pragma pop_macro("v_zip_low")
#pragma pop_macro("v_zip_high")
#pragma pop_macro("v_sum")
#pragma pop_macro("v_get")
#pragma pop_macro("v_give")
#ifndef NN__REFUSED
#define NN__KERNELS_READ /* not before the instances are through, so they end here */
#endif
#endif /* NN__INSTANCE */

#ifdef NN__KERNELS_READ

/* ====================================== @@DISPATCH ========================================= */

static const nn__kernels *nn__kernels_for(nn_isa isa)
{
  if (isa == NN_ISA_AUTO) isa = nn_isa_best();
  if (!nn_isa_available(isa)) return NULL;
  switch (isa) {
#if NN__SIMD_X86
  case NN_ISA_SSE2: return &nn__table_sse2;
  case NN_ISA_AVX2: return &nn__table_avx2;
  case NN_ISA_AVX512: return &nn__table_avx512;
#elif NN__SIMD_NEON
  case NN_ISA_NEON: return &nn__table_neon;
#endif
  default: return &nn__table_scalar;
  }
}

/* ======================================= @@THREAD ==========================================
 * nn__parallel calls task(arg, index, thread) once for each index below count, on the pool's
 * threads and the caller's, and returns when all are done. Which thread takes which index is left
 * to chance, so a task may use `thread` only to find scratch space of its own: every result must
 * depend on `index` alone. That is what makes the bits the same for any number of threads. */
typedef void (*nn__task)(void *arg, size_t index, int thread);

#ifdef NN_NO_THREADS
typedef struct nn__pool {
  int threads;
} nn__pool;

static int nn__cores(void) { return 1; }
static nn_status nn__pool_start(nn__pool *p, int threads)
{
  p->threads = 1;
  return threads > 1 ? NN_ERR_UNSUPPORTED : NN_OK;
}
static void nn__pool_stop(nn__pool *p) { (void)p; }
static void nn__parallel(nn__pool *p, size_t count, nn__task task, void *arg)
{
  (void)p;
  for (size_t i = 0; i < count; i++) task(arg, i, 0);
}

#else
#if NN__WIN32
typedef CRITICAL_SECTION nn__mutex;
typedef CONDITION_VARIABLE nn__signal;
typedef HANDLE nn__thread;
#define nn__lock(m) EnterCriticalSection(m)
#define nn__unlock(m) LeaveCriticalSection(m)
#define nn__wait(s, m) SleepConditionVariableCS(s, m, INFINITE)
#define nn__wake(s) WakeAllConditionVariable(s)
static int nn__sync_init(nn__mutex *m, nn__signal *a, nn__signal *b)
{
  InitializeCriticalSection(m);
  InitializeConditionVariable(a);
  InitializeConditionVariable(b);
  return 1;
}
static void nn__sync_free(nn__mutex *m, nn__signal *a, nn__signal *b)
{
  (void)a, (void)b; /* condition variables of Windows hold nothing */
  DeleteCriticalSection(m);
}
static int nn__cores(void)
{
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return (int)info.dwNumberOfProcessors;
}
#else
typedef pthread_mutex_t nn__mutex;
typedef pthread_cond_t nn__signal;
typedef pthread_t nn__thread;
#define nn__lock(m) pthread_mutex_lock(m)
#define nn__unlock(m) pthread_mutex_unlock(m)
#define nn__wait(s, m) pthread_cond_wait(s, m)
#define nn__wake(s) pthread_cond_broadcast(s)
static int nn__sync_init(nn__mutex *m, nn__signal *a, nn__signal *b)
{
  if (pthread_mutex_init(m, NULL)) return 0;
  if (pthread_cond_init(a, NULL)) return pthread_mutex_destroy(m), 0;
  if (pthread_cond_init(b, NULL)) return pthread_cond_destroy(a), pthread_mutex_destroy(m), 0;
  return 1;
}
static void nn__sync_free(nn__mutex *m, nn__signal *a, nn__signal *b)
{
  pthread_cond_destroy(b);
  pthread_cond_destroy(a);
  pthread_mutex_destroy(m);
}
#if NN__LINUX
static void nn__join(char *to, size_t size, const char *a, const char *b, const char *c)
{
  nn__text t = {to, size, 0};
  nn__put_string(&t, a);
  nn__put_string(&t, b);
  nn__put_string(&t, c);
  to[t.used] = 0;
}

/* The first whole number of the file folder/name, and of what follows it; -1 where none is. */
static void nn__numbers(const char *folder, const char *name, int64_t number[2])
{
  char text[640];
  nn__join(text, sizeof text, folder, "/", name);
  const int file = open(text, O_RDONLY | O_CLOEXEC);
  const ssize_t got = file >= 0 ? read(file, text, sizeof text - 1) : -1;
  if (file >= 0) close(file);
  text[got > 0 ? got : 0] = 0;
  const char *at = text;
  for (int i = 0; i < 2; i++) {
    number[i] = *at >= '0' && *at <= '9' ? 0 : -1;
    for (; *at >= '0' && *at <= '9'; at++)
      if (number[i] < INT64_MAX / 16) number[i] = number[i] * 10 + (*at - '0');
    if (*at == ' ') at++;
  }
}

/* A control group may use no more than `quota` microseconds of processor time in each `period`: as
 * many cores, rounded up. Files of version 2: "QUOTA PERIOD" or "max PERIOD"; of version 1, in a
 * file each, quota -1 for no limit. */
static int nn__group_cores(const char *folder, int version, int cores)
{
  int64_t limit[2], period[2];
  nn__numbers(folder, version == 2 ? "cpu.max" : "cpu.cfs_quota_us", limit);
  if (limit[0] <= 0) return cores;
  if (version == 1) nn__numbers(folder, "cpu.cfs_period_us", period), limit[1] = period[0];
  if (limit[1] <= 0 || limit[0] / limit[1] >= cores) return cores;
  return (int)(limit[0] / limit[1] + (limit[0] % limit[1] != 0));
}

/* One line of /proc/self/cgroup: "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1. Every
 * group on the way up to the root has a limit of its own. */
static int nn__line_cores(const char *root, const char *line, int cores)
{
  const char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
  if (!group) return cores;
  const int version = group == list + 1 ? 2 : 1;
  int holds = version == 2; /* version 1: is "cpu" among the controllers? */
  for (const char *p = list; p < group; p++)
    holds |= (*p == ':' || *p == ',') && !strncmp(p + 1, "cpu", 3) && (p[4] == ',' || p[4] == ':');
  if (!holds) return cores;
  char folder[512];
  const char *top = version == 2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
  nn__join(folder, sizeof folder, root, top, group + 1);
  const size_t least = strlen(root) + strlen(top);
  for (size_t at = strlen(folder); at >= least; at--)
    if (folder[at] == '/' || !folder[at]) {
      folder[at] = 0;
      cores = nn__group_cores(folder, version, cores);
    }
  return cores;
}

/* The cores that the control groups of this process allow, at most `cores`. root: "", or a test's
 * folder in place of /. */
static int nn__quota_cores(const char *root, int cores)
{
  char line[512], part[128];
  size_t length = 0;
  nn__join(line, sizeof line, root, "/proc/self/cgroup", "");
  const int file = open(line, O_RDONLY | O_CLOEXEC);
  if (file < 0) return cores;
  for (ssize_t got; (got = read(file, part, sizeof part)) > 0;)
    for (ssize_t i = 0; i < got; i++) {
      if (part[i] != '\n' && length < sizeof line - 1) line[length++] = part[i];
      if (part[i] != '\n') continue;
      line[length] = 0, length = 0;
      cores = nn__line_cores(root, line, cores);
    }
  close(file);
  return cores;
}
#endif

static int nn__cores(void)
{
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  int cores = online > 0 && online < 65536 ? (int)online : 1;
#if NN__LINUX
#ifdef CPU_COUNT
  cpu_set_t allowed;
  if (!sched_getaffinity(0, sizeof allowed, &allowed)) cores = CPU_COUNT(&allowed);
#endif
  cores = nn__quota_cores("", cores);
#endif
  return cores;
}
#endif

struct nn__pool;
typedef struct nn__worker {
  struct nn__pool *pool;
  int number;
  nn__thread thread;
} nn__worker;

typedef struct nn__pool {
  int threads; /* with the caller's */
  int ready;   /* mutex and signals exist */
  nn__mutex mutex;
  nn__signal start, done;
  int spins;   /* see nn__await_job */
  nn__task task; /* the present job: written before `left`, read by who has one of its tasks */
  void *arg;
  /* shared: tasks that nobody has taken, that are not finished; workers that may sleep; whether the
   * caller may; whether it is all over */
  size_t left, unfinished, sleeping, waiting, quit;
  nn__worker worker[NN_MAX_THREADS];
} nn__pool;

#if NN__ATOMICS
#define nn__put(p, x, n) __atomic_store_n(&(p)->x, n, __ATOMIC_SEQ_CST)
#define nn__more(p, x, n) __atomic_add_fetch(&(p)->x, (size_t)(n), __ATOMIC_SEQ_CST)
#define nn__locked_look(p, x) __atomic_load_n(&(p)->x, __ATOMIC_SEQ_CST)
#define nn__look(p, x) nn__locked_look(p, x)
#else
static size_t nn__guarded_add(nn__pool *p, size_t *x, size_t n)
{
  nn__lock(&p->mutex);
  const size_t sum = *x += n;
  nn__unlock(&p->mutex);
  return sum;
}
#define nn__put(p, x, n) nn__guarded_add(p, &(p)->x, n) /* where it was 0 */
#define nn__more(p, x, n) nn__guarded_add(p, &(p)->x, (size_t)(n))
#define nn__locked_look(p, x) ((p)->x)
#define nn__look(p, x) nn__more(p, x, 0)
#endif

/* Claims the last of the tasks that are left: its number counted from 1, or 0. Who has one holds
 * up the job, so task and arg are its own; who comes late finds none and has touched nothing. */
static size_t nn__claim(nn__pool *p)
{
#if NN__ATOMICS
  size_t left = __atomic_load_n(&p->left, __ATOMIC_SEQ_CST);
  while (left && !__atomic_compare_exchange_n(&p->left, &left, left - 1, 0, __ATOMIC_SEQ_CST,
                                              __ATOMIC_SEQ_CST))
    NN__PAUSE();
#else
  nn__lock(&p->mutex);
  const size_t left = p->left;
  if (left) p->left--;
  nn__unlock(&p->mutex);
#endif
  return left;
}

static void nn__take_tasks(nn__pool *p, int thread)
{
  for (size_t number; (number = nn__claim(p)) != 0;) {
    p->task(p->arg, number - 1, thread);
    if (nn__more(p, unfinished, -1) || !nn__look(p, waiting)) continue;
    nn__lock(&p->mutex);
    nn__wake(&p->done);
    nn__unlock(&p->mutex);
  }
}

/* Looks for a while before it sleeps: a wake costs more than a job of a small net. Some 30
 * microseconds later nobody is busy any more, and with more threads than cores nobody looks at all.
 * A thread that goes to sleep says so first and then looks again, one that wakes others changes the
 * value first and then asks whether anyone sleeps: so at least one of them sees the other. */
enum { NN__SPINS = 2000 };

static void nn__await_job(nn__pool *p)
{
  for (int i = 0; i < p->spins && !nn__look(p, left); i++) NN__PAUSE();
  if (nn__look(p, left)) return;
  nn__more(p, sleeping, 1);
  nn__lock(&p->mutex);
  while (!nn__locked_look(p, left) && !nn__locked_look(p, quit)) nn__wait(&p->start, &p->mutex);
  nn__unlock(&p->mutex);
  nn__more(p, sleeping, -1);
}

static void nn__await_workers(nn__pool *p)
{
  for (int i = 0; i < p->spins && nn__look(p, unfinished); i++) NN__PAUSE();
  if (!nn__look(p, unfinished)) return;
  nn__more(p, waiting, 1);
  nn__lock(&p->mutex);
  while (nn__locked_look(p, unfinished)) nn__wait(&p->done, &p->mutex);
  nn__unlock(&p->mutex);
  nn__more(p, waiting, -1);
}

#if NN__WIN32
static DWORD WINAPI nn__worker_main(void *arg)
#else
static void *nn__worker_main(void *arg)
#endif
{
  nn__worker *w = arg;
  nn__pool *p = w->pool;
  nn__flush_subnormals();
  while (!nn__look(p, quit)) {
    nn__await_job(p);
    nn__take_tasks(p, w->number);
  }
  return 0;
}

static void nn__pool_stop(nn__pool *p)
{
  if (!p->ready) return;
  nn__put(p, quit, 1);
  nn__lock(&p->mutex);
  nn__wake(&p->start);
  nn__unlock(&p->mutex);
  for (int i = 1; i < p->threads; i++) {
#if NN__WIN32
    WaitForSingleObject(p->worker[i].thread, INFINITE);
    CloseHandle(p->worker[i].thread);
#else
    pthread_join(p->worker[i].thread, NULL);
#endif
  }
  nn__sync_free(&p->mutex, &p->start, &p->done);
  p->ready = 0;
}

static nn_status nn__pool_start(nn__pool *p, int threads)
{
  memset(p, 0, sizeof *p);
  p->threads = 1;
  if (threads <= 1) return NN_OK;
  if (!nn__sync_init(&p->mutex, &p->start, &p->done)) return NN_ERR_MEMORY;
  p->ready = 1;
  p->spins = NN__ATOMICS && threads <= nn__cores() ? NN__SPINS : 0;
  for (int i = 1; i < threads; i++) {
    nn__worker *w = &p->worker[i];
    w->pool = p;
    w->number = i;
#if NN__WIN32
    w->thread = CreateThread(NULL, 0, nn__worker_main, w, 0, NULL);
    const int failed = w->thread == NULL;
#else
    sigset_t all, before; /* the program's signals are for its own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&w->thread, NULL, nn__worker_main, w) != 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
    if (failed) {
      nn__pool_stop(p);
      return NN_ERR_MEMORY;
    }
    p->threads = i + 1;
  }
  return NN_OK;
}

static void nn__parallel(nn__pool *p, size_t count, nn__task task, void *arg)
{
  if (p->threads <= 1 || count <= 1) {
    for (size_t i = 0; i < count; i++) task(arg, i, 0);
    return;
  }
  p->task = task;
  p->arg = arg;
  nn__put(p, unfinished, count);
  nn__put(p, left, count);
  if (nn__look(p, sleeping)) {
    nn__lock(&p->mutex);
    nn__wake(&p->start);
    nn__unlock(&p->mutex);
  }
  nn__take_tasks(p, 0);
  nn__await_workers(p);
}
#endif

/* ======================================== @@GEMM ===========================================
 * C[m,n] = finish(A[m,k] B[k,n]), the operands given by the strides of their rows and columns, so a
 * transpose is only another pair of strides. */
typedef struct nn__matrix {
  const nn_real *at;
  size_t row, col; /* element (i,j) at at[i row + j col], */
  size_t panel;    /* or, not 0: in panels as the kernels pack them. A left operand with row 1 and
                    * col NR, at at[i/NR panel + j NR + i mod NR], a right one the other way */
} nn__matrix;

struct nn_context {
  const nn__kernels *kernels;
  nn__pool pool;
  nn_allocator allocator;
  size_t size;             /* bytes allocated, when nn_context_create did it */
  nn_real *pack_a, *pack_b; /* packing space: room_a reals for each thread, room_b */
  size_t room_a, room_b;
};

enum { NN__PAD = 16 }; /* elements between the rows of a packed A */

static size_t nn__round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static size_t nn__min(size_t a, size_t b) { return a < b ? a : b; }
static size_t nn__max(size_t a, size_t b) { return a > b ? a : b; }

/* What a block of A, of B takes when packed, in reals. */
static size_t nn__packed_a(const nn__kernels *t, size_t m, size_t k)
{
  return nn__round_up(nn__min(m, t->mc), t->nr) * (nn__min(k, t->kc) + NN__PAD);
}
static size_t nn__packed_b(const nn__kernels *t, size_t n, size_t k)
{
  return nn__round_up(nn__min(k, t->kc) * nn__round_up(nn__min(n, t->nc), t->nr), 16);
}

typedef struct nn__product {
  nn_context *context;
  size_t m, n, k;
  nn__matrix a, b;
  nn_real *c;
  size_t ldc;
  nn__finish finish; /* of the present block of k */
  size_t j0, p0;     /* where the present blocks of n and k start */
  size_t nb, kb;     /* and how long they are */
  size_t rows;       /* of C in one task */
  int direct_a, direct_b;
} nn__product;

/* Rows of the next tile when `left` are left: as many as fit, but two or three even tiles rather
 * than a full one and one that would compute much for nothing. */
static size_t nn__tile_height(const nn__kernels *t, size_t left)
{
  const size_t mr = t->mr, mr2 = t->mr2;
  if (left <= mr) return left;
  if (left <= 2 * mr2) return (left + 1) / 2;
  return left > mr + mr2 && left < 2 * mr && left <= 3 * mr2 ? mr2 : mr;
}

/* Panels of B a task packs; rows up to which B is read where it lies. */
enum { NN__PACK_TASK = 2, NN__DIRECT_B = 144 };
/* Multiply-adds that one thread does sooner than two have agreed on them. */
enum { NN__SERIAL = 1 << 19 };
/* Sides up to which setting up the blocks would cost more than it saves. */
enum { NN__TINY = 64 };

static void nn__pack_b_task(void *arg, size_t index, int thread)
{
  const nn__product *p = arg;
  const nn__kernels *t = p->context->kernels;
  const size_t j = index * NN__PACK_TASK * t->nr;
  (void)thread;
  t->pack(p->context->pack_b + j * p->kb, p->b.at + p->p0 * p->b.row + (p->j0 + j) * p->b.col,
          p->b.row, p->b.col, p->kb, nn__min(NN__PACK_TASK * t->nr, p->nb - j));
}

/* Brings A[m,kb] together, so that its rows neither meet in the same sets of the cache nor lie on a
 * page each: rows as rows, NN__PAD further apart than long; columns in panels like those of B. */
static void nn__pack_a(const nn__product *p, nn_real *to, const nn_real *a, size_t m)
{
  if (p->a.col == 1)
    for (size_t i = 0; i < m; i++, to += p->kb + NN__PAD)
      memcpy(to, a + i * p->a.row, p->kb * sizeof *to);
  else
    p->context->kernels->pack(to, a, p->a.col, p->a.row, p->kb, m);
}

/* The rows of a left operand. Row i lies at at[place[i]] where there is a list of places, in panels
 * at at[i/NR panel + i mod NR], and at at[i step] else. Rows are counted from `first`. */
typedef struct nn__left {
  const nn_real *at;
  size_t step, panel, first;
  const size_t *place;
  size_t cols, down;
} nn__left;

/* Loops 2 and 1 round the micro-kernel: C[m,n] = finish(A B), tile by tile, by the calling thread.
 * B is in panels of NR columns, `panel` reals apart: packed, or as it lies and NR apart. Those of C
 * are panel_c apart. */
static void nn__tiles_at(const nn__kernels *t, const nn__walk *walk, size_t m, size_t n,
                         const nn__left *a, const nn_real *b, size_t panel, nn_real *c, size_t ldc,
                         size_t panel_c, const nn__finish *finish)
{
  nn__finish f = *finish;
  for (size_t j = 0; j < n; j += t->nr, b += panel, c += panel_c) {
    const nn_real *pixel = a->at;
    if (f.bias && !f.across) f.bias = finish->bias + j;
    for (size_t i = 0, x = 0, rows; i < m; i += rows) {
      const size_t first = a->first + i;
      const nn_real *row[NN__MAX_MR];
      rows = nn__tile_height(t, m - i);
      if (a->cols) {
        for (size_t r = 0; r < rows; r++, x++) { /* x: of the pixel in its row */
          if (x == a->cols) pixel += a->down, x = 0;
          row[r] = pixel + x * a->step;
        }
      } else if (a->place)
        for (size_t r = 0; r < rows; r++) row[r] = a->at + a->place[first + r];
      else if (a->panel)
        for (size_t r = 0; r < rows; r++)
          row[r] = a->at + (first + r) / t->nr * a->panel + (first + r) % t->nr;
      else
        for (size_t r = 0; r < rows; r++) row[r] = a->at + (first + r) * a->step;
      if (f.bias && f.across) f.bias = finish->bias + i;
      nn_real *to = c + i * (f.across ? 1 : ldc);
      if (!(walk->how & NN__CHAINS)) {
        t->tile(walk, row, b, to, ldc, rows, nn__min(t->nr, n - j), &f);
        continue;
      }
      nn__finish add = f;
      for (size_t s = 0; s < walk->segments; s++, add.beta = 1) {
        const size_t length = s + 1 < walk->segments ? walk->length : walk->last;
        const nn__walk chain = {1, length, length, walk->skip + s, walk->a_step, walk->b_step, 0};
        t->tile(&chain, row, b + s * walk->length * walk->b_step, to, ldc, rows,
                nn__min(t->nr, n - j), &add);
      }
    }
  }
}

/* The same for rows of A that are lda apart. */
static void nn__tiles(const nn__kernels *t, const nn__walk *walk, size_t m, size_t n,
                      const nn_real *a, size_t lda, const nn_real *b, size_t panel, nn_real *c,
                      size_t ldc, size_t panel_c, const nn__finish *finish)
{
  const nn__left rows = {a, lda, 0, 0, NULL, 0, 0};
  nn__tiles_at(t, walk, m, n, &rows, b, panel, c, ldc, panel_c, finish);
}

/* Loop 3: the rows of one task, in blocks that are packed together. */
static void nn__product_task(void *arg, size_t index, int thread)
{
  const nn__product *p = arg;
  const nn__kernels *t = p->context->kernels;
  const size_t nr = t->nr, first = index * p->rows, last = nn__min(first + p->rows, p->m);
  nn_real *const pack_a = p->context->pack_a + (size_t)thread * p->context->room_a;
  const size_t no_skip = 0, across = (size_t)p->finish.across;
  const nn__left packed = {pack_a, p->kb + NN__PAD, p->a.col == 1 ? 0 : p->kb * nr, 0, NULL, 0, 0};
  const nn__walk walk = {1, p->kb, p->kb, &no_skip,
                         p->direct_a ? p->a.col : packed.panel ? nr : 1,
                         p->direct_b ? p->b.row : nr, p->direct_b && !p->b.panel};
  const size_t panel_b = !p->direct_b ? p->kb * nr : p->b.panel ? p->b.panel : nr * p->b.col;
  const nn_real *b = p->direct_b ? p->b.at + p->p0 * p->b.row + p->j0 / nr * panel_b
                                 : p->context->pack_b;
  for (size_t i0 = first; i0 < last; i0 += t->mc) {
    const size_t rows = nn__min(t->mc, last - i0);
    nn__left a = {p->a.at + p->p0 * p->a.col, p->a.row, p->a.panel, i0, NULL, 0, 0};
    if (!p->direct_a) {
      nn__pack_a(p, pack_a, a.at + i0 * a.step, rows);
      a = packed;
    }
    nn__finish f = p->finish;
    if (f.bias) f.bias += across ? i0 : p->j0;
    nn_real *c = p->c + (across ? p->j0 * p->ldc + i0 : i0 * p->ldc + p->j0);
    nn__tiles_at(t, &walk, rows, p->nb, &a, b, panel_b, c, p->ldc, across ? nr * p->ldc : nr, &f);
  }
}

/* One row of A against columns of B that are contiguous in k: plain dot products. */
static void nn__dots_task(void *arg, size_t index, int thread)
{
  const nn__product *p = arg;
  const size_t j = index * p->rows, n = nn__min(p->rows, p->n - j);
  nn__finish f = p->finish;
  (void)thread;
  if (f.bias) f.bias += j;
  for (size_t i = 0; i < p->m; i++)
    p->context->kernels->dots(p->c + i * p->ldc + j, p->a.at + i * p->a.row,
                              p->b.at + j * p->b.col, p->b.col, p->k, n, &f);
}

/* A row or two of A against rows of B that are contiguous in n: B is read once, as it lies. The
 * sums lie where A would be packed. */
enum { NN__SUM_COLUMNS = 1024 };
static void nn__by_rows_task(void *arg, size_t index, int thread)
{
  const nn__product *p = arg;
  const nn__finish *f = &p->finish;
  const size_t j0 = index * p->rows, n = nn__min(p->rows, p->n - j0);
  nn_real *const sum = p->context->pack_a + (size_t)thread * p->context->room_a;
  for (size_t i = 0; i < p->m; i++) {
    nn_real *c = p->c + i * p->ldc + j0;
    memset(sum, 0, n * sizeof *sum);
    p->context->kernels->combine(sum, p->a.at + i * p->a.row, p->a.col, p->b.at + j0, p->b.row,
                                 p->k, n);
    for (size_t j = 0; j < n; j++) {
      nn_real x = f->alpha * sum[j];
      if (f->beta != 0) x += f->beta * c[j];
      if (f->bias) x += f->bias[j0 + j];
      c[j] = f->relu && x < 0 ? 0 : x;
    }
  }
}

/* How a product is done: the first way that fits. The rows of A lie whole where a.col is 1, the
 * columns of B where b.row is 1, and so on.
 *
 *   way     fits where                                        does
 *   TILES   m > 2; m, n and k <= 64; B's rows lie whole       tiles, nothing shared out or packed
 *   DOTS    m <= 2; A's rows and B's columns lie whole        a dot product for each element
 *   SUMS    m <= 2; n >= 64; B's rows lie whole               a row of C as a sum of rows of B
 *   TURNED  k >= 512; m < n; B's columns lie whole and m is   C^T = B^T A^T in blocks: reads the
 *           few enough that A fits the space for packed B;    large B where it lies, packs the
 *           a linear layer's forward                          few rows of A
 *   BLOCKS  always                                            blocks, packed where that pays
 *
 * An operand that is in panels already goes to BLOCKS, which reads it as it lies. */
typedef enum nn__way { NN__TILES, NN__DOTS, NN__SUMS, NN__TURNED, NN__BLOCKS } nn__way;

static nn__way nn__way_of(const nn__kernels *t, size_t m, size_t n, size_t k, const nn__matrix *a,
                          const nn__matrix *b)
{
  if (m <= 2 && a->col == 1 && b->row == 1 && k) return NN__DOTS;
  if (b->col == 1 && !b->panel) {
    if (m <= 2 && n >= 64) return NN__SUMS;
    if (m > 2 && m <= NN__TINY && n <= NN__TINY && k <= NN__TINY && !a->panel) return NN__TILES;
  }
  /* Rows a multiple of 1024 apart meet in the same sets of the cache: they are packed instead. */
  const int few = nn__round_up(m, t->nr) * k <= t->kc * t->nc &&
                  (a->col == 1 || (a->row == 1 && m <= NN__DIRECT_B && !a->panel));
  if (k >= 512 && m < n && b->row == 1 && b->col % 1024 && few) return NN__TURNED;
  return NN__BLOCKS;
}

/* Whether BLOCKS reads an operand where it lies. Packing pays when a panel is used often enough:
 * A's by every panel of B, B's by every tile; and sooner where rows are whole pages apart. */
static int nn__reads_a(const nn__kernels *t, size_t m, size_t n, const nn__matrix *a)
{
  return a->panel || n <= 2 * t->nr || (a->col == 1 && (a->row % 1024 || m <= 8));
}
static int nn__reads_b(const nn__kernels *t, size_t m, const nn__matrix *b)
{
  return b->panel || (b->col == 1 && m <= NN__DIRECT_B && (b->row % 1024 || m <= 2 * t->mr));
}

/* Makes the packing space large enough for products of such operands with up to m rows and an inner
 * dimension of up to k. */
static void nn__reserve(nn_context *c, size_t m, size_t n, size_t k, nn__matrix a, nn__matrix b)
{
  const nn__kernels *t = c->kernels;
  size_t room_a = 0, room_b = 0;
  if (b.col == 1 && !b.panel && n >= 64) room_a = nn__min(n, NN__SUM_COLUMNS); /* SUMS */
  if (m > 2 || nn__way_of(t, m, n, k, &a, &b) == NN__BLOCKS) {
    if (!nn__reads_a(t, m, n, &a)) room_a = nn__max(room_a, nn__packed_a(t, m, k));
    if (!nn__reads_b(t, m, &b)) room_b = nn__packed_b(t, n, k);
    const size_t few = nn__round_up(nn__min(m, n - 1), t->nr); /* TURNED has fewer rows than n */
    if (b.row == 1 && !b.panel && k >= 512)
      room_b = nn__max(room_b, nn__min(few * k, t->kc * t->nc));
  }
  c->room_a = nn__max(c->room_a, room_a), c->room_b = nn__max(c->room_b, room_b);
}

/* Loops 5 and 4: blocks of nc columns, then of kc of the inner dimension. */
static void nn__multiply_blocks(nn__product *p, size_t threads, size_t nc, size_t kc)
{
  nn_context *const c = p->context;
  const nn__kernels *t = c->kernels;
  const nn__finish finish = p->finish;
  /* As many tasks for each thread: four, or fewer of two tiles' height or more, or what mc asks. */
  size_t tasks = nn__max(1, nn__min(4, p->m / (threads * 2 * t->mr)));
  tasks = nn__max(tasks, (p->m + threads * t->mc - 1) / (threads * t->mc));
  p->rows =
      threads == 1 ? nn__min(p->m, t->mc) : (p->m + threads * tasks - 1) / (threads * tasks);
  const size_t blocks = nn__max((p->k + kc - 1) / kc, 1), even = (p->k + blocks - 1) / blocks;
  for (p->j0 = 0; p->j0 < p->n; p->j0 += p->nb) {
    p->nb = nn__min(nc, p->n - p->j0);
    p->p0 = 0;
    do {
      p->kb = nn__min(even, p->k - p->p0);
      const int last = p->p0 + p->kb == p->k;
      p->finish.beta = p->p0 ? 1 : finish.beta;
      p->finish.bias = last ? finish.bias : NULL;
      p->finish.relu = last && finish.relu;
      const size_t panels = (p->nb + t->nr - 1) / t->nr;
      if (!p->direct_b)
        nn__parallel(&c->pool, (panels + NN__PACK_TASK - 1) / NN__PACK_TASK, nn__pack_b_task, p);
      nn__parallel(&c->pool, (p->m + p->rows - 1) / p->rows, nn__product_task, p);
      p->p0 += p->kb;
    } while (p->p0 < p->k);
  }
}

static void nn__multiply(nn_context *c, size_t m, size_t n, size_t k, nn__matrix a, nn__matrix b,
                         nn_real *out, size_t ldc, const nn__finish *finish)
{
  const nn__kernels *t = c->kernels;
  if (!m || !n) return;
  const nn__way way = nn__way_of(t, m, n, k, &a, &b);
  if (way == NN__TILES) {
    const size_t no_skip = 0;
    const nn__walk walk = {1, k, k, &no_skip, a.col, b.row, 1};
    nn__tiles(t, &walk, m, n, a.at, a.row, b.at, t->nr, out, ldc, t->nr, finish);
    return;
  }
  nn__product p = {c, m, n, k, a, b, out, ldc, *finish, 0, 0, 0, 0, 0, 0, 0};
  /* Too little work to share out: one task does it all. */
  const double work = (double)m * (double)n * (double)k;
  const size_t threads = work < NN__SERIAL ? 1 : (size_t)c->pool.threads;
  if (way == NN__DOTS || way == NN__SUMS) {
    const size_t share = way == NN__DOTS ? 64 : nn__max(256, (n + threads - 1) / threads);
    p.rows = threads == 1 ? n : share;
    if (way == NN__SUMS) p.rows = nn__min(p.rows, NN__SUM_COLUMNS);
    nn__parallel(&c->pool, (n + p.rows - 1) / p.rows,
                 way == NN__DOTS ? nn__dots_task : nn__by_rows_task, &p);
  } else if (way == NN__TURNED) {
    p.m = n, p.n = m, p.direct_a = 1, p.finish.across = 1;
    p.a.at = b.at, p.a.row = b.col, p.a.col = 1;
    p.b.at = a.at, p.b.row = a.col, p.b.col = a.row;
    nn__multiply_blocks(&p, threads, m, k);
  } else {
    p.direct_a = nn__reads_a(t, m, n, &a), p.direct_b = nn__reads_b(t, m, &b);
    nn__multiply_blocks(&p, threads, t->nc, t->kc);
  }
}

static nn__matrix nn__rows_of(const nn_real *at, size_t ld) /* a row-major matrix as it lies */
{
  const nn__matrix x = {at, ld, 1, 0};
  return x;
}

static nn__matrix nn__columns_of(const nn_real *at, size_t ld) /* and transposed */
{
  const nn__matrix x = {at, 1, ld, 0};
  return x;
}

/* A right operand [k,n] in panels, as the kernels pack it. */
static nn__matrix nn__panels_of(const nn__kernels *t, const nn_real *at, size_t k)
{
  const nn__matrix x = {at, t->nr, 1, k * t->nr};
  return x;
}

nn_status nn_gemm(nn_context *c, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
                  nn_real alpha, const nn_real *a, size_t lda, const nn_real *b, size_t ldb,
                  nn_real beta, nn_real *out, size_t ldc)
{
  if (!c) return NN_ERR_ARGUMENT;
  if (!m || !n) return NN_OK;
  if (!out || ldc < n) return NN_ERR_ARGUMENT;
  if (alpha == 0) k = 0; /* as in BLAS: A and B are not read */
  if (k && (!a || !b || lda < (transpose_a ? m : k) || ldb < (transpose_b ? k : n)))
    return NN_ERR_ARGUMENT;
  if (!k) a = b = out; /* never read, but offsets from NULL would be undefined */
  const nn__finish f = {alpha, beta, NULL, 0, 0};
  const uint32_t mode = nn__flush_subnormals();
  nn__multiply(c, m, n, k, transpose_a ? nn__columns_of(a, lda) : nn__rows_of(a, lda),
               transpose_b ? nn__columns_of(b, ldb) : nn__rows_of(b, ldb), out, ldc, &f);
  nn__restore_mode(mode);
  return NN_OK;
}

/* The first address at or past p that is a multiple of NN__ALIGN. */
static char *nn__aligned(void *p)
{
  const uintptr_t at = (uintptr_t)p;
  return (char *)p + (nn__round_up((size_t)(at & (NN__ALIGN - 1)), NN__ALIGN) -
                      (size_t)(at & (NN__ALIGN - 1)));
}

/* Kernels for an ISA and a thread count that config allows; 0 threads are as many as cores. */
static nn_status nn__choose(nn_isa isa, int *threads, const nn__kernels **kernels)
{
  if (*threads < 0 || *threads > NN_MAX_THREADS) return NN_ERR_ARGUMENT;
  if ((unsigned)isa >= NN_ISA_COUNT) return NN_ERR_ARGUMENT;
  if (*threads == 0) {
    const int cores = nn__cores();
    *threads = cores < NN_MAX_THREADS ? cores : NN_MAX_THREADS;
  }
#ifdef NN_NO_THREADS
  if (*threads > 1) return NN_ERR_UNSUPPORTED;
#endif
  *kernels = nn__kernels_for(isa);
  return *kernels ? NN_OK : NN_ERR_UNSUPPORTED;
}

nn_context *nn_context_create(nn_isa isa, int threads, const nn_allocator *allocator)
{
  const nn__kernels *t;
  if (nn__choose(isa, &threads, &t) != NN_OK) return NULL;
  const size_t head = nn__round_up(sizeof(nn_context), NN__ALIGN);
  const size_t pack_a = nn__packed_a(t, t->mc, t->kc), pack_b = nn__packed_b(t, t->nc, t->kc);
  const size_t size = head + ((size_t)threads * pack_a + pack_b) * sizeof(nn_real) + NN__ALIGN;
  nn_context *c = nn__allocate(allocator, size);
  if (!c) return NULL;
  memset(c, 0, sizeof *c);
  c->kernels = t;
  c->room_a = pack_a, c->room_b = pack_b;
  if (allocator) c->allocator = *allocator;
  c->size = size;
  c->pack_b = (nn_real *)(void *)nn__aligned((char *)c + sizeof *c);
  c->pack_a = c->pack_b + pack_b;
  if (nn__pool_start(&c->pool, threads) != NN_OK) {
    nn__release(allocator, c, size);
    return NULL;
  }
  return c;
}

void nn_context_destroy(nn_context *c)
{
  if (!c) return;
  const nn_allocator allocator = c->allocator;
  nn__pool_stop(&c->pool);
  nn__release(&allocator, c, c->size);
}

/* ======================================= @@GRAPH ===========================================
 * What a model is made of. The layer kinds are one list: number, name in files and listings, and
 * what backward needs kept (its inputs X, its output Y). */
#define NN__KINDS(K)                                                                              \
  K(INPUT, "input", 0)                                                                            \
  K(TOKENS, "tokens", 0)                                                                          \
  K(CONV2D, "conv", NN__NEEDS_X)                                                                  \
  K(LINEAR, "linear", NN__NEEDS_X)                                                                \
  K(MAX_POOL, "max_pool", NN__NEEDS_X | NN__NEEDS_Y)                                              \
  K(AVG_POOL, "avg_pool", 0)                                                                      \
  K(GLOBAL_MAX, "global_max_pool", NN__NEEDS_X | NN__NEEDS_Y)                                     \
  K(GLOBAL_AVG, "global_avg_pool", 0)                                                             \
  NN__ACTS(K)                                                                                     \
  K(SOFTMAX, "softmax", NN__NEEDS_Y)                                                              \
  K(DROPOUT, "dropout", NN__ONE_NUMBER)                                                           \
  K(BATCH_NORM, "batch_norm", NN__NEEDS_X)                                                        \
  K(LAYER_NORM, "layer_norm", NN__NEEDS_X)                                                        \
  K(NORMALISE, "normalise", 0)                                                                    \
  K(FLATTEN, "flatten", 0)                                                                        \
  K(ADD, "add", 0)                                                                                \
  K(MULTIPLY, "multiply", NN__NEEDS_X)                                                            \
  K(CONCAT, "concat", 0)                                                                          \
  K(EMBEDDING, "embedding", NN__NEEDS_X)                                                          \
  K(RNN, "rnn", 0)                                                                                \
  K(LSTM, "lstm", 0)                                                                              \
  K(GRU, "gru", 0)                                                                                \
  K(LAST_STEP, "last_step", 0)                                                                    \
  K(REVERSE, "reverse", 0)                                                                        \
  K(PADDED, "pad", 0)                                                                             \
  K(CROP, "crop", 0)                                                                              \
  K(UPSAMPLE, "upsample", 0)                                                                      \
  K(CROSS_ENTROPY, "cross_entropy", 0)                                                            \
  K(SQUARED_ERROR, "squared_error", 0)                                                            \
  K(BINARY_CROSS_ENTROPY, "binary_cross_entropy", 0)

#define NN__KIND_ENUM(name, text, needs) NN__##name,
typedef enum nn__kind { NN__KINDS(NN__KIND_ENUM) NN__KIND_COUNT } nn__kind;
#define NN__KIND_TEXT(name, text, needs) text,
static const char *const nn__kind_text[NN__KIND_COUNT] = {NN__KINDS(NN__KIND_TEXT)};
#define NN__KIND_NEEDS(name, text, needs) needs,
static const unsigned char nn__kind_needs[NN__KIND_COUNT] = {NN__KINDS(NN__KIND_NEEDS)};

/* A piece of the model's block: where it starts and, while planning, when it is in use. */
typedef struct nn__piece {
  size_t size;     /* in reals */
  size_t offset;   /* in reals, from the start of the shared region */
  int first, last; /* times of first and last use; last < first: not wanted */
} nn__piece;

typedef struct nn__node {
  /* the description */
  nn__kind kind;
  int inputs, in[2];
  char name[24];
  int rank, dim[3];           /* shape at the border, batch left out */
  nn_conv2d_options window;   /* convolution and pooling */
  nn_recurrent_options cell;
  int size;                   /* linear: out; embedding: vocabulary */
  int no_bias;                /* linear */
  int ceil, exclude_pad;      /* pooling */
  double rate, decay;         /* factors of the optimizer's rate and weight decay; rate 0: frozen */
  double value, second;       /* slope, lower and upper limit, drop rate, label smoothing */
  const nn_real *weights;     /* cross-entropy: class weights in the block, or the caller's */
  const nn_real *constants[2]; /* normalise: the caller's mean and scale, until the build */
  int has_weights;
  nn_init init;
  double init_value;
  /* what follows from it */
  size_t rows, cols;          /* the matrix of one sample; shape inside */
  int param, params;          /* first parameter and how many */
  int users;                  /* nodes that read it */
  int wanted;                 /* whether the gradient of its output is */
  /* the plan */
  int share;                  /* the node whose arrays this one uses in place, or -1 */
  int fused;                  /* a relu that its input's finish has already done */
  int masked;                 /* and that the maxima after it go back through on their own */
  int relu;                   /* convolution, linear: finish with a relu */
  int folded;                 /* a batch norm that is part of the convolution before it */
  int norm;                   /* convolution: the batch norm folded into it, or -1 */
  nn__piece y_piece, dy_piece, keep_piece, extra_piece;
  size_t scratch, thread_scratch; /* reals wanted while it runs */
  nn_real *y, *dy;            /* output and its gradient */
  nn_real *keep;              /* what forward leaves to backward */
  nn_real *extra;             /* where a second user's gradient is made before it is added */
  nn_real *border;            /* an input's gradient as the caller sees it, if layouts differ */
  nn_real *packed;            /* inference: the weights as products read them; or NULL */
  size_t packed_size;
  nn_real *state;             /* carried from call to call */
  size_t state_size;
  int state_n;                /* samples the state belongs to; 0 = none yet */
  int started;                /* going back: its gradient has been written to */
#ifndef NN_NO_INSPECT
  int seen[4];                /* nn_receptive_field: the window of it that the unit sees */
#endif
} nn__node;

typedef struct nn__param {
  char name[NN_NAME_SIZE];
  const char *what; /* "weight", .. */
  int layer;        /* of a cell, or -1 */
  int node, rank, dim[4];
  int buffer;       /* running statistics: not trained */
  size_t count, offset; /* in the block of its sort */
  nn_real *value;   /* there; or in the caller's memory, which is only read; NULL: not yet */
} nn__param;

struct nn_model {
  nn_config config;
  nn_status status, broken;   /* of the last failed call; the description's first error */
  nn_message message;
  int owns_model, owns_block, built;
  nn__node node[NN_MAX_NODES];
  nn__param param[NN_MAX_PARAMS];
  int nodes, params;
  int input[NN_MAX_INPUTS], inputs;
  int output, loss;           /* nodes; loss -1: none */
  nn_context context;         /* kernels, threads and packing space of its own */
  /* the block */
  void *block;
  size_t block_size, plan_size;
  nn_real *value, *gradient, *slot[2], *buffer; /* parameters, .., running statistics */
  size_t values, buffers;     /* elements */
  nn_real *shared;            /* activations, gradients and kept values, by nn__piece offsets */
  nn_real *scratch, *thread_scratch;
  size_t scratch_size, thread_scratch_size, shared_size;
  nn_real *border;            /* the output as nn_output shows it, where layouts differ */
  nn_real *stage;             /* a batch gathered by nn_fit, nn_survey, nn_occlusion */
  char *notes;                /* key, text, key, text, .., each with its closing zero */
  size_t notes_size, notes_used;
  int32_t *stage_labels, *lengths, *stage_lengths;
  nn_real *stage_values;
  int has_lengths;
  /* the run */
  int shown;                  /* the last output is in border */
  int packed;                 /* what nodes keep packed is of the present parameters */
  int exposed;                /* a caller has a pointer to them, */
  uint64_t fingerprint;       /* so this is what they were when they were packed */
  /* the last forward: samples; done (2: and backward, too); an nn_mode; nn_loss done since */
  int n, ran, training, lost;
  int fresh;                  /* cells start from 0 and leave what they carry alone */
  double loss_weight;         /* of the last nn_loss: what it was divided by, */
  int64_t loss_rows;          /* and the rows that had a label */
  uint64_t draws;             /* training forwards so far: the stream of dropout */
#ifndef NN_NO_TRAINING
  nn_optimizer optimizer;
  int slots;
  double largest;             /* gradient of the last nn_step */
#ifndef NN_NO_INSPECT
  nn_rule rule;               /* nn_project's, while it goes back: how a relu passes a signal */
#endif
#endif
  int64_t steps;
  int64_t state_steps;        /* of them, those that the optimizer's state is made of */
};

/* Whether layers keep their weights packed, or pack them at every call in space that all share. */
static int nn__packs_once(const nn_model *m)
{
  return m->config.inference && !m->config.least_memory;
}

/* ======================================== @@CONV ===========================================
 * Convolution without im2col. With channels last, the inputs of one output pixel are kernel_h runs
 * of kernel_w C contiguous numbers, so the product of a tile of MR pixels with NR output channels
 * reads the image in place (tile_rows): a[i] is a pixel, a run is a row of the window. All three
 * products of training are such walks:
 *   forward   Y[pixel, o]     = sum over (u,v,c) of X[pixel s + (u,v) d, c] W[(u,v,c), o]
 *   data      dX[pixel, c]    = the same walk over dY, spread out by s and padded, with W turned
 *   weight    dW[(u,v,c), o]  = sum over pixels of X[pixel s + (u,v) d, c] dY[pixel, o]
 * Padding is a copy of one image with zeros around it, in the thread's scratch. */
typedef struct nn__conv {
  const nn__kernels *kernels;
  size_t n;                          /* images */
  size_t h, w, c, oh, ow, oc;        /* of input and output */
  size_t kh, kw, sh, sw, ph, pw, dh, dw;
  size_t groups, cg, og;             /* input and output channels of a group */
  size_t hp, wp, hz, wz;             /* of the padded image, and of dY spread out */
  size_t runs;                       /* of contiguous numbers in a window: its rows, or its taps */
  size_t chunks;                     /* partial sums of the weight gradient */
  int side;                          /* Winograd: outputs of a tile's side, 4 or 6; 0: direct */
} nn__conv;

enum { NN__TILE = 8 }; /* side of a tile of Winograd's transform; 64 frequencies */
/* Most channels that one float sum of a frequency takes. The way back multiplies its error, which
 * grows as the root of its length. */
enum { NN__WINOGRAD_CHAIN = 128 };
enum { NN__WINOGRAD_PAIRS = 1 << 16 }; /* most pairs of channels; 16 of one kind at least, so */
enum { NN__WINOGRAD_CHAINS = NN__WINOGRAD_PAIRS / 16 / NN__WINOGRAD_CHAIN };

/* Winograd pays for 3x3 and 5x5 windows at stride 1 once there are channels enough to carry the
 * transforms; `side` outputs then cost 64 products in place of side^2 k^2. */
static int nn__winograd_side(const nn__conv *c, int weights_are_ready)
{
  if (c->kh != c->kw || (c->kh != 3 && c->kh != 5) || c->groups > 1) return 0;
  if (c->sh != 1 || c->sw != 1 || c->dh != 1 || c->dw != 1) return 0;
  if (c->ph >= c->kh || c->pw >= c->kw) return 0; /* the data gradient's padding is k - 1 - p */
  if (c->c < 16 || c->oc < 16 || c->c * c->oc > NN__WINOGRAD_PAIRS) return 0;
  const size_t side = NN__TILE + 1 - c->kh;
  const size_t tiles = ((c->oh + side - 1) / side) * ((c->ow + side - 1) / side);
  /* Products for each pair of channels: a half at most, and what is saved carries the transform of
   * the weights. */
  const size_t taps = c->kh * c->kw, direct = c->oh * c->ow * taps;
  const size_t products = tiles * NN__TILE * NN__TILE;
  const size_t weights = weights_are_ready ? 0 : NN__TILE * (taps + NN__TILE * c->kw);
  return 2 * products <= direct && c->n * (direct - products) > 2 * weights ? (int)side : 0;
}

/* Numbers of one partial weight gradient: the weights' or their frequencies', then the bias's. */
static size_t nn__conv_partial(const nn__conv *c)
{
  return (c->side ? NN__TILE * NN__TILE : c->kh * c->kw) * c->groups * c->cg * c->og + c->oc;
}

/* By the shapes and samples alone: config.batch and threads have no part in the bits. */
static void nn__conv_choose(nn__conv *c, int side)
{
  c->side = side;
  c->chunks =
      nn__min(c->n, nn__max(1, nn__min(8, ((size_t)1 << 21) / nn__conv_partial(c))));
}

static nn__conv nn__conv_of(const nn_model *m, const nn__node *node, const nn__node *x, size_t n)
{
  const nn_conv2d_options *o = &node->window;
  nn__conv c;
  c.kernels = m->context.kernels;
  c.n = n;
  c.c = (size_t)x->dim[0], c.h = (size_t)x->dim[1], c.w = (size_t)x->dim[2];
  c.oc = (size_t)node->dim[0], c.oh = (size_t)node->dim[1], c.ow = (size_t)node->dim[2];
  c.kh = (size_t)o->kernel_h, c.kw = (size_t)o->kernel_w;
  c.sh = (size_t)o->stride_h, c.sw = (size_t)o->stride_w;
  c.ph = (size_t)o->pad_h, c.pw = (size_t)o->pad_w;
  c.dh = (size_t)o->dilation_h, c.dw = (size_t)o->dilation_w;
  c.groups = (size_t)o->groups;
  c.cg = c.c / c.groups, c.og = c.oc / c.groups;
  c.hp = c.h + 2 * c.ph, c.wp = c.w + 2 * c.pw;
  c.hz = c.h + (c.kh - 1) * c.dh, c.wz = c.w + (c.kw - 1) * c.dw;
  c.runs = c.dw == 1 && c.groups == 1 ? c.kh : c.kh * c.kw;
  nn__conv_choose(&c, m->config.direct_convolution ? 0 : nn__winograd_side(&c, nn__packs_once(m)));
  return c;
}

static int nn__depthwise(const nn__conv *c) { return c->groups > 1 && c->cg == 1 && c->og == 1; }

/* Space for weights packed for one product: groups panels of k rows. */
static size_t nn__conv_packed(const nn__conv *c, size_t k, size_t n)
{
  return c->groups * nn__round_up(n, c->kernels->nr) * k;
}

/* Where the pixels and runs of a walk lie; used as offsets, kept in scratch behind the weights. */
static size_t nn__reals_for(size_t sizes) /* reals that hold so many size_t */
{
  return nn__round_up((sizes * sizeof(size_t) + sizeof(nn_real) - 1) / sizeof(nn_real), 16);
}

/* Depthwise, a channel's products add up along each side of the image by itself: to the output at
 * i go those of a and b, as many as count, which start at a and b and lie step_a and step_b apart.
 *   FORWARD  out = Y, a = X, b = W     at a = i s + b d - p
 *   DATA     out = dX, a = dY, b = W   at a s = i + p - b d
 *   WEIGHT   out = dW, a = X, b = dY   at a = b s + i d - p */
typedef enum nn__product_kind { NN__FORWARD, NN__DATA, NN__WEIGHT } nn__product_kind;
typedef struct nn__span {
  size_t a, b, count;
} nn__span;
typedef struct nn__line {
  size_t out, a, b; /* lengths */
  ptrdiff_t step_a, step_b;
  nn__span *span; /* of each output */
} nn__line;

static nn__line nn__line_of(nn__product_kind kind, size_t in, size_t out, size_t k, size_t s,
                            size_t d, size_t p, nn__span *span)
{
  nn__line line = {kind == NN__DATA ? in : out, kind == NN__DATA ? out : in, k, 0, 0, span};
  if (kind == NN__WEIGHT) line.out = k, line.b = out;
  for (size_t i = 0; i < line.out; i++) {
    nn__span *at = &span[i];
    memset(at, 0, sizeof *at);
    for (size_t n = 0; n < line.b; n++) {
      const size_t b = kind == NN__DATA ? line.b - 1 - n : n; /* so that a rises */
      const size_t minus = kind == NN__DATA ? b * d : p, by = kind == NN__DATA ? s : 1;
      size_t plus = i + p;
      if (kind == NN__FORWARD) plus = i * s + b * d;
      if (kind == NN__WEIGHT) plus = b * s + i * d;
      if (plus < minus || (plus - minus) % by || (plus - minus) / by >= line.a) continue;
      const size_t a = (plus - minus) / by;
      if (at->count == 0) at->a = a, at->b = b;
      if (at->count == 1) {
        line.step_a = (ptrdiff_t)a - (ptrdiff_t)at->a;
        line.step_b = (ptrdiff_t)b - (ptrdiff_t)at->b;
      }
      at->count++;
    }
  }
  return line;
}

/* Tiles of an h x w image. */
static size_t nn__winograd_tiles(const nn__conv *c, size_t h, size_t w)
{
  const size_t side = (size_t)c->side;
  return (h + side - 1) / side * ((w + side - 1) / side);
}

/* Winograd works on blocks of tiles whose frequencies fit the second-level cache, or on all tiles
 * where there are fewer. */
static size_t nn__winograd_block(const nn__conv *c)
{
  const size_t tile = NN__TILE * NN__TILE * (c->c + c->oc) * sizeof(nn_real), mr = c->kernels->mr;
  const size_t most =
      c->n * nn__max(nn__winograd_tiles(c, c->oh, c->ow), nn__winograd_tiles(c, c->h, c->w));
  return nn__min(mr * nn__max(1, 700 * 1024 / (tile * mr)), nn__round_up(most, mr));
}

/* Where a kernel keeps a tile that is transformed along one side; ahead of all else in a thread's
 * scratch. */
static size_t nn__winograd_half(const nn__conv *c)
{
  return NN__TILE * NN__TILE * c->kernels->vw;
}

/* A padded image that whole tiles cover, for outputs of h x w and c channels. */
static size_t nn__winograd_image(const nn__conv *c, size_t h, size_t w, size_t channels)
{
  const size_t side = (size_t)c->side, k = c->kh - 1;
  return (nn__round_up(h, side) + k) * (nn__round_up(w, side) + k) * channels;
}

/* The weights as the forward, or `turned` the data gradient, reads them: 64 frequencies in panels,
 * taps of channels, or panels. */
static size_t nn__conv_weights(const nn__conv *c, int turned)
{
  const size_t taps = c->side ? NN__TILE * NN__TILE : c->kh * c->kw;
  if (nn__depthwise(c)) return taps * c->c;
  return nn__conv_packed(c, taps * (turned ? c->og : c->cg), turned ? c->cg : c->og);
}

/* What such a walk needs beside them: places of runs, or spans. */
static size_t nn__conv_lists(const nn__conv *c, int turned)
{
  const size_t span = sizeof(nn__span) / sizeof(size_t);
  if (nn__depthwise(c)) return nn__reals_for(span * (turned ? c->h + c->w : c->oh + c->ow)) + 16;
  return c->side ? 0 : nn__reals_for(c->runs) + 16;
}

static size_t nn__conv_backward_scratch(const nn__conv *c)
{
  const size_t span = nn__depthwise(c) ? sizeof(nn__span) / sizeof(size_t) : 0;
  const size_t lists = span ? span * (c->oh + c->kw) : c->kh * c->kw * c->cg + c->oh;
  return nn__max(nn__conv_weights(c, 1) + nn__conv_lists(c, 1),
                 c->chunks * nn__conv_partial(c) + nn__reals_for(c->side ? 0 : lists) + 16);
}

static size_t nn__conv_thread_scratch(const nn__conv *c, int back)
{
  if (c->side) {
    const size_t data = back ? nn__winograd_image(c, c->h, c->w, c->oc) : 0;
    return nn__winograd_half(c) + nn__max(nn__winograd_image(c, c->oh, c->ow, c->c), data) +
           nn__winograd_block(c) * NN__TILE * NN__TILE * (c->c + c->oc);
  }
  if (nn__depthwise(c)) return 0;
  return nn__max(c->ph || c->pw ? c->hp * c->wp * c->c : 0, back ? c->hz * c->wz * c->oc : 0);
}

/* What the tasks of a convolution are given. A data gradient is `turned`: its images in are dY, its
 * images out dX, and its windows turn by 180 degrees. */
typedef struct nn__conv_job {
  const nn__conv *conv;
  int turned;
  size_t h, w, c, oh, ow, oc; /* of the images in and out */
  size_t cg, og;              /* channels of a group, in and out */
  const nn_real *x, *dy, *weights;
  nn_real *y, *packed, *partial, *dw;
  nn__finish finish;
  /* The image in with zeros around and between its pixels: tall x wide, pixel (i,j) at
   * (top + i sh, left + j sw), which may be outside. */
  size_t tall, wide, sh, sw;
  ptrdiff_t top, left;
  /* direct: places of the rows of dW and of runs, in the image in */
  const size_t *place, *skip;
  nn__line down, across; /* depthwise */
  size_t tiles_w, tiles, block; /* Winograd: of one image; how many are transformed at once */
  nn_real transform[NN__TILE][NN__TILE];
  nn_real *thread_scratch;
  size_t thread_scratch_size;
} nn__conv_job;

static nn__conv_job nn__conv_job_of(nn_model *m, const nn__conv *c, int turned)
{
  nn__conv_job q;
  memset(&q, 0, sizeof q);
  q.conv = c, q.turned = turned;
  q.h = turned ? c->oh : c->h, q.w = turned ? c->ow : c->w, q.c = turned ? c->oc : c->c;
  q.oh = turned ? c->h : c->oh, q.ow = turned ? c->w : c->ow, q.oc = turned ? c->c : c->oc;
  q.cg = turned ? c->og : c->cg, q.og = turned ? c->cg : c->og;
  q.tall = turned ? c->hz : c->hp, q.wide = turned ? c->wz : c->wp;
  q.sh = turned ? c->sh : 1, q.sw = turned ? c->sw : 1;
  q.top = (ptrdiff_t)(turned ? (c->kh - 1) * c->dh : c->ph) - (ptrdiff_t)(turned ? c->ph : 0);
  q.left = (ptrdiff_t)(turned ? (c->kw - 1) * c->dw : c->pw) - (ptrdiff_t)(turned ? c->pw : 0);
  if (c->side) {
    const size_t side = (size_t)c->side;
    q.tall = nn__round_up(q.oh, side) + c->kh - 1, q.wide = nn__round_up(q.ow, side) + c->kw - 1;
    q.tiles_w = (q.ow + side - 1) / side;
    q.tiles = nn__winograd_tiles(c, q.oh, q.ow);
    q.block = nn__winograd_block(c);
  }
  q.packed = q.partial = m->scratch;
  q.thread_scratch = m->thread_scratch, q.thread_scratch_size = m->thread_scratch_size;
  return q;
}

static nn_real *nn__space_of(const nn__conv_job *q, int thread)
{
  return q->thread_scratch + (size_t)thread * q->thread_scratch_size;
}

/* Lays image `number` out with the zeros around and between its pixels. */
static void nn__lay(const nn__conv_job *q, size_t number, nn_real *to)
{
  const nn_real *from = q->x + number * q->h * q->w * q->c;
  const size_t row = q->wide * q->c, pixel = q->c * sizeof *to;
  const size_t left = q->left > 0 ? (size_t)q->left : 0, cut = q->left < 0 ? (size_t)-q->left : 0;
  const size_t most = q->wide > left ? q->wide - left : 0, inside = q->w > cut ? q->w - cut : 0;
  const size_t width = nn__min(inside, most); /* of what lies side by side */
  for (size_t i = 0; i < q->tall; i++, to += row) {
    const ptrdiff_t down = (ptrdiff_t)i - q->top;
    const size_t at = down < 0 ? q->h : (size_t)down / q->sh;
    if (at >= q->h || (size_t)down % q->sh) {
      memset(to, 0, row * sizeof *to);
    } else if (q->sw == 1) {
      memset(to, 0, left * pixel);
      memcpy(to + left * q->c, from + (at * q->w + cut) * q->c, width * pixel);
      memset(to + (left + width) * q->c, 0, (q->wide - left - width) * pixel);
    } else {
      memset(to, 0, row * sizeof *to);
      for (size_t j = 0; j < q->w; j++) {
        const ptrdiff_t x = q->left + (ptrdiff_t)(j * q->sw);
        if (x >= 0 && (size_t)x < q->wide)
          memcpy(to + (size_t)x * q->c, from + (at * q->w + j) * q->c, pixel);
      }
    }
  }
}

/* Image `number` as it is walked over: laid out in `to`, or itself where that would be a copy. */
static const nn_real *nn__laid(const nn__conv_job *q, size_t number, nn_real *to)
{
  const int moved = q->top || q->left || q->sh > 1 || q->sw > 1;
  if (q->tall == q->h && q->wide == q->w && !moved) return q->x + number * q->h * q->w * q->c;
  nn__lay(q, number, to);
  return to;
}

/* ---- Winograd ----------------------------------------------------------------------------- */

/* Fewer products for 3x3 and 5x5 windows (Lavin & Gray, CVPR 2016): with polynomials evaluated at
 * the points 0, +-1, +-2, +-1/2 and infinity, an 8x8 tile of inputs d gives side x side outputs
 *   Y = A^T [ (G g G^T) * (B^T d B) ] A          side = 6 for 3x3, 4 for 5x5; B is the same
 * where * goes element by element, so each of the 64 frequencies is a product of matrices
 * [tiles, c][c, oc]. The gradients are the same trilinear form read the other way round:
 *   data    the forward of dY with turned weights;
 *   weight  dg = G^T [ sum over tiles of (B^T d B) * (A dY A^T) ] G.
 * The transforms' coefficients reach 5.25 and 1/90, which costs accuracy: see NUMBERS in nn.h. */
/* Row j of G: a_j^i / prod over l of (a_j - a_l). */
static nn_real nn__winograd_g(size_t j, size_t i, size_t k)
{
  static const double point[7] = {0, 1, -1, 2, -2, .5, -.5};
  static const double share[7] = {1 / -1.0,       1 / -4.5,      1 / -4.5,     1 / 90.0,
                                  1 / 90.0, 1 / 1.40625, 1 / 1.40625};
  double power = 1;
  if (j == 7) return i == k - 1;
  for (size_t n = 0; n < i; n++) power *= point[j];
  return (nn_real)(power * share[j]);
}

/* G, or `back` G^T. */
static void nn__winograd_transform(nn__conv_job *q, int back)
{
  for (size_t f = 0; f < NN__TILE; f++)
    for (size_t u = 0; u < q->conv->kh; u++)
      *(back ? &q->transform[u][f] : &q->transform[f][u]) = nn__winograd_g(f, u, q->conv->kh);
}

/* to[f][panel][i][NR] = G w G^T, from w[oc, c, k, k]. */
static void nn__winograd_pack_task(void *arg, size_t i, int thread)
{
  const nn__conv_job *q = arg;
  const nn__kernels *t = q->conv->kernels;
  const size_t nr = t->nr, taps = q->conv->kh * q->conv->kw, each = q->conv->c * taps;
  const size_t wide = nn__round_up(q->oc, nr);
  nn_real *w = nn__space_of(q, thread);
  if (q->turned) { /* windows turned by 180 degrees */
    const nn_real *from = q->weights + i * each;
    for (size_t j = 0; j < q->oc; j++, from += taps)
      for (size_t tap = 0; tap < taps; tap++) w[tap * wide + j] = from[taps - 1 - tap];
  } else {
    t->transpose(w, wide, q->weights + i * taps, each, q->oc, taps);
  }
  for (size_t tap = 0; tap < taps; tap++)
    memset(w + tap * wide + q->oc, 0, (wide - q->oc) * sizeof *w);
  for (size_t j = 0; j < q->oc; j += nr)
    t->winograd_weights(q->packed + j * q->c + i * nr, q->c * wide, NN__TILE, w + j, wide,
                        (int)q->conv->kh, q->transform, nr);
}

#ifndef NN_NO_TRAINING
/* dw[oc, c, k, k] += G^T sum G, from sum[f][c, oc]. */
static void nn__winograd_unpack_task(void *arg, size_t i, int thread)
{
  const nn__conv_job *q = arg;
  const size_t taps = q->conv->kh * q->conv->kw;
  nn_real *w = nn__space_of(q, thread);
  q->conv->kernels->winograd_weights(w, q->oc, (int)q->conv->kh, q->partial + i * q->oc,
                                     q->c * q->oc, NN__TILE, q->transform, q->oc);
  for (size_t o = 0; o < q->oc; o++) {
    nn_real *to = q->dw + (o * q->c + i) * taps;
    for (size_t tap = 0; tap < taps; tap++) to[tap] += w[tap * q->oc + o];
  }
}
#endif

/* Tile t in its image, which is laid out when t enters a new one. */
static const nn_real *nn__winograd_tile(const nn__conv_job *q, size_t t, size_t *present,
                                        nn_real *image)
{
  const size_t side = (size_t)q->conv->side, at = t % q->tiles;
  if (t / q->tiles != *present) nn__lay(q, *present = t / q->tiles, image);
  return image + (at / q->tiles_w * q->wide + at % q->tiles_w) * side * q->c;
}

/* The part of tile t's outputs that is inside: its first pixel and how many rows and columns. */
static size_t nn__winograd_inside(const nn__conv_job *q, size_t t, size_t *rows, size_t *cols)
{
  const size_t side = (size_t)q->conv->side, at = t % q->tiles;
  const size_t i = at / q->tiles_w * side, j = at % q->tiles_w * side;
  *rows = nn__min(side, q->oh - i);
  *cols = nn__min(side, q->ow - j);
  return ((t / q->tiles * q->oh + i) * q->ow + j) * q->oc;
}

static void nn__winograd_forward_task(void *arg, size_t index, int thread)
{
  const nn__conv_job *q = arg;
  const nn__kernels *t = q->conv->kernels;
  const size_t first = index * q->block, taps = NN__TILE * NN__TILE;
  const size_t count = nn__min(q->block, q->conv->n * q->tiles - first);
  const size_t wide = nn__round_up(q->oc, t->nr);
  const size_t chains = (q->c + NN__WINOGRAD_CHAIN - 1) / NN__WINOGRAD_CHAIN;
  const size_t length = (q->c + chains - 1) / chains;
  size_t skip[NN__WINOGRAD_CHAINS];
  for (size_t i = 0; i < chains; i++) skip[i] = i * length;
  const nn__walk walk = {chains, length, q->c - (chains - 1) * length, skip, 1, t->nr, NN__CHAINS};
  const nn__finish set = {1, 0, NULL, 0, 0};
  nn_real *const half = nn__space_of(q, thread);
  nn_real *v = half + nn__winograd_half(q->conv);
  nn_real *out = v + q->block * taps * q->c, *image = out + q->block * taps * q->oc;
  size_t present = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    const nn_real *x = nn__winograd_tile(q, first + i, &present, image);
    t->winograd_in(v + i * q->c, q->block * q->c, x, q->wide * q->c, q->c, half);
  }
  for (size_t f = 0; f < taps; f++)
    nn__tiles(t, &walk, count, q->oc, v + f * q->block * q->c, q->c, q->packed + f * wide * q->c,
              q->c * t->nr, out + f * q->block * q->oc, q->oc, t->nr, &set);
  for (size_t i = 0; i < count; i++) {
    size_t rows, cols;
    nn_real *y = q->y + nn__winograd_inside(q, first + i, &rows, &cols);
    t->winograd_out(y, q->ow * q->oc, q->oc, out + i * q->oc, q->block * q->oc, q->conv->side,
                    rows, cols, &q->finish, half);
  }
}

#ifndef NN_NO_TRAINING
/* One chunk of tiles: its own sums [64, c, oc] and, of dY, [oc]. */
static void nn__winograd_weight_task(void *arg, size_t chunk, int thread)
{
  const nn__conv_job *q = arg;
  const nn__conv *c = q->conv;
  const nn__kernels *t = c->kernels;
  const size_t taps = NN__TILE * NN__TILE, all = c->n * q->tiles, no_skip = 0;
  const size_t begin = chunk * all / c->chunks, end = (chunk + 1) * all / c->chunks;
  nn_real *du = q->partial + chunk * nn__conv_partial(c), *db = du + taps * q->c * q->oc;
  nn_real *const half = nn__space_of(q, thread);
  nn_real *v = half + nn__winograd_half(c);
  nn_real *d = v + q->block * taps * q->c, *image = d + q->block * taps * q->oc;
  size_t present = SIZE_MAX;
  memset(db, 0, q->oc * sizeof *db);
  if (begin == end) memset(du, 0, taps * q->c * q->oc * sizeof *du);
  for (size_t first = begin; first < end; first += q->block) {
    const size_t count = nn__min(q->block, end - first);
    const nn__walk walk = {1, count, count, &no_skip, q->c, q->oc, 1};
    const nn__finish add = {1, first > begin, NULL, 0, 0};
    for (size_t i = 0; i < count; i++) {
      size_t rows, cols;
      const nn_real *x = nn__winograd_tile(q, first + i, &present, image);
      t->winograd_in(v + i * q->c, q->block * q->c, x, q->wide * q->c, q->c, half);
      const nn_real *dy = q->dy + nn__winograd_inside(q, first + i, &rows, &cols);
      t->winograd_out_back(d + i * q->oc, q->block * q->oc, dy, q->ow * q->oc, q->oc, c->side,
                           rows, cols, half);
      for (size_t k = 0; k < rows; k++)
        t->sum_rows(db, dy + k * q->ow * q->oc, q->oc, NULL, NULL, cols, q->oc);
    }
    for (size_t f = 0; f < taps; f++)
      nn__tiles(t, &walk, q->c, q->oc, v + f * q->block * q->c, 1, d + f * q->block * q->oc, t->nr,
                du + f * q->c * q->oc, q->oc, t->nr, &add);
  }
}
#endif

/* ---- direct ------------------------------------------------------------------------------- */

/* Packs weights for a correlation: row k = (u,v,i), column j of group g is at(g,u,v,i,j). `turned`
 * is the data gradient's: i runs over output channels, j over input channels, u and v backwards. */
static void nn__direct_pack(const nn__conv_job *q, nn_real *to)
{
  const size_t nr = q->conv->kernels->nr, taps = q->conv->kh * q->conv->kw;
  const size_t step_i = q->turned ? q->og * taps : taps, step_j = q->turned ? taps : q->cg * taps;
  for (size_t g = 0; g < q->conv->groups; g++)
    for (size_t j0 = 0; j0 < q->og; j0 += nr)
      for (size_t tap = 0; tap < taps; tap++) {
        const nn_real *from = q->weights + g * q->og * q->cg * taps;
        from += q->turned ? taps - 1 - tap : tap;
        for (size_t i = 0; i < q->cg; i++, to += nr)
          for (size_t j = 0; j < nr; j++)
            to[j] = j0 + j < q->og ? from[i * step_i + (j0 + j) * step_j] : 0;
      }
}

/* Where the runs of a window start in the image that is walked over; kept at `skip`. */
static void nn__conv_places(nn__conv_job *q, size_t *skip)
{
  const nn__conv *c = q->conv;
  q->skip = skip;
  for (size_t u = 0; u < c->kh; u++)
    for (size_t v = 0; v < c->runs / c->kh; v++)
      *skip++ = (u * c->dh * q->wide + v * c->dw) * q->c;
}

static void nn__direct_task(void *arg, size_t number, int thread)
{
  const nn__conv_job *q = arg;
  const nn__kernels *t = q->conv->kernels;
  const size_t k = q->conv->kh * q->conv->kw * q->cg, run = k / q->conv->runs, nr = t->nr;
  const nn__walk walk = {q->conv->runs, run, run, q->skip, 1, nr, 0};
  const nn_real *image = nn__laid(q, number, nn__space_of(q, thread));
  const size_t right = (q->turned ? 1 : q->conv->sw) * q->c;
  const size_t down = (q->turned ? 1 : q->conv->sh) * q->wide * q->c;
  nn_real *out = q->y + number * q->oh * q->ow * q->oc;
  for (size_t g = 0; g < q->conv->groups; g++) {
    const nn__left pixels = {image + g * q->cg, right, 0, 0, NULL, q->ow, down};
    nn__finish f = q->finish;
    if (f.bias) f.bias += g * q->og;
    nn__tiles_at(t, &walk, q->oh * q->ow, q->og, &pixels,
                 q->packed + g * nn__round_up(q->og, nr) * k, nr * k, out + g * q->og, q->oc, nr,
                 &f);
  }
}

#ifndef NN_NO_TRAINING
/* Sum over the rows of x[rows, cols] added to sum, in pieces short enough for float. */
static void nn__sum_rows(const nn__kernels *t, nn_real *sum, const nn_real *x, size_t rows,
                         size_t cols)
{
  for (size_t i = 0; i < rows; i += 256)
    t->sum_rows(sum, x + i * cols, cols, NULL, NULL, nn__min(256, rows - i), cols);
}

/* The images of one chunk, added up into the chunk's own partial: [k, og] of each group, [oc]. */
static void nn__direct_weight_task(void *arg, size_t chunk, int thread)
{
  const nn__conv_job *q = arg;
  const nn__conv *c = q->conv;
  const size_t k = c->kh * c->kw * c->cg, pixels = c->oh * c->ow, nr = c->kernels->nr;
  nn_real *dw = q->partial + chunk * nn__conv_partial(c), *db = dw + c->groups * k * c->og;
  const nn__walk walk = {c->oh, c->ow, c->ow, q->skip, c->sw * c->c, c->oc, 1};
  const nn__finish add = {1, 1, NULL, 0, 0};
  memset(dw, 0, nn__conv_partial(c) * sizeof *dw);
  for (size_t i = chunk * c->n / c->chunks; i < (chunk + 1) * c->n / c->chunks; i++) {
    const nn_real *x = nn__laid(q, i, nn__space_of(q, thread)), *dy = q->dy + i * pixels * c->oc;
    nn__sum_rows(c->kernels, db, dy, pixels, c->oc);
    for (size_t g = 0; g < c->groups; g++) {
      const nn__left rows = {x + g * c->cg, 0, 0, 0, q->place, 0, 0};
      nn__tiles_at(c->kernels, &walk, k, c->og, &rows, dy + g * c->og, nr, dw + g * k * c->og,
                   c->og, nr, &add);
    }
  }
}

/* Where the rows of dW and of dY's images start in the image that is walked over. */
static void nn__weight_places(nn__conv_job *q, size_t *list)
{
  const nn__conv *c = q->conv;
  q->place = list;
  for (size_t u = 0; u < c->kh; u++)
    for (size_t v = 0; v < c->kw; v++)
      for (size_t i = 0; i < c->cg; i++) *list++ = (u * c->dh * c->wp + v * c->dw) * c->c + i;
  q->skip = list;
  for (size_t i = 0; i < c->oh; i++) list[i] = i * c->sh * c->wp * c->c;
}
#endif

/* ---- depthwise ---------------------------------------------------------------------------- */

/* Adds to out[i,j] the products of a and b, c channels each, that belong to it. */
static void nn__depthwise_add(const nn__kernels *t, size_t c, const nn__line *down,
                              const nn__line *across, const nn_real *a, const nn_real *b,
                              nn_real *out)
{
  const ptrdiff_t pixel = (ptrdiff_t)c;
  const ptrdiff_t row_a = (ptrdiff_t)(across->a * c), row_b = (ptrdiff_t)(across->b * c);
  const nn__steps steps = {down->step_a * row_a, across->step_a * pixel, down->step_b * row_b,
                           across->step_b * pixel};
  for (size_t i = 0; i < down->out; i++)
    for (size_t j = 0; j < across->out; j++, out += c) {
      const nn__span *r = &down->span[i], *s = &across->span[j];
      t->add_taps(out, a + (r->a * across->a + s->a) * c, b + (r->b * across->b + s->b) * c,
                  &steps, r->count, s->count, c);
    }
}

static void nn__depthwise_task(void *arg, size_t number, int thread)
{
  const nn__conv_job *q = arg;
  const size_t pixels = q->oh * q->ow;
  nn_real *out = q->y + number * pixels * q->c;
  (void)thread;
  if (q->finish.bias)
    for (size_t i = 0; i < pixels; i++)
      memcpy(out + i * q->c, q->finish.bias, q->c * sizeof *out);
  else
    memset(out, 0, pixels * q->c * sizeof *out);
  nn__depthwise_add(q->conv->kernels, q->c, &q->down, &q->across,
                    q->x + number * q->h * q->w * q->c, q->packed, out);
  if (q->finish.relu) q->conv->kernels->activate(NN__ACT_RELU, out, out, pixels * q->c, 0, 0);
}

#ifndef NN_NO_TRAINING
/* The images of one chunk: [taps, c], [c]. Row by row of dY, which stays in the cache. */
static void nn__depthwise_weight_task(void *arg, size_t chunk, int thread)
{
  const nn__conv_job *q = arg;
  const nn__conv *c = q->conv;
  const size_t pixels = c->oh * c->ow, row = c->kw * c->c;
  nn_real *dw = q->partial + chunk * nn__conv_partial(c), *db = dw + c->kh * row;
  nn__span alone = {0, 0, 1};
  const nn__line down = {1, 1, 1, 0, 0, &alone};
  (void)thread;
  memset(dw, 0, nn__conv_partial(c) * sizeof *dw);
  for (size_t i = chunk * c->n / c->chunks; i < (chunk + 1) * c->n / c->chunks; i++) {
    const nn_real *x = q->x + i * c->h * c->w * c->c, *dy = q->dy + i * pixels * c->c;
    nn__sum_rows(c->kernels, db, dy, pixels, c->c);
    for (size_t r = 0; r < c->oh; r++, dy += c->ow * c->c) {
      const nn__span *rows = &q->down.span[r]; /* of X and of the window */
      for (size_t u = 0; u < rows->count; u++)
        nn__depthwise_add(c->kernels, c->c, &down, &q->across,
                          x + (rows->a + u * c->dh) * c->w * c->c, dy, dw + (rows->b + u) * row);
    }
  }
}
#endif

/* ---- forward and backward ----------------------------------------------------------------- */

/* Packs w for a forward or, turned, for the gradient of the data. */
static void nn__conv_pack(nn_model *m, const nn__conv *c, int turned, const nn_real *w, nn_real *to)
{
  const size_t taps = c->kh * c->kw;
  nn__conv_job q = nn__conv_job_of(m, c, turned);
  q.weights = w, q.packed = to;
  if (c->side) {
    nn__winograd_transform(&q, 0);
    nn__parallel(&m->context.pool, q.c, nn__winograd_pack_task, &q);
  } else if (nn__depthwise(c)) {
    c->kernels->transpose(to, c->c, w, taps, c->c, taps);
  } else {
    nn__direct_pack(&q, to);
  }
}

/* Forward or, turned, the gradient of the data: y = finish(the correlation of x with the packed
 * weights). lists: what nn__conv_lists asks for. */
static void nn__correlate(nn_model *m, const nn__conv *c, int turned, const nn_real *x,
                          const nn_real *packed, nn_real *lists, const nn_real *bias, int relu,
                          nn_real *y)
{
  nn__pool *pool = &m->context.pool;
  nn__conv_job q = nn__conv_job_of(m, c, turned);
  const nn__finish finish = {1, 0, bias, relu, 0};
  q.x = x, q.y = y, q.packed = (nn_real *)(uintptr_t)(const void *)packed, q.finish = finish;
  if (c->side) {
    nn__parallel(pool, (c->n * q.tiles + q.block - 1) / q.block, nn__winograd_forward_task, &q);
  } else if (nn__depthwise(c)) {
    nn__span *span = (nn__span *)(void *)nn__aligned(lists);
    const nn__product_kind kind = turned ? NN__DATA : NN__FORWARD;
    q.down = nn__line_of(kind, c->h, c->oh, c->kh, c->sh, c->dh, c->ph, span);
    q.across = nn__line_of(kind, c->w, c->ow, c->kw, c->sw, c->dw, c->pw, span + q.down.out);
    nn__parallel(pool, c->n, nn__depthwise_task, &q);
  } else {
    nn__conv_places(&q, (size_t *)(void *)nn__aligned(lists));
    nn__parallel(pool, c->n, nn__direct_task, &q);
  }
}

#ifndef NN_NO_TRAINING
static void nn__conv_backward_data(nn_model *m, const nn__conv *c, const nn_real *dy,
                                   const nn_real *w, nn_real *dx)
{
  nn__conv_pack(m, c, 1, w, m->scratch);
  nn__correlate(m, c, 1, dy, m->scratch, m->scratch + nn__conv_weights(c, 1), NULL, 0, dx);
}

/* Adds the gradients of the weights [oc,cg,kh,kw] and of the bias (or NULL). */
static void nn__conv_backward_weights(nn_model *m, const nn__conv *c, const nn_real *x,
                                      const nn_real *dy, nn_real *dw, nn_real *db)
{
  const size_t taps = c->kh * c->kw, k = taps * c->cg, partial = nn__conv_partial(c);
  const int depthwise = nn__depthwise(c);
  nn__pool *pool = &m->context.pool;
  nn__conv_job q = nn__conv_job_of(m, c, 0);
  nn_real *sum = q.partial;
  void *list = nn__aligned(sum + c->chunks * partial);
  q.x = x, q.dy = dy, q.dw = dw;
  if (depthwise) {
    nn__span *span = list;
    q.down = nn__line_of(NN__FORWARD, c->h, c->oh, c->kh, c->sh, c->dh, c->ph, span);
    q.across = nn__line_of(NN__WEIGHT, c->w, c->ow, c->kw, c->sw, c->dw, c->pw, span + c->oh);
  } else if (!c->side) {
    nn__weight_places(&q, list);
  }
  nn__parallel(pool, c->chunks,
               c->side ? nn__winograd_weight_task
                       : depthwise ? nn__depthwise_weight_task : nn__direct_weight_task,
               &q);
  for (size_t chunk = 1; chunk < c->chunks; chunk++) /* in order: the same bits for any threads */
    c->kernels->add(sum, sum, sum + chunk * partial, partial);
  if (db) c->kernels->add(db, db, sum + partial - c->oc, c->oc);
  if (c->side) {
    nn__winograd_transform(&q, 1);
    nn__parallel(pool, c->c, nn__winograd_unpack_task, &q);
    return;
  }
  const size_t step_g = depthwise ? 1 : k * c->og, step_tap = depthwise ? c->c : c->cg * c->og;
  for (size_t g = 0; g < c->groups; g++)
    for (size_t o = 0; o < c->og; o++)
      for (size_t i = 0; i < c->cg; i++)
        for (size_t tap = 0; tap < taps; tap++)
          *dw++ += sum[g * step_g + tap * step_tap + i * c->og + o];
}
#endif

/* ---- pooling ------------------------------------------------------------------------------ */

typedef struct nn__axis { /* of an image that windows are laid over */
  size_t size, out, kernel, stride, pad; /* stride 0: the windows share the size out */
} nn__axis;

typedef struct nn__pool_job {
  const nn__kernels *kernels;
  size_t h, w, c, oh, ow;
  nn__axis down, across;
  const nn_real *x, *y, *dy;
  nn_real *out, *dx;
  int max;
  int exclude_pad;
  int relu; /* backward: past the relu before it, too */
  const int32_t *lengths; /* global: of each sample, in steps; NULL: all */
  size_t first, step;     /* and where samples and their rows begin, in reals */
} nn__pool_job;

enum { NN__MAX_WINDOW = 32 }; /* largest pooling kernel */

static nn__pool_job nn__pool_of(const nn_model *m, const nn__node *node, const nn__node *x)
{
  const nn_conv2d_options *o = &node->window;
  nn__pool_job p;
  memset(&p, 0, sizeof p);
  p.kernels = m->context.kernels;
  p.c = x->cols, p.h = x->rank == 2 ? x->rows : (size_t)x->dim[1];
  p.w = x->rank == 2 ? 1 : (size_t)x->dim[2];
  p.oh = (size_t)node->dim[1], p.ow = (size_t)node->dim[2];
  const nn__axis down = {p.h, p.oh, (size_t)o->kernel_h, (size_t)o->stride_h, (size_t)o->pad_h};
  const nn__axis across = {p.w, p.ow, (size_t)o->kernel_w, (size_t)o->stride_w, (size_t)o->pad_w};
  p.down = down, p.across = across;
  p.max = node->kind == NN__MAX_POOL || node->kind == NN__GLOBAL_MAX;
  p.exclude_pad = node->exclude_pad;
  p.first = x->rank == 2 ? x->cols : x->rows * x->cols;
  p.step = x->rank == 2 ? (size_t)m->n * x->cols : x->cols;
  p.lengths = x->rank == 2 && m->has_lengths ? m->lengths : NULL;
  return p;
}

/* The part of output i's window that lies inside, at least one pixel, for the padding is half a
 * window at most: its first pixel and its length. *whole: with the padding that it covers. */
static size_t nn__window(const nn__axis *a, size_t i, size_t *length, size_t *whole)
{
  if (a->stride == 0) {
    const size_t first = i * a->size / a->out;
    *length = *whole = ((i + 1) * a->size + a->out - 1) / a->out - first;
    return first;
  }
  const size_t first = i * a->stride, end = first + a->kernel, inside = nn__max(first, a->pad);
  *length = nn__min(end, a->size + a->pad) - inside;
  *whole = nn__min(end, a->size + 2 * a->pad) - first;
  return inside - a->pad;
}

/* Of output pixel (i,j); and the share of each pixel in an average. */
static size_t nn__window_at(const nn__pool_job *p, size_t i, size_t j, size_t *rows, size_t *cols,
                            nn_real *share)
{
  size_t high, wide;
  const size_t top = nn__window(&p->down, i, rows, &high);
  const size_t left = nn__window(&p->across, j, cols, &wide);
  *share = 1 / (nn_real)(p->exclude_pad ? *rows * *cols : high * wide);
  return (top * p->w + left) * p->c;
}

static void nn__pool_forward_task(void *arg, size_t image, int thread)
{
  const nn__pool_job *p = arg;
  const nn_real *x = p->x + image * p->h * p->w * p->c;
  nn_real *y = p->out + image * p->oh * p->ow * p->c;
  const size_t row = p->w * p->c;
  (void)thread;
  for (size_t i = 0; i < p->oh; i++)
    for (size_t j = 0; j < p->ow; j++, y += p->c) {
      size_t rows, cols;
      nn_real share;
      const nn_real *at = x + nn__window_at(p, i, j, &rows, &cols, &share);
      if (p->max)
        p->kernels->max_window(y, at, row, rows, cols, p->c, 0);
      else
        p->kernels->sum_window(y, at, row, rows, cols, p->c, share);
    }
}

#ifndef NN_NO_TRAINING
/* Whether windows lie side by side, so that they write every pixel once. */
static int nn__tiled(const nn__axis *a)
{
  return !a->pad && a->kernel == a->stride && a->out * a->stride == a->size;
}

static void nn__pool_backward_task(void *arg, size_t image, int thread)
{
  const nn__pool_job *p = arg;
  const nn_real *x = p->x + image * p->h * p->w * p->c;
  const nn_real *y = p->y + image * p->oh * p->ow * p->c;
  const nn_real *dy = p->dy + image * p->oh * p->ow * p->c;
  nn_real *dx = p->dx + image * p->h * p->w * p->c;
  const size_t row = p->w * p->c;
  (void)thread;
  const int add = !p->max || !nn__tiled(&p->down) || !nn__tiled(&p->across);
  if (add) memset(dx, 0, p->h * p->w * p->c * sizeof *dx);
  for (size_t i = 0; i < p->oh; i++)
    for (size_t j = 0; j < p->ow; j++, y += p->c, dy += p->c) {
      size_t rows, cols;
      nn_real share;
      const size_t at = nn__window_at(p, i, j, &rows, &cols, &share);
      if (p->max)
        p->kernels->max_window_back(dx + at, x + at, row, rows, cols, y, dy, p->c, add, p->relu);
      for (size_t r = 0; r < rows && !p->max; r++)
        for (size_t q = 0; q < cols; q++)
          p->kernels->axpy(dx + at + r * row + q * p->c, share, dy, p->c);
    }
}
#endif

/* Global pooling: one row of channels from rows of them, pixels or the steps of a sample. */
static void nn__global_forward_task(void *arg, size_t sample, int thread)
{
  const nn__pool_job *p = arg;
  const nn_real *x = p->x + sample * p->first;
  nn_real *y = p->out + sample * p->c;
  const size_t rows = p->lengths ? (size_t)p->lengths[sample] : p->h * p->w;
  (void)thread;
  if (p->max) {
    memcpy(y, x, p->c * sizeof *y);
    for (size_t i = 1; i < rows; i++)
      p->kernels->max_window(y, x + i * p->step, 0, 1, 1, p->c, 1);
  } else {
    memset(y, 0, p->c * sizeof *y);
    for (size_t i = 0; i < rows; i += 256)
      p->kernels->sum_rows(y, x + i * p->step, p->step, NULL, NULL, nn__min(256, rows - i), p->c);
    p->kernels->scale(y, 1 / (nn_real)rows, p->c);
  }
}

#ifndef NN_NO_TRAINING
static void nn__global_backward_task(void *arg, size_t sample, int thread)
{
  const nn__pool_job *p = arg;
  const size_t all = p->h * p->w, rows = p->lengths ? (size_t)p->lengths[sample] : all;
  const nn_real *x = p->x + sample * p->first, *y = p->y + sample * p->c;
  const nn_real *dy = p->dy + sample * p->c;
  nn_real *dx = p->dx + sample * p->first;
  (void)thread;
  for (size_t i = 0; i < all; i++) memset(dx + i * p->step, 0, p->c * sizeof *dx);
  for (size_t i = 0; i < rows && !p->max; i++)
    p->kernels->axpy(dx + i * p->step, 1 / (nn_real)rows, dy, p->c);
  for (size_t j = 0; j < p->c && p->max; j++) /* the first that equals the maximum */
    for (size_t i = 0; i < rows; i++)
      if (x[i * p->step + j] == y[j]) {
        dx[i * p->step + j] = dy[j];
        break;
      }
}
#endif

/* ========================================= @@OPS ===========================================
 * Layers that work on [rows, cols] matrices. Forward and its backward stand together. */

static nn__node *nn__in(nn_model *m, const nn__node *node, int k) { return &m->node[node->in[k]]; }

/* Whether the last forward was one to learn from. Inspecting keeps what going back needs, too, but
 * computes what inference does, and goes back past the parameters without touching them. */
static int nn__learning(const nn_model *m) { return m->training == NN_TRAINING; }
static int nn__keeps(const nn_model *m) { return m->training && !m->config.inference; }

#ifndef NN_NO_TRAINING
static int nn__learns(const nn_model *m, const nn__node *node)
{
  return nn__learning(m) && node->rate > 0;
}

/* Whether what goes back is the gradient, not a projection by another rule. */
static int nn__goes_by_gradient(const nn_model *m)
{
#ifndef NN_NO_INSPECT
  return m->rule == NN_RULE_GRADIENT;
#else
  (void)m;
  return 1;
#endif
}
#endif

static nn_real *nn__value(nn_model *m, int param)
{
  return m->param[param].value;
}
#ifndef NN_NO_TRAINING
static nn_real *nn__grad(nn_model *m, int param) { return m->gradient + m->param[param].offset; }
#endif

/* Work that is split by elements or by rows: pieces of a fixed size, so that the split (and with it
 * every sum) is the same for any number of threads. */
typedef struct nn__each {
  const nn__kernels *kernels;
  const nn_real *x, *y, *dy;
  nn_real *to;
  size_t count, piece, cols;
  nn_real a, b;
  int act;
} nn__each;

static void nn__run_each(nn_model *m, nn__each *e, nn__task task)
{
  if (e->piece == 0) e->piece = 1;
  nn__parallel(&m->context.pool, (e->count + e->piece - 1) / e->piece, task, e);
}

/* ---- activations -------------------------------------------------------------------------- */

static int nn__is_act(nn__kind kind)
{
  return kind >= NN__RELU && kind < NN__RELU + NN__ACT_COUNT;
}

static void nn__activate_task(void *arg, size_t index, int thread)
{
  const nn__each *e = arg;
  const size_t i = index * e->piece;
  (void)thread;
  e->kernels->activate(e->act, e->to + i, e->x + i, nn__min(e->piece, e->count - i), e->a,
                       e->b);
}

static nn__each nn__activation(nn_model *m, const nn__node *node, size_t n)
{
  const nn__each e = {m->context.kernels, nn__in(m, node, 0)->y, NULL, NULL, node->y,
                      n * node->rows * node->cols, 16384, 0, (nn_real)node->value,
                      (nn_real)node->second, (int)node->kind - NN__RELU};
  return e;
}

static void nn__activation_forward(nn_model *m, nn__node *node, size_t n)
{
  nn__each e = nn__activation(m, node, n);
  if (!node->fused) nn__run_each(m, &e, nn__activate_task);
}

#ifndef NN_NO_TRAINING
static void nn__activate_back_task(void *arg, size_t index, int thread)
{
  const nn__each *e = arg;
  const size_t i = index * e->piece;
  (void)thread;
  e->kernels->activate_back(e->act, e->to + i, e->dy + i, e->x + i,
                            nn__min(e->piece, e->count - i), e->a, e->b);
}

/* dx = dy f'(x); in place when the arrays are shared. A relu goes by the rule of nn_project:
 * GRADIENT dx = y > 0 ? dy : 0; DECONVNET dx = max(dy, 0); GUIDED dx = y > 0 ? max(dy, 0) : 0. */
static void nn__activation_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  nn__each e = nn__activation(m, node, n);
  if (nn__kind_needs[node->kind] & NN__NEEDS_Y) e.x = node->y;
  e.dy = node->dy, e.to = dx;
#ifndef NN_NO_INSPECT
  if (node->kind == NN__RELU && !nn__goes_by_gradient(m)) {
    nn__each rectify = e;
    rectify.x = node->dy;
    nn__run_each(m, &rectify, nn__activate_task);
    if (m->rule == NN_RULE_DECONVNET) return;
    e.dy = dx;
  }
#endif
  nn__run_each(m, &e, nn__activate_back_task);
}
#endif

static void nn__softmax_task(void *arg, size_t index, int thread)
{
  const nn__each *e = arg;
  const size_t i = index * e->piece;
  (void)thread;
  e->kernels->softmax(e->to + i * e->cols, e->x + i * e->cols, nn__min(e->piece, e->count - i),
                      e->cols);
}

static void nn__softmax_rows(nn_model *m, nn_real *to, const nn_real *x, size_t rows, size_t cols)
{
  nn__each e = {m->context.kernels, x, NULL, NULL, to, rows, 4096 / cols, cols, 0, 0, 0};
  nn__run_each(m, &e, nn__softmax_task);
}

#ifndef NN_NO_TRAINING
static void nn__softmax_back_task(void *arg, size_t index, int thread)
{
  const nn__each *e = arg;
  const size_t i = index * e->piece;
  (void)thread;
  e->kernels->softmax_back(e->to + i * e->cols, e->dy + i * e->cols, e->y + i * e->cols,
                           nn__min(e->piece, e->count - i), e->cols);
}

static void nn__softmax_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  nn__each e = {m->context.kernels, NULL, node->y, node->dy, dx,
                n * node->rows, 4096 / node->cols, node->cols, 0, 0, 0};
  nn__run_each(m, &e, nn__softmax_back_task);
}
#endif

/* ---- dropout ------------------------------------------------------------------------------ */

typedef struct nn__drop {
  const nn_real *from;
  nn_real *to, scale;
  size_t count;
  uint64_t seed, stream;
  uint32_t below; /* dropped when the random word is below this */
} nn__drop;

enum { NN__DROP_PIECE = 16384 };
#if NN__DOUBLE
typedef uint64_t nn__bits; /* of an nn_real */
#else
typedef uint32_t nn__bits;
#endif

static void nn__drop_task(void *arg, size_t index, int thread)
{
  const nn__drop *d = arg;
  const size_t first = index * NN__DROP_PIECE, last = nn__min(first + NN__DROP_PIECE, d->count);
  (void)thread;
  for (size_t i = first; i < last; i += 4) {
    uint32_t word[4];
    nn__random_block(d->seed, d->stream, i / 4, word);
    for (size_t j = i; j < last && j < i + 4; j++) {
      /* what is dropped is 0, be it infinite: its bits go, without a branch, which would be guessed
       * wrong half of the time */
      const nn_real value = d->from[j] * d->scale;
      nn__bits bits;
      memcpy(&bits, &value, sizeof bits);
      bits &= (nn__bits)0 - (nn__bits)(word[j - i] >= d->below);
      memcpy(&d->to[j], &bits, sizeof bits);
    }
  }
}

/* to = mask from / (1 - rate). The mask follows from the seed, the training forward's number, and
 * `site`, so backward calls this again with the gradient in place of the values. */
static void nn__drop_out(nn_model *m, nn_real *to, const nn_real *from, size_t count, double rate,
                         uint64_t site)
{
  nn__drop d = {from, to, (nn_real)(1 / (1 - rate)), count, m->config.seed,
                (m->draws << 16 | site) ^ 0xD509000000000000u, (uint32_t)(rate * 4294967296.0)};
  nn__parallel(&m->context.pool, (count + NN__DROP_PIECE - 1) / NN__DROP_PIECE, nn__drop_task, &d);
}

static uint64_t nn__site(const nn_model *m, const nn__node *node, int layer)
{
  return (uint64_t)(node - m->node) * 16 + (uint64_t)layer;
}

static void nn__dropout_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn__node *x = nn__in(m, node, 0);
  const size_t count = n * node->rows * node->cols;
  if (nn__learning(m) && node->value > 0)
    nn__drop_out(m, node->y, x->y, count, node->value, nn__site(m, node, 0));
  else if (node->y != x->y)
    memcpy(node->y, x->y, count * sizeof(nn_real));
}

#ifndef NN_NO_TRAINING
static void nn__dropout_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const size_t count = n * node->rows * node->cols;
  if (nn__learning(m) && node->value > 0)
    nn__drop_out(m, dx, node->dy, count, node->value, nn__site(m, node, 0));
  else if (dx != node->dy)
    memcpy(dx, node->dy, count * sizeof(nn_real));
}
#endif

/* ---- samples of different lengths --------------------------------------------------------- */

/* The step before a sample's end: lengths, or the whole sequence. */
static size_t nn__last_of(const nn_model *m, size_t i, size_t steps)
{
  return (m->has_lengths ? (size_t)m->lengths[i] : steps) - 1;
}

#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT

/* The lengths of the last forward's samples, or NULL where all are whole. */
static const int32_t *nn__lengths(const nn_model *m) { return m->has_lengths ? m->lengths : NULL; }

/* Row r of the inside of `x` as (sample, place); place: the step, or the pixel. */
static void nn__row_of(const nn__node *x, size_t n, size_t r, size_t *sample, size_t *place)
{
  *sample = x->rank == 2 ? r % n : r / x->rows;
  *place = x->rank == 2 ? r / n : r % x->rows;
}

/* Whether a row counts: steps past a sample's end do not. */
static int nn__row_counts(const nn_model *m, const nn__node *x, size_t sample, size_t place)
{
  return !(m->has_lengths && x->rank == 2 && place >= (size_t)m->lengths[sample]);
}
#endif

/* Past a sample's end every layer gives zeros, and takes no gradient: whatever the caller has
 * there, a NaN too, would else meet zeros in the products of all steps, or count in a mean. */
static void nn__clear_past_ends(const nn_model *m, const nn__node *x, size_t n, nn_real *at)
{
  if (!m->has_lengths || x->rank != 2) return;
  for (size_t i = 0; i < n; i++)
    for (size_t t = (size_t)m->lengths[i]; t < x->rows; t++)
      memset(at + (t * n + i) * x->cols, 0, x->cols * sizeof *at);
}

/* ---- sums of columns ---------------------------------------------------------------------- */

enum { NN__PARTS = 16 }; /* partial sums, whatever the threads */

#ifndef NN_NO_TRAINING
typedef struct nn__columns {
  const nn_model *m;
  const nn__node *node;
  const nn_real *x, *mean, *y;
  nn_real *sum; /* [parts, cols] */
  size_t rows, cols, n, parts;
} nn__columns;

/* How many of the rows from `row` on, up to `most`, count alike; and whether they do. */
static size_t nn__rows_alike(const nn__columns *c, size_t row, size_t most, int *count)
{
  size_t alike = 0;
  *count = 1;
  if (!c->m->has_lengths || c->node->rank != 2) return most;
  for (; alike < most; alike++) {
    size_t sample, place;
    nn__row_of(c->node, c->n, row + alike, &sample, &place);
    const int counts = nn__row_counts(c->m, c->node, sample, place);
    if (!alike) *count = counts;
    if (counts != *count) break;
  }
  return alike;
}

static void nn__columns_task(void *arg, size_t part, int thread)
{
  const nn__columns *c = arg;
  const size_t last = (part + 1) * c->rows / c->parts;
  nn_real *sum = c->sum + part * c->cols;
  (void)thread;
  memset(sum, 0, c->cols * sizeof *sum);
  for (size_t i = part * c->rows / c->parts, rows; i < last; i += rows) {
    int count;
    rows = nn__rows_alike(c, i, nn__min(256, last - i), &count);
    const size_t at = i * c->cols;
    if (count)
      c->m->context.kernels->sum_rows(sum, c->x + at, c->cols, c->mean, c->y ? c->y + at : NULL,
                                      rows, c->cols);
  }
}

/* Sums over the rows of n samples that count, of what the kernel sum_rows adds up; times factor to
 * `to` [cols], or added to it. Uses PARTS cols of scratch. */
static void nn__column_sums(nn_model *m, const nn__node *node, size_t n, const nn_real *x,
                            const nn_real *mean, const nn_real *y, double factor, int add,
                            nn_real *to)
{
  const size_t rows = n * node->rows, cols = node->cols;
  const size_t parts = nn__min(NN__PARTS, (rows + 127) / 128);
  nn__columns c = {m, node, x, mean, y, m->scratch, rows, cols, n, parts};
  nn__parallel(&m->context.pool, parts, nn__columns_task, &c);
  for (size_t j = 0; j < cols; j++) {
    double sum = 0;
    for (size_t part = 0; part < parts; part++) sum += (double)c.sum[part * cols + j];
    to[j] = (nn_real)(sum * factor) + (add ? to[j] : 0);
  }
}
#endif

/* ---- linear ------------------------------------------------------------------------------- */

/* What W takes packed, for a model that packs once: nothing where products read it as it lies. */
static size_t nn__linear_packed(const nn_model *m, const nn__node *node)
{
  const size_t in = m->node[node->in[0]].cols, rows = (size_t)m->config.batch * node->rows;
  if (!nn__packs_once(m) || rows <= 2 || (in >= 512 && in % 1024)) return 0;
  return nn__round_up(node->cols, m->context.kernels->nr) * in;
}

/* y[R,out] = x[R,in] W^T + b */
static void nn__linear_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn__node *x = nn__in(m, node, 0);
  const nn__kernels *t = m->context.kernels;
  const nn__finish f = {1, 0, node->no_bias ? NULL : nn__value(m, node->param + 1), node->relu, 0};
  const nn_real *value = nn__value(m, node->param);
  const size_t rows = n * node->rows, in = x->cols, out = node->cols;
  nn__matrix w = nn__columns_of(value, in);
  if (node->packed && !m->packed) t->pack(node->packed, value, 1, in, in, out);
  if (node->packed && rows > 2) w = nn__panels_of(t, node->packed, in);
  nn__multiply(&m->context, rows, out, in, nn__rows_of(x->y, in), w, node->y, out, &f);
}

#ifndef NN_NO_TRAINING
/* dW[out,in] += dy^T x, db += sum of rows of dy, dx[R,in] = dy W */
static void nn__linear_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const nn__node *x = nn__in(m, node, 0);
  const nn__finish add = {1, 1, NULL, 0, 0}, set = {1, 0, NULL, 0, 0};
  const size_t rows = n * node->rows, in = x->cols, out = node->cols;
  if (nn__learns(m, node))
    nn__multiply(&m->context, out, in, rows, nn__columns_of(node->dy, out), nn__rows_of(x->y, in),
                 nn__grad(m, node->param), in, &add);
  if (nn__learns(m, node) && !node->no_bias)
    nn__column_sums(m, node, n, node->dy, NULL, NULL, 1, 1, nn__grad(m, node->param + 1));
  if (dx)
    nn__multiply(&m->context, rows, in, out, nn__rows_of(node->dy, out),
                 nn__rows_of(nn__value(m, node->param), in), dx, in, &set);
}
#endif

/* ---- batch norm --------------------------------------------------------------------------- */

#ifndef NN_NO_TRAINING
/* How many rows a statistic over n samples of `x` is taken over. */
static size_t nn__counted_rows(const nn__node *x, size_t n, const int32_t *lengths)
{
  size_t rows = 0;
  if (!lengths || x->rank != 2) return n * x->rows;
  for (size_t i = 0; i < n; i++) rows += (size_t)lengths[i];
  return rows;
}

#define NN__LONE \
  "cannot learn from one value a channel, which has no variance: a training batch needs more"
/* The first batch norm that would have one value a channel, and so no variance; NULL if none. */
static const nn__node *nn__lone_norm(const nn_model *m, size_t n, const int32_t *lengths)
{
  for (int i = 0; i < m->nodes; i++)
    if (m->node[i].kind == NN__BATCH_NORM && m->node[i].rate > 0 &&
        nn__counted_rows(&m->node[i], n, lengths) == 1)
      return &m->node[i];
  return NULL;
}
#endif

/* to = p x + q y + r by column, over rows in pieces; without q y if y is NULL. */
typedef struct nn__affine {
  const nn__kernels *kernels;
  const nn_real *x, *y, *p, *q, *r;
  nn_real *to;
  size_t rows, cols, piece;
  size_t at_once; /* rows that are taken as one, for which p and r have room: fills the vectors */
} nn__affine;

static void nn__affine_task(void *arg, size_t index, int thread)
{
  const nn__affine *a = arg;
  const size_t first = index * a->piece, rows = nn__min(a->piece, a->rows - first);
  const size_t wide = a->at_once * a->cols, whole = rows / a->at_once, rest = rows % a->at_once;
  size_t at = first * a->cols;
  (void)thread;
  a->kernels->affine_rows(a->to + at, a->x + at, a->y ? a->y + at : NULL, a->p, a->q, a->r, whole,
                          wide);
  at += whole * wide;
  if (rest)
    a->kernels->affine_rows(a->to + at, a->x + at, NULL, a->p, NULL, a->r, rest, a->cols);
}

static void nn__run_affine(nn_model *m, const nn__affine *a)
{
  nn__affine job = *a;
  nn__parallel(&m->context.pool, (a->rows + a->piece - 1) / a->piece, nn__affine_task, &job);
}

/* keep: mean[C], inverse[C], then working rows p, q, r. Parameters: weight, bias, running_mean,
 * running_var. */
/* keep = mean, 1/deviation, p, q of y = p x + q: the last two from the first two */
static void nn__norm_factors(nn_model *m, const nn__node *node)
{
  const nn_real *w = nn__value(m, node->param), *b = nn__value(m, node->param + 1);
  const size_t cols = node->cols;
  nn_real *mean = node->keep, *inverse = mean + cols, *p = inverse + cols, *q = p + cols;
  for (size_t j = 0; j < cols; j++) {
    p[j] = w[j] * inverse[j];
    q[j] = b[j] - p[j] * mean[j];
  }
}

/* All four by the running statistics. */
static void nn__running_norm(nn_model *m, const nn__node *node)
{
  const nn_real *mean = nn__value(m, node->param + 2), *variance = nn__value(m, node->param + 3);
  for (size_t j = 0; j < node->cols; j++) {
    node->keep[j] = mean[j];
    node->keep[node->cols + j] = (nn_real)(1 / sqrt((double)variance[j] + 1e-5));
  }
  nn__norm_factors(m, node);
}

static void nn__batch_norm_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn_real *x = nn__in(m, node, 0)->y;
  const size_t rows = n * node->rows, cols = node->cols;
  nn_real *mean = node->keep, *inverse = mean + cols, *p = inverse + cols, *q = p + cols;
#ifndef NN_NO_TRAINING
  if (nn__learns(m, node)) {
    nn_real *running_mean = nn__value(m, node->param + 2);
    nn_real *running_var = nn__value(m, node->param + 3);
    const double counted = (double)nn__counted_rows(node, n, nn__lengths(m)); /* 2 or more */
    nn__column_sums(m, node, n, x, NULL, NULL, 1 / counted, 0, mean);
    nn__column_sums(m, node, n, x, mean, NULL, 1 / counted, 0, inverse); /* variance */
    const double unbias = counted / (counted - 1);
    for (size_t j = 0; j < cols; j++) {
      const double variance = (double)inverse[j];
      if (nn__finite(variance)) { /* a NaN or infinity would stay for ever */
        running_mean[j] += (nn_real)(.1 * ((double)mean[j] - (double)running_mean[j]));
        running_var[j] += (nn_real)(.1 * (variance * unbias - (double)running_var[j]));
      }
      /* a variance that overflows makes NaNs, which nn_train names, and not zeros */
      inverse[j] = (nn_real)(1 / sqrt(variance + 1e-5) + (variance - variance));
    }
    nn__norm_factors(m, node);
  } else
#endif
    nn__running_norm(m, node);
  const nn__affine a = {m->context.kernels, x, NULL, p, NULL, q, node->y, rows, cols, 256, 1};
  nn__run_affine(m, &a);
}

#ifndef NN_NO_TRAINING
/* With xhat = (x - mean) inverse: dw += sum dy xhat, db += sum dy,
 * dx = w inverse (dy - mean(dy) - xhat mean(dy xhat)) = p dy + q x + r.
 * With the running statistics, which do not depend on x: dx = w inverse dy. */
static void nn__batch_norm_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const nn_real *x = nn__in(m, node, 0)->y;
  const size_t rows = n * node->rows, cols = node->cols;
  const nn_real *w = nn__value(m, node->param);
  nn_real *dw = nn__grad(m, node->param), *db = nn__grad(m, node->param + 1);
  nn_real *mean = node->keep, *inverse = mean + cols;
  nn_real *p = inverse + cols, *q = p + cols, *r = q + cols;
  if (!nn__learns(m, node)) {
    memset(q, 0, cols * sizeof *q); /* forward has left p */
    const nn__affine a = {m->context.kernels, node->dy, NULL, p, NULL, q, dx, rows, cols, 256, 1};
    nn__run_affine(m, &a);
    return;
  }
  nn__column_sums(m, node, n, node->dy, NULL, NULL, 1, 0, r);
  nn__column_sums(m, node, n, x, mean, node->dy, 1, 0, q);
  const nn_real share = 1 / (nn_real)nn__counted_rows(node, n, nn__lengths(m));
  for (size_t j = 0; j < cols; j++) {
    const nn_real sum = r[j], sum_hat = q[j] * inverse[j];
    dw[j] += sum_hat;
    db[j] += sum;
    p[j] = w[j] * inverse[j];
    q[j] = -p[j] * inverse[j] * sum_hat * share;
    r[j] = -p[j] * sum * share - q[j] * mean[j];
  }
  if (!dx) return;
  const nn__affine a = {m->context.kernels, node->dy, x, p, q, r, dx, rows, cols, 256, 1};
  nn__run_affine(m, &a);
}
#endif

/* ---- normalise ---------------------------------------------------------------------------- */

/* Rows of few columns are taken several at once, as one row that fills the vectors. */
enum { NN__NORMALISE_ROWS = 4096 }; /* of one task */
static size_t nn__rows_at_once(const nn__node *node) { return node->cols < 16 ? 16 : 1; }

/* to = p x + q by column, where `keep` has room for both. Forward: p = scale, q = -mean scale; the
 * gradient: p = scale, q = 0. Parameters, never trained: mean, scale. */
static void nn__normalise(nn_model *m, nn__node *node, size_t n, int back, const nn_real *x,
                          nn_real *to)
{
  const nn_real *mean = nn__value(m, node->param), *scale = nn__value(m, node->param + 1);
  const size_t at_once = nn__rows_at_once(node), wide = at_once * node->cols;
  nn_real *p = node->keep, *q = p + wide;
  for (size_t j = 0; j < wide; j++) {
    p[j] = scale[j % node->cols];
    q[j] = back ? 0 : -mean[j % node->cols] * p[j];
  }
  const nn__affine a = {m->context.kernels, x,    NULL,       p, NULL, q, to,
                        n * node->rows,     node->cols, NN__NORMALISE_ROWS, at_once};
  nn__run_affine(m, &a);
}

/* ---- layer norm --------------------------------------------------------------------------- */

/* Weights of an image are [C,H,W] at the border and [H W,C] inside. */
static const nn_real *nn__inside_weights(const nn__kernels *kernels, const nn__node *node,
                                          const nn_real *w, nn_real *to)
{
  if (node->rank != 3) return w;
  kernels->transpose(to, node->cols, w, node->rows, node->cols, node->rows);
  return to;
}

static size_t nn__norm_length(const nn__node *node) /* what one mean is taken over */
{
  return node->rank == 3 ? node->rows * node->cols : node->cols;
}

typedef struct nn__norm {
  const nn__kernels *kernels;
  const nn_real *x, *w, *b, *dy;
  nn_real *to, *stats, *partial;
  size_t count, length;
} nn__norm;

static void nn__layer_norm_task(void *arg, size_t i, int thread)
{
  const nn__norm *j = arg;
  (void)thread;
  j->kernels->norm_row(j->to + i * j->length, j->x + i * j->length, j->w, j->b, j->length,
                       j->stats + 3 * i);
}

static void nn__layer_norm_forward(nn_model *m, nn__node *node, size_t n)
{
  const size_t length = nn__norm_length(node);
  nn__norm j;
  memset(&j, 0, sizeof j);
  j.kernels = m->context.kernels;
  j.x = nn__in(m, node, 0)->y;
  j.w = nn__inside_weights(j.kernels, node, nn__value(m, node->param), m->scratch);
  j.b = nn__inside_weights(j.kernels, node, nn__value(m, node->param + 1), m->scratch + length);
  j.to = node->y, j.stats = node->keep, j.length = length;
  nn__parallel(&m->context.pool, n * node->rows * node->cols / length, nn__layer_norm_task, &j);
}

#ifndef NN_NO_TRAINING
static void nn__layer_norm_back_task(void *arg, size_t part, int thread)
{
  const nn__norm *j = arg;
  nn_real *dw = j->partial + part * 2 * j->length, *db = dw + j->length;
  (void)thread;
  memset(dw, 0, 2 * j->length * sizeof *dw);
  for (size_t i = part * j->count / NN__PARTS; i < (part + 1) * j->count / NN__PARTS; i++)
    j->kernels->norm_row_back(j->to + i * j->length, dw, db, j->dy + i * j->length,
                              j->x + i * j->length, j->w, j->length, j->stats + 3 * i);
}

/* dx is always made, if only in scratch: the kernel gives all three. */
static void nn__layer_norm_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const size_t length = nn__norm_length(node);
  nn__norm j;
  memset(&j, 0, sizeof j);
  j.kernels = m->context.kernels;
  j.x = nn__in(m, node, 0)->y, j.dy = node->dy;
  j.w = nn__inside_weights(j.kernels, node, nn__value(m, node->param), m->scratch);
  j.to = dx ? dx : node->dy; /* in place: dy is not needed any more */
  j.stats = node->keep, j.partial = m->scratch + 2 * length;
  j.count = n * node->rows * node->cols / length, j.length = length;
  nn__parallel(&m->context.pool, NN__PARTS, nn__layer_norm_back_task, &j);
  if (!nn__learns(m, node)) return;
  for (size_t part = 1; part < NN__PARTS; part++)
    j.kernels->add(j.partial, j.partial, j.partial + part * 2 * length, 2 * length);
  nn_real *grads[2] = {nn__grad(m, node->param), nn__grad(m, node->param + 1)};
  for (int k = 0; k < 2; k++) {
    const nn_real *sum = j.partial + (size_t)k * length;
    for (size_t r = 0; r < length / node->cols; r++)
      for (size_t c = 0; c < node->cols; c++)
        grads[k][node->rank == 3 ? c * node->rows + r : c] += sum[r * node->cols + c];
  }
}
#endif

/* ---- moving values ------------------------------------------------------------------------ */

/* Between the border layout (batch first, channels first) and the inside's. A node's layouts are
 * the same when each sample is one row. */
static int nn__same_layout(const nn__node *node)
{
  return node->rows == 1 || (node->rank == 3 && node->cols == 1);
}

typedef struct nn__border_job {
  const nn__kernels *kernels;
  const nn_real *from;
  nn_real *to;
  size_t rows, cols;
} nn__border_job;

static void nn__border_task(void *arg, size_t i, int thread)
{
  const nn__border_job *j = arg;
  const size_t at = i * j->rows * j->cols;
  (void)thread;
  j->kernels->transpose(j->to + at, j->rows, j->from + at, j->cols, j->rows, j->cols);
}

static void nn__copy_border(nn_model *m, const nn__node *node, size_t n, nn_real *to,
                            const nn_real *from, int inwards)
{
  const size_t rows = node->rows, cols = node->cols;
  if (nn__same_layout(node)) {
    memcpy(to, from, n * rows * cols * sizeof *to);
  } else if (node->rank == 3) {
    nn__border_job j = {m->context.kernels, from, to, inwards ? cols : rows, inwards ? rows : cols};
    nn__parallel(&m->context.pool, n, nn__border_task, &j);
  } else { /* [n, T, F] and [T, n, F] */
    for (size_t i = 0; i < n; i++)
      for (size_t t = 0; t < rows; t++) {
        const size_t out = (i * rows + t) * cols, in = (t * n + i) * cols;
        memcpy(to + (inwards ? in : out), from + (inwards ? out : in), cols * sizeof *to);
      }
  }
}

/* Flatten makes the border layout of its input into one row a sample. */
static void nn__flatten_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn__node *x = nn__in(m, node, 0);
  if (node->y != x->y) nn__copy_border(m, x, n, node->y, x->y, 0);
}

#ifndef NN_NO_TRAINING
static void nn__flatten_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  if (dx != node->dy) nn__copy_border(m, nn__in(m, node, 0), n, dx, node->dy, 1);
}
#endif

static void nn__add_forward(nn_model *m, nn__node *node, size_t n)
{
  m->context.kernels->add(node->y, nn__in(m, node, 0)->y, nn__in(m, node, 1)->y,
                          n * node->rows * node->cols);
}

#ifndef NN_NO_TRAINING
static void nn__add_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  (void)m;
  memcpy(dx, node->dy, n * node->rows * node->cols * sizeof *dx);
}
#endif

/* Rows of two matrices side by side. */
static void nn__concat_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn__node *a = nn__in(m, node, 0), *b = nn__in(m, node, 1);
  for (size_t r = 0; r < n * node->rows; r++) {
    memcpy(node->y + r * node->cols, a->y + r * a->cols, a->cols * sizeof(nn_real));
    memcpy(node->y + r * node->cols + a->cols, b->y + r * b->cols, b->cols * sizeof(nn_real));
  }
}

#ifndef NN_NO_TRAINING
static void nn__concat_backward(nn_model *m, nn__node *node, size_t n, int which, nn_real *dx)
{
  const size_t cols = nn__in(m, node, which)->cols;
  const size_t skip = which ? nn__in(m, node, 0)->cols : 0;
  for (size_t r = 0; r < n * node->rows; r++)
    memcpy(dx + r * cols, node->dy + r * node->cols + skip, cols * sizeof *dx);
}
#endif

/* Tokens [n,T] batch first; rows of the table, time-major. Past a sample's end no token is read. */
static nn_status nn__embedding_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn_real *tokens = nn__in(m, node, 0)->y, *table = nn__value(m, node->param);
  for (size_t i = 0; i < n; i++)
    for (size_t t = 0; t <= nn__last_of(m, i, node->rows); t++) {
      const nn_real token = tokens[i * node->rows + t];
      if (!(token >= 0 && token < (nn_real)node->size) || token != floor((double)token))
        return nn__say(&m->message, NN_ERR_ARGUMENT,
                       "%s: token %g of sample %zu is not a whole number in 0..%d", node->name,
                       (double)token, i, node->size - 1);
      memcpy(node->y + (t * n + i) * node->cols, table + (size_t)token * node->cols,
             node->cols * sizeof(nn_real));
    }
  return NN_OK;
}

#ifndef NN_NO_TRAINING
static void nn__embedding_backward(nn_model *m, nn__node *node, size_t n)
{
  const nn_real *tokens = nn__in(m, node, 0)->y;
  nn_real *dtable = nn__grad(m, node->param);
  for (size_t i = 0; i < n; i++)
    for (size_t t = 0; t <= nn__last_of(m, i, node->rows); t++) {
      nn_real *row = dtable + (size_t)tokens[i * node->rows + t] * node->cols;
      m->context.kernels->add(row, row, node->dy + (t * n + i) * node->cols, node->cols);
    }
}
#endif

/* Row of the inside of `x` that has a sample's step or pixel: the other way of nn__row_of. */
static size_t nn__row_at(const nn__node *x, size_t n, size_t sample, size_t place)
{
  return x->rank == 2 ? place * n + sample : sample * x->rows + place;
}

/* The layers that move rows: which place of its input a place of theirs has; SIZE_MAX: none, so
 * zeros. */
static size_t nn__moved_from(const nn_model *m, const nn__node *node, size_t sample, size_t place)
{
  const nn__node *x = &m->node[node->in[0]];
  const nn_conv2d_options *o = &node->window;
  const size_t last = x->rank == 2 ? nn__last_of(m, sample, x->rows) : 0;
  if (node->kind == NN__LAST_STEP) return last;
  if (node->kind == NN__REVERSE) return place <= last ? last - place : SIZE_MAX;
  const size_t wide = (size_t)x->dim[2], top = (size_t)o->pad_h, left = (size_t)o->pad_w;
  const size_t row = place / (size_t)node->dim[2], column = place % (size_t)node->dim[2];
  if (node->kind == NN__UPSAMPLE)
    return row / (size_t)o->stride_h * wide + column / (size_t)o->stride_w;
  if (node->kind == NN__CROP) return (row + top) * wide + column + left;
  if (row < top || row - top >= (size_t)x->dim[1] || column < left || column - left >= wide)
    return SIZE_MAX;
  return (row - top) * wide + column - left;
}

typedef struct nn__move {
  const nn_model *m;
  const nn__node *node;
  nn_real *x; /* forward: read; back: its gradient */
  size_t n;
} nn__move;

static void nn__move_task(void *arg, size_t sample, int thread)
{
  const nn__move *j = arg;
  const nn__node *node = j->node, *x = &j->m->node[node->in[0]];
  const size_t cols = node->cols;
  (void)thread;
  for (size_t p = 0; p < node->rows; p++) {
    const size_t from = nn__moved_from(j->m, node, sample, p);
    nn_real *to = node->y + nn__row_at(node, j->n, sample, p) * cols;
    if (from == SIZE_MAX) memset(to, 0, cols * sizeof *to);
    else memcpy(to, j->x + nn__row_at(x, j->n, sample, from) * cols, cols * sizeof *to);
  }
}

static void nn__move_forward(nn_model *m, nn__node *node, size_t n)
{
  nn__move j = {m, node, nn__in(m, node, 0)->y, n};
  nn__parallel(&m->context.pool, n, nn__move_task, &j);
}

#ifndef NN_NO_TRAINING
static void nn__move_back_task(void *arg, size_t sample, int thread)
{
  const nn__move *j = arg;
  const nn__node *node = j->node, *x = &j->m->node[node->in[0]];
  const size_t cols = node->cols;
  (void)thread;
  for (size_t p = 0; p < x->rows; p++)
    memset(j->x + nn__row_at(x, j->n, sample, p) * cols, 0, cols * sizeof *j->x);
  for (size_t p = 0; p < node->rows; p++) {
    const size_t from = nn__moved_from(j->m, node, sample, p);
    if (from == SIZE_MAX) continue;
    nn_real *to = j->x + nn__row_at(x, j->n, sample, from) * cols;
    j->m->context.kernels->add(to, to, node->dy + nn__row_at(node, j->n, sample, p) * cols, cols);
  }
}

static void nn__move_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  nn__move j = {m, node, dx, n};
  nn__parallel(&m->context.pool, n, nn__move_back_task, &j);
}
#endif

typedef struct nn__factors {
  const nn_model *m;
  const nn__node *node;
  size_t n;
  int which; /* back: whose gradient */
  nn_real *dx;
} nn__factors;

/* y = a b, where b may be one row a sample, as the channels' scale of squeeze-and-excitation. */
static size_t nn__factor_row(const nn__node *b, size_t n, size_t sample, size_t place)
{
  return nn__row_at(b, n, sample, b->rank == 1 ? 0 : place) * b->cols;
}

static void nn__multiply_task(void *arg, size_t sample, int thread)
{
  const nn__factors *f = arg;
  const nn__node *node = f->node, *a = &f->m->node[node->in[0]], *b = &f->m->node[node->in[1]];
  (void)thread;
  for (size_t p = 0; p < node->rows; p++) {
    const size_t at = nn__row_at(node, f->n, sample, p) * node->cols;
    const nn_real *x = a->y + at, *by = b->y + nn__factor_row(b, f->n, sample, p);
    for (size_t c = 0; c < node->cols; c++) node->y[at + c] = x[c] * by[c];
  }
}

static void nn__multiply_forward(nn_model *m, nn__node *node, size_t n)
{
  nn__factors f = {m, node, n, 0, NULL};
  nn__parallel(&m->context.pool, n, nn__multiply_task, &f);
}

#ifndef NN_NO_TRAINING
/* da = dy b; db = dy a, summed over the rows that one of b has met */
static void nn__multiply_back_task(void *arg, size_t sample, int thread)
{
  const nn__factors *f = arg;
  const nn__node *node = f->node, *x = &f->m->node[node->in[f->which]];
  const nn__node *other = &f->m->node[node->in[1 - f->which]];
  (void)thread;
  for (size_t p = 0; p < node->rows; p++) {
    const nn_real *dy = node->dy + nn__row_at(node, f->n, sample, p) * node->cols;
    const nn_real *by = other->y + nn__factor_row(other, f->n, sample, p);
    nn_real *dx = f->dx + nn__factor_row(x, f->n, sample, p);
    const int add = p > 0 && x->rank == 1;
    for (size_t c = 0; c < node->cols; c++) dx[c] = dy[c] * by[c] + (add ? dx[c] : 0);
  }
}

static void nn__multiply_backward(nn_model *m, nn__node *node, size_t n, int which, nn_real *dx)
{
  nn__factors f = {m, node, n, which, dx};
  nn__parallel(&m->context.pool, n, nn__multiply_back_task, &f);
}
#endif

/* ---- rows --------------------------------------------------------------------------------- */

/* The greatest of a row, the first among equals. */
static size_t nn__greatest(const nn_real *row, size_t cols)
{
  size_t best = 0;
  for (size_t j = 1; j < cols; j++)
    if (row[j] > row[best]) best = j;
  return best;
}

/* ---- losses ------------------------------------------------------------------------------- */

/* softmax(row)[label] = 1 / sum over j of exp(row[j] - row[label]) */
static nn_real nn__probability(const nn__node *out, const nn_real *row, size_t label)
{
  double sum = 0;
  if (out->kind == NN__SOFTMAX) return row[label];
  for (size_t j = 0; j < out->cols; j++) sum += exp((double)row[j] - (double)row[label]);
  return (nn_real)(1 / sum);
}

#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT
/* Checks that the labels of n samples are classes of `x` or -1, up to each sample's end. only:
 * which samples of the arrays these are; NULL: the first. */
static nn_status nn__check_labels(nn_model *m, const int32_t *labels, const int32_t *only, size_t n,
                                  const nn__node *x, const int32_t *lengths, const char *who)
{
  for (size_t k = 0; k < n; k++) {
    const size_t i = only ? (size_t)only[k] : k;
    const size_t count = lengths && x->rank == 2 ? (size_t)lengths[i] : x->rows;
    const int32_t *label = labels + i * x->rows;
    for (size_t t = 0; t < count; t++)
      if (label[t] < -1 || label[t] >= (int64_t)x->cols)
        return nn__say(&m->message, NN_ERR_ARGUMENT,
                       "%s: label %d of sample %zu is not in 0..%zu (or -1)", who, (int)label[t],
                       i, x->cols - 1);
  }
  return NN_OK;
}
#endif

#ifndef NN_NO_TRAINING

/* With p = softmax(x), W = sum of w_label: loss = [(1-s) w_label (-log p_label) +
 * s/K sum_j w_j (-log p_j)] summed over rows / W, and d = [(1-s) w_label (p_j - [j = label]) +
 * s/K (p_j sum_i w_i - w_j)] / W. d: [rows, K], or NULL. p goes to scratch. */
static nn_status nn__cross_entropy_loss(nn_model *m, const nn__node *node, size_t n,
                                        const int32_t *labels, nn_real *d, double *loss,
                                        int64_t *correct)
{
  const nn__node *x = &m->node[node->in[0]];
  const size_t rows = n * x->rows, classes = x->cols;
  const double s = node->value;
  const nn_real *w = node->weights;
  double sum = 0, total = 0, all = 0;
  int64_t counted = 0;
  *correct = 0;
  if (!labels) return nn__say(&m->message, NN_ERR_ARGUMENT, "%s: labels are NULL", node->name);
  for (size_t j = 0; j < classes; j++) all += w ? (double)w[j] : 1;
  const nn_status status = nn__check_labels(m, labels, NULL, n, x, nn__lengths(m), node->name);
  if (status != NN_OK) return status;
  nn__softmax_rows(m, m->scratch, x->y, rows, classes);
  for (size_t r = 0; r < rows; r++) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    const int32_t label = labels[sample * x->rows + place];
    if (!nn__row_counts(m, x, sample, place) || label < 0) continue;
    const nn_real *p = m->scratch + r * classes, *at = x->y + r * classes;
    const double weight = w ? (double)w[label] : 1;
    const size_t best = nn__greatest(at, classes);
    *correct += best == (size_t)label;
    const double log_sum = (double)at[best] - log((double)p[best]); /* p[best] >= 1/K */
    sum += (1 - s) * weight * (log_sum - (double)at[label]);
    for (size_t j = 0; j < classes && s > 0; j++)
      sum += s / (double)classes * (w ? (double)w[j] : 1) * (log_sum - (double)at[j]);
    total += weight;
    counted++;
  }
  const double share = total > 0 ? 1 / total : 0;
  *loss = sum * share;
  m->loss_weight = total, m->loss_rows = counted;
  if (!d) return NN_OK;
  for (size_t r = 0; r < rows; r++) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    const int32_t label = labels[sample * x->rows + place];
    nn_real *to = d + r * classes;
    if (label < 0 || !nn__row_counts(m, x, sample, place)) {
      memset(to, 0, classes * sizeof *to);
      continue;
    }
    const double weight = w ? (double)w[label] : 1, smooth = s / (double)classes;
    const nn_real *p = m->scratch + r * classes;
    const nn_real scale = (nn_real)(((1 - s) * weight + smooth * all) * share);
    for (size_t j = 0; j < classes; j++)
      to[j] = p[j] * scale - (nn_real)(smooth * (w ? (double)w[j] : 1) * share);
    to[label] -= (nn_real)((1 - s) * weight * share);
  }
  return NN_OK;
}

/* Finds the first of n samples whose targets [n, shape] hold what they should not, and gives that
 * value; SIZE_MAX if there is none. `finite`: a number that is no probability, or infinity; else a
 * NaN or infinity. Steps past a sample's end are not looked at. only: as in nn__check_labels. */
static size_t nn__odd_target(const nn__node *x, const nn_real *targets, const int32_t *only,
                             size_t n, const int32_t *lengths, int finite, double *value)
{
  const size_t each = x->rows * x->cols;
  for (size_t s = 0; s < n; s++) {
    const size_t i = only ? (size_t)only[s] : s;
    const size_t count = lengths && x->rank == 2 ? (size_t)lengths[i] * x->cols : each;
    for (size_t k = 0; k < count; k++) {
      *value = (double)targets[i * each + k];
      if (finite ? *value < 0 || *value > 1 : !nn__finite(*value)) return i;
    }
  }
  return SIZE_MAX;
}

/* Binary cross-entropy takes probabilities. A NaN passes: the loss becomes one, too, and nn_train
 * says where it is from. */
static nn_status nn__check_targets(nn_model *m, const nn__node *node, const nn_real *targets,
                                   const int32_t *only, size_t n, const int32_t *lengths,
                                   const char *who)
{
  double value = 0;
  if (node->kind != NN__BINARY_CROSS_ENTROPY) return NN_OK;
  const size_t i = nn__odd_target(&m->node[node->in[0]], targets, only, n, lengths, 1, &value);
  if (i == SIZE_MAX) return NN_OK;
  return nn__say(&m->message, NN_ERR_ARGUMENT, "%s: target %g of sample %zu is not in 0..1", who,
                 value, i);
}

/* Mean squared error and binary cross-entropy: element by element against values [n, shape]. */
static nn_status nn__value_loss(nn_model *m, const nn__node *node, size_t n, const nn_real *values,
                                nn_real *d, double *loss)
{
  const nn__node *x = &m->node[node->in[0]];
  const size_t rows = n * x->rows, cols = x->cols;
  const int squared = node->kind == NN__SQUARED_ERROR;
  size_t counted = 0;
  double sum = 0;
  if (!values) return nn__say(&m->message, NN_ERR_ARGUMENT, "%s: values are NULL", node->name);
  const nn_status status = nn__check_targets(m, node, values, NULL, n, nn__lengths(m), node->name);
  if (status != NN_OK) return status;
  nn__copy_border(m, x, n, m->scratch, values, 1);
  for (size_t r = 0; r < rows; r++) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    counted += (size_t)nn__row_counts(m, x, sample, place);
  }
  const double share = 1 / ((double)counted * (double)cols);
  m->loss_weight = (double)counted * (double)cols, m->loss_rows = (int64_t)counted;
  for (size_t r = 0; r < rows; r++) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    const int counts = nn__row_counts(m, x, sample, place);
    for (size_t i = r * cols; i < (r + 1) * cols; i++) {
      const double v = (double)x->y[i], t = (double)m->scratch[i];
      if (counts && squared)
        sum += (v - t) * (v - t);
      else if (counts) /* v NaN: passes through */
        sum += (v < 0 ? 0 : v) - v * t + log1p(exp(-fabs(v)));
      if (d && !counts)
        d[i] = 0;
      else if (d)
        d[i] = (nn_real)((squared ? 2 * (v - t) : 1 / (1 + exp(-v)) - t) * share);
    }
  }
  *loss = sum * share;
  return NN_OK;
}
#endif

/* ========================================= @@RNN ===========================================
 * Each layer, for every step t and sample (g: the gates' sums; U has no transpose written):
 *   rnn   h_t = act(W x_t + b + U h_{t-1} + c)
 *   lstm  i,f,z,o = sig,sig,tanh,sig of W x_t + b + U h_{t-1} + c
 *         c_t = f c_{t-1} + i z;   h_t = o tanh(c_t)
 *   gru   r,z = sig(W x_t + b + U h_{t-1} + c);   u = U_n h_{t-1} + c_n
 *         n = tanh(W_n x_t + b_n + r u);          h_t = (1 - z) n + z h_{t-1}
 * Samples are independent of each other, so a thread takes a block of them through all steps and
 * waits for no one: at each step the product and the gates, on rows that are still in its cache.
 * The sums are one product of z_t = [h_{t-1} 1 x_t] with the joint weights [U b+c W], packed once
 * a call. Their columns in g: the gates one after the other, each of h columns rounded up to whole
 * vectors; of a gru first n, which leaves out h, then r and z, then u, which leaves out x, so that
 * [b_n W_n] and [U_n c_n] are parts of their own, rounded up to whole panels. Columns past h have
 * zero weights. g and z lie in panels of NR columns over all steps: so a tile leaves the one, and
 * so the micro-kernel wants both operands of the weights' gradients.
 * While training or inspecting every step's z and g are kept; otherwise each step overwrites the
 * one before. Backward goes the other way, leaves the gradients of the sums in g, and then makes
 * those of weights and biases as the product of g, transposed, with z, over all steps. */
typedef struct nn__gate_sums { /* columns of g that belong to one gate: at .. at + h - 1 */
  size_t at, gate;
  int of_x, of_h;
  size_t next; /* the first column of the gate after it */
} nn__gate_sums;

typedef struct nn__cell {
  nn_model *m;
  const nn__kernels *kernels;
  nn__kind kind;
  size_t n, steps, in, h, gates; /* gates: 1, 4, 3 */
  nn__gate_sums sums[4];
  int sums_count;
  size_t wide, from_h, to_x;     /* columns of g; those from from_h read h, before to_x read x */
  size_t panel;                  /* from one panel of g or z to the next, in reals */
  size_t long_z, ld;             /* columns of z, h + 1 + in; from one joint row to the next */
  size_t block;                  /* samples of one task */
  int relu, first_step_too;      /* h0 is not zero: the product of step 0 counts */
  size_t kept;                   /* n, or 0 if nothing goes back: rows a step of z, g, c */
  nn_real *z, *g, *c;            /* [steps n, long_z] and by wide in panels, by h of a lstm */
  nn_real *h0, *c0;              /* [n, h] */
  const nn_real *x;              /* [steps n, in] */
  nn_real *y;                    /* [steps n, h] */
  const nn_real *dy;
  nn_real *dh, *dc;              /* [n, h] */
  nn_real *dx;                   /* [steps n, in], or NULL */
  const nn_real *packed;         /* forward: the joint weights, part by part */
  const nn_real *packed_u, *packed_w; /* backward: their columns of h, of x */
} nn__cell;

static size_t nn__gates(nn__kind kind) { return kind == NN__LSTM ? 4 : kind == NN__GRU ? 3 : 1; }

/* Columns of g; reals of a panel of so many rows: no multiple of a page, or else the panels of a
 * row would meet in the same sets of the cache. */
static size_t nn__cell_wide(const nn__kernels *t, nn__kind kind, size_t h)
{
  const size_t each = nn__round_up(h, t->vw);
  return kind == NN__GRU ? nn__round_up(2 * each, t->nr) + 2 * nn__round_up(h, t->nr)
                         : nn__round_up(nn__gates(kind) * each, t->nr);
}
static size_t nn__cell_panel(const nn__kernels *t, size_t rows) { return rows * t->nr + NN__PAD; }

static size_t nn__cell_z(const nn__kernels *t, size_t rows, size_t h, size_t in)
{
  return nn__round_up(h + 1 + in, t->nr) / t->nr * nn__cell_panel(t, rows);
}

/* From one row of the joint weights to the next, in reals. */
static size_t nn__cell_ld(size_t h, size_t in) { return nn__round_up(h + 1 + in, 16); }

/* Inputs of the widest layer. */
static size_t nn__cell_in(const nn_model *m, const nn__node *node)
{
  return nn__max(node->cell.layers > 1 ? node->cols : 0, m->node[node->in[0]].cols);
}

/* What one layer keeps, in reals; offsets in the order z, g, c, h0, c0, y (below the top), the
 * dropped y. */
static size_t nn__cell_keep(const nn_model *m, const nn__node *node)
{
  const nn__kernels *t = m->context.kernels;
  const size_t batch = (size_t)m->config.batch, h = node->cols, all = batch * node->rows;
  const size_t kept = m->config.inference ? batch : all;
  return nn__cell_z(t, kept, h, nn__cell_in(m, node)) +
         nn__cell_wide(t, node->kind, h) / t->nr * nn__cell_panel(t, kept) +
         (node->kind == NN__LSTM ? kept * h : 0) + 2 * batch * h +
         (node->cell.layers > 1 ? all * h : 0) +
         (node->cell.layers > 1 && node->cell.dropout > 0 ? all * h : 0);
}

/* The joint weights of one layer, packed. */
static size_t nn__cell_packed(const nn_model *m, const nn__node *node, int layer)
{
  const nn__kernels *t = m->context.kernels;
  const size_t h = node->cols, in = layer ? h : m->node[node->in[0]].cols, both = h + 1 + in;
  const size_t wide = nn__cell_wide(t, node->kind, h);
  const size_t alone = node->kind == NN__GRU ? nn__round_up(h, t->nr) : 0;
  return (wide - 2 * alone) * both + alone * (both - h / t->nr * t->nr) + alone * (h + 1);
}

static size_t nn__cell_scratch(const nn_model *m, const nn__node *node)
{
  const size_t batch = (size_t)m->config.batch, h = node->cols, nr = m->context.kernels->nr;
  const size_t wide = nn__cell_wide(m->context.kernels, node->kind, h);
  const size_t in = nn__cell_in(m, node), ld = nn__cell_ld(h, in);
  const size_t lower = node->cell.layers > 1 ? batch * node->rows * h : 0;
  if (nn__packs_once(m)) return 0;
  if (m->config.inference)
    return nn__max(nn__cell_packed(m, node, 0), nn__cell_packed(m, node, node->cell.layers - 1));
  return wide * (ld + nn__round_up(in, nr) + nn__round_up(h, nr)) + 2 * batch * h + lower + 64;
}

/* Part 0, 1 or 2 of the joint weights: columns of g without h, with both, without x; and the
 * columns of z that they read, from a whole panel on. Returns whether there are any. */
typedef struct nn__part {
  size_t from, to, k0, k1;
} nn__part;
static int nn__part_of(const nn__cell *q, int part, nn__part *p)
{
  p->from = part == 0 ? 0 : part == 1 ? q->from_h : q->to_x;
  p->to = part == 0 ? q->from_h : part == 1 ? q->to_x : q->wide;
  p->k0 = part == 0 ? q->h / q->kernels->nr * q->kernels->nr : 0;
  p->k1 = part == 2 ? q->h + 1 : q->long_z;
  return p->from < p->to;
}

/* The joint weights for the forward: part by part in panels, straight from the four parameters. */
static void nn__cell_pack(const nn__cell *q, nn_real *to, const nn_real *w, const nn_real *u,
                          const nn_real *b, const nn_real *c)
{
  const nn__kernels *t = q->kernels;
  const size_t h = q->h, in = q->in, nr = t->nr;
  for (int part = 0; part < 3; part++) {
    nn__part p;
    if (!nn__part_of(q, part, &p)) continue;
    const size_t length = p.k1 - p.k0;
    memset(to, 0, (p.to - p.from) * length * sizeof *to);
    for (int k = 0; k < q->sums_count; k++) {
      const nn__gate_sums *s = &q->sums[k];
      if (s->at < p.from || s->at >= p.to) continue;
      for (size_t j = 0, wide; j < h; j += wide) { /* the gate's columns within a panel */
        const size_t at = s->at + j - p.from, row = s->gate * h + j;
        nn_real *const panel = to + at / nr * length * nr + at % nr;
        wide = nn__min(nr - at % nr, h - j);
        if (s->of_h) t->transpose(panel, nr, u + row * h, h, wide, h);
        for (size_t i = 0; i < wide; i++)
          panel[(h - p.k0) * nr + i] = (s->of_x ? b[row + i] : 0) + (s->of_h ? c[row + i] : 0);
        if (s->of_x) t->transpose(panel + (h + 1 - p.k0) * nr, nr, w + row * in, in, wide, in);
      }
    }
    to += (p.to - p.from) * length;
  }
}

#ifndef NN_NO_TRAINING
/* The joint weights [U b+c W] as rows: [wide, ld]. */
static void nn__cell_join(const nn__cell *q, nn_real *to, const nn_real *w, const nn_real *u,
                          const nn_real *b, const nn_real *c)
{
  const size_t h = q->h, in = q->in;
  memset(to, 0, q->wide * q->ld * sizeof *to);
  for (int k = 0; k < q->sums_count; k++) {
    const nn__gate_sums *s = &q->sums[k];
    nn_real *row = to + s->at * q->ld;
    for (size_t j = s->gate * h; j < (s->gate + 1) * h; j++, row += q->ld) {
      if (s->of_h) memcpy(row, u + j * h, h * sizeof *row);
      row[h] = (s->of_x ? b[j] : 0) + (s->of_h ? c[j] : 0);
      if (s->of_x) memcpy(row + h + 1, w + j * in, in * sizeof *row);
    }
  }
}

#endif

static int nn__past_end(const nn__cell *q, size_t t, size_t sample)
{
  return q->m->has_lengths && t >= (size_t)q->m->lengths[sample];
}

/* c[rows,n] = finish(k columns of g or z times packed weights); a is at their first row, and c's
 * panels of columns are panel_c apart. */
static void nn__panels_product(const nn__cell *q, size_t rows, size_t n, size_t k,
                               const nn_real *a, const nn_real *packed, size_t panel_b, nn_real *c,
                               size_t ldc, size_t panel_c, const nn__finish *finish)
{
  enum { NN__PANELS = 64 }; /* of one walk */
  const size_t nr = q->kernels->nr;
  nn__finish f = *finish;
  for (size_t count; k; a += count * q->panel, packed += count * nr * nr, f.beta = 1) {
    size_t skip[NN__PANELS];
    count = nn__min(NN__PANELS, (k + nr - 1) / nr);
    for (size_t i = 0; i < count; i++) skip[i] = i * q->panel;
    const size_t here = nn__min(k, count * nr);
    const nn__walk walk = {count, nr, here - (count - 1) * nr, skip, 1, nr, 0};
    nn__tiles(q->kernels, &walk, rows, n, a, nr, packed, panel_b, c, ldc, panel_c, &f);
    k -= here;
  }
}

static void nn__cell_forward_task(void *arg, size_t index, int thread)
{
  const nn__cell *q = arg;
  const nn__kernels *k = q->kernels;
  const size_t h = q->h, in = q->in, nr = k->nr;
  const size_t first = index * q->block, rows = nn__min(q->block, q->n - first);
  const nn__finish set = {1, 0, NULL, 0, 0};
  (void)thread;
  for (size_t t = 0; t < q->steps; t++) {
    const size_t row = t * q->n + first, at = t * q->kept + first;
    const nn_real *before = t ? q->y + (row - q->n) * h : q->h0 + first * h;
    nn_real *z = q->z + at * nr, *g = q->g + at * nr;
    for (size_t i = 0; i < rows; i++) {
      k->to_panels(z + i * nr, q->panel, 0, before + i * h, h);
      z[i * nr + h / nr * q->panel + h % nr] = 1;
      k->to_panels(z + i * nr, q->panel, h + 1, q->x + (row + i) * in, in);
    }
    const nn_real *packed = q->packed;
    for (int part = 0; part < 3; part++) {
      nn__part p;
      if (!nn__part_of(q, part, &p)) continue;
      const size_t length = p.k1 - p.k0;
      /* zeros need no product */
      const size_t start = t || q->first_step_too ? p.k0 : h / nr * nr;
      const nn_real *const from = z + start / nr * q->panel, *b = packed + (start - p.k0) * nr;
      nn_real *const sums = g + p.from / nr * q->panel;
      if (q->n == 1)
        k->panels_row(sums, from, q->panel, b, length * nr, p.k1 - start, p.to - p.from);
      else
        nn__panels_product(q, rows, p.to - p.from, p.k1 - start, from, b, length * nr, sums, nr,
                           q->panel, &set);
      packed += (p.to - p.from) * length;
    }
    for (size_t i = 0; i < rows; i++, g += nr, z += nr) {
      nn_real *y = q->y + (row + i) * h;
      if (nn__past_end(q, t, first + i)) {
        memset(y, 0, h * sizeof *y);
      } else if (q->kind == NN__RNN) {
        k->rnn_row(g, q->panel, y, h, q->relu);
      } else if (q->kind == NN__LSTM) {
        const nn_real *c = t ? q->c + (at + i - q->kept) * h : q->c0 + (first + i) * h;
        k->lstm_row(g, q->panel, c, q->c + (at + i) * h, y, h);
      } else {
        k->gru_row(g, q->panel, z, y, h);
      }
    }
  }
}

enum { NN__CELL_ROWS = 40 };

/* The arrays of layer `layer` inside keep and state. */
static nn__cell nn__cell_of(nn_model *m, nn__node *node, int layer, size_t n)
{
  const size_t batch = (size_t)m->config.batch, h = node->cols, all = batch * node->rows;
  const size_t kept = m->config.inference ? batch : all;
  nn__cell q;
  memset(&q, 0, sizeof q);
  q.m = m, q.kernels = m->context.kernels, q.kind = node->kind;
  q.n = n, q.steps = node->rows, q.h = h, q.gates = nn__gates(node->kind);
  q.in = layer ? h : nn__in(m, node, 0)->cols;
  q.long_z = h + 1 + q.in, q.ld = nn__cell_ld(h, q.in);
  q.wide = nn__cell_wide(q.kernels, q.kind, h);
  q.from_h = q.kind == NN__GRU ? nn__round_up(h, q.kernels->nr) : 0;
  q.to_x = q.wide - q.from_h;
  for (size_t gate = 0; gate < q.gates; gate++) {
    const size_t each = nn__round_up(h, q.kernels->vw), at = q.from_h + gate * each;
    const nn__gate_sums sums = {at, gate, 1, 1, at + each};
    q.sums[q.sums_count++] = sums;
  }
  if (q.kind == NN__GRU) {
    const nn__gate_sums n_of_x = {0, 2, 1, 0, q.from_h}, n_of_h = {q.to_x, 2, 0, 1, q.wide};
    q.sums[1].next = q.to_x, q.sums[2] = n_of_x, q.sums[q.sums_count++] = n_of_h;
  } else {
    q.sums[q.sums_count - 1].next = q.wide;
  }
  q.relu = node->cell.relu, q.first_step_too = node->cell.carry;
  q.kept = nn__keeps(m) ? n : 0;
  /* blocks whose gates stay in the second-level cache, as many for each thread */
  const double work = (double)(n * q.steps) * (double)(q.gates * h) * (double)(q.in + h);
  const size_t threads = work < NN__SERIAL ? 1 : (size_t)m->context.pool.threads;
  const size_t each = (n + threads - 1) / threads;
  const size_t blocks = (each + NN__CELL_ROWS - 1) / NN__CELL_ROWS;
  q.block = work < NN__SERIAL ? n : (each + blocks - 1) / blocks;
  nn_real *at = node->keep + (size_t)layer * nn__cell_keep(m, node);
  q.panel = nn__cell_panel(q.kernels, q.kept ? q.steps * n : n);
  q.z = at, at += nn__cell_z(q.kernels, kept, h, q.in);
  q.g = at, at += q.wide / q.kernels->nr * nn__cell_panel(q.kernels, kept);
  if (node->kind == NN__LSTM) q.c = at, at += kept * h;
  q.h0 = at, at += batch * h;
  q.c0 = at, at += batch * h;
  q.y = layer == node->cell.layers - 1 ? node->y : at;
  return q;
}

/* The input of layer `layer`: x, or the output of the layer below (after dropout). */
static const nn_real *nn__cell_input(nn_model *m, nn__node *node, int layer, size_t n)
{
  if (!layer) return nn__in(m, node, 0)->y;
  const nn__cell below = nn__cell_of(m, node, layer - 1, n);
  const size_t all = (size_t)m->config.batch * node->rows;
  return nn__learning(m) && node->cell.dropout > 0 ? below.y + all * node->cols : below.y;
}

static void nn__cell_forward(nn_model *m, nn__node *node, size_t n)
{
  const size_t h = node->cols, batch = (size_t)m->config.batch;
  const int carry = node->cell.carry && !m->fresh, moves = carry && m->training != NN_INSPECTING;
  if (moves && node->state_n != (int)n) {
    memset(node->state, 0, node->state_size * sizeof *node->state);
    node->state_n = (int)n;
  }
  size_t done = 0;
  for (int layer = 0; layer < node->cell.layers; layer++) {
    nn__cell q = nn__cell_of(m, node, layer, n);
    const int param = node->param + 4 * layer;
    const nn_real *w = nn__value(m, param), *u = nn__value(m, param + 1);
    const nn_real *b = nn__value(m, param + 2), *c = nn__value(m, param + 3);
    nn_real *const packed = node->packed ? node->packed + done : m->scratch;
    if (!node->packed || !m->packed) nn__cell_pack(&q, packed, w, u, b, c);
    q.packed = packed, done += nn__cell_packed(m, node, layer);
    q.x = nn__cell_input(m, node, layer, n);
    nn_real *state = carry ? node->state + (size_t)layer * 2 * batch * h : NULL;
    for (int k = 0; k < 2; k++) {
      nn_real *start = k ? q.c0 : q.h0;
      if (carry && node->state_n == (int)n)
        memcpy(start, state + (size_t)k * batch * h, n * h * sizeof *start);
      else
        memset(start, 0, n * h * sizeof *start);
    }
    nn__parallel(&m->context.pool, (n + q.block - 1) / q.block, nn__cell_forward_task, &q);
    for (size_t i = 0; i < n && moves; i++) {
      const size_t last = nn__last_of(m, i, q.steps);
      memcpy(state + i * h, q.y + (last * n + i) * h, h * sizeof *state);
      if (q.c) memcpy(state + (batch + i) * h, q.c + (last * q.kept + i) * h, h * sizeof *state);
    }
    if (nn__learning(m) && node->cell.dropout > 0 && layer < node->cell.layers - 1)
      nn__drop_out(m, q.y + batch * q.steps * h, q.y, q.steps * n * h, node->cell.dropout,
                   nn__site(m, node, layer));
  }
}

#ifndef NN_NO_TRAINING
/* Zeroes the columns of one row of g that belong to no gate. The products read them against weights
 * of 0, but forward has made NaNs of them where x was infinite. */
static void nn__clear_gaps(const nn__cell *q, nn_real *g)
{
  const size_t nr = q->kernels->nr;
  for (int k = 0; k < q->sums_count; k++)
    for (size_t j = q->sums[k].at + q->h; j < q->sums[k].next; j++)
      g[j / nr * q->panel + j % nr] = 0;
}

static void nn__cell_backward_task(void *arg, size_t index, int thread)
{
  const nn__cell *q = arg;
  const nn__kernels *k = q->kernels;
  const size_t h = q->h, nr = k->nr;
  const size_t first = index * q->block, rows = nn__min(q->block, q->n - first);
  const nn__finish set = {1, 0, NULL, 0, 0}, add = {1, 1, NULL, 0, 0};
  nn_real *const dh = q->dh + first * h, *const dc = q->dc + first * h;
  (void)thread;
  memset(dh, 0, rows * h * sizeof *dh);
  memset(dc, 0, rows * h * sizeof *dc);
  for (size_t t = q->steps; t-- > 0;) {
    const size_t row = t * q->n + first;
    nn_real *const g = q->g + row * nr;
    k->add(dh, dh, q->dy + row * h, rows * h);
    for (size_t i = 0; i < rows; i++) {
      const size_t at = row + i;
      nn_real *gi = g + i * nr, *d = dh + i * h;
      if (nn__past_end(q, t, first + i)) {
        for (size_t j = 0; j < q->wide / nr; j++)
          memset(gi + j * q->panel, 0, nr * sizeof *gi);
        memset(d, 0, h * sizeof *d);
      } else if (q->kind == NN__RNN) {
        k->rnn_row_back(gi, q->panel, d, h, q->relu);
      } else if (q->kind == NN__LSTM) {
        const nn_real *c = t ? q->c + (at - q->n) * h : q->c0 + (first + i) * h;
        k->lstm_row_back(gi, q->panel, c, q->c + at * h, d, dc + i * h, h);
      } else {
        k->gru_row_back(gi, q->panel, q->z + at * nr, d, d, h);
      }
      nn__clear_gaps(q, gi);
    }
    if (q->dx)
      nn__panels_product(q, rows, q->in, q->to_x, g, q->packed_w, q->to_x * nr,
                         q->dx + row * q->in, q->in, nr, &set);
    if (t)
      nn__panels_product(q, rows, h, q->wide - q->from_h, g + q->from_h / nr * q->panel,
                         q->packed_u, (q->wide - q->from_h) * nr, dh, h, nr,
                         q->kind == NN__GRU ? &add : &set);
  }
}

/* The gradients of all four parameters of a layer, by way of the joint ones, d [wide, ld]. */
static void nn__cell_gradients(nn_model *m, nn__node *node, int layer, const nn__cell *q,
                               nn_real *d)
{
  const nn__kernels *k = q->kernels;
  const int param = node->param + 4 * layer;
  nn_real *dw = nn__grad(m, param), *du = nn__grad(m, param + 1);
  nn_real *db = nn__grad(m, param + 2), *dc = nn__grad(m, param + 3);
  const size_t h = q->h, in = q->in;
  const nn__finish set = {1, 0, NULL, 0, 0};
  for (int part = 0; part < 3; part++) {
    nn__part p;
    if (!nn__part_of(q, part, &p)) continue;
    const nn__matrix g = {q->g + p.from / k->nr * q->panel, 1, k->nr, q->panel};
    const nn__matrix z = {q->z + p.k0 / k->nr * q->panel, k->nr, 1, q->panel};
    nn__multiply(&m->context, p.to - p.from, p.k1 - p.k0, q->steps * q->n, g, z,
                 d + p.from * q->ld + p.k0, q->ld, &set);
  }
  for (int i = 0; i < q->sums_count; i++) {
    const nn__gate_sums *s = &q->sums[i];
    const nn_real *row = d + s->at * q->ld;
    for (size_t j = s->gate * h; j < (s->gate + 1) * h; j++, row += q->ld) {
      if (s->of_x) k->add(dw + j * in, dw + j * in, row + h + 1, in), db[j] += row[h];
      if (s->of_h) k->add(du + j * h, du + j * h, row, h), dc[j] += row[h];
    }
  }
}

static void nn__cell_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const size_t h = node->cols, batch = (size_t)m->config.batch;
  const nn_real *dy = node->dy;
  for (int layer = node->cell.layers - 1; layer >= 0; layer--) {
    nn__cell q = nn__cell_of(m, node, layer, n);
    const int param = node->param + 4 * layer;
    const nn_real *w = nn__value(m, param), *u = nn__value(m, param + 1);
    q.dy = dy;
    q.dh = m->scratch, q.dc = q.dh + batch * h;
    nn_real *lower = q.dc + batch * h; /* gradient of the layer below */
    nn_real *const joint = lower + (node->cell.layers > 1 ? batch * q.steps * h : 0);
    nn_real *end = joint + q.wide * q.ld;
    q.dx = layer ? lower : dx;
    nn__cell_join(&q, joint, w, u, nn__value(m, param + 2), nn__value(m, param + 3));
    q.packed_u = end;
    q.kernels->pack(end, joint + q.from_h * q.ld, q.ld, 1, q.wide - q.from_h, h);
    end += nn__round_up(h, q.kernels->nr) * (q.wide - q.from_h);
    q.packed_w = end;
    if (q.dx) q.kernels->pack(end, joint + h + 1, q.ld, 1, q.to_x, q.in);
    nn__parallel(&m->context.pool, (n + q.block - 1) / q.block, nn__cell_backward_task, &q);

    if (nn__learns(m, node)) nn__cell_gradients(m, node, layer, &q, joint);
    if (nn__learning(m) && layer && node->cell.dropout > 0)
      nn__drop_out(m, lower, lower, q.steps * n * h, node->cell.dropout,
                   nn__site(m, node, layer - 1));
    dy = lower;
  }
}
#endif

/* ======================================= @@LAYER ===========================================
 * Describing a model: the builder calls check their numbers and infer the shapes. */

enum { NN__MAX_SIZE = 1 << 20, NN__MAX_CELL_LAYERS = 16, NN__MAX_BATCH = 1 << 20 };
enum { NN__MOST_NOTES = 1 << 24 }; /* bytes */

static int nn__is_loss(nn__kind kind) { return kind >= NN__CROSS_ENTROPY; }
static int nn__is_cell(nn__kind kind)
{
  return kind == NN__RNN || kind == NN__LSTM || kind == NN__GRU;
}
static int nn__is_trained(const nn__node *node)
{
  return node->params && node->kind != NN__NORMALISE && node->rate > 0;
}
static int nn__is_input(nn__kind kind) { return kind == NN__INPUT || kind == NN__TOKENS; }

/* An error of a builder: the first sticks to a description, none to a built model. Gives -1, the
 * number of no node. */
static int nn__fail(nn_model *m, nn_status status, const char *format, ...)
{
  if (m && m->broken == NN_OK) {
    va_list args;
    va_start(args, format);
    nn__format(m->message.text, sizeof m->message.text, format, args);
    va_end(args);
    m->status = status;
    if (!m->built) m->broken = status;
  }
  return -1;
}

/* A failure of a built model: recorded, but nothing sticks. */
static nn_status nn__error(nn_model *m, nn_status status, const char *format, ...)
{
  va_list args;
  if (m->broken != NN_OK) return status; /* the description's error stays */
  va_start(args, format);
  nn__format(m->message.text, sizeof m->message.text, format, args);
  va_end(args);
  return m->status = status;
}

/* "[32,14,14]" */
typedef struct nn__shape_text {
  char text[48];
} nn__shape_text;
static const char *nn__shape(const nn__node *node, nn__shape_text *to)
{
  nn_message out = {{0}};
  if (node->rank == 3)
    nn__say(&out, NN_OK, "[%d,%d,%d]", node->dim[0], node->dim[1], node->dim[2]);
  else if (node->rank == 2)
    nn__say(&out, NN_OK, "[%d,%d]", node->dim[0], node->dim[1]);
  else
    nn__say(&out, NN_OK, "[%d]", node->dim[0]);
  memcpy(to->text, out.text, sizeof to->text);
  to->text[sizeof to->text - 1] = 0;
  return to->text;
}

/* Reals that one array may have, so that every size made of a few of them fits size_t. */
static int nn__too_large(double reals)
{
  return !(reals < (double)(SIZE_MAX / sizeof(nn_real) / 64));
}

/* Sets a node's shape, at the border and inside, and checks that a batch of it can be counted. */
static int nn__set_shape(nn_model *m, nn__node *node, int rank, int a, int b, int c)
{
  node->rank = rank;
  node->dim[0] = a, node->dim[1] = b, node->dim[2] = c;
  node->rows = rank == 3 ? (size_t)b * (size_t)c : rank == 2 ? (size_t)a : 1;
  node->cols = rank == 2 ? (size_t)b : (size_t)a;
  const double each = (double)a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1);
  if (nn__too_large(each * m->config.batch))
    return nn__fail(m, NN_ERR_LIMIT, "%s: an output of %g numbers for %d samples is too large",
                    node->name, each, m->config.batch);
  return 0;
}

/* A new node that reads a and b (-1: none); -1 and an error if it cannot be. Its number is only
 * taken when the caller has no complaint: nn__added. */
static nn__node *nn__begin(nn_model *m, nn__kind kind, int inputs, int a, int b)
{
  if (!m) return NULL;
  if (m->built) nn__fail(m, NN_ERR_STATE, "%s added after nn_build", nn__kind_text[kind]);
  if (m->built || m->broken != NN_OK) return NULL;
  if (m->nodes == NN_MAX_NODES) {
    nn__fail(m, NN_ERR_LIMIT, "more than NN_MAX_NODES = %d layers", NN_MAX_NODES);
    return NULL;
  }
  const int in[2] = {a, b};
  nn__node *node = &m->node[m->nodes];
  memset(node, 0, sizeof *node);
  node->kind = kind, node->inputs = inputs, node->share = -1, node->param = -1;
  node->rate = node->decay = 1;
  int number = 1;
  for (int i = 0; i < m->nodes; i++) number += m->node[i].kind == kind;
  nn_message name = {{0}};
  for (int taken = 1; taken; number++) { /* nn_name may have given the name to another */
    nn__say(&name, NN_OK, "%s%d", nn__kind_text[kind], number);
    taken = 0;
    for (int i = 0; i < m->nodes; i++) taken |= !strcmp(m->node[i].name, name.text);
  }
  memcpy(node->name, name.text, sizeof node->name);
  for (int i = 0; i < inputs; i++) {
    if (in[i] < 0 || in[i] >= m->nodes) {
      nn__fail(m, NN_ERR_ARGUMENT, "%s: its input %d is not a layer of this model", node->name,
               in[i]);
      return NULL;
    }
    if (nn__is_loss(m->node[in[i]].kind)) {
      nn__fail(m, NN_ERR_ARGUMENT, "%s: a loss (%s) cannot be an input", node->name,
               m->node[in[i]].name);
      return NULL;
    }
    if (m->node[in[i]].kind == NN__TOKENS && kind != NN__EMBEDDING) {
      nn__fail(m, NN_ERR_SHAPE, "%s: the tokens of %s go through nn_embedding first", node->name,
               m->node[in[i]].name);
      return NULL;
    }
    node->in[i] = in[i];
  }
  if (m->loss >= 0) {
    nn__fail(m, NN_ERR_STATE, "%s: nothing can follow the loss (%s)", node->name,
             m->node[m->loss].name);
    return NULL;
  }
  return node;
}

static void nn__add_param(nn_model *m, nn__node *node, const char *what, int layer, int rank,
                          size_t a, size_t b, size_t c, size_t d)
{
  if (m->params == NN_MAX_PARAMS) {
    nn__fail(m, NN_ERR_LIMIT, "%s: more than NN_MAX_PARAMS = %d parameter arrays", node->name,
             NN_MAX_PARAMS);
    return;
  }
  nn__param *p = &m->param[m->params];
  memset(p, 0, sizeof *p);
  const size_t dim[4] = {a, b, c, d};
  p->count = 1;
  for (int i = 0; i < rank; i++) p->dim[i] = (int)dim[i], p->count *= dim[i];
  p->what = what, p->layer = layer, p->node = m->nodes, p->rank = rank;
  if (node->param < 0) node->param = m->params;
  node->params++;
  m->params++;
}

/* The parameters of a new node, as nn.h lists them. */
static void nn__add_params(nn_model *m, nn__node *node)
{
  const nn__node *x = node->inputs ? &m->node[node->in[0]] : NULL;
  const size_t cols = node->cols;
  switch (node->kind) {
  case NN__CONV2D:
    nn__add_param(m, node, "weight", -1, 4, cols,
                  (size_t)x->dim[0] / (size_t)node->window.groups, (size_t)node->window.kernel_h,
                  (size_t)node->window.kernel_w);
    if (!node->window.no_bias) nn__add_param(m, node, "bias", -1, 1, cols, 1, 1, 1);
    break;
  case NN__LINEAR:
    nn__add_param(m, node, "weight", -1, 2, cols, x->cols, 1, 1);
    if (!node->no_bias) nn__add_param(m, node, "bias", -1, 1, cols, 1, 1, 1);
    break;
  case NN__EMBEDDING:
    nn__add_param(m, node, "weight", -1, 2, (size_t)node->size, cols, 1, 1);
    break;
  case NN__BATCH_NORM:
    nn__add_param(m, node, "weight", -1, 1, cols, 1, 1, 1);
    nn__add_param(m, node, "bias", -1, 1, cols, 1, 1, 1);
    nn__add_param(m, node, "running_mean", -1, 1, cols, 1, 1, 1);
    nn__add_param(m, node, "running_var", -1, 1, cols, 1, 1, 1);
    for (int i = 1; i <= 2 && m->broken == NN_OK; i++) m->param[m->params - i].buffer = 1;
    break;
  case NN__NORMALISE:
    nn__add_param(m, node, "mean", -1, 1, cols, 1, 1, 1);
    nn__add_param(m, node, "scale", -1, 1, cols, 1, 1, 1);
    for (int i = 1; i <= 2 && m->broken == NN_OK; i++) m->param[m->params - i].buffer = 1;
    break;
  case NN__LAYER_NORM:
    for (int k = 0; k < 2; k++)
      nn__add_param(m, node, k ? "bias" : "weight", -1, node->rank == 3 ? 3 : 1, cols,
                    (size_t)node->dim[1], (size_t)node->dim[2], 1);
    break;
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU:
    for (int layer = 0; layer < node->cell.layers; layer++) {
      const size_t wide = nn__gates(node->kind) * cols, in = layer ? cols : x->cols;
      nn__add_param(m, node, "weight_ih", layer, 2, wide, in, 1, 1);
      nn__add_param(m, node, "weight_hh", layer, 2, wide, cols, 1, 1);
      nn__add_param(m, node, "bias_ih", layer, 1, wide, 1, 1, 1);
      nn__add_param(m, node, "bias_hh", layer, 1, wide, 1, 1, 1);
    }
    break;
  default: break;
  }
}

/* Takes the node that nn__begin gave and its caller filled in. */
static int nn__added(nn_model *m)
{
  if (m->broken == NN_OK) nn__add_params(m, &m->node[m->nodes]);
  return m->broken == NN_OK ? m->nodes++ : -1;
}

/* 1 if value is in low..high, else an error. */
static int nn__in_range(nn_model *m, const nn__node *node, const char *what, int value, int low,
                        int high)
{
  if (value >= low && value <= high) return 1;
  nn__fail(m, value > high && high == NN__MAX_SIZE ? NN_ERR_LIMIT : NN_ERR_ARGUMENT,
           "%s: %s is %d, must be %d..%d", node->name, what, value, low, high);
  return 0;
}

static int nn__rank_is(nn_model *m, const nn__node *node, int rank)
{
  static const char *const sort[] = {"", "a vector [F]", "a sequence [T,F]", "an image [C,H,W]"};
  const nn__node *x = &m->node[node->in[0]];
  nn__shape_text t;
  if (x->rank == rank) return 1;
  nn__fail(m, NN_ERR_SHAPE, "%s: needs %s but %s gives %s%s", node->name, sort[rank], x->name,
           nn__shape(x, &t), rank == 1 ? " (nn_flatten or nn_last_step first?)" : "");
  return 0;
}

static int nn__input(nn_model *m, nn__kind kind, int rank, int a, int b, int c)
{
  nn__node *node = nn__begin(m, kind, 0, -1, -1);
  if (!node) return -1;
  if (m->inputs == NN_MAX_INPUTS)
    return nn__fail(m, NN_ERR_LIMIT, "%s: more than NN_MAX_INPUTS = %d inputs", node->name,
                    NN_MAX_INPUTS);
  if (!nn__in_range(m, node, "the first size", a, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "the second size", b, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "the third size", c, 1, NN__MAX_SIZE))
    return -1;
  nn__set_shape(m, node, rank, a, b, c);
  const int number = nn__added(m);
  if (number >= 0) m->input[m->inputs++] = number;
  return number;
}

int nn_input_image(nn_model *m, int channels, int height, int width)
{
  return nn__input(m, NN__INPUT, 3, channels, height, width);
}
int nn_input_sequence(nn_model *m, int steps, int features)
{
  return nn__input(m, NN__INPUT, 2, steps, features, 1);
}
int nn_input_vector(nn_model *m, int features)
{
  return nn__input(m, NN__INPUT, 1, features, 1, 1);
}
int nn_input_tokens(nn_model *m, int steps) { return nn__input(m, NN__TOKENS, 1, steps, 1, 1); }

/* Outputs along one axis; 0 when the window does not fit. */
static int nn__out_size(int size, int pad, int kernel, int dilation, int stride)
{
  const int64_t room = (int64_t)size + 2 * (int64_t)pad - (int64_t)dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : (int)(room / stride + 1);
}

int nn_conv2d_with(nn_model *m, int x, const nn_conv2d_options *options)
{
  nn__node *node = nn__begin(m, NN__CONV2D, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 3)) return -1;
  if (!options) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name);
  const nn_conv2d_options o = *options;
  const nn__node *in = &m->node[x];
  const int c = in->dim[0], h = in->dim[1], w = in->dim[2];
  if (!nn__in_range(m, node, "out", o.out, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "kernel_h", o.kernel_h, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "kernel_w", o.kernel_w, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "stride_h", o.stride_h, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "stride_w", o.stride_w, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "pad_h", o.pad_h, 0, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "pad_w", o.pad_w, 0, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "dilation_h", o.dilation_h, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "dilation_w", o.dilation_w, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "groups", o.groups, 1, NN__MAX_SIZE))
    return -1;
  if (c % o.groups || o.out % o.groups)
    return nn__fail(m, NN_ERR_SHAPE, "%s: groups %d must divide the channels %d in and %d out",
                    node->name, o.groups, c, o.out);
  const int oh = nn__out_size(h, o.pad_h, o.kernel_h, o.dilation_h, o.stride_h);
  const int ow = nn__out_size(w, o.pad_w, o.kernel_w, o.dilation_w, o.stride_w);
  nn__shape_text t;
  if (!oh || !ow)
    return nn__fail(
        m, NN_ERR_SHAPE,
        "%s: a %dx%d kernel (dilation %dx%d) does not fit %s from %s with padding %dx%d",
        node->name, o.kernel_h, o.kernel_w, o.dilation_h, o.dilation_w, nn__shape(in, &t), in->name,
        o.pad_h, o.pad_w);
  const double taps = (double)o.kernel_h * o.kernel_w;
  const double tall = h + 2.0 * o.pad_h, wide = w + 2.0 * o.pad_w;
  if (nn__too_large(taps * c / o.groups * o.out * 16) || nn__too_large(tall * wide * c) ||
      nn__too_large((h + tall) * (w + wide) * o.out))
    return nn__fail(m, NN_ERR_LIMIT, "%s: the convolution is too large", node->name);
  node->window = o;
  nn__set_shape(m, node, 3, o.out, oh, ow);
  return nn__added(m);
}

int nn_conv2d(nn_model *m, int x, int out, int kernel, int stride, int pad)
{
  const nn_conv2d_options o = {out, kernel, kernel, stride, stride, pad, pad, 1, 1, 1, 0};
  return nn_conv2d_with(m, x, &o);
}

static int nn__linear(nn_model *m, int x, int out, int no_bias)
{
  nn__node *node = nn__begin(m, NN__LINEAR, 1, x, -1);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  nn__shape_text t;
  if (in->rank == 3)
    return nn__fail(m, NN_ERR_SHAPE, "%s: needs a vector or a sequence but %s gives %s (nn_flatten "
                    "first?)", node->name, in->name, nn__shape(in, &t));
  if (!nn__in_range(m, node, "out", out, 1, NN__MAX_SIZE)) return -1;
  if (nn__too_large((double)in->cols * out))
    return nn__fail(m, NN_ERR_LIMIT, "%s: %zu x %d weights are too many", node->name, in->cols,
                    out);
  node->size = out;
  node->no_bias = no_bias;
  if (in->rank == 2)
    nn__set_shape(m, node, 2, in->dim[0], out, 1);
  else
    nn__set_shape(m, node, 1, out, 1, 1);
  return nn__added(m);
}
int nn_linear(nn_model *m, int x, int out) { return nn__linear(m, x, out, 0); }
int nn_linear_no_bias(nn_model *m, int x, int out) { return nn__linear(m, x, out, 1); }

/* Windows along one axis, 0 when none fits; with `ceil` one more for what is left over, if it
 * begins before the padding behind. */
static int nn__pool_size(int size, int pad, int kernel, int stride, int ceil)
{
  const int out = nn__out_size(size, pad, kernel, 1, stride);
  const int64_t left = ((int64_t)size + 2 * (int64_t)pad - kernel) % stride;
  return out + (ceil && out && left && (int64_t)out * stride < (int64_t)size + pad);
}

static int nn__pool2d(nn_model *m, nn__kind kind, int x, const nn_pool2d_options *options)
{
  nn__node *node = nn__begin(m, kind, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 3)) return -1;
  if (!options) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name);
  const nn_pool2d_options o = *options;
  const nn__node *in = &m->node[x];
  if (!nn__in_range(m, node, "kernel", o.kernel_h, 1, NN__MAX_WINDOW) ||
      !nn__in_range(m, node, "kernel", o.kernel_w, 1, NN__MAX_WINDOW) ||
      !nn__in_range(m, node, "stride", o.stride_h, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "stride", o.stride_w, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "pad", o.pad_h, 0, o.kernel_h / 2) ||
      !nn__in_range(m, node, "pad", o.pad_w, 0, o.kernel_w / 2))
    return -1;
  const int oh = nn__pool_size(in->dim[1], o.pad_h, o.kernel_h, o.stride_h, o.ceil);
  const int ow = nn__pool_size(in->dim[2], o.pad_w, o.kernel_w, o.stride_w, o.ceil);
  nn__shape_text t;
  if (!oh || !ow)
    return nn__fail(m, NN_ERR_SHAPE, "%s: a %dx%d window does not fit %s from %s", node->name,
                    o.kernel_h, o.kernel_w, nn__shape(in, &t), in->name);
  const nn_conv2d_options window = {in->dim[0], o.kernel_h, o.kernel_w, o.stride_h, o.stride_w,
                                    o.pad_h,    o.pad_w,    1,          1,          1,
                                    0};
  node->window = window;
  node->ceil = o.ceil != 0, node->exclude_pad = kind == NN__AVG_POOL && o.exclude_pad;
  nn__set_shape(m, node, 3, in->dim[0], oh, ow);
  return nn__added(m);
}
int nn_max_pool2d_with(nn_model *m, int x, const nn_pool2d_options *options)
{
  return nn__pool2d(m, NN__MAX_POOL, x, options);
}
int nn_avg_pool2d_with(nn_model *m, int x, const nn_pool2d_options *options)
{
  return nn__pool2d(m, NN__AVG_POOL, x, options);
}
int nn_max_pool2d(nn_model *m, int x, int kernel, int stride, int pad)
{
  const nn_pool2d_options o = {kernel, kernel, stride, stride, pad, pad, 0, 0};
  return nn_max_pool2d_with(m, x, &o);
}
int nn_avg_pool2d(nn_model *m, int x, int kernel, int stride, int pad)
{
  const nn_pool2d_options o = {kernel, kernel, stride, stride, pad, pad, 0, 0};
  return nn_avg_pool2d_with(m, x, &o);
}

int nn_adaptive_avg_pool2d(nn_model *m, int x, int height, int width)
{
  nn__node *node = nn__begin(m, NN__AVG_POOL, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 3)) return -1;
  const nn__node *in = &m->node[x];
  if (!nn__in_range(m, node, "height", height, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "width", width, 1, NN__MAX_SIZE))
    return -1;
  const nn_conv2d_options window = {in->dim[0], height, width, 0, 0, 0, 0, 1, 1, 1, 0};
  node->window = window; /* stride 0, see nn__window; the kernel is the output's size */
  nn__set_shape(m, node, 3, in->dim[0], height, width);
  return nn__added(m);
}

static int nn__global_pool(nn_model *m, nn__kind kind, int x)
{
  nn__node *node = nn__begin(m, kind, 1, x, -1);
  if (!node || (m->node[x].rank == 1 && !nn__rank_is(m, node, 3))) return -1;
  nn__set_shape(m, node, 1, (int)m->node[x].cols, 1, 1);
  return nn__added(m);
}
int nn_global_max_pool(nn_model *m, int x) { return nn__global_pool(m, NN__GLOBAL_MAX, x); }
int nn_global_avg_pool(nn_model *m, int x) { return nn__global_pool(m, NN__GLOBAL_AVG, x); }

/* A layer that keeps its input's shape. */
static int nn__same_with(nn_model *m, nn__kind kind, int x, double value, double second)
{
  nn__node *node = nn__begin(m, kind, 1, x, -1);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  const nn_real low = (nn_real)value, high = (nn_real)second; /* a float may be infinite */
  if (kind == NN__DROPOUT && !(value >= 0 && value < 1))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: rate is %g, must be 0 <= rate < 1", node->name, value);
  if (!nn__finite((double)low) || !nn__finite((double)high))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: its number %g is not finite", node->name,
                    nn__finite((double)low) ? second : value);
  if (kind == NN__CLAMP && !(low < high))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: the lower limit %g is not below the upper one %g",
                    node->name, value, second);
  node->value = value, node->second = second;
  nn__set_shape(m, node, in->rank, in->dim[0], in->dim[1], in->dim[2]);
  return nn__added(m);
}
static int nn__same(nn_model *m, nn__kind kind, int x) { return nn__same_with(m, kind, x, 0, 0); }
int nn_relu(nn_model *m, int x) { return nn__same(m, NN__RELU, x); }
int nn_gelu(nn_model *m, int x) { return nn__same(m, NN__GELU, x); }
int nn_silu(nn_model *m, int x) { return nn__same(m, NN__SILU, x); }
int nn_softplus(nn_model *m, int x) { return nn__same(m, NN__SOFTPLUS, x); }
int nn_hard_sigmoid(nn_model *m, int x) { return nn__same(m, NN__HARD_SIGMOID, x); }
int nn_hard_swish(nn_model *m, int x) { return nn__same(m, NN__HARD_SWISH, x); }
int nn_tanh(nn_model *m, int x) { return nn__same(m, NN__TANH, x); }
int nn_sigmoid(nn_model *m, int x) { return nn__same(m, NN__SIGMOID, x); }
int nn_softmax(nn_model *m, int x) { return nn__same(m, NN__SOFTMAX, x); }
int nn_batch_norm(nn_model *m, int x) { return nn__same(m, NN__BATCH_NORM, x); }
int nn_layer_norm(nn_model *m, int x) { return nn__same(m, NN__LAYER_NORM, x); }

/* NULL: for the file's own numbers. */
static int nn__normalise_layer(nn_model *m, int x, const nn_real *mean, const nn_real *scale)
{
  const int number = nn__same(m, NN__NORMALISE, x);
  if (number < 0) return number;
  m->node[number].constants[0] = mean, m->node[number].constants[1] = scale;
  return number;
}

int nn_normalise(nn_model *m, int x, const nn_real *mean, const nn_real *scale)
{
  const nn__node *node = nn__begin(m, NN__NORMALISE, 1, x, -1);
  if (!node) return -1;
  if (!mean || !scale)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: %s is NULL", node->name, mean ? "scale" : "mean");
  for (size_t i = 0; i < m->node[x].cols; i++)
    if (!nn__finite((double)mean[i]) || !nn__finite((double)scale[i]))
      return nn__fail(m, NN_ERR_ARGUMENT, "%s: mean %g or scale %g of channel %zu is not finite",
                      node->name, (double)mean[i], (double)scale[i], i);
  return nn__normalise_layer(m, x, mean, scale);
}

int nn_leaky_relu(nn_model *m, int x, double slope)
{
  return nn__same_with(m, NN__LEAKY_RELU, x, slope, 0);
}
int nn_elu(nn_model *m, int x, double alpha)
{
  return nn__same_with(m, NN__ELU, x, alpha, 0);
}
int nn_clamp(nn_model *m, int x, double low, double high)
{
  return nn__same_with(m, NN__CLAMP, x, low, high);
}
int nn_dropout(nn_model *m, int x, double rate)
{
  return nn__same_with(m, NN__DROPOUT, x, rate, 0);
}

int nn_flatten(nn_model *m, int x)
{
  nn__node *node = nn__begin(m, NN__FLATTEN, 1, x, -1);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  const double each = (double)in->rows * (double)in->cols;
  if (each > INT_MAX)
    return nn__fail(m, NN_ERR_LIMIT, "%s: %g numbers are too many", node->name, each);
  nn__set_shape(m, node, 1, (int)(in->rows * in->cols), 1, 1);
  return nn__added(m);
}

/* One of two: of the same shape, or, for `rows`, b one number for each channel or feature of a. */
static int nn__joined(nn_model *m, nn__kind kind, int a, int b, int rows)
{
  nn__node *node = nn__begin(m, kind, 2, a, b);
  if (!node) return -1;
  const nn__node *x = &m->node[a], *y = &m->node[b];
  nn__shape_text s, t;
  if (!(rows && y->rank == 1 && y->cols == x->cols) &&
      (x->rank != y->rank || memcmp(x->dim, y->dim, sizeof x->dim)))
    return nn__fail(m, NN_ERR_SHAPE, "%s: %s gives %s but %s gives %s", node->name, x->name,
                    nn__shape(x, &s), y->name, nn__shape(y, &t));
  nn__set_shape(m, node, x->rank, x->dim[0], x->dim[1], x->dim[2]);
  return nn__added(m);
}
int nn_add(nn_model *m, int a, int b) { return nn__joined(m, NN__ADD, a, b, 0); }
int nn_multiply(nn_model *m, int a, int b) { return nn__joined(m, NN__MULTIPLY, a, b, 1); }

int nn_concat(nn_model *m, int a, int b)
{
  nn__node *node = nn__begin(m, NN__CONCAT, 2, a, b);
  if (!node) return -1;
  const nn__node *x = &m->node[a], *y = &m->node[b];
  nn__shape_text s, t;
  if (x->rank != y->rank || (x->rank == 2 && x->dim[0] != y->dim[0]) ||
      (x->rank == 3 && (x->dim[1] != y->dim[1] || x->dim[2] != y->dim[2])) ||
      (double)x->cols + (double)y->cols > INT_MAX)
    return nn__fail(m, NN_ERR_SHAPE,
                    "%s: %s gives %s and %s gives %s, which do not lie side by side", node->name,
                    x->name, nn__shape(x, &s), y->name, nn__shape(y, &t));
  const int cols = (int)(x->cols + y->cols);
  nn__set_shape(m, node, x->rank, x->rank == 2 ? x->dim[0] : cols, x->rank == 2 ? cols : x->dim[1],
                x->dim[2]);
  return nn__added(m);
}

int nn_embedding(nn_model *m, int x, int vocabulary, int width)
{
  nn__node *node = nn__begin(m, NN__EMBEDDING, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 1)) return -1;
  if (m->node[x].kind != NN__TOKENS)
    return nn__fail(m, NN_ERR_SHAPE, "%s: needs nn_input_tokens but reads %s", node->name,
                    m->node[x].name);
  if (!nn__in_range(m, node, "vocabulary", vocabulary, 1, 1 << 24) || /* whole in float32 */
      !nn__in_range(m, node, "width", width, 1, NN__MAX_SIZE))
    return -1;
  if (nn__too_large((double)vocabulary * width))
    return nn__fail(m, NN_ERR_LIMIT, "%s: %d x %d weights are too many", node->name, vocabulary,
                    width);
  node->size = vocabulary;
  nn__set_shape(m, node, 2, m->node[x].dim[0], width, 1);
  return nn__added(m);
}

static int nn__cell_layer(nn_model *m, nn__kind kind, int x, const nn_recurrent_options *options)
{
  nn__node *node = nn__begin(m, kind, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 2)) return -1;
  if (!options) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name);
  node->cell = *options;
  if (node->cell.layers == 0) node->cell.layers = 1;
  node->cell.relu = kind == NN__RNN && options->relu;
  const nn__node *in = &m->node[x];
  if (!nn__in_range(m, node, "hidden", options->hidden, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "layers", node->cell.layers, 1, NN__MAX_CELL_LAYERS))
    return -1;
  if (!(options->dropout >= 0 && options->dropout < 1))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: dropout is %g, must be 0 <= rate < 1", node->name,
                    options->dropout);
  const double h = options->hidden, all = (double)m->config.batch * (double)in->rows;
  if (nn__too_large(4 * h * (double)in->cols) || nn__too_large(16 * h * h) ||
      nn__too_large(8 * all * h * node->cell.layers))
    return nn__fail(m, NN_ERR_LIMIT, "%s: the cell is too large", node->name);
  nn__set_shape(m, node, 2, in->dim[0], options->hidden, 1);
  return nn__added(m);
}
int nn_rnn_with(nn_model *m, int x, const nn_recurrent_options *options)
{
  return nn__cell_layer(m, NN__RNN, x, options);
}
int nn_lstm_with(nn_model *m, int x, const nn_recurrent_options *options)
{
  return nn__cell_layer(m, NN__LSTM, x, options);
}
int nn_gru_with(nn_model *m, int x, const nn_recurrent_options *options)
{
  return nn__cell_layer(m, NN__GRU, x, options);
}
int nn_rnn(nn_model *m, int x, int hidden)
{
  const nn_recurrent_options o = {hidden, 1, 0, 0, 0};
  return nn_rnn_with(m, x, &o);
}
int nn_lstm(nn_model *m, int x, int hidden)
{
  const nn_recurrent_options o = {hidden, 1, 0, 0, 0};
  return nn_lstm_with(m, x, &o);
}
int nn_gru(nn_model *m, int x, int hidden)
{
  const nn_recurrent_options o = {hidden, 1, 0, 0, 0};
  return nn_gru_with(m, x, &o);
}

int nn_last_step(nn_model *m, int x)
{
  nn__node *node = nn__begin(m, NN__LAST_STEP, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 2)) return -1;
  nn__set_shape(m, node, 1, m->node[x].dim[1], 1, 1);
  return nn__added(m);
}

int nn_reverse(nn_model *m, int x)
{
  const nn__node *node = nn__begin(m, NN__REVERSE, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 2)) return -1;
  return nn__same(m, NN__REVERSE, x);
}

/* An image within another: `pad` puts it at (top, left) of one of height x width, `crop` takes that
 * size from there. */
static int nn__frame(nn_model *m, nn__kind kind, int x, int top, int left, int height, int width)
{
  nn__node *node = nn__begin(m, kind, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 3)) return -1;
  const nn__node *in = &m->node[x];
  const int pads = kind == NN__PADDED;
  const int large[2] = {pads ? height : in->dim[1], pads ? width : in->dim[2]};
  const int small[2] = {pads ? in->dim[1] : height, pads ? in->dim[2] : width};
  nn__shape_text t;
  if (!nn__in_range(m, node, "height", height, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "width", width, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "top", top, 0, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "left", left, 0, NN__MAX_SIZE))
    return -1;
  if (top > large[0] - small[0] || left > large[1] - small[1])
    return nn__fail(m, NN_ERR_SHAPE, "%s: %dx%d at row %d, column %d does not lie within %dx%d (%s "
                    "gives %s)", node->name, small[0], small[1], top, left, large[0], large[1],
                    in->name, nn__shape(in, &t));
  node->window.pad_h = top, node->window.pad_w = left;
  nn__set_shape(m, node, 3, in->dim[0], height, width);
  return nn__added(m);
}
int nn_crop2d(nn_model *m, int x, int top, int left, int height, int width)
{
  return nn__frame(m, NN__CROP, x, top, left, height, width);
}
int nn_pad2d(nn_model *m, int x, int top, int bottom, int left, int right)
{
  nn__node *node = nn__begin(m, NN__PADDED, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 3) ||
      !nn__in_range(m, node, "bottom", bottom, 0, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "right", right, 0, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "top", top, 0, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "left", left, 0, NN__MAX_SIZE))
    return -1;
  return nn__frame(m, NN__PADDED, x, top, left, m->node[x].dim[1] + top + bottom,
                   m->node[x].dim[2] + left + right);
}

int nn_upsample2d(nn_model *m, int x, int factor_h, int factor_w)
{
  nn__node *node = nn__begin(m, NN__UPSAMPLE, 1, x, -1);
  if (!node || !nn__rank_is(m, node, 3)) return -1;
  const nn__node *in = &m->node[x];
  if (!nn__in_range(m, node, "factor_h", factor_h, 1, NN__MAX_SIZE / in->dim[1]) ||
      !nn__in_range(m, node, "factor_w", factor_w, 1, NN__MAX_SIZE / in->dim[2]))
    return -1;
  node->window.stride_h = factor_h, node->window.stride_w = factor_w;
  nn__set_shape(m, node, 3, in->dim[0], factor_h * in->dim[1], factor_w * in->dim[2]);
  return nn__added(m);
}

void nn_name(nn_model *m, int node, const char *name)
{
  if (!m) return;
  if (m->built) {
    nn__fail(m, NN_ERR_STATE, "nn_name after nn_build");
    return;
  }
  if (m->broken != NN_OK) return;
  const size_t length = name ? strlen(name) : 0;
  if (node < 0 || node >= m->nodes) {
    nn__fail(m, NN_ERR_ARGUMENT, "nn_name: %d is not a layer of this model", node);
    return;
  }
  if (length < 1 || length >= sizeof m->node[0].name) {
    nn__fail(m, NN_ERR_ARGUMENT, "nn_name: %s: a name has 1..%zu characters", m->node[node].name,
             sizeof m->node[0].name - 1);
    return;
  }
  for (size_t i = 0; i < length; i++) {
    const char c = name[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
          c == '-' || c == '/')) {
      nn__fail(m, NN_ERR_ARGUMENT, "nn_name: '%s': only letters, digits, '_', '-', '/'", name);
      return;
    }
  }
  for (int i = 0; i < m->nodes; i++)
    if (i != node && !strcmp(m->node[i].name, name)) {
      nn__fail(m, NN_ERR_ARGUMENT, "nn_name: layer %d already has the name %s", i, name);
      return;
    }
  memset(m->node[node].name, 0, sizeof m->node[node].name);
  memcpy(m->node[node].name, name, length);
}

void nn_set_init(nn_model *m, int node, nn_init init, double value)
{
  if (!m) return;
  if (m->built) {
    nn__fail(m, NN_ERR_STATE, "nn_set_init after nn_build");
    return;
  }
  if (m->broken != NN_OK) return;
  if (node < 0 || node >= m->nodes) {
    nn__fail(m, NN_ERR_ARGUMENT, "nn_set_init: %d is not a layer of this model", node);
    return;
  }
  if ((unsigned)init > NN_INIT_CONSTANT || !nn__finite(value)) {
    nn__fail(m, NN_ERR_ARGUMENT,
             "nn_set_init: %s: no initialisation %d, or its value %g not finite",
             m->node[node].name, (int)init, value);
    return;
  }
  const double used = (double)(nn_real)value; /* 0 or infinite where a float cannot hold it */
  if (!nn__finite(used) || (init != NN_INIT_DEFAULT && init != NN_INIT_CONSTANT && !(used > 0))) {
    nn__fail(m, NN_ERR_ARGUMENT, "nn_set_init: %s: value is %g, must be a number above 0",
             m->node[node].name, value);
    return;
  }
  m->node[node].init = init;
  m->node[node].init_value = value;
}

static int nn__loss(nn_model *m, nn__kind kind, int x, double value, const nn_real *weights)
{
  nn__node *node = nn__begin(m, kind, 1, x, -1);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  nn__shape_text t;
  if (kind == NN__CROSS_ENTROPY && (in->rank == 3 || in->cols > NN_MAX_CLASSES))
    return nn__fail(m, NN_ERR_SHAPE,
                    "%s: needs logits [K] or [T,K], K up to %d, but %s gives %s", node->name,
                    NN_MAX_CLASSES, in->name, nn__shape(in, &t));
  if (!(value >= 0 && value < 1))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: smoothing is %g, must be 0 <= s < 1", node->name,
                    value);
  for (size_t i = 0; weights && i < in->cols; i++)
    if (!(weights[i] >= 0) || !nn__finite((double)weights[i]))
      return nn__fail(m, NN_ERR_ARGUMENT, "%s: class weight %zu is %g, must be 0 or more",
                      node->name, i, (double)weights[i]);
  node->value = value;
  node->weights = weights;
  node->has_weights = weights != NULL;
  nn__set_shape(m, node, in->rank, in->dim[0], in->dim[1], in->dim[2]);
  const int number = nn__added(m);
  if (number >= 0) m->loss = number;
  return number;
}
#ifndef NN_NO_TRAINING
int nn_cross_entropy(nn_model *m, int x) { return nn__loss(m, NN__CROSS_ENTROPY, x, 0, NULL); }
int nn_cross_entropy_with(nn_model *m, int x, double smoothing, const nn_real *weights)
{
  return nn__loss(m, NN__CROSS_ENTROPY, x, smoothing, weights);
}
int nn_mean_squared_error(nn_model *m, int x) { return nn__loss(m, NN__SQUARED_ERROR, x, 0, NULL); }
int nn_binary_cross_entropy(nn_model *m, int x)
{
  return nn__loss(m, NN__BINARY_CROSS_ENTROPY, x, 0, NULL);
}
#endif

/* ======================================== @@OPTIM ========================================== */
#ifndef NN_NO_TRAINING

double nn_schedule_rate(const nn_schedule *s, double rate, int64_t step)
{
  static const double pi = 3.14159265358979323846;
  if (!s) return rate;
  if (step < 0) step = 0;
  if (step < s->warmup) return rate * (double)(step + 1) / (double)s->warmup;
  const double u = (double)step - (double)s->warmup, length = (double)s->total - (double)s->warmup;
  switch (s->kind) {
  case NN_STEP: return rate * pow(s->gamma, floor(u / (double)s->period));
  case NN_EXPONENTIAL: return rate * pow(s->gamma, u / (double)s->period);
  case NN_COSINE: {
    const double part = length > 0 && u < length ? u / length : 1;
    return s->floor + (rate - s->floor) * (1 + cos(pi * part)) / 2;
  }
  case NN_ONE_CYCLE: { /* between whole steps 0, peak and total - 1 */
    const double last = (double)s->total - 1, peak = .3 * (double)s->total - 1;
    const double t = (double)step < last ? (double)step : last;
    const double low = rate / 25, end = low / 1e4;
    const double from = t <= peak ? low : rate, to = t <= peak ? rate : end;
    const double part = t <= peak ? (peak > 0 ? t / peak : 1)
                                  : (last > peak ? (t - peak) / (last - peak) : 1);
    return to + (from - to) * (1 + cos(pi * part)) / 2;
  }
  default: return rate;
  }
}

static nn_optimizer nn__optimizer(nn_optimizer_kind kind, double rate)
{
  nn_optimizer o;
  memset(&o, 0, sizeof o);
  o.kind = kind, o.rate = rate;
  o.alpha = .99, o.beta1 = .9, o.beta2 = .999;
  o.eps = kind == NN_ADAGRAD ? 1e-10 : 1e-8;
  return o;
}
nn_optimizer nn_sgd(double rate, double momentum)
{
  nn_optimizer o = nn__optimizer(NN_SGD, rate);
  o.momentum = momentum;
  return o;
}
nn_optimizer nn_adagrad(double rate) { return nn__optimizer(NN_ADAGRAD, rate); }
nn_optimizer nn_rmsprop(double rate, double momentum)
{
  nn_optimizer o = nn__optimizer(NN_RMSPROP, rate);
  o.momentum = momentum;
  return o;
}
nn_optimizer nn_adam(double rate) { return nn__optimizer(NN_ADAM, rate); }
nn_optimizer nn_adamw(double rate)
{
  nn_optimizer o = nn__optimizer(NN_ADAMW, rate);
  o.weight_decay = .01;
  return o;
}

/* State blocks an optimizer needs. */
static int nn__slots(const nn_optimizer *o)
{
  switch (o->kind) {
  case NN_SGD: return o->momentum > 0;
  case NN_ADAGRAD: return 1;
  case NN_RMSPROP: return 1 + (o->momentum > 0);
  default: return 2;
  }
}

/* NULL, or what is wrong. */
static const char *nn__bad_optimizer(const nn_optimizer *o)
{
  const nn_schedule *s = &o->schedule;
  if ((unsigned)o->kind > NN_ADAMW) return "no such kind";
  if (!(o->rate > 0) || !nn__finite(o->rate)) return "rate must be above 0";
  if (!(o->momentum >= 0) || !nn__finite(o->momentum)) return "momentum must be 0 or more";
  if (!(o->alpha >= 0 && o->alpha < 1)) return "alpha must be 0 <= alpha < 1";
  if (!(o->beta1 >= 0 && o->beta1 < 1)) return "beta1 must be 0 <= beta1 < 1";
  if (!(o->beta2 >= 0 && o->beta2 < 1)) return "beta2 must be 0 <= beta2 < 1";
  if (!(o->eps >= 0) || !nn__finite(o->eps)) return "eps must be 0 or more";
  if (!(o->weight_decay >= 0) || !nn__finite(o->weight_decay))
    return "weight_decay must be 0 or more";
  if (o->nesterov && (o->kind != NN_SGD || !(o->momentum > 0)))
    return "nesterov goes with SGD and a momentum";
  if (!(o->clip_norm >= 0) || !(o->clip_value >= 0)) return "clipping limits must be 0 or more";
  if ((unsigned)s->kind > NN_ONE_CYCLE) return "no such schedule";
  const int64_t most = (int64_t)1 << 53; /* exact as a double, and so in files */
  if (s->warmup < 0 || s->warmup > most || s->total < 0 || s->total > most || s->period < 0 ||
      s->period > most)
    return "warmup, total and period must be 0..2^53";
  if ((s->kind == NN_STEP || s->kind == NN_EXPONENTIAL) &&
      (s->period < 1 || !(s->gamma > 0) || !nn__finite(s->gamma)))
    return "the schedule needs period 1 or more and gamma above 0";
  if ((s->kind == NN_COSINE || s->kind == NN_ONE_CYCLE) && s->total <= s->warmup)
    return "the schedule needs total above warmup";
  if (s->kind == NN_COSINE && !(s->floor >= 0 && s->floor <= o->rate))
    return "floor must be 0 <= floor <= rate";
  if (s->kind == NN_ONE_CYCLE && s->warmup) return "one-cycle has a warm-up of its own";
  return NULL;
}

nn_status nn_set_optimizer(nn_model *m, const nn_optimizer *o)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->broken != NN_OK) return m->broken;
  const char *wrong = o ? nn__bad_optimizer(o) : "it is NULL";
  if (wrong) {
    nn__fail(m, NN_ERR_ARGUMENT, "optimizer: %s", wrong);
    return NN_ERR_ARGUMENT;
  }
  if (m->built && !m->config.inference && nn__slots(o) > m->slots)
    return nn__error(m, NN_ERR_STATE, "optimizer: needs %d state blocks, %d were built",
                     nn__slots(o), m->slots);
  if (m->built && o->kind != m->optimizer.kind) { /* another kind's state means nothing to it */
    for (int i = 0; i < m->slots; i++) memset(m->slot[i], 0, m->values * sizeof(nn_real));
    m->state_steps = 0;
  }
  m->optimizer = *o;
  return NN_OK;
}

nn_status nn_set_learning(nn_model *m, int node, double rate, double decay)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->broken != NN_OK) return m->broken;
  if (node < -1 || node >= m->nodes || !(rate >= 0) || !nn__finite(rate) || !(decay >= 0) ||
      !nn__finite(decay)) {
    nn__fail(m, NN_ERR_ARGUMENT, "nn_set_learning: layer %d, rate %g, decay %g: must be a layer of "
                                 "this model or -1, and factors of 0 or more", node, rate, decay);
    return NN_ERR_ARGUMENT;
  }
  const int from = node < 0 ? 0 : node, to = node < 0 ? m->nodes : node + 1;
  for (int i = from; m->built && i < to; i++)
    if (m->node[i].params && (m->node[i].rate > 0) != (rate > 0))
      return nn__error(m, NN_ERR_STATE, "nn_set_learning: %s is frozen, or not, since nn_build",
                       m->node[i].name);
  for (int i = from; i < to; i++) m->node[i].rate = rate, m->node[i].decay = decay;
  return NN_OK;
}

nn_status nn_get_optimizer(const nn_model *m, nn_optimizer *o)
{
  if (!m || !o) return NN_ERR_ARGUMENT;
  *o = m->optimizer;
  return NN_OK;
}
#endif

/* ======================================== @@MODEL ========================================== */

nn_config nn_config_default(void)
{
  nn_config c;
  memset(&c, 0, sizeof c);
  c.batch = 32, c.threads = 1, c.seed = 1, c.notes = 2048;
  return c;
}

size_t nn_model_size(void) { return sizeof(nn_model); }

nn_model *nn_create_in(void *memory, size_t size, const nn_config *config)
{
  nn_config c = config ? *config : nn_config_default();
  const nn__kernels *kernels;
  int threads = c.threads;
  if (!memory || size < sizeof(nn_model) || c.batch < 1 || c.batch > NN__MAX_BATCH) return NULL;
  if (c.notes > NN__MOST_NOTES) return NULL;
  if (nn__choose(c.isa, &threads, &kernels) != NN_OK) return NULL;
  if (!c.allocator.allocate != !c.allocator.release) return NULL;
  nn_model *m = memory;
  memset(m, 0, sizeof *m);
  m->config = c;
  m->config.threads = threads;
  m->config.isa = kernels->isa;
  m->context.kernels = kernels;
  m->context.pool.threads = 1;
  m->notes_size = c.notes;
  m->loss = m->output = -1;
#ifdef NN_NO_TRAINING
  m->config.inference = 1;
#else
  m->optimizer = nn_sgd(.01, 0);
#endif
  return m;
}

nn_model *nn_create(const nn_config *config)
{
  const nn_allocator *allocator = config ? &config->allocator : NULL;
  void *memory = nn__allocate(allocator, sizeof(nn_model));
  nn_model *m = nn_create_in(memory, sizeof(nn_model), config);
  if (m)
    m->owns_model = 1;
  else if (memory)
    nn__release(allocator, memory, sizeof(nn_model));
  return m;
}

void nn_destroy(nn_model *m)
{
  if (!m) return;
  const nn_allocator allocator = m->config.allocator;
  if (m->built) nn__pool_stop(&m->context.pool);
  if (m->owns_block) nn__release(&allocator, m->block, m->block_size);
  if (m->owns_model)
    nn__release(&allocator, m, sizeof *m);
  else
    memset(m, 0, sizeof *m);
}

nn_status nn_model_status(const nn_model *m) { return m ? m->status : NN_ERR_ARGUMENT; }
const char *nn_error(const nn_model *m)
{
  return m ? m->message.text : "no model: out of memory, or a value of config out of range";
}

/* ---- parameters --------------------------------------------------------------------------- */

/* Names and places of all parameters: within each sort in the order of the layers. */
static void nn__place_params(nn_model *m)
{
  m->values = m->buffers = 0;
  for (int i = 0; i < m->params && m->broken == NN_OK; i++) {
    nn__param *p = &m->param[i];
    size_t *end = p->buffer ? &m->buffers : &m->values;
    nn_message text = {{0}};
    if (p->layer >= 0)
      nn__say(&text, NN_OK, "%s.%s_l%d", m->node[p->node].name, p->what, p->layer);
    else
      nn__say(&text, NN_OK, "%s.%s", m->node[p->node].name, p->what);
    memcpy(p->name, text.text, sizeof p->name - 1);
    p->offset = *end;
    *end += p->count;
    if (nn__too_large((double)*end))
      nn__fail(m, NN_ERR_LIMIT, "the parameters of the model are too many");
  }
}

/* The index-th parameter of the public list: trained ones, then buffers. */
static nn__param *nn__listed(nn_model *m, int index)
{
  for (int sort = 0; sort < 2; sort++)
    for (int i = 0; i < m->params; i++)
      if (m->param[i].buffer == sort && index-- == 0) return &m->param[i];
  return NULL;
}

/* ---- the plan ----------------------------------------------------------------------------- */

/* Time runs 0 .. N-1 for the forwards of N nodes, N for the loss, and 2 N - i for the backward of
 * node i; END is after all. */
static int nn__time_back(const nn_model *m, int node) { return 2 * m->nodes - node; }

/* Whether the gradient of this node is ever wanted: something below it is trained. */
static int nn__wants_gradient(const nn_model *m, int i) { return m->node[i].wanted; }

/* Layers that can write their output over their input. While training their gradient must do so
 * likewise: backward needs no x, and what made x does not need it either. */
static int nn__in_place(const nn_model *m, int i)
{
  const nn__node *node = &m->node[i];
  if (!node->inputs || m->config.keep_activations) return 0;
  const nn__node *x = &m->node[node->in[0]];
  const int inference = m->config.inference;
  if (x->users != 1 || nn__is_loss(node->kind)) return 0;
  if (nn__is_input(x->kind) && (!inference || nn__same_layout(x))) return 0; /* the caller's */
  switch (node->kind) {
  case NN__FLATTEN: return nn__same_layout(x);
  case NN__SOFTMAX:
  case NN__BATCH_NORM:
  case NN__LAYER_NORM:
  case NN__NORMALISE:
  case NN__ADD: return inference;
  case NN__DROPOUT: break;
  default:
    if (!nn__is_act(node->kind)) return 0;
  }
  if (inference) return 1;
  if (nn__kind_needs[node->kind] & NN__NEEDS_X) return 0;
  int maker = node->in[0]; /* through what x is shared with */
  for (;;) {
    if (nn__kind_needs[m->node[maker].kind] & NN__NEEDS_Y) return 0;
    if (m->node[maker].share < 0) return 1;
    maker = m->node[maker].share;
  }
}

static int nn__root(const nn_model *m, int i)
{
  while (m->node[i].share >= 0) i = m->node[i].share;
  return i;
}

static void nn__lives(nn__piece *p, int from, int to)
{
  if (p->last < p->first) {
    p->first = from, p->last = to;
    return;
  }
  if (from < p->first) p->first = from;
  if (to > p->last) p->last = to;
}

/* Space of its own that a node wants kept from forward to backward, and while it runs. */
static size_t nn__keep_size(const nn_model *m, const nn__node *node)
{
  const size_t batch = (size_t)m->config.batch;
  switch (node->kind) {
  case NN__BATCH_NORM: return 5 * node->cols;
  case NN__NORMALISE: return 2 * nn__rows_at_once(node) * node->cols;
  case NN__LAYER_NORM: return 3 * batch * node->rows * node->cols / nn__norm_length(node);
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU: return (size_t)node->cell.layers * nn__cell_keep(m, node);
  default: return 0;
  }
}

/* Room for the bias that a folded norm makes, ahead of the packed weights. */
static size_t nn__own_bias(const nn__node *node)
{
  return node->norm >= 0 ? nn__round_up(node->cols, 16) : 0;
}

static void nn__scratch_size(const nn_model *m, nn__node *node)
{
  node->scratch = node->thread_scratch = node->packed_size = 0;
  if (node->kind == NN__CONV2D) {
    nn__conv c = nn__conv_of(m, node, &m->node[node->in[0]], (size_t)m->config.batch);
    const int back = !m->config.inference, once = nn__packs_once(m);
    if (once) node->packed_size = nn__own_bias(node) + nn__conv_weights(&c, 0);
    for (int way = 0; way < 2; way++) {
      const size_t forward = nn__conv_lists(&c, 0) + (once ? 0 : nn__conv_weights(&c, 0));
      const size_t backward = back ? nn__conv_backward_scratch(&c) : 0;
      node->scratch = nn__max(node->scratch, nn__max(forward, backward));
      node->thread_scratch = nn__max(node->thread_scratch, nn__conv_thread_scratch(&c, back));
      if (once) break;
      nn__conv_choose(&c, 0); /* the way of fewer samples */
    }
  } else if (node->kind == NN__BATCH_NORM || node->kind == NN__LINEAR) {
    node->scratch = m->config.inference ? 0 : NN__PARTS * node->cols;
  } else if (node->kind == NN__LAYER_NORM) {
    node->scratch = (2 + 2 * NN__PARTS) * nn__norm_length(node);
  } else if (node->kind == NN__LINEAR) {
    node->packed_size = nn__linear_packed(m, node);
  } else if (nn__is_cell(node->kind)) {
    node->scratch = nn__cell_scratch(m, node);
    for (int layer = 0; layer < node->cell.layers && nn__packs_once(m); layer++)
      node->packed_size += nn__cell_packed(m, node, layer);
#ifndef NN_NO_TRAINING
  } else if (nn__is_loss(node->kind)) {
    node->scratch = (size_t)m->config.batch * node->rows * node->cols;
#endif
  }
}

/* First fit, the largest first: each piece at the lowest place where it meets no piece that lives
 * at the same time. Returns the size of the region. */
static size_t nn__place(nn_model *m)
{
  size_t end = 0;
  for (;;) {
    nn__piece *next = NULL;
    for (int i = 0; i < 4 * m->nodes; i++) {
      nn__node *node = &m->node[i / 4];
      nn__piece *const pieces[4] = {&node->y_piece, &node->dy_piece, &node->keep_piece,
                                    &node->extra_piece};
      nn__piece *p = pieces[i % 4];
      if (p->last >= p->first && p->offset == SIZE_MAX && (!next || p->size > next->size)) next = p;
    }
    if (!next) return end;
    size_t at = 0;
    for (int moved = 1; moved;) {
      moved = 0;
      for (int i = 0; i < 4 * m->nodes; i++) {
        const nn__node *node = &m->node[i / 4];
        const nn__piece *const pieces[4] = {&node->y_piece, &node->dy_piece, &node->keep_piece,
                                            &node->extra_piece};
        const nn__piece *p = pieces[i % 4];
        if (p == next || p->last < p->first || p->offset == SIZE_MAX) continue;
        if (p->first > next->last || p->last < next->first) continue;
        if (at < p->offset + p->size && p->offset < at + next->size) {
          at = p->offset + p->size;
          moved = 1;
        }
      }
    }
    if (at > SIZE_MAX / 64) return SIZE_MAX; /* more than nn__carve will count */
    next->offset = at;
    end = nn__max(end, at + next->size);
  }
}

static void nn__want(nn__piece *p, size_t size)
{
  p->size = nn__round_up(size, 16);
  p->offset = SIZE_MAX;
}

/* Which layers write over their input, and which are done by the layer before them. */
static void nn__plan_sharing(nn_model *m)
{
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    node->users = node->fused = node->masked = node->relu = node->folded = 0;
    node->norm = -1;
    for (int k = 0; k < node->inputs; k++) m->node[node->in[k]].users++;
  }
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    node->share = nn__in_place(m, i) ? node->in[0] : -1;
    if (node->share < 0) continue;
    nn__node *maker = &m->node[node->share];
    if (node->kind == NN__BATCH_NORM && maker->kind == NN__CONV2D && nn__packs_once(m))
      node->folded = 1, maker->norm = i;
    if (maker->folded) maker = &m->node[maker->share];
    if (node->kind == NN__RELU && (maker->kind == NN__CONV2D || maker->kind == NN__LINEAR))
      node->fused = maker->relu = 1;
  }
  for (int i = 0; i < m->nodes; i++) {
    nn__node *x = m->node[i].kind == NN__MAX_POOL ? &m->node[m->node[i].in[0]] : NULL;
    if (x && x->fused && x->users == 1) x->masked = 1;
  }
}

static void nn__plan_pieces(nn_model *m)
{
  const int count = m->nodes, loss_time = count, end = 2 * count + 1;
  const size_t batch = (size_t)m->config.batch;
  const int training = !m->config.inference, keep_all = m->config.keep_activations;
  nn__plan_sharing(m);
  for (int i = 0; i < count; i++) {
    nn__node *node = &m->node[i];
    nn__want(&node->y_piece, batch * node->rows * node->cols);
    nn__want(&node->dy_piece, batch * node->rows * node->cols);
    nn__want(&node->extra_piece, batch * node->rows * node->cols);
    nn__want(&node->keep_piece, nn__keep_size(m, node));
    node->y_piece.last = node->dy_piece.last = node->extra_piece.last = node->keep_piece.last = -1;
    node->y_piece.first = node->dy_piece.first = 0;
    node->extra_piece.first = node->keep_piece.first = 0;
    nn__scratch_size(m, node);
    node->wanted = node->kind == NN__INPUT ? m->config.input_gradient : nn__is_trained(node);
    for (int k = 0; k < node->inputs; k++) node->wanted |= m->node[node->in[k]].wanted;
    if (m->config.inference) node->wanted = 0;
  }
  for (int i = 0; i < count; i++) {
    nn__node *node = &m->node[i];
    const int wanted = nn__wants_gradient(m, i), back = nn__time_back(m, i);
    const int needs = nn__kind_needs[node->kind];
    nn__piece *y = &m->node[nn__root(m, i)].y_piece;
    nn__piece *dy = &m->node[nn__root(m, i)].dy_piece;
    if (!nn__is_loss(node->kind)) {
      /* an input is copied in before anything runs */
      if (!nn__is_input(node->kind) || !nn__same_layout(node))
        nn__lives(y, nn__is_input(node->kind) ? 0 : i, i);
      if (i == m->output || keep_all) nn__lives(y, keep_all ? 0 : i, end);
      if (wanted && (needs & NN__NEEDS_Y)) nn__lives(y, i, back);
      if (wanted) nn__lives(dy, back, back);
      if (wanted && i == m->output) nn__lives(dy, loss_time, back);
      if (wanted && node->kind == NN__INPUT) nn__lives(dy, back, end);
    }
    if (node->keep_piece.size)
      nn__lives(&node->keep_piece, node->folded ? node->in[0] : i, training && wanted ? back : i);
    for (int k = 0; k < node->inputs; k++) {
      const int in = node->in[k];
      nn__node *x = &m->node[in];
      nn__piece *xy = &m->node[nn__root(m, in)].y_piece;
      if (!nn__is_input(x->kind) || !nn__same_layout(x)) {
        nn__lives(xy, i, nn__is_loss(node->kind) ? loss_time : i);
        if (wanted && (needs & NN__NEEDS_X)) nn__lives(xy, i, back);
      }
      if (nn__wants_gradient(m, in) && !nn__is_loss(node->kind)) {
        nn__lives(&m->node[nn__root(m, in)].dy_piece, back, back);
        if (x->users > 1) nn__lives(&x->extra_piece, back, nn__time_back(m, in));
      }
    }
  }
  m->shared_size = nn__place(m);
}

/* Packing space for the products of all layers. Those of cells find their operands packed. */
static void nn__reserve_products(nn_model *m)
{
  m->context.room_a = m->context.room_b = 0;
  for (int i = 0; i < m->nodes; i++) {
    const nn__node *node = &m->node[i];
    if (node->kind != NN__LINEAR) continue;
    const size_t in = m->node[node->in[0]].cols, out = node->cols;
    const size_t rows = (size_t)m->config.batch * node->rows;
    const nn__matrix w = nn__rows_of(NULL, in), x = w, turned = nn__columns_of(NULL, in);
    const nn__matrix packed = nn__panels_of(m->context.kernels, NULL, in);
    nn__reserve(&m->context, rows, out, in, x, node->packed_size ? packed : turned);
    if (m->config.inference) continue;
    nn__reserve(&m->context, rows, in, out, nn__rows_of(NULL, out), w);    /* dx */
    nn__reserve(&m->context, out, in, rows, nn__columns_of(NULL, out), x); /* dW */
  }
}

/* ---- the block ---------------------------------------------------------------------------- */

typedef struct nn__cursor {
  char *base; /* NULL while only counting */
  size_t used;
  int overflow;
} nn__cursor;

static void *nn__carve(nn__cursor *c, size_t count, size_t each)
{
  size_t bytes;
  if (!nn__mul(count, each, &bytes) || bytes > SIZE_MAX / 2 - NN__ALIGN ||
      c->used > SIZE_MAX / 2 - NN__ALIGN) {
    c->overflow = 1;
    return NULL;
  }
  void *at = c->base ? c->base + c->used : NULL;
  c->used = nn__round_up(c->used + bytes, NN__ALIGN);
  return at;
}

#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT
static size_t nn__input_size(const nn_model *m) /* reals of one sample of the first input */
{
  const nn__node *x = &m->node[m->input[0]];
  return x->rows * x->cols;
}
#endif

/* The one layout function: counts (base NULL) or carves up the block. */
static size_t nn__layout(nn_model *m, char *base, int *overflow)
{
  nn__cursor c = {base, 0, 0};
  const size_t real = sizeof(nn_real), batch = (size_t)m->config.batch;
  const nn__node *out = &m->node[m->output];
  if (!m->config.in_place) m->value = nn__carve(&c, m->values, real);
#ifndef NN_NO_TRAINING
  m->slots = m->config.inference ? 0 : nn__slots(&m->optimizer);
  if (!m->config.inference) {
    m->gradient = nn__carve(&c, m->values, real);
    for (int i = 0; i < m->slots; i++) m->slot[i] = nn__carve(&c, m->values, real);
  }
#endif
  if (!m->config.in_place) m->buffer = nn__carve(&c, m->buffers, real);
  m->shared = nn__carve(&c, m->shared_size, real);
  m->scratch = nn__carve(&c, m->scratch_size, real);
  m->thread_scratch = nn__carve(&c, m->thread_scratch_size * (size_t)m->config.threads, real);
  m->context.pack_a = nn__carve(&c, m->context.room_a * (size_t)m->config.threads, real);
  m->context.pack_b = nn__carve(&c, m->context.room_b, real);
  m->border = nn__same_layout(out) ? NULL : nn__carve(&c, batch * out->rows * out->cols, real);
  m->lengths = nn__carve(&c, batch, sizeof(int32_t));
  m->notes = nn__carve(&c, m->notes_size, 1);
#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT /* what goes through a data set */
#ifdef NN_NO_TRAINING
  const int lossy = 0;
#else
  const int lossy = m->loss >= 0;
#endif
  if (m->inputs == 1 && (lossy || m->config.keep_activations)) {
    m->stage = nn__carve(&c, batch * nn__input_size(m), real);
    m->stage_lengths = nn__carve(&c, batch, sizeof(int32_t));
    m->stage_values = nn__carve(&c, batch * out->rows * out->cols, real);
    m->stage_labels = nn__carve(&c, batch * out->rows, sizeof(int32_t));
  }
#endif
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (nn__is_cell(node->kind) && node->cell.carry) {
      node->state_size = (size_t)node->cell.layers * 2 * batch * node->cols;
      node->state = nn__carve(&c, node->state_size, real);
    }
    node->packed = node->packed_size ? nn__carve(&c, node->packed_size, real) : NULL;
    if (node->kind == NN__INPUT && m->config.input_gradient && !nn__same_layout(node))
      node->border = nn__carve(&c, batch * node->rows * node->cols, real);
    if (node->has_weights) {
      nn_real *copy = nn__carve(&c, node->cols, real);
      if (base && node->weights) memcpy(copy, node->weights, node->cols * real);
      if (base) node->weights = copy;
    }
  }
  *overflow = c.overflow;
  return c.used;
}

/* Where each parameter and each node's arrays are, once the block is there. */
static void nn__point(nn_model *m)
{
  for (int i = 0; i < m->params; i++) {
    nn__param *p = &m->param[i];
    p->value = m->config.in_place ? NULL : (p->buffer ? m->buffer : m->value) + p->offset;
  }
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    const nn__node *root = &m->node[nn__root(m, i)];
    const nn__piece *y = &root->y_piece, *dy = &root->dy_piece;
    node->y = y->last >= y->first ? m->shared + y->offset : NULL;
    node->dy = dy->last >= dy->first ? m->shared + dy->offset : NULL;
    if (node->keep_piece.last >= node->keep_piece.first)
      node->keep = m->shared + node->keep_piece.offset;
    if (node->extra_piece.last >= node->extra_piece.first)
      node->extra = m->shared + node->extra_piece.offset;
  }
}

static nn_status nn__plan(nn_model *m)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->broken == NN_ERR_MEMORY) m->broken = NN_OK; /* not the description's fault: once more */
  if (m->built) return nn__error(m, NN_ERR_STATE, "nn_build: built already");
  if (m->broken != NN_OK) return m->broken;
  if (!m->inputs || m->nodes < 2) {
    nn__fail(m, NN_ERR_STATE, "nn_build: no layers after the input");
    return m->broken;
  }
  m->output = m->loss >= 0 ? m->node[m->loss].in[0] : m->nodes - 1;
  if (m->loss < 0 && nn__is_input(m->node[m->output].kind)) {
    nn__fail(m, NN_ERR_STATE, "nn_build: the last layer is an input");
    return m->broken;
  }
  if (m->config.in_place && !m->config.inference)
    nn__fail(m, NN_ERR_STATE, "nn_build: config.in_place needs config.inference");
  nn__place_params(m);
  if (m->broken != NN_OK) return m->broken;
  nn__plan_pieces(m);
  nn__reserve_products(m);
  m->scratch_size = m->thread_scratch_size = 0;
  for (int i = 0; i < m->nodes; i++) {
    m->scratch_size = nn__max(m->scratch_size, nn__round_up(m->node[i].scratch, 16));
    m->thread_scratch_size =
        nn__max(m->thread_scratch_size, nn__round_up(m->node[i].thread_scratch, 16));
  }
  int overflow;
  m->plan_size = nn__layout(m, NULL, &overflow) + NN__ALIGN; /* so that any address will do */
  if (overflow) nn__fail(m, NN_ERR_LIMIT, "nn_build: the model's memory cannot be counted");
  return m->broken;
}

nn_status nn_plan(nn_model *m, size_t *bytes)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!bytes) return nn__error(m, NN_ERR_ARGUMENT, "nn_plan: bytes is NULL");
  *bytes = 0;
  const nn_status status = nn__plan(m);
  if (status == NN_OK) *bytes = m->plan_size;
  return status;
}

/* ---- initial values ----------------------------------------------------------------------- */

/* As nn_random_uniform would draw them from a fresh stream, but each block of four words once. */
static void nn__fill_uniform(const nn_random *r, nn_real *w, size_t n, double bound)
{
  for (size_t i = 0; i < n; i += 4) {
    uint32_t word[4];
    nn__random_block(r->seed, r->stream, i / 4, word);
    for (size_t j = i; j < n && j < i + 4; j++)
      w[j] = (nn_real)((2 * (word[j - i] * (1.0 / 4294967296.0)) - 1) * bound);
  }
}

/* w[rows, cols] becomes w[cols, rows] in place: the element at k belongs at k rows mod (size - 1),
 * and each cycle of that permutation is walked once, from its smallest place. */
static void nn__transpose_in_place(nn_real *w, size_t rows, size_t cols)
{
  const uint64_t last = (uint64_t)rows * cols - 1;
  for (uint64_t start = 1; start < last; start++) {
    uint64_t k = start * rows % last;
    while (k > start) k = k * rows % last;
    if (k < start) continue; /* walked before */
    nn_real carried = w[start];
    do {
      k = k * rows % last;
      const nn_real next = w[k];
      w[k] = carried;
      carried = next;
    } while (k != start);
  }
}

/* Rows of w[rows, cols] (or its columns, where there are more rows) made orthonormal by
 * Gram-Schmidt in blocks that stay in cache, twice over for accuracy (Giraud et al. 2005). */
static void nn__orthogonalise(const nn__kernels *kernels, nn_random *r, nn_real *w, size_t rows,
                              size_t cols, double gain)
{
  enum { NN__BLOCK = 64 };
  static const nn__finish plain = {1, 0, NULL, 0, 0};
  const size_t count = nn__min(rows, cols), length = nn__max(rows, cols);
  for (size_t i = 0; i < rows * cols; i++) w[i] = (nn_real)nn_random_normal(r);
  for (size_t i = 0; i < count; i++) {
    nn_real *v = w + i * length;
    for (int pass = 0; pass < 2; pass++) {
      for (size_t j = 0; j < i; j += NN__BLOCK) {
        nn_real dot[NN__BLOCK];
        const size_t block = nn__min(NN__BLOCK, i - j);
        kernels->dots(dot, v, w + j * length, length, length, block, &plain);
        for (size_t b = 0; b < block; b++) kernels->axpy(v, -dot[b], w + (j + b) * length, length);
      }
      double square = 0;
      for (size_t k = 0; k < length; k++) square += (double)v[k] * (double)v[k];
      kernels->scale(v, (nn_real)(square > 0 ? 1 / sqrt(square) : 0), length);
    }
  }
  kernels->scale(w, (nn_real)gain, rows * cols);
  if (rows > cols) nn__transpose_in_place(w, cols, rows);
}

/* A parameter that is a weight matrix of units: more than one dimension, and no norm. */
static void nn__init_weights(const nn__kernels *kernels, const nn__node *node, const nn__param *p,
                             nn_random *r, nn_real *w)
{
  const size_t out = (size_t)p->dim[0], fan_in = p->count / out;
  const size_t taps = p->rank == 4 ? (size_t)p->dim[2] * (size_t)p->dim[3] : 1;
  const double in = (double)fan_in, sum = in + (double)(out * taps), value = node->init_value;
  switch (node->init) {
  case NN_INIT_HE_UNIFORM: nn__fill_uniform(r, w, p->count, value * sqrt(3 / in)); break;
  case NN_INIT_XAVIER_UNIFORM: nn__fill_uniform(r, w, p->count, value * sqrt(6 / sum)); break;
  case NN_INIT_HE_NORMAL:
  case NN_INIT_XAVIER_NORMAL:
  case NN_INIT_TRUNCATED_NORMAL: {
    const double deviation = node->init == NN_INIT_HE_NORMAL       ? value / sqrt(in)
                             : node->init == NN_INIT_XAVIER_NORMAL ? value * sqrt(2 / sum)
                                                                   : value;
    for (size_t i = 0; i < p->count; i++) {
      double z = nn_random_normal(r);
      while (node->init == NN_INIT_TRUNCATED_NORMAL && fabs(z) > 2) z = nn_random_normal(r);
      w[i] = (nn_real)(z * deviation);
    }
    break;
  }
  case NN_INIT_ORTHOGONAL: nn__orthogonalise(kernels, r, w, out, fan_in, value); break;
  default: /* embedding: normal */
    if (node->kind == NN__EMBEDDING)
      for (size_t i = 0; i < p->count; i++) w[i] = (nn_real)nn_random_normal(r);
    else
      nn__fill_uniform(r, w, p->count, 1 / sqrt(nn__is_cell(node->kind) ? (double)node->cols : in));
  }
}

/* Facts about the data are not drawn and take no stream: a net begins alike with and without. */
static void nn__initialise(nn_model *m, uint64_t seed)
{
  uint64_t stream = 0;
  for (int i = 0; i < m->params; i++) {
    const nn__param *p = &m->param[i];
    const nn__node *node = &m->node[p->node];
    const int place = i - node->param;
    if (node->kind == NN__NORMALISE) continue;
    nn_real *w = nn__value(m, i);
    nn_random r = {seed, stream++ ^ 0x1417000000000000u, 0};
    const int norm = node->kind == NN__BATCH_NORM || node->kind == NN__LAYER_NORM;
    if (norm || node->init == NN_INIT_CONSTANT) {
      /* weight 1, bias 0, running mean 0, running variance 1 */
      const nn_real value = norm ? (nn_real)(place == 0 || place == 3) : (nn_real)node->init_value;
      for (size_t k = 0; k < p->count; k++) w[k] = value;
    } else if (p->rank > 1) {
      nn__init_weights(m->context.kernels, node, p, &r, w);
    } else { /* biases: as wide as the default of the weights before them */
      const nn__param *weight = &m->param[node->param];
      const double in = nn__is_cell(node->kind) ? (double)node->cols
                                                : (double)weight->count / weight->dim[0];
      nn__fill_uniform(&r, w, p->count, 1 / sqrt(in));
    }
  }
}

/* A model that has done nothing yet. */
static void nn__reset(nn_model *m)
{
#ifndef NN_NO_TRAINING
  if (m->gradient) memset(m->gradient, 0, m->values * sizeof(nn_real));
  for (int i = 0; i < m->slots; i++) memset(m->slot[i], 0, m->values * sizeof(nn_real));
#endif
  m->steps = m->state_steps = 0, m->draws = 0, m->ran = m->lost = 0;
  nn_reset_state(m);
}

nn_status nn_reinitialise(nn_model *m, uint64_t seed)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->built || m->config.in_place)
    return nn__error(m, NN_ERR_STATE, "nn_reinitialise: %s",
                     m->built ? "the parameters are the caller's (config.in_place)" : "not built");
  m->config.seed = seed;
  m->packed = 0;
  nn__reset(m);
  nn__initialise(m, seed);
  return NN_OK;
}

void nn_reset_state(nn_model *m)
{
  for (int i = 0; m && m->built && i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (node->state) memset(node->state, 0, node->state_size * sizeof(nn_real));
    node->state_n = 0;
  }
}

int nn_find_node(const nn_model *m, const char *name)
{
  for (int i = 0; m && name && i < m->nodes; i++)
    if (!strcmp(m->node[i].name, name)) return i;
  return -1;
}

/* A cell that carries its state, by name. */
static nn__node *nn__carrying(nn_model *m, const char *layer, const char *who)
{
  const int i = nn_find_node(m, layer);
  nn__node *node = i >= 0 ? &m->node[i] : NULL;
  if (!m->built || !node || !node->state) {
    nn__error(m, !m->built || node ? NN_ERR_STATE : NN_ERR_ARGUMENT, "%s: %s %s", who,
              layer ? layer : "NULL", !m->built ? "is not built" : node ? "carries no state"
                                                                        : "is no layer");
    return NULL;
  }
  return node;
}

/* Copies between a cell's state, [layer][h, c][batch, hidden], and arrays [layers, n, hidden]. */
static void nn__copy_state(const nn_model *m, nn__node *node, int n, nn_real *h, nn_real *c, int in)
{
  const size_t room = (size_t)m->config.batch * node->cols, count = (size_t)n * node->cols;
  for (size_t k = 0; k < 2 * (size_t)node->cell.layers; k++) {
    nn_real *state = node->state + k * room, *user = k % 2 ? c : h;
    if (!user) continue;
    user += k / 2 * count;
    memcpy(in ? state : user, in ? user : state, count * sizeof *user);
  }
}

nn_status nn_get_state(nn_model *m, const char *layer, int *n, nn_real *h, nn_real *c)
{
  if (!m) return NN_ERR_ARGUMENT;
  nn__node *node = nn__carrying(m, layer, "nn_get_state");
  if (!node) return m->status;
  if (n) *n = node->state_n;
  nn__copy_state(m, node, node->state_n, h, node->kind == NN__LSTM ? c : NULL, 0);
  return NN_OK;
}

nn_status nn_set_state(nn_model *m, const char *layer, int n, const nn_real *h, const nn_real *c)
{
  if (!m) return NN_ERR_ARGUMENT;
  nn__node *node = nn__carrying(m, layer, "nn_set_state");
  if (!node) return m->status;
  if (n < 1 || n > m->config.batch)
    return nn__error(m, NN_ERR_ARGUMENT, "nn_set_state: %d samples, must be 1..%d (config.batch)",
                     n, m->config.batch);
  memset(node->state, 0, node->state_size * sizeof *node->state);
  nn__copy_state(m, node, n, (nn_real *)(uintptr_t)(const void *)h, /* only ever read */
                 (nn_real *)(uintptr_t)(const void *)(node->kind == NN__LSTM ? c : NULL), 1);
  node->state_n = n;
  return NN_OK;
}

/* ---- build -------------------------------------------------------------------------------- */

static nn_status nn__build_at(nn_model *m, void *memory)
{
  int overflow;
  const nn_status status = nn__pool_start(&m->context.pool, m->config.threads);
  if (status != NN_OK) {
    nn__fail(m, status, "nn_build: cannot start %d threads", m->config.threads);
    return m->broken;
  }
  m->block = memory;
  m->block_size = m->plan_size;
  nn__layout(m, nn__aligned(memory), &overflow);
  nn__point(m);
  m->built = 1;
  for (int i = 0; i < m->params; i++) {
    nn__node *node = &m->node[m->param[i].node];
    const nn_real *from = node->kind == NN__NORMALISE ? node->constants[i - node->param] : NULL;
    if (from && nn__value(m, i)) memcpy(nn__value(m, i), from, m->param[i].count * sizeof *from);
  }
  nn__reset(m);
  if (!m->config.in_place) nn__initialise(m, m->config.seed);
  return NN_OK;
}

nn_status nn_build_in(nn_model *m, void *memory, size_t size)
{
  const nn_status status = nn__plan(m);
  if (status != NN_OK) return status;
  if (!memory || size < m->plan_size) {
    nn__fail(m, NN_ERR_MEMORY, "nn_build_in: needs %zu bytes, got %zu", m->plan_size, size);
    return m->broken;
  }
  return nn__build_at(m, memory);
}

nn_status nn_build(nn_model *m)
{
  nn_status status = nn__plan(m);
  if (status != NN_OK) return status;
  void *memory = nn__allocate(&m->config.allocator, m->plan_size);
  if (!memory) {
    nn__fail(m, NN_ERR_MEMORY, "nn_build: no %zu bytes of memory", m->plan_size);
    return m->broken;
  }
  const size_t size = m->plan_size;
  status = nn__build_at(m, memory);
  if (status == NN_OK)
    m->owns_block = 1;
  else
    nn__release(&m->config.allocator, memory, size);
  return status;
}

/* ---- forward ------------------------------------------------------------------------------ */

/* The norm after a convolution, y = p v + q of what the convolution gives without its bias b, goes
 * into the packed weights, p w, and into a bias of their own, p b + q. */
static void nn__fold_norm(nn_model *m, const nn__node *node, const nn__conv *c, nn_real *packed,
                          nn_real *bias)
{
  const size_t taps = c->kh * c->kw, depthwise = (size_t)nn__depthwise(c);
  const size_t wide = depthwise ? c->c : c->kernels->nr, each = depthwise ? c->c : c->og;
  const size_t blocks = c->side ? NN__TILE * NN__TILE : depthwise ? 1 : c->groups;
  const size_t rows = c->side ? c->c : depthwise ? taps : taps * c->cg;
  const nn__node *norm = &m->node[node->norm];
  const nn_real *b = node->window.no_bias ? NULL : nn__value(m, node->param + 1);
  nn_real *const p = norm->keep + 2 * c->oc, *const q = p + c->oc;
  nn__running_norm(m, norm);
  for (size_t block = 0; block < blocks; block++)
    for (size_t j = 0; j < each; j += wide)
      for (size_t i = 0; i < rows; i++, packed += wide)
        for (size_t k = 0; k < wide && j + k < each; k++)
          packed[k] *= p[(c->side ? 0 : block * each) + j + k];
  for (size_t j = 0; j < c->oc; j++) bias[j] = q[j] + (b ? p[j] * b[j] : 0);
}

static void nn__convolve(nn_model *m, nn__node *node, size_t n)
{
  const nn__node *x = nn__in(m, node, 0);
  const nn__conv c = nn__conv_of(m, node, x, n);
  const nn_real *bias = node->window.no_bias ? NULL : nn__value(m, node->param + 1);
  nn_real *const packed = node->packed ? node->packed + nn__own_bias(node) : m->scratch;
  if (!node->packed || !m->packed) {
    nn__conv_pack(m, &c, 0, nn__value(m, node->param), packed);
    if (node->norm >= 0) nn__fold_norm(m, node, &c, packed, node->packed);
  }
  if (node->norm >= 0) bias = node->packed;
  nn__correlate(m, &c, 0, x->y, packed,
                node->packed ? m->scratch : packed + nn__conv_weights(&c, 0), bias, node->relu,
                node->y);
}

static nn_status nn__forward_node(nn_model *m, int i, size_t n)
{
  nn__node *node = &m->node[i];
  const nn__node *x = node->inputs ? nn__in(m, node, 0) : NULL;
  switch (node->kind) {
  case NN__CONV2D: nn__convolve(m, node, n); break;
  case NN__LINEAR: nn__linear_forward(m, node, n); break;
  case NN__MAX_POOL:
  case NN__AVG_POOL:
  case NN__GLOBAL_MAX:
  case NN__GLOBAL_AVG: {
    nn__pool_job p = nn__pool_of(m, node, x);
    const int global = node->kind == NN__GLOBAL_MAX || node->kind == NN__GLOBAL_AVG;
    p.x = x->y, p.out = node->y;
    nn__parallel(&m->context.pool, n, global ? nn__global_forward_task : nn__pool_forward_task, &p);
    break;
  }
  case NN__SOFTMAX: nn__softmax_rows(m, node->y, x->y, n * node->rows, node->cols); break;
  case NN__DROPOUT: nn__dropout_forward(m, node, n); break;
  case NN__BATCH_NORM:
    if (!node->folded) nn__batch_norm_forward(m, node, n);
    break;
  case NN__LAYER_NORM: nn__layer_norm_forward(m, node, n); break;
  case NN__NORMALISE: nn__normalise(m, node, n, 0, x->y, node->y); break;
  case NN__FLATTEN: nn__flatten_forward(m, node, n); break;
  case NN__ADD: nn__add_forward(m, node, n); break;
  case NN__CONCAT: nn__concat_forward(m, node, n); break;
  case NN__EMBEDDING: return nn__embedding_forward(m, node, n);
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU: nn__cell_forward(m, node, n); break;
  case NN__MULTIPLY: nn__multiply_forward(m, node, n); break;
  case NN__LAST_STEP:
  case NN__REVERSE:
  case NN__PADDED:
  case NN__CROP:
  case NN__UPSAMPLE: nn__move_forward(m, node, n); break;
  default: /* inputs and losses do nothing */
    if (nn__is_act(node->kind)) nn__activation_forward(m, node, n);
  }
  return NN_OK;
}

/* The greatest length that fits all sequences of a model; 0 if it has none. */
static size_t nn__most_steps(const nn_model *m)
{
  size_t steps = SIZE_MAX;
  for (int i = 0; i < m->nodes; i++)
    if (m->node[i].rank == 2) steps = nn__min(steps, m->node[i].rows);
  return steps == SIZE_MAX ? 0 : steps;
}

/* Whether the lengths of n samples, or NULL, fit that. only: as in nn__check_labels. */
static nn_status nn__check_lengths(nn_model *m, const int32_t *lengths, const int32_t *only, int n,
                                   const char *who)
{
  const size_t steps = nn__most_steps(m);
  if (lengths && !steps)
    return nn__error(m, NN_ERR_ARGUMENT, "%s: lengths given, but no layer is a sequence", who);
  for (int k = 0; k < n && lengths; k++) {
    const int i = only ? only[k] : k;
    if (lengths[i] < 1 || (size_t)lengths[i] > steps)
      return nn__error(m, NN_ERR_ARGUMENT, "%s: length %d of sample %d is not in 1..%zu", who,
                       (int)lengths[i], i, steps);
  }
  return NN_OK;
}

/* The first array that a model of config.in_place has not been given yet, or NULL. */
static const nn__param *nn__absent(const nn_model *m)
{
  for (int i = 0; i < m->params && m->config.in_place; i++)
    if (!m->param[i].value) return &m->param[i];
  return NULL;
}
#define NN__ABSENT "is not there yet (config.in_place)"

/* Checks a batch and takes in its lengths. */
static nn_status nn__check_batch(nn_model *m, const nn_batch *b)
{
  if (!m->built) return nn__error(m, NN_ERR_STATE, "forward: not built");
  const nn__param *absent = nn__absent(m);
  if (absent) return nn__error(m, NN_ERR_STATE, "forward: %s " NN__ABSENT, absent->name);
  if (!b || b->n < 1 || b->n > m->config.batch)
    return nn__error(m, NN_ERR_ARGUMENT, "forward: %d samples, must be 1..%d (config.batch)",
                     b ? b->n : 0, m->config.batch);
  for (int i = 0; i < m->inputs; i++)
    if (!b->x[i])
      return nn__error(m, NN_ERR_ARGUMENT, "forward: x[%d] is NULL", i);
  const nn_status status = nn__check_lengths(m, b->lengths, NULL, b->n, "forward");
  if (status != NN_OK) return status;
  m->has_lengths = b->lengths != NULL;
  if (b->lengths) memcpy(m->lengths, b->lengths, (size_t)b->n * sizeof *m->lengths);
  return NN_OK;
}

/* Of the parameters that nodes keep packed: 64 bits that another value of any would change. */
static uint64_t nn__fingerprint(nn_model *m)
{
  enum { NN__LANES = 8 }; /* so that one waits for the others' products, not for its own */
  uint64_t lane[NN__LANES] = {1, 2, 3, 4, 5, 6, 7, 8}, sum = 0;
  for (int i = 0; i < m->params; i++) {
    const nn__node *node = &m->node[m->param[i].node];
    if (!node->packed && !node->folded) continue;
    const unsigned char *at = (const unsigned char *)m->param[i].value;
    uint64_t word[NN__LANES] = {0};
    size_t left = m->param[i].count * sizeof(nn_real);
    for (; left; at += sizeof word) {
      const int whole = left >= sizeof word;
      if (whole)
        memcpy(word, at, sizeof word);
      else
        memset(word, 0, sizeof word), memcpy(word, at, left);
      for (int k = 0; k < NN__LANES; k++) lane[k] = (lane[k] ^ word[k]) * 0x9E3779B97F4A7C15u;
      for (int k = 0; k < NN__LANES; k++) lane[k] ^= lane[k] >> 32;
      left -= whole ? sizeof word : left;
    }
  }
  for (int k = 0; k < NN__LANES; k++) sum = (sum ^ lane[k]) * 0x9E3779B97F4A7C15u;
  return sum;
}

/* Whoever has a pointer to the parameters may have changed them. */
static void nn__check_packed(nn_model *m)
{
  if (!nn__packs_once(m) || !m->exposed) return;
  const uint64_t now = nn__fingerprint(m);
  if (now != m->fingerprint) m->packed = 0;
  m->fingerprint = now;
}

/* first_bad, if not NULL: the first node whose output holds a NaN or infinity, else -1. */
static nn_status nn__run_layers(nn_model *m, const nn_batch *b, int training, int *first_bad)
{
  if (training && training != NN_INSPECTING && m->config.inference)
    return nn__error(m, NN_ERR_STATE, "forward: training asked of an inference model");
  m->ran = m->lost = 0; /* a refused forward leaves nothing to go on from */
  nn_status status = nn__check_batch(m, b);
  if (status != NN_OK) return status;
  const size_t n = (size_t)b->n;
#ifndef NN_NO_TRAINING
  const nn__node *lone = training == NN_INSPECTING || !training
                             ? NULL
                             : nn__lone_norm(m, n, nn__lengths(m));
  if (lone)
    return nn__error(m, NN_ERR_ARGUMENT, "forward: %s " NN__LONE, lone->name);
#endif
  m->n = b->n;
  m->training = training == NN_INSPECTING ? NN_INSPECTING : training != 0;
  for (int k = 0; k < m->inputs; k++) {
    nn__node *x = &m->node[m->input[k]];
    if (nn__same_layout(x))
      x->y = (nn_real *)(uintptr_t)(const void *)b->x[k]; /* only ever read */
    else
      nn__copy_border(m, x, n, x->y, b->x[k], 1);
    nn__clear_past_ends(m, x, n, x->y);
  }
  if (first_bad) *first_bad = -1;
  nn__check_packed(m);
  for (int i = 0; i < m->nodes; i++) {
    const nn__node *node = &m->node[i];
    if ((status = nn__forward_node(m, i, n)) != NN_OK) return m->status = status;
    if (!nn__is_input(node->kind) && !nn__is_loss(node->kind))
      nn__clear_past_ends(m, node, n, node->y);
    if (!first_bad || *first_bad >= 0 || nn__is_loss(node->kind)) continue;
    for (size_t k = 0; k < n * node->rows * node->cols && *first_bad < 0; k++)
      if (!nn__finite((double)node->y[k])) *first_bad = i;
  }
  m->shown = 0;
  m->draws += (uint64_t)nn__learning(m);
  m->ran = m->packed = 1;
  return NN_OK;
}

static nn_status nn__forward(nn_model *m, const nn_batch *b, int training, int *first_bad)
{
  const uint32_t mode = nn__flush_subnormals();
  const nn_status status = nn__run_layers(m, b, training, first_bad);
  nn__restore_mode(mode);
  return status;
}

nn_status nn_forward(nn_model *m, const nn_batch *b, int training)
{
  return m ? nn__forward(m, b, training, NULL) : NN_ERR_ARGUMENT;
}

const nn_real *nn_output(nn_model *m)
{
  if (!m || !m->ran) return NULL;
  const nn__node *out = &m->node[m->output];
  if (!m->border) return out->y;
  if (!m->shown) nn__copy_border(m, out, (size_t)m->n, m->border, out->y, 0);
  m->shown = 1;
  return m->border;
}

/* Whether a node's output is there after a forward. */
static nn_status nn__kept(nn_model *m, int node, const char *who)
{
  if (node < 0 || node >= m->nodes)
    return nn__error(m, NN_ERR_ARGUMENT, "%s: no node %d", who, node);
  const nn__node *x = &m->node[node];
  if (nn__is_loss(x->kind) || x->kind == NN__TOKENS)
    return nn__error(m, NN_ERR_STATE, "%s: %s has no output", who, x->name);
  if (node != m->output && !m->config.keep_activations)
    return nn__error(m, NN_ERR_STATE, "%s: %s is not kept (config.keep_activations)", who, x->name);
  return NN_OK;
}

/* The same, and a forward has been. */
static nn_status nn__readable(nn_model *m, int node, const char *who)
{
  const nn_status status = nn__kept(m, node, who);
  if (status != NN_OK || m->ran) return status;
  return nn__error(m, NN_ERR_STATE, "%s: no forward before it", who);
}

nn_status nn_read(nn_model *m, int node, nn_real *to)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!to) return nn__error(m, NN_ERR_ARGUMENT, "read: nowhere to put it");
  const nn_status status = nn__readable(m, node, "read");
  if (status == NN_OK) nn__copy_border(m, &m->node[node], (size_t)m->n, to, m->node[node].y, 0);
  return status;
}

nn_status nn_predict(nn_model *m, const nn_batch *b, int32_t *labels, nn_real *probabilities)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->built && m->node[m->output].rank != 1)
    return nn__error(m, NN_ERR_SHAPE, "predict: the output is not a vector");
  const nn_status status = nn_forward(m, b, 0);
  if (status != NN_OK) return status;
  const nn__node *out = &m->node[m->output];
  for (int i = 0; i < b->n && labels; i++)
    labels[i] = (int32_t)nn__greatest(out->y + (size_t)i * out->cols, out->cols);
  if (probabilities && out->kind == NN__SOFTMAX)
    memcpy(probabilities, out->y, (size_t)b->n * out->cols * sizeof *probabilities);
  else if (probabilities) {
    const uint32_t mode = nn__flush_subnormals();
    nn__softmax_rows(m, probabilities, out->y, (size_t)b->n, out->cols);
    nn__restore_mode(mode);
  }
  return NN_OK;
}

nn_status nn_predict_top(nn_model *m, const nn_batch *b, int k, int32_t *labels,
                         nn_real *probabilities)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!labels) return nn__error(m, NN_ERR_ARGUMENT, "predict: nowhere to put the labels");
  if (m->built && (k < 1 || (size_t)k > m->node[m->output].cols))
    return nn__error(m, NN_ERR_ARGUMENT, "predict: the best %d, must be 1..%zu", k,
                     m->node[m->output].cols);
  const nn_status status = nn_predict(m, b, NULL, NULL);
  if (status != NN_OK) return status;
  const nn__node *out = &m->node[m->output];
  for (size_t i = 0; i < (size_t)b->n; i++) {
    const nn_real *row = out->y + i * out->cols;
    int32_t *found = labels + i * (size_t)k;
    for (int r = 0; r < k; r++) {
      size_t next = SIZE_MAX; /* the greatest that is not among the r found */
      for (size_t j = 0; j < out->cols; j++) {
        int taken = 0;
        for (int t = 0; t < r; t++) taken |= found[t] == (int32_t)j;
        if (!taken && (next == SIZE_MAX || row[j] > row[next])) next = j;
      }
      found[r] = (int32_t)next;
      if (probabilities) probabilities[i * (size_t)k + (size_t)r] = nn__probability(out, row, next);
    }
  }
  return NN_OK;
}

/* ---- loss, backward, step ----------------------------------------------------------------- */
#ifndef NN_NO_TRAINING

nn_status nn_loss(nn_model *m, const nn_batch *b, double *loss, int64_t *correct)
{
  double value = 0;
  int64_t right = 0;
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->ran || m->loss < 0)
    return nn__error(m, NN_ERR_STATE,
                     m->loss < 0 ? "loss: the model has none" : "loss: no forward");
  if (!b || b->n != m->n)
    return nn__error(m, NN_ERR_ARGUMENT, "loss: not the batch of the last forward");
  const nn__node *node = &m->node[m->loss];
  const int open = nn__keeps(m) && m->ran == 1; /* after backward another array may be there */
  nn_real *d = open ? m->node[m->output].dy : NULL;
  const uint32_t mode = nn__flush_subnormals();
  const nn_status status =
      node->kind == NN__CROSS_ENTROPY
          ? nn__cross_entropy_loss(m, node, (size_t)m->n, b->labels, d, &value, &right)
          : nn__value_loss(m, node, (size_t)m->n, b->values, d, &value);
  nn__restore_mode(mode);
  if (status != NN_OK) return m->status = status;
  if (loss) *loss = value;
  if (correct) *correct = right;
  m->lost = open;
  return NN_OK;
}

static void nn__backward_node(nn_model *m, nn__node *node, size_t n, int k, nn_real *dx)
{
  const nn__node *x = nn__in(m, node, 0);
  switch (node->kind) {
  case NN__CONV2D: {
    const nn__conv c = nn__conv_of(m, node, x, n);
    if (nn__learns(m, node))
      nn__conv_backward_weights(m, &c, x->y, node->dy, nn__grad(m, node->param),
                                node->window.no_bias ? NULL : nn__grad(m, node->param + 1));
    if (dx) nn__conv_backward_data(m, &c, node->dy, nn__value(m, node->param), dx);
    break;
  }
  case NN__LINEAR: nn__linear_backward(m, node, n, dx); break;
  case NN__MAX_POOL:
  case NN__AVG_POOL:
  case NN__GLOBAL_MAX:
  case NN__GLOBAL_AVG: {
    nn__pool_job p = nn__pool_of(m, node, x);
    const int global = node->kind == NN__GLOBAL_MAX || node->kind == NN__GLOBAL_AVG;
    p.x = x->y, p.y = node->y, p.dy = node->dy, p.dx = dx;
    p.relu = x->masked && nn__goes_by_gradient(m);
    nn__parallel(&m->context.pool, n, global ? nn__global_backward_task : nn__pool_backward_task,
                 &p);
    break;
  }
  case NN__SOFTMAX: nn__softmax_backward(m, node, n, dx); break;
  case NN__DROPOUT: nn__dropout_backward(m, node, n, dx); break;
  case NN__BATCH_NORM: nn__batch_norm_backward(m, node, n, dx); break;
  case NN__LAYER_NORM: nn__layer_norm_backward(m, node, n, dx); break;
  case NN__NORMALISE: nn__normalise(m, node, n, 1, node->dy, dx); break;
  case NN__FLATTEN: nn__flatten_backward(m, node, n, dx); break;
  case NN__ADD: nn__add_backward(m, node, n, dx); break;
  case NN__CONCAT: nn__concat_backward(m, node, n, k, dx); break;
  case NN__EMBEDDING: nn__embedding_backward(m, node, n); break;
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU: nn__cell_backward(m, node, n, dx); break;
  case NN__MULTIPLY: nn__multiply_backward(m, node, n, k, dx); break;
  case NN__LAST_STEP:
  case NN__REVERSE:
  case NN__PADDED:
  case NN__CROP:
  case NN__UPSAMPLE: nn__move_backward(m, node, n, dx); break;
  default:
    if (nn__is_act(node->kind)) nn__activation_backward(m, node, n, dx);
  }
}

/* From a node's gradient down: the first user of a node writes its gradient, the others add. */
static nn_status nn__backward_all(nn_model *m, int from)
{
  const size_t n = (size_t)m->n;
  const int learning = nn__learning(m);
  const uint32_t mode = nn__flush_subnormals();
  m->draws -= (uint64_t)learning; /* dropout draws the masks of the forward again */
  for (int i = 0; i < m->nodes; i++) m->node[i].started = i == from;
  for (int i = from; i >= 0; i--) {
    nn__node *node = &m->node[i];
    if (!node->started || nn__is_input(node->kind)) continue;
    if (node->dy) nn__clear_past_ends(m, node, n, node->dy);
    for (int k = 0; k < (node->inputs > 0 ? node->inputs : 1); k++) {
      nn__node *x = nn__in(m, node, k);
      const int wanted = nn__wants_gradient(m, node->in[k]);
      if (!wanted && !(learning && nn__is_trained(node) && k == 0)) continue;
      nn_real *dx = !wanted ? NULL : x->started ? x->extra : x->dy;
      if (!node->masked || !nn__goes_by_gradient(m) || i == from)
        nn__backward_node(m, node, n, k, dx);
      if (dx && dx == x->extra) m->context.kernels->add(x->dy, x->dy, dx, n * x->rows * x->cols);
      if (wanted) x->started = 1;
    }
  }
  m->draws += (uint64_t)learning;
  for (int k = 0; k < m->inputs; k++) {
    nn__node *x = &m->node[m->input[k]];
    if (!x->started && x->dy) memset(x->dy, 0, n * x->rows * x->cols * sizeof(nn_real));
    if (x->dy) nn__clear_past_ends(m, x, n, x->dy);
    if (x->border && x->dy) nn__copy_border(m, x, n, x->border, x->dy, 0);
  }
  m->lost = 0;
  m->ran = m->ran ? 2 : 0; /* output stays, but a second backward would find nothing */
  nn__restore_mode(mode);
  return NN_OK;
}

nn_status nn_backward(nn_model *m)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->lost || m->ran != 1) /* backward uses up what forward left */
    return nn__error(m, NN_ERR_STATE, "backward: needs a training forward and nn_loss before it");
  return nn__backward_all(m, m->output);
}

nn_status nn_backward_from(nn_model *m, const nn_real *output_gradient)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!output_gradient) return nn__error(m, NN_ERR_ARGUMENT, "backward: no gradient given");
  if (m->ran != 1 || !nn__keeps(m))
    return nn__error(m, NN_ERR_STATE, "backward: needs a training forward before it");
  nn__node *out = &m->node[m->output];
  if (!out->dy) return nn__error(m, NN_ERR_STATE, "backward: the model has nothing to train");
  nn__copy_border(m, out, (size_t)m->n, out->dy, output_gradient, 1);
  return nn__backward_all(m, m->output);
}

const nn_real *nn_input_gradient(const nn_model *m, int input)
{
  if (!m || input < 0 || input >= m->inputs || !m->config.input_gradient || m->ran != 2)
    return NULL;
  const nn__node *x = &m->node[m->input[input]];
  return x->kind == NN__TOKENS ? NULL : x->border ? x->border : x->dy;
}

/* Elements of one task over the flat blocks: few enough to share out, and a fixed number, so that
 * partial sums do not depend on the threads. */
enum { NN__FLAT_PIECE = 1 << 15, NN__FLAT_PARTS = 64 };

typedef struct nn__flat {
  nn_model *m;
  nn__update update;
  int norm;     /* nn__gradient_task: the squares are wanted */
  size_t first, last; /* element of the present pieces; where the pass ends */
  double sum[NN__FLAT_PARTS], most[NN__FLAT_PARTS]; /* what each piece gives */
  int exponent; /* of the sum: it is to be taken times 4 to this power */
} nn__flat;

/* The squares of the greatest numbers overflow and those of the smallest vanish, so a piece whose
 * greatest size is far from 1 is scaled by 2^-exponent, which rounds nothing. */
static int nn__norm_exponent(double most)
{
  const int limit = NN__DOUBLE ? 1022 : 126;
  int exponent = 0;
  if (most > 0 && nn__finite(most)) frexp(most, &exponent);
  if (exponent > -40 && exponent < 40) return 0;
  return exponent > limit ? limit : exponent < -limit ? -limit : exponent;
}

/* Has a task done for every piece of elements from .. to - 1; returns the sum of all sums, and in
 * *most the greatest of the rest, NaN if one is. */
static double nn__flat_pass(nn__flat *f, size_t from, size_t to, nn__task task, double *most)
{
  const uint32_t mode = nn__flush_subnormals();
  double sum = 0;
  *most = 0, f->exponent = f->norm ? INT_MIN / 4 : 0;
  f->last = to;
  for (f->first = from; f->first < to; f->first += (size_t)NN__FLAT_PARTS * NN__FLAT_PIECE) {
    const size_t left = to - f->first;
    const size_t parts = nn__min(NN__FLAT_PARTS, (left + NN__FLAT_PIECE - 1) / NN__FLAT_PIECE);
    memset(f->sum, 0, sizeof f->sum);
    nn__parallel(&f->m->context.pool, parts, task, f);
    for (size_t i = 0; i < parts; i++) {
      const int own = f->norm ? nn__norm_exponent(f->most[i]) : 0;
      if (own > f->exponent) sum = ldexp(sum, 2 * (f->exponent - own)), f->exponent = own;
      sum += ldexp(f->sum[i], 2 * (own - f->exponent));
      if (nn__finite(*most) && !(f->most[i] <= *most)) *most = f->most[i];
    }
  }
  nn__restore_mode(mode);
  return sum;
}

static void nn__gradient_task(void *arg, size_t index, int thread)
{
  nn__flat *f = arg;
  const nn__kernels *kernels = f->m->context.kernels;
  const size_t at = f->first + index * NN__FLAT_PIECE;
  const size_t n = nn__min(NN__FLAT_PIECE, f->last - at);
  (void)thread;
  f->most[index] = kernels->largest(f->m->gradient + at, n);
  const double scale = ldexp(1, -nn__norm_exponent(f->most[index]));
  if (f->norm) f->sum[index] = kernels->sum_squares(f->m->gradient + at, n, (nn_real)scale);
}

/* The norm of the gradients if f->norm, and in *most the greatest of them, or a NaN or infinity. */
static double nn__norm_pass(nn__flat *f, double *most)
{
  const double sum = nn__flat_pass(f, 0, f->m->values, nn__gradient_task, most);
  return f->norm ? ldexp(sqrt(sum), f->exponent) : 0;
}

double nn_gradient_norm(nn_model *m)
{
  if (!m || !m->built || !m->gradient) return 0;
  nn__flat f;
  double most;
  f.m = m, f.norm = 1;
  return nn__norm_pass(&f, &most);
}

/* The weight decay of a parameter by its layer's factor; none for biases and norms, if so asked. */
static double nn__decay_of(const nn_model *m, int param)
{
  const nn__node *node = &m->node[m->param[param].node];
  const int norm = node->kind == NN__BATCH_NORM || node->kind == NN__LAYER_NORM;
  if (m->optimizer.decay_weights_only && (norm || m->param[param].rank == 1)) return 0;
  return m->optimizer.weight_decay * node->decay;
}

static void nn__update_task(void *arg, size_t index, int thread)
{
  nn__flat *f = arg;
  nn_model *m = f->m;
  const size_t at = f->first + index * NN__FLAT_PIECE;
  (void)thread;
  f->most[index] = (double)m->context.kernels->update(
      &f->update, m->value + at, m->gradient + at, m->slot[0] ? m->slot[0] + at : NULL,
      m->slot[1] ? m->slot[1] + at : NULL, nn__min(NN__FLAT_PIECE, f->last - at));
}

/* Moves each run of parameters whose rate and weight decay are the same by their layers' factors;
 * gives 0, or NaN if a parameter or its state is not finite any more. */
static double nn__update_groups(nn__flat *f, double rate, double correction)
{
  nn_model *m = f->m;
  double bad = 0, most;
  size_t from = 0, to = 0;
  for (int i = 0; i < m->params;) {
    if (m->param[i].buffer) {
      i++;
      continue;
    }
    const nn__node *node = &m->node[m->param[i].node];
    const double group_rate = rate * node->rate, group_decay = nn__decay_of(m, i);
    for (; i < m->params; i++) {
      const nn__param *p = &m->param[i];
      if (p->buffer) continue;
      if (m->node[p->node].rate != node->rate || nn__decay_of(m, i) != group_decay) break;
      to = p->offset + p->count;
    }
    f->update.rate = (nn_real)group_rate, f->update.decay = (nn_real)group_decay;
    f->update.correction1 = (nn_real)(group_rate / correction);
    if (node->rate > 0)
      nn__flat_pass(f, from, to, nn__update_task, &most), bad = nn__finite(most) ? bad : most;
    else /* frozen */
      memset(m->gradient + from, 0, (to - from) * sizeof(nn_real));
    from = to;
  }
  return bad;
}

/* Of a block that lies as the parameters do: the first element that is NaN or infinite, and the
 * parameter it belongs to; NULL if there is none. */
static const nn__param *nn__first_bad(const nn_model *m, const nn_real *block, double *value)
{
  for (int i = 0; block && i < m->params; i++)
    for (size_t k = 0; !m->param[i].buffer && k < m->param[i].count; k++) {
      *value = (double)block[m->param[i].offset + k];
      if (!nn__finite(*value)) return &m->param[i];
    }
  return NULL;
}

/* What diverged, by how much, and what may help. Failures alone come here, so it may be slow. */
static nn_status nn__diverged(nn_model *m, const char *what, const char *of, double value)
{
  return nn__error(m, NN_ERR_DIVERGED, "step %lld: %s%s is %g (largest finite gradient %g, rate "
                                       "%g): lower the rate, or clip (clip_norm)",
                   (long long)m->steps, what, of, value, m->largest, nn_rate(m));
}

static nn_status nn__bad_gradient(nn_model *m)
{
  double value = 0;
  m->largest = 0;
  for (size_t i = 0; i < m->values; i++) {
    const double size = fabs((double)m->gradient[i]);
    if (nn__finite(size) && size > m->largest) m->largest = size;
  }
  const nn__param *p = nn__first_bad(m, m->gradient, &value);
  return nn__diverged(m, "the gradient of ", p ? p->name : "?", value);
}

static nn_status nn__bad_parameter(nn_model *m)
{
  double value = 0;
  const nn__param *p = nn__first_bad(m, m->value, &value);
  if (p && value != value && m->optimizer.eps == 0 && m->optimizer.kind != NN_SGD)
    return nn__error(m, NN_ERR_DIVERGED, "step %lld: parameter %s is nan, for eps is 0 and a "
                                         "gradient that was always 0 gives 0/0: set eps above 0",
                     (long long)m->steps, p->name);
  if (p) return nn__diverged(m, "parameter ", p->name, value);
  for (int i = 0; i < m->slots && !p; i++) p = nn__first_bad(m, m->slot[i], &value);
  return nn__diverged(m, "the optimizer's state of ", p ? p->name : "?", value);
}

/* The reason is what is not finite first: what came in, a parameter, or a layer's output. */
static nn_status nn__bad_loss(nn_model *m, const nn_batch *b, double loss)
{
  double value = 0;
  int node = -1;
  const nn__param *p = nn__first_bad(m, m->value, &value);
  nn_message text;
  if (nn__forward(m, b, NN_INSPECTING, &node) != NN_OK) node = -1;
  nn_reset_state(m); /* a carried NaN would come back for ever */
  if (node >= 0 && nn__is_input(m->node[node].kind))
    return nn__error(m, NN_ERR_DIVERGED, "step %lld: the loss is %g, for the samples given to %s "
                                         "hold a NaN or infinity",
                     (long long)m->steps, loss, m->node[node].name);
  const nn__node *lossy = &m->node[m->loss], *x = &m->node[m->output];
  if (!p && node < 0 && lossy->kind != NN__CROSS_ENTROPY &&
      nn__odd_target(x, b->values, NULL, (size_t)b->n, b->lengths, 0, &value) != SIZE_MAX)
    return nn__error(m, NN_ERR_DIVERGED, "step %lld: the loss is %g, for the targets given to %s "
                                         "hold a NaN or infinity",
                     (long long)m->steps, loss, lossy->name);
  if (p)
    nn__say(&text, NN_OK, "parameter %s is %g and so the loss", p->name, value);
  else if (node >= 0)
    nn__say(&text, NN_OK, "the output of %s is not finite and so the loss", m->node[node].name);
  else
    nn__say(&text, NN_OK, "the loss");
  return nn__diverged(m, text.text, "", loss);
}

nn_status nn_step(nn_model *m)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->built || !m->gradient)
    return nn__error(m, NN_ERR_STATE, "step: not built, or an inference model");
  const nn_optimizer *o = &m->optimizer;
  const double t = (double)(m->state_steps + 1), rate = nn_rate(m);
  double most;
  nn__flat f;
  memset(&f, 0, sizeof f);
  f.m = m, f.norm = o->clip_norm > 0;
  const double norm = nn__norm_pass(&f, &most);
  if (!nn__finite(most)) return nn__bad_gradient(m);
  m->largest = most;
  nn__update *u = &f.update;
  u->kind = (int)o->kind, u->nesterov = o->nesterov;
  u->momentum = (nn_real)o->momentum, u->alpha = (nn_real)o->alpha;
  u->beta1 = (nn_real)o->beta1, u->beta2 = (nn_real)o->beta2, u->eps = (nn_real)o->eps;
  u->rest = (nn_real)(1 - o->alpha), u->rest1 = (nn_real)(1 - o->beta1);
  u->rest2 = (nn_real)(1 - o->beta2);
  u->correction2 = (nn_real)(1 / sqrt(1 - pow(o->beta2, t)));
  u->scale = 1, u->limit = (nn_real)o->clip_value;
  if (f.norm && norm > o->clip_norm) {
    double scale = o->clip_norm / (norm + 1e-6);
    for (; scale > 0 && scale < 1e-30; scale = ldexp(scale, 64)) /* step by step, as floats go */
      m->context.kernels->scale(m->gradient, (nn_real)ldexp(1, -64), m->values);
    u->scale = (nn_real)scale;
  }
  f.norm = 0;
  most = nn__update_groups(&f, rate, 1 - pow(o->beta1, t));
  const nn_status status = nn__finite(most) ? NN_OK : nn__bad_parameter(m);
  m->steps++;
  m->state_steps++;
  return status;
}

/* A step; o, p: nn_fit's, or NULL. */
static nn_status nn__learn(nn_model *m, const nn_batch *b, double *loss, int64_t *correct,
                           const nn_fit_options *o, const nn_progress *p)
{
  double value = 0;
  nn_status status = nn_forward(m, b, 1);
  if (status == NN_OK) status = nn_loss(m, b, &value, correct);
  if (status != NN_OK) return status;
  if (loss) *loss = value;
  if (!nn__finite(value)) return nn__bad_loss(m, b, value);
  const int64_t before = m->steps;
  status = nn_backward(m);
  if (status == NN_OK && o && o->on_gradient) status = o->on_gradient(o->user, m, p);
  if (status == NN_OK) status = nn_step(m);
  if (status != NN_OK && m->steps == before) { /* nothing has moved */
    nn_zero_gradients(m);
    nn_reset_state(m);
  }
  return status;
}
nn_status nn_train(nn_model *m, const nn_batch *b, double *loss, int64_t *correct)
{
  return nn__learn(m, b, loss, correct, NULL, NULL);
}

nn_real *nn_gradients(nn_model *m, size_t *count)
{
  if (count) *count = m && m->built && m->gradient ? m->values : 0;
  return m && m->built ? m->gradient : NULL;
}

void nn_zero_gradients(nn_model *m)
{
  if (m && m->built && m->gradient) memset(m->gradient, 0, m->values * sizeof(nn_real));
}

int64_t nn_steps(const nn_model *m) { return m ? m->steps : 0; }
double nn_rate(const nn_model *m)
{
  return m ? nn_schedule_rate(&m->optimizer.schedule, m->optimizer.rate, m->steps) : 0;
}
#endif

/* ---- looking in --------------------------------------------------------------------------- */

nn_real *nn_parameters(nn_model *m, size_t *count)
{
  if (count) *count = m && m->built && m->value ? m->values : 0;
  if (m) m->exposed = 1;
  return m && m->built ? m->value : NULL;
}

int nn_param_count(const nn_model *m) { return m && m->built ? m->params : 0; }

nn_status nn_get_param(nn_model *m, int index, nn_param *p)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!p) return nn__error(m, NN_ERR_ARGUMENT, "nn_get_param: p is NULL");
  if (!m->built) return nn__error(m, NN_ERR_STATE, "nn_get_param: not built");
  const nn__param *q = index >= 0 ? nn__listed(m, index) : NULL;
  if (!q) return nn__error(m, NN_ERR_ARGUMENT, "nn_get_param: no such parameter");
  p->name = q->name, p->node = q->node, p->rank = q->rank, p->count = q->count;
  memcpy(p->dim, q->dim, sizeof p->dim);
  p->value = q->value;
  m->exposed = 1;
  p->gradient = q->buffer || !m->gradient ? NULL : m->gradient + q->offset;
  return NN_OK;
}

nn_status nn_find_param(nn_model *m, const char *name, nn_param *p)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!name || !p) return nn__error(m, NN_ERR_ARGUMENT, "nn_find_param: name or p is NULL");
  for (int i = 0; i < nn_param_count(m); i++)
    if (!strcmp(nn__listed(m, i)->name, name)) return nn_get_param(m, i, p);
  return nn__error(m, NN_ERR_ARGUMENT, "nn_find_param: no %s", name);
}

nn_status nn_share_weights(nn_model *m, nn_model *from)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!from) return nn__error(m, NN_ERR_ARGUMENT, "nn_share_weights: no model to share with");
  if (!m->built || !from->built || !m->config.in_place)
    return nn__error(m, NN_ERR_STATE, "nn_share_weights: %s",
                     m->config.in_place ? "not built" : "needs config.in_place");
  for (int fill = 0; fill < 2; fill++)
    for (int i = 0; i < m->params; i++) {
      nn__param *p = &m->param[i], *q = from->param;
      while (q < from->param + from->params && strcmp(p->name, q->name)) q++;
      if (q == from->param + from->params || !q->value || p->rank != q->rank ||
          memcmp(p->dim, q->dim, sizeof p->dim))
        return nn__error(m, NN_ERR_SHAPE, "nn_share_weights: no %s of this shape", p->name);
      if (fill) p->value = q->value;
    }
  m->ran = m->packed = 0, m->exposed = 1; /* they may change whenever `from` trains */
  return NN_OK;
}

int nn_node_count(const nn_model *m) { return m ? m->nodes : 0; }

nn_status nn_get_node(const nn_model *m, int index, nn_node_info *info)
{
  if (!m || !info || index < 0 || index >= m->nodes) return NN_ERR_ARGUMENT;
  const nn__node *node = &m->node[index];
  const nn__node *x = node->inputs ? &m->node[node->in[0]] : NULL;
  memset(info, 0, sizeof *info);
  info->kind = nn__kind_text[node->kind], info->name = node->name;
  info->inputs = node->inputs, info->rank = node->rank;
  memcpy(info->input, node->in, sizeof info->input);
  memcpy(info->dim, node->dim, sizeof info->dim);
  for (int i = 0; i < node->params; i++) info->params += m->param[node->param + i].count;
  const double out = (double)node->rows * (double)node->cols;
  if (node->kind == NN__CONV2D) {
    const nn_conv2d_options *o = &node->window;
    info->macs = out * o->kernel_h * o->kernel_w * (x->dim[0] / o->groups);
  } else if (node->kind == NN__LINEAR) {
    info->macs = out * (double)x->cols;
  } else if (nn__is_cell(node->kind)) {
    for (int layer = 0; layer < node->cell.layers; layer++)
      info->macs += out * (double)nn__gates(node->kind) *
                    (double)((layer ? node->cols : x->cols) + node->cols);
  }
  return NN_OK;
}

int nn_output_node(const nn_model *m) { return m && m->built ? m->output : -1; }

nn_status nn_get_config(const nn_model *m, nn_config *c)
{
  if (!m || !c) return NN_ERR_ARGUMENT;
  *c = m->config;
  return NN_OK;
}

size_t nn_memory(const nn_model *m) { return m && m->built ? m->plan_size : 0; }

/* ---- notes -------------------------------------------------------------------------------- */

/* Bytes of the character of UTF-8 at p, of which `left` bytes are there; 0 if it is none, or a
 * control character other than tab and line end (RFC 3629: no surrogates, nothing overlong, no more
 * than 0x10FFFF). */
static size_t nn__utf8(const unsigned char *p, size_t left)
{
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  const size_t size = *p < 0x80 ? 1 : *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : 2;
  uint32_t code = size == 1 ? *p : *p & (0x7Fu >> size);
  if (size == 1) return (*p >= ' ' && *p != 127) || *p == '\n' || *p == '\t';
  if (*p < 0xC0 || *p > 0xF4 || size > left) return 0;
  for (size_t i = 1; i < size; i++) {
    if ((p[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (p[i] & 0x3Fu);
  }
  return code >= least[size] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? size : 0;
}

/* Where text of so many bytes stops to be what a note may hold; size if it never does. */
static size_t nn__bad_text(const char *text, size_t size)
{
  const unsigned char *p = (const unsigned char *)text;
  size_t at = 0, step;
  while (at < size && (step = nn__utf8(p + at, size - at)) > 0) at += step;
  return at;
}

static int nn__good_key(const char *key)
{
  size_t n = 0;
  for (; key[n]; n++)
    if (n == 31 || !((key[n] >= 'a' && key[n] <= 'z') || (key[n] >= 'A' && key[n] <= 'Z') ||
                     (key[n] >= '0' && key[n] <= '9') || (n && strchr("._-", key[n]))))
      return 0;
  return n > 0;
}

/* The i-th note's key, and behind it its text; NULL past the last. */
static const char *nn__note_at(const nn_model *m, int index)
{
  size_t at = 0;
  for (int i = 0; m && m->built && index >= 0 && at < m->notes_used; i++) {
    if (i == index) return m->notes + at;
    at += strlen(m->notes + at) + 1;
    at += strlen(m->notes + at) + 1;
  }
  return NULL;
}

const char *nn_note_key(const nn_model *m, int index) { return nn__note_at(m, index); }

const char *nn_note(const nn_model *m, const char *key)
{
  const char *at;
  for (int i = 0; key && (at = nn__note_at(m, i)) != NULL; i++)
    if (!strcmp(at, key)) return at + strlen(at) + 1;
  return NULL;
}

/* Adds a note that is not there, of `size` bytes, where there is room for it. */
static void nn__add_note(nn_model *m, const char *key, const char *text, size_t size)
{
  const size_t length = strlen(key) + 1;
  char *to = m->notes + m->notes_used;
  memcpy(to, key, length);
  memcpy(to + length, text, size);
  to[length + size] = 0;
  m->notes_used += length + size + 1;
}

nn_status nn_set_note(nn_model *m, const char *key, const char *text)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->built) return nn__error(m, NN_ERR_STATE, "note: not built");
  if (!key || !nn__good_key(key))
    return nn__error(m, NN_ERR_ARGUMENT,
                     "note: the key '%s' is not 1..31 letters, digits, '.', '_' or '-'", key);
  const size_t size = text ? strlen(text) : 0, bad = nn__bad_text(text, size);
  if (bad < size)
    return nn__error(m, NN_ERR_ARGUMENT, "note %s: byte %zu is not UTF-8, or a control character",
                     key, bad);
  const char *old = nn_note(m, key);
  const size_t length = strlen(key) + 1, gone = old ? length + strlen(old) + 1 : 0;
  const size_t used = m->notes_used - gone;
  if (text && length + size + 1 > m->notes_size - used)
    return nn__error(m, NN_ERR_LIMIT, "note %s: needs %zu bytes, %zu of config.notes are left", key,
                     length + size + 1, m->notes_size - used);
  if (old) { /* what follows moves up */
    char *at = m->notes + (old - m->notes) - length;
    memmove(at, at + gone, (size_t)(m->notes + m->notes_used - (at + gone)));
    m->notes_used = used;
  }
  if (text) nn__add_note(m, key, text, size);
  return NN_OK;
}

nn_status nn_class_name(const nn_model *m, int label, char *name, size_t size)
{
  const char *at = nn_note(m, "classes");
  if (!m || !name || !size || label < 0) return NN_ERR_ARGUMENT;
  nn_message number;
  nn__say(&number, NN_OK, "%d", label);
  for (int i = 0; at && i < label; i++) {
    at = strchr(at, '\n');
    if (at) at++;
  }
  const size_t there = at ? strcspn(at, "\n") : 0;
  size_t length = there ? there : strlen(number.text);
  if (!there) at = number.text;
  if (length >= size) { /* cut between characters */
    length = size - 1;
    while (length && ((unsigned char)at[length] & 0xC0) == 0x80) length--;
  }
  memcpy(name, at, length);
  name[length] = 0;
  return there ? NN_OK : NN_ERR_STATE;
}

/* ======================================== @@DATA =========================================== */
/* ------------------------------------ arrays ------------------------------------ */

static const nn_array nn__no_array; /* all zero */

static size_t nn__type_size(nn_type type)
{
  switch (type) {
  case NN_U8: return 1;
  case NN_I32:
  case NN_F32: return 4;
  case NN_I64:
  case NN_F64: return 8;
  }
  return 0;
}

void nn_array_free(nn_array *a)
{
  if (a == NULL) return;
  nn__release(&a->allocator, a->data, a->count * nn__type_size(a->type));
  *a = nn__no_array;
}

static int nn__big_endian_machine(void)
{
  const uint16_t one = 1;
  return *(const unsigned char *)&one == 0;
}

/* Reverses the bytes of every element when the data's byte order is not the machine's. */
static void nn__to_machine_order(void *data, size_t count, size_t size, int big_endian)
{
  unsigned char *p = (unsigned char *)data;
  size_t i, j;
  if (size == 1 || big_endian == nn__big_endian_machine()) return;
  for (i = 0; i < count; i++, p += size) {
    for (j = 0; j < size / 2; j++) {
      unsigned char byte = p[j];
      p[j] = p[size - 1 - j];
      p[size - 1 - j] = byte;
    }
  }
}

/* Bytes to be read as an array: all of them in memory, or the head of a file whose size is known.
 * Both go through the same header readers, so both refuse the same things in the same words. */
#define NN__HEAD 1024 /* longest header read; NumPy's are 64, 128 or 192 bytes */
typedef struct nn__source {
  const char *name; /* what messages call it */
  const unsigned char *head;
  size_t there, size; /* bytes at head; bytes in all */
  nn_message *why;
} nn__source;

/* Sets a->count from the shape, and checks that exactly the data it promises follows. */
static nn_status nn__check_count(const nn__source *s, nn_array *a, size_t offset)
{
  size_t bytes, follow = s->size - offset;
  int i, fits = 1;
  a->count = 1;
  for (i = 0; i < a->rank; i++) fits = fits && nn__mul(a->count, a->dim[i], &a->count);
  if (!fits || !nn__mul(a->count, nn__type_size(a->type), &bytes))
    return nn__say(s->why, NN_ERR_LIMIT,
                   "%s: byte %zu: the shape in the header has more elements than fit in memory",
                   s->name, offset);
  if (bytes != follow)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte %zu: the header promises %zu bytes, %zu %s",
                   s->name, offset, bytes, follow,
                   follow < bytes ? "are there: cut short" : "are there: not one whole array");
  return NN_OK;
}

/* IDX: two zero bytes, type, rank, then rank sizes and the elements, all big-endian. */
static nn_status nn__idx_head(const nn__source *s, nn_array *a, size_t *offset)
{
  const unsigned char *p = s->head;
  int i;
  if (s->there < 4)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte 0: %zu bytes are too few for an IDX header",
                   s->name, s->there);
  if (p[0] == 0x1f && p[1] == 0x8b)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte 0: compressed by gzip; unpack it first",
                   s->name);
  if (p[0] != 0 || p[1] != 0)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte 0: no IDX data, which starts with two zeros",
                   s->name);
  switch (p[2]) {
  case 0x08: a->type = NN_U8; break;
  case 0x0C: a->type = NN_I32; break;
  case 0x0D: a->type = NN_F32; break;
  case 0x0E: a->type = NN_F64; break;
  default:
    return nn__say(s->why, NN_ERR_FORMAT,
                   "%s: byte 2: IDX type 0x%x is not 0x8, 0xc, 0xd or 0xe (u8, i32, f32, f64)",
                   s->name, (unsigned)p[2]);
  }
  if (p[3] < 1 || p[3] > 8)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte 3: rank %d is not 1 .. 8", s->name, (int)p[3]);
  a->rank = p[3];
  *offset = 4 + 4 * (size_t)a->rank;
  if (s->there < *offset)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte %zu: the header ends before its %d sizes",
                   s->name, s->there, a->rank);
  for (i = 0, p += 4; i < a->rank; i++, p += 4)
    a->dim[i] = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
  return nn__check_count(s, a, *offset);
}

/* The npy header is a Python dictionary; NumPy reads it with Python's own parser. This scanner
 * takes just what NumPy writes there: three keys in any order, strings, True and False, a tuple. */
typedef struct nn__scanner {
  const nn__source *source;
  size_t at, end;
} nn__scanner;

static nn_status nn__unexpected(const nn__scanner *n, const char *reason)
{
  return nn__say(n->source->why, NN_ERR_FORMAT, "%s: byte %zu: npy header: %s", n->source->name,
                 n->at, reason);
}

/* The next character after spaces, not taken; 0 at the end. */
static int nn__peek(nn__scanner *n)
{
  while (n->at < n->end && n->source->head[n->at] == ' ') n->at++;
  return n->at < n->end ? n->source->head[n->at] : 0;
}

static int nn__take(nn__scanner *n, int character)
{
  if (nn__peek(n) != character) return 0;
  n->at++;
  return 1;
}

static int nn__take_word(nn__scanner *n, const char *word)
{
  size_t length = strlen(word);
  nn__peek(n);
  if (n->end - n->at < length || memcmp(n->source->head + n->at, word, length) != 0) return 0;
  n->at += length;
  return 1;
}

/* A string in either quotes that is one of the words: its number, or -1 with nothing taken. */
static int nn__take_quoted(nn__scanner *n, const char *const *words, int count)
{
  int i, quote = nn__peek(n);
  size_t length, left;
  if (quote != '\'' && quote != '"') return -1;
  left = n->end - n->at - 1;
  for (i = 0; i < count; i++) {
    length = strlen(words[i]);
    if (left > length && memcmp(n->source->head + n->at + 1, words[i], length) == 0 &&
        n->source->head[n->at + 1 + length] == quote) {
      n->at += length + 2;
      return i;
    }
  }
  return -1;
}

/* (), (3,), (2, 3) and (2, 3,), as Python has it. */
static nn_status nn__take_shape(nn__scanner *n, nn_array *a)
{
  int c, comma = 1;
  if (!nn__take(n, '(')) return nn__unexpected(n, "the shape is not a tuple");
  while ((c = nn__peek(n)) != ')') {
    size_t value = 0;
    if (!comma || c < '0' || c > '9') return nn__unexpected(n, "the shape is not a tuple of sizes");
    if (a->rank == 8)
      return nn__say(n->source->why, NN_ERR_LIMIT, "%s: byte %zu: npy header: rank above 8",
                     n->source->name, n->at);
    for (; n->at < n->end && (c = n->source->head[n->at]) >= '0' && c <= '9'; n->at++) {
      if (!nn__mul(value, 10, &value) || !nn__add_size(value, (size_t)(c - '0'), &value))
        return nn__unexpected(n, "a size that does not fit in memory");
    }
    a->dim[a->rank++] = value;
    comma = nn__take(n, ',');
  }
  if (a->rank == 1 && !comma) return nn__unexpected(n, "the shape is not a tuple");
  n->at++;
  return NN_OK;
}

/* npy: "\x93NUMPY", version, length of the header (2 bytes, from version 2 on 4, little-endian),
 * header, data. Version 3 only allows other characters in names that are not read here. */
static nn_status nn__npy_head(const nn__source *s, nn_array *a, size_t *offset)
{
  static const char *const keys[] = {"descr", "fortran_order", "shape"};
  static const char *const types[] = {"|u1", "<i4", "<i8", "<f4", "<f8"};
  static const nn_type type[] = {NN_U8, NN_I32, NN_I64, NN_F32, NN_F64};
  const unsigned char *p = s->head;
  nn__scanner n;
  nn_status status;
  unsigned seen = 0;
  size_t length;
  int i;
  if (s->there < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte 0: no npy data, which starts with \\x93NUMPY",
                   s->name);
  if (p[6] < 1 || p[6] > 3 || p[7] != 0)
    return nn__say(s->why, NN_ERR_FORMAT, "%s: byte 6: npy version %d.%d is not 1.0, 2.0 or 3.0",
                   s->name, (int)p[6], (int)p[7]);
  n.source = s;
  n.at = p[6] == 1 ? 10 : 12;
  if (s->there < n.at) return nn__unexpected(&n, "cut short");
  length = (size_t)p[8] | (size_t)p[9] << 8;
  if (p[6] > 1) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
  if (length > s->size - n.at) return nn__unexpected(&n, "cut short");
  if (length > NN__HEAD - n.at)
    return nn__say(s->why, NN_ERR_LIMIT, "%s: byte 8: a header of %zu bytes; at most %zu are read",
                   s->name, length, NN__HEAD - n.at);
  *offset = n.end = n.at + length;
  if (!nn__take(&n, '{')) return nn__unexpected(&n, "{ expected");
  while (nn__peek(&n) != '}') {
    int key = nn__take_quoted(&n, keys, 3);
    if (key < 0) return nn__unexpected(&n, "'descr', 'fortran_order' or 'shape' expected");
    if (seen & 1u << key) return nn__unexpected(&n, "the same key again");
    seen |= 1u << key;
    if (!nn__take(&n, ':')) return nn__unexpected(&n, ": expected");
    if (key == 0) {
      if ((i = nn__take_quoted(&n, types, 5)) < 0)
        return nn__unexpected(&n, "the type is not '|u1', '<i4', '<i8', '<f4' or '<f8'");
      a->type = type[i];
    } else if (key == 1) {
      if (nn__take_word(&n, "True"))
        return nn__unexpected(&n, "Fortran order; save numpy.ascontiguousarray(x) instead");
      if (!nn__take_word(&n, "False")) return nn__unexpected(&n, "True or False expected");
    } else if ((status = nn__take_shape(&n, a)) != NN_OK) {
      return status;
    }
    if (!nn__take(&n, ',') && nn__peek(&n) != '}') return nn__unexpected(&n, ", or } expected");
  }
  n.at++;
  if (seen != 7) return nn__unexpected(&n, "descr, fortran_order or shape is missing");
  if (nn__peek(&n) != '\n' || n.at + 1 != n.end)
    return nn__unexpected(&n, "} is not followed by spaces and one line end");
  return nn__check_count(s, a, *offset);
}

typedef nn_status (*nn__head_reader)(const nn__source *s, nn_array *a, size_t *offset);

/* Reads the header and allocates the data, which stay to be filled. */
static nn_status nn__new_array(const nn__source *s, nn__head_reader read_head,
                               const nn_allocator *allocator, nn_array *out, size_t *offset)
{
  nn_array a = nn__no_array;
  nn_status status = read_head(s, &a, offset);
  if (status != NN_OK) return status;
  if (allocator) a.allocator = *allocator;
  a.data = nn__allocate(&a.allocator, a.count * nn__type_size(a.type));
  if (a.data == NULL)
    return nn__say(s->why, NN_ERR_MEMORY, "%s: out of memory for %zu bytes", s->name,
                   a.count * nn__type_size(a.type));
  *out = a;
  return NN_OK;
}

static nn_status nn__parse(const void *bytes, size_t size, const char *name,
                           nn__head_reader read_head, int big_endian,
                           const nn_allocator *allocator, nn_array *out, nn_message *why)
{
  nn__source s;
  nn_status status;
  size_t offset = 0;
  if (out == NULL) return nn__say(why, NN_ERR_ARGUMENT, "%s: no array to read into", name);
  *out = nn__no_array;
  if (bytes == NULL) return nn__say(why, NN_ERR_ARGUMENT, "%s: no bytes given", name);
  s.name = name;
  s.head = (const unsigned char *)bytes;
  s.there = s.size = size;
  s.why = why;
  status = nn__new_array(&s, read_head, allocator, out, &offset);
  if (status != NN_OK) return status;
  memcpy(out->data, s.head + offset, size - offset);
  nn__to_machine_order(out->data, out->count, nn__type_size(out->type), big_endian);
  return NN_OK;
}

nn_status nn_idx_parse(const void *bytes, size_t size, const nn_allocator *allocator,
                              nn_array *out, nn_message *why)
{
  return nn__parse(bytes, size, "IDX data", nn__idx_head, 1, allocator, out, why);
}

nn_status nn_npy_parse(const void *bytes, size_t size, const nn_allocator *allocator,
                              nn_array *out, nn_message *why)
{
  return nn__parse(bytes, size, "npy data", nn__npy_head, 0, allocator, out, why);
}

static nn_status nn__new_bytes(nn_array *a, int rank, const size_t *dim,
                               const nn_allocator *allocator)
{
  int i;
  *a = nn__no_array;
  if (allocator) a->allocator = *allocator;
  a->type = NN_U8;
  a->rank = rank;
  a->count = 1;
  for (i = 0; i < rank; i++) {
    a->dim[i] = dim[i];
    a->count *= dim[i];
  }
  a->data = nn__allocate(&a->allocator, a->count);
  if (a->data) return NN_OK;
  *a = nn__no_array;
  return NN_ERR_MEMORY;
}

static uint8_t nn__luma(int red, int green, int blue) /* ITU-R BT.601, rounded */
{
  return (uint8_t)((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

/* One record's pixels, as they are or gray: returns where the next image goes. */
static uint8_t *nn__cifar10_image(uint8_t *to, const uint8_t *r, int gray)
{
  const uint8_t *g = r + 1024, *b = g + 1024;
  if (!gray) memcpy(to, r, 3072);
  for (int j = 0; gray && j < 1024; j++) to[j] = nn__luma(r[j], g[j], b[j]);
  return to + (gray ? 1024 : 3072);
}

nn_status nn_cifar10_parse(const void *bytes, size_t size, int gray,
                                  const nn_allocator *allocator, nn_array *pixels,
                                  nn_array *labels, nn_message *why)
{
  const unsigned char *record = (const unsigned char *)bytes;
  uint8_t *to;
  size_t dim[4], count = size / 3073, i;
  if (pixels) *pixels = nn__no_array;
  if (labels) *labels = nn__no_array;
  if (bytes == NULL || pixels == NULL || labels == NULL)
    return nn__say(why, NN_ERR_ARGUMENT, "CIFAR-10 data: no bytes, or no arrays to read into");
  if (size == 0 || size % 3073 != 0)
    return nn__say(why, NN_ERR_FORMAT,
                   "CIFAR-10 data: byte %zu: %zu bytes are not whole records of 3073 bytes",
                   count * 3073, size);
  for (i = 0; i < count; i++) {
    if (record[i * 3073] > 9)
      return nn__say(why, NN_ERR_FORMAT, "CIFAR-10 data: byte %zu: label %d is not 0 .. 9",
                     i * 3073, (int)record[i * 3073]);
  }
  dim[0] = count;
  dim[1] = gray ? 1 : 3;
  dim[2] = dim[3] = 32;
  if (nn__new_bytes(pixels, 4, dim, allocator) != NN_OK ||
      nn__new_bytes(labels, 1, dim, allocator) != NN_OK) {
    nn_array_free(pixels);
    return nn__say(why, NN_ERR_MEMORY, "CIFAR-10 data: out of memory for %zu images", count);
  }
  to = (uint8_t *)pixels->data;
  for (i = 0; i < count; i++, record += 3073) {
    ((uint8_t *)labels->data)[i] = record[0];
    to = nn__cifar10_image(to, record + 1, gray);
  }
  return NN_OK;
}

/* ------------------------------------- files ------------------------------------ */
#ifndef NN_NO_STDIO

/* Messages have room for the end of a path, which tells more than its start. */
static const char *nn__path_end(const char *path)
{
  size_t length = strlen(path);
  return length > 120 ? path + length - 120 : path;
}

static nn_status nn__file_failed(nn_message *why, const char *path, const char *what)
{
  int code = errno;
  return nn__say(why, NN_ERR_IO, "%s: %s: %s", nn__path_end(path), what,
                 code ? strerror(code) : "input/output error");
}

/* Opens a file and measures it. */
static nn_status nn__open(const char *path, size_t limit, FILE **file, size_t *size,
                          nn_message *why)
{
  nn_status status = NN_OK;
  FILE *f;
  int64_t end;
  if (path == NULL) return nn__say(why, NN_ERR_ARGUMENT, "no path given");
  if (!nn__regular(path))
    return nn__say(why, NN_ERR_IO, "%s: not a regular file", nn__path_end(path));
  errno = 0;
  f = nn__fopen(path, 0);
  if (f == NULL) return nn__file_failed(why, path, "cannot open");
  /* A directory opens on POSIX, and has a size there, but cannot be read. */
  if (getc(f) == EOF && ferror(f)) {
    status = nn__file_failed(why, path, "cannot read");
  } else if ((end = nn__file_size(f)) < 0) {
    status = nn__file_failed(why, path, "cannot find its size");
  } else if ((uint64_t)end > limit) {
    status = nn__say(why, NN_ERR_LIMIT, "%s: larger than the %zu bytes that are read at most",
                     nn__path_end(path), limit);
  } else {
    *file = f;
    *size = (size_t)end;
    return NN_OK;
  }
  fclose(f);
  return status;
}

/* Reads exactly size bytes from a file that is at byte `at`. */
static nn_status nn__read(FILE *f, const char *path, size_t at, void *to, size_t size,
                          nn_message *why)
{
  size_t got;
  errno = 0;
  got = size ? fread(to, 1, size, f) : 0;
  if (got == size) return NN_OK;
  if (ferror(f)) return nn__file_failed(why, path, "cannot read");
  return nn__say(why, NN_ERR_IO, "%s: byte %zu: became shorter while it was read",
                 nn__path_end(path), at + got);
}

nn_status nn_file_read(const char *path, size_t limit, const nn_allocator *allocator,
                              nn_array *out, nn_message *why)
{
  FILE *f;
  size_t size;
  nn_status status;
  if (out == NULL) return nn__say(why, NN_ERR_ARGUMENT, "no array to read into");
  *out = nn__no_array;
  status = nn__open(path, limit, &f, &size, why);
  if (status != NN_OK) return status;
  status = nn__new_bytes(out, 1, &size, allocator);
  if (status != NN_OK)
    nn__say(why, status, "%s: out of memory for %zu bytes", nn__path_end(path), size);
  else
    status = nn__read(f, path, 0, out->data, size, why);
  fclose(f);
  if (status != NN_OK) nn_array_free(out);
  return status;
}

/* The header from the file's first bytes, then the data straight to where they belong. */
static nn_status nn__load_array(const char *path, nn__head_reader read_head, int big_endian,
                                const nn_allocator *allocator, nn_array *out, nn_message *why)
{
  const size_t limit = SIZE_MAX / 2 < 0xFFFFFFFFu ? SIZE_MAX / 2 : 0xFFFFFFFFu; /* 4 GiB */
  unsigned char head[NN__HEAD];
  nn__source s;
  nn_status status;
  size_t offset = 0;
  FILE *f;
  if (out == NULL) return nn__say(why, NN_ERR_ARGUMENT, "no array to read into");
  *out = nn__no_array;
  status = nn__open(path, limit, &f, &s.size, why);
  if (status != NN_OK) return status;
  s.name = nn__path_end(path);
  s.head = head;
  s.there = s.size < NN__HEAD ? s.size : NN__HEAD;
  s.why = why;
  status = nn__read(f, path, 0, head, s.there, why);
  if (status == NN_OK) status = nn__new_array(&s, read_head, allocator, out, &offset);
  if (status == NN_OK) {
    memcpy(out->data, head + offset, s.there - offset);
    status = nn__read(f, path, s.there, (unsigned char *)out->data + (s.there - offset),
                      s.size - s.there, why);
    nn__to_machine_order(out->data, out->count, nn__type_size(out->type), big_endian);
  }
  fclose(f);
  if (status != NN_OK) nn_array_free(out);
  return status;
}

nn_status nn_idx_load(const char *path, const nn_allocator *allocator, nn_array *out,
                             nn_message *why)
{
  return nn__load_array(path, nn__idx_head, 1, allocator, out, why);
}

nn_status nn_npy_load(const char *path, const nn_allocator *allocator, nn_array *out,
                             nn_message *why)
{
  return nn__load_array(path, nn__npy_head, 0, allocator, out, why);
}

/* A file that appears under its name only when it is whole and on the disk. After a failure the
 * temporary file is gone and later calls do nothing, so the caller checks nn__write_end alone. */
enum { NN__LONGEST_PATH = 1019 }; /* of a file to write, in bytes: it lies on the stack */
typedef struct nn__writer {
  const char *path;
  nn_message *why;
  nn_status status;
  FILE *file;
  int taken; /* what nn__take_file gave */
  int keeps; /* 1: the file that is there becomes path.previous */
  char temporary[NN__LONGEST_PATH + sizeof ".tmp"];
} nn__writer;

static void nn__write_failed(nn__writer *w, const char *what)
{
  w->status = nn__file_failed(w->why, w->path, what);
  if (w->file) fclose(w->file);
  w->file = NULL;
  nn__remove(w->temporary);
  nn__give_file(w->taken);
}

static void nn__write_begin(nn__writer *w, const char *path, nn_message *why)
{
  size_t length = path ? strlen(path) : 0;
  w->path = path;
  w->why = why;
  w->status = NN_OK;
  w->file = NULL;
  w->keeps = 0;
  if (length == 0) {
    w->status = nn__say(why, NN_ERR_ARGUMENT, "no path given");
    return;
  }
  if (length > NN__LONGEST_PATH) {
    w->status = nn__say(why, NN_ERR_LIMIT, "a path of %zu bytes is too long: %d at most", length,
                        NN__LONGEST_PATH);
    return;
  }
  /* To rename over a device or a directory would replace or fail on it: refuse first. */
  if (!nn__regular(path)) {
    w->status = nn__say(why, NN_ERR_IO, "%s: not a regular file", nn__path_end(path));
    return;
  }
  memcpy(w->temporary, path, length);
  memcpy(w->temporary + length, ".tmp", sizeof ".tmp");
  errno = 0;
  w->taken = nn__take_file(w->temporary, path);
  if (w->taken < 0) {
    w->status = nn__file_failed(why, w->temporary, "cannot write");
    return;
  }
  w->file = nn__fopen(w->temporary, 1);
  if (w->file == NULL) nn__write_failed(w, "cannot write");
}

static void nn__write(nn__writer *w, const void *bytes, size_t size)
{
  if (w->status != NN_OK || size == 0) return;
  errno = 0;
  if (fwrite(bytes, 1, size, w->file) != size) nn__write_failed(w, "cannot write");
}

typedef struct nn__beside {
  char path[NN__LONGEST_PATH + sizeof ".previous"];
} nn__beside;
/* The name of a file beside `path`, which is not too long. */
static const char *nn__beside_of(nn__beside *b, const char *path, const char *suffix)
{
  const size_t length = strlen(path);
  memcpy(b->path, path, length);
  memcpy(b->path + length, suffix, strlen(suffix) + 1);
  return b->path;
}

/* Makes a file, if it is there, the one before; 0 when that failed. */
static int nn__keep_previous(const char *path)
{
  nn__beside previous;
  return !nn__exists(path) || nn__replace(path, nn__beside_of(&previous, path, ".previous"));
}

static nn_status nn__write_end(nn__writer *w)
{
  FILE *f = w->file;
  if (w->status != NN_OK) return w->status;
  errno = 0;
  if (fflush(f) != 0 || !nn__sync(f)) {
    nn__write_failed(w, "cannot write");
    return w->status;
  }
  w->file = NULL;
  if (fclose(f) != 0)
    nn__write_failed(w, "cannot write");
  else if (w->keeps && !nn__keep_previous(w->path))
    nn__write_failed(w, "cannot rename the old file to .previous");
  else if (!nn__replace(w->temporary, w->path)) {
    if (!w->keeps) { /* else it is one of the two that are whole, and nn_resume finds it */
      nn__write_failed(w, "cannot rename the new file to this name");
      return w->status;
    }
    w->status = nn__file_failed(w->why, w->path, "cannot rename .tmp to this name");
    nn__give_file(w->taken);
  } else {
    nn__give_file(w->taken);
    nn__sync_folder(w->temporary);
  }
  return w->status;
}

nn_status nn_file_write(const char *path, const void *bytes, size_t size,
                               nn_message *why)
{
  nn__writer w;
  if (bytes == NULL && size > 0) return nn__say(why, NN_ERR_ARGUMENT, "no bytes given");
  nn__write_begin(&w, path, why);
  nn__write(&w, bytes, size);
  return nn__write_end(&w);
}

nn_status nn_npy_save(const char *path, const nn_array *a, nn_message *why)
{
  const char *type = "";
  unsigned char head[320]; /* the header is at most 64 + 8 * 22 bytes, and padding */
  nn__text t;
  nn__writer w;
  size_t count = 1, size, bytes, done;
  int i, fits = a != NULL && a->rank >= 0 && a->rank <= 8;
  for (i = 0; fits && i < a->rank; i++) fits = nn__mul(count, a->dim[i], &count);
  size = fits ? nn__type_size(a->type) : 0;
  if (size == 0 || count != a->count || !nn__mul(count, size, &bytes) || (bytes && !a->data))
    return nn__say(why, NN_ERR_ARGUMENT, "nn_npy_save: type, shape, count and data do not agree");
  switch (a->type) {
  case NN_U8: type = "|u1"; break;
  case NN_I32: type = "<i4"; break;
  case NN_I64: type = "<i8"; break;
  case NN_F32: type = "<f4"; break;
  case NN_F64: type = "<f8"; break;
  }
  t.to = (char *)head;
  t.size = sizeof head;
  t.used = 10;
  nn__put_string(&t, "{'descr': '");
  nn__put_string(&t, type);
  nn__put_string(&t, "', 'fortran_order': False, 'shape': (");
  for (i = 0; i < a->rank; i++) {
    nn__put_number(&t, a->dim[i], 10);
    nn__put_string(&t, i + 1 < a->rank ? ", " : a->rank == 1 ? "," : "");
  }
  nn__put_string(&t, "), }");
  while (t.used % 64 != 63) nn__put_char(&t, ' '); /* NumPy aligns the data to 64 bytes */
  nn__put_char(&t, '\n');
  memcpy(head, "\x93NUMPY\1\0", 8);
  head[8] = (unsigned char)((t.used - 10) & 255);
  head[9] = (unsigned char)((t.used - 10) >> 8);
  nn__write_begin(&w, path, why);
  nn__write(&w, head, t.used);
  if (!nn__big_endian_machine()) {
    nn__write(&w, a->data, bytes);
    return nn__write_end(&w);
  }
  for (done = 0; done < bytes; done += count) { /* turned round a part at a time */
    count = bytes - done < sizeof head ? bytes - done : sizeof head;
    memcpy(head, (const unsigned char *)a->data + done, count);
    nn__to_machine_order(head, count / size, size, 0);
    nn__write(&w, head, count);
  }
  return nn__write_end(&w);
}
#endif

/* ----------------------------- data sets and batches ---------------------------- */

nn_dataset nn_dataset_pixels(const uint8_t *pixels, const int32_t *labels, int count,
                                    int channels, int height, int width)
{
  nn_dataset d;
  memset(&d, 0, sizeof d);
  d.count = count;
  d.channels = channels;
  d.height = height;
  d.width = width;
  d.pixels = pixels;
  d.values = NULL;
  d.labels = labels;
  d.targets = NULL;
  d.lengths = NULL;
  return d;
}

/* Where a sample of a set lies in its arrays. */
static size_t nn__place_of(const nn_dataset *d, int index)
{
  return (size_t)(d->only ? d->only[index] : index);
}

/* What one of the numbers that are stored stands for: bytes are 0 .. 1. */
static nn_real nn__unit(const nn_dataset *d) { return d->pixels ? (nn_real)(1.0 / 255.0) : 1; }

/* Elements of one channel of one sample; 0 when the data set is not a sound one. */
static size_t nn__plane(const nn_dataset *d)
{
  size_t plane, sample;
  if (d == NULL || d->count < 0 || d->channels < 1 || d->height < 1 || d->width < 1) return 0;
  if ((d->pixels != NULL) + (d->values != NULL) + (d->fill != NULL) != 1) return 0;
  if (!nn__mul((size_t)d->height, (size_t)d->width, &plane)) return 0;
  if (!nn__mul(plane, (size_t)d->channels, &sample)) return 0;
  return sample <= SIZE_MAX / sizeof(nn_real) ? plane : 0;
}

/* Adds up what the mean and the deviation of a channel are made of, in double: v - centre and its
 * square, of every step-th value of its planes from `from` on, up to each sample's end; gives how
 * many there are. Bytes are counted first: exact, and quick. */
static double nn__sums(const nn_dataset *d, size_t plane, size_t channel, size_t from, size_t step,
                       double centre, double *sum, double *squares)
{
  const double round = 4294967296.0; /* what a count of 32 bits has when it is 0 again */
  uint32_t seen[256] = {0};
  double count = 0;
  *sum = *squares = 0;
  for (int k = 0; k < d->count; k++) {
    const size_t image = nn__place_of(d, k);
    const size_t start = (image * (size_t)d->channels + channel) * plane;
    const int length = d->lengths && d->channels == 1 ? d->lengths[image] : d->height;
    const int steps = length < 0 ? 0 : length < d->height ? length : d->height;
    const size_t end = start + (size_t)steps * (size_t)d->width;
    count += (double)((end - start) / step);
    for (size_t at = start + from; at < end; at += step) {
      const double v = (d->pixels ? (double)d->pixels[at] : (double)d->values[at]) - centre;
      if (d->pixels) {
        if (++seen[d->pixels[at]] == 0) *sum += round * v, *squares += round * v * v;
        continue;
      }
      *sum += v;
      *squares += v * v;
    }
  }
  for (int v = 0; v < 256; v++) {
    *sum += (double)seen[v] * (v - centre);
    *squares += (double)seen[v] * (v - centre) * (v - centre);
  }
  return count;
}

void nn_dataset_free(nn_dataset *d)
{
  if (!d) return;
  nn_array_free(&d->owned[0]);
  nn_array_free(&d->owned[1]);
  memset(d, 0, sizeof *d);
}

/* A copy of an array as another type, I32 or that of nn_real, from its allocator. */
static nn_status nn__convert(const nn_array *a, nn_type type, const char *what, nn_array *to,
                             nn_message *why)
{
  size_t size;
  const int fits = nn__mul(a->count, nn__type_size(type), &size);
  *to = *a;
  to->type = type;
  to->data = fits ? nn__allocate(&a->allocator, size) : NULL;
  if (!to->data)
    return nn__say(why, NN_ERR_MEMORY, "%s: no memory for %zu numbers", what, a->count);
  for (size_t i = 0; i < a->count; i++) {
    int64_t whole = 0;
    double real = 0;
    int is_whole = 1;
    switch (a->type) {
    case NN_U8: whole = ((const uint8_t *)a->data)[i]; break;
    case NN_I32: whole = ((const int32_t *)a->data)[i]; break;
    case NN_I64: whole = ((const int64_t *)a->data)[i]; break;
    case NN_F32: real = (double)((const float *)a->data)[i], is_whole = 0; break;
    case NN_F64: real = ((const double *)a->data)[i], is_whole = 0; break;
    }
    if (type != NN_I32) {
      ((nn_real *)to->data)[i] = (nn_real)(is_whole ? (double)whole : real);
      continue;
    }
    if (!is_whole || whole < INT32_MIN || whole > INT32_MAX) {
      nn__release(&a->allocator, to->data, size);
      if (!is_whole) return nn__say(why, NN_ERR_FORMAT, "%s: labels are whole numbers", what);
      return nn__say(why, NN_ERR_FORMAT, "%s: %lld is too large for a label", what,
                     (long long)whole);
    }
    ((int32_t *)to->data)[i] = (int32_t)whole;
  }
  return NN_OK;
}

/* What the shape of an array of images says: which sizes, and whether channels come last. */
static nn_status nn__images_shape(const nn_array *x, nn_dataset *d, int *last, const char *what,
                                  nn_message *why)
{
  const size_t *dim = x->dim;
  if (x->rank < 2 || x->rank > 4 || !x->count)
    return nn__say(why, NN_ERR_FORMAT, "%s: not images [n,h,w], [n,c,h,w] or [n,h,w,c], sequences "
                                       "[n,t,f] or vectors [n,f]", what);
  for (int i = 0; i < x->rank; i++)
    if (dim[i] > INT_MAX)
      return nn__say(why, NN_ERR_LIMIT, "%s: a size of %zu is too large", what, dim[i]);
  const int few_first = x->rank == 4 && dim[1] <= 4, few_last = x->rank == 4 && dim[3] <= 4;
  const int image = x->rank == 4 && dim[2] > 4 && dim[1] <= 4 * dim[2] && dim[2] <= 4 * dim[1];
  if (few_last && (few_first ? dim[1] > 1 && dim[3] > 1 : !image))
    return nn__say(why, NN_ERR_SHAPE,
                   "%s: [%zu,%zu,%zu,%zu] may have its channels first or last: bring them to the "
                   "front (NumPy: x.transpose(0, 3, 1, 2)) and fill in an nn_dataset",
                   what, dim[0], dim[1], dim[2], dim[3]);
  *last = few_last && !few_first;
  d->count = (int)dim[0];
  d->channels = x->rank < 4 ? 1 : (int)dim[*last ? 3 : 1];
  d->height = x->rank < 3 ? 1 : (int)dim[x->rank < 4 || *last ? 1 : 2];
  d->width = (int)dim[*last ? 2 : x->rank - 1];
  return NN_OK;
}

/* Images [h,w,c] become [c,h,w] one by one, by way of one image's memory. */
static nn_status nn__channels_first(nn_array *x, const nn_dataset *d, const char *what,
                                    nn_message *why)
{
  const size_t each = nn__type_size(x->type), channels = (size_t)d->channels;
  const size_t plane = (size_t)d->height * (size_t)d->width, size = plane * channels * each;
  unsigned char *copy = nn__allocate(&x->allocator, size), *image = x->data;
  if (!copy) return nn__say(why, NN_ERR_MEMORY, "%s: no %zu bytes of memory", what, size);
  for (int i = 0; i < d->count; i++, image += size) {
    memcpy(copy, image, size);
    for (size_t c = 0; c < channels; c++)
      for (size_t p = 0; p < plane; p++)
        memcpy(image + (c * plane + p) * each, copy + (p * channels + c) * each, each);
  }
  nn__release(&x->allocator, copy, size);
  return NN_OK;
}

static nn_status nn__dataset_of(nn_array *x, nn_array *y, const char *x_name, const char *y_name,
                                nn_dataset *out, nn_message *why)
{
  nn_dataset d;
  nn_array images = *x, labels = y ? *y : nn__no_array;
  const nn_type real = NN__DOUBLE ? NN_F64 : NN_F32;
  int last = 0;
  memset(&d, 0, sizeof d);
  nn_status status = nn__images_shape(x, &d, &last, x_name, why);
  if (status != NN_OK) return status;
  if (y && (y->rank < 1 || y->rank > 2 || y->dim[0] != x->dim[0] || !y->count))
    return nn__say(why, NN_ERR_FORMAT, "%s: not one label, or row of labels, for each of the %zu "
                                       "images", y_name, x->dim[0]);
  if (y && y->type != NN_I32) status = nn__convert(y, NN_I32, y_name, &labels, why);
  if (status != NN_OK) return status;
  if (x->type != NN_U8 && x->type != real) status = nn__convert(x, real, x_name, &images, why);
  if (status == NN_OK && last) {
    status = nn__channels_first(&images, &d, x_name, why);
    if (status != NN_OK && images.data != x->data) nn_array_free(&images);
  }
  if (status != NN_OK) {
    if (y && labels.data != y->data) nn_array_free(&labels);
    return status;
  }
  if (images.data != x->data) nn_array_free(x);
  if (y && labels.data != y->data) nn_array_free(y);
  *x = nn__no_array;
  if (y) *y = nn__no_array;
  *out = nn_dataset_pixels(images.data, labels.data, d.count, d.channels, d.height, d.width);
  if (images.type != NN_U8) out->pixels = NULL, out->values = images.data;
  if (labels.rank == 2) out->label_size = labels.dim[1];
  out->owned[0] = images, out->owned[1] = labels;
  return NN_OK;
}

nn_status nn_dataset_from_arrays(nn_array *images, nn_array *labels, nn_dataset *out,
                                 nn_message *why)
{
  if (out) memset(out, 0, sizeof *out);
  if (!images || !images->data || (labels && !labels->data) || !out)
    return nn__say(why, NN_ERR_ARGUMENT, "a NULL argument, or an array without data");
  return nn__dataset_of(images, labels, "images", "labels", out, why);
}

#ifndef NN_NO_STDIO
/* IDX or npy, by its first bytes. */
static nn_status nn__load_any(const char *path, const nn_allocator *allocator, nn_array *out,
                              nn_message *why)
{
  unsigned char head[2] = {0};
  size_t size;
  FILE *f;
  nn_status status = nn__open(path, SIZE_MAX, &f, &size, why);
  if (status != NN_OK) return status;
  status = nn__read(f, path, 0, head, nn__min(size, sizeof head), why);
  fclose(f);
  if (status != NN_OK) return status;
  return head[0] == 0x93 && head[1] == 'N' ? nn_npy_load(path, allocator, out, why)
                                           : nn_idx_load(path, allocator, out, why);
}

nn_status nn_dataset_load(const char *images, const char *labels, const nn_allocator *allocator,
                          nn_dataset *out, nn_message *why)
{
  if (!images || !labels || !out) return nn__say(why, NN_ERR_ARGUMENT, "a NULL argument");
  nn_array x = nn__no_array, y = nn__no_array;
  memset(out, 0, sizeof *out);
  nn_status status = nn__load_any(images, allocator, &x, why);
  if (status == NN_OK) status = nn__load_any(labels, allocator, &y, why);
  if (status == NN_OK)
    status = nn__dataset_of(&x, &y, nn__path_end(images), nn__path_end(labels), out, why);
  nn_array_free(&x), nn_array_free(&y); /* empty, or what is of no use */
  return status;
}

/* The k-th file of CIFAR-10 in a folder (5: the tests), open; its path and number of records. */
static nn_status nn__cifar10_open(const char *folder, int k, char *path, FILE **f,
                                  size_t *records, nn_message *why)
{
  static const char *const names[6] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                       "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  const size_t length = strlen(folder), end = strlen(names[k]) + 1;
  size_t size = 0;
  if (length + 1 + end > NN__LONGEST_PATH + 1)
    return nn__say(why, NN_ERR_LIMIT, "%s: a path that is too long", nn__path_end(folder));
  memcpy(path, folder, length);
  path[length] = '/';
  memcpy(path + length + 1, names[k], end);
  const nn_status status = nn__open(path, SIZE_MAX, f, &size, why);
  if (status != NN_OK) return status;
  *records = size / 3073;
  if (size && size % 3073 == 0) return NN_OK;
  fclose(*f);
  return nn__say(why, NN_ERR_FORMAT, "%s: %zu bytes are not whole records of 3073: cut short?",
                 nn__path_end(path), size);
}

/* Reads a file's records straight to where they belong. `record` has room for one. */
static nn_status nn__cifar10_read(FILE *f, const char *path, size_t records, int gray,
                                  uint8_t *record, uint8_t **pixels, int32_t **labels,
                                  nn_message *why)
{
  for (size_t i = 0; i < records; i++) {
    const nn_status status = nn__read(f, path, i * 3073, record, 3073, why);
    if (status != NN_OK) return status;
    if (record[0] > 9)
      return nn__say(why, NN_ERR_FORMAT, "%s: byte %zu: label %d is not 0 .. 9",
                     nn__path_end(path), i * 3073, (int)record[0]);
    *(*labels)++ = record[0];
    *pixels = nn__cifar10_image(*pixels, record + 1, gray);
  }
  return NN_OK;
}

nn_status nn_dataset_load_cifar10(const char *folder, int test, int gray,
                                  const nn_allocator *allocator, nn_dataset *out, nn_message *why)
{
  if (!folder || !out) return nn__say(why, NN_ERR_ARGUMENT, "a NULL argument");
  const int first = test ? 5 : 0, end = test ? 6 : 5;
  size_t dim[4] = {0, gray ? 1 : 3, 32, 32}, records[6] = {0};
  size_t room = 3073 + NN__LONGEST_PATH + 1; /* a record and a path, too large for the stack */
  nn_array x = nn__no_array, y = x, record = x;
  FILE *f = NULL;
  memset(out, 0, sizeof *out);
  nn_status status = nn__new_bytes(&record, 1, &room, allocator);
  if (status != NN_OK) return nn__say(why, status, "CIFAR-10: out of memory");
  char *const path = (char *)record.data + 3073;
  for (int k = first; k < end && status == NN_OK; k++) {
    status = nn__cifar10_open(folder, k, path, &f, &records[k], why);
    if (status == NN_OK) fclose(f);
    dim[0] += records[k];
  }
  if (status == NN_OK && dim[0] > INT_MAX)
    status = nn__say(why, NN_ERR_LIMIT, "%s: %zu images are too many", nn__path_end(path), dim[0]);
  size_t label_bytes = dim[0] * sizeof(int32_t);
  if (status == NN_OK &&
      (nn__new_bytes(&x, 4, dim, allocator) || nn__new_bytes(&y, 1, &label_bytes, allocator)))
    status = nn__say(why, NN_ERR_MEMORY, "CIFAR-10: out of memory for %zu images", dim[0]);
  y.type = NN_I32, y.dim[0] = y.count = y.data ? dim[0] : 0;
  uint8_t *pixels = x.data;
  int32_t *labels = y.data;
  for (int k = first; k < end && status == NN_OK; k++) {
    size_t now = 0;
    status = nn__cifar10_open(folder, k, path, &f, &now, why);
    if (status != NN_OK) break;
    status = now < records[k] ? nn__say(why, NN_ERR_IO, "%s: became shorter", nn__path_end(path))
                              : nn__cifar10_read(f, path, records[k], gray, record.data, &pixels,
                                                 &labels, why);
    fclose(f);
  }
  nn_array_free(&record);
  if (status != NN_OK) {
    nn_array_free(&x), nn_array_free(&y);
    return status;
  }
  *out = nn_dataset_pixels(x.data, y.data, (int)dim[0], (int)dim[1], 32, 32);
  out->owned[0] = x, out->owned[1] = y;
  return NN_OK;
}
#endif

/* Mean of plane x [H,W] over the rectangle that output pixel (i, j) of [h,w] covers, its pixels
 * weighted by how much of them lies within. */
static double nn__area_mean(const uint8_t *x, int H, int W, int h, int w, int i, int j)
{
  const double top = (double)i * H / h, bottom = (double)(i + 1) * H / h;
  const double left = (double)j * W / w, right = (double)(j + 1) * W / w;
  double sum = 0;
  for (int r = (int)top; r < H && r < bottom; r++) {
    const double tall = fmin(bottom, r + 1) - fmax(top, r);
    for (int q = (int)left; q < W && q < right; q++)
      sum += tall * (fmin(right, q + 1) - fmax(left, q)) * x[(size_t)r * (size_t)W + (size_t)q];
  }
  return sum / ((bottom - top) * (right - left));
}

/* One image [c,H,W] in place: gray, then resized by way of `room`, then cut to its middle. */
static void nn__transform_image(uint8_t *x, int c, int H, int W, const nn_transform *t,
                                uint8_t *room)
{
  const int h = t->height ? t->height : H, w = t->width ? t->width : W, gray = t->gray && c == 3;
  const int ch = t->crop_height ? t->crop_height : h, cw = t->crop_width ? t->crop_width : w;
  const size_t plane = (size_t)H * (size_t)W;
  for (size_t p = 0; gray && p < plane; p++) x[p] = nn__luma(x[p], x[p + plane], x[p + 2 * plane]);
  const uint8_t *from = x;
  if (h != H || w != W) {
    for (int k = 0, at = 0; k < (gray ? 1 : c); k++)
      for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++, at++)
          room[at] = (uint8_t)(nn__area_mean(x + (size_t)k * plane, H, W, h, w, i, j) + .5);
    from = room;
  }
  for (int k = 0; k < (gray ? 1 : c); k++)
    for (int i = 0; i < ch; i++, x += cw)
      memmove(x, from + ((size_t)k * (size_t)h + (size_t)(i + (h - ch) / 2)) * (size_t)w +
              (size_t)((w - cw) / 2), (size_t)cw);
}

nn_status nn_dataset_transform(nn_dataset *d, const nn_transform *t, nn_message *why)
{
  if (!d || !t || !d->pixels || d->owned[0].data != d->pixels || !nn__plane(d) ||
      (d->labels && d->owned[1].data != d->labels) || d->targets || d->lengths || d->only ||
      d->fill)
    return nn__say(why, NN_ERR_ARGUMENT, "transform: not a set of pixels and labels of its own");
  const int h = t->height ? t->height : d->height, w = t->width ? t->width : d->width;
  const int ch = t->crop_height ? t->crop_height : h, cw = t->crop_width ? t->crop_width : w;
  const int every = t->every ? t->every : 1, c = t->gray && d->channels == 3 ? 1 : d->channels;
  if (h < 1 || w < 1 || h > d->height || w > d->width || ch < 1 || cw < 1 || ch > h || cw > w ||
      every < 1)
    return nn__say(why, NN_ERR_ARGUMENT, "transform: %dx%d, of it %dx%d, every %d, of %dx%d images",
                   h, w, ch, cw, every, d->height, d->width);
  const size_t size = (size_t)d->channels * nn__plane(d);
  const size_t small = (size_t)c * (size_t)ch * (size_t)cw;
  const size_t each = d->label_size ? d->label_size : 1;
  uint8_t *room = nn__allocate(&d->owned[0].allocator, size), *pixels = d->owned[0].data;
  int32_t *labels = d->owned[1].data;
  if (!room) return nn__say(why, NN_ERR_MEMORY, "transform: no memory for an image");
  int n = 0;
  for (int i = 0; i < d->count; i += every, n++) {
    uint8_t *image = pixels + (size_t)i * size;
    nn__transform_image(image, d->channels, d->height, d->width, t, room);
    memmove(pixels + (size_t)n * small, image, small);
    if (labels)
      memmove(labels + (size_t)n * each, labels + (size_t)i * each, each * sizeof *labels);
  }
  nn__release(&d->owned[0].allocator, room, size);
  d->count = n, d->channels = c, d->height = ch, d->width = cw;
  return NN_OK;
}

nn_status nn_dataset_moments(const nn_dataset *d, size_t count, nn_real *mean, nn_real *scale)
{
  const size_t plane = nn__plane(d);
  if (plane == 0 || d->count == 0 || d->fill || !mean || !scale) return NN_ERR_ARGUMENT;
  const int features = count != (size_t)d->channels; /* of one channel: the columns of its rows */
  if (features && (d->channels != 1 || count != (size_t)d->width)) return NN_ERR_ARGUMENT;
  for (size_t k = 0; k < count; k++) {
    const size_t channel = features ? 0 : k, from = features ? k : 0, step = features ? count : 1;
    const double unit = (double)nn__unit(d);
    double sum, squares;
    const double elements = nn__sums(d, plane, channel, from, step, 0, &sum, &squares);
    const double middle = sum / elements;
    /* About the mean: sum of squares minus square of the sum would cancel. */
    nn__sums(d, plane, channel, from, step, middle, &sum, &squares);
    const double centre = middle * unit, deviation = sqrt(squares / elements) * unit;
    /* NaN and infinity in the data end here; what is constant becomes all 0. */
    if (!(deviation <= 1e30) || !(fabs(centre) <= 1e30)) return NN_ERR_ARGUMENT;
    mean[k] = (nn_real)centre;
    scale[k] = (nn_real)(deviation < 1e-30 ? 1 : 1 / deviation);
  }
  return NN_OK;
}

/* Steps of a fixed length are what compilers turn into vector code at plain -O2, too. */
static void nn__to_reals(nn_real *restrict to, const uint8_t *restrict from, size_t n, nn_real unit)
{
  size_t i, j;
  for (i = 0; i + 16 <= n; i += 16)
    for (j = 0; j < 16; j++) to[i + j] = (nn_real)from[i + j] * unit;
  for (; i < n; i++) to[i] = (nn_real)from[i] * unit;
}

enum { NN__AUGMENT_MOST = 16383 }; /* (2 shift + 1)^2 places fit 32 bits */
static int nn__augment_fits(const nn_augment *a)
{
  return a->shift >= 0 && a->shift <= NN__AUGMENT_MOST && a->cutout >= 0 &&
         a->cutout <= NN__AUGMENT_MOST;
}

/* The changes of one image, the same for all its channels. */
typedef struct nn__change {
  int mirror, down, right;
  size_t top, bottom, left, side; /* the cut-out: rows top .. bottom-1, columns left .. side-1 */
} nn__change;

/* Always four numbers, one block, for an image: where image k's begin does not depend on what the
 * images before it drew. */
static nn__change nn__draw_change(const nn_augment *a, const nn_dataset *d, nn_random *r)
{
  nn__change change;
  uint32_t coin = nn_random_next(r), move = nn_random_next(r);
  uint32_t row = nn_random_next(r), column = nn_random_next(r);
  uint32_t moves = 2 * (uint32_t)a->shift + 1;
  int64_t top, left;
  change.mirror = a->flip && coin >> 31;
  move = (uint32_t)((uint64_t)move * moves * moves >> 32);
  change.down = (int)(move / moves) - a->shift;
  change.right = (int)(move % moves) - a->shift;
  top = (int64_t)((uint64_t)row * (uint32_t)d->height >> 32) - a->cutout / 2;
  left = (int64_t)((uint64_t)column * (uint32_t)d->width >> 32) - a->cutout / 2;
  change.bottom = (size_t)(top + a->cutout < d->height ? top + a->cutout : d->height);
  change.side = (size_t)(left + a->cutout < d->width ? left + a->cutout : d->width);
  change.top = (size_t)(top > 0 ? top : 0);
  change.left = (size_t)(left > 0 ? left : 0);
  return change;
}

/* In place on one plane: mirrored, moved, cut out, in this order. */
static void nn__change_plane(nn_real *x, int height, int width, const nn__change *change,
                             nn_real fill)
{
  size_t w = (size_t)width, i, j;
  size_t away = (size_t)(change->right < 0 ? -change->right : change->right);
  int row;
  if (change->mirror) {
    for (row = 0; row < height; row++) {
      nn_real *p = x + (size_t)row * w;
      for (i = 0, j = w - 1; i < j; i++, j--) {
        nn_real v = p[i];
        p[i] = p[j];
        p[j] = v;
      }
    }
  }
  if (change->down != 0 || change->right != 0) {
    if (away > w) away = w;
    for (row = 0; row < height; row++) { /* downwards from the bottom, so nothing is overwritten */
      int to = change->down > 0 ? height - 1 - row : row, from = to - change->down;
      nn_real *p = x + (size_t)to * w;
      size_t begin = 0, end = w; /* what fill covers */
      if (from >= 0 && from < height) {
        const nn_real *q = x + (size_t)from * w;
        if (change->right > 0) {
          memmove(p + away, q, (w - away) * sizeof *p);
          end = away;
        } else {
          memmove(p, q + away, (w - away) * sizeof *p);
          begin = w - away;
        }
      }
      for (i = begin; i < end; i++) p[i] = fill;
    }
  }
  for (i = change->top; i < change->bottom; i++)
    for (j = change->left; j < change->side; j++) x[i * w + j] = fill;
}

/* Labels and targets of a sample; 0 where a set has none. */
static size_t nn__labels_each(const nn_dataset *d)
{
  return d->fill ? d->label_size : !d->labels ? 0 : d->label_size ? d->label_size : 1;
}
static size_t nn__targets_each(const nn_dataset *d)
{
  return d->fill || d->targets ? d->target_size : 0;
}

/* n samples, and, where not NULL, what belongs to them. */
static nn_status nn__fetch(const nn_dataset *d, const int32_t *index, int n, nn_real *x,
                           int32_t *labels, nn_real *targets, int32_t *lengths)
{
  enum { AT_ONCE = 64 };
  const size_t plane = nn__plane(d), channels = (size_t)d->channels;
  const size_t label = nn__labels_each(d), target = nn__targets_each(d);
  int32_t numbers[AT_ONCE];
  for (int i = 0; d->fill && i < n; i += AT_ONCE) {
    const int some = n - i < AT_ONCE ? n - i : AT_ONCE;
    for (int k = 0; k < some; k++) numbers[k] = (int32_t)nn__place_of(d, index[i + k]);
    const nn_status status = d->fill(d->user, numbers, some, x + (size_t)i * channels * plane,
                                     labels ? labels + (size_t)i * label : NULL,
                                     targets ? targets + (size_t)i * target : NULL,
                                     lengths ? lengths + i : NULL);
    if (status != NN_OK) return status;
  }
  for (int i = 0; !d->fill && i < n; i++) {
    const size_t at = nn__place_of(d, index[i]);
    const size_t from = at * channels * plane;
    if (d->pixels)
      nn__to_reals(x, d->pixels + from, channels * plane, nn__unit(d));
    else
      memcpy(x, d->values + from, channels * plane * sizeof *x);
    x += channels * plane;
    if (labels) memcpy(labels + (size_t)i * label, d->labels + at * label, label * sizeof *labels);
    if (targets)
      memcpy(targets + (size_t)i * target, d->targets + at * target, target * sizeof *targets);
    if (lengths) lengths[i] = d->lengths[at];
  }
  return NN_OK;
}

/* Changes one sample that was fetched, if there is something to change. */
static void nn__augment(const nn_dataset *d, const nn_augment *a, nn_random *r, nn_real *x)
{
  if (!a || !(a->flip || a->shift || a->cutout)) return;
  const size_t plane = nn__plane(d);
  const nn__change change = nn__draw_change(a, d, r);
  for (int c = 0; c < d->channels; c++, x += plane)
    nn__change_plane(x, d->height, d->width, &change, a->fill ? a->fill[c] : 0);
}

nn_status nn_gather(const nn_dataset *d, const int32_t *index, int n,
                           const nn_augment *augment, nn_random *r, nn_real *x, int32_t *labels)
{
  const size_t plane = nn__plane(d);
  const int changes = augment && (augment->flip || augment->shift || augment->cutout);
  if (plane == 0 || n < 0 || (n > 0 && (index == NULL || x == NULL))) return NN_ERR_ARGUMENT;
  if (labels && !nn__labels_each(d)) return NN_ERR_ARGUMENT;
  if (changes && (r == NULL || !nn__augment_fits(augment))) return NN_ERR_ARGUMENT;
  for (int i = 0; i < n; i++)
    if (index[i] < 0 || index[i] >= d->count) return NN_ERR_ARGUMENT;
  const nn_status status = nn__fetch(d, index, n, x, labels, NULL, NULL);
  for (int i = 0; i < n && status == NN_OK; i++)
    nn__augment(d, augment, r, x + (size_t)i * (size_t)d->channels * plane);
  return status;
}

nn_status nn_dataset_split(const nn_dataset *d, double share, uint64_t seed, int32_t *index,
                           nn_dataset *train, nn_dataset *validation)
{
  if (!d || d->count < 2 || !index || index == d->only || !train || !validation ||
      !(share > 0 && share < 1))
    return NN_ERR_ARGUMENT;
  nn_dataset part = *d;
  const int count = d->count, second = (int)(share * count + .5);
  if (second < 1 || second == count) return NN_ERR_ARGUMENT;
  for (int i = 0; i < count; i++)
    index[i] = (int32_t)nn__place_of(d, (int)nn_shuffled(seed, 0, (uint32_t)count, (uint32_t)i));
  memset(part.owned, 0, sizeof part.owned);
  part.only = index, part.count = count - second;
  *train = part;
  part.only = index + part.count, part.count = second;
  *validation = part;
  return NN_OK;
}

/* ----------------------- a data set's batches for a model ----------------------- */
#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT

/* Whether a data set's samples can feed a model. */
static nn_status nn__check_samples(nn_model *m, const nn_dataset *d, const char *who)
{
  if (!d || d->count < 1 || d->channels < 1 || d->height < 1 || d->width < 1 ||
      (!d->pixels && !d->values && !d->fill))
    return nn__error(m, NN_ERR_ARGUMENT, "%s: the data set is empty", who);
  const nn__node *x = &m->node[m->input[0]];
  const int image = x->rank == 3, sequence = x->rank == 2;
  nn__shape_text shape;
  if ((image && (d->channels != x->dim[0] || d->height != x->dim[1] || d->width != x->dim[2])) ||
      (sequence && (d->channels != 1 || d->height != x->dim[0] || d->width != x->dim[1])) ||
      (double)d->channels * d->height * d->width != (double)nn__input_size(m))
    return nn__error(m, NN_ERR_SHAPE, "%s: samples of %d channels, %dx%d; %s is %s", who,
                     d->channels, d->height, d->width, x->name, nn__shape(x, &shape));
  for (int i = 0; d->only && i < d->count; i++)
    if (d->only[i] < 0)
      return nn__error(m, NN_ERR_ARGUMENT, "%s: the data set's number %d of only is %d", who, i,
                       (int)d->only[i]);
  return nn__check_lengths(m, d->fill ? NULL : d->lengths, d->only, d->count, who);
}

/* The sample whose turn it is at a place of an epoch. */
static int32_t nn__sample_at(const nn_model *m, const nn_dataset *d, int64_t epoch, int64_t place,
                             int shuffle)
{
  return shuffle ? (int32_t)nn_shuffled(m->config.seed, (uint64_t)epoch, (uint32_t)d->count,
                                        (uint32_t)place)
                 : (int32_t)place;
}

/* A forward over samples that follow on nothing: layers with carry start from 0 and keep what they
 * carry. */
static nn_status nn__forward_fresh(nn_model *m, const nn_batch *b, nn_mode mode)
{
  m->fresh = 1;
  const nn_status status = nn_forward(m, b, (int)mode);
  m->fresh = 0;
  return status;
}

/* n samples from `place` on to the stage, with what belongs to them and has room there, and the
 * batch that shows them to the model. */
static nn_status nn__stage(nn_model *m, const nn_dataset *d, const nn_augment *augment,
                           int64_t epoch, int64_t place, int n, int shuffle, nn_batch *b)
{
  enum { AT_ONCE = 64 };
  const nn__node *out = &m->node[m->output];
  const size_t each = nn__input_size(m), steps = nn__most_steps(m);
  const size_t labels = nn__labels_each(d), targets = nn__targets_each(d);
  memset(b, 0, sizeof *b);
  b->n = n, b->x[0] = m->stage;
  if (labels == out->rows) b->labels = m->stage_labels;
  if (targets == out->rows * out->cols) b->values = m->stage_values;
  if (d->fill ? steps > 0 : d->lengths != NULL) b->lengths = m->stage_lengths;
  for (int i = 0; i < n && d->fill; i++) m->stage_lengths[i] = (int32_t)steps;
  for (int from = 0; from < n; from += AT_ONCE) {
    const int some = n - from < AT_ONCE ? n - from : AT_ONCE;
    const size_t at = (size_t)from;
    int32_t index[AT_ONCE];
    for (int i = 0; i < some; i++)
      index[i] = nn__sample_at(m, d, epoch, place + from + i, shuffle);
    const nn_status status = nn__fetch(d, index, some, m->stage + at * each,
                                       b->labels ? m->stage_labels + at * labels : NULL,
                                       b->values ? m->stage_values + at * targets : NULL,
                                       b->lengths ? m->stage_lengths + at : NULL);
    if (status != NN_OK) return nn__error(m, status, "the data set cannot be read");
    for (int i = 0; i < some; i++) {
      /* a stream for each sample of each epoch, so that augmentation is the same after a resume */
      nn_random r = {m->config.seed ^ 0xA06E000000000000u,
                     (uint64_t)epoch << 32 | (uint64_t)(uint32_t)index[i], 0};
      nn__augment(d, augment, &r, m->stage + (at + (size_t)i) * each);
    }
  }
  int whole = d->fill != NULL; /* of full length, as if none had been given */
  for (int i = 0; i < n && whole; i++) whole = (size_t)m->stage_lengths[i] == steps;
  if (whole) b->lengths = NULL;
  return NN_OK;
}
#endif

/* ======================================= @@INSPECT =========================================
 * Looking inside. Everything here reads a model and leaves it as it was: forwards are
 * NN_INSPECTING ones, and what is counted goes to the caller's arrays. */
#ifndef NN_NO_INSPECT

/* ---- statistics --------------------------------------------------------------------------- */

static int nn__can_add(int64_t a, int64_t b) { return a >= 0 && b >= 0 && a <= INT64_MAX - b; }

/* Of two parts a and b with n = na + nb and d = mean_b - mean_a:
 * mean = mean_a + d nb/n;  m2 = m2_a + m2_b + d^2 na nb/n. */
nn_status nn_moments_merge(nn_moments *to, const nn_moments *from)
{
  if (!to || !from || !nn__can_add(to->count, from->count) ||
      !nn__can_add(to->zeros, from->zeros) || !nn__can_add(to->not_finite, from->not_finite))
    return NN_ERR_ARGUMENT;
  to->zeros += from->zeros;
  to->not_finite += from->not_finite;
  if (!from->count) return NN_OK;
  const double a = (double)to->count, b = (double)from->count, d = from->mean - to->mean;
  if (!to->count || from->min < to->min) to->min = from->min;
  if (!to->count || from->max > to->max) to->max = from->max;
  to->count += from->count;
  to->mean += d * (b / (a + b));
  to->m2 += from->m2 + d * d * (a * b / (a + b));
  return NN_OK;
}

/* Pieces that stay in the first-level cache: the mean, then the squares of what is off it, less
 * what the mean lost to rounding (the corrected two-pass sum); and the pieces merged. */
nn_status nn_moments_add(nn_moments *to, const nn_real *x, size_t count)
{
  enum { NN__PIECE = 1024 };
  if (!to || (!x && count)) return NN_ERR_ARGUMENT;
  for (size_t first = 0; first < count; first += NN__PIECE) {
    const size_t n = nn__min(NN__PIECE, count - first);
    const nn_real *at = x + first;
    nn_moments s;
    double sum = 0, rest = 0;
    memset(&s, 0, sizeof s);
    for (size_t i = 0; i < n; i++) {
      const double v = (double)at[i];
      if (!nn__finite(v)) {
        s.not_finite++;
        continue;
      }
      if (!s.count || v < s.min) s.min = v;
      if (!s.count || v > s.max) s.max = v;
      s.zeros += v == 0;
      s.count++;
      sum += v;
    }
    if (s.count) s.mean = sum / (double)s.count;
    for (size_t i = 0; i < n; i++) {
      const double v = (double)at[i], off = v - s.mean;
      if (!nn__finite(v)) continue;
      s.m2 += off * off;
      rest += off;
    }
    if (s.count) s.m2 -= rest * rest / (double)s.count;
    const nn_status status = nn_moments_merge(to, &s);
    if (status != NN_OK) return status;
  }
  return NN_OK;
}

double nn_moments_variance(const nn_moments *s)
{
  return s && s->count > 0 ? s->m2 / (double)s->count : 0;
}

double nn_moments_deviation(const nn_moments *s) { return sqrt(nn_moments_variance(s)); }

static int nn__is_range(double low, double high)
{
  return fabs(low) <= 1e300 && fabs(high) <= 1e300 && low < high; /* so the width is finite */
}

nn_status nn_histogram_range(nn_histogram *h, double low, double high)
{
  if (!h || !nn__is_range(low, high)) return NN_ERR_ARGUMENT;
  memset(h, 0, sizeof *h);
  h->low = low, h->high = high;
  return NN_OK;
}

nn_status nn_histogram_add(nn_histogram *h, const nn_real *x, size_t count)
{
  if (!h || (!x && count) || !nn__is_range(h->low, h->high)) return NN_ERR_ARGUMENT;
  const double scale = NN_HISTOGRAM_BINS / (h->high - h->low);
  for (size_t i = 0; i < count; i++) {
    const double v = (double)x[i];
    if (v != v)
      h->nans++;
    else if (v < h->low)
      h->below++;
    else if (v > h->high)
      h->above++;
    else /* at the upper end the product is the number of bins, or a rounding above it */
      h->bin[nn__min((size_t)((v - h->low) * scale), NN_HISTOGRAM_BINS - 1)]++;
  }
  return NN_OK;
}

nn_status nn_histogram_merge(nn_histogram *to, const nn_histogram *from)
{
  if (!to || !from || to->low != from->low || to->high != from->high) return NN_ERR_ARGUMENT;
  int can = nn__can_add(to->below, from->below) && nn__can_add(to->above, from->above) &&
            nn__can_add(to->nans, from->nans);
  for (int i = 0; i < NN_HISTOGRAM_BINS; i++) can = can && nn__can_add(to->bin[i], from->bin[i]);
  if (!can) return NN_ERR_ARGUMENT;
  for (int i = 0; i < NN_HISTOGRAM_BINS; i++) to->bin[i] += from->bin[i];
  to->below += from->below, to->above += from->above, to->nans += from->nans;
  return NN_OK;
}

/* ---- what the last forward left ----------------------------------------------------------- */

nn_status nn_observe(nn_model *m, int node, nn_moments *moments, nn_histogram *histogram,
                     nn_real *unit_max)
{
  if (!m) return NN_ERR_ARGUMENT;
  const nn_status status = nn__readable(m, node, "observe");
  if (status != NN_OK) return status;
  if (histogram && !nn__is_range(histogram->low, histogram->high))
    return nn__error(m, NN_ERR_ARGUMENT, "observe: the histogram has no range");
  const nn__node *x = &m->node[node];
  const size_t n = (size_t)m->n, rows = n * x->rows, cols = x->cols;
  const size_t run = m->has_lengths && x->rank == 2 ? 1 : rows; /* rows that count alike */
  for (size_t r = 0; r < rows; r += run) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    if (!nn__row_counts(m, x, sample, place)) continue;
    const nn_real *at = x->y + r * cols;
    if (moments) nn_moments_add(moments, at, run * cols);
    if (histogram) nn_histogram_add(histogram, at, run * cols);
    for (size_t i = 0; i < run && unit_max; i++, at += cols)
      for (size_t j = 0; j < cols; j++)
        if (at[j] > unit_max[j]) unit_max[j] = at[j];
  }
  return NN_OK;
}

typedef struct nn__peaks_job {
  nn_model *m;
  const nn__node *x;
  int first, per_map;
  nn_peak *peaks;
} nn__peaks_job;

/* One map: the greatest of each sample, put among the peaks found so far. */
static void nn__peaks_task(void *arg, size_t map, int thread)
{
  const nn__peaks_job *job = arg;
  const nn__node *x = job->x;
  const size_t n = (size_t)job->m->n, wide = x->rank == 3 ? (size_t)x->dim[2] : 1;
  nn_peak *peaks = job->peaks + map * (size_t)job->per_map;
  (void)thread;
  for (size_t i = 0; i < n; i++) {
    nn_peak best = {0, -1, 0, 0};
    for (size_t p = 0; p < x->rows; p++) {
      const nn_real v = x->y[nn__row_at(x, n, i, p) * x->cols + map];
      if (!nn__row_counts(job->m, x, i, p) || v != v || (best.sample >= 0 && v <= best.value))
        continue;
      best.value = v, best.sample = job->first + (int)i;
      best.row = (int32_t)(p / wide), best.column = (int32_t)(p % wide);
    }
    if (best.sample < 0) continue; /* nothing but NaN */
    int at = job->per_map;
    while (at > 0 && (peaks[at - 1].sample < 0 || best.value > peaks[at - 1].value)) at--;
    if (at == job->per_map) continue;
    memmove(peaks + at + 1, peaks + at, (size_t)(job->per_map - at - 1) * sizeof *peaks);
    peaks[at] = best;
  }
}

nn_status nn_peaks_add(nn_model *m, int node, int first, int per_map, nn_peak *peaks)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!peaks || per_map < 1 || first < 0 || first > INT_MAX - NN__MAX_BATCH)
    return nn__error(m, NN_ERR_ARGUMENT, peaks ? "peaks: %d a map, must be 1 or more; first %d"
                                               : "peaks: nowhere to put them", per_map, first);
  const nn_status status = nn__readable(m, node, "peaks");
  if (status != NN_OK) return status;
  nn__peaks_job job = {m, &m->node[node], first, per_map, peaks};
  nn__parallel(&m->context.pool, job.x->cols, nn__peaks_task, &job);
  return NN_OK;
}

nn_status nn_confusion_add(nn_model *m, const int32_t *labels, int64_t *counts)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!labels || !counts)
    return nn__error(m, NN_ERR_ARGUMENT, "confusion: %s", labels ? "no counts" : "no labels");
  if (!m->ran) return nn__error(m, NN_ERR_STATE, "confusion: no forward before it");
  const nn__node *out = &m->node[m->output];
  const size_t n = (size_t)m->n, classes = out->cols;
  if (out->rank == 3)
    return nn__error(m, NN_ERR_SHAPE, "confusion: %s gives an image, not classes", out->name);
  const nn_status status = nn__check_labels(m, labels, NULL, n, out, nn__lengths(m), "confusion");
  if (status != NN_OK) return m->status = status;
  for (size_t r = 0; r < n * out->rows; r++) {
    size_t sample, place;
    nn__row_of(out, n, r, &sample, &place);
    const int32_t label = labels[sample * out->rows + place];
    if (label < 0 || !nn__row_counts(m, out, sample, place)) continue;
    counts[(size_t)label * classes + nn__greatest(out->y + r * classes, classes)]++;
  }
  return NN_OK;
}

/* ---- over a data set ---------------------------------------------------------------------- */

static nn_status nn__has_stage(nn_model *m, const char *who)
{
  if (m->built && m->stage) return NN_OK;
  return nn__error(m, NN_ERR_STATE, "%s: needs a built model with one input, and a loss or "
                                    "config.keep_activations", who);
}

nn_status nn_survey(nn_model *m, const nn_dataset *d, nn_on_batch on_batch, void *user)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!on_batch) return nn__error(m, NN_ERR_ARGUMENT, "survey: nothing to call");
  nn_status status = nn__has_stage(m, "survey");
  if (status == NN_OK) status = nn__check_samples(m, d, "survey");
  for (int64_t place = 0; status == NN_OK && place < d->count; place += m->config.batch) {
    const int64_t left = d->count - place, size = m->config.batch;
    nn_batch b;
    status = nn__stage(m, d, NULL, 0, place, (int)(left < size ? left : size), 0, &b);
    if (!d->fill && !d->only) { /* as they lie, of any size */
      b.labels = d->labels ? d->labels + (size_t)place * nn__labels_each(d) : NULL;
      b.values = d->targets ? d->targets + (size_t)place * d->target_size : NULL;
    }
    if (status == NN_OK) status = nn__forward_fresh(m, &b, NN_INSPECTING);
    if (status == NN_OK) status = on_batch(user, m, &b, (int)place);
  }
  return status;
}

static nn_status nn__count_confusion(void *counts, nn_model *m, const nn_batch *b, int first)
{
  (void)first;
  return nn_confusion_add(m, b->labels, counts);
}

nn_status nn_confusion(nn_model *m, const nn_dataset *d, int64_t *counts)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!d || !nn__labels_each(d) || !counts)
    return nn__error(m, NN_ERR_ARGUMENT, "confusion: %s",
                     counts ? "the data set has no labels" : "no counts");
  const nn_status status = nn__has_stage(m, "confusion");
  if (status != NN_OK) return status;
  const nn__node *out = &m->node[m->output];
  const size_t has = nn__labels_each(d);
  if (has != out->rows)
    return nn__error(m, NN_ERR_SHAPE, "confusion: %zu label(s) a sample, %s answers %zu times", has,
                     out->name, out->rows);
  memset(counts, 0, out->cols * out->cols * sizeof *counts);
  return nn_survey(m, d, nn__count_confusion, counts);
}

typedef struct nn__find_peaks {
  int node, per_map;
  nn_peak *peaks;
} nn__find_peaks;

static nn_status nn__add_peaks(void *user, nn_model *m, const nn_batch *b, int first)
{
  const nn__find_peaks *f = user;
  (void)b;
  return nn_peaks_add(m, f->node, first, f->per_map, f->peaks);
}

nn_status nn_peaks(nn_model *m, const nn_dataset *d, int node, int per_map, nn_peak *peaks)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!peaks || per_map < 1)
    return nn__error(m, NN_ERR_ARGUMENT, peaks ? "peaks: %d a map, must be 1 or more"
                                               : "peaks: nowhere to put them", per_map);
  nn__find_peaks f = {node, per_map, peaks};
  nn_status status = nn__has_stage(m, "peaks");
  if (status == NN_OK) status = nn__kept(m, node, "peaks");
  if (status != NN_OK) return status;
  const nn_peak none = {0, -1, 0, 0};
  for (size_t i = 0; i < m->node[node].cols * (size_t)per_map; i++) peaks[i] = none;
  return nn_survey(m, d, nn__add_peaks, &f);
}

/* ---- images ------------------------------------------------------------------------------- */

/* Back from the unit, node by node: each reader widens the window [top, bottom] x [left, right] of
 * what it reads; bottom < top: nothing of it is seen. */
nn_status nn_receptive_field(nn_model *m, int node, int row, int column, int part[4])
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->built) return nn__error(m, NN_ERR_STATE, "receptive field: the model is not built");
  if (!part || node < 0 || node >= m->nodes)
    return nn__error(m, NN_ERR_ARGUMENT, part ? "receptive field: no node %d"
                                              : "receptive field: nowhere to put it", node);
  const nn__node *unit = &m->node[node];
  const int h = unit->rank == 3 ? unit->dim[1] : 1, w = unit->rank == 3 ? unit->dim[2] : 1;
  if (row < 0 || row >= h || column < 0 || column >= w)
    return nn__error(m, NN_ERR_ARGUMENT, "receptive field: %s has no place %d, %d", unit->name, row,
                     column);
  const int none[4] = {0, 0, -1, -1}, place[4] = {row, column, row, column};
  for (int i = 0; i <= node; i++)
    memcpy(m->node[i].seen, i == node ? place : none, sizeof none);
  for (int i = node; i >= 0; i--) {
    const nn__node *y = &m->node[i];
    const int *seen = y->seen;
    const nn_conv2d_options *o = &y->window;
    const int windows = y->kind == NN__CONV2D || y->kind == NN__MAX_POOL || y->kind == NN__AVG_POOL;
    for (int k = 0; k < y->inputs && seen[0] <= seen[2]; k++) {
      nn__node *x = &m->node[y->in[k]];
      int *to = x->seen, from[4];
      if (x->rank != 3) continue; /* without places; whatever image it stems from is seen whole */
      memcpy(from, seen, sizeof from);
      if (windows && !o->stride_h) {
        for (int s = 0; s < 2; s++) {
          const nn__axis a = {(size_t)x->dim[1 + s], (size_t)y->dim[1 + s], 0, 0, 0};
          size_t length;
          from[s] = (int)nn__window(&a, (size_t)seen[s], &length, &length);
          from[s + 2] = (int)(nn__window(&a, (size_t)seen[s + 2], &length, &length) + length) - 1;
        }
      } else if (y->kind == NN__UPSAMPLE) {
        for (int s = 0; s < 4; s++) from[s] /= s % 2 ? o->stride_w : o->stride_h;
      } else if (y->kind == NN__PADDED || y->kind == NN__CROP) {
        for (int s = 0; s < 4; s++)
          from[s] += (y->kind == NN__CROP ? 1 : -1) * (s % 2 ? o->pad_w : o->pad_h);
      } else if (windows) {
        from[0] = from[0] * o->stride_h - o->pad_h, from[1] = from[1] * o->stride_w - o->pad_w;
        from[2] = from[2] * o->stride_h - o->pad_h + o->dilation_h * (o->kernel_h - 1);
        from[3] = from[3] * o->stride_w - o->pad_w + o->dilation_w * (o->kernel_w - 1);
      } else if (y->rank != 3 || y->kind == NN__LAYER_NORM) {
        from[0] = from[1] = 0, from[2] = x->dim[1] - 1, from[3] = x->dim[2] - 1;
      }
      const int empty = to[2] < to[0];
      for (int s = 0; s < 4; s++) {
        const int last = x->dim[1 + s % 2] - 1;
        const int at = from[s] < 0 ? 0 : from[s] > last ? last : from[s];
        if (empty || (s < 2 ? at < to[s] : at > to[s])) to[s] = at;
      }
    }
    for (int k = 0; k < y->inputs && y->rank != 3 && seen[0] <= seen[2]; k++)
      if (m->node[y->in[k]].rank != 3) memset(m->node[y->in[k]].seen, 0, sizeof none);
  }
  const nn__node *in = &m->node[m->input[0]];
  const int *at = in->seen;
  memset(part, 0, 4 * sizeof *part);
  if (m->input[0] > node || at[2] < at[0]) return NN_OK; /* it sees nothing of that input */
  part[2] = in->rank > 1 ? in->dim[in->rank - 2] : 1, part[3] = in->dim[in->rank - 1];
  if (in->rank != 3) return NN_OK;
  part[0] = at[0], part[1] = at[1];
  part[2] = at[2] - at[0] + 1, part[3] = at[3] - at[1] + 1;
  return NN_OK;
}

/* ---- occlusion ---------------------------------------------------------------------------- */

/* The input as an image [C,H,W]; a sequence is one of a single channel. */
static nn_status nn__occlusion_image(nn_model *m, const nn_occlusion_options *o, int size[3])
{
  const nn_status status = nn__has_stage(m, "occlusion");
  if (status != NN_OK) return status;
  const nn__node *x = &m->node[m->input[0]];
  if (x->rank < 2 || x->kind == NN__TOKENS)
    return nn__error(m, NN_ERR_SHAPE, "occlusion: %s is neither image nor sequence", x->name);
  size[0] = x->rank == 3 ? x->dim[0] : 1;
  size[1] = x->dim[x->rank - 2], size[2] = x->dim[x->rank - 1];
  const int side = size[1] < size[2] ? size[1] : size[2];
  if (!o || o->side < 1 || o->side > side || o->stride < 1)
    return nn__error(m, NN_ERR_ARGUMENT, "occlusion: side %d, must be 1..%d; stride %d, 1 or more",
                     o ? o->side : 0, side, o ? o->stride : 0);
  return NN_OK;
}

nn_status nn_occlusion_size(nn_model *m, const nn_occlusion_options *o, int *height, int *width)
{
  int size[3] = {0};
  if (!m || !height || !width) return NN_ERR_ARGUMENT;
  const nn_status status = nn__occlusion_image(m, o, size);
  if (status != NN_OK) return status;
  *height = (size[1] - o->side) / o->stride + 1;
  *width = (size[2] - o->side) / o->stride + 1;
  return NN_OK;
}

nn_status nn_occlusion(nn_model *m, const nn_real *image, const nn_occlusion_options *o,
                       nn_real *probability, nn_real *activity, int32_t *predicted)
{
  int size[3], height, width;
  if (!m) return NN_ERR_ARGUMENT;
  nn_status status = nn__occlusion_image(m, o, size);
  if (status == NN_OK) status = nn_occlusion_size(m, o, &height, &width);
  if (status != NN_OK) return status;
  const nn__node *out = &m->node[m->output], *x = NULL;
  if (!image) return nn__error(m, NN_ERR_ARGUMENT, "occlusion: no image");
  if ((probability || predicted) && out->rank != 1)
    return nn__error(m, NN_ERR_SHAPE, "occlusion: the output is not a vector");
  if (probability && (o->label < 0 || (size_t)o->label >= out->cols))
    return nn__error(m, NN_ERR_ARGUMENT, "occlusion: label %d is not in 0..%zu", (int)o->label,
                     out->cols - 1);
  if (activity) {
    status = nn__kept(m, o->node, "occlusion");
    if (status != NN_OK) return status;
    x = &m->node[o->node];
    if (o->map < 0 || (size_t)o->map >= x->cols)
      return nn__error(m, NN_ERR_ARGUMENT, "occlusion: %s has no map %d", x->name, o->map);
  }
  const size_t each = nn__input_size(m), w = (size_t)size[2], side = (size_t)o->side;
  const size_t places = (size_t)height * (size_t)width, batch = (size_t)m->config.batch;
  for (size_t first = 0; first < places; first += batch) {
    nn_batch b;
    memset(&b, 0, sizeof b);
    b.n = (int)nn__min(batch, places - first), b.x[0] = m->stage;
    for (size_t i = 0; i < (size_t)b.n; i++) {
      const size_t top = (first + i) / (size_t)width * (size_t)o->stride;
      const size_t left = (first + i) % (size_t)width * (size_t)o->stride;
      nn_real *copy = m->stage + i * each;
      memcpy(copy, image, each * sizeof *copy);
      for (size_t c = 0; c < (size_t)size[0]; c++)
        for (size_t r = top; r < top + side; r++)
          for (size_t q = left; q < left + side; q++)
            copy[(c * (size_t)size[1] + r) * w + q] = o->fill ? o->fill[c] : 0;
    }
    status = nn__forward_fresh(m, &b, NN_INSPECTING);
    if (status != NN_OK) return status;
    for (size_t i = 0; i < (size_t)b.n; i++) {
      const nn_real *row = out->y + i * out->cols;
      if (probability) probability[first + i] = nn__probability(out, row, (size_t)o->label);
      if (predicted) predicted[first + i] = (int32_t)nn__greatest(row, out->cols);
      double sum = 0;
      for (size_t p = 0; x && p < x->rows; p++)
        sum += (double)x->y[nn__row_at(x, (size_t)b.n, i, p) * x->cols + (size_t)o->map];
      if (activity) activity[first + i] = (nn_real)sum;
    }
  }
  return NN_OK;
}

/* ---- back to the inputs ------------------------------------------------------------------- */
#ifndef NN_NO_TRAINING

nn_status nn_project(nn_model *m, int node, const nn_real *start, nn_rule rule)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!start || (unsigned)rule > NN_RULE_GUIDED)
    return nn__error(m, NN_ERR_ARGUMENT, start ? "project: no rule %d" : "project: no start",
                     (int)rule);
  if (node < 0 || node >= m->nodes)
    return nn__error(m, NN_ERR_ARGUMENT, "project: no node %d", node);
  if (m->config.inference || !m->config.input_gradient)
    return nn__error(m, NN_ERR_STATE, m->config.inference ? "project: an inference model"
                                                          : "project: needs config.input_gradient");
  if (m->training != NN_INSPECTING || m->ran != 1) /* going back uses up what forward left */
    return nn__error(m, NN_ERR_STATE, "project: needs an NN_INSPECTING forward before it");
  nn__node *x = &m->node[node];
  if (!x->dy) /* losses, tokens */
    return nn__error(m, NN_ERR_STATE, "project: nothing goes back from %s", x->name);
  nn__copy_border(m, x, (size_t)m->n, x->dy, start, 1);
  m->rule = rule;
  const nn_status status = nn__backward_all(m, node);
  m->rule = NN_RULE_GRADIENT;
  return status;
}
#endif
#endif

/* ========================================= @@IO ============================================ */
/* A model as bytes. Everything is little-endian, written and read byte by byte: u32 and u64 have no
 * sign, f64 is the bits of an IEEE 754 binary64, real those of a binary32 or binary64 as the header
 * says (either loads into either build), flag a u32 that is 0 or 1, text one byte of length and so
 * many bytes 0x21..0x7E.
 *
 *   header    8 bytes 89 6E 6E 0D 0A 1A 0A 00, which a text-mode transfer would change
 *             u32 0x01020304 (byte-order mark), u32 version = 1, u32 bytes of a real: 4 or 8
 *             u64 size of the whole file, u32 CRC-32 of the 28 bytes before it
 *   sections  to the end of the file, each: tag of 4 letters, u64 length of the body, the body,
 *             u32 CRC-32 of tag, length and body. Any order, none twice. A reader that does not
 *             know a tag skips it if its first letter is small and refuses the file if it is not.
 *
 *   CONF  u64 seed
 *   GRPH  u32 number of layers; each:
 *         text kind (as in NN__KINDS), text name, u32 nn_init, f64 its value,
 *         u32 number of inputs, u32 each of them: a layer before this one; then, by kind,
 *           input              u32 rank, rank times u32 size
 *           tokens             u32 steps
 *           conv               u32 out, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w,
 *                              dilation_h, dilation_w, groups, flag no_bias
 *           linear             u32 out, flag no_bias
 *           pad, crop u32 top, left, height, width; upsample u32 factors of height and width
 *           max_pool, avg_pool u32 kernel, stride, pad
 *           max_pool2d, avg_pool2d u32 kernel, stride, pad of the height, then of the width; flags
 *           ceil, exclude_pad; strides 0: adaptive, and the kernel is the size of the output
 *           leaky_relu         f64 slope
 *           dropout            f64 rate
 *           embedding          u32 vocabulary, width
 *           rnn, lstm, gru     u32 hidden, layers, f64 dropout, flag relu (rnn alone), carry
 *           cross_entropy      f64 smoothing, u32 number of class weights (or 0), real each
 *   pads  zeros, so that the reals of PARM, which follows, lie at a multiple of 64 bytes
 *   PARM  u32 number of arrays, the trained ones before the running statistics; each: text name,
 *         u32 rank, rank times u32 size; then the reals of all of them in the same order
 * and in a checkpoint, all three or none:
 *   OPTM  u32 nn_optimizer_kind, f64 rate, momentum, alpha, beta1, beta2, eps, weight_decay,
 *         clip_norm, clip_value, flag nesterov, u32 nn_schedule_kind, u64 warmup, total, period,
 *         f64 gamma, floor, u64 steps done, u64 of them those in the state, u32 number of state
 *         blocks (what the optimizer needs);
 *         each block: a real for every trained real of PARM
 *   STAT  u64 training passes done (the stream of dropout); for each layer with carry, in order:
 *         u32 samples n (0: no state), for each of its layers real h [n,hidden], lstm c [n,hidden]
 *   PROG  (nn_progress) u64 step, epoch, place, correct, rows, f64 loss, accuracy, loss_sum,
 *         weight, and, but in files of version 0.1.0, u64 left_out, left_out_in_a_row, best_step,
 *         validated, not_better, f64 best_loss, best_accuracy
 *   GRUP  only where layers differ (nn_set_learning): u32 number of layers, for each f64 its
 *         factors of rate and weight decay; flag decay_weights_only
 * and in both, where there are any:
 *   note  u32 number of notes; each: text key, u32 bytes of its text, the text in UTF-8
 * Enumerations are the numbers in nn.h; counts in u64 are at most 2^53. A checkpoint is taken
 * between steps: gradients that no nn_step has used yet are not in it. Going on from it gives the
 * same bits if the ISA is the same, and no state was carried for more samples than config.batch:
 * such a state is dropped.
 *
 * LOADING. The sections are found and their CRCs checked. Then they are walked with no place to put
 * anything: layers go through the builder calls, which check every number and shape, and the arrays
 * of PARM must be those that the layers make. Only then the model is built, and a second walk fills
 * it. NaN and infinite parameters are taken as they are, so a run that diverged can be looked at.
 * What is allocated: nn_model_size, and nn_plan's bytes. These are copies of the parameters, a few
 * times the file at most (64/9 times where Winograd's transform packs them), and activations. A few
 * bytes of layers can ask for huge images, so what is not parameters must stay below config.batch
 * times 256 MiB (a full-HD image through a small net) or, where that is more, 4096 times the file:
 * NN_ERR_LIMIT. */
enum { NN__IO_VERSION = 1, NN__IO_MARK = 0x01020304, NN__IO_HEADER = 32, NN__IO_AROUND = 16 };
static const unsigned char nn__io_magic[8] = {0x89, 0x6E, 0x6E, 0x0D, 0x0A, 0x1A, 0x0A, 0};
static const int64_t nn__io_most = (int64_t)1 << 53; /* exact as a double, and room to count on */

/* One vocabulary reads, writes and counts: each word goes one step through the bytes, taking the
 * value from there or putting it there. After a failure nothing moves and what is read is zero. */
typedef struct nn__io {
  nn_model *m;
  nn_progress progress;
  int checkpoint;
  int reading, wide;         /* bytes of a real */
  size_t at;                 /* bytes gone through, for messages too */
  const unsigned char *from; /* reading: the whole file */
  size_t end;                /* reading: where the present section ends */
  void (*sink)(void *to, const void *bytes, size_t size); /* writing; NULL: only counts */
  void *to;
  uint32_t crc;              /* writing: of the present section so far */
  size_t padding;            /* writing: bytes before PARM */
  const char *section;
  const nn_open_options *open; /* reading a description alone: how it is to be changed; or NULL */
  nn_status status;
  nn_message *why;
} nn__io;

static void nn__io_fail(nn__io *s, nn_status status, const char *format, ...)
{
  nn_message reason;
  va_list args;
  if (s->status != NN_OK) return;
  va_start(args, format);
  nn__format(reason.text, sizeof reason.text, format, args);
  va_end(args);
  s->status = nn__say(s->why, status, "%s, byte %zu: %s", s->section, s->at, reason.text);
}

static void nn__io_bytes(nn__io *s, void *bytes, size_t size)
{
  if (s->reading && s->status == NN_OK && size > s->end - s->at)
    nn__io_fail(s, NN_ERR_FORMAT, "cut short: %zu bytes should follow, %zu do", size,
                s->end - s->at);
  if (s->status != NN_OK) {
    if (s->reading) memset(bytes, 0, size);
    return;
  }
  if (s->reading) {
    memcpy(bytes, s->from + s->at, size);
  } else if (s->sink) {
    s->crc = nn_crc32(s->crc, bytes, size);
    s->sink(s->to, bytes, size);
  }
  s->at += size;
}

static void nn__io_uint(nn__io *s, uint64_t *x, int bytes)
{
  unsigned char b[8];
  for (int i = 0; i < bytes; i++) b[i] = (unsigned char)(*x >> 8 * i & 255);
  nn__io_bytes(s, b, (size_t)bytes);
  if (!s->reading) return;
  *x = 0;
  for (int i = bytes; i-- > 0;) *x = *x << 8 | b[i];
}

static void nn__io_whole(nn__io *s, int bytes, const char *what, int64_t *x, int64_t low,
                         int64_t high)
{
  uint64_t bits = (uint64_t)*x;
  nn__io_uint(s, &bits, bytes);
  if (s->status == NN_OK && (bits < (uint64_t)low || bits > (uint64_t)high)) {
    s->at -= (size_t)bytes;
    if (s->reading)
      nn__io_fail(s, NN_ERR_FORMAT, "%s is %llu, must be %lld..%lld", what,
                  (unsigned long long)bits, (long long)low, (long long)high);
    else
      nn__io_fail(s, NN_ERR_ARGUMENT, "%s is %lld, must be %lld..%lld", what, (long long)*x,
                  (long long)low, (long long)high);
  }
  if (s->reading) *x = s->status == NN_OK ? (int64_t)bits : low;
}
static void nn__io_count(nn__io *s, const char *what, int64_t *x)
{
  nn__io_whole(s, 8, what, x, 0, nn__io_most);
}
static void nn__io_int(nn__io *s, const char *what, int *x, int low, int high)
{
  int64_t whole = *x;
  nn__io_whole(s, 4, what, &whole, low, high);
  *x = (int)whole;
}
static void nn__io_flag(nn__io *s, int *x)
{
  *x = *x != 0;
  nn__io_int(s, "a flag", x, 0, 1);
}
static void nn__io_size(nn__io *s, int *x) { nn__io_int(s, "a size", x, 0, INT_MAX); }

static void nn__io_double(nn__io *s, double *x)
{
  uint64_t bits;
  memcpy(&bits, x, sizeof bits);
  nn__io_uint(s, &bits, 8);
  memcpy(x, &bits, sizeof bits);
}

static void nn__io_text(nn__io *s, const char *what, char *text, int size)
{
  unsigned char length = s->reading ? 0 : (unsigned char)strlen(text);
  nn__io_bytes(s, &length, 1);
  if (length >= size) nn__io_fail(s, NN_ERR_FORMAT, "%s of %d characters", what, (int)length);
  if (s->reading) memset(text, 0, (size_t)size);
  if (s->status != NN_OK) return;
  nn__io_bytes(s, text, length);
  for (int i = 0; i < length && s->status == NN_OK; i++)
    if (text[i] < 0x21 || text[i] > 0x7E)
      nn__io_fail(s, NN_ERR_FORMAT, "%s has a character 0x%x", what, (unsigned char)text[i]);
}

static nn_real nn__real_of(uint64_t bits, int wide)
{
  const uint32_t low = (uint32_t)bits;
  float narrow;
  double x;
  memcpy(&narrow, &low, sizeof narrow);
  memcpy(&x, &bits, sizeof x);
  return wide == 4 ? (nn_real)narrow : (nn_real)x;
}

/* x NULL: goes past them. */
static void nn__io_reals(nn__io *s, nn_real *x, size_t count)
{
  enum { NN__PART = 64 };
  const size_t wide = (size_t)s->wide;
  if (s->status == NN_OK && s->reading && count > (s->end - s->at) / wide)
    nn__io_fail(s, NN_ERR_FORMAT, "cut short: %zu numbers should follow, %zu bytes do", count,
                s->end - s->at);
  if (s->status != NN_OK) return;
  if (s->reading ? !x : !s->sink) {
    s->at += count * wide;
    return;
  }
  for (size_t done = 0; done < count; done += NN__PART) {
    unsigned char bytes[NN__PART * 8], *b = bytes;
    const size_t part = nn__min(NN__PART, count - done);
    for (size_t i = 0; i < part && !s->reading; i++) {
#if NN__DOUBLE
      uint64_t bits;
#else
      uint32_t bits;
#endif
      memcpy(&bits, &x[done + i], sizeof bits);
      for (size_t k = 0; k < wide; k++) *b++ = (unsigned char)(bits >> 8 * k & 255);
    }
    nn__io_bytes(s, bytes, part * wide);
    for (size_t i = 0; i < part && s->reading; i++, b += wide) {
      uint64_t bits = 0;
      for (size_t k = wide; k-- > 0;) bits = bits << 8 | b[k];
      x[done + i] = nn__real_of(bits, s->wide);
    }
  }
}

/* ---- the sections ------------------------------------------------------------------------- */

static void nn__io_conf(nn__io *s) { nn__io_uint(s, &s->m->config.seed, 8); }

/* Reading: into node->weights, where that is not NULL. */
static void nn__io_class_weights(nn__io *s, nn__node *node)
{
  nn_real *to = (nn_real *)(uintptr_t)(const void *)node->weights; /* in the model's own block */
  int count = node->has_weights ? (int)node->cols : 0;
  nn__io_int(s, "the number of class weights", &count, 0, NN_MAX_CLASSES);
  if (!s->reading) nn__io_reals(s, to, (size_t)count);
  for (int i = 0; i < count && s->reading && s->status == NN_OK; i++) {
    nn_real w = 0;
    nn__io_reals(s, &w, 1);
    if (!(w >= 0) || !nn__finite((double)w))
      nn__io_fail(s, NN_ERR_FORMAT, "class weight %d is %g, must be 0 or more", i, (double)w);
    if (to) to[i] = w;
  }
  if (s->reading) node->size = count;
}

/* Pools have one number for each side of their windows, as all had in version 0.1.0; others are
 * called max_pool2d and avg_pool2d in files, and tell all. Stride 0: adaptive. */
static int nn__is_square(const nn__node *d)
{
  const nn_conv2d_options *w = &d->window;
  return w->kernel_h == w->kernel_w && w->stride_h && w->stride_h == w->stride_w &&
         w->pad_h == w->pad_w && !d->ceil && !d->exclude_pad;
}

/* A layer's description: what its builder call takes. */
static void nn__io_node(nn__io *s, nn__node *d)
{
  nn_conv2d_options *w = &d->window;
  nn_recurrent_options *cell = &d->cell;
  char kind[24] = "";
  int init = (int)d->init, i = 0;
  const int pool = d->kind == NN__MAX_POOL || d->kind == NN__AVG_POOL;
  if (!s->reading) {
    memcpy(kind, nn__kind_text[d->kind], strlen(nn__kind_text[d->kind]) + 1);
    if (pool && !nn__is_square(d)) memcpy(kind + 8, "2d", 3);
  }
  nn__io_text(s, "a kind", kind, sizeof kind);
  const int whole = !strcmp(kind, "max_pool2d") || !strcmp(kind, "avg_pool2d");
  if (whole) kind[8] = 0;
  while (i < NN__KIND_COUNT && strcmp(kind, nn__kind_text[i])) i++;
  if (i == NN__KIND_COUNT) nn__io_fail(s, NN_ERR_FORMAT, "no kind of layer is a \"%s\"", kind);
  if (s->status != NN_OK) return;
  d->kind = (nn__kind)i;
  nn__io_text(s, "a name", d->name, sizeof d->name);
  nn__io_int(s, "the initialisation", &init, 0, NN_INIT_CONSTANT);
  d->init = (nn_init)init;
  nn__io_double(s, &d->init_value);
  nn__io_int(s, "the number of inputs", &d->inputs, 0, 2);
  for (i = 0; i < d->inputs; i++) nn__io_size(s, &d->in[i]);
  switch (d->kind) {
  case NN__INPUT:
    nn__io_int(s, "the rank", &d->rank, 1, 3);
    for (i = 0; i < d->rank; i++) nn__io_size(s, &d->dim[i]);
    break;
  case NN__TOKENS: nn__io_size(s, &d->dim[0]); break;
  case NN__CONV2D: {
    int *const size[] = {&w->out,   &w->kernel_h, &w->kernel_w,   &w->stride_h,   &w->stride_w,
                         &w->pad_h, &w->pad_w,    &w->dilation_h, &w->dilation_w, &w->groups};
    for (i = 0; i < 10; i++) nn__io_size(s, size[i]);
    nn__io_flag(s, &w->no_bias);
    break;
  }
  case NN__LINEAR: nn__io_size(s, &d->size), nn__io_flag(s, &d->no_bias); break;
  case NN__MAX_POOL:
  case NN__AVG_POOL: {
    int *const size[] = {&w->kernel_h, &w->stride_h, &w->pad_h,
                         &w->kernel_w, &w->stride_w, &w->pad_w};
    for (i = 0; i < (whole ? 6 : 3); i++)
      nn__io_int(s, i % 3 == 1 ? "stride" : "a size", size[i], i % 3 == 1 && !whole, INT_MAX);
    if (whole) nn__io_flag(s, &d->ceil), nn__io_flag(s, &d->exclude_pad);
    else w->kernel_w = w->kernel_h, w->stride_w = w->stride_h, w->pad_w = w->pad_h;
    break;
  }
  case NN__PADDED:
  case NN__CROP: {
    int *const size[] = {&w->pad_h, &w->pad_w, &d->dim[1], &d->dim[2]};
    for (i = 0; i < 4; i++) nn__io_size(s, size[i]);
    break;
  }
  case NN__UPSAMPLE: nn__io_size(s, &w->stride_h), nn__io_size(s, &w->stride_w); break;
  case NN__EMBEDDING: nn__io_size(s, &d->size), nn__io_size(s, &d->dim[1]); break;
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU:
    nn__io_size(s, &cell->hidden);
    nn__io_int(s, "the number of layers", &cell->layers, 1, NN__MAX_CELL_LAYERS);
    nn__io_double(s, &cell->dropout);
    nn__io_int(s, "the relu flag", &cell->relu, 0, d->kind == NN__RNN);
    nn__io_flag(s, &cell->carry);
    break;
  case NN__CROSS_ENTROPY: nn__io_double(s, &d->value), nn__io_class_weights(s, d); break;
  default:
    if (nn__kind_needs[d->kind] & (NN__ONE_NUMBER | NN__TWO_NUMBERS)) nn__io_double(s, &d->value);
    if (nn__kind_needs[d->kind] & NN__TWO_NUMBERS) nn__io_double(s, &d->second);
  }
}

/* The builder call: the layer's number, or -1 and the model's error. */
static int nn__add_described(nn_model *m, const nn__node *d)
{
  const nn_conv2d_options *w = &d->window;
  const int x = d->in[0], rank = d->rank, *dim = d->dim;
  switch (d->kind) {
  case NN__INPUT:
    return nn__input(m, d->kind, rank, dim[0], rank > 1 ? dim[1] : 1, rank > 2 ? dim[2] : 1);
  case NN__TOKENS: return nn_input_tokens(m, dim[0]);
  case NN__CONV2D: return nn_conv2d_with(m, x, w);
  case NN__LINEAR: return nn__linear(m, x, d->size, d->no_bias);
  case NN__MAX_POOL:
  case NN__AVG_POOL: {
    const nn_pool2d_options o = {w->kernel_h, w->kernel_w, w->stride_h, w->stride_w,
                                 w->pad_h,    w->pad_w,    d->ceil,     d->exclude_pad};
    if (d->kind == NN__AVG_POOL && !w->stride_h && !w->stride_w)
      return nn_adaptive_avg_pool2d(m, x, w->kernel_h, w->kernel_w);
    return nn__pool2d(m, d->kind, x, &o);
  }
  case NN__GLOBAL_MAX:
  case NN__GLOBAL_AVG: return nn__global_pool(m, d->kind, x);
  case NN__NORMALISE: return nn__normalise_layer(m, x, NULL, NULL);
  case NN__FLATTEN: return nn_flatten(m, x);
  case NN__ADD: return nn_add(m, x, d->in[1]);
  case NN__MULTIPLY: return nn_multiply(m, x, d->in[1]);
  case NN__REVERSE: return nn_reverse(m, x);
  case NN__PADDED:
  case NN__CROP: return nn__frame(m, d->kind, x, w->pad_h, w->pad_w, dim[1], dim[2]);
  case NN__UPSAMPLE: return nn_upsample2d(m, x, w->stride_h, w->stride_w);
  case NN__CONCAT: return nn_concat(m, x, d->in[1]);
  case NN__EMBEDDING: return nn_embedding(m, x, d->size, dim[1]);
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU: return nn__cell_layer(m, d->kind, x, &d->cell);
  case NN__LAST_STEP: return nn_last_step(m, x);
  case NN__CROSS_ENTROPY:
  case NN__SQUARED_ERROR:
  case NN__BINARY_CROSS_ENTROPY: return nn__loss(m, d->kind, x, d->value, NULL);
  default: return nn__same_with(m, d->kind, x, d->value, d->second);
  }
}

/* The model's own error as one of the file. */
static void nn__io_take_error(nn__io *s)
{
  const nn_status e = s->m->broken;
  const int file = e == NN_ERR_ARGUMENT || e == NN_ERR_SHAPE || e == NN_ERR_STATE;
  if (e != NN_OK) nn__io_fail(s, file ? NN_ERR_FORMAT : e, "%s", s->m->message.text);
}

/* Adds a layer. The arrays will be filled from the file, so until then every layer starts with a
 * constant: to draw numbers, or make them orthogonal, could take long. */
static void nn__io_add(nn__io *s, int number, const nn__node *d)
{
  nn_model *m = s->m;
  nn__node *node = &m->node[number];
  nn__add_described(m, d);
  nn_name(m, number, d->name);
  nn__io_take_error(s);
  if (!nn__finite(d->init_value))
    nn__io_fail(s, NN_ERR_FORMAT, "%s: its initialisation's value is not finite", d->name);
  if (s->status != NN_OK) return;
  node->init = s->open ? d->init : NN_INIT_CONSTANT, node->init_value = s->open ? d->init_value : 0;
  if (node->inputs != d->inputs)
    nn__io_fail(s, NN_ERR_FORMAT, "%s: %d inputs, takes %d", d->name, d->inputs, node->inputs);
  if (node->kind != NN__CROSS_ENTROPY || !d->size) return;
  node->has_weights = 1;
  if ((size_t)d->size != node->cols)
    nn__io_fail(s, NN_ERR_FORMAT, "%s: %d class weights for %zu classes", d->name, d->size,
                node->cols);
}

/* A layer as the options of nn_open have it: inputs of other sizes, cells that carry. */
static void nn__alter(nn__node *d, const nn_open_options *o)
{
  if (o->carry && nn__is_cell(d->kind)) d->cell.carry = 1;
  if (d->kind == NN__TOKENS && o->steps) d->dim[0] = o->steps;
  if (d->kind != NN__INPUT) return;
  if (d->rank == 2 && o->steps) d->dim[0] = o->steps;
  if (d->rank == 3 && o->height) d->dim[1] = o->height;
  if (d->rank == 3 && o->width) d->dim[2] = o->width;
}

static void nn__io_graph(nn__io *s)
{
  nn_model *m = s->m;
  int count = m->nodes;
  nn__io_int(s, "the number of layers", &count, 2, INT_MAX);
  for (int i = 0; i < count && s->status == NN_OK; i++) {
    const size_t start = s->at;
    nn__node d;
    memset(&d, 0, sizeof d);
    if (!s->reading) d = m->node[i];
    if (m->built) d.weights = m->node[i].weights;
    nn__io_node(s, &d);
    if (!s->reading || s->status != NN_OK) continue;
    if (s->open && nn__is_loss(d.kind)) break; /* the caller adds one */
    if (s->open) nn__alter(&d, s->open);
    if (m->built) {
      m->node[i].init = d.init, m->node[i].init_value = d.init_value;
    } else {
      const size_t end = s->at;
      s->at = start; /* where messages point */
      nn__io_add(s, i, &d);
      s->at = end;
    }
    if (s->open && s->open->until && !strcmp(d.name, s->open->until)) break;
  }
  if (s->status != NN_OK || m->built || s->open) return;
  nn__place_params(m);
  nn__io_take_error(s);
}

/* Reading: the array's numbers stay where they lie. */
static void nn__io_borrow(nn__io *s, nn__param *p)
{
  const unsigned char *const at = s->from + s->at;
  const uint32_t one = 1;
  unsigned char low;
  memcpy(&low, &one, 1);
  if (s->wide != (int)sizeof(nn_real) || !low)
    nn__io_fail(s, NN_ERR_UNSUPPORTED, "numbers of %d bytes, the lowest first, cannot be used in "
                "place here", s->wide);
  else if ((uintptr_t)at % sizeof(nn_real))
    nn__io_fail(s, NN_ERR_ARGUMENT, "numbers in place must lie at a multiple of %d bytes: so must "
                "the file, and one of version 0.1.0 must be loaded and saved again",
                (int)sizeof(nn_real));
  nn__io_reals(s, NULL, p->count);
  if (s->status == NN_OK) p->value = (nn_real *)(uintptr_t)(const void *)at; /* only ever read */
}

static void nn__io_params(nn__io *s)
{
  nn_model *m = s->m;
  int count = m->params;
  nn__io_int(s, "the number of arrays", &count, 0, INT_MAX);
  if (count != m->params)
    nn__io_fail(s, NN_ERR_FORMAT, "%d arrays, but the layers have %d", count, m->params);
  for (int k = 0; k < count && s->status == NN_OK; k++) {
    const size_t start = s->at;
    const nn__param *own = nn__listed(m, k);
    nn__param p = *own;
    nn__io_text(s, "a name", p.name, sizeof p.name);
    nn__io_int(s, "the rank", &p.rank, 1, 4);
    for (int i = 0; i < p.rank; i++) nn__io_size(s, &p.dim[i]);
    if (!strcmp(p.name, own->name) && p.rank == own->rank && !memcmp(p.dim, own->dim, sizeof p.dim))
      continue;
    s->at = start;
    nn__io_fail(s, NN_ERR_FORMAT, "array %d is %s, where the layers have %s%s", k, p.name,
                own->name, strcmp(p.name, own->name) ? "" : " of another shape");
  }
  for (int k = 0; k < count && s->status == NN_OK; k++) {
    nn__param *p = nn__listed(m, k);
    if (s->reading && m->config.in_place)
      nn__io_borrow(s, p);
    else
      nn__io_reals(s, p->value, p->count);
  }
}

static void nn__io_optimizer(nn__io *s)
{
#ifdef NN_NO_TRAINING
  (void)s; /* the section is checked like all others, but not looked into */
#else
  nn_model *m = s->m;
  nn_optimizer o = m->optimizer;
  double *const number[] = {&o.rate, &o.momentum,     &o.alpha,     &o.beta1,     &o.beta2,
                            &o.eps,  &o.weight_decay, &o.clip_norm, &o.clip_value};
  const size_t start = s->at;
  int kind = (int)o.kind, schedule = (int)o.schedule.kind;
  nn__io_int(s, "the optimizer", &kind, 0, NN_ADAMW);
  for (size_t i = 0; i < sizeof number / sizeof *number; i++) nn__io_double(s, number[i]);
  nn__io_flag(s, &o.nesterov);
  nn__io_int(s, "the schedule", &schedule, 0, NN_ONE_CYCLE);
  nn__io_count(s, "warmup", &o.schedule.warmup);
  nn__io_count(s, "total", &o.schedule.total);
  nn__io_count(s, "period", &o.schedule.period);
  nn__io_double(s, &o.schedule.gamma);
  nn__io_double(s, &o.schedule.floor);
  o.kind = (nn_optimizer_kind)kind, o.schedule.kind = (nn_schedule_kind)schedule;
  const char *wrong = nn__bad_optimizer(&o);
  if (wrong) s->at = start, nn__io_fail(s, NN_ERR_FORMAT, "%s", wrong);
  nn__io_count(s, "the number of steps", &m->steps);
  nn__io_count(s, "the steps in the state", &m->state_steps);
  int slots = nn__slots(&o);
  nn__io_int(s, "the number of state blocks", &slots, slots, slots);
  if (s->status != NN_OK) return;
  if (s->reading) m->optimizer = o;
  for (int i = 0; i < slots; i++) nn__io_reals(s, m->slot[i], m->values);
#endif
}

static void nn__io_state(nn__io *s)
{
  nn_model *m = s->m;
  const size_t batch = (size_t)m->config.batch;
  nn__io_uint(s, &m->draws, 8);
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (!nn__is_cell(node->kind) || !node->cell.carry) continue;
    int n = node->state_n;
    nn__io_int(s, "samples of carried state", &n, 0, NN__MAX_BATCH);
    nn_real *state = m->built && n <= m->config.batch ? node->state : NULL;
    for (int k = 0; k < 2 * node->cell.layers; k++) /* of each layer h, then c */
      if (k % 2 == 0 || node->kind == NN__LSTM)
        nn__io_reals(s, state ? state + (size_t)k * batch * node->cols : NULL,
                     (size_t)n * node->cols);
    if (s->reading && state && s->status == NN_OK) node->state_n = n;
  }
}

/* How layers differ from each other in training. */
static void nn__io_groups(nn__io *s)
{
  nn_model *m = s->m;
  int count = m->nodes;
  nn__io_int(s, "the number of layers", &count, m->nodes, m->nodes);
  for (int i = 0; i < count && s->status == NN_OK; i++) {
    double factor[2] = {m->node[i].rate, m->node[i].decay};
    for (int k = 0; k < 2; k++) {
      nn__io_double(s, &factor[k]);
      if (!(factor[k] >= 0) || !nn__finite(factor[k]))
        nn__io_fail(s, NN_ERR_FORMAT, "%s: a factor of %g, must be 0 or more", m->node[i].name,
                    factor[k]);
    }
    if (s->reading && s->status == NN_OK) m->node[i].rate = factor[0], m->node[i].decay = factor[1];
  }
  int weights_only = 0;
#ifndef NN_NO_TRAINING
  if (!s->reading) weights_only = m->optimizer.decay_weights_only;
#endif
  nn__io_flag(s, &weights_only);
#ifndef NN_NO_TRAINING
  if (s->reading) m->optimizer.decay_weights_only = weights_only;
#endif
}

static int nn__has_groups(const nn_model *m)
{
  int has = 0;
#ifndef NN_NO_TRAINING
  has = m->optimizer.decay_weights_only;
#endif
  for (int i = 0; i < m->nodes; i++) has |= m->node[i].rate != 1 || m->node[i].decay != 1;
  return has;
}

/* The first walk counts the room that notes need; the second, when the model is built, takes it. */
static void nn__io_notes(nn__io *s)
{
  nn_model *m = s->m;
  const char *own;
  size_t room = 0;
  int count = 0;
  while (nn_note_key(m, count)) count++;
  nn__io_int(s, "the number of notes", &count, 0, NN__MOST_NOTES);
  for (int i = 0; i < count && s->status == NN_OK; i++) {
    char key[32] = "";
    const char *text = "";
    if (!s->reading && (own = nn_note_key(m, i)) != NULL) {
      memcpy(key, own, strlen(own) + 1);
      text = own + strlen(own) + 1;
    }
    int size = (int)strlen(text);
    nn__io_text(s, "a key", key, sizeof key);
    nn__io_int(s, "a note's size", &size, 0, NN__MOST_NOTES);
    if (!s->reading) {
      nn__io_bytes(s, (void *)(uintptr_t)(const void *)text, (size_t)size); /* only read */
      continue;
    }
    if (s->status == NN_OK && (size_t)size > s->end - s->at)
      nn__io_fail(s, NN_ERR_FORMAT, "cut short: a note of %d bytes", size);
    if (s->status != NN_OK) return;
    text = (const char *)s->from + s->at;
    room += strlen(key) + 1 + (size_t)size + 1;
    if (!nn__good_key(key) || nn__bad_text(text, (size_t)size) < (size_t)size)
      nn__io_fail(s, NN_ERR_FORMAT, "note %s: no key, or its text is not UTF-8", key);
    else if (room > NN__MOST_NOTES)
      nn__io_fail(s, NN_ERR_LIMIT, "notes of more than %d bytes", (int)NN__MOST_NOTES);
    else if (m->built && nn_note(m, key))
      nn__io_fail(s, NN_ERR_FORMAT, "note %s twice", key);
    else if (m->built)
      nn__add_note(m, key, text, (size_t)size);
    s->at += (size_t)size;
  }
  if (s->reading && !m->built) m->notes_size = nn__max(m->notes_size, room);
}

static void nn__io_progress(nn__io *s)
{
  nn_progress *p = &s->progress;
  nn__io_count(s, "step", &p->step);
  nn__io_count(s, "epoch", &p->epoch);
  nn__io_count(s, "place", &p->place);
  nn__io_count(s, "correct", &p->correct);
  nn__io_count(s, "rows", &p->rows);
  nn__io_double(s, &p->loss);
  nn__io_double(s, &p->accuracy);
  nn__io_double(s, &p->loss_sum);
  nn__io_double(s, &p->weight);
  if (s->reading && s->at == s->end) return;
  nn__io_count(s, "left_out", &p->left_out);
  nn__io_count(s, "left_out_in_a_row", &p->left_out_in_a_row);
  nn__io_count(s, "best_step", &p->best_step);
  nn__io_count(s, "validated", &p->validated);
  nn__io_count(s, "not_better", &p->not_better);
  nn__io_double(s, &p->best_loss);
  nn__io_double(s, &p->best_accuracy);
  nn__io_whole(s, 8, "samples a step", &p->batch, 0, NN__MAX_BATCH);
}

/* In a model; in a checkpoint, too; there if it has something to say. */
typedef enum nn__presence { NN__ALWAYS, NN__CHECKPOINT, NN__SOMETIMES } nn__presence;
enum { NN__GRAPH = 1, NN__ARRAYS = 2, NN__GROUPS = 6, NN__NOTES = 7, NN__SECTIONS = 8 };
static const struct nn__section {
  char tag[5];
  nn__presence presence;
  int training; /* not for inference */
  void (*walk)(nn__io *s);
} nn__section[NN__SECTIONS] = {
    {"CONF", NN__ALWAYS, 0, nn__io_conf},         {"GRPH", NN__ALWAYS, 0, nn__io_graph},
    {"PARM", NN__ALWAYS, 0, nn__io_params},       {"OPTM", NN__CHECKPOINT, 1, nn__io_optimizer},
    {"STAT", NN__CHECKPOINT, 1, nn__io_state},    {"PROG", NN__CHECKPOINT, 0, nn__io_progress},
    {"GRUP", NN__SOMETIMES, 1, nn__io_groups},    {"note", NN__SOMETIMES, 0, nn__io_notes}};

static void nn__io_header(nn__io *s, size_t size)
{
  unsigned char magic[8];
  int64_t mark = NN__IO_MARK, total = (int64_t)size;
  int version = NN__IO_VERSION;
  memcpy(magic, nn__io_magic, sizeof magic);
  s->section = "header";
  nn__io_bytes(s, magic, sizeof magic);
  if (memcmp(magic, nn__io_magic, sizeof magic))
    s->at = 0, nn__io_fail(s, NN_ERR_FORMAT, "not a model or checkpoint of nn");
  nn__io_whole(s, 4, "the byte-order mark", &mark, NN__IO_MARK, NN__IO_MARK);
  nn__io_int(s, "the version", &version, 1, INT_MAX);
  if (version > NN__IO_VERSION)
    s->at -= 4, nn__io_fail(s, NN_ERR_FORMAT, "version %d of the format; this build reads up to %d",
                            version, NN__IO_VERSION);
  nn__io_int(s, "the size of a number", &s->wide, 4, 8);
  if (s->wide % 4)
    s->at -= 4, nn__io_fail(s, NN_ERR_FORMAT, "numbers of %d bytes, not 4 or 8", s->wide);
  nn__io_count(s, "the size of the file", &total);
  uint64_t crc = s->reading && s->status == NN_OK ? nn_crc32(0, s->from, s->at) : s->crc;
  const uint64_t computed = crc;
  nn__io_uint(s, &crc, 4);
  if (crc != computed)
    s->at -= 4, nn__io_fail(s, NN_ERR_FORMAT, "damaged: the header's CRC-32 does not match");
  if (total != (int64_t)size)
    s->at = 20, nn__io_fail(s, NN_ERR_FORMAT, "%lld bytes should be here, %zu are: %s",
                            (long long)total, size,
                            total > (int64_t)size ? "cut short" : "something follows the file");
}

/* ---- loading ------------------------------------------------------------------------------ */

/* Where the body of each known section is (end 0: not there), once all sections are seen whole. */
static void nn__io_find(nn__io *s, size_t size, size_t begin[NN__SECTIONS],
                        size_t end[NN__SECTIONS])
{
  const size_t head = NN__IO_AROUND - 4;
  memset(end, 0, NN__SECTIONS * sizeof *end);
  while (s->status == NN_OK && s->at < size) {
    const size_t start = s->at;
    char tag[4];
    uint64_t length = 0, crc = 0;
    int k = 0;
    s->section = "section";
    nn__io_bytes(s, tag, 4);
    nn__io_uint(s, &length, 8);
    while (k < NN__SECTIONS && memcmp(tag, nn__section[k].tag, 4)) k++;
    if (k < NN__SECTIONS) s->section = nn__section[k].tag;
    if (s->status == NN_OK && (size - s->at < 4 || length > size - s->at - 4))
      nn__io_fail(s, NN_ERR_FORMAT, "a length of %llu, %zu bytes are left",
                  (unsigned long long)length, size - s->at);
    if (s->status != NN_OK) return;
    s->at += (size_t)length;
    nn__io_uint(s, &crc, 4);
    s->at = start;
    if (crc != nn_crc32(0, s->from + start, head + (size_t)length))
      nn__io_fail(s, NN_ERR_FORMAT, "damaged: the section's CRC-32 does not match");
    else if (k == NN__SECTIONS && !(tag[0] >= 'a' && tag[0] <= 'z'))
      nn__io_fail(s, NN_ERR_FORMAT, "this build does not know it, and cannot do without it");
    else if (k < NN__SECTIONS && end[k])
      nn__io_fail(s, NN_ERR_FORMAT, "twice in the file");
    if (s->status != NN_OK) return;
    s->at += NN__IO_AROUND + (size_t)length;
    if (k == NN__SECTIONS) continue;
    begin[k] = start + head, end[k] = s->at - 4;
    s->checkpoint |= nn__section[k].presence == NN__CHECKPOINT;
  }
  for (int k = 0; k < NN__SECTIONS; k++)
    if (!end[k] && nn__section[k].presence <= (s->checkpoint ? NN__CHECKPOINT : NN__ALWAYS))
      s->section = nn__section[k].tag, nn__io_fail(s, NN_ERR_FORMAT, "missing");
}

/* Whether the file answers for the memory that its layers take to build; for that of the parameters
 * by their bytes, where it has them all. */
static void nn__io_afford(nn__io *s, size_t size, size_t graph, int has_parameters)
{
  nn_model *m = s->m;
  size_t bytes = 0, copies = 1;
  s->section = nn__section[NN__GRAPH].tag, s->at = graph;
  nn_plan(m, &bytes);
  nn__io_take_error(s);
  if (s->status != NN_OK) return;
#ifndef NN_NO_TRAINING
  if (!m->config.inference) copies += 1 + (size_t)m->slots;
#endif
  if (has_parameters && !m->config.in_place)
    bytes -= (m->values * copies + m->buffers) * sizeof(nn_real);
  const size_t each = bytes / (size_t)m->config.batch;
  const size_t most = size < SIZE_MAX >> 12 ? size << 12 : SIZE_MAX;
  if (each > nn__max(most, (size_t)1 << 28))
    nn__io_fail(s, NN_ERR_LIMIT, "a sample takes %zu bytes, too many for a file of %zu", each,
                size);
}

/* A file whose sections are seen whole: where the body of each begins and ends (0: not there). */
typedef struct nn__file {
  nn__io io;
  size_t begin[NN__SECTIONS], end[NN__SECTIONS];
} nn__file;

static nn_status nn__file_of(nn__file *f, const void *bytes, size_t size, nn_message *why)
{
  memset(f, 0, sizeof *f);
  if (!bytes) return f->io.status = nn__say(why, NN_ERR_ARGUMENT, "no bytes given");
  f->io.reading = 1, f->io.from = bytes, f->io.end = size, f->io.why = why;
  nn__io_header(&f->io, size);
  nn__io_find(&f->io, size, f->begin, f->end);
  return f->io.status;
}

static void nn__walk_section(nn__file *f, int k)
{
  nn__io *s = &f->io;
  if (s->status != NN_OK) return;
  s->section = nn__section[k].tag, s->at = f->begin[k], s->end = f->end[k];
  nn__section[k].walk(s);
}

/* An empty model for a file's layers. */
static nn_status nn__file_model(nn__file *f, const nn_config *config)
{
  nn_config c = config ? *config : nn_config_default();
  const nn__kernels *kernels;
  const nn_status usable = c.batch < 1 || c.batch > NN__MAX_BATCH || c.notes > NN__MOST_NOTES
                               ? NN_ERR_ARGUMENT
                               : nn__choose(c.isa, &c.threads, &kernels);
#ifndef NN_NO_TRAINING
  if (c.in_place && !c.inference)
    return nn__say(f->io.why, NN_ERR_ARGUMENT, "config.in_place needs config.inference");
#endif
  if (usable != NN_OK)
    return nn__say(f->io.why, usable, "config: batch %d, threads %d, isa %d or notes %zu: %s",
                   c.batch, c.threads, (int)c.isa, c.notes, nn_status_text(usable));
  f->io.m = nn_create(&c);
  return f->io.m ? NN_OK
                 : nn__say(f->io.why, NN_ERR_MEMORY, "no %zu bytes of memory", sizeof(nn_model));
}

nn_status nn_load_memory(const void *bytes, size_t size, const nn_config *config,
                         nn_load_result *out, nn_message *why)
{
  nn__file f;
  nn__io *const s = &f.io;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no result to load into");
  memset(out, 0, sizeof *out);
  nn_status status = nn__file_of(&f, bytes, size, why);
  if (status == NN_OK) status = nn__file_model(&f, config);
  if (status != NN_OK) return status;
  for (int walk = 0; walk < 2; walk++) { /* checks, then fills */
    for (int k = 0; k < NN__SECTIONS && s->status == NN_OK; k++) {
      if (!f.end[k] || (nn__section[k].training && s->m->config.inference)) continue;
      nn__walk_section(&f, k);
      if (s->at != s->end) nn__io_fail(s, NN_ERR_FORMAT, "%zu bytes too many", s->end - s->at);
    }
    if (s->status == NN_OK && !walk) nn__io_afford(s, size, f.begin[NN__GRAPH], 1);
    if (s->status == NN_OK && !walk && nn_build(s->m) != NN_OK)
      s->status = nn__say(why, s->m->broken, "%s", s->m->message.text);
  }
  if (s->status != NN_OK) {
    nn_destroy(s->m);
    return s->status;
  }
  out->model = s->m, out->is_checkpoint = s->checkpoint, out->progress = s->progress;
  return NN_OK;
}

/* ---- opening: a description to be changed; weights by name ---------------------------------- */

nn_status nn_open_memory(const void *bytes, size_t size, const nn_config *config,
                         const nn_open_options *options, nn_model **out, nn_message *why)
{
  static const nn_open_options whole; /* all zero */
  nn__file f;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no place for the model");
  *out = NULL;
  if (!options) options = &whole;
  if (options->steps < 0 || options->height < 0 || options->width < 0)
    return nn__say(why, NN_ERR_ARGUMENT, "steps, height and width must be 0 or more");
  nn_status status = nn__file_of(&f, bytes, size, why);
  if (status == NN_OK) status = nn__file_model(&f, config);
  if (status != NN_OK) return status;
  f.io.open = options;
  nn__walk_section(&f, 0);
  nn__walk_section(&f, NN__GRAPH);
  if (f.io.status == NN_OK && options->until && nn_find_node(f.io.m, options->until) < 0)
    nn__io_fail(&f.io, NN_ERR_ARGUMENT, "no layer %s", options->until);
  if (f.io.status == NN_OK && f.io.m->nodes > 1) nn__io_afford(&f.io, size, f.begin[NN__GRAPH], 0);
  if (f.io.status == NN_OK)
    *out = f.io.m;
  else
    nn_destroy(f.io.m);
  return f.io.status;
}

/* One array in PARM's list, as the model's own by its name with the prefix replaced: its index
 * among m->param, or -1. The names of the model's arrays have room for what nn_name allows. */
static int nn__own_array(const nn_model *m, const char *name, const char *from, const char *to)
{
  const size_t skip = from ? strlen(from) : 0, length = to ? strlen(to) : 0;
  if (from && strncmp(name, from, skip)) return -1;
  for (int i = 0; i < m->params; i++)
    if (!strncmp(m->param[i].name, to ? to : "", length) &&
        !strcmp(m->param[i].name + length, name + skip))
      return i;
  return -1;
}

static void nn__note_first(char *first, const char *name)
{
  if (!*first) memcpy(first, name, strlen(name) + 1);
}

/* The list and the numbers of PARM, against the arrays of a built model. fill 0: only counts what
 * is found, missing and of another shape. */
static void nn__match_arrays(nn__file *f, const nn_weights_options *o, int fill, nn_weights *w)
{
  nn__io *s = &f->io;
  nn_model *m = s->m;
  unsigned char found[NN_MAX_PARAMS] = {0};
  int count = 0;
  s->section = nn__section[NN__ARRAYS].tag, s->at = f->begin[NN__ARRAYS];
  s->end = f->end[NN__ARRAYS];
  nn__io_int(s, "the number of arrays", &count, 0, INT_MAX);
  nn__io list = *s; /* a second look at the list, while s goes on to the numbers */
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < count && s->status == NN_OK && list.status == NN_OK; k++) {
      nn__io *at = pass ? &list : s;
      nn__param p;
      size_t reals = 1;
      memset(&p, 0, sizeof p);
      nn__io_text(at, "a name", p.name, sizeof p.name);
      nn__io_int(at, "the rank", &p.rank, 1, 4);
      for (int i = 0; i < p.rank && at->status == NN_OK; i++) {
        nn__io_size(at, &p.dim[i]);
        if (!nn__mul(reals, (size_t)p.dim[i], &reals))
          nn__io_fail(at, NN_ERR_LIMIT, "%s is too large", p.name);
      }
      if (!pass || at->status != NN_OK) continue;
      const int own = nn__own_array(m, p.name, o->from, o->to);
      const nn__param *q = own >= 0 ? &m->param[own] : NULL;
      const int fits = q && q->rank == p.rank && !memcmp(q->dim, p.dim, sizeof p.dim);
      if (q && found[own])
        nn__io_fail(s, NN_ERR_FORMAT, "two arrays for %s", q->name);
      else if (q)
        found[own] = 1;
      if (fits && fill && m->config.in_place)
        nn__io_borrow(s, &m->param[own]);
      else
        nn__io_reals(s, fits && fill ? nn__value(m, own) : NULL, reals);
      if (s->status != NN_OK || fill) continue;
      if (fits)
        w->found++;
      else if (q)
        w->reshaped++, nn__note_first(w->first_reshaped, q->name);
      else
        w->unused++, nn__note_first(w->first_unused, p.name);
    }
  if (s->status == NN_OK) s->status = list.status;
  for (int i = 0; i < m->params && !fill && s->status == NN_OK; i++)
    if (!found[i]) w->missing++, nn__note_first(w->first_missing, m->param[i].name);
}

nn_status nn_load_weights_memory(nn_model *m, const void *bytes, size_t size,
                                 const nn_weights_options *options, nn_weights *result)
{
  static const nn_weights_options plain; /* all zero */
  nn_weights own;
  nn__file f;
  if (!m) return NN_ERR_ARGUMENT;
  if (!result) result = &own;
  if (!options) options = &plain;
  memset(result, 0, sizeof *result);
  if (!m->built) return nn__error(m, NN_ERR_STATE, "nn_load_weights: not built");
  nn_message *const why = &m->message;
  if (nn__file_of(&f, bytes, size, why) != NN_OK) return m->status = f.io.status;
  f.io.m = m;
  nn__match_arrays(&f, options, 0, result);
  if (f.io.status != NN_OK) return m->status = f.io.status;
  if (options->strict && (result->missing || result->reshaped))
    return nn__error(m, NN_ERR_SHAPE, "nn_load_weights: %d arrays missing%s%s, %d of another shape"
                                      "%s%s", result->missing, result->missing ? ", first " : "",
                     result->first_missing, result->reshaped, result->reshaped ? ", first " : "",
                     result->first_reshaped);
  nn__match_arrays(&f, options, 1, result);
  m->ran = m->packed = 0; /* what is there was made of other weights */
  return f.io.status == NN_OK ? NN_OK : (m->status = f.io.status);
}

/* ---- saving ------------------------------------------------------------------------------- */

static int nn__io_writes(const nn__io *s, int section)
{
  if (section == NN__NOTES) return s->m->notes_used > 0;
  if (section == NN__GROUPS) return s->checkpoint && nn__has_groups(s->m);
  return s->checkpoint || nn__section[section].presence == NN__ALWAYS;
}

/* A section's head and body and CRC. */
static void nn__io_section(nn__io *s, const char *tag, size_t length, void (*walk)(nn__io *s))
{
  char letters[4];
  uint64_t body = length, crc;
  memcpy(letters, tag, sizeof letters);
  s->section = tag, s->crc = 0;
  nn__io_bytes(s, letters, 4);
  nn__io_uint(s, &body, 8);
  walk(s);
  crc = s->crc;
  nn__io_uint(s, &crc, 4);
}

/* Zeros up to where PARM's numbers then lie at a multiple of NN__ALIGN. */
static void nn__io_padding(nn__io *s)
{
  static const unsigned char zeros[NN__ALIGN];
  nn__io_bytes(s, (void *)(uintptr_t)(const void *)zeros, s->padding); /* only read */
}

/* All of the file, to the sink; or, without one, only checked and counted. */
static void nn__io_write(nn__io *s)
{
  size_t length[NN__SECTIONS], size = NN__IO_HEADER;
  for (int k = 0; k < NN__SECTIONS; k++) {
    if (k == NN__ARRAYS) size += NN__IO_AROUND; /* of the padding before it */
    if (!nn__io_writes(s, k)) continue;
    nn__io count = *s;
    count.sink = NULL, count.at = 0, count.section = nn__section[k].tag;
    nn__section[k].walk(&count);
    s->status = count.status;
    if (s->status != NN_OK) return;
    length[k] = count.at;
    size += NN__IO_AROUND + length[k];
    if (k != NN__ARRAYS) continue;
    const size_t numbers = (s->m->values + s->m->buffers) * sizeof(nn_real);
    s->padding = nn__round_up(size - 4 - numbers, NN__ALIGN) - (size - 4 - numbers);
    size += s->padding;
  }
  s->at = 0, s->crc = 0;
  nn__io_header(s, size);
  for (int k = 0; k < NN__SECTIONS; k++) {
    if (!nn__io_writes(s, k)) continue;
    if (k == NN__ARRAYS) nn__io_section(s, "pads", s->padding, nn__io_padding);
    nn__io_section(s, nn__section[k].tag, length[k], nn__section[k].walk);
  }
}

/* Ready to write, s->at the size that it will have. */
static nn_status nn__io_saver(nn__io *s, const nn_model *m, const nn_progress *progress,
                              nn_message *why)
{
  memset(s, 0, sizeof *s);
  if (!m) return NN_ERR_ARGUMENT;
  if (!m->built) return nn__say(why, NN_ERR_STATE, "save: not built");
  const nn__param *absent = nn__absent(m);
  if (absent) return nn__say(why, NN_ERR_STATE, "save: %s " NN__ABSENT, absent->name);
  if (progress && m->config.inference)
    return nn__say(why, NN_ERR_STATE, "save: no checkpoint can be made of an inference model");
  s->m = (nn_model *)(uintptr_t)(const void *)m; /* only ever read */
  s->wide = (int)sizeof(nn_real), s->why = why;
  if (progress) s->checkpoint = 1, s->progress = *progress;
  nn__io_write(s);
  return s->status;
}

size_t nn_save_size(const nn_model *m, const nn_progress *progress)
{
  nn__io s;
  return nn__io_saver(&s, m, progress, NULL) == NN_OK ? s.at : 0;
}

static void nn__io_to_memory(void *to, const void *bytes, size_t size)
{
  unsigned char **at = to;
  memcpy(*at, bytes, size);
  *at += size;
}

nn_status nn_save_memory(nn_model *m, const nn_progress *progress, void *bytes, size_t size)
{
  nn__io s;
  nn_status status = nn__io_saver(&s, m, progress, m ? &m->message : NULL);
  if (!m) return status;
  if (status == NN_OK && !bytes) return nn__error(m, NN_ERR_ARGUMENT, "save: no memory given");
  if (status == NN_OK && size < s.at)
    status = nn__say(&m->message, NN_ERR_MEMORY, "save: needs %zu bytes, got %zu", s.at, size);
  if (status != NN_OK) return m->status = status;
  unsigned char *at = bytes;
  s.sink = nn__io_to_memory, s.to = &at;
  nn__io_write(&s);
  return NN_OK;
}

#ifndef NN_NO_STDIO
/* A whole file of nn's to memory; what is none is not read further than its header. */
static nn_status nn__read_file(const char *path, const nn_allocator *allocator, nn_array *file,
                               nn_message *why)
{
  unsigned char head[NN__IO_HEADER];
  nn_message reason;
  nn__io s;
  size_t size;
  FILE *f;
  memset(&s, 0, sizeof s);
  nn_status status = nn__open(path, SIZE_MAX, &f, &size, why);
  if (status != NN_OK) return status;
  s.reading = 1, s.from = head, s.end = nn__min(size, sizeof head), s.why = &reason;
  status = nn__read(f, path, 0, head, s.end, why);
  fclose(f);
  if (status != NN_OK) return status;
  nn__io_header(&s, size);
  if (s.status != NN_OK) return nn__say(why, s.status, "%s: %s", nn__path_end(path), reason.text);
  return nn_file_read(path, SIZE_MAX, allocator, file, why);
}

#define NN__ONLY_MEMORY "parameters in place (config.in_place) come from memory, not from a path"

nn_status nn_load(const char *path, const nn_config *config, nn_load_result *out, nn_message *why)
{
  nn_array file;
  nn_message reason;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no result to load into");
  memset(out, 0, sizeof *out);
  if (config && config->in_place) return nn__say(why, NN_ERR_ARGUMENT, NN__ONLY_MEMORY);
  nn_status status = nn__read_file(path, config ? &config->allocator : NULL, &file, why);
  if (status != NN_OK) return status;
  status = nn_load_memory(file.data, file.count, config, out, &reason);
  nn_array_free(&file);
  return status == NN_OK ? status : nn__say(why, status, "%s: %s", nn__path_end(path), reason.text);
}

nn_status nn_open(const char *path, const nn_config *config, const nn_open_options *options,
                  nn_model **out, nn_message *why)
{
  nn_array file;
  nn_message reason;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no place for the model");
  *out = NULL;
  nn_status status = nn__read_file(path, config ? &config->allocator : NULL, &file, why);
  if (status != NN_OK) return status;
  status = nn_open_memory(file.data, file.count, config, options, out, &reason);
  nn_array_free(&file);
  return status == NN_OK ? status : nn__say(why, status, "%s: %s", nn__path_end(path), reason.text);
}

nn_status nn_load_weights(nn_model *m, const char *path, const nn_weights_options *options,
                          nn_weights *result)
{
  nn_array file;
  nn_message reason;
  if (!m) return NN_ERR_ARGUMENT;
  if (m->config.in_place) return nn__error(m, NN_ERR_STATE, "nn_load_weights: " NN__ONLY_MEMORY);
  nn_status status = nn__read_file(path, &m->config.allocator, &file, &m->message);
  if (status != NN_OK) return m->status = status;
  status = nn_load_weights_memory(m, file.data, file.count, options, result);
  nn_array_free(&file);
  if (status == NN_OK) return status;
  reason = m->message;
  return nn__error(m, status, "%s: %s", nn__path_end(path), reason.text);
}

static void nn__io_to_file(void *to, const void *bytes, size_t size) { nn__write(to, bytes, size); }

/* Straight to the file: saving takes no memory. keeps: the file before becomes path.previous. */
static nn_status nn__save(nn_model *m, const nn_progress *progress, const char *path, int keeps)
{
  nn__io s;
  nn__writer writer;
  nn_status status = nn__io_saver(&s, m, progress, m ? &m->message : NULL);
  if (!m) return status;
  if (status == NN_OK) {
    nn__write_begin(&writer, path, &m->message);
    writer.keeps = keeps;
    s.sink = nn__io_to_file, s.to = &writer;
    nn__io_write(&s);
    status = nn__write_end(&writer);
  }
  return status == NN_OK ? status : (m->status = status);
}

nn_status nn_save(nn_model *m, const char *path) { return nn__save(m, NULL, path, 0); }

nn_status nn_save_checkpoint(nn_model *m, const nn_progress *progress, const char *path)
{
  if (m && !progress) return nn__error(m, NN_ERR_ARGUMENT, "save: a checkpoint needs a progress");
  return nn__save(m, progress, path, 0);
}
#endif

/* ========================================= @@FIT =========================================== */
#ifndef NN_NO_TRAINING
/* Whether a data set can feed a model and has what its loss compares with. */
static nn_status nn__check_dataset(nn_model *m, const nn_dataset *d, const char *who)
{
  if (!m->built || m->loss < 0 || m->inputs != 1)
    return nn__error(m, NN_ERR_STATE, "%s: needs a built model with a loss and one input", who);
  nn_status status = nn__check_samples(m, d, who);
  if (status != NN_OK) return status;
  const nn__node *out = &m->node[m->output];
  const int labelled = m->node[m->loss].kind == NN__CROSS_ENTROPY;
  const size_t has = labelled ? nn__labels_each(d) : nn__targets_each(d);
  const size_t wants = out->rows * (labelled ? 1 : out->cols);
  if (!has)
    return nn__error(m, NN_ERR_ARGUMENT, "%s: the data set has no %s", who,
                     labelled ? "labels" : "targets");
  if (has != wants)
    return nn__error(m, NN_ERR_SHAPE, "%s: %zu %s a sample, the loss compares %s with %zu", who,
                     has, labelled ? "label(s)" : "target(s)", out->name, wants);
  const size_t count = d->fill ? 0 : (size_t)d->count; /* what is read is checked as it comes */
  if (labelled) status = nn__check_labels(m, d->labels, d->only, count, out, d->lengths, who);
  if (!labelled)
    status = nn__check_targets(m, &m->node[m->loss], d->targets, d->only, count, d->lengths, who);
  return status == NN_OK ? status : (m->status = status);
}

nn_fit_options nn_fit_default(void)
{
  nn_fit_options o;
  memset(&o, 0, sizeof o);
  o.epochs = 1;
  return o;
}

nn_status nn_evaluate(nn_model *m, const nn_dataset *d, nn_evaluation *result)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (!result) return nn__error(m, NN_ERR_ARGUMENT, "evaluate: no place for the result");
  memset(result, 0, sizeof *result);
  nn_status status = nn__check_dataset(m, d, "evaluate");
  double sum = 0, weight = 0;
  for (int64_t place = 0; status == NN_OK && place < d->count; place += m->config.batch) {
    const int64_t left = d->count - place;
    const int n = left < m->config.batch ? (int)left : m->config.batch;
    nn_batch b;
    double loss = 0;
    int64_t correct = 0;
    status = nn__stage(m, d, NULL, 0, place, n, 0, &b);
    if (status == NN_OK) status = nn__forward_fresh(m, &b, NN_INFERENCE);
    if (status == NN_OK) status = nn_loss(m, &b, &loss, &correct);
    sum += loss * m->loss_weight;
    weight += m->loss_weight;
    result->correct += correct;
    result->rows += m->loss_rows;
  }
  if (status != NN_OK) return status;
  result->loss = weight > 0 ? sum / weight : 0;
  result->accuracy = result->rows ? (double)result->correct / (double)result->rows : 0;
  return NN_OK;
}

/* Whether nn_fit's options for checkpoints and validation are sound. */
static nn_status nn__check_kept(nn_model *m, const nn_fit_options *o)
{
#ifdef NN_NO_STDIO
  if (o->path || o->best_path)
    return nn__error(m, NN_ERR_UNSUPPORTED, "fit: a path, in a build without files");
#endif
  if (o->save_every < 0 || !(o->save_seconds >= 0) || o->validate_every < 0 || o->patience < 0)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: save_every %lld, save_seconds %g, validate_every "
                     "%lld, patience %lld, must be 0 or more", (long long)o->save_every,
                     o->save_seconds, (long long)o->validate_every, (long long)o->patience);
  if (!o->path && (o->save_every || o->save_seconds > 0))
    return nn__error(m, NN_ERR_ARGUMENT, "fit: checkpoints without a path");
  if (o->save_seconds > 0 && !o->clock)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: save_seconds without a clock");
  if (!o->validation && (o->validate_every || o->best_path || o->patience))
    return nn__error(m, NN_ERR_ARGUMENT, "fit: %s without a validation set",
                     o->best_path ? "best_path" : o->patience ? "patience" : "validate_every");
  static const char *const taken[] = {"", ".tmp", ".previous", ".damaged"};
  const size_t length = o->path && o->best_path ? strlen(o->path) : 0;
  for (size_t i = 0; length && i < sizeof taken / sizeof *taken; i++)
    if (!strncmp(o->best_path, o->path, length) && !strcmp(o->best_path + length, taken[i]))
      return nn__error(m, NN_ERR_ARGUMENT, "fit: best_path and path%s are the same", taken[i]);
  return o->validation ? nn__check_dataset(m, o->validation, "fit: validation") : NN_OK;
}

static nn_status nn__check_progress(nn_model *m, const nn_progress *p, int samples)
{
  static const char *const names[] = {"place",     "step",     "epoch",             "correct",
                                      "rows",      "left_out", "left_out_in_a_row", "best_step",
                                      "validated", "not_better"};
  const int64_t counts[] = {p->place, p->step, p->epoch, p->correct, p->rows, p->left_out,
                            p->left_out_in_a_row, p->best_step, p->validated, p->not_better};
  for (int i = 0; i < 10; i++) {
    const int64_t most = i ? nn__io_most : samples - 1;
    if (counts[i] < 0 || counts[i] > most)
      return nn__error(m, NN_ERR_ARGUMENT, "fit: progress.%s %lld, must be 0..%lld", names[i],
                       (long long)counts[i], (long long)most);
  }
  return NN_OK;
}

/* Whether nn_fit's options are sound, and some batch can teach every batch norm. */
static nn_status nn__check_fit(nn_model *m, const nn_dataset *train, const nn_fit_options *options,
                               int batch)
{
  const nn_augment *augment = &options->augment;
  const int32_t *lengths = train->fill ? NULL : train->lengths;
  if (m->config.inference) return nn__error(m, NN_ERR_STATE, "fit: an inference model");
  if (batch < 1 || batch > m->config.batch)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: batch %d, must be 1..%d (config.batch)", batch,
                     m->config.batch);
  if (options->epochs < 0 || options->steps < 0)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: %s %lld, must be 0 or more",
                     options->epochs < 0 ? "epochs" : "steps",
                     (long long)(options->epochs < 0 ? options->epochs : options->steps));
  if (!options->epochs && !options->steps && !options->patience && !options->on_step &&
      !options->on_epoch && !options->on_validation && !options->on_save)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: no epochs, no steps, and no callback to stop it");
  int lone = batch == 1 || train->count == 1;
  for (int i = 0; lone && i < train->count; i++)
    lone = nn__lone_norm(m, 1, lengths ? lengths + nn__place_of(train, i) : NULL) != NULL;
  if (lone)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: %s " NN__LONE,
                     nn__lone_norm(m, 1, lengths ? lengths + nn__place_of(train, 0) : NULL)->name);
  if (!nn__augment_fits(augment))
    return nn__error(m, NN_ERR_ARGUMENT, "fit: augment.shift %d, augment.cutout %d, must be 0..%d",
                     augment->shift, augment->cutout, NN__AUGMENT_MOST);
  return NN_OK;
}

typedef struct nn__fit {
  nn_model *m;
  const nn_dataset *train;
  const nn_fit_options *o;
  nn_progress *p;
  int batch, stop;
  int64_t begun; /* the step at which the present epoch began, or -1: not seen */
  int64_t saved; /* the step of the last checkpoint */
  double saved_at;
} nn__fit;

static int nn__fit_done(const nn__fit *f)
{
  const nn_fit_options *o = f->o;
  return (o->epochs && f->p->epoch >= o->epochs) || (o->steps && f->p->step >= o->steps) ||
         (o->patience && f->p->not_better >= o->patience);
}

/* Adds a step's own figures to those of the epoch. */
static void nn__fit_count(nn__fit *f, const nn_evaluation *own, int left_out)
{
  nn_progress *p = f->p;
  p->step++;
  p->left_out += left_out;
  p->left_out_in_a_row = left_out ? p->left_out_in_a_row + 1 : 0;
  if (!left_out) {
    p->loss_sum += own->loss * f->m->loss_weight;
    p->weight += f->m->loss_weight;
    p->correct += own->correct;
    p->rows += own->rows;
  }
  p->loss = p->weight > 0 ? p->loss_sum / p->weight : 0;
  p->accuracy = p->rows ? (double)p->correct / (double)p->rows : 0;
}

/* Learns from the next batch, or passes it over where it has nothing to teach a batch norm, and
 * moves on in the epoch. *own: the step's figures. */
static nn_status nn__fit_batch(nn__fit *f, nn_evaluation *own)
{
  nn_model *m = f->m;
  nn_progress *p = f->p;
  const int64_t left = f->train->count - p->place, before = m->steps;
  const int n = left < f->batch ? (int)left : f->batch;
  nn_batch b;
  memset(own, 0, sizeof *own);
  if (p->place == 0) p->loss_sum = p->weight = 0, p->correct = p->rows = 0, f->begun = p->step;
  nn_status status = nn__stage(m, f->train, &f->o->augment, p->epoch, p->place, n,
                               !f->o->no_shuffle, &b);
  if (status != NN_OK) return status;
  const nn__node *lone = nn__lone_norm(m, (size_t)n, b.lengths);
  if (!lone) {
    status = nn__learn(m, &b, &own->loss, &own->correct, f->o, p);
    const int left_out = status == NN_ERR_DIVERGED && f->o->keep_going && m->steps == before &&
                         p->left_out_in_a_row < NN_MOST_LEFT_OUT;
    if (status != NN_OK && !left_out) return status;
    own->rows = m->loss_rows;
    own->accuracy = own->rows ? (double)own->correct / (double)own->rows : 0;
    if (left_out) memset(own, 0, sizeof *own);
    nn__fit_count(f, own, left_out);
  }
  p->place += n;
  if (p->place < f->train->count) return NN_OK;
  p->epoch++, p->place = 0;
  if (f->begun != p->step) return NN_OK;
  return nn__error(m, NN_ERR_ARGUMENT, "fit: %s " NN__LONE, lone->name); /* all that was read */
}

/* Evaluates the validation set and keeps the best model. */
static nn_status nn__fit_validate(nn__fit *f)
{
  const nn_fit_options *o = f->o;
  nn_model *m = f->m;
  nn_progress *p = f->p;
  nn_evaluation e;
  nn_status status = nn_evaluate(m, o->validation, &e);
  if (status != NN_OK) return status;
  const int finite = nn__finite(e.loss), first = p->best_step == 0;
  const int by_accuracy = m->node[m->loss].kind == NN__CROSS_ENTROPY;
  const int better = by_accuracy && (e.accuracy > p->best_accuracy || e.accuracy < p->best_accuracy)
                         ? e.accuracy > p->best_accuracy
                         : e.loss < p->best_loss;
  p->validated = p->step;
  if (finite && (first || better)) {
#ifndef NN_NO_STDIO
    if (o->best_path) status = nn_save(m, o->best_path);
    if (status != NN_OK) return status;
#endif
    p->best_step = p->step, p->best_loss = e.loss, p->best_accuracy = e.accuracy;
    p->not_better = 0;
  } else {
    p->not_better++;
  }
  if (o->on_validation) f->stop |= o->on_validation(o->user, m, p, &e);
  if (finite || o->keep_going) return NN_OK;
  return nn__error(m, NN_ERR_DIVERGED, "step %lld: the validation loss is not finite",
                   (long long)p->step);
}

/* Writes a checkpoint, unless the step has one. */
static nn_status nn__fit_save(nn__fit *f)
{
  const nn_fit_options *o = f->o;
  nn_status status = NN_OK;
  if (!o->path || f->saved == f->p->step) return NN_OK;
  if (o->on_save) f->stop |= o->on_save(o->user, f->m, f->p);
#ifndef NN_NO_STDIO
  status = nn__save(f->m, f->p, o->path, 1);
#endif
  f->saved = f->p->step;
  if (o->clock) f->saved_at = o->clock(o->user);
  return status;
}

/* What is due after a batch. */
static nn_status nn__fit_after(nn__fit *f, int stepped, int whole)
{
  const nn_fit_options *o = f->o;
  const nn_progress *p = f->p;
  const int validates = o->validate_every ? stepped && p->step % o->validate_every == 0 : whole;
  nn_status status = NN_OK;
  if (o->validation && p->validated != p->step && (validates || nn__fit_done(f)))
    status = nn__fit_validate(f);
  int saves = o->save_every ? stepped && p->step % o->save_every == 0
                            : whole && !(o->save_seconds > 0);
  if (o->save_seconds > 0) saves |= o->clock(o->user) - f->saved_at >= o->save_seconds;
  saves |= f->stop || nn__fit_done(f);
  return status == NN_OK && saves ? nn__fit_save(f) : status;
}

nn_status nn_fit(nn_model *m, const nn_dataset *train, const nn_fit_options *options)
{
  if (!m) return NN_ERR_ARGUMENT;
  const nn_fit_options usual = nn_fit_default();
  const nn_fit_options *o = options ? options : &usual;
  nn_progress own_progress;
  memset(&own_progress, 0, sizeof own_progress);
  nn_progress *p = o->progress ? o->progress : &own_progress;
  const int64_t usual_batch = p->step > 0 && p->batch > 0 ? p->batch : m->config.batch;
  const int batch = o->batch ? o->batch : usual_batch > INT_MAX ? 0 : (int)usual_batch;
  nn__fit f = {m, train, o, p, batch, 0, -1, p->step, 0};
  nn_status status = nn__check_dataset(m, train, "fit");
  if (status == NN_OK) status = nn__check_fit(m, train, o, batch);
  if (status == NN_OK) status = nn__check_kept(m, o);
  if (status == NN_OK) status = nn__check_progress(m, p, train->count);
  if (status != NN_OK) return status;
  p->batch = batch;
  if (o->clock) f.saved_at = o->clock(o->user);
  while (!f.stop && !nn__fit_done(&f)) {
    const int64_t step = p->step, epoch = p->epoch;
    nn_evaluation own;
    if ((status = nn__fit_batch(&f, &own)) != NN_OK) return status;
    const int stepped = p->step != step, whole = p->epoch != epoch;
    if (stepped && o->on_step) f.stop |= o->on_step(o->user, m, p, &own);
    if (whole && o->on_epoch) f.stop |= o->on_epoch(o->user, m, p);
    if ((status = nn__fit_after(&f, stepped, whole)) != NN_OK) return status;
  }
  return f.stop ? NN_STOPPED : NN_OK;
}

#ifndef NN_NO_STDIO
static int nn__is_damage(nn_status status)
{
  return status == NN_ERR_IO || status == NN_ERR_FORMAT;
}

static nn_status nn__load_checkpoint(const char *path, const nn_config *config,
                                     nn_load_result *out, nn_message *why)
{
  const nn_status status = nn_load(path, config, out, why);
  if (status != NN_OK || out->is_checkpoint) return status;
  nn_destroy(out->model);
  memset(out, 0, sizeof *out);
  return nn__say(why, NN_ERR_STATE, "%s: a model, not a checkpoint", nn__path_end(path));
}

/* The one before, as the last has failed for the reason in why. beside: room for a name. */
static nn_status nn__resume_previous(const char *path, const nn_config *config, nn_status failed,
                                     nn__beside *beside, nn_load_result *out, nn_message *why)
{
  nn_message reason = *why, other;
  const int there = nn__exists(path);
  const char *previous = nn__beside_of(beside, path, ".previous");
  if (!there && !nn__exists(previous))
    return nn__say(why, NN_ABSENT, "%s: no checkpoint yet", nn__path_end(path));
  const nn_status status = nn__load_checkpoint(previous, config, out, &other);
  if (status != NN_OK)
    return nn__say(why, nn__is_damage(status) ? failed : status, "%s; %s", reason.text, other.text);
  out->previous = 1;
  if (there) nn__replace(path, nn__beside_of(beside, path, ".damaged"));
  return NN_OK;
}

nn_status nn_resume(const char *path, const nn_config *config, nn_load_result *out,
                    nn_message *why)
{
  nn_message own;
  nn__beside beside;
  if (!why) why = &own;
  if (out) memset(out, 0, sizeof *out);
  if (!path || !out) return nn__say(why, NN_ERR_ARGUMENT, "a NULL argument");
  if (!*path || strlen(path) > NN__LONGEST_PATH)
    return nn__say(why, NN_ERR_LIMIT, "a path of %zu bytes: 1 to %d are allowed", strlen(path),
                   NN__LONGEST_PATH);
  nn_status status = nn__load_checkpoint(path, config, out, why);
  if (nn__is_damage(status) && nn__regular(path)) { /* perhaps killed ahead of a renaming */
    nn_message other;
    const int there = nn__exists(path);
    const nn_status found =
        nn__load_checkpoint(nn__beside_of(&beside, path, ".tmp"), config, out, &other);
    if (found == NN_OK && there) {
      nn__replace(path, nn__beside_of(&beside, path, ".damaged"));
      nn__beside_of(&beside, path, ".tmp");
    }
    if (found == NN_OK) nn__replace(beside.path, path);
    if (found == NN_OK || (!nn__is_damage(found) && found != NN_ERR_STATE))
      status = found, *why = other;
  }
  if (status == NN_OK) why->text[0] = 0;
  if (!nn__is_damage(status) || !nn__regular(path)) return status;
  return nn__resume_previous(path, config, status, &beside, out, why);
}
#endif
#endif

#endif /* NN__KERNELS_READ */

/* LICENSE: MIT. Copyright (c) 2026 the nn authors.
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
 * associated documentation files (the "Software"), to deal in the Software without restriction,
 * including without limitation the rights to use, copy, modify, merge, publish, distribute,
 * sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions: The above copyright notice and this
 * permission notice shall be included in all copies or substantial portions of the Software.
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
 * NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
 * DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE. */
