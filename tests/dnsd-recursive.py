#!/usr/bin/python3
"""A box looks names up from a root of its own, with unbound, and believes no forged signature: BIND, Knot and NSD serve."""

import os
import shutil

from bed.base import RELEASES, servers
from bed.case import Node, check, equal, eventually, main
from bed.host import run

NEEDS = "bed"
TIMEOUT = 600

SOA = "$TTL 300\n@ SOA ns h 1 3600 600 86400 300\n"
ZONES = {
    "good": "www A 192.0.2.1\na CNAME b\nb CNAME www.plain.test.\n*.w A 192.0.2.3\n",
    "forged": "www A 192.0.2.6\n",
    "expired": "www A 192.0.2.6\n",
    "plain": "www A 192.0.2.7\n",
    "lame": "www A 192.0.2.8\n",
}
SIGNED = ("good", "forged", "expired")

# Runs where the zones are in /tmp, by a shell.
SIGN = """
set -e
cd /tmp
key() { dnssec-keygen -q -a ECDSAP256SHA256 -f KSK "$1" >/dev/null; dnssec-keygen -q -a ECDSAP256SHA256 "$1" >/dev/null; }
sign() { key "$1"; dnssec-signzone -q -S -o "$1" -f "$2.signed" $3 "$2.zone" >/dev/null; }
sign good.test good "-3 - -H 0"
sign forged.test forged
sign expired.test expired "-P -s 20200101000000 -e 20200201000000"
sed -i 's/192\\.0\\.2\\.6/192.0.2.66/' forged.signed
cat dsset-good.test. dsset-forged.test. dsset-expired.test. >>test.zone
sign test test
cat dsset-test. >>root.zone
sign . root
cat K.+*.key | grep 'DNSKEY 257' >root.key
"""

NSD = """
zone:
  name: "."
  zonefile: root.signed
"""
KNOT = """
template:
  - id: default
    storage: /tmp
    journal-content: none
    zonefile-sync: -1
zone:
  - domain: test
    file: test.signed
"""
BIND = """
options { directory "/tmp"; pid-file none; session-keyfile none; recursion no; listen-on-v6 { none; }; notify no; };
"""


def _zones(signer, addresses):
    """The zone files, some of them signed, and the key of the root."""
    files = {f"{zone}.zone": f"{SOA}@ NS ns\nns A {addresses['bind']}\n{records}" for zone, records in ZONES.items()}
    cuts = [f"{zone} NS ns.{zone}\nns.{zone} A {addresses['bind']}" for zone in ZONES]
    # One of two servers of this zone does not know it.
    cuts += ["lame NS other.lame", f"other.lame A {addresses['knot']}", "circle NS ns.round", "round NS ns.circle"]
    files["test.zone"] = f"{SOA}@ NS ns\nns A {addresses['knot']}\n" + "\n".join(cuts) + "\n"
    files["root.zone"] = f"{SOA}@ NS root.servers.\nroot.servers. A {addresses['nsd']}\ntest. NS ns.test.\nns.test. A {addresses['knot']}\n"
    signer.start("sleep infinity", files)
    signer.inside("sh", SIGN)
    names = signer.inside("cd /tmp && ls *.zone *.signed root.key").split()
    return {name: signer.inside(f"cat /tmp/{name}") for name in names}


def _unbound(box):
    """Puts unbound with its libraries into a machine that is off: it is not in the base, where it would take the port."""
    root = servers(RELEASES[0])
    needed = run("chroot", root, "ldd", "/usr/sbin/unbound").split()
    for file in ("/usr/sbin/unbound", *(word for word in needed if word.startswith("/"))):
        inside = box.merged / file.lstrip("/")
        if not inside.exists():
            inside.parent.mkdir(parents=True, exist_ok=True)
            # Libraries are links to the files with their versions.
            shutil.copy(os.path.realpath(root / file.lstrip("/")), inside)


