# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The network lab: namespaces, TAPs, raw sniffers, guests and planes for the tests.

Run:  tests/netns/run.sh [-k NAME] [FILE...]     (root; private mount namespace, bpffs and /run/vpeer)

    from lab import frames                       # builders and verifiers, below
    from lab import wait_until, tcp_transfer, udp_echo

Fixtures (tests/netns/conftest.py): `net` (a Net), `plane` (a Plane in net.host, taken down afterwards).
A typical test:

    def test_x(net, plane):
        a = net.veth_guest(1)                    # veth: host end "g1", guest end "eth0" in a namespace
        b = net.vm_guest(2)                      # as a VM: TAP "g2", virtio header, default offloads (taprelay)
        t = net.tap("tap3", nonblock=True)       # bare TAP in net.host, we are the VMM
        t2 = t.sniffer()                         # or net.sniffer(net.host, "g1")
        plane.up(plane.segment("lan", "g1", "g2", "tap3", host=["vp0"], uplink=["up0"]))
        plane.up("version: 1\\n...")             # or YAML text / dict; fails the test unless rc == 0
        assert a.ping(b) and a.ping6(b)
        tcp_transfer(a, b, mib=64)               # sha256-checked, raises on any error
        assert plane.port("g1")["carrier"] == "tc"

Net(tag="")                 context manager; everything is removed at the end, also by atexit
  .host .world              Ns, made at first use; the plane lives in host
  .ns("NAME")               Ns by name, made at first use; system name vpt-PID-RAND-NAME
  .veth((ns1, "a"), (ns2, "b"), mac1=, mac2=, addr1=[], addr2=[], mtu=, up=True)
  .veth_guest(N, dev="gN", up=True, **veth options)      -> Guest
  .vm_guest(N, dev="gN", blocking=False, sndbuf=0, napi_frags=False, napi=False, persist=False, up=True) -> Guest (.kill(), .restart())
  .uplink(dev="up0", N=200) -> Guest in net.world behind a veth whose host end is `dev`
  .tap(dev, ns=None, **Tap options) -> Tap ; .sniffer(ns, dev, **Sniffer options) -> Sniffer
  .bridge(ns, name, [dev...])       kernel bridge, the reference

Guest N: .ns .dev (inside) .port (device in host) .mac "52:54:00:00:00:%02x"%(16+N) .ip "198.18.0.(10+N)" .ip6 "fd00:198::(10+N)"
  .ping(target, count=1, size=56, timeout=2, df=False) -> bool   .ping6(...)   target: Guest or address
  .raw(vnet=False) -> Sniffer on its device (send and receive)   .offload("tso off gso off")

Ns: .name .path .run("cmd" or [..], check=True, timeout=30, input=None) -> CompletedProcess(text) ; .sh("shell | pipe")
  .popen(cmd) .ip("link set x up", "addr add ...", ...) (one batch) .sysctl(key[, value]) .ethtool("-K x gro on")
  .enter() context manager: this thread is in the namespace (sockets and subprocesses made inside stay there)
  .socket(family, type, proto=0) .ifindex(dev) .link(dev) -> `ip -j -s -d link` dict .up(dev) .down(dev) .delete(dev) .exists(dev)
  .json("cmd -j") .processes() .kill_all()

Tap(ns, name, nonblock=True, vnet=True, sndbuf=None, napi=False, napi_frags=False, queues=1, offload=0|Tap.OFFLOADS,
    persist=False, up=True, mac=None, mtu=None)    mac is the netdev's own, not the guest's
  .send(frame, needs_csum=None|(start, offset), gso=None|("tcp4"|"tcp6"|"udp", size, hdr_len), q=0) ; .send_auto(frame): by parse
  .recv(timeout=1.0, q=None) -> Rx(hdr, frame) or None ; .recv_match(pred, timeout=1.0) ; .drain(quiet=0.05) -> [Rx] ; .close()
  hdr: Vnet(flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers); .set_offload(flags) .fds
Sniffer(ns, dev, ignore_outgoing=False, vnet=False, promisc=False)    use before link-up to see the very first frame
  .recv(timeout) -> Cap(frame, vlan, tpid, outgoing, csum_notready, hdr) or None ; .drain(quiet=0.05) ; .recv_match(pred, timeout)
  .send(frame, needs_csum=None, gso=None) (needs_csum/gso need vnet=True) ; Cap.tagged: the frame with the tag in-band ; .close()
  `vlan` is the whole TCI of a hardware-accelerated tag, None if there is none.

frames: eth(dst, src, ethertype, payload, vlans=()) ; vlans: [vid or (tpid, tci)]
  udp(smac, dmac, sip, dip, sport=1000, dport=2000, payload=b"x"*32, csum="full"|"partial"|"bad"|"zero", vlans=(), ttl=64, frag=0, pad=0)
  tcp(smac, dmac, sip, dip, sport=1000, dport=2000, payload=b"", seq=1, ack=1, flags="A", csum=..., vlans=()) ; icmp(smac, dmac, sip, dip, payload=.., type=8)
  (IPv4 or IPv6 by the form of sip)  arp(op, smac, sip, tmac, tip, dst=None) ; nd_ns(...) nd_na(...) ; bpdu(smac) ; ipfrag ; raw_ip(...)
  parse(frame) -> Parsed(dst, src, vlans, ethertype, l3, proto, sip, dip, l4, sport, dport, payload, csum_off)
  csum_state(frame) -> "full" | "partial" | "bad" | "zero" | "none" ; check(hdr, frame) -> None if right, else text that says what is wrong
  csum_args(frame) -> (start, offset) for needs_csum ; mac(n) ip(n) ip6(n) ; BCAST

Plane(ns, name=None): name "tPIDRAND"; binary from $VPEER or build/vpeer (private copy)
  .up(conf, *args, check=True) .down(check=True) .run("mac add lan ...", check=False) -> CompletedProcess ; .json("show") -> dict
  .show(what="all") -> show --json ; .port(name) -> dict ; .drops(name) -> {reason: n > 0} ; .attach(*ports) ; .pins() ; .segment(...) -> dict
Functions: wait_until(cond, timeout=5, every=0.05, what="") ; tcp_transfer(a, b, mib=8, back=True, v6=False, timeout=60) ;
  udp_echo(a, b, count=50, size=100, v6=False) -> lost ; iperf(a, b, args="-t 2") -> dict
"""
from .net import Guest, Net, Ns, run, wait_until
from .plane import Plane
from .sniff import Cap, Sniffer
from .tap import Rx, Tap, Vnet
from .traffic import iperf, tcp_transfer, udp_echo

__all__ = ["Cap", "Guest", "Net", "Ns", "Plane", "Rx", "Sniffer", "Tap", "Vnet",
           "iperf", "run", "tcp_transfer", "udp_echo", "wait_until"]
