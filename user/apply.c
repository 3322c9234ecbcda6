/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From model to kernel, in an order in which dying at any point leaves the old configuration or the new one working:
 *
 *   look, check      nothing changed yet; a fault ends here
 *   names            ids of new ports are entered, so that a later run knows what this one began
 *   create, attach   host interfaces, settings (recorded for undo first), programs; a new port's frames find no
 *                    configuration yet and are dropped
 *   MAC entries      static ones of the new configuration
 *   write, flip      the former text is noted, the other bank written as a whole, then one store: from here on the
 *                    new configuration holds, and nothing of this run is undone any more
 *   remove           ports, entries and guards that only the old one had; then their ids are free
 */
#include "apply_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "former.h"
#include "undo.h"
#include "value.h"

void plane_device(const struct port *p, char out[VP_DEV_LEN])
{
	if (p->kind == VP_KIND_HOST)
		snprintf(out, VP_DEV_LEN, "%.13s-p", p->name);
	else
		snprintf(out, VP_DEV_LEN, "%s", p->device);
}

void host_alias(const char *plane, const char *port, char out[96])
{
	snprintf(out, 96, "vpeer:%s:%s", plane, port);
}

void object_of(const struct port *p, char out[VP_NAME_LEN + 8])
{
	snprintf(out, VP_NAME_LEN + 8, "port %s", p->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct link_info *const *)a)->name, (*(struct link_info *const *)b)->name);
}

const struct link_info *work_device(const struct work *w, const char *name)
{
	struct link_info key, *want = &key, **found;

	snprintf(key.name, sizeof(key.name), "%s", name);
	found = bsearch(&want, w->by_name, w->n_links, sizeof(want), by_name);
	return found ? *found : NULL;
}

static int by_ifindex(const void *key, const void *link)
{
	uint32_t x = *(const uint32_t *)key, y = ((const struct link_info *)link)->ifindex;

	return (x > y) - (x < y);
}

const struct link_info *work_index(const struct work *w, uint32_t ifindex)
{
	return w->n_links ? bsearch(&ifindex, w->links, w->n_links, sizeof(*w->links), by_ifindex) : NULL;
}

static void work_free_devices(struct work *w)
{
	free(w->links);
	free(w->by_name);
	free(w->stacked);
	w->links = NULL;
	w->by_name = NULL;
	w->stacked = NULL;
	w->n_links = w->n_stacked = 0;
}

static bool means_all(const struct work *w)
{
	return !w->opts->n_only || (w->opts->mend && w->died);
}

static bool is_meant(const struct work *w, const struct port *p)
{
	for (size_t i = 0; i < w->opts->n_only; i++)
		if (!strcmp(w->opts->only[i], p->name))
			return true;
	return means_all(w);
}

void work_believe(const struct work *w, struct work_port *wp)
{
	const struct vp_port *told;
	uint16_t id;

	memset(&wp->had, 0, sizeof(wp->had));
	id = plane_port_id(w->p, wp->port->name);
	told = id ? plane_port(w->p, id) : NULL;
	if (!told || told->ifindex != wp->link->ifindex || !(told->flags & VP_PORT_UP))
		return;
	wp->had.tc_in = wp->had.tc_out = true;
	wp->had.xdp = told->flags & VP_PORT_XDP;
	wp->choice.carrier = wp->had.xdp ? CARRIER_XDP : CARRIER_TC;
	wp->choice.target = told->flags & VP_PORT_XDP_TARGET;
}

static int cannot_see(const struct port *p, const char *device, int err)
{
	char object[VP_NAME_LEN + 8];

	object_of(p, object);
	fail(object, "device %s: cannot see what is attached to it: %s", device, strerror(-err));
	return err;
}

/* What is attached to the devices of all ports. */
static int look_at_devices(struct work *w)
{
	struct plane_look *list = calloc(w->want->n_ports + 1, sizeof(*list));
	size_t n = 0;
	int err = list ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < w->want->n_ports; i++) {
		struct work_port *wp = &w->ports[i];

		if (!wp->link || wp->attached_now)
			continue;
		if (wp->meant)
			list[n++] = (struct plane_look){.port = wp->port->name, .link = wp->link, .out = &wp->had};
		else
			work_believe(w, wp);
	}
	if (!err)
		err = plane_look(w->p, list, n);
	for (size_t i = 0; !err && i < n; i++)
		if (list[i].err)
			err = cannot_see(model_port(w->want, list[i].port), list[i].link->name, list[i].err);
	free(list);
	return err;
}