def test(bed):
    """Right names are found, wrong ones are not, and the unit is there only when it is wanted."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box = bed.node("box", RELEASES[0], link, bed.repository)
    _unbound(box)
    Node.start(box)
    box.install("guifi-community-distro")
    equal(box.sh("systemctl is-active guifi-dnsd-recursor || true"), "inactive", "the recursor of a box that forwards")
    world = {name: bed.server(name, link) for name in ("nsd", "knot", "bind")}
    addresses = {name: server.address for name, server in world.items()}
    files = _zones(bed.server("signer", link), addresses)
    bind = BIND + "".join(
        f'zone "{zone}.test" {{ type primary; file "{zone}.{"signed" if zone in SIGNED else "zone"}"; }};\n' for zone in ZONES
    )
    for name, text in (("nsd", NSD), ("knot", KNOT), ("bind", bind)):
        world[name].serve(name, text, files)
    more = 'server:\n  root-hints: "/etc/guifi/hints"\n  local-zone: "test." nodefault\n'
    box.sh("mkdir -p /etc/guifi/dnsd-recursor.d /usr/share/dns")
    box.write("/etc/guifi/hints", f". 3600000 NS root.servers.\nroot.servers. 3600000 A {addresses['nsd']}\n")
    box.write("/etc/guifi/dnsd-recursor.d/root.conf", more)
    box.write("/usr/share/dns/root.key", files["root.key"])
    box.write("/etc/guifi/dnsd.d/recursive.toml", '[upstream]\nmode = "recursive"\n')
    box.sh("systemctl restart guifi-dnsd")
    try:
        _answers(box)
    except Exception:
        for name, server in world.items():
            print(f"-- {name}\n{server.said()[-2000:]}")
        print(box.sh("journalctl -u guifi-dnsd -u guifi-dnsd-recursor -n 40 --no-pager"))
        raise
    box.write("/etc/guifi/dnsd.d/recursive.toml", '[upstream]\nmode = "recursive"\ndnssec = false\n')
    box.sh("systemctl restart guifi-dnsd")
    eventually("unchecked names have answers", lambda: _ask(box, "www.forged.test")[1] == ["192.0.2.66"], 30)
    box.write("/etc/guifi/dnsd.d/recursive.toml", "")
    box.sh("systemctl restart guifi-dnsd")
    equal(box.sh("systemctl is-active guifi-dnsd-recursor || true"), "inactive", "the recursor when it is not wanted any more")


def _ask(box, words):
    """Code, records and flags of an answer."""
    text = box.sh(f"dig @127.0.0.1 +time=6 +tries=1 +adflag {words} || true")
    code = text.partition("status: ")[2].partition(",")[0]
    flags = text.partition("flags: ")[2].partition(";")[0].split()
    answers = text.partition("ANSWER SECTION:\n")[2].partition("\n\n")[0]
    return code, [line.split()[-1] for line in answers.splitlines()], flags


def _answers(box):
    eventually("a name is found from the root", lambda: _ask(box, "www.good.test")[1] == ["192.0.2.1"], 30)
    check("ad" in _ask(box, "www.good.test")[2], "a signed name is not marked as checked")
    equal(_ask(box, "a.good.test")[1], ["b.good.test.", "www.plain.test.", "192.0.2.7"], "a chain of aliases")
    equal(_ask(box, "x.w.good.test")[1], ["192.0.2.3"], "a wildcard")
    code, _, flags = _ask(box, "none.good.test")
    check(code == "NXDOMAIN" and "ad" in flags, f"a name that is not there: {code} {flags}")
    code, records, flags = _ask(box, "www.plain.test")
    check(records == ["192.0.2.7"] and "ad" not in flags, f"an unsigned name: {code} {records} {flags}")
    eventually("a zone with a lame server", lambda: _ask(box, "www.lame.test")[:2] == ("NOERROR", ["192.0.2.8"]), 30)
    for zone in ("forged", "expired", "circle"):
        equal(_ask(box, f"www.{zone}.test")[:2], ("SERVFAIL", []), f"the zone {zone}")
    equal(_ask(box, "www.forged.test +cd")[1], ["192.0.2.66"], "a forged name for one who checks by himself")
    equal(_ask(box, "localhost")[1], ["127.0.0.1"], "a name of the box")


main(__name__, __file__)
