# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A newer kernel than Debian 12's own, from Debian's backports, unpacked under build/vm and never installed."""
import glob
import os
import re
import subprocess

from lab import run
from vmlab import CACHE

LISTS = f"{CACHE}/backports"
SOURCE = "deb http://deb.debian.org/debian bookworm-backports main\n"


def _apt(tool, *words, cwd=None):
    """apt with lists of its own: the machine's are not touched."""
    options = ["-o", f"Dir::Etc::sourcelist={LISTS}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::lists={LISTS}/lists", "-o", f"Dir::Cache={LISTS}/cache"]
    return subprocess.run([tool, "-q", *options, *words], cwd=cwd, check=True, text=True, timeout=200,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def kernel():
    """The name under which vmlab finds the newest cloud kernel of the backports."""
    mark = f"{CACHE}/backports-kernel.dir"
    if os.path.exists(mark):
        return "backports-kernel"
    for sub in ("lists/partial", "cache/archives/partial"):
        os.makedirs(f"{LISTS}/{sub}", exist_ok=True)
    with open(f"{LISTS}/sources.list", "w", encoding="ascii") as f:
        f.write(SOURCE)
    _apt("apt-get", "update")
    real = re.search(r"Depends: (linux-image-\S+)", _apt("apt-cache", "depends", "linux-image-cloud-amd64")).group(1)
    _apt("apt-get", "download", real, cwd=LISTS)
    target = f"{CACHE}/{real}"
    run(["dpkg-deb", "-x", glob.glob(f"{LISTS}/{real}_*.deb")[0], target], timeout=120)
    packed = glob.glob(f"{target}/lib/modules/**/*.ko.xz", recursive=True)
    for at in range(0, len(packed), 100):
        run(["xz", "-d", *packed[at:at + 100]], timeout=120)
    with open(mark, "w", encoding="ascii") as f:
        f.write(target)
    return "backports-kernel"
