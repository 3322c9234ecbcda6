/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * VM configurations of QNX Hypervisor: the virtio-net vdevs of several guests become one plane. A link is complete when
 * each end's peer is the other's published path, /dev/qvm/SYSTEM/NAME; any other path is an end of the host's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "value.h"

#define GUESTS_TOP   "/dev/qvm/"
#define FEATURES_MAX 0x7fc3U

struct end {
	const char *system, *name, *peer, *tap;
	const char *path; /* what it publishes */
	struct span at, name_at, peer_at, mac_at, feats_at, tap_at;
	struct mac mac;
	bool has_mac, has_feats, legacy;
	uint32_t feats;
	struct span mode_at;
	size_t number;				   /* of the unnamed ones in its system */
	struct end *other;			   /* the other end of a complete link */
	char port[VP_NAME_LEN], host[VP_NAME_LEN]; /* "" = no end of the host's */
};

struct qvm {
	struct end *ends;
	size_t n_ends;
	const char *system; /* of the lines that follow; NULL = not said yet */
	size_t first;	    /* end of this system */
	bool in_vdev;
};

/* ---- reading ---- */

enum option {
	OPT_INTR,
	OPT_LOC,
	OPT_MAC,
	OPT_NAME,
	OPT_PEER,
	OPT_FEATS,
	OPT_TAP,
	OPT_MODE,
	OPT_LEGACY,
	OPT_COUNT
};

static const char *const words[OPT_COUNT] = { "intr",	   "loc",    "mac",	  "name",  "peer",
					      "peerfeats", "tapdev", "bind-mode", "legacy" };

static struct span whole(const struct word *w)
{
	return word_span(w, 0, w->len);
}

static void add_end(struct import *im, const struct word *type)
{
	struct qvm *q = im->qvm;
	struct span at = whole(type);
	struct end *ends;

	q->in_vdev = false;
	if (q->n_ends >= IMPORT_MAX_LINKS) {
		import_fault(im, &at, "vdev", "is one of more than %d; a plane can't have so many ports",
			     IMPORT_MAX_LINKS);
		return;
	}
	ends = import_grow(im, q->ends, q->n_ends, sizeof(*ends));
	if (!ends)
		return;
	q->ends = ends;
	ends[q->n_ends++] = (struct end){ .system = q->system, .at = at };
	q->in_vdev = true;
}

static bool twice(struct import *im, const struct span *before, const struct word *key)
{
	struct span at = whole(key);

	if (!before->src)
		return false;
	import_fault(im, &at, key->text, "is given twice for one vdev");
	return true;
}

static void set_mac(struct import *im, struct end *e, const struct word *w)
{
	const char *why = import_mac(w->text, &e->mac);

	e->mac_at = whole(w);
	e->has_mac = !why;
	if (why)
		import_fault(im, &e->mac_at, "mac", "\"%s\" %s", w->text, why);
}

static void set_peer(struct import *im, struct end *e, const struct word *w)
{
	e->peer_at = whole(w);
	if (w->text[0] != '/')
		import_fault(im, &e->peer_at, "peer", "%s is no absolute path; it must begin with /", w->text);
	e->peer = w->text;
}

