#!/usr/bin/python3
"""repo/try shows a page found on every box; --down, and an interruption, leave nothing."""

import os
import signal
import subprocess

from bed.case import Failed, check, eventually, main, run
from bed.host import STATE, TOP

NEEDS = "host"
TIMEOUT = 420


def _try(tools, *words):
    # A bed of its own, not the one that a person may be playing with.
    environment = os.environ | {"GUIFI_TRY_TAG": f"t{os.getpid()}try", "GUIFI_TEST_REPOSITORY": str(tools.repository)}
    # As from a terminal: what was itself started in the background ignores interrupts.
    return subprocess.Popen(
        ["env", "--default-signal=INT", str(TOP / "repo/try"), *words],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _nothing_left():
    tag = f"t{os.getpid()}try"
    check(not (STATE / tag).exists(), "files of the bed are left")
    check(f"guifi-{tag}-" not in run("ip", "netns", "list"), "network namespaces are left")
    check(tag not in run("cat", "/proc/mounts"), "mounts are left")


def test(tools):
    """Once to the end, once interrupted while booting."""
    before = run("ip", "-o", "addr"), run("ip", "route"), run("nft", "list", "ruleset", check=False)
    done = _try(tools)
    output, _ = done.communicate(timeout=400)
    try:
        if done.returncode:
            raise Failed(f"repo/try ended with status {done.returncode}\n{output[-3000:]}")
        for words in ("guifi-browse", "dig ", "avahi-browse", "curl ", "Photos of Vic", "Hello from Vic", "--down"):
            check(words in output, f"{words!r} is not in the output of repo/try:\n{output[-3000:]}")
    finally:
        _try(tools, "--down").communicate(timeout=60)
    _nothing_left()
    after = run("ip", "-o", "addr"), run("ip", "route"), run("nft", "list", "ruleset", check=False)
    check(before == after, "the network of the host has changed")

    broken = _try(tools)
    eventually("the first machine", lambda: list((STATE / f"t{os.getpid()}try").glob("*/console.log")), 60, every=0.05)
    broken.send_signal(signal.SIGINT)
    broken.communicate(timeout=60)
    _nothing_left()


main(__name__, __file__)
