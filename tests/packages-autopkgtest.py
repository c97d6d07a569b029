#!/usr/bin/python3
"""The tests in debian/tests pass on a booted box with the packages installed, on Debian 12 and 13."""

import re
import shutil

from bed.base import RELEASES
from bed.case import Failed, Node, check, main, together
from bed.host import TOP

NEEDS = "bed"
TIMEOUT = 300

SOURCE = "/root/source"
"""Where the tests find the source tree, in which autopkgtest starts them."""


def test(bed):
    """As autopkgtest runs them: one after the other, each from the top of the source tree."""
    control = (TOP / "debian/tests/control").read_text(encoding="utf-8")
    names = re.search(r"^Tests: (.*)$", control, re.MULTILINE)[1].split()
    check(names, "debian/tests/control names no test")
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    boxes = [bed.node(release, release, link, bed.repository) for release in RELEASES]
    together(Node.start, boxes)
    together(lambda box: _run(box, names), boxes)


def _run(box, names):
    shutil.copytree(TOP / "debian/tests", box.merged / SOURCE.lstrip("/") / "debian/tests")
    box.install("guifi-community-distro")
    for name in names:
        done = box.run(f"cd {SOURCE} && debian/tests/{name}", check=False, timeout=120)
        if done.returncode:
            raise Failed(f"{box}: {name}: status {done.returncode}\n{done.stdout}{done.stderr}")
        # autopkgtest takes words on standard error for a failure.
        check(not done.stderr, f"{box}: {name} writes to standard error: {done.stderr}")


main(__name__, __file__)
