/* The engine as tests/live.py calls it through ctypes: builder calls by name with plain numbers, so
 * that no struct of nn.h has to be written down a second time in Python. */
#include "../nn.c"

#define LIVE __attribute__((visibility("default")))
LIVE nn_model *live_create(int batch, int threads, int isa);
LIVE int live_layer(nn_model *m, const char *kind, int a, int b, const double *v);
LIVE int live_optimizer(nn_model *m, int kind, const double *v);
LIVE int live_run(nn_model *m, int n, const nn_real *const *x, const int32_t *labels,
                  const nn_real *values, const int32_t *lengths, const nn_real *weights,
                  int training, double *loss, int64_t *correct);
LIVE const char *live_name(nn_model *m, int node);
LIVE const char *live_param(nn_model *m, int index, size_t *count, nn_real **value,
                            nn_real **gradient);

nn_model *live_create(int batch, int threads, int isa) {
  nn_config c = nn_config_default();
  c.batch = batch, c.threads = threads, c.isa = (nn_isa)isa, c.input_gradient = 1;
  return nn_isa_available(c.isa) ? nn_create(&c) : NULL;
}

static int live_norm(nn_model *m, const char *kind, int a, const double *v) {
  const nn_norm_options o = {v[0], v[1], (int)v[2], (int)v[3], (int)v[4]};
  return kind[0] == 'b'   ? nn_batch_norm_with(m, a, &o)
         : kind[0] == 'g' ? nn_group_norm_with(m, a, &o)
                          : nn_layer_norm_with(m, a, &o);
}

static int live_pool(nn_model *m, const char *kind, int a, const int *i) {
  const nn_pool2d_options o = {i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7]};
  return strcmp(kind, "max_pool") ? nn_avg_pool2d_with(m, a, &o) : nn_max_pool2d_with(m, a, &o);
}

static int live_pool1d(nn_model *m, const char *kind, int a, const int *i) {
  const nn_pool1d_options o = {i[0], i[1], i[2], i[3], i[4]};
  return kind[0] == 'm' ? nn_max_pool1d_with(m, a, &o) : nn_avg_pool1d_with(m, a, &o);
}

/* v: weight, sum, from, smoothing, ignored, delta. */
static int live_loss(nn_model *m, int a, nn_loss_kind kind, const double *v) {
  nn_loss_options o = nn_loss_default(kind);
  o.weight = v[0], o.sum = (int)v[1], o.from = (int)v[2], o.smoothing = v[3];
  o.ignored = (int32_t)v[4], o.delta = v[5];
  return nn_loss_with(m, a, &o);
}

static int live_cell(nn_model *m, const char *kind, int a, int b, const int *i) {
  nn_recurrent_options o;
  memset(&o, 0, sizeof o);
  o.hidden = i[0], o.layers = i[1], o.relu = i[2], o.bidirectional = i[3];
  if (b >= 0)
    return kind[0] == 'l'   ? nn_lstm_from(m, a, b, &o)
           : kind[0] == 'g' ? nn_gru_from(m, a, b, &o) : nn_rnn_from(m, a, b, &o);
  return kind[0] == 'l' ? nn_lstm_with(m, a, &o)
                        : kind[0] == 'g' ? nn_gru_with(m, a, &o) : nn_rnn_with(m, a, &o);
}

