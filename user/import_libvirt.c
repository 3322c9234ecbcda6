/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libvirt domains: interfaces of type ethernet and bridge become guest ports, each pair of bridge and VLAN a segment.
 *
 * The XML may come from anywhere. libxml2 is told to fetch nothing, and a document type, the only way to entities, ends
 * the reading. The tree keeps lines but no columns, so each element also keeps where its tag begins: `<` can stand
 * nowhere else inside a tag.
 */
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/SAX2.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "late.h"
#include "value.h"

#define XML(X) \
	X(xmlByteConsumed) X(xmlCtxtGetLastError) X(xmlCtxtReadMemory) X(xmlDocGetRootElement) X(xmlFree) \
	X(xmlFreeDoc) X(xmlFreeParserCtxt) X(xmlGetNoNsProp) X(xmlNewParserCtxt) X(xmlNodeGetContent) \
	X(xmlSAX2StartElementNs) X(xmlStopParser)

static struct {
	XML(LATE_FIELD)
} xml;

/* One <interface> that becomes a port. */
struct nic {
	const char *guest, *bridge, *target; /* NULL = not said */
	struct span at, target_at, mac_at;
	struct mac mac;
	bool has_mac;
	size_t number; /* in its guest, from 0 */
	const char *mtu, *virtualport;
	uint16_t *tags; /* of <vlan> */
	size_t n_tags;
	uint16_t native; /* untagged on a trunk; 0 = none */
	bool trunk;
};

struct virt {
	struct nic *nics;
	size_t n_nics;
	struct virt_segment {
		const char *bridge;
		uint16_t vlan;
		char name[VP_NAME_LEN];
	} * segments;
	size_t n_segments;
};

/* ---- the tree ---- */

struct reading {
	struct import *im;
	const struct src *src;
	bool doctype;
};

static void start_element(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_spaces,
			  const xmlChar **spaces, int n_attributes, int n_defaulted, const xmlChar **attributes)
{
	xmlParserCtxtPtr c = context;
	const struct reading *r = c->_private;
	long at = xml.xmlByteConsumed(c);
	size_t i = at < 0 ? 0 : (size_t)at < r->src->len ? (size_t)at : r->src->len;

	xml.xmlSAX2StartElementNs(context, name, prefix, uri, n_spaces, spaces, n_attributes, n_defaulted, attributes);
	while (i && (i == r->src->len || r->src->text[i] != '<'))
		i--;
	if (c->node)
		c->node->_private = (void *)i; /* NOLINT(performance-no-int-to-ptr): a number, never followed */
}

static void doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	xmlParserCtxtPtr c = context;
	struct reading *r = c->_private;

	(void)name;
	(void)external;
	(void)system;
	r->doctype = true;
	xml.xmlStopParser(c);
}

static void silent(void *context, xmlErrorPtr error)
{
	(void)context;
	(void)error;
}

/* Offset of a line and column, both from 1. */
static size_t offset_of(const struct src *src, int line, int column)
{
	size_t i = 0;

	for (; line > 1 && i < src->len; i++)
		line -= src->text[i] == '\n';
	for (; column > 1 && i < src->len && src->text[i] != '\n'; i++)
		column--;
	return i;
}

static void report(struct reading *r, const xmlError *e)
{
	struct span at = { r->src, 0, 1 };
	const char *message = e && e->message ? e->message : "cannot be read";

	if (e)
		at.at = offset_of(r->src, e->line, e->int2);
	if (r->doctype) {
		const char *found = strstr(r->src->text, "<!DOCTYPE");

		at.at = found ? (size_t)(found - r->src->text) : at.at;
		import_fault(r->im, &at, "XML", "has a document type; a domain needs none, and it is not read");
	} else {
		import_fault(r->im, &at, "XML", "%.*s", (int)strcspn(message, "\n"), message);
	}
}

