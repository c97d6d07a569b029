#!/usr/bin/python3
"""Files that one box stores are read on another, behind a NAT, by their cap; a box that is off is no loss."""

import json

from bed.case import check, equal, eventually, main, together

NEEDS = "town"
TIMEOUT = 420

CONTENT = "head -c 3000000 /dev/urandom >/root/tree/large; head -c 200 /dev/urandom >'/root/tree/sub/a name'; : >/root/tree/empty"
SUMS = "cd {} && find . -type f -exec sha256sum '{{}}' + | sort"


def _part(box, name):
    parts = json.loads(box.sh("guifi-status --json || true"))["parts"]
    return next(part for part in parts if part["part"] == name)


def test(town):
    """Storage on all boxes, gateways on the first and the hidden one."""
    first, far = town.boxes[0], town.hidden
    gateways = (first, far)
    try:
        together(lambda box: box.install("guifi-storaged"), town.boxes)
        together(lambda box: box.install("guifi-gatewayd"), gateways)
        for box in gateways:
            eventually(f"{box} knows the storage of all", lambda box=box: _servers(box) == len(town.boxes), 90)
        _stored(first, far)
        _without(town, first, far)
    finally:
        words = "apt-get -qq -y purge guifi-storaged guifi-gatewayd 2>&1"
        together(lambda box: box.sh(words, timeout=180), town.boxes)


def _servers(box):
    """How many servers answer."""
    servers = box.json("guifi-store --json status")["servers"]
    return sum(server["state"] == "up" for server in servers)


def _stored(first, far):
    first.sh(f"mkdir -p /root/tree/sub; {CONTENT}")
    first.sh("guifi-store alias create home && guifi-store cp -r /root/tree home:", timeout=120)
    cap = first.sh("guifi-store share home:tree")
    far.sh(f"guifi-store alias add theirs {cap} && guifi-store cp -r theirs: /root/copy", timeout=120)
    equal(far.sh(SUMS.format("/root/copy")), first.sh(SUMS.format("/root/tree")), "the copy on another box")
    check(not far.ok("guifi-store rm theirs:empty"), "a cap that reads has removed a name")
    part = _part(first, "gatewayd")
    check(part["state"] == "ok" and "survives the loss" in part["reason"], f"the promise: {part}")
    for box in (first, far):
        part = _part(box, "storaged")
        check(part["state"] == "ok" and "shares" in part["reason"], f"{box}: {part}")


def _without(town, first, far):
    """One server is killed, and everything is still there."""
    victim = town.others(first)[0]
    victim.sh("systemctl stop guifi-storaged")
    first.sh("seq 5000 >/root/tree/later && guifi-store put /root/tree/later home:tree/later", timeout=120)
    far.sh("rm -rf /root/copy && guifi-store cp -r theirs: /root/copy", timeout=120)
    equal(far.sh(SUMS.format("/root/copy")), first.sh(SUMS.format("/root/tree")), "the copy without one server")
    victim.sh("systemctl start guifi-storaged")
    # What it missed is made good, once it is seen to be back.
    repaired = "guifi-store repair -r home:tree && guifi-store check -r --verify home:tree"
    eventually("the tree is healthy", lambda: first.ok(repaired, timeout=60), 120)


main(__name__, __file__)
