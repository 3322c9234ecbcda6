/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A DEVMAP_HASH entry that is replaced, even by its like, is missing for a moment: the kernel takes the old one out
 * before it puts the new one in (__dev_map_hash_update_elem).  So user/plane_table.c writes only what is not so yet.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "fact.h"

static int map;
static uint32_t device;
static atomic_bool stop;

static void *replace(void *arg)
{
	(void)arg;
	while (!stop)
		must(devmap_set(map, 1, device), "replace");
	return NULL;
}

/* How often the entry is not there, of `looks` looks in a second. */
static unsigned long miss(unsigned long *looks)
{
	unsigned long missing = 0;
	time_t end = time(NULL) + 2;

	for (*looks = 0; time(NULL) < end && missing < 10; ++*looks)
		missing += !devmap_get(map, 1);
	return missing;
}

int main(void)
{
	unsigned long looks, still, moving;
	pthread_t thread;

	probe_begin();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip("it takes two CPUs to see it");
	map = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);
	sh("ip link add d1 type bridge");
	device = ifindex("d1");
	must(devmap_set(map, 1, device), "entry 1");
	still = miss(&looks);
	must(-pthread_create(&thread, NULL, replace, NULL), "thread");
	moving = miss(&looks);
	stop = true;
	pthread_join(thread, NULL);
	if (still || !moving)
		broken("missing %lu times while it was left alone, %lu times of %lu looks while it was replaced", still,
		       moving, looks);
	return holds("an entry that is replaced by its like is missing for a moment");
}