static void tell_facts(const struct work *w, size_t i)
{
	const struct work_port *wp = &w->ports[i];
	struct port_facts *f = &w->facts[i];
	bool attached = wp->attached_now || (wp->had.tc_in && wp->had.tc_out);

	memset(f, 0, sizeof(*f));
	if (!wp->link || !attached)
		return;
	f->ifindex = wp->link->ifindex;
	f->attached = true;
	f->kept = wp->had.tc_in && wp->had.tc_out && !w->died;
	f->xdp = wp->choice.carrier == CARRIER_XDP;
	f->xdp_target = wp->choice.target;
	f->finished = wp->link->type == LINK_PHYSICAL;
	f->mtu = wp->link->mtu;
}

/*
 * No device has the name: the one that the port has is called something else now.  The plane's own end of a host port
 * is always followed, others until the next `up` says by its file what shall be.
 */
static const struct link_info *renamed(struct work *w, struct work_port *wp, const char *device)
{
	uint16_t id = w->p ? plane_port_id(w->p, wp->port->name) : 0;
	const struct link_info *l;

	if (!id || strcmp(w->old->port_info[id].device, device) != 0)
		return NULL;
	if (w->opts->by_name && wp->port->kind != VP_KIND_HOST)
		return NULL;
	l = work_index(w, plane_port(w->p, id)->ifindex);
	if (l && plane_attached(w->p, wp->port->name, l, &wp->had))
		return NULL;
	return l && wp->had.tc_in ? l : NULL;
}

static int list_devices(struct work *w)
{
	int err;

	work_free_devices(w);
	err = link_list(&w->links, &w->n_links);
	if (err) {
		fail("devices", "cannot list them: %s", strerror(-err));
		return err;
	}
	w->by_name = calloc(w->n_links + 1, sizeof(*w->by_name));
	w->stacked = calloc(w->n_links + 1, sizeof(*w->stacked));
	if (!w->by_name || !w->stacked)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_links; i++) {
		w->by_name[i] = &w->links[i];
		if (w->links[i].lower)
			w->stacked[w->n_stacked++] = &w->links[i];
	}
	qsort(w->by_name, w->n_links, sizeof(*w->by_name), by_name);
	return 0;
}

/* What is known of another device of the port says nothing of this one. */
static uint32_t seen_of(const struct work *w, const struct work_port *wp)
{
	return w->p ? plane_seen(w->p, wp->port->name, wp->link) : 0;
}

int work_look(struct work *w)
{
	char device[VP_DEV_LEN];
	int err = list_devices(w);

	for (size_t i = 0; !err && i < w->want->n_ports; i++) {
		struct work_port *wp = &w->ports[i];

		wp->port = &w->want->ports[i];
		wp->meant = is_meant(w, wp->port) && !wp->refused;
		plane_device(wp->port, device);
		wp->link = work_device(w, device);
		if (!wp->link)
			wp->link = renamed(w, wp, device);
		if (wp->link)
			carrier_choose(wp->port, wp->link, seen_of(w, wp), &wp->choice);
	}
	return !err && w->p ? look_at_devices(w) : err;
}

/* Ids of ports and segments that are new enter the kernel first: whatever happens then, the next run finds them. */
static void enter_names(struct work *w)
{
	for (uint16_t id = 1; id <= w->now->top_port; id++) {
		struct vp_port_info *info = plane_port_info(w->p, id);

		/* One that goes keeps its device's name: both banks may have lost its number by the time it goes. */
		if (!w->now->port_info[id].name[0])
			continue;
		if (!strcmp(info->name, w->now->port_info[id].name)) {
			if (strcmp(info->device, w->now->port_info[id].device) != 0)
				info->attached = info->told = 0;
			memcpy(info->device, w->now->port_info[id].device, sizeof(info->device));
			continue;
		}
		*info = w->now->port_info[id];
		info->flags = 0;
		info->egress_base = 0;
		info->attached = info->told = 0;
	}
	for (uint16_t id = 1; id <= w->now->top_segment; id++)
		if (w->now->seg_info[id].name[0])
			*plane_seg_info(w->p, id) = w->now->seg_info[id];
}

