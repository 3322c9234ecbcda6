/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `doctor`: why a port is not at its best or will not work.
 *
 *   facts     doctor_facts.c reads them, all in one place, and changes nothing
 *   findings  doctor.c, doctor_host.c, doctor_port.c: pure, one row of a table per rule: each is tested without root
 *   fixes     doctor_fix.c: settings are recorded by undo.c first; programs come back as by `attach`
 *
 * What is not known (no permission, another namespace, an older kernel) is UNKNOWN and never a finding.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "carrier.h"
#include "mtu.h"
#include "plane_health.h"
#include "tapfd.h"
#include "view.h"

#define DOCTOR_SCHEMA	     1
#define KERNEL(major, minor) ((unsigned int)((major) << 8 | (minor)))

enum known {
	UNKNOWN,
	NO,
	YES
};

struct doctor_host {
	char release[65];    /* uname -r */
	unsigned int kernel; /* KERNEL(6, 18) */
	struct plane_kernel has;
	bool netdev;	  /* the kernel tells XDP features of devices, 6.3 */
	enum known jit;	  /* net.core.bpf_jit_enable, or what became of the plane's programs */
	enum known br_nf; /* net.bridge.bridge-nf-call-iptables */
	bool bpffs;
	uint64_t caps;	  /* effective, bit by number */
	uint64_t memlock; /* bytes, UINT64_MAX = unlimited */
	unsigned int cpus;
	bool nic_away; /* some NIC is bound to vfio-pci */
};

struct doctor_port {
	const struct view_port *view;
	const struct link_info *link; /* the device (of a host port: the plane's end); NULL = absent */
	const struct link_info *peer; /* veth: the other end, if it is in this namespace */
	const struct link_info *master;
	bool renamed; /* `link` was found by its number: it has another name now */
	struct attachment attached;
	struct carrier_choice today; /* if `link` */
	bool stale_link;
	enum known rx_vlan, peer_gro, promisc, address;
	uint32_t rx_queues, peer_tx_queues; /* in use, 0 = not known */
	uint32_t queues_then;		    /* rx queues when its XDP program was attached, 0 = not known */
	struct tap_fds fds;
	struct mtu_want mtu;
};

struct doctor_facts {
	const char *plane; /* the one asked for */
	bool has_plane;	   /* ... and `view` and `ports` are about it */
	struct doctor_host host;
	struct view view;
	struct doctor_port *ports; /* as view.ports */
	size_t n_ports;
	struct plane_trace *traces;
	size_t n_traces;
	struct link_info *links;
	size_t n_links;
};

enum doctor_severity {
	DOCTOR_NOTE,
	DOCTOR_WARNING,
	DOCTOR_ERROR
};

enum doctor_fix {
	FIX_NONE,
	FIX_SWEEP, /* take away what a dead loader left half made */
	FIX_UP,	   /* bring the device up */
	FIX_PROMISC,
	FIX_RXVLAN,
	FIX_MASTER,
	FIX_GRO, /* at the veth's other end */
	FIX_GRO_AGAIN,
	FIX_UNPIN,    /* take the pin of the XDP program away */
	FIX_REATTACH, /* the same, and attach anew */
	FIX_ATTACH,   /* as `attach` does */
};

struct finding {
	const char *id;
	enum doctor_severity severity;
	char object[VP_NAME_LEN + 8]; /* "host", "port g1", "plane lab" */
	char name[VP_NAME_LEN];	      /* of the port or plane */
	char reason[400];
	char command[128]; /* "" = none helps */
	enum doctor_fix fix;
	bool fixed; /* by this run */
};

struct findings {
	struct finding *list; /* errors first, then by the order of rules and ports */
	size_t n;
};

/* One rule looks at the host (i = 0), at one port or at one trace, and tells whether it has found something. */
enum doctor_scope {
	SCOPE_HOST,
	SCOPE_TRACE,
	SCOPE_PORT
};
struct doctor_rule {
	const char *id;
	enum doctor_severity severity;
	enum doctor_scope scope;
	enum doctor_fix fix; /* NONE may be told by the rule in a single case */
	bool (*look)(const struct doctor_facts *f, size_t i, struct finding *out);
};
extern const struct doctor_rule doctor_host_rules[], doctor_port_rules[]; /* the last has no id */

int doctor_judge(const struct doctor_facts *f, struct findings *out); /* -ENOMEM */
/* What was found before and is no longer: moved into `now` as fixed, if this run could fix it. */
int doctor_mark_fixed(struct findings *now, const struct findings *before);
void findings_free(struct findings *f);
bool findings_bad(const struct findings *f); /* is an error left? */

/* For the rules: the sentence, and the exact command; `vpeer ...` gets the plane's name. Both return true. */
bool doctor_say(struct finding *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool doctor_run(struct finding *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool doctor_vpeer(struct finding *out, const char *plane, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* p: the open plane or NULL. -errno, reported. */
int doctor_look(struct doctor_facts *f, const char *plane, struct plane *p);
void doctor_forget(struct doctor_facts *f);

/* Fix what can be fixed; p: open and locked, or NULL (then only what needs no plane). What fails is reported. */
void doctor_fix(const struct doctor_facts *f, const struct findings *found, struct plane *p);
const char *doctor_severity_word(enum doctor_severity s);

void print_findings(FILE *out, const struct findings *f, const char *plane);
int print_findings_json(FILE *out, const struct findings *f, const char *plane);

#endif
