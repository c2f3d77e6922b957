/* Random models for the suites: the same seed describes the same graph whatever the compiler, the
 * precision and the switches. */
#ifndef NN_GRAPHS_H
#define NN_GRAPHS_H

#include "test.h"

static uint32_t dice_state;
static TEST_UNUSED int dice(int from, int to) { /* from .. to, repeatable */
  dice_state = dice_state * 1664525u + 1013904223u;
  return from + (int)((dice_state >> 10) % (uint32_t)(to - from + 1));
}

enum { RNN, RELU, LSTM, GRU, CELLS };
enum { GRAPH_STEPS = 3 }; /* of sequences; and no fewer where they are made of images */

/* Its state is given by the layer `state`. */
static TEST_UNUSED int add_cell_from(nn_model *m, int x, int state, int cell,
                                     const nn_recurrent_options *options) {
  nn_recurrent_options o = *options;
  o.relu = cell == RELU;
  return cell == LSTM  ? nn_lstm_from(m, x, state, &o)
         : cell == GRU ? nn_gru_from(m, x, state, &o)
                       : nn_rnn_from(m, x, state, &o);
}
static TEST_UNUSED int add_cell(nn_model *m, int x, int cell, const nn_recurrent_options *options) {
  nn_recurrent_options o = *options;
  o.relu = cell == RELU;
  return cell == LSTM  ? nn_lstm_with(m, x, &o)
         : cell == GRU ? nn_gru_with(m, x, &o)
                       : nn_rnn_with(m, x, &o);
}

static int graph_node(nn_model *m) { /* the last one, mostly; tokens are for the embedding alone */
  nn_node_info f;
  int i = nn_node_count(m) - 1;
  if (dice(0, 2)) return i;
  do nn_get_node(m, i = dice(0, nn_node_count(m) - 1), &f);
  while (strcmp(f.kind, "tokens") == 0);
  return i;
}

static int graph_join(nn_model *m, int a, int b) {
  nn_node_info p, q;
  int k = 0, alike;
  nn_get_node(m, a, &p), nn_get_node(m, b, &q);
  for (alike = p.rank == q.rank; k < p.rank; k++)
    alike = alike && (p.dim[k] == q.dim[k] || k == (p.rank == 2));
  if (alike && memcmp(p.dim, q.dim, sizeof p.dim) == 0 && dice(0, 1))
    return dice(0, 1) ? nn_add(m, a, b) : nn_multiply(m, a, b);
  if (!alike && p.rank > 1) a = nn_flatten(m, a);
  if (!alike && q.rank > 1) b = nn_flatten(m, b);
  return nn_concat(m, a, b);
}

static int graph_cell(nn_model *m, int x, int hidden) {
  nn_recurrent_options o = {1, 1, 0, 0, 0, 0};
  o.hidden = hidden, o.layers = dice(1, 2), o.carry = dice(0, 3) == 0;
  o.dropout = hidden % 2 ? 0.3 : 0; /* both kinds of stack */
  o.bidirectional = !o.carry && hidden % 2 == 0 && dice(0, 2) == 0, o.hidden >>= o.bidirectional;
  const int cell = dice(0, CELLS - 1), from = !o.carry && dice(0, 3) == 0;
  if (!from) return add_cell(m, x, cell, &o);
  const int first = add_cell(m, x, cell, &o), state = nn_tanh(m, nn_final_state(m, first));
  return add_cell_from(m, dice(0, 1) ? x : first, state, cell, &o);
}

/* What moves numbers to other places. Samples of one step keep it. */
static int graph_shape(nn_model *m, int x, const nn_node_info *f) {
  const int axis = dice(0, f->rank - 1), count = dice(1, f->dim[axis]);
  const int begin = f->rank == 2 && axis == 0 ? 0 : dice(0, f->dim[axis] - count);
  const int columns = dice(0, 1);
  int dim[3];
  switch (dice(0, 4)) {
    case 0: return nn_slice(m, x, axis, begin, count);
    case 1: return nn_concat_along(m, x, nn_slice(m, nn_tanh(m, x), axis, begin, count), axis);
    case 2: /* steps are an image's columns or rows */
      if (f->rank == 2) return nn_sequence_to_image(m, x, f->dim[1] % 2 ? 1 : 2, columns);
      if (f->dim[columns ? 2 : 1] >= GRAPH_STEPS) return nn_image_to_sequence(m, x, columns);
      return nn_slice(m, x, axis, begin, count);
    case 3: return nn_slice(m, x, 0, 0, (f->dim[0] + 1) / 2);
    default:
      dim[0] = f->rank == 2 ? 1 : f->dim[1], dim[1] = f->dim[0];
      dim[2] = f->rank == 2 ? f->dim[1] : f->dim[2];
      return nn_reshape(m, x, 3, dim);
  }
}

