/*
 * The peers that fleet.c is compared with, measured the same way: git daemon and etcd. For benches.
 */
#ifndef MUSTER_BENCH_PEERS_H
#define MUSTER_BENCH_PEERS_H

#include <stddef.h>
#include <stdint.h>

/* HOST PORT REPOSITORY REF HAVE N: N fetches of what REF has beyond HAVE, eight at a time. */
int run_git(char **argv);
/*
 * PORT N ROUNDS VALUE-FILE: puts the value, with N watchers on a connection each, and with N on one
 * connection.
 */
int run_etcd(char **argv);

int compare_times(const void *a, const void *b);
double median_of(double *values, size_t count);

/*
 * For both, as all that fails here ends the program: connections to loopback; nanoseconds of the
 * clock and of this process.
 */
void peer_die(const char *what);
int peer_dial(const char *port);
void peer_send_all(int fd, const void *data, size_t n);
uint64_t peer_now(void);
uint64_t peer_cpu(void);

#endif
