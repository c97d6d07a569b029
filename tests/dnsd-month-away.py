#!/usr/bin/python3
"""A month without portal, Internet and other boxes: names still answer, and guifi-status says how old the data is."""

import json

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main, together
from bed.host import TOP

NEEDS = "bed"
TIMEOUT = 300

SERVICE = 9503
UNITS = ("guifi-peerd", "guifi-registryd", "guifi-discoveryd", "guifi-dnsd", "guifi-portald")
# The daemons believe that a month has passed; their timers run as they do.
LATER = """[Service]
Environment=LD_PRELOAD={library} FAKETIME=+31d FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1
"""
NAMES = {
    "mail.vall.example A": "10.90.1.11",
    "smtp.vall.example CNAME": "mail.vall.example.",
    "1.1.90.10.in-addr.arpa PTR": "AltaTorreRd1--92011.ip.guifi.net.",
    "static.example A": "10.1.2.3",
}


def test(bed):
    """Two boxes, of which one is left alone."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box, other = (bed.node(name, RELEASES[0], link, bed.repository) for name in ("box", "other"))
    together(Node.start, (box, other))
    together(lambda one: one.install("guifi-community-distro", "guifi-portald"), (box, other))
    box.sh("guifi-join osona --create --zone vic --name box --wait --yes", timeout=60)
    other.sh(f"guifi-join osona --seed {box.address} --zone vic --name other --wait --yes", timeout=60)
    box.sh("mkdir -p /etc/guifi/zones")
    box.write("/etc/guifi/zones/static", "$TTL 60\n@ SOA ns dns 1 60 60 600 60\n@ NS ns\nns A 10.1.2.3\n@ A 10.1.2.3\n")
    box.write("/etc/guifi/dnsd.d/50-zones.toml", f'portal = {{ service = {SERVICE}, reverse = true }}\n[zones."static.example"]\nfile = "/etc/guifi/zones/static"\n')
    # Where there is no portal.
    box.write("/etc/guifi/portald.d/50-test.toml", f'portal = "http://10.77.99.99"\nzones = [900]\ndns_services = [{SERVICE}]\naddresses = true\n')
    box.sh("systemctl reload guifi-dnsd guifi-portald")
    for document in ("detail", "domains", "ips"):
        text = (TOP / f"tests/fixtures/portal/{document}.xml").read_text(encoding="utf-8")
        box.write(f"/root/{document}.xml", text)
        box.sh(f"guifi-portal import /root/{document}.xml")
    box.sh("guifi-publish --global 'Own page' _http._tcp 80 --check none")
    _answers(box, "before")
    eventually("the other box is known", lambda: _ask(box, "other.vic.osona.internal A") == other.address)

    other.crash()
    box.pull()
    library = box.sh("ls /usr/lib/*/faketime/libfaketimeMT.so.1")
    for unit in UNITS:
        box.write(f"/root/{unit}.conf", LATER.format(library=library))
        box.sh(f"mkdir -p /run/systemd/system/{unit}.service.d && cp /root/{unit}.conf /run/systemd/system/{unit}.service.d/")
    box.sh(f"systemctl daemon-reload; systemctl restart {' '.join(UNITS)}")
    _answers(box, "a month later")
    status = json.loads(box.run("guifi-status --json", check=False).stdout)
    portal = next(part for part in status["parts"] if part["part"] == "portald")
    check("31 days old" in portal["reason"], f"guifi-status does not say how old the portal's data is: {portal}")
    check(box.ok("guifi-portal node altatorre"), "the portal's data are gone")


def _ask(box, words):
    return box.sh(f"dig +short +time=2 +tries=1 @127.0.0.1 {words} || true")


def _answers(box, when):
    names = NAMES | {"box.vic.osona.internal A": box.address, r"'Own\032page._http._tcp.vic.osona.internal' SRV": "0 0 80 box.vic.osona.internal."}
    for words, answer in names.items():
        eventually(f"{when}: {words}", lambda w=words, a=answer: _ask(box, w) == a, 60)


main(__name__, __file__)