/* ------------------------------------------------------------ layers and losses of one's own -- */

/* y = s_c a b + t_c a + tanh(b), of two inputs of one shape; c: channel or feature. */
static TEST_UNUSED nn_status mix_shape(void *user, nn_custom_shape *s) {
  const int channels = s->in_dim[0][s->in_rank[0] == 2];
  (void)user;
  s->params = 2;
  for (int i = 0; i < 2; i++) {
    s->param[i].name = i ? "t" : "s", s->param[i].rank = 1 + i;
    s->param[i].dim[0] = i ? 1 : channels, s->param[i].dim[1] = channels;
    s->param[i].init = i ? NN_INIT_HE_NORMAL : NN_INIT_CONSTANT, s->param[i].value = .5;
  }
  return NN_OK;
}
static TEST_UNUSED size_t mix_channel(const nn_custom_shape *s, size_t i) {
  const size_t plane = s->rank == 3 ? (size_t)s->dim[1] * (size_t)s->dim[2] : 1;
  return i / plane % (size_t)s->dim[s->rank == 2];
}
static TEST_UNUSED nn_status mix_forward(void *user, nn_custom_run *r) {
  if (user && --*(int *)user == 0) return NN_ERR_IO;
  for (size_t i = 0; i < r->y_count; i++) {
    const size_t c = mix_channel(r->shape, i);
    r->y[i] = r->param[0][c] * r->x[0][i] * r->x[1][i] + r->param[1][c] * r->x[0][i] +
              (nn_real)tanh((double)r->x[1][i]);
  }
  return NN_OK;
}
static TEST_UNUSED nn_status mix_backward(void *user, nn_custom_run *r) {
  if (user && --*(int *)user == 0) return NN_ERR_MEMORY;
  for (size_t i = 0; i < r->y_count; i++) {
    const size_t c = mix_channel(r->shape, i);
    const nn_real a = r->x[0][i], b = r->x[1][i], d = r->dy[i];
    const nn_real t = r->y[i] - r->param[0][c] * a * b - r->param[1][c] * a; /* tanh(b) */
    if (r->dx[0]) r->dx[0][i] = d * (r->param[0][c] * b + r->param[1][c]);
    if (r->dx[1]) r->dx[1][i] = d * (r->param[0][c] * a + 1 - t * t);
    if (r->dparam[0]) r->dparam[0][c] += d * a * b;
    if (r->dparam[1]) r->dparam[1][c] += d * a;
  }
  return NN_OK;
}
static const nn_custom_layer mix_layer = {"mix", mix_shape, mix_forward, mix_backward, NULL};

static TEST_UNUSED int mix(nn_model *m, int a, int b) {
  const int in[2] = {a, b};
  return nn_custom(m, in, 2, &mix_layer);
}

/* y [3] = W x of all of a sample: what nn_linear does behind nn_flatten. */
static TEST_UNUSED nn_status sum_shape(void *user, nn_custom_shape *s) {
  (void)user;
  s->param[0].name = "weight", s->param[0].rank = 2, s->param[0].dim[0] = 3;
  s->param[0].dim[1] = s->dim[0];
  for (int i = 1; i < s->rank; i++) s->param[0].dim[1] *= s->dim[i];
  s->rank = 1, s->dim[0] = 3, s->params = 1;
  return NN_OK;
}
static TEST_UNUSED nn_status sum_forward(void *user, nn_custom_run *r) {
  const size_t each = r->x_count[0] / (size_t)r->n;
  (void)user;
  for (size_t i = 0; i < r->y_count; i++) {
    r->y[i] = 0;
    for (size_t j = 0; j < each; j++)
      r->y[i] += r->param[0][i % 3 * each + j] * r->x[0][i / 3 * each + j];
  }
  return NN_OK;
}
static TEST_UNUSED nn_status sum_backward(void *user, nn_custom_run *r) {
  const size_t each = r->x_count[0] / (size_t)r->n;
  (void)user;
  for (size_t j = 0; r->dx[0] && j < r->x_count[0]; j++) r->dx[0][j] = 0;
  for (size_t i = 0; i < r->y_count; i++)
    for (size_t j = 0; j < each; j++) {
      const size_t w = i % 3 * each + j, x = i / 3 * each + j;
      if (r->dx[0]) r->dx[0][x] += r->dy[i] * r->param[0][w];
      if (r->dparam[0]) r->dparam[0][w] += r->dy[i] * r->x[0][x];
    }
  return NN_OK;
}
static const nn_custom_layer sum_layer = {"sum", sum_shape, sum_forward, sum_backward, NULL};

