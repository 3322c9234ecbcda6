/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VNET	   12 /* bytes of virtio-net header with num_buffers */
#define ETH	   14
#define IP	   20
#define FRAME_MOST 65000
#define HELLO_TYPE 0x88b5 /* for experiments: no protocol's */
#define HELLO	   60

#define BRIDGE_NF "/proc/sys/net/bridge/bridge-nf-call-iptables"
#define NO_IPV6	  "/proc/sys/net/ipv6/conf/default/disable_ipv6"

/* ---- devices ---- */

static int if_ioctl(unsigned long request, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = ioctl(fd, request, r) ? -errno : 0;
	close(fd);
	return err;
}

static int bring_up(const char *name)
{
	struct ifreq r = { 0 };
	int err;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	err = if_ioctl(SIOCGIFFLAGS, &r);
	r.ifr_flags |= IFF_UP;
	return err ? err : if_ioctl(SIOCSIFFLAGS, &r);
}

static int open_tap(const char *name, int *fd)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = VNET;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	*fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 || ioctl(*fd, TUNSETIFF, &r) || ioctl(*fd, TUNSETVNETHDRSZ, &size) ||
	    ioctl(*fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		return -errno;
	return bring_up(name);
}

static void device_name(const struct bench_side *side, unsigned int n, char name[IFNAMSIZ])
{
	snprintf(name, IFNAMSIZ, "%s%u", side->prefix, n % 100);
}

int bench_open(struct bench_side *side, const char *prefix)
{
	char name[IFNAMSIZ];
	int err = 0;

	snprintf(side->prefix, sizeof(side->prefix), "%s", prefix);
	for (unsigned int n = 0; n <= BENCH_RECEIVERS; n++)
		side->fd[n] = -1;
	for (unsigned int n = 0; n <= BENCH_RECEIVERS && !err; n++) {
		device_name(side, n, name);
		err = open_tap(name, &side->fd[n]);
	}
	return err;
}

void bench_close(struct bench_side *side)
{
	for (unsigned int n = 0; n <= BENCH_RECEIVERS; n++)
		if (side->fd[n] >= 0)
			close(side->fd[n]);
}

int bench_bridge(const struct bench_side *side, const char *name)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;
	char port[IFNAMSIZ];

	if (fd < 0)
		return -errno;
	err = ioctl(fd, SIOCBRADDBR, name) ? -errno : 0;
	close(fd);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	for (unsigned int n = 0; n <= BENCH_RECEIVERS && !err; n++) {
		device_name(side, n, port);
		r.ifr_ifindex = (int)if_nametoindex(port);
		err = if_ioctl(SIOCBRADDIF, &r);
	}
	return err ? err : bring_up(name);
}

/* ---- frames ---- */

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* Of an even number of bytes, folded. */
static uint32_t sum(const uint8_t *at, size_t len, uint32_t from)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		from += (uint32_t)at[i] << 8 | at[i + 1];
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

/* Station n has the last byte n in its addresses; n == 0 as a target: a group. */
static void put_addresses(uint8_t *f, unsigned int from, unsigned int to)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0, 0, 0 }, group[6] = { 1, 0, 0x5e, 0x7f, 0, 1 };

	memcpy(f, to ? mac : group, 6);
	if (to)
		f[5] = (uint8_t)to;
	memcpy(f + 6, mac, 6);
	f[11] = (uint8_t)from;
}

