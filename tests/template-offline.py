#!/usr/bin/python3
"""lxc-create -t guifi-box makes a box from our repository alone, with no network at all."""

import os
import pathlib
import shutil
import tempfile

from bed.base import RELEASES
from bed.case import check, equal, eventually, main, run
from bed.host import TOP
from bed.packages import copy, tool
from bed.town import UNITS

NEEDS = "host"
TIMEOUT = 420

BOX = "guifi-template-test"
UPDATE = "apt-get update -o Dir::Etc::sourcelist=sources.list.d/guifi.sources -o Dir::Etc::sourceparts=-; apt-cache policy guifi-peerd"


def test(tools):
    """Debian 12; Debian 13 as well in a long run."""
    repository = copy(tools.repository, "offline-repository")
    work = pathlib.Path(tempfile.mkdtemp(prefix="guifi-template-", dir="/var/lib"))
    try:
        for release in RELEASES if tools.long else RELEASES[:1]:
            tool("mirror", "--release", release, repository)
            _box(work, release, repository)
    finally:
        run("lxc-stop", "-k", "-P", work, "-n", BOX, check=False)
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(repository, ignore_errors=True)


def _box(work, release, repository):
    (work / "default.conf").write_text("lxc.net.0.type = empty\n", encoding="ascii")
    # Debian's mirror cannot be reached from a network namespace with nothing in it.
    run(
        "unshare", "--net", "lxc-create", "-P", work, "-n", BOX, "-f", work / "default.conf",
        "-t", TOP / "lxc-templates/lxc-guifi-box", "--", "--offline", "--release", release, "--repository", repository,
    )  # fmt: skip
    run("lxc-start", "-P", work, "-n", BOX, "-d", "-L", work / "console")

    def inside(words):
        return run(
            "lxc-attach", "-P", work, "-n", BOX, "--clear-env", "-v", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "--",
            "sh", "-c", words, check=False,
        )  # fmt: skip

    state, _ = eventually("the box has booted", lambda: inside("systemctl is-system-running") in ("running", "degraded"), 60)
    check(state, "the box does not run")
    for unit in UNITS:
        equal(inside(f"systemctl is-active {unit}"), "active", f"{unit} in a box of Debian {release}")
    equal(inside("hostname"), BOX, "name of the box")
    check("file:/srv/guifi-repository" in inside(UPDATE), "the box does not know the repository")
    run("lxc-stop", "-k", "-P", work, "-n", BOX)
    run("lxc-destroy", "-P", work, "-n", BOX)
    check(not os.path.exists(work / BOX), "lxc-destroy has left something")


main(__name__, __file__)
