/* nn - convolutional and recurrent networks on a CPU, in one pair of C99 files.
 *
 * Put nn.h and nn.c into your program, compile nn.c with any C99 compiler, optimised, and link libm
 * (and pthreads, unless NN_NO_THREADS). There is nothing else to build, install or initialise:
 *
 *     cc -O2 -o program program.c nn.c -lm -lpthread
 *
 * C++ includes nn.h and links what a C compiler made of nn.c. One file may also include nn.c.
 *
 *     nn_config config = nn_config_default();
 *     config.batch = 64;
 *     nn_model *m = nn_create(&config);
 *     int x = nn_input_sequence(m, 28, 28);                  // 28 rows of 28 pixels
 *     x = nn_gru(m, x, 128);
 *     x = nn_last_step(m, x);
 *     x = nn_linear(m, x, 10);
 *     nn_cross_entropy(m, x);
 *     nn_optimizer adam = nn_adam(1e-3);
 *     nn_set_optimizer(m, &adam);
 *     if (nn_build(m) != NN_OK) puts(nn_error(m));           // one check for all of the above
 *     nn_fit_options fit = nn_fit_default();
 *     nn_fit(m, &train, &fit);                               // or forward, loss, backward, step
 *     nn_evaluate(m, &test, &result);
 *     nn_destroy(m);
 *
 * HOW IT IS MEANT TO BE USED
 *   Describe: builder calls add layers in order and return node numbers. An error (a wrong shape, a
 *     bad value) sticks to the model, later calls do nothing, and nn_build returns it; nn_error has
 *     a sentence that names the layer and the shapes.
 *   Build:    nn_build takes one block of memory for everything (nn_plan tells its size, and
 *     nn_build_in uses yours). No call after it allocates, training included (but
 *     nn_export_c, while it works).
 *   Run:      step level: nn_forward, nn_loss, nn_backward, nn_step (nn_train is all four);
 *     fit level: nn_fit, nn_evaluate over an nn_dataset.
 *   Look:     nn_survey, nn_observe, nn_project, nn_occlusion, in the middle of training, too.
 *   The engine never prints, exits, aborts, or reads the environment, and has no mutable globals.
 *   Every call that can fail returns an nn_status. Passing NULL for a model is an error, not a
 *   crash. A model has no lock of its own: threads that share one take turns by a lock of the
 *   caller's, calls that only read included. Different models may be used by different threads at
 *   once. Its own threads do not live on in a child of fork(), which leaves such a model alone.
 *
 * CONVENTIONS are PyTorch's, so that weights move both ways
 *   Row-major arrays, batch first: images [N,C,H,W], sequences [N,T,F], vectors [N,F].
 *   Linear.weight [out,in]; Conv2d.weight [out,in/groups,kh,kw], cross-correlation; LSTM gates in
 *   the order i,f,g,o; GRU r,z,n with the reset gate applied after the recurrent product; two
 *   biases a cell. Parameter and gradient arrays keep these shapes; the layout inside is the
 *   engine's own.
 *
 * NUMBERS
 *   float32 (-DNN_REAL=double gives a slow double-precision build for checking gradients).
 *   Same seed, same build, same ISA: the same bits, for any number of threads, any run, resumed or
 *   not, wherever the memory lies. Across ISAs what is drawn (initial values, order of the samples,
 *   dropout, augmentation) has the same bits; sums are taken in other orders: results agree within
 *   rounding, not to the bit (parameters within 1e-6 after four steps with momentum, as tested).
 *   An inference model joins, packs or transforms its weights once and folds a batch norm into the
 *   convolution before it. So it takes sums in another order than the model that was trained: equal
 *   within rounding, or to the bit with config.least_memory.
 *   exp, tanh, sigmoid in float32: relative error below 3e-7 in every ISA (tests measure it).
 *   Subnormal numbers (below 1.2e-38) are taken for 0 and made 0 in the engine's calls and threads:
 *   gradients and optimizers' averages fade through them, and many processors take a hundred cycles
 *   for each. Results are rounded to the nearest. The caller's floating-point mode is put back on
 *   return. Builds without SIMD kernels (NN_NO_SIMD, double), WebAssembly and, on 32-bit x86, what
 *   the x87 computes (the scalar kernels) keep subnormals: they have no such mode, or do not touch
 *   it. ARMv7's NEON takes them for 0 always.
 *   3x3 and 5x5 convolutions at stride 1 with 16 channels or more go through Winograd's transform:
 *   three to five times fewer products. With random weights and inputs, of outputs and of both
 *   gradients, an error stays below 1e-4 of their root mean square, and the errors' own root mean
 *   square below 7e-6, up to 4096 channels (tested on every ISA). The direct sum, which
 *   config.direct_convolution asks for, has 4e-5 and 4e-6. Where the terms of a sum cancel out,
 *   both are larger against what is left. A NaN or an infinity in the input spreads over all
 *   outputs that are computed from the same 8x8 pixels, which may lie up to 7 pixels away.
 *
 * STACK
 *   No function of an optimised build (gcc -O2 or -Os; x86-64, ARM) takes more than 2 KB of stack,
 *   and no call more than 8 KB with all that it calls: up to 7.5 KB as measured with gcc and clang
 *   on x86-64. Threads of the engine's own have the system's default stacks. It is several times as
 *   much without optimisation.
 *
 * LICENSE: MIT, see the end of nn.c.
 */
#ifndef NN_H
#define NN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NN_VERSION "0.2.0"

/* ======================================= @@CONFIG ==========================================
 * Compile-time switches, each given with -D to every file that includes nn.h.
 * NN_REAL           float (default) or double. double: scalar kernels only, for checking. A program
 *                   and an nn.c that differ here do not link.
 * NN_NO_STDIO       no files: what takes a path is gone, what takes bytes in memory stays.
 * NN_NO_THREADS     no threads API at all; config.threads above 1 is then NN_ERR_UNSUPPORTED.
 *                   Where there are no POSIX threads (bare metal, wasm) nn.c sets it by itself.
 * NN_NO_SIMD        only the portable scalar kernels; no intrinsics, no inline assembly.
 * NN_NO_MALLOC      no malloc: models live in the caller's buffers or come from config.allocator.
 *                   What is given no allocator, but needs one, is out of memory (NN_ERR_MEMORY).
 * NN_NO_TRAINING    no gradients, losses, optimizers or fitting: inference only, least code.
 * NN_NO_INSPECT     without the functions that look inside a net (@@INSPECT).
 * NN_NO_EXPORT      without files of other programs (@@EXPORT, @@SOURCE, @@ONNX); nn_load_weights
 *                   reads nn's own.
 * NN_NO_MESSAGES    failures are told by their status alone: nn_error and nn_message hold
 *                   nn_status_text of it. Saves some 10 KB of code on a Cortex-M.
 * NN_NO_WINOGRAD    convolutions always by the direct sum, as config.direct_convolution asks.
 * NN_NO_INIT        no initial values: parameters are 0 until a file or the caller brings them,
 *                   nn_set_init has no effect, nor is it saved; nn_reinitialise is
 *                   NN_ERR_UNSUPPORTED.
 * NN_MALLOC(n), NN_FREE(p)   replace malloc and free; define both or neither.
 * NN_API            linkage of every public function. Default: extern, visible outside a shared
 *                   library even with -fvisibility=hidden; NN_API=extern leaves it to the compiler.
 *                   A DLL: compile nn.c with "-DNN_API=__declspec(dllexport)" and the programs that
 *                   use it with "-DNN_API=__declspec(dllimport)".
 * NN_NO_WARNING     no warning where nn.c is compiled without optimisation (some 20 times slower).
 * NN__SELF          nn.c's name in quotes, for itself to include. Needed only if it was renamed and
 *                   the compiler has no __FILE_NAME__ (gcc has it from version 12, clang from 9).
 * NN_MAX_NODES      most layers of a model, 4 .. 4096 (default 256); some 290 bytes each
 *                   (96 for inference on 32 bits) and 24 for a name.
 * NN_MAX_PARAMS     most parameter arrays of a model, 4 .. 32767 (default 512); some 60 bytes each
 *                   (36). Memory for all is taken unless most_nodes, .., of config say less.
 * NN_MAX_THREADS    most threads of a model (default 64).                                    */
#ifndef NN_REAL
#define NN_REAL float
#endif
#ifndef NN_API
#if defined __GNUC__ && !defined _WIN32
#define NN_API extern __attribute__((visibility("default")))
#else
#define NN_API extern
#endif
#endif
#ifndef NN_MAX_NODES
#define NN_MAX_NODES 256
#endif
#ifndef NN_MAX_PARAMS
#define NN_MAX_PARAMS 512
#endif
#ifndef NN_MAX_THREADS
#define NN_MAX_THREADS 64
#endif
#define NN_MAX_INPUTS 4 /* most input layers of a model */
#define NN_NAME_SIZE 48 /* bytes of a layer's or parameter's name, with the closing zero */
#define NN_MAX_CLASSES 65536

typedef NN_REAL nn_real;

/* In double precision what makes a model or context, or takes an nn_real, links by another name. */
#define NN__PASTE2(a, b) a##b
#define NN__PASTE(a, b) NN__PASTE2(a, b)
#define NN__REAL_float 1
#define NN__REAL_double 2
#if NN__PASTE(NN__REAL_, NN_REAL) == 2
#define nn_context_create nn_context_create_double
#define nn_create nn_create_double
#define nn_create_in nn_create_in_double
#define nn_load nn_load_double
#define nn_load_memory nn_load_memory_double
#define nn_load_in nn_load_in_double
#define nn_open nn_open_double
#define nn_open_memory nn_open_memory_double
#define nn_load_weights nn_load_weights_double
#define nn_load_weights_memory nn_load_weights_memory_double
#define nn_load_onnx nn_load_onnx_double
#define nn_load_onnx_memory nn_load_onnx_memory_double
#define nn_predict_top nn_predict_top_double
#define nn_get_state nn_get_state_double
#define nn_set_state nn_set_state_double
#define nn_gemm nn_gemm_double
#define nn_normalise nn_normalise_double
#define nn_cross_entropy_with nn_cross_entropy_with_double
#define nn_loss_default nn_loss_default_double
#define nn_loss_with nn_loss_with_double
#define nn_custom nn_custom_double
#define nn_custom_loss_with nn_custom_loss_with_double
#define nn_forward nn_forward_double
#define nn_output nn_output_double
#define nn_read nn_read_double
#define nn_predict nn_predict_double
#define nn_loss nn_loss_double
#define nn_backward_from nn_backward_from_double
#define nn_input_gradient nn_input_gradient_double
#define nn_train nn_train_double
#define nn_gradients nn_gradients_double
#define nn_parameters nn_parameters_double
#define nn_get_param nn_get_param_double
#define nn_find_param nn_find_param_double
#define nn_share_weights nn_share_weights_double
#define nn_place_weights nn_place_weights_double
#define nn_dataset_pixels nn_dataset_pixels_double
#define nn_dataset_from_arrays nn_dataset_from_arrays_double
#define nn_dataset_load nn_dataset_load_double
#define nn_dataset_load_cifar10 nn_dataset_load_cifar10_double
#define nn_dataset_free nn_dataset_free_double
#define nn_dataset_transform nn_dataset_transform_double
#define nn_dataset_moments nn_dataset_moments_double
#define nn_dataset_split nn_dataset_split_double
#define nn_gather nn_gather_double
#define nn_int8_create nn_int8_create_double
#define nn_int8_run nn_int8_run_double
#define nn_int8_evaluate nn_int8_evaluate_double
#define nn_fit_default nn_fit_default_double
#define nn_fit nn_fit_double
#define nn_resume nn_resume_double
#define nn_evaluate nn_evaluate_double
#define nn_moments_add nn_moments_add_double
#define nn_histogram_add nn_histogram_add_double
#define nn_observe nn_observe_double
#define nn_peaks_add nn_peaks_add_double
#define nn_survey nn_survey_double
#define nn_confusion nn_confusion_double
#define nn_peaks nn_peaks_double
#define nn_occlusion_size nn_occlusion_size_double
#define nn_occlusion nn_occlusion_double
#define nn_project nn_project_double
#endif

/* ======================================== @@BASE =========================================== */

typedef enum nn_status {
  NN_OK = 0,
  NN_ERR_ARGUMENT = -1,    /* a value outside its documented range, or NULL where it may not be */
  NN_ERR_MEMORY = -2,      /* the allocator returned NULL, or the caller's buffer is too small */
  NN_ERR_SHAPE = -3,       /* layers whose shapes do not fit each other */
  NN_ERR_STATE = -4,       /* calls in the wrong order: forward before build, and so on */
  NN_ERR_IO = -5,          /* a file cannot be opened, read, written or renamed */
  NN_ERR_FORMAT = -6,      /* a file's content is not what it should be */
  NN_ERR_LIMIT = -7,       /* more layers, elements or bytes than a limit allows */
  NN_ERR_UNSUPPORTED = -8, /* left out of this build, or not available on this processor */
  NN_ERR_DIVERGED = -9,    /* a loss, gradient or parameter became NaN or infinite */
  NN_STOPPED = 1,          /* not an error: a callback asked nn_fit to stop */
  NN_ABSENT = 2            /* not an error: nn_resume found no checkpoint, so there is no model */
} nn_status;

/* A status in words, "out of memory" and the like; never NULL. */
NN_API const char *nn_status_text(int status);

/* Where calls without a model put the sentence that explains a failure. May be NULL everywhere. */
typedef struct nn_message {
  char text[256];
} nn_message;

/* allocate returns memory aligned for any object or NULL; release gets the same size again.
 * All zero means NN_MALLOC and NN_FREE. */
typedef struct nn_allocator {
  void *(*allocate)(void *user, size_t size);
  void (*release)(void *user, void *memory, size_t size);
  void *user;
} nn_allocator;

/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). The i-th number of a stream depends on (seed, stream, i) alone, so a mask or
 * a shuffle is the same for any number of threads and after a restart. r NULL: 0. */