static void set_feats(struct import *im, struct end *e, const struct word *w)
{
	const char *digits = !strncmp(w->text, "0x", 2) || !strncmp(w->text, "0X", 2) ? w->text + 2 : w->text;
	int base = digits == w->text ? 10 : 16;
	size_t n = strlen(digits);

	e->feats_at = whole(w);
	e->has_feats = n && n <= 8 && strspn(digits, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") == n;
	if (!e->has_feats)
		import_fault(im, &e->feats_at, "peerfeats", "\"%s\" is no mask such as 0x3", w->text);
	else
		e->feats = (uint32_t)strtoul(digits, NULL, base);
}

static void set_option(struct import *im, struct end *e, enum option o, const struct word *key,
		       const struct word *value)
{
	if (o == OPT_MAC && !twice(im, &e->mac_at, key))
		set_mac(im, e, value);
	if (o == OPT_PEER && !twice(im, &e->peer_at, key))
		set_peer(im, e, value);
	if (o == OPT_FEATS && !twice(im, &e->feats_at, key))
		set_feats(im, e, value);
	if (o == OPT_NAME && !twice(im, &e->name_at, key)) {
		e->name_at = whole(value);
		e->name = value->text;
		if (strchr(value->text, '/'))
			import_fault(im, &e->name_at, "name", "%s is no name of a vdev: it has a slash", value->text);
	}
	if (o == OPT_TAP && !twice(im, &e->tap_at, key)) {
		e->tap_at = whole(value);
		e->tap = value->text;
	}
	if (o == OPT_MODE)
		e->mode_at = whole(value);
}

static bool one_slip(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), i, j;

	for (i = 0; i < n && i < m && a[i] == b[i]; i++)
		;
	for (j = 0; j < n - i && j < m - i && a[n - 1 - j] == b[m - 1 - j]; j++)
		;
	if (n == m && i + 2 + j == n && a[i] == b[i + 1] && a[i + 1] == b[i])
		return true;
	return n - i - j <= 1 && m - i - j <= 1;
}

/* A line inside a virtio-net vdev; a word that is none of its options ends it. */
static void read_option(struct import *im, const struct word *w, size_t n)
{
	struct qvm *q = im->qvm;
	struct end *e = &q->ends[q->n_ends - 1];
	struct span at = whole(&w[0]);
	int i;

	for (i = 0; i < OPT_COUNT && strcmp(words[i], w[0].text) != 0; i++)
		;
	if (i == OPT_LEGACY) {
		e->legacy = true;
		return;
	}
	if (i < OPT_COUNT && n < 2) {
		import_fault(im, &at, w[0].text, "has no value");
		return;
	}
	if (i < OPT_COUNT) {
		set_option(im, e, (enum option)i, &w[0], &w[1]);
		return;
	}
	q->in_vdev = false;
	for (i = 0; i < OPT_COUNT; i++)
		if (one_slip(w[0].text, words[i]))
			import_fault(im, &at, "vdev", "\"%s\" is no option of a virtio-net vdev; did you mean \"%s\"?",
				     w[0].text, words[i]);
}

/* `system` may stand behind the vdevs of its file. */
static void set_system(struct import *im, const struct word *w)
{
	struct qvm *q = im->qvm;
	struct span at = whole(w);
	size_t i;

	if (strchr(w->text, '/'))
		import_fault(im, &at, "system", "%s is no name of a guest: it has a slash", w->text);
	for (i = q->first; i < q->n_ends; i++)
		if (!q->ends[i].system)
			q->ends[i].system = w->text;
	q->system = w->text;
	q->in_vdev = false;
}

static void read_line(struct import *im, const struct word *w, size_t n)
{
	struct qvm *q = im->qvm;
	struct span at = n ? whole(&w[0]) : (struct span){ 0 };

	if (!n)
		return;
	if (!strcmp(w[0].text, "system") && n > 1) {
		set_system(im, &w[1]);
	} else if (!strcmp(w[0].text, "system")) {
		import_fault(im, &at, "system", "has no name");
	} else if (!strcmp(w[0].text, "vdev")) {
		q->in_vdev = false;
		if (n > 1 && (!strcmp(w[1].text, "virtio-net") || !strcmp(w[1].text, "vdev-virtio-net")))
			add_end(im, &w[1]);
		if (q->in_vdev && n > 2)
			read_option(im, w + 2, n - 2);
	} else if (q->in_vdev) {
		read_option(im, w, n);
	}
}

