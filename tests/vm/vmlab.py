# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real guests: QEMU without KVM, Debian's kernel, busybox, and a command agent on a serial port.

    guest = VmGuest(net, 1)                  QEMU in net.host on TAP "g1" (made by QEMU, gone with it), virtio-net
    guest = VmGuest(net, 1, persist=True)    with default offloads; or on a persistent TAP made before
    VmGuest(net, 1, modules=["sctp"], programs=with_libraries(["/usr/sbin/ip"]))        more inside
    guest.start(); guest.wait()              start several first, then wait: they boot at the same time
    guest.run("cmd") -> (rc, output)         in the guest; check=True raises
    guest.ping(other) .ping6(other) .tcp(other, mib=64) .udp(other, count=50, size=1000)    other runs `vmtool serve 7`
    guest.kill(); guest.restart()

    machine = Machine(net, [("e1000e", mac), ("virtio-net-pci", mac, 4)], binary)    the plane's host as a VM: full
    machine.start().wait(); machine.run("ip link"); machine.vpeer("up -f -", TEXT)    kernel, ip, tc, ethtool, bpftool,
    machine.wires[0].send(frame) / .recv(timeout) / .recv_match(...)    vpeer; the far end of each NIC's cable

Kernel packages are downloaded and unpacked under build/vm, never installed.
"""
import base64
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

from lab import frames, run, wait_until
from lab.net import ROOT
from lab.ns import SLOW
from lab.sniff import Sniffer
from lab.tap import Reader, Rx

CACHE = f"{ROOT}/build/vm"
QEMU = "qemu-system-x86_64"
ECHO_PORT = 7
TROUBLE = re.compile(r"BUG: |Oops: |general protection|invalid opcode|WARNING: |int3: |Kernel panic")
DIEAT = "/usr/lib/dieat.so"
GUEST_MODULES = ["virtio_pci", "virtio_net"]
MACHINE_MODULES = ["virtio_pci", "virtio_net", "e1000e", "tun", "veth", "cls_bpf", "sch_ingress", "bridge"]
# tests/matrix has other kernels; QEMU 7.2's emulation of cx16 crashes those that use it for their slab allocator.
MACHINE_KERNEL = os.environ.get("VPT_KERNEL", "linux-image-amd64")
CPU = ["-cpu", "qemu64,-cx16"]
MACHINE_TOOLS = ["/usr/sbin/ip", "/usr/sbin/tc", "/usr/sbin/ethtool", "/usr/sbin/bpftool"]

INIT = r"""#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /dev /tmp /run /etc /root
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs devtmpfs /dev
$B mount -t tmpfs tmpfs /tmp
$B mount -t tmpfs tmpfs /run
$B mount -t bpf bpf /sys/fs/bpf
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
$B --install -s /bin
for m in $(cat /modules); do insmod "$m"; done
ip link set lo up
for word in $(cat /proc/cmdline); do
	case $word in
	vp.if=*) dev=${word#vp.if=} ;;
	vp.mac=*) mac=${word#vp.mac=} ;;
	vp.ip=*) ip4=${word#vp.ip=} ;;
	vp.ip6=*) ip6=${word#vp.ip6=} ;;
	esac
done
if [ -n "$mac" ]; then
	for d in /sys/class/net/*; do [ "$(cat $d/address)" = "$mac" ] && dev=${d##*/}; done
	echo 0 >/proc/sys/net/ipv6/conf/$dev/accept_dad
	ip link set $dev up
	ip addr add $ip4 dev $dev
	ip addr add $ip6 dev $dev