/* The new node's number, or -1. v: the call's numbers in their order. */
int live_layer(nn_model *m, const char *kind, int a, int b, const double *v) {
#define IS(name) (strcmp(kind, name) == 0)
  int i[16];
  for (int k = 0; k < 16; k++) i[k] = (int)v[k];
  if (IS("image")) return nn_input_image(m, i[0], i[1], i[2]);
  if (IS("sequence")) return nn_input_sequence(m, i[0], i[1]);
  if (IS("vector")) return nn_input_vector(m, i[0]);
  if (IS("tokens")) return nn_input_tokens(m, i[0]);
  if (IS("embedding")) return nn_embedding(m, a, i[0], i[1]);
  if (IS("conv")) {
    const nn_conv2d_options o = {i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7], i[8], i[9], i[10]};
    return nn_conv2d_with(m, a, &o);
  }
  if (IS("conv_transpose")) {
    const nn_conv2d_options o = {i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7], i[8], i[9], i[10]};
    return nn_conv_transpose2d_with(m, a, &o, i[11], i[12]);
  }
  if (IS("conv1d")) {
    const nn_conv1d_options o = {i[0], i[1], i[2], i[3], i[4], i[5], i[6]};
    return nn_conv1d_with(m, a, &o);
  }
  if (IS("linear")) return i[1] ? nn_linear_no_bias(m, a, i[0]) : nn_linear(m, a, i[0]);
  if (IS("max_pool") || IS("avg_pool")) return live_pool(m, kind, a, i);
  if (IS("adaptive")) return nn_adaptive_avg_pool2d(m, a, i[0], i[1]);
  if (IS("global_max")) return nn_global_max_pool(m, a);
  if (IS("global_avg")) return nn_global_avg_pool(m, a);
  if (IS("pad")) return nn_pad2d(m, a, i[0], i[1], i[2], i[3]);
  if (IS("slice")) return nn_slice(m, a, i[0], i[1], i[2]);
  if (IS("reshape")) return nn_reshape(m, a, i[0], i + 1);
  if (IS("to_sequence")) return nn_image_to_sequence(m, a, i[0]);
  if (IS("to_image")) return nn_sequence_to_image(m, a, i[0], i[1]);
  if (IS("bilinear")) return nn_upsample2d_bilinear(m, a, i[0], i[1]);
  if (IS("max_pool1d") || IS("avg_pool1d")) return live_pool1d(m, kind, a, i);
  if (IS("upsample")) return nn_upsample2d(m, a, i[0], i[1]);
  if (IS("relu")) return nn_relu(m, a);
  if (IS("leaky_relu")) return nn_leaky_relu(m, a, v[0]);
  if (IS("elu")) return nn_elu(m, a, v[0]);
  if (IS("gelu")) return nn_gelu(m, a);
  if (IS("silu")) return nn_silu(m, a);
  if (IS("softplus")) return nn_softplus(m, a);
  if (IS("hard_sigmoid")) return nn_hard_sigmoid(m, a);
  if (IS("hard_swish")) return nn_hard_swish(m, a);
  if (IS("clamp")) return nn_clamp(m, a, v[0], v[1]);
  if (IS("tanh")) return nn_tanh(m, a);
  if (IS("sigmoid")) return nn_sigmoid(m, a);
  if (IS("softmax")) return nn_softmax(m, a);
  if (IS("batch_norm") || IS("layer_norm") || IS("group_norm")) return live_norm(m, kind, a, v);
  if (IS("prelu")) return nn_prelu(m, a, i[0]);
  if (IS("flatten")) return nn_flatten(m, a);
  if (IS("add")) return nn_add(m, a, b);
  if (IS("multiply")) return nn_multiply(m, a, b);
  if (IS("concat")) return nn_concat_along(m, a, b, i[0]);
  if (IS("rnn") || IS("lstm") || IS("gru")) return live_cell(m, kind, a, b, i);
  if (IS("pad1d")) return nn_pad1d(m, a, i[0], i[1]);
  if (IS("upsample1d")) return nn_upsample1d(m, a, i[0]);
  if (IS("adaptive1d")) return nn_adaptive_avg_pool1d(m, a, i[0]);
  if (IS("final_state")) return nn_final_state(m, a);
  if (IS("last_step")) return nn_last_step(m, a);
  if (IS("reverse")) return nn_reverse(m, a);
  if (IS("cross_entropy")) return live_loss(m, a, NN_CROSS_ENTROPY, v);
  if (IS("squared_error")) return live_loss(m, a, NN_SQUARED_ERROR, v);
  if (IS("binary_cross_entropy")) return live_loss(m, a, NN_BINARY_CROSS_ENTROPY, v);
  if (IS("huber")) return live_loss(m, a, NN_HUBER, v);
  if (IS("absolute_error")) return live_loss(m, a, NN_ABSOLUTE_ERROR, v);
  return -1;
#undef IS
}

/* v: rate, momentum, weight decay, nesterov, clip_norm, eps, amsgrad. */
int live_optimizer(nn_model *m, int kind, const double *v) {
  nn_optimizer o = kind == NN_SGD ? nn_sgd(v[0], v[1]) : kind == NN_ADAGRAD ? nn_adagrad(v[0])
                   : kind == NN_RMSPROP ? nn_rmsprop(v[0], v[1])
                   : kind == NN_ADAM    ? nn_adam(v[0]) : nn_adamw(v[0]);
  o.weight_decay = v[2], o.nesterov = (int)v[3], o.clip_norm = v[4];
  if (kind != NN_SGD) o.eps = v[5];
  o.amsgrad = (int)v[6];
  return nn_set_optimizer(m, &o);
}

/* training: forward, loss and backward; else forward alone. */
int live_run(nn_model *m, int n, const nn_real *const *x, const int32_t *labels,
             const nn_real *values, const int32_t *lengths, const nn_real *weights, int training,
             double *loss, int64_t *correct) {
  nn_batch b;
  nn_status s;
  memset(&b, 0, sizeof b);
  b.n = n, b.labels = labels, b.values = values, b.lengths = lengths, b.weights = weights;
  for (int k = 0; k < 2; k++) b.x[k] = x[k];
  s = nn_forward(m, &b, training);
  if (!s && training) s = nn_loss(m, &b, loss, correct);
  if (!s && training) s = nn_backward(m);
  return s;
}

const char *live_name(nn_model *m, int node) {
  nn_node_info n;
  return nn_get_node(m, node, &n) ? NULL : n.name;
}

const char *live_param(nn_model *m, int index, size_t *count, nn_real **value, nn_real **gradient) {
  nn_param p;
  if (nn_get_param(m, index, &p)) return NULL;
  *count = p.count, *value = p.value, *gradient = p.gradient;
  return p.name;
}
