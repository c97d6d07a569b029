#!/usr/bin/python3
"""A box without a way to the repository updates from mirrors; tampered, frozen and half ones are noticed."""

import json
import shutil
import tempfile
import time
from email.utils import formatdate

from bed.case import Failed, check, equal, eventually, main, run, say
from bed.packages import tool, version

NEEDS = "town"
TIMEOUT = 900

PACKAGE = "guifi-archive-keyring"
"""One that nothing depends on in a certain version."""

WEB = "var/www/html/guifi"
TREE = "/var/lib/guifi/mirrord/tree"
NOWHERE = "http://192.0.2.99/"
SOURCES = "/etc/apt/sources.list.d/guifi.sources"
APT = "apt-get -qq -y -o Dpkg::Options::=--force-confold"
UPDATE = "apt-get update -o APT::Update::Error-Mode=any 2>&1"

LIGHTTPD = """server.document-root = "/root/frozen"
server.port = 7659
"""


class Official:
    """The official host: a web server on a box, with a copy of the repository."""

    def __init__(self, box):
        self.box = box
        self.url = f"http://{box.address}/guifi/"
        self.directory = box.merged / WEB
        self.first = version(box.repository, PACKAGE)
        shutil.copytree(box.repository, self.directory, symlinks=True)
        box.sh("systemctl start lighttpd")

    def release(self, number):
        """Publishes a new version of the package; returns it."""
        new = f"{self.first}+mirror.{number}"
        with tempfile.TemporaryDirectory() as work:
            old = next(self.directory.glob(f"pool/guifi/*/{PACKAGE}_{self.first}_all.deb"))
            run("dpkg-deb", "-R", old, f"{work}/tree")
            run("sed", "-i", f"s/^Version: .*/Version: {new}/", f"{work}/tree/DEBIAN/control")
            deb = f"{work}/{PACKAGE}_{new}_all.deb"
            run("dpkg-deb", "--root-owner-group", "-b", f"{work}/tree", deb)
            tool("publish", self.directory, deb)
        # lighttpd shows the old index for up to a second.
        index = (self.directory / "dists/guifi/InRelease").read_text(encoding="utf-8").rstrip("\n")
        shown = f"curl -sfm 5 {self.url}dists/guifi/InRelease"
        eventually(f"{self.box} shows the index of {new}", lambda: self.box.sh(shown) == index, 10)
        return new

    def close(self):
        """Ends it."""
        self.box.sh(f"systemctl stop lighttpd; rm -rf /{WEB}")


def _mirror(box, upstream):
    box.write("/etc/guifi/mirrord.d/50-test.toml", f'upstream = ["{upstream}"]\n')
    box.install("guifi-mirrord")
    return box


def _holds(box, new):
    """Waits until the mirror of a box has a version, and says so to all."""

    def probe():
        state = box.json("busctl --json=short call net.guifi.Mirror1 /net/guifi/Mirror1 net.guifi.Mirror1 Describe")
        document = json.loads(state["data"][0])
        there = box.ok(f"ls {TREE}/pool/guifi/*/{PACKAGE}_{new}_all.deb")
        return there and document["announced"] and document["tree"]["state"] == "ok"

    return eventually(f"the mirror of {box} has {new} and is announced", probe, 60)


def _states(box):
    report = json.loads(box.sh("cat /var/lib/guifi/apt/mirrors.json"))
    return {mirror["box"]: mirror["state"] for mirror in report["mirrors"]}


def _installed(box):
    return box.sh(f"dpkg-query -W -f '${{Version}}' {PACKAGE}")


def test(town):
    """The official host is vic-02; vic-01 mirrors it, tona-01 mirrors vic-01, moia-01 reaches only these."""
    vic, host, tona, moia = (town[name] for name in ("vic-01", "vic-02", "tona-01", "moia-01"))
    official = Official(host)
    try:
        _mirror(vic, official.url)
        _holds(vic, official.first)
        _mirror(tona, NOWHERE)  # finds the mirror of vic-01 by the registry
        _holds(tona, official.first)
        moia.sh(f"mv {SOURCES} /root/; ip route add unreachable {host.address}")
        check(not moia.ok(f"curl -sfm 5 {official.url}dists/guifi/InRelease"), f"{moia} reaches the official host")
        _spreads(official, vic, tona, moia)
        _tampered(official, vic, tona, moia)
        _half(official, vic, tona, moia)
        _frozen(town, official, tona, moia)
        _failed(moia)
    finally:
        _restore(official, vic, tona, moia)


def _spreads(official, vic, tona, moia):
    moia.sh(UPDATE)
    states = _states(moia)
    equal({states.get("vic-01"), states.get("tona-01")}, {"ok"}, f"{moia}: states of the mirrors: {states}")
    nearest = moia.sh("sed -n 2p /var/lib/guifi/apt/mirrors.list")
    check(nearest.startswith(f"http://{tona.address}:7659/"), f"the mirror of its own zone is not the first: {nearest}")
    new = official.release(1)
    begin = time.monotonic()
    vic.sh("guifi-mirror update")
    _holds(vic, new)
    _holds(tona, new)
    say(f"      a new index is on a mirror two boxes away after {time.monotonic() - begin:.1f} s")
    moia.sh(UPDATE)
    status = moia.run("guifi-status", check=False).stdout
    check(f"1 pending: {PACKAGE}" in status, f"guifi-status does not say what is pending:\n{status}")
    moia.sh(f"{APT} install {PACKAGE}")
    equal(_installed(moia), new, f"{moia}: installed version")


