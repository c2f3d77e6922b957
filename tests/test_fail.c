/* What fails when it may: every allocation, every call on a file, every start of a thread. The
 * engine is a part of this program, so that faults.h can make its calls of the C library fail. */
#define _GNU_SOURCE 1
#include "test.h"

#ifndef NN_NO_THREADS
#include <sched.h>
#endif

#include "faults.h"
#ifndef NN_NO_SIMD
#define NN_NO_SIMD /* the kernels call nothing that can fail */
#endif
#include "../nn.c"

enum { SAMPLES = 12, SIDE = 8, CLASSES = 3 };

/* An allocator that counts what is live, the most that was asked for at once, and fails the n-th
 * request, or all above a limit. */
static struct {
  long live, calls, at;
  size_t most, limit;
} heap;
static void *heap_allocate(void *user, size_t size) {
  void *p;
  (void)user;
  if (size > heap.most) heap.most = size;
  if (++heap.calls == heap.at || (heap.limit && size > heap.limit)) return NULL;
  p = (malloc)(size);
  heap.live += p != NULL;
  return p;
}
static void heap_release(void *user, void *p, size_t size) {
  (void)user, (void)size;
  heap.live -= p != NULL;
  free(p);
}
static const nn_allocator allocator = {heap_allocate, heap_release, NULL};

static nn_config config_with(int threads) {
  nn_config c = nn_config_default();
  c.allocator = allocator, c.batch = 4, c.threads = threads, c.keep_activations = 1;
  return c;
}

static uint8_t pixels[SAMPLES * SIDE * SIDE];
static int32_t labels[SAMPLES];
static nn_dataset samples(void) {
  int i;
  for (i = 0; i < (int)sizeof pixels; i++) pixels[i] = (uint8_t)(i * i * 31 + i / 7);
  for (i = 0; i < SAMPLES; i++) labels[i] = i % CLASSES;
  return nn_dataset_pixels(pixels, labels, SAMPLES, 1, SIDE, SIDE);
}

static void describe(nn_model *m) {
  int x = nn_input_image(m, 1, SIDE, SIDE);
#ifndef NN_NO_TRAINING
  nn_optimizer adam = nn_adam(.01);
  nn_set_optimizer(m, &adam);
#endif
  x = nn_relu(m, nn_batch_norm(m, nn_conv2d(m, x, 4, 3, 1, 1)));
  x = nn_dropout(m, nn_linear(m, nn_flatten(m, nn_max_pool2d(m, x, 2, 2, 0)), 10), .2);
  x = nn_linear(m, x, CLASSES);
#ifndef NN_NO_TRAINING
  nn_cross_entropy(m, x);
#endif
}

static uint32_t bits_of(nn_model *m) {
  uint32_t crc = 0;
  nn_param p;
  int i;
  for (i = 0; nn_get_param(m, i, &p) == NN_OK && i < nn_param_count(m); i++)
    crc = nn_crc32(crc, p.value, p.count * sizeof *p.value);
  return crc;
}

/* ------------------------------------------------------------------ the whole life of a net -- */

/* Calls again what was out of memory; `out` counts how often that was. */
#define ONCE_MORE(status, call)                                \
  if ((status = (call)) == NN_ERR_MEMORY) out++, status = (call)

#ifndef NN_NO_STDIO
static char folder[] = "/tmp/nn_test_fail.XXXXXX";
static char path[64], images_path[64], labels_path[64];

static int load_pair(nn_dataset *d, nn_message *why) {
  return nn_dataset_load(images_path, labels_path, &allocator, d, why);
}
#endif

/* Everything that may allocate or start threads, each call once more after a failure, which must
 * have left things as they were. Returns how many failed, and in *bits what came of it all. */
