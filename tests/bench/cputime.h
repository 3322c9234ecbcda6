/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU time, which a neighbour on the machine cannot take away as it takes wall clock: what a thread has had, softirqs
 * that ran on its back included, and what the kernel's thread for late softirqs has had on some CPUs.
 */
#ifndef CPUTIME_H
#define CPUTIME_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CPUS_MOST 32

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline int stay_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* Where the scheduler says what ksoftirqd of this CPU has had; these threads start with the CPUs, early. */
static inline void ksoftirqd_path(unsigned int cpu, char *path, size_t size)
{
	char name[32], line[32], want[32];

	snprintf(want, sizeof(want), "ksoftirqd/%u\n", cpu);
	for (unsigned int pid = 1; pid < 4096; pid++) {
		snprintf(name, sizeof(name), "/proc/%u/comm", pid);
		FILE *f = fopen(name, "re");
		int found = f && fgets(line, sizeof(line), f) && !strcmp(line, want);

		if (f)
			fclose(f);
		if (found) {
			snprintf(path, size, "/proc/%u/schedstat", pid);
			return;
		}
	}
	snprintf(path, size, "/dev/null");
}

/* Nanoseconds of ksoftirqd on the first `cpus` CPUs. */
static inline uint64_t ksoftirqd_ns(unsigned int cpus)
{
	static char path[CPUS_MOST][32];
	uint64_t sum = 0;

	for (unsigned int c = 0; c < cpus && c < CPUS_MOST; c++) {
		unsigned long ns = 0;

		if (!path[c][0])
			ksoftirqd_path(c, path[c], sizeof(path[c]));
		FILE *f = fopen(path[c], "re");

		if (f && fscanf(f, "%lu", &ns) == 1)
			sum += ns;
		if (f)
			fclose(f);
	}
	return sum;
}

#endif
