/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A DEVMAP_HASH entry goes when its device is deleted or moved to another namespace, and does not come back with it.
 * bpf/device.h follows the entry's pointer to the device, and takes a missing entry for a device that is gone.
 */
#include <signal.h>
#include <sys/wait.h>

#include "fact.h"

/* A process in a third namespace, to which and from which a device moves. */
static pid_t elsewhere(void)
{
	int ready[2];
	char byte;

	must(pipe(ready), "pipe");
	pid_t child = fork();

	if (child == 0) {
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	must(child, "fork");
	close(ready[1]);
	must(read(ready[0], &byte, 1) == 1 ? 0 : -EIO, "namespace");
	return child;
}

int main(void)
{
	probe_begin();
	int map = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);

	sh("ip link add d1 type bridge && ip link add d2 type veth peer name p2 && ip link add d3 type bridge");
	must(devmap_set(map, 1, ifindex("d1")), "entry 1");
	must(devmap_set(map, 2, ifindex("d2")), "entry 2");
	must(devmap_set(map, 3, ifindex("d3")), "entry 3");
	pid_t child = elsewhere();

	sh("ip link del d1 && ip link set d2 netns %d", child);
	uint32_t deleted = devmap_get(map, 1), moved = devmap_get(map, 2), kept = devmap_get(map, 3);

	sh("nsenter --net=/proc/%d/ns/net ip link set d2 netns %d", child, getpid());
	uint32_t back = devmap_get(map, 2);

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (deleted || moved || back || kept != ifindex("d3"))
		broken("entry of a device that was deleted %u, moved %u, moved back %u, left alone %u", deleted, moved,
		       back, kept);
	return holds("the entries of a deleted and of a moved device are gone, and stay so when it returns");
}