typedef struct nn_random {
  uint64_t seed, stream, counter;
} nn_random;
NN_API uint32_t nn_random_at(uint64_t seed, uint64_t stream, uint64_t index); /* any of 2^32 */
NN_API uint32_t nn_random_next(nn_random *r);            /* and moves the counter on by one */
NN_API uint32_t nn_random_below(nn_random *r, uint32_t n); /* 0 .. n-1, unbiased; 0 for n = 0 */
NN_API double nn_random_uniform(nn_random *r);           /* [0,1), 32 bits of it random */
NN_API double nn_random_normal(nn_random *r);            /* mean 0, deviation 1 (Box-Muller) */
/* The place-th element of a random permutation of 0 .. count-1 that is fixed by (seed, epoch):
 * a Feistel network walked until it falls inside the range, so no array is kept. O(1) expected. */
NN_API uint32_t nn_shuffled(uint64_t seed, uint64_t epoch, uint32_t count, uint32_t place);

/* ========================================= @@CPU ===========================================
 * Which kernels run. AUTO takes the best that processor and operating system offer. */
typedef enum nn_isa {
  NN_ISA_AUTO = 0,
  NN_ISA_SCALAR,
  NN_ISA_SSE2,
  NN_ISA_AVX2, /* with FMA */
  NN_ISA_AVX512, /* x86-64 alone */
  NN_ISA_NEON, /* aarch64, ARMv7 */
  NN_ISA_WASM, /* WebAssembly, compiled with -msimd128 */
  NN_ISA_COUNT
} nn_isa;
NN_API const char *nn_isa_name(nn_isa isa);           /* "auto", "scalar", "sse2", "avx2", ... */
NN_API nn_status nn_isa_find(const char *name, nn_isa *isa); /* NN_ERR_ARGUMENT if unknown */
NN_API int nn_isa_available(nn_isa isa);              /* 1 if compiled in and runnable here */
NN_API nn_isa nn_isa_best(void);                      /* what AUTO means here; never AUTO */

/* ======================================== @@GEMM ===========================================
 * The matrix product alone, for programs that need nothing else. */
typedef struct nn_context nn_context; /* kernels, threads and packing space; one user at a time */

/* threads 1 .. NN_MAX_THREADS, 0 = one a core that this process may use: one that it is bound to,
 * and on Linux no more than the CPU quota of its control groups allows. allocator may be NULL. NULL
 * when out of memory, when the ISA is not available or threads is out of range. */
NN_API nn_context *nn_context_create(nn_isa isa, int threads, const nn_allocator *allocator);
NN_API void nn_context_destroy(nn_context *c); /* NULL is fine */

/* C[m,n] = alpha op(A)[m,k] op(B)[k,n] + beta C, row-major; op transposes when its flag is set.
 * lda, ldb, ldc: distance between stored rows, in elements (at least the stored row's length).
 * beta = 0 overwrites C, NaN included; alpha = 0 does not read A and B (both as in BLAS). Any of m,
 * n, k may be 0. C may not overlap A or B.
 * Errors: NN_ERR_ARGUMENT for a NULL or a too small leading dimension. No allocation.
 * The five loops round a micro-kernel are those of Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", TOMS 2008. */
NN_API nn_status nn_gemm(nn_context *c, int transpose_a, int transpose_b, size_t m, size_t n,
                         size_t k, nn_real alpha, const nn_real *a, size_t lda, const nn_real *b,
                         size_t ldb, nn_real beta, nn_real *out, size_t ldc);

/* ======================================= @@LAYER ===========================================
 * Describing a model. */
typedef struct nn_model nn_model;
typedef struct nn_custom_layer nn_custom_layer;
typedef struct nn_custom_loss nn_custom_loss;

typedef struct nn_config {
  int batch;              /* most samples one call may carry, 1 .. 2^20; default 32 */
  int threads;            /* 1 .. NN_MAX_THREADS, 0 = as nn_context_create; default 1 */
  uint64_t seed;          /* of initial values, dropout and shuffling; default 1 */
  nn_isa isa;             /* default NN_ISA_AUTO */
  int inference;          /* 1: no gradients, no optimizer, activations share memory; default 0 */
  int least_memory;       /* 1: an inference model packs weights at each call, in space that layers
                             share, and not once, at the first forward; default 0 */
  int in_place;           /* 1: an inference model has no parameters of its own, but reads them
                             where nn_load_memory, nn_load_in, nn_load_weights_memory,
                             nn_share_weights or nn_place_weights find them, and never writes them;
                             default 0. Files of version 0.1.0 must be loaded and saved again
                             first */
  int keep_activations;   /* 1: every node keeps its own array, so that all can be looked at */
  int input_gradient;     /* 1: going back also computes the gradient of the inputs */
  int direct_convolution; /* 1: never by Winograd's transform: slower, nearer to the exact sum */
  nn_allocator allocator; /* default: NN_MALLOC, NN_FREE */
  size_t notes;           /* bytes of room for notes (nn_set_note), 0 .. 2^24; default 2048 */
  /* The callers' own layers and losses that files may name (nn_custom, nn_custom_loss_with): arrays
   * that must outlive the model, and how long they are; default none. */
  const nn_custom_layer *custom_layers;
  const nn_custom_loss *custom_losses;
  int custom_layers_count, custom_losses_count;
  /* Room in the model for so many layers, 2 .. NN_MAX_NODES, and parameter arrays, 1 ..
   * NN_MAX_PARAMS; default 0: these. names: for the layers' names, in bytes, with a closing zero
   * each; default 0: 24 a layer. nn_model_size_for tells the bytes. */
  int most_nodes, most_params;
  size_t names;
} nn_config;
NN_API nn_config nn_config_default(void);

/* An empty model; config may be NULL for the defaults, and is copied. NULL when out of memory or
 * when a value of config is out of range, those of its custom layers and losses included, each of
 * which needs a name of its own. nn_create_in uses the caller's memory of at least
 * nn_model_size_for(config) bytes, aligned for any object, which must outlive the model.
 * nn_model_size() is that of the default config, and enough for any; 0: a wrong config. */
NN_API nn_model *nn_create(const nn_config *config);
NN_API size_t nn_model_size(void);
NN_API size_t nn_model_size_for(const nn_config *config); /* NULL: the default */
NN_API nn_model *nn_create_in(void *memory, size_t size, const nn_config *config);
NN_API void nn_destroy(nn_model *m); /* frees what the engine allocated; NULL is fine */

/* Status and sentence of the last failed call that may change the model (one that takes it as const
 * says what is wrong by its status alone), "" when there was none; never NULL. While a model is
 * being described a builder's first error stays, and later calls return it. To a built model a
 * builder does nothing but set these two. */
NN_API nn_status nn_model_status(const nn_model *m);
NN_API const char *nn_error(const nn_model *m);

/* Every builder below returns the new node's number, or -1 after an error. Shapes leave out the
 * batch: [C,H,W] an image, [T,F] a sequence, [F] a vector. A number outside the range named, and an
 * option that this kind of layer lacks, other than 0 or its default, are NN_ERR_ARGUMENT. A
 * window's numbers, borders, factors and adaptive sizes are 65535 at most (NN_ERR_LIMIT). */
NN_API int nn_input_image(nn_model *m, int channels, int height, int width);
NN_API int nn_input_sequence(nn_model *m, int steps, int features);
NN_API int nn_input_vector(nn_model *m, int features);
NN_API int nn_input_tokens(nn_model *m, int steps); /* whole numbers, for nn_embedding: [T] */

/* Cross-correlation [C,H,W] -> [out,OH,OW],
 * OH = (H + 2 pad_h - dilation_h (kh - 1) - 1)/stride_h + 1, rounded down; OW likewise.
 * y[o,i,j] = bias[o] + sum over c,u,v of w[o,c,u,v] x[c, i s + u d - p, j s + v d - p].
 * Parameters: weight [out,C/groups,kh,kw], bias [out]. groups divides C and out; groups = C is
 * depthwise. All are 1 or more but pad, no_bias. default: square, dilation and groups 1, a bias. */
typedef struct nn_conv2d_options {
  int out, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
  int no_bias;
} nn_conv2d_options;
NN_API int nn_conv2d(nn_model *m, int x, int out, int kernel, int stride, int pad);
NN_API nn_conv2d_options nn_conv2d_default(int out, int kernel, int stride, int pad);
NN_API int nn_conv2d_with(nn_model *m, int x, const nn_conv2d_options *options);

/* The same over the steps of a sequence, [T,F] -> [OT,out]; weight [out,F/groups,kernel]. Past a
 * sample's own end it reads zeros, as before the first step. */
typedef struct nn_conv1d_options {
  int out, kernel, stride, pad, dilation, groups;
  int no_bias;
} nn_conv1d_options;
NN_API int nn_conv1d(nn_model *m, int x, int out, int kernel, int stride, int pad);
NN_API int nn_conv1d_with(nn_model *m, int x, const nn_conv1d_options *options);

/* Transposed convolution (Zeiler et al. 2010; PyTorch), what a convolution's gradient does to dY:
 * [C,H,W] -> [out,OH,OW], OH = (H - 1) stride_h - 2 pad_h + dilation_h (kh - 1) + output_pad_h + 1.
 * Every x[c,i,j] adds w[c,o,u,v] times itself to y[o, i s + u d - p, j s + v d - p], and bias[o] is
 * added to all. Parameters: weight [C,out/groups,kh,kw], bias [out]. Numbers as nn_conv2d's;
 * output_pad below the stride or the dilation: more rows and columns at the end. */
NN_API int nn_conv_transpose2d(nn_model *m, int x, int out, int kernel, int stride, int pad);
NN_API int nn_conv_transpose2d_with(nn_model *m, int x, const nn_conv2d_options *options,
                                    int output_pad_h, int output_pad_w);

/* y = x W^T + b over the last axis: [F] -> [out], [T,F] -> [T,out]. weight [out,F], bias [out]. */
NN_API int nn_linear(nn_model *m, int x, int out);
NN_API int nn_linear_no_bias(nn_model *m, int x, int out);

/* Pooling [C,H,W] -> [C,OH,OW], OH = (H + 2 pad - kernel)/stride + 1, rounded down; with ceil up,
 * less a window that would begin in the padding behind. kernel 1..32, stride >= 1, pad 0..kernel/2.
 * Max: padding never wins, a NaN does; the gradient goes to the first of equals in row order, and
 * to the last of NaNs (PyTorch).
 * Average: padding counts as zeros (PyTorch's count_include_pad) unless exclude_pad.
 * Adaptive (He et al. 2014; PyTorch): output i of OH is the mean of the rows from floor(i H/OH) up
 * to ceil((i + 1) H/OH), columns likewise; OH, OW 1 or more. Global: [C,H,W] -> [C], or
 * [T,F] -> [F] over each sample's own steps. */
typedef struct nn_pool2d_options {
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  int ceil, exclude_pad; /* exclude_pad: of averages */
} nn_pool2d_options;
NN_API int nn_max_pool2d(nn_model *m, int x, int kernel, int stride, int pad);
NN_API int nn_max_pool2d_with(nn_model *m, int x, const nn_pool2d_options *options);
NN_API int nn_avg_pool2d(nn_model *m, int x, int kernel, int stride, int pad);
NN_API int nn_avg_pool2d_with(nn_model *m, int x, const nn_pool2d_options *options);
/* The same over the steps of a sequence, [T,F] -> [OT,F], and each sample's own. */
typedef struct nn_pool1d_options {
  int kernel, stride, pad;
  int ceil, exclude_pad;
} nn_pool1d_options;
NN_API int nn_max_pool1d(nn_model *m, int x, int kernel, int stride, int pad);
NN_API int nn_max_pool1d_with(nn_model *m, int x, const nn_pool1d_options *options);
NN_API int nn_avg_pool1d(nn_model *m, int x, int kernel, int stride, int pad);
NN_API int nn_avg_pool1d_with(nn_model *m, int x, const nn_pool1d_options *options);
NN_API int nn_adaptive_avg_pool2d(nn_model *m, int x, int height, int width);
NN_API int nn_adaptive_avg_pool1d(nn_model *m, int x, int steps); /* [T,F] -> [steps,F] */
NN_API int nn_global_max_pool(nn_model *m, int x);
NN_API int nn_global_avg_pool(nn_model *m, int x);

/* Zeros round an image, as many rows and columns as are told, 0 or more: [C,H,W] ->
 * [C,H+top+bottom,W+left+right]. Before a convolution it is uneven padding (TensorFlow's "same" at
 * stride 2 on even sizes: top 0, bottom 1). A pool takes the zeros for values. */
NN_API int nn_pad2d(nn_model *m, int x, int top, int bottom, int left, int right);
NN_API int nn_pad1d(nn_model *m, int x, int before, int after); /* each sample's own steps */
/* Each pixel becomes factor_h x factor_w of them, factors 1 or more: copies (nearest neighbour), or
 * bilinear, between the rows and columns whose centres are next (PyTorch's align_corners=False). */
NN_API int nn_upsample2d(nn_model *m, int x, int factor_h, int factor_w);
NN_API int nn_upsample1d(nn_model *m, int x, int factor); /* each step so many times */
NN_API int nn_upsample2d_bilinear(nn_model *m, int x, int factor_h, int factor_w);

/* Element by element; the shape stays. */
NN_API int nn_relu(nn_model *m, int x);                     /* max(x, 0) */
NN_API int nn_leaky_relu(nn_model *m, int x, double slope); /* x > 0 ? x : slope x; slope finite */
/* x > 0 ? x : weight x, weight [1] or, by_channel, [channels or features]; it begins with .25 (He
 * et al. 2015). */
NN_API int nn_prelu(nn_model *m, int x, int by_channel);
NN_API int nn_elu(nn_model *m, int x, double alpha); /* x > 0 ? x : alpha (exp(x) - 1), Clevert et
                                                        al. 2016; alpha finite */
NN_API int nn_gelu(nn_model *m, int x);    /* x/2 (1 + erf(x/sqrt 2)), Hendrycks & Gimpel 2016 */
NN_API int nn_silu(nn_model *m, int x);    /* x sigmoid(x) */
NN_API int nn_softplus(nn_model *m, int x); /* log(1 + exp(x)) */
NN_API int nn_hard_sigmoid(nn_model *m, int x); /* min(max((x + 3)/6, 0), 1), Howard et al. 2019 */
NN_API int nn_hard_swish(nn_model *m, int x);   /* x times it */
/* min(max(x, low), high), low < high, both finite; its gradient is 0 at the limits and beyond.
 * (m, x, 0, 6) is ReLU6, (m, x, -1, 1) hard tanh. */
