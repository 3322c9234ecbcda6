# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The network lab: namespaces, TAPs, raw sniffers, guests and planes for the tests.

Run:  tests/netns/run.sh [-k NAME] [FILE...]     (root; private mount namespace, bpffs and /run/vpeer)
QEMU guests: tests/vm/vmlab.py, tests/vm/run.sh.

    from lab import frames, wait_until, tcp_transfer, udp_echo

Fixtures (tests/netns/conftest.py): `net` (a Net), `plane` (a Plane in net.host, taken down afterwards).
A typical test:

    def test_x(net, plane):
        a = net.veth_guest(1)                    # veth: host end "g1", guest end "eth0" in a namespace
        b = net.vm_guest(2)                      # as a VM: TAP "g2", virtio header, default offloads (taprelay)
        t = net.tap("tap3", nonblock=True)       # bare TAP in net.host, we are the VMM
        s = net.sniffer(net.host, "g1")          # or t.sniffer(), a.raw()
        plane.up(plane.segment("lan", "g1", {"name": "g2", "mac": [b.mac]}, "tap3", host=["vp0"], uplink=["up0"]))
        plane.up("version: 1\n...")             # or YAML text or a dict; fails the test unless it exits with 0
        assert a.ping(b) and a.ping6(b)
        tcp_transfer(a, b, mib=64)               # sha256-checked, raises on any error
        assert plane.port("g1")["carrier"] == "tc"

Net(tag="")                 context manager; everything is removed at the end, also by atexit
  .host .world .ns("NAME")  Ns, made at first use (system name vpt-PID-RAND-NAME); the plane lives in host
  .veth((ns1, "a"), (ns2, "b"), mac1=, mac2=, addr1=[], addr2=[], mtu=, up=True, options="numrxqueues 4 ...")
  .veth_guest(N, dev="gN", up=True, **veth options)                                                 -> Guest
  .vm_guest(N, dev="gN", blocking=False, sndbuf=0, napi_frags=False, napi=False, persist=False, up=True, offload=True)
                                                                       -> Guest with .kill() and .restart()
  .uplink(dev="up0", number=200) -> Guest in net.world behind a veth whose host end is `dev`
  .tap(dev, ns=None, **Tap options) -> Tap       .sniffer(ns, dev, **Sniffer options) -> Sniffer
  .bridge(ns, name, [dev...])  kernel bridge, the reference       .at_close(function)

Guest N: .ns  .dev (inside)  .port (device in host)  .mac == frames.mac(N): 52:54:00:00:00:(0x10+N)
  .ip == frames.ip(N): 198.18.0.(10+N)/15   .ip6 == frames.ip6(N): fd00:198::(10+N)/64
  .ping(target, count=1, size=56, timeout=2, df=False) -> bool   .ping6(...)   target: Guest or address
  .vlan(vid): its stack lives in that VLAN of its device (tags beside the frame, offloads as they are)
  .raw(vnet=False) -> Sniffer on its device (send and receive)   .offload("tso off gso off")

Ns: .name .path .run("cmd" or [..], check=True, timeout=30, input=None) -> CompletedProcess(text)   .sh("shell | pipe")
  .popen(cmd, **Popen options)  .ip("link set x up", "addr add ...", ...) (one batch)  .ethtool("-K x gro on")
  .sysctl("net.ipv4.ip_forward"[, value])   .json("cmd -j")   .enter(): this thread is in the namespace inside `with`
  .socket(family, type, proto=0) .ifindex(dev) .link(dev) -> `ip -j -s -d link` dict .up(*devs) .down(*devs)
  .delete(dev) .exists(dev) .devices() .processes() .kill_all()

Tap(ns, name, nonblock=True, vnet=True, sndbuf=None, napi=False, napi_frags=False, queues=1, offload=0|Tap.OFFLOADS,
    persist=False, up=True, mac=None, mtu=None)    mac is the netdev's own, not the guest's
  .send(frame, needs_csum=None|(start, offset), gso=None|("tcp4"|"tcp6"|"udp"|"udp_l4", size, hdr_len), q=0)
  .send_auto(frame): with needs_csum if the checksum is unfinished
  .recv(timeout=1.0, q=None) -> Rx(hdr, frame) or None    .set_offload(flags) .fds .close() .delete() .sniffer()
  hdr: Vnet(flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers)
