/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "importing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_import(IMPORT_QVMCONF, data, size);
	return 0;
}
