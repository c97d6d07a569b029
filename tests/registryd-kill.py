#!/usr/bin/python3
"""kill -9 of any daemon, and a power cut, lose nothing that was acknowledged."""

from bed.case import check, eventually, main
from bed.town import UNITS

NEEDS = "town"
TIMEOUT = 420


def test(town):
    """Right after the acknowledgement the daemon dies; it comes back, the service is there."""
    box = town["tona-01"]
    names = []
    key = box.sh("guifi-peer key")
    try:
        for number, unit in enumerate(UNITS):
            name = f"Survives {unit}"
            names.append(name)
            town.publish(box, name, "_http._tcp", 8300 + number, "--check", "none")
            before = box.unit_pid(unit)
            box.kill(unit)
            eventually(f"{unit} is back", lambda unit=unit, before=before: box.unit_pid(unit) not in (0, before), 20)
            town.seen(town.boxes, name)
        names.append("Survives the power cut")
        town.publish(box, names[-1], "_http._tcp", 8310, "--check", "none")
        box.crash()
        box.start()
        for name in names:
            town.seen(town.boxes, name, deadline=60)
        check(box.sh("guifi-peer key") == key, "the box has another key")
        verified = box.run("guifi-registry verify", check=False)
        check(verified.returncode == 0, f"guifi-registry verify: {verified.stdout}{verified.stderr}")
    finally:
        for name in names:
            box.run(f"guifi-unpublish '{name}' _http._tcp", check=False)


main(__name__, __file__)