fi
# busybox's shell prefers its own ip and tc to the real ones
for tool in /usr/sbin/*; do
	[ -x "$tool" ] && echo "${tool##*/}() { $tool \"\$@\"; }"
done >/tmp/prelude
vmtool serve 7 >/tmp/serve 2>&1 &
exec </dev/ttyS1 >/dev/ttyS1
stty raw -echo
echo READY
while read -r id line; do
	echo "$line" | base64 -d >/tmp/cmd.$id
	sh -c ". /tmp/prelude; . /tmp/cmd.$id" >/tmp/out.$id 2>&1 </dev/null
	echo "RC $id $?"
	base64 /tmp/out.$id
	echo "END $id"
	rm -f /tmp/cmd.$id /tmp/out.$id
done
"""


def missing():
    """What this machine lacks for the VM tests, as text; None if nothing."""
    if not shutil.which(QEMU):
        return f"{QEMU} is not installed (apt install qemu-system-x86)"
    return None


# ---- files -----------------------------------------------------------------------------------------------------------

def unpacked(package, meta=False):
    """The directory of an unpacked Debian package; a meta package stands for the real one that it depends on."""
    mark = f"{CACHE}/{package}.dir"
    if os.path.exists(mark):
        with open(mark, encoding="ascii") as f:
            return f.read()
    os.makedirs(CACHE, exist_ok=True)
    real = package
    if meta:
        real = re.search(r"Depends: (linux-image-\S+)", run(["apt-cache", "depends", package]).stdout).group(1)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        subprocess.run(["apt-get", "-q", "download", real], cwd=scratch, check=True, timeout=120,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deb = glob.glob(f"{scratch}/*.deb")[0]
        target = f"{CACHE}/{os.path.basename(deb)[:-4]}"
        shutil.rmtree(target, ignore_errors=True)
        run(["dpkg-deb", "-x", deb, target], timeout=120)
    with open(mark, "w", encoding="ascii") as f:
        f.write(target)
    return target


def modules_in_order(tree, wanted):
    """Paths of the wanted modules and of all they depend on, dependencies first; a package has no modules.dep yet."""
    paths = {os.path.basename(p)[:-3].replace("-", "_"): p for p in glob.glob(f"{tree}/**/*.ko", recursive=True)}
    order = []

    def visit(name):
        path = paths.get(name)
        if path is None or path in order:       # built in
            return
        with open(path, "rb") as f:
            depends = re.search(rb"\0depends=([^\0]*)\0", f.read()).group(1).decode()
        for other in filter(None, depends.split(",")):
            visit(other.replace("-", "_"))
        order.append(path)

    for name in wanted:
        visit(name)
    return order


def with_libraries(programs):
    """The programs and the shared libraries they need, by the path under which the loader looks for them."""
    found = {}
    for program in programs:
        found[program] = program
        for line in run(["ldd", program], check=False).stdout.splitlines():
            path = re.search(r"(/\S+) \(0x", line)
            if path:
                found[path.group(1)] = path.group(1)
    return found


class Cpio:
    """A newc archive, the form of an initramfs."""

    def __init__(self):
        self.parts, self.inode, self.made = [], 0, set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        name = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        head = "070701" + "".join(f"{v:08x}" for v in fields)
        for piece in (head.encode() + name, data):
            self.parts.append(piece + bytes(-len(piece) % 4))

    def directory(self, name):
        if name and name not in self.made:
            self.directory(os.path.dirname(name))
            self.made.add(name)
            self._entry(name, 0o040755)

    def add(self, name, data, mode=0o100755):
        self.directory(os.path.dirname(name))
        self._entry(name, mode, data)

    def copy(self, name, path):
        with open(path, "rb") as f:
            self.add(name.lstrip("/"), f.read())

    def device(self, name, major, minor):
        self.directory(os.path.dirname(name))
        self._entry(name, 0o020600, device=(major, minor))

    def write(self, path):
        self._entry("TRAILER!!!", 0)
        with open(f"{path}.{os.getpid()}", "wb") as f:
            f.write(b"".join(self.parts))
        os.replace(f"{path}.{os.getpid()}", path)


def vmtool_binary():
    """build/vm/vmtool, built when missing or older than its source."""
    source, binary = f"{ROOT}/tests/vm/vmtool.c", f"{CACHE}/vmtool"
    if not os.path.exists(binary) or os.path.getmtime(binary) < os.path.getmtime(source):
        os.makedirs(CACHE, exist_ok=True)
        run(["gcc", "-static", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", f"{binary}.new", source],
            timeout=60)
        os.replace(f"{binary}.new", binary)
    return binary


def dieat_library():
    """build/vm/dieat.so; in the guest it is DIEAT."""
    os.makedirs(CACHE, exist_ok=True)
    run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", f"{CACHE}/dieat.so",
         f"{ROOT}/tests/vm/dieat.c"], timeout=60)
    return f"{CACHE}/dieat.so"


def lost_nothing(machine):
    """Ends the flow in the guest, whose standard output is /tmp/flow: it lost nothing, and it had something to lose."""
    machine.run("touch /tmp/stop; until grep -q sent /tmp/flow; do sleep 0.1; done")
    result = json.loads(machine.run("tail -n 1 /tmp/flow")[1])
    print(result)
    assert not [result[k] for k in ("refused", "lost", "twice", "late") if result[k]] and result["sent"], result


def of_planes(machine):
    """Ids of our programs that the guest has, less the sweep: that is the last build's that was let at the plane."""
    found = json.loads(machine.run("bpftool -j prog")[1])
    return {p["id"] for p in found if p.get("name", "").startswith("vp_") and p["name"] != "vp_start"}


def boot_files(package, wanted, programs=()):
    """(kernel, initramfs) with these modules and programs {path inside: path here}; made once per content."""
    tree = unpacked(package, meta=True)
    kernel = glob.glob(f"{tree}/boot/vmlinuz-*")[0]
    modules = modules_in_order(f"{tree}/lib/modules", wanted)
    files = {"bin/busybox": f"{unpacked('busybox-static')}/bin/busybox", "bin/vmtool": vmtool_binary(),
             **{f"lib/mod/{os.path.basename(m)}": m for m in modules}, **dict(programs)}
    stamp = hashlib.sha256((INIT + kernel).encode())
    for name, source in sorted(files.items()):
        with open(source, "rb") as f:
            stamp.update(name.encode() + f.read())
    path = f"{CACHE}/initramfs-{stamp.hexdigest()[:16]}"
    if not os.path.exists(path):
        for old in glob.glob(f"{CACHE}/initramfs-*"):
            if os.path.getmtime(old) < time.time() - 1800:
                os.unlink(old)
        archive = Cpio()
        archive.add("init", INIT.encode())
        archive.add("modules", "\n".join(f"/lib/mod/{os.path.basename(m)}" for m in modules).encode() + b"\n", 0o100644)
        archive.directory("dev")
        archive.device("dev/console", 5, 1)
        for name, source in files.items():
            archive.copy(name, source)
        archive.write(path)
    return kernel, path


# ---- machines --------------------------------------------------------------------------------------------------------

class Vm:
    """
    A QEMU process with a command agent; everything it has is in a scratch directory that goes with the net.

    QEMU 7.2, emulating several processors by as many threads, may run an instruction that has just been replaced.  Linux
    6.12 replaces one whenever an XDP program comes, goes or is swapped: of two programs that only pass, swapped under
    traffic, it dies within a second ("Oops: int3" in bpf_dispatcher_xdp_func).  `thread="single"` avoids it.
    """

    def __init__(self, net, name, boot, nics, append="", memory=192, smp=1, thread="multi"):
        self.net, self.name, self.boot, self.nics, self.append = net, name, boot, nics, append
        self.memory, self.smp, self.process, self.link, self.number = memory, smp, None, None, 0
        self.thread = thread
        self.scratch = tempfile.mkdtemp(prefix=f"{net.prefix}-")
        net.at_close(self._remove)

    def _remove(self):
        self.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def start(self):
        """Starts QEMU in the plane's namespace; wait() waits for the agent."""
        agent = f"{self.scratch}/agent"
        if os.path.exists(agent):
            os.unlink(agent)
        with open(f"{self.scratch}/qemu", "wb") as errors:
            self.process = self.net.host.popen(self.command(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self.net.processes.append(self.process)
        # QEMU waits for us: what the agent says before anyone listens would be lost.
        self.link = wait_until(self._connect, timeout=10, what="QEMU's socket")
        self.input = self.link.makefile("rb")
        return self

    def command(self):
        """QEMU and its arguments."""
        kernel, initramfs = self.boot
        return [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35",
               "-accel", f"tcg,thread={self.thread}", "-m", str(self.memory), "-smp", str(self.smp), "-kernel", kernel, "-initrd", initramfs,
               "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 random.trust_cpu=on tsc=reliable "
                         f"no_timer_check {self.append}",
               "-serial", f"file:{self.scratch}/console", "-chardev",
               f"socket,id=a,path={self.scratch}/agent,server=on,wait=on", "-serial", "chardev:a", *self.nics]

    def log(self):
        """What QEMU and the kernel said: the end, and where the kernel's trouble began."""
        out = ""
        for name in ("qemu", "console"):
            if os.path.exists(f"{self.scratch}/{name}"):
                with open(f"{self.scratch}/{name}", encoding="utf-8", errors="replace") as f:
                    said = f.read()
                trouble = TROUBLE.search(said, 0, max(0, len(said) - 3000))
                out += said[max(0, trouble.start() - 200):trouble.start() + 4000] + "\n[...]\n" if trouble else ""
                out += said[-3000:]
        return out

    def _connect(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name}: QEMU ended: {self.log()}")
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(f"{self.scratch}/agent")
            return sock
        except OSError:
            sock.close()
            return None

    def wait(self, timeout=60):
        """Waits until the guest has booted and its network is configured."""
        self.link.settimeout(timeout * SLOW)
        try:
            while b"READY" not in (line := self.input.readline()):
                if not line:
                    raise RuntimeError(f"{self.name}: QEMU ended: {self.log()}")
        except TimeoutError:
            raise RuntimeError(f"{self.name} did not boot in {timeout * SLOW:.0f} s: {self.log()}") from None
        return self

    def run(self, cmd, check=True, timeout=60):
        """Runs shell text in the guest: (exit code, output)."""
        self.number += 1
        self.link.settimeout(timeout * SLOW)
        self.link.sendall(f"{self.number} {base64.b64encode(cmd.encode()).decode()}\n".encode())
        rc, body = None, []
        while (line := self.input.readline().decode().strip()) != f"END {self.number}":
            if line.startswith(f"RC {self.number} "):
                rc = int(line.split()[2])
            elif rc is not None:
                body.append(line)
            elif not line:
                raise RuntimeError(f"{self.name}: connection lost: {self.log()}")
        output = base64.b64decode("".join(body)).decode(errors="replace")
        if check and rc != 0:
            raise AssertionError(f"{self.name}: {cmd}: exit {rc}\n{output}")
        return rc, output

    def put(self, path, data):
        """Writes a small file in the guest."""
        self.run(f"echo {base64.b64encode(data.encode()).decode()} | base64 -d >{path}")

    def kill(self):
        """The VM dies: SIGKILL."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.link is not None:
            self.input.close()
            self.link.close()
            self.link = None


class VmGuest(Vm):
    """A guest of the plane: virtio-net with default offloads on TAP "gN" in net.host, numbered as lab.Guest."""

    def __init__(self, net, number, dev=None, persist=False, queues=1, device="virtio-net-pci", memory=160,
                 modules=(), programs=()):
        self.mac, self.ip, self.ip6 = frames.mac(number), frames.ip(number), frames.ip6(number)
        self.port = dev or f"g{number}"
        multi = f",queues={queues}" if queues > 1 else ""
        vectors = f",mq=on,vectors={2 * queues + 2}" if queues > 1 else ""
        if persist:
            net.host.run(f"ip tuntap add dev {self.port} mode tap vnet_hdr {'multi_queue' if queues > 1 else ''}")
        nics = ["-netdev", f"tap,id=n,ifname={self.port},script=no,downscript=no,vhost=off{multi}",
                "-device", f"{device},netdev=n,mac={self.mac}{vectors}"]
        super().__init__(net, f"vm{number}", boot_files("linux-image-cloud-amd64", [*GUEST_MODULES, *modules], programs), nics,
                         f"vp.mac={self.mac} vp.ip={self.ip}/15 vp.ip6={self.ip6}/64", memory, smp=queues)

    def start(self):
        super().start()
        wait_until(self._tap_is_there, timeout=10, what=f"TAP {self.port}")
        self.net.host.up(self.port)
        return self

    def _tap_is_there(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name}: QEMU ended: {self.log()}")
        return self.net.host.exists(self.port) and "LOWER_UP" in self._flags_when_up()

    def _flags_when_up(self):
        self.net.host.up(self.port)
        return self.net.host.link(self.port)["flags"]

    def restart(self):
        """The VM comes back with the same addresses; a TAP made by QEMU has another ifindex."""
        return self.start().wait()

    def ping(self, target, count=1, size=56, timeout=2):
        """True if every echo request was answered; target is a guest or an address."""
        return self._ping("-4", getattr(target, "ip", target), count, size, timeout)

    def ping6(self, target, count=1, size=56, timeout=2):
        return self._ping("-6", getattr(target, "ip6", target), count, size, timeout)

    def _ping(self, version, address, count, size, timeout):
        rc, out = self.run(f"ping {version} -A -q -c {count} -s {size} -W {timeout} {address}", check=False,
                           timeout=30 + count * timeout)
        return rc == 0 and f"{count} packets received" in out

    def tcp(self, target, mib=64, v6=False, timeout=120):
        """mib MiB to the target's echo server and back, every byte compared."""
        address = getattr(target, "ip6" if v6 else "ip", target)
        return self.run(f"vmtool tcp {address} {ECHO_PORT} {mib}", timeout=timeout)[1]

    def udp(self, target, count=50, size=1000, v6=False):
        """Datagrams to the target's echo server and back, compared; a lost one is an error."""
        address = getattr(target, "ip6" if v6 else "ip", target)
        return self.run(f"vmtool udp {address} {ECHO_PORT} {count} {size}")[1]


def echo_server(ns):
    """`vmtool serve` in a namespace, for VmGuest.tcp and .udp to an address there."""
    server = ns.popen([vmtool_binary(), "serve", str(ECHO_PORT)], stdout=subprocess.PIPE, text=True)
    if server.stdout.readline().strip() != "ready":
        raise RuntimeError("vmtool serve did not start")
    return server


class Wire(Reader):
    """The far end of a NIC's cable: one datagram of a Unix socket is one frame."""

    def __init__(self, near, far):
        self.far = far
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)        # SO_RCVBUFFORCE
        self.sock.bind(near)

    def send(self, frame):
        """Sends a frame to the NIC, padded to 60 bytes as on a cable."""
        self.sock.sendto(frame + bytes(max(0, 60 - len(frame))), self.far)

    def recv(self, timeout=1.0):
        """The next frame that the NIC sent: Rx(None, frame), or None."""
        self.sock.settimeout(max(timeout * SLOW, 0.001))
        try:
            return Rx(None, self.sock.recv(70000))
        except TimeoutError:
            return None

    def close(self):
        self.sock.close()


class TapWire(Reader):
    """The far end of a cable that is a TAP of QEMU's: only that gives a NIC several queues."""

    def __init__(self, ns, dev):
        self.end = Sniffer(ns, dev, ignore_outgoing=True)
        self.sock = self.end.sock

    def send(self, frame):
        """Sends a frame to the NIC, padded to 60 bytes as on a cable."""
        self.end.send(frame + bytes(max(0, 60 - len(frame))))

    def recv(self, timeout=1.0):
        """The next frame that the NIC sent: Rx(None, frame), or None; the TAP's host has put a tag beside it."""
        got = self.end.recv(timeout)
        return got and Rx(None, got.tagged)

    def close(self):
        self.end.close()


class Machine(Vm):
    """A plane's host as a VM with Debian's full kernel, our binary and NICs whose cables end in .wires.

    A NIC is (device, MAC) or (device, MAC, queue pairs)."""

    def __init__(self, net, nics, binary, extra=(), memory=640, smp=2):
        places = {"/usr/sbin/vpeer": binary, **dict(extra)}
        programs = with_libraries([*MACHINE_TOOLS, *places.values()])
        for place, path in places.items():
            programs[place] = programs.pop(path)
        boot = boot_files(MACHINE_KERNEL, MACHINE_MODULES, programs)
        super().__init__(net, "machine", boot, list(CPU), memory=memory, smp=smp)
        self.wires, self.macs = [], [mac for _, mac, *_ in nics]
        for i, nic in enumerate(nics):
            (self._tap_nic if len(nic) > 2 else self._dgram_nic)(i, *nic)
        net.at_close(lambda: [wire.close() for wire in self.wires])

    def _dgram_nic(self, i, device, mac):
        near, far = f"{self.scratch}/wire{i}", f"{self.scratch}/nic{i}"
        self.wires.append(Wire(near, far))
        ends = f"local.type=unix,local.path={far},remote.type=unix,remote.path={near}"
        self.nics += ["-netdev", f"dgram,id=n{i},{ends}", "-device", f"{device},netdev=n{i},mac={mac}"]

    def _tap_nic(self, i, device, mac, queues):
        dev, ns = f"wire{i}", self.net.host
        ns.ip(f"tuntap add dev {dev} mode tap multi_queue")
        ns.sysctl(f"net/ipv6/conf/{dev}/disable_ipv6", 1)
        ns.up(dev)
        self.wires.append(TapWire(ns, dev))
        tap = f"tap,id=n{i},ifname={dev},script=no,downscript=no,vhost=off,vnet_hdr=off,queues={queues}"
        self.nics += ["-netdev", tap, "-device", f"{device},netdev=n{i},mac={mac},mq=on,vectors={2 * queues + 2}"]

    def device_of(self, mac):
        """The name that the VM's kernel gave to the NIC with this address."""
        return self.run(f"grep -l {mac} /sys/class/net/*/address | cut -d/ -f5")[1].strip()

    def vpeer(self, words, conf=None, check=True):
        """`vpeer WORDS` in the VM, with `conf` as standard input."""
        if conf is not None:
            self.put("/tmp/conf", conf)
        return self.run(f"vpeer {words} {'</tmp/conf' if conf is not None else ''}", check=check)
