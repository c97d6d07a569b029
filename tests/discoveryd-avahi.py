#!/usr/bin/python3
"""An unmodified avahi-browse -d lists the services of a zone and finds the zones; Avahi may restart."""

from bed.case import check, eventually, main

NEEDS = "town"


def test(town):
    """From the far end, behind the NAT."""
    box, far = town.boxes[0], town.boxes[-1]
    zone = town.zone(box)
    town.page(box, "<p>avahi</p>\n")
    town.publish(box, "Avahi sees me. Really", "_http._tcp", 80)
    try:

        def listed():
            text = far.run(f"timeout 15 avahi-browse -prt -d {zone} _http._tcp 2>&1", check=False).stdout
            return [line for line in text.splitlines() if line.startswith("=") and "Avahi" in line]

        lines, _ = eventually(f"avahi-browse -rt -d {zone} lists the service", listed, 40)
        check(any(box.address in line and ";80;" in line for line in lines), f"wrong answer: {lines}")
        domain = zone.split(".", 1)[1]

        def zones():
            return far.run(f"timeout 8 avahi-browse -D -t -d {domain} 2>&1", check=False).stdout

        for name in sorted(set(town.zones.values())):
            eventually(f"avahi-browse -D finds the zone {name}", lambda name=name: f"{name}.{domain}" in zones(), 40)
        # Link-local discovery knows the service as well.
        neighbour = town.boxes[1]
        eventually(
            "the neighbour finds it by mDNS",
            lambda: "Avahi" in neighbour.run("timeout 8 avahi-browse -prt _http._tcp", check=False).stdout,
            40,
        )
        box.sh("systemctl restart avahi-daemon")
        eventually(
            "the neighbour finds it again after a restart of Avahi",
            lambda: "Avahi" in neighbour.run("timeout 8 avahi-browse -prt _http._tcp", check=False).stdout,
            60,
        )
    finally:
        town.unpublish(box, "Avahi sees me. Really")


main(__name__, __file__)
