/* The engine in a web page: what data/play.html and build/nn.mjs call, compiled with nn.c to
 * build/nn.wasm by `make web`. A thin layer over nn.h: a net with room for its samples, so that
 * JavaScript need not know a struct, and images drawn where there are no others.
 *
 * Pointers are numbers in JavaScript and begin there what typed arrays look at; every array is in
 * nn.h's border layout. A function that returns a status returns nn.h's: below 0 it failed, and
 * play_error says why. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../nn.h"
#include "drawn.inc"

#define EXPORT(name) __attribute__((export_name(#name)))

typedef struct play {
  nn_model *model;
  int batch, steps, classes; /* steps: of a sequence, else 0 */
  size_t inputs;             /* numbers of one sample */
  nn_real *x, *answer;       /* [batch, inputs]; [batch, classes] */
  int32_t *labels;           /* [batch] */
  nn_real *seen;             /* room for the values of any layer, of all samples */
  double loss;               /* of the last step, and how many of it were right */
  int64_t correct;
} play;

static nn_message said; /* what went wrong last */

EXPORT(play_error) const char *play_error(void) { return said.text; }
EXPORT(play_room) void *play_room(size_t bytes) { return malloc(bytes ? bytes : 1); }
EXPORT(play_free) void play_free(void *room) { free(room); }

static int note(const play *p, int status)
{
  if (status < 0) strncpy(said.text, nn_error(p->model), sizeof said.text - 1);
  return status;
}

static size_t size_of(const nn_node_info *n)
{
  size_t size = 1;
  for (int i = 0; i < n->rank; i++) size *= (size_t)n->dim[i];
  return size;
}

EXPORT(play_close) void play_close(play *p)
{
  if (!p) return;
  nn_destroy(p->model);
  free(p->x), free(p->answer), free(p->labels), free(p->seen);
  free(p);
}

/* A net with its room, of a model that is built; NULL, and the model is gone, where it classifies
 * no samples of one input or memory is short. */
static play *take(nn_model *m, int batch)
{
  nn_node_info in, out, n;
  play *p = calloc(1, sizeof *p);
  size_t most = 1;
  if (!p) return nn_destroy(m), NULL;
  p->model = m, p->batch = batch;
  nn_get_node(m, 0, &in);
  for (int i = 0; i < nn_node_count(m); i++)
    if (!nn_get_node(m, i, &n) && size_of(&n) > most) most = size_of(&n);
  if (nn_get_node(m, nn_output_node(m), &out) || out.rank != 1 || strcmp(in.kind, "input")) {
    strcpy(said.text, "this model gives no answer of one class for an image or a sequence");
    return play_close(p), NULL;
  }
  p->inputs = size_of(&in), p->classes = out.dim[0], p->steps = in.rank == 2 ? in.dim[0] : 0;
  p->x = calloc((size_t)batch * p->inputs, sizeof *p->x);
  p->answer = calloc((size_t)batch * (size_t)p->classes, sizeof *p->answer);
  p->labels = calloc((size_t)batch, sizeof *p->labels);
  p->seen = calloc((size_t)batch * most, sizeof *p->seen);
  if (p->x && p->answer && p->labels && p->seen) return p;
  strcpy(said.text, "out of memory");
  return play_close(p), NULL;
}

/* The net of a file's bytes, for `batch` samples at once. looks: 1 to look inside, which keeps
 * every layer's values and can go back to the pixels; 0 to classify alone, in less memory. */
EXPORT(play_open) play *play_open(const void *bytes, size_t size, int batch, int looks)
{
  nn_config c = nn_config_default();
  nn_load_result loaded;
  c.batch = batch, c.inference = !looks, c.keep_activations = c.input_gradient = looks;
  if (nn_load_memory(bytes, size, &c, &loaded, &said)) return NULL;
  return take(loaded.model, batch);
}

/* A small new net for 28 x 28 gray images, to be trained: 0 one hidden layer, 1 two convolutions,
 * 2 a GRU that reads row by row. It is trained by Adam. */