/* The virtio-net header and the frame, as a guest's driver hands them over; an even length. */
static void build(uint8_t *frame, const struct bench_work *w)
{
	uint8_t *f = frame + VNET, *ip = f + ETH, *l4 = ip + IP;
	uint32_t l4_len = w->len - ETH - IP, field = w->gso ? 16 : 6, pseudo;
	struct virtio_net_hdr h = { 0 };

	memset(frame, 0, VNET + w->len);
	put_addresses(f, 1, w->flood ? 0 : 2);
	put16(f + 12, 0x0800);
	memcpy(ip, (uint8_t[]){ 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, w->gso ? 6 : 17 }, 10);
	put16(ip + 2, w->len - ETH);
	memcpy(ip + 12, (uint8_t[]){ 198, 18, 0, 1, 198, 18, 0, 2 }, 8);
	put16(ip + 10, ~sum(ip, IP, 0));
	put16(l4, 1000);
	put16(l4 + 2, 2000);
	if (w->gso)
		memcpy(l4 + 12, (uint8_t[]){ 0x50, 0x10, 0xff, 0xff }, 4);
	else
		put16(l4 + 4, l4_len);
	pseudo = sum(ip + 12, 8, (w->gso ? 6 : 17) + l4_len);
	if (w->gso || w->unfinished) {
		h = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = ETH + IP,
					     .csum_offset = (uint16_t)field };
		put16(l4 + field, pseudo);
	} else {
		put16(l4 + field, ~sum(l4, l4_len, pseudo));
	}
	if (w->gso) {
		h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = (uint16_t)w->gso;
		h.hdr_len = ETH + IP + 20;
	}
	memcpy(frame, &h, sizeof(h));
}

int bench_greet(const struct bench_side *side)
{
	uint8_t hello[VNET + HELLO] = { 0 };

	put16(hello + VNET + 12, HELLO_TYPE);
	for (unsigned int n = 1; n <= BENCH_RECEIVERS; n++) {
		put_addresses(hello + VNET, n + 1, 1);
		if (write(side->fd[n], hello, sizeof(hello)) < 0)
			return -errno;
	}
	for (unsigned int n = 0; n <= BENCH_RECEIVERS; n++)
		while (read(side->fd[n], hello, sizeof(hello)) > 0)
			;
	return 0;
}

/* ---- running ---- */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What is not from the sender is the kernel's own chatter. */
static void drain(const struct bench_side *side, const uint8_t *frame, struct bench_result *out)
{
	static uint8_t got[VNET + FRAME_MOST];
	ssize_t len;

	for (unsigned int n = 1; n <= BENCH_RECEIVERS; n++)
		while ((len = read(side->fd[n], got, sizeof(got))) > 0) {
			if (len < VNET + ETH || memcmp(got + VNET + 6, frame + VNET + 6, 8) != 0)
				continue;
			out->received++;
			out->bytes += (uint64_t)len - VNET;
		}
}

int bench_run(const struct bench_side *side, const struct bench_work *work, unsigned int ms, struct bench_result *out)
{
	static uint8_t frame[VNET + FRAME_MOST];
	uint64_t end = now_ns(CLOCK_MONOTONIC) + (uint64_t)ms * 1000000, spent = 0;

	*out = (struct bench_result){ 0 };
	build(frame, work);
	while (now_ns(CLOCK_MONOTONIC) < end) {
		uint64_t from = now_ns(CLOCK_THREAD_CPUTIME_ID);

		for (uint32_t i = 0; i < work->burst; i++)
			if (write(side->fd[0], frame, VNET + work->len) < 0)
				return -errno;
		spent += now_ns(CLOCK_THREAD_CPUTIME_ID) - from;
		out->sent += work->burst * (work->flood ? BENCH_RECEIVERS : 1);
		drain(side, frame, out);
	}
	out->seconds = (double)spent / 1e9;
	return 0;
}

/* ---- where ---- */

static void write_byte(const char *path, char c)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* a kernel without that */
	if (write(fd, &c, 1) != 1)
		errno = 0; /* then it is as it was */
	close(fd);
}

int bench_isolate(void)
{
	char nf = 0;
	int fd = open(BRIDGE_NF, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &nf, 1) != 1)
		nf = 0;
	if (fd >= 0)
		close(fd);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) || mount("tmpfs", "/run", "tmpfs", 0, NULL))
		return -errno;
	write_byte(NO_IPV6, '1');
	if (nf)
		write_byte(BRIDGE_NF, nf); /* the bridge as it is on this machine */
	return 0;
}
