#!/usr/bin/python3
"""dig for PTR, SRV, TXT, A and reverse, from a host that has nothing of ours, at any box, is right."""

from bed.case import check, equal, eventually, main

NEEDS = "town"


def test(town):
    """Every box publishes one service; every reachable box is asked about each."""
    for number, box in enumerate(town.boxes):
        town.publish(box, f"Web {box.name}", "_http._tcp", 8200 + number, f"path=/{box.name}", "--check", "none")
    try:
        for box in town.boxes:
            town.seen(town.boxes, f"Web {box.name}")
        # Nobody outside can ask the box behind the NAT; it is asked from inside.
        for server in town.boxes[:-1]:
            _ask(town, lambda words, at=server: town.visitor.sh(f"dig +short +time=2 @{at.address} {words}"), server)
        last = town.boxes[-1]
        _ask(town, lambda words: last.sh(f"dig +short +time=2 {words}"), last)
        _transport(town)
    finally:
        for box in town.boxes:
            town.unpublish(box, f"Web {box.name}")


def _ask(town, dig, server):
    for number, box in enumerate(town.boxes):
        zone, host = town.zone(box), town.host(box)
        instance = f"Web\\032{box.name}._http._tcp.{zone}."
        asked = f"'{instance}'"

        def right(zone=zone, instance=instance):
            return instance in dig(f"_http._tcp.{zone} PTR").splitlines()

        eventually(f"{server} answers PTR for {box}", right, 15)
        equal(dig(f"{asked} SRV").split()[2:], [str(8200 + number), f"{host}."], f"SRV of {box} at {server}")
        check(f'"path=/{box.name}"' in dig(f"{asked} TXT"), f"TXT of {box} at {server}: {dig(f'{asked} TXT')}")
        check(box.address in dig(f"{host} A").splitlines(), f"A of {box} at {server}: {dig(f'{host} A')}")
        check("_http._tcp" in dig(f"_services._dns-sd._udp.{zone} PTR"), f"types of {zone} at {server}")
        if box is not town.boxes[-1]:
            eventually(f"reverse of {box} at {server}", lambda box=box, host=host: f"{host}." in dig(f"-x {box.address}"), 90)
    missing = dig(f"nobody.{town.zone(town.boxes[0])} A")
    equal(missing, "", f"answer for a name that is not, at {server}")


def _transport(town):
    server = town.boxes[0]
    name = town.host(server)
    full = town.visitor.sh(f"dig @{server.address} {name} A +norec")
    check(" aa" in full and "status: NOERROR" in full, f"not an authoritative answer:\n{full}")
    check("SOA" in town.visitor.sh(f"dig @{server.address} none.{name} A"), "no SOA in a negative answer")
    check(server.address in town.visitor.sh(f"dig +tcp +short @{server.address} {name} A"), "no answer by TCP")
    check("SOA" in town.visitor.sh(f"dig +noall +answer @{server.address} {town.zone(server).split('.', 1)[1]} SOA"), "no SOA")


main(__name__, __file__)
