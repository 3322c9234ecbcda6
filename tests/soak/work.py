# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The operations: each changes the model and the plane (or a device), and goes on only when the plane has followed."""
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter

from lab import Plane, crash, snapshot
from lab.flow import variant
from lab.ns import SLOW
from lab.watch import Watch

from .checks import Checks, settings
from .model import Draw, Model
from .world import ABSENT, HOSTS, STEADY, TAPS, UPLINKS, VETHS, World

FIXED = {x["name"] for x in STEADY["segments"] + STEADY["ports"]}


class Broken(AssertionError):
    """An invariant does not hold: .names of the checks, and words for people."""

    def __init__(self, found):
        super().__init__("\n".join(f"{name}: {words}" for name, words in found))
        self.names = [name for name, _ in found]


class Soak:
    """One soak. Two sources of chance: operations repeat with the seed whatever the traffic does meanwhile."""

    # name: how often, relative to the others
    WEIGHTS = {"one": 24, "many": 12, "same": 2, "rollback": 3, "confirmed": 3, "taken_back": 2, "mac_add": 5, "mac_del": 2,
               "mac_flush": 2, "mac_load": 2, "attach": 3, "recreate": 8, "delete": 4, "move": 4, "rename": 4, "down_up": 4, "mtu": 3,
               "upgrade": 3, "kill": 14, "watch": 6}

    def __init__(self, net, rng, traffic, log):
        self.net, self.rng, self.log = net, rng, log
        self.plane = Plane(net.host)
        net.at_close(self.plane.close)
        self.builds = [self.plane.binary, variant("other")]
        self.world = World(net, traffic)
        self.model = Model(**{k: STEADY[k] for k in ("segments", "ports", "bindings")})
        self.draw = Draw(rng, TAPS, VETHS, UPLINKS, HOSTS, ABSENT, FIXED)
        self.made, self.former = {}, None       # static entries made at run time; what `rollback` returns to, None: not known
        self.unattached, self.stale, self.held = set(), set(), set()
        self.watch, self.watch_prefix = None, ()
        self.tally, self.kills, self.number, self.frames = Counter(), 0, 0, None
        self.before = snapshot.take(net.host)
        self.before["sysctl"] = settings(net.host)
        self.plane.up(self.text())
        self.world.change(self.model)
        self.checks = Checks(self)
        self.settle_hosts()

    def begin(self):
        """The steady flows start; what is known by then is known."""
        for flow in self.world.flows.values():
            flow.__enter__()

    # ---- what is expected ----

    def text(self, model=None):
        return json.dumps((model or self.model).conf())

    def device(self, port):
        return self.world.devices.get(port.get("device"))

    def is_there(self, port):
        d = self.device(port)
        return port["name"] in FIXED or port.get("kind") == "host" or bool(d and d.present and not d.away)

    def own_state(self, port):
        """The states that a port may be in by what its own device is."""
        if not self.is_there(port):
            return {"waiting"}
        d = self.device(port)
        if d and d.name in self.unattached:
            return {"waiting", "up"} if d.up else {"waiting", "degraded"}
        return {"up"} if d is None or d.up else {"degraded"}

    def expected(self, port):
        """The same with the other end of its binding: `watch` may hold the device down."""
        own, peer = self.own_state(port), self.model.peer(port["name"])
        if peer and self.model.bindings[frozenset((peer, port["name"]))] and self.own_state(self.model.ports[peer]) != {"up"}:
            return own | {"degraded"}
        return own | {"degraded"} if port.get("device", port["name"]) in self.held else own

    def unseen(self):
        """Ports that may still have the pin of a device that went: nobody has looked since."""
        return self.stale

    def unseen_devices(self):
        """Devices that returned and that nobody has attached: what is on them is of before."""
        return self.unattached

    def looked(self, names=None, before=None):
        """A verb that takes returned devices back has been run: of these ports, or of all (None)."""
        if names is None:
            self.stale, self.unattached = set(), set()
            return
        ports = [m.ports[n] for m in (before or self.model, self.model) for n in names if n in m.ports]
        self.stale -= set(names)
        self.unattached -= {p.get("device") for p in ports}

    def settle_hosts(self):
        hosts = [n for n, p in self.model.ports.items() if p.get("kind") == "host"]
        self.world.follow_hosts(hosts)

    # ---- running verbs ----

    def run(self, words, text=None, prefix=(), delay=None):
        """`vpeer WORDS` while frames go round; (exit code, what it said). SIGKILL after `delay` seconds."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as given:
            given.write(text or "")
            given.seek(0)
            process = self.plane.ns.popen([*prefix, self.plane.binary, "--plane", self.plane.name, *words], stdin=given, stdout=out,
                                          stderr=subprocess.STDOUT)
            begun = time.monotonic()
            while process.poll() is None:
                self.world.pump(self.model)
                time.sleep(0.0005)      # two busy processors starved the kernel's own threads for a minute (6.18)
                if delay is not None and time.monotonic() > begun + delay:
                    process.kill()
                if time.monotonic() > begun + 60 * SLOW:
                    process.kill()
                    raise Broken([("verb", f"vpeer {' '.join(words)} takes longer than 60 s")])
            out.seek(0)
            return process.returncode, out.read()

    def verb(self, words, new=None, text=None, **how):
        """A verb that has to succeed, after which the configuration is `new` (None: as it was)."""
        new = new or self.model
        self.world.change(self.model, new)
        code, said = self.run(words, text)
        if code:
            raise Broken([("verb", f"vpeer {' '.join(words)}: exit {code}\n{said}{text or ''}")])
        self.become(new, **how)
        return said

    def become(self, new, known=True, looks=None):
        """From here on this is the configuration, and the devices of `looks` were looked for (None: all)."""
        if new != self.model:
            self.former = self.model if known else None
        elif not known:
            self.former = None
        self.world.settle(0.003)
        gone = {n for n in self.model.ports if n not in new.ports}
        self.made = {k: port for k, port in self.made.items() if port not in gone and k[0] in new.segments_of(new.ports[port])}
        before, self.model = self.model, new
        self.looked(looks, before)
        self.settle_hosts()
        self.world.change(new)

    def up(self, new, *options, **how):
        said = self.verb(["up", "-f", "-", *options], new, self.text(new), **how)
        self.held.clear()
        return said

    # ---- operations on the configuration ----

    def do_one(self):
        new, words = self.draw.one(self.model)
        if not words:
            return None
        self.verb(words, new, looks=words[2:3] if words[0] == "port" else words[1:])
        return " ".join(words)

    def do_many(self):
        new = self.draw.many(self.model)
        told = self.model.differences(new)
        prune = self.rng.random() < 0.2
        self.up(new, *(["--prune"] if prune else []))
        if prune:
            self.made = {}
        return f"up{' --prune' if prune else ''}: {told}"

    def do_same(self):
        self.up(self.model)
        said = self.up(self.model)
        if "nothing to change" not in said:
            raise Broken([("verb", f"the second up says: {said}")])
        return "up, twice"

    def do_rollback(self):
        if self.former is None:
            return None
        self.verb(["rollback"], self.former)
        return "rollback"

    def do_confirmed(self):
        new = self.draw.many(self.model)
        told = self.model.differences(new)
        self.up(new, "--confirm", "60")
        if self.is_pending():
            self.verb(["confirm"], looks=())
        return f"up --confirm, confirm: {told}"

    def is_pending(self):
        """Whether there is something to confirm: not if the two are the same."""
        return self.plane.show()["confirm"] is not None

    def do_taken_back(self):
        old, new = self.model, self.draw.many(self.model)
        self.up(new, "--confirm", "60")
        if self.is_pending():
            self.verb(["rollback"], old, known=False)
        return f"up --confirm, taken back: {old.differences(new)}"

    def members(self):
        """(segment, port) of those that no operation leaves alone."""
        return sorted((s, n) for n, p in self.model.ports.items() if n not in FIXED for s in self.model.segments_of(p))

    def do_mac_add(self):
        if not self.members():
            return None
        segment, port = self.rng.choice(self.members())
        mac = self.draw.address()
        self.verb(["mac", "add", segment, mac, port], looks=())
        self.made[segment, mac] = port
        return f"mac add {segment} {mac} {port}"

    def do_mac_del(self):
        if not self.made:
            return None
        segment, mac = self.rng.choice(sorted(self.made))
        self.verb(["mac", "del", segment, mac], looks=())
        del self.made[segment, mac]
        return f"mac del {segment} {mac}"

    def do_mac_flush(self):
        words = [f"segment={self.rng.choice(sorted(self.model.segments))}"] if self.rng.random() < 0.5 else []
        words += [f"port={self.rng.choice(sorted(self.model.ports))}"] if self.rng.random() < 0.5 else []
        self.verb(["mac", "flush", *words], looks=())
        return " ".join(["mac flush", *words])

    def do_mac_load(self):
        if not self.members():
            return None
        entries = {}
        for _ in range(self.rng.randint(1, 40)):
            segment, port = self.rng.choice(self.members())
            entries[segment, self.draw.address()] = port
        self.verb(["mac", "load", "-"], text="".join(f"{s} {mac} {port}\n" for (s, mac), port in entries.items()), looks=())
        self.made |= entries
        return f"mac load, {len(entries)} lines"

    def do_attach(self):
        names = self.rng.sample(sorted(self.model.ports), 2) if self.rng.random() < 0.4 else []
        self.verb(["attach", *names], looks=names or None)
        if not names:
            self.held.clear()
        return " ".join(["attach", *names])

    def do_upgrade(self):
        self.builds.reverse()
        self.plane.binary = self.builds[0]
        self.verb(["upgrade"], looks=())
        return f"upgrade to {os.path.basename(self.plane.binary)}"

    # ---- operations on devices ----

    def pick(self, where):
        names = [n for n in TAPS + VETHS + UPLINKS if where(self.world.devices[n])]
        return self.world.devices[self.rng.choice(names)] if names else None

    def port_of(self, device):
        return self.model.by_station().get(device.name)

    def is_propagated(self, device):
        port = self.port_of(device)
        peer = port and self.model.peer(port["name"])
        return device.name in self.held or bool(peer and self.model.bindings[frozenset((peer, port["name"]))])

    def went(self, device):
        port = self.port_of(device)
        self.unattached.discard(device.name)
        if port and not self.watch:
            self.stale.add(port["name"])

    def came(self, device):
        """Sometimes somebody says `attach`, as udev would; else it is left to whoever comes next."""
        self.world.change(self.model)
        port = self.port_of(device)
        if port is None or self.watch:
            return ""
        self.unattached.add(device.name)
        if self.rng.random() < 0.6:
            self.verb(["attach", port["name"]], looks=[port["name"]])
            return ", attach"
        return ", left"

    def do_recreate(self):
        d = self.pick(lambda d: not d.away)
        if d is None:
            return None
        was = d.present
        if was:
            d.delete()
            self.went(d)
            self.world.pump(self.model, 20)
        d.create()
        return f"{'re' if was else ''}create {d.name}" + self.came(d)

    def do_delete(self):
        d = self.pick(lambda d: d.present and not d.away)
        if d is None:
            return None
        d.delete()
        self.went(d)
        self.world.pump(self.model, 20)
        return f"delete {d.name}"

    def do_move(self):
        d = self.pick(lambda d: d.present and not self.is_propagated(d))
        if d is None:
            return None
        self.world.change(self.model)
        d.move()
        if d.away:
            self.went(d)
            self.world.change(self.model)
            self.world.pump(self.model, 20)
            return f"move {d.name} away"
        return f"move {d.name} back" + self.came(d)

    def do_rename(self):
        """And what follows of it: named back, the port told the new name, or an `up` with the old one."""
        waiting = self.model.by_station()      # after a rollback a port may wait for the other name: `watch` would give it the device
        d = self.pick(lambda d: d.present and not d.away and f"{d.name}r" not in waiting and d.name not in self.unattached
                      and not self.is_propagated(d))
        if d is None:
            return None
        d.rename(f"{d.name}r")
        self.world.pump(self.model, 20)
        port, how = self.port_of(d), self.rng.choice(["back", "set", "up"])
        if port and how == "set":
            told = self.model.copy()        # the station keeps its name: only a rollback goes by this
            told.ports[port["name"]]["device"] = f"{d.name}r"
            self.verb(["port", "set", port["name"], f"device={d.name}r"], looks=[port["name"]])
            self.world.pump(self.model, 20)
            d.rename(d.name)
            self.verb(["port", "set", port["name"], f"device={d.name}"], looks=[port["name"]])
            self.former = told
            return f"rename {d.name}, told, and back"
        if port and how == "up":
            self.up(self.model)
            self.stale.add(port["name"])
        d.rename(d.name)
        return f"rename {d.name} and back ({how})" + (self.came(d) if port and how == "up" else "")

    def do_down_up(self):
        d = self.pick(lambda d: d.present and not d.away)
        if d is None:
            return None
        if d.up and d.kind == "tap" and not self.is_propagated(d) and self.rng.random() < 0.5:
            d.set_up(False)
            self.world.pump(self.model, 20)
            return f"{d.name} down"
        d.set_up(False)
        self.world.pump(self.model, 20)
        d.set_up(True)
        return f"{d.name} down, up"

    def do_mtu(self):
        d = self.pick(lambda d: d.present and not d.away)
        if d is None:
            return None
        d.set_mtu(self.rng.choice([1400, 1500, 2000, 9000]))
        said = f"{d.name} mtu {d.mtu}"
        if not self.watch:
            self.verb(["attach"])
            self.held.clear()
        return said

    # ---- kills ----

    def killable(self):
        """(words, the configuration afterwards, standard input) of any verb."""
        kind = self.rng.choice(["one", "one", "many", "many", "many", "attach", "rollback", "mac", "upgrade"])
        if kind == "one":
            new, words = self.draw.one(self.model)
            return words and (words, new, None)
        if kind == "many":
            new = self.draw.many(self.model)
            return ["up", "-f", "-"], new, self.text(new)
        if kind == "rollback":
            return self.former and (["rollback"], self.former, None)
        if kind == "mac":
            lines = "".join(f"{s} {self.draw.address()} {n}\n" for s, n in self.members())
            return lines and (["mac", "load", "-"], self.model, lines)
        if kind == "upgrade":
            self.builds.reverse()
            self.plane.binary = self.builds[0]
        return [kind], self.model, None

    def do_kill(self):
        """A verb dies anywhere; frames go on by the old or the new configuration; the next `up` finishes, for either."""
        chosen = self.killable()
        if not chosen:
            return None
        words, new, text = chosen
        how = {"delay": self.rng.uniform(0, 0.03)}
        told = f"after {how['delay'] * 1000:.1f} ms"
        if self.rng.random() < 0.6:
            call, n = self.rng.choice(crash.CHANGING), int(self.rng.paretovariate(0.7))
            how, told = {"prefix": crash.prefix(call, "signal=KILL", n)}, f"at {call} {n}"
        target = self.rng.choice([self.model, new])
        self.world.change(self.model, new)
        code, said = self.run(words, text, **how)
        if code > 0:
            raise Broken([("verb", f"vpeer {' '.join(words)}: exit {code}, to be killed {told}\n{said}{text or ''}")])
        self.kills += code < 0
        old = self.model
        self.model = new if target is not new else old      # so that both may hold meanwhile
        self.up_after_kill(target, words)
        return f"{' '.join(words)} killed {told} ({'dead' if code < 0 else 'done'}), up to {'the new' if target is new else 'the old'}"

    def up_after_kill(self, target, words):
        if words == ["upgrade"]:
            self.verb(["upgrade"], looks=())
        self.up(target, "--prune", known=False)
        self.made = {}
        said = self.verb(["up", "-f", "-"], target, self.text(target), known=False)
        if "nothing to change" not in said:
            raise Broken([("verb", f"the second up after a kill says: {said}")])

    # ---- watch ----

    def start_watch(self):
        self.watch = Watch(self.plane, prefix=self.watch_prefix)
        self.looked()
        self.held.clear()

    def end_watch(self, number):
        """What a killed one held down stays down until the next `up`, `attach` or `watch`."""
        watch, self.watch = self.watch, None
        if number == signal.SIGKILL:
            self.held |= {p.get("device", n) for ends, on in self.model.bindings.items() if on
                          for n in ends for p in [self.model.ports[n]]}
        code = watch.end(number)
        if code not in (0, -signal.SIGKILL):
            raise Broken([("watch", f"it ended with {code}: {watch.log()[-1000:]}")])
        watch.dir.cleanup()

    def do_watch(self):
        if self.watch is None:
            self.start_watch()
            return "watch starts"
        number, again = self.rng.choice([signal.SIGKILL, signal.SIGTERM]), self.rng.random() < 0.7
        self.end_watch(number)
        if again:
            self.world.pump(self.model, 20)
            self.start_watch()
        return f"watch: {number.name}{', started again' if again else ''}"

    # ---- steps ----

    def step(self):
        """One operation and the quick checks."""
        names, weights = zip(*self.WEIGHTS.items())
        told = None
        while told is None:
            name = self.rng.choices(names, weights)[0]
            self.note(f"{self.number} {name}")
            told = getattr(self, f"do_{name}")()
        self.number += 1
        self.tally[name] += 1
        self.note(f"    {told}")
        self.expect(Checks.QUICK)

    def expect(self, names):
        found = self.checks.run(names)
        if found:
            raise Broken(found)

    def note(self, words):
        self.log.write(f"{time.monotonic():.3f} {words}\n")
        self.log.flush()

    def finish(self):
        """The flows end, the devices are as they were made, `down`: then the host is as it was."""
        sent = delivered = 0
        for flow in self.world.flows.values():
            flow.stop()
            sent += flow.result["sent"]
            delivered += sum(flow.result["received"])
        wrong = [f"{n}: {f.result}" for n, f in self.world.flows.items() if f.result["lost"] or f.result["twice"] or f.result["late"]]
        self.frames = sent + self.world.number, delivered + self.world.delivered, sent
        found = [("flows", "; ".join(wrong)), ("books", self.count_flows())]
        if self.watch:
            self.end_watch(signal.SIGTERM)
        for d in self.world.devices.values():
            d.restore()
        self.verb(["attach"])
        self.held.clear()
        self.expect(Checks.QUICK)
        found_down = [name for name in UPLINKS if f" {name} up 0 1" in self.undo()]
        self.plane.down()
        for name in found_down:     # it came back down and the plane set it up, so it is put down again; else it has to be as before
            self.world.devices[name].set_up(True)
        found = [(name, words) for name, words in [*found, ("restored", self.checks.restored(self.before))] if words]
        if found:
            raise Broken(found)

    def undo(self):
        """What the plane has noted of the devices' settings that it changed."""
        path = f"/run/vpeer/{self.plane.name}/undo"
        if not os.path.exists(path):
            return ""
        with open(path, encoding="ascii") as f:
            return f.read()

    def count_flows(self):
        """Every frame of the steady flows was counted once, by the port it came from, as forwarded; nothing else came from there."""
        ports, wrong = self.checks.counters(), []
        for name, flow in self.world.flows.items():
            p, sent = ports[f"{name}a"], flow.result["sent"]
            if not p["rx"]["packets"] == p["forwarded"] == sent:
                wrong.append(f"port {name}a: {sent} frames sent, {p['forwarded']} forwarded of {p['rx']['packets']}")
        return "; ".join(wrong)
