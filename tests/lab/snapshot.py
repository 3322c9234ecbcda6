# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a plane might leave behind in a namespace, before and after."""
import os
import re

KEYS = ("ifindex", "flags", "mtu", "qdisc", "master", "promiscuity", "ifalias", "address", "txqlen", "operstate", "inet6_addr_gen_mode")


# What an address and a route say that passes by itself.
ADDRESS = ("family", "local", "address", "prefixlen", "scope", "label", "broadcast", "metric", "protocol", "secondary", "dynamic", "mngtmpaddr",
           "noprefixroute", "nodad")
PASSING = r" (linkdown|dead|expires \S+)\b"


def addresses(ns):
    """{device: its addresses}, without what IPv6 makes of a device by itself."""
    return {link["ifname"]: [{k: a.get(k) for k in ADDRESS} for a in link.get("addr_info", []) if a.get("scope") != "link" or a["family"] == "inet"]
            for link in ns.json("ip -j -d addr show") if link}


def routes(ns):
    """Of all tables, as the kernel lists them; of IPv6 those that somebody has made."""
    of = {4: ns.run("ip -d -4 route show table all").stdout, 6: ns.run("ip -d -6 route show table all").stdout}
    return [re.sub(PASSING, "", line).strip() for v in of for line in of[v].splitlines() if v == 4 or "proto kernel" not in line]


def take(ns):
    """All of it, without counters and numbers that change by themselves."""
    links = {}
    for link in ns.json("ip -j -d link show"):
        xdp = link.get("xdp", {})
        xdp.pop("prog", None)
        links[link["ifname"]] = {k: link.get(k) for k in KEYS} | {"xdp": xdp}
    features = {dev: ns.ethtool(f"-k {dev}").stdout for dev in links if dev != "lo"}
    filters = {dev: [ns.run(f"tc filter show dev {dev} {side}").stdout for side in ("ingress", "egress")] for dev in links}
    return {"links": links, "features": features, "filters": filters, "qdiscs": ns.run("tc qdisc show").stdout,
            "addresses": addresses(ns), "routes": routes(ns),
            "run": sorted(os.listdir("/run/vpeer")), "bpffs": sorted(os.listdir("/sys/fs/bpf"))}


def differences(before, after):
    """{what: (before, after)}; of what is told by device only those that differ."""
    found = {k: (before[k], after[k]) for k in before if before[k] != after[k]}
    for key, (was, now) in found.items():
        if isinstance(was, dict):
            found[key] = {d: (was.get(d), now.get(d)) for d in {*was, *now} if was.get(d) != now.get(d)}
    return found
