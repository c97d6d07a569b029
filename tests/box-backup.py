#!/usr/bin/python3
"""A box that is lost comes back from its backup on a fresh machine: key, name, published service."""

import shutil

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main, together
from bed.town import DOMAIN, Town

NEEDS = "bed"
TIMEOUT = 300

FILE = "/root/second.backup"
WORDS = "--passphrase-file /root/passphrase"


def test(bed):
    """One box founds, one joins and is lost after its backup, one is fresh and becomes it."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    names = {"first": RELEASES[0], "second": RELEASES[1], "fresh": RELEASES[1]}
    boxes = [bed.node(name, release, link, bed.repository) for name, release in names.items()]
    first, second, fresh = boxes
    together(Node.start, boxes)
    together(lambda box: box.install("guifi-community-distro"), boxes)
    for box in boxes:
        box.write("/root/passphrase", "correct horse\n", 0o600)
    first.sh("guifi-join osona --create --zone vic --name first --wait --yes", timeout=60)
    second.sh(f"guifi-join osona --seed {first.address} --zone vic --name second --wait --yes", timeout=60)
    Town.publish(second, "Kept", "_http._tcp", 8600, "--check", "none")
    second.write("/etc/guifi/services.d/file.toml", "# kept as well\n")
    key = second.sh("guifi-peer key")

    _create(second, key)
    second.sh("guifi-unpublish Kept _http._tcp")
    eventually("it is withdrawn", lambda: "Kept" not in Town.names(first), 30)
    second.crash()
    for box in (first, fresh):
        shutil.copy(second.merged / FILE.lstrip("/"), box.merged / FILE.lstrip("/"))
    _refused(first, fresh)
    _restored(first, fresh, key)


def _create(box, key):
    box.sh(f"guifi-backup create {FILE} {WORDS}")
    listed = box.json(f"guifi-backup list {FILE} {WORDS} --json")
    equal((listed["key"], listed["name"], listed["community"]), (key, "second", "osona"), "whose backup it is")
    paths = {file["path"]: file["user"] for file in listed["files"]}
    for path, user in {
        "/var/lib/guifi/peerd/key": "guifi-peerd",
        "/var/lib/guifi/registryd/registry.db": "guifi-registryd",
        "/var/lib/guifi/discoveryd/services.json": "guifi-discoveryd",
        "/etc/guifi/services.d/file.toml": "root",
    }.items():
        equal(paths.get(path), user, f"owner of {path} in the backup")
    equal(box.sh(f"stat -c %a {FILE}"), "600", "mode of the backup")


def _refused(first, fresh):
    before = first.sh("guifi-peer key; md5sum /var/lib/guifi/*/*.json /etc/guifi/*.toml")
    done = first.run(f"guifi-backup restore {FILE} {WORDS}", check=False)
    check(done.returncode == 1 and "with another key" in done.stderr, f"not refused: {done.stderr}")
    fresh.sh(f"head -c 5000 {FILE} >/root/cut; echo wrong >/root/wrong")
    for words in (f"/root/cut {WORDS}", f"{FILE} --passphrase-file /root/wrong"):
        done = fresh.run(f"guifi-backup restore {words}", check=False)
        check(done.returncode == 1 and len(done.stderr.splitlines()) == 1, f"{words}: {done.stderr}")
    done = fresh.run(f"runuser -u nobody -- guifi-backup create /tmp/mine {WORDS}", check=False)
    check(done.returncode != 0, "anybody may read the key of the box")
    equal(first.sh("guifi-peer key; md5sum /var/lib/guifi/*/*.json /etc/guifi/*.toml"), before, "the refusing box")


def _restored(first, fresh, key):
    done = fresh.run(f"guifi-backup restore {FILE} {WORDS}")
    check("if second still runs somewhere else" in done.stderr, f"no warning: {done.stderr}")
    equal(fresh.sh("guifi-peer key"), key, "key of the restored box")
    eventually("the restored box is well", lambda: fresh.ok("guifi-status"), 60, every=1)
    for path, user in {"peerd/key": "guifi-peerd", "registryd/registry.db": "guifi-registryd"}.items():
        equal(fresh.sh(f"stat -c '%U:%G %a' /var/lib/guifi/{path}").split()[0], f"{user}:{user}", f"owner of {path}")
    equal(fresh.sh("cat /etc/guifi/services.d/file.toml"), "# kept as well", "a file that an administrator wrote")
    equal(fresh.sh("find /etc/guifi /var/lib/guifi -name '*.guifi-restore'"), "", "left behind")
    equal(Town.members(first), 2, "members after the return")
    host = f"second.vic.{DOMAIN}"
    eventually("its name leads to the new machine", lambda: fresh.address in first.sh(f"dig +short @127.0.0.1 {host} A"), 60)
    instance = f"Kept._http._tcp.vic.{DOMAIN}"
    eventually("its service is back", lambda: f"8600 {host}." in first.sh(f"dig +short @127.0.0.1 {instance} SRV"), 60)
    # It goes on from where it was: what is written now counts for the others.
    Town.publish(fresh, "Since", "_http._tcp", 8601, "--check", "none")
    eventually("others see what it writes now", lambda: "Since" in Town.names(first), 30)


main(__name__, __file__)