/* The document, or NULL (reported). */
static xmlDocPtr parse(struct reading *r)
{
	xmlParserCtxtPtr c = xml.xmlNewParserCtxt();
	xmlDocPtr doc;

	if (!c) {
		r->im->no_memory = true;
		return NULL;
	}
	c->_private = r;
	c->sax->startElementNs = start_element;
	c->sax->internalSubset = doctype;
	c->sax->serror = silent;
	doc = xml.xmlCtxtReadMemory(c, r->src->text, (int)r->src->len, NULL, "UTF-8",
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES);
	if (!doc || r->doctype) {
		report(r, xml.xmlCtxtGetLastError(c));
		xml.xmlFreeDoc(doc);
		doc = NULL;
	}
	xml.xmlFreeParserCtxt(c);
	return doc;
}

static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name);
}

static xmlNode *child(const xmlNode *parent, const char *name)
{
	xmlNode *node;

	for (node = parent ? parent->children : NULL; node; node = node->next)
		if (is_element(node, name))
			return node;
	return NULL;
}

/* The whole tag. */
static struct span place(const struct src *src, const xmlNode *node)
{
	size_t at = (size_t)node->_private;

	return (struct span){ src, at, strcspn(src->text + at, ">\n") + (strchr(src->text + at, '>') ? 1 : 0) };
}

/* The value of an attribute inside its tag; the tag where it can't be found as it was written. */
static struct span value_place(const struct src *src, const xmlNode *node, const char *attribute)
{
	struct span tag = place(src, node);
	const char *start = src->text + tag.at, *end = strchr(start, '>'), *found = start;
	size_t n = strlen(attribute), i;

	if (!end)
		return tag;
	while ((found = strstr(found, attribute)) && found < end) {
		i = n + strspn(found + n, " \t\r\n");
		if (found > start && strchr(" \t\r\n", found[-1]) && found[i] == '=') {
			i++;
			i += strspn(found + i, " \t\r\n");
			if (found[i] == '\'' || found[i] == '"')
				return (struct span){ src, (size_t)(found + i + 1 - src->text),
						      strcspn(found + i + 1, "'\"\n") };
		}
		found += n;
	}
	return tag;
}

/* The value of an attribute, kept; NULL = absent. */
static const char *attribute(struct import *im, xmlNode *node, const char *name)
{
	xmlChar *text = node ? xml.xmlGetNoNsProp(node, (const xmlChar *)name) : NULL;
	const char *kept;

	if (!text)
		return NULL;
	kept = import_keep(im, (const char *)text, strlen((const char *)text));
	(*xml.xmlFree)(text);
	return kept;
}

/* ---- interfaces ---- */

static void read_mac(struct import *im, const struct src *src, struct nic *nic, xmlNode *node)
{
	const char *text = attribute(im, node, "address"), *why;

	if (!text)
		return;
	nic->mac_at = value_place(src, node, "address");
	why = import_mac(text, &nic->mac);
	nic->has_mac = !why;
	if (why)
		import_fault(im, &nic->mac_at, "mac", "\"%s\" %s", text, why);
}

static void read_target(struct import *im, const struct src *src, struct nic *nic, xmlNode *node)
{
	const char *device = attribute(im, node, "dev");

	if (!device)
		return;
	nic->target_at = value_place(src, node, "dev");
	nic->target = device;
	if (value_device(device))
		import_fault(im, &nic->target_at, "target", "\"%s\" is no name of a network interface", device);
}

static void read_tag(struct import *im, const struct src *src, struct nic *nic, xmlNode *node)
{
	const char *text = attribute(im, node, "id"), *native = attribute(im, node, "nativeMode");
	struct span at = value_place(src, node, "id");
	uint16_t *tags;
	uint32_t vid;
	size_t i;

	if (!text || value_u32(text, 1, 4094, &vid)) {
		import_fault(im, &at, "vlan", "\"%s\" is no number from 1 to 4094", text ? text : "");
		return;
	}
	for (i = 0; i < nic->n_tags; i++)
		if (nic->tags[i] == vid) {
			import_fault(im, &at, "vlan", "%u is listed twice", vid);
			return;
		}
	tags = import_grow(im, nic->tags, nic->n_tags, sizeof(*tags));
	if (!tags)
		return;
	nic->tags = tags;
	tags[nic->n_tags++] = (uint16_t)vid;
	if (native && !strcmp(native, "untagged"))
		nic->native = (uint16_t)vid;
}