NN_API int nn_clamp(nn_model *m, int x, double low, double high);
NN_API int nn_tanh(nn_model *m, int x);
NN_API int nn_sigmoid(nn_model *m, int x); /* 1/(1 + exp(-x)); binary cross-entropies have it */
NN_API int nn_softmax(nn_model *m, int x); /* over channels or last axis; cross-entropies have it */

/* While training, each element is dropped with probability rate (0 <= rate < 1) and the others are
 * scaled by 1/(1-rate) (Srivastava et al., JMLR 2014); a copy otherwise. Rate = 1 - "keep". */
NN_API int nn_dropout(nn_model *m, int x, double rate);
/* The same for whole channels (or features, over all steps) of a sample (Tompson et al. 2015). */
NN_API int nn_dropout_channels(nn_model *m, int x, double rate);

/* y = (x - mean[c]) scale[c] for each channel (of an image) or feature c, by numbers that belong
 * to the data: they are saved with the model, as buffers of these names, and never trained. Behind
 * an input x is what nn_gather gives (bytes as 0..1); nn_dataset_moments measures both. mean and
 * scale: [channels or features], finite, copied by nn_build, so they must stay until then. */
NN_API int nn_normalise(nn_model *m, int x, const nn_real *mean, const nn_real *scale);

/* Norms: y = (x - mean)/sqrt(var + eps) weight + bias, var biased; eps 1e-5, or as told. Statistics
 * of a sequence are taken up to each sample's end. A variance that overflows makes NaNs.
 * Batch norm (Ioffe & Szegedy 2015) takes them over the batch (and all places of an image or steps
 * of a sequence) for each channel or feature: training uses the batch's and moves running_mean and
 * running_var (unbiased) towards them, r += momentum (batch's - r), momentum .1 or as told;
 * inference uses these, and so does training if frozen, which leaves them alone while weight and
 * bias learn. A training batch with one value a channel has no variance: NN_ERR_ARGUMENT from
 * nn_forward; nn_fit leaves such a batch out, as the last sample of an epoch may be.
 * Layer norm (Ba et al. 2016): over each sample's last axis, or all of an image; weight and bias
 * have the shape that is normalised.
 * Group norm (Wu & He 2018): over each sample's places or steps and as many channels or features as
 * make one of `groups`; weight and bias [channels or features]. Instance norm (Ulyanov et al.
 * 2016): a group each channel, without weight and bias. */
typedef struct nn_norm_options {
  double eps;      /* above 0, and 1.2e-38 or more in float */
  double momentum; /* 0..1; of a batch norm that is not frozen; elsewhere 0 or .1 */
  int groups;      /* 1 or more, divide the channels or features; of group norm; elsewhere 0 or 1 */
  int no_affine;   /* 1: neither weight nor bias */
  int frozen;      /* 1: see above; of batch norm */
} nn_norm_options;
NN_API int nn_batch_norm(nn_model *m, int x);
NN_API int nn_batch_norm_with(nn_model *m, int x, const nn_norm_options *options);
NN_API int nn_layer_norm(nn_model *m, int x);
NN_API int nn_layer_norm_with(nn_model *m, int x, const nn_norm_options *options);
NN_API int nn_group_norm(nn_model *m, int x, int groups);
NN_API int nn_group_norm_with(nn_model *m, int x, const nn_norm_options *options);
NN_API int nn_instance_norm(nn_model *m, int x);

/* The same numbers in another shape, row by row as at the border; rank 1..3, the sizes' product
 * that of x's. Flatten: [C,H,W] or [T,F] -> [C H W] or [T F]. */
NN_API int nn_reshape(nn_model *m, int x, int rank, const int *dim);
NN_API int nn_flatten(nn_model *m, int x);
/* columns 1: the columns of an image as steps, [C,H,W] -> [W, C H], feature c H + h, as a reader of
 * text wants it (Shi et al. 2015); 0: its rows, [H, C W], feature c W + w. And back, where channels
 * divides the features. */
NN_API int nn_image_to_sequence(nn_model *m, int x, int columns);
NN_API int nn_sequence_to_image(nn_model *m, int x, int channels, int columns);
/* count of an axis's places from begin on. axis: of the shape, 0 first, as [C,H,W], [T,F], [F]. */
NN_API int nn_slice(nn_model *m, int x, int axis, int begin, int count);
NN_API int nn_add(nn_model *m, int a, int b);    /* the same shape */
/* Element by element: of the same shape, or b [C] a factor for each channel or feature of a, as
 * squeeze-and-excitation has it (Hu et al. 2018). */
NN_API int nn_multiply(nn_model *m, int a, int b);
/* One after the other, a first: along channels or features, or any axis; other sizes are equal. */
NN_API int nn_concat(nn_model *m, int a, int b);
NN_API int nn_concat_along(nn_model *m, int a, int b, int axis);
/* Tokens [T] -> [T,width]; weight [vocabulary,width], both 1 or more. A token, up to its sample's
 * end, that is not a whole number in 0 .. vocabulary-1 makes nn_forward return NN_ERR_ARGUMENT. */
NN_API int nn_embedding(nn_model *m, int x, int vocabulary, int width);

/* Recurrent layers [T,F] -> [T,hidden], the top layer's output at every step. Layer k has
 * weight_ih_lK [G hidden,in], weight_hh_lK [G hidden,hidden], bias_ih_lK, bias_hh_lK [G hidden],
 * G = 1, 4, 3. h0 = c0 = 0, or with carry what the call before left (its gradient stops there:
 * truncated back-propagation through time; nn_reset_state sets it to 0), or what another layer
 * gives (nn_gru_from).
 *   rnn:  h' = act(W x + b + U h + c), act = tanh (or relu)                    Elman 1990
 *   lstm: i,f,o = sigmoid(..), g = tanh(..); c' = f c + i g; h' = o tanh(c')
 *                              Hochreiter & Schmidhuber 1997, the forget gate of Gers et al. 1999
 *   gru:  r,z = sigmoid(..); n = tanh(W x + b + r (U h + c)); h' = (1-z) n + z h
 *                              Cho et al. 2014, but r applied after the product, as cuDNN has it
 * dropout: between layers (not after the last). Samples may be of different lengths
 * (nn_batch.lengths).
 * bidirectional (Schuster & Paliwal 1997): [T, 2 hidden], at every step the forward direction's
 * output, then that of a second cell, which begins at the sample's own last step and goes back.
 * Layers above read both. The second cell's parameters have _reverse at the end of their names, as
 * weight_ih_l0_reverse [G hidden,in]. */
typedef struct nn_recurrent_options {
  int hidden;     /* 1 or more */
  int layers;     /* 1 .. 16; 0 means 1 */
  double dropout; /* 0 <= rate < 1; without effect on one layer */
  int relu;       /* 1: relu for tanh; of rnn */
  int carry;      /* 1: the next forward call goes on from the last state; from 0 with another n */
  int bidirectional; /* 1: see above; not with carry (NN_ERR_ARGUMENT) */
} nn_recurrent_options;
NN_API int nn_rnn(nn_model *m, int x, int hidden);
NN_API int nn_lstm(nn_model *m, int x, int hidden);
NN_API int nn_gru(nn_model *m, int x, int hidden);
NN_API int nn_rnn_with(nn_model *m, int x, const nn_recurrent_options *options);
NN_API int nn_lstm_with(nn_model *m, int x, const nn_recurrent_options *options);
NN_API int nn_gru_with(nn_model *m, int x, const nn_recurrent_options *options);
/* The same from an initial state that the layer `state` gives, and through which a gradient goes
 * back (an encoder and its decoder, Sutskever et al. 2014): a vector [S], S = layers directions
 * hidden, which is PyTorch's h_0 of the sample, layer by layer and the reverse direction after the
 * forward one; for lstm [2 S]: h_0, then c_0 (nn_concat joins two). Not with carry
 * (NN_ERR_ARGUMENT). */
NN_API int nn_rnn_from(nn_model *m, int x, int state, const nn_recurrent_options *options);
NN_API int nn_lstm_from(nn_model *m, int x, int state, const nn_recurrent_options *options);
NN_API int nn_gru_from(nn_model *m, int x, int state, const nn_recurrent_options *options);
/* The final state of the rnn, lstm or gru x, each sample's at its own end (the reverse direction's
 * at its first step), in the order of nn_gru_from's: PyTorch's h_n and c_n. Once for a layer. */
NN_API int nn_final_state(nn_model *m, int x);
/* [T,F] -> [F]: each sample's last step (its length's, where lengths are given). */
NN_API int nn_last_step(nn_model *m, int x);
NN_API int nn_reverse(nn_model *m, int x); /* [T,F]: each sample's own steps, the last one first */

/* How a layer's weights start (biases keep the default), Glorot & Bengio 2010, He et al. 2015,
 * Saxe et al. 2014. fan: inputs (fan_in) or outputs (fan_out) of one unit; value as stated, above 0
 * but for DEFAULT, which has none, and CONSTANT. */
typedef enum nn_init {
  NN_INIT_DEFAULT = 0,      /* PyTorch's: uniform +-1/sqrt(fan_in), cells +-1/sqrt(hidden) */
  NN_INIT_HE_UNIFORM,       /* +-value sqrt(3/fan_in); value = gain, sqrt(2) for relu */
  NN_INIT_HE_NORMAL,        /* deviation value/sqrt(fan_in) */
  NN_INIT_XAVIER_UNIFORM,   /* +-value sqrt(6/(fan_in + fan_out)) */
  NN_INIT_XAVIER_NORMAL,    /* deviation value sqrt(2/(fan_in + fan_out)) */
  NN_INIT_ORTHOGONAL,       /* rows (or columns) orthonormal, times value */
  NN_INIT_TRUNCATED_NORMAL, /* deviation value, drawn again beyond 2 deviations */
  NN_INIT_CONSTANT          /* value, biases too */
} nn_init;
NN_API void nn_set_init(nn_model *m, int node, nn_init init, double value);

/* A layer of the caller's, of one input or two, by callbacks. They see arrays in the border layout,
 * [n, shape], whatever is inside; they are called in the thread that called the engine, and must
 * not call it for the same model. Another status than NN_OK ends the call that asked, which returns
 * it (NN_ERR_ARGUMENT for one above 0). For example y = s x, with s learned:
 *
 *     static nn_status shape(void *user, nn_custom_shape *s) {   // y is as x unless told otherwise
 *       (void)user, s->params = 1, s->param[0].name = "s", s->param[0].rank = 1;
 *       s->param[0].dim[0] = 1, s->param[0].init = NN_INIT_CONSTANT, s->param[0].value = 1;
 *       return NN_OK; }
 *     static nn_status forward(void *user, nn_custom_run *r) {
 *       (void)user;
 *       for (size_t i = 0; i < r->y_count; i++) r->y[i] = r->param[0][0] * r->x[0][i];
 *       return NN_OK; }
 *     static nn_status backward(void *user, nn_custom_run *r) {
 *       (void)user;
 *       for (size_t i = 0; i < r->y_count; i++) {
 *         if (r->dx[0]) r->dx[0][i] = r->param[0][0] * r->dy[i];
 *         if (r->dparam[0]) r->dparam[0][0] += r->dy[i] * r->x[0][i]; }
 *       return NN_OK; }
 *     static const nn_custom_layer scale = {"scale", shape, forward, backward, NULL};
 *     int y = nn_custom(m, &x, 1, &scale);
 *
 * Files have the layer's name and its parameters, not its code nor `user`: nn_load and nn_open find
 * it by its name in config.custom_layers, else NN_ERR_FORMAT and a sentence. Limits: no tokens go
 * in, nothing is kept from forward to backward but x and y, or from call to call, and sequences
 * keep their steps. */
#define NN_CUSTOM_PARAMS 4
typedef struct nn_custom_shape {
  int inputs, in_rank[2], in_dim[2][3]; /* told: what the layer reads */
  int rank, dim[3];                     /* what it gives: at first the shape of the first input */
  int params;                           /* parameter arrays, 0 .. 4; at first 0 */
  /* name: 1..15 letters, digits, '_', '-', there until nn_build; rank 1 .. 4; the sizes; how it
   * starts, as nn_set_init has it (which goes before), fan_in: elements / dim[0]. */
  struct {
    const char *name;
    int rank, dim[4];
    nn_init init;
    double value;
  } param[NN_CUSTOM_PARAMS];
} nn_custom_shape;
typedef struct nn_custom_run {
  int n, mode;                  /* samples; the nn_mode of the forward */
  const nn_custom_shape *shape; /* names of parameters left out */
  size_t x_count[2], y_count;   /* elements of all samples */
  const int32_t *lengths;       /* [n], or NULL. Past a sample's end x is 0, y is made 0 */
  const nn_real *x[2], *param[NN_CUSTOM_PARAMS];
  nn_real *y;                   /* forward writes all of it; backward may read it */
  /* Backward alone. dy: the gradient of y. dx[i]: of x[i], to be written, all of it; dparam[i]: to
   * be added to; each NULL where it is not wanted. With two inputs it is called for each. */
  const nn_real *dy;
  nn_real *dx[2], *dparam[NN_CUSTOM_PARAMS];
} nn_custom_run;
struct nn_custom_layer {
  const char *name; /* 1..23 letters, digits, '_', '-' */
  nn_status (*shape)(void *user, nn_custom_shape *s); /* NULL: as the first input, no parameters */
  nn_status (*forward)(void *user, nn_custom_run *r);
  nn_status (*backward)(void *user, nn_custom_run *r); /* may be NULL in an inference model */
  void *user;
};
/* inputs: `count` layers, 1 or 2. *layer must outlive the model. */
NN_API int nn_custom(nn_model *m, const int *inputs, int count, const nn_custom_layer *layer);

