# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The configuration as it ought to be, who may reach whom in it, and random changes that keep it valid."""
import copy

A_PORT = ("name", "device", "kind", "alias", "segment", "tagged", "mac", "carrier", "quota", "broadcast_pps")
# Segments that are one network: a wire outside of the plane joins them (world.py).
JOINED = {"s3": "s2"}


class Model:
    """Segments and ports by name, bindings by their two ports; keys that have their default are absent."""

    def __init__(self, segments=(), ports=(), bindings=()):
        self.segments = {s["name"]: dict(s) for s in segments}
        self.ports = {p["name"]: dict(p) for p in ports}
        self.bindings = {frozenset((b["a"], b["b"])): b.get("propagate", False) for b in bindings}

    @classmethod
    def parse(cls, conf):
        """Of what `showconf` prints."""
        model = cls(conf.get("segments") or (), conf.get("ports") or (), conf.get("bindings") or ())
        for p in model.ports.values():
            if p.get("mac", "auto") != "auto":
                p["mac"] = sorted([p["mac"]] if isinstance(p["mac"], str) else p["mac"])
            if "tagged" in p:
                p["tagged"] = sorted(p["tagged"])
        return model

    def __eq__(self, other):
        return (self.segments, self.ports, self.bindings) == (other.segments, other.ports, other.bindings)

    def copy(self):
        return copy.deepcopy(self)

    def conf(self):
        """As `up` reads it."""
        bindings = [dict(zip("ab", sorted(ends)), propagate=p) for ends, p in self.bindings.items()]
        return {"version": 1, "segments": list(self.segments.values()), "ports": list(self.ports.values()), "bindings": bindings}

    def differences(self, other):
        """For people."""
        out = []
        for what in ("segments", "ports", "bindings"):
            a, b = getattr(self, what), getattr(other, what)
            out += [f"{what} {sorted(k) if what == 'bindings' else k}: {a.get(k)} -> {b.get(k)}" for k in {*a, *b} if a.get(k) != b.get(k)]
        return "; ".join(out)

    # ---- who reaches whom ----

    def peer(self, name):
        for ends in self.bindings:
            if name in ends:
                return next(iter(ends - {name}))
        return None

    def segments_of(self, port):
        """{segment: the tag that the port's frames of it carry, None = none}"""
        tags = {s: self.segments[s]["vlan"] for s in port.get("tagged", ())}
        return {**({port["segment"]: None} if "segment" in port else {}), **tags}

    def by_station(self):
        """{device, or a host port's interface: port}"""
        return {p.get("device", name): p for name, p in self.ports.items()}

    def network(self, port, tag):
        """The segment that a frame of this port belongs to, None = none; tag 0 is as no tag."""
        for segment, vid in self.segments_of(port).items():
            if (vid or 0) == (tag or 0):
                return JOINED.get(segment, segment)
        return None

    def allows(self, sender, receiver, sent, seen):
        """Whether a frame that the station `sender` sent with tag `sent` may come to `receiver` with tag `seen` (None, 0: no tag)."""
        ports = self.by_station()
        a, b = ports.get(sender), ports.get(receiver)
        if a is None or b is None or a is b:
            return False
        if self.peer(a["name"]) == b["name"]:
            return (sent or 0) == (seen or 0)
        network = self.network(a, sent)
        return network is not None and self.network(b, seen) == network

    def statics(self, auto):
        """{(segment, address): port} of the configuration; auto(port) tells what `auto` stands for."""
        out = {}
        for p in self.ports.values():
            macs = p.get("mac", ())
            for segment in self.segments_of(p):
                out.update({(segment, mac): p["name"] for mac in (auto(p["name"]) if macs == "auto" else macs)})
        return out