static int life(int threads, uint32_t *bits) {
  nn_config c = config_with(threads);
  nn_dataset d = samples();
  nn_context *product;
  nn_model *m, *other = NULL;
  nn_load_result load;
  nn_message why;
  nn_status status;
  unsigned char *bytes;
  size_t size;
  int out = 0;
#ifndef NN_NO_THREADS
  const int most = threads;
#else
  const int most = 1;
  c.threads = 1;
#endif
  (void)d;
  memset(&load, 0, sizeof load);
  memset(&why, 0, sizeof why);
  if (!(product = nn_context_create(NN_ISA_AUTO, most, &allocator)))
    out++, product = nn_context_create(NN_ISA_AUTO, most, &allocator);
  if (!(m = nn_create(&c))) out++, m = nn_create(&c);
  if (!CHECK(product && m)) return out;
  describe(m);
  status = nn_build(m);
  if (status == NN_ERR_MEMORY) {
    CHECK_HAS(nn_error(m), fault.at ? "cannot start" : "memory");
    CHECK(nn_parameters(m, NULL) == NULL && nn_output(m) == NULL);
    out++, status = nn_build(m);
  }
  if (!CHECK_OK(status)) fprintf(stderr, "    %s\n", nn_error(m));
#ifndef NN_NO_TRAINING
  CHECK_OK(nn_fit(m, &d, NULL));
  {
    nn_evaluation e;
    CHECK_OK(nn_evaluate(m, &d, &e));
  }
#endif
#if !defined NN_NO_INSPECT && !defined NN_NO_TRAINING
  {
    int64_t counts[CLASSES * CLASSES] = {0};
    nn_peak peaks[8];
    nn_real image[SIDE * SIDE] = {0}, map[SIDE * SIDE];
    nn_occlusion_options o = {5, 3, NULL, 1, 0, 0};
    CHECK_OK(nn_confusion(m, &d, counts));
    CHECK_OK(nn_peaks(m, &d, 1, 2, peaks));
    CHECK_OK(nn_occlusion(m, image, &o, map, NULL, NULL));
  }
#endif
  size = nn_save_size(m, NULL);
  bytes = (unsigned char *)test_memory(size);
  CHECK_OK(nn_save_memory(m, NULL, bytes, size));
  ONCE_MORE(status, nn_load_memory(bytes, size, &c, &load, &why));
  if (CHECK_OK(status)) CHECK(bits_of(load.model) == bits_of(m));
  other = load.model;
  free(bytes);
  *bits = bits_of(m);
#ifndef NN_NO_STDIO
  {
    nn_array a;
    nn_dataset read;
    nn_load_result again;
    CHECK_OK(nn_save(m, path));
    ONCE_MORE(status, nn_load(path, &c, &again, &why));
    if (CHECK_OK(status)) CHECK(bits_of(again.model) == *bits);
    nn_destroy(again.model);
    ONCE_MORE(status, nn_file_read(path, SIZE_MAX, &allocator, &a, &why));
    CHECK_OK(status);
    nn_array_free(&a);
    ONCE_MORE(status, nn_idx_load(images_path, &allocator, &a, &why));
    CHECK_OK(status);
    nn_array_free(&a);
    ONCE_MORE(status, load_pair(&read, &why));
    CHECK_OK(status);
    nn_dataset_free(&read);
  }
#endif
  {
    unsigned char record[2 * 3073] = {0};
    nn_array a, b;
    ONCE_MORE(status, nn_cifar10_parse(record, sizeof record, 1, &allocator, &a, &b, &why));
    CHECK_OK(status);
    nn_array_free(&a);
    nn_array_free(&b);
  }
  nn_destroy(other);
  nn_destroy(m);
  nn_context_destroy(product);
  return out;
}

static void every_allocation(void) {
  uint32_t want, bits;
  long n, all;
  memset(&heap, 0, sizeof heap);
  CHECK_INT(life(1, &want), 0);
  CHECK_INT(heap.live, 0);
  all = heap.calls;
  CHECK(all >= 7);
  for (n = 1; n <= all; n++) {
    heap.calls = 0, heap.at = n;
    if (!CHECK_INT(life(1, &bits), 1) || !CHECK_INT(heap.live, 0) || !CHECK(bits == want))
      fprintf(stderr, "    when allocation %ld of %ld failed\n", n, all);
  }
  heap.at = 0;
}

static void every_thread(void) {
#if defined NN_NO_THREADS
  SKIP("built without threads");
#else
  uint32_t want, bits;
  long n, all;
  memset(&heap, 0, sizeof heap);
  memset(&fault, 0, sizeof fault);
  fault.kinds = FAULT_THREADS;
  CHECK_INT(life(4, &want), 0);
  all = fault.calls;
  CHECK(all >= 3 * 6); /* pools, each of a mutex, two conditions and three threads */
  for (n = 1; n <= all; n++) {
    fault.calls = 0, fault.at = n;
    if (!CHECK_INT(life(4, &bits), 1) || !CHECK_INT(heap.live, 0) || !CHECK(bits == want))
      fprintf(stderr, "    when call %ld of %ld, %s, failed\n", n, all, fault.what);
  }
  memset(&fault, 0, sizeof fault);
#endif
}

/* Where a product ends on one core or many is chance; here the caller surely sleeps, until a worker
 * that is late has seen that it does. */
