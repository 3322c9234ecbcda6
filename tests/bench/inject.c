/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * inject: frames as a NIC's driver hands them to XDP, without a NIC.  BPF_PROG_TEST_RUN with live frames runs a program
 * on pages that then are redirected, or become socket buffers, for good.  A first program writes the Ethernet header,
 * with addresses at random out of a number of them, and goes on to the one under test: the plane's, the least redirect,
 * or XDP_PASS (then whatever is behind the device forwards, if only the least tc program).  At the sink a program
 * counts what arrives and drops it.
 *
 * A call of BPF_PROG_TEST_RUN waits for RCU twice, 10 to 40 ms in which no frame moves, so one call makes all frames of
 * a measurement, and what counts is CPU time: what a thread sends is forwarded on its CPU, by itself or, when that has
 * become too much for it, by that CPU's ksoftirqd.  `wall` is the time from the first frame to the last one at a sink.
 *
 * Commands on standard input: `run MILLISECONDS`; each is answered by one line of JSON.
 */
#include "cputime.h"
#include "fact.h"

#include <sys/prctl.h>
#include <pthread.h>
#include <signal.h>

#define BATCH 64
#define REPEAT_LEAST (256 * BATCH)
#define OUT_MOST 1024
#define MACS_MOST 65536
#define FRAME_MOST 3400
#define HEADER 48 /* Ethernet, a tag, IP and UDP: what a program may have changed when a page comes again */
#define TEMPLATE 4032 /* in the page: the header; before it a slot of 64 bytes for each CPU */

/* Where in a CPU's slot: */
enum slot { ARRIVED, FIRST_SENT, LAST_ARRIVED, DRAWN, SLOT_WORDS = 8 };

static const char *in, *pinned;
static char out[OUT_MOST][IFNAMSIZ], sink[OUT_MOST][IFNAMSIZ];
static unsigned int n_out, macs = 1, sources = 1, len = 60, threads = 1, first_tag;
static bool tc_sink, unfinished;
static volatile uint64_t *page_words;
static int page, prog;
static double rate = 100; /* frames a millisecond and thread, as seen last */

/* As libbpf loads the plane's program: an array of programs to go on to wants all alike. */
static int frags(const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS, .expected_attach_type = BPF_XDP);

	return load_or_log(BPF_PROG_TYPE_XDP, insns, n, &opts);
}

static int out_ports(bool by_ifindex)
{
	int ports = make_map(BPF_MAP_TYPE_ARRAY, 4, macs, 0);

	for (uint32_t i = 0; i < macs; i++) {
		uint32_t value = by_ifindex ? ifindex(out[i % n_out]) : i % n_out;

		must(bpf_map_update_elem(ports, &i, &value, 0), "port");
	}
	return ports;
}

/* r7 = this CPU's slot; destroys r0 to r5. */
#define SLOT                                                                                                           \
	CALL(get_smp_processor_id), INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, 31),                            \
		INSN(BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_0, 0, 0, 6), MAP_VALUE(7, page, 0),                          \
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_7, BPF_REG_0, 0, 0)

/* The least: which port, by an array; then the devmap. Out ports in turn of the destination drawn before. */
static int least(void)
{
	int devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, OUT_MOST, 0), ports = out_ports(false);

	for (uint32_t i = 0; i < n_out; i++)
		must(devmap_set(devmap, i, ifindex(out[i])), "entry");
	const struct bpf_insn insns[] = {
		SLOT, LOAD(BPF_DW, 1, 7, 8 * DRAWN),
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

/* The least by tc: which device, by an array of the destination's last two bytes; frames passed come in batches. */
static void least_tc(void)
{
	int devices = out_ports(true);
	const struct bpf_insn insns[] = {
		LOAD(BPF_W, 2, 1, offsetof(struct __sk_buff, data)),
		LOAD(BPF_W, 3, 1, offsetof(struct __sk_buff, data_end)), MOVE(4, 2), ADD(4, 14), SET(0, 2),
		INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_4, BPF_REG_3, 13, 0),
		LOAD(BPF_H, 1, 2, 4), INSN(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_1, 0, 0, 16),
		STORE(BPF_W, 10, -4, 1), MAP(1, devices), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		JUMP_NE(0, 0, 1), EXIT,
		LOAD(BPF_W, 1, 0, 0), SET(2, 0), CALL(redirect), EXIT,
	};

	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns), in, BPF_TC_INGRESS);
}

