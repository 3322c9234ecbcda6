/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process that stays asks of a plane that it has open: is it still the plane, and has somebody changed it? */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plane_priv.h"
#include "plane_watch.h"

void plane_drop_progs(struct plane *p)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		if (p->prog[i] >= 0)
			close(p->prog[i]);
		p->prog[i] = -1;
	}
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) ? info.id : 0;
}

bool plane_stands(const struct plane *p)
{
	const struct vp_plane *self = p->mem[MAP_PLANE];
	char path[PATH_MAX];
	uint32_t id;
	int fd;

	plane_path(path, p->name, "maps", plane_maps[MAP_PLANE].name);
	fd = bpf_obj_get(path);
	id = map_id(fd);
	if (fd >= 0)
		close(fd);
	return id && id == map_id(p->map[MAP_PLANE]) && self->abi == VP_ABI_VERSION;
}

#define INFO_BYTES (VP_MAX_PORTS * sizeof(struct vp_port_info))
#define PORT_BYTES (VP_MAX_PORTS * sizeof(struct vp_port))

bool plane_shot_text_differs(const struct plane *p, const struct plane_shot *s)
{
	const struct vp_conf *conf = plane_cell(p, MAP_CONF, plane_bank(p));

	return !s->info || s->len != conf->len || memcmp(s->text, conf->text, s->len);
}

bool plane_shot_differs(const struct plane *p, const struct plane_shot *s)
{
	return !s->info || memcmp(s->info, p->mem[MAP_PORT_INFO], INFO_BYTES) ||
	       memcmp(s->ports, plane_port(p, 0), PORT_BYTES) || plane_shot_text_differs(p, s);
}

int plane_shot_take(const struct plane *p, struct plane_shot *s)
{
	const struct vp_conf *conf = plane_cell(p, MAP_CONF, plane_bank(p));
	uint32_t len = conf->len > sizeof(conf->text) ? 0 : conf->len;

	plane_shot_free(s);
	s->info = malloc(INFO_BYTES);
	s->ports = malloc(PORT_BYTES);
	s->text = malloc(len + 1);
	if (!s->info || !s->ports || !s->text) {
		plane_shot_free(s);
		return -ENOMEM;
	}
	memcpy(s->info, p->mem[MAP_PORT_INFO], INFO_BYTES);
	memcpy(s->ports, plane_port(p, 0), PORT_BYTES);
	memcpy(s->text, conf->text, len);
	s->len = len;
	return 0;
}

void plane_shot_free(struct plane_shot *s)
{
	free(s->info);
	free(s->ports);
	free(s->text);
	memset(s, 0, sizeof(*s));
}