#ifndef NN_NO_THREADS
typedef struct Meeting {
  nn__pool pool;
  int done[2];
} Meeting;
static void meet(void *arg, size_t index, int thread) {
  enum { MOST = 10000000 };
  Meeting *at = (Meeting *)arg;
  long k = 0;
  if (thread)
    while (!nn__look(&at->pool, asleep[NN__CALLER]) && k++ < MOST) sched_yield();
  else
    while (nn__look(&at->pool, left) && k++ < MOST) sched_yield();
  CHECK(k < MOST);
  at->done[index]++;
}
#endif
static void waits_for_the_last(void) {
#ifdef NN_NO_THREADS
  SKIP("built without threads");
#else
  static Meeting at;
  if (!CHECK_OK(nn__pool_start(&at.pool, 2))) return;
  for (int i = 1; i <= 50 && !test_state.bad; i++) {
    nn__parallel(&at.pool, 2, meet, &at);
    CHECK(at.done[0] == i && at.done[1] == i);
  }
  nn__pool_stop(&at.pool);
#endif
}

/* ------------------------------------------------------------------------ control groups ----- */

#if !defined NN_NO_THREADS && NN__LINUX
/* Writes root/path and the folders on its way. */
static void put_file(const char *root, const char *path, const char *text) {
  char full[256];
  const int length = snprintf(full, sizeof full, "%s/%s", root, path);
  for (int i = 1; i < length; i++)
    if (full[i] == '/') full[i] = 0, mkdir(full, 0777), full[i] = '/';
  FILE *f = (fopen)(full, "w");
  if (CHECK(f != NULL)) fputs(text, f), (fclose)(f);
}
#define CGROUP "sys/fs/cgroup/"
#endif

/* How many of eight cores the quotas of a process leave it. */
static void quotas(void) {
#if defined NN_NO_THREADS || !NN__LINUX
  SKIP("no threads, or no Linux");
#else
  static const struct {
    const char *groups, *file, *text; /* /proc/self/cgroup; one file */
    int cores;
  } of[] = {
      {"0::/\n", CGROUP "cpu.max", "150000 100000\n", 2}, /* a container's own root */
      {"0::/\n", CGROUP "cpu.max", "200000 100000\n", 2},
      {"0::/\n", CGROUP "cpu.max", "1000 100000\n", 1},
      {"0::/\n", CGROUP "cpu.max", "max 100000\n", 8},
      {"0::/\n", CGROUP "cpu.max", "900000 100000\n", 8},
      {"0::/\n", CGROUP "cpu.max", "99999999999999999999999 100000\n", 8},
      {"0::/\n", CGROUP "cpu.max", "150000\n", 8},
      {"0::/\n", CGROUP "cpu.max", "", 8},
      {"0::/a.slice/b\n", CGROUP "a.slice/b/cpu.max", "250000 100000\n", 3},
      {"0::/a.slice/b\n", CGROUP "a.slice/cpu.max", "250000 100000\n", 3}, /* what it is part of */
      {"0::/a.slice/b\n", CGROUP "a.slice/c/cpu.max", "250000 100000\n", 8}, /* a neighbour */
      {"12:memory:/x\n4:cpu,cpuacct:/x\n0::/\n", CGROUP "cpu/x/cpu.cfs_quota_us", "300000\n", 3},
      {"4:cpuacct,cpu:/docker/1\n", CGROUP "cpu/cpu.cfs_quota_us", "50000\n", 1},
      {"4:cpu:/x\n", CGROUP "cpu/x/cpu.cfs_quota_us", "-1\n", 8},
      {"4:cpuset:/x\n5:cpuacct:/x\n", CGROUP "cpu/x/cpu.cfs_quota_us", "50000\n", 8},
      {"no line of it\n:\n0:\n\n", CGROUP "cpu.max", "50000 100000\n", 8},
  };
  char root[] = "/tmp/nn-quotas.XXXXXX", command[64], line[700];
  if (!CHECK(mkdtemp(root) != NULL)) return;
  snprintf(command, sizeof command, "rm -rf %s", root);
  CHECK_INT(nn__quota_cores(root, 8), 8); /* no such files at all */
  for (size_t i = 0; i < COUNT(of); i++) {
    put_file(root, "proc/self/cgroup", of[i].groups);
    put_file(root, of[i].file, of[i].text);
    if (strstr(of[i].file, "cpu/"))
      put_file(root, strstr(of[i].file, "/x") ? CGROUP "cpu/x/cpu.cfs_period_us"
                                              : CGROUP "cpu/cpu.cfs_period_us", "100000\n");
    if (!CHECK_INT(nn__quota_cores(root, 8), of[i].cores))
      fprintf(stderr, "    case %d\n", (int)i);
    CHECK_INT(system(command), 0);
  }
  memset(line, 'x', sizeof line); /* longer than is read */
  memcpy(line, "0::/", 4), strcpy(line + 600, "\n0::/\n");
  put_file(root, "proc/self/cgroup", line);
  put_file(root, CGROUP "cpu.max", "150000 100000\n");
  CHECK_INT(nn__quota_cores(root, 8), 2);
  CHECK_INT(system(command), 0);
  CHECK(nn__cores() >= 1);
#endif
}

