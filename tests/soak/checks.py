# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What must hold after every operation, each with a name.  A check gives the words for what does not hold, or nothing.

Three groups: QUICK after every operation, DEAR after some, LAST at the end of a run that was long enough.
"""
import json
import os
import re
import time

import yaml

from lab import snapshot
from lab.ns import SLOW, run
from lab.plane import PIN_ROOT

from .model import Model
from .world import FLOWS, GROUP

# What `diff` says of devices, and `up` and `watch` mend.
OF_DEVICES = (": state up -> waiting", ": state waiting -> attached", ": device down -> up", ": interface absent -> made anew",
              ": programs incomplete or outdated -> attached", ": abilities of its device others -> noticed")
RESIDENT_KIB = 2048         # what a `watch` may grow
# What a run that is killed may leave until the next one writes over it, or `down`.
HALF_WRITTEN = {"undo.tmp", "former.new.tmp", "confirm.tmp"}
KERNEL_KIB = 64 << 10       # what the kernel may have more at the end than at the beginning
WRONG = re.compile(r"WARNING|BUG|Oops|Call Trace|stall|hung task|blocked for more|waiting for \S+ to become free|refcount|leak|KASAN|soak")


patience = SLOW             # the proofs, which expect to find something, have less


def wait(look, seconds=3.0):
    """What look() finds, once it finds nothing, or after some seconds: the kernel does some things a moment later."""
    limit = time.monotonic() + seconds * patience
    while (found := look()) and time.monotonic() < limit:
        time.sleep(0.02)
    return found


def bpftool(what):
    return json.loads(run(f"bpftool -j {what} show").stdout or "[]")


class Checks:
    QUICK = ("segment", "twice", "state", "diff", "showconf", "macs", "books", "pins")
    DEAR = ("hooks", "programs", "links", "maps", "memory", "counted", "reach", "flows", "watch", "processes", "notes", "log")
    LAST = ("kernel",)

    def __init__(self, soak):
        self.soak, self.plane, self.world = soak, soak.plane, soak.world
        self.floods = set()             # ids of maps that this plane has flooded by
        self.baseline = self.map_memory()
        self.map_pins = [p for p in self.plane.pins() if not p.startswith("links/")]
        self.program_count = len(self.our_programs())
        self.watch_fds, self.watch_rss = None, None
        self.log_fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.log_fd, 0, os.SEEK_END)
        self.taken = []
        self.strangers = self.other_pins()      # tc(8), say, leaves directories for good
        self.shown = None

    def run(self, names):
        """[(name, words)] of those that do not hold."""
        found = []
        for name in names:
            words = getattr(self, name)()
            if words:
                found.append((name, words))
        return found

    # ---- what the world saw ----

    def fault(self, kind):
        words = [w for k, w in self.world.faults if k == kind]
        self.world.faults = [(k, w) for k, w in self.world.faults if k != kind]
        return "; ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "") if words else None

    def segment(self):
        self.world.settle(0.002)
        return self.fault("segment")

    def twice(self):
        return self.fault("twice")

    # ---- what the plane says ----

    def state(self):
        """Every port is in the state that its device is in."""
        def look():
            self.shown = self.plane.show()
            states = {p["name"]: (p["state"], p["why"]) for p in self.shown["ports"]}
            want = {n: self.soak.expected(p) for n, p in self.soak.model.ports.items()}
            if states.keys() != want.keys():
                return f"ports {sorted(states)}, expected {sorted(want)}"
            return "; ".join(f"port {n} is {states[n]}, expected {sorted(w)}" for n, w in want.items() if states[n][0] not in w)
        return wait(look, 8.0)

    def diff(self):
        """Nothing, once `watch` has had its turn; without one, what became of devices is left to the next `up`."""
        def look():
            done = self.plane.run(["diff", "-f", "-", "--exit-code"], input=self.soak.text(), check=False)
            lines = [line for line in done.stdout.splitlines() if self.soak.watch or not line.endswith(OF_DEVICES)]
            fits = done.returncode == (3 if done.stdout else 0)
            return None if fits and not lines else f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return wait(look, 8.0)

    def showconf(self):
        return Model.parse(yaml.safe_load(self.plane.run("showconf").stdout)).differences(self.soak.model)

    def macs(self):
        """The static entries are those of the configuration and those that were made at run time."""
        shown = self.plane.show()
        autos = {p["name"]: p["macs"] for p in shown["ports"]}
        have = {(m["segment"], m["mac"]): m["port"] for m in shown["macs"] if m["static"]}
        want = self.soak.model.statics(lambda name: autos[name]) | self.soak.made
        more, less = sorted(have.items() - want.items()), sorted(want.items() - have.items())
        return f"there are {more}, there should be {less}" if more or less else None

    def books(self):
        """rx = forwarded + flooded + passed + drops, of every port."""
        self.world.settle(0.002)

        def look():                     # the steady flows go on: counters of two moments may be shown
            return [p["name"] for p in self.plane.show("ports")["ports"] if p["name"][:2] not in FLOWS and
                    p["rx"]["packets"] != p["forwarded"] + p["flooded"] + p["passed"] + sum(p["drops"].values())]
        wrong = wait(look, 0.3)
        odd = [p["name"] for p in self.shown["ports"] if p["passed"] or p["drops"]["internal"]]
        return f"ports {wrong} do not balance" if wrong else f"ports {odd} passed frames, or dropped some as internal" if odd else None

    # ---- what the kernel has ----

    def links_wanted(self):
        """{port: its device} of those that have an XDP program."""
        return {p["name"]: p["plane_device"] or p["device"] for p in self.shown["ports"] if p["state"] != "waiting" and p["carrier"] == "xdp"}

    def other_pins(self):
        """What is pinned beside this plane."""
        return {d for d in os.listdir("/sys/fs/bpf") if d != "vpeer" and not d.endswith(".debug")} | {
            f"vpeer/{d}" for d in os.listdir(PIN_ROOT) if d != self.plane.name}

    def pins(self):
        """One pin per map and program, one per XDP program on a device; one that waits may have an old one until somebody looks."""
        def look():
            self.shown = self.plane.show()
            have, want = set(self.plane.pins()), {*self.map_pins, *(f"links/xdp_{n.replace('.', ':')}" for n in self.links_wanted())}
            stale = {f"links/xdp_{n.replace('.', ':')}" for n in self.soak.unseen()}
            return sorted(have - want - stale) + sorted(want - have) + sorted(self.other_pins() - self.strangers)
        found = wait(look)
        return f"pins too many or too few: {found}" if found else None

    def hooks(self):
        """Programs are on the devices of the plane and on no other."""
        def look():
            self.shown = self.plane.show()
            links = self.world.host.json("ip -j -d link show")
            xdp = {x["ifname"] for x in links if x.get("xdp")}
            tc = {q["dev"] for q in self.world.host.json("tc -j qdisc show") if q["kind"] == "clsact"}
            both = [{p["plane_device"] or p["device"] for p in self.shown["ports"] if p["state"] != "waiting"}, set(self.links_wanted().values())]
            unseen = self.soak.unseen_devices()
            wrong = ((tc ^ both[0]) | (xdp ^ both[1])) - unseen
            return f"tc on {sorted(tc)}, XDP on {sorted(xdp)}; wrong: {sorted(wrong)}" if wrong else None
        return wait(look)

    def our_programs(self):
        """Programs over this plane's maps."""
        info = json.loads(run(f"bpftool -j map show pinned {PIN_ROOT}/{self.plane.name}/maps/vp_plane").stdout)
        return {p["id"] for p in bpftool("prog") if info["id"] in p.get("map_ids", ())} | {p["id"] for p in bpftool("prog") if p["id"] in self.tc_out()}

    def tc_out(self):
        return {json.loads(run(f"bpftool -j prog show pinned {PIN_ROOT}/{self.plane.name}/progs/vp_tc_out").stdout)["id"]}

    def programs(self):
        """As many as there were; an upgrade's old ones are gone, but for those of devices that went and that nobody has missed yet."""
        def look():
            ids, spare = self.our_programs(), len(self.soak.unseen())
            if self.program_count <= len(ids) <= self.program_count + spare:
                return None
            return f"{len(ids)} programs {self.named(ids)}, at the beginning {self.program_count}"
        return wait(look)

    def named(self, ids):
        """"4711 vp_tc_in" ..., and on which devices of the host they are."""
        names = sorted(f"{p['id']} {p['name']}" for p in bpftool("prog") if p["id"] in ids)
        return f"{', '.join(names)}; {self.world.host.run('bpftool net show').stdout}"

    def links(self):
        def look():
            self.shown = self.plane.show()
            ids = self.our_programs()
            links = [x for x in bpftool("link") if x["prog_id"] in ids]
            want, spare = len(self.links_wanted()), len(self.soak.unseen())
            return f"{len(links)} links for {want} ports with XDP" if not want <= len(links) <= want + spare else None
        return wait(look)

    def flooding(self):
        """Ids of the maps that the plane floods by at present."""
        rows = json.loads(run(f"bpftool -j map dump pinned {PIN_ROOT}/{self.plane.name}/maps/vp_floods").stdout or "[]")
        return {int.from_bytes(bytes(int(b, 16) for b in r["value"]), "little") for r in rows if isinstance(r.get("value"), list)}

    def maps(self):
        """A map that the plane once flooded by and does no longer is gone."""
        def look():
            now = self.flooding()
            self.floods |= now
            there = {m["id"] for m in bpftool("map")}
            left = (self.floods & there) - now
            self.floods &= there
            return f"flood maps {sorted(left)} are left over" if left else None
        return wait(look, 5.0)

    def map_memory(self):
        """Bytes of the plane's maps; those that redirect grow with the ports that are there."""
        top = f"{PIN_ROOT}/{self.plane.name}/maps"
        maps = [json.loads(run(f"bpftool -j map show pinned {top}/{m}").stdout) for m in os.listdir(top)]
        return sum(int(m["bytes_memlock"]) for m in maps if m["type"] != "devmap_hash")

    def memory(self):
        now = self.map_memory()
        return f"the maps have {now} bytes, at the beginning {self.baseline}" if now != self.baseline else None

    def sample(self):
        """Memory that the kernel has for itself, of this machine."""
        with open("/proc/meminfo", encoding="ascii") as f:
            self.taken.append(sum(int(n) for n in re.findall(r"(?:SUnreclaim|Percpu|VmallocUsed):\s+(\d+)", f.read())))

    def kernel(self):
        """The least of it in the last quarter of the run against the least in the second: what others take, they give back."""
        n = len(self.taken) // 4
        more = min(self.taken[-n:]) - min(self.taken[n:2 * n]) if n else 0
        return f"{more:.0f} KiB more than at the beginning" if more > KERNEL_KIB else None

    def log(self):
        """The kernel has nothing to complain of."""
        lines = []
        while True:
            try:
                lines.append(os.read(self.log_fd, 8192).decode(errors="replace"))
            except BlockingIOError:
                break
            except BrokenPipeError:         # overwritten meanwhile
                continue
        mine = f"soak {self.world.token.hex()}"
        bad = [x.split(";", 1)[-1].split("\n")[0] for x in lines if int(x.split(",")[0]) & 7 <= 4 and WRONG.search(x)]
        bad = [x for x in bad if "soak" not in x or mine in x]
        return f"kernel: {bad[:5]}" if bad else None

    # ---- frames that are counted one by one ----

    def steadily_up(self):
        """{station: port} of those whose port is up for sure."""
        return {s: p for s, p in self.soak.model.by_station().items() if s in self.world.ends and self.soak.expected(p) == {"up"}}

    def counters(self):
        return {p["name"]: p for p in self.plane.show("ports")["ports"]}

    def counted(self):
        """What the test sends in a quiet moment is what the ports count, and what it gets likewise."""
        self.world.receive()
        up, world, sent = self.steadily_up(), self.world, {}
        world.settle()
        before = self.counters()

        def send():
            for station in up:
                for _ in range(3):
                    ok = world.send(station, world.random_frame(self.soak.model, station))
                    sent[station] = sent.get(station, 0) + ok
        got = world.collect(send)
        after, wrong = self.counters(), []
        for station, p in up.items():
            ways = {"rx": sent.get(station, 0), "tx": sum(r == station for r, _, _ in got)}
            for way, want in ways.items():
                have = after[p["name"]][way]["packets"] - before[p["name"]][way]["packets"]
                if have != want:
                    wrong.append(f"port {p['name']} counted {way} {have}, the test {want}")
        return "; ".join(wrong)

    def reach(self):
        """One group frame from each port, in each form, comes to exactly those that the model says, once and in the right form."""
        self.world.receive()
        model, world, up, wanted, said = self.soak.model, self.world, self.steadily_up(), {}, {}
        sure = {s for s in up}

        def send():
            for station, p in up.items():
                for tag in {*model.segments_of(p).values()} or {None}:
                    frame, number = world.frame(station, world.fresh(model, station), GROUP, () if tag is None else (tag,))
                    if not world.send(station, frame):
                        continue
                    said[number] = f"{station} (tag {tag})"
                    wanted[number] = {(r, number, t) for r in sure for t in self.forms(model, up[r], tag) if model.allows(station, r, tag, t)}
        got, wrong = world.collect(send), []
        for number, want in wanted.items():
            have = [g for g in got if g[1] == number and g[0] in sure]
            if sorted(have) != sorted(want):
                wrong.append(f"from {said[number]}: {sorted((r, t) for r, _, t in have)}, expected {sorted((r, t) for r, _, t in want)}")
        return "; ".join(wrong[:3])

    @staticmethod
    def forms(model, port, tag):
        """Tags that a frame may have where it comes out of this port."""
        return {v or 0 for v in model.segments_of(port).values()} or {tag or 0}

    def flows(self):
        """Of the steady flows nothing is lost, nothing comes twice, nothing late."""
        wrong = []
        for name, flow in self.world.flows.items():
            sent = flow.look()["sent"]
            wait(lambda: flow.look()["next"] < sent, 2.0)
            now = flow.look()
            lost = now["next"] < sent
            if lost or now["refused"] or now["twice"] or now["late"]:
                wrong.append(f"{name}: {now}, of which {sent} should have come")
        return "; ".join(wrong)

    # ---- processes ----

    def watch(self):
        """Its descriptors are as many as the first one had, its memory grows by no more than 2 MiB."""
        watch = self.soak.watch
        if watch is None:
            return None
        if watch.process.poll() is not None:
            return f"watch ended by itself with {watch.process.returncode}: {watch.log()[-500:]}"
        pid = watch.process.pid

        def descriptors():
            return len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            resident = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        self.watch_fds = self.watch_fds or descriptors()
        self.watch_rss = self.watch_rss or resident
        found = wait(lambda: descriptors() != self.watch_fds and f"watch has {descriptors()} descriptors, the first had {self.watch_fds}")
        return found or (f"watch has {resident} KiB, the first had {self.watch_rss}" if resident > self.watch_rss + RESIDENT_KIB else None)

    def processes(self):
        """No loader is left behind but `watch`."""
        def look():
            found = []
            for pid in self.world.host.processes():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        words = f.read().split(b"\0")
                except OSError:
                    continue
                if self.plane.name.encode() in words and words[-2] != b"watch":
                    found.append(b" ".join(words).decode())
            return found
        found = wait(look)
        return f"still there: {found}" if found else None

    def notes(self):
        """What is noted under /run/vpeer is one line per changed setting of a device that is there, and nothing else is there."""
        top = f"/run/vpeer/{self.plane.name}"
        extra = set(os.listdir(top)) - {"undo", "former", "watch"} - HALF_WRITTEN
        if extra:
            return f"{sorted(extra)} in {top}"
        with open(f"{top}/undo", encoding="ascii") as f:
            lines = f.read().splitlines()
        return f"{len(lines)} lines in {top}/undo" if len(lines) > 100 or len(lines) != len(set(lines)) else None

    def restored(self, before):
        """After `down` the host is as it was, but for numbers and addresses of devices that were made again."""
        def look():
            after = snapshot.take(self.world.host)
            for links in (before["links"], after["links"]):
                for link in links.values():
                    link.pop("ifindex", None)
                    link.pop("address", None)
            after["sysctl"] = settings(self.world.host)
            for state in (before, after):       # in the order of their numbers
                state["qdiscs"] = sorted(state["qdiscs"].splitlines() if isinstance(state["qdiscs"], str) else state["qdiscs"])
            return snapshot.differences(before, after)
        found = wait(look, 5.0)
        return f"differs from before: {found}" if found else None


def settings(ns):
    """Every sysctl of the devices."""
    return ns.run(["sysctl", "-a", "--pattern", r"^net\.(ipv4|ipv6)\.(conf|neigh)\."]).stdout