/* A loss of the caller's (nn_custom_loss_with), by a callback as for nn_custom. It gives each
 * sample's loss and, where dx is not NULL, its derivatives by the sample's x, both 0 at first; the
 * engine weighs the samples, divides by the sum of their weights and multiplies by the loss's own.
 * Labels and values come unchecked. Files have its name and weight; a model that is only for
 * inference does not need to find it in config.custom_losses (its nn_loss is NN_ERR_STATE then).
 * For example the squared distance of x [2] from two values:
 *
 *     static nn_status distance(void *user, nn_custom_loss_run *r) {
 *       (void)user;
 *       for (size_t i = 0; i < 2 * (size_t)r->n; i++) {
 *         const nn_real e = r->x[i] - r->values[i / 2 * r->values_each + i % 2];
 *         r->loss[i / 2] += e * e;
 *         if (r->dx) r->dx[i] = 2 * e; }
 *       return NN_OK; }
 *     static const nn_custom_loss pair = {"pair", 0, 2, distance, NULL};
 *     nn_custom_loss_with(m, x, &pair, 1); */
typedef struct nn_custom_loss_run {
  int n, rank, dim[3];      /* samples, shape of x */
  const nn_real *x;         /* [n, shape], border layout */
  const int32_t *lengths;   /* [n], or NULL; dx past a sample's end has no effect */
  const int32_t *labels;    /* [n, labels_each], or NULL */
  const nn_real *values;    /* [n, values_each], or NULL */
  size_t labels_each, values_each;
  nn_real *loss, *dx;       /* [n]; [n, shape] or NULL */
} nn_custom_loss_run;
struct nn_custom_loss {
  const char *name;   /* 1..23 letters, digits, '_', '-' */
  int labels, values; /* how many of each it reads of a sample, 0 .. 2^20; 0: they may be NULL */
  nn_status (*loss)(void *user, nn_custom_loss_run *r);
  void *user;
};

/* Names a layer: 1..23 letters, digits, '_', '-', '/', unique. Default: kind and number, conv1. */
NN_API void nn_name(nn_model *m, int node, const char *name);

/* ======================================== @@OPTIM ========================================== */
#ifndef NN_NO_TRAINING

/* What training makes small: the sum of all losses, each times its weight. Losses are added last;
 * the first is the main one: its input is nn_output, its rows are what `correct` and accuracy
 * count. Another may stand on any layer, as the auxiliary heads of Szegedy et al. 2015.
 *
 * x = the loss's input. A row is a vector, a step of a sequence up to its sample's end, or a pixel.
 * Each row has its sample's weight u (nn_batch.weights, else 1).
 *   CROSS_ENTROPY of softmax over x = logits [K], [T,K] or [K,H,W] with a label in 0..K-1 for each
 *     row, or one that leaves the row out: -1, or `ignored`. With p = softmax(x), smoothing s and
 *     class weights w it is PyTorch's: the sum over rows of
 *       u ((1-s) w_label (-log p_label) + s/K sum_j w_j (-log p_j)),  over the sum of u w_label.
 *   The others compare every element x with a target y of the same place (nn_batch.values): the sum
 *     of u l(x,y) over the sum of all elements' u, with l(x,y) =
 *     SQUARED_ERROR         (x - y)^2
 *     BINARY_CROSS_ENTROPY  (1 - y) x + (1 + (w_j - 1) y) log(1 + exp(-x)), from logits; y in
 *                           [0,1], else NN_ERR_ARGUMENT; w_j: PyTorch's pos_weight of feature or
 *                           channel j
 *     HUBER                 |x - y| <= delta ? (x - y)^2/2 : delta (|x - y| - delta/2)   Huber 1964
 *     ABSOLUTE_ERROR        |x - y|, with derivative 0 at 0
 * Each is a mean, 0 where it would be divided by 0 (PyTorch: NaN); with `sum` the sum alone.
 * A target that is NaN or, but for BINARY_CROSS_ENTROPY, infinite is taken: the loss becomes so,
 * too, and nn_train returns NN_ERR_DIVERGED and names the targets. */
typedef enum nn_loss_kind {
  NN_CROSS_ENTROPY = 0, NN_SQUARED_ERROR, NN_BINARY_CROSS_ENTROPY, NN_HUBER, NN_ABSOLUTE_ERROR
} nn_loss_kind;
typedef struct nn_loss_options {
  nn_loss_kind kind;
  double weight;    /* of this loss among all: above 0; default 1 */
  int sum;          /* 1: not divided, as PyTorch's reduction='sum'; default 0 */
  /* Which of a sample's labels (or targets) are this loss's: as many as it has rows (or elements)
   * from this one on, 0 .. 2^20; default 0. So losses share labels, unless told otherwise. */
  int from;
  double smoothing; /* CROSS_ENTROPY: 0 <= s < 1; default 0, as for the others */
  /* CROSS_ENTROPY: [K] class weights; BINARY_CROSS_ENTROPY: [features or channels] pos_weight; 0 or
   * more, copied by nn_build. NULL (the default): all 1 */
  const nn_real *weights;
  /* CROSS_ENTROPY: a label, of any value, that leaves a row out; default -1, as for the others */
  int32_t ignored;
  double delta;     /* HUBER: above 0; default 1; 0 or 1 for the others */
} nn_loss_options;
NN_API nn_loss_options nn_loss_default(nn_loss_kind kind);
NN_API int nn_loss_with(nn_model *m, int x, const nn_loss_options *options);
/* The same with the defaults but for what is given. */
NN_API int nn_cross_entropy(nn_model *m, int x);
NN_API int nn_cross_entropy_with(nn_model *m, int x, double smoothing, const nn_real *weights);
NN_API int nn_mean_squared_error(nn_model *m, int x);
NN_API int nn_binary_cross_entropy(nn_model *m, int x);

/* A loss of the caller's (@@LAYER), which must outlive the model; weight: among all, above 0. */
NN_API int nn_custom_loss_with(nn_model *m, int x, const nn_custom_loss *loss, double weight);

/* rate(t) for step t = 0, 1, ..: during the first `warmup` steps rate (t+1)/warmup; then, with
 * u = t - warmup, U = total - warmup and p = min(u/U, 1):
 *   CONSTANT     rate                          STEP    rate gamma^floor(u/period)
 *   EXPONENTIAL  rate gamma^(u/period)         COSINE  floor + (rate - floor)(1 + cos(pi u/U))/2
 *   ONE_CYCLE    up from rate/25 to rate over the first 30 % of total, then down to rate/25e4, both
 *                along a cosine (Smith 2018; PyTorch's OneCycleLR); its warm-up is its own
 *   TRIANGULAR   up from floor to rate in `period` steps and down again in as many; the c-th time
 *                (from 0) only gamma^c of the way, gamma 1 or less (Smith 2017; PyTorch's CyclicLR)
 *   PLATEAU      rate, made gamma times as large, 0 < gamma < 1, but not less than floor, whenever
 *                more than `period` validations in a row had no loss below (1 - threshold) times
 *                the lowest (PyTorch's ReduceLROnPlateau); nn_fit or nn_plateau tells the losses
 *   POLYNOMIAL   floor + (rate - floor)(1 - p)^gamma
 * With momentum_high above 0 ONE_CYCLE and TRIANGULAR move the momentum (Adam's beta1) the other
 * way: from momentum_high to momentum_low while the rate rises, and back. PyTorch's defaults are
 * .85, .95 and .8, .9. 0 <= momentum_low <= momentum_high < 1; the optimizer's own momentum, above
 * 0, is then without effect. */
typedef enum nn_schedule_kind {
  NN_CONSTANT = 0, NN_STEP, NN_EXPONENTIAL, NN_COSINE, NN_ONE_CYCLE, NN_TRIANGULAR, NN_PLATEAU,
  NN_POLYNOMIAL
} nn_schedule_kind;
typedef struct nn_schedule {
  nn_schedule_kind kind;
  /* In steps, 0 .. 2^53 (PLATEAU's period: in validations). COSINE, ONE_CYCLE and POLYNOMIAL need a
   * total above warmup, ONE_CYCLE no warmup; STEP, EXPONENTIAL, TRIANGULAR a period above 0. */
  int64_t warmup, total, period;
  double gamma, floor;                /* of kinds that name them: gamma > 0, 0 <= floor <= rate */
  double threshold;                   /* PLATEAU: 0 <= threshold < 1 */
  double momentum_low, momentum_high; /* both 0: the momentum stays */
} nn_schedule;
/* The rate, but for what a plateau has made of it (nn_rate knows), and the momentum or beta1. A
 * period below 1, which nn_set_optimizer refuses, is taken for 1. */
NN_API double nn_schedule_rate(const nn_schedule *s, double rate, int64_t step);
NN_API double nn_schedule_momentum(const nn_schedule *s, double momentum, int64_t step);

/* The formulas and eps placement are PyTorch's; g is the gradient (+ weight_decay w, but ADAMW).
 *   SGD      v = momentum v + g;  w -= rate (nesterov ? g + momentum v : v)
 *   ADAGRAD  s += g^2;  w -= rate g/(sqrt s + eps)                             Duchi et al. 2011
 *   RMSPROP  s = alpha s + (1-alpha) g^2;  q = g/(sqrt s + eps);
 *            momentum: v = momentum v + q, w -= rate v; else w -= rate q     Tieleman & Hinton 2012
 *   ADAM     m = b1 m + (1-b1) g; s = b2 s + (1-b2) g^2;
 *            w -= rate m/(1-b1^t) / (sqrt(s/(1-b2^t)) + eps), t = 1, 2, ..     Kingma & Ba 2015
 *            amsgrad: the greatest s so far in place of s               Reddi, Kale & Kumar 2018
 *   ADAMW    w -= rate weight_decay w first, then as ADAM     Loshchilov & Hutter 2019 */
typedef enum nn_optimizer_kind {
  NN_SGD = 0, NN_ADAGRAD, NN_RMSPROP, NN_ADAM, NN_ADAMW
} nn_optimizer_kind;
typedef struct nn_optimizer {
  nn_optimizer_kind kind;
  double rate;                 /* > 0 */
  double momentum;             /* >= 0; used by SGD and RMSPROP */
  double alpha, beta1, beta2;  /* [0,1); alpha used by RMSPROP, the others by ADAM and ADAMW */
  double eps;                  /* >= 0; with 0 a gradient that was always 0 gives 0/0 = NaN */
  double weight_decay;         /* >= 0 */
  int nesterov;                /* 1: see above; only with SGD and a momentum above 0 */
  double clip_norm;            /* > 0 (0: none): gradients of a larger 2-norm, all together, are
                                  multiplied by clip_norm/(norm + 1e-6), as in PyTorch */
  double clip_value;           /* > 0 (0: none): then clamp every element to +- this */
  nn_schedule schedule;        /* default NN_CONSTANT */
  int decay_weights_only;      /* 1: no weight decay of biases and norms; default 0 */
  int amsgrad;                 /* 1: ADAM and ADAMW with AMSGrad, for one block of state more */
  /* Above 0 (and below 1): a moving average of the parameters is kept, for one block more; after
   * the first step it is them, after every other average a + (1 - average) w (Polyak & Juditsky
   * 1992; PyTorch's AveragedModel). nn_fit validates with it, and saves it as best_path; see
   * nn_swap_average. A norm's running statistics are not averaged. */
  double average;
} nn_optimizer;
NN_API nn_optimizer nn_sgd(double rate, double momentum);     /* momentum 0: gradient descent */
NN_API nn_optimizer nn_adagrad(double rate);                  /* eps 1e-10 */
NN_API nn_optimizer nn_rmsprop(double rate, double momentum); /* alpha .99, eps 1e-8 */
NN_API nn_optimizer nn_adam(double rate);                     /* .9, .999, eps 1e-8 */
NN_API nn_optimizer nn_adamw(double rate);                    /* and weight decay .01 */

/* Before nn_build: chooses the optimizer (default: SGD, rate .01). After it: changes numbers and
 * schedule freely; the kind or amsgrad only if it needs no more state than was built
 * (NN_ERR_STATE), and then its state starts from 0; an average only if one was built. A plateau
 * begins anew with another kind of schedule. NN_ERR_ARGUMENT for a number out of its range. */
NN_API nn_status nn_set_optimizer(nn_model *m, const nn_optimizer *o);
NN_API nn_status nn_get_optimizer(const nn_model *m, nn_optimizer *o);

/* A validation's loss, for NN_PLATEAU (NN_ERR_STATE for other schedules); nn_fit calls it. */
NN_API nn_status nn_plateau(nn_model *m, double loss);

/* How a layer learns beside the others: factors of the optimizer's rate and weight decay, 0 or
 * more, default 1. node -1: all layers there are so far. Rate 0 freezes: the parameters stay,
 * batch norm uses its running statistics and leaves them, and below the lowest layer that learns
 * no gradient is computed. Freezing is for before nn_build (NN_ERR_STATE); other factors may
 * change after it, too. Checkpoints keep the factors; models and nn_open do not. */
NN_API nn_status nn_set_learning(nn_model *m, int node, double rate, double decay);
#endif

/* ======================================== @@MODEL ==========================================
 * Building and running. */

/* Checks the description and tells the exact bytes nn_build takes (nn_create's come on top). */
NN_API nn_status nn_plan(nn_model *m, size_t *bytes);
/* Builds: lays out memory, sets initial values from the seed, starts threads. nn_build_in uses the
 * caller's memory of at least nn_plan's bytes (any alignment), which must outlive the model.
 * Errors: the description's first error, NN_ERR_LIMIT, NN_ERR_STATE if built, and NN_ERR_MEMORY,
 * after which both may be tried again. */
NN_API nn_status nn_build(nn_model *m);
NN_API nn_status nn_build_in(nn_model *m, void *memory, size_t size);
NN_API nn_status nn_reinitialise(nn_model *m, uint64_t seed); /* as freshly built with this seed */