void qvm_read(struct import *im, const struct words *list)
{
	size_t i, start = 0;
	struct qvm *q;

	if (!im->qvm && !(im->qvm = calloc(1, sizeof(*im->qvm)))) {
		im->no_memory = true;
		return;
	}
	q = im->qvm;
	q->system = NULL;
	q->first = q->n_ends;
	q->in_vdev = false;
	for (i = 0; i < list->n && !im->no_memory; i++) {
		if (!list->w[i].ends)
			continue;
		read_line(im, list->w + start, i - start);
		start = i + 1;
	}
	for (i = q->first; i < q->n_ends; i++)
		if (!q->ends[i].system) {
			import_fault(im, &q->ends[i].at, "vdev",
				     "the file has no `system` line, and without it this end has no path");
			break;
		}
	if (q->first == q->n_ends && list->n)
		import_warn(im, &(struct span){ .src = list->w[0].src }, "input", "has no virtio-net vdev");
}

void qvm_free(struct import *im)
{
	if (im->qvm)
		free(im->qvm->ends);
	free(im->qvm);
	im->qvm = NULL;
}

/* ---- links ---- */

static void publish(struct import *im, struct end *e, size_t unnamed)
{
	char path[512];

	if (e->name)
		snprintf(path, sizeof(path), GUESTS_TOP "%.200s/%.200s", e->system, e->name);
	else
		snprintf(path, sizeof(path), GUESTS_TOP "%.200s/virtio-net_%zu", e->system, unnamed);
	e->path = import_keep(im, path, strlen(path));
	if (!e->name)
		import_warn(im, &e->at, "vdev", "has no name; %s is taken for its path", path);
}

static void publish_all(struct import *im)
{
	struct qvm *q = im->qvm;
	char place[IMPORT_PLACE];
	size_t i, j;

	for (i = 0; i < q->n_ends; i++) {
		struct end *e = &q->ends[i];
		size_t unnamed = 0;

		for (j = 0; j < i; j++)
			unnamed += !q->ends[j].name && q->ends[j].at.src == e->at.src &&
				   !strcmp(q->ends[j].system, e->system);
		publish(im, e, unnamed);
		for (j = 0; j < i; j++)
			if (!strcmp(q->ends[j].path, e->path))
				import_fault(im, e->name_at.src ? &e->name_at : &e->at, "name",
					     "%s is already the path of another vdev (%s)", e->path,
					     import_place(&q->ends[j].at, place));
	}
}

static struct end *end_at(struct qvm *q, const char *path)
{
	size_t i;

	for (i = 0; i < q->n_ends; i++)
		if (!strcmp(q->ends[i].path, path))
			return &q->ends[i];
	return NULL;
}

/* Another end that claims the same peer, NULL = none. */
static const struct end *rival(const struct qvm *q, const struct end *e)
{
	size_t i;

	for (i = 0; i < q->n_ends; i++)
		if (&q->ends[i] != e && q->ends[i].peer && !strcmp(q->ends[i].peer, e->peer))
			return &q->ends[i];
	return NULL;
}

static void dangling(struct import *im, const struct end *e, const char *why)
{
	im->partial = true;
	import_warn(im, e->peer_at.src ? &e->peer_at : &e->at, "link", "dangling: %s is not connected: %s", e->path,
		    why);
	import_head(im, "not connected: %s: %s", e->path, why);
}

static void join_guests(struct import *im, struct end *e, struct end *o)
{
	const struct end *r = rival(im->qvm, e);
	char place[IMPORT_PLACE];

	if (!o->peer) {
		dangling(im, e, "its peer names no peer itself");
	} else if (!strcmp(o->peer, e->path)) {
		e->other = o;
	} else if (r) {
		import_fault(im, &e->peer_at, "link", "doubled: %s claims %s, and so does %s (%s); its own peer is %s",
			     e->path, o->path, r->path, import_place(&r->peer_at, place), o->peer);
	} else {
		import_fault(im, &e->peer_at, "link", "crossed: the peer of %s is %s, but the peer of that is %s (%s)",
			     e->path, o->path, o->peer, import_place(&o->peer_at, place));
	}
}

