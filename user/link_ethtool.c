/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What only ioctl and socket options tell: ethtool features and queues, the namespace's cookie. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* More than the 64 bits of today's netdev_features_t, in words of 32 bits. */
#define FEATURE_WORDS 8

struct ethtool {
	int fd;
	char device[IFNAMSIZ];
};

static int open_ethtool(struct ethtool *e, const char *device)
{
	if (!device[0] || strlen(device) >= sizeof(e->device))
		return -ENODEV;
	memset(e->device, 0, sizeof(e->device));
	memcpy(e->device, device, strlen(device));
	e->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return e->fd < 0 ? -errno : 0;
}

/* >= 0: what the kernel answered (flags, for ETHTOOL_SFEATURES). */
static int ask(const struct ethtool *e, void *command)
{
	struct ifreq r = { .ifr_data = command };
	memcpy(r.ifr_name, e->device, sizeof(r.ifr_name));
	int ret = ioctl(e->fd, SIOCETHTOOL, &r);
	return ret < 0 ? -errno : ret;
}

static int count_features(const struct ethtool *e)
{
	union {
		struct ethtool_sset_info info;
		uint32_t room[5];
	} q = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	int ret = ask(e, &q);
	if (ret < 0)
		return ret;
	return q.info.sset_mask ? (int)q.room[sizeof(q.info) / sizeof(q.room[0])] : 0;
}

/* The bit number of a feature, -EOPNOTSUPP when this kernel has none of that name. */
static int find_feature(const struct ethtool *e, const char *feature)
{
	int n = count_features(e);
	if (n <= 0)
		return n ? n : -EOPNOTSUPP;
	struct ethtool_gstrings *s = calloc(1, sizeof(*s) + (size_t)n * ETH_GSTRING_LEN);
	if (!s)
		return -ENOMEM;
	s->cmd = ETHTOOL_GSTRINGS;
	s->string_set = ETH_SS_FEATURES;
	s->len = (uint32_t)n;
	int ret = ask(e, s);
	for (int i = 0; ret == 0 && i < n; i++) {
		if (!strncmp((const char *)s->data + (size_t)i * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN)) {
			free(s);
			return i < 32 * FEATURE_WORDS ? i : -EOPNOTSUPP;
		}
	}
	free(s);
	return ret < 0 ? ret : -EOPNOTSUPP;
}

static int get_bit(const struct ethtool *e, int bit, bool *on)
{
	union {
		struct ethtool_gfeatures f;
		uint32_t room[2 + 4 * FEATURE_WORDS];
	} q = { .f = { .cmd = ETHTOOL_GFEATURES, .size = FEATURE_WORDS } };
	int ret = ask(e, &q);
	if (ret < 0)
		return ret;
	*on = q.f.features[bit / 32].active >> (bit % 32) & 1;
	return 0;
}

/*
 * The kernel wants exactly as many words as it has, and bits of none that it does not know.
 * ETHTOOL_F_UNSUPPORTED: fixed. ETHTOOL_F_WISH: wanted, but something else keeps it as it was.
 */
static int set_bit(const struct ethtool *e, int bit, bool on)
{
	union {
		struct ethtool_sfeatures f;
		uint32_t room[2 + 2 * FEATURE_WORDS];
	} q = { .f = { .cmd = ETHTOOL_SFEATURES } };
	int n = count_features(e);
	if (n < 0)
		return n;
	q.f.size = ((uint32_t)n + 31) / 32;
	q.f.features[bit / 32].valid = 1U << (bit % 32);
	q.f.features[bit / 32].requested = on ? 1U << (bit % 32) : 0;
	int ret = ask(e, &q);
	if (ret > 0)
		return -EOPNOTSUPP;
	return ret;
}

int link_get_feature(const char *device, const char *feature, bool *on)
{
	struct ethtool e;
	int ret = open_ethtool(&e, device);
	if (ret)
		return ret;
	ret = find_feature(&e, feature);
	if (ret >= 0)
		ret = get_bit(&e, ret, on);
	close(e.fd);
	return ret;
}

int link_set_feature(const char *device, const char *feature, bool on)
{
	struct ethtool e;
	bool is = false;
	int ret = open_ethtool(&e, device);
	if (ret)
		return ret;
	int bit = find_feature(&e, feature);
	ret = bit < 0 ? bit : get_bit(&e, bit, &is);
	if (!ret && is != on) {
		ret = set_bit(&e, bit, on);
		/* A wish that was not granted would come true later, by itself. */
		if (ret)
			(void)set_bit(&e, bit, is);
	}
	close(e.fd);
	return ret;
}

int link_get_queues(const char *device, uint32_t *rx, uint32_t *tx)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	struct ethtool e;
	int ret = open_ethtool(&e, device);
	if (ret)
		return ret;
	ret = ask(&e, &c);
	if (!ret) {
		*rx = c.rx_count + c.combined_count;
		*tx = c.tx_count + c.combined_count;
	}
	close(e.fd);
	return ret;
}

int link_netns_cookie(uint64_t *out)
{
	socklen_t len = sizeof(*out);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int ret = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, out, &len) ? -errno : 0;
	close(fd);
	return ret;
}
