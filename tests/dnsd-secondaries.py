#!/usr/bin/python3
"""BIND, Knot DNS and NSD, unmodified, follow a hosted zone and the community's domain, and hear of changes."""

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main
from bed.town import DOMAIN, Town

NEEDS = "bed"
TIMEOUT = 600

ZONE = "vall.example"
FILE = f"/etc/guifi/zones/{ZONE}"

BIND = """
options { directory "/tmp"; pid-file none; session-keyfile none; recursion no; listen-on-v6 { none; }; notify no; };
zone "ZONE" { type secondary; primaries { BOX; }; file "ZONE"; };
zone "DOMAIN" { type secondary; primaries { BOX; }; file "DOMAIN"; };
"""
KNOT = """
remote:
  - id: box
    address: BOX
acl:
  - id: box
    address: BOX
    action: notify
template:
  - id: default
    storage: /tmp
    master: box
    acl: box
zone:
  - domain: ZONE
  - domain: DOMAIN
"""
NSD = """
zone:
  name: ZONE
  allow-notify: BOX NOKEY
  request-xfr: BOX NOKEY
zone:
  name: DOMAIN
  allow-notify: BOX NOKEY
  request-xfr: BOX NOKEY
"""
SERVERS = {"bind": BIND, "knot": KNOT, "nsd": NSD}


def _zone(serial, hosts):
    lines = ["$TTL 60", f"@ SOA ns dns {serial} 30 30 600 60", "@ NS ns", "ns A 10.0.0.1", "www CNAME ns", "*.w MX 5 ns"]
    lines += ["below NS ns.below", "ns.below A 10.0.0.2", r"My\032Page._http._tcp SRV 0 0 80 ns", " TXT \"a=b c\" \"d\""]
    lines += [f"host-{n} A 10.1.{n // 250}.{n % 250 + 1}" for n in range(hosts)]
    return "\n".join(lines) + "\n"


class _Follower:
    """A name server in a machine of its own."""

    def __init__(self, bed, link, name, box):
        self.name = name
        self.server = bed.server(name, link)
        text = SERVERS[name]
        for word, value in (("ZONE", ZONE), ("DOMAIN", DOMAIN), ("BOX", box.address)):
            text = text.replace(word, value)
        self.text = text

    def start(self):
        self.server.serve(self.name, self.text)

    def ask(self, words):
        return self.server.sh(f"dig +short +time=1 +tries=1 @{self.server.address} {words} || true")


def test(bed):
    """A box tells three servers; they ask for all, then for the changes alone."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box = bed.node("box", RELEASES[1], link, bed.repository)
    Node.start(box)
    box.install("guifi-community-distro")
    box.sh("guifi-join osona --create --zone vic --name box --wait --yes", timeout=60)
    followers = [_Follower(bed, link, name, box) for name in SERVERS]
    listed = ", ".join(f'"{follower.server.address}"' for follower in followers)
    rules = f"transfer = [{listed}]\nnotify = [{listed}]\n"
    box.write("/etc/guifi/dnsd.d/followers.toml", f'{rules}[zones."{ZONE}"]\nfile = "{FILE}"\n{rules}')
    box.sh("mkdir -p /etc/guifi/zones")
    box.write(FILE, _zone(1, 2000))
    equal(box.sh(f"guifi-dns check {ZONE} {FILE}"), f"{ZONE}. can be loaded: 2009 records", "the check of the file")
    box.sh("systemctl reload guifi-dnsd")
    for follower in followers:
        follower.start()
    try:
        _followed(box, followers)
    except Exception:
        for follower in followers:
            print(f"-- {follower.name}\n{follower.server.said()[-3000:]}")
        raise
    stranger = bed.visitor("stranger", link)
    for zone in (ZONE, DOMAIN):
        check("Transfer failed" in stranger.sh(f"dig @{box.address} {zone} AXFR || true"), f"a stranger got {zone}")


def _followed(box, followers):
    for follower in followers:
        eventually(f"{follower.name} has the zone", lambda f=follower: f.ask(f"host-1999.{ZONE}") == "10.1.7.250", 60)
        equal(follower.ask(f"x.w.{ZONE} MX"), f"5 ns.{ZONE}.", f"wildcard at {follower.name}")
        equal(follower.ask(rf"'My\032Page._http._tcp.{ZONE}' TXT"), '"a=b c" "d"', f"TXT at {follower.name}")
        eventually(f"{follower.name} has the box", lambda f=follower: f.ask(f"box.vic.{DOMAIN} A") == box.address, 60)
    box.write(FILE, _zone(2, 2001))
    box.sh("systemctl reload guifi-dnsd")
    Town.publish(box, "Fresh", "_http._tcp", 8700, "--check", "none")
    for follower in followers:
        eventually(f"{follower.name} has the change", lambda f=follower: f.ask(f"host-2000.{ZONE}") == "10.1.8.1", 60)
        instance = f"Fresh._http._tcp.vic.{DOMAIN}"
        eventually(f"{follower.name} has the service", lambda f=follower: f.ask(f"{instance} SRV").endswith(f"8700 box.vic.{DOMAIN}."), 60)
    said = {follower.name: follower.server.said() for follower in followers}
    check("IXFR, incoming" in said["knot"] and "serial 1 -> 2" in said["knot"], f"Knot got changes alone:\n{said['knot'][-2000:]}")
    check(f"transfer of '{ZONE}/IN' from" in said["bind"], f"BIND got the zone:\n{said['bind'][-2000:]}")


main(__name__, __file__)
