#!/usr/bin/python3
"""A preseeded installation joins the community by itself, and never fails for that."""

from bed.base import RELEASES
from bed.case import Node, check, eventually, main, together
from bed.town import Town

NEEDS = "bed"

ANSWERS = """guifi-box guifi-box/community string osona
guifi-box guifi-box/create boolean {create}
guifi-box guifi-box/zone string vic
guifi-box guifi-box/name string {name}
guifi-box guifi-box/seed string {seed}
"""


def test(bed):
    """One creates, one joins by seed, one has a seed that does not exist."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    names = {"first": RELEASES[0], "second": RELEASES[1], "lost": RELEASES[0]}
    first, second, lost = (bed.node(name, release, link, bed.repository) for name, release in names.items())
    together(Node.start, (first, second, lost))
    first.install("guifi-community-distro", preseed=ANSWERS.format(create="true", name="first", seed=""))
    answers = ANSWERS.format(create="false", name="second", seed=first.address)
    second.install("guifi-community-distro", preseed=answers)
    for box in (first, second):
        eventually(f"{box} has two members", lambda box=box: Town.members(box) == 2, 60)
    output = lost.install("guifi-box", preseed=ANSWERS.format(create="false", name="lost", seed="10.77.1.250"))
    check("has not joined" in output, f"the installation does not say that it could not join:\n{output[-800:]}")
    check(lost.ok("dpkg -s guifi-box"), "guifi-box is not installed")


main(__name__, __file__)
