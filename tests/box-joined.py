#!/usr/bin/python3
"""After joining every box is well, knows all members, and joining again changes nothing."""

from bed.case import check, equal, main
from bed.town import COMMUNITY

NEEDS = "town"


def test(town):
    """Both zones, both releases, also behind the NAT."""
    for box in town.boxes:
        status = box.run("guifi-status", check=False)
        equal(status.returncode, 0, f"{box}: guifi-status says\n{status.stdout}{status.stderr}")
        check(isinstance(box.json("guifi-status --json"), dict), f"{box}: guifi-status --json is no object")
        equal(town.members(box), len(town.boxes), f"{box}: members")
    key = town.boxes[1].sh("guifi-peer key")
    town.boxes[1].sh(f"guifi-join {COMMUNITY} --seed {town.boxes[0].address} --yes --wait", timeout=120)
    equal(town.boxes[1].sh("guifi-peer key"), key, "key after joining again")
    equal(town.members(town.boxes[0]), len(town.boxes), "members after one joined again")


main(__name__, __file__)
