/* What tests/chip runs on a Cortex-M under an emulator, and on this machine as its oracle: LeNet,
 * a GRU or a net with a layer norm from weights in place, LeNet from a whole file in place, the XOR
 * net trained, the head of a LeNet trained. CHIP_NET says which. Each model lives in static memory
 * of exactly the size that the engine states, ahead of bytes that must stay. Prints `name number`
 * lines: sizes, and the bits of all results. */
#include <string.h>

#include "../nn.h"

#define LENET 1
#define GRU 2
#define NORM 3
#define FILED 4 /* LENET by nn_load_in */
#define XOR 5
#define HEAD 6
#define MODEL 7 /* on the host: writes the weights of the net CHIP_OF as C; of FILED its file */

#ifdef CHIP
/* Semihosting (ARM's "Semihosting for AArch32 and AArch64"): SYS_WRITE0, SYS_EXIT. */
static void host(int what, const void *with) {
  register int r0 __asm__("r0") = what;
  register const void *r1 __asm__("r1") = with;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}
static void put(const char *text) { host(4, text); }
extern unsigned char stack_low[], stack_top[];
int main(void);
static void start(void) {
  unsigned char *p = stack_low;
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the floating-point unit on */
  __asm__ volatile("dsb\n isb");
#endif
  while (p < (unsigned char *)__builtin_frame_address(0) - 64) *p++ = 0xA5;
  host(0x18, (const void *)(uintptr_t)(main() ? 0x20023 : 0x20026)); /* ADP_Stopped_.. */
  for (;;) continue;
}
static void fault(void) {
  put("fault\n");
  host(0x18, (const void *)0x20023);
}
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)start, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
    (void *)fault};
static uint32_t stack_used(void) {
  const unsigned char *p = stack_low;
  while (p < stack_top && *p == 0xA5) p++;
  return (uint32_t)(stack_top - p);
}
#else
#include <stdio.h>
static void put(const char *text) { fputs(text, stdout); }
#endif

static void tell(const char *name, uint32_t value) {
  char text[16];
  int at = 15;
  text[at] = 0, text[--at] = '\n';
  do text[--at] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  put(name), put(" "), put(text + at);
}

static void bits(const char *name, const nn_real *x, size_t n) {
  size_t i;
  for (i = 0; i < n; i++) {
    uint32_t word;
    memcpy(&word, x + i, 4), tell(name, word);
  }
}

/* Repeatable numbers in [0, 1). */
static void fill(nn_real *x, size_t n, uint32_t s) {
  for (; n--; x++) {
    s ^= s << 13, s ^= s >> 17, s ^= s << 5;
    *x = (nn_real)(s >> 8) / 16777216.0f;
  }
}

static int describe(nn_model *m, int net) {
  int x, body;
  if (net == XOR) {
    x = nn_linear(m, nn_input_vector(m, 2), 8);
    return nn_linear(m, nn_tanh(m, x), 1);
  }
  if (net == GRU) {
    x = nn_gru(m, nn_input_sequence(m, 28, 28), 32);
    return nn_linear(m, nn_last_step(m, x), 10);
  }
  if (net == NORM) {
    x = nn_layer_norm(m, nn_linear(m, nn_input_sequence(m, 28, 28), 32));
    return nn_linear(m, nn_last_step(m, nn_tanh(m, x)), 10);
  }
  x = nn_conv2d(m, nn_input_image(m, 1, 28, 28), 6, 5, 1, 2);
  x = nn_max_pool2d(m, nn_relu(m, x), 2, 2, 0);
  x = nn_conv2d(m, x, 16, 5, 1, 0);
  x = nn_max_pool2d(m, nn_relu(m, x), 2, 2, 0);
  x = nn_relu(m, nn_linear(m, nn_flatten(m, x), 120));
  body = nn_relu(m, nn_linear(m, x, 84));
#ifndef NN_NO_TRAINING
  if (net == HEAD) nn_set_learning(m, -1, 0, 0);
#endif
  return nn_linear(m, body, 10);
}

#if CHIP_NET == MODEL
int main(void) { /* of the net CHIP_OF */
  nn_config c = nn_config_default();
  size_t size = 0, i;
  const nn_real *w;
  static unsigned char file[1 << 20];
  c.isa = NN_ISA_SCALAR, c.inference = 1, c.notes = 0;
  nn_model *m = nn_create(&c);
  describe(m, CHIP_OF);
  if (nn_build(m) != NN_OK) return 1;
  if (CHIP_OF == FILED) {
    size = nn_save_size(m, NULL);
    if (size > sizeof file || nn_save_memory(m, NULL, file, size) != NN_OK) return 1;
    printf("__attribute__((section(\".weights\"), aligned(4))) const unsigned char file[%lu] = {",
           (unsigned long)size);
    for (i = 0; i < size; i++) printf("%d,%s", file[i], i % 16 ? "" : "\n");
    puts("};");
    nn_destroy(m);
    return 0;
  }
  w = nn_parameters(m, &size);
  printf("__attribute__((section(\".weights\"))) const float weights[%lu] = {",
         (unsigned long)size);
  for (i = 0; i < size; i++) printf("%.9ef,%s", (double)w[i], i % 8 ? "" : "\n");
  puts("};");
  nn_destroy(m);
  return 0;
}
#else
#if CHIP_NET < XOR
#include "weights.inc"
#define ROOM 49152
#elif CHIP_NET == XOR
#define ROOM 6144
#else
#define ROOM 1048576
#endif
#ifndef CHIP
#undef ROOM
#define ROOM 4194304
#endif
static union {
  unsigned char byte[ROOM];
  double aligned;
} memory;
static nn_real in[784];

