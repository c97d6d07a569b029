#!/usr/bin/python3
"""After joining every box is well, knows all members, and joining again changes nothing."""

from bed.case import check, equal, eventually, main
from bed.town import COMMUNITY

NEEDS = "town"


def _reached(box, whether):
    reached = box.json("guifi-peer stats --json")["reached_from_outside"] or {}
    equal((reached.get("udp"), reached.get("tcp")), (whether, whether), f"{box}: reached over UDP and TCP")
    return True


def test(town):
    """Both zones, both releases, also behind the NAT."""
    for box in town.boxes:
        town.well(box)
        equal(town.members(box), len(town.boxes), f"{box}: members")
    for box in town.boxes:
        eventually(f"{box} knows whether others reach it", lambda box=box: _reached(box, box is not town.hidden), 60, every=1)
    hidden = town.hidden.sh("guifi-status")
    check("but over a relay" in hidden, f"{town.hidden}: guifi-status says\n{hidden}")
    key = town.boxes[1].sh("guifi-peer key")
    town.boxes[1].sh(f"guifi-join {COMMUNITY} --seed {town.boxes[0].address} --yes --wait", timeout=120)
    equal(town.boxes[1].sh("guifi-peer key"), key, "key after joining again")
    equal(town.members(town.boxes[0]), len(town.boxes), "members after one joined again")


main(__name__, __file__)
