/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"
#include "vfio.h"

#define CLASS_NETWORK 0x02
#define CLASS_BRIDGE  0x06 /* stays with the host, and need not be bound to vfio-pci */

const char *vfio_root(void)
{
	const char *root = getenv("VPEER_SYSFS");

	return root && *root ? root : "/sys";
}

/* What does not fit is cut off. */
static void copy(char *to, size_t size, const char *text)
{
	size_t n = strnlen(text, size - 1);

	memcpy(to, text, n);
	to[n] = 0;
}

/* The last part of what a link of a PCI device leads to; "" if there is no such link. */
static void read_link(const char *root, const char *address, const char *link, char *buf, size_t size)
{
	char path[PATH_MAX], to[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", root, address, link);
	n = readlink(path, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = 0;
	copy(buf, size, strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
}

/* The class's first byte, as in `lspci -n`; -1 = not to be read. */
static int read_class(const char *root, const char *address)
{
	char path[PATH_MAX];
	unsigned int class = 0;
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/class", root, address);
	f = fopen(path, "re");
	if (f) {
		n = fscanf(f, "%x", &class);
		fclose(f);
	}
	return n == 1 ? (int)(class >> 16) : -1;
}

static int names_of(const char *path, struct dirent ***list)
{
	int n = scandir(path, list, NULL, alphasort);

	if (n < 0)
		*list = NULL;
	return n < 0 && errno == ENOMEM ? -ENOMEM : n < 0 ? 0 : n;
}

static void free_names(struct dirent **list, int n)
{
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

/* The first entry of a directory that is no dot; virtio NICs have their netdev one level deeper. */
static bool read_netdev(const char *path, char device[VP_DEV_LEN])
{
	struct dirent **names;
	int n = names_of(path, &names);

	for (int i = 0; i < n && !device[0]; i++)
		if (names[i]->d_name[0] != '.')
			copy(device, VP_DEV_LEN, names[i]->d_name);
	free_names(names, n);
	return device[0];
}

static void find_netdev(const char *root, struct vfio_nic *nic)
{
	char path[PATH_MAX], deeper[2 * PATH_MAX];
	struct dirent **names;
	int n;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/net", root, nic->address);
	if (read_netdev(path, nic->device))
		return;
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", root, nic->address);
	n = names_of(path, &names);
	for (int i = 0; i < n && !nic->device[0]; i++) {
		snprintf(deeper, sizeof(deeper), "%s/%s/net", path, names[i]->d_name);
		if (!strncmp(names[i]->d_name, "virtio", 6))
			read_netdev(deeper, nic->device);
	}
	free_names(names, n);
}

static int find_others(const char *root, struct vfio_nic *nic)
{
	char path[PATH_MAX];
	struct dirent **names;
	int n, err = 0;

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices", root, nic->group);
	n = names_of(path, &names);
	nic->others = n > 0 ? calloc((size_t)n, sizeof(*nic->others)) : NULL;
	if (n < 0 || (n > 0 && !nic->others))
		err = -ENOMEM;
	for (int i = 0; !err && i < n; i++) {
		const char *name = names[i]->d_name;

		if (name[0] == '.' || !strcmp(name, nic->address) || read_class(root, name) == CLASS_BRIDGE)
			continue;
		copy(nic->others[nic->n_others++], VFIO_ADDRESS, name);
	}
	free_names(names, n);
	return err;
}

static int read_nic(const char *root, const char *address, struct vfio_nic *nic)
{
	char group[16];

	memset(nic, 0, sizeof(*nic));
	copy(nic->address, sizeof(nic->address), address);
	read_link(root, address, "driver", nic->driver, sizeof(nic->driver));
	read_link(root, address, "iommu_group", group, sizeof(group));
	nic->group = group[0] ? atoi(group) : -1;
	nic->away = !strcmp(nic->driver, "vfio-pci");
	find_netdev(root, nic);
	return nic->group < 0 ? 0 : find_others(root, nic);
}

static bool has_groups(const char *root)
{
	char path[PATH_MAX];
	struct dirent **names;
	int n;
	bool any = false;

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups", root);
	n = names_of(path, &names);
	for (int i = 0; i < n; i++)
		any |= names[i]->d_name[0] != '.';
	free_names(names, n);
	return any;
}

int vfio_list(const char *root, struct vfio_nics *out)
{
	char path[PATH_MAX];
	struct dirent **names;
	int n, err = 0;

	memset(out, 0, sizeof(*out));
	out->iommu = has_groups(root);
	snprintf(path, sizeof(path), "%s/bus/pci/devices", root);
	n = names_of(path, &names);
	out->list = calloc((size_t)(n > 0 ? n : 1), sizeof(*out->list));
	if (n < 0 || !out->list)
		err = -ENOMEM;
	for (int i = 0; !err && i < n; i++)
		if (names[i]->d_name[0] != '.' && read_class(root, names[i]->d_name) == CLASS_NETWORK)
			err = read_nic(root, names[i]->d_name, &out->list[out->n++]);
	free_names(names, n);
	if (err)
		vfio_free(out);
	return err;
}

void vfio_free(struct vfio_nics *nics)
{
	for (size_t i = 0; nics->list && i < nics->n; i++)
		free(nics->list[i].others);
	free(nics->list);
	memset(nics, 0, sizeof(*nics));
}

/* ---- output ---- */

static const char *use_of(const struct vfio_nics *nics, const struct vfio_nic *nic)
{
	if (nic->away)
		return "given away";
	if (nic->port[0])
		return "used by the plane";
	if (!nics->iommu || nic->group < 0)
		return "no: no IOMMU";
	return nic->n_others ? "with its group" : "yes";
}

static void add_nic(struct table *t, const struct vfio_nics *nics, const struct vfio_nic *nic)
{
	char group[16] = "-";

	if (nic->group >= 0)
		snprintf(group, sizeof(group), "%d", nic->group);
	table_text(t, PLAIN, nic->address);
	table_text(t, PLAIN, nic->device[0] ? nic->device : "-");
	table_text(t, PLAIN, nic->driver[0] ? nic->driver : "-");
	table_text(t, PLAIN, group);
	table_text(t, PLAIN, nic->port[0] ? nic->port : "-");
	table_text(t, PLAIN, use_of(nics, nic));
}

void print_vfio(FILE *out, const struct vfio_nics *nics)
{
	struct table t;
	char heads[64];

	if (!nics->iommu)
		fprintf(out, "no IOMMU: this kernel has no IOMMU groups, so no device can be given to a guest;\n"
			     "switch it on in the firmware (VT-d, AMD-Vi, SMMU) and boot with intel_iommu=on\n");
	if (!nics->n) {
		fprintf(out, "no PCI network controller\n");
		return;
	}
	table_init(&t, "ADDRESS DEVICE DRIVER GROUP PORT GIVE", heads, sizeof(heads));
	for (size_t i = 0; i < nics->n; i++)
		add_nic(&t, nics, &nics->list[i]);
	table_print(&t, out, table_colours(out));
	for (size_t i = 0; i < nics->n; i++) {
		const struct vfio_nic *nic = &nics->list[i];

		if (nic->n_others)
			fprintf(out, "group %d of %s goes as a whole, with:\n", nic->group, nic->address);
		for (size_t o = 0; o < nic->n_others; o++)
			fprintf(out, "    %s\n", nic->others[o]);
	}
}

static json_t *text_or_null(const char *s)
{
	json_t *j = *s ? json_string(s) : NULL;

	return j ? j : json_null();
}

static json_t *nic_json(const struct vfio_nic *nic)
{
	json_t *others = json_array();

	for (size_t i = 0; i < nic->n_others; i++)
		json_array_append_new(others, json_string(nic->others[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b}", "address", nic->address, "device",
			 text_or_null(nic->device), "driver", text_or_null(nic->driver), "group",
			 nic->group < 0 ? json_null() : json_integer(nic->group), "others", others, "port",
			 text_or_null(nic->port), "away", nic->away);
}

int print_vfio_json(FILE *out, const struct vfio_nics *nics)
{
	json_t *list = json_array(), *o;
	int ret;

	for (size_t i = 0; i < nics->n; i++)
		json_array_append_new(list, nic_json(&nics->list[i]));
	o = json_pack("{s:i, s:b, s:o}", "schema", 1, "iommu", nics->iommu, "nics", list);
	ret = o ? json_dumpf(o, out, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;
	json_decref(o);
	fputc('\n', out);
	return ret || ferror(out) ? -EIO : 0;
}
