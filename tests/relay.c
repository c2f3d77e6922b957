/* A network between network namespaces that is as slow as it is told to be: in user space, for not
 * every kernel has netem. It joins their TAP interfaces named `relay`, which are there already; a
 * frame goes to the namespace that the last byte of its address counts from 1, or to all others.
 * usage: relay DELAY JITTER LOSS RATE NAMESPACE..
 * Each frame is late by DELAY ms and at most JITTER ms more, but none overtakes another; LOSS % of
 * them are lost, the same ones in each run; each namespace is sent RATE Mbit/s, 0: as many as go.
 * SIGUSR1 cuts the link, which loses all frames from then on; a second one mends it. SIGTERM ends
 * it: it then says how many frames came and how many of them were lost. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8, QUEUE = 4096 };
typedef struct Frame {
  double due;
  size_t size;
  unsigned char bytes[9018];
} Frame;
typedef struct Port {
  Frame queue[QUEUE]; /* a ring; what finds it full is lost */
  unsigned first, count;
  double idle; /* when the last of its frames has passed the wire */
  double last; /* when that is due */
} Port;
static Port ports[MOST];
static struct pollfd fds[MOST];
static int count;
static double delay, jitter, loss, rate; /* seconds, seconds, a share, bytes a second */
static unsigned long came, lost;
static volatile sig_atomic_t cut, ended;

static void on_signal(int signal) {
  if (signal == SIGUSR1) cut = !cut;
  else ended = 1;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static double fraction(void) { /* 0 .. 1, xorshift */
  static uint64_t x = 88172645463325252u;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return (double)(x >> 11) / 9007199254740992.;
}

static int join(const char *name) { /* a namespace */
  struct ifreq r = {.ifr_name = "relay", .ifr_flags = IFF_TAP | IFF_NO_PI};
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", name);
  const int there = open(path, O_RDONLY);
  if (there < 0 || setns(there, CLONE_NEWNET)) return perror(path), -1;
  close(there);
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &r)) return perror("/dev/net/tun"), -1;
  return fd;
}

static void take(Port *to, const unsigned char *bytes, size_t size) {
  Frame *f = &to->queue[(to->first + to->count) % QUEUE];
  came++;
  if (cut || fraction() < loss || to->count == QUEUE) {
    lost++;
    return;
  }
  to->idle = (to->idle > now() ? to->idle : now()) + (rate > 0 ? (double)size / rate : 0);
  f->due = to->idle + delay + jitter * fraction();
  if (f->due < to->last) f->due = to->last;
  to->last = f->due, to->count++;
  memcpy(f->bytes, bytes, f->size = size);
}
static void take_all(int from) {
  static unsigned char bytes[sizeof ports->queue->bytes];
  for (ssize_t n; (n = read(fds[from].fd, bytes, sizeof bytes)) > 0;)
    for (int to = 0; to < count; to++)
      if (to != from && (bytes[0] & 1 || bytes[5] == to + 1)) take(&ports[to], bytes, (size_t)n);
}
/* Sends what is due; when the next one is. */
static double give(int k) {
  Port *p = &ports[k];
  for (; p->count && p->queue[p->first].due <= now(); p->count--) {
    const Frame *f = &p->queue[p->first];
    if (write(fds[k].fd, f->bytes, f->size) < 0) lost++; /* the interface is down */
    p->first = (p->first + 1) % QUEUE;
  }
  return p->count ? p->queue[p->first].due : 1e300;
}

int main(int words, char **word) {
  const struct sigaction on = {.sa_handler = on_signal};
  if (words < 7 || words > 5 + MOST) return fprintf(stderr, "relay: see tests/relay.c\n"), 2;
  delay = 1e-3 * atof(word[1]), jitter = 1e-3 * atof(word[2]), loss = .01 * atof(word[3]);
  rate = 1e6 / 8 * atof(word[4]);
  for (; count < words - 5; count++) {
    fds[count] = (struct pollfd){join(word[count + 5]), POLLIN, 0};
    if (fds[count].fd < 0) return 1;
  }
  sigaction(SIGUSR1, &on, NULL), sigaction(SIGTERM, &on, NULL);
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* it ends with the test */
  prctl(PR_SET_TIMERSLACK, 1000);   /* ns */
  while (!ended) {
    double next = now() + 1, rest;
    for (int k = 0; k < count; k++) {
      const double due = give(k);
      if (due < next) next = due;
    }
    rest = next > now() ? next - now() : 0;
    const struct timespec wait = {(time_t)rest, (long)(1e9 * (rest - (double)(time_t)rest))};
    if (ppoll(fds, (nfds_t)count, &wait, NULL) <= 0) continue;
    for (int k = 0; k < count; k++)
      if (fds[k].revents) take_all(k);
  }
  printf("%lu frames, %lu lost\n", came, lost);
  return 0;
}