/* ----------------------------------------------------------------------- names in order ------- */

/* As many keys as a list may have, in any order, come back in order, each once, in few walks. */
static void names_in_order(void)
{
#ifndef NN_NO_EXPORT
  nn__group g;
  uint64_t last = 0;
  int walks = 0, seen = 0, greater = 1;
  memset(&g, 0, sizeof g);
  do {
    for (uint32_t i = 0; i < NN__MOST_ARRAYS; i++)
      nn__group_add(&g, 1 + nn_shuffled(7, 0, NN__MOST_ARRAYS, i), i);
    for (int i = walks++ > 0; i < g.count; i++, seen++)
      greater &= g.item[i].key == ++last && nn_shuffled(7, 0, NN__MOST_ARRAYS,
                                                        (uint32_t)g.item[i].end) + 1 == last;
  } while (nn__group_next(&g));
  CHECK(greater);
  CHECK_INT(seen, NN__MOST_ARRAYS);
  CHECK(walks <= 66); /* not more where NN_MAX_PARAMS allows more arrays */
#endif
}

/* --------------------------------------------------------------------------------- files ------ */
#ifndef NN_NO_STDIO

static nn_model *trained;

typedef struct Content {
  size_t size;
  unsigned char at[1 << 16];
} Content;
static Content old_file, new_file;
static void read_bytes(const char *from, Content *b) {
  FILE *f = (fopen)(from, "rb");
  b->size = f ? (fread)(b->at, 1, sizeof b->at, f) : 0;
  if (f) (fclose)(f);
}
static int exists(const char *name) {
  struct stat s;
  return (stat)(name, &s) == 0;
}

static nn_status save_model(nn_message *why) {
  const nn_status status = nn_save(trained, path);
  snprintf(why->text, sizeof why->text, "%s", nn_error(trained));
  return status;
}
#ifndef NN_NO_TRAINING
static nn_status save_checkpoint(nn_message *why) {
  nn_progress p;
  nn_status status;
  memset(&p, 0, sizeof p);
  p.step = 3;
  status = nn_save_checkpoint(trained, &p, path);
  snprintf(why->text, sizeof why->text, "%s", nn_error(trained));
  return status;
}
#endif
#ifndef NN_NO_EXPORT
static nn_status export_model(nn_status (*save)(nn_model *, const char *, const char *),
                              nn_message *why) {
  const nn_status status = save(trained, NULL, path);
  snprintf(why->text, sizeof why->text, "%s", nn_error(trained));
  return status;
}
static nn_status save_safetensors(nn_message *why) {
  return export_model(nn_save_safetensors, why);
}
static nn_status save_npz(nn_message *why) { return export_model(nn_save_npz, why); }
#endif
static nn_status write_file(nn_message *why) { return nn_file_write(path, "some words", 10, why); }
static nn_status save_npy(nn_message *why) {
  nn_array a;
  memset(&a, 0, sizeof a);
  a.type = NN_U8, a.rank = 1, a.dim[0] = a.count = sizeof pixels, a.data = pixels;
  return nn_npy_save(path, &a, why);
}

static nn_status load_model(nn_message *why) {
  const nn_config c = config_with(1);
  nn_load_result load;
  const nn_status status = nn_load(path, &c, &load, why);
  if (status == NN_OK) CHECK(bits_of(load.model) == bits_of(trained));
  else CHECK(load.model == NULL);
  nn_destroy(load.model);
  return status;
}
static nn_status read_file(nn_message *why) {
  nn_array a;
  const nn_status status = nn_file_read(path, SIZE_MAX, &allocator, &a, why);
  if (status == NN_OK) CHECK(a.count == old_file.size && !memcmp(a.data, old_file.at, a.count));
  else CHECK(a.data == NULL);
  nn_array_free(&a);
  return status;
}
static nn_status load_dataset(nn_message *why) {
  nn_dataset d;
  const nn_status status = load_pair(&d, why);
  if (status == NN_OK) CHECK(d.count == SAMPLES && d.labels[4] == 4 % CLASSES);
  nn_dataset_free(&d);
  return status;
}

/* Every call on a file that `act` makes fails once. Then it says which file and why, nothing stays
 * open, allocated or lying about, an old file is as it was, and the next try succeeds. Calls whose
 * failure may be passed over: closing what was read, removing what is left over, asking whether a
 * file is a regular one, and, at the very end, the sync of the folder with the new name. */
