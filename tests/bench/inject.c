/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * inject: frames as a NIC's driver hands them to XDP, without a NIC.  BPF_PROG_TEST_RUN with live frames runs a program
 * on pages that then are redirected, or become socket buffers, for good.  A first program puts a destination address
 * in, at random out of a number of them, and goes on to the one under test: the plane's, the least redirect, or
 * XDP_PASS (then whatever is behind the device forwards).  An XDP program at the sink counts what arrives and drops it.
 *
 * Commands on standard input: `run MILLISECONDS`; each is answered by one line of JSON.
 */
#include "fact.h"

#include <sys/prctl.h>
#include <signal.h>

#define BATCH 64
#define REPEAT (256 * BATCH)
#define OUT_MOST 16
#define FRAME_MOST 1514

static const char *in, *pinned;
static const char *out[OUT_MOST], *sink[OUT_MOST];
static unsigned int n_out, macs = 1, len = 60;
static volatile uint64_t *state; /* 0: random; 1: frames at the sinks */
static int page;

/* As libbpf loads the plane's program: an array of programs to go on to wants all alike. */
static int frags(const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS, .expected_attach_type = BPF_XDP);

	return load_or_log(BPF_PROG_TYPE_XDP, insns, n, &opts);
}

/* The least: which port, by an array; then the devmap. Out ports in turn of the destination drawn before. */
static int least(void)
{
	int devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, OUT_MOST, 0), ports = make_map(BPF_MAP_TYPE_ARRAY, 4, 64, 0);

	for (uint32_t i = 0; i < 64; i++) {
		uint32_t key = i % n_out;

		must(bpf_map_update_elem(ports, &i, &key, 0), "port");
	}
	for (uint32_t i = 0; i < n_out; i++)
		must(devmap_set(devmap, i, ifindex(out[i])), "entry");
	const struct bpf_insn insns[] = {
		MAP_VALUE(1, page, 0), LOAD(BPF_DW, 1, 1, 16), INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, 63),
		STORE(BPF_W, 10, -4, 1), MAP(1, ports), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		JUMP_NE(0, 0, 1), EXIT,
		LOAD(BPF_W, 2, 0, 0), MAP(1, devmap), SET(3, XDP_DROP), CALL(redirect_map), EXIT,
	};

	return frags(insns, COUNT(insns));
}

static int pass(void)
{
	const struct bpf_insn insns[] = { SET(0, XDP_PASS), EXIT };

	return frags(insns, COUNT(insns));
}

/* Draw one of `macs` addresses 52:54:00:01:HH:LL, write it into the frame, and go on to the program under test. */
static int draw(int next)
{
	int programs = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 1, 0);
	uint32_t zero = 0;

	const struct bpf_insn insns[] = {
		MOVE(6, 1), MAP_VALUE(7, page, 0), LOAD(BPF_DW, 2, 7, 0),
		MOVE(3, 2), INSN(BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_3, 0, 0, 13),
		INSN(BPF_ALU64 | BPF_XOR | BPF_X, BPF_REG_2, BPF_REG_3, 0, 0),
		MOVE(3, 2), INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 7),
		INSN(BPF_ALU64 | BPF_XOR | BPF_X, BPF_REG_2, BPF_REG_3, 0, 0),
		MOVE(3, 2), INSN(BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_3, 0, 0, 17),
		INSN(BPF_ALU64 | BPF_XOR | BPF_X, BPF_REG_2, BPF_REG_3, 0, 0),
		STORE(BPF_DW, 7, 0, 2),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, macs - 1), STORE(BPF_DW, 7, 16, 2),
		LOAD(BPF_W, 3, 6, 0), LOAD(BPF_W, 4, 6, 4), MOVE(5, 3), ADD(5, 14),
		INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_5, BPF_REG_4, 7, 0),
		INSN(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_2, 0, 0, 16), STORE(BPF_H, 3, 4, 2),
		MOVE(1, 6), MAP(2, programs), SET(3, 0), CALL(tail_call),
		SET(0, XDP_ABORTED), EXIT,
	};
	int prog = frags(insns, COUNT(insns));

	must(bpf_map_update_elem(programs, &zero, &next, 0), "tail call");
	return prog;
}