static void read_vlan(struct import *im, const struct src *src, struct nic *nic, xmlNode *vlan)
{
	const char *trunk = attribute(im, vlan, "trunk");
	xmlNode *node;

	for (node = vlan->children; node; node = node->next)
		if (is_element(node, "tag"))
			read_tag(im, src, nic, node);
	nic->trunk = (trunk && !strcmp(trunk, "yes")) || nic->n_tags > 1;
}

static void read_parts(struct import *im, const struct src *src, struct nic *nic, const xmlNode *interface)
{
	xmlNode *node;

	for (node = interface->children; node; node = node->next) {
		if (is_element(node, "mac"))
			read_mac(im, src, nic, node);
		else if (is_element(node, "target"))
			read_target(im, src, nic, node);
		else if (is_element(node, "mtu"))
			nic->mtu = attribute(im, node, "size");
		else if (is_element(node, "virtualport"))
			nic->virtualport = attribute(im, node, "type") ? attribute(im, node, "type") : "";
		else if (is_element(node, "vlan"))
			read_vlan(im, src, nic, node);
	}
}

/* What can't be a port of ours: told, and the rest goes on. */
static void left_out(struct import *im, const struct span *at, const char *guest, const char *type)
{
	im->partial = true;
	import_warn(im, at, "interface",
		    "type %s of %s is left out: only ethernet and bridge have a device that a plane "
		    "could take",
		    type, guest);
	import_head(im, "left out: an interface of type %s of %s", type, guest);
}

static struct nic *add_nic(struct import *im, const char *guest, const struct span *at)
{
	struct virt *v = im->virt;
	struct nic *nics = NULL;

	if (v->n_nics >= IMPORT_MAX_LINKS)
		import_fault(im, at, "interface", "is one of more than %d; a plane can't have so many ports",
			     IMPORT_MAX_LINKS);
	else
		nics = import_grow(im, v->nics, v->n_nics, sizeof(*nics));
	if (!nics)
		return NULL;
	v->nics = nics;
	nics[v->n_nics] = (struct nic){ .guest = guest, .at = *at };
	return &nics[v->n_nics++];
}

static void read_interface(struct import *im, const struct src *src, const char *guest, xmlNode *node, size_t number)
{
	const char *type = attribute(im, node, "type");
	xmlNode *source = child(node, "source");
	struct span at = place(src, node);
	struct nic *nic;

	if (!type || (strcmp(type, "ethernet") != 0 && strcmp(type, "bridge") != 0)) {
		left_out(im, &at, guest, type ? type : "(none)");
		return;
	}
	nic = add_nic(im, guest, &at);
	if (!nic)
		return;
	nic->number = number;
	if (!strcmp(type, "bridge")) {
		nic->bridge = attribute(im, source, "bridge");
		if (!nic->bridge || !*nic->bridge)
			import_fault(im, &at, "interface", "type bridge, but it has no <source bridge='...'/>");
	}
	read_parts(im, src, nic, node);
}

static void read_domain(struct import *im, const struct src *src, xmlNode *root)
{
	struct span at = place(src, root);
	xmlNode *name = child(root, "name"), *devices = child(root, "devices"), *node;
	xmlChar *text = name ? xml.xmlNodeGetContent(name) : NULL;
	const char *guest = text ? import_keep(im, (const char *)text, strlen((const char *)text)) : "";
	size_t number = 0;

	(*xml.xmlFree)(text);
	if (!is_element(root, "domain")) {
		import_fault(im, &at, "XML", "<%s> is no <domain>; virsh dumpxml prints one", (const char *)root->name);
		return;
	}
	if (!*guest) {
		import_fault(im, &at, "domain", "has no <name>");
		return;
	}
	for (node = devices ? devices->children : NULL; node; node = node->next)
		if (is_element(node, "interface"))
			read_interface(im, src, guest, node, number++);
	if (!number)
		import_warn(im, &at, "domain", "%s has no interfaces", guest);
}

