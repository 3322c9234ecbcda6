# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The demo: configs/demo.yaml at work between guests in namespaces, the three ways to connect a guest, then a plane
between real VMs where QEMU is installed.

Each check prints `ok ...` or `FAIL ...`; the exit code is 1 if one failed. Run it by tests/demo.sh, which gives it a
mount namespace of its own.
"""
import os
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [f"{TOP}/tests", f"{TOP}/tests/vm"]

import vmlab  # noqa: E402
from lab import Net, Plane, frames, tcp_transfer, udp_echo, wait_until  # noqa: E402
from lab.plane import PIN_ROOT, vpeer_binary  # noqa: E402

HOST_IP, HOST_IP6 = "198.18.0.1", "fd00:198::1"
CONFIG = f"{TOP}/configs/demo.yaml"
failed = []


def title(text):
    print(f"\n== {text}", flush=True)


def check(text, work):
    """Runs a check; its value or an exception decides. A text as value is shown."""
    try:
        value = work()
        ok, more = bool(value) or value is None, f" ({value})" if isinstance(value, str) else ""
    except Exception as e:
        ok, more = False, f": {str(e).strip() or type(e).__name__}"
    print(f"{'ok  ' if ok else 'FAIL'} {text}{more}", flush=True)
    if not ok:
        failed.append(text)
    return ok


def show(ns, command):
    print(f"\n$ {command}", flush=True)
    print(ns.sh(command, check=False).stdout.rstrip(), flush=True)


def snapshot(ns):
    """What must be the same after `down` as before `up`: devices and their settings, qdiscs, links, pins."""
    out = {f"ip link, {d['ifname']}, {key}": value for d in ns.json("ip -j -d link") for key, value in d.items()
           if key != "operstate"}
    for key in [k for k in out if k.endswith(", flags")]:
        out[key] = [flag for flag in out[key] if flag != "NO-CARRIER"]      # follows the guests, with a delay
    for name in ns.devices():
        out[f"ethtool -k {name}"] = ns.run(f"ethtool -k {name}", check=False).stdout
    for command in ("tc qdisc show", "bpftool net show", f"ls -R {os.path.dirname(PIN_ROOT)}", "ls -R /run/vpeer"):
        out[command] = ns.run(command, check=False).stdout
    return out


def same(before, after):
    """Whether two snapshots are equal; an error that names the differences if not."""
    differ = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if differ:
        raise AssertionError("; ".join(f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in differ))


class Leak:
    """A capture at a guest that should hear nothing: frames for other guests."""

    def __init__(self, guest):
        self.guest, self.sniffer = guest, guest.raw(ignore_outgoing=True, promisc=True)

    def foreign(self):
        own = frames.mac_bytes(self.guest.mac)
        return sum(1 for c in self.sniffer.drain() if not c.frame[0] & 1 and c.frame[:6] != own)


class Watch(threading.Thread):
    """Looks for our loader among the running processes, ten times a second, until stopped."""

    def __init__(self, ns, binary):
        super().__init__(daemon=True)
        self.ns, self.binary, self.ending, self.looks, self.seen = ns, binary, False, 0, []

    def run(self):
        while not self.ending:
            found = subprocess.run(["pgrep", "-a", "-f", f"^{self.binary}"], stdout=subprocess.PIPE, text=True).stdout
            self.seen += found.splitlines()
            self.looks += 1
            time.sleep(0.1)

    def verdict(self):
        self.ending = True
        self.join()
        if self.seen or not self.looks:
            raise AssertionError(f"seen: {self.seen[:3]}")
        return f"looked {self.looks} times"


def bulk(one, two, mib=64):
    seconds = tcp_transfer(one, two, mib=mib)
    return f"{mib} MiB each way, SHA-256 equal, {2 * mib * 8.388608 / 1000 / seconds:.1f} Gbit/s"


def guests_in_namespaces(net):
    title("Three guests, the world and a plane: configs/demo.yaml")
    guests = [net.veth_guest(1, dev="vpd-g1"), net.vm_guest(2, dev="vpd-g2"), net.vm_guest(3, dev="vpd-g3")]
    world = net.uplink(dev="vpd-wan")
    print("guest1 is behind a veth; guest2 and guest3 are behind TAPs as VMs are: virtio header, default offloads.\n"
          "world is behind a veth that stands for the NIC (wan0). vp0 is the host's own interface.")
    host, plane = net.host, Plane(net.host, "demo")
    before = snapshot(host)
    check("nothing forwards before `vpeer up`", lambda: not guests[0].ping(guests[1], timeout=0.3))
    check("vpeer up -f configs/demo.yaml", lambda: plane.run(["up", "-f", CONFIG]).stdout.strip())
    check("a second `up` changes nothing", lambda: plane.run(["up", "-f", CONFIG]).stdout.strip())
    host.sysctl("net/ipv6/conf/vp0/accept_dad", 0)
    host.ip(f"addr add {HOST_IP}/15 dev vp0", f"addr add {HOST_IP6}/64 dev vp0 nodad", "link set vp0 up")
    watch = Watch(host, plane.binary)
    watch.start()
    everyone_talks(guests, world)
    streams(guests, world)
    isolation(net, guests)
    check("no vpeer process ran meanwhile: the kernel forwards", watch.verdict)
    glimpses(host, plane)
    plane.run("down")
    check("after `vpeer down` devices, offloads, qdiscs, BPF links and pins are as before",
          lambda: same(before, snapshot(host)))
    check("and nothing forwards", lambda: not guests[0].ping(guests[1], timeout=0.3))


def everyone_talks(guests, world):
    title("Pings")
    named = [(f"guest{g.number}", g) for g in guests] + [("world", world)]
    for i, (name, one) in enumerate(named):
        for other, two in named[i + 1:]:
            check(f"{name} and {other} ping each other, IPv4 and IPv6", lambda one=one, two=two: all(
                (one.ping(two, 3), two.ping(one, 3), one.ping6(two, 3), two.ping6(one, 3))))
    for name, one in named:
        check(f"{name} pings the host at vp0, IPv4 and IPv6",
              lambda one=one: one.ping(HOST_IP, 3) and one.ping6(HOST_IP6, 3))


def streams(guests, world):
    title("TCP and UDP with default offloads")
    one, two, three = guests
    for text, a, b in (("guest2 (VM) to guest3 (VM)", two, three), ("guest1 (veth) to guest2 (VM)", one, two),
                       ("guest3 (VM) to world", three, world)):
        check(f"TCP {text}", lambda a=a, b=b: bulk(a, b))
        check(f"UDP {text}, checksums right, also in fragments",
              lambda a=a, b=b: udp_echo(a, b, 20) + udp_echo(a, b, 5, 4000) == 0)


def isolation(net, guests):
    title("Nobody hears or sends what is not theirs")
    one, two, three = guests
    ear = Leak(three)
    one.raw().send(frames.udp(one.mac, "52:54:00:00:00:ee", one.ip, frames.ip(99)))
    check("control: a frame to an address that nobody has reaches guest3", lambda: ear.foreign() == 1)
    check("guest1 and guest2 talk", lambda: one.ping(two, 20) and bulk(one, two, 8))
    check("guest3, in promiscuous mode, hears not one frame of it", lambda: ear.foreign() == 0)
    raw, heard = one.raw(), two.raw(ignore_outgoing=True)
    own = frames.udp(one.mac, two.mac, one.ip, two.ip, payload=b"own address")
    forged = frames.udp(three.mac, two.mac, three.ip, two.ip, payload=b"forged")
    raw.send(own)
    check("control: a raw frame with guest1's own address arrives", lambda: heard.recv_match(own) is not None)
    raw.send(forged)
    check("the same with a forged source address does not", lambda: heard.recv_match(forged, 0.3) is None)


def glimpses(host, plane):
    title("What vpeer shows")
    check("guest1's forged frame is counted as foreign_mac", lambda: plane.drops("guest1").get("foreign_mac", 0) >= 1)
    print(f"\n$ vpeer --plane demo show\n{plane.run('show all').stdout.rstrip()}")
    title("What the kernel shows")
    show(host, "bpftool net show")
    show(host, f"ls {PIN_ROOT}/demo/*")
    show(host, f"bpftool map dump pinned {PIN_ROOT}/demo/maps/vp_macs | head -30")


def three_ways(net):
    title("The three ways to connect a guest: configs/guest-to-guest, guest-to-host, pass-through.yaml")
    one, two, world = net.vm_guest(1, dev="tap0"), net.vm_guest(2, dev="tap1"), net.uplink("eth1")
    plane = Plane(net.host, "way")
    for name, use in (("guest-to-guest", lambda: guest_to_guest(plane, one, two)),
                      ("guest-to-host", lambda: guest_to_host(net, plane, one)),
                      ("pass-through", lambda: pass_through(net, one, world))):
        print()
        if check(f"vpeer up -f configs/{name}.yaml",
                 lambda name=name: plane.run(["up", "-f", f"{TOP}/configs/{name}.yaml"]).stdout.strip()):
            use()
            print(plane.run("show bindings").stdout.rstrip())
        plane.down()


def hears(one, other):
    """A link that has just come up needs a moment, on a busy machine more."""
    return wait_until(lambda: one.ping(other), timeout=15, what="a first answer")


def comes_back(plane, guest):
    """The VM dies and returns on a new TAP."""
    guest.kill()
    wait_until(lambda: not plane.ns.exists(guest.port), what="the TAP to go")
    guest.restart()
    plane.attach()


def guest_to_guest(plane, one, two):
    check("guest1 and guest2 talk over a wire of their own",
          lambda: hears(one, two) and two.ping6(one) and bulk(one, two, 16))
    check("guest1's VM dies and returns with a new TAP; `vpeer attach` takes it",
          lambda: comes_back(plane, one) or hears(one, two))


def guest_to_host(net, plane, guest):
    net.host.ip(f"addr add {HOST_IP}/15 dev vp0", "link set vp0 up")
    check("guest1 and the host talk over a wire: vp0", lambda: hears(guest, HOST_IP) and guest.ping(HOST_IP, 3))
    check("guest1's VM dies and returns; vp0 has kept its address",
          lambda: comes_back(plane, guest) or hears(guest, HOST_IP))


def pass_through(net, guest, world):
    check("guest1 has the NIC eth1 to itself", lambda: hears(guest, world) and bulk(guest, world, 16))
    inside, outside = guest.raw(promisc=True, ignore_outgoing=True), world.raw(promisc=True, ignore_outgoing=True)
    group = frames.eth("01:80:c2:00:00:00", frames.mac(9), 0x8899, b"x" * 50)
    tagged = frames.udp(frames.mac(9), frames.mac(8), frames.ip(9), frames.ip(8), vlans=[100])
    for text, frame in (("of a bridge (reserved group)", group), ("with a tag", tagged)):
        check(f"a frame {text} crosses in both directions", lambda frame=frame: all(
            a.send(frame) or b.recv_match(lambda f, frame=frame: f[:12] == frame[:12])
            for a, b in ((outside, inside), (inside, outside))))
    net.host.ip("addr add 198.19.7.1/24 dev eth1")
    world.ns.ip("addr add 198.19.7.2/24 dev eth0")
    check("the host's own stack is not reached by it", lambda: not world.ping("198.19.7.1", timeout=0.3))


def real_machines(net):
    title("Two real VMs (QEMU, Debian's kernel, virtio-net, default offloads)")
    why = vmlab.missing()
    if why:
        print(f"skipped: {why}")
        return
    plane = Plane(net.host, "demovm")
    one, two = vmlab.VmGuest(net, 1).start(), vmlab.VmGuest(net, 2).start()
    check("vpeer up", lambda: plane.up(plane.segment("lan", "g1", "g2", host=["vp0"])).stdout.strip())
    net.host.sysctl("net/ipv6/conf/vp0/accept_dad", 0)
    net.host.ip(f"addr add {HOST_IP}/15 dev vp0", f"addr add {HOST_IP6}/64 dev vp0 nodad", "link set vp0 up")
    vmlab.echo_server(net.host)
    one.wait()
    two.wait()
    check("the VMs and the host ping each other, IPv4 and IPv6", lambda: all(
        (one.ping(two, 3), two.ping6(one, 3), one.ping(HOST_IP, 3), two.ping6(HOST_IP6, 3))))
    check("TCP between the VMs, both ways, each byte compared", lambda: one.tcp(two, 16).strip())
    check("TCP from a VM to the host, both ways", lambda: two.tcp(HOST_IP, 16).strip())
    check("UDP between the VMs, also in fragments", lambda: one.udp(two, 20, 1000) and one.udp(two, 5, 4000).strip())
    one.kill()
    check("a VM is killed; the other and the host go on", lambda: two.ping(HOST_IP))
    one.restart()
    check("restarted with a new TAP, `vpeer attach` takes it back",
          lambda: plane.attach().returncode == 0 and one.ping(two))
    plane.down()


def interrupted(*_):
    """The first signal ends the demo and cleans up; another one must not end the clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    if vpeer_binary() is None:
        print("FAIL no build/vpeer: run make")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    began = time.monotonic()
    try:
        for part in (guests_in_namespaces, three_ways, real_machines):
            with Net() as net:
                part(net)
    except KeyboardInterrupt:
        failed.append("interrupted")
    except Exception as e:
        print(f"FAIL the demo ended early: {e}")
        failed.append(str(e))
    print(f"\n{'FAIL: ' + '; '.join(failed) if failed else 'ok: all checks passed'} ({time.monotonic() - began:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