/* What a step works on. x[i] belongs to the i-th input layer: n samples of its shape, batch first,
 * [N,C,H,W] for images. labels: [n], [n,T] or [n,H,W] for cross-entropies; values: [n, shape of
 * the loss's input] for other losses; or, where losses have nn_loss_options.from, as many a sample
 * as the last of them needs. lengths: [n] in 1..T for sequences, NULL = all of full length. Past a
 * sample's end nothing is read, be it a value, token, label or target; every layer gives zeros
 * there and takes no gradient. Layers that make fewer or more steps than they read make as many of
 * a sample as if it were alone, and must make whole ones, one at least (NN_ERR_ARGUMENT); what
 * joins two sequences side by side makes the steps that both have. A sequence that is made of an
 * image or vector takes the length as it is. weights: [n], finite and 0 or more, how much each
 * sample counts in the losses; NULL = 1. */
typedef struct nn_batch {
  int n; /* 1 .. config.batch */
  const nn_real *x[NN_MAX_INPUTS];
  const int32_t *labels;
  const nn_real *values;
  const int32_t *lengths;
  const nn_real *weights;
} nn_batch;

/* What a forward is for. TRAINING: dropout drops, batch norm uses the batch and moves its running
 * statistics, and nn_backward may follow (the arrays x points to must stay until then). INFERENCE:
 * nothing random and nothing of the batch's other samples enters, but sums may be taken in another
 * order for another n: equal within rounding, not to the bit. INSPECTING computes what inference
 * does, to the bit, keeps what going back to the inputs needs (but in an inference model; x must
 * stay as for TRAINING) and changes nothing that lasts, be it state that layers carry; what goes
 * back after it leaves the parameters' gradients alone. */
typedef enum nn_mode { NN_INFERENCE = 0, NN_TRAINING = 1, NN_INSPECTING = 2 } nn_mode;
/* Runs the layers. training: an nn_mode; any other number is NN_TRAINING. The output (see
 * nn_output) stays until the next nn_forward. */
NN_API nn_status nn_forward(nn_model *m, const nn_batch *b, int training);
/* The first loss's input, else the last layer, [n, shape], border layout; NULL before a forward. */
NN_API const nn_real *nn_output(nn_model *m);
/* Copies one node's output of the last forward, border layout, to [n, shape]. Always there for the
 * output node; for others only if built with keep_activations (NN_ERR_STATE otherwise, and for
 * tokens, which are the caller's); for inputs only while what x points to stays. */
NN_API nn_status nn_read(nn_model *m, int node, nn_real *to);
/* Forward, then the most probable class of each row of the output (a vector, step or pixel) to
 * labels [n], [n,T] or [n,H,W] and the softmax over classes to probabilities [n, shape of the
 * output] (of nn_softmax itself a copy); each may be NULL. Past a sample's end: -1 and zeros. It is
 * for cross-entropies: what a net of other losses says is nn_output. */
NN_API nn_status nn_predict(nn_model *m, const nn_batch *b, int32_t *labels,
                            nn_real *probabilities);
/* The k most probable classes of each row: labels [n,k], [n,T,k] or [n,H,W,k], the most probable
 * first, and their probabilities in the same places (or NULL). k: 1 .. classes. */
NN_API nn_status nn_predict_top(nn_model *m, const nn_batch *b, int k, int32_t *labels,
                                nn_real *probabilities);
/* What the note "classes" (one name a line) calls a class, cut to `size` bytes with the closing
 * zero; where it says nothing, the class's number and NN_ERR_STATE. */
NN_API nn_status nn_class_name(const nn_model *m, int label, char *name, size_t size);

/* The state that a layer with carry goes on from, by the layer's name: h (and c of an lstm; each
 * may be NULL) [layers, n, hidden], PyTorch's h_n and c_n. n: samples it belongs to, 0 if none was
 * left; setting takes 1 .. config.batch, and a NULL array as zeros. After a forward it is each
 * sample's state at its own end: what an encoder ends with may be set as what a decoder begins
 * with, sample by sample. No gradient goes from one to the other. */
NN_API nn_status nn_get_state(nn_model *m, const char *layer, int *n, nn_real *h, nn_real *c);
NN_API nn_status nn_set_state(nn_model *m, const char *layer, int n, const nn_real *h,
                              const nn_real *c);
NN_API void nn_reset_state(nn_model *m); /* zeroes the state of layers that carry it */

#ifndef NN_NO_TRAINING
/* The loss of the last forward: the weighted sum of all; loss may be NULL. correct (or NULL): rows
 * of the first loss whose greatest logit is the label (cross-entropy), 0 for other losses. */
NN_API nn_status nn_loss(nn_model *m, const nn_batch *b, double *loss, int64_t *correct);
/* Adds d loss / d parameter to the gradients, after a training forward and nn_loss. (After an
 * inspecting forward it makes the gradient of the inputs alone.) */
NN_API nn_status nn_backward(nn_model *m);
/* The same from a given d / d nn_output, [n, shape], in place of a loss. */
NN_API nn_status nn_backward_from(nn_model *m, const nn_real *output_gradient);
/* The gradient of the i-th input, [n, shape], border layout: there from nn_backward (or nn_project)
 * to the next nn_forward; NULL at other times, for tokens, and unless config.input_gradient. */
NN_API const nn_real *nn_input_gradient(const nn_model *m, int input);
/* Clips, moves the parameters along the gradients by the optimizer, zeroes the gradients, counts
 * the step. Between nn_backward and this the flat gradients (nn_gradients) may be scaled,
 * accumulated over several batches, or summed over several machines. NN_ERR_DIVERGED if
 *   a gradient is NaN or infinite: nothing has changed, the step is not counted; or if
 *   a parameter or the optimizer's state of one became so: the step is counted, and what was saved
 *   before it is the last good state.
 * nn_error names the tensor, the step (0 the first), the largest finite gradient and the rate. */
NN_API nn_status nn_step(nn_model *m);
/* forward(training), loss, backward, step. NN_ERR_DIVERGED if the loss or a gradient is NaN or
 * infinite: no parameter nor optimizer state has changed (nor gradient; a bad one is zeroed, with
 * all others), running statistics never take a NaN, carried state is reset; nn_error names what
 * was not finite first: the samples, the targets, a parameter, a layer's output or a gradient. Or
 * as nn_step's second case; nn_steps tells them apart, for then the step is counted. */
NN_API nn_status nn_train(nn_model *m, const nn_batch *b, double *loss, int64_t *correct);

/* Several processes, or threads with a model each, that train the same net, each on a share of a
 * step's batch ("data parallel"). The engine knows no network: it asks `reduce` for sums. What it
 * trains is what one process would train on the whole batch, to rounding: samples are divided by
 * their place, so order, augmentation and dropout's masks stay; means, clipping and figures are
 * those of all.
 * Every rank has the same parameters and options, and makes the same calls in the same order:
 *   nn_fit       is given the whole data set and takes its share of each batch, which is then by
 *                default ranks times config.batch; any sizes are right.
 *   nn_train     takes this rank's share, the same number of samples on each for one process's
 *                masks; loss and correct are those of all. The calls that it is made of add up no
 *                gradients; nn_forward for training adds up batch norms' sums.
 *   nn_evaluate  divides a set among the ranks; the result is every rank's.
 * A rank that fails, or whose callback stops nn_fit, ends it on all after the same step; the others
 * have its status, and its number in nn_error. nn_fit writes files on rank 0 alone and calls
 * on_save there; a run may be resumed with another number of ranks. NN_ERR_STATE where ranks begin
 * nn_fit with different parameters; NN_ERR_UNSUPPORTED for layers that carry their state. */
#define NN_MAX_RANKS 65536
typedef struct nn_ranks {
  int rank, ranks; /* this one, 0 .. ranks-1, and how many; up to 1: alone */
  /* Begins to replace each of `count` numbers, float where bytes is sizeof(float), else double, by
   * its sum over all ranks, where the same bits must arrive. It may return before that is done, and
   * further ones may begin; all ranks begin them in the same order, with the same count and bytes.
   * wait: until all are done; NULL where reduce does not return sooner. Both are called by the
   * thread that called the engine, and may not call it for this model. A status other than NN_OK
   * ends the call at its next agreement, and every later one, until nn_set_ranks. */
  nn_status (*reduce)(void *user, void *values, size_t count, size_t bytes);
  nn_status (*wait)(void *user);
  void *user;
  /* 0: batch norms take the statistics of the whole step, which ranks add up in forward and in
   * backward; 1: each rank's own, and running statistics are the mean of the ranks'. */
  int own_norms;
  size_t bucket; /* least gradients of a reduce, while backward goes on; 0: 65536 */
} nn_ranks;
/* For the next calls, copied; NULL: alone. Not saved with a model. */
NN_API nn_status nn_set_ranks(nn_model *m, const nn_ranks *ranks);
NN_API nn_real *nn_gradients(nn_model *m, size_t *count); /* all of them, in parameter order */
NN_API void nn_zero_gradients(nn_model *m);
NN_API int64_t nn_steps(const nn_model *m);               /* nn_step calls so far */
NN_API double nn_rate(const nn_model *m);                 /* the rate the next nn_step will use */
NN_API double nn_gradient_norm(nn_model *m); /* 2-norm over all parameters; finite if they are */
/* Exchanges the parameters and their moving average (nn_optimizer.average), to evaluate or save it;
 * a second call puts both back. In between nn_step, nn_set_optimizer and checkpoints are refused.
 * Keep: the average becomes the parameters for good, and training goes on from there. A checkpoint
 * has both. NN_ERR_STATE without an average, or before the first step. */
NN_API nn_status nn_swap_average(nn_model *m);
NN_API nn_status nn_keep_average(nn_model *m);
#endif

/* All parameters as one block, and a view of each. Buffers (batch norm's running statistics) come
 * after the trained ones in the list and lie in a block of their own. An inference model whose
 * parameters a caller has a pointer to looks at each call whether they have changed, and packs
 * them again then; that takes some time (half as long again in a small LSTM). With config.in_place
 * `value` is in the caller's memory, which may be read-only, and nn_parameters is NULL. */
typedef struct nn_param {
  const char *name;  /* "conv1.weight" */
  int node;          /* its layer */
  int rank, dim[4];
  size_t count;      /* elements */
  nn_real *value;
  nn_real *gradient; /* NULL for buffers and in inference models */
} nn_param;
NN_API nn_real *nn_parameters(nn_model *m, size_t *count); /* trained ones only */
NN_API int nn_param_count(const nn_model *m);              /* arrays, buffers too */
NN_API nn_status nn_get_param(nn_model *m, int index, nn_param *p);
NN_API nn_status nn_find_param(nn_model *m, const char *name, nn_param *p);
/* Makes a model of config.in_place read another model's arrays, by name: one step of a cell beside
 * the whole sequence, or the same net in several threads. `from` must outlive m, and may not be
 * trained while m runs. NN_ERR_SHAPE, and nothing changes, where `from` has not all of m's. */
NN_API nn_status nn_share_weights(nn_model *m, nn_model *from);
/* The same from an array, which may be constant and must outlive m: all parameters in the order of
 * nn_get_param, buffers last, `count` numbers in all (NN_ERR_SHAPE for another count), which lie at
 * a multiple of their size (NN_ERR_ARGUMENT). It links none of the code that reads files, so it
 * suits a chip, whose net is built by builder calls. */
NN_API nn_status nn_place_weights(nn_model *m, const nn_real *values, size_t count);

/* One layer, for listings. params: those that are trained; macs: multiply-adds of one sample. */
typedef struct nn_node_info {
  const char *kind, *name; /* the name stays where it is until nn_name names a layer */
  int inputs, input[2];
  int rank, dim[3];
  size_t params;
  double macs;
} nn_node_info;
NN_API int nn_node_count(const nn_model *m);
NN_API int nn_find_node(const nn_model *m, const char *name); /* -1: no layer of that name */
NN_API nn_status nn_get_node(const nn_model *m, int node, nn_node_info *info);
NN_API int nn_output_node(const nn_model *m);                   /* -1 before nn_build */
NN_API nn_status nn_get_config(const nn_model *m, nn_config *c); /* ISA and threads: those in use */
NN_API size_t nn_memory(const nn_model *m); /* nn_plan's bytes; 0 before build */

/* Notes: what a model needs to be known by, saved with it. key: 1..31 letters, digits, '.', '_',
 * '-'; text: UTF-8 without control characters but tab and line end, copied; NULL takes the note
 * away. Known keys: classes (one name a line), data, command. NN_ERR_LIMIT when config.notes bytes
 * do not hold all keys and texts with their closing zeros; NN_ERR_STATE before nn_build. A loaded
 * model has the room that its file's notes need, or config.notes if that is more. */
NN_API nn_status nn_set_note(nn_model *m, const char *key, const char *text);
NN_API const char *nn_note(const nn_model *m, const char *key);   /* NULL: none */
NN_API const char *nn_note_key(const nn_model *m, int index);     /* in turn; NULL past the last */

/* ======================================== @@DATA ===========================================
 * Data sets, readers, batches. */

typedef enum nn_type { NN_U8 = 1, NN_I32, NN_I64, NN_F32, NN_F64 } nn_type;
/* An array from a file. data is owned (nn_array_free) and in the machine's byte order. */
typedef struct nn_array {
  nn_type type;
  int rank;
  size_t dim[8];
  size_t count; /* product of dim */
  void *data;
  nn_allocator allocator;
} nn_array;
NN_API void nn_array_free(nn_array *a); /* NULL and an all-zero array are fine */

/* IDX (yann.lecun.com/exdb/mnist), rank 1..8; and npy versions 1 to 3 (NumPy's format
 * documentation), C order, a header of at most 1024 bytes. From bytes in memory. Of numbers that
 * nn_type has not, bool, i8, i16 and u16 become I32, u32 and u64 F64, f16 F32.
 * The array is checked against the bytes there before anything is allocated. allocator, why: or
 * NULL. Errors: NN_ERR_FORMAT, NN_ERR_LIMIT, NN_ERR_MEMORY, with offset and reason in why. */
NN_API nn_status nn_idx_parse(const void *bytes, size_t size, const nn_allocator *allocator,
                              nn_array *out, nn_message *why);
NN_API nn_status nn_npy_parse(const void *bytes, size_t size, const nn_allocator *allocator,
                              nn_array *out, nn_message *why);
/* CIFAR-10 binary (cs.toronto.edu/~kriz/cifar.html): records of a label byte and 3x32x32 pixels.
 * Appends nothing: size must be a multiple of 3073 with labels 0..9. pixels [n,3,32,32] or, gray,
 * [n,1,32,32] = round(.299 R + .587 G + .114 B) (ITU-R BT.601). Both arrays are U8 and owned. */
