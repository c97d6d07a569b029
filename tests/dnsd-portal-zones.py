#!/usr/bin/python3
"""What the portal says of 50,000 nodes becomes zones that named-checkzone accepts, record by record those expected."""

import importlib.util
import json

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main
from bed.host import TOP

NEEDS = "bed"
TIMEOUT = 300

SPEC = importlib.util.spec_from_file_location("large", TOP / "tests/fixtures/portal/large.py")
SETTINGS = "portal = { service = 9503, reverse = true }\n"


def test(bed):
    """A box gets the data from a stick: the portal is nowhere."""
    large = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(large)
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box = bed.node("box", RELEASES[0], link, bed.repository)
    checker = bed.server("checker", link)
    checker.start("sleep infinity", {})
    Node.start(box)
    box.install("guifi-box-minimal", "guifi-portald")
    box.write("/etc/guifi/dnsd.d/50-portal.toml", SETTINGS)
    box.sh("systemctl reload guifi-dnsd")
    for document in ("cnml", "ips", "domains"):
        with open(box.merged / f"root/{document}.xml", "w", encoding="utf-8") as file:
            file.writelines(getattr(large, document)(large.NODES))
        box.sh(f"guifi-portal import /root/{document}.xml", timeout=120)
    equal(json.loads(box.sh("guifi-portal --json node 59999"))["title"], "Node59999", "the last node")
    expected = large.records(large.NODES)
    eventually(f"{box} serves {len(expected)} zones", lambda: len(_hosted(box)) == len(expected), 60, every=1)
    for zone, lines in expected.items():
        text = box.sh(f"guifi-dns show {zone}", timeout=60)
        _accepted(checker, zone, text)
        found = sorted(_canonical(line) for line in text.splitlines())
        wanted = sorted(_canonical(line) for line in lines)
        lost, more = set(wanted) - set(found), set(found) - set(wanted)
        check(found == wanted, f"{zone}: {len(lost)} records are missing and {len(more)} too many: {sorted(lost)[:3]} {sorted(more)[:3]}")


def _hosted(box):
    zones = box.json("guifi-dns --json hosted")
    for zone in zones:
        check(not zone["fault"], f"{box}: {zone}")
    return zones


def _accepted(checker, zone, text):
    """named-checkzone says that the zone is loaded, and nothing else."""
    said = checker.inside(f"cat >/tmp/zone && named-checkzone -i local {zone} /tmp/zone", text + "\n", check=False).splitlines()
    check(len(said) == 2 and "loaded serial" in said[0] and said[1] == "OK", f"named-checkzone of {zone}: {said[:5]}")


def _canonical(line):
    """A record as text that is equal for equal records; of the start of authority without its serial."""
    words = line.split()
    if words[3] == "SOA":
        words[6] = "SERIAL"
    return " ".join(words)


main(__name__, __file__)
