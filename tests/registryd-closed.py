#!/usr/bin/python3
"""A closed community: a stranger waits and sees nothing, an invitation admits, a ban throws out."""

import subprocess
import time

from bed.base import RELEASES
from bed.case import Node, check, equal, eventually, main, say, together
from bed.town import Town

NEEDS = "bed"
TIMEOUT = 420

NAMES = ("first", "second", "third", "fourth")


def test(bed):
    """The first box founds it; the second waits, the third is invited, the fourth is banned."""
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    boxes = [bed.node(name, RELEASES[n % 2], link, bed.repository) for n, name in enumerate(NAMES)]
    first, second, third, fourth = boxes
    together(Node.start, boxes)
    together(lambda box: box.install("guifi-community-distro"), boxes)
    first.write("/root/terms", "Be kind.\n")
    first.sh("guifi-join osona --create --closed --zone vic --name first --terms /root/terms --wait --yes")
    Town.publish(first, "Secret", "_http._tcp", 80, "--check", "none")

    _waits_and_sees_nothing(first, second)
    _invited(first, second, third, fourth)
    _banned(first, (second, third), fourth)


def _waits_and_sees_nothing(first, second):
    key = second.sh("guifi-peer key")
    unasked = second.run(f"guifi-join osona --seed {first.address} --name second --yes 2>&1", check=False)
    equal(unasked.returncode, 75, f"status of a join that must be approved: {unasked.stdout}")
    check(f"guifi-registry approve {key}" in unasked.stdout, f"it does not say what to do:\n{unasked.stdout}")
    waiting = subprocess.Popen(
        second.command(f"guifi-join osona --seed {first.address} --name second --wait --yes 2>&1"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually("the request is shown", lambda: [w["key"] for w in first.lines("guifi-registry pending --json")] == [key])
        check(waiting.poll() is None, "the stranger does not wait")
        equal(second.sh("guifi-registry list --json"), "", "records that a stranger sees")
        check("Secret" not in second.sh("guifi-browse --scope community --json"), "a stranger sees a service")
        equal(Town.members(first), 1, "members before the approval")
        # Also after a restart of the box that keeps the request.
        first.sh("systemctl restart guifi-registryd")
        refused = first.run("guifi-registry approve nobody-of-that-name 2>&1", check=False)
        equal(refused.returncode, 1, f"approving nobody: {refused.stdout}")
        first.sh("guifi-registry approve second")
        output, _ = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
    equal(waiting.returncode, 0, f"status of the join that waited:\n{output}")
    check("waiting for the approval" in output, f"it does not say that it waits:\n{output}")
    eventually("the second sees the service", lambda: "Secret" in Town.names(second))


def _invited(first, second, third, fourth):
    denied = second.run("guifi-invite 2>&1", check=False)
    equal(denied.returncode, 77, f"a member that is no administrator invites: {denied.stdout}")
    invitation = first.sh("guifi-invite --uses 2 --expires 1h 2>/dev/null")
    eventually("word of the invitation", lambda: second.lines("guifi-registry list invite --json"))
    # The administrator is away: any member admits.
    first.sh("systemctl stop guifi-registryd guifi-peerd")
    typo = invitation[:60] + ("a" if invitation[60] != "a" else "b") + invitation[61:]
    mistyped = third.run(f"guifi-join {typo} 2>&1", check=False)
    equal(mistyped.returncode, 2, f"a mistyped invitation: {mistyped.stdout}")
    check("mistyped" in mistyped.stdout, mistyped.stdout)
    joined = third.run(f"guifi-join {invitation} --zone vic --name third --wait 2>&1", timeout=90)
    check("Be kind." in joined.stdout, f"the terms are not shown:\n{joined.stdout}")
    first.sh("systemctl start guifi-peerd guifi-registryd")
    fourth.sh(f"guifi-join {invitation} --zone vic --name fourth --wait", timeout=90)
    for box in (first, second, third, fourth):
        eventually(f"{box} sees all members", lambda box=box: Town.members(box) == 4, 60)
    equal(first.lines("guifi-invite list --json")[0]["state"], "used", "state of the invitation")


def _banned(first, others, fourth):
    Town.publish(fourth, "Of the fourth", "_http._tcp", 81, "--check", "none")
    for box in (first, *others):
        eventually(f"{box} sees the service", lambda box=box: "Of the fourth" in Town.names(box))
    key = fourth.sh("guifi-peer key")
    begin = time.monotonic()
    first.sh("guifi-registry ban fourth --yes")
    for box in (first, *others):
        eventually(f"{box} has thrown it out", lambda box=box: _out(box, key), 10)
    eventually("it is alone", lambda: not _state(fourth)["connected_peers"], 10)
    took = time.monotonic() - begin
    say(f"      a banned box is out everywhere after {took:.1f} s")
    check(took < 10, f"it took {took:.1f} s")
    status = fourth.run("guifi-status 2>&1", check=False)
    check("banned" in status.stdout, f"guifi-status does not say it:\n{status.stdout}")
    fourth.sh("guifi-leave --yes")
    again = fourth.run(f"guifi-join osona --seed {first.address} --name fourth --yes 2>&1", check=False)
    check(again.returncode not in (0, 75), f"a banned box may come back:\n{again.stdout}")


def _state(box):
    return box.json("guifi-registry stats --json")


def _out(box, key):
    gone = "Of the fourth" not in Town.names(box) and Town.members(box) == 3
    return gone and key not in _state(box)["connected_peers"]


main(__name__, __file__)
