# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Raw sockets on one device: capture with VLAN tags and checksum state, and injection."""
import select
import socket
import struct
import time
from collections import namedtuple

from .ns import SLOW
from .tap import Reader, Vnet, vnet_pack

SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 1, 8, 15, 23
PACKET_MR_PROMISC, PACKET_OUTGOING, ETH_P_ALL, SO_RCVBUFFORCE = 1, 4, 3, 33
TP_CSUMNOTREADY, TP_VLAN_VALID, TP_VLAN_TPID_VALID = 8, 0x10, 0x40
AUX = struct.Struct("IIIHHHH")
HDR10 = struct.Struct("<BBHHHH")


class Cap(namedtuple("Cap", "frame vlan tpid outgoing csum_notready hdr")):
    """A captured frame; vlan = TCI of a hardware-accelerated tag or None."""

    @property
    def tagged(self):
        """The frame with that tag in-band, as on a wire."""
        if self.vlan is None:
            return self.frame
        return self.frame[:12] + struct.pack("!HH", self.tpid or 0x8100, self.vlan) + self.frame[12:]


class Sniffer(Reader):
    """An AF_PACKET socket on a device, which need not be up."""

    def __init__(self, ns, dev, ignore_outgoing=False, vnet=False, promisc=False):
        self.vnet, self.dev, self.ns = vnet, dev, ns
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        if vnet:
            self.sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        if ignore_outgoing:
            self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.bind((dev, ETH_P_ALL))
        if promisc:
            self.sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP,
                                 struct.pack("iHH8s", ns.ifindex(dev), PACKET_MR_PROMISC, 0, b""))
        self.sock.setblocking(False)

    def _unpack(self, data, ancillary, address):
        vlan = tpid = hdr = None
        notready = False
        for level, kind, body in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, ethertype = AUX.unpack_from(body)
                notready = bool(status & TP_CSUMNOTREADY)
                if status & TP_VLAN_VALID:
                    vlan, tpid = tci, ethertype if status & TP_VLAN_TPID_VALID else 0x8100
        if self.vnet:
            hdr, data = Vnet(*HDR10.unpack_from(data), 0), data[HDR10.size:]
        return Cap(data, vlan, tpid, address[2] == PACKET_OUTGOING, notready, hdr)

    def recv(self, timeout=1.0):
        """The next frame or None."""
        limit = time.monotonic() + timeout * SLOW
        while True:
            left = limit - time.monotonic()
            if select.select([self.sock], [], [], max(0, left))[0]:
                try:
                    data, ancillary, _, address = self.sock.recvmsg(70000, 256)
                except (BlockingIOError, OSError) as e:
                    if isinstance(e, BlockingIOError) or e.errno == 100:    # ENETDOWN is told once
                        continue
                    raise
                return self._unpack(data, ancillary, address)
            if left <= 0:
                return None

    def send(self, frame, needs_csum=None, gso=None):
        """Sends a frame out of the device, past the stack; a veth guest's end sends to its port so."""
        if (needs_csum or gso) and not self.vnet:
            raise ValueError("needs_csum and gso need vnet=True")
        self.sock.send((vnet_pack(needs_csum, gso)[:10] if self.vnet else b"") + frame)

    def close(self):
        self.sock.close()