class Draw:
    """Random changes of a model. `taps`, `veths`, `uplinks`, `hosts`, `absent`: the devices that may be used."""

    SEGMENTS = ("a", "b", "c", "d", "e", "f")

    def __init__(self, rng, taps, veths, uplinks, hosts, absent, steady):
        self.rng, self.taps, self.veths, self.uplinks, self.hosts, self.absent = rng, taps, veths, uplinks, hosts, absent
        self.steady = steady            # names of ports and segments that no operation touches
        self.count = 0

    def address(self):
        """One that nobody has had yet."""
        self.count += 1
        return "52:54:01:%02x:%02x:%02x" % (self.count >> 16 & 255, self.count >> 8 & 255, self.count & 255)

    def chance(self, p):
        return self.rng.random() < p

    def ports(self, m, where=lambda p: True):
        return sorted(n for n, p in m.ports.items() if n not in self.steady and where(p))

    def unwired(self, m, where=lambda p: True):
        return self.ports(m, lambda p: not m.peer(p["name"]) and where(p))

    # ---- parts of a port ----

    def place(self, m, p):
        """In which segments, in what form."""
        p.pop("segment", None)
        p.pop("tagged", None)
        names = sorted(m.segments)
        if self.chance(0.15):
            return
        if self.chance(0.7):
            p["segment"] = self.rng.choice(names)
        if self.chance(0.4):
            vids, tagged = set(), []
            for s in self.rng.sample(names, 3):
                vid = m.segments[s].get("vlan")
                # Of the two segments that a wire joins a port has one at most, or frames would come back to it.
                if vid and vid not in vids and JOINED.get(s, s) != JOINED.get(p.get("segment"), p.get("segment")):
                    vids.add(vid)
                    tagged.append(s)
            if tagged:
                p["tagged"] = sorted(tagged)

    def value(self, p, key):
        """A value for a key that is no place and no device; None: the key is to be absent."""
        guest, device = p.get("kind", "guest") == "guest", p.get("device", "")
        if key == "mac":
            many = sorted(self.address() for _ in range(self.rng.randint(1, 3)))
            return self.rng.choice(["auto", many]) if "kind" in p and not guest else self.rng.choice([None, many])
        if key == "carrier":
            return self.rng.choice([None, "tc"] + (["xdp"] if device in self.taps else [])) if device else None
        if key == "quota":
            return self.rng.choice([None, 1, 3, 200])
        if key == "broadcast_pps":
            return self.rng.choice([None, 50, 5000])
        self.count += 1
        return self.rng.choice([None, f"/dev/qvm/{self.count}"])

    def put(self, p, key, value):
        if value is None:
            p.pop(key, None)
        else:
            p[key] = value

    def free_device(self, m, kinds):
        used = {p.get("device") for p in m.ports.values()}
        free = [d for d in kinds if d not in used]
        return self.rng.choice(free) if free else None

    # ---- changes: each alters the model; the words of the verb that does the same, None if only `up` can, False: not possible ----

    def add_port(self, m):
        kind = self.rng.choice(["guest"] * 5 + ["host", "uplink"])
        p = {"name": ""}
        if kind == "host":
            free = [h for h in self.hosts if h not in m.ports]
            if not free:
                return False
            p.update(name=self.rng.choice(free), kind="host")
        else:
            p["device"] = self.free_device(m, self.uplinks if kind == "uplink" else self.taps + self.veths + self.absent)
            if not p["device"]:
                return False
            p["name"] = f"p-{p['device']}" if self.chance(0.7) else f"q.{p['device']}"
            if p["name"] in m.ports:        # it has another device by now
                return False
            if kind != "guest":
                p["kind"] = kind
        for key in ("mac", "carrier", "quota", "broadcast_pps", "alias"):
            if self.chance(0.3):
                self.put(p, key, self.value(p, key))
        self.place(m, p)
        m.ports[p["name"]] = p
        return ["port", "add", p["name"], *self.words(p, [k for k in A_PORT if k in p and k != "name"])]

    @staticmethod
    def words(p, keys):
        value = {k: ",".join(p[k]) if isinstance(p.get(k), list) else p.get(k, "") for k in keys}
        return [f"{k}={value[k]}" for k in keys]

    def set_port(self, m):
        """Several keys of one port; what goes back to its default is for `up` to say."""
        names = self.ports(m)
        if not names:
            return False
        p = m.ports[self.rng.choice(names)]
        keys, clear = [], False
        for key in self.rng.sample(["place", "device", "mac", "carrier", "quota", "broadcast_pps", "alias"], self.rng.randint(1, 3)):
            if key == "place":
                if not m.peer(p["name"]):
                    self.place(m, p)
                    keys += ["segment", "tagged"]
            elif key == "device":
                device = p.get("kind", "guest") == "guest" and self.free_device(m, self.taps + self.veths + self.absent)
                if device and not (p.get("carrier") == "xdp" and device not in self.taps):
                    p["device"] = device
                    keys.append("device")
            else:
                value = self.value(p, key)
                self.put(p, key, value)
                keys.append(key)
                clear = clear or value is None
        if p.get("carrier") == "xdp" and p["device"] not in self.taps:
            del p["carrier"]
            clear = True
        return ["port", "set", p["name"], *self.words(p, keys)] if keys and not clear else None if keys else False

    def del_port(self, m):
        names = self.ports(m)
        if not names:
            return False
        name = self.rng.choice(names)
        self.remove_port(m, name)
        return ["port", "del", name]

    @staticmethod
    def remove_port(m, name):
        del m.ports[name]
        m.bindings = {ends: p for ends, p in m.bindings.items() if name not in ends}

    def bind(self, m):
        names = self.unwired(m, lambda p: not m.segments_of(p))
        if len(names) < 2:
            return False
        a, b = self.rng.sample(names, 2)
        m.bindings[frozenset((a, b))] = False
        return ["bind", a, b]

    def unbind(self, m):
        ends = sorted(sorted(e) for e in m.bindings if not e & self.steady)
        if not ends:
            return False
        a, b = self.rng.choice(ends)
        del m.bindings[frozenset((a, b))]
        return ["unbind", self.rng.choice([a, b])]

    def wire(self, m):
        """A binding with or without propagate, of ports that are taken out of where they are."""
        names = self.unwired(m)
        if len(names) < 2:
            return False
        ends = self.rng.sample(names, 2)
        for name in ends:
            m.ports[name].pop("segment", None)
            m.ports[name].pop("tagged", None)
        m.bindings[frozenset(ends)] = self.chance(0.5)
        return None

    def rewire(self, m):
        ends = sorted((sorted(e) for e in m.bindings if not e & self.steady))
        if not ends:
            return False
        key = frozenset(self.rng.choice(ends))
        m.bindings[key] = not m.bindings[key]
        return None

    def segment(self, m):
        """A new one, or other keys of one."""
        name = self.rng.choice(self.SEGMENTS)
        s = m.segments.setdefault(name, {"name": name})
        tagged = any(name in p.get("tagged", ()) for p in m.ports.values())
        if self.chance(0.5) and not tagged:
            self.put(s, "vlan", self.rng.choice([None, 10 + self.SEGMENTS.index(name), 20 + self.SEGMENTS.index(name)]))
        self.put(s, "age", self.rng.choice([None, 1, 30]))
        self.put(s, "flood", self.rng.choice([None, None, False]))
        self.put(s, "duplicate", self.rng.choice([None, "drop", "ignore"]))
        return None

    def del_segment(self, m):
        names = [s for s in self.SEGMENTS if s in m.segments]
        if not names:
            return False
        name = self.rng.choice(names)
        del m.segments[name]
        for p in m.ports.values():
            if p.get("segment") == name:
                del p["segment"]
            if name in p.get("tagged", ()):
                self.put(p, "tagged", [s for s in p["tagged"] if s != name] or None)
        return None

    ONE = ("add_port", "add_port", "set_port", "set_port", "del_port", "bind", "unbind")
    MANY = ONE + ("wire", "wire", "rewire", "segment", "segment", "del_segment")

    def one(self, m):
        """(the model after one change that a verb of its own can do, the words of that verb)"""
        for _ in range(50):
            new = m.copy()
            words = getattr(self, self.rng.choice(self.ONE))(new)
            if words and new != m:
                return new, words
        return None, None

    def many(self, m):
        """The model after several changes."""
        new = m.copy()
        for _ in range(self.rng.randint(1, 6)):
            getattr(self, self.rng.choice(self.MANY))(new)
        return new