NN_API nn_status nn_cifar10_parse(const void *bytes, size_t size, int gray,
                                  const nn_allocator *allocator, nn_array *pixels,
                                  nn_array *labels, nn_message *why);
#ifndef NN_NO_STDIO
/* A whole file as a rank-1 U8 array. NN_ERR_LIMIT when it is larger than limit bytes. */
NN_API nn_status nn_file_read(const char *path, size_t limit, const nn_allocator *allocator,
                              nn_array *out, nn_message *why);
/* Writes to path.tmp, syncs, renames: an old file stays until the new one is whole. A path to
 * write to has at most 1019 bytes, here and below (NN_ERR_LIMIT). */
NN_API nn_status nn_file_write(const char *path, const void *bytes, size_t size, nn_message *why);
/* From a file below 4 GiB (NN_ERR_LIMIT). */
NN_API nn_status nn_idx_load(const char *path, const nn_allocator *allocator, nn_array *out,
                             nn_message *why);
NN_API nn_status nn_npy_load(const char *path, const nn_allocator *allocator, nn_array *out,
                             nn_message *why);
/* Writes an array as npy version 1 (all types). */
NN_API nn_status nn_npy_save(const char *path, const nn_array *a, nn_message *why);
#endif

/* Samples to learn from; borrows its arrays, but those in `owned`. Sample i is
 * [channels,height,width]. The network gets pixel/255 or the value; scaling beyond that belongs to
 * the model (nn_normalise). For sequences channels = 1, height = steps, width = features; for
 * vectors and tokens the product counts. */
typedef struct nn_dataset {
  int count, channels, height, width;
  const uint8_t *pixels; /* one of these two */
  const nn_real *values;
  const int32_t *labels;  /* [count], or [count, label_size], or NULL */
  const nn_real *targets; /* [count, target_size] for the value losses, or NULL */
  size_t target_size;
  size_t label_size;      /* T for a cross-entropy of [T,K], H W of [K,H,W]; 0 means 1 */
  const int32_t *lengths; /* [count], or NULL */
  const int32_t *only;    /* [count]: sample i is number only[i] of the arrays; NULL: number i */
  /* In place of pixels, values, labels, targets and lengths, for what does not fit in memory: fills
   * x [n,channels,height,width] with samples index[0] .. index[n-1] just as the network gets them,
   * labels [n,label_size], targets [n,target_size] where not NULL. lengths, where not NULL, holds
   * full lengths; shorter ones may be put there. n: 1 .. 64. A status other than NN_OK ends the
   * call that asked, which returns it. What comes is checked batch by batch, not beforehand.
   * label_size and target_size: 0 where there are none. */
  nn_status (*fill)(void *user, const int32_t *index, int n, nn_real *x, int32_t *labels,
                    nn_real *targets, int32_t *lengths);
  void *user;
  nn_array owned[2]; /* arrays it has taken over; all zero otherwise */
  const nn_real *weights; /* [count], how much sample i counts in the losses, or NULL: 1; of fill's
                             samples, too */
} nn_dataset;
/* count .. width, pixels and labels set, the rest empty. */
NN_API nn_dataset nn_dataset_pixels(const uint8_t *pixels, const int32_t *labels, int count,
                                    int channels, int height, int width);
/* A data set of two arrays, which it takes over: both are empty afterwards, and nn_dataset_free
 * frees what they held. After an error they are as before. images: [n,h,w], [n,c,h,w], [n,h,w,c]
 * with c 1 to 4, h and w above 4 and neither more than 4 times the other (whose channels it moves
 * to the front), sequences [n,t,f], vectors [n,f]. Bytes stay bytes; other types become nn_real.
 * labels: NULL, [n] or [n,t] of whole numbers of any type that an int32 holds; [n,1] is [n].
 * Errors, with a sentence in why: NN_ERR_FORMAT (another shape, labels not whole or too large),
 * NN_ERR_SHAPE where channels may be first or last, NN_ERR_LIMIT, NN_ERR_MEMORY. */
NN_API nn_status nn_dataset_from_arrays(nn_array *images, nn_array *labels, nn_dataset *out,
                                        nn_message *why);
#ifndef NN_NO_STDIO
/* The same from a pair of files, each IDX (as MNIST comes) or npy. */
NN_API nn_status nn_dataset_load(const char *images, const char *labels,
                                 const nn_allocator *allocator, nn_dataset *out, nn_message *why);
/* CIFAR-10 from the folder of its binary files: data_batch_1.bin .. data_batch_5.bin, or for the
 * tests test_batch.bin; in colour [3,32,32] or gray [1,32,32], as nn_cifar10_parse has them. Beside
 * the set's own pixels and labels it takes the memory of one record. */
NN_API nn_status nn_dataset_load_cifar10(const char *folder, int test, int gray,
                                         const nn_allocator *allocator, nn_dataset *out,
                                         nn_message *why);
#endif
/* Changes a set of bytes that owns its pixels and labels, in place: beside them it takes the memory
 * of one image. In this order, each left out where it is 0:
 *   gray    [3,h,w] to [1,h,w], round(.299 R + .587 G + .114 B)
 *   height, width  made smaller: each pixel is the mean of the rectangle it covers, pixels at its
 *           edge counting by how much of them lies within
 *   crop_height, crop_width  the middle; a row or column that is one too many goes at the end
 *   every   the first image of each so many in a row is kept */
typedef struct nn_transform {
  int gray, height, width, crop_height, crop_width, every;
} nn_transform;
NN_API nn_status nn_dataset_transform(nn_dataset *d, const nn_transform *t, nn_message *why);
NN_API void nn_dataset_free(nn_dataset *d); /* NULL and a set that owns nothing are fine */
/* Two sets of different samples of d, drawn by the seed: validation of round(share count) of them,
 * train of the others. Both borrow what d has or borrows, and index [count], which this fills and
 * which may not be d->only.
 * NN_ERR_ARGUMENT unless 0 < share < 1 and both get samples. */
NN_API nn_status nn_dataset_split(const nn_dataset *d, double share, uint64_t seed, int32_t *index,
                                  nn_dataset *train, nn_dataset *validation);
/* What nn_normalise needs so that each channel of this set has mean 0 and deviation 1: the mean,
 * and 1/deviation (1 where that is 0), of what nn_gather gives. count: channels; or width, for the
 * features of sequences and vectors (of one channel), of which steps past a sample's end are left
 * out. Both arrays have count numbers.
 * NN_ERR_ARGUMENT for an empty set, one with `fill`, another count, and where a mean or deviation
 * is above 1e30. */
NN_API nn_status nn_dataset_moments(const nn_dataset *d, size_t count, nn_real *mean,
                                    nn_real *scale);

/* Random changes of a training image, whose label they leave alone (so nn_fit refuses flip and
 * shift where a loss compares pixels), drawn from (seed, stream of the epoch, place): mirrored left
 * to right with probability 1/2; moved by up to `shift` pixels each way; then a square of side
 * `cutout` at a random centre blanked (DeVries & Taylor 2017). Edges and the square get `fill`,
 * [channels] as nn_gather gives them; NULL: 0. The mean that nn_dataset_moments tells is the usual
 * choice. All zero: nothing. shift, cutout: 0 .. 16383. */
typedef struct nn_augment {
  int flip, shift, cutout;
  const nn_real *fill;
} nn_augment;

/* n samples, pixel/255 or values, to x [n,C,H,W] and, where not NULL, their labels [n,
 * label_size]. index: n numbers in 0 .. count-1. augment may be NULL; r then too. NN_ERR_ARGUMENT
 * for a number out of range; or what d->fill returns. */
NN_API nn_status nn_gather(const nn_dataset *d, const int32_t *index, int n,
                           const nn_augment *augment, nn_random *r, nn_real *x, int32_t *labels);

/* Where a training run stands; saved in a checkpoint, so that a resumed run goes on to the same
 * bits. All zero: at its beginning. */
typedef struct nn_progress {
  int64_t step;       /* steps done since the start of training */
  int64_t epoch;      /* whole epochs done */
  int64_t place;      /* samples of the present epoch already used */
  double loss;        /* mean over the present epoch so far */
  double accuracy;    /* the same, 0..1 (cross-entropy only) */
  /* what the two means are made of: losses times weights, and weights (what the first loss's mean
   * divides by, or, where that is a sum, 1); the first loss's rows with a label, and right ones */
  double loss_sum, weight;
  int64_t correct, rows;
  int64_t left_out, left_out_in_a_row; /* steps, of nn_fit_options.keep_going */
  /* The best validation: its step (0: none yet) and figures; the step of the last one; and how many
   * since the best were no better. */
  int64_t best_step;
  double best_loss, best_accuracy;
  int64_t validated, not_better;
  int64_t batch; /* samples a step, as nn_fit took them last; 0: not known */
} nn_progress;

#ifndef NN_NO_INSPECT
/* ======================================= @@INSPECT =========================================
 * Looking inside a net. Nothing here changes a model: neither parameters, gradients, running
 * statistics, optimizer and carried state nor random numbers, to the bit. Nodes other than the
 * output can be looked at if the model was built with config.keep_activations, which also keeps a
 * relu apart from the convolution before it: NN_ERR_STATE otherwise. "Maps" or units of a node are
 * the channels of an image [C,H,W], else the features. Inference models can be looked at, too; only
 * nn_project needs one built for training. */

/* Count, mean and the sum of squares about it, mergeable and stable: Chan, Golub & LeVeque,
 * "Updating formulae and a pairwise algorithm for computing sample variances", 1979. All zero:
 * nothing yet. NaN and infinities are counted in not_finite and left out of all else.
 * NN_ERR_ARGUMENT for a count below 0, and where two do not add up in an int64_t. */
typedef struct nn_moments {
  int64_t count, zeros, not_finite;
  double mean, m2; /* m2 = sum of (x - mean)^2 */
  double min, max; /* 0 while count is 0 */
} nn_moments;
NN_API nn_status nn_moments_add(nn_moments *to, const nn_real *x, size_t count);
NN_API nn_status nn_moments_merge(nn_moments *to, const nn_moments *from); /* as if added, too */
NN_API double nn_moments_variance(const nn_moments *s);  /* m2/count; 0 of nothing */
NN_API double nn_moments_deviation(const nn_moments *s); /* its root */

/* Bin i counts low + i w <= x < low + (i+1) w, w = (high - low)/NN_HISTOGRAM_BINS, the last one
 * x = high, too; below and above hold the rest, infinities included. They add up to the values. */
#define NN_HISTOGRAM_BINS 64
typedef struct nn_histogram {
  double low, high;
  int64_t bin[NN_HISTOGRAM_BINS], below, above, nans;
} nn_histogram;
/* Empties h and sets its range. NN_ERR_ARGUMENT unless high is above low by 1e-300 or more and both
 * are within +-1e300; of the other two, for a histogram without a range, or to merge two of
 * different ranges, with a count below 0, or whose counts do not add up in an int64_t. */
NN_API nn_status nn_histogram_range(nn_histogram *h, double low, double high);
NN_API nn_status nn_histogram_add(nn_histogram *h, const nn_real *x, size_t count);
NN_API nn_status nn_histogram_merge(nn_histogram *to, const nn_histogram *from);

/* Adds what the last forward left at a node to moments and histogram, and raises unit_max [maps] to
 * the greatest value of each map (start it at -HUGE_VAL: a relu's unit that is 0 after a whole test
 * set is dead). Each may be NULL. Steps past a sample's end are left out. */
NN_API nn_status nn_observe(nn_model *m, int node, nn_moments *moments, nn_histogram *histogram,
                            nn_real *unit_max);

/* The strongest activations of each map, in different samples (neighbours in one image would fill
 * the list otherwise): peaks[map, rank], the strongest first, the earlier first among equals. */
typedef struct nn_peak {
  nn_real value;
  int32_t sample;      /* -1: no peak yet */
  int32_t row, column; /* place in the map; a sequence's step is its row */
} nn_peak;
/* From the last forward, whose first sample is number `first` (0 .. 2^31 - 2^20 - 1). Set every
 * sample to -1 before the first batch. per_map: 1 or more. */
NN_API nn_status nn_peaks_add(nn_model *m, int node, int first, int per_map, nn_peak *peaks);
/* counts[label, answer] += 1 for each row of the last forward's output, [K], [T,K] or [K,H,W],
 * against labels as the first loss reads them, or [n], [n,T] or [n,H,W] in 0 .. K-1 (-1: left out;
 * else NN_ERR_ARGUMENT and nothing is counted). answer: the greatest, the first among equals.
 * counts: K K numbers. NN_ERR_SHAPE where the losses read fewer labels than the output has rows. */
NN_API nn_status nn_confusion_add(nn_model *m, const int32_t *labels, int64_t *counts);

/* One pass over a data set in batches of config.batch: an inspecting forward, then on_batch, which
 * may look at what it left and go back from it (b: the samples with their labels and targets,
 * number `first` and on) and stops the survey by a status other than NN_OK, which nn_survey
 * returns. Layers with carry start from 0, as in nn_evaluate. Batches are put together in the
 * model's own memory, so no other data set may be gone through meanwhile. Needs one input, and a
 * loss or config.keep_activations (NN_ERR_STATE). Other errors: those of nn_forward;
 * NN_ERR_ARGUMENT and NN_ERR_SHAPE for a data set that is empty or does not fit. */
typedef nn_status (*nn_on_batch)(void *user, nn_model *m, const nn_batch *b, int first);
NN_API nn_status nn_survey(nn_model *m, const nn_dataset *d, nn_on_batch on_batch, void *user);
/* nn_confusion_add and nn_peaks_add over a whole set, from nothing. */
NN_API nn_status nn_confusion(nn_model *m, const nn_dataset *d, int64_t *counts);
NN_API nn_status nn_peaks(nn_model *m, const nn_dataset *d, int node, int per_map, nn_peak *peaks);