/* The mean over a sample's elements of (x - y)^2 / 2, and its label times the first of them. */
static TEST_UNUSED nn_status half_square(void *user, nn_custom_loss_run *r) {
  size_t each = 1;
  if (user && --*(int *)user == 0) return NN_ERR_IO;
  for (int i = 0; i < r->rank; i++) each *= (size_t)r->dim[i];
  for (size_t i = 0; i < (size_t)r->n; i++) {
    const nn_real label = (nn_real)r->labels[i * r->labels_each];
    for (size_t j = 0; j < each; j++) {
      const nn_real e = r->x[i * each + j] - r->values[i * r->values_each + j];
      r->loss[i] += e * e / (nn_real)(2 * each);
      if (r->dx) r->dx[i * each + j] = e / (nn_real)each;
    }
    r->loss[i] += label * r->x[i * each];
    if (r->dx) r->dx[i * each] += label;
  }
  return NN_OK;
}

/* One dice() an expression: the order of a call's arguments is the compiler's. */
static int graph_layer_on(nn_model *m, int x) {
  nn_node_info f;
  int kernel, stride, pad, channels, out = dice(1, 9);
  nn_get_node(m, x, &f);
  channels = f.rank == 2 ? f.dim[1] : f.dim[0];
  if (f.dim[0] * (f.rank > 1 ? f.dim[1] : 1) * (f.rank > 2 ? f.dim[2] : 1) > 300)
    return f.rank == 3 ? nn_max_pool2d(m, x, 2, 2, 1) : nn_linear(m, x, 5);
  switch (dice(0, 16)) {
    case 0: return graph_join(m, graph_node(m), x);
    case 1: /* a residual */
      return nn_add(m, x, f.rank == 3   ? nn_conv2d(m, x, channels, 3, 1, 1)
                          : f.rank == 2 ? graph_cell(m, x, channels)
                                        : nn_linear(m, x, channels));
    case 2: {
      nn_norm_options o = {1e-3, .25, 1, 0, 0};
      o.no_affine = dice(0, 1), o.frozen = dice(0, 3) == 0;
      if (o.frozen) o.momentum = 0;
      return dice(0, 1) ? nn_batch_norm_with(m, x, &o) : nn_batch_norm(m, x);
    }
    case 3:
      if (channels < 3) return nn_relu(m, x);
      if (dice(0, 1)) return nn_layer_norm(m, x);
      return nn_group_norm(m, x, channels % 2 ? 1 : channels / 2);
    case 4: return dice(0, 2) ? nn_relu(m, x) : nn_prelu(m, x, dice(0, 1));
    case 5: return dice(0, 1) ? nn_leaky_relu(m, x, 0.2) : nn_elu(m, x, 0.7);
    case 6: return dice(0, 1) ? nn_gelu(m, x) : nn_silu(m, x);
    case 7: return dice(0, 1) ? nn_tanh(m, x) : nn_softplus(m, x);
    case 8: return dice(0, 1) ? nn_sigmoid(m, x) : nn_softmax(m, x);
    case 9: return dice(0, 1) ? nn_hard_swish(m, x) : nn_hard_sigmoid(m, x);
    case 10: return dice(0, 1) ? nn_clamp(m, x, -1, 0.75)
                     : dice(0, 1) ? nn_dropout(m, x, 0.3) : nn_dropout_channels(m, x, 0.3);
    default: break;
  }
  if (f.rank == 1) return dice(0, 1) ? nn_linear(m, x, out) : nn_linear_no_bias(m, x, out);
  if (f.rank == 2 && dice(0, 3) == 0) {
    const int pool = dice(0, 1) ? nn_global_max_pool(m, x) : nn_global_avg_pool(m, x);
    return dice(0, 1) ? pool : nn_multiply(m, x, pool);
  }
  if (f.rank == 2 && dice(0, 4) == 0) {
    const int way = dice(0, 4);
    if (way < 2) return nn_reverse(m, x);
    return way == 2 ? nn_pad1d(m, x, out % 3, 1)
                    : way == 3 ? nn_upsample1d(m, x, 2) : nn_adaptive_avg_pool1d(m, x, 3);
  }
  if (f.rank > 1 && dice(0, 5) == 0) return graph_shape(m, x, &f);
  if (f.rank == 2 && dice(0, 2) == 0) { /* windows over steps */
    nn_conv1d_options c = {channels, 3, 1, 1, 1, 1, 0};
    nn_pool1d_options o = {2, 1, 1, 0, 0};
    c.out *= dice(1, 2), c.kernel = dice(2, 3), c.stride = dice(1, 2), c.no_bias = dice(0, 1);
    c.groups = dice(0, 1) ? channels : 1;
    o.kernel = c.kernel, o.stride = c.stride, o.ceil = dice(0, 1), kernel = dice(0, 3);
    if (kernel == 1) o.exclude_pad = dice(0, 1);
    return kernel == 0 ? nn_max_pool1d_with(m, x, &o) : kernel == 1 ? nn_avg_pool1d_with(m, x, &o)
                                                                    : nn_conv1d_with(m, x, &c);
  }
  if (f.rank == 2 && dice(0, 2) == 0) return nn_last_step(m, x);
  if (f.rank == 2) return dice(0, 2) ? graph_cell(m, x, out) : nn_linear(m, x, out);
  kernel = dice(1, f.dim[1] < f.dim[2] ? f.dim[1] : f.dim[2]);
  stride = dice(1, 2), pad = dice(0, kernel / 2);
  if (dice(0, 9) == 0) {
    const int top = dice(0, 2), bottom = dice(0, 2), left = dice(0, 2);
    return nn_pad2d(m, x, top, bottom, left, dice(0, 2));
  }
  if (dice(0, 9) == 0) {
    const int down = dice(1, 2), across = dice(1, 3);
    return dice(0, 1) ? nn_upsample2d(m, x, down, across)
                      : nn_upsample2d_bilinear(m, x, down, across);
  }
  if (dice(0, 7) == 0) {
    nn_conv2d_options o = {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0};
    o.groups = dice(0, 1) ? channels : 1, o.out = o.groups * dice(1, 3);
    o.kernel_h = kernel + 1, o.kernel_w = dice(2, 3), o.stride_h = stride, o.stride_w = dice(1, 2);
    o.pad_h = dice(0, 1) && f.dim[1] > 1, o.dilation_w = dice(1, 2), o.no_bias = dice(0, 1);
    return nn_conv_transpose2d_with(m, x, &o, stride - 1, dice(0, o.stride_w - 1));
  }
  if (dice(0, 9) == 0)
    return nn_multiply(m, x, nn_sigmoid(m, nn_linear(m, nn_global_avg_pool(m, x), channels)));
  if (dice(0, 9) == 0) {
    const int high = dice(1, 4), wide = dice(1, 4);
    return nn_adaptive_avg_pool2d(m, x, high, wide);
  }
  if (dice(0, 5) == 0) {
    nn_pool2d_options o = {kernel, 1, stride, 1, pad, 0, 0, 0};
    o.kernel_w = dice(1, kernel), o.stride_w = dice(1, 3), o.pad_w = dice(0, o.kernel_w / 2);
    o.ceil = dice(0, 1);
    if (dice(0, 1)) return nn_max_pool2d_with(m, x, &o);
    o.exclude_pad = dice(0, 1);
    return nn_avg_pool2d_with(m, x, &o);
  }
  switch (dice(0, 6)) {
    case 0: return nn_max_pool2d(m, x, kernel, stride, pad);
    case 1: return nn_avg_pool2d(m, x, kernel, stride, pad);
    case 2: return dice(0, 1) ? nn_global_max_pool(m, x) : nn_global_avg_pool(m, x);
    case 3: return nn_flatten(m, x);
    case 4: return nn_conv2d(m, x, 17, 3, 1, 1);
    default: return nn_conv2d(m, x, out, kernel, stride, pad);
  }
}