#define COPY(size, at) LOAD(size, 1, 5, at), STORE(size, 3, at, 1)

/*
 * Write addresses 52:54:00:01:HH:LL and 52:54:00:02:HH:LL drawn, and go on to the one under test; the rest of the
 * headers only if that changes them.  All in pieces as they are read: a word that was just written in other pieces
 * would be waited for, as no NIC's is.
 */
static int draw(int next)
{
	int programs = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 1, 0), made;
	int16_t skip = first_tag || unfinished ? 0 : 10;
	uint32_t zero = 0;

	const struct bpf_insn insns[] = {
		MOVE(6, 1), SLOT, LOAD(BPF_DW, 1, 7, 8 * FIRST_SENT), JUMP_NE(1, 0, 2),
		CALL(ktime_get_ns), STORE(BPF_DW, 7, 8 * FIRST_SENT, 0),
		CALL(get_prandom_u32), MOVE(2, 0), INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, macs - 1),
		STORE(BPF_DW, 7, 8 * DRAWN, 2),
		LOAD(BPF_W, 3, 6, 0), LOAD(BPF_W, 4, 6, 4), MOVE(5, 3), ADD(5, HEADER),
		INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_5, BPF_REG_4, 28, 0),
		MAP_VALUE(5, page, TEMPLATE), COPY(BPF_W, 0), COPY(BPF_W, 6),
		JUMP_NE(3, 0, skip), /* it is never 0 */
		COPY(BPF_W, 12), COPY(BPF_DW, 16), COPY(BPF_DW, 24), COPY(BPF_DW, 32), COPY(BPF_DW, 40),
		INSN(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_2, 0, 0, 16), STORE(BPF_H, 3, 4, 2),
		INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_0, 0, 0, 16),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, sources - 1),
		INSN(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_0, 0, 0, 16), STORE(BPF_H, 3, 10, 0),
		MOVE(1, 6), MAP(2, programs), SET(3, 0), CALL(tail_call),
		SET(0, XDP_ABORTED), EXIT,
	};
	made = frags(insns, COUNT(insns));
	must(bpf_map_update_elem(programs, &zero, &next, 0), "tail call");
	return made;
}

static void count_at(const char *device)
{
	static int counter;
	int verdict = tc_sink ? 2 /* TC_ACT_SHOT */ : XDP_DROP;
	const struct bpf_insn insns[] = {
		SLOT, LOAD(BPF_DW, 6, 7, 8 * ARRIVED), ADD(6, 1), STORE(BPF_DW, 7, 8 * ARRIVED, 6), MOVE(1, 6),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, BATCH - 1), JUMP_NE(1, 0, 2),
		CALL(ktime_get_ns), STORE(BPF_DW, 7, 8 * LAST_ARRIVED, 0),
		SET(0, verdict), EXIT,
	};

	if (!counter)
		counter = tc_sink ? LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns) : frags(insns, COUNT(insns));
	if (tc_sink)
		attach_tc(counter, device, BPF_TC_INGRESS);
	else
		must(attach_xdp(counter, device, XDP_FLAGS_DRV_MODE), "attach to the sink");
}