void virt_read(struct import *im, const struct src *src)
{
	struct reading r = { .im = im, .src = src };
	static const char *const names[] = { XML(LATE_NAME) };
	const char *why = late_load(XML_SO, names, sizeof(names) / sizeof(names[0]), &xml);
	struct span at = { src, 0, 1 };
	xmlNode *root;
	xmlDocPtr doc;

	if (!im->virt && !(im->virt = calloc(1, sizeof(*im->virt)))) {
		im->no_memory = true;
		return;
	}
	if (why) {
		import_fault(im, &at, "XML", "cannot be read: %s; install libxml2", why);
		return;
	}
	doc = parse(&r);
	root = doc ? xml.xmlDocGetRootElement(doc) : NULL;
	if (root)
		read_domain(im, src, root);
	xml.xmlFreeDoc(doc);
}

void virt_free(struct import *im)
{
	size_t i;

	for (i = 0; im->virt && i < im->virt->n_nics; i++)
		free(im->virt->nics[i].tags);
	if (im->virt) {
		free(im->virt->nics);
		free(im->virt->segments);
	}
	free(im->virt);
	im->virt = NULL;
}

/* ---- the plane ---- */

/* The segment of a bridge and VLAN (0 = untagged), "" = no memory. */
static const char *segment_of(struct import *im, const char *bridge, uint16_t vlan, const struct span *at)
{
	struct virt *v = im->virt;
	struct virt_segment *s;
	struct segment *made;
	char text[128], where[IMPORT_PLACE];
	size_t i;

	for (i = 0; i < v->n_segments; i++)
		if (v->segments[i].vlan == vlan && !strcmp(v->segments[i].bridge, bridge))
			return v->segments[i].name;
	s = import_grow(im, v->segments, v->n_segments, sizeof(*s));
	if (!s)
		return "";
	v->segments = s;
	s = &s[v->n_segments++];
	*s = (struct virt_segment){ .bridge = bridge, .vlan = vlan };
	snprintf(text, sizeof(text), vlan ? "%.100s.%u" : "%.100s", bridge, vlan);
	import_segment_name(im, text, s->name);
	made = import_segment(im, s->name, at);
	if (made)
		made->vlan = vlan;
	import_note(im, NOTE_SEGMENT, s->name, "name", "bridge %s, %s", bridge, import_place(at, where));
	import_note(im, NOTE_SEGMENT, s->name, "vlan", "<vlan>");
	return s->name;
}

static void port_name(const struct import *im, const struct nic *nic, char out[VP_NAME_LEN])
{
	char path[256];

	snprintf(path, sizeof(path), "/%.200s/%zu", nic->guest, nic->number);
	import_guest_name(im, path, out);
}

static void set_device(struct import *im, const struct nic *nic, struct port *p)
{
	char path[256], where[IMPORT_PLACE];

	snprintf(path, sizeof(path), "/%.200s/%zu", nic->guest, nic->number);
	if (nic->target) {
		snprintf(p->device, sizeof(p->device), "%s", nic->target);
		import_note(im, NOTE_PORT, p->name, "device", "<target>, %s", import_place(&nic->target_at, where));
		if (!strncmp(nic->target, "vnet", 4))
			import_warn(im, &nic->target_at, "target",
				    "libvirt gives names with vnet anew at each start; "
				    "choose another");
		return;
	}
	import_device(im, path, p->name, p->device);
	import_note(im, NOTE_PORT, p->name, "device", "no <target dev=>: put this name there, or --device %s=IF",
		    p->name);
	import_warn(im, &nic->at, "interface",
		    "has no <target dev='...'/>, so libvirt names its device anew at each start; "
		    "give it one, %s is expected",
		    p->device);
}

