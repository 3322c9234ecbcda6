/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * redirect: the least that can forward, to measure against.  Everything from one device goes to another one, by XDP
 * (one array lookup, then the devmap), to several ones (`flood`: the devmap alone), or both ways by tc; or `pass`: XDP
 * that does nothing at all.  Until standard input ends.  `many`: what a port has, clsact with two filters and an XDP
 * link, on devices PREFIX0, PREFIX1, ..., at the commands `attach` and `detach` on standard input.
 */
#include "fact.h"

static void by_xdp(const char *in, uint32_t out)
{
	int devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0), ports = make_map(BPF_MAP_TYPE_ARRAY, 4, 1, 0);
	uint32_t zero = 0, one = 1;

	must(bpf_map_update_elem(ports, &zero, &one, 0), "port");
	must(devmap_set(devmap, 1, out), "entry");
	const struct bpf_insn insns[] = {
		STORE_IMM(BPF_W, 10, -4, 0), MAP(1, ports), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		JUMP_NE(0, 0, 1), EXIT,
		LOAD(BPF_W, 2, 0, 0), MAP(1, devmap), SET(3, XDP_DROP), CALL(redirect_map), EXIT,
	};

	must(attach_xdp(LOAD_PROG(BPF_PROG_TYPE_XDP, insns), in, XDP_FLAGS_DRV_MODE), "attach");
}

static void to_all(const char *in, char **out, int n)
{
	int devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 64, 0);

	for (int i = 0; i < n; i++)
		must(devmap_set(devmap, (uint32_t)i, ifindex(out[i])), "entry");
	const struct bpf_insn insns[] = {
		MAP(1, devmap), SET(2, 0), SET(3, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS), CALL(redirect_map), EXIT,
	};

	must(attach_xdp(LOAD_PROG(BPF_PROG_TYPE_XDP, insns), in, XDP_FLAGS_DRV_MODE), "attach");
}

static void by_tc(const char *in, const char *out)
{
	const struct bpf_insn insns[] = { SET(1, ifindex(out)), SET(2, 0), CALL(redirect), EXIT };

	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns), in, BPF_TC_INGRESS);
}

static void both_by_tc(const char *a, const char *b)
{
	by_tc(a, b);
	by_tc(b, a);
}

static void passing(const char *in)
{
	const struct bpf_insn insns[] = { SET(0, XDP_PASS), EXIT };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);

	must(attach_xdp(load_or_log(BPF_PROG_TYPE_XDP, insns, COUNT(insns), &opts), in, XDP_FLAGS_DRV_MODE), "attach");
}

static int passing_tc(void)
{
	const struct bpf_insn insns[] = { SET(0, 0), EXIT };

	return LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns);
}

static int passing_xdp(void)
{
	const struct bpf_insn insns[] = { SET(0, XDP_PASS), EXIT };

	return LOAD_PROG(BPF_PROG_TYPE_XDP, insns);
}

/* The bare links; by ifindex, as a loader has them from one dump. */
static void many(const char *prefix, unsigned int n)
{
	uint32_t *index = calloc(n, sizeof(*index));
	int *link = calloc(n, sizeof(*link)), tc = passing_tc(), xdp = passing_xdp();
	char name[IFNAMSIZ], line[16];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%.8s%u", prefix, i % 10000);
		index[i] = ifindex(name);
	}
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		for (unsigned int i = 0; i < n; i++) {
			LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index[i],
				    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
			LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);

			if (line[0] == 'd') {
				close(link[i]);
				must(bpf_tc_hook_destroy(&hook), "detach");
				continue;
			}
			must(bpf_tc_hook_create(&hook), "clsact");
			for (unsigned int end = 0; end < 2; end++) {
				LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = tc);

				hook.attach_point = end ? BPF_TC_EGRESS : BPF_TC_INGRESS;
				must(bpf_tc_attach(&hook, &filter), "filter");
			}
			link[i] = must(bpf_link_create(xdp, (int)index[i], BPF_XDP, &native), "XDP link");
		}
		printf("{}\n");
	}
	free(index);
	free(link);
}

int main(int argc, char **argv)
{
	if (argc < 5 || (argc > 5 && strcmp(argv[1], "flood") != 0)) {
		fprintf(stderr, "usage: redirect xdp|tc|pass NETNS IN OUT | flood NETNS IN OUT..."
				" | many NETNS PREFIX N\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(setns(must(open(argv[2], O_RDONLY | O_CLOEXEC), argv[2]), CLONE_NEWNET), "setns");
	if (!strcmp(argv[1], "many")) {
		many(argv[3], (unsigned int)atoi(argv[4]));
		return 0;
	}
	if (!strcmp(argv[1], "xdp"))
		by_xdp(argv[3], ifindex(argv[4]));
	else if (!strcmp(argv[1], "flood"))
		to_all(argv[3], argv + 4, argc - 4);
	else if (!strcmp(argv[1], "pass"))
		passing(argv[3]);
	else
		both_by_tc(argv[3], argv[4]);
	printf("ready\n");
	while (getchar() != EOF)
		;
	return 0;
}