/* A built model at the start of memory, and nothing written behind what it said. */
static nn_model *build(const nn_config *c, size_t *size) {
#if CHIP_NET == FILED
  nn_load_result loaded;
  memset(memory.byte, 0x5A, sizeof memory.byte);
  *size = 0;
  nn_load_in(memory.byte, size, file, sizeof file, c, &loaded, NULL); /* tells the tables' size */
  if (nn_load_in(memory.byte, size, file, sizeof file, c, &loaded, NULL) != NN_ERR_MEMORY)
    return NULL; /* and this that of all */
  memset(memory.byte, 0x5A, sizeof memory.byte);
  if (nn_load_in(memory.byte, size, file, sizeof file, c, &loaded, NULL) != NN_OK) return NULL;
#ifdef CHIP
  tell("tables", (uint32_t)(*size - nn_memory(loaded.model)));
  tell("plan", (uint32_t)nn_memory(loaded.model));
#endif
  return loaded.model;
#else
  const size_t own = nn_model_size_for(c);
  size_t plan = 0;
  nn_model *m;
  memset(memory.byte, 0x5A, sizeof memory.byte);
  m = nn_create_in(memory.byte, own, c);
  if (!m) return NULL;
  describe(m, CHIP_NET);
#if CHIP_NET >= XOR
  nn_optimizer sgd = nn_sgd(CHIP_NET == XOR ? .3 : .05, .9);
  if (CHIP_NET == XOR)
    nn_binary_cross_entropy(m, nn_node_count(m) - 1);
  else
    nn_cross_entropy(m, nn_node_count(m) - 1);
  nn_set_optimizer(m, &sgd);
#endif
  if (nn_plan(m, &plan) != NN_OK || own + plan > sizeof memory.byte) {
    tell("lacks_memory", (uint32_t)(own + plan));
    return NULL;
  }
  *size = own + plan;
#ifdef CHIP
  tell("tables", (uint32_t)own), tell("plan", (uint32_t)plan);
#endif
  return nn_build_in(m, memory.byte + own, plan) == NN_OK ? m : NULL;
#endif
}

int main(void) {
  nn_config c = nn_config_default();
  nn_batch b = {1, {in}, NULL, NULL, NULL, NULL};
  size_t size = 0, i;
  nn_model *m;
  c.isa = NN_ISA_SCALAR, c.notes = 0, c.batch = 1;
#if CHIP_NET != FILED
  /* names: "input1", "conv1" and so on, with their zeros */
  c.most_nodes = CHIP_NET == XOR ? 5 : CHIP_NET == GRU ? 4 : CHIP_NET == NORM ? 6 : 14;
  c.names = CHIP_NET == XOR ? 51 : CHIP_NET == GRU ? 31 : CHIP_NET == NORM ? 52 : 111;
  if (CHIP_NET == LENET) c.most_nodes = 13, c.names = 96;
  c.most_params = CHIP_NET == XOR ? 4 : CHIP_NET == GRU || CHIP_NET == NORM ? 6 : 10;
#endif
#if CHIP_NET < XOR
  c.inference = c.in_place = c.least_memory = 1;
  m = build(&c, &size);
  if (!m) return 1;
#if CHIP_NET != FILED
  if (nn_place_weights(m, weights, sizeof weights / sizeof *weights) != NN_OK) return 1;
#endif
  for (i = 1; i <= 3; i++) {
    fill(in, 784, (uint32_t)i);
    if (nn_forward(m, &b, NN_INFERENCE) != NN_OK) return 1;
    bits("output", nn_output(m), 10);
  }
#else
  static const nn_real answer[4] = {0, 1, 1, 0};
  int32_t label;
  double loss = 0;
  size_t count;
  c.batch = CHIP_NET == XOR ? 4 : 1;
  m = build(&c, &size);
  if (!m) return 1;
  if (CHIP_NET == XOR) {
    for (i = 0; i < 4; i++) in[2 * i] = (nn_real)(i / 2), in[2 * i + 1] = (nn_real)(i % 2);
    b.n = 4, b.values = answer;
    for (i = 0; i < 500; i++)
      if (nn_train(m, &b, &loss, NULL) != NN_OK) return 1;
    if (!(loss < .05)) return tell("loss_in_millionths", (uint32_t)(loss * 1e6)), 1;
    nn_parameters(m, &count);
    bits("parameter", nn_parameters(m, NULL), count);
  } else {
    b.labels = &label;
    for (i = 0; i < 6; i++) {
      fill(in, 784, (uint32_t)i % 3 + 1), label = (int32_t)(i % 3);
      if (nn_train(m, &b, &loss, NULL) != NN_OK) return 1;
    }
    nn_parameters(m, &count);
    bits("parameter", nn_parameters(m, NULL) + count - 850, 850); /* of the head */
  }
#endif
  for (i = size; i < sizeof memory.byte; i++)
    if (memory.byte[i] != 0x5A) return tell("written_behind_its_memory", (uint32_t)i), 1;
#ifdef CHIP
  tell("stack", stack_used());
#endif
  nn_destroy(m);
  return 0;
}
#endif
