#!/usr/bin/python3
"""Zonemaster and DNSViz find no error in a zone that two boxes serve, and the EDNS questions are answered right."""

import json
import re

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main, run, together

NEEDS = "bed"
TIMEOUT = 600

ZONE = "vall.example"
FILE = f"/etc/guifi/zones/{ZONE}"
# Addresses that the testers take for public ones; only machines of this bed have them.
BOXES = ("11.99.2.2", "11.99.3.2")
ROOT, PARENT, TESTER = "11.99.1.1", "11.99.1.2", "11.98.0.9"

MASTER = f"""$TTL 3600
@ SOA ns1 dns 2026113001 14400 3600 1209600 3600
@ NS ns1
@ NS ns2
@ MX 10 mail
@ A {BOXES[0]}
ns1 A {BOXES[0]}
ns2 A {BOXES[1]}
mail A {BOXES[0]}
www CNAME mail
* TXT wild
sub NS ns.sub
ns.sub A {BOXES[1]}
"""
SUB = f"$TTL 3600\n@ SOA ns dns.{ZONE}. 1 14400 3600 1209600 3600\n@ NS ns\nns A {BOXES[1]}\na A {BOXES[1]}\n"
START = "$TTL 3600\n@ SOA ns.example. dns.example. 1 14400 3600 1209600 3600\n"
FILES = {
    "conf": f"""
options {{ directory "/tmp"; pid-file none; session-keyfile none; recursion no; listen-on {{ {ROOT}; {PARENT}; }}; listen-on-v6 {{ none; }}; }};
controls {{ }};
view root {{ match-destinations {{ {ROOT}; }}; zone "." {{ type primary; file "root"; }}; }};
view parent {{
  zone "example" {{ type primary; file "example"; }};
  zone "in-addr.arpa" {{ type primary; file "reverse"; }};
}};
""",
    "root": f"{START}@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nin-addr.arpa. NS ns.example.\nns.example. A {PARENT}\n",
    "example": f"{START}@ NS ns\nns A {PARENT}\nvall NS ns1.vall\nvall NS ns2.vall\nns1.vall A {BOXES[0]}\nns2.vall A {BOXES[1]}\n",
    "reverse": f"{START}@ NS ns.example.\n2.2.99.11 PTR ns1.{ZONE}.\n2.3.99.11 PTR ns2.{ZONE}.\n",
    "hints": f". 3600000 NS a.root.\na.root. 3600000 A {ROOT}\n",
}

# What Zonemaster 4.6 may note, and why that is meant.
NOTICES = {
    "NEITHER_DNSKEY_NOR_DS": "zones are not signed with DNSSEC",
    "NOT_SIGNED": "the same",
    "NO_IPV6_NS_CHILD": "the machines of this test have IPv4 only",
    "NO_IPV6_NS_DEL": "the same",
}

# The questions of the EDNS compliance tester (ednscomp.isc.org, RFC 6891 section 6): what dig is
# told, and what its answer must and must not say.
EDNS = {
    "plain DNS": ("+noedns", "status: NOERROR", "EDNS:"),
    "EDNS": ("+edns=0 +nocookie", "EDNS: version: 0", "status: FORMERR"),
    "EDNS version 1": ("+edns=1 +noednsneg +nocookie", "status: BADVERS", "ANSWER SECTION"),
    "an unknown option": ("+ednsopt=100 +nocookie", "status: NOERROR", "OPT=100"),
    "an unknown flag": ("+ednsflags=0x80 +nocookie", "EDNS: version: 0, flags:;", "MBZ"),
    "DNSSEC OK": ("+dnssec +nocookie", "flags: do;", "status: FORMERR"),
    "version 1 and an option": ("+edns=1 +noednsneg +ednsopt=100 +nocookie", "status: BADVERS", "OPT=100"),
    "version 1 and a flag": ("+edns=1 +noednsneg +ednsflags=0x80 +nocookie", "status: BADVERS", "MBZ"),
    "by TCP": ("+tcp +bufsize=512 +nocookie", "status: NOERROR", "status: FORMERR"),
    "a cookie": ("+cookie", "COOKIE: .* \\(good\\)", "status: BADCOOKIE"),
    "a list of options": ("+nsid +expire +subnet=192.0.2.0/24 +cookie", "status: NOERROR", "status: FORMERR"),
}