int work_layout(struct work *w)
{
	layout_free(w->now);
	memset(w->now, 0, sizeof(*w->now));
	for (size_t i = 0; i < w->want->n_ports; i++)
		tell_facts(w, i);
	return layout_make(w->now, w->want, w->facts, w->old);
}

static void forget_old_indices(struct work *w)
{
	for (uint16_t id = 1; id <= w->now->top_port; id++) {
		uint32_t had = plane_port(w->p, id)->ifindex;

		if (had && had != w->now->ports[id].ifindex)
			plane_drop_iface(w->p, had, id);
	}
}

/* Names that are entered in the kernel but not wanted: of the old configuration, or of a run that died. */
static int remove_rest(struct work *w)
{
	bool gone[VP_MAX_PORTS] = {false};
	bool any = false;
	int err = 0;

	for (uint16_t id = 1; id < VP_MAX_PORTS; id++) {
		const char *name = plane_port_info(w->p, id)->name;

		if (name[0] && layout_port_id(w->now, name) != id)
			any = gone[id] = true;
	}
	if (any)
		err = ports_remove(w->p, w->links, w->n_links, gone, false);
	for (uint16_t id = 1; !err && id < VP_MAX_SEGMENTS; id++) {
		struct vp_seg_info *info = plane_seg_info(w->p, id);

		if (!info->name[0] || layout_segment_id(w->now, info->name) == id)
			continue;
		plane_mac_flush(w->p, id, 0, true);
		memset(info, 0, sizeof(*info));
	}
	return err;
}

/*
 * The layout of the live configuration, for its static entries; empty if none can have to go: the text takes longer to
 * read than all the rest.
 */
static int layout_live(const struct work *w, struct layout *before)
{
	struct model have;
	int err;

	if (!w->changes || !w->more_statics)
		return 0;
	model_init(&have);
	err = plane_model(w->p, &have);
	if (!err)
		err = layout_make(before, &have, NULL, w->old);
	model_free(&have);
	return err;
}

static int write_new(struct work *w)
{
	int err = macs_enter(w);

	if (!err)
		err = plane_targets(w->p, w->now);
	if (!err)
		err = plane_write(w->p, w->now, w->text, w->text_len);
	if (err)
		fail(w->plane, "cannot write the configuration: %s; the former one is in force", strerror(-err));
	return err;
}

/* What makes the way back possible, last before the switch. */
static int prepare_return(struct work *w)
{
	int err = w->changes ? former_note(w->p) : 0;

	if (err)
		fail(w->plane, "cannot note the former configuration in /run/vpeer/%s: %s; nothing was changed",
		     w->plane, strerror(-err));
	if (!err && w->changes && w->opts->ready)
		err = w->opts->ready(w->p, w->opts->ctx);
	return err;
}

/* After the switch: the new configuration holds, whatever becomes of the rest of the old one. */
static void clean_up(struct work *w, const struct layout *before, struct apply_result *result)
{
	int err = plane_share(w->p);

	if (!err)
		err = macs_drop(w, before);
	if (!err)
		err = remove_rest(w);
	if (!err)
		return;
	result->partly = true;
	fail(w->plane, "the new configuration is in force, but not all of the former one could be removed: %s; "
		       "the next change or `up` removes it", strerror(-err));
}

static int switch_over(struct work *w, struct apply_result *result)
{
	struct layout *before = calloc(1, sizeof(*before));
	int err = before ? layout_live(w, before) : -ENOMEM;

	if (err)
		fail(w->plane, "cannot read the live configuration: %s", strerror(-err));
	else
		err = write_new(w);
	if (!err)
		err = prepare_return(w);
	if (!err) {
		forget_old_indices(w);
		err = plane_flip(w->p);
	}
	former_settle(w->p);
	if (!err) {
		result->changed = true;
		clean_up(w, before, result);
	}
	if (before)
		layout_free(before);
	free(before);
	return err;
}

