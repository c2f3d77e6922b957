/* The arithmetic that the program's figures rest on. */
#include "test.h"
#include <math.h>
#include "../data/measures.inc"

/* What can be worked out by hand. */
static void small_measures(void) {
  const nn_real one[4] = {0, -2, 0, 0}, same[4] = {3, -3, 3, 3}, two[2] = {3, 4};
  const nn_real zeros[4] = {0};
  const nn_real signs[2][6] = {{1, -1, 0, 2, 0, -3}, {2, 1, 0, -1, 4, -1}};
  CHECK_NEAR(sparsity(one, 4), 1, 1e-12);
  CHECK_NEAR(sparsity(same, 4), 0, 1e-12);
  CHECK_NEAR(sparsity(two, 2), (sqrt(2.) - 1.4) / (sqrt(2.) - 1), 1e-12);
  CHECK(sparsity(one, 1) == 0 && sparsity(two, 1) == 0 && sparsity(zeros, 4) == 0);
  CHECK_NEAR(distance_of(two, NULL, 2), 5, 1e-12);
  CHECK_NEAR(distance_of(same, one, 4), sqrt(9. + 1 + 9 + 9), 1e-12);
  CHECK_INT(sign_distance(signs[0], signs[1], 6), 3); /* -1 1, 2 -1, 0 4 */
  CHECK_INT(sign_distance(signs[0], signs[0], 6), 0);
}

/* Of several rows or planes at once. */
static void means_of_measures(void) {
  const nn_real a[6] = {3, 4, 0, 0, 0, 2}, b[6] = {3, 9, 1, 1, 0, 1};
  const nn_real rows[9] = {1, -1, 0, 1, 1, 0, -1, -1, 0}, planes[6] = {1, -5, 2, -3, 4, 0};
  const nn_real most[3] = {3, 5, 2};
  nn_real to[3];
  CHECK_NEAR(mean_change(a, b, 2, 3), (5 / 5. + 0 + 1 / 2.) / 3, 1e-12);
  CHECK_NEAR(mean_sign_distance(rows, 3, 3), (1 + 1 + 2) / 9., 1e-12);
  greatest_size(planes, 2, 3, to);
  CHECK_SAME(to, most, sizeof to);
}

static void parts_of_images(void) {
  const nn_real x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, fill[2] = {-1, -2};
  const nn_real cut[4] = {2, 3, 8, 9}, covered[12] = {1, -1, -1, 4, -1, -1, 7, -2, -2, 10, -2, -2};
  const nn_real values[4] = {-1, 1, 3, 0}, shares[3] = {2, 4, 8};
  const unsigned char own[4] = {0, 128, 255, 64}, fixed[3] = {128, 255, 255};
  const int dim[3] = {2, 2, 3}, part[4] = {0, 1, 1, 2};
  unsigned char bytes[4];
  double least = 0, most = 0;
  nn_real to[12];
  cut_out(x, dim, 2, part, to);
  CHECK_SAME(to, cut, sizeof cut);
  memcpy(to, x, sizeof to);
  cover_square(to, dim, 0, 1, 2, fill);
  CHECK_SAME(to, covered, sizeof to);
  bytes_of(values, 4, &least, &most, bytes);
  CHECK(least == -1 && most == 3);
  CHECK_SAME(bytes, own, 4);
  most = 4;
  bytes_of(shares, 3, &least, &most, bytes);
  CHECK(least == 0 && most == 4);
  CHECK_SAME(bytes, fixed, 3);
  most = 0;
  bytes_of(fill, 1, &least, &most, bytes); /* no range */
  CHECK(bytes[0] == 0);
}

static void middles_of_images(void) {
  /* two pixels high and three wide, of two channels, one after the other or in planes */
  const unsigned char mixed[12] = {1, 11, 2, 12, 3, 13, 4, 14, 5, 15, 6, 16};
  const unsigned char planes[12] = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
  const unsigned char cut[4] = {2, 5, 12, 15}, twice[8] = {2, 2, 2, 2, 5, 5, 5, 5};
  const unsigned char framed[15] = {0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0};
  const int tall[3] = {2, 2, 1}, large[3] = {1, 4, 2}, wide[3] = {1, 3, 5}, three[3] = {3, 1, 1};
  unsigned char y[15];
  cut_middle(mixed, 2, 3, 2, 1, 2, 1, tall, y);
  CHECK_SAME(y, cut, 4);
  cut_middle(planes, 2, 3, 1, 6, 2, 1, tall, y);
  CHECK_SAME(y, cut, 4);
  cut_middle(planes, 2, 3, 1, 6, 2, 2, large, y);
  CHECK_SAME(y, twice, 8);
  cut_middle(planes, 2, 3, 1, 6, 2, 1, wide, y);
  CHECK_SAME(y, framed, 15);
  cut_middle(planes, 2, 3, 1, 6, 1, 1, three, y); /* a gray image in three channels */
  CHECK(y[0] == 2 && y[1] == 2 && y[2] == 2);
}

static void ranges_of_histograms(void) {
  nn_moments spread = {100, 0, 0, 1, 400, -50, 2}, one = {3, 0, 0, 7, 0, 7, 7}, none = {0};
  nn_histogram h;
  set_range(&h, &spread); /* deviation 2 */
  CHECK_NEAR(h.low, -11, 1e-12);
  CHECK_NEAR(h.high, 2, 1e-12);
  set_range(&h, &one);
  CHECK(h.low == 6.5 && h.high == 7.5);
  set_range(&h, &none);
  CHECK(h.low == -.5 && h.high == .5);
  one.mean = one.min = one.max = 1e300; /* too large for half to count */
  set_range(&h, &one);
  CHECK(h.low == -1 && h.high == 1);
}

static void images_that_move(void) {
  const nn_real x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, row[5] = {0, 1, 2, 3, 4};
  const nn_real turned[9] = {3, 6, 9, 2, 5, 8, 1, 4, 7}; /* the right column is on top */
  const nn_real down[9] = {-1, -1, -1, -1, 1, 2, -1, 4, 5}, wide[5] = {1, 1.5, 2, 2.5, 3};
  const nn_real half[5] = {-.5, .5, 1.5, 2.5, 3.5};
  const struct motion still = {0, 0, 1, 0}, turn = {0, 0, 1, 90}, move = {1, 1, 1, 0};
  const struct motion larger = {0, 0, 2, 0}, less = {0, .5, 1, 0}, gone = {1e9, 0, 1, 0};
  nn_real y[9];
  move_plane(x, 3, 3, &still, -1, y);
  CHECK_SAME(y, x, sizeof y);
  move_plane(x, 3, 3, &turn, -1, y);
  CHECK_NEAR_ALL(y, turned, 9, 1e-6);
  move_plane(x, 3, 3, &move, -1, y);
  CHECK_NEAR_ALL(y, down, 9, 1e-6);
  move_plane(row, 1, 5, &larger, -1, y);
  CHECK_NEAR_ALL(y, wide, 5, 1e-6);
  move_plane(row, 1, 5, &less, -1, y);
  CHECK_NEAR_ALL(y, half, 5, 1e-6);
  move_plane(x, 3, 3, &gone, -1, y);
  for (int i = 0; i < 9; i++) CHECK(y[i] == -1);
}

int main(void) {
  RUN(small_measures);
  RUN(means_of_measures);
  RUN(parts_of_images);
  RUN(middles_of_images);
  RUN(ranges_of_histograms);
  RUN(images_that_move);
  return test_end("figures");
}
