#!/usr/bin/python3
"""A community split in halves works on in both, and within 60 s of healing all is everywhere."""

import time

from bed.case import check, eventually, main, say

NEEDS = "town"
TIMEOUT = 4200

SPLIT, LONG_SPLIT = 45, 3600


def test(town):
    """The router drops everything between the links, telling nobody."""
    east, west = town["vic-01"], town["tona-01"]
    here, there = [town["vic-01"], town["vic-02"]], [town["tona-01"], town["moia-01"]]
    town.publish(east, "Before the split", "_http._tcp", 8400, "--check", "none")
    town.seen(town.boxes, "Before the split")
    town.bed.network.cut_links(town.router, "east", "west")
    begin = time.monotonic()
    try:
        town.publish(east, "Made in the east", "_http._tcp", 8401, "--check", "none")
        town.publish(west, "Made in the west", "_http._tcp", 8402, "--check", "none")
        town.unpublish(east, "Before the split")
        town.seen(here, "Made in the east")
        town.seen(there, "Made in the west")
        left = (LONG_SPLIT if town.long else SPLIT) - (time.monotonic() - begin)
        time.sleep(max(0, left))  # the length of the split is what is tested
        check("Made in the west" not in town.names(here[1]), "the split has a hole")
        town.bed.network.heal(town.router)
        healed = time.monotonic()
        for box in town.boxes:
            for name, is_there in (("Made in the east", True), ("Made in the west", True), ("Before the split", False)):
                rest = 60 - (time.monotonic() - healed)
                town.seen([box], name, is_there, deadline=max(rest, 0.1))
        say(f"      healed in {time.monotonic() - healed:.1f} s after a split of {healed - begin:.0f} s")
        eventually(
            "all boxes have the same records",
            lambda: len({_records(box) for box in town.boxes}) == 1,
            30,
        )
    finally:
        town.bed.network.heal(town.router)
        east.run("guifi-unpublish 'Made in the east' _http._tcp", check=False)
        east.run("guifi-unpublish 'Before the split' _http._tcp", check=False)
        west.run("guifi-unpublish 'Made in the west' _http._tcp", check=False)


def _records(box):
    """Owner, name and version of every service that a box knows."""
    records = box.lines("guifi-registry list service --json")
    return tuple(sorted((record["owner"], record["name"], record["version"]) for record in records))


main(__name__, __file__)
