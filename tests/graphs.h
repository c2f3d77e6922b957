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
  nn_recurrent_options o = {1, 1, 0, 0, 0};
  o.hidden = hidden, o.layers = dice(1, 2), o.carry = dice(0, 3) == 0;
  o.dropout = hidden % 2 ? 0.3 : 0; /* both kinds of stack */
  return add_cell(m, x, dice(0, CELLS - 1), &o);
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
    case 2: return nn_batch_norm(m, x);
    case 3: return channels > 2 ? nn_layer_norm(m, x) : nn_relu(m, x);
    case 4: return nn_relu(m, x);
    case 5: return dice(0, 1) ? nn_leaky_relu(m, x, 0.2) : nn_elu(m, x, 0.7);
    case 6: return dice(0, 1) ? nn_gelu(m, x) : nn_silu(m, x);
    case 7: return dice(0, 1) ? nn_tanh(m, x) : nn_softplus(m, x);
    case 8: return dice(0, 1) ? nn_sigmoid(m, x) : nn_softmax(m, x);
    case 9: return dice(0, 1) ? nn_hard_swish(m, x) : nn_hard_sigmoid(m, x);
    case 10: return dice(0, 1) ? nn_clamp(m, x, -1, 0.75) : nn_dropout(m, x, 0.3);
    default: break;
  }
  if (f.rank == 1) return dice(0, 1) ? nn_linear(m, x, out) : nn_linear_no_bias(m, x, out);
  if (f.rank == 2 && dice(0, 3) == 0) {
    const int pool = dice(0, 1) ? nn_global_max_pool(m, x) : nn_global_avg_pool(m, x);
    return dice(0, 1) ? pool : nn_multiply(m, x, pool);
  }
  if (f.rank == 2 && dice(0, 4) == 0) return nn_reverse(m, x);
  if (f.rank == 2 && dice(0, 2) == 0) return nn_last_step(m, x);
  if (f.rank == 2) return dice(0, 2) ? graph_cell(m, x, out) : nn_linear(m, x, out);
  kernel = dice(1, f.dim[1] < f.dim[2] ? f.dim[1] : f.dim[2]);
  stride = dice(1, 2), pad = dice(0, kernel / 2);
  if (dice(0, 9) == 0) {
    const int top = dice(0, 2), bottom = dice(0, 2), left = dice(0, 2);
    return nn_pad2d(m, x, top, bottom, left, dice(0, 2));
  }
  if (dice(0, 9) == 0) {
    const int high = dice(1, f.dim[1]), wide = dice(1, f.dim[2]), top = dice(0, f.dim[1] - high);
    return nn_crop2d(m, x, top, dice(0, f.dim[2] - wide), high, wide);
  }
  if (dice(0, 9) == 0) {
    const int down = dice(1, 2);
    return nn_upsample2d(m, x, down, dice(1, 2));
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
    o.ceil = dice(0, 1), o.exclude_pad = dice(0, 1);
    return dice(0, 1) ? nn_max_pool2d_with(m, x, &o) : nn_avg_pool2d_with(m, x, &o);
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
 * Sequences have GRAPH_STEPS steps; tokens are of 7 words. Returns the last node. */
enum { GRAPH_STEPS = 3 };
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
