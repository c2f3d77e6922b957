/* Prints the names of the ISAs whose kernels can run in this build on this machine, then after a
 * dash those that cannot; the test runner runs the suites once for each of the first. */
#include "test.h"

int main(int argc, char **argv) {
  int isa;
  if (argc > 1 && strcmp(argv[1], "best") == 0) {
    printf("%s\n", nn_isa_name(nn_isa_best()));
    return 0;
  }
  for (isa = NN_ISA_SCALAR; isa < NN_ISA_COUNT; isa++)
    if (nn_isa_available((nn_isa)isa)) printf("%s ", nn_isa_name((nn_isa)isa));
  printf("-");
  for (isa = NN_ISA_SCALAR; isa < NN_ISA_COUNT; isa++)
    if (!nn_isa_available((nn_isa)isa)) printf(" %s", nn_isa_name((nn_isa)isa));
  printf("\n");
  return 0;
}
