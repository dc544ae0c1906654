/* The peers that fleet.c is compared with, measured the same way: git daemon and etcd. For benches. */
#ifndef MUSTER_BENCH_PEERS_H
#define MUSTER_BENCH_PEERS_H

#include <stddef.h>

/* HOST PORT REPOSITORY REF HAVE N: N fetches of what REF has beyond HAVE, eight at a time. */
int run_git(char **argv);
/* PORT N ROUNDS VALUE-FILE: puts the value, with N watchers in one etcdctl. */
int run_etcd(char **argv);

int compare_times(const void *a, const void *b);
double median_of(double *values, size_t count);

#endif
