# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a plane might leave behind in a namespace, before and after."""
import os

KEYS = ("ifindex", "flags", "mtu", "qdisc", "master", "promiscuity", "ifalias", "address", "txqlen", "operstate", "inet6_addr_gen_mode")


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
            "addresses": ns.run("ip -o addr").stdout.count("inet"), "routes": ns.run("ip route").stdout,
            "run": sorted(os.listdir("/run/vpeer")), "bpffs": sorted(os.listdir("/sys/fs/bpf"))}


def differences(before, after):
    """{what: (before, after)}; of the links only those that differ."""
    found = {k: (before[k], after[k]) for k in before if before[k] != after[k]}
    if "links" in found:
        found["links"] = {d: (before["links"].get(d), after["links"].get(d)) for d in {*before["links"], *after["links"]}
                          if before["links"].get(d) != after["links"].get(d)}
    return found