static void join_host(struct import *im, struct end *e)
{
	const struct end *r = rival(im->qvm, e);
	char place[IMPORT_PLACE];

	if (!strncmp(e->peer, GUESTS_TOP, strlen(GUESTS_TOP)))
		dangling(im, e, "its peer is in none of the files");
	else if (r && r < e)
		import_fault(im, &e->peer_at, "link", "doubled: %s and %s (%s) both claim %s", e->path, r->path,
			     import_place(&r->peer_at, place), e->peer);
}

static void join_all(struct import *im)
{
	struct qvm *q = im->qvm;
	struct end *o;
	size_t i;

	for (i = 0; i < q->n_ends; i++) {
		struct end *e = &q->ends[i];

		if (!e->peer) {
			if (!e->tap)
				dangling(im, e, "it has no peer");
			continue;
		}
		o = end_at(q, e->peer);
		if (o == e)
			import_fault(im, &e->peer_at, "link", "self: %s is its own peer", e->path);
		else if (o)
			join_guests(im, e, o);
		else
			join_host(im, e);
	}
}

/* ---- features ---- */

static const char *feature_names(uint32_t mask, char *buf, size_t size)
{
	static const char *const names[] = {
		"CSUM",	      "GUEST_CSUM", "CTRL_GUEST_OFFLOADS", "MTU",	NULL,	     "MAC",	  "GSO",
		"GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN",	   "GUEST_UFO", "HOST_TSO4", "HOST_TSO6", "HOST_ECN",
		"HOST_UFO",   "MRG_RXBUF"
	};
	size_t n = 0;
	int bit;

	snprintf(buf, size, "none");
	for (bit = 0; bit < 32 && n < size; bit++) {
		if (!(mask >> bit & 1))
			continue;
		if (bit < 16 && names[bit])
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? " " : "", names[bit]);
		else
			n += (size_t)snprintf(buf + n, size - n, "%sbit %d", n ? " " : "", bit);
	}
	return buf;
}

static void tell_features(struct import *im, const struct end *e)
{
	char names[400];

	if (!e->has_feats)
		return;
	import_head(im, "%s: peerfeats 0x%x (%s): not needed, no end has to know what the other can do", e->path,
		    e->feats, feature_names(e->feats, names, sizeof(names)));
	if (e->feats & ~FEATURES_MAX)
		import_warn(im, &e->feats_at, "peerfeats", "%s: beyond 0x%x, the most that is documented",
			    feature_names(e->feats & ~FEATURES_MAX, names, sizeof(names)), FEATURES_MAX);
	if (e->other && e < e->other && e->feats != (e->other->has_feats ? e->other->feats : 0))
		import_warn(im, &e->feats_at, "peerfeats", "the other end, %s, has another mask (0x%x)", e->other->path,
			    e->other->has_feats ? e->other->feats : 0);
}

static void tell_rest(struct import *im, const struct end *e)
{
	char place[IMPORT_PLACE];

	tell_features(im, e);
	if (e->legacy)
		import_head(im, "%s: legacy is left out: the length of the virtio header is settled by VMM and TAP",
			    e->path);
	if (e->mode_at.src)
		import_head(im, "%s: bind-mode (%s) is left out: who may open the TAP is said when the TAP is made",
			    e->path, import_place(&e->mode_at, place));
}

/* ---- the plane ---- */

static void host_name(const struct import *im, const char *path, char out[VP_NAME_LEN])
{
	const char *slash = strrchr(path, '/');
	char device[VP_NAME_LEN];

	import_guest_name(im, slash ? slash + 1 : path, device);
	snprintf(out, VP_NAME_LEN, "%.13s", device);
	if (model_port(&im->m, out)) /* cut to a name that is taken: the digits of its hash instead of its end */
		snprintf(out, VP_NAME_LEN, "%.8s%s", device, device + strlen(device) - 5);
}

