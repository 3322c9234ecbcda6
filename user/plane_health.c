/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "plane_health.h"
#include "plane_priv.h"

#define BPF_FS_MAGIC_NUMBER 0xcafe4a11

void plane_kernel(struct plane_kernel *out)
{
	struct btf *btf = btf__load_vmlinux_btf();

	out->btf = btf && !access("/sys/kernel/btf/vmlinux", R_OK);
	out->live_devices = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	out->veth_tags = btf && btf__find_by_name_kind(btf, "bpf_xdp_metadata_rx_vlan_tag", BTF_KIND_FUNC) > 0;
	btf__free(btf);
}

bool plane_bpffs(void)
{
	struct statfs fs;

	return !statfs("/sys/fs/bpf", &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC_NUMBER;
}

bool plane_jited(const struct plane *p)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(p->prog[PROG_XDP], &info, &len) || info.jited_prog_len;
}

bool plane_stale_link(const struct plane *p, const char *port)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	bool stale;
	int fd;

	plane_xdp_pin(p, port, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return false;
	stale = !bpf_obj_get_info_by_fd(fd, &info, &len) && !info.xdp.ifindex;
	close(fd);
	return stale;
}

int plane_unpin_xdp(const struct plane *p, const char *port)
{
	char path[PATH_MAX];
	int fd;

	plane_xdp_pin(p, port, path);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		/* At once: what follows an unlink() alone happens some time later. */
		bpf_link_detach(fd);
		close(fd);
	}
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

/* ---- what is left under the two directories ---- */

struct traces {
	struct plane_trace *list;
	size_t n;
};

static struct plane_trace *trace_of(struct traces *t, const char *name)
{
	struct plane_trace *more;

	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->list[i].name, name))
			return &t->list[i];
	more = reallocarray(t->list, t->n + 1, sizeof(*more));
	if (!more)
		return NULL;
	t->list = more;
	memset(&more[t->n], 0, sizeof(*more));
	snprintf(more[t->n].name, VP_NAME_LEN, "%s", name);
	return &more[t->n++];
}

static int see_pin(struct traces *t, const char *entry)
{
	char name[VP_NAME_LEN];
	struct plane_trace *trace;

	snprintf(name, sizeof(name), "%s", entry + (*entry == '+'));
	for (char *c = name; *c; c++)
		if (*c == ':')
			*c = '.';
	trace = trace_of(t, name);
	if (!trace)
		return -ENOMEM;
	if (*entry == '+')
		trace->half_made = true;
	else
		trace->pinned = true;
	return 0;
}

static int see_notes(struct traces *t, const char *entry)
{
	struct plane_trace *trace = trace_of(t, entry);

	if (!trace)
		return -ENOMEM;
	trace->notes = true;
	return 0;
}

static int walk(struct traces *t, const char *path, int (*see)(struct traces *t, const char *entry))
{
	DIR *d = opendir(path);
	const struct dirent *e;
	int err = 0;

	while (d && !err && (e = readdir(d)))
		if (e->d_name[0] != '.' && strlen(e->d_name) <= VP_NAME_LEN)
			err = see(t, e->d_name);
	if (d)
		closedir(d);
	return err;
}

static uint32_t read_abi(const char *name)
{
	struct vp_plane about = { 0 };
	uint32_t zero = 0;
	char path[PATH_MAX];
	int fd;

	plane_path(path, name, "maps", "vp_plane");
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_map_lookup_elem(fd, &zero, &about))
		about.abi = 0;
	close(fd);
	return about.abi;
}

static void look_at(struct plane_trace *t)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/undo", PLANE_RUN, t->name);
	t->changes = !access(path, F_OK);
	snprintf(path, sizeof(path), "%s/%s", PLANE_RUN, t->name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->busy = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	if (fd >= 0)
		close(fd);
	t->abi = t->pinned ? read_abi(t->name) : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct plane_trace *)a)->name, ((const struct plane_trace *)b)->name);
}

int plane_traces(struct plane_trace **list, size_t *n)
{
	struct traces t = { 0 };
	int err;

	*list = NULL;
	*n = 0;
	/* Who may not see the pins cannot tell what is left without them. */
	if (access(PLANE_ROOT, R_OK) && errno == EACCES)
		return 0;
	err = walk(&t, PLANE_ROOT, see_pin);
	if (!err)
		err = walk(&t, PLANE_RUN, see_notes);
	if (err) {
		free(t.list);
		return err;
	}
	for (size_t i = 0; i < t.n; i++)
		look_at(&t.list[i]);
	if (t.n)
		qsort(t.list, t.n, sizeof(*t.list), by_name);
	*list = t.list;
	*n = t.n;
	return 0;
}
