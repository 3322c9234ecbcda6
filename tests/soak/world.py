# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is around the plane: devices, the frames that the test sends and reads, and the steady flows.

Every frame of the test carries its sender, the tag it was sent with and the epoch it was sent in.  An epoch is a time
between two changes, or one change: then the configuration before it and the one after it may hold, and no other.
"""
import contextlib
import os
import select
import struct
import time
from collections import deque

from lab import Sniffer, Tap, frames
from lab.flow import B, Flow
from lab.ns import SLOW

MARK = struct.Struct("!4s4sHiIII")      # magic, whose soak, sender, tag, number, epoch, padding
MAGIC = b"VPSK"
GROUP = "03:00:00:00:00:01"
RATE = 1000
FLOWS = ("sx", "sv", "sb", "st")        # by XDP, by tc, over a binding, over a trunk
STEADY = {
    "segments": [{"name": "s0", "vlan": 30}, {"name": "s1"}, {"name": "s2", "vlan": 100}, {"name": "s3", "vlan": 100}],
    "ports": [{"name": "sxa", "device": "sxa", "segment": "s0"}, {"name": "sxb", "device": "sxb", "segment": "s0", "mac": [B]},
              {"name": "sva", "device": "sva", "segment": "s1"}, {"name": "svb", "device": "svb", "segment": "s1", "mac": [B]},
              {"name": "sba", "device": "sba"}, {"name": "sbb", "device": "sbb"},
              # The two uplinks are the ends of one cable: what leaves s2 tagged comes into s3.
              {"name": "sta", "device": "sta", "segment": "s2"},
              {"name": "stu", "device": "stu", "kind": "uplink", "tagged": ["s2"], "mac": [B]},
              {"name": "stw", "device": "stw", "kind": "uplink", "tagged": ["s3"]},
              {"name": "stb", "device": "stb", "segment": "s3", "mac": [B]},
              # Listeners, which nothing happens to either; the test sees what they get.
              {"name": "l0", "device": "l0", "segment": "s0"}, {"name": "l1", "device": "l1", "segment": "s1"},
              {"name": "l2", "device": "l2", "segment": "s2"}, {"name": "l3", "device": "l3", "segment": "s3"},
              {"name": "lb0", "device": "lb0"}, {"name": "lb1", "device": "lb1"}],
    "bindings": [{"a": "sba", "b": "sbb"}, {"a": "lb0", "b": "lb1"}]}
LISTENERS = ("l0", "l1", "l2", "l3", "lb0", "lb1")
TAPS = tuple(f"c{i}" for i in range(5))
VETHS = tuple(f"v{i}" for i in range(3))
UPLINKS = ("w0",)
HOSTS = ("h0", "h1")
ABSENT = ("x0", "x1")


class Device:
    """A TAP, or the host's end of a veth pair, whose other end is NAMEe in the namespace "far"."""

    def __init__(self, world, name, kind):
        self.world, self.name, self.called, self.kind = world, name, name, kind
        self.present = self.away = False
        self.up, self.mtu, self.end = True, 1500, None
        self.create()

    @property
    def ns(self):
        return self.world.net.world if self.away else self.world.host

    def create(self):
        self.away, self.up, self.mtu = False, True, 1500
        if self.kind == "tap":
            self.end = Tap(self.world.host, self.name)
        else:
            self.world.net.veth((self.world.host, self.name), (self.world.far, f"{self.name}e"))
            self.end = Sniffer(self.world.far, f"{self.name}e", ignore_outgoing=True)
        self.present = True
        self.world.changed()

    def delete(self):
        self.present = False
        if self.kind == "veth":
            self.ns.delete(self.name)
        self.end.close()
        self.end = None
        self.world.changed()

    def rename(self, name):
        self.ns.ip(f"link set {self.called} down", f"link set {self.called} name {name}", *([f"link set {name} up"] if self.up else []))
        self.called = name

    def move(self):
        """To another namespace, or back."""
        ns = self.ns
        self.away = not self.away
        self.world.changed()
        ns.ip(f"link set {self.name} netns {self.ns.name}")
        if self.up:
            self.ns.up(self.name)

    def set_up(self, up):
        self.ns.ip(f"link set {self.name} {'up' if up else 'down'}")
        self.up = up

    def set_mtu(self, mtu):
        self.ns.ip(f"link set {self.name} mtu {mtu}")
        self.mtu = mtu

    def restore(self):
        """As it was made."""
        if not self.present:
            self.create()
        if self.away:
            self.move()
        self.set_up(True)
        self.set_mtu(1500)