static void count_at(const char *device)
{
	const struct bpf_insn insns[] = {
		MAP_VALUE(1, page, 8), SET(2, 1), ATOMIC_ADD(BPF_DW, 1, 0, 2), SET(0, XDP_DROP), EXIT,
	};

	must(attach_xdp(frags(insns, COUNT(insns)), device, XDP_FLAGS_DRV_MODE), "attach to the sink");
}

/* UDP with a right checksum over zeros, which is the same whatever the addresses of the Ethernet header are. */
static void build(uint8_t frame[FRAME_MOST])
{
	static const uint8_t start[] = {
		0x52, 0x54, 0, 1, 0, 0, 0x52, 0x54, 0, 2, 0, 1, 0x08, 0x00, /* Ethernet */
		0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2, /* IP */
		0x03, 0xe8, 0x07, 0xd0, /* UDP */
	};
	uint32_t l4 = len - 34, ip_sum = 0, udp_sum = 17 + l4;

	memcpy(frame, start, sizeof(start));
	frame[16] = (uint8_t)((len - 14) >> 8);
	frame[17] = (uint8_t)(len - 14);
	frame[38] = (uint8_t)(l4 >> 8);
	frame[39] = (uint8_t)l4;
	for (unsigned int i = 14; i < 34; i += 2)
		ip_sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	for (unsigned int i = 26; i < 42; i += 2)
		udp_sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	ip_sum = ~((ip_sum & 0xffff) + (ip_sum >> 16));
	udp_sum = ~((udp_sum & 0xffff) + (udp_sum >> 16));
	frame[24] = (uint8_t)(ip_sum >> 8);
	frame[25] = (uint8_t)ip_sum;
	frame[40] = (uint8_t)(udp_sum >> 8);
	frame[41] = (uint8_t)udp_sum;
}

static void run(int prog, unsigned int ms)
{
	static uint8_t frame[FRAME_MOST];
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex(in) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = REPEAT, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = BATCH);
	uint64_t sent = 0, from = now_ms(), before = state[1];
	struct timespec t0, t1;

	build(frame);
	/* No CPU time here: what the sink's NAPI takes is this thread's in one round and ksoftirqd's in another. */
	clock_gettime(CLOCK_MONOTONIC, &t0);
	while (now_ms() < from + ms) {
		must(bpf_prog_test_run_opts(prog, &opts), "live frames");
		sent += REPEAT;
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("{\"sent\": %lu, \"received\": %lu, \"seconds\": %.6f}\n", sent, state[1] - before,
	       (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
}

static void usage(void)
{
	fprintf(stderr, "usage: inject -n NETNS -i IN -o OUT -s SINK [-o OUT -s SINK]... [-M MACS] [-l LEN]"
			" least|pass|PINNED\n");
	exit(2);
}

static void parse(int argc, char **argv, const char **netns)
{
	unsigned int n_sink = 0;
	int c;

	while ((c = getopt(argc, argv, "n:i:o:s:M:l:")) != -1)
		switch (c) {
		case 'n': *netns = optarg; break;
		case 'i': in = optarg; break;
		case 'o': out[n_out++ % OUT_MOST] = optarg; break;
		case 's': sink[n_sink++ % OUT_MOST] = optarg; break;
		case 'M': macs = (unsigned int)atoi(optarg); break;
		case 'l': len = (unsigned int)atoi(optarg); break;
		default: usage();
		}
	if (!*netns || !in || !n_out || n_out != n_sink || n_out > OUT_MOST || optind != argc - 1 || !macs ||
	    (macs & (macs - 1)) || len > FRAME_MOST || len < 60)
		usage();
	pinned = argv[optind];
}

int main(int argc, char **argv)
{
	const char *netns = NULL;
	char line[64];
	int next;

	parse(argc, argv, &netns);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(setns(must(open(netns, O_RDONLY | O_CLOEXEC), netns), CLONE_NEWNET), "setns");
	state = shared_page(&page);
	state[0] = 88172645463325252;
	if (!strcmp(pinned, "least"))
		next = least();
	else
		next = strcmp(pinned, "pass") ? must(bpf_obj_get(pinned), pinned) : pass();
	for (unsigned int i = 0; i < n_out; i++)
		count_at(sink[i]);
	int prog = draw(next);

	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned int ms;

		if (sscanf(line, "run %u", &ms) != 1)
			return 2;
		run(prog, ms);
	}
	return 0;
}
