#!/usr/bin/python3
"""The key of a box: exported and changed, and two boxes that have the same one."""

import shutil

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main, together
from bed.town import DOMAIN, Town

NEEDS = "bed"
TIMEOUT = 420

FILE = "/root/second.key"
WORDS = "--passphrase-file /root/passphrase"


def test(bed):
    """One box founds, one joins and changes its key, one becomes a copy of it and then itself."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    names = {"first": RELEASES[0], "second": RELEASES[1], "copy": RELEASES[1]}
    boxes = [bed.node(name, release, link, bed.repository) for name, release in names.items()]
    first, second, copy = boxes
    together(Node.start, boxes)
    together(lambda box: box.install("guifi-community-distro"), boxes)
    for box in boxes:
        box.write("/root/passphrase", "correct horse\n", 0o600)
        # Each copy hears of the other when it compares books.
        box.write("/etc/guifi/registryd.toml", "[sync]\ninterval_seconds = 10\n")
        box.sh("systemctl reload guifi-registryd")
    first.sh("guifi-join osona --create --zone vic --name first --wait --yes", timeout=60)
    second.sh(f"guifi-join osona --seed {first.address} --zone vic --name second --wait --yes", timeout=60)
    Town.publish(second, "Kept", "_http._tcp", 8600, "--check", "none")
    eventually("it is published", lambda: "Kept" in Town.names(first), 30)

    _changed(first, second)
    _killed(first, second)
    _exported(first, second)
    _copied(first, second, copy)
    _parted(first, second, copy)


def _owner(box, instance):
    found = [r["owner"] for r in box.lines("guifi-registry list service --json") if r["body"]["instance"] == instance]
    return found[0] if len(found) == 1 else found


def _changed(first, second):
    old = second.sh("guifi-peer key")
    new = second.json("guifi-peer key rotate --json")["key"]
    check(new != old and second.sh("guifi-peer key") == new, f"{old} became {new}")
    eventually("its service follows", lambda: _owner(first, "Kept") == new, 30)
    host, instance = f"second.vic.{DOMAIN}", f"Kept._http._tcp.vic.{DOMAIN}"
    eventually("its name follows", lambda: second.address in first.sh(f"dig +short @127.0.0.1 {host} A"), 60)
    eventually("so does DNS-SD", lambda: f"8600 {host}." in first.sh(f"dig +short @127.0.0.1 {instance} SRV"), 60)
    Town.publish(second, "Since", "_http._tcp", 8601, "--check", "none")
    eventually("others see what it writes now", lambda: _owner(first, "Since") == new, 30)
    for box in (first, second):
        eventually(f"{box.name} is well", lambda: box.ok("guifi-status"), 60, every=1)
    equal(Town.members(first), 2, "members after the change")
    # The change is for good: a restart begins with it.
    second.sh("systemctl restart guifi-peerd guifi-registryd")
    equal(second.sh("guifi-peer key"), new, "key after a restart")
    eventually("it is a member still", lambda: second.ok("guifi-status"), 60, every=1)


def _killed(first, second):
    old = second.sh("guifi-peer key")
    # Dead as soon as the change is on disk, before peerd is told.
    second.sh(
        "(guifi-peer key rotate >/dev/null 2>&1 &);"
        """ until [ "$(journalctl -q -u guifi-registryd -o cat | grep -c 'is given up for')" = 2 ]; do :; done;"""
        " systemctl kill -s KILL guifi-registryd"
    )
    eventually("it goes on with the new key", lambda: second.sh("guifi-peer key") != old, 60)
    new = second.sh("guifi-peer key")
    for name in ("Kept", "Since"):
        eventually(f"{name} follows", lambda: _owner(first, name) == new, 60)
    eventually("it is well", lambda: second.ok("guifi-status"), 60, every=1)


def _exported(first, second):
    key = second.sh("guifi-peer key")
    check(key in second.sh(f"guifi-peer key export {FILE} {WORDS}"), "the export does not name the key")
    equal(second.sh(f"stat -c %a {FILE}"), "600", "mode of the exported key")
    shutil.copy(second.merged / FILE.lstrip("/"), first.merged / FILE.lstrip("/"))
    done = first.run(f"guifi-peer key import {FILE} {WORDS}", check=False)
    check(done.returncode == 1 and "guifi-leave first" in done.stderr, f"not refused: {done.stderr}")
    for words in (f"export {FILE} {WORDS}", f"import {FILE} --passphrase-file /etc/hostname"):
        done = second.run(f"guifi-peer key {words}", check=False)
        check(done.returncode == 1 and len(done.stderr.splitlines()) == 1, f"{words}: {done.stderr}")
    done = second.run("runuser -u nobody -- guifi-peer key rotate", check=False)
    check(done.returncode == 77, f"anybody may change the key: {done.returncode} {done.stderr}")
    done = second.run(f"runuser -u nobody -- guifi-peer key export /tmp/mine {WORDS}", check=False)
    check(done.returncode != 0, "anybody may read the key")


def _copied(first, second, copy):
    key = second.sh("guifi-peer key")
    shutil.copy(second.merged / FILE.lstrip("/"), copy.merged / FILE.lstrip("/"))
    copy.sh(f"guifi-peer key import {FILE} {WORDS}")
    equal(copy.sh("guifi-peer key"), key, "the imported key")
    copy.sh(f"guifi-join osona --seed {first.address} --zone vic --name second --wait --yes", timeout=60)
    for box in (second, copy):
        eventually(f"{box.name} tells of the other", lambda: "uses the key of this one" in box.run("guifi-status", check=False).stdout, 180, every=1)


def _parted(first, second, copy):
    key = second.sh("guifi-peer key")
    copy.sh("guifi-leave --yes && guifi-peer key rotate")
    check(copy.sh("guifi-peer key") != key, "the copy has the same key still")
    copy.sh(f"guifi-join osona --seed {first.address} --zone vic --name copy --wait --yes", timeout=60)
    eventually("all three are members", lambda: Town.members(first) == 3, 30)
    # Nothing of the box that was copied is lost.
    for name in ("Kept", "Since"):
        eventually(f"{name} is there", lambda: _owner(first, name) == key, 60)
    live = lambda: {b["owner_name"] for b in first.lines("guifi-registry members --json") if b["state"] == "live"}
    eventually("all three are live", lambda: live() == {"first", "second", "copy"}, 60)


main(__name__, __file__)
