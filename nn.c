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
 *   @@DATA      a cursor over bytes, file readers, data sets, augmentation, batches
 *   @@INSPECT   statistics of activations, ways back to the image, occlusion
 *   @@IO        models and checkpoints as bytes
 *   @@EXPORT    weights by name, from our files and other programs', and to them
 *   @@SOURCE    models as C source
 *   @@FIT       epochs over a data set: training, validation, checkpoints, on one rank or several
 *   @@ONNX      models as ONNX files, out and in
 *
 * To learn from it, begin in the middle: @@GRAPH says what a net is, one layer of @@OPS and its
 * builder in @@LAYER what a layer is, @@MODEL how all of them run. Then see how @@GEMM is fast.
 *
 * This file includes itself: once for every instruction set it compiles only @@VEC and @@KERNEL,
 * with NN__INSTANCE saying which, between pragmas that let the compiler use that set there and
 * nowhere else. So one plain `cc -O2 nn.c` holds them all and @@DISPATCH chooses at run time.
 *
 * A NEW LAYER is functions of its own: a builder in @@LAYER, which checks, sets shape, parameters
 * and macs; forward and backward where its like stand (@@CONV, @@OPS, @@RNN). First see whether it
 * is a layer that is there with other strides, or one that moves rows (nn__moved_from). Beside
 * these it touches, in this order:
 *   1 nn.h               its contract, and what takes an nn_real among the names for double
 *   2 NN__KINDS          its name in files, its facts, and the names of its functions: forward,
 *                        backward, room; the builder gives the row made of them to nn__begin
 *   3 nn__io_fields      what its builder takes, and the format's description above
 *   4 nn__add_described  the builder call that a file's layer is made by
 * and nn__steps_after, where it makes more or fewer steps; nn__seen_of, where it moves pixels;
 * nn__c_make_step, which has it as C source.
 * Then, in tests/: wrong_values, a definition in plain loops and, over steps, own_steps in
 * test_layers.c; goldens.py and test_torch.c; test_gradients.c; graphs.h, which takes it into the
 * random nets of four suites; test_io.c; random_layer in test_fuzz.c; attacks.h for its fields;
 * receptive_fields in test_inspect.c.
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
#elif defined __FAST_MATH__ || defined __ASSOCIATIVE_MATH__ || defined _M_FP_FAST || \
    (defined __FINITE_MATH_ONLY__ && __FINITE_MATH_ONLY__ > 0)
#error "compile nn.c without -Ofast and -ffast-math: they remove its checks for NaN and infinity"
#elif defined NN_MALLOC != defined NN_FREE
#error "define both NN_MALLOC and NN_FREE or neither"
#elif defined NN_NO_MALLOC && defined NN_MALLOC
#error "NN_NO_MALLOC and NN_MALLOC contradict each other"
#elif NN_MAX_NODES < 4 || NN_MAX_NODES > 4096 /* see nn__site */
#error "NN_MAX_NODES must be 4 .. 4096"
#elif NN_MAX_PARAMS < 4 || NN_MAX_PARAMS > 32767 || NN_MAX_THREADS < 1
#error "NN_MAX_PARAMS must be 4 .. 32767, NN_MAX_THREADS 1 or more"
#elif NN__PASTE(NN__REAL_, NN_REAL) == 2
#define NN__DOUBLE 1
#elif NN__PASTE(NN__REAL_, NN_REAL) == 1
#define NN__DOUBLE 0
#else
#error "NN_REAL must be float or double"
#endif
#ifndef NN__DOUBLE
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
 * NN__SIMD_X86, NN__SIMD_NEON, NN__SIMD_WASM: vector kernels can be compiled here; of the first
 * two the value is the processor's bits, 32 or 64. NN__INLINE: inlined even where the compiler
 * would rather not, for bodies whose constants must meet.
 * NN__UNROLL: before a loop with a constant count whose array must live in registers. */
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

/* Who compiles, and for which system. What is not defined here is 0 in an #if. */
#if defined __clang__
#define NN__CLANG 1
#elif defined _MSC_VER
#define NN__MSVC 1
#elif defined __GNUC__ && !defined __TINYC__
#define NN__GCC 1
#endif
#if defined _WIN32
#define NN__WIN32 1
#elif defined __unix__ || defined __APPLE__
#define NN__UNIX 1
#endif
#if defined __linux__ && !defined __EMSCRIPTEN__
#define NN__LINUX 1
#endif
#ifdef NN_NO_TRAINING
#define NN__TRAINS 0
#else
#define NN__TRAINS 1
#endif
#ifdef NN_NO_EXPORT
#define NN__EXPORTS 0 /* what other programs' files need is called by nothing, and dropped */
#else
#define NN__EXPORTS 1
#endif
#ifdef __OPTIMIZE_SIZE__
#define NN__SMALL 1 /* less code rather than more speed, as -Os asks for */
#else
#define NN__SMALL 0
#endif

/* NN__APART: its frame is none of its caller's. NN__ATOMICS: reads and additions that other threads
 * see in one order; without them the pool's mutex guards the same places. NN__PAUSE: between two
 * looks at what another thread writes. */
#if NN__GCC || NN__CLANG
#if !defined __OPTIMIZE__ && !defined NN_NO_WARNING
#pragma GCC warning "nn.c is compiled without -O2 and some 20 times slower (NN_NO_WARNING: silent)"
#endif
#define NN__INLINE static inline __attribute__((always_inline))
#define NN__APART static __attribute__((noinline))
#define NN__PREFETCH(p) __builtin_prefetch(p)
#define NN__ATOMICS 1
#else
#if NN__MSVC
#define NN__INLINE static __forceinline
#define NN__APART static __declspec(noinline)
#else
#define NN__INLINE static inline
#define NN__APART static
#endif
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

/* Members of which a struct needs the ones or the others: in one place where the compiler has
 * unions without a name, else side by side. */
#if NN__GCC || NN__CLANG
#define NN__ONE_OF(...) __extension__ union { __VA_ARGS__ };
#define NN__ALL_OF(...) __extension__ struct { __VA_ARGS__ };
#else
#define NN__ONE_OF(...) __VA_ARGS__
#define NN__ALL_OF(...) __VA_ARGS__
#endif

/* A double that lies at any multiple of 4 bytes where pointers have no more: in tables, where the
 * compiler would fill up to 8. */
#if (NN__GCC || NN__CLANG) && UINTPTR_MAX <= 0xFFFFFFFF
typedef double nn__double __attribute__((aligned(4)));
#else
typedef double nn__double;
#endif

#if !defined NN_NO_SIMD && !NN__DOUBLE && (NN__GCC || NN__CLANG || NN__MSVC)
#if defined __x86_64__ || defined _M_X64
#define NN__SIMD_X86 64
#elif defined __i386__
#define NN__SIMD_X86 32
#elif (defined __aarch64__ || defined _M_ARM64) && !defined __AARCH64EB__
#define NN__SIMD_NEON 64
#elif defined __ARM_NEON && !defined __ARM_BIG_ENDIAN
#define NN__SIMD_NEON 32
#elif NN__GCC && NN__LINUX && defined __ARM_FP && defined __ARM_ARCH && __ARM_ARCH >= 7 && \
    defined __ARM_ARCH_PROFILE && __ARM_ARCH_PROFILE == 'A' && !defined __ARM_BIG_ENDIAN
#define NN__SIMD_NEON 32
#define NN__ASKS_FOR_NEON /* some ARMv7 have none: at run time the system says */
#include <sys/auxv.h>
#elif defined __wasm_simd128__
#define NN__SIMD_WASM 1
#include <wasm_simd128.h>
#endif
#endif
#if NN__SIMD_X86
#include <immintrin.h>
#if NN__MSVC
#include <intrin.h>
#endif
#elif NN__SIMD_NEON
#include <arm_neon.h>
#ifdef __ARM_FEATURE_FMA
#define NN__ARM_FMA 1
#endif
#endif

#if NN__MSVC
#define NN__PRAGMA(text) __pragma(text)
#elif defined __TINYC__ /* 0.9.27 has no _Pragma: an includer's macros named as in @@VEC go */
#define NN__PRAGMA(text)
#else
#define NN__PRAGMA(text) _Pragma(#text)
#endif
/* From NN__TARGET to NN__TARGET_END a function may use these instructions. */
#if NN__GCC
#define NN__TARGET(set) NN__PRAGMA(GCC push_options) NN__PRAGMA(GCC target(set))
#define NN__TARGET_END NN__PRAGMA(GCC pop_options)
#elif NN__CLANG
#define NN__TARGET(set) \
  NN__PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define NN__TARGET_END NN__PRAGMA(clang attribute pop)
#else
#define NN__TARGET(set)
#define NN__TARGET_END
#endif

/* A function of the table of kernels. On 32-bit x86 its vectors want a stack that is aligned to 16
 * bytes, and a caller or the start of a thread may align it to 4. */
#if NN__SIMD_X86 == 32
#define NN__FN static __attribute__((force_align_arg_pointer))
#define NN__SSE2 (__builtin_cpu_supports("sse2") != 0) /* cheap: asked once, as a program starts */
#else
#define NN__FN static
#define NN__SSE2 1
#endif

/* Without training what only goes back is compiled, called by nothing and dropped. */
#if defined NN_NO_TRAINING && (NN__GCC || NN__CLANG)
#define NN__DROPS_BACK 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#else
#define NN__DROPS_BACK 0
#endif

/* Whether the scalar kernels are the only ones, so that they are called by name. */
#define NN__ONE_ISA (!NN__SIMD_X86 && !NN__SIMD_NEON && !NN__SIMD_WASM)
#if NN__ONE_ISA
#define NN__FOLDS NN__INLINE /* a kernel of which each call needs a small part */
#else
#define NN__FOLDS NN__FN
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
#endif
#if defined NN__PTHREADS && _POSIX_THREADS > 0
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

/* What long sums are taken in: double, but on a chip whose C library would have to imitate it. */
#if defined __arm__ && !(defined __ARM_FP && (__ARM_FP & 8))
typedef nn_real nn__wide;
#define NN__WIDE_SQRT(x) nn__sqrt(x)
#else
typedef double nn__wide;
#define NN__WIDE_SQRT(x) sqrt(x)
#endif

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
static int nn__wide_path(const char *path, wchar_t *wide)
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
  return nn__wide_path(path, wide) ? _wfopen(wide, writing ? L"wb" : L"rb") : NULL;
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
  if (nn__wide_path(path, wide)) _wremove(wide);
#else
  remove(path);
#endif
}

/* The bytes of a file, which is then at its start; -1 when that failed. */
static int64_t nn__file_size(FILE *f)
{
#if NN__WIN32
  return fseek(f, 0, SEEK_SET) == 0 ? _filelengthi64(_fileno(f)) : -1;
#elif (NN__UNIX && !defined NN__STDIO_HIDDEN) || defined __wasi__
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
  return nn__wide_path(from, wide_from) && nn__wide_path(to, wide_to) &&
         MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0;
#else
  if (rename(from, to) == 0) return 1;
#if !NN__UNIX
  if (remove(to) == 0) return rename(from, to) == 0; /* C99 allows rename to refuse */
#endif
  return 0;
#endif
}

#if NN__UNIX
/* 0 when the name is that of a device, a directory and the like: to read a pipe could wait for
 * ever, to rename a file over these would fail, or, for the superuser, would replace /dev/null. */
static int nn__regular(const char *path)
{
  struct stat s;
  return stat(path, &s) != 0 || S_ISREG(s.st_mode);
}

/* A file that will be renamed to `path` is one writer's at a time, a thread's or a process's: this
 * waits until it is ours, and gives what nn__give_file wants, or -1. It is never another file under
 * a link's name, nor a pipe, and gets the rights of the file that it replaces, and its owner's to
 * write it. */
static int nn__take_file(const char *temporary, const char *path)
{
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
}
static void nn__give_file(int file) { close(file); }

/* Sees to it that a new name is on the disk, too. `path` is cut to its folder; some systems have no
 * folders to sync, and there is nothing to wait for. */
static void nn__sync_folder(char *path)
{
  char *end = strrchr(path, '/');
  if (end) end[end == path] = 0;
  const int folder = open(end ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  fsync(folder);
  close(folder);
}
#else /* nothing of this is known */
#define nn__regular(path) ((void)(path), 1)
#define nn__take_file(temporary, path) ((void)(temporary), (void)(path), 0)
#define nn__give_file(file) ((void)(file))
#define nn__sync_folder(path) ((void)(path))
#endif
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

/* Divides by 16 bits at a time: a chip's library takes 1 KB for a division of 64. */
static void nn__put_number(nn__text *t, unsigned long long value, unsigned base)
{
  char digit[24];
  int n = 0;
  do {
    unsigned long long quotient = 0;
    unsigned long rest = 0;
    for (int shift = 48; shift >= 0; shift -= 16) {
      rest = rest << 16 | (unsigned long)(value >> shift & 0xFFFF);
      quotient = quotient << 16 | rest / base, rest %= base;
    }
    digit[n++] = "0123456789abcdef"[rest];
    value = quotient;
  } while (value != 0);
  while (n > 0) nn__put_char(t, digit[--n]);
}

static void nn__put_signed(nn__text *t, long long value)
{
  if (value < 0) nn__put_char(t, '-');
  nn__put_number(t, value < 0 ? 0ull - (unsigned long long)value : (unsigned long long)value, 10);
}

#ifndef NN_NO_MESSAGES
/* Six significant digits in the manner of %g, good to about the last of them. */
static void nn__put_real(nn__text *t, double value)
{
  if (value < 0) nn__put_char(t, '-');
  value = fabs(value);
  if (!(value > 0 && value < HUGE_VAL)) {
    nn__put_string(t, value != value ? "nan" : value > 0 ? "inf" : "0");
    return;
  }
  char digit[6];
  int exponent = (int)floor(log10(value)), last = 5;
  /* In two steps, because 10^(5 - exponent) may itself be too large for the smallest values. */
  value = exponent < -200 ? value * 1e200 * pow(10, -195 - exponent)
                          : value * pow(10, 5 - exponent);
  if (value + 0.5 < 100000) value *= 10, exponent--; /* log10 was one too high, by a hair */
  unsigned long rest = (unsigned long)(value + 0.5);
  if (rest > 999999) rest /= 10, exponent++;
  for (int i = 5; i >= 0; i--, rest /= 10) digit[i] = (char)('0' + rest % 10);
  while (last > 0 && digit[last] == '0') last--;
  const int scientific = exponent < -4 || exponent > 5;
  const int point = scientific ? 0 : exponent; /* the point stands after this digit */
  if (point < 0) nn__put_string(t, "0.");
  for (int i = point + 1; i < 0; i++) nn__put_char(t, '0');
  for (int i = 0; i <= last || i <= point; i++) {
    nn__put_char(t, digit[i]);
    if (i == point && i < last) nn__put_char(t, '.');
  }
  if (!scientific) return;
  nn__put_string(t, exponent < 0 ? "e-" : "e+");
  exponent = exponent < 0 ? -exponent : exponent;
  if (exponent < 10) nn__put_char(t, '0');
  nn__put_signed(t, exponent);
}
#endif

static void nn__format(char *to, size_t size, const char *format, va_list args)
{
  nn__text t = {to, size, 0};
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
    case 'c': nn__put_char(&t, (char)va_arg(args, int)); break;
    case 'd': nn__put_signed(&t, va_arg(args, int)); break;
    case 'x': nn__put_number(&t, va_arg(args, unsigned), 16); break;
#ifndef NN_NO_MESSAGES
    case 'g': nn__put_real(&t, va_arg(args, double)); break;
#endif
    case 'z': /* %zu */
      nn__put_number(&t, va_arg(args, size_t), 10);
      if (format[1] == 'u') format++;
      break;
    case 'l': /* %lld, %llu */
      if (*++format == 'l' && *++format == 'u')
        nn__put_number(&t, va_arg(args, unsigned long long), 10);
      else
        nn__put_signed(&t, va_arg(args, long long));
      break;
    case '\0': format--; break; /* a lone % at the end: the loop must still see the zero */
    default: nn__put_char(&t, *format); break;
    }
  }
  to[t.used] = '\0';
}

const char *nn_status_text(int status)
{
  static const char *const text[] = {
      "there is none", "stopped", "ok", "invalid argument", "out of memory", "shapes do not fit",
      "called in the wrong order", "input or output failed", "malformed data", "too large",
      "not supported here", "training diverged"};
  return status > NN_ABSENT || status < NN_ERR_DIVERGED ? "unknown status"
                                                        : text[NN_ABSENT - status];
}

/* A text of the engine's own, such as a layer's name. */
static void nn__words(nn_message *to, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  nn__format(to->text, sizeof to->text, format, args);
  va_end(args);
}

/* Whether two texts are the same, for what every program links: some libraries' strcmp is large. */
static int nn__equal(const char *a, const char *b)
{
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

/* Explains a failure where the caller wants it explained, and returns it, so that a check is one
 * line: return nn__say(why, NN_ERR_SHAPE, "..."). */
#ifndef NN_NO_MESSAGES
static nn_status nn__say(nn_message *why, nn_status status, const char *format, ...)
{
  va_list args;
  if (why == NULL) return status;
  va_start(args, format);
  nn__format(why->text, sizeof why->text, format, args);
  va_end(args);
  return status;
}
#else
/* Of a failure its status's text is all that is told. What messages say is neither computed nor
 * linked, but still compiled, so that nothing which only they use is unused. */
static int nn__unsaid(const char *format, ...) { return format != NULL; }
#define NN__UNSAID(...) ((void)(0 && nn__unsaid(__VA_ARGS__)))
static nn_status nn__tell(nn_message *why, nn_status status)
{
  if (why) nn__words(why, "%s", nn_status_text(status));
  return status;
}
#define nn__say(why, status, ...) (NN__UNSAID(__VA_ARGS__), nn__tell(why, status))
#endif

/* Sizes come from users and files, so every sum and product of them is checked: 1 when it fits
 * in a size_t (of 32 bits too), 0 when it does not. */
static int nn__mul(size_t a, size_t b, size_t *product)
{
  *product = a * b;
  return a == 0 || b <= SIZE_MAX / a;
}

/* The product, or SIZE_MAX where it does not fit. Doubles would take thousands of bytes of code on
 * a processor without them. */
static size_t nn__times(size_t a, size_t b)
{
  size_t product;
  return nn__mul(a, b, &product) ? product : SIZE_MAX;
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

/* Tells whether 0 <= x < 1 (closed: x <= 1), by its bits: a chip has no comparison of doubles. */
static int nn__is_share(double x, int closed)
{
  const uint64_t one = (uint64_t)0x3FF << 52;
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits < one + (uint64_t)closed;
}

static nn_real nn__sqrt(nn_real x)
{
#if NN__DOUBLE
  return sqrt(x);
#else
  return sqrtf(x);
#endif
}

/* The only two places that touch the heap. Size 0 asks for one byte, so that NULL always means out
 * of memory. */
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
  if (a && a->release) a->release(a->user, memory, size);
#ifndef NN_NO_MALLOC
  if (!a || !a->allocate) NN_FREE(memory);
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
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)b, c3 = (uint32_t)a;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

uint32_t nn_random_at(uint64_t seed, uint64_t stream, uint64_t index)
{
  uint32_t word[4];
  nn__random_block(seed, stream, index / 4, word);
  return word[index % 4];
}

uint32_t nn_random_next(nn_random *r)
{
  return r ? nn_random_at(r->seed, r->stream, r->counter++) : 0;
}

/* Lemire, "Fast random integer generation in an interval", 2019: the high half of a product is
 * uniform once the first 2^32 mod n values of the low half are refused. */
uint32_t nn_random_below(nn_random *r, uint32_t n)
{
  uint64_t product;
  if (!r || n == 0) return 0;
  do product = (uint64_t)nn_random_next(r) * n;
  while ((uint32_t)product < n && (uint32_t)product < (0u - n) % n);
  return (uint32_t)(product >> 32);
}

double nn_random_uniform(nn_random *r) { return nn_random_next(r) * (1.0 / 4294967296.0); }

double nn_random_normal(nn_random *r)
{
  if (!r) return 0;
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
  uint32_t key[24], half[2], value;
  int bits = 1;
  if (count < 2) return 0;
  while (bits < 32 && (count - 1) >> bits) bits++;
  const int low = (bits + 1) / 2;
  const uint32_t mask[2] = {((uint32_t)1 << low) - 1, ((uint32_t)1 << (bits - low)) - 1};
  /* The tag in the high half keeps these streams apart from those of masks and initial values. */
  epoch ^= (uint64_t)0x73687566u << 32;
  for (int round = 0; round < 24; round += 4)
    nn__random_block(seed, epoch, (uint64_t)round, key + round);
  value = place % count;
  do {
    half[0] = value & mask[0], half[1] = value >> low;
    for (int round = 0; round < 24; round++) {
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
 * is that of nibble n at place k: of its bits, whose CRCs make a row. Four bytes a step from 512
 * bytes of tables. */
#define NN__CRC_ROW(a, b, c, d)                                                                   \
  {0, a, b, a ^ b, c, a ^ c, b ^ c, a ^ b ^ c, d, a ^ d, b ^ d, a ^ b ^ d, c ^ d, a ^ c ^ d,      \
   b ^ c ^ d, a ^ b ^ c ^ d}
static const uint32_t nn__crc_part[8][16] = {
  NN__CRC_ROW(0xB8BC6765, 0xAA09C88B, 0x8F629757, 0xC5B428EF),
  NN__CRC_ROW(0x5019579F, 0xA032AF3E, 0x9B14583D, 0xED59B63B),
  NN__CRC_ROW(0x01C26A37, 0x0384D46E, 0x0709A8DC, 0x0E1351B8),
  NN__CRC_ROW(0x1C26A370, 0x384D46E0, 0x709A8DC0, 0xE1351B80),
  NN__CRC_ROW(0x191B3141, 0x32366282, 0x646CC504, 0xC8D98A08),
  NN__CRC_ROW(0x4AC21251, 0x958424A2, 0xF0794F05, 0x3B83984B),
  NN__CRC_ROW(0x77073096, 0xEE0E612C, 0x076DC419, 0x0EDB8832),
  NN__CRC_ROW(0x1DB71064, 0x3B6E20C8, 0x76DC4190, 0xEDB88320),
};

uint32_t nn_crc32(uint32_t crc, const void *bytes, size_t size)
{
  const uint32_t(*part)[16] = nn__crc_part;
  const unsigned char *p = (const unsigned char *)bytes;
  if (!p) return crc;
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
 * MXCSR: flush to zero and denormals are zeros; FPCR, FPSCR on ARMv7: FZ, which is both. */
#if NN__SIMD_X86 || (NN__SIMD_NEON && !NN__MSVC)
#if NN__SIMD_X86
#define NN__FLUSH 0x8040u
#define NN__ROUND 0x6000u /* 0: to the nearest */
#else
#define NN__FLUSH 0x1000000u
#define NN__ROUND 0xC00000u
#endif
static uint32_t nn__float_mode(void)
{
#if NN__MSVC
  return _mm_getcsr();
#elif NN__SIMD_X86
  uint32_t mode = NN__FLUSH; /* there is nothing to change */
  if (NN__SSE2) __asm__ volatile("stmxcsr %0" : "=m"(mode));
  return mode;
#elif NN__SIMD_NEON == 32
  uint32_t mode;
  __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
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
#elif NN__SIMD_NEON == 32
  __asm__ volatile("vmsr fpscr, %0" : : "r"(mode) : "memory");
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
#ifdef NN__ASKS_FOR_NEON
  return isa == NN_ISA_NEON && (getauxval(AT_HWCAP) & (1ul << 12)) != 0; /* HWCAP_NEON */
#elif NN__SIMD_NEON
  return isa == NN_ISA_NEON; /* part of every aarch64 processor */
#elif NN__SIMD_WASM
  return isa == NN_ISA_WASM; /* a module that has these instructions loads nowhere else */
#elif NN__SIMD_X86
  if (isa == NN_ISA_SSE2) return NN__SSE2; /* part of every x86-64 processor */
  if (isa != NN_ISA_AVX2 && (isa != NN_ISA_AVX512 || NN__SIMD_X86 == 32)) return 0;
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
  static const nn_isa order[] = {NN_ISA_AVX512, NN_ISA_AVX2, NN_ISA_NEON, NN_ISA_WASM,
                                 NN_ISA_SSE2};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++)
    if (nn_isa_available(order[i])) return order[i];
  return NN_ISA_SCALAR;
}

static const char *const nn__isa_names[NN_ISA_COUNT] = {"auto", "scalar", "sse2", "avx2",
                                                        "avx512", "neon", "wasm"};

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
 * walk, which nn__tiles_at adds up), so tiles of any shape give the same bits. Row i of A may lie
 * anywhere: its element k is at a[i][o(k)], where o walks `segments` runs of `length` elements (the
 * last of `last`) that are a_step apart, run s from skip[s] on. So A may be stored by rows, by
 * columns (a[i] = a[0] + i) or packed, and a convolution needs no im2col: its runs are the rows of
 * the window. B's row k is at b + k b_step, and is read n wide if EXACT, else up to the next
 * multiple of the vector's width (a packed panel: b[k NR + j]).
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

typedef struct nn__steps { /* from row to row and from column to column of two matrices; and */
  ptrdiff_t a_row, a_col, b_row, b_col;
  size_t y, a; /* from one output to the next, and what a begins with */
} nn__steps;
enum { NN__ABREAST = 4, NN__CHANNELS = 256 };

/* The element by element functions, each a kind of layer: name, text, what going back needs (its
 * input X or its output Y) and how many numbers describe it. NN__(act) and NN__(act_back) hold the
 * formulas. */
enum {
  NN__NEEDS_X = 1,
  NN__NEEDS_Y = 2,
  NN__ONE_NUMBER = 4,
  NN__TWO_NUMBERS = 8,
  NN__OVER = 16,     /* inference may write the output over the input */
  NN__OVER_TOO = 32, /* and so may training */
  NN__SEES_ALL = 64  /* each output of an image depends on all of it */
};
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
 * slot: the state blocks, as far as the kind has them. */
typedef struct nn__update {
  int kind; /* nn_optimizer_kind */
  int nesterov, amsgrad;
  nn_real rate, momentum, alpha, beta1, beta2, eps, decay;
  nn_real rest, rest1, rest2;       /* 1 - alpha, 1 - beta1, 1 - beta2, rounded once */
  nn_real correction1, correction2; /* Adam's, for averages that begin at 0: rate/(1 - beta1^t) and
                                       1/sqrt(1 - beta2^t) */
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
#if !NN__ONE_ISA
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
  /* y[j] += sum over r < rows, q < cols of a[r a_row + q a_col + j] b[r b_row + q b_col + j], for
   * abreast outputs, 1 or NN__ABREAST */
  void (*add_taps)(nn_real *y, const nn_real *a, const nn_real *b, const nn__steps *s, size_t rows,
                   size_t cols, size_t n, size_t abreast);
  void (*axpy)(nn_real *y, nn_real s, const nn_real *x, size_t n);       /* y += s x */
  void (*combine)(nn_real *y, const nn_real *s, size_t step, const nn_real *x, size_t ldx,
                  size_t k, size_t n); /* y[j] += sum over p < k of s[p step] x[p ldx + j] */
  /* sum[j] += sum over rows of (x - mean[j]) y, where a NULL mean counts as 0 and a NULL y as 1; of
   * (x - mean[j])^2 if y is x. Without a mean there is no y. y lies as x does. At most 256 rows a
   * call, so that float sums stay short. */
  void (*sum_rows)(nn_real *sum, const nn_real *x, size_t ldx, const nn_real *mean,
                   const nn_real *y, size_t rows, size_t cols);
  /* z = p[j] x + q[j] (y - mean[j]) + r[j]; without q (y - mean) if y is NULL */
  void (*affine_rows)(nn_real *z, const nn_real *x, const nn_real *y, const nn_real *mean,
                      const nn_real *p, const nn_real *q, const nn_real *r, size_t rows,
                      size_t cols);
  void (*softmax)(nn_real *y, const nn_real *x, size_t rows, size_t cols);
  /* Layer norm of one row of n: y = (x - mean) rstd w + b, where rstd = 1/sqrt(variance + eps), and
   * stats = {mean, what it lost to rounding, rstd}. */
  void (*norm_row)(nn_real *y, const nn_real *x, const nn_real *w, const nn_real *b, size_t n,
                   nn__wide eps, nn_real *stats);
  /* A window of rows x cols pixels of n channels; its first pixel is x, its rows are `row` apart.
   * y[j] = its maximum (the first among equals, a NaN wins); y[j] = s times its sum */
  void (*max_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols, size_t n);
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
  void (*lstm_row)(nn_real *g, size_t panel, const size_t *column, const nn_real *c_before,
                   nn_real *c, nn_real *h, size_t n); /* column: each gate's first */
  void (*gru_row)(nn_real *g, size_t panel, const size_t *column, nn_real *h_before, nn_real *h,
                  size_t n);
  /* Those that go back; NULL without training. */
  /* dx = dy f'(.), from x or from y as NN__ACTS says. dx may be dy. */
  void (*activate_back)(int act, nn_real *dx, const nn_real *dy, const nn_real *xy, size_t n,
                        nn_real a, nn_real b);
  double (*sum_squares)(const nn_real *x, size_t n, nn_real s); /* of (s x)^2 */
  void (*softmax_back)(nn_real *dx, const nn_real *dy, const nn_real *y, size_t rows, size_t cols);
  void (*norm_row_back)(nn_real *dx, nn_real *dw, nn_real *db, const nn_real *dy, const nn_real *x,
                        const nn_real *w, size_t n, const nn_real *stats); /* dw, db: += */
  /* dx, a window as x: += (add) or = dy at the first pixel that equals y, or, where y is a NaN, at
   * the last one, 0 elsewhere; past a relu not where y is 0. */
  void (*max_window_back)(nn_real *dx, const nn_real *x, size_t row, size_t rows, size_t cols,
                          const nn_real *y, const nn_real *dy, size_t n, int add, int relu);
  void (*winograd_out_back)(nn_real *v, size_t step, const nn_real *dy, size_t row, size_t c, int m,
                            size_t rows, size_t cols, nn_real *half);
  void (*rnn_row_back)(nn_real *g, size_t panel, const nn_real *dh, size_t n, int relu);
  void (*lstm_row_back)(nn_real *g, size_t panel, const size_t *column, const nn_real *c_before,
                        const nn_real *c, const nn_real *dh, nn_real *dc, size_t n);
  void (*gru_row_back)(nn_real *g, size_t panel, const size_t *column, nn_real *h_before,
                       nn_real *dh, size_t n);
  double (*largest)(const nn_real *x, size_t n); /* the greatest |x|; NaN if one is not finite */
  /* 0, or NaN if a new w or mean square is not finite. */
  nn_real (*update)(const nn__update *u, nn_real *w, nn_real *g, nn_real *const *slot, size_t n);
#endif
} nn__kernels;

/* The kernel of this name in table t. Where there is one set, it is called without the table, so
 * that the linker drops the kernels that no layer of a program uses. */
#if NN__ONE_ISA
#define NN__DO(t, name) ((void)(t), name##_scalar)
#else
#define NN__DO(t, name) (t)->name
#endif

#endif /* NN__REFUSED */
#endif /* first reading */

/* ========================================= @@VEC ===========================================
 * The vocabulary. V is a vector of VW reals.
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

#if NN__INSTANCE > 1 /* what all sets of vectors name alike */
#define v_add(a, b) NN__OP(add)(a, b)
#define v_sub(a, b) NN__OP(sub)(a, b)
#define v_mul(a, b) NN__OP(mul)(a, b)
#if NN__SIMD_NEON != 32
#define v_div(a, b) NN__OP(div)(a, b)
#define v_sqrt(a) NN__OP(sqrt)(a)
#endif
#endif
#if NN__INSTANCE > 1 && NN__SIMD_X86
#define v_load(p) NN__OP(loadu)(p)
#define v_store(p, v) NN__OP(storeu)(p, v)
#define v_set(x) NN__OP(set1)(x)
#define v_zero() NN__OP(setzero)()
#endif

#if NN__INSTANCE == 1 /* ------------------------- scalar ---------------------------------- */
#define NN__(name) name##_scalar
#define NN__THIS_ISA NN_ISA_SCALAR
#define VW 1
#define MR 4
#define MR2 2
#define MR3 1
#define NV 2
#define V nn_real
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
NN__TARGET("sse2")
#define NN__(name) name##_sse2
#define NN__THIS_ISA NN_ISA_SSE2
#define NN__OP(name) _mm_##name##_ps
#define VW 4
#define MR (NN__SIMD_X86 == 32 ? 2 : 4) /* of 8 or 16 registers */
#define MR2 (MR / 2)
#define MR3 1
#define NV 2
#define V __m128
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
NN__TARGET("avx2,fma")
#define NN__(name) name##_avx2
#define NN__THIS_ISA NN_ISA_AVX2
#define NN__OP(name) _mm256_##name##_ps
#define VW 8
#define MR (NN__SIMD_X86 == 32 ? 2 : 6)
#define MR2 (NN__SIMD_X86 == 32 ? 1 : 4)
#define MR3 (NN__SIMD_X86 == 32 ? 1 : 2)
#define NV 2
#define V __m256
#define v_part(p, n) _mm256_maskload_ps(p, NN__(lanes)(n))
#define v_put(p, v, n) _mm256_maskstore_ps(p, NN__(lanes)(n), v)
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
NN__TARGET("avx512f,avx2,fma")
#define NN__(name) name##_avx512
#define NN__THIS_ISA NN_ISA_AVX512
#define NN__OP(name) _mm512_##name##_ps
#define VW 16
#define MR 14
#define MR2 8
#define MR3 4
#define NV 2
#define V __m512
#define v_part(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define v_put(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), v)
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
#define NN__OP(name) v##name##q_f32
#define VW 4
#define V float32x4_t
#define v_load(p) vld1q_f32(p)
#define v_store(p, v) vst1q_f32(p, v)
#define v_set(x) vdupq_n_f32(x)
#define v_zero() vdupq_n_f32(0)
#define v_max(a, b) NN__(max)(a, b)
#define v_min(a, b) NN__(min)(a, b)
#define v_gt(a, b) vcgtq_f32(a, b)
#define v_eq(a, b) vceqq_f32(a, b)
#define v_pick(m, a, b) vbslq_f32(m, a, b)
#define v_exp2i NN__(exp2i)
#if NN__SIMD_NEON == 64
#define MR 8
#define MR2 4
#define MR3 2
#define NV 3
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_zip_low(a, b) vzip1q_f32(a, b)
#define v_zip_high(a, b) vzip2q_f32(a, b)
#define v_round(x) vrndnq_f32(x)
#define v_sum(v) vaddvq_f32(v)
#else /* ARMv7: 16 registers; no division, root and rounding of vectors */
#ifdef NN__ASKS_FOR_NEON
NN__TARGET("fpu=neon")
#endif
#define MR 6
#define MR2 4
#define MR3 2
#define NV 2
#define v_div(a, b) ((a) / (b)) /* lane by lane */
#define v_sqrt(a) NN__(root)(a)
#if NN__ARM_FMA
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#else
#define v_fma(a, b, c) vmlaq_f32(c, a, b)
#endif
#define v_zip_low(a, b) vzipq_f32(a, b).val[0]
#define v_zip_high(a, b) vzipq_f32(a, b).val[1]
#define v_round(x) vsubq_f32(vaddq_f32(x, vdupq_n_f32(0x1.8p23f)), vdupq_n_f32(0x1.8p23f))
#define v_sum(v) NN__(sum)(v)
NN__INLINE V NN__(root)(V a)
{
  for (int i = 0; i < VW; i++) a[i] = sqrtf(a[i]);
  return a;
}
NN__INLINE float NN__(sum)(V v)
{
  const float32x2_t half = vadd_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(vpadd_f32(half, half), 0);
}
#endif
NN__INLINE V NN__(max)(V a, V b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
NN__INLINE V NN__(min)(V a, V b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
NN__INLINE V NN__(exp2i)(V x, V n)
{
  const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
  const int32x4_t bias = vdupq_n_s32(127), rest = vsubq_s32(whole, half);
  x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
  return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
}

#elif NN__INSTANCE == 6 /* --------------- WebAssembly SIMD128 ------------------------------ */
#define NN__(name) name##_wasm
#define NN__THIS_ISA NN_ISA_WASM
#define NN__OP(name) wasm_f32x4_##name
#define VW 4
#define MR 4
#define MR2 2
#define MR3 1
#define NV 2
#define V v128_t
#define v_load(p) wasm_v128_load(p)
#define v_store(p, v) wasm_v128_store(p, v)
#define v_set(x) wasm_f32x4_splat(x)
#define v_zero() wasm_f32x4_const(0, 0, 0, 0)
#define v_fma(a, b, c) wasm_f32x4_add(wasm_f32x4_mul(a, b), c)
#define v_max(a, b) wasm_f32x4_pmax(b, a) /* pmax(x, y) = x < y ? y : x */
#define v_min(a, b) wasm_f32x4_pmin(b, a) /* pmin(x, y) = y < x ? y : x */
#define v_gt(a, b) wasm_f32x4_gt(a, b)
#define v_eq(a, b) wasm_f32x4_eq(a, b)
#define v_pick(m, a, b) wasm_v128_bitselect(a, b, m)
#define v_zip_low(a, b) wasm_i32x4_shuffle(a, b, 0, 4, 1, 5)
#define v_zip_high(a, b) wasm_i32x4_shuffle(a, b, 2, 6, 3, 7)
#define v_round(x) wasm_f32x4_nearest(x)
#define v_exp2i NN__(exp2i)
#define v_sum NN__(sum)
/* 1.5 2^23 + n has n in its lowest bits: a conversion to whole numbers is slow on x86. */
NN__INLINE V NN__(exp2i)(V x, V n)
{
  const V whole = wasm_i32x4_sub(wasm_f32x4_add(n, v_set(0x1.8p23f)), wasm_i32x4_splat(0x4B400000));
  const V half = wasm_i32x4_shr(whole, 1), bias = wasm_i32x4_splat(127);
  x = v_mul(x, wasm_i32x4_shl(wasm_i32x4_add(half, bias), 23));
  return v_mul(x, wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_sub(whole, half), bias), 23));
}
NN__INLINE float NN__(sum)(V v)
{
  v = v_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 2, 3));
  return wasm_f32x4_extract_lane(v_add(v, wasm_i32x4_shuffle(v, v, 1, 1, 1, 1)), 0);
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
    nn_real columns[MR * VW]; /* a vector's at a time: the stack may be small */
    NN__UNROLL
    for (int v = 0; v < nv; v++) {
      NN__UNROLL
      for (int i = 0; i < mr; i++) v_store(columns + i * VW, acc[i][v]);
      for (size_t j = 0; j < VW && (size_t)v * VW + j < n; j++)
        for (size_t i = 0; i < m && i < (size_t)mr; i++) {
          nn_real *to = c + ((size_t)v * VW + j) * ldc + i, x = f->alpha * columns[i * VW + j];
          if (reads) x += f->beta * *to;
          if (f->bias) x += f->bias[i];
          *to = f->relu && x < 0 ? 0 : x;
        }
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

NN__FN void NN__(tile)(const nn__walk *w, const nn_real *const *a, const nn_real *b, nn_real *c,
                       size_t ldc, size_t m, size_t n, const nn__finish *f)
{
  /* C is on its way meanwhile; a short product is over sooner than that pays */
  const int ahead = !f->across && (f->beta != 0 || w->segments * w->length > 64);
  for (size_t i = 0; ahead && i < m; i++) {
    NN__PREFETCH(c + i * ldc);
    NN__PREFETCH(c + i * ldc + n - 1);
  }
  if (NN__SMALL || m > MR2)
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

NN__FN void NN__(transpose)(nn_real *to, size_t ldt, const nn_real *from, size_t ldf, size_t rows,
                            size_t cols)
{
  NN__(transpose_body)(0, to, ldt, from, ldf, rows, cols);
}

NN__FN void NN__(pack)(nn_real *to, const nn_real *b, size_t rs, size_t cs, size_t k, size_t n)
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
NN__FN void NN__(dots)(nn_real *y, const nn_real *x, const nn_real *w, size_t ldw, size_t k,
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

/* d times the derivative at v, which is x or y as NN__ACTS says.
 * relu: y > 0 ? d : 0; leaky: x > 0 ? d : a d; elu: x > 0 ? d : d a exp(x); gelu: Phi + x phi;
 * silu: s (1 + x (1 - s)); softplus: the sigmoid; hard sigmoid: -3 < x < 3 ? d/6 : 0; hard swish:
 * x > -3 ? x < 3 ? d (x/3 + 1/2) : d : 0; clamp: a < x < b ? d : 0; tanh: 1 - y^2;
 * sigmoid: y (1 - y). A unit that is off passes nothing, not even a NaN. Where x is a NaN it is
 * PyTorch's: d of a relu, d a of a leaky one, 0 of hard sigmoid and clamp, else NaN. */
NN__INLINE V NN__(act_back)(int act, V d, V v, V a, V b)
{
  const V zero = v_zero(), one = v_set(1), three = v_set(3);
  V density;
  switch (act) {
  case NN__ACT_RELU: return v_pick(v_eq(v, zero), zero, d);
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
    return v_pick(v_gt(v, v_sub(zero, three)), v_pick(v_gt(three, v), rising, d),
                  v_pick(v_gt(three, v), zero, rising)); /* the last: a NaN */
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

/* The function is a constant for each copy of the body. */
NN__FOLDS void NN__(activate)(int act, nn_real *y, const nn_real *x, size_t n, nn_real a, nn_real b)
{
#define NN__ACT_CASE(name, text, needs)                                                           \
  case NN__ACT_##name:                                                                            \
    NN__(activate_body)(NN__ACT_##name, y, x, n, v_set(a), v_set(b));                             \
    break;
  switch (act) { NN__ACTS(NN__ACT_CASE) }
#undef NN__ACT_CASE
}

NN__FN void NN__(activate_back)(int act, nn_real *dx, const nn_real *dy, const nn_real *xy,
                                size_t n, nn_real a, nn_real b)
{
#define NN__ACT_CASE(name, text, needs)                                                           \
  case NN__ACT_##name:                                                                            \
    NN__(activate_back_body)(NN__ACT_##name, dx, dy, xy, n, v_set(a), v_set(b));                  \
    break;
  switch (act) { NN__ACTS(NN__ACT_CASE) }
#undef NN__ACT_CASE
}

NN__FN void NN__(add)(nn_real *y, const nn_real *a, const nn_real *b, size_t n)
{
  for (size_t i = 0; i < n; i += VW)
    v_give(y + i, v_add(v_get(a + i, n - i), v_get(b + i, n - i)), n - i);
}

NN__FN void NN__(scale)(nn_real *y, nn_real s, size_t n)
{
  const V factor = v_set(s);
  for (size_t i = 0; i < n; i += VW) v_give(y + i, v_mul(v_get(y + i, n - i), factor), n - i);
}

/* `abreast` outputs of nv vectors: sums whose chains of dependent operations run side by side. */
NN__INLINE void NN__(add_taps_body)(size_t abreast, size_t nv, int whole, nn_real *y,
                                    const nn_real *a, const nn_real *b, const nn__steps *s,
                                    size_t rows, size_t cols, size_t n)
{
#define NN__SOME(p) (whole ? v_load(p) : v_get(p, n))
  V sum[NN__ABREAST];
  NN__UNROLL
  for (size_t v = 0; v < abreast * nv; v++)
    sum[v] = NN__SOME(y + v / nv * s->y + v % nv * VW);
  for (size_t r = 0; r < rows; r++)
    for (size_t q = 0; q < cols; q++) {
      const nn_real *x = a + (ptrdiff_t)r * s->a_row + (ptrdiff_t)q * s->a_col;
      const nn_real *w = b + (ptrdiff_t)r * s->b_row + (ptrdiff_t)q * s->b_col;
      NN__UNROLL
      for (size_t v = 0; v < abreast * nv; v++)
        sum[v] = v_fma(NN__SOME(x + v / nv * s->a + v % nv * VW), NN__SOME(w + v % nv * VW),
                       sum[v]);
    }
  NN__UNROLL
  for (size_t v = 0; v < abreast * nv; v++)
    v_give(y + v / nv * s->y + v % nv * VW, sum[v], n - v % nv * VW);
#undef NN__SOME
}

NN__FN void NN__(add_taps)(nn_real *y, const nn_real *a, const nn_real *b, const nn__steps *s,
                           size_t rows, size_t cols, size_t n, size_t abreast)
{
  const size_t nv = NN__ABREAST / abreast;
  size_t j = 0;
  for (; n - j >= nv * VW; j += nv * VW)
    if (nv == 1) NN__(add_taps_body)(NN__ABREAST, 1, 1, y + j, a + j, b + j, s, rows, cols, VW);
    else NN__(add_taps_body)(1, NN__ABREAST, 1, y + j, a + j, b + j, s, rows, cols, nv * VW);
  for (; j < n; j += VW)
    if (nv == 1) NN__(add_taps_body)(NN__ABREAST, 1, 0, y + j, a + j, b + j, s, rows, cols, n - j);
    else NN__(add_taps_body)(1, 1, 0, y + j, a + j, b + j, s, rows, cols, n - j);
}

NN__FN void NN__(axpy)(nn_real *y, nn_real s, const nn_real *x, size_t n)
{
  const V factor = v_set(s);
  for (size_t i = 0; i < n; i += VW)
    v_give(y + i, v_fma(factor, v_get(x + i, n - i), v_get(y + i, n - i)), n - i);
}

/* Eight rows at a time: y passes through the registers once for eight, and memory has as many
 * streams to fetch ahead. */
NN__FN void NN__(combine)(nn_real *y, const nn_real *s, size_t step, const nn_real *x, size_t ldx,
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

NN__FN double NN__(sum_squares)(const nn_real *x, size_t n, nn_real s)
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

NN__INLINE void NN__(sum_rows_body)(int from_mean, int factor, int squares, nn_real *sum,
                                    const nn_real *x, size_t ldx, const nn_real *mean,
                                    const nn_real *y, size_t rows, size_t cols)
{
  for (size_t j = 0; j < cols; j += VW) {
    const size_t left = cols - j;
    const V mu = from_mean ? v_get(mean + j, left) : v_zero();
    V s = v_zero();
    for (size_t i = 0; i < rows; i++) {
      const V v = v_get(x + i * ldx + j, left), d = from_mean ? v_sub(v, mu) : v;
      if (factor) s = v_fma(d, squares ? d : v_get(y + i * ldx + j, left), s);
      else s = v_add(s, d);
    }
    v_give(sum + j, v_add(v_get(sum + j, left), s), left);
  }
}

NN__FN void NN__(sum_rows)(nn_real *sum, const nn_real *x, size_t ldx, const nn_real *mean,
                           const nn_real *y, size_t rows, size_t cols)
{
  if (!mean)
    NN__(sum_rows_body)(0, 0, 0, sum, x, ldx, mean, y, rows, cols);
  else if (!y)
    NN__(sum_rows_body)(1, 0, 0, sum, x, ldx, mean, y, rows, cols);
  else if (y == x)
    NN__(sum_rows_body)(1, 1, 1, sum, x, ldx, mean, y, rows, cols);
  else
    NN__(sum_rows_body)(1, 1, 0, sum, x, ldx, mean, y, rows, cols);
}

NN__INLINE void NN__(affine_body)(int both, nn_real *z, const nn_real *x, const nn_real *y,
                                  const nn_real *mean, const nn_real *p, const nn_real *q,
                                  const nn_real *r, size_t rows, size_t cols)
{
  for (size_t i = 0; i < rows * cols; i += cols)
    for (size_t j = 0; j < cols; j += VW) {
      const size_t left = cols - j;
      V t = v_get(r + j, left);
      if (both)
        t = v_fma(v_get(q + j, left), v_sub(v_get(y + i + j, left), v_get(mean + j, left)), t);
      v_give(z + i + j, v_fma(v_get(p + j, left), v_get(x + i + j, left), t), left);
    }
}

NN__FN void NN__(affine_rows)(nn_real *z, const nn_real *x, const nn_real *y, const nn_real *mean,
                              const nn_real *p, const nn_real *q, const nn_real *r, size_t rows,
                              size_t cols)
{
  if (y)
    NN__(affine_body)(1, z, x, y, mean, p, q, r, rows, cols);
  else
    NN__(affine_body)(0, z, x, y, mean, p, q, r, rows, cols);
}

/* ---- rows --------------------------------------------------------------------------------- */

/* y_j = exp(x_j - max) / sum exp(x_j - max). A row with a NaN becomes all NaN. */
NN__FN void NN__(softmax)(nn_real *y, const nn_real *x, size_t rows, size_t cols)
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

/* dx_j = y_j (dy_j - sum over i of dy_i y_i): the sum is dy's mean under the probabilities y. */
NN__FN void NN__(softmax_back)(nn_real *dx, const nn_real *dy, const nn_real *y, size_t rows,
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

/* xhat = (x - mean) rstd; stats = {mean, what it lost to rounding, rstd}. */
NN__INLINE V NN__(hat)(const nn_real *x, size_t n, const nn_real *stats)
{
  const V d = v_sub(v_sub(v_get(x, n), v_set(stats[0])), v_set(stats[1]));
  return v_mul(d, v_set(stats[2]));
}

NN__FN void NN__(norm_row)(nn_real *y, const nn_real *x, const nn_real *w, const nn_real *b,
                           size_t n, nn__wide eps, nn_real *stats)
{
  V sum = v_zero();
  for (size_t j = 0; j < n; j += VW) sum = v_add(sum, v_get(x + j, n - j));
  const nn_real mean = v_sum(sum) / (nn_real)n;
  nn__wide rest = 0, square = 0; /* what rounding left out of the mean; the variance */
  for (size_t j = 0; j < n; j++) rest += (nn__wide)(x[j] - mean);
  rest /= (nn__wide)n;
  for (size_t j = 0; j < n; j++) {
    const nn__wide d = (nn__wide)(x[j] - mean) - rest;
    square += d * d;
  }
  stats[0] = mean;
  stats[1] = (nn_real)rest;
  stats[2] = (nn_real)(1 / NN__WIDE_SQRT(square / (nn__wide)n + eps));
  for (size_t j = 0; j < n; j += VW)
    v_give(y + j,
           v_fma(NN__(hat)(x + j, n - j, stats), v_get(w + j, n - j), v_get(b + j, n - j)), n - j);
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy w; dw += dy xhat, db += dy. */
NN__FN void NN__(norm_row_back)(nn_real *dx, nn_real *dw, nn_real *db, const nn_real *dy,
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

/* ---- pooling ------------------------------------------------------------------------------ */

NN__FN void NN__(max_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols,
                             size_t n)
{
  for (size_t j = 0; j < n; j += VW) {
    V max = v_get(x + j, n - j);
    for (size_t r = 0; r < rows; r++)
      for (size_t q = 0; q < cols; q++) {
        const V v = v_get(x + r * row + q * n + j, n - j);
        max = v_pick(v_eq(v, v), v_pick(v_gt(v, max), v, max), v); /* v is not NaN ? .. : v */
      }
    v_give(y + j, max, n - j);
  }
}

NN__FN void NN__(sum_window)(nn_real *y, const nn_real *x, size_t row, size_t rows, size_t cols,
                             size_t n, nn_real s)
{
  for (size_t j = 0; j < n; j += VW) {
    V sum = v_zero(), part = sum; /* short float sums: of 256 pixels, up to the end of a row */
    for (size_t r = 0, count = 0; r < rows; r++) {
      for (size_t q = 0; q < cols; q++) part = v_add(part, v_get(x + r * row + q * n + j, n - j));
      count += cols;
      if (count < 256) continue;
      sum = v_add(sum, part), part = v_zero(), count = 0;
    }
    v_give(y + j, v_mul(v_add(sum, part), v_set(s)), n - j);
  }
}

/* Adds dy to the last NaN of the window, which PyTorch's maximum has taken. */
static void NN__(nan_window_back)(nn_real *dx, const nn_real *x, size_t row, size_t rows,
                                  size_t cols, const nn_real *dy, size_t n)
{
  for (size_t r = rows; r-- > 0;)
    for (size_t q = cols; q-- > 0;) {
      const size_t at = r * row + q * n;
      if (x[at] == x[at]) continue;
      dx[at] += *dy;
      return;
    }
}

NN__FN void NN__(max_window_back)(nn_real *dx, const nn_real *x, size_t row, size_t rows,
                                  size_t cols, const nn_real *y, const nn_real *dy, size_t n,
                                  int add, int relu)
{
  const V zero = v_zero();
  for (size_t j = 0; j < n; j += VW) {
    const V max = v_get(y + j, n - j);
    V left = v_get(dy + j, n - j); /* what no pixel has taken yet */
    if (relu) left = v_pick(v_eq(max, zero), zero, left);
    for (size_t r = 0; r < rows; r++)
      for (size_t q = 0; q < cols; q++) {
        const size_t at = r * row + q * n + j;
        const V v = v_get(x + at, n - j), d = v_pick(v_eq(v, max), left, zero);
        v_give(dx + at, add ? v_add(v_get(dx + at, n - j), d) : d, n - j);
        left = v_pick(v_eq(v, max), zero, left);
      }
    if (v_sum(v_mul(max, zero)) == 0) continue;
    for (size_t k = j; k < n && k < j + VW; k++) /* a maximum is a NaN (or infinite) */
      if (y[k] != y[k]) NN__(nan_window_back)(dx + k, x + k, row, rows, cols, dy + k, n);
  }
}

/* ---- Winograd ----------------------------------------------------------------------------- */

/* d = B^T d: row j of B^T holds the coefficients of prod over i of (x - a_i) without (x - a_j), for
 * the points a = 0, 1, -1, 2, -2, 1/2, -1/2; the last, for infinity, those of the whole product.
 * The rows of a and -a share their even part e and differ in the sign of the odd part o. */
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

/* d_i = (A^T d)_i = sum over j of a_j^i d_j, i < m; infinity's d_7 counts for i = m - 1 alone. */
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

/* d = A d: the values of the polynomial with coefficients d_0 .. d_{m-1} at the points; at infinity
 * d_{m-1}. */
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

NN__FN void NN__(winograd_weights)(nn_real *to, size_t ldt, int side, const nn_real *from,
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

/* Both sides of a tile: B^T x B of 8 x 8 pixels, or A x A^T of m x m, rows x cols of them there. */
NN__INLINE void NN__(winograd_tile)(int m, nn_real *v, size_t step, const nn_real *x, size_t row,
                                    size_t c, size_t rows, size_t cols, nn_real *half)
{
  for (size_t j = 0; j < c; j += VW) {
    V t[8];
    for (size_t i = 0; i < (size_t)m; i++) {
      NN__UNROLL
      for (size_t k = 0; k < (size_t)m; k++)
        t[k] = i < rows && k < cols ? v_get(x + i * row + k * c + j, c - j) : v_zero();
      if (m == 8) NN__(winograd_b)(t);
      else NN__(winograd_a_back)(t, m);
      NN__UNROLL
      for (size_t k = 0; k < 8; k++) v_store(half + (i * 8 + k) * VW, t[k]);
    }
    for (size_t k = 0; k < 8; k++) {
      NN__UNROLL
      for (size_t i = 0; i < (size_t)m; i++) t[i] = v_load(half + (i * 8 + k) * VW);
      if (m == 8) NN__(winograd_b)(t);
      else NN__(winograd_a_back)(t, m);
      NN__UNROLL
      for (size_t i = 0; i < 8; i++) v_give(v + (i * 8 + k) * step + j, t[i], c - j);
    }
  }
}

NN__FN void NN__(winograd_in)(nn_real *v, size_t step, const nn_real *x, size_t row, size_t c,
                              nn_real *half)
{
  NN__(winograd_tile)(8, v, step, x, row, c, 8, 8, half);
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

NN__FN void NN__(winograd_out)(nn_real *y, size_t row, size_t c, const nn_real *v, size_t step,
                               int m, size_t rows, size_t cols, const nn__finish *f, nn_real *half)
{
  if (m == 4)
    NN__(winograd_out_body)(4, y, row, c, v, step, rows, cols, f, half);
  else
    NN__(winograd_out_body)(6, y, row, c, v, step, rows, cols, f, half);
}

NN__FN void NN__(winograd_out_back)(nn_real *v, size_t step, const nn_real *dy, size_t row,
                                    size_t c, int m, size_t rows, size_t cols, nn_real *half)
{
  if (m == 4)
    NN__(winograd_tile)(4, v, step, dy, row, c, rows, cols, half);
  else
    NN__(winograd_tile)(6, v, step, dy, row, c, rows, cols, half);
}

/* ---- cells -------------------------------------------------------------------------------- */

/* Where a gate's units j.. of a row lie, the gate's first column being `from`; of four gates. */
NN__INLINE nn_real *NN__(units)(nn_real *g, size_t panel, size_t from, size_t j)
{
  return g + (from + j) / NR * panel + (from + j) % NR;
}
NN__INLINE void NN__(gates)(nn_real *g, size_t panel, const size_t *column, size_t j,
                            nn_real *at[4])
{
  NN__UNROLL
  for (int k = 0; k < 4; k++) at[k] = NN__(units)(g, panel, column[k], j);
}

/* Copies x[n] to columns from .. of a row that lies in panels. */
NN__FN void NN__(to_panels)(nn_real *to, size_t panel, size_t from, const nn_real *x, size_t n)
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
NN__FN void NN__(panels_row)(nn_real *y, const nn_real *x, size_t panel, const nn_real *b,
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

/* g: the sum W x + b_x + U h + b_h; becomes h. */
NN__FN void NN__(rnn_row)(nn_real *g, size_t panel, nn_real *h, size_t n, int relu)
{
  for (size_t j = 0; j < n; j += VW) {
    nn_real *const at = NN__(units)(g, panel, 0, j);
    const V x = v_load(at), y = relu ? v_max(v_zero(), x) : NN__(vtanh)(x);
    v_store(at, y);
    v_give(h + j, y, n - j);
  }
}

/* g: h; becomes the gradient of the sum. */
NN__FN void NN__(rnn_row_back)(nn_real *g, size_t panel, const nn_real *dh, size_t n, int relu)
{
  for (size_t j = 0; j < n; j += VW) {
    nn_real *const at = NN__(units)(g, panel, 0, j);
    const V y = v_load(at), d = v_get(dh + j, n - j);
    v_store(at, relu ? NN__(act_back)(NN__ACT_RELU, d, y, y, y)
                     : NN__(act_back)(NN__ACT_TANH, d, y, y, y));
  }
}

/* g: the sums of the gates i, f, g (here z), o; becomes the gates. */
NN__FN void NN__(lstm_row)(nn_real *g, size_t panel, const size_t *column,
                           const nn_real *c_before, nn_real *c, nn_real *h, size_t n)
{
  for (size_t j = 0; j < n; j += VW) {
    const size_t left = n - j;
    nn_real *at[4];
    NN__(gates)(g, panel, column, j, at);
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

/* g: the gates; becomes the gradients of their sums. dc: the part of c's gradient that comes from
 * the next step; becomes that of c_before. */
NN__FN void NN__(lstm_row_back)(nn_real *g, size_t panel, const size_t *column,
                                const nn_real *c_before, const nn_real *c, const nn_real *dh,
                                nn_real *dc, size_t n)
{
  const V one = v_set(1);
  for (size_t j = 0; j < n; j += VW) {
    const size_t left = n - j;
    nn_real *at[4];
    NN__(gates)(g, panel, column, j, at);
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

/* g: the sums of n (here s) over x, of r, of z, and u; becomes n, r, z, and u still. */
NN__FN void NN__(gru_row)(nn_real *g, size_t panel, const size_t *column, nn_real *h_before,
                          nn_real *h, size_t n)
{
  for (size_t j = 0; j < n; j += VW) {
    nn_real *at[4];
    NN__(gates)(g, panel, column, j, at);
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

/* g: n (here s), r, z and u; becomes the gradients of the four sums. dh becomes dh z, the part of
 * h_before's gradient that does not pass through U. */
NN__FN void NN__(gru_row_back)(nn_real *g, size_t panel, const size_t *column, nn_real *h_before,
                               nn_real *dh, size_t n)
{
  const V one = v_set(1);
  for (size_t j = 0; j < n; j += VW) {
    const size_t left = n - j;
    nn_real *at[4];
    NN__(gates)(g, panel, column, j, at);
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
    v_give(dh + j, v_mul(d, z), left);
  }
}

/* ---- optimizers --------------------------------------------------------------------------- */

/* A maximum may lose a NaN, a sum of products with 0 never does, nor an infinity: inf 0 = NaN. */
NN__FN double NN__(largest)(const nn_real *x, size_t n)
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

#ifndef NN_NO_TRAINING
NN__INLINE nn_real NN__(update_body)(int kind, const nn__update *u, nn_real *w, nn_real *g,
                                     nn_real *const *slot, size_t n)
{
  nn_real *const slot1 = slot[0], *const slot2 = slot[1], *const slot3 = slot[2];
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
      V most = s;
      if (u->amsgrad) most = v_max(s, v_get(slot3 + i, left)), v_give(slot3 + i, most, left);
      x = v_sub(x, v_div(v_mul(correction1, m), v_fma(v_sqrt(most), correction2, eps)));
    }
    v_give(w + i, x, left);
    v_give(g + i, v_zero(), left);
    bad = v_fma(x, v_zero(), bad);
  }
  return v_sum(bad);
}

NN__FN nn_real NN__(update)(const nn__update *u, nn_real *w, nn_real *g, nn_real *const *slot,
                            size_t n)
{
  switch (u->kind) {
  case NN_SGD: return NN__(update_body)(NN_SGD, u, w, g, slot, n);
  case NN_ADAGRAD: return NN__(update_body)(NN_ADAGRAD, u, w, g, slot, n);
  case NN_RMSPROP: return NN__(update_body)(NN_RMSPROP, u, w, g, slot, n);
  case NN_ADAM: return NN__(update_body)(NN_ADAM, u, w, g, slot, n);
  default: return NN__(update_body)(NN_ADAMW, u, w, g, slot, n);
  }
}
#endif

#ifdef NN_NO_TRAINING
#define NN__BACK(kernel) NULL
#else
#define NN__BACK(kernel) NN__(kernel)
#endif
static const nn__kernels NN__(nn__table) = {
    NN__THIS_ISA, VW, MR, NR, MR2, 112 / MR * MR, 640, NR * 64,
#if !NN__ONE_ISA
    NN__(tile), NN__(pack), NN__(transpose), NN__(dots), NN__(activate), NN__(add), NN__(scale),
    NN__(add_taps), NN__(axpy), NN__(combine), NN__(sum_rows), NN__(affine_rows), NN__(softmax),
    NN__(norm_row), NN__(max_window), NN__(sum_window), NN__(winograd_weights), NN__(winograd_in),
    NN__(winograd_out), NN__(to_panels), NN__(panels_row), NN__(rnn_row), NN__(lstm_row),
    NN__(gru_row), NN__BACK(activate_back), NN__BACK(sum_squares), NN__BACK(softmax_back),
    NN__BACK(norm_row_back), NN__BACK(max_window_back), NN__BACK(winograd_out_back),
    NN__BACK(rnn_row_back), NN__BACK(lstm_row_back), NN__BACK(gru_row_back), NN__BACK(largest),
    NN__BACK(update),
#endif
};
#undef NN__BACK

#if (NN__INSTANCE >= 2 && NN__INSTANCE <= 4) || (NN__INSTANCE == 5 && defined NN__ASKS_FOR_NEON)
NN__TARGET_END
#endif
#endif /* the instances; 0 only forgets their names */
#undef NN__
#undef NN__THIS_ISA
#undef NN__OP
#undef VW
#undef MR
#undef MR2
#undef MR3
#undef NV
#undef NR
#undef V
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
#define NN__NAMES(DO)                                                                             \
  DO(VW) DO(MR) DO(MR2) DO(MR3) DO(NV) DO(NR) DO(V) DO(v_load) DO(v_store) DO(v_part)       \
  DO(v_put) DO(v_set) DO(v_zero) DO(v_add) DO(v_sub) DO(v_mul) DO(v_div) DO(v_sqrt) DO(v_fma)     \
  DO(v_max) DO(v_min) DO(v_gt) DO(v_eq) DO(v_pick) DO(v_round) DO(v_exp2i) DO(v_zip_low)          \
  DO(v_zip_high) DO(v_sum) DO(v_get) DO(v_give)
#define NN__PUT_AWAY(name) NN__PRAGMA(push_macro(#name))
#define NN__PUT_BACK(name) NN__PRAGMA(pop_macro(#name))
NN__NAMES(NN__PUT_AWAY)
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
#if NN__SIMD_X86 == 64
#define NN__INSTANCE 4
#include NN__SELF
#endif
#elif NN__SIMD_NEON
#define NN__INSTANCE 5
#include NN__SELF
#elif NN__SIMD_WASM
#define NN__INSTANCE 6
#include NN__SELF
#endif
#endif
NN__NAMES(NN__PUT_BACK)
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
#if NN__SIMD_X86 == 64
  case NN_ISA_AVX512: return &nn__table_avx512;
#endif
#elif NN__SIMD_NEON
  case NN_ISA_NEON: return &nn__table_neon;
#elif NN__SIMD_WASM
  case NN_ISA_WASM: return &nn__table_wasm;
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
#define nn__mutex_init(m) (InitializeCriticalSection(m), 1)
#define nn__mutex_free(m) DeleteCriticalSection(m)
#define nn__signal_init(s) (InitializeConditionVariable(s), 1)
#define nn__signal_free(s) ((void)(s)) /* holds nothing */
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
#define nn__mutex_init(m) !pthread_mutex_init(m, NULL)
#define nn__mutex_free(m) pthread_mutex_destroy(m)
#define nn__signal_init(s) !pthread_cond_init(s, NULL)
#define nn__signal_free(s) pthread_cond_destroy(s)
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

enum { NN__CALLER, NN__WORKER }; /* who waits: for the job to end; for a job, or the pool's end */

typedef struct nn__pool {
  int threads; /* with the caller's */
  int ready;   /* mutex and signals exist */
  nn__mutex mutex;
  nn__signal signal[2];
  int spins;   /* see nn__await */
  nn__task task; /* the present job: written before `left`, read by threads that claimed a task */
  void *arg;
  /* shared: tasks not yet claimed; tasks not yet finished; how many threads may be asleep, workers
   * or the caller; whether the pool is being stopped */
  size_t left, unfinished, asleep[2], quit;
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

/* Claims the last of the tasks that are left: its number counted from 1, or 0 if there is none. The
 * job cannot end, nor `task` and `arg` change, before a claimed task is finished; a thread that
 * comes late claims none and never reads them. */
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

/* Spins for some 30 microseconds before it sleeps, since waking a thread costs more than a job of a
 * small net; with more threads than cores it never spins. No wake-up is lost: a thread first counts
 * itself in `asleep` and then looks at the value again; one that wakes others first changes the
 * value and then looks at `asleep`. In a sequentially consistent order one of the two sees the
 * other. */
enum { NN__SPINS = 2000 };
#define NN__DUE(look) \
  (who == NN__WORKER ? look(p, left) || look(p, quit) : !look(p, unfinished))

static void nn__await(nn__pool *p, int who)
{
  for (int i = 0; i < p->spins && !NN__DUE(nn__look); i++) NN__PAUSE();
  if (NN__DUE(nn__look)) return;
  nn__more(p, asleep[who], 1);
  nn__lock(&p->mutex);
  while (!NN__DUE(nn__locked_look)) nn__wait(&p->signal[who], &p->mutex);
  nn__unlock(&p->mutex);
  nn__more(p, asleep[who], -1);
}

static void nn__wake_up(nn__pool *p, int who)
{
  if (!nn__look(p, asleep[who])) return;
  nn__lock(&p->mutex);
  nn__wake(&p->signal[who]);
  nn__unlock(&p->mutex);
}

static void nn__take_tasks(nn__pool *p, int thread)
{
  for (size_t number; (number = nn__claim(p)) != 0;) {
    p->task(p->arg, number - 1, thread);
    if (!nn__more(p, unfinished, -1)) nn__wake_up(p, NN__CALLER);
  }
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
    nn__await(p, NN__WORKER);
    nn__take_tasks(p, w->number);
  }
  return 0;
}

static int nn__sync_init(nn__pool *p)
{
  if (!nn__mutex_init(&p->mutex)) return 0;
  if (nn__signal_init(&p->signal[0])) {
    if (nn__signal_init(&p->signal[1])) return 1;
    nn__signal_free(&p->signal[0]);
  }
  nn__mutex_free(&p->mutex);
  return 0;
}

static void nn__pool_stop(nn__pool *p)
{
  if (!p->ready) return;
  nn__put(p, quit, 1);
  nn__wake_up(p, NN__WORKER);
  for (int i = 1; i < p->threads; i++) {
#if NN__WIN32
    WaitForSingleObject(p->worker[i].thread, INFINITE);
    CloseHandle(p->worker[i].thread);
#else
    pthread_join(p->worker[i].thread, NULL);
#endif
  }
  for (int who = 0; who < 2; who++) nn__signal_free(&p->signal[who]);
  nn__mutex_free(&p->mutex);
  p->ready = 0;
}

static nn_status nn__pool_start(nn__pool *p, int threads)
{
  memset(p, 0, sizeof *p);
  p->threads = 1;
  if (threads <= 1) return NN_OK;
  if (!nn__sync_init(p)) return NN_ERR_MEMORY;
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
  nn__wake_up(p, NN__WORKER);
  nn__take_tasks(p, 0);
  nn__await(p, NN__CALLER);
}
#endif

/* ======================================== @@GEMM ===========================================
 * C[m,n] = finish(A[m,k] B[k,n]), the operands given by the strides of their rows and columns, so a
 * transpose is only another pair of strides. The loops are those of Goto & van de Geijn (ACM TOMS
 * 2008), numbered as BLIS does from the inside; the sizes of blocks are the kernels' (nn__kernels):
 *   5  over n, nc columns of B and C at a time       nn__multiply_blocks
 *   4  over k, kc at a time                          here B's block [kc,nc] is packed, for L3
 *   3  over m, shared out among threads, mc a time   nn__product_task: A's block is packed, for L2
 *   2  over the block's columns, a panel of NR       nn__tiles_at
 *   1  over the block's rows, MR
 * and inside the micro-kernel `tile` holds C[MR,NR] in registers while it adds kc outer products,
 * each of a column of A and a row of B. So each number loaded is used MR or NR times before it is
 * dropped, and packed panels are read as one stream. */
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

/* C = AB; C += AB */
static const nn__finish nn__overwrite = {1, 0, NULL, 0, 0}, nn__accumulate = {1, 1, NULL, 0, 0};
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
  NN__DO(t, pack)(p->context->pack_b + j * p->kb,
                  p->b.at + p->p0 * p->b.row + (p->j0 + j) * p->b.col, p->b.row, p->b.col, p->kb,
                  nn__min(NN__PACK_TASK * t->nr, p->nb - j));
}

/* Brings A[m,kb] together, so that its rows neither meet in the same sets of the cache nor lie on a
 * page each: rows as rows, NN__PAD further apart than long; columns in panels like those of B. */
static void nn__pack_a(const nn__product *p, nn_real *to, const nn_real *a, size_t m)
{
  if (p->a.col == 1)
    for (size_t i = 0; i < m; i++, to += p->kb + NN__PAD)
      memcpy(to, a + i * p->a.row, p->kb * sizeof *to);
  else
    NN__DO(p->context->kernels, pack)(to, a, p->a.col, p->a.row, p->kb, m);
}

/* Where the rows of a left operand start: `wide` of them `step` apart, the next `wide` of them
 * `down` further on. So row i is at at[i/wide down + i mod wide step], i counted from `first`: the
 * pixels of an image, or, with wide = NR, panels; a plain matrix is one with wide = SIZE_MAX. Or
 * row i is at at[place[i]], where there is a list of places. */
typedef struct nn__left {
  const nn_real *at;
  size_t step, wide, down, first; /* first < wide */
  const size_t *place;
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
    const nn_real *line = a->at;
    if (f.bias && !f.across) f.bias = finish->bias + j;
    for (size_t i = 0, x = a->first, rows; i < m; i += rows) {
      const nn_real *row[NN__MAX_MR];
      rows = nn__tile_height(t, m - i);
      for (size_t r = a->place ? rows : 0, some; r < rows; r += some, x += some) {
        if (x == a->wide) line += a->down, x = 0;
        some = nn__min(rows - r, a->wide - x);
        for (size_t s = 0; s < some; s++) row[r + s] = line + (x + s) * a->step;
      }
      for (size_t r = 0; a->place && r < rows; r++) row[r] = a->at + a->place[i + r];
      if (f.bias && f.across) f.bias = finish->bias + i;
      nn_real *to = c + i * (f.across ? 1 : ldc);
      if (!(walk->how & NN__CHAINS)) {
        NN__DO(t, tile)(walk, row, b, to, ldc, rows, nn__min(t->nr, n - j), &f);
        continue;
      }
      nn__finish add = f;
      for (size_t s = 0; s < walk->segments; s++, add.beta = 1) {
        const size_t length = s + 1 < walk->segments ? walk->length : walk->last;
        const nn__walk chain = {1, length, length, walk->skip + s, walk->a_step, walk->b_step, 0};
        NN__DO(t, tile)(&chain, row, b + s * walk->length * walk->b_step, to, ldc, rows,
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
  const nn__left rows = {a, lda, SIZE_MAX, 0, 0, NULL};
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
  const nn__left packed_rows = {pack_a, p->kb + NN__PAD, SIZE_MAX, 0, 0, NULL};
  const nn__left packed_panels = {pack_a, 1, nr, p->kb * nr, 0, NULL};
  const int by_rows = p->a.col == 1;
  const nn__walk walk = {1, p->kb, p->kb, &no_skip, p->direct_a ? p->a.col : by_rows ? 1 : nr,
                         p->direct_b ? p->b.row : nr, p->direct_b && !p->b.panel};
  const size_t panel_b = !p->direct_b ? p->kb * nr : p->b.panel ? p->b.panel : nr * p->b.col;
  const nn_real *b = p->direct_b ? p->b.at + p->p0 * p->b.row + p->j0 / nr * panel_b
                                 : p->context->pack_b;
  for (size_t i0 = first; i0 < last; i0 += t->mc) {
    const size_t rows = nn__min(t->mc, last - i0);
    const nn_real *const at = p->a.at + p->p0 * p->a.col;
    nn__left a = {at + i0 * p->a.row, p->a.row, SIZE_MAX, 0, 0, NULL};
    if (p->a.panel) a = (nn__left){at + i0 / nr * p->a.panel, 1, nr, p->a.panel, i0 % nr, NULL};
    if (!p->direct_a) {
      nn__pack_a(p, pack_a, a.at, rows);
      a = by_rows ? packed_rows : packed_panels;
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
    NN__DO(p->context->kernels, dots)(p->c + i * p->ldc + j, p->a.at + i * p->a.row,
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
    NN__DO(p->context->kernels, combine)(sum, p->a.at + i * p->a.row, p->a.col, p->b.at + j0,
                                         p->b.row, p->k, n);
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
  const size_t work = nn__times(nn__times(m, n), k);
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

/* A row-major matrix as it lies, and transposed; a right operand [k,n] in panels, as the kernels
 * pack it. */
static nn__matrix nn__rows_of(const nn_real *at, size_t ld) { return (nn__matrix){at, ld, 1, 0}; }
static nn__matrix nn__columns_of(const nn_real *at, size_t ld)
{
  return (nn__matrix){at, 1, ld, 0};
}
static nn__matrix nn__panels_of(const nn__kernels *t, const nn_real *at, size_t k)
{
  return (nn__matrix){at, t->nr, 1, k * t->nr};
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
  const size_t past = (size_t)((uintptr_t)p % NN__ALIGN);
  return (char *)p + (past ? NN__ALIGN - past : 0);
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
 * facts: what backward needs kept (its inputs X, its output Y), and where it may write; then what
 * its functions are called, nn__NAME_forward, nn__NAME_backward, nn__NAME_room; no: it has none. */
#define NN__KINDS(K, A)                                                                           \
  K(INPUT, "input", 0, no, no)                                                                    \
  K(TOKENS, "tokens", 0, no, no)                                                                  \
  K(CONV2D, "conv", NN__NEEDS_X, convolve, conv)                                                  \
  K(CONV_TRANSPOSE, "conv_transpose", NN__NEEDS_X, convolve, conv)                                \
  K(LINEAR, "linear", NN__NEEDS_X, linear, linear)                                                \
  K(MAX_POOL, "max_pool", NN__NEEDS_X | NN__NEEDS_Y, pool, no)                                    \
  K(AVG_POOL, "avg_pool", 0, pool, no)                                                            \
  K(GLOBAL_MAX, "global_max_pool", NN__NEEDS_X | NN__NEEDS_Y, pool, no)                           \
  K(GLOBAL_AVG, "global_avg_pool", 0, pool, no)                                                   \
  NN__ACTS(A)                                                                                     \
  K(SOFTMAX, "softmax", NN__NEEDS_Y | NN__OVER, softmax, no)                                      \
  K(PRELU, "prelu", NN__NEEDS_X | NN__OVER, prelu, prelu)                                         \
  K(DROPOUT, "dropout", NN__ONE_NUMBER | NN__OVER | NN__OVER_TOO, dropout, no)                    \
  K(DROP_CHANNELS, "dropout_channels", NN__ONE_NUMBER | NN__OVER | NN__OVER_TOO,                  \
    drop_channels, drop_channels)                                                                 \
  K(BATCH_NORM, "batch_norm", NN__NEEDS_X | NN__OVER, batch_norm, batch_norm)                     \
  K(LAYER_NORM, "layer_norm", NN__NEEDS_X | NN__OVER | NN__SEES_ALL, layer_norm, layer_norm)      \
  K(GROUP_NORM, "group_norm", NN__NEEDS_X | NN__OVER | NN__SEES_ALL, group_norm, group_norm)      \
  K(NORMALISE, "normalise", NN__OVER, normalise, normalise)                                       \
  K(FLATTEN, "flatten", NN__OVER | NN__OVER_TOO | NN__SEES_ALL, reshape, no)                      \
  K(RESHAPE, "reshape", NN__OVER | NN__OVER_TOO | NN__SEES_ALL, reshape, whole)                   \
  K(TO_SEQUENCE, "to_sequence", 0, turn, no)                                                      \
  K(TO_IMAGE, "to_image", 0, turn, no)                                                            \
  K(ADD, "add", NN__OVER, add, no)                                                                \
  K(MULTIPLY, "multiply", NN__NEEDS_X, multiply, no)                                              \
  K(CONCAT, "concat", 0, move, no)                                                                \
  K(JOIN, "join", 0, move, no)                                                                    \
  K(EMBEDDING, "embedding", NN__NEEDS_X, embedding, no)                                           \
  K(RNN, "rnn", 0, cell, cell)                                                                    \
  K(LSTM, "lstm", 0, cell, cell)                                                                  \
  K(GRU, "gru", 0, cell, cell)                                                                    \
  K(FINAL_STATE, "final_state", 0, final_state, no)                                               \
  K(LAST_STEP, "last_step", 0, move, no)                                                          \
  K(REVERSE, "reverse", 0, move, no)                                                              \
  K(PADDED, "pad", 0, move, no)                                                                   \
  K(SLICE, "slice", 0, move, no)                                                                  \
  K(UPSAMPLE, "upsample", 0, move, no)                                                            \
  K(BILINEAR, "bilinear", 0, blend, no)                                                           \
  K(CUSTOM, "custom", NN__NEEDS_X | NN__NEEDS_Y | NN__SEES_ALL, custom, custom)                   \
  K(CROSS_ENTROPY, "cross_entropy", 0, no, loss)                                                  \
  K(SQUARED_ERROR, "squared_error", 0, no, no)                                                    \
  K(BINARY_CROSS_ENTROPY, "binary_cross_entropy", 0, no, no)                                      \
  K(HUBER, "huber", 0, no, no)                                                                    \
  K(ABSOLUTE_ERROR, "absolute_error", 0, no, no)                                                  \
  K(CUSTOM_LOSS, "custom_loss", 0, no, custom_loss)

#define NN__KIND_ENUM(name, ...) NN__##name,
typedef enum nn__kind { NN__KINDS(NN__KIND_ENUM, NN__KIND_ENUM) NN__KIND_COUNT } nn__kind;
#define NN__KIND_NAME(name, text, ...) static const char nn__name_##name[] = text;
NN__KINDS(NN__KIND_NAME, NN__KIND_NAME)
#define NN__KIND_TEXT(name, ...) nn__name_##name,
static const char *const nn__kind_text[NN__KIND_COUNT] = {NN__KINDS(NN__KIND_TEXT, NN__KIND_TEXT)};
#define NN__KIND_NEEDS(name, text, needs, how, room) needs,
#define NN__ACT_NEEDS(name, text, needs) needs,
static const unsigned char nn__kind_needs[NN__KIND_COUNT] = {
    NN__KINDS(NN__KIND_NEEDS, NN__ACT_NEEDS)};

/* What a kind of layer is and does, for n samples. Its builder names its row, so a program links
 * only the names and code of the layers it calls. forward overwrites node->y, from its inputs' y.
 * backward is called for each input k = node->toward, with node->dy: at k = 0 it adds to its
 * parameters' gradients, if the layer learns; it overwrites dx, unless NULL, with the gradient of
 * input k (dx may be dy: nn__in_place). room: reals kept for backward, as scratch, packed once. */
typedef struct nn__node nn__node;
typedef struct nn__room { /* in reals; scratch: of all threads, and of each */
  size_t packed, keep, scratch, thread_scratch;
} nn__room;
typedef struct nn__layer {
  const char *text;
  nn__kind kind;
  void (*forward)(nn_model *m, nn__node *node, size_t n);
#ifndef NN_NO_TRAINING
  void (*backward)(nn_model *m, nn__node *node, size_t n, nn_real *dx);
#endif
  void (*room)(const nn_model *m, nn__node *node, nn__room *room);
} nn__layer;
#define NN__ROW(name) (&nn__row_##name)
#define NN__KIND_ROW(name, ...) static const nn__layer nn__row_##name; /* see @@MODEL */
NN__KINDS(NN__KIND_ROW, NN__KIND_ROW)

/* A piece of the model's block: where it starts and, while planning, when it is in use. Times of a
 * plan go up to 2 NN_MAX_NODES + 1; @@SOURCE counts the layers of cells, too. */
#ifdef NN_NO_EXPORT
typedef int16_t nn__time;
#else
typedef int nn__time;
#endif
typedef struct nn__piece {
  size_t size;          /* in reals */
  size_t offset;        /* in reals, from the start of the shared region */
  nn__time first, last; /* of its use; last < first: not wanted */
} nn__piece;
/* A node's: its output; what it keeps for backward, and in an inference model works in; and those
 * of backward: the gradient of its output, where a second user's is made before it is added. */
enum { NN__Y, NN__KEEP, NN__DY, NN__EXTRA, NN__PIECES = NN__TRAINS ? 4 : 2 };

/* What forward leaves to backward; the gradient of the output; where a second user's is made before
 * it is added. A build that does not train compiles, but never runs what uses those two. */
#if NN__TRAINS
#define NN__WAY_BACK nn_real *keep, *dy, *extra;
#else
#define NN__WAY_BACK NN__ONE_OF(nn_real *keep, *dy, *extra;)
#endif

/* nn_conv2d_options and nn_recurrent_options in fewer bytes. The greatest number of a window; bytes
 * of a name, with its zero. */
enum { NN__MOST_SHORT = 65535, NN__NAME_ROOM = 24 };
typedef struct nn__window_options {
  uint16_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
  uint16_t no_bias;
} nn__window_options;
typedef struct nn__cell_options {
  nn__double dropout;
  int hidden;
  unsigned char layers, relu, carry, bidirectional;
} nn__cell_options;

/* What is small and often read comes first: a chip's short instructions reach no byte beyond the
 * 31st from the start, and no word beyond the 124th. */
struct nn__node {
  const nn__layer *row;
  unsigned char kind;         /* the row's nn__kind */
  unsigned char inputs, rank, params;
  /* the plan */
  unsigned char fused;        /* a relu that its input's finish has already done */
  unsigned char relu;         /* convolution, linear: finish with a relu */
  unsigned char folded;       /* a batch norm that is part of the convolution before it */
  unsigned users : 2;         /* nodes that read it; 2: or more */
  unsigned masked : 1;        /* fused, and the maxima after it go back through it on their own */
  unsigned lossy : 1;         /* whether a loss reads it */
  unsigned wanted : 1;        /* whether its gradient is: something below it is trained */
  unsigned started : 1;       /* going back: its gradient has been written to */
  unsigned toward : 1;        /* and its present input */
  unsigned across : 1;        /* among those ahead (see nn_model): holds a whole batch */
  int16_t share;              /* the node whose arrays this one uses in place, or -1 */
  int16_t param;              /* the first of its `params` arrays, or -1 */
  int16_t in[2];              /* its `inputs` */
  char *name;                 /* see nn_model */
  int dim[3];                 /* shape at the border, of `rank` sizes, batch left out */
  size_t rows, cols;          /* the matrix of one sample; shape inside */
  NN__ONE_OF(
    nn__piece piece[NN__PIECES]; /* until the build */
    NN__ALL_OF(               /* and after it */
      nn_real *y;             /* output */
      NN__WAY_BACK
      nn_real *scratch;       /* inference: where it works, behind what it keeps; and */
      nn_real *thread_scratch; /* where its threads do, ahead of that */
      nn_real *packed;        /* inference: the weights as products read them; or NULL */
      int32_t *lengths;       /* a sequence's, of each sample; NULL: all are whole */
    )
  )
  /* the rest of the description */
  NN__ONE_OF(                 /* by kind: of another they are anything */
    NN__ALL_OF(               /* convolution, pooling, padding, upsampling */
      nn__window_options window; /* of a sequence one column wide */
      NN__ONE_OF(
        NN__ALL_OF(uint16_t output_pad_h, output_pad_w;)
        NN__ALL_OF(uint16_t ceil, exclude_pad;)
      )
      int16_t norm;           /* the batch norm folded into it, or -1 */
    )
    NN__ALL_OF(               /* a cell */
      nn__cell_options cell;
      nn_real *state;         /* carried from call to call */
      int state_n;            /* samples the state belongs to; 0 = none yet */
      int16_t final;          /* the node that gives its final state; 0: none */
    )
    NN__ALL_OF(               /* slice, join: of the shape; to_sequence, to_image: 1 by columns */
      int axis, begin;
    )
    NN__ALL_OF(               /* functions, dropout, norms, linear, prelu, embedding */
      nn__double value;       /* slope, lower limit, drop rate; of norms eps */
      nn__double second;      /* upper limit; of norms momentum */
      int size;               /* linear: out; embedding: vocabulary; group norm: groups; prelu:
                                 weights */
      nn_real eps;            /* batch norm's, of value */
      uint16_t no_bias;       /* linear; norms: neither weight nor bias */
      uint16_t frozen;        /* batch norm: the running statistics while training, too */
    )
    NN__ALL_OF(               /* losses and what calls back */
      nn__double scale;       /* its weight in the sum of all */
      nn__double soft;        /* cross-entropy: smoothing; Huber: delta */
      NN__ONE_OF(
        const nn_custom_layer *custom;
        const nn_custom_loss *custom_loss; /* NULL in a model for inference that lacks it */
        const nn_real *weights; /* of classes or positives, in the block, or the caller's */
      )
      int32_t ignored;        /* the label that is left out beside -1 */
      unsigned from : 21;     /* where its answers begin */
      unsigned summed : 1;    /* whether it is no mean */
      unsigned has_weights : 1; /* of a file, as many as its description's `cols` */
    )
    const nn_real *constants[2]; /* normalise: the caller's mean and scale, until the build */
  )
#ifndef NN_NO_INIT
  unsigned char init;         /* an nn_init */
  double init_value;
#endif
#ifndef NN_NO_TRAINING
  nn_real *border;            /* an input's gradient as the caller sees it, if layouts differ */
  double rate, decay;         /* factors of the optimizer's rate and weight decay; rate 0: frozen */
  /* a loss, of the last nn_loss: the sum over its rows and what a mean divides that by; the same of
   * several calls; and what to divide by in place of its own where it sees a part of a batch */
  double sum, total, sums, totals, whole;
#endif
#ifndef NN_NO_INSPECT
  int seen[4];                /* nn_receptive_field: the window of it that the unit sees */
#endif
};

typedef struct nn__param {
  const char *name; /* once built */
  const char *what; /* "weight", .. */
  int dim[4];
  int16_t node;
  signed char layer;    /* of a cell: layer, or layer times 2 + whether reverse; else -1 */
  unsigned rank : 3;
  unsigned buffer : 1;  /* running statistics: not trained */
#ifndef NN_NO_INIT
  unsigned init : 4;    /* an nn_init: a custom layer's, where nn_set_init says nothing else */
  double init_value;
#endif
  size_t count;
  nn_real *value;       /* in the block of its sort; or in the caller's memory, where it is only
                           read; NULL: not yet */
} nn__param;

struct nn_model {
  nn_config config;
  nn_status status, broken;   /* of the last failed call; the description's first error */
  unsigned char owns_model, owns_block, built, inputs;
  nn_status failure;          /* of a layer of the present forward or backward */
  unsigned char has_lengths;
  unsigned char shown;        /* the last output is in border */
  unsigned char packed;       /* what nodes keep packed is of the present parameters */
  unsigned char exposed;      /* a caller has a pointer to them: see fingerprint */
  /* the last forward: done (2: and backward, too); an nn_mode; nn_loss done since */
  unsigned char ran, training, lost;
  unsigned char fresh;        /* cells start from 0 and leave what they carry alone */
#ifndef NN_NO_MESSAGES
  nn_message message;         /* that goes with status */
#endif
  nn__node *node;             /* both behind this: config.most_nodes, config.most_params */
  nn__param *param;
  /* Behind those, the nodes' names in their order, each with its zero; behind that of a custom loss
   * which this model lacks, that of the callback, see nn__code. */
  char *names;
  size_t names_used;
  int nodes, params;
  int16_t input[NN_MAX_INPUTS];
  int16_t output, loss;       /* nodes; the losses are the last, this is the first; -1: none */
  int ahead, few;             /* inference: so many nodes, of large images, run for so few samples
                                 at a time, before the rest does for all */
  nn_context context;         /* kernels, threads and packing space of its own */
  /* the block */
  void *block;
  size_t plan_size;
  nn_real *value, *gradient, *buffer; /* parameters, .., running statistics */
  size_t values, buffers, names_size; /* elements of these; bytes of the parameters' names */
  nn_real *shared;            /* activations, gradients and kept values, by nn__piece offsets */
  nn_real *scratch, *thread_scratch;
  size_t scratch_size, thread_scratch_size, shared_size;
  nn_real *border;            /* the output as nn_output shows it, where layouts differ */
  char *notes;                /* key, text, key, text, .., each with its closing zero */
  size_t notes_size, notes_used;
  int32_t *lengths;
  int32_t *node_steps;        /* scratch of nn__steps_of; behind them all sequences' lengths */
#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT
  nn_real *stage;             /* a batch gathered by nn_fit, nn_survey, nn_occlusion */
  nn_real *stage_values, *stage_weights;
  int32_t *stage_labels, *stage_lengths;
#endif
  /* the run */
  uint64_t fingerprint;       /* of the parameters when nodes packed them */
  int n;                      /* samples of the last forward */
  const nn__node *blamed;     /* whose callback has since made a NaN or infinity of finite ones */
  uint64_t draws;             /* training forwards so far: the stream of dropout */
  int whole_n, first_n;       /* nn_fit: samples of the batch that this is a part of, 0: none; and
                                 those before it */
#ifndef NN_NO_TRAINING
  nn_optimizer optimizer;
  nn_real *slot[3], *average; /* its state; of the parameters, or NULL */
  int slots;
  int64_t loss_rows;          /* of the last nn_loss: the first loss's rows that had a label */
  nn_ranks ranks;
  nn_status reduced;          /* of what ranks.reduce and ranks.wait gave: the first error stays */
  size_t unreduced;           /* backward: gradients that no bucket has yet; 0: there are none */
  double largest;             /* gradient of the last nn_step */
  int64_t averaged;           /* steps in `average` */
  unsigned char swapped;      /* the parameters are in there, and it is where they belong */
  unsigned char in_gradient;  /* nn_fit has called on_gradient, and goes on when that returns */
  double plateau_best, plateau_scale; /* NN_PLATEAU: the lowest loss; factor of the rate */
  int64_t plateau_bad;        /* and how many since were no lower */
#ifndef NN_NO_INSPECT
  nn_rule rule;               /* nn_project's, while it goes back: how a relu passes a signal */
#endif
#endif
  int64_t steps;
  int64_t state_steps;        /* of them, those that the optimizer's state is made of */
};

/* The name in files of what calls back. */
static const char *nn__code(const nn__node *node)
{
  if (node->kind == NN__CUSTOM) return node->custom->name;
  return node->custom_loss ? node->custom_loss->name : node->name + strlen(node->name) + 1;
}

/* Where the sentence of a failure goes, or NULL; and what stands there. */
static nn_message *nn__message(nn_model *m)
{
#ifdef NN_NO_MESSAGES
  return (void)m, NULL;
#else
  return m ? &m->message : NULL;
#endif
}
static const char *nn__sentence(const nn_model *m)
{
#ifdef NN_NO_MESSAGES
  return m->status == NN_OK ? "" : nn_status_text(m->status);
#else
  return m->message.text;
#endif
}

/* Whether layers keep their weights packed, or pack them at every call in space that all share. */
static int nn__packs_once(const nn_model *m)
{
  return m->config.inference && !m->config.least_memory;
}

/* ======================================== @@CONV ===========================================
 * Convolution without im2col. With channels last, the inputs of one output pixel are kernel_h runs
 * of kernel_w C contiguous numbers, so the product of a tile of MR pixels with NR output channels
 * reads the image in place (nn__direct_task): a[i] is a pixel, a run is a row of the window. All
 * three products of training are such walks. For a pixel i, a tap u of the window, input channel c,
 * output channel o, stride s, dilation d and padding p, by rows and by columns alike:
 *   forward   Y[i,o]     = b[o] + sum over u, c of X[i s + u d - p, c] W[u,c,o]
 *   data      dX[i,c]    = sum over u, o of dY[(i + p - u d)/s, o] W[u,c,o], if s divides it
 *   weight    dW[u,c,o] += sum over i of X[i s + u d - p, c] dY[i,o];   db[o] += sum of dY[i,o]
 * X and dY count as 0 outside the image: an image with padding is copied into the thread's scratch,
 * with zeros around it. The data gradient walks over dY with the taps in reverse order; at a stride
 * above 1 the pixels s apart, a phase, meet the same taps, so each phase is a walk. A sequence is
 * for each sample an image one column wide, its rows as far apart as one step is from the next. A
 * transposed convolution is the data gradient of another: its input is that one's dY, its output
 * that one's dX. */
typedef struct nn__conv {
  const nn__kernels *kernels;
  size_t n;                          /* images */
  size_t h, w, c, oh, ow, oc;        /* of input and output */
  size_t kh, kw, sh, sw, ph, pw, dh, dw;
  size_t groups, cg, og;             /* input and output channels of a group */
  size_t x_image, x_row, y_image, y_row; /* from one image, or row, of X and Y to the next */
  size_t hp, wp, hz, wz;             /* of X padded; of dY padded for the data gradient */
  size_t runs;                       /* of contiguous numbers in a window: its rows, or its taps */
  size_t chunks;                     /* partial sums of the weight gradient */
  int side;                          /* Winograd: outputs of a tile's side, 4 or 6; 0: direct */
} nn__conv;

enum { NN__TILE = 8 }; /* side of a tile of Winograd's transform; 64 frequencies */

/* Pixels of a tile's side by Winograd's transform, or 0: the direct sum. */
static int nn__side(const nn__conv *c)
{
#ifdef NN_NO_WINOGRAD
  return (void)c, 0;
#else
  return c->side;
#endif
}
/* Most channels that one float sum of a frequency takes. The outputs' transform multiplies its
 * error, which grows as the root of its length. */
enum { NN__WINOGRAD_CHAIN = 128 };
enum { NN__WINOGRAD_PAIRS = 1 << 16 }; /* most pairs of channels; 16 of one kind at least, so */
enum { NN__WINOGRAD_CHAINS = NN__WINOGRAD_PAIRS / 16 / NN__WINOGRAD_CHAIN };

/* Winograd pays for 3x3 and 5x5 windows at stride 1 once there are channels enough to carry the
 * transforms; a tile's side^2 outputs then cost 64 products, not side^2 k^2. */
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
  return (nn__side(c) ? NN__TILE * NN__TILE : c->kh * c->kw) * c->groups * c->cg * c->og + c->oc;
}

/* By the shapes and samples alone: config.batch and threads have no part in the bits. */
static void nn__conv_choose(nn__conv *c, int side)
{
  c->side = side;
  c->chunks =
      nn__min(c->n, nn__max(1, nn__min(8, ((size_t)1 << 21) / nn__conv_partial(c))));
}

/* A node as an image: its height and width; and, of n samples, the way from one to the next. */
static size_t nn__image_height(const nn__node *x)
{
  return x->rank == 2 ? x->rows : (size_t)x->dim[1];
}
static size_t nn__image_width(const nn__node *x) { return x->rank == 2 ? 1 : (size_t)x->dim[2]; }
static size_t nn__image_step(const nn__node *x)
{
  return x->rank == 2 ? x->cols : x->rows * x->cols;
}
static size_t nn__pixel_step(const nn__node *x, size_t n)
{
  return x->rank == 2 ? n * x->cols : x->cols;
}

/* Along one axis, for the data gradient: how many zeros go before dY, or, below 0, how many of its
 * first pixels are cut off, since no tap brings them to dX; and its length then. */
static ptrdiff_t nn__dy_shift(size_t pad, size_t kernel, size_t dilation, size_t stride)
{
  const size_t reach = (kernel - 1) * dilation;
  return reach >= pad ? (ptrdiff_t)((reach - pad) / stride)
                      : -(ptrdiff_t)((pad - reach + stride - 1) / stride);
}
static size_t nn__dy_size(size_t size, size_t pad, size_t kernel, size_t dilation, size_t stride)
{
  const ptrdiff_t all = (ptrdiff_t)((size - 1 + pad) / stride) + 1 +
                        nn__dy_shift(pad, kernel, dilation, stride);
  return all > 0 ? (size_t)all : 0;
}

static nn__conv nn__conv_of(const nn_model *m, const nn__node *node, size_t n)
{
  const nn__window_options *o = &node->window;
  const nn__node *x = &m->node[node->in[0]], *y = node;
  nn__conv c;
  if (node->kind == NN__CONV_TRANSPOSE) y = x, x = node;
  c.kernels = m->context.kernels;
  c.n = n;
  c.c = x->cols, c.h = nn__image_height(x), c.w = nn__image_width(x);
  c.oc = y->cols, c.oh = nn__image_height(y), c.ow = nn__image_width(y);
  c.x_image = nn__image_step(x), c.x_row = c.w * nn__pixel_step(x, n);
  c.y_image = nn__image_step(y), c.y_row = c.ow * nn__pixel_step(y, n);
  c.kh = o->kernel_h, c.kw = o->kernel_w, c.sh = o->stride_h, c.sw = o->stride_w;
  c.ph = o->pad_h, c.pw = o->pad_w, c.dh = o->dilation_h, c.dw = o->dilation_w;
  c.groups = o->groups, c.cg = c.c / c.groups, c.og = c.oc / c.groups;
  c.hp = c.h + 2 * c.ph, c.wp = c.w + 2 * c.pw;
  c.hz = nn__dy_size(c.h, c.ph, c.kh, c.dh, c.sh), c.wz = nn__dy_size(c.w, c.pw, c.kw, c.dw, c.sw);
  c.runs = c.dw == 1 && c.groups == 1 ? c.kh : c.kh * c.kw;
  nn__conv_choose(&c, m->config.direct_convolution ? 0 : nn__winograd_side(&c, nn__packs_once(m)));
  return c;
}

static int nn__depthwise(const nn__conv *c) { return c->groups > 1 && c->cg == 1 && c->og == 1; }

/* Windows along one axis, 0 when none fits; with `ceil` one more for what is left over, if it
 * begins before the padding behind. */
static int nn__out_size(int size, int pad, int kernel, int dilation, int stride, int ceil)
{
  const int64_t room = (int64_t)size + 2 * (int64_t)pad - (int64_t)dilation * (kernel - 1) - 1;
  if (room < 0) return 0;
  const size_t out = (size_t)room / (size_t)stride + 1, next = out * (size_t)stride;
  return (int)out + (ceil && (size_t)room % (size_t)stride && next < (size_t)size + (size_t)pad);
}

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

/* Depthwise, every channel is a convolution of its own. Along one axis output i is the sum of
 * span[i].count products of an element of `a` and one of `b`: the first pair is at span[i].a and
 * span[i].b, the next ones step_a and step_b further on. out, a and b are the three lengths.
 *   FORWARD  out = Y, a = X, b = W     at a = i s + b d - p
 *   DATA     out = dX, a = dY, b = W   at a s = i + p - b d
 *   WEIGHT   out = dW, a = X, b = dY   at a = b s + i d - p */
typedef enum nn__product_kind { NN__FORWARD, NN__DATA, NN__WEIGHT } nn__product_kind;
typedef struct nn__span {
  size_t a, b, count;
} nn__span;
typedef struct nn__line {
  size_t out, a, b;
  ptrdiff_t step_a, step_b;
  nn__span *span;
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
  const size_t side = (size_t)nn__side(c);
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
  const size_t side = (size_t)nn__side(c), k = c->kh - 1;
  return (nn__round_up(h, side) + k) * (nn__round_up(w, side) + k) * channels;
}

/* The weights as the forward, or `turned` the data gradient, reads them: 64 frequencies in panels,
 * taps of channels, or panels. */
static size_t nn__conv_weights(const nn__conv *c, int turned)
{
  const size_t taps = nn__side(c) ? NN__TILE * NN__TILE : c->kh * c->kw;
  if (nn__depthwise(c)) return taps * c->c;
  return nn__conv_packed(c, taps * (turned ? c->og : c->cg), turned ? c->cg : c->og);
}

/* Whether a walk goes phase by phase, and how many runs its windows have. */
static int nn__is_split(const nn__conv *c, int turned)
{
  return turned && (c->sh > 1 || c->sw > 1);
}
static size_t nn__conv_runs(const nn__conv *c, int turned)
{
  return nn__is_split(c, turned) ? c->kh * c->kw : c->runs;
}

/* What such a walk needs beside them: places of runs, or spans. */
static size_t nn__conv_lists(const nn__conv *c, int turned)
{
  const size_t span = sizeof(nn__span) / sizeof(size_t);
  if (nn__depthwise(c)) return nn__reals_for(span * (turned ? c->h + c->w : c->oh + c->ow)) + 16;
  return nn__side(c) ? 0 : nn__reals_for(nn__conv_runs(c, turned)) + 16;
}

static size_t nn__conv_backward_scratch(const nn__conv *c)
{
  const size_t span = nn__depthwise(c) ? sizeof(nn__span) / sizeof(size_t) : 0;
  const size_t lists = span ? span * (c->oh + c->kw) : c->kh * c->kw * c->cg + c->oh;
  return nn__max(nn__conv_weights(c, 1) + nn__conv_lists(c, 1),
                 c->chunks * nn__conv_partial(c) + nn__reals_for(nn__side(c) ? 0 : lists) + 16);
}

static size_t nn__conv_thread_scratch(const nn__conv *c, int back)
{
  if (nn__side(c)) {
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
  size_t x_image, x_row, y_image, y_row; /* from one image, or row, to the next */
  size_t row;                 /* likewise, where an image in is walked over */
  const nn_real *x, *dy, *weights;
  nn_real *y, *packed, *partial, *dw;
  nn__finish finish;
  /* The image in with zeros around it: tall x wide, pixel (i,j) at (top + i, left + j), which may
   * be outside. */
  size_t tall, wide;
  ptrdiff_t top, left;
  size_t sh, sw;              /* of the images out one pixel in so many belongs to a phase, */
  size_t phases, phases_w;    /* of which there are so many, and so many from left to right */
  /* direct: places of the rows of dW and of runs, in the image in */
  const size_t *place, *skip;
  size_t band, bands, parts; /* an image out in bands of so many rows, its channels in parts */
  nn__line down, across; /* depthwise */
  size_t tiles_w, tiles, block; /* Winograd: of one image; how many are transformed at once */
  nn_real transform[NN__TILE][NN__TILE];
  nn_real *thread_scratch;
  size_t thread_scratch_size;
} nn__conv_job;

/* Whether an image in is walked over in a copy with zeros, and not where it is. */
static int nn__is_laid(const nn__conv_job *q)
{
  return q->tall != q->h || q->wide != q->w || q->top || q->left;
}

static nn__conv_job nn__conv_job_of(nn_model *m, const nn__conv *c, int turned)
{
  nn__conv_job q;
  memset(&q, 0, sizeof q);
  q.conv = c, q.turned = turned;
  q.h = turned ? c->oh : c->h, q.w = turned ? c->ow : c->w, q.c = turned ? c->oc : c->c;
  q.oh = turned ? c->h : c->oh, q.ow = turned ? c->w : c->ow, q.oc = turned ? c->c : c->oc;
  q.cg = turned ? c->og : c->cg, q.og = turned ? c->cg : c->og;
  q.x_image = turned ? c->y_image : c->x_image, q.x_row = turned ? c->y_row : c->x_row;
  q.y_image = turned ? c->x_image : c->y_image, q.y_row = turned ? c->x_row : c->y_row;
  q.tall = turned ? c->hz : c->hp, q.wide = turned ? c->wz : c->wp;
  q.sh = turned ? c->sh : 1, q.sw = turned ? c->sw : 1;
  q.phases_w = nn__min(q.sw, q.ow), q.phases = nn__min(q.sh, q.oh) * q.phases_w;
  q.top = turned ? nn__dy_shift(c->ph, c->kh, c->dh, c->sh) : (ptrdiff_t)c->ph;
  q.left = turned ? nn__dy_shift(c->pw, c->kw, c->dw, c->sw) : (ptrdiff_t)c->pw;
  q.row = nn__is_laid(&q) ? q.wide * q.c : q.x_row;
  if (nn__side(c)) {
    const size_t side = (size_t)nn__side(c);
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

/* Lays image `number` out with the zeros around it. */
static void nn__lay(const nn__conv_job *q, size_t number, nn_real *to)
{
  const nn_real *from = q->x + number * q->x_image;
  const size_t row = q->wide * q->c, pixel = q->c * sizeof *to;
  const size_t left = q->left > 0 ? (size_t)q->left : 0, cut = q->left < 0 ? (size_t)-q->left : 0;
  const size_t most = q->wide > left ? q->wide - left : 0, inside = q->w > cut ? q->w - cut : 0;
  const size_t width = nn__min(inside, most); /* of what lies side by side */
  for (size_t i = 0; i < q->tall; i++, to += row) {
    const ptrdiff_t at = (ptrdiff_t)i - q->top;
    memset(to, 0, row * sizeof *to);
    if (at >= 0 && (size_t)at < q->h && width)
      memcpy(to + left * q->c, from + (size_t)at * q->x_row + cut * q->c, width * pixel);
  }
}

/* Image `number` as it is walked over: laid out in `to`, or itself where that would be a copy. */
static const nn_real *nn__laid(const nn__conv_job *q, size_t number, nn_real *to)
{
  if (!nn__is_laid(q)) return q->x + number * q->x_image;
  nn__lay(q, number, to);
  return to;
}

/* ---- Winograd ----------------------------------------------------------------------------- */

/* Fewer products for 3x3 and 5x5 windows: F(6x6,3x3) and F(4x4,5x5) of Lavin & Gray (CVPR 2016).
 * With polynomials evaluated at the points a_j = 0, +-1, +-2, +-1/2 and infinity, an 8x8 tile d of
 * the inputs gives side x side outputs
 *   Y = A^T [ (G g G^T) * (B^T d B) ] A          side = 6 for 3x3, 4 for 5x5; B is the same
 * where * goes element by element, so each of the 64 frequencies is a product of matrices
 * [tiles, c][c, oc]. The gradients are the same trilinear form read the other way round:
 *   data    the forward of dY with turned weights;
 *   weight  dg = G^T [ sum over tiles of (B^T d B) * (A dY A^T) ] G.
 * The transforms' coefficients reach 5.25 and 1/90, which costs accuracy: see NUMBERS in nn.h. */
/* G, or `back` G^T. Element (f,u) of G: a_f^u / prod over l != f of (a_f - a_l); of infinity's row
 * 1 at u = k - 1. */
static void nn__winograd_transform(nn__conv_job *q, int back)
{
  static const double point[NN__TILE] = {0, 1, -1, 2, -2, .5, -.5};
  static const double share[NN__TILE] = {1 / -1.0,       1 / -4.5,      1 / -4.5,     1 / 90.0,
                                         1 / 90.0, 1 / 1.40625, 1 / 1.40625};
  const size_t k = q->conv->kh;
  for (size_t f = 0; f < NN__TILE; f++) {
    double g = share[f];
    for (size_t u = 0; u < k; u++, g *= point[f]) {
      if (f == NN__TILE - 1) g = u == k - 1;
      *(back ? &q->transform[u][f] : &q->transform[f][u]) = (nn_real)g;
    }
  }
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
    NN__DO(t, transpose)(w, wide, q->weights + i * taps, each, q->oc, taps);
  }
  for (size_t tap = 0; tap < taps; tap++)
    memset(w + tap * wide + q->oc, 0, (wide - q->oc) * sizeof *w);
  for (size_t j = 0; j < q->oc; j += nr)
    NN__DO(t, winograd_weights)(q->packed + j * q->c + i * nr, q->c * wide, NN__TILE, w + j, wide,
                                (int)q->conv->kh, q->transform, nr);
}

/* dw[oc, c, k, k] += G^T sum G, from sum[f][c, oc]. */
static void nn__winograd_unpack_task(void *arg, size_t i, int thread)
{
  const nn__conv_job *q = arg;
  const size_t taps = q->conv->kh * q->conv->kw;
  nn_real *w = nn__space_of(q, thread);
  NN__DO(q->conv->kernels, winograd_weights)(w, q->oc, (int)q->conv->kh, q->partial + i * q->oc,
                                             q->c * q->oc, NN__TILE, q->transform, q->oc);
  for (size_t o = 0; o < q->oc; o++) {
    nn_real *to = q->dw + (o * q->c + i) * taps;
    for (size_t tap = 0; tap < taps; tap++) to[tap] += w[tap * q->oc + o];
  }
}

/* The first pixel that tile t reads. `image` holds the present image laid out, whose number is
 * *present; it is laid out anew when t enters another. */
static const nn_real *nn__tile_inputs(const nn__conv_job *q, size_t t, size_t *present,
                                      nn_real *image)
{
  const size_t side = (size_t)nn__side(q->conv), at = t % q->tiles;
  if (t / q->tiles != *present) nn__lay(q, *present = t / q->tiles, image);
  return image + (at / q->tiles_w * q->wide + at % q->tiles_w) * side * q->c;
}

/* Where tile t's outputs begin, and how many rows and columns of them are inside the image. */
static size_t nn__tile_outputs(const nn__conv_job *q, size_t t, size_t *rows, size_t *cols)
{
  const size_t side = (size_t)nn__side(q->conv), at = t % q->tiles;
  const size_t i = at / q->tiles_w * side, j = at % q->tiles_w * side;
  *rows = nn__min(side, q->oh - i);
  *cols = nn__min(side, q->ow - j);
  return ((t / q->tiles * q->oh + i) * q->ow + j) * q->oc;
}

/* One block of tiles: B^T d B of each, 64 products [tiles,c][c,oc], one a frequency, A^T . A. */
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
  nn_real *const half = nn__space_of(q, thread);
  nn_real *v = half + nn__winograd_half(q->conv);
  nn_real *out = v + q->block * taps * q->c, *image = out + q->block * taps * q->oc;
  size_t present = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    const nn_real *x = nn__tile_inputs(q, first + i, &present, image);
    NN__DO(t, winograd_in)(v + i * q->c, q->block * q->c, x, q->wide * q->c, q->c, half);
  }
  for (size_t f = 0; f < taps; f++)
    nn__tiles(t, &walk, count, q->oc, v + f * q->block * q->c, q->c, q->packed + f * wide * q->c,
              q->c * t->nr, out + f * q->block * q->oc, q->oc, t->nr, &nn__overwrite);
  for (size_t i = 0; i < count; i++) {
    size_t rows, cols;
    nn_real *y = q->y + nn__tile_outputs(q, first + i, &rows, &cols);
    NN__DO(t, winograd_out)(y, q->ow * q->oc, q->oc, out + i * q->oc, q->block * q->oc,
                            nn__side(q->conv), rows, cols, &q->finish, half);
  }
}

/* One chunk of tiles: its own sums over tiles of (B^T d B) * (A dY A^T), [64,c,oc]: a product
 * [c,tiles][tiles,oc] a frequency; and of dY, [oc]. */
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
    for (size_t i = 0; i < count; i++) {
      size_t rows, cols;
      const nn_real *x = nn__tile_inputs(q, first + i, &present, image);
      NN__DO(t, winograd_in)(v + i * q->c, q->block * q->c, x, q->wide * q->c, q->c, half);
      const nn_real *dy = q->dy + nn__tile_outputs(q, first + i, &rows, &cols);
      NN__DO(t, winograd_out_back)(d + i * q->oc, q->block * q->oc, dy, q->ow * q->oc, q->oc,
                                   nn__side(c), rows, cols, half);
      for (size_t k = 0; k < rows; k++)
        NN__DO(t, sum_rows)(db, dy + k * q->ow * q->oc, q->oc, NULL, NULL, cols, q->oc);
    }
    for (size_t f = 0; f < taps; f++)
      nn__tiles(t, &walk, q->c, q->oc, v + f * q->block * q->c, 1, d + f * q->block * q->oc, t->nr,
                du + f * q->c * q->oc, q->oc, t->nr,
                first > begin ? &nn__accumulate : &nn__overwrite);
  }
}

/* ---- direct ------------------------------------------------------------------------------- */

/* Whether a tap meets the pixels of a phase: whether the stride divides i + p - u d. */
static int nn__of_phase(const nn__conv_job *q, size_t tap, size_t phase)
{
  const nn__conv *c = q->conv;
  const size_t down = phase / q->phases_w + c->ph, across = phase % q->phases_w + c->pw;
  return !nn__is_split(c, q->turned) || (down % q->sh == tap / c->kw * c->dh % q->sh &&
                                         across % q->sw == tap % c->kw * c->dw % q->sw);
}

/* Packs the weights of each group as panels of a matrix [k,j]: k = (tap,i) runs over what a window
 * reads, j over channels of the images out. `turned`, the data gradient's: i runs over output
 * channels, j over input channels, taps in reverse order; a matrix for each phase, of its taps. */
static void nn__direct_pack(const nn__conv_job *q, nn_real *to)
{
  const size_t nr = q->conv->kernels->nr, taps = q->conv->kh * q->conv->kw;
  const size_t step_i = q->turned ? q->og * taps : taps, step_j = q->turned ? taps : q->cg * taps;
  for (size_t phase = 0; phase < q->phases; phase++)
    for (size_t g = 0; g < q->conv->groups; g++)
      for (size_t j0 = 0; j0 < q->og; j0 += nr)
        for (size_t k = 0; k < taps; k++) {
          const size_t tap = q->turned ? taps - 1 - k : k;
          const nn_real *from = q->weights + g * q->og * q->cg * taps + tap;
          if (!nn__of_phase(q, tap, phase)) continue;
          for (size_t i = 0; i < q->cg; i++, to += nr)
            for (size_t j = 0; j < nr; j++)
              to[j] = j0 + j < q->og ? from[i * step_i + (j0 + j) * step_j] : 0;
        }
}

/* Where the runs of a window start, phase by phase, in the image that is walked over; kept at
 * `skip`. A tap (u,v) of output (i,j) meets i s + u d - p or, turned, (i + p - u d) / s. */
static void nn__conv_places(nn__conv_job *q, size_t *skip)
{
  const nn__conv *c = q->conv;
  const size_t taps = c->kh * c->kw, run = taps / nn__conv_runs(c, q->turned);
  const ptrdiff_t sign = q->turned ? 1 : -1;
  q->skip = skip;
  for (size_t phase = 0; phase < q->phases; phase++)
    for (size_t k = 0; k < taps; k += run) {
      const size_t tap = q->turned ? taps - 1 - k : k;
      if (!nn__of_phase(q, tap, phase)) continue;
      const ptrdiff_t u = (ptrdiff_t)(tap / c->kw * c->dh), v = (ptrdiff_t)(tap % c->kw * c->dw);
      const ptrdiff_t down = (ptrdiff_t)(phase / q->phases_w) + sign * ((ptrdiff_t)c->ph - u);
      const ptrdiff_t right = (ptrdiff_t)(phase % q->phases_w) + sign * ((ptrdiff_t)c->pw - v);
      *skip++ = (size_t)(down / (ptrdiff_t)q->sh + q->top) * q->row +
                (size_t)(right / (ptrdiff_t)q->sw + q->left) * q->c;
    }
}

/* How an image that is walked over where it lies is shared out among tasks: in bands of rows or, if
 * it is small, by its output channels in whole panels. */
static void nn__direct_share(nn__conv_job *q)
{
  const size_t pixels = q->oh * q->ow, nr = q->conv->kernels->nr;
  const int alone = !nn__is_laid(q) && !q->turned && q->conv->groups == 1;
  const size_t work = pixels * q->og * q->cg * q->conv->kh * q->conv->kw;
  q->bands = alone ? nn__max(1, nn__min(q->oh, pixels / 256)) : 1;
  q->parts = alone && q->bands == 1 ? nn__max(1, nn__min((q->og + nr - 1) / nr, work >> 19)) : 1;
}

/* Part of an image: for each phase and group out[pixels,og] = windows[pixels,k] weights[k,og]. */
static void nn__direct_task(void *arg, size_t number, int thread)
{
  const nn__conv_job *q = arg;
  const nn__kernels *t = q->conv->kernels;
  const size_t taps = q->conv->kh * q->conv->kw, nr = t->nr, shares = q->bands * q->parts;
  const size_t band = number % shares / q->parts, part = number % q->parts;
  const size_t top = band * q->oh / q->bands, high = (band + 1) * q->oh / q->bands - top;
  const size_t panels = (q->og + nr - 1) / nr, from = part * panels / q->parts * nr;
  const size_t wide = nn__min(q->og, (part + 1) * panels / q->parts * nr) - from;
  const int split = nn__is_split(q->conv, q->turned);
  const size_t run = taps / nn__conv_runs(q->conv, q->turned) * q->cg;
  const size_t right = (q->turned ? 1 : q->conv->sw) * q->c;
  const size_t down = (q->turned ? 1 : q->conv->sh) * q->row;
  const nn_real *packed = q->packed;
  const nn_real *image = nn__laid(q, number / shares, nn__space_of(q, thread)) + top * down;
  const size_t pixel = q->ow == 1 ? q->y_row * q->sh : q->oc * q->sw;
  const size_t *skip = q->skip;
  for (size_t phase = 0; phase < q->phases; phase++) {
    const size_t a = phase / q->phases_w, b = phase % q->phases_w;
    const size_t rows = (high + q->sh - 1 - a) / q->sh, cols = (q->ow + q->sw - 1 - b) / q->sw;
    const size_t at_once = !split || q->ow == 1 ? rows : 1; /* those evenly far apart */
    nn_real *const out = q->y + number / shares * q->y_image + (top + a) * q->y_row + b * q->oc;
    size_t k = 0;
    for (size_t tap = 0; tap < taps; tap++) k += nn__of_phase(q, tap, phase) ? q->cg : 0;
    const nn__walk walk = {k / run, run, run, skip, 1, nr, 0};
    for (size_t g = 0; g < q->conv->groups; g++, packed += nn__round_up(q->og, nr) * k) {
      nn__finish f = q->finish;
      if (f.bias) f.bias += g * q->og + from;
      for (size_t i = 0; i < rows; i += at_once) {
        const nn__left pixels = {image + g * q->cg + i * q->row, right, cols, down, 0, NULL};
        nn__tiles_at(t, &walk, at_once * cols, wide, &pixels, packed + from * k, nr * k,
                     out + i * q->sh * q->y_row + g * q->og + from, pixel, nr, &f);
      }
    }
    skip += walk.segments;
  }
}

/* Sum over the rows of x[rows, cols], ldx apart, added to sum, in pieces short enough for float. */
static void nn__sum_rows(const nn__kernels *t, nn_real *sum, const nn_real *x, size_t ldx,
                         const nn_real *mean, const nn_real *y, size_t rows, size_t cols)
{
  for (size_t i = 0; i < rows; i += 256)
    NN__DO(t, sum_rows)(sum, x + i * ldx, ldx, mean, y ? y + i * ldx : NULL,
                        nn__min(256, rows - i), cols);
}

/* Where the rows of dW and of dY's images start in the image that is walked over. */
static void nn__weight_places(nn__conv_job *q, size_t *list)
{
  const nn__conv *c = q->conv;
  q->place = list;
  for (size_t u = 0; u < c->kh; u++)
    for (size_t v = 0; v < c->kw; v++)
      for (size_t i = 0; i < c->cg; i++) *list++ = u * c->dh * q->row + v * c->dw * c->c + i;
  q->skip = list;
  for (size_t i = 0; i < c->oh; i++) list[i] = i * c->sh * q->row;
}

/* ---- depthwise ---------------------------------------------------------------------------- */

/* Adds to the outputs out[j] of one row, whose span is r, the products of a and b, c channels each,
 * that belong to it; to those whose windows are alike, several at once. row_a: from one row to the
 * next. */
static void nn__depthwise_add(const nn__kernels *t, size_t c, const nn__line *down,
                              const nn__span *r, const nn__line *across, const nn_real *a,
                              size_t row_a, const nn_real *b, nn_real *out)
{
  const ptrdiff_t pixel = (ptrdiff_t)c, row_b = (ptrdiff_t)(across->b * c);
  nn__steps steps = {down->step_a * (ptrdiff_t)row_a, across->step_a * pixel,
                     down->step_b * row_b, across->step_b * pixel, c, 0};
  for (size_t k = 0; k < c; k += NN__CHANNELS)
    for (size_t j = 0, abreast; j < across->out; j += abreast) {
      const nn__span *s = &across->span[j];
      size_t like = 1;
      steps.a = (j + 1 < across->out ? s[1].a - s->a : 0) * c;
      while (like < NN__ABREAST && j + like < across->out && s[like].count == s->count &&
             s[like].b == s->b && s[like].a == s->a + like * (s[1].a - s->a))
        like++;
      abreast = like == NN__ABREAST ? like : 1;
      NN__DO(t, add_taps)(out + j * c + k, a + r->a * row_a + s->a * c + k,
                          b + (r->b * across->b + s->b) * c + k, &steps, r->count, s->count,
                          nn__min(NN__CHANNELS, c - k), abreast);
    }
}

/* One row of an image out. */
static void nn__depthwise_task(void *arg, size_t number, int thread)
{
  const nn__conv_job *q = arg;
  const nn__kernels *t = q->conv->kernels;
  const size_t image = number / q->oh, i = number % q->oh;
  nn_real *const out = q->y + image * q->y_image + i * q->y_row;
  (void)thread;
  for (size_t j = 0; j < q->ow; j++) {
    if (q->finish.bias) memcpy(out + j * q->c, q->finish.bias, q->c * sizeof *out);
    else memset(out + j * q->c, 0, q->c * sizeof *out);
  }
  nn__depthwise_add(t, q->c, &q->down, &q->down.span[i], &q->across, q->x + image * q->x_image,
                    q->x_row, q->packed, out);
  if (q->finish.relu) NN__DO(t, activate)(NN__ACT_RELU, out, out, q->ow * q->c, 0, 0);
}

/* Adds one image's dW[taps,c], row by row of dY, which stays in the cache. */
static void nn__depthwise_weights(const nn__conv_job *q, const nn_real *x, const nn_real *dy,
                                  nn_real *dw)
{
  const nn__conv *c = q->conv;
  const nn__span alone = {0, 0, 1};
  for (size_t r = 0; r < c->oh; r++, dy += c->y_row) {
    const nn__span *rows = &q->down.span[r]; /* of X and of the window */
    for (size_t u = 0; u < rows->count; u++)
      nn__depthwise_add(c->kernels, c->c, &q->down, &alone, &q->across,
                        x + (rows->a + u * c->dh) * c->x_row, 0, dy,
                        dw + (rows->b + u) * c->kw * c->c);
  }
}

/* ---- forward and backward ----------------------------------------------------------------- */

/* The images of one chunk, added up into the chunk's own partial: of each group dW[k,og] = the sum
 * over images of windows^T [k,pixels] dY[pixels,og]; and db[oc]. */
static void nn__weight_task(void *arg, size_t chunk, int thread)
{
  const nn__conv_job *q = arg;
  const nn__conv *c = q->conv;
  const size_t k = c->kh * c->kw * c->cg, nr = c->kernels->nr;
  const size_t pixel = c->ow == 1 ? c->y_row : c->oc;
  const int depthwise = nn__depthwise(c);
  nn_real *dw = q->partial + chunk * nn__conv_partial(c), *db = dw + c->groups * k * c->og;
  const nn__walk walk = {c->oh, c->ow, c->ow, q->skip, c->sw * c->c, pixel, 1};
  memset(dw, 0, nn__conv_partial(c) * sizeof *dw);
  for (size_t i = chunk * c->n / c->chunks; i < (chunk + 1) * c->n / c->chunks; i++) {
    const nn_real *dy = q->dy + i * c->y_image;
    nn__sum_rows(c->kernels, db, dy, pixel, NULL, NULL, c->oh * c->ow, c->oc);
    if (depthwise) nn__depthwise_weights(q, q->x + i * c->x_image, dy, dw);
    const nn_real *x = depthwise ? NULL : nn__laid(q, i, nn__space_of(q, thread));
    for (size_t g = 0; !depthwise && g < c->groups; g++) {
      const nn__left rows = {x + g * c->cg, 0, SIZE_MAX, 0, 0, q->place};
      nn__tiles_at(c->kernels, &walk, k, c->og, &rows, dy + g * c->og, nr, dw + g * k * c->og,
                   c->og, nr, &nn__accumulate);
    }
  }
}

/* Packs w for a forward or, turned, for the gradient of the data. */
static void nn__conv_pack(nn_model *m, const nn__conv *c, int turned, const nn_real *w, nn_real *to)
{
  const size_t taps = c->kh * c->kw;
  nn__conv_job q = nn__conv_job_of(m, c, turned);
  q.weights = w, q.packed = to;
  if (nn__side(c)) {
    nn__winograd_transform(&q, 0);
    nn__parallel(&m->context.pool, q.c, nn__winograd_pack_task, &q);
  } else if (nn__depthwise(c)) {
    NN__DO(c->kernels, transpose)(to, c->c, w, taps, c->c, taps);
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
  q.x = x, q.y = y, q.packed = (nn_real *)(uintptr_t)(const void *)packed;
  q.finish = (nn__finish){1, 0, bias, relu, 0};
  if (nn__side(c)) {
    nn__parallel(pool, (c->n * q.tiles + q.block - 1) / q.block, nn__winograd_forward_task, &q);
  } else if (nn__depthwise(c)) {
    nn__span *span = (nn__span *)(void *)nn__aligned(lists);
    const nn__product_kind kind = turned ? NN__DATA : NN__FORWARD;
    q.down = nn__line_of(kind, c->h, c->oh, c->kh, c->sh, c->dh, c->ph, span);
    q.across = nn__line_of(kind, c->w, c->ow, c->kw, c->sw, c->dw, c->pw, span + q.down.out);
    nn__parallel(pool, c->n * q.oh, nn__depthwise_task, &q);
  } else {
    nn__conv_places(&q, (size_t *)(void *)nn__aligned(lists));
    nn__direct_share(&q);
    nn__parallel(pool, c->n * q.bands * q.parts, nn__direct_task, &q);
  }
}

/* The gradient of the data, or, not turned, that of a transposed convolution. */
static void nn__conv_backward_data(nn_model *m, const nn__conv *c, int turned, const nn_real *dy,
                                   const nn_real *w, nn_real *dx)
{
  nn__conv_pack(m, c, turned, w, m->scratch);
  nn__correlate(m, c, turned, dy, m->scratch, m->scratch + nn__conv_weights(c, turned), NULL, 0,
                dx);
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
  } else if (!nn__side(c)) {
    nn__weight_places(&q, list);
  }
  nn__parallel(pool, c->chunks, nn__side(c) ? nn__winograd_weight_task : nn__weight_task, &q);
  for (size_t chunk = 1; chunk < c->chunks; chunk++) /* in order: the same bits for any threads */
    NN__DO(c->kernels, add)(sum, sum, sum + chunk * partial, partial);
  if (db) NN__DO(c->kernels, add)(db, db, sum + partial - c->oc, c->oc);
  if (nn__side(c)) {
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

/* ---- pooling ------------------------------------------------------------------------------ */

/* Of an image that windows are laid over. stride 0: the windows share the size out, as in adaptive
 * pooling, of which global pooling is the one with a single window. */
typedef struct nn__axis {
  size_t size, out, kernel, stride, pad;
} nn__axis;

enum { NN__MAX_WINDOW = 32 }; /* largest pooling kernel */

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

/* Whether windows lie side by side, so that they write every pixel once. */
static int nn__tiled(const nn__axis *a)
{
  return !a->pad && a->kernel == a->stride && a->out * a->stride == a->size;
}

/* ========================================= @@OPS ===========================================
 * Layers that work on [rows, cols] matrices. Forward and its backward stand together. */

static nn__node *nn__in(nn_model *m, const nn__node *node, int k) { return &m->node[node->in[k]]; }

/* Whether the last forward was a training one. Inspecting keeps what backward needs, too, but it
 * computes what inference does, and its backward leaves the parameters' gradients alone. */
static int nn__learning(const nn_model *m) { return NN__TRAINS && m->training == NN_TRAINING; }
static int nn__keeps(const nn_model *m) { return m->training && !m->config.inference; }

static int nn__learns(const nn_model *m, const nn__node *node)
{
#ifndef NN_NO_TRAINING
  return nn__learning(m) && node->rate > 0;
#else
  return (void)m, (void)node, 0;
#endif
}

#ifndef NN_NO_TRAINING
/* Begins to add up `count` numbers of `bytes` over the ranks, where there are several; nn__reduced
 * waits for the sums. */
static void nn__reduce(nn_model *m, void *values, size_t count, size_t bytes)
{
  const nn_ranks *r = &m->ranks;
  if (r->ranks > 1 && count && m->reduced == NN_OK)
    m->reduced = r->reduce(r->user, values, count, bytes);
}
static nn_status nn__reduced(nn_model *m)
{
  if (m->ranks.ranks > 1 && m->ranks.wait && m->reduced == NN_OK)
    m->reduced = m->ranks.wait(m->ranks.user);
  return m->reduced;
}
#endif

/* Whether what goes back is the gradient, not a projection by another rule. */
static int nn__goes_by_gradient(const nn_model *m)
{
#if !defined NN_NO_INSPECT && !defined NN_NO_TRAINING
  return m->rule == NN_RULE_GRADIENT;
#else
  return (void)m, 1;
#endif
}

/* A layer's work in pieces of `each` samples, rows or elements of `total`. A split that is the same
 * for any number of threads keeps every sum the same. */
typedef struct nn__job nn__job;
typedef void nn__work(const nn__job *j, size_t first);
struct nn__job {
  nn_model *m;
  const nn__node *node, *x; /* the layer; the input that it reads, or goes back to */
  size_t n;
  const nn_real *from;      /* x's output; back: the gradient of the layer's */
  nn_real *to;              /* the layer's output; back: the gradient of x's, or NULL */
  int back;
  size_t total, each, count; /* count: of this piece; `work` is given its first */
  nn__work *work;
};

/* Whether it goes back; in a build without training that is known not to be. */
static int nn__goes_back(const nn__job *j) { return NN__TRAINS && j->back; }

static nn__job nn__job_of(nn_model *m, const nn__node *node, size_t n, int back, nn_real *to)
{
  const nn__node *x = nn__in(m, node, back ? node->toward : 0);
  return (nn__job){m, node, x, n, back ? node->dy : x->y, to, back, 0, 0, 0, NULL};
}

/* Elements of the layer's output. */
static size_t nn__elements(const nn__job *j) { return j->n * j->node->rows * j->node->cols; }

static void nn__job_task(void *arg, size_t piece, int thread)
{
  nn__job j = *(const nn__job *)arg;
  (void)thread;
  j.count = nn__min(j.each, j.total - piece * j.each);
  j.work(&j, piece * j.each);
}

static void nn__run_job(nn__job *j, size_t total, size_t each, nn__work *work)
{
  j->total = total, j->each = each, j->work = work;
  nn__parallel(&j->m->context.pool, (total + each - 1) / each, nn__job_task, j);
}

static void nn__do_job(nn_model *m, const nn__node *node, size_t n, int back, nn_real *to,
                       size_t total, size_t each, nn__work *work)
{
  nn__job j = nn__job_of(m, node, n, back, to);
  nn__run_job(&j, total, each, work);
}

/* Some layers' backward is their forward with dy in place of x: nn__NAME_run does both. */
#define NN__BOTH_WAYS(name)                                                                       \
  static void nn__##name##_forward(nn_model *m, nn__node *node, size_t n)                         \
  {                                                                                               \
    nn__job j = nn__job_of(m, node, n, 0, node->y);                                               \
    nn__##name##_run(&j);                                                                         \
  }                                                                                               \
  static void nn__##name##_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)           \
  {                                                                                               \
    nn__job j = nn__job_of(m, node, n, 1, dx);                                                    \
    nn__##name##_run(&j);                                                                         \
  }
/* And nn__NAME_sample does all of a sample. */
#define NN__BY_SAMPLE(name)                                                                       \
  static void nn__##name##_run(nn__job *j) { nn__run_job(j, j->n, 1, nn__##name##_sample); }      \
  NN__BOTH_WAYS(name)

/* The row of the matrix `x` that holds a sample's step or pixel. */
static size_t nn__row_at(const nn__node *x, size_t n, size_t sample, size_t place)
{
  return x->rank == 2 ? place * n + sample : sample * x->rows + place;
}

static nn_real *nn__value(nn_model *m, int param) { return m->param[param].value; }
static size_t nn__offset(const nn_model *m, const nn__param *p) /* in the block of its sort */
{
  return (size_t)(p->value - (p->buffer ? m->buffer : m->value));
}
static nn_real *nn__grad(nn_model *m, int param)
{
  return m->gradient + nn__offset(m, &m->param[param]);
}

/* ---- activations -------------------------------------------------------------------------- */

static int nn__is_act(nn__kind kind)
{
  return kind >= NN__RELU && kind < NN__RELU + NN__ACT_COUNT;
}

enum { NN__PIECE = 16384 }; /* elements of a task */

NN__INLINE void nn__activate(const nn__job *j, int act, int needs, size_t i)
{
  const int numbers = needs & (NN__ONE_NUMBER | NN__TWO_NUMBERS);
  const nn_real a = numbers ? (nn_real)j->node->value : 0;
  const nn_real b = numbers ? (nn_real)j->node->second : 0;
  NN__DO(j->m->context.kernels, activate)(act, j->to + i, j->from + i, j->count, a, b);
}

/* A forward for each function, so that a program links the formulas it uses. */
#define NN__ACT_FORWARD(name, text, needs)                                                        \
  static void nn__##name##_piece(const nn__job *j, size_t first)                                  \
  {                                                                                               \
    nn__activate(j, NN__ACT_##name, needs, first);                                                \
  }                                                                                               \
  static void nn__##name##_forward(nn_model *m, nn__node *node, size_t n)                         \
  {                                                                                               \
    nn__job j = nn__job_of(m, node, n, 0, node->y);                                               \
    if (!node->fused) nn__run_job(&j, nn__elements(&j), NN__PIECE, nn__##name##_piece);           \
  }
NN__ACTS(NN__ACT_FORWARD)

static void nn__activate_back_piece(const nn__job *j, size_t i)
{
  const nn__node *node = j->node;
  const nn_real *xy = nn__kind_needs[node->kind] & NN__NEEDS_Y ? node->y : j->x->y;
  NN__DO(j->m->context.kernels, activate_back)((int)node->kind - NN__RELU, j->to + i, j->from + i,
                                               xy + i, j->count, (nn_real)node->value,
                                               (nn_real)node->second);
}

/* dx = dy f'(x); in place when the arrays are shared. A relu goes by the rule of nn_project:
 * GRADIENT dx = y > 0 ? dy : 0; DECONVNET dx = max(dy, 0); GUIDED dx = y > 0 ? max(dy, 0) : 0. */
static void nn__activation_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  nn__job j = nn__job_of(m, node, n, 1, dx);
#if !defined NN_NO_INSPECT && !defined NN_NO_TRAINING
  if (node->kind == NN__RELU && !nn__goes_by_gradient(m)) {
    nn__run_job(&j, nn__elements(&j), NN__PIECE, nn__RELU_piece);
    if (m->rule == NN_RULE_DECONVNET) return;
    j.from = dx;
  }
#endif
  nn__run_job(&j, nn__elements(&j), NN__PIECE, nn__activate_back_piece);
}

static void nn__softmax_piece(const nn__job *j, size_t first)
{
  const size_t cols = j->node->cols, at = first * cols;
  if (nn__goes_back(j))
    NN__DO(j->m->context.kernels, softmax_back)(j->to + at, j->from + at, j->node->y + at,
                                                j->count, cols);
  else
    NN__DO(j->m->context.kernels, softmax)(j->to + at, j->from + at, j->count, cols);
}

static void nn__softmax_run(nn__job *j)
{
  nn__run_job(j, j->n * j->node->rows, nn__max(1, 4096 / j->node->cols), nn__softmax_piece);
}

static void nn__softmax_rows(nn_model *m, nn_real *to, const nn_real *x, size_t rows, size_t cols)
{
  const nn__node row = {.rows = 1, .cols = cols};
  nn__job j = {m, &row, NULL, rows, x, to, 0, 0, 0, 0, NULL};
  nn__softmax_run(&j);
}
NN__BOTH_WAYS(softmax)

/* ---- dropout ------------------------------------------------------------------------------ */

typedef struct nn__drop {
  const nn_real *from;
  nn_real *to, scale;
  size_t count;
  uint64_t seed, stream;
  uint32_t below; /* dropped when the random word is below this */
  /* Where the elements are in the array of the whole batch, which the mask is drawn for: in runs of
   * `run` elements, the first at `start`, each `apart` further on than the one before. */
  size_t start, run, apart;
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
  size_t in_run = first % d->run, at = d->start + first / d->run * d->apart + in_run;
  for (size_t i = first; i < last;) {
    uint32_t word[4];
    const size_t some = nn__min(4 - at % 4, nn__min(d->run - in_run, last - i)), skip = at % 4;
    nn__random_block(d->seed, d->stream, at / 4, word);
    for (size_t j = 0; j < some; j++, i++) {
      /* what is dropped is 0, be it infinite: its bits go, without a branch, which would be guessed
       * wrong half of the time */
      const nn_real value = d->from[i] * d->scale;
      nn__bits bits;
      memcpy(&bits, &value, sizeof bits);
      bits &= (nn__bits)0 - (nn__bits)(word[skip + j] >= d->below);
      memcpy(&d->to[i], &bits, sizeof bits);
    }
    in_run += some, at += some;
    if (in_run == d->run) in_run = 0, at += d->apart - d->run;
  }
}

/* to = mask from / (1 - rate), of n samples of a node's shape. The mask follows from the seed, the
 * training forward's number, the place within the whole batch, and `site`, so backward calls this
 * again with the gradient in place of the values. */
static void nn__drop_out(nn_model *m, nn_real *to, const nn_real *from, const nn__node *node,
                         size_t n, double rate, uint64_t site)
{
  const size_t all = m->whole_n ? (size_t)m->whole_n : n, first = (size_t)m->first_n;
  const size_t each = node->rows * node->cols, count = n * each;
  const int steps = node->rank == 2; /* those of all samples lie together, step by step */
  nn__drop d = {from, to, (nn_real)(1 / (1 - rate)), count, m->config.seed,
                (m->draws << 16 | site) ^ 0xD509000000000000u, (uint32_t)(rate * 4294967296.0),
                first * (steps ? node->cols : each), steps ? n * node->cols : count,
                all * node->cols};
  nn__parallel(&m->context.pool, (count + NN__DROP_PIECE - 1) / NN__DROP_PIECE, nn__drop_task, &d);
}

static uint64_t nn__site(const nn_model *m, const nn__node *node, int layer)
{
  return (uint64_t)(node - m->node) * 16 + (uint64_t)layer;
}

/* Whether a layer drops, and does not only hand on. */
static int nn__really_drops(const nn__job *j)
{
  if (nn__learning(j->m) && j->node->value > 0) return 1;
  if (j->to != j->from) memcpy(j->to, j->from, nn__elements(j) * sizeof *j->to);
  return 0;
}

static void nn__dropout_run(nn__job *j)
{
  if (nn__really_drops(j))
    nn__drop_out(j->m, j->to, j->from, j->node, j->n, j->node->value, nn__site(j->m, j->node, 0));
}
NN__BOTH_WAYS(dropout)

/* The same for whole channels of a sample (Tompson et al. 2015): to = factor from, where a factor
 * for each channel of each sample is in `keep`, drawn by the forward. */
static void nn__drop_channels_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node;
  const nn_real *factor = node->keep + sample * node->cols;
  for (size_t p = 0; p < node->rows; p++) {
    const size_t at = nn__row_at(node, j->n, sample, p) * node->cols;
    for (size_t c = 0; c < node->cols; c++) /* what is dropped is 0, be it infinite */
      j->to[at + c] = factor[c] > 0 ? factor[c] * j->from[at + c] : 0;
  }
}

static void nn__drop_channels_run(nn__job *j)
{
  const nn__node factors = {.rank = 1, .rows = 1, .cols = j->node->cols}; /* those of a sample */
  nn_real *const keep = j->node->keep;
  if (!nn__really_drops(j)) return;
  for (size_t i = 0; i < j->n * j->node->cols && !j->back; i++) keep[i] = 1;
  if (!j->back)
    nn__drop_out(j->m, keep, keep, &factors, j->n, j->node->value, nn__site(j->m, j->node, 0));
  nn__run_job(j, j->n, 1, nn__drop_channels_sample);
}
NN__BOTH_WAYS(drop_channels)

/* ---- samples of different lengths --------------------------------------------------------- */

/* How many steps a layer makes of a sample of `steps` steps: as many as if there were no more, and
 * 0 where it cannot. */
static size_t nn__steps_after(const nn_model *m, const nn__node *node)
{
  const int other = node->in[node->inputs > 1];
  const nn__node *x = &m->node[node->in[0]];
  const nn__window_options *o = &node->window;
  const size_t steps = (size_t)m->node_steps[node->in[0]], more = (size_t)m->node_steps[other];
  if (node->kind == NN__AVG_POOL && !o->stride_h) return node->rows; /* adaptive */
  if (node->kind == NN__PADDED) return steps + (size_t)o->pad_h + (size_t)o->kernel_h;
  if (node->kind == NN__UPSAMPLE) return steps * (size_t)o->stride_h;
  if (node->kind == NN__CONV2D || node->kind == NN__MAX_POOL || node->kind == NN__AVG_POOL)
    return (size_t)nn__out_size((int)steps, o->pad_h, o->kernel_h, o->dilation_h, o->stride_h,
                                node->kind != NN__CONV2D && node->ceil);
  if (node->kind == NN__JOIN && node->axis == 0) return steps + more;
  if (node->kind == NN__SLICE && node->axis == 0)
    return steps > (size_t)node->begin ? nn__min(steps - (size_t)node->begin, node->rows) : 0;
  if (node->kind == NN__RESHAPE) /* whole ones */
    return steps * x->cols % node->cols ? 0 : steps * x->cols / node->cols;
  return m->node[other].rank == 2 ? nn__min(steps, more) : steps;
}

/* How many steps of `x` a sample has that came with so many; leaves those of all layers before it
 * in m->node_steps. What begins a sequence takes the number as it is. */
static size_t nn__steps_of(nn_model *m, const nn__node *x, size_t length)
{
  int32_t *to = m->node_steps;
  for (const nn__node *node = m->node; node <= x; node++)
    *to++ = (int32_t)(node->rank != 2                                       ? 1
                      : node->inputs == 0 || m->node[node->in[0]].rank != 2 ? length
                                                                : nn__steps_after(m, node));
  return (size_t)to[-1];
}

/* A sample's own last step. */
static size_t nn__last_of(const nn__node *x, size_t sample)
{
  return (x->lengths ? (size_t)x->lengths[sample] : x->rows) - 1;
}

/* The height of its image, or how many steps are its own. */
static size_t nn__own_height(const nn__node *x, size_t sample)
{
  return x->lengths ? (size_t)x->lengths[sample] : nn__image_height(x);
}

/* The lengths of the last forward's samples, or NULL where all are whole. */
static const int32_t *nn__lengths(const nn_model *m) { return m->has_lengths ? m->lengths : NULL; }

/* Row r of the inside of `x` as (sample, place); place: the step, or the pixel. */
static void nn__row_of(const nn__node *x, size_t n, size_t r, size_t *sample, size_t *place)
{
  *sample = x->rank == 2 ? r % n : r / x->rows;
  *place = x->rank == 2 ? r / n : r % x->rows;
}

/* Whether a row counts: steps past a sample's end do not. */
static int nn__row_counts(const nn__node *x, size_t sample, size_t place)
{
  return !x->lengths || place <= nn__last_of(x, sample);
}

/* Past a sample's end every layer gives zeros, and takes no gradient: whatever the caller has
 * there, a NaN too, would else meet zeros in the products of all steps, or count in a mean. */
static void nn__clear_past_ends(const nn__node *x, size_t n, nn_real *at)
{
  for (size_t i = 0; i < n && x->lengths; i++)
    for (size_t t = (size_t)x->lengths[i]; t < x->rows; t++)
      memset(at + (t * n + i) * x->cols, 0, x->cols * sizeof *at);
}

/* ---- pooling ------------------------------------------------------------------------------ */

/* Windows over a sample's image or over its own steps, as if there were no more. Backward a maximum
 * gives dy to the pixel that it was; an average adds share dy to each pixel of its window. */
static void nn__pool_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node, *x = j->x;
  const nn__window_options *o = &node->window;
  const nn__kernels *k = j->m->context.kernels;
  const nn__axis down = {nn__own_height(x, sample), nn__own_height(node, sample),
                         (size_t)o->kernel_h, (size_t)o->stride_h, (size_t)o->pad_h};
  const nn__axis across = {nn__image_width(x), nn__image_width(node), (size_t)o->kernel_w,
                           (size_t)o->stride_w, (size_t)o->pad_w};
  const size_t c = x->cols, pixel = nn__pixel_step(x, j->n), row = across.size * pixel;
  const size_t first = sample * nn__image_step(x);
  const int max = node->kind == NN__MAX_POOL || node->kind == NN__GLOBAL_MAX;
  const int back = nn__goes_back(j), relu = x->masked && nn__goes_by_gradient(j->m);
  const int add = !max || x->lengths || !nn__tiled(&down) || !nn__tiled(&across);
  for (size_t r = 0; r < nn__image_height(x) && back && add; r++)
    for (size_t q = 0; q < across.size; q++)
      memset(j->to + first + r * row + q * pixel, 0, c * sizeof *j->to);
  size_t out = sample * nn__image_step(node);
  for (size_t i = 0; i < down.out; i++)
    for (size_t q = 0; q < across.out; q++, out += nn__pixel_step(node, j->n)) {
      size_t rows, cols, high, wide; /* of the window; with the padding that it covers */
      const size_t top = nn__window(&down, i, &rows, &high);
      const size_t left = nn__window(&across, q, &cols, &wide);
      const size_t at = first + top * row + left * pixel;
      const nn_real share = 1 / (nn_real)(node->exclude_pad ? rows * cols : high * wide);
      if (max && back)
        NN__DO(k, max_window_back)(j->to + at, x->y + at, row, rows, cols, node->y + out,
                                   j->from + out, c, add, relu);
      else if (max)
        NN__DO(k, max_window)(j->to + out, j->from + at, row, rows, cols, c);
      else if (!back)
        NN__DO(k, sum_window)(j->to + out, j->from + at, row, rows, cols, c, share);
      for (size_t r = 0; r < rows && back && !max; r++)
        for (size_t s = 0; s < cols; s++)
          NN__DO(k, axpy)(j->to + at + r * row + s * pixel, share, j->from + out, c);
    }
}
NN__BY_SAMPLE(pool)

/* ---- sums of columns ---------------------------------------------------------------------- */

enum { NN__PARTS = 16 }; /* partial sums, whatever the threads */

typedef struct nn__columns {
  const nn_model *m;
  const nn__node *node;
  const nn_real *x, *mean, *y;
  nn_real *sum; /* [parts, cols] */
  size_t rows, cols, n, parts;
} nn__columns;

static int nn__counted(const nn__columns *c, size_t row)
{
  size_t sample, place;
  nn__row_of(c->node, c->n, row, &sample, &place);
  return nn__row_counts(c->node, sample, place);
}

static void nn__columns_task(void *arg, size_t part, int thread)
{
  const nn__columns *c = arg;
  const size_t last = (part + 1) * c->rows / c->parts;
  nn_real *sum = c->sum + part * c->cols;
  (void)thread;
  memset(sum, 0, c->cols * sizeof *sum);
  for (size_t i = part * c->rows / c->parts, end; i < last; i = end) {
    const int counts = nn__counted(c, i);
    const size_t at = i * c->cols;
    end = c->node->lengths ? i + 1 : last; /* of the rows that do as this one */
    while (end < last && nn__counted(c, end) == counts) end++;
    if (counts)
      nn__sum_rows(c->m->context.kernels, sum, c->x + at, c->cols, c->mean,
                   c->y ? c->y + at : NULL, end - i, c->cols);
  }
}

/* to[cols] = (add: to +) factor times what the kernel sum_rows adds up over those rows of n samples
 * that count. The partial sums take PARTS cols of scratch. */
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

/* ---- prelu -------------------------------------------------------------------------------- */

/* y = x > 0 ? x : w x, w of the column or one for all (He et al. 2015). Backward: dx is the same of
 * dy, x > 0 ? dy : w dy, and dw += sum of x > 0 ? 0 : dy x. */
static void nn__prelu_rows(const nn__job *j, size_t first)
{
  const size_t cols = j->node->cols, step = j->node->size > 1; /* from one column's w to the next */
  const nn_real *w = nn__value(j->m, j->node->param), *x = j->x->y;
  for (size_t i = first * cols, c = 0; i < (first + j->count) * cols; i++, c++) {
    if (c == cols) c = 0;
    j->to[i] = x[i] > 0 ? j->from[i] : w[c * step] * j->from[i];
  }
}

/* The terms of dw. */
static void nn__prelu_weights(const nn__job *j, size_t first)
{
  const size_t cols = j->node->cols;
  for (size_t i = first * cols; i < (first + j->count) * cols; i++)
    j->to[i] = j->x->y[i] > 0 ? 0 : j->from[i] * j->x->y[i];
}

enum { NN__PRELU_ROWS = 256 }; /* of one task */
static void nn__prelu(nn_model *m, const nn__node *node, size_t n, int back, nn_real *to,
                      nn__work *work)
{
  nn__do_job(m, node, n, back, to, n * node->rows, NN__PRELU_ROWS, work);
}

static void nn__prelu_forward(nn_model *m, nn__node *node, size_t n)
{
  nn__prelu(m, node, n, 0, node->y, nn__prelu_rows);
}

static void nn__prelu_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  if (nn__learns(m, node)) {
    nn_real *const sums = m->scratch + NN__PARTS * node->cols, *const parts = sums + node->cols;
    nn_real *const dw = nn__grad(m, node->param);
    nn__prelu(m, node, n, 1, parts, nn__prelu_weights);
    nn__column_sums(m, node, n, parts, NULL, NULL, 1, 0, sums);
    for (size_t c = 0; c < node->cols; c++) dw[node->size > 1 ? c : 0] += sums[c];
  }
  if (dx) nn__prelu(m, node, n, 1, dx, nn__prelu_rows);
}

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
  if (node->packed && !m->packed) NN__DO(t, pack)(node->packed, value, 1, in, in, out);
  if (node->packed && rows > 2) w = nn__panels_of(t, node->packed, in);
  nn__multiply(&m->context, rows, out, in, nn__rows_of(x->y, in), w, node->y, out, &f);
}

/* dW[out,in] += dy^T x, db += sum of rows of dy, dx[R,in] = dy W */
static void nn__linear_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const nn__node *x = nn__in(m, node, 0);
  const size_t rows = n * node->rows, in = x->cols, out = node->cols;
  if (nn__learns(m, node))
    nn__multiply(&m->context, out, in, rows, nn__columns_of(node->dy, out), nn__rows_of(x->y, in),
                 nn__grad(m, node->param), in, &nn__accumulate);
  if (nn__learns(m, node) && !node->no_bias)
    nn__column_sums(m, node, n, node->dy, NULL, NULL, 1, 1, nn__grad(m, node->param + 1));
  if (dx)
    nn__multiply(&m->context, rows, in, out, nn__rows_of(node->dy, out),
                 nn__rows_of(nn__value(m, node->param), in), dx, in, &nn__overwrite);
}

/* ---- batch norm --------------------------------------------------------------------------- */

#ifndef NN_NO_TRAINING
/* How many rows a statistic over n samples of `x` is taken over. */
static size_t nn__counted_rows(const nn__node *x, size_t n)
{
  size_t rows = 0;
  for (size_t i = 0; i < n; i++) rows += nn__last_of(x, i) + 1;
  return rows;
}

#define NN__LONE \
  "cannot learn from one value a channel, which has no variance: a training batch needs more"
/* The first batch norm that would have one value a channel, and so no variance; NULL if none. */
static const nn__node *nn__lone_norm(nn_model *m, size_t n, const int32_t *lengths)
{
  for (int i = 0; i < m->nodes && n == 1; i++) {
    const nn__node *x = &m->node[i];
    if (x->kind == NN__BATCH_NORM && x->rate > 0 && !x->frozen &&
        (lengths && x->rank == 2 ? nn__steps_of(m, x, (size_t)lengths[0]) : x->rows) == 1)
      return x;
  }
  return NULL;
}

static int nn__shares_norms(const nn_model *m) { return m->ranks.ranks > 1 && !m->ranks.own_norms; }

/* Whether a batch norm's statistics are those of all ranks. `whole` is then what they are taken
 * over. */
static int nn__is_shared(const nn_model *m, const nn__node *node)
{
  return nn__shares_norms(m) && node->kind == NN__BATCH_NORM && nn__learns(m, node) &&
         !node->frozen;
}

/* Finds `whole` before a forward over n samples here, 0 or more. Gives the first norm that has one
 * value a channel, or NULL. */
static const nn__node *nn__share_rows(nn_model *m, size_t n)
{
  const nn__node *lone = NULL;
  int shared = 0;
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (!nn__is_shared(m, node)) continue;
    node->whole = (double)nn__counted_rows(node, n);
    nn__reduce(m, &node->whole, 1, sizeof node->whole);
    shared = 1;
  }
  if (shared) nn__reduced(m);
  for (int i = 0; i < m->nodes && !lone; i++)
    if (nn__is_shared(m, &m->node[i]) && m->node[i].whole < 2) lone = &m->node[i];
  return lone;
}

/* Sums of `count` columns, which become those of all ranks. */
static void nn__share_sums(nn_model *m, const nn__node *node, nn_real *sums, size_t count)
{
  if (!nn__is_shared(m, node)) return;
  nn__reduce(m, sums, count, sizeof *sums);
  nn__reduced(m);
}

#endif

/* A norm's weight (k = 0) or bias, [cols] or [length]; NULL without. */
static const nn_real *nn__norm_value(nn_model *m, const nn__node *node, int k)
{
  return node->no_bias ? NULL : nn__value(m, node->param + k);
}

/* A norm's keep, rows of cols numbers: mean, rstd = 1/sqrt(variance + eps), and here, made of them,
 * p = w rstd and q = b - p mean, so that y = p x + q = w (x - mean) rstd + b. */
static void nn__norm_factors(nn_model *m, const nn__node *node, nn_real *keep)
{
  const nn_real *w = nn__norm_value(m, node, 0), *b = nn__norm_value(m, node, 1);
  const size_t cols = node->cols;
  nn_real *mean = keep, *rstd = mean + cols, *p = rstd + cols, *q = p + cols;
  for (size_t j = 0; j < cols; j++) {
    p[j] = w ? w[j] * rstd[j] : rstd[j];
    q[j] = (b ? b[j] : 0) - p[j] * mean[j];
  }
}

/* Parameters: weight, bias, unless there are none, running_mean, running_var. */
static nn_real *nn__running(nn_model *m, const nn__node *node, int which)
{
  return nn__value(m, node->param + (node->no_bias ? 0 : 2) + which);
}

/* All four by the running statistics. */
static void nn__running_norm(nn_model *m, const nn__node *node)
{
  const nn_real *mean = nn__running(m, node, 0), *variance = nn__running(m, node, 1);
  for (size_t j = 0; j < node->cols; j++) {
    node->keep[j] = mean[j];
    node->keep[node->cols + j] = 1 / nn__sqrt(variance[j] + node->eps);
  }
  nn__norm_factors(m, node, node->keep);
}

#ifndef NN_NO_TRAINING
/* keep = mean, rstd of a batch, of which n samples, 0 or more, are here; moves the running
 * statistics: running += momentum (batch's - running), of the variance the unbiased one. */
static void nn__batch_statistics(nn_model *m, const nn__node *node, size_t n, const nn_real *x)
{
  const size_t cols = node->cols;
  nn_real *mean = node->keep, *rstd = mean + cols;
  nn_real *running_mean = nn__running(m, node, 0), *running_var = nn__running(m, node, 1);
  const double own = (double)nn__counted_rows(node, n);
  const double counted = nn__is_shared(m, node) ? node->whole : own; /* 2 or more */
  memset(mean, 0, 2 * cols * sizeof *mean);
  if (n) {
    memcpy(mean, x, cols * sizeof *mean); /* sums of x - x[0] round by x's spread, not its size */
    nn__column_sums(m, node, n, x, x, NULL, 1 / own, 1, mean);
    for (size_t j = 0; j < cols && own < counted; j++) mean[j] *= (nn_real)(own / counted);
  }
  nn__share_sums(m, node, mean, cols);
  if (n) nn__column_sums(m, node, n, x, mean, x, 1 / counted, 0, rstd); /* variance */
  nn__share_sums(m, node, rstd, cols);
  const double unbias = counted / (counted - 1);
  for (size_t j = 0; j < cols; j++) {
    const double variance = (double)rstd[j];
    if (nn__finite(variance)) { /* a NaN or infinity would stay for ever */
      const double by = node->second, old = (double)running_var[j];
      running_mean[j] += (nn_real)(by * ((double)mean[j] - (double)running_mean[j]));
      running_var[j] += (nn_real)(by * (variance * unbias - old));
    }
    /* a variance that overflows makes NaNs, which nn_train names, and not zeros */
    rstd[j] = (nn_real)(1 / sqrt(variance + node->value) + (variance - variance));
  }
}

/* The other ranks' sums, where this one has no samples or has failed: it adds nothing to them. */
static void nn__share_nothing(nn_model *m, const nn__node *node, int back)
{
  if (!nn__is_shared(m, node)) return;
  if (!back) {
    nn__batch_statistics(m, node, 0, NULL);
    return;
  }
  memset(node->keep, 0, 2 * node->cols * sizeof *node->keep);
  nn__share_sums(m, node, node->keep, 2 * node->cols);
}
#endif

/* Whether its gradient is that of fixed statistics. */
static int nn__fixed_norm(nn_model *m, const nn__node *node)
{
  return !nn__learns(m, node) || node->frozen;
}

/* y = p x + q; back: dx = p dy + q (x - mean) + r. */
static void nn__batch_norm_rows(const nn__job *j, size_t first)
{
  const size_t cols = j->node->cols, at = first * cols;
  const nn_real *mean = j->node->keep, *p = mean + 2 * cols, *q = p + cols;
  const nn_real *x = nn__goes_back(j) && !nn__fixed_norm(j->m, j->node) ? j->x->y + at : NULL;
  NN__DO(j->m->context.kernels, affine_rows)(j->to + at, j->from + at, x, mean, p, q,
                                             nn__goes_back(j) ? q + cols : q, j->count, cols);
}

enum { NN__NORM_ROWS = 256 }; /* of one task */
static void nn__batch_norm_forward(nn_model *m, nn__node *node, size_t n)
{
  if (node->folded) return;
#ifndef NN_NO_TRAINING
  if (!nn__fixed_norm(m, node)) {
    nn__batch_statistics(m, node, n, nn__in(m, node, 0)->y);
    nn__norm_factors(m, node, node->keep);
  } else
#endif
    nn__running_norm(m, node);
  nn__do_job(m, node, n, 0, node->y, n * node->rows, NN__NORM_ROWS, nn__batch_norm_rows);
}

#ifndef NN_NO_TRAINING
/* With xhat = (x - mean) rstd: dw += sum dy xhat, db += sum dy. As mean and rstd depend on x,
 *   dx = w rstd (dy - mean(dy) - xhat mean(dy xhat))               Ioffe & Szegedy 2015
 *      = p dy + q (x - mean) + r,   p = w rstd, q = -p rstd mean(dy xhat), r = -p mean(dy).
 * With the running statistics, which do not depend on x: dx = p dy. q and r first hold the sums of
 * (x - mean) dy and of dy. */
static void nn__batch_norm_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const nn_real *x = nn__in(m, node, 0)->y, *w = nn__norm_value(m, node, 0);
  const size_t cols = node->cols;
  const int learns = nn__learns(m, node), fixed = nn__fixed_norm(m, node);
  nn_real *mean = node->keep, *rstd = mean + cols;
  nn_real *p = rstd + cols, *q = p + cols, *r = q + cols;
  memset(q, 0, 2 * cols * sizeof *q);
  if (learns) {
    nn__column_sums(m, node, n, node->dy, NULL, NULL, 1, 0, r);
    nn__column_sums(m, node, n, x, mean, node->dy, 1, 0, q);
  }
  const double rows_all = nn__is_shared(m, node) ? node->whole : (double)nn__counted_rows(node, n);
  const nn_real share = 1 / (nn_real)rows_all;
  for (size_t j = 0; j < cols && learns && w; j++)
    nn__grad(m, node->param)[j] += q[j] * rstd[j], nn__grad(m, node->param + 1)[j] += r[j];
  if (dx) nn__share_sums(m, node, q, 2 * cols);
  for (size_t j = 0; j < cols; j++) {
    const nn_real sum_dy = r[j], sum_dy_xhat = q[j] * rstd[j];
    p[j] = w ? w[j] * rstd[j] : rstd[j];
    q[j] = fixed ? 0 : -p[j] * rstd[j] * sum_dy_xhat * share;
    r[j] = fixed ? 0 : -p[j] * sum_dy * share;
  }
  if (dx)
    nn__do_job(m, node, n, 1, dx, n * node->rows, NN__NORM_ROWS, nn__batch_norm_rows);
}
#endif

/* ---- group norm --------------------------------------------------------------------------- */

/* As batch norm, but each sample's statistics are its own, of a group of columns (Wu & He 2018).
 * Rows of a sample's keep: forward's mean, rstd, p and q; backward puts r in place of that q, and
 * behind it q and the sums of dy and of (x - mean) dy. */
enum { NN__GROUP_ROWS = 7 };

/* sum[cols] over a sample's own rows, of what the kernel sum_rows adds up. */
static void nn__sample_sums(const nn__job *j, size_t sample, nn_real *sum, const nn_real *x,
                            const nn_real *mean, const nn_real *y)
{
  const nn__node *node = j->node;
  const size_t first = sample * nn__image_step(node);
  memset(sum, 0, node->cols * sizeof *sum);
  nn__sum_rows(j->m->context.kernels, sum, x + first, nn__pixel_step(node, j->n), mean,
               y ? y + first : NULL, nn__last_of(node, sample) + 1, node->cols);
}

/* The kernel affine_rows over all of a sample's rows. */
static void nn__sample_affine(const nn__job *j, size_t sample, const nn_real *y,
                              const nn_real *mean, const nn_real *p, const nn_real *q,
                              const nn_real *r)
{
  const nn__node *node = j->node;
  const size_t step = nn__pixel_step(node, j->n), together = step == node->cols ? node->rows : 1;
  for (size_t i = 0; i < node->rows; i += together) {
    const size_t at = sample * nn__image_step(node) + i * step;
    NN__DO(j->m->context.kernels, affine_rows)(j->to + at, j->from + at, y ? y + at : NULL, mean,
                                               p, q, r, together, node->cols);
  }
}

/* Each column's number becomes its group's sum, with weights (or NULL), times share. */
static void nn__group_sums(const nn__node *node, nn_real *to, const nn_real *sum,
                           const nn_real *weight, nn__wide share)
{
  const size_t each = node->cols / (size_t)node->size;
  for (size_t first = 0; first < node->cols; first += each) {
    nn__wide all = 0;
    for (size_t i = first; i < first + each; i++)
      all += (nn__wide)sum[i] * (weight ? (nn__wide)weight[i] : 1);
    for (size_t i = first; i < first + each; i++) to[i] = (nn_real)(all * share);
  }
}

static void nn__group_norm_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node;
  const size_t cols = node->cols, counted = nn__last_of(node, sample) + 1;
  const nn__wide share = (nn__wide)node->size / ((nn__wide)counted * (nn__wide)cols);
  nn_real *mean = node->keep + sample * NN__GROUP_ROWS * cols, *rstd = mean + cols;
  nn__sample_sums(j, sample, mean, j->from, NULL, NULL);
  nn__group_sums(node, mean, mean, NULL, share);
  nn__sample_sums(j, sample, rstd, j->from, mean, j->from);
  nn__group_sums(node, rstd, rstd, NULL, share);
  for (size_t i = 0; i < cols; i++) {
    const nn__wide variance = (nn__wide)rstd[i], eps = (nn__wide)node->value;
    rstd[i] = (nn_real)(1 / NN__WIDE_SQRT(variance + eps) + (variance - variance));
  }
  nn__norm_factors(j->m, node, mean);
  nn__sample_affine(j, sample, NULL, NULL, rstd + cols, NULL, rstd + 2 * cols);
}

static void nn__group_norm_forward(nn_model *m, nn__node *node, size_t n)
{
  nn__do_job(m, node, n, 0, node->y, n, 1, nn__group_norm_sample);
}

/* With xhat = (x - mean) rstd and means over the group:
 *   dx = rstd (w dy - mean(w dy) - xhat mean(w dy xhat)) = p dy + q (x - mean) + r,
 *   p = w rstd, q = -rstd^3 mean(w dy (x - mean)), r = -rstd mean(w dy). */
static void nn__group_norm_back_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node;
  const size_t cols = node->cols, counted = nn__last_of(node, sample) + 1;
  const nn__wide share = (nn__wide)node->size / ((nn__wide)counted * (nn__wide)cols);
  const nn_real *mean = node->keep + sample * NN__GROUP_ROWS * cols, *rstd = mean + cols;
  nn_real *const p = node->keep + (sample * NN__GROUP_ROWS + 2) * cols, *const r = p + cols;
  nn_real *const q = r + cols, *const sum_dy = q + cols, *const sum_xdy = sum_dy + cols;
  const nn_real *w = nn__norm_value(j->m, node, 0);
  nn__sample_sums(j, sample, sum_dy, j->from, NULL, NULL);
  nn__sample_sums(j, sample, sum_xdy, j->x->y, mean, j->from);
  if (!j->to) return;
  nn__group_sums(node, r, sum_dy, w, share);
  nn__group_sums(node, q, sum_xdy, w, share);
  for (size_t i = 0; i < cols; i++) {
    q[i] *= -rstd[i] * rstd[i] * rstd[i];
    r[i] *= -rstd[i];
  }
  nn__sample_affine(j, sample, j->x->y, mean, p, q, r);
}

static void nn__group_norm_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const size_t cols = node->cols;
  nn__do_job(m, node, n, 1, dx, n, 1, nn__group_norm_back_sample);
  for (size_t i = 0; i < n && nn__learns(m, node) && !node->no_bias; i++) {
    const nn_real *rstd = node->keep + (i * NN__GROUP_ROWS + 1) * cols;
    const nn_real *sum_dy = rstd + 4 * cols, *sum_xdy = sum_dy + cols;
    for (size_t k = 0; k < cols; k++) {
      nn__grad(m, node->param)[k] += sum_xdy[k] * rstd[k];
      nn__grad(m, node->param + 1)[k] += sum_dy[k];
    }
  }
}

/* ---- normalise ---------------------------------------------------------------------------- */

/* Rows of few columns are taken several at once, as one row that fills the vectors. */
static size_t nn__rows_at_once(const nn__node *node) { return node->cols < 16 ? 16 : 1; }

static void nn__normalise_rows(const nn__job *j, size_t first)
{
  const size_t cols = j->node->cols, at_once = nn__rows_at_once(j->node), wide = at_once * cols;
  const size_t at = first * cols, whole = j->count / at_once, rest = at + whole * wide;
  const nn_real *p = j->node->keep, *q = p + wide;
  NN__DO(j->m->context.kernels, affine_rows)(j->to + at, j->from + at, NULL, NULL, p, NULL, q,
                                             whole, wide);
  NN__DO(j->m->context.kernels, affine_rows)(j->to + rest, j->from + rest, NULL, NULL, p, NULL, q,
                                             j->count % at_once, cols);
}

/* to = p x + q by column, where `keep` has room for both. Forward: p = scale, q = -mean scale; the
 * gradient: p = scale, q = 0. Parameters, never trained: mean, scale. */
enum { NN__NORMALISE_ROWS = 4096 }; /* of one task */
static void nn__normalise_run(nn__job *j)
{
  const nn__node *node = j->node;
  const nn_real *mean = nn__value(j->m, node->param), *scale = nn__value(j->m, node->param + 1);
  const size_t wide = nn__rows_at_once(node) * node->cols;
  nn_real *p = node->keep, *q = p + wide;
  for (size_t i = 0; i < wide; i++) {
    p[i] = scale[i % node->cols];
    q[i] = j->back ? 0 : -mean[i % node->cols] * p[i];
  }
  nn__run_job(j, j->n * node->rows, NN__NORMALISE_ROWS, nn__normalise_rows);
}
NN__BOTH_WAYS(normalise)

/* ---- layer norm --------------------------------------------------------------------------- */

static size_t nn__norm_length(const nn__node *node) /* what one mean is taken over */
{
  return node->rank == 3 ? node->rows * node->cols : node->cols;
}

/* Weights (k = 0) and biases of an image are [C,H,W] at the border and [H W,C] inside. There they
 * lie in scratch, as do 1 and 0 where there are none; else where they are. */
static const nn_real *nn__inside_weights(nn_model *m, const nn__node *node, int k)
{
  const int in_scratch = node->no_bias || node->rank == 3;
  return in_scratch ? m->scratch + (size_t)k * nn__norm_length(node)
                    : nn__value(m, node->param + k);
}

static void nn__lay_weights(nn_model *m, const nn__node *node)
{
  for (int k = 0; k < 2; k++) {
    nn_real *const to = m->scratch + (size_t)k * nn__norm_length(node);
    for (size_t i = 0; i < nn__norm_length(node) && node->no_bias; i++) to[i] = k ? 0 : 1;
    if (!node->no_bias && node->rank == 3)
      NN__DO(m->context.kernels, transpose)(to, node->cols, nn__value(m, node->param + k),
                                            node->rows, node->cols, node->rows);
  }
}

static void nn__layer_norm_row(const nn__job *j, size_t i)
{
  const size_t length = nn__norm_length(j->node);
  NN__DO(j->m->context.kernels, norm_row)(j->to + i * length, j->from + i * length,
                                          nn__inside_weights(j->m, j->node, 0),
                                          nn__inside_weights(j->m, j->node, 1), length,
                                          (nn__wide)j->node->value, j->node->keep + 3 * i);
}

static void nn__layer_norm_forward(nn_model *m, nn__node *node, size_t n)
{
  const size_t rows = n * node->rows * node->cols / nn__norm_length(node);
  nn__lay_weights(m, node);
  nn__do_job(m, node, n, 0, node->y, rows, 1, nn__layer_norm_row);
}

/* Sums of the gradients of weights and biases over a part of the rows, behind the weights. */
static void nn__layer_norm_back_part(const nn__job *j, size_t part)
{
  const size_t length = nn__norm_length(j->node);
  const size_t count = j->n * j->node->rows * j->node->cols / length;
  nn_real *dw = j->m->scratch + 2 * length * (part + 1), *db = dw + length;
  memset(dw, 0, 2 * length * sizeof *dw);
  for (size_t i = part * count / NN__PARTS; i < (part + 1) * count / NN__PARTS; i++)
    NN__DO(j->m->context.kernels, norm_row_back)(j->to + i * length, dw, db, j->from + i * length,
                                                 j->x->y + i * length,
                                                 nn__inside_weights(j->m, j->node, 0), length,
                                                 j->node->keep + 3 * i);
}

/* dx is always made, if only in scratch: the kernel gives all three. */
static void nn__layer_norm_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const size_t length = nn__norm_length(node);
  nn_real *const partial = m->scratch + 2 * length;
  nn__lay_weights(m, node);
  nn__do_job(m, node, n, 1, dx ? dx : node->dy, /* in place: dy is of no more use */
             NN__PARTS, 1, nn__layer_norm_back_part);
  if (!nn__learns(m, node) || node->no_bias) return;
  for (size_t part = 1; part < NN__PARTS; part++)
    NN__DO(m->context.kernels, add)(partial, partial, partial + part * 2 * length, 2 * length);
  nn_real *grads[2] = {nn__grad(m, node->param), nn__grad(m, node->param + 1)};
  for (int k = 0; k < 2; k++) {
    const nn_real *sum = partial + (size_t)k * length;
    for (size_t r = 0; r < length / node->cols; r++)
      for (size_t c = 0; c < node->cols; c++)
        grads[k][node->rank == 3 ? c * node->rows + r : c] += sum[r * node->cols + c];
  }
}

/* ---- moving values ------------------------------------------------------------------------ */

/* Between the border layout (batch first, channels first) and the inside's. A node's layouts are
 * the same when each sample is one row. */
static int nn__same_layout(const nn__node *node)
{
  return node->rows == 1 || (node->rank == 3 && node->cols == 1);
}

static void nn__border_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node;
  const size_t rows = node->rows, cols = node->cols, size = cols * sizeof *j->to;
  const size_t out = sample * rows * cols;
  if (node->rank == 3) {
    const size_t high = j->back ? cols : rows, wide = j->back ? rows : cols;
    NN__DO(j->m->context.kernels, transpose)(j->to + out, high, j->from + out, wide, high, wide);
  }
  for (size_t t = 0; t < rows && node->rank == 2; t++) { /* [n, T, F] and [T, n, F] */
    const size_t border = out + t * cols, inside = (t * j->n + sample) * cols;
    memcpy(j->to + (j->back ? inside : border), j->from + (j->back ? border : inside), size);
  }
}

static void nn__copy_border(nn_model *m, const nn__node *node, size_t n, nn_real *to,
                            const nn_real *from, int inwards)
{
  nn__job j = {m, node, NULL, n, from, to, inwards, 0, 0, 0, NULL};
  if (nn__same_layout(node))
    memcpy(to, from, n * node->rows * node->cols * sizeof *to);
  else
    nn__run_job(&j, n, 1, nn__border_sample);
}

/* Flatten and reshape read the border layout of one node as that of another. */
static void nn__reshape_run(nn__job *j)
{
  const nn__node *x = j->back ? j->node : j->x, *y = j->back ? j->x : j->node;
  nn_real *const between = nn__same_layout(y) ? j->to : j->m->scratch;
  if (j->to == j->from) return;
  if (nn__same_layout(x)) {
    nn__copy_border(j->m, y, j->n, j->to, j->from, 1);
  } else {
    nn__copy_border(j->m, x, j->n, between, j->from, 0);
    if (between != j->to) nn__copy_border(j->m, y, j->n, j->to, between, 1);
  }
}
NN__BOTH_WAYS(reshape)

static void nn__add_run(nn__job *j)
{
  if (j->back)
    memcpy(j->to, j->from, nn__elements(j) * sizeof *j->to);
  else
    NN__DO(j->m->context.kernels, add)(j->to, j->from, nn__in(j->m, j->node, 1)->y,
                                       nn__elements(j));
}
NN__BOTH_WAYS(add)

/* Tokens [n,T] batch first; rows of the table, time-major, which dy is added to. Past a sample's
 * end no token is read. */
static void nn__embedding_run(nn__job *j)
{
  const nn__node *node = j->node;
  const int back = nn__goes_back(j);
  nn_real *const table = back ? nn__grad(j->m, node->param) : nn__value(j->m, node->param);
  for (size_t i = 0; i < j->n; i++)
    for (size_t t = 0; t <= nn__last_of(node, i); t++) {
      const nn_real token = j->x->y[i * node->rows + t];
      const size_t at = (t * j->n + i) * node->cols;
      if (!(token >= 0 && token < (nn_real)node->size) || token != (nn_real)(size_t)token)
        j->m->failure = nn__say(nn__message(j->m), NN_ERR_ARGUMENT,
                                "%s: token %g of sample %zu is not a whole number in 0..%d",
                                node->name, (double)token, i, node->size - 1);
      if (j->m->failure != NN_OK) return;
      nn_real *const row = table + (size_t)token * node->cols;
      if (back)
        NN__DO(j->m->context.kernels, add)(row, row, j->from + at, node->cols);
      else
        memcpy(j->to + at, row, node->cols * sizeof *row);
    }
}
NN__BOTH_WAYS(embedding)

/* Layers that only move rows, or a part of each: from which places of input k the next `count` of
 * the output's come, from `place` on. Here a sequence is one row of an image. The second input of a
 * join lies behind the first, of a sequence behind that sample's own last step. */
typedef struct nn__moved {
  size_t from;        /* where the first comes from; SIZE_MAX: they come from nowhere and are 0 */
  size_t step, count; /* step: on to the next one's, 1, 0 or -1 */
} nn__moved;

static size_t nn__row_length(const nn__node *x, size_t sample)
{
  return x->rank == 2 ? nn__own_height(x, sample) : nn__image_width(x);
}

static nn__moved nn__moved_from(const nn__job *j, int k, size_t sample, size_t place)
{
  const nn__node *node = j->node, *x = nn__in(j->m, node, k);
  const nn__window_options *o = &node->window;
  const int steps = node->rank == 2, down = !steps && node->axis == 1; /* vectors have axis 0 */
  const int across = node->axis == (steps ? 0 : 2);
  const size_t high = x->rank == 2 ? 1 : nn__image_height(x), wide = nn__row_length(x, sample);
  const size_t all = steps ? node->rows : nn__image_width(node);
  const size_t factor = (size_t)(steps ? o->stride_h : o->stride_w), left = all - place % all;
  size_t row = place / all, column = place % all; /* what would be below 0 is too large, too */
  nn__moved moved = {SIZE_MAX, 1, left};
  switch (node->kind) {
  case NN__LAST_STEP: column = wide - 1; break;
  case NN__REVERSE: column = wide - 1 - column, moved.step = SIZE_MAX; break;
  case NN__PADDED:
    row -= (size_t)(steps ? 0 : o->pad_h), column -= (size_t)(steps ? o->pad_h : o->pad_w);
    break;
  case NN__UPSAMPLE:
    moved.step = 0, moved.count = factor - column % factor;
    row /= (size_t)o->stride_h, column /= factor;
    break;
  case NN__SLICE:
    row += down ? (size_t)node->begin : 0, column += across ? (size_t)node->begin : 0;
    break;
  case NN__JOIN:
    if (k && down) row -= nn__image_height(nn__in(j->m, node, 0));
    if (k && across) column -= nn__row_length(nn__in(j->m, node, 0), sample);
    break;
  default: break; /* side by side */
  }
  if (row < high && column < wide) moved.from = row * wide + column;
  if (moved.step == 1) moved.count = nn__min(left, column < wide ? wide - column : 0 - column);
  if (moved.step == SIZE_MAX && moved.from != SIZE_MAX) moved.count = nn__min(left, column + 1);
  return moved;
}

/* Backward, dx of a row is the sum of dy over the rows made of it; a join makes one: a copy. */
static void nn__move_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node;
  const int joins = node->inputs > 1, back = nn__goes_back(j);
  const int columns = node->kind == NN__SLICE && node->axis == (node->rank == 2);
  const int first = back ? node->toward : 0, last = back ? first : node->inputs - 1;
  for (int k = first; k <= last; k++) {
    const nn__node *x = nn__in(j->m, node, k);
    const size_t width = nn__min(x->cols, node->cols), size = width * sizeof *j->to;
    nn_real *const in = (back ? j->to : x->y) + (columns ? node->begin : 0);
    nn_real *const out = (back ? node->dy : node->y) +
                         (k && node->kind == NN__CONCAT ? nn__in(j->m, node, 0)->cols : 0);
    for (size_t p = 0; p < x->rows && back && !joins; p++)
      memset(j->to + nn__row_at(x, j->n, sample, p) * x->cols, 0, x->cols * sizeof *j->to);
    for (size_t p = 0, i; p < node->rows; p += i) {
      const nn__moved moved = nn__moved_from(j, k, sample, p);
      for (i = 0; i < moved.count; i++) {
        nn_real *const to = out + nn__row_at(node, j->n, sample, p + i) * node->cols;
        if (moved.from == SIZE_MAX) {
          if (!back && !joins) memset(to, 0, size);
          continue;
        }
        const size_t from = moved.from + i * moved.step;
        nn_real *const row = in + nn__row_at(x, j->n, sample, from) * x->cols;
        if (!back)
          memcpy(to, row, size);
        else if (joins)
          memcpy(row, to, size);
        else
          NN__DO(j->m->context.kernels, add)(row, row, to, width);
      }
    }
  }
}
NN__BY_SAMPLE(move)

/* A sample's steps are the rows, or columns, of its image; step t holds [C,W] or [C,H] of it, which
 * lies there the other way round. */
static void nn__turn_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node, *image = node->kind == NN__TO_IMAGE ? node : j->x;
  const nn__node *steps = image == node ? j->x : node;
  const size_t c = image->cols, h = (size_t)image->dim[1], w = (size_t)image->dim[2];
  const size_t each = node->axis ? h : w, next = node->axis ? w * c : c; /* pixels of a step */
  for (size_t t = 0; t < steps->rows; t++) {
    const size_t pixel = sample * h * w * c + t * (node->axis ? c : w * c);
    const size_t step = nn__row_at(steps, j->n, sample, t) * steps->cols;
    if ((image == node) != nn__goes_back(j))
      NN__DO(j->m->context.kernels, transpose)(j->to + pixel, next, j->from + step, each, c, each);
    else
      NN__DO(j->m->context.kernels, transpose)(j->to + step, each, j->from + pixel, next, each, c);
  }
}
NN__BY_SAMPLE(turn)

/* Row or column i of an image `factor` times as large lies between two of the image (PyTorch's
 * align_corners = False): the first, and the share of the one after it. */
static size_t nn__between(size_t i, size_t factor, size_t size, nn_real *share)
{
  const size_t at = 2 * i + 1 > factor ? 2 * i + 1 - factor : 0; /* in halves of its own pixels */
  const size_t first = at / (2 * factor);
  *share = first + 1 < size ? (nn_real)(at % (2 * factor)) / (nn_real)(2 * factor) : 0;
  return first;
}

/* Forward: y from x; back: the same shares of dy added to dx. */
static void nn__blend_sample(const nn__job *j, size_t sample)
{
  const nn__node *x = j->x, *node = j->node;
  const nn__kernels *k = j->m->context.kernels;
  const size_t h = nn__image_height(x), w = nn__image_width(x), c = x->cols;
  const size_t small = h * w * c, large = node->rows * c;
  const int back = nn__goes_back(j);
  const nn_real *from = j->from + sample * (back ? large : small);
  nn_real *const to = j->to + sample * (back ? small : large);
  memset(to, 0, (back ? small : large) * sizeof *to);
  for (size_t p = 0; p < node->rows; p++) {
    nn_real low, right;
    const size_t row = p / nn__image_width(node), column = p % nn__image_width(node);
    const size_t top = nn__between(row, (size_t)node->window.stride_h, h, &low);
    const size_t left = nn__between(column, (size_t)node->window.stride_w, w, &right);
    for (size_t q = 0; q < 4; q++) {
      const nn_real share = (q / 2 ? low : 1 - low) * (q % 2 ? right : 1 - right);
      const size_t at = ((top + q / 2) * w + left + q % 2) * c;
      if (share == 0) continue; /* of what may not be there */
      NN__DO(k, axpy)(to + (back ? at : p * c), share, from + (back ? p * c : at), c);
    }
  }
}
NN__BY_SAMPLE(blend)

static size_t nn__factor_row(const nn__node *b, size_t n, size_t sample, size_t place)
{
  return nn__row_at(b, n, sample, b->rank == 1 ? 0 : place) * b->cols;
}

/* y = a b; da = dy b; db = dy a. b, or what is made, may be one row a sample, as the channels'
 * scale of squeeze-and-excitation: db is then summed over the rows that it has met. */
static void nn__multiply_sample(const nn__job *j, size_t sample)
{
  const nn__node *node = j->node, *other = nn__in(j->m, node, j->back ? !node->toward : 1);
  const nn__node *made = j->back ? j->x : node;
  for (size_t p = 0; p < node->rows; p++) {
    const nn_real *from = j->from + nn__row_at(node, j->n, sample, p) * node->cols;
    const nn_real *by = other->y + nn__factor_row(other, j->n, sample, p);
    nn_real *to = j->to + nn__factor_row(made, j->n, sample, p);
    const int add = p > 0 && made->rank == 1;
    for (size_t c = 0; c < node->cols; c++) to[c] = add ? from[c] * by[c] + to[c] : from[c] * by[c];
  }
}
NN__BY_SAMPLE(multiply)

/* ---- rows --------------------------------------------------------------------------------- */

/* The argmax of a row, the first among equals. */
static size_t nn__greatest(const nn_real *row, size_t cols)
{
  size_t best = 0;
  for (size_t j = 1; j < cols; j++)
    if (row[j] > row[best]) best = j;
  return best;
}

/* ---- custom layers ------------------------------------------------------------------------ */

/* What the callbacks are told of the shapes. */
static nn_custom_shape nn__custom_shape(nn_model *m, const nn__node *node)
{
  nn_custom_shape shape;
  memset(&shape, 0, sizeof shape);
  shape.inputs = node->inputs;
  for (int k = 0; k < node->inputs; k++) {
    const nn__node *x = nn__in(m, node, k);
    shape.in_rank[k] = x->rank;
    for (int i = 0; i < 3; i++) shape.in_dim[k][i] = i < x->rank ? x->dim[i] : 0;
  }
  shape.rank = node->rank, shape.params = node->params;
  for (int i = 0; i < 3; i++) shape.dim[i] = i < node->rank ? node->dim[i] : 0;
  return shape;
}

/* An array of a node as the caller sees it: where it lies, or copied to *room, which moves on. */
static nn_real *nn__shown(nn_model *m, const nn__node *x, size_t n, nn_real *at, nn_real **room)
{
  nn_real *const to = *room;
  if (nn__same_layout(x)) return at;
  nn__copy_border(m, x, n, to, at, 0);
  *room += n * x->rows * x->cols;
  return to;
}

static void nn__custom_room(const nn_model *m, nn__node *node, nn__room *room)
{
  size_t reals = 2 * node->rows * node->cols;
  for (int k = 0; k < node->inputs; k++)
    reals += 2 * m->node[node->in[k]].rows * m->node[node->in[k]].cols;
  room->scratch = reals * (size_t)m->config.batch;
}

static nn_custom_run nn__custom_run(nn_model *m, const nn__node *node, const nn_custom_shape *shape,
                                    size_t n, nn_real **room)
{
  nn_custom_run r;
  memset(&r, 0, sizeof r);
  r.n = (int)n, r.shape = shape, r.mode = m->training;
  r.lengths = m->has_lengths ? m->lengths : NULL;
  r.y_count = n * node->rows * node->cols;
  for (int k = 0; k < node->inputs; k++) {
    const nn__node *x = nn__in(m, node, k);
    r.x[k] = nn__shown(m, x, n, x->y, room), r.x_count[k] = n * x->rows * x->cols;
  }
  for (int i = 0; i < node->params; i++) r.param[i] = nn__value(m, node->param + i);
  return r;
}

/* What a callback's status counts as: one above 0 would read as no error. */
static nn_status nn__refusal(nn_status status) { return status > 0 ? NN_ERR_ARGUMENT : status; }

static nn_status nn__custom_said(nn_model *m, const nn__node *node, nn_status status,
                                 const char *what)
{
  status = nn__refusal(status);
  if (status == NN_OK) return NN_OK;
  return m->failure = nn__say(nn__message(m), status, "%s: the %s of %s: %s", node->name, what,
                              nn__code(node), nn_status_text(status));
}

/* Finds out whether a callback made `to`, which may be NULL, not finite of what was. */
static void nn__blame(nn_model *m, const nn__node *node, const nn_real *from, size_t count,
                      const nn_real *to, size_t made)
{
  const nn__kernels *k = m->context.kernels;
  if (to && !nn__finite(NN__DO(k, largest)(to, made)) &&
      nn__finite(NN__DO(k, largest)(from, count)))
    m->blamed = node;
}

static void nn__custom_forward(nn_model *m, nn__node *node, size_t n)
{
  nn_real *room = m->scratch;
  const nn_custom_shape shape = nn__custom_shape(m, node);
  nn_custom_run r = nn__custom_run(m, node, &shape, n, &room);
  const int same = nn__same_layout(node);
  r.y = same ? node->y : room;
  const nn_status status = node->custom->forward(node->custom->user, &r);
  if (!same) nn__copy_border(m, node, n, node->y, room, 1);
  nn__custom_said(m, node, status, "forward");
}

static void nn__custom_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  nn_real *room = m->scratch;
  const int k = node->toward;
  const nn__node *x = nn__in(m, node, k);
  const nn_custom_shape shape = nn__custom_shape(m, node);
  nn_custom_run r = nn__custom_run(m, node, &shape, n, &room);
  r.y = nn__shown(m, node, n, node->y, &room);
  r.dy = nn__shown(m, node, n, node->dy, &room);
  r.dx[k] = dx && !nn__same_layout(x) ? room : dx;
  for (int i = 0; i < node->params && k == 0 && nn__learns(m, node); i++)
    r.dparam[i] = nn__grad(m, node->param + i);
  const nn_status status = node->custom->backward(node->custom->user, &r);
  nn__blame(m, node, r.dy, r.y_count, r.dx[k], r.x_count[k]);
  for (int i = 0; i < node->params; i++)
    nn__blame(m, node, r.dy, r.y_count, r.dparam[i], m->param[node->param + i].count);
  if (dx && r.dx[k] != dx) nn__copy_border(m, x, n, dx, r.dx[k], 1);
  nn__custom_said(m, node, status, "backward");
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

static int nn__is_loss(nn__kind kind) { return kind >= NN__CROSS_ENTROPY; }
static int nn__is_labelled(nn__kind kind) { return kind == NN__CROSS_ENTROPY; }

/* Labels or targets of a sample that the losses compare with; 0 if none does. */
static size_t nn__compared(const nn_model *m, int labelled)
{
  size_t most = 0;
  for (int i = m->loss; i >= 0 && i < m->nodes; i++) {
    const nn__node *node = &m->node[i];
    const nn_custom_loss *own = node->custom_loss;
    if (node->kind == NN__CUSTOM_LOSS)
      most = nn__max(most, !own ? 0 : (size_t)(labelled ? own->labels : own->values));
    else if (nn__is_labelled(node->kind) == labelled)
      most = nn__max(most, (size_t)node->from + node->rows * (labelled ? 1 : node->cols));
  }
  return most;
}

/* The same, or, where no loss does, what would fit the output. */
static size_t nn__answers_each(const nn_model *m, int labelled)
{
  const nn__node *out = &m->node[m->output];
  const size_t each = nn__compared(m, labelled);
  return each ? each : out->rows * (labelled ? 1 : out->cols);
}

/* A sample's label at a row of `x`, -1 where it is left out. loss: the cross-entropy that reads x,
 * or NULL. */
static int32_t nn__label_at(const nn_model *m, const nn__node *loss, const int32_t *labels,
                            size_t sample, size_t place)
{
  const int32_t label =
      labels[sample * nn__answers_each(m, 1) + (loss ? (size_t)loss->from : 0) + place];
  return loss && label == loss->ignored ? -1 : label;
}

/* Checks that the labels of n samples are classes of `x` or left out, up to each sample's end.
 * only: which samples of the arrays these are; NULL: the first. */
static nn_status nn__check_labels(nn_model *m, const nn__node *x, const nn__node *loss,
                                  const int32_t *labels, const int32_t *only, size_t n,
                                  const int32_t *lengths, const char *who)
{
  for (size_t k = 0; k < n; k++) {
    const size_t i = only ? (size_t)only[k] : k;
    const size_t count = lengths && x->rank == 2 ? nn__steps_of(m, x, (size_t)lengths[i]) : x->rows;
    for (size_t t = 0; t < count; t++) {
      const int32_t label = nn__label_at(m, loss, labels, i, t);
      nn_message also = {{0}};
      if (label >= -1 && label < (int64_t)x->cols) continue;
      if (loss && loss->ignored != -1) nn__words(&also, " or %d", (int)loss->ignored);
      return nn__say(nn__message(m), NN_ERR_ARGUMENT,
                     "%s: label %d of sample %zu is not in 0..%zu (or -1%s)", who, (int)label, i,
                     x->cols - 1, also.text);
    }
  }
  return NN_OK;
}

#ifndef NN_NO_TRAINING

/* What every row of a loss is multiplied by: its weight among all, divided by `total` in a mean. */
static double nn__share(const nn__node *node, double total)
{
  return node->summed ? node->scale : total > 0 ? node->scale / total : 0;
}
static double nn__row_share(const nn__node *node)
{
  return nn__share(node, node->whole > 0 ? node->whole : node->total);
}

static double nn__sample_weight(const nn_batch *b, size_t sample)
{
  return b->weights ? (double)b->weights[sample] : 1;
}

/* Finds what the loss's mean divides by: the sum over the rows that count of the sample's weight,
 * times that of the row's class, or times a row's elements; of the first loss also their number. */
static void nn__loss_total(nn_model *m, nn__node *node, const nn_batch *b)
{
  const nn__node *x = &m->node[node->in[0]];
  const int labelled = nn__is_labelled(node->kind);
  int64_t counted = 0;
  node->total = 0;
  for (size_t i = 0; i < (size_t)b->n && node->kind == NN__CUSTOM_LOSS; i++)
    node->total += nn__sample_weight(b, i), counted++;
  for (size_t r = 0; r < (size_t)b->n * x->rows && node->kind != NN__CUSTOM_LOSS; r++) {
    size_t sample, place;
    nn__row_of(x, (size_t)b->n, r, &sample, &place);
    const int32_t label = labelled ? nn__label_at(m, node, b->labels, sample, place) : 0;
    if (label < 0 || !nn__row_counts(x, sample, place)) continue;
    node->total += nn__sample_weight(b, sample) *
                   (!labelled ? (double)x->cols : node->weights ? (double)node->weights[label] : 1);
    counted++;
  }
  if (node == &m->node[m->loss]) m->loss_rows = counted;
}

/* With p = softmax(x), a row's loss is u [(1-s) w_label (-log p_label) + s/K sum_j w_j (-log p_j)]
 * and adds u [(1-s) w_label (p_j - [j = label]) + s/K (p_j sum_i w_i - w_j)] times the share to d
 * [rows, K], which may be NULL; u: the sample's weight. p goes to scratch. */
static int64_t nn__cross_entropy_loss(nn_model *m, nn__node *node, const nn_batch *b, nn_real *d)
{
  const nn__node *x = &m->node[node->in[0]];
  const size_t n = (size_t)b->n, rows = n * x->rows, classes = x->cols;
  const double s = node->soft, smooth = s / (double)classes, share = nn__row_share(node);
  const nn_real *w = node->weights;
  double all = 0;
  int64_t correct = 0;
  for (size_t j = 0; j < classes; j++) all += w ? (double)w[j] : 1;
  nn__softmax_rows(m, m->scratch, x->y, rows, classes);
  for (size_t r = 0; r < rows; r++) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    const int32_t label = nn__label_at(m, node, b->labels, sample, place);
    if (!nn__row_counts(x, sample, place) || label < 0) continue;
    const nn_real *p = m->scratch + r * classes, *at = x->y + r * classes;
    const double u = nn__sample_weight(b, sample), weight = w ? (double)w[label] : 1;
    const size_t best = nn__greatest(at, classes);
    correct += best == (size_t)label;
    const double log_sum = (double)at[best] - log((double)p[best]); /* p[best] >= 1/K */
    node->sum += u * (1 - s) * weight * (log_sum - (double)at[label]);
    for (size_t j = 0; j < classes && s > 0; j++)
      node->sum += u * smooth * (w ? (double)w[j] : 1) * (log_sum - (double)at[j]);
    if (!d) continue;
    nn_real *to = d + r * classes;
    const nn_real scale = (nn_real)(((1 - s) * weight + smooth * all) * (u * share));
    for (size_t j = 0; j < classes; j++)
      to[j] += p[j] * scale - (nn_real)(smooth * (w ? (double)w[j] : 1) * (u * share));
    to[label] -= (nn_real)((1 - s) * weight * (u * share));
  }
  return correct;
}

/* Finds the first of n samples whose targets for a loss hold what they should not, and gives that
 * value; SIZE_MAX if there is none. `finite`: a number that is no probability, or infinity; else a
 * NaN or infinity. Steps past a sample's end are not looked at. only: as in nn__check_labels. */
static size_t nn__odd_target(nn_model *m, const nn__node *loss, const nn_real *targets,
                             const int32_t *only, size_t n, const int32_t *lengths, int finite,
                             double *value)
{
  const nn__node *x = &m->node[loss->in[0]];
  const size_t each = nn__compared(m, 0);
  for (size_t s = 0; s < n; s++) {
    const size_t i = only ? (size_t)only[s] : s;
    const size_t rows = lengths && x->rank == 2 ? nn__steps_of(m, x, (size_t)lengths[i]) : x->rows;
    for (size_t k = 0; k < rows * x->cols; k++) {
      *value = (double)targets[i * each + (size_t)loss->from + k];
      if (finite ? *value < 0 || *value > 1 : !nn__finite(*value)) return i;
    }
  }
  return SIZE_MAX;
}

/* Whether what n samples are compared with is there and sound. Binary cross-entropy takes
 * probabilities. A NaN passes: the loss becomes one, too, and nn_train says where it is from. who
 * NULL: the loss's name. */
static nn_status nn__check_answers(nn_model *m, const int32_t *labels, const nn_real *targets,
                                   const nn_real *weights, const int32_t *only, size_t n,
                                   const int32_t *lengths, const char *who)
{
  for (int k = m->loss; k < m->nodes; k++) {
    const nn__node *node = &m->node[k], *x = &m->node[node->in[0]];
    const int labelled = nn__is_labelled(node->kind);
    const char *teller = who ? who : node->name;
    nn_status status = NN_OK;
    size_t odd = SIZE_MAX;
    double value = 0;
    const int custom = node->kind == NN__CUSTOM_LOSS;
    const nn_custom_loss *own = custom ? node->custom_loss : NULL;
    if (custom && !own)
      return nn__say(nn__message(m), NN_ERR_STATE, "%s: config.custom_losses has no %s", teller,
                     nn__code(node));
    if (n && !labels && (own ? own->labels > 0 : labelled))
      return nn__say(nn__message(m), NN_ERR_ARGUMENT, "%s: labels are NULL", teller);
    if (n && !targets && (own ? own->values > 0 : !labelled))
      return nn__say(nn__message(m), NN_ERR_ARGUMENT, "%s: values are NULL", teller);
    if (labelled) status = nn__check_labels(m, x, node, labels, only, n, lengths, teller);
    if (status != NN_OK) return status;
    if (node->kind == NN__BINARY_CROSS_ENTROPY)
      odd = nn__odd_target(m, node, targets, only, n, lengths, 1, &value);
    if (odd != SIZE_MAX)
      return nn__say(nn__message(m), NN_ERR_ARGUMENT, "%s: target %g of sample %zu is not in 0..1",
                     teller, value, odd);
  }
  for (size_t s = 0; weights && s < n; s++) {
    const double weight = (double)weights[only ? (size_t)only[s] : s];
    if (!(weight >= 0) || !nn__finite(weight))
      return nn__say(nn__message(m), NN_ERR_ARGUMENT, "%s: weight %g of sample %zu, must be 0 or "
                     "more", who ? who : m->node[m->loss].name, weight, only ? (size_t)only[s] : s);
  }
  return NN_OK;
}

/* The loss of v against the target t in column j, and its derivative; the formulas are nn.h's. Of
 * binary cross-entropy with weight w: d loss/dv = s - t - (w - 1) t (1 - s), s = sigmoid(v). */
static double nn__element_loss(const nn__node *node, double v, double t, size_t j, double *slope)
{
  const double e = v - t, size = fabs(e), delta = node->soft;
  switch (node->kind) {
  case NN__SQUARED_ERROR: *slope = 2 * e; return e * e;
  case NN__ABSOLUTE_ERROR: *slope = e > 0 ? 1 : e < 0 ? -1 : e; return size;
  case NN__HUBER:
    *slope = e > delta ? delta : e < -delta ? -delta : e;
    return size > delta ? delta * (size - delta / 2) : e * e / 2;
  default: {
    const double tail = log1p(exp(-fabs(v)));
    const double more = node->weights ? ((double)node->weights[j] - 1) * t : 0;
    *slope = 1 / (1 + exp(-v)) - t;
    if (node->weights) *slope -= more / (1 + exp(v));
    const double loss = (v < 0 ? 0 : v) - v * t + tail; /* v NaN: passes through */
    return node->weights ? loss + more * (tail + (v < 0 ? -v : 0)) : loss;
  }
  }
}

/* Losses that compare element by element with b->values; adds its derivative to d, or NULL. */
static void nn__value_loss(nn_model *m, nn__node *node, const nn_batch *b, nn_real *d)
{
  const nn__node *x = &m->node[node->in[0]];
  const size_t n = (size_t)b->n, cols = x->cols, each = nn__compared(m, 0);
  const size_t row = x->rank == 3 ? 1 : cols, col = x->rank == 3 ? x->rows : 1; /* of targets */
  const double share = nn__row_share(node);
  for (size_t r = 0; r < n * x->rows; r++) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    if (!nn__row_counts(x, sample, place)) continue;
    const nn_real *t = b->values + sample * each + (size_t)node->from + place * row;
    const double u = nn__sample_weight(b, sample);
    for (size_t j = 0; j < cols; j++) {
      const double v = (double)x->y[r * cols + j];
      double slope;
      node->sum += u * nn__element_loss(node, v, (double)t[j * col], j, &slope);
      if (d) d[r * cols + j] += (nn_real)(slope * (u * share));
    }
  }
}

/* The callback's losses of the samples, and their gradients times weight and share. */
static nn_status nn__custom_objective(nn_model *m, nn__node *node, const nn_batch *b, nn_real *d)
{
  const nn__node *x = &m->node[node->in[0]];
  const size_t n = (size_t)b->n, each = x->rows * x->cols;
  const double share = nn__row_share(node);
  nn_real *room = m->scratch;
  nn_custom_loss_run r;
  memset(&r, 0, sizeof r);
  r.n = b->n, r.rank = x->rank, r.lengths = nn__lengths(m);
  for (int i = 0; i < x->rank; i++) r.dim[i] = x->dim[i];
  r.labels = b->labels, r.values = b->values;
  r.labels_each = nn__answers_each(m, 1), r.values_each = nn__answers_each(m, 0);
  r.x = nn__shown(m, x, n, x->y, &room);
  r.loss = room, r.dx = d ? room + n : NULL;
  for (size_t i = 0; i < n; i++) r.loss[i] = 0;
  if (d) memset(r.dx, 0, n * each * sizeof *d);
  const nn_status status = node->custom_loss->loss(node->custom_loss->user, &r);
  nn__blame(m, node, r.x, n * each, r.loss, n);
  nn__blame(m, node, r.x, n * each, r.dx, n * each);
  if (status != NN_OK) return nn__custom_said(m, node, status, "loss");
  for (size_t i = 0; i < n; i++) {
    const double u = nn__sample_weight(b, i);
    node->sum += u * (double)r.loss[i];
    if (d) NN__DO(m->context.kernels, scale)(r.dx + i * each, (nn_real)(u * share), each);
  }
  if (!d) return NN_OK;
  nn_real *const inside = nn__same_layout(x) ? r.dx : r.dx + n * each;
  if (inside != r.dx) nn__copy_border(m, x, n, inside, r.dx, 1);
  nn__clear_past_ends(x, n, inside);
  NN__DO(m->context.kernels, add)(d, d, inside, n * each);
  return NN_OK;
}

/* The weighted sum of all losses over the calls of nn_loss since nn__tally(m, 1). */
static double nn__tallied(const nn_model *m)
{
  double all = 0;
  for (int i = m->loss; i < m->nodes; i++)
    all += m->node[i].sums * nn__share(&m->node[i], m->node[i].totals);
  return all;
}
static void nn__tally(nn_model *m, int begin)
{
  for (int i = m->loss; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    node->sums = begin ? 0 : node->sums + node->sum;
    node->totals = begin ? 0 : node->totals + node->total;
  }
}
#endif

/* ========================================= @@RNN ===========================================
 * Each layer, for every step t and sample, where W and b_x are weight_ih and bias_ih, U and b_h
 * weight_hh and bias_hh:
 *   rnn   h_t = act(W x_t + b_x + U h_{t-1} + b_h)
 *   lstm  i,f,g,o = sig,sig,tanh,sig of W x_t + b_x + U h_{t-1} + b_h
 *         c_t = f c_{t-1} + i g;   h_t = o tanh(c_t)
 *   gru   r,z = sig(W x_t + b_x + U h_{t-1} + b_h);   u = U h_{t-1} + b_h, the rows of n
 *         n = tanh(W x_t + b_x + r u);                h_t = (1 - z) n + z h_{t-1}
 * Backward, from the last step to the first. dh, the gradient of h_t, is dy_t plus what step t+1
 * hands on; di is that of the sum whose sigmoid is i, and so on:
 *   rnn   ds = dh act'
 *   lstm  dc += dh o (1 - tanh(c_t)^2);   di = dc g i (1 - i);   df = dc c_{t-1} f (1 - f)
 *         dg = dc i (1 - g^2);   do = dh tanh(c_t) o (1 - o);    hands on dc f
 *   gru   dn = dh (1 - z) (1 - n^2);   du = dn r;   dr = dn u r (1 - r)
 *         dz = dh (h_{t-1} - n) z (1 - z);                       hands on dh z
 *   all   hand on U^T ds, ds being the gradients of all sums (for U that of u, for W that of n);
 *         dx_t = W^T ds;   dW += ds x_t^T;   dU += ds h_{t-1}^T;   both biases' += ds
 * Samples are independent of each other, so a thread takes a block of them through all steps and
 * waits for no one: at each step the product and the gates, on rows that are still in its cache.
 * All sums are one product of the joint input [h_{t-1} 1 x_t] with the joint weights
 * [U b_x+b_h W], packed once a call or for good. The columns of `gates` are the gates one after
 * the other, each of h columns rounded up to whole vectors; of a gru first n, without h, then r and
 * z, then u, without x: [b_x W] of n and [U b_h] of u are parts of their own, rounded up to whole
 * panels. Columns past h have weights 0. `gates` and `joint` lie in panels of NR columns over all
 * steps: so a tile writes them, and so the product gates^T joint reads them, which is the gradient
 * of the joint weights once backward has put the gradients of the sums in place of the gates.
 * Training and inspecting keep both arrays of all steps; else each step overwrites the one before.
 * A bidirectional layer is two such walks one after the other: each has weights, joint, gates and c
 * of its own, in the order of its steps, and half of the columns of y. In the second, step t of a
 * sample is the t-th from that sample's own end, so only the rows of x and y move. */
typedef struct nn__gate_sums { /* h columns of `gates` */
  size_t gate;    /* whose they are: their rows of W and U begin at gate h */
  int of_x, of_h; /* whether W x + b_x, and U h + b_h, is in them */
} nn__gate_sums;

typedef struct nn__cell {
  const nn__node *node;
  const nn__kernels *kernels;
  nn__kind kind;
  size_t n, steps, in, h;        /* samples; features of x and of h */
  nn__gate_sums sums[4];
  int sums_count;
  size_t column[5];              /* where each of `sums` begins in `gates`; and behind the last */
  size_t wide, from_h, to_x;     /* columns of gates; those from from_h read h, before to_x x */
  size_t panel;                  /* from one panel of gates or joint to the next, in reals */
  size_t joint_cols, ld;         /* h + 1 + in; and from row to row of the joint gradient */
  size_t block;                  /* samples of one task */
  int relu, first_step_too;      /* h0 may not be zero: step 0 has a product with U, too */
  int given;                     /* another layer gives h0 and c0, and takes their gradients */
  int reverse;                   /* the second direction */
  size_t kept;                   /* n, or 0 if nothing goes back: rows a step of the next three */
  nn_real *joint, *gates, *c;    /* [steps n, joint_cols], [.., wide] in panels; lstm: [.., h] */
  nn_real *h0, *c0;              /* [n, h]; after backward their gradients, if given */
  const nn_real *x;              /* [steps n, in] */
  nn_real *y;                    /* [steps n, h], rows ldy apart; so dy */
  size_t ldy;
  const nn_real *dy;
  nn_real *dh, *dc;              /* [n, h] */
  const nn_real *dh_end, *dc_end; /* of the final state, rows ld_end apart, or NULL */
  size_t ld_end;
  nn_real *dx;                   /* [steps n, in], or NULL */
  nn_real *one_dx;               /* [n, in]: of one step, where it is added to dx */
  const nn_real *packed;         /* forward: the joint weights, part by part */
  const nn_real *packed_u, *packed_w; /* backward: U and W */
} nn__cell;

static size_t nn__gates(nn__kind kind) { return kind == NN__LSTM ? 4 : kind == NN__GRU ? 3 : 1; }

/* Columns of gates; reals of a panel of so many rows: no multiple of a page, for else the panels of
 * a row would meet in the same sets of the cache. */
static size_t nn__cell_wide(const nn__kernels *t, nn__kind kind, size_t h)
{
  const size_t each = nn__round_up(h, t->vw);
  return kind == NN__GRU ? nn__round_up(2 * each, t->nr) + 2 * nn__round_up(h, t->nr)
                         : nn__round_up(nn__gates(kind) * each, t->nr);
}
static size_t nn__cell_panel(const nn__kernels *t, size_t rows) { return rows * t->nr + NN__PAD; }

static size_t nn__cell_joint(const nn__kernels *t, size_t rows, size_t h, size_t in)
{
  return nn__round_up(h + 1 + in, t->nr) / t->nr * nn__cell_panel(t, rows);
}

/* From one row of the joint weights' gradient to the next, in reals. */
static size_t nn__cell_ld(size_t h, size_t in) { return nn__round_up(h + 1 + in, 16); }

static size_t nn__directions(const nn__node *node) { return node->cell.bidirectional ? 2 : 1; }

static size_t nn__state_size(const nn_model *m, const nn__node *node) /* of what it carries */
{
  return (size_t)node->cell.layers * 2 * (size_t)m->config.batch * node->cols;
}

/* Where a sample's state, given from outside or final, has h (k = 0) or c of one direction of a
 * layer: [h, c][layers][directions][hidden]. And its size. */
static size_t nn__state_at(const nn__node *node, size_t k, size_t layer, size_t reverse)
{
  return ((k * (size_t)node->cell.layers + layer) * nn__directions(node) + reverse) *
         (size_t)node->cell.hidden;
}
static size_t nn__state_width(const nn__node *node)
{
  return nn__state_at(node, node->kind == NN__LSTM ? 2 : 1, 0, 0);
}

/* Inputs of the widest layer. */
static size_t nn__cell_in(const nn_model *m, const nn__node *node)
{
  return nn__max(node->cell.layers > 1 ? node->cols : 0, m->node[node->in[0]].cols);
}

/* What one direction of a layer keeps, in reals; in the order joint, gates, c, h0, c0. */
static size_t nn__cell_keep(const nn_model *m, const nn__node *node)
{
  const nn__kernels *t = m->context.kernels;
  const size_t batch = (size_t)m->config.batch, h = (size_t)node->cell.hidden;
  const size_t kept = m->config.inference ? batch : batch * node->rows;
  return nn__cell_joint(t, kept, h, nn__cell_in(m, node)) +
         nn__cell_wide(t, node->kind, h) / t->nr * nn__cell_panel(t, kept) +
         (node->kind == NN__LSTM ? kept * h : 0) + 2 * batch * h;
}

/* What a layer keeps: its directions; below the top its y, and the dropped y. */
static size_t nn__cell_layer_keep(const nn_model *m, const nn__node *node)
{
  const size_t all = (size_t)m->config.batch * node->rows * node->cols;
  const int drops = NN__TRAINS && !m->config.inference && node->cell.dropout > 0;
  const size_t arrays = node->cell.layers == 1 ? 0 : drops ? 2 : 1;
  return nn__directions(node) * nn__cell_keep(m, node) + arrays * all;
}

/* The joint weights of one direction of a layer, packed. */
static size_t nn__cell_packed(const nn_model *m, const nn__node *node, int layer)
{
  const nn__kernels *t = m->context.kernels;
  const size_t h = (size_t)node->cell.hidden;
  const size_t in = layer ? node->cols : m->node[node->in[0]].cols, both = h + 1 + in;
  const size_t wide = nn__cell_wide(t, node->kind, h);
  const size_t alone = node->kind == NN__GRU ? nn__round_up(h, t->nr) : 0;
  return (wide - 2 * alone) * both + alone * (both - h / t->nr * t->nr) + alone * (h + 1);
}

static size_t nn__cell_scratch(const nn_model *m, const nn__node *node)
{
  const size_t batch = (size_t)m->config.batch, h = (size_t)node->cell.hidden;
  const size_t wide = nn__cell_wide(m->context.kernels, node->kind, h);
  const size_t in = nn__cell_in(m, node), ld = nn__cell_ld(h, in), nr = m->context.kernels->nr;
  const size_t lower = node->cell.layers > 1 ? batch * node->rows * node->cols : 0;
  if (nn__packs_once(m)) return 0;
  if (m->config.inference)
    return nn__max(nn__cell_packed(m, node, 0), nn__cell_packed(m, node, node->cell.layers - 1));
  return wide * (ld + nn__round_up(in, nr) + nn__round_up(h, nr)) + batch * (2 * h + in) +
         nn__directions(node) * lower + 64;
}

/* Part 0, 1 or 2 of the joint weights: the columns from .. to of `gates` that read x alone, both, h
 * alone; and the columns k0 .. k1 of `joint` that they read, from a whole panel on. Returns whether
 * there are any. */
typedef struct nn__part {
  size_t from, to, k0, k1;
} nn__part;
static int nn__part_of(const nn__cell *q, int part, nn__part *p)
{
  p->from = part == 0 ? 0 : part == 1 ? q->from_h : q->to_x;
  p->to = part == 0 ? q->from_h : part == 1 ? q->to_x : q->wide;
  p->k0 = part == 0 ? q->h / q->kernels->nr * q->kernels->nr : 0;
  p->k1 = part == 2 ? q->h + 1 : q->joint_cols;
  return p->from < p->to;
}

/* The joint weights for the forward: part by part in panels, straight from the four parameters. */
static void nn__cell_pack(const nn__cell *q, nn_real *to, const nn_real *w, const nn_real *u,
                          const nn_real *b_x, const nn_real *b_h)
{
  const nn__kernels *t = q->kernels;
  const size_t h = q->h, in = q->in, nr = t->nr;
  for (int part = 0; part < 3; part++) {
    nn__part p;
    if (!nn__part_of(q, part, &p)) continue;
    const size_t length = p.k1 - p.k0, one = h - p.k0; /* the row of the biases */
    memset(to, 0, (p.to - p.from) * length * sizeof *to);
    for (int k = 0; k < q->sums_count; k++) {
      const nn__gate_sums *s = &q->sums[k];
      if (q->column[k] < p.from || q->column[k] >= p.to) continue;
      for (size_t j = 0, wide; j < h; j += wide) { /* the gate's columns within a panel */
        const size_t at = q->column[k] + j - p.from, row = s->gate * h + j;
        nn_real *const panel = to + at / nr * length * nr + at % nr;
        wide = nn__min(nr - at % nr, h - j);
        if (s->of_h) NN__DO(t, transpose)(panel, nr, u + row * h, h, wide, h);
        for (size_t i = 0; i < wide; i++)
          panel[one * nr + i] = (s->of_x ? b_x[row + i] : 0) + (s->of_h ? b_h[row + i] : 0);
        if (s->of_x) NN__DO(t, transpose)(panel + (one + 1) * nr, nr, w + row * in, in, wide, in);
      }
    }
    to += (p.to - p.from) * length;
  }
}

/* U, or else W, for the backward: in panels as the right operand of the gradients of the sums. */
static void nn__cell_pack_back(const nn__cell *q, nn_real *to, const nn_real *w, int of_h)
{
  const size_t nr = q->kernels->nr, cols = of_h ? q->h : q->in, first = of_h ? q->from_h : 0;
  const size_t rows = (of_h ? q->wide : q->to_x) - first;
  memset(to, 0, nn__round_up(cols, nr) * rows * sizeof *to);
  for (int k = 0; k < q->sums_count; k++)
    for (size_t j = 0; j < cols && (of_h ? q->sums[k].of_h : q->sums[k].of_x); j += nr)
      NN__DO(q->kernels, pack)(to + j * rows + (q->column[k] - first) * nr,
                               w + q->sums[k].gate * q->h * cols + j, cols, 1, q->h,
                               nn__min(nr, cols - j));
}

static int nn__past_end(const nn__cell *q, size_t t, size_t sample)
{
  return t > nn__last_of(q->node, sample);
}

/* The row of x and y that a sample's step t of the walk has. */
static size_t nn__cell_row(const nn__cell *q, size_t t, size_t sample)
{
  if (q->reverse && !nn__past_end(q, t, sample)) t = nn__last_of(q->node, sample) - t;
  return t * q->n + sample;
}

/* c[rows,n] = finish(A B), where A is k columns of gates or joint, from their first row at `a` on,
 * and B packed weights. c's panels of columns are panel_c apart. */
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
  (void)thread;
  for (size_t t = 0; t < q->steps; t++) {
    const size_t at = t * q->kept + first;
    nn_real *joint = q->joint + at * nr, *gates = q->gates + at * nr;
    for (size_t i = 0; i < rows; i++) {
      const nn_real *before = t ? q->y + nn__cell_row(q, t - 1, first + i) * q->ldy
                                : q->h0 + (first + i) * h;
      const nn_real *x = q->x + nn__cell_row(q, t, first + i) * in;
      NN__DO(k, to_panels)(joint + i * nr, q->panel, 0, before, h);
      joint[i * nr + h / nr * q->panel + h % nr] = 1;
      NN__DO(k, to_panels)(joint + i * nr, q->panel, h + 1, x, in);
    }
    const nn_real *packed = q->packed;
    for (int part = 0; part < 3; part++) {
      nn__part p;
      if (!nn__part_of(q, part, &p)) continue;
      const size_t length = p.k1 - p.k0;
      /* skip U h: h0 is zero at step 0 */
      const size_t start = t || q->first_step_too ? p.k0 : h / nr * nr;
      const nn_real *const from = joint + start / nr * q->panel, *b = packed + (start - p.k0) * nr;
      nn_real *const sums = gates + p.from / nr * q->panel;
      if (q->n == 1)
        NN__DO(k, panels_row)(sums, from, q->panel, b, length * nr, p.k1 - start, p.to - p.from);
      else
        nn__panels_product(q, rows, p.to - p.from, p.k1 - start, from, b, length * nr, sums, nr,
                           q->panel, &nn__overwrite);
      packed += (p.to - p.from) * length;
    }
    for (size_t i = 0; i < rows; i++, gates += nr, joint += nr) {
      nn_real *y = q->y + nn__cell_row(q, t, first + i) * q->ldy;
      if (nn__past_end(q, t, first + i)) {
        memset(y, 0, h * sizeof *y);
      } else if (q->kind == NN__RNN) {
        NN__DO(k, rnn_row)(gates, q->panel, y, h, q->relu);
      } else if (q->kind == NN__LSTM) {
        const nn_real *c = t ? q->c + (at + i - q->kept) * h : q->c0 + (first + i) * h;
        NN__DO(k, lstm_row)(gates, q->panel, q->column, c, q->c + (at + i) * h, y, h);
      } else {
        NN__DO(k, gru_row)(gates, q->panel, q->column, joint, y, h);
      }
    }
  }
}

enum { NN__CELL_ROWS = 40 };

/* The arrays of one direction of a layer inside keep. */
static nn__cell nn__cell_of(nn_model *m, nn__node *node, int layer, size_t reverse, size_t n)
{
  const size_t batch = (size_t)m->config.batch, h = (size_t)node->cell.hidden;
  const size_t kept = m->config.inference ? batch : batch * node->rows;
  nn__cell q;
  memset(&q, 0, sizeof q);
  q.node = node, q.kernels = m->context.kernels, q.kind = node->kind;
  q.n = n, q.steps = node->rows, q.h = h;
  q.in = layer ? node->cols : nn__in(m, node, 0)->cols;
  q.reverse = reverse != 0;
  q.joint_cols = h + 1 + q.in, q.ld = nn__cell_ld(h, q.in);
  q.wide = nn__cell_wide(q.kernels, q.kind, h);
  q.from_h = q.kind == NN__GRU ? nn__round_up(h, q.kernels->nr) : 0;
  q.to_x = q.wide - q.from_h;
  const int gru = q.kind == NN__GRU; /* n, r, z, u; PyTorch's gates are r, z, n */
  q.sums_count = gru ? 4 : (int)nn__gates(q.kind);
  for (int k = 0; k < q.sums_count; k++) {
    const size_t number = (size_t)k, each = nn__round_up(h, q.kernels->vw);
    q.sums[k] = (nn__gate_sums){gru ? (number + 2) % 3 : number, !gru || k < 3, !gru || k > 0};
    q.column[k] = !gru ? number * each : k == 0 ? 0 : k == 3 ? q.to_x
                                                             : q.from_h + (number - 1) * each;
  }
  q.column[q.sums_count] = q.wide;
  q.relu = node->cell.relu, q.given = node->inputs > 1;
  q.first_step_too = node->cell.carry || q.given;
  q.kept = nn__keeps(m) ? n : 0;
  /* blocks whose gates stay in the second-level cache, as many for each thread */
  const size_t work = nn__times(nn__times(n * q.steps, nn__gates(q.kind) * h), q.in + h);
  const size_t threads = work < NN__SERIAL ? 1 : (size_t)m->context.pool.threads;
  const size_t each = (n + threads - 1) / threads;
  const size_t blocks = (each + NN__CELL_ROWS - 1) / NN__CELL_ROWS;
  q.block = work < NN__SERIAL ? n : (each + blocks - 1) / blocks;
  nn_real *const own = node->keep + (size_t)layer * nn__cell_layer_keep(m, node);
  nn_real *at = own + reverse * nn__cell_keep(m, node);
  q.panel = nn__cell_panel(q.kernels, q.kept ? q.steps * n : n);
  q.joint = at, at += nn__cell_joint(q.kernels, kept, h, q.in);
  q.gates = at, at += q.wide / q.kernels->nr * nn__cell_panel(q.kernels, kept);
  if (node->kind == NN__LSTM) q.c = at, at += kept * h;
  q.h0 = at, at += batch * h;
  q.c0 = at;
  at = own + nn__directions(node) * nn__cell_keep(m, node);
  q.y = (layer == node->cell.layers - 1 ? node->y : at) + reverse * h, q.ldy = node->cols;
  return q;
}

/* The first of the four parameters of one direction of a layer. */
static int nn__cell_param(const nn__node *node, int layer, size_t reverse)
{
  return node->param + 4 * (layer * (int)nn__directions(node) + (int)reverse);
}

/* The input of layer `layer`: x, or the output of the layer below (after dropout). */
static const nn_real *nn__cell_input(nn_model *m, nn__node *node, int layer, size_t n)
{
  if (!layer) return nn__in(m, node, 0)->y;
  const nn__cell below = nn__cell_of(m, node, layer - 1, 0, n);
  const size_t all = (size_t)m->config.batch * node->rows;
  return nn__learning(m) && node->cell.dropout > 0 ? below.y + all * node->cols : below.y;
}

/* One direction of a layer. packed: its joint weights, or room for them. */
static void nn__cell_walk(nn_model *m, nn__node *node, int layer, size_t reverse, size_t n,
                          nn_real *packed)
{
  const size_t h = (size_t)node->cell.hidden, batch = (size_t)m->config.batch;
  const int carry = node->cell.carry && !m->fresh, moves = carry && m->training != NN_INSPECTING;
  const int param = nn__cell_param(node, layer, reverse);
  nn_real *state = carry ? node->state + (size_t)layer * 2 * batch * h : NULL;
  nn__cell q = nn__cell_of(m, node, layer, reverse, n);
  if (!node->packed || !m->packed)
    nn__cell_pack(&q, packed, nn__value(m, param), nn__value(m, param + 1),
                  nn__value(m, param + 2), nn__value(m, param + 3));
  q.packed = packed;
  q.x = nn__cell_input(m, node, layer, n);
  for (int k = 0; k < 2; k++) {
    nn_real *start = k ? q.c0 : q.h0;
    const nn__node *given = q.given && (!k || q.c) ? nn__in(m, node, 1) : NULL;
    for (size_t i = 0; given && i < n; i++)
      memcpy(start + i * h, given->y + i * given->cols +
             nn__state_at(node, (size_t)k, (size_t)layer, reverse), h * sizeof *start);
    if (given) continue;
    if (carry && node->state_n == (int)n)
      memcpy(start, state + (size_t)k * batch * h, n * h * sizeof *start);
    else
      memset(start, 0, n * h * sizeof *start);
  }
  nn__parallel(&m->context.pool, (n + q.block - 1) / q.block, nn__cell_forward_task, &q);
  for (size_t i = 0; i < n && (moves || node->final); i++) {
    const size_t last = nn__last_of(node, i);
    const nn_real *end[2] = {q.y + nn__cell_row(&q, last, i) * q.ldy,
                             q.c ? q.c + (last * q.kept + i) * h : NULL};
    const nn__node *final = &m->node[node->final];
    for (size_t k = 0; k < 2 && end[k]; k++) {
      if (moves) memcpy(state + (k * batch + i) * h, end[k], h * sizeof *state);
      if (node->final)
        memcpy(final->y + i * final->cols + nn__state_at(node, k, (size_t)layer, reverse), end[k],
               h * sizeof *state);
    }
  }
}

static void nn__cell_forward(nn_model *m, nn__node *node, size_t n)
{
  const int moves = node->cell.carry && !m->fresh && m->training != NN_INSPECTING;
  if (moves && node->state_n != (int)n) {
    memset(node->state, 0, nn__state_size(m, node) * sizeof *node->state);
    node->state_n = (int)n;
  }
  nn_real *packed = node->packed ? node->packed : m->scratch;
  for (int layer = 0; layer < node->cell.layers; layer++) {
    for (size_t reverse = 0; reverse < nn__directions(node); reverse++) {
      nn__cell_walk(m, node, layer, reverse, n, packed);
      if (node->packed) packed += nn__cell_packed(m, node, layer);
    }
    if (nn__learning(m) && node->cell.dropout > 0 && layer < node->cell.layers - 1) {
      nn_real *const y = nn__cell_of(m, node, layer, 0, n).y;
      nn__drop_out(m, y + (size_t)m->config.batch * node->rows * node->cols, y, node, n,
                   node->cell.dropout, nn__site(m, node, layer));
    }
  }
}

/* Zeroes the columns of one row of `gates` that belong to no gate. The products read them against
 * weights of 0, but forward has made NaNs of them where x was infinite. */
static void nn__clear_gaps(const nn__cell *q, nn_real *gates)
{
  const size_t nr = q->kernels->nr;
  for (int k = 0; k < q->sums_count; k++)
    for (size_t j = q->column[k] + q->h; j < q->column[k + 1]; j++)
      gates[j / nr * q->panel + j % nr] = 0;
}

static void nn__cell_backward_task(void *arg, size_t index, int thread)
{
  const nn__cell *q = arg;
  const nn__kernels *k = q->kernels;
  const size_t h = q->h, nr = k->nr;
  const size_t first = index * q->block, rows = nn__min(q->block, q->n - first);
  nn_real *const dh = q->dh + first * h, *const dc = q->dc + first * h;
  (void)thread;
  memset(dh, 0, rows * h * sizeof *dh);
  memset(dc, 0, rows * h * sizeof *dc);
  for (size_t t = q->steps; t-- > 0;) {
    const size_t row = t * q->n + first;
    nn_real *const gates = q->gates + row * nr;
    for (size_t i = 0; i < rows; i++) {
      const size_t at = row + i;
      nn_real *gi = gates + i * nr, *d = dh + i * h;
      NN__DO(k, add)(d, d, q->dy + nn__cell_row(q, t, first + i) * q->ldy, h);
      if (q->dh_end && t == nn__last_of(q->node, first + i)) {
        NN__DO(k, add)(d, d, q->dh_end + (first + i) * q->ld_end, h);
        if (q->c)
          NN__DO(k, add)(dc + i * h, dc + i * h, q->dc_end + (first + i) * q->ld_end, h);
      }
      if (nn__past_end(q, t, first + i)) {
        for (size_t j = 0; j < q->wide / nr; j++)
          memset(gi + j * q->panel, 0, nr * sizeof *gi);
        memset(d, 0, h * sizeof *d);
      } else if (q->kind == NN__RNN) {
        NN__DO(k, rnn_row_back)(gi, q->panel, d, h, q->relu);
      } else if (q->kind == NN__LSTM) {
        const nn_real *c = t ? q->c + (at - q->n) * h : q->c0 + (first + i) * h;
        NN__DO(k, lstm_row_back)(gi, q->panel, q->column, c, q->c + at * h, d, dc + i * h, h);
      } else {
        NN__DO(k, gru_row_back)(gi, q->panel, q->column, q->joint + at * nr, d, h);
      }
      nn__clear_gaps(q, gi);
    }
    nn_real *const dx = q->reverse ? q->one_dx + first * q->in
                        : q->dx    ? q->dx + row * q->in : NULL;
    if (q->dx)
      nn__panels_product(q, rows, q->in, q->to_x, gates, q->packed_w, q->to_x * nr, dx, q->in,
                         nr, &nn__overwrite);
    for (size_t i = 0; i < rows && q->dx && q->reverse; i++) {
      nn_real *const to = q->dx + nn__cell_row(q, t, first + i) * q->in;
      NN__DO(k, add)(to, to, dx + i * q->in, q->in);
    }
    if (t || q->given)
      nn__panels_product(q, rows, h, q->wide - q->from_h,
                         gates + q->from_h / nr * q->panel, q->packed_u, (q->wide - q->from_h) * nr,
                         dh, h, nr, q->kind == NN__GRU ? &nn__accumulate : &nn__overwrite);
  }
  if (!q->given) return;
  memcpy(q->h0 + first * h, dh, rows * h * sizeof *dh);
  memcpy(q->c0 + first * h, dc, rows * h * sizeof *dc);
}

/* Adds the gradients of the four parameters from `param` on, by way of those of the joint weights,
 * d[wide, ld] = gates^T joint. */
static void nn__cell_gradients(nn_model *m, int param, const nn__cell *q, nn_real *d)
{
  const nn__kernels *k = q->kernels;
  nn_real *dw = nn__grad(m, param), *du = nn__grad(m, param + 1);
  nn_real *db_x = nn__grad(m, param + 2), *db_h = nn__grad(m, param + 3);
  const size_t h = q->h, in = q->in;
  for (int part = 0; part < 3; part++) {
    nn__part p;
    if (!nn__part_of(q, part, &p)) continue;
    const nn__matrix gates = {q->gates + p.from / k->nr * q->panel, 1, k->nr, q->panel};
    const nn__matrix joint = {q->joint + p.k0 / k->nr * q->panel, k->nr, 1, q->panel};
    nn__multiply(&m->context, p.to - p.from, p.k1 - p.k0, q->steps * q->n, gates, joint,
                 d + p.from * q->ld + p.k0, q->ld, &nn__overwrite);
  }
  for (int i = 0; i < q->sums_count; i++) {
    const nn__gate_sums *s = &q->sums[i];
    const nn_real *row = d + q->column[i] * q->ld;
    for (size_t j = s->gate * h; j < (s->gate + 1) * h; j++, row += q->ld) {
      if (s->of_x) NN__DO(k, add)(dw + j * in, dw + j * in, row + h + 1, in), db_x[j] += row[h];
      if (s->of_h) NN__DO(k, add)(du + j * h, du + j * h, row, h), db_h[j] += row[h];
    }
  }
}

/* One direction of a layer: dx, or NULL, from dy; the second adds to what the first wrote there. */
static void nn__cell_walk_back(nn_model *m, nn__node *node, int layer, size_t reverse, size_t n,
                               const nn_real *dy, nn_real *dx, nn_real *scratch)
{
  const size_t h = (size_t)node->cell.hidden, batch = (size_t)m->config.batch;
  const int param = nn__cell_param(node, layer, reverse);
  nn__cell q = nn__cell_of(m, node, layer, reverse, n);
  q.dy = dy + reverse * h, q.dx = dx;
  q.dh = scratch, q.dc = q.dh + batch * h, q.one_dx = q.dc + batch * h;
  const nn__node *final = &m->node[node->final];
  if (node->final && final->started) {
    q.dh_end = final->dy + nn__state_at(node, 0, (size_t)layer, reverse);
    q.dc_end = final->dy + (q.c ? nn__state_at(node, 1, (size_t)layer, reverse) : 0);
    q.ld_end = final->cols;
  }
  nn_real *const joint = q.one_dx + batch * q.in, *const u = joint + q.wide * q.ld;
  nn_real *const w = u + nn__round_up(h, q.kernels->nr) * (q.wide - q.from_h);
  q.packed_u = u, q.packed_w = w;
  nn__cell_pack_back(&q, u, nn__value(m, param + 1), 1);
  if (q.dx) nn__cell_pack_back(&q, w, nn__value(m, param), 0);
  nn__parallel(&m->context.pool, (n + q.block - 1) / q.block, nn__cell_backward_task, &q);
  if (nn__learns(m, node)) nn__cell_gradients(m, param, &q, joint);
}

/* The gradient of a given state, which that of the steps has left behind. */
static void nn__given_state_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const size_t h = (size_t)node->cell.hidden, width = nn__state_width(node);
  for (int layer = 0; layer < node->cell.layers; layer++)
    for (size_t reverse = 0; reverse < nn__directions(node); reverse++) {
      const nn__cell q = nn__cell_of(m, node, layer, reverse, n);
      for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 1 + (size_t)(q.c != NULL); k++)
          memcpy(dx + i * width + nn__state_at(node, k, (size_t)layer, reverse),
                 (k ? q.c0 : q.h0) + i * h, h * sizeof *dx);
    }
}

/* The cell itself writes its final state and takes the gradient of that (nn__cell_walk). */
static void nn__final_state_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const nn__node *x = nn__in(m, node, 0);
  memset(dx, 0, n * x->rows * x->cols * sizeof *dx);
}

static void nn__cell_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  if (node->toward) {
    nn__given_state_backward(m, node, n, dx);
    return;
  }
  /* The gradient of the layer below: a lone direction writes it over dy, step by step; two write
   * where the gradient before the last one was. */
  const size_t all = (size_t)m->config.batch * node->rows * node->cols, both = nn__directions(node);
  nn_real *const lower = m->scratch;
  const nn_real *dy = node->dy;
  for (int layer = node->cell.layers - 1; layer >= 0; layer--) {
    nn_real *const below = layer ? lower + (both > 1 && layer % 2 ? all : 0) : dx;
    for (size_t reverse = 0; reverse < both; reverse++)
      nn__cell_walk_back(m, node, layer, reverse, n, dy, below,
                         lower + (node->cell.layers > 1 ? both * all : 0));
    if (nn__learning(m) && layer && node->cell.dropout > 0)
      nn__drop_out(m, below, below, node, n, node->cell.dropout,
                   nn__site(m, node, layer - 1));
    dy = below;
  }
}

#if NN__DROPS_BACK
#pragma GCC diagnostic pop
#endif

/* ======================================= @@LAYER ===========================================
 * Describing a model: the builder calls check their numbers and infer the shapes. */

enum { NN__MAX_SIZE = 1 << 20, NN__MAX_CELL_LAYERS = 16, NN__MAX_BATCH = 1 << 20 };
enum { NN__MOST_NOTES = 1 << 24 }; /* bytes */

static int nn__is_cell(nn__kind kind)
{
  return kind == NN__RNN || kind == NN__LSTM || kind == NN__GRU;
}
#if !defined NN_NO_TRAINING || !defined NN_NO_INIT
static int nn__is_norm(nn__kind kind)
{
  return kind == NN__BATCH_NORM || kind == NN__LAYER_NORM || kind == NN__GROUP_NORM;
}
#endif
static int nn__is_trained(const nn__node *node)
{
#ifdef NN_NO_TRAINING
  return (void)node, 0;
#else
  const int facts = node->kind == NN__NORMALISE || (node->kind == NN__BATCH_NORM && node->no_bias);
  return node->params && !facts && node->rate > 0;
#endif
}
static int nn__is_input(nn__kind kind) { return kind == NN__INPUT || kind == NN__TOKENS; }

/* An error of a builder: the first sticks to a description, none to a built model. Gives -1, the
 * number of no node. */
static int nn__failed(nn_model *m, nn_status status)
{
  if (m && m->broken == NN_OK) {
    m->status = status;
    if (!m->built) m->broken = status;
  }
  return -1;
}

/* A failure of a built model: recorded, but nothing sticks. m NULL: NN_ERR_ARGUMENT; a description
 * that has failed: its error, which stays. */
static nn_status nn__erred(nn_model *m, nn_status status)
{
  return !m ? NN_ERR_ARGUMENT : m->broken != NN_OK ? m->broken : (m->status = status);
}

#ifdef NN_NO_MESSAGES
#define nn__fail(m, status, ...) (NN__UNSAID(__VA_ARGS__), nn__failed(m, status))
#define nn__error(m, status, ...) (NN__UNSAID(__VA_ARGS__), nn__erred(m, status))
#else
static int nn__fail(nn_model *m, nn_status status, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if (m && m->broken == NN_OK) nn__format(m->message.text, sizeof m->message.text, format, args);
  va_end(args);
  return nn__failed(m, status);
}
static nn_status nn__error(nn_model *m, nn_status status, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if (m && m->broken == NN_OK) nn__format(m->message.text, sizeof m->message.text, format, args);
  va_end(args);
  return nn__erred(m, status);
}
#endif

/* "[32,14,14]" */
typedef struct nn__shape_text {
  char text[48];
} nn__shape_text;
static const char *nn__shape(const nn__node *node, nn__shape_text *to)
{
  nn__text text = {to->text, sizeof to->text, 0};
  for (int i = 0; i < node->rank; i++)
    nn__put_string(&text, i ? "," : "["), nn__put_signed(&text, node->dim[i]);
  nn__put_char(&text, ']');
  to->text[text.used] = 0;
  return to->text;
}

/* Reals that one array may have, so that every size made of a few of them fits size_t. */
static int nn__too_large(size_t reals) { return reals >= SIZE_MAX / sizeof(nn_real) / 64; }

/* Sets a node's shape, at the border and inside, and checks that a batch of it can be counted. */
static int nn__set_shape(nn_model *m, nn__node *node, int rank, int a, int b, int c)
{
  node->rank = (unsigned char)rank;
  node->dim[0] = a, node->dim[1] = b, node->dim[2] = c;
  node->rows = rank == 3 ? nn__times((size_t)b, (size_t)c) : rank == 2 ? (size_t)a : 1;
  node->cols = rank == 2 ? (size_t)b : (size_t)a;
  const size_t each = nn__times(node->rows, node->cols);
  if (nn__too_large(nn__times(each, (size_t)m->config.batch)))
    return nn__fail(m, NN_ERR_LIMIT, "%s: an output of %g numbers for %d samples is too large",
                    node->name, (double)a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1),
                    m->config.batch);
  return 0;
}

/* Puts a name, of so many bytes with its zero, behind those of the nodes so far; NULL and an error
 * where it does not fit. */
static char *nn__keep_name(nn_model *m, const char *name, size_t size)
{
  char *const at = m->names + m->names_used;
  if (size > m->config.names - m->names_used)
    return nn__fail(m, NN_ERR_LIMIT, "%s: config.names = %zu bytes are too few", name,
                    m->config.names), NULL;
  m->names_used += size;
  return memcpy(at, name, size);
}

/* A new node that reads a and b (-1: none), so far in the shape of a; NULL and an error if it
 * cannot be. Its number is only taken when the caller has no complaint: nn__added. */
static nn__node *nn__begin(nn_model *m, const nn__layer *row, int inputs, int a, int b)
{
  const nn__kind kind = row->kind;
  if (!m) return NULL;
  if (m->built) nn__fail(m, NN_ERR_STATE, "%s added after nn_build", row->text);
  if (m->nodes == m->config.most_nodes && !m->built)
    nn__fail(m, NN_ERR_LIMIT, "more than %s = %d layers",
             m->nodes == NN_MAX_NODES ? "NN_MAX_NODES" : "config.most_nodes", m->nodes);
  if (m->built || m->broken != NN_OK) return NULL;
  const int in[2] = {a, b};
  nn__node *node = &m->node[m->nodes];
  memset(node, 0, sizeof *node);
  node->row = row, node->kind = (unsigned char)kind, node->inputs = (unsigned char)inputs;
  node->share = -1, node->param = -1;
#ifndef NN_NO_TRAINING
  node->rate = node->decay = 1;
#endif
  int number = 1;
  for (int i = 0; i < m->nodes; i++) number += m->node[i].kind == kind;
  char text[NN__NAME_ROOM];
  nn__text name;
  for (int taken = 1; taken; number++) { /* nn_name may have given the name to another */
    name.to = text, name.size = sizeof text, name.used = 0;
    nn__put_string(&name, row->text), nn__put_signed(&name, number);
    text[name.used++] = 0, taken = 0;
    for (int i = 0; i < m->nodes; i++) taken |= nn__equal(m->node[i].name, text);
  }
  node->name = nn__keep_name(m, text, name.used);
  if (!node->name) return NULL;
  for (int i = 0; i < inputs; i++) {
    const nn__node *x = in[i] < 0 || in[i] >= m->nodes ? NULL : &m->node[in[i]];
    if (!x)
      nn__fail(m, NN_ERR_ARGUMENT, "%s: its input %d is not a layer of this model", node->name,
               in[i]);
    else if (nn__is_loss(x->kind))
      nn__fail(m, NN_ERR_ARGUMENT, "%s: a loss (%s) cannot be an input", node->name, x->name);
    else if (x->kind == NN__TOKENS && kind != NN__EMBEDDING)
      nn__fail(m, NN_ERR_SHAPE, "%s: the tokens of %s go through nn_embedding first", node->name,
               x->name);
    if (m->broken != NN_OK) return NULL;
    node->in[i] = (int16_t)in[i];
    if (i > 0) continue;
    node->rank = x->rank, node->rows = x->rows, node->cols = x->cols;
    memcpy(node->dim, x->dim, sizeof node->dim);
  }
  if (m->loss >= 0 && !nn__is_loss(kind))
    nn__fail(m, NN_ERR_STATE, "%s: only another loss can follow a loss (%s)", node->name,
             m->node[m->loss].name);
  return m->broken == NN_OK ? node : NULL;
}

static void nn__add_param(nn_model *m, nn__node *node, const char *what, int layer, int rank,
                          size_t a, size_t b, size_t c, size_t d)
{
  if (m->params == m->config.most_params) {
    nn__fail(m, NN_ERR_LIMIT, "%s: more than %s = %d parameter arrays", node->name,
             m->params == NN_MAX_PARAMS ? "NN_MAX_PARAMS" : "config.most_params", m->params);
    return;
  }
  nn__param *p = &m->param[m->params];
  memset(p, 0, sizeof *p);
  const size_t dim[4] = {a, b, c, d};
  p->count = 1;
  for (int i = 0; i < rank; i++) p->dim[i] = (int)dim[i], p->count *= dim[i];
  p->what = what, p->layer = (signed char)layer;
  p->node = (int16_t)m->nodes, p->rank = (unsigned)rank & 7;
  if (node->param < 0) node->param = (int16_t)m->params;
  node->params++;
  m->params++;
}

/* Two arrays of one shape, [cols] or an image's; buffers: not trained. */
static void nn__add_pair(nn_model *m, nn__node *node, const char *first, const char *second,
                         int rank, int buffers)
{
  for (int k = 0; k < 2; k++) {
    nn__add_param(m, node, k ? second : first, -1, rank, node->cols, (size_t)node->dim[1],
                  (size_t)node->dim[2], 1);
    if (m->broken == NN_OK) m->param[m->params - 1].buffer = buffers != 0;
  }
}

/* Takes the node that nn__begin gave and its caller filled in. */
static int nn__added(nn_model *m)
{
  if (m->broken != NN_OK) return -1;
  if (m->loss < 0 && nn__is_loss(m->node[m->nodes].kind)) m->loss = (int16_t)m->nodes;
  return m->nodes++;
}

/* 1 if value is in low..high, else an error. */
static int nn__in_range(nn_model *m, const nn__node *node, const char *what, int value, int low,
                        int high)
{
  if (value >= low && value <= high) return 1;
  return nn__fail(m, value > high && high >= NN__MOST_SHORT ? NN_ERR_LIMIT : NN_ERR_ARGUMENT,
                  "%s: %s is %d, must be %d..%d", node->name, what, value, low, high) > 0;
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

/* A new node on x alone, which has that rank (0: any). */
static nn__node *nn__on(nn_model *m, const nn__layer *row, int x, int rank)
{
  nn__node *node = nn__begin(m, row, 1, x, -1);
  return node && (!rank || nn__rank_is(m, node, rank)) ? node : NULL;
}

/* The shape of an image, or, where the input is a sequence, of h steps. */
static void nn__set_places(nn_model *m, nn__node *node, int channels, int h, int w)
{
  if (node->rank == 2) nn__set_shape(m, node, 2, h, channels, 1);
  else nn__set_shape(m, node, 3, channels, h, w);
}

static int nn__input(nn_model *m, const nn__layer *row, int rank, int a, int b, int c)
{
  nn__node *node = nn__begin(m, row, 0, -1, -1);
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
  if (number >= 0) m->input[m->inputs++] = (int16_t)number;
  return number;
}

int nn_input_image(nn_model *m, int channels, int height, int width)
{
  return nn__input(m, NN__ROW(INPUT), 3, channels, height, width);
}
int nn_input_sequence(nn_model *m, int steps, int features)
{
  return nn__input(m, NN__ROW(INPUT), 2, steps, features, 1);
}
int nn_input_vector(nn_model *m, int features)
{
  return nn__input(m, NN__ROW(INPUT), 1, features, 1, 1);
}
int nn_input_tokens(nn_model *m, int steps)
{
  return nn__input(m, NN__ROW(TOKENS), 1, steps, 1, 1);
}

/* The numbers of a convolution of either sort, or of a pool. */
static int nn__window_in_range(nn_model *m, const nn__node *node, const nn_conv2d_options *o)
{
  if (!o) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name) > 0;
  const int steps = node->rank == 2; /* the names of nn_conv1d_options and nn_pool1d_options */
  const int pools = node->kind == NN__MAX_POOL || node->kind == NN__AVG_POOL;
  const int any = NN__MOST_SHORT, kernel = pools ? NN__MAX_WINDOW : any;
  const struct {
    const char *what;
    int value, low, high;
  } rule[] = {{"out", o->out, 1, NN__MAX_SIZE},
              {steps ? "kernel" : "kernel_h", o->kernel_h, 1, kernel},
              {"kernel_w", o->kernel_w, 1, kernel},
              {steps ? "stride" : "stride_h", o->stride_h, 1, any},
              {"stride_w", o->stride_w, 1, any},
              {steps ? "pad" : "pad_h", o->pad_h, 0, pools ? o->kernel_h / 2 : any},
              {"pad_w", o->pad_w, 0, pools ? o->kernel_w / 2 : any},
              {steps ? "dilation" : "dilation_h", o->dilation_h, 1, any},
              {"dilation_w", o->dilation_w, 1, any}, {"groups", o->groups, 1, any}};
  for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
    if (!nn__in_range(m, node, rule[i].what, rule[i].value, rule[i].low, rule[i].high)) return 0;
  if (node->cols % (size_t)o->groups == 0 && o->out % o->groups == 0) return 1;
  return nn__fail(m, NN_ERR_SHAPE, "%s: groups %d must divide the channels %zu in and %d out",
                  node->name, o->groups, node->cols, o->out) > 0;
}

/* Takes numbers that have been checked; and the numbers again, `out` that of a convolution. */
static void nn__set_window(nn__node *node, const nn_conv2d_options *o)
{
  const nn__window_options window = {
      (uint16_t)o->kernel_h, (uint16_t)o->kernel_w, (uint16_t)o->stride_h, (uint16_t)o->stride_w,
      (uint16_t)o->pad_h, (uint16_t)o->pad_w, (uint16_t)o->dilation_h, (uint16_t)o->dilation_w,
      (uint16_t)o->groups, o->no_bias != 0};
  node->window = window, node->norm = -1;
}
static nn_conv2d_options nn__window_of(const nn__node *node)
{
  const nn__window_options *w = &node->window;
  return (nn_conv2d_options){(int)node->cols, w->kernel_h, w->kernel_w, w->stride_h, w->stride_w,
                             w->pad_h, w->pad_w, w->dilation_h, w->dilation_w, w->groups,
                             w->no_bias};
}

/* Takes a window that slides over an image or, one column wide, over a sequence, and the shape of
 * what it gives, unless it does not fit. */
static int nn__slides(nn_model *m, nn__node *node, const nn_conv2d_options *o, int ceil)
{
  const int h = (int)nn__image_height(node), w = (int)nn__image_width(node);
  const char *const from = m->node[node->in[0]].name;
  nn__shape_text t;
  if (!nn__window_in_range(m, node, o)) return 0;
  const int oh = nn__out_size(h, o->pad_h, o->kernel_h, o->dilation_h, o->stride_h, ceil);
  const int ow = nn__out_size(w, o->pad_w, o->kernel_w, o->dilation_w, o->stride_w, ceil);
  if (node->rank == 2 && (o->kernel_w != 1 || o->stride_w != 1 || o->pad_w || o->dilation_w != 1))
    nn__fail(m, NN_ERR_SHAPE, "%s: a window over steps is one wide", node->name);
  else if (!oh && node->rank == 2)
    nn__fail(m, NN_ERR_SHAPE, "%s: a kernel of %d (dilation %d) does not fit the %d steps of %s "
             "with padding %d", node->name, o->kernel_h, o->dilation_h, h, from, o->pad_h);
  else if (!oh || !ow)
    nn__fail(m, NN_ERR_SHAPE, "%s: a %dx%d kernel (dilation %dx%d) does not fit %s from %s with "
             "padding %dx%d", node->name, o->kernel_h, o->kernel_w, o->dilation_h, o->dilation_w,
             nn__shape(node, &t), from, o->pad_h, o->pad_w);
  else {
    nn__set_window(node, o);
    nn__set_places(m, node, node->kind == NN__CONV2D ? o->out : (int)node->cols, oh, ow);
  }
  return m->broken == NN_OK;
}

/* Whether what a convolution from h x w pixels of c channels to `out` ones packs, pads and spreads
 * out can be counted. */
static int nn__conv_too_large(const nn_conv2d_options *o, size_t h, size_t w, size_t c, size_t out)
{
  const size_t taps = nn__times((size_t)o->kernel_h, (size_t)o->kernel_w);
  const size_t tall = h + 2 * (size_t)o->pad_h, wide = w + 2 * (size_t)o->pad_w;
  return nn__too_large(nn__times(nn__times(taps, c / (size_t)o->groups), 16 * out)) ||
         nn__too_large(nn__times(nn__times(tall, wide), c)) ||
         nn__too_large(nn__times(nn__times(h + tall, w + wide), out));
}

/* Takes a convolution of either sort whose weights are [from, to/groups, window]. */
static int nn__conv_added(nn_model *m, nn__node *node, size_t from, size_t to)
{
  const nn__window_options *o = &node->window;
  nn__add_param(m, node, "weight", -1, node->rank + 1, from, to / (size_t)o->groups,
                (size_t)o->kernel_h, (size_t)o->kernel_w);
  if (!o->no_bias) nn__add_param(m, node, "bias", -1, 1, node->cols, 1, 1, 1);
  return nn__added(m);
}

/* Of an image, or, one column wide, of a sequence. */
static int nn__conv_layer(nn_model *m, int x, int rank, const nn_conv2d_options *o)
{
  nn__node *node = nn__on(m, NN__ROW(CONV2D), x, rank);
  if (!node || !nn__slides(m, node, o, 0)) return -1;
  const nn__node *in = &m->node[x];
  if (nn__conv_too_large(o, nn__image_height(in), nn__image_width(in), in->cols, node->cols))
    return nn__fail(m, NN_ERR_LIMIT, "%s: the convolution is too large", node->name);
  return nn__conv_added(m, node, node->cols, in->cols);
}

int nn_conv2d_with(nn_model *m, int x, const nn_conv2d_options *options)
{
  return nn__conv_layer(m, x, 3, options);
}
nn_conv2d_options nn_conv2d_default(int out, int kernel, int stride, int pad)
{
  const nn_conv2d_options o = {out, kernel, kernel, stride, stride, pad, pad, 1, 1, 1, 0};
  return o;
}

int nn_conv2d(nn_model *m, int x, int out, int kernel, int stride, int pad)
{
  const nn_conv2d_options o = nn_conv2d_default(out, kernel, stride, pad);
  return nn_conv2d_with(m, x, &o);
}
int nn_conv1d_with(nn_model *m, int x, const nn_conv1d_options *p)
{
  if (!p) return nn__conv_layer(m, x, 2, NULL);
  const nn_conv2d_options o = {p->out, p->kernel, 1, p->stride, 1, p->pad, 0, p->dilation, 1,
                               p->groups, p->no_bias};
  return nn__conv_layer(m, x, 2, &o);
}
int nn_conv1d(nn_model *m, int x, int out, int kernel, int stride, int pad)
{
  const nn_conv1d_options o = {out, kernel, stride, pad, 1, 1, 0};
  return nn_conv1d_with(m, x, &o);
}

int nn_conv_transpose2d_with(nn_model *m, int x, const nn_conv2d_options *o, int output_pad_h,
                             int output_pad_w)
{
  nn__node *node = nn__on(m, NN__ROW(CONV_TRANSPOSE), x, 3);
  if (!node || !nn__window_in_range(m, node, o)) return -1;
  const int *const dim = m->node[x].dim;
  const int most_h = o->stride_h > o->dilation_h ? o->stride_h : o->dilation_h;
  const int most_w = o->stride_w > o->dilation_w ? o->stride_w : o->dilation_w;
  if (!nn__in_range(m, node, "output_pad_h", output_pad_h, 0, most_h - 1) ||
      !nn__in_range(m, node, "output_pad_w", output_pad_w, 0, most_w - 1))
    return -1;
  const double h = (dim[1] - 1.0) * o->stride_h - 2.0 * o->pad_h +
                   (double)o->dilation_h * (o->kernel_h - 1) + output_pad_h + 1;
  const double w = (dim[2] - 1.0) * o->stride_w - 2.0 * o->pad_w +
                   (double)o->dilation_w * (o->kernel_w - 1) + output_pad_w + 1;
  if (!(h >= 1 && w >= 1))
    return nn__fail(m, NN_ERR_SHAPE, "%s: padding %dx%d leaves an image of %g x %g", node->name,
                    o->pad_h, o->pad_w, h, w);
  if (h > NN__MAX_SIZE || w > NN__MAX_SIZE ||
      nn__conv_too_large(o, (size_t)h, (size_t)w, (size_t)o->out, (size_t)dim[0]))
    return nn__fail(m, NN_ERR_LIMIT, "%s: the convolution is too large", node->name);
  nn__set_window(node, o);
  node->output_pad_h = (uint16_t)output_pad_h, node->output_pad_w = (uint16_t)output_pad_w;
  nn__set_shape(m, node, 3, o->out, (int)h, (int)w);
  return nn__conv_added(m, node, (size_t)dim[0], node->cols);
}
int nn_conv_transpose2d(nn_model *m, int x, int out, int kernel, int stride, int pad)
{
  const nn_conv2d_options o = nn_conv2d_default(out, kernel, stride, pad);
  return nn_conv_transpose2d_with(m, x, &o, 0, 0);
}

static int nn__linear(nn_model *m, int x, int out, int no_bias)
{
  nn__node *node = nn__on(m, NN__ROW(LINEAR), x, 0);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  nn__shape_text t;
  if (in->rank == 3)
    return nn__fail(m, NN_ERR_SHAPE, "%s: needs a vector or a sequence but %s gives %s (nn_flatten "
                    "first?)", node->name, in->name, nn__shape(in, &t));
  if (!nn__in_range(m, node, "out", out, 1, NN__MAX_SIZE)) return -1;
  if (nn__too_large(nn__times(in->cols, (size_t)out)))
    return nn__fail(m, NN_ERR_LIMIT, "%s: %zu x %d weights are too many", node->name, in->cols,
                    out);
  node->size = out;
  node->no_bias = no_bias != 0;
  nn__set_shape(m, node, in->rank, in->rank == 2 ? in->dim[0] : out, in->rank == 2 ? out : 1, 1);
  nn__add_param(m, node, "weight", -1, 2, node->cols, in->cols, 1, 1);
  if (!no_bias) nn__add_param(m, node, "bias", -1, 1, node->cols, 1, 1, 1);
  return nn__added(m);
}
int nn_linear(nn_model *m, int x, int out) { return nn__linear(m, x, out, 0); }
int nn_linear_no_bias(nn_model *m, int x, int out) { return nn__linear(m, x, out, 1); }

/* Of an image, or, one column wide, of a sequence. */
static int nn__pool_layer(nn_model *m, const nn__layer *row, int x, int rank,
                          const nn_pool2d_options *o)
{
  nn__node *node = nn__on(m, row, x, rank);
  if (!node) return -1;
  if (!o) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name);
  if (o->exclude_pad && row->kind == NN__MAX_POOL)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: exclude_pad is of average pools alone", node->name);
  const nn_conv2d_options window = {1, o->kernel_h, o->kernel_w, o->stride_h, o->stride_w,
                                    o->pad_h, o->pad_w, 1, 1, 1, 0};
  if (!nn__slides(m, node, &window, o->ceil)) return -1;
  node->ceil = o->ceil != 0, node->exclude_pad = o->exclude_pad != 0;
  return nn__added(m);
}
static int nn__pool1d(nn_model *m, const nn__layer *row, int x, const nn_pool1d_options *p)
{
  if (!p) return nn__pool_layer(m, row, x, 2, NULL);
  const nn_pool2d_options o = {p->kernel, 1, p->stride, 1, p->pad, 0, p->ceil, p->exclude_pad};
  return nn__pool_layer(m, row, x, 2, &o);
}
/* nn_max_pool1d_with, nn_max_pool1d, nn_max_pool2d_with, nn_max_pool2d; and those of the mean. */
#define NN__POOL(name, row)                                                                       \
  int nn_##name##1d_with(nn_model *m, int x, const nn_pool1d_options *options)                    \
  {                                                                                               \
    return nn__pool1d(m, NN__ROW(row), x, options);                                               \
  }                                                                                               \
  int nn_##name##1d(nn_model *m, int x, int kernel, int stride, int pad)                          \
  {                                                                                               \
    const nn_pool1d_options o = {kernel, stride, pad, 0, 0};                                      \
    return nn__pool1d(m, NN__ROW(row), x, &o);                                                    \
  }                                                                                               \
  int nn_##name##2d_with(nn_model *m, int x, const nn_pool2d_options *options)                    \
  {                                                                                               \
    return nn__pool_layer(m, NN__ROW(row), x, 3, options);                                        \
  }                                                                                               \
  int nn_##name##2d(nn_model *m, int x, int kernel, int stride, int pad)                          \
  {                                                                                               \
    const nn_pool2d_options o = {kernel, kernel, stride, stride, pad, pad, 0, 0};                 \
    return nn__pool_layer(m, NN__ROW(row), x, 3, &o);                                             \
  }
NN__POOL(max_pool, MAX_POOL)
NN__POOL(avg_pool, AVG_POOL)

/* Of an image, or, one column wide, of a sequence. */
static int nn__adaptive(nn_model *m, int x, int rank, int height, int width)
{
  nn__node *node = nn__on(m, NN__ROW(AVG_POOL), x, rank);
  if (!node || !nn__in_range(m, node, rank == 2 ? "steps" : "height", height, 1, NN__MOST_SHORT) ||
      !nn__in_range(m, node, "width", width, 1, rank == 2 ? 1 : NN__MOST_SHORT))
    return -1;
  if (nn__times(nn__image_height(node) + 1, (size_t)height) == SIZE_MAX ||
      nn__times(nn__image_width(node) + 1, (size_t)width) == SIZE_MAX) /* see nn__window */
    return nn__fail(m, NN_ERR_LIMIT, "%s: the pooling is too large", node->name);
  const nn_conv2d_options window = {1, height, width, 0, 0, 0, 0, 1, 1, 1, 0};
  nn__set_window(node, &window); /* stride 0, see nn__window; the kernel is the output's size */
  nn__set_places(m, node, (int)node->cols, height, width);
  return nn__added(m);
}
int nn_adaptive_avg_pool2d(nn_model *m, int x, int height, int width)
{
  return nn__adaptive(m, x, 3, height, width);
}
int nn_adaptive_avg_pool1d(nn_model *m, int x, int steps)
{
  return nn__adaptive(m, x, 2, steps, 1);
}

static int nn__global_pool(nn_model *m, const nn__layer *row, int x)
{
  nn__node *node = nn__begin(m, row, 1, x, -1);
  if (!node || (m->node[x].rank == 1 && !nn__rank_is(m, node, 3))) return -1;
  nn__set_shape(m, node, 1, (int)m->node[x].cols, 1, 1);
  return nn__added(m);
}
int nn_global_max_pool(nn_model *m, int x) { return nn__global_pool(m, NN__ROW(GLOBAL_MAX), x); }
int nn_global_avg_pool(nn_model *m, int x) { return nn__global_pool(m, NN__ROW(GLOBAL_AVG), x); }

/* A layer that keeps its input's shape; and one that two numbers describe. */
static int nn__same(nn_model *m, const nn__layer *row, int x)
{
  return nn__on(m, row, x, 0) ? nn__added(m) : -1;
}
static int nn__same_with(nn_model *m, const nn__layer *row, int x, double value, double second)
{
  nn__node *node = nn__on(m, row, x, 0);
  if (!node) return -1;
  const nn_real low = (nn_real)value, high = (nn_real)second; /* a float may be infinite */
  if ((row->kind == NN__DROPOUT || row->kind == NN__DROP_CHANNELS) && !nn__is_share(value, 0))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: rate is %g, must be 0 <= rate < 1", node->name, value);
  if (!nn__finite((double)low) || !nn__finite((double)high))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: its number %g is not finite", node->name,
                    nn__finite((double)low) ? second : value);
  if (row->kind == NN__CLAMP && !(low < high))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: the lower limit %g is not below the upper one %g",
                    node->name, value, second);
  node->value = value, node->second = second;
  return nn__added(m);
}
int nn_relu(nn_model *m, int x) { return nn__same(m, NN__ROW(RELU), x); }
int nn_gelu(nn_model *m, int x) { return nn__same(m, NN__ROW(GELU), x); }
int nn_silu(nn_model *m, int x) { return nn__same(m, NN__ROW(SILU), x); }
int nn_softplus(nn_model *m, int x) { return nn__same(m, NN__ROW(SOFTPLUS), x); }
int nn_hard_sigmoid(nn_model *m, int x) { return nn__same(m, NN__ROW(HARD_SIGMOID), x); }
int nn_hard_swish(nn_model *m, int x) { return nn__same(m, NN__ROW(HARD_SWISH), x); }
int nn_tanh(nn_model *m, int x) { return nn__same(m, NN__ROW(TANH), x); }
int nn_sigmoid(nn_model *m, int x) { return nn__same(m, NN__ROW(SIGMOID), x); }
int nn_softmax(nn_model *m, int x) { return nn__same(m, NN__ROW(SOFTMAX), x); }

static const nn_norm_options nn__usual_norm = {1e-5, .1, 1, 0, 0};
static int nn__norm_layer(nn_model *m, const nn__layer *row, int x, const nn_norm_options *o)
{
  nn__node *node = nn__on(m, row, x, 0);
  if (!node) return -1;
  const int batch = row->kind == NN__BATCH_NORM, groups = row->kind == NN__GROUP_NORM;
  if (!o) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name);
  const nn_real eps = (nn_real)o->eps; /* a float may be 0, infinite or flushed to 0 */
  if (!(eps > 0) || !nn__finite(o->eps) ||
      (!NN__DOUBLE && (eps < 1.1754943e-38f || eps > 3e38f)))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: eps is %g, must be above 0 as a float", node->name,
                    o->eps);
  if (o->frozen && !batch)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: frozen is of batch norm alone", node->name);
  const nn_real momentum = (nn_real)o->momentum;
  if (batch && !o->frozen && !nn__is_share(o->momentum, 1))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: momentum is %g, must be 0..1", node->name,
                    o->momentum);
  if (!(batch && !o->frozen) && momentum != 0 && momentum != (nn_real)nn__usual_norm.momentum)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: momentum is %g, but no running statistics move (0, or "
                    "the default, %g)", node->name, o->momentum, nn__usual_norm.momentum);
  if (groups && !nn__in_range(m, node, "groups", o->groups, 1, NN__MAX_SIZE)) return -1;
  if (!groups && o->groups != 0 && o->groups != nn__usual_norm.groups)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: groups is %d, but of group norm alone (0 or 1 "
                    "elsewhere)", node->name, o->groups);
  if (groups && node->cols % (size_t)o->groups)
    return nn__fail(m, NN_ERR_SHAPE, "%s: groups %d must divide the channels %zu", node->name,
                    o->groups, node->cols);
  node->value = o->eps, node->second = o->momentum, node->no_bias = o->no_affine != 0;
  node->size = groups ? o->groups : 1;
  node->frozen = o->frozen != 0;
  const int all = row->kind == NN__LAYER_NORM && node->rank == 3;
  if (!o->no_affine) nn__add_pair(m, node, "weight", "bias", all ? 3 : 1, 0);
  if (batch) nn__add_pair(m, node, "running_mean", "running_var", 1, 1);
  return nn__added(m);
}
int nn_batch_norm_with(nn_model *m, int x, const nn_norm_options *options)
{
  return nn__norm_layer(m, NN__ROW(BATCH_NORM), x, options);
}
int nn_layer_norm_with(nn_model *m, int x, const nn_norm_options *options)
{
  return nn__norm_layer(m, NN__ROW(LAYER_NORM), x, options);
}
int nn_group_norm_with(nn_model *m, int x, const nn_norm_options *options)
{
  return nn__norm_layer(m, NN__ROW(GROUP_NORM), x, options);
}
int nn_batch_norm(nn_model *m, int x) { return nn_batch_norm_with(m, x, &nn__usual_norm); }
int nn_layer_norm(nn_model *m, int x) { return nn_layer_norm_with(m, x, &nn__usual_norm); }
int nn_group_norm(nn_model *m, int x, int groups)
{
  nn_norm_options o = nn__usual_norm;
  o.groups = groups;
  return nn_group_norm_with(m, x, &o);
}
int nn_instance_norm(nn_model *m, int x)
{
  nn_norm_options o = nn__usual_norm;
  o.groups = m && x >= 0 && x < m->nodes ? (int)m->node[x].cols : 1, o.no_affine = 1;
  return nn_group_norm_with(m, x, &o);
}

int nn_prelu(nn_model *m, int x, int by_channel)
{
  nn__node *node = nn__on(m, NN__ROW(PRELU), x, 0);
  if (!node) return -1;
  node->size = by_channel ? (int)node->cols : 1;
  nn__add_param(m, node, "weight", -1, 1, (size_t)node->size, 1, 1, 1);
  return nn__added(m);
}

/* mean NULL: for the file's own numbers. */
static int nn__normalise_layer(nn_model *m, int x, const nn_real *mean, const nn_real *scale)
{
  nn__node *node = nn__on(m, NN__ROW(NORMALISE), x, 0);
  if (!node) return -1;
  for (size_t i = 0; mean && i < node->cols; i++)
    if (!nn__finite((double)mean[i]) || !nn__finite((double)scale[i]))
      return nn__fail(m, NN_ERR_ARGUMENT, "%s: mean %g or scale %g of channel %zu is not finite",
                      node->name, (double)mean[i], (double)scale[i], i);
  node->constants[0] = mean, node->constants[1] = scale;
  nn__add_pair(m, node, "mean", "scale", 1, 1);
  return nn__added(m);
}
int nn_normalise(nn_model *m, int x, const nn_real *mean, const nn_real *scale)
{
  if (!mean || !scale)
    return nn__fail(m, NN_ERR_ARGUMENT, "nn_normalise: %s is NULL", mean ? "scale" : "mean");
  return nn__normalise_layer(m, x, mean, scale);
}

int nn_leaky_relu(nn_model *m, int x, double slope)
{
  return nn__same_with(m, NN__ROW(LEAKY_RELU), x, slope, 0);
}
int nn_elu(nn_model *m, int x, double alpha) { return nn__same_with(m, NN__ROW(ELU), x, alpha, 0); }
int nn_clamp(nn_model *m, int x, double low, double high)
{
  return nn__same_with(m, NN__ROW(CLAMP), x, low, high);
}
int nn_dropout_channels(nn_model *m, int x, double rate)
{
  return nn__same_with(m, NN__ROW(DROP_CHANNELS), x, rate, 0);
}
int nn_dropout(nn_model *m, int x, double rate)
{
  return nn__same_with(m, NN__ROW(DROPOUT), x, rate, 0);
}

int nn_flatten(nn_model *m, int x)
{
  nn__node *node = nn__on(m, NN__ROW(FLATTEN), x, 0);
  if (!node) return -1;
  const size_t each = nn__times(node->rows, node->cols);
  if (each > INT_MAX)
    return nn__fail(m, NN_ERR_LIMIT, "%s: %g numbers are too many", node->name, (double)each);
  nn__set_shape(m, node, 1, (int)each, 1, 1);
  return nn__added(m);
}

int nn_reshape(nn_model *m, int x, int rank, const int *dim)
{
  nn__node *node = nn__on(m, NN__ROW(RESHAPE), x, 0);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  if (!dim) return nn__fail(m, NN_ERR_ARGUMENT, "%s: the sizes are NULL", node->name);
  if (!nn__in_range(m, node, "the rank", rank, 1, 3)) return -1;
  int size[3] = {1, 1, 1};
  for (int i = 0; i < rank; i++)
    if (!nn__in_range(m, node, "a size", size[i] = dim[i], 1, rank > 1 ? NN__MAX_SIZE : INT_MAX))
      return -1;
  const size_t each = nn__times(in->rows, in->cols);
  const size_t wanted = nn__times(nn__times((size_t)size[0], (size_t)size[1]), (size_t)size[2]);
  nn__shape_text t;
  if (wanted != each)
    return nn__fail(m, NN_ERR_SHAPE, "%s: %g numbers of %s%s cannot be %g", node->name,
                    (double)each, in->name, nn__shape(in, &t),
                    (double)size[0] * size[1] * size[2]);
  nn__set_shape(m, node, rank, size[0], size[1], size[2]);
  return nn__added(m);
}

int nn_image_to_sequence(nn_model *m, int x, int columns)
{
  nn__node *node = nn__on(m, NN__ROW(TO_SEQUENCE), x, 3);
  if (!node) return -1;
  const int *const dim = m->node[x].dim;
  const double wide = (double)dim[0] * dim[columns ? 1 : 2];
  if (wide > INT_MAX)
    return nn__fail(m, NN_ERR_LIMIT, "%s: %g features are too many", node->name, wide);
  node->axis = columns != 0;
  nn__set_shape(m, node, 2, dim[columns ? 2 : 1], (int)wide, 1);
  return nn__added(m);
}

int nn_sequence_to_image(nn_model *m, int x, int channels, int columns)
{
  nn__node *node = nn__on(m, NN__ROW(TO_IMAGE), x, 2);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  if (!nn__in_range(m, node, "channels", channels, 1, INT_MAX)) return -1;
  if (in->dim[1] % channels)
    return nn__fail(m, NN_ERR_SHAPE, "%s: %d channels do not divide the %d features of %s",
                    node->name, channels, in->dim[1], in->name);
  const int steps = in->dim[0], each = in->dim[1] / channels;
  if (!nn__in_range(m, node, columns ? "height" : "width", each, 1, NN__MAX_SIZE)) return -1;
  node->axis = columns != 0;
  nn__set_shape(m, node, 3, channels, columns ? each : steps, columns ? steps : each);
  return nn__added(m);
}

int nn_slice(nn_model *m, int x, int axis, int begin, int count)
{
  nn__node *node = nn__on(m, NN__ROW(SLICE), x, 0);
  if (!node || !nn__in_range(m, node, "axis", axis, 0, node->rank - 1) ||
      !nn__in_range(m, node, "begin", begin, 0, node->dim[axis] - 1) ||
      !nn__in_range(m, node, "count", count, 1, node->dim[axis] - begin))
    return -1;
  node->axis = axis, node->begin = begin, node->dim[axis] = count;
  nn__set_shape(m, node, node->rank, node->dim[0], node->dim[1], node->dim[2]);
  return nn__added(m);
}

/* One of two: of the same shape, or, for `rows`, b one number for each channel or feature of a. */
static int nn__joined(nn_model *m, const nn__layer *row, int a, int b, int rows)
{
  nn__node *node = nn__begin(m, row, 2, a, b);
  if (!node) return -1;
  const nn__node *x = &m->node[a], *y = &m->node[b];
  nn__shape_text s, t;
  if (!(rows && y->rank == 1 && y->cols == x->cols) &&
      (x->rank != y->rank || memcmp(x->dim, y->dim, sizeof x->dim)))
    return nn__fail(m, NN_ERR_SHAPE, "%s: %s gives %s but %s gives %s", node->name, x->name,
                    nn__shape(x, &s), y->name, nn__shape(y, &t));
  return nn__added(m);
}
int nn_add(nn_model *m, int a, int b) { return nn__joined(m, NN__ROW(ADD), a, b, 0); }
int nn_multiply(nn_model *m, int a, int b) { return nn__joined(m, NN__ROW(MULTIPLY), a, b, 1); }

int nn_concat_along(nn_model *m, int a, int b, int axis)
{
  const int rank = m && a >= 0 && a < m->nodes ? m->node[a].rank : 0;
  const int columns = rank == 2; /* the axis of channels or features */
  nn__node *node = nn__begin(m, axis == columns ? NN__ROW(CONCAT) : NN__ROW(JOIN), 2, a, b);
  if (!node || !nn__in_range(m, node, "axis", axis, 0, rank - 1)) return -1;
  const nn__node *x = &m->node[a], *y = &m->node[b];
  nn__shape_text s, t;
  const int64_t most = axis == columns ? INT_MAX : NN__MAX_SIZE;
  int fits = x->rank == y->rank && (int64_t)x->dim[axis] + y->dim[axis] <= most;
  for (int i = 0; i < 3; i++) fits = fits && (i == axis || x->dim[i] == y->dim[i]);
  if (!fits)
    return nn__fail(m, NN_ERR_SHAPE,
                    "%s: %s gives %s and %s gives %s, which do not lie side by side", node->name,
                    x->name, nn__shape(x, &s), y->name, nn__shape(y, &t));
  node->axis = axis, node->dim[axis] += y->dim[axis];
  nn__set_shape(m, node, rank, node->dim[0], node->dim[1], node->dim[2]);
  return nn__added(m);
}

int nn_concat(nn_model *m, int a, int b)
{
  return nn_concat_along(m, a, b, m && a >= 0 && a < m->nodes && m->node[a].rank == 2);
}

int nn_embedding(nn_model *m, int x, int vocabulary, int width)
{
  nn__node *node = nn__on(m, NN__ROW(EMBEDDING), x, 0);
  if (!node) return -1;
  if (m->node[x].kind != NN__TOKENS)
    return nn__fail(m, NN_ERR_SHAPE, "%s: needs nn_input_tokens but reads %s", node->name,
                    m->node[x].name);
  if (!nn__in_range(m, node, "vocabulary", vocabulary, 1, 1 << 24) || /* whole in float32 */
      !nn__in_range(m, node, "width", width, 1, NN__MAX_SIZE))
    return -1;
  if (nn__too_large(nn__times((size_t)vocabulary, (size_t)width)))
    return nn__fail(m, NN_ERR_LIMIT, "%s: %d x %d weights are too many", node->name, vocabulary,
                    width);
  node->size = vocabulary;
  nn__set_shape(m, node, 2, m->node[x].dim[0], width, 1);
  nn__add_param(m, node, "weight", -1, 2, (size_t)vocabulary, (size_t)width, 1, 1);
  return nn__added(m);
}

/* state: the node that gives the initial state, or -1. */
static int nn__cell_layer(nn_model *m, const nn__layer *row, int x, int state,
                          const nn_recurrent_options *options)
{
  nn__node *node = nn__begin(m, row, state < 0 ? 1 : 2, x, state);
  if (!node || !nn__rank_is(m, node, 2)) return -1;
  if (!options) return nn__fail(m, NN_ERR_ARGUMENT, "%s: options are NULL", node->name);
  const int layers = options->layers ? options->layers : 1;
  if (options->relu && row->kind != NN__RNN)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: relu is of nn_rnn_with alone", node->name);
  const nn__node *in = &m->node[x];
  if (!nn__in_range(m, node, "hidden", options->hidden, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "layers", layers, 1, NN__MAX_CELL_LAYERS))
    return -1;
  node->cell = (nn__cell_options){options->dropout, options->hidden, (unsigned char)layers,
                                  options->relu != 0, options->carry != 0,
                                  options->bidirectional != 0};
  if (!nn__is_share(options->dropout, 0))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: dropout is %g, must be 0 <= rate < 1", node->name,
                    options->dropout);
  if (node->cell.carry && node->cell.bidirectional)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: carry and bidirectional exclude each other: the "
                    "second direction begins at the end, which is still to come", node->name);
  const size_t both = nn__directions(node), hidden = (size_t)options->hidden;
  const size_t all = nn__times((size_t)m->config.batch, in->rows), wide = both * hidden;
  if (nn__too_large(nn__times(4 * hidden, in->cols)) ||
      nn__too_large(nn__times(16 * hidden, wide)) ||
      nn__too_large(nn__times(all, 8 * wide * (size_t)node->cell.layers)))
    return nn__fail(m, NN_ERR_LIMIT, "%s: the cell is too large", node->name);
  const nn__node *given = state < 0 ? NULL : &m->node[state];
  nn__shape_text t;
  if (given && node->cell.carry)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: carry and a state from %s exclude each other",
                    node->name, given->name);
  if (given && (given->rank != 1 || given->cols != nn__state_width(node)))
    return nn__fail(m, NN_ERR_SHAPE, "%s: needs a state [%zu]%s but %s gives %s", node->name,
                    nn__state_width(node), row->kind == NN__LSTM ? ", h and then c," : "",
                    given->name, nn__shape(given, &t));
  nn__set_shape(m, node, 2, in->dim[0], (int)wide, 1);
  const size_t sums = nn__gates(row->kind) * hidden;
  for (int k = 0; k < node->cell.layers * (int)both && m->broken == NN_OK; k++) {
    const size_t from = k < (int)both ? in->cols : node->cols;
    nn__add_param(m, node, "weight_ih", k, 2, sums, from, 1, 1);
    nn__add_param(m, node, "weight_hh", k, 2, sums, hidden, 1, 1);
    nn__add_param(m, node, "bias_ih", k, 1, sums, 1, 1, 1);
    nn__add_param(m, node, "bias_hh", k, 1, sums, 1, 1, 1);
  }
  return nn__added(m);
}
/* With a state, where -1 is no node. */
static int nn__cell_from(nn_model *m, const nn__layer *row, int x, int state,
                         const nn_recurrent_options *options)
{
  if (state < 0) return nn__fail(m, NN_ERR_ARGUMENT, "%s: no node %d gives its state",
                                 nn__kind_text[row->kind], state);
  return nn__cell_layer(m, row, x, state, options);
}
/* nn_rnn_with, nn_rnn_from, nn_rnn; likewise nn_lstm_with, .. */
#define NN__CELL(name, row)                                                                       \
  int nn_##name##_with(nn_model *m, int x, const nn_recurrent_options *options)                   \
  {                                                                                               \
    return nn__cell_layer(m, NN__ROW(row), x, -1, options);                                       \
  }                                                                                               \
  int nn_##name##_from(nn_model *m, int x, int state, const nn_recurrent_options *options)        \
  {                                                                                               \
    return nn__cell_from(m, NN__ROW(row), x, state, options);                                     \
  }                                                                                               \
  int nn_##name(nn_model *m, int x, int hidden)                                                   \
  {                                                                                               \
    const nn_recurrent_options o = {hidden, 1, 0, 0, 0, 0};                                       \
    return nn__cell_layer(m, NN__ROW(row), x, -1, &o);                                            \
  }
NN__CELL(rnn, RNN)
NN__CELL(lstm, LSTM)
NN__CELL(gru, GRU)

int nn_final_state(nn_model *m, int x)
{
  nn__node *node = nn__on(m, NN__ROW(FINAL_STATE), x, 0);
  if (!node) return -1;
  nn__node *cell = &m->node[x];
  if (!nn__is_cell(cell->kind))
    return nn__fail(m, NN_ERR_SHAPE, "%s: %s is no rnn, lstm or gru", node->name, cell->name);
  if (cell->final)
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: %s already gives the state of %s", node->name,
                    m->node[cell->final].name, cell->name);
  nn__set_shape(m, node, 1, (int)nn__state_width(cell), 1, 1);
  const int number = nn__added(m);
  cell->final = (int16_t)number;
  return number;
}

int nn_last_step(nn_model *m, int x)
{
  nn__node *node = nn__on(m, NN__ROW(LAST_STEP), x, 2);
  if (!node) return -1;
  nn__set_shape(m, node, 1, node->dim[1], 1, 1);
  return nn__added(m);
}

int nn_reverse(nn_model *m, int x) { return nn__on(m, NN__ROW(REVERSE), x, 2) ? nn__added(m) : -1; }

static int nn__pad(nn_model *m, int x, int rank, int top, int bottom, int left, int right)
{
  nn__node *node = nn__on(m, NN__ROW(PADDED), x, rank);
  if (!node) return -1;
  const int h = (int)nn__image_height(node), w = (int)nn__image_width(node);
  const int beside = rank == 2 ? 0 : NN__MOST_SHORT;
  if (!nn__in_range(m, node, "top", top, 0, NN__MOST_SHORT) ||
      !nn__in_range(m, node, "bottom", bottom, 0, NN__MOST_SHORT) ||
      !nn__in_range(m, node, "left", left, 0, beside) ||
      !nn__in_range(m, node, "right", right, 0, beside) ||
      !nn__in_range(m, node, "height", h + top + bottom, 1, NN__MAX_SIZE) ||
      !nn__in_range(m, node, "width", w + left + right, 1, NN__MAX_SIZE))
    return -1;
  /* a window has no other names */
  const nn_conv2d_options window = {1, bottom, right, 0, 0, top, left, 0, 0, 0, 0};
  nn__set_window(node, &window);
  nn__set_places(m, node, (int)node->cols, h + top + bottom, w + left + right);
  return nn__added(m);
}
int nn_pad2d(nn_model *m, int x, int top, int bottom, int left, int right)
{
  return nn__pad(m, x, 3, top, bottom, left, right);
}
int nn_pad1d(nn_model *m, int x, int before, int after)
{
  return nn__pad(m, x, 2, before, after, 0, 0);
}

static int nn__upsample(nn_model *m, const nn__layer *row, int x, int rank, int factor_h,
                        int factor_w)
{
  nn__node *node = nn__on(m, row, x, rank);
  if (!node) return -1;
  const int h = (int)nn__image_height(node), w = (int)nn__image_width(node);
  const int most_h = h > NN__MAX_SIZE / NN__MOST_SHORT ? NN__MAX_SIZE / h : NN__MOST_SHORT;
  const int most_w = w > NN__MAX_SIZE / NN__MOST_SHORT ? NN__MAX_SIZE / w : NN__MOST_SHORT;
  if (!nn__in_range(m, node, rank == 2 ? "factor" : "factor_h", factor_h, 1, most_h) ||
      !nn__in_range(m, node, "factor_w", factor_w, 1, rank == 2 ? 1 : most_w))
    return -1;
  const nn_conv2d_options window = {1, 0, 0, factor_h, factor_w, 0, 0, 0, 0, 0, 0};
  nn__set_window(node, &window);
  nn__set_places(m, node, (int)node->cols, factor_h * h, factor_w * w);
  return nn__added(m);
}
int nn_upsample2d(nn_model *m, int x, int factor_h, int factor_w)
{
  return nn__upsample(m, NN__ROW(UPSAMPLE), x, 3, factor_h, factor_w);
}
int nn_upsample1d(nn_model *m, int x, int factor)
{
  return nn__upsample(m, NN__ROW(UPSAMPLE), x, 2, factor, 1);
}
int nn_upsample2d_bilinear(nn_model *m, int x, int factor_h, int factor_w)
{
  return nn__upsample(m, NN__ROW(BILINEAR), x, 3, factor_h, factor_w);
}

/* Whether a name has 1 .. most letters, digits, '_', '-' or (a layer's) that of `also`. */
static int nn__good_name(const char *name, size_t most, char also)
{
  size_t n = 0;
  for (; name && name[n] && n <= most; n++)
    if (!((name[n] >= 'a' && name[n] <= 'z') || (name[n] >= 'A' && name[n] <= 'Z') ||
          (name[n] >= '0' && name[n] <= '9') || name[n] == '_' || name[n] == '-' ||
          name[n] == also))
      return 0;
  return n > 0 && n <= most;
}

/* What is wrong with a layer or a loss of the caller's, or NULL. */
#define NN__BAD_CODE "its name is not 1..23 letters, digits, '_' or '-'"
static const char *nn__wrong_layer(const nn_custom_layer *own, int inference)
{
  if (!own) return "the layer is NULL";
  if (!nn__good_name(own->name, NN__NAME_ROOM - 1, 0)) return NN__BAD_CODE;
  if (!own->forward) return "forward is NULL";
  return inference || own->backward ? NULL : "backward is NULL, but in a model for inference";
}
static const char *nn__wrong_loss(const nn_custom_loss *own)
{
  if (!own) return "the loss is NULL";
  if (!nn__good_name(own->name, NN__NAME_ROOM - 1, 0)) return NN__BAD_CODE;
  if (!own->loss) return "its function is NULL";
  return own->labels >= 0 && own->labels <= NN__MAX_SIZE && own->values >= 0 &&
         own->values <= NN__MAX_SIZE ? NULL : "labels and values must be 0..2^20";
}

/* The parameters that a custom layer's shape asks for; NULL, or what is wrong. */
static const char *nn__custom_params(nn_model *m, nn__node *node, const nn_custom_shape *s)
{
  if (s->params < 0 || s->params > NN_CUSTOM_PARAMS) return "params must be 0..4";
  for (int i = 0; i < s->params; i++) {
    size_t dim[4] = {1, 1, 1, 1}, all = 1;
    if (!nn__good_name(s->param[i].name, 15, 0))
      return "a parameter's name has 1..15 letters, digits, '_', '-'";
    for (int k = 0; k < i; k++)
      if (!strcmp(s->param[i].name, s->param[k].name)) return "two parameters of one name";
    if (s->param[i].rank < 1 || s->param[i].rank > 4) return "a parameter's rank must be 1..4";
    for (int k = 0; k < s->param[i].rank; k++) {
      if (s->param[i].dim[k] < 1 || s->param[i].dim[k] > NN__MAX_SIZE)
        return "a parameter's size must be 1..2^20";
      dim[k] = (size_t)s->param[i].dim[k], all = nn__times(all, dim[k]);
    }
    const double value = (double)(nn_real)s->param[i].value;
    if (nn__too_large(all)) return "a parameter is too large";
    if ((unsigned)s->param[i].init > NN_INIT_CONSTANT || !nn__finite(value) ||
        (s->param[i].init != NN_INIT_DEFAULT && s->param[i].init != NN_INIT_CONSTANT &&
         !(value > 0)))
      return "a parameter's initial value is none that nn_init allows";
    nn__add_param(m, node, s->param[i].name, -1, s->param[i].rank, dim[0], dim[1], dim[2], dim[3]);
    if (m->broken != NN_OK) return NULL;
#ifndef NN_NO_INIT
    m->param[m->params - 1].init = (unsigned)s->param[i].init & 15;
    m->param[m->params - 1].init_value = s->param[i].value;
#endif
  }
  return NULL;
}

int nn_custom(nn_model *m, const int *inputs, int count, const nn_custom_layer *layer)
{
  if (!m) return -1;
  const char *bad = nn__wrong_layer(layer, m->config.inference);
  if (!inputs || count < 1 || count > 2) bad = "takes 1 or 2 inputs";
  if (bad) return nn__fail(m, NN_ERR_ARGUMENT, "nn_custom: %s", bad);
  nn__node *node = nn__begin(m, NN__ROW(CUSTOM), count, inputs[0], count == 2 ? inputs[1] : -1);
  if (!node) return -1;
  node->custom = layer;
  nn_custom_shape s = nn__custom_shape(m, node);
  s.rank = s.in_rank[0];
  memcpy(s.dim, s.in_dim[0], sizeof s.dim);
  const nn_status status = nn__refusal(layer->shape ? layer->shape(layer->user, &s) : NN_OK);
  if (status != NN_OK)
    return nn__fail(m, status, "%s: the shape of %s: %s", node->name, nn__code(node),
                    nn_status_text(status));
  if (!nn__in_range(m, node, "the rank", s.rank, 1, 3)) return -1;
  for (int i = 0; i < s.rank; i++)
    if (!nn__in_range(m, node, "a size", s.dim[i], 1, NN__MAX_SIZE)) return -1;
  for (int k = 0; k < count; k++)
    if (s.rank == 2 && s.in_rank[k] == 2 && s.dim[0] != s.in_dim[k][0])
      return nn__fail(m, NN_ERR_SHAPE, "%s: %d steps from %d; a custom layer keeps the steps",
                      node->name, s.dim[0], s.in_dim[k][0]);
  nn__set_shape(m, node, s.rank, s.dim[0], s.rank > 1 ? s.dim[1] : 1, s.rank > 2 ? s.dim[2] : 1);
  const int before = m->params;
  const char *wrong = m->broken == NN_OK ? nn__custom_params(m, node, &s) : NULL;
  if (wrong)
    nn__fail(m, NN_ERR_ARGUMENT, "%s: the shape of %s: %s", node->name, nn__code(node), wrong);
  if (m->broken != NN_OK) m->params = before;
  return nn__added(m);
}

/* The layer that a call speaks of while the model is described; NULL and an error if there is none
 * or it is too late. */
static nn__node *nn__described(nn_model *m, int node, const char *call)
{
  if (!m) return NULL;
  if (m->built) nn__fail(m, NN_ERR_STATE, "%s after nn_build", call);
  if (m->built || m->broken != NN_OK) return NULL;
  if (node >= 0 && node < m->nodes) return &m->node[node];
  return nn__fail(m, NN_ERR_ARGUMENT, "%s: %d is not a layer of this model", call, node), NULL;
}

void nn_name(nn_model *m, int node, const char *name)
{
  nn__node *named = nn__described(m, node, "nn_name");
  if (!named) return;
  const size_t length = name ? strlen(name) : 0, most = NN__NAME_ROOM - 1;
  const size_t had = strlen(named->name), behind = (size_t)(named->name - m->names) + had;
  if (length < 1 || length > most)
    nn__fail(m, NN_ERR_ARGUMENT, "nn_name: %s: a name has 1..%zu characters", named->name, most);
  else if (!nn__good_name(name, most, '/'))
    nn__fail(m, NN_ERR_ARGUMENT, "nn_name: '%s': only letters, digits, '_', '-', '/'", name);
  else if (length > had && length - had > m->config.names - m->names_used)
    nn__fail(m, NN_ERR_LIMIT, "nn_name: %s: config.names = %zu bytes are too few", name,
             m->config.names);
  for (int i = 0; i < m->nodes && m->broken == NN_OK; i++)
    if (i != node && !strcmp(m->node[i].name, name))
      nn__fail(m, NN_ERR_ARGUMENT, "nn_name: layer %d already has the name %s", i, name);
  if (m->broken != NN_OK) return;
  memmove(named->name + length, named->name + had, m->names_used - behind);
  memcpy(named->name, name, length);
  m->names_used += length - had;
  for (int i = node + 1; i < m->nodes; i++) m->node[i].name += (ptrdiff_t)(length - had);
}

/* How a layer's arrays are to begin, which a build without initial values has no use for. */
static void nn__set_init(nn__node *node, nn_init init, double value)
{
#ifdef NN_NO_INIT
  (void)node, (void)init, (void)value;
#else
  node->init = (unsigned char)init, node->init_value = value;
#endif
}

void nn_set_init(nn_model *m, int node, nn_init init, double value)
{
  nn__node *drawn = nn__described(m, node, "nn_set_init");
  if (!drawn) return;
  const double used = (double)(nn_real)value; /* 0 or infinite where a float cannot hold it */
  if ((unsigned)init > NN_INIT_CONSTANT || !nn__finite(value))
    nn__fail(m, NN_ERR_ARGUMENT,
             "nn_set_init: %s: no initialisation %d, or its value %g not finite", drawn->name,
             (int)init, value);
  else if (!nn__finite(used) ||
           (init != NN_INIT_DEFAULT && init != NN_INIT_CONSTANT && !(used > 0)))
    nn__fail(m, NN_ERR_ARGUMENT, "nn_set_init: %s: value is %g, must be a number above 0",
             drawn->name, value);
  else
    nn__set_init(drawn, init, value);
}

/* A loss's weight among all. */
static int nn__weighs(nn_model *m, const nn__node *node, double weight)
{
  if (weight > 0 && nn__finite(weight)) return 1;
  nn__fail(m, NN_ERR_ARGUMENT, "%s: its weight is %g, must be above 0", node->name, weight);
  return 0;
}

/* A loss as `d` describes it, whose answers begin at `from`. */
static int nn__loss(nn_model *m, int x, const nn__node *d, int from)
{
  static const nn__layer *const row[] = {NN__ROW(CROSS_ENTROPY), NN__ROW(SQUARED_ERROR),
                                         NN__ROW(BINARY_CROSS_ENTROPY), NN__ROW(HUBER),
                                         NN__ROW(ABSOLUTE_ERROR)};
  nn__node *node = nn__begin(m, row[d->kind - NN__CROSS_ENTROPY], 1, x, -1);
  if (!node) return -1;
  const nn__node *in = &m->node[x];
  const int labelled = nn__is_labelled(d->kind), huber = d->kind == NN__HUBER;
  const int weighted = labelled || d->kind == NN__BINARY_CROSS_ENTROPY;
  nn__shape_text t;
  if (labelled && in->cols > NN_MAX_CLASSES)
    return nn__fail(m, NN_ERR_SHAPE, "%s: takes %d classes at most, but %s gives %s", node->name,
                    NN_MAX_CLASSES, in->name, nn__shape(in, &t));
  if (!(huber ? d->soft > 0 && nn__finite(d->soft) : d->soft >= 0 && d->soft < 1) ||
      (!labelled && !huber && d->soft > 0))
    return nn__fail(m, NN_ERR_ARGUMENT, "%s: %s is %g, must be %s", node->name,
                    huber ? "delta" : "smoothing", d->soft,
                    huber ? "above 0" : labelled ? "0 <= s < 1" : "0 but for a cross-entropy");
  if (!nn__weighs(m, node, d->scale) ||
      !nn__in_range(m, node, "from", from, 0, NN__MAX_SIZE))
    return -1;
  for (size_t i = 0; d->weights && i < in->cols; i++)
    if (!weighted || !(d->weights[i] >= 0) || !nn__finite((double)d->weights[i]))
      return nn__fail(m, NN_ERR_ARGUMENT, "%s: class weight %zu is %g, must be %s", node->name, i,
                      (double)d->weights[i], weighted ? "0 or more" : "of a cross-entropy");
  node->soft = d->soft, node->scale = d->scale, node->weights = d->weights;
  node->summed = d->summed, node->from = (unsigned)from & 0x1FFFFF, node->ignored = d->ignored;
  node->has_weights = d->weights != NULL;
  return nn__added(m);
}
/* A custom loss of that name; `own` NULL: only its place, where a model is not to be trained. */
static int nn__custom_loss(nn_model *m, int x, const char *name, const nn_custom_loss *own,
                           double weight)
{
  nn__node *node = nn__on(m, NN__ROW(CUSTOM_LOSS), x, 0);
  if (!node) return -1;
  const int named = nn__good_name(name, NN__NAME_ROOM - 1, 0);
  const char *bad = own ? nn__wrong_loss(own) : named ? NULL : NN__BAD_CODE;
  if (bad) return nn__fail(m, NN_ERR_ARGUMENT, "%s: %s", node->name, bad);
  if (!own && !m->config.inference)
    return nn__fail(m, NN_ERR_STATE, "%s: config.custom_losses has no %s", node->name, name);
  if (!nn__weighs(m, node, weight)) return -1;
  node->custom_loss = own, node->scale = weight, node->ignored = -1;
  if (!own) nn__keep_name(m, name, strlen(name) + 1);
  return nn__added(m);
}
#ifndef NN_NO_TRAINING
int nn_custom_loss_with(nn_model *m, int x, const nn_custom_loss *loss, double weight)
{
  if (!loss) return nn__fail(m, NN_ERR_ARGUMENT, "nn_custom_loss_with: loss is NULL");
  return nn__custom_loss(m, x, loss->name, loss, weight);
}

nn_loss_options nn_loss_default(nn_loss_kind kind)
{
  return (nn_loss_options){kind, 1, 0, 0, 0, NULL, -1, 1};
}

int nn_loss_with(nn_model *m, int x, const nn_loss_options *options)
{
  nn__node d;
  if (!options) return nn__fail(m, NN_ERR_ARGUMENT, "nn_loss_with: options are NULL");
  if ((unsigned)options->kind > NN_ABSOLUTE_ERROR)
    return nn__fail(m, NN_ERR_ARGUMENT, "nn_loss_with: there is no loss %d", (int)options->kind);
  memset(&d, 0, sizeof d);
  d.kind = (unsigned char)((int)NN__CROSS_ENTROPY + (int)options->kind);
  const int labelled = nn__is_labelled(d.kind), huber = d.kind == NN__HUBER;
  const char *odd = labelled ? NULL
                    : options->smoothing != 0 ? "smoothing is of a cross-entropy (0 elsewhere)"
                    : options->ignored != -1  ? "ignored is of a cross-entropy (-1 elsewhere)"
                                              : NULL;
  if (!huber && options->delta != 0 && options->delta != 1)
    odd = "delta is of a Huber loss (0 or 1 elsewhere)";
  if (odd) return nn__fail(m, NN_ERR_ARGUMENT, "nn_loss_with: %s", odd);
  d.soft = huber ? options->delta : options->smoothing;
  d.scale = options->weight, d.summed = options->sum != 0;
  d.weights = options->weights, d.ignored = options->ignored;
  return nn__loss(m, x, &d, options->from);
}

int nn_cross_entropy_with(nn_model *m, int x, double smoothing, const nn_real *weights)
{
  nn_loss_options o = nn_loss_default(NN_CROSS_ENTROPY);
  o.smoothing = smoothing, o.weights = weights;
  return nn_loss_with(m, x, &o);
}
static int nn__plain_loss(nn_model *m, int x, nn_loss_kind kind)
{
  const nn_loss_options o = nn_loss_default(kind);
  return nn_loss_with(m, x, &o);
}
int nn_cross_entropy(nn_model *m, int x) { return nn__plain_loss(m, x, NN_CROSS_ENTROPY); }
int nn_mean_squared_error(nn_model *m, int x) { return nn__plain_loss(m, x, NN_SQUARED_ERROR); }
int nn_binary_cross_entropy(nn_model *m, int x)
{
  return nn__plain_loss(m, x, NN_BINARY_CROSS_ENTROPY);
}
#endif

/* ======================================== @@OPTIM ========================================== */
#ifndef NN_NO_TRAINING
/* Why no step may be made now, nor a checkpoint; or NULL. */
static const char *nn__held(const nn_model *m)
{
  return m->swapped     ? "the average is in the parameters' place (nn_swap_average)"
         : m->in_gradient ? "not from on_gradient, behind which nn_fit makes its step" : NULL;
}

/* From `begin` at step 0 to `peak` at step .3 total - 1 and on to `end` at step total - 1, both
 * along half a cosine: as PyTorch's OneCycleLR. */
static double nn__one_cycle(const nn_schedule *s, int64_t step, double begin, double peak,
                            double end)
{
  const double last = (double)s->total - 1, top = .3 * (double)s->total - 1;
  const double t = (double)step < last ? (double)step : last;
  const double from = t <= top ? begin : peak, to = t <= top ? peak : end;
  const double part =
      t <= top ? (top > 0 ? t / top : 1) : (last > top ? (t - top) / (last - top) : 1);
  return to + (from - to) * (1 + cos(3.14159265358979323846 * part)) / 2;
}

static double nn__period(const nn_schedule *s) { return s->period > 1 ? (double)s->period : 1; }

/* Up from `low` to `high` in `period` steps and down again, each time gamma times as far. */
static double nn__triangle(const nn_schedule *s, double u, double low, double high)
{
  const double period = nn__period(s), cycle = floor(u / (2 * period));
  const double height = 1 - fabs(u / period - 2 * cycle - 1);
  return low + (high - low) * height * pow(s->gamma, cycle);
}

double nn_schedule_rate(const nn_schedule *s, double rate, int64_t step)
{
  static const double pi = 3.14159265358979323846;
  if (!s) return rate;
  if (step < 0) step = 0;
  if (step < s->warmup) return rate * (double)(step + 1) / (double)s->warmup;
  const double u = (double)step - (double)s->warmup, length = (double)s->total - (double)s->warmup;
  const double part = length > 0 && u < length ? u / length : 1;
  switch (s->kind) {
  case NN_STEP: return rate * pow(s->gamma, floor(u / nn__period(s)));
  case NN_EXPONENTIAL: return rate * pow(s->gamma, u / nn__period(s));
  case NN_COSINE: return s->floor + (rate - s->floor) * (1 + cos(pi * part)) / 2;
  case NN_ONE_CYCLE: return nn__one_cycle(s, step, rate / 25, rate, rate / 25 / 1e4);
  case NN_TRIANGULAR: return nn__triangle(s, u, s->floor, rate);
  case NN_POLYNOMIAL: return s->floor + (rate - s->floor) * pow(1 - part, s->gamma);
  default: return rate;
  }
}

double nn_schedule_momentum(const nn_schedule *s, double momentum, int64_t step)
{
  if (!s || !(s->momentum_high > 0)) return momentum;
  if (s->kind == NN_ONE_CYCLE)
    return nn__one_cycle(s, step > 0 ? step : 0, s->momentum_high, s->momentum_low,
                         s->momentum_high);
  const double u = (double)step - (double)s->warmup;
  return nn__triangle(s, u > 0 ? u : 0, s->momentum_high, s->momentum_low);
}

static nn_optimizer nn__optimizer(nn_optimizer_kind kind, double rate, double momentum)
{
  nn_optimizer o;
  memset(&o, 0, sizeof o);
  o.kind = kind, o.rate = rate, o.momentum = momentum;
  o.alpha = .99, o.beta1 = .9, o.beta2 = .999;
  o.eps = kind == NN_ADAGRAD ? 1e-10 : 1e-8;
  o.weight_decay = kind == NN_ADAMW ? .01 : 0;
  return o;
}
nn_optimizer nn_sgd(double rate, double momentum) { return nn__optimizer(NN_SGD, rate, momentum); }
nn_optimizer nn_adagrad(double rate) { return nn__optimizer(NN_ADAGRAD, rate, 0); }
nn_optimizer nn_rmsprop(double rate, double momentum)
{
  return nn__optimizer(NN_RMSPROP, rate, momentum);
}
nn_optimizer nn_adam(double rate) { return nn__optimizer(NN_ADAM, rate, 0); }
nn_optimizer nn_adamw(double rate) { return nn__optimizer(NN_ADAMW, rate, 0); }

/* State blocks an optimizer needs, but for the average. */
static int nn__slots(const nn_optimizer *o)
{
  switch (o->kind) {
  case NN_SGD: return o->momentum > 0;
  case NN_ADAGRAD: return 1;
  case NN_RMSPROP: return 1 + (o->momentum > 0);
  default: return 2 + (o->amsgrad != 0);
  }
}

/* Whether beta1 takes the place of a momentum. */
static int nn__has_beta(const nn_optimizer *o) { return o->kind == NN_ADAM || o->kind == NN_ADAMW; }

/* Whether each number of an optimizer is in its range, and goes with the others. */
static nn_status nn__check_optimizer(const nn_optimizer *o, nn_message *why)
{
  enum { NN__ABOVE = 1, NN__BELOW = 2 }; /* without the limit itself */
  const nn_schedule *s = &o->schedule;
  const nn_schedule_kind kind = s->kind;
  const int ends = kind == NN_COSINE || kind == NN_ONE_CYCLE || kind == NN_POLYNOMIAL;
  const int turns = kind == NN_STEP || kind == NN_EXPONENTIAL || kind == NN_TRIANGULAR;
  const int shrinks = turns || kind == NN_PLATEAU || kind == NN_POLYNOMIAL;
  const int to_1 = kind == NN_PLATEAU || kind == NN_TRIANGULAR;
  const int sinks = kind >= NN_COSINE && kind != NN_ONE_CYCLE;
  const int64_t most = (int64_t)1 << 53; /* exact as a double, and so in files */
#define NN__IN(field, low, high, open) {#field, (double)o->field, low, high, open}
  const struct {
    const char *name;
    double is, low, high;
    int open;
  } number[] = {
      NN__IN(kind, 0, NN_ADAMW, 0), NN__IN(schedule.kind, 0, NN_POLYNOMIAL, 0),
      NN__IN(rate, 0, HUGE_VAL, NN__ABOVE | NN__BELOW), NN__IN(momentum, 0, HUGE_VAL, NN__BELOW),
      NN__IN(eps, 0, HUGE_VAL, NN__BELOW), NN__IN(weight_decay, 0, HUGE_VAL, NN__BELOW),
      NN__IN(alpha, 0, 1, NN__BELOW), NN__IN(beta1, 0, 1, NN__BELOW),
      NN__IN(beta2, 0, 1, NN__BELOW), NN__IN(average, 0, 1, NN__BELOW),
      NN__IN(clip_norm, 0, HUGE_VAL, 0), NN__IN(clip_value, 0, HUGE_VAL, 0),
      NN__IN(schedule.threshold, 0, 1, NN__BELOW),
      NN__IN(schedule.warmup, 0, kind == NN_ONE_CYCLE ? 0 : HUGE_VAL, 0),
      NN__IN(schedule.total, ends ? (double)s->warmup : 0, HUGE_VAL, ends ? NN__ABOVE : 0),
      NN__IN(schedule.period, turns ? 1 : 0, HUGE_VAL, 0),
      {"schedule.gamma", shrinks ? s->gamma : .5, 0, to_1 ? 1 : HUGE_VAL,
       kind == NN_TRIANGULAR ? NN__ABOVE : NN__ABOVE | NN__BELOW},
      {"schedule.floor", sinks ? s->floor : 0, 0, o->rate, 0},
      NN__IN(schedule.momentum_high, 0, 1, NN__BELOW),
      NN__IN(schedule.momentum_low, 0, s->momentum_high, 0)};
#undef NN__IN
  for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
    const double x = number[i].is, low = number[i].low, high = number[i].high;
    const int above = number[i].open & NN__ABOVE, below = number[i].open & NN__BELOW;
    if (!(above ? x > low : x >= low) || !(below ? x < high : x <= high))
      return nn__say(why, NN_ERR_ARGUMENT, "%s is %g, must be %s %g and %s %g", number[i].name, x,
                     above ? "above" : "at least", low, below ? "below" : "at most", high);
  }
  if (s->warmup > most || s->total > most || s->period > most)
    return nn__say(why, NN_ERR_ARGUMENT, "schedule.warmup is %lld, total %lld, period %lld, must "
                   "be 2^53 or less", (long long)s->warmup, (long long)s->total,
                   (long long)s->period);
  const char *const wrong =
      o->nesterov && (o->kind != NN_SGD || !(o->momentum > 0)) ? "nesterov needs SGD and a momentum"
      : o->amsgrad && !nn__has_beta(o) ? "amsgrad goes with Adam and AdamW"
      : !(s->momentum_high > 0) ? NULL
      : kind != NN_ONE_CYCLE && kind != NN_TRIANGULAR ? "schedule.momentum_high needs one-cycle "
                                                        "or triangles"
      : !nn__has_beta(o) && !(o->momentum > 0) ? "schedule.momentum_high needs a momentum" : NULL;
  return wrong ? nn__say(why, NN_ERR_ARGUMENT, "%s", wrong) : NN_OK;
}

static void nn__reset_plateau(nn_model *m)
{
  m->plateau_best = HUGE_VAL, m->plateau_scale = 1, m->plateau_bad = 0;
}

nn_status nn_set_optimizer(nn_model *m, const nn_optimizer *o)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->broken != NN_OK) return m->broken;
  nn_message wrong = {"it is NULL"};
  if (!o || nn__check_optimizer(o, &wrong) != NN_OK)
    return nn__fail(m, NN_ERR_ARGUMENT, "optimizer: %s", wrong.text), NN_ERR_ARGUMENT;
  const int trains = m->built && !m->config.inference;
  if (trains && nn__slots(o) > m->slots)
    return nn__error(m, NN_ERR_STATE, "optimizer: it keeps %d numbers a weight, there is room for "
                     "%d: choose it before nn_build (nn_open a file)", nn__slots(o), m->slots);
  if (trains && o->average > 0 && !m->average)
    return nn__error(m, NN_ERR_STATE, "optimizer: no average was built: set it before nn_build");
  if (m->swapped) return nn__error(m, NN_ERR_STATE, "optimizer: %s", nn__held(m));
  const int other = o->kind != m->optimizer.kind, amsgrad = m->optimizer.amsgrad;
  if (m->built && (other || !amsgrad != !o->amsgrad)) { /* state that means nothing to it */
    for (int i = 0; i < m->slots; i++) memset(m->slot[i], 0, m->values * sizeof(nn_real));
    m->state_steps = 0;
  }
  if (o->schedule.kind != m->optimizer.schedule.kind) nn__reset_plateau(m);
  if (!(o->average > 0)) m->averaged = 0;
  m->optimizer = *o;
  return NN_OK;
}

nn_status nn_plateau(nn_model *m, double loss)
{
  if (!m) return NN_ERR_ARGUMENT;
  const nn_schedule *s = &m->optimizer.schedule;
  if (s->kind != NN_PLATEAU)
    return nn__error(m, NN_ERR_STATE, "nn_plateau: the schedule is not NN_PLATEAU");
  if (loss < m->plateau_best * (1 - s->threshold)) {
    m->plateau_best = loss, m->plateau_bad = 0;
    return NN_OK;
  }
  if (++m->plateau_bad <= s->period) return NN_OK;
  const double rate = m->optimizer.rate, low = s->floor / rate, next = m->plateau_scale * s->gamma;
  const double scale = next > low ? next : low;
  if (rate * (m->plateau_scale - scale) > 1e-8) m->plateau_scale = scale;
  m->plateau_bad = 0;
  return NN_OK;
}

nn_status nn_set_learning(nn_model *m, int node, double rate, double decay)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->broken != NN_OK) return m->broken;
  if (node < -1 || node >= m->nodes || !(rate >= 0) || !nn__finite(rate) || !(decay >= 0) ||
      !nn__finite(decay))
    return nn__fail(m, NN_ERR_ARGUMENT, "nn_set_learning: layer %d, rate %g, decay %g: must be a "
                    "layer of this model or -1, and factors of 0 or more", node, rate, decay),
           NN_ERR_ARGUMENT;
  const int from = node < 0 ? 0 : node, to = node < 0 ? m->nodes : node + 1;
  for (int i = from; m->built && i < to; i++)
    if (m->node[i].params && (m->node[i].rate > 0) != (rate > 0))
      return nn__error(m, NN_ERR_STATE, "nn_set_learning: %s was built %s, which cannot change",
                       m->node[i].name, rate > 0 ? "frozen" : "to learn");
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
  nn_config c = {0};
  c.batch = 32, c.threads = 1, c.seed = 1, c.notes = 2048;
  return c;
}

/* A model is one piece: itself, its layers, its parameters and its layers' names, as many as config
 * allows. Gives its size, 0 where a number is out of range, and places them in m, unless NULL. */
static size_t nn__place_tables(nn_model *m, const nn_config *c)
{
  enum { NN__TABLE_ALIGN = 16 };
  const int nodes = c && c->most_nodes ? c->most_nodes : NN_MAX_NODES;
  const int params = c && c->most_params ? c->most_params : NN_MAX_PARAMS;
  if (nodes < 2 || nodes > NN_MAX_NODES || params < 1 || params > NN_MAX_PARAMS) return 0;
  const size_t most = (size_t)nodes * NN__NAME_ROOM;
  const size_t room = c && c->names ? nn__min(c->names, most) : most;
  const size_t node = nn__round_up(sizeof *m, NN__TABLE_ALIGN);
  const size_t param = node + nn__round_up((size_t)nodes * sizeof(nn__node), NN__TABLE_ALIGN);
  const size_t names = param + (size_t)params * sizeof(nn__param);
  if (m) {
    char *const base = (char *)m;
    m->node = (nn__node *)(void *)(base + node), m->param = (nn__param *)(void *)(base + param);
    m->names = base + names;
    m->config.most_nodes = nodes, m->config.most_params = params, m->config.names = room;
  }
  return nn__round_up(names + room, 8);
}
size_t nn_model_size_for(const nn_config *config) { return nn__place_tables(NULL, config); }
size_t nn_model_size(void) { return nn_model_size_for(NULL); }

/* Whether the caller's own layers and losses can be used, each of a name of its own. */
static int nn__good_tables(const nn_config *c)
{
  const nn_custom_layer *a = c->custom_layers;
  const nn_custom_loss *b = c->custom_losses;
  const int layers = a ? c->custom_layers_count : 0, losses = b ? c->custom_losses_count : 0;
  const int inference = !NN__TRAINS || c->inference;
  int good = c->custom_layers_count >= 0 && c->custom_losses_count >= 0;
  for (int i = 0; i < layers && good; i++) {
    good = !nn__wrong_layer(&a[i], inference);
    for (int k = 0; k < i && good; k++) good = !nn__equal(a[i].name, a[k].name);
  }
  for (int i = 0; i < losses && good; i++) {
    good = !nn__wrong_loss(&b[i]);
    for (int k = 0; k < i && good; k++) good = !nn__equal(b[i].name, b[k].name);
  }
  return good;
}

/* Whether a model can be made for a config; if so, counts its threads and chooses its kernels.
 * Inline: where `why` is NULL no sentence is linked. */
NN__INLINE nn_status nn__check_config(nn_config *c, const nn__kernels **kernels, nn_message *why)
{
  if (!nn_model_size_for(c))
    return nn__say(why, NN_ERR_ARGUMENT, "config: most_nodes %d, most_params %d: must be 2..%d and "
                   "1..%d, or 0", c->most_nodes, c->most_params, NN_MAX_NODES, NN_MAX_PARAMS);
  if (!nn__good_tables(c))
    return nn__say(why, NN_ERR_ARGUMENT, "config: a custom layer or loss lacks a name of its own "
                   "or a callback, or their counts are below 0");
  if (c->batch < 1 || c->batch > NN__MAX_BATCH || c->notes > NN__MOST_NOTES)
    return nn__say(why, NN_ERR_ARGUMENT, "config: batch %d, must be 1..%d; notes %zu, 0..%d",
                   c->batch, NN__MAX_BATCH, c->notes, NN__MOST_NOTES);
  const nn_status usable = nn__choose(c->isa, &c->threads, kernels);
  if (usable == NN_ERR_UNSUPPORTED)
    return nn__say(why, usable, "config: isa %s with %d threads: not in this build, or not on this "
                   "processor", nn_isa_name(c->isa), c->threads);
  if (usable == NN_OK) return NN_OK;
  return nn__say(why, usable, "config: threads %d, must be 0..%d; isa %d, 0..%d", c->threads,
                 NN_MAX_THREADS, (int)c->isa, NN_ISA_COUNT - 1);
}

nn_model *nn_create_in(void *memory, size_t size, const nn_config *config)
{
  nn_config c = config ? *config : nn_config_default();
  const nn__kernels *kernels;
  if (!memory || size < nn_model_size_for(&c) || !c.allocator.allocate != !c.allocator.release ||
      nn__check_config(&c, &kernels, NULL) != NN_OK)
    return NULL;
  nn_model *m = memory;
  memset(m, 0, sizeof *m);
  m->config = c;
  nn__place_tables(m, &c);
  m->config.isa = kernels->isa;
  m->context.kernels = kernels;
  m->context.pool.threads = 1;
  m->notes_size = c.notes;
  m->loss = m->output = -1;
#ifdef NN_NO_TRAINING
  m->config.inference = 1;
#else
  m->optimizer = nn_sgd(.01, 0);
  nn__reset_plateau(m);
#endif
  return m;
}

nn_model *nn_create(const nn_config *config)
{
  const nn_allocator *allocator = config ? &config->allocator : NULL;
  const size_t size = nn_model_size_for(config);
  void *memory = size ? nn__allocate(allocator, size) : NULL;
  nn_model *m = nn_create_in(memory, size, config);
  if (m) m->owns_model = 1;
  else nn__release(allocator, memory, size);
  return m;
}

void nn_destroy(nn_model *m)
{
  if (!m) return;
  const nn_allocator allocator = m->config.allocator;
  if (m->built) nn__pool_stop(&m->context.pool);
  if (m->owns_block) nn__release(&allocator, m->block, m->plan_size);
  if (m->owns_model)
    nn__release(&allocator, m, nn_model_size_for(&m->config));
  else
    memset(m, 0, sizeof *m);
}

nn_status nn_model_status(const nn_model *m) { return m ? m->status : NN_ERR_ARGUMENT; }
const char *nn_error(const nn_model *m)
{
  return m ? nn__sentence(m) : "no model: out of memory, or a value of config out of range";
}

/* ---- parameters --------------------------------------------------------------------------- */

/* Writes a parameter's name, "conv1.weight"; returns its bytes, with the closing zero. */
static size_t nn__param_name(const nn_model *m, const nn__param *p, char *name)
{
  const nn__node *node = &m->node[p->node];
  nn__text t = {name, NN_NAME_SIZE, 0};
  nn__put_string(&t, node->name), nn__put_char(&t, '.'), nn__put_string(&t, p->what);
  if (p->layer >= 0) {
    const int both = (int)nn__directions(node);
    nn__put_string(&t, "_l"), nn__put_signed(&t, p->layer / both);
    if (p->layer % both) nn__put_string(&t, "_reverse");
  }
  name[t.used++] = 0;
  return t.used;
}

/* Places of all parameters: within each sort in the order of the layers. */
static void nn__place_params(nn_model *m)
{
  m->values = m->buffers = m->names_size = 0;
  for (int i = 0; i < m->params && m->broken == NN_OK; i++) {
    nn__param *p = &m->param[i];
    size_t *end = p->buffer ? &m->buffers : &m->values;
    char name[NN_NAME_SIZE];
    m->names_size += nn__param_name(m, p, name);
    *end += p->count;
    if (nn__too_large(*end))
      nn__fail(m, NN_ERR_LIMIT, "the parameters of the model are too many");
  }
}

static void nn__borrow(nn__param *p, const void *at) /* only ever read */
{
  p->value = (nn_real *)(uintptr_t)at;
}

/* The index-th parameter of the public list: trained ones, then buffers. */
static nn__param *nn__listed(const nn_model *m, int index)
{
  for (int sort = 0; sort < 2; sort++)
    for (int i = 0; i < m->params; i++)
      if (m->param[i].buffer == sort && index-- == 0) return &m->param[i];
  return NULL;
}

/* ---- what each kind of layer does --------------------------------------------------------- */

static int nn__is_conv(nn__kind kind) { return kind == NN__CONV2D || kind == NN__CONV_TRANSPOSE; }
/* Whether a convolution's forward is the walk of another one's data gradient. */
static int nn__is_turned(const nn__node *node) { return node->kind == NN__CONV_TRANSPOSE; }

/* Room for the bias that a folded norm makes, ahead of the packed weights. */
static size_t nn__own_bias(const nn__node *node)
{
  return node->norm >= 0 ? nn__round_up(node->cols, 16) : 0;
}

/* The norm after a convolution, y = p v + q of what the convolution gives without its bias b, goes
 * into the packed weights, p w, and into a bias of their own, p b + q. */
static void nn__fold_norm(nn_model *m, const nn__node *node, const nn__conv *c, nn_real *packed,
                          nn_real *bias)
{
  const size_t taps = c->kh * c->kw, depthwise = (size_t)nn__depthwise(c);
  const size_t wide = depthwise ? c->c : c->kernels->nr, each = depthwise ? c->c : c->og;
  const size_t blocks = nn__side(c) ? NN__TILE * NN__TILE : depthwise ? 1 : c->groups;
  const size_t rows = nn__side(c) ? c->c : depthwise ? taps : taps * c->cg;
  const nn__node *norm = &m->node[node->norm];
  const nn_real *b = node->window.no_bias ? NULL : nn__value(m, node->param + 1);
  nn_real *const p = norm->keep + 2 * c->oc, *const q = p + c->oc;
  nn__running_norm(m, norm);
  for (size_t block = 0; block < blocks; block++)
    for (size_t j = 0; j < each; j += wide)
      for (size_t i = 0; i < rows; i++, packed += wide)
        for (size_t k = 0; k < wide && j + k < each; k++)
          packed[k] *= p[(nn__side(c) ? 0 : block * each) + j + k];
  for (size_t j = 0; j < c->oc; j++) bias[j] = q[j] + (b ? p[j] * b[j] : 0);
}

static void nn__convolve_forward(nn_model *m, nn__node *node, size_t n)
{
  const nn__conv c = nn__conv_of(m, node, n);
  const int turned = nn__is_turned(node);
  const nn_real *bias = node->window.no_bias ? NULL : nn__value(m, node->param + 1);
  nn_real *const packed = node->packed ? node->packed + nn__own_bias(node) : m->scratch;
  if (!node->packed || !m->packed) {
    nn__conv_pack(m, &c, turned, nn__value(m, node->param), packed);
    if (node->norm >= 0) nn__fold_norm(m, node, &c, packed, node->packed);
  }
  if (node->norm >= 0) bias = node->packed;
  nn__correlate(m, &c, turned, nn__in(m, node, 0)->y, packed,
                node->packed ? m->scratch : packed + nn__conv_weights(&c, turned), bias, node->relu,
                node->y);
}

#ifndef NN_NO_TRAINING
static void nn__convolve_backward(nn_model *m, nn__node *node, size_t n, nn_real *dx)
{
  const nn__conv c = nn__conv_of(m, node, n);
  const int turned = nn__is_turned(node), bias = !node->window.no_bias;
  const nn_real *x = nn__in(m, node, 0)->y, *dy = node->dy;
  if (nn__learns(m, node)) {
    nn_real *const db = bias ? nn__grad(m, node->param + 1) : NULL;
    nn__conv_backward_weights(m, &c, turned ? dy : x, turned ? x : dy, nn__grad(m, node->param),
                              turned ? NULL : db);
    if (turned && db) nn__column_sums(m, node, n, dy, NULL, NULL, 1, 1, db);
  }
  if (dx) nn__conv_backward_data(m, &c, !turned, dy, nn__value(m, node->param), dx);
}
#endif

static size_t nn__all_of(const nn_model *m, const nn__node *node) /* numbers of a whole batch */
{
  return (size_t)m->config.batch * node->rows * node->cols;
}

static void nn__conv_room(const nn_model *m, nn__node *node, nn__room *room)
{
  nn__conv c = nn__conv_of(m, node, (size_t)m->config.batch);
  const int back = !m->config.inference, once = nn__packs_once(m), turned = nn__is_turned(node);
  if (once) room->packed = nn__own_bias(node) + nn__conv_weights(&c, turned);
  for (int way = 0; way < 2; way++) {
    const size_t forward = nn__conv_lists(&c, turned) + (once ? 0 : nn__conv_weights(&c, turned));
    const size_t other = nn__conv_lists(&c, !turned) + nn__conv_weights(&c, !turned);
    size_t backward = nn__max(nn__conv_backward_scratch(&c), nn__max(other, NN__PARTS * c.c));
    if (!back) backward = 0;
    room->scratch = nn__max(room->scratch, nn__max(forward, backward));
    room->thread_scratch =
        nn__max(room->thread_scratch, nn__conv_thread_scratch(&c, back || turned));
    if (once) break;
    nn__conv_choose(&c, 0); /* the way of fewer samples */
  }
}
static void nn__linear_room(const nn_model *m, nn__node *node, nn__room *room)
{
  room->scratch = m->config.inference ? 0 : NN__PARTS * node->cols;
  room->packed = nn__linear_packed(m, node);
}
static void nn__batch_norm_room(const nn_model *m, nn__node *node, nn__room *room)
{
  node->eps = (nn_real)node->value;
  room->keep = 5 * node->cols;
  room->scratch = m->config.inference ? 0 : NN__PARTS * node->cols;
}
static void nn__layer_norm_room(const nn_model *m, nn__node *node, nn__room *room)
{
  room->keep = 3 * nn__all_of(m, node) / nn__norm_length(node);
  room->scratch = (2 + 2 * NN__PARTS) * nn__norm_length(node);
}
static void nn__group_norm_room(const nn_model *m, nn__node *node, nn__room *room)
{
  room->keep = NN__GROUP_ROWS * (size_t)m->config.batch * node->cols;
}
static void nn__normalise_room(const nn_model *m, nn__node *node, nn__room *room)
{
  (void)m;
  room->keep = 2 * nn__rows_at_once(node) * node->cols;
}
static void nn__drop_channels_room(const nn_model *m, nn__node *node, nn__room *room)
{
  room->keep = m->config.inference ? 0 : (size_t)m->config.batch * node->cols;
}
static void nn__prelu_room(const nn_model *m, nn__node *node, nn__room *room)
{
  if (!m->config.inference)
    room->scratch = (NN__PARTS + 1) * node->cols + nn__all_of(m, node);
}
static void nn__whole_room(const nn_model *m, nn__node *node, nn__room *room)
{
  room->scratch = nn__all_of(m, node);
}
#ifndef NN_NO_TRAINING
static void nn__custom_loss_room(const nn_model *m, nn__node *node, nn__room *room)
{ /* x, losses, their gradient; and that inside */
  room->scratch = (size_t)m->config.batch * (3 * node->rows * node->cols + 1);
}
#endif
static void nn__cell_room(const nn_model *m, nn__node *node, nn__room *room)
{
  room->keep = (size_t)node->cell.layers * nn__cell_layer_keep(m, node);
  room->scratch = nn__cell_scratch(m, node);
  for (int layer = 0; layer < node->cell.layers && nn__packs_once(m); layer++)
    room->packed += nn__directions(node) * nn__cell_packed(m, node, layer);
}

/* The row of each kind of layer. Inputs do nothing; losses are nn_loss's. */
#define nn__no_forward NULL
#define nn__no_backward NULL
#define nn__no_room NULL
#define nn__final_state_forward NULL
#ifdef NN_NO_TRAINING
#define nn__loss_room NULL
#define nn__custom_loss_room NULL
#define NN__ROW_AS(name, forward, backward, room)                                                 \
  static const nn__layer nn__row_##name = {nn__name_##name, NN__##name, forward, room};
#else
#define nn__loss_room nn__whole_room
#define NN__ROW_AS(name, forward, backward, room)                                                 \
  static const nn__layer nn__row_##name = {nn__name_##name, NN__##name, forward, backward, room};
#endif
#define NN__LAYER_ROW(name, text, needs, how, room)                                               \
  NN__ROW_AS(name, nn__##how##_forward, nn__##how##_backward, nn__##room##_room)
#define NN__ACT_ROW(name, text, needs)                                                            \
  NN__ROW_AS(name, nn__##name##_forward, nn__activation_backward, NULL)
NN__KINDS(NN__LAYER_ROW, NN__ACT_ROW)
#define NN__ROW_OF(name, ...) &nn__row_##name,
static const nn__layer *const nn__rows[NN__KIND_COUNT] = {
    NN__KINDS(NN__ROW_OF, NN__ROW_OF)}; /* for files */

/* ---- the plan ----------------------------------------------------------------------------- */

static nn__room nn__room_of(const nn_model *m, nn__node *node)
{
  nn__room room = {0, 0, 0, 0};
  if (node->row->room) node->row->room(m, node, &room);
  room.keep = nn__round_up(room.keep, 16);
  room.scratch = nn__round_up(room.scratch, 16);
  room.thread_scratch = nn__round_up(room.thread_scratch, 16);
  return room;
}

/* Time runs 0 .. N-1 for the forwards of N nodes, N for the loss, and 2 N - i for the backward of
 * node i; END is after all. */
static int nn__time_back(const nn_model *m, int node) { return 2 * m->nodes - node; }

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
  const int needs = nn__kind_needs[node->kind], act = nn__is_act(node->kind);
  if (node->kind == NN__FLATTEN || node->kind == NN__RESHAPE)
    return nn__same_layout(x) && nn__same_layout(node);
  if (inference) return act || needs & NN__OVER;
  if ((!act && !(needs & NN__OVER_TOO)) || needs & NN__NEEDS_X) return 0;
  int maker = node->in[0]; /* through what x is shared with */
  for (;;) {
    if (nn__kind_needs[m->node[maker].kind] & NN__NEEDS_Y) return 0;
    if (m->node[maker].share < 0) return 1;
    maker = m->node[maker].share;
  }
}

/* A piece of node i, or of the one whose arrays it uses, is in use from one time to another. */
static void nn__lives(nn_model *m, int i, int which, int from, int to)
{
  if (which >= NN__PIECES) return;
  while ((which == NN__Y || which == NN__DY) && m->node[i].share >= 0) i = m->node[i].share;
  nn__piece *p = &m->node[i].piece[which];
  const int fresh = p->last < p->first;
  if (fresh || from < p->first) p->first = (nn__time)from;
  if (fresh || to > p->last) p->last = (nn__time)to;
}

static nn__piece *nn__node_piece(const void *m, int k)
{
  return &((const nn_model *)m)->node[k / NN__PIECES].piece[k % NN__PIECES];
}

/* First fit, the largest first: each of `count` pieces, which `piece` finds, at the lowest place
 * where it meets no piece that lives at the same time. Returns the size of the region. */
static size_t nn__place(nn__piece *(*piece)(const void *of, int k), const void *of, int count)
{
  size_t end = 0;
  for (;;) {
    nn__piece *next = NULL;
    for (int k = 0; k < count; k++) {
      nn__piece *p = piece(of, k);
      if (p->size && p->last >= p->first && p->offset == SIZE_MAX &&
          (!next || p->size > next->size))
        next = p;
    }
    if (!next) return end;
    size_t at = 0;
    for (int moved = 1; moved;) {
      moved = 0;
      for (int k = 0; k < count; k++) {
        const nn__piece *p = piece(of, k);
        if (p == next || p->last < p->first || p->offset == SIZE_MAX) continue;
        if (p->first > next->last || p->last < next->first) continue;
        if (at < p->offset + p->size && p->offset < at + next->size)
          at = p->offset + p->size, moved = 1;
      }
    }
    if (at > SIZE_MAX / 64) return SIZE_MAX; /* more than nn__carve will count */
    next->offset = at;
    end = nn__max(end, at + next->size);
  }
}

/* Which layers write over their input, and which are done by the layer before them. */
static void nn__plan_sharing(nn_model *m)
{
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    node->users = 0, node->masked = 0, node->lossy = 0;
    node->fused = node->relu = node->folded = 0;
    if (nn__is_conv(node->kind)) node->norm = -1;
    for (int k = 0; k < node->inputs; k++) {
      m->node[node->in[k]].users = m->node[node->in[k]].users ? 2 : 1;
      if (nn__is_loss(node->kind)) m->node[node->in[k]].lossy = 1;
    }
  }
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i], *x = nn__in(m, node, 0);
    node->share = (int16_t)(nn__in_place(m, i) ? node->in[0] : -1);
    if (node->kind == NN__MAX_POOL && x->fused && x->users == 1) x->masked = 1;
    if (node->share < 0) continue;
    if (node->kind == NN__BATCH_NORM && x->kind == NN__CONV2D && nn__packs_once(m))
      node->folded = 1, x->norm = (int16_t)i;
    nn__node *const maker = x->folded ? &m->node[x->share] : x;
    if (node->kind == NN__RELU && (nn__is_conv(maker->kind) || maker->kind == NN__LINEAR))
      node->fused = maker->relu = 1;
  }
}

#ifndef NN_NO_SIMD
#ifndef NN__CACHED
#define NN__CACHED ((size_t)1 << 19) /* reals for each thread; tests have it small */
#endif
/* Activations that come back from memory take longer than the sums of a small window. So an
 * inference model runs its first layers for as few samples at a time as fit its threads' caches, as
 * far as that spares more reading of activations than it costs of weights. It changes no bit. */
static void nn__plan_ahead(nn_model *m)
{
  const double batch = m->config.batch;
  double spared = 0, most = 0;
  int first = 0; /* that may not: it has lengths, is the caller's or, linear, sums in the order that
                    suits the number of rows */
  size_t largest = 1;
  m->ahead = 0;
  if (!nn__packs_once(m) || m->config.keep_activations) return;
  for (; first < m->nodes; first++) {
    const nn__node *node = &m->node[first];
    if (node->rank == 2 || node->kind == NN__TOKENS || node->kind == NN__CUSTOM ||
        node->kind == NN__LINEAR || nn__is_loss(node->kind))
      break;
    largest = nn__max(largest, node->rows * node->cols);
  }
  const size_t few = nn__max(1, NN__CACHED / largest) * (size_t)m->config.threads;
  m->few = (int)nn__min(few, (size_t)m->config.batch);
  for (int i = 0; i < first && m->few < m->config.batch; i++) {
    nn__node *node = &m->node[i];
    const double y = batch * (double)(node->rows * node->cols);
    double weights = (double)nn__room_of(m, node).packed;
    for (int k = 0; k < node->params; k++) weights += (double)m->param[node->param + k].count;
    if (node->share < 0 && y > (double)NN__CACHED) spared += y;
    spared -= weights * (batch / m->few - 1);
    if (spared > most) most = spared, m->ahead = i + 1;
  }
  for (int i = 0; i < m->ahead; i++) { /* inputs, and what is used later, hold a whole batch */
    nn__node *node = &m->node[i];
    nn__piece *y = &node->piece[NN__Y];
    node->across = node->share >= 0 ? m->node[node->share].across
                                    : nn__is_input(node->kind) || y->last >= m->ahead;
    if (!node->across) y->size = nn__round_up((size_t)m->few * node->rows * node->cols, 16);
    else if (y->last >= y->first) nn__lives(m, i, NN__Y, 0, m->ahead - 1);
  }
}
#endif

static void nn__plan_pieces(nn_model *m)
{
  const int count = m->nodes, loss_time = count, end = 2 * count + 1;
  const size_t threads = (size_t)m->config.threads;
  const size_t most = SIZE_MAX / sizeof(nn_real); /* more than nn__carve will count */
  const int training = !m->config.inference, keep_all = m->config.keep_activations;
  nn__plan_sharing(m);
  m->scratch_size = m->thread_scratch_size = 0;
  for (int i = 0; i < count; i++) {
    nn__node *node = &m->node[i];
    const nn__room room = nn__room_of(m, node);
    size_t keep = room.keep;
    if (!training) keep += room.scratch + nn__min(nn__times(room.thread_scratch, threads), most);
    m->scratch_size = training ? nn__max(m->scratch_size, room.scratch) : 0;
    m->thread_scratch_size = training ? nn__max(m->thread_scratch_size, room.thread_scratch) : 0;
    const size_t y = nn__all_of(m, node), size[4] = {y, keep, y, y};
    for (int k = 0; k < NN__PIECES; k++) {
      const nn__piece unused = {nn__round_up(size[k], 16), SIZE_MAX, 0, -1};
      node->piece[k] = unused;
    }
    node->wanted = training && (node->kind == NN__INPUT ? m->config.input_gradient
                                                        : nn__is_trained(node));
    for (int k = 0; k < node->inputs; k++) node->wanted |= nn__in(m, node, k)->wanted;
    const int wanted = node->wanted, back = nn__time_back(m, i);
    const int needs = nn__kind_needs[node->kind], loss = nn__is_loss(node->kind);
    if (!loss) {
      /* an input is copied in before anything runs */
      if (!nn__is_input(node->kind) || !nn__same_layout(node))
        nn__lives(m, i, NN__Y, nn__is_input(node->kind) ? 0 : i, i);
      if (i == m->output || keep_all) nn__lives(m, i, NN__Y, keep_all ? 0 : i, end);
      if (wanted && (needs & NN__NEEDS_Y)) nn__lives(m, i, NN__Y, i, back);
      if (wanted) nn__lives(m, i, NN__DY, back, back);
      if (wanted && (i == m->output || node->lossy)) nn__lives(m, i, NN__DY, loss_time, back);
      if (wanted && node->kind == NN__INPUT) nn__lives(m, i, NN__DY, back, end);
      if (node->kind == NN__FINAL_STATE) { /* the cell writes the one and reads the other */
        nn__lives(m, i, NN__Y, node->in[0], i);
        if (wanted) nn__lives(m, i, NN__DY, back, nn__time_back(m, node->in[0]));
      }
    }
    if (node->piece[NN__KEEP].size)
      nn__lives(m, i, NN__KEEP, node->folded ? node->in[0] : i, loss ? end : wanted ? back : i);
    for (int k = 0; k < node->inputs; k++) {
      const int in = node->in[k];
      const nn__node *x = &m->node[in];
      if (!nn__is_input(x->kind) || !nn__same_layout(x)) {
        nn__lives(m, in, NN__Y, i, loss ? end : i);
        if (wanted && (needs & NN__NEEDS_X)) nn__lives(m, in, NN__Y, i, back);
      }
      if (x->wanted && !loss) {
        nn__lives(m, in, NN__DY, back, back);
        if (x->users > 1) nn__lives(m, in, NN__EXTRA, back, nn__time_back(m, in));
      }
    }
  }
#ifndef NN_NO_SIMD
  nn__plan_ahead(m);
#endif
  m->shared_size = nn__place(nn__node_piece, m, NN__PIECES * m->nodes);
}

/* Packing space for the products of all layers. Those of cells find their operands packed. */
static void nn__reserve_products(nn_model *m)
{
  m->context.room_a = m->context.room_b = 0;
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (node->kind != NN__LINEAR) continue;
    const size_t in = m->node[node->in[0]].cols, out = node->cols;
    const size_t rows = (size_t)m->config.batch * node->rows;
    const nn__matrix w = nn__rows_of(NULL, in), x = w, turned = nn__columns_of(NULL, in);
    const nn__matrix packed = nn__panels_of(m->context.kernels, NULL, in);
    nn__reserve(&m->context, rows, out, in, x, nn__room_of(m, node).packed ? packed : turned);
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

#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT || !defined NN_NO_EXPORT
static size_t nn__input_size(const nn_model *m) /* reals of one sample of the first input */
{
  const nn__node *x = &m->node[m->input[0]];
  return x->rows * x->cols;
}
#endif

/* Where a node's arrays are, once the block is there, in place of their pieces; and what it works
 * in. An inference layer's scratch is part of its piece, so other layers' activations lie there
 * while it does not run: first each thread's, then what it keeps, then that of all. Training layers
 * share the model's. */
static void nn__point(const nn_model *m, nn__node *node, const nn__room *room, nn_real *packed)
{
  const nn__node *owner = node->share < 0 ? NULL : &m->node[node->share]; /* one before it */
  nn_real *at[NN__EXTRA + 1] = {NULL};
  for (int k = 0; k < NN__PIECES; k++)
    if (node->piece[k].last >= node->piece[k].first) at[k] = m->shared + node->piece[k].offset;
#ifndef NN_NO_TRAINING
  node->dy = owner ? owner->dy : at[NN__DY], node->extra = at[NN__EXTRA];
#endif
  node->y = owner ? owner->y : at[NN__Y], node->lengths = NULL, node->packed = packed;
  node->keep = node->thread_scratch = at[NN__KEEP], node->scratch = NULL;
  if (!m->config.inference || !node->keep) return;
  node->keep += room->thread_scratch * (size_t)m->config.threads;
  node->scratch = node->keep + room->keep;
}

/* The one layout function: counts (base NULL) or carves up the block; 0: too much to count. */
static size_t nn__layout(nn_model *m, char *base)
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
    m->average = m->optimizer.average > 0 ? nn__carve(&c, m->values, real) : NULL;
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
  char *names = nn__carve(&c, m->names_size, 1);
#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT /* what goes through a data set */
  if (m->inputs == 1 && ((NN__TRAINS && m->loss >= 0) || m->config.keep_activations)) {
    m->stage = nn__carve(&c, batch * nn__input_size(m), real);
    m->stage_lengths = nn__carve(&c, batch, sizeof(int32_t));
    m->stage_weights = nn__carve(&c, batch, real);
    m->stage_values = nn__carve(&c, batch * nn__answers_each(m, 0), real);
    m->stage_labels = nn__carve(&c, batch * nn__answers_each(m, 1), sizeof(int32_t));
  }
#endif
  size_t sequences = 0;
  nn_real *value[2] = {m->value, m->buffer};
  for (int i = 0; base && i < m->params; i++) {
    nn__param *p = &m->param[i];
    p->name = names, names += nn__param_name(m, p, names);
    p->value = m->config.in_place ? NULL : value[p->buffer];
    if (p->value) value[p->buffer] += p->count;
  }
  for (int i = 0; i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (nn__is_cell(node->kind) && node->cell.carry)
      node->state = nn__carve(&c, nn__state_size(m, node), real);
    const nn__room room = nn__room_of(m, node);
    nn_real *const packed = room.packed ? nn__carve(&c, room.packed, real) : NULL;
    if (base) nn__point(m, node, &room, packed);
    sequences += node->rank == 2;
#ifndef NN_NO_TRAINING
    if (node->kind == NN__INPUT && m->config.input_gradient && !nn__same_layout(node))
      node->border = nn__carve(&c, batch * node->rows * node->cols, real);
#endif
    if (nn__is_loss(node->kind) && node->has_weights) {
      nn_real *copy = nn__carve(&c, node->cols, real);
      if (base && node->weights) memcpy(copy, node->weights, node->cols * real);
      if (base) node->weights = copy;
    }
  }
  if (sequences)
    m->node_steps = nn__carve(&c, (size_t)m->nodes + sequences * batch, sizeof(int32_t));
  return c.overflow ? 0 : c.used;
}

static nn_status nn__plan(nn_model *m)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->built) return nn__error(m, NN_ERR_STATE, "nn_build: built already");
  if (m->broken != NN_OK) return m->broken;
  if (!m->inputs || m->nodes < 2)
    return nn__fail(m, NN_ERR_STATE, "nn_build: no layers after the input"), m->broken;
  m->output = m->loss >= 0 ? m->node[m->loss].in[0] : (int16_t)(m->nodes - 1);
  if (m->loss < 0 && nn__is_input(m->node[m->output].kind))
    return nn__fail(m, NN_ERR_STATE, "nn_build: the last layer is an input"), m->broken;
  if (m->config.in_place && !m->config.inference)
    nn__fail(m, NN_ERR_STATE, "nn_build: config.in_place needs config.inference");
  nn__place_params(m);
  if (m->broken != NN_OK) return m->broken;
  nn__plan_pieces(m);
  nn__reserve_products(m);
  m->plan_size = nn__layout(m, NULL);
  if (m->plan_size) m->plan_size += NN__ALIGN; /* so that any address will do */
  else nn__fail(m, NN_ERR_LIMIT, "nn_build: the model's memory cannot be counted");
  return m->broken;
}

nn_status nn_plan(nn_model *m, size_t *bytes)
{
  if (!m || !bytes) return nn__error(m, NN_ERR_ARGUMENT, "nn_plan: bytes is NULL");
  const nn_status status = nn__plan(m);
  *bytes = status == NN_OK ? m->plan_size : 0;
  return status;
}

#ifndef NN_NO_INIT
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
        NN__DO(kernels, dots)(dot, v, w + j * length, length, length, block, &plain);
        for (size_t b = 0; b < block; b++) NN__DO(kernels, axpy)(v, -dot[b], w + (j + b) * length,
                                                                 length);
      }
      double square = 0;
      for (size_t k = 0; k < length; k++) square += (double)v[k] * (double)v[k];
      NN__DO(kernels, scale)(v, (nn_real)(square > 0 ? 1 / sqrt(square) : 0), length);
    }
  }
  NN__DO(kernels, scale)(w, (nn_real)gain, rows * cols);
  if (rows > cols) nn__transpose_in_place(w, cols, rows);
}

/* Draws `count` numbers as an array of units' weights begins, which is `of` or lies beside it. */
static void nn__draw(const nn__kernels *kernels, const nn__node *node, nn_init init, double value,
                     const nn__param *of, size_t count, nn_random *r, nn_real *w)
{
  const size_t out = (size_t)of->dim[0], fan_in = of->count / out;
  const size_t taps = of->rank > 2 ? fan_in / (size_t)of->dim[1] : 1;
  const double in = (double)fan_in, sum = in + (double)(out * taps);
  int normal = 0;
  double width = value; /* the deviation or, where it is uniform, the bound */
  switch (init) {
  case NN_INIT_HE_UNIFORM: width *= sqrt(3 / in); break;
  case NN_INIT_XAVIER_UNIFORM: width *= sqrt(6 / sum); break;
  case NN_INIT_HE_NORMAL: normal = 1, width /= sqrt(in); break;
  case NN_INIT_XAVIER_NORMAL: normal = 1, width *= sqrt(2 / sum); break;
  case NN_INIT_TRUNCATED_NORMAL: normal = 1; break;
  case NN_INIT_ORTHOGONAL: nn__orthogonalise(kernels, r, w, out, fan_in, value); return;
  default:
    normal = node->kind == NN__EMBEDDING;
    width = normal ? 1 : 1 / sqrt(nn__is_cell(node->kind) ? node->cell.hidden : in);
  }
  if (!normal) nn__fill_uniform(r, w, count, width);
  for (size_t i = 0; i < count && normal; i++) {
    double z = nn_random_normal(r);
    while (init == NN_INIT_TRUNCATED_NORMAL && fabs(z) > 2) z = nn_random_normal(r);
    w[i] = (nn_real)(z * width);
  }
}

/* Facts about the data are not drawn and take no stream: a net begins alike with and without. */
static void nn__initialise(nn_model *m, uint64_t seed)
{
  uint64_t stream = 0;
  for (int i = 0; i < m->params; i++) {
    const nn__param *p = &m->param[i];
    const nn__node *node = &m->node[p->node];
    if (node->kind == NN__NORMALISE) continue;
    nn_real *w = nn__value(m, i);
    nn_random r = {seed, stream++ ^ 0x1417000000000000u, 0};
    const int own = node->kind == NN__CUSTOM && node->init == NN_INIT_DEFAULT;
    const int norm = nn__is_norm(node->kind), prelu = node->kind == NN__PRELU;
    const nn_init init = (nn_init)(own ? p->init : node->init);
    const double init_value = own ? p->init_value : node->init_value;
    if (norm || prelu || init == NN_INIT_CONSTANT) {
      nn_real value = (nn_real)init_value;
      if (norm) value = !strcmp(p->what, "weight") || !strcmp(p->what, "running_var");
      else if (init != NN_INIT_CONSTANT) value = (nn_real).25;
      for (size_t k = 0; k < p->count; k++) w[k] = value;
    } else { /* biases: as wide as the default of the weights before them */
      const int bias = p->rank == 1 && !own;
      nn__draw(m->context.kernels, node, bias ? NN_INIT_DEFAULT : init, init_value,
               bias ? &m->param[node->param] : p, p->count, &r, w);
    }
  }
}
#endif

/* A model that has done nothing yet. */
static void nn__reset(nn_model *m)
{
#ifndef NN_NO_TRAINING
  if (m->gradient) memset(m->gradient, 0, m->values * sizeof(nn_real));
  for (int i = 0; i < m->slots; i++) memset(m->slot[i], 0, m->values * sizeof(nn_real));
  if (m->average) memset(m->average, 0, m->values * sizeof(nn_real));
  m->averaged = 0, m->swapped = 0;
  nn__reset_plateau(m);
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
#ifdef NN_NO_INIT
  (void)seed;
  return nn__error(m, NN_ERR_UNSUPPORTED, "nn_reinitialise: not in this build (NN_NO_INIT)");
#else
  m->config.seed = seed;
  m->packed = 0;
  nn__reset(m);
  nn__initialise(m, seed);
  return NN_OK;
#endif
}

void nn_reset_state(nn_model *m)
{
  for (int i = 0; m && m->built && i < m->nodes; i++) {
    nn__node *node = &m->node[i];
    if (!nn__is_cell(node->kind)) continue;
    if (node->state) memset(node->state, 0, nn__state_size(m, node) * sizeof(nn_real));
    node->state_n = 0;
  }
}

int nn_find_node(const nn_model *m, const char *name)
{
  for (int i = 0; m && name && i < m->nodes; i++)
    if (!strcmp(m->node[i].name, name)) return i;
  return -1;
}

/* Copies between a cell's state, [layer][h, c][batch, hidden], and arrays [layers, n, hidden], each
 * of which may be NULL. set: to the state, of *n samples, and the arrays are only read; else *n
 * becomes how many it has. */
static nn_status nn__exchange_state(nn_model *m, const char *layer, int set, int *n,
                                    const nn_real *h, const nn_real *c)
{
  const char *const who = set ? "nn_set_state" : "nn_get_state";
  if (!m) return NN_ERR_ARGUMENT;
  const int i = nn_find_node(m, layer);
  nn__node *node = i >= 0 ? &m->node[i] : NULL;
  if (!m->built || !node || !nn__is_cell(node->kind) || !node->state)
    return nn__error(m, !m->built || node ? NN_ERR_STATE : NN_ERR_ARGUMENT, "%s: %s %s", who,
                     layer ? layer : "NULL", !m->built ? "is not built" : node
                                             ? "carries no state" : "is no layer");
  if (set && (*n < 1 || *n > m->config.batch))
    return nn__error(m, NN_ERR_ARGUMENT, "%s: %d samples, must be 1..%d (config.batch)", who, *n,
                     m->config.batch);
  if (set) memset(node->state, 0, nn__state_size(m, node) * sizeof *node->state);
  if (set) node->state_n = *n;
  else *n = node->state_n;
  const size_t room = (size_t)m->config.batch * node->cols, count = (size_t)*n * node->cols;
  for (size_t k = 0; k < 2 * (size_t)node->cell.layers; k++) {
    const nn_real *const from = k % 2 && node->kind == NN__LSTM ? c : k % 2 ? NULL : h;
    nn_real *state = node->state + k * room, *user = (nn_real *)(uintptr_t)(const void *)from;
    if (user) user += k / 2 * count;
    if (user) memcpy(set ? state : user, set ? user : state, count * sizeof *user);
  }
  return NN_OK;
}

nn_status nn_get_state(nn_model *m, const char *layer, int *n, nn_real *h, nn_real *c)
{
  int unasked;
  return nn__exchange_state(m, layer, 0, n ? n : &unasked, h, c);
}

nn_status nn_set_state(nn_model *m, const char *layer, int n, const nn_real *h, const nn_real *c)
{
  return nn__exchange_state(m, layer, 1, &n, h, c);
}

/* ---- build -------------------------------------------------------------------------------- */

/* Builds what nn__plan has planned in memory of so many bytes. The parameters are anything. */
static nn_status nn__build_in(nn_model *m, void *memory, size_t size)
{
  if (!memory || size < m->plan_size)
    return nn__error(m, NN_ERR_MEMORY, "nn_build_in: needs %zu bytes, got %zu", m->plan_size, size);
  const nn_status status = nn__pool_start(&m->context.pool, m->config.threads);
  if (status != NN_OK)
    return nn__error(m, status, "nn_build: cannot start %d threads", m->config.threads);
  m->block = memory;
  nn__layout(m, nn__aligned(memory));
  m->built = 1;
  nn__reset(m);
  return NN_OK;
}

/* The same in memory that it allocates. */
static nn_status nn__build_own(nn_model *m)
{
  const size_t size = m->plan_size;
  void *memory = nn__allocate(&m->config.allocator, size);
  if (!memory) return nn__error(m, NN_ERR_MEMORY, "nn_build: no %zu bytes of memory", size);
  const nn_status status = nn__build_in(m, memory, size);
  m->owns_block = status == NN_OK;
  if (status != NN_OK) nn__release(&m->config.allocator, memory, size);
  return status;
}

/* Gives a model that was built with that status the parameters that a description begins with. */
static nn_status nn__begin_values(nn_model *m, nn_status status)
{
  if (status != NN_OK || m->config.in_place) return status;
#ifndef NN_NO_INIT
  nn__initialise(m, m->config.seed);
#else /* zeros, until a file or the caller brings others */
  memset(m->value, 0, m->values * sizeof *m->value);
  memset(m->buffer, 0, m->buffers * sizeof *m->buffer);
#endif
  for (int i = 0; i < m->params; i++) { /* facts are not drawn; without them mean 0, scale 1 */
    const nn__node *node = &m->node[m->param[i].node];
    if (node->kind != NN__NORMALISE) continue;
    const nn_real *from = node->constants[i - node->param], none = (nn_real)(i - node->param);
    for (size_t k = 0; k < m->param[i].count; k++) m->param[i].value[k] = from ? from[k] : none;
  }
  return NN_OK;
}

nn_status nn_build_in(nn_model *m, void *memory, size_t size)
{
  const nn_status planned = nn__plan(m);
  return planned == NN_OK ? nn__begin_values(m, nn__build_in(m, memory, size)) : planned;
}

nn_status nn_build(nn_model *m)
{
  const nn_status planned = nn__plan(m);
  return planned == NN_OK ? nn__begin_values(m, nn__build_own(m)) : planned;
}

/* ---- forward ------------------------------------------------------------------------------ */

/* The greatest length that a sample may come with: it fits all that begins a sequence; 0 if nothing
 * does. */
static size_t nn__most_steps(const nn_model *m)
{
  size_t steps = SIZE_MAX;
  for (int i = 0; i < m->nodes; i++) {
    const nn__node *node = &m->node[i];
    if (node->rank == 2 && (!node->inputs || m->node[node->in[0]].rank != 2))
      steps = nn__min(steps, node->rows);
  }
  return steps == SIZE_MAX ? 0 : steps;
}

/* Whether the lengths of n samples, or NULL, fit that, and leave each layer a step. only: as in
 * nn__check_labels. take: these are the samples of a forward, and each layer learns its steps. */
static nn_status nn__check_lengths(nn_model *m, const int32_t *lengths, const int32_t *only, int n,
                                   int take, const char *who)
{
  const size_t steps = nn__most_steps(m);
  if (lengths && !steps)
    return nn__error(m, NN_ERR_ARGUMENT, "%s: lengths given, but no layer is a sequence", who);
  for (int k = 0; k < n && lengths; k++) {
    const int i = only ? only[k] : k;
    if (lengths[i] < 1 || (size_t)lengths[i] > steps)
      return nn__error(m, NN_ERR_ARGUMENT, "%s: length %d of sample %d is not in 1..%zu", who,
                       (int)lengths[i], i, steps);
    int32_t *room = m->node_steps + m->nodes + k;
    nn__steps_of(m, &m->node[m->nodes - 1], (size_t)lengths[i]);
    for (int j = 0; j < m->nodes; j++) {
      if (!m->node_steps[j])
        return nn__error(m, NN_ERR_ARGUMENT,
                         "%s: length %d of sample %d leaves %s no whole step", who,
                         (int)lengths[i], i, m->node[j].name);
      if (!take || m->node[j].rank != 2) continue;
      *room = m->node_steps[j], room += m->config.batch;
    }
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
    return nn__error(m, NN_ERR_ARGUMENT, "forward: %s %d samples, must be 1..%d (config.batch)",
                     b ? "got" : "the batch is NULL:", b ? b->n : 0, m->config.batch);
  for (int i = 0; i < m->inputs; i++)
    if (!b->x[i])
      return nn__error(m, NN_ERR_ARGUMENT, "forward: x[%d] is NULL", i);
  if (nn__check_lengths(m, b->lengths, NULL, b->n, 1, "forward") != NN_OK) return m->status;
  m->has_lengths = b->lengths != NULL;
  if (b->lengths) memcpy(m->lengths, b->lengths, (size_t)b->n * sizeof *m->lengths);
  int32_t *room = b->lengths ? m->node_steps + m->nodes : NULL;
  for (int k = 0; k < m->nodes; k++) {
    m->node[k].lengths = m->node[k].rank == 2 ? room : NULL;
    if (m->node[k].lengths) room += m->config.batch;
  }
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

/* The space in which a layer works, where it has one of its own: see nn__point_work. */
static void nn__take_scratch(nn_model *m, const nn__node *node)
{
  if (!node->scratch) return;
  m->scratch = node->scratch, m->thread_scratch = node->thread_scratch;
  m->thread_scratch_size =
      (size_t)(node->keep - node->thread_scratch) / (size_t)m->config.threads;
}

/* Runs nodes from .. to - 1 for n samples. first_bad, if not NULL and -1: becomes the first node
 * whose output holds a NaN or infinity. */
static void nn__run_nodes(nn_model *m, int from, int to, size_t n, int *first_bad)
{
  for (int i = from; i < to; i++) {
    const nn__node *node = &m->node[i];
    nn__take_scratch(m, node);
    if (node->row->forward && m->failure == NN_OK) node->row->forward(m, &m->node[i], n);
#ifndef NN_NO_TRAINING
    else
      nn__share_nothing(m, node, 0);
#endif
    if (m->failure != NN_OK) continue;
    if (!nn__is_input(node->kind) && !nn__is_loss(node->kind))
      nn__clear_past_ends(node, n, node->y);
    if (!first_bad || *first_bad >= 0 || nn__is_loss(node->kind)) continue;
    for (size_t k = 0; k < n * node->rows * node->cols && *first_bad < 0; k++)
      if (!nn__finite((double)node->y[k])) *first_bad = i;
  }
}

#ifndef NN_NO_SIMD
/* Those of large images, a few samples at a time: all read and write at their first sample. */
static void nn__run_ahead(nn_model *m, size_t n, int *first_bad)
{
  const unsigned char packed = m->packed;
  for (size_t done = 0; done < n && m->ahead; done += (size_t)m->n) {
    m->n = (int)nn__min((size_t)m->few, n - done);
    nn__run_nodes(m, 0, m->ahead, (size_t)m->n, first_bad);
    m->packed = 1;
    for (int i = 0; i < m->ahead; i++)
      if (m->node[i].across) m->node[i].y += (size_t)m->n * m->node[i].rows * m->node[i].cols;
  }
  for (int i = 0; i < m->ahead; i++)
    if (m->node[i].across) m->node[i].y -= n * m->node[i].rows * m->node[i].cols;
  m->n = (int)n, m->packed = packed;
}
#endif

static nn_status nn__run_layers(nn_model *m, const nn_batch *b, int training, int *first_bad)
{
  if (training && training != NN_INSPECTING && m->config.inference)
    return nn__error(m, NN_ERR_STATE, "forward: training asked of an inference model");
  m->ran = m->lost = 0; /* a refused forward leaves nothing to go on from */
  m->failure = NN_OK, m->blamed = NULL;
  if (nn__check_batch(m, b) != NN_OK) return m->status;
  const size_t n = (size_t)b->n;
  m->n = b->n;
  m->training = training == NN_INSPECTING ? NN_INSPECTING : training != 0;
#ifndef NN_NO_TRAINING
  if (nn__learning(m) && m->in_gradient)
    return nn__error(m, NN_ERR_STATE, "forward for training: %s", nn__held(m));
  const nn__node *lone = nn__share_rows(m, n);
  if (nn__learning(m) && !lone && !nn__shares_norms(m)) lone = nn__lone_norm(m, n, nn__lengths(m));
  if (lone)
    return nn__error(m, NN_ERR_ARGUMENT, "forward: %s " NN__LONE, lone->name);
#endif
  for (int k = 0; k < m->inputs; k++) {
    nn__node *x = &m->node[m->input[k]];
    if (nn__same_layout(x))
      x->y = (nn_real *)(uintptr_t)(const void *)b->x[k]; /* only ever read */
    else
      nn__copy_border(m, x, n, x->y, b->x[k], 1);
    nn__clear_past_ends(x, n, x->y);
  }
  if (first_bad) *first_bad = -1;
  if (nn__packs_once(m) && m->exposed) { /* who has a pointer to the parameters may change them */
    const uint64_t now = nn__fingerprint(m);
    if (now != m->fingerprint) m->packed = 0;
    m->fingerprint = now;
  }
#ifndef NN_NO_SIMD
  nn__run_ahead(m, n, first_bad);
#endif
  nn__run_nodes(m, m->ahead, m->nodes, n, first_bad);
  if (m->failure != NN_OK) return m->status = m->failure;
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
  if (!m || node < 0 || node >= m->nodes)
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
  if (!m || !to) return nn__error(m, NN_ERR_ARGUMENT, "nn_read: `to` is NULL");
  const nn_status status = nn__readable(m, node, "read");
  if (status == NN_OK) nn__copy_border(m, &m->node[node], (size_t)m->n, to, m->node[node].y, 0);
  return status;
}

nn_status nn_predict(nn_model *m, const nn_batch *b, int32_t *labels, nn_real *probabilities)
{
  if (nn_forward(m, b, 0) != NN_OK) return nn_model_status(m);
  const nn__node *out = &m->node[m->output];
  const size_t n = (size_t)b->n, cols = out->cols;
  nn_real *rows = out->y, *own = m->border ? m->border : probabilities;
  const uint32_t mode = nn__flush_subnormals();
  if (probabilities && out->kind != NN__SOFTMAX)
    nn__softmax_rows(m, rows = own, out->y, n * out->rows, cols);
  if (probabilities && rows != probabilities) nn__copy_border(m, out, n, probabilities, rows, 0);
  nn__restore_mode(mode);
  for (size_t r = 0; r < n * out->rows; r++) {
    size_t sample, place;
    nn__row_of(out, n, r, &sample, &place);
    const size_t at = sample * out->rows + place;
    const int there = nn__row_counts(out, sample, place);
    if (labels) labels[at] = there ? (int32_t)nn__greatest(out->y + r * cols, cols) : -1;
    if (probabilities && !there) memset(probabilities + at * cols, 0, cols * sizeof(nn_real));
  }
  return NN_OK;
}

nn_status nn_predict_top(nn_model *m, const nn_batch *b, int k, int32_t *labels,
                         nn_real *probabilities)
{
  if (!m || !labels) return nn__error(m, NN_ERR_ARGUMENT, "nn_predict_top: labels is NULL");
  const nn__node *out = &m->node[m->built ? m->output : 0];
  if (m->built && (k < 1 || (size_t)k > out->cols))
    return nn__error(m, NN_ERR_ARGUMENT, "nn_predict_top: k is %d, must be 1..%zu", k, out->cols);
  if (nn_forward(m, b, 0) != NN_OK) return m->status;
  for (size_t r = 0; r < (size_t)b->n * out->rows; r++) {
    size_t sample, place;
    nn__row_of(out, (size_t)b->n, r, &sample, &place);
    const int there = nn__row_counts(out, sample, place);
    const nn_real *row = out->y + r * out->cols;
    int32_t *found = labels + (sample * out->rows + place) * (size_t)k;
    for (int i = 0; i < k; i++) {
      size_t next = SIZE_MAX; /* the greatest that is not among the i found */
      for (size_t j = 0; j < out->cols; j++) {
        int taken = 0;
        for (int t = 0; t < i; t++) taken |= found[t] == (int32_t)j;
        if (!taken && (next == SIZE_MAX || row[j] > row[next])) next = j;
      }
      found[i] = there ? (int32_t)next : -1;
      if (probabilities)
        probabilities[found - labels + i] = there ? nn__probability(out, row, next) : 0;
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
    return nn__error(m, NN_ERR_ARGUMENT, "loss: %d samples, not the batch of the last forward "
                     "(%d)", b ? b->n : 0, m->n);
  nn_status status = nn__check_answers(m, b->labels, b->values, b->weights, NULL, (size_t)b->n,
                                       nn__lengths(m), NULL);
  if (status != NN_OK) return m->status = status;
  const int open = nn__keeps(m) && m->ran == 1; /* after backward another array may be there */
  const uint32_t mode = nn__flush_subnormals();
  for (int i = m->loss; i < m->nodes && open; i++) {
    nn__node *x = nn__in(m, &m->node[i], 0);
    if (x->dy) memset(x->dy, 0, (size_t)b->n * x->rows * x->cols * sizeof *x->dy);
  }
  m->lost = 0;
  for (int i = m->loss; i < m->nodes && status == NN_OK; i++) { /* each adds to its input's dy */
    nn__node *node = &m->node[i];
    nn_real *d = open ? nn__in(m, node, 0)->dy : NULL;
    nn__loss_total(m, node, b);
    node->sum = 0;
    nn__take_scratch(m, node);
    if (node->kind == NN__CUSTOM_LOSS)
      status = nn__custom_objective(m, node, b, d);
    else if (!nn__is_labelled(node->kind))
      nn__value_loss(m, node, b, d);
    else if (i == m->loss)
      right = nn__cross_entropy_loss(m, node, b, d);
    else
      nn__cross_entropy_loss(m, node, b, d);
    value += node->sum * nn__share(node, node->total);
  }
  nn__restore_mode(mode);
  if (status != NN_OK) return m->status = status;
  if (loss) *loss = value;
  if (correct) *correct = right;
  m->lost = open != 0;
  return NN_OK;
}

enum { NN__BUCKET = 1 << 16 };
/* Lets the ranks add up the gradients of layers that are done, those from `from` on, once they make
 * a bucket. */
static void nn__reduce_gradients(nn_model *m, size_t from, int last)
{
  const size_t least = m->ranks.bucket ? m->ranks.bucket : NN__BUCKET;
  if (m->unreduced <= from || (!last && m->unreduced - from < least)) return;
  nn__reduce(m, m->gradient + from, m->unreduced - from, sizeof *m->gradient);
  m->unreduced = from;
}

/* From a node's gradient down, or, where from is -1, from those that the losses made: the first
 * user of a node writes its gradient, the others add. Where no forward has left anything it only
 * does its share of what the other ranks add up. */
static nn_status nn__backward_all(nn_model *m, int from)
{
  const size_t n = (size_t)m->n;
  const int idle = !m->ran;
  const int learning = nn__learning(m);
  const uint32_t mode = nn__flush_subnormals();
  m->draws -= (uint64_t)learning; /* dropout draws the masks of the forward again */
  for (int i = 0; i < m->nodes; i++)
    m->node[i].started = (from < 0 ? m->node[i].lossy > 0 && m->node[i].dy : i == from) != 0;
  m->failure = NN_OK;
  for (int i = from < 0 ? m->loss - 1 : from; i >= 0; i--) {
    nn__node *node = &m->node[i];
    if (!node->started || nn__is_input(node->kind)) continue;
    if (node->dy && !idle) nn__clear_past_ends(node, n, node->dy);
    for (int k = 0; k < (node->inputs > 0 ? node->inputs : 1); k++) {
      nn__node *x = nn__in(m, node, k);
      const int wanted = x->wanted;
      const int walks = nn__is_cell(node->kind) && node->inputs > 1; /* the state needs the steps */
      if (!wanted && !(k == 0 && (walks || (learning && nn__is_trained(node))))) continue;
      nn_real *dx = !wanted ? NULL : x->started ? x->extra : x->dy;
      if ((idle || m->failure != NN_OK) && wanted)
        nn__share_nothing(m, node, 1);
      else if (!idle && m->failure == NN_OK &&
               (!node->masked || !nn__goes_by_gradient(m) || i == from))
        node->toward = k > 0, node->row->backward(m, node, n, dx);
      if (dx && dx == x->extra && !idle)
        NN__DO(m->context.kernels, add)(x->dy, x->dy, dx, n * x->rows * x->cols);
      if (wanted) x->started = 1;
    }
    if (node->params && !m->param[node->param].buffer)
      nn__reduce_gradients(m, nn__offset(m, &m->param[node->param]), 0);
  }
  nn__reduce_gradients(m, 0, 1);
  m->draws += (uint64_t)learning;
  for (int k = 0; k < m->inputs; k++) {
    nn__node *x = &m->node[m->input[k]];
    if (!x->started && x->dy) memset(x->dy, 0, n * x->rows * x->cols * sizeof(nn_real));
    if (x->dy) nn__clear_past_ends(x, n, x->dy);
    if (x->border && x->dy) nn__copy_border(m, x, n, x->border, x->dy, 0);
  }
  m->lost = 0;
  m->ran = m->ran ? 2 : 0; /* output stays, but a second backward would find nothing */
  nn__restore_mode(mode);
  return m->failure == NN_OK ? NN_OK : (m->status = m->failure);
}

nn_status nn_backward(nn_model *m)
{
  if (!m || !m->lost || m->ran != 1) /* backward uses up what forward left */
    return nn__error(m, NN_ERR_STATE, "backward: needs a training forward and nn_loss before it");
  return nn__backward_all(m, -1);
}

nn_status nn_backward_from(nn_model *m, const nn_real *output_gradient)
{
  if (!m || !output_gradient)
    return nn__error(m, NN_ERR_ARGUMENT, "nn_backward_from: output_gradient is NULL");
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
  f->most[index] = NN__DO(kernels, largest)(f->m->gradient + at, n);
  const double scale = ldexp(1, -nn__norm_exponent(f->most[index]));
  if (f->norm) f->sum[index] = NN__DO(kernels, sum_squares)(f->m->gradient + at, n, (nn_real)scale);
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
  const int kept = nn__is_norm(node->kind) || m->param[param].rank == 1;
  if (m->optimizer.decay_weights_only && kept) return 0;
  return m->optimizer.weight_decay * node->decay;
}

static void nn__update_task(void *arg, size_t index, int thread)
{
  nn__flat *f = arg;
  nn_model *m = f->m;
  const size_t at = f->first + index * NN__FLAT_PIECE;
  (void)thread;
  const size_t n = nn__min(NN__FLAT_PIECE, f->last - at);
  nn_real *slot[3];
  for (int i = 0; i < 3; i++) slot[i] = m->slot[i] ? m->slot[i] + at : NULL;
  f->most[index] =
      (double)NN__DO(m->context.kernels, update)(&f->update, m->value + at, m->gradient + at, slot,
                                                 n);
  if (!(m->optimizer.average > 0) || !m->averaged) return;
  NN__DO(m->context.kernels, scale)(m->average + at, (nn_real)m->optimizer.average, n);
  NN__DO(m->context.kernels, axpy)(m->average + at, (nn_real)(1 - m->optimizer.average),
                                   m->value + at, n);
}

/* Moves each run of parameters whose rate and weight decay are the same by their layers' factors;
 * gives 0, or NaN if a parameter or its state is not finite any more. */
static double nn__update_groups(nn__flat *f, double rate, double correction)
{
  nn_model *m = f->m;
  double bad = 0, most;
  size_t from = 0;
  for (int i = 0, next; i < m->params; i = next) {
    const nn__param *p = &m->param[i];
    const double own = m->node[p->node].rate, decay = nn__decay_of(m, i);
    for (next = i + 1; next < m->params && m->param[next].buffer;) next++;
    if (p->buffer || (next < m->params && m->node[m->param[next].node].rate == own &&
                      nn__decay_of(m, next) == decay))
      continue; /* not the end of a run */
    const size_t to = nn__offset(m, p) + p->count;
    f->update.rate = (nn_real)(rate * own), f->update.decay = (nn_real)decay;
    f->update.correction1 = (nn_real)(rate * own / correction);
    if (own > 0)
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
      *value = (double)block[nn__offset(m, &m->param[i]) + k];
      if (!nn__finite(*value)) return &m->param[i];
    }
  return NULL;
}

/* What diverged, by how much, and why, or what may help; blamed: what made a NaN, or NULL. Failures
 * alone come here, so it may be slow. */
static nn_status nn__diverged(nn_model *m, const nn__node *blamed, const char *what,
                              const char *of, double value)
{
  if (blamed)
    return nn__error(m, NN_ERR_DIVERGED, "step %lld: %s%s is %g, for the callback of %s (%s) makes "
                     "a NaN or infinity of finite numbers", (long long)m->steps, what, of, value,
                     blamed->name, nn__code(blamed));
  return nn__error(m, NN_ERR_DIVERGED, "step %lld: %s%s is %g (largest finite gradient %g, rate "
                   "%g): lower the rate, or clip (clip_norm)", (long long)m->steps, what, of, value,
                   m->largest, nn_rate(m));
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
  return nn__diverged(m, p ? m->blamed : NULL, "the gradient of ", p ? p->name : "?", value);
}

static nn_status nn__bad_parameter(nn_model *m)
{
  double value = 0;
  const nn__param *p = nn__first_bad(m, m->value, &value);
  const char *const what = p ? "parameter " : "the optimizer's state of ";
  if (p && value != value && m->optimizer.eps < 1.2e-38 && m->optimizer.kind != NN_SGD)
    return nn__error(m, NN_ERR_DIVERGED, "step %lld: parameter %s is nan, for eps is %g and a "
                                         "gradient that was always 0 gives 0/0: set eps above 0",
                     (long long)m->steps, p->name, m->optimizer.eps);
  for (int i = 0; i < m->slots && !p; i++) p = nn__first_bad(m, m->slot[i], &value);
  return nn__diverged(m, NULL, what, p ? p->name : "?", value);
}

/* The reason is what is not finite first: what came in, a parameter, or a layer's output. */
static nn_status nn__bad_loss(nn_model *m, const nn_batch *b, double loss)
{
  double value = 0;
  int node = -1;
  const nn__param *p = nn__first_bad(m, m->value, &value);
  const nn__node *blamed = m->blamed;
  nn_message text;
  if (nn__forward(m, b, NN_INSPECTING, &node) != NN_OK) node = -1;
  if (node >= 0 && m->node[node].kind == NN__CUSTOM) blamed = &m->node[node];
  nn_reset_state(m); /* a carried NaN would come back for ever */
  const int samples = node >= 0 && nn__is_input(m->node[node].kind);
  int from = samples ? node : -1; /* where it came in */
  for (int i = m->loss; !p && node < 0 && from < 0 && i < m->nodes; i++)
    if (!nn__is_labelled(m->node[i].kind) && m->node[i].kind != NN__CUSTOM_LOSS &&
        nn__odd_target(m, &m->node[i], b->values, NULL, (size_t)b->n, b->lengths, 0, &value) !=
            SIZE_MAX)
      from = i;
  if (from >= 0)
    return nn__error(m, NN_ERR_DIVERGED, "step %lld: the loss is %g, for the %s given to %s hold a "
                     "NaN or infinity", (long long)m->steps, loss, samples ? "samples" : "targets",
                     m->node[from].name);
  nn__words(&text, "the loss");
  if (p) nn__words(&text, "parameter %s is %g and so the loss", p->name, value);
  else if (node >= 0 && !blamed)
    nn__words(&text, "the output of %s is not finite and so the loss", m->node[node].name);
  return nn__diverged(m, p ? NULL : blamed, text.text, "", loss);
}

nn_status nn_step(nn_model *m)
{
  if (!m || !m->built || !m->gradient)
    return nn__error(m, NN_ERR_STATE, "step: not built, or an inference model");
  if (nn__held(m)) return nn__error(m, NN_ERR_STATE, "step: %s", nn__held(m));
  const nn_optimizer *o = &m->optimizer;
  const nn_schedule *s = &o->schedule;
  const double momentum = nn_schedule_momentum(s, o->momentum, m->steps);
  const double beta1 = nn_schedule_momentum(s, o->beta1, m->steps);
  const double t = (double)(m->state_steps + 1), rate = nn_rate(m);
  double most;
  nn__flat f = {0};
  f.m = m, f.norm = o->clip_norm > 0;
  const double norm = nn__norm_pass(&f, &most);
  if (!nn__finite(most)) return nn__bad_gradient(m);
  m->largest = most;
  nn__update *u = &f.update;
  u->kind = (int)o->kind, u->nesterov = o->nesterov, u->amsgrad = o->amsgrad;
  u->momentum = (nn_real)momentum, u->alpha = (nn_real)o->alpha;
  u->beta1 = (nn_real)beta1, u->beta2 = (nn_real)o->beta2, u->eps = (nn_real)o->eps;
  u->rest = (nn_real)(1 - o->alpha), u->rest1 = (nn_real)(1 - beta1);
  u->rest2 = (nn_real)(1 - o->beta2);
  u->correction2 = (nn_real)(1 / sqrt(1 - pow(o->beta2, t)));
  /* a limit that a float cannot hold would be none */
  u->scale = 1, u->limit = (nn_real)(o->clip_value > 0 ? fmax(o->clip_value, 1.2e-38) : 0);
  if (f.norm && norm > o->clip_norm) {
    double scale = o->clip_norm / (norm + 1e-6);
    for (; scale > 0 && scale < 1e-30; scale = ldexp(scale, 64)) /* step by step, as floats go */
      NN__DO(m->context.kernels, scale)(m->gradient, (nn_real)ldexp(1, -64), m->values);
    u->scale = (nn_real)scale;
  }
  f.norm = 0;
  most = nn__update_groups(&f, rate, 1 - pow(beta1, t));
  if (o->average > 0 && !m->averaged++) memcpy(m->average, m->value, m->values * sizeof(nn_real));
  const nn_status status = nn__finite(most) ? NN_OK : nn__bad_parameter(m);
  m->steps++;
  m->state_steps++;
  return status;
}

/* ---- ranks -------------------------------------------------------------------------------- */

nn_status nn_set_ranks(nn_model *m, const nn_ranks *ranks)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (m->in_gradient) return nn__error(m, NN_ERR_STATE, "nn_set_ranks: not from on_gradient");
  nn_ranks r = {0};
  if (ranks) r = *ranks;
  if (r.ranks < 0 || r.ranks > NN_MAX_RANKS || r.rank < 0 || (r.rank && r.rank >= r.ranks) ||
      (r.ranks > 1 && !r.reduce))
    return nn__error(m, NN_ERR_ARGUMENT, "nn_set_ranks: rank %d of %d: of at most %d, below their "
                     "number, and with a reduce", r.rank, r.ranks, NN_MAX_RANKS);
  m->ranks = r, m->reduced = NN_OK;
  return NN_OK;
}
static int nn__ranks(const nn_model *m) { return m->ranks.ranks > 1 ? m->ranks.ranks : 1; }

/* What ranks add up beside gradients: who wants to stop, who failed with which status, and more. */
typedef struct nn__all {
  double stops, failed[-NN_ERR_DIVERGED + 1], who, lones, lone, loss, correct, rows;
} nn__all;

/* Adds it up. Any rank's failure becomes every rank's; one that is no divergence comes first. */
static nn_status nn__agree(nn_model *m, nn_status status, nn__all *all)
{
  const int known = status < 0 && status >= NN_ERR_DIVERGED;
  double count = 0;
  nn_status worst = NN_OK;
  if (m->ranks.ranks < 2) return status;
  if (status != NN_OK) all->failed[known ? -status : -NN_ERR_IO] = 1, all->who = m->ranks.rank;
  nn__reduce(m, all, sizeof *all / sizeof(double), sizeof(double));
  if (nn__reduced(m) != NN_OK)
    return nn__error(m, m->reduced < 0 ? m->reduced : NN_ERR_IO,
                     "the ranks cannot add up their numbers: %s", nn_status_text(m->reduced));
  for (int i = -NN_ERR_DIVERGED; i > 0; i--)
    if (all->failed[i] > 0) worst = (nn_status)-i, count += all->failed[i];
  if (worst == NN_OK || worst == status || (status != NN_OK && status != NN_ERR_DIVERGED))
    return status;
  return nn__error(m, worst, count > 1 ? "%d ranks failed: %s" : "rank %d failed: %s",
                   (int)(count > 1 ? count : all->who), nn_status_text(worst));
}

/* Checks a batch that is a part of a step's and adds to what the losses' means divide by. */
static nn_status nn__check_part(nn_model *m, const nn_batch *b, const char *who)
{
  nn_status status = nn__check_batch(m, b);
  if (status == NN_OK)
    status = nn__check_answers(m, b->labels, b->values, b->weights, NULL, (size_t)b->n, b->lengths,
                               who);
  if (status != NN_OK) return m->status = status;
  for (int i = m->loss; i < m->nodes; i++) {
    nn__loss_total(m, &m->node[i], b);
    m->node[i].whole += m->node[i].total;
  }
  return NN_OK;
}

/* Before a step: all ranks' parts are sound, and the means divide by those of all. */
static nn_status nn__agree_whole(nn_model *m, nn_status status, nn__all *all)
{
  for (int i = m->loss; i < m->nodes; i++)
    nn__reduce(m, &m->node[i].whole, 1, sizeof m->node[i].whole);
  return nn__agree(m, status, all);
}

/* What all ranks have counted. */
static void nn__put_figures(nn_evaluation *e, const nn__all *all)
{
  e->loss = all->loss, e->correct = (int64_t)all->correct, e->rows = (int64_t)all->rows;
  e->accuracy = e->rows ? (double)e->correct / (double)e->rows : 0;
}

/* After backward: this rank's part of the step's figures. */
static nn__all nn__step_figures(nn_model *m, const nn_evaluation *e)
{
  nn__all all = {0};
  for (int i = m->loss; i < m->nodes && m->ranks.ranks > 1; i++)
    m->node[i].totals = m->node[i].whole;
  all.loss = nn__tallied(m), all.correct = (double)e->correct, all.rows = (double)e->rows;
  return all;
}

/* Those of all, and whether the step may be made. Running statistics that are each rank's own
 * become their mean. */
static nn_status nn__agree_step(nn_model *m, nn_status status, nn__all all, nn_evaluation *e)
{
  const int own = m->ranks.ranks > 1 && m->ranks.own_norms;
  for (int scaled = 0; scaled < 2; scaled++) {
    for (int i = 0; i < m->params && own; i++) {
      const nn__param *p = &m->param[i];
      if (!p->buffer || m->node[p->node].kind != NN__BATCH_NORM) continue;
      if (scaled)
        NN__DO(m->context.kernels, scale)(p->value, 1 / (nn_real)m->ranks.ranks, p->count);
      else nn__reduce(m, p->value, p->count, sizeof *p->value);
    }
    if (!scaled) status = nn__agree(m, status, &all);
  }
  nn__put_figures(e, &all);
  return status;
}

/* This rank's share of a forward, where that has not been, and of a backward, in which it has no
 * samples or has failed. */
static void nn__idle(nn_model *m, int forward)
{
  if (m->ranks.ranks < 2) return;
  m->training = NN_TRAINING, m->ran = 0;
  if (forward) nn__share_rows(m, 0);
  for (int i = 0; i < m->nodes && forward; i++) nn__share_nothing(m, &m->node[i], 0);
  nn__backward_all(m, -1);
}

/* The next batch is no part of another. */
static void nn__whole_again(nn_model *m)
{
  m->whole_n = m->first_n = 0;
  for (int i = m->loss; i < m->nodes; i++) m->node[i].whole = 0;
}

/* After a failure before anything has moved. */
static void nn__forget_step(nn_model *m)
{
  nn_zero_gradients(m);
  nn_reset_state(m);
}

/* Forward, loss and backward. */
static nn_status nn__add_gradient(nn_model *m, const nn_batch *b, double *loss, int64_t *correct)
{
  double value = 0;
  nn_status status = nn_forward(m, b, 1);
  if (status == NN_OK) status = nn_loss(m, b, &value, correct);
  if (status != NN_OK || !nn__finite(value)) nn__idle(m, 0);
  if (status != NN_OK) return status;
  if (loss) *loss = value;
  if (!nn__finite(value)) return nn__bad_loss(m, b, value);
  status = nn_backward(m);
  if (status != NN_OK) nn__forget_step(m);
  return status;
}

/* The same of a batch that all ranks have a share of. */
static nn_status nn__add_share(nn_model *m, const nn_batch *b, double *loss, int64_t *correct)
{
  nn_evaluation e = {0};
  nn__all all = {0};
  if (!m->built || m->loss < 0) return nn__error(m, NN_ERR_STATE, "train: not built, or no loss");
  nn_status status = nn__check_part(m, b, "train");
  all.rows = b ? b->n : 0;
  status = nn__agree_whole(m, status, &all);
  if (status == NN_OK && all.rows > INT_MAX)
    status = nn__error(m, NN_ERR_LIMIT, "train: a step of %g samples, must be 2^31-1 or less, of "
                       "all ranks", all.rows);
  if (status == NN_OK) {
    const int64_t first = (int64_t)m->ranks.rank * b->n; /* of ranks with as many samples each */
    m->whole_n = (int)all.rows, m->first_n = first < m->whole_n ? (int)first : 0;
    m->unreduced = m->values;
    status = nn__add_gradient(m, b, NULL, &e.correct);
    nn__tally(m, 1), nn__tally(m, 0);
    status = nn__agree_step(m, status, nn__step_figures(m, &e), &e);
    if (status != NN_OK) nn__forget_step(m);
    if (loss) *loss = e.loss;
    if (correct) *correct = e.correct;
  }
  nn__whole_again(m);
  return status;
}

nn_status nn_train(nn_model *m, const nn_batch *b, double *loss, int64_t *correct)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (nn__held(m)) return nn__error(m, NN_ERR_STATE, "train: %s", nn__held(m));
  const int64_t before = m->steps;
  nn_status status = m->ranks.ranks > 1 ? nn__add_share(m, b, loss, correct)
                                        : nn__add_gradient(m, b, loss, correct);
  if (status != NN_OK) return status;
  status = nn_step(m);
  if (status != NN_OK && m->steps == before) nn__forget_step(m);
  return status;
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
  if (!m) return 0;
  return m->plateau_scale * nn_schedule_rate(&m->optimizer.schedule, m->optimizer.rate, m->steps);
}

static nn_status nn__averages(nn_model *m, const char *who)
{
  if (m && m->built && m->average && m->averaged) return NN_OK;
  return nn__error(m, NN_ERR_STATE, "%s: %s", who, m && m->built && m->average
                   ? "no step has been averaged" : "not built with nn_optimizer.average");
}

nn_status nn_swap_average(nn_model *m)
{
  const nn_status status = nn__averages(m, "nn_swap_average");
  if (status != NN_OK) return status;
  for (size_t i = 0; i < m->values; i++) {
    const nn_real value = m->value[i];
    m->value[i] = m->average[i], m->average[i] = value;
  }
  m->swapped = !m->swapped, m->ran = m->lost = 0;
  return NN_OK;
}

nn_status nn_keep_average(nn_model *m)
{
  const nn_status status = nn__averages(m, "nn_keep_average");
  if (status != NN_OK) return status;
  nn_real *const to = m->swapped ? m->average : m->value;
  memcpy(to, m->swapped ? m->value : m->average, m->values * sizeof *to);
  m->swapped = 0, m->ran = m->lost = 0;
  return NN_OK;
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

static nn_status nn__view(nn_model *m, const nn__param *q, nn_param *p)
{
  p->name = q->name, p->node = q->node, p->rank = q->rank, p->count = q->count;
  memcpy(p->dim, q->dim, sizeof p->dim);
  p->value = q->value;
  p->gradient = q->buffer || !m->gradient ? NULL : m->gradient + nn__offset(m, q);
  m->exposed = 1;
  return NN_OK;
}

nn_status nn_get_param(nn_model *m, int index, nn_param *p)
{
  if (!m || !p) return nn__error(m, NN_ERR_ARGUMENT, "nn_get_param: p is NULL");
  if (!m->built) return nn__error(m, NN_ERR_STATE, "nn_get_param: not built");
  const nn__param *q = index >= 0 ? nn__listed(m, index) : NULL;
  if (q) return nn__view(m, q, p);
  return nn__error(m, NN_ERR_ARGUMENT, "nn_get_param: index %d, must be 0..%d", index,
                   m->params - 1);
}

nn_status nn_find_param(nn_model *m, const char *name, nn_param *p)
{
  if (!m || !name || !p)
    return nn__error(m, NN_ERR_ARGUMENT, "nn_find_param: name or p is NULL");
  for (int i = 0; i < nn_param_count(m); i++)
    if (!strcmp(m->param[i].name, name)) return nn__view(m, &m->param[i], p);
  return nn__error(m, NN_ERR_ARGUMENT, "nn_find_param: no parameter is called %s", name);
}

nn_status nn_share_weights(nn_model *m, nn_model *from)
{
  if (!m || !from) return nn__error(m, NN_ERR_ARGUMENT, "nn_share_weights: `from` is NULL");
  if (!m->built || !from->built || !m->config.in_place)
    return nn__error(m, NN_ERR_STATE, "nn_share_weights: %s",
                     m->config.in_place ? "not built" : "needs config.in_place");
  for (int fill = 0; fill < 2; fill++)
    for (int i = 0; i < m->params; i++) {
      nn__param *p = &m->param[i], *q = from->param;
      while (q < from->param + from->params && strcmp(p->name, q->name)) q++;
      if (q == from->param + from->params || !q->value || p->rank != q->rank ||
          memcmp(p->dim, q->dim, sizeof p->dim))
        return nn__error(m, NN_ERR_SHAPE, "nn_share_weights: `from` has no such %s", p->name);
      if (fill) p->value = q->value;
    }
  m->ran = m->packed = 0, m->exposed = 1; /* they may change whenever `from` trains */
  return NN_OK;
}

nn_status nn_place_weights(nn_model *m, const nn_real *values, size_t count)
{
  if (!m || !m->built || !m->config.in_place)
    return nn__error(m, NN_ERR_STATE, "nn_place_weights: not built, or not of config.in_place");
  if (!values) return nn__error(m, NN_ERR_ARGUMENT, "nn_place_weights: values are NULL");
  if (count != m->values + m->buffers)
    return nn__error(m, NN_ERR_SHAPE, "nn_place_weights: %zu numbers, the model has %zu", count,
                     m->values + m->buffers);
  if ((uintptr_t)(const void *)values % sizeof *values)
    return nn__error(m, NN_ERR_ARGUMENT, "nn_place_weights: values must lie at a multiple of %zu "
                     "bytes", sizeof *values);
  const nn_real *at[2] = {values, values + m->values};
  for (int i = 0; i < m->params; i++) {
    nn__param *p = &m->param[i];
    nn__borrow(p, at[p->buffer]), at[p->buffer] += p->count;
  }
  m->ran = m->packed = 0;
  return NN_OK;
}

int nn_node_count(const nn_model *m) { return m ? m->nodes : 0; }

/* Multiply-adds of one sample's forward: each weight once for every pixel or step; a transposed
 * convolution's for every pixel of its input. */
static double nn__macs(const nn_model *m, const nn__node *node)
{
  if (!nn__is_conv(node->kind) && node->kind != NN__LINEAR && !nn__is_cell(node->kind)) return 0;
  double weights = 0;
  for (int i = node->param; i < node->param + node->params; i++)
    if (m->param[i].rank > 1) weights += (double)m->param[i].count;
  return weights * (double)(nn__is_turned(node) ? m->node[node->in[0]].rows : node->rows);
}

nn_status nn_get_node(const nn_model *m, int index, nn_node_info *info)
{
  if (!m || !info || index < 0 || index >= m->nodes) return NN_ERR_ARGUMENT;
  const nn__node *node = &m->node[index];
  memset(info, 0, sizeof *info);
  info->kind = nn__kind_text[node->kind], info->name = node->name;
  info->inputs = node->inputs, info->rank = node->rank;
  info->input[0] = node->in[0], info->input[1] = node->in[1];
  memcpy(info->dim, node->dim, sizeof info->dim);
  for (int i = node->param; i < node->param + node->params; i++)
    if (!m->param[i].buffer) info->params += m->param[i].count;
  info->macs = nn__macs(m, node);
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
  while (at < size && (step = nn__utf8(p + at, size - at)) > 0 &&
         (p[at] != 0xC2 || p[at + 1] >= 0xA0)) /* U+0080 .. U+009F tell terminals what to do */
    at += step;
  return at;
}

static int nn__good_key(const char *key)
{
  return nn__good_name(key, 31, '.') && !strchr("._-", *key);
}

/* The i-th note's key, and behind it its text; NULL past the last. */
const char *nn_note_key(const nn_model *m, int index)
{
  size_t at = 0;
  for (int i = 0; m && m->built && index >= 0 && at < m->notes_used; i++) {
    if (i == index) return m->notes + at;
    at += strlen(m->notes + at) + 1;
    at += strlen(m->notes + at) + 1;
  }
  return NULL;
}

const char *nn_note(const nn_model *m, const char *key)
{
  const char *at;
  for (int i = 0; key && (at = nn_note_key(m, i)) != NULL; i++)
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
  if (!m || !m->built) return nn__error(m, NN_ERR_STATE, "note: not built");
  if (!nn__good_key(key))
    return nn__error(m, NN_ERR_ARGUMENT,
                     "note: the key '%s' is not 1..31 letters, digits, '.', '_' or '-'", key);
  const size_t size = text ? strlen(text) : 0, bad = nn__bad_text(text, size);
  if (bad < size)
    return nn__error(m, NN_ERR_ARGUMENT, "note %s: byte %zu is not UTF-8, or a control character",
                     key, bad);
  const char *old = nn_note(m, key);
  const size_t length = strlen(key) + 1, gone = old ? length + strlen(old) + 1 : 0;
  char name[32]; /* the key may lie in what moves; a text that does is added before */
  memcpy(name, key, length);
  const int lies = (uintptr_t)(const void *)text - (uintptr_t)m->notes < m->notes_size;
  const size_t left = m->notes_size - m->notes_used + (lies ? 0 : gone);
  if (text && length + size + 1 > left)
    return nn__error(m, NN_ERR_LIMIT, "note %s: needs %zu bytes, %zu of config.notes are left", key,
                     length + size + 1, left);
  if (text && lies) nn__add_note(m, name, text, size);
  if (old) { /* what follows moves up */
    char *at = m->notes + (old - m->notes) - length;
    memmove(at, at + gone, (size_t)(m->notes + m->notes_used - (at + gone)));
    m->notes_used -= gone;
  }
  if (text && !lies) nn__add_note(m, name, text, size);
  return NN_OK;
}

nn_status nn_class_name(const nn_model *m, int label, char *name, size_t size)
{
  const char *at = nn_note(m, "classes");
  if (!m || !name || !size || label < 0) return NN_ERR_ARGUMENT;
  nn_message number;
  nn__words(&number, "%d", label);
  for (int i = 0; at && i < label; i++) {
    at = strchr(at, '\n');
    if (at) at++;
  }
  const int there = at && *at && *at != '\n';
  if (!there) at = number.text;
  size_t length = strcspn(at, "\n");
  if (length >= size) { /* cut between characters */
    length = size - 1;
    while (length && ((unsigned char)at[length] & 0xC0) == 0x80) length--;
  }
  memcpy(name, at, length);
  name[length] = 0;
  return there ? NN_OK : NN_ERR_STATE;
}

/* ======================================== @@DATA =========================================== */

/* ---- a cursor ----------------------------------------------------------------------------- */

/* One vocabulary reads, writes and counts: each word goes one step through the bytes, taking the
 * value from there or putting it there. After a failure nothing moves and what is read is zero. All
 * that is read here goes through it, so every message says where: "FILE OR SECTION, byte N: ..". */
typedef struct nn__io {
  nn_model *m;
  nn_progress progress;
  int checkpoint;
  int reading, wide;         /* bytes of a real */
  int big_endian;            /* an array's numbers: the highest byte is first */
  size_t at;                 /* bytes gone through, for messages too */
  const unsigned char *from; /* reading: the whole file */
  size_t end;                /* reading: where the present section ends */
  void (*sink)(void *to, const void *bytes, size_t size); /* writing; NULL: only counts */
  void *to;
  uint32_t crc;              /* writing: of the present section so far */
  size_t padding;            /* writing: bytes before PARM */
  const char *section;
  const nn_open_options *open; /* reading a description alone: how it is to be changed; or NULL */
  /* of the layer gone through; code: see nn__code */
  char name[NN__NAME_ROOM], code[NN__NAME_ROOM];
  nn_conv2d_options window;
  nn_status status;
  nn_message *why;
} nn__io;

#ifdef NN_NO_MESSAGES
static void nn__io_failed(nn__io *s, nn_status status)
{
  if (s->status == NN_OK) s->status = nn__tell(s->why, status);
}
#define nn__io_fail(s, status, ...) (NN__UNSAID(__VA_ARGS__), nn__io_failed(s, status))
#else
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
#endif

/* Takes a character, after spaces, if it comes next; ' ': only goes past spaces. */
static int nn__take(nn__io *s, char c)
{
  while (s->at < s->end && s->from[s->at] && strchr(" \t\r\n", s->from[s->at])) s->at++;
  if (s->status != NN_OK || s->at == s->end || s->from[s->at] != (unsigned char)c) return 0;
  s->at++;
  return 1;
}

static void nn__expect(nn__io *s, char c)
{
  const char text[2] = {c, 0};
  if (!nn__take(s, c)) nn__io_fail(s, NN_ERR_FORMAT, "%s expected", text);
}

static size_t nn__whole(nn__io *s)
{
  size_t x = 0, start;
  nn__take(s, ' ');
  for (start = s->at; s->at < s->end && s->from[s->at] >= '0' && s->from[s->at] <= '9'; s->at++)
    if (!nn__mul(x, 10, &x) || !nn__add_size(x, (size_t)(s->from[s->at] - '0'), &x))
      nn__io_fail(s, NN_ERR_LIMIT, "a number that does not fit in memory");
  if (s->at == start || (s->from[start] == '0' && s->at - start > 1))
    nn__io_fail(s, NN_ERR_FORMAT, "a whole number expected");
  return x;
}

/* How many numbers there are in brackets: [1,2,3] as in JSON, or a tuple of Python's, which may
 * have a comma after the last, and must have one after the only one. */
static int nn__wholes(nn__io *s, const char brackets[2], size_t *to, int most)
{
  const int tuple = *brackets == '(';
  int n = 0, comma = 1;
  nn__expect(s, brackets[0]);
  if (nn__take(s, brackets[1])) return 0;
  while (s->status == NN_OK && comma) {
    if (n == most) nn__io_fail(s, NN_ERR_LIMIT, "more than %d numbers", most);
    if (s->status == NN_OK) to[n++] = nn__whole(s);
    comma = nn__take(s, ',');
    if (tuple && comma && nn__take(s, ')')) return n;
  }
  nn__expect(s, brackets[1]);
  if (tuple && n == 1) nn__io_fail(s, NN_ERR_FORMAT, "(%zu) is not a tuple", to[0]);
  return n;
}

/* Takes a word, in quotes if `quote`, if it comes next; '\'' stands for quotes of either kind. */
static int nn__take_word(nn__io *s, const char *word, int quote)
{
  const size_t length = strlen(word), before = quote != 0;
  nn__take(s, ' ');
  const unsigned char *const at = s->from + s->at;
  if (s->status != NN_OK || !length || s->end - s->at < length + 2 * before ||
      memcmp(at + before, word, length))
    return 0;
  if (quote && ((*at != quote && (quote == '"' || *at != '"')) || at[length + 1] != *at)) return 0;
  s->at += length + 2 * before;
  return 1;
}

/* ---- arrays ------------------------------------------------------------------------------- */

static const nn_array nn__no_array; /* all zero */

/* Types of numbers by the names that NumPy and safetensors have for them: those of nn_type, whose
 * number is the index, then others that files may have. */
enum {
  NN__TYPE_F32 = NN_F32, NN__TYPE_F64, NN__TYPE_F16, NN__TYPE_BF16, /* have a fraction */
  NN__TYPE_I8, NN__TYPE_BOOL, NN__TYPE_I16, NN__TYPE_U16, NN__TYPE_U32, NN__TYPE_U64
};
static const struct nn__stored_type {
  char npy[4], name[8]; /* npy "": NumPy has no such type */
  unsigned char size, read_as; /* read_as: what an nn_array has for it; 0: it has none */
} nn__stored_type[] = {
    {"", "", 0, 0},            {"|u1", "U8", 1, NN_U8},    {"<i4", "I32", 4, NN_I32},
    {"<i8", "I64", 8, NN_I64}, {"<f4", "F32", 4, NN_F32},  {"<f8", "F64", 8, NN_F64},
    {"<f2", "F16", 2, NN_F32}, {"", "BF16", 2, 0},         {"|i1", "I8", 1, NN_I32},
    {"|b1", "BOOL", 1, NN_I32}, {"<i2", "I16", 2, NN_I32}, {"<u2", "U16", 2, NN_I32},
    {"<u4", "U32", 4, NN_F64}, {"<u8", "U64", 8, NN_F64},  {"", "C64", 8, 0},
    {"", "F8_E5M2", 1, 0},     {"", "F8_E4M3", 1, 0},      {"", "F8_E8M0", 1, 0}};
enum { NN__STORED_TYPES = sizeof nn__stored_type / sizeof *nn__stored_type };

static size_t nn__type_size(nn_type type)
{
  return (unsigned)type < NN__STORED_TYPES ? nn__stored_type[type].size : 0;
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

/* A half-precision float: 5 bits of exponent, 10 of fraction. */
static nn_real nn__half(uint64_t bits)
{
  const uint64_t sign = bits >> 15 << 31, exponent = bits >> 10 & 31, fraction = bits & 1023;
  const nn_real small = (nn_real)fraction / 16777216; /* a subnormal half: fraction / 2^24, exact */
  if (exponent == 0) return sign ? -small : small;
  return nn__real_of(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13, 4);
}

/* Number i of an array, which may still have its file's type. */
static double nn__number(const nn_array *a, size_t i)
{
  switch ((int)a->type) {
  case NN_U8: return ((const uint8_t *)a->data)[i];
  case NN_I32: return ((const int32_t *)a->data)[i];
  case NN_I64: return (double)((const int64_t *)a->data)[i];
  case NN_F32: return (double)((const float *)a->data)[i];
  case NN_F64: return ((const double *)a->data)[i];
  case NN__TYPE_F16: return (double)nn__half(((const uint16_t *)a->data)[i]);
  case NN__TYPE_I8: return ((const int8_t *)a->data)[i];
  case NN__TYPE_BOOL: return ((const uint8_t *)a->data)[i] != 0;
  case NN__TYPE_I16: return ((const int16_t *)a->data)[i];
  case NN__TYPE_U16: return ((const uint16_t *)a->data)[i];
  case NN__TYPE_U32: return ((const uint32_t *)a->data)[i];
  default: return (double)((const uint64_t *)a->data)[i];
  }
}

/* How many elements a shape has, and the bytes they take at so many each; 0 where these do not fit
 * in a size_t. */
static int nn__sizes_of(int rank, const size_t *dim, size_t each, size_t *count, size_t *bytes)
{
  int fits = 1;
  *count = 1;
  for (int i = 0; i < rank; i++) fits &= nn__mul(*count, dim[i], count);
  return fits & nn__mul(*count, each, bytes);
}

void nn_array_free(nn_array *a)
{
  if (a == NULL) return;
  nn__release(&a->allocator, a->data, a->count * nn__type_size(a->type));
  *a = nn__no_array;
}

/* An array with memory for its numbers; after an error an empty one. */
static nn_status nn__make_array(nn_array *a, nn_type type, int rank, const size_t *dim,
                                const nn_allocator *allocator, const char *what, nn_message *why)
{
  nn_array made = {type, rank, {0}, 0, NULL, nn__no_array.allocator};
  size_t bytes;
  *a = nn__no_array;
  if (allocator) made.allocator = *allocator;
  memcpy(made.dim, dim, (size_t)rank * sizeof *dim);
  if (nn__sizes_of(rank, dim, nn__type_size(type), &made.count, &bytes))
    made.data = nn__allocate(&made.allocator, bytes);
  if (!made.data)
    return nn__say(why, NN_ERR_MEMORY, "%s: out of memory for %zu bytes", what, bytes);
  *a = made;
  return NN_OK;
}

/* A copy of an array as I32, if it has whole numbers that fit, F32 or F64, from its allocator. */
static nn_status nn__convert(const nn_array *a, nn_type type, const char *what, nn_array *to,
                             nn_message *why)
{
  nn_array made;
  if (nn__make_array(&made, type, a->rank, a->dim, &a->allocator, what, why)) return NN_ERR_MEMORY;
  for (size_t i = 0; i < a->count; i++) {
    const double x = nn__number(a, i);
    if (type == NN_F32) ((float *)made.data)[i] = (float)x;
    else if (type == NN_F64) ((double *)made.data)[i] = x;
    else if (x >= INT32_MIN && x <= INT32_MAX && x == (int32_t)x)
      ((int32_t *)made.data)[i] = (int32_t)x;
    else {
      nn_array_free(&made);
      return nn__say(why, NN_ERR_FORMAT, "%s: labels are whole numbers of 32 bits, number %zu is "
                                         "%g", what, i, x);
    }
  }
  *to = made;
  return NN_OK;
}

static int nn__big_endian_machine(void)
{
  const uint16_t one = 1;
  return *(const unsigned char *)&one == 0;
}

/* Reverses the bytes of every element when the data's byte order is not the machine's. */
static void nn__to_machine_order(void *data, size_t count, size_t size, int big_endian)
{
  unsigned char *p = data;
  if (size == 1 || big_endian == nn__big_endian_machine()) return;
  for (size_t i = 0; i < count; i++, p += size)
    for (size_t j = 0; j < size / 2; j++) {
      const unsigned char byte = p[j];
      p[j] = p[size - 1 - j], p[size - 1 - j] = byte;
    }
}

/* Reads an array's type and shape; the cursor, which has the first bytes of `size`, is then where
 * the data begin. */
typedef void (*nn__head_reader)(nn__io *s, size_t size, nn_array *a);
enum { NN__HEAD = 1024 }; /* longest header read; NumPy's are 64, 128 or 192 bytes */

/* Sets a->count from the shape, and checks that exactly the data it promises follows. */
static void nn__check_count(nn__io *s, size_t size, nn_array *a)
{
  if (s->status != NN_OK) return;
  const size_t follow = size - s->at, each = nn__stored_type[a->type].size;
  size_t bytes;
  if (!nn__sizes_of(a->rank, a->dim, each, &a->count, &bytes))
    nn__io_fail(s, NN_ERR_LIMIT, "the shape in the header has more elements than fit in memory");
  else if (bytes != follow)
    nn__io_fail(s, NN_ERR_FORMAT, "the header promises %zu bytes, %zu are there: %s", bytes, follow,
                follow < bytes ? "cut short" : "not one whole array");
}

/* IDX: two zero bytes, type, rank, then rank sizes and the elements, all big-endian. */
static void nn__idx_head(nn__io *s, size_t size, nn_array *a)
{
  (void)size;
  static const unsigned char types[] = /* from 8 */
      {NN_U8, NN__TYPE_I8, 0, NN__TYPE_I16, NN_I32, NN_F32, NN_F64};
  const unsigned char *p = s->from;
  if (s->end < 4) nn__io_fail(s, NN_ERR_FORMAT, "%zu bytes are too few for an IDX header", s->end);
  else if (p[0] || p[1])
    nn__io_fail(s, NN_ERR_FORMAT, p[0] == 0x1f && p[1] == 0x8b
                ? "compressed by gzip; unpack it first" : p[0] == 'P' && p[1] == 'K'
                ? "a zip archive; save each array of an npz by itself, by numpy.save"
                : "no IDX data, which starts with two zeros; numpy.save writes any array as npy");
  if (s->status != NN_OK) return;
  s->at = 2;
  if (p[2] < 8 || p[2] > 14 || p[2] == 10)
    nn__io_fail(s, NN_ERR_FORMAT, "IDX type 0x%x is not 0x8, 0x9 or 0xb .. 0xe", (unsigned)p[2]);
  s->at = 3;
  if (p[3] < 1 || p[3] > 8) nn__io_fail(s, NN_ERR_FORMAT, "rank %d is not 1 .. 8", (int)p[3]);
  s->at = s->end;
  if (s->end < 4 + 4 * (size_t)p[3])
    nn__io_fail(s, NN_ERR_FORMAT, "the header ends before its %d sizes", (int)p[3]);
  if (s->status != NN_OK) return;
  a->type = (nn_type)types[p[2] - 8], a->rank = p[3], s->at = 4, s->big_endian = 1;
  for (int i = 0; i < a->rank; i++, s->at += 4)
    for (int k = 0; k < 4; k++) a->dim[i] = a->dim[i] << 8 | p[s->at + (size_t)k];
}

/* What describes an array: a dictionary of Python's, as npy has it, or an object of JSON's, as
 * safetensors have it. Both have three keys in any order. place: for JSON's offsets; or NULL: it is
 * Python's, with True or False in their place. */
static void nn__describe(nn__io *s, nn_array *a, size_t place[2])
{
  static const char *const keys[2][3] = {{"descr", "shape", "fortran_order"},
                                         {"dtype", "shape", "data_offsets"}};
  const int json = place != NULL, quote = json ? '"' : '\'';
  const char *const *const own = keys[json];
  unsigned seen = 0;
  int more = 1;
  nn__expect(s, '{');
  while (s->status == NN_OK && more) {
    int key = 0, type = 1;
    while (key < 3 && !nn__take_word(s, own[key], quote)) key++;
    if (key == 3 || seen & 1u << key)
      nn__io_fail(s, NN_ERR_FORMAT, "%s, %s or %s expected, each once", own[0], own[1], own[2]);
    seen |= 1u << key;
    nn__expect(s, ':');
    if (key == 0) {
      nn__take(s, ' ');
      s->big_endian = !json && s->end - s->at > 1 && s->from[s->at + 1] == '>';
      for (; type < NN__STORED_TYPES; type++) {
        const struct nn__stored_type *const t = &nn__stored_type[type];
        char npy[4];
        memcpy(npy, t->npy, sizeof npy);
        if (s->big_endian && *npy == '<') *npy = '>';
        if (nn__take_word(s, json ? t->name : npy, quote)) break;
      }
      if (type == NN__STORED_TYPES)
        nn__io_fail(s, NN_ERR_FORMAT, json ? "a dtype that is not known"
                    : "the type is no number's; save x.astype('float32'), or of names "
                      "numpy.unique(x, return_inverse=True)[1]");
      else a->type = (nn_type)type;
    } else if (key == 1) {
      a->rank = nn__wholes(s, json ? "[]" : "()", a->dim, 8);
    } else if (json) {
      if (nn__wholes(s, "[]", place, 2) != 2)
        nn__io_fail(s, NN_ERR_FORMAT, "two data_offsets expected");
    } else if (nn__take_word(s, "True", 0)) {
      nn__io_fail(s, NN_ERR_FORMAT, "Fortran order; save numpy.ascontiguousarray(x) instead");
    } else if (!nn__take_word(s, "False", 0)) {
      nn__io_fail(s, NN_ERR_FORMAT, "True or False expected");
    }
    more = nn__take(s, ',');
    nn__take(s, ' ');
    if (!json && more) more = s->at == s->end || s->from[s->at] != '}'; /* a comma may be last */
  }
  nn__expect(s, '}');
  if (seen != 7)
    nn__io_fail(s, NN_ERR_FORMAT, "%s, %s or %s is missing", own[0], own[1], own[2]);
}

/* npy: "\x93NUMPY", version, length of the header (2 bytes, from version 2 on 4, little-endian),
 * header, data. Version 3 only allows other characters in names that are not read here. */
static void nn__npy_head(nn__io *s, size_t size, nn_array *a)
{
  const unsigned char *p = s->from;
  if (s->end < 10 || memcmp(p, "\x93NUMPY", 6)) {
    nn__io_fail(s, NN_ERR_FORMAT, "no npy data, which starts with \\x93NUMPY");
    return;
  }
  s->at = 6;
  if (p[6] < 1 || p[6] > 3 || p[7])
    nn__io_fail(s, NN_ERR_FORMAT, "npy version %d.%d is not 1.0, 2.0 or 3.0", p[6], p[7]);
  s->at = p[6] == 1 ? 10 : 12;
  size_t length = (size_t)p[8] | (size_t)p[9] << 8;
  if (p[6] > 1 && s->end >= 12) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
  if (s->end < s->at || length > size - s->at) nn__io_fail(s, NN_ERR_FORMAT, "cut short");
  else if (length > NN__HEAD - s->at)
    nn__io_fail(s, NN_ERR_LIMIT, "a header of %zu bytes; at most %zu are read", length,
                NN__HEAD - s->at);
  if (s->status != NN_OK) return;
  s->end = s->at + length;
  nn__describe(s, a, NULL);
  while (s->at < s->end && p[s->at] == ' ') s->at++;
  if (s->at + 1 != s->end || p[s->at] != '\n')
    nn__io_fail(s, NN_ERR_FORMAT, "} is not followed by spaces and one line end");
  s->at = s->end;
}

#if !defined NN_NO_STDIO || !defined NN_NO_EXPORT
/* Writes the header of an npy file of version 1: its bytes. The numbers follow, the lowest byte of
 * each first. */
enum { NN__NPY_HEAD = 320 }; /* at most 64 + 8 * 22 bytes, and padding */
static size_t nn__npy_header(unsigned char head[NN__NPY_HEAD], nn_type type, int rank,
                             const size_t *dim)
{
  nn__text t = {(char *)head, NN__NPY_HEAD, 10};
  nn__put_string(&t, "{'descr': '");
  nn__put_string(&t, nn__stored_type[type].npy);
  nn__put_string(&t, "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < rank; i++) {
    nn__put_number(&t, dim[i], 10);
    nn__put_string(&t, i + 1 < rank ? ", " : rank == 1 ? "," : "");
  }
  nn__put_string(&t, "), }");
  while (t.used % 64 != 63) nn__put_char(&t, ' '); /* NumPy aligns the data to 64 bytes */
  nn__put_char(&t, '\n');
  memcpy(head, "\x93NUMPY\1\0", 8);
  head[8] = (unsigned char)((t.used - 10) & 255), head[9] = (unsigned char)((t.used - 10) >> 8);
  return t.used;
}
#endif

/* Reads the header, allocates the data and fills in those that are there behind it, which end at
 * byte `there` of `size`. */
static nn_status nn__new_array(nn__io *s, size_t there, size_t size, nn__head_reader read_head,
                               const nn_allocator *allocator, nn_array *out)
{
  nn_array a = nn__no_array;
  s->end = there;
  read_head(s, size, &a);
  nn__check_count(s, size, &a);
  if (s->status != NN_OK ||
      nn__make_array(out, a.type, a.rank, a.dim, allocator, s->section, s->why))
    return s->status ? s->status : NN_ERR_MEMORY;
  memcpy(out->data, s->from + s->at, there - s->at);
  return NN_OK;
}

/* Makes of an array as it is in a file one in the machine's byte order, of a type of nn_type. */
static nn_status nn__settle(nn__io *s, nn_array *a)
{
  const nn_type type = (nn_type)nn__stored_type[a->type].read_as;
  nn_array made = nn__no_array;
  nn__to_machine_order(a->data, a->count, nn__type_size(a->type), s->big_endian);
  if (a->type == type) return NN_OK;
  const nn_status status = nn__convert(a, type, s->section, &made, s->why);
  nn_array_free(a);
  *a = made;
  return status;
}

static nn_status nn__parse(const void *bytes, size_t size, const char *name,
                           nn__head_reader read_head, const nn_allocator *allocator, nn_array *out,
                           nn_message *why)
{
  nn__io s = {0};
  if (out == NULL) return nn__say(why, NN_ERR_ARGUMENT, "%s: no array to read into", name);
  *out = nn__no_array;
  if (bytes == NULL) return nn__say(why, NN_ERR_ARGUMENT, "%s: no bytes given", name);
  s.section = name, s.from = bytes, s.why = why;
  const nn_status status = nn__new_array(&s, size, size, read_head, allocator, out);
  return status == NN_OK ? nn__settle(&s, out) : status;
}

nn_status nn_idx_parse(const void *bytes, size_t size, const nn_allocator *allocator, nn_array *out,
                       nn_message *why)
{
  return nn__parse(bytes, size, "IDX data", nn__idx_head, allocator, out, why);
}

nn_status nn_npy_parse(const void *bytes, size_t size, const nn_allocator *allocator, nn_array *out,
                       nn_message *why)
{
  return nn__parse(bytes, size, "npy data", nn__npy_head, allocator, out, why);
}

/* ---- CIFAR-10 ----------------------------------------------------------------------------- */

enum { NN__CIFAR10 = 3073 }; /* bytes of a record */

static uint8_t nn__luma(int red, int green, int blue) /* ITU-R BT.601, rounded */
{
  return (uint8_t)((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

/* Checks the label of record k of what messages call `name`, and puts its pixels, as they are or
 * gray, at *to, which goes on to the next image. */
static nn_status nn__cifar10_record(const uint8_t *record, size_t k, int gray, uint8_t **to,
                                    const char *name, nn_message *why)
{
  const uint8_t *r = record + 1, *g = r + 1024, *b = g + 1024;
  if (*record > 9)
    return nn__say(why, NN_ERR_FORMAT, "%s, byte %zu: label %d is not 0 .. 9", name,
                   k * NN__CIFAR10, (int)*record);
  if (!gray) memcpy(*to, r, 3072);
  for (int j = 0; gray && j < 1024; j++) (*to)[j] = nn__luma(r[j], g[j], b[j]);
  *to += gray ? 1024 : 3072;
  return NN_OK;
}

nn_status nn_cifar10_parse(const void *bytes, size_t size, int gray, const nn_allocator *allocator,
                           nn_array *pixels, nn_array *labels, nn_message *why)
{
  const uint8_t *record = bytes;
  const size_t count = size / NN__CIFAR10, dim[4] = {count, gray ? 1 : 3, 32, 32};
  if (pixels) *pixels = nn__no_array;
  if (labels) *labels = nn__no_array;
  if (bytes == NULL || pixels == NULL || labels == NULL)
    return nn__say(why, NN_ERR_ARGUMENT, "CIFAR-10 data: no bytes, or no arrays to read into");
  if (size == 0 || size % NN__CIFAR10)
    return nn__say(why, NN_ERR_FORMAT, "CIFAR-10 data, byte %zu: %zu bytes are not whole records "
                   "of 3073 bytes", count * NN__CIFAR10, size);
  nn_status status = nn__make_array(pixels, NN_U8, 4, dim, allocator, "CIFAR-10 data", why);
  if (status == NN_OK)
    status = nn__make_array(labels, NN_U8, 1, dim, allocator, "CIFAR-10 data", why);
  uint8_t *to = pixels->data;
  for (size_t i = 0; i < count && status == NN_OK; i++, record += NN__CIFAR10) {
    ((uint8_t *)labels->data)[i] = *record;
    status = nn__cifar10_record(record, i, gray, &to, "CIFAR-10 data", why);
  }
  if (status != NN_OK) nn_array_free(pixels), nn_array_free(labels);
  return status;
}

/* ---- files -------------------------------------------------------------------------------- */
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
  int64_t end = 0;
  if (path == NULL) return nn__say(why, NN_ERR_ARGUMENT, "no path given");
  if (!nn__regular(path))
    return nn__say(why, NN_ERR_IO, "%s: not a regular file", nn__path_end(path));
  errno = 0;
  FILE *const f = nn__fopen(path, 0);
  if (f == NULL) return nn__file_failed(why, path, "cannot open");
  /* A directory opens on POSIX, and has a size there, but cannot be read. */
  if (getc(f) == EOF && ferror(f)) status = nn__file_failed(why, path, "cannot read");
  else if ((end = nn__file_size(f)) < 0)
    status = nn__file_failed(why, path, "cannot find its size");
  else if ((uint64_t)end > limit)
    status = nn__say(why, NN_ERR_LIMIT, "%s: larger than the %zu bytes that are read at most",
                     nn__path_end(path), limit);
  *file = f, *size = (size_t)end;
  if (status != NN_OK) fclose(f);
  return status;
}

/* Reads exactly size bytes from a file that is at byte `at`. */
static nn_status nn__read(FILE *f, const char *path, size_t at, void *to, size_t size,
                          nn_message *why)
{
  errno = 0;
  const size_t got = size ? fread(to, 1, size, f) : 0;
  if (got == size) return NN_OK;
  if (ferror(f)) return nn__file_failed(why, path, "cannot read");
  return nn__say(why, NN_ERR_IO, "%s, byte %zu: became shorter while it was read",
                 nn__path_end(path), at + got);
}

#define NN__ARRAY_LIMIT (SIZE_MAX / 2 < 0xFFFFFFFFu ? SIZE_MAX / 2 : 0xFFFFFFFFu) /* 4 GiB */

/* The header from the file's first bytes, which tell the format where read_head is NULL, then the
 * data straight to where they belong. */
static nn_status nn__load_array(const char *path, size_t limit, nn__head_reader read_head,
                                const nn_allocator *allocator, nn_array *out, nn_message *why)
{
  unsigned char head[NN__HEAD];
  nn__io s = {0};
  size_t size;
  FILE *f;
  if (out == NULL) return nn__say(why, NN_ERR_ARGUMENT, "no array to read into");
  *out = nn__no_array;
  nn_status status = nn__open(path, limit, &f, &size, why);
  if (status != NN_OK) return status;
  const size_t there = nn__min(size, sizeof head);
  s.section = nn__path_end(path), s.from = head, s.why = why;
  status = nn__read(f, path, 0, head, there, why);
  if (!read_head) read_head = there && *head == 0x93 ? nn__npy_head : nn__idx_head;
  if (status == NN_OK) status = nn__new_array(&s, there, size, read_head, allocator, out);
  if (status == NN_OK)
    status = nn__read(f, path, there, (unsigned char *)out->data + (there - s.at), size - there,
                      why);
  fclose(f);
  if (status == NN_OK) status = nn__settle(&s, out);
  if (status != NN_OK) nn_array_free(out);
  return status;
}

/* A file's bytes as they are, without a header. */
static void nn__no_head(nn__io *s, size_t size, nn_array *a)
{
  (void)s;
  a->type = NN_U8, a->rank = 1, a->dim[0] = size;
}
nn_status nn_file_read(const char *path, size_t limit, const nn_allocator *allocator, nn_array *out,
                       nn_message *why)
{
  return nn__load_array(path, limit, nn__no_head, allocator, out, why);
}
nn_status nn_idx_load(const char *path, const nn_allocator *allocator, nn_array *out,
                      nn_message *why)
{
  return nn__load_array(path, NN__ARRAY_LIMIT, nn__idx_head, allocator, out, why);
}

nn_status nn_npy_load(const char *path, const nn_allocator *allocator, nn_array *out,
                      nn_message *why)
{
  return nn__load_array(path, NN__ARRAY_LIMIT, nn__npy_head, allocator, out, why);
}

enum { NN__LONGEST_PATH = 1019 }; /* of a file to write, in bytes: it lies on the stack */
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

/* A file that appears under its name only when it is whole and on the disk. After a failure the
 * temporary file is gone and later calls do nothing, so the caller checks nn__write_end alone. */
typedef struct nn__writer {
  const char *path;
  nn_message *why;
  nn_status status;
  FILE *file;
  int taken; /* what nn__take_file gave */
  int keeps; /* 1: the file that is there becomes path.previous */
  nn__beside temporary;
} nn__writer;

/* Gives up: the old file stays as it was. */
static void nn__write_stop(nn__writer *w)
{
  if (w->file) fclose(w->file);
  w->file = NULL;
  nn__remove(w->temporary.path);
  nn__give_file(w->taken);
}

static void nn__write_failed(nn__writer *w, const char *what)
{
  w->status = nn__file_failed(w->why, w->path, what);
  nn__write_stop(w);
}

static void nn__write_begin(nn__writer *w, const char *path, nn_message *why)
{
  const size_t length = path ? strlen(path) : 0;
  w->path = path, w->why = why, w->status = NN_OK, w->file = NULL, w->keeps = 0;
  if (length == 0) w->status = nn__say(why, NN_ERR_ARGUMENT, "no path given");
  else if (length > NN__LONGEST_PATH)
    w->status = nn__say(why, NN_ERR_LIMIT, "a path of %zu bytes is too long: %d at most", length,
                        NN__LONGEST_PATH);
  else if (!nn__regular(path)) /* to rename over a device or a directory would replace or fail */
    w->status = nn__say(why, NN_ERR_IO, "%s: not a regular file", nn__path_end(path));
  if (w->status != NN_OK) return;
  const char *const temporary = nn__beside_of(&w->temporary, path, ".tmp");
  errno = 0;
  w->taken = nn__take_file(temporary, path);
  if (w->taken < 0) {
    w->status = nn__file_failed(why, temporary, "cannot write");
    return;
  }
  w->file = nn__fopen(temporary, 1);
  if (w->file == NULL) nn__write_failed(w, "cannot write");
}

static void nn__write(nn__writer *w, const void *bytes, size_t size)
{
  if (w->status != NN_OK || size == 0) return;
  errno = 0;
  if (fwrite(bytes, 1, size, w->file) != size) nn__write_failed(w, "cannot write");
}

static nn_status nn__write_end(nn__writer *w)
{
  const char *const path = w->path;
  nn__beside previous;
  if (w->status != NN_OK) return w->status;
  errno = 0;
  if (fflush(w->file) != 0 || !nn__sync(w->file)) {
    nn__write_failed(w, "cannot write");
    return w->status;
  }
  const int closed = fclose(w->file);
  w->file = NULL;
  if (closed != 0) nn__write_failed(w, "cannot write");
  else if (w->keeps && nn__exists(path) &&
           !nn__replace(path, nn__beside_of(&previous, path, ".previous")))
    nn__write_failed(w, "cannot rename the old file to .previous");
  else if (nn__replace(w->temporary.path, path)) {
    nn__give_file(w->taken);
    nn__sync_folder(w->temporary.path);
  } else if (!w->keeps) nn__write_failed(w, "cannot rename the new file to this name");
  else { /* .tmp is one of the two that are whole, and nn_resume finds it */
    w->status = nn__file_failed(w->why, path, "cannot rename .tmp to this name");
    nn__give_file(w->taken);
  }
  return w->status;
}

nn_status nn_file_write(const char *path, const void *bytes, size_t size, nn_message *why)
{
  nn__writer w;
  if (bytes == NULL && size > 0) return nn__say(why, NN_ERR_ARGUMENT, "no bytes given");
  nn__write_begin(&w, path, why);
  nn__write(&w, bytes, size);
  return nn__write_end(&w);
}

nn_status nn_npy_save(const char *path, const nn_array *a, nn_message *why)
{
  unsigned char head[NN__NPY_HEAD];
  nn__writer w;
  size_t count, bytes = 0;
  const int sound = a && a->rank >= 0 && a->rank <= 8 && (unsigned)a->type <= NN_F64;
  const size_t size = sound ? nn__type_size(a->type) : 0;
  if (size == 0 || !nn__sizes_of(a->rank, a->dim, size, &count, &bytes) || count != a->count ||
      (bytes && !a->data))
    return nn__say(why, NN_ERR_ARGUMENT, "nn_npy_save: type, shape, count and data do not agree");
  nn__write_begin(&w, path, why);
  nn__write(&w, head, nn__npy_header(head, a->type, a->rank, a->dim));
  if (!nn__big_endian_machine()) nn__write(&w, a->data, bytes);
  for (size_t done = 0; nn__big_endian_machine() && done < bytes; done += count) {
    count = nn__min(bytes - done, sizeof head); /* turned round a part at a time */
    memcpy(head, (const unsigned char *)a->data + done, count);
    nn__to_machine_order(head, count / size, size, 0);
    nn__write(&w, head, count);
  }
  return nn__write_end(&w);
}
#endif

/* ---- data sets and batches ---------------------------------------------------------------- */

nn_dataset nn_dataset_pixels(const uint8_t *pixels, const int32_t *labels, int count, int channels,
                             int height, int width)
{
  nn_dataset d = {0};
  d.count = count, d.channels = channels, d.height = height, d.width = width;
  d.pixels = pixels, d.labels = labels;
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
  nn_dataset d = {0};
  nn_array copy[2] = {nn__no_array, nn__no_array}, *const own[2] = {x, y};
  const nn_type real = NN__DOUBLE ? NN_F64 : NN_F32;
  int last = 0;
  nn_status status = nn__images_shape(x, &d, &last, x_name, why);
  if (status != NN_OK) return status;
  if (y && (y->rank < 1 || y->rank > 2 || !y->count))
    return nn__say(why, NN_ERR_FORMAT, "%s: not labels [n], or rows of labels [n,t]", y_name);
  if (y && y->dim[0] != x->dim[0])
    return nn__say(why, NN_ERR_FORMAT, "%s: not one label, or row of labels, for each of the %zu "
                                       "images: there are %zu", y_name, x->dim[0], y->dim[0]);
  if (y && y->type != NN_I32) status = nn__convert(y, NN_I32, y_name, &copy[1], why);
  if (status == NN_OK && x->type != NN_U8 && x->type != real)
    status = nn__convert(x, real, x_name, &copy[0], why);
  if (status == NN_OK && last)
    status = nn__channels_first(copy[0].data ? &copy[0] : x, &d, x_name, why);
  for (int k = 0; k < 2; k++) { /* of an array and its copy one is left */
    if (copy[k].data) nn_array_free(status == NN_OK ? own[k] : &copy[k]);
    if (status != NN_OK || !own[k]) continue;
    d.owned[k] = copy[k].data ? copy[k] : *own[k], *own[k] = nn__no_array;
  }
  if (status != NN_OK) return status;
  if (d.owned[0].type == NN_U8) d.pixels = d.owned[0].data;
  else d.values = d.owned[0].data;
  d.labels = d.owned[1].data;
  if (d.owned[1].rank == 2) d.label_size = d.owned[1].dim[1];
  *out = d;
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
nn_status nn_dataset_load(const char *images, const char *labels, const nn_allocator *allocator,
                          nn_dataset *out, nn_message *why)
{
  if (!images || !labels || !out) return nn__say(why, NN_ERR_ARGUMENT, "a NULL argument");
  nn_array x = nn__no_array, y = nn__no_array;
  memset(out, 0, sizeof *out);
  nn_status status = nn__load_array(images, NN__ARRAY_LIMIT, NULL, allocator, &x, why);
  if (status == NN_OK) status = nn__load_array(labels, NN__ARRAY_LIMIT, NULL, allocator, &y, why);
  if (status == NN_OK)
    status = nn__dataset_of(&x, &y, nn__path_end(images), nn__path_end(labels), out, why);
  nn_array_free(&x), nn_array_free(&y); /* empty, or what is of no use */
  return status;
}

/* Opens the k-th file of CIFAR-10 in a folder (5: the tests): its path and number of records. */
static nn_status nn__cifar10_open(const char *folder, int k, nn__beside *to, FILE **f,
                                  size_t *records, nn_message *why)
{
  static const char *const names[6] = {
      "/data_batch_1.bin", "/data_batch_2.bin", "/data_batch_3.bin",
      "/data_batch_4.bin", "/data_batch_5.bin", "/test_batch.bin"};
  size_t size = 0;
  if (strlen(folder) + strlen(names[k]) > NN__LONGEST_PATH)
    return nn__say(why, NN_ERR_LIMIT, "%s: a path that is too long", nn__path_end(folder));
  const char *const path = nn__beside_of(to, folder, names[k]);
  const nn_status status = nn__open(path, SIZE_MAX, f, &size, why);
  *records = size / NN__CIFAR10;
  if (status != NN_OK || (size && size % NN__CIFAR10 == 0)) return status;
  fclose(*f);
  return nn__say(why, NN_ERR_FORMAT, "%s: %zu bytes are not whole records of 3073: cut short?",
                 nn__path_end(path), size);
}

/* Goes through the files twice: counts their records, then reads these straight to where they
 * belong. A file that became shorter meanwhile is one that cannot be read. */
static nn_status nn__cifar10_load(const char *folder, int test, int gray, uint8_t *record,
                                  const nn_allocator *allocator, nn_array *x, nn_array *y,
                                  nn_message *why)
{
  nn__beside path;
  size_t dim[4] = {0, gray ? 1 : 3, 32, 32}, records[6] = {0};
  uint8_t *pixels = NULL;
  nn_status status = NN_OK;
  for (int fill = 0; fill < 2 && status == NN_OK; fill++) {
    size_t done = 0, now = 0;
    for (int k = test ? 5 : 0; k < (test ? 6 : 5) && status == NN_OK; k++) {
      FILE *f = NULL;
      status = nn__cifar10_open(folder, k, &path, &f, &now, why);
      if (status != NN_OK) return status;
      if (!fill) records[k] = now, dim[0] += now;
      for (size_t i = 0; fill && i < records[k] && status == NN_OK; i++) {
        status = nn__read(f, path.path, i * NN__CIFAR10, record, NN__CIFAR10, why);
        ((int32_t *)y->data)[done++] = *record;
        if (status == NN_OK)
          status = nn__cifar10_record(record, i, gray, &pixels, nn__path_end(path.path), why);
      }
      fclose(f);
    }
    if (fill || status != NN_OK) continue;
    if (dim[0] > INT_MAX)
      return nn__say(why, NN_ERR_LIMIT, "%s: %zu images are too many", nn__path_end(folder),
                     dim[0]);
    status = nn__make_array(x, NN_U8, 4, dim, allocator, "CIFAR-10", why);
    if (status == NN_OK) status = nn__make_array(y, NN_I32, 1, dim, allocator, "CIFAR-10", why);
    pixels = x->data;
  }
  return status;
}

nn_status nn_dataset_load_cifar10(const char *folder, int test, int gray,
                                  const nn_allocator *allocator, nn_dataset *out, nn_message *why)
{
  if (!folder || !out) return nn__say(why, NN_ERR_ARGUMENT, "a NULL argument");
  const size_t size = NN__CIFAR10; /* no stack for it */
  nn_array x = nn__no_array, y = x, record;
  memset(out, 0, sizeof *out);
  nn_status status = nn__make_array(&record, NN_U8, 1, &size, allocator, "CIFAR-10", why);
  if (status != NN_OK) return status;
  status = nn__cifar10_load(folder, test, gray, record.data, allocator, &x, &y, why);
  nn_array_free(&record);
  if (status == NN_OK) {
    *out = nn_dataset_pixels(x.data, y.data, (int)x.dim[0], (int)x.dim[1], 32, 32);
    out->owned[0] = x, out->owned[1] = y;
  } else
    nn_array_free(&x), nn_array_free(&y);
  return status;
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

/* One image [c,H,W] in place: gray, then resized by way of `room`, then cut to its middle. No size
 * of t is 0. */
static void nn__transform_image(uint8_t *x, int c, int H, int W, const nn_transform *t,
                                uint8_t *room)
{
  const int h = t->height, w = t->width, maps = t->gray ? 1 : c;
  const size_t plane = (size_t)H * (size_t)W, tall = (size_t)t->crop_height;
  const size_t top = (size_t)(h - t->crop_height) / 2, left = (size_t)(w - t->crop_width) / 2;
  const uint8_t *from = h != H || w != W ? room : x;
  for (size_t p = 0; t->gray && p < plane; p++)
    x[p] = nn__luma(x[p], x[p + plane], x[p + 2 * plane]);
  for (int k = 0, at = 0; k < maps && from == room; k++)
    for (int i = 0; i < h; i++)
      for (int j = 0; j < w; j++, at++)
        room[at] = (uint8_t)(nn__area_mean(x + (size_t)k * plane, H, W, h, w, i, j) + .5);
  for (size_t i = 0; i < (size_t)maps * tall; i++, x += t->crop_width)
    memmove(x, from + (i / tall * (size_t)h + i % tall + top) * (size_t)w + left,
            (size_t)t->crop_width);
}

nn_status nn_dataset_transform(nn_dataset *d, const nn_transform *t, nn_message *why)
{
  if (!d || !t || !d->pixels || d->owned[0].data != d->pixels || !nn__plane(d) ||
      (d->labels && d->owned[1].data != d->labels) || d->targets || d->lengths || d->only ||
      d->fill || d->weights)
    return nn__say(why, NN_ERR_ARGUMENT, "transform: not a set of pixels and labels of its own");
  nn_transform own = *t;
  if (!own.height) own.height = d->height;
  if (!own.width) own.width = d->width;
  if (!own.crop_height) own.crop_height = own.height;
  if (!own.crop_width) own.crop_width = own.width;
  if (!own.every) own.every = 1;
  own.gray = t->gray && d->channels == 3;
  const int h = own.height, w = own.width, ch = own.crop_height, cw = own.crop_width;
  if (h < 1 || w < 1 || h > d->height || w > d->width || ch < 1 || cw < 1 || ch > h || cw > w ||
      own.every < 1)
    return nn__say(why, NN_ERR_ARGUMENT, "transform: %dx%d, of it %dx%d, every %d, of %dx%d images",
                   h, w, ch, cw, own.every, d->height, d->width);
  const int c = own.gray ? 1 : d->channels;
  const size_t size = (size_t)d->channels * nn__plane(d);
  const size_t small = (size_t)c * (size_t)ch * (size_t)cw;
  const size_t each = d->label_size ? d->label_size : 1;
  uint8_t *room = nn__allocate(&d->owned[0].allocator, size), *pixels = d->owned[0].data;
  int32_t *labels = d->owned[1].data;
  if (!room) return nn__say(why, NN_ERR_MEMORY, "transform: no memory for an image");
  int n = 0;
  for (int i = 0; i < d->count; i += own.every, n++) {
    uint8_t *image = pixels + (size_t)i * size;
    nn__transform_image(image, d->channels, d->height, d->width, &own, room);
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
  const uint32_t coin = nn_random_next(r), moved = nn_random_next(r);
  const uint32_t row = nn_random_next(r), column = nn_random_next(r);
  const uint32_t moves = 2 * (uint32_t)a->shift + 1;
  const uint32_t move = (uint32_t)((uint64_t)moved * moves * moves >> 32);
  const int64_t top = (int64_t)((uint64_t)row * (uint32_t)d->height >> 32) - a->cutout / 2;
  const int64_t left = (int64_t)((uint64_t)column * (uint32_t)d->width >> 32) - a->cutout / 2;
  nn__change change;
  change.mirror = a->flip && coin >> 31;
  change.down = (int)(move / moves) - a->shift, change.right = (int)(move % moves) - a->shift;
  change.bottom = (size_t)(top + a->cutout < d->height ? top + a->cutout : d->height);
  change.side = (size_t)(left + a->cutout < d->width ? left + a->cutout : d->width);
  change.top = (size_t)(top > 0 ? top : 0), change.left = (size_t)(left > 0 ? left : 0);
  return change;
}

/* In place on one plane: mirrored, moved, cut out, in this order. */
static void nn__change_plane(nn_real *x, int height, int width, const nn__change *change,
                             nn_real fill)
{
  const size_t w = (size_t)width;
  const size_t away = nn__min(w, (size_t)(change->right < 0 ? -change->right : change->right));
  for (int row = 0; row < height && change->mirror; row++) {
    nn_real *const p = x + (size_t)row * w;
    for (size_t i = 0, j = w - 1; i < j; i++, j--) {
      const nn_real v = p[i];
      p[i] = p[j], p[j] = v;
    }
  }
  for (int row = 0; row < height && (change->down || change->right); row++) {
    /* downwards from the bottom, so nothing is overwritten */
    const int to = change->down > 0 ? height - 1 - row : row, from = to - change->down;
    const int there = from >= 0 && from < height, right = change->right > 0;
    nn_real *const p = x + (size_t)to * w;
    const nn_real *const q = x + (size_t)(there ? from : 0) * w;
    if (there) memmove(p + (right ? away : 0), q + (right ? 0 : away), (w - away) * sizeof *p);
    const size_t end = there && right ? away : w; /* of what fill covers */
    for (size_t i = there && !right ? w - away : 0; i < end; i++) p[i] = fill;
  }
  for (size_t i = change->top; i < change->bottom; i++)
    for (size_t j = change->left; j < change->side; j++) x[i * w + j] = fill;
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

/* n samples, and, where not NULL, what belongs to them. x NULL: only that, of a set without fill.
 */
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
    nn_real *const to = x ? x + (size_t)i * channels * plane : NULL;
    if (to && d->pixels)
      nn__to_reals(to, d->pixels + from, channels * plane, nn__unit(d));
    else if (to)
      memcpy(to, d->values + from, channels * plane * sizeof *x);
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

/* ---- a data set's batches for a model ------------------------------------------------------ */
#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT || !defined NN_NO_EXPORT

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
  return nn__check_lengths(m, d->fill ? NULL : d->lengths, d->only, d->count, 0, who);
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

#endif
#if !defined NN_NO_TRAINING || !defined NN_NO_INSPECT

/* n samples from `place` on to the stage, with what belongs to them and has room there, and the
 * batch that shows them to the model. answers: only what the losses compare with, where a set's
 * arrays allow it. */
static nn_status nn__stage(nn_model *m, const nn_dataset *d, const nn_augment *augment,
                           int64_t epoch, int64_t place, int n, int shuffle, int answers,
                           nn_batch *b)
{
  enum { AT_ONCE = 64 };
  const size_t each = nn__input_size(m), steps = nn__most_steps(m);
  const size_t labels = nn__labels_each(d), targets = nn__targets_each(d);
  memset(b, 0, sizeof *b);
  b->n = n, b->x[0] = m->stage;
  if (labels == nn__answers_each(m, 1)) b->labels = m->stage_labels;
  if (targets == nn__answers_each(m, 0)) b->values = m->stage_values;
  if (d->weights) b->weights = m->stage_weights;
  if (d->fill ? steps > 0 : d->lengths != NULL) b->lengths = m->stage_lengths;
  for (int i = 0; i < n && d->fill; i++) m->stage_lengths[i] = (int32_t)steps;
  for (int from = 0; from < n; from += AT_ONCE) {
    const int some = n - from < AT_ONCE ? n - from : AT_ONCE;
    const size_t at = (size_t)from;
    int32_t index[AT_ONCE];
    for (int i = 0; i < some; i++) { /* the sample whose turn it is */
      const uint32_t turn = (uint32_t)(place + from + i);
      index[i] = (int32_t)(shuffle ? nn_shuffled(m->config.seed, (uint64_t)epoch,
                                                 (uint32_t)d->count, turn) : turn);
    }
    const nn_status status = nn__fetch(d, index, some,
                                       answers && !d->fill ? NULL : m->stage + at * each,
                                       b->labels ? m->stage_labels + at * labels : NULL,
                                       b->values ? m->stage_values + at * targets : NULL,
                                       b->lengths ? m->stage_lengths + at : NULL);
    if (status != NN_OK) return nn__error(m, status, "the data set cannot be read");
    for (int i = 0; i < some; i++) {
      if (d->weights) m->stage_weights[from + i] = d->weights[nn__place_of(d, index[i])];
      /* a stream for each sample of each epoch, so that augmentation is the same after a resume */
      nn_random r = {m->config.seed ^ 0xA06E000000000000u,
                     (uint64_t)epoch << 32 | (uint64_t)(uint32_t)index[i], 0};
      if (!answers) nn__augment(d, augment, &r, m->stage + (at + (size_t)i) * each);
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
    nn_moments s = {0};
    double sum = 0, rest = 0;
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
  return fabs(low) <= 1e300 && fabs(high) <= 1e300 && high - low >= 1e-300; /* so is 1/width */
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
  const nn_status status = nn__readable(m, node, "observe");
  if (status != NN_OK) return status;
  if (histogram && !nn__is_range(histogram->low, histogram->high))
    return nn__error(m, NN_ERR_ARGUMENT, "observe: the histogram has no range");
  const nn__node *x = &m->node[node];
  const size_t n = (size_t)m->n, rows = n * x->rows, cols = x->cols;
  const size_t run = x->lengths ? 1 : rows; /* rows that count alike */
  for (size_t r = 0; r < rows; r += run) {
    size_t sample, place;
    nn__row_of(x, n, r, &sample, &place);
    if (!nn__row_counts(x, sample, place)) continue;
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
      if (!nn__row_counts(x, i, p) || v != v || (best.sample >= 0 && v <= best.value))
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

static nn_status nn__add_peaks(void *user, nn_model *m, const nn_batch *b, int first)
{
  nn__peaks_job *const job = user;
  (void)b;
  job->first = first;
  nn__parallel(&m->context.pool, job->x->cols, nn__peaks_task, job);
  return NN_OK;
}

nn_status nn_peaks_add(nn_model *m, int node, int first, int per_map, nn_peak *peaks)
{
  if (!m || !peaks || per_map < 1 || first < 0 || first > INT_MAX - NN__MAX_BATCH)
    return nn__error(m, NN_ERR_ARGUMENT, peaks ? "peaks: %d a map, must be 1 or more; first %d"
                                               : "peaks: nowhere to put them", per_map, first);
  if (nn__readable(m, node, "peaks") != NN_OK) return m->status;
  nn__peaks_job job = {m, &m->node[node], first, per_map, peaks};
  return nn__add_peaks(&job, m, NULL, first);
}

nn_status nn_confusion_add(nn_model *m, const int32_t *labels, int64_t *counts)
{
  if (!m || !labels || !counts)
    return nn__error(m, NN_ERR_ARGUMENT, "confusion: %s", labels ? "no counts" : "no labels");
  if (!m->ran) return nn__error(m, NN_ERR_STATE, "confusion: no forward before it");
  const nn__node *out = &m->node[m->output];
  const size_t n = (size_t)m->n, classes = out->cols, each = nn__answers_each(m, 1);
  if (each < out->rows)
    return nn__error(m, NN_ERR_SHAPE, "confusion: the losses read %zu label(s) a sample, %s "
                     "answers %zu times", each, out->name, out->rows);
  /* a cross-entropy that is the first loss tells which labels are the output's */
  const int told = m->loss >= 0 && nn__is_labelled(m->node[m->loss].kind);
  const nn__node *loss = told ? &m->node[m->loss] : NULL;
  const nn_status status =
      nn__check_labels(m, out, loss, labels, NULL, n, nn__lengths(m), "confusion");
  if (status != NN_OK) return m->status = status;
  for (size_t r = 0; r < n * out->rows; r++) {
    size_t sample, place;
    nn__row_of(out, n, r, &sample, &place);
    const int32_t label = nn__label_at(m, loss, labels, sample, place);
    if (label < 0 || !nn__row_counts(out, sample, place)) continue;
    counts[(size_t)label * classes + nn__greatest(out->y + r * classes, classes)]++;
  }
  return NN_OK;
}

/* ---- over a data set ---------------------------------------------------------------------- */

static nn_status nn__has_stage(nn_model *m, const char *who)
{
  if (m && m->built && m->stage) return NN_OK;
  return nn__error(m, NN_ERR_STATE, "%s: needs a built model with one input, and a loss or "
                                    "config.keep_activations", who);
}

nn_status nn_survey(nn_model *m, const nn_dataset *d, nn_on_batch on_batch, void *user)
{
  if (!m || !on_batch) return nn__error(m, NN_ERR_ARGUMENT, "survey: nothing to call");
  nn_status status = nn__has_stage(m, "survey");
  if (status == NN_OK) status = nn__check_samples(m, d, "survey");
  for (int64_t place = 0; status == NN_OK && place < d->count; place += m->config.batch) {
    const int64_t left = d->count - place, size = m->config.batch;
    nn_batch b;
    status = nn__stage(m, d, NULL, 0, place, (int)(left < size ? left : size), 0, 0, &b);
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
  if (!m || !d || !nn__labels_each(d) || !counts)
    return nn__error(m, NN_ERR_ARGUMENT, "confusion: %s",
                     counts ? "the data set has no labels" : "no counts");
  if (nn__has_stage(m, "confusion") != NN_OK) return m->status;
  const nn__node *out = &m->node[m->output];
  const size_t has = nn__labels_each(d);
  if (has != nn__answers_each(m, 1))
    return nn__error(m, NN_ERR_SHAPE, "confusion: %zu label(s) a sample, %s answers %zu times", has,
                     out->name, nn__answers_each(m, 1));
  memset(counts, 0, out->cols * out->cols * sizeof *counts);
  return nn_survey(m, d, nn__count_confusion, counts);
}

nn_status nn_peaks(nn_model *m, const nn_dataset *d, int node, int per_map, nn_peak *peaks)
{
  if (!m || !peaks || per_map < 1)
    return nn__error(m, NN_ERR_ARGUMENT, peaks ? "peaks: %d a map, must be 1 or more"
                                               : "peaks: nowhere to put them", per_map);
  if (nn__has_stage(m, "peaks") != NN_OK || nn__kept(m, node, "peaks") != NN_OK) return m->status;
  nn__peaks_job job = {m, &m->node[node], 0, per_map, peaks};
  const nn_peak none = {0, -1, 0, 0};
  for (size_t i = 0; i < job.x->cols * (size_t)per_map; i++) peaks[i] = none;
  return nn_survey(m, d, nn__add_peaks, &job);
}

/* ---- images ------------------------------------------------------------------------------- */

/* What the window that is seen of y sees of the image that is its input k; 0: nothing. */
static int nn__seen_of(const nn_model *m, const nn__node *y, int k, int from[4])
{
  const nn__node *x = &m->node[y->in[k]];
  const nn__window_options *o = &y->window;
  const int kernel[2] = {o->kernel_h, o->kernel_w}, dilation[2] = {o->dilation_h, o->dilation_w};
  const int strides[2] = {o->stride_h, o->stride_w}, pads[2] = {o->pad_h, o->pad_w};
  const int before = y->kind == NN__JOIN && k ? m->node[y->in[0]].dim[y->axis] : 0;
  const int whole = y->rank != 3 || nn__kind_needs[y->kind] & NN__SEES_ALL;
  for (int s = 0; s < 4; s++) { /* top, left, bottom, right */
    const int axis = s % 2, end = s >= 2, at = y->seen[s], stride = strides[axis], pad = pads[axis];
    const nn__axis even = {(size_t)x->dim[1 + axis], (size_t)y->dim[1 + axis], 0, 0, 0};
    const int64_t reach = (int64_t)dilation[axis] * (kernel[axis] - 1), past = at + pad - reach;
    size_t length;
    nn_real share;
    from[s] = at;
    switch (y->kind) {
    case NN__CONV2D: case NN__MAX_POOL: case NN__AVG_POOL:
      if (stride) from[s] = at * stride - pad + (end ? (int)reach : 0);
      else from[s] = (int)nn__window(&even, (size_t)at, &length, &length);
      if (!stride && end) from[s] += (int)length - 1;
      break;
    case NN__CONV_TRANSPOSE: /* the rectangle round all that its taps meet */
      from[s] = end ? (at + pad) / stride : past > 0 ? (int)((past + stride - 1) / stride) : 0;
      break;
    case NN__BILINEAR:
      from[s] = (int)nn__between((size_t)at, (size_t)stride, even.size, &share);
      from[s] += end && share > 0;
      break;
    case NN__UPSAMPLE: from[s] = at / stride; break;
    case NN__PADDED: from[s] = at - pad; break;
    case NN__SLICE: from[s] += y->axis == 1 + axis ? y->begin : 0; break;
    case NN__JOIN: from[s] -= y->axis == 1 + axis ? before : 0; break;
    default:
      if (whole) from[s] = end ? x->dim[1 + axis] - 1 : 0;
    }
  }
  return from[0] <= from[2] && from[1] <= from[3] && from[2] >= 0 && from[3] >= 0 &&
         from[0] < x->dim[1] && from[1] < x->dim[2];
}

/* Back from the unit, node by node: each reader widens the window [top, bottom] x [left, right] of
 * what it reads; bottom < top: nothing of it is seen. */
nn_status nn_receptive_field(nn_model *m, int node, int row, int column, int part[4])
{
  if (!m || !m->built) return nn__error(m, NN_ERR_STATE, "receptive field: not built");
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
    for (int k = 0; k < y->inputs && seen[0] <= seen[2]; k++) {
      nn__node *x = &m->node[y->in[k]];
      int *to = x->seen, from[4];
      if (x->rank != 3) { /* without places; whatever image it stems from is seen whole */
        memset(to, 0, sizeof none);
        continue;
      }
      if (!nn__seen_of(m, y, k, from)) continue;
      const int empty = to[2] < to[0];
      for (int s = 0; s < 4; s++) {
        const int last = x->dim[1 + s % 2] - 1;
        const int at = from[s] < 0 ? 0 : from[s] > last ? last : from[s];
        if (empty || (s < 2 ? at < to[s] : at > to[s])) to[s] = at;
      }
    }
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

/* The input as an image [C,H,W]; a sequence is one of a single channel. And how many places there
 * are for the square, down and across. */
static nn_status nn__occlusion_image(nn_model *m, const nn_occlusion_options *o, int size[5])
{
  const nn_status ready = nn__has_stage(m, "occlusion");
  if (ready != NN_OK) return ready;
  const nn__node *x = &m->node[m->input[0]];
  if (x->rank < 2 || x->kind == NN__TOKENS)
    return nn__error(m, NN_ERR_SHAPE, "occlusion: %s is neither image nor sequence", x->name);
  size[0] = x->rank == 3 ? x->dim[0] : 1;
  size[1] = x->dim[x->rank - 2], size[2] = x->dim[x->rank - 1];
  const int side = size[1] < size[2] ? size[1] : size[2];
  if (!o || o->side < 1 || o->side > side || o->stride < 1)
    return nn__error(m, NN_ERR_ARGUMENT, "occlusion: side %d, must be 1..%d; stride %d, 1 or more",
                     o ? o->side : 0, side, o ? o->stride : 0);
  for (int i = 1; i < 3; i++) size[i + 2] = (size[i] - o->side) / o->stride + 1;
  return NN_OK;
}

nn_status nn_occlusion_size(nn_model *m, const nn_occlusion_options *o, int *height, int *width)
{
  int size[5] = {0};
  if (!m || !height || !width) return NN_ERR_ARGUMENT;
  const nn_status status = nn__occlusion_image(m, o, size);
  if (status != NN_OK) return status;
  *height = size[3], *width = size[4];
  return NN_OK;
}

nn_status nn_occlusion(nn_model *m, const nn_real *image, const nn_occlusion_options *o,
                       nn_real *probability, nn_real *activity, int32_t *predicted)
{
  int size[5] = {0};
  const nn_status status = nn__occlusion_image(m, o, size);
  if (status != NN_OK) return status;
  const nn__node *out = &m->node[m->output], *x = NULL;
  if (!image) return nn__error(m, NN_ERR_ARGUMENT, "occlusion: no image");
  if ((probability || predicted) && out->rank != 1)
    return nn__error(m, NN_ERR_SHAPE, "occlusion: the output is not a vector");
  if (probability && (o->label < 0 || (size_t)o->label >= out->cols))
    return nn__error(m, NN_ERR_ARGUMENT, "occlusion: label %d is not in 0..%zu", (int)o->label,
                     out->cols - 1);
  if (activity) {
    if (nn__kept(m, o->node, "occlusion") != NN_OK) return m->status;
    x = &m->node[o->node];
    if (o->map < 0 || (size_t)o->map >= x->cols)
      return nn__error(m, NN_ERR_ARGUMENT, "occlusion: %s has no map %d", x->name, o->map);
  }
  const size_t each = nn__input_size(m), w = (size_t)size[2], side = (size_t)o->side;
  const size_t width = (size_t)size[4], places = (size_t)size[3] * width;
  const size_t batch = (size_t)m->config.batch;
  for (size_t first = 0; first < places; first += batch) {
    nn_batch b = {0};
    b.n = (int)nn__min(batch, places - first), b.x[0] = m->stage;
    for (size_t i = 0; i < (size_t)b.n; i++) {
      const size_t top = (first + i) / width * (size_t)o->stride;
      const size_t left = (first + i) % width * (size_t)o->stride;
      nn_real *copy = m->stage + i * each;
      memcpy(copy, image, each * sizeof *copy);
      for (size_t c = 0; c < (size_t)size[0]; c++)
        for (size_t r = top; r < top + side; r++)
          for (size_t q = left; q < left + side; q++)
            copy[(c * (size_t)size[1] + r) * w + q] = o->fill ? o->fill[c] : 0;
    }
    if (nn__forward_fresh(m, &b, NN_INSPECTING) != NN_OK) return m->status;
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
  if (!m || !start || (unsigned)rule > NN_RULE_GUIDED)
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
 *   GRPH  u32 number of layers, each as nn__io_node has it: text kind (as in NN__KINDS, "_with"
 *         behind it as nn__io_kind says), text name, u32 nn_init, f64 its value, u32 number of
 *         inputs, u32 each of them: a layer before this one; then, by kind, nn__io_fields
 *   pads  zeros, so that the reals of PARM, which follows, lie at a multiple of 64 bytes
 *   PARM  u32 number of arrays, the trained ones before the running statistics; each: text name,
 *         u32 rank, rank times u32 size; then the reals of all of them in the same order
 * and in a checkpoint, all three or none:
 *   OPTM  nn__io_optimizer: what version 0.1.0 had, then a real for every trained real of PARM for
 *         each block of the optimizer's state
 *   STAT  u64 training passes done (the stream of dropout); for each layer with carry, in order:
 *         u32 samples n (0: no state), for each of its layers real h [n,hidden], lstm c [n,hidden]
 *   PROG  nn_progress, by nn__progress_field
 *   GRUP  only where layers differ (nn_set_learning): nn__io_groups
 *   TUNE  only where there is something of it: nn__io_tuning; of amsgrad and of the average, if
 *         there, a real for every trained real of PARM
 * and in both, where there are any:
 *   note  u32 number of notes; each: text key, u32 bytes of its text, the text in UTF-8
 * Those functions go through the fields in the file's order. nn__io_double is an f64, nn__io_count
 * a u64, nn__io_int, nn__io_size and nn__io_flag are a u32. Enumerations are the numbers in nn.h;
 * counts in u64 are at most 2^53. A checkpoint is taken between steps: gradients that no nn_step
 * has used yet are not in it. Going on from it gives the same bits if the ISA is the same, and no
 * state was carried for more samples than config.batch: such a state is dropped.
 *
 * LOADING. The sections are found and their CRCs checked. Then they are walked with no place to put
 * anything: layers go through the builder calls, which check every number and shape, and the arrays
 * of PARM must be those that the layers make. Only then the model is built, and a second walk fills
 * it. NaN and infinite parameters are taken as they are, so a run that diverged can be looked at.
 * What is allocated: nn_model_size, and nn_plan's bytes. These are copies of the parameters, a few
 * times the file at most (64/9 times where Winograd's transform packs them), and activations, which
 * nn.h limits, for a few bytes of layers can ask for huge images. */
enum { NN__IO_VERSION = 1, NN__IO_MARK = 0x01020304, NN__IO_HEADER = 32, NN__IO_AROUND = 16 };
static const unsigned char nn__io_magic[8] = {0x89, 0x6E, 0x6E, 0x0D, 0x0A, 0x1A, 0x0A, 0};
static const int64_t nn__io_most = (int64_t)1 << 53; /* exact as a double, and room to count on */

/* Reading, bytes may be NULL: goes past them. */
static void nn__io_bytes(nn__io *s, void *bytes, size_t size)
{
  if (s->reading && s->status == NN_OK && size > s->end - s->at)
    nn__io_fail(s, NN_ERR_FORMAT, "cut short: %zu bytes should follow, %zu do", size,
                s->end - s->at);
  if (s->status != NN_OK) {
    if (s->reading && bytes) memset(bytes, 0, size);
    return;
  }
  if (s->reading) {
    if (bytes) memcpy(bytes, s->from + s->at, size);
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
  int flag = *x != 0;
  nn__io_int(s, "a flag", &flag, 0, 1);
  if (s->reading) *x = flag;
}
static void nn__io_size(nn__io *s, int *x) { nn__io_int(s, "a size", x, 0, INT_MAX); }
static void nn__io_sizes(nn__io *s, int *const *x) /* up to a NULL */
{
  for (; *x; x++) nn__io_size(s, *x);
}
static void nn__io_short(nn__io *s, const char *what, uint16_t *x, int high)
{
  int wide = *x;
  nn__io_int(s, what, &wide, 0, high);
  *x = (uint16_t)wide;
}
static void nn__io_short_flag(nn__io *s, uint16_t *x) { nn__io_short(s, "a flag", x, 1); }

static void nn__io_double(nn__io *s, nn__double *x)
{
  uint64_t bits;
  memcpy(&bits, x, sizeof bits);
  nn__io_uint(s, &bits, 8);
  memcpy(x, &bits, sizeof bits);
}
#ifndef NN_NO_TRAINING
static void nn__io_doubles(nn__io *s, double *const *x) /* up to a NULL */
{
  for (; *x; x++) nn__io_double(s, *x);
}
#endif

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

/* Reading: into node->weights, where that is not NULL; node->cols becomes their number. */
static void nn__io_class_weights(nn__io *s, nn__node *node)
{
  nn_real *to = (nn_real *)(uintptr_t)(const void *)node->weights; /* in the model's own block */
  int count = node->has_weights ? (int)node->cols : 0;
  nn__io_int(s, "the number of class weights", &count, 0, INT_MAX);
  if (!s->reading) nn__io_reals(s, to, (size_t)count);
  for (int i = 0; i < count && s->reading && s->status == NN_OK; i++) {
    nn_real w = 0;
    nn__io_reals(s, &w, 1);
    if (!(w >= 0) || !nn__finite((double)w))
      nn__io_fail(s, NN_ERR_FORMAT, "class weight %d is %g, must be 0 or more", i, (double)w);
    if (to) to[i] = w;
  }
  if (s->reading) node->has_weights = count > 0, node->cols = (size_t)count;
}

/* Kinds that have learned more since version 0.1.0: with "_with" behind the kind a file tells all
 * of a layer, without it what that version knew. */
static int nn__may_have_more(nn__kind kind)
{
  return kind == NN__MAX_POOL || kind == NN__AVG_POOL || kind == NN__BATCH_NORM ||
         kind == NN__LAYER_NORM || (nn__is_loss(kind) && kind != NN__CUSTOM_LOSS);
}

/* Whether a layer has none of that. */
static int nn__is_plain(const nn__node *d)
{
  const nn__window_options *w = &d->window;
  if (!nn__may_have_more(d->kind)) return 1;
  if (nn__is_loss(d->kind))
    return d->kind < NN__HUBER && (nn__is_labelled(d->kind) || !d->has_weights) && !d->summed &&
           !d->from && d->ignored == -1 && d->scale <= 1 && d->scale >= 1;
  if (d->kind == NN__BATCH_NORM || d->kind == NN__LAYER_NORM)
    return d->value == nn__usual_norm.eps && d->second == nn__usual_norm.momentum && !d->no_bias &&
           !d->frozen;
  return w->kernel_h == w->kernel_w && w->stride_h == w->stride_w && w->pad_h == w->pad_w &&
         w->stride_h && !d->ceil && !d->exclude_pad; /* stride 0: adaptive, to kernel x kernel */
}

static void nn__io_loss(nn__io *s, nn__node *d, int with)
{
  uint64_t ignored = (uint32_t)d->ignored;
  int summed = d->summed, from = (int)d->from;
  if (s->reading) d->scale = 1, d->ignored = -1;
  if (with || nn__is_labelled(d->kind)) nn__io_double(s, &d->soft), nn__io_class_weights(s, d);
  if (!with) return;
  nn__io_double(s, &d->scale);
  nn__io_flag(s, &summed);
  nn__io_int(s, "from", &from, 0, NN__MAX_SIZE);
  d->summed = summed != 0, d->from = (unsigned)from & 0x1FFFFF;
  nn__io_uint(s, &ignored, 4);
  if (s->reading) d->ignored = ignored > INT32_MAX ? -(int32_t)(UINT32_MAX - ignored) - 1
                                                   : (int32_t)ignored;
}

/* The kind; whether it stands there with "_with". */
static int nn__io_kind(nn__io *s, nn__node *d)
{
  char kind[32] = "";
  int i = 0;
  if (!s->reading) {
    const size_t length = strlen(nn__kind_text[d->kind]);
    memcpy(kind, nn__kind_text[d->kind], length + 1);
    if (!nn__is_plain(d)) memcpy(kind + length, "_with", 6);
  }
  nn__io_text(s, "a kind", kind, sizeof kind);
  char *const with = strstr(kind, "_with");
  if (with) *with = 0;
  while (i < NN__KIND_COUNT && strcmp(kind, nn__kind_text[i])) i++;
  if (with && (i == NN__KIND_COUNT || !nn__may_have_more((nn__kind)i)))
    i = NN__KIND_COUNT, *with = '_';
  if (i == NN__KIND_COUNT) nn__io_fail(s, NN_ERR_FORMAT, "no kind of layer is a \"%s\"", kind);
  if (s->status == NN_OK) d->kind = (unsigned char)i;
  return with != NULL;
}

static void nn__io_cell(nn__io *s, nn__cell_options *cell, int may_relu)
{
  int layers = cell->layers, relu = cell->relu, way = cell->carry + 2 * cell->bidirectional;
  nn__io_size(s, &cell->hidden);
  nn__io_int(s, "the number of layers", &layers, 1, NN__MAX_CELL_LAYERS);
  nn__io_double(s, &cell->dropout);
  nn__io_int(s, "the relu flag", &relu, 0, may_relu);
  nn__io_int(s, "the way of its steps", &way, 0, 2);
  cell->layers = (unsigned char)layers, cell->relu = relu != 0;
  cell->carry = way == 1, cell->bidirectional = way == 2;
}

/* What a layer's builder call takes beside its inputs. */
static void nn__io_fields(nn__io *s, nn__node *d, int with)
{
  nn_conv2d_options *w = &s->window;
  int i;
  switch (d->kind) {
  case NN__INPUT:
  case NN__RESHAPE:
    i = d->rank;
    nn__io_int(s, "the rank", &i, 1, 3);
    d->rank = (unsigned char)i;
    for (i = 0; i < d->rank; i++) nn__io_size(s, &d->dim[i]);
    break;
  case NN__TOKENS: nn__io_size(s, &d->dim[0]); break;
  case NN__CONV2D:
  case NN__CONV_TRANSPOSE:
    nn__io_sizes(s, (int *[]){&w->out, &w->kernel_h, &w->kernel_w, &w->stride_h, &w->stride_w,
                              &w->pad_h, &w->pad_w, &w->dilation_h, &w->dilation_w, &w->groups,
                              NULL});
    nn__io_flag(s, &w->no_bias);
    if (d->kind == NN__CONV2D) break;
    nn__io_short(s, "output_pad_h", &d->output_pad_h, NN__MOST_SHORT);
    nn__io_short(s, "output_pad_w", &d->output_pad_w, NN__MOST_SHORT);
    break;
  case NN__LINEAR: nn__io_size(s, &d->size), nn__io_short_flag(s, &d->no_bias); break;
  case NN__MAX_POOL:
  case NN__AVG_POOL: {
    int *const size[] = {&w->kernel_h, &w->stride_h, &w->pad_h,
                         &w->kernel_w, &w->stride_w, &w->pad_w};
    for (i = 0; i < (with ? 6 : 3); i++)
      nn__io_int(s, i % 3 == 1 ? "stride" : "a size", size[i], i % 3 == 1 && !with, INT_MAX);
    if (with) nn__io_short_flag(s, &d->ceil), nn__io_short_flag(s, &d->exclude_pad);
    else w->kernel_w = w->kernel_h, w->stride_w = w->stride_h, w->pad_w = w->pad_h;
    break;
  }
  case NN__GROUP_NORM:
  case NN__BATCH_NORM:
  case NN__LAYER_NORM:
    if (s->reading) d->value = nn__usual_norm.eps, d->second = nn__usual_norm.momentum;
    if (!with && d->kind != NN__GROUP_NORM) break;
    nn__io_double(s, &d->value), nn__io_double(s, &d->second);
    nn__io_short_flag(s, &d->no_bias), nn__io_short_flag(s, &d->frozen);
    if (d->kind == NN__GROUP_NORM) nn__io_size(s, &d->size);
    break;
  case NN__PRELU:
    i = d->size > 1;
    nn__io_flag(s, &i);
    d->size = i;
    break;
  case NN__PADDED: /* top, bottom, left, right */
    nn__io_sizes(s, (int *[]){&w->pad_h, &w->kernel_h, &w->pad_w, &w->kernel_w, NULL});
    break;
  case NN__BILINEAR:
  case NN__UPSAMPLE: nn__io_size(s, &w->stride_h), nn__io_size(s, &w->stride_w); break;
  case NN__TO_IMAGE: nn__io_size(s, &d->dim[0]), nn__io_flag(s, &d->axis); break;
  case NN__TO_SEQUENCE: nn__io_flag(s, &d->axis); break;
  case NN__JOIN: nn__io_int(s, "the axis", &d->axis, 0, 2); break;
  case NN__SLICE:
    nn__io_int(s, "the axis", &d->axis, 0, 2), nn__io_size(s, &d->begin);
    nn__io_size(s, &d->dim[d->axis]);
    break;
  case NN__EMBEDDING: nn__io_size(s, &d->size), nn__io_size(s, &d->dim[1]); break;
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU: nn__io_cell(s, &d->cell, d->kind == NN__RNN); break;
  case NN__CUSTOM: nn__io_text(s, "a custom layer", s->code, sizeof s->code); break;
  case NN__CUSTOM_LOSS:
    nn__io_text(s, "a custom loss", s->code, sizeof s->code), nn__io_double(s, &d->scale);
    break;
  case NN__CROSS_ENTROPY:
  case NN__SQUARED_ERROR:
  case NN__BINARY_CROSS_ENTROPY:
  case NN__HUBER:
  case NN__ABSOLUTE_ERROR: nn__io_loss(s, d, with); break;
  default:
    if (nn__kind_needs[d->kind] & (NN__ONE_NUMBER | NN__TWO_NUMBERS)) nn__io_double(s, &d->value);
    if (nn__kind_needs[d->kind] & NN__TWO_NUMBERS) nn__io_double(s, &d->second);
  }
}

/* A layer's description. */
static void nn__io_node(nn__io *s, nn__node *d)
{
  int init = NN_INIT_DEFAULT, inputs = d->inputs;
  double init_value = 0;
#ifndef NN_NO_INIT
  init = (int)d->init, init_value = d->init_value;
#endif
  const int with = nn__io_kind(s, d);
  if (s->status != NN_OK) return;
  memset(s->name, 0, sizeof s->name);
  if (!s->reading) memcpy(s->name, d->name, strlen(d->name));
  if (!s->reading && (d->kind == NN__CUSTOM || d->kind == NN__CUSTOM_LOSS))
    memcpy(s->code, nn__code(d), strlen(nn__code(d)) + 1);
  s->window = nn__window_of(d);
  nn__io_text(s, "a name", s->name, sizeof s->name);
  d->name = s->name;
  nn__io_int(s, "the initialisation", &init, 0, NN_INIT_CONSTANT);
  nn__io_double(s, &init_value);
  if (s->reading && !nn__finite(init_value))
    nn__io_fail(s, NN_ERR_FORMAT, "%s: its initialisation's value is not finite", d->name);
  nn__set_init(d, (nn_init)init, init_value);
  nn__io_int(s, "the number of inputs", &inputs, 0, 2);
  d->inputs = (unsigned char)inputs;
  for (int i = 0; i < d->inputs; i++) {
    int in = d->in[i];
    nn__io_int(s, "the number of an input", &in, 0, INT16_MAX);
    d->in[i] = (int16_t)in;
  }
  nn__io_fields(s, d, with);
}

/* The builder call: the layer's number, or -1 and the model's error. */
static int nn__add_described(nn__io *s, const nn__node *d)
{
  nn_model *const m = s->m;
  const nn_conv2d_options *w = &s->window;
  const int x = d->in[0], rank = d->rank, *dim = d->dim;
  const int of_steps = x < m->nodes && m->node[x].rank == 2 ? 2 : 3; /* a window's rank */
  switch (d->kind) {
  case NN__INPUT:
    return nn__input(m, nn__rows[d->kind], rank, dim[0], rank > 1 ? dim[1] : 1,
                     rank > 2 ? dim[2] : 1);
  case NN__TOKENS: return nn_input_tokens(m, dim[0]);
  case NN__CONV2D: return nn__conv_layer(m, x, of_steps, w);
  case NN__CONV_TRANSPOSE:
    return nn_conv_transpose2d_with(m, x, w, d->output_pad_h, d->output_pad_w);
  case NN__LINEAR: return nn__linear(m, x, d->size, d->no_bias);
  case NN__MAX_POOL:
  case NN__AVG_POOL: {
    const int average = d->kind == NN__AVG_POOL; /* else a file's exclude_pad means nothing */
    const nn_pool2d_options o = {w->kernel_h, w->kernel_w, w->stride_h, w->stride_w,
                                 w->pad_h,    w->pad_w,    d->ceil,     average && d->exclude_pad};
    if (average && !w->stride_h && !w->stride_w)
      return nn__adaptive(m, x, of_steps, w->kernel_h, w->kernel_w);
    return nn__pool_layer(m, nn__rows[d->kind], x, of_steps, &o);
  }
  case NN__GLOBAL_MAX:
  case NN__GLOBAL_AVG: return nn__global_pool(m, nn__rows[d->kind], x);
  case NN__NORMALISE: return nn__normalise_layer(m, x, NULL, NULL);
  case NN__FLATTEN: return nn_flatten(m, x);
  case NN__ADD: return nn_add(m, x, d->in[1]);
  case NN__MULTIPLY: return nn_multiply(m, x, d->in[1]);
  case NN__REVERSE: return nn_reverse(m, x);
  case NN__PADDED:
    return nn__pad(m, x, of_steps, w->pad_h, w->kernel_h, w->pad_w, w->kernel_w);
  case NN__GROUP_NORM:
  case NN__BATCH_NORM:
  case NN__LAYER_NORM: {
    const int moves = d->kind == NN__BATCH_NORM && !d->frozen; /* else older files may hold any */
    const double momentum = moves || d->second == 0 ? d->second : nn__usual_norm.momentum;
    const nn_norm_options o = {d->value, momentum, d->size, d->no_bias, d->frozen};
    return nn__norm_layer(m, nn__rows[d->kind], x, &o);
  }
  case NN__PRELU: return nn_prelu(m, x, d->size);
  case NN__RESHAPE: return nn_reshape(m, x, rank, dim);
  case NN__TO_SEQUENCE: return nn_image_to_sequence(m, x, d->axis);
  case NN__TO_IMAGE: return nn_sequence_to_image(m, x, dim[0], d->axis);
  case NN__SLICE: return nn_slice(m, x, d->axis, d->begin, dim[d->axis]);
  case NN__JOIN: return nn_concat_along(m, x, d->in[1], d->axis);
  case NN__BILINEAR:
  case NN__UPSAMPLE:
    return nn__upsample(m, nn__rows[d->kind], x, d->kind == NN__BILINEAR ? 3 : of_steps,
                        w->stride_h, w->stride_w);
  case NN__CONCAT: return nn_concat(m, x, d->in[1]);
  case NN__EMBEDDING: return nn_embedding(m, x, d->size, dim[1]);
  case NN__RNN:
  case NN__LSTM:
  case NN__GRU: {
    const nn_recurrent_options o = {d->cell.hidden, d->cell.layers, d->cell.dropout,
                                    d->cell.relu,   d->cell.carry,  d->cell.bidirectional};
    return nn__cell_layer(m, nn__rows[d->kind], x, d->inputs > 1 ? d->in[1] : -1, &o);
  }
  case NN__FINAL_STATE: return nn_final_state(m, x);
  case NN__LAST_STEP: return nn_last_step(m, x);
  case NN__CUSTOM: {
    const nn_custom_layer *own = m->config.custom_layers;
    int left = own ? m->config.custom_layers_count : 0;
    while (left > 0 && strcmp(own->name, s->code)) own++, left--;
    if (left > 0) return nn_custom(m, (int[]){x, d->in[1]}, d->inputs, own);
    return nn__fail(m, NN_ERR_STATE, "%s: config.custom_layers has no %s", d->name, s->code);
  }
  case NN__CUSTOM_LOSS: {
    const nn_custom_loss *own = m->config.custom_losses;
    int left = own ? m->config.custom_losses_count : 0;
    while (left > 0 && strcmp(own->name, s->code)) own++, left--;
    return nn__custom_loss(m, x, s->code, left > 0 ? own : NULL, d->scale);
  }
  default:
    if (nn__is_loss(d->kind)) return nn__loss(m, x, d, (int)d->from);
    return nn__same_with(m, nn__rows[d->kind], x, d->value, d->second);
  }
}

/* The model's own error as one of the file. */
static void nn__io_take_error(nn__io *s)
{
  const nn_status e = s->m->broken;
  const int asked = s->open && (s->open->steps || s->open->height || s->open->width ||
                                s->open->carry); /* so the file may be right */
  const int file = !asked && (e == NN_ERR_ARGUMENT || e == NN_ERR_SHAPE || e == NN_ERR_STATE);
  if (e != NN_OK) nn__io_fail(s, file ? NN_ERR_FORMAT : e, "%s", nn__sentence(s->m));
}

/* Adds a layer. */
static void nn__io_add(nn__io *s, int number, const nn__node *d)
{
  nn_model *m = s->m;
  nn__node *node = &m->node[number];
  if (s->status != NN_OK) return;
  nn__add_described(s, d);
  nn_name(m, number, d->name);
  nn__io_take_error(s);
  if (s->status != NN_OK) return;
#ifndef NN_NO_INIT
  node->init = d->init, node->init_value = d->init_value;
#endif
  if (node->inputs != d->inputs)
    nn__io_fail(s, NN_ERR_FORMAT, "%s: %d inputs, takes %d", d->name, d->inputs, node->inputs);
  if (!nn__is_loss(node->kind) || !d->has_weights) return;
  node->has_weights = 1;
  if (!nn__is_labelled(node->kind) && node->kind != NN__BINARY_CROSS_ENTROPY)
    nn__io_fail(s, NN_ERR_FORMAT, "%s: %zu class weights, of a loss that has none", d->name,
                d->cols);
  if (d->cols != node->cols)
    nn__io_fail(s, NN_ERR_FORMAT, "%s: %zu class weights for %zu classes", d->name, d->cols,
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
    if (m->built && nn__is_loss(m->node[i].kind)) d.weights = m->node[i].weights;
    nn__io_node(s, &d);
    if (!s->reading || s->status != NN_OK) continue;
    if (s->open && nn__is_loss(d.kind)) break; /* the caller adds one */
    if (s->open) nn__alter(&d, s->open);
    const size_t end = s->at;
    s->at = start; /* where messages point */
    if (!m->built) nn__io_add(s, i, &d);
    s->at = end;
    if (s->open && s->open->until && !strcmp(d.name, s->open->until)) break;
  }
  if (s->status != NN_OK || m->built || s->open) return;
  nn__place_params(m);
  nn__io_take_error(s);
}

/* Whether numbers of so many bytes, the lowest first, can be used where they lie. */
static nn_status nn__borrowable(const void *at, int wide, nn_message *why)
{
  if (wide != (int)sizeof(nn_real) || nn__big_endian_machine())
    return nn__say(why, NN_ERR_UNSUPPORTED,
                   "numbers of %d bytes, the lowest first, cannot be used in place here", wide);
  if ((uintptr_t)at % sizeof(nn_real))
    return nn__say(why, NN_ERR_ARGUMENT, "numbers in place must lie at a multiple of %d bytes: so "
                   "must the file, and one of version 0.1.0 must be loaded and saved again", wide);
  return NN_OK;
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
    char wanted[NN_NAME_SIZE], name[NN_NAME_SIZE];
    int rank = own->rank, dim[4];
    nn__param_name(m, own, wanted), nn__param_name(m, own, name);
    memcpy(dim, own->dim, sizeof dim);
    nn__io_text(s, "a name", name, sizeof name);
    nn__io_int(s, "the rank", &rank, 1, 4);
    for (int i = 0; i < rank; i++) nn__io_size(s, &dim[i]);
    const int same = !strcmp(name, wanted);
    if (same && rank == own->rank && !memcmp(dim, own->dim, sizeof dim)) continue;
    s->at = start;
    nn__io_fail(s, NN_ERR_FORMAT, "array %d is %s, where the layers have %s%s", k, name, wanted,
                same ? " of another shape" : "");
  }
  for (int k = 0; k < count && s->status == NN_OK; k++) {
    nn__param *p = nn__listed(m, k);
    const int borrows = s->reading && m->config.in_place;
    const unsigned char *const at = borrows ? s->from + s->at : NULL;
    nn_message reason;
    const nn_status bad = borrows ? nn__borrowable(at, s->wide, &reason) : NN_OK;
    if (bad != NN_OK) nn__io_fail(s, bad, "%s", reason.text);
    nn__io_reals(s, borrows ? NULL : p->value, p->count);
    if (borrows && s->status == NN_OK) nn__borrow(p, at);
  }
}

#ifdef NN_NO_TRAINING
/* These sections are checked like all others, but not looked into. */
#define nn__io_optimizer NULL
#define nn__io_tuning NULL
#define nn__io_state NULL
#define nn__io_groups NULL
#else
/* What was read since `start` must have made an optimizer. */
static void nn__io_check_optimizer(nn__io *s, size_t start)
{
  nn_message wrong;
  if (nn__check_optimizer(&s->m->optimizer, &wrong) != NN_OK)
    s->at = start, nn__io_fail(s, NN_ERR_FORMAT, "%s", wrong.text);
}

static void nn__io_optimizer(nn__io *s)
{
  nn_model *m = s->m;
  nn_optimizer *const o = &m->optimizer;
  const size_t start = s->at;
  int kind = (int)o->kind, schedule = (int)o->schedule.kind;
  nn__io_int(s, "the optimizer", &kind, 0, NN_ADAMW);
  nn__io_doubles(s, (double *[]){&o->rate, &o->momentum, &o->alpha, &o->beta1, &o->beta2, &o->eps,
                                 &o->weight_decay, &o->clip_norm, &o->clip_value, NULL});
  nn__io_flag(s, &o->nesterov);
  nn__io_int(s, "the schedule", &schedule, 0, NN_POLYNOMIAL);
  nn__io_count(s, "warmup", &o->schedule.warmup);
  nn__io_count(s, "total", &o->schedule.total);
  nn__io_count(s, "period", &o->schedule.period);
  nn__io_doubles(s, (double *[]){&o->schedule.gamma, &o->schedule.floor, NULL});
  o->kind = (nn_optimizer_kind)kind, o->schedule.kind = (nn_schedule_kind)schedule;
  nn__io_check_optimizer(s, start);
  nn__io_count(s, "the number of steps", &m->steps);
  nn__io_count(s, "the steps in the state", &m->state_steps);
  int slots = nn__slots(o) < 2 ? nn__slots(o) : 2; /* amsgrad's is in TUNE */
  nn__io_int(s, "the number of state blocks", &slots, slots, slots);
  for (int i = 0; i < slots; i++) nn__io_reals(s, m->slot[i], m->values);
}

/* What version 0.2.0's optimizers did not have. */
static void nn__io_tuning(nn__io *s)
{
  nn_model *m = s->m;
  nn_optimizer *const o = &m->optimizer;
  const size_t start = s->at;
  nn__io_flag(s, &o->amsgrad);
  nn__io_doubles(s, (double *[]){&o->average, &o->schedule.threshold, &o->schedule.momentum_low,
                                 &o->schedule.momentum_high, NULL});
  nn__io_check_optimizer(s, start);
  nn__io_doubles(s, (double *[]){&m->plateau_best, &m->plateau_scale, NULL});
  if (m->plateau_best != m->plateau_best || !(m->plateau_scale > 0 && m->plateau_scale <= 1))
    nn__io_fail(s, NN_ERR_FORMAT, "a plateau's loss %g, factor %g", m->plateau_best,
                m->plateau_scale);
  nn__io_count(s, "validations no lower", &m->plateau_bad);
  nn__io_count(s, "the steps in the average", &m->averaged);
  if (o->amsgrad) nn__io_reals(s, m->slot[2], m->values);
  if (o->average > 0) nn__io_reals(s, m->average, m->values);
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
    double *const factor[] = {&m->node[i].rate, &m->node[i].decay};
    for (int k = 0; k < 2; k++) {
      nn__io_double(s, factor[k]);
      if (!(*factor[k] >= 0) || !nn__finite(*factor[k]))
        nn__io_fail(s, NN_ERR_FORMAT, "%s: a factor of %g, must be 0 or more", m->node[i].name,
                    *factor[k]);
    }
  }
  nn__io_flag(s, &m->optimizer.decay_weights_only);
}

#endif

/* The first walk counts the room that notes need; the second, when the model is built, takes it. */
static void nn__io_notes(nn__io *s)
{
  nn_model *m = s->m;
  size_t room = 0;
  int count = 0;
  while (nn_note_key(m, count)) count++;
  nn__io_int(s, "the number of notes", &count, 0, NN__MOST_NOTES);
  for (int i = 0; i < count && s->status == NN_OK; i++) {
    char key[32] = "";
    const char *const own = s->reading ? NULL : nn_note_key(m, i);
    const char *text = own ? own + strlen(own) + 1 : "";
    if (own) memcpy(key, own, strlen(own) + 1);
    int size = (int)strlen(text);
    nn__io_text(s, "a key", key, sizeof key);
    nn__io_int(s, "a note's size", &size, 0, NN__MOST_NOTES);
    if (s->reading) text = (const char *)s->from + s->at;
    nn__io_bytes(s, s->reading ? NULL : (void *)(uintptr_t)(const void *)text, (size_t)size);
    if (!s->reading || s->status != NN_OK) continue;
    room += strlen(key) + 1 + (size_t)size + 1;
    if (!nn__good_key(key) || nn__bad_text(text, (size_t)size) < (size_t)size)
      nn__io_fail(s, NN_ERR_FORMAT, "note %s: no key, or its text is not UTF-8", key);
    else if (room > NN__MOST_NOTES)
      nn__io_fail(s, NN_ERR_LIMIT, "notes of more than %d bytes", (int)NN__MOST_NOTES);
    else if (m->built && nn_note(m, key))
      nn__io_fail(s, NN_ERR_FORMAT, "note %s twice", key);
    else if (m->built)
      nn__add_note(m, key, text, (size_t)size);
  }
  if (s->reading && !m->built) m->notes_size = nn__max(m->notes_size, room);
}

/* The fields of nn_progress in the file's order; those from left_out on are newer than 0.1.0. */
#define NN__WHOLE(field) {#field, offsetof(nn_progress, field), 0}
#define NN__REAL(field) {#field, offsetof(nn_progress, field), 1}
enum { NN__OLD_PROGRESS = 9, NN__PROGRESS_FIELDS = 17 };
static const struct nn__progress_field {
  const char *name;
  size_t at;
  int real; /* a double, else an int64_t */
} nn__progress_field[NN__PROGRESS_FIELDS] = {
    NN__WHOLE(step), NN__WHOLE(epoch), NN__WHOLE(place), NN__WHOLE(correct), NN__WHOLE(rows),
    NN__REAL(loss), NN__REAL(accuracy), NN__REAL(loss_sum), NN__REAL(weight),
    NN__WHOLE(left_out), NN__WHOLE(left_out_in_a_row), NN__WHOLE(best_step), NN__WHOLE(validated),
    NN__WHOLE(not_better), NN__REAL(best_loss), NN__REAL(best_accuracy), NN__WHOLE(batch)};

static void nn__io_progress(nn__io *s)
{
  for (int i = 0; i < NN__PROGRESS_FIELDS; i++) {
    const struct nn__progress_field *f = &nn__progress_field[i];
    void *const x = (char *)&s->progress + f->at;
    if (i == NN__OLD_PROGRESS && s->reading && s->at == s->end) return;
    if (f->real) nn__io_double(s, x);
    else nn__io_whole(s, 8, f->name, x, 0, f->at == offsetof(nn_progress, batch) ? NN__MAX_BATCH
                                                                                 : nn__io_most);
  }
}

/* In a model; in a checkpoint, too; there if it has something to say. */
typedef enum nn__presence { NN__ALWAYS, NN__CHECKPOINT, NN__SOMETIMES } nn__presence;
enum { NN__GRAPH = 1, NN__ARRAYS = 2, NN__GROUPS = 6, NN__NOTES = 7, NN__TUNING = 8 };
enum { NN__SECTIONS = 9 };
static const struct nn__section {
  char tag[5];
  nn__presence presence;
  int training; /* not for inference */
  void (*walk)(nn__io *s);
} nn__section[NN__SECTIONS] = {
    {"CONF", NN__ALWAYS, 0, nn__io_conf},         {"GRPH", NN__ALWAYS, 0, nn__io_graph},
    {"PARM", NN__ALWAYS, 0, nn__io_params},       {"OPTM", NN__CHECKPOINT, 1, nn__io_optimizer},
    {"STAT", NN__CHECKPOINT, 1, nn__io_state},    {"PROG", NN__CHECKPOINT, 0, nn__io_progress},
    {"GRUP", NN__SOMETIMES, 1, nn__io_groups},    {"note", NN__SOMETIMES, 0, nn__io_notes},
    {"TUNE", NN__SOMETIMES, 1, nn__io_tuning}};

static void nn__io_header(nn__io *s, size_t size)
{
  unsigned char magic[8];
  int64_t mark = NN__IO_MARK, total = (int64_t)size;
  int version = NN__IO_VERSION;
  memcpy(magic, nn__io_magic, sizeof magic);
  s->section = "header";
  nn__io_bytes(s, magic, sizeof magic);
  if (memcmp(magic, nn__io_magic, sizeof magic))
    s->at = 0, nn__io_fail(s, NN_ERR_FORMAT, memcmp(magic, "PK\3\4", 4)
                           ? "not a model or checkpoint of nn"
                           : "a zip archive (npz, torch.save's), not a model or checkpoint of nn; "
                             "weights are read from .safetensors and .npz");
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

/* What a file of weights is, by its beginning; our own reader judges what is none of the others. */
typedef enum nn__form { NN__OWN, NN__SAFETENSORS, NN__NPZ } nn__form;
static nn__form nn__form_of(const unsigned char *head, size_t size)
{
#ifndef NN_NO_EXPORT
  if (size > 8 && head[8] == '{') return NN__SAFETENSORS; /* in ours there is a 4 */
  if (size >= 4 && (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4))) return NN__NPZ;
#endif
  (void)head, (void)size;
  return NN__OWN;
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
static void nn__io_afford(nn__io *s, size_t size, int has_parameters)
{
  nn_model *m = s->m;
  size_t bytes = 0, copies = 1;
  nn_plan(m, &bytes);
  nn__io_take_error(s);
  if (s->status != NN_OK) return;
#ifndef NN_NO_TRAINING
  if (!m->config.inference)
    copies += 1 + (size_t)m->slots + (size_t)(m->optimizer.average > 0);
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

/* To the beginning of a section's body. */
static void nn__enter_section(nn__file *f, int k)
{
  f->io.section = nn__section[k].tag, f->io.at = f->begin[k], f->io.end = f->end[k];
}

/* How many layers or arrays a section begins with, for a table that holds just them. */
static int nn__announced(nn__file *f, int section, int least, int most)
{
  int count = 0;
  nn__enter_section(f, section);
  nn__io_int(&f->io, "a number", &count, 0, INT_MAX);
  return count < least ? least : count > most ? most : count;
}

/* The bytes of its layers' names, with room for the one that a layer has before it gets its own. */
static size_t nn__announced_names(nn__file *f)
{
  nn__io *s = &f->io;
  size_t bytes = NN__NAME_ROOM;
  int count = nn__announced(f, NN__GRAPH, 0, NN_MAX_NODES);
  while (count-- > 0 && s->status == NN_OK) {
    nn__node d;
    memset(&d, 0, sizeof d);
    nn__io_node(s, &d);
    bytes += strlen(s->name) + 1 + (d.kind == NN__CUSTOM_LOSS ? strlen(s->code) + 1 : 0);
  }
  return bytes;
}

/* An empty model for a file's layers: allocated, or in memory of *room bytes, and then no larger
 * than the file needs. */
static nn_status nn__file_model(nn__file *f, const nn_config *config, void *memory, size_t *room)
{
  nn_config c = config ? *config : nn_config_default();
  const nn__kernels *kernels;
  if (NN__TRAINS && c.in_place && !c.inference)
    return nn__say(f->io.why, NN_ERR_ARGUMENT, "config.in_place needs config.inference");
  const nn_status usable = nn__check_config(&c, &kernels, f->io.why);
  if (usable != NN_OK) return usable;
  if (room && !c.most_nodes) c.most_nodes = nn__announced(f, NN__GRAPH, 2, NN_MAX_NODES);
  if (room && !c.names) c.names = nn__announced_names(f);
  if (room && !c.most_params) c.most_params = nn__announced(f, NN__ARRAYS, 1, NN_MAX_PARAMS);
  if (f->io.status != NN_OK) return f->io.status;
  const size_t own = nn_model_size_for(&c);
  f->io.m = memory ? nn_create_in(memory, *room, &c) : nn_create(&c);
  if (!f->io.m && room) *room = own;
  return f->io.m ? NN_OK : nn__say(f->io.why, NN_ERR_MEMORY, "no %zu bytes of memory", own);
}

/* room: NULL, or to be set to the bytes that the model takes, and how many memory has; where memory
 * is NULL it is only set. open: NULL; or the layers alone are described, changed as that has it. */
static nn_status nn__load(void *memory, size_t *room, const void *bytes, size_t size,
                          const nn_config *config, const nn_open_options *open,
                          nn_load_result *out, nn_message *why)
{
  nn__file f;
  nn__io *const s = &f.io;
  const size_t had = room ? *room : 0;
  const int sizes = room && !memory;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no result to load into");
  memset(out, 0, sizeof *out);
  nn_status status = nn__file_of(&f, bytes, size, why);
  if (status == NN_OK) status = nn__file_model(&f, config, memory, room);
  if (status != NN_OK) return status;
  s->open = open;
  for (int fills = 0; fills < 2; fills++) { /* at first only checks */
    for (int k = 0; k < (open ? NN__GRAPH + 1 : NN__SECTIONS) && s->status == NN_OK; k++) {
      if (!f.end[k] || (nn__section[k].training && s->m->config.inference)) continue;
      nn__enter_section(&f, k);
      nn__section[k].walk(s);
      if (s->at != s->end && !open)
        nn__io_fail(s, NN_ERR_FORMAT, "%zu bytes too many", s->end - s->at);
    }
    if (open && open->until && nn_find_node(s->m, open->until) < 0)
      nn__io_fail(s, NN_ERR_ARGUMENT, "no layer %s", open->until);
    if (fills || s->status != NN_OK) break;
    nn__enter_section(&f, NN__GRAPH);
    if (!open || s->m->nodes > 1) nn__io_afford(s, size, !open);
    if (open || s->status != NN_OK) break;
    const size_t own = nn_model_size_for(&s->m->config);
    if (room) *room = own + s->m->plan_size;
    if (sizes) break;
    status = room ? nn__build_in(s->m, (char *)memory + own, had - own) : nn__build_own(s->m);
    if (status != NN_OK) s->status = nn__say(why, status, "%s", nn__sentence(s->m));
  }
  if (s->status == NN_OK && !sizes)
    out->model = s->m, out->is_checkpoint = s->checkpoint, out->progress = s->progress;
  else nn_destroy(s->m);
  return s->status;
}

nn_status nn_load_memory(const void *bytes, size_t size, const nn_config *config,
                         nn_load_result *out, nn_message *why)
{
  return nn__load(NULL, NULL, bytes, size, config, NULL, out, why);
}

nn_status nn_load_in(void *memory, size_t *size, const void *bytes, size_t count,
                     const nn_config *config, nn_load_result *out, nn_message *why)
{
  if (!size) return nn__say(why, NN_ERR_ARGUMENT, "no size of the memory given");
  return nn__load(memory, size, bytes, count, config, NULL, out, why);
}

nn_status nn_open_memory(const void *bytes, size_t size, const nn_config *config,
                         const nn_open_options *options, nn_model **out, nn_message *why)
{
  static const nn_open_options whole; /* all zero */
  nn_load_result described;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no place for the model");
  *out = NULL;
  if (!options) options = &whole;
  if (options->steps < 0 || options->height < 0 || options->width < 0)
    return nn__say(why, NN_ERR_ARGUMENT, "steps, height and width must be 0 or more");
  const nn_status status = nn__load(NULL, NULL, bytes, size, config, options, &described, why);
  *out = described.model;
  return status;
}

/* ---- saving ------------------------------------------------------------------------------- */

static int nn__io_writes(const nn__io *s, int section)
{
  if (section == NN__NOTES) return s->m->notes_used > 0;
#ifndef NN_NO_TRAINING
  const nn_model *const m = s->m;
  const nn_optimizer *const o = &m->optimizer;
  int differ = o->decay_weights_only;
  for (int i = 0; i < m->nodes; i++) differ |= m->node[i].rate != 1 || m->node[i].decay != 1;
  if (section == NN__GROUPS) return s->checkpoint && differ;
  if (section == NN__TUNING)
    return s->checkpoint && (o->amsgrad || o->average > 0 || o->schedule.kind == NN_PLATEAU ||
                             o->schedule.threshold > 0 || o->schedule.momentum_high > 0);
#endif
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

/* All of the file, which takes `size` bytes, to the sink; or, without one, only checks and counts:
 * s->at is then the size. */
static void nn__io_write(nn__io *s, size_t size)
{
  s->at = 0, s->crc = 0;
  nn__io_header(s, size);
  for (int k = 0; k < NN__SECTIONS && s->status == NN_OK; k++) {
    if (!nn__io_writes(s, k)) continue;
    nn__io body = *s;
    body.sink = NULL, body.at = 0, body.section = nn__section[k].tag;
    nn__section[k].walk(&body);
    s->status = body.status;
    if (k == NN__ARRAYS) {
      const size_t numbers = (s->m->values + s->m->buffers) * sizeof(nn_real);
      const size_t at = s->at + 2 * NN__IO_AROUND - 4 + body.at - numbers;
      s->padding = nn__round_up(at, NN__ALIGN) - at;
      nn__io_section(s, "pads", s->padding, nn__io_padding);
    }
    nn__io_section(s, nn__section[k].tag, body.at, nn__section[k].walk);
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
#ifndef NN_NO_TRAINING
  if (progress && nn__held(m)) return nn__say(why, NN_ERR_STATE, "save: %s", nn__held(m));
#endif
  s->m = (nn_model *)(uintptr_t)(const void *)m; /* only ever read */
  s->wide = (int)sizeof(nn_real), s->why = why;
  if (progress) s->checkpoint = 1, s->progress = *progress;
  nn__io_write(s, 0);
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
  nn_status status = nn__io_saver(&s, m, progress, nn__message(m));
  if (!m) return status;
  if (status == NN_OK && !bytes) return nn__error(m, NN_ERR_ARGUMENT, "save: no memory given");
  if (status == NN_OK && size < s.at)
    status = nn__say(nn__message(m), NN_ERR_MEMORY, "save: needs %zu bytes, got %zu", s.at, size);
  if (status != NN_OK) return m->status = status;
  unsigned char *at = bytes;
  s.sink = nn__io_to_memory, s.to = &at;
  nn__io_write(&s, s.at);
  return NN_OK;
}

#ifndef NN_NO_STDIO
/* A whole file of nn's to memory; or, with `weights`, one that has nothing else. What is none is
 * not read further than its header. */
static nn_status nn__read_file(const char *path, int weights, const nn_allocator *allocator,
                               nn_array *file, nn_message *why)
{
  unsigned char head[NN__IO_HEADER];
  nn_message reason;
  nn__io s = {0};
  size_t size;
  FILE *f;
  nn_status status = nn__open(path, SIZE_MAX, &f, &size, why);
  if (status != NN_OK) return status;
  s.reading = 1, s.from = head, s.end = nn__min(size, sizeof head), s.why = &reason;
  status = nn__read(f, path, 0, head, s.end, why);
  fclose(f);
  if (status != NN_OK) return status;
  if (!weights || nn__form_of(head, s.end) == NN__OWN) nn__io_header(&s, size);
  if (s.status != NN_OK) return nn__say(why, s.status, "%s: %s", nn__path_end(path), reason.text);
  return nn_file_read(path, SIZE_MAX, allocator, file, why);
}

#define NN__ONLY_MEMORY "parameters in place (config.in_place) come from memory, not from a path"

/* A file's bytes to nn_load_memory or, where `loaded` is NULL, to nn_open_memory. */
static nn_status nn__from_path(const char *path, const nn_config *config,
                               const nn_open_options *options, nn_load_result *loaded,
                               nn_model **opened, nn_message *why)
{
  nn_array file;
  nn_message reason;
  nn_status status = nn__read_file(path, 0, config ? &config->allocator : NULL, &file, why);
  if (status != NN_OK) return status;
  status = loaded ? nn_load_memory(file.data, file.count, config, loaded, &reason)
                  : nn_open_memory(file.data, file.count, config, options, opened, &reason);
  nn_array_free(&file);
  return status == NN_OK ? status : nn__say(why, status, "%s: %s", nn__path_end(path), reason.text);
}

nn_status nn_load(const char *path, const nn_config *config, nn_load_result *out, nn_message *why)
{
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no result to load into");
  memset(out, 0, sizeof *out);
  if (config && config->in_place) return nn__say(why, NN_ERR_ARGUMENT, NN__ONLY_MEMORY);
  return nn__from_path(path, config, NULL, out, NULL, why);
}

nn_status nn_open(const char *path, const nn_config *config, const nn_open_options *options,
                  nn_model **out, nn_message *why)
{
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no place for the model");
  *out = NULL;
  return nn__from_path(path, config, options, NULL, out, why);
}

static void nn__io_to_file(void *to, const void *bytes, size_t size) { nn__write(to, bytes, size); }

/* Straight to the file: saving takes no memory. keeps: the file before becomes path.previous. */
static nn_status nn__save(nn_model *m, const nn_progress *progress, const char *path, int keeps)
{
  nn__io s;
  nn__writer writer;
  nn_status status = nn__io_saver(&s, m, progress, nn__message(m));
  if (!m) return status;
  if (status == NN_OK) {
    nn__write_begin(&writer, path, nn__message(m));
    writer.keeps = keeps;
    s.sink = nn__io_to_file, s.to = &writer;
    nn__io_write(&s, s.at);
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

/* ======================================= @@EXPORT ========================================== */
/* Weights by name: from files of nn's own, safetensors (huggingface.co/docs/safetensors) and npz
 * (numpy.savez: a zip archive, PKWARE's APPNOTE.TXT, of npy arrays, stored as they are); and to the
 * last two.
 *
 * READING. A file is a list of arrays. It is read from its beginning as often as it takes, so
 * nothing is allocated, however many there are. One cursor, an nn__io, reads all three, so every
 * message names the byte. A file is checked whole before anything of it is used: offsets, sizes,
 * types and CRCs while the list is read; then that no name comes twice and no two arrays share a
 * byte. */
enum { NN__MOST_ARRAYS = NN_MAX_PARAMS > 4096 ? NN_MAX_PARAMS : 4096 };
enum { NN__MOST_HEADER = 100000000, NN__LONGEST_NAME = NN__EXPORTS ? 255 : NN_NAME_SIZE - 1 };
/* To put names in order without memory for all of them, the list is read again for every NN__GROUP
 * of it: 64 times at most, and 16 in a build that allows more than 4096 arrays. */
enum { NN__GROUP = NN_MAX_PARAMS > 1024 ? NN_MAX_PARAMS / 16 : 64 };

/* One of the numbers, the lowest byte first. A bfloat16 is the upper half of a float. */
static nn_real nn__stored_number(const unsigned char *p, int type)
{
  uint64_t bits = 0;
  for (int k = nn__stored_type[type].size; k-- > 0;) bits = bits << 8 | p[k];
  if (type == NN__TYPE_F16) return nn__half(bits);
  return type == NN__TYPE_BF16 ? nn__real_of(bits << 16, 4)
                               : nn__real_of(bits, nn__stored_type[type].size);
}

/* The least keys of a list from `low` on. To see all keys in order, the list is read again for each
 * group, which begins at the greatest key of the group before. */
typedef struct nn__group {
  uint64_t low;
  int count, places; /* the keys are places in the file, or else hashes of names */
  struct nn__extent {
    uint64_t key, end;
  } item[NN__GROUP];
} nn__group;

static void nn__group_add(nn__group *g, uint64_t key, uint64_t end)
{
  const int full = g->count == NN__GROUP;
  int low = 0, high = g->count; /* the first that is greater is in low .. high */
  if (key < g->low || (full && key >= g->item[high - 1].key)) return;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (g->item[middle].key > key) high = middle;
    else low = middle + 1;
  }
  memmove(g->item + low + 1, g->item + low, (size_t)(g->count - full - low) * sizeof *g->item);
  g->item[low].key = key, g->item[low].end = end;
  g->count += !full;
}

/* After a list was read: whether it has to be once more, for the next group. */
static int nn__group_next(nn__group *g)
{
  if (g->count < NN__GROUP) return 0;
  g->low = g->item[NN__GROUP - 1].key, g->count = 0;
  return 1;
}

/* A file of weights, and the array of it that was read last. */
typedef struct nn__bundle {
  nn__form form;
  nn__file file;        /* its io is the cursor in the list */
  int count, index;     /* arrays, or what the list has beside them, in all and so far */
  nn_type type;
  nn_stored now;
  size_t begin, end;    /* the list; in an npz numbers end where it begins */
  size_t data, numbers; /* safetensors: where the numbers begin, and their bytes; of our own files
                           data is where those of the next array do */
  nn_model *notes;      /* takes the metadata of safetensors; or NULL */
  nn__group *group;
  char text[NN__LONGEST_NAME + 1];
} nn__bundle;

/* The array whose numbers begin at `bytes`. */
static void nn__is_now(nn__bundle *b, const nn_array *a, const unsigned char *bytes)
{
  const nn_stored now = {b->text, nn__stored_type[a->type].name, a->rank, {0}, a->count, bytes,
                         a->count * nn__stored_type[a->type].size};
  b->type = a->type, b->now = now;
  memcpy(b->now.dim, a->dim, sizeof a->dim);
}

/* ---- our own files ------------------------------------------------------------------------ */

/* An array in PARM's list: its name and shape. */
static nn_array nn__own_entry(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  nn_array a = nn__no_array;
  size_t bytes;
  a.type = s->wide == 4 ? NN_F32 : NN_F64;
  nn__io_text(s, "a name", b->text, NN_NAME_SIZE);
  nn__io_int(s, "the rank", &a.rank, 1, 4);
  for (int i = 0; i < a.rank; i++) {
    int dim = 0;
    nn__io_size(s, &dim);
    a.dim[i] = (size_t)dim;
  }
  if (!nn__sizes_of(a.rank, a.dim, nn__type_size(a.type), &a.count, &bytes))
    nn__io_fail(s, NN_ERR_LIMIT, "%s is too large", b->text);
  return a;
}

static void nn__own_rewind(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  nn__enter_section(&b->file, NN__ARRAYS);
  nn__io_int(s, "the number of arrays", &b->count, 0, INT_MAX);
  const size_t list = s->at;
  for (int k = 0; k < b->count && s->status == NN_OK; k++) nn__own_entry(b);
  b->data = s->at, s->at = list;
}

static void nn__own_next(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  const nn_array a = nn__own_entry(b);
  const size_t list = s->at;
  nn__is_now(b, &a, s->from + b->data);
  s->at = b->data;
  nn__io_reals(s, NULL, a.count);
  b->data = s->at, s->at = list;
}

/* ---- JSON, as much as safetensors has: objects of known depth, so nothing recurses ----------- */

/* The four digits of a \u; what is none is 0x110000, which is no character. */
static uint32_t nn__json_hex(nn__io *s)
{
  uint32_t code = 0;
  for (int i = 0; i < 4; i++, s->at++) {
    const char *const digits = "0123456789abcdefABCDEF";
    const char *at = s->at < s->end && s->from[s->at] ? strchr(digits, s->from[s->at]) : NULL;
    if (!at) return 0x110000;
    code = code << 4 | (uint32_t)(at - digits - (at - digits > 15 ? 6 : 0));
  }
  return code;
}

/* What follows a backslash, as UTF-8: how many bytes. */
static size_t nn__json_escape(nn__io *s, unsigned char to[4])
{
  static const char from[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
  const char *const at = s->at < s->end && s->from[s->at] ? strchr(from, s->from[s->at]) : NULL;
  const int coded = s->at < s->end && s->from[s->at] == 'u';
  s->at++;
  if (at) to[0] = (unsigned char)means[at - from];
  if (at) return 1;
  uint32_t code = coded ? nn__json_hex(s) : 0x110000;
  if (code >= 0xD800 && code < 0xDC00 && s->end - s->at >= 6 && s->from[s->at] == '\\' &&
      s->from[s->at + 1] == 'u') { /* two halves of a character beyond 0xFFFF */
    s->at += 2;
    const uint32_t low = nn__json_hex(s);
    code = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : low;
    if (code < 0x10000) code = 0x110000;
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    nn__io_fail(s, NN_ERR_FORMAT, "an escape that is no character");
    return 0;
  }
  const size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size; i-- > 1; code >>= 6) to[i] = (unsigned char)(0x80 | (code & 0x3F));
  to[0] = (unsigned char)(size == 1 ? code : (0xF00u >> size & 0xF0) | code);
  return size;
}

/* A string, of which as much as fits goes to `to` (or NULL) with a closing zero: its bytes in
 * all. */
static size_t nn__json_string(nn__io *s, char *to, size_t room)
{
  size_t used = 0, kept = 0;
  nn__expect(s, '"');
  while (s->status == NN_OK && s->at < s->end && s->from[s->at] != '"') {
    const unsigned char *from = s->from + s->at, *p = from, *const end = s->from + s->end;
    unsigned char out[4];
    while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\') p++;
    size_t step = (size_t)(p - from);
    if (!step && *p == '\\') {
      s->at++;
      step = nn__json_escape(s, out);
      from = out;
    } else {
      if (!step) step = *p < ' ' ? 0 : nn__utf8(p, s->end - s->at);
      if (!step) nn__io_fail(s, NN_ERR_FORMAT, "a string that is not UTF-8, or not on one line");
      s->at += step;
    }
    if (to && kept == used && used + step < room) memcpy(to + used, from, step), kept += step;
    used += step;
  }
  nn__expect(s, '"');
  if (to) to[kept] = 0;
  return used;
}

/* ---- safetensors: u64 bytes of the header, the header, the numbers ------------------------- */

/* FNV-1a, for names: two that differ have two hashes but for one pair in 2^64. */
static uint64_t nn__hash(const char *text, size_t length, uint64_t hash)
{
  for (; length--; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
  return hash;
}

/* A name of `length` bytes that is in b->text: it must fit there, be one line, and not come twice
 * with the same salt. */
static void nn__check_name(nn__bundle *b, size_t length, uint64_t salt)
{
  nn__io *const s = &b->file.io;
  size_t bad = length > NN__LONGEST_NAME ? 0 : nn__bad_text(b->text, length);
  if (length > NN__LONGEST_NAME)
    nn__io_fail(s, NN_ERR_LIMIT, "a name of %zu bytes; at most %d are read", length,
                NN__LONGEST_NAME);
  else if (bad < length || strpbrk(b->text, "\n\t"))
    nn__io_fail(s, NN_ERR_FORMAT, "a name that is not UTF-8, or not one line");
  else if (b->group && !b->group->places)
    nn__group_add(b->group, nn__hash(b->text, length, 0xCBF29CE484222325u + salt), 0);
}

/* {"key":"text",..}, the metadata: what the model b->notes does not have yet becomes a note there,
 * where it may be one and there is room. "format" is about the file. */
static void nn__json_texts(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  nn_model *const m = b->notes;
  nn__expect(s, '{');
  if (nn__take(s, '}')) return;
  do {
    const size_t length = nn__json_string(s, b->text, sizeof b->text);
    nn__check_name(b, length, 1);
    nn__expect(s, ':');
    const size_t start = s->at, size = nn__json_string(s, NULL, 0);
    const size_t room = m ? m->notes_size - m->notes_used : 0;
    if (length > 31 || length + 2 > room || size > room - length - 2 || !nn__good_key(b->text) ||
        !strcmp(b->text, "format") || nn_note(m, b->text))
      continue;
    char *const text = m->notes + m->notes_used + length + 1;
    memcpy(m->notes + m->notes_used, b->text, length + 1);
    s->at = start;
    nn__json_string(s, text, size + 1);
    if (nn__bad_text(text, size) == size) m->notes_used += length + size + 2;
  } while (s->status == NN_OK && nn__take(s, ','));
  nn__expect(s, '}');
}

static void nn__next_tensor(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  nn_array a = nn__no_array; /* {"dtype":"F32","shape":[3,4],"data_offsets":[0,48]} */
  size_t place[2] = {0, 0}, size;
  int first = b->index == 0, metadata = 1;
  for (; metadata; first = 0) {
    if (nn__take(s, '}')) {
      while (s->at < s->end && s->from[s->at] == ' ') s->at++;
      if (s->at < s->end) nn__io_fail(s, NN_ERR_FORMAT, "only spaces may follow the header's }");
      b->count = b->index;
      return;
    }
    if (!first && !nn__take(s, ',')) nn__io_fail(s, NN_ERR_FORMAT, ", or } expected");
    nn__check_name(b, nn__json_string(s, b->text, sizeof b->text), 0);
    nn__expect(s, ':');
    if (s->status != NN_OK) return;
    metadata = !strcmp(b->text, "__metadata__");
    if (metadata) nn__json_texts(b);
  }
  nn__describe(s, &a, place);
  if (!nn__sizes_of(a.rank, a.dim, nn__stored_type[a.type].size, &a.count, &size))
    nn__io_fail(s, NN_ERR_LIMIT, "a shape of more numbers than fit in memory");
  if (place[0] > place[1] || place[1] > b->numbers || place[1] - place[0] != size)
    nn__io_fail(s, NN_ERR_FORMAT, "data_offsets %zu and %zu for %zu bytes, in a file with %zu",
                place[0], place[1], size, b->numbers);
  if (s->status != NN_OK) return;
  nn__is_now(b, &a, s->from + b->data + place[0]);
  if (b->group && b->group->places && size) nn__group_add(b->group, place[0], place[1]);
}

static void nn__open_safetensors(nn__bundle *b, size_t size)
{
  nn__io *const s = &b->file.io;
  uint64_t header = 0;
  s->section = "safetensors";
  nn__io_uint(s, &header, 8);
  if (header > NN__MOST_HEADER)
    nn__io_fail(s, NN_ERR_LIMIT, "a header of %llu bytes; at most %d are read",
                (unsigned long long)header, NN__MOST_HEADER);
  if (header > size - s->at)
    nn__io_fail(s, NN_ERR_FORMAT, "cut short: a header of %llu bytes, %zu are left",
                (unsigned long long)header, size - s->at);
  if (s->status != NN_OK) return;
  b->end = b->data = 8 + (size_t)header, b->numbers = size - b->data;
  s->end = b->end;
  nn__expect(s, '{');
  b->begin = s->at;
}

/* ---- npz: a zip archive of npy files, none of them compressed ------------------------------ */

static void nn__zip_skip(nn__io *s, size_t bytes)
{
  if (bytes > s->end - s->at) nn__io_fail(s, NN_ERR_FORMAT, "cut short");
  if (s->status == NN_OK) s->at += bytes;
}

/* The numbers of a file's header, before its bytes: NEEDS .. EXTRA; and in the directory: all. And
 * those of the directory's end. Names, what is extra, and comments follow. */
enum {
  NN__Z_MADE, NN__Z_NEEDS, NN__Z_FLAGS, NN__Z_METHOD, NN__Z_TIME, NN__Z_DATE, NN__Z_CRC,
  NN__Z_PACKED, NN__Z_SIZE, NN__Z_NAME, NN__Z_EXTRA, NN__Z_COMMENT, NN__Z_DISK, NN__Z_INSIDE,
  NN__Z_OUTSIDE, NN__Z_OFFSET, NN__Z_WORDS
};
enum { NN__Z_DISKS, NN__Z_HERE, NN__Z_ALL, NN__Z_BYTES, NN__Z_BEGIN, NN__Z_END_WORDS = 6 };
enum { NN__ZIP_ENCRYPTED = 1, NN__ZIP_SIZES_BEHIND = 8, NN__ZIP_UTF8 = 1 << 11 };
static const uint64_t nn__zip_64 = 0xFFFFFFFF;

/* Reads or writes `count` numbers of so many bytes each, behind a signature. */
static void nn__zip_words(nn__io *s, const char *signature, const char *bytes, uint64_t *x,
                          int count)
{
  char found[4];
  memcpy(found, signature, 4);
  nn__io_bytes(s, found, 4);
  if (memcmp(found, signature, 4)) nn__io_fail(s, NN_ERR_FORMAT, "no file's header in here");
  for (int i = 0; i < count; i++) nn__io_uint(s, &x[i], bytes[i] - '0');
}
static void nn__zip_header(nn__io *s, uint64_t z[NN__Z_WORDS], int directory)
{
  static const char bytes[] = "2222224442222244";
  if (directory) nn__zip_words(s, "PK\1\2", bytes, z, NN__Z_WORDS);
  else nn__zip_words(s, "PK\3\4", bytes + 1, z + NN__Z_NEEDS, NN__Z_COMMENT - NN__Z_NEEDS);
}
static void nn__zip_end(nn__io *s, uint64_t end[NN__Z_END_WORDS])
{
  nn__zip_words(s, "PK\5\6", "422442", end, NN__Z_END_WORDS);
}

/* Reads an entry z of the directory; the cursor is then where its bytes are, *next is the entry
 * after it. The header before the bytes must say the same, as far as it is written there. */
static void nn__zip_entry(nn__bundle *b, uint64_t z[NN__Z_WORDS], size_t *next)
{
  nn__io *const s = &b->file.io;
  uint64_t local[NN__Z_WORDS] = {0};
  nn__zip_header(s, z, 1);
  const size_t name = s->at, length = (size_t)z[NN__Z_NAME], size = (size_t)z[NN__Z_SIZE];
  nn__zip_skip(s, length + (size_t)z[NN__Z_EXTRA] + (size_t)z[NN__Z_COMMENT]);
  *next = s->at;
  if (z[NN__Z_FLAGS] & NN__ZIP_ENCRYPTED) nn__io_fail(s, NN_ERR_FORMAT, "encrypted");
  else if (z[NN__Z_METHOD])
    nn__io_fail(s, NN_ERR_UNSUPPORTED,
                "compressed; save it with numpy.savez, not savez_compressed");
  else if (z[NN__Z_SIZE] == nn__zip_64 || z[NN__Z_OFFSET] == nn__zip_64)
    nn__io_fail(s, NN_ERR_LIMIT, "an archive of 4 GiB or more");
  else if (z[NN__Z_SIZE] != z[NN__Z_PACKED] || z[NN__Z_OFFSET] > b->begin)
    nn__io_fail(s, NN_ERR_FORMAT, "sizes or places that do not agree");
  if (s->status != NN_OK) return;
  s->at = (size_t)z[NN__Z_OFFSET], s->end = b->begin;
  nn__zip_header(s, local, 0);
  const int told = !(local[NN__Z_FLAGS] & NN__ZIP_SIZES_BEHIND);
  if (s->status == NN_OK &&
      (local[NN__Z_METHOD] || local[NN__Z_NAME] != length || length > s->end - s->at ||
       memcmp(s->from + s->at, s->from + name, length) ||
       (told && local[NN__Z_CRC] != z[NN__Z_CRC]) ||
       (told && local[NN__Z_SIZE] != nn__zip_64 &&
        (local[NN__Z_SIZE] != size || local[NN__Z_PACKED] != size))))
    nn__io_fail(s, NN_ERR_FORMAT, "a header that differs from the one in the directory");
  nn__zip_skip(s, (size_t)(local[NN__Z_NAME] + local[NN__Z_EXTRA]));
  if (s->status == NN_OK && size > s->end - s->at)
    nn__io_fail(s, NN_ERR_FORMAT, "cut short: %zu bytes should follow, %zu do", size,
                s->end - s->at);
  if (s->status != NN_OK) return;
  const size_t kept = length > 4 ? length - 4 : 0, fits = nn__min(kept, NN__LONGEST_NAME);
  memcpy(b->text, s->from + name, fits); /* without .npy */
  b->text[fits] = 0;
  if (strlen(b->text) < fits || !kept || memcmp(s->from + name + kept, ".npy", 4))
    nn__io_fail(s, NN_ERR_FORMAT, "a file that is no .npy");
  nn__check_name(b, kept, 0);
  if (b->group && b->group->places) nn__group_add(b->group, z[NN__Z_OFFSET], s->at + size);
}

static void nn__next_npy(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  nn_array a = nn__no_array;
  uint64_t z[NN__Z_WORDS] = {0};
  size_t next = 0;
  nn__zip_entry(b, z, &next);
  if (s->status != NN_OK) return;
  nn__io file = *s;
  const size_t size = (size_t)z[NN__Z_SIZE];
  file.section = b->text, file.from += s->at, file.at = 0, file.end = size;
  if (b->group && !b->group->places && !b->group->low &&
      nn_crc32(0, file.from, size) != z[NN__Z_CRC])
    nn__io_fail(s, NN_ERR_FORMAT, "damaged: its CRC-32 does not match");
  else
    nn__npy_head(&file, size, &a), nn__check_count(&file, size, &a);
  if (file.big_endian)
    nn__io_fail(&file, NN_ERR_UNSUPPORTED, "highest byte first; save x.astype('<f4') instead");
  if (file.status != NN_OK) s->status = file.status;
  nn__is_now(b, &a, file.from + file.at);
  s->at = next, s->end = b->end;
}

/* The directory's end record is the last 22 bytes, unless a comment follows it. */
static void nn__open_npz(nn__bundle *b, size_t size)
{
  nn__io *const s = &b->file.io;
  size_t back = 22;
  s->section = "npz";
  while (back <= size && back <= 22 + 65535 &&
         (memcmp(s->from + size - back, "PK\5\6", 4) ||
          (size_t)(s->from[size - back + 20] | s->from[size - back + 21] << 8) != back - 22))
    back++;
  if (back > size || back > 22 + 65535)
    nn__io_fail(s, NN_ERR_FORMAT, "cut short: the directory's end is not there");
  if (s->status != NN_OK) return;
  uint64_t last[NN__Z_END_WORDS] = {0};
  b->end = s->at = size - back;
  nn__zip_end(s, last);
  const uint64_t all = last[NN__Z_ALL], bytes = last[NN__Z_BYTES], begin = last[NN__Z_BEGIN];
  if (b->end >= 20 && !memcmp(s->from + b->end - 20, "PK\6\7", 4)) /* a record of zip64 */
    nn__io_fail(s, NN_ERR_UNSUPPORTED, "an archive as torch.save writes, which is not read: "
                                       "save the weights by numpy.savez or as safetensors");
  else if (all == 0xFFFF || bytes == nn__zip_64 || begin == nn__zip_64)
    nn__io_fail(s, NN_ERR_LIMIT, "an archive of 4 GiB or 65535 files or more");
  else if (last[NN__Z_DISKS] || last[NN__Z_HERE] != all || begin > b->end ||
           bytes != b->end - begin || !all != !bytes)
    nn__io_fail(s, NN_ERR_FORMAT, "a directory that is not where its end says");
  b->begin = (size_t)begin, b->count = (int)all;
}

/* ---- a list of arrays --------------------------------------------------------------------- */

static void nn__rewind(nn__bundle *b)
{
  b->index = 0;
  if (!NN__EXPORTS || b->form == NN__OWN) {
    nn__own_rewind(b);
    return;
  }
  b->file.io.at = b->begin, b->file.io.end = b->end;
  if (b->form == NN__SAFETENSORS) b->count = INT_MAX; /* until it is seen */
}

/* 1: b->now is the next array. 0: there is none left, or something is wrong with it. */
static int nn__next(nn__bundle *b)
{
  nn__io *const s = &b->file.io;
  if (s->status != NN_OK || b->index >= b->count) return 0;
  if (!NN__EXPORTS || b->form == NN__OWN) nn__own_next(b);
  else if (b->form == NN__SAFETENSORS) nn__next_tensor(b);
  else nn__next_npy(b);
  if (b->index == b->count) return 0;
  if (b->index >= NN__MOST_ARRAYS && b->form != NN__OWN)
    nn__io_fail(s, NN_ERR_LIMIT, "more than %d arrays", NN__MOST_ARRAYS);
  if (b->form == NN__NPZ && b->index + 1 == b->count && s->status == NN_OK && s->at != s->end)
    nn__io_fail(s, NN_ERR_FORMAT, "%zu bytes behind the directory's last file", s->end - s->at);
  b->index++;
  return s->status == NN_OK;
}

/* That no name comes twice; or that no two arrays share a byte, and in safetensors no byte belongs
 * to none. */
static void nn__check_apart(nn__bundle *b, int places)
{
  nn__io *const s = &b->file.io;
  nn__group g;
  uint64_t end = 0;
  int first = 0;
  g.low = 0, g.count = 0, g.places = places;
  b->group = &g;
  do {
    nn__rewind(b);
    while (nn__next(b)) {}
    for (int i = first; i < g.count && s->status == NN_OK; i++) {
      const uint64_t key = g.item[i].key;
      if (!places && i && key == g.item[i - 1].key)
        nn__io_fail(s, NN_ERR_FORMAT, "two arrays, or keys, of the same name");
      else if (places && (key < end || (key > end && b->form == NN__SAFETENSORS)))
        nn__io_fail(s, NN_ERR_FORMAT, "between offsets %llu and %llu bytes belong to %s",
                    (unsigned long long)(key < end ? key : end),
                    (unsigned long long)(key < end ? end : key),
                    key < end ? "two arrays" : "no array");
      end = g.item[i].end;
    }
    first = 1; /* the last of this group is the first of the next */
  } while (s->status == NN_OK && nn__group_next(&g));
  if (places && b->form == NN__SAFETENSORS && end != b->numbers)
    nn__io_fail(s, NN_ERR_FORMAT, "the last %llu bytes belong to no array",
                (unsigned long long)(b->numbers - end));
  b->group = NULL;
}

/* A file's list, wholly checked. */
static nn_status nn__bundle_of(nn__bundle *b, const void *bytes, size_t size, nn_message *why)
{
  memset(b, 0, sizeof *b);
  b->form = bytes ? nn__form_of(bytes, size) : NN__OWN;
  if (!NN__EXPORTS || b->form == NN__OWN) return nn__file_of(&b->file, bytes, size, why);
  nn__io *const s = &b->file.io;
  s->reading = 1, s->from = bytes, s->end = size, s->why = why;
  if (b->form == NN__SAFETENSORS) nn__open_safetensors(b, size);
  else nn__open_npz(b, size);
  nn__check_apart(b, 0);
  nn__check_apart(b, 1);
  return s->status;
}

#ifndef NN_NO_EXPORT
nn_status nn_list_weights(const void *bytes, size_t size,
                          int (*each)(void *user, const nn_stored *array), void *user,
                          nn_message *why)
{
  nn__bundle b;
  if (!each) return nn__say(why, NN_ERR_ARGUMENT, "nothing to call for each array");
  if (nn__bundle_of(&b, bytes, size, why) != NN_OK) return b.file.io.status;
  nn__rewind(&b);
  while (nn__next(&b))
    if (each(user, &b.now)) return NN_STOPPED;
  return b.file.io.status;
}
#endif

/* ---- names -------------------------------------------------------------------------------- */

/* A table of names, lines "in the file=in the model"; spaces round a name do not count, nor lines
 * that are empty or begin with #. Its line that was read last. */
typedef struct nn__names {
  const char *table, *at; /* at: behind that line */
  const char *name[2];    /* in the file, in the model */
  size_t length[2];
  int number;
} nn__names;

/* Reads the next line: 1, or 0 at the end. A line without = has an empty second name. */
static int nn__next_line(nn__names *n)
{
  while (n->at && *n->at) {
    const char *const start = n->at, *const end = start + strcspn(start, "\n");
    const char *middle = memchr(start, '=', (size_t)(end - start));
    n->at = end + (*end != 0);
    n->number++;
    if (!middle) middle = end;
    for (int k = 0; k < 2; k++) {
      const char *a = k ? middle + (middle < end) : start, *z = k ? end : middle;
      while (a < z && strchr(" \t\r", *a)) a++;
      while (z > a && strchr(" \t\r", z[-1])) z--;
      n->name[k] = a, n->length[k] = (size_t)(z - a);
    }
    if (*n->name[0] != '#' && (n->length[0] || middle < end)) return 1;
  }
  return 0;
}

/* Goes to the line that has a name on one side (0: the file's, 1: the model's), if there is one:
 * from the line found last on, for names mostly come in a table's order. */
static int nn__find_line(nn__names *n, const char *name, int side)
{
  const size_t size = strlen(name);
  for (int turn = 0; turn < 2; turn++, n->at = n->table)
    while (nn__next_line(n))
      if (n->length[side] == size && !memcmp(n->name[side], name, size)) return 1;
  return 0;
}

/* How an array of the model was found. */
enum { NN__BY_NAME = 1, NN__BY_TABLE };

/* The model's array whose name is prefix and name, looked for from number `first` on, for names
 * mostly come in the model's order; -1: none. */
static int nn__array_named(const nn_model *m, const char *prefix, const char *name, size_t length,
                           int first)
{
  const size_t skip = strlen(prefix);
  for (int n = 0; n < m->params; n++) {
    const int i = (first + n) % m->params;
    const char *const own = m->param[i].name;
    if (!strncmp(own, prefix, skip) && !strncmp(own + skip, name, length) && !own[skip + length])
      return i;
  }
  return -1;
}

/* The first thing that is wrong with a table. taken: NULL; or, after a file was read, for each
 * array of the model NN__BY_TABLE where the file has what its line says. named: zeros, which become
 * 1 for each array that the table names. */
static nn_status nn__check_names(nn_model *m, const char *table, const unsigned char *taken,
                                 unsigned char named[NN_MAX_PARAMS])
{
  nn__names line = {table, table, {NULL}, {0}, 0};
  for (int k = 0; nn__next_line(&line); k++) {
    nn_message text;
    if (!line.length[0] || !line.length[1] || line.length[0] > NN__LONGEST_NAME)
      return nn__error(m, NN_ERR_ARGUMENT, "names, line %d: not name=name", line.number);
    k = nn__array_named(m, "", line.name[1], line.length[1], k);
    const size_t length = nn__min(line.length[k < 0], sizeof text.text - 1);
    memcpy(text.text, line.name[k < 0], length);
    text.text[length] = 0;
    if (k < 0)
      return nn__error(m, NN_ERR_ARGUMENT, "names, line %d: the model has no array %s", line.number,
                       text.text);
    if (named[k]++)
      return nn__error(m, NN_ERR_ARGUMENT, "names, line %d: %s has a line before", line.number,
                       m->param[k].name);
    if (taken && taken[k] != NN__BY_TABLE)
      return nn__error(m, NN_ERR_ARGUMENT, "names, line %d: the file has no array %s, or another "
                       "line has it", line.number, text.text);
  }
  return NN_OK;
}

/* A shape, "[3,4]". */
static const char *nn__dims_text(nn_message *to, int rank, const size_t *dim)
{
  nn__text t = {to->text, sizeof to->text, 0};
  nn__put_char(&t, '[');
  for (int i = 0; i < rank; i++) {
    if (i) nn__put_char(&t, ',');
    nn__put_number(&t, dim[i], 10);
  }
  nn__put_char(&t, ']');
  to->text[t.used] = 0;
  return to->text;
}

static int nn__is_constant(const nn_model *m, int param) /* of a scaling: not learnt elsewhere */
{
  return m->node[m->param[param].node].kind == NN__NORMALISE;
}

/* Whether two layers of a model could be taken for each other by their arrays' shapes. */
static int nn__has_twins(const nn_model *m)
{
  for (int i = 0; i < m->params; i++)
    for (int j = 0; j < i; j++) {
      const nn__node *a = &m->node[m->param[i].node], *b = &m->node[m->param[j].node];
      int k = 0;
      if (a == b || a->params != b->params || a->param != i || nn__is_constant(m, i)) continue;
      for (; k < a->params; k++) {
        const nn__param *p = &m->param[a->param + k], *q = &m->param[b->param + k];
        if (p->rank != q->rank || memcmp(p->dim, q->dim, sizeof p->dim)) break;
      }
      if (k == a->params) return 1;
    }
  return 0;
}

/* Whether name b is a, or the same but for numbers, the first of which that differs is greater. */
static int nn__follows(const char *a, const char *b)
{
  int order = 0;
  while (*a || *b) {
    unsigned long x = 0, y = 0;
    const char *const p = a, *const q = b;
    for (; *a >= '0' && *a <= '9'; a++) x = (x * 10 + (unsigned long)(*a - '0')) & 0xFFFFFF;
    for (; *b >= '0' && *b <= '9'; b++) y = (y * 10 + (unsigned long)(*b - '0')) & 0xFFFFFF;
    if (!order) order = x < y ? 1 : x > y ? -1 : 0;
    if ((p == a) != (q == b)) return 0;
    if (p == a && *a++ != *b++) return 0;
  }
  return order >= 0;
}

/* By order: the next layer with an array that was not found yet; in it the array whose name ends as
 * that of the file's does, or, where names tell nothing, the next one. Constants go by name. */
static int nn__in_order(nn__bundle *b, const nn_model *m, const unsigned char *found, char *layer)
{
  nn__io *const s = &b->file.io;
  const char *const dot = strrchr(b->text, '.'), *const role = dot ? dot + 1 : b->text;
  const size_t length = dot ? (size_t)(dot - b->text) : strlen(b->text);
  char now[NN__LONGEST_NAME + 1];
  int i = 0;
  memcpy(now, b->text, length);
  now[length] = 0;
  for (int k = 0; k < m->params; k++)
    if (nn__is_constant(m, k) && !strcmp(m->param[k].name, b->text)) return k;
  if (b->form == NN__SAFETENSORS && *layer && !nn__follows(layer, now) && nn__has_twins(m)) {
    nn__io_fail(s, NN_ERR_SHAPE, "by order: %s and %s may be either of two layers of the same "
                "shapes, since safetensors are sorted by name", layer, now);
    return -1;
  }
  memcpy(layer, now, length + 1);
  while (i < m->params && (found[i] || nn__is_constant(m, i))) i++;
  if (i == m->params) {
    nn__io_fail(s, NN_ERR_SHAPE, "by order: the model has no array left for %s", b->text);
    return -1;
  }
  for (int k = i; k < m->params && m->param[k].node == m->param[i].node; k++)
    if (!found[k] && !strcmp(strchr(m->param[k].name, '.') + 1, role)) return k;
  if (strncmp(role, "weight", 6) && strncmp(role, "bias", 4) && strncmp(role, "running_", 8))
    return i;
  nn__io_fail(s, NN_ERR_SHAPE, "by order: %s of the file where the model has %s", b->text,
              m->param[i].name);
  return -1;
}

static const size_t *nn__dims_of(const nn__param *p, size_t dim[4])
{
  for (int k = 0; k < 4; k++) dim[k] = (size_t)p->dim[k];
  return dim;
}

/* By order: an array that does not fit where it should. */
static void nn__misfit(nn__bundle *b, const nn__param *p)
{
  nn_message there, here;
  size_t dim[4];
  nn__io_fail(&b->file.io, NN_ERR_SHAPE, "by order: %s %s of the file where the model has %s %s",
              b->text, nn__dims_text(&there, b->now.rank, b->now.dim), p->name,
              nn__dims_text(&here, p->rank, nn__dims_of(p, dim)));
}

/* ---- where numbers go --------------------------------------------------------------------- */

/* Element [i,j,..] of a model's array is element i stride[0] + j stride[1] + .. of the file's.
 * gate: rows of a GRU's gate, which come as z,r,n there and go as r,z,n here; 0: no gates.
 * plane: pixels of the image [C,H,W] that was flattened to the features along axis `flat`, which
 * come pixel by pixel there and channel by channel here; 0: none was. */
typedef struct nn__strides {
  size_t stride[4], start, gate, plane, channels;
  int flat;
} nn__strides;

/* Whether the file's array has the model's shape; the layout is then the plain one. */
static int nn__same_shape(const nn__param *p, const nn_stored *now, nn__strides *to)
{
  size_t stride = 1;
  memset(to, 0, sizeof *to);
  if (p->rank != now->rank) return 0;
  for (int i = p->rank; i-- > 0; stride *= (size_t)p->dim[i]) {
    if (now->dim[i] != (size_t)p->dim[i]) return 0;
    to->stride[i] = stride;
  }
  return 1;
}

static int nn__has_shape(const nn_stored *now, int rank, size_t a, size_t b, size_t c, size_t d)
{
  const size_t dim[4] = {a, b, c, d};
  return now->rank == rank && !memcmp(now->dim, dim, (size_t)rank * sizeof *dim);
}

/* The image that a node's features were flattened from; NULL: none was, that can be seen. */
static const nn__node *nn__flattened(const nn_model *m, int x)
{
  while (m->node[x].rank == 1 && m->node[x].kind != NN__FLATTEN) {
    const nn__kind kind = m->node[x].kind;
    if (!nn__is_act(kind) && kind != NN__DROPOUT && kind != NN__BATCH_NORM &&
        kind != NN__LAYER_NORM && kind != NN__NORMALISE)
      return NULL;
    x = m->node[x].in[0];
  }
  const nn__node *const from = m->node[x].kind == NN__FLATTEN ? &m->node[m->node[x].in[0]] : NULL;
  return from && from->rank == 3 ? from : NULL;
}

/* The same of an array as Keras has it (channels last): Conv2D [kh,kw,in,out], DepthwiseConv2D
 * [kh,kw,in,multiplier], Dense [in,out], cells' kernels [in,gates hidden] and one bias; a GRU's is
 * [2,3 hidden], of reset_after. */
static int nn__keras_shape(const nn_model *m, const nn__param *p, const nn_stored *now,
                           nn__strides *to)
{
  const nn__node *const node = &m->node[p->node];
  const size_t d[4] = {(size_t)p->dim[0], p->rank > 1 ? (size_t)p->dim[1] : 1,
                       p->rank > 2 ? (size_t)p->dim[2] : 1, p->rank > 3 ? (size_t)p->dim[3] : 1};
  const nn__node *image = nn__is_cell(node->kind) ? NULL : nn__flattened(m, node->in[0]);
  int same = nn__same_shape(p, now, to);
  if (node->kind == NN__CONV2D && p->rank == 4) {
    const size_t groups = (size_t)node->window.groups;
    const size_t row = d[1] * d[0], stride[4] = {1, d[0], d[3] * row, row};
    memcpy(to->stride, stride, sizeof stride);
    return nn__has_shape(now, 4, d[2], d[3], d[1], d[0]) ||
           (d[1] == 1 && nn__has_shape(now, 4, d[2], d[3], groups, d[0] / groups));
  }
  if (p->rank == 2 && (node->kind == NN__LINEAR || nn__is_cell(node->kind))) {
    to->stride[0] = 1, to->stride[1] = d[0];
    same = nn__has_shape(now, 2, d[1], d[0], 0, 0);
  } else if (node->kind == NN__LINEAR) {
    image = NULL; /* a bias */
  }
  if (node->kind == NN__GRU) {
    to->gate = d[0] / 3, to->stride[0] = 1;
    if (p->rank == 1) same = nn__has_shape(now, 2, 2, d[0], 0, 0);
  }
  if (image) to->plane = image->rows, to->channels = image->cols, to->flat = p->rank - 1;
  return same;
}

/* Fills a model's array, or memory of its size. */
static void nn__take_numbers(nn_real *to, const nn__param *p, const nn__bundle *b,
                             const nn__strides *l)
{
  const unsigned char *const from = b->now.bytes;
  const size_t wide = nn__stored_type[b->type].size;
  for (size_t i = 0; i < p->count; i++) {
    size_t rest = i, place = l->start;
    for (int k = p->rank; k-- > 0; rest /= (size_t)p->dim[k]) {
      size_t x = rest % (size_t)p->dim[k];
      if (l->gate && k == 0 && x < 2 * l->gate) x = (x + l->gate) % (2 * l->gate);
      if (l->plane && k == l->flat) x = x % l->plane * l->channels + x / l->plane;
      place += x * l->stride[k];
    }
    to[i] = nn__stored_number(from + place * wide, (int)b->type);
  }
}

/* ---- filling a model ---------------------------------------------------------------------- */

/* Keeps the first name; a long one is cut, between characters. */
static void nn__note_first(char *first, const char *name)
{
  size_t length = nn__min(strlen(name), NN_NAME_SIZE - 1);
  if (*first) return;
  while (length && ((unsigned char)name[length] & 0xC0) == 0x80) length--;
  memcpy(first, name, length);
  first[length] = 0;
}

/* Whether a model's array can be filled from the numbers that the file has for it. */
static void nn__check_usable(nn__bundle *b, const nn_model *m, const nn__param *p)
{
  const int wide = nn__stored_type[b->type].size;
  nn_message reason;
  const nn_status bad =
      m->config.in_place ? nn__borrowable(b->now.bytes, wide, &reason) : NN_OK;
  if ((int)b->type < NN__TYPE_F32 || (int)b->type > NN__TYPE_BF16)
    nn__io_fail(&b->file.io, NN_ERR_FORMAT, "not F32, F64, F16 or BF16: %s, from %s", p->name,
                b->text);
  else if (bad != NN_OK)
    nn__io_fail(&b->file.io, bad, "%s", reason.text);
}

/* pair: the second bias of a cell of Keras's, which has one; or -1. */
static void nn__fill_array(nn_model *m, int own, int pair, const nn__bundle *b, nn__strides *l)
{
  const nn__param *const p = &m->param[own];
  if (m->config.in_place) {
    nn__borrow(&m->param[own], b->now.bytes);
    return;
  }
  nn__take_numbers(nn__value(m, own), p, b, l);
  l->start = p->count; /* the second row of a GRU's two */
  if (pair >= 0 && l->gate)
    nn__take_numbers(nn__value(m, pair), p, b, l);
  else if (pair >= 0)
    memset(nn__value(m, pair), 0, p->count * sizeof(nn_real));
}

/* Goes through a file's arrays and fills those of the model that they are for. fill 0: only checks,
 * and counts what is found, missing and of another shape. */
static void nn__match_arrays(nn__bundle *b, nn_model *m, const nn_weights_options *o, int fill,
                             nn_weights *w)
{
  nn__io *const s = &b->file.io;
  const int by_order = NN__EXPORTS && o->by_order;
  unsigned char found[NN_MAX_PARAMS] = {0};
  nn__strides layout;
  int own = -1;
  char layer[NN__LONGEST_NAME + 1] = "";
  nn__names line = {o->names, o->names, {NULL}, {0}, 0};
  const size_t skip = o->from ? strlen(o->from) : 0;
  nn__rewind(b);
  while (nn__next(b)) {
    const char *const dot = strrchr(b->text, '.'), *const role = dot ? dot + 1 : b->text;
    const int first = own + 1, foreign = NN__EXPORTS && b->form != NN__OWN;
    int pair = -1, how = NN__BY_NAME;
    if (foreign && !strcmp(role, "num_batches_tracked")) continue;
    if (NN__EXPORTS && nn__find_line(&line, b->text, 0)) how = NN__BY_TABLE;
    if (by_order) own = nn__in_order(b, m, found, layer);
    else if (how == NN__BY_TABLE)
      own = nn__array_named(m, "", line.name[1], line.length[1], first);
    else if (skip && strncmp(b->text, o->from, skip)) own = -1;
    else
      own = nn__array_named(m, o->to ? o->to : "", b->text + skip, strlen(b->text + skip), first);
    if (s->status != NN_OK) return;
    const nn__param *const p = own >= 0 ? &m->param[own] : NULL;
    if (p && found[own])
      nn__io_fail(s, NN_ERR_FORMAT, "two arrays for %s, from %s", p->name, b->text);
    int fits = p && nn__same_shape(p, &b->now, &layout);
    if (NN__EXPORTS && p && o->keras) {
      fits = nn__keras_shape(m, p, &b->now, &layout);
      if (p->layer >= 0 && !strcmp(p->what, "bias_ih")) pair = own + 1; /* has no array there */
    }
    if (by_order && !fits) nn__misfit(b, p);
    if (s->status != NN_OK) return;
    if (p) found[own] = (unsigned char)how;
    if (pair >= 0) found[pair] = NN__BY_NAME;
    if (fits && fill) nn__fill_array(m, own, pair, b, &layout);
    if (fits && !fill) nn__check_usable(b, m, p);
    if (fill) continue;
    if (fits) w->found += 1 + (pair >= 0);
    else if (p) w->reshaped++, nn__note_first(w->first_reshaped, p->name);
    else w->unused++, nn__note_first(w->first_unused, b->text);
  }
  if (fill) return;
  if (NN__EXPORTS && s->status == NN_OK) {
    unsigned char named[NN_MAX_PARAMS] = {0};
    s->status = nn__check_names(m, o->names, found, named);
  }
  for (int i = 0; i < m->params && s->status == NN_OK; i++) {
    const int fixed = NN__EXPORTS && (b->form != NN__OWN || by_order) && !m->config.in_place;
    if (found[i] || (fixed && nn__is_constant(m, i))) continue;
    if (by_order)
      nn__io_fail(s, NN_ERR_SHAPE, "by order: the file has no array left for %s", m->param[i].name);
    w->missing++, nn__note_first(w->first_missing, m->param[i].name);
  }
}

nn_status nn_load_weights_memory(nn_model *m, const void *bytes, size_t size,
                                 const nn_weights_options *options, nn_weights *result)
{
  static const nn_weights_options plain; /* all zero */
  nn_weights own;
  nn__bundle b;
  if (!m) return NN_ERR_ARGUMENT;
  if (!result) result = &own;
  if (!options) options = &plain;
  memset(result, 0, sizeof *result);
  if (!m->built) return nn__error(m, NN_ERR_STATE, "nn_load_weights: not built");
  if (!NN__EXPORTS && (options->names || options->by_order || options->keras))
    return nn__error(m, NN_ERR_UNSUPPORTED, "nn_load_weights: built with NN_NO_EXPORT");
  if (options->keras && m->config.in_place)
    return nn__error(m, NN_ERR_UNSUPPORTED,
                     "nn_load_weights: Keras has other layouts, which cannot be used in place");
  if (options->by_order && options->names)
    return nn__error(m, NN_ERR_ARGUMENT, "nn_load_weights: names, or by_order, which needs none");
  if (nn__bundle_of(&b, bytes, size, nn__message(m)) != NN_OK) return m->status = b.file.io.status;
  nn__match_arrays(&b, m, options, 0, result);
  if (b.file.io.status != NN_OK) return m->status = b.file.io.status;
  const int lacks = result->missing + result->reshaped;
  if (lacks && (options->strict || !result->found))
    return nn__error(m, NN_ERR_SHAPE, "nn_load_weights: %d arrays missing%s%s, %d of another shape"
                     "%s%s, %d of the file unused%s%s", result->missing,
                     result->missing ? ", first " : "", result->first_missing, result->reshaped,
                     result->reshaped ? ", first " : "", result->first_reshaped, result->unused,
                     result->unused ? ", first " : "", result->first_unused);
  b.notes = m;
  nn__match_arrays(&b, m, options, 1, result);
  m->ran = m->packed = 0; /* what is there was made of other weights */
  return NN_OK;
}

#ifndef NN_NO_STDIO
nn_status nn_load_weights(nn_model *m, const char *path, const nn_weights_options *options,
                          nn_weights *result)
{
  nn_array file;
  nn_message reason;
  if (!m || m->config.in_place)
    return nn__error(m, NN_ERR_STATE, "nn_load_weights: " NN__ONLY_MEMORY);
  nn_status status = nn__read_file(path, 1, &m->config.allocator, &file, nn__message(m));
  if (status != NN_OK) return m->status = status;
  status = nn_load_weights_memory(m, file.data, file.count, options, result);
  nn_array_free(&file);
  if (status == NN_OK) return status;
  nn__words(&reason, "%s", nn__sentence(m));
  return nn__error(m, status, "%s: %s", nn__path_end(path), reason.text);
}
#endif

#ifndef NN_NO_EXPORT
/* ---- writing ------------------------------------------------------------------------------ */

/* Where an exporter's bytes go: an nn__io writes them here, each number with its lowest byte first,
 * and counts and checks them. write NULL: nowhere, for their CRC. */
typedef struct nn__export {
  nn_write write;
  void *user;
  int failed;
} nn__export;

static void nn__export_bytes(void *to, const void *bytes, size_t size)
{
  nn__export *e = to;
  if (e->write && size && !e->failed) e->failed = e->write(e->user, bytes, size) != 0;
}

/* Ready to write to e; or an error. */
static nn_status nn__exporter(nn__io *s, nn__export *e, nn_model *m, nn_write write, void *user)
{
  memset(s, 0, sizeof *s);
  if (!m) return NN_ERR_ARGUMENT;
  e->write = write, e->user = user, e->failed = 0;
  s->m = m, s->wide = (int)sizeof(nn_real), s->why = nn__message(m), s->section = "export";
  s->sink = nn__export_bytes, s->to = e;
  if (!m->built) return nn__error(m, NN_ERR_STATE, "export: not built");
  if (!write) return nn__error(m, NN_ERR_ARGUMENT, "export: nothing to write to");
  const nn__param *absent = nn__absent(m);
  return absent ? nn__error(m, NN_ERR_STATE, "export: %s " NN__ABSENT, absent->name) : NN_OK;
}

static void nn__io_put(nn__io *s, const char *text, size_t length) /* text is only read */
{
  nn__io_bytes(s, (void *)(uintptr_t)(const void *)text, length);
}
static void nn__io_word(nn__io *s, const char *text) { nn__io_put(s, text, strlen(text)); }

/* What an array is called in the file: its bytes from the result on. */
static const char *nn__name_out(const nn_model *m, int param, nn__names *names, size_t *length)
{
  const char *const own = m->param[param].name;
  const int other = nn__find_line(names, own, 1);
  *length = other ? names->length[0] : strlen(own);
  return other ? names->name[0] : own;
}

/* That the names in the file are UTF-8 and differ: those of the table, then of what it has not. */
NN__APART nn_status nn__check_names_out(nn_model *m, const char *table)
{
  unsigned char named[NN_MAX_PARAMS] = {0};
  nn__group g;
  uint64_t twice = 0; /* the hash of a name that comes twice */
  if (nn__check_names(m, table, NULL, named) != NN_OK) return m->status;
  if (!table) return NN_OK;
  g.low = 0, g.count = 0, g.places = 0;
  do {
    nn__names line = {table, table, {NULL}, {0}, 0};
    for (int i = 0; i < m->params;) {
      const int listed = nn__next_line(&line);
      if (!listed && named[i++]) continue;
      const char *const name = listed ? line.name[0] : m->param[i - 1].name;
      const size_t length = listed ? line.length[0] : strlen(name);
      const uint64_t key = nn__hash(name, length, 0xCBF29CE484222325u);
      nn_message text = {{0}};
      memcpy(text.text, name, nn__min(length, sizeof text.text - 1));
      if (nn__bad_text(name, length) < length || memchr(name, '\t', length))
        return nn__error(m, NN_ERR_ARGUMENT, "names: %s is not UTF-8, or has a tab", text.text);
      if (twice && key == twice)
        return nn__error(m, NN_ERR_ARGUMENT, "names: two arrays would be called %s", text.text);
      nn__group_add(&g, key, 0);
    }
    for (int i = 1; i < g.count; i++)
      if (g.item[i].key == g.item[i - 1].key) twice = g.item[i].key;
  } while (nn__group_next(&g) || twice);
  return NN_OK;
}

/* A string of JSON, quotes and all; the text is UTF-8. */
static void nn__io_json(nn__io *s, const char *text, size_t length)
{
  nn__io_word(s, "\"");
  for (size_t i = 0; i < length; i++) {
    const char c = text[i];
    if (c == '"' || c == '\\' || c == '\n' || c == '\t') nn__io_word(s, "\\");
    nn__io_put(s, c == '\n' ? "n" : c == '\t' ? "t" : text + i, 1);
  }
  nn__io_word(s, "\"");
}

static void nn__safetensors_header(nn__io *s, const char *table)
{
  const nn_model *m = s->m;
  nn__names names = {table, table, {NULL}, {0}, 0};
  const char *key;
  nn_message text;
  size_t at = 0, length;
  nn__io_word(s, "{\"__metadata__\":{\"format\":\"pt\"");
  for (int i = 0; (key = nn_note_key(m, i)) != NULL; i++) {
    const char *const note = key + strlen(key) + 1;
    if (!strcmp(key, "format")) continue;
    nn__io_word(s, ",");
    nn__io_json(s, key, strlen(key));
    nn__io_word(s, ":");
    nn__io_json(s, note, strlen(note));
  }
  nn__io_word(s, "}");
  for (int i = 0; i < m->params; i++) {
    const nn__param *p = &m->param[i];
    size_t dim[4];
    const char *const name = nn__name_out(m, i, &names, &length);
    nn__io_word(s, ",");
    nn__io_json(s, name, length);
    nn__words(&text, ":{\"dtype\":\"%s\",\"shape\":", NN__DOUBLE ? "F64" : "F32");
    nn__io_word(s, text.text);
    nn__io_word(s, nn__dims_text(&text, p->rank, nn__dims_of(p, dim)));
    nn__words(&text, ",\"data_offsets\":[%zu,%zu]}", at, at + p->count * sizeof(nn_real));
    nn__io_word(s, text.text);
    at += p->count * sizeof(nn_real);
  }
  nn__io_word(s, "}");
}

static void nn__safetensors_write(nn__io *s, const char *table)
{
  const nn_model *m = s->m;
  nn__io count = *s;
  count.sink = NULL;
  nn__safetensors_header(&count, table);
  const size_t begin = nn__round_up(8 + count.at, NN__ALIGN); /* of the numbers */
  uint64_t length = begin - 8;
  if (length > NN__MOST_HEADER)
    nn__io_fail(s, NN_ERR_LIMIT, "a header of %zu bytes", begin - 8);
  nn__io_uint(s, &length, 8);
  nn__safetensors_header(s, table);
  while (s->status == NN_OK && s->at < begin) nn__io_word(s, " ");
  for (int i = 0; i < m->params; i++) nn__io_reals(s, m->param[i].value, m->param[i].count);
}

/* Writes an array's npy file, with its header in the archive; or `directory`, its entry there. */
static void nn__npz_array(nn__io *s, int param, nn__names *names, int directory, size_t *offset)
{
  const nn__param *p = &s->m->param[param];
  unsigned char head[NN__NPY_HEAD];
  size_t dim[4], length;
  nn__export nowhere = {NULL, NULL, 0};
  nn__io check = *s; /* for the CRC of what follows the header */
  const size_t start = s->at;
  const size_t head_size =
      nn__npy_header(head, NN__DOUBLE ? NN_F64 : NN_F32, p->rank, nn__dims_of(p, dim));
  const size_t size = head_size + p->count * sizeof(nn_real);
  const char *const name = nn__name_out(s->m, param, names, &length);
  check.to = &nowhere, check.crc = 0;
  if (s->sink) nn__io_bytes(&check, head, head_size);
  if (s->sink) nn__io_reals(&check, p->value, p->count);
  /* of zip's version 2.0, not compressed; 1 January 1980: the same model is the same bytes */
  uint64_t z[NN__Z_WORDS] = {20, 20, NN__ZIP_UTF8, 0, 0, 1 << 5 | 1, check.crc, size, size,
                               length + 4, 0, 0, 0, 0, 0, *offset};
  nn__zip_header(s, z, directory);
  nn__io_put(s, name, length);
  nn__io_word(s, ".npy");
  *offset += s->at - start + size - 16; /* the header before the bytes is so much shorter */
  if (directory) return;
  nn__io_bytes(s, head, head_size);
  nn__io_reals(s, p->value, p->count);
}

static void nn__npz_parts(nn__io *s, const char *table)
{
  const nn_model *m = s->m;
  nn__names names = {table, table, {NULL}, {0}, 0};
  size_t begin = 0;
  for (int directory = 0; directory < 2; directory++) {
    size_t offset = 0;
    begin = s->at;
    for (int i = 0; i < m->params; i++) nn__npz_array(s, i, &names, directory, &offset);
  }
  const uint64_t count = (uint64_t)m->params;
  uint64_t last[NN__Z_END_WORDS] = {0, count, count, s->at - begin, begin, 0};
  nn__zip_end(s, last);
}

static void nn__npz_write(nn__io *s, const char *table)
{
  nn__io count = *s;
  count.sink = NULL;
  nn__npz_parts(&count, table);
  if (count.at >= nn__zip_64 || s->m->params >= 0xFFFF)
    nn__io_fail(s, NN_ERR_LIMIT, "%zu bytes are too many for an npz", count.at);
  nn__npz_parts(s, table);
}

static nn_status nn__export_arrays(nn_model *m, const char *names, nn_write write, void *user,
                                   void (*walk)(nn__io *s, const char *table))
{
  nn__io s;
  nn__export e;
  if (nn__exporter(&s, &e, m, write, user) != NN_OK) return m ? m->status : NN_ERR_ARGUMENT;
  if (nn__check_names_out(m, names) != NN_OK) return m->status;
  walk(&s, names);
  if (e.failed) return nn__error(m, NN_ERR_IO, "export: the caller's write failed");
  return s.status == NN_OK ? NN_OK : (m->status = s.status);
}

nn_status nn_export_safetensors(nn_model *m, const char *names, nn_write write, void *user)
{
  return nn__export_arrays(m, names, write, user, nn__safetensors_write);
}

nn_status nn_export_npz(nn_model *m, const char *names, nn_write write, void *user)
{
  return nn__export_arrays(m, names, write, user, nn__npz_write);
}

#ifndef NN_NO_STDIO
static int nn__export_to_file(void *user, const void *bytes, size_t size)
{
  nn__writer *w = user;
  nn__write(w, bytes, size);
  return w->status != NN_OK;
}

typedef nn_status (*nn__export_call)(nn_model *m, const char *names, nn_write write, void *user);
static nn_status nn__export_file(nn_model *m, const char *names, const char *path,
                                 nn__export_call call)
{
  nn__writer w;
  nn_message why;
  if (!m) return NN_ERR_ARGUMENT;
  nn__write_begin(&w, path, &why);
  nn_status status = w.status;
  if (status == NN_OK && (status = call(m, names, nn__export_to_file, &w)) != NN_OK &&
      w.status == NN_OK) { /* it is the model that cannot be written */
    nn__write_stop(&w);
    return status;
  }
  status = nn__write_end(&w);
  return status == NN_OK ? NN_OK : nn__error(m, status, "%s", why.text);
}

nn_status nn_save_safetensors(nn_model *m, const char *names, const char *path)
{
  return nn__export_file(m, names, path, nn_export_safetensors);
}

nn_status nn_save_npz(nn_model *m, const char *names, const char *path)
{
  return nn__export_file(m, names, path, nn_export_npz);
}
#endif
#endif

/* ======================================= @@SOURCE ==========================================
 * A model as C source: plain loops for exactly this net, in float or int8. Arrays lie there as
 * nn.h's border says, so flattening costs nothing and weights keep PyTorch's shapes.
 *
 * A plan is made first: each of its steps computes one array. Other layers join the step before
 * them (a norm is multiplied into the weights, an activation or a pool is done on the fly) or have
 * no code at all. Then each step becomes calls of a few functions, with their sizes and constants.
 * The calls are written as C source; those of an int8 net the engine also runs itself.
 *
 * Texts below are C with $ for the prefix and @ for the prefix in capitals. */
#ifndef NN_NO_EXPORT
enum { NN__C_NUMBER = 24, NN__C_INPUT = -1 }; /* the model's input k is array NN__C_INPUT - k */

typedef struct nn__c_step {
  int node, layer;   /* whose loops; of a stack of cells, the layer */
  int in[2];         /* arrays that it reads: steps or inputs */
  int ahead, norm, act, pool; /* layers that joined it: a scaling of its input; and behind it */
  int open;          /* only one layer will read it, which may join it */
  int gone;          /* it joined the next one itself */
  int alone;         /* of a sequence only the last step is kept */
  int head;          /* in a stream: after the last step, so only for an answer */
  int share;         /* the step in whose place it writes, or -1 */
  size_t size;       /* of the array, in numbers */
  double scale;      /* int8: numbers are scale (byte - zero) */
  int zero;
  nn__piece y, state; /* in the working memory; state: of a cell, or what a convolution gathers */
} nn__c_step;

typedef struct nn__c_op nn__c_op;
typedef struct nn__c {
  nn_model *m;
  nn_int8 *q;        /* int8, or NULL */
  int soft;          /* int8: the softmax that is computed in float at the end, or -1 */
  nn__export out;
  const char *prefix;
  nn__c_step *step;
  nn__c_op *first, **end; /* the calls */
  int *of, *users, *act; /* of each layer: the array that holds its output; layers that read it;
                            an activation's number, from 1 on, one for all that do the same */
  size_t room;       /* bytes of step, of, users and act */
  int steps, last;   /* last: the step that writes the output */
  int stream;        /* one step of a sequence at a time */
  size_t memory, states, patch; /* numbers: floats, or bytes and halves; patch: the most that
                                   an output of a convolution looks at, in int8 */
  nn_status status;
  nn_message why;
  uint64_t wanted; /* functions, by their kernels */
  size_t used, column;    /* of part; of the line */
  char part[256];
} nn__c;

static void nn__c_fail(nn__c *c, nn_status status, const char *what, const char *why)
{
  if (c->status == NN_OK) c->status = nn__say(&c->why, status, "%s %s", what, why);
}

/* Refuses what is no number as a float. */
static void nn__c_finite(nn__c *c, double x, const char *what)
{
  if (!nn__finite((double)(float)x)) nn__c_fail(c, NN_ERR_ARGUMENT, what, "is not finite");
}

/* ---- text --------------------------------------------------------------------------------- */

static void nn__c_char(nn__c *c, char letter)
{
  if (c->used == sizeof c->part || (!letter && c->used)) {
    nn__export_bytes(&c->out, c->part, c->used);
    c->used = 0;
  }
  if (letter) c->part[c->used++] = letter;
  c->column = letter == '\n' ? 0 : c->column + 1;
}

static char nn__c_capital(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

static void nn__c_text(nn__c *c, const char *text)
{
  for (; *text; text++) {
    const int prefix = *text == '$' || *text == '@';
    if (!prefix) nn__c_char(c, *text);
    for (const char *p = c->prefix; prefix && *p; p++)
      nn__c_char(c, *text == '@' ? nn__c_capital(*p) : *p);
  }
}

static void nn__c_say(nn__c *c, const char *format, ...)
{
  char line[512];
  va_list args;
  va_start(args, format);
  nn__format(line, sizeof line, format, args);
  va_end(args);
  nn__c_text(c, line);
}

/* A stranger's text, for a comment or a string: what could end one, or is not ASCII, is a '?'. */
static void nn__c_quote(nn__c *c, const char *text)
{
  for (; *text; text++) {
    const int plain = *text >= ' ' && *text <= '~' && !strchr("\"\\*?", *text);
    if (((unsigned char)*text & 0xC0) != 0x80) nn__c_char(c, plain ? *text : '_');
  }
}

/* What stands ahead of number i of an array. */
static void nn__c_comma(nn__c *c, size_t i)
{
  nn__c_text(c, !i ? "\n  " : c->column < 84 ? ", " : ",\n  ");
}

/* A float in decimals, as many as tell it from all others: nine. Scaling by double is far more
 * exact than these need. */
static void nn__c_float(nn__c *c, double x)
{
  const float narrow = (float)x;
  double size = (double)narrow < 0 ? -(double)narrow : (double)narrow;
  int exponent = 0, digits = 9;
  if (size < 1.17549435e-38) {
    nn__c_text(c, "0.0f");
    return;
  }
  while (size >= 10) size /= 10, exponent++;
  while (size < 1) size *= 10, exponent--;
  uint32_t whole = (uint32_t)(size * 1e8 + .5);
  if (whole >= 1000000000u) whole /= 10, exponent++;
  for (; whole % 10 == 0; digits--) whole /= 10;
  char digit[10];
  for (int i = digits; i-- > 0; whole /= 10) digit[i] = (char)('0' + whole % 10);
  const int plain = exponent >= -4 && exponent < 8, point = plain ? exponent : 0;
  if (narrow < 0) nn__c_char(c, '-');
  for (int i = point < 0 ? point : 0; i < digits || i <= point + 1; i++) {
    if (i == point + 1) nn__c_char(c, '.');
    nn__c_char(c, i >= 0 && i < digits ? digit[i] : '0');
  }
  if (!plain) nn__c_say(c, "e%d", exponent);
  nn__c_char(c, 'f');
}

/* ---- the plan ----------------------------------------------------------------------------- */

/* Steps and the rows within an image's channel count as its height; of one number: 1. */
static int nn__c_high(const nn__node *x) { return x->rank == 1 ? 1 : x->dim[x->rank == 3]; }
static int nn__c_wide(const nn__node *x) { return x->rank == 3 ? x->dim[2] : 1; }
static int nn__c_same(const nn__node *a, const nn__node *b)
{
  return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof a->dim);
}
static int nn__c_relu_cell(const nn__node *node)
{
  return node->kind == NN__RNN && node->cell.relu;
}
static int nn__c_is_affine(nn__kind k) { return k == NN__BATCH_NORM || k == NN__NORMALISE; }
static int nn__c_is_pool(nn__kind kind) { return kind >= NN__MAX_POOL && kind <= NN__GLOBAL_AVG; }

/* The windows of a pool or a convolution, down and across; of a norm: each number. Stride 0:
 * they share the axis out unevenly. */
typedef struct nn__c_windows {
  int kernel[2], stride[2], pad[2], average;
  int apart; /* they lie apart and inside, so that no number is needed twice */
} nn__c_windows;
static nn__c_windows nn__c_pool(const nn__c *c, const nn__node *node)
{
  const nn__node *x = &c->m->node[node->in[0]];
  const nn__window_options *o = &node->window;
  nn__c_windows p = {{o->kernel_h, o->kernel_w}, {o->stride_h, o->stride_w}, {o->pad_h, o->pad_w},
                     node->kind == NN__AVG_POOL || node->kind == NN__GLOBAL_AVG, 1};
  const int size[2] = {nn__c_high(x), nn__c_wide(x)}, out[2] = {nn__c_high(node), nn__c_wide(node)};
  const int even = nn__c_is_affine(node->kind) || node->kind == NN__GLOBAL_MAX ||
                   node->kind == NN__GLOBAL_AVG;
  for (int i = 0; i < 2; i++) {
    if (even || (!o->stride_h && size[0] % out[0] == 0 && size[1] % out[1] == 0))
      p.pad[i] = 0, p.kernel[i] = p.stride[i] = size[i] / out[i];
    p.apart &= !p.pad[i] && p.stride[i] >= p.kernel[i] &&
               (int64_t)(out[i] - 1) * p.stride[i] + p.kernel[i] <= size[i];
  }
  return p;
}

/* Has layer i become a part of step s, which makes its input? */
static int nn__c_joins(nn__c *c, nn__c_step *s, int i)
{
  const nn__node *node = &c->m->node[i], *x = &c->m->node[node->in[0]];
  const nn__node *maker = &c->m->node[s->node];
  const int product = maker->kind == NN__CONV2D || maker->kind == NN__LINEAR;
  if (!s->open || s->pool >= 0) return 0;
  if (node->kind == NN__LAST_STEP && nn__is_cell(maker->kind) && !maker->cell.bidirectional &&
      !s->alone && nn__c_same(x, maker))
    return s->alone = 1;
  if (nn__c_is_pool(node->kind) && maker->kind == NN__CONV2D && x->rank == 3 &&
      nn__c_same(x, maker) && nn__c_pool(c, node).apart && !(c->q && nn__c_pool(c, node).average))
    return s->pool = i, 1;
  if (s->act >= 0) return 0;
  if (nn__is_act(node->kind) && product) return s->act = i, 1;
  if (s->norm < 0 && nn__c_is_affine(node->kind) && (product || nn__is_turned(maker)) &&
      nn__c_same(x, maker))
    return s->norm = i, 1;
  return 0;
}

static int nn__c_is_padded(const nn__node *node)
{
  return node->kind == NN__CONV2D && (node->window.pad_h || node->window.pad_w);
}

/* A scaling that only this step reads becomes a part of its weights; beyond the edges of an image
 * it gives nothing, so there its mean is taken off number by number. */
static void nn__c_join_ahead(nn__c *c, nn__c_step *s)
{
  const nn__node *node = &c->m->node[s->node], *x = &c->m->node[node->in[0]];
  nn__c_step *a = s->in[0] >= 0 ? &c->step[s->in[0]] : NULL;
  if (!a || !a->open || a->layer || s->layer) return;
  const nn__node *scaling = &c->m->node[a->node];
  if (!nn__c_is_affine(scaling->kind) ||
      (nn__c_is_padded(node) && scaling->kind == NN__BATCH_NORM) ||
      (node->kind != NN__CONV2D && node->kind != NN__LINEAR && !nn__is_cell(node->kind)) ||
      !((node->kind == NN__LINEAR && node->rank == 1) || nn__c_same(x, scaling)))
    return;
  if (node->inputs == 1) s->in[1] = a->in[0];
  s->ahead = a->node, s->in[0] = a->in[0], a->gone = 1;
}

/* Layer -1: a copy of what layer i gives. */
static void nn__c_step_of(nn__c *c, int i, int layer, int in)
{
  const nn__node *node = &c->m->node[i];
  nn__c_step *s = &c->step[c->steps];
  memset(s, 0, sizeof *s);
  s->node = i, s->layer = layer;
  s->ahead = s->norm = s->act = s->pool = s->share = -1;
  s->in[0] = in, s->in[1] = node->inputs > 1 && layer >= 0 ? c->of[node->in[1]] : in;
  s->head = c->stream && node->rank != 2;
  s->open = c->users[i] == 1 && i != c->m->output;
  if (layer >= 0) nn__c_join_ahead(c, s);
  if (layer >= 0) c->of[i] = c->steps;
  c->steps++;
}

/* Whether int8's sums in 32 bits, and those of squares in 64, hold what a layer adds up. */
static int nn__q_holds(const nn__c *c, const nn__node *node)
{
  const size_t pixels = c->m->node[node->in[0]].rows;
  switch (node->kind) {
  case NN__SOFTMAX: return node->cols <= 1 << 14;
  case NN__BILINEAR: return node->rows / pixels <= 1 << 20;
  case NN__AVG_POOL: case NN__GLOBAL_AVG: return pixels / node->rows <= 1 << 21;
  case NN__LAYER_NORM: case NN__GROUP_NORM: return node->rows * node->cols <= 1 << 24;
  default: return 1;
  }
}

static void nn__c_plan_layer(nn__c *c, int i)
{
  const nn__node *node = &c->m->node[i];
  const nn__kind kind = node->kind;
  if (nn__is_input(kind)) {
    for (int k = 0; k < c->m->inputs; k++)
      if (c->m->input[k] == i) c->of[i] = NN__C_INPUT - k;
    if (c->q && kind == NN__INPUT) nn__c_step_of(c, i, 0, c->of[i]);
    return;
  }
  if (c->q && kind == NN__SOFTMAX && i == c->m->output) c->soft = i;
  if (c->q && c->soft != i && !nn__q_holds(c, node))
    nn__c_fail(c, NN_ERR_LIMIT, node->name, "is too large for int8");
  if (kind == NN__CUSTOM) nn__c_fail(c, NN_ERR_UNSUPPORTED, node->name, "is a layer of one's own");
  const int from = c->of[node->in[0]], sticks = c->stream && kind == NN__LAST_STEP;
  if (kind == NN__DROPOUT || kind == NN__DROP_CHANNELS || kind == NN__FLATTEN ||
      kind == NN__RESHAPE || c->soft == i || sticks ||
      (from >= 0 && nn__c_joins(c, &c->step[from], i))) {
    c->of[i] = from;
    if (from >= 0) c->step[from].open &= !sticks && c->users[i] == 1 && i != c->m->output;
    return;
  }
  nn__c_step_of(c, i, 0, from);
  for (int k = 1; nn__is_cell(kind) && k < node->cell.layers; k++)
    c->step[c->steps - 1].open = 0, nn__c_step_of(c, i, k, c->steps - 1);
}

/* Whether the net can be run a step of its only input at a time: it has cells, and up to the last
 * step each layer needs no other step than the present one. */
static int nn__c_streams(const nn__c *c)
{
  const nn_model *m = c->m;
  int cells = 0;
  for (int i = 0; i < m->nodes; i++) {
    const nn__node *node = &m->node[i], *x = &m->node[node->in[0]];
    const nn__kind kind = node->kind;
    if (!c->users[i]) continue;
    if (nn__is_input(kind)) {
      if (m->inputs > 1 || (node->rank != 2 && kind != NN__TOKENS)) return 0;
      continue;
    }
    cells += nn__is_cell(kind);
    if (node->rank != 2) { /* behind the last step */
      for (int k = 0; k < node->inputs && kind != NN__LAST_STEP; k++)
        if (m->node[node->in[k]].rank != 1) return 0;
      continue;
    }
    const int others = kind == NN__MAX_POOL || kind == NN__AVG_POOL || kind == NN__CONV2D ||
                       kind == NN__GROUP_NORM || kind == NN__RESHAPE || kind == NN__REVERSE ||
                       kind == NN__TO_SEQUENCE || kind == NN__PADDED || kind == NN__UPSAMPLE ||
                       (nn__is_cell(kind) && node->cell.bidirectional) ||
                       ((kind == NN__SLICE || kind == NN__JOIN) && node->axis == 0);
    if (others || (kind != NN__EMBEDDING && x->rank != 2) ||
        (node->inputs > 1 && m->node[node->in[1]].rank != 2))
      return 0;
  }
  return cells > 0;
}

/* When each array is in use, and which layers write over their input. */
static void nn__c_live(nn__c *c)
{
  for (int k = 0; k < c->steps; k++) {
    nn__c_step *s = &c->step[k];
    const nn__node *node = &c->m->node[s->node];
    const nn__node *made = s->pool >= 0 ? &c->m->node[s->pool] : node;
    const int one = made->rank == 2 && (c->stream || s->alone), time = s->head ? c->steps + k : k;
    s->size = one ? (size_t)made->dim[1] : made->rows * made->cols;
    s->y.first = s->y.last = s->state.first = s->state.last = time;
    if (node->kind == NN__FINAL_STATE && s->layer >= 0) /* the cell's layers write it */
      s->y.first = c->of[node->in[0]] + 1 - c->m->node[node->in[0]].cell.layers;
    s->y.size = s->gone || k == c->last ? 0 : s->size, s->y.offset = SIZE_MAX;
    s->state.offset = SIZE_MAX;
    const int affine = nn__c_is_affine(node->kind), own = !s->gone && s->layer >= 0;
    if (nn__is_cell(node->kind) && own)
      s->state.size = (size_t)node->cell.hidden *
                      (size_t)((node->kind == NN__LSTM ? 2 : 1) + (c->q != NULL));
    if (c->stream || c->q) { /* they outlive the working memory */
      s->state.offset = c->states, s->state.last = -1;
      c->states += s->state.size;
    }
    const int gathers = own && (node->kind == NN__CONV2D || (c->q && affine));
    const size_t patch = gathers ? c->m->param[node->param].count / node->cols : 0;
    if (c->q) c->patch = nn__max(c->patch, patch);
    else if (gathers) s->state.size = patch;
    for (int q = 0; q < 2 && !s->gone; q++)
      if (s->in[q] >= 0) {
        nn__piece *x = &c->step[s->in[q]].y;
        x->last = x->last < s->state.first ? s->state.first : x->last;
      }
  }
  for (int turn = 0; turn <= c->stream; turn++)
    for (int k = 0; k < c->steps; k++) {
      nn__c_step *s = &c->step[k];
      const nn__kind kind = c->m->node[s->node].kind;
      const int over = nn__is_act(kind) || nn__kind_needs[kind] & NN__OVER || kind == NN__MULTIPLY;
      if (s->head != turn || !s->y.size || !over || s->layer < 0) continue;
      for (int q = 0; q < (kind == NN__ADD ? 2 : 1) && s->share < 0; q++) {
        int root = s->in[q];
        while (root >= 0 && c->step[root].share >= 0) root = c->step[root].share;
        if (root < 0 || root == c->last || c->step[root].size != s->size ||
            c->step[root].y.last != s->y.first)
          continue;
        s->share = root, s->y.size = 0;
        if (c->step[root].y.last < s->y.last) c->step[root].y.last = s->y.last;
      }
    }
}

static nn__piece *nn__c_piece(const void *c, int k)
{
  nn__c_step *s = &((const nn__c *)c)->step[k / 2];
  return k % 2 ? &s->state : &s->y;
}

static int nn__c_same_act(const nn__node *a, const nn__node *b)
{
  return a->kind == b->kind && !memcmp(&a->value, &b->value, sizeof a->value) &&
         !memcmp(&a->second, &b->second, sizeof a->second);
}

static void nn__c_plan(nn__c *c)
{
  nn_model *m = c->m;
  int acts = 0;
  c->soft = -1;
  c->users[m->output]++;
  for (int i = m->nodes; i-- > 0;)
    for (int k = 0; k < m->node[i].inputs && c->users[i]; k++) c->users[m->node[i].in[k]]++;
  c->stream = nn__c_streams(c);
  for (int i = 0; i < m->nodes; i++)
    if (c->users[i]) nn__c_plan_layer(c, i);
  for (int i = 0; i < m->nodes; i++) {
    if (!c->users[i] || !nn__is_act(m->node[i].kind)) continue;
    for (int k = 0; k < i && !c->act[i]; k++)
      if (c->act[k] && nn__c_same_act(&m->node[k], &m->node[i])) c->act[i] = c->act[k];
    if (!c->act[i]) c->act[i] = ++acts;
    if (!c->q) nn__c_finite(c, m->node[i].value, m->node[i].name);
    if (!c->q) nn__c_finite(c, m->node[i].second, m->node[i].name);
  }
  c->last = c->of[m->output];
  if (c->last < 0 || c->q || (c->stream && c->step[c->last].head != (m->node[m->output].rank != 2)))
    nn__c_step_of(c, m->output, -1, c->last), c->last = c->steps - 1;
  nn__c_live(c);
  c->memory = nn__place(nn__c_piece, c, 2 * c->steps);
  for (int k = 0; k < c->steps; k++)
    if (c->step[k].share >= 0) c->step[k].y.offset = c->step[c->step[k].share].y.offset;
}

/* Before the plan: room for it. */
static nn_status nn__c_open(nn__c *c, nn_model *m, nn_int8 *q)
{
  size_t steps = 1;
  memset(c, 0, sizeof *c);
  c->m = m, c->q = q, c->end = &c->first;
  for (int i = 0; i < m->nodes; i++)
    steps += nn__is_cell(m->node[i].kind) ? (size_t)m->node[i].cell.layers : 1;
  c->room = steps * sizeof *c->step + 3 * (size_t)m->nodes * sizeof *c->of;
  c->step = nn__allocate(&m->config.allocator, c->room);
  if (!c->step) return nn__error(m, NN_ERR_MEMORY, "export: out of memory");
  memset(c->step, 0, c->room);
  c->of = (int *)(c->step + steps), c->users = c->of + m->nodes, c->act = c->users + m->nodes;
  return NN_OK;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static double nn__c_param(const nn__c *c, const nn__node *node, int k, size_t at)
{
  return (double)c->m->param[node->param + k].value[at];
}

/* A norm by its running statistics, or a scaling: x scale + shift for channel j; -1: neither. */
static double nn__c_affine(const nn__c *c, int i, size_t j, double *shift)
{
  *shift = 0;
  if (i < 0) return 1;
  const nn__node *node = &c->m->node[i];
  const int stats = node->kind == NN__NORMALISE || node->no_bias ? 0 : 2;
  const double mean = nn__c_param(c, node, stats, j), second = nn__c_param(c, node, stats + 1, j);
  double scale = node->kind == NN__NORMALISE ? second : 1 / sqrt(second + node->value);
  if (stats) scale *= nn__c_param(c, node, 0, j);
  *shift = (stats ? nn__c_param(c, node, 1, j) : 0) - mean * scale;
  return scale;
}

/* How a product's weights lie: inputs of one output, the input's channel and the output. */
typedef struct nn__c_matrix {
  size_t inputs, channel, out;
} nn__c_matrix;
static nn__c_matrix nn__c_weight_at(const nn__c *c, const nn__c_step *s, size_t at)
{
  const nn__node *node = &c->m->node[s->node], *x = &c->m->node[node->in[0]];
  const nn__node *scaling = &c->m->node[s->ahead < 0 ? s->node : s->ahead];
  const nn__window_options *o = &node->window;
  const size_t taps = (size_t)o->kernel_h * (size_t)o->kernel_w;
  nn__c_matrix w;
  if (nn__is_conv(node->kind)) {
    const size_t groups = (size_t)o->groups, in = x->cols / groups, out = node->cols / groups;
    w.inputs = in * taps;
    w.out = nn__is_turned(node) ? at / (out * taps) / in * out + at / taps % out : at / w.inputs;
    w.channel = w.out / out * in + at / taps % in;
    return w;
  }
  w.inputs = node->kind == NN__LINEAR ? x->cols : x->rank == 2 ? (size_t)x->dim[1] : x->cols;
  w.out = at / w.inputs, w.channel = at % w.inputs;
  if (scaling->rank == 3) w.channel /= scaling->rows;
  else w.channel %= (size_t)scaling->dim[scaling->rank - 1];
  return w;
}

typedef enum nn__c_what { NN__C_PLAIN, NN__C_WEIGHT, NN__C_BIAS, NN__C_FACTOR, NN__C_SHIFT,
                          NN__C_MEAN } nn__c_what;

/* Number `at` of an array: of parameter k as it is, or with the layers that joined. */
static double nn__c_value(const nn__c *c, const nn__c_step *s, nn__c_what what, int k, size_t at)
{
  const nn__node *node = &c->m->node[s->node];
  double shift, other;
  if (what == NN__C_PLAIN) return nn__c_param(c, node, k, at);
  if (what == NN__C_MEAN) return nn__c_param(c, &c->m->node[s->ahead], 0, at);
  if (what == NN__C_FACTOR) return nn__c_affine(c, s->node, at, &shift);
  if (what == NN__C_SHIFT) return nn__c_affine(c, s->node, at, &shift), shift;
  if (what == NN__C_WEIGHT) {
    const nn__c_matrix w = nn__c_weight_at(c, s, at);
    return nn__c_param(c, node, k, at) * nn__c_affine(c, s->norm, w.out, &shift) *
           nn__c_affine(c, s->ahead, w.channel, &shift);
  }
  const int cell = nn__is_cell(node->kind), weight = cell ? k - 2 : 0;
  const int bare = cell ? 0 : nn__is_conv(node->kind) ? node->window.no_bias : node->no_bias;
  double sum = bare ? 0 : nn__c_param(c, node, k, at);
  const size_t inputs = s->ahead < 0 || nn__c_is_padded(node) ? 0 : nn__c_weight_at(c, s, 0).inputs;
  for (size_t i = 0; i < inputs; i++) {
    const nn__c_matrix w = nn__c_weight_at(c, s, at * inputs + i);
    nn__c_affine(c, s->ahead, w.channel, &other);
    sum += nn__c_param(c, node, weight, at * inputs + i) * other;
  }
  const double scale = nn__c_affine(c, s->norm, at, &shift);
  return sum * scale + shift;
}

/* ---- the functions ------------------------------------------------------------------------
 * Written into C source from the lines below, each with its comment. Those of NN__F are float nets'
 * alone. Those of NN__Q are int8's, compiled here as well, so both give the same bits; where float
 * nets have them too, nn__c_words says what is another word there. No commas too many: a compiler
 * may stop at 127 arguments of a macro, and at 4095 letters of a string. */
typedef struct nn__c_function {
  const char *name, *about, *text;
} nn__c_function;
#define NN__F(name, about, ...)                                                                   \
  static const nn__c_function nn__f_##name##_text = {#name, about, #__VA_ARGS__};
#define NN__Q(name, about, ...)                                                                   \
  __VA_ARGS__                                                                                     \
  static const nn__c_function nn__q_##name##_text = {#name, about, #__VA_ARGS__};

typedef int32_t nn__q_size; /* in C source as small as the largest allows */

/* Where int8 has other words than float: what makes output o of a sum (parameters, arguments, what
 * the sum begins with), a linear layer's sum, what x is off by, a pool's mean, a copy from one
 * scale to another. */
#define NN__TAKES                                                                                 \
  const int32_t *b, const int32_t *m, const int8_t *table, int shift, int x_zero, int y_zero
#define NN__GIVES m[o], table, shift, y_zero
#define NN__BIAS b[o]
#define NN__DOT nn__q_dot(b[o], w + o * in, x, in, x_zero)
#define NN__ZERO (int16_t)x_zero
#define NN__SCALES int32_t factor, int shift, int x_zero, int y_zero,
#define NN__MEAN                                                                                  \
  nn__q_byte(y_zero + nn__q_fixed((int64_t)sum * factor / ((int32_t)all_h * all_w), shift))
#define NN__TABLE const int8_t *table,
#define NN__SCALED table ? table[v + 128] : v

#define NN__STRING(...) #__VA_ARGS__
#define NN__INT8(...) NN__STRING(__VA_ARGS__)
static const char *const nn__c_words[][3] = { /* below, in float and in int8 */
    {"nn__f_", "$_", "$_"}, {"nn__q_", "$_", "$_"}, {"(int16_t)", "", "(int16_t)"},
    {"(int32_t)", "", "(int32_t)"}, {"int8_t", "float", "int8_t"}, {"int16_t", "float", "int16_t"},
    {"int32_t", "float", "int32_t"},
    {"NN__TAKES", "const float *b, int act", NN__INT8(NN__TAKES)},
    {"NN__GIVES", "act", NN__INT8(NN__GIVES)}, {"NN__BIAS", "b ? b[o] : 0", NN__INT8(NN__BIAS)},
    {"NN__DOT", "nn__f_sum(NN__BIAS, w + o * in, x, in)", NN__INT8(NN__DOT)},
    {"NN__ZERO", "0", NN__INT8(NN__ZERO)}, {"NN__SCALES ", "", NN__INT8(NN__SCALES) " "},
    {"NN__MEAN", "sum / (float)(all_h * all_w)", NN__INT8(NN__MEAN)},
    {"NN__TABLE ", "", NN__INT8(NN__TABLE) " "}, {"NN__SCALED", "v", NN__INT8(NN__SCALED)}};

/* Of both sorts; sum, conv, turned, pool and copy, which are too, stand behind what they call. */

NN__Q(first,
"Along an axis, window i is from here to *end - 1; with its padding it has *whole. A\n"
"stride of 0: the windows share the axis out, by products below 2^32, as out is below 2^16.",
static int nn__q_first(int i, int size, int out, int kernel, int stride, int pad, int *end,
                       int *whole)
{
  const int rest = stride ? 0 : size % out;
  const unsigned from = (unsigned)i * (unsigned)rest;
  const unsigned to = from + (unsigned)(rest + out - 1);
  const int first = stride ? i * stride - pad : i * (size / out) + (int)(from / (unsigned)out);
  const int last = stride ? first + kernel : (i + 1) * (size / out) + (int)(to / (unsigned)out);
  *whole = (last < size + pad ? last : size + pad) - first;
  *end = last < size ? last : size;
  return first < 0 ? 0 : first;
})

NN__Q(between,
"Each number of a larger image lies between the two rows and columns whose centres are\n"
"next: the first of them, and the second's share in halves of a new pixel.",
static int nn__q_between(int i, int factor, int size, int *share)
{
  const int at = 2 * i + 1 > factor ? 2 * i + 1 - factor : 0;
  const int first = at / (2 * factor);
  *share = first + 1 < size ? at % (2 * factor) : 0;
  return first;
})

NN__Q(clear, "",
static void nn__q_clear(int16_t *h, int n)
{
  for (int k = 0; k < n; k++) h[k] = 0;
})

NN__Q(embed, "Row x[0] of the table w; what is no number of a row is taken for 0.",
static void nn__q_embed(int8_t *y, const float *x, const int8_t *w, int width, int rows)
{
  const int row = x[0] >= 0 && x[0] < (float)rows ? (int)x[0] : 0;
  for (int k = 0; k < width; k++) y[k] = w[row * width + k];
})

/* As C source has it, whose exp is the C library's or its own. */
static float nn__q_expf(float x) { return (float)exp((double)x); }

NN__Q(softmax,
"exp(x[k]) over their sum, of n numbers that lie `next` apart; shifted by the largest.",
static void nn__q_softmax(float *y, const float *x, int n, int next)
{
  float most = x[0];
  float sum = 0;
  for (int k = 1; k < n; k++)
    if (x[k * next] > most) most = x[k * next];
  for (int k = 0; k < n; k++) sum += y[k * next] = nn__q_expf(x[k * next] - most);
  for (int k = 0; k < n; k++) y[k * next] /= sum;
})

NN__Q(window, "The sizes of a convolution or a pool; channels: of one group.",
struct nn__q_window {
  nn__q_size channels, high, wide, out, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h,
      pad_w, dilation_h, dilation_w, groups, x_channel, x_row, y_channel, y_row, pool_h, pool_w,
      step_h, step_w;
};)

NN__Q(gather,
"What all outputs at one place look at: h[c][u][v] = x[c][i + u][j + v] - zero, 0 beyond\n"
"the edges.",
static void nn__q_gather(int16_t *h, const int8_t *x, const int16_t *zeros, int16_t zero,
                         const struct nn__q_window *s, int i, int j)
{
  for (int c = 0; c < s->channels; c++) {
    const int16_t own = zeros ? zeros[c] : zero;
    for (int u = 0; u < s->kernel_h; u++) {
      const int row = i + u * s->dilation_h;
      const int8_t *const from = row >= 0 && row < s->high ? x + row * s->x_row : 0;
      for (int v = 0; v < s->kernel_w; v++) {
        const int column = j + v * s->dilation_w;
        *h++ = (int16_t)(from && column >= 0 && column < s->wide ? from[column] - own : 0);
      }
    }
    x += s->x_channel;
  }
})

/* Float. */

NN__F(expf,
"exp(x) - less = 2^n (exp(r) - 1) + 2^n - less, n = round(x/ln 2), |r| <= ln 2 / 2, r in two\n"
"parts (Cody & Waite), exp(r) - 1 = r + r^2 Q(r), Q the minimax polynomial of degree 4 (error\n"
"3e-9). Infinity from 88.3 on, -less below -87; a NaN stays one. tanh x = e/(e + 2), e =\n"
"exp(2 x) - 1.",
union nn__f_two {
  uint32_t bits;
  float number;
};
static float nn__f_power(float x, float less)
{
  union nn__f_two two;
  if (!(x < 88.3f)) return x * 3e38f;
  if (x < -87) return 0 - less;
  const int n = (int)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
  const float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
  float q = 1.38143182e-3f * r + 8.36885162e-3f;
  q = ((q * r + 4.16684002e-2f) * r + 1.66665196e-1f) * r + 4.99999940e-1f;
  two.bits = (uint32_t)(n + 127) << 23;
  return two.number * (q * r * r + r) + (two.number - less);
}
static inline float nn__f_expf(float x) { return nn__f_power(x, 0); }
static inline float nn__f_tanhf(float x)
{
  const float e = nn__f_power(x < -10 ? -20 : x > 10 ? 20 : 2 * x, 1);
  return e / (e + 2);
})

NN__F(gelu,
"x/2 (1 + erf(x/sqrt 2)): erfc by a Chebyshev fit, relative error 1.2e-7 (Press et al., Numerical\n"
"Recipes, 6.2)",
static float nn__f_gelu(float x)
{
  const float z = (x < 0 ? -x : x) * 0.70710678f;
  const float t = 1 / (1 + 0.5f * z);
  float sum = ((0.17087277f * t - 0.82215223f) * t + 1.48851587f) * t - 1.13520398f;
  sum = ((sum * t + 0.27886807f) * t - 0.18628806f) * t + 0.09678418f;
  sum = ((sum * t + 0.37409196f) * t + 1.00002368f) * t - 1.26551223f;
  const float tail = 0.5f * t * nn__f_expf(sum - z * z);
  return x * (x < 0 ? tail : 1 - tail);
})

NN__F(sigmoid, "", static float nn__f_sigmoid(float x) { return 1 / (1 + nn__f_expf(-x)); })

NN__F(softplus,
"log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|); with s = e/(2 + e) the logarithm\n"
"is 2 (s + s^3/3 + s^5/5 + ..)",
static float nn__f_softplus(float x)
{
  const float e = nn__f_expf(x < 0 ? x : -x);
  const float s = e / (2 + e);
  float sum = 0;
  for (int k = 15; k > 0; k -= 2) sum = sum * s * s + 1 / (float)k;
  return (x < 0 ? 0 : x) + 2 * s * sum;
})

NN__F(keep, "",
static void nn__f_keep(float *to, float v, int fresh, int average)
{
  if (average) *to = (fresh ? 0 : *to) + v / (float)average;
  else if (fresh || v > *to) *to = v;
})

NN__F(each, "",
static void nn__f_each(float *y, const float *x, int n, int act)
{
  for (int k = 0; k < n; k++) y[k] = nn__f_out(x[k], act);
})

NN__F(hold, "",
static void nn__f_hold(float *y, const float *x, int n)
{
  for (int k = 0; k < n; k++) y[k] = x[k];
})

NN__F(add, "",
static void nn__f_add(float *y, const float *a, const float *b, int n)
{
  for (int k = 0; k < n; k++) y[k] = a[k] + b[k];
})

NN__F(multiply,
"y = a b; one b is for `each` numbers, and after `count` of them the first comes again",
static void nn__f_multiply(float *y, const float *a, const float *b, int n, int each, int count)
{
  for (int k = 0; k < n; k++) y[k] = a[k] * b[k / each % count];
})

NN__F(scale,
"y = x scale[c] + shift[c] of number k, whose channel c is k / each % count",
static void nn__f_scale(float *y, const float *x, const float *scale, const float *shift, int n,
                        int each, int count)
{
  for (int k = 0; k < n; k++) y[k] = x[k] * scale[k / each % count] + shift[k / each % count];
})

NN__F(prelu, "x, or where it is below 0 x w[c]",
static void nn__f_prelu(float *y, const float *x, const float *w, int n, int each, int count)
{
  for (int k = 0; k < n; k++) y[k] = x[k] > 0 ? x[k] : x[k] * w[k / each % count];
})

NN__F(norm,
"(x - mean)/sqrt(variance + eps) w + b, over rows of n numbers that lie `next` apart; one\n"
"w and b for `each` of a row",
static void nn__f_norm(float *y, const float *x, const float *w, const float *b, float eps,
                       int rows, int next, int n, int each)
{
  float mean = 0;
  float variance = 0;
  for (int r = 0; r < rows; r++)
    for (int k = 0; k < n; k++) mean += x[r * next + k];
  mean /= (float)(rows * n);
  for (int r = 0; r < rows; r++)
    for (int k = 0; k < n; k++) variance += (x[r * next + k] - mean) * (x[r * next + k] - mean);
  const float scale = 1 / sqrtf(variance / (float)(rows * n) + eps);
  for (int r = 0; r < rows; r++) {
    for (int k = 0; k < n; k++) {
      const float v = (x[r * next + k] - mean) * scale;
      y[r * next + k] = w ? v * w[k / each] + b[k / each] : v;
    }
  }
})

NN__F(blend, "An image `down` times as high and `across` as wide.",
static void nn__f_blend(float *y, const float *x, int channels, int high, int wide, int down,
                        int across)
{
  for (int c = 0; c < channels; c++) {
    for (int i = 0; i < high * down; i++) {
      for (int j = 0; j < wide * across; j++) {
        int low = 0;
        int right = 0;
        const int top = nn__f_between(i, down, high, &low);
        const int at = nn__f_between(j, across, wide, &right);
        const float p = (float)low / (float)(2 * down);
        const float q = (float)right / (float)(2 * across);
        const float *const a = x + top * wide + at;
        const float *const b = low > 0 ? a + wide : a;
        const int next = right > 0;
        *y++ = (1 - p) * ((1 - q) * a[0] + q * a[next]) + p * ((1 - q) * b[0] + q * b[next]);
      }
    }
    x += high * wide;
  }
})

NN__F(gate, "A gate's sum, row j: b[j] + w[j] x + c[j] + u[j] h",
static float nn__f_gate(int j, const float *x, const float *h, const float *w, const float *u,
                        const float *b, const float *c, int in, int n)
{
  return nn__f_sum(b[j], w + j * in, x, in) + nn__f_sum(c[j], u + j * n, h, n);
})

NN__F(rnn, "One step of a simple cell: y = act(w x + b + u h + c); h = y",
static void nn__f_rnn(float *y, float *h, const float *x, const float *w, const float *u,
                      const float *b, const float *c, int in, int n, int relu)
{
  for (int j = 0; j < n; j++) {
    const float sum = nn__f_gate(j, x, h, w, u, b, c, in, n);
    y[j] = !relu ? nn__f_tanhf(sum) : sum < 0 ? 0 : sum;
  }
  nn__f_hold(h, y, n);
})

NN__F(lstm,
"One step of a LSTM, whose state is h and, behind it, s; gates in the order i, f, g, o:\n"
"  i, f, o = sigmoid(w x + b + u h + c); g = tanh(..);\n"
"  s = f s + i g; y = o tanh(s); h = y",
static void nn__f_lstm(float *y, float *h, const float *x, const float *w, const float *u,
                       const float *b, const float *c, int in, int n)
{
  float *const s = h + n;
  for (int j = 0; j < n; j++) {
    const float i = nn__f_sigmoid(nn__f_gate(j, x, h, w, u, b, c, in, n));
    const float f = nn__f_sigmoid(nn__f_gate(n + j, x, h, w, u, b, c, in, n));
    const float g = nn__f_tanhf(nn__f_gate(2 * n + j, x, h, w, u, b, c, in, n));
    const float o = nn__f_sigmoid(nn__f_gate(3 * n + j, x, h, w, u, b, c, in, n));
    s[j] = f * s[j] + i * g;
    y[j] = o * nn__f_tanhf(s[j]);
  }
  nn__f_hold(h, y, n);
})

NN__F(gru,
"One step of a GRU, gates in the order r, z, n:\n"
"  r, z = sigmoid(w x + b + u h + c); n = tanh(w x + b + r (u h + c));\n"
"  y = (1 - z) n + z h; h = y",
static void nn__f_gru(float *y, float *h, const float *x, const float *w, const float *u,
                      const float *b, const float *c, int in, int n)
{
  for (int j = 0; j < n; j++) {
    const int k = 2 * n + j;
    const float r = nn__f_sigmoid(nn__f_gate(j, x, h, w, u, b, c, in, n));
    const float z = nn__f_sigmoid(nn__f_gate(n + j, x, h, w, u, b, c, in, n));
    const float past = nn__f_sum(c[k], u + k * n, h, n);
    const float fresh = nn__f_tanhf(nn__f_sum(b[k], w + k * in, x, in) + r * past);
    y[j] = (1 - z) * fresh + z * h[j];
  }
  nn__f_hold(h, y, n);
})

/* Int8. */

NN__Q(fixed,
"v / 2^shift to the nearest whole number, the greater one of two, within 2^28. What is\n"
"shifted is never below 0: ~(~v >> n) rounds down as v >> n.",
static int32_t nn__q_fixed(int64_t v, int shift)
{
  const int64_t sign = v < 0 ? -1 : 0;
  const int64_t size = (v ^ sign) >> (shift - 1);
  const int32_t twice = (int32_t)(size < 536870911 ? size : 536870911) ^ (int32_t)sign;
  return (int32_t)((uint32_t)(twice + 1073741825) >> 1) - 536870912;
})

NN__Q(byte, "The nearest number that is a byte.",
static int8_t nn__q_byte(int32_t v) { return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v); })

NN__Q(take,
"Bytes from floats: zero + x/scale, to the nearest, halves away from 0; twice: 2/scale.\n"
"(One product and a conversion, which no compiler may join with anything.)",
static void nn__q_take(int8_t *y, const float *x, int n, float twice, int zero)
{
  for (int k = 0; k < n; k++) {
    const float v = x[k] * twice;
    const int32_t halves = v >= 2048 ? 2048 : v > -2048 ? (int32_t)v : -2048;
    y[k] = nn__q_byte(zero + (halves + (halves > 0 ? 1 : -1)) / 2);
  }
})

NN__Q(give, "Floats from bytes.",
static void nn__q_give(float *y, const int8_t *x, int n, float scale, int zero)
{
  for (int k = 0; k < n; k++) y[k] = scale * (float)(x[k] - zero);
})

NN__Q(each, "A function of each number, by its table.",
static void nn__q_each(int8_t *y, const int8_t *x, const int8_t *table, int n)
{
  for (int k = 0; k < n; k++) y[k] = table[x[k] + 128];
})

NN__Q(dot, "sum + the sum over k of w[k] (x[k] - zero)",
static int32_t nn__q_dot(int32_t sum, const int8_t *w, const int8_t *x, int n, int zero)
{
  do sum += (int32_t)*w++ * (*x++ - zero);
  while (--n > 0);
  return sum;
})

NN__Q(out,
"The byte of a sum: zero + sum m / 2^shift; then by the activation's table, if any.",
static int8_t nn__q_out(int32_t sum, int32_t m, const int8_t *table, int shift, int zero)
{
  const int8_t v = nn__q_byte(zero + nn__q_fixed((int64_t)sum * m, shift));
  return table ? table[v + 128] : v;
})

NN__Q(keep, "",
static void nn__q_keep(int8_t *to, int8_t v, int fresh, int average)
{
  (void)average;
  if (fresh || v > *to) *to = v;
})

NN__Q(sum, "sum + the sum over k of w[k] h[k]",
static int32_t nn__q_sum(int32_t sum, const int8_t *w, const int16_t *h, int n)
{
  do sum += (int32_t)*w++ * *h++;
  while (--n > 0);
  return sum;
})

NN__Q(conv,
"A convolution: for each output the sum of w h, which is over c, u, v of w[o][c][u][v] times\n"
"x[c][stride i + u - pad][stride j + v - pad]; of each window that is pooled only the largest,\n"
"or the mean of `average`.",
static void nn__q_conv(int8_t *y, int16_t *h, const int8_t *x, const int8_t *w, NN__TAKES,
                       const int16_t *zeros, int average, const struct nn__q_window *s)
{
  const int taps = s->channels * s->kernel_h * s->kernel_w;
  const int group = s->out / s->groups;
  for (int first = 0; first < s->out; first += group) {
    for (int i = 0; i < s->out_h * s->pool_h; i++) {
      for (int j = 0; j < s->out_w * s->pool_w; j++) {
        const int row = i / s->pool_h * s->step_h + i % s->pool_h;
        const int column = j / s->pool_w * s->step_w + j % s->pool_w;
        const int fresh = i % s->pool_h + j % s->pool_w == 0;
        int8_t *to = y + first * s->y_channel + i / s->pool_h * s->y_row + j / s->pool_w;
        nn__q_gather(h, x, zeros, NN__ZERO, s, row * s->stride_h - s->pad_h,
                     column * s->stride_w - s->pad_w);
        for (int o = first; o < first + group; o++) {
          const int8_t v = nn__q_out(nn__q_sum(NN__BIAS, w + o * taps, h, taps), NN__GIVES);
          nn__q_keep(to, v, fresh, average);
          to += s->y_channel;
        }
      }
    }
    x += s->channels * s->x_channel;
    if (zeros) zeros += s->channels;
  }
})

NN__Q(turned,
"A transposed convolution: y[o][i][j] is made of the sum of those w[c][o][u][v] x[c] whose x lies\n"
"at ((i + pad - u)/stride, (j + pad - v)/stride).",
static void nn__q_turned(int8_t *y, const int8_t *x, const int8_t *w, NN__TAKES,
                         const struct nn__q_window *s)
{
  const int each = s->out / s->groups;
  const int taps = s->kernel_h * s->kernel_w;
  const int in = s->channels / s->groups;
  for (int o = 0; o < s->out; o++) {
    for (int i = 0; i < s->out_h; i++) {
      for (int j = 0; j < s->out_w; j++) {
        int32_t sum = NN__BIAS;
        for (int k = 0; k < taps; k++) {
          const int row = i + s->pad_h - k / s->kernel_w * s->dilation_h;
          const int column = j + s->pad_w - k % s->kernel_w * s->dilation_w;
          if (row < 0 || row % s->stride_h || row / s->stride_h >= s->high) continue;
          if (column < 0 || column % s->stride_w || column / s->stride_w >= s->wide) continue;
          const int at = row / s->stride_h * s->wide + column / s->stride_w;
          for (int c = o / each * in; c < (o / each + 1) * in; c++)
            sum += (int32_t)w[(c * each + o % each) * taps + k] *
                   (x[c * s->high * s->wide + at] - NN__ZERO);
        }
        *y++ = nn__q_out(sum, NN__GIVES);
      }
    }
  }
})

NN__Q(linear, "y[o] from b[o] + the sum over k of w[o][k] x[k]",
static void nn__q_linear(int8_t *y, const int8_t *x, const int8_t *w, NN__TAKES, int in, int out)
{
  for (int o = 0; o < out; o++)
    y[o] = nn__q_out(NN__DOT, NN__GIVES);
})

NN__Q(pool,
"Pooling: of each window the largest number or the mean, in which padding counts as 0 or not.",
static void nn__q_pool(int8_t *y, const int8_t *x, NN__SCALES int average, int exclude_pad,
                       const struct nn__q_window *s)
{
  for (int c = 0; c < s->out; c++) {
    for (int i = 0; i < s->out_h; i++) {
      for (int j = 0; j < s->out_w; j++) {
        int end_h = 0;
        int end_w = 0;
        int all_h = 0;
        int all_w = 0;
        int32_t sum = 0;
        const int top = nn__q_first(i, s->high, s->out_h, s->kernel_h, s->stride_h, s->pad_h,
                                    &end_h, &all_h);
        const int left = nn__q_first(j, s->wide, s->out_w, s->kernel_w, s->stride_w, s->pad_w,
                                     &end_w, &all_w);
        int8_t most = x[c * s->x_channel + top * s->x_row + left];
        for (int row = top; row < end_h; row++) {
          for (int column = left; column < end_w; column++) {
            const int8_t v = x[c * s->x_channel + row * s->x_row + column];
            sum += v - NN__ZERO;
            if (v > most) most = v;
          }
        }
        if (exclude_pad) all_h = end_h - top;
        if (exclude_pad) all_w = end_w - left;
        y[c * s->y_channel + i * s->y_row + j] = average ? NN__MEAN : most;
      }
    }
  }
})

NN__Q(copy,
"Copies a x b x c numbers: y[i yi + j yj + k yk] = x[i xi + j xj + k xk].",
static void nn__q_copy(int8_t *y, const int8_t *x, NN__TABLE int a, int b, int c, int yi, int yj,
                       int yk, int xi, int xj, int xk)
{
  for (int i = 0; i < a; i++) {
    for (int j = 0; j < b; j++) {
      for (int k = 0; k < c; k++) {
        const int8_t v = x[i * xi + j * xj + k * xk];
        y[i * yi + j * yj + k * yk] = NN__SCALED;
      }
    }
  }
})

NN__Q(fill, "",
static void nn__q_fill(int8_t *y, int n, int value)
{
  for (int k = 0; k < n; k++) y[k] = (int8_t)value;
})

NN__Q(add, "y = a + b",
static void nn__q_add(int8_t *y, const int8_t *a, const int8_t *b, int n, int32_t a_factor,
                      int32_t b_factor, int shift, int a_zero, int b_zero, int y_zero)
{
  for (int k = 0; k < n; k++)
    y[k] = nn__q_byte(y_zero + nn__q_fixed((int64_t)(a[k] - a_zero) * a_factor +
                                           (int64_t)(b[k] - b_zero) * b_factor, shift));
})

NN__Q(multiply,
"y = a b; one b is for `each` numbers; after `count` of them the first comes again",
static void nn__q_multiply(int8_t *y, const int8_t *a, const int8_t *b, int n, int each, int count,
                           int32_t factor, int shift, int a_zero, int b_zero, int y_zero)
{
  for (int k = 0; k < n; k++) {
    const int32_t product = (int32_t)(a[k] - a_zero) * (b[k / each % count] - b_zero);
    y[k] = nn__q_byte(y_zero + nn__q_fixed((int64_t)product * factor, shift));
  }
})

NN__Q(prelu, "x, or where it is below 0 x times its channel's factor",
static void nn__q_prelu(int8_t *y, const int8_t *x, const int32_t *m, int n, int each, int count,
                        int32_t factor, int shift, int x_zero, int y_zero)
{
  for (int k = 0; k < n; k++) {
    const int v = x[k] - x_zero;
    const int32_t own = v > 0 ? factor : m[k / each % count];
    y[k] = nn__q_byte(y_zero + nn__q_fixed((int64_t)v * own, shift));
  }
})

NN__Q(shares, "exp(x[k]) over their sum; e[d]: 2^16 exp(-d scale)",
static void nn__q_shares(int8_t *y, const int8_t *x, const int32_t *e, int n, int next)
{
  int most = -128;
  uint32_t sum = 0;
  for (int k = 0; k < n; k++)
    if (x[k * next] > most) most = x[k * next];
  for (int k = 0; k < n; k++) sum += (uint32_t)e[most - x[k * next]];
  for (int k = 0; k < n; k++) {
    const uint32_t own = (uint32_t)e[most - x[k * next]];
    y[k * next] = nn__q_byte((int32_t)((512 * own + sum) / (2 * sum)) - 128);
  }
})

NN__Q(norm,
"(x - mean)/sqrt(variance + eps) w + b from exact sums; eps: for size^2 variances.",
static void nn__q_norm(int8_t *y, const int8_t *x, const int32_t *m, const int32_t *b, float eps,
                       int rows, int next, int n, int each, int shift, int y_zero)
{
  const int32_t size = (int32_t)rows * n;
  int64_t sum = 0;
  int64_t squares = 0;
  for (int r = 0; r < rows; r++) {
    for (int k = 0; k < n; k++) {
      const int32_t v = x[r * next + k];
      sum += v;
      squares += v * v;
    }
  }
  const float root = sqrtf((float)(size * squares - sum * sum) + eps);
  const int64_t scale = (int64_t)(1.09951163e12f / (root < 1 ? 1 : root));
  for (int r = 0; r < rows; r++) {
    for (int k = 0; k < n; k++) {
      const int64_t off = (int64_t)size * x[r * next + k] - sum;
      const int64_t v = nn__q_fixed(off * scale, 29);
      y[r * next + k] = nn__q_byte(
          y_zero + nn__q_fixed(v * m[k / each] + (int64_t)b[k / each] * 32768, shift));
    }
  }
})

NN__Q(blend, "An image `down` times as high and `across` as wide.",
static void nn__q_blend(int8_t *y, const int8_t *x, int channels, int high, int wide, int down,
                        int across)
{
  for (int c = 0; c < channels; c++) {
    for (int i = 0; i < high * down; i++) {
      for (int j = 0; j < wide * across; j++) {
        int low = 0;
        int right = 0;
        const int top = nn__q_between(i, down, high, &low);
        const int at = nn__q_between(j, across, wide, &right);
        const int8_t *const a = x + top * wide + at;
        const int8_t *const b = low > 0 ? a + wide : a;
        const int next = right > 0;
        const int32_t all = (int32_t)4 * down * across;
        const int32_t left = 2 * across - right;
        const int32_t over = left * (a[0] + 128) + right * (a[next] + 128);
        const int32_t under = left * (b[0] + 128) + right * (b[next] + 128);
        const int32_t sum = (2 * down - low) * over + low * under;
        *y++ = (int8_t)((2 * sum + all) / (2 * all) - 128);
      }
    }
    x += high * wide;
  }
})

NN__Q(cell,
"Cells: gates' sums p in units of 2^-12; 1/(1 + exp(-p)) = 1/(1 + 2^-i 2^-f), i + f =\n"
"p/ln 2 and 2^-f a polynomial, within two units of 2^-15, as the state h is;\n"
"tanh p = 2 sigmoid 2p - 1.",
struct nn__q_cell {
  nn__q_size in, hidden, relu, gates, shift, h_shift, y_shift, x_zero, y_zero, b_unit;
};
static int16_t nn__q_half(int32_t v)
{
  return (int16_t)(v < -32767 ? -32767 : v > 32767 ? 32767 : v);
}
static int32_t nn__q_sigmoid(int32_t p)
{
  const uint32_t size = (uint32_t)(p < 0 ? -p : p);
  const uint32_t n = (size < 65535 ? size : 65535) * 47274;
  const uint32_t f = n / 4096 % 32768;
  const uint32_t e = 32768 - f * (22664 - f * (7576 - f * 1296 / 32768) / 32768) / 32768;
  const uint32_t below = 65536 + (2 * e >> n / 134217728);
  const int32_t v = (int32_t)((2147483648u + below / 2) / below);
  return p < 0 ? 32768 - v : v;
}
static int32_t nn__q_tanh(int32_t p) { return 2 * nn__q_sigmoid(2 * p) - 32768; }
static int32_t nn__q_ahead(int j, const int8_t *x, const int8_t *w, const int16_t *b,
                           const int8_t *m, const struct nn__q_cell *s)
{
  const int32_t sum = nn__q_dot(0, w + j * s->in, x, s->in, s->x_zero);
  return b[j] * s->b_unit + nn__q_fixed((int64_t)sum * (m[j] * 256 + 32768), s->shift);
}
static int32_t nn__q_back(int j, const int16_t *h, const int8_t *u, const int8_t *m,
                          const struct nn__q_cell *s)
{
  const int32_t sum = nn__q_sum(0, u + j * s->hidden, h, s->hidden);
  m += s->gates * s->hidden;
  return nn__q_fixed((int64_t)sum * (m[j] * 256 + 32768), s->h_shift);
}
static int32_t nn__q_gate(int j, const int8_t *x, const int16_t *h, const int8_t *w,
                          const int8_t *u, const int16_t *b, const int8_t *m,
                          const struct nn__q_cell *s)
{
  return nn__q_ahead(j, x, w, b, m, s) + nn__q_back(j, h, u, m, s);
}
static void nn__q_end(int8_t *y, int16_t *h, int32_t factor, const struct nn__q_cell *s)
{
  for (int j = 0; j < s->hidden; j++) {
    h[j] = h[s->hidden + j];
    y[j] = nn__q_byte(s->y_zero + nn__q_fixed((int64_t)h[j] * factor, s->y_shift));
  }
})

NN__Q(rnn, "A step of a simple cell: h = act(w x + u h + b)",
static void nn__q_rnn(int8_t *y, int16_t *h, const int8_t *x, const int8_t *w, const int8_t *u,
                      const int16_t *b, const int8_t *m, int32_t factor, const struct nn__q_cell *s)
{
  for (int j = 0; j < s->hidden; j++) {
    const int32_t sum = nn__q_gate(j, x, h, w, u, b, m, s);
    h[s->hidden + j] = nn__q_half(!s->relu ? nn__q_tanh(sum) : sum < 0 ? 0 : sum);
  }
  nn__q_end(y, h, factor, s);
})

NN__Q(lstm,
"Of a LSTM, gates i, f, g, o: c = f c + i g, in units of 2^-11; h = o tanh c",
static void nn__q_lstm(int8_t *y, int16_t *h, const int8_t *x, const int8_t *w, const int8_t *u,
                       const int16_t *b, const int8_t *m, int32_t factor,
                       const struct nn__q_cell *s)
{
  const int n = s->hidden;
  int16_t *const c = h + 2 * n;
  for (int j = 0; j < n; j++) {
    const int32_t i = nn__q_sigmoid(nn__q_gate(j, x, h, w, u, b, m, s));
    const int32_t f = nn__q_sigmoid(nn__q_gate(n + j, x, h, w, u, b, m, s));
    const int32_t g = nn__q_tanh(nn__q_gate(2 * n + j, x, h, w, u, b, m, s));
    const int32_t o = nn__q_sigmoid(nn__q_gate(3 * n + j, x, h, w, u, b, m, s));
    c[j] = nn__q_half(nn__q_fixed((int64_t)f * c[j] * 16 + (int64_t)i * g, 19));
    h[n + j] = nn__q_half(nn__q_fixed((int64_t)o * nn__q_tanh(2 * (int32_t)c[j]), 15));
  }
  nn__q_end(y, h, factor, s);
})

NN__Q(gru,
"Of a GRU, gates r, z, n: n = tanh(w x + b + r (u h + c)); h = (1 - z) n + z h",
static void nn__q_gru(int8_t *y, int16_t *h, const int8_t *x, const int8_t *w, const int8_t *u,
                      const int16_t *b, const int8_t *m, int32_t factor, const struct nn__q_cell *s)
{
  const int n = s->hidden;
  for (int j = 0; j < n; j++) {
    const int32_t r = nn__q_sigmoid(nn__q_gate(j, x, h, w, u, b, m, s));
    const int32_t z = nn__q_sigmoid(nn__q_gate(n + j, x, h, w, u, b, m, s));
    const int32_t past = b[3 * n + j] * s->b_unit + nn__q_back(2 * n + j, h, u, m, s);
    const int32_t fresh = nn__q_tanh(nn__q_ahead(2 * n + j, x, w, b, m, s) +
                                     nn__q_fixed((int64_t)r * past, 15));
    h[n + j] = nn__q_half(nn__q_fixed(z * h[j] + (32768 - z) * fresh, 15));
  }
  nn__q_end(y, h, factor, s);
})

NN__Q(begin, "A cell's state from bytes.",
static void nn__q_begin(int16_t *h, const int8_t *x, int n, int32_t factor, int shift, int zero)
{
  for (int k = 0; k < n; k++)
    h[k] = nn__q_half(nn__q_fixed((int64_t)(x[k] - zero) * factor, shift));
})

NN__Q(final, "And back.",
static void nn__q_final(int8_t *y, const int16_t *h, int n, int32_t factor, int shift, int zero)
{
  for (int k = 0; k < n; k++)
    y[k] = nn__q_byte(zero + nn__q_fixed((int64_t)h[k] * factor, shift));
})

/* ---- the calls ---------------------------------------------------------------------------- */

/* The functions by kernels, each after those that it calls, in float and in int8 (none: there is
 * none), with what the net passes: y, x, z and h are places, a .. e the step's arrays, s its sizes
 * in a struct, n0 .. n9 single numbers, m a factor, f a float, p what a convolution gathers. Int8
 * nets call those in Q, which the engine runs as they stand here. */
#define NN__C_KERNEL_LIST(K, Q)                                                                   \
  K(EXP, f_expf, (), f_expf) K(SIGMOID, f_sigmoid, (), none)                                      \
  K(GELU, f_gelu, (), none) K(SOFTPLUS, f_softplus, (), none)                                     \
  K(BYTE, none, (), q_byte) K(FIXED, none, (), q_fixed) K(OUT, c_act, (), q_out)                  \
  Q(TAKE, none, (), take, (y, x, n0, f, n1))                                                      \
  K(HOLD, f_hold, (), none)                                                                       \
  Q(GIVE, f_hold, (y, x, n0), give, (y, x, n0, f, n1))                                            \
  Q(EACH, f_each, (y, x, n0, n1), each, (y, x, a, n0))                                            \
  K(DOT, none, (), q_dot) K(SUM, q_sum, (), q_sum) K(KEEP, f_keep, (), q_keep)                    \
  K(WINDOW, q_window, (), q_window) K(GATHER, q_gather, (), q_gather)                             \
  Q(CONV, q_conv, (y, p, x, a, b, n1, e, n0, s),                                                  \
    conv, (y, p, x, a, b, c, d, n1, n2, n3, e, n0, s))                                            \
  Q(TURNED, q_turned, (y, x, a, b, n0, s), turned, (y, x, a, b, c, d, n0, n1, n2, s))             \
  Q(LINEAR, q_linear, (y, x, a, b, n2, n0, n1), linear, (y, x, a, b, c, d, n2, n3, n4, n0, n1))   \
  K(FIRST, q_first, (), q_first)                                                                  \
  Q(POOL, q_pool, (y, x, n0, n1, s), pool, (y, x, m, n2, n3, n4, n0, n1, s))                      \
  Q(COPY, q_copy, (y, x, n0, n1, n2, n3, n4, n5, n6, n7, n8),                                     \
    copy, (y, x, a, n0, n1, n2, n3, n4, n5, n6, n7, n8))                                          \
  Q(CLEAR, q_clear, (h, n0), clear, (h, n0))                                                      \
  Q(FILL, q_clear, (y, n0), fill, (y, n0, n1))                                                    \
  Q(ADD, f_add, (y, x, z, n0), add, (y, x, z, n0, n1, n2, n3, n4, n5, n6))                        \
  Q(MULTIPLY, f_multiply, (y, x, z, n0, n1, n2),                                                  \
    multiply, (y, x, z, n0, n1, n2, n3, n4, n5, n6, n7))                                          \
  K(SCALE, f_scale, (y, x, a, b, n0, n1, n2), none)                                               \
  Q(PRELU, f_prelu, (y, x, a, n0, n1, n2), prelu, (y, x, a, n0, n1, n2, n3, n4, n5, n6))          \
  Q(SHARES, q_softmax, (y, x, n0, n1), shares, (y, x, a, n0, n1))                                 \
  Q(SOFTMAX, none, (), softmax, (y, y, n0, n1))                                                   \
  Q(NORM, f_norm, (y, x, a, b, f, n0, n1, n2, n3), norm, (y, x, a, b, f, n0, n1, n2, n3, n4, n5)) \
  Q(EMBED, q_embed, (y, x, a, n0, n1), embed, (y, x, a, n0, n1))                                  \
  K(BETWEEN, q_between, (), q_between)                                                            \
  Q(BLEND, f_blend, (y, x, n0, n1, n2, n3, n4), blend, (y, x, n0, n1, n2, n3, n4))                \
  K(CELL, f_gate, (), q_cell)                                                                     \
  Q(RNN, f_rnn, (y, h, x, a, b, c, d, n0, n1, n2), rnn, (y, h, x, a, b, c, d, m, s))              \
  Q(LSTM, f_lstm, (y, h, x, a, b, c, d, n0, n1), lstm, (y, h, x, a, b, c, d, m, s))               \
  Q(GRU, f_gru, (y, h, x, a, b, c, d, n0, n1), gru, (y, h, x, a, b, c, d, m, s))                  \
  Q(BEGIN, f_hold, (h, x, n0), begin, (h, x, n0, n1, n2, n3))                                     \
  Q(FINAL, f_hold, (y, h, n0), final, (y, h, n0, n1, n2, n3))

#define NN__C_ENUM(name, ...) NN__C_##name,
typedef enum nn__c_kernel {
  NN__C_KERNEL_LIST(NN__C_ENUM, NN__C_ENUM) NN__C_KERNELS
} nn__c_kernel;

typedef struct nn__c_row {
  const nn__c_function *function;
  const char *arguments;
} nn__c_row;
static const nn__c_function nn__none_text = {NULL, NULL, NULL};
static const nn__c_function nn__c_act_text = {
    "out", "The activations by their numbers; 0: none.", NULL}; /* see nn__c_act_lines */
#define NN__C_ROW_K(name, f, f_args, q) {{&nn__##f##_text, #f_args}, {&nn__##q##_text, ""}},
#define NN__C_ROW_Q(name, f, f_args, q, q_args)                                                   \
  {{&nn__##f##_text, #f_args}, {&nn__q_##q##_text, #q_args}},
static const nn__c_row nn__c_rows[NN__C_KERNELS][2] = {
    NN__C_KERNEL_LIST(NN__C_ROW_K, NN__C_ROW_Q)};

enum { NN__C_NUMBERS = 10, NN__C_SIZES = 24, NN__C_ARRAYS = 5 };

typedef struct nn__c_array {
  const char *suffix; /* NULL: there is none */
  void *at;           /* int8: its numbers; else they are nn__c_value's, */
  nn__c_what what;
  int param;          /* of this parameter */
  size_t count;
  int bytes;          /* of each number */
} nn__c_array;

typedef struct nn__c_place {
  int array;
  size_t at;
} nn__c_place;

/* A call of one function, `times` times if more than 1: with t from 0 on, or backwards, its places
 * and constants move on by so many numbers a turn. */
struct nn__c_op {
  nn__c_op *next;
  int step;
  nn__c_kernel kernel;
  nn__c_place y, x, z;
  size_t h;
  int times, back, y_each, x_each, a_each;
  float real;
  int32_t factor;
  int numbers, sizes;
  nn__q_size n[NN__C_NUMBERS], size[NN__C_SIZES];
  nn__c_array a[NN__C_ARRAYS];
  char tail[16]; /* of its arrays' names */
};

/* The next call of step s; NULL: no memory. */
static nn__c_op *nn__c_add(nn__c *c, const nn__c_step *s, nn__c_kernel kernel)
{
  nn__c_op *const o = nn__allocate(&c->m->config.allocator, sizeof *o);
  if (!o) return nn__c_fail(c, NN_ERR_MEMORY, "out of", "memory"), NULL;
  memset(o, 0, sizeof *o);
  o->step = (int)(s - c->step), o->kernel = kernel;
  o->y.array = o->step, o->x.array = s->in[0], o->z.array = s->in[1];
  if (s->state.offset != SIZE_MAX) o->h = s->state.offset;
  *c->end = o, c->end = &o->next;
  return o;
}

static void nn__c_forget(nn__c *c)
{
  const nn_allocator *const from = &c->m->config.allocator;
  for (nn__c_op *o = c->first, *next; o; o = next) {
    next = o->next;
    for (int k = 0; k < NN__C_ARRAYS; k++)
      if (o->a[k].at) nn__release(from, o->a[k].at, o->a[k].count * (size_t)o->a[k].bytes);
    nn__release(from, o, sizeof *o);
  }
  c->first = NULL, c->end = &c->first;
}

static void nn__c_close(nn__c *c)
{
  nn__c_forget(c);
  nn__release(&c->m->config.allocator, c->step, c->room);
}

/* Appends numbers to a call, and sizes to its struct. */
static void nn__c_append(int *used, nn__q_size *to, const int *from, size_t count)
{
  for (size_t k = 0; k < count; k++) to[(*used)++] = from[k];
}
#define NN__C_LIST(...)                                                                           \
  (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int)
#define NN__C_PASS(o, ...) nn__c_append(&(o)->numbers, (o)->n, NN__C_LIST(__VA_ARGS__))
#define NN__C_SIZE(o, ...) nn__c_append(&(o)->sizes, (o)->size, NN__C_LIST(__VA_ARGS__))

/* Numbers of a float net, which are nn__c_value's. */
static void nn__c_reals(nn__c *c, nn__c_op *o, int k, const char *suffix, nn__c_what what,
                        int param, size_t count)
{
  const nn__c_step *s = &c->step[o->step];
  const nn__c_array a = {suffix, NULL, what, param, count, 4};
  o->a[k] = a;
  for (size_t i = 0; i < count; i++)
    nn__c_finite(c, nn__c_value(c, s, what, param, i), c->m->node[s->node].name);
}
static void nn__c_whole(nn__c *c, nn__c_op *o, int k, const char *suffix, nn__c_what what,
                        int param)
{
  const nn__node *node = &c->m->node[c->step[o->step].node];
  nn__c_reals(c, o, k, suffix, what, param, c->m->param[node->param + param].count);
}

static void *nn__q_array(nn__c *c, nn__c_op *o, int k, const char *suffix, size_t count, int bytes)
{
  nn__c_array *a = &o->a[k];
  a->at = nn__allocate(&c->m->config.allocator, count * (size_t)bytes);
  if (!a->at) return nn__c_fail(c, NN_ERR_MEMORY, "out of", "memory"), NULL;
  a->suffix = suffix, a->count = count, a->bytes = bytes;
  return memset(a->at, 0, count * (size_t)bytes);
}

/* Softmax over channels, or the last axis, row by row. */
static void nn__c_softmax(const nn__c *c, nn__c_op *o, const nn__node *node)
{
  const int image = node->rank == 3, rows = (int)node->rows, cols = (int)node->cols;
  o->times = c->stream && !image ? 1 : rows;
  o->y_each = o->x_each = image ? 1 : cols;
  NN__C_PASS(o, cols, image ? rows : 1);
}

/* ---- int8 ---------------------------------------------------------------------------------- */

enum { NN__Q_BINS = 1024 };

/* A layer's outputs: those that bytes hold, all, and how they lie in it. */
typedef struct nn__q_range {
  double low, high, least, greatest;
  uint32_t bin[NN__Q_BINS];
} nn__q_range;

struct nn_int8 {
  nn__c c;
  size_t each;                         /* bytes of one thread's working memory */
  nn__q_range *range;                  /* of each layer */
  double *most, *sum, *quantum, *bias; /* of the weights of each output of a layer */
  char *work;
  double cut; /* share of outputs beyond each end of a range */
};

static int64_t nn__q_round(double x, double most)
{
  return (int64_t)floor((x < -most ? -most : x > most ? most : x) + .5);
}

/* A range's scale and zero point: bytes -128 .. 127 for low .. high, in which 0 is exact. */
static void nn__q_scale(nn__c_step *s, double low, double high)
{
  low = fmin(low, 0), high = fmax(high, 0);
  s->scale = (high - low) / 255;
  if (!(s->scale > 1e-30)) s->scale = 1;
  s->zero = (int)nn__q_round(-128 - low / s->scale, 1e3);
}

/* The scale of what layer i gives. */
static void nn__q_ranged(const nn__c *c, nn__c_step *s, int i)
{
  nn__q_scale(s, c->q->range[i].low, c->q->range[i].high);
}

/* The most bits of a shift with which all factors stay below 2^bits. */
static int nn__q_shift(const double *factor, size_t count, int bits)
{
  double most = 0;
  int shift = 62;
  for (size_t i = 0; i < count; i++) most = fmax(most, fabs(factor[i]));
  while (shift > 1 && ldexp(most, shift) >= ldexp(1, bits) - 1) shift--;
  return shift;
}
static nn__q_size nn__q_factor(double factor, int shift)
{
  return (nn__q_size)nn__q_round(ldexp(factor, shift), 2147483647);
}

static size_t nn__q_output(const nn__c *c, const nn__c_step *s, size_t each, size_t at)
{
  return each ? at / each : nn__c_weight_at(c, s, at).out;
}

/* The quantum of each output, of which its weights will be multiples up to 127: as small as the
 * largest weight allows, and so large that a bias of bias[o]/unit and products of numbers up to
 * `reach` off their zero stay below 2^31: rounding at most doubles a weight. 0 where all are 0. */
static void nn__q_quanta(nn__c *c, const nn__c_step *s, nn__c_what what, int param, size_t each,
                         size_t outputs, double reach, double unit, const double *bias)
{
  nn_int8 *const q = c->q;
  const size_t count = c->m->param[c->m->node[s->node].param + param].count;
  for (size_t i = 0; i < outputs; i++) q->most[i] = q->sum[i] = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t out = nn__q_output(c, s, each, i);
    const double v = fabs(nn__c_value(c, s, what, param, i));
    if (!(v <= q->most[out])) q->most[out] = v;
    q->sum[out] += v;
  }
  for (size_t i = 0; i < outputs; i++) {
    const double b = bias ? fabs(bias[i]) / unit : 0, sums = q->sum[i] * reach;
    if (!nn__finite(q->sum[i] + b))
      nn__c_fail(c, NN_ERR_ARGUMENT, c->m->node[s->node].name, "is not finite");
    const double quantum = fmax(q->most[i] / 127, (2 * sums + b) / 2147483000);
    q->quantum[i] = quantum > 1e-30 ? quantum : 0;
  }
}

/* Makes the quanta of a cell's rows a little larger, so that `scale` times each is a number up to
 * 255 in units of 2^(8 - *shift); m: that number - 128. Of the next four the one with which the
 * rounding errors of a row's weights add up to least, for inputs far from 0 multiply their sum. */
static void nn__q_factors(nn__c *c, const nn__c_step *s, nn__c_what what, int param, size_t each,
                          size_t rows, double scale, int8_t *m, int *shift)
{
  nn_int8 *const q = c->q;
  for (size_t i = 0; i < rows; i++) q->quantum[i] *= scale;
  *shift = nn__q_shift(q->quantum, rows, 16);
  for (size_t i = 0; i < rows; i++) {
    const double unit = ldexp(1, 8 - *shift) / scale, least = q->quantum[i] / (unit * scale);
    const int first = least < 1 ? 1 : least > 255 ? 255 : (int)ceil(least);
    double best = 0;
    for (int byte = first; byte < first + 4 && byte < 256; byte++) {
      double off = 0;
      for (size_t k = 0; k < each; k++) {
        const double w = nn__c_value(c, s, what, param, i * each + k) / (byte * unit);
        off += w - (double)nn__q_round(w, 127);
      }
      if (byte > first && fabs(off) * byte >= best) continue;
      best = fabs(off) * byte, m[i] = (int8_t)(byte - 128), q->quantum[i] = byte * unit;
    }
  }
}

/* Weights as bytes, in quanta of their output. */
static void nn__q_weights(nn__c *c, const nn__c_step *s, nn__c_what what, int param, size_t each,
                          nn__c_op *o, int array, const char *suffix)
{
  const size_t count = c->m->param[c->m->node[s->node].param + param].count;
  int8_t *const w = nn__q_array(c, o, array, suffix, count, 1);
  for (size_t i = 0; w && i < count && c->status == NN_OK; i++) {
    const double quantum = c->q->quantum[nn__q_output(c, s, each, i)];
    if (quantum > 0) w[i] = (int8_t)nn__q_round(nn__c_value(c, s, what, param, i) / quantum, 127);
  }
}

/* Whether an activation only limits, which the end of its output's range does by itself. */
static int nn__q_limits(const nn__node *act)
{
  return act->kind == NN__RELU || (act->kind == NN__CLAMP && act->value <= 0 && act->second >= 0);
}

/* Byte for byte what an activation (-1: none) gives in another scale. */
static void nn__q_table(nn__c *c, nn__c_op *o, int array, int act, const nn__c_step *from,
                        const nn__c_step *to)
{
  int8_t *const table = nn__q_array(c, o, array, "table", 256, 1);
  nn_real y[256];
  for (int k = 0; k < 256; k++) y[k] = (nn_real)(from->scale * (k - 128 - from->zero));
  if (act >= 0) {
    const nn__node *node = &c->m->node[act];
    NN__DO(c->m->context.kernels, activate)((int)node->kind - NN__RELU, y, y, 256,
                                            (nn_real)node->value, (nn_real)node->second);
  }
  for (int k = 0; table && k < 256; k++)
    table[k] = nn__q_byte((int32_t)nn__q_round((double)y[k] / to->scale, 1e6) + to->zero);
}

/* The zero of each channel where a scaling stands ahead of a padded convolution: its mean, to whole
 * bytes; the rest goes to the bias. */
static double nn__q_zeros(nn__c *c, const nn__c_step *s, nn__c_op *o, const nn__c_step *from)
{
  const nn__node *node = &c->m->node[s->node];
  const size_t channels = c->m->node[s->ahead].cols, weights = c->m->param[node->param].count;
  int16_t *const zeros = nn__q_array(c, o, 4, "zeros", channels, 2);
  double reach = 256;
  for (size_t i = 0; zeros && i < channels; i++) {
    const double mean = nn__c_value(c, s, NN__C_MEAN, 0, i) / from->scale;
    zeros[i] = (int16_t)(nn__q_round(mean, 30000) + from->zero);
    reach = fmax(reach, fabs((double)zeros[i]) + 256);
  }
  for (size_t i = 0; zeros && i < weights; i++) {
    const nn__c_matrix w = nn__c_weight_at(c, s, i);
    const double off = (zeros[w.channel] - from->zero) * from->scale;
    c->q->bias[w.out] += nn__c_value(c, s, NN__C_WEIGHT, 0, i) *
                         (off - nn__c_value(c, s, NN__C_MEAN, 0, w.channel));
  }
  return reach;
}

/* Weights, biases and factors of a product, or of a norm on its own. */
static void nn__q_product(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  nn_int8 *const q = c->q;
  const nn__node *node = &c->m->node[s->node];
  const nn__c_step *from = &c->step[s->in[0]];
  const int norm = nn__c_is_affine(node->kind), before = s->norm >= 0 ? s->norm : s->node;
  const int after = s->act >= 0 ? s->act : before, scaled = s->ahead >= 0 && nn__c_is_padded(node);
  const int by_table = s->act >= 0 && !nn__q_limits(&c->m->node[s->act]);
  const size_t outputs = node->cols;
  nn__q_ranged(c, s, after);
  nn__c_step sum = *s;
  if (by_table) nn__q_ranged(c, &sum, before);
  for (size_t i = 0; i < outputs; i++)
    q->bias[i] = nn__c_value(c, s, norm ? NN__C_SHIFT : NN__C_BIAS, 1, i);
  const double reach = scaled ? nn__q_zeros(c, s, o, from) : 256;
  const nn__c_what what = norm ? NN__C_FACTOR : NN__C_WEIGHT;
  nn__q_quanta(c, s, what, 0, (size_t)norm, outputs, reach, from->scale, q->bias);
  nn__q_weights(c, s, what, 0, (size_t)norm, o, 0, "weight");
  int32_t *const b = nn__q_array(c, o, 1, "bias", outputs, 4);
  int32_t *const m = nn__q_array(c, o, 2, "factor", outputs, 4);
  if (c->status != NN_OK) return;
  for (size_t i = 0; i < outputs; i++) {
    const double unit = from->scale * q->quantum[i];
    if (unit > 0) b[i] = (int32_t)nn__q_round(q->bias[i] / unit, INT32_MAX);
    q->quantum[i] = unit / sum.scale;
  }
  const int shift = nn__q_shift(q->quantum, outputs, 31);
  for (size_t i = 0; i < outputs; i++) m[i] = nn__q_factor(q->quantum[i], shift);
  if (by_table) nn__q_table(c, o, 3, s->act, &sum, s);
  NN__C_PASS(o, shift, from->zero, sum.zero);
}

/* What 1 is in the sums of a cell's gates; makes the scales of what it gives. */
static double nn__q_unit(nn__c *c, nn__c_step *s)
{
  const nn__node *node = &c->m->node[s->node];
  const nn__q_range *r = &c->q->range[s->node];
  const int relu = nn__c_relu_cell(node), last = s->layer == node->cell.layers - 1;
  double unit = relu ? 16384 : 4096;
  while (relu && unit > 1 && r->high * unit > 20000) unit /= 2;
  const double most = relu ? 32767 / unit : 1;
  nn__q_scale(s, last ? r->low : relu ? 0 : -most, last ? r->high : most);
  if (node->final && c->users[node->final])
    nn__q_ranged(c, &c->step[c->of[node->final]], node->final);
  return unit;
}

/* The weights, biases and factors of one direction of a cell; unit: what 1 is in its gates' sums,
 * h_unit: in its state. */
static void nn__q_cell(nn__c *c, const nn__c_step *s, nn__c_op *o, size_t in, int param,
                       double unit, double h_unit)
{
  const nn__node *node = &c->m->node[s->node];
  const nn__c_step *from = &c->step[s->in[0]];
  const int gru = node->kind == NN__GRU, gates = gru ? 3 : node->kind == NN__LSTM ? 4 : 1;
  const size_t hidden = (size_t)node->cell.hidden, rows = (size_t)gates * hidden;
  const double y_factor = 1 / (h_unit * s->scale);
  const int y_shift = nn__q_shift(&y_factor, 1, 31);
  int16_t *const b = nn__q_array(c, o, 2, "bias", (rows + (gru ? hidden : 0)), 2);
  int8_t *const m = nn__q_array(c, o, 3, "factor", 2 * rows, 1);
  int shift[2], b_unit = 1;
  double most = 0;
  if (!b || !m) return;
  for (size_t k = 0; k < 2 * rows; k++) { /* twice, for the first time to see how large they are */
    const size_t i = k % rows;
    const double x_bias = nn__c_value(c, s, s->layer ? NN__C_PLAIN : NN__C_BIAS, param + 2, i);
    const double h_bias = nn__c_value(c, s, NN__C_PLAIN, param + 3, i);
    const int apart = gru && i >= 2 * hidden;
    if (!nn__finite(x_bias + h_bias)) nn__c_fail(c, NN_ERR_ARGUMENT, node->name, "is not finite");
    if (c->status != NN_OK) return;
    const double own = x_bias + (apart ? 0 : h_bias), past = apart ? h_bias : 0;
    most = fmax(most, fmax(fabs(own), fabs(past)));
    if (k < rows) continue;
    while (most * unit > 32767. * b_unit && b_unit < 8192) b_unit *= 2;
    b[i] = (int16_t)nn__q_round(own * unit / b_unit, 32767);
    if (apart) b[i + hidden] = (int16_t)nn__q_round(past * unit / b_unit, 32767);
  }
  for (size_t back = 0; back < 2; back++) {
    const nn__c_what what = s->layer || back ? NN__C_PLAIN : NN__C_WEIGHT;
    const size_t each = back ? hidden : in;
    nn__q_quanta(c, s, what, param + (int)back, each, rows, back ? 32768 : 256, 1, NULL);
    if (c->status != NN_OK) return;
    nn__q_factors(c, s, what, param + (int)back, each, rows,
                  back ? unit / h_unit : from->scale * unit, m + back * rows, &shift[back]);
    nn__q_weights(c, s, what, param + (int)back, each, o, (int)back,
                  back ? "weight_hh" : "weight_ih");
  }
  o->factor = nn__q_factor(y_factor, y_shift);
  NN__C_SIZE(o, (int)in, (int)hidden, node->cell.relu, gates, shift[0], shift[1], y_shift,
             from->zero, s->zero, b_unit);
}

/* Of a layer or group norm over `size` numbers. */
static void nn__q_norm_of(nn__c *c, nn__c_step *s, nn__c_op *o, size_t bare, double size)
{
  nn_int8 *const q = c->q;
  const nn__node *node = &c->m->node[s->node];
  const nn__c_step *from = &c->step[s->in[0]];
  const size_t count = node->no_bias ? bare : c->m->param[node->param].count;
  int32_t *const m = nn__q_array(c, o, 0, "factor", count, 4);
  int32_t *const b = nn__q_array(c, o, 1, "bias", count, 4);
  if (!m || !b) return;
  nn__q_ranged(c, s, s->node);
  for (size_t i = 0; i < count; i++) {
    q->quantum[i] = (node->no_bias ? 1 : nn__c_param(c, node, 0, i)) / (2048 * s->scale);
    q->bias[i] = (node->no_bias ? 0 : nn__c_param(c, node, 1, i)) / (32768 * s->scale);
  }
  const int w_shift = nn__q_shift(q->quantum, count, 31), b_shift = nn__q_shift(q->bias, count, 31);
  const int shift = w_shift < b_shift ? w_shift : b_shift;
  for (size_t i = 0; i < count; i++) {
    m[i] = nn__q_factor(q->quantum[i], shift);
    b[i] = nn__q_factor(q->bias[i], shift);
  }
  o->real = (float)(size * size * node->value / (from->scale * from->scale));
  NN__C_PASS(o, shift, s->zero);
}

/* An embedding's rows, in the scale that holds them all. */
static void nn__q_vocabulary(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  const nn__node *node = &c->m->node[s->node];
  const size_t count = c->m->param[node->param].count;
  double low = 0, high = 0;
  for (size_t i = 0; i < count; i++) {
    const double v = nn__c_param(c, node, 0, i);
    if (!nn__finite(v)) nn__c_fail(c, NN_ERR_ARGUMENT, node->name, "is not finite");
    low = v < low ? v : low, high = v > high ? v : high;
  }
  nn__q_scale(s, low, high);
  int8_t *const w = nn__q_array(c, o, 0, "weight", count, 1);
  for (size_t i = 0; w && i < count && c->status == NN_OK; i++)
    w[i] = nn__q_byte(
        (int32_t)nn__q_round(nn__c_param(c, node, 0, i) / s->scale, 1e6) + s->zero);
}

/* The scales, factors and tables of nn__c_rows_of's layers. */
static void nn__q_rows_of(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  nn_int8 *const q = c->q;
  const nn__node *node = &c->m->node[s->node];
  const nn__c_step *from = s->in[0] >= 0 ? &c->step[s->in[0]] : s;
  const nn__c_step *other = s->in[1] >= 0 ? &c->step[s->in[1]] : from;
  double *const factor = q->quantum;
  size_t factors = 1;
  nn__q_ranged(c, s, s->node);
  factor[0] = from->scale / s->scale;
  if (o->kernel == NN__C_ADD) factor[factors++] = other->scale / s->scale;
  if (o->kernel == NN__C_MULTIPLY) factor[0] = from->scale * other->scale / s->scale;
  for (int i = 0; o->kernel == NN__C_PRELU && i < node->size; i++) {
    factor[factors++] = from->scale / s->scale * nn__c_param(c, node, 0, (size_t)i);
    if (!nn__finite(factor[i + 1])) nn__c_fail(c, NN_ERR_ARGUMENT, node->name, "is not finite");
  }
  if (c->status != NN_OK) return;
  const int shift = nn__q_shift(factor, factors, 31), first = nn__q_factor(factor[0], shift);
  int32_t *table = NULL;
  switch (o->kernel) {
  case NN__C_GIVE:
    o->real = (float)from->scale;
    NN__C_PASS(o, from->zero);
    if (c->soft >= 0 && (o = nn__c_add(c, s, NN__C_SOFTMAX)) != NULL)
      nn__c_softmax(c, o, &c->m->node[c->soft]);
    break;
  case NN__C_TAKE:
    o->real = (float)(2 / s->scale);
    NN__C_PASS(o, s->zero);
    break;
  case NN__C_EACH: nn__q_table(c, o, 0, s->node, from, s); break;
  case NN__C_ADD:
    NN__C_PASS(o, first, nn__q_factor(factor[1], shift), shift, from->zero, other->zero, s->zero);
    break;
  case NN__C_MULTIPLY: NN__C_PASS(o, first, shift, from->zero, other->zero, s->zero); break;
  case NN__C_PRELU:
    NN__C_PASS(o, first, shift, from->zero, s->zero);
    table = nn__q_array(c, o, 0, "table", factors - 1, 4);
    for (size_t i = 0; table && i < factors - 1; i++)
      table[i] = nn__q_factor(factor[i + 1], shift);
    break;
  case NN__C_SHARES:
    s->scale = 1. / 256, s->zero = -128;
    table = nn__q_array(c, o, 0, "table", 256, 4);
    for (int i = 0; table && i < 256; i++)
      table[i] = (int32_t)nn__q_round(65536 * exp(-from->scale * i), 1e9);
    break;
  case NN__C_BLEND: s->scale = from->scale, s->zero = from->zero; break;
  default: nn__q_vocabulary(c, s, o); break;
  }
}

/* ---- the steps ---------------------------------------------------------------------------- */

/* The sizes of a convolution or a pool; of a norm in int8: a convolution of one weight for each
 * channel. */
static void nn__c_window(nn__c *c, const nn__c_step *s, nn__c_op *o)
{
  const nn__node *node = &c->m->node[s->node], *x = &c->m->node[node->in[0]];
  const nn__node *pool = s->pool >= 0 ? &c->m->node[s->pool] : NULL, *y = pool ? pool : node;
  const nn__c_windows none = {{1, 1}, {1, 1}, {0, 0}, 0, 1}, p = pool ? nn__c_pool(c, pool) : none;
  const nn__c_windows w = nn__c_pool(c, node);
  const int image = x->rank == 3, one = c->stream && !image;
  const int high = one ? 1 : nn__c_high(x), wide = nn__c_wide(x), cols = (int)node->cols;
  const int out_h = one ? 1 : nn__c_high(y), out_w = nn__c_wide(y);
  const int conv = nn__is_conv(node->kind), groups = conv ? node->window.groups : cols;
  NN__C_SIZE(o, (int)x->cols / (nn__is_turned(node) ? 1 : groups), high, wide, cols, out_h, out_w,
             w.kernel[0], w.kernel[1], w.stride[0], w.stride[1], w.pad[0], w.pad[1],
             conv ? node->window.dilation_h : 1, conv ? node->window.dilation_w : 1, groups,
             image ? high * wide : 1, image ? wide : (int)x->cols, image ? out_h * out_w : 1,
             image ? out_w : cols, p.kernel[0], p.kernel[1], p.stride[0], p.stride[1]);
  if (o->kernel == NN__C_CONV) NN__C_PASS(o, p.average ? p.kernel[0] * p.kernel[1] : 0);
}

/* Convolutions and linear layers; in int8 also norms on their own, convolutions of one weight. */
static void nn__c_product(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  const nn__node *node = &c->m->node[s->node];
  const int linear = o->kernel == NN__C_LINEAR;
  const int in = (int)c->m->node[node->in[0]].cols, out = (int)node->cols;
  const int scaled = s->ahead >= 0 && nn__c_is_padded(node);
  const int no_bias = linear ? node->no_bias : node->window.no_bias;
  if (linear) {
    o->times = c->stream ? 1 : (int)node->rows, o->y_each = out, o->x_each = in;
    NN__C_PASS(o, in, out);
  } else {
    nn__c_window(c, s, o);
  }
  if (c->q) {
    nn__q_product(c, s, o);
    return;
  }
  NN__C_PASS(o, s->act < 0 ? 0 : c->act[s->act]);
  nn__c_whole(c, o, 0, "weight", NN__C_WEIGHT, 0);
  if (!no_bias || s->norm >= 0 || (s->ahead >= 0 && !scaled))
    nn__c_reals(c, o, 1, "bias", NN__C_BIAS, 1, node->cols);
  if (scaled) nn__c_reals(c, o, 4, "mean", NN__C_MEAN, 0, c->m->node[s->ahead].cols);
}

static void nn__c_pooling(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  const nn__node *node = &c->m->node[s->node];
  const int average = nn__c_pool(c, node).average;
  nn__c_window(c, s, o);
  NN__C_PASS(o, average, node->exclude_pad);
  if (!c->q) return;
  const nn__c_step *from = &c->step[s->in[0]];
  s->scale = from->scale, s->zero = from->zero;
  if (average) nn__q_ranged(c, s, s->node);
  const double factor = from->scale / s->scale;
  const int shift = nn__q_shift(&factor, 1, 31);
  o->factor = nn__q_factor(factor, shift);
  NN__C_PASS(o, shift, from->zero, s->zero);
}

/* A state's numbers between a cell and an array: h, and of a LSTM c behind it. */
static void nn__c_states(nn__c *c, const nn__c_step *s, int array, int way, double h_unit, int back)
{
  const nn__node *node = &c->m->node[s->node];
  const nn__c_step *all = &c->step[array];
  for (size_t k = 0; k <= (size_t)(node->kind == NN__LSTM); k++) {
    nn__c_op *const o = nn__c_add(c, s, back ? NN__C_FINAL : NN__C_BEGIN);
    if (!o) return;
    o->h += (c->q ? 2 : 1) * k * (size_t)node->cell.hidden;
    o->x.array = o->y.array = array;
    o->x.at = o->y.at = nn__state_at(node, k, (size_t)s->layer, (size_t)way);
    NN__C_PASS(o, node->cell.hidden);
    if (!c->q) continue;
    const double real = all->scale * (k ? 2048 : h_unit), factor = back ? 1 / real : real;
    const int shift = nn__q_shift(&factor, 1, 31);
    NN__C_PASS(o, nn__q_factor(factor, shift), shift, all->zero);
  }
}

/* A layer of a cell, both ways if it goes both. */
static void nn__c_cells(nn__c *c, nn__c_step *s, nn__c_kernel kernel)
{
  static const char *const suffix[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
  const nn__node *node = &c->m->node[s->node];
  const int ways = (int)nn__directions(node), hidden = node->cell.hidden;
  const int in = (int)(s->layer ? node->cols : c->m->node[node->in[0]].cols);
  const double unit = c->q ? nn__q_unit(c, s) : 1, h_unit = nn__c_relu_cell(node) ? unit : 32768;
  for (int way = 0; way < ways && c->status == NN_OK; way++) {
    const int param = 4 * (s->layer * ways + way);
    if (node->inputs > 1) {
      nn__c_states(c, s, s->in[1], way, h_unit, 0);
    } else if (!c->stream) {
      nn__c_op *const clear = nn__c_add(c, s, NN__C_CLEAR);
      if (clear) NN__C_PASS(clear, (int)s->state.size);
    }
    nn__c_op *const o = nn__c_add(c, s, kernel);
    if (!o) return;
    nn__text t = {o->tail, sizeof o->tail, 0};
    nn__put_string(&t, "_l"), nn__put_signed(&t, s->layer);
    nn__put_string(&t, way ? "_reverse" : "");
    o->y.at = (size_t)(way * hidden);
    if (!c->stream) o->times = node->dim[0], o->back = way, o->x_each = in;
    if (!c->stream && !s->alone) o->y_each = (int)node->cols;
    if (c->q) nn__q_cell(c, s, o, (size_t)in, param, unit, h_unit);
    else NN__C_PASS(o, in, hidden, node->cell.relu);
    for (int k = 0; k < 4 && !c->q; k++)
      nn__c_whole(c, o, k, suffix[k],
                  s->layer || k % 2 ? NN__C_PLAIN : k ? NN__C_BIAS : NN__C_WEIGHT, param + k);
    if (node->final && c->users[node->final])
      nn__c_states(c, s, c->of[node->final], way, h_unit, 1);
  }
}

/* Layer and group norms. */
static void nn__c_norm(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  const nn__node *node = &c->m->node[s->node];
  const int image = node->rank == 3, group = node->kind == NN__GROUP_NORM;
  const int places = image ? (int)node->rows : 1, cols = (int)node->cols;
  const int rows = c->stream || image ? 1 : (int)node->rows;
  const int groups = group ? node->size : 1, n = cols / groups * places;
  o->times = group ? groups : rows, o->y_each = o->x_each = n;
  if (group) o->a_each = cols / groups;
  NN__C_PASS(o, group ? rows : 1, image ? 0 : cols, n, group ? places : 1);
  o->real = (float)node->value;
  if (c->q) {
    nn__q_norm_of(c, s, o, (size_t)(group ? cols : n), (double)(group ? rows : 1) * n);
  } else if (!node->no_bias) {
    nn__c_whole(c, o, 0, "weight", NN__C_PLAIN, 0);
    nn__c_whole(c, o, 1, "bias", NN__C_PLAIN, 1);
  }
}

/* Layers that treat each number, or each row, by itself, and the ends of the net. */
static void nn__c_rows_of(nn__c *c, nn__c_step *s, nn__c_op *o)
{
  const nn__node *node = &c->m->node[s->node], *x = &c->m->node[node->in[0]];
  const int each_row = c->m->node[node->in[node->inputs > 1]].rank < node->rank;
  const int places = node->rank == 3 ? (int)node->rows : 1, cols = (int)node->cols;
  const int size = (int)s->size;
  switch (o->kernel) {
  case NN__C_MULTIPLY: NN__C_PASS(o, size, each_row ? places : 1, each_row ? cols : size); break;
  case NN__C_PRELU: NN__C_PASS(o, size, places, node->size); break;
  case NN__C_SHARES: nn__c_softmax(c, o, node); break;
  case NN__C_BLEND:
    NN__C_PASS(o, x->dim[0], x->dim[1], x->dim[2], node->window.stride_h, node->window.stride_w);
    break;
  case NN__C_EMBED:
    o->times = c->stream ? 1 : (int)node->rows, o->y_each = cols, o->x_each = 1;
    NN__C_PASS(o, cols, node->size);
    break;
  case NN__C_SCALE: NN__C_PASS(o, size, places, cols); break;
  default: NN__C_PASS(o, size); break;
  }
  if (c->q) {
    nn__q_rows_of(c, s, o);
  } else if (o->kernel == NN__C_SCALE) {
    nn__c_reals(c, o, 0, "scale", NN__C_FACTOR, 0, node->cols);
    nn__c_reals(c, o, 1, "shift", NN__C_SHIFT, 0, node->cols);
  } else if (o->kernel == NN__C_PRELU || o->kernel == NN__C_EMBED) {
    nn__c_whole(c, o, 0, "weight", NN__C_PLAIN, 0);
  } else if (o->kernel == NN__C_EACH) {
    NN__C_PASS(o, c->act[s->node]);
  }
}

/* Strides and sizes of a layer as [d0, d1, d2]; in a stream a sequence is one step. */
typedef struct nn__c_axes {
  int n[3], step[3];
} nn__c_axes;
static nn__c_axes nn__c_axes_of(const nn__c *c, const nn__node *node)
{
  nn__c_axes a = {{1, 1, 1}, {0, 0, 1}};
  for (int k = 0; k < node->rank; k++) a.n[3 - node->rank + k] = node->dim[k];
  if (c->stream && node->rank == 2) a.n[1] = 1;
  a.step[1] = a.n[2], a.step[0] = a.n[1] * a.n[2];
  return a;
}

/* A copy from place x_at of a step's input `from` to its y_at. */
static void nn__c_carry(nn__c *c, const nn__c_step *s, int y_at, int from, int x_at,
                        const int n[3], const int to[3], const int step[3])
{
  const nn__c_step *in = c->q ? &c->step[s->in[from]] : s;
  nn__c_op *const o = nn__c_add(c, s, NN__C_COPY);
  if (!o) return;
  if (from) o->tail[0] = '_', o->tail[1] = '2';
  o->y.at = (size_t)y_at, o->x.array = s->in[from], o->x.at = (size_t)x_at;
  NN__C_PASS(o, n[0], n[1], n[2], to[0], to[1], to[2], step[0], step[1], step[2]);
  if (in->scale != s->scale || in->zero != s->zero) nn__q_table(c, o, 0, -1, in, s);
}

/* Layers that bring numbers to other places. */
static void nn__c_move(nn__c *c, nn__c_step *s)
{
  const nn__node *node = &c->m->node[s->node], *x = &c->m->node[node->in[0]];
  const nn__c_axes b = nn__c_axes_of(c, node);
  nn__c_axes a = nn__c_axes_of(c, x);
  const int axis = node->axis + 3 - node->rank;
  int begin = node->kind == NN__SLICE ? node->begin * a.step[axis] : 0;
  if (c->q) s->scale = c->step[s->in[0]].scale, s->zero = c->step[s->in[0]].zero;
  switch (node->kind) {
  case NN__REVERSE:
  case NN__LAST_STEP: begin = (a.n[1] - 1) * a.n[2]; break;
  case NN__CONCAT:
  case NN__JOIN: {
    const nn__c_axes z = nn__c_axes_of(c, &c->m->node[node->in[1]]);
    const int along = node->kind == NN__JOIN ? axis : node->rank == 3 ? 0 : 2;
    if (c->q) nn__q_ranged(c, s, s->node);
    nn__c_carry(c, s, a.n[along] * b.step[along], 1, 0, z.n, b.step, z.step);
    nn__c_carry(c, s, 0, 0, 0, a.n, b.step, a.step);
    return;
  }
  case NN__TO_SEQUENCE: /* by columns: w C H + c H + h, else h C W + c W + w */
  case NN__TO_IMAGE: {
    const int in = node->kind == NN__TO_SEQUENCE;
    const int *const n = in ? a.n : b.n;
    const int columns[3] = {n[1], 1, n[0] * n[1]}, rows[3] = {n[2], n[0] * n[2], 1};
    const int *const steps = node->axis ? columns : rows;
    nn__c_carry(c, s, 0, 0, 0, n, in ? steps : b.step, in ? a.step : steps);
    return;
  }
  case NN__PADDED: {
    nn__c_op *const o = nn__c_add(c, s, NN__C_FILL);
    if (o) NN__C_PASS(o, (int)s->size, s->zero);
    nn__c_carry(c, s, node->window.pad_h * b.n[2] + node->window.pad_w, 0, 0, a.n, b.step, a.step);
    return;
  }
  case NN__UPSAMPLE: { /* each row to its first place, second, ..; each of its numbers to all */
    const int down = node->window.stride_h, across = node->window.stride_w;
    const int n[3] = {a.n[0] * a.n[1], a.n[2], across}, from[3] = {a.n[2], 1, 0};
    const int to[3] = {b.n[2] * down, across, 1};
    for (int k = 0; k < down; k++) nn__c_carry(c, s, b.n[2] * k, 0, 0, n, to, from);
    return;
  }
  default: break;
  }
  if (node->kind == NN__REVERSE) a.step[1] = -a.step[1];
  nn__c_carry(c, s, 0, 0, begin, b.n, b.step, a.step);
}

/* What each layer is made of; an activation is NN__C_EACH. */
static const unsigned char nn__c_kernels[NN__KIND_COUNT] = {
    [NN__INPUT] = NN__C_TAKE, [NN__CONV2D] = NN__C_CONV, [NN__CONV_TRANSPOSE] = NN__C_TURNED,
    [NN__LINEAR] = NN__C_LINEAR, [NN__MAX_POOL] = NN__C_POOL, [NN__AVG_POOL] = NN__C_POOL,
    [NN__GLOBAL_MAX] = NN__C_POOL, [NN__GLOBAL_AVG] = NN__C_POOL, [NN__SOFTMAX] = NN__C_SHARES,
    [NN__PRELU] = NN__C_PRELU, [NN__BATCH_NORM] = NN__C_SCALE, [NN__NORMALISE] = NN__C_SCALE,
    [NN__LAYER_NORM] = NN__C_NORM, [NN__GROUP_NORM] = NN__C_NORM, [NN__ADD] = NN__C_ADD,
    [NN__MULTIPLY] = NN__C_MULTIPLY, [NN__EMBEDDING] = NN__C_EMBED, [NN__BILINEAR] = NN__C_BLEND,
    [NN__RNN] = NN__C_RNN, [NN__LSTM] = NN__C_LSTM, [NN__GRU] = NN__C_GRU,
    [NN__CONCAT] = NN__C_COPY, [NN__JOIN] = NN__C_COPY, [NN__SLICE] = NN__C_COPY,
    [NN__TO_SEQUENCE] = NN__C_COPY, [NN__TO_IMAGE] = NN__C_COPY, [NN__LAST_STEP] = NN__C_COPY,
    [NN__REVERSE] = NN__C_COPY, [NN__PADDED] = NN__C_COPY, [NN__UPSAMPLE] = NN__C_COPY};

static void nn__c_make_step(nn__c *c, nn__c_step *s)
{
  const nn__kind kind = c->m->node[s->node].kind;
  const nn__c_kernel kernel = s->layer < 0                           ? NN__C_GIVE
                              : nn__is_act(kind)                     ? NN__C_EACH
                              : c->q && nn__c_is_affine(kind)        ? NN__C_CONV
                                                                     : nn__c_kernels[kind];
  if (s->gone || (kind == NN__FINAL_STATE && s->layer >= 0)) return; /* the cell has seen to it */
  if (kernel == NN__C_COPY) {
    nn__c_move(c, s);
  } else if (kernel >= NN__C_RNN && kernel <= NN__C_GRU) {
    nn__c_cells(c, s, kernel);
  } else {
    nn__c_op *const o = nn__c_add(c, s, kernel);
    if (!o) return;
    if (kernel >= NN__C_CONV && kernel <= NN__C_LINEAR) nn__c_product(c, s, o);
    else if (kernel == NN__C_POOL) nn__c_pooling(c, s, o);
    else if (kernel == NN__C_NORM) nn__c_norm(c, s, o);
    else nn__c_rows_of(c, s, o);
  }
}

/* ---- int8: calibration, and the engine's own run ------------------------------------------- */

static size_t nn__q_align(size_t bytes) { return (bytes + 15) / 16 * 16; }

/* A place, `moved` numbers on: the caller's, in float, or in the working memory. */
static void *nn__q_at(const nn__c *c, int8_t *memory, float *in, float *out, nn__c_place p,
                      int64_t moved)
{
  if (p.array < 0) return in + moved;
  if (p.array == c->last) return out + moved;
  return memory + c->step[p.array].y.offset + p.at + moved;
}

/* Turn t of a call. */
static void nn__q_run_op(const nn__c *net, const nn__c_op *o, int t, int8_t *memory,
                         int16_t *states, float *in, float *out)
{
  const int64_t turn = t;
  const nn__q_size *const n = o->n;
  const nn__q_size n0 = n[0], n1 = n[1], n2 = n[2], n3 = n[3], n4 = n[4];
  const nn__q_size n5 = n[5], n6 = n[6], n7 = n[7], n8 = n[8];
  const int32_t m = o->factor;
  const float f = o->real;
  void *const y = nn__q_at(net, memory, in, out, o->y, turn * o->y_each);
  const void *const x = nn__q_at(net, memory, in, out, o->x, turn * o->x_each);
  const void *const z = nn__q_at(net, memory, in, out, o->z, 0);
  int16_t *const h = states + o->h, *const p = states + net->states;
  const void *array[NN__C_ARRAYS];
  for (int k = 0; k < NN__C_ARRAYS; k++)
    array[k] = o->a[k].at ? (char *)o->a[k].at + turn * o->a_each * o->a[k].bytes : NULL;
  const void *const a = array[0], *const b = array[1], *const c = array[2], *const d = array[3];
  const void *const e = array[4], *const s = o->size;
#define NN__Q_SKIP(...)
#define NN__Q_CASE(name, float_name, float_args, int8_name, int8_args)                            \
  case NN__C_##name: nn__q_##int8_name int8_args; break;
  switch (o->kernel) {
    NN__C_KERNEL_LIST(NN__Q_SKIP, NN__Q_CASE)
  default: break;
  }
}

/* All calls, with ranges that leave out the share `cut` of the outputs at each end. */
static nn_status nn__q_make(nn_int8 *q, double cut)
{
  nn__c *const c = &q->c;
  nn__c_forget(c);
  for (int i = 0; i < c->m->nodes; i++) {
    nn__q_range *const r = &q->range[i];
    const double width = (r->greatest - r->least) / NN__Q_BINS;
    double all = 0, below = 0, above = 0;
    int first = 0, last = NN__Q_BINS;
    for (int k = 0; k < NN__Q_BINS; k++) all += r->bin[k];
    while (first < last && (below += r->bin[first]) <= cut * all) first++;
    while (first < last && (above += r->bin[last - 1]) <= cut * all) last--;
    r->low = cut > 0 ? r->least + first * width : r->least;
    r->high = cut > 0 && last < NN__Q_BINS ? r->least + last * width : r->greatest;
  }
  for (int k = 0; k < c->steps && c->status == NN_OK; k++) nn__c_make_step(c, &c->step[k]);
  q->cut = cut;
  return c->status;
}

/* What a call over a set's samples works on, so many at once. */
enum { NN__Q_AT_ONCE = 64 };
typedef struct nn__q_batch {
  nn_int8 *q;
  const nn_dataset *d;
  int batch;
  size_t size, in, out, labels;
  nn_real *x, *y;
  int32_t *label;
} nn__q_batch;

static nn_status nn__q_open(nn__q_batch *b, nn_int8 *q, const nn_dataset *d)
{
  nn_model *const m = q->c.m;
  const nn_status status = nn__check_samples(m, d, "int8");
  const nn__node *out = &m->node[m->output];
  const size_t batch = nn__min((size_t)m->config.batch, NN__Q_AT_ONCE);
  if (status != NN_OK) return status;
  b->q = q, b->d = d, b->in = nn__input_size(m), b->out = out->rows * out->cols;
  b->labels = nn__labels_each(d), b->batch = (int)batch;
  b->size = batch * ((b->in + b->out) * sizeof *b->x + b->labels * sizeof *b->label);
  b->x = nn__allocate(&m->config.allocator, b->size);
  if (!b->x) return nn__error(m, NN_ERR_MEMORY, "int8: out of memory");
  b->y = b->x + batch * b->in, b->label = (int32_t *)(b->y + batch * b->out);
  return NN_OK;
}

/* The engine's own answer to the samples from `first` on; n: how many, at most `last` - first. */
static nn_status nn__q_forward(nn__q_batch *b, int first, int last, int *n)
{
  nn_model *const m = b->q->c.m;
  const nn_batch now = {*n = last - first < b->batch ? last - first : b->batch, {b->x}, NULL, NULL,
                        NULL, NULL};
  int32_t index[NN__Q_AT_ONCE];
  for (int i = 0; i < *n; i++) index[i] = first + i;
  const nn_status status =
      nn_gather(b->d, index, *n, NULL, NULL, b->x, b->labels ? b->label : NULL);
  if (status != NN_OK) return nn__error(m, status, "int8: the data set cannot be read");
  return nn__forward_fresh(m, &now, NN_INFERENCE);
}

/* Each layer's range over samples 0 .. last - 1, then how its outputs lie in it. */
static nn_status nn__q_watch(nn__q_batch *b, int last)
{
  nn_int8 *const q = b->q;
  nn_model *const m = q->c.m;
  for (int pass = 0; pass < 2; pass++)
    for (int first = 0, n; first < last; first += n) {
      const nn_status status = nn__q_forward(b, first, last, &n);
      if (status != NN_OK) return status;
      for (int i = 0; i < m->nodes; i++) {
        const nn__node *node = &m->node[i];
        if (!q->c.users[i] || node->kind == NN__TOKENS || nn__is_loss(node->kind)) continue;
        nn__q_range *const r = &q->range[i];
        const double scale = NN__Q_BINS / (r->greatest - r->least);
        for (size_t k = 0; k < (size_t)n * node->rows * node->cols; k++) {
          const double v = (double)node->y[k];
          if (!(fabs(v) < 1e30)) /* or too large for floats to tell its range */
            return nn__error(m, NN_ERR_ARGUMENT, "int8: %s gives %g", node->name, v);
          if (!pass && v < r->least) r->least = v;
          if (!pass && v > r->greatest) r->greatest = v;
          if (pass && r->greatest > r->least)
            r->bin[nn__min((size_t)((v - r->least) * scale), NN__Q_BINS - 1)]++;
        }
      }
    }
  return NN_OK;
}

/* The calls of a stream's step, or behind its last; or of a whole sample. */
static void nn__q_calls(nn_int8 *q, int head, char *memory, float *x, float *y)
{
  int8_t *const m = (int8_t *)memory;
  int16_t *const h = (int16_t *)(void *)(memory + nn__q_align(q->c.memory));
  for (const nn__c_op *o = q->c.first; o; o = o->next)
    for (int t = 0; t < o->times || !t; t++)
      if (q->c.step[o->step].head == head)
        nn__q_run_op(&q->c, o, o->back ? o->times - 1 - t : t, m, h, x, y);
}

static void nn__q_sample(nn_int8 *q, int thread, const nn_real *x, nn_real *y)
{
  const nn__c *const c = &q->c;
  const nn_model *const m = c->m;
  const nn__node *in = &m->node[m->input[0]], *out = &m->node[m->output];
  const size_t ins = nn__input_size(m), outs = out->rows * out->cols;
  char *const memory = q->work + (size_t)thread * q->each;
  char *const behind = memory + nn__q_align(c->memory) + nn__q_align(2 * (c->states + c->patch));
  float *const from = (float *)(void *)behind;
  float *const to = from + ins;
  for (size_t k = 0; k < ins; k++) from[k] = (float)x[k];
  if (c->stream) {
    const size_t steps = (size_t)in->dim[0], each = out->rank == 2 ? out->cols : 0;
    memset(memory + nn__q_align(c->memory), 0, 2 * c->states);
    for (size_t t = 0; t < steps; t++)
      nn__q_calls(q, 0, memory, from + ins / steps * t, to + each * t);
  }
  nn__q_calls(q, c->stream, memory, from, to);
  for (size_t k = 0; k < outs; k++) y[k] = (nn_real)to[k];
}

static void nn__q_task(void *arg, size_t index, int thread)
{
  const nn__q_batch *b = arg;
  nn__q_sample(b->q, thread, b->x + index * b->in, b->y + index * b->out);
}

/* Compares samples first .. last - 1. */
static nn_status nn__q_compare(nn__q_batch *b, int first, int last, nn_int8_result *r)
{
  nn_model *const m = b->q->c.m;
  const nn__node *out = &m->node[m->output];
  const size_t rows = out->rank == 3 ? 0 : out->rows, cols = out->cols;
  double off = 0, all = 0;
  memset(r, 0, sizeof *r);
  for (int n; first < last; first += n) {
    const nn_status status = nn__q_forward(b, first, last, &n);
    if (status != NN_OK) return status;
    const nn_real *const wanted = nn_output(m);
    nn__parallel(&m->context.pool, (size_t)n, nn__q_task, b);
    for (size_t k = 0; k < (size_t)n * b->out; k++) {
      const double v = (double)wanted[k], e = (double)b->y[k] - v;
      if (!(fabs(v) < 1e30)) return nn__error(m, NN_ERR_ARGUMENT, "int8: the net gives %g", v);
      off += e * e, all += v * v;
    }
    for (size_t k = 0; b->labels == rows && k < (size_t)n * rows; k++) {
      if (b->label[k] < 0 || (size_t)b->label[k] >= cols) continue;
      r->rows++;
      r->right += nn__greatest(wanted + k * cols, cols) == (size_t)b->label[k];
      r->right_int8 += nn__greatest(b->y + k * cols, cols) == (size_t)b->label[k];
    }
  }
  r->error = all > 0 ? sqrt(off / all) : sqrt(off);
  r->cut = b->q->cut;
  return NN_OK;
}

/* Ranges from three quarters of the samples; how far they go, the other quarter decides. */
static nn_status nn__q_calibrate(nn_int8 *q, const nn_dataset *d)
{
  static const double cuts[] = {0, 1e-5, 1e-4, 1e-3};
  nn_int8_result best, now;
  double chosen = 0;
  nn__q_batch b;
  nn_status status = nn__q_open(&b, q, d);
  if (status != NN_OK) return status;
  const int held = d->count > 3 ? d->count - d->count / 4 : 0;
  status = nn__q_watch(&b, held ? held : d->count);
  for (size_t k = 0; k < sizeof cuts / sizeof *cuts && status == NN_OK; k++) {
    status = nn__q_make(q, cuts[k]);
    if (status == NN_OK) status = nn__q_compare(&b, held, d->count, &now);
    if (status != NN_OK || (k && (now.right_int8 < best.right_int8 ||
                                  (now.right_int8 == best.right_int8 && now.error >= best.error))))
      continue;
    best = now, chosen = cuts[k];
  }
  nn__release(&q->c.m->config.allocator, b.x, b.size);
  return status == NN_OK && q->cut != chosen ? nn__q_make(q, chosen) : status;
}

static nn_status nn__q_begin_net(nn_int8 *q, const nn_dataset *d)
{
  nn_model *const m = q->c.m;
  const nn_allocator *const from = &m->config.allocator;
  const nn__node *out = &m->node[m->output];
  const size_t nodes = (size_t)m->nodes, threads = (size_t)m->context.pool.threads;
  size_t widest = 1;
  for (int i = 0; i < m->params; i++) {
    size_t rows = 1;
    for (int k = 0; k < m->param[i].rank; k++) rows = nn__max(rows, (size_t)m->param[i].dim[k]);
    widest = nn__max(widest, m->param[i].rank == 1 ? m->param[i].count + 1 : rows);
  }
  for (size_t i = 0; i < nodes; i++) widest = nn__max(widest, m->node[i].cols * m->node[i].rows);
  const size_t scratch = nodes * sizeof *q->range + 4 * widest * sizeof(double);
  nn__c_plan(&q->c);
  if (q->c.status != NN_OK) return q->c.status;
  q->each = nn__q_align(q->c.memory) + nn__q_align(2 * (q->c.states + q->c.patch)) +
            nn__q_align((nn__input_size(m) + out->rows * out->cols) * sizeof(float));
  q->range = nn__allocate(from, scratch), q->work = nn__allocate(from, threads * q->each);
  if (!q->range || !q->work) {
    nn__c_fail(&q->c, NN_ERR_MEMORY, "out of", "memory");
  } else {
    memset(q->range, 0, scratch);
    q->most = (double *)(q->range + nodes), q->sum = q->most + widest;
    q->quantum = q->sum + widest, q->bias = q->quantum + widest;
    q->c.status = nn__q_calibrate(q, d);
  }
  nn__release(from, q->range, scratch);
  return q->c.status;
}

void nn_int8_free(nn_int8 *q)
{
  if (!q) return;
  const nn_allocator from = q->c.m->config.allocator;
  nn__c_close(&q->c);
  nn__release(&from, q->work, (size_t)q->c.m->context.pool.threads * q->each);
  nn__release(&from, q, sizeof *q);
}

nn_status nn_int8_create(nn_model *m, const nn_dataset *d, nn_int8 **out)
{
  if (out) *out = NULL;
  if (!m) return NN_ERR_ARGUMENT;
  if (!out) return nn__error(m, NN_ERR_ARGUMENT, "int8: nowhere to put it");
  if (!m->built || !m->config.keep_activations)
    return nn__error(m, NN_ERR_STATE, "int8: needs a built model with config.keep_activations");
  const nn__param *absent = nn__absent(m);
  if (absent) return nn__error(m, NN_ERR_STATE, "int8: %s " NN__ABSENT, absent->name);
  if (m->inputs != 1) return nn__error(m, NN_ERR_UNSUPPORTED, "int8: more than one input");
  nn_int8 *const q = nn__allocate(&m->config.allocator, sizeof *q);
  if (!q) return nn__error(m, NN_ERR_MEMORY, "int8: out of memory");
  memset(q, 0, sizeof *q);
  nn_status status = nn__c_open(&q->c, m, q);
  if (status == NN_OK) status = nn__q_begin_net(q, d);
  if (status == NN_OK) {
    *out = q;
    return m->status = NN_OK;
  }
  if (*q->c.why.text) status = nn__error(m, status, "int8: %s", q->c.why.text);
  nn_int8_free(q);
  return m->status = status;
}

nn_status nn_int8_run(nn_int8 *q, const nn_real *x, nn_real *y)
{
  if (!q || !x || !y) return NN_ERR_ARGUMENT;
  const uint32_t mode = nn__flush_subnormals();
  nn__q_sample(q, 0, x, y);
  nn__restore_mode(mode);
  return NN_OK;
}

nn_status nn_int8_evaluate(nn_int8 *q, const nn_dataset *d, nn_int8_result *result)
{
  nn__q_batch b;
  if (!q || !result) return NN_ERR_ARGUMENT;
  nn_status status = nn__q_open(&b, q, d);
  if (status != NN_OK) return status;
  status = nn__q_compare(&b, 0, d->count, result);
  nn__release(&q->c.m->config.allocator, b.x, b.size);
  return status;
}

/* ---- as C source -------------------------------------------------------------------------- */

/* Activations as expressions: %s the layer's number, then its second. */
static const char *const nn__c_acts[NN__KIND_COUNT] = {
    [NN__RELU] = "x < 0 ? 0 : x",
    [NN__LEAKY_RELU] = "x > 0 ? x : %s * x",
    /* exp(x) - 1 = 2 t/(1 - t), t = tanh(x/2), which near 0 keeps all digits */
    [NN__ELU] = "x > 0 ? x : %s * 2 * $_tanhf(x / 2) / (1 - $_tanhf(x / 2))",
    [NN__GELU] = "$_gelu(x)",
    [NN__SILU] = "x * $_sigmoid(x)",
    [NN__SOFTPLUS] = "$_softplus(x)",
    [NN__HARD_SIGMOID] = "x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6",
    [NN__HARD_SWISH] = "x < -3 ? 0 : x > 3 ? x : x * (x + 3) / 6",
    [NN__CLAMP] = "x < %s ? %s : x > %s ? %s : x",
    [NN__TANH] = "$_tanhf(x)",
    [NN__SIGMOID] = "$_sigmoid(x)"};

static int nn__c_uses(const char *text, const char *name)
{
  const size_t length = strlen(name);
  for (const char *at = text; (at = strstr(at, name)) != NULL; at += length)
    if (at > text && at[-1] == '_' && (at[length] == '(' || at[length] == ' ')) return 1;
  return 0;
}

static const nn__c_function *nn__c_function_of(const nn__c *c, int kernel)
{
  return nn__c_rows[kernel][c->q != NULL].function;
}

static void nn__c_want(nn__c *c, const char *text)
{
  for (int k = 0; k < NN__C_KERNELS; k++) {
    const nn__c_function *f = nn__c_function_of(c, k);
    if (f->name && (nn__c_uses(text, f->name) || (k == NN__C_EXP && nn__c_uses(text, "tanhf"))))
      c->wanted |= (uint64_t)1 << k;
  }
  for (size_t k = 0; k < sizeof nn__c_words / sizeof *nn__c_words; k++)
    if (nn__c_words[k][0][0] == 'N' && strstr(text, nn__c_words[k][0]))
      nn__c_want(c, nn__c_words[k][c->q ? 2 : 1]);
}

/* Which functions the calls want, with those that they call themselves. */
static void nn__c_wants(nn__c *c)
{
  c->wanted = 0;
  for (const nn__c_op *o = c->first; o; o = o->next) c->wanted |= (uint64_t)1 << o->kernel;
  for (int k = NN__C_KERNELS; k-- > 0;) {
    if (!(c->wanted >> k & 1)) continue;
    const char *const text = nn__c_function_of(c, k)->text;
    if (text) nn__c_want(c, text);
    for (int i = 0; !text && i < c->m->nodes; i++)
      if (c->act[i]) nn__c_want(c, nn__c_acts[c->m->node[i].kind]);
  }
}

/* How many characters follow a space before the line may be cut again: behind a comma rather than
 * within an argument. */
static size_t nn__c_next(const nn__c *c, const char *space)
{
  const size_t word = strcspn(space + 1, " "), argument = strcspn(space + 1, ",");
  size_t size = word;
  if (space[-1] == ',' && argument < 40)
    size = nn__max(word, argument + (space[1 + argument] == ','));
  for (size_t i = 1, count = size; i <= count; i++)
    if (space[i] == '$') size += strlen(c->prefix) - 1;
  return size;
}

/* A line of a function's text in this net's words, cut at spaces where it is too long. */
static void nn__c_wrap(nn__c *c, const char *line, size_t indent)
{
  const size_t words = sizeof nn__c_words / sizeof *nn__c_words;
  for (const char *at = line; *at; at++) {
    const int begins = at == line || (at[-1] != 'u' && at[-1] != '_');
    size_t k = begins ? 0 : words;
    while (k < words && strncmp(at, nn__c_words[k][0], strlen(nn__c_words[k][0]))) k++;
    if (k < words) {
      const char *const word = nn__c_words[k][c->q ? 2 : 1];
      if (strcmp(word, nn__c_words[k][0])) nn__c_wrap(c, word, indent);
      else nn__c_text(c, word);
      at += strlen(nn__c_words[k][0]) - 1;
    } else if (*at == ' ' && at > line && c->column + nn__c_next(c, at) > 97) {
      nn__c_text(c, "\n    ");
      for (size_t i = 0; i < indent; i++) nn__c_text(c, "  ");
    } else {
      nn__c_text(c, (char[2]){*at, 0});
    }
  }
}

/* A function's text, which the preprocessor has put on one line, in lines again. */
static void nn__c_lines(nn__c *c, const char *text)
{
  char line[512];
  size_t used = 0, indent = 0;
  int parens = 0;
  for (const char *t = text; *t; t++) {
    const int opens = *t == '{', closes = *t == '}';
    const int function = /* whose { has a line of its own */
        opens && !indent && used > 1 && line[used - 1] == ' ' && line[used - 2] == ')';
    if (*t == ' ' && !used) continue;
    if (function) used--;
    else if (used < sizeof line - 1) line[used++] = *t;
    parens += (*t == '(') - (*t == ')');
    const int ends = (*t == ';' && !parens) || opens || (closes && t[1] != ';');
    if (!ends && t[1]) continue;
    indent -= *line == '}';
    line[used] = 0;
    for (size_t k = 0; k < indent; k++) nn__c_text(c, "  ");
    nn__c_wrap(c, line, indent);
    nn__c_text(c, "\n");
    if (function) nn__c_text(c, "{\n");
    indent += (size_t)opens;
    used = 0;
  }
  nn__c_text(c, "\n");
}

/* The activations, one case each. */
static void nn__c_act_lines(nn__c *c)
{
  nn__c_text(c, "static float $_out(float x, int act)\n{\n  switch (act) {\n");
  for (int i = 0, number = 0; i < c->m->nodes; i++) {
    const nn__node *node = &c->m->node[i];
    if (c->act[i] <= number) continue;
    nn__c_say(c, "  case %d: return ", ++number);
    const char *text = nn__c_acts[node->kind];
    for (int numbers = 0; *text; text++) {
      if (*text == '%') nn__c_float(c, numbers++ < 2 ? node->value : node->second), text++;
      else nn__c_text(c, (char[2]){*text, 0});
    }
    nn__c_text(c, ";\n");
  }
  nn__c_text(c, "  default: return x;\n  }\n}\n\n");
}

static void nn__c_functions(nn__c *c)
{
  int largest = 0;
  for (const nn__c_op *o = c->first; o; o = o->next)
    for (int k = 0; k < o->sizes; k++)
      if (o->size[k] > largest) largest = o->size[k];
  if (largest)
    nn__c_say(c, "typedef %s $_size;\n\n", largest < 128     ? "signed char"
                                           : largest < 32768 ? "short"
                                                             : "int");
  for (int k = 0; k < NN__C_KERNELS; k++) {
    const nn__c_function *f = nn__c_function_of(c, k);
    int written = !(c->wanted >> k & 1);
    for (int i = 0; i < k; i++) written |= c->wanted >> i & 1 && nn__c_function_of(c, i) == f;
    if (written) continue;
    if (k == NN__C_EXP) nn__c_text(c, "#ifdef NN_C_OWN_MATH\n#include <stdint.h>\n\n");
    if (*f->about) nn__c_text(c, "/* ");
    for (const char *a = f->about; *a; a++) nn__c_text(c, *a == '\n' ? "\n * " : (char[2]){*a, 0});
    if (*f->about) nn__c_text(c, " */\n");
    if (f->text) nn__c_lines(c, f->text);
    else nn__c_act_lines(c);
    if (k == NN__C_EXP)
      nn__c_text(c, "#else\n#define $_expf expf\n#define $_tanhf tanhf\n#endif\n\n");
  }
}

/* The name of an array of a call, or of its sizes: prefix, layer, what it is. A layer's name has
 * letters, digits and "_-/"; one that is no name in C is its number. */
static void nn__c_name(nn__c *c, const nn__c_op *o, const char *suffix)
{
  const int i = c->step[o->step].node;
  const char *const name = c->m->node[i].name;
  const int numbered = !strncmp(name, "layer", 5) && name[5] >= '0' && name[5] <= '9';
  if (strpbrk(name, "-/") || numbered) nn__c_say(c, "$_layer%d_%s%s", i, suffix, o->tail);
  else nn__c_say(c, "$_%s_%s%s", name, suffix, o->tail);
}

/* The arrays of a call, and the struct of its sizes. */
static void nn__c_constants(nn__c *c, const nn__c_op *o)
{
  for (int k = 0; k < NN__C_ARRAYS; k++) {
    const nn__c_array *a = &o->a[k];
    const int8_t *const one = a->at;
    const int16_t *const two = a->at;
    const int32_t *const four = a->at;
    if (!a->suffix) continue;
    nn__c_say(c, a->at ? "static const int%d_t " : "static const float ", 8 * a->bytes);
    nn__c_name(c, o, a->suffix);
    nn__c_say(c, "[%zu] = {", a->count);
    for (size_t i = 0; i < a->count; i++) {
      nn__c_comma(c, i);
      if (!a->at) nn__c_float(c, nn__c_value(c, &c->step[o->step], a->what, a->param, i));
      else nn__c_say(c, "%d", a->bytes == 1 ? one[i] : a->bytes == 2 ? two[i] : four[i]);
    }
    nn__c_text(c, "\n};\n");
  }
  if (!o->sizes) return;
  nn__c_say(c, "static const struct $_%s ", o->kernel < NN__C_CELL ? "window" : "cell");
  nn__c_name(c, o, "sizes");
  nn__c_text(c, " = {");
  for (int k = 0; k < o->sizes; k++) nn__c_comma(c, (size_t)k), nn__c_say(c, "%d", (int)o->size[k]);
  nn__c_text(c, "\n};\n");
}

/* A place: in the caller's x, x2, .. or y, or in the working memory m; each: numbers from one turn
 * of the loop over t to the next. */
static void nn__c_at(nn__c *c, nn__c_place p, int each)
{
  if (p.array == NN__C_INPUT) nn__c_text(c, "x");
  else if (p.array < 0) nn__c_say(c, "x%d", NN__C_INPUT - p.array + 1);
  else if (p.array == c->last) nn__c_text(c, "y");
  else nn__c_say(c, "m + %zu", c->step[p.array].y.offset + p.at);
  if (p.at && (p.array < 0 || p.array == c->last)) nn__c_say(c, " + %zu", p.at);
  if (each) nn__c_say(c, " + %d * t", each);
}

static void nn__c_call(nn__c *c, const nn__c_op *o)
{
  const nn__c_row *row = &nn__c_rows[o->kernel][c->q != NULL];
  const int turns = o->times > 1;
  if (turns)
    nn__c_say(c, o->back ? "  for (int t = %d; t >= 0; t--)\n  "
                         : "  for (int t = 0; t < %d; t++)\n  ", o->times - o->back);
  nn__c_say(c, "  $_%s(", row->function->name);
  for (const char *a = row->arguments; *a; a++) {
    const nn__c_array *array = &o->a[(unsigned)(*a - 'a') < NN__C_ARRAYS ? *a - 'a' : 0];
    if (strchr("(, )", *a)) continue;
    if (a > row->arguments + 1) nn__c_text(c, c->column < 72 ? ", " : ",\n      ");
    if (*a == 'y') nn__c_at(c, o->y, turns ? o->y_each : 0);
    else if (*a == 'x') nn__c_at(c, o->x, turns ? o->x_each : 0);
    else if (*a == 'z') nn__c_at(c, o->z, 0);
    else if (*a == 'p' && c->q) nn__c_text(c, "$_patch");
    else if (*a == 'h' || *a == 'p') nn__c_say(c, c->stream || c->q ? "h + %zu" : "m + %zu", o->h);
    else if (*a == 's') nn__c_text(c, "&"), nn__c_name(c, o, "sizes");
    else if (*a == 'f') nn__c_float(c, (double)o->real);
    else if (*a == 'm') nn__c_say(c, "%d", o->factor);
    else if (*a == 'n') nn__c_say(c, "%d", (int)o->n[*++a - '0']);
    else if (!array->suffix) nn__c_text(c, "0");
    else nn__c_name(c, o, array->suffix);
    if (*a >= 'a' && *a <= 'e' && array->suffix && turns && o->a_each)
      nn__c_say(c, " + %d * t", o->a_each);
  }
  nn__c_text(c, ");\n");
}

static void nn__c_dims(nn__c *c, const nn__node *node)
{
  for (int k = 0; k < node->rank; k++) nn__c_say(c, k ? " x %d" : " %d", node->dim[k]);
}

/* The calls of all steps, or in a stream of those ahead of the last step, or behind it; each step
 * with a comment of the layers that are in it. */
static void nn__c_calls(nn__c *c, int head)
{
  int memory = 0;
  for (int k = 0; k < c->steps; k++) {
    const nn__c_step *s = &c->step[k];
    if (s->gone || s->head != head) continue;
    memory |= k != c->last || s->in[0] >= 0 || s->in[1] >= 0 || (!c->stream && s->state.size);
  }
  if (memory) nn__c_say(c, "  %s *const m = @_MEMORY;\n", c->q ? "int8_t" : "float");
  if (c->q && c->states && !c->stream) nn__c_text(c, "  int16_t *const h = $_states;\n");
  for (int k = 0; k < c->steps; k++) {
    const nn__c_step *s = &c->step[k];
    const int joined[5] = {s->ahead, s->node, s->norm, s->act, s->pool};
    if (s->gone || s->head != head) continue;
    nn__c_text(c, "  /*");
    for (int i = 0; i < 5; i++)
      if (joined[i] >= 0) nn__c_say(c, " %s", c->m->node[joined[i]].name);
    nn__c_text(c, s->layer > 0 ? " (next layer):" : ":");
    nn__c_dims(c, &c->m->node[s->pool >= 0 ? s->pool : s->node]);
    nn__c_text(c, " */\n");
    for (const nn__c_op *o = c->first; o; o = o->next)
      if (o->step == k) nn__c_call(c, o);
  }
}

/* The functions for a net that takes a step at a time. */
static void nn__c_stream(nn__c *c)
{
  const nn_model *m = c->m;
  const int each = m->node[m->output].rank == 2; /* an answer to every step, else at the end */
  const nn__node *x = &m->node[m->input[0]];
  const size_t in = x->kind == NN__TOKENS ? 1 : x->cols, out = m->node[m->output].cols;
  const char *const type = c->q ? "int16_t" : "float";
  nn__c_say(c, "/* What the net remembers of the steps so far. */\n"
               "struct $_state {\n  %s h[%zu];\n};\n\n", type, c->states);
  nn__c_say(c, "static void $_advance(%s *h, const float *x%s)\n{\n", type,
            each ? ", float *y" : "");
  nn__c_calls(c, 0);
  nn__c_text(c, "}\n\n");
  if (!each) {
    nn__c_text(c, "static void $_answer(float *y)\n{\n");
    nn__c_calls(c, 1);
    nn__c_text(c, "}\n\n");
  }
  nn__c_say(c, "/* Before the first step of a sequence. */\n"
               "static inline void $_reset(struct $_state *s)\n{\n"
               "  for (int k = 0; k < %zu; k++) s->h[k] = 0;\n}\n\n", c->states);
  nn__c_text(c, "/* Takes a step x, and gives the net's output y for the steps so far. */\n"
                "static inline void $_step(struct $_state *s, const float *x, float *y)\n{\n");
  nn__c_text(c, each ? "  $_advance(s->h, x, y);\n}\n\n"
                     : "  $_advance(s->h, x);\n  $_answer(y);\n}\n\n");
  nn__c_text(c, "/* All steps of a sequence. */\n"
                "static inline void $_run(const float *x, float *y)\n{\n"
                "  static struct $_state s;\n  $_reset(&s);\n");
  nn__c_say(c, "  for (int t = 0; t < %d; t++) $_advance(s.h, x + %zu * t", x->dim[0], in);
  if (each) nn__c_say(c, ", y + %zu * t", out);
  nn__c_text(c, each ? ");\n}\n" : ");\n  $_answer(y);\n}\n");
}

/* The constants, memory and functions of the net itself. */
static void nn__c_net(nn__c *c)
{
  const nn_model *m = c->m;
  const char *const type = c->q ? "int8_t" : "float", *const unit = c->q ? "BYTES" : "FLOATS";
  for (const nn__c_op *o = c->first; o; o = o->next) nn__c_constants(c, o);
  nn__c_text(c, "\n");
  if (c->memory) {
    nn__c_say(c, "#ifndef @_MEMORY /* the working memory: @_%s %s, or your own */\n", unit,
              c->q ? "bytes" : "floats");
    nn__c_say(c, "static %s $_memory[@_%s];\n#define @_MEMORY $_memory\n#endif\n\n", type, unit);
  }
  if (c->patch) nn__c_say(c, "static int16_t $_patch[%zu];\n\n", c->patch);
  if (c->stream) {
    nn__c_stream(c);
    return;
  }
  if (c->q && c->states) nn__c_say(c, "static int16_t $_states[%zu];\n\n", c->states);
  nn__c_text(c, "/* y: the net's output for x. */\nstatic inline void $_run(const float *x, ");
  for (int k = 1; k < m->inputs; k++) nn__c_say(c, "const float *x%d, ", k + 1);
  nn__c_text(c, "float *y)\n{\n");
  for (int k = 0; k < m->inputs; k++) {
    const nn__c_place input = {NN__C_INPUT - k, 0};
    if (c->users[m->input[k]]) continue;
    nn__c_text(c, "  (void)"), nn__c_at(c, input, 0), nn__c_text(c, ";\n");
  }
  nn__c_calls(c, 0);
  nn__c_text(c, "}\n");
}

static nn_c_sizes nn__c_sizes_of(const nn__c *c)
{
  nn_c_sizes sizes = {0, 4 * (c->memory + c->states), 0};
  if (c->q) sizes.memory = c->memory + 2 * (c->states + c->patch);
  for (const nn__c_op *o = c->first; o; o = o->next)
    for (int k = 0; k < NN__C_ARRAYS; k++) sizes.weights += o->a[k].count * (size_t)o->a[k].bytes;
  for (int i = 0; i < c->m->nodes; i++)
    if (c->users[i]) sizes.macs += nn__macs(c->m, &c->m->node[i]);
  return sizes;
}

/* The comment at the top. */
static void nn__c_about(nn__c *c, nn_c_sizes sizes)
{
  nn_model *m = c->m;
  const nn__node *x = &m->node[m->input[0]], *y = &m->node[m->output];
  const size_t in = x->rows * x->cols, out = y->rows * y->cols;
  const size_t step = x->rank == 2 ? x->cols : 1, answer = y->rank == 2 ? y->cols : out;
  const char *const classes = nn_note(m, "classes");
  nn_message name;
  nn__c_text(c, "/* A net in plain C99, written by nn " NN_VERSION
                ". Include it in a file of yours:\n *\n");
  nn__c_say(c, " *     static float x[%zu], y[%zu]; // as below, row by row\n", in, out);
  nn__c_text(c, " *     $_run(x, ");
  for (int k = 1; k < m->inputs; k++) nn__c_say(c, "x%d, ", k + 1);
  nn__c_text(c, "y);\n *\n");
  if (c->stream) {
    nn__c_text(c, " * or step by step, with as many streams as you like:\n *\n"
                  " *     struct $_state s;\n *     $_reset(&s);\n");
    nn__c_say(c, " *     $_step(&s, x, y); // x: the next %zu numbers; y: %zu, for all so far\n",
              step, answer);
    nn__c_text(c, " *\n");
  }
  nn__c_say(c, " * %llu multiply-adds, %zu bytes of weights, ", (unsigned long long)sizes.macs,
            sizes.weights);
  nn__c_say(c, "%zu bytes of memory beside x and y\n *\n", sizes.memory);
  if (c->wanted >> NN__C_EXP & 1)
    nn__c_text(c, " * It calls expf and tanhf of the C library; with NN_C_OWN_MATH defined ahead\n"
                  " * of it, its own, whose relative errors are below 9e-8 and 1.9e-7.\n *\n");
  if (c->q)
    nn__c_text(c,
               " * Weights and the numbers between layers are bytes: scale (byte - zero), with a\n"
               " * scale for the weights of each output, and one for what each layer gives. Sums\n"
               " * are exact, in 32 bits. A sum becomes a byte by a factor m and a shift:\n"
               " * zero + floor(sum m / 2^shift + 1/2), limited to -128 .. 127. All but the first\n"
               " * and last step, and the root in layer and group norms, is whole numbers, so\n"
               " * every processor gives the same bits.\n");
  if (c->soft >= 0)
    nn__c_say(c, " * %s is computed in float, of the last bytes.\n", m->node[c->soft].name);
  if (c->q) nn__c_text(c, " *\n");
  for (int i = 0; i < m->nodes; i++) {
    const nn__node *node = &m->node[i];
    if (!c->users[i]) continue;
    nn__c_say(c, " *   %s:", node->name);
    nn__c_dims(c, node);
    const double own = nn__macs(m, node);
    if (own > 0) nn__c_say(c, ", %llu multiply-adds", (unsigned long long)own);
    nn__c_text(c, "\n");
  }
  for (int i = 0; classes && i < NN_MAX_CLASSES && (size_t)i < y->cols; i++) {
    if (nn_class_name(m, i, name.text, 48) != NN_OK) break;
    nn__c_say(c, " *   y[%d]: ", i);
    nn__c_quote(c, name.text);
    nn__c_text(c, "\n");
  }
}

static void nn__c_write(nn__c *c, nn_c_sizes sizes)
{
  const nn_model *m = c->m;
  const nn__node *y = &m->node[m->output];
  nn__c_about(c, sizes);
  nn__c_text(c, " */\n#ifndef $_H\n#define $_H\n#ifdef @_OUTPUT\n"
                "#error \"another net's prefix differs from $ in capitals alone\"\n#endif\n\n");
  const int root = (int)(c->wanted >> NN__C_NORM & 1), math = (int)(c->wanted >> NN__C_EXP & 1);
  if (root) nn__c_text(c, "#include <math.h>\n");
  else if (math) nn__c_text(c, "#ifndef NN_C_OWN_MATH\n#include <math.h>\n#endif\n");
  nn__c_text(c, c->q ? "#include <stdint.h>\n\n" : root || math ? "\n" : "");
  for (int k = 0; k < m->inputs; k++) {
    const nn__node *x = &m->node[m->input[k]];
    nn_message number = {""};
    if (k) nn__words(&number, "%d", k + 1);
    nn__c_say(c, "#define @_INPUT%s %zu\n", number.text, x->rows * x->cols);
  }
  nn__c_say(c, "#define @_OUTPUT %zu\n#define @_%s %zu\n", y->rows * y->cols,
            c->q ? "BYTES" : "FLOATS", c->memory);
  if (c->stream)
    nn__c_say(c, "#define @_STEP_INPUT %zu\n#define @_STEP_OUTPUT %zu\n",
              m->node[m->input[0]].rank == 2 ? m->node[m->input[0]].cols : 1, y->cols);
  nn__c_text(c, "\n");
  nn__c_functions(c);
  nn__c_net(c);
  nn__c_text(c, "\n#endif\n");
  nn__c_char(c, 0);
}

static int nn__c_good_prefix(const char *prefix)
{
  size_t n = 0;
  for (; prefix[n]; n++) {
    const char letter = nn__c_capital(prefix[n]);
    const int digit = letter >= '0' && letter <= '9';
    if (n == 32 || !((letter >= 'A' && letter <= 'Z') || (n && (digit || letter == '_')))) return 0;
  }
  return n > 0;
}

static nn_status nn__c_export(nn__c *c, nn_write write, void *user, nn_c_sizes *sizes)
{
  nn_model *m = c->m;
  if (!c->q) nn__c_plan(c);
  for (int k = 0; k < c->steps && !c->q && c->status == NN_OK; k++) nn__c_make_step(c, &c->step[k]);
  for (const nn__c_op *o = c->first; o; o = o->next) nn__c_finite(c, (double)o->real, "a scale");
  *sizes = nn__c_sizes_of(c);
  if (sizes->weights > INT32_MAX || c->memory > INT32_MAX / 4)
    nn__c_fail(c, NN_ERR_LIMIT, "it is too large:", "sizes in C are below 2^31 bytes");
  if (c->status == NN_OK) {
    c->out.write = write, c->out.user = user, c->out.failed = 0, c->used = 0;
    nn__c_wants(c);
    nn__c_write(c, *sizes);
  }
  if (c->status == NN_OK && c->out.failed)
    nn__c_fail(c, NN_ERR_IO, "the caller's write", "failed");
  return c->status == NN_OK ? NN_OK : nn__error(m, c->status, "export: %s", c->why.text);
}

nn_status nn_export_c(nn_model *m, const nn_c_options *options, nn_write write, void *user)
{
  const char *const prefix = options && options->prefix ? options->prefix : "net";
  nn_int8 *const q = options ? options->int8 : NULL;
  nn__io check;
  nn__export out;
  nn__c own, *const c = q ? &q->c : &own;
  if (nn__exporter(&check, &out, m, write, user) != NN_OK) return m ? m->status : NN_ERR_ARGUMENT;
  if (!nn__c_good_prefix(prefix))
    return nn__error(m, NN_ERR_ARGUMENT, "export: the prefix %s is no name in C", prefix);
  if (q && q->c.m != m)
    return nn__error(m, NN_ERR_ARGUMENT, "export: the int8 net is another model's");
  if (!q && nn__c_open(c, m, NULL) != NN_OK) return m->status;
  c->prefix = prefix;
  nn_c_sizes sizes;
  const nn_status status = nn__c_export(c, write, user, &sizes);
  if (status == NN_OK && options && options->sizes) *options->sizes = sizes;
  c->status = NN_OK;
  if (!q) nn__c_close(c);
  return status;
}

#ifndef NN_NO_STDIO
static nn_status nn__c_named(nn_model *m, const char *options, nn_write write, void *user)
{
  return nn_export_c(m, (const void *)options, write, user);
}

nn_status nn_save_c(nn_model *m, const nn_c_options *options, const char *path)
{
  return nn__export_file(m, (const void *)options, path, nn__c_named);
}
#endif
#endif

/* ========================================= @@FIT =========================================== */
#ifndef NN_NO_TRAINING
/* Whether a data set can feed a model and has what its loss compares with. */
static nn_status nn__check_dataset(nn_model *m, const nn_dataset *d, const char *who)
{
  if (!m->built || m->loss < 0 || m->inputs != 1)
    return nn__error(m, NN_ERR_STATE, "%s: the model %s", who,
                     !m->built ? "is not built" : m->loss < 0 ? "has no loss"
                                                              : "has more than one input");
  nn_status status = nn__check_samples(m, d, who);
  if (status != NN_OK) return status;
  for (int labelled = 0; labelled < 2; labelled++) {
    const size_t has = labelled ? nn__labels_each(d) : nn__targets_each(d);
    const size_t wants = nn__compared(m, labelled);
    if (wants && !has)
      return nn__error(m, NN_ERR_ARGUMENT, "%s: the data set has no %s", who,
                       labelled ? "labels" : "targets");
    if (wants && has != wants)
      return nn__error(m, NN_ERR_SHAPE, "%s: %zu %s a sample, the loss compares %s with %zu", who,
                       has, labelled ? "label(s)" : "target(s)", m->node[m->output].name, wants);
  }
  const size_t count = d->fill ? 0 : (size_t)d->count; /* what is read is checked as it comes */
  status = nn__check_answers(m, d->labels, d->targets, d->weights, d->only, count, d->lengths, who);
  return status == NN_OK ? status : (m->status = status);
}

nn_fit_options nn_fit_default(void)
{
  nn_fit_options o = {0};
  o.epochs = 1;
  return o;
}

nn_status nn_evaluate(nn_model *m, const nn_dataset *d, nn_evaluation *result)
{
  if (!m || !result) return nn__error(m, NN_ERR_ARGUMENT, "evaluate: result is NULL");
  memset(result, 0, sizeof *result);
  nn_status status = nn__check_dataset(m, d, "evaluate");
  const int64_t batch = m->config.batch, apart = batch * nn__ranks(m);
  nn__all all = {0};
  if (status == NN_OK) nn__tally(m, 1);
  for (int64_t place = m->ranks.rank * batch; status == NN_OK && place < d->count; place += apart) {
    const int64_t left = d->count - place;
    const int n = (int)(left < batch ? left : batch);
    nn_batch b;
    int64_t correct = 0;
    status = nn__stage(m, d, NULL, 0, place, n, 0, 0, &b);
    if (status == NN_OK) status = nn__forward_fresh(m, &b, NN_INFERENCE);
    if (status == NN_OK) status = nn_loss(m, &b, NULL, &correct);
    nn__tally(m, 0);
    all.correct += (double)correct, all.rows += (double)m->loss_rows;
  }
  for (int i = m->loss; i >= 0 && i < m->nodes; i++) {
    nn__reduce(m, &m->node[i].sums, 1, sizeof(double));
    nn__reduce(m, &m->node[i].totals, 1, sizeof(double));
  }
  if ((status = nn__agree(m, status, &all)) != NN_OK) return status;
  all.loss = nn__tallied(m);
  nn__put_figures(result, &all);
  return NN_OK;
}

/* Whether nn_fit's options for checkpoints and validation are sound. */
static nn_status nn__check_kept(nn_model *m, const nn_fit_options *o)
{
#ifdef NN_NO_STDIO
  if (o->path || o->best_path)
    return nn__error(m, NN_ERR_UNSUPPORTED, "fit: path and best_path in a build without files");
#endif
  if (o->save_every < 0 || !(o->save_seconds >= 0) || o->validate_every < 0 || o->patience < 0)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: save_every %lld, save_seconds %g, validate_every "
                     "%lld, patience %lld, must be 0 or more", (long long)o->save_every,
                     o->save_seconds, (long long)o->validate_every, (long long)o->patience);
  const char *const lacks =
      !o->path && o->save_every ? "save_every without a path"
      : !o->path && o->save_seconds > 0 ? "save_seconds without a path"
      : o->save_seconds > 0 && !o->clock ? "save_seconds without a clock"
      : o->validation ? NULL
      : o->best_path ? "best_path without a validation set"
      : o->patience ? "patience without a validation set"
      : o->validate_every ? "validate_every without a validation set"
      : m->optimizer.schedule.kind == NN_PLATEAU ? "a plateau without a validation set" : NULL;
  if (lacks) return nn__error(m, NN_ERR_ARGUMENT, "fit: %s", lacks);
  static const char *const taken[] = {"", ".tmp", ".previous", ".damaged"};
  const size_t length = o->path && o->best_path ? strlen(o->path) : 0;
  for (size_t i = 0; length && i < sizeof taken / sizeof *taken; i++)
    if (!strncmp(o->best_path, o->path, length) && !strcmp(o->best_path + length, taken[i]))
      return nn__error(m, NN_ERR_ARGUMENT, "fit: best_path and path%s are the same", taken[i]);
  return o->validation ? nn__check_dataset(m, o->validation, "fit: validation") : NN_OK;
}

static nn_status nn__check_progress(nn_model *m, const nn_progress *p, int samples)
{
  for (int i = 0; i < NN__PROGRESS_FIELDS; i++) {
    const struct nn__progress_field *f = &nn__progress_field[i];
    const int64_t most = f->at == offsetof(nn_progress, place) ? samples - 1 : nn__io_most;
    int64_t x;
    memcpy(&x, (const char *)p + f->at, sizeof x);
    if (!f->real && (x < 0 || x > most))
      return nn__error(m, NN_ERR_ARGUMENT, "fit: progress.%s %lld, must be 0..%lld", f->name,
                       (long long)x, (long long)most);
  }
  return NN_OK;
}

/* Whether nn_fit's options are sound, and some batch can teach every batch norm. */
static nn_status nn__check_fit(nn_model *m, const nn_dataset *train, const nn_fit_options *options,
                               int64_t batch)
{
  const nn_augment *augment = &options->augment;
  const nn_status fits = nn__check_dataset(m, train, "fit");
  if (fits != NN_OK) return fits;
  const int32_t *lengths = train->fill ? NULL : train->lengths;
  if (m->config.inference) return nn__error(m, NN_ERR_STATE, "fit: config.inference is set");
  if (batch < 1 || batch > NN__MAX_BATCH)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: a batch of %lld%s, must be 1..%d",
                     (long long)batch, options->batch ? "" : " (of progress, or config.batch times "
                     "the ranks)", NN__MAX_BATCH);
  for (int i = 0; i < m->nodes && (batch > m->config.batch || nn__ranks(m) > 1); i++)
    if (nn__is_cell(m->node[i].kind) && m->node[i].state)
      return nn__error(m, NN_ERR_UNSUPPORTED, "fit: batch %d above config.batch %d, or several "
                       "ranks, but %s carries its state from batch to batch", (int)batch,
                       m->config.batch, m->node[i].name);
  if (options->epochs < 0 || options->steps < 0)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: %s %lld, must be 0 or more",
                     options->epochs < 0 ? "epochs" : "steps",
                     (long long)(options->epochs < 0 ? options->epochs : options->steps));
  if (!options->epochs && !options->steps && !options->patience && !options->on_step &&
      !options->on_epoch && !options->on_validation && !options->on_save)
    return nn__error(m, NN_ERR_ARGUMENT, "fit: no epochs, no steps, and no callback to stop it");
  const nn__node *lone = NULL; /* in a batch of any one sample */
  int alone = batch == 1 || train->count == 1 || (m->config.batch == 1 && !nn__shares_norms(m));
  for (int i = 0; alone && i < train->count; i++, alone = lone != NULL)
    lone = nn__lone_norm(m, 1, lengths ? lengths + nn__place_of(train, i) : NULL);
  if (lone) return nn__error(m, NN_ERR_ARGUMENT, "fit: %s " NN__LONE, lone->name);
  if (!nn__augment_fits(augment))
    return nn__error(m, NN_ERR_ARGUMENT, "fit: augment.shift %d, augment.cutout %d, must be 0..%d",
                     augment->shift, augment->cutout, NN__AUGMENT_MOST);
  for (int i = m->loss; i < m->nodes; i++)
    if ((augment->flip || augment->shift) && m->node[i].rank == 3)
      return nn__error(m, NN_ERR_ARGUMENT,
                       "fit: augment.flip and shift move an image, but not what %s compares with",
                       m->node[i].name);
  return NN_OK;
}

typedef struct nn__fit {
  nn_model *m;
  const nn_dataset *train;
  const nn_fit_options *o;
  nn_progress *p;
  int batch, stop;
  double weight; /* of a step's loss in the mean of the epoch */
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
    p->loss_sum += own->loss * f->weight;
    p->weight += f->weight;
    p->correct += own->correct;
    p->rows += own->rows;
  }
  p->loss = p->weight > 0 ? p->loss_sum / p->weight : 0;
  p->accuracy = p->rows ? (double)p->correct / (double)p->rows : 0;
}

/* Part k of `parts`, as equal as can be, of the n samples whose turn it is, staged. */
static nn_status nn__fit_part(nn__fit *f, int n, int k, int parts, int answers, nn_batch *b)
{
  const int64_t first = (int64_t)n * k / parts, next = (int64_t)n * (k + 1) / parts;
  f->m->whole_n = n, f->m->first_n = (int)first;
  return nn__stage(f->m, f->train, &f->o->augment, f->p->epoch, f->p->place + first,
                   (int)(next - first), !f->o->no_shuffle, answers, b);
}

/* Samples that batch norms see together in part k of this rank's `own`: those of all ranks' parts,
 * where these share their statistics. */
static int64_t nn__fit_together(const nn__fit *f, int n, int k, int parts)
{
  const int own = parts / nn__ranks(f->m), from = nn__shares_norms(f->m) ? 0 : f->m->ranks.rank;
  int64_t all = 0;
  for (int64_t i = (int64_t)from * own + k; i < parts; i += own) {
    all += (i + 1) * n / parts - i * n / parts;
    if (!nn__shares_norms(f->m)) break;
  }
  return all;
}

/* Before a step on the n samples whose turn it is, or, where `ends`, on none. *lone: a batch norm
 * that has nothing to learn from one of the parts. What the losses' means divide by where there are
 * several parts. Where this rank has one, that is staged, in *b. */
static nn_status nn__fit_whole(nn__fit *f, nn_status status, int ends, int n, int parts,
                               nn_batch *b, const nn__node **lone)
{
  nn_model *m = f->m;
  const int own = parts / nn__ranks(m), first = own * m->ranks.rank;
  nn__all all = {0};
  *lone = NULL;
  for (int k = 0; k < own && !*lone && !ends && status == NN_OK; k++) {
    status = nn__fit_part(f, n, first + k, parts, own > 1, b);
    if (status != NN_OK || !b->n) continue;
    *lone = nn__lone_norm(m, (size_t)nn__fit_together(f, n, k, parts), b->lengths);
    if (parts > 1) status = nn__check_part(m, b, "fit");
  }
  if (nn__ranks(m) == 1) return status;
  all.stops = f->stop != 0;
  all.lones = *lone != NULL, all.lone = *lone ? (double)(*lone - m->node) : 0;
  status = nn__agree_whole(m, status, &all);
  f->stop |= all.stops > 0;
  if (all.lones > 0 && !*lone) *lone = &m->node[(int)(all.lone / all.lones)];
  return status;
}

/* Shows on_gradient the gradients of the whole batch. It may run the model, which meanwhile has no
 * other ranks, for some of these may not come here, and is given no parts of a batch. */
static nn_status nn__fit_gradient(nn__fit *f)
{
  nn_model *m = f->m;
  const int ranks = m->ranks.ranks;
  nn_message before;
  nn__words(&before, "%s", nn__sentence(m));
  nn__whole_again(m);
  m->ranks.ranks = 1, m->in_gradient = 1;
  const nn_status status = f->o->on_gradient(f->o->user, m, f->p);
  m->ranks.ranks = ranks, m->in_gradient = 0;
  f->stop |= status > 0;
  if (status < 0 && !strcmp(before.text, nn__sentence(m))) /* it has left no sentence */
    nn__error(m, status, "fit: on_gradient: %s", nn_status_text(status));
  return status < 0 ? status : NN_OK;
}

/* A step on the n samples whose turn it is, in parts that config.batch holds: their gradients add
 * up to that of the whole. */
static nn_status nn__fit_step(nn__fit *f, int n, int parts, nn_batch *b, nn_evaluation *own)
{
  nn_model *m = f->m;
  const uint64_t draws = m->draws;
  const int64_t before = m->steps;
  const int several = nn__ranks(m) > 1, mine = parts / nn__ranks(m), first = mine * m->ranks.rank;
  int added = several;
  nn_status status = NN_OK;
  nn__tally(m, 1);
  for (int k = 0; k < mine && (status == NN_OK || several); k++) {
    int64_t correct = 0;
    m->draws = draws; /* all parts belong to one pass */
    m->unreduced = several && k == mine - 1 ? m->values : 0;
    if (mine > 1 && status == NN_OK) status = nn__fit_part(f, n, first + k, parts, 0, b);
    if (status == NN_OK && b->n) {
      status = nn__add_gradient(m, b, NULL, &correct);
      if (status == NN_OK) nn__tally(m, 0), added = 1;
      own->correct += correct, own->rows += m->loss_rows;
    } else
      nn__idle(m, 1);
  }
  const nn__all figures = nn__step_figures(m, own); /* before on_gradient may make others */
  f->weight = m->node[m->loss].summed ? 1 : m->node[m->loss].totals;
  if (status == NN_OK && f->o->on_gradient && (status = nn__reduced(m)) == NN_OK)
    status = nn__fit_gradient(f);
  status = nn__agree_step(m, status, figures, own);
  if (several) m->draws = draws + 1;
  if (status == NN_OK) status = nn_step(m);
  if (status != NN_OK && added && m->steps == before) nn__forget_step(m);
  return status;
}

/* Learns from the next batch, or passes it over where it has nothing to teach a batch norm, and
 * moves on in the epoch; nothing of this where a rank has failed or wants to stop. *own: the step's
 * figures. */
static nn_status nn__fit_batch(nn__fit *f, nn_status status, nn_evaluation *own)
{
  nn_model *m = f->m;
  nn_progress *p = f->p;
  const int64_t left = f->train->count - p->place, before = m->steps;
  const int n = left < f->batch ? (int)left : f->batch, done = nn__fit_done(f);
  const int parts = ((n - 1) / nn__ranks(m) / m->config.batch + 1) * nn__ranks(m);
  const nn__node *lone;
  nn_batch b;
  memset(own, 0, sizeof *own);
  status = nn__fit_whole(f, status, f->stop || done, n, parts, &b, &lone);
  const int goes_on = status == NN_OK && !f->stop && !done;
  if (goes_on && p->place == 0)
    p->loss_sum = p->weight = 0, p->correct = p->rows = 0, f->begun = p->step;
  if (goes_on && lone && parts > 1 && n == f->batch) /* no batch would be whole */
    status = nn__error(m, NN_ERR_ARGUMENT, "fit: %s " NN__LONE
                       "; of a batch of %d in %d parts one has a single sample", lone->name, n,
                       parts);
  else if (goes_on && !lone)
    status = nn__fit_step(f, n, parts, &b, own);
  nn__whole_again(m);
  const int left_out = status == NN_ERR_DIVERGED && goes_on && f->o->keep_going &&
                       m->steps == before && p->left_out_in_a_row < NN_MOST_LEFT_OUT;
  if (!goes_on || (status != NN_OK && !left_out)) return status;
  if (left_out) memset(own, 0, sizeof *own);
  if (!lone) nn__fit_count(f, own, left_out);
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
  const int swaps = m->optimizer.average > 0 && m->averaged;
  if (swaps) nn_swap_average(m);
  nn_status status = nn_evaluate(m, o->validation, &e);
  const int finite = nn__finite(e.loss), first = p->best_step == 0;
  const int by_accuracy = nn__is_labelled(m->node[m->loss].kind);
  const int better = by_accuracy && (e.accuracy > p->best_accuracy || e.accuracy < p->best_accuracy)
                         ? e.accuracy > p->best_accuracy
                         : e.loss < p->best_loss;
  const int best = finite && (first || better);
#ifndef NN_NO_STDIO
  if (status == NN_OK && best && o->best_path && !m->ranks.rank) status = nn_save(m, o->best_path);
#endif
  if (swaps) nn_swap_average(m);
  if (status != NN_OK) return status;
  if (m->optimizer.schedule.kind == NN_PLATEAU) nn_plateau(m, e.loss);
  p->validated = p->step;
  if (best)
    p->best_step = p->step, p->best_loss = e.loss, p->best_accuracy = e.accuracy;
  p->not_better = best ? 0 : p->not_better + 1;
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
  if (!o->path || f->m->ranks.rank || f->saved == f->p->step) return NN_OK;
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

/* Whether all ranks begin with the same parameters, progress and options. */
static nn_status nn__fit_alike(nn__fit *f, nn_status status)
{
  nn_model *m = f->m;
  nn__all all = {0};
  if (nn__ranks(m) == 1) return status;
  uint32_t crc = 0;
  if (status == NN_OK) { /* else there may be no parameters, and no data set */
    const int64_t options[] = {f->o->epochs, f->o->steps, f->o->no_shuffle, f->batch,
                               f->train->count, (int64_t)m->config.seed, m->steps,
                               m->ranks.own_norms, m->ranks.ranks};
    crc = nn_crc32(0, m->value, m->values * sizeof *m->value);
    crc = nn_crc32(nn_crc32(crc, f->p, sizeof *f->p), options, sizeof options);
  }
  all.rows = crc;
  if ((status = nn__agree(m, status, &all)) != NN_OK) return status;
  const int alike = all.rows == (double)crc * m->ranks.ranks;
  memset(&all, 0, sizeof all);
  if (!alike)
    status = nn__error(m, NN_ERR_STATE,
                       "fit: the ranks begin with different parameters, progress or options");
  return nn__agree(m, status, &all);
}

nn_status nn_fit(nn_model *m, const nn_dataset *train, const nn_fit_options *options)
{
  if (!m) return NN_ERR_ARGUMENT;
  if (nn__held(m)) return nn__error(m, NN_ERR_STATE, "fit: %s", nn__held(m));
  const nn_fit_options usual = nn_fit_default();
  const nn_fit_options *o = options ? options : &usual;
  nn_progress own_progress;
  memset(&own_progress, 0, sizeof own_progress);
  nn_progress *p = o->progress ? o->progress : &own_progress;
  const int64_t usual_batch = p->step > 0 && p->batch > 0
                                  ? p->batch : (int64_t)m->config.batch * nn__ranks(m);
  const int64_t batch = o->batch ? o->batch : usual_batch;
  nn__fit f = {m, train, o, p, 0, 0, 0, -1, p->step, 0};
  nn_status status = nn__check_fit(m, train, o, batch);
  if (status == NN_OK) f.batch = (int)batch;
  if (status == NN_OK) status = nn__check_kept(m, o);
  if (status == NN_OK) status = nn__check_progress(m, p, train->count);
  if (m->built && m->loss >= 0) status = nn__fit_alike(&f, status);
  if (status != NN_OK) return status;
  p->batch = batch;
  if (o->clock) f.saved_at = o->clock(o->user);
  for (;;) {
    const int64_t step = p->step, epoch = p->epoch;
    const int ends = nn__fit_done(&f);
    nn_evaluation own;
    status = nn__fit_batch(&f, status, &own);
    if (status != NN_OK || ends || f.stop) break;
    const int stepped = p->step != step, whole = p->epoch != epoch;
    if (stepped && o->on_step) f.stop |= o->on_step(o->user, m, p, &own);
    if (whole && o->on_epoch) f.stop |= o->on_epoch(o->user, m, p);
    status = nn__fit_after(&f, stepped, whole);
  }
  if (status == NN_OK && f.stop) status = nn__fit_save(&f);
  return status == NN_OK && f.stop ? NN_STOPPED : status;
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

nn_status nn_resume(const char *path, const nn_config *config, nn_load_result *out,
                    nn_message *why)
{
  nn_message own, reason, other;
  nn__beside beside;
  if (!why) why = &own;
  if (out) memset(out, 0, sizeof *out);
  if (!path || !out) return nn__say(why, NN_ERR_ARGUMENT, "nn_resume: path or out is NULL");
  if (!*path || strlen(path) > NN__LONGEST_PATH)
    return nn__say(why, NN_ERR_LIMIT, "a path of %zu bytes: 1 to %d are allowed", strlen(path),
                   NN__LONGEST_PATH);
  const nn_status status = nn__load_checkpoint(path, config, out, why);
  if (status == NN_OK) why->text[0] = 0;
  if (!nn__is_damage(status) || !nn__regular(path)) return status;
  const int there = nn__exists(path);
  nn_status found = nn__load_checkpoint(nn__beside_of(&beside, path, ".tmp"), config, out, &other);
  if (found == NN_OK) { /* killed ahead of a renaming */
    why->text[0] = 0;
  } else if (!nn__is_damage(found) && found != NN_ERR_STATE) {
    *why = other;
    return found;
  } else {
    const char *previous = nn__beside_of(&beside, path, ".previous");
    if (!there && !nn__exists(previous))
      return nn__say(why, NN_ABSENT, "%s: no checkpoint yet", nn__path_end(path));
    found = nn__load_checkpoint(previous, config, out, &other);
    reason = *why;
    if (found != NN_OK)
      return nn__say(why, nn__is_damage(found) ? status : found, "%s; %s", reason.text, other.text);
    out->previous = 1;
  }
  if (there) nn__replace(path, nn__beside_of(&beside, path, ".damaged"));
  if (!out->previous) nn__replace(nn__beside_of(&beside, path, ".tmp"), path);
  return NN_OK;
}
#endif
#endif

/* ======================================== @@ONNX ===========================================
 * Models as ONNX files, out and in (github.com/onnx/onnx, onnx.proto). Such a file is one message
 * in protobuf's wire format: fields, each a varint `number << 3 | wire`, then by its wire a varint
 * (0), 8 bytes (1), a varint of length and so many bytes (2), or 4 bytes (5). A varint has 7 bits a
 * byte, the lowest first, the top bit set in all but the last. Numbers are little-endian. */
#ifndef NN_NO_EXPORT
enum { NN__ONNX_IR = 7, NN__ONNX_OPSET = 13 }; /* what is written; of sets, 11 to 20 are read */
enum { NN__ONNX_FLOAT = 1, NN__ONNX_INT32 = 6, NN__ONNX_INT64 = 7, NN__ONNX_BOOL = 9,
       NN__ONNX_HALF = 10, NN__ONNX_DOUBLE = 11, NN__ONNX_MADE = 64 }; /* by ourselves: double */
enum { NN__ONNX_WORD = 80 };

/* What a layer is in ONNX's operators: "Op in.. out attribute=value..;Op ..". The words are
 *   x z y      the layer's inputs and its output;   -     nothing, where an input may be left out
 *   $0 $1 ..   its parameters, as nn.h lists them
 *   #c         a number: see nn__onnx_number
 *   @1,2       whole numbers: @1, a list of one, @1 a scalar;   @f1,2  reals;   @f1*9  nine
 *   @          numbers of any sort, looked at later, in rows for reading alone
 *   %c         a whole number within such a word: see nn__onnx_size; %y the layer's shape, 0, which
 *              stands for the samples, ahead; h/w one of height and, but of a sequence, of width
 *   others     values between the layer's operators
 * and the values of attributes: 1 an integer, 1,2 or 1, integers, #c a real, letters a string,
 * letters and a comma strings, * the axes that a layer norm goes over.
 * The reader finds the operators that a row lists, and tries the rows in this order, so one that
 * begins like another must come before it if it is longer. The writer takes the first of a kind
 * that reads no parameter which the layer has not. Behind a Pad stands a Sum of one: ONNX Runtime
 * joins a Pad with the pool behind it, although there padding is no zeros but less than all else.
 */
#define NN__ONNX_PAD(behind) "Pad x @0,0,%p/%P,0,0," behind " b;Sum b"
#define NN__ONNX_SIZES " kernel_shape=%k/%K strides=%s/%S pads=%p/%P,%q/%Q"
#define NN__ONNX_CONV NN__ONNX_SIZES " dilations=%d/%D group=%g"
#define NN__ONNX_GROUPS "Reshape x @0,%n,-1 a;InstanceNormalization a @f1*%n @f0*%n b epsilon=#e;"
#define NN__ONNX_STEPS " s%l W%l R%l B%l r%l hidden_size=%h"
#define NN__ONNX_ONE_WAY ";Squeeze r%l @1, s%m"
#define NN__ONNX_BOTH_WAYS /* [T,2,N,H] */                                                        \
  " direction=bidirectional;Transpose r%l t%l perm=0,2,1,3;Reshape t%l @0,0,-1 s%m"
enum { NN__ONNX_READ = -2, NN__ONNX_BOTH };
static const struct nn__onnx_row {
  nn__kind kind;
  const char *ops;
  int when; /* both ways; read alone; or written alone: 0, or where nn__onnx_when gives this */
} nn__onnx_row[] = {
    {NN__LAYER_NORM, "ReduceMean x a axes=* keepdims=1;Sub x a b;Pow b #2 c;"
                     "ReduceMean c d axes=* keepdims=1;Add d #e f;Sqrt f g;Div b g h;Mul h $0 i;"
                     "Add i $1 y", NN__ONNX_BOTH},
    {NN__LAYER_NORM, "ReduceMean x a axes=* keepdims=1;Sub x a b;Pow b #2 c;"
                     "ReduceMean c d axes=* keepdims=1;Add d #e f;Sqrt f g;Div b g y",
     NN__ONNX_BOTH},
    {NN__GELU, "Div x #r a;Erf a b;Add b #1 c;Mul x c d;Mul d #h y", NN__ONNX_BOTH},
    {NN__SILU, "Sigmoid x a;Mul x a y", NN__ONNX_BOTH},
    {NN__HARD_SWISH, "HardSigmoid x a alpha=#s;Mul x a y", NN__ONNX_BOTH},
    {NN__NORMALISE, "Sub x $0 a;Mul a $1 y", NN__ONNX_BOTH},
    {NN__NORMALISE, "Sub x $0 a;Div a $1 y", NN__ONNX_BOTH},
    {NN__LINEAR, "MatMul x $0 a;Add a $1 y", NN__ONNX_READ},
    {NN__GROUP_NORM, "Reshape x @ a;InstanceNormalization a $2 $3 b;Reshape b @ c;Mul c $0 d;"
                     "Add d $1 y", NN__ONNX_READ},
    {NN__GROUP_NORM, "Reshape x @ a;InstanceNormalization a $2 $3 b;Reshape b @ y", NN__ONNX_READ},
    {NN__CONV2D, "Conv x $0 $1 y" NN__ONNX_CONV, 0},
    {NN__CONV2D, "Conv x $0 y" NN__ONNX_CONV, 0},
    {NN__CONV_TRANSPOSE, "ConvTranspose x $0 $1 y" NN__ONNX_CONV " output_padding=%o,%O", 0},
    {NN__CONV_TRANSPOSE, "ConvTranspose x $0 y" NN__ONNX_CONV " output_padding=%o,%O", 0},
    {NN__LINEAR, "Gemm x $0 $1 y transB=1", 1},
    {NN__LINEAR, "Gemm x $0 y transB=1", 1},
    {NN__LINEAR, "Transpose $0 a perm=1,0;MatMul x a b;Add b $1 y", 2},
    {NN__LINEAR, "Transpose $0 a perm=1,0;MatMul x a y", 2},
    {NN__GLOBAL_MAX, "ReduceMax x y axes=1, keepdims=0", 2},
    {NN__GLOBAL_MAX, "GlobalMaxPool x a;Flatten a y axis=1", 3},
    {NN__GLOBAL_AVG, "ReduceMean x y axes=1, keepdims=0", 2},
    {NN__GLOBAL_AVG, "GlobalAveragePool x a;Flatten a y axis=1", 3},
    {NN__RELU, "Relu x y", 0},
    {NN__LEAKY_RELU, "LeakyRelu x y alpha=#v", 0},
    {NN__ELU, "Elu x y alpha=#v", 0},
    {NN__SOFTPLUS, "Softplus x y", 0},
    {NN__CLAMP, "Clip x #v #w y", 0},
    {NN__TANH, "Tanh x y", 0},
    {NN__SIGMOID, "Sigmoid x y", 0},
    {NN__HARD_SIGMOID, "HardSigmoid x y alpha=#s", 0},
    {NN__SOFTMAX, "Softmax x y axis=2", 2},
    {NN__SOFTMAX, "Softmax x y axis=1", 0},
    {NN__PRELU, "PRelu x $0 y", 0},
    {NN__BATCH_NORM, "BatchNormalization x $0 $1 $2 $3 y epsilon=#e", 0},
    {NN__BATCH_NORM, "BatchNormalization x @f1*%c @f0*%c $0 $1 y epsilon=#e", 0},
    {NN__GROUP_NORM, NN__ONNX_GROUPS "Reshape b @%y c;Mul c $0 d;Add d $1 y", 0},
    {NN__GROUP_NORM, NN__ONNX_GROUPS "Reshape b @%y y", 0},
    {NN__FLATTEN, "Flatten x y axis=1", 0},
    {NN__RESHAPE, "Reshape x @%y y", 0},
    {NN__TO_SEQUENCE, "Transpose x a perm=0,2,1,3;Reshape a @%y y", 1},
    {NN__TO_SEQUENCE, "Transpose x a perm=0,3,1,2;Reshape a @%y y", 2},
    {NN__TO_IMAGE, "Reshape x @0,%1,%0,%2 a;Transpose a y perm=0,2,1,3", 1},
    {NN__TO_IMAGE, "Reshape x @0,%2,%0,%1 a;Transpose a y perm=0,2,3,1", 2},
    {NN__ADD, "Add x z y", 0},
    {NN__MULTIPLY, "Mul x z y", 1},
    {NN__MULTIPLY, "Unsqueeze z @1, a;Mul x a y", 2},
    {NN__MULTIPLY, "Unsqueeze z @2,3 a;Mul x a y", 3},
    {NN__CONCAT, "Concat x z y axis=%a", 0},
    {NN__JOIN, "Concat x z y axis=%a", 0},
    {NN__EMBEDDING, "Gather $0 x y axis=0", 0},
    {NN__LAST_STEP, "Gather x @-1 y axis=1", 0},
    {NN__REVERSE, "Slice x @-1, @-9223372036854775807, @1, @-1, y", 0},
    {NN__PADDED, NN__ONNX_PAD("%q/%Q") " y", 0},
    {NN__SLICE, "Slice x @%b, @%e, @%a, y", 0},
    {NN__UPSAMPLE, "Resize x - @f1,1,%s,%S y mode=nearest nearest_mode=floor "
                   "coordinate_transformation_mode=asymmetric", 0},
    {NN__BILINEAR, "Resize x - @f1,1,%s,%S y mode=linear "
                   "coordinate_transformation_mode=half_pixel", 0},
    {NN__LSTM, "LSTM" NN__ONNX_STEPS NN__ONNX_ONE_WAY, 1},
    {NN__LSTM, "LSTM" NN__ONNX_STEPS NN__ONNX_BOTH_WAYS, 2},
    {NN__GRU, "GRU" NN__ONNX_STEPS " linear_before_reset=1" NN__ONNX_ONE_WAY, 1},
    {NN__GRU, "GRU" NN__ONNX_STEPS " linear_before_reset=1" NN__ONNX_BOTH_WAYS, 2},
    {NN__RNN, "RNN" NN__ONNX_STEPS NN__ONNX_ONE_WAY, 1},
    {NN__RNN, "RNN" NN__ONNX_STEPS NN__ONNX_BOTH_WAYS, 2},
    {NN__RNN, "RNN" NN__ONNX_STEPS " activations=Relu," NN__ONNX_ONE_WAY, 3},
    {NN__RNN, "RNN" NN__ONNX_STEPS " activations=Relu,Relu," NN__ONNX_BOTH_WAYS, 4},
};
enum { NN__ONNX_ROWS = sizeof nn__onnx_row / sizeof *nn__onnx_row };

static double nn__onnx_number(const nn__node *node, char letter)
{
  switch (letter) {
  case '1': return 1;
  case '2': return 2;
  case 'h': return .5;
  case 's': return 1.0 / 6;
  case 'd': return .2;
  case 'l': return .01;
  case 'r': return 1.4142135623730951; /* the root of 2 */
  case 'e': return node ? node->value : nn__usual_norm.eps;
  case 'v': return node->value;
  default: return node->second;
  }
}

/* The next word of an operator to `word`, "" behind its last one; where the rest begins. */
static const char *nn__onnx_word(const char *at, char word[NN__ONNX_WORD])
{
  size_t n = 0;
  while (*at == ' ') at++;
  for (; *at && *at != ' ' && *at != ';'; at++)
    if (n + 1 < NN__ONNX_WORD) word[n++] = *at;
  word[n] = 0;
  return at;
}

/* Where ONNX's gates stand among ours: i o f c of a lstm's i f g o, z r h of a gru's r z n. */
static size_t nn__onnx_gate(nn__kind kind, size_t gate)
{
  static const unsigned char lstm[] = {0, 3, 1, 2}, gru[] = {1, 0, 2};
  return kind == NN__LSTM ? lstm[gate] : kind == NN__GRU ? gru[gate] : gate;
}

/* A whole number of a list, and the comma, or the star ahead of how often it comes, behind it. */
static int64_t nn__onnx_whole(const char **at)
{
  const int minus = **at == '-';
  int64_t value = 0;
  for (*at += minus; **at >= '0' && **at <= '9'; ++*at) value = 10 * value + (**at - '0');
  *at += **at == ',' || **at == '*';
  return minus ? -value : value;
}

/* ---- reading: messages --------------------------------------------------------------------- */

/* A stretch of the file: a message, a name, an array's bytes. */
typedef struct nn__pb {
  const unsigned char *at, *end;
} nn__pb;

typedef struct nn__field {
  int number, wire;
  uint64_t value; /* wires 0, 1, 5 */
  nn__pb body;    /* wire 2 */
} nn__field;

enum { NN__ONNX_RANK = 8, NN__ONNX_ATTRS = 8 };
#define NN__ONNX_N 1180591620717411303424. /* 2^70, the number of samples in sizes that are worked
                                              out: a file's own numbers are less */

/* A value of the graph: what a layer gives, for one sample, or numbers that do not change. An axis
 * has `size` places for a sample, `stride` numbers apart in the layer's or the array's memory.
 * after: 0, or, of the axis with the samples, how many of its places stand behind them: [T N] has
 * size T and 1, [N T] has T. So operators that transpose, squeeze, split or join axes, or spread
 * numbers out (stride 0), only change what stands here; a layer that wants its axes in an order and
 * shape gets them from nn__onnx_as. */
typedef enum nn__onnx_sort { NN__ONNX_NOTHING, NN__ONNX_LAYER, NN__ONNX_TENSOR } nn__onnx_sort;
typedef struct nn__onnx_view {
  nn__onnx_sort sort;
  int node;                 /* of a layer */
  int dims;                 /* its shape's length; size k is made of the axes in the set mask[k]: */
  unsigned mask[3];         /* true after nn__onnx_as */
  int type, real;           /* of numbers: of their bytes; whether they stand for no whole ones */
  const void *data;         /* NULL: of a type that is not read */
  int64_t start;
  int rank;
  struct nn__onnx_places {
    int64_t size, stride, after;
  } axis[NN__ONNX_RANK];
} nn__onnx_view;
static const struct nn__onnx_places nn__onnx_one = {1, 0, 0};

typedef struct nn__onnx_value {
  nn__onnx_view v;
  nn__pb name;
  uint32_t crc; /* of the name */
  int uses;     /* by operators that the output needs and that are still to be read */
} nn__onnx_value;

/* Where a parameter comes from: scale x, or scale/x, of the numbers x of `from`; without numbers
 * all are `scale`. */
typedef struct nn__onnx_fill {
  nn__onnx_view from;
  double scale;
  int invert;
} nn__onnx_fill;

typedef struct nn__onnx_op {
  nn__pb body, type, name;
  const int *in;      /* values, -1: left out */
  int ins, out, outs; /* outputs are values out .. out + outs - 1 */
  int needed;
} nn__onnx_op;

/* An attribute as the operator's row has it, and what the operator says of it. */
typedef struct nn__onnx_attr {
  char name[NN__ONNX_WORD], text[NN__ONNX_WORD];
  char mark;        /* of the row's word, behind the name; and what follows */
  const char *rest;
  double is[2 * NN__ONNX_RANK];
  int count, given; /* of a list; whether the operator has it */
  nn__pb tensor;
} nn__onnx_attr;

typedef struct nn__onnx_reader {
  nn_model *m;
  nn__io *io;
  const unsigned char *from, *here; /* here: what messages point at */
  const nn__onnx_op *work;          /* and the operator that is read, or NULL */
  const nn_open_options *options;
  nn_status status;
  nn_message *why;
  nn__pb graph;
  int64_t set, batch;  /* batch: the file's, 0: free */
  nn__onnx_value *value;
  nn__onnx_fill *fill; /* [NN_MAX_PARAMS] */
  nn__onnx_op *op;
  nn__onnx_attr *attr; /* of the operator at work; one more, of nothing */
  int *link;
  struct nn__onnx_block { /* the reader's memory */
    struct nn__onnx_block *next;
    size_t size;
    double memory[1];
  } *block;
  size_t room;         /* for so many numbers that are worked out */
  int values, ops, links, output, how; /* how: of the operator's row */
} nn__onnx_reader;
enum { NN__ONNX_MOST = 32 * NN_MAX_NODES }; /* values, and operators; four inputs each on average */

static void nn__pb_text(nn__pb p, char text[48])
{
  size_t n = 0;
  for (; p.at < p.end && n < 47; p.at++)
    text[n++] = *p.at >= ' ' && *p.at <= '~' ? (char)*p.at : '?';
  text[n] = 0;
}

/* Gives 0. */
#ifdef NN_NO_MESSAGES
static int nn__onnx_failed(nn__onnx_reader *r, nn_status status)
{
  if (r->status == NN_OK) r->status = nn__say(r->why, status, "");
  return 0;
}
#define nn__onnx_fail(r, status, ...) (NN__UNSAID(__VA_ARGS__), nn__onnx_failed(r, status))
#else
static int nn__onnx_fail(nn__onnx_reader *r, nn_status status, const char *format, ...)
{
  nn_message reason;
  char type[48] = "", name[48] = "";
  va_list args;
  if (r->status != NN_OK) return 0;
  va_start(args, format);
  nn__format(reason.text, sizeof reason.text, format, args);
  va_end(args);
  if (r->work) nn__pb_text(r->work->type, type), nn__pb_text(r->work->name, name);
  r->status = nn__say(r->why, status, "byte %zu: %s%s%s%s%s", (size_t)(r->here - r->from), type,
                      *name ? " " : "", name, *type ? ": " : "", reason.text);
  return 0;
}
#endif
static int nn__onnx_refuse(nn__onnx_reader *r, const char *what)
{
  return nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "%s", what);
}

static int nn__pb_is(nn__pb p, const char *text)
{
  const size_t size = (size_t)(p.end - p.at);
  return size == strlen(text) && !memcmp(p.at, text, size);
}

static int nn__pb_take(nn__pb *p, uint64_t *value)
{
  *value = 0;
  for (int shift = 0; shift < 64 && p->at < p->end; shift += 7) {
    const unsigned char b = *p->at++;
    *value |= (uint64_t)(b & 127) << shift;
    if (b < 128) return 1;
  }
  return 0;
}

/* The next field of a message; 0 at its end, or where no field is: r->status tells. */
static int nn__pb_next(nn__onnx_reader *r, nn__pb *p, nn__field *f)
{
  const unsigned char *const start = p->at;
  uint64_t key = 0, size = 0;
  if (r->status != NN_OK || p->at == p->end) return 0;
  memset(f, 0, sizeof *f);
  int held = nn__pb_take(p, &key) && key >> 3 && key < (uint64_t)1 << 32;
  f->number = (int)(key >> 3), f->wire = (int)(key & 7);
  f->body.at = f->body.end = p->at;
  if (held && f->wire == 0) {
    held = nn__pb_take(p, &f->value);
  } else if (held && f->wire == 2) {
    held = nn__pb_take(p, &size) && size <= (uint64_t)(p->end - p->at);
    f->body.at = p->at, f->body.end = held ? (p->at += size) : p->at;
  } else if (held) {
    const int bytes = f->wire == 1 ? 8 : f->wire == 5 ? 4 : 0;
    held = bytes && p->end - p->at >= bytes;
    for (int i = bytes; held && i-- > 0;) f->value = f->value << 8 | p->at[i];
    p->at += held ? bytes : 0;
  }
  if (held) return 1;
  r->here = start;
  return nn__onnx_fail(r, NN_ERR_FORMAT,
                       "no ONNX model, or a damaged one: no field of a message is here");
}

/* The last field of a number in a message; all zero if there is none. */
static nn__field nn__pb_get(nn__onnx_reader *r, nn__pb p, int number)
{
  nn__field f, found;
  memset(&found, 0, sizeof found);
  while (nn__pb_next(r, &p, &f))
    if (f.number == number) found = f;
  return found;
}

/* Adds to a list what a field of whole numbers has, one or, packed, many; the count, also of what
 * is beyond `most`. */
static size_t nn__pb_list(nn__onnx_reader *r, const nn__field *f, int64_t *to, size_t most,
                          size_t count)
{
  nn__pb p = f->body;
  uint64_t value = f->value;
  do {
    if (f->wire == 2 && p.at == p.end) break;
    if (f->wire == 2 && !nn__pb_take(&p, &value))
      return (void)nn__onnx_fail(r, NN_ERR_FORMAT, "a list of whole numbers is cut short"), count;
    if (count < most) to[count] = (int64_t)value;
    count++;
  } while (f->wire == 2);
  return count;
}

/* ---- values: axes --------------------------------------------------------------------------- */

/* Whether two have the same axes and sizes, but for those of one axis, or -1. */
static int nn__onnx_alike(const nn__onnx_view *a, const nn__onnx_view *b, int but)
{
  int alike = a->rank == b->rank;
  for (int i = 0; i < a->rank && alike; i++)
    alike = !a->axis[i].after == !b->axis[i].after &&
            (i == but || a->axis[i].size == b->axis[i].size);
  return alike;
}

/* Size along an axis as operators see it, where so many are the samples. */
static double nn__onnx_whole_size(const nn__onnx_view *v, int axis, double samples)
{
  return (double)v->axis[axis].size * (v->axis[axis].after ? samples : 1);
}

/* Sizes of a set of axes, for one sample; those of them with more than one place; all axes. */
static int64_t nn__onnx_sizes(const nn__onnx_view *v, unsigned set)
{
  int64_t size = 1;
  for (int i = 0; i < v->rank; i++) size *= set >> i & 1 ? v->axis[i].size : 1;
  return size;
}
static unsigned nn__onnx_broad(const nn__onnx_view *v, unsigned set)
{
  for (int i = 0; i < v->rank; i++)
    if (v->axis[i].size == 1) set &= ~(1u << i);
  return set;
}
static unsigned nn__onnx_every(const nn__onnx_view *v) { return (1u << v->rank) - 1; }
static int64_t nn__onnx_count(const nn__onnx_view *v)
{
  return nn__onnx_sizes(v, nn__onnx_every(v));
}

/* v as it was before it was spread out. */
static nn__onnx_view nn__onnx_unspread(const nn__onnx_view *v)
{
  nn__onnx_view own = *v;
  for (int i = 0; i < own.rank; i++)
    if (!own.axis[i].stride) own.axis[i].size = 1;
  return own;
}

/* Puts axes of one place in at `from`, or takes that ahead of it away. */
static void nn__onnx_move_axes(nn__onnx_view *v, int from, int by)
{
  memmove(v->axis + from + by, v->axis + from, sizeof *v->axis * (size_t)(v->rank - from));
  for (int i = from; i < from + by; i++) v->axis[i] = nn__onnx_one;
  v->rank += by;
}

/* An axis as 0 .. rank - 1; -1 and a sentence where it is none. */
static int nn__onnx_axis(nn__onnx_reader *r, double axis, int rank)
{
  if (axis >= -rank && axis < rank && axis == floor(axis)) return (int)axis + (axis < 0 ? rank : 0);
  return nn__onnx_fail(r, NN_ERR_FORMAT, "axis %g of %d", axis, rank) - 1;
}

/* ---- values: constants ---------------------------------------------------------------------- */

static int nn__onnx_find(const nn__onnx_reader *r, nn__pb name)
{
  const size_t size = (size_t)(name.end - name.at);
  const uint32_t crc = nn_crc32(0, name.at, size);
  for (int i = 0; i < r->values && size; i++) {
    const nn__pb other = r->value[i].name;
    if (crc == r->value[i].crc && size == (size_t)(other.end - other.at) &&
        !memcmp(name.at, other.at, size))
      return i;
  }
  return -1;
}

static nn__onnx_view *nn__onnx_new(nn__onnx_reader *r, nn__pb name)
{
  char text[48];
  nn__onnx_value *value = &r->value[r->values];
  nn__pb_text(name, text);
  if (nn__onnx_find(r, name) >= 0)
    nn__onnx_fail(r, NN_ERR_FORMAT, "two values are called '%s'", text);
  value->name = name, value->crc = nn_crc32(0, name.at, (size_t)(name.end - name.at));
  r->values++;
  return &value->v;
}

static int nn__onnx_width(int type) /* in bytes, of what can be read */
{
  return type == NN__ONNX_FLOAT || type == NN__ONNX_INT32 ? 4 : type == NN__ONNX_HALF ? 2
         : type == NN__ONNX_INT64 || type == NN__ONNX_DOUBLE ? 8 : type == NN__ONNX_BOOL;
}
static int nn__onnx_real_type(double type)
{
  return type == NN__ONNX_FLOAT || type == NN__ONNX_HALF || type == NN__ONNX_DOUBLE;
}

/* Number i of a constant. */
static double nn__onnx_at(const nn__onnx_view *v, int64_t i)
{
  int64_t at = v->start;
  for (int k = v->rank; k-- > 0; i /= v->axis[k].size)
    at += i % v->axis[k].size * v->axis[k].stride;
  if (v->type == NN__ONNX_MADE) return ((const double *)v->data)[at];
  const int wide = nn__onnx_width(v->type);
  const unsigned char *p = (const unsigned char *)v->data + at * wide;
  if (nn__onnx_real_type(v->type))
    return (double)nn__stored_number(p, wide == 4 ? NN__TYPE_F32 : wide == 8 ? NN__TYPE_F64
                                                                             : NN__TYPE_F16);
  uint64_t bits = 0;
  for (int k = wide; k-- > 0;) bits = bits << 8 | p[k];
  return wide == 4 ? (double)(int32_t)(uint32_t)bits : (double)(int64_t)bits;
}

/* Makes v numbers of these sizes, row by row; how many, -1 where they cannot be counted: nor could
 * those of other axes if one of no places were left out. */
static int64_t nn__onnx_rows(nn__onnx_view *v, int rank, const int64_t *dim)
{
  int64_t count = 1;
  int none = 0;
  v->sort = NN__ONNX_TENSOR, v->rank = rank, v->start = 0;
  for (int i = rank; i-- > 0;) {
    const int64_t size = dim[i] ? dim[i] : 1;
    v->axis[i].size = dim[i], v->axis[i].stride = count, v->axis[i].after = 0;
    if (dim[i] < 0 || count > (int64_t)(SIZE_MAX / 16) / size) return -1;
    count *= size, none |= !dim[i];
  }
  return none ? 0 : count;
}

/* Memory for `count` things of `each` bytes, all 0; NULL and a sentence where there is none. */
static void *nn__onnx_memory(nn__onnx_reader *r, int64_t count, size_t each)
{
  const size_t size = sizeof *r->block + (size_t)count * each;
  if (r->status != NN_OK) return NULL;
  struct nn__onnx_block *block = nn__allocate(&r->m->config.allocator, size);
  if (!block) return nn__onnx_fail(r, NN_ERR_MEMORY, "no %zu bytes of memory", size), NULL;
  memset(block, 0, size);
  block->next = r->block, block->size = size, r->block = block;
  return block->memory;
}

/* The same for numbers that are worked out, row by row. */
static double *nn__onnx_made(nn__onnx_reader *r, nn__onnx_view *v, int rank, const int64_t *dim)
{
  const int64_t count = nn__onnx_rows(v, rank, dim);
  double *made = NULL;
  if (count < 0 || (uint64_t)count > r->room)
    nn__onnx_fail(r, NN_ERR_LIMIT, "constants of %lld numbers are worked out, %zu are the most",
                  (long long)count, r->room);
  else if ((made = nn__onnx_memory(r, count, sizeof *made)) != NULL)
    v->type = NN__ONNX_MADE, v->data = made, r->room -= (size_t)count;
  return made;
}

/* A TensorProto; its name. */
static nn__pb nn__onnx_read_tensor(nn__onnx_reader *r, nn__pb p, nn__onnx_view *v)
{
  int64_t dim[NN__ONNX_RANK] = {0}, list[64];
  nn__field f;
  nn__pb data = {NULL, NULL}, name = data;
  size_t rank = 0, numbers = 0;
  int field = 0, elsewhere = 0;
  memset(v, 0, sizeof *v);
  r->here = p.at;
  while (nn__pb_next(r, &p, &f))
    switch (f.number) {
    case 1: rank = nn__pb_list(r, &f, dim, NN__ONNX_RANK, rank); break;
    case 2: v->type = f.value < NN__ONNX_MADE ? (int)f.value : 0; break;
    case 8: name = f.body; break;
    case 4: case 9: case 10: data = f.body, field = f.number; break;
    case 5: case 7: numbers = nn__pb_list(r, &f, list, 64, numbers), field = f.number; break;
    case 13: elsewhere = 1; break;
    case 14: elsewhere |= f.value != 0; break;
    default: break;
    }
  if (elsewhere) nn__onnx_refuse(r, "an array lies in another file (external data)");
  if (rank > NN__ONNX_RANK)
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "an array of rank %zu, %d is the most", rank,
                  (int)NN__ONNX_RANK);
  if (r->status != NN_OK) return name;
  const int64_t count = nn__onnx_rows(v, (int)rank, dim);
  if (count < 0)
    nn__onnx_fail(r, NN_ERR_FORMAT, "an array's sizes (the first is %lld) cannot be",
                  (long long)dim[0]);
  const size_t wide = (size_t)nn__onnx_width(v->type), bytes = (size_t)(data.end - data.at);
  const int packed = field == 5 || field == 7;
  const int own = v->type == NN__ONNX_FLOAT ? 4 : v->type == NN__ONNX_INT64 ? 7
                  : v->type == NN__ONNX_DOUBLE ? 10 : v->type == NN__ONNX_HALF ? 9 : 5;
  v->real = nn__onnx_real_type(v->type);
  if (!wide || r->status != NN_OK) return name; /* what is never looked at */
  if (!packed) numbers = bytes % wide ? SIZE_MAX : bytes / wide;
  if (field && field != 9 && field != own)
    nn__onnx_fail(r, NN_ERR_FORMAT, "numbers of type %d in the field of another", v->type);
  else if (numbers != (uint64_t)count)
    nn__onnx_fail(r, NN_ERR_FORMAT, "%lld numbers should be here, %zu are", (long long)count,
                  bytes / wide);
  v->data = packed ? NULL : data.at;
  if (!packed || numbers > 64 || r->status != NN_OK) return name;
  double *to = nn__onnx_made(r, v, (int)rank, dim);
  for (size_t i = 0; to && i < numbers; i++) to[i] = (double)list[i];
  return name;
}

/* Whether these are numbers that can be read; and whether they are reals. */
static int nn__onnx_readable(const nn__onnx_view *v)
{
  return v->sort == NN__ONNX_TENSOR && (v->data || !nn__onnx_count(v));
}
static int nn__onnx_reals_only(const nn__onnx_view *v)
{
  return nn__onnx_readable(v) && v->real && nn__onnx_count(v);
}

/* Whether all numbers of a constant are one and the same. */
static int nn__onnx_all(const nn__onnx_view *v, double value)
{
  const nn__onnx_view t = nn__onnx_unspread(v);
  const int64_t count = nn__onnx_count(&t);
  for (int64_t i = 0; i < count; i++)
    if (!(nn__onnx_at(&t, i) == value)) return 0;
  return 1;
}

/* ---- operators: attributes and inputs ------------------------------------------------------ */

/* An input of an operator, of the one at work; NULL where it is left out. */
static const nn__onnx_view *nn__onnx_of(const nn__onnx_reader *r, const nn__onnx_op *o, int k)
{
  return k < o->ins && o->in[k] >= 0 ? &r->value[o->in[k]].v : NULL;
}
static const nn__onnx_view *nn__onnx_in(const nn__onnx_reader *r, int k)
{
  return nn__onnx_of(r, r->work, k);
}

/* What the operator, or its row, says of an attribute. */
static const nn__onnx_attr *nn__onnx_get(const nn__onnx_reader *r, const char *name)
{
  int i = 0;
  while (i < NN__ONNX_ATTRS && strcmp(r->attr[i].name, name)) i++;
  return &r->attr[i];
}
static double nn__onnx_is(const nn__onnx_reader *r, const char *name)
{
  return nn__onnx_get(r, name)->is[0];
}

/* An AttributeProto. Strings are joined. */
static void nn__onnx_read_attribute(nn__onnx_reader *r, nn__pb p, nn__onnx_attr *a)
{
  int64_t list[2 * NN__ONNX_RANK];
  const char *at = a->rest;
  size_t count = 0, used = 0;
  nn__field f;
  while (nn__pb_next(r, &p, &f)) {
    const size_t size = (size_t)(f.body.end - f.body.at);
    if (f.number == 2) a->is[0] = (double)nn__real_of(f.value, 4);
    if (f.number == 3) a->is[0] = (double)(int64_t)f.value;
    if (f.number == 5) a->tensor = f.body;
    if (f.number == 8) count = nn__pb_list(r, &f, list, 2 * NN__ONNX_RANK, count);
    if ((f.number != 4 && f.number != 9) || !size) continue;
    memcpy(a->text + used, f.body.at, nn__min(size, NN__ONNX_WORD - 1 - used));
    used += nn__min(size, NN__ONNX_WORD - 1 - used);
  }
  if (count > 2 * NN__ONNX_RANK)
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its attribute %s is too long", a->name);
  a->given = 1, a->count = (int)nn__min(count, 2 * NN__ONNX_RANK);
  for (int i = 0; i < a->count; i++) a->is[i] = (double)list[i];
  if (a->mark == ':') a->is[0] = 0;
  int held = a->mark != '!' || a->is[0] == (double)nn__onnx_whole(&at);
  for (int i = 0; a->mark == ':' && *at; i++, at += *at == '|') { /* one of these words */
    const size_t length = strcspn(at, "|");
    if (used == length && !memcmp(at, a->text, length)) break;
    at += length, a->is[0] = i + 1, held = *at == '|';
  }
  if (!held)
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its attribute %s; nn has %s alone", a->name,
                  a->rest);
}

/* A list that is not an attribute but, from some operator set on, an input. */
static void nn__onnx_read_list(nn__onnx_reader *r, const nn__onnx_view *v, nn__onnx_attr *a)
{
  if (!nn__onnx_readable(v) || v->real || v->rank > 1 || nn__onnx_count(v) > 2 * NN__ONNX_RANK) {
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its %s must be a few whole numbers that do not change",
                  a->name);
    return;
  }
  a->count = (int)nn__onnx_count(v);
  for (int i = 0; i < a->count; i++) {
    a->is[i] = nn__onnx_at(v, i);
    if (fabs(a->is[i]) >= NN__ONNX_N && a->mark == '@')
      nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its %s hangs on the number of samples", a->name);
  }
}

/* Reads the operator's attributes as its row has them; 0 and a sentence where nn has not one. */
static int nn__onnx_attributes(nn__onnx_reader *r, const nn__onnx_op *o, const char *row)
{
  char word[NN__ONNX_WORD], name[48];
  nn__pb p = o->body;
  nn__field f;
  int n = 0;
  memset(r->attr, 0, (NN__ONNX_ATTRS + 1) * sizeof *r->attr);
  for (row = nn__onnx_word(row, word); word[0]; row = nn__onnx_word(row, word)) {
    nn__onnx_attr *a = &r->attr[n++];
    const size_t length = strcspn(word, "=!:@%");
    memcpy(a->name, word, sizeof word);
    a->mark = word[length], a->name[length] = 0;
    const char *at = a->rest = a->name + length + (a->mark != 0);
    const int k = a->mark == '@' || a->mark == '%' ? *at - '0' : -1;
    if (a->mark == '=')
      a->is[0] = *at == '#' ? nn__onnx_number(NULL, at[1]) : (double)nn__onnx_whole(&at);
    if (k >= 0 && nn__onnx_of(r, o, k)) nn__onnx_read_list(r, nn__onnx_of(r, o, k), a);
  }
  while (nn__pb_next(r, &p, &f)) {
    if (f.number != 5) continue;
    nn__pb_text(nn__pb_get(r, f.body, 1).body, name);
    nn__onnx_attr *a = r->attr;
    while (a < r->attr + n && strcmp(a->name, name)) a++;
    if (a == r->attr + n)
      return nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its attribute %s, which nn has not", name);
    nn__onnx_read_attribute(r, f.body, a);
  }
  return r->status == NN_OK;
}

/* Axes of a list, of `rank`, as bits. */
static unsigned nn__onnx_axes(nn__onnx_reader *r, const nn__onnx_attr *a, int rank)
{
  unsigned set = 0;
  if (rank > NN__ONNX_RANK) nn__onnx_refuse(r, "more axes than 8");
  for (int i = 0; i < a->count && r->status == NN_OK; i++) {
    const int axis = nn__onnx_axis(r, a->is[i], rank);
    if (axis >= 0 && set >> axis & 1) nn__onnx_fail(r, NN_ERR_FORMAT, "an axis twice");
    set |= axis >= 0 ? 1u << axis : 0;
  }
  return set;
}

/* A whole number for a builder call, which refuses what is below 0 or too large. */
static int nn__onnx_narrow(double x) { return x >= INT_MAX ? INT_MAX : x > -1 ? (int)x : -1; }

/* ---- layers in the order and shape that they want ------------------------------------------- */

/* What a builder call gave, as the layer behind v; its error, if it is one, as the operator's. */
static int nn__onnx_built(nn__onnx_reader *r, nn__onnx_view *v, int node)
{
  const nn_status e = r->m->broken;
  if (node < 0)
    nn__onnx_fail(r, e == NN_ERR_ARGUMENT || e == NN_OK ? NN_ERR_FORMAT : e, "%s",
                  nn__sentence(r->m));
  else if ((double)r->m->node[node].rows * (double)r->m->node[node].cols > 1e12)
    nn__onnx_fail(r, NN_ERR_LIMIT, "%s gives too many numbers", r->m->node[node].name);
  v->node = node;
  return r->status == NN_OK;
}

/* The same of a layer whose sizes are those of v->mask: an axis that is a size has it, one that is
 * in none has one place. */
static int nn__onnx_became(nn__onnx_reader *r, nn__onnx_view *v, int node)
{
  unsigned rest = nn__onnx_every(v);
  int64_t stride = 1;
  if (!nn__onnx_built(r, v, node)) return 0;
  v->sort = NN__ONNX_LAYER;
  for (int k = v->dims; k-- > 0; rest &= ~v->mask[k])
    for (int i = v->rank; i-- > 0;) {
      if (!(v->mask[k] >> i & 1)) continue;
      if (v->mask[k] == 1u << i && r->m->node[node].rank == v->dims)
        v->axis[i].size = r->m->node[node].dim[k];
      v->axis[i].stride = stride, stride *= v->axis[i].size;
    }
  for (int i = 0; i < v->rank; i++)
    if (rest >> i & 1) v->axis[i].size = 1;
  return 1;
}

static int nn__onnx_reshaped(nn__onnx_reader *r, int x, int rank, const int64_t *size)
{
  const nn__node *node = &r->m->node[x < 0 ? 0 : x];
  int dim[3] = {1, 1, 1}, same = x >= 0 && node->rank == rank;
  for (int i = 0; i < rank; i++)
    dim[i] = nn__onnx_narrow((double)size[i]), same &= node->dim[i] == dim[i];
  if (same || x < 0) return x;
  return rank == 1 && node->rank > 1 ? nn_flatten(r->m, x) : nn_reshape(r->m, x, rank, dim);
}

/* Makes v's layer one of `rank` sizes, of which size k is made of the axes in the set mask[k], in
 * their order. The samples need not be in any. rank 0: the axes of mask[0], in any sizes. */
static int nn__onnx_as(nn__onnx_reader *r, nn__onnx_view *v, int rank, const unsigned *mask)
{
  int64_t to[3] = {1, 1, 1}, size[NN__ONNX_RANK], stride[NN__ONNX_RANK], tail = 1;
  int now[NN__ONNX_RANK], n = 0, x = v->node, spread = 0;
  if (r->status != NN_OK) return 0;
  v->dims = rank ? rank : 1;
  for (int k = 0; k < v->dims; k++)
    for (int i = 0; i < v->rank; i++) {
      const struct nn__onnx_places *p = &v->axis[i];
      if (!(mask[k] >> i & 1) || p->size == 1) continue;
      to[k] *= p->size, spread |= !p->stride;
      if (n && stride[n - 1] == p->size * p->stride) size[--n] *= p->size;
      else size[n] = p->size;
      stride[n] = p->stride, now[n] = n, n++;
    }
  const nn__node *node = &r->m->node[x];
  if ((size_t)(to[0] * to[1] * to[2]) != node->rows * node->cols)
    return nn__onnx_refuse(r, spread ? "a layer that is spread out; nn takes it as a factor alone"
                                     : "the samples must be an axis of their own");
  for (int i = 1; i < n; i++) /* blocks, as they lie now */
    for (int j = i; j > 0 && stride[now[j]] > stride[now[j - 1]]; j--) {
      const int other = now[j];
      now[j] = now[j - 1], now[j - 1] = other;
    }
  while (n && now[n - 1] == n - 1) tail *= size[--n]; /* those that stay at the end */
  for (int i = n; i-- > 0;) { /* block i goes to the front: [a,b,c] -> [b,a,c] */
    int64_t image[3] = {1, size[i], tail};
    int j = 0;
    while (now[j] != i) image[0] *= size[now[j++]];
    for (int k = j + 1; k < n; k++) image[2] *= size[now[k]];
    const int columns = x >= 0 && image[2] == 1 && r->m->node[x].rank == 3 &&
                        r->m->node[x].dim[2] == image[1];
    if (j) x = nn_image_to_sequence(r->m, columns ? x : nn__onnx_reshaped(r, x, 3, image), columns);
    for (; j > 0; j--) now[j] = now[j - 1];
    now[0] = i;
  }
  for (int k = 0; k < v->dims; k++) v->mask[k] = mask[k];
  return nn__onnx_became(r, v, rank ? nn__onnx_reshaped(r, x, rank, to) : x);
}

/* The sets of axes that the layer's sizes are made of, and its rank; 0 where they are not whole
 * axes. */
static int nn__onnx_layout(const nn__onnx_reader *r, const nn__onnx_view *v, unsigned mask[3])
{
  const nn__node *node = &r->m->node[v->node];
  const unsigned broad = nn__onnx_broad(v, nn__onnx_every(v));
  int64_t below = 1;
  mask[0] = mask[1] = mask[2] = 0;
  for (int k = node->rank; k-- > 0; below *= node->dim[k])
    for (int i = 0; i < v->rank; i++)
      if (broad >> i & 1 && v->axis[i].stride >= below &&
          v->axis[i].stride * v->axis[i].size <= below * node->dim[k])
        mask[k] |= 1u << i;
  return (mask[0] | mask[1] | mask[2]) == broad ? node->rank : 0;
}

/* Makes `set` the axis of channels or features of v's layer: an image where it is one and may be, a
 * sequence, whose steps are the other axes, or a vector. */
static int nn__onnx_by(nn__onnx_reader *r, nn__onnx_view *v, unsigned set, int image)
{
  unsigned mask[3];
  int rank = nn__onnx_layout(r, v, mask);
  for (int i = 0; i < v->rank; i++)
    if (set >> i & 1 && v->axis[i].after) nn__onnx_refuse(r, "it goes over the samples");
  if (!rank || (rank == 3 && !image) || mask[rank == 2] != nn__onnx_broad(v, set) ||
      r->m->node[v->node].dim[rank == 2] != nn__onnx_sizes(v, set)) {
    mask[0] = nn__onnx_every(v) & ~set;
    rank = nn__onnx_sizes(v, mask[0]) == 1 ? 1 : 2;
  }
  mask[rank == 2] = set;
  return nn__onnx_as(r, v, rank, mask);
}

/* Makes v's layer one that has `axis` alone as one of its sizes: which; -1 after an error. */
static int nn__onnx_apart(nn__onnx_reader *r, nn__onnx_view *v, int axis)
{
  const unsigned bit = 1u << axis, before = bit - 1;
  unsigned mask[3];
  int rank = nn__onnx_layout(r, v, mask), k = rank;
  if (v->axis[axis].after) nn__onnx_refuse(r, "it goes along the samples");
  while (k-- > 0)
    if (mask[k] == nn__onnx_broad(v, bit) && r->m->node[v->node].dim[k] == v->axis[axis].size)
      break;
  if (k < 0) mask[0] = before, mask[2] = nn__onnx_every(v) & ~bit & ~before, rank = 3, k = 1;
  mask[k] = bit;
  return nn__onnx_as(r, v, rank, mask) ? k : -1;
}

/* Makes v's layer an image of [N,C,H,W] or, in place of [N,C,T], a sequence or, if told, an image
 * one high. */
static int nn__onnx_spatial(nn__onnx_reader *r, nn__onnx_view *v, int image)
{
  static const unsigned flat[] = {4, 2}, one_high[] = {2, 0, 4}, whole[] = {2, 4, 8};
  if (v->rank < 3 || v->rank > 4 || !v->axis[0].after)
    return nn__onnx_refuse(r, "its input must be [N,C,T] or [N,C,H,W], N the samples");
  return nn__onnx_as(r, v, v->rank == 3 && !image ? 2 : 3,
                     v->rank == 4 ? whole : image ? one_high : flat);
}

/* Gives a layer a name, if it may have that. */
static void nn__onnx_call(nn__onnx_reader *r, int node, nn__pb name)
{
  char text[NN__NAME_ROOM];
  const size_t length = (size_t)(name.end - name.at);
  if (node < 0 || length >= sizeof text) return;
  for (size_t i = 0; i < length; i++) text[i] = name.at[i] == '/' ? '.' : (char)name.at[i];
  text[length] = 0;
  if (strlen(text) != length || !nn__good_key(text)) return;
  for (size_t i = 0; i < length; i++) text[i] = text[i] == '.' ? '/' : text[i];
  if (nn_find_node(r->m, text) < 0) nn_name(r->m, node, text);
}

/* Parameter k of a new layer is input `in` of the operator, or a view of it, one number for all of
 * a row; without one all are `otherwise`. The layer gets the name before ".weight". */
static nn__onnx_fill *nn__onnx_take(nn__onnx_reader *r, int node, int k, int in,
                                    const nn__onnx_view *v, double otherwise)
{
  nn__onnx_fill *const f = &r->fill[r->m->node[node].param + k];
  const nn__param *p = &r->m->param[r->m->node[node].param + k];
  int at = 0;
  f->scale = v ? 1 : otherwise;
  if (!v || r->status != NN_OK) return f;
  f->from = *v;
  int64_t count = nn__onnx_count(v);
  for (int i = 0; i < v->rank && p->rank > 1 && count > 1; i++) { /* sizes but those of 1 */
    if (v->axis[i].size == 1) continue;
    while (at < p->rank && p->dim[at] == 1) at++;
    if (at == p->rank || p->dim[at++] != v->axis[i].size) count = -1;
  }
  if ((size_t)count != p->count && (count != 1 || p->rank > 1))
    nn__onnx_fail(r, NN_ERR_SHAPE, "an array of %lld numbers, %s.%s takes %zu in another shape",
                  (long long)nn__onnx_count(v), r->m->node[node].name, p->what, p->count);
  nn__pb name = r->value[r->work->in[in]].name;
  if (k == 0 && name.end - name.at > 7 && !memcmp(name.end - 7, ".weight", 7)) {
    name.end -= 7;
    nn__onnx_call(r, node, name);
  }
  return f;
}

/* ---- operators that only change axes, or choose among places -------------------------------- */

/* Makes v lie row by row: a constant in new memory. */
static int nn__onnx_flat(nn__onnx_reader *r, nn__onnx_view *v)
{
  const unsigned all = nn__onnx_every(v);
  const nn__onnx_view x = *v;
  int64_t dim[NN__ONNX_RANK] = {0};
  if (v->sort == NN__ONNX_LAYER) return nn__onnx_as(r, v, 0, &all);
  for (int i = 0; i < x.rank; i++) dim[i] = x.axis[i].size;
  double *made = nn__onnx_made(r, v, x.rank, dim);
  for (int64_t i = 0; made && i < nn__onnx_count(&x); i++) made[i] = nn__onnx_at(&x, i);
  return made != NULL;
}

/* Some places of an axis: `count` from `begin` on, every `step`-th. */
static int nn__onnx_cut(nn__onnx_reader *r, nn__onnx_view *v, int axis, double begin, double count,
                        double step)
{
  const double all = nn__onnx_whole_size(v, axis, NN__ONNX_N);
  const unsigned bit = 1u << axis, both[2] = {bit, nn__onnx_every(v) & ~bit};
  if (count < 1) return nn__onnx_refuse(r, "no place of an axis is left");
  if (all == 1 || (count == all && step > 0)) return 1;
  if (v->axis[axis].after) return nn__onnx_refuse(r, "it goes along the samples");
  if (v->sort == NN__ONNX_TENSOR) {
    v->start += (int64_t)begin * v->axis[axis].stride;
    v->axis[axis].size = (int64_t)count, v->axis[axis].stride *= count > 1 ? (int64_t)step : 1;
    return 1;
  }
  if (step == -1 && count == all)
    return nn__onnx_as(r, v, 2, both) && nn__onnx_became(r, v, nn_reverse(r->m, v->node));
  if (step != 1 && count > 1)
    return nn__onnx_refuse(r, "its steps; nn takes every place, or all in reverse");
  const int k = nn__onnx_apart(r, v, axis);
  if (k < 0) return 0;
  if (v->dims == 2 && k == 0 && count == 1 && begin == all - 1) {
    v->dims = 1, v->mask[0] = v->mask[1];
    return nn__onnx_became(r, v, nn_last_step(r->m, v->node));
  }
  return nn__onnx_became(r, v, nn_slice(r->m, v->node, k, (int)begin, nn__onnx_narrow(count)));
}

static int nn__onnx_slice(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_attr *starts = nn__onnx_get(r, "starts"), *ends = nn__onnx_get(r, "ends");
  const nn__onnx_attr *axes = nn__onnx_get(r, "axes"), *steps = nn__onnx_get(r, "steps");
  const int n = starts->count;
  if (ends->count != n || (axes->count && axes->count != n) || (steps->count && steps->count != n))
    return nn__onnx_fail(r, NN_ERR_FORMAT, "lists of several lengths");
  for (int i = 0; i < n; i++) {
    const int axis = nn__onnx_axis(r, axes->count ? axes->is[i] : i, y->rank);
    const double step = steps->count ? steps->is[i] : 1;
    const int back = step < 0;
    if (axis < 0) return 0;
    if (step == 0 || fabs(step) > INT_MAX)
      return nn__onnx_fail(r, NN_ERR_FORMAT, "steps of %g", step);
    const double all = nn__onnx_whole_size(y, axis, NN__ONNX_N);
    double end[2] = {starts->is[i], ends->is[i]};
    for (int k = 0; k < 2; k++) { /* numbers of 2^62 and more are beyond any end */
      if (end[k] < 0) end[k] = end[k] < -4e18 ? -1 : fmax(end[k] + all, -1);
      if (end[k] > all - back || end[k] > 4e18) end[k] = all - back;
      if (end[k] < 0 && !back) end[k] = 0;
    }
    const double span = back ? end[0] - end[1] : end[1] - end[0];
    if (!nn__onnx_cut(r, y, axis, end[0], ceil(span / fabs(step)), step)) return 0;
  }
  return 1;
}

static int nn__onnx_split(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view x = *y;
  const int axis = nn__onnx_axis(r, nn__onnx_is(r, "axis"), x.rank);
  const nn__onnx_attr *split = nn__onnx_get(r, "split");
  double begin = 0;
  if (axis < 0) return 0;
  const double all = nn__onnx_whole_size(&x, axis, NN__ONNX_N), each = ceil(all / r->work->outs);
  if (split->count && split->count != r->work->outs)
    return nn__onnx_fail(r, NN_ERR_FORMAT, "%d parts and %d outputs", split->count, r->work->outs);
  for (int k = 0; k < r->work->outs; k++) {
    const double count = split->count ? split->is[k] : fmin(each, all - begin);
    if (count < 1 || count > all - begin) break;
    nn__onnx_view *part = &r->value[r->work->out + k].v;
    *part = x;
    if (r->value[r->work->out + k].uses && !nn__onnx_cut(r, part, axis, begin, count, 1)) return 0;
    begin += count;
  }
  return begin == all || nn__onnx_fail(r, NN_ERR_SHAPE, "parts that do not fit");
}

/* Puts axis from[i] in place i. */
static void nn__onnx_permute(nn__onnx_view *v, const int *from)
{
  const nn__onnx_view x = *v;
  for (int i = 0; i < x.rank; i++) v->axis[i] = x.axis[from[i]];
}

static int nn__onnx_transpose(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_attr *perm = nn__onnx_get(r, "perm");
  int from[NN__ONNX_RANK];
  if (perm->count && perm->count != y->rank)
    return nn__onnx_fail(r, NN_ERR_FORMAT, "%d axes of %d", perm->count, y->rank);
  nn__onnx_axes(r, perm, y->rank);
  for (int i = 0; i < y->rank && r->status == NN_OK; i++)
    from[i] = perm->count ? nn__onnx_axis(r, perm->is[i], y->rank) : y->rank - 1 - i;
  if (r->status == NN_OK) nn__onnx_permute(y, from);
  return r->status == NN_OK;
}

static int nn__onnx_squeeze(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int more = r->how, rank = y->rank;
  const nn__onnx_attr *axes = nn__onnx_get(r, "axes");
  unsigned set = nn__onnx_axes(r, axes, rank + (more ? axes->count : 0));
  for (int i = 0; i < rank && !more && !axes->count; i++)
    if (nn__onnx_whole_size(y, i, NN__ONNX_N) == 1) set |= 1u << i;
  for (int i = 0; i < NN__ONNX_RANK && more && r->status == NN_OK; i++)
    if (set >> i & 1) nn__onnx_move_axes(y, i, 1);
  for (int i = rank; i-- > 0 && !more && r->status == NN_OK;) {
    if (!(set >> i & 1)) continue;
    if (nn__onnx_whole_size(y, i, NN__ONNX_N) != 1)
      nn__onnx_refuse(r, "an axis of more than one place is taken away");
    nn__onnx_move_axes(y, i + 1, -1);
  }
  return r->status == NN_OK;
}

/* Deals v's places out to axes of these sizes, the samples being so many; 0: they do not fit, or do
 * not lie so. */
static int nn__onnx_deal(nn__onnx_view *v, int count, const double *to, double samples)
{
  struct nn__onnx_places part[3 * NN__ONNX_RANK]; /* what lies side by side; after: the samples */
  nn__onnx_view y = *v;
  int parts = 0, at = 0;
  for (int i = 0; i < v->rank; i++) {
    const struct nn__onnx_places x = v->axis[i];
    const int64_t behind = x.after ? x.after : x.size;
    const struct nn__onnx_places three[] = {{x.after ? x.size / behind : 1, behind * x.stride, 0},
                                            {1, 0, x.after}, {behind, x.stride, 0}};
    for (int k = x.after ? 0 : 2; k < 3; k++) {
      struct nn__onnx_places *const p = parts ? &part[parts - 1] : NULL;
      if (three[k].size == 1 && !three[k].after) continue;
      if (p && !p->after && !three[k].after && p->stride == three[k].size * three[k].stride)
        p->size *= three[k].size, p->stride = three[k].stride;
      else part[parts++] = three[k];
    }
  }
  for (y.rank = 0; y.rank < count; y.rank++) {
    struct nn__onnx_places *const axis = &y.axis[y.rank];
    double full = 1;
    *axis = nn__onnx_one;
    while (at < parts) {
      struct nn__onnx_places *const p = &part[at];
      const double size = p->after ? samples : (double)p->size, lacks = to[y.rank] / full;
      if (lacks != floor(lacks)) break;
      if (lacks == 1 && (size != 1 || (full > 1 && y.rank + 1 < count))) break;
      const int whole = fmod(lacks, size) == 0;
      if (!whole && (p->after || !p->size || fmod(size, lacks) != 0)) return 0;
      const int64_t take = whole ? p->size : (int64_t)lacks;
      if (axis->size > 1 && take > 1 && axis->stride != p->size * p->stride) return 0;
      p->size /= take, at += whole, full *= whole ? size : lacks;
      axis->size *= take, axis->after = p->after ? 1 : axis->after * take;
      if (take > 1) axis->stride = p->size * p->stride;
    }
    if (full != to[y.rank]) return 0;
  }
  if (at == parts) *v = y;
  return at == parts;
}

/* Blocks of b b channels become squares of pixels: [C,b,b] or, in mode DCR, [b,b,C]. */
static int nn__onnx_to_space(nn__onnx_reader *r, nn__onnx_view *y)
{
  static const int order[2][6] = {{0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}};
  const int last = nn__onnx_is(r, "mode") == 0;
  const double b = nn__onnx_is(r, "blocksize"), c = (double)y->axis[1].size / (b * b);
  const double high = (double)y->axis[2].size, wide = (double)y->axis[3].size;
  const double apart[] = {NN__ONNX_N, last ? b : c, b, last ? c : b, high, wide};
  const double to[] = {NN__ONNX_N, c, high * b, wide * b};
  if (y->rank != 4 || !(b >= 1 && b <= NN__MAX_SIZE) || !nn__onnx_flat(r, y) ||
      !nn__onnx_deal(y, 6, apart, NN__ONNX_N))
    return nn__onnx_refuse(r, "its input must be [N,C,H,W], N the samples, C blocks of channels");
  nn__onnx_permute(y, order[!last]);
  return nn__onnx_flat(r, y) && nn__onnx_deal(y, 4, to, NN__ONNX_N);
}

/* Reshape and Flatten: sizes, of which 0 is the size of before and -1 the rest. */
static int nn__onnx_reshape(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_attr *shape = nn__onnx_get(r, r->how ? "" : "shape");
  double to[2 * NN__ONNX_RANK] = {1, -1}, wants[NN__ONNX_RANK];
  const double axis = r->how ? nn__onnx_is(r, "axis") : 0;
  const int first = axis == y->rank ? y->rank : nn__onnx_axis(r, axis, y->rank + !y->rank);
  const int count = r->how ? 2 : shape->count;
  for (int i = 0; i < first; i++) to[0] *= nn__onnx_whole_size(y, i, NN__ONNX_N);
  if (!r->how) memcpy(to, shape->is, sizeof to);
  if (!count || count > NN__ONNX_RANK)
    nn__onnx_refuse(r, "no shape, or one of more than 8 axes");
  for (int way = 0; way < 4 && r->status == NN_OK; way++) { /* N samples, or the file's batch */
    const double samples = way & 1 ? (double)r->batch : NN__ONNX_N;
    double rest = 1;
    int open = -1, held = samples > 0;
    if (way == 2 && !nn__onnx_flat(r, y)) break; /* row by row */
    for (int i = 0; i < y->rank; i++) rest *= nn__onnx_whole_size(y, i, samples);
    for (int i = 0; i < count && held; i++) {
      wants[i] = to[i] == 0 && i < y->rank ? nn__onnx_whole_size(y, i, samples) : to[i];
      held = wants[i] > 0 ? fmod(rest, wants[i]) == 0 : wants[i] == -1 && open < 0;
      if (wants[i] > 0) rest /= wants[i];
      else open = i;
    }
    if (open >= 0) wants[open] = rest;
    if (held && (open >= 0 || rest == 1) && nn__onnx_deal(y, count, wants, samples)) return 1;
  }
  return nn__onnx_fail(r, NN_ERR_UNSUPPORTED,
                       "a shape that mixes samples, or that is of other numbers");
}

/* Spreads a constant, or a layer that is to be a factor, out along axes of size 1, to `rank` sizes,
 * of which 1 asks for nothing. */
static int nn__onnx_spread(nn__onnx_reader *r, nn__onnx_view *v, int rank, const double *to)
{
  double most = 1;
  if (rank > NN__ONNX_RANK || rank < v->rank)
    return nn__onnx_refuse(r, "nn spreads out over 8 axes at most, and over no fewer");
  nn__onnx_move_axes(v, 0, rank - v->rank);
  for (int i = 0; i < rank; i++) {
    const double own = (double)v->axis[i].size;
    const int each = v->axis[i].after != 0, free = to[i] >= NN__ONNX_N;
    most *= fmax(free ? 1 : to[i], fmax(own, 1)); /* of all numbers, if there are none, too */
    if (most <= 1e15 && (to[i] == 1 || to[i] == own)) continue;
    if (v->sort == NN__ONNX_LAYER ? each && (free || to[i] == (double)r->batch)
                                  : free && (own == 1 || own == (double)r->batch))
      continue; /* each sample's */
    if (own != 1 || each || to[i] < 0 || most > 1e15)
      return nn__onnx_refuse(r, "shapes that do not fit");
    v->axis[i].size = (int64_t)to[i], v->axis[i].stride = 0;
  }
  return 1;
}

/* Constant: a tensor. ConstantOfShape: one number of its own, or 0, spread out; Expand. */
static int nn__onnx_expand(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_attr *shape = nn__onnx_get(r, "shape");
  const nn__pb value = nn__onnx_get(r, "value")->tensor;
  const int constant = r->how == 2, of_shape = r->how == 1;
  if (constant && !value.at)
    return nn__onnx_refuse(r, "a Constant other than by a tensor");
  if (value.at) nn__onnx_read_tensor(r, value, y);
  else if (of_shape) nn__onnx_made(r, y, 0, NULL), y->real = 1;
  if (constant || r->status != NN_OK) return r->status == NN_OK;
  if (of_shape && nn__onnx_count(y) != 1)
    return nn__onnx_refuse(r, "a value that is not one number");
  if (of_shape) y->rank = 0;
  return nn__onnx_spread(r, y, shape->count, shape->is);
}

/* Identity, Cast, Dropout. */
static int nn__onnx_same(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view *learns = nn__onnx_in(r, 2);
  const double to = nn__onnx_is(r, "to");
  const int reals = r->how ? nn__onnx_real_type(to) : y->real;
  const int tokens = y->sort == NN__ONNX_LAYER && r->m->node[y->node].kind == NN__TOKENS;
  if (r->how && !reals && (y->sort == NN__ONNX_LAYER ? !tokens : y->real))
    return nn__onnx_refuse(r, "reals made whole");
  const nn__onnx_view t = nn__onnx_unspread(y);
  for (int64_t i = 0; y->sort == NN__ONNX_TENSOR && reals > y->real && i < nn__onnx_count(&t); i++)
    if (fabs(nn__onnx_at(&t, i)) >= NN__ONNX_N)
      return nn__onnx_refuse(r, "its input hangs on the number of samples, and so must be reals "
                             "that do not change");
  y->real = reals;
  if (!learns || nn__onnx_all(learns, 0)) return 1;
  return nn__onnx_refuse(r, "training");
}

/* ---- constants that are worked out --------------------------------------------------------- */

static int nn__onnx_shape(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view x = *y;
  const double rank = x.rank, from = nn__onnx_is(r, "start");
  const double to = nn__onnx_is(r, "end");
  const int first = (int)fmin(fmax(from < 0 ? from + rank : from, 0), rank);
  const int end = (int)fmin(fmax(to < 0 ? to + rank : to, 0), rank);
  const int64_t count = end > first ? end - first : 0;
  double *made = nn__onnx_made(r, y, 1, &count);
  for (int i = 0; made && i < (int)count; i++)
    made[i] = nn__onnx_whole_size(&x, first + i, NN__ONNX_N);
  y->real = 0;
  return made != NULL;
}

/* Numbers from those of two or three constants, by the letter r->how. */
static int nn__onnx_calculate(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int how = r->how, ins = how == '?' ? 3 : 2;
  nn__onnx_view in[3];
  double to[NN__ONNX_RANK];
  int64_t dim[NN__ONNX_RANK];
  int rank = 0, real = 0;
  for (int k = 0; k < ins; k++) {
    in[k] = *nn__onnx_in(r, k);
    if (in[k].rank > rank) rank = in[k].rank;
    real |= in[k].real && !(how == '?' && !k);
  }
  for (int i = 0; i < rank; i++) {
    dim[i] = 1;
    for (int k = 0; k < ins && dim[i] == 1; k++)
      if (i >= rank - in[k].rank) dim[i] = in[k].axis[i - rank + in[k].rank].size;
    to[i] = (double)dim[i];
  }
  for (int k = 0; k < ins; k++)
    if (!nn__onnx_spread(r, &in[k], rank, to)) return 0;
  double *made = nn__onnx_made(r, y, rank, dim);
  for (int64_t i = 0; made && i < nn__onnx_count(&in[0]); i++) {
    const double a = nn__onnx_at(&in[0], i), b = nn__onnx_at(&in[1], i);
    if (!real && how == '/' && b == 0) return nn__onnx_refuse(r, "a division by 0");
    const double x = how == '+'   ? a + b
                     : how == '-' ? a - b
                     : how == '*' ? a * b
                     : how == '=' ? a == b
                     : how == '?' ? (a != 0 ? b : nn__onnx_at(&in[2], i))
                     : real       ? a / b : trunc(a / b);
    const int many[] = {fabs(a) >= NN__ONNX_N, fabs(b) >= NN__ONNX_N, fabs(x) >= NN__ONNX_N};
    const double whole = many[2] ? x / NN__ONNX_N : x; /* in samples: k N, and no k N + 1 */
    const int mixed = how == '/' ? many[1] > many[0] : strchr("+-", how) && a != 0 && b != 0 &&
                                                       many[0] != many[1];
    made[i] = x;
    if (!real && how != '?' && (!(fabs(whole) < 9e15) || whole != floor(whole) || mixed))
      return nn__onnx_refuse(r, "whole numbers that are too large, or hang on the samples' number");
  }
  y->real = real && how != '=';
  return made != NULL;
}

/* Constants side by side along an axis. */
static int nn__onnx_append(nn__onnx_reader *r, nn__onnx_view *y, int axis)
{
  int64_t dim[NN__ONNX_RANK], ahead = 1;
  for (int i = 0; i < y->rank; i++) dim[i] = y->axis[i].size, ahead *= i < axis ? dim[i] : 1;
  for (int k = 1; k < r->work->ins; k++)
    dim[axis] += (int64_t)fmin((double)nn__onnx_in(r, k)->axis[axis].size, INT_MAX);
  double *made = nn__onnx_made(r, y, y->rank, dim);
  for (int64_t from = 0; made && from < ahead && nn__onnx_count(y); from++)
    for (int k = 0; k < r->work->ins; k++) {
      const nn__onnx_view *v = nn__onnx_in(r, k);
      const int64_t part = nn__onnx_count(v) / ahead;
      for (int64_t i = 0; i < part; i++) *made++ = nn__onnx_at(v, from * part + i);
    }
  return made != NULL;
}

/* ---- operators with windows ----------------------------------------------------------------- */

/* A window over one axis or two: numbers of the second stand for none where there is one. */
typedef struct nn__onnx_window {
  double in[2], kernel[2], stride[2], dilation[2], pad[2], behind[2];
} nn__onnx_window;

/* Reads the window of an operator on v; w->kernel: the weights', or 0. */
static int nn__onnx_read_window(nn__onnx_reader *r, const nn__onnx_view *v, nn__onnx_window *w)
{
  static const char *const names[] = {"kernel_shape", "strides", "dilations", "pads"};
  double *const to[] = {w->kernel, w->stride, w->dilation, w->pad, w->behind};
  const int axes = v->rank - 2, way = (int)nn__onnx_is(r, "auto_pad"); /* VALID, SAME_UPPER, .. */
  if (axes < 1 || axes > 2)
    return nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "a window over %d axes; nn has them over 1 and 2",
                         axes);
  for (int i = 0; i < 2; i++) {
    w->in[i] = i < axes ? (double)v->axis[2 + i].size : 1;
    w->stride[i] = w->dilation[i] = 1, w->pad[i] = w->behind[i] = 0;
  }
  for (int i = 0; i < 4; i++) {
    const nn__onnx_attr *a = nn__onnx_get(r, names[i]);
    const int n = i == 3 ? 2 * axes : axes;
    if (a->count && a->count != n)
      return nn__onnx_fail(r, NN_ERR_FORMAT, "its %s: %d numbers, not %d", names[i], a->count, n);
    for (int k = 0; k < a->count; k++) {
      double *const p = &to[i + (k >= axes)][k % axes];
      if (i == 0 && *p != 0 && *p != a->is[k])
        return nn__onnx_refuse(r, "kernel_shape is not that of the weights");
      if (i == 3 && a->is[k] < 0) return nn__onnx_refuse(r, "pads below 0");
      *p = a->is[k];
    }
  }
  for (int k = 0; k < axes && way; k++) {
    const double step = fmax(w->stride[k], 1), steps = ceil(w->in[k] / step) - 1;
    double all = fmax(steps * step + (w->kernel[k] - 1) * w->dilation[k] + 1 - w->in[k], 0);
    if (way == 1) all = 0;
    w->pad[k] = way == 2 ? floor(all / 2) : ceil(all / 2);
    w->behind[k] = all - w->pad[k];
  }
  return 1;
}

/* The numbers of a window as nn has them. `turn`: those of the one axis are columns. */
static nn_conv2d_options nn__onnx_options(const nn__onnx_window *w, int turn)
{
  nn_conv2d_options c = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
  const int h = turn, k = !turn;
  c.kernel_h = nn__onnx_narrow(w->kernel[h]), c.kernel_w = nn__onnx_narrow(w->kernel[k]);
  c.stride_h = nn__onnx_narrow(w->stride[h]), c.stride_w = nn__onnx_narrow(w->stride[k]);
  c.pad_h = nn__onnx_narrow(w->pad[h]), c.pad_w = nn__onnx_narrow(w->pad[k]);
  c.dilation_h = nn__onnx_narrow(w->dilation[h]), c.dilation_w = nn__onnx_narrow(w->dilation[k]);
  return c;
}

/* Zeros round an image: pads that the layer itself cannot have. */
static int nn__onnx_pad_ahead(nn__onnx_reader *r, nn__onnx_view *v, double *pad, double *behind)
{
  const int one = v->rank == 3;
  int n[4];
  for (int i = 0; i < 4; i++)
    n[i] = one && i < 2 ? 0 : nn__onnx_narrow((i % 2 ? behind : pad)[i / 2 - one]);
  if (!nn__onnx_spatial(r, v, 1)) return 0;
  pad[0] = pad[!one] = 0;
  return nn__onnx_became(r, v, nn_pad2d(r->m, v->node, n[0], n[1], n[2], n[3]));
}

static int nn__onnx_pad(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view *value = nn__onnx_in(r, 2);
  const nn__onnx_attr *pads = nn__onnx_get(r, "pads");
  const int rank = y->rank;
  double ahead[2], behind[2];
  if (pads->count != 2 * rank || rank < 3 || rank > 4 || pads->is[0] != 0 || pads->is[1] != 0 ||
      pads->is[rank] != 0 || pads->is[rank + 1] != 0)
    return nn__onnx_refuse(r, "its pads; nn pads height and width");
  if (value && !nn__onnx_all(value, 0)) return nn__onnx_refuse(r, "its value; nn pads with zeros");
  for (int i = 0; i < rank - 2; i++) ahead[i] = pads->is[2 + i], behind[i] = pads->is[rank + 2 + i];
  return nn__onnx_pad_ahead(r, y, ahead, behind);
}

static int nn__onnx_conv(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int back = r->how, axes = y->rank - 2, turn = back && axes == 1;
  const nn__onnx_view *weight = nn__onnx_in(r, 1), *bias = nn__onnx_in(r, 2);
  const nn__onnx_attr *behind = nn__onnx_get(r, "output_padding");
  double more[2] = {0, 0};
  nn__onnx_window w;
  if (weight->rank != y->rank)
    return nn__onnx_refuse(r, "weights of another rank than its input");
  for (int i = 0; i < 2; i++) w.kernel[i] = i < axes ? (double)weight->axis[2 + i].size : 1;
  if (!nn__onnx_read_window(r, y, &w)) return 0;
  if (behind->count && behind->count != axes)
    return nn__onnx_fail(r, NN_ERR_FORMAT, "output_padding for %d axes", behind->count);
  for (int i = 0; i < axes; i++) more[i] = behind->is[i] + w.pad[i] - w.behind[i];
  if (!back && (more[0] != 0 || more[1] != 0) && !nn__onnx_pad_ahead(r, y, w.pad, w.behind))
    return 0; /* of a transposed one pads behind only take rows away */
  if (!nn__onnx_spatial(r, y, back)) return 0;
  nn_conv2d_options c = nn__onnx_options(&w, turn);
  c.groups = nn__onnx_narrow(nn__onnx_is(r, "group"));
  c.out = nn__onnx_narrow((double)weight->axis[back].size * (back ? c.groups : 1));
  c.no_bias = !bias;
  if (!nn__onnx_became(r, y, back ? nn_conv_transpose2d_with(r->m, y->node, &c,
                                        nn__onnx_narrow(turn ? 0 : more[0]),
                                        nn__onnx_narrow(more[!turn]))
                                  : nn__conv_layer(r->m, y->node, y->dims, &c)))
    return 0;
  nn__onnx_take(r, y->node, 0, 1, weight, 0);
  if (bias) nn__onnx_take(r, y->node, 1, 2, bias, 0);
  return 1;
}

/* Padding of a maximum, or of a mean that leaves it out, only says where windows begin: so nn's
 * pool gets the padding ahead, or some steps more, on both sides, and the windows that are too many
 * are cut away. Other uneven padding is zeros. */
static int nn__onnx_pool(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int kind = r->how, axes = y->rank - 2;
  const int ceils = nn__onnx_is(r, "ceil_mode") != 0, average = kind == NN__AVG_POOL;
  const int counts = average && nn__onnx_is(r, "count_include_pad") != 0;
  double out[2] = {1, 1}, first[2] = {0, 0};
  nn__onnx_window w;
  w.kernel[0] = 0, w.kernel[1] = axes != 2;
  if (!nn__onnx_read_window(r, y, &w)) return 0;
  if (w.dilation[0] != 1 || w.dilation[1] != 1)
    return nn__onnx_refuse(r, "its attribute dilations");
  int uneven = w.pad[0] != w.behind[0] || w.pad[1] != w.behind[1];
  if (counts && ceils && (uneven || w.pad[0] != 0 || w.pad[1] != 0))
    return nn__onnx_refuse(r, "ceil_mode with pads that count, of which programs differ");
  for (int i = 0; i < axes; i++) {
    const double step = fmax(w.stride[i], 1), whole = w.in[i] + w.pad[i] + w.behind[i];
    if (whole < w.kernel[i]) return nn__onnx_fail(r, NN_ERR_SHAPE, "its window does not fit");
    out[i] = floor((whole - w.kernel[i] + (ceils ? step - 1 : 0)) / step) + 1;
    if (ceils && (out[i] - 1) * step >= w.in[i] + w.pad[i]) out[i]--;
    const double lacks = (out[i] - 2) * step + 1 - (w.in[i] + 2 * w.pad[i] - w.kernel[i]);
    if (!uneven || counts || lacks <= 0) continue; /* nn has too few windows */
    first[i] = fmin(ceil(lacks / step), floor((floor(w.kernel[i] / 2) - w.pad[i]) / step));
    first[i] = fmax(first[i], 0), w.pad[i] += first[i] * step;
  }
  if (uneven && counts) {
    if (!nn__onnx_pad_ahead(r, y, w.pad, w.behind)) return 0;
    uneven = 0;
  }
  if (!nn__onnx_spatial(r, y, 0)) return 0;
  const nn_conv2d_options c = nn__onnx_options(&w, 0);
  const nn_pool2d_options p = {c.kernel_h, c.kernel_w, c.stride_h, c.stride_w, c.pad_h,
                               c.pad_w,    uneven || ceils, average && !counts};
  const int tiles = average && axes == 2 && fmax(w.kernel[0], w.kernel[1]) > NN__MAX_WINDOW &&
                    !memcmp(w.stride, w.kernel, sizeof w.stride) && !c.pad_h && !c.pad_w &&
                    !uneven && out[0] * w.kernel[0] == w.in[0] && out[1] * w.kernel[1] == w.in[1];
  if (!nn__onnx_became(r, y, tiles ? nn_adaptive_avg_pool2d(r->m, y->node, (int)out[0], (int)out[1])
                                   : nn__pool_layer(r->m, nn__rows[kind], y->node, y->dims, &p)))
    return 0;
  for (int i = 0; i < axes; i++) {
    if ((double)y->axis[2 + i].size < first[i] + out[i])
      return nn__onnx_refuse(r, "its pads; nn has at most half a window");
    if (!nn__onnx_cut(r, y, 2 + i, first[i], out[i], 1)) return 0;
  }
  return 1;
}

/* Whole factors for height and width, from scales or sizes. */
static int nn__onnx_resize(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view *scale = nn__onnx_in(r, 2);
  const nn__onnx_attr *sizes = nn__onnx_get(r, "sizes");
  const int linear = nn__onnx_is(r, "mode") != 0, rank = y->rank;
  const int where = (int)nn__onnx_is(r, "coordinate_transformation_mode");
  const int how = (int)nn__onnx_is(r, "nearest_mode"); /* 2: floor */
  int factor[2] = {1, 1}, wide = 1;
  for (int i = 0; i < rank; i++) {
    double by = 0;
    if (scale && nn__onnx_reals_only(scale) && nn__onnx_count(scale) == rank)
      by = nn__onnx_at(scale, i);
    else if (sizes->count == rank)
      by = i ? sizes->is[i] / (double)y->axis[i].size
             : sizes->is[0] == NN__ONNX_N || sizes->is[0] == (double)r->batch;
    if (!(by >= 1 && by <= NN__MAX_SIZE && by == floor(by) && (i > 1 || by == 1)))
      return nn__onnx_refuse(r, "its scales; nn resizes height and width by whole factors");
    wide &= i < 2 || (double)y->axis[i].size * by > 1;
    if (i > 1 && i < 4) factor[rank == 3 ? 1 : i - 2] = (int)by;
  }
  const int fits = linear ? where == 0 || (where == 1 && wide)
                          : (where == 0 && how != 2) || (where == 2 && how == 2);
  if (!fits)
    return nn__onnx_refuse(r, "its attributes coordinate_transformation_mode and nearest_mode; nn "
                           "has half_pixel, and for nearest asymmetric with floor");
  if (!nn__onnx_spatial(r, y, 1)) return 0;
  return nn__onnx_became(r, y, nn__upsample(r->m, nn__rows[linear ? NN__BILINEAR : NN__UPSAMPLE],
                                            y->node, 3, factor[0], factor[1]));
}

/* ---- operators of one layer ------------------------------------------------------------------ */

/* y = x W^T + b: Gemm, or MatMul from either side, with the Add behind it if that is a bias. */
static int nn__onnx_product(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int gemm = r->how, left = y->sort != NN__ONNX_LAYER;
  const nn__onnx_view *x = nn__onnx_in(r, left), *w = nn__onnx_in(r, !left);
  const nn__onnx_view *b = nn__onnx_in(r, 2);
  if (x->sort != NN__ONNX_LAYER || !nn__onnx_reals_only(w) || w->rank != 2 ||
      (gemm && x->rank != 2) || (left && x->rank < 2))
    return nn__onnx_refuse(r, "nn multiplies a layer by constant weights [in,out] alone");
  nn__onnx_view t = *w;
  static const int turned[] = {1, 0}; /* [in,out] */
  const int axis = x->rank - 1 - left;
  if (!left && !(gemm && nn__onnx_is(r, "transB") != 0)) nn__onnx_permute(&t, turned);
  const int64_t out = t.axis[0].size;
  const int row = b && b->rank && b->rank <= x->rank && nn__onnx_count(b) == out &&
                  b->axis[b->rank - 1].size == out;
  if (b && !gemm && !row) return 0; /* no bias, but an Add */
  if (b && gemm && !row && nn__onnx_count(b) != 1)
    return nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its input 2 must be one row");
  *y = *x;
  if (!nn__onnx_by(r, y, 1u << axis, 0) ||
      !nn__onnx_became(r, y, nn__linear(r->m, y->node, nn__onnx_narrow((double)out), !b)))
    return 0;
  nn__onnx_take(r, y->node, 0, !left, &t, 0)->scale = gemm ? nn__onnx_is(r, "alpha") : 1;
  if (b) nn__onnx_take(r, y->node, 1, 2, b, 0)->scale = gemm ? nn__onnx_is(r, "beta") : 1;
  return 1;
}

/* The axes of v that a constant has numbers for; 0 and a sentence where it fits none. */
static int nn__onnx_axes_of(nn__onnx_reader *r, const nn__onnx_view *v, const nn__onnx_view *t,
                            unsigned *set)
{
  *set = 0;
  for (int i = 0; i < t->rank; i++) {
    const int axis = v->rank - t->rank + i;
    if (t->axis[i].size == 1 && axis >= 0) continue;
    if (axis < 0 || v->axis[axis].after || t->axis[i].size != v->axis[axis].size)
      return nn__onnx_refuse(r, "a constant of a shape that does not fit the other input");
    *set |= 1u << axis;
  }
  return 1;
}

/* A layer and constants, one for all or one for each place of some axes: (x - mean) scale or, if
 * told, (x - mean)/scale, which are inputs of the operator, or -1: 0 and `by`. Where they come
 * from; NULL where they are not of the same axes. */
static nn__onnx_fill *nn__onnx_scale(nn__onnx_reader *r, nn__onnx_view *y, int mean, int scale,
                                     int divides, double by)
{
  const int in[2] = {mean, scale};
  const nn__onnx_view *c[2];
  unsigned set[2] = {0, 0};
  for (int k = 0; k < 2; k++) {
    c[k] = in[k] < 0 ? NULL : nn__onnx_in(r, in[k]);
    if (c[k] && !nn__onnx_reals_only(c[k]))
      nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its input %d must be reals that do not change", in[k]);
    if (c[k] && !nn__onnx_axes_of(r, y, c[k], &set[k])) return NULL;
  }
  if (set[0] && set[1] && set[0] != set[1]) return NULL;
  if ((set[0] | set[1]) && !nn__onnx_by(r, y, set[0] | set[1], 1)) return NULL;
  if (!nn__onnx_built(r, y, nn__normalise_layer(r->m, y->node, NULL, NULL))) return NULL;
  nn__onnx_fill *const f = nn__onnx_take(r, y->node, 0, in[0], c[0], 0);
  nn__onnx_take(r, y->node, 1, in[1], c[1], by)->invert = divides;
  return r->status == NN_OK ? f : NULL;
}

/* Two layers of one shape, or a layer and a factor for each channel, or a layer and a constant. */
static int nn__onnx_two(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int how = r->how, times = how == '*' || how == '/';
  const nn__onnx_view *first = nn__onnx_in(r, 0), *other = nn__onnx_in(r, 1);
  const int second = first->sort != NN__ONNX_LAYER; /* which is the layer */
  unsigned set = 0, mask[3];
  if (r->work->ins != 2) /* a Sum */
    return r->work->ins == 1 || nn__onnx_refuse(r, "more than two inputs");
  if (second && other->sort != NN__ONNX_LAYER) return nn__onnx_calculate(r, y);
  if (how == '/' && (second || other->sort == NN__ONNX_LAYER))
    return nn__onnx_refuse(r, "nn divides by constants alone");
  if (second || other->sort != NN__ONNX_LAYER) {
    *y = *nn__onnx_in(r, second);
    nn__onnx_fill *f = nn__onnx_scale(r, y, times ? -1 : !second, times ? !second : -1, how == '/',
                                      how == '-' && second ? -1 : 1);
    if (f && how == '+') f->scale = -1;
    return f != NULL;
  }
  nn__onnx_view a = *first, b = *other, wide = nn__onnx_unspread(first);
  if (how == '*' && nn__onnx_count(&wide) < nn__onnx_count(&b)) a = *other, b = *first;
  if (a.rank < b.rank) nn__onnx_move_axes(&a, 0, b.rank - a.rank);
  if (b.rank < a.rank) nn__onnx_move_axes(&b, 0, a.rank - b.rank);
  wide = b;
  if (how == '*') b = nn__onnx_unspread(&wide);
  for (int i = 0; i < a.rank; i++) {
    const int64_t size = a.axis[i].size, other_size = wide.axis[i].size;
    set |= (unsigned)(size != b.axis[i].size) << i;
    if (!a.axis[i].after != !b.axis[i].after ||
        (size != other_size && (how != '*' || other_size != 1)))
      return nn__onnx_refuse(r, "two layers of these shapes; nn adds equal ones, and multiplies "
                             "them, or one by a factor a channel");
  }
  if (set) { /* b has the other axes */
    set = nn__onnx_broad(&b, nn__onnx_every(&b));
    for (int i = 0; i < a.rank; i++)
      if (a.axis[i].after) set &= ~(1u << i);
    if (!nn__onnx_by(r, &a, set, 1) || !nn__onnx_as(r, &b, 1, &set)) return 0;
  } else {
    int rank = nn__onnx_layout(r, &a, mask);
    if (!rank) rank = nn__onnx_layout(r, &b, mask);
    if (!rank) mask[0] = nn__onnx_every(&a), rank = 1;
    if (!nn__onnx_as(r, &a, rank, mask) || !nn__onnx_as(r, &b, rank, mask)) return 0;
  }
  if (how == '-' && !nn__onnx_scale(r, &b, -1, -1, 0, -1)) return 0;
  *y = a;
  return nn__onnx_built(r, y, how == '*' ? nn_multiply(r->m, a.node, b.node)
                                         : nn_add(r->m, a.node, b.node));
}

/* x to the power of 2. */
static int nn__onnx_square(nn__onnx_reader *r, nn__onnx_view *y)
{
  if (!nn__onnx_all(nn__onnx_in(r, 1), 2)) return nn__onnx_refuse(r, "another power than 2");
  return nn__onnx_built(r, y, nn_multiply(r->m, y->node, y->node));
}

/* Activations: of a slope or limits, if they have some. */
static int nn__onnx_activation(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__kind kind = (nn__kind)r->how;
  double number[2] = {nn__onnx_is(r, "alpha"), 0};
  const nn__onnx_attr *beta = nn__onnx_get(r, "beta"); /* a HardSigmoid's */
  if (beta->name[0] && (fabs(number[0] - 1. / 6) > 1e-6 || fabs(beta->is[0] - .5) > 1e-6))
    return nn__onnx_refuse(r, "its alpha and beta; nn has 1/6 and 1/2");
  for (int k = 0; k < 2 && kind == NN__CLAMP; k++) {
    const nn__onnx_view *limit = nn__onnx_in(r, 1 + k);
    number[k] = limit ? nn__onnx_at(limit, 0) : k ? 3e38 : -3e38;
    if (!(fabs(number[k]) < 4e38) || (limit && nn__onnx_count(limit) != 1))
      return nn__onnx_refuse(r, "its limits; nn has numbers that do not change");
  }
  return nn__onnx_built(r, y, nn__same_with(r->m, nn__rows[kind], y->node, number[0], number[1]));
}

static int nn__onnx_prelu(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view *slope = nn__onnx_in(r, 1);
  const int several = nn__onnx_count(slope) > 1;
  unsigned set;
  if (!nn__onnx_axes_of(r, y, slope, &set) || (several && !nn__onnx_by(r, y, set, 1)) ||
      !nn__onnx_built(r, y, nn_prelu(r->m, y->node, several)))
    return 0;
  nn__onnx_take(r, y->node, 0, 1, slope, 0);
  return 1;
}

static int nn__onnx_softmax(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int early = r->set < 13; /* over all axes from this one on */
  const nn__onnx_attr *a = nn__onnx_get(r, "axis");
  const int axis = nn__onnx_axis(r, early && !a->given ? 1 : a->is[0], y->rank);
  if (axis < 0) return 0;
  const unsigned bit = 1u << axis, set = early ? nn__onnx_every(y) & ~(bit - 1) : bit;
  return nn__onnx_by(r, y, set, 1) && nn__onnx_built(r, y, nn_softmax(r->m, y->node));
}

/* A norm over, or of, a set of axes; its parameters, if it has some, are inputs from 1 on. */
static int nn__onnx_norm(nn__onnx_reader *r, nn__onnx_view *y, nn__kind kind, unsigned set,
                         double eps, int groups)
{
  nn_norm_options options = nn__usual_norm;
  options.eps = eps, options.groups = groups, options.no_affine = !nn__onnx_in(r, 1);
  for (int k = 1; k < r->work->ins && kind == NN__LAYER_NORM; k++) {
    const nn__onnx_view *c = nn__onnx_in(r, k);
    unsigned own;
    if (c && !nn__onnx_axes_of(r, y, c, &own)) return 0;
    if (c && own != nn__onnx_broad(y, set))
      return nn__onnx_refuse(r, "weights of a shape that is not what it goes over");
  }
  if (!nn__onnx_by(r, y, set, kind != NN__LAYER_NORM) ||
      !nn__onnx_built(r, y, nn__norm_layer(r->m, nn__rows[kind], y->node, &options)))
    return 0;
  for (int k = 0; k < r->m->node[y->node].params; k++)
    nn__onnx_take(r, y->node, k, k + 1, nn__onnx_in(r, k + 1), 0);
  return r->status == NN_OK;
}

/* Batch norm, instance norm: of axis 1. */
static int nn__onnx_channel_norm(nn__onnx_reader *r, nn__onnx_view *y)
{
  if (y->rank < 2 || !y->axis[0].after)
    return nn__onnx_refuse(r, "its input must be [N,C,..], N the samples");
  const int each = r->how == NN__GROUP_NORM ? nn__onnx_narrow((double)y->axis[1].size) : 0;
  return nn__onnx_norm(r, y, (nn__kind)r->how, 2, nn__onnx_is(r, "epsilon"), each);
}

static int nn__onnx_layer_norm(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int axis = nn__onnx_axis(r, nn__onnx_is(r, "axis"), y->rank);
  if (axis < 0) return 0;
  return nn__onnx_norm(r, y, NN__LAYER_NORM, nn__onnx_every(y) & ~((1u << axis) - 1),
                       nn__onnx_is(r, "epsilon"), 0);
}

/* The mean, sum or maximum over some axes; the global pools have them from axis 2 on. */
static int nn__onnx_reduce(nn__onnx_reader *r, nn__onnx_view *y)
{
  const int global = *r->work->type.at == 'G', keep = global || nn__onnx_is(r, "keepdims") != 0;
  const unsigned every = nn__onnx_every(y);
  const unsigned set = global ? every & ~3u : nn__onnx_axes(r, nn__onnx_get(r, "axes"), y->rank);
  unsigned mask[3];
  int rank = nn__onnx_layout(r, y, mask);
  for (int i = 0; i < y->rank; i++)
    if ((set >> i & 1 && y->axis[i].after) || !set)
      nn__onnx_refuse(r, "it goes over samples");
  if (rank != 3 || nn__onnx_broad(y, set) != (mask[1] | mask[2]))
    mask[0] = set, mask[1] = every & ~set, rank = 2;
  if (!nn__onnx_as(r, y, rank, mask)) return 0;
  const double count = nn__pb_is(r->work->type, "ReduceSum") ? (double)nn__onnx_sizes(y, set) : 1;
  y->dims = 1, y->mask[0] = every & ~set;
  if (!nn__onnx_became(r, y, nn__global_pool(r->m, nn__rows[r->how], y->node)) ||
      (count != 1 && !nn__onnx_scale(r, y, -1, -1, 0, count)))
    return 0;
  for (int i = y->rank; i-- > 0 && !keep;)
    if (set >> i & 1) nn__onnx_move_axes(y, i + 1, -1);
  return 1;
}

static int nn__onnx_concat(nn__onnx_reader *r, nn__onnx_view *y)
{
  int layers = 0;
  const int axis = nn__onnx_axis(r, nn__onnx_is(r, "axis"), y->rank);
  for (int i = 0; i < r->work->ins && axis >= 0; i++) {
    layers += nn__onnx_in(r, i)->sort == NN__ONNX_LAYER;
    if (!nn__onnx_alike(nn__onnx_in(r, i), y, axis))
      nn__onnx_fail(r, NN_ERR_SHAPE, "its input %d does not lie beside the others", i);
  }
  if (r->status != NN_OK) return 0;
  if (!layers) return nn__onnx_append(r, y, axis);
  if (layers < r->work->ins) return nn__onnx_refuse(r, "nn joins what layers give alone");
  const int k = nn__onnx_apart(r, y, axis);
  for (int i = 1; i < r->work->ins && k >= 0; i++) {
    nn__onnx_view b = *nn__onnx_in(r, i);
    if (!nn__onnx_as(r, &b, y->dims, y->mask) ||
        !nn__onnx_became(r, y, nn_concat_along(r->m, y->node, b.node, k)))
      return 0;
  }
  return k >= 0;
}

/* An embedding's rows by tokens, or a place of an axis. */
static int nn__onnx_gather(nn__onnx_reader *r, nn__onnx_view *y)
{
  const nn__onnx_view *x = nn__onnx_in(r, 0), *index = nn__onnx_in(r, 1);
  if (x->sort == NN__ONNX_TENSOR && index->sort == NN__ONNX_LAYER) {
    if (!nn__onnx_reals_only(x) || x->rank != 2 || nn__onnx_is(r, "axis") != 0 ||
        index->rank != 2 || !index->axis[0].after)
      return nn__onnx_refuse(r, "nn takes rows [vocabulary,width] by tokens [N,T] alone");
    *y = *index;
    y->rank = 3, y->dims = 2, y->mask[0] = 2, y->mask[1] = 4;
    if (!nn__onnx_became(r, y, nn_embedding(r->m, y->node,
                                            nn__onnx_narrow((double)x->axis[0].size),
                                            nn__onnx_narrow((double)x->axis[1].size))))
      return 0;
    nn__onnx_take(r, y->node, 0, 0, x, 0);
    return 1;
  }
  const int axis = nn__onnx_axis(r, nn__onnx_is(r, "axis"), x->rank);
  if (axis < 0) return 0;
  if (!nn__onnx_readable(index) || index->real || nn__onnx_count(index) != 1 || index->rank > 1)
    return nn__onnx_refuse(r, "its indices; nn takes one place that does not change");
  if (x->axis[axis].after) return nn__onnx_refuse(r, "it takes one of the samples");
  const int place = nn__onnx_axis(r, nn__onnx_at(index, 0),
                                  nn__onnx_narrow((double)x->axis[axis].size));
  if (place < 0 || !nn__onnx_cut(r, y, axis, place, 1, 1)) return 0;
  if (!index->rank) nn__onnx_move_axes(y, axis + 1, -1);
  return 1;
}

/* ---- cells --------------------------------------------------------------------------------- */

/* The parameters of a new cell, of each direction: W, R and the two halves of B. */
static int nn__onnx_cell_weights(nn__onnx_reader *r, int y)
{
  const nn__node *node = &r->m->node[y];
  const int directions = (int)nn__directions(node);
  const int sums = (int)nn__gates(node->kind) * node->cell.hidden;
  for (int k = 0; k < 4 * directions; k++) {
    const int part = k % 4, bias = part > 1, in = bias ? 3 : part + 1;
    if (!nn__onnx_in(r, in)) continue; /* zeros */
    nn__onnx_view v = *nn__onnx_in(r, in);
    if (v.rank != 3 - bias || v.axis[0].size != directions || v.axis[1].size != sums * (1 + bias))
      return nn__onnx_fail(r, NN_ERR_SHAPE, "its input %d, of %lld numbers, has not the shape of "
                           "its sizes", in, (long long)nn__onnx_count(&v));
    nn__onnx_cut(r, &v, 0, k / 4, 1, 1);
    if (bias) nn__onnx_cut(r, &v, 1, part == 3 ? sums : 0, sums, 1);
    nn__onnx_take(r, y, k, in, &v, 0);
  }
  return r->status == NN_OK;
}

/* What a cell ends with, of each direction. */
static int nn__onnx_last_states(nn__onnx_reader *r, nn__onnx_view *h, int both, int hidden)
{
  nn_model *m = r->m;
  int last = nn_last_step(m, h->node);
  if (both) {
    const int back = nn_last_step(m, nn_reverse(m, h->node));
    last = nn_concat(m, nn_slice(m, last, 0, 0, hidden), nn_slice(m, back, 0, hidden, hidden));
  }
  return nn__onnx_built(r, h, last);
}

static int nn__onnx_read_cell(nn__onnx_reader *r, nn__onnx_view *y)
{
  static const unsigned sequence[] = {1, 4};
  nn_recurrent_options c = {0, 1, 0, 0, 0, 0};
  const nn__kind kind = (nn__kind)r->how;
  const int way = (int)nn__onnx_is(r, "direction"), back = way == 1, both = way == 2;
  const int state = r->work->outs > 1 && r->value[r->work->out + 1].uses;
  if (y->rank != 3 || !y->axis[1].after)
    return nn__onnx_refuse(r, "its input must be [steps, samples, features]");
  if (kind == NN__GRU && nn__onnx_is(r, "linear_before_reset") == 0)
    return nn__onnx_refuse(r, "its attribute linear_before_reset is 0; nn resets behind products");
  for (int k = 5; k < 7; k++)
    if (nn__onnx_in(r, k) && !nn__onnx_all(nn__onnx_in(r, k), 0))
      return nn__onnx_refuse(r, "it starts from a state other than 0");
  c.relu = kind == NN__RNN && (int)nn__onnx_is(r, "activations") % 2;
  c.hidden = nn__onnx_narrow(nn__onnx_is(r, "hidden_size"));
  c.carry = r->options->carry != 0, c.bidirectional = both;
  if (way && c.carry) return nn__onnx_refuse(r, "a cell that goes back cannot carry its state");
  const int64_t steps = y->axis[0].size, wide = c.hidden;
  if (!nn__onnx_as(r, y, 2, sequence) ||
      (back && !nn__onnx_built(r, y, nn_reverse(r->m, y->node))) ||
      !nn__onnx_built(r, y, nn__cell_layer(r->m, nn__rows[kind], y->node, -1, &c)) ||
      !nn__onnx_cell_weights(r, y->node))
    return 0;
  const struct nn__onnx_places of[] = {
      {steps, wide * (1 + both), 0}, {1 + both, wide, 0}, {1, 0, 1}, {wide, 1, 0}};
  y->rank = 4;
  memcpy(y->axis, of, sizeof of);
  if (state) {
    nn__onnx_view *h = &r->value[r->work->out + 1].v;
    *h = *y;
    nn__onnx_move_axes(h, 1, -1);
    if (!nn__onnx_last_states(r, h, both, c.hidden)) return 0;
  }
  return !back || !r->value[r->work->out].uses || nn__onnx_built(r, y, nn_reverse(r->m, y->node));
}

/* An operator has been read. */
static void nn__onnx_done(nn__onnx_reader *r, nn__onnx_op *o)
{
  for (int k = 0; k < o->ins && o->needed; k++)
    if (o->in[k] >= 0) r->value[o->in[k]].uses--;
  o->needed = 0;
}

/* ---- the rows ------------------------------------------------------------------------------ */

/* Operators that are one layer: what the words of their row stand for. Slots are letters, then
 * parameters; the last is of no use. reads: how often the row reads it. */
enum { NN__ONNX_SLOTS = 32, NN__ONNX_LONGEST = 12, NN__ONNX_AHEAD = 24 };
typedef struct nn__onnx_bound {
  int value[NN__ONNX_SLOTS], reads[NN__ONNX_SLOTS];
  double eps;
} nn__onnx_bound;

/* Whether operator o is the next of a row, its inputs in their order or turned about. */
static int nn__onnx_fits(const nn__onnx_reader *r, const nn__onnx_op *o, const char *row,
                         int turned, nn__onnx_bound *b)
{
  char word[NN__ONNX_WORD], next[NN__ONNX_WORD];
  row = nn__onnx_word(row, word);
  if (!o->needed || !nn__pb_is(o->type, word)) return 0;
  row = nn__onnx_word(row, word);
  for (int k = 0; word[0] && !strchr(word, '='); k++, memcpy(word, next, sizeof word)) {
    row = nn__onnx_word(row, next);
    const int last = !next[0] || strchr(next, '='); /* the output */
    const int is = last ? o->out : k >= o->ins ? -1 : o->in[turned ? 1 - k : k];
    const nn__onnx_view *v = is < 0 ? NULL : &r->value[is].v;
    const int slot = word[0] == '$' ? 26 + (word[1] - '0') : word[0] >= 'a' ? word[0] - 'a' : 31;
    if (last ? k != o->ins : !v) return 0;
    if (word[0] == '@' && !nn__onnx_readable(v)) return 0;
    if ((word[0] == '#' || word[0] == '$') && !nn__onnx_reals_only(v)) return 0;
    if (word[0] == '#') {
      const double is_now = nn__onnx_at(v, 0), wants = nn__onnx_number(NULL, word[1]);
      if (nn__onnx_count(v) != 1) return 0;
      if (word[1] == 'e') b->eps = is_now;
      else if (!(fabs(is_now - wants) <= 1e-6 * wants)) return 0;
    }
    if (slot == 31) continue;
    if (b->value[slot] >= 0 && b->value[slot] != is) return 0;
    b->value[slot] = is, b->reads[slot] += !last;
  }
  return 1;
}

/* A group norm: the axes of x become [N,groups,-1] and, behind an instance norm that changes
 * nothing more, x's again; however x lies, for here only sizes count. in: x, weight, bias or -1,
 * and the instance norm's. */
static int nn__onnx_groups_row(nn__onnx_reader *r, nn__onnx_view *y, nn__onnx_op *const found[])
{
  nn__onnx_view mid = *y, end;
  const nn__onnx_view *scale = nn__onnx_in(r, 3), *shift = nn__onnx_in(r, 4);
  const int affine = r->work->in[1] >= 0;
  int64_t stride = 1;
  unsigned set = 2;
  r->how = 0;
  for (int i = y->rank; i-- > 0; stride *= y->axis[i].size) mid.axis[i].stride = stride;
  if (!nn__onnx_all(scale, 1) || !nn__onnx_all(shift, 0) || y->rank < 2) return 0;
  if (!nn__onnx_attributes(r, found[0], "shape%1 allowzero!0") || !nn__onnx_reshape(r, &mid))
    return 0;
  const int64_t groups = mid.axis[1].size;
  if (mid.node != y->node || mid.rank != 3 || !mid.axis[0].after ||
      mid.axis[0].size != 1 || nn__onnx_count(scale) != groups ||
      y->axis[1].size % groups)
    return 0;
  end = mid;
  if (!nn__onnx_attributes(r, found[2], "shape%1 allowzero!0") || !nn__onnx_reshape(r, &end) ||
      !nn__onnx_alike(&end, y, -1))
    return 0;
  for (int k = 1; k < 3 && affine; k++)
    if (!nn__onnx_axes_of(r, y, nn__onnx_in(r, k), &set) || set != nn__onnx_broad(y, 2)) return 0;
  return nn__onnx_attributes(r, found[1], "epsilon=#e") &&
         nn__onnx_norm(r, y, NN__GROUP_NORM, 2, nn__onnx_is(r, "epsilon"), (int)groups);
}

/* A layer norm by its means over axes. */
static int nn__onnx_norm_row(nn__onnx_reader *r, nn__onnx_view *y,
                             nn__onnx_op *const found[], double eps)
{
  unsigned set[2];
  for (int k = 0; k < 2; k++) {
    if (!nn__onnx_attributes(r, found[3 * k], "axes@1 keepdims=1 noop_with_empty_axes!0")) return 0;
    set[k] = nn__onnx_axes(r, nn__onnx_get(r, "axes"), y->rank);
    if (nn__onnx_is(r, "keepdims") == 0) return 0;
  }
  return set[0] && set[0] == set[1] && nn__onnx_norm(r, y, NN__LAYER_NORM, set[0], eps, 0);
}

/* Finds the operators of a row, of which `first` is the one, nobody else reading what lies between,
 * and adds the layer; 1 if it did. */
NN__APART int nn__onnx_match(nn__onnx_reader *r, int first, const struct nn__onnx_row *row)
{
  nn__onnx_bound b, before;
  nn__onnx_op *found[NN__ONNX_LONGEST];
  int count = 0, done = 0;
  memset(&b, 0, sizeof b);
  for (int i = 0; i < NN__ONNX_SLOTS; i++) b.value[i] = -1;
  for (const char *at = row->ops; at; at = strchr(at, ';'), at = at ? at + 1 : NULL) {
    int j = first, held = 0;
    for (; !held && j < r->ops && j < first + (count ? NN__ONNX_AHEAD : 1); j++) {
      const int turns = r->op[j].ins == 2 && (!strncmp(at, "Add", 3) || !strncmp(at, "Mul", 3));
      for (int turned = 0; turned <= turns && !held; turned++) {
        before = b;
        held = nn__onnx_fits(r, &r->op[j], at, turned, &b);
        if (!held) b = before;
      }
    }
    if (!held) return 0;
    found[count++] = &r->op[j - 1];
  }
  for (int i = 0; i < 23; i++) /* what lies between: a .. w */
    if (b.value[i] >= 0 && b.reads[i] != r->value[b.value[i]].uses) return 0;
  const int in[] = {b.value['x' - 'a'], b.value[26], b.value[27], b.value[28], b.value[29]};
  nn__onnx_op o = *found[0];
  o.in = in, o.ins = in[4] >= 0 ? 5 : in[2] >= 0 ? 3 : 1;
  o.out = found[count - 1]->out, o.outs = 1;
  nn__onnx_view *const y = &r->value[o.out].v;
  *y = r->value[in[0]].v;
  if (y->sort != NN__ONNX_LAYER) return 0;
  r->how = (int)row->kind, r->work = &o;
  memset(r->attr, 0, (NN__ONNX_ATTRS + 1) * sizeof *r->attr);
  switch (row->kind) {
  case NN__LAYER_NORM: done = nn__onnx_norm_row(r, y, found, b.eps); break;
  case NN__GROUP_NORM: done = nn__onnx_groups_row(r, y, found); break;
  case NN__NORMALISE: done = !!nn__onnx_scale(r, y, 1, 2, *found[1]->type.at == 'D', 1); break;
  case NN__LINEAR: r->how = 0, done = nn__onnx_product(r, y); break;
  default:
    done = (row->kind != NN__HARD_SWISH || nn__onnx_attributes(r, &o, "alpha=#d beta=#h")) &&
           nn__onnx_activation(r, y);
  }
  for (int i = 0; i < count && done; i++) nn__onnx_done(r, found[i]);
  if (!done) y->sort = NN__ONNX_NOTHING;
  r->work = found[0];
  return done;
}

/* ---- the operators --------------------------------------------------------------------------- */

/* inputs: x what a layer gives, c reals that do not change, k constants, a one or the other, i an
 * attribute's list, - what does not matter; behind '?' they may be left out, '*': as before.
 * attributes: those that the function reads, or that change nothing; others are refused. name=0 and
 * name=#e have a default (#: see nn__onnx_number), name!0 must have this value, name:a|b is one of
 * these words, of which the function reads the number, name@1 is a list that is input 1 where it is
 * no attribute, and with % it may hang on the number of samples. outs: outputs that may be read.
 * Without a function `attributes` says why. */
typedef int (*nn__onnx_make)(nn__onnx_reader *r, nn__onnx_view *y);
static const struct nn__onnx_known {
  const char *type;
  nn__onnx_make make;
  int how, outs;
  const char *inputs, *attributes;
} nn__onnx_known[] = {
#define NN__ONNX_WINDOW "kernel_shape strides dilations pads "
#define NN__ONNX_AUTO_PAD "auto_pad:NOTSET|VALID|SAME_UPPER|SAME_LOWER "
#define NN__ONNX_REDUCE "axes@1 keepdims=1 noop_with_empty_axes!0"
#define NN__ONNX_CELL "hidden_size=0 layout!0 direction:forward|reverse|bidirectional "
    {"Conv", nn__onnx_conv, 0, 1, "xc?c", NN__ONNX_WINDOW NN__ONNX_AUTO_PAD "group=1"},
    {"ConvTranspose", nn__onnx_conv, 1, 1, "xc?c",
     NN__ONNX_WINDOW "auto_pad:NOTSET|VALID group=1 output_padding"},
    {"MaxPool", nn__onnx_pool, NN__MAX_POOL, 1, "x",
     NN__ONNX_WINDOW NN__ONNX_AUTO_PAD "ceil_mode=0 storage_order!0"},
    {"AveragePool", nn__onnx_pool, NN__AVG_POOL, 1, "x",
     NN__ONNX_WINDOW NN__ONNX_AUTO_PAD "ceil_mode=0 count_include_pad=0"},
    {"GlobalMaxPool", nn__onnx_reduce, NN__GLOBAL_MAX, 1, "x", ""},
    {"GlobalAveragePool", nn__onnx_reduce, NN__GLOBAL_AVG, 1, "x", ""},
    {"ReduceMax", nn__onnx_reduce, NN__GLOBAL_MAX, 1, "x?i", NN__ONNX_REDUCE},
    {"ReduceMean", nn__onnx_reduce, NN__GLOBAL_AVG, 1, "x?i", NN__ONNX_REDUCE},
    {"ReduceSum", nn__onnx_reduce, NN__GLOBAL_AVG, 1, "x?i", NN__ONNX_REDUCE},
    {"Softmax", nn__onnx_softmax, 0, 1, "x", "axis=-1"},
    {"BatchNormalization", nn__onnx_channel_norm, NN__BATCH_NORM, 1, "xcccc",
     "epsilon=#e momentum training_mode!0"},
    {"InstanceNormalization", nn__onnx_channel_norm, NN__GROUP_NORM, 1, "xcc", "epsilon=#e"},
    {"LayerNormalization", nn__onnx_layer_norm, 0, 1, "xc?c", "axis=-1 epsilon=#e stash_type"},
    {"Relu", nn__onnx_activation, NN__RELU, 1, "x", ""},
    {"LeakyRelu", nn__onnx_activation, NN__LEAKY_RELU, 1, "x", "alpha=#l"},
    {"Elu", nn__onnx_activation, NN__ELU, 1, "x", "alpha=#1"},
    {"Softplus", nn__onnx_activation, NN__SOFTPLUS, 1, "x", ""},
    {"Clip", nn__onnx_activation, NN__CLAMP, 1, "x?cc", ""},
    {"Tanh", nn__onnx_activation, NN__TANH, 1, "x", ""},
    {"Sigmoid", nn__onnx_activation, NN__SIGMOID, 1, "x", ""},
    {"HardSigmoid", nn__onnx_activation, NN__HARD_SIGMOID, 1, "x", "alpha=#d beta=#h"},
    {"HardSwish", nn__onnx_activation, NN__HARD_SWISH, 1, "x", ""},
    {"Gelu", nn__onnx_activation, NN__GELU, 1, "x", "approximate:none"},
    {"PRelu", nn__onnx_prelu, 0, 1, "xc", ""},
    {"Pow", nn__onnx_square, 0, 1, "xc", ""},
    {"Pad", nn__onnx_pad, 0, 1, "xi?c", "mode:constant pads@1"},
    {"Resize", nn__onnx_resize, 0, 1, "x?--i",
     "sizes%3 mode:nearest|linear nearest_mode:round_prefer_floor|round_prefer_ceil|floor "
     "coordinate_transformation_mode:half_pixel|pytorch_half_pixel|asymmetric "
     "cubic_coeff_a extrapolation_value exclude_outside!0 antialias!0"},
    {"Gemm", nn__onnx_product, 1, 1, "xc?c", "alpha=#1 beta=#1 transB=0 transA!0"},
    {"MatMul", nn__onnx_product, 0, 1, "aa", ""},
    {"Add", nn__onnx_two, '+', 1, "aa", ""},
    {"Sub", nn__onnx_two, '-', 1, "aa", ""},
    {"Mul", nn__onnx_two, '*', 1, "aa", ""},
    {"Div", nn__onnx_two, '/', 1, "aa", ""},
    {"Sum", nn__onnx_two, '+', 1, "x*", ""},
    {"Equal", nn__onnx_calculate, '=', 1, "kk", ""},
    {"Where", nn__onnx_calculate, '?', 1, "kkk", ""},
    {"Shape", nn__onnx_shape, 0, 1, "a", "start=0 end=9"},
    {"Expand", nn__onnx_expand, 0, 1, "ai", "shape%1"},
    {"ConstantOfShape", nn__onnx_expand, 1, 1, "k", "shape%0 value"},
    {"Constant", nn__onnx_expand, 2, 1, "", "value"},
    {"Identity", nn__onnx_same, 0, 1, "a", ""},
    {"Dropout", nn__onnx_same, 0, 1, "x?-k", "ratio seed"},
    {"Cast", nn__onnx_same, 1, 1, "a", "to=0 saturate"},
    {"Transpose", nn__onnx_transpose, 0, 1, "a", "perm"},
    {"Squeeze", nn__onnx_squeeze, 0, 1, "a?i", "axes@1"},
    {"Unsqueeze", nn__onnx_squeeze, 1, 1, "a?i", "axes@1"},
    {"Flatten", nn__onnx_reshape, 1, 1, "a", "axis=1"},
    {"Reshape", nn__onnx_reshape, 0, 1, "ai", "shape%1 allowzero!0"},
    {"DepthToSpace", nn__onnx_to_space, 0, 1, "x", "blocksize=0 mode:DCR|CRD"},
    {"Slice", nn__onnx_slice, 0, 1, "aii?ii", "starts@1 ends@2 axes@3 steps@4"},
    {"Split", nn__onnx_split, 0, INT_MAX, "x?i", "axis=0 split@1 num_outputs"},
    {"Concat", nn__onnx_concat, 0, 1, "a*", "axis=1"},
    {"Gather", nn__onnx_gather, 0, 1, "aa", "axis=0"},
    {"RNN", nn__onnx_read_cell, NN__RNN, 2, "xcc?c-cc",
     NN__ONNX_CELL "activations:Tanh|Relu|TanhTanh|ReluRelu"},
    {"LSTM", nn__onnx_read_cell, NN__LSTM, 2, "xcc?c-cc", NN__ONNX_CELL
     "input_forget!0 activations:SigmoidTanhTanh|SigmoidTanhTanhSigmoidTanhTanh"},
    {"GRU", nn__onnx_read_cell, NN__GRU, 2, "xcc?c-c", NN__ONNX_CELL
     "linear_before_reset=0 activations:SigmoidTanh|SigmoidTanhSigmoidTanh"},
    {"Erf", NULL, 0, 1, "", "nn has this as part of a GELU alone"},
    {"Sqrt", NULL, 0, 1, "", "nn has this as part of a layer norm alone"},
    {"LogSoftmax", NULL, 0, 1, "",
     "nn has Softmax, and the loss takes logits; leave it out of the net"},
};
enum { NN__ONNX_KNOWN = sizeof nn__onnx_known / sizeof *nn__onnx_known };

/* Whether the operator's inputs and outputs are those of its row. */
static int nn__onnx_allowed(nn__onnx_reader *r, const struct nn__onnx_known *known)
{
  const nn__onnx_op *o = r->work;
  const char *sort = known->inputs;
  int may = 0;
  for (int k = 0; k < o->ins || (*sort && *sort != '?' && *sort != '*' && !may); k++) {
    const nn__onnx_view *v = nn__onnx_in(r, k);
    if (*sort == '?') sort++, may = 1;
    if (*sort == '*') sort--;
    const int layer = v && v->sort == NN__ONNX_LAYER;
    const char *wrong = NULL;
    if (!*sort) wrong = ", which nn has not";
    else if (!v) wrong = may ? NULL : " is missing";
    else if (*sort == 'x') wrong = layer ? NULL : " must be what a layer gives";
    else if (layer) wrong = strchr("a-", *sort) ? NULL : " must be numbers that do not change";
    else if (*sort != '-' && !nn__onnx_readable(v)) wrong = " must be numbers that nn reads";
    else if (*sort == 'c' && !nn__onnx_reals_only(v)) wrong = " must be reals that do not change";
    if (wrong) return nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its input %d%s", k, wrong);
    sort++;
  }
  for (int k = known->outs; k < o->outs; k++)
    if (r->value[o->out + k].uses)
      return nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "its output %d is read", k);
  return 1;
}

/* Whether the inputs of an operator are worked out, and are no layers; Shape asks for no more. */
static int nn__onnx_ready(const nn__onnx_reader *r, const nn__onnx_op *o)
{
  int ready = o->needed;
  for (int k = 0; k < o->ins; k++) {
    const nn__onnx_view *v = nn__onnx_of(r, o, k);
    ready &= !v || v->sort == NN__ONNX_TENSOR ||
             (v->sort == NN__ONNX_LAYER && nn__pb_is(o->type, "Shape"));
  }
  return ready;
}

NN__APART void nn__onnx_read_op(nn__onnx_reader *r, nn__onnx_op *o)
{
  const struct nn__onnx_known *known = nn__onnx_known;
  r->work = o, r->here = o->body.at;
  while (known < nn__onnx_known + NN__ONNX_KNOWN && !nn__pb_is(o->type, known->type)) known++;
  if (known == nn__onnx_known + NN__ONNX_KNOWN) {
    nn__onnx_refuse(r, "nn has no layer for this operator");
  } else if (!known->make) {
    nn__onnx_refuse(r, known->attributes);
  } else if (nn__onnx_allowed(r, known) && nn__onnx_attributes(r, o, known->attributes)) {
    nn__onnx_view *y = &r->value[o->out].v;
    r->how = known->how;
    if (nn__onnx_in(r, 0)) *y = *nn__onnx_in(r, 0);
    known->make(r, y);
  }
  if (r->status == NN_OK) nn__onnx_done(r, o);
}

/* Reads the operators that the output needs, in their order, but what is worked out without layers
 * ahead, so that rows find it. */
static void nn__onnx_read_ops(nn__onnx_reader *r)
{
  for (int i = 0; i < r->ops && r->status == NN_OK; i++) {
    int matched = 0, last = i;
    for (int k = i; k < r->ops && k < i + NN__ONNX_AHEAD && r->status == NN_OK; k++)
      if (nn__onnx_ready(r, &r->op[k])) nn__onnx_read_op(r, &r->op[k]), last = k;
    if (last > i) r->status = NN_OK; /* it fails again when it is its turn */
    r->work = &r->op[i], r->here = r->op[i].body.at;
    for (int k = 0; k < NN__ONNX_ROWS && !matched && r->op[i].needed && r->status == NN_OK; k++)
      matched = nn__onnx_row[k].when < 0 && nn__onnx_match(r, i, &nn__onnx_row[k]);
    if (r->op[i].needed && !matched && r->status == NN_OK) nn__onnx_read_op(r, &r->op[i]);
  }
  r->work = NULL;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* A ValueInfoProto among the inputs that is not an initializer. */
static void nn__onnx_input(nn__onnx_reader *r, nn__pb p)
{
  const nn__pb name = nn__pb_get(r, p, 1).body;
  const nn__pb tensor = nn__pb_get(r, nn__pb_get(r, p, 2).body, 1).body;
  const int sort = (int)(nn__pb_get(r, tensor, 1).value & 127);
  const int whole = sort == NN__ONNX_INT64 || sort == NN__ONNX_INT32;
  const nn_open_options *s = r->options;
  nn__pb shape = nn__pb_get(r, tensor, 2).body;
  nn__field f;
  int64_t size[5] = {0, 1, 1, 1, 1};
  int rank = 0;
  r->here = p.at;
  for (; nn__pb_next(r, &shape, &f); rank++)
    if (rank < 5) size[rank] = (int64_t)nn__pb_get(r, f.body, 1).value;
  if (nn__onnx_find(r, name) >= 0) return; /* older files list initializers, too */
  nn__onnx_view *v = nn__onnx_new(r, name);
  if (rank == 4 && s->height) size[2] = s->height;
  if (rank == 4 && s->width) size[3] = s->width;
  if ((rank == 3 || whole) && s->steps) size[1] = s->steps;
  for (int i = 1; i < rank && rank < 5; i++)
    if (!size[i])
      nn__onnx_fail(r, NN_ERR_SHAPE, "axis %d of an input has no size, nor have the options", i);
  r->batch = size[0];
  if (rank < 2 || rank > (whole ? 2 : 4))
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "an input of type %d and rank %d", sort, rank);
  if (r->status != NN_OK) return;
  v->rank = rank, v->dims = rank - 1, v->axis[0].size = v->axis[0].after = 1;
  for (int k = 0; k < v->dims; k++) v->mask[k] = 2u << k;
  const int node = nn__input(r->m, nn__rows[whole ? NN__TOKENS : NN__INPUT], rank - 1,
                             nn__onnx_narrow((double)size[1]), nn__onnx_narrow((double)size[2]),
                             nn__onnx_narrow((double)size[3]));
  if (nn__onnx_became(r, v, node)) nn__onnx_call(r, node, name);
}

/* Counts what the graph has. */
static void nn__onnx_survey(nn__onnx_reader *r)
{
  nn__pb p = r->graph;
  nn__field f, g;
  int outputs = 0;
  while (nn__pb_next(r, &p, &f)) {
    nn__pb q = f.body;
    r->here = q.at;
    r->values += f.number == 5 || f.number == 11, r->ops += f.number == 1;
    outputs += f.number == 12;
    if (f.number == 15) nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "sparse initializers");
    while (f.number == 1 && nn__pb_next(r, &q, &g))
      r->links += g.number == 1, r->values += g.number == 2;
    if (r->values > NN__ONNX_MOST || r->ops > NN__ONNX_MOST || r->links > 4 * NN__ONNX_MOST)
      nn__onnx_fail(r, NN_ERR_LIMIT, "more than %d values or operators", (int)NN__ONNX_MOST);
  }
  r->here = r->graph.at;
  if (outputs != 1)
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "%d outputs, where a model has one", outputs);
}

/* A NodeProto: its inputs have been given, its outputs become values. */
static void nn__onnx_add_op(nn__onnx_reader *r, nn__pb body)
{
  nn__onnx_op *o = &r->op[r->ops++];
  const nn__pb domain = nn__pb_get(r, body, 7).body;
  char name[48];
  nn__field f;
  memset(o, 0, sizeof *o);
  o->body = body, o->name = nn__pb_get(r, body, 3).body, o->type = nn__pb_get(r, body, 4).body;
  o->in = r->link + r->links, o->out = r->values, r->work = o;
  if (domain.at < domain.end && !nn__pb_is(domain, "ai.onnx"))
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "an operator that is not ONNX's own");
  for (nn__pb p = body; nn__pb_next(r, &p, &f);) {
    if (f.number != 1) continue;
    const int v = r->link[r->links++] = nn__onnx_find(r, f.body);
    o->ins++;
    nn__pb_text(f.body, name);
    if (v < 0 && name[0])
      nn__onnx_fail(r, NN_ERR_FORMAT, "it reads '%s', which no operator before it gives", name);
  }
  for (nn__pb p = body; nn__pb_next(r, &p, &f);)
    if (f.number == 2) nn__onnx_new(r, f.body), o->outs++;
  if (!o->outs) nn__onnx_fail(r, NN_ERR_FORMAT, "it has no output");
  r->work = NULL;
}

/* Initializers, inputs, operators and the output, in this order. */
NN__APART void nn__onnx_walk(nn__onnx_reader *r)
{
  static const int order[] = {5, 11, 1, 12};
  nn__onnx_view v;
  nn__field f;
  for (int i = 0; i < 4; i++)
    for (nn__pb p = r->graph; nn__pb_next(r, &p, &f);) {
      if (f.number != order[i]) continue;
      r->here = f.body.at;
      if (i == 0) {
        const nn__pb name = nn__onnx_read_tensor(r, f.body, &v);
        if (r->status == NN_OK) *nn__onnx_new(r, name) = v;
      } else if (i == 1) {
        nn__onnx_input(r, f.body);
      } else if (i == 2) {
        nn__onnx_add_op(r, f.body);
      } else {
        r->output = nn__onnx_find(r, nn__pb_get(r, f.body, 1).body);
        if (r->output < 0) nn__onnx_fail(r, NN_ERR_FORMAT, "the output is no value of the graph");
      }
    }
}

/* From the output back, which operators are needed, and how many of them read a value. */
static void nn__onnx_needs(nn__onnx_reader *r)
{
  if (r->status != NN_OK) return;
  r->value[r->output].uses = 1;
  for (int i = r->ops; i-- > 0;) {
    nn__onnx_op *o = &r->op[i];
    for (int k = 0; k < o->outs; k++) o->needed |= r->value[o->out + k].uses > 0;
    for (int k = 0; k < o->ins && o->needed; k++)
      if (o->in[k] >= 0) r->value[o->in[k]].uses++;
  }
}

/* The model's fields: where the graph is, the operator set, the room for notes; once the model is
 * built, the notes. */
static void nn__onnx_model_of(nn__onnx_reader *r, nn__pb p)
{
  nn_model *m = r->m;
  size_t room = 0;
  nn__field f;
  while (nn__pb_next(r, &p, &f)) {
    if (f.number == 7) r->graph = f.body;
    if (f.number != 8 && f.number != 14) continue;
    const nn__pb key = nn__pb_get(r, f.body, 1).body;
    const nn__field value = nn__pb_get(r, f.body, 2);
    const nn__pb text = value.body;
    if (f.number == 8 && (key.at == key.end || nn__pb_is(key, "ai.onnx")))
      r->set = (int64_t)value.value;
    const size_t length = (size_t)(key.end - key.at), size = (size_t)(text.end - text.at);
    char name[32] = "";
    if (f.number != 14 || length >= sizeof name || !length) continue;
    memcpy(name, key.at, length);
    const char *const note = size ? (const char *)text.at : "";
    if (size > NN__MOST_NOTES || room + length + size + 2 > NN__MOST_NOTES ||
        strlen(name) != length || !nn__good_key(name) || nn__bad_text(note, size) < size)
      continue;
    room += length + size + 2;
    if (m->built && !nn_note(m, name)) nn__add_note(m, name, note, size);
  }
  if (!m->built) m->notes_size = nn__max(m->notes_size, room);
}

/* Numbers for a parameter; a cell's come gate by gate, in ONNX's order. */
static void nn__onnx_pour(const nn__onnx_reader *r, nn__param *p, const nn__onnx_fill *f)
{
  const nn__kind kind = r->m->node[p->node].kind;
  const size_t each = p->count / (nn__is_cell(kind) ? nn__gates(kind) : 1);
  const int given = f->from.sort == NN__ONNX_TENSOR;
  for (size_t at = 0; at < p->count; at += each) {
    nn_real *const to = p->value + nn__onnx_gate(kind, at / each) * each;
    for (size_t i = 0; i < each; i++) {
      const double x = given ? nn__onnx_at(&f->from, (int64_t)(at + i)) : 1;
      to[i] = (nn_real)(f->scale * (f->invert ? 1 / x : x));
    }
  }
}

NN__APART void nn__onnx_build(nn__onnx_reader *r, size_t size)
{
  nn_model *m = r->m;
  unsigned mask[3] = {0, 0, 0};
  int rank = 0;
  r->here = r->graph.at;
  if (r->status != NN_OK) return;
  nn__onnx_view *const v = &r->value[r->output].v;
  if (v->sort != NN__ONNX_LAYER) nn__onnx_refuse(r, "the output is no layer's");
  for (int i = v->rank; i-- > 1 && v->rank > 4;) /* nn has three axes beside the samples */
    if (v->axis[i].size == 1 && !v->axis[i].after) nn__onnx_move_axes(v, i + 1, -1);
  if (v->rank > 4 || !v->axis[0].after)
    nn__onnx_fail(r, NN_ERR_UNSUPPORTED, "the output has %d axes, which must be the samples and at "
                  "most three others", v->rank);
  for (int i = 1; i < v->rank && r->status == NN_OK; i++) mask[rank++] = 1u << i;
  nn__onnx_as(r, v, rank ? rank : 1, mask);
  if (r->status == NN_OK && v->node != m->nodes - 1) /* the last layer's is the model's */
    nn__onnx_built(r, v, nn_reshape(m, v->node, m->node[v->node].rank, m->node[v->node].dim));
  r->io->section = "graph", r->io->at = (size_t)(r->graph.at - r->from);
  if (r->status == NN_OK) nn__io_afford(r->io, size, 0), r->status = r->io->status;
  for (int i = 0; i < m->nodes; i++) /* draws nothing */
    nn__set_init(&m->node[i], NN_INIT_CONSTANT, 0);
  const nn_status built = r->status == NN_OK ? nn_build(m) : r->status;
  if (built != NN_OK) nn__onnx_fail(r, built, "%s", nn__sentence(m));
  for (int i = 0; i < m->nodes; i++) nn__set_init(&m->node[i], NN_INIT_DEFAULT, 0);
  for (int i = 0; i < m->params && r->status == NN_OK; i++)
    nn__onnx_pour(r, &m->param[i], &r->fill[i]);
}

static void nn__onnx_read_graph(nn__onnx_reader *r, size_t size)
{
  const nn_allocator allocator = r->m->config.allocator;
  nn__onnx_survey(r);
  r->value = nn__onnx_memory(r, r->values, sizeof *r->value);
  r->op = nn__onnx_memory(r, r->ops, sizeof *r->op);
  r->link = nn__onnx_memory(r, r->links, sizeof *r->link);
  r->fill = nn__onnx_memory(r, NN_MAX_PARAMS, sizeof *r->fill);
  r->attr = nn__onnx_memory(r, NN__ONNX_ATTRS + 1, sizeof *r->attr);
  r->values = r->ops = r->links = 0;
  r->room = size + 256; /* a cell's weights may be put together twice, of four bytes a number */
  nn__onnx_walk(r);
  nn__onnx_needs(r);
  nn__onnx_read_ops(r);
  nn__onnx_build(r, size);
  while (r->block) {
    struct nn__onnx_block *const block = r->block;
    r->block = block->next;
    nn__release(&allocator, block, block->size);
  }
}

nn_status nn_load_onnx_memory(const void *bytes, size_t size, const nn_config *config,
                              const nn_open_options *options, nn_model **out, nn_message *why)
{
  static const nn_open_options whole; /* all zero */
  nn__onnx_reader r;
  nn__file f;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no place for the model");
  *out = NULL;
  memset(&r, 0, sizeof r), memset(&f, 0, sizeof f);
  r.options = options ? options : &whole, r.why = why;
  r.from = r.here = bytes;
  if (!bytes) return nn__say(why, NN_ERR_ARGUMENT, "no bytes given");
  if (r.options->until || r.options->steps < 0 || r.options->height < 0 || r.options->width < 0)
    return nn__say(why, NN_ERR_ARGUMENT, "until must be NULL, and steps, height, width 0 or more");
  if (config && config->in_place)
    return nn__say(why, NN_ERR_ARGUMENT, "config.in_place: an ONNX file's arrays are not nn's");
  f.io.why = why;
  nn_status status = nn__file_model(&f, config, NULL, NULL);
  if (status != NN_OK) return status;
  r.m = f.io.m, r.io = &f.io;
  const nn__pb p = {r.from, r.from + size};
  nn__onnx_model_of(&r, p);
  r.here = r.from;
  if (!r.graph.at)
    nn__onnx_fail(&r, NN_ERR_FORMAT, "no ONNX model: there is no graph");
  else if (r.set < 11 || r.set > 20)
    nn__onnx_fail(&r, NN_ERR_UNSUPPORTED, "operator set %lld, 11 to 20 are read", (long long)r.set);
  if (r.status == NN_OK) nn__onnx_read_graph(&r, size);
  if (r.status == NN_OK) nn__onnx_model_of(&r, p);
  if (r.status == NN_OK) *out = r.m;
  else nn_destroy(r.m);
  return r.status;
}

#ifndef NN_NO_STDIO
nn_status nn_load_onnx(const char *path, const nn_config *config, const nn_open_options *options,
                       nn_model **out, nn_message *why)
{
  nn_array file;
  nn_message reason;
  if (!out) return nn__say(why, NN_ERR_ARGUMENT, "no place for the model");
  *out = NULL;
  nn_status status = nn_file_read(path, INT32_MAX, config ? &config->allocator : NULL, &file, why);
  if (status != NN_OK) return status;
  status = nn_load_onnx_memory(file.data, file.count, config, options, out, &reason);
  nn_array_free(&file);
  return status == NN_OK ? status : nn__say(why, status, "%s: %s", nn__path_end(path), reason.text);
}
#endif

/* ---- writing ------------------------------------------------------------------------------ */

/* The first of two passes only counts, for the graph's length stands ahead of it. Short messages
 * are put together in `part`; arrays go straight out. */
typedef struct nn__onnx_writer {
  const nn_model *m;
  const nn__node *node; /* the layer at work */
  int batch, lists;     /* lists: @ words of the layer so far */
  int layer;            /* of a cell */
  nn__window_options window; /* with the padding that is written; that behind is on its own */
  int behind[2];
  int turned;           /* x and y stand for its input and output with channels first */
  nn_write write;       /* NULL: only counts */
  void *user;
  nn_status status;
  uint64_t size;        /* bytes that have gone out */
  size_t used;
  unsigned char part[512];
} nn__onnx_writer;

static void nn__onnx_out(nn__onnx_writer *w, const void *bytes, size_t size)
{
  w->size += size;
  if (w->write && w->status == NN_OK && size && w->write(w->user, bytes, size))
    w->status = NN_ERR_IO;
}

static void nn__onnx_flush(nn__onnx_writer *w)
{
  nn__onnx_out(w, w->part, w->used);
  w->used = 0;
}

/* Puts bytes into the message at `at`, moving what stands behind. */
static void nn__pb_insert(nn__onnx_writer *w, size_t at, const void *bytes, size_t size)
{
  if (size > sizeof w->part - w->used) {
    w->status = NN_ERR_LIMIT; /* names have an end, so this cannot be */
    return;
  }
  memmove(w->part + at + size, w->part + at, w->used - at);
  memcpy(w->part + at, bytes, size);
  w->used += size;
}

static void nn__pb_varint(nn__onnx_writer *w, size_t at, uint64_t value)
{
  unsigned char b[10];
  size_t n = 0;
  for (; value > 127; value >>= 7) b[n++] = (unsigned char)(value | 128);
  b[n++] = (unsigned char)value;
  nn__pb_insert(w, at, b, n);
}

static void nn__pb_key(nn__onnx_writer *w, int field, int wire)
{
  nn__pb_varint(w, w->used, (uint64_t)field << 3 | (uint64_t)wire);
}

static void nn__pb_whole(nn__onnx_writer *w, int field, int64_t value)
{
  nn__pb_key(w, field, 0);
  nn__pb_varint(w, w->used, (uint64_t)value);
}

/* Numbers of 8 and of 4 bytes. */
static void nn__pb_bits(nn__onnx_writer *w, uint64_t bits, int bytes)
{
  unsigned char b[8];
  for (int i = 0; i < bytes; i++) b[i] = (unsigned char)(bits >> 8 * i & 255);
  nn__pb_insert(w, w->used, b, (size_t)bytes);
}
static void nn__pb_float(nn__onnx_writer *w, double value)
{
  const float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  nn__pb_bits(w, bits, 4);
}

static void nn__pb_string(nn__onnx_writer *w, int field, const char *text)
{
  nn__pb_key(w, field, 2);
  nn__pb_varint(w, w->used, strlen(text));
  nn__pb_insert(w, w->used, text, strlen(text));
}

/* A message within the message: what is put between the two calls, and `more` bytes behind it. */
static size_t nn__pb_open(nn__onnx_writer *w, int field)
{
  nn__pb_key(w, field, 2);
  return w->used;
}
static void nn__pb_close(nn__onnx_writer *w, size_t start, uint64_t more)
{
  nn__pb_varint(w, start, w->used - start + more);
}

/* Layers that copy in inference, and so are left out. */
static int nn__drops(nn__kind kind) { return kind == NN__DROPOUT || kind == NN__DROP_CHANNELS; }

/* The value that node i leaves in the file: dropout does nothing there. */
static const char *nn__onnx_source(const nn_model *m, int i)
{
  while (nn__drops(m->node[i].kind)) i = m->node[i].in[0];
  return m->node[i].name;
}

/* A word of a row as the name of a value. Only names of layers have no '.'. */
static const char *nn__onnx_name(const nn__onnx_writer *w, const char *word, int list,
                                 nn_message *to)
{
  const nn__node *node = w->node;
  if (w->turned && !strcmp(word, "x")) word = "in";
  if (w->turned && !strcmp(word, "y")) word = "out";
  if (!strcmp(word, "x") || !strcmp(word, "z"))
    return nn__onnx_source(w->m, node->in[word[0] == 'z']);
  if (!strcmp(word, "y")) return node->name;
  if (word[0] == '$') return w->m->param[node->param + (word[1] - '0')].name;
  if (word[0] == '-') return "";
  if (word[0] == '@')
    nn__words(to, "%s.list%d", node->name, list);
  else
    nn__words(to, "%s.%s", node->name, word);
  return to->text;
}

/* An initializer's head; its numbers, 4 or 8 bytes each, must follow. */
static void nn__onnx_array(nn__onnx_writer *w, const char *name, int type, int rank,
                           const size_t *dim)
{
  uint64_t bytes = type == NN__ONNX_INT64 ? 8 : 4;
  const size_t start = nn__pb_open(w, 5);
  for (int i = 0; i < rank; i++) nn__pb_whole(w, 1, (int64_t)dim[i]), bytes *= dim[i];
  nn__pb_whole(w, 2, type);
  nn__pb_string(w, 8, name);
  nn__pb_key(w, 9, 2);
  nn__pb_varint(w, w->used, bytes);
  nn__pb_close(w, start, bytes);
  nn__onnx_flush(w);
}

static void nn__onnx_reals(nn__onnx_writer *w, const nn_real *x, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (w->used + 4 > sizeof w->part) nn__onnx_flush(w);
    nn__pb_float(w, (double)x[i]);
  }
  nn__onnx_flush(w);
}

/* Parameter k of the layer, in its own shape or another of as many numbers. */
static void nn__onnx_param(nn__onnx_writer *w, int k, int rank, const size_t *dim)
{
  const nn__param *p = &w->m->param[w->node->param + k];
  size_t own[4];
  for (int i = 0; i < 4; i++) own[i] = (size_t)p->dim[i];
  nn__onnx_array(w, p->name, NN__ONNX_FLOAT, rank ? rank : p->rank, rank ? dim : own);
  nn__onnx_reals(w, p->value, p->count);
}

/* A number of a list; of h/w both, one after the other, or in a sequence h alone. */
static int64_t nn__onnx_listed(const nn__onnx_writer *w, const char **at)
{
  const int64_t value = nn__onnx_whole(at);
  if (**at == '/' && ++*at && w->node->rank == 2) nn__onnx_whole(at);
  return value;
}

/* A word that begins with '#' or '@': the constant that it stands for. */
static void nn__onnx_constant(nn__onnx_writer *w, const char *word)
{
  const int real = word[0] == '#' || word[1] == 'f';
  const char *at = word + 1 + (real && word[0] == '@');
  const int often = strchr(word, '*') != NULL;
  size_t count = 0;
  nn_message name;
  for (const char *c = at; *c && word[0] == '@'; count++)
    if (nn__onnx_listed(w, &c), often) count = (size_t)nn__onnx_whole(&c) - 1;
  nn__onnx_array(w, nn__onnx_name(w, word, w->lists, &name), real ? NN__ONNX_FLOAT : NN__ONNX_INT64,
                 word[0] == '@' && (often || strchr(word, ',')), &count);
  if (word[0] == '#') nn__pb_float(w, nn__onnx_number(w->node, word[1]));
  else w->lists++;
  while (word[0] == '@' && *at) {
    const int64_t value = nn__onnx_listed(w, &at);
    for (int64_t i = often ? nn__onnx_whole(&at) : 1; i > 0; i--) {
      if (real) nn__pb_float(w, (double)value);
      else nn__pb_bits(w, (uint64_t)value, 8);
      nn__onnx_flush(w);
    }
  }
  nn__onnx_flush(w);
}

static void nn__onnx_attribute(nn__onnx_writer *w, char *word)
{
  enum { NN__ONNX_A_FLOAT = 1, NN__ONNX_A_INT, NN__ONNX_A_STRING, NN__ONNX_A_INTS = 7,
         NN__ONNX_A_STRINGS };
  const size_t start = nn__pb_open(w, 5);
  char *value = strchr(word, '='), *comma = strpbrk(word, ",/");
  int type = comma ? NN__ONNX_A_INTS : NN__ONNX_A_INT;
  *value++ = 0;
  nn__pb_string(w, 1, word);
  if (*value == '#') {
    nn__pb_key(w, 2, 5);
    nn__pb_float(w, nn__onnx_number(w->node, value[1]));
    type = NN__ONNX_A_FLOAT;
  } else if (*value == '*') {
    for (int i = w->node->rank == 3 ? 1 : w->node->rank; i <= w->node->rank; i++)
      nn__pb_whole(w, 8, i);
    type = NN__ONNX_A_INTS;
  } else if (*value > '9') {
    for (type = comma ? NN__ONNX_A_STRINGS : NN__ONNX_A_STRING; comma; comma = strchr(value, ',')) {
      *comma = 0;
      nn__pb_string(w, 9, value);
      value = comma + 1;
    }
    if (type == NN__ONNX_A_STRING) nn__pb_string(w, 4, value);
  } else {
    for (const char *at = value; *at;) nn__pb_whole(w, comma ? 8 : 3, nn__onnx_listed(w, &at));
  }
  nn__pb_whole(w, 20, type);
  nn__pb_close(w, start, 0);
}

/* A whole number of the layer; of a window's two the small letter is that of height. */
static int nn__onnx_size(const nn__onnx_writer *w, char letter)
{
  static const char letters[] = "kKsSpPdDgqQ";
  const nn__node *node = w->node;
  const nn__window_options *o = &w->window;
  const int size[] = {o->kernel_h, o->kernel_w, o->stride_h, o->stride_w, o->pad_h, o->pad_w,
                      o->dilation_h, o->dilation_w, o->groups, w->behind[0], w->behind[1]};
  switch (letter) {
  case '0': case '1': case '2': return node->dim[letter - '0'];
  case 'a': return node->axis + 1;
  case 'b': return node->begin;
  case 'e': return node->begin + node->dim[node->axis];
  case 'c': return (int)node->cols;
  case 'n': return node->size;
  case 'h': return node->cell.hidden;
  case 'l': return w->layer;
  case 'm': return w->layer + 1;
  case 'o': return node->output_pad_h;
  case 'O': return node->output_pad_w;
  default: return size[strchr(letters, letter) - letters];
  }
}

/* Operators, as rows have them. */
static void nn__onnx_ops(nn__onnx_writer *w, const char *row)
{
  const int rank = w->node->rank, *dim = w->node->dim;
  nn_message text;
  nn__text t = {text.text, sizeof text.text, 0};
  for (; *row; row++) {
    const int places = *row != '%' ? 0 : *++row == 'y' ? rank : -1;
    if (places < 0) nn__put_number(&t, (unsigned long long)nn__onnx_size(w, *row), 10);
    else nn__put_char(&t, places ? '0' : *row);
    for (int i = 0; i < places; i++) {
      nn__put_char(&t, ',');
      nn__put_number(&t, (unsigned long long)dim[w->turned ? rank - 1 - i : i], 10);
    }
  }
  text.text[t.used] = 0;
  for (const char *ops = text.text;; ops++) {
    char word[NN__ONNX_WORD], next[NN__ONNX_WORD];
    nn_message name;
    int list = w->lists;
    for (const char *at = nn__onnx_word(ops, word); word[0]; at = nn__onnx_word(at, word))
      if (word[0] == '#' || word[0] == '@') nn__onnx_constant(w, word);
    const size_t start = nn__pb_open(w, 1);
    ops = nn__onnx_word(ops, word);
    nn__pb_string(w, 4, word);
    for (ops = nn__onnx_word(ops, next); next[0]; list += word[0] == '@') {
      memcpy(word, next, sizeof word);
      ops = nn__onnx_word(ops, next);
      if (strchr(word, '=')) {
        nn__onnx_attribute(w, word);
        continue;
      }
      const int last = !next[0] || strchr(next, '='); /* the output, whose name is the operator's */
      const char *text = nn__onnx_name(w, word, list, &name);
      nn__pb_string(w, last ? 2 : 1, text);
      if (last) nn__pb_string(w, 3, text);
    }
    nn__pb_close(w, start, 0);
    nn__onnx_flush(w);
    if (!*ops) return;
  }
}

/* The matrix A of a mean over windows, y = A x or, `turned`, y = x A^T, as nn.h has them. */
static void nn__onnx_means(nn__onnx_writer *w, const char *word, int in, int out, int turned)
{
  const size_t dim[2] = {(size_t)(turned ? in : out), (size_t)(turned ? out : in)};
  nn_message name;
  nn__onnx_array(w, nn__onnx_name(w, word, 0, &name), NN__ONNX_FLOAT, 2, dim);
  for (size_t at = 0; at < dim[0] * dim[1]; at++) {
    const int64_t row = (int64_t)(turned ? at % dim[1] : at / dim[1]);
    const int64_t col = (int64_t)(turned ? at / dim[1] : at % dim[1]);
    const int64_t first = row * in / out, end = ((row + 1) * in + out - 1) / out;
    const nn_real share = col >= first && col < end ? 1 / (nn_real)(end - first) : 0;
    nn__onnx_reals(w, &share, 1);
  }
}

/* What tells rows of a kind apart. */
static int nn__onnx_when(const nn__onnx_writer *w)
{
  const nn__node *node = w->node, *in = w->m->node;
  if (nn__is_cell(node->kind)) return 1 + node->cell.bidirectional + 2 * node->cell.relu;
  if (node->kind == NN__TO_SEQUENCE || node->kind == NN__TO_IMAGE) return 1 + node->axis;
  if (node->kind == NN__MULTIPLY) return node->rank == in[node->in[1]].rank ? 1 : node->rank;
  return in[node->in[0]].rank;
}

/* A layer by its row. */
static void nn__onnx_plain(nn__onnx_writer *w)
{
  const nn__node *node = w->node;
  const int when = nn__onnx_when(w);
  for (int i = 0; i < NN__ONNX_ROWS; i++) {
    const struct nn__onnx_row *row = &nn__onnx_row[i];
    const int fits = row->when == NN__ONNX_BOTH || row->when == 0 || row->when == when;
    const char *const last = strrchr(row->ops, '$'); /* of the parameters that it reads */
    if (row->kind != node->kind || !fits || (last && last[1] - '0' >= node->params)) continue;
    nn__onnx_ops(w, row->ops);
    return;
  }
}

/* ceil and the zeros that count are written as padding behind, which all readers take alike. */
static void nn__onnx_write_pool(nn__onnx_writer *w)
{
  const nn__node *node = w->node, *x = &w->m->node[node->in[0]];
  nn__window_options *const o = &w->window;
  const int average = node->kind == NN__AVG_POOL, image = node->rank == 3;
  const int from[2] = {(int)nn__image_height(x), (int)nn__image_width(x)};
  const int to[2] = {(int)nn__image_height(node), (int)nn__image_width(node)};
  if (average && !o->stride_h && (from[0] % to[0] || from[1] % to[1])) {
    nn__onnx_means(w, "rows", from[0], to[0], !image);
    if (image) nn__onnx_means(w, "columns", from[1], to[1], 1);
    nn__onnx_ops(w, image ? "MatMul rows x a;MatMul a columns y" : "MatMul x rows y");
    return;
  }
  if (average && !o->stride_h) { /* adaptive, all windows alike */
    o->kernel_h = o->stride_h = (uint16_t)(from[0] / to[0]);
    o->kernel_w = o->stride_w = (uint16_t)(from[1] / to[1]);
  }
  for (int i = 0; i < 2; i++) {
    const int before = i ? o->pad_w : o->pad_h, kernel = i ? o->kernel_w : o->kernel_h;
    const int reach = (to[i] - 1) * (i ? o->stride_w : o->stride_h) + kernel - from[i] - before;
    w->behind[i] = reach > before ? reach : before;
  }
  const int counts = average && !node->exclude_pad && (o->pad_h || o->pad_w);
  if (counts && (w->behind[0] > o->pad_h || w->behind[1] > o->pad_w)) {
    nn__onnx_ops(w, NN__ONNX_PAD("%p/%P") " a"); /* what is behind the padding does not count */
    w->behind[0] -= o->pad_h, w->behind[1] -= o->pad_w, o->pad_h = o->pad_w = 0;
    nn__onnx_ops(w, "AveragePool a y" NN__ONNX_SIZES);
  } else {
    nn__onnx_ops(w, !average ? "MaxPool x y" NN__ONNX_SIZES
                    : counts ? "AveragePool x y" NN__ONNX_SIZES " count_include_pad=1"
                             : "AveragePool x y" NN__ONNX_SIZES);
  }
}

/* Of layer k, for each direction: a parameter, or the two biases, gate by gate in ONNX's order. */
static void nn__onnx_gates(nn__onnx_writer *w, const char *sort, int k, int from, int params)
{
  const nn__node *node = w->node;
  const int directions = (int)nn__directions(node);
  const size_t gates = nn__gates(node->kind);
  const nn__param *p = &w->m->param[node->param + 4 * k * directions + from];
  size_t dim[3] = {(size_t)directions, (size_t)p->dim[0], (size_t)p->dim[p->rank - 1]};
  nn_message word, name;
  if (params == 2) dim[1] *= 2;
  nn__words(&word, "%s%d", sort, k);
  nn__onnx_array(w, nn__onnx_name(w, word.text, 0, &name), NN__ONNX_FLOAT, 4 - params, dim);
  for (int i = 0; i < directions * params; i++) {
    const nn__param *one = p + i / params * 4 + i % params;
    const size_t each = one->count / gates;
    for (size_t gate = 0; gate < gates; gate++)
      nn__onnx_reals(w, one->value + nn__onnx_gate(node->kind, gate) * each, each);
  }
}

static void nn__onnx_cell(nn__onnx_writer *w)
{
  nn__onnx_ops(w, "Transpose x s0 perm=1,0,2");
  for (w->layer = 0; w->layer < w->node->cell.layers; w->layer++) {
    nn__onnx_gates(w, "W", w->layer, 0, 1);
    nn__onnx_gates(w, "R", w->layer, 1, 1);
    nn__onnx_gates(w, "B", w->layer, 2, 2);
    nn__onnx_plain(w);
  }
  nn__onnx_ops(w, "Transpose s%l y perm=1,0,2");
}

static void nn__onnx_layer(nn__onnx_writer *w)
{
  const nn__node *node = w->node;
  const nn__kind kind = node->kind;
  const int cell = nn__is_cell(kind), rank = node->rank, *from = w->m->node[node->in[0]].dim;
  const size_t own[3] = {kind == NN__PRELU ? (size_t)node->size : node->cols, 1, 1};
  const int sizes = kind == NN__GROUP_NORM ? rank /* so that they spread over height and width */
                    : kind == NN__NORMALISE || kind == NN__PRELU ? (rank == 3 ? 3 : 1) : 0;
  const int turn = rank == 2 && (kind == NN__CONV2D || kind == NN__MAX_POOL ||
                   kind == NN__AVG_POOL || kind == NN__BATCH_NORM || kind == NN__GROUP_NORM);
  if (turn) nn__onnx_ops(w, "Transpose x in perm=0,2,1");
  w->turned = turn;
  w->window = node->window;
  w->behind[0] = w->window.pad_h, w->behind[1] = w->window.pad_w;
  for (int i = 0; i < 2 && kind == NN__PADDED; i++)
    w->behind[i] = node->dim[1 + i] - from[1 + i] - w->behind[i];
  for (int k = 0; k < node->params && !cell; k++) nn__onnx_param(w, k, sizes, own);
  if (cell) nn__onnx_cell(w);
  else if (kind == NN__MAX_POOL || kind == NN__AVG_POOL) nn__onnx_write_pool(w);
  else nn__onnx_plain(w);
  w->turned = 0;
  if (turn) nn__onnx_ops(w, "Transpose out y perm=0,2,1");
}

/* A value at the border: an input (11) or the output (12) of the graph. */
static void nn__onnx_border(nn__onnx_writer *w, int field, const nn__node *node)
{
  const size_t info = nn__pb_open(w, field);
  nn__pb_string(w, 1, node->name);
  const size_t type = nn__pb_open(w, 2), tensor = nn__pb_open(w, 1);
  nn__pb_whole(w, 1, node->kind == NN__TOKENS ? NN__ONNX_INT64 : NN__ONNX_FLOAT);
  const size_t shape = nn__pb_open(w, 2);
  for (int i = -1; i < node->rank; i++) {
    const size_t dim = nn__pb_open(w, 1);
    if (i < 0 && !w->batch)
      nn__pb_string(w, 2, "N");
    else
      nn__pb_whole(w, 1, i < 0 ? w->batch : node->dim[i]);
    nn__pb_close(w, dim, 0);
  }
  nn__pb_close(w, shape, 0), nn__pb_close(w, tensor, 0), nn__pb_close(w, type, 0);
  nn__pb_close(w, info, 0);
  nn__onnx_flush(w);
}

/* Whether a model can be written: it is whole, and ONNX has operators for each layer. */
static nn_status nn__onnx_writable(const nn_model *m, int batch, nn_message *to)
{
  if (batch < 0) return nn__say(to, NN_ERR_ARGUMENT, "nn_save_onnx: batch is %d", batch);
  if (!m->built) return nn__say(to, NN_ERR_STATE, "nn_save_onnx: not built");
  const nn__param *absent = nn__absent(m);
  if (absent) return nn__say(to, NN_ERR_STATE, "nn_save_onnx: %s " NN__ABSENT, absent->name);
  for (int i = 0; i < m->nodes; i++) {
    const nn__node *node = &m->node[i];
    const int of_steps = node->rank == 2;
    const char *const why =
        node->kind == NN__CUSTOM ? "is the program's own layer, which is no operator of ONNX"
        : node->kind == NN__FINAL_STATE               ? "gives a final state"
        : nn__is_cell(node->kind) && node->inputs > 1 ? "begins from a given state"
        : of_steps && (node->kind == NN__PADDED || node->kind == NN__UPSAMPLE)
            ? "adds or repeats steps" : NULL;
    if (why)
      return nn__say(to, NN_ERR_UNSUPPORTED, "nn_save_onnx: %s cannot be written: it %s",
                     node->name, why);
  }
  return NN_OK;
}

static void nn__onnx_graph(nn__onnx_writer *w)
{
  const nn_model *m = w->m;
  nn__pb_string(w, 2, "nn");
  nn__onnx_flush(w);
  for (int i = 0; i < m->inputs; i++) nn__onnx_border(w, 11, &m->node[m->input[i]]);
  for (int i = 0; i < m->nodes; i++) {
    w->node = &m->node[i], w->lists = 0;
    const nn__kind kind = w->node->kind;
    if (nn__is_input(kind) || nn__is_loss(kind)) continue;
    if (!nn__drops(kind))
      nn__onnx_layer(w);
    else if (i == m->output)
      nn__onnx_ops(w, "Identity x y");
  }
  nn__onnx_border(w, 12, &m->node[m->output]);
}

/* The model's bytes, all but those of the graph. */
static void nn__onnx_model(nn__onnx_writer *w, uint64_t graph)
{
  const char *key;
  nn__pb_whole(w, 1, NN__ONNX_IR);
  nn__pb_string(w, 2, "nn");
  nn__pb_string(w, 3, NN_VERSION);
  const size_t set = nn__pb_open(w, 8);
  nn__pb_string(w, 1, "");
  nn__pb_whole(w, 2, NN__ONNX_OPSET);
  nn__pb_close(w, set, 0);
  for (int i = 0; (key = nn_note_key(w->m, i)) != NULL; i++) {
    const char *text = key + strlen(key) + 1;
    const size_t entry = nn__pb_open(w, 14);
    nn__pb_string(w, 1, key);
    nn__pb_key(w, 2, 2);
    nn__pb_varint(w, w->used, strlen(text));
    nn__pb_close(w, entry, strlen(text));
    nn__onnx_flush(w);
    nn__onnx_out(w, text, strlen(text)); /* it may be long */
  }
  nn__pb_key(w, 7, 2);
  nn__pb_varint(w, w->used, graph);
  nn__onnx_flush(w);
}

nn_status nn_export_onnx(const nn_model *m, int batch, nn_write write, void *user)
{
  nn__onnx_writer w;
  if (!m || !write) return NN_ERR_ARGUMENT;
  const nn_status writable = nn__onnx_writable(m, batch, NULL);
  if (writable != NN_OK) return writable;
  memset(&w, 0, sizeof w);
  w.m = m, w.batch = batch;
  nn__onnx_graph(&w);
  const uint64_t graph = w.size;
  w.size = 0;
  nn__onnx_model(&w, graph);
  if (w.status == NN_OK && w.size + graph > INT32_MAX) w.status = NN_ERR_LIMIT;
  if (w.status != NN_OK) return w.status;
  w.write = write, w.user = user;
  nn__onnx_model(&w, graph);
  nn__onnx_graph(&w);
  return w.status;
}

#ifndef NN_NO_STDIO
static nn_status nn__onnx_named(nn_model *m, const char *batch, nn_write write, void *user)
{
  return nn_export_onnx(m, *(const int *)(const void *)batch, write, user);
}

nn_status nn_save_onnx(nn_model *m, int batch, const char *path)
{
  if (!m) return NN_ERR_ARGUMENT;
  nn_status status = nn__onnx_writable(m, batch, nn__message(m));
  if (status != NN_OK) return m->status = status;
  status = nn__export_file(m, (const void *)&batch, path, nn__onnx_named);
  if (status != NN_ERR_LIMIT) return status;
  return nn__error(m, status, "nn_save_onnx: an ONNX file has less than 2 GiB");
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
