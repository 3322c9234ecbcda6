/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dlfcn.h>
#include <string.h>

#include "late.h"

const char *late_load(const char *file, const char *const names[], size_t n, void *table)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < n; i++) {
		void *address = dlsym(library, names[i]);

		if (!address)
			return dlerror();
		memcpy((char *)table + i * sizeof(address), &address, sizeof(address));
	}
	return library ? NULL : dlerror();
}