/* UDP over zeros; its checksum is the same whatever the addresses of the Ethernet header are. */
static void build(uint8_t frame[FRAME_MOST])
{
	static const uint8_t macs_at_start[] = { 0x52, 0x54, 0, 1, 0, 0, 0x52, 0x54, 0, 2, 0, 0 };
	static const uint8_t start[] = {
		0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2, /* IP */
		0x03, 0xe8, 0x07, 0xd0, /* UDP */
	};
	unsigned int tag = first_tag ? 4 : 0;
	uint32_t l4 = len - tag - 34, ip_sum = 0, udp_sum = 17 + l4;
	uint8_t *f = frame + tag; /* what follows the addresses, as if there were no tag */

	memset(frame, 0, FRAME_MOST); /* its checksums of the last run are no part of the sums */
	memcpy(frame, macs_at_start, sizeof(macs_at_start));
	if (tag)
		memcpy(frame + 12, (uint8_t[]){ 0x81, 0, (uint8_t)(first_tag >> 8), (uint8_t)first_tag }, 4);
	memcpy(f + 12, start, sizeof(start));
	f[16] = (uint8_t)((l4 + 20) >> 8);
	f[17] = (uint8_t)(l4 + 20);
	f[38] = (uint8_t)(l4 >> 8);
	f[39] = (uint8_t)l4;
	for (unsigned int i = 14; i < 34; i += 2)
		ip_sum += (uint32_t)f[i] << 8 | f[i + 1];
	for (unsigned int i = 26; i < (unfinished ? 34 : 42); i += 2)
		udp_sum += (uint32_t)f[i] << 8 | f[i + 1];
	ip_sum = ~((ip_sum & 0xffff) + (ip_sum >> 16));
	udp_sum = (udp_sum & 0xffff) + (udp_sum >> 16);
	if (!unfinished)
		udp_sum = ~udp_sum;
	f[24] = (uint8_t)(ip_sum >> 8);
	f[25] = (uint8_t)ip_sum;
	f[40] = (uint8_t)(udp_sum >> 8);
	f[41] = (uint8_t)udp_sum;
}

struct sender {
	pthread_t thread;
	unsigned int cpu;
	uint64_t took; /* ns of this thread */
	uint32_t repeat;
	uint8_t *frame;
};

static void *send_all(void *arg)
{
	struct sender *s = arg;
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex(in) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = s->frame, .data_size_in = len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = (int)s->repeat, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = BATCH);

	must(stay_on(s->cpu), "CPU");
	s->took = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	must(bpf_prog_test_run_opts(prog, &opts), "live frames");
	s->took = clock_ns(CLOCK_THREAD_CPUTIME_ID) - s->took;
	return NULL;
}

static uint64_t arrived(void)
{
	uint64_t sum = 0;

	for (unsigned int c = 0; c < CPUS_MOST; c++)
		sum += page_words[c * SLOT_WORDS + ARRIVED];
	return sum;
}

/* What a queue still held when the last one was sent is on its way. */
static void settle(void)
{
	uint64_t before, now = arrived();

	do {
		before = now;
		sleep_ms(5);
		now = arrived();
	} while (now != before);
}

/* Seconds from the first frame sent to the last one counted. */
static double wall(void)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (unsigned int c = 0; c < CPUS_MOST; c++) {
		const volatile uint64_t *slot = page_words + (size_t)c * SLOT_WORDS;

		if (slot[FIRST_SENT] && slot[FIRST_SENT] < first)
			first = slot[FIRST_SENT];
		if (slot[LAST_ARRIVED] > last)
			last = slot[LAST_ARRIVED];
	}
	return last > first ? (double)(last - first) / 1e9 : 0;
}

