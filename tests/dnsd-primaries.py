#!/usr/bin/python3
"""A box follows zones of BIND, Knot DNS and NSD, unmodified, with keys and without: all of them, then the changes."""

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main

NEEDS = "bed"
TIMEOUT = 600

KEY = "transfers"
BIND = """
key SIGNER { algorithm hmac-sha256; secret "SECRET"; };
options { directory "/tmp"; pid-file none; session-keyfile none; recursion no; listen-on-v6 { none; }; notify explicit; notify-delay 0; };
zone "SIGNED" { type primary; file "SIGNED"; allow-update { OWN; }; allow-transfer { key SIGNER; }; also-notify { BOX key SIGNER; }; };
zone "PLAIN" { type primary; file "PLAIN"; allow-update { OWN; }; allow-transfer { BOX; OWN; }; also-notify { BOX; }; };
"""
KNOT = """
key:
  - id: SIGNER
    algorithm: hmac-sha256
    secret: SECRET
remote:
  - id: signed
    address: BOX
    key: SIGNER
  - id: plain
    address: BOX
acl:
  - id: signed
    key: SIGNER
    action: transfer
  - id: plain
    address: [BOX, OWN]
    action: transfer
  - id: update
    address: OWN
    action: update
template:
  - id: default
    storage: /tmp
    file: "%s"
zone:
  - domain: SIGNED
    notify: signed
    acl: [signed, update]
  - domain: PLAIN
    notify: plain
    acl: [plain, update]
"""
NSD = """
key:
  name: SIGNER
  algorithm: hmac-sha256
  secret: "SECRET"
zone:
  name: SIGNED
  zonefile: SIGNED
  notify: BOX SIGNER
  provide-xfr: BOX SIGNER
  provide-xfr: OWN SIGNER
zone:
  name: PLAIN
  zonefile: PLAIN
  notify: BOX NOKEY
  provide-xfr: BOX NOKEY
  provide-xfr: OWN NOKEY
"""
SERVERS = {"bind": BIND, "knot": KNOT, "nsd": NSD}

# Types that some reader has other ideas about, and names that are written in odd ways.
RARE = r"""
My\032Page._http._tcp SRV 0 0 80 ns
 TXT "a=b c" "d"
Mixed.Case A 10.3.3.3
*.w MX 5 ns
below NS ns.below
ns.below A 10.0.0.2
n NAPTR 100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.elsewhere.example.
rp RP dns txt.rp
loc LOC 51 30 12.748 N 0 7 39.611 W 0.00m 0.00m 0.00m 0.00m
sshfp SSHFP 2 1 123456789abcdef67890123456789abcdef67890
dn DNAME www
caa CAA 0 issue "ca.example"
hinfo HINFO "a" "b"
afs AFSDB 1 ns
kx KX 1 ns
svc SVCB 1 ns alpn=h2
https HTTPS 0 ns
unknown TYPE65280 \# 4 c00c0a01
"""


def _zone(serial, hosts):
    # Nothing but word of a change brings the next state within the time of this test.
    lines = ["$TTL 60", f"@ SOA ns dns {serial} 3600 3600 86400 60", "@ NS ns", "ns A 10.0.0.1", "www CNAME ns", RARE]
    lines += [f"host-{n} A 10.1.{n // 250}.{n % 250 + 1}" for n in range(hosts)]
    return "\n".join(lines) + "\n"


