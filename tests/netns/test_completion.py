# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Completion for bash knows the live plane's names; what follows from the verb table alone is in tests/agree.py."""
from lab.net import ROOT

OFFER = """source {root}/build/vpeer.bash
COMP_VPEER={binary} COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$' \\t\\n=:' COMPREPLY=()
_vpeer
echo "${{COMPREPLY[*]}}"
"""


def test_live_names_are_offered(net, plane):
    plane.up("version: 1\nsegments: [{name: lan}, {name: lab.2}]\nports:\n  - {name: g1, device: x1, segment: lan}\n"
             "  - {name: \"1st\", device: x2}\n  - {name: g.2-b, device: x3}\n")

    def offered(line):
        shell = OFFER.format(root=ROOT, binary=plane.binary)
        return net.host.run(["bash", "-uc", shell, "bash", line.replace("vpeer", f"vpeer --plane {plane.name}", 1)]).stdout.split()

    ports = ["1st", "g.2-b", "g1"]
    for line in ("vpeer attach ", "vpeer attach g1 ", "vpeer port set ", "vpeer port del ", "vpeer bind ", "vpeer bind g1 ", "vpeer unbind "):
        assert offered(line) == ports, line
    assert offered("vpeer port add ") == []
    assert offered("vpeer bind g") == ["g.2-b", "g1"]
    assert offered("vpeer mac add ") == offered("vpeer mac del ") == ["lab.2", "lan"]
    assert offered("vpeer mac add lan 02:00:00:00:00:01 ") == ports
    assert offered("vpeer mac flush segment=") == ["lab.2", "lan"] and offered("vpeer mac flush port=g1") == ["g1"]
    assert offered("vpeer port set g1 segment=lab") == ["lab.2"]
    assert offered("vpeer port set g1 carrier=") == ["auto", "tc", "xdp"]
    # The names of planes are where their pins are.
    assert plane.name in net.host.run(["bash", "-uc", OFFER.format(root=ROOT, binary=plane.binary), "bash", "vpeer --plane "]).stdout
