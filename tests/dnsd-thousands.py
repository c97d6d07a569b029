#!/usr/bin/python3
"""3,000 services in 40 zones, 400 of them in one, are all found by guifi-browse and by dig over TCP, each once."""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "bench"))

from bed.case import Node, check, equal, main, say
from members import KIND, member
from populated import COMMUNITY, found

NEEDS = "bed"
TIMEOUT = 900

SIZES = [400] + [67] * 26 + [66] * 13
"""Services of each zone."""
MOST = 20
"""Services of one type that count for one box."""

DOMAIN = f"{COMMUNITY}.internal"
DIG = "dig @127.0.0.1 +tcp +keepopen +tries=1 +time=20"


def _members():
    listed = []
    for zone, services in enumerate(SIZES):
        while services > 0:
            listed.append(member(len(listed), f"z{zone:02}", min(MOST, services)))
            services -= MOST
    return listed


def _expected(listed):
    """Name, box, zone, port, details and addresses of every service."""
    return sorted(
        (service["instance"], one["name"], one["zone"], service["port"], tuple(service["txt"]), tuple(one["addresses"]))
        for one in listed
        for service in one["services"]
    )


def _browsed(box, *more):
    services = box.lines(f"guifi-browse --scope community --json {' '.join(more)}", timeout=120)
    return sorted((s["name"], s["box"], s["zone"], s["port"], tuple(s["txt"]), tuple(s["addresses"])) for s in services)


def _ask(box, questions, *also):
    """The answers to many questions over TCP: owner, type and data of each record."""
    box.write("/root/questions", "".join(f"{question}\n" for question in questions))
    text = box.sh(f"{DIG} +noall +answer +comments -f /root/questions", timeout=300)
    codes = re.findall(r"status: (\w+)", text)
    equal((len(codes), set(codes) - {"NOERROR", *also}), (len(questions), set()), "answers and their codes")
    records = (line.split(None, 4) for line in text.splitlines() if line and not line.startswith(";"))
    return [(owner, kind, data) for owner, _, _, kind, data in records]


def _pointers(box, questions):
    # A domain may have nothing of that type.
    return [data for _, _, data in _ask(box, [f"{name} PTR" for name in questions], "NXDOMAIN")]


def _domains(box):
    """Every domain that can be browsed, found as RFC 6763 says, beginning at the community's."""
    known, new = set(), {f"{DOMAIN}."}
    while new:
        known |= new
        new = {name for row in ("b", "lb") for name in _pointers(box, [f"{row}._dns-sd._udp.{domain}" for domain in sorted(new)])} - known
    return sorted(known)


def _words(text):
    """What dig prints as a name or as strings, as it was meant."""
    return re.sub(r"\\(\d{3})|\\(.)", lambda found: chr(int(found[1])) if found[1] else found[2], text)


def _resolved(box, domains):
    """The services as DNS tells them, by the pointers of all domains together."""
    names = _pointers(box, [f"{KIND}.{domain}" for domain in domains])
    equal(len(names), len(set(names)), "instances that are pointed to, and different ones")
    places = {owner: data.split() for owner, _, data in _ask(box, [f"{name} SRV" for name in names])}
    texts = {owner: tuple(map(_words, re.findall(r'"((?:[^"\\]|\\.)*)"', data))) for owner, _, data in _ask(box, [f"{name} TXT" for name in names])}
    hosts = {}
    for owner, _, data in _ask(box, [f"{host} A" for host in sorted({place[3] for place in places.values()})]):
        hosts.setdefault(owner, []).append(data)
    services = []
    for name in names:
        instance, _, zone = name.partition(f".{KIND}.")
        _, _, port, host = places[name]
        check(host.endswith(f".{zone}"), f"{name} is at {host}")
        services.append((_words(instance), host.split(".")[0], zone.split(".")[0], int(port), texts[name], tuple(hosts[host])))
    return sorted(services)


def _differing(found, expected):
    return {"missing": sorted(set(expected) - set(found))[:5], "strange": sorted(set(found) - set(expected))[:5]}


def test(bed):
    """One box founds a community of 200 boxes; what it is told is compared with what was made."""
    link = bed.network.link("east")
    bed.network.router("router", link)
    box = bed.node("first", "trixie", link, bed.repository)
    Node.start(box)
    box.install("guifi-community-distro")
    listed = _members()
    expected = _expected(listed)
    equal((len(expected), len({place[2] for place in expected})), (3000, 40), "services and zones of the test")
    took = found(box, listed)
    say(f"      {len(listed)} boxes with {len(expected)} services are served {took:.1f} s after the start")
    browsed = _browsed(box)
    check(browsed == expected, f"guifi-browse: {len(browsed)} services, {_differing(browsed, expected)}")
    equal(_browsed(box, KIND, "--zone", "z00"), [one for one in expected if one[2] == "z00"], "the largest zone")
    domains = _domains(box)
    resolved = _resolved(box, domains)
    check(resolved == expected, f"DNS: {len(resolved)} services, {_differing(resolved, expected)}")
    say(f"      {len(domains)} domains to browse, {json.dumps([d for d in domains if d[0].isdigit()][:2])} …")


main(__name__, __file__)