/* Is anything left to do? Then the second `up` changes nothing. */
static bool needs_switch(struct work *w)
{
	/* An address of the configuration that `mac del` took away comes back with the next change or `up`. */
	if (w->changes || !plane_same(w->p, w->now) || w->opts->prune || !macs_in_place(w))
		return true;
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++) {
		const char *name = plane_port_info(w->p, id)->name;

		if (name[0] && !model_port(w->want, name))
			return true;
	}
	return false;
}

static int carry_out(struct work *w, struct apply_result *result)
{
	int err = work_layout(w);

	if (err)
		return err;
	plane_port_info(w->p, 0)->flags |= VP_INFO_BEGUN;
	err = ports_let_dead_go(w);
	if (err)
		return err;
	enter_names(w);
	err = ports_create(w);
	if (!err)
		err = ports_attach(w);
	if (!err)
		ports_mtu(w);
	if (!err)
		err = work_layout(w);
	if (!err)
		err = macs_look(w);
	for (size_t i = 0; !err && i < w->want->n_ports; i++) {
		result->attached += w->ports[i].attached_now;
		result->raised += w->ports[i].raised_now && !w->ports[i].attached_now;
		result->waiting += !w->facts[i].attached;
	}
	if (!err && !w->changes)
		result->entered = (unsigned int)(w->now->n_statics - w->n_entered);
	/* A device that left and came back may have its old number: the kernel has emptied its maps. */
	if (!err && (result->attached || needs_switch(w)))
		err = switch_over(w, result);
	if (err)
		ports_undo(w);
	else if (!result->partly && (!w->died || means_all(w)))
		plane_port_info(w->p, 0)->flags &= ~(__u32)VP_INFO_BEGUN;
	return err;
}

/* The configuration as the plane will keep it. */
static int write_text(struct work *w)
{
	FILE *out = open_memstream(&w->text, &w->text_len);
	int err = out ? conf_write(out, w->want) : -ENOMEM;

	if (out && fclose(out))
		err = -ENOMEM;
	if (err)
		fail(w->plane, "cannot write the configuration down: %s", strerror(-err));
	return err;
}

static void see_changes(struct work *w)
{
	size_t n;
	const char *live = plane_text(w->p, &n);

	w->changes = w->text_len != n || memcmp(w->text, live, n);
}

/* What waits to be confirmed is decided first: else nobody could say what it would roll back to. */
static int nothing_pends(const struct work *w)
{
	char confirm[COMMAND_TEXT], rollback[COMMAND_TEXT];
	struct pending pending;
	int left;

	if (!w->changes || w->opts->decided || former_pending(w->plane, &pending))
		return 0;
	left = former_pending_left(&pending);
	pending_free(&pending);
	value_command(confirm, w->plane, "confirm");
	value_command(rollback, w->plane, "rollback");
	if (left > 0)
		fail(w->plane, "nothing is changed while the last change waits to be confirmed (%d s left); "
			       "keep it with: %s; or take it back with: %s", left, confirm, rollback);
	else
		fail(w->plane, "the last change was not confirmed in time, and what should have taken it back is gone; "
			       "run %s, or keep it with: %s", rollback, confirm);
	return -EBUSY;
}

static int look_back(struct work *w)
{
	w->died = plane_port_info(w->p, 0)->flags & VP_INFO_BEGUN;
	former_settle(w->p);
	see_changes(w);
	return nothing_pends(w);
}

/* What the configurations differ in, for whoever wants to tell: the live one takes long to read. */
static int note_plan(const struct work *w, struct plan *plan)
{
	struct model have;
	int err = 0;

	if (!plan || !w->changes)
		return 0;
	model_init(&have);
	if (w->p)
		err = plane_model(w->p, &have);
	if (!err)
		err = plan_make(plan, &have, w->want);
	model_free(&have);
	return err;
}