EXPORT(play_make) play *play_make(int kind, int classes, int batch, uint32_t seed, double rate)
{
  const nn_optimizer adam = nn_adam(rate);
  nn_config c = nn_config_default();
  c.batch = batch, c.seed = seed, c.keep_activations = c.input_gradient = 1;
  nn_model *m = nn_create(&c);
  int x = kind == 2 ? nn_input_sequence(m, 28, 28) : nn_input_image(m, 1, 28, 28);
  if (kind == 2) {
    x = nn_last_step(m, nn_gru(m, x, 48));
  } else if (kind == 1) {
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 8, 5, 1, 2)), 2, 2, 0);
    x = nn_max_pool2d(m, nn_relu(m, nn_conv2d(m, x, 16, 5, 1, 0)), 2, 2, 0);
    x = nn_flatten(m, x);
  } else {
    x = nn_relu(m, nn_linear(m, nn_flatten(m, x), 64));
  }
  nn_cross_entropy(m, nn_linear(m, x, classes));
  nn_set_optimizer(m, &adam);
  if (!nn_build(m)) return take(m, batch);
  strncpy(said.text, nn_error(m), sizeof said.text - 1);
  return nn_destroy(m), NULL;
}

/* Where samples go, and their labels; and where answers are. */
EXPORT(play_x) nn_real *play_x(play *p) { return p->x; }
EXPORT(play_labels) int32_t *play_labels(play *p) { return p->labels; }
EXPORT(play_answer) nn_real *play_answer(play *p) { return p->answer; }
EXPORT(play_classes) int play_classes(const play *p) { return p->classes; }
EXPORT(play_inputs) size_t play_inputs(const play *p) { return p->inputs; }
EXPORT(play_batch) int play_batch(const play *p) { return p->batch; }

/* ---- what it is ---- */

EXPORT(play_count) int play_count(const play *p) { return nn_node_count(p->model); }
EXPORT(play_output) int play_output(const play *p) { return nn_output_node(p->model); }
EXPORT(play_note) const char *play_note(const play *p, const char *key)
{
  return nn_note(p->model, key);
}

/* {rank, three sizes, inputs, two input layers, parameters, multiply-adds, kind, name}, the last
 * two pointers to text; it stays until the next call. */
EXPORT(play_layer) const int32_t *play_layer(const play *p, int node)
{
  static int32_t told[11];
  nn_node_info n;
  if (nn_get_node(p->model, node, &n)) return NULL;
  told[0] = n.rank, told[4] = n.inputs;
  for (int i = 0; i < 3; i++) told[1 + i] = i < n.rank ? n.dim[i] : 1;
  for (int i = 0; i < 2; i++) told[5 + i] = i < n.inputs ? n.input[i] : -1;
  told[7] = (int32_t)n.params, told[8] = n.macs < 2e9 ? (int32_t)n.macs : -1;
  told[9] = (int32_t)(intptr_t)n.kind, told[10] = (int32_t)(intptr_t)n.name;
  return told;
}

/* {values, rank, four sizes} of an array by its name, "conv1.weight"; NULL if there is none. */
EXPORT(play_array) const int32_t *play_array(const play *p, const char *name)
{
  static int32_t told[6];
  nn_param w;
  if (nn_find_param(p->model, name, &w)) return NULL;
  told[0] = (int32_t)(intptr_t)w.value, told[1] = w.rank;
  for (int i = 0; i < 4; i++) told[2 + i] = i < w.rank ? w.dim[i] : 1;
  return told;
}

/* ---- what it says and sees ---- */

static nn_batch batch_of(const play *p, int n)
{
  nn_batch b = {0};
  b.n = n, b.x[0] = p->x, b.labels = p->labels;
  return b;
}

/* Probabilities of n samples at x, to play_answer. */
EXPORT(play_run) int play_run(play *p, int n)
{
  const nn_batch b = batch_of(p, n);
  return note(p, nn_predict(p->model, &b, NULL, p->answer));
}

/* The same of the first sample after each of its rows, for a net that reads steps and has room for
 * as many samples. */