class World:
    def __init__(self, net, rng):
        self.net, self.rng, self.host, self.far = net, rng, net.host, net.ns("far")
        for ns in (self.host, self.far, net.world):
            ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.token = os.urandom(4)
        self.faults, self.epoch, self.views = [], 0, {0: []}
        self.number = self.delivered = 0
        self.seen, self.order = {}, deque()
        self.collected = None
        self.ends, self.poll, self.by_fd = {}, None, {}
        self.hosts = {}
        self.devices = {}
        for name in LISTENERS:
            self.devices[name] = Device(self, name, "tap")
        for name in TAPS:
            self.devices[name] = Device(self, name, "tap")
        for name in VETHS + UPLINKS:
            self.devices[name] = Device(self, name, "veth")
        net.at_close(self.close)
        self.stations = [*self.devices, *HOSTS]
        self.address = {name: frames.mac(100 + i) for i, name in enumerate(self.stations)}
        self.flows = self.make_flows()

    def make_flows(self):
        """Their devices; nothing flows yet."""
        self.net.veth((self.host, "stu"), (self.host, "stw"))
        guest = self.net.veth_guest(1, "sva")
        guest.ns.sysctl("net/ipv6/conf/eth0/disable_ipv6", 1)
        sources = {"sv": {"guest": guest}}
        return {f: Flow(self.net, [f"{f}b"], rate=RATE, **sources.get(f, {"tap": f"{f}a"})) for f in FLOWS}

    def close(self):
        for d in self.devices.values():
            if d.end:
                d.end.close()
        for s in self.hosts.values():
            s.close()

    # ---- stations ----

    def changed(self):
        """Another set of stations: looked at before the next frame."""
        self.poll = None

    def gather(self):
        self.ends = {n: d.end for n, d in self.devices.items() if d.present} | self.hosts
        self.poll, self.by_fd = select.poll(), {}
        for name, end in self.ends.items():
            fd = end.fds[0] if isinstance(end, Tap) else end.sock.fileno()
            self.by_fd[fd] = name
            self.poll.register(fd, select.POLLIN)

    def follow_hosts(self, wanted):
        """The interfaces of host ports are made by the plane; the host brings them up and listens."""
        there = set(self.host.devices())
        for name in [n for n in self.hosts if n not in wanted]:
            self.hosts.pop(name).close()
            self.changed()
        for name in wanted:
            if name not in there:
                continue
            self.host.up(name)
            old = self.hosts.get(name)
            if old is None or old.index != self.host.ifindex(name):
                if old:
                    old.close()
                self.hosts[name] = Sniffer(self.host, name, ignore_outgoing=True)
                self.hosts[name].index = self.host.ifindex(name)
                self.changed()

    # ---- frames ----

    def change(self, *models):
        """A new epoch, in which each of these configurations may hold."""
        out = frozenset(n for n, d in self.devices.items() if d.away)
        self.epoch += 1
        self.views[self.epoch] = [(m, out) for m in models]
        self.views.pop(self.epoch - 50, None)

    def payload(self, sender, tag):
        self.number += 1
        mark = MARK.pack(MAGIC, self.token, self.stations.index(sender), -1 if tag is None else tag, self.number, self.epoch, 0)
        return mark + bytes(self.rng.randrange(20, 90))

    def frame(self, sender, src, dst, tags=()):
        """(the frame, its number)"""
        first = tags[0] if tags else None
        tag = first if not isinstance(first, tuple) else first[1] | 0x10000
        body = self.payload(sender, tag)
        if self.rng.random() < 0.5:
            return frames.eth(dst, src, 0x88B5, body, tags), self.number
        return frames.udp(src, dst, "198.18.1.1", "198.18.1.2", payload=body, vlans=tags), self.number

    def source(self, model, station):
        """An address that the station may send from."""
        port = model.by_station().get(station, {})
        macs = port.get("mac", ())
        return self.rng.choice(macs) if macs and macs != "auto" else self.address[station]

    def fresh(self, model, station):
        """One that nobody else has sent from, where the station may send from any."""
        port = model.by_station().get(station, {})
        if "mac" in port and port.get("kind", "guest") == "guest" and port["mac"] != "auto":
            return self.rng.choice(port["mac"])
        return "06:00:%02x:%02x:%02x:%02x" % tuple(self.number.to_bytes(4, "big"))

    def random_frame(self, model, sender):
        others = [self.address[s] for s in self.stations] + [m for p in model.ports.values() if p.get("mac", "auto") != "auto" for m in p["mac"]]
        src = self.source(model, sender) if self.rng.random() < 0.85 else self.rng.choice([m for m in others if m != B])
        dst = self.rng.choice(others + [frames.BCAST, frames.BCAST, GROUP, frames.mac(999), B, "01:80:c2:00:00:0e"])
        vids = [s["vlan"] for s in model.segments.values() if "vlan" in s]
        tags = self.rng.choice([(), (), (), (self.rng.choice(vids),), (self.rng.choice(vids),), (0,), (77,),
                                (self.rng.choice(vids), self.rng.choice(vids)), ((0x88A8, self.rng.choice(vids)),)])
        return self.frame(sender, src, dst, tags)[0]

    def send(self, sender, frame):
        """Whether the device took it: one that is down, or vanishes just now, does not."""
        end = self.ends.get(sender)
        if end is None:
            return False
        try:
            end.send(frame)
        except OSError:
            return False
        return True

    def take(self, receiver, got):
        frame = getattr(got, "tagged", got.frame)
        self.delivered += 1
        at = frame.find(MAGIC + self.token)
        if at < 0 or len(frame) < at + MARK.size:
            self.faults.append(("segment", f"{receiver} got a frame that no station sent it: {frame[:60].hex()}"))
            return
        _, _, sender, tag, number, epoch, _ = MARK.unpack_from(frame, at)
        tpid, tci = struct.unpack_from("!HH", frame, 12)
        seen = tci & 0xFFF if tpid == 0x8100 else tci & 0xFFF | 0x10000 if tpid == 0x88A8 else None
        sender, sent = self.stations[sender], None if tag < 0 else tag
        views = self.views.get(epoch, []) + self.views.get(epoch + 1, [])
        if not any(m.allows(sender, receiver, sent, seen) and not {sender, receiver} & out for m, out in views):
            self.faults.append(("segment", f"{receiver} got, tagged {seen}, what {sender} sent with tag {sent} in epoch {epoch} (now {self.epoch})"))
        self.once(receiver, number)
        if self.collected is not None:
            self.collected.append((receiver, number, seen or 0))

    def once(self, receiver, number):
        key = (receiver, number)
        if key in self.seen:
            self.faults.append(("twice", f"{receiver} got frame {number} twice"))
        self.seen[key] = True
        self.order.append(key)
        if len(self.order) > 20000:
            self.seen.pop(self.order.popleft(), None)

    def receive(self, timeout=0.0):
        """Reads what is there; whether anything was."""
        if self.poll is None:
            self.gather()
        some = False
        for fd, _ in self.poll.poll(timeout * 1000):
            name = self.by_fd[fd]
            for _ in range(200):
                with contextlib.suppress(OSError):
                    got = self.ends[name].recv(0)
                    if got is None:
                        break
                    some = True
                    self.take(name, got)
                    continue
                break
        return some

    def settle(self, quiet=0.01):
        """Until nothing has come for a moment."""
        limit = time.monotonic() + 2 * SLOW
        while self.receive(quiet * SLOW) and time.monotonic() < limit:
            pass

    def pump(self, model, count=8):
        """Some frames from anywhere to anywhere; what came."""
        self.receive()
        for _ in range(count):
            sender = self.rng.choice(self.stations)
            self.send(sender, self.random_frame(model, sender))
        self.receive()

    def collect(self, send):
        """What came of the frames that send() sends: [(receiver, number, tag)], each tag 0 for none."""
        self.settle(0.002)
        self.collected = []
        if self.poll is None:
            self.gather()
        send()
        self.settle()
        got, self.collected = self.collected, None
        return got