class _Primary:
    """A name server with two zones."""

    def __init__(self, bed, link, name, box, secret):
        self.name, self.box, self.secret = name, box, secret
        self.server = bed.server(name, link)
        self.signed, self.plain = f"{name}-signed.example", f"{name}-plain.example"
        text = SERVERS[name]
        words = (("SIGNED", self.signed), ("PLAIN", self.plain), ("BOX", box.address))
        for word, value in (*words, ("SIGNER", KEY), ("SECRET", secret)):
            text = text.replace(word, value)
        self.text = text

    def start(self):
        zone = _zone(1, 2000)
        self.server.serve(self.name, self.text, {self.signed: zone, self.plain: zone})

    def inside(self, words, text=""):
        """Runs a command where the server runs; gives what it says, whatever its status."""
        return self.server.inside(words, text, check=False)

    def update(self, zone, number):
        """Changes the zone a little, as its kind of server has it."""
        if self.name == "nsd":
            self.inside(f"cat >/tmp/{zone} && kill -HUP $(cat /tmp/pid)", _zone(1 + number, 2000 + number))
            return
        lines = [f"server {self.server.address}", f"zone {zone}", f"update delete host-{number}.{zone} A"]
        lines += [f'update add new-{number}.{zone} 60 TXT "number {number}"', f"update add host-{number + 100}.{zone} 33 A 10.9.9.9"]
        lines += [f"update delete www.{zone} CNAME", f"update add www.{zone} 60 CNAME new-{number}.{zone}", "send"]
        equal(self.inside("nsupdate", "\n".join(lines) + "\n"), "", f"the update of {zone}")

    def records(self, server, zone):
        """All records of a zone as a server has them."""
        key = f"-y hmac-sha256:{KEY}:{self.secret}" if zone == self.signed and server == self.server.address else ""
        text = self.inside(f"dig +noall +answer +onesoa {key} @{server} {zone} AXFR")
        lines = [" ".join(line.split()) for line in text.splitlines()]
        return sorted(line for line in lines if line and not line.startswith(";") and " TSIG " not in line)

    def serial(self, zone):
        """The serial that this server has."""
        words = self.inside(f"dig +short @{self.server.address} {zone} SOA").split()
        return words[2] if len(words) == 7 else ""

    def same(self, zone, what):
        """Waits until the box has just the records of this server."""
        theirs = self.records(self.server.address, zone)
        check(len(theirs) > 2000, f"{self.name} has {zone}: {theirs[:5]}")
        eventually(f"{what}: the box has {zone}", lambda: self.records(self.box.address, zone) == theirs, 60)


def test(bed):
    """Word of a change brings it, signed or not; the box has all records as they are."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box = bed.node("box", RELEASES[1], link, bed.repository)
    Node.start(box)
    box.install("guifi-community-distro")
    secret = box.json(f"guifi-dns --json key add {KEY} --update bind-signed.example")["secret"]
    primaries = [_Primary(bed, link, name, box, secret) for name in SERVERS]
    text = ""
    for primary in primaries:
        address = primary.server.address
        for zone, key in ((primary.signed, f" key {KEY}"), (primary.plain, "")):
            text += f'[zones."{zone}"]\nprimaries = ["{address}{key}"]\ntransfer = ["{address}"]\n'
    box.write("/etc/guifi/dnsd.d/primaries.toml", text)
    for primary in primaries:
        primary.start()
    try:
        _follow(box, primaries)
    except Exception:
        for primary in primaries:
            print(f"-- {primary.name}\n{primary.server.said()[-3000:]}")
        print(box.journal("guifi-dnsd", 60))
        raise


def _follow(box, primaries):
    for primary in primaries:
        for zone in (primary.signed, primary.plain):
            eventually(f"{primary.name} has {zone}", lambda p=primary, z=zone: len(p.records(p.server.address, z)) > 2000, 60)
    box.sh("systemctl reload guifi-dnsd")
    for primary in primaries:
        for zone in (primary.signed, primary.plain):
            primary.same(zone, "at first")
    for number in (1, 2, 3):
        for primary in primaries:
            for zone in (primary.signed, primary.plain):
                primary.update(zone, number)
                eventually(f"{zone} has number {number}", lambda p=primary, z=zone, n=number: p.serial(z) == str(1 + n), 60)
                primary.same(zone, f"change {number}")
    said = box.journal("guifi-dnsd", 400)
    for primary in primaries[:2]:
        for zone in (primary.signed, primary.plain):
            lines = [line for line in said.splitlines() if f"{zone}. has serial 4 " in line]
            check(lines and "by its changes" in lines[0], f"{primary.name} sent changes alone:\n{said[-3000:]}")
    # A copy takes no updates, whatever the key may do.
    one = primaries[0]
    lines = [f"server {box.address}", f"zone {one.signed}", f"update add own.{one.signed} 60 A 10.0.0.1", "send"]
    answer = one.inside(f"nsupdate -y hmac-sha256:{KEY}:{one.secret}", "\n".join(lines) + "\n")
    check("NOTAUTH" in answer, f"an update of a copy: {answer}")
    hosted = {zone["domain"]: zone for zone in box.json("guifi-dns --json hosted")}
    equal(len(hosted), 6, "copies")
    equal([zone["fault"] for zone in hosted.values()], [None] * 6, "faults")


main(__name__, __file__)
