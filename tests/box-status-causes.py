#!/usr/bin/python3
"""guifi-status on a broken box names the cause.

No peers, unreachable from outside, Avahi gone, port 53 taken, disk full, clock wrong.
"""

import re

from bed.case import check, eventually, main

NEEDS = "town"
TIMEOUT = 600

STATE = "/var/lib/guifi/registryd"
FAKE = """[Service]
Environment=LD_PRELOAD={library} FAKETIME=-1d FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1
"""
WALL = """table inet wall {
  chain in {
    type filter hook input priority 0;
    udp dport 7656 ct state new drop
    tcp dport 7656 ct state new drop
  }
  chain out { type filter hook output priority 0; tcp dport 7657 drop; }
}
"""


def _names(box, cause, pattern, deadline=60):
    def probe():
        status = box.run("guifi-status 2>&1", check=False)
        found = re.search(pattern, status.stdout, re.IGNORECASE)
        check(found and status.returncode in (1, 69), f"status {status.returncode}:\n{status.stdout}")
        return True

    eventually(f"guifi-status on {box} names the cause: {cause}", probe, deadline, every=1)


def test(town):
    """One fault after the other on one box; each is undone."""
    box = town["vic-02"]
    for fault in (_avahi, _port, _disk, _clock, _peers, _wall, _policy):
        fault(box)
        town.well(box)


def _avahi(box):
    box.sh("systemctl mask --runtime --now avahi-daemon.socket avahi-daemon.service")
    try:
        _names(box, "Avahi gone", "avahi")
    finally:
        box.sh("systemctl unmask --runtime avahi-daemon.socket avahi-daemon.service; systemctl start avahi-daemon")


def _port(box):
    box.sh("systemctl stop guifi-dnsd")
    box.sh("systemd-run --unit=taken-udp socat -u UDP4-RECV:53 OPEN:/dev/null; systemd-run --unit=taken-tcp socat -u TCP4-LISTEN:53,fork OPEN:/dev/null")
    try:
        box.run("systemctl start --no-block guifi-dnsd")
        _names(box, "port 53 taken", r"port 53\b")
    finally:
        box.sh("systemctl stop taken-udp taken-tcp; systemctl reset-failed; systemctl restart guifi-dnsd")


def _disk(box):
    box.sh(f"systemctl stop guifi-registryd; cp -a {STATE} /root/state; mount -t tmpfs -o size=8m tmpfs {STATE}")
    box.sh(f"chown --reference=/root/state {STATE}; chmod --reference=/root/state {STATE}; cp -a /root/state/. {STATE}/")
    try:
        box.sh("systemctl start guifi-registryd")
        box.run(f"dd if=/dev/zero of={STATE}/fill bs=64k", check=False)
        box.run(f"dd if=/dev/zero of={STATE}/fill2 bs=1k", check=False)
        box.run("guifi-publish --global 'No room' _http._tcp 8099 --check none", check=False)
        _names(box, "disk full", r"disk|space|full")
    finally:
        box.sh(f"systemctl stop guifi-registryd; umount {STATE}; systemctl reset-failed; systemctl start guifi-registryd; rm -rf /root/state")
    box.run("guifi-unpublish 'No room' _http._tcp", check=False)


def _clock(box):
    library = box.sh("ls /usr/lib/*/faketime/libfaketimeMT.so.1")
    for unit in ("guifi-registryd", "guifi-peerd"):
        box.write(f"/run-later/{unit}.conf", FAKE.format(library=library))
        box.sh(f"mkdir -p /run/systemd/system/{unit}.service.d; cp /run-later/{unit}.conf /run/systemd/system/{unit}.service.d/")
    box.sh("rm -rf /run-later; systemctl daemon-reload; systemctl restart guifi-peerd guifi-registryd")
    try:
        _names(box, "clock wrong", "clock")
    finally:
        box.sh("rm -rf /run/systemd/system/guifi-*.d; systemctl daemon-reload; systemctl restart guifi-peerd guifi-registryd")


def _peers(box):
    box.pull()
    try:
        _names(box, "no peers", r"no (other |connected )?(peer|box)|peers?: *(0|none)", 120)
    finally:
        box.plug()


def _wall(box):
    # Nothing new comes in, and no relay is to be had.
    box.write("/root/wall.nft", WALL)
    box.sh("nft -f /root/wall.nft")
    try:
        box.sh("systemctl restart guifi-peerd")
        _names(box, "unreachable from outside", "do not reach UDP and TCP port 7656", 120)
        place = r"the rule \(handle \d+\) of chain in, table inet wall, stops"
        _names(box, "which rules are in the way", rf"{place} UDP port 7656.*{place} TCP port 7656.*peerd\.nft")
        hidden = box.run("runuser -u nobody guifi-status 2>&1", check=False).stdout
        check("sudo guifi-status" in hidden and "inet wall" not in hidden, f"without rights:\n{hidden}")
    finally:
        box.sh("nft delete table inet wall; systemctl restart guifi-peerd")


POLICY = """table inet wall {{
    {include}
    chain in {{
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        iif lo accept
        meta l4proto {{ 1, 58 }} accept
        {jump}
    }}
    chain out {{
        type filter hook output priority 0;
        tcp dport 7657 drop
    }}
}}
"""


def _policy(box):
    box.write("/root/wall.nft", POLICY.format(include="", jump=""))
    box.sh("nft -f /root/wall.nft; systemctl restart guifi-peerd")
    try:
        _names(box, "the policy is in the way", r"the policy of chain in \(handle \d+\), table inet wall, stops UDP and TCP port 7656 ?;", 120)
        include = 'include "/usr/share/guifi/nftables/*.nft"'
        box.write("/root/wall.nft", POLICY.format(include=include, jump="jump guifi"))
        box.sh("nft delete table inet wall; nft -f /root/wall.nft; systemctl restart guifi-peerd")
        eventually("with our rules the box is reached", lambda: _reached(box), 120, every=1)
    finally:
        box.sh("nft delete table inet wall; rm -f /root/wall.nft; systemctl restart guifi-peerd")


def _reached(box):
    status = box.run("guifi-status 2>&1", check=False).stdout
    check("reached from outside" in status, status)
    return True


main(__name__, __file__)
