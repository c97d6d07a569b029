#!/usr/bin/python3
"""Installed but not joined: no traffic, no endpoint bound, and guifi-status says so."""

import subprocess
import time

from bed.base import RELEASES
from bed.case import Node, check, equal, main, together

NEEDS = "bed"
TIMEOUT = 240


def test(bed):
    """Everything on the cable is recorded, from before the installation."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    boxes = [bed.node(release, release, link, bed.repository) for release in RELEASES]
    together(Node.start, boxes)
    captures = [bed.directory / f"{box}.pcap" for box in boxes]
    recorders = [_record(bed, box, capture) for box, capture in zip(boxes, captures)]
    try:
        together(lambda box: box.install("guifi-community-distro"), boxes)
        time.sleep(60 if bed.long else 20)  # silence can only be heard by waiting
        for box in boxes:
            _not_joined(box)
    finally:
        for recorder in recorders:
            recorder.terminate()
            recorder.wait()
    for box, capture in zip(boxes, captures):
        _silent(bed, box, capture)


def _record(bed, box, capture):
    words = ["tcpdump", "-q", "-U", "-Z", "root", "-i", box.name, "-w", str(capture)]
    return subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{bed.network.switch}", "--", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _not_joined(box):
    status = box.run("guifi-status 2>&1", check=False)
    check(status.returncode != 0, f"{box}: guifi-status succeeds though it has not joined")
    check("not joined" in status.stdout, f"{box}: guifi-status does not say 'not joined':\n{status.stdout}")
    equal(box.sh("ss -Hlun 'sport = :7656'; ss -Hltn 'sport = :7656'"), "", f"{box}: sockets on the port of peerd")


def _silent(bed, box, capture):
    # Avahi speaks of the host itself; the kernel looks for neighbours and reports its multicast
    # groups (ICMPv6, behind a hop-by-hop header: protocol 0). None of this is ours.
    rule = "not arp and not igmp and not icmp6 and not ip6 proto 0 and not port 5353 and not port 67"
    heard = bed.network.inside(bed.network.switch, "tcpdump", "-nr", capture, rule, check=False)
    equal(heard, "", f"{box}: packets of a box that has not joined")
    spoken = bed.network.inside(bed.network.switch, "tcpdump", "-nAr", capture, "port 5353", check=False)
    check("_guifi" not in spoken, f"{box}: it announces itself by mDNS though it has not joined")


main(__name__, __file__)
