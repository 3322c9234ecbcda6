/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bpf_timer in a pinned map fires on after its loader has ended, and stops when the pin goes.  That is how bpf/age.h
 * reclaims MAC entries without a process.
 */
#include <sys/mount.h>
#include <sys/wait.h>

#include "fact.h"

#define PIN "/sys/fs/bpf/probe_timer"
#define PERIOD_NS 1000000
#define NO_LOADER 9

/* An array of one { struct bpf_timer; }: the kernel knows the timer by its type's name. */
static int timer_map(void)
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	int timer = btf__add_struct(btf, "bpf_timer", 16);
	int value = btf__add_struct(btf, "value", 16);

	must(btf__add_field(btf, "timer", timer, 0, 0), "BTF");
	must(btf__load_into_kernel(btf), "BTF");
	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = (__u32)btf__fd(btf), .btf_key_type_id = (__u32)number,
		    .btf_value_type_id = (__u32)value);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "timer", 4, 16, 1, &opts);

	if (map < 0)
		skip("no map with a bpf_timer: %s", strerror(-map));
	btf__free(btf);
	return map;
}

/* Arms the timer; its callback counts in `counter` and arms it again. */
static int timer_prog(int map, int counter)
{
	const struct bpf_insn insns[] = {
		STORE_IMM(BPF_W, 10, -4, 0), MAP(1, map), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		JUMP_NE(0, 0, 2), SET(0, ENOENT), EXIT,
		MOVE(6, 0), MOVE(1, 6), MAP(2, map), SET(3, CLOCK_MONOTONIC), CALL(timer_init),
		JUMP_NE(0, 0, 8), /* to the end */
		MOVE(1, 6), FUNCTION(2, 8), CALL(timer_set_callback),
		MOVE(1, 6), SET(2, PERIOD_NS), SET(3, 0), CALL(timer_start), EXIT,
		/* callback(map, key, value) */
		MOVE(6, 3), MAP_VALUE(1, counter, 0), SET(2, 1), ATOMIC_ADD(BPF_DW, 1, 0, 2),
		MOVE(1, 6), SET(2, PERIOD_NS), SET(3, 0), CALL(timer_start), SET(0, 0), EXIT,
	};

	return load_with_callback(BPF_PROG_TYPE_SCHED_CLS, insns, COUNT(insns), COUNT(insns) - 11);
}

static int load_and_leave(int counter)
{
	uint8_t frame[FRAME_LEN];
	int map = timer_map(), prog = timer_prog(map, counter);

	udp_frame(frame, 1);
	must(bpf_obj_pin(map, PIN), "pin");
	must(run_prog(prog, frame, sizeof(frame)) ? -EIO : 0, "the timer's start");
	exit(NO_LOADER);
}

int main(void)
{
	int counter, status;

	probe_begin();
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	must(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), "bpffs");
	volatile uint64_t *fired = shared_page(&counter);
	pid_t loader = fork();

	if (loader == 0)
		return load_and_leave(counter);
	must(waitpid(loader, &status, 0), "wait");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != NO_LOADER)
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	uint64_t at_exit = *fired;

	sleep_ms(300);
	uint64_t alone = *fired - at_exit;

	unlink(PIN);
	sleep_ms(300);
	uint64_t at_rest = *fired;

	sleep_ms(200);
	if (alone < 30 || *fired != at_rest)
		broken("fired %u times in 300 ms without the loader, %u times in 200 ms without the pin",
		       (unsigned int)alone, (unsigned int)(*fired - at_rest));
	return holds("fired %u times in 300 ms after the loader's end, never after the pin was gone",
		     (unsigned int)alone);
}
