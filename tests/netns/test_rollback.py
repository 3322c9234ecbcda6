# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The way back: `rollback`, `up --confirm` and `confirm`; and that each frame sees one configuration."""
import json
import os
import signal
import subprocess
import time

import pytest

from lab import wait_until
from lab.flow import B, Flow
from lab.ns import SLOW


@pytest.fixture
def live(net, plane):
    """Two TAPs in a segment, up."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.tap("tap1"), net.tap("tap2")
    plane.up(conf())
    return plane


def conf(*more, **keys):
    return {"version": 1, "segments": [{"name": "lan"}],
            "ports": [{"name": "a", "device": "tap1", "segment": "lan", **keys}, {"name": "b", "device": "tap2", "segment": "lan"}, *more]}


def text(plane):
    return plane.run("showconf").stdout


def files(plane):
    return sorted(os.listdir(f"/run/vpeer/{plane.name}"))


def waiters(plane):
    """Processes that wait to take a change of this plane back."""
    done = subprocess.run(["pgrep", "-f", f"{plane.binary} --plane {plane.name} "], stdout=subprocess.PIPE, text=True, check=False)
    found = []
    for pid in done.stdout.split():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                    found.append(int(pid))
        except FileNotFoundError:
            pass
    return found


def refused(done, *words):
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done
    for word in words:
        assert word in done.stderr, done.stderr


# ---- rollback ----

def test_rollback_and_back_again(live):
    one = text(live)
    live.up(conf(quota=7))
    two = text(live)
    assert "done" in live.run("rollback").stdout and text(live) == one
    assert live.json("rollback")["changed"] and text(live) == two
    live.run("rollback")
    assert "nothing to change" in live.up(conf()).stdout and text(live) == one


@pytest.mark.parametrize("change", ["port set a quota=9", "port del a", "port add c kind=host segment=lan", "unbind x", "bind c d"])
def test_of_every_verb_the_last_change(live, change):
    live.up({**conf({"name": "x", "device": "tapx"}, {"name": "y", "device": "tapy"}, {"name": "c", "device": "no1"}, {"name": "d", "device": "no2"}),
             "bindings": [{"a": "x", "b": "y"}]} if "bind" in change else conf())
    before = text(live)
    live.run(change)
    assert text(live) != before
    live.run("rollback")
    assert text(live) == before


def test_what_is_no_change_is_not_remembered(live, net):
    one = text(live)
    live.up(conf(quota=7))
    two = text(live)
    live.up(conf(quota=7))
    live.attach()
    net.taps[0].close()
    net.tap("tap1")
    live.attach()
    live.run("mac add lan 52:54:00:00:00:77 a")
    refused(live.up(conf(device="tap2"), check=False), "tap2")
    live.run("port set a quota=x", check=False)
    assert text(live) == two
    live.run("rollback")
    assert text(live) == one


def test_nothing_to_go_back_to(live, plane):
    refused(live.run("rollback", check=False), "no former configuration")
    live.up(conf(quota=7))
    live.down()
    live.up(conf())
    refused(live.run("rollback", check=False), "no former configuration")
    live.down()
    refused(live.run("rollback", check=False), "no such plane")


def test_rollback_takes_what_it_had(net, plane):
    """An uplink that `--take-over` had taken has its address back; the way back takes it again."""
    net.uplink("up0")
    net.host.ip("addr add 198.18.9.9/24 dev up0")
    both = {"version": 1, "segments": [{"name": "lan"}], "ports": [{"name": "u", "device": "up0", "kind": "uplink", "segment": "lan"}]}
    plane.up(both, "--take-over")
    plane.run("port del u")
    assert "198.18.9.9" in net.host.run("ip addr show up0").stdout
    plane.run("rollback")
    assert plane.port("u")["state"] == "up" and "198.18.9.9" not in net.host.run("ip addr show up0").stdout
    plane.down()
    assert "198.18.9.9" in net.host.run("ip addr show up0").stdout


@pytest.mark.parametrize("call, n", [("rename", 1), ("rename", 2), ("membarrier", 1)])
def test_a_dead_loader_does_not_confuse_it(live, call, n):
    """Killed before or after the switch: the former configuration is the one before the last change that holds."""
    one = text(live)
    live.up(conf(quota=7))
    two = text(live)
    live.ns.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={n}", live.binary, "--plane", live.name,
                 "port", "set", "a", "quota=8"], check=False)
    switched = text(live) != two
    assert switched == (call == "membarrier" or n == 2)
    live.run("rollback")
    assert text(live) == (two if switched else one)


# ---- confirm ----

def test_without_confirm_it_is_taken_back(live):
    one = text(live)
    done = live.up(conf(quota=7), "--confirm", 2)
    assert "taken back in 2 s unless you run: vpeer --plane" in done.stdout and text(live) != one
    shown = live.show()
    assert shown["confirm"]["seconds"] in (1, 2) and "unless you run" in live.run("show").stdout
    assert len(waiters(live)) == 1
    wait_until(lambda: text(live) == one, timeout=4, what="taken back")
    wait_until(lambda: not waiters(live), timeout=2, what="nothing runs")
    assert live.show()["confirm"] is None and "confirm" not in files(live)
    refused(live.run("confirm", check=False), "nothing waits")


def test_confirmed_it_stays(live):
    one = text(live)
    live.up(conf(quota=7), "--confirm", 2)
    two = text(live)
    assert live.json("confirm") == {"plane": live.name, "confirmed": True}
    wait_until(lambda: not waiters(live), timeout=2, what="nothing runs")
    time.sleep(2.5 * SLOW)
    assert text(live) == two and live.show()["confirm"] is None
    live.run("rollback")
    assert text(live) == one


def test_rollback_decides_it(live):
    one = text(live)
    live.up(conf(quota=7), "--confirm", 60)
    live.run("rollback")
    assert text(live) == one and live.show()["confirm"] is None
    wait_until(lambda: not waiters(live), timeout=2, what="nothing runs")


def test_nothing_else_is_changed_meanwhile(live):
    live.up(conf(quota=7), "--confirm", 60)
    two = text(live)
    for verb in ("port del a", "port set a quota=9", "port add n device=no segment=lan"):
        refused(live.run(verb, check=False), "waits to be confirmed", f"--plane {live.name} confirm", f"--plane {live.name} rollback")
    refused(live.up(conf(), "--confirm", 5, check=False), "waits to be confirmed")
    assert text(live) == two
    assert "nothing to change" in live.up(conf(quota=7)).stdout and "nothing to change" in live.up(conf(quota=7), "--confirm", 1).stdout
    live.run("mac add lan 52:54:00:00:00:77 a"), live.attach(), live.run("upgrade")
    assert live.show()["confirm"]["seconds"] > 50
    live.run("confirm")
    live.run("port del a")


def test_no_change_needs_no_confirmation(live):
    assert "nothing to change" in live.up(conf(), "--confirm", 1).stdout
    assert live.show()["confirm"] is None and not waiters(live)


def test_a_change_that_fails_leaves_nothing_pending(live, net):
    net.uplink("busy")
    net.host.ip("addr add 198.18.5.5/24 dev busy")
    refused(live.up(conf({"name": "u", "device": "busy", "kind": "uplink", "segment": "lan"}), "--confirm", 60, check=False), "busy")
    assert live.show()["confirm"] is None and not waiters(live)


def test_a_plane_that_was_not_there_goes_again(live):
    live.down()
    live.up(conf(), "--confirm", 1)
    assert live.port("a")["state"] == "up"
    wait_until(lambda: not live.pins(), timeout=4, what="removed")
    wait_until(lambda: not waiters(live) and not os.path.exists(f"/run/vpeer/{live.name}"), timeout=2, what="nothing is left")


def test_the_plane_may_be_gone_or_another_by_then(live):
    live.up(conf(quota=7), "--confirm", 2)
    live.down()
    wait_until(lambda: not waiters(live), timeout=2, what="it has seen that it is not wanted")
    live.up(conf(quota=7), "--confirm", 2)
    live.down()
    live.up(conf(quota=8))
    other = text(live)
    time.sleep(2.5 * SLOW)
    assert text(live) == other and not waiters(live)
    live.up(conf(quota=7), "--confirm", 60)
    live.down()
    live.up(conf(quota=7), "--confirm", 50)
    wait_until(lambda: len(waiters(live)) == 1, timeout=2, what="each waits for its own")


def test_it_needs_no_terminal(live):
    """Run on a terminal that closes: its processes get a hangup."""
    one = text(live)
    path = f"/tmp/vpt-{live.name}.yaml"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(conf(quota=7), f)
    with live.ns.enter():
        shell = subprocess.Popen(["script", "-qec", f"{live.binary} --plane {live.name} up -f {path} --confirm 2; sleep 60", "/dev/null"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: text(live) != one, timeout=5, what="changed")
    shell.kill()        # it holds the master side
    shell.wait(10)
    os.unlink(path)
    assert text(live) != one and len(waiters(live)) == 1
    wait_until(lambda: text(live) == one, timeout=5, what="taken back")


def test_when_the_waiting_process_is_killed_it_is_told(live):
    one = text(live)
    live.up(conf(quota=7), "--confirm", 1)
    for pid in waiters(live):
        os.kill(pid, signal.SIGKILL)
    time.sleep(1.2 * SLOW)
    assert live.show()["confirm"]["seconds"] <= 0 and "not confirmed in time" in live.run("show").stdout
    refused(live.run("port del a", check=False), "not confirmed in time")
    live.run("rollback")
    assert text(live) == one


@pytest.mark.parametrize("value", ["0", "x", "-1", "86401", "1.5", ""])
def test_seconds(live, value):
    done = live.up(conf(quota=7), "--confirm", value, check=False)
    assert done.returncode == 2 and "1 to 86400" in done.stderr
    assert live.run(["up", "--confirm"], check=False).returncode == 2


def test_killed_before_the_switch_nothing_is_pending(live):
    zero = text(live)
    live.up(conf(quota=6))
    one = text(live)
    live.ns.run(["strace", "-qq", "-o", "/dev/null", "-e", "inject=wait4:signal=KILL:when=1", live.binary, "--plane", live.name, "up", "-f", "-",
                 "--confirm", "2"], input=json.dumps(conf(quota=7)), check=False)
    assert text(live) == one
    live.run("rollback")
    assert text(live) == zero, "what did not happen is no former configuration"
    live.up(conf(quota=8))
    three = text(live)
    time.sleep(2.5 * SLOW)
    assert text(live) == three and live.show()["confirm"] is None and not waiters(live)


# ---- one configuration at a time ----

@pytest.mark.parametrize("carrier", ["xdp", "tc"])
def test_no_frame_sees_a_mixture(net, plane, carrier):
    """From a the old configuration leads to b alone, the new one to c alone, and any mixture of the two to d: a is in the
    segment `one` with b, or in `two` with c, and d in the other one."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    flow = Flow(net, ["tap-b", "tap-c", "tap-d"], tap="tap-a")

    def places(**segment):
        return {"version": 1, "segments": [{"name": "one"}, {"name": "two"}], "ports": [
            {"name": n, "device": f"tap-{n}", "segment": s, "carrier": carrier} for n, s in segment.items()]}
    confs = [places(a="one", b="one", c="two", d="two"), places(a="two", c="two", b="one", d="one")]
    plane.up(confs[0])
    with flow:
        for i in range(1, 31):
            plane.up(confs[i % 2])
    result = flow.result
    b, c, d = result["received"]
    assert result["lost"] == result["twice"] == result["refused"] == 0, result
    assert d == 0 and b + c == result["sent"] and min(b, c) > result["sent"] // 10, result
    assert plane.port("a")["flooded"] == result["sent"] and plane.port("a")["carrier"] == carrier