/* Layers of nearly every kind on up to NN_MAX_INPUTS inputs, of which the later are described after
 * layers on the earlier. Most of what nothing has read is joined to the last layer in the end.
 * Tokens are of 7 words. Returns the last node. */
static TEST_UNUSED int graph(nn_model *m, int seed) {
  int ops, inputs = 0, kind, wide, side, y = 0, i, k, count;
  dice_state = (uint32_t)seed * 2654435761u;
  for (ops = dice(2, 14); ops; ops--) {
    if (!inputs || (inputs < NN_MAX_INPUTS && dice(0, 4) == 0)) {
      kind = dice(0, 3), wide = dice(1, 6), side = dice(2, 6), inputs++;
      y = kind == 0   ? nn_input_vector(m, wide)
          : kind == 1 ? nn_input_sequence(m, GRAPH_STEPS, wide)
          : kind == 2 ? nn_embedding(m, nn_input_tokens(m, GRAPH_STEPS), 7, wide)
                      : nn_input_image(m, wide == 6 ? 17 : wide, side, dice(2, 6));
    }
    y = graph_layer_on(m, graph_node(m));
  }
  count = nn_node_count(m) - 1;
  for (i = 0; i < count; i++) {
    int read = 0;
    for (k = 0; k <= count; k++) {
      nn_node_info f;
      nn_get_node(m, k, &f);
      read |= (f.inputs > 0 && f.input[0] == i) || (f.inputs > 1 && f.input[1] == i);
    }
    if (!read && dice(0, 5)) y = graph_join(m, y, i);
  }
  return y;
}

#endif
