# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The kernels of the matrix: Debian 12's own and the newest of its backports, unpacked under build/vm, never installed."""
import glob
import os
import re
import subprocess

from lab import run
from vmlab import CACHE, unpacked

SERIES = ["6.1", "6.12"]
LISTS = f"{CACHE}/backports"
SOURCE = "deb http://deb.debian.org/debian bookworm-backports main\n"


def _apt(tool, *words, cwd=None):
    """apt with lists of its own: the machine's are not touched."""
    options = ["-o", f"Dir::Etc::sourcelist={LISTS}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::lists={LISTS}/lists", "-o", f"Dir::Cache={LISTS}/cache"]
    return subprocess.run([tool, "-q", *options, *words], cwd=cwd, check=True, text=True, timeout=200,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def kernel(flavour="cloud-amd64"):
    """The name under which vmlab finds the newest kernel of the backports, of this flavour."""
    name = f"backports-{flavour}"
    mark = f"{CACHE}/{name}.dir"
    if os.path.exists(mark):
        return name
    for sub in ("lists/partial", "cache/archives/partial"):
        os.makedirs(f"{LISTS}/{sub}", exist_ok=True)
    with open(f"{LISTS}/sources.list", "w", encoding="ascii") as f:
        f.write(SOURCE)
    _apt("apt-get", "update")
    real = re.search(r"Depends: (linux-image-\S+)", _apt("apt-cache", "depends", f"linux-image-{flavour}")).group(1)
    _apt("apt-get", "download", real, cwd=LISTS)
    target = f"{CACHE}/{real}"
    run(["dpkg-deb", "-x", glob.glob(f"{LISTS}/{real}_*.deb")[0], target], timeout=120)
    packed = glob.glob(f"{target}/lib/modules/**/*.ko.xz", recursive=True)
    for at in range(0, len(packed), 100):
        run(["xz", "-d", *packed[at:at + 100]], timeout=120)
    with open(mark, "w", encoding="ascii") as f:
        f.write(target)
    return name


def full(series):
    """The name under which vmlab finds the full kernel of one of SERIES."""
    name = "linux-image-amd64" if series == SERIES[0] else kernel("amd64")
    tree = unpacked(name, meta=True)
    release = os.path.basename(glob.glob(f"{tree}/lib/modules/*")[0])
    if not release.startswith(series + "."):
        raise RuntimeError(f"{name} is Linux {release}, not {series}: tests/matrix/backports.py names the series")
    if not os.path.exists(f"{tree}/lib/modules/{release}/modules.dep"):
        run(["/usr/sbin/depmod", "-b", tree, release], timeout=120)
    return name