Sniffer(ns, dev, ignore_outgoing=False, vnet=False, promisc=False)    make it before link-up to see the very first frame
  .recv(timeout=1.0) -> Cap(frame, vlan, tpid, outgoing, csum_notready, hdr) or None    .close()
  .send(frame, needs_csum=None, gso=None): out of the device; needs_csum and gso need vnet=True
  Cap.vlan: whole TCI of a hardware-accelerated tag, None if there is none; Cap.tagged: the frame with that tag in-band
Both: .recv_match(frame or function(frame), timeout=1.0)    .drain(quiet=0.05) -> list

frames: eth(dst, src, ethertype, payload, vlans=()); vlans from the outside in: [vid or (tpid, tci)]
  udp(smac, dmac, sip, dip, sport=1000, dport=2000, payload=b"x"*32, csum=CSUM, vlans=(), ttl=64, frag=0, pad=0)
  tcp(smac, dmac, sip, dip, sport=1000, dport=2000, payload=b"", seq=1, ack=1, flags="A", csum=CSUM, vlans=(), ttl=64)
  icmp(smac, dmac, sip, dip, payload=.., type=echo request, code=0, ident=1, seq=1, csum=CSUM, vlans=())
  CSUM: "full" | "partial" | "both" | "bad" | "zero"; IPv4 or IPv6 by the form of sip
  raw_ip(smac, dmac, sip, dip, proto, payload, ...)  ipv4(...)  ipv6(...)  bpdu(smac)
  arp(op, smac, sip, tmac, tip, dst=None, src=None, vlans=())  arp_request(smac, sip, tip)  nd_ns(smac, sip, target)
  nd_na(smac, dmac, sip, dip)    mac(n) ip(n) ip6(n) BCAST mac_bytes(text)
  parse(frame) -> Parsed(dst, src, vlans, ethertype, l3, proto, sip, dip, l4, sport, dport, payload, csum_off, ...)
  csum_state(frame) -> "full" | "partial" | "bad" | "zero" | "none"    csum_args(frame) -> (start, offset)
  check(hdr, frame) -> None if the reader sees it right, else what is wrong (hdr None: a wire)

layers: what is inside of what   sctp(...) vxlan(..., inner) gre(..., inner) frames   vnet(frame) -> its guest's virtio header
  needs_csum(frame) -> (start, offset) of the innermost unfinished checksum   wire(hdr, frame) -> the frame as a NIC sends it
  faults(hdr, frame) -> as frames.check, for every layer and for SCTP
grid, pair, protocols: the compatibility matrix (test_matrix.py): which cells, two guests of a plane, what is run between them
  Pair(Row("tap", "veth", "auto", "nonblock", "segment"), link=None|"apart", wait=5.0) -> .a .b .plane .net .watched() .mtu(9000)
  protocols.dnsmasq(guest, options...), lease(pair, client), member(guest, group, port), to_group(guest, group, port, data)

Plane(ns, name=None): name "tPIDRAND"; binary from $VPEER or build/vpeer (private copy)
  .up(conf, *args, check=True)  .down(check=True)  .attach(*ports)
  .set_device("t1", "down"|"up")   .told(): where the kernel does not tell the programs of a device's change, we do
  .run("mac add lan ...", check=True) -> CompletedProcess
  .json("show") -> dict  .show(what="all") -> show --json  .port(name) -> dict  .drops(name) -> {reason: n > 0}
  .check_sum(name): rx = forwarded + flooded + passed + drops, or AssertionError    .pins() -> paths
  .segment(name, *guest ports, host=(), uplink=(), **segment keys) -> configuration (dict)
KERNEL: (major, minor) of the running one   need_kernel((6, 3), "what came with it"): skips the test before it
Functions: wait_until(cond, timeout=5, every=0.05, what="")   iperf(a, b, args="-t 2", v6=False) -> dict
  tcp_transfer(a, b, mib=8, back=True, v6=False, timeout=60) -> seconds   udp_echo(a, b, count=50, size=100) -> lost
"""
from .net import KERNEL, Guest, Net, Ns, need_kernel, run, wait_until
from .plane import Plane
from .sniff import Cap, Sniffer
from .tap import Rx, Tap, Vnet
from .traffic import iperf, tcp_transfer, udp_echo

__all__ = ["KERNEL", "Cap", "Guest", "Net", "Ns", "Plane", "Rx", "Sniffer", "Tap", "Vnet",
           "iperf", "need_kernel", "run", "tcp_transfer", "udp_echo", "wait_until"]