int work_begin(struct work *w, struct plane *p, bool exists, const char *plane, const struct model *want,
	       const struct apply_opts *opts)
{
	*w = (struct work){.p = exists ? p : NULL, .plane = plane, .want = want, .opts = opts, .changes = !exists};
	w->ports = calloc(want->n_ports + 1, sizeof(*w->ports));
	w->facts = calloc(want->n_ports + 1, sizeof(*w->facts));
	w->old = calloc(1, sizeof(*w->old));
	w->now = calloc(1, sizeof(*w->now));
	if (!w->ports || !w->facts || !w->old || !w->now)
		return -ENOMEM;
	if (exists)
		plane_layout_ids(p, w->old);
	return 0;
}

void work_end(struct work *w)
{
	if (w->now)
		layout_free(w->now);
	free(w->now);
	free(w->old);
	free(w->ports);
	free(w->facts);
	keys_free(&w->by_mac);
	free(w->addressed);
	free(w->routed);
	free(w->entered);
	free(w->text);
	work_free_devices(w);
}

int apply(struct plane *p, bool exists, const char *plane, const struct model *want, const struct apply_opts *opts,
	  struct apply_result *result)
{
	struct work w;
	unsigned int told = log_errors();
	bool created = false;
	int err = work_begin(&w, p, exists, plane, want, opts);

	*result = (struct apply_result){.plan = result->plan};
	if (!err)
		err = write_text(&w);
	if (!err && exists)
		err = look_back(&w);
	if (!err)
		err = note_plan(&w, result->plan);
	if (!err)
		err = work_look(&w);
	if (!err)
		err = work_check(&w);
	if (!err && !exists) {
		err = former_forget(plane);
		if (!err)
			err = plane_create(p, plane);
		created = !err;
		w.p = p;
	}
	if (!err)
		err = carry_out(&w, result);
	if (err && log_errors() == told)
		fail(plane, "cannot carry it out: %s; what was done for it is undone", strerror(-err));
	if (err && created)
		apply_down(p);
	result->changed |= !err && (created || result->raised);
	for (size_t i = 0; !err && i < want->n_ports; i++)
		result->partly |= w.ports[i].refused;
	work_end(&w);
	return err;
}

/* The settings of devices, then the pins, then what was noted: in this order a later `down` can do what is left. */
static int forget_plane(struct plane *p)
{
	char plane[VP_NAME_LEN];
	int err, restored;

	snprintf(plane, sizeof(plane), "%s", p->name);
	restored = undo_restore(plane, 0);
	if (restored)
		fail(plane, "not every device setting could be put back: %s; see /run/vpeer/%s/undo",
		     strerror(-restored), plane);
	err = plane_destroy(p);
	if (!err && !restored) {
		err = undo_forget(plane);
		if (err)
			fail(plane, "cannot remove /run/vpeer/%s: %s", plane, strerror(-err));
	}
	return err ? err : restored;
}

/* Nothing is attached any more, and what was changed has gone with its devices. */
static int forget_orphan(struct plane *p)
{
	char plane[VP_NAME_LEN];
	int err;

	snprintf(plane, sizeof(plane), "%s", p->name);
	err = plane_destroy(p);
	return err ? err : undo_forget(plane);
}

int apply_clear(const char *plane)
{
	int err = undo_restore(plane, 0);

	if (err == -EXDEV) {
		fail(plane, "there is no such plane, but settings that it changed in another network namespace were "
			    "never put back; run down there, or remove /run/vpeer/%s", plane);
		return err;
	}
	plane_sweep(plane);
	if (err)
		fail(plane, "not every device setting could be put back: %s; see /run/vpeer/%s/undo", strerror(-err),
		     plane);
	else
		err = undo_forget(plane);
	return err;
}

int apply_down(struct plane *p)
{
	bool gone[VP_MAX_PORTS] = {false};
	struct link_info *links = NULL;
	size_t n = 0;
	int err;

	if (p->orphan)
		return forget_orphan(p);
	err = link_list(&links, &n);
	if (err) {
		fail(p->name, "cannot list the devices, and so not detach from them: %s; nothing was changed",
		     strerror(-err));
		return err;
	}
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++)
		gone[id] = plane_port_info(p, id)->name[0];
	err = ports_remove(p, links, n, gone, true);
	free(links);
	if (err)
		fail(p->name, "is not wholly removed: %s; run down again", strerror(-err));
	else
		err = forget_plane(p);
	return err;
}