static void join_segments(struct import *im, const struct nic *nic, struct port *p)
{
	const char *bridge = nic->bridge ? nic->bridge : im->opts->segment;
	uint16_t untagged = nic->trunk ? nic->native : nic->n_tags ? nic->tags[0] : 0;
	char where[IMPORT_PLACE];
	size_t i;

	if (!bridge)
		return;
	import_place(&nic->at, where);
	for (i = 0; nic->trunk && i < nic->n_tags; i++)
		if (nic->tags[i] != nic->native && port_add_tagged(p, segment_of(im, bridge, nic->tags[i], &nic->at)))
			im->no_memory = true;
	if (p->n_tagged)
		import_note(im, NOTE_PORT, p->name, "tagged", "<vlan>, %s", where);
	if (untagged || !nic->trunk) {
		snprintf(p->segment, sizeof(p->segment), "%s", segment_of(im, bridge, untagged, &nic->at));
		import_note(im, NOTE_PORT, p->name, "segment", "%s, %s", nic->bridge ? "<source bridge=>" : "--segment",
			    where);
	}
}

static void tell_left(struct import *im, const struct nic *nic, const struct port *p)
{
	if (nic->mtu)
		import_head(im, "%s: <mtu size='%.10s'/> is libvirt's to set; the plane goes by the device's", p->name,
			    nic->mtu);
	if (nic->virtualport)
		import_head(im, "%s: <virtualport type='%.20s'> is left out: it is for another switch", p->name,
			    nic->virtualport);
}

static void add_port(struct import *im, const struct nic *nic)
{
	char where[IMPORT_PLACE];
	struct port p;

	port_init(&p, VP_KIND_GUEST);
	port_name(im, nic, p.name);
	import_note(im, NOTE_PORT, p.name, "name", "interface %zu of domain %.40s, %s", nic->number, nic->guest,
		    import_place(&nic->at, where));
	set_device(im, nic, &p);
	join_segments(im, nic, &p);
	if (nic->has_mac && port_add_mac(&p, &nic->mac))
		im->no_memory = true;
	if (nic->has_mac)
		import_note(im, NOTE_PORT, p.name, "mac", "<mac>, %s: it sends from no other address",
			    import_place(&nic->mac_at, where));
	tell_left(im, nic, &p);
	import_port(im, &p, nic->has_mac ? &nic->mac_at : &nic->at);
}

/* The NIC that is in the host's bridge: only the caller knows. */
static void add_uplink(struct import *im, const char *bridge)
{
	const char *device = import_uplink(im, bridge);
	const struct virt *v = im->virt;
	struct port p;
	size_t i;

	if (!device) {
		import_head(im, "bridge %s: a NIC in it is not in a domain's XML: --uplink %s=IF", bridge, bridge);
		return;
	}
	port_init(&p, VP_KIND_UPLINK);
	import_guest_name(im, device, p.name);
	snprintf(p.device, sizeof(p.device), "%s", device);
	for (i = 0; i < v->n_segments; i++) {
		const struct virt_segment *s = &v->segments[i];

		if (strcmp(s->bridge, bridge) != 0)
			continue;
		if (!s->vlan)
			memcpy(p.segment, s->name, sizeof(p.segment));
		else if (port_add_tagged(&p, s->name))
			im->no_memory = true;
	}
	import_note(im, NOTE_PORT, p.name, "name", "--uplink %s", bridge);
	import_note(im, NOTE_PORT, p.name, "kind", "--uplink");
	import_note(im, NOTE_PORT, p.name, "device", "--uplink");
	import_note(im, NOTE_PORT, p.name, "segment", "bridge %s", bridge);
	import_note(im, NOTE_PORT, p.name, "tagged", "each VLAN that a guest has on %s", bridge);
	import_port(im, &p, &(struct span){ 0 });
}

void virt_build(struct import *im)
{
	struct virt *v = im->virt;
	size_t i, j;

	if (!v)
		return;
	for (i = 0; i < v->n_nics; i++)
		add_port(im, &v->nics[i]);
	for (i = 0; i < v->n_segments; i++) {
		for (j = 0; j < i && strcmp(v->segments[j].bridge, v->segments[i].bridge) != 0; j++)
			;
		if (j == i)
			add_uplink(im, v->segments[i].bridge);
	}
}