static void each_failure(const char *name, nn_status (*act)(nn_message *why), int writes) {
  const char *const where[] = {path, images_path, labels_path};
  nn_message why;
  char temporary[80];
  long n, all, live;
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  CHECK_OK(nn_save(trained, path));
  read_bytes(path, &old_file);
  live = heap.live;
  memset(&fault, 0, sizeof fault);
  fault.kinds = FAULT_FILES;
  CHECK_OK(act(&why));
  all = fault.calls;
  CHECK(all >= 4);
  for (n = 1; n <= all; n++) {
    nn_status status;
    int held;
    memset(&fault, 0, sizeof fault);
    CHECK_OK(nn_save(trained, path));
    fault.kinds = FAULT_FILES, fault.at = n;
    memset(&why, 0, sizeof why);
    status = act(&why);
    fault.kinds = 0;
    held = CHECK(fault.what != NULL);
    if (status == NN_OK) {
      held = held && CHECK(strcmp(fault.what, "stat") == 0 ||
                           strcmp(fault.what, writes && n == all ? "fsync" : "fclose") == 0);
    } else {
      held = held && CHECK_STATUS(status, NN_ERR_IO) && CHECK_HAS(why.text, strerror(EIO)) &&
             CHECK(test_names(why.text, where[0]) || test_names(why.text, where[1]) ||
                   test_names(why.text, where[2]));
      if (writes) {
        read_bytes(path, &new_file);
        held = held && CHECK(new_file.size == old_file.size) &&
               CHECK(memcmp(new_file.at, old_file.at, old_file.size) == 0);
      }
    }
    held = held && CHECK(!exists(temporary)) && CHECK_INT(fault.open, 0) &&
           CHECK_INT(heap.live, live) && CHECK_OK(act(&why)) && CHECK_INT(heap.live, live);
    if (!held)
      fprintf(stderr, "    %s: call %ld of %ld, %s; \"%s\"\n", name, n, all, fault.what, why.text);
    if (!held) break;
  }
  memset(&fault, 0, sizeof fault);
}
#endif

static void every_call_on_a_file(void) {
#ifdef NN_NO_STDIO
  SKIP("built without files");
#else
  nn_config c = config_with(1);
  uint32_t before;
  trained = nn_create(&c);
  describe(trained);
  if (!CHECK_OK(nn_build(trained))) return;
  before = bits_of(trained);
  each_failure("save", save_model, 1);
#ifndef NN_NO_TRAINING
  each_failure("checkpoint", save_checkpoint, 1);
#endif
#ifndef NN_NO_EXPORT
  each_failure("safetensors", save_safetensors, 1);
  each_failure("npz", save_npz, 1);
#endif
  each_failure("write", write_file, 1);
  each_failure("npy", save_npy, 1);
  each_failure("load", load_model, 0);
  each_failure("read", read_file, 0);
  each_failure("data set", load_dataset, 0);
  CHECK(bits_of(trained) == before);
#ifndef NN_NO_TRAINING
  { /* and goes on training */
    nn_dataset d = samples();
    CHECK_OK(nn_fit(trained, &d, NULL));
  }
#endif
  nn_destroy(trained);
  CHECK_INT(heap.live, 0);
#endif
}

/* ----------------------------------------------------------- a run that fails or is killed ---- */

#if !defined NN_NO_STDIO && !defined NN_NO_TRAINING
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static char previous_path[80], temporary_path[80], damaged_path[80], best_path[80];
static volatile int *saves; /* checkpoints that were begun, by a child too */
static int count_save(void *user, nn_model *m, const nn_progress *p) {
  (void)user, (void)m, (void)p;
  ++*saves;
  return 0;
}

/* Begins the run or goes on with it, to its end: 14 steps, 7 checkpoints, 5 validations. *end: of
 * all that came of it. */
static nn_status run(uint32_t *end, nn_message *why) {
  const nn_config c = config_with(1);
  const nn_dataset d = samples();
  nn_fit_options o = nn_fit_default();
  nn_load_result r;
  nn_status status = nn_resume(path, &c, &r, why);
  if (status < 0) return status;
  if (!r.model) describe(r.model = nn_create(&c)), nn_build(r.model);
  o.epochs = 0, o.steps = 14, o.save_every = 2, o.path = path, o.progress = &r.progress;
  o.validation = &d, o.validate_every = 3, o.best_path = best_path, o.on_save = count_save;
  o.augment.shift = 1;
  status = nn_fit(r.model, &d, &o);
  snprintf(why->text, sizeof why->text, "%s", nn_error(r.model));
  *end = nn_crc32(bits_of(r.model), &r.progress, sizeof r.progress);
  nn_destroy(r.model);
  if (status == NN_OK) read_bytes(best_path, &old_file);
  if (status == NN_OK) *end = nn_crc32(*end, old_file.at, old_file.size);
  return status;
}
/* From here on the n-th call of these kinds fails; 0: none does. */
static void set_faults(int kinds, long n, int how) {
  memset(&fault, 0, sizeof fault);
  fault.unsynced = 1, fault.kinds = kinds, fault.at = n, fault.kills = how;
}
static void forget_run(void) {
  remove(path), remove(previous_path), remove(temporary_path), remove(damaged_path);
  remove(best_path), *saves = 0;
}
static int finished(void) { /* checkpoints, two at most, when the one that was begun last was not */
  return *saves < 3 ? *saves - 1 : 2;
}
static int whole_ones(void) { /* different checkpoints that are there */
  const char *const names[] = {path, previous_path, temporary_path};
  const nn_config c = config_with(1);
  int64_t steps[3];
  int count = 0;
  for (int i = 0; i < 3; i++) {
    nn_load_result r;
    if (nn_load(names[i], &c, &r, NULL) != NN_OK) continue;
    steps[count] = r.progress.step;
    count += !count || steps[count] != steps[0];
    nn_destroy(r.model);
  }
  return count;
}
/* After a failure or a kill: so many checkpoints are whole, and what goes on from them ends where
 * it should. */
