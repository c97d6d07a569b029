#!/usr/bin/python3
"""Services of another link are shown on this one, once, also when the box that does it dies, and never return."""

import json

from bed.case import check, equal, eventually, main, say

NEEDS = "town"
TIMEOUT = 400

DROP_IN = "/etc/guifi/discoveryd.d/import.toml"
WEST, EAST = "West page", "East page"


def _seen(box, name):
    """What a plain avahi-browse on a box finds of that name: lists of fields, on the link by IPv4."""
    text = box.run("timeout 15 avahi-browse -prt _http._tcp 2>/dev/null", check=False).stdout
    found = [line.split(";") for line in text.splitlines() if line.startswith("=")]
    return [fields for fields in found if fields[1:3] == ["eth0", "IPv4"] and name.replace(" ", "\\032") in fields[3]]


def _once(box, name, address, deadline=40):
    def found():
        lines = _seen(box, name)
        return lines if len(lines) == 1 and lines[0][7] == address else None

    lines, took = eventually(f"{box} sees {name!r} at {address} once", found, deadline)
    return lines[0], took


def _imports(box):
    call = "busctl --json=short call net.guifi.Discovery1 /net/guifi/Discovery1 net.guifi.Discovery1 Describe"
    document = json.loads(box.json(call)["data"][0])
    return document["import"]


def test(town):
    """West is published by one box there; the two boxes of the east import it, and it imports theirs."""
    first, second, west = town["vic-01"], town["vic-02"], town["tona-01"]
    town.publish(west, WEST, "_http._tcp", 8201, "path=/w", "--check", "none")
    town.publish(first, EAST, "_http._tcp", 8202, "--check", "none")
    try:
        for box in (first, second, west):
            box.write(DROP_IN, 'import = ["_http._tcp"]\n')
            box.sh("systemctl reload guifi-discoveryd")
        for box in (first, second):
            line, _ = _once(box, WEST, west.address)
            check("guifi-origin=" in line[9] and "path=/w" in line[9], f"wrong details: {line}")
            check(line[6].endswith(".local"), f"wrong host: {line}")
        _once(west, EAST, first.address)
        eventually("one box of the east imports", lambda: sorted(_imports(b)["links"] for b in (first, second)) == [0, 1], 40)
        # Neither comes back to where it is from, and nobody takes it for one of the link.
        for box, name in ((west, WEST), (first, EAST), (second, EAST)):
            lines = _seen(box, name)
            equal(len(lines), 1, f"{box} sees {name!r} as often: {lines}")
            check("guifi-origin" not in lines[0][9], f"{name!r} came back: {lines}")
        for box in (first, second):
            check(WEST not in town.names(box, "local"), f"{box} takes {WEST!r} for a service of its link")

        importer, other = (first, second) if _imports(first)["links"] == 1 else (second, first)
        importer.crash()
        _, took = eventually(f"{other} takes over from {importer}", lambda: _imports(other)["shown"] >= 1, 40)
        say(f"      the import was taken over in {took:.1f} s")
        check(took < 20, f"taking over took {took:.1f} s")
        for _ in range(3):
            equal(len(_seen(other, WEST)), 1, f"{other} sees {WEST!r}")
        importer.start()
        town.well(importer)
        _once(importer, WEST, west.address)
        _once(other, WEST, west.address)
    finally:
        for box in (first, second, west):
            if not box.ok("true", timeout=10):
                box.start()
            box.sh(f"rm -f {DROP_IN}; systemctl reload-or-restart guifi-discoveryd")
        town.unpublish(west, WEST)
        town.unpublish(first, EAST)
    eventually("nothing is imported any more", lambda: not _seen(second, WEST) and not _seen(west, EAST), 60)


main(__name__, __file__)