/* Which part of the input image a unit sees: rows part[0] .. part[0] + part[2] - 1 and columns
 * part[1] .. part[1] + part[3] - 1, cut at the image's edges; of input layers of several sizes the
 * first one's. row, column: the unit's place in a map, 0 for nodes that are no images. All of the
 * input where a layer on the way sees all of its own, and of inputs that are no images (a sequence
 * [T,F] then is T rows of F columns, a vector one row). */
NN_API nn_status nn_receptive_field(nn_model *m, int node, int row, int column, int part[4]);

/* Covers a square of an image and looks at what is left of the answer, for every place of the
 * square inside the image (Zeiler & Fergus, "Visualizing and understanding convolutional networks",
 * ECCV 2014, figure 6). Maps [OH, OW], OH = (H - side)/stride + 1, place (i,j) covers rows i stride
 * .. i stride + side - 1 and columns likewise, of all channels. A sequence is an image [1,T,F]. */
typedef struct nn_occlusion_options {
  int side, stride; /* side 1 .. the image's shorter side; stride 1 or more */
  const nn_real *fill; /* what the square is filled with, one number a channel; NULL: 0 */
  int32_t label;    /* the true class, 0 .. K-1; for `probability` */
  int node, map;    /* whose map's sum is wanted; for `activity` */
} nn_occlusion_options;
NN_API nn_status nn_occlusion_size(nn_model *m, const nn_occlusion_options *o, int *height,
                                   int *width);
/* image: one sample [C,H,W]. probability: softmax of the output at label (of nn_softmax itself a
 * copy); activity: the sum over the map; predicted: the most probable class. Each [OH,OW] or NULL;
 * the first and the last need an output [K]. Needs what nn_survey needs. */
NN_API nn_status nn_occlusion(nn_model *m, const nn_real *image, const nn_occlusion_options *o,
                              nn_real *probability, nn_real *activity, int32_t *predicted);

#ifndef NN_NO_TRAINING
/* Goes back from any node to the inputs: start, [n, shape of the node] in the border layout, is the
 * signal there (all zero but the unit in question), nn_input_gradient the result. All layers go
 * back along the derivatives of inference: a maximum to the place it came from (the deconvnet's
 * switches; overlapping windows add), a convolution through its transposed filters, batch norm by
 * weight/sqrt(running_var + eps), dropout unchanged. The rule is how a relu passes the signal s:
 *   GRADIENT   x > 0 ? s : 0            saliency     Simonyan, Vedaldi & Zisserman 2014
 *   DECONVNET  max(s, 0)                deconvnet    Zeiler & Fergus, ECCV 2014
 *   GUIDED     x > 0 ? max(s, 0) : 0    guided back-propagation     Springenberg et al. 2015
 * Every other non-linearity (a leaky relu and the cells' own, too) passes it by its derivative. The
 * node need not be kept. Once after each inspecting forward, as nn_backward. Errors: NN_ERR_STATE
 * without that, in an inference model, without config.input_gradient, and from a node that no
 * gradient passes (a loss, tokens). */
typedef enum nn_rule { NN_RULE_GRADIENT = 0, NN_RULE_DECONVNET, NN_RULE_GUIDED } nn_rule;
NN_API nn_status nn_project(nn_model *m, int node, const nn_real *start, nn_rule rule);
#endif
#endif

/* ========================================== @@IO ===========================================
 * A model in a file: the graph, every parameter and buffer by name; a checkpoint also has the
 * optimizer, its state, the random state and the progress. Little-endian, versioned, a CRC-32 for
 * every section; all of it is checked before anything is allocated for it. What a file's layers
 * ask for beside the parameters must stay below config.batch times 256 MiB or 4096 times the file,
 * whichever is more (NN_ERR_LIMIT); how long a sample takes is not limited, nn_get_node tells what
 * each layer costs before anything runs. The format is described at @@IO in nn.c. config: all that
 * the new model is to be (NULL = the defaults) but its seed, which is the file's. With
 * config.in_place the bytes must outlive the model, lie at a multiple of 4 (a double build's of 8)
 * and hold numbers as this build and machine have them (little-endian; NN_ERR_UNSUPPORTED);
 * nn_load has no such bytes (NN_ERR_ARGUMENT). Training goes on to the same bits with any batch
 * and threads; but what layers with carry keep for more samples than batch is dropped. On Unix a
 * file's name is written by one thread or process at a time, the others wait; it keeps its access
 * rights (the owner may always read and write), a symbolic link is replaced, and pipes, devices
 * and folders are refused. */
typedef struct nn_load_result {
  nn_model *model;      /* built; destroy it; NULL after an error. A plain model has SGD of .01 */
  int is_checkpoint;
  nn_progress progress; /* zeros unless a checkpoint */
  int previous;         /* 1: nn_resume took the checkpoint before the last */
} nn_load_result;
NN_API nn_status nn_load_memory(const void *bytes, size_t size, const nn_config *config,
                                nn_load_result *out, nn_message *why);
/* The same into the caller's memory of *size bytes, aligned for any object, which must outlive the
 * model; nothing is allocated. Sets *size to the bytes that the model takes: its tables have room
 * for the file's layers and arrays alone, unless config.most_nodes, most_params say otherwise. With
 * memory NULL it only does that, and takes tables from config.allocator meanwhile. NN_ERR_MEMORY
 * where *size is less; where it does not even hold the tables, *size becomes their bytes. */
NN_API nn_status nn_load_in(void *memory, size_t *size, const void *bytes, size_t count,
                            const nn_config *config, nn_load_result *out, nn_message *why);
/* A file's layers as a description that is not built, to be changed: builder calls go on behind the
 * last layer, nn_set_optimizer, nn_set_learning, nn_build. Losses are left out: add one. Notes,
 * training state and parameters stay in the file: built, an nn_normalise has mean 0 and scale 1
 * until nn_load_weights. That fills new layers, too, whose names the file has: nn_name them apart.
 * What it would take to build has nn_load's limit, parameters included. *out: NULL after an error:
 * nn_load's, NN_ERR_ARGUMENT (unknown `until`; options that do not fit layers), NN_ERR_SHAPE. */
typedef struct nn_open_options {
  const char *until; /* the last layer to be kept, by name; NULL: all */
  int steps;         /* of sequences and tokens, in place of the file's; 0: the file's */
  int height, width; /* of images, likewise */
  int carry;         /* 1: cells keep their state for the next call, also where the file's do not;
                        not where one is bidirectional or has a state given (NN_ERR_ARGUMENT) */
} nn_open_options;
NN_API nn_status nn_open_memory(const void *bytes, size_t size, const nn_config *config,
                                const nn_open_options *options, nn_model **out, nn_message *why);

/* Bytes that nn_save_memory needs; progress NULL: a model, else a checkpoint. 0 on error. */
NN_API size_t nn_save_size(const nn_model *m, const nn_progress *progress);
NN_API nn_status nn_save_memory(nn_model *m, const nn_progress *progress, void *bytes,
                                size_t size);
#ifndef NN_NO_STDIO
NN_API nn_status nn_load(const char *path, const nn_config *config, nn_load_result *out,
                         nn_message *why);
NN_API nn_status nn_open(const char *path, const nn_config *config, const nn_open_options *options,
                         nn_model **out, nn_message *why);
NN_API nn_status nn_save(nn_model *m, const char *path);
NN_API nn_status nn_save_checkpoint(nn_model *m, const nn_progress *progress,
                                    const char *path);
#endif
/* CRC-32 (ISO-HDLC: zip, PNG) of size bytes (NULL: of none), going on from crc (0 to start). */
NN_API uint32_t nn_crc32(uint32_t crc, const void *bytes, size_t size);

/* ======================================= @@EXPORT ==========================================
 * Weights by name, out of files of nn's own and other programs', and into theirs. */

/* Fills a built model's arrays (buffers, too) from those of a file by name; optimizer state is left
 * alone. What the file is, its first bytes tell:
 *   a model or checkpoint of nn;
 *   safetensors (huggingface.co/docs/safetensors): F32, F64, F16 and BF16 are converted; the
 *     metadata become notes, but "format", those that the model has already, those that may be no
 *     note (nn_set_note) and those for which config.notes has no room;
 *   npz (numpy.savez; not savez_compressed, torch.save), below 4 GiB: <f4, <f8, <f2 are converted.
 * In the last two arrays of whole numbers may be there, but fill none; num_batches_tracked is left
 * out, in any layer, and the mean and scale of nn_normalise may be missing: then they stay. All of
 * a file is checked first: each offset, size, name, type and CRC-32, that no two arrays overlap, no
 * name comes twice and, in safetensors, no byte belongs to none; at most 4096 arrays, or
 * NN_MAX_PARAMS, with names of at most 255 bytes. With config.in_place the arrays must have this
 * build's own type and lie at a multiple of its size, as must the file.
 *
 * from, to: names in the file that begin with `from` are taken to begin with `to`, others are not
 * taken; NULL: as they are.
 * strict: NN_ERR_SHAPE, and nothing changes, unless every array of the model is found in its shape.
 * Without it what is found, one array at least, is filled in, and result (or NULL) tells.
 * names: lines "name in the file=name in the model", for names that differ; others stay. Spaces
 * round a name, empty lines and lines that begin with # do not count. NN_ERR_ARGUMENT for a line
 * that names no array of the model, or none of the file, or one that has a line already; and with
 * by_order. Quickest where the lines are in the file's order.
 * by_order: layers are matched by their order, whatever they are called. Within a layer arrays are
 * matched by what follows the last point of their names (weight, bias, running_mean, weight_ih_l0,
 * ..) where it is one of these, else by their order, too. Every array of the file must meet one of
 * the model in its shape, and every one of the model's (but mean and scale of nn_normalise, which
 * go by name) one of the file: else NN_ERR_SHAPE names the first two that do not, and nothing
 * changes. safetensors are sorted by name: where two layers of the model have the same shapes, the
 * names of the file's layers must be the same but for numbers that grow, else NN_ERR_SHAPE.
 * keras: the arrays have the layouts of Keras, channels last: Conv2D [kh,kw,in,out],
 * DepthwiseConv2D [kh,kw,in,multiplier], Dense [in,out] (after nn_flatten of an image its inputs
 * are pixel by pixel there), LSTM [in,4 hidden] with gates i,f,c,o, GRU [in,3 hidden] with z,r,h
 * and reset_after, bias [2,3 hidden]. The one bias of other cells becomes bias_ih, and bias_hh 0.
 * Not with config.in_place (NN_ERR_UNSUPPORTED).
 * Errors: NN_ERR_FORMAT, NN_ERR_LIMIT, NN_ERR_UNSUPPORTED (compressed npz), each with the byte. */
typedef struct nn_weights_options {
  const char *from, *to;
  int strict;
  const char *names;
  int by_order, keras;
} nn_weights_options;
typedef struct nn_weights {
  int found;    /* arrays of the model that were filled in */
  int missing;  /* not in the file */
  int reshaped; /* there, of another shape */
  int unused;   /* arrays of the file that the model has not */
  char first_missing[NN_NAME_SIZE], first_reshaped[NN_NAME_SIZE], first_unused[NN_NAME_SIZE];
} nn_weights;
NN_API nn_status nn_load_weights_memory(nn_model *m, const void *bytes, size_t size,
                                        const nn_weights_options *options, nn_weights *result);
#ifndef NN_NO_STDIO
NN_API nn_status nn_load_weights(nn_model *m, const char *path, const nn_weights_options *options,
                                 nn_weights *result);
#endif

/* An array of a file of weights. */
typedef struct nn_stored {
  const char *name; /* UTF-8, on one line */
  const char *type; /* "F32", "I64", ..: as safetensors calls it */
  int rank;         /* 0..8; 0: a single number */
  size_t dim[8], count;
  const void *bytes; /* in the file's: numbers with their lowest byte first */
  size_t size;
} nn_stored;
#ifndef NN_NO_EXPORT
/* Calls `each` for every array of a file that nn_load_weights_memory reads, in the file's order;
 * what it points to holds during that call. Non-zero from it stops: NN_STOPPED. Errors as above. */
NN_API nn_status nn_list_weights(const void *bytes, size_t size,
                                 int (*each)(void *user, const nn_stored *array), void *user,
                                 nn_message *why);

/* Takes the next bytes of what is written; 0 to go on, else the call ends with NN_ERR_IO. */
typedef int (*nn_write)(void *user, const void *bytes, size_t size);

/* Writes a model's arrays (buffers, too) for other programs, in the order of its layers, as this
 * build has them: F32, or F64 in double precision. safetensors, whose metadata are the notes and
 * "format": "pt", with numbers that begin at a multiple of 64 bytes; npz, below 4 GiB
 * (NN_ERR_LIMIT), as numpy.load reads it. names: a table as in nn_weights_options, for the names in
 * the file; NULL: as they are. NN_ERR_ARGUMENT for names that are wrong or come twice;
 * NN_ERR_STATE before nn_build. No allocation; the same model gives the same bytes. */
NN_API nn_status nn_export_safetensors(nn_model *m, const char *names, nn_write write, void *user);
NN_API nn_status nn_export_npz(nn_model *m, const char *names, nn_write write, void *user);
#ifndef NN_NO_STDIO
NN_API nn_status nn_save_safetensors(nn_model *m, const char *names, const char *path);
NN_API nn_status nn_save_npz(nn_model *m, const char *names, const char *path);
#endif
#endif

#ifndef NN_NO_EXPORT
/* ======================================= @@SOURCE ==========================================
 * A model as C source, for a chip or any program: plain loops for exactly this net, in one file
 * without the engine. */