def _spoil(box, new, how):
    """Changes the package on a mirror."""
    file = box.sh(f"ls {TREE}/pool/guifi/*/{PACKAGE}_{new}_all.deb")
    size = int(box.sh(f"stat -c %s {file}"))
    if how == "half":
        box.sh(f"truncate -s {size // 2} {file}")
    else:
        box.sh(f"printf tampered | dd of={file} bs=1 seek={size - 8} conv=notrunc status=none")


def _next(official, number, vic, tona, moia):
    new = official.release(number)
    vic.sh("guifi-mirror update")
    _holds(vic, new)
    _holds(tona, new)
    moia.sh(UPDATE)
    moia.sh("apt-get clean")
    return new


def _tampered(official, vic, tona, moia):
    new = _next(official, 2, vic, tona, moia)
    for box in (vic, tona):
        _spoil(box, new, "tampered")
    refused = moia.run(f"{APT} install {PACKAGE} 2>&1", check=False)
    check(refused.returncode == 100 and "Hash Sum mismatch" in refused.stdout, f"a tampered package is not refused:\n{refused.stdout}")
    check(_installed(moia) != new, "a tampered package is installed")
    vic.sh("guifi-mirror update")
    check("damaged" in vic.journal("guifi-mirrord"), f"{vic} does not say that its tree was damaged")
    done = moia.sh(f"{APT} install {PACKAGE} 2>&1")
    equal(_installed(moia), new, f"{moia}: installed version, tampered on {tona} only:\n{done}")


def _half(official, vic, tona, moia):
    new = _next(official, 3, vic, tona, moia)
    _spoil(tona, new, "half")
    done = moia.sh(f"{APT} install {PACKAGE} 2>&1")
    equal(_installed(moia), new, f"{moia}: installed version, half a file on {tona}:\n{done}")


def _frozen(town, official, tona, moia):
    # The mirror dies without a word, and somebody serves last week's index in its place.
    tona.sh("systemctl kill -s KILL guifi-mirrord; systemctl mask --runtime --now guifi-mirrord")
    frozen = tona.merged / "root/frozen"
    shutil.copytree(town.boxes[0].repository / "pool", frozen / "pool")
    package = next(frozen.glob("pool/guifi/*/guifi-common_*.deb"))
    dated = tona.merged / "root/frozen.apt"
    dated.write_text(f'APT::FTPArchive::Release::Date "{formatdate(time.time() - 7 * 86400)}";\n', encoding="ascii")
    tool("publish", frozen, package, APT_CONFIG=str(dated))
    tona.write("/root/frozen.conf", LIGHTTPD)
    tona.sh("chmod -R a+rX /root; systemd-run --unit=frozen lighttpd -D -f /root/frozen.conf")
    eventually("the frozen mirror answers", lambda: moia.ok(f"curl -sf http://{tona.address}:7659/dists/guifi/InRelease"), 20)
    moia.sh(UPDATE)
    equal(_states(moia).get("tona-01"), "frozen", f"{moia}: the mirror that serves an old index")
    check(tona.address not in moia.sh("cat /var/lib/guifi/apt/mirrors.list"), "APT is sent to a frozen mirror")
    status = moia.run("guifi-status", check=False).stdout
    check("mirror of tona-01 is left out (frozen" in status, f"guifi-status does not name the frozen mirror:\n{status}")
    # And one that is not signed as it should be.
    release = frozen / "dists/guifi/InRelease"
    release.write_text(release.read_text(encoding="ascii").replace("Components: main", "Components: evil"), encoding="ascii")
    moia.sh(UPDATE)
    equal(_states(moia).get("tona-01"), "bad", f"{moia}: the mirror whose index is tampered")
    check(official.url not in moia.sh("cat /var/lib/guifi/apt/mirrors.list"), "the official host is still known there")


def _failed(moia):
    moia.sh(f"{APT} download {PACKAGE} && dpkg --unpack {PACKAGE}_*.deb && rm {PACKAGE}_*.deb")
    status = moia.run("guifi-status", check=False)
    equal(status.returncode, 1, f"{moia}: status with a package half-way installed:\n{status.stdout}")
    for words in (f"half-way installed: {PACKAGE}", "dpkg --configure -a; apt -f install"):
        check(words in status.stdout, f"guifi-status does not say {words!r}:\n{status.stdout}")
    moia.sh("dpkg --configure -a && apt-get -qq -f install")
    check(moia.ok("guifi-status"), f"{moia} is not well again")


def _restore(official, vic, tona, moia):
    moia.run(f"ip route del unreachable {official.box.address}; mv /root/guifi.sources {SOURCES}", check=False)
    tona.run("systemctl stop frozen; systemctl unmask --runtime guifi-mirrord; rm -rf /root/frozen*", check=False)
    official.close()
    for box in (vic, tona):
        box.run("apt-get -qq -y purge guifi-mirrord; rm -rf /etc/guifi/mirrord.d; systemctl daemon-reload", check=False, timeout=120)
    moia.run("dpkg --configure -a", check=False)
    try:
        moia.sh(f"apt-get -qq update; {APT} install --allow-downgrades {PACKAGE}={official.first}", timeout=120)
    except Failed as error:
        say(f"      {moia} keeps a newer {PACKAGE}: {error}")


main(__name__, __file__)
