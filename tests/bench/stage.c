/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stage: what a program takes for one and the same frame, by BPF_PROG_TEST_RUN, which repeats it inside the kernel.
 * Nothing is sent.  A frame that the program changes stays changed, so this is not for tags and unfinished checksums.
 *
 * usage: stage NETNS DEVICE xdp|tc PINNED|- HEX     - = a program that does nothing: what the kernel's loop takes
 * Commands on standard input: `run MILLISECONDS`; each is answered by one line of JSON.
 */
#include "cputime.h"
#include "fact.h"

#include <sys/prctl.h>
#include <signal.h>

#define FRAME_MOST   3400
#define REPEAT_FIRST 10000

static uint8_t frame[FRAME_MOST];
static unsigned int len;

static void read_hex(const char *hex)
{
	for (unsigned int byte; len < FRAME_MOST && sscanf(hex + (size_t)2 * len, "%2x", &byte) == 1; len++)
		frame[len] = (uint8_t)byte;
}

static int nothing(bool xdp)
{
	const struct bpf_insn insns[] = { SET(0, xdp ? XDP_DROP : 2), EXIT };

	return load_prog(xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, insns, COUNT(insns));
}

/* Nanoseconds for one frame. */
static uint32_t timed(int prog, bool xdp, uint32_t device, uint32_t repeat, uint32_t *verdict)
{
	struct xdp_md at_xdp = { .data_end = len, .ingress_ifindex = device };
	struct __sk_buff at_tc = { .ifindex = device, .ingress_ifindex = device };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .repeat = (int)repeat,
		    .ctx_in = xdp ? (void *)&at_xdp : (void *)&at_tc,
		    .ctx_size_in = xdp ? sizeof(at_xdp) : sizeof(at_tc));

	must(bpf_prog_test_run_opts(prog, &opts), "test run");
	*verdict = opts.retval;
	return opts.duration;
}

int main(int argc, char **argv)
{
	uint32_t repeat = REPEAT_FIRST, ns, verdict;
	char line[64];

	if (argc != 6) {
		fprintf(stderr, "usage: stage NETNS DEVICE xdp|tc PINNED|- HEX\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(setns(must(open(argv[1], O_RDONLY | O_CLOEXEC), argv[1]), CLONE_NEWNET), "setns");
	bool xdp = !strcmp(argv[3], "xdp");
	int prog = strcmp(argv[4], "-") ? must(bpf_obj_get(argv[4]), argv[4]) : nothing(xdp);

	read_hex(argv[5]);
	must(stay_on(0), "CPU");
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned int ms;

		if (sscanf(line, "run %u", &ms) != 1)
			return 2;
		ns = timed(prog, xdp, ifindex(argv[2]), repeat, &verdict);
		printf("{\"ns\": %u, \"verdict\": %u}\n", ns, verdict);
		repeat = ms * 1000000 / (ns ? ns : 1) + 1;
	}
	return 0;
}