/* Writes a built model as a header in C99, which is C++ too, and calls nothing but expf, tanhf and
 * sqrtf of <math.h>, where a layer needs them; where NN_C_OWN_MATH is defined ahead of it, it has
 * the first two itself, within 9e-8 and 1.9e-7 of each result. With the prefix net it has
 *     void net_run(const float *x, float *y)    one sample, laid out as at this file's border
 * (x2, x3, x4: further inputs; tokens are floats, and one out of range is taken for 0), and, where
 * the net can go on from step to step (one sequence or tokens in, cells of one direction and no
 * layer that looks at other steps),
 *     struct net_state                          what the net remembers of a stream
 *     void net_reset(struct net_state *s)
 *     void net_step(struct net_state *s, const float *x, float *y)   the next step; y: what net_run
 *                                               would give (of the last step) if it were the end
 * It computes what nn_forward does for inference on samples of full length (cells begin from 0, or
 * from the state that a layer gives), but sums in another order: outputs agree within 1e-5 of their
 * root mean square (tests run 300 random nets on x86-64, 60 of them on four other processors).
 * Norms and scalings become a part of the weights beside them; activations, and pools whose windows
 * lie apart, are done on the fly, so that the map before them is not stored; arrays that are not
 * wanted at the same time share one place.
 * That working memory, NET_FLOATS floats, is static, so one call runs at a time; define NET_MEMORY
 * as the address of others ahead of the header to use those. All functions are static. The comment
 * at the top has the layers, multiply-adds, bytes of weights and memory, and what the note
 * "classes" calls the outputs.
 * Takes memory from config.allocator while it works. Errors: NN_ERR_ARGUMENT (a prefix that is no
 * name in C; a weight that is not finite), NN_ERR_STATE (not built), NN_ERR_UNSUPPORTED for layers
 * of one's own, NN_ERR_LIMIT for arrays of 2 GiB, NN_ERR_MEMORY, NN_ERR_IO when `write` failed. */
typedef struct nn_int8 nn_int8;
typedef struct nn_c_sizes {
  size_t weights, memory; /* bytes: constants; working memory, with the state of a stream */
  double macs;            /* multiply-adds of a sample */
} nn_c_sizes;
typedef struct nn_c_options {
  const char *prefix; /* of all names: a letter, up to 31 more, digits, '_'; NULL: "net" */
  nn_int8 *int8;      /* of this model: in int8; NULL: in float */
  nn_c_sizes *sizes;  /* is filled in; or NULL */
} nn_c_options;
NN_API nn_status nn_export_c(nn_model *m, const nn_c_options *options, nn_write write, void *user);
#ifndef NN_NO_STDIO
NN_API nn_status nn_save_c(nn_model *m, const nn_c_options *options, const char *path);
#endif

/* The same net in whole numbers, for C source by nn_c_options.int8: a quarter of the weights' and
 * the memory's bytes, and no floating point but in the first and last step, and for the root of a
 * layer or group norm's variance. The scheme is Jacob et al.'s (2018, Quantization and Training
 * of Neural Networks for Efficient Integer-Arithmetic-Only Inference), as TensorFlow Lite's int8:
 *   weights    w = scale[o] q, q in -127 .. 127, one scale for all weights of output o (a row of a
 *              linear layer, a filter, a row of a gate)
 *   numbers    x = scale (q - zero), q in -128 .. 127, one scale and zero for what a layer gives
 *   sums       exact, in 32 bits; biases are 32-bit numbers in the sum's scale
 *   rounding   of a sum to the next layer's byte: zero + floor(sum m / 2^shift + 1/2), limited to
 *              -128 .. 127, with a 31-bit m for each output and a shift for each layer
 *   relu       and clamp by the limits of the byte; other activations by a table of 256
 *   cells      state in 16 bits (h in units of 2^-15, c of 2^-11 within 16); gates' sums in units
 *              of 2^-12; 8-bit m; sigmoid by a power of 2, a cubic and a division (within 2^-14)
 *   norms      from exact sums of numbers and squares; batch norms and scalings go into the weights
 * All layers but those of one's own have such a form. A softmax at the end stays in float, where
 * equal bytes would be equal shares.
 * Ranges are measured: net m is run on the first three quarters of d's samples, which should be in
 * random order; a thousand will do. Whole ranges are tried, and ranges without the outermost 1e-5,
 * 1e-4 and 1e-3 of the numbers at each end; the last quarter decides, by right answers if it has a
 * label for each row of the output (no class: left out), then by the error of the outputs.
 * Sequences are taken at full length. A range holds 0: numbers far from it for their spread lose
 * their bits, and so do norms of numbers whose variance is far below eps. The relu of nn_rnn's
 * inner layers is taken to range as that of the last one.
 * The net, its parameters and config.allocator must outlive it. m: built with one input and
 * config.keep_activations, for training or inference. Errors: NN_ERR_STATE, NN_ERR_UNSUPPORTED (two
 * inputs, layers of one's own), NN_ERR_ARGUMENT or NN_ERR_SHAPE for the data, NN_ERR_ARGUMENT for
 * weights or outputs that are not finite, NN_ERR_LIMIT (large sums), NN_ERR_MEMORY. *out: NULL. */
NN_API nn_status nn_int8_create(nn_model *m, const nn_dataset *d, nn_int8 **out);
NN_API void nn_int8_free(nn_int8 *q); /* before the model; NULL is fine */
/* One sample, laid out as at this file's border: what the C source gives, to the bit (but of a
 * softmax in float), by the same functions. */
NN_API nn_status nn_int8_run(nn_int8 *q, const nn_real *x, nn_real *y);
/* Both nets over a data set. */
typedef struct nn_int8_result {
  int64_t rows, right, right_int8; /* answers with a label; those that are right, float and int8 */
  double error;                    /* of the int8 outputs: root mean square over the float ones' */
  double cut;                      /* share of numbers beyond each end of the ranges */
} nn_int8_result;
NN_API nn_status nn_int8_evaluate(nn_int8 *q, const nn_dataset *d, nn_int8_result *result);
#endif

#ifndef NN_NO_TRAINING
/* ========================================= @@FIT =========================================== */

typedef struct nn_evaluation {
  double loss, accuracy; /* accuracy: correct/rows where the first loss is a cross-entropy */
  int64_t correct, rows;
} nn_evaluation;

#define NN_MOST_LEFT_OUT 100
typedef struct nn_fit_options {
  int64_t epochs;   /* stop after so many whole epochs; default 1; 0 = not by epochs */
  int64_t steps;    /* or so many steps, if sooner; 0 = no limit. Both 0: patience or a callback */
  /* Samples a step, 1 .. 2^20; 0 = those of progress, where a run goes on, else config.batch times
   * the ranks. The last batch of an epoch may be smaller. More go through the model in parts, as
   * equal as can be, whose gradients add up to that of the whole batch to rounding; what dropout
   * and augmentation draw is the same. A batch norm takes the statistics of each part
   * (NN_ERR_ARGUMENT where one has a single value). What the losses compare with is read ahead, so
   * fill is called twice for each sample. In parts NN_ERR_UNSUPPORTED for layers with carry. */
  int batch;
  int no_shuffle;   /* 1: in the order of the data set */
  nn_augment augment;
  nn_progress *progress; /* where to start from, and kept up to date; NULL = from the beginning */
  /* 1: batches whose loss or gradient is NaN or infinite are left out and counted in progress; they
   * are steps of progress, not of nn_steps. NN_ERR_DIVERGED comes all the same when a parameter
   * became so, or when NN_MOST_LEFT_OUT in a row were left out. */
  int keep_going;

  /* Checkpoints, for nn_resume: NULL, or a path under which the last is kept, and the one before
   * it as path.previous. A new one is first written as path.tmp, so that two are whole whenever
   * the process is killed. The path is first tried at the first save. Written every so many steps,
   * or when so many seconds by the caller's clock have gone by since the last, or, where both are
   * 0, after every epoch; and when nn_fit ends or a callback stops it. What diverged is not
   * written. A failed write ends nn_fit with its status. Needs stdio (NN_ERR_UNSUPPORTED). */
  const char *path;
  int64_t save_every;
  double save_seconds;
  double (*clock)(void *user); /* seconds since any instant */

  /* Validation: NULL, or a set that is evaluated every so many steps (0: after every epoch), and
   * after the last step, with the moving average where one is kept. NN_PLATEAU needs it. The best
   * model so far (a higher accuracy for cross-entropy, else a lower loss; the lower loss among
   * equals, then the earlier) is saved as best_path, where not NULL. patience: stop, with NN_OK,
   * once so many validations in a row were no better; progress tells (not_better). 0: never. A loss
   * that is not finite is no better, and NN_ERR_DIVERGED without keep_going. */
  const nn_dataset *validation;
  int64_t validate_every;
  const char *best_path;
  int64_t patience;

  /* Each may be NULL; non-zero stops nn_fit, which does what is due after that step and returns
   * NN_STOPPED, progress ready to go on. In this order: after every step, with its own figures (0
   * of what was left out); every whole epoch; a validation; before a checkpoint is written, which
   * notes may still get into. on_gradient stands between backward (of all parts of a batch) and
   * step. It may look at the gradients (nn_gradient_norm), scale them, sum them over machines, and
   * run the model, each rank alone (nn_evaluate), but not in training mode; nor may it train it or
   * keep a checkpoint of it (NN_ERR_STATE). An error that it gives ends nn_fit before the step. */
  nn_status (*on_gradient)(void *user, nn_model *m, const nn_progress *p);
  int (*on_step)(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *step);
  int (*on_epoch)(void *user, nn_model *m, const nn_progress *p);
  int (*on_validation)(void *user, nn_model *m, const nn_progress *p, const nn_evaluation *e);
  int (*on_save)(void *user, nn_model *m, const nn_progress *p);
  void *user;
} nn_fit_options;
NN_API nn_fit_options nn_fit_default(void); /* one epoch, shuffled, no augmentation */

/* Trains. The order of samples depends on the model's seed, the epoch and the place alone. Errors:
 * NN_ERR_ARGUMENT (no labels or targets; a label, a target, a length or an option out of range,
 * found before anything is trained; batches of one value for a batch norm, all of them),
 * NN_ERR_SHAPE (samples, labels or targets of other sizes than the model's), NN_ERR_STATE (no
 * loss, inference model, more than one input), NN_ERR_DIVERGED; what train->fill returns; for
 * checkpoints those of nn_save. options NULL: the default. */
NN_API nn_status nn_fit(nn_model *m, const nn_dataset *train, const nn_fit_options *options);

#ifndef NN_NO_STDIO
/* Loads the last checkpoint that nn_fit kept under `path`; where that is damaged or missing the one
 * before it: out->previous is then 1, and why says what was wrong with the last (else it is empty).
 * NN_ABSENT and a sentence where there is neither: a run that begins. Where neither is whole, the
 * last one's error and a sentence about both. NN_ERR_STATE for a model that is no checkpoint. Other
 * errors are those of nn_load, without a look at the one before; pipes and folders are left alone.
 * Call it only from the process that goes on, for it cleans up: where `path` is damaged or missing,
 * a whole path.tmp, whose writer was killed before the last renaming, becomes `path`; a damaged
 * `path` becomes path.damaged, or the next checkpoint would make it path.previous. */
NN_API nn_status nn_resume(const char *path, const nn_config *config, nn_load_result *out,
                           nn_message *why);
#endif

/* Loss and accuracy over a whole set, without training: the loss of the set as one batch, so it
 * does not depend on config.batch; and right rows over labelled ones, none weighted. Layers with
 * carry start from 0 with every sample, and keep what they carry. Other figures: nn_survey. */
NN_API nn_status nn_evaluate(nn_model *m, const nn_dataset *d, nn_evaluation *result);
#endif

#ifndef NN_NO_EXPORT
/* ========================================= @@ONNX ==========================================
 * Models for ONNX Runtime and other programs, and from PyTorch's torch.onnx.export. */

/* Writes a built model as an ONNX file: IR version 7, operator set 13, weights in float32. Inputs
 * and output have the names of their layers and the shapes of the border, batch first; tokens are
 * int64. batch: samples a run, or 0: free, a size called "N". It computes what nn_forward does for
 * inference on samples of full length, from a state of 0 where layers carry one. Left out: dropout,
 * the loss (the output is nn_output), lengths, carried state. Notes become metadata_props, class
 * names (the note "classes") among them. Errors: NN_ERR_ARGUMENT, NN_ERR_STATE (not built),
 * NN_ERR_UNSUPPORTED for layers that have no operators here: zeros and copies of steps, a cell's
 * given and final state, layers of one's own; NN_ERR_LIMIT (2 GiB or more, which protobuf does not
 * allow), NN_ERR_IO when `write` failed. */
NN_API nn_status nn_export_onnx(const nn_model *m, int batch, nn_write write, void *user);

/* A built model of a stranger's ONNX file, with its weights, for config (NULL: the default): to
 * run, or to train once it has been saved and opened again (nn_open, a loss, nn_load_weights).
 * Taken are operator sets 11 to 20: the operators that nn_export_onnx writes, and those that
 * torch.onnx.export writes for PyTorch's layers where nn has them. Axes may be in any order and
 * shape as long as each sample stays by itself: where a layer of nn wants another order, layers
 * that move numbers are put between. A convolution's bias or a batch norm stay apart or joined as
 * they come. What cannot be taken exactly is refused, NN_ERR_UNSUPPORTED: `why` names the first
 * such operator, and the attribute or input that nn has not (LogSoftmax: leave it out, the loss
 * takes logits). The first axis of an input is the samples': [N,C,H,W], [N,T,F] or [N,C,T], [N,F]
 * and, of whole numbers, tokens [N,T]; there is one output, of at most three axes beside the
 * samples. Sizes that the file leaves free are the options', which come before the file's, too
 * (NULL: none; `until` must be NULL; `carry` not with cells that go back). Layers have the names of
 * their weights ("conv1" of conv1.weight), inputs their own, where nn_name allows them. Text in
 * metadata_props becomes notes. Numbers may be float32, float64 or float16; weights in other files
 * are refused. All of the file is checked, and what its layers take is limited as nn_load's are.
 * NN_ERR_FORMAT for what is no ONNX file, NN_ERR_SHAPE where the layers do not fit, NN_ERR_LIMIT,
 * NN_ERR_MEMORY; NN_ERR_ARGUMENT for config.in_place. */
NN_API nn_status nn_load_onnx_memory(const void *bytes, size_t size, const nn_config *config,
                                     const nn_open_options *options, nn_model **out,
                                     nn_message *why);
#ifndef NN_NO_STDIO
NN_API nn_status nn_save_onnx(nn_model *m, int batch, const char *path);
NN_API nn_status nn_load_onnx(const char *path, const nn_config *config,
                              const nn_open_options *options, nn_model **out, nn_message *why);
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif /* NN_H */
