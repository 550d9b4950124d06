/*
 * Counts the user instructions of the process it is preloaded into, which runs under callgrind.
 * callgrind_control stops a process for many of its periods, and what a phone then works off would
 * be counted; here a thread of the process gives the commands.
 *
 *   COUNTING is there ─▶ instrumentation on ─ TRANSLATING s ─▶ counts from zero ─ WINDOW s ─▶ dump
 *                                                            ─▶ nanoseconds into COUNTING.done
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

static char file[4096], done[4096 + 8];
static long translating, window;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void rest(long seconds)
{
	struct timespec t = { seconds, 0 };
	while (nanosleep(&t, &t) != 0)
		;
}

static void *count(void *unused)
{
	struct timespec look = { 0, 50 * 1000 * 1000 };
	while (access(file, F_OK) != 0)
		nanosleep(&look, NULL);
	CALLGRIND_START_INSTRUMENTATION;
	rest(translating);
	CALLGRIND_ZERO_STATS;
	long long from = now();
	rest(window);
	long long took = now() - from;
	CALLGRIND_DUMP_STATS;
	FILE *out = fopen(done, "w");
	if (out) {
		fprintf(out, "%lld\n", took);
		fclose(out);
	}
	return unused;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("COUNTING"), *before = getenv("TRANSLATING"), *how_long = getenv("WINDOW");
	pthread_t thread;
	if (!path || !before || !how_long || strlen(path) >= sizeof file || !RUNNING_ON_VALGRIND)
		return;
	strcpy(file, path);
	snprintf(done, sizeof done, "%s.done", path);
	translating = atol(before);
	window = atol(how_long);
	if (pthread_create(&thread, NULL, count, NULL) == 0)
		pthread_detach(thread);
}