@pytest.mark.parametrize("carrier", ["xdp", "tc"])
def test_an_id_that_is_given_away_delivers_nothing_of_its_former_owner(net, plane, carrier):
    """g comes and goes under traffic to it, and h gets its id: what was for g never reaches h."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    flow = Flow(net, ["tap-g", "tap-h"], tap="tap-a")
    plane.up({"version": 1, "segments": [{"name": "lan", "flood": False}],
              "ports": [{"name": "a", "device": "tap-a", "segment": "lan", "carrier": carrier}]})
    ids = set()
    with flow:
        for _ in range(12):
            plane.run(f"port add g device=tap-g segment=lan carrier={carrier}")
            plane.run(f"mac add lan {B} g")
            ids.add(plane.port("g")["id"])
            plane.run("port del g")
            plane.run(f"port add h device=tap-h segment=lan carrier={carrier}")
            ids.add(plane.port("h")["id"])
            plane.run("port del h")
    assert len(ids) == 1, "control: it was the same id"
    g, h = flow.result["received"]
    assert g > 1000 and h == 0 and flow.result["twice"] == flow.result["late"] == 0, flow.result
    port = plane.port("a")
    assert port["forwarded"] == g and port["drops"]["unknown_unicast"] == flow.result["sent"] - g


def test_control_an_entry_for_the_new_owner_does_deliver(net, plane):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    flow = Flow(net, ["tap-g", "tap-h"], tap="tap-a")
    plane.up(plane.segment("lan", {"name": "a", "device": "tap-a"}, {"name": "h", "device": "tap-h", "mac": [B]}, flood=False))
    with flow:
        time.sleep(0.1)
    assert flow.clean()["received"][1] == flow.result["sent"]
