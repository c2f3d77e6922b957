/* The program, with failures on demand (faults.h); tests/test_survive.sh runs it. */
#define FAULTS_OF_A_PROGRAM
#include "faults.h"
#ifndef NN_NO_SIMD
#define NN_NO_SIMD
#endif
#include "../nn.c"

#undef _DARWIN_C_SOURCE /* main.c asks for these in its own words */
#undef _DEFAULT_SOURCE
#include "../main.c"
