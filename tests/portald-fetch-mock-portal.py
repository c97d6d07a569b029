#!/usr/bin/python3
"""A box knows its zones from a stand-in for the portal, and still does when that lies, is away, or power fails."""

import json
import shutil

from bed.case import Node, check, equal, eventually, main, together
from bed.host import TOP

NEEDS = "bed"
TIMEOUT = 300

FIXTURES = TOP / "tests/fixtures/portal"
PAGES = {
    "guifi/cnml/900/detail": "detail.xml",
    "guifi/csvproxy/900": "csvproxy.csv",
    "guifi/cnml/9503/domains": "domains.xml",
    "guifi/export/9502/federation": "federation.txt",
    "guifi/cnml/1/ips": "ips.xml",
}
SOURCES = [("cnml", 900), ("domains", 9503), ("proxies", 900), ("federation", 9502), ("addresses", 0)]
DETAIL = "guifi/cnml/900/detail"


class MockPortal:
    """A web server on a box, with the files that the portal would make."""

    def __init__(self, box):
        self.box = box
        self.top = box.merged / "var/www/html"
        for page, fixture in PAGES.items():
            (self.top / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(FIXTURES / fixture, self.top / page)
        box.sh("systemctl start lighttpd")
        for token in ("cnml", "dns"):
            self.put(f"guifi/refresh/{token}", "1000")

    def put(self, page, text):
        """Makes a page another one; the web server may remember the size of the old one for a while."""
        (self.top / page).parent.mkdir(parents=True, exist_ok=True)
        (self.top / page).write_text(text, encoding="utf-8")

        def served():
            done = self.box.run(f"curl -sf http://localhost/{page}", check=False)
            return (done.returncode, done.stdout) == (0, text)

        eventually(f"{self.box} serves the new {page}", served, 20)


def _source(box, what, number):
    document = box.json("guifi-portal status --json")
    return next((s for s in document["sources"] if (s["what"], s["id"]) == (what, number)), None)


def _fetched(box, what, number):
    def probe():
        source = _source(box, what, number)
        return source and source["checked"] and not source["error"]

    eventually(f"{box} has {what}/{number}", probe, 30)


def _fails(box, words):
    box.sh("guifi-portal fetch cnml/900")
    eventually(f"{box} says '{words}'", lambda: words in (_source(box, "cnml", 900)["error"] or ""), 30)
    _knows(box)


def _knows(box):
    """What is in the example is known."""
    equal(json.loads(box.sh("guifi-portal --json zone-of 10.90.2.1"))["path"], [900, 902], f"{box}: zone of an address")
    equal(json.loads(box.sh("guifi-portal --json node altatorre"))["id"], 9101, f"{box}: a node by name")
    equal(len(box.sh("guifi-portal --json services").splitlines()), 6, f"{box}: services")


def _part(box):
    document = json.loads(box.run("guifi-status --json", check=False).stdout)
    return next(part for part in document["parts"] if part["part"] == "portald")


def test(bed):
    """One box with the daemon, one in place of the portal."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box, host = (bed.node(name, "bookworm", link, bed.repository) for name in ("box", "host"))
    together(Node.start, (box, host))
    portal = MockPortal(host)
    box.install("guifi-box-minimal", "guifi-portald")

    # Installed and nothing named: nothing is asked.
    _part_is(box, "ok", "nothing to fetch is configured")
    settings = f'portal = "http://{host.address}"\nzones = [900]\ndns_services = [9503]\nfederation = [9502]\naddresses = true\n'
    box.write("/etc/guifi/portald.d/50-test.toml", settings)
    box.sh("systemctl reload guifi-portald")
    for what, number in SOURCES:
        _fetched(box, what, number)
    _knows(box)
    _part_is(box, "ok", "5 sources")

    # Anyone reads, administrators fetch.
    check(box.ok("runuser -u nobody -- guifi-portal zones"), f"{box}: nobody may not read")
    refused = box.run("runuser -u nobody -- guifi-portal fetch", check=False)
    equal(refused.returncode, 77, f"{box}: somebody else fetches: {refused.stderr}")

    _lies(box, portal)
    _away(box, host)
    _stick(box)


def _part_is(box, state, words):
    part = _part(box)
    check(part["state"] == state and words in part["reason"], f"{box}: guifi-status says {part}")


def _lies(box, portal):
    good = (FIXTURES / "detail.xml").read_text(encoding="utf-8")
    portal.put("guifi/refresh/cnml", "1001")
    portal.put(DETAIL, "<!DOCTYPE html>\n<html><body>Log in</body></html>\n")
    _fails(box, "web page")
    portal.put(DETAIL, good[: len(good) // 2])
    _fails(box, "cut short")
    portal.put(DETAIL, '<cnml version="0.1"><class network_description="detail"/><network/></cnml>\n')
    _fails(box, "it is empty and what is kept is not")
    log = box.journal("guifi-portald", lines=100)
    check("cannot fetch cnml/900: " in log and "keeping that of" in log, f"{box}: the journal does not tell:\n{log}")
    portal.put(DETAIL, good.replace('title="BaixaMoli"', 'title="BaixaForn"'))
    box.sh("guifi-portal fetch cnml/900")
    eventually(f"{box} has the new data", lambda: box.ok("guifi-portal node BaixaForn"), 30)


def _away(box, host):
    host.sh("systemctl stop lighttpd")
    box.sh("systemctl kill -s KILL guifi-portald")
    eventually(f"{box} answers after a kill", lambda: box.ok("guifi-portal node BaixaForn"), 20)
    _knows(box)
    box.crash()
    box.start()
    eventually(f"{box} answers after a power cut", lambda: box.ok("guifi-portal node BaixaForn"), 60)
    _knows(box)
    box.sh("guifi-portal fetch")
    eventually(f"{box} says that the portal is away", lambda: _source(box, "cnml", 900)["error"], 60)
    _part_is(box, "ok", "5 sources")


def _stick(box):
    shutil.copy(FIXTURES / "detail.xml", box.merged / "root/zone.xml")
    box.sh("gzip -9 /root/zone.xml && guifi-portal check /root/zone.xml.gz && guifi-portal import /root/zone.xml.gz")
    check(box.ok("guifi-portal node BaixaMoli"), f"{box}: a file is not taken")
    check(not _source(box, "cnml", 900)["error"], f"{box}: data from a file do not end the failure")


main(__name__, __file__)
