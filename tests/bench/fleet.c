/*
 * fleet: what a cluster of N nodes costs its admin, and how fast a release reaches them. See
 * README.md here; fleet.sh runs it.
 *
 *	fleet nodes CLUSTER-FILE ROLE N ADMIN-PID-FILE REFS-FOLDER ROUNDS COMMIT RESTART
 *	fleet git HOST PORT REPOSITORY REF HAVE N
 *	fleet etcd PORT N ROUNDS VALUE-FILE
 *
 * Each prints one JSON object.
 */
#include "peers_bench.h"
#include "simnode.h"

#include "config/cluster.h"
#include "config/document.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/text.h"
#include "repo/git.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DEADLINE_MS = 180000, ROUNDS_MAX = 1000 };

struct bench {
	struct simfleet fleet; /* first: it is its bench */
	uv_loop_t loop;
	const char *pid_file, *refs;
	_Atomic uint64_t base; /* a round is over when all hold a later sequence */
	atomic_size_t held;
	struct { /* ns, of those that hold it */
		uint64_t *received, *verified, *held;
	} times;
	uv_poll_t poll;
	int watch;
	uint64_t moved_at; /* ns: when main moved */
};

/* --- the admin's process --- */

static long admin_pid(const struct bench *bench)
{
	FILE *file = fopen(bench->pid_file, "r");
	long pid = 0;

	if (!file || fscanf(file, "%ld", &pid) != 1)
		pid = 0;
	if (file)
		(void)fclose(file); /* only read */
	return pid;
}

/*
 * Processor time of all threads, in ns: their schedstat, which counts in ns where times count in
 * ticks.
 */
static uint64_t cpu_of(long pid)
{
	char path[300];
	uint64_t sum = 0;
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task", pid); /* fits */
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		uint64_t ns = 0;
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/%ld/task/%.20s/schedstat", pid,
			       entry->d_name); /* fits */
		file = fopen(path, "r");
		if (file && fscanf(file, "%" SCNu64, &ns) == 1)
			sum += ns;
		if (file)
			(void)fclose(file); /* only read */
	}
	if (dir)
		(void)closedir(dir); /* only read */
	return sum;
}

