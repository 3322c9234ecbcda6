# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A VM that boots another kernel with this machine's own userland and source tree, so that the suites run inside it.

    guest = Native(net, "6.12")             / of this machine by 9p, read-only, under an overlay in the guest's memory
    guest.start().wait(300)
    guest.run("cmd") -> (rc, output)        as in vmlab; the guest's `logs` directory is build/logs of its tree
"""
import os
import glob

import backports
from lab.net import ROOT
from vmlab import CACHE, CPU, Cpio, Vm, modules_in_order, unpacked

STAGE1_MODULES = ["virtio_pci", "9p", "9pnet_virtio", "overlay"]
# What the suites need: a device's first use does not load its module where the suite has a namespace of its own.
STAGE2_MODULES = ["tun", "veth", "bridge", "cls_bpf", "sch_ingress", "vxlan", "dummy", "8021q", "macvlan", "bonding"]

STAGE1 = r"""#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /dev /lower /upper /new
$B mount -t proc proc /proc
$B mount -t devtmpfs devtmpfs /dev
for m in $($B cat /modules); do $B insmod "$m"; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 root /lower || exec $B poweroff -f
$B mount -t tmpfs -o size=1500m tmpfs /upper
$B mkdir /upper/data /upper/work
$B mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /new
$B mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp /new@TREE@/build/logs
$B cp /stage2 /new/stage2
$B umount /proc
$B mount --move /dev /new/dev
exec $B switch_root /new /stage2
"""

STAGE2 = r"""#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /dev/pts /dev/shm /run/lock /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -sf /proc/self/fd /dev/fd
mount -t tmpfs tmpfs /lib/modules
ln -s @MODULES@ /lib/modules/
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 logs @TREE@/build/logs
for m in @STAGE2@; do modprobe "$m"; done
ip link set lo up
cd @TREE@ || exit
exec </dev/ttyS1 >/dev/ttyS1
stty raw -echo
echo READY
while read -r id line; do
	echo "$line" | base64 -d >/tmp/cmd.$id
	bash /tmp/cmd.$id >/tmp/out.$id 2>&1 </dev/null
	echo "RC $id $?"
	base64 /tmp/out.$id
	echo "END $id"
	rm -f /tmp/cmd.$id /tmp/out.$id
done
"""


def _boot(series):
    """(kernel, initramfs) that ends in this machine's / under an overlay."""
    tree = unpacked(backports.full(series), meta=True)
    release = glob.glob(f"{tree}/lib/modules/*")[0]
    modules = modules_in_order(release, STAGE1_MODULES)
    path = f"{CACHE}/native-{series}"
    archive = Cpio()
    archive.directory("dev")
    archive.device("dev/console", 5, 1)
    archive.copy("bin/busybox", f"{unpacked('busybox-static')}/bin/busybox")
    for module in modules:
        archive.copy(f"lib/mod/{os.path.basename(module)}", module)
    archive.add("modules", "".join(f"/lib/mod/{os.path.basename(m)}\n" for m in modules).encode(), 0o100644)
    words = {"@TREE@": ROOT, "@MODULES@": release, "@STAGE2@": " ".join(STAGE2_MODULES)}
    for name, text in (("init", STAGE1), ("stage2", STAGE2)):
        for word, value in words.items():
            text = text.replace(word, value)
        archive.add(name, text.encode())
    archive.write(path)
    return glob.glob(f"{tree}/boot/vmlinuz-*")[0], path


class Native(Vm):
    """The VM; `logs` is the directory of this machine that it may write."""

    def __init__(self, net, series, logs, memory=3072, smp=2):
        share = "security_model=none,multidevs=remap"
        super().__init__(net, f"native-{series}", _boot(series), [
            *CPU, "-virtfs", f"local,path=/,mount_tag=root,readonly=on,{share}",
            "-virtfs", f"local,path={logs},mount_tag=logs,{share}"], memory=memory, smp=smp)
