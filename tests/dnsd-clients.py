#!/usr/bin/python3
"""kdig asks in all the ways it knows, and an unbound that forwards to a box finds what the box has, signed or not."""

import json

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main

NEEDS = "bed"
TIMEOUT = 300

ZONE = "vall.example"
MASTER = "$TTL 60\n@ SOA ns dns 7 60 60 600 60\n@ NS ns\nns A 10.0.0.1\nwww CNAME ns\nbig TXT " + " ".join(f'"{n:0200}"' for n in range(20)) + "\n"
UNBOUND = """
server:
  interface: 127.0.0.1
  do-daemonize: no
  username: ""
  chroot: ""
  directory: ""
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  do-not-query-localhost: no
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: BOX
"""


def test(bed):
    """One box with a hosted zone and a community; one machine that asks."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box = bed.node("box", RELEASES[1], link, bed.repository)
    client = bed.server("client", link)
    Node.start(box)
    box.install("guifi-community-distro")
    box.sh("guifi-join osona --create --zone vic --name box --wait --yes", timeout=60)
    box.sh("mkdir -p /etc/guifi/zones")
    box.write(f"/etc/guifi/zones/{ZONE}", MASTER)
    box.write("/etc/guifi/dnsd.d/50-zone.toml", f'[zones."{ZONE}"]\nfile = "/etc/guifi/zones/{ZONE}"\n')
    box.sh("systemctl reload guifi-dnsd")
    key = json.loads(box.sh(f"guifi-dns --json key add reader --transfer {ZONE}"))
    client.start("unbound -d -c /tmp/conf", {"conf": UNBOUND.replace("BOX", box.address)})
    eventually("the box answers", lambda: "10.0.0.1" in client.inside(f"kdig +short @{box.address} ns.{ZONE} || true"))
    _kdig(client, box, f"{key['algorithm']}:{key['name']}:{key['secret']}")
    _unbound(client, box)


def _kdig(client, box, key):
    def ask(words):
        return client.inside(f"kdig @{box.address} +timeout=5 {words}")

    for options in ("", "+tcp", "+noedns", "+bufsize=4096", "+cookie", "+dnssec", "+nsid", "+padding=128", "+keepopen +tcp"):
        text = ask(f"{options} www.{ZONE} A")
        check("status: NOERROR" in text and "10.0.0.1" in text and "WARNING" not in text, f"kdig {options}: {text}")
    text = ask(f"big.{ZONE} TXT")
    check(text.count("00019") >= 1 and "(TCP)" in text, f"kdig does not come again by TCP: {text[:500]}")
    text = ask(f"+tcp -y {key} www.{ZONE} A")
    check("10.0.0.1" in text and "WARNING" not in text, f"kdig with a key: {text}")
    text = ask(f"-y {key} {ZONE} AXFR")
    check(text.count(f"{ZONE}.") > 5 and "10.0.0.1" in text, f"kdig, the whole zone: {text[:500]}")
    text = ask(f"-y {key} {ZONE} IXFR=7")
    check("SOA" in text and "10.0.0.1" not in text, f"kdig, no changes: {text[:500]}")


def _unbound(client, box):
    def ask(words):
        return client.inside(f"dig +short +time=5 +tries=1 @127.0.0.1 {words} || true").splitlines()

    eventually("unbound answers", lambda: ask(f"ns.{ZONE} A") == ["10.0.0.1"], 30)
    equal(ask(f"www.{ZONE} A"), [f"ns.{ZONE}.", "10.0.0.1"], "an alias over unbound")
    equal(len(" ".join(ask(f"big.{ZONE} TXT")).split()), 20, "a large answer over unbound")
    equal(ask("box.vic.osona.internal A"), [box.address], "a box over unbound")
    text = client.inside(f"dig +time=5 +tries=1 @127.0.0.1 none.{ZONE} A")
    check("status: NXDOMAIN" in text, f"a name that is not there, over unbound: {text}")


main(__name__, __file__)