static int survives(uint32_t want, int wholes) {
  nn_message why;
  uint32_t end = 0;
  int held = CHECK(whole_ones() >= wholes);
  held = held && CHECK_OK(run(&end, &why)) && CHECK(end == want);
  if (!held) fprintf(stderr, "    %s\n", why.text);
  return held && CHECK_INT(fault.open, 0) && CHECK_INT(heap.live, 0);
}
static void name_run(void) {
  sprintf(previous_path, "%s.previous", path), sprintf(temporary_path, "%s.tmp", path);
  sprintf(damaged_path, "%s.damaged", path), sprintf(best_path, "%s.best", path);
  saves = (volatile int *)mmap(NULL, sizeof *saves, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  set_faults(0, 0, 0), memset(&heap, 0, sizeof heap);
  forget_run();
}

/* Every call on a file of a run, begun and gone on with, fails once; or the process is killed right
 * before it. Of the many calls that write there are only some, unless FAULTS=all. */
static void each_call_of_a_run(int kinds, long stride, uint32_t want) {
  uint32_t end = 0;
  nn_message why;
  set_faults(0, 0, 0), forget_run();
  set_faults(kinds, 0, 0);
  if (!CHECK_OK(run(&end, &why)) || !CHECK(end == want)) return;
  const long all = fault.calls;
  CHECK(all > 100 && whole_ones() == 2 && *saves == 7);
  for (int kills = 0; kills < 2; kills++)
    for (long n = 1; n <= all; n += stride) {
      const char *what = "kill";
      int held = 1;
      set_faults(0, 0, 0), forget_run();
      set_faults(kinds, n, kills);
      if (!kills) {
        const nn_status status = run(&end, &why);
        what = fault.what;
        held = CHECK(status == NN_OK ? end == want : status == NN_ERR_IO) &&
               CHECK(status == NN_OK || test_names(why.text, path));
      } else {
        const pid_t child = fork();
        int how = 0;
        if (child == 0) run(&end, &why), _exit(0);
        held = CHECK(waitpid(child, &how, 0) == child) && CHECK(WIFSIGNALED(how));
      }
      set_faults(0, 0, 0);
      if (held && survives(want, finished())) continue;
      fprintf(stderr, "    call %ld of %ld, %s; \"%s\"\n", n, all, what ? what : "", why.text);
      n = all;
    }
  forget_run();
}
static void every_call_of_a_run(void) {
  const char *faults = getenv("FAULTS");
  uint32_t want = 0;
  nn_message why;
  name_run();
  if (!CHECK_OK(run(&want, &why))) return;
  each_call_of_a_run(FAULT_NO_WRITES, 1, want);
  each_call_of_a_run(FAULT_FILES, faults && !strcmp(faults, "all") ? 1 : 53, want);
}

/* The same where each call fails while the last checkpoint is damaged: the one before is used, or
 * stays for the next try. */
static void every_call_of_resuming(void) {
  const nn_config c = config_with(1);
  uint32_t want = 0;
  nn_message why;
  nn_load_result r;
  long all = 1;
  name_run();
  if (!CHECK_OK(run(&want, &why))) return;
  for (long n = 0; n <= all; n++) { /* 0 counts them */
    forget_run();
    CHECK_OK(run(&want, &why));
    read_bytes(path, &new_file);
    new_file.at[new_file.size / 2] ^= 1;
    CHECK_OK(nn_file_write(path, new_file.at, new_file.size, &why));
    set_faults(FAULT_FILES, n, 0);
    const nn_status status = nn_resume(path, &c, &r, &why);
    if (n == 0) all = fault.calls;
    set_faults(0, 0, 0);
    CHECK(status == NN_OK || status == NN_ERR_IO || status == NN_ERR_FORMAT);
    CHECK((status == NN_OK) == (r.model != NULL) && (status != NN_OK || r.previous));
    if (n == 0) CHECK_OK(status);
    nn_destroy(r.model);
    if (!survives(want, 1)) fprintf(stderr, "    call %ld of %ld\n", n, all);
  }
  CHECK(all > 10);
  forget_run();
}

/* Killed at random instants, again and again: KILLS=n. */
static void kills_at_random(void) {
  const char *wanted = getenv("KILLS");
  const int kills = wanted ? atoi(wanted) : 20;
  nn_random r = {1, 2, 3};
  uint32_t want = 0;
  nn_message why;
  struct timespec begin, now;
  int killed = 0, ended = 0;
  name_run();
  clock_gettime(CLOCK_MONOTONIC, &begin);
  if (!CHECK_OK(run(&want, &why))) return;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double whole = 1e9 * (double)(now.tv_sec - begin.tv_sec) +
                       (double)(now.tv_nsec - begin.tv_nsec);
  forget_run();
  for (int tries = 0; killed < kills && tries < 10 * kills + 100; tries++) {
    const double wait = whole * .8 * nn_random_uniform(&r);
    const struct timespec pause = {(time_t)(wait / 1e9), (long)fmod(wait, 1e9)};
    int how = 0;
    *saves = 0;
    const pid_t child = fork();
    if (child == 0) {
      uint32_t end = 0;
      const nn_status status = run(&end, &why);
      _exit(status == NN_OK && end == want ? 0 : 1);
    }
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    if (!CHECK(waitpid(child, &how, 0) == child)) break;
    if (WIFSIGNALED(how)) {
      killed++;
      if (!CHECK(whole_ones() >= finished())) break;
      continue;
    }
    if (!CHECK_INT(WEXITSTATUS(how), 0)) break;
    ended++, forget_run();
  }
  CHECK_INT(killed, kills);
  survives(want, finished());
  if (wanted) printf("%d kills, %d runs\n", killed, ended + 1);
  forget_run();
}
#else
static void every_call_of_a_run(void) { SKIP("built without training or files"); }
static void every_call_of_resuming(void) { SKIP("built without training or files"); }
static void kills_at_random(void) { SKIP("built without training or files"); }
#endif

/* ------------------------------------------------------------------------- sizes that wrap ---- */

/* Layers of 2^k units, images of 2^k pixels and so on: what must be there at the least is counted
 * in double here. The plan is never smaller, which a wrapped product would make it, and what does
 * not fit into a size_t is refused. */
static void no_size_wraps(void) {
  static const int sizes[] = {1, 3, 255, 4096, 65535, 65536, 131072, 1 << 24, 1 << 28, 2147483647};
  const int most = COUNT(sizes);
  long planned = 0, refused = 0;
  int kind, i, k, batch;
  memset(&heap, 0, sizeof heap);
  heap.limit = 1 << 26;
  for (batch = 1; batch <= 1 << 20; batch <<= 10)
    for (kind = 0; kind < 7; kind++)
      for (i = 0; i < most; i++)
        for (k = 0; k < most; k++) {
          const double a = sizes[i], b = sizes[k], n = batch;
          nn_config c = config_with(1);
          nn_model *m;
          size_t size = 0;
          double least = 0;
          nn_status status;
          c.batch = batch;
          m = nn_create(&c);
          if (!CHECK(m != NULL)) return;
          switch (kind) { /* parameters, and outputs of the batch */
          case 0:
            nn_linear(m, nn_input_vector(m, sizes[i]), sizes[k]);
            least = a * b + n * b;
            break;
          case 1:
            nn_relu(m, nn_input_image(m, sizes[i], sizes[k], 3));
            least = n * a * b * 3;
            break;
          case 2:
            nn_conv2d(m, nn_input_image(m, sizes[i], 5, 5), sizes[k], 3, 1, 1);
            least = a * b * 9 + n * b * 25;
            break;
          case 3:
            nn_embedding(m, nn_input_tokens(m, 3), sizes[i], sizes[k]);
            least = a * b + n * 3 * b;
            break;
          case 4:
            nn_lstm(m, nn_input_sequence(m, 3, sizes[i]), sizes[k]);
            least = 4 * a * b + 4 * b * b + n * 3 * b;
            break;
          case 5:
            nn_linear(m, nn_input_sequence(m, sizes[i], 7), sizes[k]);
            least = 7 * b + n * a * b;
            break;
          default: {
            int x = nn_relu(m, nn_input_image(m, sizes[i], 4, 4)), y = x, j;
            for (j = 0; j < 12; j++) y = nn_concat(m, y, y); /* 4096 times as many channels */
            least = n * a * 16 * 4096;
          }
          }
          status = nn_plan(m, &size);
          least *= sizeof(nn_real);
          if (status == NN_OK) {
            planned++;
            if (!CHECK((double)size >= least) || !CHECK(least < (double)SIZE_MAX))
              fprintf(stderr, "    kind %d, %d and %d, batch %d: %.0f bytes, at least %.0f\n", kind,
                      sizes[i], sizes[k], batch, (double)size, least);
            status = size > heap.limit ? nn_build(m) : NN_ERR_MEMORY; /* asks for all of it */
            if (!CHECK_STATUS(status, NN_ERR_MEMORY)) return;
            if (size > heap.limit) CHECK(heap.most == size);
            heap.most = 0;
          } else {
            refused++;
            if (!CHECK(status == NN_ERR_LIMIT || status == NN_ERR_ARGUMENT) ||
                !CHECK(test_told(nn_error(m))))
              fprintf(stderr, "    kind %d, %d and %d, batch %d: %s\n", kind, sizes[i], sizes[k],
                      batch, nn_error(m));
          }
          nn_destroy(m);
        }
  CHECK(planned > 100 && refused > 100);
  CHECK_INT(heap.live, 0);
  heap.limit = 0;
}

/* Sizes that come as size_t. */
static void sizes_near_the_end(void) {
  nn_config c = config_with(1);
  nn_context *x = nn_context_create(NN_ISA_AUTO, 1, &allocator);
  nn_model *m = nn_create(&c);
  nn_real one = 1, two = 2, out = 0;
  char small[64];
  nn_message why;
  nn_array a;
  const size_t ends[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / sizeof(nn_real) + 1};
  size_t i, size;
  memset(&heap, 0, sizeof heap);
  if (!CHECK(x && m)) return;
  for (i = 0; i < COUNT(ends); i++) { /* nothing to multiply, however far apart the rows are */
    CHECK_OK(nn_gemm(x, 0, 0, 0, 1, 1, 1, &one, ends[i], &two, ends[i], 0, &out, ends[i]));
    CHECK_OK(nn_gemm(x, 0, 0, 1, 1, 1, 1, &one, ends[i], &two, ends[i], 0, &out, ends[i]));
    CHECK(out == 2);
    /* a whole npy header that promises more elements than there are bytes in the world */
    snprintf(small, sizeof small, "{'descr': '<f8', 'fortran_order': False, 'shape': (%lu,), }",
             (unsigned long)ends[i]);
    {
      unsigned char npy[128 + 16];
      memset(npy, ' ', sizeof npy);
      memcpy(npy, "\x93NUMPY\1\0\166\0", 10);
      memcpy(npy + 10, small, strlen(small));
      npy[127] = '\n';
      CHECK(nn_npy_parse(npy, sizeof npy, &allocator, &a, &why) < 0);
      CHECK(a.data == NULL && why.text[0] && heap.calls == 0);
    }
  }
  describe(m);
  CHECK_OK(nn_plan(m, &size));
  CHECK(size > 1000 && size < 1 << 24);
  CHECK_OK(nn_build(m));
  nn_destroy(m);
  nn_context_destroy(x);
}

int main(void) {
#ifndef NN_NO_STDIO
  static const unsigned char head[16] = {0, 0, 8, 3, 0, 0, 0, SAMPLES, 0, 0, 0, SIDE,
                                         0, 0, 0, SIDE};
  static const unsigned char row[8] = {0, 0, 8, 1, 0, 0, 0, SAMPLES};
  FILE *f;
  int i;
  samples();
  if (!mkdtemp(folder)) return perror(folder), 2;
  snprintf(path, sizeof path, "%s/model.nn", folder);
  snprintf(images_path, sizeof images_path, "%s/images", folder);
  snprintf(labels_path, sizeof labels_path, "%s/labels", folder);
  if (!(f = fopen(images_path, "wb"))) return perror(images_path), 2;
  fwrite(head, 1, sizeof head, f), fwrite(pixels, 1, sizeof pixels, f), fclose(f);
  if (!(f = fopen(labels_path, "wb"))) return perror(labels_path), 2;
  fwrite(row, 1, sizeof row, f);
  for (i = 0; i < SAMPLES; i++) putc((int)labels[i], f);
  fclose(f);
#endif
  RUN(every_allocation);
  RUN(every_thread);
  RUN(waits_for_the_last);
  RUN(quotas);
  RUN(names_in_order);
  RUN(every_call_on_a_file);
  RUN(every_call_of_a_run);
  RUN(every_call_of_resuming);
  RUN(kills_at_random);
  RUN(no_size_wraps);
  RUN(sizes_near_the_end);
#ifndef NN_NO_STDIO
  remove(path), remove(images_path), remove(labels_path), rmdir(folder);
#endif
  return test_end("fail");
}