EXPORT(play_rows) int play_rows(play *p)
{
  nn_batch b = batch_of(p, p->steps);
  int32_t lengths[1024];
  if (!p->steps || p->steps > p->batch || p->steps > 1024) return NN_ERR_ARGUMENT;
  for (int i = 0; i < p->steps; i++) {
    lengths[i] = i + 1;
    if (i) memcpy(p->x + (size_t)i * p->inputs, p->x, p->inputs * sizeof *p->x);
  }
  b.lengths = lengths;
  return note(p, nn_predict(p->model, &b, NULL, p->answer));
}

/* Looks at the first sample; then play_values has a layer's values, NULL after an error. */
EXPORT(play_look) int play_look(play *p)
{
  const nn_batch b = batch_of(p, 1);
  return note(p, nn_forward(p->model, &b, NN_INSPECTING));
}
EXPORT(play_values) const nn_real *play_values(play *p, int node)
{
  return note(p, nn_read(p->model, node, p->seen)) ? NULL : p->seen;
}

/* Back to the pixels of the first sample, by a rule of nn_project, from unit `unit` (an index into
 * the layer's values). The gradient of the input; NULL after an error. */
EXPORT(play_back) const nn_real *play_back(play *p, int node, int unit, int rule)
{
  nn_node_info n;
  if (nn_get_node(p->model, node, &n) || unit < 0 || (size_t)unit >= size_of(&n)) {
    strcpy(said.text, "there is no such unit");
    return NULL;
  }
  if (play_look(p)) return NULL;
  memset(p->seen, 0, size_of(&n) * sizeof *p->seen);
  p->seen[unit] = 1;
  if (note(p, nn_project(p->model, node, p->seen, (nn_rule)rule))) return NULL;
  return nn_input_gradient(p->model, 0);
}

/* {row, column, height, width}: what a unit of an image sees of the input. */
EXPORT(play_part) const int32_t *play_part(play *p, int node, int row, int column)
{
  static int part[4];
  return note(p, nn_receptive_field(p->model, node, row, column, part)) ? NULL : part;
}

/* Covers squares of the first sample: the probability of `label` without each, or, where label is
 * -1, the sum over a layer's map; [height, width] of play_covered; NULL after an error. */
static int covered[2];
EXPORT(play_covered) const int32_t *play_covered(void) { return covered; }
EXPORT(play_cover) const nn_real *play_cover(play *p, int side, int stride, int label, int node,
                                             int map)
{
  nn_occlusion_options o = {0};
  nn_real *answer = label < 0 ? NULL : p->seen, *activity = label < 0 ? p->seen : NULL;
  o.side = side, o.stride = stride, o.label = label < 0 ? 0 : label, o.node = node, o.map = map;
  if (note(p, nn_occlusion_size(p->model, &o, &covered[0], &covered[1]))) return NULL;
  return note(p, nn_occlusion(p->model, p->x, &o, answer, activity, NULL)) ? NULL : p->seen;
}

/* ---- training ---- */

EXPORT(play_rate) int play_rate(play *p, double rate)
{
  nn_optimizer o;
  nn_get_optimizer(p->model, &o);
  o.rate = rate;
  return note(p, nn_set_optimizer(p->model, &o));
}

/* One step on n samples at x with their labels; then play_loss and play_right tell. */
EXPORT(play_train) int play_train(play *p, int n)
{
  const nn_batch b = batch_of(p, n);
  return note(p, nn_train(p->model, &b, &p->loss, &p->correct));
}
EXPORT(play_loss) double play_loss(const play *p) { return p->loss; }
EXPORT(play_right) int play_right(const play *p) { return (int)p->correct; }

/* The model as a file's bytes: how many, and to `bytes` of so many. */
EXPORT(play_size) size_t play_size(const play *p) { return nn_save_size(p->model, NULL); }
EXPORT(play_save) int play_save(play *p, void *bytes, size_t size)
{
  return note(p, nn_save_memory(p->model, NULL, bytes, size));
}

/* Digits as people write them, pixels [count, 784] and labels, for want of real ones. */
EXPORT(play_draw) void play_draw(uint32_t seed, int count, uint8_t *pixels, int32_t *labels)
{
  draw_digits(seed, count, pixels, labels);
}