static void run(unsigned int ms)
{
	static uint8_t frame[FRAME_MOST];
	struct sender senders[CPUS_MOST];
	double want = rate * ms;
	uint64_t ns, late;
	uint32_t repeat = want < REPEAT_LEAST ? REPEAT_LEAST : (uint32_t)want;

	build(frame);
	memset((void *)page_words, 0, TEMPLATE);
	memcpy((uint8_t *)page_words + TEMPLATE, frame, HEADER);
	late = ksoftirqd_ns(threads);
	for (unsigned int t = 0; t < threads; t++) {
		senders[t] = (struct sender){ .cpu = t, .repeat = repeat, .frame = frame };
		must(-pthread_create(&senders[t].thread, NULL, send_all, &senders[t]), "thread");
	}
	for (unsigned int t = 0; t < threads; t++)
		pthread_join(senders[t].thread, NULL);
	settle();
	ns = late = ksoftirqd_ns(threads) - late;
	for (unsigned int t = 0; t < threads; t++)
		ns += senders[t].took;
	ns = ns / threads + 1;
	/* By what was sent: a peer that loses most must not be given less and less to do. */
	rate = (double)repeat * 1e6 / (double)ns;
	printf("{\"sent\": %lu, \"received\": %lu, \"seconds\": %.6f, \"ksoftirqd\": %.6f, \"wall\": %.6f}\n",
	       (uint64_t)repeat * threads, arrived(), (double)ns / 1e9, (double)late / 1e9, wall());
}

static void usage(void)
{
	fprintf(stderr, "usage: inject -n NETNS -i IN -o OUT -s SINK [-N OUTS] [-M MACS] [-S SOURCES] [-l LEN]"
			" [-T THREADS] [-V TAG] [-t] [-u] least|least-tc|pass|PINNED\n"
			"OUTS: the devices are OUT0 SINK0, OUT1 SINK1 and so on; -t: sinks by tc; -u: unfinished"
			" checksums\n");
	exit(2);
}

static bool power_of_two(unsigned int n, unsigned int most)
{
	return n && !(n & (n - 1)) && n <= most;
}

static void parse(int argc, char **argv, const char **netns)
{
	const char *outs = NULL, *sinks = NULL;
	int c;

	n_out = 1;
	while ((c = getopt(argc, argv, "n:i:o:s:N:M:S:l:T:V:tu")) != -1)
		switch (c) {
		case 'n': *netns = optarg; break;
		case 'i': in = optarg; break;
		case 'o': outs = optarg; break;
		case 's': sinks = optarg; break;
		case 'N': n_out = (unsigned int)atoi(optarg); break;
		case 'M': macs = (unsigned int)atoi(optarg); break;
		case 'S': sources = (unsigned int)atoi(optarg); break;
		case 'l': len = (unsigned int)atoi(optarg); break;
		case 'T': threads = (unsigned int)atoi(optarg); break;
		case 'V': first_tag = (unsigned int)atoi(optarg); break;
		case 't': tc_sink = true; break;
		case 'u': unfinished = true; break;
		default: usage();
		}
	if (!*netns || !in || !outs || !sinks || !n_out || n_out > OUT_MOST || optind != argc - 1 || !threads ||
	    threads > CPUS_MOST || !power_of_two(macs, MACS_MOST) || !power_of_two(sources, MACS_MOST) ||
	    len > FRAME_MOST || len < 60)
		usage();
	for (unsigned int i = 0; i < n_out; i++) {
		snprintf(out[i], IFNAMSIZ, "%.8s%u", outs, i % OUT_MOST);
		snprintf(sink[i], IFNAMSIZ, "%.8s%u", sinks, i % OUT_MOST);
	}
	pinned = argv[optind];
}

/* The program under test. */
static int tested(void)
{
	if (!strcmp(pinned, "least"))
		return least();
	if (!strcmp(pinned, "least-tc"))
		least_tc();
	else if (strcmp(pinned, "pass"))
		return must(bpf_obj_get(pinned), pinned);
	return pass();
}

int main(int argc, char **argv)
{
	const char *netns = NULL;
	char line[64];

	parse(argc, argv, &netns);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(setns(must(open(netns, O_RDONLY | O_CLOEXEC), netns), CLONE_NEWNET), "setns");
	page_words = shared_page(&page);
	for (unsigned int i = 0; i < n_out; i++)
		count_at(sink[i]);
	prog = draw(tested());
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned int ms;

		if (sscanf(line, "run %u", &ms) != 1)
			return 2;
		run(ms);
	}
	return 0;
}