/* Bytes of anonymous memory; 0 where it may not be read. */
static uint64_t memory_of(long pid)
{
	char line[200];
	uint64_t kb = 0;
	FILE *file;

	(void)snprintf(line, sizeof(line), "/proc/%ld/smaps_rollup", pid); /* fits */
	file = fopen(line, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Anonymous: %" SCNu64, &kb) == 1)
			break;
	if (file)
		(void)fclose(file); /* only read */
	return kb * 1024;
}

/* --- waiting --- */

static void on_wake(uv_timer_t *timer)
{
	(void)timer;
}

/* Runs the loop until it HOLDS; ends the program when that takes too long. */
static void run_until(struct bench *bench, bool (*holds)(struct bench *), const char *what)
{
	uint64_t end = loop_now() + DEADLINE_MS;
	uv_timer_t wake;

	(void)uv_timer_init(&bench->loop, &wake); /* never fails */
	(void)uv_timer_start(&wake, on_wake, 2, 2);	/* so that time is looked at */
	while (!holds(bench)) {
		if (loop_now() > end) {
			(void)fprintf(
				stderr,
				"fleet: in vain: %s (%zu of %zu up, %zu joined, %zu lost: %s)\n",
				what, atomic_load(&bench->fleet.up), bench->fleet.count,
				atomic_load(&bench->fleet.joined),
				atomic_load(&bench->fleet.failed), bench->fleet.last_error);
			exit(1);
		}
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&wake, NULL);
	(void)uv_run(&bench->loop, UV_RUN_NOWAIT);
}

static bool all_joined(struct bench *bench)
{
	return atomic_load(&bench->fleet.joined) == bench->fleet.count;
}

static bool all_hold(struct bench *bench)
{
	return atomic_load(&bench->held) == bench->fleet.count && bench->moved_at;
}

static uint64_t idle_end;

static bool is_over(struct bench *bench)
{
	(void)bench;
	return loop_now() > idle_end;
}

static void idle(struct bench *bench, uint64_t ms)
{
	idle_end = loop_now() + ms;
	run_until(bench, is_over, "waiting");
}

/* --- a command beside the loop --- */

static int running;

static void on_command_exit(uv_process_t *process, int64_t status, int signal)
{
	running--;
	if (status != 0 || signal != 0) {
		(void)fprintf(stderr, "fleet: a command failed\n");
		exit(1);
	}
	uv_close((uv_handle_t *)process, (uv_close_cb)free);
}

static void run_command(struct bench *bench, const char *program, const char *argument)
{
	char *argv[] = {(char *)program, (char *)argument, NULL};
	uv_stdio_container_t stdio[3] = {
		{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
	uv_process_options_t options = {.file = program,
					.args = argv,
					.exit_cb = on_command_exit,
					.stdio = stdio,
					.stdio_count = 3};
	uv_process_t *process = mem_new(1, sizeof(*process));

	if (uv_spawn(&bench->loop, process, &options) != 0) {
		(void)fprintf(stderr, "fleet: %s cannot be run\n", program);
		exit(1);
	}
	running++;
}

static bool command_done(struct bench *bench)
{
	(void)bench;
	return running == 0;
}

/* --- when main moves --- */

static void on_moved(uv_poll_t *poll, int status, int events)
{
	struct bench *bench = poll->data;
	char bytes[4096] __attribute__((aligned(8)));
	ssize_t n = read(bench->watch, bytes, sizeof(bytes));

	(void)status;
	(void)events; /* only readable is asked for */
	for (ssize_t at = 0; at < n;) {
		struct inotify_event *event = (void *)(bytes + at);

		if (event->len && strcmp(event->name, "main") == 0)
			bench->moved_at = uv_hrtime();
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

static void watch_refs(struct bench *bench)
{
	bench->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (bench->watch < 0 || inotify_add_watch(bench->watch, bench->refs, IN_MOVED_TO) < 0 ||
	    uv_poll_init(&bench->loop, &bench->poll, bench->watch) != 0) {
		(void)fprintf(stderr, "fleet: %s cannot be watched\n", bench->refs);
		exit(1);
	}
	bench->poll.data = bench;
	(void)uv_poll_start(&bench->poll, UV_READABLE,
			    on_moved); /* never fails on a fresh handle */
}

/* --- the nodes --- */

static void on_holds(struct simfleet *fleet, struct simnode *node)
{
	struct bench *bench = (struct bench *)fleet;
	size_t i;

	if (node->chain.sequence <= atomic_load(&bench->base))
		return;
	bench->times.received[node->number] = node->received_at;
	bench->times.verified[node->number] = node->received_at + node->verify_ns;
	bench->times.held[node->number] = node->held_at;
	i = atomic_fetch_add(&bench->held, 1);
	if (i == fleet->count)
		abort(); /* one release a round */
}

int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

double median_of(double *values, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && values[j] < values[j - 1]; j--) {
			double swap = values[j];

			values[j] = values[j - 1];
			values[j - 1] = swap;
		}
	return count ? values[count / 2] : 0;
}

/* Of the nodes' times of a round: milliseconds since main moved. */
struct spread {
	double first[ROUNDS_MAX], median[ROUNDS_MAX], last[ROUNDS_MAX];
};

struct rounds {
	size_t count;
	struct spread received, verified, held;
	double cpu[ROUNDS_MAX], own_cpu[ROUNDS_MAX]; /* us: the admin's; that of all nodes here */
};

static void spread_add(struct spread *spread, size_t round, uint64_t *times,
		       const struct bench *bench)
{
	size_t count = bench->fleet.count;

	qsort(times, count, sizeof(*times), compare_times);
	spread->first[round] = (double)(times[0] - bench->moved_at) / 1e6;
	spread->median[round] = (double)(times[count / 2] - bench->moved_at) / 1e6;
	spread->last[round] = (double)(times[count - 1] - bench->moved_at) / 1e6;
}

static void spread_print(struct spread *spread, size_t rounds, const char *prefix)
{
	(void)printf("\"%sfirst_ms\":%.2f,\"%smedian_ms\":%.2f,\"%slast_ms\":%.2f,", prefix,
		     median_of(spread->first, rounds), prefix, median_of(spread->median, rounds),
		     prefix, median_of(spread->last, rounds));
}

static void run_round(struct bench *bench, struct rounds *rounds, const char *commit)
{
	size_t i = rounds->count++;
	char number[32];
	uint64_t cpu, own;

	(void)snprintf(number, sizeof(number), "%zu", i + 1); /* fits */
	bench->moved_at = 0;
	atomic_store(&bench->base, bench->fleet.nodes[0].chain.sequence);
	atomic_store(&bench->held, 0);
	cpu = cpu_of(admin_pid(bench));
	own = cpu_of(getpid());
	run_command(bench, commit, number);
	run_until(bench, all_hold, "a release");
	run_until(bench, command_done, "the commit");
	own = cpu_of(getpid()) - own;
	idle(bench, 300); /* statuses, packs given back, what the admin writes behind */
	cpu = cpu_of(admin_pid(bench)) - cpu;
	spread_add(&rounds->received, i, bench->times.received, bench);
	spread_add(&rounds->verified, i, bench->times.verified, bench);
	spread_add(&rounds->held, i, bench->times.held, bench);
	rounds->cpu[i] = (double)cpu / 1e3;
	rounds->own_cpu[i] = (double)own / 1e3;
}

static void read_cluster(const char *path, struct cluster *cluster, struct keystore **keystore)
{
	struct document *doc;
	struct buf text;
	struct err err;

	buf_init(&text, LIMIT_SMALL_FILE);
	if (fs_read(AT_FDCWD, path, &text, &err) != 0 ||
	    document_parse(path, text.data, text.len, &doc, &err) != 0 ||
	    cluster_read(doc, cluster, &err) != 0 ||
	    keystore_parse(cluster->keystore, keystore, &err) != 0) {
		(void)fprintf(stderr, "fleet: %s\n", err.text);
		exit(1);
	}
	document_free(doc);
	buf_clear(&text);
}

static void bench_start(struct bench *bench, char **argv, struct cluster *cluster,
			struct keystore **keystore)
{
	size_t count = strtoul(argv[2], NULL, 10);

	read_cluster(argv[0], cluster, keystore);
	(void)uv_loop_init(&bench->loop); /* descriptors that are missing are told below */
	bench->fleet.keystore = *keystore;
	bench->fleet.role = argv[1];
	bench->fleet.holds = on_holds;
	bench->pid_file = argv[3];
	bench->refs = argv[4];
	(void)uv_ip4_addr(cluster->host, cluster->port,
			  &bench->fleet.admin); /* else the nodes dial in vain */
	bench->times.received = mem_new(count, sizeof(uint64_t));
	bench->times.verified = mem_new(count, sizeof(uint64_t));
	bench->times.held = mem_new(count, sizeof(uint64_t));
	/* the first release counts for no round */
	atomic_store(&bench->base, UINT64_MAX);
	watch_refs(bench);
}

static void bench_end(struct bench *bench)
{
	uv_close((uv_handle_t *)&bench->poll, NULL);
	simfleet_stop(&bench->fleet);
	(void)uv_run(&bench->loop, UV_RUN_DEFAULT); /* until all is closed */
	(void)uv_loop_close(&bench->loop);	    /* nothing is left */
	(void)close(bench->watch);
	free(bench->times.received);
	free(bench->times.verified);
	free(bench->times.held);
}

static int run_nodes(char **argv)
{
	static struct rounds rounds;
	struct bench bench = {.watch = -1};
	size_t wanted = strtoul(argv[5], NULL, 10);
	uint64_t memory, begun, storm, cpu;
	struct cluster cluster;
	struct keystore *keystore;
	double join, cold_cpu;

	bench_start(&bench, argv, &cluster, &keystore);
	memory = memory_of(admin_pid(&bench));
	cpu = cpu_of(admin_pid(&bench));
	begun = uv_hrtime();
	simfleet_start(&bench.fleet, strtoul(argv[2], NULL, 10));
	run_until(&bench, all_joined, "all nodes up to date");
	join = (double)(uv_hrtime() - begun) / 1e6;
	idle(&bench, 2000);
	cold_cpu = (double)(cpu_of(admin_pid(&bench)) - cpu) / 1e3 / (double)bench.fleet.count;
	while (rounds.count < wanted && rounds.count < ROUNDS_MAX)
		run_round(&bench, &rounds, argv[6]);
	idle(&bench, 2000);
	memory = memory_of(admin_pid(&bench)) - memory;
	cpu = cpu_of(admin_pid(&bench));
	idle(&bench, 3000);
	cpu = cpu_of(admin_pid(&bench)) - cpu;

	run_command(&bench, argv[7], "");
	run_until(&bench, command_done, "the restart"); /* it listens */
	storm = uv_hrtime();
	run_until(&bench, all_joined, "all nodes back");
	storm = uv_hrtime() - storm;
	(void)printf("{\"nodes\":%zu,\"rounds\":%zu,\"join_ms\":%.1f,", bench.fleet.count,
		     rounds.count, join);
	spread_print(&rounds.received, rounds.count, "received_");
	spread_print(&rounds.verified, rounds.count, "");
	spread_print(&rounds.held, rounds.count, "here_");
	(void)printf(
		"\"admin_cpu_us\":%.1f,\"nodes_cpu_us\":%.1f,\"join_cpu_us_per_node\":%.1f,"
		"\"memory_per_node\":%.0f,\"idle_cpu_us_per_node_s\":%.2f,\"storm_ms\":%.1f}\n",
		median_of(rounds.cpu, rounds.count), median_of(rounds.own_cpu, rounds.count),
		cold_cpu, (double)memory / (double)bench.fleet.count,
		(double)cpu / 1e3 / 3 / (double)bench.fleet.count, (double)storm / 1e6);
	bench_end(&bench);
	keystore_free(keystore);
	cluster_clear(&cluster);
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* too few are told when they are missing */
	}
	(void)signal(SIGPIPE, SIG_IGN); /* never fails */
	crypto_setup();
	git_setup();
	log_setup(LOG_LEVEL_ERROR);
	if (argc == 10 && strcmp(argv[1], "nodes") == 0)
		return run_nodes(argv + 2);
	if (argc == 8 && strcmp(argv[1], "git") == 0)
		return run_git(argv + 2);
	if (argc == 6 && strcmp(argv[1], "etcd") == 0)
		return run_etcd(argv + 2);
	(void)fprintf(stderr, "fleet: wrong usage, see fleet.c\n");
	return 2;
}