def test(bed):
    """Two boxes serve the zone; a third machine is the root, the parent and the tester."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    boxes = [bed.node(name, release, link, bed.repository) for name, release in zip(("one", "two"), RELEASES)]
    tester = bed.server("tester", link)
    together(Node.start, boxes)
    together(lambda box: box.install("guifi-dnsd"), boxes)
    for box, address in zip(boxes, BOXES):
        box.sh("mkdir -p /etc/guifi/zones")
        box.write(FILE, MASTER)
        box.write("/etc/guifi/dnsd.d/50-zone.toml", f'[zones."{ZONE}"]\nfile = "{FILE}"\n')
        if address == BOXES[1]:
            box.write(f"{FILE}.sub", SUB)
            box.write("/etc/guifi/dnsd.d/60-sub.toml", f'[zones."sub.{ZONE}"]\nfile = "{FILE}.sub"\n')
        # One address, and not a network of its own: the tester is a stranger.
        box.sh(f"ip address add {address}/32 dev eth0 && ip route add 11.0.0.0/8 dev eth0 && systemctl reload guifi-dnsd")
    for address in (f"{TESTER}/8", f"{ROOT}/32", f"{PARENT}/32"):
        run("ip", "-n", tester.namespace, "address", "add", address, "dev", "eth0")
    tester.start("named -g -c /tmp/conf", FILES)
    for server, name in ((ROOT, "example"), (PARENT, "example"), *((address, ZONE) for address in BOXES)):
        eventually(f"{server} answers for {name}", lambda s=server, n=name: "SOA" in tester.inside(f"dig +norec +time=1 +tries=1 @{s} {n} SOA || true"))
    _zonemaster(tester)
    _dnsviz(tester)
    for address in BOXES:
        _edns(tester, address)


def _zonemaster(tester):
    words = f"zonemaster-cli --hints /tmp/hints --no-ipv6 --sourceaddr {TESTER} --level INFO --json --no-progress {ZONE}"
    document = json.loads(tester.inside(words))
    found = document["results"] if isinstance(document, dict) else document
    check(len(found) > 40, f"Zonemaster has hardly looked: {found}")
    wrong = [entry for entry in found if entry["level"] != "INFO" and entry["tag"] not in NOTICES]
    check(not wrong, f"Zonemaster: {wrong}")


def _dnsviz(tester):
    names = " ".join((ZONE, f"www.{ZONE}", f"mail.{ZONE}", f"any.{ZONE}", f"a.sub.{ZONE}"))
    servers = ",".join(f"ns{number}.{ZONE}={address}" for number, address in enumerate(BOXES, 1))
    place = f"-4 -b {TESTER} -A -a {ZONE} -x {ZONE}+:{servers} -N {ZONE}:{servers}"
    tester.inside(f"echo 'nameserver {ROOT}' >/etc/resolv.conf")  # it is not asked, and missed
    tester.inside(f"dnsviz probe {place} -o /tmp/probe {names}", timeout=300)
    text = tester.inside("dnsviz grok -l warning -r /tmp/probe").strip()
    equal(text or "{}", "{}", "what DNSViz warns of")
    shown = tester.inside("dnsviz print -r /tmp/probe")
    check(f"mail.{ZONE}" in shown and BOXES[0] in shown, f"DNSViz has hardly looked:\n{shown}")


def _edns(tester, address):
    for what, (options, right, wrong) in EDNS.items():
        text = tester.inside(f"dig {options} +norec +time=2 +tries=2 @{address} {ZONE} SOA")
        check(re.search(right, text) and not re.search(wrong, text), f"{what} at {address}:\n{text}")
    sent = tester.inside(f"dig +norec +bufsize=4096 +ignore @{address} {ZONE} ANY")
    size = int(re.search(r"MSG SIZE\s+rcvd: (\d+)", sent)[1])
    check(size <= 1232, f"an answer of {size} octets")


main(__name__, __file__)