static void add_host(struct import *im, struct end *e)
{
	char place[IMPORT_PLACE];
	struct port p;

	port_init(&p, VP_KIND_HOST);
	host_name(im, e->peer, p.name);
	snprintf(p.device, sizeof(p.device), "%.15s", p.name);
	p.mac_auto = true;
	memcpy(e->host, p.name, sizeof(e->host));
	import_note(im, NOTE_PORT, p.name, "name", "the end of the peer path, %s", import_place(&e->peer_at, place));
	import_note(im, NOTE_PORT, p.name, "kind", "the path is no guest's");
	import_alias(im, &p, e->peer, &e->peer_at, "peer");
	import_note(im, NOTE_PORT, p.name, "mac", "not in a VM's configuration: the same after every restart");
	import_port(im, &p, &e->peer_at);
}

static void add_guest(struct import *im, struct end *e)
{
	char place[IMPORT_PLACE];
	struct port p;

	port_init(&p, VP_KIND_GUEST);
	import_guest_name(im, e->path, p.name);
	memcpy(e->port, p.name, sizeof(e->port));
	import_note(im, NOTE_PORT, p.name, "name", "system %s, name %s, %s", e->system, e->name ? e->name : "(none)",
		    import_place(&e->at, place));
	if (e->tap && !value_device(e->tap)) {
		snprintf(p.device, sizeof(p.device), "%s", e->tap);
		import_note(im, NOTE_PORT, p.name, "device", "tapdev, %s", import_place(&e->tap_at, place));
	} else {
		import_note(im, NOTE_PORT, p.name, "device", "%s", import_device(im, e->path, p.name, p.device));
	}
	import_alias(im, &p, e->path, &e->at, "what this end publishes");
	if (e->has_mac && port_add_mac(&p, &e->mac))
		im->no_memory = true;
	if (e->has_mac)
		import_note(im, NOTE_PORT, p.name, "mac", "mac, %s: this guest sends from no other address",
			    import_place(&e->mac_at, place));
	import_port(im, &p, e->has_mac ? &e->mac_at : &e->at);
	tell_rest(im, e);
}

static void bind(struct import *im, const struct end *e, const char *other)
{
	char place[IMPORT_PLACE];

	import_note(im, NOTE_BINDING, e->port, "", "peer, %s", import_place(&e->peer_at, place));
	if (e->other)
		import_note(im, NOTE_BINDING, other, "", "peer, %s", import_place(&e->other->peer_at, place));
	else
		import_note(im, NOTE_BINDING, other, "", "the host");
	import_bind(im, e->port, other, &e->peer_at);
}

static void check_macs(struct import *im, const struct end *e)
{
	const struct end *o = e->other;
	char place[IMPORT_PLACE];

	if (o && e < o && e->has_mac && o->has_mac && !mac_cmp(&e->mac, &o->mac))
		import_fault(im, &o->mac_at, "mac", "is also that of the other end, %s (%s)", e->path,
			     import_place(&e->mac_at, place));
}

static bool is_to_host(const struct end *e)
{
	return e->peer && !e->other && strncmp(e->peer, GUESTS_TOP, strlen(GUESTS_TOP)) != 0;
}

void qvm_build(struct import *im)
{
	struct qvm *q = im->qvm;
	size_t i;

	if (!q)
		return;
	publish_all(im);
	if (!im->faults && !im->no_memory)
		join_all(im);
	for (i = 0; i < q->n_ends && !im->faults; i++)
		check_macs(im, &q->ends[i]);
	if (im->faults || im->no_memory)
		return;
	/* Their names are those of interfaces: guests give way. */
	for (i = 0; i < q->n_ends; i++)
		if (is_to_host(&q->ends[i]))
			add_host(im, &q->ends[i]);
	for (i = 0; i < q->n_ends; i++) {
		struct end *e = &q->ends[i];

		add_guest(im, e);
		if (e->host[0])
			bind(im, e, e->host);
		else if (e->other && e->other < e)
			bind(im, e, e->other->port);
	}
}
