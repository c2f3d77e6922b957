/* Included ahead of everything in the build that tests NN_MALLOC and NN_FREE; see test.h. */
#include <stddef.h>
void *test_hook_malloc(size_t size);
void test_hook_free(void *p);
#define NN_MALLOC(n) test_hook_malloc(n)
#define NN_FREE(p) test_hook_free(p)
