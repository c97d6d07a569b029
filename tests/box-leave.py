#!/usr/bin/python3
"""A box that leaves says good-bye, keeps its key, is quiet, and may come back."""

from bed.case import check, equal, eventually, main
from bed.town import COMMUNITY

NEEDS = "town"


def test(town):
    """Its services vanish for the others at once; after joining again it has its name."""
    box = town["vic-02"]
    key = box.sh("guifi-peer key")
    town.publish(box, "Short visit", "_http._tcp", 8500, "--check", "none")
    town.seen(town.boxes, "Short visit")
    box.sh("guifi-leave --yes", timeout=60)
    try:
        status = box.run("guifi-status 2>&1", check=False)
        check("not joined" in status.stdout, f"guifi-status after leaving:\n{status.stdout}")
        equal(box.sh("guifi-peer key"), key, "key after leaving")
        equal(box.sh("ss -Hlun 'sport = :7656'"), "", "sockets of peerd after leaving")
        gone = "its service is not offered as live any more"
        for other in town.others(box):
            eventually(gone, lambda other=other: not _live(other, "Short visit"), 60)
    finally:
        box.sh(f"guifi-join {COMMUNITY} --seed {town.boxes[0].address} --zone vic --name vic-02 --wait --yes", timeout=120)
        box.run("guifi-unpublish 'Short visit' _http._tcp", check=False)
    first = town.boxes[0]
    eventually("it has its name again", lambda: box.address in box.sh(f"dig +short @{first.address} {town.host(box)} A"), 60)


def _live(box, name):
    services = box.lines("guifi-browse --scope community --json")
    return any(service["name"] == name and service["state"] == "live" for service in services)


main(__name__, __file__)
