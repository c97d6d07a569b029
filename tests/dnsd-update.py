#!/usr/bin/python3
"""nsupdate and knsupdate, unmodified, change a hosted zone with keys; what was acknowledged survives kill -9."""

import shlex
import time

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main, together

NEEDS = "bed"
TIMEOUT = 600

ZONE = "vall.example"
FILE = f"/etc/guifi/zones/{ZONE}"
MASTER = "$TTL 60\n@ SOA ns dns 1 30 30 600 60\n@ NS ns\nns A 10.0.0.1\n"
CLIENTS, UPDATES, KILLS = 4, 60, 3


class _Client:
    """A machine with nsupdate and knsupdate."""

    def __init__(self, bed, link, box):
        self.visitor = bed.server("client", link)
        self.box = box

    def update(self, key, lines, program="nsupdate"):
        """Whether an update is acknowledged, and what is said."""
        text = "\n".join((f"server {self.box.address}", f"zone {ZONE}", *lines, "send", ""))
        done = self.visitor.run(f"printf %s {shlex.quote(text)} | {program} {f'-y {key}' if key else ''}", check=False)
        return done.returncode == 0, done.stdout + done.stderr

    def storm(self, key, client):
        """Names that are acknowledged one after the other, whatever happens to the server."""
        update = f"server {self.box.address}\\nzone {ZONE}\\nupdate add c{client}-$n.{ZONE} 60 A 10.7.{client}.1\\nsend\\n"
        loop = f'for n in $(seq {UPDATES}); do printf "{update}" | nsupdate -t 20 -y {key} && echo c{client}-$n; done 2>/dev/null'
        return self.visitor.run(loop, check=False, timeout=300).stdout.split()

    def ask(self, words):
        return self.visitor.sh(f"dig +short +time=2 @{self.box.address} {words}")


def _key(box, name, *grants):
    """A key as the clients' option -y takes it."""
    made = box.json(f"guifi-dns --json key add {name} {' '.join(f'--update {shlex.quote(grant)}' for grant in grants)}")
    return f"{made['algorithm']}:{made['name']}:{made['secret']}"


def test(bed):
    """A box, and a client with two keys."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    box = bed.node("box", RELEASES[1], link, bed.repository)
    Node.start(box)
    box.install("guifi-dnsd")
    box.sh("mkdir -p /etc/guifi/zones")
    box.write("/etc/guifi/dnsd.d/zone.toml", f'[zones."{ZONE}"]\nfile = "{FILE}"\n')
    box.write(FILE, MASTER)
    box.sh("systemctl reload guifi-dnsd")
    client = _Client(bed, link, box)
    eventually("the zone", lambda: client.ask(f"ns.{ZONE}") == "10.0.0.1")
    full, dhcp = _key(box, "full", ZONE), _key(box, "dhcp", f"{ZONE}:*.dhcp:A")
    equal(box.sh("stat -c %a:%U /var/lib/guifi/dnsd/keys.json"), "600:guifi-dnsd", "who reads the keys")
    _rights(client, full, dhcp)
    _crashes(box, client, full)
    box.sh("guifi-dns key revoke full")
    check(not client.update(full, [f"update add late.{ZONE} 60 A 10.0.0.9"])[0], "a revoked key still changes the zone")


def _rights(client, full, dhcp):
    for program in ("nsupdate", "knsupdate"):
        name = f"{program}.{ZONE}"
        check(client.update(full, [f"prereq nxdomain {name}", f"update add {name} 60 A 10.0.0.2"], program)[0], f"{program} is refused")
        equal(client.ask(name), "10.0.0.2", f"what {program} added")
        check(not client.update(full, [f"prereq nxdomain {name}", f"update add {name} 60 A 10.0.0.3"], program)[0], f"{program}: the name was there")
        check(client.update(full, [f"prereq yxrrset {name} A", f"update delete {name} A"], program)[0], f"{program} cannot delete")
        equal(client.ask(name), "", f"what {program} deleted")
        check(client.update(dhcp, [f"update add a.dhcp.{ZONE} 60 A 10.0.0.4"], program)[0], f"{program} is refused with a small key")
        for lines in (f"update add a.{ZONE} 60 A 10.0.0.5", f"update add a.dhcp.{ZONE} 60 TXT x"):
            done, said = client.update(dhcp, [lines], program)
            check(not done and "REFUSED" in said, f"{program}, {lines}: {said}")
    done, said = client.update(None, [f"update add a.{ZONE} 60 A 10.0.0.5"])
    check(not done and "REFUSED" in said, f"an update without a key: {said}")
    done, said = client.update(full[:-8] + "AAAAAAA=", [f"update add a.{ZONE} 60 A 10.0.0.5"])
    check(not done and "BADSIG" in said, f"a wrong secret: {said}")


def _crashes(box, client, key):
    acknowledged = []

    def work(number):
        if number < CLIENTS:
            acknowledged.extend(client.storm(key, number))
            return
        for kill in range(KILLS):
            eventually("some updates", lambda k=kill: client.ask(f"c0-{10 * (k + 1)}.{ZONE}"), 60)
            box.kill("guifi-dnsd")
            eventually("it is back", lambda: client.ask(f"ns.{ZONE}") == "10.0.0.1", 30)

    begin = time.monotonic()
    together(work, range(CLIENTS + 1))
    check(len(acknowledged) > CLIENTS * UPDATES // 2, f"only {len(acknowledged)} updates in {time.monotonic() - begin:.0f} s")
    zone = box.sh(f"guifi-dns show {ZONE}")
    lost = [name for name in acknowledged if f"{name}.{ZONE}. 60 IN A 10.7." not in zone]
    check(not lost, f"acknowledged and lost: {lost}")


main(__name__, __file__)
